//! From one hop to the next: what a packet says, hidden anew and with what is to be said on the way (RFC 2865, 2.3).

use super::Answer;
use crate::secret::RadiusSecret;
use crate::wire::radius::{BuildError, Packet, SaltSequence};

/// What becomes of an answer on the way back.
#[derive(Debug, Clone, Copy)]
pub enum Terms<'a> {
    /// It goes back whole: from a server of our own. Access-Challenge, Access-Reject, Accounting-Response always do, less what
    /// `share` took away.
    Pass,
    /// An Access-Accept, reduced to who it is and what keys there are; the rest is ours.
    Ours {
        /// The VLAN.
        vlan: Option<u16>,
        /// Session-Timeout in seconds, with Termination-Action RADIUS-Request.
        session_timeout: Option<u32>,
        /// User-Name for accounting.
        user_name: Option<&'a str>,
        /// Whether Tunnel-Passwords (Wi-Fi keys) are let through: only from a server of our own.
        wifi_keys: bool,
    },
}

/// Writes the answer for the NAS.
///
/// # Errors
/// When it does not fit, or its keys cannot be read.
pub fn reply(
    answer: &Answer<'_>,
    answer_secret: &RadiusSecret,
    request: &Packet<'_>,
    request_secret: &RadiusSecret,
    terms: &Terms<'_>,
    salts: SaltSequence,
    out: &mut Vec<u8>,
) -> Result<(), BuildError> {
    let _ = (answer, answer_secret, request, request_secret, terms, salts, out);
    Err(BuildError::Tag(0))
}
