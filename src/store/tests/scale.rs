//! 10,000 devices: times and sizes are printed (`--nocapture`), not asserted; they depend on the machine.

use super::*;
use crate::store::recover::quick_check;
use std::fs;
use std::time::{Duration, Instant};

const DEVICES: u32 = 10_000;

fn size(dir: &Path, name: &str) -> u64 {
    fs::metadata(dir.join(name)).map_or(0, |meta| meta.len())
}

/// The memory the process occupies, in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn ten_thousand_devices() {
    let dir = tempfile::tempdir().unwrap();
    let at = Instant::now();
    fill(dir.path(), DEVICES);
    eprintln!("import, PMKs and good copy: {:?}", at.elapsed());
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let at = Instant::now();
        let opened = open(dir.path());
        best = best.min(at.elapsed());
        drop(opened);
    }
    let before = resident();
    let (mut store, loaded, report) = open(dir.path());
    eprintln!("open and load, best of 5: {best:?}; resident {before} -> {} KiB", resident());
    assert_eq!((loaded.devices.len(), loaded.pmks.len(), report), (10_000, 10_000, OpenReport::default()));
    assert!(loaded.devices.iter().zip(1..).all(|(d, id)| *d == device(id, &format!("device-{id}"))));
    let at = Instant::now();
    assert_eq!(quick_check(&store.conn).unwrap(), None);
    eprintln!("of that quick_check: {:?}", at.elapsed());
    eprintln!("registry.db: {} octets", size(dir.path(), "registry.db"));
    let home = ssid("Home");
    let (mut devices, mut pmks) = (0, 0);
    for id in DEVICES + 1..=DEVICES + 100 {
        store.checkpoint().unwrap();
        store.commit(&[Change::Put(vec![device(id, &format!("added-{id}"))])]).unwrap();
        let before = size(dir.path(), "registry.db-wal");
        store.put_pmks(&[pmk(id, 1, &home)]).unwrap();
        devices += before;
        pmks += size(dir.path(), "registry.db-wal") - before;
    }
    eprintln!("written to the log per device added: {} octets, for its PMK: {}", devices / 100, pmks / 100);
    let at = Instant::now();
    store.save_good_copy().unwrap();
    eprintln!("resident {} KiB", resident());
    eprintln!("good copy: {:?}, {} octets", at.elapsed(), store.copy_size());
}
