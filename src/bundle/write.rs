//! A bundle as JSON.

use super::{Bundle, Entry, Known, VERSION, Way};
use crate::pki::authority::{certificate_pem, revocation_list_pem};
use std::fmt::{Display, Write};
use zeroize::Zeroizing;

/// Writes a bundle as [`Bundle::read`] takes it, a device a line. Nothing of it is left in memory when it is dropped: it has keys.
pub fn write(bundle: &Bundle) -> Zeroizing<String> {
    let lists: usize = bundle.lists.iter().map(|der| der.len() * 3 / 2 + 128).sum();
    let authorities: usize = bundle.authorities.iter().map(|der| der.len() * 3 / 2 + 128).sum();
    // More than enough, so that no copy is left behind by growing.
    let devices: usize = bundle.devices.iter().map(size).sum();
    let mut text = Zeroizing::new(String::with_capacity(1024 + MAX_REALMS + lists + authorities + devices));
    let out = &mut *text;
    out.push_str("{\"latchkey_bundle\": ");
    let _ = write!(out, "{VERSION}");
    out.push_str(",\n \"maker\": ");
    quoted(out, &bundle.maker);
    out.push_str(",\n \"realms\": ");
    array(out, &bundle.realms, &mut |out, realm| quoted(out, realm));
    out.push_str(",\n \"issued\": ");
    quoted(out, &bundle.issued.to_string());
    if let Some(expires) = bundle.expires {
        out.push_str(",\n \"expires\": ");
        quoted(out, &expires.to_string());
    }
    out.push_str(",\n \"authorities\": ");
    array(out, &bundle.authorities, &mut |out, der| quoted(out, &certificate_pem(der)));
    out.push_str(",\n \"revocation_lists\": ");
    array(out, &bundle.lists, &mut |out, der| quoted(out, &revocation_list_pem(der)));
    out.push_str(",\n \"devices\": [");
    for (number, entry) in bundle.devices.iter().enumerate() {
        out.push_str(if number == 0 { "\n  " } else { ",\n  " });
        device(out, entry);
    }
    out.push_str("\n ]}\n");
    text
}

/// 16 realms of 253 octets, with what is around them.
const MAX_REALMS: usize = 16 * 300;

/// How long a device gets at most: a character becomes six at worst.
fn size(entry: &Entry) -> usize {
    let text = |text: &Option<std::sync::Arc<str>>| text.as_ref().map_or(0, |text| text.len());
    let known: usize =
        entry.certificates.iter().map(|known| 400 + 6 * (known.subject.len() + way_size(&known.way))).sum();
    let psk = entry.psk.as_ref().map_or(0, |psk| psk.nai.len());
    256 + 6 * (entry.identity.len() + text(&entry.name) + text(&entry.mud_url) + psk + 63)
        + 24 * entry.addresses.len()
        + known
}

fn way_size(way: &Way) -> usize {
    match way {
        Way::SubjectSerial(name) | Way::AltName(name) => name.len(),
        Way::Fingerprint(_) | Way::Serial(..) | Way::PublicKey(_) => 0,
    }
}

fn device(out: &mut String, entry: &Entry) {
    out.push_str("{\"identity\": ");
    quoted(out, &entry.identity);
    if let Some(name) = &entry.name {
        member(out, "name", name);
    }
    if !entry.addresses.is_empty() {
        out.push_str(", \"addresses\": ");
        array(out, &entry.addresses, &mut |out, mac| display(out, mac));
    }
    if let Some(url) = &entry.mud_url {
        member(out, "mud_url", url);
    }
    if let Some(psk) = &entry.psk {
        out.push_str(", \"psk\": {\"nai\": ");
        quoted(out, &psk.nai);
        out.push_str(", \"key\": ");
        hex(out, psk.key.expose());
        out.push('}');
    }
    if let Some(key) = &entry.wifi_key {
        member(out, "wifi_key", key.expose());
    }
    let is_key = |known: &&Known| matches!(known.way, Way::PublicKey(_));
    let (keys, certificates): (Vec<&Known>, Vec<&Known>) = entry.certificates.iter().partition(is_key);
    if !certificates.is_empty() {
        out.push_str(", \"certificates\": ");
        array(out, &certificates, &mut |out, known| certificate(out, known));
    }
    if !keys.is_empty() {
        out.push_str(", \"public_keys\": ");
        array(out, &keys, &mut |out, known| certificate(out, known));
    }
    out.push('}');
}

fn certificate(out: &mut String, known: &Known) {
    match &known.way {
        Way::Fingerprint(hash) | Way::PublicKey(hash) => {
            out.push_str("{\"sha256\": ");
            hex(out, hash);
        }
        Way::Serial(issuer, serial) => {
            out.push_str("{\"issuer_sha256\": ");
            hex(out, issuer);
            out.push_str(", \"serial\": ");
            hex(out, serial);
        }
        Way::SubjectSerial(serial) => {
            out.push_str("{\"subject_serial\": ");
            quoted(out, serial);
        }
        Way::AltName(name) => {
            out.push_str("{\"alt_name\": ");
            quoted(out, name);
        }
    }
    let named = !matches!(known.way, Way::PublicKey(_));
    if named && !known.subject.is_empty() {
        member(out, "subject", &known.subject);
    }
    if let Some(at) = known.not_after.filter(|_| named) {
        member(out, "not_after", &at.to_string());
    }
    out.push('}');
}

fn member(out: &mut String, name: &str, value: &str) {
    out.push_str(", ");
    quoted(out, name);
    out.push_str(": ");
    quoted(out, value);
}

fn array<T>(out: &mut String, items: &[T], item: &mut dyn FnMut(&mut String, &T)) {
    out.push('[');
    for (number, one) in items.iter().enumerate() {
        if number > 0 {
            out.push_str(", ");
        }
        item(out, one);
    }
    out.push(']');
}

fn display(out: &mut String, value: &dyn Display) {
    let _ = write!(out, "\"{value}\"");
}

fn hex(out: &mut String, octets: &[u8]) {
    out.push('"');
    for nibble in octets.iter().flat_map(|octet| [octet >> 4, octet & 15]) {
        out.extend(char::from_digit(nibble.into(), 16));
    }
    out.push('"');
}

/// RFC 8259, 7.
pub(super) fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\0'..='\u{1f}' | '\u{7f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}
