//! What is said to the daemon, and what is made of its answers.

use super::{Daemon, PLAIN, latchkey};
use crate::cli::client::{Client, Failure};
use crate::cli::{Context, run};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[test]
fn requests_are_what_the_daemon_expects() {
    let table = [
        ("status", json!({ "method": "status", "params": {} })),
        (
            "device add tv --profile iot --mac a --mac b --bind mac --max-devices 2 --expires 2028-01-01",
            json!({ "method": "device_add", "params": {
                "name": "tv", "profile": "iot", "macs": ["a", "b"], "bind": "mac", "max_devices": 2,
                "expires": "2028-01-01", "generate": true,
            }}),
        ),
        (
            "device add tv --psk-stdin",
            json!({ "method": "device_add", "params": {
                "name": "tv", "profile": null, "macs": [], "bind": null, "max_devices": null, "expires": null,
                "key": "correct horse",
            }}),
        ),
        (
            "device rotate tv --psk-stdin",
            json!({ "method": "device_rotate", "params": { "name": "tv", "key": "correct horse" } }),
        ),
        ("device rotate tv", json!({ "method": "device_rotate", "params": { "name": "tv" } })),
        (
            "device rotate tv --eap-psk",
            json!({ "method": "device_rotate", "params": { "name": "tv", "eap_psk": true } }),
        ),
        (
            "device rotate tv --eap-psk-key-file -",
            json!({ "method": "device_rotate", "params": { "name": "tv", "eap_psk": false, "eap_psk_key": "correct horse" } }),
        ),
        (
            "device add tv --eap-psk --ssid Corp --ap a --ap b --maker acme --serial-number S",
            json!({ "method": "device_add", "params": {
                "name": "tv", "profile": null, "macs": [], "bind": null, "max_devices": null, "expires": null,
                "ssids": ["Corp"], "aps": ["a", "b"], "eap_psk": true, "maker": "acme", "serial_number": "S",
            }}),
        ),
        (
            "device credential add tv --generate --eap-psk --nai n@x",
            json!({ "method": "device_credential_add", "params": {
                "name": "tv", "generate": true, "eap_psk": true, "nai": "n@x",
            }}),
        ),
        (
            "device credential remove tv --certificate 3f",
            json!({ "method": "device_credential_remove", "params": { "name": "tv", "certificate": "3f" } }),
        ),
        (
            "device credential remove tv --wifi-key",
            json!({ "method": "device_credential_remove", "params": { "name": "tv", "key": true } }),
        ),
        (
            "device set tv ssid-=Home ap=a",
            json!({ "method": "device_set", "params": {
                "name": "tv", "set": { "ssid-": "Home", "ap": "a" },
            }}),
        ),
        ("maker list", json!({ "method": "maker_list", "params": {} })),
        (
            "maker set acme --admit all --no-crl",
            json!({ "method": "maker_set", "params": { "name": "acme", "admit": "all", "crls": [] } }),
        ),
        ("maker remove acme", json!({ "method": "maker_remove", "params": { "name": "acme" } })),
        ("device block tv", json!({ "method": "device_block", "params": { "name": "tv" } })),
        (
            "device set tv max-devices=3 mac-=c",
            json!({ "method": "device_set", "params": { "name": "tv", "set": { "max_devices": "3", "mac-": "c" } } }),
        ),
        ("device import -", json!({ "method": "device_import", "params": { "csv": "correct horse\r\nsecond\n" } })),
        ("device export", json!({ "method": "device_export", "params": {} })),
        (
            "pending approve a tv",
            json!({
                "method": "pending_approve",
                "params": { "mac": "a", "name": "tv", "profile": null, "certificate": null },
            }),
        ),
        ("pending list --ignored", json!({ "method": "pending_list", "params": { "ignored": true } })),
        ("pending unignore a", json!({ "method": "pending_unignore", "params": { "mac": "a" } })),
        ("pair", json!({ "method": "pair_show", "params": {} })),
        ("pair --stop", json!({ "method": "pair_stop", "params": {} })),
        (
            "pair --profile iot --minutes 7",
            json!({ "method": "pair_open", "params": { "profile": "iot", "minutes": 7, "ssid": null, "name": null } }),
        ),
        (
            "log --mac a",
            json!({ "method": "log", "params": {
            "mac": "a", "device": null, "outcome": [], "limit": null, "follow": false,
        } }),
        ),
        ("sessions", json!({ "method": "sessions", "params": { "offset": 0 } })),
        ("stations", json!({ "method": "stations", "params": { "offset": 0 } })),
        ("qr tv --ssid Home", json!({ "method": "qr", "params": { "name": "tv", "ssid": "Home" } })),
    ];
    for (line, expected) in table {
        let (done, request) = Daemon::ok(json!({ "device": { "name": "tv" } })).take(line, "correct horse\r\nsecond\n");
        assert_eq!(request, expected, "{line}");
        assert_eq!(done.code, ExitCode::SUCCESS, "{line}: {}", done.err);
    }
}

#[test]
fn pairing_is_waited_for() {
    let reply = |window: Value, last: Value| format!("{}\n", json!({ "result": { "window": window, "last": last } }));
    let open = json!({ "number": 4, "profile": "iot", "vlan": 20, "ssids": ["Home"], "seconds_left": 300 });
    let old = json!({ "number": 2, "outcome": "over" });
    let device = json!({ "name": "device-3f2a", "mac": "00:1a:11:00:3f:2a", "ssid": "Home", "nas": "ap", "vlan": 20 });
    let came =
        json!({ "number": 4, "outcome": "paired", "profile": "iot", "at": "2027-01-31T18:00:00Z", "device": device });
    for (last, code, out, err) in [
        (came, ExitCode::SUCCESS, "device-3f2a", ""),
        (json!({ "number": 4, "outcome": "over" }), ExitCode::from(1), "", "no device came"),
        (json!({ "number": 4, "outcome": "stopped" }), ExitCode::from(1), "", "closed by command"),
        (json!({ "number": 6, "outcome": "paired" }), ExitCode::from(1), "", "others were opened since"),
    ] {
        let replies = [reply(open.clone(), old.clone()), reply(open.clone(), old.clone()), reply(Value::Null, last)];
        let daemon = Daemon::new(replies);
        let done = latchkey("pair --profile iot --wait", daemon.socket(), "");
        assert_eq!(done.code, code, "{}", done.err);
        assert!(
            done.out.contains("Open for 5 min") && done.out.contains(out) && done.err.contains(err),
            "{}",
            done.err
        );
        let methods: Vec<Value> = daemon.requests().iter().map(|request| request["method"].clone()).collect();
        assert_eq!(methods, ["pair_open", "pair_show", "pair_show"]);
    }
    let (done, _) = Daemon::ok(json!({ "window": null, "last": null })).take("pair --wait", "");
    assert_eq!(done.code, ExitCode::from(1));
}

#[test]
fn results_are_printed() {
    let reply = json!({ "device": { "name": "tv" } });
    let (done, _) = Daemon::ok(reply.clone()).take("device block tv", "");
    assert_eq!((&*done.out, &*done.err), ("tv is blocked: it is refused from now on.\n", ""));
    let (done, _) = Daemon::ok(reply).take("--json device block tv", "");
    assert_eq!((&*done.out, &*done.err), ("{\"device\":{\"name\":\"tv\"}}\n", ""));
}

#[test]
fn keys_from_standard_input_are_checked_before_anybody_is_asked() {
    let table = [
        ("", "no key came on standard input: --psk-stdin reads one line of it"),
        ("short\n", "a Wi-Fi key has 8 to 63 characters, this one has 5"),
        ("sesame \u{fc}ber\n", "a Wi-Fi key may only have printable ASCII characters: no umlauts, tabs or line ends"),
    ];
    for (input, message) in table {
        let done = latchkey("device add tv --psk-stdin", "/nowhere".into(), input);
        assert_eq!((done.code, done.err), (ExitCode::from(1), format!("latchkey: {message}\n")));
    }
}

#[test]
fn a_list_is_read_page_by_page() {
    let page = |names: &[&str]| {
        let devices: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
        format!("{}\n", json!({ "result": { "devices": devices, "total": 5 } }))
    };
    let daemon = Daemon::new([page(&["a", "b"]), page(&["c", "d"]), page(&["e"])]);
    let done = latchkey("--json device list", daemon.socket(), "");
    let names: Vec<Value> = ["a", "b", "c", "d", "e"].iter().map(|name| json!({ "name": name })).collect();
    assert_eq!(serde_json::from_str::<Value>(&done.out).unwrap(), json!({ "devices": names, "total": 5 }));
    let offsets: Vec<Value> = daemon.requests().iter().map(|request| request["params"]["offset"].clone()).collect();
    assert_eq!(offsets, [0, 2, 4]);
    // Devices that went away meanwhile are not waited for.
    let daemon = Daemon::new([page(&["a"]), page(&[])]);
    assert_eq!(latchkey("device list", daemon.socket(), "").code, ExitCode::SUCCESS);
}

#[test]
fn a_refusal_has_its_reason() {
    let error = json!({ "code": "similar_secret", "message": "this key is\u{1b}[2J that of 'tv'", "field": "key" });
    let refusal = format!("{}\n", json!({ "error": error }));
    let (done, _) = Daemon::new([refusal.clone()]).take("device rotate lamp", "");
    assert_eq!((done.code, &*done.out), (ExitCode::from(1), ""));
    assert_eq!(done.err, "latchkey: this key is\\x1b[2J that of 'tv'\n");
    let (done, _) = Daemon::new([refusal]).take("device rotate lamp --json", "");
    assert_eq!((done.code, &*done.err), (ExitCode::from(1), ""));
    assert_eq!(serde_json::from_str::<Value>(&done.out).unwrap(), json!({ "error": error }));
}

#[test]
fn an_import_tells_keys_or_every_bad_line() {
    let devices = json!([{ "name": "tv", "key": "a,b \"c\"" }, { "name": "lamp", "key": null }]);
    let (done, _) = Daemon::ok(json!({ "imported": 2, "devices": devices })).take("device import -", "name\ntv\n");
    assert_eq!(
        (&*done.out, &*done.err),
        ("name,key\ntv,\"a,b \"\"c\"\"\"\nlamp,\n", "Imported 2 devices; 1 key made.\n")
    );
    let error = json!({ "code": "import", "field": "csv", "message": "nothing was imported: 2 lines are wrong", "lines": [
        { "line": 2, "field": "mac", "message": "mac 'x' is not a MAC address" },
        { "line": 7, "field": "name", "message": "there is a device 'tv' already" },
    ]});
    let refusal = format!("{}\n", json!({ "error": error }));
    let (done, _) = Daemon::new([refusal]).take("device import -", "name\ntv\n");
    let expected = "\
line 2: mac: mac 'x' is not a MAC address
line 7: name: there is a device 'tv' already
latchkey: nothing was imported: 2 lines are wrong
";
    assert_eq!((done.code, &*done.out, &*done.err), (ExitCode::from(1), "", expected));
}

#[test]
fn an_issued_certificate_goes_into_files() {
    let dir = tempfile::tempdir().unwrap();
    let issued =
        json!({ "certificate": "CRT", "private_key": "PRIVATE", "ca": "CA", "p12": "3000", "p12_password": "kq7rm" });
    let reply = json!({ "device": { "name": "cam", "eap": {} }, "issued": issued });
    let line = format!("device add cam --certificate --out {}", dir.path().display());
    let (done, request) = Daemon::ok(reply.clone()).take(&line, "");
    assert_eq!((done.code, &*done.err), (ExitCode::SUCCESS, ""));
    assert_eq!(request["params"]["certificate"], true);
    assert!(done.out.contains("Password  kq7rm") && !done.out.contains("PRIVATE"), "{}", done.out);
    assert_eq!(std::fs::read(dir.path().join("cam.key")).unwrap(), b"PRIVATE");
    // Nobody is asked while a file is in the way, or when there is no place for the key.
    for (line, words) in [(&*line, "is there already"), ("device add cam --certificate", "--out DIR is missing")] {
        let done = latchkey(line, "/nowhere".into(), "");
        assert_eq!(done.code, ExitCode::from(1), "{}", done.err);
        assert!(done.err.contains(words), "{}", done.err);
    }
    // If the files cannot be written after all, the key is not lost.
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::ok(reply);
    std::fs::create_dir(dir.path().join("d")).unwrap();
    let line = format!("device add x --certificate --out {}", dir.path().join("d").display());
    std::fs::write(dir.path().join("d/cam.crt"), "in the way").unwrap();
    let (done, _) = daemon.take(&line, "");
    assert!(
        done.out.contains("PRIVATE") && done.err.contains("cam.crt: cannot be written"),
        "{}{}",
        done.out,
        done.err
    );
    assert_eq!(std::fs::read_dir(dir.path().join("d")).unwrap().count(), 1);
}

#[test]
fn files_that_cannot_be_imported() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f.csv");
    let import = |octets: &[u8]| {
        std::fs::write(&file, octets).unwrap();
        let done = latchkey(&format!("device import {}", file.display()), "/nowhere".into(), "");
        (done.code, done.err)
    };
    let shown = file.display();
    let latin = format!("latchkey: {shown}: line 2 is not UTF-8 text: save the file as \"CSV UTF-8\"\n");
    assert_eq!(import(b"name\nk\xfcche\n"), (ExitCode::from(1), latin));
    let large = format!("latchkey: {shown}: more than 4 MB: split the file\n");
    assert_eq!(import(&[b'a'; 4_000_001]), (ExitCode::from(1), large));
    assert_eq!(import(&[b'a'; 4_000_000]).0, ExitCode::from(3));
    let done = latchkey("device import missing.csv", "/nowhere".into(), "");
    assert_eq!(done.code, ExitCode::from(1));
    assert!(done.err.starts_with("latchkey: missing.csv: cannot be read: "), "{}", done.err);
}

#[test]
fn no_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let done = latchkey("status", socket.clone(), "");
    let missing = format!("latchkey: no daemon: there is no socket {}; start it with ", socket.display());
    assert_eq!((done.code, &*done.out), (ExitCode::from(3), ""));
    assert!(done.err.starts_with(&missing) && done.err.contains("latchkey serve --config"), "{}", done.err);
    let done = latchkey("status --json", socket.clone(), "");
    let error: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((done.code, &error["error"]["code"]), (ExitCode::from(3), &json!("unreachable")));
    // A daemon that was killed leaves its socket behind.
    drop(UnixListener::bind(&socket).unwrap());
    let done = latchkey("status", socket.clone(), "");
    assert_eq!(done.code, ExitCode::from(3));
    assert!(
        done.err.starts_with(&format!("latchkey: no daemon listens at {}; start", socket.display())),
        "{}",
        done.err
    );
    let long = PathBuf::from(format!("/{}", "x".repeat(200)));
    assert_eq!(latchkey("status", long, "").code, ExitCode::from(3));
}

#[test]
fn replies_that_are_none() {
    let table = [
        ("", "hung up before it had answered"),
        ("{\"result\":{\"dev", "hung up before it had answered"),
        ("{\"result\":{}}", "hung up before it had answered"),
        ("HTTP/1.1 400 Bad Request\r\n", "does not answer like latchkey"),
        ("[]\n", "does not answer like latchkey"),
        ("{}\n", "does not answer like latchkey"),
        ("{\"error\":\"no\"}\n", "does not answer like latchkey"),
        ("\u{fffd}\n", "does not answer like latchkey"),
    ];
    for (reply, message) in table {
        let (done, _) = Daemon::new([reply]).take("device block tv", "");
        assert_eq!((done.code, &*done.out), (ExitCode::from(3), ""), "{reply}");
        assert!(done.err.contains(message), "{reply}: {}", done.err);
    }
    let (done, _) = Daemon::new([vec![b'x'; (16 << 20) + (1 << 20)]]).take("status", "");
    assert_eq!(done.code, ExitCode::from(3));
    assert!(done.err.contains("more than 16 MiB"), "{}", done.err);
}

#[test]
fn a_silent_daemon_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let _listener = UnixListener::bind(&socket).unwrap();
    let mut client = Client::connect(&socket).unwrap();
    let start = Instant::now();
    let late = client.call("status", json!({}), Duration::from_millis(50));
    assert!(matches!(late, Err(Failure::Unreachable(why)) if why.contains("did not answer in time")));
    // A request larger than the socket takes.
    let late = client.call("device_import", json!({ "csv": "x".repeat(4 << 20) }), Duration::from_millis(50));
    assert!(matches!(late, Err(Failure::Unreachable(why)) if why.contains("did not answer in time")));
    assert!(start.elapsed() >= Duration::from_millis(100));
}

#[test]
fn a_log_is_followed_until_the_daemon_stops() {
    let event = |id, count, text| json!({ "id": id, "at": "2027-01-31T17:58:01Z", "count": count, "device": "tv", "outcome": "refused", "text": text });
    let stream = format!(
        "{}\n{}\n{}\n",
        json!({ "result": { "events": [event(1, 1, "one")] } }),
        json!({ "event": event(2, 1, "two") }),
        json!({ "event": event(1, 2, "one") }),
    );
    let (done, request) = Daemon::new([stream.clone()]).take("log -f", "");
    assert_eq!(
        request,
        json!({ "method": "log", "params": {
        "mac": null, "device": null, "outcome": [], "limit": null, "follow": true,
    } })
    );
    let expected = "\
2027-01-31 17:58:01Z  tv  one
2027-01-31 17:58:01Z  tv  two
2027-01-31 17:58:01Z  tv  one (x2)
";
    assert_eq!((done.code, &*done.out), (ExitCode::from(3), expected));
    assert!(done.err.ends_with(" stopped: no more events\n"), "{}", done.err);
    let (done, _) = Daemon::new([stream]).take("log -f --json", "");
    let ids: Vec<Value> =
        done.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone()).collect();
    // The last line says why it ended.
    assert_eq!(ids, [json!(1), json!(2), json!(1), json!(null)]);
}

#[test]
fn a_qr_code_comes_with_what_it_says() {
    let reply = json!({ "text": "WIFI:T:WPA;S:Home;P:k-9x!;;", "key": "k-9x!", "ssid": "Home", "name": "tv" });
    let (done, _) = Daemon::ok(reply).take("qr tv --ssid Home", "");
    assert!(done.out.ends_with("\n\nDevice  tv\nSSID    Home\nKey     k-9x!\n"), "{}", done.out);
    assert!(done.out.contains('▀') && !done.out.contains('\x1b'), "{}", done.out);
    let (done, _) = Daemon::ok(json!({ "text": "x".repeat(3000) })).take("qr tv --ssid Home", "");
    assert_eq!((done.code, &*done.out), (ExitCode::from(1), ""));
}

/// Standard output that fails.
struct Broken(io::ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn nobody_reads_the_output() {
    for (kind, code) in [(io::ErrorKind::BrokenPipe, 0), (io::ErrorKind::StorageFull, 1)] {
        let mut context = Context {
            socket: PathBuf::new(),
            json: false,
            look: PLAIN,
            prompt: false,
            input: &mut io::empty(),
            out: &mut Broken(kind),
            err: &mut Broken(kind),
        };
        assert_eq!(run(["help".into()], None, &mut context), ExitCode::from(code), "{kind}");
    }
}
