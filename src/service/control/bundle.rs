//! `maker_import` and `maker_export`: what a manufacturer hands over of its devices ([`crate::bundle`]), taken and given.
//!
//! An import adds: devices that are known by what the maker's servers called them get their keys and certificates, and keep name,
//! VLAN, addresses, block and place. Nobody is taken off the air for one credential more; only a key that is replaced ends what was
//! proved with the old one. All of it is one transaction.
//!
//! **An old bundle** would bring back keys and certificates that were replaced or withdrawn since, and its signature is as good as
//! ever. So the moment at which the last signed one was made is kept with the maker ([`Maker::bundle_issued`]), and one made before
//! it is refused; the same one once more gives keys and certificates to devices only that have none. The moment of an unsigned one is not kept: anybody could have written it, and lock out all that come later.

mod export;
mod takeover;

pub use export::export;

use super::params::Params;
use super::{ApiError, Done, LineError, edit, maker};
use crate::bundle::jws::{Signed, Signers, Verified, is_signed};
use crate::bundle::{Bundle, Fault, MAX_PARTS, covers};
use crate::config::{Pattern, Realm, Target};
use crate::pki::CertificateInfo;
use crate::pki::crl::{Crl, LARGEST_FILE};
use crate::registry::maker::{Admit, Maker};
use crate::service::{Core, Now};
use std::sync::Arc;
use takeover::{Section, Takeover};

/// How much later than now a bundle may have been made: clocks differ. In seconds.
const AHEAD: i64 = 86_400;

/// `maker_import`: checks all but the devices; they follow in steps.
pub fn import(core: &mut Core, params: &Params, now: Now) -> Result<Done, ApiError> {
    let text = params.need("bundle")?.as_bytes();
    let unsigned = params.flag("unsigned");
    let signed = match is_signed(text) {
        true => Some(Signed::read(text).map_err(|why| bad("bundle", format!("the signature of the bundle: {why}")))?),
        false if unsigned => None,
        false => {
            let message = "the bundle is not signed: anybody could have written it. If you trust the way it came, import it with \
                           --unsigned";
            return Err(ApiError::field("unsigned", "bundle", message));
        }
    };
    // Only to know whose it claims to be; nothing of it counts before the signature does.
    let bundle = Bundle::read(signed.as_ref().map_or(text, Signed::payload)).map_err(faulty)?;
    let realm = section(core, &bundle)?;
    let named = realm.map_or(&bundle.maker, |realm| &realm.name);
    let old = maker::lookup(core, named).cloned();
    let verified = match &signed {
        Some(signed) if !unsigned => Some(verify(core, signed, params, named, old.as_ref(), now)?),
        _ => None,
    };
    check_dates(core, &bundle, old.as_ref(), params.flag("force"), now)?;

    let section = realm.map(|realm| Section { name: realm.name.clone(), local: realm.target == Target::Local });
    let profile = params.text("profile").filter(|text| !text.is_empty());
    let profile = match (profile, &old, realm.and_then(|realm| realm.profile.as_deref())) {
        (None, Some(old), _) => old.profile.clone(),
        (given, _, of_realm) => edit::check_profile(core, given.or(of_realm))?,
    };
    let admit = maker::admit(params)?;
    let admit = admit.or(old.as_ref().map(|old| old.admit)).or(realm.map(|realm| realm.admit));
    let name = old.as_ref().map_or_else(|| named.clone(), |old| old.name.clone());
    let mut maker = Maker {
        name,
        authorities: old.as_ref().map(|old| old.authorities.clone()).unwrap_or_default(),
        profile,
        admit: admit.unwrap_or(Admit::Listed),
        crls: old.as_ref().map(|old| old.crls.clone()).unwrap_or_default(),
        lists: old.as_ref().map(|old| old.lists.clone()).unwrap_or_default(),
        bundle_issued: old.as_ref().and_then(|old| old.bundle_issued),
    };
    if verified.is_some() {
        // A clock that runs behind, or nobody has set, says nothing of the date; one that is to come would lock out all after it.
        let issued = if core.time.trouble().is_some() { bundle.issued.min(now.wall) } else { bundle.issued };
        maker.bundle_issued = maker.bundle_issued.max(Some(issued));
    }
    if old.is_none() && core.registry.makers().len() >= maker::MAX_MAKERS {
        let message = format!("there are {} makers already: remove one first", maker::MAX_MAKERS);
        return Err(ApiError::field("too_many", "bundle", message));
    }
    add_authorities(&mut maker, &bundle, params.flag("force"), now)?;
    maker::check_signers(core, &maker)?;
    add_lists(&mut maker, &bundle)?;
    let register = params.flag("register") || maker.admit == Admit::All;
    let dry_run = params.flag("dry_run");
    let repeated = !params.flag("force") && old.as_ref().and_then(|old| old.bundle_issued) == Some(bundle.issued);
    Ok(Done::Import(Box::new(Takeover::new(core, bundle, maker, old, section, verified, register, dry_run, repeated))))
}

fn bad(field: &str, message: String) -> ApiError {
    ApiError::field("bundle", field, message)
}

/// All faults at once.
fn faulty(faults: Vec<Fault>) -> ApiError {
    let n = faults.len();
    let things = if n == 1 { "1 thing is wrong" } else { &format!("{n} things are wrong") };
    let mut error = bad("bundle", format!("nothing was imported: {things} with the bundle"));
    let line = |fault: Fault| {
        let field = if fault.field.is_empty() { "bundle".into() } else { fault.field };
        LineError { line: 0, field, message: fault.message }
    };
    error.lines = faults.into_iter().map(line).collect();
    error
}

/// The `config realm` that the bundle's realms belong to, or that is named like its maker.
fn section<'c>(core: &'c Core, bundle: &Bundle) -> Result<Option<&'c Realm>, ApiError> {
    let is_of = |pattern: &Pattern| match pattern {
        Pattern::Exact(exact) => bundle.covers(exact),
        Pattern::Below(below) => {
            let written = format!("*.{below}");
            bundle.realms.iter().any(|realm| **realm == *written || covers(&written, realm.trim_start_matches("*.")))
        }
        Pattern::Default => false,
    };
    let found: Vec<&Realm> = core.config.realms.iter().filter(|realm| realm.patterns.iter().any(is_of)).collect();
    match found.as_slice() {
        [] => Ok(core.config.realms.iter().find(|realm| realm.name.eq_ignore_ascii_case(&bundle.maker))),
        [one] => Ok(Some(one)),
        several => {
            let names: Vec<&str> = several.iter().map(|realm| &*realm.name).collect();
            let message = format!(
                "the bundle's realms belong to several sections config realm ({}): have a bundle made for each",
                names.join(", ")
            );
            Err(bad("realms", message))
        }
    }
}

/// Whose signature counts: who is named; else the CAs that are registered for this maker.
fn verify(
    core: &Core,
    signed: &Signed,
    params: &Params,
    named: &str,
    old: Option<&Maker>,
    now: Now,
) -> Result<Verified, ApiError> {
    let mut signers = match params.text("signed_by").filter(|text| !text.is_empty()) {
        Some(text) => {
            Signers::read(text.as_bytes()).map_err(|why| bad("signed_by", format!("the file of the signer: {why}")))?
        }
        None => Signers {
            certificates: old.iter().flat_map(|old| &old.authorities).map(|der| der.to_vec()).collect(),
            ..Signers::default()
        },
    };
    let lists = |old: &Maker| {
        let files = old.crls.iter().flat_map(|path| core.pki.crls.lists(path));
        let all: Vec<Vec<u8>> = files.chain(core.pki.crls.held(&old.name)).map(|crl| crl.der.to_vec()).collect();
        all
    };
    signers.lists = old.map(lists).unwrap_or_default();
    signed.verify(&signers, now.wall).map_err(|why| {
        ApiError::field("signature", "bundle", format!("nothing was imported: the bundle for {named}: {why}"))
    })
}

fn check_dates(core: &Core, bundle: &Bundle, old: Option<&Maker>, force: bool, now: Now) -> Result<(), ApiError> {
    if force {
        return Ok(());
    }
    let refuse = |field, why: String| Err(ApiError::field("bundle_date", field, why));
    let last = old.and_then(|old| old.bundle_issued).filter(|last| *last > bundle.issued);
    if let Some(last) = last {
        return refuse(
            "issued",
            format!(
                "the bundle was made on {}, and one made on {last} was imported: it could bring back what was withdrawn since \
                 (--force imports it all the same)",
                bundle.issued
            ),
        );
    }
    if core.time.trouble().is_some() {
        // Nobody knows what time it is.
        return Ok(());
    }
    match bundle.expires.filter(|at| *at <= now.wall) {
        Some(at) => {
            refuse("expires", format!("the bundle was to be imported before {at}: have a newer one made (or --force)"))
        }
        None if bundle.issued.0 > now.wall.0.saturating_add(AHEAD) => refuse(
            "issued",
            format!(
                "the bundle says it was made on {}, which is to come (it is {}): is the clock right? (or --force)",
                bundle.issued, now.wall
            ),
        ),
        None => Ok(()),
    }
}

fn add_authorities(maker: &mut Maker, bundle: &Bundle, force: bool, now: Now) -> Result<(), ApiError> {
    for (number, der) in bundle.authorities.iter().enumerate() {
        let field = format!("authorities[{number}]");
        let info = CertificateInfo::parse(der).map_err(|why| bad(&field, format!("the certificate {why}")))?;
        if !force {
            let dates = info.check_dates(now.wall);
            dates.map_err(|why| {
                bad(&field, format!("the certificate {} {why} (--force takes it all the same)", info.subject))
            })?;
        }
        if !maker.authorities.iter().any(|known| **known == **der) {
            maker.authorities.push(der.as_slice().into());
        }
    }
    if maker.authorities.len() > MAX_PARTS {
        let message = format!(
            "with these {} would have {} CAs, at most {MAX_PARTS} are possible: leave out those that are not needed any more",
            maker.name,
            maker.authorities.len()
        );
        return Err(bad("authorities", message));
    }
    Ok(())
}

/// Of one CA's lists the newer one is kept: an old one would let in what was revoked since.
fn add_lists(maker: &mut Maker, bundle: &Bundle) -> Result<(), ApiError> {
    for (number, der) in bundle.lists.iter().enumerate() {
        let new = Crl::new(der).map_err(|why| bad(&format!("revocation_lists[{number}]"), why))?;
        let of_same = |known: &Arc<[u8]>| {
            let old = Crl::new(known).ok().filter(|old| (old.issuer, &old.key_id) == (new.issuer, &new.key_id));
            old.map(|old| old.this_update)
        };
        match maker.lists.iter_mut().find_map(|known| of_same(known).map(|at| (known, at))) {
            Some((known, at)) if at < new.this_update => *known = new.der,
            Some(_) => {}
            None => maker.lists.push(new.der),
        }
    }
    let size: usize = maker.lists.iter().map(|der| der.len()).sum();
    if size > LARGEST_FILE || maker.lists.len() > MAX_PARTS {
        let message = format!(
            "with these {} would have {} revocation lists of {size} octets, at most {MAX_PARTS} of {LARGEST_FILE} are kept: put them \
             in files, latchkey maker set {} --crl FILE",
            maker.name,
            maker.lists.len(),
            maker.name
        );
        return Err(bad("revocation_lists", message));
    }
    Ok(())
}
