//! Every field there and back, and what each change means.

use super::*;
use crate::registry::device::Seen;
use crate::store::{StoreError, Write};

#[test]
fn an_empty_registry() {
    let dir = tempfile::tempdir().unwrap();
    let (store, loaded, report) = open(dir.path());
    assert!(report.created && report.damaged.is_none());
    assert_eq!((loaded.devices.len(), loaded.next_id), (0, 1));
    store.close().unwrap();
    let (_store, loaded, report) = open(dir.path());
    assert_eq!(report, OpenReport::default());
    assert_eq!((loaded.devices.len(), loaded.next_id), (0, 1));
}

#[test]
fn every_field() {
    let dir = tempfile::tempdir().unwrap();
    let odd = Device {
        id: DeviceId(u32::MAX - 1),
        name: "'; DROP TABLE device; --%\u{0}\"ß".into(),
        profile: "".into(),
        key: None,
        key_serial: u32::MAX,
        bind: Bind::Any,
        max_devices: u16::MAX,
        macs: vec![
            BoundMac { mac: MacAddr([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff]), proved: false, since: UnixTime(i64::MIN) },
            BoundMac { mac: MacAddr([0; 6]), proved: true, since: UnixTime(i64::MAX) },
            BoundMac { mac: mac(7), proved: true, since: UnixTime(0) },
        ],
        expires: Some(UnixTime(-1)),
        blocked: true,
        created: UnixTime(i64::MIN),
        eap: None,
        places: Vec::new(),
    };
    let mut long = device(3, &"x".repeat(300));
    long.key = Some(Passphrase::new(&" ~".repeat(31)).unwrap());
    long.bind = Bind::Mac;
    long.macs.clear();
    let devices = vec![device(1, "Lamp"), long, odd];
    let raw = ssid("\u{0}\u{7f}'");
    let home = ssid("Home");
    let pmks = vec![pmk(1, 1, &home), pmk(1, 1, &raw), pmk(u32::MAX - 1, u32::MAX, &home)];
    let seen = vec![
        (DeviceId(1), Seen { last_seen: UnixTime(5), last_mac: Some(mac(9)), accepted: u32::MAX, refused: 3 }),
        (DeviceId(3), Seen::default()),
    ];
    let (mut store, ..) = open(dir.path());
    store
        .commit(&[Change::Put(devices.clone()), Change::Ignore(mac(70), true), Change::Ignore(mac(60), true)])
        .unwrap();
    store.put_pmks(&pmks).unwrap();
    store.put_seen(&seen).unwrap();
    store.close().unwrap();

    let (_store, loaded, report) = open(dir.path());
    assert_eq!(report, OpenReport::default());
    assert_eq!(loaded.devices, devices);
    assert_eq!(loaded.next_id, u32::MAX);
    assert_eq!(loaded.pmks, pmks);
    assert_eq!(loaded.seen, seen);
    assert_eq!(loaded.ignored, vec![mac(60), mac(70)]);
    // One allocation for all rows of an SSID, and for all devices of a profile.
    assert!(Arc::ptr_eq(&loaded.pmks[0].2, &loaded.pmks[2].2));
    assert!(Arc::ptr_eq(&loaded.devices[0].profile, &loaded.devices[1].profile));
}

#[test]
fn a_new_key_takes_the_old_pmks_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path());
    let home = ssid("Home");
    store.commit(&[Change::Put(vec![device(1, "a"), device(2, "b"), device(3, "c")])]).unwrap();
    store.put_pmks(&[pmk(1, 1, &home), pmk(2, 1, &home), pmk(3, 1, &home)]).unwrap();
    // Unchanged keys keep theirs.
    let blocked = Device { blocked: true, ..device(3, "c") };
    let rotated =
        Device { key_serial: 2, key: Some(Passphrase::new("another key altogether").unwrap()), ..device(1, "a") };
    store.commit(&[Change::Put(vec![rotated, device(2, "b"), blocked])]).unwrap();
    // A derivation that was still running for the old key comes too late; so does one for a removed device.
    store.commit(&[Change::Remove(DeviceId(2))]).unwrap();
    store.put_pmks(&[pmk(1, 1, &home), pmk(2, 1, &home), pmk(9, 1, &home)]).unwrap();
    drop(store);
    let (mut store, loaded, _) = open(dir.path());
    assert_eq!(loaded.pmks, vec![pmk(3, 1, &home)]);
    // The present key's is stored, another SSID's goes when that SSID does.
    let guest = ssid("Guest");
    store.put_pmks(&[pmk(1, 2, &home), pmk(1, 2, &guest), pmk(3, 1, &guest)]).unwrap();
    store.keep_ssids(&[guest.clone(), ssid("not used yet")]).unwrap();
    drop(store);
    let (_store, loaded, _) = open(dir.path());
    assert_eq!(loaded.pmks, vec![pmk(1, 2, &guest), pmk(3, 1, &guest)]);
}

#[test]
fn a_changed_key_with_the_same_serial_loses_its_pmks_too() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path());
    store.commit(&[Change::Put(vec![device(1, "a")])]).unwrap();
    store.put_pmks(&[pmk(1, 1, &ssid("Home"))]).unwrap();
    store.commit(&[Change::Put(vec![Device { key: None, ..device(1, "a") }])]).unwrap();
    drop(store);
    assert_eq!(open(dir.path()).1.pmks, vec![]);
}

#[test]
fn numbers_are_never_given_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path());
    store.commit(&[Change::Put(vec![device(1, "a"), device(2, "b"), device(3, "c")])]).unwrap();
    store.commit(&[Change::Remove(DeviceId(3))]).unwrap();
    store.commit(&[Change::Remove(DeviceId(1)), Change::Remove(DeviceId(2)), Change::Remove(DeviceId(77))]).unwrap();
    drop(store);
    let (mut store, loaded, _) = open(dir.path());
    assert_eq!((loaded.devices.len(), loaded.next_id), (0, 4));
    store.commit(&[Change::Put(vec![device(9, "d")])]).unwrap();
    drop(store);
    assert_eq!(open(dir.path()).1.next_id, 10);
}

#[test]
fn names_can_change_hands_in_one_step_only() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path());
    store.commit(&[Change::Put(vec![device(1, "lamp"), device(2, "plug"), device(3, "tv")])]).unwrap();
    let taken = store.commit(&[Change::Remove(DeviceId(3)), Change::Put(vec![device(4, "LAMP")])]).unwrap_err();
    assert_eq!(taken.to_string(), "not stored: the name \"LAMP\" belongs to device 1 already: choose another");
    let swapped = vec![device(1, "plug"), device(2, "Lamp")];
    store.commit(&[Change::Put(swapped.clone())]).unwrap();
    drop(store);
    let (_store, loaded, _) = open(dir.path());
    // The refused step left nothing behind: device 3 is still there.
    assert_eq!(loaded.devices, vec![swapped[0].clone(), swapped[1].clone(), device(3, "tv")]);
}

#[test]
fn what_contradicts_the_registry_is_refused_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path());
    store.commit(&[Change::Put(vec![device(1, "a")])]).unwrap();
    let unknown = store.commit(&[Change::Ignore(mac(5), true), Change::Bind(DeviceId(8), bound(8))]).unwrap_err();
    assert!(matches!(&unknown, StoreError::Refused(why) if why.contains("no device 8")), "{unknown}");
    let twice = Device { macs: vec![bound(1), bound(1)], ..device(2, "b") };
    let twice = store.commit(&[Change::Put(vec![twice])]).unwrap_err();
    assert!(matches!(&twice, StoreError::Refused(why) if why.contains("twice")), "{twice}");
    // Several things in one transaction: none, if one fails.
    let good = [Change::Put(vec![device(5, "e")])];
    let bad = [Change::Bind(DeviceId(8), bound(8))];
    store.write(&[Write::Changes(&good), Write::Changes(&bad)]).unwrap_err();
    drop(store);
    let (_store, loaded, _) = open(dir.path());
    assert_eq!((loaded.devices, loaded.ignored), (vec![device(1, "a")], vec![]));
}

#[test]
fn what_does_not_change_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 20);
    let (mut store, loaded, _) = open(dir.path());
    let seen = [(DeviceId(3), Seen { accepted: 4, ..Seen::default() })];
    store.put_seen(&seen).unwrap();
    store.checkpoint().unwrap();
    store
        .commit(&[Change::Put(loaded.devices), Change::Ignore(mac(1), false), Change::Bind(DeviceId(4), bound(4))])
        .unwrap();
    store.put_pmks(&loaded.pmks).unwrap();
    store.put_seen(&seen).unwrap();
    let log = std::fs::metadata(dir.path().join("registry.db-wal")).unwrap().len();
    assert_eq!(log, 0);
}

#[test]
fn errors_quote_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path());
    store.commit(&[Change::Put(vec![device(1, "a")])]).unwrap();
    let error = store.commit(&[Change::Put(vec![device(2, "A")])]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("key of device"), "{error:?}");
}
