//! Exchanges that must not end well, and what is said about them.

use super::*;
use crate::pki::CertificateProblem;
use rustls::{AlertDescription, Error};

#[test]
fn what_is_wrong_with_a_certificate_is_said_by_alert_and_in_words() {
    use AlertDescription as Alert;
    let table = [
        (CertificateProblem::Form("no DER".into()), Alert::BadCertificate),
        (CertificateProblem::UnknownIssuer { issuer: "CN=x".into() }, Alert::UnknownCA),
        (CertificateProblem::BadSignature, Alert::DecryptError),
        (CertificateProblem::Expired { since: NOW }, Alert::CertificateExpired),
        (CertificateProblem::NotYetValid { from: NOW }, Alert::CertificateExpired),
        (CertificateProblem::Revoked, Alert::CertificateRevoked),
        (CertificateProblem::WrongPurpose, Alert::UnsupportedCertificate),
        (CertificateProblem::NoRevocationList("too old".into()), Alert::UnknownCA),
    ];
    let rig = Rig::new();
    for (versions, ..) in BOTH {
        for (problem, alert) in &table {
            *rig.judge.problem.lock().unwrap() = Some(problem.clone());
            let end = rig.run(Peer::new(&rig.supplicant(versions)).unwrap());
            assert_eq!(end.problem(), Problem::Certificate { subject: "CN=camera".into(), problem: problem.clone() });
            assert_eq!(end.peer.error(), Some(&Error::AlertReceived(*alert)), "{problem:?}");
            assert_eq!(end.proved, None);
        }
    }
    assert_eq!(rig.server.sessions().0, 0);
}

#[test]
fn a_refused_device_learns_it_by_failure_and_gets_no_session() {
    for (versions, full, _) in BOTH {
        let rig = Rig::new();
        let supplicant = rig.supplicant(versions);
        for _ in 0..2 {
            let end = rig.run_with(Peer::new(&supplicant).unwrap(), false, |_, data| data);
            assert!(end.proved.is_some());
            assert_eq!((end.problem(), end.detail), (Problem::Refused, full));
            assert!(!end.peer.is_done(), "no Finished and no success indication came");
        }
        assert_eq!(rig.server.sessions().0, 0);
        rig.run(Peer::new(&supplicant).unwrap()).agreed();
        let end = rig.run_with(Peer::new(&supplicant).unwrap(), false, |_, data| data);
        assert_eq!(end.problem(), Problem::Refused);
    }
}

#[test]
fn the_device_does_not_trust_us() {
    let rig = Rig::new();
    let other = Authority::new("other");
    for (versions, ..) in BOTH {
        let expected = Expected::Authorities(vec![other.certificate.clone()]);
        let supplicant = Supplicant::new(rig.certificate(), expected, NAME, versions, 0, NOW).unwrap();
        let end = rig.run(Peer::new(&supplicant).unwrap());
        let Problem::Alert(words) = end.problem() else { panic!("{:?}", end.problem()) };
        assert!(words.starts_with("unknown_ca: the device does not trust latchkey's certificate: put the CA on it"));
        assert_eq!(end.proved, None);
        let supplicant = Supplicant::new(rig.certificate(), rig.expected(), "other.example", versions, 0, NOW);
        let end = rig.run(Peer::new(&supplicant.unwrap()).unwrap());
        let Problem::Alert(words) = end.problem() else { panic!("{:?}", end.problem()) };
        assert!(words.contains("bad_certificate") && words.contains("name"), "{words}");
    }
}

#[test]
fn no_certificate() {
    let rig = Rig::new();
    for (versions, ..) in BOTH {
        let supplicant = Supplicant::new(Identity::None, rig.expected(), NAME, versions, 0, NOW).unwrap();
        let end = rig.run(Peer::new(&supplicant).unwrap());
        assert_eq!((end.problem(), end.proved), (Problem::NoCertificate, None));
    }
}

#[test]
fn anothers_certificate_is_not_enough() {
    let rig = Rig::new();
    for (versions, ..) in BOTH {
        // rustls does not let a client have a key that does not fit, so the certificate is exchanged on its way out.
        let (other, key) = Authority::new("thief").sign("thief");
        let identity = Identity::Certificate(vec![other], key_der(&key));
        let mut supplicant = Supplicant::new(identity, rig.expected(), NAME, versions, 0, NOW).unwrap();
        let key = rustls::crypto::ring::sign::any_supported_type(&key_der(&key)).unwrap();
        let stolen = Arc::new(rustls::sign::CertifiedKey::new(vec![rig.device.0.clone()], key));
        supplicant.configure(|config| {
            config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(stolen));
        });
        let end = rig.run(Peer::new(&supplicant).unwrap());
        assert!(end.problem().to_string().contains("did not prove that it has the private key"), "{}", end.problem());
        assert_eq!(end.proved, None);
    }
}

#[test]
fn old_and_odd_hellos() {
    use super::super::hello::tests::client_hello;
    let rig = Rig::new();
    let groups = (10, &[0, 4, 0, 23, 0, 29][..]);
    let schemes = (13, &[0, 2, 4, 3][..]);
    let table: [(Vec<u8>, &str); 6] = [
        (client_hello(0x0301, &[0xc013, 0x002f], &[groups], 9999), "offers TLS 1.0 at most"),
        (client_hello(0x0302, &[0xc013], &[groups], 9999), "offers TLS 1.1 at most"),
        (client_hello(0x0303, &[0x002f, 0x009c, 0x00ff], &[groups, schemes], 9999), "exchange the key with RSA"),
        (client_hello(0x0303, &[0xc023], &[groups, schemes], 9999), "no cipher suite in common"),
        (client_hello(0x0303, &[0xc02b], &[(10, &[0, 2, 1, 4]), schemes], 9999), "no group for the key exchange"),
        (client_hello(0x0303, &[0xc02b], &[groups, (13, &[0, 2, 8, 6])], 9999), "accepts no signature"),
    ];
    for (hello, words) in table {
        let mut method = Tls::new(&rig.server);
        rig.context(|cx| method.begin(cx));
        let progress = rig.context(|cx| method.receive(&[&[0][..], &hello].concat(), cx));
        let Progress::Request(alert) = progress else { panic!("{words}: {progress:?}") };
        assert_eq!(alert[..7], [0, 21, 3, 3, 0, 2, 2], "{words}");
        let progress = rig.context(|cx| method.receive(&[0], cx));
        let Progress::Failure(problem) = progress else { panic!("{words}: {progress:?}") };
        assert!(problem.to_string().contains(words), "{problem} / {words}");
    }
}

#[test]
fn misuse_of_fragments() {
    let rig = Rig::new();
    let whole = |data: &[u8]| [&[0][..], data].concat();
    type Change<'a> = &'a dyn Fn(usize, Vec<u8>) -> Vec<u8>;
    let endless: Change = &|_, _| [&[0x40][..], &[22; 1000]].concat();
    let empty: Change = &|_, _| vec![0x40];
    let oversized: Change = &|_, _| b"\xc0\xff\xff\xff\xffabc".to_vec();
    let shorter: Change = &|_, data| [b"\x80\0\0\x0f\xff", &data[1..]].concat();
    let nothing: Change = &|_, _| vec![0];
    let nothing_later: Change = &|n, data| if n > 1 { vec![0] } else { data };
    let no_tls: Change = &|_, _| whole(b"GET / HTTP/1.0");
    let half: Change = &|_, data| data[..40].to_vec();
    let not_an_ack: Change = &|n, data| if n == 1 { whole(b"\x16\x03\x03\0\x01\x01") } else { data };
    let table: [(Change, &str); 9] = [
        (endless, "too many rounds or octets"),
        (empty, "an empty EAP-TLS fragment"),
        (oversized, "too many rounds or octets"),
        (shorter, "not as long as it announced"),
        (nothing, "an empty EAP-TLS message where TLS begins"),
        (nothing_later, "an empty EAP-TLS message in the midst"),
        (no_tls, "no TLS"),
        (half, "incomplete"),
        (not_an_ack, "where an acknowledgement was due"),
    ];
    for (change, words) in table {
        let peer = Peer::new(&rig.supplicant(Versions::Tls13)).unwrap();
        let end = rig.run_with(peer, true, change);
        assert!(end.problem().to_string().contains(words), "{} / {words}", end.problem());
        assert_eq!(end.proved, None);
    }
}

/// Wherever an octet of the device's flight is changed, it does not get in.
#[test]
fn tampered_messages() {
    let rig = Rig::new();
    for (versions, ..) in BOTH {
        for place in 0..12 {
            let peer = Peer::new(&rig.supplicant(versions)).unwrap();
            let mut changed = false;
            let end = rig.run_with(peer, true, |number, mut data| {
                // The flight with certificate and Finished.
                if number > 0 && data.len() > 100 {
                    let at = data.len() - 1 - place * (data.len() - 2) / 12;
                    data[at] ^= 0x10;
                    changed = true;
                }
                data
            });
            assert!(changed && end.result.is_err() && end.proved.is_none(), "{versions:?} {place}");
        }
    }
}

#[test]
fn after_the_end() {
    let mut rig = Rig::new();
    rig.mtu = 4000;
    for (versions, ..) in BOTH {
        // An alert in the place of the last acknowledgement.
        let peer = Peer::new(&rig.supplicant(versions)).unwrap();
        let mut acknowledgements = 0;
        let end = rig.run_with(peer, true, |_, data| {
            acknowledgements += usize::from(data.len() == 1);
            if data.len() == 1 && acknowledgements == 1 { b"\0\x15\x03\x03\0\x02\x02\x28".to_vec() } else { data }
        });
        assert!(end.proved.is_some() && end.result.is_err());
    }
}

#[test]
fn a_device_that_does_not_answer_an_alert_is_told_of_by_the_alert() {
    let rig = Rig::new();
    let mut method = Tls::new(&rig.server);
    rig.context(|cx| method.begin(cx));
    let hello = super::super::hello::tests::client_hello(0x0301, &[0x002f], &[], 9999);
    assert_eq!(method.failed(), None);
    assert!(matches!(rig.context(|cx| method.receive(&[&[0][..], &hello].concat(), cx)), Progress::Request(_)));
    assert!(method.failed().unwrap().to_string().contains("offers TLS 1.0 at most"));
}
