//! The methods on realms: who else says who a device is, whether they answer, and moving a realm elsewhere.

use super::params::Params;
use super::{ApiError, Done, view};
use crate::config::{Pattern, Plan, Realm, Repoint, Server, Target, Tls, To, Transport};
use crate::json::json;
use crate::proxy::{Health, ServerId, Status};
use crate::radsec::trust::other_name;
use crate::registry::credential::KnownBy;
use crate::registry::device::Device;
use crate::secret::RadiusSecret;
use crate::service::{Core, Now};
use crate::time::UnixTime;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// The longest path, in octets.
const MAX_PATH: usize = 1024;

/// `realm_list`: all realms with their servers.
pub fn list(core: &mut Core, _: &Params, now: Now) -> Result<Done, ApiError> {
    let servers = statuses(core);
    let realms: Value = core.config.realms.iter().map(|realm| shown(core, realm, &servers, now)).collect();
    Ok(Done::Value(json!({ "realms": realms })))
}

/// `realm_show`: one of them.
pub fn show(core: &mut Core, params: &Params, now: Now) -> Result<Done, ApiError> {
    let realm = find(core, params.need("name")?)?;
    Ok(Done::Value(json!({ "realm": shown(core, realm, &statuses(core), now) })))
}

/// `realm_test`: tries its servers out. The shell does it.
pub fn test(core: &mut Core, params: &Params, _: Now) -> Result<Done, ApiError> {
    Ok(Done::RealmTest(find(core, params.need("name")?)?.name.clone()))
}

/// The realms of network access identifiers whose servers DNS can be asked for.
pub fn discoverable(core: &Core, realm: &str) -> Vec<Arc<str>> {
    let found = core.config.realm(realm).filter(|realm| realm.target == Target::Discover);
    let exact = |pattern: &Pattern| match pattern {
        Pattern::Exact(realm) => Some(realm.clone()),
        Pattern::Below(_) | Pattern::Default => None,
    };
    found.into_iter().flat_map(|realm| realm.patterns.iter().filter_map(exact)).collect()
}

/// The servers to be tried out: those of the configuration, or that DNS told.
pub fn servers(core: &Core, realm: &str) -> Vec<Server> {
    match core.config.realm(realm).map(|realm| &realm.target) {
        Some(Target::Servers(servers)) => servers.clone(),
        Some(Target::Discover) => {
            let mut servers: Vec<Server> = Vec::new();
            for (name, _, status) in statuses(core) {
                if *name == *realm && !servers.contains(&status.server) {
                    servers.push(status.server);
                }
            }
            servers
        }
        Some(Target::Local) | None => Vec::new(),
    }
}

/// `realm_repoint`: moves it. The shell reads and writes the configuration file.
pub fn repoint(core: &mut Core, params: &Params, _: Now) -> Result<Done, ApiError> {
    let realm = find(core, params.need("name")?)?;
    let to = To::parse(params.texts("to").filter(|word| !word.is_empty()))
        .map_err(|why| ApiError::field("to", "to", why))?;
    let certificate = match (path(params, "certificate")?, path(params, "private_key")?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            return Err(ApiError::field(
                "missing",
                "private_key",
                "private_key is missing: the file of the certificate's key",
            ));
        }
        (None, Some(_)) => {
            return Err(ApiError::field(
                "missing",
                "certificate",
                "certificate is missing: the file of the key's certificate",
            ));
        }
    };
    let given = |field| params.text(field).filter(|text| !text.is_empty());
    let repoint = Repoint {
        realm: (&*realm.name).into(),
        to,
        secret: given("secret").map(|secret| RadiusSecret::new(secret.as_bytes())),
        ca: path(params, "ca")?,
        certificate,
        server_name: given("server_name").map(Into::into),
    };
    Ok(Done::Repoint { repoint: Box::new(repoint), dry_run: params.flag("dry_run") })
}

/// `config_reload`: reads the configuration file again. The shell does it.
pub fn reload(_: &mut Core, _: &Params, _: Now) -> Result<Done, ApiError> {
    Ok(Done::Reload)
}

/// What came of moving a realm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved<'a> {
    /// Nothing was to be done: this is what would be.
    DryRun,
    /// The file says so already.
    Already,
    /// The file was changed, and what it says is in force.
    InForce,
    /// The file could not be changed, and why.
    NotWritten(&'a str),
}

/// The reply of `realm_repoint`.
pub fn moved(core: &Core, plan: &Plan<Realm>, how: Moved<'_>) -> Value {
    let devices: Vec<&Device> = devices(core, &plan.before).collect();
    let why = match how {
        Moved::NotWritten(why) => Some(why),
        _ => None,
    };
    json!({
        "name": &*plan.before.name,
        "file": core.config_state.file.display().to_string(),
        "from": target(&plan.before),
        "to": target(&plan.after),
        "diff": view::diff(&plan.diff),
        "devices": devices.len(),
        // Nobody else says who they are any more, and here nothing does.
        "without_credentials": match plan.after.target {
            Target::Local => devices.iter().filter(|device| !has_own(device)).count(),
            _ => 0,
        },
        "notes": plan.notes,
        "warnings": plan.warnings,
        "dry_run": how == Moved::DryRun,
        "written": how == Moved::InForce,
        "in_force": matches!(how, Moved::InForce | Moved::Already),
        "why": why,
    })
}

/// A step on the way to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// `resolve`, `connect`, `tls`, `certificate` or `status-server`.
    pub stage: &'static str,
    /// It went well; else it was the last.
    pub ok: bool,
    /// What was found, or why it went wrong.
    pub text: String,
    /// How long it took, in microseconds.
    pub micros: Option<u64>,
}

/// What came of asking DNS for the servers of a realm.
pub type Lookup = (Arc<str>, Result<(), Arc<str>>);

/// The reply of `realm_test`.
pub fn tested(core: &Core, realm: &str, lookups: &[Lookup], servers: &[(Server, Vec<Step>)]) -> Value {
    let works = |steps: &[Step]| steps.last().is_some_and(|step| step.ok && step.stage == "status-server");
    let local = core.config.realm(realm).is_some_and(|realm| realm.target == Target::Local);
    let (all, good) = (servers.len(), servers.iter().filter(|(_, steps)| works(steps)).count());
    let found = lookups.iter().all(|(_, result)| result.is_ok());
    let verdict = match (all, good) {
        _ if local => "its devices are authenticated here: there is no server to test".into(),
        (0, _) if lookups.is_empty() => {
            "no servers are known: DNS is asked when a device of the realm comes, and lately none came".into()
        }
        (0, _) => "DNS tells no server: its devices are refused".into(),
        (1, 1) => "its server answers".into(),
        (1, 0) => "its server does not answer: its devices are refused".into(),
        (all, 0) => format!("none of its {all} servers answers: its devices are refused"),
        (all, good) if all == good => format!("all of its {all} servers answer"),
        (all, good) => {
            format!("{good} of its {all} servers answer: devices get in, and it takes longer while one does not")
        }
    };
    let lookup = |(realm, result): &Lookup| json!({ "realm": &**realm, "ok": result.is_ok(), "text": result.as_ref().err().map(|why| &**why) });
    let step = |step: &Step| json!({ "stage": step.stage, "ok": step.ok, "text": step.text, "micros": step.micros });
    let server = |(server, steps): &(Server, Vec<Step>)| {
        json!({
            "server": server.to_string(),
            "ok": works(steps),
            "steps": steps.iter().map(step).collect::<Value>(),
            "mend": steps.last().filter(|step| !step.ok).map(|step| mend(realm, server, step)),
        })
    };
    json!({
        "name": realm,
        "ok": local || (all > 0 && good == all && found),
        "verdict": verdict,
        "lookups": lookups.iter().map(lookup).collect::<Value>(),
        "servers": servers.iter().map(server).collect::<Value>(),
    })
}

/// What to do when a step went wrong.
fn mend(realm: &str, server: &Server, step: &Step) -> String {
    let (host, port) = (&server.host, server.port);
    if let Some(name) = other_name(&step.text) {
        return format!("if that is the right server: option server_name '{name}' in config realm '{realm}'");
    }
    match (step.stage, server.transport) {
        ("resolve", _) => format!(
            "see whether the name is right and this box can ask DNS (nslookup {host}), or give the server's IP address"
        ),
        ("connect", _) => {
            format!("see that the server runs and listens on TCP port {port}, and that no firewall on the way drops it")
        }
        ("tls", _) => format!(
            "see that port {port} is that of RadSec, and that the server accepts our certificate: it has to know the CA that \
             signed it (latchkey ca export, or options certificate and private_key of config realm '{realm}')"
        ),
        ("certificate", _) => format!(
            "see that config realm '{realm}' has the CA of the server's certificate (option ca) and the name that is in it \
             (option server_name)"
        ),
        (_, Transport::Udp) => format!(
            "see that the server runs and listens on UDP port {port}, that it knows this box as a client, and that the secret is \
             the same on both sides; some servers answer no Status-Server, then only a device can tell"
        ),
        (_, Transport::Radsec) => {
            "the connection is there but the server behind it is silent: its log may say why it does not take \
                                   this box for a client"
                .into()
        }
    }
}

fn path(params: &Params, field: &'static str) -> Result<Option<PathBuf>, ApiError> {
    let Some(text) = params.text(field).filter(|text| !text.is_empty()) else { return Ok(None) };
    if !text.starts_with('/') || text.len() > MAX_PATH || text.contains(char::is_control) {
        let word: String = text.chars().take(40).collect();
        let message = format!("{field} '{word}' must be an absolute path on the box, since the daemon reads it");
        return Err(ApiError::field("path", field, message));
    }
    Ok(Some(text.into()))
}

fn find<'c>(core: &'c Core, name: &str) -> Result<&'c Realm, ApiError> {
    core.config
        .realm(name)
        .ok_or_else(|| ApiError::field("not_found", "name", crate::config::no_realm(&core.config, name)))
}

/// The devices that servers of a realm vouch for.
fn devices<'c>(core: &'c Core, realm: &'c Realm) -> impl Iterator<Item = &'c Device> {
    let of_realm =
        |known_by: &KnownBy| matches!(known_by, KnownBy::Peer { realm: r, .. } if r.eq_ignore_ascii_case(&realm.name));
    core.registry.devices().filter(move |device| {
        device.eap.as_ref().is_some_and(|eap| eap.certificates.iter().any(|c| of_realm(&c.known_by)))
    })
}

/// True when a device can prove who it is without anybody else.
fn has_own(device: &Device) -> bool {
    let own = |known_by: &KnownBy| !matches!(known_by, KnownBy::Peer { .. });
    device.key.is_some()
        || device.eap.as_ref().is_some_and(|eap| eap.psk.is_some() || eap.certificates.iter().any(|c| own(&c.known_by)))
}

/// `local`, `discover`, or the servers.
fn target(realm: &Realm) -> Value {
    match &realm.target {
        Target::Local => json!(["local"]),
        Target::Discover => json!(["discover"]),
        Target::Servers(servers) => servers.iter().map(Server::to_string).collect(),
    }
}

/// What is known of the servers.
fn statuses(core: &Core) -> Vec<(Arc<str>, ServerId, Status)> {
    core.proxy.engine.status()
}

fn shown(core: &Core, realm: &Realm, servers: &[(Arc<str>, ServerId, Status)], now: Now) -> Value {
    let known: Vec<&Status> =
        servers.iter().filter(|(name, ..)| *name == realm.name).map(|(.., status)| status).collect();
    // Those in the configuration in its order, asked or not; then those that DNS told.
    let configured = match &realm.target {
        Target::Servers(servers) => servers.as_slice(),
        Target::Local | Target::Discover => &[],
    };
    let mut list: Vec<Value> = configured
        .iter()
        .map(|server| match known.iter().find(|status| status.server == *server) {
            Some(status) => server_shown(status, now),
            None => json!({ "server": server.to_string(), "health": health(Health::Unknown) }),
        })
        .collect();
    list.extend(
        known.iter().filter(|status| !configured.contains(&status.server)).map(|status| server_shown(status, now)),
    );
    let profile = realm.profile.as_deref().and_then(|profile| core.config.profile(profile));
    json!({
        "name": &*realm.name,
        "realms": realm.patterns.iter().map(ToString::to_string).collect::<Value>(),
        "target": match realm.target {
            Target::Local => "local",
            Target::Discover => "discover",
            Target::Servers(_) => "servers",
        },
        "servers": list,
        "tls": tls(&realm.tls),
        "profile": realm.profile.as_deref(),
        "vlan": profile.and_then(|profile| profile.vlan),
        "admit": realm.admit.as_str(),
        "register": realm.register == crate::config::Register::Yes,
        "session_timeout": realm.session_timeout,
        "share": realm.share.as_str(),
        "mac": realm.mac.as_str(),
        "placement": realm.placement.as_str(),
        "last_good": realm.last_good.as_ref().map(|last| json!({ "seconds": last.seconds, "profiles": last.profiles.iter().map(|p| &**p).collect::<Value>() })),
        "devices": devices(core, realm).count(),
    })
}

fn tls(tls: &Tls) -> Value {
    json!({
        "ca": tls.ca.as_ref().map(|path| path.display().to_string()),
        "certificate": tls.certificate.as_ref().map(|(path, _)| path.display().to_string()),
        "server_name": tls.name.as_deref(),
    })
}

fn health(health: Health) -> &'static str {
    match health {
        Health::Unknown => "unknown",
        Health::Up => "up",
        Health::Suspect => "suspect",
        Health::Down => "down",
    }
}

/// A server and how it is.
pub(super) fn server_shown(status: &Status, now: Now) -> Value {
    let ago = |at| i64::try_from(now.mono.saturating_duration_since(at).as_secs()).unwrap_or(i64::MAX);
    let answered = status.answered.map(|at| UnixTime(now.wall.0.saturating_sub(ago(at))).to_string());
    json!({
        "server": status.server.to_string(),
        "health": health(status.health),
        "in_flight": status.in_flight,
        "round_trip_us": status.round_trip,
        "answered": answered,
        "trouble": status.trouble.as_deref(),
    })
}

#[cfg(test)]
mod tests;
