//! DER (X.690, 10) as certificates, revocation lists and key files have it: values read one after another, without copies.

use crate::time::UnixTime;
use std::borrow::Cow;
use time::{Date, Month};

/// SEQUENCE.
pub const SEQUENCE: u8 = 0x30;
/// SET.
pub const SET: u8 = 0x31;
/// BOOLEAN.
pub const BOOLEAN: u8 = 0x01;
/// INTEGER.
pub const INTEGER: u8 = 0x02;
/// BIT STRING.
pub const BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;
/// OBJECT IDENTIFIER.
pub const OID: u8 = 0x06;
/// IA5String: ASCII.
pub const IA5_STRING: u8 = 0x16;
const UTF8_STRING: u8 = 0x0c;
const NUMERIC_STRING: u8 = 0x12;
const PRINTABLE_STRING: u8 = 0x13;
const TELETEX_STRING: u8 = 0x14;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VISIBLE_STRING: u8 = 0x1a;
const UNIVERSAL_STRING: u8 = 0x1c;
const BMP_STRING: u8 = 0x1e;

/// One value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    /// The identifier octet: class, constructed or not, number (up to 30).
    pub tag: u8,
    /// What follows the length.
    pub content: &'a [u8],
    /// All of it, with identifier and length.
    pub whole: &'a [u8],
}

impl<'a> Value<'a> {
    /// Its members, when it is a constructed one.
    pub fn members(&self) -> Reader<'a> {
        Reader { rest: self.content }
    }

    /// The text of a character string of any of the types that names are written in (RFC 5280, 4.1.2.4). Teletex strings are taken
    /// for ISO 8859-1, as everybody does.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        let latin = |content: &[u8]| content.iter().map(|octet| char::from(*octet)).collect::<String>();
        match self.tag {
            UTF8_STRING | NUMERIC_STRING | PRINTABLE_STRING | IA5_STRING | VISIBLE_STRING => {
                std::str::from_utf8(self.content).ok().map(Cow::Borrowed)
            }
            TELETEX_STRING => Some(Cow::Owned(latin(self.content))),
            BMP_STRING => {
                let (pairs, rest) = self.content.as_chunks::<2>();
                let units = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
                let text = char::decode_utf16(units).collect::<Result<String, _>>().ok()?;
                rest.is_empty().then_some(Cow::Owned(text))
            }
            UNIVERSAL_STRING => {
                let (units, rest) = self.content.as_chunks::<4>();
                let chars = units.iter().map(|unit| char::from_u32(u32::from_be_bytes(*unit)));
                let text = chars.collect::<Option<String>>()?;
                rest.is_empty().then_some(Cow::Owned(text))
            }
            _ => None,
        }
    }

    /// The moment of a UTCTime or GeneralizedTime in the only form certificates may have: in seconds, and UTC (RFC 5280, 4.1.2.5).
    pub fn time(&self) -> Option<UnixTime> {
        let text = std::str::from_utf8(self.content).ok()?.strip_suffix('Z')?;
        let (year, rest) = match self.tag {
            UTC_TIME if text.len() == 12 => {
                let (year, rest) = (text.get(..2)?, text.get(2..)?);
                let year = digits(year)?;
                (if year >= 50 { 1900 + year } else { 2000 + year }, rest)
            }
            GENERALIZED_TIME if text.len() == 14 => (digits(text.get(..4)?)?, text.get(4..)?),
            _ => return None,
        };
        let field = |at: usize| u8::try_from(digits(rest.get(at..at + 2)?)?).ok();
        let (month, day, hour, minute, second) = (field(0)?, field(2)?, field(4)?, field(6)?, field(8)?);
        let date = Date::from_calendar_date(i32::from(year), Month::try_from(month).ok()?, day).ok()?;
        Some(UnixTime(date.with_hms(hour, minute, second).ok()?.assume_utc().unix_timestamp()))
    }
}

/// A number of ASCII digits only, without the sign that `parse` would take.
fn digits(text: &str) -> Option<u16> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Values one after another.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins at the first octet.
    pub fn new(octets: &'a [u8]) -> Reader<'a> {
        Reader { rest: octets }
    }

    /// True at the end.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next value. `None` at the end, and where there is no well-formed one: an indefinite or too long length, a length that is
    /// not in its shortest form, a number above 30.
    pub fn value(&mut self) -> Option<Value<'a>> {
        let start = self.rest;
        let (&tag, rest) = start.split_first()?;
        let (&first, rest) = rest.split_first()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = octets.iter().fold(0usize, |sum, octet| sum << 8 | usize::from(*octet));
                if octets.first() == Some(&0) || length < 0x80 {
                    return None;
                }
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        let (whole, _) = start.split_at_checked(start.len() - rest.len())?;
        self.rest = rest;
        Some(Value { tag, content, whole })
    }

    /// The next value if it has this identifier; else nothing is taken.
    pub fn take(&mut self, tag: u8) -> Option<Value<'a>> {
        let mut ahead = *self;
        let value = ahead.value().filter(|value| value.tag == tag)?;
        *self = ahead;
        Some(value)
    }
}

/// The only value of `octets`, if it has this identifier and nothing follows it.
pub fn only(octets: &[u8], tag: u8) -> Option<Value<'_>> {
    let mut reader = Reader::new(octets);
    let value = reader.take(tag)?;
    reader.is_empty().then_some(value)
}

/// An object identifier in numbers and dots, from the content of its value.
pub fn dotted(oid: &[u8]) -> Option<String> {
    let mut text = String::new();
    let (mut arc, mut open) = (0u64, false);
    for octet in oid {
        arc = arc.checked_mul(128)? | u64::from(octet & 0x7f);
        open = octet & 0x80 != 0;
        if !open {
            if text.is_empty() {
                let first = (arc / 40).min(2);
                text = format!("{first}.{}", arc - 40 * first);
            } else {
                text.push_str(&format!(".{arc}"));
            }
            arc = 0;
        }
    }
    (!open && !text.is_empty()).then_some(text)
}

/// Writes a value: its content is what `parts` have, one behind the other.
pub fn write(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut octets = vec![tag];
    let big_endian = length.to_be_bytes();
    let significant =
        big_endian.iter().position(|octet| *octet != 0).and_then(|at| big_endian.get(at..)).unwrap_or(&[0]);
    match significant {
        [short @ 0..=0x7f] => octets.push(*short),
        // At most eight octets.
        long => {
            octets.push(0x80 | long.len() as u8);
            octets.extend_from_slice(long);
        }
    }
    octets.reserve_exact(length);
    for part in parts {
        octets.extend_from_slice(part);
    }
    octets
}

/// Writes a SEQUENCE of what `parts` have.
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    write(SEQUENCE, parts)
}

/// Writes a positive INTEGER, given big endian.
pub fn integer(octets: &[u8]) -> Vec<u8> {
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    match octets.get(zeros..).unwrap_or_default() {
        [] => write(INTEGER, &[&[0]]),
        // The first bit is the sign.
        [0x80..=0xff, ..] => write(INTEGER, &[&[0], octets.get(zeros..).unwrap_or_default()]),
        plain => write(INTEGER, &[plain]),
    }
}

/// Writes an OBJECT IDENTIFIER of which the content is given.
pub fn oid(content: &[u8]) -> Vec<u8> {
    write(OID, &[content])
}

/// Writes a UTF8String.
pub fn utf8(text: &str) -> Vec<u8> {
    write(UTF8_STRING, &[text.as_bytes()])
}

/// Writes a time: UTCTime until 2049, GeneralizedTime from then on (RFC 5280, 4.1.2.5). Within the years 1950 to 9999; what is
/// outside is moved to the nearer end.
pub fn time(at: UnixTime) -> Vec<u8> {
    const FIRST: i64 = -631_152_000;
    const LAST: i64 = 253_402_300_799;
    let at =
        time::OffsetDateTime::from_unix_timestamp(at.0.clamp(FIRST, LAST)).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    let rest = format!("{:02}{day:02}{hour:02}{minute:02}{second:02}Z", u8::from(month));
    match year {
        1950..=2049 => write(UTC_TIME, &[format!("{:02}{rest}", year % 100).as_bytes()]),
        _ => write(GENERALIZED_TIME, &[format!("{year:04}{rest}").as_bytes()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for length in [0, 1, 127, 128, 255, 256, 65535, 65536] {
            let content = vec![7; length];
            let written = write(OCTET_STRING, &[&content]);
            assert_eq!(only(&written, OCTET_STRING).unwrap().content, content, "{length}");
        }
        for (octets, expected) in
            [(&[][..], &[2, 1, 0][..]), (&[0, 5], &[2, 1, 5]), (&[0x80], &[2, 2, 0, 0x80]), (&[1, 0], &[2, 2, 1, 0])]
        {
            assert_eq!(integer(octets), expected);
        }
        for at in [0, 1_801_418_400, 2_524_607_999, 2_524_608_000, 253_402_300_799] {
            let written = time(UnixTime(at));
            assert_eq!(Reader::new(&written).value().unwrap().time(), Some(UnixTime(at)));
        }
        assert_eq!(time(UnixTime(2_524_608_000)).first(), Some(&GENERALIZED_TIME), "2050");
        assert_eq!(time(UnixTime(i64::MAX)), time(UnixTime(253_402_300_799)));
    }

    #[test]
    fn values_are_read_one_after_another() {
        let mut reader = Reader::new(&[0x02, 0x01, 0x05, 0x04, 0x00, 0x30, 0x81]);
        assert_eq!(reader.take(OCTET_STRING), None);
        let integer = reader.take(INTEGER).unwrap();
        assert_eq!((integer.content, integer.whole), (&[5][..], &[2, 1, 5][..]));
        assert!(reader.value().unwrap().content.is_empty());
        assert!(!reader.is_empty());
        assert_eq!(reader.value(), None);
        let mut long = vec![0x04, 0x82, 0x01, 0x00];
        long.extend([7; 256]);
        assert_eq!(only(&long, OCTET_STRING).unwrap().content.len(), 256);
        long.push(0);
        assert_eq!(only(&long, OCTET_STRING), None, "something follows");
    }

    #[test]
    fn what_is_not_der_is_no_value() {
        for (what, octets) in [
            ("indefinite length", &[0x30, 0x80, 0x00, 0x00][..]),
            ("a length in five octets", &[0x04, 0x85, 0, 0, 0, 0, 1, 0]),
            ("a length longer than needed", &[0x04, 0x81, 0x01, 0x00]),
            ("a leading zero in the length", &[0x04, 0x82, 0x00, 0x81]),
            ("more than there is", &[0x04, 0x02, 0x00]),
            ("the greatest length", &[0x04, 0x84, 0xff, 0xff, 0xff, 0xff]),
            ("a number above 30", &[0x1f, 0x01, 0x00]),
            ("no length", &[0x04]),
        ] {
            assert_eq!(Reader::new(octets).value(), None, "{what}");
        }
    }

    #[test]
    fn times_are_read() {
        let time = |tag, text: &'static str| Value { tag, content: text.as_bytes(), whole: &[] }.time();
        assert_eq!(time(UTC_TIME, "270131180000Z"), Some(UnixTime(1_801_418_400)));
        assert_eq!(time(UTC_TIME, "700101000000Z"), Some(UnixTime(0)));
        assert_eq!(time(UTC_TIME, "500101000000Z"), Some(UnixTime(-631_152_000)));
        assert_eq!(time(GENERALIZED_TIME, "20270131180000Z"), Some(UnixTime(1_801_418_400)));
        assert_eq!(time(GENERALIZED_TIME, "99991231235959Z"), Some(UnixTime(253_402_300_799)));
        for (tag, bad) in [
            (UTC_TIME, "2701311800Z"),
            (UTC_TIME, "270131180000+0100"),
            (UTC_TIME, "270132180000Z"),
            (UTC_TIME, "+70131180000Z"),
            (GENERALIZED_TIME, "20270131180000.5Z"),
            (GENERALIZED_TIME, "20270131180000"),
            (GENERALIZED_TIME, "2027ä31180000Z"),
            (INTEGER, "270131180000Z"),
        ] {
            assert_eq!(time(tag, bad), None, "{bad}");
        }
    }

    #[test]
    fn texts_and_identifiers_are_read() {
        let text = |tag, content| Value { tag, content, whole: &[] }.text().map(|text| text.into_owned());
        assert_eq!(text(UTF8_STRING, "Küche".as_bytes()).as_deref(), Some("Küche"));
        assert_eq!(text(TELETEX_STRING, b"K\xfcche").as_deref(), Some("Küche"));
        assert_eq!(text(BMP_STRING, b"\0K\0\xfc").as_deref(), Some("Kü"));
        assert_eq!(text(UNIVERSAL_STRING, b"\0\0\0K").as_deref(), Some("K"));
        for (tag, content) in [
            (UTF8_STRING, &b"\xff"[..]),
            (BMP_STRING, b"\0K\0"),
            (BMP_STRING, b"\xd8\0"),
            (UNIVERSAL_STRING, b"\0\x11\0\0"),
            (OCTET_STRING, b"text"),
        ] {
            assert_eq!(text(tag, content), None, "{tag:02x} {content:?}");
        }
        assert_eq!(dotted(&[0x55, 4, 3]).as_deref(), Some("2.5.4.3"));
        assert_eq!(dotted(&[0x2b, 6, 1, 5, 5, 7, 1, 25]).as_deref(), Some("1.3.6.1.5.5.7.1.25"));
        assert_eq!(dotted(&[0x88, 0x37]).as_deref(), Some("2.999"));
        for bad in [&[][..], &[0x55, 0x84], &[0xff; 12]] {
            assert_eq!(dotted(bad), None, "{bad:?}");
        }
    }
}
