//! The settings of TLS, for both directions: TLS 1.2 and 1.3, mutual authentication, resumption, no early data.

use super::ALPN;
use super::trust::{OfClient, OfServer, Refusal};
use crate::pki::certificate::sha256;
use crate::pki::{CertificateInfo, file, tls};
use crate::time::UnixTime;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many servers of one realm are remembered for resumption.
const RESUMPTIONS: usize = 4;

/// What we show: a chain of certificates and the key of the first.
#[derive(Clone)]
pub struct Identity(Arc<SingleCertAndKey>);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl Identity {
    /// Reads the files of a chain, our own certificate first, and of its private key (PEM: PKCS#8, PKCS#1 or SEC 1).
    ///
    /// # Errors
    /// What is wrong with which of the two, as the end of "option certificate and private_key (FILE, FILE): ".
    pub fn read(certificates: &[u8], key: &[u8]) -> Result<Identity, String> {
        let chain = file::certificates(certificates).map_err(|why| format!("the certificate file: {why}"))?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| "the key file has no private key that can be read (PEM, without a password)".to_owned())?;
        Identity::new(chain.into_iter().map(CertificateDer::from).collect(), key)
    }

    /// Takes a chain and its key.
    ///
    /// # Errors
    /// When they do not belong together, or the key is of a kind that is not taken.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Identity, String> {
        let own = chain.first().ok_or("there is no certificate")?;
        let info = CertificateInfo::parse(own).map_err(|why| format!("the certificate {why}"))?;
        let key = rustls::crypto::ring::sign::any_supported_type(&key)
            .map_err(|_| "the private key is damaged, or neither ECDSA (P-256, P-384), Ed25519 nor RSA".to_owned())?;
        if key.public_key().is_none_or(|public| sha256(&public) != info.public_key) {
            return Err(format!("the private key is not the one of the certificate {}", info.subject));
        }
        Ok(Identity(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)))))
    }
}

/// The time that certificates are judged by. The shell sets it before each handshake, as the system's clock may not be set.
#[derive(Debug, Default)]
pub struct Clock(AtomicU32);

impl Clock {
    /// It is so late. Good until 2106.
    pub fn set(&self, wall: UnixTime) {
        self.0.store(u32::try_from(wall.0.max(0)).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// How late it is.
    pub fn get(&self) -> UnixTime {
        UnixTime(i64::from(self.0.load(Ordering::Relaxed)))
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        let seconds = u64::from(self.0.load(Ordering::Relaxed));
        Some(rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// A check with what it said last, as rustls has no room for words in its errors.
#[derive(Debug)]
pub struct Judge<T> {
    /// What is asked of a certificate.
    pub asked: T,
    clock: Arc<Clock>,
    said: Mutex<Option<Arc<str>>>,
    algorithms: WebPkiSupportedAlgorithms,
    subjects: Vec<DistinguishedName>,
}

impl<T> Judge<T> {
    /// What was wrong with the certificate of the handshake that failed just now; only once.
    pub fn take_words(&self) -> Option<Arc<str>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn say(&self, refusal: Refusal) -> Error {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal.words);
        Error::InvalidCertificate(refusal.alert)
    }
}

/// A certificate that was found good: by which settings, and until when that is certain.
#[derive(Debug)]
pub struct Judged<T> {
    by: Arc<Judge<T>>,
    until: Option<UnixTime>,
}

impl<T> Judged<T> {
    /// This chain was found good now.
    pub fn new(by: &Arc<Judge<T>>, chain: &[CertificateDer<'_>], wall: UnixTime) -> Judged<T> {
        Judged { by: by.clone(), until: super::trust::next_end(chain, wall) }
    }

    /// True when it is to be judged again: others say now who counts, or the time of a certificate is over.
    pub fn is_due(&self, by: &Arc<Judge<T>>, wall: UnixTime) -> bool {
        !Arc::ptr_eq(&self.by, by) || self.until.is_some_and(|until| until < wall)
    }
}

fn chain<'a>(own: &'a CertificateDer<'_>, others: &'a [CertificateDer<'_>]) -> Vec<CertificateDer<'a>> {
    std::iter::once(own).chain(others).map(|der| CertificateDer::from(&der[..])).collect()
}

impl ServerCertVerifier for Judge<OfServer> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: rustls::pki_types::UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let result = self.asked.check(&chain(end_entity, intermediates), self.clock.get());
        result.map(|()| ServerCertVerified::assertion()).map_err(|why| self.say(why))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Judge<OfClient> {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: rustls::pki_types::UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let result = self.asked.check(&chain(end_entity, intermediates), self.clock.get());
        result.map(|_| ClientCertVerified::assertion()).map_err(|why| self.say(why))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn judge<T>(asked: T, subjects: Vec<DistinguishedName>, provider: &CryptoProvider, clock: &Arc<Clock>) -> Judge<T> {
    let algorithms = provider.signature_verification_algorithms;
    Judge { asked, clock: clock.clone(), said: Mutex::new(None), algorithms, subjects }
}

/// What is needed to connect to servers.
#[derive(Debug, Clone)]
pub struct Connecting {
    /// The settings for a handshake that resumes a session, if there is one.
    resuming: Arc<ClientConfig>,
    /// The settings for a full handshake.
    pub full: Arc<ClientConfig>,
    /// What is asked of the server's certificate.
    pub judge: Arc<Judge<OfServer>>,
    /// Whether sessions are to be resumed.
    resumption: Arc<AtomicU8>,
}

/// No handshake has succeeded yet: there is nothing to resume.
const NOTHING_TO_RESUME: u8 = 0;
/// One has.
const MAY_RESUME: u8 = 1;
/// The server gives tickets, and ends TLS when it is shown one (radsecproxy 1.9 does: "session id context uninitialized").
const MUST_NOT_RESUME: u8 = 2;

impl Connecting {
    /// The settings for the next handshake with a server that takes its own tickets back, if there may be one to resume; when that
    /// fails, a full handshake may still succeed.
    pub fn resuming(&self) -> Option<&Arc<ClientConfig>> {
        (self.resumption.load(Ordering::Relaxed) == MAY_RESUME).then_some(&self.resuming)
    }

    /// A full handshake has succeeded; `retried`: after one that was to resume a session had failed.
    pub fn succeeded(&self, retried: bool) {
        let next = if retried { MUST_NOT_RESUME } else { MAY_RESUME };
        if self.resumption.load(Ordering::Relaxed) != MUST_NOT_RESUME {
            self.resumption.store(next, Ordering::Relaxed);
        }
    }

    /// The settings that keep what can be resumed later, for a full handshake as the first one.
    pub fn first(&self) -> &Arc<ClientConfig> {
        match self.resumption.load(Ordering::Relaxed) {
            NOTHING_TO_RESUME => &self.resuming,
            _ => &self.full,
        }
    }

    /// Puts the settings together.
    ///
    /// # Errors
    /// When the TLS library does not take them, in its words.
    pub fn new(identity: &Identity, asked: OfServer, clock: &Arc<Clock>) -> Result<Connecting, String> {
        let provider = tls::provider();
        let judge = Arc::new(judge(asked, Vec::new(), &provider, clock));
        let mut config = ClientConfig::builder_with_details(provider, clock.clone())
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .map_err(|why| why.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(judge.clone())
            .with_client_cert_resolver(identity.0.clone());
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.enable_early_data = false;
        let mut full = config.clone();
        full.resumption = Resumption::disabled();
        config.resumption = Resumption::in_memory_sessions(RESUMPTIONS);
        let resumption = Arc::new(AtomicU8::new(NOTHING_TO_RESUME));
        Ok(Connecting { resuming: Arc::new(config), full: Arc::new(full), judge, resumption })
    }
}

/// What is needed to take connections of clients.
#[derive(Debug, Clone)]
pub struct Accepting {
    /// The settings.
    pub config: Arc<ServerConfig>,
    /// What is asked of a client's certificate.
    pub judge: Arc<Judge<OfClient>>,
}

impl Accepting {
    /// Puts the settings together.
    ///
    /// # Errors
    /// When the TLS library does not take them, in its words.
    pub fn new(identity: &Identity, asked: OfClient, clock: &Arc<Clock>) -> Result<Accepting, String> {
        let provider = tls::provider();
        let subjects = asked.subjects().into_iter().map(|name| DistinguishedName::in_sequence(&name)).collect();
        let judge = Arc::new(judge(asked, subjects, &provider, clock));
        let mut config = ServerConfig::builder_with_details(provider, clock.clone())
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .map_err(|why| why.to_string())?
            .with_client_cert_verifier(judge.clone())
            .with_cert_resolver(identity.0.clone());
        config.alpn_protocols = vec![ALPN.to_vec()];
        // The client keeps what is needed to resume, under a key that changes every 6 hours: nothing to keep for each of them here.
        config.ticketer = tls::tickets().map_err(|why| why.to_string())?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 1;
        config.max_early_data_size = 0;
        Ok(Accepting { config: Arc::new(config), judge })
    }
}
