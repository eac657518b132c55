//! Who judges what a device shows, and how rustls is told.

use super::server::{Desk, lock};
use crate::eap::problem::Problem;
use crate::pki::trust::Trust;
use crate::pki::{CertificateInfo, CertificateProblem, Voucher};
use crate::time::UnixTime;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use sha2::{Digest, Sha256};
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

/// Whom we trust: [`Trust`], or what a test puts in its place.
pub trait Judge: fmt::Debug + Send + Sync {
    /// Checks a chain as a device shows it, its own certificate first.
    ///
    /// # Errors
    /// The first thing that is wrong.
    fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        wall: UnixTime,
    ) -> Result<(CertificateInfo, Voucher), CertificateProblem>;

    /// True when a raw public key (SubjectPublicKeyInfo, DER) is registered.
    fn knows_public_key(&self, spki: &[u8]) -> bool;

    /// True when any raw public key is registered.
    fn has_public_keys(&self) -> bool;
}

impl Judge for Trust {
    fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        wall: UnixTime,
    ) -> Result<(CertificateInfo, Voucher), CertificateProblem> {
        Trust::verify(self, chain, wall)
    }

    fn knows_public_key(&self, spki: &[u8]) -> bool {
        Trust::knows_public_key(self, spki)
    }

    fn has_public_keys(&self) -> bool {
        Trust::has_public_keys(self)
    }
}

/// What a device showed, and what we think of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A good certificate.
    Certificate(Arc<CertificateInfo>, Voucher),
    /// A registered raw public key: SHA-256 of it.
    PublicKey([u8; 32]),
    /// Neither.
    Bad(Problem),
}

impl Verdict {
    /// Judges a chain of certificates, or a raw public key in the place of a chain.
    pub fn of(judge: &dyn Judge, raw: bool, chain: &[CertificateDer<'_>], wall: UnixTime) -> (Verdict, Option<Error>) {
        let Some(first) = chain.first() else {
            return (Verdict::Bad(Problem::NoCertificate), Some(Error::NoCertificatesPresented));
        };
        if raw {
            let hash = <[u8; 32]>::from(Sha256::digest(first));
            return if judge.knows_public_key(first) {
                (Verdict::PublicKey(hash), None)
            } else {
                (Verdict::Bad(unknown_key(&hash)), Some(CertificateError::UnknownIssuer.into()))
            };
        }
        match judge.verify(chain, wall) {
            Ok((info, voucher)) => (Verdict::Certificate(Arc::new(info), voucher), None),
            Err(problem) => {
                let error = alerting(&problem).into();
                (Verdict::Bad(Problem::Certificate { subject: subject(first), problem }), Some(error))
            }
        }
    }
}

/// The subject of a certificate in words.
fn subject(certificate: &[u8]) -> Arc<str> {
    CertificateInfo::parse(certificate).map_or_else(|_| "(unreadable)".into(), |info| info.subject)
}

fn unknown_key(hash: &[u8; 32]) -> Problem {
    let mut words = String::from("nobody registered the device's raw public key, SHA-256 ");
    for octet in hash {
        let _ = write!(words, "{octet:02x}");
    }
    words.push_str(": register it with the device (--public-key-file)");
    Problem::Tls(words.into())
}

/// The error that makes rustls send the alert that fits.
fn alerting(problem: &CertificateProblem) -> CertificateError {
    match problem {
        CertificateProblem::Form(_) => CertificateError::BadEncoding,
        CertificateProblem::UnknownIssuer { .. } => CertificateError::UnknownIssuer,
        CertificateProblem::BadSignature => CertificateError::BadSignature,
        CertificateProblem::Expired { .. } => CertificateError::Expired,
        CertificateProblem::NotYetValid { .. } => CertificateError::NotValidYet,
        CertificateProblem::Revoked => CertificateError::Revoked,
        CertificateProblem::WrongPurpose => CertificateError::InvalidPurpose,
        CertificateProblem::NoRevocationList(_) => CertificateError::UnknownRevocationStatus,
    }
}

/// Asks [`Desk::judge`] about chains of certificates, or about raw public keys (RFC 7250).
pub struct Verifier {
    pub(super) desk: Arc<Mutex<Desk>>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    pub(super) raw: bool,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("raw", &self.raw).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Verifier {
    /// None: the devices of many makers come here, and each has one certificate.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: rustls::pki_types::UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let mut chain = Vec::with_capacity(1 + intermediates.len());
        chain.extend(std::iter::once(end_entity).chain(intermediates).map(|der| CertificateDer::from(&der[..])));
        let mut desk = lock(&self.desk);
        let (verdict, error) = Verdict::of(&*desk.judge, self.raw, &chain, desk.now);
        desk.verdict = Some(verdict);
        error.map_or_else(|| Ok(ClientCertVerified::assertion()), Err)
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
        if self.raw {
            let spki = SubjectPublicKeyInfoDer::from(&cert[..]);
            verify_tls13_signature_with_raw_key(message, &spki, dss, &self.algorithms)
        } else {
            verify_tls13_signature(message, cert, dss, &self.algorithms)
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.raw
    }
}
