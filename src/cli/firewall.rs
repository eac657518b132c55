//! `firewall`: what profiles may reach, and whether the kernel enforces it.

use super::Context;
use super::args::{Stop, Words};
use super::client::Failure;
use super::reply::Part;
use super::table::{Cell, Table};
use super::text::{Look, Paint, bytes, count};
use crate::daemon::remove_firewall;
use crate::json::json;
use serde_json::Value;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Show what is in force.
    Show {
        /// As the ruleset itself.
        rules: bool,
    },
    /// Remove the table.
    Remove,
}

/// Understands the arguments.
pub fn parse(words: &mut Words) -> Result<Command, Stop> {
    words.about("firewall");
    words.command(|words, name| match name {
        Some("show") => {
            words.about("firewall show");
            let mut rules = false;
            let [] = words.rest([], |_, option| {
                rules |= option == "--rules";
                Ok(option == "--rules")
            })?;
            Ok(Command::Show { rules })
        }
        Some("remove") => words.none("firewall remove").map(|()| Command::Remove),
        Some(other) => Err(words.unknown_command(other)),
        None => Err(words.usage("say what to do: show or remove")),
    })
}

/// Asks and prints.
pub fn run(context: &mut Context<'_>, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Show { rules } => {
            let reply = context.call("firewall_show", json!({}))?;
            // The ruleset is text for nft: nothing in it is escaped, and the daemon wrote it.
            if *rules && !context.json {
                let text = reply.get("rules").and_then(Value::as_str);
                return context.print(text.unwrap_or("# No ruleset is loaded: latchkey firewall show says why.\n"));
            }
            context.finish(&reply, render)
        }
        Command::Remove => {
            // Only a daemon that runs and enforces would put it back.
            if let Ok(reply) = context.call("firewall_show", json!({}))
                && Part(&reply).flag("enabled")
            {
                let message = "the daemon would put the table back at once: stop it, or write option firewall 'off' and \
                               reload it";
                return Err(Failure::refused("in_use", "firewall", message));
            }
            let removed = remove_firewall().map_err(|why| Failure::refused("firewall", "firewall", why))?;
            context.finish(&json!({ "removed": removed }), |reply, _| {
                if reply.flag("removed") {
                    "The firewall's table is removed: nothing limits what profiles reach any more, but for other rules.\n"
                } else {
                    "There is no table of latchkey's in the firewall.\n"
                }
                .into()
            })
        }
    }
}

fn render(reply: Part<'_>, look: &Look) -> String {
    let mut text = String::new();
    let (state, paint) = state(reply);
    text.push_str(&look.paint(Some(paint), &state));
    text.push('\n');
    text.push_str(&wan(reply.at("wan")));
    let repaired = reply.number("repaired");
    if repaired > 0 {
        text.push_str(&format!("Others changed or removed the table {}; it was put back.\n", count(repaired, "time")));
    }
    text.push('\n');
    let mut table = Table::new(["PROFILE", "VLAN", "BRIDGE", "ACCESS", "MAY REACH", ">DROPPED"]);
    let mut notes: Vec<String> = Vec::new();
    for profile in reply.list("profiles") {
        let enforced = profile.flag("enforced");
        let dropped = profile.at("dropped");
        let dropped = match dropped.number("packets") {
            0 if dropped.is_some() => "0".into(),
            packets if dropped.is_some() => format!("{packets} ({})", bytes(dropped.number("bytes"))),
            _ => String::new(),
        };
        let access = profile.text("access");
        let access = if enforced {
            Cell::from(access)
        } else {
            Cell::painted(Some(Paint::Warn), format!("{access}, not enforced"))
        };
        table.row([
            profile.text("profile").into(),
            profile.text("vlan").into(),
            profile.text("bridge").into(),
            access,
            may_reach(profile).into(),
            dropped.into(),
        ]);
        for note in profile.at("notes").0.as_array().into_iter().flatten() {
            let note = note.as_str().map(super::clean).unwrap_or_default().into_owned();
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    text.push_str(&table.render(look));
    text.push('\n');
    for (profile, allowed) in reply.list("profiles").map(|profile| (profile, allowed(profile))) {
        if allowed.len() > 1 {
            text.push_str(&format!("Allowed to {}: {}.\n", profile.text("profile"), allowed.join(", ")));
        }
    }
    for note in notes {
        text.push_str(&format!("Note: {note}.\n"));
    }
    text
}

/// What the table has room for: a long list follows it.
fn may_reach(profile: Part<'_>) -> String {
    let text = profile.text("may_reach");
    match &allowed(profile)[..] {
        [] => text,
        [one] => format!("{text}, {one}"),
        list => format!("{text}, {} allowed", count(list.len() as u64, "destination")),
    }
}

fn allowed(profile: Part<'_>) -> Vec<String> {
    let list = profile.at("allow").0.as_array().into_iter().flatten();
    list.map(|entry| entry.as_str().map(super::clean).unwrap_or_default().into_owned()).collect()
}

/// Whether it is in force, in a sentence.
fn state(reply: Part<'_>) -> (String, Paint) {
    if let Some(trouble) = reply.maybe("trouble") {
        let left = if reply.flag("in_kernel") { " The table in the kernel stays as it is." } else { "" };
        return (format!("Not enforced as configured: {trouble}.{left}"), Paint::Bad);
    }
    match (reply.flag("enabled"), reply.flag("loaded"), reply.flag("in_kernel")) {
        (false, ..) => ("Off (option firewall 'off'): what profiles reach is left to other rules.".into(), Paint::Warn),
        (true, false, _) => ("Nothing to enforce: no profile with a VLAN has limits.".into(), Paint::Good),
        (true, true, true) => {
            ("In force: the kernel has the table inet latchkey as it was loaded.".into(), Paint::Good)
        }
        (true, true, false) => {
            ("Not in force: the table in the kernel is gone or changed; it is being put back.".into(), Paint::Bad)
        }
    }
}

/// The way to the Internet, in a sentence.
fn wan(wan: Part<'_>) -> String {
    let names = |field| {
        let all = wan.at(field).0.as_array().into_iter().flatten();
        all.map(|name| name.as_str().map(super::clean).unwrap_or_default()).collect::<Vec<_>>().join(", ")
    };
    let (source, interfaces, passed_over) = (wan.text("source"), names("interfaces"), names("passed_over"));
    let mut text = if interfaces.is_empty() {
        "The Internet: no way is known, so nobody is let out to it".to_owned()
    } else {
        format!("The Internet: over {interfaces} ({source})")
    };
    if !passed_over.is_empty() {
        text.push_str(&format!(
            "; not over {passed_over}, which has a default route but is the bridge of a profile (list wan would say so)"
        ));
    }
    text + ".\n"
}

#[cfg(test)]
mod tests {
    use super::super::tests::PLAIN;
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_in_force_is_a_table() {
        let reply = json!({
            "enabled": true, "loaded": true, "in_kernel": true, "repaired": 1, "trouble": null,
            "wan": { "interfaces": ["wan", "wwan0"], "source": "default routes", "passed_over": [] },
            "profiles": [
                { "profile": "iot", "vlan": 20, "bridge": "brvlan20", "access": "isolated", "enforced": true,
                  "may_reach": "DHCP and DNS here", "allow": ["192.168.1.10 tcp 443"], "dropped": { "packets": 12, "bytes": 1500 },
                  "notes": ["one"] },
                { "profile": "tv", "vlan": 30, "bridge": "brvlan30", "access": "isolated", "enforced": true,
                  "may_reach": "DHCP and DNS here", "allow": ["10.0.0.1", "10.0.0.2 udp 53"],
                  "dropped": { "packets": 0, "bytes": 0 }, "notes": [] },
                { "profile": "family", "vlan": null, "bridge": null, "access": "full", "enforced": false,
                  "may_reach": "what the network of the SSID reaches", "dropped": null, "notes": ["one", "two"] },
            ],
        });
        let expected = "\
In force: the kernel has the table inet latchkey as it was loaded.
The Internet: over wan, wwan0 (default routes).
Others changed or removed the table 1 time; it was put back.

PROFILE  VLAN  BRIDGE    ACCESS              MAY REACH                                      DROPPED
iot      20    brvlan20  isolated            DHCP and DNS here, 192.168.1.10 tcp 443    12 (1.5 kB)
tv       30    brvlan30  isolated            DHCP and DNS here, 2 destinations allowed            0
family   -     -         full, not enforced  what the network of the SSID reaches                 -

Allowed to tv: 10.0.0.1, 10.0.0.2 udp 53.
Note: one.
Note: two.
";
        assert_eq!(render(Part(&reply), &PLAIN), expected);
    }

    #[test]
    fn every_state_has_its_words() {
        for (reply, expected) in [
            (json!({ "enabled": false }), "Off (option firewall 'off')"),
            (json!({ "enabled": true }), "Nothing to enforce"),
            (json!({ "enabled": true, "loaded": true }), "Not in force"),
            (json!({ "enabled": true, "trouble": "there is no nft" }), "Not enforced as configured: there is no nft."),
            (
                json!({ "enabled": true, "trouble": "x", "in_kernel": true }),
                "x. The table in the kernel stays as it is.",
            ),
        ] {
            let text = render(Part(&reply), &PLAIN);
            assert!(text.contains(expected), "{text}");
            assert!(text.contains("no way is known"), "{text}");
        }
        let passed = json!({ "wan": { "passed_over": ["br-lan"] } });
        assert!(render(Part(&passed), &PLAIN).contains("not over br-lan, which has a default route"));
    }
}
