//! Devices in words.

use crate::cli::reply::Part;
use crate::cli::table::{Cell, Facts, Table};
use crate::cli::text::{Look, Paint, count, date};

/// All devices as a table.
pub fn list(reply: Part<'_>, look: &Look) -> String {
    let devices = reply.list("devices");
    let total = devices.len() as u64;
    if total == 0 {
        return "No devices yet. Add one: latchkey device add NAME --generate\n".into();
    }
    let mut table = Table::new(["NAME", "STATE", "PROFILE", "VLAN", "ADDRESS", "LAST SEEN", "EXPIRES"]);
    for device in devices {
        let mut macs = device.list("macs");
        let address = match (macs.next(), macs.len()) {
            (None, _) if device.text("bind") == "any" => "any".into(),
            (None, _) => String::new(),
            (Some(first), 0) => mac(first),
            (Some(first), more) => format!("{} +{more}", mac(first)),
        };
        table.row([
            device.text("name").into(),
            state(device),
            device.text("profile").into(),
            device.text("vlan").into(),
            address.into(),
            device.when("last_seen", look).unwrap_or_else(|| "never".into()).into(),
            device.when("expires", look).unwrap_or_default().into(),
        ]);
    }
    format!("{}\n{}.\n", table.render(look), count(total, "device"))
}

/// Everything about a device.
pub fn show(reply: Part<'_>, look: &Look) -> String {
    let device = reply.at("device");
    let name = device.text("name");
    let mut facts = Facts::default();
    facts.add("Name", name.clone());
    facts.add("State", state(device));
    facts.add("Profile", place(device));
    facts.add("Binding", binding(device));
    for (index, bound) in device.list("macs").enumerate() {
        let how = if bound.flag("proved") { "proved its key" } else { "listed" };
        let when = bound.when("since", look).unwrap_or_default();
        facts.add(if index == 0 { "Addresses" } else { "" }, format!("{}, {how} {when}", mac(bound)));
    }
    facts.add(
        "Key",
        match reply.maybe("key") {
            Some(key) => key,
            None if device.flag("has_key") => format!("hidden (latchkey device show {name} --secret)"),
            None => format!("none: it uses the onboarding key (latchkey device rotate {name} gives it one)"),
        },
    );
    if let Some(at) = device.time("expires") {
        facts.add("Expires", format!("{at} ({})", look.when(at)));
    } else {
        facts.add("Expires", "never");
    }
    if let Some(at) = device.time("created") {
        facts.add("Registered", format!("{} ({})", date(at), look.when(at)));
    }
    let seen = device.when("last_seen", look).unwrap_or_else(|| "never".into());
    let by = device.maybe("last_mac").map(|mac| format!(" as {mac}")).unwrap_or_default();
    facts.add("Last seen", format!("{seen}{by}"));
    let (accepted, refused) = (device.number("accepted"), device.number("refused"));
    facts.add("Let in", format!("{}, refused {}", count(accepted, "time"), count(refused, "time")));
    facts.render(look)
}

/// What to do with a device that has just been registered.
pub fn added(reply: Part<'_>, look: &Look) -> String {
    let device = reply.at("device");
    let mut facts = Facts::default();
    facts.add("Name", device.text("name"));
    facts.add("Profile", place(device));
    facts.add("Binding", binding(device));
    if let Some(expires) = device.time("expires") {
        facts.add("Expires", format!("{expires} ({})", look.when(expires)));
    }
    if let Some(key) = reply.maybe("key") {
        facts.add("Key", key);
    }
    let next = match reply.maybe("note") {
        Some(note) => format!("{note}\n"),
        None => next_step(reply),
    };
    format!("{}\n{next}", facts.render(look))
}

/// What to do with a device that has just been given a new key.
pub fn rotated(reply: Part<'_>, look: &Look) -> String {
    let mut facts = Facts::default();
    facts.add("Name", reply.at("device").text("name"));
    if let Some(key) = reply.maybe("key") {
        facts.add("Key", key);
    }
    format!("{}\nThe old key is refused from now on. {}", facts.render(look), next_step(reply))
}

fn next_step(reply: Part<'_>) -> String {
    let which = if reply.maybe("key").is_some() { "this key" } else { "the key you gave" };
    let name = reply.at("device").text("name");
    format!("Type {which} into the device's Wi-Fi settings, or scan it:\n  latchkey qr {name} --ssid SSID\n")
}

fn state(device: Part<'_>) -> Cell {
    let state = device.text("state");
    let paint = match &*state {
        "active" => Some(Paint::Good),
        "waiting" => Some(Paint::Warn),
        _ => Some(Paint::Bad),
    };
    Cell::painted(paint, state)
}

/// The profile and its VLAN.
fn place(device: Part<'_>) -> String {
    match device.maybe("vlan") {
        Some(vlan) => format!("{} (VLAN {vlan})", device.text("profile")),
        None => format!("{} (no VLAN)", device.text("profile")),
    }
}

fn binding(device: Part<'_>) -> String {
    let max = device.number("max_devices");
    match (&*device.text("bind"), max) {
        ("first", 1) => "first: only the first address that proves the key".into(),
        ("first", 0) => "first: every address that proves the key".into(),
        ("first", n) => format!("first: only the first {n} addresses that prove the key"),
        ("mac", _) => "mac: only the addresses listed".into(),
        ("any", 0) => "any: whoever has the key".into(),
        ("any", n) => format!("any: whoever has the key, at most {n} at a time"),
        (other, _) => other.into(),
    }
}

fn mac(bound: Part<'_>) -> String {
    let random = if bound.flag("randomised") { " (random)" } else { "" };
    format!("{}{random}", bound.text("mac"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{COLOUR, PLAIN};
    use serde_json::{Value, json};

    fn tv() -> Value {
        json!({
            "name": "tv", "profile": "iot", "vlan": 20, "state": "active", "bind": "first", "max_devices": 2,
            "macs": [
                { "mac": "00:11:22:33:44:55", "proved": true, "randomised": false, "since": "2027-01-31T16:00:00Z" },
                { "mac": "02:11:22:33:44:55", "proved": false, "randomised": true, "since": "2027-01-01T00:00:00Z" },
            ],
            "expires": "2027-02-02T18:00:00Z", "created": "2027-01-01T00:00:00Z", "last_seen": "2027-01-31T17:57:00Z",
            "last_mac": "00:11:22:33:44:55", "accepted": 12, "refused": 1, "has_key": true,
        })
    }

    fn waiting() -> Value {
        json!({
            "name": "lamp", "profile": "guest", "vlan": null, "state": "waiting", "bind": "first", "max_devices": 1,
            "macs": [], "expires": null, "created": "2027-01-31T17:59:50Z", "last_seen": null, "last_mac": null,
            "accepted": 0, "refused": 0, "has_key": true,
        })
    }

    #[test]
    fn a_list_is_a_table() {
        let phone = json!({ "name": "phone", "profile": "home", "vlan": 1, "state": "blocked", "bind": "any" });
        let reply = json!({ "devices": [tv(), waiting(), phone], "total": 3 });
        let expected = "\
NAME   STATE    PROFILE  VLAN  ADDRESS               LAST SEEN  EXPIRES
tv     active   iot      20    00:11:22:33:44:55 +1  3 min ago  in 2 days
lamp   waiting  guest    -     -                     never      -
phone  blocked  home     1     any                   never      -

3 devices.
";
        assert_eq!(list(Part(&reply), &PLAIN), expected);
        assert!(list(Part(&reply), &COLOUR).contains("lamp   \x1b[33mwaiting\x1b[0m  guest"));
        let none = list(Part(&json!({ "devices": [], "total": 0 })), &PLAIN);
        assert_eq!(none, "No devices yet. Add one: latchkey device add NAME --generate\n");
    }

    #[test]
    fn everything_about_a_device() {
        let expected = "\
Name        tv
State       active
Profile     iot (VLAN 20)
Binding     first: only the first 2 addresses that prove the key
Addresses   00:11:22:33:44:55, proved its key 2 h ago
            02:11:22:33:44:55 (random), listed 30 days ago
Key         hidden (latchkey device show tv --secret)
Expires     2027-02-02T18:00:00Z (in 2 days)
Registered  2027-01-01 (30 days ago)
Last seen   3 min ago as 00:11:22:33:44:55
Let in      12 times, refused 1 time
";
        assert_eq!(show(Part(&json!({ "device": tv() })), &PLAIN), expected);
        let shown = show(Part(&json!({ "device": waiting(), "key": "k-9x!" })), &PLAIN);
        assert!(shown.contains("\nKey         k-9x!\nExpires     never\n"), "{shown}");
        assert!(shown.contains("\nProfile     guest (no VLAN)\n"), "{shown}");
        let mut keyless = waiting();
        keyless["has_key"] = false.into();
        assert!(
            show(Part(&json!({ "device": keyless })), &PLAIN).contains("Key         none: it uses the onboarding key")
        );
    }

    #[test]
    fn what_to_do_next() {
        let expected = "\
Name     lamp
Profile  guest (no VLAN)
Binding  first: only the first address that proves the key
Key      k-9x!

Type this key into the device's Wi-Fi settings, or scan it:
  latchkey qr lamp --ssid SSID
";
        assert_eq!(added(Part(&json!({ "device": waiting(), "key": "k-9x!" })), &PLAIN), expected);
        let typed = added(Part(&json!({ "device": tv() })), &PLAIN);
        assert!(typed.contains("\nExpires  2027-02-02T18:00:00Z (in 2 days)\n\nType the key you gave into"), "{typed}");
        let noted = added(Part(&json!({ "device": tv(), "note": "It keeps\u{1b} the key" })), &PLAIN);
        assert!(noted.ends_with("\n\nIt keeps\\x1b the key\n"), "{noted}");
        let expected = "\
Name  lamp
Key   k-9x!

The old key is refused from now on. Type this key into the device's Wi-Fi settings, or scan it:
  latchkey qr lamp --ssid SSID
";
        assert_eq!(rotated(Part(&json!({ "device": waiting(), "key": "k-9x!" })), &PLAIN), expected);
    }

    #[test]
    fn bindings_in_words() {
        let said = |bind, max: u64| binding(Part(&json!({ "bind": bind, "max_devices": max })));
        assert_eq!(said("first", 0), "first: every address that proves the key");
        assert_eq!(said("mac", 1), "mac: only the addresses listed");
        assert_eq!(said("any", 0), "any: whoever has the key");
        assert_eq!(said("any", 3), "any: whoever has the key, at most 3 at a time");
    }
}
