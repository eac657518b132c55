//! The stations on the BSSes of this box, as hostapd tells of them over its control interface.
//!
//! Events say who comes and goes; a walk through hostapd's list, at the beginning and whenever somebody asks, says the
//! rest and mends what events missed. A station on a dynamic VLAN is in the list of its BSS, too.

use crate::mac::MacAddr;
use crate::sorted::{SortedMap, SortedSet};
use crate::wire::hostapd::{Connected, Station};
use std::sync::Arc;

/// How many BSSes are followed.
pub const BSSES: usize = 64;
/// How many stations of one BSS are kept. One takes about 200 octets; hostapd itself has 2007 association ids.
pub const STATIONS: usize = 512;

/// A BSS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bss {
    /// Its SSID.
    pub ssid: Arc<[u8]>,
    /// Its BSSID.
    pub bssid: Option<MacAddr>,
    /// How hostapd learns its keys, in words; nothing as long as that is not known.
    pub keys: Option<Arc<str>>,
    stations: SortedMap<MacAddr, Known>,
    /// Who left since the walk under way began: its replies may be older than the events.
    left: SortedSet<MacAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    station: Station,
    /// The walk under way has not come by it yet.
    unseen: bool,
    /// It connected since that walk began.
    fresh: bool,
}

/// The BSSes by the names of their interfaces.
#[derive(Debug, Default)]
pub struct Stations {
    bss: SortedMap<Arc<str>, Bss>,
}

impl Bss {
    /// True when a station is there, be it in its handshake.
    pub fn has(&self, mac: MacAddr) -> bool {
        self.stations.contains_key(&mac)
    }

    fn put(&mut self, station: Station, fresh: bool) {
        if self.stations.len() < STATIONS || self.stations.contains_key(&station.mac) {
            self.stations.insert(station.mac, Known { station, unseen: false, fresh });
        }
    }

    /// A station that is there.
    pub fn station(&self, mac: MacAddr) -> Option<&Station> {
        self.stations.get(&mac).map(|known| &known.station)
    }
}

impl Stations {
    /// A BSS is there, or is another one now: its stations stay if its SSID does. False when there are too many.
    pub fn up(&mut self, name: &Arc<str>, ssid: &[u8], bssid: Option<MacAddr>) -> bool {
        if let Some(bss) = self.bss.get_mut(name).filter(|bss| *bss.ssid == *ssid) {
            bss.bssid = bssid;
            return true;
        }
        let room = self.bss.len() < BSSES || self.bss.contains_key(name);
        if room {
            let (ssid, stations, left) = (ssid.into(), SortedMap::new(), SortedSet::new());
            self.bss.insert(name.clone(), Bss { ssid, bssid, keys: None, stations, left });
        }
        room
    }

    /// A BSS is gone, or nothing more is heard of it.
    pub fn down(&mut self, name: &str) {
        self.bss.remove(name);
    }

    /// A BSS begins anew: nobody is connected.
    pub fn clear(&mut self, name: &str) {
        if let Some(bss) = self.bss.get_mut(name) {
            bss.stations.clear();
        }
    }

    /// A station's handshake is done.
    pub fn connected(&mut self, name: &str, mac: MacAddr) {
        if let Some(bss) = self.bss.get_mut(name) {
            bss.left.remove(&mac);
            bss.put(Station { authorized: true, ..Station::new(mac) }, true);
        }
    }

    /// What else hostapd says of a station that has just connected.
    pub fn described(&mut self, name: &str, connected: &Connected) {
        let bss = self.bss.get_mut(name);
        if let Some(known) = bss.and_then(|bss| bss.stations.get_mut(&connected.mac)) {
            known.station.keyid = connected.keyid.map(|keyid| keyid.to_string().into());
            known.station.vlan = connected.vlan;
        }
    }

    /// How the keys of a BSS come to hostapd is known.
    pub fn learns_keys(&mut self, name: &str, how: Arc<str>) {
        if let Some(bss) = self.bss.get_mut(name) {
            bss.keys = Some(how);
        }
    }

    /// A station left.
    pub fn disconnected(&mut self, name: &str, mac: MacAddr) {
        if let Some(bss) = self.bss.get_mut(name) {
            bss.stations.remove(&mac);
            if bss.left.len() < STATIONS {
                bss.left.insert(mac);
            }
        }
    }

    /// A walk through the list of a BSS begins.
    pub fn begin_walk(&mut self, name: &str) {
        let Some(bss) = self.bss.get_mut(name) else { return };
        bss.left.clear();
        for known in bss.stations.values_mut() {
            (known.unseen, known.fresh) = (true, false);
        }
    }

    /// The walk came by a station. What events told since the walk began is newer, or will be told by another event.
    pub fn found(&mut self, name: &str, mut station: Station) {
        if let Some(bss) = self.bss.get_mut(name)
            && !bss.left.contains(&station.mac)
        {
            let fresh = bss.stations.get(&station.mac).is_some_and(|known| known.fresh);
            station.authorized |= fresh;
            bss.put(station, fresh);
        }
    }

    /// The walk came to its end: whoever it did not come by is gone.
    pub fn end_walk(&mut self, name: &str) {
        if let Some(bss) = self.bss.get_mut(name) {
            bss.stations.retain(|_, known| !known.unseen);
            bss.left.clear();
        }
    }

    /// The SSID of a BSS.
    pub fn ssid(&self, name: &str) -> Option<&Arc<[u8]>> {
        self.bss.get(name).map(|bss| &bss.ssid)
    }

    /// A station of a BSS.
    pub fn station(&self, name: &str, mac: MacAddr) -> Option<&Station> {
        self.bss.get(name)?.station(mac)
    }

    /// The BSSes and their names.
    pub fn bsses(&self) -> impl Iterator<Item = (&Arc<str>, &Bss)> {
        self.bss.iter()
    }

    /// Every station, also those whose handshake is still under way, with its BSS and that one's name.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Bss, &Station)> {
        self.bss.iter().flat_map(|(name, bss)| bss.stations.values().map(move |known| (name, bss, &known.station)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mac(n: u32) -> MacAddr {
        let [a, b, c, d] = n.to_be_bytes();
        MacAddr([2, 0, a, b, c, d])
    }

    fn macs(stations: &Stations) -> Vec<(String, MacAddr)> {
        stations.iter().map(|(name, _, station)| (name.to_string(), station.mac)).collect()
    }

    #[test]
    fn a_walk_mends_what_events_missed() {
        let (mut stations, wlan0) = (Stations::default(), Arc::from("wlan0"));
        assert!(stations.up(&wlan0, b"Home", None));
        for n in 1..=3 {
            stations.connected("wlan0", mac(n));
        }
        stations.disconnected("wlan0", mac(1));
        stations.begin_walk("wlan0");
        // One whose leaving was missed, one that is still there, and one that comes while the walk is under way.
        stations.found("wlan0", Station { vlan: Some(20), authorized: true, ..Station::new(mac(3)) });
        stations.connected("wlan0", mac(4));
        stations.end_walk("wlan0");
        assert_eq!(macs(&stations), [("wlan0".into(), mac(3)), ("wlan0".into(), mac(4))]);
        assert_eq!(stations.iter().find_map(|(.., station)| station.vlan), Some(20));
    }

    #[test]
    fn events_are_newer_than_the_replies_of_a_walk() {
        let (mut stations, wlan0) = (Stations::default(), Arc::from("wlan0"));
        stations.up(&wlan0, b"Home", None);
        stations.connected("wlan0", mac(1));
        stations.begin_walk("wlan0");
        // Asked about while they were there and in their handshake; the events overtook the replies.
        stations.disconnected("wlan0", mac(1));
        stations.connected("wlan0", mac(2));
        stations.found("wlan0", Station { authorized: true, ..Station::new(mac(1)) });
        stations.found("wlan0", Station { vlan: Some(20), ..Station::new(mac(2)) });
        stations.end_walk("wlan0");
        assert_eq!(macs(&stations), [("wlan0".into(), mac(2))]);
        let (.., two) = stations.iter().next().expect("it is there");
        assert!(two.authorized && two.vlan == Some(20));

        // In the next walk, the list counts.
        stations.begin_walk("wlan0");
        stations.found("wlan0", Station::new(mac(2)));
        stations.end_walk("wlan0");
        assert!(stations.iter().all(|(.., station)| !station.authorized));
    }

    #[test]
    fn a_bss_that_changes_its_name_loses_its_stations() {
        let (mut stations, wlan0) = (Stations::default(), Arc::from("wlan0"));
        stations.up(&wlan0, b"Home", None);
        stations.connected("wlan0", mac(1));
        stations.up(&wlan0, b"Home", Some(mac(9)));
        assert_eq!(macs(&stations).len(), 1);
        stations.up(&wlan0, b"Guests", None);
        assert_eq!(macs(&stations).len(), 0);
        stations.connected("wlan1", mac(1));
        assert_eq!(macs(&stations).len(), 0, "of a BSS that is not there");
        stations.down("wlan0");
        assert_eq!(stations.bsses().count(), 0);
    }

    #[test]
    fn memory_is_bounded() {
        let mut stations = Stations::default();
        for n in 0..BSSES + 5 {
            let taken = stations.up(&format!("wlan{n}").into(), b"Home", None);
            assert_eq!(taken, n < BSSES);
        }
        for n in 0..STATIONS as u32 + 5 {
            stations.connected("wlan0", mac(n));
        }
        assert_eq!(stations.iter().count(), STATIONS);
        stations.connected("wlan0", mac(0));
        stations.clear("wlan0");
        assert_eq!(stations.iter().count(), 0);
    }

    proptest! {
        /// Whatever comes in between, a complete walk leaves exactly those it came by, and those that came meanwhile.
        #[test]
        fn after_a_walk_the_table_is_right(
            before in proptest::collection::btree_set(0u32..40, 0..20),
            there in proptest::collection::btree_set(0u32..40, 0..20),
            meanwhile in proptest::collection::btree_set(0u32..40, 0..5),
        ) {
            let (mut stations, wlan0) = (Stations::default(), Arc::from("wlan0"));
            stations.up(&wlan0, b"Home", None);
            before.iter().for_each(|n| stations.connected("wlan0", mac(*n)));
            stations.begin_walk("wlan0");
            meanwhile.iter().for_each(|n| stations.connected("wlan0", mac(*n)));
            there.iter().for_each(|n| stations.found("wlan0", Station::new(mac(*n))));
            stations.end_walk("wlan0");
            let expected: Vec<MacAddr> = there.union(&meanwhile).map(|n| mac(*n)).collect();
            prop_assert_eq!(stations.iter().map(|(.., station)| station.mac).collect::<Vec<_>>(), expected);
        }
    }
}
