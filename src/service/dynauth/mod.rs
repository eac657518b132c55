//! Dynamic authorization (RFC 5176): the servers of our realms ask to have a session ended or changed. We are their NAS, for
//! stations of this box and, since we are asked by other access points, for theirs.
//!
//! ```text
//! receive ── dropped (counted): source, authenticator, time, rate
//!    │
//!    ├── the answer at once: NAK, or the one that was given before
//!    └── work: hostapd or the other box's NAS is told; step says when it is done, at most a second later
//! ```
//!
//! A server reaches the sessions that it let in, and no others: to it the others are not there (Error-Cause 503). What is
//! changed is the length of the stay only; VLAN and filters are ours (401). Being authenticated anew means being taken off
//! the air: the device is back within its own reconnect time, and hostapd asks again.

mod answer;
mod fuzzing;
mod request;
mod session;

#[doc(hidden)]
pub use fuzzing::fuzz;

use super::disconnect::Told;
use super::radius::duplicate::{DuplicateCache, Known, RequestKey};
use super::radius::limit::Bucket;
use super::radius::{Origin, Via};
use super::revocation::Why;
use super::sessions::SessionKey;
use super::wake::Wake;
use super::{Core, Now};
use crate::config::{Config, Host, Target, Transport};
use crate::decision::reason::Disconnect;
use crate::mac::MacAddr;
use crate::proxy::LinkId;
use crate::secret::RadiusSecret;
use crate::sorted::SortedMap;
use crate::wire::radius::{
    AttributeType, Code, MessageAuthenticator, Packet, error_cause, verify_message_authenticator,
    verify_request_authenticator,
};
use request::{Change, Wanted};
use session::Place;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many requests can wait for what they ask for to be done.
const WORK: usize = 64;
/// How many sessions one request can be about.
const SESSIONS: usize = 16;
/// An answer is given within this time, whatever it is.
const ANSWER_WITHIN: Duration = Duration::from_millis(950);
/// A request whose time is further from ours is dropped, seconds (RFC 5176, 6.3).
const TIME_WINDOW: u64 = 300;
/// How many stays are remembered that were shortened.
const STAYS: usize = 1024;
/// How many names of servers are remembered, and how many addresses of each.
const RESOLVED: usize = 64;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The section's name of the realm whose server it is.
    pub realm: Arc<str>,
    /// The domain for which DNS told that server: it reaches devices of that only.
    pub nai_realm: Option<Arc<str>>,
    /// Where the answer goes.
    pub reply: Reply,
}

/// Where an answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reply {
    /// Back to where the datagram came from.
    Udp(Origin),
    /// Over our own connection to the server.
    Link(LinkId),
}

impl Reply {
    /// For the duplicate cache. Nothing comes from port 0.
    fn origin(self) -> Origin {
        match self {
            Reply::Udp(origin) => origin,
            Reply::Link(link) => Origin { address: SocketAddr::from(([0; 4], 0)), via: Via::Tls(link.0) },
        }
    }
}

/// Counters since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests that were looked at.
    pub requests: u64,
    /// Answered with ACK.
    pub acks: u64,
    /// Answered with NAK.
    pub naks: u64,
    /// Retransmissions.
    pub duplicates: u64,
    /// Dropped: from nobody who is a server of a realm.
    pub unknown: u64,
    /// Dropped: not signed, or with another secret; or no such request at all.
    pub forged: u64,
    /// Dropped: too old, or from the future.
    pub stale: u64,
    /// Dropped: too many at once.
    pub limited: u64,
}

/// The state of it.
#[derive(Debug, Default)]
pub struct DynAuth {
    /// How the shell learns that there is something to do.
    pub wake: Wake,
    /// What happened so far.
    pub stats: Stats,
    duplicates: DuplicateCache,
    buckets: SortedMap<Arc<str>, Bucket>,
    resolved: SortedMap<Box<str>, Vec<IpAddr>>,
    own: Vec<IpAddr>,
    work: Vec<Work>,
    answers: VecDeque<(Reply, Vec<u8>)>,
    stays: SortedMap<MacAddr, Stay>,
}

/// A request that waits for what it asks for to be done.
#[derive(Debug)]
struct Work {
    key: RequestKey,
    reply: Reply,
    secret: RadiusSecret,
    request: Box<[u8]>,
    about: About,
    /// Stations of this box that are to leave.
    here: Vec<MacAddr>,
    /// Sessions at other boxes that are to end.
    elsewhere: Vec<SessionKey>,
    /// How many have ended.
    done: u16,
    /// Why others have not: the last Error-Cause.
    cause: Option<u32>,
    started: Instant,
}

/// What an event says of a request.
#[derive(Debug, Clone)]
struct About {
    party: Arc<str>,
    change: bool,
    device: Option<Arc<str>>,
    mac: MacAddr,
    ssid: Arc<[u8]>,
    nas: Arc<str>,
}

/// A stay that was shortened.
#[derive(Debug)]
struct Stay {
    realm: Arc<str>,
    set: Instant,
    until: Instant,
}

impl DynAuth {
    /// Follows the configuration.
    pub(super) fn configure(&mut self, config: &Config) {
        let named = |name: &str| config.realms.iter().any(|realm| *realm.name == *name);
        self.buckets.retain(|name, _| named(name));
        self.stays.retain(|_, stay| named(&stay.realm));
        let hosts: Vec<&Arc<str>> = config.realms.iter().flat_map(|realm| udp_names(&realm.target)).collect();
        self.resolved.retain(|name, _| hosts.iter().any(|host| ***host == **name));
    }

    /// The addresses of a server's name have become known, or are others now.
    pub fn resolved(&mut self, name: &str, addresses: &[IpAddr]) {
        if self.resolved.len() < RESOLVED || self.resolved.contains_key(name) {
            let canonical = addresses.iter().take(RESOLVED).map(IpAddr::to_canonical);
            self.resolved.insert(name.into(), canonical.collect());
        }
    }

    /// The addresses of this box, by which it may be named (NAS-IP-Address).
    pub fn set_own(&mut self, own: Vec<IpAddr>) {
        self.own = own;
    }

    /// An answer that could not be given at once.
    pub fn take_answer(&mut self) -> Option<(Reply, Vec<u8>)> {
        self.answers.pop_front()
    }

    /// True while something is under way: [`Core::step_dynauth`] is to be called every few milliseconds.
    pub fn is_busy(&self) -> bool {
        !self.work.is_empty() || !self.answers.is_empty()
    }
}

fn udp_names(target: &Target) -> impl Iterator<Item = &Arc<str>> {
    let servers = match target {
        Target::Servers(servers) => &servers[..],
        Target::Local | Target::Discover => &[],
    };
    servers.iter().filter(|server| server.transport == Transport::Udp).filter_map(|server| match &server.host {
        Host::Name(name) => Some(name),
        Host::Address(_) => None,
    })
}

/// The realms that have a server at this address, reached over UDP, with their secrets.
fn realms_at(core: &Core, address: IpAddr) -> Vec<(Arc<str>, RadiusSecret)> {
    let there = |host: &Host| match host {
        Host::Address(its) => its.to_canonical() == address,
        Host::Name(name) => core.dynauth.resolved.get(&**name).is_some_and(|its| its.contains(&address)),
    };
    let realms = core.config.realms.iter().filter(|realm| match &realm.target {
        Target::Servers(servers) => {
            servers.iter().any(|server| server.transport == Transport::Udp && there(&server.host))
        }
        Target::Local | Target::Discover => false,
    });
    realms.filter_map(|realm| Some((realm.name.clone(), realm.secret.clone()?))).collect()
}

/// Takes a datagram of the port for dynamic authorization. True when the answer is in `out`; another may come later.
pub fn receive_udp(core: &mut Core, from: Origin, datagram: &[u8], now: Now, out: &mut Vec<u8>) -> bool {
    out.clear();
    let address = from.address.ip().to_canonical();
    let realms = realms_at(core, address);
    if realms.is_empty() {
        let unknown = &mut core.dynauth.stats.unknown;
        *unknown += 1;
        if unknown.is_power_of_two() {
            crate::log::warn!(
                "dropped a packet to the port for dynamic authorization from {address}, which is no server of a config realm \
                 (udp://) ({unknown} so far)"
            );
        }
        return false;
    }
    let Ok(packet) = Packet::parse(datagram) else {
        core.dynauth.stats.forged += 1;
        return false;
    };
    // A server of several realms says by its secret for which it speaks; with the same secret, for all of them.
    let signed = realms.iter().filter(|(_, secret)| is_signed(&packet, secret));
    let names: Vec<Arc<str>> = signed.map(|(name, _)| name.clone()).collect();
    let secret = realms.iter().find(|(name, _)| names.first() == Some(name)).map(|(_, secret)| secret);
    let Some(secret) = secret else {
        note_forged(core, &realms.iter().map(|(name, _)| &**name).collect::<Vec<_>>().join(" or "));
        return false;
    };
    receive_signed(core, (&names, None), Reply::Udp(from), secret, &packet, now, out)
}

/// Takes a request that came over our own connection to a server. True when the answer is in `out`, to go back over it; another
/// may come later.
pub fn receive(
    core: &mut Core,
    who: &Upstream,
    secret: &RadiusSecret,
    packet: &[u8],
    now: Now,
    out: &mut Vec<u8>,
) -> bool {
    out.clear();
    let Ok(packet) = Packet::parse(packet) else {
        core.dynauth.stats.forged += 1;
        return false;
    };
    if !is_signed(&packet, secret) {
        note_forged(core, &who.realm);
        return false;
    }
    receive_signed(
        core,
        (std::slice::from_ref(&who.realm), who.nai_realm.as_deref()),
        who.reply,
        secret,
        &packet,
        now,
        out,
    )
}

/// Both authenticators are required, and right (RFC 5176, 2.3 and 3).
fn is_signed(packet: &Packet<'_>, secret: &RadiusSecret) -> bool {
    matches!(packet.code(), Code::DISCONNECT_REQUEST | Code::COA_REQUEST)
        && verify_request_authenticator(packet, secret)
        && verify_message_authenticator(packet, secret, None) == MessageAuthenticator::Valid
}

fn note_forged(core: &mut Core, realm: &str) {
    let forged = &mut core.dynauth.stats.forged;
    *forged += 1;
    if forged.is_power_of_two() {
        crate::log::warn!(
            "dropped a packet from a server of '{realm}': no Disconnect- or CoA-Request that is signed with the secret of this \
             config realm (Message-Authenticator is required): is it the same on both sides? ({forged} so far)"
        );
    }
}

fn receive_signed(
    core: &mut Core,
    (realms, nai_realm): (&[Arc<str>], Option<&str>),
    reply: Reply,
    secret: &RadiusSecret,
    packet: &Packet<'_>,
    now: Now,
    out: &mut Vec<u8>,
) -> bool {
    let now = core.time.effective(now);
    let Some(party) = realms.first() else { return false };
    let key =
        RequestKey { from: reply.origin(), identifier: packet.identifier(), authenticator: *packet.authenticator() };
    match core.dynauth.duplicates.begin(key, now.mono) {
        Known::New => {}
        Known::InWork => {
            core.dynauth.stats.duplicates += 1;
            return false;
        }
        Known::Answered(answer) => {
            out.extend_from_slice(answer);
            core.dynauth.stats.duplicates += 1;
            return true;
        }
    }
    let bucket = core.dynauth.buckets.or_insert_with(party.clone(), || Bucket::new(now.mono));
    if !bucket.take(now.mono) {
        core.dynauth.duplicates.forget(&key);
        let limited = &mut core.dynauth.stats.limited;
        *limited += 1;
        if limited.is_power_of_two() {
            crate::log::warn!("dropped a request of {party}: it sends too many at once ({limited} so far)");
        }
        return false;
    }
    if let Some(seconds) = stale_by(core, packet, now) {
        let stale = &mut core.dynauth.stats.stale;
        *stale += 1;
        if stale.is_power_of_two() {
            crate::log::warn!(
                "dropped a request of {party}: its Event-Timestamp is {seconds} s from our time, {TIME_WINDOW} s are allowed: \
                 do both clocks agree, or was it recorded and sent again? ({stale} so far)"
            );
        }
        return false;
    }
    core.dynauth.stats.requests += 1;
    let request = Received { realms, nai_realm, reply, secret, packet, key };
    let (about, cause) = match core.begin(&request, now) {
        Begun::Under(work) => {
            core.dynauth.work.push(*work);
            core.dynauth.wake.wake();
            return false;
        }
        Begun::Over(about, cause) => (about, cause),
    };
    if core.revocation.has_orders() || !core.disconnects.is_empty() {
        core.dynauth.wake.wake();
    }
    core.conclude(&about, packet, secret, cause, now.mono, now, out);
    core.dynauth.duplicates.finish(&key, out);
    true
}

/// How many seconds a request is too old, or too young.
fn stale_by(core: &Core, packet: &Packet<'_>, now: Now) -> Option<u64> {
    let at = packet.find_u32(AttributeType::EVENT_TIMESTAMP).filter(|_| core.time.is_set())?;
    Some(now.wall.0.abs_diff(i64::from(at))).filter(|seconds| *seconds > TIME_WINDOW)
}

/// A request that is what it seems.
struct Received<'a> {
    realms: &'a [Arc<str>],
    nai_realm: Option<&'a str>,
    reply: Reply,
    secret: &'a RadiusSecret,
    packet: &'a Packet<'a>,
    key: RequestKey,
}

/// What came of looking at a request.
enum Begun {
    /// It is being done.
    Under(Box<Work>),
    /// It is over: done, or not for this Error-Cause.
    Over(About, Option<u32>),
}

impl Core {
    /// Looks at a request, and begins what it asks for.
    fn begin(&mut self, request: &Received<'_>, now: Now) -> Begun {
        let Received { realms, packet, .. } = request;
        let party = realms.first().cloned().unwrap_or_default();
        let mut about = About {
            change: packet.code() == Code::COA_REQUEST,
            device: None,
            // Whom it means, also when the rest of it cannot be read.
            mac: packet
                .find(AttributeType::CALLING_STATION_ID)
                .and_then(|value| MacAddr::parse_bytes(value).ok())
                .unwrap_or(MacAddr([0; 6])),
            ssid: Arc::default(),
            nas: party.clone(),
            party,
        };
        let wanted = match Wanted::read(packet) {
            Ok(wanted) => wanted,
            Err(cause) => return Begun::Over(about, Some(cause)),
        };
        let selected = request::Selected { nai_realm: request.nai_realm, ..wanted.selected };
        let places = match self.places(realms, &selected) {
            Ok(places) if places.len() > SESSIONS => {
                return Begun::Over(about, Some(error_cause::MULTIPLE_SESSION_SELECTION_UNSUPPORTED));
            }
            Ok(places) => places,
            Err(cause) => return Begun::Over(about, Some(cause)),
        };
        if let Some(first) = places.first() {
            about.mac = first.mac;
            about.device = first.device.clone();
            about.ssid = first.ssid.clone();
            about.nas = first.nas.clone();
            about.party = first.realm.clone();
        }
        match wanted.change {
            Change::End => self.take_off_places(request, about, &places, now),
            Change::Stay(seconds) => {
                let cause = self.shorten(&places, seconds, now.mono);
                Begun::Over(about, cause)
            }
            Change::AuthorizeOnly => {
                let cause = error_cause::REQUEST_INITIATED;
                match self.take_off_places(request, about, &places, now) {
                    Begun::Under(work) => Begun::Over(work.about, Some(cause)),
                    over => over,
                }
            }
            Change::Anew if places.iter().all(|place| self.places_devices(&place.realm)) => {
                self.take_off_places(request, about, &places, now)
            }
            // There is nothing in it that could be changed.
            Change::Anew => Begun::Over(about, Some(error_cause::MISSING_ATTRIBUTE)),
        }
    }

    /// True for a realm whose server says where its devices are placed: it can have changed its mind.
    fn places_devices(&self, realm: &str) -> bool {
        let named = self.config.realms.iter().find(|known| *known.name == *realm);
        named.is_some_and(|realm| realm.placement == crate::config::Placement::Server)
    }

    fn take_off_places(&mut self, request: &Received<'_>, about: About, places: &[Place], now: Now) -> Begun {
        if self.dynauth.work.len() >= WORK {
            return Begun::Over(about, Some(error_cause::RESOURCES_UNAVAILABLE));
        }
        let (mut here, mut elsewhere, mut cause) = (Vec::new(), Vec::new(), None);
        let why: Arc<str> = format!("{} asked for that", about.party).into();
        for place in places {
            let name = place.device.clone().unwrap_or_else(|| "a device".into());
            if place.here {
                if !here.contains(&place.mac) {
                    self.take_off_here(place.mac, &name, Why::Upstream, now.mono);
                    here.push(place.mac);
                }
                continue;
            }
            let Some(key) = &place.session else { continue };
            match self.disconnect(key, place.device.clone(), why.clone()) {
                Told::Asked => elsewhere.push(key.clone()),
                // There is no way to that access point.
                Told::Deaf => cause = Some(error_cause::REQUEST_NOT_ROUTABLE),
                Told::Busy => cause = Some(error_cause::RESOURCES_UNAVAILABLE),
                Told::Gone => cause = cause.or(Some(error_cause::SESSION_CONTEXT_NOT_FOUND)),
            }
        }
        if here.is_empty() && elsewhere.is_empty() {
            return Begun::Over(about, cause.or(Some(error_cause::SESSION_CONTEXT_NOT_FOUND)));
        }
        Begun::Under(Box::new(Work {
            key: request.key,
            reply: request.reply,
            secret: request.secret.clone(),
            request: request.packet.octets().into(),
            about,
            here,
            elsewhere,
            done: 0,
            cause,
            started: now.mono,
        }))
    }

    /// Lets sessions end sooner. A longer time than the realm may give is refused; one that is longer than what is left changes
    /// nothing, since the NAS counts that.
    fn shorten(&mut self, places: &[Place], seconds: u32, now: Instant) -> Option<u32> {
        let most = |realm: &str| {
            self.config.realms.iter().find(|known| *known.name == *realm).map_or(0, |known| known.session_timeout)
        };
        if places.iter().any(|place| seconds > most(&place.realm)) {
            return Some(error_cause::ADMINISTRATIVELY_PROHIBITED);
        }
        let until = now + Duration::from_secs(seconds.into());
        for place in places {
            let known = self.dynauth.stays.contains_key(&place.mac);
            if !known && self.dynauth.stays.len() >= STAYS {
                return Some(error_cause::RESOURCES_UNAVAILABLE);
            }
            let stay = Stay { realm: place.realm.clone(), set: now, until };
            self.dynauth.stays.insert(place.mac, stay);
        }
        None
    }

    /// Ends the stays that are over. Whoever was let in anew since has another one.
    pub(super) fn tick_stays(&mut self, now: Now) {
        let due = |stay: &Stay| stay.until <= now.mono;
        let over: Vec<MacAddr> = self.dynauth.stays.iter().filter(|(_, stay)| due(stay)).map(|(mac, _)| *mac).collect();
        for mac in over {
            let Some(stay) = self.dynauth.stays.remove(&mac) else { continue };
            // The address is the real one here, whatever its realm's servers are told.
            let (mut places, mut elsewhere) = (Vec::new(), false);
            self.sessions_of(&[stay.realm], Some(mac), &request::Selected::default(), &mut places, &mut elsewhere);
            for place in places {
                if place.since.is_some_and(|since| since > stay.set) {
                    continue;
                }
                let name = place.device.clone().unwrap_or_else(|| "a device".into());
                if place.here {
                    self.take_off_here(mac, &name, Why::Upstream, now.mono);
                } else if let Some(key) = &place.session {
                    self.disconnect(key, place.device.clone(), Why::Upstream.to_string().into());
                }
            }
        }
    }

    /// The NAS of another box did, or did not do, as it was asked.
    pub(super) fn note_disconnected(&mut self, key: &SessionKey, result: Disconnect) {
        for work in &mut self.dynauth.work {
            let waiting = work.elsewhere.len();
            work.elsewhere.retain(|of_it| of_it != key);
            if work.elsewhere.len() == waiting {
                continue;
            }
            match result {
                Disconnect::Done => work.done += 1,
                Disconnect::Gone => work.cause = work.cause.or(Some(error_cause::SESSION_CONTEXT_NOT_FOUND)),
                Disconnect::Refused(cause) if cause != 0 => work.cause = Some(cause),
                Disconnect::Refused(_) | Disconnect::Silent => work.cause = Some(error_cause::RESOURCES_UNAVAILABLE),
            }
        }
    }

    /// Looks which requests are done, and answers those. To be called every few milliseconds while [`DynAuth::is_busy`], after
    /// the orders were given to hostapd.
    pub fn step_dynauth(&mut self, now: Now) {
        let now = self.time.effective(now);
        let given = !self.revocation.has_orders();
        let mut at = 0;
        while let Some(work) = self.dynauth.work.get(at) {
            let left: Vec<MacAddr> = work.here.iter().filter(|mac| !given || self.on_air(**mac)).copied().collect();
            let late = now.mono.saturating_duration_since(work.started) >= ANSWER_WITHIN;
            let Some(work) = self.dynauth.work.get_mut(at) else { break };
            // The list has at most SESSIONS.
            work.done += (work.here.len() - left.len()) as u16;
            work.here = left;
            let open = !work.here.is_empty() || !work.elsewhere.is_empty();
            if open && !late {
                at += 1;
                continue;
            }
            let work = self.dynauth.work.swap_remove(at);
            let cause = match work.cause {
                _ if open => Some(error_cause::RESOURCES_UNAVAILABLE),
                // Some were gone already, and the others are now.
                Some(error_cause::SESSION_CONTEXT_NOT_FOUND) if work.done > 0 => None,
                cause => cause,
            };
            let mut out = Vec::new();
            if let Ok(packet) = Packet::parse(&work.request) {
                self.conclude(&work.about, &packet, &work.secret, cause, work.started, now, &mut out);
                self.dynauth.duplicates.finish(&work.key, &out);
                self.dynauth.answers.push_back((work.reply, out));
            }
        }
    }
}

#[cfg(test)]
mod tests;
