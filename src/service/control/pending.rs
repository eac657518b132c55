//! The methods on unknown devices.

use super::edit::{self, Wanted};
use super::params::Params;
use super::{ApiError, Done, device, view};
use crate::mac::MacAddr;
use crate::registry::device::{Bind, Change};
use crate::service::pending::Pending;
use crate::service::{Core, Now};
use serde_json::{Value, json};

/// `pending_list`: the unknown devices that knocked, the latest first.
pub fn list(core: &mut Core, _: &Params, _: Now) -> Result<Done, ApiError> {
    let pending: Value = core.pending.list().into_iter().map(view::pending).collect();
    Ok(Done::Value(json!({ "pending": pending })))
}

/// `pending_approve`: registers an unknown device under its address. One that proved the onboarding key goes on
/// using it, in its new profile; any other gets a key of its own to be typed in.
pub fn approve(core: &mut Core, params: &Params, now: Now) -> Result<Done, ApiError> {
    let mac = params.mac("mac")?;
    let quarantined = find(core, mac)?.quarantined;
    let text = mac.to_string();
    let wanted = Wanted {
        name: params.need("name")?,
        profile: params.text("profile"),
        macs: vec![&text],
        bind: Some(Bind::Mac.as_str()),
        max_devices: Some(1),
        ..Wanted::default()
    };
    let mut approved = edit::create(core, &wanted, core.registry.next_id(), &[], now)?;
    if !quarantined {
        return Ok(device::put(approved, true));
    }
    approved.key = None;
    let Done::Commit { changes, then } = device::put(approved, false) else {
        return Err(ApiError::new("internal", "the approval could not be prepared"));
    };
    let then: super::Then = Box::new(move |core, now| {
        let mut result = then(core, now);
        result["note"] = "It keeps using the onboarding key, known by its address. To give it a key of its own: \
                          latchkey device rotate NAME"
            .into();
        result
    });
    Ok(Done::Commit { changes, then })
}

/// `pending_ignore`: takes an unknown device off the list for good.
pub fn ignore(core: &mut Core, params: &Params, _: Now) -> Result<Done, ApiError> {
    let mac = params.mac("mac")?;
    if let Some(device) = core.registry.by_mac(mac) {
        let message = format!("{mac} belongs to '{0}': latchkey device block {0} refuses it", device.name);
        return Err(ApiError::field("mac_taken", "mac", message));
    }
    Ok(Done::Commit { changes: vec![Change::Ignore(mac, true)], then: Box::new(|_, _| json!({})) })
}

fn find(core: &Core, mac: MacAddr) -> Result<&Pending, ApiError> {
    core.pending.get(mac).ok_or_else(|| {
        let message = format!(
            "{mac} is not waiting (latchkey pending list shows who is); to register it all the same: latchkey device \
             add NAME --mac {mac}"
        );
        ApiError::field("not_found", "mac", message)
    })
}
