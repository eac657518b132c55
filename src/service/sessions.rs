//! Who is connected, as the NASes account for it (RFC 2866).

use super::grants::Vouched;
use crate::mac::MacAddr;
use crate::registry::device::DeviceId;
use crate::time::UnixTime;
use std::collections::HashMap;
use std::hash::Hash;
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
    /// Acct-Multi-Session-Id, the same in all sessions of a device that roams (RFC 2866, 5.11); empty without one.
    pub multi_id: Box<[u8]>,
    /// NAS-Identifier, for Accounting-On and -Off.
    pub nas_identifier: Box<[u8]>,
    /// Where the NAS reports from, which is where a Disconnect-Request goes.
    pub from: IpAddr,
    /// The VLAN it was given.
    pub vlan: Option<u16>,
    /// The profile it was given.
    pub profile: Option<Arc<str>>,
    /// The server of a realm let it in. `None`: we did.
    pub vouched: Option<Arc<Vouched>>,
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

impl Session {
    /// The section's name of the realm whose server let it in.
    pub fn realm(&self) -> Option<&Arc<str>> {
        self.vouched.as_ref().map(|vouched| &vouched.realm)
    }
}

/// The sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    open: HashMap<Arc<SessionKey>, Session>,
    by_mac: Index<MacAddr>,
    by_device: Index<DeviceId>,
}

/// The sessions of something: nearly always one.
#[derive(Debug)]
struct Index<T>(HashMap<T, Vec<Arc<SessionKey>>>);

impl<T> Default for Index<T> {
    fn default() -> Index<T> {
        Index(HashMap::new())
    }
}

impl<T: Eq + Hash> Index<T> {
    fn insert(&mut self, of: T, key: &Arc<SessionKey>) {
        self.0.entry(of).or_insert_with(|| Vec::with_capacity(1)).push(key.clone());
    }

    fn remove(&mut self, of: T, key: &SessionKey) {
        if let Some(keys) = self.0.get_mut(&of) {
            keys.retain(|known| **known != *key);
            if keys.is_empty() {
                self.0.remove(&of);
            }
        }
    }

    fn get(&self, of: &T) -> &[Arc<SessionKey>] {
        self.0.get(of).map_or(&[], |keys| keys)
    }
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
            let stale = self.close_where(|_, session| report.updated.0 - session.updated.0 >= STALE);
            if stale == 0
                && let Some(silent) = self.open.iter().min_by_key(|(_, s)| s.updated).map(|(key, _)| key.clone())
            {
                self.close(&silent);
            }
        }
        let key = Arc::new(key);
        self.by_mac.insert(key.mac, &key);
        if let Some(device) = report.device {
            self.by_device.insert(device, &key);
        }
        self.open.insert(key, report);
    }

    /// True when the session is known.
    pub fn contains(&self, key: &SessionKey) -> bool {
        self.open.contains_key(key)
    }

    /// Ends a session.
    pub fn close(&mut self, key: &SessionKey) -> Option<Session> {
        let session = self.open.remove(key)?;
        self.by_mac.remove(key.mac, key);
        if let Some(device) = session.device {
            self.by_device.remove(device, key);
        }
        Some(session)
    }

    /// Ends all sessions of a kind, and says how many.
    fn close_where(&mut self, over: impl Fn(&SessionKey, &Session) -> bool) -> usize {
        let over: Vec<_> =
            self.open.iter().filter(|(key, session)| over(key, session)).map(|(key, _)| key.clone()).collect();
        for key in &over {
            self.close(key);
        }
        over.len()
    }

    /// The NAS (or one BSS of it) started anew: its sessions are over (Accounting-On and -Off, RFC 2866, 5.1).
    pub fn close_all_of(&mut self, client: &str, nas_identifier: &[u8], bssid: Option<MacAddr>) -> usize {
        self.close_where(|key, session| {
            let same_bss = bssid.is_none() || session.bssid.is_none() || session.bssid == bssid;
            *key.client == *client && *session.nas_identifier == *nas_identifier && same_bss
        })
    }

    /// A station starts anew at this network: what was left of it there is over (a NAS that lost power sends no Stop).
    pub fn close_earlier(&mut self, mac: MacAddr, ssid: &[u8]) {
        let over = self.of(mac).filter(|(_, session)| *session.ssid == *ssid);
        let over: Vec<SessionKey> = over.map(|(key, _)| key.clone()).collect();
        for key in &over {
            self.close(key);
        }
    }

    /// The sessions of a station.
    pub fn of(&self, mac: MacAddr) -> impl Iterator<Item = (&SessionKey, &Session)> {
        let keys = self.by_mac.get(&mac).iter();
        keys.filter_map(|key| Some((&**key, self.open.get(key)?)))
    }

    /// True when a station has a session that began at this time or later.
    pub fn began_since(&self, mac: MacAddr, since: UnixTime) -> bool {
        self.of(mac).any(|(_, session)| session.since >= since)
    }

    /// The addresses that use a device's key, one for each of its sessions. Sessions of which nothing was heard for a day
    /// do not count.
    pub fn addresses(&self, device: DeviceId, now: UnixTime) -> impl Iterator<Item = MacAddr> {
        let heard = move |key: &SessionKey| self.open.get(key).is_some_and(|s| now.0 - s.updated.0 < STALE);
        self.by_device.get(&device).iter().filter(move |key| heard(key)).map(|key| key.mac)
    }

    /// The clock was moved by so many seconds: what happened before has not become older or younger by it.
    pub fn clock_moved(&mut self, seconds: i64) {
        for session in self.open.values_mut() {
            session.since.0 = session.since.0.saturating_add(seconds);
            session.updated.0 = session.updated.0.saturating_add(seconds);
        }
    }

    /// A device was removed: its sessions are nobody's.
    pub fn forget_device(&mut self, device: DeviceId) {
        for key in self.by_device.0.remove(&device).unwrap_or_default() {
            if let Some(session) = self.open.get_mut(&key) {
                session.device = None;
            }
        }
    }

    /// All sessions.
    pub fn iter(&self) -> impl Iterator<Item = (&SessionKey, &Session)> {
        self.open.iter().map(|(key, session)| (&**key, session))
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
    use proptest::prelude::*;

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
            multi_id: Box::default(),
            nas_identifier: b"ap-1"[..].into(),
            from: IpAddr::from([192, 0, 2, 1]),
            vlan: Some(20),
            profile: Some("iot".into()),
            vouched: None,
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
    fn stale_sessions_do_not_count_and_the_table_is_bounded() {
        let mut sessions = Sessions::default();
        for id in [b"1", b"2"] {
            sessions.update(key(id, 1), session(0xa, 1));
        }
        assert_eq!(sessions.addresses(DeviceId(1), UnixTime(9)).collect::<Vec<_>>(), [mac(1), mac(1)]);
        assert_eq!(sessions.addresses(DeviceId(1), UnixTime(1 + STALE)).count(), 0, "the Stop was lost");
        sessions.clock_moved(STALE);
        assert_eq!(sessions.addresses(DeviceId(1), UnixTime(1 + STALE)).count(), 2, "no time has passed");
        sessions.clock_moved(-STALE);
        for n in 0..SESSIONS as u32 + 5 {
            sessions.update(key(&n.to_be_bytes(), 2), session(0xa, 2 + i64::from(n)));
        }
        assert_eq!(sessions.len(), SESSIONS);
        assert!(!sessions.contains(&key(b"1", 1)), "the one silent for longest made room");
        assert_eq!((sessions.by_mac.0.len(), sessions.by_device.0.len()), (1, 1));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Update { id: u8, station: u8, device: u8, bss: u8 },
        Close { id: u8, station: u8 },
        CloseAll { bss: Option<u8> },
        CloseEarlier { station: u8 },
        Forget { device: u8 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..6u8, 0..4u8, 0..4u8, 0..3u8)
                .prop_map(|(id, station, device, bss)| Step::Update { id, station, device, bss }),
            2 => (0..6u8, 0..4u8).prop_map(|(id, station)| Step::Close { id, station }),
            1 => proptest::option::of(0..3u8).prop_map(|bss| Step::CloseAll { bss }),
            1 => (0..4u8).prop_map(|station| Step::CloseEarlier { station }),
            1 => (0..4u8).prop_map(|device| Step::Forget { device }),
        ]
    }

    proptest! {
        /// The indexes say what a look at every session says.
        #[test]
        fn the_indexes_are_right(steps in proptest::collection::vec(step(), 0..60)) {
            let mut sessions = Sessions::default();
            for step in steps {
                match step {
                    // Device 0: nobody's.
                    Step::Update { id, station, device, bss } => {
                        let device = (device > 0).then_some(DeviceId(device.into()));
                        sessions.update(key(&[id], station), Session { device, ..session(bss, 1) });
                    }
                    Step::Close { id, station } => drop(sessions.close(&key(&[id], station))),
                    Step::CloseAll { bss } => drop(sessions.close_all_of("ap", b"ap-1", bss.map(mac))),
                    Step::CloseEarlier { station } => sessions.close_earlier(mac(station), b"Home"),
                    Step::Forget { device } => sessions.forget_device(DeviceId(device.into())),
                }
                for n in 0..4 {
                    let here = sessions.iter().filter(|(key, _)| key.mac == mac(n)).count();
                    prop_assert_eq!(sessions.of(mac(n)).count(), here);
                    let device = DeviceId(n.into());
                    let its = sessions.iter().filter(|(_, s)| s.device == Some(device));
                    let mut expected: Vec<MacAddr> = its.map(|(key, _)| key.mac).collect();
                    let mut found: Vec<MacAddr> = sessions.addresses(device, UnixTime(2)).collect();
                    expected.sort_unstable();
                    found.sort_unstable();
                    prop_assert_eq!(found, expected);
                }
                let indexed = sessions.by_mac.0.values().map(Vec::len).sum::<usize>();
                prop_assert_eq!(indexed, sessions.len());
            }
        }
    }
}
