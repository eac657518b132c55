//! `pending`: unknown devices that tried to join.

use super::Context;
use super::args::{Stop, Words};
use super::client::Failure;
use super::device::text::added;
use super::reply::Part;
use super::table::Table;
use super::text::Look;
use serde_json::json;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Show them.
    List,
    /// Register one.
    Approve {
        /// Its address.
        mac: String,
        /// The name it gets.
        name: String,
        /// The profile it gets.
        profile: Option<String>,
    },
    /// Take one off the list.
    Ignore {
        /// Its address.
        mac: String,
    },
}

/// Understands the arguments.
pub fn parse(words: &mut Words) -> Result<Command, Stop> {
    words.about("pending");
    words.command(|words, name| match name {
        Some("list") => words.none("pending list").map(|()| Command::List),
        Some("approve") => {
            words.about("pending approve");
            let mut profile = None;
            let [mac, name] = words.rest(["MAC", "NAME"], |words, option| {
                match option {
                    "--profile" => profile = Some(words.value()?),
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
            Ok(Command::Approve { mac, name, profile })
        }
        Some("ignore") => {
            words.about("pending ignore");
            let [mac] = words.rest(["MAC"], |_, _| Ok(false))?;
            Ok(Command::Ignore { mac })
        }
        Some(other) => Err(words.unknown_command(other)),
        None => Err(words.usage("say what to do: list, approve or ignore")),
    })
}

/// Asks and prints.
pub fn run(context: &mut Context<'_>, command: &Command) -> Result<(), Failure> {
    match command {
        Command::List => {
            let reply = context.call("pending_list", json!({}))?;
            context.finish(&reply, render)
        }
        Command::Approve { mac, name, profile } => {
            let params = json!({ "mac": mac, "name": name, "profile": profile });
            let reply = context.call("pending_approve", params)?;
            context.finish(&reply, added)
        }
        Command::Ignore { mac } => {
            let reply = context.call("pending_ignore", json!({ "mac": mac }))?;
            context.finish(&reply, |_, _| format!("{mac} will not be listed again. It is still refused.\n"))
        }
    }
}

/// The unknown devices as a table.
fn render(reply: Part<'_>, look: &Look) -> String {
    let pending = reply.list("pending");
    if pending.len() == 0 {
        return "No unknown device has tried to join. Let one try: it will be listed here, to be approved.\n".into();
    }
    let mut table = Table::new(["MAC", "SSID", ">TRIES", "LAST SEEN", "FIRST SEEN", "AP", "WHY"]);
    for unknown in pending {
        let random = if unknown.flag("randomised") { " (random)" } else { "" };
        table.row([
            format!("{}{random}", unknown.text("mac")).into(),
            unknown.text("ssid").into(),
            unknown.text("attempts").into(),
            unknown.when("last_seen", look).unwrap_or_default().into(),
            unknown.when("first_seen", look).unwrap_or_default().into(),
            unknown.text("nas").into(),
            unknown.text("why").into(),
        ]);
    }
    let hint = "Let one in:  latchkey pending approve MAC NAME --profile P\nHide one:    latchkey pending ignore MAC\n";
    format!("{}\n{hint}", table.render(look))
}

#[cfg(test)]
mod tests {
    use super::super::tests::PLAIN;
    use super::*;

    #[test]
    fn unknown_devices_are_a_table() {
        let reply = json!({ "pending": [
            { "mac": "00:11:22:33:44:55", "randomised": false, "ssid": "Home", "nas": "attic",
              "first_seen": "2027-01-31T16:00:00Z", "last_seen": "2027-01-31T17:57:00Z", "attempts": 12,
              "reason": "unknown_device", "why": "unknown device", "quarantined": false },
            { "mac": "02:11:22:33:44:55", "randomised": true, "ssid": "Home", "nas": "attic",
              "first_seen": null, "last_seen": "2027-01-31T18:00:00Z", "attempts": 1,
              "reason": "quarantined", "why": "kept in quarantine", "quarantined": true },
        ]});
        let expected = "\
MAC                         SSID  TRIES  LAST SEEN  FIRST SEEN  AP     WHY
00:11:22:33:44:55           Home     12  3 min ago  2 h ago     attic  unknown device
02:11:22:33:44:55 (random)  Home      1  just now   -           attic  kept in quarantine

Let one in:  latchkey pending approve MAC NAME --profile P
Hide one:    latchkey pending ignore MAC
";
        assert_eq!(render(Part(&reply), &PLAIN), expected);
        assert!(render(Part(&json!({ "pending": [] })), &PLAIN).starts_with("No unknown device"));
    }
}
