//! What the servers of a realm answered last for an address: good for a while when none of them answers
//! (`config realm`, option `last_good`). Only Wi-Fi keys can be kept so; what EAP proves is proved to the server.

use crate::mac::MacAddr;
use crate::secret::{Passphrase, PassphraseError, Pmk};
use crate::sorted::SortedMap;
use crate::time::UnixTime;
use std::sync::Arc;
use zeroize::Zeroizing;

/// How many of them are kept. When there is one more, the oldest goes.
pub const MAX_LAST_GOOD: usize = 256;
/// How many keys of one answer are kept: hostapd tries them one after the other, for everyone who comes.
pub const MAX_KEYS: usize = 16;

/// An answer that let an address in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastGood {
    /// Whom.
    pub mac: MacAddr,
    /// On which SSID, 0 to 32 octets.
    pub ssid: Arc<[u8]>,
    /// Who said so: the name of `config realm`.
    pub realm: Arc<str>,
    /// The keys it may use, in the order of the answer: 1 to [`MAX_KEYS`].
    pub keys: Vec<WifiKey>,
    /// The VLAN the server named, if that counts (`option placement 'server'`).
    pub vlan: Option<u16>,
    /// The profile it was put in.
    pub profile: Arc<str>,
    /// When.
    pub at: UnixTime,
}

/// A Wi-Fi key as a RADIUS server gives it (Tunnel-Password): hostapd takes both forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WifiKey {
    /// 8 to 63 characters.
    Passphrase(Passphrase),
    /// 64 hexadecimal digits: for one SSID.
    Pmk(Pmk),
}

impl WifiKey {
    /// Takes the content of a Tunnel-Password, decrypted.
    ///
    /// # Errors
    /// When hostapd could not use it. Never quotes it.
    pub fn from_tunnel_password(octets: &[u8]) -> Result<WifiKey, PassphraseError> {
        if let Some(pmk) = parse_pmk(octets) {
            return Ok(WifiKey::Pmk(pmk));
        }
        Passphrase::new(str::from_utf8(octets).map_err(|_| PassphraseError::Character)?).map(WifiKey::Passphrase)
    }

    /// As it goes into a Tunnel-Password: the characters, or 64 hexadecimal digits in lower case.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(match self {
            WifiKey::Passphrase(key) => key.expose().to_owned(),
            WifiKey::Pmk(pmk) => {
                let mut digits = String::with_capacity(64);
                for nibble in pmk.expose().iter().flat_map(|octet| [octet >> 4, octet & 15]) {
                    digits.extend(char::from_digit(nibble.into(), 16));
                }
                digits
            }
        })
    }
}

/// 64 hexadecimal digits and nothing else.
fn parse_pmk(octets: &[u8]) -> Option<Pmk> {
    let (pairs, []) = octets.as_chunks::<2>() else { return None };
    let mut pmk = Zeroizing::new([0; 32]);
    if pairs.len() != pmk.len() {
        return None;
    }
    let digit = |octet: u8| char::from(octet).to_digit(16);
    for (octet, [high, low]) in pmk.iter_mut().zip(pairs) {
        *octet = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
    }
    Some(Pmk::new(*pmk))
}

/// By address and SSID.
pub(super) type Key = (MacAddr, Arc<[u8]>);

/// The answers that are kept.
#[derive(Debug, Default)]
pub(super) struct Table(SortedMap<Key, LastGood>);

impl Table {
    pub(super) fn get(&self, mac: MacAddr, ssid: &[u8]) -> Option<&LastGood> {
        self.of(mac).find(|kept| *kept.ssid == *ssid)
    }

    fn of(&self, mac: MacAddr) -> impl Iterator<Item = &LastGood> {
        // An empty slice allocates nothing, and comes before every other.
        self.0.starting_at(&(mac, Arc::default())).take_while(move |((of, _), _)| *of == mac).map(|(_, kept)| kept)
    }

    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = &LastGood> {
        self.0.values()
    }

    /// Puts one in the place of the one of its address and SSID. When there are too many then, the oldest of the others goes.
    pub(super) fn put(&mut self, new: LastGood) {
        let key: Key = (new.mac, new.ssid.clone());
        self.0.insert(key.clone(), new);
        while self.0.len() > MAX_LAST_GOOD {
            let others = self.0.iter().filter(|(other, _)| **other != key);
            let Some((_, oldest)) = others.map(|(other, kept)| (kept.at, other.clone())).min() else { return };
            self.0.remove(&oldest);
        }
    }

    pub(super) fn remove(&mut self, mac: MacAddr, ssid: &Arc<[u8]>) {
        self.0.remove(&(mac, ssid.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use crate::registry::device::{Change, DeviceId};

    fn kept(n: u16, ssid: &str, at: i64) -> LastGood {
        let [high, low] = n.to_be_bytes();
        LastGood {
            mac: MacAddr([2, 0, 0, 0, high, low]),
            ssid: ssid.as_bytes().into(),
            realm: "online".into(),
            keys: vec![WifiKey::from_tunnel_password(b"k7m3p-xw9tq-rrdfg").expect("a key")],
            vlan: None,
            profile: "iot".into(),
            at: UnixTime(at),
        }
    }

    #[test]
    fn what_hostapd_takes_is_taken() {
        let hex = "0F".repeat(32);
        for (sent, expected) in [
            (&b"12345678"[..], Ok("12345678")),
            (&[b'~'; 63], Ok(&*"~".repeat(63))),
            (hex.as_bytes(), Ok(&*"0f".repeat(32))),
            (b"1234567", Err(PassphraseError::Length(7))),
            (&[b'x'; 64], Err(PassphraseError::Length(64))),
            (b"", Err(PassphraseError::Length(0))),
            (b"a key\0with nul", Err(PassphraseError::Character)),
            (b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8", Err(PassphraseError::Character)),
        ] {
            let taken = WifiKey::from_tunnel_password(sent);
            assert_eq!(taken.map(|key| key.expose().to_string()), expected.map(str::to_owned));
        }
        let both = [b"open sesame".as_slice(), hex.as_bytes()].map(WifiKey::from_tunnel_password);
        let shown = format!("{both:?}");
        assert!(!shown.contains("sesame") && !shown.contains("15") && !shown.contains("0f"), "{shown}");
    }

    #[test]
    fn one_for_an_address_and_an_ssid() {
        let mut registry = Registry::load(vec![], vec![], vec![], DeviceId(1));
        let put = |registry: &mut Registry, one: LastGood| registry.apply(&Change::PutLastGood(Box::new(one)));
        for one in [kept(1, "Home", 5), kept(1, "", 6), kept(2, "Home", 7), kept(1, "Homes", 8), kept(1, "Home", 9)] {
            put(&mut registry, one);
        }
        let at = |registry: &Registry, n, ssid: &[u8]| {
            registry.last_good(MacAddr([2, 0, 0, 0, 0, n]), ssid).map(|kept| kept.at.0)
        };
        let all = |registry: &Registry| {
            [(1, "Home"), (1, ""), (1, "Homes"), (2, "Home"), (2, ""), (3, "Home")]
                .map(|(n, ssid)| at(registry, n, ssid.as_bytes()))
        };
        assert_eq!(all(&registry), [Some(9), Some(6), Some(8), Some(7), None, None]);
        let remove =
            |n, ssid: &str| Change::RemoveLastGood { mac: MacAddr([2, 0, 0, 0, 0, n]), ssid: ssid.as_bytes().into() };
        for change in [remove(1, "Home"), remove(3, "Home"), remove(1, "")] {
            registry.apply(&change);
        }
        assert_eq!(all(&registry), [None, None, Some(8), Some(7), None, None]);
        assert_eq!(registry.all_last_good().count(), 2);
    }

    #[test]
    fn the_oldest_goes() {
        let many: Vec<LastGood> = (0..256).map(|n| kept(n, "Home", 1000 + i64::from(n ^ 0x0f))).collect();
        let mut registry = Registry::load(vec![], vec![], vec![], DeviceId(1)).with_last_good(many);
        let gone = |registry: &Registry| {
            let there = |n: &u16| registry.all_last_good().any(|kept| kept.mac.0[4..] == n.to_be_bytes());
            (0..300).filter(|n| !there(n)).take_while(|n| *n < 290).collect::<Vec<u16>>()
        };
        let missing = |from: u16| (from..290).collect::<Vec<u16>>();
        assert_eq!(gone(&registry), missing(256));
        // One that is there is brought up to date: nobody goes.
        registry.apply(&Change::PutLastGood(Box::new(kept(15, "Home", 5000))));
        assert_eq!(gone(&registry), missing(256));
        registry.apply(&Change::PutLastGood(Box::new(kept(256, "Home", 5000))));
        assert_eq!(gone(&registry), [vec![14], missing(257)].concat(), "15 was the oldest, and is new");
        // The clock was set back: the new one is kept all the same.
        registry.apply(&Change::PutLastGood(Box::new(kept(257, "Home", 3))));
        assert_eq!(gone(&registry), [vec![13, 14], missing(258)].concat());
        assert_eq!(registry.all_last_good().count(), 256);
        registry.apply(&Change::PutLastGood(Box::new(kept(258, "Home", 4))));
        assert_eq!(gone(&registry), [vec![13, 14, 257], missing(259)].concat());
    }
}
