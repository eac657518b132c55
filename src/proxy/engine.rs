//! Which server, when, and how often.
//!
//! Order of calls: anything that has happened, then [`Engine::poll`] until there is nothing left, then wait for [`Engine::next_timeout`].
//! What needs fresh randomness and was caused by a call that brings none (a request that has to take another way) is done in
//! [`Engine::timeout`], which is then due at once.
//!
//! Everything is bounded: 1024 requests, 256 (UDP) or 510 (TLS) of them to one server, 8 or 2 links to it, 32 realms that DNS told,
//! 1024 conversations. Nothing is allocated per packet once buffers have been given back.

mod configure;
mod conversations;
mod fuzzing;
mod links;
mod peer;
mod receive;
mod requests;
mod timers;

use super::rewrite::{self, Next};
use super::{Failure, Health, LinkId, Order, Output, ServerId, Status, Ticket};
use crate::config::{Server, Tls};
use crate::secret::RadiusSecret;
use crate::wire::radius::{AttributeType, Authenticator, Code, Packet, readdress};
use conversations::Conversations;
#[doc(hidden)]
pub use fuzzing::fuzz;
use links::{Link, Way};
use peer::{PATIENCE, Peer};
use requests::{New, Requests, Stage, Tried, Wait};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where octets that nobody can foretell come from.
pub type Random<'a> = &'a mut dyn FnMut(&mut [u8]);

/// More Proxy-States than this in a request are a loop.
const MOST_PROXY_STATES: usize = 8;
/// Octets of our Proxy-State: marker and ticket.
const PROXY_STATE_OCTETS: usize = 16;
/// Buffers that are kept for the next packets.
const POOL: usize = 64;
/// A buffer with more room than a packet has is not kept.
const MOST_BUFFER: usize = 4096;
/// How long the end of [`Engine::probe`] may take.
const TEST: Duration = Duration::from_secs(5);
/// Why, when nothing is known.
const NO_CONNECTION: &str = "no connection was made in time";

/// The state of all servers, and the requests under way.
#[derive(Debug, Default)]
pub struct Engine {
    /// What our Proxy-States begin with; random.
    marker: Option<[u8; 8]>,
    /// What jitter is made of.
    dice: u32,
    sections: Vec<Section>,
    groups: Vec<Group>,
    last_group: u32,
    /// By identity.
    peers: Vec<Peer>,
    last_server: u16,
    /// By identity.
    links: Vec<Link>,
    last_link: u32,
    radsec: Option<Arc<RadiusSecret>>,
    requests: Requests,
    /// Requests that have to go another way, and since when.
    moved: VecDeque<u16>,
    moved_at: Option<Instant>,
    conversations: Conversations,
    outputs: VecDeque<Output>,
    pool: Vec<Vec<u8>>,
    /// When something is due for a server, or earlier.
    due: Option<Instant>,
}

/// What is needed of a `config realm` for servers that are found later.
#[derive(Debug)]
struct Section {
    name: Arc<str>,
    secret: Option<Arc<RadiusSecret>>,
    tls: Tls,
    discover: bool,
}

/// Servers that stand in for each other.
#[derive(Debug)]
struct Group {
    id: u32,
    /// The name of the `config realm`.
    realm: Arc<str>,
    /// For which realm of identities DNS told them.
    nai_realm: Option<Arc<str>>,
    servers: Vec<ServerId>,
    used: Instant,
}

impl Engine {
    /// Sends a request on, Access-Request or Accounting-Request.
    ///
    /// # Errors
    /// Why it cannot be, at once; else the answer comes from [`Engine::receive`], or [`Output::Failed`].
    pub fn submit(
        &mut self,
        ticket: Ticket,
        order: &Order<'_>,
        now: Instant,
        random: Random<'_>,
    ) -> Result<(), Failure> {
        let marker = self.marker(random);
        if !matches!(order.request.code(), Code::ACCESS_REQUEST | Code::ACCOUNTING_REQUEST) {
            let why = format!("{} is not forwarded", order.request.code()).into();
            return Err(Failure::Unreachable { servers: 0, why });
        }
        if came_round(&order.request, &marker) {
            return Err(Failure::Loop);
        }
        if !self.requests.has_room() {
            return Err(Failure::Busy);
        }
        let none = || Failure::Unreachable { servers: 0, why: "no server is known for this realm".into() };
        let at = self.group_for(order.realm, order.nai_realm).ok_or_else(none)?;
        let group = self.groups.get_mut(at).ok_or_else(none)?;
        group.used = now;
        let group_id = group.id;
        let state = order.request.find(AttributeType::STATE).filter(|_| !rewrite::begins(&order.request));
        let known = state.and_then(|state| self.conversations.get(conversations::key(&marker, group_id, state), now));
        let (server, sticky) = match known.filter(|known| self.is_in(at, *known)) {
            Some(server) => (self.check(server, now)?, true),
            None => (self.choose(at, &Tried::default(), now)?, false),
        };
        let secret = Arc::clone(&self.peer(server).ok_or_else(none)?.secret);
        let mut authenticator = Authenticator::default();
        random(&mut authenticator);
        let new = New {
            ticket,
            group: group_id,
            server,
            sticky,
            code: order.request.code(),
            eap: order.request.find(AttributeType::EAP_MESSAGE).is_some(),
            authenticator,
            secret: Arc::clone(&secret),
            now,
        };
        let slot = self.requests.add(new).ok_or(Failure::Busy)?;
        if let Some(peer) = self.peer_mut(server) {
            peer.in_flight += 1;
        }
        let way = self.take_way(server, slot);
        let next = Next {
            identifier: way.map_or(0, |way| way.identifier),
            authenticator,
            secret: &secret,
            proxy_state: proxy_state(&marker, ticket),
        };
        let Some(request) = self.requests.get_mut(slot) else { return Err(Failure::Busy) };
        request.way = way;
        if rewrite::request(order, &next, &mut request.packet).is_err() {
            // Nothing was sent: no answer can come for this identifier, and it is not kept from others.
            if let Some(unused) = self.requests.get_mut(slot).and_then(|request| request.way.take())
                && let Some(link) = self.link_mut(unused.link)
            {
                link.free(unused.identifier);
            }
            self.detach(slot);
            self.requests.remove(slot);
            return Err(Failure::TooLong);
        }
        // That of an Accounting-Request is computed.
        if let Some(written) = request.packet.get(4..20).and_then(|octets| octets.try_into().ok()) {
            request.authenticator = written;
        }
        match way {
            Some(_) => self.send(slot, now),
            None => self.park(slot, now),
        }
        Ok(())
    }

    /// Nobody wants the answer any more. Whoever asks anew every few seconds would never learn that a server is gone: its silence
    /// so far counts.
    pub fn cancel(&mut self, ticket: Ticket, now: Instant) {
        if let Some(slot) = self.requests.find(ticket) {
            self.unanswered(slot, requests::REPLACED_WAIT, now);
            self.detach(slot);
            self.requests.remove(slot);
        }
    }

    /// Asks a server whether it answers, by Status-Server (RFC 5997); [`Output::Probed`] says so within 5 seconds. False if there is no
    /// such server.
    pub fn probe(&mut self, server: ServerId, now: Instant, random: Random<'_>) -> bool {
        self.marker(random);
        let Some(peer) = self.peer_mut(server) else { return false };
        peer.test = Some(now + TEST);
        let link = peer.links.first().copied();
        if link.is_none() {
            // Somebody asks: there is no reason to wait with it.
            peer.retry = None;
        }
        self.is_due(now + TEST);
        match link {
            Some(link) => self.send_probe(link, now, random),
            None => self.open(server, now),
        }
        true
    }

    /// What the shell has to do next.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Gives a buffer back.
    pub fn reuse(&mut self, mut buffer: Vec<u8>) {
        if self.pool.len() < POOL && buffer.capacity() <= MOST_BUFFER {
            buffer.clear();
            self.pool.push(buffer);
        }
    }

    /// A way to a server is open.
    pub fn opened(&mut self, server: ServerId, now: Instant) -> LinkId {
        self.last_link = self.last_link.wrapping_add(1);
        let id = LinkId(self.last_link);
        let Some(peer) = self.peer_mut(server) else {
            // It was taken out of the configuration in the meantime.
            self.outputs.push_back(Output::Close(id));
            return id;
        };
        peer.opening = peer.opening.saturating_sub(1);
        peer.links.push(id);
        let changed = peer.connected(now);
        let at = self.links.partition_point(|link| link.id < id);
        self.links.insert(at, Link::new(id, server, now));
        self.changed(server, changed);
        self.is_due(now);
        self.flush(server, now);
        id
    }

    /// A way that was open is not any more.
    pub fn closed(&mut self, link: LinkId, why: Arc<str>, now: Instant) {
        self.lose(link, why, now);
    }

    /// No way could be opened.
    pub fn unreachable(&mut self, server: ServerId, why: Arc<str>, now: Instant) {
        let dice = self.roll();
        let Some(peer) = self.peer_mut(server) else { return };
        peer.opening = peer.opening.saturating_sub(1);
        let changed = if peer.links.is_empty() {
            peer.unreachable(Arc::clone(&why), now, dice)
        } else {
            peer.lost(Duration::ZERO, now, dice);
            None
        };
        let tested = peer.test.take().is_some();
        let waiting = std::mem::take(&mut peer.waiting);
        self.changed(server, changed);
        if tested {
            self.outputs.push_back(Output::Probed(server, Err(why)));
        }
        for slot in waiting {
            if let Some(request) = self.requests.get_mut(slot) {
                request.again = true;
            }
            self.shift(slot, now);
        }
        self.is_due(now);
    }

    /// The name of its `config realm`, and the server.
    pub fn server(&self, server: ServerId) -> Option<(&Arc<str>, &Server)> {
        self.peer(server).map(|peer| (&peer.realm, &peer.server))
    }

    /// The secret shared with a server: that of the realm, or `radsec`.
    pub fn secret(&self, server: ServerId) -> Option<&RadiusSecret> {
        self.peer(server).map(|peer| &*peer.secret)
    }

    /// The realm of identities for which DNS told this server ([`Engine::discovered`]): its certificate has to be for that (RFC 7585,
    /// 2.2). `None` for servers of the configuration.
    pub fn nai_realm(&self, server: ServerId) -> Option<&str> {
        self.peer(server)?.nai_realm.as_deref()
    }

    /// Every server with the name of its `config realm`, in the order of the configuration.
    pub fn status(&self) -> Vec<(Arc<str>, ServerId, Status)> {
        let servers = self.groups.iter().flat_map(|group| &group.servers);
        let peers = servers.filter_map(|server| self.peer(*server));
        peers.map(|peer| (Arc::clone(&peer.realm), peer.id, status(peer))).collect()
    }

    fn marker(&mut self, random: Random<'_>) -> [u8; 8] {
        match self.marker {
            Some(marker) => marker,
            None => {
                let mut octets = [0; 12];
                random(&mut octets);
                let [a, b, c, d, marker @ ..] = octets;
                self.dice = u32::from_be_bytes([a, b, c, d]) | 1;
                self.marker = Some(marker);
                marker
            }
        }
    }

    /// A number for jitter; nobody's secret (xorshift).
    fn roll(&mut self) -> u32 {
        let mut dice = self.dice | 1;
        dice ^= dice << 13;
        dice ^= dice >> 17;
        dice ^= dice << 5;
        self.dice = dice;
        dice
    }

    fn peer(&self, id: ServerId) -> Option<&Peer> {
        self.peers.binary_search_by_key(&id, |peer| peer.id).ok().and_then(|at| self.peers.get(at))
    }

    fn peer_mut(&mut self, id: ServerId) -> Option<&mut Peer> {
        self.peers.binary_search_by_key(&id, |peer| peer.id).ok().and_then(|at| self.peers.get_mut(at))
    }

    fn link(&self, id: LinkId) -> Option<&Link> {
        self.links.binary_search_by_key(&id, |link| link.id).ok().and_then(|at| self.links.get(at))
    }

    fn link_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.links.binary_search_by_key(&id, |link| link.id).ok().and_then(|at| self.links.get_mut(at))
    }

    fn is_in(&self, group: usize, server: ServerId) -> bool {
        self.groups.get(group).is_some_and(|group| group.servers.contains(&server))
    }

    fn is_due(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    fn changed(&mut self, server: ServerId, health: Option<Health>) {
        if let Some(health) = health {
            self.outputs.push_back(Output::Changed(server, health));
        }
    }

    /// Whether a server can be asked now, or soon.
    fn check(&self, server: ServerId, now: Instant) -> Result<ServerId, Failure> {
        let why = |peer: Option<&Peer>| peer.and_then(|peer| peer.trouble.clone());
        match self.peer(server) {
            Some(peer) if peer.closed_for(now) > PATIENCE || !peer.has_room() => {
                let why = why(Some(peer)).unwrap_or_else(|| NO_CONNECTION.into());
                if peer.has_room() { Err(Failure::Unreachable { servers: 1, why }) } else { Err(Failure::Busy) }
            }
            Some(_) => Ok(server),
            None => Err(Failure::Unreachable { servers: 0, why: NO_CONNECTION.into() }),
        }
    }

    /// The best server of a group that has not been tried.
    fn choose(&self, group: usize, tried: &Tried, now: Instant) -> Result<ServerId, Failure> {
        let servers = self.groups.get(group).map(|group| &group.servers[..]).unwrap_or_default();
        let (mut best, mut failure): (Option<(u8, &Peer)>, _) = (None, None);
        for server in servers.iter().filter(|server| !tried.has(**server)) {
            if let Err(error) = self.check(*server, now) {
                // Busy says more than that another cannot be reached.
                failure = failure.filter(|known| *known == Failure::Busy).or(Some(error));
                continue;
            }
            let Some(peer) = self.peer(*server) else { continue };
            let rank = peer.rank(now);
            let better = best.is_none_or(|(before, other)| {
                rank < before || (rank == before && rank >= 2 && peer.heard > other.heard)
            });
            if better {
                best = Some((rank, peer));
            }
        }
        // A group has at most 8.
        let count = servers.len() as u8;
        best.map(|(_, peer)| peer.id).ok_or_else(|| match failure {
            Some(Failure::Unreachable { why, .. }) => Failure::Unreachable { servers: count, why },
            Some(other) => other,
            None => Failure::Unreachable { servers: count, why: NO_CONNECTION.into() },
        })
    }

    /// An identifier on one of the links of a server.
    fn take_way(&mut self, server: ServerId, slot: u16) -> Option<Way> {
        let at = self.peers.binary_search_by_key(&server, |peer| peer.id).ok()?;
        for link in self.peers.get(at)?.links.iter() {
            let found = self.links.binary_search_by_key(link, |link| link.id).ok();
            let Some(link) = found.and_then(|at| self.links.get_mut(at)) else { continue };
            if let Some(identifier) = link.take(slot) {
                return Some(Way { link: link.id, identifier });
            }
        }
        None
    }

    /// Hands a request with an identifier to the shell, and waits for the answer.
    fn send(&mut self, slot: u16, now: Instant) {
        if let Some(request) = self.requests.get_mut(slot) {
            (request.sent, request.was_sent, request.resent) = (now, true, false);
        }
        self.transmit(slot, now);
        self.requests.wait(slot, Stage::First, Wait::First, now);
    }

    /// Hands the octets of a request to the shell.
    fn transmit(&mut self, slot: u16, now: Instant) {
        let mut buffer = self.pool.pop().unwrap_or_default();
        let Some((request, way)) = self.requests.get(slot).and_then(|request| Some((request, request.way?))) else {
            return;
        };
        buffer.extend_from_slice(&request.packet);
        self.outputs.push_back(Output::Send(way.link, buffer));
        if let Some(link) = self.link_mut(way.link) {
            link.used = now;
        }
    }

    /// Leaves a request until there is a way to its server.
    fn park(&mut self, slot: u16, now: Instant) {
        self.requests.wait(slot, Stage::Waiting, Wait::Second, now);
        let Some(server) = self.requests.get(slot).map(|request| request.server) else { return };
        if let Some(peer) = self.peer_mut(server) {
            peer.waiting.push_back(slot);
        }
        self.open(server, now);
    }

    /// Asks for a way to a server, now or when it is time.
    fn open(&mut self, server: ServerId, now: Instant) {
        let Some(peer) = self.peer_mut(server).filter(|peer| peer.can_open()) else { return };
        match peer.retry.filter(|retry| *retry > now) {
            Some(retry) => self.is_due(retry),
            // One after the other: what waits may fit into one.
            None if peer.opening == 0 => {
                peer.opening += 1;
                self.outputs.push_back(Output::Open(server));
            }
            None => {}
        }
    }

    /// Sends what waits for a way to this server, as far as there is one.
    fn flush(&mut self, server: ServerId, now: Instant) {
        while let Some(slot) = self.peer(server).and_then(|peer| peer.waiting.front().copied()) {
            let Some(way) = self.take_way(server, slot) else {
                self.open(server, now);
                return;
            };
            if let Some(peer) = self.peer_mut(server) {
                peer.waiting.pop_front();
            }
            // Nothing waits that is not under way.
            let Some(request) = self.requests.get_mut(slot) else { continue };
            request.way = Some(way);
            let authenticator = request.authenticator;
            address(request, authenticator, None);
            self.send(slot, now);
        }
    }

    /// Tries a request with this server.
    fn launch(&mut self, slot: u16, server: ServerId, now: Instant, random: Random<'_>) {
        let Some(secret) = self.peer(server).map(|peer| Arc::clone(&peer.secret)) else { return };
        let mut authenticator = Authenticator::default();
        random(&mut authenticator);
        let way = self.take_way(server, slot);
        if let Some(request) = self.requests.get_mut(slot) {
            request.server = server;
            request.tried.add(server);
            request.way = way;
            address(request, authenticator, Some(secret));
        }
        if let Some(peer) = self.peer_mut(server) {
            peer.in_flight += 1;
        }
        match way {
            Some(_) => self.send(slot, now),
            None => self.park(slot, now),
        }
    }

    /// Takes a request away from its server: identifier, place in the queue, count.
    fn detach(&mut self, slot: u16) {
        self.requests.rest(slot);
        let Some(request) = self.requests.get_mut(slot) else { return };
        let (server, way, stage) = (request.server, request.way.take(), request.stage);
        request.stage = Stage::Moved;
        let tls = self.peer(server).is_some_and(Peer::is_tls);
        if let Some(way) = way
            && let Some(link) = self.link_mut(way.link)
        {
            if tls { link.abandon(way.identifier) } else { link.free(way.identifier) }
        }
        if stage == Stage::Moved {
            // Its server has let go of it when it was moved.
            self.moved.retain(|moved| *moved != slot);
            return;
        }
        let Some(peer) = self.peer_mut(server) else { return };
        peer.in_flight = peer.in_flight.saturating_sub(1);
        if stage == Stage::Waiting {
            peer.waiting.retain(|waiting| *waiting != slot);
        }
    }

    /// Leaves it to [`Engine::timeout`] to find another way for a request.
    fn shift(&mut self, slot: u16, now: Instant) {
        self.detach(slot);
        if self.requests.get(slot).is_some() {
            self.moved.push_back(slot);
            self.moved_at.get_or_insert(now);
        }
    }

    /// A link is gone, with everything on it.
    fn lose(&mut self, link: LinkId, why: Arc<str>, now: Instant) {
        let Ok(at) = self.links.binary_search_by_key(&link, |link| link.id) else { return };
        let gone = self.links.remove(at);
        let dice = self.roll();
        let mut changed = None;
        if let Some(peer) = self.peer_mut(gone.server) {
            peer.links.retain(|other| *other != link);
            peer.lost(now.saturating_duration_since(gone.opened), now, dice);
            if gone.in_use() > 0 || gone.probe.is_some() {
                peer.trouble = Some(why);
                changed = peer.becomes(Health::Suspect);
            }
        }
        self.changed(gone.server, changed);
        for slot in gone.requests() {
            self.shift(slot, now);
        }
        self.is_due(now);
    }

    /// There is no answer.
    fn fail(&mut self, slot: u16, failure: Failure) {
        let Some(ticket) = self.requests.get(slot).map(|request| request.ticket) else { return };
        self.detach(slot);
        self.requests.remove(slot);
        self.outputs.push_back(Output::Failed(ticket, failure));
    }
}

/// Writes identifier and authenticator into a request, and takes it to another secret.
fn address(request: &mut requests::Request, authenticator: Authenticator, secret: Option<Arc<RadiusSecret>>) {
    let identifier = request.way.map_or(0, |way| way.identifier);
    let Some(from) = request.secret.take() else { return };
    let to = secret.unwrap_or_else(|| Arc::clone(&from));
    // It is a packet: we have written it.
    if let Ok(written) = readdress(&mut request.packet, identifier, authenticator, &from, &to) {
        request.authenticator = written;
    }
    request.secret = Some(to);
}

/// Marker and ticket.
fn proxy_state(marker: &[u8; 8], ticket: Ticket) -> [u8; PROXY_STATE_OCTETS] {
    let mut octets = [0; PROXY_STATE_OCTETS];
    octets.iter_mut().zip(marker.iter().chain(&ticket.0.to_be_bytes())).for_each(|(to, from)| *to = *from);
    octets
}

/// Whether a request has been here before, or nearly everywhere.
fn came_round(request: &Packet<'_>, marker: &[u8; 8]) -> bool {
    let ours = |value: &[u8]| value.len() == PROXY_STATE_OCTETS && value.starts_with(marker);
    let mut count = 0;
    request.find_all(AttributeType::PROXY_STATE).any(|state| {
        count += 1;
        count > MOST_PROXY_STATES || ours(state.value)
    })
}

fn status(peer: &Peer) -> Status {
    let unsigned = || (peer.dropped.unsigned > 0).then(|| receive::UNSIGNED.into());
    Status {
        server: peer.server.clone(),
        health: peer.health,
        in_flight: peer.in_flight,
        round_trip: peer.round_trip,
        answered: peer.heard,
        trouble: peer.trouble.clone().or_else(unsigned),
        dropped: peer.dropped,
    }
}

/// True for a code whose silence tells something of a server: whoever does not take accounting may still authenticate.
fn counts(code: Code) -> bool {
    code == Code::ACCESS_REQUEST
}

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
