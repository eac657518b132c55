//! From a passphrase and an SSID to a PMK (IEEE 802.11-2020, J.4.1).

use crate::secret::{Passphrase, Pmk};

/// PBKDF2-HMAC-SHA1, 4,096 rounds, 256 bits, the SSID as salt (RFC 8018, 5.2).
///
/// Slow by intention: 16,384 SHA-1 compressions, about 1 ms on a PC and 10 ms on a small router. Derive a PMK once
/// per passphrase and SSID and keep it; never derive on an event loop.
pub fn derive(passphrase: &Passphrase, ssid: &[u8]) -> Pmk {
    Pmk::new(pbkdf2::pbkdf2_hmac_array::<sha1::Sha1, 32>(passphrase.expose().as_bytes(), ssid, 4096))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IEEE 802.11-2020, J.4.2, the three test vectors.
    #[test]
    fn vectors_of_the_standard() {
        for (passphrase, ssid, pmk) in [
            (
                "password",
                &b"IEEE"[..],
                b"\xf4\x2c\x6f\xc5\x2d\xf0\xeb\xef\x9e\xbb\x4b\x90\xb3\x8a\x5f\x90\x2e\x83\xfe\x1b\x13\x5a\x70\xe2\x3a\xed\x76\x2e\x97\x10\xa1\x2e",
            ),
            (
                "ThisIsAPassword",
                b"ThisIsASSID",
                b"\x0d\xc0\xd6\xeb\x90\x55\x5e\xd6\x41\x97\x56\xb9\xa1\x5e\xc3\xe3\x20\x9b\x63\xdf\x70\x7d\xd5\x08\xd1\x45\x81\xf8\x98\x27\x21\xaf",
            ),
            (
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                b"ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
                b"\xbe\xcb\x93\x86\x6b\xb8\xc3\x83\x2c\xb7\x77\xc2\xf5\x59\x80\x7c\x8c\x59\xaf\xcb\x6e\xae\x73\x48\x85\x00\x13\x00\xa9\x81\xcc\x62",
            ),
        ] {
            assert_eq!(derive(&Passphrase::new(passphrase).unwrap(), ssid).expose(), pmk, "{passphrase}");
        }
    }
}
