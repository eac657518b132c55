//! The elements in the key data of handshake messages: RSNE, WPA element, mobility domain and fast BSS transition
//! (IEEE 802.11-2020, 9.4.2.24, 9.4.2.46, 9.4.2.47).

use std::fmt;

/// Why key data cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RsnError {
    /// An element reaches over the end of the key data.
    #[error("element {id} at octet {at} of the key data has length {declared}, but only {have} octets follow")]
    ElementLength {
        /// Element ID.
        id: u8,
        /// Where it begins in the key data.
        at: usize,
        /// The length it declares.
        declared: usize,
        /// Octets there are after its header.
        have: usize,
    },
    /// An element that is too short or too long for what it must hold, or holds a count that does not fit.
    #[error("{element} with {have} octets: {field} does not fit")]
    Field {
        /// The element.
        element: &'static str,
        /// Its octets without the header.
        have: usize,
        /// The field.
        field: &'static str,
    },
    /// A version of the RSNE or WPA element that does not exist yet.
    #[error("{element} of version {version}: only version 1 is defined")]
    Version {
        /// The element.
        element: &'static str,
        /// The version.
        version: u16,
    },
}

/// A cipher or AKM suite selector: OUI and suite type, as they stand in elements and in WLAN-AKM-Suite (RFC 7268, 2.16).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Suite(pub u32);

impl Suite {
    /// TKIP (00-0F-AC:2).
    pub const TKIP: Suite = Suite(0x000f_ac02);
    /// CCMP-128 (00-0F-AC:4).
    pub const CCMP_128: Suite = Suite(0x000f_ac04);
    /// GCMP-128 (00-0F-AC:8).
    pub const GCMP_128: Suite = Suite(0x000f_ac08);
    /// GCMP-256 (00-0F-AC:9).
    pub const GCMP_256: Suite = Suite(0x000f_ac09);
    /// CCMP-256 (00-0F-AC:10).
    pub const CCMP_256: Suite = Suite(0x000f_ac0a);
    /// IEEE 802.1X (00-0F-AC:1), what an RSNE without AKM list means.
    pub const IEEE_8021X: Suite = Suite(0x000f_ac01);
    /// TKIP as WPA of 2003 writes it (00-50-F2:2); its AKM suite PSK has the same number.
    pub const WPA_TKIP: Suite = Suite(0x0050_f202);
    /// IEEE 802.1X as WPA of 2003 writes it.
    pub const WPA_IEEE_8021X: Suite = Suite(0x0050_f201);
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, kind] = self.0.to_be_bytes();
        write!(f, "{a:02X}-{b:02X}-{c:02X}:{kind}")
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A list of suite selectors, 4 octets each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Suites<'a>(&'a [[u8; 4]]);

impl<'a> Suites<'a> {
    /// The suites in the order they came.
    pub fn iter(self) -> impl Iterator<Item = Suite> + 'a {
        self.0.iter().map(|octets| Suite(u32::from_be_bytes(*octets)))
    }

    /// The first suite; the only one where a station tells what it chose.
    pub fn first(self) -> Option<Suite> {
        self.iter().next()
    }
}

impl fmt::Debug for Suites<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// RSNE (element 48) or WPA element (221, 00-50-F2 type 1): what the station chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Security<'a> {
    /// Cipher of group frames.
    pub group: Suite,
    /// Ciphers of unicast frames; empty where the element leaves them out.
    pub pairwise: Suites<'a>,
    /// AKM suites; empty where the element leaves them out.
    pub akms: Suites<'a>,
}

/// Mobility domain element (54).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MobilityDomain {
    /// MDID, in the order of transmission.
    pub id: [u8; 2],
    /// FT capability and policy.
    pub capabilities: u8,
}

/// Fast BSS transition element (55).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FastTransition<'a> {
    /// Octets of its MIC: 16, 24 or 32.
    pub mic_length: usize,
    /// ANonce; zero in the 4-way handshake.
    pub anonce: [u8; 32],
    /// SNonce; zero in the 4-way handshake.
    pub snonce: [u8; 32],
    /// R1KH-ID: the AP that holds PMK-R1, usually its BSSID.
    pub r1kh_id: Option<[u8; 6]>,
    /// R0KH-ID: the NAS-Identifier of the AP that holds PMK-R0, 1 to 48 octets.
    pub r0kh_id: Option<&'a [u8]>,
}

/// What is understood of the key data. Other elements and KDEs are passed over; of two of a kind the first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyData<'a> {
    /// RSNE.
    pub rsn: Option<Security<'a>>,
    /// WPA element.
    pub wpa: Option<Security<'a>>,
    /// Mobility domain.
    pub mobility_domain: Option<MobilityDomain>,
    /// Fast BSS transition.
    pub fast_transition: Option<FastTransition<'a>>,
}

const ID_RSN: u8 = 48;
const ID_MOBILITY_DOMAIN: u8 = 54;
const ID_FAST_TRANSITION: u8 = 55;
const ID_VENDOR: u8 = 221;
const WPA_PREFIX: &[u8] = &[0x00, 0x50, 0xf2, 1];

impl<'a> KeyData<'a> {
    /// Walks the key data of a message that is not encrypted.
    pub fn parse(key_data: &'a [u8]) -> Result<KeyData<'a>, RsnError> {
        let mut found = KeyData::default();
        let mut elements = Elements { rest: key_data, at: 0 };
        while let Some((id, body)) = elements.next_element()? {
            match id {
                // A vendor element of length 0 begins the padding (IEEE 802.11-2020, 12.7.2, key data).
                ID_VENDOR if body.is_empty() => break,
                ID_VENDOR => {
                    if let Some(body) = body.strip_prefix(WPA_PREFIX).filter(|_| found.wpa.is_none()) {
                        found.wpa = Some(Security::parse("WPA element", body, Suite::WPA_TKIP)?);
                    }
                }
                ID_RSN if found.rsn.is_none() => found.rsn = Some(Security::parse("RSNE", body, Suite::CCMP_128)?),
                ID_MOBILITY_DOMAIN if found.mobility_domain.is_none() => {
                    found.mobility_domain = Some(MobilityDomain::parse(body)?);
                }
                ID_FAST_TRANSITION if found.fast_transition.is_none() => {
                    found.fast_transition = Some(FastTransition::parse(body)?);
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

/// Walks elements or sub-elements: ID, length, body.
struct Elements<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Elements<'a> {
    /// The next one; `None` at the end. A single octet at the end is padding.
    fn next_element(&mut self) -> Result<Option<(u8, &'a [u8])>, RsnError> {
        let Some(([id, length], rest)) = self.rest.split_first_chunk() else { return Ok(None) };
        let (id, declared) = (*id, usize::from(*length));
        let (body, rest) = rest.split_at_checked(declared).ok_or(RsnError::ElementLength {
            id,
            at: self.at,
            declared,
            have: rest.len(),
        })?;
        self.rest = rest;
        self.at += 2 + declared;
        Ok(Some((id, body)))
    }
}

impl<'a> Security<'a> {
    /// Reads what follows the element's header (and OUI). Everything after the version may be left out.
    fn parse(element: &'static str, body: &'a [u8], default_group: Suite) -> Result<Security<'a>, RsnError> {
        let field = |field| RsnError::Field { element, have: body.len(), field };
        let (version, mut rest) = body.split_first_chunk().ok_or(field("the version"))?;
        let version = u16::from_le_bytes(*version);
        if version != 1 {
            return Err(RsnError::Version { element, version });
        }
        let mut security = Security { group: default_group, pairwise: Suites(&[]), akms: Suites(&[]) };
        if rest.is_empty() {
            return Ok(security);
        }
        let (group, after) = rest.split_first_chunk().ok_or(field("the group cipher"))?;
        security.group = Suite(u32::from_be_bytes(*group));
        rest = after;
        security.pairwise = Suites(suites(&mut rest).ok_or(field("the list of pairwise ciphers"))?);
        security.akms = Suites(suites(&mut rest).ok_or(field("the list of AKM suites"))?);
        Ok(security)
    }
}

/// Takes a count (2 octets, little-endian) and as many suites; nothing if nothing is left.
fn suites<'a>(rest: &mut &'a [u8]) -> Option<&'a [[u8; 4]]> {
    if rest.is_empty() {
        return Some(&[]);
    }
    let (count, after) = rest.split_first_chunk()?;
    let (list, after) = after.split_at_checked(4 * usize::from(u16::from_le_bytes(*count)))?;
    *rest = after;
    Some(list.as_chunks().0)
}

impl MobilityDomain {
    fn parse(body: &[u8]) -> Result<MobilityDomain, RsnError> {
        match body {
            [a, b, capabilities, ..] => Ok(MobilityDomain { id: [*a, *b], capabilities: *capabilities }),
            _ => Err(RsnError::Field { element: "mobility domain element", have: body.len(), field: "the MDID" }),
        }
    }
}

impl<'a> FastTransition<'a> {
    fn parse(body: &'a [u8]) -> Result<FastTransition<'a>, RsnError> {
        let field = |field| RsnError::Field { element: "fast BSS transition element", have: body.len(), field };
        let (control, rest) = body.split_first_chunk().ok_or(field("the MIC control"))?;
        // MIC Length subfield: bits 1 to 3 (IEEE 802.11-2024; reserved and zero before).
        let mic_length = match u16::from_le_bytes(*control) >> 1 & 7 {
            0 => 16,
            1 => 24,
            2 => 32,
            _ => return Err(field("the MIC length")),
        };
        let rest = rest.get(mic_length..).ok_or(field("the MIC"))?;
        let (anonce, rest) = rest.split_first_chunk().ok_or(field("the ANonce"))?;
        let (snonce, rest) = rest.split_first_chunk().ok_or(field("the SNonce"))?;
        let mut element = FastTransition { mic_length, anonce: *anonce, snonce: *snonce, r1kh_id: None, r0kh_id: None };
        let mut subelements = Elements { rest, at: 0 };
        while let Some((id, body)) = subelements.next_element().map_err(|_| field("a sub-element"))? {
            match id {
                1 => element.r1kh_id = Some(body.try_into().map_err(|_| field("the R1KH-ID (6 octets)"))?),
                3 if (1..=48).contains(&body.len()) => element.r0kh_id = Some(body),
                3 => return Err(field("the R0KH-ID (1 to 48 octets)")),
                _ => {}
            }
        }
        Ok(element)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSNE: &[u8] = b"\x30\x14\x01\x00\x00\x0f\xac\x04\x01\x00\x00\x0f\xac\x04\x01\x00\x00\x0f\xac\x02\x80\x00";
    const WPA: &[u8] =
        b"\xdd\x16\x00\x50\xf2\x01\x01\x00\x00\x50\xf2\x02\x01\x00\x00\x50\xf2\x02\x01\x00\x00\x50\xf2\x02";
    const MDE: &[u8] = b"\x36\x03\xa1\xb2\x01";

    fn fte(mic_control: u8, mic: usize, subelements: &[u8]) -> Vec<u8> {
        let body = [&[mic_control, 0][..], &vec![0xcc; mic], &[0xaa; 32], &[0x55; 32], subelements].concat();
        [&[55, body.len() as u8], &body[..]].concat()
    }

    fn list(suites: Suites<'_>) -> Vec<Suite> {
        suites.iter().collect()
    }

    #[test]
    fn rsne_with_ciphers_and_akm() {
        let rsn = KeyData::parse(RSNE).unwrap().rsn.unwrap();
        assert_eq!(rsn.group, Suite::CCMP_128);
        assert_eq!(list(rsn.pairwise), [Suite::CCMP_128]);
        assert_eq!(list(rsn.akms), [Suite(0x000f_ac02)]);
        assert_eq!(rsn.akms.first().unwrap().to_string(), "00-0F-AC:2");
    }

    #[test]
    fn rsne_with_two_akms_and_pmkids() {
        let element = b"\x30\x2a\x01\x00\x00\x0f\xac\x02\x01\x00\x00\x0f\xac\x0a\x02\x00\x00\x0f\xac\x04\x00\x0f\xac\x06\x00\x00\x01\x00\
            \x11\x4c\x2c\xa7\xa6\x28\x3a\xc9\x3c\xf9\x63\x17\x8f\x0f\x99\xd9";
        let rsn = KeyData::parse(element).unwrap().rsn.unwrap();
        assert_eq!(rsn.group, Suite::TKIP);
        assert_eq!(list(rsn.pairwise), [Suite::CCMP_256]);
        assert_eq!(list(rsn.akms), [Suite(0x000f_ac04), Suite(0x000f_ac06)]);
    }

    #[test]
    fn rsne_may_end_after_any_field() {
        for length in [2, 6, 12] {
            let element = [&[48, length][..], &RSNE[2..2 + usize::from(length)]].concat();
            let rsn = KeyData::parse(&element).unwrap().rsn.unwrap();
            assert_eq!(rsn.group, Suite::CCMP_128);
            assert_eq!(list(rsn.pairwise).len(), usize::from(length == 12));
            assert_eq!(list(rsn.akms), []);
        }
        for (length, field) in
            [(1, "version"), (5, "group"), (7, "pairwise"), (11, "pairwise"), (13, "AKM"), (17, "AKM")]
        {
            let element = [&[48, length][..], &RSNE[2..2 + usize::from(length)]].concat();
            let error = KeyData::parse(&element).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
    }

    #[test]
    fn counts_that_do_not_fit() {
        let mut element = RSNE.to_vec();
        element[9] = 0xff;
        let error = RsnError::Field { element: "RSNE", have: 20, field: "the list of pairwise ciphers" };
        assert_eq!(KeyData::parse(&element), Err(error));
        element = RSNE.to_vec();
        element[2] = 2;
        assert_eq!(KeyData::parse(&element), Err(RsnError::Version { element: "RSNE", version: 2 }));
    }

    #[test]
    fn wpa_element_and_other_vendors() {
        let key_data = [b"\xdd\x04\x00\x50\xf2\x02", WPA].concat();
        let found = KeyData::parse(&key_data).unwrap();
        assert_eq!(found.rsn, None);
        let wpa = found.wpa.unwrap();
        assert_eq!(
            (wpa.group, wpa.pairwise.first(), wpa.akms.first()),
            (Suite::WPA_TKIP, Some(Suite::WPA_TKIP), Some(Suite::WPA_TKIP))
        );
    }

    #[test]
    fn fast_transition_elements() {
        let subelements = b"\x01\x06\x02\x00\x00\x00\x01\x00\x02\x01\xee\x03\x0fap1.example.net";
        for (control, mic) in [(0, 16), (1, 16), (2, 24), (4, 32)] {
            let key_data = [RSNE, MDE, &fte(control, mic, subelements), b"\xf4\x01\x20"].concat();
            let found = KeyData::parse(&key_data).unwrap();
            assert_eq!(found.mobility_domain, Some(MobilityDomain { id: [0xa1, 0xb2], capabilities: 1 }));
            let ft = found.fast_transition.unwrap();
            assert_eq!((ft.mic_length, ft.anonce, ft.snonce), (mic, [0xaa; 32], [0x55; 32]));
            assert_eq!(ft.r1kh_id, Some([2, 0, 0, 0, 1, 0]));
            assert_eq!(ft.r0kh_id, Some(&b"ap1.example.net"[..]));
        }
    }

    #[test]
    fn fast_transition_elements_that_do_not_fit() {
        for (element, field) in [
            (b"\x37\x01\x00".to_vec(), "MIC control"),
            (b"\x37\x04\x00\x00\x00\x00".to_vec(), "the MIC "),
            (fte(6, 48, b""), "MIC length"),
            (
                fte(0, 0, b"")[..20].iter().copied().enumerate().map(|(i, o)| if i == 1 { 18 } else { o }).collect(),
                "ANonce",
            ),
            (fte(0, 15, b""), "SNonce"),
            (fte(0, 16, b"\x01\x05\x02\x00\x00\x00\x01"), "R1KH-ID"),
            (fte(0, 16, b"\x03\x00"), "R0KH-ID"),
            (fte(0, 16, &[&[3, 49], &[b'x'; 49][..]].concat()), "R0KH-ID"),
            (fte(0, 16, b"\x03\x05abc"), "sub-element"),
        ] {
            let error = KeyData::parse(&element).unwrap_err().to_string();
            assert!(error.contains(field) && error.contains("fast BSS transition"), "{error}");
        }
        let error = KeyData::parse(b"\x36\x02\xa1\xb2").unwrap_err().to_string();
        assert!(error.contains("MDID"), "{error}");
    }

    #[test]
    fn elements_that_reach_too_far() {
        let key_data = [RSNE, b"\x36\x04\xa1\xb2\x01"].concat();
        let error = RsnError::ElementLength { id: 54, at: 22, declared: 4, have: 3 };
        assert_eq!(KeyData::parse(&key_data), Err(error));
    }

    #[test]
    fn padding_ends_the_walk() {
        for padding in [&b"\xdd"[..], b"\xdd\x00\x00\x00", b"\xdd\x00\x36\xff"] {
            let key_data = [RSNE, padding].concat();
            let found = KeyData::parse(&key_data).unwrap();
            assert!(found.rsn.is_some() && found.mobility_domain.is_none());
        }
        assert_eq!(KeyData::parse(b""), Ok(KeyData::default()));
    }

    #[test]
    fn the_first_of_two_counts() {
        let found = KeyData::parse(b"\x36\x03\x01\x01\x00\x36\x03\x02\x02\x00").unwrap();
        assert_eq!(found.mobility_domain.unwrap().id, [1, 1]);
    }

    proptest::proptest! {
        #[test]
        fn no_octets_panic(octets: Vec<u8>, id in proptest::sample::select(vec![48u8, 54, 55, 221])) {
            let _ = KeyData::parse(&octets);
            let body = &octets[..octets.len().min(255)];
            let _ = KeyData::parse(&[&[id, body.len() as u8], body].concat());
        }
    }
}
