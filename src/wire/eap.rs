//! EAP packets (RFC 3748, 4): checked view and emit, Naks, and what the methods are called.

use std::fmt;

/// Code, Identifier and Length (RFC 3748, 4).
pub const HEADER_OCTETS: usize = 4;

/// An expanded type: the octet 254, Vendor-Id and Vendor-Type (RFC 3748, 5.7).
const EXPANDED_OCTETS: usize = 8;

/// Code of an EAP packet (RFC 3748, 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// From the server.
    Request = 1,
    /// From the peer.
    Response = 2,
    /// From the server: it is over, and well.
    Success = 3,
    /// From the server: it is over.
    Failure = 4,
}

/// A method type: Vendor-Id 0 are the types of the IETF, which fit into one octet (RFC 3748, 5.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Type {
    /// SMI enterprise number, 24 bits; 0 is the IETF.
    pub vendor: u32,
    /// The type among those of the vendor.
    pub kind: u32,
}

impl Type {
    /// Identity (RFC 3748, 5.1).
    pub const IDENTITY: Type = Type::ietf(1);
    /// Notification (RFC 3748, 5.2).
    pub const NOTIFICATION: Type = Type::ietf(2);
    /// Nak, legacy or expanded (RFC 3748, 5.3).
    pub const NAK: Type = Type::ietf(3);

    /// A type of the IETF.
    pub const fn ietf(kind: u8) -> Type {
        Type { vendor: 0, kind: kind as u32 }
    }

    /// True for what begins an authentication method (RFC 3748, 5: types from 4 on).
    pub fn is_method(self) -> bool {
        self.vendor != 0 || (self.kind > 3 && self.kind != 254)
    }
}

/// What people call the types (IANA, Method Types).
const NAMES: &[(u8, &str)] = &[
    (1, "Identity"),
    (2, "Notification"),
    (3, "Nak"),
    (4, "EAP-MD5"),
    (5, "EAP-OTP"),
    (6, "EAP-GTC"),
    (9, "EAP-RSA"),
    (13, "EAP-TLS"),
    (15, "EAP-SecurID"),
    (17, "LEAP"),
    (18, "EAP-SIM"),
    (19, "EAP-SRP-SHA1"),
    (21, "EAP-TTLS"),
    (23, "EAP-AKA"),
    (25, "PEAP"),
    (26, "EAP-MSCHAPv2"),
    (27, "EAP-MAKE"),
    (29, "EAP-MSCHAPv2"),
    (32, "EAP-POTP"),
    (38, "EAP-HTTP-Digest"),
    (41, "EAP-SPEKE"),
    (43, "EAP-FAST"),
    (46, "EAP-PAX"),
    (47, "EAP-PSK"),
    (48, "EAP-SAKE"),
    (49, "EAP-IKEv2"),
    (50, "EAP-AKA'"),
    (51, "EAP-GPSK"),
    (52, "EAP-pwd"),
    (53, "EAP-EKE"),
    (54, "PT-EAP"),
    (55, "TEAP"),
    (56, "EAP-NOOB"),
    (57, "EAP-EDHOC"),
    (255, "an experimental method"),
];

impl Type {
    /// The name people know it by; nothing for those that have none.
    pub fn name(self) -> Option<&'static str> {
        let known = NAMES.iter().find(|(number, _)| self.vendor == 0 && u32::from(*number) == self.kind);
        known.map(|(_, name)| *name)
    }
}

impl fmt::Display for Type {
    /// The name people know it by ("EAP-MSCHAPv2"), or its number ("EAP type 99").
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.vendor, self.kind) {
            (0, kind) => match NAMES.iter().find(|(number, _)| u32::from(*number) == kind) {
                Some((_, name)) => f.write_str(name),
                None => write!(f, "EAP type {kind}"),
            },
            (14122, 1) => f.write_str("WPS"),
            (vendor, kind) => write!(f, "EAP type {kind} of vendor {vendor}"),
        }
    }
}

/// Why octets are no EAP packet. All of it came from the peer, by way of the NAS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EapError {
    /// Not even a header.
    #[error("an EAP packet has at least 4 octets, {0} came")]
    Short(usize),
    /// Length is below what every packet with this code has, or above what came.
    #[error("the EAP packet says it has {said} octets, {came} came")]
    Length {
        /// The field Length.
        said: usize,
        /// Octets that came.
        came: usize,
    },
    /// A code this protocol does not have (RFC 3748, 4: to be discarded).
    #[error("EAP code {0} is none of 1 to 4")]
    Code(u8),
    /// A request or response that ends before its type, or within it.
    #[error("the EAP packet has no complete type")]
    Type,
}

impl EapError {
    /// The same without numbers.
    pub fn words(self) -> &'static str {
        match self {
            EapError::Short(_) => "an EAP packet of less than 4 octets",
            EapError::Length { .. } => "an EAP packet whose length is wrong",
            EapError::Code(_) => "an EAP packet with an unknown code",
            EapError::Type => "an EAP packet without a type",
        }
    }
}

/// A checked view of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    code: Code,
    identifier: u8,
    octets: &'a [u8],
    kind: Option<Type>,
    data: &'a [u8],
    expanded: bool,
}

impl<'a> Packet<'a> {
    /// Reads a packet. Octets beyond Length are padding and left out (RFC 3748, 4.1); a type below 256 of Vendor-Id 0
    /// in expanded form is the same as in one octet (RFC 3748, 5.7).
    ///
    /// # Errors
    /// If it is not as RFC 3748, 4 says; such a packet is to be discarded.
    pub fn parse(octets: &'a [u8]) -> Result<Packet<'a>, EapError> {
        let [code, identifier, high, low, ..] = *octets else { return Err(EapError::Short(octets.len())) };
        let code = match code {
            1 => Code::Request,
            2 => Code::Response,
            3 => Code::Success,
            4 => Code::Failure,
            other => return Err(EapError::Code(other)),
        };
        let said = usize::from(u16::from_be_bytes([high, low]));
        let wrong = EapError::Length { said, came: octets.len() };
        let octets = octets.get(..said).ok_or(wrong)?;
        let body = octets.get(HEADER_OCTETS..).ok_or(wrong)?;
        let plain = Packet { code, identifier, octets, kind: None, data: &[], expanded: false };
        if matches!(code, Code::Success | Code::Failure) {
            return if body.is_empty() { Ok(plain) } else { Err(wrong) };
        }
        let (kind, data, expanded) = match body {
            [] => return Err(EapError::Type),
            [254, rest @ ..] => {
                let (kind, data) = expanded_type(rest).ok_or(EapError::Type)?;
                (kind, data, true)
            }
            [kind, data @ ..] => (Type::ietf(*kind), data, false),
        };
        Ok(Packet { kind: Some(kind), data, expanded, ..plain })
    }

    /// Code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Identifier, by which responses are matched with requests (RFC 3748, 4.1).
    pub fn identifier(&self) -> u8 {
        self.identifier
    }

    /// Type of a request or response; successes and failures have none.
    pub fn kind(&self) -> Option<Type> {
        self.kind
    }

    /// What follows the type.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The whole packet, without padding.
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// The methods a Nak asks for instead, in its order (RFC 3748, 5.3). Type 0, which says "no alternative", and other
    /// types that are no methods are left out. Nothing for other packets.
    pub fn wanted(&self) -> impl Iterator<Item = Type> + use<'a> {
        let nak = self.code == Code::Response && self.kind == Some(Type::NAK);
        let (legacy, expanded) = match (nak, self.expanded) {
            (false, _) => (&[][..], &[][..]),
            (true, false) => (self.data, &[][..]),
            (true, true) => (&[][..], self.data),
        };
        let expanded = expanded.chunks_exact(EXPANDED_OCTETS).filter_map(|one| match one {
            [254, rest @ ..] => expanded_type(rest).map(|(kind, _)| kind),
            _ => None,
        });
        legacy.iter().map(|kind| Type::ietf(*kind)).chain(expanded).filter(|kind| kind.is_method())
    }
}

/// Vendor-Id and Vendor-Type, and what follows them.
fn expanded_type(octets: &[u8]) -> Option<(Type, &[u8])> {
    let ([a, b, c, kind @ ..], rest) = octets.split_first_chunk::<7>()?;
    Some((Type { vendor: u32::from_be_bytes([0, *a, *b, *c]), kind: u32::from_be_bytes(*kind) }, rest))
}

/// A request with a type of the IETF. Data beyond 65,530 octets is cut off: no method has as much in one packet.
pub fn request(identifier: u8, kind: u8, data: &[u8]) -> Vec<u8> {
    typed(Code::Request, identifier, kind, data)
}

/// A response with a type of the IETF. Data beyond 65,530 octets is cut off.
pub fn response(identifier: u8, kind: u8, data: &[u8]) -> Vec<u8> {
    typed(Code::Response, identifier, kind, data)
}

/// EAP-Success for the response with this identifier (RFC 3748, 4.2).
pub fn success(identifier: u8) -> Vec<u8> {
    vec![Code::Success as u8, identifier, 0, HEADER_OCTETS as u8]
}

/// EAP-Failure for the response with this identifier (RFC 3748, 4.2).
pub fn failure(identifier: u8) -> Vec<u8> {
    vec![Code::Failure as u8, identifier, 0, HEADER_OCTETS as u8]
}

fn typed(code: Code, identifier: u8, kind: u8, data: &[u8]) -> Vec<u8> {
    let room = usize::from(u16::MAX) - HEADER_OCTETS - 1;
    let data = data.get(..room).unwrap_or(data);
    let length = HEADER_OCTETS + 1 + data.len();
    let mut packet = Vec::with_capacity(length);
    packet.extend([code as u8, identifier]);
    packet.extend((length as u16).to_be_bytes());
    packet.push(kind);
    packet.extend(data);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets_as_supplicants_send_them() {
        let identity = Packet::parse(b"\x02\x07\x00\x0b\x01anna@x").unwrap();
        assert_eq!((identity.code(), identity.identifier()), (Code::Response, 7));
        assert_eq!((identity.kind(), identity.data()), (Some(Type::IDENTITY), &b"anna@x"[..]));
        let padded = Packet::parse(b"\x02\x07\x00\x0b\x01anna@x\0\0\0").unwrap();
        assert_eq!(padded, identity);
        assert_eq!(padded.octets().len(), 11);
        let over = Packet::parse(b"\x03\x09\x00\x04").unwrap();
        assert_eq!((over.code(), over.kind(), over.data()), (Code::Success, None, &b""[..]));
        assert_eq!(Packet::parse(b"\x04\x09\x00\x04").map(|p| p.code()), Ok(Code::Failure));
        assert_eq!(request(9, 47, b"abc"), b"\x01\x09\x00\x08\x2fabc");
        assert_eq!(response(9, 1, b""), b"\x02\x09\x00\x05\x01");
        assert_eq!((success(3), failure(4)), (vec![3, 3, 0, 4], vec![4, 4, 0, 4]));
    }

    #[test]
    fn what_is_no_packet() {
        for (octets, error) in [
            (&b""[..], EapError::Short(0)),
            (b"\x02\x07\x00", EapError::Short(3)),
            (b"\x02\x07\x00\x06\x01", EapError::Length { said: 6, came: 5 }),
            (b"\x02\x07\x00\x03\x01", EapError::Length { said: 3, came: 5 }),
            (b"\x02\x07\xff\xff\x01a", EapError::Length { said: 65535, came: 6 }),
            (b"\x02\x07\x00\x04\x01", EapError::Type),
            (b"\x02\x07\x00\x04", EapError::Type),
            (b"\x01\x07\x00\x04", EapError::Type),
            (b"\x02\x07\x00\x0b\xfe\0\0\0\0\0\0", EapError::Type),
            (b"\x00\x07\x00\x04", EapError::Code(0)),
            (b"\x05\x07\x00\x05\x01", EapError::Code(5)),
            (b"\x03\x07\x00\x05\x01", EapError::Length { said: 5, came: 5 }),
        ] {
            assert_eq!(Packet::parse(octets), Err(error), "{}", octets.escape_ascii());
        }
    }

    #[test]
    fn naks() {
        let wanted = |octets: &'static [u8]| Packet::parse(octets).unwrap().wanted().collect::<Vec<_>>();
        assert_eq!(wanted(b"\x02\x01\x00\x08\x03\x19\x15\x1a"), [25, 21, 26].map(Type::ietf));
        assert_eq!(wanted(b"\x02\x01\x00\x06\x03\x00"), []);
        assert_eq!(wanted(b"\x02\x01\x00\x05\x03"), []);
        // Types that are no methods are no alternatives.
        assert_eq!(wanted(b"\x02\x01\x00\x0a\x03\x01\x02\x03\xfe\x2f"), [Type::ietf(47)]);
        // The example of RFC 3748, 5.3.2: MD5-Challenge and two of vendors; then "none".
        let expanded =
            b"\x02\x01\x00\x24\xfe\0\0\0\0\0\0\x03\xfe\0\0\0\0\0\0\x04\xfe\0\x37\x2a\0\0\0\x01\xfe\0\0\x14\0\0\0\x06";
        let types = [Type::ietf(4), Type { vendor: 14122, kind: 1 }, Type { vendor: 20, kind: 6 }];
        assert_eq!(wanted(expanded), types);
        assert_eq!(wanted(b"\x02\x01\x00\x14\xfe\0\0\0\0\0\0\x03\xfe\0\0\0\0\0\0\0"), []);
        // A request is no Nak, whatever its type.
        assert_eq!(wanted(b"\x01\x01\x00\x06\x03\x19"), []);
        assert_eq!(wanted(b"\x02\x01\x00\x06\x2f\x19"), []);
    }

    #[test]
    fn a_type_may_be_written_in_both_ways() {
        let plain = Packet::parse(b"\x02\x01\x00\x07\x2fab").unwrap();
        let expanded = Packet::parse(b"\x02\x01\x00\x0e\xfe\0\0\0\0\0\0\x2fab").unwrap();
        assert_eq!((plain.kind(), plain.data()), (expanded.kind(), expanded.data()));
    }

    #[test]
    fn names() {
        for (kind, name) in [
            (26, "EAP-MSCHAPv2"),
            (25, "PEAP"),
            (21, "EAP-TTLS"),
            (18, "EAP-SIM"),
            (47, "EAP-PSK"),
            (99, "EAP type 99"),
        ] {
            assert_eq!(Type::ietf(kind).to_string(), name);
        }
        assert_eq!(Type { vendor: 14122, kind: 1 }.to_string(), "WPS");
        assert_eq!(Type { vendor: 9, kind: 3 }.to_string(), "EAP type 3 of vendor 9");
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
    }

    proptest! {
        #[test]
        fn emitted_comes_back(id: u8, kind in (1u8..=253), data in prop::collection::vec(any::<u8>(), 0..1500)) {
            let octets = response(id, kind, &data);
            let packet = Packet::parse(&octets).unwrap();
            prop_assert_eq!((packet.identifier(), packet.kind()), (id, Some(Type::ietf(kind))));
            prop_assert_eq!(packet.data(), &data[..]);
        }

        #[test]
        fn no_octets_panic(data in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(packet) = Packet::parse(&data) {
                prop_assert!(data.starts_with(packet.octets()));
                prop_assert!(packet.wanted().count() <= data.len());
            }
        }
    }
}
