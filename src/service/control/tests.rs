//! The methods, from request line to reply, without a socket and with the changes applied at once.

mod brief;
mod bundle;
mod eap;
mod luci;

use super::*;
use crate::config::Config;
use crate::decision::event::Outcome;
use crate::decision::event::tests::event;
use crate::decision::reason::Reason;
use crate::mac::MacAddr;
use crate::registry::Registry;
use crate::service::pending::{Pending, Proved};
use crate::time::UnixTime;
use serde_json::json;

const NOW: UnixTime = UnixTime(1_800_000_000);

pub(super) fn core() -> Core {
    let config = "
config profile 'iot'
	option vlan '20'
config profile 'media'
	option vlan '30'
config profile 'guest'
config ssid 'home'
	option ssid 'Home;1'
	option unknown 'quarantine'
	option quarantine_profile 'guest'
	option onboarding_key 'come in and find out'
";
    let mut state = 1u64;
    let random = Box::new(move |octets: &mut [u8]| {
        for octet in octets {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *octet = (state >> 56) as u8;
        }
    });
    let config = Config::parse(config).expect("the configuration of the tests");
    Core::new(config.into(), Registry::default(), now(), random, std::time::Instant::now, Box::new(|_| ()))
}

pub(super) fn now() -> Now {
    Now { wall: NOW, mono: std::time::Instant::now() }
}

pub(super) fn call(core: &mut Core, method: &str, params: Value) -> Value {
    let line = json!({ "method": method, "params": params }).to_string();
    let done = Call::parse(line.as_bytes()).and_then(|call| call.run(core, now()));
    let done = done.and_then(|done| match done {
        Done::Import(mut import) => {
            while !import.step(core, now(), 2) {}
            import.finish().map(|(changes, then)| Done::Commit { changes, then })
        }
        done => Ok(done),
    });
    match done {
        Ok(Done::Value(value) | Done::Follow { value, .. }) => value,
        Ok(Done::Commit { changes, then }) => {
            core.apply(&changes);
            then(core, now())
        }
        Ok(Done::Import(_)) => unreachable!("worked off above"),
        Ok(Done::RealmTest(_) | Done::Repoint { .. } | Done::Profile { .. } | Done::Reload) => {
            unreachable!("what the shell has to do")
        }
        Err(error) => error.to_json(),
    }
}

/// Code, field and message of an error.
fn error(reply: &Value) -> (String, String, String) {
    let text = |field: &str| reply["error"][field].as_str().unwrap_or_default().to_owned();
    (text("code"), text("field"), text("message"))
}

#[test]
fn a_device_gets_a_key_that_is_shown_once_and_on_demand() {
    let mut core = core();
    let added = call(&mut core, "device_add", json!({ "name": "lamp", "macs": ["AABB.CC00.1122"] }));
    assert_eq!(added["device"]["profile"], "iot", "the first profile is the default");
    assert_eq!(added["device"]["vlan"], 20);
    assert_eq!(added["device"]["macs"][0]["mac"], "aa:bb:cc:00:11:22");
    assert_eq!(added["device"]["macs"][0]["randomised"], true);
    let key = added["key"].as_str().expect("a generated key").to_owned();
    let listed = call(&mut core, "device_list", json!({}));
    assert_eq!(listed["total"], 1);
    let quiet =
        [listed, call(&mut core, "device_show", json!({ "name": "LAMP" })), call(&mut core, "status", json!({}))];
    for reply in quiet {
        assert!(!reply.to_string().contains(&key), "{reply}");
    }
    assert_eq!(call(&mut core, "device_secret", json!({ "name": "lamp" }))["key"], *key);
    let qr = call(&mut core, "qr", json!({ "name": "lamp", "ssid": "Home;1" }));
    assert_eq!(qr["text"], format!("WIFI:T:WPA;S:Home\\;1;P:{key};;"));
    // The modules as the library draws the text, without a margin: the finder patterns begin in the corners.
    let drawn = qrcodegen::QrCode::encode_text(qr["text"].as_str().unwrap(), qrcodegen::QrCodeEcc::Medium).unwrap();
    let rows: Vec<&str> = qr["matrix"].as_array().unwrap().iter().map(|row| row.as_str().unwrap()).collect();
    assert_eq!(rows.len(), drawn.size() as usize);
    for (y, row) in (0..).zip(&rows) {
        let same = (0..).zip(row.bytes()).all(|(x, module)| (module == b'1') == drawn.get_module(x, y));
        assert!(same && row.len() == rows.len(), "{y}: {row}");
    }
    for (y, row) in [(0, &rows[0]), (rows.len() - 1, &rows[rows.len() - 1])] {
        assert!(row.starts_with("11111110"), "{y}: {row}");
    }
}

#[test]
fn what_is_refused_names_field_value_and_mend() {
    let mut core = core();
    call(&mut core, "device_add", json!({ "name": "lamp", "macs": ["00:1a:11:00:00:01"], "key": "Umbrella-Tango-47" }));
    for (params, code, field, words) in [
        (json!({}), "missing", "name", "name is missing"),
        (json!({ "name": "über" }), "name", "name", "kitchen-lamp"),
        (json!({ "name": "Lamp" }), "name_taken", "name", "'lamp'"),
        (json!({ "name": "a", "profile": "iott" }), "profile", "profile", "iot, media, guest"),
        (json!({ "name": "a", "macs": ["nonsense"] }), "mac", "mac", "aa:bb:cc:dd:ee:ff"),
        (json!({ "name": "a", "macs": ["ff:ff:ff:ff:ff:ff"] }), "mac", "mac", "group"),
        (json!({ "name": "a", "macs": ["00-1A-11-00-00-01"] }), "mac_taken", "mac", "'lamp'"),
        (json!({ "name": "a", "key": "short" }), "key", "key", "8 to 63"),
        (json!({ "name": "a", "key": "12345678" }), "weak_secret", "key", "digits"),
        (json!({ "name": "a", "key": "Umbrella-Tango-47" }), "similar_secret", "key", "is the key of 'lamp'"),
        (json!({ "name": "a", "key": "umbre1la tango 47" }), "similar_secret", "key", "'lamp'"),
        (json!({ "name": "a", "key": "Umbrella-Tango-48" }), "similar_secret", "key", "in 1 character only"),
        (json!({ "name": "a", "key": "Come In And Find Out" }), "similar_secret", "key", "Home;1"),
        (json!({ "name": "a", "key": "x", "generate": true }), "conflict", "generate", "not both"),
        (json!({ "name": "a", "bind": "second" }), "bind", "bind", "first, mac or any"),
        (json!({ "name": "a", "bind": "mac" }), "bind", "bind", "--mac"),
        (json!({ "name": "a", "max_devices": 70000 }), "range", "max_devices", "65535"),
        (json!({ "name": "a", "max_devices": 1.5 }), "type", "max_devices", "whole number"),
        (json!({ "name": "a", "expires": "tomorrow" }), "expires", "expires", "2027-01-31T18:00:00Z"),
        (json!({ "name": "a", "expires": "2020-01-01" }), "expires", "expires", "in the past"),
        (json!({ "name": "a", "colour": "red" }), "unknown_field", "", "colour"),
    ] {
        let reply = call(&mut core, "device_add", params.clone());
        let (got_code, got_field, message) = error(&reply);
        assert_eq!((got_code.as_str(), got_field.as_str()), (code, field), "{params}: {reply}");
        assert!(message.contains(words), "{params}: {message}");
        assert!(!message.contains("mbrella"), "no secret in an error: {message}");
    }
    assert_eq!(core.registry.len(), 1);
}

#[test]
fn a_device_is_changed_field_by_field() {
    let mut core = core();
    call(&mut core, "device_add", json!({ "name": "phone", "bind": "any" }));
    let set = |core: &mut Core, key: &str, value: &str| {
        call(core, "device_set", json!({ "name": "phone", "set": { key: value } }))
    };
    assert_eq!(set(&mut core, "profile", "media")["device"]["vlan"], 30);
    assert_eq!(
        set(&mut core, "mac+", "00:1a:11:00:00:01,00:1a:11:00:00:02")["device"]["macs"][1]["mac"],
        "00:1a:11:00:00:02"
    );
    assert_eq!(error(&set(&mut core, "mac-", "00:1a:11:00:00:03")).0, "mac");
    assert_eq!(set(&mut core, "mac-", "00:1a:11:00:00:01")["device"]["macs"].as_array().map(Vec::len), Some(1));
    assert_eq!(set(&mut core, "expires", "2030-01-01")["device"]["expires"], "2030-01-01T00:00:00Z");
    assert_eq!(set(&mut core, "expires", "never")["device"]["expires"], Value::Null);
    assert_eq!(set(&mut core, "max_devices", "3")["device"]["max_devices"], 3);
    assert_eq!(error(&set(&mut core, "key", "Umbrella-Tango-47")).0, "unknown_field");
    assert_eq!(error(&call(&mut core, "device_set", json!({ "name": "phone", "set": {} }))).0, "missing");
    assert_eq!(error(&set(&mut core, "name", "no/slash")).1, "name");
    assert_eq!(call(&mut core, "device_block", json!({ "name": "phone" }))["device"]["state"], "blocked");
    assert_eq!(call(&mut core, "device_unblock", json!({ "name": "phone" }))["device"]["state"], "active");
    assert_eq!(call(&mut core, "device_remove", json!({ "name": "phone" }))["device"]["name"], "phone");
    assert_eq!(error(&call(&mut core, "device_show", json!({ "name": "phone" }))).0, "not_found");
}

#[test]
fn what_reveals_secrets_has_a_method_of_its_own() {
    let of = |class: Class| -> Vec<&str> { METHODS.iter().filter(|m| m.class == class).map(|m| m.name).collect() };
    let secret = ["device_secret", "device_export_secrets", "maker_export", "ca_issue", "qr"];
    assert_eq!(of(Class::Secret), secret);
    let read = [
        "status",
        "device_list",
        "device_show",
        "device_export",
        "profile_list",
        "ssid_list",
        "maker_list",
        "maker_show",
        "realm_list",
        "realm_show",
        "pair_show",
        "pending_list",
        "log",
        "sessions",
        "stations",
        "firewall_show",
        "ca_show",
    ];
    assert_eq!(of(Class::Read), read, "whatever is new here is open to those who may only look");
    // None of them tells what was given or made, and none takes an argument that would have it do so.
    let mut core = core();
    call(
        &mut core,
        "device_add",
        json!({ "name": "cam", "macs": ["00:1a:11:00:00:01"], "eap_psk": true, "generate": true }),
    );
    let all = call(&mut core, "device_secret", json!({ "name": "cam" }));
    let secrets =
        [all["key"].as_str().expect("a key"), all["eap_psk"]["key"].as_str().expect("a key"), "come in and find out"];
    for method in METHODS.iter().filter(|method| method.class == Class::Read) {
        let named = method.params.iter().any(|(name, _)| *name == "name");
        let params = if named { json!({ "name": "cam" }) } else { json!({}) };
        let reply = call(&mut core, method.name, params).to_string();
        assert!(secrets.iter().all(|secret| !reply.contains(secret)), "{}: {reply}", method.name);
        assert!(method.params.iter().all(|(name, _)| !name.contains("secret")), "{}", method.name);
        assert!(!method.writes || method.name == "pair_show", "{}", method.name);
    }
}

#[test]
fn numbers_tell_what_is_new() {
    let mut core = core();
    core.begin_numbers();
    let revision = |core: &mut Core| call(core, "device_list", json!({}))["revision"].as_u64().expect("a number");
    let before = revision(&mut core);
    assert!(before > 0 && before < 1 << 29);
    assert_eq!(call(&mut core, "status", json!({}))["registry"]["revision"], before);
    call(&mut core, "device_add", json!({ "name": "lamp" }));
    let added = revision(&mut core);
    assert_eq!(added, before + 1);
    let config = core.config.clone();
    core.reconfigure(config, now());
    assert_eq!(call(&mut core, "profile_list", json!({}))["revision"], added + 1);
    let pending = |core: &mut Core| call(core, "pending_list", json!({}))["revision"].clone();
    let quiet = pending(&mut core);
    assert_eq!(call(&mut core, "status", json!({}))["pending_revision"], quiet);
    core.note_pending(
        MacAddr([0, 0x1a, 0x11, 0, 0, 9]),
        &b"Home;1"[..].into(),
        &"ap".into(),
        &Reason::UnknownDevice,
        NOW,
    );
    assert_ne!(pending(&mut core), quiet);
    assert_eq!(revision(&mut core), added + 1, "who knocks changes no device");
}

#[test]
fn networks_are_listed_without_their_keys() {
    let mut core = core();
    let text = "config profile 'guest'\nconfig ssid 'home'\n\toption ssid 'Home'\n\toption unknown 'quarantine'\n\
                \toption quarantine_profile 'guest'\n\toption onboarding_key 'come in and find out'\n\
                config ssid\n\toption ssid 'Barn'\n\toption backend 'psk-file'\n\
                config ssid 'cable'\n\toption security 'wired'\n";
    core.reconfigure(Config::parse(text).expect("valid").into(), now());
    let reply = call(&mut core, "ssid_list", json!({}));
    let shown = |name: &str, ssid: &str, security: &str, unknown: &str, profile: Value, file: Value, key: bool| {
        let backend = if file.is_null() { "radius" } else { "psk-file" };
        json!({
            "name": name, "ssid": ssid, "security": security, "unknown": unknown, "quarantine_profile": profile,
            "backend": backend, "psk_file": file, "has_onboarding_key": key,
        })
    };
    let expected = [
        shown("home", "Home", "wpa2", "quarantine", json!("guest"), Value::Null, true),
        shown("@ssid[1]", "Barn", "wpa2", "reject", Value::Null, json!("/var/run/latchkey/psk/ssid1"), false),
        shown("cable", "", "wired", "reject", Value::Null, Value::Null, false),
    ];
    assert_eq!(reply, json!({ "ssids": expected }));
}

#[test]
fn rotation_replaces_the_key_and_keeps_the_device() {
    let mut core = core();
    let old = call(&mut core, "device_add", json!({ "name": "cam", "macs": ["00:1a:11:00:00:01"] }));
    let new = call(&mut core, "device_rotate", json!({ "name": "cam" }));
    assert_ne!(old["key"], new["key"]);
    assert_eq!(new["device"]["macs"], old["device"]["macs"]);
    let same = call(&mut core, "device_rotate", json!({ "name": "cam", "key": new["key"] }));
    assert_eq!(error(&same).0, "same_key");
    let given = call(&mut core, "device_rotate", json!({ "name": "cam", "key": "Umbrella-Tango-47" }));
    assert_eq!(given["key"], Value::Null, "a key that was typed in is not shown");
}

#[test]
fn an_import_is_all_or_nothing_and_names_every_bad_line() {
    let mut core = core();
    let csv = "name,profile,mac,key,bind,max-devices,expires
lamp,iot,00:1a:11:00:00:01,,,,
cam,nope,,,,,
tv,media,00:1a:11:00:00:01,,,,
lamp,iot,,,,,
one,iot,,Umbrella-Tango-47,,,
two,iot,,Umbrella-Tango-48,,,
phone,guest,,,any,x,
hub,guest,,,any,5,2020-01-01
";
    let reply = call(&mut core, "device_import", json!({ "csv": csv }));
    assert_eq!(error(&reply).0, "import");
    let lines: Vec<(u64, &str)> = reply["error"]["lines"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| (line["line"].as_u64().unwrap_or(0), line["field"].as_str().unwrap_or_default()))
        .collect();
    let expected = [(3, "profile"), (4, "mac"), (5, "name"), (7, "key"), (8, "max_devices"), (9, "expires")];
    assert_eq!(lines, expected, "{reply}");
    assert!(core.registry.is_empty());
}

#[test]
fn an_import_gives_every_row_its_own_key_and_an_export_brings_all_back() {
    let mut first = core();
    let csv = "\u{feff}Name,mac,bind\nlamp,00:1a:11:00:00:01 00:1a:11:00:00:02,mac\n# a comment\ncam,,\nphone,,any\n";
    let reply = call(&mut first, "device_import", json!({ "csv": csv }));
    assert_eq!(reply["imported"], 3);
    let mut keys: Vec<&str> =
        reply["devices"].as_array().expect("devices").iter().filter_map(|device| device["key"].as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 3);

    let export = |core: &mut Core, secrets: bool| {
        let reply = call(core, if secrets { "device_export_secrets" } else { "device_export" }, json!({}));
        reply["csv"].as_str().expect("text").to_owned()
    };
    let all = export(&mut first, true);
    assert!(all.contains(keys[0]) && !export(&mut first, false).contains(keys[0]));
    let mut second = core();
    assert_eq!(call(&mut second, "device_import", json!({ "csv": all }))["imported"], 3);
    assert_eq!(export(&mut second, true), all);
}

#[test]
fn files_that_are_no_import() {
    let mut core = core();
    for (csv, words) in [
        ("lamp,iot\n", "column 1 has no known title"),
        ("profile\niot\n", "'name' is missing"),
        ("name,name\n", "twice"),
        ("name\n", "header only"),
    ] {
        let reply = call(&mut core, "device_import", json!({ "csv": csv }));
        assert!(error(&reply).2.contains(words), "{csv}: {reply}");
    }
    let reply = call(&mut core, "device_import", json!({ "csv": "name\nlamp,iot\n" }));
    assert_eq!(reply["error"]["lines"][0]["line"], 2, "{reply}");
}

fn knock(core: &mut Core, last: u8, quarantined: bool) -> String {
    let mac = MacAddr([0, 0x1a, 0x11, 0, 0, last]);
    core.pending.note(Pending {
        mac,
        ssid: b"Home;1"[..].into(),
        nas: "ap".into(),
        first_seen: NOW,
        last_seen: NOW,
        attempts: 1,
        reason: Reason::UnknownDevice,
        proved: if quarantined { Proved::Onboarding } else { Proved::Nothing },
        other: None,
    });
    mac.to_string()
}

#[test]
fn unknown_devices_are_approved_or_ignored() {
    let mut core = core();
    let (stranger, guest, pest) = (knock(&mut core, 1, false), knock(&mut core, 2, true), knock(&mut core, 3, false));
    let listed = call(&mut core, "pending_list", json!({}));
    assert_eq!(listed["pending"].as_array().map(Vec::len), Some(3));
    assert!(listed["pending"][0]["why"].as_str().is_some_and(|why| why.starts_with("unknown device")), "{listed}");
    let approved = call(&mut core, "pending_approve", json!({ "mac": stranger, "name": "radio", "profile": "media" }));
    assert!(approved["key"].is_string(), "it proved nothing: it gets a key to type in");
    assert_eq!(approved["device"]["macs"][0]["mac"], *stranger);
    let approved = call(&mut core, "pending_approve", json!({ "mac": guest, "name": "tablet", "profile": "media" }));
    assert_eq!(approved["device"]["macs"][0]["proved"], true, "the onboarding key");
    assert_eq!((&approved["key"], &approved["device"]["has_key"]), (&Value::Null, &Value::Bool(false)));
    assert!(approved["note"].as_str().is_some_and(|note| note.contains("device rotate tablet")));
    assert_eq!(call(&mut core, "pending_ignore", json!({ "mac": pest })), json!({}));
    assert!(core.pending.is_empty());
    let gone = call(&mut core, "pending_approve", json!({ "mac": pest, "name": "x" }));
    assert_eq!(error(&gone).0, "not_found");
    assert!(error(&gone).2.contains("pending unignore"), "{gone}");
    let ignored = call(&mut core, "pending_list", json!({ "ignored": true }));
    assert_eq!(ignored, json!({ "ignored": [{ "mac": pest, "randomised": false }], "revision": core.revision() }));
    assert_eq!(call(&mut core, "pending_unignore", json!({ "mac": pest })), json!({}));
    assert_eq!(error(&call(&mut core, "pending_unignore", json!({ "mac": pest }))).0, "not_found");
    assert!(!core.registry.is_ignored(MacAddr([0, 0x1a, 0x11, 0, 0, 3])));
}

#[test]
fn a_pairing_window_is_opened_shown_and_closed() {
    let mut core = core();
    assert_eq!(call(&mut core, "pair_show", json!({})), json!({ "window": null, "last": null }));
    for (params, code, field) in [
        (json!({}), "missing", "profile"),
        (json!({ "profile": "gone" }), "profile", "profile"),
        (json!({ "profile": "iot", "minutes": 0 }), "range", "minutes"),
        (json!({ "profile": "iot", "minutes": 61 }), "range", "minutes"),
        (json!({ "profile": "iot", "ssid": "Away" }), "ssid", "ssid"),
        (json!({ "profile": "iot", "name": "über" }), "name", "name"),
    ] {
        let reply = call(&mut core, "pair_open", params);
        assert_eq!((&*error(&reply).0, &*error(&reply).1), (code, field), "{reply}");
    }
    let opened = call(&mut core, "pair_open", json!({ "profile": "iot", "minutes": 3, "ssid": "Home;1" }));
    let window = &opened["window"];
    assert_eq!(
        (&window["profile"], &window["vlan"], &window["ssids"]),
        (&json!("iot"), &json!(20), &json!(["Home;1"]))
    );
    assert!(window["seconds_left"].as_u64().is_some_and(|left| (175..=180).contains(&left)), "{window}");
    assert_eq!(error(&call(&mut core, "pair_open", json!({ "profile": "iot" }))).0, "pairing");
    assert_eq!(call(&mut core, "status", json!({}))["pairing"]["profile"], "iot");
    let stopped = call(&mut core, "pair_stop", json!({}));
    assert_eq!((&stopped["window"], &stopped["last"]["outcome"]), (&Value::Null, &json!("stopped")));
    assert_eq!(stopped["last"]["number"], window["number"]);
    assert_eq!(error(&call(&mut core, "pair_stop", json!({}))).0, "not_pairing");
    let again = call(&mut core, "pair_open", json!({ "profile": "media", "name": "radio" }));
    assert_ne!(again["window"]["number"], window["number"]);
}

#[test]
fn a_proof_of_a_key_that_is_no_more_is_none() {
    let mut core = core();
    let guest = knock(&mut core, 2, true);
    let other = "config profile 'iot'\nconfig ssid\n\toption ssid 'Home;1'\n\toption unknown 'pairing'\n\toption onboarding_key ";
    let configure = |core: &mut Core, key: &str| {
        let config = Config::parse(format!("{other}'{key}'\n")).expect("valid");
        core.reconfigure(config.into(), now());
        core.pending.list()[0].proved.clone()
    };
    assert_eq!(configure(&mut core, "come in and find out"), Proved::Onboarding, "the same key");
    assert_eq!(configure(&mut core, "knock three times"), Proved::Nothing);
    let approved = call(&mut core, "pending_approve", json!({ "mac": guest, "name": "tablet" }));
    assert!(approved["key"].is_string(), "it needs a key: {approved}");
}

#[test]
fn the_log_can_be_cut_down() {
    let mut core = core();
    for n in 0..5 {
        core.events.record(event(n % 2, Outcome::Refused, Reason::Expired(UnixTime(i64::from(n) + 1)), 100));
    }
    let all = call(&mut core, "log", json!({}));
    assert_eq!(all["events"].as_array().map(Vec::len), Some(5));
    let some = call(&mut core, "log", json!({ "mac": "00:00:00:00:00:01", "limit": 1 }));
    assert_eq!(some["events"][0]["text"], "refused: expired on 1970-01-01T00:00:04Z");
    assert_eq!(error(&call(&mut core, "log", json!({ "limit": 0 }))).0, "range");
}

#[test]
fn what_profiles_may_reach() {
    let mut core = core();
    core.network.default_routes = ["wan".into()].into();
    let shown = call(&mut core, "firewall_show", json!({}));
    assert_eq!((&shown["enabled"], &shown["loaded"], &shown["rules"]), (&json!(true), &json!(false), &json!(null)));
    assert_eq!(shown["wan"], json!({ "interfaces": ["wan"], "source": "default routes", "passed_over": [] }));
    let [iot, _, guest] = [0, 1, 2].map(|index| &shown["profiles"][index]);
    assert_eq!(
        (&iot["bridge"], &iot["access"], &iot["enforced"]),
        (&json!("brvlan20"), &json!("isolated"), &json!(false))
    );
    assert_eq!((&guest["bridge"], &guest["enforced"]), (&json!(null), &json!(false)));
    assert!(guest["notes"][0].as_str().is_some_and(|note| note.contains("neither VLAN nor bridge")), "{shown}");

    let dropped = crate::firewall::Dropped { packets: 3, bytes: 180 };
    core.firewall.loaded = Some("table".into());
    core.firewall.in_kernel = true;
    core.firewall.dropped.insert("brvlan20".into(), dropped);
    core.network.troubles.insert("firewall".into(), "there is no nft".into());
    let shown = call(&mut core, "firewall_show", json!({}));
    let [iot, media, guest] = [0, 1, 2].map(|index| &shown["profiles"][index]);
    assert_eq!((&iot["enforced"], &iot["dropped"]), (&json!(true), &json!({ "packets": 3, "bytes": 180 })));
    assert_eq!((&media["dropped"], &guest["enforced"]), (&json!(null), &json!(false)));
    assert_eq!((&shown["trouble"], &shown["rules"]), (&json!("there is no nft"), &json!("table")));
    let status = call(&mut core, "status", json!({}));
    assert_eq!(status["troubles"], json!([{ "about": "firewall", "why": "there is no nft" }]));
}

#[test]
fn requests_that_are_none() {
    for (line, code) in [
        (&b"{"[..], "syntax"),
        (b"[]", "syntax"),
        (b"{}", "missing"),
        (b"{\"method\":\"reboot\"}", "unknown_method"),
        (b"{\"method\":\"status\",\"params\":[]}", "type"),
        (b"{\"method\":\"status\",\"params\":{\"x\":1}}", "unknown_field"),
        (b"\xff\xfe", "syntax"),
    ] {
        assert_eq!(Call::parse(line).err().map(|error| error.code), Some(code), "{line:?}");
    }
    assert!(Call::parse(br#"{"method":"status","params":{"x":null}}"#).is_ok(), "null is as good as absent");
}

proptest::proptest! {
    #[test]
    fn no_line_panics(text: Vec<u8>, name in ".{0,40}", csv in "[a-z,\n\"#]{0,80}") {
        fuzz(&text);
        fuzz(json!({ "method": "device_add", "params": { "name": name, "key": csv } }).to_string().as_bytes());
        fuzz(json!({ "method": "device_import", "params": { "csv": format!("name,mac,key\n{csv}") } }).to_string().as_bytes());
    }
}

/// A router that has just booted: it is 1970 by its clock, and nobody knows better.
#[test]
fn no_expiry_is_taken_while_the_clock_is_not_set() {
    let mut core = core();
    let early = Now { wall: UnixTime(99), ..now() };
    core.tick(early);
    let mut ask = |method: &str, params: Value, now: Now| {
        core.tick(now);
        let call = Call::new(method, params.as_object().cloned().unwrap_or_default()).expect("a call");
        match call.run(&mut core, now) {
            Ok(Done::Commit { changes, then }) => {
                core.apply(&changes);
                then(&core, now)
            }
            Ok(Done::Value(value)) => value,
            Ok(_) => Value::Null,
            Err(error) => error.to_json(),
        }
    };
    // The clock was right when the daemon began, so time goes on from there.
    let lamp = json!({ "name": "lamp", "expires": "2028-01-01" });
    let refused = ask("device_add", lamp.clone(), early);
    let (code, field, message) = error(&refused);
    assert_eq!((&*code, &*field), ("clock_not_set", "expires"));
    assert!(message.contains("1970-01-01T00:01:39Z") && message.contains("NTP"), "{message}");
    let added = ask("device_add", json!({ "name": "tv", "expires": "never" }), early);
    assert!(added["device"]["created"].as_str().is_some_and(|at| at.starts_with("2027-01-15")), "{added}");
    let set = json!({ "name": "tv", "set": { "expires": "2028-01-01" } });
    assert_eq!(error(&ask("device_set", set, early)).0, "clock_not_set");
    let status = ask("status", json!({}), early);
    assert!(status["clock"]["trouble"].as_str().is_some_and(|text| text.contains("not set")), "{status}");
    assert_eq!(ask("device_add", lamp, now())["device"]["expires"], "2028-01-01T00:00:00Z");
    assert_eq!(ask("status", json!({}), now())["clock"]["trouble"], Value::Null);
}
