//! Sessions at other boxes: their NASes are asked to end them by Disconnect-Request (RFC 5176).
//!
//! A request carries what hostapd's DAS takes and nothing else, since it refuses all other attributes (NAK 401):
//! Calling-Station-Id, Acct-Session-Id, NAS-Identifier, Event-Timestamp, Message-Authenticator. Sent again it is the
//! same to the octet, with its identifier and its time, so that a NAS that has acted on it answers from memory.

use super::grants::Credential;
use super::sessions::{Session, SessionKey};
use super::{Core, Now};
use crate::config::{Client, MessageAuthenticator as Rule, Placement};
use crate::decision::event::{Event, Method, Outcome};
use crate::decision::reason::{Disconnect, Reason};
use crate::decision::{Evidence, Identified, Proof, Request, View, decide};
use crate::mac::MacAddr;
use crate::secret::RadiusSecret;
use crate::service::revocation::Why;
use crate::sorted::SortedSet;
use crate::time::UnixTime;
use crate::wire::radius::{
    AttributeType, Authenticator, BuildError, Builder, Code, MessageAuthenticator, Packet, error_cause,
    verify_message_authenticator, verify_response_authenticator,
};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many requests can be under way. When there are more, the next look at the sessions asks again.
pub const IN_FLIGHT: usize = 256;
/// How long an answer is waited for: after the first request, the second, the third.
const WAITS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// How often the sessions are looked at for devices that may not be there any more.
const LOOK: Duration = Duration::from_secs(5);
/// A NAS that does not do as it is asked is asked about the same session again after this time.
const AGAIN: Duration = Duration::from_secs(600);
/// How many sessions are remembered for that.
const REMEMBERED: usize = 1024;
/// Before this moment the clock has not been set (routers start in 1970), and a time would be worse than none: hostapd
/// drops a request whose Event-Timestamp is more than 300 s from its own clock.
const CLOCK_IS_SET: UnixTime = UnixTime(1_600_000_000);

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// To the port for dynamic authorization of a NAS.
    Udp(SocketAddr),
    /// Over the connection that this client has made (RADIUS/TLS).
    Client(Arc<str>),
}

/// What came of the wish to have a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Its NAS is asked.
    Asked,
    /// Its NAS takes no such requests, as far as is known.
    Deaf,
    /// Too much is under way.
    Busy,
    /// There is no such session, or it is at this box.
    Gone,
}

/// The requests under way.
#[derive(Debug, Default)]
pub struct Disconnects {
    asked: Vec<Asked>,
    /// When a NAS was last asked about a session, for those that are still there.
    lately: HashMap<SessionKey, Instant>,
    /// Clients that cannot be asked, of which this was said.
    deaf: SortedSet<Arc<str>>,
    looked: Option<Instant>,
    identifier: u8,
}

/// A request.
#[derive(Debug)]
struct Asked {
    key: SessionKey,
    /// The device's name, when it has one.
    device: Option<Arc<str>>,
    why: Arc<str>,
    nas: Arc<str>,
    nas_identifier: Box<[u8]>,
    ssid: Arc<[u8]>,
    to: To,
    secret: RadiusSecret,
    /// Answers without Message-Authenticator are not believed.
    strict: bool,
    /// Empty until it is sent for the first time.
    packet: Vec<u8>,
    identifier: u8,
    started: Instant,
    tries: usize,
    next: Instant,
    /// It is on its way over a connection, which loses nothing: it is not sent again (RFC 5080, 2.2.1; RFC 6614, 2.2).
    delivered: bool,
}

impl Asked {
    /// Writes the packet (RFC 5176, 2.3 and 3).
    fn write(&mut self, now: Now) -> Result<(), BuildError> {
        let mut packet = Vec::with_capacity(160);
        let mut builder = Builder::disconnect_request(self.identifier, &self.secret, &mut packet);
        builder.push(AttributeType::CALLING_STATION_ID, self.key.mac.to_string().replace(':', "-").as_bytes())?;
        builder.push(AttributeType::ACCT_SESSION_ID, &self.key.id)?;
        if !self.nas_identifier.is_empty() {
            builder.push(AttributeType::NAS_IDENTIFIER, &self.nas_identifier)?;
        }
        if let Some(seconds) = u32::try_from(now.wall.0).ok().filter(|_| now.wall >= CLOCK_IS_SET) {
            builder.push_u32(AttributeType::EVENT_TIMESTAMP, seconds)?;
        }
        builder.finish();
        (self.packet, self.started) = (packet, now.mono);
        Ok(())
    }

    fn authenticator(&self) -> Option<&Authenticator> {
        self.packet.get(4..)?.first_chunk()
    }

    /// What a datagram from the NAS says to this; nothing when it is no answer to it.
    fn answer(&self, packet: &Packet<'_>) -> Option<Disconnect> {
        let authenticator = self.authenticator()?;
        if !verify_response_authenticator(packet, &self.secret, authenticator) {
            return None;
        }
        match verify_message_authenticator(packet, &self.secret, Some(authenticator)) {
            MessageAuthenticator::Valid => {}
            MessageAuthenticator::Absent if !self.strict => {}
            MessageAuthenticator::Absent | MessageAuthenticator::Invalid => return None,
        }
        match (packet.code(), packet.find_u32(AttributeType::ERROR_CAUSE).unwrap_or(0)) {
            (Code::DISCONNECT_ACK, _) => Some(Disconnect::Done),
            (Code::DISCONNECT_NAK, error_cause::SESSION_CONTEXT_NOT_FOUND) => Some(Disconnect::Gone),
            (Code::DISCONNECT_NAK, cause) => Some(Disconnect::Refused(cause)),
            _ => None,
        }
    }
}

impl Disconnects {
    /// How many requests are under way.
    pub fn len(&self) -> usize {
        self.asked.len()
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    /// Another configuration is in force: what was said of clients may be mended, or not.
    pub(super) fn reconfigured(&mut self) {
        self.deaf.clear();
    }

    /// An identifier that no other request to this address has.
    fn free_identifier(&mut self, to: &To) -> u8 {
        for _ in 0..=u8::MAX {
            self.identifier = self.identifier.wrapping_add(1);
            let (id, taken) = (self.identifier, |asked: &Asked| !asked.packet.is_empty() && asked.to == *to);
            // On connections that one is for Status-Server.
            let free = id != 0 || matches!(to, To::Udp(_));
            if free && !self.asked.iter().any(|asked| taken(asked) && asked.identifier == id) {
                break;
            }
        }
        self.identifier
    }

    fn remember(&mut self, key: SessionKey, now: Instant) {
        if self.lately.len() >= REMEMBERED {
            self.lately.retain(|_, at| now.saturating_duration_since(*at) < AGAIN);
        }
        if self.lately.len() < REMEMBERED {
            self.lately.insert(key, now);
        }
    }
}

impl Core {
    /// Has the sessions of a station at other boxes ended.
    pub(super) fn disconnect_all(&mut self, mac: MacAddr, device: &Arc<str>, why: Why) {
        let of_it: Vec<SessionKey> = self.sessions.of(mac).map(|(key, _)| key.clone()).collect();
        let device = (why != Why::NoPairing).then(|| device.clone());
        for key in of_it {
            self.disconnect(&key, device.clone(), why.to_string().into());
        }
    }

    /// Has a session ended, if it is at another box.
    pub(super) fn disconnect(&mut self, key: &SessionKey, device: Option<Arc<str>>, why: Arc<str>) -> Told {
        let Some(session) = self.sessions.of(key.mac).find(|(known, _)| *known == key).map(|(_, session)| session)
        else {
            return Told::Gone;
        };
        let Some(client) = self.config.clients.iter().find(|client| client.name == key.client) else {
            return Told::Deaf;
        };
        if self.is_here(session) {
            return Told::Gone;
        }
        if self.disconnects.asked.iter().any(|asked| asked.key == *key) {
            return Told::Asked;
        }
        let to = match client.disconnect_port {
            _ if client.radsec.is_some() => To::Client(client.name.clone()),
            Some(port) => To::Udp(SocketAddr::new(session.from, port)),
            None => {
                let client = client.clone();
                self.say_deaf(&client, key.mac, device.as_deref());
                return Told::Deaf;
            }
        };
        if self.disconnects.asked.len() >= IN_FLIGHT {
            return Told::Busy;
        }
        let now = (self.clock)();
        let asked = Asked {
            key: key.clone(),
            device,
            why,
            nas: session.nas.clone(),
            nas_identifier: session.nas_identifier.clone(),
            ssid: session.ssid.clone(),
            to,
            secret: client.secret.clone(),
            strict: client.message_authenticator == Rule::Required,
            packet: Vec::new(),
            identifier: 0,
            started: now,
            tries: 0,
            next: now,
            delivered: false,
        };
        self.disconnects.asked.push(asked);
        self.disconnects.remember(key.clone(), now);
        Told::Asked
    }

    /// True when a session is at a BSS of this box, whose hostapd is told by other means.
    pub(super) fn is_here(&self, session: &Session) -> bool {
        session.bssid.is_some() && self.stations.bsses().any(|(_, bss)| bss.bssid == session.bssid)
    }

    fn say_deaf(&mut self, client: &Client, mac: MacAddr, device: Option<&str>) {
        if self.disconnects.deaf.insert(client.name.clone()) {
            crate::log::warn!(
                "{} ({mac}) is at client '{}', which cannot be told to take it off the air: set radius_das_port and \
                 radius_das_client in its hostapd.conf, and option disconnect_port here",
                device.unwrap_or("a station"),
                client.name
            );
        }
    }

    /// Looks, every few seconds, for sessions at other boxes that ought not to be: of devices that may not be there now,
    /// or not there. hostapd may have let one in from what it remembers of the last 30 s, and an order may be lost.
    pub(super) fn tick_disconnects(&mut self, now: Now) {
        let due = self.disconnects.looked.is_none_or(|at| now.mono.saturating_duration_since(at) >= LOOK);
        if !due {
            return;
        }
        self.disconnects.looked = Some(now.mono);
        let lately = |key| {
            let asked = self.disconnects.lately.get(key);
            asked.is_some_and(|at| now.mono.saturating_duration_since(*at) < AGAIN)
        };
        let wrong: Vec<(SessionKey, Arc<str>)> = self
            .sessions
            .iter()
            .filter(|(key, session)| !self.is_here(session) && !lately(key))
            .filter_map(|(key, session)| Some((key.clone(), self.wrong(key, session, now)?)))
            .take(IN_FLIGHT)
            .collect();
        for (key, why) in wrong {
            let session = self.sessions.iter().find(|(known, _)| **known == key);
            let device = session.and_then(|(_, session)| session.device).and_then(|id| self.registry.get(id));
            let name = device.map(|device| device.name.clone());
            self.disconnect(&key, name, why);
        }
    }

    /// Why a session ought not to be, if so: the same question that is asked when the device comes.
    fn wrong(&self, key: &SessionKey, session: &Session, now: Now) -> Option<Arc<str>> {
        let id = session.device?;
        let ssid = self.config.ssid(&session.ssid)?;
        let device = self.registry.get(id);
        let granted = session.bssid.and_then(|bssid| self.grants.get((key.mac, bssid)));
        if let Some(device) = device
            && granted.is_some_and(|grant| grant.has_older_credential_of(device))
        {
            return Some(Why::NewKey.to_string().into());
        }
        let by_eap = granted.map_or(!ssid.security.has_keys(), |grant| grant.credential == Credential::Eap);
        let evidence = match device {
            _ if by_eap => Evidence::Eap(Identified::Device(id)),
            Some(device) if device.uses_onboarding_key() => Evidence::Handshake(Proof::Onboarding),
            _ => Evidence::Handshake(Proof::Device(id)),
        };
        let (config, registry) = (&*self.config, &self.registry);
        let (zone, clock_set) = (&self.zone, self.time.is_set());
        let view = View { config, registry, pairing: None, elsewhere: false, in_use: &|_, _| 0, zone, clock_set };
        let request = Request::new(key.mac, &session.ssid, session.bssid, evidence);
        let vouched = granted.map_or(&session.vouched, |grant| &grant.vouched).as_ref();
        let realm = vouched.and_then(|vouched| super::proxy::realm(config, &vouched.realm));
        let placed = realm.is_some_and(|realm| realm.placement == Placement::Server);
        match decide(&request, &view, now.wall) {
            // Where the server chooses, it has chosen for as long as the session lasts.
            Ok(grant) if grant.vlan != session.vlan && !placed => Some(Why::NewProfile.to_string().into()),
            Ok(_) => None,
            // The configuration's fault is no reason to take anybody off the air.
            Err(refusal) if matches!(refusal.reason, Reason::ProfileMissing { .. } | Reason::NoOwnKey) => None,
            Err(refusal) => Some(refusal.reason.to_string().into()),
        }
    }

    /// Sends what is due, and gives up what was sent three times, or once over a connection. `send` says whether the network
    /// took it. Returns when to be called again at the latest.
    pub fn send_disconnects(&mut self, now: Now, mut send: impl FnMut(&To, &[u8]) -> bool) -> Option<Instant> {
        let mut at = 0;
        while let Some((next, tries, to)) = self.disconnects.asked.get(at).map(|a| (a.next, a.tries, a.to.clone())) {
            if next > now.mono {
                at += 1;
                continue;
            }
            let Some(wait) = WAITS.get(tries) else {
                let asked = self.disconnects.asked.swap_remove(at);
                self.disconnected(&asked, Disconnect::Silent, now);
                continue;
            };
            let identifier = if tries == 0 { Some(self.disconnects.free_identifier(&to)) } else { None };
            let Some(asked) = self.disconnects.asked.get_mut(at) else { break };
            if let Some(identifier) = identifier {
                asked.identifier = identifier;
                if let Err(why) = asked.write(now) {
                    crate::log::warn!("{} cannot be asked to disconnect {}: {why}", asked.nas, asked.key.mac);
                    self.disconnects.asked.swap_remove(at);
                    continue;
                }
            }
            if !asked.delivered {
                asked.delivered = send(&to, &asked.packet) && matches!(to, To::Client(_));
            }
            asked.tries += 1;
            asked.next = now.mono + *wait;
            at += 1;
        }
        self.disconnects.asked.iter().map(|asked| asked.next).min()
    }

    /// The connection of a client is gone, and its answers with it: what it was asked goes out again over its next one.
    pub fn disconnect_closed(&mut self, client: &str) {
        for asked in &mut self.disconnects.asked {
            if matches!(&asked.to, To::Client(name) if **name == *client) {
                asked.delivered = false;
            }
        }
    }

    /// Takes a datagram that came to where the requests go out, or a packet that came over a client's connection. What is no
    /// answer to one of them is dropped.
    pub fn receive_disconnect(&mut self, from: &To, datagram: &[u8], now: Now) {
        let from = match from {
            To::Udp(from) => To::Udp(SocketAddr::new(from.ip().to_canonical(), from.port())),
            To::Client(_) => from.clone(),
        };
        let Ok(packet) = Packet::parse(datagram) else { return };
        let mut asked = self.disconnects.asked.iter().enumerate();
        let answered = asked.find(|(_, asked)| asked.to == from && asked.identifier == packet.identifier());
        let Some((at, result)) = answered.and_then(|(at, asked)| Some((at, asked.answer(&packet)?))) else { return };
        let asked = self.disconnects.asked.swap_remove(at);
        if matches!(result, Disconnect::Done | Disconnect::Gone) {
            self.sessions.close(&asked.key);
            self.disconnects.lately.remove(&asked.key);
        }
        self.disconnected(&asked, result, now);
    }

    fn disconnected(&mut self, asked: &Asked, result: Disconnect, now: Now) {
        let ms = now.mono.saturating_duration_since(asked.started).as_millis();
        let (why, ms) = (asked.why.clone(), u32::try_from(ms).unwrap_or(u32::MAX));
        self.note_disconnected(&asked.key, result);
        self.record(Event {
            id: 0,
            seq: 0,
            at: now.wall,
            first_at: now.wall,
            count: 1,
            device: asked.device.clone(),
            mac: asked.key.mac,
            ssid: asked.ssid.clone(),
            nas: asked.nas.clone(),
            method: Method::Other,
            outcome: Outcome::Disconnect,
            reason: Reason::Disconnect { result, why, ms },
            vlan: None,
            profile: None,
            micros: 0,
        });
    }
}

#[cfg(test)]
mod tests;
