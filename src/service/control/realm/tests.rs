//! What is said of realms, and what is asked of the shell.

use super::super::tests::{call, core};
use super::super::{Call, Done};
use super::*;
use crate::config::Config;
use crate::registry::credential::{Certificate, EapCredentials};
use crate::registry::device::Change;
use serde_json::json;
use std::path::Path;

const CONFIG: &str = "\
config profile 'iot'
	option vlan '20'
config realm 'acme'
	list realm 'acme.example'
	list realm '*.acme.example'
	list server 'radsec://aaa.acme.example'
	list server 'udp://192.0.2.7'
	option secret 'SWQXK-JVZRP-RADIUS-9'
	option ca '/etc/latchkey/acme.pem'
	option profile 'iot'
	option admit 'all'
config realm 'here'
	list realm 'here.example'
	list server 'local'
config realm 'cloud'
	list realm 'default'
	option discover '1'
	option profile 'iot'
	option last_good '7d'
	list last_good_profile 'iot'
";

fn with_realms() -> Core {
    let mut core = core();
    core.reconfigure(Config::parse(CONFIG).expect("valid").into(), super::super::tests::now());
    core.config_state.file = "/etc/config/latchkey".into();
    core
}

/// Registers a device that a realm vouches for.
fn vouched(core: &mut Core, name: &str, realm: &str) {
    call(core, "device_add", json!({ "name": name, "eap_psk": true }));
    let mut device = core.registry.devices().find(|device| &*device.name == name).expect("there").clone();
    let known_by = KnownBy::Peer { realm: realm.into(), identity: name.into() };
    let certificate = Certificate {
        known_by,
        subject: "".into(),
        not_after: None,
        mud_url: None,
        issued: false,
        since: crate::time::UnixTime(0),
    };
    device.eap = Some(Box::new(EapCredentials { certificates: vec![certificate], ..EapCredentials::default() }));
    core.apply(&[Change::Put(vec![device])]);
}

fn run(core: &mut Core, method: &str, params: Value) -> Result<Done, ApiError> {
    Call::new(method, params.as_object().cloned().unwrap_or_default())?.run(core, super::super::tests::now())
}

#[test]
fn realms_are_listed() {
    let mut core = with_realms();
    vouched(&mut core, "lamp", "acme");
    let reply = call(&mut core, "realm_list", json!({}));
    assert!(!reply.to_string().contains("SWQXK"), "{reply}");
    let [acme, here, cloud] = [0, 1, 2].map(|index| &reply["realms"][index]);
    assert_eq!(acme["realms"], json!(["acme.example", "*.acme.example"]));
    let server = |index: usize| (acme["servers"][index]["server"].clone(), acme["servers"][index]["health"].clone());
    assert_eq!(server(0), ("radsec://aaa.acme.example:2083".into(), "unknown".into()));
    assert_eq!(server(1), ("udp://192.0.2.7:1812".into(), "unknown".into()));
    assert_eq!((&acme["target"], &acme["admit"], &acme["vlan"]), (&json!("servers"), &json!("all"), &json!(20)));
    assert_eq!(
        (&acme["register"], &acme["devices"], &acme["session_timeout"]),
        (&json!(true), &json!(1), &json!(86400))
    );
    assert_eq!(acme["tls"], json!({ "ca": "/etc/latchkey/acme.pem", "certificate": null, "server_name": null }));
    assert_eq!((&here["target"], &here["servers"], &here["profile"]), (&json!("local"), &json!([]), &json!(null)));
    assert_eq!(
        (&cloud["target"], &cloud["share"], &cloud["register"]),
        (&json!("discover"), &json!("all"), &json!(false))
    );
    assert_eq!(cloud["last_good"], json!({ "seconds": 604800, "profiles": ["iot"] }));
    assert_eq!(call(&mut core, "realm_show", json!({ "name": "ACME" }))["realm"]["name"], "acme");
    let missing = call(&mut core, "realm_show", json!({ "name": "acne" }));
    assert_eq!(missing["error"]["message"], "there is no realm 'acne': there are acme, here, cloud");
}

#[test]
fn what_the_shell_is_to_try() {
    let mut core = with_realms();
    match run(&mut core, "realm_test", json!({ "name": "ACME" })) {
        Ok(Done::RealmTest(realm)) => assert_eq!((&*realm, servers(&core, &realm).len()), ("acme", 2)),
        _ => panic!("the shell has to do it"),
    }
    assert!(servers(&core, "here").is_empty() && servers(&core, "cloud").is_empty());
    assert!(discoverable(&core, "acme").is_empty() && discoverable(&core, "cloud").is_empty());
    let text = CONFIG.replace("list realm 'default'", "list realm 'default'\n\tlist realm 'cloud.example'");
    core.reconfigure(Config::parse(text).expect("valid").into(), super::super::tests::now());
    assert_eq!(discoverable(&core, "cloud"), ["cloud.example".into()]);
}

#[test]
fn arguments_of_repoint_are_checked() {
    let mut core = with_realms();
    for (params, code, field) in [
        (json!({}), "missing", "name"),
        (json!({ "name": "x", "to": ["local"] }), "not_found", "name"),
        (json!({ "name": "acme" }), "to", "to"),
        (json!({ "name": "acme", "to": [""] }), "to", "to"),
        (json!({ "name": "acme", "to": "local" }), "type", "to"),
        (json!({ "name": "acme", "to": ["192.0.2.7"] }), "to", "to"),
        (json!({ "name": "acme", "to": ["local"], "ca": "acme.pem" }), "path", "ca"),
        (json!({ "name": "acme", "to": ["local"], "certificate": "/a" }), "missing", "private_key"),
        (json!({ "name": "acme", "to": ["local"], "private_key": "/a" }), "missing", "certificate"),
        (json!({ "name": "acme", "to": ["local"], "force": true }), "unknown_field", ""),
    ] {
        let Err(error) = run(&mut core, "realm_repoint", params.clone()) else { panic!("{params}") };
        assert_eq!((error.code, error.field.as_deref().unwrap_or_default()), (code, field), "{params}");
    }
    let params = json!({ "name": "Acme", "to": ["udp://192.0.2.8"], "secret": "ZQWVX-ANOTHER-0", "dry_run": true });
    let Ok(Done::Repoint { repoint, dry_run: true }) = run(&mut core, "realm_repoint", params) else {
        panic!("refused")
    };
    assert_eq!(
        (&*repoint.realm, repoint.secret.as_ref().map(RadiusSecret::expose)),
        ("acme", Some(&b"ZQWVX-ANOTHER-0"[..]))
    );
}

#[test]
fn what_moving_a_realm_means() {
    let mut core = with_realms();
    vouched(&mut core, "lamp", "acme");
    vouched(&mut core, "cam", "acme");
    vouched(&mut core, "tv", "cloud");
    call(&mut core, "device_credential_add", json!({ "name": "cam", "eap_psk": true }));
    let plan = |to: &str| {
        let to = To::parse([to].into_iter()).expect("a target");
        let repoint =
            Repoint { realm: "acme".into(), to, secret: None, ca: None, certificate: None, server_name: None };
        repoint.plan(Path::new("/etc/config/latchkey"), CONFIG.as_bytes()).expect("a plan")
    };
    let reply = moved(&core, &plan("local"), Moved::InForce);
    assert_eq!((&reply["devices"], &reply["without_credentials"]), (&json!(2), &json!(1)));
    assert_eq!((&reply["from"][1], &reply["to"]), (&json!("udp://192.0.2.7:1812"), &json!(["local"])));
    assert_eq!((&reply["written"], &reply["in_force"], &reply["dry_run"]), (&json!(true), &json!(true), &json!(false)));
    assert_eq!(
        reply["diff"][0],
        json!({ "sign": "-", "line": 6, "text": "\tlist server 'radsec://aaa.acme.example'" })
    );
    assert!(!reply.to_string().contains("SWQXK"), "{reply}");
    let reply = moved(&core, &plan("radsec://b.example"), Moved::NotWritten("it is on a read-only file system"));
    assert_eq!((&reply["written"], &reply["in_force"]), (&json!(false), &json!(false)));
    assert_eq!((&reply["without_credentials"], &reply["why"]), (&json!(0), &json!("it is on a read-only file system")));
    let dry = moved(&core, &plan("discover"), Moved::DryRun);
    assert_eq!((&dry["dry_run"], &dry["in_force"], &dry["to"]), (&json!(true), &json!(false), &json!(["discover"])));
}

#[test]
fn verdicts() {
    let step = |stage, ok| Step { stage, ok, text: "said".into(), micros: Some(7) };
    let good = || vec![step("resolve", true), step("status-server", true)];
    let (udp, radsec): (Server, Server) = ("udp://a.example".parse().unwrap(), "radsec://b.example".parse().unwrap());
    let core = with_realms();
    let of = |results: Vec<(&Server, Vec<Step>)>| {
        let results: Vec<_> = results.into_iter().map(|(server, steps)| (server.clone(), steps)).collect();
        tested(&core, "acme", &[], &results)
    };
    let reply = of(vec![(&udp, good()), (&radsec, good())]);
    assert_eq!((&reply["ok"], &reply["verdict"]), (&json!(true), &json!("all of its 2 servers answer")));
    assert_eq!(reply["servers"][0]["mend"], Value::Null);
    for (server, stage, expected) in [
        (&udp, "resolve", "nslookup a.example"),
        (&udp, "status-server", "UDP port 1812"),
        (&radsec, "connect", "TCP port 2083"),
        (&radsec, "tls", "config realm 'acme'"),
        (&radsec, "certificate", "option server_name"),
        (&radsec, "status-server", "its log"),
    ] {
        let reply = of(vec![(server, vec![step(stage, false)])]);
        assert_eq!(reply["ok"], json!(false));
        assert!(reply["verdict"].as_str().is_some_and(|text| text.ends_with("its devices are refused")), "{reply}");
        assert!(reply["servers"][0]["mend"].as_str().is_some_and(|text| text.contains(expected)), "{reply}");
    }
    let one = of(vec![(&udp, good()), (&radsec, vec![step("connect", false)])]);
    assert_eq!(
        (&one["ok"], &one["servers"][0]["ok"], &one["servers"][1]["ok"]),
        (&json!(false), &json!(true), &json!(false))
    );
    // A test that was cut short has shown nothing.
    assert_eq!(of(vec![(&udp, vec![step("resolve", true)])])["ok"], json!(false));
    assert_eq!(of(vec![(&udp, vec![])])["ok"], json!(false));
    assert_eq!(tested(&core, "here", &[], &[])["ok"], json!(true));
    assert_eq!(tested(&core, "cloud", &[], &[])["ok"], json!(false));
    let lookups = [("a.example".into(), Ok(())), ("b.example".into(), Err("DNS names no server".into()))];
    let reply = tested(&core, "cloud", &lookups, &[(udp, good())]);
    assert_eq!((&reply["ok"], &reply["servers"][0]["ok"]), (&json!(false), &json!(true)));
    assert_eq!(reply["lookups"][1], json!({ "realm": "b.example", "ok": false, "text": "DNS names no server" }));
    assert_eq!(tested(&core, "cloud", &lookups, &[])["verdict"], "DNS tells no server: its devices are refused");
}

#[test]
fn the_mend_for_a_certificate_of_another_name_is_that_name() {
    let server: Server = "radsec://192.0.2.1".parse().unwrap();
    let mend = |text: &str| mend("x", &server, &Step { stage: "tls", ok: false, text: text.into(), micros: None });
    assert_eq!(
        mend("its certificate is for hub.example.net, not for 192.0.2.1"),
        "if that is the right server: option server_name 'hub.example.net' in config realm 'x'"
    );
    assert!(mend("it ended the connection").starts_with("see that port 2083 is that of RadSec"));
}
