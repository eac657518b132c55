//! Devices in words.

use crate::cli::reply::Part;
use crate::cli::table::{Cell, Facts, Table};
use crate::cli::text::{Look, Paint, clean, count, date};
use std::path::PathBuf;

/// All devices as a table.
pub fn list(reply: Part<'_>, look: &Look) -> String {
    let devices = reply.list("devices");
    let total = devices.len() as u64;
    if total == 0 {
        return "No devices yet. Add one: latchkey device add NAME --generate\n".into();
    }
    let mut table = Table::new(["NAME", "STATE", "PROFILE", "VLAN", "PROOF", "ADDRESS", "LAST SEEN", "EXPIRES"]);
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
            proofs(device).into(),
            address.into(),
            device.when("last_seen", look).unwrap_or_else(|| "never".into()).into(),
            device.when("expires", look).unwrap_or_default().into(),
        ]);
    }
    format!("{}\n{}.\n", table.render(look), count(total, "device"))
}

/// What a device proves itself with, in short.
fn proofs(device: Part<'_>) -> String {
    let eap = device.at("eap");
    let all = [
        (device.flag("has_key"), "key"),
        (eap.at("nai").is_some(), "EAP-PSK"),
        (eap.list("certificates").len() > 0, "cert"),
    ];
    all.iter().filter(|(has, _)| *has).map(|(_, word)| *word).collect::<Vec<_>>().join("+")
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
    let eap = device.at("eap");
    match reply.maybe("key") {
        Some(key) => facts.add("Key", key),
        None if device.flag("has_key") => facts.add("Key", format!("hidden (latchkey device show {name} --secret)")),
        None if eap.is_some() => {}
        None => {
            facts.add("Key", format!("none: it uses the onboarding key (latchkey device rotate {name} gives it one)"));
        }
    }
    credentials(&mut facts, reply, look);
    if let Some(at) = device.time("expires") {
        facts.add("Expires", format!("{at} ({})", look.when(at)));
    } else {
        facts.add("Expires", "never");
    }
    if let Some(at) = device.time("created") {
        facts.add("Registered", format!("{} ({})", date(at), look.when(at)));
    }
    let by = device.maybe("last_mac").map(|mac| format!(" as {mac}")).unwrap_or_default();
    let only_eap = eap.is_some() && !device.flag("has_key");
    match device.when("last_seen", look) {
        Some(seen) if only_eap => facts.add("Last seen", format!("{seen}{by}: it proved its credential")),
        Some(seen) => facts.add("Last seen", format!("{seen}{by}")),
        None => facts.add("Last seen", "never"),
    }
    let (accepted, refused) = (device.number("accepted"), device.number("refused"));
    facts.add("Let in", format!("{}, refused {}", count(accepted, "time"), count(refused, "time")));
    let feed = feed(reply);
    if feed.is_empty() { facts.render(look) } else { format!("{}\n{feed}", facts.render(look)) }
}

/// Identity, EAP-PSK key, certificates and places.
fn credentials(facts: &mut Facts, reply: Part<'_>, look: &Look) {
    let device = reply.at("device");
    let eap = device.at("eap");
    if let Some(nai) = eap.maybe("nai") {
        facts.add("Identity", nai);
        let hidden = || format!("hidden (latchkey device show {} --secret)", device.text("name"));
        facts.add("EAP-PSK key", reply.at("eap_psk").maybe("key").unwrap_or_else(hidden));
    }
    for certificate in eap.list("certificates") {
        let value = certificate.text("value");
        let (label, how) = match &*certificate.text("known_by") {
            "fingerprint" => ("Certificate", format!("SHA-256 {value}")),
            "serial" if certificate.flag("issued") => ("Certificate", format!("issued here, serial number {value}")),
            "serial" => ("Certificate", format!("serial number {value}")),
            "subject_serial" => ("Certificate", format!("of {} with serial number {value}", certificate.text("maker"))),
            "alt_name" => ("Certificate", format!("of {} with name {value}", certificate.text("maker"))),
            _ => ("Public key", format!("SHA-256 {value}")),
        };
        facts.add(label, how);
        let end = certificate.time("not_after");
        match (certificate.maybe("subject"), end) {
            (Some(subject), Some(at)) => facts.add("", format!("{subject}, until {} ({})", date(at), look.when(at))),
            (Some(subject), None) => facts.add("", format!("{subject}, without an end")),
            (None, _) => {}
        }
        if let Some(url) = certificate.maybe("mud_url") {
            facts.add("", format!("what it needs: {url}"));
        }
    }
    let ssids = device.list("ssids").map(|ssid| ("on the network ", ssid.shown()));
    let aps = device.list("aps").map(|ap| ("at the access point ", ap.shown()));
    for (index, (what, place)) in ssids.chain(aps).enumerate() {
        facts.add(if index == 0 { "Only" } else { "" }, format!("{what}{place}"));
    }
}

/// What is to be fed into a device, as far as the reply has it.
fn feed(reply: Part<'_>) -> String {
    let block = |what: &str, text: &str| {
        let indented: String = text.lines().map(|line| format!("  {}\n", clean(line))).collect();
        format!("{what}\n{indented}")
    };
    let mut parts = Vec::new();
    if let Some(text) = reply.at("eap_psk").at("wpa_supplicant").0.as_str() {
        parts.push(block("With wpa_supplicant, EAP-PSK is:", text));
    }
    let tls = [reply.at("eap_tls"), reply.at("issued").at("wpa_supplicant")];
    if let Some(text) = tls.into_iter().find_map(|part| part.0.as_str()) {
        parts.push(block("With wpa_supplicant, EAP-TLS is (the paths are those on the device):", text));
    }
    parts.join("\n")
}

/// What to do with a device that has just been registered, or has a new credential.
pub fn added(reply: Part<'_>, look: &Look) -> String {
    added_with(reply, look, &[], false)
}

/// The same with the files that were written; `typed`: its Wi-Fi key came from standard input.
pub fn added_with(reply: Part<'_>, look: &Look, files: &[(PathBuf, &'static str)], typed: bool) -> String {
    let device = reply.at("device");
    let eap = device.at("eap");
    if !eap.is_some() {
        return added_key(reply, look);
    }
    let name = device.text("name");
    let mut facts = Facts::default();
    facts.add("Name", name.clone());
    facts.add("Profile", place(device));
    facts.add("Binding", binding(device));
    if let Some(expires) = device.time("expires") {
        facts.add("Expires", format!("{expires} ({})", look.when(expires)));
    }
    if let Some(key) = reply.maybe("key") {
        facts.add("Key", key);
    }
    credentials(&mut facts, reply, look);
    for (path, part) in files {
        let what = match *part {
            "p12" => "all three in one, PKCS#12",
            "private_key" => "its private key, in no other place",
            "certificate" => "its certificate",
            _ => "the CA it knows us by",
        };
        facts
            .add(if *part == "p12" { "Files" } else { "" }, format!("{} ({what})", clean(&path.display().to_string())));
    }
    if let Some(password) = reply.at("issued").maybe("p12_password") {
        facts.add("Password", format!("{password} (of the PKCS#12 file; not shown again)"));
    }
    let mut text = format!("{}\n", facts.render(look));
    if reply.maybe("key").is_some() || typed {
        text.push_str(&next_step(reply));
        text.push('\n');
    }
    let new_psk = reply.at("eap_psk").is_some();
    let new_files = reply.at("issued").is_some();
    text.push_str(match (new_psk, new_files) {
        (true, true) => "Feed identity and key, or the files, into the device (as WPA-Enterprise, 802.1X).\n",
        (true, false) => "Feed identity and key into the device (as WPA-Enterprise or 802.1X, method EAP-PSK).\n",
        (false, true) => "Put the files on the device (as WPA-Enterprise or 802.1X, method EAP-TLS).\n",
        (false, false) => "It proves itself with what it has (as WPA-Enterprise or 802.1X).\n",
    });
    let feed = feed(reply);
    if !feed.is_empty() {
        text.push_str(&format!("{feed}\n"));
    }
    text.push_str(&format!(
        "Then switch it on, and make sure that it is this one that came: its address, and when it proved itself\n  \
         latchkey device show {name}\n"
    ));
    text
}

fn added_key(reply: Part<'_>, look: &Look) -> String {
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
    let name = reply.at("device").text("name");
    facts.add("Name", name.clone());
    let psk = reply.at("eap_psk");
    if let Some(key) = psk.maybe("key") {
        facts.add("Identity", psk.text("identity"));
        facts.add("EAP-PSK key", key);
        return format!(
            "{}\nThe old key is refused from now on. Feed this one into the device.\n{}",
            facts.render(look),
            feed(reply)
        );
    }
    if reply.0.get("key").is_none() && !reply.at("device").flag("has_key") {
        return format!(
            "{}\nThe old key is refused from now on. Feed the one you gave into the device.\n",
            facts.render(look)
        );
    }
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
    let only_eap = device.at("eap").is_some() && !device.flag("has_key");
    match (&*device.text("bind"), max) {
        ("first", 1) => "first: only the first address that proves the key".into(),
        ("first", 0) => "first: every address that proves the key".into(),
        ("first", n) => format!("first: only the first {n} addresses that prove the key"),
        ("mac", _) => "mac: only the addresses listed".into(),
        ("any", 0) if only_eap => "any: whoever proves its credential, from any address".into(),
        ("any", n) if only_eap => format!("any: whoever proves its credential, at most {n} addresses at a time"),
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

    fn cam() -> Value {
        json!({
            "name": "cam", "profile": "iot", "vlan": 20, "state": "waiting", "bind": "any", "max_devices": 0, "macs": [],
            "expires": null, "created": "2027-01-31T17:59:50Z", "last_seen": null, "last_mac": null, "accepted": 0,
            "refused": 0, "has_key": false, "ssids": ["Corp"], "aps": ["00:11:22:33:44:66"],
            "eap": { "nai": "cam.x3k7@home", "certificates": [
                { "known_by": "serial", "value": "3f01", "maker": null, "subject": "CN=cam", "not_after": null,
                  "mud_url": null, "issued": true },
                { "known_by": "subject_serial", "value": "SN-7", "maker": "acme", "subject": null, "not_after": null,
                  "mud_url": "https://acme.example/cam.json", "issued": false },
            ]},
        })
    }

    #[test]
    fn everything_about_a_device_with_eap() {
        let expected = "\
Name         cam
State        waiting
Profile      iot (VLAN 20)
Binding      any: whoever proves its credential, from any address
Identity     cam.x3k7@home
EAP-PSK key  hidden (latchkey device show cam --secret)
Certificate  issued here, serial number 3f01
             CN=cam, without an end
Certificate  of acme with serial number SN-7
             what it needs: https://acme.example/cam.json
Only         on the network Corp
             at the access point 00:11:22:33:44:66
Expires      never
Registered   2027-01-31 (just now)
Last seen    never
Let in       0 times, refused 0 times
";
        assert_eq!(show(Part(&json!({ "device": cam() })), &PLAIN), expected);
        let mut seen = cam();
        seen["last_seen"] = "2027-01-31T17:57:00Z".into();
        seen["last_mac"] = "00:11:22:33:44:55".into();
        let psk =
            json!({ "identity": "cam.x3k7@home", "key": "9f3c", "wpa_supplicant": "network={\n    eap=PSK\n}\n" });
        let shown = show(Part(&json!({ "device": seen, "eap_psk": psk, "eap_tls": "network={\n}\n" })), &PLAIN);
        assert!(shown.contains("Last seen    3 min ago as 00:11:22:33:44:55: it proved its credential\n"), "{shown}");
        assert!(shown.contains("EAP-PSK key  9f3c\n"), "{shown}");
        assert!(shown.contains("\n\nWith wpa_supplicant, EAP-PSK is:\n  network={\n      eap=PSK\n  }\n"), "{shown}");
    }

    #[test]
    fn what_to_feed_into_a_device() {
        let psk = json!({ "identity": "cam.x3k7@home", "key": "9f3c", "wpa_supplicant": "network={\n}\n" });
        let issued = json!({ "p12_password": "kq7rm", "wpa_supplicant": "network={\n}\n" });
        let reply = json!({ "device": cam(), "eap_psk": psk, "issued": issued });
        let files = [("/k/cam.p12".into(), "p12"), ("/k/cam.key".into(), "private_key")];
        let shown = added_with(Part(&reply), &PLAIN, &files, false);
        for words in [
            "EAP-PSK key  9f3c\n",
            "Files        /k/cam.p12 (all three in one, PKCS#12)\n             /k/cam.key (its private key, in no other place)\n",
            "Password     kq7rm (of the PKCS#12 file; not shown again)\n",
            "Feed identity and key, or the files, into the device",
            "latchkey device show cam\n",
        ] {
            assert!(shown.contains(words), "{words}: {shown}");
        }
        assert!(!shown.contains("qr"), "{shown}");
        let rotated = rotated(Part(&json!({ "device": cam(), "eap_psk": reply["eap_psk"] })), &PLAIN);
        assert!(rotated.starts_with("Name         cam\nIdentity     cam.x3k7@home\nEAP-PSK key  9f3c\n"), "{rotated}");
    }

    #[test]
    fn a_list_is_a_table() {
        let phone = json!({ "name": "phone", "profile": "home", "vlan": 1, "state": "blocked", "bind": "any" });
        let reply = json!({ "devices": [tv(), waiting(), phone, cam()], "total": 4 });
        let expected = "\
NAME   STATE    PROFILE  VLAN  PROOF         ADDRESS               LAST SEEN  EXPIRES
tv     active   iot      20    key           00:11:22:33:44:55 +1  3 min ago  in 2 days
lamp   waiting  guest    -     key           -                     never      -
phone  blocked  home     1     -             any                   never      -
cam    waiting  iot      20    EAP-PSK+cert  any                   never      -

4 devices.
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
