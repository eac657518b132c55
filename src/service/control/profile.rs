//! The methods on profiles. What they change is the configuration file, which the shell reads and writes.

use super::params::Params;
use super::{ApiError, Done, view};
use crate::config::{Plan, PlanError, Profile, ProfileAction, ProfileEdit, ProfileOptions, Unknown};
use crate::json::json;
use crate::service::{Core, Now};
use serde_json::Value;

/// Devices that a refusal names.
const NAMED: usize = 5;

/// `profile_list`: all profiles, and what uses them.
pub fn list(core: &mut Core, _: &Params, _: Now) -> Result<Done, ApiError> {
    let profiles: Value = core.config.profiles.iter().map(|profile| shown(core, profile)).collect();
    Ok(Done::Value(json!({ "profiles": profiles, "revision": core.revision() })))
}

/// `profile_add`: a new one, behind the others.
pub fn add(_: &mut Core, params: &Params, _: Now) -> Result<Done, ApiError> {
    edit(params, ProfileAction::Add(options(params)?))
}

/// `profile_set`: changes what is given, lists as a whole.
pub fn set(_: &mut Core, params: &Params, _: Now) -> Result<Done, ApiError> {
    let options = options(params)?;
    if options == ProfileOptions::default() {
        params.need("name")?;
        let message = "say what to change: vlan, access, allow, hours, isolate, bridge or addresses";
        return Err(ApiError::field("missing", "vlan", message));
    }
    edit(params, ProfileAction::Set(options))
}

/// `profile_remove`: takes it out, unless something uses it.
pub fn remove(core: &mut Core, params: &Params, _: Now) -> Result<Done, ApiError> {
    check_unused(core, params.need("name")?)?;
    edit(params, ProfileAction::Remove)
}

fn edit(params: &Params, action: ProfileAction) -> Result<Done, ApiError> {
    let edit = Box::new(ProfileEdit { name: params.need("name")?.into(), action });
    Ok(Done::Profile { edit, dry_run: params.flag("dry_run") })
}

fn options(params: &Params) -> Result<ProfileOptions, ApiError> {
    let text = |field| params.text(field).map(Into::into);
    let list = |field| params.has(field).then(|| params.texts(field).map(Into::into).collect());
    let vlan = params.number("vlan", 0, 4094)?;
    Ok(ProfileOptions {
        vlan: vlan.and_then(|vlan| u16::try_from(vlan).ok()),
        access: text("access"),
        allow: list("allow"),
        hours: list("hours"),
        isolate: params.has("isolate").then(|| params.flag("isolate")),
        bridge: text("bridge"),
        addresses: list("addresses"),
    })
}

/// What refers to a profile by name, besides devices: the kind of thing, and its name.
fn uses(core: &Core, profile: &str) -> Vec<(&'static str, String)> {
    let mut uses = Vec::new();
    for realm in &core.config.realms {
        let kept = realm.last_good.iter().flat_map(|last| &last.profiles);
        if realm.profile.iter().chain(kept).any(|name| **name == *profile) {
            uses.push(("realm", realm.name.to_string()));
        }
    }
    let of_maker = core.registry.makers().filter(|maker| *maker.profile == *profile);
    uses.extend(of_maker.map(|maker| ("maker", maker.name.to_string())));
    for ssid in &core.config.ssids {
        if matches!(&ssid.unknown, Unknown::Quarantine { profile: name, .. } if **name == *profile) {
            uses.push(("ssid", view::ssid(&ssid.ssid)));
        }
    }
    uses
}

/// Refuses to take away what something needs.
///
/// # Errors
/// What uses the profile, and the mend.
pub fn check_unused(core: &Core, profile: &str) -> Result<(), ApiError> {
    let mut by: Vec<String> = uses(core, profile)
        .into_iter()
        .map(|(kind, name)| match kind {
            "ssid" => format!("SSID '{name}' puts unknown devices there (option quarantine_profile)"),
            "maker" => format!("maker '{name}' has it (latchkey maker set {name} --profile P)"),
            _ => format!("realm '{name}' has it (option profile or last_good_profile)"),
        })
        .collect();
    let devices: Vec<&str> =
        core.registry.devices().filter(|device| *device.profile == *profile).map(|device| &*device.name).collect();
    if let Some(first) = devices.first() {
        let named = devices.get(..NAMED).unwrap_or(&devices).join(", ");
        let more = if devices.len() > NAMED { format!(" and {} more", devices.len() - NAMED) } else { String::new() };
        let noun = if devices.len() == 1 { "device is" } else { "devices are" };
        let count = devices.len();
        by.push(format!("{count} {noun} in it: {named}{more} (latchkey device set {first} profile=P)"));
    }
    if by.is_empty() {
        return Ok(());
    }
    let message = format!("profile '{profile}' is in use, change that first: {}", by.join("; "));
    Err(ApiError::field("in_use", "name", message))
}

fn shown(core: &Core, profile: &Profile) -> Value {
    let texts = |values: &mut dyn Iterator<Item = String>| values.collect::<Vec<_>>();
    let used_by: Value =
        uses(core, &profile.name).into_iter().map(|(kind, name)| json!({ "kind": kind, "name": name })).collect();
    json!({
        "name": &*profile.name,
        "vlan": profile.vlan,
        "access": profile.access.as_str(),
        "allow": texts(&mut profile.allow.iter().map(ToString::to_string)),
        "hours": texts(&mut profile.hours.iter().map(ToString::to_string)),
        "isolate": profile.isolate == crate::config::Isolate::Yes,
        "bridge": profile.bridge.as_deref(),
        "addresses": texts(&mut profile.addresses.iter().map(ToString::to_string)),
        "devices": core.registry.devices().filter(|device| device.profile == profile.name).count(),
        "default": core.config.default_profile().is_some_and(|first| first.name == profile.name),
        "used_by": used_by,
    })
}

/// The reply of `profile_add`, `profile_set` and `profile_remove`.
pub fn edited(core: &Core, edit: &ProfileEdit, plan: &Plan<Option<Profile>>, dry_run: bool) -> Value {
    json!({
        "name": &*edit.name,
        "profile": plan.after.as_ref().map(|profile| shown(core, profile)),
        "file": core.config_state.file.display().to_string(),
        "diff": view::diff(&plan.diff),
        "notes": plan.notes,
        "warnings": plan.warnings,
        "dry_run": dry_run,
        "in_force": !dry_run,
    })
}

/// A refused plan, for the one who asked.
pub fn not_planned(why: PlanError) -> ApiError {
    match why.field {
        Some(field) => ApiError::field(why.code, field, why.message),
        None => ApiError::new(why.code, why.message),
    }
}

#[cfg(test)]
mod tests;
