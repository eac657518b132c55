//! The supplicant's side: for tests and the load generator, not for the daemon.

use super::crypto::{BLOCK, LongTerm, Session};
use super::message::{About, Channel, Message1, Message2, Message3, Message4, Step};
pub use super::message::{Indication, Outcome};
use crate::secret::{EapKeys, EapPskKey};
use crate::wire::eap::{self, Code, Packet, Type};

/// EAP type of EAP-PSK.
const KIND: u8 = super::ENTRY.kind;

/// What the supplicant does with a packet of the server.
#[derive(Debug)]
pub enum Answer {
    /// Send this EAP-Response.
    Respond(Vec<u8>),
    /// EAP-Success, after both have said DONE_SUCCESS in the protected channel.
    Success(EapKeys),
    /// EAP-Failure.
    Failure,
    /// Discard it.
    Ignore,
}

/// A supplicant with one key. Used again and again for conversations one after the other.
pub struct Peer {
    identity: Box<[u8]>,
    nai: Box<[u8]>,
    keys: LongTerm,
    state: State,
    /// The request that was answered last, and the answer (RFC 3748, 4.1: a repeated request gets it again).
    answered: Option<(Vec<u8>, Vec<u8>)>,
    /// Said once in the protected channel, in place of the right thing.
    pub say: Option<Indication>,
}

enum State {
    WaitMessage1,
    WaitMessage3 { rand_s: [u8; BLOCK], rand_p: [u8; BLOCK], id_s: Box<[u8]> },
    Answered { rand_s: [u8; BLOCK], rand_p: [u8; BLOCK], session: Session, n: u32, success: bool },
}

impl Peer {
    /// A supplicant whose identity outside of the method is its NAI as well.
    pub fn new(nai: &[u8], key: &EapPskKey) -> Peer {
        Peer {
            identity: nai.into(),
            nai: nai.into(),
            keys: LongTerm::new(key),
            state: State::WaitMessage1,
            answered: None,
            say: None,
        }
    }

    /// Says something else than its NAI outside of the method ("@realm").
    pub fn with_identity(self, identity: &[u8]) -> Peer {
        Peer { identity: identity.into(), ..self }
    }

    /// Begins anew: the EAP-Response/Identity.
    pub fn begin(&mut self, identifier: u8) -> Vec<u8> {
        self.state = State::WaitMessage1;
        self.answered = None;
        eap::response(identifier, 1, &self.identity)
    }

    /// Takes a packet of the server.
    pub fn receive(&mut self, packet: &[u8], random: &mut dyn FnMut(&mut [u8])) -> Answer {
        let Ok(packet) = Packet::parse(packet) else { return Answer::Ignore };
        match packet.code() {
            Code::Request => {}
            Code::Response => return Answer::Ignore,
            Code::Failure => return Answer::Failure,
            Code::Success => return self.success(),
        }
        if let Some((request, response)) = &self.answered
            && request == packet.octets()
        {
            return Answer::Respond(response.clone());
        }
        let id = packet.identifier();
        let response = match packet.kind() {
            Some(Type::IDENTITY) => Some(self.begin(id)),
            Some(Type::NOTIFICATION) => Some(eap::response(id, 2, &[])),
            Some(kind) if kind == Type::ietf(KIND) => {
                self.message(&packet, random).map(|data| eap::response(id, KIND, &data))
            }
            Some(_) if matches!(self.state, State::WaitMessage1) => Some(eap::response(id, 3, &[KIND])),
            _ => None,
        };
        let Some(response) = response else { return Answer::Ignore };
        self.answered = Some((packet.octets().to_vec(), response.clone()));
        Answer::Respond(response)
    }

    fn success(&self) -> Answer {
        match &self.state {
            State::Answered { rand_s, rand_p, session, success: true, .. } => {
                let session_id = [&[KIND], &rand_p[..], rand_s].concat();
                Answer::Success(EapKeys::new(session.msk(), &session_id))
            }
            _ => Answer::Ignore,
        }
    }

    fn message(&mut self, packet: &Packet<'_>, random: &mut dyn FnMut(&mut [u8])) -> Option<Vec<u8>> {
        let data = packet.data();
        match super::message::step(data)? {
            Step::First => {
                let message = Message1::parse(data)?;
                let State::WaitMessage1 = self.state else { return None };
                let mut rand_p = [0; BLOCK];
                random(&mut rand_p);
                let mac_p = self.keys.mac_p(&self.nai, message.id_s, message.rand_s, &rand_p).octets();
                let answer = Message2 { rand_s: message.rand_s, rand_p: &rand_p, mac_p: &mac_p, id_p: &self.nai };
                let answer = answer.emit();
                self.state = State::WaitMessage3 { rand_s: *message.rand_s, rand_p, id_s: message.id_s.into() };
                Some(answer)
            }
            Step::Second => None,
            Step::Third => {
                let message = Message3::parse(data)?;
                let State::WaitMessage3 { rand_s, rand_p, id_s } = &self.state else { return None };
                let (rand_s, rand_p) = (*rand_s, *rand_p);
                if *message.rand_s != rand_s || !self.keys.mac_s(id_s, &rand_p).is(message.mac_s) {
                    return None;
                }
                let session = self.keys.session(&rand_p);
                let said = open(&session, &message.channel, &rand_s, packet)?;
                self.answer(packet.identifier(), said, message.channel.n, rand_s, rand_p, session)
            }
            Step::Fourth => {
                let message = Message4::parse(data)?;
                let State::Answered { n, rand_s, session, .. } = &self.state else { return None };
                if message.rand_s != rand_s || message.channel.n <= *n {
                    return None;
                }
                let said = open(session, &message.channel, rand_s, packet)?;
                match std::mem::replace(&mut self.state, State::WaitMessage1) {
                    State::Answered { rand_s, rand_p, session, .. } => {
                        self.answer(packet.identifier(), said, message.channel.n, rand_s, rand_p, session)
                    }
                    State::WaitMessage1 | State::WaitMessage3 { .. } => None,
                }
            }
        }
    }

    /// The server has said how it ends: the answer, in a message 4.
    fn answer(
        &mut self,
        identifier: u8,
        said: Indication,
        n: u32,
        rand_s: [u8; BLOCK],
        rand_p: [u8; BLOCK],
        session: Session,
    ) -> Option<Vec<u8>> {
        let extension = said.extension.map(|(kind, _)| (kind, Vec::new()));
        let say = self.say.take().unwrap_or(Indication { outcome: said.outcome, extension });
        let n = n.checked_add(1)?;
        let about = About { code: Code::Response, identifier, rand_s: &rand_s };
        let data = about.seal(&session, None, n, &say)?;
        let success = said.outcome == Outcome::Success && say.outcome == Outcome::Success;
        self.state = State::Answered { rand_s, rand_p, session, n, success };
        Some(data)
    }
}

fn open(session: &Session, channel: &Channel<'_>, rand_s: &[u8; BLOCK], packet: &Packet<'_>) -> Option<Indication> {
    let about = About { code: packet.code(), identifier: packet.identifier(), rand_s };
    channel.open(session, &about, packet.data()).ok()
}
