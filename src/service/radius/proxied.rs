//! Requests that others answer: on the way there, and on the way back to the decision.
//!
//! ```text
//! receive ─ checks ─ route ─ forward ──────────── nothing yet (the request is in work)
//!                                 Challenge ───── Send
//! receive_answer ────────────┬──  Accept ─ decide ─ Send, or Commit ─ decide again, store, decide again ─ Send
//! errand (no answer) ────────┴──  Reject, failure ─ Send
//! ```

mod last_good;
mod verdict;

pub(super) use last_good::resume;
pub(super) use verdict::settle;

use super::ask::Ask;
use super::auth::{conclude, refuse};
use super::{Exchange, Incoming, Next, Origin, admit, eap, request_key};
use crate::config::{Host, MacShare, Realm, Server, Share, Target};
use crate::decision::event::Method;
use crate::decision::reason::{PeerReason, Reason, Without};
use crate::decision::{Evidence, Grant, Identified};
use crate::discovery::Want;
use crate::mac::MacAddr;
use crate::proxy::rewrite::{self, Terms};
use crate::proxy::{Answer, Failure, LinkId, Order, Output, Received, ServerId, Ticket};
use crate::service::eap::Station;
use crate::service::proxy::route::{self, Route};
use crate::service::proxy::waiting::{Kind, Waiting};
use crate::service::{Core, Now, proxy};
use crate::wire::eap::Packet as EapPacket;
use crate::wire::nai;
use crate::wire::radius::{AttributeType, Code, SaltSequence};
use std::sync::Arc;
use std::time::Instant;
use verdict::Got;

/// What came of a packet that a link brought.
#[derive(Debug)]
pub enum Returned {
    /// There is something to be done for this client, as after a datagram of its own.
    Answer(Origin, Next),
    /// It is a request of this server (RFC 5176), verified: for [`crate::service::dynauth`].
    Request(ServerId),
    /// Nothing to do.
    Nothing,
    /// The link cannot be used any more: close it; why, in words.
    Broken(&'static str),
}

/// What the shell has to do for the proxy.
#[derive(Debug)]
pub enum Errand {
    /// Send this packet. The buffer goes back with [`crate::proxy::Engine::reuse`].
    Send(LinkId, Vec<u8>),
    /// Open a way to this server.
    Open(ServerId),
    /// Close this one.
    Close(LinkId),
    /// Nobody has answered this client's request: what is to be done for it, as after a datagram of its own.
    Answer(Origin, Next),
    /// The end of [`crate::proxy::Engine::probe`]: microseconds for the round trip, or why there was no answer.
    Probed(ServerId, Result<u32, Arc<str>>),
}

/// What else belongs to a request that is being worked on.
#[derive(Debug)]
pub(super) enum Elsewhere {
    /// What a server answered to it.
    Got(Got),
    /// None did, and the last known good answer is to be given to this realm's device, if that proves its key.
    Failed(last_good::Failed),
}

/// Takes a packet that came over a link. The answer for the client, if there is one at once, is left in `out`.
pub fn receive_answer(core: &mut Core, link: LinkId, packet: &[u8], now: Now, out: &mut Vec<u8>) -> Returned {
    let now = core.time.effective(now);
    match core.proxy.engine.receive(link, packet, now.mono) {
        Received::Answer(answer) => match core.proxy.waiting.take(answer.ticket) {
            Some(waiting) => {
                let next = answered(core, &waiting, &answer, now, out);
                core.proxy.waiting.reuse(waiting.datagram);
                Returned::Answer(waiting.from, next)
            }
            None => Returned::Nothing,
        },
        Received::Request(server, _) => Returned::Request(server),
        Received::Nothing => Returned::Nothing,
        Received::Broken(why) => Returned::Broken(why),
    }
}

/// What the shell has to do next. To be called until there is nothing: after packets of clients, packets of servers, what
/// happened to links, and [`Core::proxy_timeout`]. An answer for a client is left in `out`.
pub fn errand(core: &mut Core, now: Now, out: &mut Vec<u8>) -> Option<Errand> {
    loop {
        let output = match core.proxy.given_up.pop_front() {
            Some((ticket, failure)) => Output::Failed(ticket, failure),
            None => core.proxy.engine.poll()?,
        };
        match output {
            Output::Send(link, packet) => return Some(Errand::Send(link, packet)),
            Output::Open(server) => return Some(Errand::Open(server)),
            Output::Close(link) => return Some(Errand::Close(link)),
            Output::Failed(ticket, failure) => {
                let Some(waiting) = core.proxy.waiting.take(ticket) else { continue };
                let now = core.time.effective(now);
                let next = gave_up(core, &waiting, failure, now, out);
                core.proxy.waiting.reuse(waiting.datagram);
                return Some(Errand::Answer(waiting.from, next));
            }
            Output::Probed(server, result) => return Some(Errand::Probed(server, result)),
            Output::Changed(server, health) => proxy::log_health(core, server, health),
        }
    }
}

impl Core {
    /// Time has passed for the proxy: to be called when [`crate::proxy::Engine::next_timeout`] says so.
    pub fn proxy_timeout(&mut self, now: Instant) {
        self.proxy.engine.timeout(now, &mut *self.random);
    }
}

/// Sends EAP on whose identity is somebody else's to judge; gives the question back when it is ours.
pub(super) fn divert(
    core: &mut Core,
    incoming: &Incoming<'_>,
    ask: Ask,
    datagram: &[u8],
    now: Now,
    out: &mut Vec<u8>,
) -> Result<Next, Ask> {
    let packet = &incoming.packet;
    // An identity that takes more than one attribute is too long for User-Name, which has to be the same.
    let response = packet.find(AttributeType::EAP_MESSAGE).unwrap_or_default();
    if core.config.realms.is_empty() || response.is_empty() {
        return Err(ask);
    }
    let station = Station { client: incoming.client.name.clone(), mac: ask.mac, bssid: ask.bssid };
    let state = packet.find(AttributeType::STATE);
    let begins = eap::is_identity(response);
    if !begins && state.is_some_and(|state| core.eap.has(state, &station)) {
        return Err(ask);
    }
    let user_name = packet.find(AttributeType::USER_NAME).unwrap_or_default();
    let identity = if begins { EapPacket::parse(response).map_or(user_name, |eap| eap.data()) } else { user_name };
    let config = core.config.clone();
    let certificates = core.pki.trust().knows_strangers();
    let route = route::route(identity, ask.mac, &config, &core.registry, certificates);
    if route == Route::Local {
        core.proxy.begin_anew(&station, now.mono);
        return Err(ask);
    }
    if begins || state.is_none() {
        if let Some(reason) = eap::limited(core, incoming, &ask, now) {
            return Ok(refuse(core, incoming, &ask, reason, now, out));
        }
        if identity != user_name {
            // RFC 3579, 2.1: the NAS copies it. What is routed and what is forwarded must be one.
            let what = "User-Name is not the identity that the device told with EAP".into();
            return Ok(refuse(core, incoming, &ask, Reason::BadRequest { what }, now, out));
        }
        eap::begin_anew(core, &station, now);
    }
    let realm = match route {
        Route::Servers(realm) => realm,
        Route::Nowhere | Route::Local => {
            let realm = String::from_utf8_lossy(nai::realm(identity).unwrap_or_default()).into();
            return Ok(refuse(core, incoming, &ask, Reason::Peer(PeerReason::NoSuchRealm { realm }), now, out));
        }
    };
    if begins || state.is_none() {
        let request = ask.request(Evidence::Eap(Identified::Newcomer));
        if let Err(refusal) = core.may_ask(&request, realm, now) {
            conclude(core, incoming, &ask, Err(refusal), now, out);
            return Ok(Next::Send);
        }
    }
    Ok(forward(core, incoming, (ask, station), realm, Kind::Eap, datagram, now, out))
}

/// Sends a request for a Wi-Fi key on that nobody knows here, if there is somebody to ask; gives the question back if not.
pub(super) fn ask_elsewhere(
    core: &mut Core,
    incoming: &Incoming<'_>,
    ask: Ask,
    kind: Kind,
    datagram: &[u8],
    now: Now,
    out: &mut Vec<u8>,
) -> Result<Next, Ask> {
    let config = core.config.clone();
    let Some(realm) = route::default_of(&config).filter(|realm| realm.target != Target::Local) else {
        return Err(ask);
    };
    if core.registry.knows(ask.mac) || core.registry.is_ignored(ask.mac) {
        return Err(ask);
    }
    let (mac, mut ask) = (ask.mac, ask);
    if let Some(limits) = &realm.last_good
        && let Some(failure) = last_good::failing(core, realm, kind)
    {
        let failed = last_good::Failed { realm: realm.name.clone(), failure, asked: false };
        match last_good::answer(core, incoming, datagram, ask, (realm, limits), failed, now, out) {
            Ok(next) => return Ok(next),
            Err((back, _)) => ask = back,
        }
    }
    let station = Station { client: incoming.client.name.clone(), mac, bssid: ask.bssid };
    Ok(forward(core, incoming, (ask, station), realm, kind, datagram, now, out))
}

#[allow(clippy::too_many_arguments)]
fn forward(
    core: &mut Core,
    incoming: &Incoming<'_>,
    (ask, station): (Ask, Station),
    realm: &Realm,
    kind: Kind,
    datagram: &[u8],
    now: Now,
    out: &mut Vec<u8>,
) -> Next {
    if core.proxy.waiting.has(&station, datagram) {
        // Sent again, and forgotten by the duplicate cache, which keeps 1024.
        return Next::Nothing;
    }
    // What goes in a circle must not take the place of what it comes from: that one still has to be answered.
    let sent = if would_return(realm, incoming.from) {
        Err(Failure::Loop)
    } else {
        let waiting = Waiting {
            from: incoming.from,
            datagram: core.proxy.waiting.copy(datagram),
            started: incoming.started,
            realm: realm.name.clone(),
            own: realm.share == Share::All,
            station,
            kind,
        };
        match core.proxy.waiting.put(waiting) {
            Some(ticket) => match find_and_submit(core, incoming, realm, ticket, ask.mac, now) {
                Ok(()) => {
                    core.proxy.sent(ticket, now.mono);
                    Ok(())
                }
                Err(failure) => {
                    core.proxy.forget(ticket);
                    Err(failure)
                }
            },
            None => Err(Failure::Busy),
        }
    };
    match sent {
        Ok(()) => Next::Nothing,
        Err(failure) => unanswered(core, incoming, datagram, ask, realm, kind, failure, now, out),
    }
}

/// Sends a request on, once it is known to which servers.
fn find_and_submit(
    core: &mut Core,
    incoming: &Incoming<'_>,
    realm: &Realm,
    ticket: Ticket,
    mac: MacAddr,
    now: Now,
) -> Result<(), Failure> {
    if realm.target == Target::Discover {
        match core.find_servers(realm, nai_realm(incoming), ticket, now) {
            Want::Ready => {}
            Want::Wait => return Ok(()),
            Want::Failed(why) => return Err(Failure::Unreachable { servers: 0, why }),
        }
    }
    submit(core, incoming, realm, ticket, Some(mac), now)
}

/// A lookup is over: sends on what waits for it, or gives it up with the next errand.
pub(in crate::service) fn servers_found(core: &mut Core, ticket: Ticket, found: &Result<(), Arc<str>>, now: Now) {
    let Some(waiting) = core.proxy.waiting.get(ticket) else { return };
    let (from, started, mac) = (waiting.from, waiting.started, waiting.station.mac);
    let (name, datagram) = (waiting.realm.clone(), waiting.datagram.clone());
    let config = core.config.clone();
    let sent = match (found, admit(core, from, &datagram, started), proxy::realm(&config, &name)) {
        (Ok(()), Some(incoming), Some(realm)) => submit(core, &incoming, realm, ticket, Some(mac), now),
        (Err(why), ..) => Err(Failure::Unreachable { servers: 0, why: why.clone() }),
        // Whoever gives it up says what is missing.
        (Ok(()), ..) => Err(Failure::Busy),
    };
    if let Err(failure) = sent {
        core.proxy.given_up.push_back((ticket, failure));
    }
}

/// The realm of the identity that a request names.
fn nai_realm<'a>(incoming: &Incoming<'a>) -> &'a str {
    let user_name = incoming.packet.find(AttributeType::USER_NAME).unwrap_or_default();
    nai::realm(user_name).and_then(|realm| std::str::from_utf8(realm).ok()).unwrap_or_default()
}

fn submit(
    core: &mut Core,
    incoming: &Incoming<'_>,
    realm: &Realm,
    ticket: Ticket,
    mac: Option<MacAddr>,
    now: Now,
) -> Result<(), Failure> {
    let masked = realm.mac == MacShare::Pseudonym;
    if masked {
        core.ensure_pseudonyms();
    }
    let pseudonym = mac.filter(|_| masked).map(|mac| core.pseudonym(&realm.name, mac));
    let order = Order {
        realm: &realm.name,
        nai_realm: nai_realm(incoming),
        request: incoming.packet,
        secret: &incoming.client.secret,
        share: realm.share,
        pseudonym,
        nas_identifier: &core.config.eap.server_name,
    };
    core.proxy.stats.forwarded += 1;
    core.proxy.engine.submit(ticket, &order, now.mono, &mut *core.random)
}

/// A request must not go back to where it came from: that proxy has its servers here. On one host there may be both.
fn would_return(realm: &Realm, from: Origin) -> bool {
    let from = from.address.ip().to_canonical();
    let is_there = |server: &Server| matches!(server.host, Host::Address(at) if at.to_canonical() == from);
    let Target::Servers(servers) = &realm.target else { return false };
    !from.is_loopback() && servers.iter().any(is_there)
}

/// Asks a server without waiting for the answer, which tells that it is there again.
fn ask_unattended(core: &mut Core, incoming: &Incoming<'_>, realm: &Realm, mac: MacAddr, now: Now) {
    let ticket = core.proxy.waiting.unattended();
    let _ = submit(core, incoming, realm, ticket, Some(mac), now);
}

/// Sends a report of a session on to the server that let it in, if it is to know all; it is acknowledged here.
pub(super) fn account(core: &mut Core, incoming: &Incoming<'_>, name: &str, mac: Option<MacAddr>, now: Now) {
    let config = core.config.clone();
    let Some(realm) = proxy::realm(&config, name).filter(|realm| realm.share == Share::All) else { return };
    if realm.target == Target::Local || would_return(realm, incoming.from) {
        return;
    }
    let ticket = core.proxy.waiting.unattended();
    if let Err(failure) = submit(core, incoming, realm, ticket, mac, now) {
        crate::log::debug!("an Accounting-Request was not sent on to {name}: {failure:?}");
    }
}

/// An answer is there.
fn answered(core: &mut Core, waiting: &Waiting, answer: &Answer<'_>, now: Now, out: &mut Vec<u8>) -> Next {
    let Some(incoming) = admit(core, waiting.from, &waiting.datagram, waiting.started) else { return Next::Nothing };
    let Some(secret) = core.proxy.engine.secret(answer.server) else { return Next::Nothing };
    let code = answer.packet.code();
    if code == Code::ACCESS_CHALLENGE && waiting.kind == Kind::Eap {
        // Nearly all of them: nothing is decided, nothing is hidden in it, and nothing is to be remembered.
        let (request, client, salts) = (&incoming.packet, &incoming.client.secret, SaltSequence::new(0));
        if rewrite::reply(answer, secret, request, client, &back(waiting.own), salts, out).is_ok() {
            core.radius.stats.challenges += 1;
            core.radius.duplicates.finish(&request_key(incoming.from, request), out);
            return Next::Send;
        }
    }
    let got = Got::new(answer, secret, waiting);
    let Ok(ask) = read(core, &incoming, &waiting.realm, waiting.kind) else { return Next::Nothing };
    match code {
        Code::ACCESS_ACCEPT | Code::ACCESS_REJECT => {
            let stats = &mut core.proxy.stats;
            let count = if code == Code::ACCESS_ACCEPT { &mut stats.accepted } else { &mut stats.refused };
            *count += 1;
            match verdict::of(core, &incoming, &ask, &got, now, out) {
                verdict::Step::Told => Next::Send,
                verdict::Step::Store => Next::Commit(exchange(&incoming, &waiting.datagram, Elsewhere::Got(got))),
            }
        }
        other => {
            let what = match other {
                Code::ACCESS_CHALLENGE if waiting.kind != Kind::Eap => {
                    "it asks something back (Access-Challenge), and to that a Wi-Fi key has no answer".into()
                }
                Code::ACCESS_CHALLENGE => {
                    "its Access-Challenge does not fit into a packet with the request's Proxy-States".into()
                }
                other => format!("{other} answers no Access-Request"),
            };
            refuse(core, &incoming, &ask, got.faulty(what), now, out)
        }
    }
}

fn exchange(incoming: &Incoming<'_>, datagram: &[u8], elsewhere: Elsewhere) -> Exchange {
    Exchange {
        from: incoming.from,
        datagram: datagram.into(),
        proof: None,
        started: incoming.started,
        accounting: false,
        eap: None,
        elsewhere: Some(Box::new(elsewhere)),
    }
}

/// What of a Challenge or a Reject goes back: all of it from a server of our own.
fn back(own: bool) -> Terms<'static> {
    if own {
        return Terms::Pass;
    }
    Terms::Ours { vlan: None, session_timeout: None, user_name: None, wifi_keys: false }
}

/// The question once more, with how it was asked as far as it could be seen.
fn read(core: &Core, incoming: &Incoming<'_>, party: &Arc<str>, kind: Kind) -> Result<Ask, super::ask::AskError> {
    let mut ask = Ask::read(&incoming.packet, &core.config)?;
    if kind == Kind::Eap {
        let eap = incoming.packet.eap_message().unwrap_or_default();
        let kind = EapPacket::parse(&eap).ok().and_then(|packet| packet.kind());
        let name = kind.filter(|kind| kind.is_method()).and_then(|kind| kind.name()).unwrap_or("EAP");
        ask.method = Method::Peer { name, party: party.clone() };
    }
    Ok(ask)
}

/// Keys that wait here for an address that is not known elsewhere either.
fn offer_here(core: &Core, ask: &Ask, kind: Kind, now: Now) -> Option<Grant> {
    let Kind::Address { attempt } = kind else { return None };
    let request = ask.request(Evidence::Address { attempt: attempt.wrapping_add(1) });
    core.decide_here(&request, now).ok()
}

/// The engine has given up on a request.
fn gave_up(core: &mut Core, waiting: &Waiting, failure: Failure, now: Now, out: &mut Vec<u8>) -> Next {
    let Some(incoming) = admit(core, waiting.from, &waiting.datagram, waiting.started) else { return Next::Nothing };
    let Ok(ask) = read(core, &incoming, &waiting.realm, waiting.kind) else { return Next::Nothing };
    let config = core.config.clone();
    let Some(realm) = proxy::realm(&config, &waiting.realm) else {
        let party = waiting.realm.clone();
        return refuse(core, &incoming, &ask, Reason::Peer(PeerReason::RealmGone { party }), now, out);
    };
    unanswered(core, &incoming, &waiting.datagram, ask, realm, waiting.kind, failure, now, out)
}

/// There is no answer, and there will be none.
#[allow(clippy::too_many_arguments)]
fn unanswered(
    core: &mut Core,
    incoming: &Incoming<'_>,
    datagram: &[u8],
    ask: Ask,
    realm: &Realm,
    kind: Kind,
    failure: Failure,
    now: Now,
    out: &mut Vec<u8>,
) -> Next {
    core.proxy.stats.failed += 1;
    // What makes no sense to ask has no answer that was good once.
    let nobody = matches!(failure, Failure::Silent { .. } | Failure::Unreachable { .. } | Failure::Busy);
    let (ask, without) = match realm.last_good.as_ref().filter(|_| nobody) {
        None => (ask, Without::NotWanted),
        Some(_) if kind == Kind::Eap => (ask, Without::Eap),
        Some(limits) => {
            let failed = last_good::Failed { realm: realm.name.clone(), failure: failure.clone(), asked: true };
            match last_good::answer(core, incoming, datagram, ask, (realm, limits), failed, now, out) {
                Ok(next) => return next,
                Err(without) => without,
            }
        }
    };
    if let Some(grant) = offer_here(core, &ask, kind, now) {
        conclude(core, incoming, &ask, Ok(grant), now, out);
        return Next::Send;
    }
    refuse(core, incoming, &ask, reason_of(&failure, &realm.name, without), now, out)
}

fn reason_of(failure: &Failure, party: &Arc<str>, without: Without) -> Reason {
    let party = party.clone();
    Reason::Peer(match failure {
        Failure::Silent { seconds, servers } => {
            PeerReason::Silent { party, seconds: *seconds, servers: *servers, without }
        }
        Failure::Unreachable { servers, why } => {
            PeerReason::Unreachable { party, servers: *servers, why: why.clone(), without }
        }
        Failure::Busy => PeerReason::Busy { party },
        Failure::Loop => PeerReason::Loop { party },
        Failure::TooLong => {
            let what = "the request does not fit into a packet with what has to be added on the way".into();
            return Reason::BadRequest { what };
        }
    })
}
