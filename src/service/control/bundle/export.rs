//! `maker_export`: the devices of a maker, with their keys, for somebody who takes them over.

use super::super::params::Params;
use super::super::{ApiError, Done, maker};
use crate::bundle::{Bundle, Entry, Known, MAX_DEVICES, MAX_PARTS, Way, covers, write};
use crate::config::Pattern;
use crate::json::json;
use crate::registry::credential::{Certificate, KnownBy};
use crate::registry::device::Device;
use crate::registry::generate::valid_name;
use crate::service::{Core, Now};
use crate::sorted::{SortedMap, SortedSet};
use crate::time::UnixTime;
use std::sync::Arc;

/// The longest subject that is handed over, in octets.
const SUBJECT: usize = 512;
/// 9999-12-31: what is later cannot be written.
const LAST: UnixTime = UnixTime(253_402_300_799);

/// `maker_export`. Devices that are blocked or expired are not handed over: who takes them over would let them in.
pub fn export(core: &mut Core, params: &Params, now: Now) -> Result<Done, ApiError> {
    let name = params.need("name")?;
    valid_name(name).map_err(|why| ApiError::field("name", "name", format!("the maker's name: {why}")))?;
    let section = core.config.realms.iter().find(|realm| realm.name.eq_ignore_ascii_case(name));
    let registered = maker::lookup(core, name);
    let all = params.flag("all");
    let mut realms: SortedSet<Arc<str>> = SortedSet::new();
    for pattern in section.iter().flat_map(|section| &section.patterns) {
        match pattern {
            Pattern::Exact(realm) => drop(realms.insert(realm.clone())),
            Pattern::Below(realm) => drop(realms.insert(format!("*.{realm}").into())),
            Pattern::Default => {}
        }
    }
    realms.extend(
        params.texts("realms").filter(|text| !text.is_empty()).map(|text| Arc::from(text.to_ascii_lowercase())),
    );
    if section.is_none() && registered.is_none() && realms.is_empty() && !all {
        let message = format!(
            "there is neither a maker nor a config realm '{name}': name its realm with --realm, or take all devices with --all"
        );
        return Err(ApiError::field("not_found", "name", message));
    }
    let names: SortedSet<&str> =
        section.iter().map(|realm| &*realm.name).chain(registered.map(|maker| &*maker.name)).collect();
    let is_its = |certificate: &Certificate| match &certificate.known_by {
        KnownBy::Serial { maker, .. } | KnownBy::SubjectSerial { maker, .. } | KnownBy::AltName { maker, .. } => {
            names.contains(&**maker)
        }
        KnownBy::Peer { realm, .. } => names.contains(&**realm),
        KnownBy::Fingerprint(_) | KnownBy::PublicKey(_) => false,
    };
    let in_realm = |nai: &str| nai.rsplit_once('@').is_some_and(|(_, of)| realms.iter().any(|realm| covers(realm, of)));
    let chosen = |device: &&Device| {
        let eap = device.eap.as_deref();
        let its = eap.is_some_and(|eap| {
            eap.certificates.iter().any(is_its) || eap.psk.as_ref().is_some_and(|psk| in_realm(&psk.nai))
        });
        its || (all && !device.uses_onboarding_key())
    };
    let devices: Vec<&Device> = core.registry.devices().filter(chosen).collect();
    let (mut entries, mut seen, mut kept_back) = (Vec::new(), SortedMap::new(), 0usize);
    // Whose authorities have to vouch for the certificates.
    let mut vouchers: SortedSet<Arc<str>> = registered.iter().map(|maker| maker.name.clone()).collect();
    for device in devices {
        if device.blocked || device.is_expired(now.wall) {
            kept_back += 1;
            continue;
        }
        if entries.len() >= MAX_DEVICES {
            let message = format!("more than {MAX_DEVICES} devices: export them by realm (--realm)");
            return Err(ApiError::field("too_many", "name", message));
        }
        let entry = entry(device, &names);
        if let Some(first) = seen.insert(entry.identity.clone(), device.name.clone()) {
            let message = format!(
                "'{first}' and '{}' would both be called {}: remove one of the two identities first",
                device.name, entry.identity
            );
            return Err(ApiError::field("conflict", "name", message));
        }
        let nai_realm =
            entry.psk.as_ref().and_then(|psk| psk.nai.rsplit_once('@')).map(|(_, realm)| realm.to_ascii_lowercase());
        if let Some(realm) = nai_realm.filter(|of| !realms.iter().any(|realm| covers(realm, of))) {
            realms.insert(realm.into());
        }
        vouchers.extend(device.eap.iter().flat_map(|eap| &eap.certificates).filter_map(voucher));
        entries.push(entry);
    }
    if realms.len() > MAX_PARTS {
        let message = format!(
            "these devices are in {} realms, a bundle has at most {MAX_PARTS}: name some with --realm",
            realms.len()
        );
        return Err(ApiError::field("too_many", "realms", message));
    }
    let (authorities, lists) = authorities(core, &vouchers)?;
    let bundle = Bundle {
        maker: registered.map_or_else(
            || section.map_or_else(|| name.into(), |realm| realm.name.clone()),
            |maker| maker.name.clone(),
        ),
        realms: realms.into_iter().collect(),
        issued: now.wall,
        expires: None,
        authorities,
        lists,
        devices: entries,
    };
    let text = write(&bundle);
    // What cannot be read again is no bundle: said here, and not where it is needed.
    if let Some(fault) = Bundle::read(text.as_bytes()).err().and_then(|faults| faults.into_iter().next()) {
        let message = format!("the bundle cannot be made: {}: {}", fault.field, fault.message);
        return Err(ApiError::field("bundle", "name", message));
    }
    let secret = |entry: &&Entry| entry.psk.is_some() || entry.wifi_key.is_some();
    let bare = |entry: &&Entry| !secret(entry) && entry.certificates.is_empty();
    Ok(Done::Value(json!({
        "maker": &*bundle.maker,
        "bundle": &**text,
        "devices": bundle.devices.len(),
        "with_keys": bundle.devices.iter().filter(secret).count(),
        "identity_only": bundle.devices.iter().filter(bare).count(),
        "kept_back": kept_back,
        "authorities": bundle.authorities.len(),
        "realms": bundle.realms.iter().map(|realm| &**realm).collect::<serde_json::Value>(),
    })))
}

/// Who vouches for a certificate, if it is not itself that is known: a maker, or with an empty name we.
fn voucher(certificate: &Certificate) -> Option<Arc<str>> {
    match &certificate.known_by {
        KnownBy::Serial { maker, .. } | KnownBy::SubjectSerial { maker, .. } | KnownBy::AltName { maker, .. } => {
            Some(maker.clone())
        }
        KnownBy::Fingerprint(_) | KnownBy::PublicKey(_) | KnownBy::Peer { .. } => None,
    }
}

type Ders = Vec<Vec<u8>>;

/// The CAs of these, and what they have revoked.
fn authorities(core: &Core, vouchers: &SortedSet<Arc<str>>) -> Result<(Ders, Ders), ApiError> {
    let (mut authorities, mut lists): (Ders, Ders) = (Vec::new(), Vec::new());
    let own = core.pki.own().certificate().filter(|_| vouchers.contains(""));
    authorities.extend(own.map(<[u8]>::to_vec));
    for maker in vouchers.iter().filter_map(|name| core.registry.maker(name)) {
        authorities.extend(maker.authorities.iter().map(|der| der.to_vec()));
        let files = maker.crls.iter().flat_map(|path| core.pki.crls.lists(path));
        for crl in files.chain(core.pki.crls.held(&maker.name)) {
            if !lists.iter().any(|known| **known == *crl.der) {
                lists.push(crl.der.to_vec());
            }
        }
    }
    if authorities.len() > MAX_PARTS {
        let message = format!(
            "these devices have {} CAs, a bundle has at most {MAX_PARTS}: export them by realm",
            authorities.len()
        );
        return Err(ApiError::field("too_many", "name", message));
    }
    Ok((authorities, lists))
}

fn entry(device: &Device, names: &SortedSet<&str>) -> Entry {
    let eap = device.eap.as_deref();
    let certificates = eap.map(|eap| eap.certificates.as_slice()).unwrap_or_default();
    let psk = eap.and_then(|eap| eap.psk.as_ref());
    let known = |certificate: &Certificate| {
        Some(Known {
            way: Way::of(&certificate.known_by)?,
            subject: match certificate.subject.char_indices().map(|(at, _)| at).take_while(|at| *at <= SUBJECT).last() {
                Some(end) if certificate.subject.len() > SUBJECT => {
                    certificate.subject.get(..end).unwrap_or_default().into()
                }
                _ => certificate.subject.clone(),
            },
            not_after: certificate.not_after.filter(|at| (0..=LAST.0).contains(&at.0)),
        })
    };
    Entry {
        identity: identity(device, certificates, names),
        name: Some(device.name.clone()),
        addresses: device.macs.iter().map(|bound| bound.mac).take(MAX_PARTS).collect(),
        mud_url: certificates.iter().find_map(|certificate| certificate.mud_url.clone()),
        psk: psk.cloned(),
        wifi_key: device.key.clone(),
        certificates: certificates.iter().filter_map(known).collect(),
    }
}

/// What its servers call a device: what they called it here; else its NAI, or what its certificate says; else its name.
fn identity(device: &Device, certificates: &[Certificate], names: &SortedSet<&str>) -> Arc<str> {
    let peer = certificates.iter().find_map(|certificate| match &certificate.known_by {
        KnownBy::Peer { realm, identity } if names.contains(&**realm) => Some(identity.clone()),
        _ => None,
    });
    let nai = device.eap.as_ref().and_then(|eap| eap.psk.as_ref()).map(|psk| psk.nai.clone());
    let named = certificates.iter().find_map(|certificate| match &certificate.known_by {
        KnownBy::AltName { name, .. } => Some(name.clone()),
        KnownBy::SubjectSerial { serial, .. } => Some(serial.clone()),
        _ => None,
    });
    let good = |identity: &Arc<str>| (1..=253).contains(&identity.len()) && !identity.contains(char::is_control);
    [peer, nai, named].into_iter().flatten().find(good).unwrap_or_else(|| device.name.clone())
}
