//! The methods on the pairing window.

use super::params::Params;
use super::{ApiError, Done, edit, view};
use crate::config::Ssid;
use crate::decision::Window;
use crate::json::json;
use crate::service::pairing::{Ended, How, MAX_MINUTES, Open, Paired};
use crate::service::{Core, Now};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How long a window is open when nobody says.
const MINUTES: u32 = 5;

/// `pair_open`: from now on the next unknown device that proves the onboarding key is registered.
pub fn open(core: &mut Core, params: &Params, now: Now) -> Result<Done, ApiError> {
    let profile = edit::check_profile(core, Some(params.need("profile")?))?;
    let minutes = params.number("minutes", 1, MAX_MINUTES)?.unwrap_or(MINUTES);
    let ssid = check_ssid(core, params.text("ssid").filter(|text| !text.is_empty()))?;
    let name = params.text("name").filter(|text| !text.is_empty());
    let name = name.map(|name| edit::check_name(core, name, None)).transpose()?;
    // Its time may be over though no tick has come since.
    core.tick_pairing(now);
    let seconds = u64::from(minutes) * 60;
    if !core.pairing.open(Window { profile: profile.clone(), ssid, name }, Duration::from_secs(seconds), now) {
        let left = core.pairing.current(now.mono).map_or(0, |open| open.left(now.mono).as_secs());
        let message = format!("a pairing window is open already, for {left} s more: latchkey pair --stop closes it");
        return Err(ApiError::new("pairing", message));
    }
    crate::log::info!("pairing window opened for {minutes} min: the next device is registered in profile {profile}");
    Ok(Done::Value(shown(core, now)))
}

/// `pair_stop`: closes the window.
pub fn stop(core: &mut Core, _: &Params, now: Now) -> Result<Done, ApiError> {
    core.tick_pairing(now);
    if !core.pairing.close(How::Stopped, now.wall) {
        return Err(ApiError::new("not_pairing", "no pairing window is open"));
    }
    crate::log::info!("pairing window closed by the administrator");
    Ok(Done::Value(shown(core, now)))
}

/// `pair_show`: the open window, and how the last one ended.
pub fn show(core: &mut Core, _: &Params, now: Now) -> Result<Done, ApiError> {
    core.tick_pairing(now);
    Ok(Done::Value(shown(core, now)))
}

/// The open window, as `status` shows it, too.
pub fn window(core: &Core, now: Now) -> Value {
    core.pairing.current(now.mono).map_or(Value::Null, |open| open_view(core, open, now))
}

fn shown(core: &Core, now: Now) -> Value {
    json!({ "window": window(core, now), "last": core.pairing.last().map(|ended| last_view(core, ended)) })
}

fn open_view(core: &Core, open: &Open, now: Now) -> Value {
    let window = &open.window;
    let ssids = networks(core).filter(|ssid| window.ssid.as_ref().is_none_or(|only| *only == ssid.ssid));
    json!({
        "number": open.number,
        "profile": &*window.profile,
        "vlan": core.config.profile(&window.profile).and_then(|profile| profile.vlan),
        "ssids": ssids.map(|ssid| view::ssid(&ssid.ssid)).collect::<Vec<_>>(),
        "name": window.name.as_deref(),
        "opened_at": open.at.to_string(),
        "seconds_left": open.left(now.mono).as_secs(),
    })
}

fn last_view(core: &Core, ended: &Ended) -> Value {
    let (outcome, paired) = match &ended.how {
        How::Paired(paired) => ("paired", Some(paired)),
        How::Over => ("over", None),
        How::Stopped => ("stopped", None),
        How::Reconfigured => ("reconfigured", None),
    };
    let device = |paired: &Paired| {
        json!({
            // It may have been renamed, or removed.
            "name": core.registry.get(paired.device).map_or(&*paired.name, |device| &*device.name),
            "mac": paired.mac.to_string(),
            "randomised": paired.mac.is_locally_administered(),
            "ssid": view::ssid(&paired.ssid),
            "nas": &*paired.nas,
            "vlan": paired.vlan,
        })
    };
    json!({
        "number": ended.number,
        "profile": &*ended.window.profile,
        "at": ended.at.to_string(),
        "outcome": outcome,
        "device": paired.map(device),
    })
}

/// The networks that have an onboarding key.
fn networks(core: &Core) -> impl Iterator<Item = &Ssid> {
    core.config.ssids.iter().filter(|ssid| ssid.unknown.onboarding_key().is_some())
}

fn check_ssid(core: &Core, wanted: Option<&str>) -> Result<Option<Arc<[u8]>>, ApiError> {
    let known: Vec<String> = networks(core).map(|ssid| view::ssid(&ssid.ssid)).collect();
    if known.is_empty() {
        let message = "no SSID has an onboarding key, which is what the device is to prove: add option unknown \
                       'pairing' and option onboarding_key '...' to its config ssid section";
        return Err(ApiError::field("no_onboarding_key", "ssid", message));
    }
    let Some(wanted) = wanted else { return Ok(None) };
    match networks(core).find(|ssid| *ssid.ssid == *wanted.as_bytes()) {
        Some(ssid) => Ok(Some(ssid.ssid.clone())),
        None => {
            let shown: String = wanted.chars().take(40).collect();
            let message = format!("'{shown}' is no SSID with an onboarding key: there is {}", known.join(", "));
            Err(ApiError::field("ssid", "ssid", message))
        }
    }
}
