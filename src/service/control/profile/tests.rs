//! Profiles as they are shown, what keeps one from going, and what is asked of the shell.

use super::super::Call;
use super::super::tests::{call, core, now};
use super::*;
use crate::config::Config;
use serde_json::json;
use std::path::Path;

const CONFIG: &str = "\
config profile 'iot'
\toption vlan '20'
\toption access 'internet'
\tlist allow '192.168.1.10 tcp 443'
\tlist hours 'mon-fri 07:00-21:00'
\toption isolate '0'
\tlist address '192.168.20.1/24'
config profile 'guest'
config ssid 'home'
\toption ssid 'Home'
\toption unknown 'quarantine'
\toption quarantine_profile 'guest'
\toption onboarding_key 'come in and find out'
config realm 'acme'
\tlist realm 'acme.example'
\tlist server 'radsec://aaa.acme.example'
\toption profile 'iot'
";

fn with_profiles() -> Core {
    let mut core = core();
    core.reconfigure(Config::parse(CONFIG).expect("valid").into(), now());
    core.config_state.file = "/etc/config/latchkey".into();
    core
}

fn run(core: &mut Core, method: &str, params: Value) -> Result<Done, ApiError> {
    Call::new(method, params.as_object().cloned().unwrap_or_default())?.run(core, now())
}

#[test]
fn profiles_and_what_uses_them() {
    let mut core = with_profiles();
    call(&mut core, "device_add", json!({ "name": "lamp" }));
    let reply = call(&mut core, "profile_list", json!({}));
    let iot = json!({
        "name": "iot", "vlan": 20, "access": "internet", "allow": ["192.168.1.10 tcp 443"],
        "hours": ["mon-fri 07:00-21:00"], "isolate": false, "bridge": "brvlan20", "addresses": ["192.168.20.1/24"],
        "devices": 1, "default": true, "used_by": [{ "kind": "realm", "name": "acme" }],
    });
    let guest = json!({
        "name": "guest", "vlan": null, "access": "isolated", "allow": [], "hours": [], "isolate": true, "bridge": null,
        "addresses": [], "devices": 0, "default": false, "used_by": [{ "kind": "ssid", "name": "Home" }],
    });
    assert_eq!(reply["profiles"], json!([iot, guest]));
}

#[test]
fn one_that_is_used_stays() {
    let mut core = with_profiles();
    for n in 0..7 {
        call(&mut core, "device_add", json!({ "name": format!("lamp-{n}") }));
    }
    let refused = call(&mut core, "profile_remove", json!({ "name": "iot" }));
    let message = refused["error"]["message"].as_str().expect("words");
    assert_eq!((&refused["error"]["code"], &refused["error"]["field"]), (&json!("in_use"), &json!("name")));
    for words in
        ["realm 'acme'", "7 devices are in it: lamp-0, ", "lamp-4 and 2 more", "latchkey device set lamp-0 profile=P"]
    {
        assert!(message.contains(words), "{message}");
    }
    let refused = call(&mut core, "profile_remove", json!({ "name": "guest" }));
    assert!(refused["error"]["message"].as_str().expect("words").contains("SSID 'Home'"), "{refused}");
    assert!(matches!(run(&mut core, "profile_remove", json!({ "name": "tv" })), Ok(Done::Profile { .. })));
}

#[test]
fn what_is_asked_of_the_shell() {
    let mut core = with_profiles();
    let params = json!({ "name": "tv", "vlan": 30, "allow": ["192.168.1.1"], "isolate": false, "dry_run": true });
    let Ok(Done::Profile { edit, dry_run: true }) = run(&mut core, "profile_add", params) else { panic!("an edit") };
    let plan = edit.plan(Path::new("/etc/config/latchkey"), CONFIG.as_bytes()).expect("a plan");
    let reply = edited(&core, &edit, &plan, true);
    assert_eq!(
        (&reply["name"], &reply["profile"]["vlan"], &reply["in_force"]),
        (&json!("tv"), &json!(30), &json!(false))
    );
    assert_eq!((&reply["file"], &reply["dry_run"]), (&json!("/etc/config/latchkey"), &json!(true)));
    assert_eq!(reply["diff"][1], json!({ "sign": "+", "line": 10, "text": "config profile 'tv'" }));
    // What is not given is left alone, and an empty list is a list.
    let Ok(Done::Profile { edit, .. }) =
        run(&mut core, "profile_set", json!({ "name": "iot", "hours": [], "vlan": null }))
    else {
        panic!("an edit")
    };
    let ProfileAction::Set(options) = &edit.action else { panic!("{edit:?}") };
    assert_eq!(*options, ProfileOptions { hours: Some(Vec::new()), ..ProfileOptions::default() });
    for (method, params, code, field) in [
        ("profile_add", json!({ "vlan": 1 }), "missing", "name"),
        ("profile_add", json!({ "name": "x", "vlan": 4095 }), "range", "vlan"),
        ("profile_add", json!({ "name": "x", "allow": "192.168.1.1" }), "type", "allow"),
        ("profile_set", json!({ "name": "x" }), "missing", "vlan"),
        ("profile_set", json!({}), "missing", "name"),
        ("profile_remove", json!({}), "missing", "name"),
        ("profile_remove", json!({ "name": "x", "vlan": 1 }), "unknown_field", ""),
    ] {
        let Err(error) = run(&mut core, method, params.clone()) else { panic!("{method} {params}") };
        assert_eq!((error.code, error.field.as_deref().unwrap_or_default()), (code, field), "{method} {params}");
    }
}
