//! Who came to a BSS that reads its keys from a file: hostapd has let the station in already, and says with which key. Here
//! it is decided upon as after any handshake; a key is bound, or the station is taken off again, and kept off.

use super::{Core, Now};
use crate::decision::event::{Event, Method, Outcome};
use crate::decision::reason::Reason;
use crate::decision::{Evidence, Grant, Proof, Refusal, Request};
use crate::mac::MacAddr;
use crate::registry::device::{Change, Device, DeviceId};
use crate::service::revocation::Why;
use crate::sorted::SortedMap;
use crate::wire::hostapd::{Station, is_sae};
use crate::wire::pskfile::KeyId;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many stations are kept off at a time. Of more, hostapd gets rid each time they come.
const HELD: usize = 256;
/// How long a station is kept off that would be let in with another key: it could have been given that one meanwhile.
const HELD_FOR: Duration = Duration::from_secs(30);

/// A station whose handshake is done.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The interface of the BSS.
    pub bss: Arc<str>,
    /// The station.
    pub mac: MacAddr,
    /// Which key of ours it proved.
    pub keyid: Option<KeyId>,
    /// How it authenticated, when it is known.
    pub akm: Option<u32>,
    /// It came just now. One that was there before the daemon makes no event if all is well.
    pub fresh: bool,
    /// When hostapd said so.
    pub at: Instant,
}

/// Stations that are kept off.
#[derive(Debug, Default)]
pub struct Arrivals {
    held: SortedMap<MacAddr, Held>,
}

#[derive(Debug)]
struct Held {
    ssid: Arc<[u8]>,
    ap: Option<MacAddr>,
    evidence: Evidence,
    until: Instant,
}

impl Arrivals {
    /// The addresses that are kept off.
    pub fn held(&self) -> impl Iterator<Item = MacAddr> {
        self.held.keys().copied()
    }
}

impl Arrival {
    /// What a walk through hostapd's list came by.
    pub fn found(bss: &Arc<str>, station: &Station, fresh: bool, at: Instant) -> Arrival {
        Arrival { bss: bss.clone(), mac: station.mac, keyid: station.key(), akm: station.akm, fresh, at }
    }
}

impl Core {
    /// Takes note of a station. What is returned is to be stored: then [`Core::arrival_stored`] says the rest; before, the
    /// registry has to be locked and this called again with `locked`.
    pub fn arrived(&mut self, arrival: &Arrival, locked: bool, now: Now) -> Vec<Change> {
        let now = self.time.effective(now);
        let Some((ssid, ap, evidence)) = self.evidence_of(arrival) else { return Vec::new() };
        let decided = self.decide(&Request::new(arrival.mac, &ssid, ap, evidence), now);
        match &decided {
            Ok(Grant { bind: Some((id, bound)), .. }) => return vec![Change::Bind(*id, *bound)],
            Ok(Grant { register: Some(device), vlan, .. }) => {
                // In the right VLAN already, it need not come back for it.
                let right = self.vlan_of_arrival(arrival) == Some(*vlan);
                if locked {
                    self.pairing.admit(right.then_some(arrival.mac));
                }
                return vec![Change::Put(vec![(**device).clone()])];
            }
            _ => {}
        }
        self.conclude_arrival(arrival, (&ssid, ap), evidence, decided, now);
        Vec::new()
    }

    /// The changes that came with a station were stored (and applied), or not. One whose key could not be bound is taken off:
    /// it would be another one's the next time.
    pub fn arrival_stored(&mut self, arrival: &Arrival, changes: &[Change], stored: bool, now: Now) {
        let now = self.time.effective(now);
        self.pairing.admit(None);
        let Some((ssid, ap, evidence)) = self.evidence_of(arrival) else {
            // Its BSS vanished meanwhile: it is registered all the same, and the window was for one.
            if let ([Change::Put(devices)], true) = (changes, stored) {
                for device in devices {
                    self.paired(device, arrival.mac, &Arc::from([]), &arrival.bss, now.wall);
                }
            }
            return;
        };
        let mut decided = self.decide(&Request::new(arrival.mac, &ssid, ap, evidence), now);
        match &mut decided {
            Ok(grant) if stored => match changes {
                [Change::Bind(..)] => grant.reason = Reason::FirstProof,
                [Change::Put(devices)] => {
                    for device in devices {
                        let (name, profile) = (device.name.clone(), device.profile.clone());
                        grant.reason = Reason::Paired { name, profile };
                        self.paired(device, arrival.mac, &ssid, &arrival.bss, now.wall);
                    }
                }
                _ => {}
            },
            Ok(grant) => decided = Err(Refusal { device: grant.device, reason: Reason::NotStored }),
            Err(_) => {}
        }
        let arrival = Arrival { fresh: true, ..arrival.clone() };
        self.conclude_arrival(&arrival, (&ssid, ap), evidence, decided, now);
    }

    /// What a station proved; nothing when its BSS does not read keys from a file, or hostapd cannot tell.
    fn evidence_of(&self, arrival: &Arrival) -> Option<(Arc<[u8]>, Option<MacAddr>, Evidence)> {
        let (_, bss) = self.stations.bsses().find(|(name, _)| **name == arrival.bss)?;
        let ssid = self.config.ssid(&bss.ssid).filter(|ssid| self.reads_keys(&ssid.ssid))?;
        let has_key = |device: &&Device| device.key.is_some();
        let proof = match arrival.keyid {
            Some(KeyId::Onboarding) => Proof::Onboarding,
            Some(KeyId::Device { id, serial }) => {
                let device = self.registry.get(DeviceId(id)).filter(has_key);
                let device = device.filter(|device| device.key_serial == serial);
                device.map_or(Proof::Nothing, |device| Proof::Device(device.id))
            }
            // With SAE it is the address that has a password.
            None if ssid.has_sae_passwords() && arrival.akm.is_none_or(is_sae) => {
                let device = self.registry.by_mac(arrival.mac).filter(has_key);
                device.map_or(Proof::Onboarding, |device| Proof::Device(device.id))
            }
            None => Proof::Nothing,
        };
        Some((ssid.ssid.clone(), bss.bssid, Evidence::Handshake(proof)))
    }

    /// In which VLAN a station arrived, as far as it is known.
    fn vlan_of_arrival(&self, arrival: &Arrival) -> Option<Option<u16>> {
        let (name, bss) = self.stations.bsses().find(|(name, _)| **name == arrival.bss)?;
        self.vlan_of(name, bss.station(arrival.mac)?)
    }

    fn conclude_arrival(
        &mut self,
        arrival: &Arrival,
        (ssid, ap): (&Arc<[u8]>, Option<MacAddr>),
        evidence: Evidence,
        decided: Result<Grant, Refusal>,
        now: Now,
    ) {
        let mac = arrival.mac;
        if let Err(Refusal { reason: Reason::TooMany { .. }, .. }) = &decided
            && !arrival.fresh
        {
            // Which of those that were there before is the one too many?
            return;
        }
        if let Ok(Grant { device, vlan, .. }) = &decided {
            match device {
                // The limits of a key count those that are here.
                Some(id) => self.present.insert(*id, mac),
                // It came in by the onboarding key while that led elsewhere: for a pairing window that is over.
                None if self.vlan_of_arrival(arrival).is_some_and(|in_vlan| in_vlan != *vlan) => {
                    self.take_off_stranger(mac, Why::NoPairing, now);
                    return;
                }
                None => {}
            }
        }
        let (device, outcome, reason, profile, vlan) = match decided {
            Ok(_) if !arrival.fresh => return,
            Ok(grant) => (grant.device, Outcome::Joined, grant.reason, Some(grant.profile), grant.vlan),
            Err(refusal) => (refusal.device, Outcome::Refused, refusal.reason, None, None),
        };
        let refused = outcome == Outcome::Refused;
        if let Some(id) = device {
            self.registry.count(id, !refused, mac, now.wall);
        }
        if matches!(reason, Reason::UnknownDevice | Reason::Quarantined) && !self.registry.knows(mac) {
            self.note_pending(mac, ssid, &arrival.bss, &reason, now.wall);
        }
        let name = device.and_then(|id| self.registry.get(id)).map(|device| device.name.clone());
        if refused {
            let shown = name.clone().unwrap_or_else(|| "a station".into());
            self.refuse_arrival(mac, &shown, (ssid, ap), evidence, &reason, now.mono);
        }
        let micros = (self.clock)().saturating_duration_since(arrival.at).as_micros();
        self.record(Event {
            id: 0,
            seq: 0,
            at: now.wall,
            first_at: now.wall,
            count: 1,
            device: name,
            mac,
            ssid: ssid.clone(),
            nas: arrival.bss.clone(),
            method: Method::Handshake(arrival.akm),
            outcome,
            reason,
            vlan,
            profile,
            micros: u32::try_from(micros).unwrap_or(u32::MAX),
        });
    }

    /// Takes a station off the air, and keeps it off unless what it proved is in no file any more.
    fn refuse_arrival(
        &mut self,
        mac: MacAddr,
        name: &Arc<str>,
        (ssid, ap): (&Arc<[u8]>, Option<MacAddr>),
        evidence: Evidence,
        reason: &Reason,
        now: Instant,
    ) {
        let standing = !is_of_the_key(reason);
        let proved = evidence != Evidence::Handshake(Proof::Nothing);
        let hold = (proved || standing) && *reason != Reason::NotStored && self.arrivals.held.len() < HELD;
        if hold {
            let held = Held { ssid: ssid.clone(), ap, evidence, until: now + HELD_FOR };
            self.arrivals.held.insert(mac, held);
        }
        self.revocation.refuse(mac, name, Why::Refused, hold);
    }

    /// Lets those come back who may: the device is unblocked, say, or there is room for one more. Who used the wrong key may
    /// try again after a time.
    pub(super) fn tick_arrivals(&mut self, now: Now) {
        let may_come = |core: &Core, mac: MacAddr, held: &Held| {
            match core.decide(&Request::new(mac, &held.ssid, held.ap, held.evidence), now) {
                Ok(_) => true,
                // On a network that is not ours any more, nothing is ours to keep off.
                Err(refusal) if refusal.reason == Reason::SsidMissing => true,
                Err(refusal) => is_of_the_key(&refusal.reason) && held.until <= now.mono,
            }
        };
        let over: Vec<MacAddr> =
            self.arrivals.held.iter().filter(|(mac, held)| may_come(self, **mac, held)).map(|(mac, _)| *mac).collect();
        for mac in over {
            self.arrivals.held.remove(&mac);
            self.revocation.let_back(mac);
        }
    }
}

/// True when the station would be let in with another key.
fn is_of_the_key(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::KeyOfOther { .. }
            | Reason::AddressOfOther { .. }
            | Reason::OnboardingKeyInstead
            | Reason::WrongKey
            | Reason::UnknownDevice
            | Reason::NoOwnKey
            | Reason::NoWifiKey
            | Reason::NotStored
    )
}

#[cfg(test)]
mod tests;
