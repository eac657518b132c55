//! nl80211 messages: which interfaces there are, and settings of a BSS (linux/nl80211.h).

use super::message::{ACT, DUMP, Request, attributes, string, u32_of};
use crate::mac::MacAddr;
use neli::consts::genl::{CtrlAttr, CtrlCmd};
use neli::consts::nl80211::Nl80211Command;
use neli::genl::{AttrTypeBuilder, GenlmsghdrBuilder, Nlattr, NlattrBuilder};
use neli::types::{Buffer, GenlBuffer};
use neli::{Size, ToBytes};
use std::io::Cursor;

/// The message type of the controller that knows the families (`GENL_ID_CTRL`).
const CONTROLLER: u16 = 0x10;
// Attributes that neli has no names for.
const IFINDEX: u16 = 3;
const IFNAME: u16 = 4;
const IFTYPE: u16 = 5;
const MAC: u16 = 6;
const FOUR_ADDRESSES: u16 = 83;
const AP_ISOLATE: u16 = 96;
/// `NL80211_IFTYPE_AP_VLAN`.
const AP_VLAN: u32 = 4;
/// Octets of `struct genlmsghdr`.
const HEADER: usize = 4;

/// An interface hostapd made for a VLAN of a BSS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApVlan {
    /// Its name.
    pub name: String,
    /// Its address, which is the BSSID.
    pub bssid: MacAddr,
}

/// Asks for the number of a family.
pub fn get_family(name: &str) -> Option<Request> {
    request(CONTROLLER, ACT, CtrlCmd::Getfamily, 1, attribute(u16::from(CtrlAttr::FamilyName), name))
}

/// Reads the number of a family in an answer to [`get_family`].
pub fn family(body: &[u8]) -> Option<u16> {
    let id = attributes(body.get(HEADER..)?).find(|nla| nla.kind() == u16::from(CtrlAttr::FamilyId))?;
    id.value().try_into().ok().map(u16::from_ne_bytes)
}

/// Asks for all interfaces.
pub fn get_interfaces(family: u16) -> Option<Request> {
    request(family, DUMP, Nl80211Command::GetInterface, 0, Some(Vec::new()))
}

/// Keeps the stations of an interface from each other, or not any more.
pub fn set_ap_isolate(family: u16, index: u32, isolate: bool) -> Option<Request> {
    let mut both = attribute(IFINDEX, index)?;
    both.extend(attribute(AP_ISOLATE, u8::from(isolate))?);
    request(family, ACT, Nl80211Command::SetBss, 0, Some(both))
}

/// Reads an interface that is a VLAN of a BSS. Those of stations that forward for others (four addresses, WDS) have one
/// station each, and are the administrator's.
pub fn ap_vlan(body: &[u8]) -> Option<ApVlan> {
    let (mut name, mut bssid, mut kind) = (None, None, None);
    for nla in attributes(body.get(HEADER..)?) {
        match nla.kind() {
            IFNAME => name = string(nla.value()).map(String::from),
            MAC => bssid = nla.value().try_into().ok().map(MacAddr),
            IFTYPE => kind = u32_of(&nla),
            FOUR_ADDRESSES if nla.value() != [0] => return None,
            _ => {}
        }
    }
    (kind == Some(AP_VLAN)).then_some(())?;
    Some(ApVlan { name: name.filter(|name| !name.is_empty())?, bssid: bssid? })
}

type Attributes = Vec<Nlattr<u16, Buffer>>;

fn attribute(kind: u16, value: impl ToBytes + Size) -> Option<Attributes> {
    let kind = AttrTypeBuilder::default().nla_type(kind).build().ok()?;
    Some(vec![NlattrBuilder::default().nla_type(kind).nla_payload(value).build().ok()?])
}

fn request(
    family: u16,
    flags: u16,
    command: impl neli::consts::genl::Cmd,
    version: u8,
    attributes: Option<Attributes>,
) -> Option<Request> {
    let attributes: GenlBuffer<u16, Buffer> = attributes?.into_iter().collect();
    let message = GenlmsghdrBuilder::default().cmd(command).version(version).attrs(attributes).build().ok()?;
    let mut octets = Cursor::new(Vec::new());
    message.to_bytes(&mut octets).ok()?;
    Some(Request { kind: family, flags, body: octets.into_inner() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut octets = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
        octets.extend(kind.to_ne_bytes());
        octets.extend_from_slice(value);
        octets.resize(octets.len().next_multiple_of(4), 0);
        octets
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn requests_octet_for_octet() {
        let family = get_family("nl80211").unwrap();
        assert_eq!((family.kind, family.flags), (0x10, 5));
        assert_eq!(family.body, *b"\x03\x01\0\0\x0c\0\x02\0nl80211\0");
        let all = get_interfaces(0x1b).unwrap();
        assert_eq!((all.kind, all.flags, &*all.body), (0x1b, 0x301, &b"\x05\0\0\0"[..]));
        let isolate = set_ap_isolate(0x1b, 7, true).unwrap();
        assert_eq!(isolate.body, *b"\x19\0\0\0\x08\0\x03\0\x07\0\0\0\x05\0\x60\0\x01\0\0\0");
    }

    #[test]
    fn vlans_of_a_bss_and_nothing_else() {
        let bssid = MacAddr([2, 0, 0, 0, 1, 0]);
        let interface = |kind: u32, more: &[u8]| {
            let parts = [&[7, 0, 0, 0][..], &attribute(IFNAME, b"wlan0.20\0"), &attribute(IFTYPE, &kind.to_ne_bytes())];
            [&parts.concat()[..], &attribute(MAC, &bssid.0), more].concat()
        };
        let expected = ApVlan { name: "wlan0.20".into(), bssid };
        assert_eq!(ap_vlan(&interface(4, &[])), Some(expected.clone()));
        assert_eq!(ap_vlan(&interface(4, &attribute(FOUR_ADDRESSES, &[0]))), Some(expected));
        assert_eq!(ap_vlan(&interface(4, &attribute(FOUR_ADDRESSES, &[1]))), None, "WDS");
        assert_eq!(ap_vlan(&interface(3, &[])), None, "the BSS itself");
        assert_eq!(ap_vlan(&interface(4, &[])[..20]), None, "cut short");
        assert_eq!(ap_vlan(&[]), None);
        let answer = [&[1, 2, 0, 0][..], &attribute(2, b"nl80211\0"), &attribute(1, &0x1bu16.to_ne_bytes())].concat();
        assert_eq!(family(&answer), Some(0x1b));
        assert_eq!(family(&answer[..12]), None);
    }
}
