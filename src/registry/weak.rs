//! Which keys are too easy to guess, whoever they belong to.
//!
//! An attacker who records one handshake can try keys offline, some hundred thousand a second, so what stands in
//! every list of guesses (words, dates, rows of keys, the network's own name) is refused. Characters of real
//! randomness are what counts: separators are left out before anything is measured.

use super::similar::{fold, is_separator};
use crate::secret::Passphrase;
use zeroize::Zeroizing;

/// A key of digits alone needs so many: fewer are tried in minutes.
const MIN_DIGITS: usize = 12;
/// A key needs so many different characters.
const MIN_DIFFERENT: usize = 5;
/// What is left of a repetitive key when each repetition counts once must have so many characters.
const MIN_UNREPEATED: usize = 10;
/// Neighbours on the keyboard or in the alphabet count as a sequence from this length on.
const MIN_RUN: usize = 4;
/// What is left of a key beside the common words in it must have so many characters.
const MIN_BESIDE_WORDS: usize = 6;
/// Shorter names of devices and SSIDs are not looked for: they occur by chance.
const MIN_NAME: usize = 4;

/// Why a key is refused. `Display` gives the reason and the mend, and never quotes the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Only digits, and so few.
    #[error("the key has only {0} digits: give 12 or more, mix in letters, or use --generate")]
    Digits(usize),
    /// Few different characters.
    #[error("the key has only {0} different characters: give 5 or more, or use --generate")]
    FewCharacters(usize),
    /// Mostly one character or one group, over and over.
    #[error("the key mostly repeats itself: choose another, or use --generate")]
    Repetition,
    /// Mostly neighbours in the alphabet, in counting or on the keyboard.
    #[error("the key is mostly a sequence (such as 12345678 or qwertyui): choose another, or use --generate")]
    Sequence,
    /// Little more than a common password.
    #[error("the key is little more than a common password: choose another, or use --generate")]
    Common,
    /// The SSID is in it.
    #[error("the key contains the name of the network '{0}': choose another, or use --generate")]
    Ssid(String),
    /// The device's name is in it.
    #[error("the key contains the name of the device: choose another, or use --generate")]
    DeviceName,
}

/// Rows of neighbours; each also counts backwards. Both figure rows, so that 0 may stand first or last.
const ROWS: &[&[u8]] = &[
    b"abcdefghijklmnopqrstuvwxyz",
    b"01234567890",
    b"qwertyuiop",
    b"asdfghjkl",
    b"zxcvbnm",
    b"qwertzuiop",
    b"yxcvbnm",
    b"azertyuiop",
    b"qsdfghjklm",
    b"wxcvbn",
    b"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol",
    b"1q2w3e4r5t6y7u8i9o0p",
    b"!@#$%^&*()",
];

/// What every list of guesses begins with, in the languages it was made in. Compared in normal form.
const COMMON: &str = "\
    password passwort passw motdepasse contrasena wachtwoord letmein welcome willkommen bienvenue \
    administrator admin changeme default internet wireless wifi wlan router network openwrt latchkey guest \
    secret geheim iloveyou sunshine princess football fussball baseball basketball superman batman starwars \
    dragon monkey shadow master trustno1 whatever computer hunter hello hallo qwerty qwertz azerty";

/// The words every list of guesses begins with.
pub(super) fn common_words() -> impl Iterator<Item = &'static str> {
    COMMON.split_ascii_whitespace()
}

/// Checks a key for a device of this name in these networks.
pub fn check(key: &Passphrase, device_name: &str, ssids: &[&[u8]]) -> Result<(), Weakness> {
    let plain = without_separators(key.expose().as_bytes(), |b| b.to_ascii_lowercase());
    let normal = without_separators(key.expose().as_bytes(), fold);
    let different = different(&plain);
    if different < MIN_DIFFERENT {
        return Err(Weakness::FewCharacters(different));
    }
    if plain.iter().all(u8::is_ascii_digit) && plain.len() < MIN_DIGITS {
        return Err(Weakness::Digits(plain.len()));
    }
    if is_repetition(&plain) {
        return Err(Weakness::Repetition);
    }
    if is_sequence(&plain) {
        return Err(Weakness::Sequence);
    }
    if is_common(&normal) {
        return Err(Weakness::Common);
    }
    if names(&normal, device_name.as_bytes()) {
        return Err(Weakness::DeviceName);
    }
    match ssids.iter().find(|ssid| names(&normal, ssid)) {
        Some(ssid) => Err(Weakness::Ssid(String::from_utf8_lossy(ssid).into_owned())),
        None => Ok(()),
    }
}

fn without_separators(octets: &[u8], fold: fn(u8) -> u8) -> Zeroizing<Vec<u8>> {
    let mut kept = Zeroizing::new(Vec::with_capacity(octets.len()));
    kept.extend(octets.iter().filter(|b| !is_separator(**b) && b.is_ascii()).map(|b| fold(*b)));
    kept
}

fn different(text: &[u8]) -> usize {
    let seen = text.iter().fold(0u128, |seen, b| seen | 1 << (b & 0x7f));
    seen.count_ones() as usize
}

/// True when more than half of the text is one unit over and over, and little else is left.
fn is_repetition(text: &[u8]) -> bool {
    (1..=text.len() / 2).any(|unit| {
        // The longest stretch in which every character is the one a unit before.
        let (mut run, mut longest) = (0, 0);
        for (character, before) in text.iter().skip(unit).zip(text) {
            run = if character == before { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        longest >= unit && 2 * (longest + unit) > text.len() && text.len() - longest < MIN_UNREPEATED
    })
}

/// True when more than half of the text is made of runs along the rows. Doubled characters (112233) count once.
fn is_sequence(text: &[u8]) -> bool {
    let mut text = Zeroizing::new(text.to_vec());
    text.dedup();
    let mut rest = text.as_slice();
    let mut in_runs = 0;
    while !rest.is_empty() {
        let run = ROWS.iter().map(|row| run_along(row, rest, false).max(run_along(row, rest, true))).max().unwrap_or(1);
        let step = if run >= MIN_RUN { run } else { 1 };
        in_runs += if run >= MIN_RUN { run } else { 0 };
        rest = rest.get(step..).unwrap_or_default();
    }
    2 * in_runs > text.len()
}

/// How many characters from the beginning of the text follow the row, forwards or backwards.
fn run_along(row: &[u8], text: &[u8], backwards: bool) -> usize {
    let follows = |pair: &[u8]| {
        row.windows(2).any(|neighbours| match (neighbours, pair) {
            ([a, b], [x, y]) if backwards => a == y && b == x,
            ([a, b], [x, y]) => a == x && b == y,
            _ => false,
        })
    };
    1 + text.windows(2).take_while(|pair| follows(pair)).count()
}

/// True when few characters are left beside the common words in the text.
fn is_common(normal: &[u8]) -> bool {
    let mut in_words = 0u64;
    for word in common_words() {
        let word = without_separators(word.as_bytes(), fold);
        for (start, window) in normal.windows(word.len()).enumerate() {
            if window == word.as_slice() {
                // A key has at most 63 characters.
                in_words |= ((1u64 << word.len()) - 1) << start;
            }
        }
    }
    in_words != 0 && normal.len() - (in_words.count_ones() as usize).min(normal.len()) < MIN_BESIDE_WORDS
}

fn names(normal: &[u8], name: &[u8]) -> bool {
    let name = without_separators(name, fold);
    name.len() >= MIN_NAME && normal.windows(name.len()).any(|w| w == name.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(key: &str) -> Result<(), Weakness> {
        check(&Passphrase::new(key).unwrap(), "kitchen-lamp", &[b"Home", b"Caf\xc3\xa9 Blue"])
    }

    #[test]
    fn strong_keys() {
        for key in [
            "kq7rm-t3nwx-7dbcf-yhv6p",
            "correct horse battery staple",
            "book-9xz-wrench",
            "mybirthday1234",
            "8149-2207-5364",
            "tr0ub4dor&3",
            "G7$kq!2z",
            "administrative-plans",
        ] {
            assert_eq!(verdict(key), Ok(()), "{key}");
        }
    }

    #[test]
    fn weak_keys() {
        use Weakness::*;
        for (key, expected) in [
            ("17042009", Digits(8)),
            ("1704-2009-55", Digits(10)),
            ("aaaaaaaaaaaa", FewCharacters(1)),
            ("abab-cdcd-abab", FewCharacters(4)),
            ("-_-.,:;/+ ", FewCharacters(0)),
            ("hunk7hunk7hunk7", Repetition),
            ("xkvw9xkvw9", Repetition),
            ("mississippi-mississippi", FewCharacters(4)),
            ("aaaaaaaaaaaabcde", Repetition),
            ("abcdefgh", Sequence),
            ("ABCD-efgh", Sequence),
            ("hgfedcba", Sequence),
            ("qwertyuiop", Sequence),
            ("poiuztrewq", Sequence),
            ("asdfghjkl99", Sequence),
            ("qwer1234", Sequence),
            ("1qaz2wsx", Sequence),
            ("987654321098", Sequence),
            ("112233445566", Sequence),
            ("password", Common),
            ("P4ssw0rd!23", Common),
            ("letmein-2024", Common),
            ("openwrt-router", Common),
            ("Wifi-Passwort", Common),
            ("myhomework-x9", Ssid("Home".into())),
            ("0ur-h0me-is-x7q", Ssid("Home".into())),
            ("my-cafblue-x7qw", Ssid("Café Blue".into())),
            ("K1tchenLamp-4wq", DeviceName),
        ] {
            assert_eq!(verdict(key), Err(expected), "{key}");
        }
    }

    #[test]
    fn short_names_do_not_count() {
        let key = Passphrase::new("tv-9xkq4mzr").unwrap();
        assert_eq!(check(&key, "tv", &[b"9xk"]), Ok(()));
        assert_eq!(check(&key, "tv", &[b"9xkq"]), Err(Weakness::Ssid("9xkq".into())));
    }

    #[test]
    fn the_mend_is_named() {
        for weakness in [Weakness::Digits(8), Weakness::Repetition, Weakness::Ssid("Home".into())] {
            assert!(weakness.to_string().ends_with("use --generate"), "{weakness}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(key in "[ -~]{8,63}", name in "[ -~]{0,70}", ssid: Vec<u8>) {
            let _ = check(&Passphrase::new(&key).unwrap(), &name, &[&ssid]);
        }

        #[test]
        fn repeating_a_short_unit_is_weak(unit in "[a-z0-9]{1,7}", times in 2usize..8) {
            let key = unit.repeat(times);
            if let Ok(key) = Passphrase::new(&key) {
                proptest::prop_assert!(check(&key, "", &[]).is_err());
            }
        }
    }
}
