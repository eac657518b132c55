//! For pages that ask every few seconds: stations and sessions in a few words each, and numbers that say whether anything of
//! them is new.

use super::view;
use crate::json::json;
use crate::mac::MacAddr;
use crate::service::sessions::{Session, SessionKey};
use crate::service::stations::Bss;
use crate::service::{Core, Now};
use crate::wire::hostapd::Station;
use serde_json::Value;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

/// The stations whose handshake is done, by BSS and address.
pub fn connected(core: &Core) -> impl Iterator<Item = (&Arc<str>, &Bss, &Station)> {
    core.stations.iter().filter(|(.., station)| station.authorized)
}

/// The sessions, the latest first.
pub fn latest(core: &Core) -> Vec<(&SessionKey, &Session)> {
    let mut open: Vec<_> = core.sessions.iter().collect();
    open.sort_by_key(|(key, session)| (std::cmp::Reverse(session.since), key.mac));
    open
}

fn station_device<'c>(core: &'c Core, bss: &Bss, station: &Station) -> Option<&'c str> {
    let device = core.device_of(station.mac, bss).and_then(|id| core.registry.get(id))?;
    Some(&device.name)
}

fn session_device<'c>(core: &'c Core, session: &Session) -> Option<&'c str> {
    Some(&core.registry.get(session.device?)?.name)
}

fn addresses(core: &Core, mac: MacAddr) -> &[IpAddr] {
    core.network.neighbours.get(&mac).map_or(&[], |addresses| addresses)
}

/// A station: about 150 octets of JSON.
pub fn station(core: &Core, name: &str, bss: &Bss, station: &Station) -> Value {
    json!({
        "device": station_device(core, bss, station),
        "mac": station.mac.to_string(),
        "ssid": view::ssid(&bss.ssid),
        "vlan": core.vlan_of(name, station).flatten(),
        "signal_dbm": station.signal,
        "addresses": addresses(core, station.mac).iter().map(IpAddr::to_string).collect::<Value>(),
    })
}

/// A session: about 100 octets of JSON.
pub fn session(core: &Core, key: &SessionKey, session: &Session, _: Now) -> Value {
    json!({
        "device": session_device(core, session),
        "mac": key.mac.to_string(),
        "ssid": view::ssid(&session.ssid),
        "vlan": session.vlan,
        "address": address(core, key, session).map(|address| address.to_string()),
    })
}

/// Where a session's device is: as the NAS reports it, or as the neighbours of this box have it.
pub fn address(core: &Core, key: &SessionKey, session: &Session) -> Option<IpAddr> {
    session.address.map(IpAddr::from).or_else(|| addresses(core, key.mac).first().copied())
}

/// Another number when a station came, went, or is another device, in another VLAN or at other addresses; not with its
/// signal and its counters.
pub fn stations_revision(core: &Core) -> u32 {
    revision(connected(core).map(|(name, bss, station)| {
        let device = station_device(core, bss, station);
        let vlan = core.vlan_of(name, station).flatten();
        (name, &bss.ssid, station.mac, device, vlan, addresses(core, station.mac))
    }))
}

/// The same of the sessions.
pub fn sessions_revision(core: &Core) -> u32 {
    revision(core.sessions.iter().map(|(key, session)| {
        (key, &session.ssid, session_device(core, session), session.vlan, address(core, key, session))
    }))
}

/// Made of what there is, in whatever order, rather than counted: what a station is depends on the registry, on grants and
/// on neighbours, too, and each of these would have to count for it.
fn revision<T: Hash>(things: impl Iterator<Item = T>) -> u32 {
    let sum = things.fold(0u64, |sum, thing| {
        let mut hasher = DefaultHasher::new();
        thing.hash(&mut hasher);
        sum.wrapping_add(hasher.finish())
    });
    (sum >> 32) as u32
}
