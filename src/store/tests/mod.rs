//! The store against real files.

mod credentials;
mod damage;
mod durable;
mod last_good;
mod model;
mod place;
mod roundtrip;
mod scale;
mod worker;

use super::{Loaded, OpenReport, Store, StoredPmk};
use crate::mac::MacAddr;
use crate::registry::device::{Bind, BoundMac, Change, Device, DeviceId};
use crate::secret::{Passphrase, Pmk};
use crate::time::UnixTime;
use std::path::Path;
use std::sync::Arc;

const NOW: UnixTime = UnixTime(1_801_418_400);

fn open(dir: &Path) -> (Store, Loaded, OpenReport) {
    Store::open(dir, NOW).unwrap()
}

fn device(id: u32, name: &str) -> Device {
    Device {
        id: DeviceId(id),
        name: name.into(),
        profile: "iot".into(),
        key: Some(Passphrase::new(&format!("key of device {id:05}")).unwrap()),
        key_serial: 1,
        bind: Bind::First,
        max_devices: 1,
        macs: vec![bound(id)],
        expires: None,
        blocked: false,
        created: UnixTime(1_700_000_000),
        eap: None,
        places: Vec::new(),
    }
}

fn bound(n: u32) -> BoundMac {
    BoundMac { mac: mac(n), proved: true, since: UnixTime(1_700_000_001) }
}

fn mac(n: u32) -> MacAddr {
    let [a, b, c, d] = n.to_be_bytes();
    MacAddr([0x02, 0, a, b, c, d])
}

fn ssid(name: &str) -> Arc<[u8]> {
    name.as_bytes().into()
}

fn pmk(id: u32, serial: u32, name: &Arc<[u8]>) -> StoredPmk {
    let mut octets = [0x5a; 32];
    octets[..4].copy_from_slice(&id.to_be_bytes());
    octets[4..8].copy_from_slice(&serial.to_be_bytes());
    octets[8] = name.len() as u8;
    (DeviceId(id), serial, name.clone(), Pmk::new(octets))
}

/// A registry of `n` devices with one PMK each, stored and closed.
fn fill(dir: &Path, n: u32) {
    let (mut store, ..) = open(dir);
    let home = ssid("Home");
    store.commit(&[Change::Put((1..=n).map(|id| device(id, &format!("device-{id}"))).collect())]).unwrap();
    store.put_pmks(&(1..=n).map(|id| pmk(id, 1, &home)).collect::<Vec<_>>()).unwrap();
    store.close().unwrap();
}
