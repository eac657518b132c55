//! A station's half of the 4-way handshake, written apart from the library: message 2 for each AKM whose key can be
//! searched (IEEE 802.11-2020, 12.7.1 and 12.7.6.3), and the Access-Request in which hostapd passes it on.

use crate::fleet::SSID;
use crate::radius::{attribute, hostapd_attributes};
use aes::Aes128;
use cmac::Cmac;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

/// BSSID of the access point.
pub const BSSID: [u8; 6] = [0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];

const MIC: std::ops::Range<usize> = 81..97;
const MOBILITY_DOMAIN: [u8; 2] = [0xa1, 0xb2];
const R0KH_ID: &[u8] = b"ap1.example.net";

/// How the key is proved.
#[derive(Clone, Copy)]
pub enum Akm {
    Psk,
    FtPsk,
    PskSha256,
}

impl Akm {
    /// The suite type under 00-0F-AC.
    pub fn number(self) -> u8 {
        match self {
            Akm::Psk => 2,
            Akm::FtPsk => 4,
            Akm::PskSha256 => 6,
        }
    }
}

/// One handshake.
pub struct Handshake {
    pub akm: Akm,
    pub station: [u8; 6],
    pub anonce: [u8; 32],
    /// Message 2 with its IEEE 802.1X header.
    pub eapol: Vec<u8>,
}

impl Handshake {
    /// What a station with `pmk` sends.
    pub fn new(akm: Akm, station: [u8; 6], anonce: [u8; 32], snonce: [u8; 32], pmk: &[u8; 32]) -> Handshake {
        let mut eapol = message_2(akm, &anonce, &snonce);
        let mic = match akm {
            Akm::Psk => {
                let context = pairwise_context(&station, &anonce, &snonce);
                let kck = hmac_sha1(pmk, &[b"Pairwise key expansion\0", &context, &[0]]);
                hmac_sha1(&kck[..16], &[&eapol])
            }
            Akm::PskSha256 => {
                let context = pairwise_context(&station, &anonce, &snonce);
                aes_cmac(&kdf_sha256(pmk, b"Pairwise key expansion", &context, 384), &eapol).to_vec()
            }
            Akm::FtPsk => aes_cmac(&ft_ptk(pmk, &station, &anonce, &snonce), &eapol).to_vec(),
        };
        eapol[MIC].copy_from_slice(&mic[..16]);
        Handshake { akm, station, anonce, eapol }
    }

    /// What hostapd (`wpa_psk_radius=3`) adds to User-Name and User-Password: WLAN-AKM-Suite and, as
    /// Extended-Vendor-Specific-5 of vendor 11344, the ANonce and the frame.
    pub fn attributes(&self) -> Vec<u8> {
        let mut rest = hostapd_attributes(&BSSID, &self.station);
        attribute(&mut rest, 188, &[0x00, 0x0f, 0xac, self.akm.number()]);
        for (kind, value) in [(1, &self.anonce[..]), (2, &self.eapol[..])] {
            let mut extended = vec![26, 0, 0, 0, 0x2c, 0x50, kind];
            extended.extend_from_slice(value);
            attribute(&mut rest, 245, &extended);
        }
        rest
    }
}

/// EAPOL-Key, message 2: key descriptor 2, pairwise, MIC; the key data repeat the association request.
fn message_2(akm: Akm, anonce: &[u8; 32], snonce: &[u8; 32]) -> Vec<u8> {
    let mut key_data = vec![0x30, 20, 1, 0, 0, 0x0f, 0xac, 4, 1, 0, 0, 0x0f, 0xac, 4, 1, 0, 0, 0x0f, 0xac];
    key_data.extend_from_slice(&[akm.number(), 0, 0]);
    if let Akm::FtPsk = akm {
        key_data.extend_from_slice(&[0x36, 3, MOBILITY_DOMAIN[0], MOBILITY_DOMAIN[1], 0]);
        let length = u8::try_from(2 + 16 + 32 + 32 + 8 + 2 + R0KH_ID.len()).expect("a short R0KH-ID");
        key_data.extend_from_slice(&[0x37, length, 0, 0]);
        key_data.extend_from_slice(&[0; 16]);
        key_data.extend_from_slice(anonce);
        key_data.extend_from_slice(snonce);
        key_data.extend_from_slice(&[1, 6]);
        key_data.extend_from_slice(&BSSID);
        key_data.extend_from_slice(&[3, R0KH_ID.len() as u8]);
        key_data.extend_from_slice(R0KH_ID);
    }
    let version = if let Akm::Psk = akm { 0x0a } else { 0x0b };
    let length = u16::try_from(95 + key_data.len()).expect("short key data").to_be_bytes();
    let mut frame = vec![1, 3, length[0], length[1], 2, 0x01, version, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    frame.extend_from_slice(snonce);
    frame.extend_from_slice(&[0; 16 + 8 + 8 + 16]);
    frame.extend_from_slice(&u16::try_from(key_data.len()).expect("short key data").to_be_bytes());
    frame.extend_from_slice(&key_data);
    frame
}

/// Both addresses and both nonces, the smaller first.
fn pairwise_context(station: &[u8; 6], anonce: &[u8; 32], snonce: &[u8; 32]) -> Vec<u8> {
    [&BSSID.min(*station)[..], &BSSID.max(*station), anonce.min(snonce), anonce.max(snonce)].concat()
}

/// The first 128 bits of the PTK of FT-PSK (12.7.1.6).
fn ft_ptk(pmk: &[u8; 32], station: &[u8; 6], anonce: &[u8; 32], snonce: &[u8; 32]) -> Vec<u8> {
    let ssid = SSID.as_bytes();
    let context = [&[ssid.len() as u8], ssid, &MOBILITY_DOMAIN, &[R0KH_ID.len() as u8], R0KH_ID, station].concat();
    let r0 = kdf_sha256(pmk, b"FT-R0", &context, 384);
    let r1 = kdf_sha256(&r0[..32], b"FT-R1", &[BSSID, *station].concat(), 256);
    kdf_sha256(&r1, b"FT-PTK", &[&snonce[..], anonce, &BSSID, station].concat(), 384)
}

/// KDF-Hash-Length with SHA-256 (12.7.1.7.2); the first block is all that is used here.
fn kdf_sha256(key: &[u8], label: &[u8], context: &[u8], bits: u16) -> Vec<u8> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in [&1_u16.to_le_bytes()[..], label, context, &bits.to_le_bytes()] {
        hmac.update(part);
    }
    hmac.finalize().into_bytes().to_vec()
}

fn hmac_sha1(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut hmac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| hmac.update(part));
    hmac.finalize().into_bytes().to_vec()
}

fn aes_cmac(ptk: &[u8], frame: &[u8]) -> [u8; 16] {
    let mut cmac = Cmac::<Aes128>::new_from_slice(&ptk[..16]).expect("16 octets");
    cmac.update(frame);
    cmac.finalize().into_bytes().into()
}
