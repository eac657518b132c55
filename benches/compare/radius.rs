//! The load generator's side of RADIUS, written apart from the library so that neither can hide the other's mistakes:
//! Access-Requests as hostapd sends them, and a check of every octet that matters in the answers (RFC 2865, 2868, 3579).

use crate::fleet::dashes;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};

type HmacMd5 = Hmac<Md5>;

const ACCESS_REQUEST: u8 = 1;
const ACCESS_ACCEPT: u8 = 2;
const ACCESS_REJECT: u8 = 3;
const ACCOUNTING_REQUEST: u8 = 4;
const ACCOUNTING_RESPONSE: u8 = 5;
const MESSAGE_AUTHENTICATOR: u8 = 80;

/// The secret shared with a server, with the HMAC state that is the same for every packet.
pub struct Secret {
    octets: Vec<u8>,
    hmac: HmacMd5,
}

impl Secret {
    pub fn new(octets: &[u8]) -> Secret {
        let hmac = HmacMd5::new_from_slice(octets).expect("HMAC takes keys of any length");
        Secret { octets: octets.to_vec(), hmac }
    }

    /// MD5 of the secret and what follows it: the mask of User-Password, Tunnel-Password and the MPPE keys.
    pub fn mask(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut md5 = Md5::new_with_prefix(&self.octets);
        parts.iter().for_each(|part| md5.update(part));
        md5.finalize().into()
    }

    /// The Response Authenticator of a reply that has the one of the request in its place.
    pub fn response_authenticator(&self, reply: &[u8]) -> [u8; 16] {
        Md5::new_with_prefix(reply).chain_update(&self.octets).finalize().into()
    }

    pub fn message_authenticator(&self, packet: &[u8]) -> [u8; 16] {
        let mut hmac = self.hmac.clone();
        hmac.update(packet);
        hmac.finalize().into_bytes().into()
    }
}

/// Writes one attribute of at most 253 octets.
pub fn attribute(packet: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let length = u8::try_from(value.len() + 2).expect("an attribute has at most 253 octets");
    packet.extend_from_slice(&[kind, length]);
    packet.extend_from_slice(value);
}

/// An Access-Request without the parts that differ each time it is sent: identifier, authenticator, the hidden
/// password and Message-Authenticator. The last two stand first, at fixed offsets.
pub struct Template {
    packet: Vec<u8>,
    password: Option<[u8; 16]>,
}

/// Header, then Message-Authenticator (18 octets, the value 2 octets in).
const MA_VALUE: std::ops::Range<usize> = 22..38;
/// User-Password of up to 16 octets comes next.
const PASSWORD_VALUE: std::ops::Range<usize> = 40..56;

impl Template {
    /// A request with User-Name and `rest`, and with User-Password when `password` is given.
    pub fn new(user: &str, password: Option<&str>, rest: &[u8]) -> Template {
        let mut packet = vec![0; 20];
        packet[0] = ACCESS_REQUEST;
        attribute(&mut packet, MESSAGE_AUTHENTICATOR, &[0; 16]);
        let password = password.map(|text| {
            let mut padded = [0; 16];
            padded[..text.len()].copy_from_slice(text.as_bytes());
            attribute(&mut packet, 2, &padded);
            padded
        });
        attribute(&mut packet, 1, user.as_bytes());
        packet.extend_from_slice(rest);
        let length = u16::try_from(packet.len()).expect("a request has at most 4096 octets");
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        Template { packet, password }
    }

    /// Completes the request in `buffer` and returns its length.
    pub fn write(&self, secret: &Secret, identifier: u8, authenticator: &[u8; 16], buffer: &mut [u8]) -> usize {
        let packet = &mut buffer[..self.packet.len()];
        packet.copy_from_slice(&self.packet);
        packet[1] = identifier;
        packet[4..20].copy_from_slice(authenticator);
        if let Some(password) = self.password {
            let mask = secret.mask(&[authenticator]);
            packet[PASSWORD_VALUE].iter_mut().zip(password.iter().zip(mask)).for_each(|(out, (p, m))| *out = p ^ m);
        }
        let ma = secret.message_authenticator(packet);
        packet[MA_VALUE].copy_from_slice(&ma);
        packet.len()
    }
}

/// What hostapd adds to User-Name and User-Password when it asks about an address (`wpa_psk_radius=1|2`).
pub fn hostapd_attributes(bssid: &[u8; 6], station: &[u8; 6]) -> Vec<u8> {
    let mut rest = Vec::new();
    attribute(&mut rest, 4, &[127, 0, 0, 1]); // NAS-IP-Address
    attribute(&mut rest, 32, b"ap1.example.net"); // NAS-Identifier
    attribute(&mut rest, 30, format!("{}:{}", dashes(bssid), crate::fleet::SSID).as_bytes()); // Called-Station-Id
    attribute(&mut rest, 61, &19_u32.to_be_bytes()); // NAS-Port-Type: Wireless-802.11
    attribute(&mut rest, 31, dashes(station).as_bytes()); // Calling-Station-Id
    attribute(&mut rest, 77, b"CONNECT 11Mbps 802.11b"); // Connect-Info
    rest
}

/// What hostapd reports of a session.
#[derive(Debug, Clone, Copy)]
pub enum Report {
    Start,
    /// With counters, and Acct-Terminate-Cause User-Request.
    Stop,
}

/// An Accounting-Request (RFC 2866) as hostapd sends it (`accounting.c`).
pub fn accounting(
    secret: &Secret,
    identifier: u8,
    report: Report,
    bssid: &[u8; 6],
    station: &[u8; 6],
    session: u64,
) -> Vec<u8> {
    let mut packet = vec![0; 20];
    packet[..2].copy_from_slice(&[ACCOUNTING_REQUEST, identifier]);
    let status: u32 = match report {
        Report::Start => 1,
        Report::Stop => 2,
    };
    attribute(&mut packet, 40, &status.to_be_bytes()); // Acct-Status-Type
    attribute(&mut packet, 45, &2_u32.to_be_bytes()); // Acct-Authentic: Local
    attribute(&mut packet, 1, dashes(station).as_bytes()); // User-Name
    packet.extend_from_slice(&hostapd_attributes(bssid, station));
    attribute(&mut packet, 44, format!("{session:016X}").as_bytes()); // Acct-Session-Id
    attribute(&mut packet, 55, &1_790_000_000_u32.to_be_bytes()); // Event-Timestamp
    if let Report::Stop = report {
        // Acct-Session-Time, packets and octets in both directions, Acct-Terminate-Cause
        for (kind, value) in [(46, 30_u32), (47, 120), (48, 140), (42, 14_000), (43, 90_000), (52, 0), (53, 0), (49, 1)]
        {
            attribute(&mut packet, kind, &value.to_be_bytes());
        }
    }
    let length = u16::try_from(packet.len()).expect("a request has at most 4096 octets");
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    let mut md5 = Md5::new_with_prefix(&packet);
    md5.update(&secret.octets);
    packet[4..20].copy_from_slice(&md5.finalize());
    packet
}

/// Checks the Accounting-Response to `request`.
pub fn verify_accounting(secret: &Secret, request: &[u8], reply: &mut [u8]) -> Result<(), String> {
    if reply.len() < 20 || reply[0] != ACCOUNTING_RESPONSE {
        return Err(format!("{} octets, code {:?}, instead of an Accounting-Response", reply.len(), reply.first()));
    }
    check_response(secret, reply, request[1], &request[4..20])
}

/// Checks form, identifier and Response Authenticator, and leaves the authenticator of the request in its place.
pub fn check_response(secret: &Secret, reply: &mut [u8], identifier: u8, authenticator: &[u8]) -> Result<(), String> {
    if reply.len() < 20 || reply.len() != usize::from(u16::from_be_bytes([reply[2], reply[3]])) {
        return Err(format!("{} octets, which is not what its length field says", reply.len()));
    }
    if reply[1] != identifier {
        return Err(format!("identifier {} instead of {identifier}", reply[1]));
    }
    let mut received = [0; 16];
    received.copy_from_slice(&reply[4..20]);
    reply[4..20].copy_from_slice(authenticator);
    if received != secret.response_authenticator(reply) {
        return Err("a wrong Response Authenticator".into());
    }
    Ok(())
}

/// A verified answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Access-Accept with the VLAN in Tunnel-Private-Group-Id and the Tunnel-Password as hidden.
    Accept {
        vlan: u16,
        tunnel_password: Vec<u8>,
    },
    Reject,
}

/// Checks the Response Authenticator and the Message-Authenticator of `reply`, then reads it.
pub fn verify(secret: &Secret, reply: &mut [u8], identifier: u8, authenticator: &[u8; 16]) -> Result<Answer, String> {
    check_response(secret, reply, identifier, authenticator)?;
    let mut seen = Seen::default();
    let mut at = 20;
    while at < reply.len() {
        let length = usize::from(*reply.get(at + 1).ok_or("a cut-off attribute")?);
        if length < 2 || at + length > reply.len() {
            return Err(format!("attribute {} with length {length} at octet {at}", reply[at]));
        }
        seen.attribute(reply[at], at + 2, &reply[at + 2..at + length])?;
        at += length;
    }
    let ma = seen.message_authenticator.ok_or("no Message-Authenticator")?;
    let mut received = [0; 16];
    received.copy_from_slice(&reply[ma..ma + 16]);
    reply[ma..ma + 16].fill(0);
    if received != secret.message_authenticator(reply) {
        return Err("a wrong Message-Authenticator".into());
    }
    match reply[0] {
        ACCESS_ACCEPT => seen.accept(),
        ACCESS_REJECT => Ok(Answer::Reject),
        code => Err(format!("code {code}")),
    }
}

/// What stood in an answer.
#[derive(Default)]
struct Seen {
    message_authenticator: Option<usize>,
    tunnel_type: Option<u32>,
    medium: Option<u32>,
    vlan: Option<u16>,
    password: Option<Vec<u8>>,
}

impl Seen {
    fn attribute(&mut self, kind: u8, offset: usize, value: &[u8]) -> Result<(), String> {
        match (kind, value) {
            (MESSAGE_AUTHENTICATOR, _) if value.len() == 16 => self.message_authenticator = Some(offset),
            (64, [_, a, b, c]) => self.tunnel_type = Some(u32::from_be_bytes([0, *a, *b, *c])),
            (65, [_, a, b, c]) => self.medium = Some(u32::from_be_bytes([0, *a, *b, *c])),
            (81, text) => {
                let digits = text.strip_prefix(&[0]).unwrap_or(text);
                let digits = digits.iter().skip_while(|b| **b < 0x20);
                let text: String = digits.map(|b| char::from(*b)).collect();
                self.vlan = Some(text.parse().map_err(|_| format!("Tunnel-Private-Group-Id {text:?}"))?);
            }
            (69, hidden) => self.password = Some(hidden.to_vec()),
            (MESSAGE_AUTHENTICATOR | 64 | 65, _) => {
                return Err(format!("attribute {kind} with {} octets", value.len()));
            }
            _ => {}
        }
        Ok(())
    }

    fn accept(self) -> Result<Answer, String> {
        match self {
            Seen {
                tunnel_type: Some(13), medium: Some(6), vlan: Some(vlan), password: Some(tunnel_password), ..
            } => Ok(Answer::Accept { vlan, tunnel_password }),
            _ => Err("an Access-Accept without VLAN or Tunnel-Password".into()),
        }
    }
}

/// Uncovers a Tunnel-Password (RFC 2868, 3.5): tag, salt, then length, text and padding under the mask.
pub fn uncover(secret: &Secret, hidden: &[u8], authenticator: &[u8; 16]) -> Result<Vec<u8>, String> {
    let [_tag, salt @ ..] = hidden else { return Err("an empty Tunnel-Password".into()) };
    if salt.len() < 18 || !(salt.len() - 2).is_multiple_of(16) || salt[0] & 0x80 == 0 {
        return Err("a malformed Tunnel-Password".into());
    }
    let (salt, covered) = salt.split_at(2);
    let mut mask = secret.mask(&[authenticator, salt]);
    let mut clear = Vec::with_capacity(covered.len());
    for block in covered.chunks(16) {
        clear.extend(block.iter().zip(mask).map(|(c, m)| c ^ m));
        mask = secret.mask(&[block]);
    }
    let length = usize::from(clear[0]);
    clear.get(1..=length).map(<[u8]>::to_vec).ok_or_else(|| "a Tunnel-Password longer than itself".into())
}
