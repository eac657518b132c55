//! Finding the servers of a realm in DNS (RFC 7585): which realms are looked up, what goes out and what came of it. No sockets,
//! no clock, no randomness of its own.
//!
//! ```text
//! want ── Ready   its servers are known: go on
//!      ├─ Wait    a lookup is under way: Output::Over says when it is over, at most 3 s later
//!      └─ Failed  it was looked up in vain not long ago, and is not asked for again yet
//!
//! poll ── Ask ── answered | silent      (timeout)
//!      └─ Over, Forget
//! ```
//!
//! Answers are kept for their TTL, a minute at least; what DNS does not know is asked for again after ten minutes. A silent
//! DNS is no answer: it is tried again after 10 s, then ever more rarely, and servers that were known stay in use for a day.

mod fuzzing;
mod lookup;
pub mod message;

#[doc(hidden)]
pub use fuzzing::fuzz;
pub use lookup::{DNS_TIMEOUT, Found, SERVICE, SRV_PREFIX, Trouble};

use crate::config::{Pattern, Realm, Server, Target};
use crate::sorted::SortedMap;
use lookup::{Answer, Lookup, Outcome, is_nowhere};
use message::{Name, Question, parse_reply, write_query};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many lookups are under way at most.
pub const LOOKUPS: usize = 32;
/// How many realms are remembered: as many as the engine has servers of. One takes about 500 octets.
pub const REALMS: usize = 32;
/// What DNS does not know is asked for again after this time: BACKOFF_TIME (RFC 7585, 3.4.1).
pub const BACKOFF: Duration = Duration::from_secs(600);
/// When DNS does not answer, it is asked again after this time, and doubled up to [`BACKOFF`]. RFC 7585 waits for ten minutes
/// here, too; but a router whose uplink is not there yet is no reason to keep devices out for so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Servers that were known stay in use for this long after their time, while DNS does not answer.
const STALE: Duration = Duration::from_secs(86_400);

/// Where octets that nobody can foretell come from.
pub type Random<'a> = &'a mut dyn FnMut(&mut [u8]);

/// What is known of a realm's servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// They are known.
    Ready,
    /// They are being looked up.
    Wait,
    /// There are none, or they could not be looked up; in words.
    Failed(Arc<str>),
}

/// What the shell has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Ask a name server, and say [`Discovery::answered`] or [`Discovery::silent`].
    Ask(Ask),
    /// A lookup is over.
    Over(Key, Result<Vec<Found>, Arc<str>>),
    /// A realm is not remembered any more, and its servers are not to be used.
    Forget(Key),
}

/// A question to a name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Its number, for the answer.
    pub serial: u64,
    /// The DNS message.
    pub octets: Vec<u8>,
    /// How long an answer is of use.
    pub until: Instant,
}

/// Which realm: the name of the section, and the realm of the identity in lower case.
pub type Key = (Arc<str>, Arc<str>);

/// What octets from a name server were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The answer.
    Answer,
    /// The beginning of the answer: ask over TCP.
    Truncated,
    /// No answer to this question: go on waiting.
    No,
}

/// Where this host can be reached by others, to find out that a lookup led to itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    /// The addresses of its interfaces.
    pub addresses: Vec<IpAddr>,
    /// Where it waits for RadSec clients.
    pub listen: Vec<SocketAddr>,
}

impl Own {
    fn is(&self, there: SocketAddr) -> bool {
        let listens = |own: &SocketAddr| {
            let all = own.ip().is_unspecified() && self.addresses.contains(&there.ip());
            own.port() == there.port() && (own.ip() == there.ip() || all)
        };
        self.listen.iter().any(listens)
    }
}

#[derive(Debug)]
struct Entry {
    state: State,
    wanted: Instant,
    /// Until when the servers that were found may be used, if some were.
    usable: Option<Instant>,
    /// Where they are, as DNS told with them.
    found: Vec<Found>,
    /// How often in a row DNS did not answer.
    silences: u8,
}

#[derive(Debug)]
enum State {
    /// A lookup is under way, or about to begin.
    Asking,
    /// The servers are known until then.
    Good(Instant),
    /// In vain; not again before.
    Bad(Arc<str>, Instant),
}

#[derive(Debug)]
struct Running {
    key: Key,
    lookup: Lookup,
    queries: Vec<Query>,
}

/// A question that went out.
#[derive(Debug)]
struct Query {
    serial: u64,
    id: u16,
    purpose: Question,
    question: Question,
}

/// The realms that are looked up, and the lookups under way.
#[derive(Debug, Default)]
pub struct Discovery {
    realms: Vec<(Arc<str>, Vec<Pattern>)>,
    entries: SortedMap<Key, Entry>,
    to_begin: VecDeque<(Key, Name)>,
    running: Vec<Running>,
    outputs: VecDeque<Output>,
    own: Own,
    serial: u64,
}

impl Discovery {
    /// Follows the configuration: realms that are not looked up any more are forgotten.
    pub fn configure(&mut self, realms: &[Realm]) {
        let discover = realms.iter().filter(|realm| realm.target == Target::Discover);
        self.realms = discover.map(|realm| (realm.name.clone(), realm.patterns.clone())).collect();
        let realms = &self.realms;
        let outputs = &mut self.outputs;
        self.entries.retain(|key, entry| {
            let keep = covers(realms, key);
            if !keep && entry.usable.is_some() {
                outputs.push_back(Output::Forget(key.clone()));
            }
            if !keep && matches!(entry.state, State::Asking) {
                outputs.push_back(Output::Over(key.clone(), Err("the configuration was changed".into())));
            }
            keep
        });
        self.to_begin.retain(|(key, _)| covers(realms, key));
        self.running.retain(|running| covers(realms, &running.key));
    }

    /// Where this host can be reached now.
    pub fn set_own(&mut self, own: Own) {
        self.own = own;
    }

    /// The servers of a realm are wanted. The realm is in lower case.
    pub fn want(&mut self, section: &Arc<str>, realm: &str, now: Instant) -> Want {
        let key: Key = (section.clone(), realm.into());
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.wanted = now;
            let usable = entry.usable.is_some();
            match &entry.state {
                State::Asking if usable => return Want::Ready,
                State::Asking => return Want::Wait,
                State::Good(until) if now < *until => return Want::Ready,
                State::Bad(_, until) if now < *until && usable => return Want::Ready,
                State::Bad(why, until) if now < *until => return Want::Failed(why.clone()),
                State::Good(_) | State::Bad(..) => {}
            }
        }
        let usable = self.entries.get(&key).is_some_and(|entry| entry.usable.is_some());
        match self.begin(&key, now) {
            Ok(()) if usable => Want::Ready,
            Ok(()) => Want::Wait,
            Err(_) if usable => Want::Ready,
            Err(why) => Want::Failed(why),
        }
    }

    /// Begins a lookup, if it may.
    fn begin(&mut self, key: &Key, now: Instant) -> Result<(), Arc<str>> {
        let (section, realm) = key;
        if !covers(&self.realms, key) {
            return Err(format!("config realm '{section}' looks up no servers of '{realm}'").into());
        }
        let Some(name) = Name::new(realm).filter(|name| name.as_str().contains('.')) else {
            return Err(format!(
                "'{realm}' cannot be looked up: it is no domain name (one with other letters is written xn--...)"
            )
            .into());
        };
        if self.running.len() + self.to_begin.len() >= LOOKUPS {
            return Err(format!("{LOOKUPS} other realms are being looked up: a later attempt will work").into());
        }
        match self.entries.get_mut(key) {
            Some(entry) => entry.state = State::Asking,
            None => {
                self.make_room();
                let entry = Entry { state: State::Asking, wanted: now, usable: None, found: Vec::new(), silences: 0 };
                self.entries.insert(key.clone(), entry);
            }
        }
        self.to_begin.push_back((key.clone(), name));
        Ok(())
    }

    /// Forgets whoever was wanted longest ago: of those without servers first.
    fn make_room(&mut self) {
        if self.entries.len() < REALMS {
            return;
        }
        let idle = self.entries.iter().filter(|(_, entry)| !matches!(entry.state, State::Asking));
        let least = idle.min_by_key(|(_, entry)| (entry.usable.is_some(), entry.wanted)).map(|(key, _)| key.clone());
        if let Some(key) = least
            && let Some(entry) = self.entries.remove(&key)
            && entry.usable.is_some()
        {
            self.outputs.push_back(Output::Forget(key));
        }
    }

    /// True when [`Discovery::poll`] has something.
    pub fn has_work(&self) -> bool {
        !self.outputs.is_empty() || !self.to_begin.is_empty()
    }

    /// What the shell has to do next.
    pub fn poll(&mut self, now: Instant, random: Random<'_>) -> Option<Output> {
        while let Some((key, name)) = self.to_begin.pop_front() {
            let (lookup, question) = Lookup::new(name, now);
            let mut running = Running { key, lookup, queries: Vec::new() };
            self.ask(&mut running, question.clone(), question, &mut *random);
            self.running.push(running);
        }
        self.outputs.pop_front()
    }

    fn ask(&mut self, running: &mut Running, purpose: Question, question: Question, random: Random<'_>) {
        let id = u16::from_be_bytes(draw(random));
        self.serial += 1;
        let mut octets = Vec::with_capacity(64);
        write_query(id, &question, &mut octets);
        self.outputs.push_back(Output::Ask(Ask { serial: self.serial, octets, until: running.lookup.deadline }));
        running.queries.push(Query { serial: self.serial, id, purpose, question });
    }

    /// Octets came from the name server that was asked: over TCP, or in a datagram. They are the answer only if they have the
    /// identifier and the question.
    pub fn answered(&mut self, serial: u64, octets: &[u8], tcp: bool, now: Instant, random: Random<'_>) -> Taken {
        let of_it = |running: &Running| running.queries.iter().any(|query| query.serial == serial);
        // Whoever asked in vain can stop to wait.
        let Some(at) = self.running.iter().position(of_it) else { return Taken::Answer };
        let running = self.running.get(at);
        let query = running.and_then(|running| running.queries.iter().find(|query| query.serial == serial));
        let reply = query.map(|query| parse_reply(octets, query.id, &query.question));
        match reply {
            Some(Ok(reply)) if reply.truncated && !tcp => Taken::Truncated,
            Some(Ok(reply)) => {
                let answer = if reply.truncated { Answer::None } else { Answer::Reply(&reply) };
                self.step(at, serial, &answer, now, random);
                Taken::Answer
            }
            Some(Err(_)) | None => Taken::No,
        }
    }

    /// No name server answered a question.
    pub fn silent(&mut self, serial: u64, now: Instant, random: Random<'_>) {
        let of_it = |running: &Running| running.queries.iter().any(|query| query.serial == serial);
        if let Some(at) = self.running.iter().position(of_it) {
            self.step(at, serial, &Answer::None, now, random);
        }
    }

    fn step(&mut self, at: usize, serial: u64, answer: &Answer<'_>, now: Instant, random: Random<'_>) {
        let mut running = self.running.swap_remove(at);
        let Some(which) = running.queries.iter().position(|query| query.serial == serial) else { return };
        let query = running.queries.swap_remove(which);
        let mut questions = Vec::new();
        let number = || u32::from_be_bytes(draw(random));
        let is_own = |there| self.own.is(there);
        let Running { lookup, .. } = &mut running;
        let outcome = lookup.answered(&query.purpose, &query.question, answer, &mut questions, number, is_own);
        if let Some(outcome) = outcome {
            return self.over(running.key, outcome, now);
        }
        for (purpose, question) in questions {
            self.ask(&mut running, purpose, question, &mut *random);
        }
        self.running.push(running);
    }

    fn over(&mut self, key: Key, outcome: Outcome, now: Instant) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        // Where a realm leads that the configuration names is its business; any other one is chosen by whoever comes.
        let is_named = names(&self.realms, &key);
        let outcome =
            outcome.and_then(|(found, ttl)| if is_named { Ok((found, ttl)) } else { Ok((elsewhere(found)?, ttl)) });
        let result = match outcome {
            Ok((found, ttl)) => {
                entry.found.clone_from(&found);
                let until = now + Duration::from_secs(ttl.into());
                (entry.state, entry.usable, entry.silences) = (State::Good(until), Some(until + STALE), 0);
                Ok(found)
            }
            Err(trouble) => {
                let why = trouble.words(&key.1);
                let wait = if trouble.is_passing() {
                    entry.silences = entry.silences.saturating_add(1);
                    PATIENCE.saturating_mul(1 << (entry.silences - 1).min(6)).min(BACKOFF)
                } else {
                    BACKOFF
                };
                entry.state = State::Bad(why.clone(), now + wait);
                if trouble.is_passing() && entry.usable.is_some_and(|until| now < until) {
                    return;
                }
                (entry.usable, entry.found) = (None, Vec::new());
                Err(why)
            }
        };
        self.outputs.push_back(Output::Over(key, result));
    }

    /// Where a server of a realm is, as DNS told together with its name. Nothing when it is not known (any more).
    pub fn addresses(&self, section: &Arc<str>, realm: &str, server: &Server) -> &[IpAddr] {
        let entry = self.entries.get(&(section.clone(), realm.into()));
        let found = entry.and_then(|entry| entry.found.iter().find(|found| found.server == *server));
        found.map(|found| &found.addresses[..]).unwrap_or_default()
    }

    /// When [`Discovery::timeout`] is to be called at the latest.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.running.iter().map(|running| running.lookup.deadline).min()
    }

    /// Time has passed: lookups that have lasted too long are over.
    pub fn timeout(&mut self, now: Instant) {
        while let Some(at) = self.running.iter().position(|running| running.lookup.deadline <= now) {
            let mut running = self.running.swap_remove(at);
            let outcome = running.lookup.give_up(|there| self.own.is(there));
            self.over(running.key, outcome, now);
        }
    }

    /// Each realm with how long its servers are known for, or why they are not; nothing while it is looked up.
    pub fn status(&self) -> impl Iterator<Item = (&Key, Option<Result<Instant, &Arc<str>>>)> {
        self.entries.iter().map(|(key, entry)| match &entry.state {
            State::Asking => (key, None),
            State::Good(until) => (key, Some(Ok(*until))),
            State::Bad(why, _) => (key, Some(Err(why))),
        })
    }
}

fn draw<const N: usize>(random: &mut dyn FnMut(&mut [u8])) -> [u8; N] {
    let mut octets = [0; N];
    random(&mut octets);
    octets
}

/// True when a section is there that looks up this realm.
fn covers(realms: &[(Arc<str>, Vec<Pattern>)], (section, realm): &Key) -> bool {
    let below = |parent: &str| realm.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'));
    let fits = |pattern: &Pattern| match pattern {
        Pattern::Exact(exact) => exact == realm,
        Pattern::Below(parent) => below(parent),
        Pattern::Default => true,
    };
    realms.iter().any(|(name, patterns)| name == section && patterns.iter().any(fits))
}

/// True when the section names this very realm.
fn names(realms: &[(Arc<str>, Vec<Pattern>)], (section, realm): &Key) -> bool {
    let exact = |pattern: &Pattern| matches!(pattern, Pattern::Exact(exact) if exact == realm);
    realms.iter().any(|(name, patterns)| name == section && patterns.iter().any(exact))
}

/// Without the addresses where no server of others can be, and the servers that have no other.
fn elsewhere(mut found: Vec<Found>) -> Result<Vec<Found>, Trouble> {
    let mut nowhere = None;
    for server in &mut found {
        nowhere = nowhere.or(server.addresses.iter().copied().find(|address| is_nowhere(*address)));
        server.addresses.retain(|address| !is_nowhere(*address));
    }
    found.retain(|server| !server.addresses.is_empty());
    match nowhere {
        Some(nowhere) if found.is_empty() => Err(Trouble::Nowhere(nowhere)),
        _ => Ok(found),
    }
}

#[cfg(test)]
mod tests;
