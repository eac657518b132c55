//! Requests that others answer: which server of a realm is asked, what goes to it and what comes back, over and over
//! until there is an answer or none can be had. No sockets, no clock, no randomness of its own.

pub mod engine;
pub mod rewrite;
#[cfg(test)]
mod tests;

pub use engine::Engine;
#[doc(hidden)]
pub use engine::fuzz;

use crate::config::{Pattern, Realm, Server, Share};
use crate::mac::MacAddr;
use crate::secret::RadiusSecret;
use crate::wire::nai;
use crate::wire::radius::{Authenticator, Packet};
use std::sync::Arc;
use std::time::Instant;

/// A server, as long as the configuration is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId(pub u16);

/// A way to a server that is open: a UDP socket, or a TLS connection. Never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u32);

/// A request that is being forwarded, named by whoever ordered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// None came from any server.
    Silent {
        /// Seconds that were waited.
        seconds: u16,
        /// How many servers were tried.
        servers: u8,
    },
    /// No server can be reached; why not, of the last one.
    Unreachable {
        /// How many servers there are.
        servers: u8,
        /// In words.
        why: Arc<str>,
    },
    /// The request does not fit into a packet any more.
    TooLong,
    /// As many requests as possible are under way.
    Busy,
    /// It has been through us before, or through too many proxies.
    Loop,
}

/// What a server is doing, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Which one.
    pub server: Server,
    /// Whether it answers.
    pub health: Health,
    /// Requests that wait for its answer.
    pub in_flight: u16,
    /// Round trip of the last answer, in microseconds.
    pub round_trip: Option<u32>,
    /// When it last answered anything, or its connection was made.
    pub answered: Option<Instant>,
    /// Why it does not answer, in words.
    pub trouble: Option<Arc<str>>,
    /// What came from it and was not taken.
    pub dropped: Dropped,
}

/// How many packets of a server were not taken, since it is configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// With a wrong Response Authenticator or Message-Authenticator: forged, or the secrets differ.
    pub forged: u32,
    /// Answers to what nobody waits for any more: too late, or twice.
    pub late: u32,
    /// No RADIUS packets, or such as have no place here.
    pub malformed: u32,
    /// Answers without the Message-Authenticator that they have to have (RFC 3579, 3.2; CVE-2024-3596).
    pub unsigned: u32,
}

/// Whether a server answers (RFC 3539, 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Nobody has asked it yet.
    Unknown,
    /// It answers.
    Up,
    /// It has not answered lately, and is asked whether it does.
    Suspect,
    /// It does not.
    Down,
}

/// A request to be forwarded.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The name of `config realm`.
    pub realm: &'a str,
    /// The realm of the identity, for servers that DNS tells ([`crate::config::Target::Discover`]).
    pub nai_realm: &'a str,
    /// The request as it came; it was verified.
    pub request: Packet<'a>,
    /// The secret of the hop it came over, by which its User-Password is hidden.
    pub secret: &'a RadiusSecret,
    /// What of it is told.
    pub share: Share,
    /// The address to tell in place of the device's.
    pub pseudonym: Option<MacAddr>,
    /// NAS-Identifier to tell when little is told (RFC 2865, 4.1 wants one): who we are.
    pub nas_identifier: &'a str,
}

/// What came over a link.
#[derive(Debug)]
pub enum Received<'a> {
    /// The answer to a request. It is verified.
    Answer(Answer<'a>),
    /// A request of the server (RFC 5176) on a TLS connection; verified, of this server.
    Request(ServerId, Packet<'a>),
    /// Nothing to do: a late answer, an answer to Status-Server, something forged (counted).
    Nothing,
    /// The link cannot be used any more: close it (RFC 6614, 2.6.4); why, in words.
    Broken(&'static str),
}

/// The answer to a request.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// To which.
    pub ticket: Ticket,
    /// Access-Accept, -Reject, -Challenge, Accounting-Response.
    pub packet: Packet<'a>,
    /// From whom; [`Engine::secret`] is what hides its keys.
    pub server: ServerId,
    /// The authenticator of the request it answers, by which its keys are hidden.
    pub authenticator: Authenticator,
}

/// What the shell has to do. To be taken after each call of the engine until there is none.
#[derive(Debug)]
pub enum Output {
    /// Send this packet. The buffer goes back with [`Engine::reuse`].
    Send(LinkId, Vec<u8>),
    /// Open a way to this server, and say [`Engine::opened`] or [`Engine::unreachable`].
    Open(ServerId),
    /// Close it; nothing is said of it any more.
    Close(LinkId),
    /// There will be no answer to this request.
    Failed(Ticket, Failure),
    /// A server answers again, or does not: for the log and for `status`.
    Changed(ServerId, Health),
    /// The end of [`Engine::probe`]: microseconds for the round trip of a Status-Server, or why there was no answer.
    Probed(ServerId, Result<u32, Arc<str>>),
}

/// The section for a realm among those that name it: the one for exactly this realm, else the one for its nearest parent.
/// [`Pattern::Default`] names none. `None` for no realm, an invalid one, and those that never leave ([`nai::is_reserved`]).
pub fn best(realms: &[Realm], realm: &[u8]) -> Option<usize> {
    if !nai::is_realm(realm) || nai::is_reserved(realm) {
        return None;
    }
    // The longest parent is the nearest; the realm itself is longer than all of them.
    let fits = |pattern: &Pattern| match pattern {
        Pattern::Exact(exact) if nai::same(realm, exact.as_bytes()) => Some(exact.len()),
        Pattern::Below(parent) if nai::is_below(realm, parent.as_bytes()) => Some(parent.len()),
        _ => None,
    };
    let mut best: Option<(usize, usize)> = None;
    for (index, section) in realms.iter().enumerate() {
        let length = section.patterns.iter().filter_map(fits).max();
        // The first of two that say the same.
        if let Some(length) = length
            && best.is_none_or(|(_, before)| before < length)
        {
            best = Some((index, length));
        }
    }
    best.map(|(index, _)| index)
}
