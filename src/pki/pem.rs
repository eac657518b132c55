//! PEM (RFC 7468), written. Reading it is `rustls`' business.

use zeroize::Zeroizing;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `-----BEGIN label-----`, lines of 64 characters, `-----END label-----`. Nothing of it is left in memory when it is dropped, as it
/// may be a private key.
pub fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    // Enough for all, so that no copy is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(2 * label.len() + 64 + der.len() * 3 / 2));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let octet = |at: usize| group.get(at).copied().map(u32::from).unwrap_or_default();
            let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
            for at in 0..4 {
                let digit = ALPHABET.get((bits >> (18 - 6 * at) & 63) as usize).copied().unwrap_or(b'=');
                text.push(if at > group.len() as u32 { '=' } else { char::from(digit) });
            }
        }
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    #[test]
    fn it_is_read_again() {
        assert_eq!(
            *encode("X", b"Many hands make light work."),
            "-----BEGIN X-----\nTWFueSBoYW5kcyBtYWtlIGxpZ2h0IHdvcmsu\n-----END X-----\n"
        );
        for length in [0, 1, 2, 3, 47, 48, 49, 1000] {
            let octets: Vec<u8> = (0..length).map(|at| (at * 37 % 251) as u8).collect();
            let text = encode("CERTIFICATE", &octets);
            assert_eq!(CertificateDer::from_pem_slice(text.as_bytes()).unwrap().as_ref(), octets, "{length}");
            assert!(text.lines().all(|line| line.len() <= 64));
            assert!(text.capacity() >= text.len() && text.len() <= 2 * 11 + 64 + length * 3 / 2, "never grown");
        }
    }
}
