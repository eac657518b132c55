//! Messages on the stream between ubusd and its clients: a header of 8 octets and one attribute that holds the others
//! (`struct ubus_msghdr` of `ubusmsg.h`).

use super::blob::{Attrs, HEADER, Writer};
use super::{MAX_MESSAGE, Malformed};
use std::fmt;

/// Octets of a header.
pub const MESSAGE_HEADER: usize = 8;
/// What ubusd puts around the arguments of a call on their way (who calls) may make the longest message longer.
const ROOM: usize = 1024;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageType(pub u8);

#[allow(missing_docs, reason = "the names of ubusmsg.h")]
impl MessageType {
    pub const HELLO: MessageType = MessageType(0);
    pub const STATUS: MessageType = MessageType(1);
    pub const DATA: MessageType = MessageType(2);
    pub const LOOKUP: MessageType = MessageType(4);
    pub const INVOKE: MessageType = MessageType(5);
    pub const ADD_OBJECT: MessageType = MessageType(6);
    pub const SUBSCRIBE: MessageType = MessageType(8);
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u32);

#[allow(missing_docs, reason = "the names of ubusmsg.h")]
impl Status {
    pub const OK: Status = Status(0);
    pub const INVALID_COMMAND: Status = Status(1);
    pub const INVALID_ARGUMENT: Status = Status(2);
    pub const METHOD_NOT_FOUND: Status = Status(3);
    pub const NOT_FOUND: Status = Status(4);
    pub const PERMISSION_DENIED: Status = Status(6);
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As the command line of ubus has them.
        const NAMES: [&str; 14] = [
            "success",
            "invalid command",
            "invalid argument",
            "method not found",
            "not found",
            "no response",
            "permission denied",
            "request timed out",
            "operation not supported",
            "unknown error",
            "connection failed",
            "out of memory",
            "parsing message data failed",
            "system error",
        ];
        match NAMES.get(self.0 as usize) {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "status {}", self.0),
        }
    }
}

/// The header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub kind: MessageType,
    /// What an answer has of the question.
    pub seq: u16,
    /// Who: depends on the type and the direction.
    pub peer: u32,
}

impl Header {
    /// A header.
    pub fn new(kind: MessageType, seq: u16, peer: u32) -> Header {
        Header { kind, seq, peer }
    }
}

/// The attributes of a message. Strings are octets without NUL: nobody checks them on the way.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// How something ended.
    pub status: Option<u32>,
    /// The name of an object.
    pub path: Option<&'a [u8]>,
    /// The number of an object.
    pub object: Option<u32>,
    /// The name of a method.
    pub method: Option<&'a [u8]>,
    /// The number of a signature that objects share.
    pub object_type: Option<u32>,
    /// The methods of an object and their arguments: the fields of a blobmsg table.
    pub signature: Option<&'a [u8]>,
    /// Arguments or a result: the fields of a blobmsg table.
    pub data: Option<&'a [u8]>,
    /// The number of another object.
    pub target: Option<u32>,
    /// Somebody subscribed.
    pub active: Option<u8>,
    /// Nobody waits for an answer.
    pub no_reply: Option<u8>,
    /// Who subscribed.
    pub subscribers: Option<&'a [u8]>,
    /// The name of the user who calls.
    pub user: Option<&'a [u8]>,
    /// The name of that user's group.
    pub group: Option<&'a [u8]>,
}

const STATUS: u8 = 1;
const OBJECT_PATH: u8 = 2;
const OBJECT_ID: u8 = 3;
const METHOD: u8 = 4;
const OBJECT_TYPE: u8 = 5;
const SIGNATURE: u8 = 6;
const DATA: u8 = 7;
const TARGET: u8 = 8;
const ACTIVE: u8 = 9;
const NO_REPLY: u8 = 10;
const SUBSCRIBERS: u8 = 11;
const USER: u8 = 12;
const GROUP: u8 = 13;

impl<'a> Message<'a> {
    /// Reads the attributes that stand in the outermost one. Unknown ones are skipped.
    ///
    /// # Errors
    /// The first thing that is wrong with them. What DATA, SIGNATURE and SUBSCRIBERS hold is not looked at.
    pub fn parse(payload: &'a [u8]) -> Result<Message<'a>, Malformed> {
        let mut message = Message::default();
        for attr in Attrs::new(payload) {
            let attr = attr?;
            match attr.id {
                STATUS => message.status = Some(attr.u32()?),
                OBJECT_PATH => message.path = Some(attr.string()?),
                OBJECT_ID => message.object = Some(attr.u32()?),
                METHOD => message.method = Some(attr.string()?),
                OBJECT_TYPE => message.object_type = Some(attr.u32()?),
                SIGNATURE => message.signature = Some(attr.payload),
                DATA => message.data = Some(attr.payload),
                TARGET => message.target = Some(attr.u32()?),
                ACTIVE => message.active = Some(attr.u8()?),
                NO_REPLY => message.no_reply = Some(attr.u8()?),
                SUBSCRIBERS => message.subscribers = Some(attr.payload),
                USER => message.user = Some(attr.string()?),
                GROUP => message.group = Some(attr.string()?),
                _ => {}
            }
        }
        Ok(message)
    }

    /// Writes the message, in the order of the numbers, but for who calls, which ubusd puts before the arguments.
    ///
    /// # Errors
    /// [`Malformed::TooLong`]: ubusd would hang up.
    pub fn frame(&self, header: Header) -> Result<Vec<u8>, Malformed> {
        let mut writer = Writer::default();
        let root = writer.begin(0, false);
        let number = |writer: &mut Writer, id, number: Option<u32>| {
            if let Some(number) = number {
                writer.attr(id, &number.to_be_bytes());
            }
        };
        let octet = |writer: &mut Writer, id, octet: Option<u8>| {
            if let Some(octet) = octet {
                writer.attr(id, &[octet]);
            }
        };
        let octets = |writer: &mut Writer, id, octets: Option<&[u8]>, end: &[u8]| {
            if let Some(octets) = octets {
                let open = writer.begin(id, false);
                writer.put(octets);
                writer.put(end);
                writer.end(open);
            }
        };
        number(&mut writer, STATUS, self.status);
        octets(&mut writer, OBJECT_PATH, self.path, &[0]);
        number(&mut writer, OBJECT_ID, self.object);
        octets(&mut writer, METHOD, self.method, &[0]);
        number(&mut writer, OBJECT_TYPE, self.object_type);
        octets(&mut writer, SIGNATURE, self.signature, &[]);
        number(&mut writer, TARGET, self.target);
        octet(&mut writer, ACTIVE, self.active);
        octet(&mut writer, NO_REPLY, self.no_reply);
        octets(&mut writer, SUBSCRIBERS, self.subscribers, &[]);
        octets(&mut writer, USER, self.user, &[0]);
        octets(&mut writer, GROUP, self.group, &[0]);
        octets(&mut writer, DATA, self.data, &[]);
        writer.end(root);
        let body = writer.finish()?;
        let mut frame = Vec::with_capacity(MESSAGE_HEADER + body.len());
        frame.extend_from_slice(&[0, header.kind.0]);
        frame.extend_from_slice(&header.seq.to_be_bytes());
        frame.extend_from_slice(&header.peer.to_be_bytes());
        frame.extend_from_slice(&body);
        Ok(frame)
    }
}

/// A message as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its header.
    pub header: Header,
    /// The attributes in its outermost one.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads the attributes.
    ///
    /// # Errors
    /// Those of [`Message::parse`].
    pub fn message(&self) -> Result<Message<'a>, Malformed> {
        Message::parse(self.payload)
    }
}

/// Cuts a stream into messages. Holds one message and what was pushed after it at most.
#[derive(Debug, Default)]
pub struct Frames {
    octets: Vec<u8>,
    /// Octets of messages that were given out.
    done: usize,
}

/// A buffer longer than this is not kept once it is empty.
const KEPT: usize = 16 << 10;

impl Frames {
    /// Takes what came. To be called when [`Frames::next`] has nothing more.
    pub fn push(&mut self, octets: &[u8]) {
        self.octets.drain(..self.done);
        self.done = 0;
        if self.octets.is_empty() && self.octets.capacity() > KEPT {
            self.octets = Vec::new();
        }
        self.octets.extend_from_slice(octets);
    }

    /// The next message, if it is whole.
    ///
    /// # Errors
    /// [`Malformed::Version`], [`Malformed::Length`], [`Malformed::TooLong`]: where the next message begins is unknown.
    #[allow(clippy::should_implement_trait, reason = "what it gives borrows from it")]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, Malformed> {
        let Some(rest) = self.octets.get(self.done..) else { return Ok(None) };
        let Some((head, body)) = rest.split_first_chunk::<MESSAGE_HEADER>() else { return Ok(None) };
        let [version, kind, seq @ .., p0, p1, p2, p3] = *head;
        if version != 0 {
            return Err(Malformed::Version(version));
        }
        let Some((length, _)) = body.split_first_chunk() else { return Ok(None) };
        let length = (u32::from_be_bytes(*length) & 0x00ff_ffff) as usize;
        if length < HEADER {
            return Err(Malformed::Length);
        }
        if length > MAX_MESSAGE + ROOM {
            return Err(Malformed::TooLong(length));
        }
        let Some(payload) = body.get(HEADER..length) else { return Ok(None) };
        self.done += MESSAGE_HEADER + length;
        let header = Header::new(MessageType(kind), u16::from_be_bytes(seq), u32::from_be_bytes([p0, p1, p2, p3]));
        Ok(Some(Frame { header, payload }))
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
