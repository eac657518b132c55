//! Bundles, literally and at random; and what is wrong with them.

use super::*;
use crate::pki::authority::{certificate_pem, public_key_pem, revocation_list_pem};
use crate::pki::certificate::sha256;
use crate::pki::testing::Ca;
use crate::secret::EapPskKey;
use proptest::prelude::*;
use serde_json::{Value, json};

fn minimal() -> Value {
    json!({ "latchkey_bundle": 1, "maker": "acme", "realms": ["acme.example"], "issued": "2026-11-20T08:00:00Z", "devices": [] })
}

fn with(field: &str, value: Value) -> Value {
    let mut bundle = minimal();
    bundle[field] = value;
    bundle
}

fn devices(devices: Value) -> Value {
    with("devices", devices)
}

fn read(bundle: &Value) -> Result<Bundle, Vec<Fault>> {
    Bundle::read(bundle.to_string().as_bytes())
}

#[test]
fn every_member() {
    let ca = Ca::root("Acme Root");
    let url = "https://acme.example/cam.json";
    let own = ca.device("cam-1", |_| {});
    let list = ca.crl(&[&own], (2026, 1, 1), (2028, 1, 1));
    let key = crate::pki::x509::Certificate::parse(&own).unwrap().public_key.to_vec();
    let text = format!(
        "\u{feff}{}",
        json!({
            "latchkey_bundle": 1,
            "maker": "Acme-1",
            "realms": ["Acme.Example", "*.acme.example", "acme.example"],
            "issued": "2026-11-20T08:00:00Z",
            "expires": "2027-11-20T09:00:00+01:00",
            "authorities": [certificate_pem(&ca.der), certificate_pem(&ca.der)],
            "revocation_lists": [revocation_list_pem(&list)],
            "devices": [
                { "identity": "dev1@acme.example", "name": "Cam.1", "addresses": ["00-1A-11-00-00-01"], "mud_url": url,
                  "psk": { "nai": "dev1@acme.example", "key": "9f3c61e80b27D45AA6107ef3c8923b5d" }, "wifi_key": "Umbrella-Tango-47" },
                { "identity": "dev2", "public_keys": [{ "pem": public_key_pem(&key) }, { "sha256": "0a".repeat(32) }],
                  "certificates": [
                    { "pem": certificate_pem(&own) }, { "sha256": "FF".repeat(32), "subject": "CN=x", "not_after": "2030-01-01" },
                    { "subject_serial": "SN 5" }, { "alt_name": "Dev2.Acme.Example" },
                    { "issuer_sha256": "0b".repeat(32), "serial": "007f" },
                ] },
                { "identity": "only known" },
            ],
        })
    );
    let bundle = Bundle::read(text.as_bytes()).unwrap();
    let known = |way| Known { way, subject: "".into(), not_after: None };
    let expected = Bundle {
        maker: "Acme-1".into(),
        realms: vec!["acme.example".into(), "*.acme.example".into()],
        issued: UnixTime(1_795_161_600),
        expires: Some(UnixTime(1_826_697_600)),
        authorities: vec![ca.der.clone()],
        lists: vec![list],
        devices: vec![
            Entry {
                identity: "dev1@acme.example".into(),
                name: Some("Cam.1".into()),
                addresses: vec![MacAddr([0, 0x1a, 0x11, 0, 0, 1])],
                mud_url: Some(url.into()),
                psk: Some(EapPsk {
                    nai: "dev1@acme.example".into(),
                    key: EapPskKey::new([
                        0x9f, 0x3c, 0x61, 0xe8, 0x0b, 0x27, 0xd4, 0x5a, 0xa6, 0x10, 0x7e, 0xf3, 0xc8, 0x92, 0x3b, 0x5d,
                    ]),
                }),
                wifi_key: Some(Passphrase::new("Umbrella-Tango-47").unwrap()),
                certificates: vec![],
            },
            Entry {
                identity: "dev2".into(),
                certificates: vec![
                    Known {
                        way: Way::Fingerprint(sha256(&own)),
                        subject: "CN=cam-1".into(),
                        not_after: Some(UnixTime(2_208_988_800)),
                    },
                    Known {
                        way: Way::Fingerprint([0xff; 32]),
                        subject: "CN=x".into(),
                        not_after: Some(UnixTime(1_893_456_000)),
                    },
                    known(Way::SubjectSerial("SN 5".into())),
                    known(Way::AltName("dev2.acme.example".into())),
                    known(Way::Serial([0x0b; 32], [0x7f].into())),
                    known(Way::PublicKey(sha256(&key))),
                    known(Way::PublicKey([0x0a; 32])),
                ],
                ..Entry::default()
            },
            Entry { identity: "only known".into(), ..Entry::default() },
        ],
    };
    assert_eq!(bundle, expected);
    let written = write(&bundle);
    assert_eq!(Bundle::read(written.as_bytes()), Ok(bundle));
    assert!(serde_json::from_str::<Value>(&written).is_ok(), "and others can read it");
    assert!(!format!("{expected:?}").contains("Umbrella") && !format!("{expected:?}").contains("159, 60"), "redacted");
}

#[test]
fn every_fault_names_entry_and_field() {
    let ca = certificate_pem(&Ca::root("Acme Root").der);
    let device = |members: Value| {
        let mut device = json!({ "identity": "a@acme.example" });
        device.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        devices(json!([{ "identity": "first" }, device]))
    };
    let psk = |nai: &str, key: &str| device(json!({ "psk": { "nai": nai, "key": key } }));
    let certificate = |members: Value| device(json!({ "certificates": [{ "alt_name": "x" }, members] }));
    let key = "9f3c61e80b27d45aa6107ef3c8923b5d";
    for (bundle, field, words) in [
        (with("latchkey_bundle", json!(2)), "", "version 2, and 1 can be read"),
        (json!({ "maker": "acme" }), "latchkey_bundle", "no bundle"),
        (with("latchkey_bundle", json!("1")), "", "a whole number"),
        (with("maker", json!("\u{fc}ber")), "maker", "kitchen-lamp"),
        (with("maker", json!(7)), "maker", "must be a string"),
        (with("extra", json!({ "a": [1.5e3, null] })), "extra", "no such member"),
        (with("realms", json!(["ac me"])), "realms[0]", "is no realm"),
        (with("realms", json!(["x.example", "*.*.example"])), "realms[1]", "is no realm"),
        (with("realms", json!(["default"])), "realms[0]", "is no realm"),
        (with("realms", json!("acme.example")), "realms", "must be an array"),
        (with("issued", json!("yesterday")), "issued", "point in time"),
        (with("issued", json!(1)), "issued", "must be a string"),
        (with("expires", json!("2026-11-20T08:00:00Z")), "expires", "is not after issued"),
        (with("authorities", json!([ca, "x"])), "authorities[1]", "-----BEGIN"),
        (with("authorities", json!([ca.replace('M', "%")])), "authorities[0]", "the CA's certificate"),
        (with("revocation_lists", json!([ca])), "revocation_lists[0]", "a certificate revocation list is needed"),
        (devices(json!({})), "", "'[' is expected"),
        (devices(json!([{}])), "devices[0].identity", "is missing"),
        (devices(json!([[]])), "devices[0]", "must be an object"),
        (devices(json!([{ "identity": "" }])), "devices[0].identity", "1 to 253 octets"),
        (devices(json!([{ "identity": "a\nb" }])), "devices[0].identity", "control characters"),
        (devices(json!([{ "identity": "x".repeat(254) }])), "devices[0].identity", "1 to 253 octets"),
        (devices(json!([{ "identity": "x".repeat(2000) }])), "", "devices[0].identity: a string has more than"),
        (device(json!({ "nmae": "x" })), "devices[1].nmae", "no such member"),
        (device(json!({ "name": "-x" })), "devices[1].name", "letter or digit"),
        (device(json!({ "addresses": ["00:1a:11:00:00:01", "x"] })), "devices[1].addresses[1]", "'x' is"),
        (device(json!({ "addresses": vec!["00:1a:11:00:00:01"; 17] })), "devices[1].addresses", "at most 16"),
        (device(json!({ "mud_url": "http://acme.example/" })), "devices[1].mud_url", "https://"),
        (device(json!({ "wifi_key": "short" })), "devices[1].wifi_key", "8 to 63"),
        (device(json!({ "psk": [] })), "devices[1].psk", "must be an object"),
        (device(json!({ "psk": { "nai": "a@acme.example" } })), "devices[1].psk.key", "is missing"),
        (psk("a@acme.example", "9f3c"), "devices[1].psk.key", "32 hexadecimal digits"),
        (psk("a@acme.example", &format!("{key}00")), "devices[1].psk.key", "32 hexadecimal digits"),
        (psk("a@acme.example", &key.replace('9', "g")), "devices[1].psk.key", "32 hexadecimal digits"),
        (psk("a@globex.example", key), "devices[1].psk.nai", "none of the bundle's realms"),
        (psk("a@sub.acme.example", key), "devices[1].psk.nai", "none of the bundle's realms"),
        (psk("a..b@acme.example", key), "devices[1].psk.nai", "no network access identifier"),
        (certificate(json!({})), "devices[1].certificates[1]", "exactly one of pem"),
        (certificate(json!({ "pem": "x" })), "devices[1].certificates[1].pem", "-----BEGIN"),
        (certificate(json!({ "sha256": "00" })), "devices[1].certificates[1].sha256", "64 hexadecimal digits"),
        (certificate(json!({ "alt_name": "a", "subject_serial": "b" })), "devices[1].certificates[1]", "exactly one"),
        (certificate(json!({ "serial": "01" })), "devices[1].certificates[1]", "issuer_sha256 with serial"),
        (
            certificate(json!({ "issuer_sha256": "00".repeat(32), "serial": "" })),
            "devices[1].certificates[1].serial",
            "hexadecimal",
        ),
        (certificate(json!({ "pem": ca, "subject": "x" })), "devices[1].certificates[1]", "leave them out"),
        (certificate(json!({ "alt_name": "x" })), "", ""),
        (device(json!({ "public_keys": [{}] })), "devices[1].public_keys[0]", "exactly one of pem and sha256"),
        (device(json!({ "public_keys": [{ "pem": ca }] })), "devices[1].public_keys[0].pem", "a public key is needed"),
        (
            devices(json!([{ "identity": "a" }, { "identity": "b" }, { "identity": "a" }])),
            "devices[2].identity",
            "devices[0] already",
        ),
        (
            devices(
                json!([{ "identity": "a", "addresses": ["00:1a:11:00:00:01"] }, { "identity": "b", "addresses": ["001a11000001"] }]),
            ),
            "devices[1].addresses",
            "devices[0] already",
        ),
        (
            devices(json!([{ "identity": "a", "psk": { "nai": "n@acme.example", "key": key } },
                           { "identity": "b", "psk": { "nai": "n@acme.example", "key": key } }])),
            "devices[1].psk.nai",
            "devices[0] already",
        ),
        (
            devices(
                json!([{ "identity": "a", "certificates": [{ "alt_name": "X" }] }, { "identity": "b", "certificates": [{ "alt_name": "x" }] }]),
            ),
            "devices[1].certificates",
            "devices[0] already",
        ),
    ] {
        let read = read(&bundle);
        if words.is_empty() {
            // Twice the same name at one device says nothing new.
            assert!(read.is_ok(), "{read:?}");
            continue;
        }
        let faults = read.expect_err(&bundle.to_string());
        assert_eq!(faults.len(), 1, "{bundle}: {faults:?}");
        assert_eq!(faults[0].field, field, "{faults:?}");
        assert!(faults[0].message.contains(words), "{bundle}: {faults:?}");
        assert!(!format!("{faults:?}").contains(key), "a key is quoted: {faults:?}");
    }
}

#[test]
fn all_faults_are_found_at_once_and_bounded() {
    let faults = read(&devices(json!([
        { "identity": "a", "name": "-", "psk": { "nai": "x", "key": "y" } },
        { "identity": "a", "wifi_key": "z", "more": 1 },
    ])))
    .unwrap_err();
    let fields: Vec<&str> = faults.iter().map(|fault| &*fault.field).collect();
    assert_eq!(
        fields,
        ["devices[0].name", "devices[0].psk.key", "devices[1].more", "devices[1].wifi_key", "devices[1].identity"]
    );
    let many: Vec<Value> = (0..1000).map(|_| json!({ "identity": 7 })).collect();
    assert_eq!(read(&devices(many.into())).unwrap_err().len(), MAX_FAULTS);
}

#[test]
fn limits_are_kept() {
    let entry = |n: usize| json!({ "identity": format!("dev{n}@acme.example") });
    let most: Vec<Value> = (0..MAX_DEVICES).map(entry).collect();
    assert_eq!(read(&devices(most.clone().into())).unwrap().devices.len(), MAX_DEVICES);
    let more: Vec<Value> = (0..=MAX_DEVICES).map(entry).collect();
    assert!(read(&devices(more.into())).unwrap_err()[0].message.contains("more than 10000 devices"));
    let long = format!("{}{}", minimal(), " ".repeat(LARGEST));
    assert!(Bundle::read(long.as_bytes()).unwrap_err()[0].message.contains("at most 4194304: split it"));
    let realms: Vec<String> = (0..17).map(|n| format!("r{n}.example")).collect();
    assert_eq!(read(&with("realms", json!(realms))).unwrap_err()[0].message, "there are at most 16 of them");
}

#[test]
fn what_is_no_json_names_its_line() {
    for (text, message) in [
        ("", "line 1: '{' is expected here"),
        ("x", "line 1: '{' is expected here"),
        ("{\n\"latchkey_bundle\": 1,\n\"maker\" \"acme\"}", "line 3: ':' is expected here"),
        ("{\"latchkey_bundle\": 1}}", "line 1: something follows the end"),
        (
            "{\"latchkey_bundle\": 1,\n\"devices\": [{\"identity\": \"a\n\"}]}",
            "line 3: devices[0].identity: a control character",
        ),
    ] {
        let faults = Bundle::read(text.as_bytes()).unwrap_err();
        assert!(faults[0].message.starts_with(message), "{text}: {faults:?}");
    }
    // Twice the same member: whoever signed it may have meant the other one.
    let twice = minimal().to_string().replacen('{', "{\"maker\":\"globex\",", 1);
    assert_eq!(Bundle::read(twice.as_bytes()).unwrap_err()[0].message, "it is there twice");
}

#[test]
fn realms_cover() {
    for (pattern, realm, expected) in [
        ("acme.example", "acme.example", true),
        ("acme.example", "ACME.Example", true),
        ("acme.example", "x.acme.example", false),
        ("*.acme.example", "x.acme.example", true),
        ("*.acme.example", "y.X.ACME.example", true),
        ("*.acme.example", "acme.example", false),
        ("*.acme.example", ".acme.example", false),
        ("*.acme.example", "xacme.example", false),
        ("*.acme.example", "\u{fc}", false),
    ] {
        assert_eq!(covers(pattern, realm), expected, "{pattern} {realm}");
    }
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let text = "[ -~ß]{1,40}".prop_map(Arc::<str>::from);
    let psk = prop::option::of(("[a-z]{1,9}", any::<[u8; 16]>()));
    let way = (0u8..5, any::<[u8; 32]>(), text.clone()).prop_map(|(kind, hash, text)| match kind {
        0 => Way::Fingerprint(hash),
        1 => Way::PublicKey(hash),
        2 => Way::Serial(hash, vec![hash[0] | 1; 1 + usize::from(hash[1] % 20)].into()),
        3 => Way::SubjectSerial(text),
        _ => Way::AltName(text.to_ascii_lowercase().into()),
    });
    let known =
        (way, prop::option::of("[ -~]{1,20}"), prop::option::of(0i64..4_000_000_000)).prop_map(|(way, subject, at)| {
            let named = !matches!(way, Way::PublicKey(_));
            Known {
                way,
                subject: subject.filter(|_| named).unwrap_or_default().into(),
                not_after: at.filter(|_| named).map(UnixTime),
            }
        });
    let certificates = prop::collection::vec(known, 0..4);
    let rest = (prop::option::of("[ -~]{8,63}"), certificates, any::<[u8; 5]>(), any::<bool>());
    (text, prop::option::of("[a-z][a-z0-9.]{0,20}"), psk, rest).prop_map(
        |(identity, name, psk, (wifi, mut certificates, mac, url))| {
            // Public keys are written behind the others.
            certificates.sort_by_key(|known| matches!(known.way, Way::PublicKey(_)));
            Entry {
                identity,
                name: name.map(Arc::from),
                addresses: vec![MacAddr([2, mac[0], mac[1], mac[2], mac[3], mac[4]])],
                mud_url: url.then(|| "https://acme.example/\u{7e}".into()),
                psk: psk
                    .map(|(user, key)| EapPsk { nai: format!("{user}@acme.example").into(), key: EapPskKey::new(key) }),
                wifi_key: wifi.and_then(|text| Passphrase::new(&text).ok()),
                certificates,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_is_written_is_read(entries in prop::collection::vec(any_entry(), 0..6)) {
        let mut devices: Vec<Entry> = Vec::new();
        for entry in entries {
            let clash = |other: &Entry| {
                other.identity == entry.identity
                    || other.addresses == entry.addresses
                    || (other.psk.is_some() && other.psk.as_ref().map(|p| &p.nai) == entry.psk.as_ref().map(|p| &p.nai))
                    || other.certificates.iter().any(|known| entry.certificates.iter().any(|mine| mine.way == known.way))
            };
            if !devices.iter().any(clash) {
                devices.push(entry);
            }
        }
        let bundle = Bundle {
            maker: "acme".into(), realms: vec!["acme.example".into()], issued: UnixTime(1_795_161_600), expires: None,
            authorities: vec![], lists: vec![], devices,
        };
        let written = write(&bundle);
        prop_assert!(serde_json::from_str::<Value>(&written).is_ok());
        let estimate = bundle.devices.iter().map(|_| 256).sum::<usize>();
        prop_assert!(written.capacity() >= estimate && written.len() <= written.capacity());
        prop_assert_eq!(Bundle::read(written.as_bytes()), Ok(bundle));
    }

    #[test]
    fn nothing_panics(text in r#"\{"latchkey_bundle":1,("[a-z_]{0,16}":[\[\]{}",:0-9a-z\\]{0,20},?){0,4}\}?"#, cut in 0usize..400) {
        fuzz(text.as_bytes());
        let whole = devices(json!([{ "identity": "a", "psk": { "nai": "x@acme.example", "key": "00".repeat(16) } }])).to_string();
        let mut changed = whole.into_bytes();
        let place = cut % changed.len();
        changed[place] = changed[place].wrapping_add(cut as u8);
        fuzz(&changed);
        fuzz(changed.get(..place).unwrap_or_default());
    }
}
