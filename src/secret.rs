//! Secrets are types of their own: redacted in `Debug`, without `Display`, wiped on drop.

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

/// The secret shared with a RADIUS client (RFC 2865, 3): any octets, at least one.
#[derive(Clone, PartialEq, Eq)]
pub struct RadiusSecret(Zeroizing<Box<[u8]>>);
redacted!(RadiusSecret);

impl RadiusSecret {
    /// Takes the octets of a secret; the configuration checks its strength.
    pub fn new(octets: &[u8]) -> RadiusSecret {
        RadiusSecret(Zeroizing::new(octets.into()))
    }

    /// The octets, for the packet authenticators.
    pub fn expose(&self) -> &[u8] {
        &self.0
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
