//! The RADIUS server: authentication and accounting, datagram in and datagram out.
//!
//! ```text
//! receive ── drop (counted) ── nothing
//!    │
//!    ├── the answer ────────── Send
//!    ├── a long key search ─── Search ── resume ─┐
//!    ├── others to be asked ── nothing yet: see `proxied`
//!    └── a key to be bound ─── Commit ── decide again under the registry's lock, store, answer
//! ```

mod accounting;
mod answer;
mod ask;
mod auth;
mod connections;
pub mod duplicate;
mod eap;
mod fuzzing;
pub(super) mod limit;
mod origin;
mod proxied;

pub use accounting::receive as receive_accounting;
pub use auth::{Verdict, conclude_unproved, receive as receive_auth, resume, settle};
pub use connections::Connections;
pub use eap::conclude_abandoned;
#[doc(hidden)]
pub use fuzzing::fuzz;
pub use origin::{Origin, Via};
pub(super) use proxied::servers_found;
pub use proxied::{Errand, Returned, errand, receive_answer};

use super::eap::StateId;
use super::keyring::SsidKeys;
use super::{Core, Now};
use crate::config::{self, Client, Config};
use crate::decision::Proof;
use crate::mac::MacAddr;
use crate::wire::radius::{
    AttributeType, Code, MessageAuthenticator, Packet, SaltSequence, verify_message_authenticator,
};
use crate::wpa::Handshake;
use duplicate::{DuplicateCache, Known, RequestKey};
use limit::{Attempts, Bucket};
use std::sync::Arc;
use std::time::Instant;

/// What is to be done after a datagram.
#[derive(Debug)]
pub enum Next {
    /// Nothing: it was dropped, and counted; or somebody else is asked, and the answer comes by [`receive_answer`] or [`errand`].
    Nothing,
    /// The answer is in the buffer: send it where the datagram came from.
    Send,
    /// Search these keys, not in the event loop, and [`resume`] with the proof.
    Search(Exchange, Arc<SsidKeys>, Box<Handshake>),
    /// A key is to be bound: under the registry's lock call [`settle`], which decides again.
    Commit(Exchange),
}

/// A request that is being worked on.
#[derive(Debug)]
pub struct Exchange {
    /// Where it came from.
    pub from: Origin,
    datagram: Box<[u8]>,
    proof: Option<Proof>,
    started: Instant,
    accounting: bool,
    /// The EAP conversation it goes on with.
    eap: Option<StateId>,
    /// What came of asking somebody else.
    elsewhere: Option<Box<proxied::Elsewhere>>,
}

impl Exchange {
    fn key(&self) -> Option<RequestKey> {
        Packet::parse(&self.datagram).ok().map(|packet| request_key(self.from, &packet))
    }

    /// The work cannot be done now (too much of it): the NAS will ask again.
    pub fn abandon(self, core: &mut Core) {
        core.radius.stats.overload += 1;
        if let Some(key) = self.key() {
            core.radius.duplicates.forget(&key);
        }
    }
}

/// Counters since the start.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Access-Requests that were looked at.
    pub requests: u64,
    /// Access-Accepts.
    pub accepts: u64,
    /// Access-Rejects.
    pub rejects: u64,
    /// Access-Challenges.
    pub challenges: u64,
    /// Accounting-Requests.
    pub accounting: u64,
    /// Status-Servers.
    pub status_server: u64,
    /// Retransmissions.
    pub duplicates: u64,
    /// Dropped: from nobody in the configuration.
    pub unknown_client: u64,
    /// Dropped: authenticator or Message-Authenticator wrong, which means the secret is.
    pub bad_authenticator: u64,
    /// Dropped: no Message-Authenticator where one is required.
    pub missing_message_authenticator: u64,
    /// Dropped: no RADIUS packet, or one that has no business here.
    pub malformed: u64,
    /// Refused without a look: too many unknown devices, or attempts that came to nothing.
    pub rate_limited: u64,
    /// Dropped: more work than can be done.
    pub overload: u64,
}

/// The server's own state.
#[derive(Debug, Default)]
pub struct Server {
    /// Counters.
    pub stats: Stats,
    clients: Vec<ClientState>,
    duplicates: DuplicateCache,
    attempts: Attempts,
    salt: u16,
    /// Who is at the other end of TLS connections.
    pub connections: Connections,
}

/// What is kept of a client, in the order of the configuration.
#[derive(Debug)]
struct ClientState {
    settings: Arc<Client>,
    requests: u64,
    dropped: u64,
    strangers: Bucket,
    senseless: u64,
    /// It has sent Accounting-Requests: a missing one means something.
    accounts: bool,
    /// The last NAS-Identifier, and the words for this NAS: most clients have one only.
    nas: Option<(Box<[u8]>, Arc<str>)>,
}

impl Server {
    /// Follows the configuration. Clients that stay keep their counters.
    pub fn configure(&mut self, config: &Config, now: Instant) {
        let mut old = std::mem::take(&mut self.clients);
        self.clients = config
            .clients
            .iter()
            .map(|client| match old.iter().position(|state| state.settings.name == client.name) {
                Some(at) => ClientState { settings: Arc::new(client.clone()), ..old.swap_remove(at) },
                None => ClientState {
                    settings: Arc::new(client.clone()),
                    requests: 0,
                    dropped: 0,
                    strangers: Bucket::new(now),
                    senseless: 0,
                    accounts: false,
                    nas: None,
                },
            })
            .collect();
    }

    /// Requests and dropped packets of each client, in the order of the configuration.
    pub fn client_counters(&self) -> impl Iterator<Item = (u64, u64)> {
        self.clients.iter().map(|client| (client.requests, client.dropped))
    }

    fn client(&mut self, index: usize) -> Option<&mut ClientState> {
        self.clients.get_mut(index)
    }

    fn salts(&mut self) -> SaltSequence {
        // Salts are unique in a packet, and the rest of the key stream differs by the request's authenticator.
        self.salt = self.salt.wrapping_add(answer::SALTS_PER_PACKET);
        SaltSequence::new(self.salt)
    }
}

/// A datagram from a client we know, that is a RADIUS packet.
struct Incoming<'a> {
    from: Origin,
    packet: Packet<'a>,
    client: Arc<Client>,
    index: usize,
    started: Instant,
}

/// Finds the client and checks the packet's form. What fails is counted and dropped (RFC 2865, 3).
fn admit<'a>(core: &mut Core, from: Origin, datagram: &'a [u8], started: Instant) -> Option<Incoming<'a>> {
    let Some((index, client)) = find_client(core, from) else {
        core.radius.stats.unknown_client += 1;
        if core.radius.stats.unknown_client.is_power_of_two() {
            crate::log::warn!(
                "dropped a packet from {}, which is no client: add config client with option address '{}' ({} so far)",
                from.address.ip(),
                from.address.ip(),
                core.radius.stats.unknown_client
            );
        }
        return None;
    };
    match Packet::parse(datagram) {
        Ok(packet) => Some(Incoming { from, packet, client, index, started }),
        Err(why) => {
            core.radius.stats.malformed += 1;
            note_drop(core, index, &format!("malformed: {why}"));
            None
        }
    }
}

/// By the address over UDP, by the connection over TLS.
fn find_client(core: &Core, from: Origin) -> Option<(usize, Arc<Client>)> {
    let clients = &core.config.clients;
    let index = match from.via {
        Via::Udp(_) => {
            let found = core.config.client_for(from.address.ip())?;
            clients.iter().position(|client| std::ptr::eq(client, found))
        }
        Via::Tls(id) => {
            let name = core.radius.connections.client(id)?;
            clients.iter().position(|client| client.radsec.is_some() && client.name == *name)
        }
    }?;
    Some((index, core.radius.clients.get(index)?.settings.clone()))
}

/// Checks the Message-Authenticator against the client's rule.
fn check_message_authenticator(core: &mut Core, incoming: &Incoming<'_>) -> bool {
    let packet = &incoming.packet;
    // Within TLS nobody can change an answer on its way.
    let over_udp = incoming.client.radsec.is_none();
    let required = (over_udp && incoming.client.message_authenticator == config::MessageAuthenticator::Required)
        || packet.code() == Code::STATUS_SERVER
        || packet.find(AttributeType::EAP_MESSAGE).is_some();
    match verify_message_authenticator(packet, &incoming.client.secret, None) {
        MessageAuthenticator::Valid => true,
        MessageAuthenticator::Absent if !required => true,
        MessageAuthenticator::Absent => {
            core.radius.stats.missing_message_authenticator += 1;
            let why =
                "no Message-Authenticator: if this NAS cannot send it, set option message_authenticator 'optional'";
            note_drop(core, incoming.index, why);
            false
        }
        MessageAuthenticator::Invalid => {
            core.radius.stats.bad_authenticator += 1;
            note_drop(core, incoming.index, "wrong Message-Authenticator: is the secret the same on both sides?");
            false
        }
    }
}

/// Counts a dropped packet of a client, and says so when the count is a power of two.
fn note_drop(core: &mut Core, index: usize, why: &str) {
    if let Some(client) = core.radius.client(index) {
        client.dropped += 1;
        if client.dropped.is_power_of_two() {
            let (name, dropped) = (&client.settings.name, client.dropped);
            crate::log::warn!("dropped a packet of client '{name}': {why} ({dropped} dropped so far)");
        }
    }
}

/// Says of a request that cannot be understood, and was refused, what is wrong; when their count is a power of two.
fn note_senseless(core: &mut Core, index: usize, why: ask::AskError) {
    if let Some(client) = core.radius.client(index) {
        client.senseless += 1;
        if client.senseless.is_power_of_two() {
            let (name, count) = (&client.settings.name, client.senseless);
            crate::log::warn!("refused an Access-Request of client '{name}': {why} ({count} so far)");
        }
    }
}

/// What to do with a request that came before (RFC 5080, 2.2.2); nothing when it is new, which is noted.
fn repeated(core: &mut Core, incoming: &Incoming<'_>, now: Now, out: &mut Vec<u8>) -> Option<Next> {
    let key = request_key(incoming.from, &incoming.packet);
    let next = match core.radius.duplicates.begin(key, now.mono) {
        Known::New => return None,
        Known::InWork => Next::Nothing,
        Known::Answered(answer) => {
            out.clear();
            out.extend_from_slice(answer);
            Next::Send
        }
    };
    core.radius.stats.duplicates += 1;
    Some(next)
}

fn request_key(from: Origin, packet: &Packet<'_>) -> RequestKey {
    RequestKey { from, identifier: packet.identifier(), authenticator: *packet.authenticator() }
}

/// The NAS in words: the client's name, and the NAS-Identifier where that says more.
fn nas_name(core: &mut Core, index: usize, packet: &Packet<'_>) -> Arc<str> {
    let identifier = packet.find(AttributeType::NAS_IDENTIFIER).unwrap_or_default();
    let Some(client) = core.radius.client(index) else { return "".into() };
    if let Some((known, name)) = &client.nas
        && **known == *identifier
    {
        return name.clone();
    }
    let shown = String::from_utf8_lossy(identifier);
    let client_name = &client.settings.name;
    let name: Arc<str> = if shown.is_empty() || *shown == **client_name {
        client_name.clone()
    } else {
        format!("{client_name} ({shown})").into()
    };
    client.nas = Some((identifier.into(), name.clone()));
    name
}

/// True when an address is registered, so that its requests are not limited.
fn is_known(core: &Core, mac: MacAddr) -> bool {
    core.registry.knows(mac)
}

#[cfg(test)]
mod tests;
