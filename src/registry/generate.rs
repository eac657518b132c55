//! Keys that latchkey makes up, and which names devices may have.

use crate::secret::Passphrase;
use zeroize::Zeroizing;

/// Lower-case letters and digits of which no two look alike: no `i l o`, no `0 1 2 5 8 9` beside `o l z s b g`.
/// Every one is a plain character in the QR code's `WIFI:` text, where `\ ; , : "` would need escapes.
const ALPHABET: &[u8; 27] = b"abcdefghjkmnpqrstuvwxyz3467";

/// Groups of characters in a key, joined by hyphens.
const GROUPS: usize = 4;
/// Characters in a group.
const GROUP: usize = 5;

/// Makes a key such as `kq7rm-t3nwx-7dbcf-yhv6p`: 20 characters of 27, all keys equally likely, 95.1 bits.
///
/// `random` fills a slice with octets from the system's generator. Octets of 243 and above are thrown away (243 is
/// 9 times 27), so a source that yields nothing else would never end.
pub fn generate_key(random: &mut impl FnMut(&mut [u8])) -> Passphrase {
    loop {
        let mut text = Zeroizing::new(String::with_capacity(GROUPS * (GROUP + 1)));
        let mut octets = Zeroizing::new([0u8; 32]);
        let mut taken = 0;
        while taken < GROUPS * GROUP {
            random(octets.as_mut_slice());
            for octet in octets.iter() {
                if taken == GROUPS * GROUP {
                    break;
                }
                let Some(character) = character(*octet) else { continue };
                if taken > 0 && taken % GROUP == 0 {
                    text.push('-');
                }
                text.push(character);
                taken += 1;
            }
        }
        // Always a passphrase: 23 printable characters.
        if let Ok(key) = Passphrase::new(&text) {
            return key;
        }
    }
}

fn character(octet: u8) -> Option<char> {
    let fair = 256 / ALPHABET.len() * ALPHABET.len();
    let index = usize::from(octet);
    (index < fair).then(|| ALPHABET.get(index % ALPHABET.len()).copied().map(char::from)).flatten()
}

/// Why a text cannot be a device's name. `Display` names the mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or more than 32 characters.
    #[error("a name has 1 to 32 characters, this one has {0}: choose a {short} one", short = if *.0 == 0 { "longer" } else { "shorter" })]
    Length(usize),
    /// Something else than letters, digits, `.`, `_` and `-`.
    #[error("a name may only have the letters a to z and A to Z, digits, and . _ - : write kitchen-lamp")]
    Character,
    /// A punctuation mark at the beginning: an option or a hidden file to other programs.
    #[error("a name begins with a letter or digit: write lamp1, not -lamp1")]
    Beginning,
}

/// Checks a device's name: 1 to 32 of `A-Z a-z 0-9 . _ -`, the first a letter or digit.
pub fn valid_name(name: &str) -> Result<(), NameError> {
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return Err(NameError::Character);
    }
    if !(1..=32).contains(&name.len()) {
        return Err(NameError::Length(name.len()));
    }
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(NameError::Beginning);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::similar::fold;
    use crate::registry::weak;

    /// Yields the octets 0, 1, 2, ... 255, 0, ...
    fn counter(mut next: u8) -> impl FnMut(&mut [u8]) {
        move |octets| {
            for octet in octets {
                *octet = next;
                next = next.wrapping_add(1);
            }
        }
    }

    #[test]
    fn literal_keys() {
        assert_eq!(generate_key(&mut counter(0)).expose(), "abcde-fghjk-mnpqr-stuvw");
        assert_eq!(generate_key(&mut counter(240)).expose(), "467ab-cdefg-hjkmn-pqrst");
    }

    #[test]
    fn unbiased_and_strong() {
        let mut counts = [0; 27];
        for character in (0..=255).filter_map(character) {
            counts[ALPHABET.iter().position(|c| char::from(*c) == character).unwrap()] += 1;
        }
        assert_eq!(counts, [9; 27]);
        let bits = (GROUPS * GROUP) as f64 * (ALPHABET.len() as f64).log2();
        assert!(bits >= 95.0, "{bits}");
    }

    /// What a person could misread stays apart: `a 4`, `e 3` and `t 7` are only *used* alike.
    #[test]
    fn no_two_characters_look_alike() {
        for (i, a) in ALPHABET.iter().enumerate() {
            for b in &ALPHABET[..i] {
                assert!(fold(*a) != fold(*b) || b"347".contains(a), "{} {}", *a as char, *b as char);
            }
        }
    }

    #[test]
    fn names() {
        for name in ["a", "7", "Kitchen-Lamp_2.local", "x23456789012345678901234567890ab"] {
            assert_eq!(valid_name(name), Ok(()), "{name}");
        }
        for (name, expected) in [
            ("", NameError::Length(0)),
            ("x23456789012345678901234567890abc", NameError::Length(33)),
            ("kitchen lamp", NameError::Character),
            ("lämpchen", NameError::Character),
            ("a/b", NameError::Character),
            ("a\n", NameError::Character),
            ("-a", NameError::Beginning),
            (".a", NameError::Beginning),
            ("_a", NameError::Beginning),
        ] {
            assert_eq!(valid_name(name), Err(expected), "{name}");
        }
        assert_eq!(
            NameError::Length(33).to_string(),
            "a name has 1 to 32 characters, this one has 33: choose a shorter one"
        );
    }

    proptest::proptest! {
        #[test]
        fn keys_have_their_form_and_are_never_weak(seed: [u8; 32]) {
            let mut at = 0;
            let mut random = |octets: &mut [u8]| {
                for octet in octets {
                    *octet = seed[at % 32].wrapping_mul(31).wrapping_add((at * at) as u8 ^ seed[(at / 32) % 32]);
                    at += 1;
                }
            };
            let key = generate_key(&mut random);
            proptest::prop_assert_eq!(key.expose().len(), 23);
            for (i, octet) in key.expose().bytes().enumerate() {
                proptest::prop_assert_eq!(octet == b'-', i % 6 == 5);
                proptest::prop_assert!(octet == b'-' || ALPHABET.contains(&octet));
            }
        }

        #[test]
        fn random_keys_are_not_weak(indices in proptest::collection::vec(0..27u8, 20)) {
            let mut next = indices.iter().cycle();
            let key = generate_key(&mut |octets: &mut [u8]| octets.iter_mut().for_each(|o| *o = *next.next().unwrap()));
            proptest::prop_assert_eq!(weak::check(&key, "kitchen-lamp", &[b"Home", b"Guests"]), Ok(()));
        }
    }
}
