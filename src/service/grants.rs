//! Answers that await their proof. With `wpa_psk_radius=1|2` the NAS asks before the handshake; that the device
//! proved its key shows when the NAS accounts for it. Until then an Accept is an offer.

use crate::mac::MacAddr;
use crate::pki::Voucher;
use crate::registry::device::{Device, DeviceId};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many answers are remembered. One takes about 150 octets.
const GRANTS: usize = 1024;
/// Within this time a device that has the key is connected: 4 tries of the handshake take 4 s.
pub const PROOF_WITHIN: Duration = Duration::from_secs(10);
/// How long an answer can be what a session was started with: hostapd keeps it for 30 s, then the handshake follows.
const USED_FOR: Duration = Duration::from_secs(60);

/// An Accept that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The devices it may be, one when it is certain, and which of the credentials of this kind it has had.
    pub devices: Vec<(DeviceId, u32)>,
    /// What kind that is.
    pub credential: Credential,
    /// Who vouched for the certificate that was proved.
    pub voucher: Option<Voucher>,
    /// The server of a realm let it in: which realm, and what that server knows the session by. `None`: we did.
    pub vouched: Option<Arc<Vouched>>,
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
    pub at: Instant,
    /// The device proved its key: in the handshake, or by being connected.
    pub proved: bool,
    /// The missing proof was reported.
    pub reported: bool,
    /// Answers to this unknown address that came to nothing before this one.
    pub attempt: u32,
    /// Whether it was an unknown device that was sent the onboarding key, and nothing else.
    pub onboarding: Onboarding,
}

/// That the server of a realm let a device in, and what that server knows the session by: what a Disconnect-Request of it
/// may name (RFC 5176, 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// The section's name of the realm.
    pub realm: Arc<str>,
    /// User-Name as the server was asked: the outer identity of EAP.
    pub user_name: Box<[u8]>,
    /// User-Name of its Access-Accept (RFC 2865, 5.1).
    pub accepted_name: Option<Box<[u8]>>,
    /// Chargeable-User-Identity of its Access-Accept (RFC 4372).
    pub cui: Option<Box<[u8]>>,
    /// The first Class of its Access-Accept.
    pub class: Option<Box<[u8]>>,
}

/// What an answer rests upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Credential {
    /// A Wi-Fi key: numbered by `Device::key_serial`.
    #[default]
    WifiKey,
    /// A credential for EAP: numbered by `EapCredentials::serial`.
    Eap,
}

impl Credential {
    /// Which of the credentials of this kind a device has now; 0 if it has none for EAP.
    pub fn serial(self, device: &Device) -> u32 {
        match self {
            Credential::WifiKey => device.key_serial,
            Credential::Eap => device.eap.as_ref().map_or(0, |eap| eap.serial),
        }
    }
}

/// Whether an answer had the onboarding key for an unknown device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Onboarding {
    /// It had not.
    #[default]
    No,
    /// It had, and led into quarantine.
    Quarantine,
    /// It had, and was meant for the one device of a pairing window.
    Pairing,
}

/// Which answer: the station and the BSSID it asked at. hostapd keeps the answers of each BSS apart, so that a station
/// which looks at two bands is sent different keys by each, and may come back to the first.
pub type Asked = (MacAddr, MacAddr);

/// The answers, the last one of each station at each BSS.
#[derive(Debug, Default)]
pub struct Grants {
    last: HashMap<Asked, Grant>,
    /// In the order of the answers; may hold stations that were answered again later.
    order: VecDeque<(Instant, Asked)>,
    /// Answers without proof, in order.
    unproved: VecDeque<(Instant, Asked)>,
}

impl Grants {
    /// Remembers an answer.
    pub fn insert(&mut self, asked: Asked, grant: Grant) {
        while self.order.len() >= GRANTS {
            let Some((at, oldest)) = self.order.pop_front() else { break };
            if self.last.get(&oldest).is_some_and(|grant| grant.at == at) {
                self.last.remove(&oldest);
            }
        }
        self.order.push_back((grant.at, asked));
        if !grant.proved {
            self.unproved.push_back((grant.at, asked));
            if self.unproved.len() > GRANTS {
                self.unproved.pop_front();
            }
        }
        self.last.insert(asked, grant);
    }

    /// The last answer for a station at a BSS.
    pub fn get(&self, asked: Asked) -> Option<&Grant> {
        self.last.get(&asked)
    }

    /// The last answer for a station, at whichever BSS.
    pub fn last_of(&self, mac: MacAddr) -> Option<&Grant> {
        let of_it = self.last.iter().filter(|((station, _), _)| *station == mac);
        of_it.max_by_key(|(_, grant)| grant.at).map(|(_, grant)| grant)
    }

    /// The stations whose last answers had a device's key.
    pub fn sent_key_of(&self, device: DeviceId) -> impl Iterator<Item = MacAddr> {
        let sent = self.last.iter().filter(move |(_, grant)| grant.devices.iter().any(|(id, _)| *id == device));
        sent.map(|((mac, _), _)| *mac)
    }

    /// Each device whose key the last answer for a station had, with the station.
    pub fn sent_keys(&self) -> impl Iterator<Item = (DeviceId, MacAddr)> {
        self.last.iter().flat_map(|((mac, _), grant)| grant.devices.iter().map(|(id, _)| (*id, *mac)))
    }

    /// The stations whose last answers rest upon a certificate that one of these vouched for, each with its device.
    pub fn vouched_by<'a>(&'a self, vouchers: &'a [Voucher]) -> impl Iterator<Item = (DeviceId, MacAddr)> + 'a {
        let of_them = |grant: &Grant| grant.voucher.as_ref().is_some_and(|voucher| vouchers.contains(voucher));
        let answers = self.last.iter().filter(move |(_, grant)| of_them(grant));
        answers.filter_map(|((mac, _), grant)| Some((grant.devices.first()?.0, *mac)))
    }

    /// The last answers that came from others, with their stations.
    pub fn of_realms(&self) -> impl Iterator<Item = (MacAddr, &Grant)> {
        let answers = self.last.iter().filter(|(_, grant)| grant.vouched.is_some());
        answers.map(|((mac, _), grant)| (*mac, grant))
    }

    /// The last answer for a station at a BSS, to be marked.
    pub fn get_mut(&mut self, asked: Asked) -> Option<&mut Grant> {
        self.last.get_mut(&asked)
    }

    /// The answers whose proof is overdue. Each is reported once.
    pub fn overdue(&mut self, now: Instant) -> Vec<(MacAddr, Grant)> {
        let mut overdue = Vec::new();
        while let Some((at, asked)) = self.unproved.front().copied()
            && now.saturating_duration_since(at) >= PROOF_WITHIN
        {
            self.unproved.pop_front();
            if let Some(grant) = self.last.get_mut(&asked)
                && grant.at == at
                && !grant.proved
                && !grant.reported
            {
                grant.reported = true;
                overdue.push((asked.0, grant.clone()));
            }
        }
        overdue
    }
}

impl Grant {
    /// The section's name of the realm whose server let it in.
    pub fn realm(&self) -> Option<&Arc<str>> {
        self.vouched.as_ref().map(|vouched| &vouched.realm)
    }

    /// True when what it rests upon is not what the device has now.
    pub fn has_older_credential_of(&self, device: &Device) -> bool {
        let sent = self.devices.iter().find(|(id, _)| *id == device.id);
        sent.is_some_and(|(_, serial)| *serial != self.credential.serial(device))
    }

    /// True when a session that starts now can only have been started with this answer's keys.
    pub fn awaits_proof(&self, now: Instant) -> bool {
        !self.proved && self.is_fresh(now)
    }

    /// True when a session that starts now may have been started with this answer's keys.
    pub fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < USED_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BSS: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xaa]);

    fn asked(n: u32) -> Asked {
        let [a, b, c, d] = n.to_be_bytes();
        (MacAddr([2, 0, a, b, c, d]), BSS)
    }

    fn grant(at: Instant, proved: bool) -> Grant {
        Grant {
            devices: vec![(DeviceId(1), 1)],
            credential: Credential::WifiKey,
            voucher: None,
            vouched: None,
            vlan: None,
            profile: "iot".into(),
            client: "ap".into(),
            nas: "ap".into(),
            ssid: b"Home"[..].into(),
            at,
            proved,
            reported: false,
            attempt: 0,
            onboarding: Onboarding::No,
        }
    }

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_missing_proof_is_reported_once() {
        let (mut grants, start) = (Grants::default(), Instant::now());
        grants.insert(asked(1), grant(start, false));
        grants.insert(asked(2), grant(start, true));
        grants.insert(asked(3), grant(start, false));
        if let Some(third) = grants.get_mut(asked(3)) {
            third.proved = true;
        }
        assert!(grants.overdue(start + seconds(9)).is_empty());
        let overdue = grants.overdue(start + seconds(10));
        assert_eq!(overdue.iter().map(|(mac, _)| *mac).collect::<Vec<_>>(), [asked(1).0]);
        assert!(grants.overdue(start + seconds(100)).is_empty());
    }

    #[test]
    fn a_later_answer_starts_the_time_again() {
        let (mut grants, start) = (Grants::default(), Instant::now());
        grants.insert(asked(1), grant(start, false));
        grants.insert(asked(1), grant(start + seconds(5), false));
        assert!(grants.overdue(start + seconds(12)).is_empty());
        assert_eq!(grants.overdue(start + seconds(15)).len(), 1);
    }

    #[test]
    fn an_answer_is_of_use_as_long_as_hostapd_keeps_it() {
        let start = Instant::now();
        assert!(grant(start, false).awaits_proof(start + seconds(40)));
        assert!(!grant(start, false).awaits_proof(start + seconds(60)));
        assert!(!grant(start, true).awaits_proof(start));
    }

    #[test]
    fn memory_is_bounded() {
        let (mut grants, start) = (Grants::default(), Instant::now());
        for n in 0..3 * GRANTS as u32 {
            grants.insert(asked(n), grant(start + seconds(n.into()), false));
        }
        assert!(grants.last.len() <= GRANTS && grants.order.len() <= GRANTS && grants.unproved.len() <= GRANTS);
        assert!(grants.get(asked(3 * GRANTS as u32 - 1)).is_some());
    }
}
