//! Damaged files: what is found, what is kept, what is restored.

use super::*;
use crate::store::{Damage, RestoredFrom};
use std::fs;
use std::path::PathBuf;

const PAGE: usize = 1024;

/// 200 devices in the good copy and in the registry, the 201st in the registry only.
fn prepared() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 200);
    let (mut store, ..) = open(dir.path());
    store.commit(&[Change::Put(vec![device(201, "the last one")])]).unwrap();
    drop(store);
    let db = dir.path().join("registry.db");
    (dir, db)
}

fn damage(db: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut octets = fs::read(db).unwrap();
    change(&mut octets);
    fs::write(db, &octets).unwrap();
    octets
}

fn found(dir: &Path) -> (Loaded, Damage) {
    let (mut store, loaded, report) = open(dir);
    assert!(report.found_now && !report.created, "{report:?}");
    let damage = report.damaged.unwrap();
    // The restored registry works, and the damage is told again until its file is removed.
    let id = loaded.next_id;
    store.commit(&[Change::Put(vec![device(id, "afterwards")])]).unwrap();
    store.close().unwrap();
    let (store, again, report) = open(dir);
    assert_eq!(again.devices.len(), loaded.devices.len() + 1);
    assert!(!report.found_now);
    match &damage.file {
        Some(file) => {
            assert_eq!(report.damaged.as_ref(), Some(&damage));
            drop(store);
            let kept = fs::read(file).unwrap();
            fs::remove_file(file).unwrap();
            assert_eq!(open(dir).2.damaged, None);
            fs::write(file, kept).unwrap();
        }
        None => assert_eq!(report.damaged, None),
    }
    (loaded, damage)
}

fn expect_good_copy(dir: &Path, reason: &str) -> Damage {
    let (loaded, damage) = found(dir);
    assert!(matches!(damage.restored_from, RestoredFrom::GoodCopy { .. }), "{damage}");
    assert!(damage.reason.contains(reason), "{damage}");
    assert_eq!((loaded.devices.len(), loaded.pmks.len()), (200, 200));
    // Device 201 is lost, its number is not given again.
    assert!(loaded.next_id > 201, "{}", loaded.next_id);
    damage
}

/// The page with the root of a table.
fn root(db: &Path, table: &str) -> usize {
    let conn = rusqlite::Connection::open(db).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    (conn.query_row(sql, [table], |row| row.get::<_, i64>(0)).unwrap() - 1) as usize * PAGE
}

#[test]
fn not_a_database() {
    let (dir, db) = prepared();
    let written = damage(&db, |octets| octets[..600].fill(0xa5));
    let damage = expect_good_copy(dir.path(), "not a database");
    assert_eq!(fs::read(damage.file.as_ref().unwrap()).unwrap(), written, "kept as it was found");
    let text = damage.to_string();
    assert!(
        text.contains("the last good copy of 2") && text.contains("registry.db.damaged-20270131T180000Z"),
        "{text}"
    );
}

#[test]
fn a_text_file() {
    let (dir, db) = prepared();
    fs::write(&db, "config latchkey 'main'\n").unwrap();
    expect_good_copy(dir.path(), "not a database");
}

#[test]
fn a_truncated_file() {
    let (dir, db) = prepared();
    damage(&db, |octets| octets.truncate(octets.len() / 2));
    expect_good_copy(dir.path(), "");
}

#[test]
fn an_empty_and_a_missing_file() {
    let (dir, db) = prepared();
    fs::write(&db, "").unwrap();
    expect_good_copy(dir.path(), "registry.db was empty");
    let (dir, db) = prepared();
    fs::remove_file(&db).unwrap();
    let damage = expect_good_copy(dir.path(), "registry.db was missing");
    assert_eq!(damage.file, None);
}

#[test]
fn a_zeroed_page_of_the_devices() {
    let (dir, db) = prepared();
    for table in ["device", "credential", "device_mac"] {
        let at = root(&db, table);
        let before = damage(&db, |octets| octets[at..at + PAGE].fill(0));
        let damage = expect_good_copy(dir.path(), "");
        assert_eq!(fs::read(damage.file.unwrap()).unwrap(), before);
        // Back to a good registry with device 201 for the next round.
        fs::remove_dir_all(dir.path()).unwrap();
        fill(dir.path(), 200);
        let (mut store, ..) = open(dir.path());
        store.commit(&[Change::Put(vec![device(201, "the last one")])]).unwrap();
    }
}

#[test]
fn where_only_derived_things_are_damaged_nothing_is_lost() {
    for table in ["pmk", "seen", "sqlite_autoindex_device_1"] {
        let (dir, db) = prepared();
        let at = root(&db, table);
        damage(&db, |octets| octets[at..at + PAGE].fill(0));
        let (loaded, damage) = found(dir.path());
        assert_eq!(damage.restored_from, RestoredFrom::Salvaged, "{table}: {damage}");
        assert_eq!(loaded.devices.len(), 201, "{table}");
        assert_eq!(loaded.devices[200], device(201, "the last one"), "{table}");
        assert_eq!(loaded.pmks.len(), if table == "pmk" { 0 } else { 200 }, "{table}");
    }
}

/// Whatever single page is lost: the registry opens, and has all devices, or those of the good copy.
#[test]
fn any_zeroed_page() {
    let (dir, db) = prepared();
    let sound = fs::read(&db).unwrap();
    let good = fs::read(dir.path().join("registry.db.good")).unwrap();
    let mut noticed = 0;
    for page in 0..sound.len() / PAGE {
        let again = tempfile::tempdir().unwrap();
        let mut octets = sound.clone();
        octets[page * PAGE..(page + 1) * PAGE].fill(0);
        fs::write(again.path().join("registry.db"), octets).unwrap();
        fs::write(again.path().join("registry.db.good"), &good).unwrap();
        let (_store, loaded, report) = open(again.path());
        noticed += usize::from(report.found_now);
        let expected = match report.damaged.map(|damage| damage.restored_from) {
            None | Some(RestoredFrom::Salvaged) => 201,
            Some(RestoredFrom::GoodCopy { .. }) => 200,
            other => panic!("page {page}: {other:?}"),
        };
        assert_eq!(loaded.devices.len(), expected, "page {page}");
        assert!(
            loaded.devices.iter().take(200).zip(1..).all(|(d, id)| *d == device(id, &format!("device-{id}"))),
            "page {page}"
        );
    }
    // All but the few that hold nothing: tables without a row, unused pages.
    assert!(noticed * 10 >= sound.len() / PAGE * 9, "{noticed} of {}", sound.len() / PAGE);
}

#[test]
fn content_that_cannot_be() {
    for sql in [
        "UPDATE credential SET secret = x'00' WHERE device_id = 7",
        "UPDATE credential SET serial = -1 WHERE device_id = 7",
        "PRAGMA foreign_keys = OFF; DELETE FROM credential WHERE device_id = 7",
        "PRAGMA foreign_keys = OFF; DELETE FROM device WHERE id = 7",
    ] {
        let (dir, db) = prepared();
        rusqlite::Connection::open(&db).unwrap().execute_batch(sql).unwrap();
        let damage = expect_good_copy(dir.path(), " holds ");
        assert!(!damage.reason.contains("key of device"), "{damage}");
    }
}

#[test]
fn without_any_copy_it_starts_empty_and_says_so() {
    let (dir, db) = prepared();
    damage(&db, |octets| octets.fill(0x11));
    damage(&dir.path().join("registry.db.good"), |octets| octets[..2000].fill(0x22));
    let (loaded, damage) = found(dir.path());
    assert_eq!((loaded.devices.len(), damage.restored_from), (0, RestoredFrom::Nothing));
    assert!(
        damage.to_string().contains("nothing could be recovered: the registry is empty, import a backup"),
        "{damage}"
    );
    let kept = fs::read_dir(dir.path())
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_str().unwrap().contains("damaged"));
    assert_eq!(kept.count(), 2, "the registry and the copy");
}

#[test]
fn a_copy_of_a_newer_program_is_not_overwritten() {
    let (dir, db) = prepared();
    damage(&db, |octets| octets.fill(0x11));
    let good = dir.path().join("registry.db.good");
    rusqlite::Connection::open(&good).unwrap().execute_batch("PRAGMA user_version = 9").unwrap();
    let before = fs::read(&good).unwrap();
    let error = Store::open(dir.path(), NOW).unwrap_err();
    assert!(error.to_string().contains("newer latchkey"), "{error}");
    assert!(db.exists() && fs::read(&good).unwrap() == before);
}

/// A registry whose last changes are in its log only, as a crash leaves it.
fn crashed() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 20);
    let (mut store, ..) = open(dir.path());
    for id in 21..=30 {
        store.commit(&[Change::Put(vec![device(id, &format!("device-{id}"))])]).unwrap();
    }
    let copy = tempfile::tempdir().unwrap();
    for name in ["registry.db", "registry.db-wal", "registry.db.good"] {
        fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let wal = copy.path().join("registry.db-wal");
    (copy, wal)
}

#[test]
fn a_log_after_a_crash_is_used() {
    let (dir, _) = crashed();
    let (store, loaded, report) = open(dir.path());
    assert_eq!((loaded.devices.len(), report), (30, OpenReport::default()));
    assert!(store.copy_is_stale());
}

#[test]
fn a_garbage_log_is_noticed() {
    let (dir, wal) = crashed();
    damage(&wal, |octets| octets.fill(0x77));
    let (loaded, damage) = found(dir.path());
    assert_eq!((loaded.devices.len(), damage.restored_from), (20, RestoredFrom::Checkpoint));
    assert!(damage.file.as_ref().unwrap().to_str().unwrap().ends_with("-wal"), "{damage}");
    assert!(fs::read(damage.file.unwrap()).unwrap().iter().all(|octet| *octet == 0x77));
}

#[test]
fn a_log_damaged_in_the_middle_is_noticed() {
    let (dir, wal) = crashed();
    damage(&wal, |octets| {
        let middle = octets.len() / 2;
        octets[middle] ^= 0xff;
    });
    let (loaded, damage) = found(dir.path());
    assert!((21..30).contains(&loaded.devices.len()), "{}", loaded.devices.len());
    assert_eq!(damage.restored_from, RestoredFrom::Checkpoint);
}

#[test]
fn at_most_three_damaged_registries_are_kept() {
    let (dir, db) = prepared();
    for round in 0..6 {
        damage(&db, |octets| octets[..100].fill(round));
        let (mut store, ..) = open(dir.path());
        store.commit(&[Change::Ignore(mac(round.into()), true)]).unwrap();
        store.close().unwrap();
    }
    let mut kept: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("damaged"))
        .collect();
    kept.sort();
    assert_eq!(kept.len(), 3, "{kept:?}");
}
