//! EAP credentials, certificates, places and makers.

use super::*;
use crate::registry::credential::{Certificate, EapCredentials, EapPsk, KnownBy, Place};
use crate::registry::maker::{Admit, Maker};
use crate::secret::EapPskKey;
use crate::store::RestoredFrom;

fn certificate(known_by: KnownBy) -> Certificate {
    Certificate {
        known_by,
        subject: "CN=lamp,O=Acme".into(),
        not_after: Some(UnixTime(1_900_000_000)),
        mud_url: Some("https://acme.example/lamp.json".into()),
        issued: false,
        since: UnixTime(1_700_000_002),
    }
}

/// A device with each kind of credential and place.
pub fn with_everything(id: u32, name: &str) -> Device {
    let maker = || Arc::<str>::from("acme");
    let [a, b, c, d] = id.to_be_bytes();
    let mut hash = [0x80; 32];
    hash[..4].copy_from_slice(&[a, b, c, d]);
    let bare = Certificate {
        subject: "".into(),
        not_after: None,
        mud_url: None,
        issued: true,
        since: UnixTime(0),
        ..certificate(KnownBy::PublicKey(hash))
    };
    Device {
        eap: Some(Box::new(EapCredentials {
            psk: Some(EapPsk { nai: format!("{name}.x3k7@home").into(), key: EapPskKey::new([d; 16]) }),
            certificates: vec![
                certificate(KnownBy::Fingerprint(hash)),
                certificate(KnownBy::Serial { maker: "acme".into(), issuer: hash, serial: [0x7f, 0, 0xff, d].into() }),
                certificate(KnownBy::SubjectSerial { maker: maker(), serial: format!("SN {id}").into() }),
                certificate(KnownBy::Peer { realm: maker(), identity: format!("{name}@acme.example").into() }),
                certificate(KnownBy::AltName { maker: maker(), name: format!("{name}.acme.example").into() }),
                bare,
            ],
            serial: u32::MAX,
        })),
        places: vec![Place::Ap(mac(77)), Place::Ssid(ssid("Home")), Place::Ssid(ssid("")), Place::Ap(mac(76))],
        ..device(id, name)
    }
}

pub fn maker(name: &str) -> Maker {
    Maker {
        name: name.into(),
        authorities: vec![vec![0x30; 3000].into(), vec![0x31; 8192].into(), Box::default()],
        profile: "iot".into(),
        admit: Admit::Pending,
        crls: vec!["/etc/latchkey/acme \u{e4}.crl".into(), "/tmp/2.pem".into()],
        lists: vec![vec![0x33; 5000].into(), [0x34][..].into()],
        bundle_issued: Some(UnixTime(1_790_000_000)),
    }
}

#[test]
fn every_field() {
    let dir = tempfile::tempdir().unwrap();
    let mut plain = device(2, "b");
    plain.eap = Some(Box::default());
    let mut keyless = with_everything(3, "c");
    keyless.key = None;
    keyless.eap.as_mut().unwrap().psk = None;
    let mut devices = vec![with_everything(1, "a"), plain, keyless, device(4, "d")];
    let makers = [("acme", Admit::All), ("globex", Admit::Listed)].map(|(n, admit)| Maker { admit, ..maker(n) });
    let (mut store, ..) = open(dir.path());
    let put = |maker: &Maker| Change::PutMaker(Box::new(maker.clone()));
    store.commit(&[Change::Put(devices.clone()), put(&makers[1]), put(&makers[0])]).unwrap();
    drop(store);
    let (mut store, loaded, report) = open(dir.path());
    assert_eq!(report, OpenReport::default());
    assert_eq!((&loaded.devices, &loaded.makers[..]), (&devices, &makers[..]));

    // Less, other and in another order; the rest stays.
    let eap = devices[0].eap.as_mut().unwrap();
    eap.certificates.remove(1);
    eap.certificates.swap(0, 2);
    eap.psk.as_mut().unwrap().key = EapPskKey::new([0xaa; 16]);
    eap.serial = 7;
    devices[0].places.remove(2);
    devices[2].eap = None;
    devices[2].key = device(3, "c").key;
    devices.remove(1);
    let less =
        Maker { crls: Vec::new(), authorities: vec![[0x32][..].into()], profile: "guest".into(), ..maker("acme") };
    let less = Maker { lists: vec![[0x35][..].into()], bundle_issued: None, ..less };
    let changes = [
        Change::Put(devices.clone()),
        Change::Remove(DeviceId(2)),
        put(&less),
        Change::RemoveMaker("globex".into()),
        Change::RemoveMaker("nobody".into()),
    ];
    store.commit(&changes).unwrap();
    drop(store);
    let (store, loaded, _) = open(dir.path());
    assert_eq!((loaded.devices, loaded.makers), (devices, vec![less]));
    // Nothing is left of what went.
    for (table, rows) in
        [("certificate", 5), ("device_place", 3 + 4), ("authority", 1), ("revocation_list", 0), ("held_list", 1)]
    {
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(store.conn.query_row(&count, [], |row| row.get::<_, i64>(0)).unwrap(), rows, "{table}");
    }
}

#[test]
fn what_does_not_change_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let devices: Vec<Device> = (1..20).map(|id| with_everything(id, &format!("device-{id}"))).collect();
    let all = |devices: &[Device]| [Change::Put(devices.to_vec()), Change::PutMaker(Box::new(maker("acme")))];
    let (mut store, ..) = open(dir.path());
    store.commit(&all(&devices)).unwrap();
    store.close().unwrap();
    let (mut store, loaded, _) = open(dir.path());
    let written = || std::fs::metadata(dir.path().join("registry.db-wal")).unwrap().len();
    store.commit(&all(&loaded.devices)).unwrap();
    assert_eq!(written(), 0);
    // One certificate of one device: its page and no other. A page has a frame header of 24 octets in the log.
    let mut changed = loaded.devices;
    changed[7].eap.as_mut().unwrap().certificates[0].subject = "CN=lamp,O=Acmf".into();
    store.commit(&all(&changed)).unwrap();
    assert_eq!(written(), 32 + 1024 + 24);
}

#[test]
fn a_new_eap_key_leaves_the_pmks_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path());
    let mut both = with_everything(1, "a");
    store.commit(&[Change::Put(vec![both.clone()])]).unwrap();
    store.put_pmks(&[pmk(1, 1, &ssid("Home"))]).unwrap();
    both.eap.as_mut().unwrap().psk.as_mut().unwrap().key = EapPskKey::new([0xbb; 16]);
    store.commit(&[Change::Put(vec![both])]).unwrap();
    drop(store);
    assert_eq!(open(dir.path()).1.pmks, vec![pmk(1, 1, &ssid("Home"))]);
}

#[test]
fn a_salvaged_registry_has_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 300);
    let (mut store, ..) = open(dir.path());
    let kept = Change::PutLastGood(Box::new(last_good::kept(1, "Home", 5)));
    store
        .commit(&[Change::Put(vec![with_everything(301, "cam")]), Change::PutMaker(Box::new(maker("acme"))), kept])
        .unwrap();
    store.close().unwrap();
    std::fs::remove_file(dir.path().join("registry.db.good")).unwrap();
    let db = dir.path().join("registry.db");
    let conn = rusqlite::Connection::open(&db).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'pmk'";
    let root = conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as usize - 1;
    drop(conn);
    let mut octets = std::fs::read(&db).unwrap();
    octets[root * 1024..(root + 1) * 1024].fill(0);
    std::fs::write(&db, octets).unwrap();
    let (_store, loaded, report) = open(dir.path());
    assert_eq!(report.damaged.map(|damage| damage.restored_from), Some(RestoredFrom::Salvaged));
    assert_eq!(
        (loaded.devices.len(), loaded.devices.last(), loaded.pmks.len()),
        (301, Some(&with_everything(301, "cam")), 0)
    );
    assert_eq!((loaded.makers, loaded.last_good), (vec![maker("acme")], vec![last_good::kept(1, "Home", 5)]));
}

#[test]
fn content_that_cannot_be() {
    for sql in [
        "UPDATE credential SET secret = x'00' WHERE kind = 'eap'",
        "UPDATE credential SET secret = NULL WHERE kind = 'eap'",
        "UPDATE credential SET identity = '' WHERE kind = 'eap'",
        "UPDATE credential SET serial = -1 WHERE kind = 'eap'",
        "INSERT INTO credential SELECT device_id, 'eap', 9, NULL, NULL FROM device, credential WHERE kind = 'eap'",
        "DELETE FROM credential WHERE kind = 'eap'",
        "UPDATE certificate SET value = 'text' WHERE known_by = 'public-key'",
        "UPDATE certificate SET scope = x'01' WHERE known_by = 'serial'",
        "UPDATE certificate SET scope = x'01' WHERE known_by = 'alt-name'",
        "PRAGMA foreign_keys = OFF; UPDATE certificate SET device_id = 9",
        "PRAGMA foreign_keys = OFF; UPDATE device_place SET device_id = 9",
        "PRAGMA foreign_keys = OFF; DELETE FROM maker",
        "PRAGMA foreign_keys = OFF; UPDATE held_list SET maker = 'b'",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, ..) = open(dir.path());
        let changes = [Change::Put(vec![with_everything(1, "a")]), Change::PutMaker(Box::new(maker("acme")))];
        store.commit(&changes).unwrap();
        store.close().unwrap();
        let changed = rusqlite::Connection::open(dir.path().join("registry.db")).unwrap().execute_batch(sql);
        changed.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let (_store, loaded, report) = open(dir.path());
        let damage = report.damaged.unwrap_or_else(|| panic!("{sql}"));
        assert!(matches!(damage.restored_from, RestoredFrom::GoodCopy { .. }), "{sql}: {damage}");
        assert!(damage.reason.contains(" holds "), "{damage}");
        assert_eq!((loaded.devices, loaded.makers), (vec![with_everything(1, "a")], vec![maker("acme")]), "{sql}");
    }
}
