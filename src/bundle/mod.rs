//! Bundles: how a manufacturer, or whoever takes over, hands its devices' credentials to those who own the devices.
//!
//! A bundle is a JSON object (RFC 8259), plain or as the payload of a signature ([`jws`]). Members that are not named here are
//! refused, since a misspelt one would be a credential that is silently missing; whoever adds one raises the version.
//!
//! | member | what |
//! |---|---|
//! | `latchkey_bundle` | the version of this format: `1`. First, so that a reader can tell |
//! | `maker` | the manufacturer's name, as a device is named: 1 to 32 of `a-z 0-9 . _ -` |
//! | `realms` | the realms of its devices' identities (RFC 7542): `acme.example`, or `*.acme.example` for all below; at most 16 |
//! | `issued` | when it was made (RFC 3339). An older one than the last that was imported would bring back what was withdrawn |
//! | `expires` | until when it may be imported; may be left out |
//! | `authorities` | the certificates of its CAs (PEM); at most 16 |
//! | `revocation_lists` | what these CAs have revoked (PEM, X509 CRL); at most 16 in 1 MiB |
//! | `devices` | the devices, at most 10,000 |
//!
//! A device:
//!
//! | member | what |
//! |---|---|
//! | `identity` | what the maker's server called it (Chargeable-User-Identity, User-Name), mostly its NAI: 1 to 253 octets |
//! | `name` | a name for it where it is registered; may be left out |
//! | `addresses` | its MAC addresses, at most 16; may be left out |
//! | `mud_url` | where its maker describes what it needs (RFC 8520); may be left out |
//! | `psk` | its EAP-PSK credential: `nai`, whose realm is one of `realms`, and `key`, 32 hexadecimal digits |
//! | `wifi_key` | its Wi-Fi key, 8 to 63 characters, where it has one of its own |
//! | `certificates` | how its certificates are recognised, at most 16, each with exactly one of: `pem` (this one), `sha256` (its fingerprint), `subject_serial` (the attribute serialNumber of its subject), `alt_name` (a subjectAltName), or `issuer_sha256` and `serial` (SHA-256 of the issuer's name, DER, and the serial number, in hexadecimal digits); without `pem` perhaps with `subject`, in words, and `not_after` |
//! | `public_keys` | its raw public keys (RFC 7250), each with `pem` or `sha256` (of the SubjectPublicKeyInfo) |
//!
//! A device without any of the last four is known by its identity only: one of the `authorities` has to vouch for it, with a
//! certificate whose subjectAltName, common name or serialNumber is this identity.
//!
//! What is read may come from anybody. It is read where it lies ([`json`]), so that memory is bounded by what a bundle may hold
//! and not by what an attacker can write; whatever is wrong with a value is found in all entries before anything is refused.

pub mod json;
pub mod jws;
mod read;
mod signer;
mod values;
mod write;

pub use signer::sign;
pub use write::write;

use crate::mac::MacAddr;
use crate::registry::credential::{EapPsk, KnownBy};
use crate::secret::Passphrase;
use crate::time::UnixTime;
use std::sync::Arc;

/// The greatest file, in octets.
pub const LARGEST: usize = 4 << 20;
/// The most devices of one bundle.
pub const MAX_DEVICES: usize = 10_000;
/// The most realms, authorities or revocation lists of one bundle; certificates or addresses of one device.
pub const MAX_PARTS: usize = 16;
/// How much revocation lists may have together, in octets of DER.
pub const LARGEST_LISTS: usize = crate::pki::crl::LARGEST_FILE;
/// The version of the format that is read and written.
pub const VERSION: u64 = 1;

/// What a manufacturer hands over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The manufacturer's name.
    pub maker: Arc<str>,
    /// The realms of its devices, in lower case: `acme.example`, or `*.acme.example`.
    pub realms: Vec<Arc<str>>,
    /// When it was made.
    pub issued: UnixTime,
    /// Until when it may be imported. `None`: for ever.
    pub expires: Option<UnixTime>,
    /// The certificates of its CAs, DER.
    pub authorities: Vec<Vec<u8>>,
    /// Their revocation lists, DER.
    pub lists: Vec<Vec<u8>>,
    /// Its devices.
    pub devices: Vec<Entry>,
}

/// A device of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// What the maker's server called it.
    pub identity: Arc<str>,
    /// A name for it.
    pub name: Option<Arc<str>>,
    /// Its addresses.
    pub addresses: Vec<MacAddr>,
    /// Where its maker describes what it needs.
    pub mud_url: Option<Arc<str>>,
    /// Its EAP-PSK credential.
    pub psk: Option<EapPsk>,
    /// Its Wi-Fi key.
    pub wifi_key: Option<Passphrase>,
    /// Its certificates and public keys.
    pub certificates: Vec<Known>,
}

/// A certificate or public key of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// How it is recognised.
    pub way: Way,
    /// Its subject in words; empty when it was not given whole.
    pub subject: Arc<str>,
    /// Its end, if that is known.
    pub not_after: Option<UnixTime>,
}

/// How a certificate is recognised, before it is said whose: see [`KnownBy`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Way {
    /// SHA-256 of all of it.
    Fingerprint([u8; 32]),
    /// SHA-256 of the issuer's name, and the serial number without leading zeros.
    Serial([u8; 32], Box<[u8]>),
    /// The attribute serialNumber of its subject.
    SubjectSerial(Arc<str>),
    /// A subjectAltName, in lower case.
    AltName(Arc<str>),
    /// SHA-256 of a SubjectPublicKeyInfo.
    PublicKey([u8; 32]),
}

impl Way {
    /// As the registry knows it, when this maker vouches for it.
    pub fn known_by(&self, maker: &Arc<str>) -> KnownBy {
        let maker = maker.clone();
        match self {
            Way::Fingerprint(hash) => KnownBy::Fingerprint(*hash),
            Way::PublicKey(hash) => KnownBy::PublicKey(*hash),
            Way::Serial(issuer, serial) => KnownBy::Serial { maker, issuer: *issuer, serial: serial.clone() },
            Way::SubjectSerial(serial) => KnownBy::SubjectSerial { maker, serial: serial.clone() },
            Way::AltName(name) => KnownBy::AltName { maker, name: name.clone() },
        }
    }

    /// The other way round. `None` when it says nothing about a certificate: what somebody's server calls the device.
    pub fn of(known_by: &KnownBy) -> Option<Way> {
        Some(match known_by {
            KnownBy::Fingerprint(hash) => Way::Fingerprint(*hash),
            KnownBy::PublicKey(hash) => Way::PublicKey(*hash),
            KnownBy::Serial { issuer, serial, .. } => Way::Serial(*issuer, serial.clone()),
            KnownBy::SubjectSerial { serial, .. } => Way::SubjectSerial(serial.clone()),
            KnownBy::AltName { name, .. } => Way::AltName(name.clone()),
            KnownBy::Peer { .. } => return None,
        })
    }
}

/// Something that is wrong with a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: `devices[17].psk.key`, as the JSON is written; empty for the whole.
    pub field: String,
    /// What is wrong and how to mend it. Never quotes a key.
    pub message: String,
}

/// How many faults are listed.
pub const MAX_FAULTS: usize = 200;

impl Bundle {
    /// Reads a plain bundle, of at most [`LARGEST`] octets.
    ///
    /// # Errors
    /// All that is wrong with it, at most [`MAX_FAULTS`]; or where it stops being JSON.
    pub fn read(text: &[u8]) -> Result<Bundle, Vec<Fault>> {
        read::bundle(text)
    }

    /// True when the bundle speaks for identities of this realm.
    pub fn covers(&self, realm: &str) -> bool {
        self.realms.iter().any(|pattern| covers(pattern, realm))
    }
}

/// True when a pattern (`acme.example`, `*.acme.example`) is for this realm, which is compared without case.
pub fn covers(pattern: &str, realm: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(below) => {
            let split = realm.len().checked_sub(below.len()).filter(|at| *at > 0);
            split.and_then(|at| realm.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(below))
        }
        None => pattern.eq_ignore_ascii_case(realm),
    }
}

/// For the fuzzer: anything may be given as a bundle, as a signed one, or as a key, and nothing panics. What is read as a bundle is
/// the same after it was written.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let now = UnixTime(1_800_000_000);
    if let Ok(bundle) = Bundle::read(data) {
        assert_eq!(Bundle::read(write(&bundle).as_bytes()), Ok(bundle));
    }
    if jws::is_signed(data)
        && let Ok(signed) = jws::Signed::read(data)
    {
        let own: Vec<Vec<u8>> = crate::pki::file::certificates(data).unwrap_or_default();
        let _ = signed.verify(&jws::Signers { certificates: own, ..jws::Signers::default() }, now);
        let _ = Bundle::read(signed.payload());
    }
    let _ = jws::Signers::read(data);
}

#[cfg(test)]
mod tests;
