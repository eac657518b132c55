//! The supplicant's side of EAP-TLS over rustls, for tests and for the load generator.

use super::fragment::{self, Fragment, Incoming, Outgoing};
use super::hello::{ClientHello, server_random};
use crate::pki::tls;
use crate::secret::EapKeys;
use crate::time::UnixTime;
use crate::wire::eap::{self, Code, Packet, Type};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    AlwaysResolvesClientRawPublicKeys, ClientConfig, ClientConnection, Resumption, WebPkiServerVerifier,
};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, HandshakeKind, ProtocolVersion, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a supplicant shows.
#[derive(Debug)]
pub enum Identity {
    /// Nothing.
    None,
    /// A chain of certificates, its own first, and the private key.
    Certificate(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
    /// The public key of this private key (RFC 7250).
    RawPublicKey(PrivateKeyDer<'static>),
}

/// Whom a supplicant takes for the server.
#[derive(Debug)]
pub enum Expected {
    /// Whoever has a certificate for the name from one of these authorities.
    Authorities(Vec<CertificateDer<'static>>),
    /// Whoever has the private key of this raw public key (SubjectPublicKeyInfo, DER).
    RawPublicKey(Vec<u8>),
}

/// Which versions a supplicant offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
    /// Both.
    Both,
}

/// What all exchanges of one supplicant share: its credential, and the sessions it may resume. Cheap to clone.
#[derive(Clone)]
pub struct Supplicant {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    now: Arc<Mutex<UnixTime>>,
}

impl Supplicant {
    /// A supplicant that judges the server's certificate at `now`; `sessions`: how many it keeps for resumption, 0 for
    /// none.
    ///
    /// # Errors
    /// Keys, names and authorities that cannot be used.
    pub fn new(
        identity: Identity,
        expected: Expected,
        server_name: &str,
        versions: Versions,
        sessions: usize,
        now: UnixTime,
    ) -> Result<Supplicant, Error> {
        let provider = tls::provider();
        let name = ServerName::try_from(server_name.to_owned()).map_err(|e| Error::General(e.to_string()))?;
        let now = Arc::new(Mutex::new(now));
        let versions: &[&'static SupportedProtocolVersion] = match versions {
            Versions::Tls12 => &[&TLS12],
            Versions::Tls13 => &[&TLS13],
            Versions::Both => &[&TLS13, &TLS12],
        };
        let config = ClientConfig::builder_with_details(provider.clone(), Arc::new(Clock(now.clone())))
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(verifier(expected, &provider)?);
        let mut config = match identity {
            Identity::None => config.with_no_client_auth(),
            Identity::Certificate(chain, key) => config.with_client_auth_cert(chain, key)?,
            Identity::RawPublicKey(key) => {
                let key = provider.key_provider.load_private_key(key)?;
                let spki = key.public_key().ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
                let spki = CertificateDer::from(spki.as_ref().to_vec());
                let key = Arc::new(CertifiedKey::new(vec![spki], key));
                config.with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key)))
            }
        };
        config.resumption =
            if sessions == 0 { Resumption::disabled() } else { Resumption::in_memory_sessions(sessions) };
        Ok(Supplicant { config: Arc::new(config), name, now })
    }

    /// Sets the supplicant's clock.
    pub fn set_time(&self, now: UnixTime) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Changes the configuration of rustls: for tests. Exchanges that have begun keep theirs.
    pub fn configure(&mut self, change: impl FnOnce(&mut ClientConfig)) {
        change(Arc::make_mut(&mut self.config));
    }
}

/// One exchange.
pub struct Peer {
    connection: ClientConnection,
    incoming: Incoming,
    outgoing: Outgoing,
    randoms: (Option<[u8; 32]>, Option<[u8; 32]>),
    /// How many octets of type-data it puts into a response.
    pub room: usize,
    /// Changes each TLS message before it is cut into fragments: for tests.
    pub tamper: Option<fn(&mut Vec<u8>)>,
    error: Option<Error>,
    indicated: bool,
}

impl Peer {
    /// Begins an exchange.
    ///
    /// # Errors
    /// None that are known.
    pub fn new(supplicant: &Supplicant) -> Result<Peer, Error> {
        Ok(Peer {
            connection: ClientConnection::new(supplicant.config.clone(), supplicant.name.clone())?,
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            randoms: (None, None),
            room: 1200,
            tamper: None,
            error: None,
            indicated: false,
        })
    }

    /// Answers type-data of a request with type-data.
    pub fn receive(&mut self, data: &[u8]) -> Vec<u8> {
        let whole = Fragment::parse(data)
            .and_then(|piece| Ok(self.incoming.add(&piece)?.map(|message| (message.into_owned(), piece.start))));
        match whole {
            Ok(Some((message, _))) if self.outgoing.is_pending() && message.is_empty() => {}
            Ok(Some((message, start))) => self.message(&message, start),
            Ok(None) => return fragment::acknowledgement(),
            Err(error) => self.error = Some(Error::General(error.to_string())),
        }
        self.outgoing.next(self.room)
    }

    /// Answers a whole EAP packet; `None` if there is nothing to be answered (EAP-Success and EAP-Failure).
    pub fn packet(&mut self, request: &[u8], identity: &[u8]) -> Option<Vec<u8>> {
        let packet = Packet::parse(request).ok()?;
        let kind = packet.kind().filter(|_| packet.code() == Code::Request)?;
        Some(match kind {
            Type::IDENTITY => eap::response(packet.identifier(), 1, identity),
            kind if kind == Type::ietf(super::ENTRY.kind) => {
                eap::response(packet.identifier(), super::ENTRY.kind, &self.receive(packet.data()))
            }
            _ => eap::response(packet.identifier(), 3, &[super::ENTRY.kind]),
        })
    }

    fn message(&mut self, mut message: &[u8], start: bool) {
        if !start && self.randoms.1.is_none() {
            self.randoms.1 = server_random(message);
        }
        while !message.is_empty() && self.error.is_none() {
            match self.connection.read_tls(&mut message) {
                Ok(0) => break,
                Ok(_) => self.error = self.connection.process_new_packets().err(),
                Err(error) => self.error = Some(Error::General(error.to_string())),
            }
        }
        let mut data = [0; 2];
        if let Ok(count) = self.connection.reader().read(&mut data) {
            self.indicated |= data.get(..count) == Some(&[0]);
        }
        let mut flight = Vec::new();
        while self.connection.wants_write() && matches!(self.connection.write_tls(&mut flight), Ok(1..)) {}
        if start {
            self.randoms.0 = ClientHello::read(&flight).random;
        }
        if let Some(tamper) = self.tamper {
            tamper(&mut flight);
        }
        self.outgoing = Outgoing::new(flight);
    }

    /// What went wrong on this side; a fatal alert of the server among it.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// True when the handshake is done and, in TLS 1.3, the protected success indication is here (RFC 9190, 2.1.1).
    pub fn is_done(&self) -> bool {
        let indicated = self.indicated || self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_2);
        self.error.is_none() && !self.connection.is_handshaking() && indicated
    }

    /// True when a session was resumed.
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The version agreed upon.
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.connection.protocol_version()
    }

    /// What the method exports, once the handshake is done.
    pub fn keys(&self) -> Option<EapKeys> {
        let mut both = [0; 128];
        let mut session_id = vec![13];
        if self.version() == Some(ProtocolVersion::TLSv1_3) {
            self.connection
                .export_keying_material(&mut both[..], b"EXPORTER_EAP_TLS_Key_Material", Some(&[13]))
                .ok()?;
            let id = self.connection.export_keying_material([0; 64], b"EXPORTER_EAP_TLS_Method-Id", Some(&[13]));
            session_id.extend(id.ok()?);
        } else {
            self.connection.export_keying_material(&mut both[..], b"client EAP encryption", None).ok()?;
            session_id.extend(self.randoms.0?);
            session_id.extend(self.randoms.1?);
        }
        Some(EapKeys::new(*both.first_chunk()?, &session_id))
    }
}

#[derive(Debug)]
struct Clock(Arc<Mutex<UnixTime>>);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        let seconds = u64::try_from(self.0.lock().unwrap_or_else(PoisonError::into_inner).0).ok()?;
        Some(rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

fn verifier(expected: Expected, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    match expected {
        Expected::Authorities(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in authorities {
                roots.add(authority)?;
            }
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
            Ok(verifier.map_err(|e| Error::General(e.to_string()))?)
        }
        Expected::RawPublicKey(spki) => {
            Ok(Arc::new(RawPublicKey { spki, algorithms: provider.signature_verification_algorithms }))
        }
    }
}

/// Takes one raw public key for the server.
#[derive(Debug)]
struct RawPublicKey {
    spki: Vec<u8>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for RawPublicKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if end_entity[..] == self.spki[..] {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("no raw public keys with TLS 1.2".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(message, &SubjectPublicKeyInfoDer::from(&cert[..]), dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
