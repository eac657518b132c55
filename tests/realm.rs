//! Moving a realm, with the real daemon: what is in the configuration file, and what is in force.

mod support;

use serde_json::{Value, json};
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use support::{Home, free_port};

const SECRET: &str = "SWQXK-JVZRP-RADIUS-9";

/// The realm, with remarks that have to stay.
const REALM: &str = "
# Who vouches for lamps.
config realm 'acme'   # since 2026
\tlist realm 'acme.example'
\tlist   server \"udp://127.0.0.9:1\"   # the first
\toption secret 'a-long-random-secret'
\toption profile 'iot'
# the end
";

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// What is in force.
fn servers(home: &Home) -> Value {
    let shown = home.call("realm_show", json!({ "name": "acme" })).expect("a realm");
    match shown["realm"]["target"].as_str() {
        Some("servers") => shown["realm"]["servers"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|server| server["server"].clone())
            .collect(),
        _ => shown["realm"]["target"].clone(),
    }
}

#[test]
fn a_realm_is_moved_and_everything_else_stays() {
    let home = Home::new();
    home.configure(REALM);
    let file = home.path("config");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let before = fs::read_to_string(&file).unwrap();
    let _daemon = home.start();
    assert!(succeeded(&home.latchkey(&["realm", "list"])).contains("udp://127.0.0.9:1"));

    let there = format!("udp://127.0.0.9:{}", free_port());
    let to = ["realm", "repoint", "acme", "--to", &there, "--secret-file", "-"];
    let dry = home.latchkey_with(&[&to[..], &["--dry-run"]].concat(), &format!("{SECRET}\n"));
    assert!(succeeded(&dry).contains("Nothing was changed."));
    assert_eq!((fs::read_to_string(&file).unwrap(), servers(&home)), (before.clone(), json!(["udp://127.0.0.9:1"])));

    let said = succeeded(&home.latchkey_with(&to, &format!("{SECRET}\n")));
    assert!(said.contains(&format!("acme is at {there} from now on")) && !said.contains("SWQXK"), "{said}");
    let expected = before
        .replace("list   server \"udp://127.0.0.9:1\"", &format!("list server '{there}'"))
        .replace("a-long-random-secret", SECRET);
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(servers(&home), json!([there]), "it is in force");
    assert!(!home.log().contains("SWQXK"));
    assert!(succeeded(&home.latchkey_with(&to, &format!("{SECRET}\n"))).contains("nothing to change"));

    // Nobody is there; the words say so, and the exit code.
    let tested = home.latchkey(&["realm", "test", "acme"]);
    assert_eq!(tested.status.code(), Some(1));
    assert!(text(&tested.stdout).contains("acme: its server does not answer"), "{}", text(&tested.stdout));

    succeeded(&home.latchkey(&["realm", "repoint", "acme", "--to", "local"]));
    assert_eq!(servers(&home), json!("local"));
    let expected = before
        .replace("list   server \"udp://127.0.0.9:1\"", "list server 'local'")
        .replace("\toption secret 'a-long-random-secret'\n", "");
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
    assert!(succeeded(&home.latchkey(&["realm", "test", "acme"])).contains("authenticated here"));
}

#[test]
fn what_cannot_be_in_force_is_not_written() {
    let home = Home::new();
    home.configure(REALM);
    let file = home.path("config");
    let _daemon = home.start();
    let refused = |to: &str, expected: &str| {
        let before = fs::read_to_string(&file).unwrap();
        let output = home.latchkey(&["realm", "repoint", "acme", "--to", to]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(expected), "{}", text(&output.stderr));
        assert_eq!(fs::read_to_string(&file).unwrap(), before);
        assert_eq!(servers(&home), json!(["udp://127.0.0.9:1"]));
        text(&output.stdout)
    };
    refused(&format!("udp://127.0.0.1:{}", home.auth_port), "is this daemon itself (auth_listen)");

    // The file cannot be made anew, neither by the daemon nor by the caller: the lines are shown.
    fs::create_dir(home.path(".config.new")).unwrap();
    let said = refused("local", "cannot be changed");
    assert!(said.contains("Change these lines by hand") && said.contains("list server 'local'"), "{said}");
    fs::remove_dir(home.path(".config.new")).unwrap();

    // Somebody has written something into the file that only shows when it is put into force.
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let edited = fs::read_to_string(&file)
        .unwrap()
        .replace(&format!("127.0.0.1:{}", home.auth_port), &format!("127.0.0.1:{port}"));
    fs::write(&file, edited).unwrap();
    refused("local", "cannot listen on");
    drop(taken);
    let said = succeeded(&home.latchkey(&["realm", "repoint", "acme", "--to", "local"]));
    assert!(said.contains("other changes that were not in force yet"), "{said}");
    assert_eq!(servers(&home), json!("local"));
}
