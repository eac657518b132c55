//! Requests that others answer: on the way there, and on the way back to the decision.
//!
//! ```text
//! receive ─ checks ─ route ─ forward ──────────── nothing yet (the request is in work)
//!                                 Challenge ───── Send
//! receive_answer ────────────┬──  Accept ─ decide ─ Send, or Commit ─ decide again, store, decide again ─ Send
//! errand (no answer) ────────┴──  Reject, failure ─ Send
//! ```

use super::ask::Ask;
use super::auth::{Verdict, conclude, refuse, reject, remember_and_tell};
use super::{Exchange, Incoming, Next, Origin, admit, eap, request_key};
use crate::config::{Realm, Security, Server, Share, Target};
use crate::decision::event::Method;
use crate::decision::reason::{PeerReason, Reason, Without};
use crate::decision::{Evidence, Grant, Identified, Peer, Refusal, Request};
use crate::mac::MacAddr;
use crate::proxy::rewrite::{self, Terms};
use crate::proxy::{Answer, Failure, LinkId, Order, Output, Received, ServerId, Ticket};
use crate::registry::device::Change;
use crate::secret::RadiusSecret;
use crate::discovery::Want;
use crate::service::eap::Station;
use crate::service::grants::Names;
use crate::service::proxy::route::{self, Route};
use crate::service::proxy::waiting::{Kind, Waiting};
use crate::service::proxy::{self, identity};
use crate::service::{Core, Now, pending};
use crate::wire::eap::Packet as EapPacket;
use crate::wire::nai;
use crate::wire::radius::{AttributeType, Authenticator, Code, Packet};
use std::sync::Arc;
use std::time::Instant;

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
                let next = gave_up(core, &waiting, &failure, now, out);
                core.proxy.waiting.reuse(waiting.datagram);
                return Some(Errand::Answer(waiting.from, next));
            }
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
    response: &[u8],
    datagram: &[u8],
    now: Now,
    out: &mut Vec<u8>,
) -> Result<Next, Ask> {
    if core.config.realms.is_empty() || response.is_empty() {
        return Err(ask);
    }
    let packet = &incoming.packet;
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
        core.proxy.begin_anew(&station);
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
    Ok(forward(core, incoming, ask, realm, Kind::Eap, datagram, now, out))
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
    Ok(forward(core, incoming, ask, realm, kind, datagram, now, out))
}

#[allow(clippy::too_many_arguments)]
fn forward(
    core: &mut Core,
    incoming: &Incoming<'_>,
    ask: Ask,
    realm: &Realm,
    kind: Kind,
    datagram: &[u8],
    now: Now,
    out: &mut Vec<u8>,
) -> Next {
    let station = Station { client: incoming.client.name.clone(), mac: ask.mac, bssid: ask.bssid };
    core.proxy.begin_anew(&station);
    let sent = if would_return(realm, incoming.from) {
        Err(Failure::Loop)
    } else {
        let waiting = Waiting {
            from: incoming.from,
            datagram: core.proxy.waiting.copy(datagram),
            started: incoming.started,
            realm: realm.name.clone(),
            station,
            kind,
        };
        match core.proxy.waiting.put(waiting) {
            Ok(ticket) => find_and_submit(core, incoming, realm, ticket, ask.mac, now).inspect_err(|_| {
                if let Some(waiting) = core.proxy.waiting.take(ticket) {
                    core.proxy.waiting.reuse(waiting.datagram);
                }
            }),
            Err(waiting) => {
                core.proxy.waiting.reuse(waiting.datagram);
                Err(Failure::Busy)
            }
        }
    };
    match sent {
        Ok(()) => Next::Nothing,
        Err(failure) => unanswered(core, incoming, ask, realm, kind, &failure, now, out),
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
    let masked = realm.mac == crate::config::MacShare::Pseudonym;
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
    let is_there =
        |server: &Server| matches!(server.host, crate::config::Host::Address(at) if at.to_canonical() == from);
    let Target::Servers(servers) = &realm.target else { return false };
    !from.is_loopback() && servers.iter().any(is_there)
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
        tracing::debug!("an Accounting-Request was not sent on to {name}: {failure:?}");
    }
}

/// What a server answered to a request for a device, kept until it is decided and stored.
pub(super) struct Got {
    packet: Box<[u8]>,
    server: ServerId,
    authenticator: Authenticator,
    secret: RadiusSecret,
    realm: Arc<str>,
    kind: Kind,
}

impl std::fmt::Debug for Got {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Got").field("realm", &self.realm).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Got {
    fn packet(&self) -> Option<Packet<'_>> {
        Packet::parse(&self.packet).ok()
    }

    fn party(&self) -> Arc<str> {
        self.realm.clone()
    }

    fn faulty(&self, what: impl Into<Arc<str>>) -> Reason {
        Reason::Peer(PeerReason::Faulty { party: self.party(), what: what.into() })
    }

    /// Writes the answer for the NAS.
    fn reply(
        &self,
        core: &mut Core,
        incoming: &Incoming<'_>,
        terms: &Terms<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let packet = self.packet().ok_or("it is no packet")?;
        let answer = Answer { ticket: Ticket(0), packet, server: self.server, authenticator: self.authenticator };
        write(core, incoming, &answer, &self.secret, terms, out)
    }
}

fn write(
    core: &mut Core,
    incoming: &Incoming<'_>,
    answer: &Answer<'_>,
    secret: &RadiusSecret,
    terms: &Terms<'_>,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let salts = core.radius.salts();
    rewrite::reply(answer, secret, &incoming.packet, &incoming.client.secret, terms, salts, out)
        .map_err(|why| why.to_string())
}

/// An answer is there.
fn answered(core: &mut Core, waiting: &Waiting, answer: &Answer<'_>, now: Now, out: &mut Vec<u8>) -> Next {
    let Some(incoming) = admit(core, waiting.from, &waiting.datagram, waiting.started) else { return Next::Nothing };
    let Some(secret) = core.proxy.engine.secret(answer.server) else { return Next::Nothing };
    if answer.packet.code() == Code::ACCESS_CHALLENGE {
        // Nearly all of them: nothing is decided, and nothing is to be remembered.
        let salts = crate::wire::radius::SaltSequence::new(0);
        let (request, client) = (&incoming.packet, &incoming.client.secret);
        if rewrite::reply(answer, secret, request, client, &Terms::Pass, salts, out).is_ok() {
            core.radius.stats.challenges += 1;
            core.radius.duplicates.finish(&request_key(incoming.from, request), out);
            return Next::Send;
        }
    }
    let got = Got {
        packet: answer.packet.octets().into(),
        server: answer.server,
        authenticator: answer.authenticator,
        secret: secret.clone(),
        realm: waiting.realm.clone(),
        kind: waiting.kind,
    };
    let Ok(ask) = read(core, &incoming, &got.realm, got.kind) else { return Next::Nothing };
    match answer.packet.code() {
        Code::ACCESS_ACCEPT => {
            core.proxy.stats.accepted += 1;
            let decided = judge(core, &incoming, &ask, &got, now);
            if changes(core, &ask, &got, &decided, now).is_some() {
                return Next::Commit(Exchange {
                    from: incoming.from,
                    datagram: waiting.datagram.as_slice().into(),
                    proof: None,
                    started: incoming.started,
                    accounting: false,
                    eap: None,
                    proxied: Some(Box::new(got)),
                });
            }
            admit_device(core, &incoming, &ask, &got, decided, now, out);
            Next::Send
        }
        Code::ACCESS_REJECT => {
            core.proxy.stats.refused += 1;
            if let Some(next) = forget_last_good(core, &incoming, &ask, got, waiting, now, out) {
                return next;
            }
            Next::Send
        }
        other => {
            let what = match other {
                Code::ACCESS_CHALLENGE => {
                    "its Access-Challenge does not fit into a packet with the request's Proxy-States".into()
                }
                other => format!("{other} answers no Access-Request"),
            };
            refuse(core, &incoming, &ask, got.faulty(what), now, out)
        }
    }
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

/// What follows from an Access-Accept.
fn judge(core: &Core, incoming: &Incoming<'_>, ask: &Ask, got: &Got, now: Now) -> Result<Grant, Refusal> {
    let device = core.registry.by_mac(ask.mac).map(|device| device.id);
    let refusal = |reason| Err(Refusal { device, reason });
    let Some(realm) = proxy::realm(&core.config, &got.realm).filter(|realm| realm.target != Target::Local) else {
        return refusal(Reason::Peer(PeerReason::RealmGone { party: got.party() }));
    };
    let Some(accept) = got.packet() else { return refusal(got.faulty("it is no packet")) };
    let security = core.config.ssid(&ask.ssid).map(|ssid| ssid.security);
    let wifi_key = got.kind != Kind::Eap;
    if let Some(what) = lacking(&accept, wifi_key, security) {
        return refusal(got.faulty(what));
    }
    let peer = Peer {
        realm,
        identity: identity::of(&accept, &incoming.packet, ask.mac),
        vlan: identity::vlan(&accept),
        session_timeout: accept.find_u32(AttributeType::SESSION_TIMEOUT),
        wifi_key,
    };
    let holder = core.registry.holder(&peer.known_by(), None).filter(|_| !wifi_key);
    let identified = holder.map_or(Identified::Newcomer, |device| Identified::Device(device.id));
    core.decide(&Request { peer: Some(&peer), ..ask.request(Evidence::Eap(identified)) }, now)
}

/// What an Access-Accept lacks to be of use to the NAS.
fn lacking(accept: &Packet<'_>, wifi_key: bool, security: Option<Security>) -> Option<&'static str> {
    if wifi_key {
        let key = accept.find(AttributeType::TUNNEL_PASSWORD);
        return key.is_none().then_some("it let it in without a Wi-Fi key (Tunnel-Password)");
    }
    if accept.find(AttributeType::EAP_MESSAGE).is_none() {
        return Some("it let it in without EAP-Success (EAP-Message)");
    }
    // On a cable the frames are not encrypted, and not every method makes keys.
    if security != Some(Security::Wired) && !rewrite_keys(accept) {
        return Some("it let it in without keys (MS-MPPE-Recv-Key, MS-MPPE-Send-Key)");
    }
    None
}

/// Both keys are there (RFC 2548, 2.4.2 and 2.4.3).
fn rewrite_keys(accept: &Packet<'_>) -> bool {
    let has = |kind: u8| {
        let mut all = accept.find_all(AttributeType::VENDOR_SPECIFIC);
        all.any(|attribute| matches!(attribute.value, [0, 0, 1, 0x37, found, ..] if *found == kind))
    };
    has(crate::wire::radius::MS_MPPE_RECV_KEY) && has(crate::wire::radius::MS_MPPE_SEND_KEY)
}

/// What is to be stored before the device is let in.
fn changes(core: &Core, ask: &Ask, got: &Got, decided: &Result<Grant, Refusal>, now: Now) -> Option<Vec<Change>> {
    let grant = decided.as_ref().ok()?;
    let _ = (core, ask, got, now);
    super::auth::change_of(grant).map(|change| vec![change])
}

/// Decides an Access-Accept once more, with the registry locked.
pub(super) fn settle(core: &mut Core, exchange: Exchange, got: Box<Got>, now: Now, out: &mut Vec<u8>) -> Verdict {
    let Some(incoming) = admit(core, exchange.from, &exchange.datagram, exchange.started) else {
        return Verdict::Nothing;
    };
    let Ok(ask) = read(core, &incoming, &got.realm, got.kind) else { return Verdict::Nothing };
    let decided = judge(core, &incoming, &ask, &got, now);
    let Some(changes) = changes(core, &ask, &got, &decided, now) else {
        // Somebody else was faster, or the administrator.
        admit_device(core, &incoming, &ask, &got, decided, now, out);
        return Verdict::Send;
    };
    let registers = matches!(&decided, Ok(Grant { register: Some(_), .. }));
    let needed = decided.as_ref().is_ok_and(|grant| super::auth::change_of(grant).is_some());
    if registers {
        // It is about to be let in as what it is.
        core.pairing.admit(Some(ask.mac));
    }
    let finish = move |core: &mut Core, stored: bool, now: Now, out: &mut Vec<u8>| {
        let now = core.time.effective(now);
        core.pairing.admit(None);
        let Some(incoming) = admit(core, exchange.from, &exchange.datagram, exchange.started) else { return };
        let decided = match decided {
            Ok(grant) if needed && !stored => Err(Refusal { device: grant.device, reason: Reason::NotStored }),
            Ok(grant) => {
                judge(core, &incoming, &ask, &got, now).and_then(|present| match super::auth::change_of(&present) {
                    // What was stored has been undone meanwhile.
                    Some(_) => Err(Refusal { device: present.device, reason: Reason::ConversationGone }),
                    None => Ok(Grant { reason: grant.reason, ..present }),
                })
            }
            Err(refusal) => Err(refusal),
        };
        admit_device(core, &incoming, &ask, &got, decided, now, out);
    };
    Verdict::Store(changes, Box::new(finish))
}

/// Answers an Access-Accept on our terms.
fn admit_device(
    core: &mut Core,
    incoming: &Incoming<'_>,
    ask: &Ask,
    got: &Got,
    decided: Result<Grant, Refusal>,
    now: Now,
    out: &mut Vec<u8>,
) {
    let newcomer = newcomer(incoming, ask, got, &decided);
    let decided = decided.and_then(|grant| {
        let device = grant.device.and_then(|id| core.registry.get(id));
        // Their own server is told by its own names what the device does.
        let told = proxy::realm(&core.config, &got.realm).is_some_and(|realm| realm.share == Share::All);
        let name = device.map(|device| device.name.clone()).filter(|_| !told);
        let terms = Terms::Ours {
            vlan: grant.vlan,
            session_timeout: grant.session_timeout,
            user_name: name.as_deref(),
            wifi_keys: got.kind != Kind::Eap,
        };
        match got.reply(core, incoming, &terms, out) {
            Ok(()) => Ok(grant),
            Err(why) => Err(Refusal { device: grant.device, reason: got.faulty(why) }),
        }
    });
    match &decided {
        Ok(_) => core.radius.attempts.succeeded(ask.mac),
        Err(_) => reject(core, incoming, out),
    }
    let names = decided.is_ok().then(|| got.packet()).flatten().map(|accept| Names::new(&accept, &incoming.packet));
    remember_and_tell(core, incoming, ask, decided, now, out);
    if let (Some(names), Some(grant)) = (names, core.grants.get_mut((ask.mac, ask.bssid))) {
        grant.names = Some(names.into());
    }
    if let Some(newcomer) = newcomer {
        core.pending.prove(ask.mac, newcomer);
    }
}

/// Somebody whom the administrator may approve.
fn newcomer(
    incoming: &Incoming<'_>,
    ask: &Ask,
    got: &Got,
    decided: &Result<Grant, Refusal>,
) -> Option<pending::Proved> {
    let Err(Refusal { reason: Reason::Peer(PeerReason::NotApproved { .. } | PeerReason::Full { .. }), .. }) = decided
    else {
        return None;
    };
    let identity = identity::of(&got.packet()?, &incoming.packet, ask.mac);
    Some(pending::Proved::Peer { realm: got.party(), identity })
}

fn forget_last_good(
    core: &mut Core,
    incoming: &Incoming<'_>,
    ask: &Ask,
    got: Got,
    waiting: &Waiting,
    now: Now,
    out: &mut Vec<u8>,
) -> Option<Next> {
    let _ = waiting;
    refused(core, incoming, ask, &got, now, out);
    None
}

/// They said no.
fn refused(core: &mut Core, incoming: &Incoming<'_>, ask: &Ask, got: &Got, now: Now, out: &mut Vec<u8>) {
    let party = got.party();
    if let Some(decided) = offer_here(core, ask, got.kind, now) {
        return conclude(core, incoming, ask, Ok(decided), now, out);
    }
    let packet = got.packet();
    let reason = match got.kind {
        Kind::Eap => PeerReason::Refused { party, message: packet.as_ref().map(identity::message).unwrap_or_default() },
        Kind::Address { .. } | Kind::Handshake => PeerReason::Unknown { party },
    };
    let device = core.registry.by_mac(ask.mac).map(|device| device.id);
    // RFC 3579, 2.6.3: EAP-Failure is in it. hostapd would have to make up its own.
    let complete =
        got.kind != Kind::Eap || packet.is_some_and(|packet| packet.find(AttributeType::EAP_MESSAGE).is_some());
    if complete && got.reply(core, incoming, &Terms::Pass, out).is_ok() {
        core.radius.stats.rejects += 1;
    } else {
        reject(core, incoming, out);
    }
    remember_and_tell(core, incoming, ask, Err(Refusal { device, reason: Reason::Peer(reason) }), now, out);
}

/// Keys that wait here for an address that is not known elsewhere either.
fn offer_here(core: &Core, ask: &Ask, kind: Kind, now: Now) -> Option<Grant> {
    let Kind::Address { attempt } = kind else { return None };
    let request = ask.request(Evidence::Address { attempt: attempt.wrapping_add(1) });
    core.decide_here(&request, now).ok()
}

/// The engine has given up on a request.
fn gave_up(core: &mut Core, waiting: &Waiting, failure: &Failure, now: Now, out: &mut Vec<u8>) -> Next {
    let Some(incoming) = admit(core, waiting.from, &waiting.datagram, waiting.started) else { return Next::Nothing };
    let Ok(ask) = read(core, &incoming, &waiting.realm, waiting.kind) else { return Next::Nothing };
    let config = core.config.clone();
    let Some(realm) = proxy::realm(&config, &waiting.realm) else {
        let party = waiting.realm.clone();
        return refuse(core, &incoming, &ask, Reason::Peer(PeerReason::RealmGone { party }), now, out);
    };
    unanswered(core, &incoming, ask, realm, waiting.kind, failure, now, out)
}

/// There is no answer, and there will be none.
#[allow(clippy::too_many_arguments)]
fn unanswered(
    core: &mut Core,
    incoming: &Incoming<'_>,
    ask: Ask,
    realm: &Realm,
    kind: Kind,
    failure: &Failure,
    now: Now,
    out: &mut Vec<u8>,
) -> Next {
    core.proxy.stats.failed += 1;
    let mut without = Without::NotWanted;
    if realm.last_good.is_some() && kind == Kind::Eap {
        without = Without::Eap;
    }
    if let Some(grant) = offer_here(core, &ask, kind, now) {
        conclude(core, incoming, &ask, Ok(grant), now, out);
        return Next::Send;
    }
    refuse(core, incoming, &ask, reason_of(failure, &realm.name, without), now, out)
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
