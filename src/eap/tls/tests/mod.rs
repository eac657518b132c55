//! Whole exchanges between [`Tls`] and [`Peer`].

mod exchanges;
mod measure;
mod refusals;
mod weather;

use super::method::Tls;
use super::peer::{Expected, Identity, Peer, Supplicant, Versions};
use super::{Judge, Server, Settings};
use crate::eap::problem::Problem;
use crate::eap::{Context, Credentials, Method, Progress, Proved};
use crate::pki::{CertificateInfo, CertificateProblem, Voucher};
use crate::registry::device::DeviceId;
use crate::secret::{EapKeys, EapPskKey};
use crate::time::UnixTime;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
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
    /// A raw public key is registered.
    public_keys: Mutex<bool>,
    /// Instead of the maker.
    voucher: Mutex<Option<Voucher>>,
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
                let voucher = self.voucher.lock().unwrap().clone();
                Ok((info(&chain[0]), voucher.unwrap_or_else(|| Voucher::Maker("maker".into()))))
            }
            None => Err(CertificateProblem::UnknownIssuer { issuer: "CN=nobody".into() }),
        }
    }

    fn knows_public_key(&self, spki: &[u8]) -> bool {
        self.good.lock().unwrap().iter().any(|good| good == spki)
    }

    fn has_public_keys(&self) -> bool {
        *self.public_keys.lock().unwrap()
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
    makers: Authority,
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
        Rig { server, ours, makers, server_key, judge, device, wall: NOW, mtu: 1020 }
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
    fn run_with(&self, peer: Peer, admit: bool, change: impl FnMut(usize, Vec<u8>) -> Vec<u8>) -> End {
        self.run_deciding(peer, || admit, change)
    }

    /// The same, with something done while the decision is made.
    fn run_deciding(
        &self,
        mut peer: Peer,
        decide: impl Fn() -> bool,
        mut change: impl FnMut(usize, Vec<u8>) -> Vec<u8>,
    ) -> End {
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
                    let admit = decide();
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
