//! Which EAP-PSK keys (RFC 4764: 16 octets) are too easy to guess, or too alike to belong to two devices.
//!
//! RFC 4764 asks for a random key: one exchange on the air is enough to try guesses offline, 100,000 and more a second.
//! A key that was typed is therefore refused when it has a pattern, when it is text or the hash of a common password, and
//! when it comes from a Wi-Fi key, which is made for people and may be weaker. Keys that are made here go the same way.
//!
//! For a random key all that is chance, and must be next to impossible: the bounds below say how improbable it is. Per
//! pair of random keys the sum is below 1e-12, so among 10,000 devices a good key is refused once in 10^8 times.
//!
//! A PMK (the hash WPA makes of a Wi-Fi key) is not looked for: PMKs are kept as states of a hash that cannot be compared
//! with 16 of their octets, and deriving 10,000 anew takes a router minutes.

use super::similar::{edit_distance, is_separator};
use super::weak::common_words;
use crate::registry::device::Device;
use crate::secret::{EapPskKey, Passphrase};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// A key has so many different octets. Random: at most 7 different ones with C(256,7)*(7/256)^16 < 1e-12.
const MIN_DIFFERENT: u32 = 8;
/// Of the 15 steps from octet to octet so many are never the same. Random: 256*C(15,9)/256^9 < 1e-15.
const SAME_STEPS: usize = 9;
/// Keys that differ in so many of 128 bits, or fewer, are alike. Random: the sum of C(128,0..=24) / 2^128 < 3e-13.
const NEAR_BITS: u32 = 24;
/// The same for a key that was turned round or reversed, of which there are 36 forms. Random: 36*C(128,8)/2^128 < 1e-24.
const NEAR_BITS_TURNED: u32 = 8;
/// So many digits typed wrong, left out or added make no other key. Random: (2*32*16)^6/6!/2^128 < 1e-20.
const NEAR_DIGITS: usize = 6;
/// A Wi-Fi key with so many digits of a key in a row has them from there. Random: at most 54*23/16^10 < 2e-9, and only for
/// Wi-Fi keys of 63 hexadecimal digits.
const DIGITS_IN_PASSPHRASE: usize = 10;

/// Keys of examples: everybody has seen them. FIPS 197, appendix B; wpa_supplicant's example configuration.
const EXAMPLES: [[u8; 16]; 2] = [
    [0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c],
    [0x06, 0xb4, 0xbe, 0x19, 0xda, 0x28, 0x9f, 0x47, 0x5a, 0xa4, 0x6a, 0x33, 0xcb, 0x79, 0x30, 0x29],
];

/// Why a key is refused. `Display` ends "this key is too weak: "; never quotes the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Few different octets.
    #[error("it has only {0} different octets of 16, a random one has about 15")]
    FewOctets(u32),
    /// Steps of one size, forwards or backwards: 00 01 02 03, 00 11 22 33.
    #[error("its octets are mostly a sequence (such as 00 01 02 03)")]
    Sequence,
    /// Printable ASCII, perhaps filled up.
    #[error("it is text written as octets: whoever guesses words finds it")]
    Text,
    /// An example of a standard or a program.
    #[error("it is a well-known example")]
    Example,
    /// The hash of a common password or of something that is no secret.
    #[error("it is the hash of {0}: whoever guesses words finds it")]
    Hash(&'static str),
}

/// Checks a key for a device of this name and NAI in these networks.
///
/// # Errors
/// Why it is refused.
pub fn check(key: &EapPskKey, device_name: &str, nai: &str, ssids: &[&[u8]]) -> Result<(), Weakness> {
    let octets = key.expose();
    let steps = octets.windows(2).filter_map(|pair| Some(pair.get(1)?.wrapping_sub(*pair.first()?)));
    let steps = Zeroizing::new(steps.collect::<Vec<u8>>());
    if steps.iter().any(|step| steps.iter().filter(|other| *other == step).count() >= SAME_STEPS) {
        return Err(Weakness::Sequence);
    }
    // Filled up with zeros, or with the line end that came along. Random: at most 16*(100/256)^16 < 5e-6.
    let filling = octets.iter().rev().take_while(|octet| matches!(octet, 0 | b'\n' | b'\r')).count();
    if octets.iter().rev().skip(filling).all(|octet| matches!(octet, b' '..=b'~')) {
        return Err(Weakness::Text);
    }
    let different =
        octets.iter().enumerate().filter(|(at, octet)| !octets.iter().take(*at).any(|o| o == *octet)).count();
    let different = different as u32;
    if different < MIN_DIFFERENT {
        return Err(Weakness::FewOctets(different));
    }
    if EXAMPLES.iter().any(|example| relation(octets, example).is_some()) {
        return Err(Weakness::Example);
    }
    if is_hash(octets, device_name.as_bytes()) || is_hash(octets, nai.as_bytes()) {
        return Err(Weakness::Hash("the device's name"));
    }
    if ssids.iter().any(|ssid| is_hash(octets, ssid)) {
        return Err(Weakness::Hash("an SSID"));
    }
    if common_words().any(|word| is_hash(octets, word.as_bytes())) {
        return Err(Weakness::Hash("a common password"));
    }
    Ok(())
}

/// In what way a key is like another secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Similarity {
    /// The same key.
    Equal,
    /// So many of 128 bits differ.
    Bits(u32),
    /// So many hexadecimal digits typed wrong, left out or added make one of the other.
    Digits(usize),
    /// The same octets or digits, turned round, reversed or inverted.
    Turned,
    /// It stands in a Wi-Fi key in hexadecimal digits.
    InPassphrase,
    /// It is the beginning of a hash (MD5, SHA-1, SHA-256) of a Wi-Fi key.
    HashOfPassphrase,
}

impl Similarity {
    /// The reason for a refusal of a new EAP-PSK key, because of a key of `whose` device. Quotes neither.
    pub fn describe(self, whose: &str) -> String {
        match self {
            Similarity::Equal => format!("is the EAP-PSK key of '{whose}'"),
            Similarity::Bits(n) => format!("differs from the EAP-PSK key of '{whose}' in {n} of 128 bits only"),
            Similarity::Digits(1) => format!("differs from the EAP-PSK key of '{whose}' in 1 digit only"),
            Similarity::Digits(n) => format!("differs from the EAP-PSK key of '{whose}' in {n} digits only"),
            Similarity::Turned => format!("is the EAP-PSK key of '{whose}' turned round, reversed or inverted"),
            Similarity::InPassphrase => format!("stands in the Wi-Fi key of '{whose}'"),
            Similarity::HashOfPassphrase => format!("is the hash of the Wi-Fi key of '{whose}'"),
        }
    }

    /// The same for a new Wi-Fi key, because of the EAP-PSK key of `whose` device.
    pub fn describe_passphrase(self, whose: &str) -> String {
        match self {
            Similarity::HashOfPassphrase => format!("hashed is the EAP-PSK key of '{whose}'"),
            _ => format!("contains the EAP-PSK key of '{whose}' in hexadecimal digits"),
        }
    }
}

/// What is kept of a device's keys to compare EAP-PSK keys fast: 16 octets. `Debug` shows nothing of them.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Signature {
    /// For each hexadecimal digit of the EAP-PSK key four bits: it is there once, twice, three, four times or more.
    digits: u64,
    /// The first two octets of MD5, SHA-1 and SHA-256 of the Wi-Fi key; zeros without one.
    hashes: [u16; 3],
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(redacted)")
    }
}

impl Signature {
    /// The signature of a device's keys.
    pub fn of(device: &Device) -> Signature {
        let psk = device.eap.as_ref().and_then(|eap| eap.psk.as_ref());
        let hashes = device.key.as_ref().map(|key| hashes(key.expose().as_bytes()));
        Signature {
            digits: psk.map_or(0, |psk| histogram(psk.key.expose())),
            hashes: hashes.map_or([0; 3], |hashes| hashes.map(|hash| beginning(&hash))),
        }
    }
}

/// Compares a new key with the keys of another device.
pub fn similar(new: &EapPskKey, old: &Device, signature: &Signature) -> Option<Similarity> {
    let psk = old.eap.as_ref().and_then(|eap| eap.psk.as_ref());
    psk.and_then(|psk| {
        let (new, old) = (new.expose(), psk.key.expose());
        // Each edit changes one digit, and so sets at most one bit and clears at most one; a form turned round has the
        // same digits. Bits that differ, and inversion, are compared without this.
        let mine = histogram(new);
        let edits = (mine & !signature.digits).count_ones().max((signature.digits & !mine).count_ones());
        if edits > NEAR_BITS_TURNED { near(new, old) } else { relation(new, old) }
    })
}

/// Compares a new key with the Wi-Fi key of a device, which may be its own.
pub fn derived(new: &EapPskKey, old: &Device, signature: &Signature) -> Option<Similarity> {
    let passphrase = old.key.as_ref()?;
    if signature.hashes.contains(&beginning(new.expose())) && is_hash(new.expose(), passphrase.expose().as_bytes()) {
        return Some(Similarity::HashOfPassphrase);
    }
    contains(passphrase, &digits(new.expose())).then_some(Similarity::InPassphrase)
}

/// Compares a new key with a passphrase of which no signature is kept.
pub fn derived_from(new: &EapPskKey, passphrase: &Passphrase) -> Option<Similarity> {
    if is_hash(new.expose(), passphrase.expose().as_bytes()) {
        return Some(Similarity::HashOfPassphrase);
    }
    contains(passphrase, &digits(new.expose())).then_some(Similarity::InPassphrase)
}

/// Compares a new Wi-Fi key with the EAP-PSK key of a device, which may be its own.
pub fn derives(new: &Passphrase, hashes: &Hashes, old: &Device) -> Option<Similarity> {
    let psk = old.eap.as_ref()?.psk.as_ref()?;
    if hashes.0.contains(psk.key.expose()) {
        return Some(Similarity::HashOfPassphrase);
    }
    contains(new, &digits(psk.key.expose())).then_some(Similarity::InPassphrase)
}

/// The first 16 octets of the hashes that people make keys with.
pub struct Hashes([[u8; 16]; 3]);

impl Hashes {
    /// Those of a Wi-Fi key.
    pub fn of(passphrase: &Passphrase) -> Hashes {
        Hashes(hashes(passphrase.expose().as_bytes()))
    }
}

impl Drop for Hashes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

fn near(a: &[u8; 16], b: &[u8; 16]) -> Option<Similarity> {
    let differing = (u128::from_be_bytes(*a) ^ u128::from_be_bytes(*b)).count_ones();
    match differing {
        0 => Some(Similarity::Equal),
        1..=NEAR_BITS => Some(Similarity::Bits(differing)),
        _ if differing >= 128 - NEAR_BITS => Some(Similarity::Turned),
        _ => None,
    }
}

fn relation(a: &[u8; 16], b: &[u8; 16]) -> Option<Similarity> {
    let digits_apart = edit_distance(digits(a).as_slice(), digits(b).as_slice());
    match near(a, b) {
        // One digit is up to four bits: digits are what was typed.
        Some(Similarity::Bits(_)) | None if digits_apart <= NEAR_DIGITS => {
            return Some(Similarity::Digits(digits_apart));
        }
        Some(similarity) => return Some(similarity),
        None => {}
    }
    let (a, b) = (u128::from_be_bytes(*a), u128::from_be_bytes(*b));
    let low = u128::from_be_bytes([0x0f; 16]);
    let digits_swapped = (b & low) << 4 | (b >> 4) & low;
    let turned = (1..32).map(|digits| b.rotate_left(4 * digits));
    let reversed = [b.swap_bytes(), digits_swapped, digits_swapped.swap_bytes(), b.reverse_bits()];
    let words = words_swapped(b);
    let mut forms = turned.chain(reversed).chain(words);
    forms.any(|form| (a ^ form).count_ones() <= NEAR_BITS_TURNED).then_some(Similarity::Turned)
}

/// With the octets of each word of 2, 4 or 8 octets reversed, as a processor of the other byte order reads it.
fn words_swapped(key: u128) -> [u128; 3] {
    [2, 4, 8].map(|size| {
        let mut octets = key.to_be_bytes();
        octets.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        u128::from_be_bytes(octets)
    })
}

/// In lower-case hexadecimal digits.
fn digits(key: &[u8; 16]) -> Zeroizing<[u8; 32]> {
    let mut text = Zeroizing::new([0; 32]);
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
    for (place, octet) in text.chunks_exact_mut(2).zip(key) {
        place.copy_from_slice(&[digit(octet >> 4), digit(octet & 15)]);
    }
    text
}

fn histogram(key: &[u8; 16]) -> u64 {
    key.iter().flat_map(|octet| [octet >> 4, octet & 15]).fold(0, |counted: u64, digit| {
        let place = 4 * digit;
        let had = counted >> place & 15;
        counted | ((had << 1 | 1) & 15) << place
    })
}

/// True when a Wi-Fi key has a stretch of a key's digits, whatever its case and separators.
fn contains(passphrase: &Passphrase, digits: &[u8; 32]) -> bool {
    let folded =
        passphrase.expose().bytes().filter(|octet| !is_separator(*octet)).map(|octet| octet.to_ascii_lowercase());
    let mut text = Zeroizing::new([0u8; 64]);
    let (mut length, mut run, mut longest) = (0, 0, 0);
    for (place, octet) in text.iter_mut().zip(folded) {
        *place = octet;
        length += 1;
        run = if octet.is_ascii_hexdigit() { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let text = text.get(..length).unwrap_or_default();
    longest >= DIGITS_IN_PASSPHRASE
        && digits.windows(DIGITS_IN_PASSPHRASE).any(|part| text.windows(part.len()).any(|window| window == part))
}

fn hashes(text: &[u8]) -> [[u8; 16]; 3] {
    let cut = |hash: &[u8]| {
        let mut first = [0; 16];
        first.iter_mut().zip(hash).for_each(|(place, octet)| *place = *octet);
        first
    };
    [cut(&Md5::digest(text)), cut(&Sha1::digest(text)), cut(&Sha256::digest(text))]
}

fn is_hash(key: &[u8; 16], text: &[u8]) -> bool {
    hashes(text).contains(key)
}

fn beginning(octets: &[u8; 16]) -> u16 {
    let [first, second, ..] = *octets;
    u16::from_be_bytes([first, second])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::credential::{EapCredentials, EapPsk};
    use crate::registry::tests::device;
    use proptest::prelude::*;

    fn octets(hex: &str) -> [u8; 16] {
        let hex = hex.replace(' ', "");
        u128::from_str_radix(&hex, 16).unwrap_or_else(|_| panic!("{hex}")).to_be_bytes()
    }

    fn key(hex: &str) -> EapPskKey {
        EapPskKey::new(octets(hex))
    }

    fn with_key(hex: &str) -> Device {
        let psk = EapPsk { nai: "lamp@x".into(), key: key(hex) };
        let eap = EapCredentials { psk: Some(psk), ..EapCredentials::default() };
        Device { key: None, eap: Some(Box::new(eap)), ..device(1, "lamp", "iot", "") }
    }

    #[test]
    fn weak_keys() {
        let md5_of = |text: &str| format!("{:032x}", u128::from_be_bytes(hashes(text.as_bytes())[0]));
        let sha256_of = |text: &str| format!("{:032x}", u128::from_be_bytes(hashes(text.as_bytes())[2]));
        for (hex, expected) in [
            ("00000000000000000000000000000000", Err(Weakness::Sequence)),
            ("ffffffffffffffffffffffffffffffff", Err(Weakness::Sequence)),
            ("000102030405060708090a0b0c0d0e0f", Err(Weakness::Sequence)),
            ("0f0e0d0c0b0a09080706050403020100", Err(Weakness::Sequence)),
            ("00112233445566778899aabbccddeeff", Err(Weakness::Sequence)),
            ("0123456789abcdef0123456789abcdef", Err(Weakness::Sequence)),
            ("0102030405060708090a77b1c250e399", Err(Weakness::Sequence)),
            ("deadbeefdeadbeefdeadbeefdeadbeef", Err(Weakness::FewOctets(4))),
            ("9f3c61e80b27d45a9f3c61e89f3c61e8", Ok(())),
            ("9f3c61e80b27d49f3c61e80b27d49f3c", Err(Weakness::FewOctets(7))),
            // "correcthorsebatt", "kitchen lamp" filled up, with a line end.
            ("636f7272656374686f72736562617474", Err(Weakness::Text)),
            ("6b69746368656e206c616d7000000000", Err(Weakness::Text)),
            ("6b69746368656e206c616d703132330a", Err(Weakness::Text)),
            ("2b7e151628aed2a6abf7158809cf4f3c", Err(Weakness::Example)),
            ("06b4be19da289f475aa46a33cb793028", Err(Weakness::Example)),
            (&md5_of("password"), Err(Weakness::Hash("a common password"))),
            (&sha256_of("letmein"), Err(Weakness::Hash("a common password"))),
            (&md5_of("lamp"), Err(Weakness::Hash("the device's name"))),
            (&sha256_of("lamp.x3k7@home"), Err(Weakness::Hash("the device's name"))),
            (&md5_of("Home"), Err(Weakness::Hash("an SSID"))),
            ("9f3c61e80b27d45aa6107ef3c8923b5d", Ok(())),
        ] {
            assert_eq!(check(&key(hex), "lamp", "lamp.x3k7@home", &[b"Home"]), expected, "{hex}");
        }
    }

    #[test]
    fn like_the_key_of_another() {
        use Similarity::*;
        let old = "9f3c61e80b27d45aa6107ef3c8923b5d";
        for (new, expected) in [
            (old, Some(Equal)),
            ("9f3c61e80b27d45aa6107ef3c8923b5e", Some(Digits(1))),
            // One left out and one added: the rest has shifted by a digit.
            ("9f3c61e8b27d45aa6107ef3c8923b5d7", Some(Digits(2))),
            ("f3c61e80b27d45aa6107ef3c8923b5d0", Some(Digits(2))),
            ("0f3c62e80b37d45aa6117ef3c8923c5d", Some(Digits(5))),
            // 18 digits, 19 bits.
            ("8e2d70f91a36c54ba6107ef3c8923bde", Some(Bits(19))),
            ("3c61e80b27d45aa6107ef3c8923b5d9f", Some(Digits(4))),
            ("a6107ef3c8923b5d9f3c61e80b27d45a", Some(Turned)),
            ("5d3b92c8f37e10a65ad4270be8613c9f", Some(Turned)),
            ("d5b3298c3fe7016aa54d72b08e16c3f9", Some(Turned)),
            ("f9c3168eb0724da56a01e73f8c29b3d5", Some(Turned)),
            ("e8613c9f5ad4270bf37e10a65d3b92c8", Some(Turned)),
            ("60c39e17f4d82ba559ef810c376dc4a2", Some(Turned)),
            ("60c39e17f4d82ba559ef810c376dc4ff", Some(Turned)),
            ("7d1e4fa9936b02c58f20d4b817ea5c36", None),
        ] {
            let old = with_key(old);
            let signature = Signature::of(&old);
            assert_eq!(similar(&key(new), &old, &signature), expected, "{new}");
        }
        assert_eq!(similar(&key(old), &device(1, "tv", "iot", "k7m3p-xw9tq-rrdfg"), &Signature::default()), None);
    }

    #[test]
    fn from_a_wifi_key_and_back() {
        let text = "k7m3p-xw9tq-rrdfg";
        let tv = device(1, "tv", "iot", text);
        for (at, how) in hashes(text.as_bytes()).into_iter().zip(["MD5", "SHA-1", "SHA-256"]) {
            let new = EapPskKey::new(at);
            assert_eq!(derived(&new, &tv, &Signature::of(&tv)), Some(Similarity::HashOfPassphrase), "{how}");
            let lamp = with_key(&format!("{:032x}", u128::from_be_bytes(at)));
            let passphrase = Passphrase::new(text).unwrap();
            assert_eq!(
                derives(&passphrase, &Hashes::of(&passphrase), &lamp),
                Some(Similarity::HashOfPassphrase),
                "{how}"
            );
        }
        let lamp = with_key("9f3c61e80b27d45aa6107ef3c8923b5d");
        for (text, expected) in [
            ("9f3c61e80b27d45aa6107ef3c8923b5d", Some(Similarity::InPassphrase)),
            ("9F3C61E8-0B27D45A-A6107EF3-C8923B5D", Some(Similarity::InPassphrase)),
            ("9f3c61e80b27d45a", Some(Similarity::InPassphrase)),
            ("my key is 07ef3c8923!", Some(Similarity::InPassphrase)),
            ("my key is 07ef3c892", None),
            ("k7m3p-xw9tq-rrdfg", None),
        ] {
            let passphrase = Passphrase::new(text).unwrap();
            assert_eq!(derives(&passphrase, &Hashes::of(&passphrase), &lamp), expected, "{text}");
            let tv = device(1, "tv", "iot", text);
            assert_eq!(derived(&key("9f3c61e80b27d45aa6107ef3c8923b5d"), &tv, &Signature::of(&tv)), expected, "{text}");
        }
    }

    #[test]
    fn reasons_name_the_device_and_no_key() {
        assert_eq!(Similarity::Digits(1).describe("tv"), "differs from the EAP-PSK key of 'tv' in 1 digit only");
        assert_eq!(Similarity::HashOfPassphrase.describe("tv"), "is the hash of the Wi-Fi key of 'tv'");
        assert_eq!(format!("{:?}", Signature::of(&with_key("00"))), "Signature(redacted)");
        assert!(size_of::<Signature>() <= 16);
    }

    /// The bounds that the constants promise, computed.
    #[test]
    fn random_keys_are_hardly_ever_refused() {
        let choose = |n: u32, k: u32| (0..k).fold(1.0, |c, i| c * f64::from(n - i) / f64::from(i + 1));
        let near: f64 = (0..=NEAR_BITS).map(|k| choose(128, k)).sum::<f64>() / 2f64.powi(128);
        assert!(near < 3e-13, "{near:e}");
        let turned = 36.0 * (0..=NEAR_BITS_TURNED).map(|k| choose(128, k)).sum::<f64>() / 2f64.powi(128);
        assert!(turned < 1e-24, "{turned:e}");
        let few = choose(256, 7) * (7.0 / 256f64).powi(16);
        assert!(few < 2e-12, "{few:e}");
        let steps = 256.0 * choose(15, SAME_STEPS as u32) / 256f64.powi(SAME_STEPS as i32);
        assert!(steps < 1e-15, "{steps:e}");
        let digits = 1024f64.powi(NEAR_DIGITS as i32) / 720.0 / 2f64.powi(128);
        assert!(digits < 1e-20, "{digits:e}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// The signature rules out no similar pair.
        #[test]
        fn signatures_lose_nothing(
            a: u128, b: u128, edits in prop::collection::vec((0..32u32, 0..16u128), 0..8), turn in 0..32u32, form in 0..4u8
        ) {
            let changed = edits.iter().fold(a.rotate_left(4 * turn), |key, (at, digit)| {
                key & !(15 << (4 * at)) | digit << (4 * at)
            });
            let b = match form { 0 => b, 1 => changed.swap_bytes(), _ => changed };
            let (a, b) = (a.to_be_bytes(), b.to_be_bytes());
            let old = with_key(&format!("{:032x}", u128::from_be_bytes(b)));
            prop_assert_eq!(similar(&EapPskKey::new(a), &old, &Signature::of(&old)), relation(&a, &b));
        }

        #[test]
        fn random_keys_pass(new: [u8; 16], old: [u8; 16]) {
            prop_assert_eq!(near(&new, &old), None);
            prop_assert_eq!(relation(&new, &old), None);
        }
    }
}
