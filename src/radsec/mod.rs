//! RADIUS over TLS (RFC 6614 and draft-ietf-radext-radiusdtls-bis): whose certificates count, for which names, and the
//! settings of TLS that follow. No sockets, no files, no clock: octets go in, and the time.

pub mod names;
pub mod settings;
pub mod trust;
pub mod words;

/// What is negotiated with ALPN (RFC 7301; draft-ietf-radext-radiusdtls-bis).
pub const ALPN: &[u8] = b"radius/1.0";
/// The secret of every connection (RFC 6614, 2.3): no secret at all, TLS is what protects.
pub const SECRET: &[u8] = b"radsec";
