//! `status`: how the daemon is.

use super::Context;
use super::args::{Stop, Words};
use super::client::Failure;
use super::reply::Part;
use super::table::{Cell, Facts, Table};
use super::text::{Look, Paint, count, duration};
use crate::json::json;

/// Understands the arguments.
pub fn parse(words: &mut Words) -> Result<(), Stop> {
    words.none("status")
}

/// Asks and prints.
pub fn run(context: &mut Context<'_>) -> Result<(), Failure> {
    let reply = context.call("status", json!({}))?;
    context.finish(&reply, render)
}

fn render(reply: Part<'_>, look: &Look) -> String {
    let mut facts = Facts::default();
    facts.add("latchkey", format!("{}, up {}", reply.text("version"), duration(reply.number("uptime_s"))));
    config(&mut facts, reply.at("config"), look);
    if let Some(trouble) = reply.at("clock").maybe("trouble") {
        facts.add("Clock", Cell::painted(Some(Paint::Bad), trouble));
    }
    registry(&mut facts, reply.at("registry"), look);
    for (index, keys) in reply.list("keys").enumerate() {
        let (ready, total) = (keys.number("ready"), keys.number("total"));
        let text = format!("{}: {ready} of {total} ready", keys.text("ssid"));
        let paint = (ready < total).then_some(Paint::Warn);
        facts.add(if index == 0 { "Keys" } else { "" }, Cell::painted(paint, text));
    }
    radius(&mut facts, reply.at("radius"));
    eap(&mut facts, reply.at("eap"));
    proxy(&mut facts, reply.at("proxy"), reply);
    ubus(&mut facts, reply.at("ubus"));
    let (sessions, pending) = (reply.number("sessions"), reply.number("pending"));
    let hint = if sessions > 0 { " (latchkey sessions)" } else { "" };
    facts.add("Online", format!("{}{hint}", count(sessions, "device")));
    let hint = if pending > 0 { " (latchkey pending list)" } else { "" };
    let paint = (pending > 0).then_some(Paint::Warn);
    facts.add("Pending", Cell::painted(paint, format!("{}{hint}", count(pending, "unknown device"))));
    let window = reply.at("pairing");
    if window.is_some() {
        let (profile, left) = (window.text("profile"), duration(window.number("seconds_left")));
        facts.add("Pairing", format!("open for profile {profile}, {left} left (latchkey pair)"));
    }
    for (index, trouble) in reply.list("troubles").enumerate() {
        let label = if index == 0 { "Troubles" } else { "" };
        facts
            .add(label, Cell::painted(Some(Paint::Bad), format!("{}: {}", trouble.text("about"), trouble.text("why"))));
    }
    for (index, bss) in reply.list("bsses").enumerate() {
        let text = format!("{} ({}): {}", bss.text("name"), bss.text("ssid"), bss.maybe("keys").unwrap_or_default());
        facts.add(if index == 0 { "On the air" } else { "" }, text.trim_end_matches([':', ' ']).to_owned());
    }
    let mut text = facts.render(look);
    let files = reply.list("bsses").any(|bss| bss.maybe("backend").as_deref() == Some("psk-file"));
    if reply.list("clients").len() > 0 {
        let mut table = Table::new(["CLIENT", "ADDRESS", ">REQUESTS", ">DROPPED"]);
        for client in reply.list("clients") {
            let dropped = client.text("dropped");
            let paint = (client.number("dropped") > 0).then_some(Paint::Warn);
            let (name, address) = (client.text("name"), client.text("address"));
            table.row([name.into(), address.into(), client.text("requests").into(), Cell::painted(paint, dropped)]);
        }
        text.push('\n');
        text.push_str(&table.render(look));
    } else if !files {
        text.push_str(
            "\nNo client may ask yet: add config client 'local' with address and secret to the configuration.\n",
        );
    }
    text
}

fn config(facts: &mut Facts, config: Part<'_>, look: &Look) {
    let loaded = config.when("loaded_at", look).unwrap_or_default();
    facts.add("Configuration", format!("{}, loaded {loaded}", config.text("file")));
    // A line for each mistake.
    let errors = config.at("error").0.as_str().unwrap_or_default();
    for (index, error) in errors.lines().enumerate() {
        let error = super::clean(error);
        let text = if index == 0 { format!("the file has changed but is wrong: {error}") } else { error.into_owned() };
        facts.add("", Cell::painted(Some(Paint::Bad), text));
    }
    if !errors.is_empty() {
        facts.add("", "the configuration from before goes on");
    }
    for warning in config.at("warnings").0.as_array().into_iter().flatten() {
        let warning = warning.as_str().map(super::clean).unwrap_or_default();
        facts.add("", Cell::painted(Some(Paint::Warn), format!("warning: {warning}")));
    }
}

fn registry(facts: &mut Facts, registry: Part<'_>, look: &Look) {
    let devices = registry.number("devices");
    let states = ["waiting", "blocked", "expired"].map(|state| (state, registry.number(state)));
    let active = states.iter().fold(devices, |left, (_, n)| left.saturating_sub(*n));
    let mut parts = vec![format!("{active} active")];
    parts.extend(states.iter().filter(|(_, n)| *n > 0).map(|(state, n)| format!("{n} {state}")));
    match devices {
        0 => facts.add("Registry", "no devices yet (latchkey device add NAME --generate)"),
        _ => facts.add("Registry", format!("{}: {}", count(devices, "device"), parts.join(", "))),
    }
    let damaged = registry.at("damaged");
    if damaged.is_some() {
        let when = damaged.when("at", look).unwrap_or_default();
        let text =
            format!("was damaged, found {when}: {}; set aside as {}", damaged.text("reason"), damaged.text("file"));
        facts.add("", Cell::painted(Some(Paint::Bad), text));
        let text = match damaged.maybe("restored_from") {
            Some(copy) => format!("restored from {copy}: changes made after that copy are missing"),
            None => "there was no good copy: the registry began empty".into(),
        };
        facts.add("", Cell::painted(Some(Paint::Bad), text));
    }
}

fn eap(facts: &mut Facts, eap: Part<'_>) {
    let n = |name| eap.number(name);
    let methods: Vec<String> = eap
        .list("methods")
        .filter_map(|method| Some(format!("EAP-{}", method.0.as_str()?.to_ascii_uppercase())))
        .collect();
    if n("begun") > 0 {
        let mut text = format!(
            "{}: {} accepted, {} rejected, {} abandoned; {} open ({} KiB)",
            methods.join(", "),
            n("accepted"),
            n("rejected"),
            n("abandoned"),
            n("conversations"),
            n("octets").div_ceil(1024)
        );
        if n("evicted") > 0 {
            text.push_str(&format!("; {} had to make room", n("evicted")));
        }
        facts.add("EAP", text);
    }
    for warning in eap.list("warnings") {
        let warning = warning.0.as_str().map(super::clean).unwrap_or_default();
        facts.add("", Cell::painted(Some(Paint::Warn), format!("warning: {warning}")));
    }
}

/// How it stands with the bus of OpenWrt, which not every box has.
fn ubus(facts: &mut Facts, ubus: Part<'_>) {
    let (state, n) = (ubus.text("state"), |name| ubus.number(name));
    if !ubus.is_some() || state == "off" {
        return;
    }
    let mut text = ubus.text("text");
    if state == "published" {
        text.push_str(&format!(": {}, {}", count(n("calls"), "call"), count(n("events"), "event")));
        if n("missed") > 0 {
            text.push_str(&format!(" ({} left out)", n("missed")));
        }
    }
    let fine = ubus.at("fine").0.as_bool() == Some(true);
    facts.add("ubus", Cell::painted((!fine).then_some(Paint::Bad), text));
    if let Some(why) = ubus.maybe("events_refused") {
        let text = format!("events are not sent: {why} (/usr/share/acl.d/latchkey_acl.json allows it)");
        facts.add("", Cell::painted(Some(Paint::Bad), text));
    }
}

/// Who else says who devices are: what was asked of them, and which servers do not answer.
fn proxy(facts: &mut Facts, proxy: Part<'_>, reply: Part<'_>) {
    let n = |name| proxy.number(name);
    let mut label = "Realms";
    if n("forwarded") > 0 {
        let text = format!(
            "{} sent on: {} accepted, {} refused, {} not answered; {} waiting",
            count(n("forwarded"), "request"),
            n("accepted"),
            n("refused"),
            n("failed"),
            n("waiting")
        );
        facts.add(std::mem::take(&mut label), text);
    }
    for realm in reply.list("realms") {
        for server in realm.list("servers") {
            let paint = match server.at("health").0.as_str() {
                Some("down") => Paint::Bad,
                Some("suspect") => Paint::Warn,
                _ => continue,
            };
            let trouble = server.maybe("trouble").map(|why| format!(": {why}")).unwrap_or_default();
            let text = format!("{}'s server {} does not answer{trouble}", realm.text("name"), server.text("server"));
            facts.add(std::mem::take(&mut label), Cell::painted(Some(paint), text));
        }
    }
}

fn radius(facts: &mut Facts, radius: Part<'_>) {
    let n = |name| radius.number(name);
    let requests = count(n("requests"), "request");
    let mut text =
        format!("{requests}: {} accepted, {} rejected, {} repeated", n("accepts"), n("rejects"), n("duplicates"));
    for (name, noun) in [("accounting", "accounting"), ("status_server", "status")] {
        if n(name) > 0 {
            text.push_str(&format!("; {} {noun}", n(name)));
        }
    }
    facts.add("RADIUS", text);
    let dropped = radius.at("dropped");
    let reasons = [
        ("unknown_client", "from unknown clients"),
        ("bad_authenticator", "with a wrong authenticator (is the secret the same on both sides?)"),
        ("missing_message_authenticator", "without Message-Authenticator"),
        ("malformed", "malformed"),
        ("rate_limited", "over the rate limit for unknown devices"),
        ("overload", "for overload"),
    ];
    for (index, (name, why)) in reasons.into_iter().filter(|(name, _)| dropped.number(name) > 0).enumerate() {
        let label = if index == 0 { "Dropped" } else { "" };
        facts.add(label, Cell::painted(Some(Paint::Warn), format!("{} {why}", dropped.number(name))));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::PLAIN;
    use super::*;
    use serde_json::json;

    #[test]
    fn everything_well() {
        let reply = json!({
            "version": "0.1.0", "uptime_s": 11_520,
            "config": { "file": "/etc/config/latchkey", "loaded_at": "2027-01-31T15:00:00Z", "error": null, "warnings": [] },
            "registry": { "devices": 0, "blocked": 0, "expired": 0, "waiting": 0, "damaged": null },
            "keys": [], "radius": { "requests": 0, "accepts": 0, "rejects": 0, "dropped": { "malformed": 0 } },
            "clients": [], "sessions": 0, "pending": 0,
        });
        let expected = "\
latchkey       0.1.0, up 3 h 12 min
Configuration  /etc/config/latchkey, loaded 3 h ago
Registry       no devices yet (latchkey device add NAME --generate)
RADIUS         0 requests: 0 accepted, 0 rejected, 0 repeated
Online         0 devices
Pending        0 unknown devices

No client may ask yet: add config client 'local' with address and secret to the configuration.
";
        assert_eq!(render(Part(&reply), &PLAIN), expected);
    }

    #[test]
    fn everything_wrong() {
        let reply = json!({
            "version": "0.1.0", "uptime_s": 59,
            "config": {
                "file": "/etc/config/latchkey", "loaded_at": "2027-01-31T17:59:00Z",
                "error": "/etc/config/latchkey:7: option vlan '5000': must be 1 to 4094\n/etc/config/latchkey:9: x\u{7}",
                "warnings": ["client 'local': the secret is short"],
            },
            "registry": {
                "devices": 12, "blocked": 1, "expired": 0, "waiting": 2,
                "damaged": {
                    "file": "registry.db.bad", "reason": "malformed database", "restored_from": "registry.db.good",
                    "at": "2027-01-31T17:59:01Z",
                },
            },
            "keys": [{ "ssid": "Home", "ready": 3, "total": 12 }, { "ssid": "Barn\u{7}", "ready": 12, "total": 12 }],
            "radius": {
                "requests": 1, "accepts": 1, "rejects": 0, "accounting": 4, "status_server": 2, "duplicates": 3,
                "dropped": { "unknown_client": 1, "bad_authenticator": 0, "missing_message_authenticator": 2,
                             "malformed": 0, "rate_limited": 0, "overload": 0 },
            },
            "bsses": [
                { "name": "wlan0", "ssid": "Home", "backend": "radius", "keys": "asks over RADIUS (127.0.0.1:1812)" },
                { "name": "wlan1", "ssid": "Ba\u{7}rn", "backend": null, "keys": null },
            ],
            "clients": [
                { "name": "local", "address": "127.0.0.1", "requests": 120, "dropped": 0 },
                { "name": "attic", "address": "192.168.1.2", "requests": 7, "dropped": 2 },
            ],
            "proxy": { "forwarded": 31, "accepted": 4, "refused": 1, "failed": 2, "waiting": 0 },
            "realms": [
                { "name": "acme", "servers": [
                    { "server": "udp://192.0.2.1:1812", "health": "up", "trouble": null },
                    { "server": "udp://192.0.2.2:1812", "health": "down", "trouble": "no ans\u{7}wer" },
                ] },
                { "name": "online", "servers": [{ "server": "radsec://a.example:2083", "health": "suspect" }] },
            ],
            "sessions": 1, "pending": 2, "pairing": { "profile": "iot", "seconds_left": 240 },
            "troubles": [{ "about": "firewall", "why": "there is no nft" }],
        });
        let expected = "\
latchkey       0.1.0, up 59 s
Configuration  /etc/config/latchkey, loaded 1 min ago
               the file has changed but is wrong: /etc/config/latchkey:7: option vlan '5000': must be 1 to 4094
               /etc/config/latchkey:9: x\\x07
               the configuration from before goes on
               warning: client 'local': the secret is short
Registry       12 devices: 9 active, 2 waiting, 1 blocked
               was damaged, found just now: malformed database; set aside as registry.db.bad
               restored from registry.db.good: changes made after that copy are missing
Keys           Home: 3 of 12 ready
               Barn\\x07: 12 of 12 ready
RADIUS         1 request: 1 accepted, 0 rejected, 3 repeated; 4 accounting; 2 status
Dropped        1 from unknown clients
               2 without Message-Authenticator
Realms         31 requests sent on: 4 accepted, 1 refused, 2 not answered; 0 waiting
               acme's server udp://192.0.2.2:1812 does not answer: no ans\\x07wer
               online's server radsec://a.example:2083 does not answer
Online         1 device (latchkey sessions)
Pending        2 unknown devices (latchkey pending list)
Pairing        open for profile iot, 4 min left (latchkey pair)
Troubles       firewall: there is no nft
On the air     wlan0 (Home): asks over RADIUS (127.0.0.1:1812)
               wlan1 (Ba\\x07rn)

CLIENT  ADDRESS      REQUESTS  DROPPED
local   127.0.0.1         120        0
attic   192.168.1.2         7        2
";
        assert_eq!(render(Part(&reply), &PLAIN), expected);
        // Nothing known is still an answer.
        assert!(render(Part(&json!(null)), &PLAIN).contains("RADIUS         0 requests"));
    }
}
