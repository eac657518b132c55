//! `realm`: those who say who a device is in our place, and moving them elsewhere.

use super::args::{Stop, Words};
use super::client::{Failure, PATIENCE};
use super::device::keyfiles;
use super::reply::Part;
use super::table::{Cell, Facts, Table};
use super::text::{Look, Paint, count, duration};
use super::{Context, absolute};
use crate::config::{self, PlanError, Repoint, To};
use crate::json::json;
use crate::secret::RadiusSecret;
use serde_json::Value;
use std::ffi::OsString;
use std::path::Path;
use zeroize::Zeroizing;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Show all.
    List,
    /// Show one.
    Show {
        /// Which.
        name: String,
    },
    /// Try its servers out.
    Test {
        /// Which.
        name: String,
    },
    /// Move one.
    Repoint(Box<Move>),
}

/// Where a realm is to go.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Move {
    name: String,
    to: Vec<String>,
    secret: Option<OsString>,
    ca: Option<OsString>,
    certificate: Option<OsString>,
    private_key: Option<OsString>,
    server_name: Option<String>,
    dry_run: bool,
}

/// Understands the arguments.
pub fn parse(words: &mut Words) -> Result<Command, Stop> {
    words.about("realm");
    let name = |words: &mut Words, topic| {
        words.about(topic);
        words.rest(["NAME"], |_, _| Ok(false)).map(|[name]| name)
    };
    words.command(|words, command| match command {
        Some("list") => words.none("realm list").map(|()| Command::List),
        Some("show") => Ok(Command::Show { name: name(words, "realm show")? }),
        Some("test") => Ok(Command::Test { name: name(words, "realm test")? }),
        Some("repoint") => parse_move(words).map(|to| Command::Repoint(Box::new(to))),
        Some(other) => Err(words.unknown_command(other)),
        None => Err(words.usage("say what to do: list, show, test or repoint")),
    })
}

fn parse_move(words: &mut Words) -> Result<Move, Stop> {
    words.about("realm repoint");
    let mut wanted = Move::default();
    let ([name], more) = words.rest_and_more(["NAME"], |words, option| {
        match option {
            "--to" => wanted.to.push(words.value()?),
            "--secret-file" => wanted.secret = Some(words.path()?),
            "--ca" => wanted.ca = Some(words.path()?),
            "--certificate" => wanted.certificate = Some(words.path()?),
            "--private-key" => wanted.private_key = Some(words.path()?),
            "--server-name" => wanted.server_name = Some(words.value()?),
            "--dry-run" => wanted.dry_run = true,
            "--secret" => {
                return Err(words.usage(
                    "a secret is never an argument, where other users could see it: --secret-file FILE, or --secret-file - \
                     for standard input",
                ));
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    if wanted.to.is_empty() {
        return Err(words.usage("--to SERVER is missing: radsec://HOST, udp://HOST, discover, or local"));
    }
    if wanted.to.len() > 1 && !more.is_empty() {
        return Err(
            words.usage("too many arguments: write --to once with all servers after it, or before each of them")
        );
    }
    wanted.to.extend(more);
    if let Err(why) = To::parse(wanted.to.iter().map(String::as_str)) {
        return Err(words.usage(format!("--to: {why}")));
    }
    match (&wanted.certificate, &wanted.private_key) {
        (Some(_), None) => Err(words.usage("--private-key FILE is missing: the key of the certificate")),
        (None, Some(_)) => Err(words.usage("--certificate FILE is missing: the certificate of the key")),
        _ => Ok(Move { name, ..wanted }),
    }
}

/// Asks and prints.
pub fn run(context: &mut Context<'_>, command: &Command) -> Result<(), Failure> {
    match command {
        Command::List => {
            let reply = context.call("realm_list", json!({}))?;
            context.finish(&reply, list)
        }
        Command::Show { name } => {
            let reply = context.call("realm_show", json!({ "name": name }))?;
            context.finish(&reply, |reply, look| facts(reply.at("realm"), look))
        }
        Command::Test { name } => {
            let reply = context.call("realm_test", json!({ "name": name }))?;
            context.finish(&reply, tested)?;
            if Part(&reply).flag("ok") { Ok(()) } else { Err(Failure::Told) }
        }
        Command::Repoint(wanted) => repoint(context, wanted),
    }
}

fn repoint(context: &mut Context<'_>, wanted: &Move) -> Result<(), Failure> {
    let secret = match &wanted.secret {
        Some(path) => Some(keyfiles::read_line(context, path, "secret", "--secret-file")?),
        None => None,
    };
    let file = |path: &Option<OsString>, field| path.as_ref().map(|path| absolute(path, field)).transpose();
    let (ca, certificate, key) =
        (file(&wanted.ca, "ca")?, file(&wanted.certificate, "certificate")?, file(&wanted.private_key, "private_key")?);
    let params = json!({
        "name": wanted.name,
        "to": wanted.to,
        "secret": secret.as_deref().map(String::as_str),
        "ca": ca,
        "certificate": certificate,
        "private_key": key,
        "server_name": wanted.server_name,
        "dry_run": wanted.dry_run,
    });
    let mut client = context.connect()?;
    let mut reply = client.call("realm_repoint", params, PATIENCE)?;
    let said = Part(&reply);
    if said.flag("in_force") || said.flag("dry_run") {
        return context.finish(&reply, moved);
    }
    // The daemon may not write the file. Perhaps whoever calls may.
    let order = Repoint {
        realm: wanted.name.as_str().into(),
        to: To::parse(wanted.to.iter().map(String::as_str)).map_err(|why| Failure::refused("to", "to", why))?,
        secret: secret.as_ref().map(|secret| RadiusSecret::new(secret.as_bytes())),
        ca: ca.map(Into::into),
        certificate: certificate.zip(key).map(|(certificate, key)| (certificate.into(), key.into())),
        server_name: wanted.server_name.as_deref().map(Into::into),
    };
    let path = reply.get("file").and_then(Value::as_str).unwrap_or_default().to_owned();
    match write(Path::new(&path), |path, old| order.plan(path, old).map(|plan| plan.text)) {
        Ok((old, new)) => {
            if let Err(why) = client.call("config_reload", json!({}), PATIENCE) {
                let _ = config::replace(Path::new(&path), &new, &old, None);
                return Err(why);
            }
            reply["written"] = true.into();
            reply["in_force"] = true.into();
            context.finish(&reply, moved)
        }
        Err(why) => {
            context.finish(&reply, by_hand)?;
            Err(Failure::refused("not_written", "file", why))
        }
    }
}

/// A file before and after.
type Texts = (Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>);

/// Writes what the daemon could not: `plan` makes the new text of the old.
pub fn write(
    path: &Path,
    plan: impl FnOnce(&Path, &[u8]) -> Result<Zeroizing<Vec<u8>>, PlanError>,
) -> Result<Texts, String> {
    if !path.is_absolute() {
        return Err(format!(
            "{}: the daemon was started with this name, and from here it may be another file",
            path.display()
        ));
    }
    let old = config::read_text(path)?;
    let new = plan(path, &old).map_err(|why| why.message)?;
    config::replace(path, &old, &new, None).map_err(|why| why.to_string())?;
    Ok((old, new))
}

fn list(reply: Part<'_>, look: &Look) -> String {
    let realms = reply.list("realms");
    let total = realms.len() as u64;
    if total == 0 {
        return "No realms: nobody but this box says who a device is. Add config realm 'NAME' to the configuration: latchkey \
                help realm\n"
            .into();
    }
    let mut table =
        Table::new(["NAME", "REALMS", "ADMITS", "PROFILE", ">DEVICES", "ASKED", "HEALTH", ">TOOK", "ANSWERED"]);
    for realm in realms {
        let rows = match realm.text("target").as_str() {
            "local" => vec![(Cell::from("here"), Cell::default(), Default::default())],
            _ if realm.list("servers").len() == 0 => vec![("by DNS".into(), Cell::default(), Default::default())],
            _ => {
                let row = |server: Part<'_>| (server.text("server").into(), health(server), answer(server, look));
                realm.list("servers").map(row).collect()
            }
        };
        for (index, (server, health, [took, answered])) in rows.into_iter().enumerate() {
            // A blank, since empty cells are shown as a dash.
            let first = |text: String| Cell::from(if index == 0 { text } else { " ".into() });
            table.row([
                first(realm.text("name")),
                first(words(realm, "realms")),
                first(realm.text("admit")),
                first(realm.text("profile")),
                first(realm.text("devices")),
                server,
                health,
                took.into(),
                answered.into(),
            ]);
        }
    }
    format!("{}\n{}. Does it work? latchkey realm test NAME\n", table.render(look), count(total, "realm"))
}

fn words(part: Part<'_>, field: &str) -> String {
    part.list(field).map(|word| word.shown()).collect::<Vec<_>>().join(", ")
}

/// How a server is.
fn health(server: Part<'_>) -> Cell {
    match server.text("health").as_str() {
        "up" => Cell::painted(Some(Paint::Good), "answers"),
        "suspect" => Cell::painted(Some(Paint::Warn), "late"),
        "down" => Cell::painted(Some(Paint::Bad), "silent"),
        _ => "not asked yet".into(),
    }
}

/// How long the last answer took, and when it came.
fn answer(server: Part<'_>, look: &Look) -> [String; 2] {
    let micros = server.at("round_trip_us").0.as_u64();
    [micros.map(took).unwrap_or_default(), server.when("answered", look).unwrap_or_default()]
}

fn took(micros: u64) -> String {
    match micros {
        0..10_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        _ => format!("{} ms", micros / 1000),
    }
}

fn facts(realm: Part<'_>, look: &Look) -> String {
    let mut facts = Facts::default();
    facts.add("Name", realm.text("name"));
    facts.add("For", realms(realm));
    match realm.text("target").as_str() {
        "local" => facts.add("Asked", "nobody: its devices are authenticated here"),
        "discover" => facts.add("Asked", "the servers that DNS names for the realm (RFC 7585)"),
        _ => {}
    }
    for (index, server) in realm.list("servers").enumerate() {
        let first = index == 0 && realm.text("target") == "servers";
        facts.add(if first { "Asked" } else { "" }, server_facts(server, look));
    }
    let tls = realm.at("tls");
    for (label, field) in [("CA", "ca"), ("Our certificate", "certificate"), ("Their name", "server_name")] {
        if let Some(text) = tls.maybe(field) {
            facts.add(label, text);
        }
    }
    if let Some(profile) = realm.maybe("profile") {
        let vlan = realm.maybe("vlan").map_or("no VLAN".into(), |vlan| format!("VLAN {vlan}"));
        let by =
            if realm.text("placement") == "server" { ", unless the server names that of another profile" } else { "" };
        facts.add("Profile", format!("{profile} ({vlan}){by}"));
    }
    let admits = match realm.text("admit").as_str() {
        "all" => "all: every device its servers let in",
        "pending" => "pending: registered devices; others wait for you (latchkey pending list)",
        _ => "listed: registered devices only",
    };
    facts.add("Admits", admits);
    let register = if realm.flag("register") {
        "when they are let in for the first time"
    } else {
        "not: its servers keep the list"
    };
    facts.add("Registers", register);
    facts.add("Asks anew", format!("after {} at the latest", duration(realm.number("session_timeout"))));
    let told = match (realm.text("share").as_str(), realm.text("mac").as_str()) {
        ("all", "pseudonym") => "all that the access point says, with a pseudonym for the device's address",
        ("all", _) => "all that the access point says",
        (_, "pseudonym") => "what authentication needs, with a pseudonym for the device's address",
        _ => "what authentication needs",
    };
    facts.add("Tells them", told);
    let last = realm.at("last_good");
    if last.is_some() {
        let profiles = words(last, "profiles");
        let only = if profiles.is_empty() { String::new() } else { format!(", in {profiles}") };
        facts.add(
            "Without them",
            format!("lets in whom they let in {} ago or later{only}", duration(last.number("seconds"))),
        );
    }
    facts.add("Devices", format!("{} registered under it", realm.number("devices")));
    facts.render(look)
}

/// Whose devices it is for.
fn realms(realm: Part<'_>) -> String {
    let names: Vec<String> = realm.list("realms").map(|word| word.shown()).collect();
    let ends: Vec<String> = names.iter().filter(|name| *name != "default").map(|name| format!("@{name}")).collect();
    let others = "every identity that is nobody else's";
    match (ends.is_empty(), ends.len() < names.len()) {
        (true, _) => others.into(),
        (false, true) => format!("identities that end in {}, and {others}", ends.join(", ")),
        (false, false) => format!("identities that end in {}", ends.join(", ")),
    }
}

fn server_facts(server: Part<'_>, look: &Look) -> String {
    let mut text = server.text("server");
    let how = match server.text("health").as_str() {
        "up" => "answers",
        "suspect" => "did not answer lately, and is asked whether it is there",
        "down" => "does not answer",
        _ => "not asked yet",
    };
    text.push_str(": ");
    text.push_str(how);
    text.push_str(&match answer(server, look) {
        [took, when] if !took.is_empty() && !when.is_empty() => format!(" (last {when}, after {took})"),
        [_, when] if !when.is_empty() => format!(" (last {when})"),
        _ => String::new(),
    });
    if let Some(trouble) = server.maybe("trouble") {
        text.push_str(&format!("; {trouble}"));
    }
    text
}

fn tested(reply: Part<'_>, look: &Look) -> String {
    let mut text = String::new();
    for lookup in reply.list("lookups") {
        let (paint, word) = if lookup.flag("ok") { (Paint::Good, "ok    ") } else { (Paint::Bad, "FAILED") };
        let said = lookup.maybe("text").unwrap_or_else(|| "DNS tells the servers below".into());
        text.push_str(&format!(
            "{}\n  {}  DNS          {said}\n\n",
            lookup.text("realm"),
            look.paint(Some(paint), word)
        ));
    }
    for server in reply.list("servers") {
        text.push_str(&format!("{}\n", server.text("server")));
        for step in server.list("steps") {
            let (paint, word) = if step.flag("ok") { (Paint::Good, "ok    ") } else { (Paint::Bad, "FAILED") };
            let stage = match step.text("stage").as_str() {
                "resolve" => "address",
                "connect" => "connection",
                "tls" => "TLS",
                "certificate" => "certificate",
                _ => "answer",
            };
            text.push_str(&format!("  {}  {stage:11}  {}\n", look.paint(Some(paint), word), step.text("text")));
        }
        if let Some(mend) = server.maybe("mend") {
            text.push_str(&format!("  {}\n", look.paint(Some(Paint::Warn), &format!("-> {mend}"))));
        }
        text.push('\n');
    }
    let paint = if reply.flag("ok") { Paint::Good } else { Paint::Bad };
    let verdict = format!("{}: {}.", reply.text("name"), reply.text("verdict"));
    format!("{text}{}\n", look.paint(Some(paint), &verdict))
}

/// The lines that change in the configuration file.
pub fn diff(reply: Part<'_>, look: &Look) -> String {
    let mut text = format!("{}\n", reply.text("file"));
    for line in reply.list("diff") {
        let paint = if line.text("sign") == "-" { Paint::Bad } else { Paint::Good };
        // Tabs are the file's own indentation, which is no danger to a terminal.
        let shown = line.text("text").replace("\\x09", "    ");
        let shown = format!("{} {:>4}  {shown}", line.text("sign"), line.number("line"));
        text.push_str(&format!("{}\n", look.paint(Some(paint), &shown)));
    }
    text
}

/// What stays, and what to look after.
fn remarks(reply: Part<'_>, look: &Look) -> String {
    let devices = reply.number("devices");
    let mut text = match devices {
        0 => "No device is registered under it.\n".to_owned(),
        n => format!(
            "{} registered under it: {} names, VLANs and limits stay.\n",
            count(n, "device"),
            if n == 1 { "its" } else { "their" }
        ),
    };
    let without = reply.number("without_credentials");
    if without > 0 {
        let warning = format!(
            "{} of them can prove nothing here, since only their manufacturer's servers know them: latchkey maker import BUNDLE \
             brings their credentials.",
            if without == devices { "All".into() } else { without.to_string() }
        );
        text.push_str(&format!("{}\n", look.paint(Some(Paint::Warn), &warning)));
    }
    text.push_str(&notes(reply, look));
    text
}

/// What is said about the change of a configuration file.
pub fn notes(reply: Part<'_>, look: &Look) -> String {
    let mut text = String::new();
    for (field, paint) in [("notes", None), ("warnings", Some(Paint::Warn))] {
        for said in reply.list(field) {
            text.push_str(&format!("{}\n", look.paint(paint, &format!("- {}", said.shown()))));
        }
    }
    text
}

fn moved(reply: Part<'_>, look: &Look) -> String {
    let (name, to) = (reply.text("name"), words(reply, "to"));
    let target = match to.as_str() {
        "local" => "this box itself".to_owned(),
        "discover" => "the servers that DNS names".to_owned(),
        servers => servers.to_owned(),
    };
    if reply.list("diff").len() == 0 {
        return format!("{name} is at {target} already: nothing to change.\n");
    }
    let lines = diff(reply, look);
    let remarks = remarks(reply, look);
    if reply.flag("dry_run") {
        return format!("{name} would go to {target}. This would change:\n\n{lines}\n{remarks}Nothing was changed.\n");
    }
    let next = if to == "local" { String::new() } else { format!("Does it work? latchkey realm test {name}\n") };
    format!("{name} is at {target} from now on. What changed:\n\n{lines}\n{remarks}{next}")
}

/// When nobody could write: the lines, to be changed by hand.
fn by_hand(reply: Part<'_>, look: &Look) -> String {
    let why = reply.text("why");
    let lines = diff(reply, look);
    format!(
        "Nothing was changed: the daemon says {why}\nChange these lines by hand (with the secret where there are dots), and have them \
         read: kill -HUP\n\n{lines}\n"
    )
}

#[cfg(test)]
mod tests;
