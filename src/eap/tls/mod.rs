//! EAP-TLS (RFC 5216, RFC 9190).

/// What all EAP-TLS conversations share.
#[derive(Debug)]
pub struct Server {}
