//! The methods on devices.

use super::credential::{Given, WantedEap};
use super::edit::{self, Wanted};
use super::params::{Params, parse_mac};
use super::{ApiError, Done, Then, credential, place, supplicant, view};
use crate::json::json;
use crate::registry::credential::EapPsk;
use crate::registry::device::{BoundMac, Change, Device, DeviceId};
use crate::service::{Core, Now};
use qrcodegen::{QrCode, QrCodeEcc};
use serde_json::Value;

/// `device_add`: registers a device with credentials of its own, given or made; with a Wi-Fi key that is made if nothing
/// else is asked for.
pub fn add(core: &mut Core, params: &Params, now: Now) -> Result<Done, ApiError> {
    let key = params.text("key").filter(|key| !key.is_empty());
    if key.is_some() && params.flag("generate") {
        return Err(ApiError::field("conflict", "generate", "either give a key or have one generated, not both"));
    }
    let wanted = Wanted {
        name: params.need("name")?,
        profile: params.text("profile"),
        macs: params.texts("macs").collect(),
        key,
        bind: params.text("bind"),
        max_devices: params.number("max_devices", 0, u32::from(u16::MAX))?,
        expires: params.text("expires"),
        generate: params.flag("generate"),
        eap: WantedEap::of(params),
        ssids: params.texts("ssids").collect(),
        aps: params.texts("aps").collect(),
    };
    let (device, given) = edit::create_with(core, &wanted, core.registry.next_id(), &[], now)?;
    credential::put(core, device, given, params)
}

/// `device_list`: the devices in the order of registration, without their keys.
pub fn list(core: &mut Core, params: &Params, now: Now) -> Result<Done, ApiError> {
    let (offset, limit) = params.page()?;
    let page = core.registry.devices().skip(offset).take(limit);
    let devices: Value = page.map(|device| view::device(core, device, now)).collect();
    let (total, revision) = (core.registry.len(), core.revision());
    Ok(Done::Value(json!({ "devices": devices, "total": total, "revision": revision })))
}

/// `device_show`: one device, without its keys.
pub fn show(core: &mut Core, params: &Params, now: Now) -> Result<Done, ApiError> {
    let device = find(core, params)?;
    Ok(Done::Value(json!({ "device": view::device(core, device, now) })))
}

/// `device_secret`: one device, with its keys and what is to be fed into it.
pub fn secret(core: &mut Core, params: &Params, now: Now) -> Result<Done, ApiError> {
    let device = find(core, params)?;
    let certificates = device.eap.as_ref().map(|eap| eap.certificates.as_slice()).unwrap_or_default();
    let mut result = json!({
        "device": view::device(core, device, now),
        "key": device.key.as_ref().map(|key| key.expose()),
        "eap_psk": view::eap_psk(core, device),
    });
    if !certificates.is_empty() {
        result["eap_tls"] = supplicant::tls(core, device, certificates.iter().any(|c| c.issued)).into();
    }
    Ok(Done::Value(result))
}

/// `device_set`: changes name, profile, bind, max_devices, expires, mac, mac+, mac- of a device.
pub fn set(core: &mut Core, params: &Params, now: Now) -> Result<Done, ApiError> {
    let mut device = find(core, params)?.clone();
    let id = Some(device.id);
    let mut any = false;
    for (key, value) in params.table("set") {
        any = true;
        match key {
            "name" => device.name = edit::check_name(core, value, id)?,
            "profile" => device.profile = edit::check_profile(core, Some(value))?,
            "bind" => device.bind = edit::parse_bind(value)?,
            "max_devices" => {
                device.max_devices = value.parse().map_err(|_| {
                    let message = format!("max_devices must be a number from 0 (no limit) to {}", u16::MAX);
                    ApiError::field("range", "max_devices", message)
                })?;
            }
            "expires" => device.expires = edit::parse_expires(core, value, now.wall)?,
            "mac" => device.macs = keep_proofs(&device, edit::check_macs(core, &split(value), id, now.wall)?),
            "mac+" => {
                for bound in edit::check_macs(core, &split(value), id, now.wall)? {
                    if !device.has_mac(bound.mac) {
                        device.macs.push(bound);
                    }
                }
            }
            "mac-" => {
                for text in split(value) {
                    let mac = parse_mac(text, "mac")?;
                    if !device.has_mac(mac) {
                        let message = format!("mac {mac} is not bound to '{}'", device.name);
                        return Err(ApiError::field("mac", "mac", message));
                    }
                    device.macs.retain(|bound| bound.mac != mac);
                }
            }
            "ssid" | "ssid+" | "ssid-" | "ap" | "ap+" | "ap-" => place::set(core, &mut device, key, value)?,
            other => {
                let shown: String = other.chars().take(40).collect();
                let message = format!(
                    "'{shown}' cannot be set: use name, profile, bind, max_devices, expires, mac, mac+, mac-, ssid, ssid+, \
                     ssid-, ap, ap+ or ap- (a new key: latchkey device rotate)"
                );
                return Err(ApiError::field("unknown_field", "set", message));
            }
        }
    }
    if !any {
        return Err(ApiError::field("missing", "set", "say what to set: KEY=VALUE"));
    }
    edit::check_binding(&device)?;
    Ok(put(device, false))
}

/// `device_rotate`: gives a device a new key; the old one is refused from then on.
pub fn rotate(core: &mut Core, params: &Params, _: Now) -> Result<Done, ApiError> {
    let mut device = find(core, params)?.clone();
    let id = Some(device.id);
    let octets = params.text("eap_psk_key").filter(|key| !key.is_empty());
    if octets.is_some() || params.flag("eap_psk") {
        return rotate_psk(core, device, octets, params);
    }
    let given = params.text("key").filter(|key| !key.is_empty());
    if device.key.is_none() && !device.uses_onboarding_key() {
        let name = &device.name;
        let message = match device.eap.as_ref().is_some_and(|eap| eap.psk.is_some()) {
            true => {
                format!("'{name}' has no Wi-Fi key: latchkey device rotate {name} --eap-psk gives it a new EAP-PSK key")
            }
            false => {
                format!("'{name}' has certificates only: latchkey device credential add {name} gives it another one")
            }
        };
        return Err(ApiError::field("no_key", "name", message));
    }
    let key = match given {
        Some(text) if device.key.as_ref().is_some_and(|key| key.expose() == text) => {
            return Err(ApiError::field("same_key", "key", "this is the key the device has already"));
        }
        Some(text) => edit::check_key(core, text, &device.name, id, &[])?,
        None => edit::generate(core, &device.name, id, &[])?,
    };
    device.key = Some(key);
    device.key_serial = device.key_serial.wrapping_add(1);
    Ok(put(device, given.is_none()))
}

fn rotate_psk(core: &mut Core, mut device: Device, text: Option<&str>, params: &Params) -> Result<Done, ApiError> {
    let Some((mut eap, psk)) = device.eap.clone().and_then(|eap| eap.psk.clone().map(|psk| (eap, psk))) else {
        let name = &device.name;
        let message =
            format!("'{name}' has no EAP-PSK key: latchkey device credential add {name} --eap-psk gives it one");
        return Err(ApiError::field("no_key", "eap_psk", message));
    };
    if params.text("key").is_some_and(|key| !key.is_empty()) {
        return Err(ApiError::field("conflict", "key", "one key at a time: the Wi-Fi key, or the EAP-PSK key"));
    }
    let key = credential::psk_key(core, &device, &psk.nai, text, &[])?;
    if key == psk.key {
        return Err(ApiError::field("same_key", "eap_psk_key", "this is the key the device has already"));
    }
    eap.psk = Some(EapPsk { key, ..psk });
    eap.serial = eap.serial.wrapping_add(1);
    device.eap = Some(eap);
    credential::put(core, device, Given { psk: text.is_none(), ..Given::default() }, params)
}

/// `device_block`: refuses a device until it is unblocked.
pub fn block(core: &mut Core, params: &Params, _: Now) -> Result<Done, ApiError> {
    let device = find(core, params)?;
    Ok(put(Device { blocked: true, ..device.clone() }, false))
}

/// `device_unblock`: the opposite.
pub fn unblock(core: &mut Core, params: &Params, _: Now) -> Result<Done, ApiError> {
    let device = find(core, params)?;
    Ok(put(Device { blocked: false, ..device.clone() }, false))
}

/// `device_remove`: forgets a device, its key and its addresses.
pub fn remove(core: &mut Core, params: &Params, now: Now) -> Result<Done, ApiError> {
    let device = find(core, params)?;
    let shown = json!({ "device": view::device(core, device, now) });
    Ok(Done::Commit { changes: vec![Change::Remove(device.id)], then: Box::new(|_, _| shown) })
}

/// `qr`: what a QR code for this device and SSID says, and its modules, row by row, '1' for a dark one, without the quiet
/// zone (ISO/IEC 18004): who shows it needs no library of its own.
pub fn qr(core: &mut Core, params: &Params, _: Now) -> Result<Done, ApiError> {
    let device = find(core, params)?;
    let ssid = params.need("ssid")?;
    if core.config.ssid(ssid.as_bytes()).is_none() {
        let known: Vec<String> = core.config.ssids.iter().map(|s| view::ssid(&s.ssid)).collect();
        let shown: String = ssid.chars().take(40).collect();
        let message = format!("there is no SSID '{shown}': the configuration has {}", known.join(", "));
        return Err(ApiError::field("ssid", "ssid", message));
    }
    let Some(key) = &device.key else {
        if !device.uses_onboarding_key() {
            let message = format!(
                "'{0}' has no Wi-Fi key to be scanned, it proves itself with EAP: latchkey device show {0} --secret says what \
                 to feed into it",
                device.name
            );
            return Err(ApiError::field("no_key", "name", message));
        }
        let message = format!("'{0}' has no key of its own: latchkey device rotate {0} gives it one", device.name);
        return Err(ApiError::field("no_key", "name", message));
    };
    let text = format!("WIFI:T:WPA;S:{};P:{};;", escape(ssid), escape(key.expose()));
    let matrix = matrix(&text)?;
    Ok(Done::Value(json!({
        "text": text,
        "matrix": matrix,
        "key": key.expose(),
        "ssid": ssid,
        "name": &*device.name,
    })))
}

/// The modules of a QR code with level M: at most 15 % of it may be damaged.
fn matrix(text: &str) -> Result<Vec<String>, ApiError> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium)
        .map_err(|_| ApiError::field("too_long", "ssid", "this SSID and key do not fit into a QR code"))?;
    let modules = 0..code.size();
    let row = |y| modules.clone().map(|x| if code.get_module(x, y) { '1' } else { '0' }).collect();
    Ok(modules.clone().map(row).collect())
}

/// Escapes what has a meaning in a `WIFI:` text (the ZXing convention all phones follow).
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '\\' | ';' | ',' | ':' | '"') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// A change of one device, and the reply that shows it; with its key when that was just generated.
pub fn put(device: Device, with_key: bool) -> Done {
    let id = device.id;
    Done::Commit { changes: vec![Change::Put(vec![device])], then: show_after(id, with_key) }
}

fn show_after(id: DeviceId, with_key: bool) -> Then {
    Box::new(move |core, now| {
        let device = core.registry.get(id);
        let mut result = json!({ "device": device.map(|device| view::device(core, device, now)) });
        if with_key {
            result["key"] = device.and_then(|device| device.key.as_ref()).map(|key| key.expose()).into();
        }
        result
    })
}

pub(super) fn find<'a>(core: &'a Core, params: &Params) -> Result<&'a Device, ApiError> {
    let name = params.need("name")?;
    core.registry.by_name(name).ok_or_else(|| {
        let shown: String = name.chars().take(40).collect();
        ApiError::field("not_found", "name", format!("there is no device '{shown}': see latchkey device list"))
    })
}

fn split(value: &str) -> Vec<&str> {
    value.split([',', ';', ' ']).filter(|part| !part.is_empty()).collect()
}

/// An address that stays keeps when and how it was bound.
fn keep_proofs(device: &Device, mut macs: Vec<BoundMac>) -> Vec<BoundMac> {
    for bound in &mut macs {
        if let Some(known) = device.macs.iter().find(|known| known.mac == bound.mac) {
            *bound = *known;
        }
    }
    macs
}
