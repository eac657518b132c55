//! hostapd's `wpa_psk_file`, and the entries of its `sae_password`: which key is for whom, and in which VLAN.
//!
//! A line of the file is `keyid=lk7.2 vlanid=20 00:00:5e:00:53:01 <64 hexadecimal digits>`; the address of nobody,
//! `00:00:00:00:00:00`, stands for every station. hostapd reads lines of at most 127 octets (`fgets` into 128 of
//! `hostapd_config_read_wpa_psk`, ap_config.c) and tries **the last line of the file first**, since it puts each in front of
//! those before. What it says of a station has the keyid of the key that the station proved.

use crate::mac::MacAddr;
use crate::secret::{Passphrase, Pmk};
use std::fmt;
use zeroize::Zeroizing;

/// Octets of the longest keyid (`KEYID_LEN` of ap_config.h less the final zero).
pub const MAX_KEYID: usize = 31;
/// Octets of the longest line, with its end.
pub const MAX_LINE: usize = 127;
/// What the keyid of the onboarding key is.
const ONBOARDING: &str = "lk-onboarding";
/// What hostapd takes for the end of an SAE password, wherever it stands (`parse_sae_password`, config_file.c).
const SAE_WORDS: [&str; 4] = ["|mac=", "|vlanid=", "|pk=", "|id="];

/// Whose key it is: the name of a key in the file, and in what hostapd says of stations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyId {
    /// The key of a device.
    Device {
        /// The device's number.
        id: u32,
        /// Which of the keys it has had.
        serial: u32,
    },
    /// The onboarding key of the SSID.
    Onboarding,
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyId::Device { id, serial } => write!(f, "lk{id}.{serial}"),
            KeyId::Onboarding => f.write_str(ONBOARDING),
        }
    }
}

impl KeyId {
    /// Reads a keyid that [`KeyId`]'s `Display` wrote. Those of others are `None`.
    pub fn parse(text: &[u8]) -> Option<KeyId> {
        if text == ONBOARDING.as_bytes() {
            return Some(KeyId::Onboarding);
        }
        let numbers = std::str::from_utf8(text.strip_prefix(b"lk")?).ok()?;
        let (id, serial) = numbers.split_once('.')?;
        Some(KeyId::Device { id: number(id)?, serial: number(serial)? })
    }
}

/// A number in the one form in which we write it: no sign, no zeros in front.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// A line of the file.
#[derive(Debug)]
pub struct Line<'a> {
    /// The name of the key.
    pub keyid: KeyId,
    /// The VLAN, 1 to 4094; none for the network of the BSS itself.
    pub vlan: Option<u16>,
    /// The station that may use it; every one when there is none.
    pub mac: Option<MacAddr>,
    /// The key.
    pub pmk: &'a Pmk,
}

impl Line<'_> {
    /// Appends the line, at most [`MAX_LINE`] octets, to a text that has room for it: else a copy of what was there
    /// before would stay in memory.
    pub fn write(&self, out: &mut Zeroizing<String>) {
        use fmt::Write as _;
        // Writing into a String cannot fail.
        let _ = write!(out, "keyid={} ", self.keyid);
        if let Some(vlan) = self.vlan {
            let _ = write!(out, "vlanid={vlan} ");
        }
        let _ = write!(out, "{} ", self.mac.unwrap_or(MacAddr([0; 6])));
        for octet in self.pmk.expose() {
            for digit in [octet >> 4, octet & 0xf] {
                out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
        out.push('\n');
    }
}

/// The request that gives a BSS an SAE password: `SET sae_password open sesame|mac=00:00:5e:00:53:01|vlanid=20`. `None` when
/// hostapd would take a part of the passphrase for something else, which it has no way to prevent.
///
/// hostapd puts each in front of those before, and uses the first that fits: so the last one set for an address holds, and
/// one for every address hides all that were set before it. It removes none: the empty password, which hostapd.conf says
/// removes all, becomes one that everybody may use (measured with 2.10).
pub fn set_sae_password(key: &Passphrase, mac: Option<MacAddr>, vlan: Option<u16>) -> Option<Zeroizing<String>> {
    use fmt::Write as _;
    if SAE_WORDS.iter().any(|word| key.expose().contains(word)) {
        return None;
    }
    let mut request = Zeroizing::new(String::with_capacity(128));
    request.push_str("SET sae_password ");
    request.push_str(key.expose());
    if let Some(mac) = mac {
        let _ = write!(request, "|mac={mac}");
    }
    if let Some(vlan) = vlan {
        let _ = write!(request, "|vlanid={vlan}");
    }
    Some(request)
}

/// For the fuzzer: any octets are read as a keyid; what is one is written as it was read.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    if let Some(keyid) = KeyId::parse(data) {
        let text = keyid.to_string();
        assert!(text.as_bytes() == data && text.len() <= MAX_KEYID);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: MacAddr = MacAddr([0, 0, 0x5e, 0, 0x53, 1]);

    fn line(keyid: KeyId, vlan: Option<u16>, mac: Option<MacAddr>, pmk: u8) -> String {
        let mut out = Zeroizing::new(String::with_capacity(MAX_LINE));
        Line { keyid, vlan, mac, pmk: &Pmk::new([pmk; 32]) }.write(&mut out);
        out.to_string()
    }

    #[test]
    fn lines_are_as_hostapd_reads_them() {
        let lamp = KeyId::Device { id: 7, serial: 2 };
        let hex = "0a".repeat(32);
        let expected = format!("keyid=lk7.2 vlanid=20 00:00:5e:00:53:01 {hex}\n");
        assert_eq!(line(lamp, Some(20), Some(MAC), 10), expected);
        assert_eq!(line(KeyId::Onboarding, None, None, 10), format!("keyid=lk-onboarding 00:00:00:00:00:00 {hex}\n"));
    }

    #[test]
    fn the_longest_line_fits() {
        let most = KeyId::Device { id: u32::MAX, serial: u32::MAX };
        assert!(most.to_string().len() <= MAX_KEYID);
        assert!(line(most, Some(4094), Some(MAC), 0xff).len() <= MAX_LINE);
    }

    #[test]
    fn keyids_of_others_are_none_of_ours() {
        for text in [
            "",
            "lk",
            "lk7",
            "lk7.",
            "lk.2",
            "lk07.2",
            "lk7.02",
            "lk+7.2",
            "lk7.2 ",
            "lk7.2.1",
            "LK7.2",
            "lamp",
            "lk-",
            "lk4294967296.1",
            "lk-onboardings",
            "\u{ff}",
        ] {
            assert_eq!(KeyId::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(KeyId::parse(b"lk0.0"), Some(KeyId::Device { id: 0, serial: 0 }));
    }

    #[test]
    fn sae_passwords() {
        let set = |key: &str, mac, vlan| {
            let key = Passphrase::new(key).expect("valid");
            set_sae_password(&key, mac, vlan).map(|request| request.to_string())
        };
        let expected = "SET sae_password open|sesame |mac=00:00:5e:00:53:01|vlanid=20";
        assert_eq!(set("open|sesame ", Some(MAC), Some(20)).as_deref(), Some(expected));
        assert_eq!(set("open sesame", None, None).as_deref(), Some("SET sae_password open sesame"));
        for word in SAE_WORDS {
            assert_eq!(set(&format!("sesame{word}2"), Some(MAC), None), None);
        }
    }

    proptest! {
        #[test]
        fn a_keyid_is_read_as_it_was_written(id: u32, serial: u32) {
            for keyid in [KeyId::Device { id, serial }, KeyId::Onboarding] {
                prop_assert_eq!(KeyId::parse(keyid.to_string().as_bytes()), Some(keyid));
            }
        }

        #[test]
        fn any_octets_can_be_read(octets in proptest::collection::vec(any::<u8>(), 0..40)) {
            fuzz(&octets);
        }

        #[test]
        fn whatever_looks_like_a_keyid_is_one_or_not(text in "lk-?[0-9+ ]{0,12}\\.?[0-9]{0,12}") {
            fuzz(text.as_bytes());
        }
    }
}
