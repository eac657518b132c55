//! Whole exchanges between [`Tls`] and [`Peer`], and what must go wrong.

use super::method::Tls;
use super::peer::{Expected, Identity, Peer, Supplicant, Versions};
use super::{Judge, Server, Settings};
use crate::eap::conversation::{Conversation, Hint, Step};
use crate::eap::problem::Problem;
use crate::eap::{Context, Credentials, Method, Progress, Proved};
use crate::pki::{CertificateInfo, CertificateProblem, Voucher};
use crate::registry::device::DeviceId;
use crate::secret::{EapKeys, EapPskKey};
use crate::time::UnixTime;
use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{AlertDescription, Error};
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex};

const NAME: &str = "latchkey.home.arpa";
/// 2027-01-31T18:00:00Z.
const NOW: UnixTime = UnixTime(1_801_418_400);
const DAY: i64 = 24 * 60 * 60;

/// An authority and what it signs.
struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

fn key_der(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

impl Authority {
    fn new(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Authority { certificate, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, name: &str) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.signed_by(&key, &self.issuer).unwrap().der().clone(), key)
    }
}

/// Stands for [`crate::pki::trust::Trust`]: good is what is listed, bad what has a problem.
#[derive(Debug, Default)]
struct Listed {
    good: Mutex<Vec<Vec<u8>>>,
    problem: Mutex<Option<CertificateProblem>>,
    asked: Mutex<usize>,
}

fn info(certificate: &[u8]) -> CertificateInfo {
    CertificateInfo {
        fingerprint: Sha256::digest(certificate).into(),
        issuer_hash: [0; 32],
        issuer: "CN=maker".into(),
        subject: "CN=camera".into(),
        common_name: Some("camera".into()),
        serial: [1].into(),
        subject_serial: None,
        alt_names: Vec::new(),
        public_key: [0; 32],
        not_before: UnixTime(0),
        not_after: None,
        mud_url: None,
    }
}

impl Judge for Listed {
    fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        wall: UnixTime,
    ) -> Result<(CertificateInfo, Voucher), CertificateProblem> {
        *self.asked.lock().unwrap() += 1;
        if wall.0 >= NOW.0 + 30 * DAY {
            return Err(CertificateProblem::Expired { since: UnixTime(NOW.0 + 30 * DAY) });
        }
        if wall.0 < NOW.0 - 30 * DAY {
            return Err(CertificateProblem::NotYetValid { from: UnixTime(NOW.0 - 30 * DAY) });
        }
        match self.problem.lock().unwrap().clone() {
            Some(problem) => Err(problem),
            None if self.good.lock().unwrap().iter().any(|good| **good == *chain[0]) => {
                Ok((info(&chain[0]), Voucher::Maker("maker".into())))
            }
            None => Err(CertificateProblem::UnknownIssuer { issuer: "CN=nobody".into() }),
        }
    }

    fn knows_public_key(&self, spki: &[u8]) -> bool {
        self.good.lock().unwrap().iter().any(|good| good == spki)
    }
}

struct Nobody;

impl Credentials for Nobody {
    fn eap_psk(&self, _: &[u8]) -> Option<(DeviceId, EapPskKey)> {
        None
    }
}

/// A server, an authority of ours and one of a maker, and one device.
struct Rig {
    server: Server,
    ours: Authority,
    server_key: KeyPair,
    judge: Arc<Listed>,
    device: (CertificateDer<'static>, KeyPair),
    wall: UnixTime,
    mtu: usize,
}

/// How an exchange ended, on both sides.
struct End {
    result: Result<EapKeys, Problem>,
    proved: Option<Proved>,
    detail: &'static str,
    peer: Peer,
    requests: Vec<Vec<u8>>,
}

impl End {
    fn problem(&self) -> Problem {
        self.result.clone().unwrap_err()
    }

    /// Both sides are done and have the same keys.
    #[track_caller]
    fn agreed(&self) -> EapKeys {
        let keys = self.result.clone().unwrap();
        assert!(self.peer.is_done(), "{:?}", self.peer.error());
        let theirs = self.peer.keys().unwrap();
        assert_eq!(keys.msk(), theirs.msk());
        assert_eq!(keys.session_id(), theirs.session_id());
        assert_eq!(keys.session_id()[0], 13);
        assert_eq!(keys.session_id().len(), 65);
        keys
    }
}

impl Rig {
    fn new() -> Rig {
        Rig::with(Settings::default())
    }

    fn with(settings: Settings) -> Rig {
        let (ours, makers) = (Authority::new("ours"), Authority::new("maker"));
        let (certificate, server_key) = ours.sign(NAME);
        let chain = vec![certificate, ours.certificate.clone()];
        let server = Server::new(chain, key_der(&server_key), settings).unwrap();
        let device = makers.sign("camera");
        let judge = Arc::new(Listed::default());
        judge.good.lock().unwrap().push(device.0.to_vec());
        server.set_judge(judge.clone());
        Rig { server, ours, server_key, judge, device, wall: NOW, mtu: 1020 }
    }

    fn certificate(&self) -> Identity {
        Identity::Certificate(vec![self.device.0.clone()], key_der(&self.device.1))
    }

    fn expected(&self) -> Expected {
        Expected::Authorities(vec![self.ours.certificate.clone()])
    }

    fn supplicant(&self, versions: Versions) -> Supplicant {
        Supplicant::new(self.certificate(), self.expected(), NAME, versions, 4, self.wall).unwrap()
    }

    fn context<R>(&self, work: impl FnOnce(&mut Context<'_>) -> R) -> R {
        let mut random = |octets: &mut [u8]| octets.fill(0x55);
        work(&mut Context {
            credentials: &Nobody,
            random: &mut random,
            wall: self.wall,
            mtu: self.mtu,
            server_id: b"latchkey",
            tls: Some(&self.server),
        })
    }

    fn run(&self, peer: Peer) -> End {
        self.run_with(peer, true, |_, data| data)
    }

    /// Runs an exchange; `change` may put other type-data in the place of response number n.
    fn run_with(&self, mut peer: Peer, admit: bool, mut change: impl FnMut(usize, Vec<u8>) -> Vec<u8>) -> End {
        let mut method = Tls::new(&self.server);
        let (mut proved, mut requests) = (None, Vec::new());
        let mut progress = Progress::Request(self.context(|cx| method.begin(cx)));
        loop {
            progress = match progress {
                Progress::Request(data) => {
                    assert!(data.len() + 5 <= self.mtu && requests.len() < 400);
                    let response = change(requests.len(), peer.receive(&data));
                    requests.push(data);
                    self.context(|cx| method.receive(&response, cx))
                }
                Progress::Proved(by) => {
                    proved = Some(by);
                    self.context(|cx| method.decided(admit, cx))
                }
                Progress::Success(keys) => {
                    return End { result: Ok(keys), proved, detail: method.detail(), peer, requests };
                }
                Progress::Failure(problem) => {
                    return End { result: Err(problem), proved, detail: method.detail(), peer, requests };
                }
                Progress::Discard(why) => panic!("{why}"),
            };
            assert!(method.octets() < 128 * 1024);
        }
    }
}

const BOTH: [(Versions, &str, &str); 2] =
    [(Versions::Tls12, "1.2", "1.2, resumed"), (Versions::Tls13, "1.3", "1.3, resumed")];

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
        let lengths = end.requests.iter().filter(|data| data[0] & 0x80 != 0).count();
        assert_eq!(lengths, 2, "a length on the first fragment of both flights only");
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
fn a_refused_device_learns_it_by_failure_and_gets_no_session() {
    let rig = Rig::new();
    for (versions, full, _) in BOTH {
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
fn old_and_odd_hellos() {
    use super::hello::tests::client_hello;
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

/// Whatever octet is changed in whatever message of the device, it does not get in with keys that differ.
#[test]
fn tampered_messages() {
    let rig = Rig::new();
    for (versions, ..) in BOTH {
        for place in 0..12 {
            let peer = Peer::new(&rig.supplicant(versions)).unwrap();
            let mut changed = false;
            let end = rig.run_with(peer, true, |number, mut data| {
                // The last octets of the flight with certificate and Finished.
                if number == 2 + place / 12 && data.len() > 100 {
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
    let rig = Rig::new();
    for (versions, ..) in BOTH {
        // An alert in the place of the last acknowledgement.
        let peer = Peer::new(&rig.supplicant(versions)).unwrap();
        let mut acknowledgements = 0;
        let end = rig.run_with(peer, true, |_, data| {
            acknowledgements += usize::from(data.len() == 1);
            if data.len() == 1 && acknowledgements == 2 { b"\0\x15\x03\x03\0\x02\x02\x28".to_vec() } else { data }
        });
        assert!(end.proved.is_some() && end.result.is_err());
    }
}

fn respond(rig: &Rig, conversation: &mut Conversation, response: &[u8]) -> Step {
    match rig.context(|cx| conversation.receive(response, cx)) {
        Step::Decide(_) => rig.context(|cx| conversation.decided(true, cx)),
        step => step,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Packets are lost and come twice; each side sends again what was not answered.
    #[test]
    fn lost_and_repeated_packets(chance in prop::collection::vec(0u8..4, 400), tls13 in any::<bool>()) {
        let mut rig = Rig::new();
        rig.mtu = 500;
        let mut chance = chance.into_iter().cycle();
        let supplicant = rig.supplicant(if tls13 { Versions::Tls13 } else { Versions::Tls12 });
        let mut peer = Peer::new(&supplicant).unwrap();
        peer.room = 400;
        let identity = crate::wire::eap::response(1, 1, b"camera@home");
        let (mut conversation, step) = rig.context(|cx| Conversation::begin(&identity, Hint { first: Some(13) }, cx));
        let Step::Send(mut request) = step else { panic!("{step:?}") };
        // A supplicant answers a request of the identifier it has answered by the same response (RFC 3748, 4.1).
        let mut answered: Option<(u8, Vec<u8>)> = None;
        let mut rounds = 0;
        let keys = loop {
            rounds += 1;
            prop_assert!(rounds < 1000);
            if chance.next() == Some(0) {
                continue; // The request was lost: hostapd sends it again.
            }
            let response = match &answered {
                Some((identifier, response)) if *identifier == request[1] => response.clone(),
                _ => peer.packet(&request, b"camera@home").unwrap(),
            };
            answered = Some((request[1], response.clone()));
            let times = match chance.next() {
                Some(0) => 0,
                Some(1) => 2,
                _ => 1,
            };
            let mut end = None;
            for _ in 0..times {
                match respond(&rig, &mut conversation, &response) {
                    Step::Send(packet) => request = packet,
                    Step::Accept { keys, .. } => end = Some(keys),
                    Step::Discard(_) => {}
                    step => panic!("{step:?}"),
                }
            }
            if let Some(keys) = end {
                break keys;
            }
        };
        prop_assert!(peer.is_done());
        prop_assert!(peer.keys().is_some_and(|theirs| theirs == keys));
    }

    /// Whatever octets come, nothing panics, memory is bounded, and nobody is proved.
    #[test]
    fn no_octets_break_it(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..20)) {
        thread_local!(static RIG: Rig = Rig::new());
        RIG.with(|rig| {
            let mut method = Tls::new(&rig.server);
            rig.context(|cx| method.begin(cx));
            for packet in &packets {
                match rig.context(|cx| method.receive(packet, cx)) {
                    Progress::Request(_) => {}
                    Progress::Failure(_) => break,
                    progress => panic!("{progress:?}"),
                }
                assert!(method.octets() < 64 * 1024);
            }
        });
    }
}
