//! Bundles through the methods: the maker's servers are gone, its devices stay.

use super::*;
use crate::bundle::{self, Bundle};
use crate::pki::authority::certificate_pem;
use crate::pki::testing::{Ca, params};
use crate::pki::{CertificateInfo, Voucher};
use crate::registry::credential::{Certificate, EapCredentials, KnownBy, Place};
use crate::registry::device::{Bind, BoundMac, Device, DeviceId};
use crate::registry::last_good::{LastGood, WifiKey};
use crate::registry::maker::Admit;
use crate::service::revocation::{Lost, lost};
use rcgen::{ExtendedKeyUsagePurpose, KeyPair, SanType};
use serde_json::json;

const KEYS: [&str; 4] = [
    "9f3c61e80b27d45aa6107ef3c8923b5d",
    "41d7a90c5be82f36907c1de4b3f8526a",
    "c85e12f7693ab04d8e21975fd06c3ba4",
    "2ab4f06d917c3e58d4190f7be65c82a3",
];

fn mac(last: u8) -> MacAddr {
    MacAddr([0, 0x1a, 0x11, 0, 0, last])
}

fn peer(realm: &str, identity: &str) -> Certificate {
    Certificate {
        known_by: KnownBy::Peer { realm: realm.into(), identity: identity.into() },
        subject: "".into(),
        not_after: None,
        mud_url: None,
        issued: false,
        since: UnixTime(5),
    }
}

/// A device that the servers of a realm have let in.
fn vouched(id: u32, name: &str, realm: &str, identity: &str) -> Device {
    Device {
        profile: "media".into(),
        bind: Bind::Any,
        max_devices: 0,
        macs: vec![BoundMac { mac: mac(id as u8), proved: true, since: UnixTime(6) }],
        blocked: id == 2,
        places: vec![Place::Ap(mac(99))],
        eap: Some(Box::new(EapCredentials { psk: None, certificates: vec![peer(realm, identity)], serial: 3 })),
        ..crate::registry::tests::device(id, name, "media", "")
    }
}

/// A box that knows two devices of acme, one of globex, and one that is nobody's.
fn core() -> Core {
    let mut core = super::core();
    let mut config = (*core.config).clone();
    let realm = |name: &str, domain: &str| crate::config::Realm {
        name: name.into(),
        patterns: vec![crate::config::Pattern::Exact(domain.into())],
        target: crate::config::Target::Discover,
        secret: None,
        tls: Default::default(),
        profile: Some("media".into()),
        admit: Admit::Listed,
        register: crate::config::Register::Yes,
        session_timeout: 86_400,
        share: crate::config::Share::Needed,
        mac: crate::config::MacShare::Real,
        placement: crate::config::Placement::Ours,
        last_good: None,
    };
    config.realms = vec![realm("acme-realm", "acme.example"), realm("globex", "globex.example")];
    core.reconfigure(config.into(), now());
    core.apply(&[Change::Put(vec![
        vouched(1, "Desk.Cam", "acme-realm", "dev1@acme.example"),
        vouched(2, "hall-cam", "acme-realm", "dev2@acme.example"),
        vouched(3, "bulb", "globex", "dev1@acme.example"),
        crate::registry::tests::device(4, "tv", "iot", "Umbrella-Tango-47"),
    ])]);
    core
}

fn psk(identity: &str, key: &str) -> Value {
    json!({ "identity": identity, "psk": { "nai": identity, "key": key } })
}

fn text(devices: Value) -> Value {
    json!({
        "latchkey_bundle": 1, "maker": "acme", "realms": ["acme.example"], "issued": "2027-01-10T00:00:00Z", "devices": devices,
    })
}

fn import(core: &mut Core, bundle: &Value, more: Value) -> Value {
    let mut params = json!({ "bundle": bundle.to_string(), "unsigned": true });
    params.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    call(core, "maker_import", params)
}

fn lines(reply: &Value) -> Vec<String> {
    let lines = reply["error"]["lines"].as_array().cloned().unwrap_or_default();
    let line = |line: &Value| {
        format!("{}: {}", line["field"].as_str().unwrap_or_default(), line["message"].as_str().unwrap_or_default())
    };
    lines.iter().map(line).collect()
}

#[test]
fn known_devices_get_their_keys_and_stay_what_they_are() {
    let mut core = core();
    let bundle = text(json!([
        psk("dev1@acme.example", KEYS[0]),
        { "identity": "dev2@acme.example", "mud_url": "https://acme.example/cam", "certificates": [{ "subject_serial": "SN 2" }],
          "addresses": ["00:1a:11:00:00:77"], "name": "other-name" },
        psk("dev3@acme.example", KEYS[2]),
    ]));
    let before: Vec<Device> = core.registry.devices().cloned().collect();
    let version = core.registry.version();
    let dry = import(&mut core, &bundle, json!({ "dry_run": true }));
    assert_eq!(core.registry.version(), version, "a dry run changes nothing");
    let reply = import(&mut core, &bundle, json!({}));
    for (field, expected) in [
        ("maker", json!("acme-realm")),
        ("new_maker", json!(true)),
        ("realm", json!("acme-realm")),
        ("local", json!(false)),
        ("signed", Value::Null),
        ("profile", json!("media")),
        (
            "changed",
            json!([
                { "identity": "dev1@acme.example", "name": "Desk.Cam", "gains": ["an EAP-PSK key"] },
                { "identity": "dev2@acme.example", "name": "hall-cam", "gains": ["a certificate", "a MUD URL"] },
            ]),
        ),
        ("new", json!([])),
        ("left_out", json!(["dev3@acme.example"])),
        ("unchanged", json!(0)),
        ("stranded", json!([])),
    ] {
        assert_eq!((&reply[field], &dry[field]), (&expected, &expected), "{field}: {reply}");
    }
    let desk = core.registry.by_nai("dev1@acme.example").cloned().expect("by its NAI");
    let hall = core.registry.by_name("hall-cam").cloned().expect("there");
    for (old, new) in [(&before[0], &desk), (&before[1], &hall)] {
        let same = Device { eap: old.eap.clone(), ..new.clone() };
        assert_eq!(&same, old, "all but the credentials is as before");
        // Whoever is on the air, let in by the maker's servers, stays there.
        assert!(matches!(lost(old, Some(new)), Lost::Some(addresses) if addresses.is_empty()), "{}", old.name);
    }
    let eap = hall.eap.expect("credentials");
    assert_eq!(eap.serial, 3);
    let serial = KnownBy::SubjectSerial { maker: "acme-realm".into(), serial: "SN 2".into() };
    assert_eq!(core.registry.holder(&serial, None).map(|d| d.id), Some(DeviceId(2)));
    assert_eq!(core.registry.len(), 4, "nobody else was registered");
    assert_eq!(core.registry.devices().nth(2), before.get(2), "the identity of another realm is another's");

    // Once more: nothing to do, and nothing written.
    let version = core.registry.version();
    let again = import(&mut core, &bundle, json!({}));
    assert_eq!((&again["unchanged"], &again["changed"], &again["new_maker"]), (&json!(2), &json!([]), &json!(false)));
    assert_eq!(core.registry.version(), version);
    // Another key takes the place of the first, and ends what was proved with it.
    let other = text(json!([psk("dev1@acme.example", KEYS[3])]));
    let reply = import(&mut core, &other, json!({}));
    assert_eq!(reply["changed"][0]["gains"], json!(["another EAP-PSK key"]));
    let new = core.registry.by_name("desk.cam").expect("there");
    assert_eq!(new.eap.as_ref().map(|eap| eap.serial), Some(4));
    assert!(matches!(lost(&desk, Some(new)), Lost::All(_)));
}

#[test]
fn others_are_registered_when_that_is_wanted() {
    let bundle = text(json!([
        { "identity": "Lamp 1@acme.example", "psk": { "nai": "lamp1@acme.example", "key": KEYS[0] } },
        { "identity": "dev4", "name": "TV", "wifi_key": "winter-horse-52-lake", "addresses": ["00:1a:11:00:00:44"] },
        { "identity": "@@", "public_keys": [{ "sha256": "0b".repeat(32) }] },
        { "identity": "lamp 1@sub.acme.example" },
    ]));
    for more in [json!({ "register": true, "profile": "iot" }), json!({ "admit": "all", "profile": "iot" })] {
        let mut core = core();
        let reply = import(&mut core, &bundle, more);
        let names: Vec<&str> =
            reply["new"].as_array().expect("rows").iter().filter_map(|row| row["name"].as_str()).collect();
        assert_eq!(names, ["Lamp-1", "TV-2", "acme-realm-device", "lamp-1-2"], "{reply}");
        let tv = core.registry.by_mac(mac(0x44)).expect("by its address");
        assert_eq!((tv.bind, tv.max_devices, tv.key_serial, &*tv.profile), (Bind::First, 1, 1, "iot"));
        assert_eq!(tv.key.as_ref().map(|key| key.expose()), Some("winter-horse-52-lake"));
        let by_identity = KnownBy::Peer { realm: "acme-realm".into(), identity: "Lamp 1@acme.example".into() };
        let lamp = core.registry.by_nai("lamp1@acme.example").map(|device| device.id);
        assert!(lamp.is_some() && core.registry.holder(&by_identity, None).map(|device| device.id) == lamp);
        assert!(reply["stranded"].as_array().is_some_and(|names| names.len() == 2), "{reply}");
    }
}

#[test]
fn every_conflict_is_told_at_once_and_nothing_is_done() {
    let mut core = core();
    call(&mut core, "device_add", json!({ "name": "cam", "eap_psk_key": KEYS[2], "nai": "cam@acme.example" }));
    call(&mut core, "device_add", json!({ "name": "pin", "eap_psk": true, "macs": ["00:1a:11:00:00:55"] }));
    let similar = format!("0{}", &KEYS[2][1..]);
    let bundle = text(json!([
        psk("dev1@acme.example", &similar),
        { "identity": "dev2@acme.example", "psk": { "nai": "cam@acme.example", "key": KEYS[1] } },
        psk("dev3@acme.example", "000102030405060708090a0b0c0d0e0f"),
        { "identity": "dev4", "addresses": ["00:1a:11:00:00:55"] },
        { "identity": "dev5", "wifi_key": "Umbrella-Tango-48" },
        psk("dev6@acme.example", KEYS[0]),
        psk("dev7@acme.example", KEYS[0]),
    ]));
    let version = core.registry.version();
    let reply = import(&mut core, &bundle, json!({ "register": true }));
    assert_eq!(core.registry.version(), version);
    let (code, _, message) = error(&reply);
    assert_eq!((&*code, &*message), ("import", "nothing was imported: 6 devices are refused"));
    let lines = lines(&reply);
    for (line, expected) in lines.iter().zip([
        "devices[0] (dev1@acme.example) psk.key: this key differs from the EAP-PSK key of 'cam'",
        "devices[1] (dev2@acme.example) psk.nai: nai 'cam@acme.example' belongs to 'cam'",
        "devices[2] (dev3@acme.example) psk.key: this key is too weak: its octets are mostly a sequence",
        "devices[3] (dev4) addresses: mac 00:1a:11:00:00:55 belongs to 'pin': latchkey device set pin mac-=",
        "devices[4] (dev5) wifi_key: this key differs from the key of 'tv' in 1 character only: have the maker",
        "devices[6] (dev7@acme.example) psk.key: this key is the EAP-PSK key of 'dev6'",
    ]) {
        assert!(line.starts_with(expected), "{line}");
    }
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert!(
        !reply.to_string().contains(&similar) && !reply.to_string().contains("Umbrella-Tango-48"),
        "no key is quoted"
    );
}

#[test]
fn two_entries_cannot_be_one_device() {
    let mut core = core();
    let bundle = text(json!([
        { "identity": "dev1@acme.example", "certificates": [{ "sha256": "0a".repeat(32) }] },
        { "identity": "also dev1", "addresses": ["00:1a:11:00:00:01"], "psk": { "nai": "x@acme.example", "key": KEYS[0] } },
    ]));
    let reply = import(&mut core, &bundle, json!({}));
    assert!(lines(&reply)[0].contains("this is 'Desk.Cam', as devices[0] is"), "{reply}");
    // Alone, the address tells which one it is: the server had called it otherwise.
    let bundle = text(json!([bundle["devices"][1]]));
    let reply = import(&mut core, &bundle, json!({}));
    assert_eq!(reply["changed"][0]["gains"], json!(["an EAP-PSK key", "the identity"]), "{reply}");
    // Not so the address of a device that this maker never vouched for.
    let bundle = text(json!([{ "identity": "x", "addresses": ["00:1a:11:00:00:03"] }]));
    assert_eq!(import(&mut core, &bundle, json!({}))["left_out"], json!(["x"]));
}

#[test]
fn what_a_bundle_may_not_do() {
    let issued = |at: &str| {
        let mut bundle = text(json!([]));
        bundle["issued"] = at.into();
        bundle
    };
    let mut expired = text(json!([]));
    expired["expires"] = "2027-01-12T00:00:00Z".into();
    let mut both = text(json!([]));
    both["realms"] = json!(["acme.example", "globex.example"]);
    let faulty = text(json!([{ "identity": 5 }, { "name": "-" }]));
    for (bundle, more, code, words) in [
        (text(json!([])), json!({ "unsigned": false }), "unsigned", "--unsigned"),
        (issued("2027-02-01"), json!({}), "bundle_date", "is the clock right"),
        (expired, json!({}), "bundle_date", "was to be imported before 2027-01-12"),
        (both, json!({}), "bundle", "several sections config realm (acme-realm, globex)"),
        (text(json!([])), json!({ "profile": "none" }), "profile", "there is no profile 'none'"),
        (text(json!([])), json!({ "admit": "some" }), "admit", "admit 'some'"),
        (faulty, json!({}), "bundle", "nothing was imported: 3 things are wrong with the bundle"),
        (json!("text"), json!({}), "bundle", "1 thing is wrong"),
    ] {
        let mut core = core();
        let reply = import(&mut core, &bundle, more);
        let (got, _, message) = error(&reply);
        assert!(got == code && message.contains(words), "{reply}");
    }
}

/// A signer under a CA, as PEM with its key.
fn signer(ca: &Ca) -> String {
    let key = KeyPair::generate().expect("a key");
    let mut params = params("Acme bundles");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 36])];
    let certificate = params.signed_by(&key, &ca.issuer()).expect("signed");
    format!("{}{}", key.serialize_pem(), certificate.pem())
}

#[test]
fn signatures_say_whose_it_is_and_old_ones_stay_out() {
    let mut core = core();
    let (acme, globex) = (Ca::root("Acme Root"), Ca::root("Globex Root"));
    let key = signer(&acme);
    let of = |issued: &str| {
        let mut bundle = text(json!([psk("dev1@acme.example", KEYS[0])]));
        bundle["issued"] = issued.into();
        bundle["authorities"] = json!([certificate_pem(&acme.der)]);
        bundle::sign(&bundle.to_string(), key.as_bytes()).expect("signed").to_string()
    };
    let send = |core: &mut Core, text: &str, more: Value| {
        let mut params = json!({ "bundle": text });
        params.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        call(core, "maker_import", params)
    };
    // Nobody is known who could have signed it; the wrong one; the right one.
    let first = of("2027-01-10T00:00:00Z");
    assert!(error(&send(&mut core, &first, json!({}))).2.contains("--signed-by FILE"));
    let wrong = send(&mut core, &first, json!({ "signed_by": certificate_pem(&globex.der) }));
    assert_eq!(error(&wrong).0, "signature");
    let good = send(&mut core, &first, json!({ "signed_by": certificate_pem(&acme.der) }));
    assert_eq!(good["signed"], json!({ "by": "CN=Acme bundles", "algorithm": "ES256" }), "{good}");
    assert_eq!(good["authorities"], 1);
    // From now on the maker's CA says so.
    let again = send(&mut core, &first, json!({}));
    assert_eq!((&again["unchanged"], &again["signed"]["by"]), (&json!(1), &json!("CN=Acme bundles")), "{again}");
    // What was replaced or withdrawn since does not come back with it.
    let mut desk = core.registry.by_name("desk.cam").cloned().expect("there");
    desk.eap.as_mut().and_then(|eap| eap.psk.as_mut()).expect("a key").key = crate::secret::EapPskKey::new([0x5c; 16]);
    core.apply(&[Change::Put(vec![desk.clone()])]);
    for more in [json!({ "dry_run": true }), json!({})] {
        let again = send(&mut core, &first, more);
        assert_eq!(
            (&again["repeated"], &again["kept"], &again["unchanged"]),
            (&json!(true), &json!(["Desk.Cam"]), &json!(1)),
            "{again}"
        );
        assert_eq!(core.registry.by_name("desk.cam"), Some(&desk));
    }
    let forced = send(&mut core, &first, json!({ "force": true, "dry_run": true }));
    assert_eq!(forced["changed"][0]["gains"], json!(["another EAP-PSK key"]), "{forced}");
    // Whose key is gone altogether gets it.
    desk.eap.as_mut().expect("credentials").psk = None;
    core.apply(&[Change::Put(vec![desk])]);
    assert_eq!(send(&mut core, &first, json!({}))["changed"][0]["gains"], json!(["an EAP-PSK key"]));
    let newer = send(&mut core, &of("2027-01-12T00:00:00Z"), json!({}));
    assert_eq!(newer["error"], Value::Null, "{newer}");
    let maker = core.registry.maker("acme-realm").expect("registered");
    assert_eq!(maker.bundle_issued.map(|at| at.to_string()).as_deref(), Some("2027-01-12T00:00:00Z"));
    let old = send(&mut core, &first, json!({}));
    assert_eq!(error(&old).0, "bundle_date");
    assert!(error(&old).2.contains("one made on 2027-01-12T00:00:00Z was imported"), "{old}");
    assert_eq!(send(&mut core, &first, json!({ "force": true }))["error"], Value::Null);
    let kept = core.registry.maker("acme-realm").and_then(|maker| maker.bundle_issued);
    assert_eq!(kept.map(|at| at.to_string()).as_deref(), Some("2027-01-12T00:00:00Z"), "the newest is remembered");
    // A date that nobody signed is not: it would lock out what comes later.
    let mut unsigned = text(json!([]));
    unsigned["issued"] = "2027-01-15T00:00:00Z".into();
    assert_eq!(import(&mut core, &unsigned, json!({}))["error"], Value::Null);
    assert_eq!(core.registry.maker("acme-realm").and_then(|maker| maker.bundle_issued), kept);
    // Who removes the maker is told that this is forgotten.
    let removed = call(&mut core, "maker_remove", json!({ "name": "acme-realm" }));
    assert!(
        removed["note"].as_str().is_some_and(|note| note.contains("2027-01-12T00:00:00Z is forgotten")),
        "{removed}"
    );
    assert_eq!(send(&mut core, &first, json!({ "signed_by": certificate_pem(&acme.der) }))["error"], Value::Null);
    // Acme's signature is worth nothing for globex.
    let mut theirs = text(json!([]));
    theirs["realms"] = json!(["globex.example"]);
    let forged = bundle::sign(&theirs.to_string(), key.as_bytes()).expect("signed");
    assert!(error(&send(&mut core, &forged, json!({}))).2.contains("the bundle for globex"));
    // A CA cannot be that of two makers.
    theirs["authorities"] = json!([certificate_pem(&acme.der)]);
    assert_eq!(error(&import(&mut core, &theirs, json!({}))).0, "ca_taken");
}

#[test]
fn a_date_to_come_is_not_kept_while_nobody_knows_the_time() {
    let acme = Ca::root("Acme Root");
    let mut bundle = text(json!([]));
    bundle["issued"] = "2036-01-01T00:00:00Z".into();
    let signed = bundle::sign(&bundle.to_string(), signer(&acme).as_bytes()).expect("signed").to_string();
    let mut core = core();
    core.time.know(UnixTime(NOW.0 + 864_000), "a device was seen then", now());
    assert!(core.time.trouble().is_some());
    let reply = call(&mut core, "maker_import", json!({ "bundle": signed, "signed_by": certificate_pem(&acme.der) }));
    assert_eq!(reply["error"], Value::Null, "{reply}");
    let kept = core.registry.maker("acme-realm").and_then(|maker| maker.bundle_issued);
    assert!(kept.is_some_and(|at| at.0 <= NOW.0 + 864_000), "{kept:?}");
}

#[test]
fn a_bundle_takes_nobody_elses_device_over() {
    // Fingerprints and public keys are sent in clear, or printed on a sheet: anybody can write them into a bundle.
    let (fingerprint, public_key) = ("0a".repeat(32), "0c".repeat(32));
    for way in ["certificates", "public_keys"] {
        let mut core = core();
        let sha256 = if way == "certificates" { &fingerprint } else { &public_key };
        let theirs = json!([{ "identity": "dev1@acme.example", way: [{ "sha256": sha256 }], "psk": { "nai": "bulb@globex.example", "key": KEYS[0] },
                              "wifi_key": "winter-horse-52-lake" }]);
        let mut globex = text(theirs);
        globex["realms"] = json!(["globex.example"]);
        assert_eq!(import(&mut core, &globex, json!({}))["changed"][0]["name"], "bulb");
        let before = core.registry.by_name("bulb").cloned().expect("there");
        for more in [json!({}), json!({ "register": true }), json!({ "force": true })] {
            let bundle = text(
                json!([{ "identity": "x@acme.example", way: [{ "sha256": sha256 }], "wifi_key": "summer-mouse-71-hill",
                                       "psk": { "nai": "x@acme.example", "key": KEYS[1] } }]),
            );
            let reply = import(&mut core, &bundle, more);
            assert!(
                lines(&reply)[0].contains("is that of 'bulb', for which acme-realm has not vouched here"),
                "{reply}"
            );
            assert_eq!(core.registry.by_name("bulb"), Some(&before));
        }
        // One that this maker has vouched for may be found so, but no key of it is replaced.
        let own = text(
            json!([{ "identity": "dev1@acme.example", way: [{ "sha256": "0d".repeat(32) }], "wifi_key": "autumn-tiger-33-moor" }]),
        );
        assert_eq!(import(&mut core, &own, json!({}))["changed"][0]["name"], "Desk.Cam");
        let other = |more: Value| {
            let mut entry = json!({ "identity": "serial 1", way: [{ "sha256": "0d".repeat(32) }] });
            entry.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
            text(json!([entry]))
        };
        let reply = import(&mut core, &other(json!({ "wifi_key": "summer-mouse-71-hill" })), json!({}));
        assert!(lines(&reply)[0].contains("wifi_key: it seems to be 'Desk.Cam', which has another key"), "{reply}");
        let reply = import(&mut core, &other(json!({ "psk": { "nai": "x@acme.example", "key": KEYS[1] } })), json!({}));
        assert_eq!(reply["changed"][0]["gains"], json!(["an EAP-PSK key", "the identity"]), "{reply}");
    }
}

#[test]
fn revocation_lists_of_a_bundle_count() {
    let mut core = core();
    let ca = Ca::root("Acme Root");
    let device = ca.device("dev1@acme.example", |_| {});
    let verdict = |core: &Core| {
        let chain = [rustls::pki_types::CertificateDer::from(device.as_slice())];
        core.pki.trust().verify(&chain, NOW).map(|(_, voucher)| voucher)
    };
    let mut bundle = text(json!([]));
    bundle["authorities"] = json!([certificate_pem(&ca.der)]);
    let pem = |der: &[u8]| crate::pki::authority::revocation_list_pem(der);
    bundle["revocation_lists"] = json!([pem(&ca.crl(&[], (2026, 1, 1), (2028, 1, 1)))]);
    assert_eq!(import(&mut core, &bundle, json!({}))["lists"], 1);
    assert_eq!(verdict(&core), Ok(Voucher::Maker("acme-realm".into())));
    bundle["revocation_lists"] = json!([pem(&ca.crl(&[&device], (2026, 6, 1), (2028, 1, 1)))]);
    assert_eq!(import(&mut core, &bundle, json!({}))["lists"], 1);
    assert_eq!(verdict(&core), Err(crate::pki::CertificateProblem::Revoked));
    // An older list does not take the newer one's place.
    bundle["revocation_lists"] = json!([pem(&ca.crl(&[], (2026, 3, 1), (2028, 1, 1)))]);
    assert_eq!(import(&mut core, &bundle, json!({}))["lists"], 0);
    assert_eq!(verdict(&core), Err(crate::pki::CertificateProblem::Revoked));
    assert_eq!(core.registry.maker("acme-realm").map(|maker| maker.lists.len()), Some(1));
}

#[test]
fn a_certificate_is_that_of_the_device_its_makers_servers_called_so() {
    let mut core = core();
    let ca = Ca::root("Acme Root");
    let mut bundle = text(json!([{ "identity": "dev1@acme.example" }]));
    bundle["authorities"] = json!([certificate_pem(&ca.der)]);
    import(&mut core, &bundle, json!({}));
    let named = |name: &str, mails: &[&str]| {
        let mails: Vec<SanType> =
            mails.iter().map(|mail| SanType::Rfc822Name((*mail).try_into().expect("ASCII"))).collect();
        CertificateInfo::parse(&ca.device(name, |params| params.subject_alt_names = mails)).expect("a certificate")
    };
    let acme = Voucher::Maker("acme-realm".into());
    for (name, mails, voucher, expected) in [
        ("dev1@acme.example", &[][..], &acme, Some("Desk.Cam")),
        ("x", &["dev2@acme.example"], &acme, Some("hall-cam")),
        ("x", &["dev2@ACME.example"], &acme, Some("hall-cam")),
        ("x", &["DEV2@acme.example"], &acme, None),
        ("x", &["y@acme.example", "dev2@acme.example"], &acme, Some("hall-cam")),
        ("dev1@acme.example", &["dev2@acme.example"], &acme, None),
        ("dev2@acme.example", &["dev2@acme.example"], &acme, Some("hall-cam")),
        ("dev9@acme.example", &[], &acme, None),
        ("dev1@acme.example", &[], &Voucher::Maker("globex".into()), Some("bulb")),
        ("dev1@acme.example", &[], &Voucher::Maker("other".into()), None),
        ("dev1@acme.example", &[], &Voucher::Ourselves, None),
        ("dev1@acme.example", &[], &Voucher::Registered, None),
    ] {
        let info = named(name, mails);
        let found = core.registry.by_certificate(&info, voucher).map(|device| &*device.name);
        assert_eq!(found, expected, "{name} {mails:?} {voucher:?}");
    }
}

#[test]
fn what_is_exported_can_be_imported() {
    let mut core = core();
    let ca = Ca::root("Acme Root");
    let mut given = text(json!([
        { "identity": "dev1@acme.example", "psk": { "nai": "dev1@acme.example", "key": KEYS[0] }, "mud_url": "https://acme.example/m",
          "certificates": [{ "sha256": "0a".repeat(32), "subject": "CN=\"x\"", "not_after": "2030-01-01" }, { "alt_name": "a.example" },
                           { "issuer_sha256": "0b".repeat(32), "serial": "7f" }],
          "public_keys": [{ "sha256": "0c".repeat(32) }] },
        { "identity": "dev3@acme.example", "wifi_key": "winter-horse-52-lake", "addresses": ["00:1a:11:00:00:44"] },
    ]));
    given["authorities"] = json!([certificate_pem(&ca.der)]);
    given["revocation_lists"] =
        json!([crate::pki::authority::revocation_list_pem(&ca.crl(&[], (2026, 1, 1), (2028, 1, 1)))]);
    assert_eq!(import(&mut core, &given, json!({ "register": true }))["error"], Value::Null);
    let exported = call(&mut core, "maker_export", json!({ "name": "ACME-realm" }));
    assert_eq!(
        (&exported["devices"], &exported["kept_back"], &exported["identity_only"]),
        (&json!(2), &json!(1), &json!(0))
    );
    let bundle: Value = serde_json::from_str(exported["bundle"].as_str().expect("text")).expect("JSON");
    assert_eq!((&bundle["maker"], &bundle["realms"]), (&json!("acme-realm"), &json!(["acme.example"])));
    assert_eq!(bundle["issued"], NOW.to_string());

    // A box that never heard of them.
    let mut other = super::core();
    let reply = import(&mut other, &bundle, json!({ "register": true }));
    assert_eq!(reply["new"].as_array().map(Vec::len), Some(2), "{reply}");
    let maker = |core: &Core| core.registry.maker("acme-realm").cloned().expect("registered");
    let (here, there) = (maker(&core), maker(&other));
    assert_eq!((here.authorities, here.lists), (there.authorities, there.lists));
    for name in ["Desk.Cam", "dev3"] {
        let find = |core: &Core| core.registry.by_name(name).cloned().unwrap_or_else(|| panic!("{name}"));
        let (here, there) = (find(&core), find(&other));
        let ways = |device: &Device| {
            let mut all: Vec<_> = device
                .eap
                .iter()
                .flat_map(|eap| &eap.certificates)
                .map(|c| (c.known_by.clone(), c.subject.clone(), c.not_after))
                .collect();
            all.sort();
            all
        };
        assert_eq!(ways(&here), ways(&there), "{name}");
        let psk = |device: &Device| device.eap.as_ref().and_then(|eap| eap.psk.clone());
        assert_eq!((psk(&here), here.key), (psk(&there), there.key), "{name}");
        assert_eq!(
            here.macs.iter().map(|m| m.mac).collect::<Vec<_>>(),
            there.macs.iter().map(|m| m.mac).collect::<Vec<_>>()
        );
    }
    // And once more from there it says the same.
    let again = call(&mut other, "maker_export", json!({ "name": "acme-realm" }));
    let second: Value = serde_json::from_str(again["bundle"].as_str().expect("text")).expect("JSON");
    assert_eq!(second["devices"], bundle["devices"]);
}

#[test]
fn our_own_devices_are_handed_over() {
    let mut core = super::core();
    let ours = core.config.eap.realm.clone();
    call(&mut core, "device_add", json!({ "name": "cam", "eap_psk_key": KEYS[0], "nai": format!("cam@{ours}") }));
    call(&mut core, "device_add", json!({ "name": "tv", "key": "Umbrella-Tango-47", "macs": ["00:1a:11:00:00:07"] }));
    call(&mut core, "device_add", json!({ "name": "gone", "key": "winter-horse-52-lake" }));
    call(&mut core, "device_block", json!({ "name": "gone" }));
    let reply = call(&mut core, "maker_export", json!({ "name": "home" }));
    assert!(error(&reply).2.contains("--all"), "{reply}");
    let reply = call(&mut core, "maker_export", json!({ "name": "home", "realms": [&*ours] }));
    assert_eq!(
        (&reply["devices"], &reply["with_keys"], &reply["kept_back"]),
        (&json!(1), &json!(1), &json!(0)),
        "{reply}"
    );
    let reply = call(&mut core, "maker_export", json!({ "name": "home", "all": true }));
    assert_eq!(
        (&reply["devices"], &reply["with_keys"], &reply["kept_back"]),
        (&json!(2), &json!(2), &json!(1)),
        "{reply}"
    );
    let bundle = Bundle::read(reply["bundle"].as_str().unwrap_or_default().as_bytes()).expect("a bundle");
    assert_eq!(bundle.realms, [ours]);
    let mut ap = super::core();
    let text: Value = serde_json::from_str(reply["bundle"].as_str().expect("text")).expect("JSON");
    import(&mut ap, &text, json!({ "register": true }));
    let tv = ap.registry.by_mac(mac(7)).expect("by its address");
    assert_eq!((tv.key.as_ref().map(|key| key.expose()), tv.bind), (Some("Umbrella-Tango-47"), Bind::First));
    assert!(ap.registry.by_nai(&format!("cam@{}", bundle.realms[0])).is_some());
}

#[test]
fn kept_answers_disturb_nobody() {
    let mut core = core();
    let version = core.registry.version();
    let kept = LastGood {
        mac: mac(1),
        ssid: b"Home;1".as_slice().into(),
        realm: "acme-realm".into(),
        keys: vec![WifiKey::from_tunnel_password(b"winter-horse-52-lake").expect("a key")],
        vlan: None,
        profile: "iot".into(),
        at: NOW,
    };
    core.apply(&[Change::PutLastGood(Box::new(kept.clone()))]);
    assert_eq!(core.registry.last_good(mac(1), b"Home;1"), Some(&kept));
    assert!(core.registry.version() > version && !core.revocation.has_orders());
}
