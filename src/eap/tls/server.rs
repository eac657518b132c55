//! What all EAP-TLS conversations share: our certificate, whom we trust, the sessions that can be resumed.

use super::hello::ClientHello;
use super::sessions::{Fresh, Sessions};
use super::verifier::{Judge, Verdict, Verifier};
use crate::pki::{tls, trust::Trust};
use crate::time::UnixTime;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, ResolvesServerCert, ServerConfig, StoresServerSessions};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{Error, ServerConnection, SupportedProtocolVersion};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// What can be set about EAP-TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// TLS 1.3 only; else 1.2 as well.
    pub tls13_only: bool,
    /// How many sessions are kept for resumption, each some 150 octets and the device's certificates; 512 KiB in all at
    /// most. 0: none.
    pub sessions: usize,
}

impl Default for Settings {
    /// TLS 1.2 and 1.3, 256 sessions.
    fn default() -> Settings {
        Settings { tls13_only: false, sessions: 256 }
    }
}

/// What all EAP-TLS conversations share. Cheap to clone: the clones are one.
#[derive(Clone)]
pub struct Server(pub(super) Arc<Shared>);

impl Server {
    /// Takes our chain of certificates, our own first, and its private key. Nobody is trusted until
    /// [`Server::set_trust`].
    ///
    /// # Errors
    /// An empty chain, a key that ring does not take or that does not belong to the certificate.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        settings: Settings,
    ) -> Result<Server, Error> {
        let provider = tls::provider();
        let certified = CertifiedKey::from_der(chain, key, &provider)?;
        let raw = certified.key.public_key().map(|spki| {
            let key = CertifiedKey::new(vec![CertificateDer::from(spki.as_ref().to_vec())], certified.key.clone());
            Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::new(key))) as Arc<dyn ResolvesServerCert>
        });
        let x509 = Arc::new(SingleCertAndKey::from(certified)) as Arc<dyn ResolvesServerCert>;
        let raw = raw.unwrap_or_else(|| x509.clone());
        let desk = Arc::new(Mutex::new(Desk {
            now: UnixTime(0),
            judge: Arc::new(Trust::default()),
            generation: 0,
            verdict: None,
            may_resume: false,
            fresh: None,
            sessions: Sessions::new(settings.sessions),
        }));
        let both: &[&SupportedProtocolVersion] = if settings.tls13_only { &[&TLS13] } else { &[&TLS13, &TLS12] };
        // RFC 7250 defines raw public keys for TLS 1.2 too; rustls has them in 1.3 only.
        let config = |resolver: &Arc<dyn ResolvesServerCert>, raw, versions| {
            configure(&provider, &desk, resolver.clone(), raw, versions)
        };
        let configs = [
            config(&x509, false, both)?,
            config(&raw, false, &[&TLS13])?,
            config(&x509, true, &[&TLS13])?,
            config(&raw, true, &[&TLS13])?,
        ];
        Ok(Server(Arc::new(Shared { configs, desk, turn: Mutex::new(()), tls13_only: settings.tls13_only })))
    }

    /// From now on these are trusted. Sessions stay: whoever resumes one is judged anew.
    pub fn set_trust(&mut self, trust: Arc<Trust>) {
        self.set_judge(trust);
    }

    /// The same with any judge.
    pub(super) fn set_judge(&self, judge: Arc<dyn Judge>) {
        let mut desk = lock(&self.0.desk);
        desk.judge = judge;
        desk.generation = desk.generation.wrapping_add(1);
    }

    /// How many sessions can be resumed, and the octets of memory they hold.
    pub fn sessions(&self) -> (usize, usize) {
        let desk = lock(&self.0.desk);
        (desk.sessions.len(), desk.sessions.octets())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("sessions", &self.sessions().0).finish_non_exhaustive()
    }
}

fn configure(
    provider: &Arc<CryptoProvider>,
    desk: &Arc<Mutex<Desk>>,
    resolver: Arc<dyn ResolvesServerCert>,
    raw: bool,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Arc<ServerConfig>, Error> {
    let algorithms = provider.signature_verification_algorithms;
    let mut config = ServerConfig::builder_with_details(provider.clone(), Arc::new(Clock(desk.clone())))
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(Arc::new(Verifier { desk: desk.clone(), algorithms, raw }))
        .with_cert_resolver(resolver);
    config.session_storage = Arc::new(Store(desk.clone()));
    config.send_tls13_tickets = 1;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// Locks; a panic elsewhere leaves nothing behind that is not overwritten before it is read again.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which kind of credential each side shows: certificates, or raw public keys (RFC 7250).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kind {
    /// The device shows a raw public key.
    pub device_raw: bool,
    /// We show a raw public key.
    pub server_raw: bool,
}

/// Behind [`Server`].
pub struct Shared {
    /// By [`Kind`]: rustls takes one kind or the other in each configuration.
    configs: [Arc<ServerConfig>; 4],
    desk: Arc<Mutex<Desk>>,
    /// Held while one connection is at work, as rustls calls back without saying for which.
    turn: Mutex<()>,
    tls13_only: bool,
}

/// Where rustls's callbacks meet the connection that is at work.
pub struct Desk {
    /// The time to judge by.
    pub now: UnixTime,
    /// Whom we trust.
    pub judge: Arc<dyn Judge>,
    /// Counts the changes of `judge`.
    pub generation: u64,
    /// What the judge said about this connection.
    pub verdict: Option<Verdict>,
    /// This connection may resume a session.
    may_resume: bool,
    /// The session that this connection wants kept.
    fresh: Option<Fresh>,
    sessions: Sessions,
}

/// What came of one [`Shared::turn`].
pub struct Turn<R> {
    /// What the work itself gave.
    pub result: R,
    /// What the judge said, if asked.
    pub verdict: Option<Verdict>,
    /// By which generation of the trust.
    pub generation: u64,
    /// The session to be kept once the device is admitted.
    pub fresh: Option<Fresh>,
}

impl Shared {
    /// A new connection.
    ///
    /// # Errors
    /// None known: rustls refuses sizes of fragments that nobody sets here.
    pub fn connect(&self, kind: Kind) -> Result<ServerConnection, Error> {
        let [x509, server_raw, device_raw, raw] = &self.configs;
        let config = match kind {
            Kind { device_raw: false, server_raw: false } => x509,
            Kind { device_raw: false, server_raw: true } => server_raw,
            Kind { device_raw: true, server_raw: false } => device_raw,
            Kind { device_raw: true, server_raw: true } => raw,
        };
        ServerConnection::new(config.clone())
    }

    /// What each side is to show. A device that would rather show a raw public key, and has a certificate as well, shows that when
    /// no raw public key is registered: it could only be refused for its key.
    pub fn kind(&self, hello: &ClientHello) -> Kind {
        let useless = hello.also_certificate && !lock(&self.desk).judge.has_public_keys();
        Kind { device_raw: hello.kind.device_raw && !useless, ..hello.kind }
    }

    /// Lets one connection work, at this time, resuming a session or not.
    pub fn turn<R>(&self, now: UnixTime, may_resume: bool, work: impl FnOnce() -> R) -> Turn<R> {
        let _turn = lock(&self.turn);
        let generation = {
            let mut desk = lock(&self.desk);
            (desk.now, desk.may_resume, desk.verdict, desk.fresh) = (now, may_resume, None, None);
            desk.generation
        };
        let result = work();
        let mut desk = lock(&self.desk);
        Turn { result, verdict: desk.verdict.take(), generation, fresh: desk.fresh.take() }
    }

    /// Judges outside a handshake: whoever resumes a session. With it the generation of the trust it was judged by.
    pub fn judge(&self, raw: bool, chain: &[CertificateDer<'_>], now: UnixTime) -> (Verdict, u64) {
        let (judge, generation) = {
            let desk = lock(&self.desk);
            (desk.judge.clone(), desk.generation)
        };
        (Verdict::of(&*judge, raw, chain, now).0, generation)
    }

    /// TLS 1.2 is not taken.
    pub fn tls13_only(&self) -> bool {
        self.tls13_only
    }

    /// Counts the changes of whom we trust.
    pub fn generation(&self) -> u64 {
        lock(&self.desk).generation
    }

    /// Keeps a session for resumption.
    pub fn keep(&self, session: Fresh, now: UnixTime) {
        lock(&self.desk).sessions.put(session, now);
    }
}

/// The time of the connection at work.
struct Clock(Arc<Mutex<Desk>>);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        let seconds = u64::try_from(lock(&self.0).now.0).unwrap_or(0);
        Some(rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// The sessions as rustls wants them. What it puts is kept only once the device is admitted.
struct Store(Arc<Mutex<Desk>>);

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

impl StoresServerSessions for Store {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let mut desk = lock(&self.0);
        let enabled = desk.sessions.is_enabled();
        // The vector's spare room, if any, is wiped with what it held.
        let value = Zeroizing::new(value);
        desk.fresh = enabled.then(|| (key.into(), Zeroizing::new(value.as_slice().into())));
        enabled
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let desk = lock(&self.0);
        let found = desk.sessions.get(key, desk.now).filter(|_| desk.may_resume);
        found.map(|value| value.to_vec())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut desk = lock(&self.0);
        let now = desk.now;
        let found = if desk.may_resume { desk.sessions.take(key, now) } else { None };
        found.map(|value| value.to_vec())
    }

    fn can_cache(&self) -> bool {
        lock(&self.0).sessions.is_enabled()
    }
}
