//! Distinguished names in words, for people: most specific part first, as in RFC 4514, but never more than a line.

use super::der::dotted;
use super::x509::Name;
use std::fmt::Write;
use std::sync::Arc;

/// How many characters a name has at most.
pub const LONGEST: usize = 200;

/// Types that have a short name: those of RFC 4514 (3), and two that are common in certificates.
const SHORT: &[(&[u8], &str)] = &[
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01], "UID"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
];

/// `CN=kitchen-cam,O=Acme`; `(no name)` for an empty one, as IDevIDs may have it.
pub fn of(name: &Name<'_>) -> Arc<str> {
    let attributes = name.attributes().unwrap_or_default();
    if attributes.is_empty() {
        return "(no name)".into();
    }
    let mut rdns: Vec<String> = Vec::new();
    for attribute in &attributes {
        let kind = SHORT.iter().find(|(oid, _)| *oid == attribute.kind).map(|(_, name)| (*name).to_owned());
        let mut part = kind.or_else(|| dotted(attribute.kind)).unwrap_or_else(|| "?".into());
        part.push('=');
        match attribute.value.text() {
            Some(text) => escape(&mut part, &text),
            None => {
                part.push('#');
                for octet in attribute.value.whole.iter().take(LONGEST) {
                    let _ = write!(part, "{octet:02x}");
                }
            }
        }
        match rdns.last_mut().filter(|_| attribute.joined) {
            Some(rdn) => {
                rdn.push('+');
                rdn.push_str(&part);
            }
            None => rdns.push(part),
        }
    }
    rdns.reverse();
    shortened(&rdns.join(","), LONGEST)
}

/// A text of a certificate as it can be shown and kept: control characters are escaped, and it has at most `most` characters.
pub fn shown(text: &str, most: usize) -> Arc<str> {
    let mut safe = String::new();
    for c in text.chars().take(most + 1) {
        push(&mut safe, c);
    }
    shortened(&safe, most)
}

fn shortened(text: &str, most: usize) -> Arc<str> {
    match text.char_indices().nth(most) {
        None => text.into(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect::<String>().into(),
    }
}

/// RFC 4514, 2.4.
fn escape(out: &mut String, text: &str) {
    let last = text.chars().count().saturating_sub(1);
    for (at, c) in text.chars().enumerate().take(LONGEST) {
        let special = matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\')
            || (at == 0 && matches!(c, ' ' | '#'))
            || (at == last && c == ' ');
        if special {
            out.push('\\');
        }
        push(out, c);
    }
}

/// Escapes what could deceive or move the cursor: controls, and the marks that turn the direction of writing.
fn push(out: &mut String, c: char) {
    let unseen = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if c.is_control() || unseen {
        let mut buffer = [0; 4];
        for octet in c.encode_utf8(&mut buffer).bytes() {
            let _ = write!(out, "\\{octet:02X}");
        }
    } else {
        out.push(c);
    }
}
