//! A server as the engine sees it: whether it answers, and since when it does not (RFC 3539, 3.4).

use super::super::{Dropped, Health, LinkId, ServerId};
use super::links::{most_links, most_requests};
use crate::config::{Server, Tls, Transport};
use crate::secret::RadiusSecret;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The shortest time before a connection that was lost is opened again.
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
/// The longest, before jitter of up to a half.
const BACKOFF_LAST: Duration = Duration::from_secs(60);
/// A connection that lived so long was a good one.
pub const STABLE: Duration = Duration::from_secs(10);
/// A request does not wait longer than this for a connection to be tried again.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// So many answers to Status-Server in a row make a server good again (RFC 3539, 3.4.1).
const ENOUGH_ANSWERS: u8 = 3;
/// So many unanswered in a row make it bad.
pub const ENOUGH_MISSED: u8 = 3;
/// A server that does not know Status-Server is tried again after so long.
const REVIVE: Duration = Duration::from_secs(60);

/// A server.
#[derive(Debug)]
pub struct Peer {
    pub id: ServerId,
    /// The name of its `config realm`.
    pub realm: Arc<str>,
    /// For which realm of identities DNS told it.
    pub nai_realm: Option<Arc<str>>,
    pub server: Server,
    pub secret: Arc<RadiusSecret>,
    pub tls: Tls,
    pub health: Health,
    pub round_trip: Option<u32>,
    pub trouble: Option<Arc<str>>,
    pub dropped: Dropped,
    /// Requests that wait for its answer, or for a way to it.
    pub in_flight: u16,
    pub links: Vec<LinkId>,
    /// Ways that the shell was asked to open.
    pub opening: u8,
    /// Slots of requests that wait for a way to it.
    pub waiting: VecDeque<u16>,
    /// No new connection before this.
    pub retry: Option<Instant>,
    backoff: Duration,
    /// When to ask it whether it answers.
    pub probe_at: Option<Instant>,
    pub unanswered: u8,
    answered: u8,
    /// It has answered a Status-Server before: silence means something.
    pub speaks_status: bool,
    pub heard: Option<Instant>,
    /// Requests in a row that it has not answered.
    pub missed: u8,
    missed_at: Option<Instant>,
    /// Somebody wants to know, until then.
    pub test: Option<Instant>,
}

impl Peer {
    pub fn new(id: ServerId, realm: Arc<str>, server: Server, secret: Arc<RadiusSecret>, tls: Tls) -> Peer {
        Peer {
            id,
            realm,
            nai_realm: None,
            server,
            secret,
            tls,
            health: Health::Unknown,
            round_trip: None,
            trouble: None,
            dropped: Dropped::default(),
            in_flight: 0,
            links: Vec::new(),
            opening: 0,
            waiting: VecDeque::new(),
            retry: None,
            backoff: Duration::ZERO,
            probe_at: None,
            unanswered: 0,
            answered: 0,
            speaks_status: false,
            heard: None,
            missed: 0,
            missed_at: None,
            test: None,
        }
    }

    pub fn is_tls(&self) -> bool {
        self.server.transport == Transport::Radsec
    }

    /// Whether it can have another request.
    pub fn has_room(&self) -> bool {
        self.in_flight < most_requests(self.server.transport)
    }

    /// Whether it can have another way.
    pub fn can_open(&self) -> bool {
        self.links.len() + usize::from(self.opening) < most_links(self.server.transport)
    }

    /// How long nothing can be sent to it.
    pub fn closed_for(&self, now: Instant) -> Duration {
        match self.retry {
            Some(retry) if self.links.is_empty() => retry.saturating_duration_since(now),
            _ => Duration::ZERO,
        }
    }

    /// The lower, the better a choice it is.
    pub fn rank(&self, now: Instant) -> u8 {
        let health = match self.health {
            Health::Up | Health::Unknown => 0,
            Health::Suspect => 1,
            Health::Down => 2,
        };
        health + if self.closed_for(now).is_zero() { 0 } else { 3 }
    }

    /// It has answered a request.
    pub fn answers(&mut self, now: Instant) -> Option<Health> {
        self.is_there(now);
        self.answered = 0;
        self.probe_at = None;
        self.trouble = None;
        self.becomes(Health::Up)
    }

    /// It has answered a Status-Server.
    pub fn answers_status(&mut self, now: Instant) -> Option<Health> {
        self.is_there(now);
        self.speaks_status = true;
        self.answered = self.answered.saturating_add(1);
        match self.health {
            Health::Suspect | Health::Down if self.answered < ENOUGH_ANSWERS => self.becomes(Health::Suspect),
            _ => {
                self.probe_at = None;
                self.trouble = None;
                self.becomes(Health::Up)
            }
        }
    }

    fn is_there(&mut self, now: Instant) {
        self.heard = Some(now);
        (self.missed, self.unanswered) = (0, 0);
        self.backoff = Duration::ZERO;
    }

    /// A connection is open: whoever could not be reached can be, and it has shown who it is.
    pub fn connected(&mut self, now: Instant) -> Option<Health> {
        self.retry = None;
        if self.test.is_some() || matches!(self.health, Health::Suspect | Health::Down) {
            self.probe_at = Some(now);
        }
        if self.is_tls() && self.missed == 0 {
            self.trouble = None;
            self.heard = Some(now);
            return self.becomes(Health::Up);
        }
        None
    }

    /// It has left a request unanswered that was sent then.
    pub fn leaves_unanswered(&mut self, sent: Instant, now: Instant) -> Option<Health> {
        if self.heard.is_some_and(|heard| heard > sent) {
            // It did answer others: this one got lost, or it wants none of it.
            return None;
        }
        self.missed = self.missed.saturating_add(1);
        self.missed_at = Some(now);
        if self.trouble.is_none() {
            let seconds = now.saturating_duration_since(sent).as_secs();
            self.trouble = Some(format!("left a request unanswered for {seconds} s").into());
        }
        if matches!(self.health, Health::Down) {
            return None;
        }
        if self.probe_at.is_none() {
            self.probe_at = Some(now);
        }
        self.becomes(Health::Suspect)
    }

    /// It has left a Status-Server unanswered.
    pub fn leaves_status_unanswered(&mut self, now: Instant) -> Option<Health> {
        self.answered = 0;
        self.unanswered = self.unanswered.saturating_add(1);
        let quiet = self.missed_at.is_none_or(|at| now.saturating_duration_since(at) >= REVIVE);
        if !self.speaks_status && quiet {
            // It may not know Status-Server: only requests can tell, so that one has to go there.
            self.probe_at = None;
            self.unanswered = 0;
            return self.becomes(Health::Unknown);
        }
        let sure = self.speaks_status || self.missed >= ENOUGH_MISSED;
        if self.unanswered >= ENOUGH_MISSED && sure {
            self.trouble = Some("does not answer Status-Server".into());
            return self.becomes(Health::Down);
        }
        match self.health {
            Health::Up | Health::Unknown if self.speaks_status => {
                self.probe_at = self.probe_at.or(Some(now));
                self.becomes(Health::Suspect)
            }
            _ => None,
        }
    }

    /// A connection was lost that had lived for so long; `dice` is what jitter is made of.
    pub fn lost(&mut self, lived: Duration, now: Instant, dice: u32) {
        self.backoff = if lived >= STABLE { BACKOFF_FIRST } else { self.longer() };
        self.wait(now, dice);
    }

    /// It cannot be reached.
    pub fn unreachable(&mut self, why: Arc<str>, now: Instant, dice: u32) -> Option<Health> {
        self.backoff = self.longer();
        self.wait(now, dice);
        self.trouble = Some(why);
        self.answered = 0;
        self.becomes(Health::Down)
    }

    fn longer(&self) -> Duration {
        (self.backoff * 2).clamp(BACKOFF_FIRST, BACKOFF_LAST)
    }

    fn wait(&mut self, now: Instant, dice: u32) {
        self.retry = Some(now + self.backoff + self.backoff / 2 * (dice % 256) / 256);
    }

    /// How long until it is asked again whether it answers.
    pub fn probe_interval(&self, dice: u32) -> Duration {
        let seconds = 10 + 9 * u64::from(self.unanswered.min(2));
        Duration::from_secs(seconds) + Duration::from_millis(u64::from(dice % 2000))
    }

    /// Whether a connection is to be opened though nobody waits for it: to see that it is back.
    pub fn wants_connection(&self) -> bool {
        self.links.is_empty()
            && self.opening == 0
            && (!self.waiting.is_empty()
                || self.test.is_some()
                || (self.is_tls() && matches!(self.health, Health::Suspect | Health::Down)))
    }

    /// Changes its health; what it has become, if it is another.
    pub fn becomes(&mut self, health: Health) -> Option<Health> {
        (std::mem::replace(&mut self.health, health) != health).then_some(health)
    }
}
