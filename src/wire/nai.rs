//! Network access identifiers (RFC 7542).

/// The realm of an identifier: what follows the last `@`. `None` when there is none.
pub fn realm(nai: &[u8]) -> Option<&[u8]> {
    let at = nai.iter().rposition(|octet| *octet == b'@')?;
    nai.get(at + 1..)
}
