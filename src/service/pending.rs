//! Unknown devices that knocked: a bounded list from which the administrator approves.

use crate::decision::reason::Reason;
use crate::mac::MacAddr;
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
    /// It proved the onboarding key and is in the quarantine profile.
    pub quarantined: bool,
}

/// The list.
#[derive(Debug, Default)]
pub struct PendingList {
    by_mac: HashMap<MacAddr, Pending>,
}

impl PendingList {
    /// Notes a knock. `seen` carries the circumstances; times and counts of earlier knocks are kept.
    pub fn note(&mut self, mut seen: Pending) {
        if let Some(known) = self.by_mac.get(&seen.mac) {
            seen.first_seen = known.first_seen;
            seen.attempts = known.attempts.saturating_add(1);
        } else if self.by_mac.len() >= PENDING
            && let Some(oldest) = self.by_mac.values().min_by_key(|p| p.last_seen).map(|p| p.mac)
        {
            self.by_mac.remove(&oldest);
        }
        self.by_mac.insert(seen.mac, seen);
    }

    /// A device on the list.
    pub fn get(&self, mac: MacAddr) -> Option<&Pending> {
        self.by_mac.get(&mac)
    }

    /// Takes a device off the list.
    pub fn remove(&mut self, mac: MacAddr) -> Option<Pending> {
        self.by_mac.remove(&mac)
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
            quarantined: false,
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
}
