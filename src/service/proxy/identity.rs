//! What the answer of a realm's server says of a device.

use crate::mac::MacAddr;
use crate::wire::nai;
use crate::wire::radius::{AttributeType, Packet, TUNNEL_TYPE_VLAN};
use std::fmt::Write;
use std::sync::Arc;

/// Octets of Reply-Message that are shown.
const MESSAGE: usize = 160;

/// What they call it: Chargeable-User-Identity (RFC 4372) or User-Name of their answer, else the outer identity, unless those
/// tell nobody; else its address. 1 to 253 octets.
pub fn of(accept: &Packet<'_>, request: &Packet<'_>, mac: MacAddr) -> Arc<str> {
    let charged =
        accept.find(AttributeType::CHARGEABLE_USER_IDENTITY).filter(|cui| cui.iter().any(|octet| *octet != 0));
    if let Some(cui) = charged {
        return text(cui);
    }
    let names = [accept, request].map(|packet| packet.find(AttributeType::USER_NAME));
    let told = names.into_iter().flatten().find(|name| !name.is_empty() && !nai::is_anonymous(name));
    told.map_or_else(|| mac.to_string().into(), text)
}

/// As text: what is not text in hexadecimal digits. The realm of a name is the same in letters of any case.
fn text(octets: &[u8]) -> Arc<str> {
    match std::str::from_utf8(octets) {
        Ok(text) if !text.chars().any(char::is_control) => match text.rsplit_once('@') {
            Some((user, realm)) if realm.chars().any(|c| c.is_ascii_uppercase()) => {
                format!("{user}@{}", realm.to_ascii_lowercase()).into()
            }
            _ => text.into(),
        },
        // 253 octets would take twice the room.
        _ => octets
            .iter()
            .take(126)
            .fold(String::new(), |mut digits, octet| {
                let _ = write!(digits, "{octet:02x}");
                digits
            })
            .into(),
    }
}

/// The VLAN they name (RFC 3580, 3.31), 1 to 4094.
pub fn vlan(accept: &Packet<'_>) -> Option<u16> {
    let first = accept.find_all(AttributeType::TUNNEL_TYPE).next()?;
    let (_, kind) = first.as_tagged_u32()?;
    let group = accept.find_all(AttributeType::TUNNEL_PRIVATE_GROUP_ID).next()?;
    let (_, digits) = group.as_tagged_text();
    let vlan: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (kind == TUNNEL_TYPE_VLAN && (1..=4094).contains(&vlan)).then_some(vlan)
}

/// What they say to it (RFC 2865, 5.18), fit to be shown.
pub fn message(reject: &Packet<'_>) -> Arc<str> {
    let mut said = String::new();
    for part in reject.find_all(AttributeType::REPLY_MESSAGE) {
        for c in String::from_utf8_lossy(part.value).chars() {
            if said.len() >= MESSAGE {
                break;
            }
            said.push(if c.is_control() { ' ' } else { c });
        }
    }
    said.trim().into()
}
