//! Whom we trust: a snapshot, replaced as a whole when makers, devices or revocation lists change.

use super::{CertificateInfo, CertificateProblem, Voucher};
use crate::time::UnixTime;
use rustls::pki_types::CertificateDer;

/// The authorities, the registered certificates and keys, and the revocation lists.
#[derive(Debug, Default)]
pub struct Trust {}

impl Trust {
    /// Checks a chain as a device shows it, its own certificate first.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        _wall: UnixTime,
    ) -> Result<(CertificateInfo, Voucher), CertificateProblem> {
        Err(CertificateProblem::Form(format!("a chain of {}", chain.len()).into()))
    }

    /// True when a raw public key (SubjectPublicKeyInfo, DER) is registered.
    pub fn knows_public_key(&self, _spki: &[u8]) -> bool {
        false
    }
}
