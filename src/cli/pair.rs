//! `pair`: registers the next device that joins with the onboarding key.

use super::Context;
use super::args::{Stop, Words};
use super::client::{Client, Failure, PATIENCE};
use super::reply::Part;
use super::table::Facts;
use super::text::{Look, duration};
use crate::json::json;
use serde_json::Value;
use std::thread::sleep;
use std::time::Duration;

/// How often it is asked whether the device came.
const LOOK: Duration = Duration::from_millis(500);

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Show the window; wait for its end, if so.
    Show {
        /// Wait.
        wait: bool,
    },
    /// Open one.
    Open {
        /// The profile the device gets.
        profile: String,
        /// How long it is open.
        minutes: Option<u32>,
        /// The network.
        ssid: Option<String>,
        /// The name the device gets.
        name: Option<String>,
        /// Wait for its end.
        wait: bool,
    },
    /// Close it.
    Stop,
}

/// Understands the arguments.
pub fn parse(words: &mut Words) -> Result<Command, Stop> {
    words.about("pair");
    let (mut profile, mut minutes, mut ssid, mut name) = (None, None, None, None);
    let (mut wait, mut stop) = (false, false);
    let [] = words.rest([], |words, option| {
        match option {
            "--profile" => profile = Some(words.value()?),
            "--minutes" => {
                minutes = Some(words.value()?.parse().map_err(|_| words.usage("--minutes needs a number"))?);
            }
            "--ssid" => ssid = Some(words.value()?),
            "--name" => name = Some(words.value()?),
            "--wait" => wait = true,
            "--stop" => stop = true,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let other = minutes.is_some() || ssid.is_some() || name.is_some();
    match profile {
        _ if stop && (profile.is_some() || other || wait) => Err(words.usage("--stop goes alone")),
        _ if stop => Ok(Command::Stop),
        Some(profile) => Ok(Command::Open { profile, minutes, ssid, name, wait }),
        None if other => Err(words.usage("--profile is missing: the profile that the device gets")),
        None => Ok(Command::Show { wait }),
    }
}

/// Asks and prints.
pub fn run(context: &mut Context<'_>, command: &Command) -> Result<(), Failure> {
    let mut client = context.connect()?;
    let (method, params, wait) = match command {
        Command::Stop => ("pair_stop", json!({}), false),
        Command::Show { wait } => ("pair_show", json!({}), *wait),
        Command::Open { profile, minutes, ssid, name, wait } => {
            let params = json!({ "profile": profile, "minutes": minutes, "ssid": ssid, "name": name });
            ("pair_open", params, *wait)
        }
    };
    let reply = client.call(method, params, PATIENCE)?;
    if !wait {
        let stopped = matches!(command, Command::Stop);
        return context.finish(&reply, |reply, look| if stopped { "Closed.\n".into() } else { render(reply, look) });
    }
    if !Part(&reply).at("window").is_some() {
        return Err(Failure::refused("not_pairing", "wait", "no pairing window is open: open one with --profile P"));
    }
    if !context.json {
        let text = render(Part(&reply), &context.look);
        context.print(&text)?;
    }
    let reply = follow(&mut client, Part(&reply).at("window").number("number"))?;
    let last = Part(&reply).at("last");
    match last.at("outcome").0.as_str() {
        Some("paired") => context.finish(&reply, |reply, look| paired(reply.at("last"), look)),
        _ => Err(Failure::refused("not_paired", "wait", how(last))),
    }
}

/// Waits until a window is closed, and returns what is known then.
fn follow(client: &mut Client, number: u64) -> Result<Value, Failure> {
    loop {
        let reply = client.call("pair_show", json!({}), PATIENCE)?;
        if Part(&reply).at("window").at("number").0.as_u64() == Some(number) {
            sleep(LOOK);
            continue;
        }
        if Part(&reply).at("last").number("number") == number {
            return Ok(reply);
        }
        let message = "the pairing window is closed, and others were opened since: see latchkey device list";
        return Err(Failure::refused("not_paired", "wait", message));
    }
}

/// The window, or how the last one ended.
fn render(reply: Part<'_>, look: &Look) -> String {
    let (window, last) = (reply.at("window"), reply.at("last"));
    if window.is_some() {
        let ssids: Vec<String> =
            window.at("ssids").0.as_array().into_iter().flatten().filter_map(Value::as_str).map(quoted).collect();
        let name = window.maybe("name").map(|name| format!(" as {name}")).unwrap_or_default();
        let left = duration(window.number("seconds_left").max(1));
        return format!(
            "The next unknown device that joins {} with the onboarding key is registered{name} in {}.\n\
             Open for {left}, for one device. Close it: latchkey pair --stop\n",
            ssids.join(" or "),
            place(window.text("profile"), window)
        );
    }
    let hint = "Open one: latchkey pair --profile P --minutes 5\n";
    match last.at("outcome").0.as_str() {
        None => format!("No pairing window is open. {hint}"),
        Some("paired") => {
            let when = last.when("at", look).unwrap_or_default();
            format!("No pairing window is open. A device came {when}:\n\n{}", paired(last, look))
        }
        Some(_) => format!("No pairing window is open: {}. {hint}", how(last)),
    }
}

/// Why no device came.
fn how(last: Part<'_>) -> String {
    match last.at("outcome").0.as_str() {
        Some("over") => "no device came in the last one's time".into(),
        Some("stopped") => "the last one was closed by command".into(),
        Some("reconfigured") => "the configuration has the profile or the SSID of the last one no more".into(),
        _ => "it is unknown how the last one ended".into(),
    }
}

/// The device that came.
fn paired(last: Part<'_>, look: &Look) -> String {
    let device = last.at("device");
    let name = device.text("name");
    let random = if device.flag("randomised") { " (random: it may have another one after a reset)" } else { "" };
    let mut facts = Facts::default();
    facts.add("Paired", name.clone());
    facts.add("Address", format!("{}{random}", device.text("mac")));
    facts.add("Registered", format!("in {}", place(last.text("profile"), device)));
    facts.add("At", format!("{} via {}", quoted(&device.text("ssid")), device.text("nas")));
    facts.add("When", last.text("at").replacen('T', " ", 1));
    facts.add("Key", format!("the onboarding key, with this address (latchkey device rotate {name} gives it its own)"));
    format!(
        "{}\nNot the one you expected? latchkey device remove {name}\nA better name: latchkey device set {name} name=NAME\n",
        facts.render(look)
    )
}

fn place(profile: String, part: Part<'_>) -> String {
    match part.maybe("vlan") {
        Some(vlan) => format!("profile {profile} (VLAN {vlan})"),
        None => format!("profile {profile} (no VLAN)"),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", super::clean(text))
}

#[cfg(test)]
mod tests {
    use super::super::tests::PLAIN;
    use super::*;
    use serde_json::json;

    fn device() -> Value {
        json!({ "number": 1, "profile": "iot", "at": "2027-01-31T17:57:00Z", "outcome": "paired", "device": {
            "name": "device-3f2a", "mac": "02:1a:11:00:3f:2a", "randomised": true, "ssid": "Welcome", "nas": "attic",
            "vlan": 20,
        }})
    }

    #[test]
    fn a_window_in_words() {
        let window = json!({ "number": 1, "profile": "iot", "vlan": 20, "ssids": ["Welcome", "Ho\u{1b}me"],
            "name": null, "opened_at": "2027-01-31T17:57:00Z", "seconds_left": 300 });
        let expected = "\
The next unknown device that joins 'Welcome' or 'Ho\\x1bme' with the onboarding key is registered in profile iot (VLAN 20).
Open for 5 min, for one device. Close it: latchkey pair --stop
";
        assert_eq!(render(Part(&json!({ "window": window, "last": null })), &PLAIN), expected);
        let none = render(Part(&json!({ "window": null, "last": null })), &PLAIN);
        assert_eq!(none, "No pairing window is open. Open one: latchkey pair --profile P --minutes 5\n");
        let over = json!({ "window": null, "last": { "outcome": "over" } });
        assert!(render(Part(&over), &PLAIN).contains("open: no device came in the last one's time. Open one:"));
    }

    #[test]
    fn the_device_that_came() {
        let expected = "\
No pairing window is open. A device came 3 min ago:

Paired      device-3f2a
Address     02:1a:11:00:3f:2a (random: it may have another one after a reset)
Registered  in profile iot (VLAN 20)
At          'Welcome' via attic
When        2027-01-31 17:57:00Z
Key         the onboarding key, with this address (latchkey device rotate device-3f2a gives it its own)

Not the one you expected? latchkey device remove device-3f2a
A better name: latchkey device set device-3f2a name=NAME
";
        assert_eq!(render(Part(&json!({ "window": null, "last": device() })), &PLAIN), expected);
    }
}
