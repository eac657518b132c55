//! Where the next attribute is after one that has been fragmented (RFC 6929, 2.2), and how the known mistake of
//! hostapd is read.
//!
//! hostapd 2.11 and older put too much behind the header of every fragment but the last: not the 251 octets that fit
//! but all octets that are left. `EAPOL` of 300 octets, for example (305 with vendor and type), goes out as
//!
//! ```text
//! f5 ff 1a 80 | 251 octets | the other 54 octets | f5 3a 1a 00 | the other 54 octets again
//!               as it should   stray octets
//! ```
//!
//! The stray octets belong to no attribute. They repeat what stands behind the next header, so that header is found
//! without a guess: it is the one that is exactly as many octets away as it says it has, with the very same octets
//! behind it. Nothing else is searched for, and only after an Extended-Vendor-Specific-5 attribute.
//!
//! The stray octets are a station's: EAPOL-Key data can be made to look like the header of a fragment. So if they can
//! be read as the proper next fragment too, or in more than one way, the packet is refused; else a station could
//! write attributes into the NAS's request. By chance this happens to one in 65,536 of such packets; the next
//! handshake has other nonces.

use super::dictionary::AttributeType;
use super::packet::{Attribute, PacketError};

/// More flag: another fragment follows.
pub(super) const MORE: u8 = 0x80;
/// Octets before the value in a fragment: Type, Length, Extended-Type, flags.
pub(super) const FRAGMENT_HEADER_OCTETS: usize = 4;
/// The most octets of a value in one fragment.
pub(super) const FRAGMENT_OCTETS: usize = 251;
/// Extended-Type of Extended-Vendor-Specific (RFC 6929, 3.5).
pub(super) const VENDOR_SPECIFIC: u8 = 26;

/// Where the attribute after this one begins; refused unless there is exactly one way to read what follows.
pub(super) fn checked_following(octets: &[u8], attribute: &Attribute<'_>) -> Result<usize, PacketError> {
    let &Attribute { kind, value, offset } = attribute;
    let Some(extended_type) = unfinished(attribute) else {
        return Ok(attribute.end());
    };
    if value.len() + 2 != FRAGMENT_HEADER_OCTETS + FRAGMENT_OCTETS {
        return Err(PacketError::FragmentLength { offset, kind, length: value.len() + 2 });
    }
    let mut ways = next_fragments(octets, attribute, extended_type);
    match (ways.next(), ways.next()) {
        (Some(next), None) => Ok(next),
        (Some(_), Some(_)) => Err(PacketError::FragmentAmbiguous { offset, kind }),
        (None, _) => Err(PacketError::FragmentMissing { offset, kind }),
    }
}

/// The same in a packet that has been checked, where the first way is the only one and nothing more is searched.
pub(super) fn following(octets: &[u8], attribute: &Attribute<'_>) -> Option<usize> {
    match unfinished(attribute) {
        Some(extended_type) => next_fragments(octets, attribute, extended_type).next(),
        None => Some(attribute.end()),
    }
}

/// The Extended-Type of a fragment that has the More flag.
fn unfinished(attribute: &Attribute<'_>) -> Option<u8> {
    match attribute.value {
        [extended_type, flags, ..] if attribute.kind.is_long_extended() && flags & MORE != 0 => Some(*extended_type),
        _ => None,
    }
}

/// The places where the fragment after this one can begin: right behind it, or behind stray octets.
fn next_fragments(octets: &[u8], fragment: &Attribute<'_>, extended_type: u8) -> impl Iterator<Item = usize> {
    let (kind, end) = (fragment.kind, fragment.end());
    let rest = octets.get(end..).unwrap_or_default();
    let proper = match rest {
        // Its length is checked when it is its turn; with fewer than 5 octets it is no fragment (RFC 6929, 2.2).
        [next_kind, length, next_type, ..] => *next_kind == kind.0 && *length >= 5 && *next_type == extended_type,
        _ => false,
    };
    let known_mistake = kind == AttributeType::EXTENDED_5 && extended_type == VENDOR_SPECIFIC;
    let search = 1..if known_mistake { rest.len() } else { 1 };
    let stray = search.filter(|stray| is_after_stray(rest, *stray));
    proper.then_some(0).into_iter().chain(stray).map(move |stray| end + stray)
}

/// True if hostapd 2.11 has put `stray` octets at the beginning of `rest` and the next fragment after them.
fn is_after_stray(rest: &[u8], stray: usize) -> bool {
    let Some((before, [kind, length, extended_type, flags, after @ ..])) = rest.split_at_checked(stray) else {
        return false;
    };
    *kind == AttributeType::EXTENDED_5.0
        && *extended_type == VENDOR_SPECIFIC
        && usize::from(*length) == FRAGMENT_HEADER_OCTETS + stray.min(FRAGMENT_OCTETS)
        && *flags == if stray > FRAGMENT_OCTETS { MORE } else { 0 }
        && after.starts_with(before)
}

#[cfg(test)]
mod tests {
    use super::super::Packet;
    use super::super::vectors::{hostapd_2_11, proper, request};
    use super::*;

    const KIND: AttributeType = AttributeType::EXTENDED_5;

    fn kinds(octets: &[u8]) -> Result<Vec<u8>, PacketError> {
        Ok(Packet::parse(octets)?.attributes().map(|a| a.kind.0).collect())
    }

    #[test]
    fn stray_octets_are_passed_over() {
        // One octet too many, a typical FT-PSK frame, exactly two fragments, three and five of them.
        for length in [252usize, 300, 502, 503, 900, 1250] {
            let value: Vec<u8> = (0..length).map(|i| (i % 249) as u8).collect();
            let fragments = length.div_ceil(251);
            let mut expected = vec![1];
            expected.extend(vec![245; fragments]);
            expected.push(61);
            let malformed = request(&[&[1, 3, b'x'], &hostapd_2_11(&value)[..], &[61, 6, 0, 0, 0, 19]]);
            let good = request(&[&[1, 3, b'x'], &proper(245, 26, &value)[..], &[61, 6, 0, 0, 0, 19]]);
            assert_eq!(kinds(&good).as_ref(), Ok(&expected), "{length}");
            assert_eq!(kinds(&malformed), Ok(expected), "{length}");
            assert!(malformed.len() > good.len());
        }
    }

    #[test]
    fn any_other_disorder_is_refused() {
        let value: Vec<u8> = (0..300).map(|i| (i % 249) as u8).collect();
        let malformed = request(&[&hostapd_2_11(&value)]);
        // Headers at 20 and 20 + 4 + 300, stray octets from 275 to 324.
        assert_eq!(malformed[324..328], [0xf5, 53, 26, 0]);
        for (at, to) in [(280, 0xff), (325, 52), (326, 27), (327, 1), (327, 0x80), (330, 0xff), (324, 0xf6)] {
            let mut broken = malformed.clone();
            broken[at] = to;
            assert_eq!(kinds(&broken), Err(PacketError::FragmentMissing { offset: 20, kind: KIND }), "{at}");
        }
        // The same mistake in other attributes is nobody's known mistake.
        for (kind, extended_type) in [(246, 26), (245, 25)] {
            let mut other = malformed.clone();
            for header in [20, 324] {
                other[header] = kind;
                other[header + 2] = extended_type;
            }
            assert!(matches!(kinds(&other), Err(PacketError::FragmentMissing { offset: 20, .. })));
        }
    }

    #[test]
    fn fragments_follow_each_other() {
        let value = [7; 300];
        for (kind, extended_type) in [(245, 26), (246, 26), (245, 1), (246, 255)] {
            assert_eq!(kinds(&request(&[&proper(kind, extended_type, &value)])), Ok(vec![kind, kind]));
        }
        let good = proper(245, 26, &value);
        let missing = Err(PacketError::FragmentMissing { offset: 20, kind: KIND });
        assert_eq!(kinds(&request(&[&good[..255]])), missing);
        assert_eq!(kinds(&request(&[&good[..255], &[1, 3, 0], &good[255..]])), missing);
        assert_eq!(kinds(&request(&[&good[..255], &proper(246, 26, &[1])])), missing);
        assert_eq!(kinds(&request(&[&good[..255], &proper(245, 25, &[1])])), missing);
        assert_eq!(kinds(&request(&[&good[..255], &[245, 4, 26, 0]])), missing);
        let length = PacketError::FragmentLength { offset: 20, kind: KIND, length: 6 };
        assert_eq!(kinds(&request(&[&[245, 6, 26, 0x80, 1, 2], &proper(245, 26, &[3])])), Err(length));
    }

    #[test]
    fn a_station_cannot_write_attributes() {
        // EAPOL-Key data whose octets from the 247th on look like a last fragment and then a Calling-Station-Id.
        let mut value = vec![1; 251];
        value.extend([245, 6, 26, 0, 9, 9]);
        value.extend([31, 19]);
        value.extend(b"02-00-00-00-00-01");
        let forged = request(&[&hostapd_2_11(&value)]);
        assert_eq!(kinds(&forged), Err(PacketError::FragmentAmbiguous { offset: 20, kind: KIND }));
        // Sent as it should be, they are data and nothing else.
        assert_eq!(kinds(&request(&[&proper(245, 26, &value)])), Ok(vec![245, 245]));
    }
}
