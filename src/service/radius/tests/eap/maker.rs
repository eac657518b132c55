//! EAP-TLS with certificates of makers.

use super::*;
use crate::service::revocation::{Order, Why};

/// A maker, one of its devices, and a server with a certificate of its own.
struct Factory {
    server_ca: Authority,
    maker: Authority,
    random: crate::service::Random,
}

impl Factory {
    fn new() -> Factory {
        let (now, mut random) = (UnixTime(1_800_000_000 - 86_400), Box::new(numbers()));
        let mut authority = || Authority::new(Key::generate().expect("a key"), now, &mut *random).expect("a CA");
        let (server_ca, maker) = (authority(), authority());
        Factory { server_ca, maker, random }
    }

    fn set_up(&mut self, rig: &mut Rig, admit: Admit) {
        let key = Key::generate().expect("a key");
        let now = UnixTime(1_800_000_000 - 86_400);
        let der = self.server_ca.server("latchkey.home.arpa", &key, now, &mut *self.random).expect("a certificate");
        let server = ServerCertificate::read(certificate_pem(&der).as_bytes(), key.to_pem().as_bytes(), false);
        rig.core.pki.set_files(Files { server: Some(server.expect("a server")), ..Files::default() });
        rig.core.refresh_pki();
        let maker = Maker {
            name: "acme".into(),
            authorities: vec![self.maker.certificate().into()],
            profile: "media".into(),
            admit,
            crls: Vec::new(),
            lists: Vec::new(),
            bundle_issued: None,
        };
        rig.core.apply(&[Change::PutMaker(Box::new(maker))]);
    }

    fn device(&mut self, name: &str) -> Issued {
        self.maker.issue(name, None, &mut *self.random).expect("a certificate")
    }

    fn supplicant(&self, issued: &Issued, versions: Versions, sessions: usize) -> Supplicant {
        let chain = vec![CertificateDer::from(issued.certificate.clone())];
        let key = Key::from_pem(issued.key_pem.as_bytes()).expect("a key").to_rustls();
        let expected = Expected::Authorities(vec![CertificateDer::from(self.server_ca.certificate().to_vec())]);
        let now = UnixTime(1_800_000_000);
        Supplicant::new(Identity::Certificate(chain, key), expected, "latchkey.home.arpa", versions, sessions, now)
            .expect("a supplicant")
    }
}

#[test]
fn all_devices_of_a_maker() {
    for versions in [Versions::Tls12, Versions::Tls13] {
        let (mut rig, mut factory) = (Rig::eap(vec![]), Factory::new());
        factory.set_up(&mut rig, Admit::All);
        let issued = factory.device("Kitchen Cam");
        let supplicant = factory.supplicant(&issued, versions, 4);
        let (end, peer) = rig.tls(mac(9), OFFICE, &supplicant);
        assert_eq!((end.code, end.vlan.as_deref()), (Code::ACCESS_ACCEPT, Some("30")), "{}", rig.last_event());
        let keys = peer.keys().expect("the supplicant has succeeded");
        assert_eq!((end.keys, end.key_name.as_deref()), (halves(&keys), Some(keys.session_id())));
        let (device, outcome, reason) = rig.last();
        assert_eq!((outcome, reason), (Outcome::Accepted, "maker_admitted"));
        assert!(rig.last_event().method.to_string().starts_with("eap-tls 1."), "{}", rig.last_event().method);
        let registered = rig.core.registry.by_mac(mac(9)).cloned().expect("it is registered");
        assert_eq!((device.as_deref(), &*registered.profile), (Some(&*registered.name), "media"));
        let certificate = &registered.eap.as_ref().expect("its certificate").certificates[0];
        assert!(matches!(&certificate.known_by, KnownBy::Serial { .. }) && !certificate.issued);
        assert!(registered.key.is_none() && !registered.uses_onboarding_key());

        let (end, peer) = rig.tls(mac(9), OFFICE, &supplicant);
        assert_eq!((end.code, rig.last().2), (Code::ACCESS_ACCEPT, "proved_certificate"));
        assert!(peer.is_resumed(), "{versions:?}");
        assert!(rig.last_event().method.to_string().contains("resumed"), "{}", rig.last_event().method);
        // Removed, its session is worth nothing, and it comes as a newcomer; blocked, it is refused.
        rig.core.apply(&[Change::Put(vec![Device { blocked: true, ..registered }])]);
        let (end, _) = rig.tls(mac(9), OFFICE, &supplicant);
        assert_eq!((end.code, rig.last().2), (Code::ACCESS_REJECT, "blocked"));
    }
}

#[test]
fn a_maker_that_is_removed_vouches_for_nobody() {
    let (mut rig, mut factory) = (Rig::eap(vec![]), Factory::new());
    factory.set_up(&mut rig, Admit::All);
    let issued = factory.device("cam");
    let supplicant = factory.supplicant(&issued, Versions::Tls13, 4);
    assert_eq!(rig.tls(mac(9), OFFICE, &supplicant).0.code, Code::ACCESS_ACCEPT);
    assert!(rig.core.revocation.take_orders().is_empty());
    rig.core.apply(&[Change::RemoveMaker("acme".into())]);
    let orders = rig.core.revocation.take_orders();
    assert!(matches!(orders[0], Order::Off { mac: whom, why: Why::NewTrust, .. } if whom == mac(9)), "{orders:?}");
    let (end, peer) = rig.tls(mac(9), OFFICE, &supplicant);
    assert_eq!(
        (end.code, rig.last().2),
        (Code::ACCESS_REJECT, "certificate_unknown_issuer"),
        "resumed: {}",
        peer.is_resumed()
    );
    let text = rig.last_event().to_string();
    assert!(text.contains("is signed by a CA nobody registered"), "{text}");
    assert_eq!(rig.last_event().reason.fault().as_str(), "configuration");
}

#[test]
fn a_certificate_that_waits_is_not_swapped() {
    let (mut rig, mut factory) = (Rig::eap(vec![]), Factory::new());
    factory.set_up(&mut rig, Admit::Pending);
    let (own, thief) = (factory.device("cam"), factory.device("cam"));
    let show = |rig: &mut Rig, issued: &Issued| {
        let supplicant = factory.supplicant(issued, Versions::Tls13, 0);
        assert_eq!(rig.tls(mac(9), OFFICE, &supplicant).0.code, Code::ACCESS_REJECT);
        rig.pass(31);
        assert_eq!(rig.last().2, "not_approved");
    };
    let approve = |rig: &mut Rig, more: &str| {
        let line = format!(r#"{{"method":"pending_approve","params":{{"mac":"{}","name":"cam"{more}}}}}"#, mac(9));
        match Call::parse(line.as_bytes()).and_then(|call| call.run(&mut rig.core, rig.now)) {
            Ok(Done::Commit { changes, .. }) => Ok(changes),
            Ok(_) => panic!("no change"),
            Err(why) => Err(why.code),
        }
    };
    show(&mut rig, &own);
    show(&mut rig, &own);
    assert!(approve(&mut rig, "").is_ok(), "the same twice is one");
    show(&mut rig, &thief);
    let pending = rig.core.pending.get(mac(9)).expect("it waits");
    assert_eq!(pending.proved.fingerprint(), Some(&own.info.fingerprint), "the first stays");
    assert_eq!(pending.other.as_ref().and_then(|other| other.fingerprint()), Some(&thief.info.fingerprint));
    let prefix = |issued: &Issued| {
        let digits: String = issued.info.fingerprint[..8].iter().map(|octet| format!("{octet:02X}:")).collect();
        format!(r#","certificate":"{digits}""#)
    };
    assert_eq!(approve(&mut rig, "").err(), Some("ambiguous"));
    assert_eq!(approve(&mut rig, r#","certificate":"not hexadecimal""#).err(), Some("not_found"));
    let known_by = |changes: &[Change]| match changes {
        [Change::Put(devices)] => devices[0].eap.as_ref().map(|eap| eap.certificates[0].known_by.clone()),
        other => panic!("{other:?}"),
    };
    for issued in [&thief, &own] {
        let changes = approve(&mut rig, &prefix(issued)).expect("approved");
        let expected = KnownBy::serial(&issued.info, &crate::pki::Voucher::Maker("acme".into()));
        assert_eq!(known_by(&changes), expected, "the one that was named");
    }
}

#[test]
fn a_maker_fills_no_registry() {
    use crate::decision::maker::{BY_THEMSELVES, registered};
    let (mut rig, mut factory) = (Rig::eap(vec![]), Factory::new());
    factory.set_up(&mut rig, Admit::All);
    let issued = factory.device("one too many");
    let of = |n: u16, maker: &str| {
        let mut info = issued.info.clone();
        info.serial = n.to_be_bytes().into();
        let certificate = registered(&maker.into(), &info, UnixTime(1));
        let eap = EapCredentials { psk: None, certificates: vec![certificate], serial: 1 };
        let id = u32::from(n) + if maker == "acme" { 1000 } else { 2000 };
        Device {
            eap: Some(Box::new(eap)),
            key: None,
            ..device(id, &format!("{maker}-{n}"), "media", "not used at all")
        }
    };
    // What does not count: devices of another maker, and one less than the limit of this one.
    let mut others: Vec<Device> = (1..=BY_THEMSELVES).map(|n| of(n, "other")).collect();
    others.extend((1..BY_THEMSELVES).map(|n| of(n, "acme")));
    rig.core.apply(&[Change::Put(others)]);
    let supplicant = factory.supplicant(&issued, Versions::Tls13, 0);
    let (end, _) = rig.tls(mac(9), OFFICE, &supplicant);
    assert_eq!((end.code, rig.last().2), (Code::ACCESS_ACCEPT, "maker_admitted"));
    // It was the last one.
    let next = factory.device("another");
    let supplicant = factory.supplicant(&next, Versions::Tls13, 0);
    let (end, _) = rig.tls(mac(10), OFFICE, &supplicant);
    rig.pass(31);
    assert_eq!((end.code, rig.last().2), (Code::ACCESS_REJECT, "maker_full"));
    let text = rig.last_event().to_string();
    assert!(text.contains("256 devices of this maker") && text.contains("latchkey pending approve"), "{text}");
    assert!(!rig.core.registry.knows(mac(10)));
    let line = format!(r#"{{"method":"pending_approve","params":{{"mac":"{}","name":"front-cam"}}}}"#, mac(10));
    let done = Call::parse(line.as_bytes()).and_then(|call| call.run(&mut rig.core, rig.now));
    let Ok(Done::Commit { changes, .. }) = done else { panic!("not approved") };
    rig.core.apply(&changes);
    let (end, _) = rig.tls(mac(10), OFFICE, &supplicant);
    assert_eq!((end.code, rig.last().2), (Code::ACCESS_ACCEPT, "proved_certificate"));
}

#[test]
fn listed_and_pending_devices_of_a_maker() {
    for (admit, reason, waiting) in [(Admit::Listed, "not_listed", false), (Admit::Pending, "not_approved", true)] {
        let (mut rig, mut factory) = (Rig::eap(vec![]), Factory::new());
        factory.set_up(&mut rig, admit);
        let issued = factory.device("cam");
        let supplicant = factory.supplicant(&issued, Versions::Tls13, 0);
        let (end, _) = rig.tls(mac(9), OFFICE, &supplicant);
        rig.pass(31);
        assert_eq!((end.code, rig.last().2), (Code::ACCESS_REJECT, reason));
        let proved = rig.core.pending.get(mac(9)).map(|pending| pending.proved.clone());
        assert_eq!(proved.is_some(), waiting);
        if let Some(proved) = proved {
            let Proved::Certificate { info, maker } = proved else { panic!("{proved:?}") };
            assert_eq!((info.fingerprint, &*maker), (issued.info.fingerprint, "acme"));
            let line = format!(r#"{{"method":"pending_approve","params":{{"mac":"{}","name":"front-cam"}}}}"#, mac(9));
            let done = Call::parse(line.as_bytes()).and_then(|call| call.run(&mut rig.core, rig.now));
            let Ok(Done::Commit { changes, .. }) = done else { panic!("not approved") };
            rig.core.apply(&changes);
            let (end, _) = rig.tls(mac(9), OFFICE, &supplicant);
            assert_eq!((end.code, end.vlan.as_deref()), (Code::ACCESS_ACCEPT, Some("30")));
            assert_eq!(rig.last(), (Some("front-cam".into()), Outcome::Accepted, "proved_certificate"));
            assert!(rig.core.pending.is_empty());
        }
    }
}
