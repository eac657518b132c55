//! Answers that await their proof. With `wpa_psk_radius=1|2` the NAS asks before the handshake; that the device
//! proved its key shows when the NAS accounts for it. Until then an Accept is an offer.

use crate::mac::MacAddr;
use crate::registry::device::DeviceId;
use crate::time::UnixTime;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// How many answers are remembered. One takes about 150 octets.
const GRANTS: usize = 1024;
/// Seconds within which a device that has the key is connected: 4 tries of the handshake take 4 s.
pub const PROOF_WITHIN: i64 = 10;

/// An Accept that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The devices it may be: one when it is certain.
    pub devices: Vec<DeviceId>,
    /// The VLAN given.
    pub vlan: Option<u16>,
    /// The profile given.
    pub profile: Arc<str>,
    /// The client that asked.
    pub client: Arc<str>,
    /// The NAS in words.
    pub nas: Arc<str>,
    /// The network.
    pub ssid: Arc<[u8]>,
    /// When.
    pub at: UnixTime,
    /// The device proved its key: in the handshake, or by being connected.
    pub proved: bool,
    /// The missing proof was reported.
    pub reported: bool,
    /// Answers to this unknown address that came to nothing before this one.
    pub attempt: u32,
}

/// The answers, one for each address.
#[derive(Debug, Default)]
pub struct Grants {
    by_mac: HashMap<MacAddr, Grant>,
    /// In the order of the answers; may hold addresses that were answered again later.
    order: VecDeque<(UnixTime, MacAddr)>,
    /// Answers without proof, in order.
    unproved: VecDeque<(UnixTime, MacAddr)>,
}

impl Grants {
    /// Remembers an answer.
    pub fn insert(&mut self, mac: MacAddr, grant: Grant) {
        while self.order.len() >= GRANTS {
            let Some((at, oldest)) = self.order.pop_front() else { break };
            if self.by_mac.get(&oldest).is_some_and(|grant| grant.at == at) {
                self.by_mac.remove(&oldest);
            }
        }
        self.order.push_back((grant.at, mac));
        if !grant.proved {
            self.unproved.push_back((grant.at, mac));
            if self.unproved.len() > GRANTS {
                self.unproved.pop_front();
            }
        }
        self.by_mac.insert(mac, grant);
    }

    /// The last answer for an address.
    pub fn get(&self, mac: MacAddr) -> Option<&Grant> {
        self.by_mac.get(&mac)
    }

    /// The last answer for an address, to be marked.
    pub fn get_mut(&mut self, mac: MacAddr) -> Option<&mut Grant> {
        self.by_mac.get_mut(&mac)
    }

    /// The answers whose proof is overdue. Each is reported once.
    pub fn overdue(&mut self, now: UnixTime) -> Vec<(MacAddr, Grant)> {
        let mut overdue = Vec::new();
        // A clock that is set back must not keep answers waiting for ever.
        while let Some((at, mac)) = self.unproved.front().copied()
            && !(0..PROOF_WITHIN).contains(&(now.0 - at.0))
        {
            self.unproved.pop_front();
            if let Some(grant) = self.by_mac.get_mut(&mac)
                && grant.at == at
                && !grant.proved
                && !grant.reported
            {
                grant.reported = true;
                overdue.push((mac, grant.clone()));
            }
        }
        overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(n: u32) -> MacAddr {
        let [a, b, c, d] = n.to_be_bytes();
        MacAddr([2, 0, a, b, c, d])
    }

    fn grant(at: i64, proved: bool) -> Grant {
        Grant {
            devices: vec![DeviceId(1)],
            vlan: None,
            profile: "iot".into(),
            client: "ap".into(),
            nas: "ap".into(),
            ssid: b"Home"[..].into(),
            at: UnixTime(at),
            proved,
            reported: false,
            attempt: 0,
        }
    }

    #[test]
    fn a_missing_proof_is_reported_once() {
        let mut grants = Grants::default();
        grants.insert(mac(1), grant(100, false));
        grants.insert(mac(2), grant(100, true));
        grants.insert(mac(3), grant(100, false));
        if let Some(third) = grants.get_mut(mac(3)) {
            third.proved = true;
        }
        assert!(grants.overdue(UnixTime(109)).is_empty());
        assert_eq!(grants.overdue(UnixTime(110)).iter().map(|(m, _)| *m).collect::<Vec<_>>(), [mac(1)]);
        assert!(grants.overdue(UnixTime(200)).is_empty());
    }

    #[test]
    fn a_later_answer_starts_the_time_again() {
        let mut grants = Grants::default();
        grants.insert(mac(1), grant(100, false));
        grants.insert(mac(1), grant(105, false));
        assert!(grants.overdue(UnixTime(112)).is_empty());
        assert_eq!(grants.overdue(UnixTime(115)).len(), 1);
    }

    #[test]
    fn memory_is_bounded() {
        let mut grants = Grants::default();
        for n in 0..3 * GRANTS as u32 {
            grants.insert(mac(n), grant(i64::from(n), false));
        }
        assert!(grants.by_mac.len() <= GRANTS && grants.order.len() <= GRANTS && grants.unproved.len() <= GRANTS);
        assert!(grants.get(mac(3 * GRANTS as u32 - 1)).is_some());
    }
}
