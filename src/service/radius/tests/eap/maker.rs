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
