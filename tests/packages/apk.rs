//! Reads .apk of version 3, and checks what ties its parts together.

use super::inflate::deflate;
use super::{Entries, Entry};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// A value of an ADB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Null,
    Number(u64),
    Blob(Vec<u8>),
    /// Elements of an array, or fields of an object.
    Slots(Vec<Value>),
}

impl Value {
    /// The n-th field of an object, from 1.
    pub fn field(&self, number: usize) -> &Value {
        let Value::Slots(slots) = self else { panic!("no object: {self:?}") };
        slots.get(number - 1).unwrap_or(&Value::Null)
    }

    pub fn elements(&self) -> &[Value] {
        match self {
            Value::Slots(slots) => slots,
            Value::Null => &[],
            other => panic!("no array: {other:?}"),
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Value::Blob(octets) => std::str::from_utf8(octets).expect("UTF-8"),
            Value::Null => "",
            other => panic!("no text: {other:?}"),
        }
    }

    pub fn number(&self) -> u64 {
        let Value::Number(number) = self else { panic!("no number: {self:?}") };
        *number
    }
}

/// A package of apk.
pub struct Apk {
    pub info: Value,
    pub scripts: BTreeMap<&'static str, String>,
    pub data: Entries,
}

const SCRIPTS: [&str; 7] =
    ["trigger", "pre-install", "post-install", "pre-deinstall", "post-deinstall", "pre-upgrade", "post-upgrade"];

/// The file without its compression.
pub fn plain(octets: &[u8]) -> Vec<u8> {
    assert_eq!(&octets[..4], b"ADBd", "compressed with deflate");
    let (plain, length) = deflate(&octets[4..]);
    assert_eq!(length, octets.len() - 4, "nothing after it");
    plain
}

impl Apk {
    /// # Panics
    /// When anything in it does not fit together: the text says what.
    pub fn read(octets: &[u8]) -> Apk {
        Apk::of_plain(&plain(octets))
    }

    pub fn of_plain(plain: &[u8]) -> Apk {
        assert_eq!(&plain[..8], b"ADB.pckg");
        let mut blocks = blocks(&plain[8..]);
        let (kind, adb) = blocks.next().expect("a block");
        assert_eq!(kind, 0, "the first block is the database");
        assert_eq!(adb[..4], [0; 4], "version 0");
        let root = value(adb, word(adb, 4), 0);
        let (info, scripts) = (root.field(1).clone(), root.field(3));

        // The identity is the digest with zeros in its place.
        let Value::Blob(identity) = info.field(3) else { panic!("no identity") };
        assert_eq!(identity.len(), 20);
        let places: Vec<usize> = (0..adb.len() - 20).filter(|at| adb[*at..*at + 20] == identity[..]).collect();
        assert_eq!(places.len(), 1, "the identity is there once");
        let mut zeroed = adb.to_vec();
        zeroed[places[0]..places[0] + 20].fill(0);
        assert_eq!(identity[..], Sha256::digest(&zeroed)[..20], "identity of the package");

        let (mut data, mut total) = (Entries::new(), 0);
        let folders: Vec<&str> = root.field(2).elements().iter().map(|folder| folder.field(1).text()).collect();
        assert!(folders.is_sorted() && folders[0].is_empty(), "folders are sorted, the root first: {folders:?}");
        for (place, folder) in (1u32..).zip(root.field(2).elements()) {
            let path = folder.field(1).text();
            let (mode, owner) = acl(folder.field(2));
            if !path.is_empty() {
                data.insert(path.to_owned(), Entry { mode, owner, mtime: 0, content: None });
            }
            let names: Vec<&str> = folder.field(3).elements().iter().map(|file| file.field(1).text()).collect();
            assert!(names.is_sorted(), "files are sorted: {names:?}");
            for (number, file) in (1u32..).zip(folder.field(3).elements()) {
                let size = file.field(3).number();
                let mut content = Vec::new();
                if size > 0 {
                    let (kind, block) = blocks.next().expect("content of every file");
                    assert_eq!((kind, word(block, 0), word(block, 4)), (2, place, number), "in the order of the files");
                    content.extend(&block[8..]);
                }
                assert_eq!(content.len() as u64, size, "size of {}", file.field(1).text());
                let Value::Blob(digest) = file.field(5) else { panic!("no digest") };
                assert_eq!(digest[..], Sha256::digest(&content)[..], "digest of {}", file.field(1).text());
                assert_eq!(*file.field(6), Value::Null, "no link");
                let (mode, owner) = acl(file.field(2));
                let entry = Entry { mode, owner, mtime: file.field(4).number(), content: Some(content) };
                data.insert(format!("{path}/{}", file.field(1).text()).trim_start_matches('/').to_owned(), entry);
                total += size;
            }
        }
        assert!(blocks.next().is_none(), "nothing is left over");
        assert_eq!(info.field(12).number(), total.max(1), "installed size");

        let scripts = SCRIPTS
            .iter()
            .zip(1..)
            .map(|(name, number)| (*name, scripts.field(number).text().to_owned()))
            .filter(|(_, text)| !text.is_empty())
            .collect();
        Apk { info, scripts, data }
    }

    pub fn depends(&self) -> Vec<&str> {
        self.info.field(15).elements().iter().map(|dependency| dependency.field(1).text()).collect()
    }

    pub fn text(&self, path: &str) -> &str {
        let entry = self.data.get(path).unwrap_or_else(|| panic!("no {path}"));
        std::str::from_utf8(entry.content.as_deref().expect("a file")).expect("UTF-8")
    }
}

fn acl(value: &Value) -> (u32, (String, String)) {
    assert_eq!(*value.field(4), Value::Null, "no extended attributes");
    let mode = u32::try_from(value.field(1).number()).unwrap();
    (mode, (value.field(2).text().to_owned(), value.field(3).text().to_owned()))
}

fn word(octets: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(octets[at..at + 4].try_into().unwrap())
}

/// Kind and payload of each block; they begin at multiples of 8.
fn blocks(mut rest: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let head = word(rest, 0);
        let size = usize::try_from(head & 0x3fff_ffff).unwrap();
        let block = &rest[4..size];
        let padded = size.next_multiple_of(8);
        assert!(rest[size..padded].iter().all(|octet| *octet == 0), "padding is empty");
        rest = &rest[padded..];
        Some((head >> 30, block))
    })
}

fn value(adb: &[u8], word_: u32, depth: u8) -> Value {
    assert!(depth < 8, "nested too deeply");
    let (tag, rest) = (word_ >> 28, word_ & 0x0fff_ffff);
    let at = usize::try_from(rest).unwrap();
    let blob = |head: usize, length: usize| {
        assert_eq!(at % head, 0, "aligned");
        assert!(length > 0, "an empty text is left out");
        Value::Blob(adb[at + head..at + head + length].to_vec())
    };
    match tag {
        0 => {
            assert_eq!(rest, 0, "null");
            Value::Null
        }
        1 => Value::Number(rest.into()),
        2 => {
            assert_eq!(at % 4, 0, "aligned");
            let number = word(adb, at);
            assert!(number >= 1 << 28, "a small number is in its place");
            Value::Number(number.into())
        }
        8 => blob(1, adb[at].into()),
        9 => blob(2, u16::from_le_bytes([adb[at], adb[at + 1]]).into()),
        10 => blob(4, usize::try_from(word(adb, at)).unwrap()),
        13 | 14 => {
            assert_eq!(at % 4, 0, "aligned");
            let count = usize::try_from(word(adb, at)).unwrap();
            let slots: Vec<Value> = (1..count).map(|slot| value(adb, word(adb, at + 4 * slot), depth + 1)).collect();
            assert!(slots.last().is_some_and(|last| *last != Value::Null), "nothing empty at the end");
            Value::Slots(slots)
        }
        tag => panic!("no such tag: {tag}"),
    }
}
