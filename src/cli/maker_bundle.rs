//! `maker import` and `maker export`: what a manufacturer hands over of its devices, taken and given.

use super::Context;
use super::args::{Stop, Words};
use super::client::{Client, Failure, LONG_PATIENCE, PATIENCE};
use super::device::keyfiles;
use super::reply::Part;
use super::table::{Facts, Table};
use super::text::{Look, count};
use crate::bundle;
use crate::json::json;
use crate::registry::maker::Admit;
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// The greatest file with a key and certificates, in octets.
const KEY_FILE: u64 = 128 << 10;

/// How a bundle is imported.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Import {
    file: OsString,
    signed_by: Option<OsString>,
    unsigned: bool,
    profile: Option<String>,
    admit: Option<Admit>,
    register: bool,
    local: bool,
    dry_run: bool,
    force: bool,
}

/// Which bundle is made, and where it goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Export {
    name: String,
    realms: Vec<String>,
    all: bool,
    sign_with: Option<OsString>,
    out: Option<OsString>,
    secret: bool,
}

/// Understands the arguments of `maker import`.
pub fn parse_import(words: &mut Words) -> Result<Import, Stop> {
    words.about("maker import");
    let mut import = Import::default();
    let [file] = words.rest(["BUNDLE"], |words, option| {
        match option {
            "--signed-by" => import.signed_by = Some(words.path()?),
            "--unsigned" => import.unsigned = true,
            "--profile" => import.profile = Some(words.value()?),
            "--admit" => {
                let admit = words.value()?.parse().map_err(|why| words.usage(format!("--admit {why}")))?;
                import.admit = Some(admit);
            }
            "--register" => import.register = true,
            "--local" => import.local = true,
            "--dry-run" => import.dry_run = true,
            "--force" => import.force = true,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    if import.unsigned && import.signed_by.is_some() {
        return Err(
            words.usage("--unsigned asks for no signature, --signed-by says whose counts: give only one of them")
        );
    }
    if file == "-" && import.signed_by.as_deref() == Some(OsStr::new("-")) {
        return Err(words.usage("only one file can come on standard input"));
    }
    Ok(Import { file: file.into(), ..import })
}

/// Understands the arguments of `maker export`.
pub fn parse_export(words: &mut Words) -> Result<Export, Stop> {
    words.about("maker export");
    let mut export = Export::default();
    let [name] = words.rest(["NAME"], |words, option| {
        match option {
            "--realm" => export.realms.push(words.value()?),
            "--all" => export.all = true,
            "--sign-with" => export.sign_with = Some(words.path()?),
            "--out" => export.out = Some(words.path()?),
            "--secret" => export.secret = true,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(Export { name, ..export })
}

/// Sends the bundle and says what came of it; then has its realm authenticated here, if that is wanted.
pub fn import(context: &mut Context<'_>, import: &Import) -> Result<(), Failure> {
    let bundle = read(context, &import.file, bundle::LARGEST as u64, "bundle")?;
    let bundle =
        str::from_utf8(&bundle).map_err(|_| refuse("file", &import.file, "it is not UTF-8 text: it is no bundle"))?;
    let signed_by = match &import.signed_by {
        Some(path) => Some(signers(context, path)?),
        None => None,
    };
    let params = json!({
        "bundle": bundle,
        "signed_by": signed_by,
        "unsigned": import.unsigned,
        "force": import.force,
        "profile": import.profile,
        "admit": import.admit.map(Admit::as_str),
        "register": import.register,
        "dry_run": import.dry_run,
    });
    let mut client = context.connect()?;
    let mut reply = client.call("maker_import", params, LONG_PATIENCE)?;
    let realm = reply.get("realm").and_then(Value::as_str).map(str::to_owned);
    let moves = realm.filter(|_| import.local && !import.dry_run && !Part(&reply).flag("local"));
    let moved = moves.map(|realm| (repoint(&mut client, &realm), realm));
    if let Some((Ok(()), _)) = &moved {
        reply["local"] = true.into();
        reply["repointed"] = true.into();
    }
    context.finish(&reply, |reply, look| told(reply, import.local, look))?;
    match moved {
        Some((Err(why), realm)) => {
            let message = format!(
                "the bundle is imported, but {realm} is not authenticated here yet ({why}): latchkey realm repoint {realm} --to local"
            );
            Err(Failure::refused("not_repointed", "local", message))
        }
        _ => Ok(()),
    }
}

/// Has a realm authenticated here. The error says why it is not, in a few words.
fn repoint(client: &mut Client, realm: &str) -> Result<(), String> {
    let reply = client.call("realm_repoint", json!({ "name": realm, "to": ["local"] }), PATIENCE);
    match reply {
        Ok(reply) if Part(&reply).flag("in_force") => Ok(()),
        Ok(reply) => Err(Part(&reply).maybe("why").unwrap_or_else(|| "the configuration was not changed".into())),
        Err(Failure::Refused(error)) => Err(Part(&error).maybe("message").unwrap_or_else(|| "refused".into())),
        Err(Failure::Unreachable(why)) => Err(why),
        Err(_) => Err("no answer".into()),
    }
}

fn told(reply: Part<'_>, wants_local: bool, look: &Look) -> String {
    let mut facts = Facts::default();
    let maker = reply.text("maker");
    let dry = reply.flag("dry_run");
    facts.add("Maker", if reply.flag("new_maker") { format!("{maker}, new") } else { maker.to_string() });
    let by = reply.at("signed");
    facts.add(
        "Signed",
        match by.is_some() {
            true => format!("by {} ({}), on {}", by.text("by"), by.text("algorithm"), reply.text("issued")),
            false => format!("not checked; made on {}", reply.text("issued")),
        },
    );
    facts.add("Profile", reply.text("profile"));
    let (authorities, lists) = (reply.number("authorities"), reply.number("lists"));
    if authorities + lists > 0 {
        facts.add("CAs", format!("{authorities} more; {} of revoked certificates", count(lists, "new list")));
    }
    let mut text = facts.render(look);
    let mut table = Table::new(["DEVICE", "IDENTITY", "GETS"]);
    let (mut changed, mut new) = (0, 0);
    for (field, sum, is_new) in [("changed", &mut changed, false), ("new", &mut new, true)] {
        for row in reply.list(field) {
            *sum += 1u64;
            let gains: Vec<&str> =
                row.at("gains").0.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let gains = if is_new { format!("registered, with {}", gains.join(", ")) } else { gains.join(", ") };
            table.row([row.text("name").into(), row.text("identity").into(), gains.into()]);
        }
    }
    if changed + new > 0 {
        text.push('\n');
        text.push_str(&table.render(look));
    }
    let left_out = reply.list("left_out").len() as u64;
    let (change, register) = if dry { ("Would change", "register") } else { ("Changed", "registered") };
    text.push_str(&format!(
        "\n{change} {}, {register} {}; as in the bundle already: {}.\n",
        count(changed, "device"),
        count(new, "device"),
        reply.number("unchanged"),
    ));
    if left_out > 0 {
        text.push_str(&format!(
            "{} not known here and left out: --register registers them, too.\n",
            count(left_out, "device")
        ));
    }
    let kept: Vec<String> = names(reply, "kept");
    if !kept.is_empty() {
        let some = kept.iter().take(8).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if kept.len() > 8 { ", ..." } else { "" };
        text.push_str(&format!(
            "A bundle of this date was imported before, so what was replaced or withdrawn since stays so (or --force): {some}{more}.\n"
        ));
    }
    let stranded: Vec<String> = names(reply, "stranded");
    if !stranded.is_empty() {
        let some = stranded.iter().take(8).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if stranded.len() > 8 { ", ..." } else { "" };
        text.push_str(&format!(
            "Not in the bundle, and without anything to prove themselves with here: {some}{more}.\n"
        ));
    }
    text.push_str(&next(reply, wants_local, dry));
    text
}

fn next(reply: Part<'_>, wants_local: bool, dry: bool) -> String {
    match reply.maybe("realm") {
        _ if dry => "Nothing was changed: this was a dry run.\n".into(),
        Some(realm) if reply.flag("repointed") => format!("{realm} is authenticated here from now on.\n"),
        Some(realm) if !reply.flag("local") && !wants_local => format!(
            "Their maker's servers are still asked about them. To let them be authenticated here:\n  \
             latchkey realm repoint {realm} --to local\n"
        ),
        _ => String::new(),
    }
}

fn names(reply: Part<'_>, field: &str) -> Vec<String> {
    let all = reply.at(field).0.as_array().into_iter().flatten().filter_map(Value::as_str);
    all.map(|name| super::clean(name).into_owned()).collect()
}

/// Asks for the bundle, signs it, and puts it where it is wanted.
pub fn export(context: &mut Context<'_>, export: &Export) -> Result<(), Failure> {
    if export.out.is_none() && context.look.terminal && !export.secret {
        let message = "a bundle has the keys of devices, which do not belong on a screen: --out FILE, or --secret if you want that";
        return Err(Failure::refused("secret", "out", message));
    }
    let key = match &export.sign_with {
        Some(path) => Some(read(context, path, KEY_FILE, "private key")?),
        None => None,
    };
    let params = json!({ "name": export.name, "realms": export.realms, "all": export.all });
    let mut reply = context.connect()?.call("maker_export", params, LONG_PATIENCE)?;
    let plain = match reply.get_mut("bundle").map(Value::take) {
        Some(Value::String(text)) => Zeroizing::new(text),
        _ => {
            return Err(Failure::refused("internal", "bundle", "the daemon sent no bundle: is it of another version?"));
        }
    };
    let text = match (&key, &export.sign_with) {
        (Some(key), Some(path)) => bundle::sign(&plain, key).map_err(|why| refuse("sign_with", path, &why))?,
        _ => plain,
    };
    match &export.out {
        None if !context.json => {
            context.print(&text)?;
            let said = summary(Part(&reply), key.is_some(), None);
            context.note(&said);
            Ok(())
        }
        None => {
            reply["bundle"] = text.as_str().into();
            context.print(&format!("{reply}\n"))
        }
        Some(path) => {
            write(path, &text)?;
            context.finish(&reply, |reply, _| summary(reply, key.is_some(), Some(path)))
        }
    }
}

fn summary(reply: Part<'_>, signed: bool, path: Option<&OsStr>) -> String {
    let place = path.map_or_else(String::new, |path| format!(" in {}, which only you can read", path.display()));
    let devices = count(reply.number("devices"), "device");
    let signed = if signed { "signed" } else { "not signed: --sign-with FILE signs it" };
    let mut text = format!("{devices} of {}{place}; {signed}.\n", reply.text("maker"));
    let bare = reply.number("identity_only");
    if bare > 0 {
        let who = count(bare, "device");
        text.push_str(&format!(
            "{who} by identity only: their keys are not here, but at the server that lets them in.\n"
        ));
    }
    let kept = reply.number("kept_back");
    if kept > 0 {
        text.push_str(&format!("{} blocked or expired, and left out.\n", count(kept, "device")));
    }
    text
}

/// Writes a file that its owner only can read: under another name first, so that there is never half of it.
fn write(path: &OsStr, text: &str) -> Result<(), Failure> {
    let path = Path::new(path);
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let failed = |why: std::io::Error| {
        let _ = fs::remove_file(&new);
        Failure::refused("output", "out", format!("{} cannot be written: {why}", path.display()))
    };
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(failed)?;
    let done = file
        .set_permissions(fs::Permissions::from_mode(0o600))
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&new, path));
    done.map_err(failed)
}

/// The certificates or public keys of a file, as PEM.
fn signers(context: &mut Context<'_>, path: &OsStr) -> Result<String, Failure> {
    let octets = read(context, path, KEY_FILE, "signer")?;
    let found = bundle::jws::Signers::read(&octets).map_err(|why| refuse("signed_by", path, &why))?;
    Ok(keyfiles::pem(&found.certificates, &found.public_keys))
}

/// Reads a file; `-` is standard input.
fn read(context: &mut Context<'_>, path: &OsStr, most: u64, what: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut octets = Zeroizing::new(Vec::new());
    let done = if path == "-" {
        (&mut *context.input).take(most + 1).read_to_end(&mut octets)
    } else {
        File::open(path).and_then(|file| {
            // With its full size from the beginning: nothing of it is left behind by growing.
            let size = file.metadata().map_or(0, |found| found.len().min(most));
            octets.reserve_exact(usize::try_from(size).unwrap_or(0) + 1);
            file.take(most + 1).read_to_end(&mut octets)
        })
    };
    done.map_err(|error| refuse("file", path, &format!("cannot be read: {error}")))?;
    if octets.len() as u64 > most {
        return Err(refuse("file", path, &format!("more than {} KiB: too large for a {what}", most >> 10)));
    }
    Ok(octets)
}

fn refuse(code: &str, path: &OsStr, why: &str) -> Failure {
    let shown = if path == "-" { "standard input".into() } else { Path::new(path).display().to_string() };
    Failure::refused(code, "file", format!("{shown}: {why}"))
}

#[cfg(test)]
mod tests;
