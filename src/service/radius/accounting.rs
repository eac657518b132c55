//! Accounting-Request (RFC 2866): who is connected. For a NAS that asks before the handshake, a session that
//! starts is the proof that the device had the key it was sent.

use super::answer;
use super::ask::{NO_BSSID, configured_ssid};
use super::auth::Verdict;
use super::{
    Exchange, Incoming, Next, Origin, admit, check_message_authenticator, nas_name, note_drop, repeated, request_key,
};
use crate::decision::event::{Event, Method, Outcome};
use crate::decision::reason::{PeerReason, Reason};
use crate::decision::{Evidence, Grant, Proof, Request};
use crate::mac::MacAddr;
use crate::registry::device::{BoundMac, Change, Device, DeviceId};
use crate::service::grants::{Asked, Onboarding};
use crate::service::revocation::Why;
use crate::service::sessions::{Session, SessionKey};
use crate::service::{Core, Now};
use crate::wire::radius::{
    AttributeType, CalledStationId, Code, Packet, acct_status_type, verify_request_authenticator,
};
use std::sync::Arc;

/// How many names are listed when one of several keys was used.
const NAMES: usize = 5;

/// Takes a datagram of the accounting port. The answer, if there is one at once, is left in `out`.
pub fn receive(core: &mut Core, from: impl Into<Origin>, datagram: &[u8], now: Now, out: &mut Vec<u8>) -> Next {
    receive_from(core, from.into(), datagram, now, out)
}

fn receive_from(core: &mut Core, from: Origin, datagram: &[u8], now: Now, out: &mut Vec<u8>) -> Next {
    let now = core.time.effective(now);
    let Some(incoming) = admit(core, from, datagram, now.mono) else { return Next::Nothing };
    let packet = &incoming.packet;
    match packet.code() {
        Code::STATUS_SERVER => {
            if !check_message_authenticator(core, &incoming) {
                return Next::Nothing;
            }
            core.radius.stats.status_server += 1;
            answer::status(&incoming.client.secret, packet, Code::ACCOUNTING_RESPONSE, out);
            return Next::Send;
        }
        Code::ACCOUNTING_REQUEST => {}
        other => {
            core.radius.stats.malformed += 1;
            note_drop(core, incoming.index, &format!("{other} has no business on the accounting port"));
            return Next::Nothing;
        }
    }
    if !verify_request_authenticator(packet, &incoming.client.secret) {
        core.radius.stats.bad_authenticator += 1;
        note_drop(core, incoming.index, "wrong accounting authenticator: is the secret the same on both sides?");
        return Next::Nothing;
    }
    // RFC 2866 knows no Message-Authenticator, but one that is there must be right.
    if packet.find(AttributeType::MESSAGE_AUTHENTICATOR).is_some() && !check_message_authenticator(core, &incoming) {
        return Next::Nothing;
    }
    core.radius.stats.accounting += 1;
    if let Some(client) = core.radius.client(incoming.index) {
        client.requests += 1;
        client.accounts = true;
    }
    if let Some(next) = repeated(core, &incoming, now, out) {
        return next;
    }
    let upstream = upstream(core, &incoming);
    let noted = note(core, &incoming, now);
    if let Some((realm, mac)) = upstream {
        super::proxied::account(core, &incoming, &realm, Some(mac), now);
    }
    if noted.is_some() {
        return Next::Commit(Exchange {
            from,
            datagram: datagram.into(),
            proof: None,
            started: now.mono,
            accounting: true,
            eap: None,
            elsewhere: None,
        });
    }
    respond(core, &incoming, out);
    Next::Send
}

/// The realm that let a session in, and whose: before what is reported of it is noted.
fn upstream(core: &Core, incoming: &Incoming<'_>) -> Option<(Arc<str>, MacAddr)> {
    if core.config.realms.is_empty() {
        return None;
    }
    let value = incoming.packet.find(AttributeType::CALLING_STATION_ID)?;
    let mac = MacAddr::parse_bytes(value).ok()?;
    let key = session_key(incoming, mac)?;
    let session = core.sessions.of(mac).find(|(known, _)| **known == key);
    let realm = match session {
        Some((_, session)) => session.realm().cloned(),
        None => answer_for(core, incoming, mac).and_then(|asked| core.grants.get(asked)?.realm().cloned()),
    };
    Some((realm?, mac))
}

/// Binds the key that a started session has proved, with the registry locked.
pub fn settle(core: &mut Core, exchange: Exchange, now: Now, out: &mut Vec<u8>) -> Verdict {
    let Some(incoming) = admit(core, exchange.from, &exchange.datagram, exchange.started) else {
        return Verdict::Nothing;
    };
    let Some(proved) = note(core, &incoming, now) else {
        respond(core, &incoming, out);
        return Verdict::Send;
    };
    let change = match &proved {
        Proved::Key(id, bound) => Change::Bind(*id, *bound),
        Proved::Onboarding(_, device) => Change::Put(vec![(**device).clone()]),
    };
    let finish = move |core: &mut Core, stored: bool, now: Now, out: &mut Vec<u8>| {
        let now = core.time.effective(now);
        let Some(incoming) = admit(core, exchange.from, &exchange.datagram, exchange.started) else { return };
        if stored {
            let mac = match proved {
                Proved::Key(id, bound) => {
                    joined(core, &incoming, bound.mac, Some(id), Reason::FirstProof, now);
                    bound.mac
                }
                Proved::Onboarding(mac, device) => {
                    paired(core, &incoming, mac, &device, now);
                    mac
                }
            };
            open_session(core, &incoming, mac, now);
            respond(core, &incoming, out);
        } else if let Some(key) = exchange.key() {
            // No answer: the NAS reports the session again.
            core.radius.duplicates.forget(&key);
            out.clear();
        }
    };
    Verdict::Store(vec![change], Box::new(finish))
}

fn respond(core: &mut Core, incoming: &Incoming<'_>, out: &mut Vec<u8>) {
    answer::accounting(&incoming.client.secret, &incoming.packet, out);
    core.radius.duplicates.finish(&request_key(incoming.from, &incoming.packet), out);
}

/// What a session that starts proves, and what is to be stored before that is acknowledged.
enum Proved {
    /// The key of a device, which is to be bound.
    Key(DeviceId, BoundMac),
    /// The onboarding key in a pairing window, by this address: the device is to be registered.
    Onboarding(MacAddr, Box<Device>),
}

/// Takes note of what is reported. When it proves something that is to be stored, nothing else is done yet, and that is
/// returned.
fn note(core: &mut Core, incoming: &Incoming<'_>, now: Now) -> Option<Proved> {
    let packet = &incoming.packet;
    let status = packet.find_u32(AttributeType::ACCT_STATUS_TYPE)?;
    if matches!(status, acct_status_type::ACCOUNTING_ON | acct_status_type::ACCOUNTING_OFF) {
        let nas_identifier = packet.find(AttributeType::NAS_IDENTIFIER).unwrap_or_default();
        let bssid = packet.find(AttributeType::CALLED_STATION_ID).and_then(CalledStationId::parse).map(|c| c.bssid);
        let closed = core.sessions.close_all_of(&incoming.client.name, nas_identifier, bssid);
        crate::log::debug!("client '{}' started anew: {closed} sessions closed", incoming.client.name);
        return None;
    }
    let mac = packet.find(AttributeType::CALLING_STATION_ID).and_then(|value| MacAddr::parse_bytes(value).ok())?;
    if status == acct_status_type::STOP {
        core.sessions.close(&session_key(incoming, mac)?);
        return None;
    }
    if !matches!(status, acct_status_type::START | acct_status_type::INTERIM_UPDATE) {
        return None;
    }
    if status == acct_status_type::START
        && let Some(proved) = proof_of_start(core, incoming, mac, now)
    {
        return Some(proved);
    }
    if status == acct_status_type::START {
        let called = packet.find(AttributeType::CALLED_STATION_ID).and_then(CalledStationId::parse);
        let ssid = configured_ssid(&core.config, called.and_then(|called| called.ssid).unwrap_or_default());
        core.sessions.close_earlier(mac, &ssid);
    }
    open_session(core, incoming, mac, now);
    // Now that it has a session, which another box can be asked to end.
    if status == acct_status_type::START && came_too_late(core, incoming, mac, now) {
        core.take_off_stranger(mac, Why::NoPairing, now);
    }
    None
}

/// True for an unknown device that was let in for a pairing window, and not registered in it: it is in the window's VLAN.
fn came_too_late(core: &Core, incoming: &Incoming<'_>, mac: MacAddr, now: Now) -> bool {
    let grant = answer_for(core, incoming, mac).and_then(|asked| core.grants.get(asked));
    let meant = grant.is_some_and(|grant| grant.onboarding == Onboarding::Pairing && grant.is_fresh(now.mono));
    meant && !core.registry.knows(mac)
}

/// The answer that a report is about: of the same NAS, BSS and network.
fn answer_for(core: &Core, incoming: &Incoming<'_>, mac: MacAddr) -> Option<Asked> {
    let called = incoming.packet.find(AttributeType::CALLED_STATION_ID).and_then(CalledStationId::parse);
    let asked = (mac, called.map_or(NO_BSSID, |called| called.bssid));
    let grant = core.grants.get(asked)?;
    let same_ssid =
        called.and_then(|called| called.ssid).is_none_or(|ssid| configured_ssid(&core.config, ssid) == grant.ssid);
    (grant.client == incoming.client.name && same_ssid).then_some(asked)
}

/// A session that starts proves the key that its address was sent. Returns what is to be stored first.
fn proof_of_start(core: &mut Core, incoming: &Incoming<'_>, mac: MacAddr, now: Now) -> Option<Proved> {
    let grant = core.grants.get(answer_for(core, incoming, mac)?).filter(|grant| grant.is_fresh(now.mono))?;
    if grant.onboarding != Onboarding::No && !core.registry.knows(mac) {
        return onboarding_proved(core, incoming, mac, now);
    }
    if !grant.awaits_proof(now.mono) {
        return None;
    }
    let known = core.registry.by_mac(mac).map(|device| device.id);
    // hostapd goes on with the key it has: one that was rotated since proves nothing any more.
    let present = |id, serial| core.registry.get(id).is_some_and(|device| device.key_serial == serial);
    match (known, &grant.devices[..]) {
        (None, []) if grant.vouched.is_some() => {
            let party = grant.realm().cloned().unwrap_or_default();
            joined(core, incoming, mac, None, Reason::Peer(PeerReason::Proved { party }), now);
        }
        // It was registered since.
        (_, []) => {}
        (Some(id), sent) => {
            if sent.iter().any(|(sent, serial)| *sent == id && present(id, *serial)) {
                joined(core, incoming, mac, Some(id), Reason::ProvedKey, now);
            }
        }
        (None, [(id, serial)]) => {
            let id = *id;
            if !present(id, *serial) {
                return None;
            }
            let device = core.registry.get(id)?;
            if let Some(bound) = device.binding(mac, now.wall) {
                return Some(Proved::Key(id, bound));
            }
            if !device.has_room() {
                // Two strangers were sent the same key, and the other one was faster; or it was blocked since.
                let owner = device.name.clone();
                joined(core, incoming, mac, None, Reason::KeyOfOther { owner }, now);
                return None;
            }
            joined(core, incoming, mac, Some(id), Reason::ProvedKey, now);
        }
        (None, several) => {
            let mut names: Vec<Arc<str>> = several
                .iter()
                .filter_map(|(id, _)| core.registry.get(*id))
                .map(|device| device.name.clone())
                .take(NAMES)
                .collect();
            if several.len() > names.len() {
                names.push(format!("{} more", several.len() - names.len()).into());
            }
            joined(core, incoming, mac, None, Reason::OneOfSeveral { names }, now);
        }
    }
    None
}

/// An unknown address connected with the onboarding key. In a pairing window it is registered; a second one that was
/// meant for the window is refused.
fn onboarding_proved(core: &mut Core, incoming: &Incoming<'_>, mac: MacAddr, now: Now) -> Option<Proved> {
    let asked = answer_for(core, incoming, mac)?;
    let grant = core.grants.get(asked)?;
    let (sent, awaits, ssid, nas) =
        (grant.onboarding, grant.awaits_proof(now.mono), grant.ssid.clone(), grant.nas.clone());
    // A report that was repeated for minutes may be of a session from before the window.
    let age = incoming.packet.find_u32(AttributeType::ACCT_DELAY_TIME).unwrap_or(0);
    if core.pairing.covers(age, now.mono)
        && let Ok(Grant { register: Some(device), .. }) =
            core.decide(&Request::new(mac, &ssid, Some(asked.1), Evidence::Handshake(Proof::Onboarding)), now)
    {
        return Some(Proved::Onboarding(mac, device));
    }
    match sent {
        Onboarding::Quarantine if awaits => joined(core, incoming, mac, None, Reason::Quarantined, now),
        Onboarding::Quarantine | Onboarding::No => {}
        Onboarding::Pairing => {
            if let Some(grant) = core.grants.get_mut(asked) {
                grant.reported = true;
            }
            core.note_pending(mac, &ssid, &nas, &Reason::NoPairing, now.wall);
            tell(core, mac, None, asked, (Outcome::Refused, Reason::NoPairing), (None, None), now);
        }
    }
    None
}

/// A device that came in the pairing window is registered and durable.
fn paired(core: &mut Core, incoming: &Incoming<'_>, mac: MacAddr, device: &Device, now: Now) {
    let Some(asked) = answer_for(core, incoming, mac) else { return };
    let Some(grant) = core.grants.get_mut(asked) else { return };
    grant.proved = true;
    grant.onboarding = Onboarding::No;
    grant.devices = vec![(device.id, device.key_serial)];
    let (ssid, nas) = (grant.ssid.clone(), grant.nas.clone());
    core.registry.count(device.id, true, mac, now.wall);
    core.paired(device, mac, &ssid, &nas, now.wall);
    let vlan = core.config.profile(&device.profile).and_then(|profile| profile.vlan);
    let reason = Reason::Paired { name: device.name.clone(), profile: device.profile.clone() };
    let place = (vlan, Some(device.profile.clone()));
    tell(core, mac, Some(device.id), asked, (Outcome::Joined, reason), place, now);
}

/// Remembers and tells that a device proved its key by connecting.
fn joined(core: &mut Core, incoming: &Incoming<'_>, mac: MacAddr, device: Option<DeviceId>, reason: Reason, now: Now) {
    let asked = answer_for(core, incoming, mac);
    let Some(grant) = asked.and_then(|asked| core.grants.get_mut(asked)) else { return };
    grant.proved = true;
    match (device, &reason) {
        (Some(id), _) => grant.devices.retain(|(sent, _)| *sent == id),
        (None, Reason::KeyOfOther { .. }) => grant.devices.clear(),
        (None, _) => {}
    }
    let grant = grant.clone();
    if let Some(id) = device {
        core.registry.count(id, true, mac, now.wall);
        core.keyring.used(&grant.ssid, id);
    }
    core.note_pending(mac, &grant.ssid, &grant.nas, &reason, now.wall);
    let Some(asked) = asked else { return };
    tell(core, mac, device, asked, (Outcome::Joined, reason), (grant.vlan, Some(grant.profile)), now);
}

/// Records what a session that starts comes to; the place is VLAN and profile.
fn tell(
    core: &mut Core,
    mac: MacAddr,
    device: Option<DeviceId>,
    asked: Asked,
    (outcome, reason): (Outcome, Reason),
    (vlan, profile): (Option<u16>, Option<Arc<str>>),
    now: Now,
) {
    let Some(grant) = core.grants.get(asked) else { return };
    let (ssid, nas) = (grant.ssid.clone(), grant.nas.clone());
    core.record(Event {
        id: 0,
        seq: 0,
        at: now.wall,
        first_at: now.wall,
        count: 1,
        device: device.and_then(|id| core.registry.get(id)).map(|device| device.name.clone()),
        mac,
        ssid,
        nas,
        method: Method::Address,
        outcome,
        reason,
        vlan,
        profile,
        micros: 0,
    });
}

fn session_key(incoming: &Incoming<'_>, mac: MacAddr) -> Option<SessionKey> {
    let id = incoming.packet.find(AttributeType::ACCT_SESSION_ID)?;
    Some(SessionKey { client: incoming.client.name.clone(), id: id.into(), mac })
}

fn open_session(core: &mut Core, incoming: &Incoming<'_>, mac: MacAddr, now: Now) {
    let packet = &incoming.packet;
    let Some(key) = session_key(incoming, mac) else { return };
    let called = packet.find(AttributeType::CALLED_STATION_ID).and_then(CalledStationId::parse);
    let ssid = called.as_ref().and_then(|called| called.ssid).unwrap_or_default();
    let nas = nas_name(core, incoming.index, packet);
    let grant = answer_for(core, incoming, mac).and_then(|asked| core.grants.get(asked));
    // After a restart of the daemon there is no answer to remember: the address must do.
    let vouched = grant.and_then(|grant| grant.vouched.clone());
    let (device, vlan, profile, proved) = match grant {
        Some(grant) => {
            let device = if let [(one, _)] = grant.devices[..] { Some(one) } else { None };
            (device, grant.vlan, Some(grant.profile.clone()), grant.proved)
        }
        None => {
            let device = core.registry.by_mac(mac);
            let profile = device.and_then(|device| core.config.profile(&device.profile));
            (device.map(|d| d.id), profile.and_then(|p| p.vlan), profile.map(|p| p.name.clone()), false)
        }
    };
    let seconds = i64::from(packet.find_u32(AttributeType::ACCT_SESSION_TIME).unwrap_or(0));
    let session = Session {
        device,
        bssid: called.as_ref().map(|called| called.bssid),
        ssid: configured_ssid(&core.config, ssid),
        nas,
        multi_id: packet.find(AttributeType::ACCT_MULTI_SESSION_ID).unwrap_or_default().into(),
        nas_identifier: packet.find(AttributeType::NAS_IDENTIFIER).unwrap_or_default().into(),
        from: incoming.from.address.ip().to_canonical(),
        vlan,
        profile,
        vouched,
        proved,
        since: crate::time::UnixTime(now.wall.0.saturating_sub(seconds)),
        updated: now.wall,
        bytes_in: octets(packet, AttributeType::ACCT_INPUT_OCTETS, AttributeType::ACCT_INPUT_GIGAWORDS),
        bytes_out: octets(packet, AttributeType::ACCT_OUTPUT_OCTETS, AttributeType::ACCT_OUTPUT_GIGAWORDS),
        address: packet.find_ipv4(AttributeType::FRAMED_IP_ADDRESS),
    };
    core.sessions.update(key, session);
}

/// A counter of 64 bits in two attributes (RFC 2869, 5.1).
fn octets(packet: &Packet<'_>, low: AttributeType, high: AttributeType) -> u64 {
    let word = |kind| u64::from(packet.find_u32(kind).unwrap_or(0));
    word(high) << 32 | word(low)
}
