//! Packets for the tests of this folder: real ones from other programs, the examples of the RFCs, and such as a
//! given sender would make. The files are the corpus of the fuzz target too.

use crate::secret::RadiusSecret;

macro_rules! packet {
    ($file:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/radius/", $file))
    };
}

/// RFC 2865, section 7.1: request and accept; the secret is xyzzy5461.
pub const RFC_2865_7_1: (&[u8], &[u8]) = (packet!("rfc2865-7.1-request"), packet!("rfc2865-7.1-accept"));
/// RFC 2865, section 7.2: request and accept; the secret is xyzzy5461.
pub const RFC_2865_7_2: (&[u8], &[u8]) = (packet!("rfc2865-7.2-request"), packet!("rfc2865-7.2-accept"));
/// radclient 3.2.1: a MAC-ACL request like hostapd's, Message-Authenticator first.
pub const RADCLIENT_ACCESS: &[u8] = packet!("radclient-access");
/// FreeRADIUS 3.2.1's answer to it: two Tunnel-Passwords, VLAN 20, no Message-Authenticator.
pub const FREERADIUS_ACCEPT: &[u8] = packet!("freeradius-accept");
/// radclient 3.2.1: Accounting-Request without Message-Authenticator.
pub const RADCLIENT_ACCOUNTING: &[u8] = packet!("radclient-accounting");
/// radclient 3.2.1: Status-Server.
pub const RADCLIENT_STATUS: &[u8] = packet!("radclient-status");
/// radclient 3.2.1: Disconnect-Request with Message-Authenticator.
pub const RADCLIENT_DISCONNECT: &[u8] = packet!("radclient-disconnect");
/// radclient 3.2.1: FreeRADIUS-802.1X-Anonce, and -EAPoL-Key-Msg with 300 octets in two fragments.
pub const RADCLIENT_EVS: &[u8] = packet!("radclient-evs");
/// A handshake with 600 octets of EAPOL in three fragments, malformed the way of hostapd 2.11; made up.
pub const HOSTAPD_2_11: &[u8] = packet!("hostapd-2.11-three-fragments");
/// eapol_test 2.10: Access-Request with EAP-Message, Message-Authenticator last.
pub const EAPOL_TEST: &[u8] = packet!("eapol-test");

/// The secret of all packets that are not from an RFC.
pub fn secret() -> RadiusSecret {
    RadiusSecret::new(b"testing123")
}

/// Octets from hexadecimal digits.
pub fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// An Access-Request with these octets as attributes, well-formed or not.
pub fn request(attributes: &[&[u8]]) -> Vec<u8> {
    let mut octets = vec![1, 7, 0, 0];
    octets.extend([0xaa; 16]);
    octets.extend(attributes.concat());
    let length = u16::try_from(octets.len()).unwrap().to_be_bytes();
    octets[2..4].copy_from_slice(&length);
    octets
}

/// A long extended attribute, fragmented by the rules.
pub fn proper(kind: u8, extended_type: u8, value: &[u8]) -> Vec<u8> {
    let last = value.len().div_ceil(251) - 1;
    let fragment = |(i, piece): (usize, &[u8])| {
        [&[kind, 4 + piece.len() as u8, extended_type, if i < last { 0x80 } else { 0 }], piece].concat()
    };
    value.chunks(251).enumerate().flat_map(fragment).collect()
}

/// An Extended-Vendor-Specific-5 attribute as hostapd 2.11 writes it: behind every header all octets that are left.
pub fn hostapd_2_11(mut value: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    while !value.is_empty() {
        let fits = value.len().min(251);
        octets.extend([245, 4 + fits as u8, 26, if value.len() > fits { 0x80 } else { 0 }]);
        octets.extend(value);
        value = &value[fits..];
    }
    octets
}
