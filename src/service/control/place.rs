//! Where a device may be, as administrators say it, checked.

use super::params::parse_mac;
use super::{ApiError, view};
use crate::registry::credential::Place;
use crate::registry::device::Device;
use crate::service::Core;

/// How many places one device can have.
const MAX_PLACES: usize = 16;

/// SSIDs of the configuration, and BSSIDs of access points.
pub fn check(core: &Core, ssids: &[&str], aps: &[&str]) -> Result<Vec<Place>, ApiError> {
    let mut places = Vec::new();
    for text in ssids.iter().filter(|text| !text.is_empty()) {
        push(&mut places, ssid(core, text)?)?;
    }
    for text in aps.iter().filter(|text| !text.trim().is_empty()) {
        push(&mut places, Place::Ap(parse_mac(text.trim(), "ap")?))?;
    }
    Ok(places)
}

/// Sets, adds or takes away one place: `ssid`, `ssid+`, `ssid-`, `ap`, `ap+`, `ap-`. An empty text takes all away.
pub fn set(core: &Core, device: &mut Device, key: &str, value: &str) -> Result<(), ApiError> {
    let (kind, how) = key.split_at(key.len() - usize::from(key.ends_with(['+', '-'])));
    let of_ssid = kind == "ssid";
    let place = match (of_ssid, how) {
        _ if value.is_empty() && how.is_empty() => None,
        // One that is no longer in the configuration can be taken away.
        (true, "-") => Some(Place::Ssid(value.as_bytes().into())),
        (true, _) => Some(ssid(core, value)?),
        (false, _) => Some(Place::Ap(parse_mac(value.trim(), "ap")?)),
    };
    if how.is_empty() {
        device.places.retain(|place| matches!(place, Place::Ssid(_)) != of_ssid);
    }
    match place {
        None => Ok(()),
        Some(place) if how == "-" => {
            let before = device.places.len();
            device.places.retain(|known| *known != place);
            if device.places.len() < before {
                return Ok(());
            }
            let shown: String = value.chars().take(40).collect();
            let message = format!("'{}' is not bound to {kind} '{shown}': see latchkey device show", device.name);
            Err(ApiError::field("place", if of_ssid { "ssid" } else { "ap" }, message))
        }
        Some(place) => push(&mut device.places, place),
    }
}

fn push(places: &mut Vec<Place>, place: Place) -> Result<(), ApiError> {
    if places.contains(&place) {
        return Ok(());
    }
    if places.len() >= MAX_PLACES {
        let message = format!(
            "one device has at most {MAX_PLACES} SSIDs and access points: leave them out to let it in anywhere"
        );
        return Err(ApiError::field("too_many", "ap", message));
    }
    places.push(place);
    Ok(())
}

fn ssid(core: &Core, text: &str) -> Result<Place, ApiError> {
    if core.config.ssid(text.as_bytes()).is_some() {
        return Ok(Place::Ssid(text.as_bytes().into()));
    }
    let known: Vec<String> = core.config.ssids.iter().map(|ssid| view::ssid(&ssid.ssid)).collect();
    let shown: String = text.chars().take(40).collect();
    let message = format!("there is no SSID '{shown}': the configuration has {}", known.join(", "));
    Err(ApiError::field("ssid", "ssid", message))
}
