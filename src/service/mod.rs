//! What the daemon does, without its sockets, threads and files: requests and the time go in, answers and
//! changes to be stored come out.

pub mod arrivals;
pub mod clock;
pub mod control;
pub mod disconnect;
pub mod discover;
pub mod dynauth;
pub mod eap;
pub mod grants;
pub mod keyfile;
pub mod keyring;
pub mod network;
pub mod pairing;
pub mod pending;
pub mod pki;
pub mod present;
pub mod proxy;
pub mod radius;
pub mod revocation;
pub mod sessions;
pub mod stations;
pub mod ubus;
pub mod wake;

use crate::config::{Config, Realm, Target};
use crate::decision::event::{Event, EventRing};
use crate::decision::hours::{Moment, check_standing};
use crate::decision::reason::Reason;
use crate::decision::{Grant, Refusal, Request, View, Window, decide, may_ask};
use crate::mac::MacAddr;
use crate::registry::Registry;
use crate::registry::device::{Change, Device, DeviceId};
use crate::time::UnixTime;
use crate::time::zone::Zone;
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
/// Is shown everything that happens.
pub type Sink = Box<dyn Fn(News<'_>)>;

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub enum News<'a> {
    /// A decision.
    Event(&'a Event),
    /// A device is on the list of unknown ones that was not on it.
    Pending(&'a pending::Pending),
}

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
    /// EAP, and the conversations that are under way.
    pub eap: eap::Eap,
    /// Our own CA, our certificate, and whose certificates count.
    pub pki: pki::Pki,
    /// The window in which the next one is registered.
    pub pairing: pairing::Pairing,
    /// Whom hostapd must not keep or let in again.
    pub revocation: revocation::Revocation,
    /// Sessions that other boxes are asked to end.
    pub disconnects: disconnect::Disconnects,
    /// What the servers of realms ask us to do with their sessions.
    pub dynauth: dynauth::DynAuth,
    /// Looking up the servers of realms.
    pub discovery: discover::Discover,
    /// Who is kept off although hostapd would let him in.
    pub arrivals: arrivals::Arrivals,
    /// Who is on the air of this box.
    pub stations: stations::Stations,
    /// Which devices these are.
    pub present: present::Present,
    /// What time it is.
    pub time: clock::Clock,
    /// Where the hours of profiles are local time; UTC until the shell says better.
    pub zone: Zone,
    /// The network of this box.
    pub network: network::Network,
    /// What the kernel has of the firewall.
    pub firewall: crate::firewall::Status,
    /// Who else says who devices are.
    pub proxy: proxy::Proxy,
    /// The RADIUS server's own state.
    pub radius: radius::Server,
    /// A damaged database found at the start.
    pub damage: Option<Damage>,
    /// How the store is.
    pub store: StoreState,
    /// How it stands with the bus of OpenWrt.
    pub ubus: crate::ubus::state::Health,
    /// Where the numbers that clients compare begin: each life of the daemon has others.
    numbers: u32,
    /// Counts the configurations.
    reloads: u64,
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
        let time = clock::Clock::new(&registry, now);
        let now = time.effective(now);
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
            eap: eap::Eap::default(),
            pki: pki::Pki::default(),
            pairing: pairing::Pairing::default(),
            revocation: revocation::Revocation::default(),
            disconnects: disconnect::Disconnects::default(),
            dynauth: dynauth::DynAuth::default(),
            discovery: discover::Discover::default(),
            arrivals: arrivals::Arrivals::default(),
            stations: stations::Stations::default(),
            present: present::Present::default(),
            time,
            zone: Zone::utc(),
            network: network::Network::default(),
            firewall: crate::firewall::Status::default(),
            proxy: proxy::Proxy::default(),
            damage: None,
            store: StoreState::default(),
            ubus: crate::ubus::state::Health::default(),
            numbers: 0,
            reloads: 0,
            started: now.mono,
            random,
            clock,
            sink,
        };
        core.radius.configure(&core.config, now.mono);
        core.proxy.engine.configure(&core.config.realms, now.mono);
        core.discovery.configure(&core.config.realms);
        core.refresh_pki();
        core
    }

    /// Has the numbers by which clients see what is new begin somewhere, so that those of an earlier life are not taken for
    /// ours. To be called before anything happens.
    pub fn begin_numbers(&mut self) {
        let mut octets = [0; 4];
        self.fill_random(&mut octets);
        // What stays well below 2^31 is a number to everybody, whatever it is carried in.
        self.numbers = u32::from_be_bytes(octets) >> 3;
        self.events.begin_at(u64::from(self.numbers));
    }

    /// Another one after every change of devices, makers or configuration, but for counters and times: 0 to 2^31 - 1.
    pub fn revision(&self) -> u32 {
        self.number(self.registry.version().wrapping_add(self.reloads))
    }

    /// Another one after every change of the list of unknown devices: 0 to 2^31 - 1.
    pub fn pending_revision(&self) -> u32 {
        self.number(self.pending.version())
    }

    fn number(&self, version: u64) -> u32 {
        (u64::from(self.numbers).wrapping_add(version) & 0x7fff_ffff) as u32
    }

    /// Puts another configuration into force. Devices, sessions and events stay.
    pub fn reconfigure(&mut self, config: Arc<Config>, now: Now) {
        let now = self.time.effective(now);
        let old = std::mem::replace(&mut self.config, config);
        let new = self.config.clone();
        self.reloads += 1;
        let vlan = |config: &Config, profile: &str| config.profile(profile).map(|profile| profile.vlan);
        self.revoke_moved(|profile| vlan(&old, profile) != vlan(&new, profile));
        self.revoke_realms(&old);
        self.forget_stale_proofs(&old);
        self.reconfigure_pairing(now);
        self.disconnects.reconfigured();
        self.keyring.configure(&self.config.ssids, &self.registry);
        self.radius.configure(&self.config, now.mono);
        self.proxy.engine.configure(&self.config.realms, now.mono);
        self.discovery.configure(&self.config.realms);
        self.dynauth.configure(&self.config);
        self.refresh_pki();
        self.config_state.loaded_at = now.wall;
        self.config_state.error = None;
    }

    /// What the configuration and the registry get wrong only together: an onboarding key that is some device's.
    pub fn conflicts(&self) -> Vec<String> {
        let onboarding =
            self.config.ssids.iter().filter_map(|ssid| ssid.unknown.onboarding_key().map(|key| (ssid, key)));
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
        let mut trust = false;
        for change in changes {
            trust |= self.touches_trust(change);
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
                Change::Ignore(_, false)
                | Change::PutMaker(_)
                | Change::RemoveMaker(_)
                | Change::PutLastGood(_)
                | Change::RemoveLastGood { .. } => {}
            }
        }
        if trust {
            self.refresh_pki();
        }
    }

    /// True when a change makes certificates or raw public keys count that did not, or the other way round.
    fn touches_trust(&self, change: &Change) -> bool {
        let has = |device: &Device| device.eap.as_ref().is_some_and(|eap| !eap.certificates.is_empty());
        match change {
            Change::Put(devices) => {
                devices.iter().any(|device| has(device) || self.registry.get(device.id).is_some_and(has))
            }
            Change::Remove(id) => self.registry.get(*id).is_some_and(has),
            Change::PutMaker(_) | Change::RemoveMaker(_) => true,
            Change::Bind(..) | Change::Ignore(..) | Change::PutLastGood(_) | Change::RemoveLastGood { .. } => false,
        }
    }

    /// Concludes what only time can tell: devices that were sent their key and never proved it, and those whose time is
    /// over. To be called every second.
    pub fn tick(&mut self, now: Now) {
        if let Some(seconds) = self.time.observe(now) {
            self.sessions.clock_moved(seconds);
            if seconds < 0 {
                self.registry.seen_no_later_than(self.time.effective(now).wall);
            }
        }
        let now = self.time.effective(now);
        radius::conclude_unproved(self, now);
        radius::conclude_abandoned(self, now);
        self.tick_pairing(now);
        self.tick_revocation(now.wall, now.mono);
        self.tick_disconnects(now);
        self.tick_stays(now);
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
        let session = self.sessions.of(mac).find(|(_, session)| *session.ssid == **ssid);
        session.and_then(|(_, session)| session.device)
    }

    /// The VLAN a station is in: none in the network of the BSS itself. `None` when it is not known, or not yet.
    pub fn vlan_of(&self, bss: &str, station: &Station) -> Option<Option<u16>> {
        match station.own_interface {
            None => (station.connected.is_some() || station.akm.is_some()).then_some(station.vlan),
            Some(number) => {
                let bridge = self.network.ports.get(format!("{bss}.{number}").as_str())?;
                let profile = self.config.profiles.iter().find(|profile| profile.bridge.as_ref() == Some(bridge))?;
                Some(profile.vlan)
            }
        }
    }

    /// May a device be on the air at this time, whatever it proves.
    ///
    /// # Errors
    /// Why not.
    pub fn admissible(&self, device: &Device, wall: UnixTime) -> Result<(), Reason> {
        self.admissible_at(device, &self.moment(wall))
    }

    /// The same for many devices at one moment.
    pub fn admissible_at(&self, device: &Device, moment: &Moment<'_>) -> Result<(), Reason> {
        check_standing(device, &self.config, moment)?;
        match self.config.profile(&device.profile) {
            Some(_) => Ok(()),
            None => Err(Reason::ProfileMissing { profile: device.profile.clone() }),
        }
    }

    /// This time where the box is.
    pub fn moment(&self, wall: UnixTime) -> Moment<'_> {
        Moment::new(wall, &self.zone, self.time.is_set())
    }

    /// How many addresses other than this one use a device's key: in sessions that NASes account for, and on this box.
    fn in_use(&self, device: DeviceId, except: MacAddr, now: UnixTime) -> u32 {
        let here = self.present.of(device).filter(|mac| self.on_air(*mac));
        let mut addresses: Vec<MacAddr> = self.sessions.addresses(device, now).chain(here).collect();
        addresses.retain(|mac| *mac != except);
        addresses.sort_unstable();
        addresses.dedup();
        u32::try_from(addresses.len()).unwrap_or(u32::MAX)
    }

    fn decide(&self, request: &Request<'_>, now: Now) -> Result<Grant, Refusal> {
        self.decide_in(request, self.pairing.current(now.mono).map(|open| &open.window), now)
    }

    /// Decides as if this were the pairing window.
    fn decide_in(&self, request: &Request<'_>, pairing: Option<&Window>, now: Now) -> Result<Grant, Refusal> {
        let elsewhere = proxy::route::default_of(&self.config).is_some_and(|realm| realm.target != Target::Local);
        self.view(pairing, elsewhere, now, |view| decide(request, view, now.wall))
    }

    /// Decides as if there were neither a pairing window nor anybody else to ask.
    fn decide_here(&self, request: &Request<'_>, now: Now) -> Result<Grant, Refusal> {
        self.view(None, false, now, |view| decide(request, view, now.wall))
    }

    /// May the servers of a realm be asked about a device that has not proved anything yet.
    fn may_ask(&self, request: &Request<'_>, realm: &Realm, now: Now) -> Result<(), Refusal> {
        self.view(None, false, now, |view| may_ask(request, realm, view, now.wall))
    }

    /// Lends the state that decisions are made on.
    fn view<R>(&self, pairing: Option<&Window>, elsewhere: bool, now: Now, work: impl FnOnce(&View<'_>) -> R) -> R {
        let in_use = |device, except| self.in_use(device, except, now.wall);
        let (config, registry) = (&*self.config, &self.registry);
        let (zone, clock_set) = (&self.zone, self.time.is_set());
        work(&View { config, registry, pairing, elsewhere, in_use: &in_use, zone, clock_set })
    }

    /// Fills a buffer with unpredictable octets.
    pub fn fill_random(&mut self, buffer: &mut [u8]) {
        (self.random)(buffer);
    }

    fn record(&mut self, event: Event) {
        (self.sink)(News::Event(self.events.record(event)));
    }
}
