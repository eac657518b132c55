//! What hostapd's key file and its SAE passwords have to be for a network with the backend `psk-file`: a function of
//! the configuration, the registry, the computed keys and the time.
//!
//! hostapd tries the last line first, and takes the VLAN of the line whose key fits. So whoever may have a line of his own
//! comes after the lines for every station, and the onboarding key for every station comes first.

use super::{Core, Now};
use crate::config::{Backend, Config, Security, Ssid};
use crate::decision::hours::{Moment, check_hours};
use crate::decision::{KeyRef, may_be_on};
use crate::mac::MacAddr;
use crate::registry::device::{Bind, Device};
use crate::secret::{Passphrase, Pmk};
use crate::sorted::SortedMap;
use crate::wire::pskfile::{KeyId, Line, MAX_LINE, set_sae_password};
use sha2::{Digest, Sha256};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The first line of a key file.
pub const HEADER: &str = "# Written by latchkey: changes made here are lost.\n";
/// How many addresses of one network get an SAE password. hostapd prepares all anew with each one it is given, which
/// takes it about 1 ms for each on a fast machine: the work grows with the square.
pub const SAE_ADDRESSES: usize = 128;

/// How many names are said.
const NAMES: usize = 10;

/// What an address, or every one, is to be able to join with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaeEntry {
    /// The address; none for every address that has no entry.
    pub mac: Option<MacAddr>,
    /// The password and its VLAN; none when nothing is to let it in.
    pub key: Option<(Passphrase, Option<u16>)>,
}

/// The SAE passwords of a network.
#[derive(Debug, Default)]
pub struct SaeWanted {
    /// At most one of each address, in the order of registration.
    pub entries: Vec<SaeEntry>,
    /// Devices that cannot join with WPA3, since hostapd has to know their addresses before.
    pub without_address: Vec<Arc<str>>,
    /// Devices that cannot join with WPA3, since hostapd would read their passphrases as something else.
    pub unsayable: Vec<Arc<str>>,
    /// Devices that are too many for hostapd.
    pub too_many: Vec<Arc<str>>,
}

/// The SAE passwords that a BSS was given since it was enabled, as far as they still matter. Digests, not passwords.
#[derive(Debug, Default)]
pub struct SaeGiven {
    /// For every address, and then for single ones; none when it is not known what hostapd has.
    every: Option<[u8; 32]>,
    single: SortedMap<MacAddr, [u8; 32]>,
    /// How many hostapd keeps: it forgets none.
    pub kept: usize,
}

impl SaeGiven {
    /// It is not known any more which passwords hostapd has; only that it has not fewer than before.
    pub fn forget(&mut self) {
        *self = SaeGiven { kept: self.kept, ..SaeGiven::default() };
    }

    /// The requests that make what hostapd has into what it should have; to be sent in this order. hostapd removes no
    /// password, but the last one set for an address counts, and one for every address hides all before it. So where there
    /// is to be none, one is set that nobody knows, which `random` makes.
    pub fn plan(&mut self, wanted: &[SaeEntry], mut random: impl FnMut() -> Passphrase) -> Vec<Zeroizing<String>> {
        let mut requests = Vec::new();
        let every = wanted.iter().find(|entry| entry.mac.is_none()).and_then(|entry| entry.key.clone());
        let digest = digest(every.as_ref());
        if self.every != Some(digest) {
            requests.extend(self.request(None, every.as_ref(), &mut random));
            self.every = Some(digest);
            self.single.clear();
        }
        let mut gone = self.single.clone();
        for entry in wanted {
            let Some(mac) = entry.mac else { continue };
            gone.remove(&mac);
            self.set(mac, entry.key.as_ref(), &mut random, &mut requests);
        }
        for (mac, _) in gone {
            // An address of nobody any more is one of every.
            self.set(mac, every.as_ref(), &mut random, &mut requests);
        }
        requests
    }

    fn set(
        &mut self,
        mac: MacAddr,
        key: Option<&(Passphrase, Option<u16>)>,
        random: &mut impl FnMut() -> Passphrase,
        requests: &mut Vec<Zeroizing<String>>,
    ) {
        let digest = digest(key);
        if self.single.get(&mac) != Some(&digest) && (key.is_some() || self.would_be_let_in(mac)) {
            requests.extend(self.request(Some(mac), key, random));
            self.single.insert(mac, digest);
        }
    }

    /// Without another entry, an address could be let in.
    fn would_be_let_in(&self, mac: MacAddr) -> bool {
        self.single.contains_key(&mac) || self.every != Some(digest(None))
    }

    fn request(
        &mut self,
        mac: Option<MacAddr>,
        key: Option<&(Passphrase, Option<u16>)>,
        random: &mut impl FnMut() -> Passphrase,
    ) -> Option<Zeroizing<String>> {
        self.kept += 1;
        let request = key.and_then(|(key, vlan)| set_sae_password(key, mac, *vlan));
        request.or_else(|| set_sae_password(&random(), mac, None))
    }
}

fn digest(key: Option<&(Passphrase, Option<u16>)>) -> [u8; 32] {
    key.map_or([0; 32], |(key, vlan)| {
        let mut hash = Sha256::new();
        hash.update(vlan.unwrap_or(0).to_be_bytes());
        hash.update(key.expose());
        hash.finalize().into()
    })
}

impl Config {
    /// The networks whose keys hostapd reads from a file. With WPA3 alone there is no file: it knows no PMKs beforehand.
    pub fn key_files(&self) -> impl Iterator<Item = &Ssid> {
        self.ssids.iter().filter(|ssid| ssid.has_key_file())
    }
}

impl Ssid {
    /// True when hostapd reads the keys of this network from a file.
    pub fn has_key_file(&self) -> bool {
        self.backend == Backend::PskFile && self.security != Security::Wpa3
    }

    /// True when hostapd is given SAE passwords for this network.
    pub fn has_sae_passwords(&self) -> bool {
        self.backend == Backend::PskFile && self.security != Security::Wpa2
    }
}

impl Core {
    /// The VLAN of somebody who knows nothing but the onboarding key of a network. `None` when he is not let in at this time.
    fn onboarding_vlan(&self, ssid: &Ssid, moment: &Moment<'_>, now: Now) -> Option<Option<u16>> {
        let terms = self.onboarding_terms(&ssid.ssid, now.mono)?;
        let profile = self.config.profile(&terms.profile)?;
        check_hours(profile, moment).is_ok().then_some(terms.vlan)
    }

    /// The key file of a network, equal whenever the state is.
    pub fn key_file(&self, ssid: &Ssid, now: Now) -> Zeroizing<String> {
        let lines = self.key_lines(ssid, now);
        let mut text = Zeroizing::new(String::with_capacity(HEADER.len() + lines.len() * MAX_LINE));
        text.push_str(HEADER);
        for line in lines {
            line.write(&mut text);
        }
        text
    }

    fn key_lines(&self, ssid: &Ssid, now: Now) -> Vec<Line<'_>> {
        let (mut open, mut shared, mut own) = (Vec::new(), Vec::new(), Vec::new());
        let now = self.time.effective(now);
        let moment = self.moment(now.wall);
        let onboarding: Option<&Pmk> = self.keyring.pmk(&ssid.ssid, KeyRef::Onboarding);
        if let (Some(pmk), Some(vlan)) = (onboarding, self.onboarding_vlan(ssid, &moment, now)) {
            open.push(Line { keyid: KeyId::Onboarding, vlan, mac: None, pmk });
        }
        // At which access point, hostapd cannot be told: who is at the wrong one is taken off.
        let may =
            |device: &&Device| self.admissible_at(device, &moment).is_ok() && may_be_on(&device.places, &ssid.ssid);
        for device in self.registry.devices().filter(may) {
            let vlan = self.config.profile(&device.profile).and_then(|profile| profile.vlan);
            let macs = device.macs.iter().map(|bound| Some(bound.mac));
            if device.uses_onboarding_key() {
                let line = |mac, pmk| Line { keyid: KeyId::Onboarding, vlan, mac, pmk };
                shared.extend(onboarding.into_iter().flat_map(|pmk| macs.clone().map(move |mac| line(mac, pmk))));
                continue;
            }
            let Some(pmk) = self.keyring.pmk(&ssid.ssid, KeyRef::Device(device.id)) else { continue };
            let keyid = KeyId::Device { id: device.id.0, serial: device.key_serial };
            if device.has_room() {
                open.push(Line { keyid, vlan, mac: None, pmk });
            } else {
                own.extend(macs.map(|mac| Line { keyid, vlan, mac, pmk }));
            }
        }
        open.extend(shared);
        open.extend(own);
        open
    }

    /// The SAE passwords of a network.
    pub fn sae_passwords(&self, ssid: &Ssid, now: Now) -> SaeWanted {
        let mut wanted = SaeWanted::default();
        let now = self.time.effective(now);
        let moment = self.moment(now.wall);
        let onboarding = ssid.unknown.onboarding_key();
        if let (Some(key), Some(vlan)) = (onboarding, self.onboarding_vlan(ssid, &moment, now)) {
            wanted.entries.push(SaeEntry { mac: None, key: Some((key.clone(), vlan)) });
        }
        let mut addresses = 0;
        for device in self.registry.devices() {
            let admissible = self.admissible_at(device, &moment).is_ok() && may_be_on(&device.places, &ssid.ssid);
            let vlan = self.config.profile(&device.profile).and_then(|profile| profile.vlan);
            let shared = onboarding.filter(|_| device.uses_onboarding_key());
            let wifi = device.key.is_some() || device.uses_onboarding_key();
            let key = device.key.as_ref().or(shared).filter(|_| admissible);
            let said = key.is_none_or(|key| set_sae_password(key, None, vlan).is_some());
            if !said {
                wanted.unsayable.push(device.name.clone());
            } else if admissible && wifi && (device.macs.is_empty() || device.bind == Bind::Any) {
                wanted.without_address.push(device.name.clone());
            }
            if addresses + device.macs.len() > SAE_ADDRESSES {
                wanted.too_many.push(device.name.clone());
                continue;
            }
            addresses += device.macs.len();
            let key = key.filter(|_| said).map(|key| (key.clone(), vlan));
            wanted.entries.extend(device.macs.iter().map(|bound| SaeEntry { mac: Some(bound.mac), key: key.clone() }));
        }
        wanted
    }

    /// Which devices cannot join a network with WPA3, and what to do about it: a line for each cause, empty when there are none.
    pub fn without_wpa3(&self, ssid: &Ssid, now: Now) -> String {
        let wanted = self.sae_passwords(ssid, now);
        let mend_address = if ssid.security == Security::Mixed {
            "hostapd has to know a device's address before it can join with WPA3. It is bound when the device joins with WPA2 \
             once, or: latchkey device set NAME mac+=ADDRESS bind=mac"
        } else {
            "hostapd has to know a device's address before it can join with WPA3: latchkey device set NAME mac+=ADDRESS bind=mac"
        };
        let too_many = format!(
            "hostapd is given the passwords of {SAE_ADDRESSES} addresses only, since each costs it time. Use option security 'wpa2'"
        );
        let mut text = String::new();
        for (names, why) in [
            (&wanted.without_address, mend_address),
            (
                &wanted.unsayable,
                "the passphrase contains |mac=, |vlanid=, |pk= or |id=, which hostapd takes for the end of a WPA3 password: \
                 latchkey device rotate NAME",
            ),
            (&wanted.too_many, &too_many),
        ] {
            if names.is_empty() {
                continue;
            }
            let shown: Vec<&str> = names.iter().take(NAMES).map(|name| &**name).collect();
            let more = match names.len().saturating_sub(NAMES) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            text += &format!(
                "SSID {:?}: not with WPA3: {}{more}: {why}\n",
                String::from_utf8_lossy(&ssid.ssid),
                shown.join(", ")
            );
        }
        text
    }

    /// Another number when the time alone has changed who may be on the air, and how.
    pub fn admission(&self, now: Now) -> u64 {
        let mut hash = DefaultHasher::new();
        let now = self.time.effective(now);
        let moment = self.moment(now.wall);
        for device in self.registry.devices().filter(|device| self.admissible_at(device, &moment).is_ok()) {
            device.id.0.hash(&mut hash);
        }
        for ssid in &self.config.ssids {
            self.onboarding_vlan(ssid, &moment, now).hash(&mut hash);
        }
        hash.finish()
    }

    /// A passphrase that nobody knows.
    pub fn unknown_passphrase(&mut self) -> Passphrase {
        let mut octets = Zeroizing::new([0; 30]);
        (self.random)(octets.as_mut_slice());
        let mut text = Zeroizing::new(String::with_capacity(60));
        for octet in octets.iter() {
            for digit in [octet >> 4, octet & 0xf] {
                text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
        // Printable and of the right length: it is one.
        Passphrase::new(&text).unwrap_or_else(|_| self.unknown_passphrase())
    }

    /// True when hostapd does not ask for the keys of a network.
    pub fn reads_keys(&self, ssid: &[u8]) -> bool {
        self.config.ssid(ssid).is_some_and(|ssid| ssid.backend == Backend::PskFile)
    }
}

#[cfg(test)]
mod tests;
