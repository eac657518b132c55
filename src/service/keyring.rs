//! The PMK of every key for every SSID: computed once (PBKDF2 takes a router 10 ms and more), then searched.
//!
//! The keyring says which PMKs are missing and takes them when they are computed; it computes nothing itself.

use crate::config::Ssid;
use crate::decision::{KeyRef, Proof};
use crate::registry::Registry;
use crate::registry::device::{Device, DeviceId};
use crate::secret::{Passphrase, Pmk};
use crate::sorted::{SortedMap, SortedSet};
use crate::wpa::{self, Candidate, Handshake};
use std::collections::VecDeque;
use std::sync::Arc;

/// How many keys used last at an SSID are tried before all others.
const RECENT: usize = 32;
/// Up to so many keys are searched at once in the caller's thread: 0.3 ms here, a few on a slow router.
const AT_ONCE: usize = 256;

/// A PMK to be computed.
#[derive(Debug, Clone)]
pub struct Job {
    /// The network.
    pub ssid: Arc<[u8]>,
    /// The device.
    pub device: DeviceId,
    /// Which of the keys it has had.
    pub key_serial: u32,
    /// Its key.
    pub key: Passphrase,
}

/// A PMK with what it is for.
#[derive(Debug, Clone)]
pub struct Derived {
    /// The network.
    pub ssid: Arc<[u8]>,
    /// The device.
    pub device: DeviceId,
    /// Which of the keys it has had.
    pub key_serial: u32,
    /// The key.
    pub pmk: Pmk,
}

impl Job {
    /// Computes the PMK: 8,192 SHA-1 HMACs. Not for the event loop.
    pub fn run(self) -> Derived {
        let pmk = wpa::pmk::derive(&self.key, &self.ssid);
        Derived { ssid: self.ssid, device: self.device, key_serial: self.key_serial, pmk }
    }
}

/// How far an SSID is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The network.
    pub ssid: Arc<[u8]>,
    /// Keys that can be searched.
    pub ready: usize,
    /// Keys there are.
    pub total: usize,
}

/// All keys of one SSID, shared with a running search.
#[derive(Debug, Clone, Default)]
pub struct SsidKeys {
    entries: Vec<Entry>,
    /// Keys of nobody here, whose PMKs are to be computed in the search.
    to_derive: Option<ToDerive>,
}

#[derive(Debug, Clone)]
struct ToDerive {
    ssid: Arc<[u8]>,
    keys: Vec<Option<Passphrase>>,
}

#[derive(Debug, Clone)]
struct Entry {
    device: DeviceId,
    key_serial: u32,
    candidate: Candidate,
}

impl SsidKeys {
    /// Keys of nobody here. What a search finds is the place among them, as if it were a device's number.
    pub fn to_derive(ssid: Arc<[u8]>, keys: Vec<Option<Passphrase>>) -> SsidKeys {
        SsidKeys { entries: Vec::new(), to_derive: Some(ToDerive { ssid, keys }) }
    }

    /// Finds the device whose key verifies the handshake. The time grows with the number of keys.
    pub fn search(&self, handshake: &Handshake) -> Proof {
        if let Some(ToDerive { ssid, keys }) = &self.to_derive {
            let verifies = |key: &Option<Passphrase>| {
                let candidate = key.as_ref().map(|key| Candidate::new(wpa::pmk::derive(key, ssid)));
                candidate.is_some_and(|candidate| handshake.verify(&candidate))
            };
            let place = keys.iter().position(verifies).and_then(|place| u32::try_from(place).ok());
            return place.map_or(Proof::Nothing, |place| Proof::Device(DeviceId(place)));
        }
        match wpa::search(handshake, self.entries.iter().map(|entry| &entry.candidate)) {
            Some(found) => self.entries.get(found).map_or(Proof::Nothing, |entry| Proof::Device(entry.device)),
            None => Proof::Nothing,
        }
    }
}

/// What a search in the caller's thread came to.
#[derive(Debug, Clone)]
pub enum Searched {
    /// All keys were tried.
    Done(Proof),
    /// The likely keys were tried; these are too many for the event loop.
    Long(Arc<SsidKeys>),
}

#[derive(Debug)]
struct Ring {
    ssid: Arc<[u8]>,
    onboarding: Option<(Passphrase, Candidate)>,
    keys: Arc<SsidKeys>,
    index: SortedMap<DeviceId, usize>,
    recent: VecDeque<DeviceId>,
    missing: SortedSet<DeviceId>,
    urgent: VecDeque<DeviceId>,
}

/// The keys of all SSIDs.
#[derive(Debug, Default)]
pub struct KeyRing {
    rings: Vec<Ring>,
}

impl KeyRing {
    /// Follows the configuration: new SSIDs get all keys to be computed, others keep what they have.
    pub fn configure(&mut self, ssids: &[Ssid], registry: &Registry) {
        let mut old = std::mem::take(&mut self.rings);
        for settings in ssids.iter().filter(|ssid| ssid.security.has_keys()) {
            let mut known = old.iter().position(|ring| ring.ssid == settings.ssid).map(|at| old.swap_remove(at));
            let onboarding = settings.unknown.onboarding_key().and_then(|key| {
                // Computed here, which takes a moment, but only when it is another key than before.
                let same = known.as_mut().and_then(|ring| ring.onboarding.take()).filter(|(old, _)| old == key);
                same.or_else(|| Some((key.clone(), Candidate::new(wpa::pmk::derive(key, &settings.ssid)))))
            });
            let ring = match known {
                Some(known) => Ring { onboarding, ..known },
                None => Ring {
                    ssid: settings.ssid.clone(),
                    onboarding,
                    keys: Arc::default(),
                    index: SortedMap::new(),
                    recent: VecDeque::new(),
                    missing: registry.devices().filter(|d| d.key.is_some()).map(|d| d.id).collect(),
                    urgent: VecDeque::new(),
                },
            };
            self.rings.push(ring);
        }
    }

    /// Takes a computed PMK. False when it is for a key or SSID of the past.
    pub fn insert(&mut self, derived: Derived, registry: &Registry) -> bool {
        let current =
            registry.get(derived.device).is_some_and(|d| d.key.is_some() && d.key_serial == derived.key_serial);
        let Some(ring) = self.ring_mut(&derived.ssid).filter(|_| current) else { return false };
        ring.missing.remove(&derived.device);
        let candidate = Candidate::new(derived.pmk);
        let entry = Entry { device: derived.device, key_serial: derived.key_serial, candidate };
        let keys = Arc::make_mut(&mut ring.keys);
        match ring.index.get(&derived.device).and_then(|at| keys.entries.get_mut(*at)) {
            Some(place) => *place = entry,
            None => {
                ring.index.insert(derived.device, keys.entries.len());
                keys.entries.push(entry);
            }
        }
        true
    }

    /// Follows a change of a device: a new key is to be computed, a removed one is forgotten.
    pub fn refresh(&mut self, id: DeviceId, device: Option<&Device>) {
        let key_serial = device.filter(|d| d.key.is_some()).map(|d| d.key_serial);
        for ring in &mut self.rings {
            let have = ring.index.get(&id).and_then(|at| ring.keys.entries.get(*at)).map(|entry| entry.key_serial);
            if have.is_some() && have == key_serial {
                continue;
            }
            ring.remove(id);
            match key_serial {
                Some(_) => {
                    ring.missing.insert(id);
                }
                None => {
                    ring.missing.remove(&id);
                }
            }
        }
    }

    /// Asks for a PMK before all others, because somebody waits for it.
    pub fn hurry(&mut self, ssid: &[u8], id: DeviceId) {
        if let Some(ring) = self.ring_mut(ssid)
            && ring.missing.contains(&id)
            && !ring.urgent.contains(&id)
        {
            ring.urgent.push_back(id);
        }
    }

    /// The next PMKs to compute, at most `n`. They stay missing until they are inserted.
    pub fn jobs(&mut self, n: usize, registry: &Registry) -> Vec<Job> {
        let mut wanted: Vec<(usize, DeviceId)> = Vec::with_capacity(n);
        // What somebody waits for goes first, at whichever SSID.
        for (at, ring) in self.rings.iter_mut().enumerate() {
            while wanted.len() < n
                && let Some(id) = ring.urgent.pop_front()
            {
                if ring.missing.contains(&id) {
                    wanted.push((at, id));
                }
            }
        }
        for (at, ring) in self.rings.iter().enumerate() {
            for id in &ring.missing {
                if wanted.len() >= n {
                    break;
                }
                if !wanted.contains(&(at, *id)) {
                    wanted.push((at, *id));
                }
            }
        }
        let job = |(at, id): (usize, DeviceId)| {
            let (ring, device) = (self.rings.get(at)?, registry.get(id)?);
            Some(Job { ssid: ring.ssid.clone(), device: id, key_serial: device.key_serial, key: device.key.clone()? })
        };
        wanted.into_iter().filter_map(job).collect()
    }

    /// The PMK of a device for an SSID, if it is computed.
    pub fn pmk(&self, ssid: &[u8], key: KeyRef) -> Option<&Pmk> {
        let ring = self.ring(ssid)?;
        match key {
            KeyRef::Onboarding => ring.onboarding.as_ref().map(|(_, candidate)| candidate.pmk()),
            KeyRef::Device(id) => ring.candidate(id).map(Candidate::pmk),
        }
    }

    /// Tries the likely keys on a handshake (the one bound to the address, those used here last, the onboarding
    /// key), and then the others if they are few.
    pub fn search(&self, ssid: &[u8], handshake: &Handshake, bound: Option<DeviceId>) -> Searched {
        let Some(ring) = self.ring(ssid) else { return Searched::Done(Proof::Nothing) };
        for id in bound.into_iter().chain(ring.recent.iter().copied()) {
            if ring.candidate(id).is_some_and(|candidate| handshake.verify(candidate)) {
                return Searched::Done(Proof::Device(id));
            }
        }
        if ring.onboarding.as_ref().is_some_and(|(_, candidate)| handshake.verify(candidate)) {
            return Searched::Done(Proof::Onboarding);
        }
        if ring.keys.entries.len() > AT_ONCE {
            return Searched::Long(ring.keys.clone());
        }
        Searched::Done(ring.keys.search(handshake))
    }

    /// True when the handshake verifies with the present PMK of a key.
    pub fn verifies(&self, ssid: &[u8], key: KeyRef, handshake: &Handshake) -> bool {
        let ring = self.ring(ssid);
        let candidate = ring.and_then(|ring| match key {
            KeyRef::Onboarding => ring.onboarding.as_ref().map(|(_, candidate)| candidate),
            KeyRef::Device(id) => ring.candidate(id),
        });
        candidate.is_some_and(|candidate| handshake.verify(candidate))
    }

    /// Remembers that a key was used at an SSID just now.
    pub fn used(&mut self, ssid: &[u8], id: DeviceId) {
        if let Some(ring) = self.ring_mut(ssid) {
            if ring.recent.front() == Some(&id) {
                return;
            }
            ring.recent.retain(|other| *other != id);
            ring.recent.truncate(RECENT - 1);
            ring.recent.push_front(id);
        }
    }

    /// How many keys of each SSID are ready.
    pub fn progress(&self) -> impl Iterator<Item = Progress> {
        self.rings.iter().map(|ring| {
            let ready = ring.keys.entries.len();
            Progress { ssid: ring.ssid.clone(), ready, total: ready + ring.missing.len() }
        })
    }

    /// True while PMKs are to be computed.
    pub fn is_busy(&self) -> bool {
        self.rings.iter().any(|ring| !ring.missing.is_empty())
    }

    fn ring(&self, ssid: &[u8]) -> Option<&Ring> {
        self.rings.iter().find(|ring| *ring.ssid == *ssid)
    }

    fn ring_mut(&mut self, ssid: &[u8]) -> Option<&mut Ring> {
        self.rings.iter_mut().find(|ring| *ring.ssid == *ssid)
    }
}

impl Ring {
    fn candidate(&self, id: DeviceId) -> Option<&Candidate> {
        self.keys.entries.get(*self.index.get(&id)?).map(|entry| &entry.candidate)
    }

    fn remove(&mut self, id: DeviceId) {
        let Some(at) = self.index.remove(&id) else { return };
        let keys = Arc::make_mut(&mut self.keys);
        keys.entries.swap_remove(at);
        if let Some(moved) = keys.entries.get(at) {
            self.index.insert(moved.device, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::registry::device::Change;
    use crate::registry::tests::device;

    fn config(ssids: &[&str]) -> Config {
        let sections: String = ssids.iter().map(|s| format!("config ssid\n\toption ssid '{s}'\n")).collect();
        Config::parse(&sections).expect("valid")
    }

    fn registry() -> Registry {
        let devices = (1..=3).map(|id| device(id, &format!("d{id}"), "iot", &format!("key number {id}"))).collect();
        Registry::load(devices, vec![], vec![], DeviceId(4))
    }

    fn work_off(ring: &mut KeyRing, registry: &Registry) -> usize {
        let mut n = 0;
        while ring.is_busy() {
            for job in ring.jobs(2, registry) {
                assert!(ring.insert(job.run(), registry));
                n += 1;
            }
        }
        n
    }

    #[test]
    fn every_key_is_computed_once_per_ssid() {
        let registry = registry();
        let mut ring = KeyRing::default();
        ring.configure(&config(&["Home", "Work"]).ssids, &registry);
        assert_eq!(ring.progress().map(|p| (p.ready, p.total)).collect::<Vec<_>>(), [(0, 3), (0, 3)]);
        assert_eq!(work_off(&mut ring, &registry), 6);
        ring.configure(&config(&["Work", "New"]).ssids, &registry);
        assert_eq!(work_off(&mut ring, &registry), 3, "only the new SSID's");
        let expected = wpa::pmk::derive(&Passphrase::new("key number 2").expect("valid"), b"Work");
        assert_eq!(ring.pmk(b"Work", KeyRef::Device(DeviceId(2))), Some(&expected));
        assert_eq!(ring.pmk(b"Home", KeyRef::Device(DeviceId(2))), None);
    }

    #[test]
    fn what_somebody_waits_for_comes_first_at_whichever_ssid() {
        let registry = registry();
        let mut ring = KeyRing::default();
        ring.configure(&config(&["Home", "Work"]).ssids, &registry);
        ring.hurry(b"Work", DeviceId(3));
        ring.hurry(b"Work", DeviceId(2));
        ring.hurry(b"Work", DeviceId(2));
        for (ssid, id) in [("Work", 3), ("Work", 2), ("Home", 1)] {
            let job = ring.jobs(1, &registry).remove(0);
            assert_eq!((&*job.ssid, job.device), (ssid.as_bytes(), DeviceId(id)));
            ring.insert(job.run(), &registry);
        }
        assert_eq!(ring.jobs(9, &registry).len(), 3, "each once");
    }

    #[test]
    fn a_rotated_or_removed_key_is_gone_at_once() {
        let mut registry = registry();
        let mut ring = KeyRing::default();
        ring.configure(&config(&["Home"]).ssids, &registry);
        let late = ring.jobs(1, &registry).remove(0);
        work_off(&mut ring, &registry);

        let mut rotated = registry.get(DeviceId(1)).cloned().expect("there");
        rotated.key = Passphrase::new("a new key").ok();
        rotated.key_serial += 1;
        registry.apply(&Change::Put(vec![rotated.clone()]));
        ring.refresh(DeviceId(1), Some(&rotated));
        assert_eq!(ring.pmk(b"Home", KeyRef::Device(DeviceId(1))), None);
        assert!(!ring.insert(late.run(), &registry), "the PMK of the old key comes too late");
        assert_eq!(work_off(&mut ring, &registry), 1);

        registry.apply(&Change::Remove(DeviceId(1)));
        ring.refresh(DeviceId(1), None);
        assert_eq!(ring.pmk(b"Home", KeyRef::Device(DeviceId(1))), None);
        for id in [2, 3] {
            assert!(ring.pmk(b"Home", KeyRef::Device(DeviceId(id))).is_some(), "the others stay, {id}");
        }
    }

    #[test]
    fn urgent_keys_come_first() {
        let registry = registry();
        let mut ring = KeyRing::default();
        ring.configure(&config(&["Home"]).ssids, &registry);
        ring.hurry(b"Home", DeviceId(3));
        assert_eq!(ring.jobs(2, &registry).iter().map(|j| j.device.0).collect::<Vec<_>>(), [3, 1]);
    }
}
