//! Arguments, words, and what is done when the daemon may not write.

use super::super::args::{Invocation, Stop};
use super::super::tests::{Daemon, PLAIN, latchkey};
use super::*;
use serde_json::json;
use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;

fn parsed(line: &str) -> Result<Command, String> {
    match Invocation::parse(line.split_whitespace().map(OsString::from), None) {
        Ok(invocation) => match invocation.command {
            super::super::args::Command::Profile(command) => Ok(command),
            other => panic!("{other:?}"),
        },
        Err(Stop::Usage { message, .. }) => Err(message),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn arguments() {
    assert_eq!(parsed("profile list"), Ok(Command::List));
    let texts = |values: &[&str]| Some(values.iter().map(|value| (*value).into()).collect());
    let options = ProfileOptions {
        vlan: Some(20),
        access: Some("internet".into()),
        allow: texts(&["192.168.1.1", "192.168.1.2"]),
        hours: texts(&["daily"]),
        isolate: Some(false),
        bridge: Some("br0".into()),
        addresses: texts(&["192.168.20.1/24"]),
    };
    let line = "profile add iot --vlan 20 --access internet --allow 192.168.1.1 --allow 192.168.1.2 --hours daily \
                --isolate no --bridge br0 --address 192.168.20.1/24 --dry-run";
    let edit = ProfileEdit { name: "iot".into(), action: ProfileAction::Add(options) };
    assert_eq!(parsed(line), Ok(Command::Edit { edit, dry_run: true }));
    let none = ProfileOptions { vlan: Some(0), allow: texts(&[]), isolate: Some(true), ..ProfileOptions::default() };
    let edit = ProfileEdit { name: "iot".into(), action: ProfileAction::Set(none) };
    assert_eq!(
        parsed("profile set iot --vlan none --no-allow --isolate yes"),
        Ok(Command::Edit { edit, dry_run: false })
    );
    let edit = ProfileEdit { name: "iot".into(), action: ProfileAction::Remove };
    assert_eq!(parsed("profile remove iot"), Ok(Command::Edit { edit, dry_run: false }));
    for (line, expected) in [
        ("profile", "say what to do"),
        ("profile move", "there is no command 'move'"),
        ("profile add", "NAME is missing"),
        ("profile set iot", "say what to change"),
        ("profile set iot --vlan many", "--vlan needs a number"),
        ("profile set iot --isolate perhaps", "--isolate is yes or no"),
        ("profile remove iot --vlan 20", "there is no option --vlan"),
    ] {
        let message = parsed(line).expect_err(line);
        assert!(message.starts_with(expected), "{line}: {message}");
    }
}

#[test]
fn a_table_of_profiles() {
    let reply = json!({ "profiles": [
        { "name": "iot", "vlan": 20, "access": "internet", "allow": ["192.168.1.1", "192.168.1.2"], "hours": [],
          "bridge": "brvlan20", "devices": 3, "default": true, "used_by": [{ "kind": "realm", "name": "acme" }] },
        { "name": "guest", "vlan": null, "access": "isolated", "allow": [], "hours": ["daily 07:00-21:00"], "bridge": null,
          "devices": 0, "default": false, "used_by": [] },
    ]});
    let expected = "\
NAME   VLAN  ACCESS    ALLOW                     HOURS              BRIDGE    DEVICES  USED BY
iot      20  internet  192.168.1.1, 192.168.1.2  -                  brvlan20        3  default, realm acme
guest     -  isolated  -                         daily 07:00-21:00  -               0  -

2 profiles.
";
    assert_eq!(list(Part(&reply), &PLAIN), expected);
    assert!(list(Part(&json!({ "profiles": [] })), &PLAIN).starts_with("No profiles"));
}

fn reply(dry_run: bool) -> Value {
    json!({
        "name": "tv", "file": "/etc/config/latchkey", "dry_run": dry_run, "in_force": !dry_run,
        "diff": [{ "sign": "+", "line": 3, "text": "config profile 'tv'" }], "notes": ["mind\u{7} this"], "warnings": [],
    })
}

#[test]
fn what_changed_is_shown() {
    for (line, dry_run, words) in [
        ("profile add tv --vlan 30", false, "Profile tv is there from now on. What changed:"),
        ("profile set tv --vlan 30", false, "Profile tv is changed. What changed:"),
        ("profile remove tv", false, "Profile tv is removed. What changed:"),
        ("profile remove tv --dry-run", true, "Nothing was changed."),
    ] {
        let daemon = Daemon::ok(reply(dry_run));
        let done = latchkey(line, daemon.socket(), "");
        let request = daemon.requests().remove(0);
        assert_eq!(done.code, ExitCode::SUCCESS, "{}", done.err);
        assert!(done.out.contains(words) && done.out.contains("+    3  config profile 'tv'\n"), "{}", done.out);
        assert!(done.out.contains("- mind\\x07 this\n"), "{}", done.out);
        assert_eq!(
            (&request["params"]["name"], &request["params"]["dry_run"]),
            (&json!("tv"), &json!(dry_run)),
            "{line}"
        );
    }
}

#[test]
fn whoever_calls_writes_what_the_daemon_may_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config");
    let old = "config profile 'iot'\n\toption vlan '20'\n";
    let refused = json!({ "error": { "code": "not_written", "message": "it belongs to root: chown", "field": null } });
    let mut dry = reply(true);
    dry["file"] = file.display().to_string().into();
    let dry = json!({ "result": dry });
    let reloaded = json!({ "result": {} });
    let line = |value: &Value| format!("{value}\n");
    fs::write(&file, old).expect("written");
    let daemon = Daemon::new([line(&refused), line(&dry), line(&reloaded)]);
    let done = latchkey("profile add tv --vlan 30", daemon.socket(), "");
    let asked: Vec<Value> = daemon.requests().into_iter().map(|mut request| request["method"].take()).collect();
    assert_eq!(asked, ["profile_add", "profile_add", "config_reload"]);
    assert_eq!(done.code, ExitCode::SUCCESS, "{}", done.err);
    let new = fs::read_to_string(&file).expect("there");
    assert_eq!(new, format!("{old}\nconfig profile 'tv'\n\toption vlan '30'\n"));

    // It is put back when the daemon does not take it, and the daemon's reason is shown when nobody can write.
    fs::write(&file, old).expect("written");
    let no = json!({ "error": { "code": "config", "message": "no room", "field": null } });
    let daemon = Daemon::new([line(&refused), line(&dry), line(&no)]);
    let done = latchkey("profile add tv --vlan 30", daemon.socket(), "");
    assert!(done.err.contains("no room") && done.code == ExitCode::from(1), "{}", done.err);
    assert_eq!(fs::read_to_string(&file).expect("there"), old);
    fs::remove_file(&file).expect("removed");
    let daemon = Daemon::new([line(&refused), line(&dry)]);
    let done = latchkey("profile add tv --vlan 30", daemon.socket(), "");
    assert!(done.err.contains("it belongs to root: chown"), "{}", done.err);
}
