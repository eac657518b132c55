//! The values of a bundle: read, checked one by one, and noted where they are wrong.

use super::json::{Bad, Kind, Reader};
use super::{Fault, MAX_FAULTS};
use crate::time::UnixTime;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The longest identity, NAI, serial number or name (RFC 7542, 2.3), in octets.
pub(super) const NAME: usize = 253;
/// The longest other word, in octets.
pub(super) const WORD: usize = 512;

/// Where something stands, for a message: made when it is needed.
pub(super) type At<'f> = &'f dyn Fn(&str) -> String;
/// Reads a value of an array and adds what it is.
pub(super) type Item<'i, T> = &'i mut dyn FnMut(&mut Reader<'_>, &mut Faults, At<'_>, &mut Vec<T>) -> Result<(), Bad>;

/// Which members of an object were there.
#[derive(Debug, Default)]
pub(super) struct Once(pub(super) u16);

impl Once {
    /// Which of `names` this is; `None` when it is unknown or was there before, which is noted.
    pub(super) fn which(&mut self, names: &[&str], name: &str, faults: &mut Faults, at: At<'_>) -> Option<usize> {
        let Some(number) = names.iter().position(|known| *known == name) else {
            let message = format!("there is no such member: there are {}", names.join(", "));
            faults.add(at(&shown(name)), message);
            return None;
        };
        let bit = 1 << number;
        if self.0 & bit != 0 {
            faults.add(at(name), "it is there twice".into());
            return None;
        }
        self.0 |= bit;
        Some(number)
    }
}

/// What is wrong so far.
#[derive(Debug, Default)]
pub(super) struct Faults(pub(super) Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, field: String, message: String) {
        if self.0.len() < MAX_FAULTS {
            self.0.push(Fault { field, message });
        }
    }

    pub(super) fn push(&mut self, fault: Fault) {
        self.add(fault.field, fault.message);
    }
}

impl From<Faults> for Vec<Fault> {
    fn from(faults: Faults) -> Vec<Fault> {
        faults.0
    }
}

/// An array, or nothing when it is none. `item` is told where it is.
pub(super) fn list<T>(
    reader: &mut Reader<'_>,
    most: usize,
    faults: &mut Faults,
    at: At<'_>,
    field: &str,
    item: Item<'_, T>,
) -> Result<Vec<T>, Bad> {
    let mut all = Vec::new();
    if !expect(reader, Kind::Array, faults, at, field)? {
        return Ok(all);
    }
    reader.array(&mut |reader, number| {
        if number == most {
            faults.add(at(field), format!("there are at most {most} of them"));
        }
        if number >= most {
            return reader.skip();
        }
        item(reader, faults, &|inner| at(&format!("{field}[{number}]{}{inner}", dot(inner))), &mut all)
    })?;
    all.shrink_to_fit();
    Ok(all)
}

pub(super) fn dot(field: &str) -> &'static str {
    if field.is_empty() { "" } else { "." }
}

/// True when the next value is of this kind; else it is passed over and noted.
pub(super) fn expect(
    reader: &mut Reader<'_>,
    kind: Kind,
    faults: &mut Faults,
    at: At<'_>,
    field: &str,
) -> Result<bool, Bad> {
    if reader.kind()? == kind {
        return Ok(true);
    }
    let name = match kind {
        Kind::Object => "an object",
        Kind::Array => "an array",
        Kind::String => "a string",
        Kind::Number | Kind::Word => "a number",
    };
    faults.add(at(field), format!("it must be {name}"));
    reader.skip().map(|()| false)
}

pub(super) fn string(
    reader: &mut Reader<'_>,
    most: usize,
    faults: &mut Faults,
    at: At<'_>,
    field: &str,
) -> Result<Option<Zeroizing<String>>, Bad> {
    if !expect(reader, Kind::String, faults, at, field)? {
        return Ok(None);
    }
    reader.string(most).map(Some).map_err(|bad| prefix(&at(field), bad))
}

pub(super) fn prefix(field: &str, bad: Bad) -> Bad {
    if field.is_empty() || bad.why.starts_with(field) {
        return bad;
    }
    Bad { why: format!("{field}: {}", bad.why), ..bad }
}

/// 1 to 253 octets that can be shown.
pub(super) fn name_of(
    reader: &mut Reader<'_>,
    faults: &mut Faults,
    at: At<'_>,
    field: &str,
) -> Result<Option<Arc<str>>, Bad> {
    let Some(text) = string(reader, 2 * WORD, faults, at, field)? else { return Ok(None) };
    if (1..=NAME).contains(&text.len()) && !text.contains(char::is_control) {
        return Ok(Some(text.as_str().into()));
    }
    faults.add(at(field), format!("it has 1 to {NAME} octets and no control characters"));
    Ok(None)
}

pub(super) fn moment(
    reader: &mut Reader<'_>,
    faults: &mut Faults,
    at: At<'_>,
    field: &str,
) -> Result<Option<UnixTime>, Bad> {
    let Some(text) = string(reader, WORD, faults, at, field)? else { return Ok(None) };
    let moment = text.parse();
    if let Err(why) = &moment {
        faults.add(at(field), format!("'{}' is {why}", shown(&text)));
    }
    Ok(moment.ok())
}

pub(super) fn hash(
    reader: &mut Reader<'_>,
    faults: &mut Faults,
    at: At<'_>,
    field: &str,
) -> Result<Option<[u8; 32]>, Bad> {
    let Some(text) = string(reader, WORD, faults, at, field)? else { return Ok(None) };
    let hash = octets::<32>(&text).map(|octets| *octets);
    if hash.is_none() {
        faults.add(at(field), "a SHA-256 has 64 hexadecimal digits".into());
    }
    Ok(hash)
}

/// So many octets, in hexadecimal digits.
pub(super) fn octets<const N: usize>(text: &str) -> Option<Zeroizing<[u8; N]>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut octets = Zeroizing::new([0; N]);
    if pairs.len() != N {
        return None;
    }
    for (octet, pair) in octets.iter_mut().zip(pairs) {
        *octet = from_digits(pair)?;
    }
    Some(octets)
}

/// A serial number without leading zeros.
pub(super) fn serial_number(text: &str) -> Option<Box<[u8]>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let octets = pairs.iter().map(from_digits).collect::<Option<Vec<u8>>>()?;
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    let significant = octets.get(zeros.min(octets.len().saturating_sub(1))..)?;
    (1..=21).contains(&significant.len()).then(|| significant.into())
}

pub(super) fn from_digits([high, low]: &[u8; 2]) -> Option<u8> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
}

/// RFC 7542, 2.2, as far as it matters here.
pub(super) fn is_nai(text: &str) -> bool {
    let (user, realm) = text.split_once('@').map_or((text, None), |(user, realm)| (user, Some(realm)));
    let good =
        |part: &str| !part.split('.').any(str::is_empty) && !part.contains(|c: char| c.is_whitespace() || c == '@');
    good(user) && realm.is_none_or(good)
}

pub(super) fn realm_fault(realm: &str) -> Option<String> {
    let labels = realm.strip_prefix("*.").unwrap_or(realm);
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b >= 0x80)
    };
    // `default` and `local` have a meaning in the configuration.
    let good = realm.len() <= NAME && labels.split('.').all(label) && !matches!(realm, "default" | "local");
    (!good).then(|| format!("'{}' is no realm: write acme.example, or *.acme.example for all below it", shown(realm)))
}

pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}
