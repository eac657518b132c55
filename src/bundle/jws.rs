//! Who a bundle is from: a JSON Web Signature (RFC 7515) in the flattened JSON serialization, whose payload is the bundle.
//!
//! ```json
//! {"protected": "<header>", "payload": "<bundle>", "signature": "<signature>"}
//! ```
//!
//! all three in Base64url without padding. The header says `alg`: `EdDSA` with Ed25519 (RFC 8037; also under its new name `Ed25519`,
//! RFC 9864), `ES256` or `RS256`; perhaps `x5c`, the signer's certificate and those between it and its CA, and `kid`. `crit` and `b64`
//! are refused: nothing that has to be understood is understood here. `jwk`, `jku` and `x5u` are passed over: a signature says who
//! signed, and not whom to believe.
//!
//! **Whom to believe** is said by the administrator: a file with a public key, a certificate, or a CA; or it is the CAs that are
//! registered for the maker already. With a key, or the signer's own certificate, exactly that signs. With a CA it is the CA's own key,
//! or a certificate under it that is made for it: extended key usage id-kp-documentSigning (RFC 9336). Without that condition each
//! device could sign for its manufacturer, since its certificate has the same CA and its owner has its key.

use super::json::{Bad, Kind, Reader};
use super::{LARGEST, signer};
use crate::pki::certificate::sha256;
use crate::pki::der::{BIT_STRING, OID, SEQUENCE, only};
use crate::pki::x509::Certificate;
use crate::pki::{CertificateInfo, file};
use crate::time::UnixTime;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use std::fmt;
use zeroize::Zeroizing;

/// How many certificates a signature may bring.
const CHAIN: usize = 6;
/// The longest header, in octets of Base64.
const HEADER: usize = 256 << 10;
/// The longest signature, in octets of Base64: RSA with 8192 bits.
const SIGNATURE: usize = 1366;

/// Ways to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 to 8192 bits.
    Rs256,
}

impl Algorithm {
    fn parse(name: &str) -> Result<Algorithm, String> {
        match name {
            "EdDSA" | "Ed25519" => Ok(Algorithm::EdDsa),
            "ES256" => Ok(Algorithm::Es256),
            "RS256" => Ok(Algorithm::Rs256),
            "none" => Err("alg none is no signature: have the bundle signed, or import it with --unsigned".into()),
            other => {
                let shown: String = other.chars().filter(|c| !c.is_control()).take(20).collect();
                Err(format!("alg '{shown}' is not known: have it signed with EdDSA (Ed25519), ES256 or RS256"))
            }
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Es256 => "ES256",
            Algorithm::Rs256 => "RS256",
        })
    }
}

/// A signature and what it is under; nothing is known of either before [`Signed::verify`].
pub struct Signed {
    /// Header, a dot, payload: as they came, since that is what is signed (RFC 7515, 5.1).
    input: Zeroizing<Vec<u8>>,
    payload: Zeroizing<Vec<u8>>,
    signature: Vec<u8>,
    algorithm: Algorithm,
    chain: Vec<Vec<u8>>,
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Whose signatures count.
#[derive(Debug, Default, Clone)]
pub struct Signers {
    /// Certificates of signers and of CAs, DER.
    pub certificates: Vec<Vec<u8>>,
    /// Public keys (SubjectPublicKeyInfo, DER).
    pub public_keys: Vec<Vec<u8>>,
    /// What the CAs have revoked, DER.
    pub lists: Vec<Vec<u8>>,
}

impl Signers {
    /// Reads a file with certificates or public keys (PEM or DER).
    ///
    /// # Errors
    /// What it has instead.
    pub fn read(text: &[u8]) -> Result<Signers, String> {
        let (certificates, public_keys) = (file::certificates(text), file::public_keys(text));
        match (certificates, public_keys) {
            (Err(file::FileError::Other { came: "a public key", .. }), Err(why)) | (Err(why), Err(_)) => {
                Err(why.to_string())
            }
            (certificates, public_keys) => Ok(Signers {
                certificates: certificates.unwrap_or_default(),
                public_keys: public_keys.unwrap_or_default(),
                lists: Vec::new(),
            }),
        }
    }

    /// True when nobody's signature counts.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.public_keys.is_empty()
    }
}

/// A signature that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How it was made.
    pub algorithm: Algorithm,
    /// Who made it: a certificate's subject, or which key.
    pub who: String,
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is nobody whose signature would.
    #[error(
        "nobody is known who could have signed it: name the signer's certificate, CA or public key with --signed-by FILE"
    )]
    Nobody,
    /// It was signed by somebody else, or it was changed.
    #[error("its signature is wrong: it was changed on the way, or somebody else signed it than {0}")]
    Wrong(String),
    /// The certificate that came with it does not count; in words, as the end of "the certificate of its signer ...".
    #[error("the certificate of its signer ({subject}) {why}")]
    Certificate {
        /// Its subject.
        subject: String,
        /// Why.
        why: String,
    },
}

/// True when a text is meant to be a signature: it has a member that only a signature has, before one that only a bundle has.
pub fn is_signed(text: &[u8]) -> bool {
    let mut signed = false;
    let mut reader = Reader::new(text);
    // An error ends it: the rest tells nothing.
    let _ = reader.object(&mut |reader, name| match name {
        "payload" | "protected" | "signature" | "signatures" => {
            signed = true;
            Err(reader.bad(""))
        }
        "latchkey_bundle" => Err(reader.bad("")),
        _ => reader.skip(),
    });
    signed
}

/// What a header says.
#[derive(Debug, Default)]
struct Header {
    algorithm: Option<Algorithm>,
    chain: Vec<Vec<u8>>,
}

impl Signed {
    /// Takes a signature apart.
    ///
    /// # Errors
    /// What is wrong with its form.
    pub fn read(text: &[u8]) -> Result<Signed, String> {
        if text.len() > LARGEST {
            return Err(format!("it has {} octets, a bundle has at most {LARGEST}: split it", text.len()));
        }
        let (mut protected, mut payload, mut signature) = (None, None, None);
        let mut reader = Reader::new(text);
        reader
            .object(&mut |reader, name| {
                let (place, most) = match name {
                    "protected" => (&mut protected, HEADER),
                    "payload" => (&mut payload, LARGEST),
                    "signature" => (&mut signature, SIGNATURE),
                    "header" => return unprotected(reader),
                    "signatures" => {
                        return Err(reader.bad(
                            "it has several signatures (general serialization): one is needed (flattened, RFC 7515, 7.2.2)",
                        ));
                    }
                    _ => return reader.skip(),
                };
                match place.replace(reader.string(most)?) {
                    None => Ok(()),
                    Some(_) => Err(reader.bad(format!("'{name}' is there twice"))),
                }
            })
            .and_then(|()| reader.end())
            .map_err(|bad| bad.to_string())?;
        let need =
            |part: Option<Zeroizing<String>>, name| part.ok_or_else(|| format!("the member '{name}' is missing"));
        let (protected, payload) = (need(protected, "protected")?, need(payload, "payload")?);
        let signature = need(signature, "signature")?;
        let decode = |text: &str, name| {
            let octets = URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("'{name}' is no Base64url without padding"));
            octets.map(Zeroizing::new)
        };
        let header = header(&decode(&protected, "protected")?).map_err(|bad| format!("its header: {}", bad.why))?;
        let mut input = Zeroizing::new(Vec::with_capacity(protected.len() + 1 + payload.len()));
        input.extend_from_slice(protected.as_bytes());
        input.push(b'.');
        input.extend_from_slice(payload.as_bytes());
        Ok(Signed {
            payload: decode(&payload, "payload")?,
            signature: decode(&signature, "signature")?.to_vec(),
            algorithm: header.algorithm.ok_or("its header does not say the algorithm (alg)")?,
            chain: header.chain,
            input,
        })
    }

    /// What is signed. Not to be believed before [`Signed::verify`].
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Checks the signature, and whether whoever made it is one of these.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn verify(&self, signers: &Signers, wall: UnixTime) -> Result<Verified, SignatureError> {
        if signers.is_empty() {
            return Err(SignatureError::Nobody);
        }
        if let Some((own, others)) = self.chain.split_first() {
            let certificate = |why: String| {
                let info = CertificateInfo::parse(own);
                SignatureError::Certificate {
                    subject: info.map_or_else(|_| "unreadable".into(), |i| i.subject.to_string()),
                    why,
                }
            };
            let parsed = Certificate::parse(own).map_err(|what| certificate(format!("cannot be read: {what}")))?;
            let named =
                signers.certificates.contains(own) || signers.public_keys.iter().any(|key| key == parsed.public_key);
            if !named {
                signer::verify(own, others, &signers.certificates, &signers.lists, wall).map_err(certificate)?;
            }
            return match self.made_by(parsed.public_key) {
                true => Ok(Verified { algorithm: self.algorithm, who: name_of(own) }),
                false => Err(SignatureError::Wrong(name_of(own))),
            };
        }
        for der in &signers.certificates {
            let key = Certificate::parse(der).map(|certificate| certificate.public_key);
            if key.is_ok_and(|key| self.made_by(key)) {
                return Ok(Verified { algorithm: self.algorithm, who: name_of(der) });
            }
        }
        match signers.public_keys.iter().find(|key| self.made_by(key)) {
            Some(key) => Ok(Verified { algorithm: self.algorithm, who: key_name(key) }),
            None => {
                let certificates = signers.certificates.iter().map(|der| name_of(der));
                let all: Vec<String> =
                    certificates.chain(signers.public_keys.iter().map(|key| key_name(key))).take(4).collect();
                Err(SignatureError::Wrong(all.join(", ")))
            }
        }
    }

    /// True when the holder of this key (SubjectPublicKeyInfo, DER) made it.
    fn made_by(&self, spki: &[u8]) -> bool {
        let Some((algorithm, key)) = key_of(spki) else { return false };
        let verifier: &'static dyn ring::signature::VerificationAlgorithm = match algorithm {
            Algorithm::EdDsa => &ED25519,
            Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        };
        algorithm == self.algorithm
            && UnparsedPublicKey::new(verifier, key).verify(&self.input, &self.signature).is_ok()
    }
}

fn name_of(der: &[u8]) -> String {
    CertificateInfo::parse(der).map_or_else(|_| "an unreadable certificate".into(), |info| info.subject.to_string())
}

fn key_name(spki: &[u8]) -> String {
    format!("the key {}", key_id(spki))
}

/// The name of a key: SHA-256 of its SubjectPublicKeyInfo, Base64url.
pub(super) fn key_id(spki: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(sha256(spki))
}

/// Which kind of key this is (SubjectPublicKeyInfo, DER), and the key itself as `ring` takes it.
pub(super) fn key_of(spki: &[u8]) -> Option<(Algorithm, &[u8])> {
    const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
    const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    let mut outer = only(spki, SEQUENCE)?.members();
    let mut kind = outer.take(SEQUENCE)?.members();
    let key = outer.take(BIT_STRING).filter(|_| outer.is_empty())?.content.strip_prefix(&[0])?;
    let algorithm = match (kind.take(OID)?.content, kind.take(OID).map(|curve| curve.content)) {
        (ED25519, None) => Algorithm::EdDsa,
        (EC, Some(P256)) => Algorithm::Es256,
        (RSA, None) => Algorithm::Rs256,
        _ => return None,
    };
    Some((algorithm, key))
}

/// The header that is signed.
fn header(text: &[u8]) -> Result<Header, Bad> {
    let (mut header, mut chained) = (Header::default(), false);
    let mut reader = Reader::new(text);
    reader.object(&mut |reader, name| match name {
        "alg" => {
            let algorithm = Algorithm::parse(&reader.string(HEADER)?).map_err(|why| reader.bad(why))?;
            match header.algorithm.replace(algorithm) {
                None => Ok(()),
                Some(_) => Err(reader.bad("'alg' is there twice")),
            }
        }
        "crit" | "b64" => {
            Err(reader.bad(format!("'{name}' asks for something that is not known: have it signed without")))
        }
        "x5c" => {
            if std::mem::replace(&mut chained, true) {
                return Err(reader.bad("'x5c' is there twice"));
            }
            reader.array(&mut |reader, number| {
                if number >= CHAIN {
                    return Err(reader.bad(format!("'x5c' has more than {CHAIN} certificates")));
                }
                // Base64 with padding, not Base64url (RFC 7515, 4.1.6).
                let der = STANDARD.decode(reader.string(HEADER)?.as_bytes()).ok();
                header.chain.push(der.ok_or_else(|| reader.bad("'x5c' is no Base64"))?);
                Ok(())
            })
        }
        _ => reader.skip(),
    })?;
    reader.end().map(|()| header)
}

/// The header that is not signed: whatever decides has to be in the other one.
fn unprotected(reader: &mut Reader<'_>) -> Result<(), Bad> {
    if reader.kind()? != Kind::Object {
        return Err(reader.bad("'header' must be an object"));
    }
    reader.object(&mut |reader, name| match name {
        "alg" | "crit" | "b64" | "x5c" => {
            Err(reader.bad(format!("'{name}' has to be in the header that is signed (protected)")))
        }
        _ => reader.skip(),
    })
}

#[cfg(test)]
mod tests;
