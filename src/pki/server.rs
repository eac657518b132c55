//! The certificate this box shows to devices, whoever made it.

use super::der::{OID, SEQUENCE, only};
use super::x509::Certificate;
use super::{CertificateInfo, file};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use std::fmt;

/// A certificate chain for the TLS server, its own certificate first, and the key that belongs to it.
pub struct ServerCertificate {
    /// The chain, without a root if its maker left it out.
    pub chain: Vec<CertificateDer<'static>>,
    /// What the first certificate says.
    pub info: CertificateInfo,
    /// It was given by the administrator.
    pub given: bool,
    /// It is made for clients, too (extended key usage clientAuth), as RadSec needs it.
    pub for_clients: bool,
    key: PrivateKeyDer<'static>,
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate").field("subject", &self.info.subject).finish_non_exhaustive()
    }
}

impl ServerCertificate {
    /// Reads a chain and a key (PEM: PKCS#8, PKCS#1 or SEC 1).
    ///
    /// # Errors
    /// When they do not belong together, the chain is not in order, or the certificate is not made for servers: no device would take
    /// that. Dates are not judged, as the clock may be wrong.
    pub fn read(certificates: &[u8], key: &[u8], given: bool) -> Result<ServerCertificate, String> {
        let chain = file::certificates(certificates).map_err(|why| format!("the certificate file: {why}"))?;
        let own = chain.first().ok_or("the certificate file has no certificate")?;
        let info = CertificateInfo::parse(own).map_err(|why| format!("the certificate {why}"))?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| "the key file has no private key that can be read (PEM, without a password)".to_owned())?;
        let signing = rustls::crypto::ring::sign::any_supported_type(&key)
            .map_err(|_| "the private key is damaged, or neither ECDSA (P-256, P-384), Ed25519 nor RSA".to_owned())?;
        let public = signing.public_key().ok_or("the public key of the private key cannot be told")?;
        if super::certificate::sha256(&public) != info.public_key {
            return Err(format!("the private key is not the one of the certificate {}", info.subject));
        }
        in_order(&chain)?;
        if !is_for(own, SERVER_AUTH)? {
            let what = "the certificate is not made for servers (extended key usage serverAuth): have it made anew";
            return Err(what.into());
        }
        let for_clients = is_for(own, CLIENT_AUTH)?;
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        Ok(ServerCertificate { chain, info, given, for_clients, key })
    }

    /// SHA-256 of the whole chain: another one is another, though the server's own certificate is the same.
    pub fn chain_hash(&self) -> [u8; 32] {
        let whole = self.chain.iter().fold(Sha256::new(), |hash, certificate| hash.chain_update(certificate));
        whole.finalize().into()
    }

    /// The private key, for the TLS server.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    /// True when it is for this DNS name (subjectAltName, compared without case).
    pub fn is_for(&self, dns_name: &str) -> bool {
        self.info.alt_names.iter().any(|name| name.eq_ignore_ascii_case(dns_name))
    }
}

/// Each certificate has to be signed by the next one (RFC 5246, 7.4.2): not every device sorts them.
fn in_order(chain: &[Vec<u8>]) -> Result<(), String> {
    let parsed: Result<Vec<_>, _> = chain.iter().map(|der| Certificate::parse(der)).collect();
    let parsed = parsed?;
    let wrong = parsed.iter().zip(parsed.iter().skip(1)).position(|(this, next)| this.issuer.der != next.subject.der);
    match wrong {
        None => Ok(()),
        Some(at) => Err(format!(
            "certificate {} of the file is not the CA of certificate {}: put the server's first, then the one that signed it, and so on",
            at + 2,
            at + 1
        )),
    }
}

const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

/// Whether a certificate is made for this, or for anything, where it says what it is made for (RFC 5216, 5.3).
fn is_for(der: &[u8], purpose: &[u8]) -> Result<bool, String> {
    const EXT_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
    const ANY: &[u8] = &[0x55, 0x1d, 37, 0];
    let certificate = Certificate::parse(der)?;
    let Some(value) = certificate.extension(EXT_KEY_USAGE)? else { return Ok(true) };
    let mut purposes = only(value, SEQUENCE).ok_or("its extended key usage cannot be read")?.members();
    while let Some(found) = purposes.take(OID) {
        if found.content == purpose || found.content == ANY {
            return Ok(true);
        }
    }
    Ok(false)
}
