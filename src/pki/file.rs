//! The files people give: certificates, public keys and revocation lists, PEM (RFC 7468) or DER.

use super::CertificateInfo;
use super::certificate::LARGEST;
use super::der::{BIT_STRING, INTEGER, OID, Reader, SEQUENCE, only};
use rustls::pki_types::pem::{self, PemObject, SectionKind};

/// How many certificates or keys one file may have.
pub const MOST: usize = 16;

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// It has something else than what is needed.
    #[error("it has {came}, and {expected} is needed: {mend}")]
    Other {
        /// What is needed.
        expected: &'static str,
        /// What it has.
        came: &'static str,
        /// What to do.
        mend: &'static str,
    },
    /// Nothing in it is known.
    #[error("it has nothing that can be read as {expected}: give it as PEM (it begins with -----BEGIN) or DER")]
    Unknown {
        /// What is needed.
        expected: &'static str,
    },
    /// PEM that is damaged.
    #[error("its PEM is damaged ({0}): make the file anew, or copy it again whole")]
    Pem(String),
    /// One of its certificates cannot be used.
    #[error("certificate {number} in it {why}")]
    Certificate {
        /// Which, from 1.
        number: usize,
        /// Why, as the end of "certificate 1 in it ...".
        why: String,
    },
    /// Too many.
    #[error("it has more than {MOST} of them: leave out those that are not needed")]
    Many,
}

/// The certificates of a file, DER, in its order: at least one. Private keys in the same file are passed over.
///
/// # Errors
/// What it has instead, or which certificate cannot be read.
pub fn certificates(file: &[u8]) -> Result<Vec<Vec<u8>>, FileError> {
    let found = sections(file, Kind::Certificate)?;
    for (number, der) in (1..).zip(&found) {
        CertificateInfo::parse(der).map_err(|why| FileError::Certificate { number, why: why.to_string() })?;
    }
    Ok(found)
}

/// The public keys of a file (SubjectPublicKeyInfo, DER), in its order: at least one.
///
/// # Errors
/// What it has instead.
pub fn public_keys(file: &[u8]) -> Result<Vec<Vec<u8>>, FileError> {
    let found = sections(file, Kind::PublicKey)?;
    let fits = |der: &Vec<u8>| der.len() <= LARGEST && kind_of(der) == Some(Kind::PublicKey);
    if found.iter().all(fits) { Ok(found) } else { Err(FileError::Unknown { expected: Kind::PublicKey.name() }) }
}

/// The certificate revocation lists of a file, DER: at least one.
///
/// # Errors
/// What it has instead.
pub fn revocation_lists(file: &[u8]) -> Result<Vec<Vec<u8>>, FileError> {
    sections(file, Kind::RevocationList)
}

/// What a file, or a part of one, can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Certificate,
    PublicKey,
    RevocationList,
    PrivateKey,
    Request,
    Pkcs12,
    Pkcs7,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Certificate => "a certificate",
            Kind::PublicKey => "a public key",
            Kind::RevocationList => "a certificate revocation list",
            Kind::PrivateKey => "a private key",
            Kind::Request => "a certificate request",
            Kind::Pkcs12 => "a PKCS#12 store (.p12, .pfx)",
            Kind::Pkcs7 => "a PKCS#7 bundle (.p7b)",
        }
    }

    fn instead_of(self, expected: Kind) -> FileError {
        let mend = match self {
            Kind::PrivateKey => "keep it secret, and give the file beside it (often .crt or .pub)",
            Kind::Request => "give what the CA made of it",
            Kind::Pkcs12 => "take the certificate out: openssl pkcs12 -in FILE -nokeys -out FILE.pem",
            Kind::Pkcs7 => "take the certificates out: openssl pkcs7 -in FILE -print_certs -out FILE.pem",
            Kind::Certificate if expected == Kind::PublicKey => "take it out: openssl x509 -in FILE -pubkey -noout",
            Kind::Certificate | Kind::PublicKey | Kind::RevocationList => "give another file",
        };
        FileError::Other { expected: expected.name(), came: self.name(), mend }
    }

    fn of_section(kind: SectionKind) -> Option<Kind> {
        match kind {
            SectionKind::Certificate => Some(Kind::Certificate),
            SectionKind::PublicKey => Some(Kind::PublicKey),
            SectionKind::Crl => Some(Kind::RevocationList),
            SectionKind::Csr => Some(Kind::Request),
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => Some(Kind::PrivateKey),
            _ => None,
        }
    }
}

/// All parts of a file that are of this kind.
fn sections(file: &[u8], expected: Kind) -> Result<Vec<Vec<u8>>, FileError> {
    if file.iter().all(u8::is_ascii_whitespace) {
        return Err(FileError::Empty);
    }
    let (mut found, mut other) = (Vec::new(), None);
    if file.first() == Some(&SEQUENCE) && only(file, SEQUENCE).is_some() {
        match kind_of(file) {
            Some(kind) if kind == expected => found.push(file.to_vec()),
            kind => other = kind,
        }
    } else {
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(file) {
            let (kind, der) = section.map_err(|why| FileError::Pem(pem_error(&why).into()))?;
            match Kind::of_section(kind) {
                Some(kind) if kind == expected => found.push(der),
                kind => other = other.or(kind),
            }
            if found.len() > MOST {
                return Err(FileError::Many);
            }
        }
        // What the parser passes over without a word.
        let has = |label: &[u8]| file.windows(label.len()).any(|window| window == label);
        if has(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            other = other.or(Some(Kind::PrivateKey));
        } else if has(b"-----BEGIN PKCS7-----") {
            other = other.or(Some(Kind::Pkcs7));
        }
    }
    match other {
        _ if !found.is_empty() => Ok(found),
        Some(other) => Err(other.instead_of(expected)),
        None => Err(FileError::Unknown { expected: expected.name() }),
    }
}

fn pem_error(why: &pem::Error) -> &'static str {
    match why {
        pem::Error::MissingSectionEnd { .. } => "the line -----END is missing",
        pem::Error::IllegalSectionStart { .. } => "the line -----BEGIN is not complete",
        pem::Error::Base64Decode(_) => "there are characters that are not Base64",
        _ => "it is not in order",
    }
}

/// What a DER file is, by its first members. Only what this tells apart is certain.
fn kind_of(der: &[u8]) -> Option<Kind> {
    let mut outer = only(der, SEQUENCE)?.members();
    let head = outer.value()?;
    match head.tag {
        INTEGER if head.content == [3] => Some(Kind::Pkcs12),
        INTEGER => Some(Kind::PrivateKey),
        OID => Some(Kind::Pkcs7),
        SEQUENCE => {
            let mut inner = head.members();
            let first = inner.value()?;
            let second = inner.value().map(|value| value.tag);
            let past = Reader::take(&mut outer, BIT_STRING).is_some_and(|_| outer.is_empty());
            match (first.tag, second) {
                (OID, _) if past => Some(Kind::PublicKey),
                // EncryptedPrivateKeyInfo: an algorithm, and octets.
                (OID, _) => Some(Kind::PrivateKey),
                (0xa0, _) => Some(Kind::Certificate),
                // Version 0, and the subject's name; version 2 and an algorithm; or a version 1 certificate's serial number.
                (INTEGER, Some(SEQUENCE)) if first.content == [0] => Some(Kind::Request),
                (INTEGER, Some(SEQUENCE)) => match inner_is_list(head.content) {
                    true => Some(Kind::RevocationList),
                    false => Some(Kind::Certificate),
                },
                (SEQUENCE, Some(SEQUENCE)) => Some(Kind::RevocationList),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Tells a revocation list from a certificate of version 1, which begins alike: after the issuer comes a time, not a period.
fn inner_is_list(tbs: &[u8]) -> bool {
    let mut tbs = Reader::new(tbs);
    tbs.value();
    tbs.value();
    tbs.value();
    tbs.value().is_some_and(|value| value.time().is_some())
}

#[cfg(test)]
mod tests;
