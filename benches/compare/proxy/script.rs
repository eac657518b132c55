//! A conversation as long as EAP-TLS 1.2, without its cryptography: what a proxy has to carry, and nothing that anybody else
//! would need CPU time for.

use crate::eap::peer::{Method, REQUEST, SUCCESS, TLS};
use crate::eap::radius::{EAP_MESSAGE, MICROSOFT, MPPE_RECV_KEY, MPPE_SEND_KEY, STATE, VENDOR_SPECIFIC};
use crate::radius::{Secret, attribute};

/// Octets of EAP type-data in each request of the home server, from flags on; after the last comes EAP-Success. Start, flight
/// of the server in two fragments, its last.
const REQUESTS: [usize; 4] = [1, 1020, 420, 60];

/// The same of the device's responses: ClientHello, acknowledgement, its flight with a certificate, acknowledgement.
const RESPONSES: [usize; 4] = [210, 1, 880, 1];

/// What both sides end up with.
const MSK: [u8; 64] = [0x5a; 64];

/// The device's side.
#[derive(Default)]
pub struct Script {
    round: usize,
}

impl Method for Script {
    fn kind(&self) -> u8 {
        TLS
    }

    fn respond(&mut self, request: &[u8]) -> Result<Vec<u8>, String> {
        let (wanted, got) = (REQUESTS.get(self.round).copied(), request.len().saturating_sub(5));
        if wanted != Some(got) || !is_filler(&request[5..], self.round) {
            return Err(format!("{got} octets in round {}, {wanted:?} were sent", self.round));
        }
        let response = filler(RESPONSES[self.round], self.round);
        self.round += 1;
        Ok(response)
    }

    fn msk(&self) -> Option<[u8; 64]> {
        (self.round == REQUESTS.len()).then_some(MSK)
    }
}

/// Octets that a proxy must not change, other ones in each round.
fn filler(length: usize, round: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + round) as u8).collect()
}

fn is_filler(data: &[u8], round: usize) -> bool {
    data.iter().enumerate().all(|(at, octet)| *octet == (at * 7 + round) as u8)
}

/// The home server's side: the answer to a request, whatever was asked before. The round stands in State.
pub fn answer(secret: &Secret, request: &[u8]) -> Result<Vec<u8>, String> {
    let (mut state, mut eap, mut proxy_states, mut signed) = (None, Vec::new(), Vec::new(), false);
    let mut at = 20;
    while let [kind, length, ..] = *request.get(at..).unwrap_or_default() {
        let whole =
            request.get(at..at + usize::from(length)).filter(|whole| whole.len() >= 2).ok_or("a torn attribute")?;
        match kind {
            STATE => state = whole.get(2).copied(),
            EAP_MESSAGE => eap.extend_from_slice(&whole[2..]),
            PROXY_STATE => proxy_states.extend_from_slice(whole),
            MESSAGE_AUTHENTICATOR if whole.len() == 18 => {
                let mut unsigned = request.to_vec();
                unsigned[at + 2..at + 18].fill(0);
                signed = secret.message_authenticator(&unsigned) == whole[2..];
            }
            _ => {}
        }
        at += whole.len();
    }
    if !signed {
        return Err("a request with a wrong Message-Authenticator, or none".into());
    }
    let round = state.map_or(0, usize::from);
    let expected = if round == 0 { None } else { RESPONSES.get(round - 1) };
    match (request[0], eap.get(4), expected) {
        (STATUS_SERVER, ..) => return Ok(sealed(secret, request, ACCESS_ACCEPT, |_| {}, &proxy_states)),
        (ACCESS_REQUEST, Some(1), None) => {}
        (ACCESS_REQUEST, Some(&TLS), Some(length)) if eap.len() == length + 5 && is_filler(&eap[5..], round - 1) => {}
        (code, kind, _) => {
            return Err(format!("code {code} with EAP type {kind:?} of {} octets in round {round}", eap.len()));
        }
    }
    let identifier = eap[1].wrapping_add(1);
    Ok(match REQUESTS.get(round) {
        Some(length) => {
            let [high, low] = u16::try_from(length + 5).expect("a short packet").to_be_bytes();
            let packet = [&[REQUEST, identifier, high, low, TLS][..], &filler(*length, round)].concat();
            let next = u8::try_from(round + 1).expect("a few rounds");
            let write = |reply: &mut Vec<u8>| {
                packet.chunks(253).for_each(|piece| attribute(reply, EAP_MESSAGE, piece));
                let state: [u8; 16] = std::array::from_fn(|at| if at == 0 { next } else { 0xa0 + at as u8 });
                attribute(reply, STATE, &state);
            };
            sealed(secret, request, ACCESS_CHALLENGE, write, &proxy_states)
        }
        None => {
            let write = |reply: &mut Vec<u8>| {
                attribute(reply, EAP_MESSAGE, &[SUCCESS, eap[1], 0, 4]);
                let authenticator = request[4..20].first_chunk().expect("16 octets");
                mppe_key(reply, secret, authenticator, MPPE_RECV_KEY, &MSK[..32]);
                mppe_key(reply, secret, authenticator, MPPE_SEND_KEY, &MSK[32..]);
                attribute(reply, 64, &[0, 0, 0, 13]);
                attribute(reply, 65, &[0, 0, 0, 6]);
                attribute(reply, 81, b"666");
                attribute(reply, 27, &3600_u32.to_be_bytes());
            };
            sealed(secret, request, ACCESS_ACCEPT, write, &proxy_states)
        }
    })
}

const ACCESS_REQUEST: u8 = 1;
const ACCESS_ACCEPT: u8 = 2;
const ACCESS_CHALLENGE: u8 = 11;
const STATUS_SERVER: u8 = 12;
const PROXY_STATE: u8 = 33;
const MESSAGE_AUTHENTICATOR: u8 = 80;

/// A reply with its Message-Authenticator first, and its Response Authenticator.
fn sealed(secret: &Secret, request: &[u8], code: u8, write: impl FnOnce(&mut Vec<u8>), proxy_states: &[u8]) -> Vec<u8> {
    let mut reply = request[..20].to_vec();
    reply[0] = code;
    attribute(&mut reply, MESSAGE_AUTHENTICATOR, &[0; 16]);
    write(&mut reply);
    reply.extend_from_slice(proxy_states);
    let length = u16::try_from(reply.len()).expect("a reply has at most 4096 octets");
    reply[2..4].copy_from_slice(&length.to_be_bytes());
    let ma = secret.message_authenticator(&reply);
    reply[22..38].copy_from_slice(&ma);
    let authenticator = secret.response_authenticator(&reply);
    reply[4..20].copy_from_slice(&authenticator);
    reply
}

/// Hides a key of 32 octets (RFC 2548, 2.4.2).
fn mppe_key(reply: &mut Vec<u8>, secret: &Secret, authenticator: &[u8; 16], kind: u8, key: &[u8]) {
    let mut clear = [0; 48];
    clear[0] = 32;
    clear[1..33].copy_from_slice(key);
    let salt = [0x80 | kind, authenticator[0]];
    let mut value = [&MICROSOFT[..], &[kind, 52], &salt].concat();
    let mut mask = secret.mask(&[authenticator, &salt]);
    for block in clear.chunks(16) {
        let covered: Vec<u8> = block.iter().zip(mask).map(|(c, m)| c ^ m).collect();
        mask = secret.mask(&[&covered]);
        value.extend_from_slice(&covered);
    }
    attribute(reply, VENDOR_SPECIFIC, &value);
}
