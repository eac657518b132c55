//! The keys of EAP-PSK and what is made with them (RFC 4764, 3): AES-128 as block cipher, as CMAC and as EAX.

use crate::secret::EapPskKey;
use aes::Aes128Enc;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use cmac::digest::common::InnerInit;
use cmac::{Cmac, Mac};
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
        let eax = Eax::new(&self.tek, n, header);
        eax.apply_key_stream(data);
        Some(eax.tag(data))
    }

    /// Decrypts in place; false if the tag (compared in constant time) is wrong, and then nothing is decrypted.
    pub fn open(&self, n: u32, header: &[u8; HEADER_OCTETS], tag: &[u8; BLOCK], data: &mut [u8]) -> bool {
        let eax = Eax::new(&self.tek, n, header);
        let good = eax.omac(2, data).verify(&Array(eax.masked(*tag))).is_ok();
        if good {
            eax.apply_key_stream(data);
        }
        good
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.tek.zeroize();
        self.msk.zeroize();
    }
}

/// EAX (Bellare, Rogaway and Wagner, "The EAX Mode of Operation", 2004) for one message. With one key schedule, where the
/// crate of that name has four: a third of what an EAP-PSK exchange costs is AES.
struct Eax {
    cipher: Aes128Enc,
    nonce: [u8; BLOCK],
    header: [u8; BLOCK],
}

impl Eax {
    /// The nonce is twelve zero octets and N (RFC 4764, 3.3).
    fn new(tek: &[u8; BLOCK], n: u32, header: &[u8]) -> Eax {
        let mut eax = Eax { cipher: Aes128Enc::new(tek.into()), nonce: [0; BLOCK], header: [0; BLOCK] };
        eax.nonce = eax.omac(0, &u128::from(n).to_be_bytes()).finalize().into_bytes().0;
        eax.header = eax.omac(1, header).finalize().into_bytes().0;
        eax
    }

    /// Encrypts, or decrypts: counter mode from the nonce's OMAC on.
    fn apply_key_stream(&self, data: &mut [u8]) {
        let mut counter = u128::from_be_bytes(self.nonce);
        for block in data.chunks_mut(BLOCK) {
            let mut stream = Array(counter.to_be_bytes());
            self.cipher.encrypt_block(&mut stream);
            block.iter_mut().zip(stream).for_each(|(octet, stream)| *octet ^= stream);
            counter = counter.wrapping_add(1);
        }
    }

    /// The tag of what was encrypted.
    fn tag(&self, encrypted: &[u8]) -> [u8; BLOCK] {
        self.masked(self.omac(2, encrypted).finalize().into_bytes().0)
    }

    /// From the OMAC of what was encrypted to the tag, and back.
    fn masked(&self, mut octets: [u8; BLOCK]) -> [u8; BLOCK] {
        octets.iter_mut().zip(self.nonce.iter().zip(&self.header)).for_each(|(octet, (n, h))| *octet ^= n ^ h);
        octets
    }

    /// CMAC over a block with this number, and data.
    fn omac(&self, number: u8, data: &[u8]) -> Cmac<Aes128Enc> {
        let mut mac = Cmac::<Aes128Enc>::inner_init(self.cipher.clone());
        mac.update(&u128::from(number).to_be_bytes());
        mac.update(data);
        mac
    }
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
    fn it_is_eax_for_any_length() {
        use eax::AeadInOut;
        let session = LongTerm::new(&PSK).session(&RAND_P);
        let header: [u8; HEADER_OCTETS] = std::array::from_fn(|n| n as u8);
        for length in [0, 1, 15, 16, 17, 32, 960] {
            let plain: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let (mut ours, mut theirs) = (plain.clone(), plain.clone());
            let tag = session.seal(7, &header, &mut ours);
            let eax = <eax::Eax<Aes128Enc> as eax::KeyInit>::new(&Array(session.tek));
            let nonce = Array(7u128.to_be_bytes());
            let expected = eax.encrypt_inout_detached(&nonce, &header, theirs.as_mut_slice().into()).unwrap();
            assert_eq!((tag, &ours), (Some(expected.0), &theirs), "{length} octets");
            assert!(session.open(7, &header, &expected.0, &mut ours));
            assert_eq!(ours, plain);
        }
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
