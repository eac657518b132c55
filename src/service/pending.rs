//! Unknown devices that knocked: a bounded list from which the administrator approves.

use super::{Core, News};
use crate::config::Config;
use crate::decision::reason::{PeerReason, Reason};
use crate::mac::MacAddr;
use crate::pki::CertificateInfo;
use crate::time::UnixTime;
use std::collections::HashMap;
use std::sync::Arc;

/// How many unknown devices are remembered; the one not heard of for longest makes room.
pub const PENDING: usize = 256;

/// An unknown device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its address.
    pub mac: MacAddr,
    /// Where it wants to.
    pub ssid: Arc<[u8]>,
    /// Through which NAS.
    pub nas: Arc<str>,
    /// When it first knocked.
    pub first_seen: UnixTime,
    /// When it last knocked.
    pub last_seen: UnixTime,
    /// How often.
    pub attempts: u32,
    /// The last decision's reason.
    pub reason: Reason,
    /// The best that it has proved, at this `ssid` and through this `nas`; of certificates and identities the first.
    pub proved: Proved,
    /// Another certificate that was shown at this address later; the last one, if there were several. Addresses can be made
    /// up, so it takes nothing from the first.
    pub other: Option<Proved>,
}

/// What an unknown device has proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proved {
    /// Nothing: it is an address and no more.
    Nothing,
    /// The key of a registered device, which is not for its address.
    KeyOf(Arc<str>),
    /// The onboarding key of the SSID.
    Onboarding,
    /// That it has a certificate for which a maker vouches.
    Certificate {
        /// What it says.
        info: Arc<CertificateInfo>,
        /// The maker.
        maker: Arc<str>,
    },
    /// That the servers of a realm know it.
    Peer {
        /// The name of the `config realm`.
        realm: Arc<str>,
        /// What they call it.
        identity: Arc<str>,
    },
}

impl Proved {
    /// What a decision says of it.
    fn of(reason: &Reason) -> Proved {
        match reason {
            Reason::Quarantined | Reason::NoPairing => Proved::Onboarding,
            Reason::KeyOfOther { owner } => Proved::KeyOf(owner.clone()),
            _ => Proved::Nothing,
        }
    }

    /// The fingerprint of the certificate, if it is one.
    pub fn fingerprint(&self) -> Option<&[u8; 32]> {
        match self {
            Proved::Certificate { info, .. } => Some(&info.fingerprint),
            Proved::Nothing | Proved::KeyOf(_) | Proved::Onboarding | Proved::Peer { .. } => None,
        }
    }

    /// What tells it from others at this address: the fingerprint of a certificate in hexadecimal digits, or the identity.
    pub fn mark(&self) -> Option<String> {
        match self {
            Proved::Certificate { info, .. } => Some(super::control::hex(&info.fingerprint)),
            Proved::Peer { identity, .. } => Some((**identity).to_owned()),
            Proved::Nothing | Proved::KeyOf(_) | Proved::Onboarding => None,
        }
    }

    /// It is something that the administrator may approve, and that addresses can be made up for.
    fn is_identity(&self) -> bool {
        matches!(self, Proved::Certificate { .. } | Proved::Peer { .. })
    }

    /// True when both are the same certificate, or the same device of a realm.
    fn is_same(&self, other: &Proved) -> bool {
        match (self, other) {
            (Proved::Certificate { info, .. }, Proved::Certificate { info: other, .. }) => {
                info.fingerprint == other.fingerprint
            }
            _ => self == other,
        }
    }

    /// How much it says: the onboarding key is what an approval can be bound to.
    fn worth(&self) -> u8 {
        match self {
            Proved::Nothing => 0,
            Proved::KeyOf(_) => 1,
            Proved::Onboarding => 2,
            Proved::Certificate { .. } | Proved::Peer { .. } => 3,
        }
    }
}

/// True when a device whose request came to this end belongs on the list.
pub fn is_for(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::UnknownDevice
            | Reason::NoneProved { .. }
            | Reason::KeyOfOther { .. }
            | Reason::Quarantined
            | Reason::NoPairing
            | Reason::NotApproved { .. }
            | Reason::MakerFull { .. }
            | Reason::Peer(PeerReason::NotApproved { .. } | PeerReason::Full { .. } | PeerReason::Unknown { .. })
    )
}

/// The list.
#[derive(Debug, Default)]
pub struct PendingList {
    by_mac: HashMap<MacAddr, Pending>,
    /// Counts the changes.
    version: u64,
}

impl PendingList {
    /// Notes a knock. `seen` carries the circumstances; times and counts of earlier knocks are kept, and what the device
    /// proved, with where it did: that it knocks elsewhere without a proof takes nothing from it.
    pub fn note(&mut self, mut seen: Pending) {
        self.version += 1;
        if let Some(known) = self.by_mac.get(&seen.mac) {
            seen.first_seen = known.first_seen;
            seen.attempts = known.attempts.saturating_add(1);
            seen.other = known.other.clone();
            if known.proved.worth() > seen.proved.worth() {
                seen.proved = known.proved.clone();
                seen.ssid = known.ssid.clone();
                seen.nas = known.nas.clone();
                seen.reason = known.reason.clone();
            }
        } else if self.by_mac.len() >= PENDING
            && let Some(oldest) = self.by_mac.values().min_by_key(|p| p.last_seen).map(|p| p.mac)
        {
            self.by_mac.remove(&oldest);
        }
        self.by_mac.insert(seen.mac, seen);
    }

    /// A device on the list has proved something. The certificate that was first shown at an address stays: the
    /// administrator must not approve one that took its place while he was looking.
    pub fn prove(&mut self, mac: MacAddr, proved: Proved) {
        self.version += 1;
        let Some(pending) = self.by_mac.get_mut(&mac) else { return };
        match &pending.proved {
            first if first.is_same(&proved) => {}
            first if first.is_identity() => pending.other = Some(proved),
            _ => pending.proved = proved,
        }
    }

    /// A device on the list.
    pub fn get(&self, mac: MacAddr) -> Option<&Pending> {
        self.by_mac.get(&mac)
    }

    /// Takes a device off the list.
    pub fn remove(&mut self, mac: MacAddr) -> Option<Pending> {
        let removed = self.by_mac.remove(&mac);
        self.version += u64::from(removed.is_some());
        removed
    }

    /// Another one after every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The devices, the latest first.
    pub fn list(&self) -> Vec<&Pending> {
        let mut list: Vec<&Pending> = self.by_mac.values().collect();
        list.sort_by_key(|pending| (std::cmp::Reverse(pending.last_seen), pending.mac));
        list
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_mac.len()
    }

    /// True when nobody knocked.
    pub fn is_empty(&self) -> bool {
        self.by_mac.is_empty()
    }
}

impl Core {
    /// Puts an unknown device on the list after a decision, if it belongs there and the administrator does not ignore
    /// it.
    pub fn note_pending(&mut self, mac: MacAddr, ssid: &Arc<[u8]>, nas: &Arc<str>, reason: &Reason, now: UnixTime) {
        if !is_for(reason) || self.registry.knows(mac) || self.registry.is_ignored(mac) {
            return;
        }
        let known = self.pending.get(mac).is_some();
        self.pending.note(Pending {
            mac,
            ssid: ssid.clone(),
            nas: nas.clone(),
            first_seen: now,
            last_seen: now,
            attempts: 1,
            reason: reason.clone(),
            proved: Proved::of(reason),
            other: None,
        });
        if let Some(fresh) = self.pending.get(mac).filter(|_| !known) {
            (self.sink)(News::Pending(fresh));
        }
    }

    /// Another configuration is in force: who proved an onboarding key that is no more has proved nothing.
    pub(super) fn forget_stale_proofs(&mut self, old: &Config) {
        self.pending.version += 1;
        let key =
            |config: &Config, ssid: &[u8]| config.ssid(ssid).and_then(|ssid| ssid.unknown.onboarding_key().cloned());
        for pending in self.pending.by_mac.values_mut().filter(|pending| pending.proved == Proved::Onboarding) {
            if key(old, &pending.ssid) != key(&self.config, &pending.ssid) {
                pending.proved = Proved::Nothing;
                pending.reason = Reason::UnknownDevice;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knock(last: u16, at: i64) -> Pending {
        let [high, low] = last.to_be_bytes();
        Pending {
            mac: MacAddr([2, 0, 0, 0, high, low]),
            ssid: b"Home"[..].into(),
            nas: "ap".into(),
            first_seen: UnixTime(at),
            last_seen: UnixTime(at),
            attempts: 1,
            reason: Reason::UnknownDevice,
            proved: Proved::Nothing,
            other: None,
        }
    }

    #[test]
    fn repeated_knocks_are_counted_and_the_list_is_bounded() {
        let mut list = PendingList::default();
        list.note(knock(1, 10));
        list.note(knock(1, 20));
        let one = list.get(knock(1, 0).mac).expect("listed");
        assert_eq!((one.first_seen, one.last_seen, one.attempts), (UnixTime(10), UnixTime(20), 2));
        for n in 0..2 * PENDING as u16 {
            list.note(knock(n + 100, 30 + i64::from(n)));
        }
        assert_eq!(list.len(), PENDING);
        assert!(list.get(knock(1, 0).mac).is_none(), "the oldest made room");
        assert_eq!(list.list()[0].last_seen, UnixTime(30 + 2 * PENDING as i64 - 1));
    }

    #[test]
    fn a_proof_stays_until_a_better_one() {
        let mut list = PendingList::default();
        let seen = |proved, ssid: &[u8], at| Pending { proved, ssid: ssid.into(), ..knock(1, at) };
        for (proved, ssid, at, expected) in [
            (Proved::Nothing, &b"Home"[..], 1, (&b"Home"[..], Proved::Nothing)),
            (Proved::KeyOf("tv".into()), b"Home", 2, (b"Home", Proved::KeyOf("tv".into()))),
            (Proved::Onboarding, b"Welcome", 3, (b"Welcome", Proved::Onboarding)),
            (Proved::Nothing, b"Home", 4, (b"Welcome", Proved::Onboarding)),
            (Proved::KeyOf("tv".into()), b"Home", 5, (b"Welcome", Proved::Onboarding)),
        ] {
            list.note(seen(proved, ssid, at));
            let one = list.get(knock(1, 0).mac).expect("listed");
            assert_eq!((&*one.ssid, one.proved.clone(), one.last_seen), (expected.0, expected.1, UnixTime(at)));
        }
    }
}
