//! Certificates: our own CA, those of makers, and what a device's certificate says.

pub mod authority;
pub(crate) mod blame;
pub mod certificate;
pub mod crl;
pub(crate) mod der;
pub mod file;
mod pem;
mod pkcs12;
pub mod server;
#[cfg(test)]
pub(crate) mod testing;
pub mod tls;
pub mod trust;
pub(crate) mod words;
pub(crate) mod x509;

use crate::time::UnixTime;
use std::fmt;
use std::sync::Arc;

/// What a device's certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateInfo {
    /// SHA-256 of the whole certificate (DER).
    pub fingerprint: [u8; 32],
    /// SHA-256 of the issuer's distinguished name (DER).
    pub issuer_hash: [u8; 32],
    /// The issuer in words (RFC 4514).
    pub issuer: Arc<str>,
    /// The subject in words (RFC 4514).
    pub subject: Arc<str>,
    /// The subject's common name.
    pub common_name: Option<Arc<str>>,
    /// The certificate's serial number, big endian, without leading zeros.
    pub serial: Box<[u8]>,
    /// The attribute serialNumber of the subject (IEEE 802.1AR, 8.6).
    pub subject_serial: Option<Arc<str>>,
    /// DNS names, e-mail addresses and URIs of subjectAltName.
    pub alt_names: Vec<Arc<str>>,
    /// SHA-256 of the SubjectPublicKeyInfo (DER).
    pub public_key: [u8; 32],
    /// Its beginning.
    pub not_before: UnixTime,
    /// Its end; `None` for 99991231235959Z, which is no end (RFC 5280, 4.1.2.5).
    pub not_after: Option<UnixTime>,
    /// MUD URL (RFC 8520, 11).
    pub mud_url: Option<Arc<str>>,
}

/// Who vouches for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Voucher {
    /// This maker: the chain ends in one of its authorities.
    Maker(Arc<str>),
    /// We do: it was issued here.
    Ourselves,
    /// The administrator, who registered exactly this certificate or key.
    Registered,
}

/// Why a certificate does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateProblem {
    /// It cannot be parsed, or has a form we do not take; in words.
    Form(Arc<str>),
    /// Nobody registered an authority that signed it, or it itself.
    UnknownIssuer {
        /// The issuer in words.
        issuer: Arc<str>,
    },
    /// A signature in the chain is wrong.
    BadSignature,
    /// Its time is over.
    Expired {
        /// When it was.
        since: UnixTime,
    },
    /// Its time has not begun.
    NotYetValid {
        /// When it does.
        from: UnixTime,
    },
    /// It was revoked: by its maker's list, or by us.
    Revoked,
    /// It is not meant for clients (extended key usage), or its CA not for this.
    WrongPurpose,
    /// The maker's revocation list is needed and is missing, damaged, or too old; in words.
    NoRevocationList(Arc<str>),
}

impl fmt::Display for CertificateProblem {
    /// What is wrong, as the end of "its certificate ...".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertificateProblem::Form(what) => write!(f, "is not accepted: {what}"),
            CertificateProblem::UnknownIssuer { issuer } => write!(f, "is signed by a CA nobody registered ({issuer})"),
            CertificateProblem::BadSignature => f.write_str("has a wrong signature"),
            CertificateProblem::Expired { since } => write!(f, "expired on {since}"),
            CertificateProblem::NotYetValid { from } => write!(f, "is not valid before {from}"),
            CertificateProblem::Revoked => f.write_str("is revoked"),
            CertificateProblem::WrongPurpose => f.write_str("is not made for clients (extended key usage)"),
            CertificateProblem::NoRevocationList(what) => write!(f, "cannot be checked for revocation: {what}"),
        }
    }
}

/// For the fuzzer: anything may be given as a certificate, a chain, a file or a revocation list, and nothing panics. The first octet says
/// how long the first part is.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    use crate::registry::Registry;
    use rustls::pki_types::CertificateDer;
    let wall = UnixTime(1_800_000_000);
    let _ = CertificateInfo::parse(data);
    let _ = file::certificates(data);
    let _ = file::public_keys(data);
    let _ = server::ServerCertificate::read(data, data, true);
    let mut crls = crl::Crls::default();
    let _ = crls.put("/list".as_ref(), data);
    let Some((length, rest)) = data.split_first() else { return };
    let (first, second) = rest.split_at_checked(usize::from(*length) * 8).unwrap_or((rest, &[]));
    // As an authority and as a chain under it.
    let trust = trust::Trust::new(Some(first), &Registry::default(), &crls);
    let _ = trust.verify(&[CertificateDer::from(second), CertificateDer::from(first)], wall);
    let _ = trust.verify(&[CertificateDer::from(first)], wall);
    let _ = trust.knows_public_key(data);
}
