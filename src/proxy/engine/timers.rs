//! What is done when time has passed: again, somewhere else, or not at all; and whether servers are still there.

use super::super::{Failure, Health, LinkId, Output, ServerId};
use super::links::Probe;
use super::peer::{ENOUGH_MISSED, Peer};
use super::requests::{FIRST_WAIT, Stage, Tried, Wait};
use super::{Engine, NO_CONNECTION, Random, TEST, counts};
use crate::wire::radius::{Authenticator, Builder};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a Status-Server may remain unanswered.
const PROBE_WAIT: Duration = Duration::from_secs(5);
/// A TLS connection over which nothing came for so long is asked whether it is still there (RFC 3539, 3.4.1), with up to 4 s of
/// jitter.
const WATCHDOG: Duration = Duration::from_secs(30);
/// A link over which no request went for so long is closed.
const UNUSED: Duration = Duration::from_secs(15 * 60);

impl Engine {
    /// When [`Engine::timeout`] is to be called at the latest.
    pub fn next_timeout(&self) -> Option<Instant> {
        let moved = self.moved_at.filter(|_| !self.moved.is_empty());
        [moved, self.requests.next(), self.due].into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn timeout(&mut self, now: Instant, random: Random<'_>) {
        self.marker(random);
        while let Some(slot) = self.requests.oldest(now) {
            self.give_up(slot, now);
        }
        while let Some(slot) = self.requests.overdue(now) {
            self.overdue(slot, now, random);
        }
        if self.due.is_some_and(|due| due <= now) {
            self.tend(now, random);
        }
        // One that finds no other way fails; so this comes to an end.
        while let Some(slot) = self.moved.pop_front() {
            self.place(slot, now, random);
        }
        self.moved_at = None;
    }

    /// The whole time of a request is over.
    fn give_up(&mut self, slot: u16, now: Instant) {
        self.unanswered(slot, FIRST_WAIT, now);
        let Some(request) = self.requests.get(slot) else { return };
        let seconds = u16::try_from(now.saturating_duration_since(request.since).as_secs()).unwrap_or(u16::MAX);
        let servers = request.tried.count();
        let failure = if request.was_sent {
            Failure::Silent { seconds, servers }
        } else {
            let why = self.peer(request.server).and_then(|peer| peer.trouble.clone());
            let servers = self.servers_of(request.group);
            Failure::Unreachable { servers, why: why.unwrap_or_else(|| NO_CONNECTION.into()) }
        };
        self.fail(slot, failure);
    }

    /// The wait of a request's stage is over.
    fn overdue(&mut self, slot: u16, now: Instant, random: Random<'_>) {
        let Some(request) = self.requests.get(slot) else { return };
        // Nothing is sent twice over one TLS connection: TCP does that.
        let udp = self.peer(request.server).is_some_and(|peer| !peer.is_tls());
        match request.stage {
            Stage::First => {
                if udp {
                    self.resend(slot, now);
                }
                self.requests.wait(slot, Stage::Second, Wait::Second, now);
            }
            stage => {
                self.unanswered(slot, FIRST_WAIT, now);
                if let Some(other) = self.other(slot, now) {
                    self.detach(slot);
                    self.launch(slot, other, now, random);
                    return;
                }
                self.requests.rest(slot);
                if stage == Stage::Second {
                    if udp {
                        self.resend(slot, now);
                    }
                    if let Some(request) = self.requests.get_mut(slot) {
                        request.stage = Stage::Last;
                    }
                }
            }
        }
    }

    /// The same octets once more (RFC 5080, 2.2.1).
    fn resend(&mut self, slot: u16, now: Instant) {
        if let Some(request) = self.requests.get_mut(slot) {
            request.resent = true;
        }
        self.transmit(slot, now);
    }

    /// Another server that is no worse than the one which does not answer this request.
    fn other(&self, slot: u16, now: Instant) -> Option<ServerId> {
        let request = self.requests.get(slot).filter(|request| !request.sticky)?;
        let group = self.groups.iter().position(|group| group.id == request.group)?;
        let other = self.choose(group, &request.tried, now).ok()?;
        let rank = |server| self.peer(server).map(|peer| peer.rank(now));
        (rank(other) <= rank(request.server)).then_some(other)
    }

    /// Holds it against a server that it has not answered a request, if that waited `at_least` so long.
    pub(super) fn unanswered(&mut self, slot: u16, at_least: Duration, now: Instant) {
        let Some(request) = self.requests.get(slot) else { return };
        let waited = now.saturating_duration_since(request.sent) >= at_least;
        if !waited || request.way.is_none() || !counts(request.code) {
            return;
        }
        let (server, sent) = (request.server, request.sent);
        let changed = self.peer_mut(server).and_then(|peer| peer.leaves_unanswered(sent, now));
        self.changed(server, changed);
        self.is_due(now);
    }

    /// How many servers there are.
    fn servers_of(&self, group: u32) -> u8 {
        // A group has at most 8.
        self.groups.iter().find(|known| known.id == group).map_or(0, |group| group.servers.len() as u8)
    }

    /// Finds another way for a request whose way is gone.
    fn place(&mut self, slot: u16, now: Instant, random: Random<'_>) {
        let Some(request) = self.requests.get(slot) else { return };
        let (server, tried, again, sticky) = (request.server, request.tried, request.again, request.sticky);
        let group = self.groups.iter().position(|group| group.id == request.group);
        let why = match self.peer(server) {
            Some(peer) => peer.trouble.clone().unwrap_or_else(|| NO_CONNECTION.into()),
            None => "its server was taken out of the configuration".into(),
        };
        let gone = Failure::Unreachable { servers: self.servers_of(request.group), why };
        let Some(group) = group else { return self.fail(slot, gone) };
        let next = if sticky { Err(Failure::Busy) } else { self.choose(group, &tried, now) };
        let next = next.ok().or_else(|| {
            let same = !again && self.is_in(group, server);
            self.check(server, now).ok().filter(|_| same)
        });
        let next = next.or_else(|| self.back(slot, group, now));
        match next {
            Some(next) => {
                if let Some(request) = self.requests.get_mut(slot).filter(|request| request.tried.has(next)) {
                    request.returned |= next != server;
                    request.again = true;
                }
                self.launch(slot, next, now, random);
            }
            None => self.fail(slot, gone),
        }
    }

    /// The server that has not answered so far may still do so, when no other can be reached; once.
    fn back(&self, slot: u16, group: usize, now: Instant) -> Option<ServerId> {
        let request =
            self.requests.get(slot).filter(|request| request.was_sent && !request.sticky && !request.returned)?;
        let mut unreached = Tried::default();
        unreached.add(request.server);
        let server = self.choose(group, &unreached, now).ok()?;
        self.peer(server).is_some_and(|peer| !peer.links.is_empty()).then_some(server)
    }

    /// Looks after every server, and when that is to be done next.
    fn tend(&mut self, now: Instant, random: Random<'_>) {
        self.due = None;
        let mut at = 0;
        // By identity: none comes or goes meanwhile.
        while let Some(server) = self.peers.get(at).map(|peer| peer.id) {
            self.tend_links(server, now, random);
            self.tend_server(server, now, random);
            if let Some(due) = self.next_due(server, now) {
                self.is_due(due);
            }
            at += 1;
        }
    }

    fn tend_links(&mut self, server: ServerId, now: Instant, random: Random<'_>) {
        let (mut at, tls) = (0, self.peer(server).is_some_and(Peer::is_tls));
        while let Some(id) = self.peer(server).and_then(|peer| peer.links.get(at).copied()) {
            at += 1;
            let Some(link) = self.link(id) else { continue };
            let (used, heard, probe, idle) = (link.used, link.heard, link.probe, link.in_use() == 0);
            if link.is_worn_out() {
                self.outputs.push_back(Output::Close(id));
                self.lose(id, "left too many requests unanswered on its connection".into(), now);
                at -= 1;
                continue;
            }
            if idle && now >= used + UNUSED {
                self.outputs.push_back(Output::Close(id));
                self.forget(id, server);
                at -= 1;
            } else if let Some(probe) = probe {
                if now >= probe.sent + PROBE_WAIT && self.probe_missed(id, server, now) {
                    at -= 1;
                }
            } else if tls && now >= heard + watchdog(id) {
                self.send_probe(id, now, random);
            }
        }
    }

    /// A link that nobody needs any more.
    fn forget(&mut self, link: LinkId, server: ServerId) {
        self.links.retain(|other| other.id != link);
        if let Some(peer) = self.peer_mut(server) {
            peer.links.retain(|other| *other != link);
            if peer.is_tls() && peer.links.is_empty() && peer.health != Health::Up {
                // What is known of it is old; the next request shows.
                peer.becomes(Health::Unknown);
                peer.probe_at = None;
            }
        }
    }

    /// A Status-Server was not answered. True if the link is gone.
    fn probe_missed(&mut self, link: LinkId, server: ServerId, now: Instant) -> bool {
        if let Some(link) = self.link_mut(link) {
            link.miss_probe();
        }
        let Some(peer) = self.peer_mut(server) else { return false };
        let changed = peer.leaves_status_unanswered(now);
        // The connection may be dead without either side knowing.
        let dead = peer.is_tls() && (peer.speaks_status || peer.missed >= ENOUGH_MISSED);
        self.changed(server, changed);
        if dead {
            self.outputs.push_back(Output::Close(link));
            self.lose(link, "did not answer Status-Server on its connection".into(), now);
        }
        dead
    }

    fn tend_server(&mut self, server: ServerId, now: Instant, random: Random<'_>) {
        let dice = self.roll();
        let Some(peer) = self.peer_mut(server) else { return };
        if peer.test.is_some_and(|test| test <= now) {
            peer.test = None;
            let trouble = peer.trouble.clone().filter(|_| peer.links.is_empty());
            let why = trouble.unwrap_or_else(|| {
                let what =
                    if peer.links.is_empty() { "no connection was made" } else { "Status-Server was not answered" };
                format!("{what} in {} s", TEST.as_secs()).into()
            });
            self.outputs.push_back(Output::Probed(server, Err(why)));
        }
        let Some(peer) = self.peer_mut(server) else { return };
        let link = peer.links.first().copied();
        if peer.probe_at.is_some_and(|at| at <= now) {
            let wanted = peer.test.is_some() || matches!(peer.health, Health::Suspect | Health::Down);
            peer.probe_at = wanted.then(|| now + peer.probe_interval(dice));
            match link {
                Some(link) if wanted && self.link(link).is_some_and(|link| link.probe.is_none()) => {
                    self.send_probe(link, now, random);
                }
                None if wanted => self.open(server, now),
                _ => {}
            }
        }
        if self.peer(server).is_some_and(Peer::wants_connection) {
            self.open(server, now);
        }
    }

    fn next_due(&self, server: ServerId, now: Instant) -> Option<Instant> {
        let peer = self.peer(server)?;
        let retry = peer.retry.filter(|retry| peer.wants_connection() && *retry > now);
        let links = peer.links.iter().filter_map(|id| self.link(*id)).map(|link| {
            let unused = (link.in_use() == 0).then_some(link.used + UNUSED);
            let probe = match link.probe {
                Some(probe) => Some(probe.sent + PROBE_WAIT),
                None => peer.is_tls().then(|| link.heard + watchdog(link.id)),
            };
            // A link in use is looked at when it may be idle.
            unused.into_iter().chain(probe).min().unwrap_or(now + UNUSED)
        });
        links.chain(retry).chain(peer.test).chain(peer.probe_at).min()
    }

    /// Sends a Status-Server over a link, identifier 0.
    pub(super) fn send_probe(&mut self, link: LinkId, now: Instant, random: Random<'_>) {
        let mut authenticator = Authenticator::default();
        random(&mut authenticator);
        let Some(secret) = self.link(link).and_then(|link| self.peer(link.server)).map(|peer| Arc::clone(&peer.secret))
        else {
            return;
        };
        let mut buffer = self.pool.pop().unwrap_or_default();
        Builder::status_server(0, authenticator, &secret, &mut buffer).finish();
        self.outputs.push_back(Output::Send(link, buffer));
        if let Some(link) = self.link_mut(link) {
            link.miss_probe();
            link.probe = Some(Probe { authenticator, sent: now });
        }
        self.is_due(now + PROBE_WAIT);
    }
}

/// When nothing has come over a TLS connection for so long, it is asked; not all of them at once.
fn watchdog(link: LinkId) -> Duration {
    WATCHDOG + Duration::from_millis(u64::from(link.0.wrapping_mul(0x9e37_79b9) >> 20))
}
