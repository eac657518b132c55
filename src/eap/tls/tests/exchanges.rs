//! Exchanges that end well, and sessions.

use super::*;
use crate::pki::CertificateProblem;
use crate::pki::crl::Crls;
use crate::pki::trust::Trust;
use crate::registry::Registry;
use crate::registry::device::Change;
use crate::registry::maker::{Admit, Maker};
use rustls::{AlertDescription, Error};

#[test]
fn full_and_resumed() {
    let rig = Rig::new();
    for (versions, full, resumed) in BOTH {
        let supplicant = rig.supplicant(versions);
        let first = rig.run(Peer::new(&supplicant).unwrap());
        let voucher = Voucher::Maker("maker".into());
        let proved = Proved::Certificate(Arc::new(info(&rig.device.0)), voucher);
        assert_eq!((first.detail, first.proved.clone()), (full, Some(proved.clone())));
        let mut sessions = vec![first.agreed().session_id().to_vec()];
        for _ in 0..3 {
            let again = rig.run(Peer::new(&supplicant).unwrap());
            assert_eq!((again.detail, again.proved.clone()), (resumed, Some(proved.clone())));
            assert!(again.peer.is_resumed() && again.requests.len() < first.requests.len());
            sessions.push(again.agreed().session_id().to_vec());
        }
        sessions.sort();
        sessions.dedup();
        assert_eq!(sessions.len(), 4, "each exchange has a Session-Id of its own");
    }
    // One of TLS 1.2, and the last of TLS 1.3.
    assert_eq!(rig.server.sessions().0, 2);
}

#[test]
fn the_newest_version_is_chosen_and_the_older_can_be_switched_off() {
    let rig = Rig::new();
    assert_eq!(rig.run(Peer::new(&rig.supplicant(Versions::Both)).unwrap()).detail, "1.3");
    let rig = Rig::with(Settings { tls13_only: true, ..Settings::default() });
    assert_eq!(rig.run(Peer::new(&rig.supplicant(Versions::Both)).unwrap()).detail, "1.3");
    let end = rig.run(Peer::new(&rig.supplicant(Versions::Tls12)).unwrap());
    assert!(end.problem().to_string().contains("offers TLS 1.2 at most, latchkey takes TLS 1.3 only"));
    assert_eq!(end.peer.error(), Some(&Error::AlertReceived(AlertDescription::ProtocolVersion)));
}

#[test]
fn small_fragments_both_ways() {
    let mut rig = Rig::new();
    rig.mtu = 110;
    for (versions, ..) in BOTH {
        let mut peer = Peer::new(&rig.supplicant(versions)).unwrap();
        peer.room = 64;
        let end = rig.run(peer);
        end.agreed();
        assert!(end.requests.len() > 20);
        let mut last = 0;
        for data in &end.requests[1..] {
            let (length, first) = (data[0] & 0x80 != 0, last & 0x40 == 0);
            assert_eq!(length, first && data[0] & 0x40 != 0, "a length on the first of several fragments only");
            last = data[0];
        }
    }
}

#[test]
fn the_literal_frame_of_each_exchange() {
    let rig = Rig::new();
    let supplicant = rig.supplicant(Versions::Tls13);
    let end = rig.run(Peer::new(&supplicant).unwrap());
    assert_eq!(end.requests[0], [0x20]);
    assert_eq!(end.requests[1][0], 0xc0, "our certificates take two pieces");
    // Ticket and 0x00, each in a record of application data.
    let last = end.requests.last().unwrap();
    assert_eq!((last[0], &last[1..4]), (0, &[23, 3, 3][..]));
    assert_eq!(last[last.len() - 23..last.len() - 18], [23, 3, 3, 0, 18], "one octet, its kind, and the tag");
}

#[test]
fn a_session_does_not_outlive_the_trust() {
    for (versions, full, resumed) in BOTH {
        let mut rig = Rig::new();
        let supplicant = rig.supplicant(versions);
        let run = |rig: &Rig| {
            supplicant.set_time(rig.wall);
            rig.run(Peer::new(&supplicant).unwrap())
        };
        run(&rig).agreed();
        assert_eq!(run(&rig).detail, resumed);
        // Revoked, and the ticket is held: a full handshake is asked for, and says why.
        *rig.judge.problem.lock().unwrap() = Some(CertificateProblem::Revoked);
        let end = run(&rig);
        assert!(matches!(end.problem(), Problem::Certificate { problem: CertificateProblem::Revoked, .. }));
        assert_eq!(end.peer.error(), Some(&Error::AlertReceived(AlertDescription::CertificateRevoked)));
        // Its maker was removed.
        *rig.judge.problem.lock().unwrap() = None;
        run(&rig).agreed();
        let good = std::mem::take(&mut *rig.judge.good.lock().unwrap());
        let end = run(&rig);
        assert!(matches!(
            end.problem(),
            Problem::Certificate { problem: CertificateProblem::UnknownIssuer { .. }, .. }
        ));
        *rig.judge.good.lock().unwrap() = good;
        run(&rig).agreed();
        // Expired since.
        rig.wall = UnixTime(NOW.0 + 30 * DAY - 1);
        run(&rig).agreed();
        assert_eq!(run(&rig).detail, resumed);
        rig.wall = UnixTime(NOW.0 + 30 * DAY);
        let end = run(&rig);
        assert_eq!(end.detail, full);
        assert!(matches!(end.problem(), Problem::Certificate { problem: CertificateProblem::Expired { .. }, .. }));
    }
}

#[test]
fn trust_that_changes_during_a_resumption_counts() {
    for (versions, ..) in BOTH {
        let rig = Rig::new();
        let supplicant = rig.supplicant(versions);
        rig.run(Peer::new(&supplicant).unwrap()).agreed();
        let asked = *rig.judge.asked.lock().unwrap();
        rig.run(Peer::new(&supplicant).unwrap()).agreed();
        assert_eq!(*rig.judge.asked.lock().unwrap(), asked + 1, "judged once while nothing changes");
        let end = rig.run_with(Peer::new(&supplicant).unwrap(), true, |number, data| {
            if number == 1 {
                rig.server.set_judge(Arc::new(Listed::default()));
            }
            data
        });
        assert!(end.peer.is_resumed());
        assert!(matches!(end.problem(), Problem::Certificate { .. }), "{:?}", end.problem());
    }
}

/// A decision may wait for the store, and the device may take its time with the acknowledgement.
#[test]
fn trust_that_changes_before_the_end_counts() {
    for (versions, ..) in BOTH {
        let rig = Rig::new();
        let whole = rig.run(Peer::new(&rig.supplicant(versions)).unwrap());
        let last = whole.requests.len() - 1;
        let same = || rig.server.set_judge(rig.judge.clone());
        let nobody = || rig.server.set_judge(Arc::new(Listed::default()));
        for resumed in [false, true] {
            let during = |at_decision: &dyn Fn(), at_end: &dyn Fn()| {
                same();
                let supplicant = rig.supplicant(versions);
                if resumed {
                    rig.run(Peer::new(&supplicant).unwrap()).agreed();
                }
                let decide = || {
                    at_decision();
                    true
                };
                rig.run_deciding(Peer::new(&supplicant).unwrap(), decide, |number, data| {
                    if number == last {
                        at_end();
                    }
                    data
                })
            };
            let end = during(&same, &same);
            assert_eq!(end.peer.is_resumed(), resumed);
            end.agreed();
            let end = during(&nobody, &|| ());
            assert!(matches!(end.problem(), Problem::Certificate { .. }), "{:?}", end.problem());
            assert!(end.proved.is_some(), "it was good until then");
            if !resumed {
                let end = during(&|| (), &nobody);
                assert!(matches!(end.problem(), Problem::Certificate { .. }), "{:?}", end.problem());
                assert!(end.proved.is_some());
            }
        }
        same();
        // Somebody else vouches for it now: what was decided upon is another certificate.
        let end = rig.run_deciding(
            Peer::new(&rig.supplicant(versions)).unwrap(),
            || {
                *rig.judge.voucher.lock().unwrap() = Some(Voucher::Registered);
                same();
                true
            },
            |_, data| data,
        );
        assert!(end.problem().to_string().contains("somebody else vouches"), "{}", end.problem());
        *rig.judge.voucher.lock().unwrap() = None;
    }
}

#[test]
fn sessions_end() {
    // TLS 1.3: each resumption brings a new ticket, but after seven days there is a full handshake.
    let mut rig = Rig::new();
    let supplicant = rig.supplicant(Versions::Tls13);
    let mut details = Vec::new();
    for _ in 0..10 {
        supplicant.set_time(rig.wall);
        details.push(rig.run(Peer::new(&supplicant).unwrap()).detail);
        rig.wall.0 += DAY - 60;
    }
    let full = details.iter().enumerate().filter(|(_, detail)| **detail == "1.3").map(|(day, _)| day);
    assert_eq!(full.collect::<Vec<_>>(), [0, 8]);
    // A ticket works for a day.
    rig.wall.0 += 61;
    assert_eq!(rig.run(Peer::new(&supplicant).unwrap()).detail, "1.3");
    let rig = Rig::with(Settings { sessions: 0, ..Settings::default() });
    for (versions, full, _) in BOTH {
        let supplicant = rig.supplicant(versions);
        rig.run(Peer::new(&supplicant).unwrap()).agreed();
        assert_eq!(rig.run(Peer::new(&supplicant).unwrap()).detail, full);
    }
}

#[test]
fn raw_public_keys() {
    let rig = Rig::new();
    let key = KeyPair::generate().unwrap();
    let spki = rustls::crypto::ring::sign::any_supported_type(&key_der(&key)).unwrap().public_key().unwrap().to_vec();
    let server_spki = rustls::crypto::ring::sign::any_supported_type(&key_der(&rig.server_key)).unwrap();
    let server_spki = server_spki.public_key().unwrap().to_vec();
    let hash = <[u8; 32]>::from(Sha256::digest(&spki));
    let raw = || Identity::RawPublicKey(key_der(&key));
    let supplicant = |identity, expected| Supplicant::new(identity, expected, NAME, Versions::Both, 4, NOW).unwrap();
    // The device's key is not registered.
    let end = rig.run(Peer::new(&supplicant(raw(), rig.expected())).unwrap());
    assert!(end.problem().to_string().contains("nobody registered the device's raw public key, SHA-256 "));
    assert_eq!(end.peer.error(), Some(&Error::AlertReceived(AlertDescription::UnknownCA)));
    rig.judge.good.lock().unwrap().push(spki);
    let server_raw = || Expected::RawPublicKey(server_spki.clone());
    for expected in [rig.expected(), server_raw()] {
        let supplicant = supplicant(raw(), expected);
        for detail in ["1.3", "1.3, resumed"] {
            let end = rig.run(Peer::new(&supplicant).unwrap());
            end.agreed();
            assert_eq!((end.proved.clone(), end.detail), (Some(Proved::PublicKey(hash)), detail));
        }
    }
    // A certificate, and our raw public key; and with the same server at the same time, certificates on both sides.
    let end = rig.run(Peer::new(&supplicant(rig.certificate(), server_raw())).unwrap());
    end.agreed();
    assert!(matches!(end.proved, Some(Proved::Certificate(..))));
    rig.run(Peer::new(&rig.supplicant(Versions::Both)).unwrap()).agreed();
    // Another key than ours.
    let end = rig.run(Peer::new(&supplicant(raw(), Expected::RawPublicKey(vec![0x30, 0]))).unwrap());
    assert!(matches!(end.problem(), Problem::Alert(_)));
    // A certificate in the place of a key.
    let stolen = Arc::new(rustls::sign::CertifiedKey::new(
        vec![rig.device.0.clone()],
        rustls::crypto::ring::sign::any_supported_type(&key_der(&rig.device.1)).unwrap(),
    ));
    let mut odd = supplicant(raw(), rig.expected());
    odd.configure(|config| {
        config.client_auth_cert_resolver = Arc::new(rustls::client::AlwaysResolvesClientRawPublicKeys::new(stolen));
    });
    let end = rig.run(Peer::new(&odd).unwrap());
    assert_eq!(end.proved, None);
}

#[test]
fn a_device_with_both_kinds_shows_what_can_be_registered() {
    use super::super::hello::ClientHello;
    use super::super::hello::tests::client_hello;
    let rig = Rig::new();
    for (kinds, registered, raw) in [
        (&[2, 2, 0][..], false, false),
        (&[2, 2, 0], true, true),
        (&[1, 2], false, true),
        (&[1, 2], true, true),
        (&[2, 0, 2], true, false),
        (&[1, 0], true, false),
    ] {
        *rig.judge.public_keys.lock().unwrap() = registered;
        for (server, server_raw) in [(&[1, 0][..], false), (&[2, 2, 0], true)] {
            let extensions = [(43, &[2, 3, 4][..]), (19, kinds), (20, server)];
            let hello = ClientHello::read(&client_hello(0x0303, &[0x1301], &extensions, 999));
            let kind = rig.server.0.kind(&hello);
            assert_eq!((kind.device_raw, kind.server_raw), (raw, server_raw), "{kinds:?} {registered}");
        }
    }
}

/// With the real judge: a maker's device gets in, and its ticket does not help once the maker is gone.
#[test]
fn makers_come_and_go() {
    for (versions, full, resumed) in BOTH {
        let mut rig = Rig::new();
        let mut registry = Registry::default();
        let maker = Maker {
            name: "maker".into(),
            authorities: vec![rig.makers.certificate.to_vec().into()],
            profile: "iot".into(),
            admit: Admit::All,
            crls: Vec::new(),
            lists: Vec::new(),
            bundle_issued: None,
        };
        registry.apply(&Change::PutMaker(Box::new(maker)));
        rig.server.set_trust(Arc::new(Trust::new(None, &registry, &Crls::default())));
        let supplicant = rig.supplicant(versions);
        for detail in [full, resumed] {
            let end = rig.run(Peer::new(&supplicant).unwrap());
            end.agreed();
            let Some(Proved::Certificate(info, voucher)) = end.proved else { panic!() };
            assert_eq!((&*info.subject, voucher), ("CN=camera", Voucher::Maker("maker".into())));
            assert_eq!(end.detail, detail);
        }
        registry.apply(&Change::RemoveMaker("maker".into()));
        rig.server.set_trust(Arc::new(Trust::new(None, &registry, &Crls::default())));
        let end = rig.run(Peer::new(&supplicant).unwrap());
        assert_eq!((end.proved, end.detail), (None, full));
        let problem = end.result.unwrap_err().to_string();
        assert_eq!(problem, "the certificate of CN=camera is signed by a CA nobody registered (CN=maker)");
    }
}
