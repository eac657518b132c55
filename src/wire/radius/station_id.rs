//! Called-Station-Id as access points write it: the BSSID and the SSID in one text (RFC 3580, 3.20).

use crate::mac::MacAddr;
use std::borrow::Cow;

/// The longest SSID, in octets (IEEE 802.11-2020, 9.4.2.2).
pub const MAX_SSID_OCTETS: usize = 32;

/// Which BSS a station has joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CalledStationId<'a> {
    /// The BSSID.
    pub bssid: MacAddr,
    /// What follows the first colon after the BSSID; some NAS send no SSID, and on a cable there is none.
    pub ssid: Option<&'a [u8]>,
}

impl<'a> CalledStationId<'a> {
    /// Splits `AA-BB-CC-DD-EE-FF:SSID`, or the same with small letters or colons. The SSID is any 1 to 32 octets,
    /// colons among them: hostapd copies it as it is. On a cable (`driver=wired`) it writes the colon and nothing after it.
    /// Nothing comes back for any other form.
    ///
    /// For a NAS that escapes the SSID (up to 128 octets then) see [`unescape`]; the length is not checked here.
    pub fn parse(value: &'a [u8]) -> Option<CalledStationId<'a>> {
        let (mac, rest) = value.split_at_checked(17)?;
        let bssid = MacAddr::parse_bytes(mac).ok()?;
        let ssid = match rest {
            [] | [b':'] => None,
            [b':', ssid @ ..] => Some(ssid),
            _ => return None,
        };
        Some(CalledStationId { bssid, ssid })
    }
}

/// Undoes hostapd's escapes for text that is shown: `\\`, `\"`, `\e`, `\n`, `\r`, `\t` and `\x` with two hexadecimal
/// digits. A backslash before anything else stays as it is. Copies only if there is a backslash.
///
/// hostapd escapes SSIDs so on its control interface and in its log, but *not* in Called-Station-Id (2.10 and later,
/// where they stand as they are): use this only where the sender is known to escape.
pub fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                octets.push(digit(*high) << 4 | digit(*low));
                after
            }
            [b'\\', escaped @ (b'\\' | b'"'), after @ ..] => {
                octets.push(*escaped);
                after
            }
            [b'\\', escaped @ (b'e' | b'n' | b'r' | b't'), after @ ..] => {
                octets.push(match escaped {
                    b'e' => 0x1b,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    _ => b'\t',
                });
                after
            }
            [octet, after @ ..] => {
                octets.push(*octet);
                after
            }
            [] => return Cow::Owned(octets),
        };
    }
}

/// The value of a hexadecimal digit.
fn digit(octet: u8) -> u8 {
    match octet {
        b'0'..=b'9' => octet - b'0',
        _ => (octet | 0x20).wrapping_sub(b'a').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// hostapd's printf_encode, from its description: what it does to one octet.
    fn escape(ssid: &[u8]) -> String {
        let one = |octet: &u8| match octet {
            b'"' => "\\\"".to_owned(),
            b'\\' => "\\\\".to_owned(),
            0x1b => "\\e".to_owned(),
            b'\n' => "\\n".to_owned(),
            b'\r' => "\\r".to_owned(),
            b'\t' => "\\t".to_owned(),
            32..=126 => char::from(*octet).to_string(),
            other => format!("\\x{other:02x}"),
        };
        ssid.iter().map(one).collect()
    }

    #[test]
    fn bssid_and_ssid() {
        let bssid = MacAddr([0x02, 0, 0, 0, 0x01, 0xfe]);
        let parse = |text: &'static [u8]| CalledStationId::parse(text);
        let with = |ssid| Some(CalledStationId { bssid, ssid });
        assert_eq!(parse(b"02-00-00-00-01-FE:Home"), with(Some(&b"Home"[..])));
        assert_eq!(parse(b"02-00-00-00-01-FE:a:b: c\\n\xff"), with(Some(&b"a:b: c\\n\xff"[..])));
        assert_eq!(parse(b"02:00:00:00:01:fe:Home"), with(Some(&b"Home"[..])));
        assert_eq!(parse(b"02-00-00-00-01-FE"), with(None));
        assert_eq!(parse(b"02-00-00-00-01-FE:"), with(None));
        for bad in [&b""[..], b"Home", b"02-00-00-00-01-FEHome", b"02-00-00-00-01-F:Home", b"02-00-00-00-01-GE:Home"] {
            assert_eq!(CalledStationId::parse(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(b"plain: text"), Cow::Borrowed(b"plain: text"));
        assert_eq!(&*unescape(br#"caf\xc3\xA9 \"\\n\" \e\n\r\t"#), b"caf\xc3\xa9 \"\\n\" \x1b\n\r\t");
        assert_eq!(&*unescape(br"\q \x4 \xg0 \"), br"\q \x4 \xg0 \");
    }

    proptest! {
        #[test]
        fn what_hostapd_escapes_comes_back(ssid in prop::collection::vec(any::<u8>(), 0..=MAX_SSID_OCTETS)) {
            let text = escape(&ssid);
            prop_assert_eq!(&*unescape(text.as_bytes()), &ssid[..]);
        }

        #[test]
        fn no_octets_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(unescape(&text).len() <= text.len());
            let _ = CalledStationId::parse(&text);
        }
    }
}
