//! `ca`: the CA devices check latchkey by, and the certificate they see.

use super::Context;
use super::args::{Stop, Words};
use super::client::Failure;
use super::device::keyfiles;
use super::reply::Part;
use super::table::Facts;
use super::text::{Look, Paint, count};
use crate::json::json;
use serde_json::Value;
use std::ffi::OsString;
use std::path::PathBuf;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Show what there is.
    Show,
    /// Give the CA's certificate.
    Export {
        /// Into this file; without it to standard output.
        out: Option<PathBuf>,
    },
    /// Issue a certificate for an access point that comes over RadSec.
    Issue {
        /// Its DNS name.
        name: String,
        /// The directory for its files.
        out: OsString,
    },
}

/// Understands the arguments.
pub fn parse(words: &mut Words) -> Result<Command, Stop> {
    words.about("ca");
    words.command(|words, name| match name {
        Some("show") => words.none("ca show").map(|()| Command::Show),
        Some("export") => {
            words.about("ca export");
            let mut out = None;
            let [] = words.rest([], |words, option| {
                if option == "--out" {
                    out = Some(words.path()?.into());
                }
                Ok(option == "--out")
            })?;
            Ok(Command::Export { out })
        }
        Some("issue") => {
            words.about("ca issue");
            let mut out = None;
            let [name] = words.rest(["NAME"], |words, option| {
                if option == "--out" {
                    out = Some(words.path()?);
                }
                Ok(option == "--out")
            })?;
            match out {
                Some(out) => Ok(Command::Issue { name, out }),
                None => Err(words.usage("say where its files go: --out DIR")),
            }
        }
        Some(other) => Err(words.unknown_command(other)),
        None => Err(words.usage("say what to do: show, export or issue")),
    })
}

/// Asks and prints.
pub fn run(context: &mut Context<'_>, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Show => {
            let reply = context.call("ca_show", json!({}))?;
            context.finish(&reply, render)
        }
        Command::Issue { name, out } => {
            keyfiles::check_free(out, name)?;
            let reply = context.call("ca_issue", json!({ "name": name }))?;
            let name = reply.get("name").and_then(Value::as_str).unwrap_or_default();
            let files = keyfiles::write(out, name, &reply).map_err(|why| Failure::refused("file", "out", why))?;
            let shown = json!({ "name": name, "subject": reply["subject"], "ends": reply["ends"],
                                "files": files.iter().map(|(path, _)| path.display().to_string()).collect::<Value>() });
            context.finish(&shown, |shown, _| issued(shown))
        }
        Command::Export { out } => {
            let reply = context.call("ca_export", json!({}))?;
            let pem = reply.get("pem").and_then(Value::as_str).unwrap_or_default();
            match out {
                // PEM is for the device, not for the terminal: letters and lines, which the daemon wrote.
                None if !context.json => context.print(pem),
                None => context.finish(&reply, |_, _| String::new()),
                Some(path) => {
                    std::fs::write(path, pem).map_err(|why| {
                        Failure::refused("output", "out", format!("{} cannot be written: {why}", path.display()))
                    })?;
                    context.finish(&reply, |reply, _| {
                        format!("{} is in {}: put it on the devices.\n", reply.text("subject"), path.display())
                    })
                }
            }
        }
    }
}

fn issued(shown: Part<'_>) -> String {
    let mut text = format!("{} may be shown until {}. Its files:\n", shown.text("subject"), shown.text("ends"));
    for file in shown.at("files").0.as_array().into_iter().flatten().filter_map(name) {
        text.push_str(&format!("  {file}\n"));
    }
    let name = shown.text("name");
    text.push_str(&format!(
        "Put them on the access point and name them there in config radsec or config realm (certificate, private_key, ca).\n\
         Here, let it in:\n\n  config client '{}'\n  \toption radsec '{name}'\n",
        name.split('.').next().unwrap_or_default().replace('-', "_")
    ));
    text
}

fn render(reply: Part<'_>, look: &Look) -> String {
    let mut facts = Facts::default();
    let (ca, server) = (reply.at("ca"), reply.at("server"));
    if ca.is_some() {
        facts.add("CA", ca.text("subject"));
        facts.add("Ends", ca.maybe("ends").unwrap_or_else(|| "never".into()));
        facts.add("SHA-256", ca.text("fingerprint"));
        let issued = count(ca.number("issued"), "certificate");
        facts.add("Issued", if ca.flag("can_issue") { issued } else { format!("{issued}; its key is missing") });
    } else {
        facts.add("CA", "none yet: latchkey ca export makes one, or the first certificate that is issued".to_owned());
    }
    if server.is_some() {
        let names: Vec<String> = server.at("names").0.as_array().into_iter().flatten().filter_map(name).collect();
        let by = if server.flag("given") { "given by you" } else { "made by latchkey" };
        facts.add("Devices see", format!("{} ({by})", server.text("subject")));
        facts.add("For", names.join(", "));
        facts.add("Signed by", server.text("issuer"));
        facts.add("Ends", server.maybe("ends").unwrap_or_else(|| "never".into()));
        facts.add("SHA-256", server.text("fingerprint"));
    } else {
        facts.add("Devices see", "nothing: there is no EAP-TLS".to_owned());
    }
    let mut text = facts.render(look);
    for (field, paint) in [("troubles", Paint::Bad), ("warnings", Paint::Warn)] {
        for said in reply.at(field).0.as_array().into_iter().flatten().filter_map(name) {
            text.push_str(&look.paint(Some(paint), &said));
            text.push('\n');
        }
    }
    text
}

fn name(value: &Value) -> Option<String> {
    value.as_str().map(|text| super::clean(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tests::PLAIN;
    use super::*;
    use serde_json::json;

    #[test]
    fn what_there_is_is_shown() {
        let reply = json!({
            "ca": { "subject": "CN=latchkey CA 0badcafe", "ends": "2047-01-15T08:00:00Z", "fingerprint": "AB:CD",
                    "can_issue": true, "issued": 2 },
            "server": { "subject": "CN=latchkey.home.arpa", "ends": "2037-01-15T08:00:00Z", "fingerprint": "12:34", "given": false,
                        "issuer": "CN=latchkey CA 0badcafe", "names": ["latchkey.home.arpa"], "certificates": 1 },
            "troubles": [],
            "warnings": ["the CA CN=x of the maker acme ends in 5 days: ask it"],
        });
        let text = render(Part(&reply), &PLAIN);
        for expected in [
            "CN=latchkey CA 0badcafe\n",
            "2047-01-15T08:00:00Z\n",
            "2 certificates\n",
            "CN=latchkey.home.arpa (made by latchkey)\n",
            "the CA CN=x of the maker acme ends in 5 days: ask it\n",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }

    #[test]
    fn nothing_is_shown_as_nothing() {
        let reply = json!({ "ca": null, "server": null, "troubles": ["/x/ca.key: it is missing"], "warnings": [] });
        let text = render(Part(&reply), &PLAIN);
        assert!(text.contains("none yet: latchkey ca export makes one"), "{text}");
        assert!(text.contains("nothing: there is no EAP-TLS"), "{text}");
        assert!(text.ends_with("/x/ca.key: it is missing\n"), "{text}");
    }
}
