//! Devices that others vouch for: whom to ask ([`route`]), which requests wait for an answer ([`waiting`]), and what is told
//! of whom ([`pseudonym`]). The way there and back is [`crate::proxy`]'s.

pub mod identity;
pub mod pseudonym;
pub mod revocation;
pub mod route;
pub mod waiting;

use super::eap::Station;
use crate::config::{Config, Realm};
use crate::proxy::{Engine, Failure, Health, ServerId, Ticket};
use crate::secret::PseudonymKey;
use std::collections::VecDeque;
use std::time::Instant;
use waiting::Table;

/// Counters since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests that were sent on.
    pub forwarded: u64,
    /// Access-Accepts that came back.
    pub accepted: u64,
    /// Access-Rejects that came back.
    pub refused: u64,
    /// Requests to which no answer came.
    pub failed: u64,
}

/// The state of all that is asked of others.
#[derive(Default)]
pub struct Proxy {
    /// Servers, and the requests under way.
    pub engine: Engine,
    /// What pseudonyms are made with. `None`: nothing that is kept, and none are made.
    pub pseudonyms: Option<PseudonymKey>,
    /// Counters.
    pub stats: Stats,
    /// The requests of NASes that wait.
    pub(super) waiting: Table,
    /// Those for which no servers were found.
    pub(super) given_up: VecDeque<(Ticket, Failure)>,
}

impl Proxy {
    /// How many requests wait for an answer.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The station is ours to answer now: nobody waits for the answer to its last request any more.
    pub(super) fn begin_anew(&mut self, station: &Station, now: Instant) {
        if let Some(ticket) = self.waiting.of(station) {
            self.cancel(ticket, now);
        }
    }

    /// A request is on its way: nobody waits for the answer to the last one of its station any more.
    pub(super) fn sent(&mut self, ticket: Ticket, now: Instant) {
        if let Some(before) = self.waiting.sent(ticket) {
            self.cancel(before, now);
        }
    }

    fn cancel(&mut self, ticket: Ticket, now: Instant) {
        self.engine.cancel(ticket, now);
        self.forget(ticket);
    }

    /// Nobody waits for this answer any more.
    pub(super) fn forget(&mut self, ticket: Ticket) {
        if let Some(waiting) = self.waiting.take(ticket) {
            self.waiting.reuse(waiting.datagram);
        }
    }
}

/// The `config realm` of this name.
pub fn realm<'a>(config: &'a Config, name: &str) -> Option<&'a Realm> {
    config.realms.iter().find(|realm| &*realm.name == name)
}

/// Says that a server answers again, or does not.
pub(super) fn log_health(core: &super::Core, server: ServerId, health: Health) {
    let Some((realm, address)) = core.proxy.engine.server(server) else { return };
    match health {
        Health::Up => crate::log::info!("{realm}'s server {address} answers"),
        Health::Suspect => crate::log::warn!("{realm}'s server {address} did not answer, and is asked whether it does"),
        Health::Down => {
            crate::log::warn!("{realm}'s server {address} does not answer: others are asked where there are any")
        }
        Health::Unknown => {}
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::{Host, MacShare, Pattern, Placement, Register, Server, Share, Target, Tls, Transport};
    use crate::registry::maker::Admit;
    use crate::secret::RadiusSecret;

    /// A realm with these patterns, as they are written, and one server over UDP; without, it is authenticated here.
    pub(crate) fn realm(name: &str, patterns: &[&str], server: Option<&str>) -> Realm {
        let pattern = |text: &&str| match *text {
            "default" => Pattern::Default,
            text => text.strip_prefix("*.").map_or(Pattern::Exact(text.into()), |realm| Pattern::Below(realm.into())),
        };
        let default = patterns == ["default"];
        let server = server.map(|address| Server {
            transport: Transport::Udp,
            host: Host::Address(address.parse().expect("an address")),
            port: 1812,
        });
        Realm {
            name: name.into(),
            patterns: patterns.iter().map(pattern).collect(),
            target: server.map_or(Target::Local, |server| Target::Servers(vec![server])),
            secret: Some(RadiusSecret::new(b"secret of the servers")),
            tls: Tls::default(),
            profile: Some("iot".into()),
            admit: Admit::All,
            register: if default { Register::No } else { Register::Yes },
            session_timeout: 86_400,
            share: if default { Share::All } else { Share::Needed },
            mac: MacShare::Real,
            placement: Placement::Ours,
            last_good: None,
        }
    }
}
