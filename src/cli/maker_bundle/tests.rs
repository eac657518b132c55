//! What is sent and what is said; and what must not get onto a screen or into a readable file.

use super::super::tests::{Daemon, PLAIN, latchkey};
use super::*;
use rcgen::KeyPair;
use serde_json::json;
use std::process::ExitCode;

fn imported() -> Value {
    json!({
        "maker": "acme", "new_maker": true, "profile": "iot", "admit": "listed", "realm": "acme-realm", "local": false,
        "issued": "2027-01-10T00:00:00Z", "signed": { "by": "CN=Acme bundles", "algorithm": "ES256" }, "dry_run": false,
        "authorities": 1, "lists": 0, "unchanged": 4, "left_out": ["dev3@acme.example"], "stranded": ["bulb"],
        "changed": [{ "identity": "dev1@acme.example", "name": "cam", "gains": ["an EAP-PSK key", "a certificate"] }],
        "new": [{ "identity": "dev2@acme.example", "name": "dev2", "gains": ["a Wi-Fi key"] }],
    })
}

fn line(value: &Value) -> String {
    format!("{}\n", json!({ "result": value }))
}

#[test]
fn an_import_says_what_it_does() {
    let expected = "\
Maker    acme, new
Signed   by CN=Acme bundles (ES256), on 2027-01-10T00:00:00Z
Profile  iot
CAs      1 more; 0 new lists of revoked certificates

DEVICE  IDENTITY           GETS
cam     dev1@acme.example  an EAP-PSK key, a certificate
dev2    dev2@acme.example  registered, with a Wi-Fi key

Changed 1 device, registered 1 device; as in the bundle already: 4.
1 device not known here and left out: --register registers them, too.
Not in the bundle, and without anything to prove themselves with here: bulb.
Their maker's servers are still asked about them. To let them be authenticated here:
  latchkey realm repoint acme-realm --to local
";
    assert_eq!(told(Part(&imported()), false, &PLAIN), expected);
    let mut dry = imported();
    dry["dry_run"] = true.into();
    assert!(told(Part(&dry), false, &PLAIN).ends_with("Nothing was changed: this was a dry run.\n"));
}

#[test]
fn with_local_the_realm_is_moved_after_the_import() {
    let requests = |daemon: Daemon| -> Vec<String> {
        daemon.requests().iter().map(|request| request["method"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let moved = json!({ "in_force": true });
    let daemon = Daemon::new([line(&imported()), line(&moved)]);
    let done = latchkey("maker import - --unsigned --local", daemon.socket(), "{}");
    assert_eq!((done.code, &*done.err), (ExitCode::SUCCESS, ""));
    assert!(done.out.ends_with("acme-realm is authenticated here from now on.\n"), "{}", done.out);
    assert_eq!(requests(daemon), ["maker_import", "realm_repoint"]);
    // It could not be: the import is done all the same, and that is said.
    let refused = json!({ "in_force": false, "why": "/etc/config/latchkey: read-only" });
    let daemon = Daemon::new([line(&imported()), line(&refused)]);
    let done = latchkey("maker import - --unsigned --local", daemon.socket(), "{}");
    assert_eq!(done.code, ExitCode::from(1));
    assert!(done.err.contains("is imported, but acme-realm") && done.err.contains("read-only"), "{}", done.err);
    assert!(done.out.contains("an EAP-PSK key"), "{}", done.out);
    // In a dry run, nothing is.
    let mut dry = imported();
    dry["dry_run"] = true.into();
    let daemon = Daemon::new([line(&dry)]);
    latchkey("maker import - --unsigned --local --dry-run", daemon.socket(), "{}");
    assert_eq!(requests(daemon), ["maker_import"]);
}

#[test]
fn refusals_name_the_entry() {
    let error = json!({ "error": { "code": "import", "message": "nothing was imported: 1 device is refused", "field": "bundle",
        "lines": [{ "line": 0, "field": "devices[3] (dev4) psk.key", "message": "this key is weak" }] } });
    let daemon = Daemon::new([format!("{error}\n")]);
    let done =
        latchkey("maker import - --unsigned --force --register --profile iot --admit all", daemon.socket(), "text");
    assert_eq!(
        done.err,
        "devices[3] (dev4) psk.key: this key is weak\nlatchkey: nothing was imported: 1 device is refused\n"
    );
    let expected = json!({ "method": "maker_import", "params": {
        "bundle": "text", "signed_by": null, "unsigned": true, "force": true, "profile": "iot", "admit": "all", "register": true,
        "dry_run": false,
    }});
    assert_eq!(daemon.requests(), [expected]);
}

#[test]
fn an_export_is_for_its_owner_and_signed_here() {
    let dir = tempfile::tempdir().unwrap();
    let (out, key) = (dir.path().join("bundle.json"), dir.path().join("key.pem"));
    let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    std::fs::write(&key, pair.serialize_pem()).unwrap();
    let reply = json!({ "maker": "acme", "bundle": "{\"latchkey_bundle\": 1}\n", "devices": 2, "with_keys": 1, "identity_only": 1,
                        "kept_back": 1, "authorities": 0, "realms": [] });
    // A file that others can read is there already: what takes its place they cannot.
    std::fs::write(&out, "old").unwrap();
    let daemon = Daemon::ok(reply.clone());
    let (out_text, key_text) = (out.display(), key.display());
    let done = latchkey(
        &format!("maker export acme --realm a.example --sign-with {key_text} --out {out_text}"),
        daemon.socket(),
        "",
    );
    assert_eq!((done.code, &*done.err), (ExitCode::SUCCESS, ""));
    assert!(done.out.starts_with("2 devices of acme in "), "{}", done.out);
    assert!(
        done.out.contains("1 device by identity only") && done.out.contains("1 device blocked or expired"),
        "{}",
        done.out
    );
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let expected =
        json!({ "method": "maker_export", "params": { "name": "acme", "realms": ["a.example"], "all": false } });
    assert_eq!(daemon.requests(), [expected], "the private key stays here");
    let signed = bundle::jws::Signed::read(&std::fs::read(&out).unwrap()).unwrap();
    let signers = bundle::jws::Signers::read(pair.public_key_pem().as_bytes()).unwrap();
    assert!(signed.verify(&signers, crate::time::UnixTime(1_800_000_000)).is_ok());
    assert_eq!(signed.payload(), b"{\"latchkey_bundle\": 1}\n");
    // To a pipe, as it is; not onto a screen.
    let daemon = Daemon::ok(reply.clone());
    let done = latchkey("maker export acme", daemon.socket(), "");
    assert_eq!(done.out, "{\"latchkey_bundle\": 1}\n");
    drop(daemon.requests());
    for (secret, expected) in [(false, false), (true, true)] {
        let export_it = Export { name: "acme".into(), secret, ..Export::default() };
        let daemon = Daemon::ok(reply.clone());
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut context = Context {
            socket: daemon.socket(),
            json: false,
            look: Look { terminal: true, ..PLAIN },
            prompt: false,
            input: &mut &b""[..],
            out: &mut out,
            err: &mut err,
        };
        assert_eq!(export(&mut context, &export_it).is_ok(), expected);
        assert_eq!(!out.is_empty(), expected);
        if expected {
            drop(daemon.requests());
        }
    }
}
