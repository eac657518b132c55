//! What follows from an Access-Accept or -Reject of somebody else.

use super::super::ask::Ask;
use super::super::auth::{Verdict, change_of, conclude, reject, remember_and_tell};
use super::super::{Exchange, Incoming, admit};
use super::{Elsewhere, back, last_good, offer_here, read};
use crate::config::{Security, Share, Target};
use crate::decision::reason::{PeerReason, Reason};
use crate::decision::{Evidence, Grant, Identified, Peer, Refusal, Request};
use crate::proxy::rewrite::{self, Terms};
use crate::proxy::{Answer, ServerId, Ticket};
use crate::registry::device::Change;
use crate::secret::RadiusSecret;
use crate::service::grants::Vouched;
use crate::service::proxy::waiting::{Kind, Waiting};
use crate::service::proxy::{self, identity};
use crate::service::{Core, Now, pending};
use crate::wire::radius::{AttributeType, Authenticator, Code, MS_MPPE_RECV_KEY, MS_MPPE_SEND_KEY, Packet};
use std::sync::Arc;

/// What a server answered to a request for a device, until it is decided and stored.
pub(in crate::service::radius) struct Got {
    packet: Box<[u8]>,
    server: ServerId,
    authenticator: Authenticator,
    secret: RadiusSecret,
    realm: Arc<str>,
    own: bool,
    kind: Kind,
}

impl std::fmt::Debug for Got {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Got").field("realm", &self.realm).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What is to be done.
pub(super) enum Step {
    /// The answer is written.
    Told,
    /// Something is to be stored first: see [`settle`].
    Store,
}

impl Got {
    pub(super) fn new(answer: &Answer<'_>, secret: &RadiusSecret, waiting: &Waiting) -> Got {
        Got {
            packet: answer.packet.octets().into(),
            server: answer.server,
            authenticator: answer.authenticator,
            secret: secret.clone(),
            realm: waiting.realm.clone(),
            own: waiting.own,
            kind: waiting.kind,
        }
    }

    pub(super) fn packet(&self) -> Option<Packet<'_>> {
        Packet::parse(&self.packet).ok()
    }

    /// What hides the keys in it.
    pub(super) fn hidden_by(&self) -> (&RadiusSecret, &Authenticator) {
        (&self.secret, &self.authenticator)
    }

    fn party(&self) -> Arc<str> {
        self.realm.clone()
    }

    pub(super) fn faulty(&self, what: impl Into<Arc<str>>) -> Reason {
        Reason::Peer(PeerReason::Faulty { party: self.party(), what: what.into() })
    }

    /// What the server knows the session by.
    fn vouched(&self, request: &Packet<'_>) -> Vouched {
        let accept = self.packet();
        let said = |kind| accept.and_then(|accept| accept.find(kind)).map(Box::from);
        Vouched {
            realm: self.party(),
            user_name: request.find(AttributeType::USER_NAME).unwrap_or_default().into(),
            accepted_name: said(AttributeType::USER_NAME),
            cui: said(AttributeType::CHARGEABLE_USER_IDENTITY),
            class: said(AttributeType::CLASS),
        }
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
        let (request, client, salts) = (&incoming.packet, &incoming.client.secret, core.radius.salts());
        rewrite::reply(&answer, &self.secret, request, client, terms, salts, out).map_err(|why| why.to_string())
    }
}

/// Answers the NAS, unless something is to be stored first.
pub(super) fn of(core: &mut Core, incoming: &Incoming<'_>, ask: &Ask, got: &Got, now: Now, out: &mut Vec<u8>) -> Step {
    let Some(decided) = accepted(core, incoming, ask, got, now) else {
        if last_good::to_forget(core, ask, &got.realm, got.kind).is_some() {
            return Step::Store;
        }
        refused(core, incoming, ask, got, now, out);
        return Step::Told;
    };
    if !changes(core, ask, got, &decided, now).is_empty() {
        return Step::Store;
    }
    tell(core, incoming, ask, got, decided, now, out);
    Step::Told
}

/// What follows from an Access-Accept; nothing if it is a Reject.
fn accepted(core: &Core, incoming: &Incoming<'_>, ask: &Ask, got: &Got, now: Now) -> Option<Result<Grant, Refusal>> {
    let packet = got.packet().filter(|packet| packet.code() == Code::ACCESS_ACCEPT)?;
    Some(judge(core, incoming, ask, got, &packet, now))
}

fn judge(
    core: &Core,
    incoming: &Incoming<'_>,
    ask: &Ask,
    got: &Got,
    accept: &Packet<'_>,
    now: Now,
) -> Result<Grant, Refusal> {
    let device = core.registry.by_mac(ask.mac).map(|device| device.id);
    let refusal = |reason| Err(Refusal { device, reason });
    let Some(realm) = proxy::realm(&core.config, &got.realm).filter(|realm| realm.target != Target::Local) else {
        return refusal(Reason::Peer(PeerReason::RealmGone { party: got.party() }));
    };
    let security = core.config.ssid(&ask.ssid).map(|ssid| ssid.security);
    let wifi_key = got.kind != Kind::Eap;
    if let Some(what) = lacking(accept, wifi_key, security) {
        return refusal(got.faulty(what));
    }
    let who = identity::who(&core.registry, realm, accept, &incoming.packet, ask.mac);
    let peer = Peer {
        realm,
        identity: who.identity,
        claimed: who.claimed,
        vlan: identity::vlan(accept),
        session_timeout: accept.find_u32(AttributeType::SESSION_TIMEOUT),
        wifi_key,
    };
    // A Wi-Fi key says nothing of who it is.
    let identified = who.device.filter(|_| !wifi_key).map_or(Identified::Newcomer, Identified::Device);
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
    if security != Some(Security::Wired) && !has_mppe_keys(accept) {
        return Some("it let it in without keys (MS-MPPE-Recv-Key, MS-MPPE-Send-Key)");
    }
    None
}

/// Both keys are there (RFC 2548, 2.4.2 and 2.4.3).
fn has_mppe_keys(accept: &Packet<'_>) -> bool {
    let has = |kind: u8| {
        let mut all = accept.find_all(AttributeType::VENDOR_SPECIFIC);
        all.any(|attribute| matches!(attribute.value, [0, 0, 1, 0x37, found, ..] if *found == kind))
    };
    has(MS_MPPE_RECV_KEY) && has(MS_MPPE_SEND_KEY)
}

/// What is to be stored before the device is let in, and what may as well be.
fn changes(core: &Core, ask: &Ask, got: &Got, decided: &Result<Grant, Refusal>, now: Now) -> Vec<Change> {
    let Ok(grant) = decided else { return Vec::new() };
    let kept = last_good::to_keep(core, ask, got, &got.realm, got.kind, grant, now);
    change_of(grant).into_iter().chain(kept).collect()
}

/// Decides once more, with the registry locked.
pub(in crate::service::radius) fn settle(
    core: &mut Core,
    exchange: Exchange,
    elsewhere: Elsewhere,
    now: Now,
    out: &mut Vec<u8>,
) -> Verdict {
    let Elsewhere::Got(got) = elsewhere else { return Verdict::Nothing };
    let Some(incoming) = admit(core, exchange.from, &exchange.datagram, exchange.started) else {
        return Verdict::Nothing;
    };
    let Ok(ask) = read(core, &incoming, &got.realm, got.kind) else { return Verdict::Nothing };
    let Some(decided) = accepted(core, &incoming, &ask, &got, now) else {
        let Some(change) = last_good::to_forget(core, &ask, &got.realm, got.kind) else {
            refused(core, &incoming, &ask, &got, now, out);
            return Verdict::Send;
        };
        let finish = move |core: &mut Core, _: bool, now: Now, out: &mut Vec<u8>| {
            let now = core.time.effective(now);
            let Some(incoming) = admit(core, exchange.from, &exchange.datagram, exchange.started) else { return };
            refused(core, &incoming, &ask, &got, now, out);
        };
        return Verdict::Store(vec![change], Box::new(finish));
    };
    let changes = changes(core, &ask, &got, &decided, now);
    if changes.is_empty() {
        // Somebody else was faster, or the administrator.
        tell(core, &incoming, &ask, &got, decided, now, out);
        return Verdict::Send;
    }
    if matches!(&decided, Ok(Grant { register: Some(_), .. })) {
        // It is about to be let in as what it is.
        core.pairing.admit(Some(ask.mac));
    }
    let finish = move |core: &mut Core, stored: bool, now: Now, out: &mut Vec<u8>| {
        let now = core.time.effective(now);
        core.pairing.admit(None);
        let Some(incoming) = admit(core, exchange.from, &exchange.datagram, exchange.started) else { return };
        let decided = decided.and_then(|grant| {
            let device = grant.device;
            if change_of(&grant).is_none() {
                // It can do without what was to be kept.
                return Ok(grant);
            }
            if !stored {
                return Err(Refusal { device, reason: Reason::NotStored });
            }
            let present = accepted(core, &incoming, &ask, &got, now).unwrap_or(Ok(grant.clone()))?;
            // If it is to be stored again, it was undone.
            if change_of(&present).is_some() {
                return Err(Refusal { device, reason: Reason::ConversationGone });
            }
            Ok(Grant { reason: grant.reason, ..present })
        });
        tell(core, &incoming, &ask, &got, decided, now, out);
    };
    Verdict::Store(changes, Box::new(finish))
}

/// Answers an Access-Accept on our terms.
fn tell(
    core: &mut Core,
    incoming: &Incoming<'_>,
    ask: &Ask,
    got: &Got,
    decided: Result<Grant, Refusal>,
    now: Now,
    out: &mut Vec<u8>,
) {
    let newcomer = newcomer(got, &decided);
    let decided = decided.and_then(|grant| {
        let device = grant.device.and_then(|id| core.registry.get(id));
        // A server of our own is told by its own names what the device does.
        let own = proxy::realm(&core.config, &got.realm).is_some_and(|realm| realm.share == Share::All);
        let name = device.map(|device| device.name.clone()).filter(|_| !own);
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
    let admitted = decided.is_ok();
    if admitted {
        core.radius.attempts.succeeded(ask.mac);
    } else {
        reject(core, incoming, out);
    }
    remember_and_tell(core, incoming, ask, decided, now, out);
    if admitted {
        vouch(core, ask, got.vouched(&incoming.packet));
    }
    if let Some(newcomer) = newcomer {
        core.pending.prove(ask.mac, newcomer);
    }
}

/// Remembers who let it in.
pub(super) fn vouch(core: &mut Core, ask: &Ask, vouched: Vouched) {
    if let Some(grant) = core.grants.get_mut((ask.mac, ask.bssid)) {
        grant.vouched = Some(Arc::new(vouched));
    }
}

/// Somebody whom the administrator may approve.
fn newcomer(got: &Got, decided: &Result<Grant, Refusal>) -> Option<pending::Proved> {
    let Err(Refusal { reason: Reason::Peer(reason), .. }) = decided else { return None };
    match reason {
        PeerReason::NotApproved { identity, .. } | PeerReason::Full { identity, .. } => {
            Some(pending::Proved::Peer { realm: got.party(), identity: identity.clone() })
        }
        _ => None,
    }
}

/// They said no.
fn refused(core: &mut Core, incoming: &Incoming<'_>, ask: &Ask, got: &Got, now: Now, out: &mut Vec<u8>) {
    if let Some(grant) = offer_here(core, ask, got.kind, now) {
        return conclude(core, incoming, ask, Ok(grant), now, out);
    }
    let (party, packet) = (got.party(), got.packet());
    let reason = match got.kind {
        Kind::Eap => PeerReason::Refused { party, message: packet.as_ref().map(identity::message).unwrap_or_default() },
        Kind::Address { .. } | Kind::Handshake => PeerReason::Unknown { party },
    };
    let device = core.registry.by_mac(ask.mac).map(|device| device.id);
    // EAP-Failure belongs into it (RFC 3579, 2.6.3); one without gets ours.
    let has_eap = |packet: &Packet<'_>| packet.find(AttributeType::EAP_MESSAGE).is_some();
    let complete = got.kind != Kind::Eap || packet.as_ref().is_some_and(has_eap);
    if complete && got.reply(core, incoming, &back(got.own), out).is_ok() {
        core.radius.stats.rejects += 1;
    } else {
        reject(core, incoming, out);
    }
    remember_and_tell(core, incoming, ask, Err(Refusal { device, reason: Reason::Peer(reason) }), now, out);
}
