//! The server's side of EAP-PSK (RFC 4764, 4 and 6), states as types that are consumed by value.
//!
//! What is malformed, out of step or stale is discarded. A wrong MAC_P or a wrong tag ends the conversation at once, as
//! hostapd does it: the authenticator has already taken that response for the answer and passes no other one on, so
//! discarding would only let the device wait for its timeout. A NAI nobody has is met with the same work and the same
//! EAP-Failure as a wrong key: from outside they look alike.

use super::crypto::{BLOCK, LongTerm, Session};
use super::message::{About, Indication, Message1, Message2, Message4, Outcome};
use crate::eap::problem::Problem;
use crate::eap::{Context, Method, Progress, Proved};
use crate::secret::{EapKeys, EapPskKey};
use crate::wire::eap::Code;
use std::fmt::Write;
use std::sync::Arc;

/// How often a device may say CONT (RFC 4764, 4.2: extended authentication), of which there is nothing with us.
const MAX_CONTINUED: u8 = 4;

/// Characters of a NAI shown in the log.
const MAX_SHOWN: usize = 64;

/// One exchange.
pub struct Server {
    state: State,
    /// Identifier of the response that came last, and of the request that follows: the tags cover them.
    response: u8,
    request: u8,
}

enum State {
    WaitMessage2(WaitMessage2),
    Authenticated(Box<Authenticated>),
    WaitMessage4(Box<WaitMessage4>),
    Over,
}

/// Message 1 is out.
struct WaitMessage2 {
    rand_s: [u8; BLOCK],
    /// The name given in message 1; a reload may change it in between.
    id_s: Box<[u8]>,
}

/// The device has the key; the decision is due.
struct Authenticated {
    rand_s: [u8; BLOCK],
    rand_p: [u8; BLOCK],
    mac_s: [u8; BLOCK],
    session: Session,
}

/// Message 3 is out, and says whether it may in.
struct WaitMessage4 {
    rand_s: [u8; BLOCK],
    rand_p: [u8; BLOCK],
    session: Session,
    admitted: bool,
    /// N of the last message.
    n: u32,
    continued: u8,
}

impl Server {
    /// Before message 1.
    pub fn new() -> Server {
        Server { state: State::Over, response: 0, request: 0 }
    }

    fn to(&mut self, state: State, progress: Progress) -> Progress {
        self.state = state;
        progress
    }
}

impl WaitMessage2 {
    /// Message 2: who it is, and the proof.
    fn receive(self, data: &[u8], context: &mut Context<'_>) -> (State, Progress) {
        let Some(message) = Message2::parse(data) else {
            return (State::WaitMessage2(self), Progress::Discard("not message 2 of EAP-PSK"));
        };
        if *message.rand_s != self.rand_s {
            return (State::WaitMessage2(self), Progress::Discard("message 2 of EAP-PSK to another RAND_S"));
        }
        let known = context.credentials.eap_psk(message.id_p);
        let (device, key) = match known {
            Some((device, key)) => (Some(device), key),
            None => (None, EapPskKey::new([0; BLOCK])),
        };
        let keys = LongTerm::new(&key);
        let proved = keys.mac_p(message.id_p, &self.id_s, &self.rand_s, message.rand_p).is(message.mac_p);
        match (device, proved) {
            (Some(device), true) => {
                let authenticated = Authenticated {
                    rand_s: self.rand_s,
                    rand_p: *message.rand_p,
                    mac_s: keys.mac_s(&self.id_s, message.rand_p).octets(),
                    session: keys.session(message.rand_p),
                };
                (State::Authenticated(Box::new(authenticated)), Progress::Proved(Proved::Psk(device)))
            }
            (Some(_), false) => (State::Over, Progress::Failure(Problem::WrongKey { nai: shown(message.id_p) })),
            (None, _) => (State::Over, Progress::Failure(Problem::UnknownIdentity { nai: shown(message.id_p) })),
        }
    }
}

impl Authenticated {
    /// Message 3: our proof, and the result.
    fn decided(self, admitted: bool, request: u8) -> (State, Progress) {
        let about = About { code: Code::Request, identifier: request, rand_s: &self.rand_s };
        let outcome = if admitted { Outcome::Success } else { Outcome::Failure };
        let say = Indication { outcome, extension: None };
        let Some(data) = about.seal(&self.session, Some(&self.mac_s), 0, &say) else { return cannot_seal() };
        let Authenticated { rand_s, rand_p, session, .. } = self;
        let wait = WaitMessage4 { rand_s, rand_p, session, admitted, n: 0, continued: 0 };
        (State::WaitMessage4(Box::new(wait)), Progress::Request(data))
    }
}

impl WaitMessage4 {
    /// Message 4, or a later one: what the device says to the result.
    fn receive(mut self: Box<Self>, data: &[u8], response: u8, request: u8) -> (State, Progress) {
        let stays = |state, why| (State::WaitMessage4(state), Progress::Discard(why));
        let Some(message) = Message4::parse(data) else { return stays(self, "not message 4 of EAP-PSK") };
        if *message.rand_s != self.rand_s {
            return stays(self, "message 4 of EAP-PSK to another RAND_S");
        }
        if message.channel.n <= self.n {
            return stays(self, "message 4 of EAP-PSK whose N did not grow (sent before)");
        }
        let about = About { code: Code::Response, identifier: response, rand_s: &self.rand_s };
        let said = message.channel.open(&self.session, &about, data);
        // Whatever it says to a refusal: it stays one (RFC 4764, 6.1).
        if !self.admitted {
            return (State::Over, Progress::Failure(Problem::Refused));
        }
        match said {
            Err(why) => (State::Over, Progress::Failure(Problem::Protocol(why))),
            Ok(Indication { outcome: Outcome::Success, .. }) => {
                let mut session_id = vec![super::ENTRY.kind];
                session_id.extend(self.rand_p);
                session_id.extend(self.rand_s);
                (State::Over, Progress::Success(EapKeys::new(self.session.msk(), &session_id)))
            }
            Ok(Indication { outcome: Outcome::Failure, .. }) => (State::Over, Progress::Failure(Problem::RefusedUs)),
            Ok(Indication { outcome: Outcome::Continue, extension }) => {
                let n = message.channel.n.checked_add(1).filter(|_| self.continued < MAX_CONTINUED);
                let Some(n) = n else {
                    let why = "it does not come to an end with EAP-PSK (it says CONT again and again)";
                    return (State::Over, Progress::Failure(Problem::Protocol(why)));
                };
                // An extension we do not have is answered with its type and nothing in it, and the result said again.
                let extension = extension.map(|(kind, _)| (kind, Vec::new()));
                let say = Indication { outcome: Outcome::Success, extension };
                let about = About { code: Code::Request, identifier: request, rand_s: &self.rand_s };
                let Some(data) = about.seal(&self.session, None, n, &say) else { return cannot_seal() };
                self.n = n;
                self.continued += 1;
                (State::WaitMessage4(self), Progress::Request(data))
            }
        }
    }
}

/// Cannot happen: what we say has a fixed length.
fn cannot_seal() -> (State, Progress) {
    (State::Over, Progress::Failure(Problem::Protocol("a result that does not fit into EAP-PSK")))
}

impl Method for Server {
    fn identifiers(&mut self, response: u8, request: u8) {
        self.response = response;
        self.request = request;
    }

    fn begin(&mut self, context: &mut Context<'_>) -> Vec<u8> {
        let mut rand_s = [0; BLOCK];
        (context.random)(&mut rand_s);
        let data = Message1 { rand_s: &rand_s, id_s: context.server_id }.emit();
        self.state = State::WaitMessage2(WaitMessage2 { rand_s, id_s: context.server_id.into() });
        data
    }

    fn receive(&mut self, data: &[u8], context: &mut Context<'_>) -> Progress {
        let (state, progress) = match std::mem::replace(&mut self.state, State::Over) {
            State::WaitMessage2(wait) => wait.receive(data, context),
            State::WaitMessage4(wait) => wait.receive(data, self.response, self.request),
            state @ (State::Authenticated(_) | State::Over) => (state, Progress::Discard("no message is due")),
        };
        self.to(state, progress)
    }

    fn decided(&mut self, admitted: bool, _: &mut Context<'_>) -> Progress {
        let (state, progress) = match std::mem::replace(&mut self.state, State::Over) {
            State::Authenticated(authenticated) => authenticated.decided(admitted, self.request),
            state => (state, Progress::Discard("no decision is due")),
        };
        self.to(state, progress)
    }

    fn octets(&self) -> usize {
        size_of::<Server>()
            + match &self.state {
                State::WaitMessage2(wait) => wait.id_s.len(),
                State::Authenticated(_) => size_of::<Authenticated>(),
                State::WaitMessage4(_) => size_of::<WaitMessage4>(),
                State::Over => 0,
            }
    }

    fn last_sent(&self) -> &'static str {
        match &self.state {
            State::WaitMessage2(_) => "the proposal of EAP-PSK",
            State::Authenticated(_) => "its proof of the EAP-PSK key",
            State::WaitMessage4(_) => "our proof of the EAP-PSK key",
            State::Over => "the end of EAP-PSK",
        }
    }

    fn failed(&self) -> Option<Problem> {
        matches!(&self.state, State::WaitMessage4(wait) if !wait.admitted).then_some(Problem::Refused)
    }
}

/// A NAI for the log: printable ASCII as it is, everything else escaped, at most 64 characters.
fn shown(nai: &[u8]) -> Arc<str> {
    let mut text = String::new();
    for octet in nai {
        let before = text.len();
        // Writing to a String cannot fail.
        let _ = match octet {
            b' '..=b'~' => write!(text, "{}", char::from(*octet)),
            other => write!(text, "\\x{other:02x}"),
        };
        if text.len() > MAX_SHOWN {
            text.truncate(before.min(MAX_SHOWN - 3));
            text.push_str("...");
            break;
        }
    }
    text.into()
}
