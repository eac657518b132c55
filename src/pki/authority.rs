//! Our own CA: makes itself, the server certificate, and certificates for devices. ECDSA P-256 only, and only these three forms.
//!
//! All of them begin in 1970. A router without a battery, or a device that has no network yet, may have a clock that was never set; a
//! beginning protects nobody, as nothing of it existed before its key did.

use super::certificate::{NO_END, sha256};
use super::der::{self, BIT_STRING, BOOLEAN, OCTET_STRING, SET, sequence, write};
use super::x509::{AUTHORITY_KEY_ID, COMMON_NAME, Certificate, SUBJECT_ALT_NAME, SUBJECT_KEY_ID};
use super::{CertificateInfo, file, pem, pkcs12};
use crate::registry::credential::KnownBy;
use crate::time::UnixTime;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fmt;
use zeroize::Zeroizing;

/// Fills a buffer with unpredictable octets.
pub type Random<'a> = &'a mut dyn FnMut(&mut [u8]);

/// 365.25 days.
const YEAR: i64 = 31_557_600;
/// No certificate is made before this: a clock that says so is not set. 2026-01-01.
const EARLIEST_NOW: i64 = 1_767_225_600;
const CA_YEARS: i64 = 20;
const SERVER_YEARS: i64 = 10;
/// The server certificate is made anew when no more than this is left.
const RENEW_YEARS: i64 = 2;

/// ecdsa-with-SHA256, as AlgorithmIdentifier.
const ECDSA_SHA256: &[u8] = &[0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// SubjectPublicKeyInfo of a P-256 key up to the point itself (65 octets, uncompressed).
const P256_SPKI: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 3,
    0x42, 0,
];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const EXT_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

/// A private key, ECDSA P-256.
pub struct Key {
    pkcs8: Zeroizing<Vec<u8>>,
    pair: EcdsaKeyPair,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

impl Key {
    /// Makes one. The system's randomness is asked directly: `ring` takes no other.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn generate() -> Result<Key, String> {
        let failed = |_| "no key could be made: the system gives no randomness".to_owned();
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).map_err(failed)?;
        Key::from_pkcs8(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// Reads one from PEM (`PRIVATE KEY`: PKCS#8).
    ///
    /// # Errors
    /// When it is none, or another kind of key. Never quotes it.
    pub fn from_pem(text: &[u8]) -> Result<Key, String> {
        let read =
            PrivatePkcs8KeyDer::from_pem_slice(text).map_err(|_| "it has no private key (PKCS#8, PEM)".to_owned())?;
        Key::from_pkcs8(Zeroizing::new(read.secret_pkcs8_der().to_vec()))
    }

    fn from_pkcs8(pkcs8: Zeroizing<Vec<u8>>) -> Result<Key, String> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8, &SystemRandom::new());
        let pair = pair.map_err(|_| "its private key is damaged, or not of the kind ECDSA P-256".to_owned())?;
        Ok(Key { pkcs8, pair })
    }

    /// The key as PEM: to be kept in a file of mode 0600, or given to its device.
    pub fn to_pem(&self) -> Zeroizing<String> {
        pem::encode("PRIVATE KEY", &self.pkcs8)
    }

    /// The key as the TLS server takes it.
    pub fn to_rustls(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.pkcs8.to_vec().into())
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn public_key(&self) -> Vec<u8> {
        [P256_SPKI, self.pair.public_key().as_ref()].concat()
    }

    /// The name of the key in certificates: the first 160 bits of the SHA-256 of its point (RFC 7093, 2, method 1).
    fn id(&self) -> Vec<u8> {
        sha256(self.pair.public_key().as_ref()).into_iter().take(20).collect()
    }
}

/// The CA: its certificate and its key.
#[derive(Debug)]
pub struct Authority {
    certificate: Box<[u8]>,
    info: CertificateInfo,
    key: Key,
}

/// A certificate made for a device. The private key is in no other place: it is shown once.
pub struct Issued {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Its private key, PEM (PKCS#8).
    pub key_pem: Zeroizing<String>,
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// Our CA's certificate, PEM: what the device checks the server by.
    pub ca_pem: String,
    /// What the certificate says.
    pub info: CertificateInfo,
    name: String,
    key: Key,
    ca: Box<[u8]>,
    salts: pkcs12::Salts,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Issued {
    /// How the registry knows it.
    pub fn known_by(&self) -> KnownBy {
        KnownBy::Serial { maker: "".into(), issuer: self.info.issuer_hash, serial: self.info.serial.clone() }
    }

    /// Key, certificate and the CA's certificate in one file for the device (PKCS#12, `.p12`), which the password opens.
    pub fn p12(&self, password: &str) -> Vec<u8> {
        let contents = pkcs12::Contents {
            name: &self.name,
            key: &self.key.pkcs8,
            certificate: &self.certificate,
            ca: &self.ca,
            ca_name: self.name_of_ca(),
        };
        pkcs12::write_file(&contents, password, &self.salts)
    }

    fn name_of_ca(&self) -> &str {
        self.info.issuer.strip_prefix("CN=").unwrap_or(&self.info.issuer)
    }
}

/// What a certificate is for.
enum Purpose<'a> {
    Authority,
    Server { name: &'a str },
    Device,
}

impl Authority {
    /// Makes the CA's certificate for a key. Its name comes of the key, so a certificate that is lost can be made again from
    /// `ca.key`, and those it has signed still count.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new(key: Key, now: UnixTime, random: Random<'_>) -> Result<Authority, String> {
        let id = key.id();
        let tag: String = id.iter().take(4).map(|octet| format!("{octet:02x}")).collect();
        let subject = name(&format!("latchkey CA {tag}"));
        let until = UnixTime(now.0.max(EARLIEST_NOW) + CA_YEARS * YEAR);
        let draft = Draft {
            subject: &subject,
            issuer: &subject,
            issuer_key_id: &id,
            public_key: &key.public_key(),
            key_id: &id,
            not_after: until,
            purpose: Purpose::Authority,
        };
        let certificate = draft.sign(&key, random)?;
        Authority::join(certificate, key)
    }

    /// Reads one back.
    ///
    /// # Errors
    /// When the two do not belong together, or are not what [`Authority::new`] makes.
    pub fn load(certificate: &[u8], key: &[u8]) -> Result<Authority, String> {
        Authority::join(one_certificate(certificate)?, Key::from_pem(key)?)
    }

    fn join(certificate: Vec<u8>, key: Key) -> Result<Authority, String> {
        let info = CertificateInfo::parse(&certificate).map_err(|why| format!("the certificate {why}"))?;
        if info.public_key != sha256(&key.public_key()) {
            return Err("certificate and key do not belong together".into());
        }
        Ok(Authority { certificate: certificate.into(), info, key })
    }

    /// Its certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// What its certificate says.
    pub fn info(&self) -> &CertificateInfo {
        &self.info
    }

    /// Its private key, for the file it is kept in.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Makes a certificate for the RADIUS server with this DNS name.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn server(&self, dns_name: &str, key: &Key, now: UnixTime, random: Random<'_>) -> Result<Vec<u8>, String> {
        let until = UnixTime(now.0.max(EARLIEST_NOW) + SERVER_YEARS * YEAR);
        let until = self.info.not_after.map_or(until, |end| until.min(end));
        self.sign(dns_name, &key.public_key(), &key.id(), until, Purpose::Server { name: dns_name }, random)
    }

    /// True when a server certificate should be made anew: it is of this CA, it ends within two years, and a new one would last
    /// longer by half a year at least.
    pub fn renews(&self, server: &CertificateInfo, now: UnixTime) -> bool {
        let now = now.0.max(EARLIEST_NOW);
        let possible = self.info.not_after.map_or(i64::MAX, |end| end.0).min(now + SERVER_YEARS * YEAR);
        let ends = server.not_after.map_or(i64::MAX, |end| end.0);
        server.issuer_hash == self.subject_hash()
            && ends - now < RENEW_YEARS * YEAR
            && possible.saturating_sub(ends) > YEAR / 2
    }

    /// SHA-256 of its name, as certificates it has signed have it as [`CertificateInfo::issuer_hash`].
    pub fn subject_hash(&self) -> [u8; 32] {
        // It has signed itself.
        self.info.issuer_hash
    }

    /// Makes key and certificate for a device. Without `until` it has no end: it counts only while the device is registered, and a
    /// device in a wall must not fall silent by itself.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn issue(&self, device: &str, until: Option<UnixTime>, random: Random<'_>) -> Result<Issued, String> {
        let key = Key::generate()?;
        let until = until.unwrap_or(NO_END);
        let certificate = self.sign(device, &key.public_key(), &key.id(), until, Purpose::Device, random)?;
        let info = CertificateInfo::parse(&certificate).map_err(|why| format!("the certificate made {why}"))?;
        Ok(Issued {
            key_pem: key.to_pem(),
            certificate_pem: certificate_pem(&certificate),
            ca_pem: certificate_pem(&self.certificate),
            certificate,
            info,
            name: device.to_owned(),
            key,
            ca: self.certificate.clone(),
            salts: pkcs12::Salts::new(random),
        })
    }

    fn sign(
        &self,
        common_name: &str,
        public_key: &[u8],
        key_id: &[u8],
        not_after: UnixTime,
        purpose: Purpose<'_>,
        random: Random<'_>,
    ) -> Result<Vec<u8>, String> {
        let own = Certificate::parse(&self.certificate).map_err(|field| format!("the CA's certificate: {field}"))?;
        let own_id = self.key.id();
        let issuer_key_id = own.subject_key_id().unwrap_or(&own_id);
        let subject = name(common_name);
        let draft =
            Draft { subject: &subject, issuer: own.subject.der, issuer_key_id, public_key, key_id, not_after, purpose };
        draft.sign(&self.key, random)
    }
}

/// A certificate, PEM.
pub fn certificate_pem(der: &[u8]) -> String {
    pem::encode("CERTIFICATE", der).to_string()
}

/// A certificate revocation list, PEM.
pub fn revocation_list_pem(der: &[u8]) -> String {
    pem::encode("X509 CRL", der).to_string()
}

/// A public key (SubjectPublicKeyInfo, DER), PEM.
pub fn public_key_pem(der: &[u8]) -> String {
    pem::encode("PUBLIC KEY", der).to_string()
}

/// The one certificate of a file.
pub fn one_certificate(content: &[u8]) -> Result<Vec<u8>, String> {
    let mut found = file::certificates(content).map_err(|why| why.to_string())?.into_iter();
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        _ => Err("it has more than one certificate".into()),
    }
}

/// A distinguished name of a common name only. Longer ones than 64 characters (ub-common-name) are cut off.
fn name(common_name: &str) -> Vec<u8> {
    let short: String = common_name.chars().take(64).collect();
    let attribute = sequence(&[&der::oid(COMMON_NAME), &der::utf8(&short)]);
    sequence(&[&write(SET, &[&attribute])])
}

/// A certificate before it is signed.
struct Draft<'a> {
    subject: &'a [u8],
    issuer: &'a [u8],
    issuer_key_id: &'a [u8],
    public_key: &'a [u8],
    key_id: &'a [u8],
    not_after: UnixTime,
    purpose: Purpose<'a>,
}

impl Draft<'_> {
    fn sign(&self, key: &Key, random: Random<'_>) -> Result<Vec<u8>, String> {
        let mut serial = [0; 16];
        random(&mut serial);
        // Positive, and of 16 octets in any case (RFC 5280, 4.1.2.2).
        if let Some(first) = serial.first_mut() {
            *first = *first & 0x7f | 0x40;
        }
        let version3 = write(0xa0, &[&der::integer(&[2])]);
        let validity = sequence(&[&der::time(UnixTime(0)), &der::time(self.not_after)]);
        let extensions = write(0xa3, &[&sequence(&[&self.extensions()])]);
        let tbs = sequence(&[
            &version3,
            &der::integer(&serial),
            ECDSA_SHA256,
            self.issuer,
            &validity,
            self.subject,
            self.public_key,
            &extensions,
        ]);
        let signature = key.pair.sign(&SystemRandom::new(), &tbs);
        let signature = signature.map_err(|_| "nothing can be signed: the system gives no randomness".to_owned())?;
        Ok(sequence(&[&tbs, ECDSA_SHA256, &write(BIT_STRING, &[&[0], signature.as_ref()])]))
    }

    fn extensions(&self) -> Vec<u8> {
        const CRITICAL: bool = true;
        // keyCertSign and cRLSign; digitalSignature: the bits from the left, and how many of the octet are unused.
        let key_usage: &[u8] = match self.purpose {
            Purpose::Authority => &[1, 0b0000_0110],
            Purpose::Server { .. } | Purpose::Device => &[7, 0b1000_0000],
        };
        let constraints = match self.purpose {
            // It signs devices and this server, and no other CA.
            Purpose::Authority => sequence(&[&write(BOOLEAN, &[&[0xff]]), &der::integer(&[0])]),
            Purpose::Server { .. } | Purpose::Device => sequence(&[]),
        };
        let mut all = [
            extension(BASIC_CONSTRAINTS, CRITICAL, &constraints),
            extension(KEY_USAGE, CRITICAL, &write(BIT_STRING, &[key_usage])),
            extension(SUBJECT_KEY_ID, !CRITICAL, &write(OCTET_STRING, &[self.key_id])),
        ]
        .concat();
        if !matches!(self.purpose, Purpose::Authority) {
            let issuer_key_id = sequence(&[&write(0x80, &[self.issuer_key_id])]);
            all.extend(extension(AUTHORITY_KEY_ID, !CRITICAL, &issuer_key_id));
        }
        let purposes = match self.purpose {
            Purpose::Authority => Vec::new(),
            // It is what RadSec servers are shown, too.
            Purpose::Server { .. } => [der::oid(SERVER_AUTH), der::oid(CLIENT_AUTH)].concat(),
            Purpose::Device => der::oid(CLIENT_AUTH),
        };
        if !purposes.is_empty() {
            all.extend(extension(EXT_KEY_USAGE, !CRITICAL, &sequence(&[&purposes])));
        }
        if let Purpose::Server { name } = self.purpose {
            all.extend(extension(SUBJECT_ALT_NAME, !CRITICAL, &sequence(&[&write(0x82, &[name.as_bytes()])])));
        }
        all
    }
}

fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    // FALSE is the default, which DER leaves out.
    let flag = if critical { write(BOOLEAN, &[&[0xff]]) } else { Vec::new() };
    sequence(&[&der::oid(oid), &flag, &write(OCTET_STRING, &[value])])
}

#[cfg(test)]
mod tests;
