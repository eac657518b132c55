//! Arguments, words, and what is done when the daemon may not write.

use super::super::args::{Invocation, Stop};
use super::super::tests::{Daemon, PLAIN, latchkey};
use super::*;
use serde_json::json;
use std::process::ExitCode;

fn parsed(line: &str) -> Result<Command, String> {
    let words = line.split_whitespace().map(OsString::from);
    match Invocation::parse(words, None) {
        Ok(invocation) => match invocation.command {
            super::super::args::Command::Realm(command) => Ok(command),
            other => panic!("{other:?}"),
        },
        Err(Stop::Usage { message, .. }) => Err(message),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn arguments() {
    let name = || String::from("acme");
    assert_eq!(parsed("realm list"), Ok(Command::List));
    assert_eq!(parsed("realm show acme"), Ok(Command::Show { name: name() }));
    assert_eq!(parsed("realm test acme"), Ok(Command::Test { name: name() }));
    let to = |servers: &[&str]| Move {
        name: name(),
        to: servers.iter().map(|s| s.to_string()).collect(),
        ..Move::default()
    };
    let moved = |wanted| Ok(Command::Repoint(Box::new(wanted)));
    let two = ["udp://a.example", "udp://b.example"];
    assert_eq!(parsed("realm repoint acme --to local"), moved(to(&["local"])));
    assert_eq!(parsed("realm repoint acme --to udp://a.example udp://b.example"), moved(to(&two)));
    assert_eq!(parsed("realm repoint acme --to udp://a.example --to udp://b.example"), moved(to(&two)));
    let all = "realm repoint acme --to radsec://a.example --secret-file - --ca c --certificate d --private-key e --server-name f \
               --dry-run";
    let expected = Move {
        secret: Some("-".into()),
        ca: Some("c".into()),
        certificate: Some("d".into()),
        private_key: Some("e".into()),
        server_name: Some("f".into()),
        dry_run: true,
        ..to(&["radsec://a.example"])
    };
    assert_eq!(parsed(all), moved(expected));
    for (line, expected) in [
        ("realm", "say what to do"),
        ("realm move", "there is no command 'move'"),
        ("realm test", "NAME is missing"),
        ("realm repoint acme", "--to SERVER is missing"),
        ("realm repoint --to local", "NAME is missing"),
        ("realm repoint acme --to 192.0.2.7", "--to: '192.0.2.7' is no server: write udp://192.0.2.7"),
        ("realm repoint acme --to local udp://a.example", "--to: local goes alone"),
        ("realm repoint acme --to udp://a --to udp://b udp://c", "too many arguments"),
        ("realm repoint acme --to local --secret SWQXK", "a secret is never an argument"),
        ("realm repoint acme --to local --certificate a", "--private-key FILE is missing"),
        ("realm repoint acme --to local --private-key a", "--certificate FILE is missing"),
        ("realm repoint acme --to local --force", "there is no option --force"),
    ] {
        let message = parsed(line).expect_err(line);
        assert!(message.starts_with(expected) && !message.contains("SWQXK"), "{line}: {message}");
    }
}

fn acme() -> Value {
    json!({
        "name": "acme", "realms": ["acme.example", "*.acme.example"], "target": "servers", "servers": [
            { "server": "radsec://aaa.acme.example:2083", "health": "up", "in_flight": 0, "round_trip_us": 12_345, "answered": "2027-01-31T17:58:50Z", "trouble": null },
            { "server": "udp://192.0.2.7:1812", "health": "down", "in_flight": 2, "round_trip_us": null, "trouble": "no ans\u{1b}wer" },
        ],
        "tls": { "ca": "/etc/latchkey/acme.pem", "certificate": null, "server_name": null }, "profile": "iot", "vlan": 20,
        "admit": "all", "register": true, "session_timeout": 86_400, "share": "needed", "mac": "pseudonym", "placement": "ours",
        "last_good": null, "devices": 3,
    })
}

#[test]
fn a_table_of_realms() {
    let local = json!({ "name": "here", "realms": ["here.example"], "target": "local", "servers": [], "admit": "listed", "devices": 0 });
    let dns = json!({ "name": "any", "realms": ["default"], "target": "discover", "servers": [], "admit": "all", "profile": "iot", "devices": 0 });
    let expected = "\
NAME  REALMS                        ADMITS  PROFILE  DEVICES  ASKED                           HEALTH    TOOK  ANSWERED
acme  acme.example, *.acme.example  all     iot            3  radsec://aaa.acme.example:2083  answers  12 ms  1 min ago
                                                              udp://192.0.2.7:1812            silent       -  -
here  here.example                  listed  -              0  here                            -            -  -
any   default                       all     iot            0  by DNS                          -            -  -

3 realms. Does it work? latchkey realm test NAME
";
    assert_eq!(list(Part(&json!({ "realms": [acme(), local, dns] })), &PLAIN), expected);
    assert!(list(Part(&json!({ "realms": [] })), &PLAIN).starts_with("No realms: "));
}

#[test]
fn everything_about_a_realm() {
    let expected = "\
Name         acme
For          identities that end in @acme.example, @*.acme.example
Asked        radsec://aaa.acme.example:2083: answers (last 1 min ago, after 12 ms)
             udp://192.0.2.7:1812: does not answer; no ans\\x1bwer
CA           /etc/latchkey/acme.pem
Profile      iot (VLAN 20)
Admits       all: every device its servers let in
Registers    when they are let in for the first time
Asks anew    after 1 day 0 h at the latest
Tells them   what authentication needs, with a pseudonym for the device's address
Devices      3 registered under it
";
    let shown = facts(Part(&acme()), &PLAIN);
    assert_eq!(
        shown.lines().map(str::split_whitespace).map(Vec::from_iter).collect::<Vec<_>>(),
        expected.lines().map(str::split_whitespace).map(Vec::from_iter).collect::<Vec<_>>()
    );
    let mut cloud = acme();
    cloud["realms"] = json!(["default"]);
    cloud["last_good"] = json!({ "seconds": 604_800, "profiles": ["iot"] });
    cloud["placement"] = "server".into();
    let shown = facts(Part(&cloud), &PLAIN);
    assert!(
        shown.contains("every identity that is nobody else's")
            && shown.contains("let in 7 days 0 h ago or later, in iot"),
        "{shown}"
    );
    assert!(shown.contains("unless the server names"), "{shown}");
}

#[test]
fn a_test_in_words() {
    let reply = json!({ "name": "acme", "ok": false, "verdict": "its server does not answer: its devices are refused", "servers": [{
        "server": "radsec://aaa.acme.example:2083", "ok": false, "mend": "see that the server runs", "steps": [
            { "stage": "resolve", "ok": true, "text": "192.0.2.7", "micros": 834 },
            { "stage": "connect", "ok": false, "text": "192.0.2.7:2083: connection refused", "micros": null },
        ],
    }]});
    let expected = "\
radsec://aaa.acme.example:2083
  ok      address      192.0.2.7
  FAILED  connection   192.0.2.7:2083: connection refused
  -> see that the server runs

acme: its server does not answer: its devices are refused.
";
    assert_eq!(tested(Part(&reply), &PLAIN), expected);
    let mut by_dns = reply.clone();
    by_dns["lookups"] = json!([{ "realm": "acme.example", "ok": false, "text": "DNS names no server" }]);
    let shown = tested(Part(&by_dns), &PLAIN);
    assert!(shown.starts_with("acme.example\n  FAILED  DNS          DNS names no server\n\nradsec://"), "{shown}");
    let daemon = Daemon::ok(reply.clone());
    let done = latchkey("realm test acme", daemon.socket(), "");
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (ExitCode::from(1), expected, ""));
    let mut good = reply;
    good["ok"] = true.into();
    assert_eq!(latchkey("realm test acme", Daemon::ok(good).socket(), "").code, ExitCode::SUCCESS);
}

fn reply(file: &str) -> Value {
    json!({
        "name": "acme", "file": file, "from": ["udp://192.0.2.7:1812"], "to": ["local"], "devices": 2, "without_credentials": 1,
        "diff": [
            { "sign": "-", "line": 6, "text": "\tlist server 'udp://192.0.2.7'" },
            { "sign": "+", "line": 6, "text": "\tlist server 'local'" },
            { "sign": "-", "line": 7, "text": "\toption secret '...'" },
        ],
        "notes": ["the secret goes: nobody is asked over UDP any more"], "warnings": [], "dry_run": false, "written": true,
        "in_force": true, "why": null,
    })
}

#[test]
fn what_moving_says() {
    let mut said = reply("/etc/config/latchkey");
    let expected = "\
acme is at this box itself from now on. What changed:

/etc/config/latchkey
-    6      list server 'udp://192.0.2.7'
+    6      list server 'local'
-    7      option secret '...'

2 devices registered under it: their names, VLANs and limits stay.
1 of them can prove nothing here, since only their manufacturer's servers know them: latchkey maker import BUNDLE brings their credentials.
- the secret goes: nobody is asked over UDP any more
";
    assert_eq!(moved(Part(&said), &PLAIN), expected);
    said["dry_run"] = true.into();
    let dry = moved(Part(&said), &PLAIN);
    assert!(
        dry.starts_with("acme would go to this box itself. This would change:")
            && dry.ends_with("Nothing was changed.\n"),
        "{dry}"
    );
    said["diff"] = json!([]);
    assert_eq!(moved(Part(&said), &PLAIN), "acme is at this box itself already: nothing to change.\n");
}

const FILE: &str = "config realm 'acme'\n\tlist realm 'acme.example'\n\tlist server 'radsec://a.example'\n\toption profile 'iot'\n\
                    config profile 'iot'\n";

#[test]
fn the_secret_goes_through_the_socket_only() {
    let daemon = Daemon::ok(reply("/etc/config/latchkey"));
    let line = "realm repoint acme --to udp://b.example --secret-file - --dry-run";
    let done = latchkey(line, daemon.socket(), "SWQXK-JVZRP-RADIUS-9\n");
    assert_eq!(done.code, ExitCode::SUCCESS);
    assert!(!done.out.contains("SWQXK") && !done.err.contains("SWQXK"));
    let expected = json!({ "method": "realm_repoint", "params": {
        "name": "acme", "to": ["udp://b.example"], "secret": "SWQXK-JVZRP-RADIUS-9", "ca": null, "certificate": null,
        "private_key": null, "server_name": null, "dry_run": true,
    }});
    assert_eq!(daemon.requests(), [expected]);
}

#[test]
fn what_the_daemon_may_not_write_the_caller_may() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("latchkey");
    std::fs::write(&path, FILE).expect("written");
    let refused = |file: &Path| {
        let mut reply = reply(&file.display().to_string());
        reply["written"] = false.into();
        reply["in_force"] = false.into();
        reply["why"] = "/etc/config/latchkey: it belongs to another user, who has to change it".into();
        format!("{}\n", json!({ "result": reply }))
    };
    let daemon = Daemon::new([refused(&path), "{\"result\":{}}\n".to_owned()]);
    let done = latchkey("realm repoint acme --to local", daemon.socket(), "");
    assert_eq!((done.code, done.err.as_str()), (ExitCode::SUCCESS, ""));
    assert!(done.out.starts_with("acme is at this box itself from now on."), "{}", done.out);
    let expected = FILE.replace("radsec://a.example", "local");
    assert_eq!(std::fs::read_to_string(&path).expect("there"), expected);
    assert_eq!(daemon.requests()[1]["method"], "config_reload");

    // What is refused then is taken back.
    std::fs::write(&path, FILE).expect("written");
    let error = json!({ "error": { "code": "config", "message": "port taken", "field": null } });
    let daemon = Daemon::new([refused(&path), format!("{error}\n")]);
    let done = latchkey("realm repoint acme --to local", daemon.socket(), "");
    assert_eq!((done.code, done.err.as_str()), (ExitCode::from(1), "latchkey: port taken\n"));
    assert_eq!(std::fs::read_to_string(&path).expect("there"), FILE);

    // Nobody may: the lines are shown.
    let missing = dir.path().join("none");
    let daemon = Daemon::new([refused(&missing)]);
    let done = latchkey("realm repoint acme --to local", daemon.socket(), "");
    assert_eq!(done.code, ExitCode::from(1));
    assert!(
        done.out.contains("Change these lines by hand") && done.out.contains("+    6      list server 'local'"),
        "{}",
        done.out
    );
    assert!(done.err.contains("cannot be read"), "{}", done.err);
}
