//! Devices with Wi-Fi keys that a server let in before, when it does not answer: what it said then is said again, for as long
//! as the realm has it. Of those that come with EAP nothing is here that could be said.

use super::super::ask::{Ask, Credential};
use super::super::auth::{refuse, remember_and_tell};
use super::super::{Exchange, Incoming, Next, admit, answer as write};
use super::verdict::{Got, vouch};
use super::{Elsewhere, ask_unattended, exchange, forward, reason_of};
use crate::config::{LastGood as Limits, Realm};
use crate::decision::reason::{PeerReason, Reason, Without};
use crate::decision::{Evidence, Grant, Identified, Peer, Proof, Refusal, Request};
use crate::proxy::{Failure, Health};
use crate::registry::device::{Change, DeviceId};
use crate::registry::last_good::{LastGood, MAX_KEYS, WifiKey};
use crate::service::eap::Station;
use crate::service::grants::Vouched;
use crate::service::keyring::SsidKeys;
use crate::service::proxy::waiting::Kind;
use crate::service::proxy::{self, identity};
use crate::service::{Core, Now};
use crate::wire::radius::{AttributeType, reveal_tunnel_password};
use crate::wpa::Candidate;
use std::sync::Arc;

/// An answer that says the same as the one before is written to flash again after this time, in seconds.
const STALE: i64 = 86_400;
/// The shortest stay that is granted so, in seconds: the end of the time must not be asked for in a circle.
const SHORTEST: u32 = 60;

/// Nobody answers, or will.
#[derive(Debug, Clone)]
pub(in crate::service::radius) struct Failed {
    /// The name of the `config realm`.
    pub(super) realm: Arc<str>,
    /// Why.
    pub(super) failure: Failure,
    /// They were asked about this device. If not, they are when nothing is known of it here.
    pub(super) asked: bool,
}

/// What of an Access-Accept is to be kept, if it is not kept already.
pub(super) fn to_keep(
    core: &Core,
    ask: &Ask,
    got: &Got,
    name: &Arc<str>,
    kind: Kind,
    grant: &Grant,
    now: Now,
) -> Option<Change> {
    let realm = proxy::realm(&core.config, name)?;
    let limits = realm.last_good.as_ref().filter(|_| kind != Kind::Eap)?;
    if !is_for(limits, &grant.profile) {
        return None;
    }
    let (accept, (secret, authenticator)) = (got.packet()?, got.hidden_by());
    let keys = accept.find_all(AttributeType::TUNNEL_PASSWORD).take(MAX_KEYS).filter_map(|attribute| {
        let (_, key) = reveal_tunnel_password(attribute.value, secret, authenticator).ok()?;
        WifiKey::from_tunnel_password(key.expose()).ok()
    });
    let keys: Vec<WifiKey> = keys.collect();
    if keys.is_empty() {
        return None;
    }
    let (mac, ssid, profile) = (ask.mac, ask.ssid.clone(), grant.profile.clone());
    let new = LastGood { mac, ssid, realm: name.clone(), keys, vlan: identity::vlan(&accept), profile, at: now.wall };
    let same = |old: &LastGood| {
        let age = now.wall.0.saturating_sub(old.at.0);
        (0..STALE).contains(&age) && LastGood { at: now.wall, ..old.clone() } == new
    };
    let kept = core.registry.last_good(ask.mac, &ask.ssid).is_some_and(same);
    (!kept).then(|| Change::PutLastGood(Box::new(new)))
}

/// What they said last is not true any more: they said no.
pub(super) fn to_forget(core: &Core, ask: &Ask, name: &Arc<str>, kind: Kind) -> Option<Change> {
    let kept = core.registry.last_good(ask.mac, &ask.ssid).filter(|_| kind != Kind::Eap)?;
    (kept.realm == *name).then(|| Change::RemoveLastGood { mac: ask.mac, ssid: ask.ssid.clone() })
}

/// Why it is no use to wait for a realm's servers: all are known not to answer. In the middle of a handshake a station waits for
/// a second or two only, so that there one that did not answer lately is as good as none.
pub(super) fn failing(core: &Core, realm: &Realm, kind: Kind) -> Option<Failure> {
    let all = core.proxy.engine.status();
    let mut servers = 0u8;
    let mut trouble: Option<Arc<str>> = None;
    for (_, _, status) in all.into_iter().filter(|(name, ..)| *name == realm.name) {
        let gone = match status.health {
            Health::Down => true,
            Health::Suspect => kind == Kind::Handshake,
            Health::Up | Health::Unknown => false,
        };
        if !gone {
            return None;
        }
        servers = servers.saturating_add(1);
        trouble = status.trouble.or(trouble);
    }
    let why = trouble.unwrap_or_else(|| "no server answers".into());
    (servers > 0).then_some(Failure::Unreachable { servers, why })
}

fn is_for(limits: &Limits, profile: &Arc<str>) -> bool {
    limits.profiles.is_empty() || limits.profiles.contains(profile)
}

/// Says again what was said last. In the handshake the key is verified first; when that takes long, elsewhere.
///
/// # Errors
/// The question, and why it cannot be.
#[allow(clippy::too_many_arguments)]
pub(super) fn answer(
    core: &mut Core,
    incoming: &Incoming<'_>,
    datagram: &[u8],
    ask: Ask,
    (realm, limits): (&Realm, &Limits),
    failed: Failed,
    now: Now,
    out: &mut Vec<u8>,
) -> Result<Next, (Ask, Without)> {
    let Some(kept) = usable(core, &ask, realm, limits, now) else { return Err((ask, Without::Never)) };
    let Credential::Handshake(handshake) = &ask.credential else {
        return Ok(say(core, incoming, &ask, realm, limits, &kept, kept.keys.iter(), failed.asked, now, out));
    };
    let verifies = |key: &&WifiKey| match key {
        WifiKey::Pmk(pmk) => handshake.verify(&Candidate::new(pmk.clone())),
        WifiKey::Passphrase(_) => false,
    };
    if let Some(key) = kept.keys.iter().find(verifies) {
        return Ok(say(core, incoming, &ask, realm, limits, &kept, std::iter::once(key), failed.asked, now, out));
    }
    let passphrases: Vec<_> = kept
        .keys
        .iter()
        .map(|key| match key {
            WifiKey::Passphrase(passphrase) => Some(passphrase.clone()),
            WifiKey::Pmk(_) => None,
        })
        .collect();
    if passphrases.iter().all(Option::is_none) {
        return Err((ask, Without::WrongKey));
    }
    // Computing a PMK takes a router 10 ms and more: not in the event loop.
    let keys = Arc::new(SsidKeys::to_derive(ask.ssid.clone(), passphrases));
    let exchange = exchange(incoming, datagram, Elsewhere::Failed(failed));
    match ask.credential {
        Credential::Handshake(handshake) => Ok(Next::Search(exchange, keys, handshake)),
        _ => Ok(Next::Nothing),
    }
}

/// Goes on when the keys were tried.
pub(in crate::service::radius) fn resume(
    core: &mut Core,
    exchange: &Exchange,
    failed: &Failed,
    proof: Proof,
    now: Now,
    out: &mut Vec<u8>,
) -> Next {
    let Some(incoming) = admit(core, exchange.from, &exchange.datagram, exchange.started) else { return Next::Nothing };
    let Ok(ask) = Ask::read(&incoming.packet, &core.config) else { return Next::Nothing };
    let config = core.config.clone();
    let realm = proxy::realm(&config, &failed.realm);
    let found = realm.and_then(|realm| Some((realm, realm.last_good.as_ref()?)));
    let kept = found.and_then(|(realm, limits)| usable(core, &ask, realm, limits, now));
    if let (Some((realm, limits)), Some(kept), Proof::Device(DeviceId(place))) = (found, &kept, proof)
        && let Some(key) = usize::try_from(place).ok().and_then(|place| kept.keys.get(place))
    {
        return say(core, &incoming, &ask, realm, limits, kept, std::iter::once(key), failed.asked, now, out);
    }
    if let (Some((realm, _)), false) = (found, failed.asked) {
        let station = Station { client: incoming.client.name.clone(), mac: ask.mac, bssid: ask.bssid };
        return forward(core, &incoming, (ask, station), realm, Kind::Handshake, &exchange.datagram, now, out);
    }
    let without = if kept.is_some() { Without::WrongKey } else { Without::Never };
    refuse(core, &incoming, &ask, reason_of(&failed.failure, &failed.realm, without), now, out)
}

/// The answer that is kept, if it may be said again.
fn usable(core: &Core, ask: &Ask, realm: &Realm, limits: &Limits, now: Now) -> Option<LastGood> {
    let kept = core.registry.last_good(ask.mac, &ask.ssid)?;
    let good = kept.realm == realm.name && age(kept, now) <= limits.seconds && is_for(limits, &kept.profile);
    good.then(|| kept.clone())
}

/// How old it is, in seconds. A clock that is not set yet makes nothing older.
fn age(kept: &LastGood, now: Now) -> u32 {
    u32::try_from(now.wall.0.saturating_sub(kept.at.0).max(0)).unwrap_or(u32::MAX)
}

#[allow(clippy::too_many_arguments)]
fn say<'a>(
    core: &mut Core,
    incoming: &Incoming<'_>,
    ask: &Ask,
    realm: &Realm,
    limits: &Limits,
    kept: &LastGood,
    keys: impl Iterator<Item = &'a WifiKey>,
    asked: bool,
    now: Now,
    out: &mut Vec<u8>,
) -> Next {
    let age = age(kept, now);
    let peer = Peer {
        realm,
        identity: ask.mac.to_string().into(),
        claimed: None,
        vlan: kept.vlan,
        session_timeout: Some(limits.seconds.saturating_sub(age).max(SHORTEST)),
        wifi_key: true,
    };
    let request = Request { peer: Some(&peer), ..ask.request(Evidence::Eap(Identified::Newcomer)) };
    let decided = core.decide(&request, now).and_then(|grant| {
        let grant =
            Grant { reason: Reason::Peer(PeerReason::LastKnownGood { party: realm.name.clone(), age }), ..grant };
        let salts = core.radius.salts();
        let keys = keys.map(WifiKey::expose);
        write::accept_with(&incoming.client.secret, &incoming.packet, &grant, keys, salts, out).map_err(|why| {
            let what = format!("the answer does not fit into a packet: {why}").into();
            Refusal { device: None, reason: Reason::BadRequest { what } }
        })?;
        Ok(grant)
    });
    if decided.is_err() {
        super::super::auth::reject(core, incoming, out);
    }
    let admitted = decided.is_ok();
    remember_and_tell(core, incoming, ask, decided, now, out);
    if admitted {
        let user_name = incoming.packet.find(AttributeType::USER_NAME).unwrap_or_default().into();
        let vouched = Vouched { realm: realm.name.clone(), user_name, accepted_name: None, cui: None, class: None };
        vouch(core, ask, vouched);
    }
    if !asked {
        ask_unattended(core, incoming, realm, ask.mac, now);
    }
    Next::Send
}
