//! Extended attributes (RFC 6929): types 241 to 246, fragments put together, and the vendor's in them: what
//! hostapd's `wpa_psk_radius=3` sends of a 4-way handshake.

use super::dictionary::AttributeType;
use super::fragments::{MORE, VENDOR_SPECIFIC};
use super::packet::{Attributes, Packet};
use std::borrow::Cow;
use std::iter::FusedIterator;

/// Vendor-Id of FreeRADIUS (IANA enterprise number), whose attributes hostapd uses.
pub const VENDOR_FREERADIUS: u32 = 11344;
/// FreeRADIUS-802.1X-Anonce: the authenticator's nonce, 32 octets.
pub const FREERADIUS_802_1X_ANONCE: u8 = 1;
/// FreeRADIUS-802.1X-EAPoL-Key-Msg: message 2 of the 4-way handshake, 802.1X header included.
pub const FREERADIUS_802_1X_EAPOL_KEY_MSG: u8 = 2;

/// An extended attribute, whole. The value is copied only if it came in fragments; it is never longer than a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedAttribute<'a> {
    /// 241 to 246.
    pub kind: AttributeType,
    /// The Extended-Type.
    pub extended_type: u8,
    /// What follows the Extended-Type, and the flags in 245 and 246; at least one octet.
    pub value: Cow<'a, [u8]>,
}

/// The content of an Extended-Vendor-Specific attribute (RFC 6929, 2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedVendorSpecific<'a> {
    /// 241 to 246.
    pub kind: AttributeType,
    /// IANA enterprise number of the vendor.
    pub vendor: u32,
    /// The vendor's own number of the attribute.
    pub vendor_type: u8,
    /// The attribute's value, possibly empty.
    pub data: Cow<'a, [u8]>,
}

impl<'a> ExtendedAttribute<'a> {
    /// Vendor, type and data, if this is an Extended-Vendor-Specific attribute that has them.
    pub fn vendor_specific(self) -> Option<ExtendedVendorSpecific<'a>> {
        if self.extended_type != VENDOR_SPECIFIC {
            return None;
        }
        let ([a, b, c, d, vendor_type], _) = self.value.split_first_chunk()?;
        let (vendor, vendor_type) = (u32::from_be_bytes([*a, *b, *c, *d]), *vendor_type);
        let data = match self.value {
            Cow::Borrowed(value) => Cow::Borrowed(value.get(5..)?),
            Cow::Owned(mut value) => Cow::Owned(value.drain(5..).collect()),
        };
        Some(ExtendedVendorSpecific { kind: self.kind, vendor, vendor_type, data })
    }
}

/// The extended attributes of a packet, fragments put together, in the order they stand. Those too short to have a
/// value are invalid and left out (RFC 6929, 2.8).
pub fn extended_attributes<'a>(packet: &Packet<'a>) -> ExtendedAttributes<'a> {
    ExtendedAttributes { attributes: packet.attributes() }
}

/// Iterator of [`extended_attributes`].
#[derive(Debug, Clone)]
pub struct ExtendedAttributes<'a> {
    attributes: Attributes<'a>,
}

impl<'a> Iterator for ExtendedAttributes<'a> {
    type Item = ExtendedAttribute<'a>;

    fn next(&mut self) -> Option<ExtendedAttribute<'a>> {
        loop {
            let attribute = self.attributes.next()?;
            let kind = attribute.kind;
            match attribute.value {
                [extended_type, value @ ..] if kind.is_extended() && !value.is_empty() => {
                    return Some(ExtendedAttribute { kind, extended_type: *extended_type, value: value.into() });
                }
                [extended_type, flags, value @ ..] if kind.is_long_extended() && !value.is_empty() => {
                    let mut whole = Cow::Borrowed(value);
                    let mut more = flags & MORE != 0;
                    // Packet::parse has seen to it that the fragments follow each other, up to one without the flag.
                    while more && let Some(fragment) = self.attributes.next() {
                        let [_, flags, value @ ..] = fragment.value else { break };
                        whole.to_mut().extend_from_slice(value);
                        more = flags & MORE != 0;
                    }
                    return Some(ExtendedAttribute { kind, extended_type: *extended_type, value: whole });
                }
                _ => {}
            }
        }
    }
}

impl FusedIterator for ExtendedAttributes<'_> {}

/// What a NAS sends of a 4-way handshake that no key of its own fits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FreeRadius8021x<'a> {
    /// The authenticator's nonce, if it is there and has 32 octets.
    pub anonce: Option<&'a [u8; 32]>,
    /// The EAPOL frame of message 2, not looked into; copied only if it came in fragments.
    pub eapol: Option<Cow<'a, [u8]>>,
}

/// Takes ANonce and EAPOL frame from a request: FreeRADIUS's attributes in Extended-Vendor-Specific-5, the first of
/// each.
pub fn freeradius_802_1x<'a>(packet: &Packet<'a>) -> FreeRadius8021x<'a> {
    let mut found = FreeRadius8021x::default();
    for attribute in extended_attributes(packet).filter(|a| a.kind == AttributeType::EXTENDED_5) {
        let Some(specific) = attribute.vendor_specific().filter(|s| s.vendor == VENDOR_FREERADIUS) else { continue };
        match (specific.vendor_type, specific.data) {
            // Never in fragments: those hold more than 32 octets.
            (FREERADIUS_802_1X_ANONCE, Cow::Borrowed(nonce)) if found.anonce.is_none() => {
                found.anonce = nonce.try_into().ok();
            }
            (FREERADIUS_802_1X_EAPOL_KEY_MSG, frame) if found.eapol.is_none() => found.eapol = Some(frame),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{self, hostapd_2_11, proper, request};
    use super::*;

    /// Extended-Vendor-Specific value of FreeRADIUS-802.1X-EAPoL-Key-Msg.
    fn eapol_value(frame: &[u8]) -> Vec<u8> {
        [&[0, 0, 0x2c, 0x50, 2], frame].concat()
    }

    #[test]
    fn fragments_as_radclient_sends_them() {
        let packet = Packet::parse(vectors::RADCLIENT_EVS).unwrap();
        let found = freeradius_802_1x(&packet);
        let nonce: Vec<u8> = (0..32).collect();
        assert_eq!(found.anonce.map(|n| &n[..]), Some(&nonce[..]));
        let frame: Vec<u8> = [1, 3, 1, 0x28].into_iter().chain((0..296).map(|i| (i * 7 + 3) as u8)).collect();
        assert_eq!(found.eapol.as_deref(), Some(&frame[..]));
    }

    #[test]
    fn the_right_and_the_malformed_form_give_the_same_frame() {
        for length in [247, 300, 600, 1200] {
            let frame: Vec<u8> = (0..length).map(|i| (i * 7 % 253) as u8).collect();
            let malformed = request(&[&hostapd_2_11(&eapol_value(&frame))]);
            let right = request(&[&proper(245, 26, &eapol_value(&frame))]);
            assert_ne!(malformed, right);
            for octets in [&malformed, &right] {
                let found = freeradius_802_1x(&Packet::parse(octets).unwrap());
                assert_eq!(found.eapol.as_deref(), Some(&frame[..]), "{length}");
                assert!(matches!(found.eapol, Some(Cow::Owned(_))));
            }
        }
        // Up to here nothing is fragmented, nothing malformed and nothing copied.
        let frame = [3; 246];
        let whole = request(&[&hostapd_2_11(&eapol_value(&frame))]);
        assert_eq!(whole, request(&[&proper(245, 26, &eapol_value(&frame))]));
        let found = freeradius_802_1x(&Packet::parse(&whole).unwrap());
        assert!(matches!(found.eapol, Some(Cow::Borrowed(octets)) if octets == frame));
    }

    #[test]
    fn the_malformed_packet_of_hostapd_2_11_literally() {
        // An EAPOL frame of 250 octets: 4 too many for one attribute, so 4 stray octets.
        let mut octets = vec![1, 9, 0x01, 0x1b];
        octets.extend([0x11; 16]);
        octets.extend([0xf5, 0xff, 0x1a, 0x80, 0, 0, 0x2c, 0x50, 2]);
        octets.extend([0xe0; 246]);
        octets.extend([0xd1, 0xd2, 0xd3, 0xd4]);
        let without_end = octets.len();
        octets.extend([0xf5, 0x08, 0x1a, 0x00, 0xd1, 0xd2, 0xd3, 0xd4]);
        octets[3] = (octets.len() - 256) as u8;
        let packet = Packet::parse(&octets).unwrap();
        assert_eq!(packet.attributes().map(|a| a.offset).collect::<Vec<_>>(), [20, without_end]);
        let eapol = freeradius_802_1x(&packet).eapol.unwrap();
        assert_eq!((eapol.len(), &eapol[246..]), (250, &[0xd1, 0xd2, 0xd3, 0xd4][..]));
    }

    #[test]
    fn other_attributes_are_not_taken() {
        let nonce = [5; 32];
        let value = |vendor: u8, kind: u8, data: &[u8]| [&[0, 0, 0x2c, vendor, kind], data].concat();
        let octets = request(&[
            &proper(245, 26, &value(0x51, 1, &nonce)),
            &proper(246, 26, &value(0x50, 1, &nonce)),
            &proper(245, 27, &value(0x50, 1, &nonce)),
            &proper(245, 26, &value(0x50, 3, &nonce)),
            &proper(245, 26, &value(0x50, 1, &nonce[1..])),
            &proper(245, 26, &[0, 0, 0x2c, 0x50]),
            &[26, 38, 0, 0, 0x2c, 0x50],
            &nonce,
        ]);
        let packet = Packet::parse(&octets).unwrap();
        assert_eq!(freeradius_802_1x(&packet), FreeRadius8021x::default());
        assert_eq!(extended_attributes(&packet).count(), 6);
    }

    #[test]
    fn short_extended_attributes() {
        let octets = request(&[&[241, 4, 8, 1], &[241, 3, 8], &[241, 2], &[245, 4, 1, 0], &[244, 5, 1, 7, 7]]);
        let found: Vec<_> = extended_attributes(&Packet::parse(&octets).unwrap())
            .map(|e| (e.kind.0, e.extended_type, e.value.into_owned()))
            .collect();
        assert_eq!(found, [(241, 8, vec![1]), (244, 1, vec![7, 7])]);
    }
}
