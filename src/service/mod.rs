//! What the daemon does, without its sockets, threads and files: requests and the time go in, answers and
//! changes to be stored come out.

pub mod arrivals;
pub mod control;
pub mod grants;
pub mod keyfile;
pub mod keyring;
pub mod network;
pub mod pending;
pub mod radius;
pub mod revocation;
pub mod sessions;
pub mod stations;

use crate::config::{Config, Unknown};
use crate::decision::event::{Event, EventRing};
use crate::decision::{Evidence, Grant, Refusal, Request, View, decide};
use crate::mac::MacAddr;
use crate::registry::Registry;
use crate::registry::device::{Change, DeviceId};
use crate::time::UnixTime;
use crate::wire::hostapd::Station;
use crate::wire::pskfile::KeyId;
use keyring::KeyRing;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// The time, as it is handed in from outside.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// The clock on the wall, which may jump: for expiry and logs.
    pub wall: UnixTime,
    /// The clock that only goes forward: for intervals.
    pub mono: Instant,
}

/// What `status` tells of the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Damage {
    /// The damaged file, set aside.
    pub file: PathBuf,
    /// What was wrong with it.
    pub reason: String,
    /// Where the registry in use comes from, in words.
    pub restored_from: String,
    /// When it was found.
    pub at: UnixTime,
}

/// What `status` tells of the files the registry is kept in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreState {
    /// When the good copy was made, which is used when the database is damaged.
    pub copied: Option<UnixTime>,
    /// What the store could not do last time.
    pub failure: Option<String>,
}

/// What `status` tells of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigState {
    /// The file.
    pub file: PathBuf,
    /// When the configuration in force was read.
    pub loaded_at: UnixTime,
    /// Why the last reload was refused.
    pub error: Option<String>,
}

/// Fills a buffer with unpredictable octets.
pub type Random = Box<dyn FnMut(&mut [u8])>;
/// Reads the clock that only goes forward: a decision's time is taken when it is made.
pub type Clock = fn() -> Instant;
/// Is shown every event.
pub type Sink = Box<dyn Fn(&Event)>;

/// The state of the daemon, changed by one thread only.
pub struct Core {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// Where it came from.
    pub config_state: ConfigState,
    /// The registered devices.
    pub registry: Registry,
    /// Their keys for every SSID.
    pub keyring: KeyRing,
    /// The latest decisions.
    pub events: EventRing,
    /// Who is connected.
    pub sessions: sessions::Sessions,
    /// Answers that await their proof.
    pub grants: grants::Grants,
    /// Unknown devices.
    pub pending: pending::PendingList,
    /// Whom hostapd must not keep or let in again.
    pub revocation: revocation::Revocation,
    /// Who is kept off although hostapd would let him in.
    pub arrivals: arrivals::Arrivals,
    /// Who is on the air of this box.
    pub stations: stations::Stations,
    /// The network of this box.
    pub network: network::Network,
    /// The RADIUS server's own state.
    pub radius: radius::Server,
    /// A damaged database found at the start.
    pub damage: Option<Damage>,
    /// How the store is.
    pub store: StoreState,
    started: Instant,
    random: Random,
    clock: Clock,
    sink: Sink,
}

impl Core {
    /// Puts a daemon's state together.
    pub fn new(config: Arc<Config>, registry: Registry, now: Now, random: Random, clock: Clock, sink: Sink) -> Core {
        let mut keyring = KeyRing::default();
        keyring.configure(&config.ssids, &registry);
        let mut core = Core {
            radius: radius::Server::default(),
            config_state: ConfigState { loaded_at: now.wall, ..ConfigState::default() },
            config,
            registry,
            keyring,
            events: EventRing::default(),
            sessions: sessions::Sessions::default(),
            grants: grants::Grants::default(),
            pending: pending::PendingList::default(),
            revocation: revocation::Revocation::default(),
            arrivals: arrivals::Arrivals::default(),
            stations: stations::Stations::default(),
            network: network::Network::default(),
            damage: None,
            store: StoreState::default(),
            started: now.mono,
            random,
            clock,
            sink,
        };
        core.radius.configure(&core.config, now.mono);
        core
    }

    /// Puts another configuration into force. Devices, sessions and events stay.
    pub fn reconfigure(&mut self, config: Arc<Config>, now: Now) {
        let old = std::mem::replace(&mut self.config, config);
        let new = self.config.clone();
        let vlan = |config: &Config, profile: &str| config.profile(profile).map(|profile| profile.vlan);
        self.revoke_moved(|profile| vlan(&old, profile) != vlan(&new, profile));
        self.keyring.configure(&self.config.ssids, &self.registry);
        self.radius.configure(&self.config, now.mono);
        self.config_state.loaded_at = now.wall;
        self.config_state.error = None;
    }

    /// What the configuration and the registry get wrong only together: an onboarding key that is some device's.
    pub fn conflicts(&self) -> Vec<String> {
        let onboarding = self.config.ssids.iter().filter_map(|ssid| match &ssid.unknown {
            Unknown::Quarantine { onboarding_key, .. } => Some((ssid, onboarding_key)),
            Unknown::Reject => None,
        });
        onboarding
            .filter_map(|(ssid, key)| {
                let (device, how) = self.registry.find_similar(key, None)?;
                let (section, how) = (&ssid.section, how.describe(&device.name));
                let mend = format!("choose another, or latchkey device rotate {}", device.name);
                Some(format!("config ssid '{section}': option onboarding_key: it {how}: {mend}"))
            })
            .collect()
    }

    /// Applies changes that are durable already.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            self.revoke_for(change);
            self.registry.apply(change);
            match change {
                Change::Put(devices) => {
                    for device in devices {
                        self.keyring.refresh(device.id, Some(device));
                        for bound in &device.macs {
                            self.pending.remove(bound.mac);
                        }
                    }
                }
                Change::Remove(id) => {
                    self.keyring.refresh(*id, None);
                    self.sessions.forget_device(*id);
                }
                Change::Bind(_, bound) => {
                    self.pending.remove(bound.mac);
                }
                Change::Ignore(mac, true) => {
                    self.pending.remove(*mac);
                }
                Change::Ignore(_, false) => {}
            }
        }
    }

    /// Concludes what only time can tell: devices that were sent their key and never proved it, and those whose time is
    /// over. To be called every second.
    pub fn tick(&mut self, now: Now) {
        radius::conclude_unproved(self, now);
        self.tick_revocation(now.wall, now.mono);
        self.tick_arrivals(now);
    }

    /// The device that uses an address in a network now, as far as it is certain: by what it proved, as the address is
    /// registered, or as its NAS accounts for it.
    pub fn device_of(&self, mac: MacAddr, bss: &stations::Bss) -> Option<DeviceId> {
        let ssid = &bss.ssid;
        self.config.ssid(ssid)?;
        let proved = bss.station(mac).and_then(Station::key).filter(|_| self.reads_keys(ssid));
        if let Some(KeyId::Device { id, .. }) = proved
            && let Some(device) = self.registry.get(DeviceId(id))
        {
            return Some(device.id);
        }
        let granted = bss.bssid.and_then(|bssid| self.grants.get((mac, bssid))).filter(|grant| grant.ssid == *ssid);
        if let Some([one]) = granted.map(|grant| &grant.devices[..]) {
            return Some(one.0);
        }
        if let Some(device) = self.registry.by_mac(mac) {
            return Some(device.id);
        }
        let session = self.sessions.iter().find(|(key, session)| key.mac == mac && *session.ssid == **ssid);
        session.and_then(|(_, session)| session.device)
    }

    fn decide(&self, mac: MacAddr, ssid: &[u8], evidence: Evidence, now: UnixTime) -> Result<Grant, Refusal> {
        let in_use =
            |device, except| self.sessions.in_use(device, except, now).saturating_add(self.on_air_with(device, except));
        let view = View { config: &self.config, registry: &self.registry, in_use: &in_use };
        decide(&Request { mac, ssid, evidence }, &view, now)
    }

    fn record(&mut self, event: Event) {
        (self.sink)(self.events.record(event));
    }
}
