//! Which servers there are: as the configuration says, and as DNS tells.

use super::super::{LinkId, Output, ServerId};
use super::peer::Peer;
use super::{Engine, Group, Section};
use crate::config::{Realm, Server, Target, Tls, Transport};
use crate::secret::RadiusSecret;
use crate::wire::nai;
use std::sync::Arc;
use std::time::Instant;

/// The secret of RADIUS over TLS (RFC 6614, 2.3).
const RADSEC: &[u8] = b"radsec";
/// Realms whose servers DNS told, at the most; the one that was not used for the longest time gives way.
const MOST_DISCOVERED: usize = 32;
/// Servers that one request can be tried with.
const MOST_SERVERS: usize = super::requests::MOST_TRIED;

impl Engine {
    /// Follows the configuration. What is under way to servers that stay goes on; a server whose secret or TLS settings are others
    /// is another server.
    pub fn configure(&mut self, realms: &[Realm], now: Instant) {
        let before = std::mem::take(&mut self.groups);
        let sections = std::mem::take(&mut self.sections);
        for realm in realms {
            // One object for one secret: it is the hiding of it that is compared.
            let known = sections.iter().find(|section| section.name == realm.name);
            let secret = realm.secret.as_ref().map(|secret| {
                let same = known.and_then(|section| section.secret.as_ref()).filter(|known| known.as_ref() == secret);
                same.map_or_else(|| Arc::new(secret.clone()), Arc::clone)
            });
            let section = Section {
                name: Arc::clone(&realm.name),
                secret,
                tls: realm.tls.clone(),
                discover: realm.target == Target::Discover,
            };
            if let Target::Servers(servers) = &realm.target {
                let group = before.iter().find(|group| group.realm == realm.name && group.nai_realm.is_none());
                self.set_group(&section, None, servers, group.map(|group| group.id), now);
            }
            self.sections.push(section);
        }
        for group in before {
            let section = self.sections.iter().position(|section| section.discover && section.name == group.realm);
            if let (Some(section), Some(nai_realm)) = (section, group.nai_realm) {
                let servers = group.servers.iter().filter_map(|id| self.peer(*id)).map(|peer| peer.server.clone());
                let servers: Vec<Server> = servers.collect();
                let section = self.sections.swap_remove(section);
                self.set_group(&section, Some(nai_realm), &servers, Some(group.id), now);
                self.sections.push(section);
            }
        }
        self.drop_strangers(now);
    }

    /// The servers that DNS tells for a realm of `config realm` with this name, in place of those before (RFC 7585). Empty: none.
    pub fn discovered(&mut self, realm: &str, nai_realm: &str, servers: Vec<Server>, now: Instant) {
        let is_it = |group: &Group| {
            let told = group.nai_realm.as_ref().is_some_and(|told| nai::same(told.as_bytes(), nai_realm.as_bytes()));
            told && *group.realm == *realm
        };
        let before = self.groups.iter().position(is_it).map(|at| self.groups.remove(at));
        let Some(section) = self.sections.iter().position(|section| section.discover && *section.name == *realm) else {
            return self.drop_strangers(now);
        };
        if !servers.is_empty() {
            let told = self.groups.iter().filter(|group| group.nai_realm.is_some());
            if told.clone().count() >= MOST_DISCOVERED
                && let Some(oldest) = told.min_by_key(|group| (self.is_busy(group), group.used)).map(|group| group.id)
            {
                self.groups.retain(|group| group.id != oldest);
            }
            let section = self.sections.swap_remove(section);
            let name = before.as_ref().and_then(|group| group.nai_realm.clone()).unwrap_or_else(|| nai_realm.into());
            self.set_group(&section, Some(name), &servers, before.map(|group| group.id), now);
            self.sections.push(section);
        }
        self.drop_strangers(now);
    }

    /// The group of servers for an identity.
    pub(super) fn group_for(&self, realm: &str, nai_realm: &str) -> Option<usize> {
        self.groups.iter().position(|group| {
            *group.realm == *realm
                && group.nai_realm.as_ref().is_none_or(|told| nai::same(told.as_bytes(), nai_realm.as_bytes()))
        })
    }

    /// Whether requests wait for an answer of its servers.
    fn is_busy(&self, group: &Group) -> bool {
        group.servers.iter().filter_map(|id| self.peer(*id)).any(|peer| peer.in_flight > 0)
    }

    fn set_group(
        &mut self,
        section: &Section,
        nai_realm: Option<Arc<str>>,
        servers: &[Server],
        id: Option<u32>,
        now: Instant,
    ) {
        let mut ids = Vec::with_capacity(servers.len());
        for server in servers.iter().take(MOST_SERVERS) {
            let found = self.server_for(section, nai_realm.as_ref(), server);
            ids.extend(found.filter(|id| !ids.contains(id)));
        }
        let id = id.unwrap_or_else(|| {
            self.last_group = self.last_group.wrapping_add(1);
            self.last_group
        });
        self.groups.push(Group { id, realm: Arc::clone(&section.name), nai_realm, servers: ids, used: now });
    }

    /// The server with these settings, a new one if there is none.
    fn server_for(&mut self, section: &Section, nai_realm: Option<&Arc<str>>, server: &Server) -> Option<ServerId> {
        let (secret, tls) = match server.transport {
            Transport::Udp => (Arc::clone(section.secret.as_ref()?), Tls::default()),
            Transport::Radsec => {
                let radsec = self.radsec.get_or_insert_with(|| Arc::new(RadiusSecret::new(RADSEC)));
                (Arc::clone(radsec), section.tls.clone())
            }
        };
        let same = |peer: &&Peer| {
            // One that DNS tells for two realms has to show a certificate for each.
            let settings = peer.tls == tls && peer.secret == secret && peer.nai_realm.as_ref() == nai_realm;
            settings && peer.server == *server && peer.realm == section.name
        };
        if let Some(peer) = self.peers.iter().find(same) {
            return Some(peer.id);
        }
        // Numbers are not given again before all others were.
        for _ in 0..=u16::MAX {
            self.last_server = self.last_server.wrapping_add(1);
            let id = ServerId(self.last_server);
            if let Err(at) = self.peers.binary_search_by_key(&id, |peer| peer.id) {
                let mut peer = Peer::new(id, Arc::clone(&section.name), server.clone(), secret, tls);
                peer.nai_realm = nai_realm.cloned();
                self.peers.insert(at, peer);
                return Some(id);
            }
        }
        None
    }

    /// Lets go of the servers that are in no group any more.
    fn drop_strangers(&mut self, now: Instant) {
        let known = |groups: &[Group], id| groups.iter().any(|group| group.servers.contains(&id));
        let gone: Vec<ServerId> =
            self.peers.iter().map(|peer| peer.id).filter(|id| !known(&self.groups, *id)).collect();
        for server in gone {
            let Some(peer) = self.peer_mut(server) else { continue };
            let (links, tested) = (std::mem::take(&mut peer.links), peer.test.take().is_some());
            let why: Arc<str> = "it was taken out of the configuration".into();
            let slots: Vec<u16> =
                self.requests.all().filter(|(_, request)| request.server == server).map(|(slot, _)| slot).collect();
            for slot in slots {
                if let Some(request) = self.requests.get_mut(slot) {
                    request.again = true;
                    // A conversation cannot go on, but perhaps the others know of it.
                    request.sticky = false;
                }
                self.shift(slot, now);
            }
            self.outputs.retain(|output| !is_about(output, server, &links));
            links.iter().for_each(|link| self.outputs.push_back(Output::Close(*link)));
            self.links.retain(|link| link.server != server);
            if tested {
                self.outputs.push_back(Output::Probed(server, Err(why)));
            }
            self.peers.retain(|peer| peer.id != server);
        }
    }
}

/// What need not be done any more when a server is gone.
fn is_about(output: &Output, server: ServerId, links: &[LinkId]) -> bool {
    match output {
        Output::Open(id) | Output::Changed(id, _) => *id == server,
        Output::Send(link, _) | Output::Close(link) => links.contains(link),
        Output::Failed(..) | Output::Probed(..) => false,
    }
}
