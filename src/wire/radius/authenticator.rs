//! Message-Authenticator, Request Authenticator and Response Authenticator. All comparisons take the same time
//! wherever the difference is.

use super::dictionary::{AttributeType, Code};
use super::packet::{Authenticator, HEADER_OCTETS, Packet};
use crate::secret::RadiusSecret;
use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};

/// What a packet's Message-Authenticator says (RFC 3579, 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageAuthenticator {
    /// There is none. Whether that will do is the caller's policy: not with EAP-Message (RFC 3579, 3.2), not in
    /// Status-Server (RFC 5997, 3), and not from a client that is known to send it.
    Absent,
    /// There is one, made with this secret over exactly this packet.
    Valid,
    /// Forged, garbled, made with another secret, not 16 octets long, or there are several.
    Invalid,
}

/// Checks the Message-Authenticator of a packet.
///
/// It covers the packet with the authenticator of the *request* in the header. A request brings that itself:
/// Access-Request and Status-Server their own (RFC 3579, 3.2; RFC 5997, 3), Accounting-, Disconnect- and CoA-Request
/// 16 zero octets (RFC 5080, 2.2.2; RFC 5176, 2.3). For a reply give the authenticator of the request it answers;
/// without it, a reply is `Invalid`, as is a packet with a code that is neither. For requests it is not looked at.
pub fn verify_message_authenticator(
    packet: &Packet<'_>,
    secret: &RadiusSecret,
    request_authenticator: Option<&Authenticator>,
) -> MessageAuthenticator {
    let mut found = packet.find_all(AttributeType::MESSAGE_AUTHENTICATOR);
    let Some(attribute) = found.next() else {
        return MessageAuthenticator::Absent;
    };
    let covered = match packet.code() {
        Code::ACCESS_REQUEST | Code::STATUS_SERVER => Some(packet.authenticator()),
        code if code.has_computed_authenticator() => Some(&[0; 16]),
        code if code.is_reply() => request_authenticator,
        _ => None,
    };
    match covered {
        Some(covered) if found.next().is_none() && attribute.value.len() == 16 => {
            let mac = message_authenticator(packet.octets(), attribute.offset, covered, secret);
            match mac.map(|mac| mac.verify_slice(attribute.value)) {
                Some(Ok(())) => MessageAuthenticator::Valid,
                _ => MessageAuthenticator::Invalid,
            }
        }
        _ => MessageAuthenticator::Invalid,
    }
}

/// Checks the authenticator of a request that has a computed one: Accounting-Request (RFC 2866, 3), Disconnect-Request
/// and CoA-Request (RFC 5176, 2.3). False for every other code.
pub fn verify_request_authenticator(packet: &Packet<'_>, secret: &RadiusSecret) -> bool {
    packet.code().has_computed_authenticator() && verify_digest(packet, &[0; 16], secret)
}

/// Checks the authenticator of a reply against that of the request it answers (RFC 2865, 3).
pub fn verify_response_authenticator(
    packet: &Packet<'_>,
    secret: &RadiusSecret,
    request_authenticator: &Authenticator,
) -> bool {
    packet.code().is_reply() && verify_digest(packet, request_authenticator, secret)
}

fn verify_digest(packet: &Packet<'_>, covered: &Authenticator, secret: &RadiusSecret) -> bool {
    let expected = digest(packet.octets(), covered, secret);
    CtOutput::<Md5>::new(expected.into()) == CtOutput::new((*packet.authenticator()).into())
}

/// MD5(Code, Identifier, Length, `covered`, attributes, secret): the Response Authenticator, where `covered` is the
/// Request Authenticator (RFC 2865, 3), or with 16 zero octets the computed Request Authenticator (RFC 2866, 3).
pub(super) fn digest(octets: &[u8], covered: &Authenticator, secret: &RadiusSecret) -> Authenticator {
    let mut md5 = Md5::new();
    md5.update(octets.get(..4).unwrap_or_default());
    md5.update(covered);
    md5.update(octets.get(HEADER_OCTETS..).unwrap_or_default());
    md5.update(secret.expose());
    md5.finalize().into()
}

/// HMAC-MD5 over the packet with `covered` in the header and zeros in the Message-Authenticator at offset `at`.
pub(super) fn message_authenticator(
    octets: &[u8],
    at: usize,
    covered: &Authenticator,
    secret: &RadiusSecret,
) -> Option<Hmac<Md5>> {
    // A key of any length will do, so this is always Some.
    let mut mac = Hmac::<Md5>::new_from_slice(secret.expose()).ok()?;
    let value = at.checked_add(2)?;
    mac.update(octets.get(..4)?);
    mac.update(covered);
    mac.update(octets.get(HEADER_OCTETS..value)?);
    mac.update(&[0; 16]);
    mac.update(octets.get(value + 16..)?);
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{self, secret};
    use super::*;

    fn parse(octets: &[u8]) -> Packet<'_> {
        Packet::parse(octets).unwrap()
    }

    #[test]
    fn rfc_2865_section_7() {
        let secret = RadiusSecret::new(b"xyzzy5461");
        for (request, accept) in [vectors::RFC_2865_7_1, vectors::RFC_2865_7_2] {
            let (request, accept) = (parse(request), parse(accept));
            assert!(verify_response_authenticator(&accept, &secret, request.authenticator()));
            assert!(!verify_response_authenticator(&accept, &secret, accept.authenticator()));
            assert!(!verify_response_authenticator(&request, &secret, request.authenticator()));
            let none = verify_message_authenticator(&accept, &secret, Some(request.authenticator()));
            assert_eq!(none, MessageAuthenticator::Absent);
        }
    }

    #[test]
    fn real_requests() {
        for octets in [
            vectors::RADCLIENT_ACCESS,
            vectors::RADCLIENT_STATUS,
            vectors::RADCLIENT_DISCONNECT,
            vectors::RADCLIENT_EVS,
            vectors::EAPOL_TEST,
        ] {
            let packet = parse(octets);
            assert_eq!(
                verify_message_authenticator(&packet, &secret(), None),
                MessageAuthenticator::Valid,
                "{packet:?}"
            );
            let other = RadiusSecret::new(b"testing12");
            assert_eq!(verify_message_authenticator(&packet, &other, None), MessageAuthenticator::Invalid);
        }
        for octets in [vectors::RADCLIENT_ACCOUNTING, vectors::RADCLIENT_DISCONNECT] {
            assert!(verify_request_authenticator(&parse(octets), &secret()));
            assert!(!verify_request_authenticator(&parse(octets), &RadiusSecret::new(b"testing12")));
        }
        assert!(!verify_request_authenticator(&parse(vectors::RADCLIENT_ACCESS), &secret()));
    }

    #[test]
    fn a_real_reply_needs_its_request() {
        let request = parse(vectors::RADCLIENT_ACCESS);
        let accept = parse(vectors::FREERADIUS_ACCEPT);
        assert!(verify_response_authenticator(&accept, &secret(), request.authenticator()));
        let mut changed = vectors::FREERADIUS_ACCEPT.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        assert!(!verify_response_authenticator(&parse(&changed), &secret(), request.authenticator()));
    }

    #[test]
    fn a_flip_of_any_bit_is_seen() {
        for octets in [vectors::RADCLIENT_ACCESS, vectors::EAPOL_TEST] {
            for bit in 0..octets.len() * 8 {
                let mut flipped = octets.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                if let Ok(packet) = Packet::parse(&flipped) {
                    let result = verify_message_authenticator(&packet, &secret(), None);
                    assert_ne!(result, MessageAuthenticator::Valid, "bit {bit}");
                }
            }
        }
        for bit in 0..vectors::RADCLIENT_ACCOUNTING.len() * 8 {
            let mut flipped = vectors::RADCLIENT_ACCOUNTING.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!Packet::parse(&flipped).is_ok_and(|p| verify_request_authenticator(&p, &secret())), "bit {bit}");
        }
    }

    #[test]
    fn twice_or_of_the_wrong_length_is_invalid() {
        let verify = |octets: &[u8]| verify_message_authenticator(&parse(octets), &secret(), None);
        let mut twice = vectors::RADCLIENT_STATUS.to_vec();
        twice.extend_from_within(20..38);
        twice[3] = 56;
        assert_eq!(verify(&twice), MessageAuthenticator::Invalid);
        let mut short = vectors::RADCLIENT_STATUS[..37].to_vec();
        (short[3], short[21]) = (37, 17);
        assert_eq!(verify(&short), MessageAuthenticator::Invalid);
        let mut long = vectors::RADCLIENT_STATUS.to_vec();
        long.push(0);
        (long[3], long[21]) = (39, 19);
        assert_eq!(verify(&long), MessageAuthenticator::Invalid);
        let mut unknown = vectors::RADCLIENT_STATUS.to_vec();
        unknown[0] = 99;
        assert_eq!(verify(&unknown), MessageAuthenticator::Invalid);
    }
}
