//! The requests under way: slots that are used again and again, and when which of them is to be looked at.
//!
//! Every wait has one of three lengths, so three lists in the order of submission are in the order of their deadlines too: what is
//! due is at the head, and taking a request out costs the same wherever it is.

use super::super::{ServerId, Ticket};
use super::links::Way;
use crate::secret::RadiusSecret;
use crate::wire::radius::{Authenticator, Code};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most requests under way.
pub const MOST: usize = 1024;
/// A request is given up after this time.
pub const GIVE_UP: Duration = Duration::from_secs(9);
/// When a request is sent again over UDP.
pub const FIRST_WAIT: Duration = Duration::from_secs(2);
/// How long a request has waited at least when its being replaced by another tells something of the server.
pub const REPLACED_WAIT: Duration = Duration::from_secs(1);
/// How long after that the next server is tried.
pub const SECOND_WAIT: Duration = Duration::from_secs(3);
/// No slot.
const NONE: u16 = u16::MAX;
/// Slots beyond these do not keep their buffers.
const WARM: u16 = 256;
/// The most servers that one request is tried with.
pub const MOST_TRIED: usize = 8;

/// What a request is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// For being written.
    New,
    /// For a way to its server.
    Waiting,
    /// For an answer, for the first time.
    First,
    /// For an answer; over UDP it has been sent again.
    Second,
    /// For an answer, as long as there is time.
    Last,
    /// For [`super::Engine::timeout`]: it has to go another way.
    Moved,
}

/// The servers that a request has been tried with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tried {
    servers: [Option<ServerId>; MOST_TRIED],
}

impl Tried {
    pub fn add(&mut self, server: ServerId) {
        if !self.has(server)
            && let Some(free) = self.servers.iter_mut().find(|slot| slot.is_none())
        {
            *free = Some(server);
        }
    }

    pub fn has(&self, server: ServerId) -> bool {
        self.servers.contains(&Some(server))
    }

    pub fn count(&self) -> u8 {
        // At most MOST_TRIED.
        self.servers.iter().flatten().count() as u8
    }
}

/// A request under way.
#[derive(Debug)]
pub struct Request {
    pub ticket: Ticket,
    pub group: u32,
    pub server: ServerId,
    /// The link and the identifier on it, once it is sent.
    pub way: Option<Way>,
    pub stage: Stage,
    /// It belongs to a conversation that only this server knows.
    pub sticky: bool,
    /// It has gone to the same server a second time, after its connection was lost.
    pub again: bool,
    /// It has gone back to a server that had not answered, since no other could be reached.
    pub returned: bool,
    /// It has been sent to somebody.
    pub was_sent: bool,
    pub code: Code,
    /// It carries EAP: its answer has to have a Message-Authenticator.
    pub eap: bool,
    pub tried: Tried,
    pub since: Instant,
    /// When it was first sent to this server.
    pub sent: Instant,
    /// Whether it has been sent to it more than once, so that a round trip cannot be told.
    pub resent: bool,
    /// When the wait of its stage is over.
    due: Instant,
    pub authenticator: Authenticator,
    /// What its User-Password is hidden with.
    pub secret: Option<Arc<RadiusSecret>>,
    /// The request as it goes to its server.
    pub packet: Vec<u8>,
    age: Node,
    wait: Node,
    /// In which list of waits.
    waits: Option<Wait>,
    live: bool,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    before: u16,
    after: u16,
}

const ALONE: Node = Node { before: NONE, after: NONE };

#[derive(Debug, Clone, Copy)]
struct List {
    head: u16,
    tail: u16,
}

impl Default for List {
    fn default() -> List {
        List { head: NONE, tail: NONE }
    }
}

/// The lengths of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// [`FIRST_WAIT`].
    First,
    /// [`SECOND_WAIT`].
    Second,
}

/// The requests under way.
#[derive(Debug, Default)]
pub struct Requests {
    slots: Vec<Request>,
    free: Vec<u16>,
    age: List,
    first: List,
    second: List,
}

/// What is known of a request from its beginning.
#[derive(Debug)]
pub struct New {
    pub ticket: Ticket,
    pub group: u32,
    pub server: ServerId,
    pub sticky: bool,
    pub code: Code,
    pub eap: bool,
    pub authenticator: Authenticator,
    pub secret: Arc<RadiusSecret>,
    pub now: Instant,
}

impl Requests {
    /// Whether there is room for one more.
    pub fn has_room(&self) -> bool {
        !self.free.is_empty() || self.slots.len() < MOST
    }

    /// Takes a slot; its packet is empty.
    pub fn add(&mut self, new: New) -> Option<u16> {
        let New { ticket, group, server, sticky, code, eap, authenticator, secret, now } = new;
        let mut tried = Tried::default();
        tried.add(server);
        let mut request = Request {
            ticket,
            group,
            server,
            way: None,
            stage: Stage::New,
            sticky,
            again: false,
            returned: false,
            was_sent: false,
            code,
            eap,
            tried,
            since: now,
            sent: now,
            resent: false,
            due: now,
            authenticator,
            secret: Some(secret),
            packet: Vec::new(),
            age: ALONE,
            wait: ALONE,
            waits: None,
            live: true,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                let place = self.slots.get_mut(usize::from(slot))?;
                std::mem::swap(&mut request.packet, &mut place.packet);
                request.packet.clear();
                *place = request;
                slot
            }
            None if self.slots.len() < MOST => {
                let slot = u16::try_from(self.slots.len()).ok()?;
                self.slots.push(request);
                slot
            }
            None => return None,
        };
        append(&mut self.slots, &mut self.age, slot, |request| &mut request.age);
        Some(slot)
    }

    /// Frees a slot.
    pub fn remove(&mut self, slot: u16) {
        self.rest(slot);
        unlink(&mut self.slots, &mut self.age, slot, |request| &mut request.age);
        let Some(request) = self.slots.get_mut(usize::from(slot)).filter(|request| request.live) else { return };
        request.live = false;
        request.secret = None;
        if slot >= WARM {
            request.packet = Vec::new();
        }
        self.free.push(slot);
    }

    pub fn get(&self, slot: u16) -> Option<&Request> {
        self.slots.get(usize::from(slot)).filter(|request| request.live)
    }

    pub fn get_mut(&mut self, slot: u16) -> Option<&mut Request> {
        self.slots.get_mut(usize::from(slot)).filter(|request| request.live)
    }

    /// The slot of a ticket.
    pub fn find(&self, ticket: Ticket) -> Option<u16> {
        let at = self.slots.iter().position(|request| request.live && request.ticket == ticket)?;
        u16::try_from(at).ok()
    }

    /// Every request under way.
    pub fn all(&self) -> impl Iterator<Item = (u16, &Request)> {
        (0..).zip(&self.slots).filter(|(_, request)| request.live)
    }

    /// Begins a wait.
    pub fn wait(&mut self, slot: u16, stage: Stage, wait: Wait, now: Instant) {
        self.rest(slot);
        let (list, length) = match wait {
            Wait::First => (&mut self.first, FIRST_WAIT),
            Wait::Second => (&mut self.second, SECOND_WAIT),
        };
        let Some(request) = self.slots.get_mut(usize::from(slot)) else { return };
        request.stage = stage;
        request.waits = Some(wait);
        request.due = now + length;
        append(&mut self.slots, list, slot, |request| &mut request.wait);
    }

    /// Ends the wait of a stage; the whole time goes on.
    pub fn rest(&mut self, slot: u16) {
        let Some(request) = self.slots.get_mut(usize::from(slot)) else { return };
        let list = match request.waits.take() {
            Some(Wait::First) => &mut self.first,
            Some(Wait::Second) => &mut self.second,
            None => return,
        };
        unlink(&mut self.slots, list, slot, |request| &mut request.wait);
    }

    /// A request whose time is over.
    pub fn oldest(&self, now: Instant) -> Option<u16> {
        let head = self.slots.get(usize::from(self.age.head))?;
        (head.since + GIVE_UP <= now).then_some(self.age.head)
    }

    /// A request whose wait is over.
    pub fn overdue(&self, now: Instant) -> Option<u16> {
        [self.first.head, self.second.head]
            .into_iter()
            .find(|head| self.slots.get(usize::from(*head)).is_some_and(|request| request.due <= now))
    }

    /// Octets that the buffer of a slot takes.
    #[cfg(test)]
    pub fn kept(&self, slot: u16) -> usize {
        self.slots.get(usize::from(slot)).map_or(0, |request| request.packet.capacity())
    }

    /// When the first of all waits is over.
    pub fn next(&self) -> Option<Instant> {
        let of = |head: u16| self.slots.get(usize::from(head));
        let age = of(self.age.head).map(|request| request.since + GIVE_UP);
        let waits = [self.first.head, self.second.head].into_iter().filter_map(|head| of(head).map(|r| r.due));
        age.into_iter().chain(waits).min()
    }
}

fn append(slots: &mut [Request], list: &mut List, slot: u16, node: impl Fn(&mut Request) -> &mut Node) {
    match slots.get_mut(usize::from(list.tail)) {
        Some(last) => node(last).after = slot,
        None => list.head = slot,
    }
    if let Some(request) = slots.get_mut(usize::from(slot)) {
        *node(request) = Node { before: list.tail, after: NONE };
    }
    list.tail = slot;
}

fn unlink(slots: &mut [Request], list: &mut List, slot: u16, node: impl Fn(&mut Request) -> &mut Node) {
    let Some(request) = slots.get_mut(usize::from(slot)) else { return };
    let Node { before, after } = std::mem::replace(node(request), ALONE);
    match slots.get_mut(usize::from(before)) {
        Some(request) => node(request).after = after,
        None => list.head = after,
    }
    match slots.get_mut(usize::from(after)) {
        Some(request) => node(request).before = before,
        None => list.tail = before,
    }
}
