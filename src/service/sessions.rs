//! Who is connected, as the NASes account for it (RFC 2866).

use crate::mac::MacAddr;
use crate::registry::device::DeviceId;
use crate::time::UnixTime;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// How many sessions are kept. One takes about 200 octets.
pub const SESSIONS: usize = 16_384;
/// A session of which nothing was heard for so long (no Interim-Update, no Stop) makes room first. Seconds.
const STALE: i64 = 24 * 3600;

/// Which session: an Acct-Session-Id means something to its NAS only (RFC 2866, 5.5).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// The client's name in the configuration.
    pub client: Arc<str>,
    /// Acct-Session-Id, at most 253 octets.
    pub id: Box<[u8]>,
    /// The station.
    pub mac: MacAddr,
}

/// A connected device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Which device, when it is certain.
    pub device: Option<DeviceId>,
    /// The BSSID it is connected to, when the NAS says so (Called-Station-Id).
    pub bssid: Option<MacAddr>,
    /// The network.
    pub ssid: Arc<[u8]>,
    /// The NAS in words.
    pub nas: Arc<str>,
    /// NAS-Identifier, for Accounting-On and -Off.
    pub nas_identifier: Box<[u8]>,
    /// Where the NAS reports from, which is where a Disconnect-Request goes.
    pub from: IpAddr,
    /// The VLAN it was given.
    pub vlan: Option<u16>,
    /// The profile it was given.
    pub profile: Option<Arc<str>>,
    /// It proved its key.
    pub proved: bool,
    /// When it connected.
    pub since: UnixTime,
    /// When the NAS last reported.
    pub updated: UnixTime,
    /// Octets from the device (Acct-Input-Octets and -Gigawords).
    pub bytes_in: u64,
    /// Octets to the device.
    pub bytes_out: u64,
    /// Framed-IP-Address.
    pub address: Option<Ipv4Addr>,
}

/// The sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    open: HashMap<SessionKey, Session>,
}

impl Sessions {
    /// Opens a session, or brings one up to date: the counters and the time of a known one are replaced, the rest
    /// is kept. When all places are taken, a stale session makes room, else the one silent for longest.
    pub fn update(&mut self, key: SessionKey, report: Session) {
        if let Some(known) = self.open.get_mut(&key) {
            known.updated = report.updated;
            known.from = report.from;
            known.bytes_in = report.bytes_in;
            known.bytes_out = report.bytes_out;
            known.address = report.address.or(known.address);
            return;
        }
        if self.open.len() >= SESSIONS {
            let before = self.open.len();
            self.open.retain(|_, session| report.updated.0 - session.updated.0 < STALE);
            if self.open.len() == before
                && let Some(silent) = self.open.iter().min_by_key(|(_, s)| s.updated).map(|(key, _)| key.clone())
            {
                self.open.remove(&silent);
            }
        }
        self.open.insert(key, report);
    }

    /// True when the session is known.
    pub fn contains(&self, key: &SessionKey) -> bool {
        self.open.contains_key(key)
    }

    /// Ends a session.
    pub fn close(&mut self, key: &SessionKey) -> Option<Session> {
        self.open.remove(key)
    }

    /// The NAS (or one BSS of it) started anew: its sessions are over (Accounting-On and -Off, RFC 2866, 5.1).
    pub fn close_all_of(&mut self, client: &str, nas_identifier: &[u8], bssid: Option<MacAddr>) -> usize {
        let before = self.open.len();
        self.open.retain(|key, session| {
            let same_bss = bssid.is_none() || session.bssid.is_none() || session.bssid == bssid;
            *key.client != *client || *session.nas_identifier != *nas_identifier || !same_bss
        });
        before - self.open.len()
    }

    /// A station starts anew at this network: what was left of it there is over (a NAS that lost power sends no Stop).
    pub fn close_earlier(&mut self, mac: MacAddr, ssid: &[u8]) {
        self.open.retain(|key, session| key.mac != mac || *session.ssid != *ssid);
    }

    /// True when a station has a session that began at this time or later.
    pub fn began_since(&self, mac: MacAddr, since: UnixTime) -> bool {
        self.open.iter().any(|(key, session)| key.mac == mac && session.since >= since)
    }

    /// How many addresses other than this one use a device's key. Sessions of which nothing was heard for a day do not
    /// count.
    pub fn in_use(&self, device: DeviceId, except: MacAddr, now: UnixTime) -> u32 {
        let mut addresses: Vec<MacAddr> = self
            .open
            .iter()
            .filter(|(key, session)| session.device == Some(device) && key.mac != except)
            .filter(|(_, session)| now.0 - session.updated.0 < STALE)
            .map(|(key, _)| key.mac)
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        u32::try_from(addresses.len()).unwrap_or(u32::MAX)
    }

    /// A device was removed: its sessions are nobody's.
    pub fn forget_device(&mut self, device: DeviceId) {
        for session in self.open.values_mut().filter(|session| session.device == Some(device)) {
            session.device = None;
        }
    }

    /// All sessions.
    pub fn iter(&self) -> impl Iterator<Item = (&SessionKey, &Session)> {
        self.open.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// True when nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(last: u8) -> MacAddr {
        MacAddr([2, 0, 0, 0, 0, last])
    }

    fn key(id: &[u8], station: u8) -> SessionKey {
        SessionKey { client: "ap".into(), id: id.into(), mac: mac(station) }
    }

    fn session(bssid: u8, at: i64) -> Session {
        Session {
            device: Some(DeviceId(1)),
            bssid: Some(mac(bssid)),
            ssid: b"Home"[..].into(),
            nas: "ap".into(),
            nas_identifier: b"ap-1"[..].into(),
            from: IpAddr::from([192, 0, 2, 1]),
            vlan: Some(20),
            profile: Some("iot".into()),
            proved: true,
            since: UnixTime(at),
            updated: UnixTime(at),
            bytes_in: 0,
            bytes_out: 0,
            address: None,
        }
    }

    #[test]
    fn a_restarted_bss_loses_its_sessions_only() {
        let mut sessions = Sessions::default();
        sessions.update(key(b"1", 1), session(0xa, 1));
        sessions.update(key(b"2", 2), session(0xb, 1));
        assert_eq!(sessions.close_all_of("ap", b"other", None), 0);
        assert_eq!(sessions.close_all_of("ap", b"ap-1", Some(mac(0xa))), 1);
        assert!(sessions.contains(&key(b"2", 2)));
        assert_eq!(sessions.close_all_of("ap", b"ap-1", None), 1);
        assert!(sessions.is_empty());
    }

    #[test]
    fn reports_update_the_counters_only() {
        let mut sessions = Sessions::default();
        sessions.update(key(b"1", 1), session(0xa, 10));
        sessions.update(key(b"1", 1), Session { bytes_in: 5, vlan: None, ..session(0xa, 20) });
        let (_, now) = sessions.iter().next().expect("open");
        assert_eq!((now.since, now.updated, now.bytes_in, now.vlan), (UnixTime(10), UnixTime(20), 5, Some(20)));
    }

    #[test]
    fn addresses_count_once_and_the_table_is_bounded() {
        let mut sessions = Sessions::default();
        for id in [b"1", b"2"] {
            sessions.update(key(id, 1), session(0xa, 1));
        }
        assert_eq!(sessions.in_use(DeviceId(1), mac(9), UnixTime(9)), 1);
        assert_eq!(sessions.in_use(DeviceId(1), mac(1), UnixTime(9)), 0);
        assert_eq!(sessions.in_use(DeviceId(1), mac(9), UnixTime(1 + STALE)), 0, "the Stop was lost");
        for n in 0..SESSIONS as u32 + 5 {
            sessions.update(key(&n.to_be_bytes(), 2), session(0xa, 2 + i64::from(n)));
        }
        assert_eq!(sessions.len(), SESSIONS);
        assert!(!sessions.contains(&key(b"1", 1)), "the one silent for longest made room");
    }
}
