//! A client of ubus, OpenWrt's bus, that publishes one object: no socket and no clock. What came from the socket goes
//! into [`Client::receive`]; [`Client::poll`] says what it means; what is to be sent is [`Client::output`].
//!
//! ```text
//! ubusd                          client
//!   HELLO                  →
//!                          ←     ADD_OBJECT, with the signature of every method
//!   DATA, STATUS           →     Published; or LOOKUP, to tell why not
//!   INVOKE (who, what)     →     Call, and some time, in any order:
//!                          ←     DATA, STATUS with the number of the call and of the caller
//!                          ←     INVOKE `send` of object 1: an event
//! ```
//!
//! Every process may send us DATA and STATUS by way of ubusd, with any numbers it likes, but not in ubusd's name: ubusd
//! puts the number of the sender's object there. Only what comes from ubusd itself is read.

pub mod outbox;
pub mod state;

use crate::wire::ubus::{Frame, Frames, Header, Malformed, Message, MessageType, Status, Writer, blobmsg};
use serde_json::Value;

/// The object of ubusd that takes events.
const EVENTS: u32 = 1;
/// Above so many octets that ubusd has not taken, no event is added.
const EVENTS_UP_TO: usize = 256 << 10;

/// Why an object was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// We are not root, and no file in `/usr/share/acl.d` allows our user to publish this name. ubusd says
    /// "invalid argument" to that.
    AclMissing,
    /// Somebody else has published an object of this name.
    NameTaken,
    /// ubusd says so.
    Status(Status),
}

/// A call that is to be answered. There is one of it, so that it is answered once at most.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Ticket {
    seq: u16,
    peer: u32,
    object: u32,
    no_reply: bool,
}

/// A call of a method.
#[derive(Debug, PartialEq, Eq)]
pub struct Invocation {
    /// For the answer.
    pub ticket: Ticket,
    /// The method's name; nobody checked whether there is such.
    pub method: String,
    /// The arguments: whatever the caller sent, up to a message's length. To be read with [`blobmsg::table`].
    pub arguments: Vec<u8>,
    /// The caller's user and group by name, as the kernel told ubusd.
    pub caller: String,
}

/// What ubusd's messages mean.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// The object is there.
    Published,
    /// It is not, and nothing more will come.
    Refused(Refusal),
    /// Somebody calls.
    Call(Invocation),
    /// An event was not sent.
    EventRefused(Status),
}

/// ubusd does not keep to the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The stream is no stream of messages.
    #[error("ubusd sent what is no message: {0}")]
    Malformed(#[from] Malformed),
    /// The first message was another than HELLO.
    #[error("ubusd began with a message of type {}, not with HELLO (0)", .0.0)]
    NoHello(MessageType),
    /// It says that the object is there, and not its number.
    #[error("ubusd published the object without a number")]
    NoObject,
}

/// How far the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// ubusd greets first.
    Greeting,
    /// The object is to be added by the message of this number; ubusd gave it this number.
    Adding { seq: u16, object: Option<u32> },
    /// It was not added. ubusd is asked by the message of this number whether there is one already.
    Asking { seq: u16 },
    /// The object is there.
    Published { object: u32 },
    /// It will not be.
    Refused,
}

/// The client.
#[derive(Debug)]
pub struct Client {
    path: &'static str,
    signature: Vec<u8>,
    state: State,
    frames: Frames,
    output: Vec<u8>,
    /// Octets of the output that are sent.
    sent: usize,
    seq: u16,
}

impl Client {
    /// A client on a fresh connection, that is to publish an object: its name, and its methods as the fields of a blobmsg
    /// table. An object without a signature would be invisible.
    pub fn new(path: &'static str, signature: Vec<u8>) -> Client {
        let (frames, output) = (Frames::default(), Vec::new());
        Client { path, signature, state: State::Greeting, frames, output, sent: 0, seq: 0 }
    }

    /// Takes what came from the socket. To be called when [`Client::poll`] has nothing more.
    pub fn receive(&mut self, octets: &[u8]) {
        self.frames.push(octets);
    }

    /// What came, one after the other; nothing when more has to come.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub fn poll(&mut self) -> Result<Option<Input>, Broken> {
        loop {
            // Apart from the rest, which it would keep borrowed.
            let mut frames = std::mem::take(&mut self.frames);
            let input = match frames.next() {
                Ok(Some(frame)) => self.take(&frame).map(Some),
                Ok(None) => Ok(None),
                Err(why) => Err(why.into()),
            };
            self.frames = frames;
            match input? {
                None => return Ok(None),
                Some(None) => {}
                Some(input) => return Ok(input),
            }
        }
    }

    fn take(&mut self, frame: &Frame<'_>) -> Result<Option<Input>, Broken> {
        let Header { kind, seq, peer } = frame.header;
        match (self.state, kind) {
            (State::Greeting, MessageType::HELLO) => {
                self.add_object()?;
                Ok(None)
            }
            (State::Greeting, other) => Err(Broken::NoHello(other)),
            (_, MessageType::INVOKE) => Ok(self.call(frame.header, frame.message()?)),
            // What ubusd itself says about what was asked of it: the number in the header is that which we sent.
            (State::Adding { seq: own, .. } | State::Asking { seq: own }, _) if seq == own && peer == 0 => {
                self.concluded(kind, frame.message()?)
            }
            (State::Published { .. }, MessageType::STATUS) if peer == EVENTS => {
                let status = Status(frame.message()?.status.unwrap_or_default());
                Ok((status != Status::OK).then_some(Input::EventRefused(status)))
            }
            _ => Ok(None),
        }
    }

    fn next_seq(&mut self) -> u16 {
        self.seq = self.seq.checked_add(1).unwrap_or(1);
        self.seq
    }

    fn add_object(&mut self) -> Result<(), Broken> {
        let seq = self.next_seq();
        let message =
            Message { path: Some(self.path.as_bytes()), signature: Some(&self.signature), ..Message::default() };
        let frame = message.frame(Header::new(MessageType::ADD_OBJECT, seq, 0))?;
        self.output.extend_from_slice(&frame);
        self.state = State::Adding { seq, object: None };
        Ok(())
    }

    /// DATA or STATUS to what we asked.
    fn concluded(&mut self, kind: MessageType, message: Message<'_>) -> Result<Option<Input>, Broken> {
        let status = match kind {
            MessageType::STATUS => Status(message.status.unwrap_or_default()),
            MessageType::DATA => {
                if let State::Adding { object, .. } = &mut self.state {
                    *object = message.object;
                }
                return Ok(None);
            }
            _ => return Ok(None),
        };
        let refusal = match (self.state, status) {
            (State::Adding { object, .. }, Status::OK) => {
                let object = object.ok_or(Broken::NoObject)?;
                self.state = State::Published { object };
                return Ok(Some(Input::Published));
            }
            // For want of permission, or because the name is taken: whether there is such an object tells.
            (State::Adding { .. }, Status::INVALID_ARGUMENT) => {
                let seq = self.next_seq();
                let lookup = Message { path: Some(self.path.as_bytes()), ..Message::default() };
                self.output.extend_from_slice(&lookup.frame(Header::new(MessageType::LOOKUP, seq, 0))?);
                self.state = State::Asking { seq };
                return Ok(None);
            }
            (State::Asking { .. }, Status::NOT_FOUND) => Refusal::AclMissing,
            (State::Asking { .. }, _) => Refusal::NameTaken,
            (_, status) => Refusal::Status(status),
        };
        self.state = State::Refused;
        Ok(Some(Input::Refused(refusal)))
    }

    fn call(&mut self, header: Header, message: Message<'_>) -> Option<Input> {
        let object = message.object.unwrap_or_default();
        let no_reply = message.no_reply.is_some_and(|flag| flag != 0);
        let ticket = Ticket { seq: header.seq, peer: header.peer, object, no_reply };
        if self.state != (State::Published { object }) {
            self.answer(ticket, None, Status::NOT_FOUND);
            return None;
        }
        let Some(method) = message.method.and_then(|method| std::str::from_utf8(method).ok()) else {
            self.answer(ticket, None, Status::METHOD_NOT_FOUND);
            return None;
        };
        let name = |octets: Option<&[u8]>| String::from_utf8_lossy(octets.unwrap_or(b"?")).into_owned();
        Some(Input::Call(Invocation {
            ticket,
            method: method.to_owned(),
            arguments: message.data.unwrap_or_default().to_vec(),
            caller: format!("{}:{}", name(message.user), name(message.group)),
        }))
    }

    /// Answers a call: with a result (the fields of a table; see [`fits`]), and how it ended.
    pub fn answer(&mut self, ticket: Ticket, result: Option<&[u8]>, status: Status) {
        let Ticket { seq, peer, object, no_reply } = ticket;
        if no_reply {
            return;
        }
        if let Some(data) = result {
            let message = Message { object: Some(object), data: Some(data), ..Message::default() };
            self.send(MessageType::DATA, seq, peer, &message);
        }
        let message = Message { status: Some(status.0), object: Some(object), ..Message::default() };
        self.send(MessageType::STATUS, seq, peer, &message);
    }

    /// Sends an event to whoever listens for it: its name and what it says. False when it was not, because nothing is
    /// published, or ubusd does not read.
    pub fn event(&mut self, name: &str, data: &Value) -> bool {
        if !matches!(self.state, State::Published { .. }) || self.backlog() > EVENTS_UP_TO {
            return false;
        }
        let mut writer = Writer::default();
        blobmsg::put(&mut writer, "id", &name.into());
        blobmsg::put(&mut writer, "data", data);
        let Ok(data) = writer.finish() else { return false };
        let seq = self.next_seq();
        let message = Message { object: Some(EVENTS), method: Some(b"send"), data: Some(&data), ..Message::default() };
        self.send(MessageType::INVOKE, seq, EVENTS, &message)
    }

    fn send(&mut self, kind: MessageType, seq: u16, peer: u32, message: &Message<'_>) -> bool {
        match message.frame(Header::new(kind, seq, peer)) {
            Ok(frame) => {
                self.output.extend_from_slice(&frame);
                true
            }
            Err(_) => false,
        }
    }

    /// What is to be sent.
    pub fn output(&self) -> &[u8] {
        self.output.get(self.sent..).unwrap_or_default()
    }

    /// So many octets of it are.
    pub fn sent(&mut self, octets: usize) {
        self.sent += octets;
        if self.sent >= self.output.len() {
            self.sent = 0;
            self.output.clear();
            // A long result is rare, and its room is worth more elsewhere.
            self.output.shrink_to(16 << 10);
        }
    }

    /// Octets that ubusd has not taken. Whoever reads no calls above some amount has bounded it.
    pub fn backlog(&self) -> usize {
        self.output().len()
    }
}

/// True when a result is short enough for one message, with what is around it.
pub fn fits(result: &[u8]) -> bool {
    result.len() <= crate::wire::ubus::MAX_MESSAGE - 64
}

/// For the fuzzer: whatever a client gets is answered, skipped or refused.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let mut client = Client::new("latchkey", Vec::new());
    let hello = Message::default().frame(Header::new(MessageType::HELLO, 0, 7)).expect("short");
    // Half of the inputs go to a published object.
    let published = [
        Message { object: Some(9), ..Message::default() }.frame(Header::new(MessageType::DATA, 1, 0)),
        Message { status: Some(0), ..Message::default() }.frame(Header::new(MessageType::STATUS, 1, 0)),
    ];
    let published = published.map(|frame| frame.expect("short")).concat();
    let start: &[&[u8]] = if data.first().is_some_and(|octet| octet % 2 == 1) { &[&hello, &published] } else { &[] };
    for part in start.iter().copied().chain(data.get(1..).unwrap_or_default().chunks(97)) {
        client.receive(part);
        loop {
            match client.poll() {
                Ok(Some(Input::Call(call))) => {
                    let status = if blobmsg::table(&call.arguments).is_ok() { Status::OK } else { Status(9) };
                    client.answer(call.ticket, Some(&call.arguments), status);
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        client.event("latchkey.join", &Value::Null);
        client.sent(client.backlog().min(50));
    }
}

#[cfg(test)]
mod tests;
