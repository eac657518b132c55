//! Devices as administrators describe them, checked: the rules are the same for `device_add`, every line of an
//! import, `device_set` and `device_rotate`.

use super::credential::{self, Given, WantedEap};
use super::params::parse_mac;
use super::{ApiError, place};
use crate::mac::MacAddr;
use crate::registry::MAX_MACS;
use crate::registry::device::{Bind, BoundMac, Device, DeviceId};
use crate::registry::generate::{generate_key, valid_name};
use crate::registry::similar::{Signature, Similarity, similar};
use crate::registry::similar_octets;
use crate::registry::weak;
use crate::secret::Passphrase;
use crate::service::{Core, Now};
use crate::time::UnixTime;
use std::sync::Arc;

/// A device as it is asked for; empty texts count as absent.
#[derive(Debug, Default)]
pub struct Wanted<'a> {
    pub name: &'a str,
    pub profile: Option<&'a str>,
    pub macs: Vec<&'a str>,
    pub key: Option<&'a str>,
    pub bind: Option<&'a str>,
    pub max_devices: Option<u32>,
    pub expires: Option<&'a str>,
    /// Make a Wi-Fi key even if there are credentials for EAP.
    pub generate: bool,
    pub eap: WantedEap<'a>,
    pub ssids: Vec<&'a str>,
    pub aps: Vec<&'a str>,
}

/// A device about to be added, with what its keys are compared by.
#[derive(Debug)]
pub struct Other {
    pub device: Device,
    pub signature: Option<Signature>,
    pub octets: similar_octets::Signature,
}

impl Other {
    pub fn new(device: Device) -> Other {
        let signature = device.key.as_ref().map(Signature::of);
        let octets = similar_octets::Signature::of(&device);
        Other { device, signature, octets }
    }
}

/// Checks a wanted device against the configuration and the registry; its key is given, or generated.
/// `others` are devices about to be added with it.
pub fn create(
    core: &mut Core,
    wanted: &Wanted<'_>,
    id: DeviceId,
    others: &[Other],
    now: Now,
) -> Result<Device, ApiError> {
    create_with(core, wanted, id, others, now).map(|(device, _)| device)
}

/// The same, and what was made for it.
pub fn create_with(
    core: &mut Core,
    wanted: &Wanted<'_>,
    id: DeviceId,
    others: &[Other],
    now: Now,
) -> Result<(Device, Given), ApiError> {
    let key = wanted.key.filter(|text| !text.is_empty());
    let wifi = key.is_some() || wanted.generate || wanted.eap.is_empty();
    let name = check_name(core, wanted.name, None)?;
    // What is said of a maker's devices holds for one that is registered by hand, too.
    let of_maker = wanted.eap.maker.and_then(|name| core.registry.makers().find(|m| m.name.eq_ignore_ascii_case(name)));
    let of_maker = of_maker.map(|maker| maker.profile.clone());
    let profile = check_profile(core, wanted.profile.filter(|text| !text.is_empty()).or(of_maker.as_deref()))?;
    let macs = check_macs(core, &wanted.macs, None, now.wall)?;
    let bind = match wanted.bind.filter(|text| !text.is_empty()) {
        Some(text) => parse_bind(text)?,
        None if wifi => Bind::First,
        None => credential::default_bind(!macs.is_empty()),
    };
    let max_devices = match wanted.max_devices {
        Some(max) => u16::try_from(max).unwrap_or(u16::MAX),
        None if bind == Bind::First => u16::try_from(macs.len()).unwrap_or(u16::MAX).max(1),
        None => 0,
    };
    let expires = match wanted.expires.filter(|text| !text.is_empty()) {
        Some(text) => parse_expires(core, text, now.wall)?,
        None => None,
    };
    let mut device = Device {
        id,
        name,
        profile,
        key: None,
        key_serial: 1,
        bind,
        max_devices,
        macs,
        expires,
        blocked: false,
        created: now.wall,
        eap: None,
        places: place::check(core, &wanted.ssids, &wanted.aps)?,
    };
    check_binding(&device)?;
    if wifi {
        device.key = Some(match key {
            Some(text) => check_key(core, text, &device.name, None, others)?,
            None => generate(core, &device.name, None, others)?,
        });
    }
    let given = credential::add_to(core, &mut device, &wanted.eap, others, now)?;
    Ok((device, Given { key: wifi && key.is_none(), ..given }))
}

/// A name that is well-formed and not taken.
pub fn check_name(core: &Core, name: &str, except: Option<DeviceId>) -> Result<Arc<str>, ApiError> {
    if name.is_empty() {
        return Err(ApiError::field("missing", "name", "name is missing"));
    }
    if let Err(why) = valid_name(name) {
        let shown: String = name.chars().take(40).collect();
        return Err(ApiError::field("name", "name", format!("name '{shown}': {why}")));
    }
    match core.registry.by_name(name) {
        Some(other) if Some(other.id) != except => {
            let message = format!("there is a device '{}' already: choose another name", other.name);
            Err(ApiError::field("name_taken", "name", message))
        }
        _ => Ok(name.into()),
    }
}

/// A profile that is in the configuration; the first one when none is named.
pub fn check_profile(core: &Core, name: Option<&str>) -> Result<Arc<str>, ApiError> {
    let found = match name {
        Some(name) => core.config.profile(name),
        None => core.config.default_profile(),
    };
    found.map(|profile| profile.name.clone()).ok_or_else(|| {
        let names: Vec<&str> = core.config.profiles.iter().map(|profile| &*profile.name).collect();
        let message = match name {
            _ if names.is_empty() => {
                "the configuration has no profile: add config profile 'iot' with option vlan '20'".to_owned()
            }
            Some(name) => {
                let shown: String = name.chars().take(40).collect();
                format!("there is no profile '{shown}': the configuration has {}", names.join(", "))
            }
            None => format!("name one of the profiles {}", names.join(", ")),
        };
        ApiError::field("profile", "profile", message)
    })
}

/// Addresses of devices, none of which belongs to another device.
pub fn check_macs(
    core: &Core,
    texts: &[&str],
    except: Option<DeviceId>,
    now: UnixTime,
) -> Result<Vec<BoundMac>, ApiError> {
    let mut macs: Vec<BoundMac> = Vec::new();
    for text in texts.iter().filter(|text| !text.trim().is_empty()) {
        let mac = parse_mac(text, "mac")?;
        check_mac_free(core, mac, except)?;
        if macs.iter().all(|bound| bound.mac != mac) {
            macs.push(BoundMac { mac, proved: false, since: now });
        }
    }
    Ok(macs)
}

fn check_mac_free(core: &Core, mac: MacAddr, except: Option<DeviceId>) -> Result<(), ApiError> {
    match core.registry.by_mac(mac) {
        Some(other) if Some(other.id) != except => Err(ApiError::field(
            "mac_taken",
            "mac",
            format!("mac {mac} belongs to '{0}': latchkey device set {0} mac-={mac} frees it", other.name),
        )),
        _ => Ok(()),
    }
}

/// What `bind`, `max_devices` and the addresses of a device must be together.
pub fn check_binding(device: &Device) -> Result<(), ApiError> {
    let (macs, max) = (device.macs.len(), usize::from(device.max_devices));
    if macs > MAX_MACS {
        return Err(ApiError::field("too_many", "mac", format!("one device has at most {MAX_MACS} addresses")));
    }
    if device.bind == Bind::Mac && macs == 0 {
        let message = "bind mac lets in listed addresses only, and none is listed: add --mac, or use --bind first";
        return Err(ApiError::field("bind", "bind", message));
    }
    if device.bind != Bind::Any && max > 0 && macs > max {
        let message = format!("max_devices is {max}, but {macs} addresses are listed: raise it to {macs}");
        return Err(ApiError::field("max_devices", "max_devices", message));
    }
    Ok(())
}

/// `first`, `mac` or `any`.
pub fn parse_bind(text: &str) -> Result<Bind, ApiError> {
    text.parse().map_err(|why| {
        let shown: String = text.chars().take(40).collect();
        ApiError::field("bind", "bind", format!("bind '{shown}' {why}"))
    })
}

/// A moment in the future, or `never`. While nobody knows what time it is, no moment can be told to be in the future.
pub fn parse_expires(core: &Core, text: &str, now: UnixTime) -> Result<Option<UnixTime>, ApiError> {
    if text == "never" {
        return Ok(None);
    }
    let shown: String = text.chars().take(40).collect();
    let at: UnixTime =
        text.parse().map_err(|why| ApiError::field("expires", "expires", format!("expires '{shown}' is {why}")))?;
    if let Some(trouble) = core.time.trouble() {
        let message = format!("expires {at} cannot be checked, since {trouble}");
        return Err(ApiError::field("clock_not_set", "expires", message));
    }
    if at <= now {
        let message = format!("expires {at} is in the past (it is {now}): block the device to refuse it now");
        return Err(ApiError::field("expires", "expires", message));
    }
    Ok(Some(at))
}

/// A key that is well-formed, strong, and neither equal nor similar to another one.
pub fn check_key(
    core: &Core,
    text: &str,
    name: &str,
    except: Option<DeviceId>,
    others: &[Other],
) -> Result<Passphrase, ApiError> {
    let key = Passphrase::new(text).map_err(|why| ApiError::field("key", "key", why.to_string()))?;
    let ssids: Vec<&[u8]> = core.config.ssids.iter().map(|ssid| &*ssid.ssid).collect();
    weak::check(&key, name, &ssids)
        .map_err(|why| ApiError::field("weak_secret", "key", format!("this key is too weak: {why}")))?;
    check_distinct(core, &key, except, others)?;
    Ok(key)
}

/// Makes a key that passes all checks.
pub fn generate(
    core: &mut Core,
    name: &str,
    except: Option<DeviceId>,
    others: &[Other],
) -> Result<Passphrase, ApiError> {
    // A random key is refused once in a blue moon, when it happens to hold the device's name.
    let mut last = None;
    for _ in 0..16 {
        let key = generate_key(&mut core.random);
        match check_key(core, key.expose(), name, except, others) {
            Ok(key) => return Ok(key),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| ApiError::new("internal", "no key could be generated")))
}

fn check_distinct(core: &Core, key: &Passphrase, except: Option<DeviceId>, others: &[Other]) -> Result<(), ApiError> {
    let refuse = |how: Similarity, whose: &str| {
        let message =
            format!("this key {}: every device needs a key of its own (--generate makes one)", how.describe(whose));
        Err(ApiError::field("similar_secret", "key", message))
    };
    if let Some((other, how)) = core.registry.find_similar(key, except) {
        return refuse(how, &other.name);
    }
    let signature = Signature::of(key);
    for Other { device: other, signature: other_signature, .. } in others {
        let alike = other.key.as_ref().zip(other_signature.as_ref());
        if let Some(how) = alike.and_then(|(key_of_other, sign)| similar(key, &signature, key_of_other, sign)) {
            return refuse(how, &other.name);
        }
    }
    let hashes = similar_octets::Hashes::of(key);
    let derived = core.registry.find_derived_octets(key).or_else(|| {
        let mut others = others.iter().map(|other| &other.device);
        others.find_map(|other| Some((other, similar_octets::derives(key, &hashes, other)?)))
    });
    if let Some((other, how)) = derived {
        let how = how.describe_passphrase(&other.name);
        let message = format!("this key {how}: every device needs a key of its own (--generate makes one)");
        return Err(ApiError::field("similar_secret", "key", message));
    }
    for ssid in &core.config.ssids {
        if let Some(onboarding_key) = ssid.unknown.onboarding_key()
            && let Some(how) = similar(key, &signature, onboarding_key, &Signature::of(onboarding_key))
        {
            return refuse(how, &format!("{} (onboarding)", super::view::ssid(&ssid.ssid)));
        }
    }
    Ok(())
}
