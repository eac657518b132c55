//! What comes over a link: is it an answer, to what, and is it genuine?

use super::super::{Answer, LinkId, Output, Received, ServerId};
use super::links::Link;
use super::peer::Peer;
use super::{Engine, conversations};
use crate::wire::radius::{
    AttributeType, Builder, Code, MessageAuthenticator, Packet, error_cause, verify_message_authenticator,
    verify_request_authenticator, verify_response_authenticator,
};
use std::sync::Arc;
use std::time::Instant;

/// What is said of a server that does not send it.
pub const UNSIGNED: &str = "its answers without Message-Authenticator are not taken, since they can be forged (Blast-RADIUS): \
                            update it, or have it send one always";
/// What is said of a server whose answers do not verify.
const FORGED: &str = "its answers do not verify: give it the same secret as here";
/// What is said of a server that does not take our requests.
const REFUSED: &str = "it does not take such requests (Protocol-Error)";
/// Answers of ours that wait for the shell, at the most: a server that asks faster gets none.
const MOST_OUTPUTS: usize = 4096;

/// Original-Packet-Code (RFC 7930, 5): Extended-Attribute-1, Extended-Type 4, an integer.
const ORIGINAL_PACKET_CODE: u8 = 4;

/// Why a packet is not taken.
#[derive(Debug, Clone, Copy)]
enum Refused {
    /// Nobody waits for it.
    Late,
    /// It is not what it has to be; over TLS that is the end of the connection (RFC 6614, 2.6.4).
    Malformed(&'static str),
    /// It is not from who has the secret; over TLS likewise.
    Forged(&'static str),
    /// It is from who has the secret, or a forgery.
    Unsigned,
}

impl Engine {
    /// Takes a packet that came over a link. After [`Received::Broken`] the engine knows the link no more, and what was on it goes another
    /// way; to say [`Engine::closed`] as well does no harm.
    pub fn receive<'a>(&mut self, link: LinkId, packet: &'a [u8], now: Instant) -> Received<'a> {
        let Some(server) = self.link(link).map(|link| link.server) else { return Received::Nothing };
        let Some(tls) = self.peer(server).map(Peer::is_tls) else { return Received::Nothing };
        match self.take(link, server, tls, packet, now) {
            Ok(received) => received,
            Err(refused) => {
                let Some(peer) = self.peer_mut(server) else { return Received::Nothing };
                let dropped = &mut peer.dropped;
                let (counter, trouble, broken) = match refused {
                    Refused::Late => (&mut dropped.late, None, None),
                    Refused::Malformed(why) => (&mut dropped.malformed, None, Some(why)),
                    Refused::Forged(why) => (&mut dropped.forged, Some(FORGED), Some(why)),
                    Refused::Unsigned => (&mut dropped.unsigned, Some(UNSIGNED), None),
                };
                *counter = counter.saturating_add(1);
                if let Some(trouble) = trouble.filter(|trouble| peer.trouble.as_deref() != Some(trouble)) {
                    peer.trouble = Some(trouble.into());
                }
                match broken.filter(|_| tls) {
                    Some(why) => {
                        self.lose(link, why.into(), now);
                        Received::Broken(why)
                    }
                    None => Received::Nothing,
                }
            }
        }
    }

    fn take<'a>(
        &mut self,
        link: LinkId,
        server: ServerId,
        tls: bool,
        octets: &'a [u8],
        now: Instant,
    ) -> Result<Received<'a>, Refused> {
        let packet = Packet::parse(octets).map_err(|_| Refused::Malformed("it sent what is no RADIUS packet"))?;
        match packet.code() {
            Code::ACCESS_ACCEPT
            | Code::ACCESS_REJECT
            | Code::ACCESS_CHALLENGE
            | Code::ACCOUNTING_RESPONSE
            | Code::PROTOCOL_ERROR => match packet.identifier() {
                0 => self.status_answered(link, server, &packet, now),
                _ => self.answered(link, server, tls, packet, now),
            },
            Code::DISCONNECT_REQUEST | Code::COA_REQUEST if tls => {
                let peer = self.peer(server).ok_or(Refused::Late)?;
                let signed = verify_message_authenticator(&packet, &peer.secret, None);
                if !verify_request_authenticator(&packet, &peer.secret) || signed == MessageAuthenticator::Invalid {
                    return Err(Refused::Forged("it sent a request that does not verify"));
                }
                self.hear(link, now);
                Ok(Received::Request(server, packet))
            }
            // We never ask for these: nobody waits for them.
            code if code.is_reply() => Err(Refused::Late),
            _ if tls => {
                self.hear(link, now);
                self.unwanted(link, server, &packet);
                Ok(Received::Nothing)
            }
            _ => Err(Refused::Malformed("it sent a request")),
        }
    }

    /// The answer to a request, or what looks like one.
    fn answered<'a>(
        &mut self,
        link: LinkId,
        server: ServerId,
        tls: bool,
        packet: Packet<'a>,
        now: Instant,
    ) -> Result<Received<'a>, Refused> {
        let identifier = packet.identifier();
        let Some(slot) = self.link(link).and_then(|link| link.slot(identifier)) else {
            if let Some(link) = self.link_mut(link) {
                link.late(identifier);
            }
            return Err(Refused::Late);
        };
        let request = self.requests.get(slot).ok_or(Refused::Late)?;
        let peer = self.peer(server).ok_or(Refused::Late)?;
        let code = packet.code();
        let fits = match request.code {
            Code::ACCOUNTING_REQUEST => code == Code::ACCOUNTING_RESPONSE,
            _ => matches!(code, Code::ACCESS_ACCEPT | Code::ACCESS_REJECT | Code::ACCESS_CHALLENGE),
        };
        if !verify_response_authenticator(&packet, &peer.secret, &request.authenticator) {
            return Err(Refused::Forged("it sent an answer that does not verify"));
        }
        match verify_message_authenticator(&packet, &peer.secret, Some(&request.authenticator)) {
            MessageAuthenticator::Invalid => {
                return Err(Refused::Forged("it sent an answer whose Message-Authenticator does not verify"));
            }
            // RFC 3579, 3.2. Without EAP it is what keeps answers from being forged (CVE-2024-3596), unless TLS does.
            MessageAuthenticator::Absent if request.code == Code::ACCESS_REQUEST && (request.eap || !tls) => {
                return Err(Refused::Unsigned);
            }
            _ => {}
        }
        if !fits && code != Code::PROTOCOL_ERROR {
            return Err(Refused::Malformed("it sent an answer of the wrong kind"));
        }
        let (ticket, authenticator, group) = (request.ticket, request.authenticator, request.group);
        let round_trip = now.saturating_duration_since(request.sent).as_micros();
        let round_trip = (!request.resent).then(|| u32::try_from(round_trip).unwrap_or(u32::MAX));
        self.hear(link, now);
        if let Some(link) = self.link_mut(link) {
            link.free(identifier);
        }
        if let Some(request) = self.requests.get_mut(slot) {
            request.way = None;
        }
        let mut changed = None;
        if let Some(peer) = self.peer_mut(server) {
            changed = peer.answers(now);
            peer.round_trip = round_trip.or(peer.round_trip);
        }
        self.changed(server, changed);
        if code == Code::PROTOCOL_ERROR {
            if let Some(request) = self.requests.get_mut(slot) {
                request.again = true;
            }
            if let Some(peer) = self.peer_mut(server) {
                peer.trouble = Some(REFUSED.into());
            }
            self.shift(slot, now);
            return Ok(Received::Nothing);
        }
        if code == Code::ACCESS_CHALLENGE
            && let (Some(state), Some(marker)) = (packet.find(AttributeType::STATE), self.marker)
        {
            self.conversations.put(conversations::key(&marker, group, state), server, now);
        }
        self.detach(slot);
        self.requests.remove(slot);
        if self.peer(server).is_some_and(|peer| !peer.waiting.is_empty()) {
            self.flush(server, now);
        }
        Ok(Received::Answer(Answer { ticket, packet, server, authenticator }))
    }

    /// The answer to a Status-Server: whatever the code, it is there (RFC 5997, 4.2).
    fn status_answered<'a>(
        &mut self,
        link: LinkId,
        server: ServerId,
        packet: &Packet<'_>,
        now: Instant,
    ) -> Result<Received<'a>, Refused> {
        let probe = self.link(link).and_then(|link| link.probe).ok_or(Refused::Late)?;
        let peer = self.peer(server).ok_or(Refused::Late)?;
        let genuine = verify_response_authenticator(packet, &peer.secret, &probe.authenticator)
            && verify_message_authenticator(packet, &peer.secret, Some(&probe.authenticator))
                != MessageAuthenticator::Invalid;
        if !genuine {
            let mut late = self.link(link).into_iter().flat_map(Link::late_probes);
            if late.any(|authenticator| verify_response_authenticator(packet, &peer.secret, authenticator)) {
                return Err(Refused::Late);
            }
            return Err(Refused::Forged("its answer to Status-Server does not verify"));
        }
        let round_trip = u32::try_from(now.saturating_duration_since(probe.sent).as_micros()).unwrap_or(u32::MAX);
        self.hear(link, now);
        if let Some(link) = self.link_mut(link) {
            link.probe = None;
        }
        let Some(peer) = self.peer_mut(server) else { return Ok(Received::Nothing) };
        let changed = peer.answers_status(now);
        peer.round_trip = Some(round_trip);
        let tested = peer.test.take().is_some();
        self.changed(server, changed);
        if tested {
            self.outputs.push_back(Output::Probed(server, Ok(round_trip)));
        }
        Ok(Received::Nothing)
    }

    fn hear(&mut self, link: LinkId, now: Instant) {
        if let Some(link) = self.link_mut(link) {
            link.heard = now;
        }
    }

    /// Says that we take no such request, so that its sender need not wait (draft-ietf-radext-radiusdtls-bis, RFC 7930).
    fn unwanted(&mut self, link: LinkId, server: ServerId, request: &Packet<'_>) {
        if self.outputs.len() >= MOST_OUTPUTS {
            return;
        }
        let mut buffer = self.pool.pop().unwrap_or_default();
        let Some(secret) = self.peer(server).map(|peer| Arc::clone(&peer.secret)) else { return };
        let mut builder = Builder::reply(Code::PROTOCOL_ERROR, request, &secret, &mut buffer);
        let [a, b, c, d] = u32::from(request.code().0).to_be_bytes();
        // None can fail but for lack of room, with a great many Proxy-States; it is understood without as well.
        let _ = builder.push_u32(AttributeType::ERROR_CAUSE, error_cause::UNSUPPORTED_EXTENSION);
        let _ = builder.push_extended(AttributeType::EXTENDED_1, ORIGINAL_PACKET_CODE, &[a, b, c, d]);
        let _ = builder.copy_proxy_states(request);
        builder.finish();
        self.outputs.push_back(Output::Send(link, buffer));
    }
}
