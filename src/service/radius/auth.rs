//! Access-Request and Status-Server.

use super::answer;
use super::ask::{Ask, Credential};
use super::proxied::Elsewhere;
use super::{
    Exchange, Incoming, Next, Origin, admit, check_message_authenticator, is_known, nas_name, note_drop,
    note_senseless, repeated, request_key,
};
use crate::decision::event::{Event, Method, Outcome};
use crate::decision::reason::Reason;
use crate::decision::{Evidence, Grant, KeyRef, Keys, Proof, Refusal};
use crate::registry::device::Change;
use crate::service::grants::Onboarding;
use crate::service::keyring::Searched;
use crate::service::proxy::waiting::Kind;
use crate::service::{Core, Now, grants};
use crate::time::UnixTime;
use crate::wire::radius::Code;
use std::sync::Arc;

/// Takes a datagram of the authentication port. The answer, if there is one at once, is left in `out`.
pub fn receive(core: &mut Core, from: impl Into<Origin>, datagram: &[u8], now: Now, out: &mut Vec<u8>) -> Next {
    receive_from(core, from.into(), datagram, now, out)
}

fn receive_from(core: &mut Core, from: Origin, datagram: &[u8], now: Now, out: &mut Vec<u8>) -> Next {
    let now = core.time.effective(now);
    let Some(incoming) = admit(core, from, datagram, now.mono) else { return Next::Nothing };
    let packet = &incoming.packet;
    if !matches!(packet.code(), Code::ACCESS_REQUEST | Code::STATUS_SERVER) {
        core.radius.stats.malformed += 1;
        note_drop(core, incoming.index, &format!("{} has no business on the authentication port", packet.code()));
        return Next::Nothing;
    }
    if !check_message_authenticator(core, &incoming) {
        return Next::Nothing;
    }
    if let Some(client) = core.radius.client(incoming.index) {
        client.requests += 1;
    }
    if let Some(next) = repeated(core, &incoming, now, out) {
        return next;
    }
    if packet.code() == Code::STATUS_SERVER {
        core.radius.stats.status_server += 1;
        answer::status(&incoming.client.secret, packet, Code::ACCESS_ACCEPT, out);
        core.radius.duplicates.finish(&request_key(from, packet), out);
        return Next::Send;
    }
    core.radius.stats.requests += 1;
    work(core, &incoming, datagram, None, now, out)
}

/// Goes on with a request after its key search.
pub fn resume(core: &mut Core, exchange: &Exchange, proof: Proof, now: Now, out: &mut Vec<u8>) -> Next {
    let now = core.time.effective(now);
    if let Some(Elsewhere::Failed(failed)) = exchange.elsewhere.as_deref() {
        return super::proxied::resume(core, exchange, failed, proof, now, out);
    }
    let Some(incoming) = admit(core, exchange.from, &exchange.datagram, exchange.started) else { return Next::Nothing };
    work(core, &incoming, &exchange.datagram, Some(proof), now, out)
}

/// A decision that may come with a change to be stored before it is answered.
pub enum Verdict {
    /// The answer is in the buffer.
    Send,
    /// Store this change and apply it, then call the rest with whether it was stored.
    Store(Vec<Change>, Finish),
    /// Nothing to do any more.
    Nothing,
}

/// Answers a request after its change was stored (true) or not (false); the answer is left in the buffer.
pub type Finish = Box<dyn FnOnce(&mut Core, bool, Now, &mut Vec<u8>)>;

/// Decides a request whose answer binds a key, once more, with the registry locked.
pub fn settle(core: &mut Core, exchange: Exchange, now: Now, out: &mut Vec<u8>) -> Verdict {
    let now = core.time.effective(now);
    if exchange.accounting {
        return super::accounting::settle(core, exchange, now, out);
    }
    let mut exchange = exchange;
    if let Some(elsewhere) = exchange.elsewhere.take() {
        return super::proxied::settle(core, exchange, *elsewhere, now, out);
    }
    if let Some(id) = exchange.eap {
        return super::eap::settle(core, exchange, id, now, out);
    }
    let Some(incoming) = admit(core, exchange.from, &exchange.datagram, exchange.started) else {
        return Verdict::Nothing;
    };
    let Some(proof) = exchange.proof else { return Verdict::Nothing };
    let Ok(ask) = Ask::read(&incoming.packet, &core.config) else { return Verdict::Nothing };
    let proof = confirmed(core, &ask, proof);
    let decided = core.decide(&ask.request(Evidence::Handshake(proof)), now);
    let (change, device, registered) = match &decided {
        Ok(Grant { bind: Some((id, bound)), device, .. }) => (Change::Bind(*id, *bound), *device, None),
        Ok(Grant { register: Some(device), .. }) => {
            // It is in its handshake, and about to be given its new VLAN.
            core.pairing.admit(Some(ask.mac));
            (Change::Put(vec![(**device).clone()]), None, Some(device.clone()))
        }
        _ => {
            // Somebody else was faster, or the administrator.
            conclude(core, &incoming, &ask, decided, now, out);
            return Verdict::Send;
        }
    };
    let nas = nas_name(core, incoming.index, &incoming.packet);
    let finish = move |core: &mut Core, stored: bool, now: Now, out: &mut Vec<u8>| {
        let now = core.time.effective(now);
        let mut decided = if stored { decided } else { Err(Refusal { device, reason: Reason::NotStored }) };
        if let Some(registered) = registered {
            core.pairing.admit(None);
            if let Ok(grant) = &mut decided {
                grant.device = Some(registered.id);
                core.paired(&registered, ask.mac, &ask.ssid, &nas, now.wall);
            }
        }
        if let Some(incoming) = admit(core, exchange.from, &exchange.datagram, exchange.started) {
            conclude(core, &incoming, &ask, decided, now, out);
        }
    };
    Verdict::Store(vec![change], Box::new(finish))
}

fn work(
    core: &mut Core,
    incoming: &Incoming<'_>,
    datagram: &[u8],
    proof: Option<Proof>,
    now: Now,
    out: &mut Vec<u8>,
) -> Next {
    let exchange = |proof| Exchange {
        from: incoming.from,
        datagram: datagram.into(),
        proof,
        started: incoming.started,
        accounting: false,
        eap: None,
        elsewhere: None,
    };
    let mut ask = match Ask::read(&incoming.packet, &core.config) {
        Ok(ask) => ask,
        Err(why) => {
            note_senseless(core, incoming.index, why);
            reject(core, incoming, out);
            core.radius.duplicates.finish(&request_key(incoming.from, &incoming.packet), out);
            return Next::Send;
        }
    };
    if matches!(ask.credential, Credential::Eap) {
        return super::eap::work(core, incoming, ask, datagram, now, out);
    }
    if proof.is_none() && !is_known(core, ask.mac) && !within_limit(core, incoming, now) {
        return refuse(core, incoming, &ask, Reason::RateLimited, now, out);
    }
    let evidence = match (&ask.credential, proof) {
        (_, Some(proof)) => Evidence::Handshake(confirmed(core, &ask, proof)),
        (Credential::Address | Credential::Eap, None) => Evidence::Address { attempt: attempt(core, &ask, now) },
        (Credential::Handshake(handshake), None) => {
            let bound = core.registry.by_mac(ask.mac).map(|device| device.id);
            match core.keyring.search(&ask.ssid, handshake, bound) {
                Searched::Done(proof) => Evidence::Handshake(proof),
                // A known address can be made up, too.
                Searched::Long(_) if bound.is_some() && !within_limit(core, incoming, now) => {
                    return refuse(core, incoming, &ask, Reason::RateLimited, now, out);
                }
                Searched::Long(keys) => {
                    let Credential::Handshake(handshake) = ask.credential else { return Next::Nothing };
                    return Next::Search(exchange(None), keys, handshake);
                }
            }
        }
        (Credential::Bad(what), None) => {
            return refuse(core, incoming, &ask, Reason::BadRequest { what: what.clone() }, now, out);
        }
        (Credential::Unsupported(what), None) => {
            return refuse(core, incoming, &ask, Reason::Unsupported { what }, now, out);
        }
    };
    let mut decided = core.decide(&ask.request(evidence), now);
    if let (Ok(grant), Evidence::Handshake(proof)) = (&decided, evidence)
        && (grant.bind.is_some() || grant.register.is_some())
    {
        return Next::Commit(exchange(Some(proof)));
    }
    if matches!(&decided, Ok(Grant { reason: Reason::PairingOffered, .. }))
        && !core.radius.client(incoming.index).is_some_and(|client| client.accounts)
        && !core.pairing.take_unaccounted(ask.mac)
    {
        decided = core.decide_in(&ask.request(evidence), None, now);
    }
    if evidence == Evidence::Handshake(Proof::Nothing)
        && let Err(refusal) = &mut decided
        && matches!(refusal.reason, Reason::WrongKey | Reason::UnknownDevice)
    {
        // While PMKs are being computed, a key that does not verify proves nothing.
        let ready = match refusal.device {
            Some(id) => core.keyring.pmk(&ask.ssid, KeyRef::Device(id)).is_some() || !has_key(core, id),
            None => core.keyring.progress().filter(|p| p.ssid == ask.ssid).all(|p| p.ready == p.total),
        };
        if !ready {
            refusal.reason = Reason::KeyNotReady;
            if let Some(id) = refusal.device {
                core.keyring.hurry(&ask.ssid, id);
            }
        }
    }
    if matches!(&decided, Err(Refusal { device: None, reason: Reason::UnknownDevice })) {
        let kind = match evidence {
            Evidence::Address { attempt } => Kind::Address { attempt },
            Evidence::Handshake(_) | Evidence::Eap(_) => Kind::Handshake,
        };
        match super::proxied::ask_elsewhere(core, incoming, ask, kind, datagram, now, out) {
            Ok(next) => return next,
            Err(back) => ask = back,
        }
    }
    conclude(core, incoming, &ask, decided, now, out);
    Next::Send
}

/// What was proved some time ago, if it is true of the present keys: one may have been rotated during the search, or
/// while the registry was locked.
fn confirmed(core: &Core, ask: &Ask, proof: Proof) -> Proof {
    let key = match proof {
        Proof::Device(id) => KeyRef::Device(id),
        Proof::Onboarding => KeyRef::Onboarding,
        Proof::Nothing => return Proof::Nothing,
    };
    match &ask.credential {
        Credential::Handshake(handshake) if core.keyring.verifies(&ask.ssid, key, handshake) => proof,
        _ => Proof::Nothing,
    }
}

/// Takes a token for work that strangers can cause.
pub(super) fn within_limit(core: &mut Core, incoming: &Incoming<'_>, now: Now) -> bool {
    let within = core.radius.client(incoming.index).is_none_or(|client| client.strangers.take(now.mono));
    core.radius.stats.rate_limited += u64::from(!within);
    within
}

fn has_key(core: &Core, id: crate::registry::device::DeviceId) -> bool {
    core.registry.get(id).is_some_and(|device| device.key.is_some())
}

pub(super) fn refuse(
    core: &mut Core,
    incoming: &Incoming<'_>,
    ask: &Ask,
    reason: Reason,
    now: Now,
    out: &mut Vec<u8>,
) -> Next {
    let device = core.registry.by_mac(ask.mac).map(|device| device.id);
    conclude(core, incoming, ask, Err(Refusal { device, reason }), now, out);
    Next::Send
}

/// Which offer an unknown address gets: the same again if it proved one of the keys, else the next. A pairing window
/// begins anew.
fn attempt(core: &Core, ask: &Ask, now: Now) -> u32 {
    match core.grants.get((ask.mac, ask.bssid)) {
        Some(grant) if core.pairing.opened_after(grant.at, now.mono) => 0,
        Some(grant) if grant.proved => grant.attempt,
        Some(grant) => grant.attempt.wrapping_add(1),
        None => 0,
    }
}

/// What a decision wants to have stored before it is told.
pub(super) fn change_of(grant: &Grant) -> Option<Change> {
    let bind = grant.bind.map(|(id, bound)| Change::Bind(id, bound));
    bind.or_else(|| grant.register.as_ref().map(|device| Change::Put(vec![(**device).clone()])))
}

/// Writes the answer, and everything that is to be remembered of it.
pub(super) fn conclude(
    core: &mut Core,
    incoming: &Incoming<'_>,
    ask: &Ask,
    decided: Result<Grant, Refusal>,
    now: Now,
    out: &mut Vec<u8>,
) {
    let decided = decided.and_then(|grant| accept(core, incoming, ask, &grant, out).map(|()| grant));
    if decided.is_err() {
        reject(core, incoming, out);
    }
    remember_and_tell(core, incoming, ask, decided, now, out);
}

/// Everything that is to be remembered of an answer that is written.
pub(super) fn remember_and_tell(
    core: &mut Core,
    incoming: &Incoming<'_>,
    ask: &Ask,
    decided: Result<Grant, Refusal>,
    now: Now,
    out: &[u8],
) {
    let nas = nas_name(core, incoming.index, &incoming.packet);
    let (device, outcome, reason, profile, vlan) = match decided {
        Ok(grant) => {
            core.radius.stats.accepts += 1;
            remember(core, incoming, ask, &grant, &nas, now);
            (grant.device, Outcome::Accepted, grant.reason, Some(grant.profile), grant.vlan)
        }
        Err(refusal) => {
            if let Some(id) = refusal.device {
                core.registry.count(id, false, ask.mac, now.wall);
            }
            (refusal.device, Outcome::Refused, refusal.reason, None, None)
        }
    };
    core.radius.duplicates.finish(&request_key(incoming.from, &incoming.packet), out);
    core.note_pending(ask.mac, &ask.ssid, &nas, &reason, now.wall);
    let micros =
        u32::try_from((core.clock)().saturating_duration_since(incoming.started).as_micros()).unwrap_or(u32::MAX);
    let name = device.and_then(|id| core.registry.get(id)).map(|device| device.name.clone());
    core.record(Event {
        id: 0,
        seq: 0,
        at: now.wall,
        first_at: now.wall,
        count: 1,
        device: name,
        mac: ask.mac,
        ssid: ask.ssid.clone(),
        nas,
        method: ask.method.clone(),
        outcome,
        reason,
        vlan,
        profile,
        micros,
    });
}

/// Writes an Access-Accept, or says why it cannot be.
fn accept(
    core: &mut Core,
    incoming: &Incoming<'_>,
    ask: &Ask,
    grant: &Grant,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let salts = core.radius.salts();
    let keys = answer::Keys { core, ssid: &ask.ssid, proved: ask.method != Method::Address };
    let written = answer::accept(&incoming.client.secret, &incoming.packet, grant, &keys, salts, out);
    written.map_err(|why| {
        let what = format!("the answer does not fit into a packet with the request's Proxy-States: {why}").into();
        Refusal { device: grant.device, reason: Reason::BadRequest { what } }
    })
}

pub(super) fn reject(core: &mut Core, incoming: &Incoming<'_>, out: &mut Vec<u8>) {
    core.radius.stats.rejects += 1;
    answer::reject(&incoming.client.secret, &incoming.packet, out);
}

fn remember(core: &mut Core, incoming: &Incoming<'_>, ask: &Ask, grant: &Grant, nas: &Arc<str>, now: Now) {
    let proved = ask.method != Method::Address;
    let credential = if grant.keys == Keys::None { grants::Credential::Eap } else { grants::Credential::WifiKey };
    let serial = |id| core.registry.get(id).map(|device| (id, credential.serial(device)));
    let devices = match &grant.keys {
        Keys::Offered(ids) => ids.iter().filter_map(|id| serial(*id)).collect(),
        Keys::One(_) | Keys::None => grant.device.and_then(serial).into_iter().collect(),
    };
    if let (Some(id), true, grants::Credential::WifiKey) = (grant.device, proved, credential) {
        core.keyring.used(&ask.ssid, id);
    }
    // A NAS that accounts says later whether the device really joined.
    let accounts = core.radius.client(incoming.index).is_some_and(|client| client.accounts);
    if let (Some(id), true) = (grant.device, proved || !accounts) {
        core.registry.count(id, true, ask.mac, now.wall);
    }
    let attempt = match grant.keys {
        Keys::One(KeyRef::Device(_)) => 0,
        Keys::None if proved => 0,
        _ => attempt(core, ask, now),
    };
    let remembered = grants::Grant {
        devices,
        credential,
        voucher: grant.voucher.clone(),
        vouched: None,
        vlan: grant.vlan,
        profile: grant.profile.clone(),
        client: incoming.client.name.clone(),
        nas: nas.clone(),
        ssid: ask.ssid.clone(),
        at: now.mono,
        proved,
        reported: false,
        attempt,
        onboarding: match grant.reason {
            Reason::PairingOffered => Onboarding::Pairing,
            Reason::OnboardingOffered | Reason::Quarantined => Onboarding::Quarantine,
            _ => Onboarding::No,
        },
    };
    core.grants.insert((ask.mac, ask.bssid), remembered);
    core.revocation.accepted(ask.mac, ask.method == Method::Address, now.mono);
}

/// Reports the devices whose NAS was sent a key, and that did not connect in time: that is how a wrong key shows
/// when the NAS asks before the handshake. Says nothing of NASes that do not account.
pub fn conclude_unproved(core: &mut Core, now: Now) {
    for (mac, grant) in core.grants.overdue(now.mono) {
        // It looked at two bands, say, and connected at the other one.
        let connected =
            core.sessions.began_since(mac, UnixTime(now.wall.0 - grants::PROOF_WITHIN.as_secs() as i64 - 2));
        let accounts = !connected
            && core.radius.clients.iter().any(|client| client.settings.name == grant.client && client.accounts);
        if !accounts {
            continue;
        }
        let known = core.registry.by_mac(mac).map(|device| (device.id, device.name.clone()));
        let reason = match (&known, grant.devices.len()) {
            (Some(_), _) => Reason::NotProved,
            // The key that somebody else sent.
            (None, 0) if grant.vouched.is_some() => Reason::NotProved,
            // The onboarding key.
            (None, 0) => Reason::UnknownDevice,
            (None, keys) => Reason::NoneProved { keys: u16::try_from(keys).unwrap_or(u16::MAX) },
        };
        match &known {
            Some((id, _)) => core.registry.count(*id, false, mac, now.wall),
            None => core.note_pending(mac, &grant.ssid, &grant.nas, &reason, now.wall),
        }
        core.record(Event {
            id: 0,
            seq: 0,
            at: now.wall,
            first_at: now.wall,
            count: 1,
            device: known.map(|(_, name)| name),
            mac,
            ssid: grant.ssid,
            nas: grant.nas,
            method: Method::Address,
            outcome: Outcome::Refused,
            reason,
            vlan: None,
            profile: None,
            micros: 0,
        });
    }
}

/// The onboarding key of an SSID, if it has one.
pub(super) fn onboarding_key<'a>(core: &'a Core, ssid: &[u8]) -> Option<&'a crate::secret::Passphrase> {
    core.config.ssid(ssid)?.unknown.onboarding_key()
}
