//! The keys of EAP-PSK and what is made with them (RFC 4764, 3): AES-128 as block cipher, as CMAC and as EAX.

use crate::secret::EapPskKey;
use aes::Aes128Enc;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use cmac::digest::common::InnerInit;
use cmac::{Cmac, Mac};
use eax::{AeadInOut, Eax};
use zeroize::{Zeroize, Zeroizing};

/// Octets of a random number, a MAC, a tag, and of every key but the exported ones.
pub const BLOCK: usize = 16;

/// The part of a packet that the tag covers in clear: EAP header, Type, Flags and RAND_S (RFC 4764, 3.3).
pub const HEADER_OCTETS: usize = 22;

/// AK and KDK: what the PSK becomes, the same in all conversations (RFC 4764, 3.1).
pub struct LongTerm {
    /// AES with AK as key.
    ak: Aes128Enc,
    kdk: Zeroizing<[u8; BLOCK]>,
}

impl LongTerm {
    /// The key setup: a modified counter mode with the PSK on zero.
    pub fn new(psk: &EapPskKey) -> LongTerm {
        let [mut ak, kdk] = counted(psk.expose(), &[0; BLOCK]);
        let setup = LongTerm { ak: Aes128Enc::new(&Array(ak)), kdk: Zeroizing::new(kdk) };
        ak.zeroize();
        setup
    }

    /// MAC_P = CMAC(AK, ID_P || ID_S || RAND_S || RAND_P) (RFC 4764, 3.2).
    pub fn mac_p(&self, id_p: &[u8], id_s: &[u8], rand_s: &[u8; BLOCK], rand_p: &[u8; BLOCK]) -> Proof {
        self.proof(&[id_p, id_s, rand_s, rand_p])
    }

    /// MAC_S = CMAC(AK, ID_S || RAND_P) (RFC 4764, 3.2).
    pub fn mac_s(&self, id_s: &[u8], rand_p: &[u8; BLOCK]) -> Proof {
        self.proof(&[id_s, rand_p])
    }

    fn proof(&self, parts: &[&[u8]]) -> Proof {
        let mut mac = Cmac::<Aes128Enc>::inner_init(self.ak.clone());
        for part in parts {
            mac.update(part);
        }
        Proof(mac)
    }

    /// The session keys for this RAND_P (RFC 4764, 3.2).
    pub fn session(&self, rand_p: &[u8; BLOCK]) -> Session {
        // TEK and the four blocks of the MSK. The EMSK would be the next four: nobody uses it.
        let [tek, msk @ ..] = counted::<5>(&self.kdk, rand_p);
        let mut session = Session { tek, msk: [0; 64] };
        for (to, mut from) in session.msk.chunks_exact_mut(BLOCK).zip(msk) {
            to.copy_from_slice(&from);
            from.zeroize();
        }
        session
    }
}

/// The modified counter mode: c = AES(key, input), then AES(key, c ^ 1), AES(key, c ^ 2) and so on.
fn counted<const N: usize>(key: &[u8; BLOCK], input: &[u8; BLOCK]) -> [[u8; BLOCK]; N] {
    let cipher = Aes128Enc::new(key.into());
    let mut first = Array(*input);
    cipher.encrypt_block(&mut first);
    let mut count = 0;
    let mut blocks = [(); N].map(|()| {
        count += 1;
        let mut block = first;
        if let Some(last) = block.last_mut() {
            *last ^= count;
        }
        block
    });
    cipher.encrypt_blocks(&mut blocks);
    blocks.map(|block| block.0)
}

/// A MAC that is computed, to be compared in constant time or sent.
pub struct Proof(Cmac<Aes128Enc>);

impl Proof {
    /// Compares in constant time.
    pub fn is(self, mac: &[u8; BLOCK]) -> bool {
        self.0.verify(mac.into()).is_ok()
    }

    /// The octets, to be sent.
    pub fn octets(self) -> [u8; BLOCK] {
        self.0.finalize().into_bytes().0
    }
}

/// What one conversation agrees upon. Wiped on drop.
pub struct Session {
    tek: [u8; BLOCK],
    msk: [u8; 64],
}

impl Session {
    /// The master session key.
    pub fn msk(&self) -> [u8; 64] {
        self.msk
    }

    /// Encrypts in place with EAX and gives the tag (RFC 4764, 3.3). N must never be used twice.
    pub fn seal(&self, n: u32, header: &[u8; HEADER_OCTETS], data: &mut [u8]) -> Option<[u8; BLOCK]> {
        let eax = Eax::<Aes128Enc>::new(&Array(self.tek));
        eax.encrypt_inout_detached(&nonce(n), header, data.into()).ok().map(|tag| tag.0)
    }

    /// Decrypts in place; false if the tag (compared in constant time) is wrong, and then nothing is decrypted.
    pub fn open(&self, n: u32, header: &[u8; HEADER_OCTETS], tag: &[u8; BLOCK], data: &mut [u8]) -> bool {
        let eax = Eax::<Aes128Enc>::new(&Array(self.tek));
        eax.decrypt_inout_detached(&nonce(n), header, data.into(), tag.into()).is_ok()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.tek.zeroize();
        self.msk.zeroize();
    }
}

/// Twelve zero octets and N.
fn nonce(n: u32) -> eax::Nonce<eax::aead::consts::U16> {
    Array(u128::from(n).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eap::psk::vectors::*;

    #[test]
    fn the_key_setup() {
        let [ak, kdk] = counted(PSK.expose(), &[0; BLOCK]);
        assert_eq!((ak, kdk), (hex("18b62d2c84c5e4571afc41a29db71f4d"), hex("97b704350085028363924612565b9b0d")));
    }

    #[test]
    fn the_session_keys() {
        let keys = counted::<9>(&hex("97b704350085028363924612565b9b0d"), &RAND_P);
        let session = LongTerm::new(&PSK).session(&RAND_P);
        assert_eq!(session.tek, hex("be2c5c404da05b93b0ab39e52ac32016"));
        assert_eq!((session.tek, &session.msk[..]), (keys[0], keys[1..5].concat().as_slice()));
        assert_eq!(session.msk(), *MSK);
        let emsk = "b54848787c4b040e0ab55f0a5ec76615670a4394f7a6d8aff44da155cdef6511\
                    dbe36352bf5309e44dd5c66f684408a0f9c7eb4cb756649ad1f138576114d866";
        assert_eq!(keys[5..].concat(), hex::<64>(emsk));
    }

    #[test]
    fn macs() {
        let keys = LongTerm::new(&PSK);
        let (p, s) = (hex("a2ea1743b3c5eefb85d40b713707b24c"), hex("1b2f497967015d527795764953bd96a7"));
        assert_eq!(keys.mac_p(ID_P, ID_S, &RAND_S, &RAND_P).octets(), p);
        assert_eq!(keys.mac_s(ID_S, &RAND_P).octets(), s);
        assert!(keys.mac_p(ID_P, ID_S, &RAND_S, &RAND_P).is(&p));
        assert!(!keys.mac_p(ID_P, ID_S, &RAND_P, &RAND_S).is(&p));
        assert!(!keys.mac_s(ID_P, &RAND_P).is(&s));
        assert!(!LongTerm::new(&EapPskKey::new([0; 16])).mac_s(ID_S, &RAND_P).is(&s));
    }

    #[test]
    fn the_protected_channel() {
        let session = LongTerm::new(&PSK).session(&RAND_P);
        for (n, message) in [(0, MESSAGE_3), (1, MESSAGE_4)] {
            let message = octets(message);
            let (header, rest) = message.split_first_chunk::<HEADER_OCTETS>().unwrap();
            let (clear, sealed) = rest.split_at(rest.len() - 1);
            let tag = *clear.last_chunk::<BLOCK>().unwrap();
            let mut data = [0x80];
            assert_eq!(session.seal(n, header, &mut data), Some(tag));
            assert_eq!(data, sealed);
            assert!(session.open(n, header, &tag, &mut data));
            assert_eq!(data, [0x80]);

            let mut other_tag = tag;
            other_tag[15] ^= 1;
            let mut other_header = *header;
            other_header[0] ^= 3;
            let mut refused = [sealed[0]];
            assert!(!session.open(n, header, &other_tag, &mut refused));
            assert!(!session.open(n, &other_header, &tag, &mut refused));
            assert!(!session.open(n + 1, header, &tag, &mut refused));
            assert!(!session.open(n, header, &tag, &mut [sealed[0] ^ 0x40]));
            assert_eq!(refused, sealed);
        }
    }
}
