//! What a device proves itself with over EAP. Its Wi-Fi key, which is older, is a field of the device.

use crate::pki::{CertificateInfo, Voucher};
use crate::secret::EapPskKey;
use crate::time::UnixTime;
use std::sync::Arc;

/// The credentials a device has for EAP.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EapCredentials {
    /// Its EAP-PSK key.
    pub psk: Option<EapPsk>,
    /// Its certificates and raw public keys.
    pub certificates: Vec<Certificate>,
    /// Counts the changes of these credentials, so that what was proved with an older one is not taken for the present one.
    pub serial: u32,
}

/// An EAP-PSK credential (RFC 4764).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EapPsk {
    /// ID_P, a network access identifier (RFC 7542): 1 to 253 octets, unique among all devices, compared octet for octet.
    pub nai: Arc<str>,
    /// The key: 16 octets.
    pub key: EapPskKey,
}

/// A certificate that a device is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// How it is recognised.
    pub known_by: KnownBy,
    /// Its subject in words, for people; empty when it was never seen.
    pub subject: Arc<str>,
    /// Its end. `None`: it has none (99991231235959Z, IEEE 802.1AR), or was never seen.
    pub not_after: Option<UnixTime>,
    /// Where its manufacturer describes what it needs (RFC 8520, 11).
    pub mud_url: Option<Arc<str>>,
    /// It was issued here, under our own CA.
    pub issued: bool,
    /// When it was registered.
    pub since: UnixTime,
}

/// How a certificate is recognised.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KnownBy {
    /// SHA-256 of the whole certificate (DER): this one and no other; who signed it does not matter.
    Fingerprint([u8; 32]),
    /// Issuer and serial number, in certificates of one maker or our own: another maker could name its CA like this issuer.
    Serial {
        /// The maker's name; empty for what was issued here.
        maker: Arc<str>,
        /// SHA-256 of the issuer's name.
        issuer: [u8; 32],
        /// The serial number, big endian, without leading zeros.
        serial: Box<[u8]>,
    },
    /// The attribute serialNumber of the subject (IEEE 802.1AR, 8.6), in certificates of one maker.
    SubjectSerial {
        /// The maker's name.
        maker: Arc<str>,
        /// The serial number.
        serial: Arc<str>,
    },
    /// A subjectAltName (DNS name, e-mail address or URI), in certificates of one maker.
    AltName {
        /// The maker's name.
        maker: Arc<str>,
        /// The name, in lower case: compared without case.
        name: Arc<str>,
    },
    /// Somebody else says so: what the servers of a realm call it (Chargeable-User-Identity, User-Name of the Access-Accept, or
    /// its outer identity).
    Peer {
        /// The name of `config realm`.
        realm: Arc<str>,
        /// The identity, 1 to 253 octets.
        identity: Arc<str>,
    },
    /// A raw public key (RFC 7250): SHA-256 of the SubjectPublicKeyInfo (DER).
    PublicKey([u8; 32]),
}

impl KnownBy {
    /// By issuer and serial number, where somebody vouches for the issuer.
    pub fn serial(info: &CertificateInfo, voucher: &Voucher) -> Option<KnownBy> {
        let maker: Arc<str> = match voucher {
            Voucher::Maker(maker) => maker.clone(),
            Voucher::Ourselves => "".into(),
            Voucher::Registered => return None,
        };
        Some(KnownBy::Serial { maker, issuer: info.issuer_hash, serial: info.serial.clone() })
    }
}

/// Where a device may be: any of these, anywhere if there is none. An SSID and an AP both given must both fit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// On this SSID (of Called-Station-Id), in octets.
    Ssid(Arc<[u8]>),
    /// At this AP: a BSSID (of Called-Station-Id).
    Ap(crate::mac::MacAddr),
}
