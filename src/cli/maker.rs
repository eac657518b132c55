//! `maker`: manufacturers that vouch for their devices with certificates.

use super::args::{Stop, Words};
use super::client::Failure;
use super::device::keyfiles;
use super::maker_bundle::{self, Export, Import};
use super::reply::Part;
use super::table::{Facts, Table};
use super::text::{Look, count};
use super::{Context, absolute};
use crate::json::json;
use crate::registry::maker::Admit;
use serde_json::Value;
use std::ffi::OsString;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Register one.
    Add(Settings),
    /// Show all.
    List,
    /// Show one.
    Show {
        /// Which.
        name: String,
    },
    /// Change one.
    Set(Settings),
    /// Forget one.
    Remove {
        /// Which.
        name: String,
    },
    /// Take over the devices of a bundle.
    Import(Import),
    /// Make a bundle.
    Export(Export),
}

/// What there is to say of a maker.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settings {
    name: String,
    ca: Option<OsString>,
    profile: Option<String>,
    admit: Option<Admit>,
    crls: Vec<OsString>,
    no_crl: bool,
}

/// Understands the arguments.
pub fn parse(words: &mut Words) -> Result<Command, Stop> {
    words.about("maker");
    let name = |words: &mut Words, topic| {
        words.about(topic);
        words.rest(["NAME"], |_, _| Ok(false)).map(|[name]| name)
    };
    words.command(|words, command| match command {
        Some("add") => {
            let settings = parse_settings(words, "maker add")?;
            match (&settings.ca, &settings.profile) {
                (None, _) => Err(words.usage("--ca FILE is missing: the maker's CA certificate, which it publishes")),
                (_, None) => Err(words.usage("--profile P is missing: the profile its devices get")),
                _ => Ok(Command::Add(settings)),
            }
        }
        Some("list") => words.none("maker list").map(|()| Command::List),
        Some("show") => Ok(Command::Show { name: name(words, "maker show")? }),
        Some("set") => parse_settings(words, "maker set").map(Command::Set),
        Some("remove") => Ok(Command::Remove { name: name(words, "maker remove")? }),
        Some("import") => maker_bundle::parse_import(words).map(Command::Import),
        Some("export") => maker_bundle::parse_export(words).map(Command::Export),
        Some(other) => Err(words.unknown_command(other)),
        None => Err(words.usage("say what to do: add, list, show, set, remove, import or export")),
    })
}

fn parse_settings(words: &mut Words, topic: &'static str) -> Result<Settings, Stop> {
    words.about(topic);
    let mut settings = Settings::default();
    let [name] = words.rest(["NAME"], |words, option| {
        match option {
            "--ca" => settings.ca = Some(words.path()?),
            "--profile" => settings.profile = Some(words.value()?),
            "--admit" => {
                let admit = words.value()?.parse().map_err(|why| words.usage(format!("--admit {why}")))?;
                settings.admit = Some(admit);
            }
            "--crl" => settings.crls.push(words.path()?),
            "--no-crl" => settings.no_crl = true,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    if settings.no_crl && !settings.crls.is_empty() {
        return Err(words.usage("--no-crl takes all away, --crl names them: give only one of them"));
    }
    Ok(Settings { name, ..settings })
}

/// Asks and prints.
pub fn run(context: &mut Context<'_>, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Add(settings) => {
            let params = params(context, settings)?;
            let reply = context.call("maker_add", params)?;
            context.finish(&reply, |reply, look| {
                let maker = reply.at("maker");
                format!("{}\n{}", facts(maker, look), next(maker))
            })
        }
        Command::List => {
            let reply = context.call("maker_list", json!({}))?;
            context.finish(&reply, list)
        }
        Command::Show { name } => {
            let reply = context.call("maker_show", json!({ "name": name }))?;
            context.finish(&reply, |reply, look| facts(reply.at("maker"), look))
        }
        Command::Set(settings) => {
            let params = params(context, settings)?;
            let reply = context.call("maker_set", params)?;
            context.finish(&reply, |reply, look| facts(reply.at("maker"), look))
        }
        Command::Remove { name } => {
            let reply = context.call("maker_remove", json!({ "name": name }))?;
            context.finish(&reply, |reply, _| removed(reply.at("maker"), reply.maybe("note")))
        }
        Command::Import(import) => maker_bundle::import(context, import),
        Command::Export(export) => maker_bundle::export(context, export),
    }
}

fn params(context: &mut Context<'_>, settings: &Settings) -> Result<Value, Failure> {
    let mut params = json!({ "name": settings.name });
    if let Some(path) = &settings.ca {
        params["ca"] = keyfiles::certificates(context, path)?.into();
    }
    if let Some(profile) = &settings.profile {
        params["profile"] = profile.as_str().into();
    }
    if let Some(admit) = settings.admit {
        params["admit"] = admit.as_str().into();
    }
    if settings.no_crl || !settings.crls.is_empty() {
        let paths: Result<Vec<String>, Failure> = settings.crls.iter().map(|path| absolute(path, "crl")).collect();
        params["crls"] = paths?.into();
    }
    Ok(params)
}

fn list(reply: Part<'_>, look: &Look) -> String {
    let makers = reply.list("makers");
    let total = makers.len() as u64;
    if total == 0 {
        return "No makers yet. Add one: latchkey maker add NAME --ca FILE --profile P\n".into();
    }
    let mut table = Table::new(["NAME", "ADMITS", "PROFILE", "VLAN", ">CAS", ">CRLS", ">DEVICES"]);
    for maker in makers {
        table.row([
            maker.text("name").into(),
            maker.text("admit").into(),
            maker.text("profile").into(),
            maker.text("vlan").into(),
            maker.list("authorities").len().to_string().into(),
            maker.list("crls").len().to_string().into(),
            maker.text("devices").into(),
        ]);
    }
    format!("{}\n{}.\n", table.render(look), count(total, "maker"))
}

fn facts(maker: Part<'_>, look: &Look) -> String {
    let mut facts = Facts::default();
    facts.add("Name", maker.text("name"));
    facts.add(
        "Profile",
        match maker.maybe("vlan") {
            _ if maker.flag("profile_missing") => {
                format!("{}, which the configuration does not have: its devices are refused", maker.text("profile"))
            }
            Some(vlan) => format!("{} (VLAN {vlan})", maker.text("profile")),
            None => format!("{} (no VLAN)", maker.text("profile")),
        },
    );
    facts.add(
        "Admits",
        match &*maker.text("admit") {
            "listed" => "listed: only devices that are registered".into(),
            "pending" => "pending: registered devices; others wait for you (latchkey pending list)".into(),
            "all" => "all: every device whose certificate it signed; new ones are registered".into(),
            other => String::from(other),
        },
    );
    for (index, authority) in maker.list("authorities").enumerate() {
        let until = match authority.time("not_after") {
            Some(at) => format!("until {at} ({})", look.when(at)),
            None => "without an end".into(),
        };
        let subject = authority.maybe("subject").unwrap_or_else(|| "unreadable".into());
        facts.add(if index == 0 { "CA" } else { "" }, subject);
        facts.add("", format!("  {until}"));
        facts.add("", format!("  SHA-256 {}", authority.text("fingerprint")));
    }
    for (index, path) in maker.list("crls").enumerate() {
        facts.add(if index == 0 { "Revoked" } else { "" }, format!("those on the list {}", path.shown()));
    }
    if maker.number("lists") > 0 {
        facts.add("Revoked", format!("those on {} that came in a bundle", count(maker.number("lists"), "list")));
    }
    if let Some(at) = maker.time("bundle_issued") {
        facts.add("Bundle", format!("of {at} ({}), the last that was imported", look.when(at)));
    }
    facts.add("Known", format!("{} by serial number or name", count(maker.number("devices"), "device")));
    facts.render(look)
}

fn next(maker: Part<'_>) -> String {
    let name = maker.text("name");
    match &*maker.text("admit") {
        "listed" => format!(
            "Compare the SHA-256 with what the maker publishes. Then register its devices, by what is on their label:\n  \
             latchkey device add NAME --maker {name} --serial-number S\n"
        ),
        "pending" => {
            "Compare the SHA-256 with what the maker publishes. A device that comes is listed, and\nlet in when you \
                      approve it:\n  latchkey pending list\n"
                .into()
        }
        _ => "Compare the SHA-256 with what the maker publishes: whatever it signs is let in from now on.\n".into(),
    }
}

fn removed(maker: Part<'_>, note: Option<String>) -> String {
    let name = maker.text("name");
    let devices = maker.number("devices");
    let also = match devices {
        0 => String::new(),
        n => format!(
            "\n{} known by its serial numbers or names {} registered, and cannot prove it any more.",
            count(n, "device"),
            if n == 1 { "stays" } else { "stay" }
        ),
    };
    let note = note.map(|note| format!("\n{note}")).unwrap_or_default();
    format!("{name} is removed: its certificates count no longer.{also}{note}\n")
}

#[cfg(test)]
mod tests {
    use super::super::tests::PLAIN;
    use super::*;
    use serde_json::json;

    fn acme() -> Value {
        json!({
            "name": "acme", "profile": "iot", "vlan": 20, "profile_missing": false, "admit": "pending", "devices": 2,
            "authorities": [{ "subject": "CN=Acme Root,O=Acme", "not_after": null, "fingerprint": "00ff".repeat(16) }],
            "crls": ["/etc/latchkey/acme.crl"],
        })
    }

    #[test]
    fn everything_about_a_maker() {
        let expected = format!(
            "\
Name     acme
Profile  iot (VLAN 20)
Admits   pending: registered devices; others wait for you (latchkey pending list)
CA       CN=Acme Root,O=Acme
           without an end
           SHA-256 {}
Revoked  those on the list /etc/latchkey/acme.crl
Known    2 devices by serial number or name
",
            "00ff".repeat(16)
        );
        let shown = facts(Part(&acme()), &PLAIN);
        assert_eq!(shown, expected);
        assert!(shown.lines().all(|line| line.len() <= 100), "{shown}");
        assert!(
            removed(Part(&acme()), None).contains("2 devices known by its serial numbers or names stay registered")
        );
    }

    #[test]
    fn a_list_is_a_table() {
        let reply = json!({ "makers": [acme()] });
        let expected = "\
NAME  ADMITS   PROFILE  VLAN  CAS  CRLS  DEVICES
acme  pending  iot      20      1     1        2

1 maker.
";
        assert_eq!(list(Part(&reply), &PLAIN), expected);
        assert!(list(Part(&json!({ "makers": [] })), &PLAIN).starts_with("No makers yet."));
    }
}
