//! The addresses a RADIUS client may ask from: one address, or a block in CIDR notation (RFC 4632, RFC 4291).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A block of IPv4 or IPv6 addresses. IPv4-mapped IPv6 addresses (`::ffff:192.0.2.1`) count as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
    /// All addresses, of both families.
    any: bool,
}

/// Why a text is no address or block. `Display` names the mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Neither an address nor a block.
    #[error("is no IP address: write 192.0.2.7, 2001:db8::7, or a block such as 192.0.2.0/24 (no host names)")]
    Syntax,
    /// A prefix length that is no number or too large.
    #[error("has a prefix length that is no number from 0 to {0}: write for example /24")]
    Length(u8),
    /// Bits are set behind the prefix, so that it is unclear whether the host or the block is meant.
    #[error("is an address with the length of a block: write {0} for the block, or leave out the / for one host")]
    HostBits(Prefix),
}

impl Prefix {
    /// Every address there is: where a client may be that proves itself otherwise. It cannot be written.
    pub const ANY: Prefix = Prefix { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), length: 0, any: true };

    /// The block of the first `length` bits of an address; `None` when there are not so many.
    fn new(address: IpAddr, length: u8) -> Option<Prefix> {
        let address = match address {
            IpAddr::V4(a) if length <= 32 => IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() & mask_v4(length))),
            IpAddr::V6(a) if length <= 128 => IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & mask_v6(length))),
            _ => return None,
        };
        Some(Prefix { address, length, any: false })
    }

    /// True when the address lies in the block. Allocates nothing: asked for every packet.
    pub fn contains(&self, address: IpAddr) -> bool {
        if self.any {
            return true;
        }
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(block), IpAddr::V4(a)) => a.to_bits() & mask_v4(self.length) == block.to_bits(),
            (IpAddr::V6(block), IpAddr::V6(a)) => a.to_bits() & mask_v6(self.length) == block.to_bits(),
            _ => false,
        }
    }

    /// How many leading bits are fixed: 0 to 32 for IPv4, 0 to 128 for IPv6.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// True for IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// True when only this host itself can have these addresses.
    pub fn is_loopback(&self) -> bool {
        self.address.is_loopback() && if self.address.is_ipv4() { self.length >= 8 } else { self.length == 128 }
    }
}

fn mask_v4(length: u8) -> u32 {
    u32::MAX.checked_shl(32u32.saturating_sub(u32::from(length))).unwrap_or(0)
}

fn mask_v6(length: u8) -> u128 {
    u128::MAX.checked_shl(128u32.saturating_sub(u32::from(length))).unwrap_or(0)
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Prefix, PrefixError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| PrefixError::Syntax)?;
        let most: u8 = if written.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => most,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|n| *n <= most).ok_or(PrefixError::Length(most))?
            }
            Some(_) => return Err(PrefixError::Length(most)),
        };
        // ::ffff:192.0.2.0/120 is 192.0.2.0/24.
        let (address, length) = match (written.to_canonical(), length.checked_sub(96)) {
            (address @ IpAddr::V4(_), Some(length)) if written.is_ipv6() => (address, length),
            (IpAddr::V4(_), None) if written.is_ipv6() => (written, length),
            (address, _) => (address, length),
        };
        let block = Prefix::new(address, length).ok_or(PrefixError::Length(most))?;
        if block.address == address { Ok(block) } else { Err(PrefixError::HostBits(block)) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.any {
            return f.write_str("any");
        }
        let single = if self.address.is_ipv4() { 32 } else { 128 };
        write!(f, "{}", self.address)?;
        if self.length == single { Ok(()) } else { write!(f, "/{}", self.length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(prefix: &str, address: &str) -> bool {
        prefix.parse::<Prefix>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn membership() {
        for (prefix, address, expected) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.128/25", "192.0.2.127", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "203.0.113.9", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("2001:db8::7", "2001:db8::7", true),
            ("192.0.2.0/24", "::ffff:192.0.2.9", true),
            ("::ffff:192.0.2.0/120", "192.0.2.9", true),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
        ] {
            assert_eq!(contains(prefix, address), expected, "{prefix} {address}");
        }
    }

    #[test]
    fn anywhere() {
        for address in ["127.0.0.1", "203.0.113.9", "::ffff:192.0.2.9", "2001:db8::1", "::"] {
            assert!(Prefix::ANY.contains(address.parse().unwrap()), "{address}");
        }
        assert!(!Prefix::ANY.is_loopback() && Prefix::ANY != "::/0".parse().unwrap());
        assert_eq!((Prefix::ANY.length(), Prefix::ANY.to_string().as_str()), (0, "any"));
        assert!("any".parse::<Prefix>().is_err());
    }

    #[test]
    fn what_is_no_prefix() {
        for (text, expected) in [
            ("", PrefixError::Syntax),
            ("router.lan", PrefixError::Syntax),
            ("192.0.2", PrefixError::Syntax),
            ("192.0.2.1:1812", PrefixError::Syntax),
            ("fe80::1%br-lan", PrefixError::Syntax),
            ("192.0.2.0/33", PrefixError::Length(32)),
            ("192.0.2.0/", PrefixError::Length(32)),
            ("192.0.2.0/+8", PrefixError::Length(32)),
            ("192.0.2.0/255.255.255.0", PrefixError::Length(32)),
            ("2001:db8::/129", PrefixError::Length(128)),
            ("2001:db8::/999", PrefixError::Length(128)),
            ("192.0.2.7/24", PrefixError::HostBits("192.0.2.0/24".parse().unwrap())),
            ("::ffff:192.0.2.7/120", PrefixError::HostBits("192.0.2.0/24".parse().unwrap())),
        ] {
            assert_eq!(text.parse::<Prefix>(), Err(expected), "{text}");
        }
        let error = "192.0.2.7/24".parse::<Prefix>().unwrap_err().to_string();
        assert!(error.contains("192.0.2.0/24"), "{error}");
    }

    #[test]
    fn loopback() {
        for (text, expected) in [
            ("127.0.0.1", true),
            ("127.0.0.0/8", true),
            ("126.0.0.0/7", false),
            ("::1", true),
            ("::/0", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap().is_loopback(), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn display_parses_back_and_the_address_is_inside(v4: bool, bits: u128, length in 0..=128u8) {
            let address = if v4 { IpAddr::V4(Ipv4Addr::from_bits(bits as u32)) } else { IpAddr::V6(Ipv6Addr::from_bits(bits)) };
            let length = if v4 { length / 4 } else { length };
            let prefix = Prefix::new(address, length).unwrap();
            proptest::prop_assert!(prefix.contains(address) || address.to_canonical() != address);
            proptest::prop_assert_eq!(prefix.to_string().parse::<Prefix>(), Ok(prefix));
        }
    }
}
