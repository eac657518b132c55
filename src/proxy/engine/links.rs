//! The ways to servers that are open, and which identifiers are in use on each (RFC 2865, 2.5).

use super::super::{LinkId, ServerId};
use crate::config::Transport;
use crate::wire::radius::Authenticator;
use std::time::Instant;

/// No slot.
const NONE: u16 = u16::MAX;
/// The slot of nobody any more, whose answer may still come.
const STALE: u16 = u16::MAX - 1;
/// A link with more of them than this is worn out.
const MOST_STALE: u16 = 127;
/// Status-Server whose answers may still come.
const PROBES: usize = 3;
/// Identifiers that requests can have on one link: 1 to 255. 0 is that of Status-Server.
pub const IDENTIFIERS: u16 = 255;

/// The most links to one server.
pub fn most_links(transport: Transport) -> usize {
    match transport {
        Transport::Udp => 8,
        Transport::Radsec => 2,
    }
}

/// The most requests under way to one server.
pub fn most_requests(transport: Transport) -> u16 {
    match transport {
        Transport::Udp => 256,
        Transport::Radsec => 2 * IDENTIFIERS,
    }
}

/// Where a request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    pub link: LinkId,
    pub identifier: u8,
}

/// A Status-Server that waits for its answer.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    pub authenticator: Authenticator,
    pub sent: Instant,
}

/// A way to a server.
#[derive(Debug)]
pub struct Link {
    pub id: LinkId,
    pub server: ServerId,
    /// The slot of the request that has an identifier.
    slots: Box<[u16; 256]>,
    in_use: u16,
    stale: u16,
    last: u8,
    pub opened: Instant,
    /// When the last request was sent over it.
    pub used: Instant,
    /// When anything came over it that was from the server.
    pub heard: Instant,
    pub probe: Option<Probe>,
    /// The authenticators of the last that were not answered in time.
    late_probes: [Option<Authenticator>; PROBES],
}

impl Link {
    pub fn new(id: LinkId, server: ServerId, now: Instant) -> Link {
        Link {
            id,
            server,
            slots: Box::new([NONE; 256]),
            in_use: 0,
            stale: 0,
            last: 0,
            opened: now,
            used: now,
            heard: now,
            probe: None,
            late_probes: [None; PROBES],
        }
    }

    /// Takes the identifier that was free for the longest time or nearly so: what comes too late meets nobody.
    pub fn take(&mut self, slot: u16) -> Option<u8> {
        if self.in_use + self.stale >= IDENTIFIERS {
            return None;
        }
        for _ in 0..=IDENTIFIERS {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if let Some(place) = self.slots.get_mut(usize::from(self.last)).filter(|place| **place == NONE) {
                *place = slot;
                self.in_use += 1;
                return Some(self.last);
            }
        }
        None
    }

    /// Who has an identifier.
    pub fn slot(&self, identifier: u8) -> Option<u16> {
        self.slots.get(usize::from(identifier)).copied().filter(|slot| *slot < STALE)
    }

    /// Gives an identifier back.
    pub fn free(&mut self, identifier: u8) {
        if let Some(place) = self.slots.get_mut(usize::from(identifier)).filter(|place| **place < STALE) {
            *place = NONE;
            self.in_use -= 1;
        }
    }

    /// Nobody waits for this answer any more; as long as it has not come, the identifier is not given to another. Over TLS it will come, or the
    /// connection ends: an answer that does not verify is then not one that came too late, but a forgery.
    pub fn abandon(&mut self, identifier: u8) {
        if let Some(place) = self.slots.get_mut(usize::from(identifier)).filter(|place| **place < STALE) {
            *place = STALE;
            self.in_use -= 1;
            self.stale += 1;
        }
    }

    /// An answer came for which nobody waits.
    pub fn late(&mut self, identifier: u8) {
        if let Some(place) = self.slots.get_mut(usize::from(identifier)).filter(|place| **place == STALE) {
            *place = NONE;
            self.stale -= 1;
        }
    }

    /// True if so many answers never came that another link will do better.
    pub fn is_worn_out(&self) -> bool {
        self.stale > MOST_STALE
    }

    /// Gives a Status-Server up.
    pub fn miss_probe(&mut self) {
        if let Some(probe) = self.probe.take() {
            self.late_probes.rotate_right(1);
            self.late_probes[0] = Some(probe.authenticator);
        }
    }

    /// The authenticators of those that were given up.
    pub fn late_probes(&self) -> impl Iterator<Item = &Authenticator> {
        self.late_probes.iter().flatten()
    }

    /// How many identifiers are in use.
    pub fn in_use(&self) -> u16 {
        self.in_use
    }

    /// The slots of all requests on it.
    pub fn requests(&self) -> impl Iterator<Item = u16> {
        self.slots.iter().copied().filter(|slot| *slot < STALE)
    }
}
