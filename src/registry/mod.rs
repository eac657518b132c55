//! The devices: what they are, which changes there can be, and which secrets are refused.

pub mod credential;
pub mod device;
pub mod generate;
pub mod last_good;
pub mod maker;
pub mod similar;
pub mod similar_octets;
pub mod weak;

use crate::mac::MacAddr;
use crate::pki::{CertificateInfo, Voucher};
use crate::secret::{EapPskKey, Passphrase};
use crate::sorted::{SortedMap, SortedSet};
use crate::time::UnixTime;
use credential::KnownBy;
use device::{Bind, BoundMac, Change, Device, DeviceId, Seen};
use last_good::LastGood;
use maker::Maker;
use similar::{Signature, Similarity};
use std::collections::HashMap;
use std::sync::Arc;

/// How many addresses one device can have. Whoever has a key of unlimited use could else fill the flash with addresses.
pub const MAX_MACS: usize = 64;

/// All devices in memory, with the indexes that a decision needs. It is what the store holds,
/// and changes only by [`Registry::apply`], after the store has made the change durable.
#[derive(Debug, Default)]
pub struct Registry {
    entries: SortedMap<DeviceId, Entry>,
    by_name: HashMap<Arc<str>, DeviceId>,
    by_mac: HashMap<MacAddr, DeviceId>,
    /// Devices whose key may be used by an address that is not bound yet, by profile.
    open: SortedMap<Arc<str>, SortedSet<DeviceId>>,
    by_nai: HashMap<Arc<str>, DeviceId>,
    by_certificate: HashMap<KnownBy, DeviceId>,
    makers: SortedMap<Arc<str>, Maker>,
    ignored: SortedSet<MacAddr>,
    last_good: last_good::Table,
    next_id: u32,
    /// Counts the changes.
    version: u64,
}

#[derive(Debug)]
struct Entry {
    device: Device,
    signature: Option<Signature>,
    octets: similar_octets::Signature,
    seen: Seen,
    /// `seen` differs from what the store has.
    unsaved: bool,
}

impl Registry {
    /// Builds the registry from what the store holds. `next_id` is the first number never given.
    pub fn load(
        devices: Vec<Device>,
        ignored: Vec<MacAddr>,
        seen: Vec<(DeviceId, Seen)>,
        next_id: DeviceId,
    ) -> Registry {
        let mut registry =
            Registry { ignored: ignored.into_iter().collect(), next_id: next_id.0, ..Default::default() };
        registry.by_name.reserve(devices.len());
        registry.by_mac.reserve(devices.len());
        for device in &devices {
            registry.index(device);
        }
        // Collected in one go: a vector of known length has no place to spare.
        registry.entries = devices
            .into_iter()
            .map(|device| {
                let signature = device.key.as_ref().map(Signature::of);
                let octets = similar_octets::Signature::of(&device);
                (device.id, Entry { device, signature, octets, seen: Seen::default(), unsaved: false })
            })
            .collect();
        for (id, seen) in seen {
            if let Some(entry) = registry.entries.get_mut(&id) {
                entry.seen = seen;
            }
        }
        registry
    }

    /// The same registry with these makers.
    pub fn with_makers(mut self, makers: Vec<Maker>) -> Registry {
        self.makers = makers.into_iter().map(|maker| (maker.name.clone(), maker)).collect();
        self
    }

    /// The same registry with these answers of servers.
    pub fn with_last_good(mut self, kept: Vec<LastGood>) -> Registry {
        kept.into_iter().for_each(|one| self.last_good.put(one));
        self
    }

    /// How many devices there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is no device.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Another one after every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The number for the next device.
    pub fn next_id(&self) -> DeviceId {
        DeviceId(self.next_id)
    }

    /// A device by its number.
    pub fn get(&self, id: DeviceId) -> Option<&Device> {
        self.entries.get(&id).map(|entry| &entry.device)
    }

    /// A device by its name, compared without case.
    pub fn by_name(&self, name: &str) -> Option<&Device> {
        let id = match self.by_name.get(name) {
            Some(id) => id,
            None => self.by_name.get(name.to_ascii_lowercase().as_str())?,
        };
        self.get(*id)
    }

    /// The device an address is bound to.
    pub fn by_mac(&self, mac: MacAddr) -> Option<&Device> {
        self.get(*self.by_mac.get(&mac)?)
    }

    /// The device whose EAP-PSK identity this is, octet for octet.
    pub fn by_nai(&self, nai: &str) -> Option<&Device> {
        self.get(*self.by_nai.get(nai)?)
    }

    /// The device that is known by a certificate: by exactly this one first, then by what its maker vouches for, then by what its
    /// maker's servers have called it.
    pub fn by_certificate(&self, info: &CertificateInfo, voucher: &Voucher) -> Option<&Device> {
        let find = |known_by: KnownBy| self.by_certificate.get(&known_by);
        let exact = [KnownBy::Fingerprint(info.fingerprint), KnownBy::PublicKey(info.public_key)];
        let serial = KnownBy::serial(info, voucher);
        let exact = exact.into_iter().chain(serial).find_map(find);
        let vouched = || {
            let Voucher::Maker(maker) = voucher else { return None };
            let serial = info.subject_serial.iter().cloned();
            let serial = serial.map(|serial| KnownBy::SubjectSerial { maker: maker.clone(), serial });
            let names = info.alt_names.iter().map(|name| name.to_ascii_lowercase().into());
            let names = names.map(|name| KnownBy::AltName { maker: maker.clone(), name });
            serial.chain(names).find_map(find).or_else(|| self.peer_of(info, maker))
        };
        self.get(*exact.or_else(vouched)?)
    }

    /// The device that the servers of a realm have called like this certificate, for which the maker of the same name vouches: both
    /// names are that party's to give. None when it has the names of several.
    fn peer_of(&self, info: &CertificateInfo, maker: &Arc<str>) -> Option<&DeviceId> {
        let names = info.alt_names.iter().chain(&info.common_name).chain(&info.subject_serial);
        let mut found = names.filter_map(|name| {
            let peer = |identity: Arc<str>| KnownBy::Peer { realm: maker.clone(), identity };
            // The realm of an identity is compared without case (RFC 7542, 2.4); what precedes it is not.
            let folded = || {
                let (user, realm) = name.rsplit_once('@')?;
                self.by_certificate.get(&peer(format!("{user}@{}", realm.to_ascii_lowercase()).into()))
            };
            self.by_certificate.get(&peer(name.clone())).or_else(folded)
        });
        let first = found.next()?;
        found.all(|other| other == first).then_some(first)
    }

    /// The device that is known by a raw public key (SHA-256 of the SubjectPublicKeyInfo).
    pub fn by_public_key(&self, key: [u8; 32]) -> Option<&Device> {
        self.get(*self.by_certificate.get(&KnownBy::PublicKey(key))?)
    }

    /// The makers, by name.
    pub fn makers(&self) -> impl ExactSizeIterator<Item = &Maker> {
        self.makers.values()
    }

    /// A maker by its name.
    pub fn maker(&self, name: &str) -> Option<&Maker> {
        self.makers.get(name)
    }

    /// What the servers of a realm answered last for an address on an SSID.
    pub fn last_good(&self, mac: MacAddr, ssid: &[u8]) -> Option<&LastGood> {
        self.last_good.get(mac, ssid)
    }

    /// All of these answers, by address and SSID; at most [`last_good::MAX_LAST_GOOD`].
    pub fn all_last_good(&self) -> impl ExactSizeIterator<Item = &LastGood> {
        self.last_good.all()
    }

    /// True when an address is bound to a device.
    pub fn knows(&self, mac: MacAddr) -> bool {
        self.by_mac.contains_key(&mac)
    }

    /// All devices by number, which is the order of registration.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.entries.values().map(|entry| &entry.device)
    }

    /// What was counted of a device.
    pub fn seen(&self, id: DeviceId) -> Seen {
        self.entries.get(&id).map(|entry| entry.seen).unwrap_or_default()
    }

    /// Counts an admission or a refusal of a device. In memory only, see [`Registry::take_unsaved`].
    pub fn count(&mut self, id: DeviceId, accepted: bool, mac: MacAddr, now: UnixTime) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.unsaved = true;
            if accepted {
                entry.seen.last_seen = now;
                entry.seen.last_mac = Some(mac);
                entry.seen.accepted = entry.seen.accepted.saturating_add(1);
            } else {
                entry.seen.refused = entry.seen.refused.saturating_add(1);
            }
        }
    }

    /// The newest moment of which the registry has a record, and of which device.
    pub fn newest_moment(&self) -> Option<(UnixTime, &Arc<str>)> {
        let newest = |entry: &Entry| {
            let bound = entry.device.macs.iter().map(|bound| bound.since);
            bound.chain([entry.device.created, entry.seen.last_seen]).max().unwrap_or_default()
        };
        self.entries.values().map(|entry| (newest(entry), &entry.device.name)).max_by_key(|(at, _)| *at)
    }

    /// The clock was set back: what was counted later than this was counted now.
    pub fn seen_no_later_than(&mut self, now: UnixTime) {
        for entry in self.entries.values_mut().filter(|entry| entry.seen.last_seen > now) {
            entry.seen.last_seen = now;
            entry.unsaved = true;
        }
    }

    /// The counters that changed since this was last called, to be written to the store.
    pub fn take_unsaved(&mut self) -> Vec<(DeviceId, Seen)> {
        let changed = self.entries.iter_mut().filter(|(_, entry)| entry.unsaved);
        changed
            .map(|(id, entry)| {
                entry.unsaved = false;
                (*id, entry.seen)
            })
            .collect()
    }

    /// Takes back [`Registry::take_unsaved`], when the store could not save them.
    pub fn not_saved(&mut self, counters: &[(DeviceId, Seen)]) {
        for (id, _) in counters {
            if let Some(entry) = self.entries.get_mut(id) {
                entry.unsaved = true;
            }
        }
    }

    /// Unknown addresses the administrator does not want to hear of.
    pub fn is_ignored(&self, mac: MacAddr) -> bool {
        self.ignored.contains(&mac)
    }

    /// All of them, by address.
    pub fn ignored(&self) -> impl ExactSizeIterator<Item = MacAddr> {
        self.ignored.iter().copied()
    }

    /// Profiles that have devices whose key an unbound address may use, by name, and how many such devices.
    pub fn open_profiles(&self) -> impl Iterator<Item = (&Arc<str>, usize)> {
        self.open.iter().map(|(profile, ids)| (profile, ids.len()))
    }

    /// The devices of a profile whose key an unbound address may use, the newest first:
    /// a person who has just registered a device is likely to switch it on now.
    pub fn open_devices(&self, profile: &str) -> impl Iterator<Item = &Device> {
        self.open.get(profile).into_iter().flatten().rev().filter_map(|id| self.get(*id))
    }

    /// Finds a device whose key is equal or similar to this one, other than `except`.
    pub fn find_similar(&self, key: &Passphrase, except: Option<DeviceId>) -> Option<(&Device, Similarity)> {
        let signature = Signature::of(key);
        self.entries.values().filter(|entry| Some(entry.device.id) != except).find_map(|entry| {
            let (other, other_signature) = (entry.device.key.as_ref()?, entry.signature.as_ref()?);
            let similarity = similar::similar(key, &signature, other, other_signature)?;
            Some((&entry.device, similarity))
        })
    }

    /// Finds a device whose EAP-PSK key is equal or similar to this one, other than `except`; or whose Wi-Fi key this one
    /// comes from, `except` included.
    pub fn find_similar_octets(
        &self,
        key: &EapPskKey,
        except: Option<DeviceId>,
    ) -> Option<(&Device, similar_octets::Similarity)> {
        self.entries.values().find_map(|Entry { device, octets, .. }| {
            let other = Some(device.id) != except;
            let similar = other.then(|| similar_octets::similar(key, device, octets)).flatten();
            Some((device, similar.or_else(|| similar_octets::derived(key, device, octets))?))
        })
    }

    /// Finds a device whose EAP-PSK key comes from this Wi-Fi key.
    pub fn find_derived_octets(&self, key: &Passphrase) -> Option<(&Device, similar_octets::Similarity)> {
        let hashes = similar_octets::Hashes::of(key);
        self.devices().find_map(|device| Some((device, similar_octets::derives(key, &hashes, device)?)))
    }

    /// The device that is known by a certificate or key in this way, other than `except`.
    pub fn holder(&self, known_by: &KnownBy, except: Option<DeviceId>) -> Option<&Device> {
        let id = self.by_certificate.get(known_by).filter(|id| Some(**id) != except)?;
        self.get(*id)
    }

    /// Makes a change that is durable already. Changes of devices that are gone are no-ops.
    pub fn apply(&mut self, change: &Change) {
        self.version += 1;
        match change {
            Change::Put(devices) => {
                for device in devices {
                    let (seen, unsaved) =
                        self.entries.get(&device.id).map(|entry| (entry.seen, entry.unsaved)).unwrap_or_default();
                    self.unindex(device.id);
                    self.index(device);
                    let signature = device.key.as_ref().map(Signature::of);
                    let octets = similar_octets::Signature::of(device);
                    self.entries.insert(device.id, Entry { device: device.clone(), signature, octets, seen, unsaved });
                    self.next_id = self.next_id.max(device.id.0.saturating_add(1));
                }
            }
            Change::Remove(id) => {
                self.unindex(*id);
                self.entries.remove(id);
            }
            Change::Bind(id, bound) => {
                self.unindex(*id);
                if let Some(entry) = self.entries.get_mut(id) {
                    entry.device.macs.retain(|have| have.mac != bound.mac);
                    entry.device.macs.push(*bound);
                    let device = entry.device.clone();
                    self.index(&device);
                }
            }
            Change::PutMaker(maker) => {
                self.makers.insert(maker.name.clone(), (**maker).clone());
            }
            Change::RemoveMaker(name) => {
                self.makers.remove(name);
            }
            Change::PutLastGood(new) => self.last_good.put((**new).clone()),
            Change::RemoveLastGood { mac, ssid } => self.last_good.remove(*mac, ssid),
            Change::Ignore(mac, true) => {
                self.ignored.insert(*mac);
            }
            Change::Ignore(mac, false) => {
                self.ignored.remove(mac);
            }
        }
    }

    fn index(&mut self, device: &Device) {
        self.by_name.insert(folded(&device.name), device.id);
        for bound in &device.macs {
            self.by_mac.insert(bound.mac, device.id);
        }
        if let Some(eap) = &device.eap {
            if let Some(psk) = &eap.psk {
                self.by_nai.insert(psk.nai.clone(), device.id);
            }
            for certificate in &eap.certificates {
                self.by_certificate.insert(certificate.known_by.clone(), device.id);
            }
        }
        if device.key.is_some() && device.has_room() {
            self.open.or_default(device.profile.clone()).insert(device.id);
        }
    }

    fn unindex(&mut self, id: DeviceId) {
        let Some(Entry { device, .. }) = self.entries.get(&id) else { return };
        self.by_name.remove(&folded(&device.name));
        for bound in &device.macs {
            if self.by_mac.get(&bound.mac) == Some(&id) {
                self.by_mac.remove(&bound.mac);
            }
        }
        if let Some(eap) = &device.eap {
            if let Some(psk) = &eap.psk
                && self.by_nai.get(&psk.nai) == Some(&id)
            {
                self.by_nai.remove(&psk.nai);
            }
            for certificate in &eap.certificates {
                if self.by_certificate.get(&certificate.known_by) == Some(&id) {
                    self.by_certificate.remove(&certificate.known_by);
                }
            }
        }
        if let Some(ids) = self.open.get_mut(&device.profile) {
            ids.remove(&id);
            if ids.is_empty() {
                self.open.remove(&device.profile);
            }
        }
    }
}

/// The form under which names are compared; shares the name itself when that is in lower case.
fn folded(name: &Arc<str>) -> Arc<str> {
    if name.bytes().any(|b| b.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.clone() }
}

impl Device {
    /// True when the device has no credential of its own: an approved one that still uses the SSID's onboarding key.
    pub fn uses_onboarding_key(&self) -> bool {
        self.key.is_none() && self.eap.is_none()
    }

    /// True when an address that is not bound yet may use this device's key.
    /// A blocked device has no room; whether it is expired is a question of the time asked.
    pub fn has_room(&self) -> bool {
        !self.uses_onboarding_key()
            && !self.blocked
            && match self.bind {
                Bind::First => {
                    let most = if self.max_devices == 0 { MAX_MACS } else { usize::from(self.max_devices) };
                    self.macs.len() < most.min(MAX_MACS)
                }
                Bind::Mac => false,
                Bind::Any => true,
            }
    }

    /// True from the moment of expiry on.
    pub fn is_expired(&self, now: UnixTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// True when this address is bound to the device.
    pub fn has_mac(&self, mac: MacAddr) -> bool {
        self.macs.iter().any(|bound| bound.mac == mac)
    }

    /// The binding of an address that has just proved the key, if there is anything to bind.
    pub fn binding(&self, mac: MacAddr, now: UnixTime) -> Option<BoundMac> {
        let binds = self.bind == Bind::First && self.has_room() && !self.has_mac(mac);
        binds.then_some(BoundMac { mac, proved: true, since: now })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A device as the tests of several modules need it.
    pub(crate) fn device(id: u32, name: &str, profile: &str, key: &str) -> Device {
        Device {
            id: DeviceId(id),
            name: name.into(),
            profile: profile.into(),
            key: Passphrase::new(key).ok(),
            key_serial: 1,
            bind: Bind::First,
            max_devices: 1,
            macs: Vec::new(),
            expires: None,
            blocked: false,
            created: UnixTime(1_700_000_000),
            eap: None,
            places: Vec::new(),
        }
    }

    fn mac(last: u8) -> MacAddr {
        MacAddr([0, 0x1a, 0x11, 0, 0, last])
    }

    #[test]
    fn indexes_follow_every_change() {
        let mut registry = Registry::load(
            vec![device(1, "Lamp", "iot", "k7m3p-xw9tq-rrdfg"), device(4, "tv", "media", "hh2kd-88ffj-qpwoe")],
            vec![mac(9)],
            vec![(DeviceId(4), Seen { accepted: 7, ..Seen::default() })],
            DeviceId(9),
        );
        assert_eq!(registry.by_name("lAMP").map(|d| d.id), Some(DeviceId(1)));
        assert_eq!(registry.open_profiles().map(|(p, n)| (&**p, n)).collect::<Vec<_>>(), [("iot", 1), ("media", 1)]);
        assert_eq!(registry.next_id(), DeviceId(9));
        assert_eq!(registry.seen(DeviceId(4)).accepted, 7);

        let bound = registry.get(DeviceId(1)).and_then(|d| d.binding(mac(1), UnixTime(5))).expect("has room");
        registry.apply(&Change::Bind(DeviceId(1), bound));
        assert_eq!(registry.by_mac(mac(1)).map(|d| &*d.name), Some("Lamp"));
        assert_eq!(registry.open_devices("iot").count(), 0, "the only place is taken");
        assert_eq!(registry.by_mac(mac(1)).and_then(|d| d.binding(mac(2), UnixTime(6))), None);

        let mut renamed = registry.get(DeviceId(1)).cloned().expect("there");
        renamed.name = "desk-lamp".into();
        renamed.profile = "media".into();
        renamed.macs.clear();
        registry.apply(&Change::Put(vec![renamed]));
        assert!(registry.by_name("lamp").is_none() && registry.by_mac(mac(1)).is_none());
        assert_eq!(registry.open_devices("media").map(|d| d.id.0).collect::<Vec<_>>(), [4, 1], "newest first");

        registry.apply(&Change::Remove(DeviceId(4)));
        assert!(registry.by_name("tv").is_none());
        assert_eq!(registry.len(), 1);
        assert!(registry.is_ignored(mac(9)));
        registry.apply(&Change::Ignore(mac(9), false));
        assert!(!registry.is_ignored(mac(9)));
    }

    #[test]
    fn nai_and_certificates_follow_every_change() {
        use credential::{Certificate, EapCredentials, EapPsk};
        let certificate = |hash| Certificate {
            known_by: KnownBy::Fingerprint([hash; 32]),
            subject: "".into(),
            not_after: None,
            mud_url: None,
            issued: false,
            since: UnixTime(1),
        };
        let with = |id, name: &str, nai: &str, hashes: &[u8]| Device {
            eap: Some(Box::new(EapCredentials {
                psk: Some(EapPsk { nai: nai.into(), key: EapPskKey::new([id as u8; 16]) }),
                certificates: hashes.iter().map(|hash| certificate(*hash)).collect(),
                serial: 1,
            })),
            ..device(id, name, "iot", "")
        };
        let holders = |registry: &Registry| {
            let nais = ["a@x", "b@x", "A@x"].map(|nai| registry.by_nai(nai).map(|d| d.id.0));
            let hashes = [1, 2, 3].map(|n| registry.holder(&KnownBy::Fingerprint([n; 32]), None).map(|d| d.id.0));
            (nais, hashes)
        };
        let devices = vec![with(1, "a", "a@x", &[1, 2]), with(2, "b", "b@x", &[3])];
        let mut registry = Registry::load(devices, vec![], vec![], DeviceId(3));
        assert_eq!(holders(&registry), ([Some(1), Some(2), None], [Some(1), Some(1), Some(2)]), "octet for octet");
        assert!(registry.holder(&KnownBy::Fingerprint([1; 32]), Some(DeviceId(1))).is_none(), "its own");
        // Another name of the device, another NAI, one certificate less.
        registry.apply(&Change::Put(vec![with(1, "c", "A@x", &[2])]));
        assert_eq!(holders(&registry), ([None, Some(2), Some(1)], [None, Some(1), Some(2)]));
        // All of one change hands, in one step.
        registry.apply(&Change::Put(vec![with(2, "b", "A@x", &[2]), with(1, "c", "b@x", &[3])]));
        assert_eq!(holders(&registry), ([None, Some(1), Some(2)], [None, Some(2), Some(1)]));
        registry.apply(&Change::Bind(DeviceId(1), BoundMac { mac: mac(1), proved: true, since: UnixTime(2) }));
        registry.apply(&Change::Remove(DeviceId(2)));
        assert_eq!(holders(&registry), ([None, Some(1), None], [None, None, Some(1)]));
        registry.apply(&Change::Put(vec![device(1, "c", "iot", "k7m3p-xw9tq-rrdfg")]));
        assert_eq!(holders(&registry), ([None; 3], [None; 3]));
    }

    #[test]
    fn a_blocked_or_bound_device_has_no_room() {
        let mut d = device(1, "lamp", "iot", "k7m3p-xw9tq-rrdfg");
        assert!(d.has_room());
        d.blocked = true;
        assert!(!d.has_room());
        d.blocked = false;
        d.bind = Bind::Mac;
        assert!(!d.has_room());
        d.bind = Bind::Any;
        assert!(d.has_room());
        assert_eq!(d.binding(mac(1), UnixTime(1)), None, "any address may use it: nothing to bind");
    }

    #[test]
    fn counters_are_saved_once() {
        let mut registry =
            Registry::load(vec![device(1, "lamp", "iot", "k7m3p-xw9tq-rrdfg")], vec![], vec![], DeviceId(2));
        registry.count(DeviceId(1), true, mac(1), UnixTime(77));
        registry.count(DeviceId(1), false, mac(2), UnixTime(78));
        let changed = registry.get(DeviceId(1)).cloned().expect("there");
        registry.apply(&Change::Put(vec![changed]));
        let saved = registry.take_unsaved();
        assert_eq!(
            saved,
            [(DeviceId(1), Seen { last_seen: UnixTime(77), last_mac: Some(mac(1)), accepted: 1, refused: 1 })]
        );
        assert!(registry.take_unsaved().is_empty());
    }
}
