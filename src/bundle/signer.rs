//! Who may sign bundles under a CA, and signing.

use super::jws::{Algorithm, key_id, key_of};
use super::write::quoted;
use crate::pki::der::{INTEGER, OID, Reader, SEQUENCE, only};
use crate::pki::file;
use crate::pki::trust::ALGORITHMS;
use crate::pki::x509::Certificate;
use crate::time::UnixTime;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::SignatureScheme;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::time::Duration;
use webpki::{
    BorrowedCertRevocationList, CertRevocationList, EndEntityCert, ExpirationPolicy, ExtendedKeyUsageValidator,
    KeyPurposeId, KeyPurposeIdIter, RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy,
};
use zeroize::Zeroizing;

/// id-kp-documentSigning (RFC 9336).
const DOCUMENT_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 36];
const DOCUMENT_SIGNING_ID: KeyPurposeId<'_> = KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 36]);
/// id-ce-extKeyUsage.
const EXT_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];

/// Checks that a certificate is made for signing documents, and that one of these CAs vouches for it now.
///
/// # Errors
/// Why it does not count, as the end of "the certificate of its signer ...".
pub(super) fn verify(
    own: &[u8],
    others: &[Vec<u8>],
    authorities: &[Vec<u8>],
    lists: &[Vec<u8>],
    wall: UnixTime,
) -> Result<(), String> {
    if !is_made_for_signing(own) {
        return Err(
            "is not made for signing (extended key usage documentSigning, RFC 9336), as a device's is not: name the \
                    signer's certificate itself with --signed-by, if you trust it"
                .into(),
        );
    }
    let own = CertificateDer::from(own);
    let parsed = EndEntityCert::try_from(&own).map_err(|_| "cannot be read".to_owned())?;
    let others: Vec<CertificateDer<'_>> = others.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let authorities: Vec<CertificateDer<'_>> =
        authorities.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let anchors: Vec<_> = authorities.iter().filter_map(|der| webpki::anchor_from_trusted_cert(der).ok()).collect();
    let lists = lists.iter().filter_map(|der| BorrowedCertRevocationList::from_der(der).ok());
    let lists: Vec<CertRevocationList<'_>> = lists.map(CertRevocationList::from).collect();
    let lists: Vec<&CertRevocationList<'_>> = lists.iter().collect();
    let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
        let options = options.with_depth(RevocationCheckDepth::Chain).with_status_policy(UnknownStatusPolicy::Allow);
        options.with_expiration_policy(ExpirationPolicy::Ignore).build()
    });
    let time = Duration::from_secs(u64::try_from(wall.0).unwrap_or_default());
    let time = rustls::pki_types::UnixTime::since_unix_epoch(time);
    let verified = parsed.verify_for_usage(ALGORITHMS, &anchors, &others, time, Purpose, revocation, None);
    verified.map(drop).map_err(|why| match why {
        webpki::Error::CertExpired { .. } => {
            "has expired: name it itself with --signed-by, if it was good when the bundle was made".into()
        }
        webpki::Error::CertNotValidYet { .. } => "is not valid yet: is the clock right?".into(),
        webpki::Error::CertRevoked => "is revoked".into(),
        webpki::Error::UnknownIssuer => {
            "is under none of the CAs that count: name its CA, or itself, with --signed-by".into()
        }
        why => format!("is not accepted ({why})"),
    })
}

/// Every certificate under a CA could otherwise sign for the maker: what is not said is not allowed.
fn is_made_for_signing(der: &[u8]) -> bool {
    let purposes = || {
        let value = Certificate::parse(der).ok()?.extension(EXT_KEY_USAGE).ok()??;
        Some(only(value, SEQUENCE)?.members())
    };
    let Some(mut purposes) = purposes() else { return false };
    while let Some(purpose) = purposes.take(OID) {
        if purpose.content == DOCUMENT_SIGNING {
            return true;
        }
    }
    false
}

/// The same for those between it and the CA, which need not say anything.
struct Purpose;

impl ExtendedKeyUsageValidator for Purpose {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut none = true;
        for purpose in purposes {
            if purpose? == DOCUMENT_SIGNING_ID {
                return Ok(());
            }
            none = false;
        }
        if none { Ok(()) } else { Err(webpki::Error::EmptyEkuExtension) }
    }
}

/// Signs a bundle: with the private key of a file (PEM), whose certificates, if there are any, go with the signature.
///
/// # Errors
/// What is wrong with the file. Never quotes the key.
pub fn sign(payload: &str, file: &[u8]) -> Result<Zeroizing<String>, String> {
    let key = PrivateKeyDer::from_pem_slice(file)
        .map_err(|_| "it has no private key that can be read (PEM, without a password)".to_owned())?;
    let wrong = || "its private key is neither Ed25519, ECDSA P-256 nor RSA with 2048 bits or more".to_owned();
    let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(|_| wrong())?;
    let public = key.public_key().ok_or_else(wrong)?;
    let (algorithm, _) = key_of(&public).ok_or_else(wrong)?;
    let scheme = match algorithm {
        Algorithm::EdDsa => SignatureScheme::ED25519,
        Algorithm::Es256 => SignatureScheme::ECDSA_NISTP256_SHA256,
        Algorithm::Rs256 => SignatureScheme::RSA_PKCS1_SHA256,
    };
    let signer = key.choose_scheme(&[scheme]).ok_or_else(wrong)?;
    let chain = file::certificates(file).unwrap_or_default();
    if let Some(own) = chain.first()
        && Certificate::parse(own).map(|certificate| certificate.public_key) != Ok(&*public)
    {
        return Err("its first certificate is not that of its private key: put the signer's first".into());
    }
    let mut header = format!("{{\"alg\":\"{algorithm}\",\"kid\":");
    quoted(&mut header, &key_id(&public));
    if !chain.is_empty() {
        let chain: Vec<String> = chain.iter().map(|der| format!("\"{}\"", STANDARD.encode(der))).collect();
        header.push_str(&format!(",\"x5c\":[{}]", chain.join(",")));
    }
    header.push('}');
    let header = URL_SAFE_NO_PAD.encode(header);
    // As large as it becomes: it is the keys in another writing.
    let mut input = Zeroizing::new(String::with_capacity(header.len() + 4 + payload.len() / 3 * 4 + 4));
    input.push_str(&header);
    input.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut input);
    let signature = signer.sign(input.as_bytes()).map_err(|_| "it could not be signed".to_owned())?;
    let signature = match algorithm {
        Algorithm::Es256 => fixed(&signature).ok_or("it could not be signed")?.to_vec(),
        Algorithm::EdDsa | Algorithm::Rs256 => signature,
    };
    let payload = input.get(header.len() + 1..).unwrap_or_default();
    let signature = URL_SAFE_NO_PAD.encode(signature);
    let mut text = Zeroizing::new(String::with_capacity(input.len() + signature.len() + 64));
    for part in
        ["{\"protected\":\"", &header, "\",\n\"payload\":\"", payload, "\",\n\"signature\":\"", &signature, "\"}\n"]
    {
        text.push_str(part);
    }
    Ok(text)
}

/// The two numbers of an ECDSA signature, 32 octets each (RFC 7518, 3.4), from DER.
fn fixed(der: &[u8]) -> Option<[u8; 64]> {
    let mut numbers: Reader<'_> = only(der, SEQUENCE)?.members();
    let mut signature = [0; 64];
    for half in signature.chunks_exact_mut(32) {
        let number = numbers.take(INTEGER)?.content;
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        half.get_mut(32usize.checked_sub(number.len())?..)?.copy_from_slice(number);
    }
    Some(signature)
}
