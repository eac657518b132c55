//! The kernel's notifications of changed rulesets (netlink, group `NFNLGRP_NFTABLES`), as far as needed to know whether
//! one is about our table. Layout: `struct nlmsghdr` (RFC 3549, 2.3.2), `struct nfgenmsg`, attributes of
//! `linux/netfilter/nf_tables.h`.

use super::TABLE;

/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct nfgenmsg`, and `struct nlattr`.
const SHORT_HEADER: usize = 4;
/// `NFNL_SUBSYS_NFTABLES`, the upper octet of a message's type.
const SUBSYSTEM: u16 = 10;
/// `NFTA_TABLE_NAME`; also `NFTA_CHAIN_TABLE`, `NFTA_RULE_TABLE` and so on, which are all of this value.
const ATTRIBUTE_TABLE: u16 = 1;
/// `NFPROTO_INET`.
const INET: u8 = 1;
/// `NFT_MSG_NEWGEN`, whose attributes are others.
const NEW_GENERATION: u16 = 15;

/// True when a datagram of notifications has one about our table, or one that cannot be read.
pub fn concerns_us(mut datagram: &[u8]) -> bool {
    while !datagram.is_empty() {
        let Some((length, kind)) = number32(datagram).zip(number16(datagram.get(4..).unwrap_or_default())) else {
            return true;
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(message) = datagram.get(HEADER..length) else { return true };
        if kind >> 8 == SUBSYSTEM && kind & 0xff != NEW_GENERATION && is_ours(message) {
            return true;
        }
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

fn is_ours(message: &[u8]) -> bool {
    let Some((family, mut attributes)) = message.first().zip(message.get(SHORT_HEADER..)) else { return true };
    while let Some((length, kind)) = number16(attributes).zip(number16(attributes.get(2..).unwrap_or_default())) {
        let length = usize::from(length);
        let Some(value) = attributes.get(SHORT_HEADER..length) else { return true };
        if kind == ATTRIBUTE_TABLE {
            return *family == INET && value.strip_suffix(b"\0").unwrap_or(value) == TABLE.as_bytes();
        }
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

fn number32(octets: &[u8]) -> Option<u32> {
    octets.first_chunk().copied().map(u32::from_ne_bytes)
}

fn number16(octets: &[u8]) -> Option<u16> {
    octets.first_chunk().copied().map(u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message as the kernel builds it: header, `nfgenmsg`, attributes of kind and value.
    fn message(kind: u16, family: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![family, 0, 0, 7];
        for (kind, value) in attributes {
            body.extend((value.len() as u16 + 4).to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend_from_slice(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut all = (body.len() as u32 + 16).to_ne_bytes().to_vec();
        all.extend((SUBSYSTEM << 8 | kind).to_ne_bytes());
        all.resize(16, 0);
        all.extend(body);
        all
    }

    #[test]
    fn what_is_about_our_table() {
        const DELTABLE: u16 = 2;
        const NEWRULE: u16 = 6;
        let generation = message(NEW_GENERATION, 0, &[(1, &[0, 0, 0, 9]), (2, b"\0\0\x01\0"), (3, b"nft\0")]);
        let ours = message(DELTABLE, INET, &[(1, b"latchkey\0"), (3, &[0, 0, 0, 5])]);
        let later = message(NEWRULE, INET, &[(3, &[0; 8]), (1, b"latchkey\0"), (2, b"forward\0")]);
        let other = message(NEWRULE, INET, &[(1, b"fw4\0"), (2, b"forward\0"), (4, &[0; 40])]);
        let namesake = message(DELTABLE, 2, &[(1, b"latchkey\0")]);
        let longer = message(DELTABLE, INET, &[(1, b"latchkey2\0")]);
        for (datagram, expected) in [
            (vec![], false),
            (generation.clone(), false),
            (ours.clone(), true),
            (later, true),
            (other.clone(), false),
            (namesake, false),
            (longer, false),
            ([other.clone(), ours.clone(), generation.clone()].concat(), true),
            ([other.clone(), other, generation].concat(), false),
            (ours[..ours.len() - 1].to_vec(), true),
            (vec![0; 20], true),
            (vec![1, 2, 3], true),
        ] {
            assert_eq!(concerns_us(&datagram), expected, "{datagram:02x?}");
        }
        // Another subsystem's message (conntrack) is none of ours, whatever it holds.
        let mut conntrack = ours;
        conntrack[5] = 1;
        assert!(!concerns_us(&conntrack));
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_read(octets: Vec<u8>, length in 0u32..64) {
            concerns_us(&octets);
            let mut framed = length.to_ne_bytes().to_vec();
            framed.extend([6, 10]);
            framed.extend(octets);
            concerns_us(&framed);
        }
    }
}
