//! The checked view of a received packet: header and attributes are walked once, then read without further checks.

use super::dictionary::{AttributeType, Code};
use super::fragments;
use std::borrow::Cow;
use std::iter::FusedIterator;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Octets of the header: Code, Identifier, Length (2), Authenticator (16).
pub const HEADER_OCTETS: usize = 20;
/// The longest packet, in octets (RFC 2865, 3).
pub const MAX_PACKET_OCTETS: usize = 4096;
/// The longest value of one attribute, in octets.
pub const MAX_VALUE_OCTETS: usize = 253;

/// An Authenticator field.
pub type Authenticator = [u8; 16];

/// Why octets are no RADIUS packet. The sender is at fault; the packet is to be dropped (RFC 2865, 3).
/// Offsets count from the first octet of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Not even a header.
    #[error("a RADIUS packet has at least 20 octets, {0} came: not RADIUS, or cut off on the way")]
    Short(usize),
    /// The Length field has an impossible value.
    #[error("the Length field (offset 2) says {0}, expected 20 to 4096: not RADIUS, or garbled")]
    Length(usize),
    /// Fewer octets came than the Length field says.
    #[error("the Length field (offset 2) says {length}, {received} octets came: cut off on the way")]
    Truncated {
        /// Value of the Length field.
        length: usize,
        /// Octets that came.
        received: usize,
    },
    /// One last octet that cannot be an attribute.
    #[error("one octet left at offset {offset}, an attribute has at least 2: the sender garbled the attributes")]
    AttributeHeader {
        /// Where the octet is.
        offset: usize,
    },
    /// An attribute that is shorter than its own header.
    #[error("{kind} at offset {offset} has Length {length}, expected 2 to 255: the sender garbled the attributes")]
    AttributeLength {
        /// Where the attribute begins.
        offset: usize,
        /// Its type.
        kind: AttributeType,
        /// Its Length field.
        length: u8,
    },
    /// An attribute that reaches beyond the packet.
    #[error(
        "{kind} at offset {offset} has Length {length}, only {left} octets are left: the sender garbled the attributes"
    )]
    AttributeOverrun {
        /// Where the attribute begins.
        offset: usize,
        /// Its type.
        kind: AttributeType,
        /// Its Length field.
        length: u8,
        /// Octets from its beginning to the end of the packet.
        left: usize,
    },
    /// A fragment with the More flag that is not full (RFC 6929, 2.2).
    #[error(
        "{kind} at offset {offset} has the More flag and Length {length}, expected 255: the sender fragments wrongly"
    )]
    FragmentLength {
        /// Where the fragment begins.
        offset: usize,
        /// Its type.
        kind: AttributeType,
        /// Its Length field.
        length: usize,
    },
    /// A fragment with the More flag without the next fragment after it (RFC 6929, 2.2), and not the known mistake of
    /// hostapd 2.11 either.
    #[error(
        "{kind} at offset {offset} has the More flag, the next fragment does not follow: the sender fragments wrongly"
    )]
    FragmentMissing {
        /// Where the fragment begins.
        offset: usize,
        /// Its type.
        kind: AttributeType,
    },
    /// The octets after a fragment can be read in more than one way. No honest sender makes that: the octets of a
    /// station, which hostapd 2.11 leaves between the attributes, imitate attributes.
    #[error("{kind} at offset {offset}: the octets after it can be read in two ways: forged by the station, drop it")]
    FragmentAmbiguous {
        /// Where the fragment begins.
        offset: usize,
        /// Its type.
        kind: AttributeType,
    },
}

/// One attribute of a packet, as it stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its type.
    pub kind: AttributeType,
    /// Its value, 0 to 253 octets.
    pub value: &'a [u8],
    /// Where its type octet is, from the first octet of the packet.
    pub offset: usize,
}

impl<'a> Attribute<'a> {
    /// The value as a 32-bit integer, if it has 4 octets (RFC 2865, 5).
    pub fn as_u32(&self) -> Option<u32> {
        self.value.try_into().ok().map(u32::from_be_bytes)
    }

    /// Tag and integer of Tunnel-Type, Tunnel-Medium-Type and their like, if the value has 4 octets. A tag octet
    /// beyond 0x1f is no tag and counts as 0 (RFC 2868, 3.1).
    pub fn as_tagged_u32(&self) -> Option<(u8, u32)> {
        match *self.value {
            [tag, a, b, c] => Some((if tag <= MAX_TAG { tag } else { 0 }, u32::from_be_bytes([0, a, b, c]))),
            _ => None,
        }
    }

    /// Tag and text of Tunnel-Private-Group-Id and its like. A first octet beyond 0x1f is no tag but text
    /// (RFC 2868, 3.6).
    pub fn as_tagged_text(&self) -> (u8, &'a [u8]) {
        match self.value {
            [tag, text @ ..] if *tag <= MAX_TAG => (*tag, text),
            text => (0, text),
        }
    }

    /// Where the octet after its value is.
    pub(super) fn end(&self) -> usize {
        self.offset + 2 + self.value.len()
    }
}

/// The highest tag of a tunnel attribute (RFC 2868, 3.1).
pub const MAX_TAG: u8 = 0x1f;

/// A received packet whose header and attributes have been checked. Borrows the octets; nothing is copied.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    octets: &'a [u8],
    code: Code,
    identifier: u8,
    authenticator: &'a Authenticator,
}

impl<'a> Packet<'a> {
    /// Checks a datagram: 20 to 4096 octets by the Length field, padding after them ignored (RFC 2865, 3), and
    /// attributes that fill the rest exactly. The stray octets that hostapd 2.11 and older leave between the fragments
    /// of a long Extended-Vendor-Specific-5 attribute are passed over, where they are exactly that.
    pub fn parse(datagram: &'a [u8]) -> Result<Packet<'a>, PacketError> {
        let Some((header, _)) = datagram.split_first_chunk::<HEADER_OCTETS>() else {
            return Err(PacketError::Short(datagram.len()));
        };
        let [code, identifier, high, low, authenticator @ ..] = header;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if !(HEADER_OCTETS..=MAX_PACKET_OCTETS).contains(&length) {
            return Err(PacketError::Length(length));
        }
        let octets = datagram.get(..length).ok_or(PacketError::Truncated { length, received: datagram.len() })?;
        let mut offset = HEADER_OCTETS;
        while let Some(attribute) = attribute_at(octets, offset)? {
            offset = fragments::checked_following(octets, &attribute)?;
        }
        Ok(Packet { octets, code: Code(*code), identifier: *identifier, authenticator })
    }

    /// The Code field.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The Identifier field, which a reply repeats.
    pub fn identifier(&self) -> u8 {
        self.identifier
    }

    /// The Authenticator field: of the request or of the response, by the code.
    pub fn authenticator(&self) -> &'a Authenticator {
        self.authenticator
    }

    /// The packet's octets, without padding.
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// The attributes, in the order they stand.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes { octets: self.octets, offset: HEADER_OCTETS }
    }

    /// All attributes of one type, in the order they stand.
    pub fn find_all(&self, kind: AttributeType) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        self.attributes().filter(move |a| a.kind == kind)
    }

    /// The value of the first attribute of this type: text and opaque octets.
    pub fn find(&self, kind: AttributeType) -> Option<&'a [u8]> {
        self.attributes().find(|a| a.kind == kind).map(|a| a.value)
    }

    /// The value of the first attribute of this type, if it has the 4 octets of an integer.
    pub fn find_u32(&self, kind: AttributeType) -> Option<u32> {
        self.find(kind)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// The value of the first attribute of this type, if it has the 4 octets of an IPv4 address.
    pub fn find_ipv4(&self, kind: AttributeType) -> Option<Ipv4Addr> {
        self.find_u32(kind).map(Ipv4Addr::from)
    }

    /// The value of the first attribute of this type, if it has the 16 octets of an IPv6 address.
    pub fn find_ipv6(&self, kind: AttributeType) -> Option<Ipv6Addr> {
        <[u8; 16]>::try_from(self.find(kind)?).ok().map(Ipv6Addr::from)
    }

    /// The EAP packet of all EAP-Message attributes together (RFC 3579, 3.1); copied only if there is more than one.
    pub fn eap_message(&self) -> Option<Cow<'a, [u8]>> {
        let mut pieces = self.find_all(AttributeType::EAP_MESSAGE);
        let mut eap = Cow::Borrowed(pieces.next()?.value);
        for piece in pieces {
            eap.to_mut().extend_from_slice(piece.value);
        }
        Some(eap)
    }
}

/// Iterator over the attributes of a [`Packet`].
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    octets: &'a [u8],
    offset: usize,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        // Neither can fail: Packet::parse has taken the very same way. If it could, the walk would end here.
        let attribute = attribute_at(self.octets, self.offset).ok()??;
        self.offset = fragments::following(self.octets, &attribute).unwrap_or(self.octets.len());
        Some(attribute)
    }
}

impl FusedIterator for Attributes<'_> {}

/// The attribute whose type octet is at `offset`, or nothing at the end of the packet.
fn attribute_at(octets: &[u8], offset: usize) -> Result<Option<Attribute<'_>>, PacketError> {
    let (kind, length, rest) = match octets.get(offset..) {
        None | Some([]) => return Ok(None),
        Some([_]) => return Err(PacketError::AttributeHeader { offset }),
        Some(rest @ [kind, length, ..]) => (AttributeType(*kind), *length, rest),
    };
    if length < 2 {
        return Err(PacketError::AttributeLength { offset, kind, length });
    }
    match rest.get(2..usize::from(length)) {
        Some(value) => Ok(Some(Attribute { kind, value, offset })),
        None => Err(PacketError::AttributeOverrun { offset, kind, length, left: rest.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::vectors;
    use super::*;

    fn packet(attributes: &[u8]) -> Vec<u8> {
        let mut octets = vec![1, 7, 0, 0];
        octets.extend([0xaa; 16]);
        octets.extend(attributes);
        let length = u16::try_from(octets.len()).unwrap().to_be_bytes();
        octets[2..4].copy_from_slice(&length);
        octets
    }

    fn error(attributes: &[u8]) -> PacketError {
        Packet::parse(&packet(attributes)).unwrap_err()
    }

    #[test]
    fn a_mac_acl_request() {
        let packet = Packet::parse(vectors::RADCLIENT_ACCESS).unwrap();
        assert_eq!(packet.code(), Code::ACCESS_REQUEST);
        assert_eq!(packet.identifier(), 25);
        assert_eq!(packet.authenticator()[..4], [0x17, 0xbc, 0x8c, 0xcf]);
        assert_eq!(packet.find(AttributeType::USER_NAME), Some(&b"02aabbccddee"[..]));
        assert_eq!(packet.find_ipv4(AttributeType::NAS_IP_ADDRESS), Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(packet.find_u32(AttributeType::NAS_PORT_TYPE), Some(19));
        assert_eq!(packet.find_u32(AttributeType::USER_NAME), None);
        assert_eq!(packet.find_ipv6(AttributeType::NAS_IPV6_ADDRESS), None);
        assert_eq!(packet.find(AttributeType::CALLED_STATION_ID), Some(&b"02-00-00-00-01-00:Home: 2.4"[..]));
        let kinds: Vec<u8> = packet.attributes().map(|a| a.kind.0).collect();
        assert_eq!(kinds, [80, 1, 2, 4, 32, 30, 61, 31, 77]);
        assert_eq!(packet.attributes().next().map(|a| a.offset), Some(20));
    }

    #[test]
    fn eap_message_in_one_and_in_more_pieces() {
        let real = Packet::parse(vectors::EAPOL_TEST).unwrap();
        assert!(matches!(real.eap_message(), Some(Cow::Borrowed(eap)) if eap.starts_with(&[2, 0x21, 0, 0x15, 1])));
        let octets = packet(&[79, 4, 2, 1, 1, 3, b'x', 79, 3, 9]);
        assert_eq!(Packet::parse(&octets).unwrap().eap_message().as_deref(), Some(&[2, 1, 9][..]));
        assert_eq!(Packet::parse(&packet(&[])).unwrap().eap_message(), None);
    }

    #[test]
    fn the_length_field_counts() {
        assert_eq!(Packet::parse(&[]).unwrap_err(), PacketError::Short(0));
        assert_eq!(Packet::parse(&[1; 19]).unwrap_err(), PacketError::Short(19));
        let mut octets = packet(&[1, 3, b'x']);
        octets.extend([0; 5]);
        let padded = Packet::parse(&octets).unwrap();
        assert_eq!(padded.octets().len(), 23);
        assert_eq!(padded.attributes().count(), 1);
        assert_eq!(Packet::parse(&octets[..22]).unwrap_err(), PacketError::Truncated { length: 23, received: 22 });
        octets[3] = 19;
        assert_eq!(Packet::parse(&octets).unwrap_err(), PacketError::Length(19));
        let mut long = packet(&[1, 2].repeat(2038));
        assert_eq!(Packet::parse(&long).unwrap().attributes().count(), 2038);
        long.extend([1, 2]);
        long[2..4].copy_from_slice(&4098u16.to_be_bytes());
        assert_eq!(Packet::parse(&long).unwrap_err(), PacketError::Length(4098));
    }

    #[test]
    fn attributes_fill_the_packet_exactly() {
        let kind = AttributeType::USER_NAME;
        assert_eq!(error(&[1]), PacketError::AttributeHeader { offset: 20 });
        assert_eq!(error(&[1, 3, 0, 1]), PacketError::AttributeHeader { offset: 23 });
        assert_eq!(error(&[1, 0]), PacketError::AttributeLength { offset: 20, kind, length: 0 });
        assert_eq!(error(&[1, 1]), PacketError::AttributeLength { offset: 20, kind, length: 1 });
        assert_eq!(error(&[1, 4, 0]), PacketError::AttributeOverrun { offset: 20, kind, length: 4, left: 3 });
        assert!(error(&[1, 4, 0]).to_string().starts_with("User-Name at offset 20 has Length 4, only 3 octets"));
    }

    #[test]
    fn tagged_values() {
        let accept = Packet::parse(vectors::FREERADIUS_ACCEPT).unwrap();
        let of = |kind| accept.attributes().find(|a| a.kind == kind).unwrap();
        assert_eq!(of(AttributeType::TUNNEL_TYPE).as_tagged_u32(), Some((1, 13)));
        assert_eq!(of(AttributeType::TUNNEL_MEDIUM_TYPE).as_tagged_u32(), Some((1, 6)));
        assert_eq!(of(AttributeType::TUNNEL_PRIVATE_GROUP_ID).as_tagged_text(), (1, &b"20"[..]));
        let attribute = |value| Attribute { kind: AttributeType::TUNNEL_TYPE, value, offset: 0 };
        assert_eq!(attribute(b"20").as_tagged_text(), (0, &b"20"[..]));
        assert_eq!(attribute(b"").as_tagged_text(), (0, &b""[..]));
        assert_eq!(attribute(&[0x20, 0, 0, 13]).as_tagged_u32(), Some((0, 13)));
        assert_eq!(attribute(&[1, 0, 13]).as_tagged_u32(), None);
    }
}
