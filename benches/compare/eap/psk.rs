//! EAP-PSK (RFC 4764), the peer's side.

use super::peer::{Method, PSK, RESPONSE};
use crate::fleet::Random;
use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use cmac::{Cmac, Mac};
use eax::Eax;
use eax::aead::AeadInOut;

/// One exchange.
pub struct Psk {
    nai: String,
    ak: [u8; 16],
    kdk: [u8; 16],
    rand_p: [u8; 16],
    rand_s: [u8; 16],
    id_s: Vec<u8>,
    msk: Option<[u8; 64]>,
}

/// One block of AES-128, with the last octet changed before.
fn aes(key: &[u8; 16], mut block: [u8; 16], xor: u8) -> [u8; 16] {
    block[15] ^= xor;
    let mut block = block.into();
    <Aes128 as KeyInit>::new(&(*key).into()).encrypt_block(&mut block);
    block.into()
}

fn cmac(key: &[u8; 16], parts: &[&[u8]]) -> [u8; 16] {
    let mut cmac = <Cmac<Aes128> as KeyInit>::new(&(*key).into());
    parts.iter().for_each(|part| cmac.update(part));
    cmac.finalize().into_bytes().into()
}

/// The nonce of EAX: the packet number, right-aligned in 16 octets.
fn nonce(number: [u8; 4]) -> [u8; 16] {
    let mut nonce = [0; 16];
    nonce[12..].copy_from_slice(&number);
    nonce
}

impl Psk {
    pub fn new(nai: &str, key: &[u8; 16], random: &mut Random) -> Psk {
        let c0 = aes(key, [0; 16], 0);
        let mut rand_p = [0; 16];
        random.fill(&mut rand_p);
        let (ak, kdk) = (aes(key, c0, 1), aes(key, c0, 2));
        Psk { nai: nai.to_owned(), ak, kdk, rand_p, rand_s: [0; 16], id_s: Vec::new(), msk: None }
    }

    /// Message 1 is answered by message 2.
    fn prove(&mut self, rand_s: &[u8], id_s: &[u8]) -> Vec<u8> {
        self.rand_s.copy_from_slice(rand_s);
        self.id_s = id_s.to_vec();
        let mac = cmac(&self.ak, &[self.nai.as_bytes(), id_s, rand_s, &self.rand_p]);
        [&[0x40][..], rand_s, &self.rand_p, &mac, self.nai.as_bytes()].concat()
    }

    /// Message 3 is answered by message 4.
    fn confirm(&mut self, request: &[u8]) -> Result<Vec<u8>, String> {
        if request[22..38] != cmac(&self.ak, &[&self.id_s, &self.rand_p]) {
            return Err("EAP-PSK: MAC_S is wrong".into());
        }
        let derived = aes(&self.kdk, self.rand_p, 0);
        let eax = <Eax<Aes128> as KeyInit>::new(&aes(&self.kdk, derived, 1).into());
        let (number, tag) = (u32::from_be_bytes(fixed(&request[38..42])), fixed::<16>(&request[42..58]));
        let mut result = request[58..].to_vec();
        eax.decrypt_inout_detached(
            &nonce(number.to_be_bytes()).into(),
            &request[..22],
            (&mut result[..]).into(),
            &tag.into(),
        )
        .map_err(|_| "EAP-PSK: the server's protected channel is forged")?;
        if result.first().map(|first| first >> 6) != Some(2) {
            return Err(format!("EAP-PSK: the server's result is {result:02x?} instead of DONE_SUCCESS"));
        }
        let mut msk = [0; 64];
        for (block, xor) in msk.chunks_mut(16).zip(2..) {
            block.copy_from_slice(&aes(&self.kdk, derived, xor));
        }
        self.msk = Some(msk);
        // Type-data of 17 octets and the protected channel of 21, after the EAP header with its type.
        let head = [&[0xc0][..], &self.rand_s].concat();
        let header = [&[RESPONSE, request[1], 0, 43, PSK][..], &head].concat();
        let (number, mut done) = ((number + 1).to_be_bytes(), [0x80]);
        let tag = eax
            .encrypt_inout_detached(&nonce(number).into(), &header, (&mut done[..]).into())
            .map_err(|_| "EAP-PSK: no room in the protected channel")?;
        Ok([&head[..], &number, &tag, &done].concat())
    }
}

fn fixed<const N: usize>(octets: &[u8]) -> [u8; N] {
    octets.try_into().expect("the caller's range is of that length")
}

impl Method for Psk {
    fn kind(&self) -> u8 {
        PSK
    }

    fn respond(&mut self, request: &[u8]) -> Result<Vec<u8>, String> {
        match (request.get(5).map(|flags| flags >> 6), request.len()) {
            (Some(0), 22..) => Ok(self.prove(&request[6..22], &request[22..])),
            (Some(2), 59..) if request[6..22] == self.rand_s => self.confirm(request),
            (message, length) => Err(format!("EAP-PSK: message {message:?} of {length} octets out of turn")),
        }
    }

    fn msk(&self) -> Option<[u8; 64]> {
        self.msk
    }
}
