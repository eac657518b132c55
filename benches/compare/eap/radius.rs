//! EAP over RADIUS (RFC 3579) as hostapd speaks it, and the keys in the Access-Accept (RFC 2548).

use super::peer::Peer;
use crate::radius::{Secret, attribute, check_response};
use crate::supplicant::BSSID;

const USER_NAME: u8 = 1;
pub const STATE: u8 = 24;
pub const VENDOR_SPECIFIC: u8 = 26;
pub const EAP_MESSAGE: u8 = 79;
const MESSAGE_AUTHENTICATOR: u8 = 80;
pub const MICROSOFT: [u8; 4] = [0, 0, 0x01, 0x37];
pub const MPPE_SEND_KEY: u8 = 16;
pub const MPPE_RECV_KEY: u8 = 17;

/// Code of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Accept,
    Reject,
    Challenge,
}

/// A reply whose authenticators are right.
pub struct Reply {
    pub code: Code,
    pub eap: Vec<u8>,
    pub state: Vec<u8>,
    /// MS-MPPE-Recv-Key and MS-MPPE-Send-Key, as far as they are there.
    pub keys: [Option<Vec<u8>>; 2],
}

/// Writes an Access-Request with this EAP packet.
pub fn request(
    secret: &Secret,
    identifier: u8,
    authenticator: &[u8; 16],
    peer: &Peer,
    eap: &[u8],
    state: &[u8],
) -> Vec<u8> {
    let mut packet = vec![1, identifier, 0, 0];
    packet.extend_from_slice(authenticator);
    attribute(&mut packet, MESSAGE_AUTHENTICATOR, &[0; 16]);
    attribute(&mut packet, USER_NAME, peer.name().as_bytes());
    packet.extend_from_slice(&crate::radius::hostapd_attributes(&BSSID, peer.station()));
    attribute(&mut packet, 6, &2_u32.to_be_bytes()); // Service-Type: Framed
    attribute(&mut packet, 12, &1400_u32.to_be_bytes()); // Framed-MTU
    eap.chunks(253).for_each(|piece| attribute(&mut packet, EAP_MESSAGE, piece));
    if !state.is_empty() {
        attribute(&mut packet, STATE, state);
    }
    let length = u16::try_from(packet.len()).expect("a request has at most 4096 octets");
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    let ma = secret.message_authenticator(&packet);
    packet[22..38].copy_from_slice(&ma);
    packet
}

/// Checks Response Authenticator and Message-Authenticator of a reply and reads it.
pub fn read(secret: &Secret, packet: &mut [u8], identifier: u8, authenticator: &[u8; 16]) -> Result<Reply, String> {
    check_response(secret, packet, identifier, authenticator)?;
    let code = match packet[0] {
        2 => Code::Accept,
        3 => Code::Reject,
        11 => Code::Challenge,
        code => return Err(format!("code {code}")),
    };
    let mut reply = Reply { code, eap: Vec::new(), state: Vec::new(), keys: [None, None] };
    let (mut at, mut ma) = (20, None);
    while at < packet.len() {
        let length = usize::from(*packet.get(at + 1).ok_or("a cut-off attribute")?);
        let value = packet.get(at + 2..at + length).ok_or("an attribute longer than the packet")?;
        match packet[at] {
            EAP_MESSAGE => reply.eap.extend_from_slice(value),
            STATE => reply.state = value.to_vec(),
            MESSAGE_AUTHENTICATOR if value.len() == 16 => ma = Some(at + 2),
            VENDOR_SPECIFIC if value.starts_with(&MICROSOFT) => {
                let key = value.get(6..).unwrap_or_default();
                match value.get(4) {
                    Some(&MPPE_RECV_KEY) => reply.keys[0] = Some(uncover(secret, key, authenticator)?),
                    Some(&MPPE_SEND_KEY) => reply.keys[1] = Some(uncover(secret, key, authenticator)?),
                    _ => {}
                }
            }
            _ => {}
        }
        at += length;
    }
    let ma = ma.ok_or("no Message-Authenticator")?;
    let mut received = [0; 16];
    received.copy_from_slice(&packet[ma..ma + 16]);
    packet[ma..ma + 16].fill(0);
    if received != secret.message_authenticator(packet) {
        return Err("a wrong Message-Authenticator".into());
    }
    Ok(reply)
}

/// Uncovers an MPPE key (RFC 2548, 2.4.2): salt, then length, key and padding under the mask.
fn uncover(secret: &Secret, hidden: &[u8], authenticator: &[u8; 16]) -> Result<Vec<u8>, String> {
    let (salt, covered) = hidden.split_at_checked(2).ok_or("an MPPE key without a salt")?;
    if salt[0] & 0x80 == 0 || covered.is_empty() || !covered.len().is_multiple_of(16) {
        return Err("a malformed MPPE key".into());
    }
    let mut mask = secret.mask(&[authenticator, salt]);
    let mut clear = Vec::with_capacity(covered.len());
    for block in covered.chunks(16) {
        clear.extend(block.iter().zip(mask).map(|(c, m)| c ^ m));
        mask = secret.mask(&[block]);
    }
    let length = usize::from(clear[0]);
    clear.get(1..=length).map(<[u8]>::to_vec).ok_or_else(|| "an MPPE key longer than itself".into())
}
