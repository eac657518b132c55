//! Looking up the servers of realms in DNS: requests wait for it, and the engine learns what came of it.

use super::proxy::waiting::WAITING;
use super::radius;
use super::wake::Wake;
use super::{Core, Now};
use crate::config::{Realm, Server};
use crate::discovery::{Ask, Discovery, Found, Key, Output, Own, Taken, Want};
use crate::proxy::Ticket;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// How many requests wait for lookups, those included that nobody waits for any more.
const HELD: usize = 2 * WAITING;

/// The lookups, and who waits for them.
#[derive(Debug, Default)]
pub struct Discover {
    /// How the shell learns that there is something to do.
    pub wake: Wake,
    lookups: Discovery,
    held: Vec<(Key, Ticket)>,
}

impl Discover {
    /// Follows the configuration.
    pub(super) fn configure(&mut self, realms: &[Realm]) {
        self.lookups.configure(realms);
        if self.lookups.has_work() {
            self.wake.wake();
        }
    }

    /// Where this host can be reached now.
    pub fn set_own(&mut self, own: Own) {
        self.lookups.set_own(own);
    }

    /// Has the servers of a realm (in lower case) looked up, if they are not known: for a test, no request waits for it.
    pub fn look_up(&mut self, section: &Arc<str>, nai_realm: &str, now: Instant) -> Want {
        let want = self.lookups.want(section, nai_realm, now);
        if self.lookups.has_work() {
            self.wake.wake();
        }
        want
    }

    /// Where a server of a realm is, as DNS told together with its name. Nothing when it is not known (any more).
    pub fn addresses(&self, section: &Arc<str>, nai_realm: &str, server: &Server) -> &[IpAddr] {
        self.lookups.addresses(section, nai_realm, server)
    }

    /// When [`Core::discovery_timeout`] is to be called at the latest.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.lookups.next_timeout()
    }

    /// Each realm that was looked up: the section's name and the realm, and until when its servers are known, or why they are
    /// not; nothing while it is looked up.
    pub fn status(&self) -> impl Iterator<Item = (&Key, Option<Result<Instant, &Arc<str>>>)> {
        self.lookups.status()
    }
}

impl Core {
    /// The servers of a realm that DNS tells are wanted for a request; while they are looked up, it is held.
    pub(super) fn find_servers(&mut self, realm: &Realm, nai_realm: &str, ticket: Ticket, now: Now) -> Want {
        let Discover { wake, lookups, held } = &mut self.discovery;
        let nai_realm = nai_realm.to_ascii_lowercase();
        let mut want = lookups.want(&realm.name, &nai_realm, now.mono);
        if want == Want::Wait {
            if held.len() < HELD {
                held.push(((realm.name.clone(), nai_realm.into()), ticket));
            } else {
                want = Want::Failed("too many requests wait for DNS: a later attempt will work".into());
            }
        }
        if lookups.has_work() {
            wake.wake();
        }
        want
    }

    /// The next question to a name server. To be called until there is none, after everything that has to do with lookups;
    /// afterwards the proxy may have errands.
    pub fn discovery_poll(&mut self, now: Now) -> Option<Ask> {
        loop {
            match self.discovery.lookups.poll(now.mono, &mut *self.random)? {
                Output::Ask(ask) => return Some(ask),
                Output::Over(key, found) => self.found(key, found, now),
                Output::Forget((section, realm)) => {
                    self.proxy.engine.discovered(&section, &realm, Vec::new(), now.mono);
                }
            }
        }
    }

    fn found(&mut self, key: Key, found: Result<Vec<Found>, Arc<str>>, now: Now) {
        let (section, realm) = &key;
        let servers = match &found {
            Ok(found) => {
                let names: Vec<String> = found.iter().map(|found| found.server.to_string()).collect();
                crate::log::info!("{section}'s servers for '{realm}', as DNS tells: {}", names.join(", "));
                found.iter().map(|found| found.server.clone()).collect()
            }
            Err(why) => {
                crate::log::warn!("{section} has no servers: {why}");
                Vec::new()
            }
        };
        self.proxy.engine.discovered(section, realm, servers, now.mono);
        let result = found.map(|_| ());
        let held = std::mem::take(&mut self.discovery.held);
        let (waiting, others) = held.into_iter().partition(|(wanted, _)| *wanted == key);
        self.discovery.held = others;
        for (_, ticket) in waiting {
            radius::servers_found(self, ticket, &result, now);
        }
    }

    /// Octets came from a name server that was asked.
    pub fn discovery_answered(&mut self, serial: u64, octets: &[u8], tcp: bool, now: Now) -> Taken {
        let taken = self.discovery.lookups.answered(serial, octets, tcp, now.mono, &mut *self.random);
        self.discovery.wake.wake();
        taken
    }

    /// No name server answered a question.
    pub fn discovery_silent(&mut self, serial: u64, now: Now) {
        self.discovery.lookups.silent(serial, now.mono, &mut *self.random);
        self.discovery.wake.wake();
    }

    /// Time has passed for lookups.
    pub fn discovery_timeout(&mut self, now: Now) {
        self.discovery.lookups.timeout(now.mono);
    }
}
