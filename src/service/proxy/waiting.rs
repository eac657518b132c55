//! Requests of NASes that wait for somebody else's answer: a bounded table with the buffers they are kept in.

use crate::proxy::Ticket;
use crate::service::eap::Station;
use crate::service::radius::Origin;
use crate::wire::radius::HEADER_OCTETS;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// How many can wait: as many as the engine has under way. One takes about half a KiB, its datagram included.
pub const WAITING: usize = 1024;
/// Buffers that are kept to be used again, and the largest that is.
const SPARE: (usize, usize) = (64, 1024);
/// Tickets from here on are of requests whose answers nobody waits for.
const UNATTENDED: u64 = 1 << 63;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Who it is, with EAP.
    Eap,
    /// Which Wi-Fi key an address has that nobody knows here.
    Address {
        /// Earlier requests of this address that came to nothing: which keys it is offered here if the answer is no.
        attempt: u32,
    },
    /// Whose Wi-Fi key this handshake proves, which is nobody's here.
    Handshake,
}

/// A request that waits.
#[derive(Debug)]
pub struct Waiting {
    /// Where it came from.
    pub from: Origin,
    /// The request.
    pub datagram: Vec<u8>,
    /// When it came.
    pub started: Instant,
    /// The name of the `config realm` that is asked.
    pub realm: Arc<str>,
    /// Its servers are our own, and say all they want to the NAS.
    pub own: bool,
    /// Whom it is about.
    pub station: Station,
    /// What is asked.
    pub kind: Kind,
}

#[derive(Debug, Default)]
struct Slot {
    /// Counts its tenants, so that no ticket is given twice.
    generation: u32,
    waiting: Option<Waiting>,
}

/// The table.
#[derive(Debug, Default)]
pub struct Table {
    slots: Vec<Slot>,
    free: Vec<u16>,
    by_station: HashMap<Station, Ticket>,
    spare: Vec<Vec<u8>>,
    unattended: u64,
}

impl Table {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// True when nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of a datagram, in a buffer that was used before if there is one.
    pub fn copy(&mut self, datagram: &[u8]) -> Vec<u8> {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(datagram);
        buffer
    }

    /// Takes a buffer back.
    pub fn reuse(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < SPARE.0 && buffer.capacity() <= SPARE.1 {
            self.spare.push(buffer);
        }
    }

    /// Has a request wait, if there is a place. See [`Table::sent`].
    pub fn put(&mut self, waiting: Waiting) -> Option<Ticket> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() < WAITING => {
                self.slots.push(Slot::default());
                // Less than 1024.
                (self.slots.len() - 1) as u16
            }
            None => {
                self.reuse(waiting.datagram);
                return None;
            }
        };
        let slot = self.slots.get_mut(usize::from(index))?;
        slot.generation = slot.generation.wrapping_add(1);
        let ticket = Ticket(u64::from(slot.generation) << 16 | u64::from(index));
        slot.waiting = Some(waiting);
        Some(ticket)
    }

    /// A request is on its way: it is its station's from now on. The ticket of the one before, for whose answer nobody waits any
    /// more.
    pub fn sent(&mut self, ticket: Ticket) -> Option<Ticket> {
        let station = self.get(ticket)?.station.clone();
        self.by_station.insert(station, ticket).filter(|before| *before != ticket)
    }

    /// A request that waits.
    pub fn get(&self, ticket: Ticket) -> Option<&Waiting> {
        // The low 16 bits are the place.
        let slot = self.slots.get(usize::from(ticket.0 as u16))?;
        slot.waiting.as_ref().filter(|_| u64::from(slot.generation) == ticket.0 >> 16)
    }

    /// Takes a request out: its answer is there, or nobody waits for it any more.
    pub fn take(&mut self, ticket: Ticket) -> Option<Waiting> {
        // The low 16 bits are the place.
        let index = ticket.0 as u16;
        let slot =
            self.slots.get_mut(usize::from(index)).filter(|slot| u64::from(slot.generation) == ticket.0 >> 16)?;
        let waiting = slot.waiting.take()?;
        self.free.push(index);
        if self.by_station.get(&waiting.station) == Some(&ticket) {
            self.by_station.remove(&waiting.station);
        }
        Some(waiting)
    }

    /// True when this request of a station waits already: identifier and authenticator are the same (RFC 5080, 2.2.2).
    pub fn has(&self, station: &Station, datagram: &[u8]) -> bool {
        let waiting = self.of(station).and_then(|ticket| self.get(ticket));
        waiting.is_some_and(|waiting| waiting.datagram.get(..HEADER_OCTETS) == datagram.get(..HEADER_OCTETS))
    }

    /// The request of a station that waits, the last if there are several.
    pub fn of(&self, station: &Station) -> Option<Ticket> {
        self.by_station.get(station).copied()
    }

    /// A ticket for a request whose answer nobody waits for.
    pub fn unattended(&mut self) -> Ticket {
        self.unattended = (self.unattended + 1) % UNATTENDED;
        Ticket(UNATTENDED | self.unattended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mac::MacAddr;
    use std::net::SocketAddr;

    fn waiting(station: u16) -> Waiting {
        let [high, low] = station.to_be_bytes();
        let mac = MacAddr([2, 0, 0, 0, high, low]);
        Waiting {
            from: SocketAddr::from(([127, 0, 0, 1], 40000)).into(),
            datagram: vec![1; 300],
            started: Instant::now(),
            realm: "acme".into(),
            own: false,
            station: Station { client: "ap".into(), mac, bssid: MacAddr([2; 6]) },
            kind: Kind::Eap,
        }
    }

    #[test]
    fn a_ticket_is_good_once() {
        let mut table = Table::default();
        let first = table.put(waiting(1)).expect("room");
        assert_eq!((table.of(&waiting(1).station), table.sent(first)), (None, None));
        assert_eq!((table.of(&waiting(1).station), table.sent(first)), (Some(first), None));
        assert!(table.has(&waiting(1).station, &[1; 300]) && !table.has(&waiting(2).station, &[1; 300]));
        assert!(!table.has(&waiting(1).station, &[2; 300]) && !table.has(&waiting(1).station, &[1; 19]));
        let second = table.put(waiting(1)).expect("room");
        assert_eq!(table.of(&waiting(1).station), Some(first), "not on its way yet");
        assert_eq!(table.sent(second), Some(first));
        assert!(first != second && table.len() == 2);
        assert!(table.take(first).is_some() && table.take(first).is_none());
        assert_eq!(table.of(&waiting(1).station), Some(second), "the later one is the station's");
        let third = table.put(waiting(2)).expect("room");
        assert!(third != first && table.take(first).is_none(), "the place is used again, the ticket is not");
        assert!(table.take(second).is_some() && table.take(third).is_some() && table.is_empty());
        assert!(table.by_station.is_empty());
        let unattended = table.unattended();
        assert!(table.take(unattended).is_none() && unattended != table.unattended());
        assert!(table.take(Ticket(u64::MAX)).is_none());
    }

    #[test]
    fn the_table_is_bounded_and_buffers_are_used_again() {
        let mut table = Table::default();
        let tickets: Vec<_> = (0..WAITING as u16).map(|n| table.put(waiting(n)).expect("room")).collect();
        assert!(tickets.iter().all(|ticket| table.sent(*ticket).is_none()));
        assert!(table.put(waiting(9999)).is_none());
        assert_eq!((table.len(), table.by_station.len()), (WAITING, WAITING));
        for ticket in tickets {
            let waiting = table.take(ticket).expect("it waits");
            table.reuse(waiting.datagram);
        }
        assert_eq!((table.len(), table.by_station.len(), table.spare.len()), (0, 0, SPARE.0));
        table.reuse(vec![0; 4096]);
        let buffer = table.copy(b"x");
        assert!(buffer == b"x" && buffer.capacity() <= SPARE.1);
    }
}
