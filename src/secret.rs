//! Secrets are types of their own: redacted in `Debug`, without `Display`, wiped on drop.

use hmac::{Hmac, KeyInit};
use md5::Md5;
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

macro_rules! redacted {
    ($type:ty) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($type), "(redacted)"))
            }
        }
    };
}

/// A WPA passphrase: 8 to 63 printable ASCII characters (IEEE 802.11-2020, J.4.1).
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<Box<str>>);
redacted!(Passphrase);

/// Why a text cannot be a WPA passphrase. Never quotes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// Shorter than 8 or longer than 63 characters.
    #[error("a Wi-Fi key has 8 to 63 characters, this one has {0}")]
    Length(usize),
    /// 64 hexadecimal digits: a PMK, which fits one SSID only.
    #[error("64 hexadecimal digits are a computed key (PMK) for one SSID only: give the passphrase it was made from")]
    Pmk,
    /// Something outside printable ASCII (0x20 to 0x7e).
    #[error("a Wi-Fi key may only have printable ASCII characters: no umlauts, tabs or line ends")]
    Character,
}

impl Passphrase {
    /// Checks and takes a passphrase.
    pub fn new(text: &str) -> Result<Passphrase, PassphraseError> {
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(PassphraseError::Pmk);
        }
        if !text.bytes().all(|b| (0x20..=0x7e).contains(&b)) {
            return Err(PassphraseError::Character);
        }
        if !(8..=63).contains(&text.len()) {
            return Err(PassphraseError::Length(text.len()));
        }
        Ok(Passphrase(Zeroizing::new(text.into())))
    }

    /// The characters, for the places that must have them: key derivation, the answer to the NAS, QR codes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A pairwise master key: 32 octets, from a passphrase and an SSID.
#[derive(Clone, PartialEq, Eq)]
pub struct Pmk([u8; 32]);
redacted!(Pmk);

impl Pmk {
    /// Takes the octets of a key.
    pub fn new(octets: [u8; 32]) -> Pmk {
        Pmk(octets)
    }

    /// The octets, for the key search and the answer to the NAS.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for Pmk {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// An EAP-PSK key: 16 octets (RFC 4764, 3).
#[derive(Clone, PartialEq, Eq)]
pub struct EapPskKey([u8; 16]);
redacted!(EapPskKey);

impl EapPskKey {
    /// Takes the octets of a key.
    pub fn new(octets: [u8; 16]) -> EapPskKey {
        EapPskKey(octets)
    }

    /// The octets, for the key derivation and for whoever feeds them into the device.
    pub fn expose(&self) -> &[u8; 16] {
        &self.0
    }
}

impl Drop for EapPskKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The key that pseudonyms of addresses are made with: 32 octets.
#[derive(Clone, PartialEq, Eq)]
pub struct PseudonymKey([u8; 32]);
redacted!(PseudonymKey);

impl PseudonymKey {
    /// Takes the octets of a key.
    pub fn new(octets: [u8; 32]) -> PseudonymKey {
        PseudonymKey(octets)
    }

    /// The octets, for making pseudonyms and for the file that keeps them.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for PseudonymKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What an EAP method exports (RFC 5247, 1.4). The EMSK is not kept: nothing uses it.
#[derive(Clone, PartialEq, Eq)]
pub struct EapKeys {
    /// Master session key: its halves are MS-MPPE-Recv-Key and MS-MPPE-Send-Key.
    msk: [u8; 64],
    /// Session-Id, 33 to 65 octets: EAP-Key-Name (RFC 7268, 2.2). No secret.
    session_id: Box<[u8]>,
}
redacted!(EapKeys);

impl EapKeys {
    /// Takes what a method exports.
    pub fn new(msk: [u8; 64], session_id: &[u8]) -> EapKeys {
        EapKeys { msk, session_id: session_id.into() }
    }

    /// The master session key, for the NAS.
    pub fn msk(&self) -> &[u8; 64] {
        &self.msk
    }

    /// The Session-Id.
    pub fn session_id(&self) -> &[u8] {
        &self.session_id
    }
}

impl Drop for EapKeys {
    fn drop(&mut self) {
        self.msk.zeroize();
    }
}

/// The secret shared with a RADIUS client (RFC 2865, 3): any octets, at least one. The state of its HMAC is kept
/// beside it: a third of what a Message-Authenticator costs.
#[derive(Clone)]
pub struct RadiusSecret {
    octets: Zeroizing<Box<[u8]>>,
    /// Wiped on drop, by the `zeroize` feature of the crates.
    hmac_md5: Option<Hmac<Md5>>,
}
redacted!(RadiusSecret);

impl PartialEq for RadiusSecret {
    fn eq(&self, other: &RadiusSecret) -> bool {
        self.octets == other.octets
    }
}

impl Eq for RadiusSecret {}

impl RadiusSecret {
    /// Takes the octets of a secret; the configuration checks its strength.
    pub fn new(octets: &[u8]) -> RadiusSecret {
        // HMAC takes a key of any length, so there always is one.
        RadiusSecret { octets: Zeroizing::new(octets.into()), hmac_md5: Hmac::new_from_slice(octets).ok() }
    }

    /// The octets, for the packet authenticators.
    pub fn expose(&self) -> &[u8] {
        &self.octets
    }

    /// HMAC-MD5 with this secret as its key, before the first octet (RFC 3579, 3.2).
    pub fn hmac_md5(&self) -> Option<Hmac<Md5>> {
        self.hmac_md5.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passphrases_are_checked() {
        assert!(Passphrase::new("12345678").is_ok());
        assert!(Passphrase::new(&"x".repeat(63)).is_ok());
        assert_eq!(Passphrase::new("1234567"), Err(PassphraseError::Length(7)));
        assert_eq!(Passphrase::new(&"x".repeat(64)), Err(PassphraseError::Length(64)));
        assert_eq!(Passphrase::new(&"a0".repeat(32)), Err(PassphraseError::Pmk));
        assert_eq!(Passphrase::new("schlüssel"), Err(PassphraseError::Character));
        assert_eq!(Passphrase::new("line\nend."), Err(PassphraseError::Character));
    }

    #[test]
    fn debug_shows_nothing() {
        let shown = format!(
            "{:?} {:?} {:?}",
            Passphrase::new("open sesame"),
            Pmk::new([7; 32]),
            RadiusSecret::new(b"testing123")
        );
        assert!(!shown.contains("sesame") && !shown.contains("7, 7") && !shown.contains("testing"), "{shown}");
    }
}
