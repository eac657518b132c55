//! Answers of servers that are kept, and registries of version 2, which had no place for them.

use super::place::{WRITTEN_BY_VERSION_1, write_sql};
use super::*;
use crate::registry::Registry;
use crate::registry::credential::KnownBy;
use crate::registry::last_good::{LastGood, WifiKey};
use crate::store::RestoredFrom;
use std::fs;

pub fn kept(n: u32, name: &str, at: i64) -> LastGood {
    let keys = ["key of an earlier answer", &"5a".repeat(32)];
    LastGood {
        mac: mac(n),
        ssid: ssid(name),
        realm: "online".into(),
        keys: keys.iter().map(|key| WifiKey::from_tunnel_password(key.as_bytes()).unwrap()).collect(),
        vlan: Some(20),
        profile: "iot".into(),
        at: UnixTime(at),
    }
}

fn put(kept: &LastGood) -> Change {
    Change::PutLastGood(Box::new(kept.clone()))
}

#[test]
fn every_field() {
    let dir = tempfile::tempdir().unwrap();
    let odd = LastGood { vlan: None, at: UnixTime(i64::MIN), realm: "".into(), ..kept(1, "\u{0}'", 0) };
    let mut other = kept(2, "Home", i64::MAX);
    other.keys.remove(0);
    other.vlan = Some(u16::MAX);
    let (mut store, ..) = open(dir.path());
    store.commit(&[put(&other), put(&kept(1, "Home", 7)), put(&kept(1, "", 7)), put(&odd)]).unwrap();
    drop(store);
    let (mut store, loaded, report) = open(dir.path());
    assert_eq!(report, OpenReport::default());
    assert_eq!(loaded.last_good, [kept(1, "", 7), odd.clone(), kept(1, "Home", 7), other.clone()]);
    assert!(Arc::ptr_eq(&loaded.last_good[0].profile, &loaded.last_good[3].profile));

    // The same is not written again; fewer keys leave none of the others behind.
    store.checkpoint().unwrap();
    store.commit(&loaded.last_good.iter().map(put).collect::<Vec<_>>()).unwrap();
    assert_eq!(fs::metadata(dir.path().join("registry.db-wal")).unwrap().len(), 0);
    let mut fewer = kept(1, "Home", 9);
    fewer.keys.truncate(1);
    let remove = |name| Change::RemoveLastGood { mac: mac(1), ssid: ssid(name) };
    store.commit(&[put(&fewer), remove(""), remove("nowhere")]).unwrap();
    drop(store);
    let (store, loaded, _) = open(dir.path());
    assert_eq!(loaded.last_good, [odd, fewer, other]);
    let keys = store.conn.query_row("SELECT count(*) FROM last_good_key", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(keys, 2 + 1 + 1);
}

#[test]
fn the_oldest_goes_on_flash_as_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path());
    let mut registry = Registry::load(vec![], vec![], vec![], DeviceId(1));
    let first: Vec<Change> = (0..256).map(|n| put(&kept(n % 200, ["Home", "Guest"][n as usize / 200], 1000))).collect();
    let mut next: Vec<Change> = (300..303).map(|n| put(&kept(n, "Home", 1001))).collect();
    // One whose time is before all others: the clock was set back.
    next.extend([put(&kept(400, "Home", 5)), put(&kept(401, "Home", 6)), put(&kept(7, "Guest", 2000))]);
    for changes in [first, next] {
        store.commit(&changes).unwrap();
        changes.iter().for_each(|change| registry.apply(change));
    }
    drop(store);
    let loaded = open(dir.path()).1.last_good;
    assert_eq!(loaded.len(), 256);
    assert_eq!(loaded, registry.all_last_good().cloned().collect::<Vec<_>>());
    assert!(loaded.iter().any(|kept| kept.mac == mac(401)) && !loaded.iter().any(|kept| kept.mac == mac(400)));
    let again = Registry::load(vec![], vec![], vec![], DeviceId(1)).with_last_good(loaded);
    assert_eq!(again.last_good(mac(7), b"Guest").map(|kept| kept.at), Some(UnixTime(2000)));
}

#[test]
fn a_copy_of_the_files_has_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path());
    for n in 0..40 {
        let change = match n % 4 {
            3 => Change::RemoveLastGood { mac: mac(n - 1), ssid: ssid("Home") },
            _ => put(&kept(n, "Home", i64::from(n))),
        };
        store.commit(&[change]).unwrap();
        let cut = tempfile::tempdir().unwrap();
        for name in ["registry.db", "registry.db-wal"] {
            fs::copy(dir.path().join(name), cut.path().join(name)).unwrap();
        }
        let loaded = open(cut.path()).1.last_good;
        let expected = (0..=n).filter(|m| m % 4 < 2 || (m % 4 == 2 && *m == n));
        assert_eq!(loaded, expected.map(|m| kept(m, "Home", i64::from(m))).collect::<Vec<_>>(), "after {n}");
    }
}

#[test]
fn content_that_cannot_be() {
    for sql in [
        "UPDATE last_good_key SET secret = x'ffffffffffffffff' WHERE place = 0",
        "DELETE FROM last_good_key",
        "UPDATE last_good SET vlan = 70000",
        "UPDATE last_good SET realm = CAST(x'ff' AS TEXT)",
        "PRAGMA foreign_keys = OFF; DELETE FROM last_good",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, ..) = open(dir.path());
        store.commit(&[Change::Put(vec![device(1, "a")]), put(&kept(1, "Home", 5))]).unwrap();
        store.close().unwrap();
        rusqlite::Connection::open(dir.path().join("registry.db")).unwrap().execute_batch(sql).unwrap();
        let (_store, loaded, report) = open(dir.path());
        let damage = report.damaged.unwrap_or_else(|| panic!("{sql}"));
        assert!(damage.reason.contains(" holds ") && !damage.reason.contains("earlier"), "{sql}: {damage}");
        assert!(matches!(damage.restored_from, RestoredFrom::Salvaged | RestoredFrom::GoodCopy { .. }), "{damage}");
        assert_eq!(loaded.devices, [device(1, "a")], "{sql}");
    }
}

/// What version 2 made of a registry of version 1, and what it wrote into it, by literal SQL.
const WRITTEN_BY_VERSION_2: &str = "
ALTER TABLE credential ADD COLUMN identity TEXT;
CREATE TABLE certificate (device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE, place INTEGER NOT NULL,
    known_by TEXT NOT NULL
        CHECK (known_by IN ('fingerprint', 'serial', 'subject-serial', 'alt-name', 'public-key')),
    scope ANY NOT NULL, value ANY NOT NULL, subject TEXT NOT NULL, not_after INTEGER, mud_url TEXT,
    issued INTEGER NOT NULL, since INTEGER NOT NULL, PRIMARY KEY (device_id, place)) STRICT, WITHOUT ROWID;
CREATE TABLE device_place (device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    place INTEGER NOT NULL, ssid BLOB CHECK (length(ssid) <= 32), ap BLOB CHECK (length(ap) = 6),
    PRIMARY KEY (device_id, place), CHECK ((ssid IS NULL) <> (ap IS NULL))) STRICT, WITHOUT ROWID;
CREATE TABLE maker (name TEXT NOT NULL PRIMARY KEY, profile TEXT NOT NULL,
    admit TEXT NOT NULL CHECK (admit IN ('listed', 'pending', 'all'))) STRICT, WITHOUT ROWID;
CREATE TABLE authority (maker TEXT NOT NULL REFERENCES maker (name) ON DELETE CASCADE, place INTEGER NOT NULL,
    der BLOB NOT NULL, PRIMARY KEY (maker, place)) STRICT;
CREATE TABLE revocation_list (maker TEXT NOT NULL REFERENCES maker (name) ON DELETE CASCADE,
    place INTEGER NOT NULL, path BLOB NOT NULL, PRIMARY KEY (maker, place)) STRICT, WITHOUT ROWID;
INSERT INTO credential VALUES (4, 'eap', 2, x'000102030405060708090a0b0c0d0e0f', 'tv@home');
INSERT INTO certificate VALUES (4, 0, 'fingerprint', '', zeroblob(32), 'CN=tv', 1900000000, 'https://x/m', 1, 5);
INSERT INTO certificate VALUES (4, 1, 'alt-name', 'acme', 'tv.acme.example', '', NULL, NULL, 0, 6);
INSERT INTO device_place VALUES (4, 0, x'486f6d65', NULL);
INSERT INTO maker VALUES ('acme', 'iot', 'pending');
INSERT INTO authority VALUES ('acme', 0, x'3000');
INSERT INTO revocation_list VALUES ('acme', 0, x'2f61');
PRAGMA user_version = 2;
";

#[test]
fn a_registry_of_version_2_is_read() {
    for as_good_copy in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        write_sql(dir.path(), &[WRITTEN_BY_VERSION_1, WRITTEN_BY_VERSION_2].concat());
        if as_good_copy {
            fs::rename(dir.path().join("registry.db"), dir.path().join("registry.db.good")).unwrap();
            fs::write(dir.path().join("registry.db"), [0x55; 4096]).unwrap();
        }
        let (mut store, loaded, report) = open(dir.path());
        assert_eq!(report.found_now, as_good_copy);
        let tv = loaded.devices.iter().find(|device| &*device.name == "TV.2").unwrap();
        let eap = tv.eap.as_ref().unwrap();
        let psk = eap.psk.as_ref().unwrap();
        assert_eq!((&*psk.nai, psk.key.expose()[15], eap.serial, tv.places.len()), ("tv@home", 15, 2, 1));
        let [exact, name] = eap.certificates.as_slice() else { panic!("{eap:?}") };
        assert_eq!((&exact.known_by, exact.issued, exact.since), (&KnownBy::Fingerprint([0; 32]), true, UnixTime(5)));
        assert_eq!((exact.not_after, exact.mud_url.as_deref()), (Some(UnixTime(1_900_000_000)), Some("https://x/m")));
        let tv_name = KnownBy::AltName { maker: "acme".into(), name: "tv.acme.example".into() };
        assert_eq!((&name.known_by, name.not_after, name.issued), (&tv_name, None, false));
        let [acme] = loaded.makers.as_slice() else { panic!("{:?}", loaded.makers) };
        assert_eq!((acme.authorities.len(), acme.crls.len(), acme.lists.len(), acme.bundle_issued), (1, 1, 0, None));
        assert!(loaded.last_good.is_empty());
        // It takes what version 2 had no place for; a device that goes still takes its certificates with it.
        let new = credentials::with_everything(loaded.next_id, "new");
        let changes = [
            Change::Put(vec![new.clone()]),
            Change::PutMaker(Box::new(credentials::maker("acme"))),
            put(&kept(1, "Home", 5)),
            Change::Remove(DeviceId(4)),
        ];
        store.commit(&changes).unwrap();
        store.close().unwrap();
        let (store, again, report) = open(dir.path());
        assert!(!report.found_now);
        assert_eq!((again.devices.last(), again.devices.len()), (Some(&new), 2));
        assert_eq!((again.makers, again.last_good), (vec![credentials::maker("acme")], vec![kept(1, "Home", 5)]));
        let left = "SELECT count(*) FROM certificate WHERE device_id = 4";
        assert_eq!(store.conn.query_row(left, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    }
}
