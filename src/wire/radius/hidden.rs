//! User-Password (RFC 2865, 5.2), Tunnel-Password (RFC 2868, 3.5) and the MPPE keys (RFC 2548, 2.4): text hidden from a reader of the wire by MD5 of
//! the shared secret. All of it works in place or in fixed buffers that are wiped.

use super::packet::{Authenticator, MAX_TAG};
use crate::secret::RadiusSecret;
use md5::{Digest, Md5};
use std::fmt;
use zeroize::Zeroize;

const BLOCK: usize = 16;
/// The longest User-Password, in octets (RFC 2865, 5.2).
pub const MAX_USER_PASSWORD_OCTETS: usize = 128;
/// The longest Tunnel-Password, in octets: what one attribute holds in whole blocks, less the length octet.
pub const MAX_TUNNEL_PASSWORD_OCTETS: usize = 239;

/// Vendor-Id of Microsoft (RFC 2548).
pub const VENDOR_MICROSOFT: u32 = 311;
/// Vendor-Type of the keys of MS-CHAP, hidden like a User-Password (RFC 2548, 2.4.1).
pub(super) const MS_CHAP_MPPE_KEYS: u8 = 12;
/// Vendor-Type of the key that the NAS encrypts with (RFC 2548, 2.4.2).
pub const MS_MPPE_SEND_KEY: u8 = 16;
/// Vendor-Type of the key that the NAS decrypts with (RFC 2548, 2.4.3).
pub const MS_MPPE_RECV_KEY: u8 = 17;
/// Octets of each: half of a master session key (RFC 3748, 7.10).
pub const MPPE_KEY_OCTETS: usize = 32;

/// A password that was hidden on the wire. Wiped on drop, redacted in `Debug`.
pub struct Revealed {
    octets: [u8; MAX_TUNNEL_PASSWORD_OCTETS + 1],
    start: usize,
    end: usize,
}

impl Revealed {
    /// The password's octets.
    pub fn expose(&self) -> &[u8] {
        self.octets.get(self.start..self.end).unwrap_or_default()
    }
}

impl fmt::Debug for Revealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Revealed(redacted)")
    }
}

impl Drop for Revealed {
    fn drop(&mut self) {
        self.octets.zeroize();
    }
}

/// Why a hidden password cannot be read. Never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevealError {
    /// User-Password of an impossible length.
    #[error("User-Password has {0} octets, expected 16 to 128 in blocks of 16: the NAS is at fault")]
    UserPasswordLength(usize),
    /// Tunnel-Password of an impossible length.
    #[error(
        "Tunnel-Password or MPPE key has {0} octets, expected 3 and 16 to 240 in blocks of 16: the server is at fault"
    )]
    TunnelPasswordLength(usize),
    /// The length inside Tunnel-Password is beyond its end.
    #[error(
        "Tunnel-Password or MPPE key makes no sense once revealed: the shared secret differs, give both sides the same"
    )]
    Secret,
}

/// Reveals the value of a User-Password attribute; the authenticator is that of its Access-Request. Trailing NUL
/// octets are padding. With the wrong secret the result is noise: there is no check in it.
pub fn reveal_user_password(
    value: &[u8],
    secret: &RadiusSecret,
    request_authenticator: &Authenticator,
) -> Result<Revealed, RevealError> {
    if value.len() > MAX_USER_PASSWORD_OCTETS || value.is_empty() || !value.len().is_multiple_of(BLOCK) {
        return Err(RevealError::UserPasswordLength(value.len()));
    }
    let mut revealed = copy(value);
    let end = {
        let text = revealed.octets.get_mut(..value.len()).unwrap_or_default();
        reveal_blocks(text, secret, &[request_authenticator]);
        text.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1)
    };
    revealed.end = end;
    Ok(revealed)
}

/// Reveals the value of a Tunnel-Password attribute, tag and salt included; the authenticator is that of the
/// Access-Request which the packet answers. Gives the tag (0: none) and the password.
pub fn reveal_tunnel_password(
    value: &[u8],
    secret: &RadiusSecret,
    request_authenticator: &Authenticator,
) -> Result<(u8, Revealed), RevealError> {
    let error = RevealError::TunnelPasswordLength(value.len());
    let [tag, high, low, hidden @ ..] = value else { return Err(error) };
    if hidden.len() > MAX_TUNNEL_PASSWORD_OCTETS + 1 || hidden.is_empty() || !hidden.len().is_multiple_of(BLOCK) {
        return Err(error);
    }
    let mut revealed = copy(hidden);
    let text = revealed.octets.get_mut(..hidden.len()).unwrap_or_default();
    reveal_blocks(text, secret, &[request_authenticator, &[*high, *low]]);
    let length = text.first().map_or(0, |length| usize::from(*length));
    if length >= hidden.len() {
        return Err(RevealError::Secret);
    }
    (revealed.start, revealed.end) = (1, 1 + length);
    Ok((if *tag <= MAX_TAG { *tag } else { 0 }, revealed))
}

/// Reveals the value of a Vendor-Specific attribute that is an MPPE key: its Vendor-Type ([`MS_MPPE_SEND_KEY`] or
/// [`MS_MPPE_RECV_KEY`]) and the key. Nothing for other attributes; the authenticator is that of the Access-Request.
pub fn reveal_mppe_key(
    value: &[u8],
    secret: &RadiusSecret,
    request_authenticator: &Authenticator,
) -> Option<Result<(u8, Revealed), RevealError>> {
    let (vendor, rest) = value.split_first_chunk()?;
    let [kind @ (MS_MPPE_SEND_KEY | MS_MPPE_RECV_KEY), length, salted @ ..] = rest else { return None };
    if u32::from_be_bytes(*vendor) != VENDOR_MICROSOFT || usize::from(*length) != rest.len() {
        return None;
    }
    // The same as a Tunnel-Password without its tag.
    let mut tagged = Vec::with_capacity(1 + salted.len());
    tagged.push(0);
    tagged.extend_from_slice(salted);
    Some(reveal_tunnel_password(&tagged, secret, request_authenticator).map(|(_, key)| (*kind, key)))
}

fn copy(hidden: &[u8]) -> Revealed {
    let mut revealed = Revealed { octets: [0; MAX_TUNNEL_PASSWORD_OCTETS + 1], start: 0, end: 0 };
    revealed.octets.iter_mut().zip(hidden).for_each(|(to, from)| *to = *from);
    revealed
}

/// Octets that a hidden User-Password takes.
pub(super) fn user_password_octets(password: &[u8]) -> usize {
    password.len().max(1).next_multiple_of(BLOCK)
}

/// Octets that a hidden Tunnel-Password takes, without tag and salt.
pub(super) fn tunnel_password_octets(password: &[u8]) -> usize {
    (password.len() + 1).next_multiple_of(BLOCK)
}

/// Hides whole blocks of text in place: each is combined with MD5(secret, block before), the first with
/// MD5(secret, first...).
pub(super) fn hide_blocks(text: &mut [u8], secret: &RadiusSecret, first: &[&[u8]]) {
    let keyed = Md5::new_with_prefix(secret.expose());
    let mut mask = first.iter().fold(keyed.clone(), |md5, part| md5.chain_update(part)).finalize();
    for block in text.chunks_mut(BLOCK) {
        block.iter_mut().zip(&mask).for_each(|(octet, mask)| *octet ^= mask);
        mask = keyed.clone().chain_update(&*block).finalize();
    }
}

/// The reverse of [`hide_blocks`].
fn reveal_blocks(text: &mut [u8], secret: &RadiusSecret, first: &[&[u8]]) {
    let keyed = Md5::new_with_prefix(secret.expose());
    let mut mask = first.iter().fold(keyed.clone(), |md5, part| md5.chain_update(part)).finalize();
    for block in text.chunks_mut(BLOCK) {
        let next = keyed.clone().chain_update(&*block).finalize();
        block.iter_mut().zip(&mask).for_each(|(octet, mask)| *octet ^= mask);
        mask = next;
    }
}

/// What text is hidden by on the way from one party to the next.
#[derive(Debug, Clone, Copy)]
pub struct Hop<'a> {
    /// The secret the two share.
    pub secret: &'a RadiusSecret,
    /// The authenticator of the request.
    pub authenticator: &'a Authenticator,
}

/// Takes a User-Password from one hop to the next, in place and without a look at it.
pub(super) fn rehide_password(value: &mut [u8], from: Hop<'_>, to: Hop<'_>) -> Result<(), RevealError> {
    if value.len() > MAX_USER_PASSWORD_OCTETS || value.is_empty() || !value.len().is_multiple_of(BLOCK) {
        return Err(RevealError::UserPasswordLength(value.len()));
    }
    reveal_blocks(value, from.secret, &[from.authenticator]);
    hide_blocks(value, to.secret, &[to.authenticator]);
    Ok(())
}

/// Takes salt and hidden text of a Tunnel-Password or an MPPE key from one hop to the next, in place, with this salt.
/// When it makes no sense nothing of it is left.
pub(super) fn rehide_salted(
    value: &mut [u8],
    from: Hop<'_>,
    to: Hop<'_>,
    new_salt: [u8; 2],
) -> Result<(), RevealError> {
    let error = RevealError::TunnelPasswordLength(value.len() + 1);
    let Some((salt, text)) = value.split_first_chunk_mut::<2>() else { return Err(error) };
    if text.len() > MAX_TUNNEL_PASSWORD_OCTETS + 1 || text.is_empty() || !text.len().is_multiple_of(BLOCK) {
        return Err(error);
    }
    reveal_blocks(text, from.secret, &[from.authenticator, salt]);
    if text.first().is_none_or(|length| usize::from(*length) >= text.len()) {
        text.zeroize();
        return Err(RevealError::Secret);
    }
    *salt = new_salt;
    hide_blocks(text, to.secret, &[to.authenticator, salt]);
    Ok(())
}

/// The salts of one packet: each is given once, its most significant bit set (RFC 2868, 3.5).
#[derive(Debug, Clone)]
pub struct SaltSequence {
    next: u16,
}

impl SaltSequence {
    /// Begins at a random place, so that packets with the same request authenticator hardly share a salt.
    /// Distinct for 32,768 salts; the longest packet holds 195.
    pub fn new(random: u16) -> SaltSequence {
        SaltSequence { next: random }
    }

    /// The next salt.
    pub(super) fn take(&mut self) -> [u8; 2] {
        let salt = self.next | 0x8000;
        self.next = self.next.wrapping_add(1);
        salt.to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{self, secret};
    use super::super::{AttributeType, Builder, Code, Packet};
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// 00 01 02 ... 0f, the authenticator of the computed vectors.
    const AUTHENTICATOR: Authenticator = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    fn tunnel(tag: u8, salt: [u8; 2], password: &[u8]) -> Vec<u8> {
        let mut text = vec![password.len() as u8];
        text.extend(password);
        text.resize(tunnel_password_octets(password), 0);
        hide_blocks(&mut text, &secret(), &[&AUTHENTICATOR, &salt]);
        [&[tag, salt[0], salt[1]], &text[..]].concat()
    }

    #[test]
    fn rfc_2865_section_7_1() {
        let request = Packet::parse(vectors::RFC_2865_7_1.0).unwrap();
        let value = request.find(AttributeType::USER_PASSWORD).unwrap();
        let secret = RadiusSecret::new(b"xyzzy5461");
        let password = reveal_user_password(value, &secret, request.authenticator()).unwrap();
        assert_eq!(password.expose(), b"arctangent");
        assert_eq!(format!("{password:?}"), "Revealed(redacted)");
    }

    #[test]
    fn two_blocks_as_python_hides_them() {
        let hidden = vectors::hex("f7ce79ab078e0a7262277441207be4abc7d3fc0037c57d5e5190bb7e71633618");
        let mut text = b"a passphrase of 2 blocks\0\0\0\0\0\0\0\0".to_vec();
        let password = reveal_user_password(&hidden, &secret(), &AUTHENTICATOR).unwrap();
        assert_eq!(password.expose(), b"a passphrase of 2 blocks");
        hide_blocks(&mut text, &secret(), &[&AUTHENTICATOR]);
        assert_eq!(text, hidden);
    }

    #[test]
    fn tunnel_passwords_as_python_hides_them() {
        let pmk = b"0123456789abcdef".repeat(4);
        for (salt, password, hidden) in [
            ([0x80, 0x01], &b"open sesame"[..], "39cb7428643a565dbc46dd0eb2ba15f3"),
            (
                [0xfe, 0xdc],
                &pmk[..],
                "28ea406543933e3e96cb63f02a90d5887bf575f79b46af6b1fab65c2b10d1476\
                 4845db3fa1e7e34cb96cb7adc77b48fac7edc0271cb380d06fed55a3b4415cae\
                 c6eb4672322a08bbd8e13f9b0f6455d0",
            ),
        ] {
            let value = tunnel(1, salt, password);
            assert_eq!(value[3..], vectors::hex(hidden));
            let (tag, revealed) = reveal_tunnel_password(&value, &secret(), &AUTHENTICATOR).unwrap();
            assert_eq!((tag, revealed.expose()), (1, password));
        }
    }

    #[test]
    fn tunnel_passwords_as_freeradius_hides_them() {
        let request = Packet::parse(vectors::RADCLIENT_ACCESS).unwrap();
        let accept = Packet::parse(vectors::FREERADIUS_ACCEPT).unwrap();
        let passwords: Vec<(u8, Vec<u8>)> = accept
            .find_all(AttributeType::TUNNEL_PASSWORD)
            .map(|a| reveal_tunnel_password(a.value, &secret(), request.authenticator()).unwrap())
            .map(|(tag, password)| (tag, password.expose().to_vec()))
            .collect();
        assert_eq!(passwords, [(1, b"correct horse battery".to_vec()), (2, b"0123456789abcdef".repeat(4))]);
        let user_password = request.find(AttributeType::USER_PASSWORD).unwrap();
        let password = reveal_user_password(user_password, &secret(), request.authenticator()).unwrap();
        assert_eq!(password.expose(), b"02aabbccddee");
    }

    #[test]
    fn impossible_lengths_are_refused() {
        for length in [0, 1, 15, 17, 127, 129, 144, 253] {
            let result = reveal_user_password(&vec![0; length], &secret(), &AUTHENTICATOR);
            assert_eq!(result.unwrap_err(), RevealError::UserPasswordLength(length));
        }
        for length in [0, 1, 3, 16, 18, 20, 242, 244, 253, 259] {
            let result = reveal_tunnel_password(&vec![0; length], &secret(), &AUTHENTICATOR);
            assert_eq!(result.unwrap_err(), RevealError::TunnelPasswordLength(length));
        }
    }

    #[test]
    fn an_impossible_length_inside_is_refused() {
        let mut text = [16; 16];
        hide_blocks(&mut text, &secret(), &[&AUTHENTICATOR, &[0x80, 0]]);
        let value = [&[0, 0x80, 0], &text[..]].concat();
        assert_eq!(reveal_tunnel_password(&value, &secret(), &AUTHENTICATOR).unwrap_err(), RevealError::Secret);
        assert_eq!(reveal_tunnel_password(&tunnel(0x20, [0x80, 0], b"x"), &secret(), &AUTHENTICATOR).unwrap().0, 0);
    }

    #[test]
    fn salts_are_distinct_and_have_the_first_bit() {
        let mut salts = SaltSequence::new(0x7ff0);
        let taken: HashSet<[u8; 2]> = (0..32_768).map(|_| salts.take()).collect();
        assert_eq!(taken.len(), 32_768);
        assert!(taken.iter().all(|salt| salt[0] & 0x80 != 0));
    }

    #[rustfmt::skip]
    const MPPE_RECV: [u8; 56] = [
        0x00, 0x00, 0x01, 0x37, 0x11, 0x34, 0x81, 0x02, 0x69, 0x4e, 0xed, 0xbb, 0xc5, 0x33, 0x03, 0x6c,
        0xbc, 0x2a, 0xe3, 0x20, 0xcb, 0xab, 0x8f, 0x1d, 0x69, 0x47, 0xf5, 0xf9, 0x3f, 0x4e, 0xad, 0xec,
        0xff, 0x4f, 0x0f, 0x7e, 0xee, 0x2b, 0xa4, 0xbc, 0xf1, 0xe9, 0x8b, 0x3d, 0xc8, 0x1c, 0xae, 0xc4,
        0x4e, 0x22, 0xdc, 0x8f, 0xc1, 0xb3, 0x28, 0xc4,
    ];
    #[rustfmt::skip]
    const MPPE_SEND: [u8; 56] = [
        0x00, 0x00, 0x01, 0x37, 0x10, 0x34, 0x81, 0x03, 0x70, 0xc1, 0x8c, 0x6b, 0x7f, 0xd8, 0x3a, 0xe9,
        0x47, 0xd8, 0x15, 0x54, 0xb7, 0xd0, 0xc1, 0xef, 0x7b, 0xab, 0xf4, 0x0a, 0x2e, 0xd7, 0xce, 0xe3,
        0x45, 0x77, 0x8b, 0x17, 0x38, 0x64, 0x76, 0xf4, 0x08, 0x3d, 0x46, 0x58, 0xe2, 0x8e, 0x84, 0x11,
        0x1b, 0x90, 0x3b, 0x6a, 0x32, 0xa4, 0x1f, 0xf2,
    ];

    /// Computed with hashlib's MD5 from the text of RFC 2548, 2.4.2.
    #[test]
    fn mppe_keys() {
        let request = [&[1, 7, 0, 20][..], &AUTHENTICATOR].concat();
        let request = Packet::parse(&request).unwrap();
        let msk: [u8; 64] = std::array::from_fn(|n| n as u8);
        let (secret, mut out) = (secret(), Vec::new());
        let mut builder = Builder::reply(Code::ACCESS_ACCEPT, &request, &secret, &mut out);
        builder.push_mppe_keys(&msk, &mut SaltSequence::new(0x0102)).unwrap();
        builder.finish();
        let reply = Packet::parse(&out).unwrap();
        let values: Vec<&[u8]> = reply.find_all(AttributeType::VENDOR_SPECIFIC).map(|a| a.value).collect();
        assert_eq!(values, [&MPPE_RECV[..], &MPPE_SEND[..]]);
        let revealed = values.iter().map(|value| reveal_mppe_key(value, &secret, &AUTHENTICATOR).unwrap().unwrap());
        let keys: Vec<(u8, Vec<u8>)> = revealed.map(|(kind, key)| (kind, key.expose().to_vec())).collect();
        assert_eq!(keys, [(MS_MPPE_RECV_KEY, msk[..32].to_vec()), (MS_MPPE_SEND_KEY, msk[32..].to_vec())]);
        for other in [&b""[..], &MPPE_RECV[..20], &[0, 0, 1, 55, 18, 2], &[0, 0, 0, 9, 17, 2]] {
            assert!(reveal_mppe_key(other, &secret, &AUTHENTICATOR).is_none(), "{other:?}");
        }
        let short = [0, 0, 1, 55, 17, 4, 0x80, 0];
        assert!(reveal_mppe_key(&short, &secret, &AUTHENTICATOR).is_some_and(|revealed| revealed.is_err()));
    }

    proptest! {
        #[test]
        fn tunnel_passwords_come_back(
            password in prop::collection::vec(any::<u8>(), 0..=MAX_TUNNEL_PASSWORD_OCTETS), tag in 0..=MAX_TAG, salt: [u8; 2],
        ) {
            let value = tunnel(tag, salt, &password);
            let (found, revealed) = reveal_tunnel_password(&value, &secret(), &AUTHENTICATOR).unwrap();
            prop_assert_eq!((found, revealed.expose()), (tag, &password[..]));
        }

        #[test]
        fn user_passwords_come_back(password in "[^\0]{0,32}") {
            let mut text = password.clone().into_bytes();
            text.resize(user_password_octets(password.as_bytes()), 0);
            hide_blocks(&mut text, &secret(), &[&AUTHENTICATOR]);
            let revealed = reveal_user_password(&text, &secret(), &AUTHENTICATOR).unwrap();
            prop_assert_eq!(revealed.expose(), password.as_bytes());
        }

        #[test]
        fn no_octets_panic(value in prop::collection::vec(any::<u8>(), 0..=260)) {
            let _ = reveal_user_password(&value, &secret(), &AUTHENTICATOR);
            let _ = reveal_tunnel_password(&value, &secret(), &AUTHENTICATOR);
        }
    }
}
