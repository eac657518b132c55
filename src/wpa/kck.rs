//! From a PMK to the key confirmation key of one handshake (IEEE 802.11-2020, 12.7.1).
//!
//! Only the KCK, the first 128 bits of the PTK, is made: one round of the PRF or KDF. Everything that does not depend
//! on the PMK is prepared once per handshake.

use super::akm::Akm;
use super::candidate::Candidate;
use super::hmac::{Key, Message, Sha1, Sha256};
use crate::mac::MacAddr;
use zeroize::Zeroizing;

/// The key confirmation key: 128 bits with every AKM searched here.
pub(super) type Kck = Zeroizing<[u8; 16]>;

/// The two ends and their nonces.
pub(super) struct Parties<'a> {
    /// The authenticator's address (AA, or BSSID with FT): with Wi-Fi 7 its MLD address.
    pub(super) ap: MacAddr,
    /// The supplicant's address (SPA), likewise.
    pub(super) sta: MacAddr,
    /// The authenticator's nonce.
    pub(super) anonce: &'a [u8; 32],
    /// The supplicant's nonce.
    pub(super) snonce: &'a [u8; 32],
}

/// What the FT key hierarchy takes in besides keys and parties.
pub(super) struct FtContext<'a> {
    /// SSID, 1 to 32 octets.
    pub(super) ssid: &'a [u8],
    /// MDID.
    pub(super) mobility_domain: [u8; 2],
    /// R0KH-ID, 1 to 48 octets.
    pub(super) r0kh_id: &'a [u8],
    /// R1KH-ID.
    pub(super) r1kh_id: [u8; 6],
}

/// A derivation with everything ready but the PMK.
pub(super) enum Derivation {
    /// PRF-SHA1 of the PMK (AKM 2).
    Prf(Message<Sha1>),
    /// KDF-SHA256 of the PMK (AKM 6).
    Kdf(Message<Sha256>),
    /// PMK to PMK-R0 to PMK-R1 to PTK (AKM 4).
    Ft {
        /// Makes PMK-R0.
        r0: Message<Sha256>,
        /// Makes PMK-R1.
        r1: Message<Sha256>,
        /// Makes the PTK.
        ptk: Message<Sha256>,
    },
}

/// The message of the first round of KDF-SHA256 for a key of `bits` bits (12.7.1, key derivation function).
///
/// The length goes into the hash: a KCK of a 384-bit PTK differs from that of a 512-bit one.
fn kdf(label: &[u8], context: &[&[u8]], bits: u16) -> Message<Sha256> {
    let (counter, bits) = (1u16.to_le_bytes(), bits.to_le_bytes());
    Message::new(&[&[&counter, label], context, &[&bits]].concat())
}

impl Derivation {
    /// PTK = PRF-Length(PMK, "Pairwise key expansion", addresses and nonces in order) (12.7.1.2, 12.7.1.3).
    pub(super) fn psk(parties: &Parties<'_>) -> Derivation {
        let [a, b, c, d] = ordered(parties);
        Derivation::Prf(Message::new(&[b"Pairwise key expansion\0", a, b, c, d, &[0]]))
    }

    /// The same with KDF-SHA256; `bits` is the length of the whole PTK.
    pub(super) fn psk_sha256(parties: &Parties<'_>, bits: u16) -> Derivation {
        Derivation::Kdf(kdf(b"Pairwise key expansion", &ordered(parties), bits))
    }

    /// The FT key hierarchy (12.7.1): PMK-R0, PMK-R1, PTK; `bits` is the length of the whole PTK.
    pub(super) fn ft(parties: &Parties<'_>, context: &FtContext<'_>, bits: u16) -> Derivation {
        // Both identities are bounded by their elements, far below 256.
        let (ssid_len, r0kh_len) = ([context.ssid.len() as u8], [context.r0kh_id.len() as u8]);
        let sta = &parties.sta.0;
        Derivation::Ft {
            // R0-Key-Data is PMK-R0 (256 bits) and the salt of its name (128 bits).
            r0: kdf(
                b"FT-R0",
                &[&ssid_len, context.ssid, &context.mobility_domain, &r0kh_len, context.r0kh_id, sta],
                384,
            ),
            r1: kdf(b"FT-R1", &[&context.r1kh_id, sta], 256),
            ptk: kdf(b"FT-PTK", &[parties.snonce, parties.anonce, &parties.ap.0, sta], bits),
        }
    }

    /// The AKM it belongs to.
    pub(super) fn akm(&self) -> Akm {
        match self {
            Derivation::Prf(_) => Akm::Psk,
            Derivation::Kdf(_) => Akm::PskSha256,
            Derivation::Ft { .. } => Akm::FtPsk,
        }
    }

    /// The KCK under this candidate's PMK.
    pub(super) fn kck(&self, candidate: &Candidate) -> Kck {
        Zeroizing::new(match self {
            Derivation::Prf(message) => candidate.sha1_key().mac(message),
            Derivation::Kdf(message) => Key::new(candidate.pmk().expose()).mac(message),
            Derivation::Ft { r0, r1, ptk } => {
                let pmk_r0: Zeroizing<[u8; 32]> = Zeroizing::new(Key::new(candidate.pmk().expose()).mac(r0));
                let pmk_r1: Zeroizing<[u8; 32]> = Zeroizing::new(Key::new(&pmk_r0).mac(r1));
                Key::new(&pmk_r1).mac(ptk)
            }
        })
    }
}

/// Min(AA, SPA), Max(AA, SPA), Min(ANonce, SNonce), Max(ANonce, SNonce).
fn ordered<'a>(parties: &'a Parties<'a>) -> [&'a [u8]; 4] {
    let (a, b) = (&parties.ap.0, &parties.sta.0);
    let (c, d) = (parties.anonce, parties.snonce);
    [a.min(b), a.max(b), c.min(d), c.max(d)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Pmk;

    /// The pairwise key example of IEEE 802.11-2020, annex J.
    #[test]
    fn the_kck_of_the_standard() {
        let pmk = b"\x0d\xc0\xd6\xeb\x90\x55\x5e\xd6\x41\x97\x56\xb9\xa1\x5e\xc3\xe3\x20\x9b\x63\xdf\x70\x7d\xd5\x08\xd1\x45\x81\xf8\x98\x27\x21\xaf";
        let anonce = b"\xe0\xe1\xe2\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9\xfa\xfb\xfc\xfd\xfe\xff\0\x01\x02\x03\x04\x05";
        let snonce = b"\xc0\xc1\xc2\xc3\xc4\xc5\xc6\xc7\xc8\xc9\xd0\xd1\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\xdb\xdc\xdd\xde\xdf\xe0\xe1\xe2\xe3\xe4\xe5";
        let parties = Parties {
            ap: MacAddr([0xa0, 0xa1, 0xa1, 0xa3, 0xa4, 0xa5]),
            sta: MacAddr([0xb0, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5]),
            anonce,
            snonce,
        };
        let kck = Derivation::psk(&parties).kck(&Candidate::new(Pmk::new(*pmk)));
        assert_eq!(*kck, *b"\x37\x9f\x98\x52\xd0\x19\x92\x36\xb9\x4e\x40\x7c\xe4\xc0\x0e\xc8");
    }

    /// Which end is greater must not matter, who sent which nonce neither.
    #[test]
    fn the_order_is_by_value() {
        let (low, high) = (MacAddr([0, 0xff, 0xff, 0xff, 0xff, 0xff]), MacAddr([1, 0, 0, 0, 0, 0]));
        let candidate = Candidate::new(Pmk::new([7; 32]));
        let kck = |ap, sta, anonce, snonce| *Derivation::psk(&Parties { ap, sta, anonce, snonce }).kck(&candidate);
        assert_eq!(kck(low, high, &[1; 32], &[2; 32]), kck(high, low, &[2; 32], &[1; 32]));
        assert_ne!(kck(low, high, &[1; 32], &[2; 32]), kck(low, high, &[1; 32], &[3; 32]));
    }
}
