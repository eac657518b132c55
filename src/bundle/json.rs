//! JSON (RFC 8259), read where it lies: what is not asked for takes no memory, however much of it there is, and what may be a
//! key is wiped when it is dropped.

use std::fmt;
use zeroize::Zeroizing;

/// How deep values may lie in each other.
const DEPTH: u8 = 16;

/// What is wrong with a text; nothing after it can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// Its line, from 1.
    pub line: usize,
    /// What is wrong. Never quotes a value.
    pub why: String,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// Reads values one after another.
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: u8,
}

/// What a value is, by its first character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// A digit or `-`.
    Number,
    /// `true`, `false` or `null`.
    Word,
}

type Result<T> = std::result::Result<T, Bad>;

impl<'a> Reader<'a> {
    /// Begins with the first value. A byte order mark is passed over.
    pub fn new(text: &'a [u8]) -> Reader<'a> {
        Reader { text: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text), at: 0, depth: 0 }
    }

    /// An error at this place.
    pub fn bad(&self, why: impl Into<String>) -> Bad {
        let read = self.text.get(..self.at).unwrap_or(self.text);
        Bad { line: 1 + read.iter().filter(|octet| **octet == b'\n').count(), why: why.into() }
    }

    fn peek(&mut self) -> Option<u8> {
        while let Some(octet) = self.text.get(self.at).copied() {
            if !matches!(octet, b' ' | b'\t' | b'\r' | b'\n') {
                return Some(octet);
            }
            self.at += 1;
        }
        None
    }

    fn take(&mut self, octet: u8) -> Result<()> {
        if self.peek() == Some(octet) {
            self.at += 1;
            return Ok(());
        }
        Err(self.bad(format!("'{}' is expected here", char::from(octet))))
    }

    /// What the next value is.
    ///
    /// # Errors
    /// When there is none.
    pub fn kind(&mut self) -> Result<Kind> {
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f' | b'n') => Ok(Kind::Word),
            Some(_) => Err(self.bad("this is no JSON")),
            None => Err(self.bad("it ends too early: is the file whole?")),
        }
    }

    /// Nothing but blanks follows.
    ///
    /// # Errors
    /// When something does.
    pub fn end(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.bad("something follows the end")),
        }
    }

    /// Reads an object: `member` is called for each name, and has to read its value.
    ///
    /// # Errors
    /// When it is none, or `member` says so.
    pub fn object(&mut self, member: &mut dyn FnMut(&mut Reader<'a>, &str) -> Result<()>) -> Result<()> {
        self.list(b'{', b'}', &mut |reader, _| {
            let name = reader.string(64)?;
            reader.take(b':')?;
            member(reader, &name)
        })
    }

    /// Reads an array: `item` is called for each value with its number from 0, and has to read it.
    ///
    /// # Errors
    /// When it is none, or `item` says so.
    pub fn array(&mut self, item: &mut dyn FnMut(&mut Reader<'a>, usize) -> Result<()>) -> Result<()> {
        self.list(b'[', b']', item)
    }

    fn list(&mut self, open: u8, close: u8, item: &mut dyn FnMut(&mut Reader<'a>, usize) -> Result<()>) -> Result<()> {
        self.take(open)?;
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.bad(format!("more than {DEPTH} values lie in each other")));
        }
        if self.peek() != Some(close) {
            for number in 0.. {
                item(self, number)?;
                match self.peek() {
                    Some(b',') => self.at += 1,
                    _ => break,
                }
            }
        }
        self.depth -= 1;
        self.take(close)
    }

    /// Reads a string of at most `most` octets.
    ///
    /// # Errors
    /// When it is none, or longer, or not well-formed.
    pub fn string(&mut self, most: usize) -> Result<Zeroizing<String>> {
        let start = self.at;
        self.take(b'"')?;
        let rest = self.text.get(self.at..).unwrap_or_default();
        let plain = rest.iter().position(|octet| matches!(octet, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len());
        // Large enough for what follows, so that nothing is left behind by growing.
        let size = match rest.get(plain) {
            Some(b'\\') => (plain + 256).max(most.min(rest.len())),
            _ => plain,
        };
        let mut octets = Zeroizing::new(Vec::with_capacity(size.min(most)));
        loop {
            let Some(octet) = self.text.get(self.at).copied() else {
                self.at = start;
                return Err(self.bad("a string does not end"));
            };
            self.at += 1;
            match octet {
                b'"' => break,
                b'\\' => {
                    let character = self.escape()?;
                    octets.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                0..0x20 => return Err(self.bad("a control character in a string has to be written as \\n or \\u000a")),
                _ => octets.push(octet),
            }
            if octets.len() > most {
                return Err(self.bad(format!("a string has more than the {most} octets it can have here")));
            }
        }
        // Moved, not copied.
        match String::from_utf8(std::mem::take(&mut *octets)) {
            Ok(text) => Ok(Zeroizing::new(text)),
            Err(why) => {
                drop(Zeroizing::new(why.into_bytes()));
                Err(self.bad("a string is not UTF-8"))
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        let octet = self.text.get(self.at).copied().unwrap_or_default();
        self.at += 1;
        Ok(match octet {
            b'"' | b'\\' | b'/' => char::from(octet),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit()?;
                let low = match unit {
                    0xd800..0xdc00 if self.text.get(self.at..self.at + 2) == Some(b"\\u") => {
                        self.at += 2;
                        Some(self.unit()?)
                    }
                    _ => None,
                };
                let decoded =
                    char::decode_utf16([unit].into_iter().chain(low)).collect::<std::result::Result<String, _>>();
                let mut characters = decoded.as_deref().unwrap_or_default().chars();
                match (characters.next(), characters.next()) {
                    (Some(one), None) => one,
                    _ => return Err(self.bad("half of a surrogate pair in a string")),
                }
            }
            _ => return Err(self.bad("an unknown escape in a string")),
        })
    }

    fn unit(&mut self) -> Result<u16> {
        let digits = self.text.get(self.at..self.at + 4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let unit =
            digits.and_then(|digits| str::from_utf8(digits).ok()).and_then(|text| u16::from_str_radix(text, 16).ok());
        self.at += 4;
        unit.ok_or_else(|| self.bad("\\u needs four hexadecimal digits"))
    }

    /// Reads a whole number from 0.
    ///
    /// # Errors
    /// When it is none.
    pub fn number(&mut self) -> Result<u64> {
        let not = |reader: &Reader<'a>| reader.bad("a whole number from 0 is expected here");
        self.peek();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|octet| !octet.is_ascii_digit()).unwrap_or(rest.len());
        let digits = rest.get(..length).unwrap_or_default();
        let more = matches!(rest.get(length), Some(b'.' | b'e' | b'E'));
        let number = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        let odd = more || (digits.len() > 1 && digits.first() == Some(&b'0'));
        let number = number.filter(|_| !odd).ok_or_else(|| not(self))?;
        self.at += length;
        Ok(number)
    }

    /// Passes over a value.
    ///
    /// # Errors
    /// When it is not well-formed.
    pub fn skip(&mut self) -> Result<()> {
        match self.kind()? {
            Kind::Object => self.object(&mut |reader, _| reader.skip()),
            Kind::Array => self.array(&mut |reader, _| reader.skip()),
            Kind::String => self.string(self.text.len()).map(drop),
            Kind::Number | Kind::Word => {
                let rest = self.text.get(self.at..).unwrap_or_default();
                let in_word = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'+' | b'.');
                let length = rest.iter().position(|octet| !in_word(octet)).unwrap_or(rest.len());
                let word = rest.get(..length).unwrap_or_default();
                let known = matches!(word, b"true" | b"false" | b"null") || is_number(word);
                if !known {
                    return Err(self.bad("this is no JSON"));
                }
                self.at += length;
                Ok(())
            }
        }
    }
}

/// RFC 8259, 6.
fn is_number(word: &[u8]) -> bool {
    let word = word.strip_prefix(b"-").unwrap_or(word);
    let digits = |text: &[u8]| text.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let whole = digits(word);
    let (front, mut rest) = word.split_at(whole);
    if whole == 0 || (whole > 1 && front.first() == Some(&b'0')) {
        return false;
    }
    if let [b'.', fraction @ ..] = rest {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = fraction.get(length..).unwrap_or_default();
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    /// Everything, for comparison with another parser.
    fn value(reader: &mut Reader<'_>) -> Result<Value> {
        Ok(match reader.kind()? {
            Kind::Object => {
                let mut members = Map::new();
                reader
                    .object(&mut |reader, name| value(reader).map(|value| drop(members.insert(name.into(), value))))?;
                Value::Object(members)
            }
            Kind::Array => {
                let mut items = Vec::new();
                reader.array(&mut |reader, _| value(reader).map(|value| items.push(value)))?;
                Value::Array(items)
            }
            Kind::String => reader.string(1 << 20)?.as_str().into(),
            Kind::Number => reader.number()?.into(),
            Kind::Word => {
                reader.skip()?;
                Value::Null
            }
        })
    }

    fn whole(text: &[u8]) -> Result<Value> {
        let mut reader = Reader::new(text);
        let value = value(&mut reader)?;
        reader.end().map(|()| value)
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![any::<String>().prop_map(Value::from), any::<u64>().prop_map(Value::from), Just(Value::Null),];
        leaf.prop_recursive(6, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-zß\\\\\"]{0,5}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_another_writes_is_read(json in any_json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&json).unwrap() } else { json.to_string() };
            prop_assert_eq!(whole(text.as_bytes()).unwrap(), json);
            let mut reader = Reader::new(text.as_bytes());
            prop_assert!(reader.skip().is_ok() && reader.end().is_ok());
        }

        #[test]
        fn what_is_taken_another_takes(text in r#"[\[\]{},:"\\/bfnrtu0-9a-fA-FE.+\- truenls]{0,24}"#) {
            let mut reader = Reader::new(text.as_bytes());
            let taken = reader.skip().and_then(|()| reader.end()).is_ok();
            let other = serde_json::from_str::<Value>(&text);
            // Numbers beyond what a float holds are no concern of a parser that passes over them.
            let huge = other.as_ref().is_err_and(|why| why.to_string().contains("out of range"));
            prop_assert!(taken == other.is_ok() || huge, "{:?}: {:?} {:?}", text, taken, other);
        }
    }

    #[test]
    fn surrogates_and_escapes() {
        assert_eq!(whole(br#""\ud83d\ude00\u0041\/\b""#).unwrap(), "\u{1f600}A/\u{8}");
        for (bad, line, why) in [
            (&br#""\ud83d""#[..], 1, "surrogate"),
            (br#""\ud83d\u0041""#, 1, "surrogate"),
            (br#""\ude00""#, 1, "surrogate"),
            (br#""\u00g0""#, 1, "four hexadecimal digits"),
            (br#""\u00"#, 1, "four hexadecimal digits"),
            (br#""\x""#, 1, "unknown escape"),
            (b"\n\"a\nb\"", 3, "control character"),
            (b"\"open", 1, "does not end"),
            (b"\"\xff\"", 1, "not UTF-8"),
            (b"[1,\n2", 2, "']' is expected"),
            (b"{\"a\" 1}", 1, "':' is expected"),
            (b"{a:1}", 1, "'\"' is expected"),
            (b"[1,]", 1, "no JSON"),
            (b"[1] 2", 1, "follows the end"),
            (b"01", 1, "whole number"),
            (b"-1", 1, "whole number"),
            (b"1.5", 1, "whole number"),
            (b"18446744073709551616", 1, "whole number"),
            (b"", 1, "ends too early"),
        ] {
            let got = whole(bad).unwrap_err();
            assert!(got.line == line && got.why.contains(why), "{}: {got}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn nothing_grows_without_bound() {
        let deep = "[".repeat(100_000);
        assert!(whole(deep.as_bytes()).unwrap_err().why.contains("lie in each other"));
        assert!(Reader::new(deep.as_bytes()).skip().is_err());
        assert!(whole(format!("{}{}", "[".repeat(16), "]".repeat(16)).as_bytes()).is_ok());
        let long = format!("\"{}\"", "x".repeat(1000));
        assert!(Reader::new(long.as_bytes()).string(999).unwrap_err().why.contains("more than the 999 octets"));
        assert_eq!(Reader::new(long.as_bytes()).string(1000).unwrap().capacity(), 1000);
    }
}
