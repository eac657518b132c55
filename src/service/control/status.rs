//! The methods that only look: status, sessions, stations, networks.

use super::params::Params;
use super::{ApiError, Done, brief, pair, realm, view};
use crate::config::{Backend, EapMethod, Ssid, Unknown};
use crate::json::json;
use crate::service::{Core, Now};
use serde_json::Value;

/// `status`: how the daemon is.
pub fn status(core: &mut Core, _: &Params, now: Now) -> Result<Done, ApiError> {
    let (mut blocked, mut expired, mut waiting) = (0, 0, 0);
    for device in core.registry.devices() {
        match view::state(device, now.wall) {
            "blocked" => blocked += 1,
            "expired" => expired += 1,
            "waiting" => waiting += 1,
            _ => {}
        }
    }
    let damaged = core.damage.as_ref().map(|damage| {
        json!({
            "file": damage.file.display().to_string(),
            "reason": damage.reason,
            "restored_from": damage.restored_from,
            "at": damage.at.to_string(),
        })
    });
    let keys: Value = core
        .keyring
        .progress()
        .map(|p| json!({ "ssid": view::ssid(&p.ssid), "ready": p.ready, "total": p.total }))
        .collect();
    let stats = &core.radius.stats;
    let clients: Value = core
        .config
        .clients
        .iter()
        .zip(core.radius.client_counters())
        .map(|(client, (requests, dropped))| {
            json!({
                "name": &*client.name,
                "address": client.address.to_string(),
                "requests": requests,
                "dropped": dropped,
            })
        })
        .collect();
    Ok(Done::Value(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": now.mono.saturating_duration_since(core.started).as_secs(),
        "config": {
            "file": core.config_state.file.display().to_string(),
            "loaded_at": core.config_state.loaded_at.to_string(),
            "error": core.config_state.error,
            "warnings": core.config.warnings,
        },
        "registry": {
            "revision": core.revision(),
            "devices": core.registry.len(),
            "blocked": blocked,
            "expired": expired,
            "waiting": waiting,
            "damaged": damaged,
            "good_copy": core.store.copied.map(|at| at.to_string()),
            "failure": core.store.failure,
        },
        "clock": {
            "now": now.wall.to_string(),
            "local": core.zone.local(now.wall).to_string(),
            "zone": core.zone.name(),
            "trouble": core.time.trouble(),
        },
        "keys": keys,
        "radius": {
            "requests": stats.requests,
            "accepts": stats.accepts,
            "rejects": stats.rejects,
            "challenges": stats.challenges,
            "accounting": stats.accounting,
            "status_server": stats.status_server,
            "duplicates": stats.duplicates,
            "dropped": {
                "unknown_client": stats.unknown_client,
                "bad_authenticator": stats.bad_authenticator,
                "missing_message_authenticator": stats.missing_message_authenticator,
                "malformed": stats.malformed,
                "rate_limited": stats.rate_limited,
                "overload": stats.overload,
            },
        },
        "eap": eap(core, now),
        "realms": realms(core, now),
        "proxy": {
            "forwarded": core.proxy.stats.forwarded,
            "accepted": core.proxy.stats.accepted,
            "refused": core.proxy.stats.refused,
            "failed": core.proxy.stats.failed,
            "waiting": core.proxy.waiting(),
        },
        "clients": clients,
        "sessions": core.sessions.len(),
        "bsses": core.stations.bsses().map(|(name, bss)| json!({
            "name": &**name,
            "ssid": view::ssid(&bss.ssid),
            "backend": core.config.ssid(&bss.ssid).map(|ssid| ssid.backend.as_str()),
            "keys": bss.keys.as_deref(),
        })).collect::<Value>(),
        "pending": core.pending.len(),
        "pending_revision": core.pending_revision(),
        "stations_revision": brief::stations_revision(core),
        "sessions_revision": brief::sessions_revision(core),
        "last_event": core.events.last(),
        "pairing": pair::window(core, now),
        "ubus": ubus(core),
        "troubles": troubles(core, now),
    })))
}

/// How it stands with the bus of OpenWrt.
fn ubus(core: &Core) -> Value {
    let ubus = &core.ubus;
    json!({
        "state": ubus.state.code(),
        "text": ubus.state.to_string(),
        "fine": ubus.state.is_fine() && ubus.events_refused.is_none(),
        "calls": ubus.calls,
        "busy": ubus.busy,
        "events": ubus.events,
        "missed": ubus.missed,
        "events_refused": ubus.events_refused.map(|status| status.to_string()),
    })
}

/// What is not as it should be, of the network and of certificates.
fn troubles(core: &Core, now: Now) -> Value {
    let network = core.network.troubles.iter().map(|(about, why)| json!({ "about": &**about, "why": why }));
    let pki =
        core.pki.troubles().iter().cloned().chain(core.pki.warnings(now.wall).into_iter().map(|warning| warning.text));
    network.chain(pki.map(|why| json!({ "about": "certificates", "why": why }))).collect()
}

/// Who else says who devices are, and whether their servers answer.
fn realms(core: &Core, now: Now) -> Value {
    let servers = core.proxy.engine.status();
    let shown = |name: &str| -> Value {
        servers.iter().filter(|(of, ..)| **of == *name).map(|(.., status)| realm::server_shown(status, now)).collect()
    };
    core.config.realms.iter().map(|realm| json!({ "name": &*realm.name, "servers": shown(&realm.name) })).collect()
}

/// What EAP can do, and what is under way.
fn eap(core: &Core, now: Now) -> Value {
    let (stats, tls) = (&core.eap.stats, core.eap.tls.as_ref());
    let ready = |method: &&EapMethod| **method != EapMethod::Tls || tls.is_some();
    let warnings = core.pki.warnings(now.wall);
    let troubles = core.pki.troubles().iter().chain(&core.eap.tls_failure);
    json!({
        "methods": core.config.eap.methods.iter().filter(ready).map(|method| method.as_str()).collect::<Value>(),
        "conversations": core.eap.len(),
        "octets": core.eap.octets(),
        "resumable": tls.map_or(0, |tls| tls.sessions().0),
        "begun": stats.begun,
        "accepted": stats.accepted,
        "rejected": stats.rejected,
        "abandoned": stats.abandoned,
        "evicted": stats.evicted,
        "warnings": troubles.cloned().chain(warnings.into_iter().map(|warning| warning.text)).collect::<Value>(),
    })
}

/// `sessions`: who is connected, the latest first.
pub fn sessions(core: &mut Core, params: &Params, now: Now) -> Result<Done, ApiError> {
    let (offset, limit) = params.page()?;
    let shown = if params.flag("brief") { brief::session } else { view::session };
    let page = brief::latest(core).into_iter().skip(offset).take(limit);
    let sessions: Value = page.map(|(key, session)| shown(core, key, session, now)).collect();
    let (total, revision) = (core.sessions.len(), brief::sessions_revision(core));
    Ok(Done::Value(json!({ "sessions": sessions, "total": total, "revision": revision })))
}

/// Stations in one reply: each takes about 2 KiB while it is written. In brief it is as little as anything else.
const STATIONS: usize = 100;

/// `stations`: who is on the air of this box, by BSS and address. A handshake under way makes nobody a station.
pub fn stations(core: &mut Core, params: &Params, _: Now) -> Result<Done, ApiError> {
    let (offset, limit) = params.page()?;
    let in_brief = params.flag("brief");
    let shown = if in_brief { brief::station } else { view::station };
    let most = if in_brief { limit } else { STATIONS };
    let page = brief::connected(core).skip(offset).take(limit.min(most));
    let stations: Value = page.map(|(name, bss, station)| shown(core, name, bss, station)).collect();
    let (total, bsses) = (brief::connected(core).count(), core.stations.bsses().count());
    let revision = brief::stations_revision(core);
    Ok(Done::Value(json!({ "stations": stations, "total": total, "bsses": bsses, "revision": revision })))
}

/// `ssid_list`: the networks in the configuration, without their onboarding keys.
pub fn ssids(core: &mut Core, _: &Params, _: Now) -> Result<Done, ApiError> {
    let shown = |ssid: &Ssid| {
        let (unknown, quarantine) = match &ssid.unknown {
            Unknown::Reject => ("reject", None),
            Unknown::Pairing { .. } => ("pairing", None),
            Unknown::Quarantine { profile, .. } => ("quarantine", Some(&**profile)),
        };
        let file = (ssid.backend == Backend::PskFile).then(|| ssid.psk_file.display().to_string());
        json!({
            "name": &*ssid.section,
            "ssid": view::ssid(&ssid.ssid),
            "security": ssid.security.as_str(),
            "unknown": unknown,
            "quarantine_profile": quarantine,
            "backend": ssid.backend.as_str(),
            "psk_file": file,
            "has_onboarding_key": ssid.unknown.onboarding_key().is_some(),
        })
    };
    Ok(Done::Value(json!({ "ssids": core.config.ssids.iter().map(shown).collect::<Value>() })))
}
