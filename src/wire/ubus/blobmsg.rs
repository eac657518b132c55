//! Named and typed values in attributes (libubox' `blobmsg.h`), to JSON and back as `blobmsg_json.c` has it: `true` is a
//! number of 8 bits, a whole number has 32 bits where they do and 64 where not, `null` is a value of type 0 that holds
//! nothing.
//!
//! An attribute's payload begins with a header of its own: `u16` length of the name, the name, a NUL, zeros up to the
//! next multiple of 4.

use super::blob::{self, Attrs, Writer};
use super::{Attr, Malformed};
use serde_json::{Map, Number, Value};

/// `null`.
pub const NULL: u8 = 0;
/// Values without names.
pub const ARRAY: u8 = 1;
/// Values with names.
pub const TABLE: u8 = 2;
/// Text that ends with a NUL.
pub const STRING: u8 = 3;
/// A whole number of 64 bits.
pub const INT64: u8 = 4;
/// A whole number of 32 bits.
pub const INT32: u8 = 5;
/// A whole number of 16 bits.
pub const INT16: u8 = 6;
/// `true` (not 0) or `false`.
pub const BOOL: u8 = 7;
/// An IEEE 754 number of 64 bits.
pub const DOUBLE: u8 = 8;

/// How deeply tables and arrays may be nested.
pub const MAX_DEPTH: usize = 32;

/// A value with its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// One of the types above.
    pub kind: u8,
    /// Its name in a table; empty in an array.
    pub name: &'a [u8],
    /// The value's octets.
    pub value: &'a [u8],
}

impl<'a> Field<'a> {
    /// Reads an attribute.
    ///
    /// # Errors
    /// When it is no blobmsg value: its octets may be anything still.
    pub fn parse(attr: &Attr<'a>) -> Result<Field<'a>, Malformed> {
        if !attr.extended {
            return Err(Malformed::Type);
        }
        let (length, rest) = attr.payload.split_first_chunk().ok_or(Malformed::Length)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let name = rest.get(..=length).ok_or(Malformed::Length)?;
        // Length, name and NUL, padded. A value that holds nothing may end there.
        let header = (2 + length + 1).next_multiple_of(4);
        let value = attr.payload.get(header..).ok_or(Malformed::Length)?;
        Ok(Field { kind: attr.id, name: blob::string(name)?, value })
    }

    fn number<const N: usize>(&self) -> Result<[u8; N], Malformed> {
        self.value.try_into().map_err(|_| Malformed::Number)
    }

    fn to_json(self, depth: usize) -> Result<Value, Malformed> {
        Ok(match self.kind {
            NULL => Value::Null,
            ARRAY => Value::Array(array(self.value, deeper(depth)?)?),
            TABLE => Value::Object(fields(self.value, deeper(depth)?)?),
            STRING => Value::String(text(blob::string(self.value)?)?.to_owned()),
            INT64 => i64::from_be_bytes(self.number()?).into(),
            INT32 => i32::from_be_bytes(self.number()?).into(),
            INT16 => i16::from_be_bytes(self.number()?).into(),
            BOOL => (self.number::<1>()? != [0]).into(),
            DOUBLE => {
                let number = Number::from_f64(f64::from_be_bytes(self.number()?));
                Value::Number(number.ok_or(Malformed::NotFinite)?)
            }
            _ => return Err(Malformed::Type),
        })
    }
}

fn deeper(depth: usize) -> Result<usize, Malformed> {
    if depth < MAX_DEPTH { Ok(depth + 1) } else { Err(Malformed::Depth) }
}

fn text(octets: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(octets).map_err(|_| Malformed::Utf8)
}

fn array(payload: &[u8], depth: usize) -> Result<Vec<Value>, Malformed> {
    Attrs::new(payload).map(|attr| Field::parse(&attr?)?.to_json(depth)).collect()
}

fn fields(payload: &[u8], depth: usize) -> Result<Map<String, Value>, Malformed> {
    let mut map = Map::new();
    for attr in Attrs::new(payload) {
        let field = Field::parse(&attr?)?;
        if map.insert(text(field.name)?.to_owned(), field.to_json(depth)?).is_some() {
            return Err(Malformed::Twice);
        }
    }
    Ok(map)
}

/// Reads values with names: what a message's DATA and SIGNATURE hold.
///
/// # Errors
/// The first thing that is wrong with them.
pub fn table(payload: &[u8]) -> Result<Map<String, Value>, Malformed> {
    fields(payload, 1)
}

/// Writes the values of a table, as a message's DATA holds them.
pub fn put_fields(writer: &mut Writer, table: &Map<String, Value>) {
    for (name, value) in table {
        put(writer, name, value);
    }
}

/// Writes a value. A NUL in a string would end it for every other program: U+FFFD stands in its place. A whole number
/// above 2^63-1 becomes that.
pub fn put(writer: &mut Writer, name: &str, value: &Value) {
    match value {
        Value::Null => put_raw(writer, NULL, name, &[]),
        Value::Bool(value) => put_raw(writer, BOOL, name, &[u8::from(*value)]),
        Value::Number(number) => put_number(writer, name, number),
        Value::String(text) => {
            let open = begin(writer, STRING, name);
            put_text(writer, text);
            writer.put(&[0]);
            writer.end(open);
        }
        Value::Array(values) => {
            let open = begin(writer, ARRAY, name);
            for value in values {
                put(writer, "", value);
            }
            writer.end(open);
        }
        Value::Object(table) => {
            let open = begin(writer, TABLE, name);
            put_fields(writer, table);
            writer.end(open);
        }
    }
}

fn put_number(writer: &mut Writer, name: &str, number: &Number) {
    let whole = number.as_i64().or_else(|| number.is_u64().then_some(i64::MAX));
    match (whole, whole.and_then(|whole| i32::try_from(whole).ok())) {
        (_, Some(short)) => put_raw(writer, INT32, name, &short.to_be_bytes()),
        (Some(long), None) => put_raw(writer, INT64, name, &long.to_be_bytes()),
        (None, None) => put_raw(writer, DOUBLE, name, &number.as_f64().unwrap_or_default().to_be_bytes()),
    }
}

/// Writes a value of a type, with its octets as they are.
pub fn put_raw(writer: &mut Writer, kind: u8, name: &str, value: &[u8]) {
    let open = begin(writer, kind, name);
    writer.put(value);
    writer.end(open);
}

/// Begins a value; what is written from now on is in it.
pub fn begin(writer: &mut Writer, kind: u8, name: &str) -> blob::Open {
    let open = writer.begin(kind, true);
    // In UTF-8 a NUL has one octet and U+FFFD three. No name is longer than 16 bits count, unless somebody made it so.
    let nuls = name.bytes().filter(|octet| *octet == 0).count();
    let (name, length) = match u16::try_from(name.len() + 2 * nuls) {
        Ok(length) => (name, length),
        Err(_) => ("", 0),
    };
    writer.put(&length.to_be_bytes());
    put_text(writer, name);
    writer.put(&[0]);
    writer.pad();
    open
}

fn put_text(writer: &mut Writer, text: &str) {
    for (index, part) in text.split('\0').enumerate() {
        if index > 0 {
            writer.put("\u{fffd}".as_bytes());
        }
        writer.put(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn written(value: &Value) -> Vec<u8> {
        let mut writer = Writer::default();
        put_fields(&mut writer, value.as_object().expect("a table"));
        writer.finish().expect("short")
    }

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    #[test]
    fn literal_values() {
        for (value, expected) in [
            (json!({}), ""),
            (json!({ "a": null }), "800000080001 6100"),
            (json!({ "ok": true }), "8700000d 00026f6b00000000 01000000"),
            (json!({ "vlan": 20 }), "85000010 0004766c616e0000 00000014"),
            (json!({ "n": -1 }), "8500000c 00016e00 ffffffff"),
            (json!({ "n": 2147483648u64 }), "84000010 00016e00 0000000080000000"),
            (json!({ "n": u64::MAX }), "84000010 00016e00 7fffffffffffffff"),
            (json!({ "n": 1.5 }), "88000010 00016e00 3ff8000000000000"),
            (json!({ "mac": "a" }), "8300000e 00036d616300 0000 6100 0000"),
            (json!({ "l": ["a", 1] }), "8100002000016c00 8300000a 00000000 61000000 8500000c 00000000 00000001"),
            (json!({ "t": { "x": false } }), "8200001400017400 87000009 00017800 00000000"),
            (json!({ "a\0b": "c\0d" }), "83000012000561efbfbd620063efbfbd64000000"),
        ] {
            let expected = expected.replace(' ', "");
            assert_eq!(hex(&written(&value)), expected, "{value}");
        }
    }

    #[test]
    fn every_type_is_read() {
        let mut writer = Writer::default();
        put_raw(&mut writer, INT16, "short", &(-2i16).to_be_bytes());
        put_raw(&mut writer, BOOL, "yes", &[255]);
        put_raw(&mut writer, INT64, "long", &5i64.to_be_bytes());
        put_raw(&mut writer, DOUBLE, "real", &0.25f64.to_be_bytes());
        put_raw(&mut writer, NULL, "nothing", b"");
        put_raw(&mut writer, STRING, "text", "für\0".as_bytes());
        let read = Value::Object(table(&writer.finish().unwrap()).unwrap());
        let expected = json!({ "short": -2, "yes": true, "long": 5, "real": 0.25, "nothing": null, "text": "für" });
        assert_eq!(read, expected);
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let of = |kind: u8, value: &[u8]| {
            let mut writer = Writer::default();
            put_raw(&mut writer, kind, "x", value);
            table(&writer.finish().unwrap())
        };
        for (kind, value, expected) in [
            (STRING, &b"no end"[..], Malformed::String),
            (STRING, b"", Malformed::String),
            (STRING, b"two\0ends\0", Malformed::String),
            (STRING, b"\xff\0", Malformed::Utf8),
            (INT64, b"\0\0\0\0", Malformed::Number),
            (INT32, b"\0\0\0\0\0\0\0\0", Malformed::Number),
            (INT16, b"\0", Malformed::Number),
            (BOOL, b"", Malformed::Number),
            (DOUBLE, b"\x7f\xf0\0\0\0\0\0\0", Malformed::NotFinite),
            (DOUBLE, b"\x7f\xf8\0\0\0\0\0\0", Malformed::NotFinite),
            (9, b"", Malformed::Type),
            (TABLE, b"\x03\0\0\x04", Malformed::Type),
            (ARRAY, b"\x83\0\0\x0d\0\0\0\0a", Malformed::Length),
        ] {
            assert_eq!(of(kind, value), Err(expected), "type {kind} {value:?}");
        }
        // A name that goes on after the attribute, one without NUL, one with two, one that is no UTF-8; twice the same.
        for (octets, expected) in [
            (&b"\x80\0\0\x08\0\x09a\0"[..], Malformed::Length),
            (b"\x80\0\0\x05\0\0\0\0", Malformed::Length),
            (b"\x80\0\0\x04", Malformed::Length),
            (b"\x80\0\0\x08\0\x01ab", Malformed::String),
            (b"\x80\0\0\x0c\0\x02\0\0\0\0\0\0", Malformed::String),
            (b"\x80\0\0\x08\0\x01\xff\0", Malformed::Utf8),
            (b"\x80\0\0\x08\0\x01a\0\x80\0\0\x08\0\x01a\0", Malformed::Twice),
        ] {
            assert_eq!(table(octets), Err(expected), "{octets:02x?}");
        }
    }

    #[test]
    fn what_is_nested_too_deeply_is_refused() {
        let nest = |depth: usize| (1..depth).fold(json!({}), |inner, _| json!({ "t": inner }));
        assert_eq!(table(&written(&nest(MAX_DEPTH))).map(Value::Object), Ok(nest(MAX_DEPTH)));
        assert_eq!(table(&written(&nest(MAX_DEPTH + 1))), Err(Malformed::Depth));
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
            "[^\\x00]{0,9}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map("[^\\x00]{0,5}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in values()) {
            let value = json!({ "value": value });
            prop_assert_eq!(table(&written(&value)).map(Value::Object), Ok(value));
        }

        #[test]
        fn any_octets_are_read_or_refused(octets: Vec<u8>) {
            let _ = table(&octets);
        }
    }
}
