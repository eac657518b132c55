//! Reads .ipk.

use super::inflate::gzip;
use super::{Entries, Entry};
use std::collections::BTreeMap;

/// A package of opkg.
pub struct Ipk {
    /// Lines of `control` in their order; a continued one is one.
    pub control: Vec<(String, String)>,
    /// The other files that are not installed: scripts and `conffiles`.
    pub others: BTreeMap<String, Entry>,
    /// What is installed.
    pub data: Entries,
    /// The paths as they come.
    pub order: Vec<String>,
    /// Octets of the tar of what is installed.
    pub data_size: usize,
}

impl Ipk {
    pub fn read(octets: &[u8]) -> Ipk {
        let outer = tar(&gzip(octets));
        let names: Vec<&str> = outer.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["./debian-binary", "./data.tar.gz", "./control.tar.gz"]);
        let parts: Vec<&[u8]> = outer.iter().map(|(_, entry)| entry.content.as_deref().expect("a file")).collect();
        assert_eq!(parts[0], b"2.0\n");
        let plain = gzip(parts[1]);
        let data = tar(&plain);
        let mut others: BTreeMap<String, Entry> = tar(&gzip(parts[2]))
            .into_iter()
            .filter(|(name, _)| name != "./")
            .map(|(name, entry)| (name.strip_prefix("./").expect("a relative path").to_owned(), entry))
            .collect();
        let control = others.remove("control").expect("control");
        assert_eq!(control.mode, 0o644);
        let text = String::from_utf8(control.content.expect("a file")).expect("UTF-8").replace("\n ", "\u{1}");
        let control = text
            .lines()
            .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("a field: {line:?}")))
            .map(|(name, value)| (name.to_owned(), value.replace('\u{1}', "\n")))
            .collect();
        let order: Vec<String> = data.iter().map(|(name, _)| name.clone()).collect();
        let data = data
            .into_iter()
            .map(|(name, entry)| {
                (name.strip_prefix("./").expect("a relative path").trim_end_matches('/').to_owned(), entry)
            })
            .filter(|(name, _)| !name.is_empty())
            .collect();
        Ipk { control, others, data, order, data_size: plain.len() }
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.control.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    pub fn script(&self, name: &str) -> &str {
        let entry = self.others.get(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(entry.mode, 0o755, "{name} can be run");
        std::str::from_utf8(entry.content.as_deref().expect("a file")).expect("UTF-8")
    }
}

/// Entries of a GNU tar, whose header checksums are compared.
fn tar(octets: &[u8]) -> Vec<(String, Entry)> {
    assert_eq!(octets.len() % 512, 0);
    let (mut entries, mut at) = (Vec::new(), 0);
    while octets[at..at + 512].iter().any(|octet| *octet != 0) {
        let header = &octets[at..at + 512];
        let text = |from: usize, to: usize| {
            let field = &header[from..to];
            std::str::from_utf8(&field[..field.iter().position(|octet| *octet == 0).unwrap_or(field.len())])
                .expect("ASCII")
        };
        let number = |from: usize, to: usize| u64::from_str_radix(text(from, to).trim(), 8).expect("octal digits");
        let blank = (148..156).map(|place| u64::from(header[place])).sum::<u64>();
        let sum = header.iter().map(|octet| u64::from(*octet)).sum::<u64>() - blank + 8 * 32;
        assert_eq!(number(148, 156), sum, "checksum of the header");
        assert_eq!(&header[257..265], b"ustar  \0", "GNU tar");
        assert_eq!((text(265, 297), text(297, 329)), ("", ""), "owners by number only");
        let size = usize::try_from(number(124, 136)).unwrap();
        let content = octets[at + 512..at + 512 + size].to_vec();
        let kind = header[156];
        assert!(kind == b'0' || (kind == b'5' && size == 0), "a file or a folder: {}", char::from(kind));
        let entry = Entry {
            mode: u32::try_from(number(100, 108)).unwrap(),
            owner: (number(108, 116).to_string(), number(116, 124).to_string()),
            mtime: number(136, 148),
            content: (kind == b'0').then_some(content),
        };
        entries.push((text(0, 100).to_owned(), entry));
        at += 512 + size.next_multiple_of(512);
    }
    assert!(octets[at..].len() >= 1024 && octets[at..].iter().all(|octet| *octet == 0), "two empty records end it");
    entries
}
