//! IEEE 802 MAC addresses, in every notation people and programs write them.

use std::fmt;
use std::str::FromStr;

/// A 48-bit MAC address, in transmission order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

/// Why a text is not the MAC address of a device. `Display` names the mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MacError {
    /// Not twelve hexadecimal digits in a known notation.
    #[error("not a MAC address: write it as aa:bb:cc:dd:ee:ff")]
    Syntax,
    /// The group bit is set: broadcast and multicast addresses belong to nobody.
    #[error("a group (broadcast or multicast) address: give the device's own address")]
    Group,
    /// 00:00:00:00:00:00 stands for "any" in hostapd's files and is no device.
    #[error("the all-zero address: give the device's own address")]
    Zero,
}

impl MacAddr {
    /// True for addresses whose "locally administered" bit is set: mostly the random
    /// addresses that phones make up (IEEE 802c). They are accepted, and shown as such.
    pub fn is_locally_administered(self) -> bool {
        self.0[0] & 0x02 != 0
    }

    /// True for broadcast and multicast addresses.
    pub fn is_group(self) -> bool {
        self.0[0] & 0x01 != 0
    }

    /// Refuses addresses that cannot be a device's own.
    pub fn check_device(self) -> Result<MacAddr, MacError> {
        if self.is_group() {
            Err(MacError::Group)
        } else if self.0 == [0; 6] {
            Err(MacError::Zero)
        } else {
            Ok(self)
        }
    }

    /// Parses any usual notation from octets that came over the network: `aa:bb:cc:dd:ee:ff`,
    /// `AA-BB-CC-DD-EE-FF`, `aabb.ccdd.eeff`, `aabbcc-ddeeff`, `aabbccddeeff`, and groups without
    /// leading zeros (`0:1b:2:3:4:5`).
    pub fn parse_bytes(text: &[u8]) -> Result<MacAddr, MacError> {
        // The forms of every RADIUS request, three times in each.
        match text {
            [a, b, s, c, d, t, e, f, u, g, h, v, i, j, w, k, l]
                if matches!(s, b':' | b'-') && [t, u, v, w].iter().all(|other| *other == s) =>
            {
                MacAddr::from_digits([a, b, c, d, e, f, g, h, i, j, k, l])
            }
            [a, b, c, d, e, f, g, h, i, j, k, l] => {
                MacAddr::from_digits([a, b, c, d, e, f, g, h, i, j, k, l]).or_else(|_| MacAddr::parse_groups(text))
            }
            _ => MacAddr::parse_groups(text),
        }
    }

    fn from_digits(digits: [&u8; 12]) -> Result<MacAddr, MacError> {
        let mut octets = [0; 6];
        for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
            for digit in pair {
                let value = (**digit as char).to_digit(16).ok_or(MacError::Syntax)?;
                *octet = *octet << 4 | value as u8;
            }
        }
        Ok(MacAddr(octets))
    }

    fn parse_groups(text: &[u8]) -> Result<MacAddr, MacError> {
        let mut groups = [(0u64, 0usize); 6];
        let mut n = 0;
        let mut separator = None;
        for part in text.split(|b| matches!(b, b':' | b'-' | b'.' | b' ')) {
            if n == 6 || part.is_empty() || part.len() > 12 {
                return Err(MacError::Syntax);
            }
            let mut value = 0u64;
            for b in part {
                let digit = (*b as char).to_digit(16).ok_or(MacError::Syntax)?;
                value = value << 4 | u64::from(digit);
            }
            groups[n] = (value, part.len());
            n += 1;
        }
        for b in text.iter().filter(|b| !b.is_ascii_hexdigit()) {
            if separator.is_some_and(|s| s != *b) {
                return Err(MacError::Syntax);
            }
            separator = Some(*b);
        }
        let groups = &groups[..n];
        let value = match n {
            6 if groups.iter().all(|(_, digits)| *digits <= 2) => groups.iter().fold(0, |acc, (v, _)| acc << 8 | v),
            1..=3 if groups.iter().all(|(_, digits)| *digits == 12 / n) => {
                groups.iter().fold(0, |acc, (v, _)| acc << (48 / n) | v)
            }
            _ => return Err(MacError::Syntax),
        };
        let [_, _, octets @ ..] = value.to_be_bytes();
        Ok(MacAddr(octets))
    }
}

impl FromStr for MacAddr {
    type Err = MacError;

    /// Like [`MacAddr::parse_bytes`], white space around it allowed, and only addresses a device can have.
    fn from_str(text: &str) -> Result<MacAddr, MacError> {
        MacAddr::parse_bytes(text.trim().as_bytes())?.check_device()
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_notation() {
        let expected = MacAddr([0x02, 0x1b, 0x0c, 0xdd, 0x0e, 0xff]);
        for text in [
            "02:1b:0c:dd:0e:ff",
            "02-1B-0C-DD-0E-FF",
            "021b.0cdd.0eff",
            "021b0cdd0eff",
            "021B0C-DD0EFF",
            "2:1b:c:dd:e:ff",
            " 02 1b 0c dd 0e ff ",
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        assert_eq!(expected.to_string(), "02:1b:0c:dd:0e:ff");
    }

    #[test]
    fn what_is_no_device() {
        for text in [
            "",
            ":",
            "02:1b:0c:dd:0e",
            "02:1b:0c:dd:0e:ff:00",
            "02:1b-0c:dd:0e:ff",
            "021:b:c:d:e:f",
            "g2:1b:0c:dd:0e:ff",
            "021b0cdd0ef",
            "021b0cdd0eff0",
            "02::0c:dd:0e:ff",
        ] {
            assert_eq!(text.parse::<MacAddr>(), Err(MacError::Syntax), "{text}");
        }
        assert_eq!("ff:ff:ff:ff:ff:ff".parse::<MacAddr>(), Err(MacError::Group));
        assert_eq!("01:00:5e:00:00:01".parse::<MacAddr>(), Err(MacError::Group));
        assert_eq!("000000000000".parse::<MacAddr>(), Err(MacError::Zero));
    }

    #[test]
    fn random_addresses_are_shown_as_such() {
        assert!(MacAddr([0xda, 0, 0, 0, 0, 1]).is_locally_administered());
        assert!(!MacAddr([0x00, 0x1a, 0x11, 0, 0, 1]).is_locally_administered());
    }

    proptest::proptest! {
        #[test]
        fn display_parses_back(octets: [u8; 6]) {
            let mac = MacAddr(octets);
            proptest::prop_assert_eq!(MacAddr::parse_bytes(mac.to_string().as_bytes()), Ok(mac));
        }

        #[test]
        fn no_octets_panic(text: Vec<u8>) {
            let _ = MacAddr::parse_bytes(&text);
        }
    }
}
