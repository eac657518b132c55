use super::*;
use crate::config::Config;
use crate::registry::device::Change;
use crate::registry::tests::device;

const CONFIG: &str = "
config client 'local'
	option address '127.0.0.1'
	option secret 'test-secret-0123456'
config profile 'iot'
	option vlan '20'
config profile 'media'
	option vlan '30'
config profile 'guest'
	option vlan '40'
config profile 'flat'
config ssid 'home'
	option ssid 'Home'
config ssid 'sae'
	option ssid 'Home3'
	option security 'wpa3'
config ssid 'open'
	option ssid 'Welcome'
	option unknown 'quarantine'
	option quarantine_profile 'guest'
	option onboarding_key 'come in and find out'
";

const NOW: UnixTime = UnixTime(1_800_000_000);

fn mac(last: u8) -> MacAddr {
    MacAddr([0, 0x1a, 0x11, 0, 0, last])
}

fn bound(last: u8) -> Vec<BoundMac> {
    vec![BoundMac { mac: mac(last), proved: false, since: UnixTime(1) }]
}

/// lamp (1): address 1. cam (2): waits, iot. tv (3): waits, media. phone (4): any, at most 2. old (5): expired.
/// bad (6): blocked. guestless (7): address 7, no key of its own. lost (8): its profile does not exist.
fn registry() -> Registry {
    let mut devices: Vec<Device> = (1u32..=8)
        .map(|id| {
            let (name, profile) = [
                ("lamp", "iot"),
                ("cam", "iot"),
                ("tv", "media"),
                ("phone", "flat"),
                ("old", "iot"),
                ("bad", "iot"),
                ("keyless", "media"),
                ("lost", "gone"),
            ][id as usize - 1];
            device(
                id,
                name,
                profile,
                &format!("{}-key-of-its-own", ["qx", "wm", "hj", "zv", "pk", "tg", "ny", "bd"][id as usize - 1]),
            )
        })
        .collect();
    devices[0].macs = bound(1);
    devices[3].bind = Bind::Any;
    devices[3].max_devices = 2;
    devices[4].macs = bound(5);
    devices[4].expires = Some(NOW);
    devices[5].macs = bound(6);
    devices[5].blocked = true;
    devices[6].macs = bound(7);
    devices[6].key = None;
    devices[7].bind = Bind::Mac;
    devices[7].macs = bound(8);
    Registry::load(devices, vec![], vec![], DeviceId(9))
}

fn ask_in(registry: &Registry, ssid: &str, from: u8, evidence: Evidence, in_use: u32) -> Result<Grant, Refusal> {
    let config = Config::parse(CONFIG).expect("the configuration of the tests");
    let view = View {
        config: &config,
        registry,
        pairing: None,
        elsewhere: false,
        in_use: &|_, _| in_use,
        zone: &Zone::utc(),
        clock_set: true,
    };
    decide(&Request::new(mac(from), ssid.as_bytes(), None, evidence), &view, NOW)
}

fn ask(ssid: &str, from: u8, evidence: Evidence) -> Result<Grant, Refusal> {
    ask_in(&registry(), ssid, from, evidence, 0)
}

const ADDRESS: Evidence = Evidence::Address { attempt: 0 };

fn proof(id: u32) -> Evidence {
    Evidence::Handshake(Proof::Device(DeviceId(id)))
}

/// What is worth comparing of an admission: device, VLAN, key, reason.
fn terms(answer: Result<Grant, Refusal>) -> (Option<u32>, Option<u16>, Keys, &'static str) {
    let grant = answer.expect("let in");
    (grant.device.map(|id| id.0), grant.vlan, grant.keys, grant.reason.code())
}

fn own(id: u32) -> Keys {
    Keys::One(KeyRef::Device(DeviceId(id)))
}

#[test]
fn admissions() {
    let nothing_but_address = ask("Home", 1, ADDRESS);
    assert_eq!(terms(nothing_but_address), (Some(1), Some(20), own(1), "known_address"));
    assert_eq!(terms(ask("Home", 1, proof(1))), (Some(1), Some(20), own(1), "proved_key"));
    assert_eq!(terms(ask("Home", 77, proof(3))), (Some(3), Some(30), own(3), "first_proof"));
    assert_eq!(terms(ask("Home", 77, proof(4))), (Some(4), None, own(4), "proved_key"), "any address, no VLAN");
    assert_eq!(terms(ask("Home", 1, proof(4))), (Some(4), None, own(4), "proved_key"), "also one of another device");
    let onboarding = Keys::One(KeyRef::Onboarding);
    let evidence = Evidence::Handshake(Proof::Onboarding);
    assert_eq!(terms(ask("Welcome", 77, evidence)), (None, Some(40), onboarding.clone(), "quarantined"));
    assert_eq!(terms(ask("Welcome", 7, evidence)), (Some(7), Some(30), onboarding.clone(), "proved_key"));
    assert_eq!(terms(ask("Welcome", 7, ADDRESS)), (Some(7), Some(30), onboarding, "known_address"));
}

#[test]
fn refusals() {
    let nothing = Evidence::Handshake(Proof::Nothing);
    let onboarding = Evidence::Handshake(Proof::Onboarding);
    for (ssid, from, evidence, device, reason) in [
        ("Home", 77, nothing, None, Reason::UnknownDevice),
        ("Home", 1, nothing, Some(1), Reason::WrongKey),
        ("Home", 5, ADDRESS, Some(5), Reason::Expired(NOW)),
        ("Home", 77, proof(5), Some(5), Reason::Expired(NOW)),
        ("Home", 6, ADDRESS, Some(6), Reason::Blocked),
        ("Home", 6, proof(3), Some(6), Reason::Blocked),
        ("Home", 77, proof(6), Some(6), Reason::Blocked),
        ("Home", 77, proof(1), None, Reason::KeyOfOther { owner: "lamp".into() }),
        ("Home", 7, proof(1), Some(7), Reason::KeyOfOther { owner: "lamp".into() }),
        ("Home", 1, proof(2), Some(1), Reason::AddressOfOther { key_of: "cam".into() }),
        ("Home", 77, proof(8), None, Reason::KeyOfOther { owner: "lost".into() }),
        ("Home", 8, proof(8), Some(8), Reason::ProfileMissing { profile: "gone".into() }),
        ("Home", 7, ADDRESS, Some(7), Reason::NoOwnKey),
        ("Home", 77, proof(99), None, Reason::UnknownDevice),
        ("Home", 1, proof(99), Some(1), Reason::WrongKey),
        ("Welcome", 1, onboarding, Some(1), Reason::OnboardingKeyInstead),
        ("Elsewhere", 1, ADDRESS, None, Reason::SsidMissing),
    ] {
        let refusal = Refusal { device: device.map(DeviceId), reason };
        assert_eq!(ask(ssid, from, evidence), Err(refusal), "{ssid} {from} {evidence:?}");
    }
}

#[test]
fn a_key_for_any_address_has_its_limit() {
    let registry = registry();
    assert!(ask_in(&registry, "Home", 77, proof(4), 1).is_ok());
    let refusal = ask_in(&registry, "Home", 77, proof(4), 2).expect_err("full");
    assert_eq!(refusal.reason, Reason::TooMany { max: 2 });
}

#[test]
fn only_a_proof_binds() {
    assert_eq!(ask("Home", 77, ADDRESS).expect("offered").bind, None);
    let bind = ask("Home", 77, proof(2)).expect("let in").bind;
    assert_eq!(bind, Some((DeviceId(2), BoundMac { mac: mac(77), proved: true, since: NOW })));

    let mut registry = registry();
    let (id, bound) = bind.expect("bound");
    registry.apply(&Change::Bind(id, bound));
    assert_eq!(terms(ask_in(&registry, "Home", 77, proof(2), 0)).3, "proved_key");
    let other = ask_in(&registry, "Home", 78, proof(2), 0).expect_err("bound by now");
    assert_eq!(other.reason, Reason::KeyOfOther { owner: "cam".into() });
}

/// The waiting keys of one VLAN go together, and the VLANs take turns: phone (flat), tv (media), cam (iot).
#[test]
fn offers_rotate_over_the_profiles() {
    let offers = |ssid: &str, attempts: std::ops::Range<u32>| -> Vec<(Option<u16>, Keys)> {
        attempts
            .map(|attempt| ask(ssid, 77, Evidence::Address { attempt }).expect("an offer"))
            .map(|grant| (grant.vlan, grant.keys))
            .collect()
    };
    let waiting = |ids: &[u32]| Keys::Offered(ids.iter().map(|id| DeviceId(*id)).collect());
    let rounds = [(None, waiting(&[4])), (Some(30), waiting(&[3])), (Some(20), waiting(&[2]))];
    assert_eq!(offers("Home", 0..4), [&rounds[..], &rounds[..1]].concat());
    let with_quarantine = [&rounds[..], &[(Some(40), Keys::One(KeyRef::Onboarding))]].concat();
    assert_eq!(offers("Welcome", 0..4), with_quarantine);

    let mut registry = registry();
    registry.apply(&Change::Put(vec![device(20, "cam2", "iot", "rr-key-of-its-own")]));
    let first = ask_in(&registry, "Home", 77, ADDRESS, 0).expect("an offer");
    assert_eq!(first.keys, waiting(&[20, 2]), "the newest device's profile comes first");
    let sae: Vec<Keys> = (0..2)
        .map(|attempt| ask_in(&registry, "Home3", 77, Evidence::Address { attempt }, 0).expect("an offer").keys)
        .collect();
    assert_eq!(sae, [waiting(&[20]), waiting(&[2])], "SAE tries one key only");
}

#[test]
fn nothing_waiting_means_unknown() {
    let mut registry = registry();
    for id in [2, 3, 4] {
        registry.apply(&Change::Remove(DeviceId(id)));
    }
    let refusal = ask_in(&registry, "Home", 77, ADDRESS, 0).expect_err("nothing to offer");
    assert_eq!(refusal, Refusal { device: None, reason: Reason::UnknownDevice });
}

#[test]
fn an_expiry_to_come_limits_the_session() {
    let mut registry = registry();
    let mut lamp = registry.get(DeviceId(1)).cloned().expect("lamp");
    lamp.expires = Some(UnixTime(NOW.0 + 600));
    registry.apply(&Change::Put(vec![lamp]));
    assert_eq!(ask_in(&registry, "Home", 1, proof(1), 0).expect("let in").session_timeout, Some(600));
}

#[test]
fn an_offer_asks_for_the_use_of_few_keys_however_many_wait() {
    let registry = |expires| {
        let device =
            |id| Device { bind: Bind::Any, expires, ..device(id, &format!("d{id}"), "iot", "key of a device") };
        Registry::load((1..=3000).map(device).collect(), vec![], vec![], DeviceId(3001))
    };
    let config = Config::parse(CONFIG).expect("valid");
    for (expires, most) in [(None, 40), (Some(UnixTime(5)), 0)] {
        let (registry, asked) = (registry(expires), std::cell::Cell::new(0));
        let in_use = |_, _| {
            asked.set(asked.get() + 1);
            0
        };
        let view = View {
            config: &config,
            registry: &registry,
            pairing: None,
            elsewhere: false,
            in_use: &in_use,
            zone: &Zone::utc(),
            clock_set: true,
        };
        let request = Request::new(MacAddr([2, 0, 0, 0, 0, 9]), b"Home", None, Evidence::Address { attempt: 63 });
        assert_eq!(decide(&request, &view, UnixTime(1_800_000_000)).is_ok(), expires.is_none());
        assert!(asked.get() <= most, "{} of {most}", asked.get());
    }
}

fn in_window(registry: &Registry, window: &Window, ssid: &str, from: u8, evidence: Evidence) -> Result<Grant, Refusal> {
    let config = format!(
        "{CONFIG}config ssid\n\toption ssid 'Pair'\n\toption unknown 'pairing'\n\toption onboarding_key 'knock three times'\n"
    );
    let config = Config::parse(config).expect("the configuration of the tests");
    let (in_use, zone) = (|_, _| 0, Zone::utc());
    let view = View {
        config: &config,
        registry,
        pairing: Some(window),
        elsewhere: false,
        in_use: &in_use,
        zone: &zone,
        clock_set: true,
    };
    decide(&Request::new(mac(from), ssid.as_bytes(), None, evidence), &view, NOW)
}

fn window(ssid: Option<&str>, name: Option<&str>) -> Window {
    Window { profile: "iot".into(), ssid: ssid.map(|ssid| ssid.as_bytes().into()), name: name.map(Into::into) }
}

const ONBOARDING: Evidence = Evidence::Handshake(Proof::Onboarding);

#[test]
fn in_a_window_the_onboarding_key_registers() {
    let registry = registry();
    for ssid in ["Pair", "Welcome"] {
        let grant = in_window(&registry, &window(None, None), ssid, 77, ONBOARDING).expect("let in");
        assert_eq!((grant.vlan, &grant.keys, &*grant.profile), (Some(20), &Keys::One(KeyRef::Onboarding), "iot"));
        let device = grant.register.expect("to be registered");
        assert_eq!(
            (device.id, &*device.name, &*device.profile, &device.key),
            (DeviceId(9), "device-004d", "iot", &None)
        );
        assert_eq!((device.bind, device.max_devices, device.created), (Bind::Mac, 1, NOW));
        assert_eq!(device.macs, [BoundMac { mac: mac(77), proved: true, since: NOW }]);
        assert_eq!(grant.reason.to_string(), "paired: registered as device-004d in profile iot");
    }
}

#[test]
fn a_window_is_for_unknown_devices_with_that_key_at_that_network() {
    let mut registry = registry();
    registry.apply(&Change::Ignore(mac(78), true));
    let here = window(Some("Pair"), None);
    let quarantined = in_window(&registry, &here, "Welcome", 77, ONBOARDING).expect("as ever");
    assert_eq!((quarantined.register, quarantined.reason), (None, Reason::Quarantined));
    for (window, ssid, from, evidence, reason) in [
        (window(Some("Welcome"), None), "Pair", 77, ONBOARDING, Reason::NoPairing),
        (here.clone(), "Pair", 78, ONBOARDING, Reason::NoPairing),
        (here.clone(), "Pair", 1, ONBOARDING, Reason::OnboardingKeyInstead),
        (here.clone(), "Pair", 77, Evidence::Handshake(Proof::Nothing), Reason::UnknownDevice),
        (Window { profile: "gone".into(), ..here.clone() }, "Pair", 77, ONBOARDING, Reason::NoPairing),
    ] {
        let refusal = in_window(&registry, &window, ssid, from, evidence).expect_err("refused");
        assert_eq!(refusal.reason, reason, "{ssid} {from}");
    }
    // One that was registered in a window before goes on with the onboarding key, whether one is open or not.
    let keyless = in_window(&registry, &here, "Pair", 7, ONBOARDING).expect("let in");
    assert_eq!((keyless.device, keyless.register), (Some(DeviceId(7)), None));
    let waiting = in_window(&registry, &here, "Pair", 77, proof(3)).expect("let in");
    assert_eq!((waiting.reason, waiting.register), (Reason::FirstProof, None), "a key of its own goes before");
}

#[test]
fn in_a_window_the_onboarding_key_is_offered_first_and_in_turns() {
    let registry = registry();
    let offers = |ssid: &str, from| -> Vec<(Option<u16>, &'static str)> {
        let window = window(None, None);
        let ask = |attempt| in_window(&registry, &window, ssid, from, Evidence::Address { attempt }).expect("an offer");
        (0..5).map(ask).map(|grant| (grant.vlan, grant.reason.code())).collect()
    };
    let pairing = (Some(20), "pairing_offered");
    let turns = [pairing, (None, "offered"), (Some(30), "offered"), (Some(20), "offered"), pairing];
    assert_eq!(offers("Pair", 77), turns);
    assert_eq!(offers("Welcome", 77), turns, "no quarantine with the same key meanwhile");
    assert!(!offers("Home", 77).contains(&pairing), "it has no onboarding key");
    let window = window(None, None);
    let known = in_window(&registry, &window, "Pair", 1, ADDRESS).expect("known");
    assert_eq!(known.reason, Reason::KnownAddress);
}

#[test]
fn names_are_unique() {
    let mut registry = registry();
    let mut expected =
        vec!["device-004d", "device-00004d", "device-1100004d", "device-1a1100004d", "device-001a1100004d"];
    expected.extend(["device-001a1100004d-2", "device-001a1100004d-3"]);
    for expected in expected {
        let device = in_window(&registry, &window(None, None), "Pair", 77, ONBOARDING).expect("let in").register;
        let mut device = *device.expect("to be registered");
        assert_eq!(&*device.name, expected);
        device.macs.clear();
        registry.apply(&Change::Put(vec![device]));
    }
    let long = "a-name-of-exactly-32-characters-";
    for (wanted, expected) in [("radio", "radio"), ("Lamp", "Lamp-2"), (long, long)] {
        let grant = in_window(&registry, &window(None, Some(wanted)), "Pair", 77, ONBOARDING).expect("let in");
        assert_eq!(grant.register.map(|device| device.name.to_string()).as_deref(), Some(expected));
    }
    registry.apply(&Change::Put(vec![device(99, long, "iot", "qx-key-of-its-own")]));
    let grant = in_window(&registry, &window(None, Some(long)), "Pair", 77, ONBOARDING).expect("let in");
    let name = grant.register.expect("to be registered").name;
    assert_eq!((name.len(), crate::registry::generate::valid_name(&name)), (32, Ok(())), "{name}");
}

/// A profile with hours: Monday to Friday in the morning, and a quarantine of the same.
const SCHOOL: &str = "
config profile 'kids'
	option vlan '20'
	list hours 'mon-fri 07:00-09:00'
	list hours 'mon-fri 16:00-20:00'
config profile 'iot'
	option vlan '30'
config ssid 'home'
	option ssid 'Home'
	option unknown 'quarantine'
	option quarantine_profile 'kids'
	option onboarding_key 'come in and find out'
";

/// What becomes of a request at a moment of UTC: seconds of the session, or the code of the refusal.
fn at_school(
    evidence: Evidence,
    from: u8,
    moment: &str,
    set: bool,
) -> Result<Option<u32>, (Option<u32>, &'static str)> {
    let config = Config::parse(SCHOOL).expect("the configuration of the test");
    let mut devices: Vec<Device> = [(1, "tablet", "kids"), (2, "laptop", "kids"), (3, "cam", "iot")]
        .map(|(id, name, profile)| device(id, name, profile, &format!("{name}-key-of-its-own")))
        .into();
    devices[0].macs = bound(1);
    devices[0].expires = Some("2026-11-20T18:00:00Z".parse().expect("a time"));
    let registry = Registry::load(devices, vec![], vec![], DeviceId(4));
    let berlin = Zone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
    let in_use = |_, _| 0;
    let view = View {
        config: &config,
        registry: &registry,
        pairing: None,
        elsewhere: false,
        in_use: &in_use,
        zone: &berlin,
        clock_set: set,
    };
    let now = moment.parse().expect("a time");
    decide(&Request::new(mac(from), b"Home", None, evidence), &view, now)
        .map(|grant| grant.session_timeout)
        .map_err(|refusal| (refusal.device.map(|id| id.0), refusal.reason.code()))
}

#[test]
fn hours_admit_refuse_and_limit_the_session() {
    let onboarding = Evidence::Handshake(Proof::Onboarding);
    for (evidence, from, moment, set, expected) in [
        // Thursday and Friday, 2026-11-19 and -20; local time is an hour ahead.
        (proof(1), 1, "2026-11-19T06:00:00Z", true, Ok(Some(7200))),
        (ADDRESS, 1, "2026-11-19T07:59:59Z", true, Ok(Some(1))),
        (proof(1), 1, "2026-11-19T08:00:00Z", true, Err((Some(1), "outside_hours"))),
        (proof(1), 1, "2026-11-20T16:30:00Z", true, Ok(Some(5400))),
        (proof(1), 1, "2026-11-20T18:00:00Z", true, Err((Some(1), "expired"))),
        (proof(2), 77, "2026-11-20T18:00:00Z", true, Ok(Some(3600))),
        (proof(2), 77, "2026-11-21T18:00:00Z", true, Err((Some(2), "outside_hours"))),
        (onboarding, 77, "2026-11-20T18:00:00Z", true, Ok(Some(3600))),
        (onboarding, 77, "2026-11-21T18:00:00Z", true, Err((None, "outside_hours"))),
        (proof(3), 77, "2026-11-21T18:00:00Z", true, Ok(None)),
        // Nobody knows what time it is: no hours, and no harm where there are none.
        (proof(1), 1, "2026-11-19T06:00:00Z", false, Err((Some(1), "clock_not_set"))),
        (proof(1), 1, "2026-11-20T18:00:00Z", false, Err((Some(1), "expired"))),
        (onboarding, 77, "2026-11-20T18:00:00Z", false, Err((None, "clock_not_set"))),
        (proof(3), 77, "2026-11-19T06:00:00Z", false, Ok(None)),
    ] {
        assert_eq!(at_school(evidence, from, moment, set), expected, "{from} {evidence:?} at {moment}");
    }
}

#[test]
fn keys_of_a_closed_profile_are_not_offered() {
    let offered = |attempt| at_school(Evidence::Address { attempt }, 77, "2026-11-21T18:00:00Z", true);
    // The camera's key; the quarantine is closed; the camera's again.
    assert_eq!([0, 1, 2].map(offered), [Ok(None), Err((None, "outside_hours")), Ok(None)]);
}

#[test]
fn the_words_for_hours() {
    let local = Zone::utc().local("2026-11-21T23:10:59Z".parse().expect("a time"));
    let reason = Reason::OutsideHours { profile: "kids".into(), hours: "mon-fri 07:00-21:00".into(), local };
    assert_eq!(reason.to_string(), "outside the hours of profile 'kids' (mon-fri 07:00-21:00; it is Sat 23:10)");
}

mod eap {
    use super::*;
    use crate::pki::{CertificateInfo, Voucher};
    use crate::registry::credential::{EapCredentials, EapPsk, KnownBy, Place};
    use crate::registry::maker::{Admit, Maker};
    use crate::secret::EapPskKey;

    fn info() -> CertificateInfo {
        CertificateInfo {
            fingerprint: [1; 32],
            issuer_hash: [2; 32],
            issuer: "CN=ACME CA".into(),
            subject: "CN=Cam 7".into(),
            common_name: Some("Cam 7".into()),
            serial: [7][..].into(),
            subject_serial: None,
            alt_names: Vec::new(),
            public_key: [3; 32],
            not_before: UnixTime(0),
            not_after: None,
            mud_url: Some("https://acme.example/cam.json".into()),
        }
    }

    /// The registry of the other tests; cam, old, bad and phone prove themselves with EAP only.
    fn registry(admit: Admit) -> Registry {
        let mut registry = super::registry();
        for (id, nai) in [(2, "cam"), (4, "phone"), (5, "old"), (6, "bad")] {
            let mut device = registry.get(DeviceId(id)).cloned().expect("there");
            let psk = EapPsk { nai: nai.into(), key: EapPskKey::new([id as u8; 16]) };
            device.key = None;
            device.eap = Some(Box::new(EapCredentials { psk: Some(psk), certificates: Vec::new(), serial: 1 }));
            registry.apply(&Change::Put(vec![device]));
        }
        let maker = Maker {
            name: "acme".into(),
            authorities: Vec::new(),
            profile: "media".into(),
            admit,
            crls: Vec::new(),
            lists: Vec::new(),
            bundle_issued: None,
        };
        registry.apply(&Change::PutMaker(Box::new(maker)));
        registry
    }

    fn decide_on(registry: &Registry, request: &Request<'_>) -> Result<Grant, Refusal> {
        let config = Config::parse(CONFIG).expect("the configuration of the tests");
        let view = View {
            config: &config,
            registry,
            pairing: None,
            elsewhere: false,
            in_use: &|_, _| 2,
            zone: &Zone::utc(),
            clock_set: true,
        };
        decide(request, &view, NOW)
    }

    #[test]
    fn devices_that_proved_who_they_are() {
        let registry = registry(Admit::Listed);
        for (id, from, expected) in [
            (2, 77, Ok(("first_proof", Some(20), true))),
            (1, 1, Ok(("proved_key", Some(20), false))),
            (1, 77, Err("other_address")),
            (2, 1, Err("address_of_other")),
            (4, 77, Err("too_many")),
            (5, 5, Err("expired")),
            (6, 6, Err("blocked")),
            (6, 77, Err("blocked")),
            (3, 6, Err("blocked")),
            (99, 77, Err("unknown_device")),
            (8, 8, Err("profile_missing")),
        ] {
            let evidence = Evidence::Eap(Identified::Device(DeviceId(id)));
            let decided = decide_on(&registry, &Request::new(mac(from), b"Home", None, evidence));
            let short = match &decided {
                Ok(grant) => {
                    assert_eq!(grant.keys, Keys::None);
                    Ok((grant.reason.code(), grant.vlan, grant.bind.is_some()))
                }
                Err(refusal) => Err(refusal.reason.code()),
            };
            assert_eq!(short, expected, "device {id} from {from}");
        }
    }

    #[test]
    fn newcomers_of_a_maker() {
        let (info, maker) = (info(), Voucher::Maker("acme".into()));
        for (admit, voucher, from, expected) in [
            (Admit::Listed, &maker, 77, "not_listed"),
            (Admit::Pending, &maker, 77, "not_approved"),
            (Admit::All, &maker, 77, "maker_admitted"),
            (Admit::All, &maker, 1, "address_of_other"),
            (Admit::All, &maker, 6, "blocked"),
            (Admit::All, &Voucher::Maker("other".into()), 77, "unknown_device"),
            (Admit::All, &Voucher::Ourselves, 77, "unknown_device"),
            (Admit::All, &Voucher::Registered, 77, "unknown_device"),
        ] {
            let registry = registry(admit);
            let evidence = Evidence::Eap(Identified::Newcomer);
            let request =
                Request { certificate: Some((&info, voucher)), ..Request::new(mac(from), b"Home", None, evidence) };
            let decided = decide_on(&registry, &request);
            let code = decided.as_ref().map_or_else(|refusal| refusal.reason.code(), |grant| grant.reason.code());
            assert_eq!(code, expected, "{admit} {voucher:?} {from}");
            let Ok(grant) = decided else { continue };
            let device = grant.register.expect("to be registered");
            assert_eq!((&*device.name, &*device.profile, device.key.is_none()), ("cam-7", "media", true));
            assert!(device.has_mac(mac(from)) && !device.has_room());
            let certificate = &device.eap.as_ref().expect("has its certificate").certificates[0];
            assert_eq!(certificate.known_by, KnownBy::serial(&info, voucher).expect("of a maker"));
            assert_eq!(certificate.mud_url.as_deref(), Some("https://acme.example/cam.json"));
            // Another maker may name its CA like this issuer: its certificate of this number is another one.
            let stored = Registry::load(vec![(*device).clone()], vec![], vec![], DeviceId(100));
            assert!(stored.by_certificate(&info, voucher).is_some());
            assert!(stored.by_certificate(&info, &Voucher::Maker("rogue".into())).is_none());
        }
    }

    #[test]
    fn a_certificate_limits_the_session() {
        let registry = registry(Admit::All);
        let acme = Voucher::Maker("acme".into());
        let (device, newcomer) = (Identified::Device(DeviceId(1)), Identified::Newcomer);
        const DAY: i64 = 86_400;
        for (who, from, voucher, left, expected) in [
            (device, 1, &acme, None, Some(86_400)),
            (device, 1, &acme, Some(90 * DAY), Some(86_400)),
            (device, 1, &acme, Some(600), Some(600)),
            (newcomer, 77, &acme, Some(600), Some(600)),
            (newcomer, 77, &acme, None, Some(86_400)),
            (device, 1, &Voucher::Ourselves, None, None),
            (device, 1, &Voucher::Ourselves, Some(90 * DAY), Some(90 * 86_400)),
            (device, 1, &Voucher::Registered, Some(600), Some(600)),
        ] {
            let info = CertificateInfo { not_after: left.map(|left| UnixTime(NOW.0 + left)), ..info() };
            let evidence = Evidence::Eap(who);
            let request =
                Request { certificate: Some((&info, voucher)), ..Request::new(mac(from), b"Home", None, evidence) };
            let grant = decide_on(&registry, &request).expect("let in");
            assert_eq!((grant.session_timeout, grant.voucher.as_ref()), (expected, Some(voucher)), "{who:?} {left:?}");
        }
        let request = Request::new(mac(1), b"Home", None, Evidence::Eap(device));
        let grant = decide_on(&registry, &request).expect("let in");
        assert_eq!((grant.session_timeout, grant.voucher), (None, None), "without a certificate");
    }

    #[test]
    fn wifi_keys_and_onboarding_keys_are_not_theirs() {
        let mut registry = registry(Admit::Listed);
        let mut cam = registry.get(DeviceId(2)).cloned().expect("there");
        cam.macs = bound(2);
        registry.apply(&Change::Put(vec![cam]));
        let onboarding = Evidence::Handshake(Proof::Onboarding);
        for evidence in [ADDRESS, onboarding] {
            let decided = decide_on(&registry, &Request::new(mac(2), b"Welcome", None, evidence));
            assert_eq!(decided.map_err(|refusal| refusal.reason), Err(Reason::NoWifiKey));
        }
        let offered = decide_on(&registry, &Request::new(mac(77), b"Home", None, ADDRESS)).expect("some wait");
        assert_eq!(offered.keys, Keys::Offered(vec![DeviceId(3)]), "not cam's, which has none");
    }

    #[test]
    fn places_hold_for_everybody() {
        let mut registry = registry(Admit::Listed);
        for id in [1, 2, 3] {
            let mut device = registry.get(DeviceId(id)).cloned().expect("there");
            device.places = vec![Place::Ssid(b"Home3"[..].into()), Place::Ap(mac(0xaa))];
            registry.apply(&Change::Put(vec![device]));
        }
        let eap = Evidence::Eap(Identified::Device(DeviceId(2)));
        for (ssid, ap, evidence, from, expected) in [
            ("Home", Some(0xaa), eap, 77, "wrong_place"),
            ("Home3", Some(0xbb), eap, 77, "wrong_place"),
            ("Home3", Some(0xaa), eap, 77, "first_proof"),
            ("Home", Some(0xaa), ADDRESS, 1, "wrong_place"),
            ("Home3", Some(0xaa), ADDRESS, 1, "known_address"),
            ("Home", Some(0xaa), proof(1), 1, "wrong_place"),
            ("Home", Some(0xaa), ADDRESS, 77, "unknown_device"),
            ("Home3", Some(0xbb), ADDRESS, 77, "unknown_device"),
            ("Home3", Some(0xaa), ADDRESS, 77, "offered"),
        ] {
            let request = Request::new(mac(from), ssid.as_bytes(), ap.map(mac), evidence);
            let decided = decide_on(&registry, &request);
            let code = decided.map_or_else(|refusal| refusal.reason.code(), |grant| grant.reason.code());
            assert_eq!(code, expected, "{ssid} {ap:?} {evidence:?} from {from}");
        }
    }
}
