//! Which secrets are too alike to belong to two devices.
//!
//! A device is known by its key alone, so two keys that a person could take for each other are a mistake waiting to
//! happen: a typing error would let one device in as the other. Two keys are similar when their *normal forms* are
//! equal, differ by few edits ([`limit`]), or when one contains the other.
//!
//! The normal form drops case and separators (white space and `- _ . , : ; / +`) and writes characters that look or
//! are used alike as one: `0`→`o`, `1 l | !`→`i`, `5 $`→`s`, `8`→`b`, `2`→`z`, `4 @`→`a`, `3`→`e`, `7`→`t`, `9`→`g`.
//! A key that would have fewer than six characters left keeps its separators.
//!
//! A new key is compared with every other. So that 10,000 keys take a fraction of a millisecond, each is kept with a
//! [`Signature`] of 16 octets that rules out nearly all pairs, and never a similar one: see [`Signature::excludes`].

use crate::secret::Passphrase;
use std::fmt;
use zeroize::Zeroizing;

/// Normal forms shorter than this are not looked for inside others: too many keys would contain them by chance.
pub const MIN_CONTAINED: usize = 6;

/// Below this length of the normal form the separators stay in.
const MIN_WITHOUT_SEPARATORS: usize = 6;

/// In what way two keys are similar, from the first to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Similarity {
    /// The same key.
    Equal,
    /// The same key but for case, separators and look-alikes.
    EqualNormalised,
    /// So many insertions, deletions and substitutions make one of the other.
    Distance(usize),
    /// The first contains the second.
    Contains,
    /// The first is contained in the second.
    ContainedIn,
}

impl Similarity {
    /// The reason for a refusal, about a new key and the existing key of `device`. Quotes neither.
    pub fn describe(self, device: &str) -> String {
        match self {
            Similarity::Equal => format!("is the key of '{device}'"),
            Similarity::EqualNormalised => {
                format!("differs from the key of '{device}' only in case, separators or look-alikes (such as 0 and o)")
            }
            Similarity::Distance(1) => format!("differs from the key of '{device}' in 1 character only"),
            Similarity::Distance(n) => format!("differs from the key of '{device}' in {n} characters only"),
            Similarity::Contains => format!("contains the key of '{device}'"),
            Similarity::ContainedIn => format!("is contained in the key of '{device}'"),
        }
    }
}

/// Two keys whose normal forms differ by at most so many edits are similar: a sixth of the shorter, 2 to 8.
pub fn limit(shorter: usize) -> usize {
    (shorter / 6).clamp(2, 8)
}

/// What is kept of a key to compare it fast: 16 octets. It tells something about the key, so `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    mask: u64,
    length: u8,
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(redacted)")
    }
}

impl Signature {
    /// The signature of a key.
    pub fn of(key: &Passphrase) -> Signature {
        Normal::of(key).signature()
    }

    /// True when the keys cannot be similar.
    ///
    /// The mask has two bits for each letter, "at least once" and "at least twice", and shared bits for the rest. One
    /// edit takes away at most one occurrence and adds at most one, so it clears at most one bit and sets at most
    /// one. Keys within `k` edits therefore differ by at most `k` bits in each direction, and in length by at most
    /// `k`. A key contained in another has every bit within the other's.
    pub fn excludes(&self, other: &Signature) -> bool {
        let only_here = (self.mask & !other.mask).count_ones() as usize;
        let only_there = (other.mask & !self.mask).count_ones() as usize;
        let (a, b) = (usize::from(self.length), usize::from(other.length));
        let k = limit(a.min(b));
        let near = a.abs_diff(b) <= k && only_here <= k && only_there <= k;
        let inside = (only_here == 0 && (MIN_CONTAINED..=b).contains(&a))
            || (only_there == 0 && (MIN_CONTAINED..=a).contains(&b));
        !near && !inside
    }
}

/// Compares a new key with an existing one, both with their signatures.
pub fn similar(
    new: &Passphrase,
    new_signature: &Signature,
    old: &Passphrase,
    old_signature: &Signature,
) -> Option<Similarity> {
    if new_signature.excludes(old_signature) {
        return None;
    }
    if new.expose() == old.expose() {
        return Some(Similarity::Equal);
    }
    let (new, old) = (Normal::of(new), Normal::of(old));
    let (a, b) = (new.text(), old.text());
    if a == b {
        return Some(Similarity::EqualNormalised);
    }
    let distance = edit_distance(a, b);
    if distance <= limit(a.len().min(b.len())) {
        return Some(Similarity::Distance(distance));
    }
    if contains(a, b) {
        return Some(Similarity::Contains);
    }
    contains(b, a).then_some(Similarity::ContainedIn)
}

fn contains(whole: &[u8], part: &[u8]) -> bool {
    part.len() >= MIN_CONTAINED && whole.windows(part.len()).any(|w| w == part)
}

/// A key's normal form, wiped on drop.
struct Normal {
    text: Zeroizing<[u8; 64]>,
    length: usize,
}

impl Normal {
    fn of(key: &Passphrase) -> Normal {
        let octets = key.expose().as_bytes();
        let short = octets.iter().filter(|b| !is_separator(**b)).count() < MIN_WITHOUT_SEPARATORS;
        let mut normal = Normal { text: Zeroizing::new([0; 64]), length: 0 };
        let kept = octets.iter().filter(|b| short || !is_separator(**b));
        for (place, octet) in normal.text.iter_mut().zip(kept) {
            *place = fold(*octet);
            normal.length += 1;
        }
        normal
    }

    fn text(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or_default()
    }

    fn signature(&self) -> Signature {
        let mut mask = 0u64;
        for octet in self.text() {
            mask |= match octet {
                b'a'..=b'z' => {
                    let once = 1u64 << (2 * (octet - b'a'));
                    if mask & once == 0 { once } else { once << 1 }
                }
                // 6 and punctuation share the twelve bits above the letters.
                other => 1 << (52 + other % 12),
            };
        }
        Signature { mask, length: self.length as u8 }
    }
}

/// White space and the characters people put between groups.
pub(super) fn is_separator(octet: u8) -> bool {
    octet.is_ascii_whitespace() || matches!(octet, b'-' | b'_' | b'.' | b',' | b':' | b';' | b'/' | b'+')
}

/// One character's normal form.
pub(super) fn fold(octet: u8) -> u8 {
    match octet.to_ascii_lowercase() {
        b'0' => b'o',
        b'1' | b'l' | b'|' | b'!' => b'i',
        b'5' | b'$' => b's',
        b'8' => b'b',
        b'2' => b'z',
        b'4' | b'@' => b'a',
        b'3' => b'e',
        b'7' => b't',
        b'9' => b'g',
        other => other,
    }
}

/// The least number of insertions, deletions and substitutions of octets that make `b` of `a` (Levenshtein).
///
/// Myers' bit-parallel algorithm ("A fast bit-vector algorithm for approximate string matching based on dynamic
/// programming", JACM 46(3), 1999; the global form is Hyyrö's, 2003): the differences between neighbours in a column
/// of the matrix are one bit each, so a column is one word. Only the first 64 octets of each text are compared.
pub(crate) fn edit_distance(a: &[u8], b: &[u8]) -> usize {
    let (a, b) = (a.get(..64).unwrap_or(a), b.get(..64).unwrap_or(b));
    let Some(last) = a.len().checked_sub(1) else { return b.len() };
    // Where each octet stands in `a`. An octet is always a valid index.
    let mut places = [0u64; 256];
    for (bit, octet) in a.iter().enumerate() {
        places[usize::from(*octet)] |= 1 << bit;
    }
    let mut distance = a.len();
    let (mut plus, mut minus) = (u64::MAX, 0u64);
    for octet in b {
        let equal = places[usize::from(*octet)];
        let vertical = equal | minus;
        let diagonal = ((equal & plus).wrapping_add(plus) ^ plus) | equal;
        let up = minus | !(diagonal | plus);
        let down = plus & diagonal;
        distance += (up >> last & 1) as usize;
        distance -= (down >> last & 1) as usize;
        // The row above the matrix grows by one with each column.
        let up = up << 1 | 1;
        plus = down << 1 | !(vertical | up);
        minus = up & vertical;
    }
    distance
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::generate::generate_key;
    use proptest::prelude::*;
    use std::time::Instant;

    fn key(text: &str) -> Passphrase {
        Passphrase::new(text).unwrap()
    }

    fn compare(new: &str, old: &str) -> Option<Similarity> {
        let (new, old) = (key(new), key(old));
        similar(&new, &Signature::of(&new), &old, &Signature::of(&old))
    }

    #[test]
    fn literal_cases() {
        use Similarity::*;
        for (new, old, expected) in [
            ("correct horse", "correct horse", Some(Equal)),
            ("Correct-Horse", "correct horse", Some(EqualNormalised)),
            ("c0rrect_h0r5e", "correct horse", Some(EqualNormalised)),
            ("W1LL!@M $ecret", "william53cret", Some(EqualNormalised)),
            ("correct house", "correct horse", Some(Distance(1))),
            ("corect hose", "correct horse", Some(Distance(2))),
            ("summer2024", "summer2025", Some(Distance(1))),
            ("summer2024", "winter2025", None),
            ("abcdefgh", "abcdefxyz", None),
            ("abcdefgh", "abcdefxy", Some(Distance(2))),
            ("prefix correct horse suffix", "correct horse", Some(Contains)),
            ("correct horse", "prefix correct horse suffix", Some(ContainedIn)),
            ("kq7rm-t3nwx-9dbcf-yhv6p", "kq7rm-t3nwx-9dbcf-yhv6q", Some(Distance(1))),
            ("kq7rm-t3nwx-9dbcf-yhv6p", "a4nce-wz6gj-bmx7h-3uqfd", None),
            ("a-b-c-d-e", "a-b-c-d-e-fghij", None),
            ("--------", "........", None),
            ("--------", "-------.", Some(Distance(1))),
        ] {
            assert_eq!(compare(new, old), expected, "{new} {old}");
        }
    }

    #[test]
    fn the_reason_names_the_device_and_no_key() {
        assert_eq!(Similarity::Equal.describe("lamp"), "is the key of 'lamp'");
        assert_eq!(Similarity::Distance(1).describe("lamp"), "differs from the key of 'lamp' in 1 character only");
        assert_eq!(Similarity::Distance(2).describe("lamp"), "differs from the key of 'lamp' in 2 characters only");
        assert_eq!(Similarity::ContainedIn.describe("lamp"), "is contained in the key of 'lamp'");
        assert_eq!(format!("{:?}", Signature::of(&key("correct horse"))), "Signature(redacted)");
    }

    #[test]
    fn limits() {
        let limits: Vec<_> = [0, 8, 17, 18, 20, 24, 47, 48, 63].into_iter().map(limit).collect();
        assert_eq!(limits, [2, 2, 2, 3, 3, 4, 7, 8, 8]);
    }

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("saturday", "sunday", 3),
            ("flaw", "lawn", 2),
        ] {
            assert_eq!(edit_distance(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
        }
        let (a, b) = ([b'a'; 64], [b'b'; 64]);
        assert_eq!(edit_distance(&a, &b), 64);
        assert_eq!(edit_distance(&a, &a), 0);
    }

    #[test]
    fn a_signature_is_small() {
        assert!(size_of::<Signature>() <= 16);
    }

    /// The textbook matrix, row by row.
    fn plain_distance(a: &[u8], b: &[u8]) -> usize {
        let mut row: Vec<usize> = (0..=b.len()).collect();
        for (i, x) in a.iter().enumerate() {
            let mut corner = row[0];
            row[0] = i + 1;
            for (j, y) in b.iter().enumerate() {
                let above = row[j + 1];
                row[j + 1] = (corner + usize::from(x != y)).min(above + 1).min(row[j] + 1);
                corner = above;
            }
        }
        row[b.len()]
    }

    /// [`similar`] without signatures and bit tricks.
    fn plain_similar(new: &str, old: &str) -> Option<Similarity> {
        fn normal(text: &str) -> String {
            let separators = " -_.,:;/+";
            let few = text.chars().filter(|c| !separators.contains(*c)).count() < 6;
            let pairs = ["0o", "1i", "li", "|i", "!i", "5s", "$s", "8b", "2z", "4a", "@a", "3e", "7t", "9g"];
            let text = text.to_lowercase();
            let kept = text.chars().filter(|c| few || !separators.contains(*c));
            kept.map(|c| pairs.iter().find(|p| p.starts_with(c)).map_or(c, |p| p.chars().nth(1).unwrap())).collect()
        }
        if new == old {
            return Some(Similarity::Equal);
        }
        let (a, b) = (normal(new), normal(old));
        let shorter = a.len().min(b.len());
        match plain_distance(a.as_bytes(), b.as_bytes()) {
            0 => Some(Similarity::EqualNormalised),
            n if n <= (shorter / 6).clamp(2, 8) => Some(Similarity::Distance(n)),
            _ if shorter >= 6 && a.contains(&b) => Some(Similarity::Contains),
            _ if shorter >= 6 && b.contains(&a) => Some(Similarity::ContainedIn),
            _ => None,
        }
    }

    /// A key, and another made of it by some edits, cutting and padding.
    fn pair() -> impl Strategy<Value = (String, String)> {
        let edit = (0..3u8, any::<prop::sample::Index>(), 0x20..=0x7eu8);
        let edits = prop::collection::vec(edit, 0..12);
        ("[ -~]{8,63}|[a-d0-3 -]{8,30}|[a-z]{8,20}", edits, "[ -~]{0,12}", "[ -~]{0,12}", 0..4u8).prop_filter_map(
            "no key",
            |(first, edits, before, after, form)| {
                let mut octets = first.clone().into_bytes();
                for (kind, index, octet) in edits {
                    let at = index.index(octets.len().max(1));
                    match kind {
                        0 => octets.insert(at.min(octets.len()), octet),
                        1 if at < octets.len() => octets[at] = octet,
                        2 if at < octets.len() => drop(octets.remove(at)),
                        _ => {}
                    }
                }
                let edited = String::from_utf8(octets).ok()?;
                let second = match form {
                    0 => format!("{before}{first}{after}"),
                    1 => edited.to_uppercase(),
                    2 => format!("{before}{edited}"),
                    _ => edited,
                };
                ((8..=63).contains(&second.len())).then_some((first, second))
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// The signatures exclude no similar pair, and Myers' algorithm is the matrix.
        #[test]
        fn fast_is_plain((a, b) in pair()) {
            prop_assert_eq!(compare(&a, &b), plain_similar(&a, &b));
            prop_assert_eq!(compare(&b, &a), plain_similar(&b, &a));
            prop_assert_eq!(edit_distance(a.as_bytes(), b.as_bytes()), plain_distance(a.as_bytes(), b.as_bytes()));
        }

        #[test]
        fn fast_is_plain_for_strangers(a in "[ -~]{8,63}", b in "[ -~]{8,63}") {
            prop_assert_eq!(compare(&a, &b), plain_similar(&a, &b));
        }

        #[test]
        fn distances_of_any_octets(a in prop::collection::vec(0..6u8, 0..=64), b in prop::collection::vec(0..6u8, 0..=64)) {
            prop_assert_eq!(edit_distance(&a, &b), plain_distance(&a, &b));
        }
    }

    /// A small generator, so that the measured keys are always the same.
    fn keys(count: usize) -> Vec<(Passphrase, Signature)> {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = |octets: &mut [u8]| {
            for octet in octets {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                *octet = (state >> 32) as u8;
            }
        };
        let key = |_| {
            let key = generate_key(&mut random);
            let signature = Signature::of(&key);
            (key, signature)
        };
        (0..count).map(key).collect()
    }

    #[test]
    fn signatures_exclude_nearly_all_pairs() {
        let keys = keys(1000);
        let mut passed = 0;
        for (i, (a, a_signature)) in keys.iter().enumerate() {
            for (b, b_signature) in &keys[..i] {
                passed += usize::from(!a_signature.excludes(b_signature));
                assert_eq!(similar(a, a_signature, b, b_signature), None);
            }
        }
        assert!(passed < 499_500 / 50, "{passed} of 499500 pairs had to be compared in full");
    }

    #[test]
    #[ignore = "a measurement: cargo test --release --lib similar::tests::time -- --ignored --nocapture"]
    fn time_with_10000_keys() {
        let keys = keys(10_000);
        let (new, signature) = (key("yw3gk-46pfa-mmj7x-qehtd"), Signature::of(&key("yw3gk-46pfa-mmj7x-qehtd")));
        let start = Instant::now();
        let found = keys.iter().filter(|(k, s)| similar(&new, &signature, k, s).is_some()).count();
        let single = start.elapsed();
        let start = Instant::now();
        let mut pairs = 0;
        for (i, (a, a_signature)) in keys.iter().enumerate() {
            pairs += keys[..i].iter().filter(|(b, s)| similar(a, a_signature, b, s).is_some()).count();
        }
        println!("one key against 10000: {single:?} ({found}); each against all: {:?} ({pairs})", start.elapsed());
        assert!(single.as_millis() < 50);
    }
}
