//! What was acknowledged is in the files at that moment.

use super::*;
use std::fs;

#[test]
fn a_copy_of_the_files_has_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path());
    let home = ssid("Home");
    let mut expected: Vec<Device> = Vec::new();
    for id in 1..=120 {
        let new = device(id, &format!("device-{id}"));
        store.commit(&[Change::Put(vec![new.clone()])]).unwrap();
        expected.push(new);
        store.put_pmks(&[pmk(id, 1, &home)]).unwrap();
        if id % 7 == 0 {
            store.commit(&[Change::Remove(expected.remove(0).id)]).unwrap();
        }
        if id % 40 == 0 {
            store.save_good_copy().unwrap();
        }
        // The files as a power cut would leave them, without anything the process still knows.
        let cut = tempfile::tempdir().unwrap();
        for name in ["registry.db", "registry.db-wal"] {
            fs::copy(dir.path().join(name), cut.path().join(name)).unwrap();
        }
        let (_store, loaded, report) = open(cut.path());
        assert_eq!(report, OpenReport::default(), "device {id}");
        assert_eq!(loaded.devices, expected, "device {id}");
        assert_eq!(loaded.pmks.len(), expected.len(), "device {id}");
        assert_eq!(loaded.next_id, id + 1);
    }
}

#[test]
fn half_a_transaction_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path());
    store.commit(&[Change::Put(vec![device(1, "first")])]).unwrap();
    let wal = dir.path().join("registry.db-wal");
    let acknowledged = fs::metadata(&wal).unwrap().len();
    store.commit(&[Change::Put((2..20).map(|id| device(id, &format!("n{id}"))).collect())]).unwrap();
    let whole = fs::read(&wal).unwrap();
    for cut in (acknowledged as usize..whole.len()).step_by(97) {
        let copy = tempfile::tempdir().unwrap();
        fs::copy(dir.path().join("registry.db"), copy.path().join("registry.db")).unwrap();
        fs::write(copy.path().join("registry.db-wal"), &whole[..cut]).unwrap();
        let (_store, loaded, report) = open(copy.path());
        assert_eq!((loaded.devices.len(), report.damaged), (1, None), "cut at {cut}");
    }
}

#[test]
fn the_good_copy_follows_changes_only() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 3);
    let good = dir.path().join("registry.db.good");
    let (mut store, ..) = open(dir.path());
    assert!(!store.copy_is_stale());
    let made = fs::metadata(&good).unwrap().modified().unwrap();
    store.put_seen(&[(DeviceId(1), Default::default())]).unwrap();
    store.save_good_copy().unwrap();
    assert_eq!(fs::metadata(&good).unwrap().modified().unwrap(), made);
    store.commit(&[Change::Put(vec![device(4, "new")])]).unwrap();
    assert!(store.copy_is_stale());
    store.save_good_copy().unwrap();
    assert!(!store.copy_is_stale() && store.copy_size() > 0);
    assert_ne!(fs::metadata(&good).unwrap().modified().unwrap(), made);
    assert_eq!(fs::metadata(dir.path().join("registry.db-wal")).unwrap().len(), 0);
    // A copy that cannot be made leaves the older one, and is tried again.
    store.commit(&[Change::Remove(DeviceId(4))]).unwrap();
    let before = fs::read(&good).unwrap();
    fs::create_dir(dir.path().join("registry.db.good.new")).unwrap();
    let error = store.save_good_copy().unwrap_err();
    assert!(error.to_string().contains("registry.db.good.new: cannot make a good copy"), "{error}");
    assert!(store.copy_is_stale() && fs::read(&good).unwrap() == before);
    fs::remove_dir(dir.path().join("registry.db.good.new")).unwrap();
    store.close().unwrap();
    assert_ne!(fs::read(&good).unwrap(), before);
}
