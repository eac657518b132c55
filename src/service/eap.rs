//! The EAP conversations that are under way, each found by the State its NAS sends back (RFC 2865, 5.24).
//!
//! Whoever stands at the fence with a radio can begin conversations and leave them, so there are limits: in number, in
//! octets, in time. When there is no room, the client makes some that has more than half of the table, else all do: those
//! of unknown devices go first, the longest silent before the others. A client that is alone may use the whole of it.

use crate::config::{Config, EapMethod, TlsVersion};
use crate::decision::Refusal;
use crate::decision::reason::Reason;
use crate::eap::conversation::Conversation;
use crate::eap::problem::Problem;
use crate::eap::{Credentials, Proved, psk, tls};
use crate::mac::MacAddr;
use crate::registry::Registry;
use crate::registry::device::DeviceId;
use crate::secret::EapPskKey;
use crate::service::pki::Pki;
use crate::sorted::{SortedMap, SortedSet};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many conversations there can be: as many as hostapd has stations on two radios, and a few unknown ones.
pub const CONVERSATIONS: usize = 1024;
/// How many octets they can hold. One of EAP-PSK takes half a KiB, one of EAP-TLS about 16 KiB in the middle of its
/// handshake: that is 250 at a time, of 128 MB that a small router has.
pub const MEMORY: usize = 4 << 20;
/// A conversation of which nothing was heard for so long is over: hostapd gives a device 30 s for the whole of it.
pub const SILENCE: Duration = Duration::from_secs(30);
/// A device that begins anew after so long has not only been hasty: it did not like what it was sent.
const HASTE: Duration = Duration::from_secs(3);

/// The State of a conversation.
pub type StateId = [u8; 16];

/// Who converses: a State means something to the client it was given to, for this station at this BSS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Station {
    /// The client's name in the configuration.
    pub client: Arc<str>,
    /// The supplicant.
    pub mac: MacAddr,
    /// The BSSID.
    pub bssid: MacAddr,
}

/// How far a conversation is.
pub enum Phase {
    /// It has not proved anything yet.
    Going,
    /// It proved who it is, and what follows from that is to be stored before it is told. With which of the device's
    /// credentials, if it is registered: while the store is busy with somebody else they may be replaced.
    Deciding(Proved, Option<(DeviceId, u32)>),
    /// It was decided upon.
    Decided(Box<Decided>),
}

/// A decision that is not told yet, or only within the method.
pub struct Decided {
    /// What it rests upon.
    pub proved: Proved,
    /// Which of the device's credentials.
    pub serial: u32,
    /// Why it is let in, or not.
    pub outcome: Result<Reason, Refusal>,
}

/// A conversation with its circumstances.
pub struct Open {
    /// The conversation.
    pub conversation: Conversation,
    /// How far it is.
    pub phase: Phase,
    /// Who converses.
    pub station: Station,
    /// The network.
    pub ssid: Arc<[u8]>,
    /// The NAS in words.
    pub nas: Arc<str>,
    /// It is a registered device's, as far as that can be told: it has its address, or proved who it is.
    pub known: bool,
    /// When something was last heard of it.
    pub at: Instant,
}

impl Open {
    /// It cannot end well any more, and only the device has yet to hear or to acknowledge it.
    fn has_failed(&self) -> bool {
        let refused = matches!(&self.phase, Phase::Decided(decided) if decided.outcome.is_err());
        refused || !matches!(self.conversation.problem_when_abandoned(), Problem::Abandoned { .. })
    }
}

/// Counters since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Conversations that began.
    pub begun: u64,
    /// Access-Accepts.
    pub accepted: u64,
    /// Access-Rejects.
    pub rejected: u64,
    /// Devices that did not go on.
    pub abandoned: u64,
    /// Conversations that had to make room.
    pub evicted: u64,
}

struct Kept {
    open: Open,
    octets: usize,
}

/// What one client has of the table.
#[derive(Default)]
struct Share {
    /// Known devices last, then by age.
    by_age: SortedSet<(bool, Instant, StateId)>,
    octets: usize,
}

/// EAP: what is set up, and what is under way.
#[derive(Default)]
pub struct Eap {
    /// EAP-TLS, if it is set up.
    pub tls: Option<tls::Server>,
    /// Why it is not although there is a certificate; in words.
    pub tls_failure: Option<String>,
    /// Counters.
    pub stats: Stats,
    /// What EAP-TLS was set up with: SHA-256 of the certificate with its chain, and the settings.
    set_up: Option<([u8; 32], tls::Settings)>,
    open: HashMap<StateId, Kept>,
    /// By the client's name; none is empty.
    shares: SortedMap<Arc<str>, Share>,
    by_station: HashMap<Station, StateId>,
    octets: usize,
    given: u64,
}

impl Eap {
    /// How many conversations are under way.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Octets that they hold, about.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// A State that nobody can guess, and that no other conversation has.
    pub fn new_state(&mut self, random: &mut dyn FnMut(&mut [u8])) -> StateId {
        let mut id = [0; 16];
        random(&mut id);
        // Distinct even if the random numbers are not.
        id.iter_mut().zip(self.given.to_be_bytes()).for_each(|(octet, count)| *octet ^= count);
        self.given = self.given.wrapping_add(1);
        id
    }

    /// True when a conversation of this station has this State.
    pub fn has(&self, state: &[u8], station: &Station) -> bool {
        let id = StateId::try_from(state).ok();
        id.and_then(|id| self.open.get(&id)).is_some_and(|kept| kept.open.station == *station)
    }

    /// Takes a conversation out, to go on with it; nothing if there is none with this State for this station.
    pub fn take(&mut self, id: &StateId, station: &Station) -> Option<Open> {
        if self.open.get(id)?.open.station != *station {
            return None;
        }
        self.remove(id)
    }

    /// Keeps a conversation until its next packet. Those that had to make room for it come back: not more than a few.
    pub fn put(&mut self, id: StateId, open: Open) -> Vec<Open> {
        let octets = open.conversation.octets() + size_of::<Kept>();
        let before = self.by_station.insert(open.station.clone(), id).filter(|before| *before != id);
        let mut gone: Vec<Open> = before.and_then(|before| self.remove(&before)).into_iter().collect();
        // Its own place in the index is the new one's.
        self.by_station.insert(open.station.clone(), id);
        self.octets += octets;
        let share = self.shares.or_default(open.station.client.clone());
        share.octets += octets;
        share.by_age.insert((open.known, open.at, id));
        self.open.insert(id, Kept { open, octets });
        while self.open.len() > CONVERSATIONS || self.octets > MEMORY {
            let Some(open) = self.next_to_go(&id).and_then(|next| self.remove(&next)) else { break };
            self.stats.evicted += 1;
            gone.push(open);
        }
        gone
    }

    /// Who makes room, other than this one. That an address is known proves nothing: whoever makes up many at one NAS puts
    /// out those who came through the same NAS, not the others'.
    fn next_to_go(&self, except: &StateId) -> Option<StateId> {
        let crowded = self.open.len() > CONVERSATIONS;
        let greedy = |share: &&Share| {
            if crowded { share.by_age.len() > CONVERSATIONS / 2 } else { share.octets > MEMORY / 2 }
        };
        let first = |share: &Share| share.by_age.iter().find(|(.., id)| id != except).copied();
        let of_greedy = self.shares.values().find(greedy).and_then(first);
        of_greedy.or_else(|| self.shares.values().filter_map(first).min()).map(|(.., id)| id)
    }

    /// The station begins anew: what is left of its last conversation, if it was more than haste. One that failed or was
    /// refused is more however young it is: the device left as soon as it heard of it.
    pub fn begin_anew(&mut self, station: &Station, now: Instant) -> Option<Open> {
        let before = self.by_station.get(station).copied()?;
        self.remove(&before).filter(|open| open.has_failed() || now.saturating_duration_since(open.at) >= HASTE)
    }

    /// The conversations that were silent for too long.
    pub fn expire(&mut self, now: Instant) -> Vec<Open> {
        // Two runs, each in the order of age.
        let silent = |(_, at, _): &&(bool, Instant, StateId)| now.saturating_duration_since(*at) >= SILENCE;
        let of_share = |share: &Share| -> Vec<StateId> {
            let strangers = share.by_age.iter().take_while(|(known, ..)| !known).take_while(silent);
            // From the young end: there is no smallest moment to begin a range with.
            let known = share.by_age.iter().rev().take_while(|(known, ..)| *known).filter(silent);
            strangers.chain(known).map(|(.., id)| *id).collect()
        };
        let over: Vec<StateId> = self.shares.values().flat_map(of_share).collect();
        over.iter().filter_map(|id| self.remove(id)).collect()
    }

    fn remove(&mut self, id: &StateId) -> Option<Open> {
        let Kept { open, octets } = self.open.remove(id)?;
        self.octets = self.octets.saturating_sub(octets);
        if let Some(share) = self.shares.get_mut(&open.station.client) {
            share.octets = share.octets.saturating_sub(octets);
            share.by_age.remove(&(open.known, open.at, *id));
            if share.by_age.is_empty() {
                self.shares.remove(&open.station.client);
            }
        }
        if self.by_station.get(&open.station) == Some(id) {
            self.by_station.remove(&open.station);
        }
        Some(open)
    }

    /// Follows the certificate and its chain, whom is trusted, and the configuration. What is kept for resumption stays with
    /// the chain.
    pub fn follow(&mut self, pki: &Pki, config: &Config) {
        let settings = tls::Settings { tls13_only: config.eap.tls_min == TlsVersion::V1_3, ..tls::Settings::default() };
        let wanted = pki.server().filter(|_| config.eap.methods.contains(&EapMethod::Tls));
        let set_up = wanted.map(|server| (server.chain_hash(), settings));
        if set_up != self.set_up {
            (self.tls, self.tls_failure, self.set_up) = (None, None, set_up);
            if let Some(server) = wanted {
                match tls::Server::new(server.chain.clone(), server.key(), settings) {
                    Ok(server) => self.tls = Some(server),
                    Err(why) => self.tls_failure = Some(format!("EAP-TLS cannot use the server certificate: {why}")),
                }
            }
        }
        if let Some(server) = &mut self.tls {
            server.set_trust(pki.trust());
        }
    }

    /// Why no EAP method can be offered at all, with the mend.
    pub fn impossible(&self, config: &Config, pki: &Pki) -> Option<String> {
        if self.tls.is_some() || config.eap.methods.contains(&EapMethod::Psk) {
            return None;
        }
        let why = match (&self.tls_failure, pki.troubles().first()) {
            (Some(why), _) | (None, Some(why)) => why,
            (None, None) => {
                "there is none; latchkey makes one for an SSID with option security 'enterprise' or 'wired'"
            }
        };
        Some(format!(
            "no EAP method can be offered: config eap has EAP-TLS only (list methods 'tls'), and it has no server \
             certificate: {why}; or add list methods 'psk'"
        ))
    }
}

/// What the methods need to know of the registry and the configuration.
pub struct Known<'a> {
    /// The devices.
    pub registry: &'a Registry,
    /// What is offered.
    pub methods: &'a [EapMethod],
    /// The realm of the identities that are made here.
    pub realm: &'a str,
}

fn kind(method: EapMethod) -> u8 {
    match method {
        EapMethod::Tls => tls::ENTRY.kind,
        EapMethod::Psk => psk::ENTRY.kind,
    }
}

impl Credentials for Known<'_> {
    fn eap_psk(&self, nai: &[u8]) -> Option<(DeviceId, EapPskKey)> {
        let device = self.registry.by_nai(std::str::from_utf8(nai).ok()?)?;
        let psk = device.eap.as_ref()?.psk.as_ref()?;
        Some((device.id, psk.key.clone()))
    }

    fn offers(&self, wanted: u8) -> bool {
        self.methods.iter().any(|method| kind(*method) == wanted)
    }

    /// EAP-PSK to somebody in our realm: that is where its identities are made. Whether the identity is registered must not
    /// show, or identities could be tried out one by one. Whoever wants another method says so (Nak); an identity without a
    /// user name is an anonymous one, for EAP-TLS (RFC 9190, 2.1.7).
    fn first_method(&self, identity: &[u8]) -> Option<u8> {
        let ours = std::str::from_utf8(identity)
            .ok()
            .and_then(|identity| identity.rsplit_once('@'))
            .is_some_and(|(user, realm)| !user.is_empty() && realm.eq_ignore_ascii_case(self.realm));
        let psk = Some(psk::ENTRY.kind).filter(|kind| ours && self.offers(*kind));
        psk.or_else(|| self.methods.first().map(|method| kind(*method)))
    }
}

#[cfg(test)]
mod tests;
