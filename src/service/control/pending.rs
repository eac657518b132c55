//! The methods on unknown devices.

use super::edit::{self, Wanted};
use super::params::Params;
use super::{ApiError, Done, device, view};
use crate::decision::maker::registered;
use crate::decision::peer;
use crate::json::json;
use crate::mac::MacAddr;
use crate::pki::Voucher;
use crate::registry::credential::EapCredentials;
use crate::registry::device::{Bind, Change};
use crate::service::pending::{Pending, Proved};
use crate::service::{Core, Now, proxy};
use serde_json::Value;

/// `pending_list`: the unknown devices that knocked, the latest first; with `ignored` those that are not listed.
pub fn list(core: &mut Core, params: &Params, _: Now) -> Result<Done, ApiError> {
    if params.flag("ignored") {
        let ignored = core.registry.ignored();
        let ignored: Value =
            ignored.map(|mac| json!({ "mac": mac.to_string(), "randomised": mac.is_locally_administered() })).collect();
        return Ok(Done::Value(json!({ "ignored": ignored, "revision": core.revision() })));
    }
    let pending: Value = core.pending.list().into_iter().map(view::pending).collect();
    Ok(Done::Value(json!({ "pending": pending, "revision": core.pending_revision() })))
}

/// `pending_approve`: registers an unknown device under its address. One that proved the onboarding key goes on
/// using it, in its new profile; one that showed a maker's certificate is known by that from now on, in its maker's
/// profile unless another is named; any other gets a key of its own to be typed in. With `certificate` (the beginning of a
/// fingerprint) only the device with that certificate is approved, which has to be said when its address showed two.
pub fn approve(core: &mut Core, params: &Params, now: Now) -> Result<Done, ApiError> {
    let mac = params.mac("mac")?;
    let proved = chosen(find(core, mac)?, params.text("certificate"))?.clone();
    let of_maker = match &proved {
        Proved::Certificate { maker, .. } => core.registry.maker(maker).map(|maker| maker.profile.clone()),
        Proved::Peer { realm, .. } => proxy::realm(&core.config, realm).and_then(|realm| realm.profile.clone()),
        _ => None,
    };
    let text = mac.to_string();
    let wanted = Wanted {
        name: params.need("name")?,
        profile: params.text("profile").filter(|name| !name.is_empty()).or(of_maker.as_deref()),
        macs: vec![&text],
        bind: Some(Bind::Mac.as_str()),
        max_devices: Some(1),
        ..Wanted::default()
    };
    let mut approved = edit::create(core, &wanted, core.registry.next_id(), &[], now)?;
    let note = match &proved {
        Proved::Nothing | Proved::KeyOf(_) => return Ok(device::put(approved, true)),
        Proved::Onboarding => format!(
            "It keeps using the onboarding key, known by its address. To give it a key of its own: latchkey device rotate {}",
            wanted.name
        ),
        Proved::Certificate { info, maker } => {
            if let Some(other) = core.registry.by_certificate(info, &Voucher::Maker(maker.clone())) {
                let message = format!("its certificate is registered for '{}' already", other.name);
                return Err(ApiError::field("certificate_taken", "mac", message));
            }
            let certificates = vec![registered(maker, info, now.wall)];
            approved.eap = Some(Box::new(EapCredentials { psk: None, certificates, serial: 1 }));
            approved.bind = Bind::First;
            format!("It proves itself with its certificate ({}), for which the maker {maker} vouches.", info.subject)
        }
        Proved::Peer { realm, identity } => {
            let certificate = peer::registered(realm, identity, now.wall);
            if let Some(other) = core.registry.holder(&certificate.known_by, None) {
                let message = format!("{realm} calls '{}' by this name already: {identity}", other.name);
                return Err(ApiError::field("identity_taken", "mac", message));
            }
            approved.eap = Some(Box::new(EapCredentials { psk: None, certificates: vec![certificate], serial: 1 }));
            approved.bind = Bind::First;
            format!("It is let in when {realm} vouches for it ({identity}).")
        }
    };
    approved.key = None;
    approved.macs.iter_mut().for_each(|bound| bound.proved = true);
    let Done::Commit { changes, then } = device::put(approved, false) else {
        return Err(ApiError::new("internal", "the approval could not be prepared"));
    };
    let then: super::Then = Box::new(move |core, now| {
        let mut result = then(core, now);
        result["note"] = note.into();
        result
    });
    Ok(Done::Commit { changes, then })
}

/// What the administrator approves of a device.
fn chosen<'a>(pending: &'a Pending, wanted: Option<&str>) -> Result<&'a Proved, ApiError> {
    let digits = |text: &str| text.chars().filter(|c| !matches!(c, ':' | ' ')).collect::<String>().to_ascii_lowercase();
    let wanted = wanted.map(digits).filter(|wanted| !wanted.is_empty());
    let shown = [Some(&pending.proved), pending.other.as_ref()].into_iter().flatten();
    let Some(wanted) = wanted else {
        return match &pending.other {
            None => Ok(&pending.proved),
            Some(_) => {
                let message = format!(
                    "two certificates or identities were shown at {}, and one of them may be a stranger's: say which one \
                     counts (--certificate FINGERPRINT-OR-IDENTITY, see latchkey pending list)",
                    pending.mac
                );
                Err(ApiError::field("ambiguous", "certificate", message))
            }
        };
    };
    let found: Vec<&Proved> =
        shown.filter(|proved| proved.mark().is_some_and(|mark| digits(&mark).starts_with(&wanted))).collect();
    let short: String = wanted.chars().take(64).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => {
            let message = format!("{} has shown no certificate or identity that begins with {short}", pending.mac);
            Err(ApiError::field("not_found", "certificate", message))
        }
        _ => {
            let message = format!("both begin with {short}: give more of it");
            Err(ApiError::field("ambiguous", "certificate", message))
        }
    }
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

/// `pending_unignore`: the opposite.
pub fn unignore(core: &mut Core, params: &Params, _: Now) -> Result<Done, ApiError> {
    let mac = params.mac("mac")?;
    if !core.registry.is_ignored(mac) {
        let message = format!("{mac} is not ignored: see latchkey pending list --ignored");
        return Err(ApiError::field("not_found", "mac", message));
    }
    Ok(Done::Commit { changes: vec![Change::Ignore(mac, false)], then: Box::new(|_, _| json!({})) })
}

fn find(core: &Core, mac: MacAddr) -> Result<&Pending, ApiError> {
    core.pending.get(mac).ok_or_else(|| {
        if core.registry.is_ignored(mac) {
            let message = format!("{mac} is ignored: latchkey pending unignore {mac}, and let it try again");
            return ApiError::field("not_found", "mac", message);
        }
        let message = format!(
            "{mac} is not waiting (latchkey pending list shows who is); to register it all the same: latchkey device \
             add NAME --mac {mac}"
        );
        ApiError::field("not_found", "mac", message)
    })
}
