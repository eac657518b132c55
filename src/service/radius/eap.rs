//! EAP in Access-Requests (RFC 3579): from one packet to the next, and to the decision.

use super::ask::Ask;
use super::auth::{Verdict, change_of, refuse, reject, remember_and_tell, within_limit};
use super::{Exchange, Incoming, Next, admit, answer, is_known, nas_name, request_key};
use crate::decision::event::{Event, Method, Outcome};
use crate::decision::reason::Reason;
use crate::decision::{Evidence, Grant, Identified, Refusal, Request};
use crate::eap::conversation::{Conversation, Hint, Step};
use crate::eap::problem::Problem;
use crate::eap::{Context, Proved};
use crate::mac::MacAddr;
use crate::pki::Voucher;
use crate::registry::device::{Change, DeviceId};
use crate::secret::EapKeys;
use crate::service::eap::{Decided, Known, Open, Phase, StateId, Station};
use crate::service::grants::Credential;
use crate::service::{Core, Now, pending};
use crate::time::UnixTime;
use crate::wire::eap::{Packet as EapPacket, Type};
use crate::wire::radius::{AttributeType, Packet};
use std::sync::Arc;

/// Octets of an EAP packet that a NAS takes which does not say (Framed-MTU, RFC 3579, 2.4), and the limits of what is
/// believed.
const MTU: (usize, usize) = (500, 1400);

/// Answers an Access-Request with EAP-Message.
pub(super) fn work(
    core: &mut Core,
    incoming: &Incoming<'_>,
    ask: Ask,
    datagram: &[u8],
    now: Now,
    out: &mut Vec<u8>,
) -> Next {
    let packet = &incoming.packet;
    let ask = match super::proxied::divert(core, incoming, ask, datagram, now, out) {
        Ok(next) => return next,
        Err(ours) => ours,
    };
    let response = packet.eap_message().unwrap_or_default();
    let station = Station { client: incoming.client.name.clone(), mac: ask.mac, bssid: ask.bssid };
    let state = packet.find(AttributeType::STATE);
    let known = state.and_then(|state| StateId::try_from(state).ok());
    let gone_on = match known.and_then(|id| Some((id, core.eap.take(&id, &station)?))) {
        Some((id, open)) if matches!(open.phase, Phase::Deciding(..)) => {
            // The store had no time for it: once more.
            core.eap.put(id, open);
            return Next::Commit(exchange(incoming, datagram, id));
        }
        Some((id, mut open)) => {
            let step = with_context(core, packet, now.wall, |context| open.conversation.receive(&response, context));
            if matches!(step, Step::Discard(_)) && is_identity(&response) {
                // The device begins anew, and its NAS sends the State of the last challenge all the same.
                keep(core, id, open, now);
                None
            } else {
                open.at = now.mono;
                Some((id, open, step))
            }
        }
        None => None,
    };
    let (id, open, step) = match gone_on {
        Some(gone_on) => gone_on,
        None => {
            if state.is_some() && !is_identity(&response) {
                return refuse(core, incoming, &ask, Reason::ConversationGone, now, out);
            }
            if let Some(reason) = obstacle(core, incoming, &ask, now) {
                return refuse(core, incoming, &ask, reason, now, out);
            }
            begin_anew(core, &station, now);
            core.eap.stats.begun += 1;
            let (conversation, step) = with_context(core, packet, now.wall, |context| {
                Conversation::begin(&response, Hint::default(), context)
            });
            let nas = nas_name(core, incoming.index, packet);
            let known = is_known(core, ask.mac);
            let (phase, ssid, at) = (Phase::Going, ask.ssid.clone(), now.mono);
            let id = core.eap.new_state(&mut core.random);
            (id, Open { conversation, phase, station, ssid, nas, known, at }, step)
        }
    };
    proceed(core, incoming, ask, (id, open), step, Some(datagram), now, out)
}

/// What is left of a station's conversation is over: it begins anew.
pub(super) fn begin_anew(core: &mut Core, station: &Station, now: Now) {
    if let Some(before) = core.eap.begin_anew(station, now.mono) {
        abandoned(core, before, now);
    }
}

/// What keeps a conversation of ours from beginning.
fn obstacle(core: &mut Core, incoming: &Incoming<'_>, ask: &Ask, now: Now) -> Option<Reason> {
    if let Some(reason) = limited(core, incoming, ask, now) {
        return Some(reason);
    }
    let what = core.eap.impossible(&core.config, &core.pki)?;
    Some(Reason::EapOff { what: what.into() })
}

/// What keeps any conversation from beginning.
pub(super) fn limited(core: &mut Core, incoming: &Incoming<'_>, ask: &Ask, now: Now) -> Option<Reason> {
    if core.config.ssid(&ask.ssid).is_none() {
        return Some(Reason::SsidMissing);
    }
    // A known address can be made up, too.
    let freely = is_known(core, ask.mac) && core.radius.attempts.begin(ask.mac, now.mono);
    if !freely && !within_limit(core, incoming, now) {
        return Some(Reason::RateLimited);
    }
    None
}

pub(super) fn is_identity(response: &[u8]) -> bool {
    response.is_empty() || EapPacket::parse(response).is_ok_and(|packet| packet.kind() == Some(Type::IDENTITY))
}

fn exchange(incoming: &Incoming<'_>, datagram: &[u8], id: StateId) -> Exchange {
    Exchange {
        from: incoming.from,
        datagram: datagram.into(),
        proof: None,
        started: incoming.started,
        accounting: false,
        eap: Some(id),
        elsewhere: None,
    }
}

/// Lends the state of the server to a conversation.
fn with_context<R>(
    core: &mut Core,
    packet: &Packet<'_>,
    wall: UnixTime,
    work: impl FnOnce(&mut Context<'_>) -> R,
) -> R {
    let eap = &core.config.eap;
    let credentials = Known { registry: &core.registry, methods: &eap.methods, realm: &eap.realm };
    let mtu = packet.find_u32(AttributeType::FRAMED_MTU).map_or(MTU.1, |mtu| usize::try_from(mtu).unwrap_or(MTU.1));
    work(&mut Context {
        credentials: &credentials,
        random: &mut *core.random,
        wall,
        mtu: mtu.clamp(MTU.0, MTU.1),
        server_id: core.config.eap.server_name.as_bytes(),
        tls: core.eap.tls.as_ref(),
    })
}

/// Does what the conversation says, until there is an answer or something to be stored. Without a datagram, what was to be
/// stored is stored.
#[allow(clippy::too_many_arguments)]
fn proceed(
    core: &mut Core,
    incoming: &Incoming<'_>,
    mut ask: Ask,
    (id, mut open): (StateId, Open),
    mut step: Step,
    datagram: Option<&[u8]>,
    now: Now,
    out: &mut Vec<u8>,
) -> Next {
    let packet = &incoming.packet;
    if let Step::Decide(proved) = step {
        // Whoever has got so far is not put out by strangers.
        open.known = true;
        let decided = decide(core, &ask, &proved, now);
        let durable = decided.as_ref().is_ok_and(|grant| grant.bind.is_some() || grant.register.is_some());
        if let (Some(datagram), true) = (datagram, durable) {
            let device = decided.ok().and_then(|grant| grant.device);
            open.phase = Phase::Deciding(proved, device.map(|id| (id, serial(core, Some(id)))));
            keep(core, id, open, now);
            return Next::Commit(exchange(incoming, datagram, id));
        }
        step = tell_method(core, packet, &mut open, proved, decided, now);
    }
    if let Some(method) = open.conversation.method() {
        ask.method = Method::Eap { name: method.name, detail: open.conversation.detail() };
    }
    match step {
        Step::Send(request) => challenge(core, incoming, (id, open), &request, now, out),
        Step::Accept { packet, keys } => accept(core, incoming, &ask, open, (&packet, &keys), now, out),
        Step::Reject { problem, .. } => {
            let (refusal, newcomer) = refusal(core, open, problem);
            let next = finish(core, incoming, &ask, Err(refusal), now, out);
            note_newcomer(core, ask.mac, newcomer);
            next
        }
        Step::Discard(why) => match open.conversation.last_request().map(<[u8]>::to_vec) {
            // The NAS waits for an answer, and its supplicant for the chance to say the right thing: the same request again
            // (RFC 3579, 2.2).
            Some(request) => challenge(core, incoming, (id, open), &request, now, out),
            None => refuse(core, incoming, &ask, Reason::Eap(Arc::new(Problem::Protocol(why))), now, out),
        },
        Step::Decide(_) => {
            let what = "a decision was asked for twice".into();
            refuse(core, incoming, &ask, Reason::BadRequest { what }, now, out)
        }
    }
}

/// Why a conversation ended badly: the decision, if that was no, else what went wrong with EAP. And the certificate of
/// somebody whom the administrator may approve.
fn refusal(core: &Core, open: Open, problem: Problem) -> (Refusal, Option<pending::Proved>) {
    if let Phase::Decided(decided) = open.phase
        && let Err(refusal) = decided.outcome
    {
        let newcomer = match (&refusal.reason, decided.proved) {
            (
                Reason::NotApproved { .. } | Reason::MakerFull { .. },
                Proved::Certificate(info, Voucher::Maker(maker)),
            ) => Some(pending::Proved::Certificate { info, maker }),
            _ => None,
        };
        return (refusal, newcomer);
    }
    let device = core.registry.by_mac(open.station.mac).map(|device| device.id);
    (Refusal { device, reason: Reason::Eap(Arc::new(problem)) }, None)
}

fn note_newcomer(core: &mut Core, mac: MacAddr, newcomer: Option<pending::Proved>) {
    if let Some(newcomer) = newcomer {
        core.pending.prove(mac, newcomer);
    }
}

/// Who it is that has proved this, and on what terms he is let in.
fn decide(core: &Core, ask: &Ask, proved: &Proved, now: Now) -> Result<Grant, Refusal> {
    let (device, certificate) = match proved {
        Proved::Psk(id) => (Some(*id), None),
        Proved::PublicKey(key) => (core.registry.by_public_key(*key).map(|device| device.id), None),
        Proved::Certificate(info, voucher) => {
            let device = core.registry.by_certificate(info, voucher).map(|device| device.id);
            (device, Some((&**info, voucher)))
        }
    };
    let evidence = Evidence::Eap(device.map_or(Identified::Newcomer, Identified::Device));
    core.decide(&Request { certificate, ..ask.request(evidence) }, now)
}

/// Tells the method what was decided, which it says to the device if it can.
fn tell_method(
    core: &mut Core,
    packet: &Packet<'_>,
    open: &mut Open,
    proved: Proved,
    decided: Result<Grant, Refusal>,
    now: Now,
) -> Step {
    let device = match &decided {
        Ok(grant) => grant.device,
        Err(refusal) => refusal.device,
    };
    let serial = serial(core, device);
    let admitted = decided.is_ok();
    let outcome = decided.map(|grant| grant.reason);
    open.phase = Phase::Decided(Box::new(Decided { proved, serial, outcome }));
    with_context(core, packet, now.wall, |context| open.conversation.decided(admitted, context))
}

fn serial(core: &Core, device: Option<DeviceId>) -> u32 {
    device.and_then(|id| core.registry.get(id)).map_or(0, |device| Credential::Eap.serial(device))
}

/// Sends a request of the conversation, and waits for the response.
fn challenge(
    core: &mut Core,
    incoming: &Incoming<'_>,
    (id, open): (StateId, Open),
    request: &[u8],
    now: Now,
    out: &mut Vec<u8>,
) -> Next {
    match answer::challenge(&incoming.client.secret, &incoming.packet, &id, request, out) {
        Ok(()) => core.radius.stats.challenges += 1,
        Err(why) => {
            crate::log::warn!("client '{}': an Access-Challenge cannot be written: {why}", incoming.client.name);
            reject(core, incoming, out);
        }
    }
    core.radius.duplicates.finish(&request_key(incoming.from, &incoming.packet), out);
    keep(core, id, open, now);
    Next::Send
}

fn keep(core: &mut Core, id: StateId, open: Open, now: Now) {
    for gone in core.eap.put(id, open) {
        let device = core.registry.by_mac(gone.station.mac).map(|device| device.id);
        let refusal = Refusal { device, reason: Reason::Eap(Arc::new(Problem::NoRoom)) };
        let method = method_of(&gone.conversation);
        event(core, (gone.station.mac, gone.ssid, gone.nas), method, refusal, now);
    }
}

/// The method has ended well: the device is let in, if nothing has changed since it was decided.
fn accept(
    core: &mut Core,
    incoming: &Incoming<'_>,
    ask: &Ask,
    open: Open,
    (packet, keys): (&[u8], &EapKeys),
    now: Now,
    out: &mut Vec<u8>,
) -> Next {
    let decided = granted(core, ask, open.phase, now).and_then(|(grant, proved)| {
        let name = grant.device.and_then(|id| core.registry.get(id)).map(|device| {
            let psk = device.eap.as_ref().and_then(|eap| eap.psk.as_ref()).filter(|_| matches!(proved, Proved::Psk(_)));
            psk.map_or_else(|| device.name.clone(), |psk| psk.nai.clone())
        });
        let salts = core.radius.salts();
        let eap = answer::Eap { packet, keys, name: name.as_deref() };
        answer::accept_eap(&incoming.client.secret, &incoming.packet, &grant, &eap, salts, out).map_err(|why| {
            let what = format!("the answer does not fit into a packet: {why}").into();
            Refusal { device: grant.device, reason: Reason::BadRequest { what } }
        })?;
        Ok(grant)
    });
    finish(core, incoming, ask, decided, now, out)
}

/// What was decided, as of now: it may have been blocked, or given another profile, in the moment in between.
fn granted(core: &Core, ask: &Ask, phase: Phase, now: Now) -> Result<(Grant, Proved), Refusal> {
    let Phase::Decided(decided) = phase else {
        let what = "the method ended without a decision".into();
        return Err(Refusal { device: None, reason: Reason::BadRequest { what } });
    };
    let Decided { proved, serial: of_then, outcome } = *decided;
    let reason = outcome?;
    let mut grant = decide(core, ask, &proved, now)?;
    let device = grant.device;
    // What is to be stored was; if it is to be stored again, it was undone.
    if grant.bind.is_some() || grant.register.is_some() || serial(core, device) != of_then {
        return Err(Refusal { device, reason: Reason::ConversationGone });
    }
    grant.reason = reason;
    Ok((grant, proved))
}

/// The end of a conversation: the answer is written, or is an Access-Reject.
fn finish(
    core: &mut Core,
    incoming: &Incoming<'_>,
    ask: &Ask,
    decided: Result<Grant, Refusal>,
    now: Now,
    out: &mut Vec<u8>,
) -> Next {
    match &decided {
        Ok(_) => {
            core.eap.stats.accepted += 1;
            core.radius.attempts.succeeded(ask.mac);
        }
        Err(_) => {
            core.eap.stats.rejected += 1;
            reject(core, incoming, out);
        }
    }
    remember_and_tell(core, incoming, ask, decided, now, out);
    Next::Send
}

/// Decides a conversation whose end is to be stored first, once more, with the registry locked.
pub(super) fn settle(core: &mut Core, exchange: Exchange, id: StateId, now: Now, out: &mut Vec<u8>) -> Verdict {
    let Some(incoming) = admit(core, exchange.from, &exchange.datagram, exchange.started) else {
        return Verdict::Nothing;
    };
    let Ok(ask) = Ask::read(&incoming.packet, &core.config) else { return Verdict::Nothing };
    let station = Station { client: incoming.client.name.clone(), mac: ask.mac, bssid: ask.bssid };
    let Some(mut open) = core.eap.take(&id, &station) else {
        refuse(core, &incoming, &ask, Reason::ConversationGone, now, out);
        return Verdict::Send;
    };
    let (proved, credential) = match &open.phase {
        Phase::Deciding(proved, credential) => (proved.clone(), *credential),
        _ => {
            // Two requests asked for it, and this is the second.
            core.eap.put(id, open);
            core.radius.duplicates.forget(&request_key(incoming.from, &incoming.packet));
            return Verdict::Nothing;
        }
    };
    if let Some((device, _)) = credential.filter(|(id, of_then)| serial(core, Some(*id)) != *of_then) {
        // It proved a key that has been replaced while it waited for the store.
        let device = core.registry.get(device).map(|device| device.id);
        finish(core, &incoming, &ask, Err(Refusal { device, reason: Reason::ConversationGone }), now, out);
        return Verdict::Send;
    }
    let decided = decide(core, &ask, &proved, now);
    let Some(change) = decided.as_ref().ok().and_then(change_of) else {
        let step = tell_method(core, &incoming.packet, &mut open, proved, decided, now);
        proceed(core, &incoming, ask, (id, open), step, None, now, out);
        return Verdict::Send;
    };
    if matches!(change, Change::Put(_)) {
        // It is about to be let in as what it is.
        core.pairing.admit(Some(ask.mac));
    }
    keep(core, id, open, now);
    let finish = move |core: &mut Core, stored: bool, now: Now, out: &mut Vec<u8>| {
        let now = core.time.effective(now);
        core.pairing.admit(None);
        let Some(incoming) = admit(core, exchange.from, &exchange.datagram, exchange.started) else { return };
        let Some(mut open) = core.eap.take(&id, &station) else {
            refuse(core, &incoming, &ask, Reason::ConversationGone, now, out);
            return;
        };
        let decided = match decided {
            Ok(mut grant) if stored => {
                grant.device = grant.device.or(grant.register.as_ref().map(|device| device.id));
                Ok(grant)
            }
            Ok(grant) => Err(Refusal { device: grant.device, reason: Reason::NotStored }),
            Err(refusal) => Err(refusal),
        };
        let step = tell_method(core, &incoming.packet, &mut open, proved, decided, now);
        proceed(core, &incoming, ask, (id, open), step, None, now, out);
    };
    Verdict::Store(vec![change], Box::new(finish))
}

/// Ends the conversations of which nothing was heard for too long.
pub fn conclude_abandoned(core: &mut Core, now: Now) {
    for open in core.eap.expire(now.mono) {
        abandoned(core, open, now);
    }
}

fn abandoned(core: &mut Core, open: Open, now: Now) {
    core.eap.stats.abandoned += 1;
    let problem = open.conversation.problem_when_abandoned();
    let (station, method) = (open.station.clone(), method_of(&open.conversation));
    let (ssid, nas) = (open.ssid.clone(), open.nas.clone());
    // Devices that are refused within the method tend to leave without a word.
    let (refusal, newcomer) = refusal(core, open, problem);
    if let Some(id) = refusal.device {
        core.registry.count(id, false, station.mac, now.wall);
    }
    core.note_pending(station.mac, &ssid, &nas, &refusal.reason, now.wall);
    note_newcomer(core, station.mac, newcomer);
    event(core, (station.mac, ssid, nas), method, refusal, now);
}

fn method_of(conversation: &Conversation) -> Method {
    let detail = conversation.detail();
    conversation
        .method()
        .map_or(Method::Eap { name: "EAP", detail: "" }, |entry| Method::Eap { name: entry.name, detail })
}

fn event(
    core: &mut Core,
    (mac, ssid, nas): (MacAddr, Arc<[u8]>, Arc<str>),
    method: Method,
    Refusal { device, reason }: Refusal,
    now: Now,
) {
    let device = device.and_then(|id| core.registry.get(id)).map(|device| device.name.clone());
    core.record(Event {
        id: 0,
        seq: 0,
        at: now.wall,
        first_at: now.wall,
        count: 1,
        device,
        mac,
        ssid,
        nas,
        method,
        outcome: Outcome::Refused,
        reason,
        vlan: None,
        profile: None,
        micros: 0,
    });
}
