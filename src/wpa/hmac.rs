//! HMAC (RFC 2104) cut where the key search wants it cut: a key is two compressions whose results can be kept, a
//! message is a row of finished blocks that is made once and hashed under thousands of keys.
//!
//! With both at hand a MAC costs the compressions of the message and one more, and no copying.

use std::marker::PhantomData;
use zeroize::Zeroize;

/// Octets in a block of all three hashes.
const BLOCK: usize = 64;

/// A hash of the MD4 family, as its bare compression function.
pub(super) trait Hash {
    /// Chaining value.
    type State: Copy + AsRef<[u32]> + AsMut<[u32]> + Zeroize;
    /// Where a hash begins.
    const INITIAL: Self::State;
    /// Takes blocks into the chaining value; with the CPU's instructions where it has them.
    fn compress(state: &mut Self::State, blocks: &[[u8; BLOCK]]);
    /// A word of the chaining value as it stands in the digest.
    fn word(word: u32) -> [u8; 4];
    /// The length in bits as it stands at the end of the padding.
    fn length(bits: u64) -> [u8; 8];
}

/// SHA-1 (FIPS 180-4).
pub(super) enum Sha1 {}
/// SHA-256 (FIPS 180-4).
pub(super) enum Sha256 {}
/// MD5 (RFC 1321).
pub(super) enum Md5 {}

impl Hash for Sha1 {
    type State = [u32; 5];
    const INITIAL: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    #[inline]
    fn compress(state: &mut [u32; 5], blocks: &[[u8; BLOCK]]) {
        sha1::block_api::compress(state, blocks);
    }
    #[inline]
    fn word(word: u32) -> [u8; 4] {
        word.to_be_bytes()
    }
    #[inline]
    fn length(bits: u64) -> [u8; 8] {
        bits.to_be_bytes()
    }
}

impl Hash for Sha256 {
    type State = [u32; 8];
    const INITIAL: [u32; 8] =
        [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
    #[inline]
    fn compress(state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
        sha2::block_api::compress256(state, blocks);
    }
    #[inline]
    fn word(word: u32) -> [u8; 4] {
        word.to_be_bytes()
    }
    #[inline]
    fn length(bits: u64) -> [u8; 8] {
        bits.to_be_bytes()
    }
}

impl Hash for Md5 {
    type State = [u32; 4];
    const INITIAL: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    #[inline]
    fn compress(state: &mut [u32; 4], blocks: &[[u8; BLOCK]]) {
        md5::block_api::compress(state, blocks);
    }
    #[inline]
    fn word(word: u32) -> [u8; 4] {
        word.to_le_bytes()
    }
    #[inline]
    fn length(bits: u64) -> [u8; 8] {
        bits.to_le_bytes()
    }
}

/// A message as the blocks that follow a key block, padding and length included.
pub(super) struct Message<H> {
    blocks: Box<[[u8; BLOCK]]>,
    hash: PhantomData<H>,
}

impl<H: Hash> Message<H> {
    /// Joins the parts and pads them.
    pub(super) fn new(parts: &[&[u8]]) -> Message<H> {
        let mut octets = parts.concat();
        let bits = 8 * (BLOCK + octets.len()) as u64;
        octets.push(0x80);
        octets.resize((octets.len() + 8).next_multiple_of(BLOCK) - 8, 0);
        octets.extend(H::length(bits));
        Message { blocks: octets.as_chunks().0.into(), hash: PhantomData }
    }
}

/// An HMAC key: the chaining values after the inner and the outer key block. Wiped on drop.
pub(super) struct Key<H: Hash> {
    inner: H::State,
    outer: H::State,
}

impl<H: Hash> Clone for Key<H> {
    fn clone(&self) -> Key<H> {
        Key { inner: self.inner, outer: self.outer }
    }
}

impl<H: Hash> Key<H> {
    /// Two compressions. A key has at most one block; longer ones do not occur in WPA.
    pub(super) fn new<const N: usize>(key: &[u8; N]) -> Key<H> {
        const { assert!(N <= BLOCK) }
        let mut block = [0x36; BLOCK];
        block.iter_mut().zip(key).for_each(|(padded, octet)| *padded ^= octet);
        let mut made = Key { inner: H::INITIAL, outer: H::INITIAL };
        H::compress(&mut made.inner, &[block]);
        block.iter_mut().for_each(|octet| *octet ^= 0x36 ^ 0x5c);
        H::compress(&mut made.outer, &[block]);
        block.zeroize();
        made
    }

    /// The MAC of a message, its first `N` octets (at most the digest): the compressions of the message, and one.
    pub(super) fn mac<const N: usize>(&self, message: &Message<H>) -> [u8; N] {
        let mut inner = self.inner;
        H::compress(&mut inner, &message.blocks);
        digest::<H, N>(self.finish(&inner))
    }

    /// The outer hash over the inner one.
    fn finish(&self, inner: &H::State) -> H::State {
        let mut block = [0; BLOCK];
        let words = inner.as_ref();
        for (octets, word) in block.as_chunks_mut().0.iter_mut().zip(words) {
            *octets = H::word(*word);
        }
        let digest_len = 4 * words.len();
        if let Some(end) = block.get_mut(digest_len) {
            *end = 0x80;
        }
        if let Some(length) = block.last_chunk_mut() {
            *length = H::length(8 * (BLOCK + digest_len) as u64);
        }
        let mut outer = self.outer;
        H::compress(&mut outer, &[block]);
        outer
    }
}

impl<H: Hash> Drop for Key<H> {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// The first `N` octets of a digest.
fn digest<H: Hash, const N: usize>(mut state: H::State) -> [u8; N] {
    let mut octets = [0; N];
    for (octets, word) in octets.as_chunks_mut().0.iter_mut().zip(state.as_ref()) {
        *octets = H::word(*word);
    }
    state.zeroize();
    octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::hmac::digest::block_api::EagerHash;
    use ::hmac::{Hmac, KeyInit, Mac};

    /// Compares with the `hmac` crate: messages around every edge of the padding.
    fn like_the_crate<H: Hash, D: EagerHash, const N: usize>(key: &[u8; N]) {
        let octets: Vec<u8> = (0u8..=255).collect();
        for length in 0..200 {
            let (a, b) = octets[..length].split_at(length / 3);
            let mut reference = <Hmac<D> as KeyInit>::new_from_slice(key).unwrap();
            reference.update(&octets[..length]);
            let mac: [u8; 16] = Key::<H>::new(key).mac(&Message::new(&[a, b]));
            assert_eq!(mac, reference.finalize().into_bytes()[..16], "{length} octets");
        }
    }

    #[test]
    fn hmac_sha1_as_the_crate_has_it() {
        like_the_crate::<Sha1, sha1::Sha1, 16>(b"key confirmation");
        like_the_crate::<Sha1, sha1::Sha1, 64>(&[0xa5; 64]);
        like_the_crate::<Sha1, sha1::Sha1, 0>(&[]);
    }

    #[test]
    fn hmac_sha256_as_the_crate_has_it() {
        like_the_crate::<Sha256, sha2::Sha256, 32>(b"a pairwise master key, 32 octets");
    }

    #[test]
    fn hmac_md5_as_the_crate_has_it() {
        like_the_crate::<Md5, md5::Md5, 16>(b"key confirmation");
    }

    /// RFC 2202, section 3, test case 2; RFC 4231, 4.3; RFC 2202, section 2, test case 2.
    #[test]
    fn rfc_vectors() {
        let data: [&[u8]; 2] = [b"what do ya want ", b"for nothing?"];
        let sha1: [u8; 20] = Key::<Sha1>::new(b"Jefe").mac(&Message::new(&data));
        assert_eq!(sha1[..8], [0xef, 0xfc, 0xdf, 0x6a, 0xe5, 0xeb, 0x2f, 0xa2]);
        let sha256: [u8; 32] = Key::<Sha256>::new(b"Jefe").mac(&Message::new(&data));
        assert_eq!(sha256[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
        assert_eq!(sha256[28..], [0x64, 0xec, 0x38, 0x43]);
        let md5: [u8; 16] = Key::<Md5>::new(b"Jefe").mac(&Message::new(&data));
        assert_eq!(md5[..8], [0x75, 0x0c, 0x78, 0x3e, 0x6a, 0xb0, 0xb5, 0x03]);
    }
}
