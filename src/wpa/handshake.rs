//! One 4-way handshake as an authenticator forwards it, and the question whether a PMK is the one it was made with.

use super::akm::{Akm, AkmError};
use super::candidate::Candidate;
use super::hmac::{Key, Md5, Message, Sha1};
use super::kck::{Derivation, FtContext, Kck, Parties};
use crate::mac::MacAddr;
use crate::wire::eapol::{EapolError, KeyFrame};
use crate::wire::rsn::{KeyData, RsnError, Security, Suite};
use aes::Aes128Enc;
use cmac::{Cmac, KeyInit, Mac};
use std::fmt;

/// Why a handshake cannot be searched. All of it came from the station by way of the NAS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The EAPOL frame is malformed, or not message 2.
    #[error(transparent)]
    Eapol(#[from] EapolError),
    /// The key data are malformed.
    #[error("key data of message 2: {0}")]
    KeyData(#[from] RsnError),
    /// An AKM without keys that could be tried.
    #[error(transparent)]
    Akm(#[from] AkmError),
    /// The key descriptor version that the AKM demands did not come (IEEE 802.11-2020, 12.7.3).
    #[error("key descriptor version {version} does not go with {akm}: expected {expected}")]
    Version {
        /// The AKM.
        akm: Akm,
        /// What the key information says.
        version: u16,
        /// What it should say.
        expected: &'static str,
    },
    /// Neither the request nor the key data name an AKM, and key descriptor version 0 leaves it open.
    #[error(
        "AKM unknown: the request has no WLAN-AKM-Suite, the key data no RSNE, and the key descriptor version is 0"
    )]
    NoAkm,
    /// Something the key hierarchy needs is not in the key data.
    #[error("{akm}: message 2 has no {what}, which the key is derived from")]
    Missing {
        /// The AKM.
        akm: Akm,
        /// What is missing.
        what: &'static str,
    },
    /// The key data are encrypted, which no station does in message 2, and are needed.
    #[error("{akm}: the key data of message 2 are encrypted, but the key is derived from them")]
    Encrypted {
        /// The AKM.
        akm: Akm,
    },
    /// A pairwise cipher whose key length is not known.
    #[error("{akm}: pairwise cipher {cipher} is not supported: use CCMP or GCMP")]
    Cipher {
        /// The AKM.
        akm: Akm,
        /// The cipher.
        cipher: Suite,
    },
    /// Not an SSID.
    #[error("an SSID has 1 to 32 octets, this one has {0}")]
    Ssid(usize),
}

/// How the MIC is made, with everything ready but the key.
enum Mic {
    /// HMAC-SHA1-128, key descriptor version 2.
    HmacSha1(Message<Sha1>),
    /// HMAC-MD5, key descriptor version 1.
    HmacMd5(Message<Md5>),
    /// AES-128-CMAC, key descriptor version 3.
    AesCmac(Box<[u8]>),
}

/// Message 2 of a 4-way handshake and the ANonce it answers, prepared for the search.
pub struct Handshake {
    sta: MacAddr,
    snonce: [u8; 32],
    derivation: Derivation,
    mic: Mic,
    expected: [u8; 16],
}

impl Handshake {
    /// Reads message 2 and prepares everything that is the same for all keys.
    ///
    /// * `ap`, `sta`: BSSID (Called-Station-Id) and station (Calling-Station-Id); with Wi-Fi 7 the MLD addresses.
    /// * `ssid`: 1 to 32 octets; it goes into the keys of FT-PSK.
    /// * `akm`: the value of WLAN-AKM-Suite (RFC 7268, 2.16). Without it the RSNE or WPA element in the key data
    ///   tells, and without that the key descriptor version.
    /// * `anonce`: from message 1. `eapol`: message 2 from its IEEE 802.1X header on, at most 1,024 octets.
    ///
    /// For WPA-PSK the key data are not needed and not looked at when `akm` is given.
    ///
    /// The PTK is taken to end with the temporal key. Stations and APs that both announce Secure LTF (IEEE 802.11az)
    /// add a KDK, which changes the keys of the SHA-256 AKMs; such handshakes do not verify.
    pub fn parse(
        ap: MacAddr,
        sta: MacAddr,
        ssid: &[u8],
        akm: Option<u32>,
        anonce: &[u8; 32],
        eapol: &[u8],
    ) -> Result<Handshake, HandshakeError> {
        if !(1..=32).contains(&ssid.len()) {
            return Err(HandshakeError::Ssid(ssid.len()));
        }
        let frame = KeyFrame::parse(eapol)?;
        frame.check_message_2()?;
        let akm = match akm {
            Some(suite) => Akm::from_suite(Suite(suite))?,
            None => akm_of(&frame)?,
        };
        let version = frame.info.version();
        let octets = frame.octets_without_mic();
        let mic = match (akm, version) {
            (Akm::Psk, 1) => Mic::HmacMd5(Message::new(&[&octets])),
            (Akm::Psk, 2) => Mic::HmacSha1(Message::new(&[&octets])),
            (Akm::PskSha256 | Akm::FtPsk, 3) => Mic::AesCmac(octets.into()),
            (Akm::Psk, _) => {
                let expected = "1 (HMAC-MD5) or 2 (HMAC-SHA1)";
                return Err(HandshakeError::Version { akm, version, expected });
            }
            (Akm::PskSha256 | Akm::FtPsk, _) => {
                return Err(HandshakeError::Version { akm, version, expected: "3 (AES-128-CMAC)" });
            }
        };
        let parties = Parties { ap, sta, anonce, snonce: &frame.nonce };
        let derivation = match akm {
            Akm::Psk => Derivation::psk(&parties),
            Akm::PskSha256 => Derivation::psk_sha256(&parties, ptk_bits(akm, &key_data(akm, &frame)?)?),
            Akm::FtPsk => {
                let key_data = key_data(akm, &frame)?;
                Derivation::ft(&parties, &ft_context(ssid, &key_data)?, ptk_bits(akm, &key_data)?)
            }
        };
        Ok(Handshake { sta, snonce: frame.nonce, derivation, mic, expected: frame.mic })
    }

    /// The AKM of the handshake.
    pub fn akm(&self) -> Akm {
        self.derivation.akm()
    }

    /// The station.
    pub fn sta(&self) -> MacAddr {
        self.sta
    }

    /// The nonce the station chose: with the ANonce it tells one handshake from another.
    pub fn snonce(&self) -> &[u8; 32] {
        &self.snonce
    }

    /// True if the MIC was made with this PMK. The comparison takes the same time wherever the MICs differ.
    pub fn verify(&self, candidate: &Candidate) -> bool {
        same(&self.mic(&self.derivation.kck(candidate)), &self.expected)
    }

    /// The MIC under a KCK.
    fn mic(&self, kck: &Kck) -> [u8; 16] {
        match &self.mic {
            Mic::HmacSha1(message) => Key::new(kck).mac(message),
            Mic::HmacMd5(message) => Key::new(kck).mac(message),
            Mic::AesCmac(octets) => {
                let mut mac = Cmac::<Aes128Enc>::new((&**kck).into());
                mac.update(octets);
                mac.finalize().into_bytes().into()
            }
        }
    }
}

impl fmt::Debug for Handshake {
    /// Without nonces and MIC: with them a weak passphrase could be guessed from a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("sta", &self.sta).field("akm", &self.akm()).finish_non_exhaustive()
    }
}

/// The AKM when the NAS does not name it.
fn akm_of(frame: &KeyFrame<'_>) -> Result<Akm, HandshakeError> {
    let key_data = if frame.info.encrypted() { KeyData::default() } else { KeyData::parse(frame.key_data)? };
    let chosen = |security: Security<'_>, default| security.akms.first().unwrap_or(default);
    if let Some(rsn) = key_data.rsn {
        return Ok(Akm::from_suite(chosen(rsn, Suite::IEEE_8021X))?);
    }
    if let Some(wpa) = key_data.wpa {
        return Ok(Akm::from_suite(chosen(wpa, Suite::WPA_IEEE_8021X))?);
    }
    match frame.info.version() {
        1 | 2 => Ok(Akm::Psk),
        3 if key_data.mobility_domain.is_some() => Ok(Akm::FtPsk),
        3 => Ok(Akm::PskSha256),
        _ => Err(HandshakeError::NoAkm),
    }
}

/// The key data of a message for an AKM that needs them.
fn key_data<'a>(akm: Akm, frame: &KeyFrame<'a>) -> Result<KeyData<'a>, HandshakeError> {
    if frame.info.encrypted() {
        return Err(HandshakeError::Encrypted { akm });
    }
    Ok(KeyData::parse(frame.key_data)?)
}

/// Bits of the PTK: KCK and KEK with 128 each, and the temporal key (IEEE 802.11-2020, 12.7.1.3).
fn ptk_bits(akm: Akm, key_data: &KeyData<'_>) -> Result<u16, HandshakeError> {
    let rsn = key_data.rsn.ok_or(HandshakeError::Missing { akm, what: "RSNE" })?;
    match rsn.pairwise.first().unwrap_or(Suite::CCMP_128) {
        Suite::CCMP_128 | Suite::GCMP_128 => Ok(256 + 128),
        Suite::TKIP | Suite::CCMP_256 | Suite::GCMP_256 => Ok(256 + 256),
        cipher => Err(HandshakeError::Cipher { akm, cipher }),
    }
}

/// What the FT key hierarchy needs; a station repeats it in message 2 from the association response (13.4.2).
fn ft_context<'a>(ssid: &'a [u8], key_data: &KeyData<'a>) -> Result<FtContext<'a>, HandshakeError> {
    let missing = |what| HandshakeError::Missing { akm: Akm::FtPsk, what };
    let mobility_domain = key_data.mobility_domain.ok_or(missing("mobility domain element"))?.id;
    let ft = key_data.fast_transition.ok_or(missing("fast BSS transition element"))?;
    let r0kh_id = ft.r0kh_id.ok_or(missing("R0KH-ID in its fast BSS transition element"))?;
    let r1kh_id = ft.r1kh_id.ok_or(missing("R1KH-ID in its fast BSS transition element"))?;
    Ok(FtContext { ssid, mobility_domain, r0kh_id, r1kh_id })
}

/// Compares in constant time.
fn same(a: &[u8; 16], b: &[u8; 16]) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b));
    std::hint::black_box(difference) == 0
}
