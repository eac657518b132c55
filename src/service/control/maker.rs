//! The methods on makers.

use super::params::Params;
use super::{ApiError, Done, Then, edit, view};
use crate::json::json;
use crate::pki::certificate::sha256;
use crate::pki::{CertificateInfo, file};
use crate::registry::credential::KnownBy;
use crate::registry::device::Change;
use crate::registry::generate::valid_name;
use crate::registry::maker::{Admit, Maker};
use crate::service::{Core, Now};
use serde_json::Value;
use std::path::PathBuf;

/// How many makers there can be.
pub const MAX_MAKERS: usize = 64;
/// How many revocation lists a maker can have.
const MAX_CRLS: usize = 16;
/// The longest path, in octets.
const MAX_PATH: usize = 1024;

/// `maker_add`: makes a manufacturer's certificates count.
pub fn add(core: &mut Core, params: &Params, now: Now) -> Result<Done, ApiError> {
    let name = params.need("name")?;
    valid_name(name).map_err(|why| {
        let shown: String = name.chars().take(40).collect();
        ApiError::field("name", "name", format!("name '{shown}': {why}"))
    })?;
    if let Some(other) = lookup(core, name) {
        let message = format!(
            "there is a maker '{0}' already: choose another name, or change it (latchkey maker set {0})",
            other.name
        );
        return Err(ApiError::field("name_taken", "name", message));
    }
    if core.registry.makers().len() >= MAX_MAKERS {
        return Err(ApiError::field(
            "too_many",
            "name",
            format!("there are {MAX_MAKERS} makers already: remove one first"),
        ));
    }
    let maker = Maker {
        name: name.into(),
        authorities: authorities(params.need("ca")?, now)?,
        profile: edit::check_profile(core, params.text("profile").filter(|text| !text.is_empty()))?,
        admit: admit(params)?.unwrap_or(Admit::Listed),
        crls: crls(params)?,
        lists: Vec::new(),
        bundle_issued: None,
    };
    check_signers(core, &maker)?;
    Ok(put(maker))
}

/// `maker_list`: all makers.
pub fn list(core: &mut Core, _: &Params, _: Now) -> Result<Done, ApiError> {
    let makers: Value = core.registry.makers().map(|maker| shown(core, maker)).collect();
    Ok(Done::Value(json!({ "makers": makers })))
}

/// `maker_show`: one maker.
pub fn show(core: &mut Core, params: &Params, _: Now) -> Result<Done, ApiError> {
    let maker = find_by(core, params.need("name")?, "name")?;
    Ok(Done::Value(json!({ "maker": shown(core, maker) })))
}

/// `maker_set`: changes what is given, and leaves the rest. A list of revocation lists that is empty takes all away.
pub fn set(core: &mut Core, params: &Params, now: Now) -> Result<Done, ApiError> {
    let mut maker = find_by(core, params.need("name")?, "name")?.clone();
    let old = maker.clone();
    if let Some(ca) = params.text("ca").filter(|text| !text.is_empty()) {
        maker.authorities = authorities(ca, now)?;
    }
    if let Some(profile) = params.text("profile").filter(|text| !text.is_empty()) {
        maker.profile = edit::check_profile(core, Some(profile))?;
    }
    maker.admit = admit(params)?.unwrap_or(maker.admit);
    if params.has("crls") {
        maker.crls = crls(params)?;
    }
    if maker == old {
        let message = format!("nothing of '{}' would change: give --ca, --profile, --admit or --crl", maker.name);
        return Err(ApiError::new("missing", message));
    }
    check_signers(core, &maker)?;
    Ok(put(maker))
}

/// `maker_remove`: its certificates no longer count. Devices keep what they have; a certificate known by its maker only
/// proves nothing until there is a maker of that name again.
pub fn remove(core: &mut Core, params: &Params, _: Now) -> Result<Done, ApiError> {
    let maker = find_by(core, params.need("name")?, "name")?;
    let mut shown = json!({ "maker": shown(core, maker) });
    if let Some(at) = maker.bundle_issued {
        let note = format!(
            "That its last bundle was made on {at} is forgotten: should it be registered again, an older one is taken, and could bring \
             back what was withdrawn."
        );
        shown["note"] = note.into();
    }
    let changes = vec![Change::RemoveMaker(maker.name.clone())];
    Ok(Done::Commit { changes, then: Box::new(|_, _| shown) })
}

/// A maker by its name, compared without case.
pub fn find_by<'a>(core: &'a Core, name: &str, field: &'static str) -> Result<&'a Maker, ApiError> {
    lookup(core, name).ok_or_else(|| {
        let word: String = name.chars().take(40).collect();
        let known: Vec<&str> = core.registry.makers().map(|maker| &*maker.name).collect();
        let message = if known.is_empty() {
            format!("there is no maker '{word}': latchkey maker add {word} --ca FILE --profile P registers it")
        } else {
            format!("there is no maker '{word}': there are {}", known.join(", "))
        };
        ApiError::field("not_found", field, message)
    })
}

pub fn lookup<'a>(core: &'a Core, name: &str) -> Option<&'a Maker> {
    core.registry.makers().find(|maker| maker.name.eq_ignore_ascii_case(name))
}

fn put(maker: Maker) -> Done {
    let name = maker.name.clone();
    let then: Then =
        Box::new(move |core, _| json!({ "maker": core.registry.maker(&name).map(|maker| shown(core, maker)) }));
    Done::Commit { changes: vec![Change::PutMaker(Box::new(maker))], then }
}

/// The certificates of a file that are CAs.
fn authorities(pem: &str, now: Now) -> Result<Vec<Box<[u8]>>, ApiError> {
    let refuse = |why: String| ApiError::field("ca", "ca", format!("the CA's file: {why}"));
    let found = file::certificates(pem.as_bytes()).map_err(|why| refuse(why.to_string()))?;
    let mut authorities: Vec<Box<[u8]>> = Vec::new();
    for der in found {
        let info = CertificateInfo::parse(&der).map_err(|why| refuse(format!("a certificate {why}")))?;
        info.check_dates(now.wall).map_err(|why| refuse(format!("the certificate {} {why}", info.subject)))?;
        if authorities.iter().all(|known| **known != *der) {
            authorities.push(der.into());
        }
    }
    Ok(authorities)
}

/// One CA vouches for one maker: else nobody could say whose device it is.
pub fn check_signers(core: &Core, maker: &Maker) -> Result<(), ApiError> {
    for other in core.registry.makers().filter(|other| other.name != maker.name) {
        if maker.authorities.iter().any(|der| other.authorities.contains(der)) {
            let message = format!("this CA is that of maker '{0}' already: latchkey maker show {0}", other.name);
            return Err(ApiError::field("ca_taken", "ca", message));
        }
    }
    let own = core.pki.own().certificate();
    if maker.authorities.iter().any(|der| own == Some(der)) {
        let message = "this is latchkey's own CA, which needs no maker: its certificates count while a device has them";
        return Err(ApiError::field("ca_taken", "ca", message));
    }
    Ok(())
}

pub fn admit(params: &Params) -> Result<Option<Admit>, ApiError> {
    let Some(text) = params.text("admit").filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|why| {
        let word: String = text.chars().take(40).collect();
        ApiError::field("admit", "admit", format!("admit '{word}' {why}"))
    })
}

fn crls(params: &Params) -> Result<Vec<PathBuf>, ApiError> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for text in params.texts("crls").filter(|text| !text.is_empty()) {
        if !text.starts_with('/') || text.len() > MAX_PATH || text.contains(char::is_control) {
            let word: String = text.chars().take(40).collect();
            let message = format!(
                "crl '{word}' must be an absolute path on the box, since the daemon reads it: /etc/latchkey/maker.crl"
            );
            return Err(ApiError::field("crls", "crls", message));
        }
        if !paths.iter().any(|path| path.as_os_str() == text) {
            paths.push(text.into());
        }
    }
    if paths.len() > MAX_CRLS {
        return Err(ApiError::field("too_many", "crls", format!("one maker has at most {MAX_CRLS} revocation lists")));
    }
    Ok(paths)
}

fn shown(core: &Core, maker: &Maker) -> Value {
    let authority = |der: &[u8]| {
        let info = CertificateInfo::parse(der).ok();
        json!({
            "subject": info.as_ref().map(|info| &*info.subject),
            "not_after": info.as_ref().and_then(|info| info.not_after).map(|at| at.to_string()),
            "fingerprint": view::hex(&sha256(der)),
        })
    };
    let by_maker = |known_by: &KnownBy| match known_by {
        KnownBy::SubjectSerial { maker: of, .. } | KnownBy::AltName { maker: of, .. } => *of == maker.name,
        KnownBy::Peer { realm, .. } => *realm == maker.name,
        KnownBy::Fingerprint(_) | KnownBy::Serial { .. } | KnownBy::PublicKey(_) => false,
    };
    let knows = core.registry.devices().filter_map(|device| device.eap.as_ref());
    let devices = knows.filter(|eap| eap.certificates.iter().any(|c| by_maker(&c.known_by))).count();
    json!({
        "name": &*maker.name,
        "profile": &*maker.profile,
        "vlan": core.config.profile(&maker.profile).and_then(|profile| profile.vlan),
        "profile_missing": core.config.profile(&maker.profile).is_none(),
        "admit": maker.admit.as_str(),
        "authorities": maker.authorities.iter().map(|der| authority(der)).collect::<Value>(),
        "crls": maker.crls.iter().map(|path| path.to_string_lossy()).collect::<Value>(),
        "lists": maker.lists.len(),
        "bundle_issued": maker.bundle_issued.map(|at| at.to_string()),
        "devices": devices,
    })
}
