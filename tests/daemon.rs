//! The daemon and its command line as a person meets them: files, signals, exit codes, and bad company.

mod support;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::Duration;
use support::radius::wifi_key;
use support::{Control, Home, SECRET, eventually};

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A MAC authentication as a NAS sends it, by a real RADIUS client.
fn radclient(home: &Home, mac: &str, secret: &str) -> String {
    wifi_key(home.auth_port, secret, mac)
}

/// procd takes what comes on stderr for errors.
#[test]
fn what_is_wrong_is_logged_apart() {
    let home = Home::new();
    let wrong = home.path("wrong");
    let daemon = home.spawn_through(&["sh", "-c", "exec \"$@\" 2>\"$0\"", wrong.to_str().unwrap()]);
    drop(home.connect());
    fs::write(home.path("config"), "config what\n").unwrap();
    daemon.signal(Signal::SIGHUP);
    let read = || fs::read_to_string(&wrong).unwrap();
    eventually("the error is logged", || read().contains("ERROR the running configuration stays").then_some(()));
    let well = home.log();
    assert!(well.contains(" INFO latchkey ") && !well.contains("ERROR"), "{well}");
    assert!(!read().contains(" INFO "), "{}", read());
}

#[test]
fn a_device_from_registration_to_admission() {
    let home = Home::new();
    let _daemon = home.start();
    let added = home.latchkey(&["--json", "device", "add", "lamp", "--mac", "02:00:00:00:01:01"]);
    assert!(added.status.success(), "{}", stderr(&added));
    let key = serde_json::from_slice::<Value>(&added.stdout).unwrap()["key"].as_str().unwrap().to_owned();
    let ready = || home.call("status", json!({})).unwrap()["keys"][0]["ready"] == 1;
    eventually("the PMK is computed", || ready().then_some(()));

    let answer = radclient(&home, "02:00:00:00:01:01", SECRET);
    assert!(
        answer.contains("Received Access-Accept") && answer.contains("Tunnel-Private-Group-Id:0 = \"20\""),
        "{answer}"
    );
    let pmk = latchkey::wpa::pmk::derive(&latchkey::secret::Passphrase::new(&key).unwrap(), b"Home");
    let digits: String = pmk.expose().iter().map(|octet| format!("{octet:02x}")).collect();
    assert!(answer.contains(&digits), "the PMK of its key: {answer}");
    assert!(radclient(&home, "02:00:00:00:01:02", SECRET).contains("Received Access-Reject"));
    assert!(radclient(&home, "02:00:00:00:01:01", "another secret, this").contains("No reply"));

    let log = stdout(&home.latchkey(&["log"]));
    assert!(log.contains("lamp") && log.contains("unknown device"), "{log}");
    let pending = stdout(&home.latchkey(&["pending", "list"]));
    assert!(pending.contains("02:00:00:00:01:02"), "{pending}");
    let status = home.call("status", json!({})).unwrap();
    assert_eq!(status["radius"]["dropped"]["bad_authenticator"], 1, "{status}");
    for quiet in [&["device", "list"][..], &["device", "show", "lamp"], &["log"], &["status"], &["device", "export"]] {
        assert!(!stdout(&home.latchkey(quiet)).contains(&key), "{quiet:?} shows the key");
    }
    assert!(!home.log().contains(&key), "the daemon's log has the key");
    assert!(stdout(&home.latchkey(&["device", "show", "lamp", "--secret"])).contains(&key));
    assert!(stdout(&home.latchkey(&["qr", "lamp", "--ssid", "Home"])).contains(&key));
}

#[test]
fn exit_codes_tell_what_happened() {
    let home = Home::new();
    let unreachable = home.latchkey(&["status"]);
    assert_eq!(unreachable.status.code(), Some(3), "{}", stderr(&unreachable));
    let _daemon = home.start();
    for (args, code) in [
        (&["device", "add", "lamp"][..], 0),
        (&["device", "add", "lamp"], 1),
        (&["device", "show", "nobody"], 1),
        (&["device", "add"], 2),
        (&["device", "frobnicate"], 2),
        (&["--json", "device", "add", "lamp"], 1),
    ] {
        assert_eq!(home.latchkey(args).status.code(), Some(code), "{args:?}");
    }
    let refused: Value = serde_json::from_slice(&home.latchkey(&["--json", "device", "add", "Lamp"]).stdout).unwrap();
    assert_eq!((&refused["error"]["code"], &refused["error"]["field"]), (&json!("name_taken"), &json!("name")));
    let typed = home.latchkey_with(&["device", "add", "cam", "--psk-stdin"], "Umbrella-Tango-47\n");
    assert!(typed.status.success(), "{}", stderr(&typed));
    let alike = home.latchkey_with(&["device", "add", "cam2", "--psk-stdin"], "umbrella tango 48\n");
    assert_eq!(alike.status.code(), Some(1));
    assert!(stderr(&alike).contains("'cam'") && !stderr(&alike).contains("tango"), "{}", stderr(&alike));
}

#[test]
fn an_import_through_the_command_line() {
    let home = Home::new();
    let _daemon = home.start();
    let file = home.path("devices.csv");
    fs::write(&file, "name,profile\nlamp,iot\ncam,nowhere\ntv,elsewhere\n").unwrap();
    let refused = home.latchkey(&["device", "import", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("line 3") && stderr(&refused).contains("line 4"), "{}", stderr(&refused));
    assert_eq!(home.call("device_list", json!({})).unwrap()["total"], 0);
    let rows: String = (0..1200).map(|n| format!("device-{n},iot\n")).collect();
    fs::write(&file, format!("name,profile\n{rows}")).unwrap();
    let imported = home.latchkey(&["device", "import", file.to_str().unwrap()]);
    assert!(imported.status.success(), "{}", stderr(&imported));
    let listed = stdout(&home.latchkey(&["device", "list"]));
    assert!(listed.contains("device-0 ") && listed.contains("device-1199 "), "more than a page");
}

#[test]
fn files_are_the_owners_business_only() {
    let home = Home::new();
    let daemon = home.start();
    home.call("device_add", json!({ "name": "lamp" })).unwrap();
    let mode = |name: &str| fs::metadata(home.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("control.sock"), 0o600);
    assert_eq!(mode("state"), 0o700);
    for entry in fs::read_dir(home.path("state")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.path());
    }
    assert!(daemon.terminate().success());
    assert!(!home.socket().exists(), "nothing is left behind");
}

#[test]
fn a_reload_takes_a_good_file_and_refuses_a_bad_one() {
    let home = Home::new();
    let daemon = home.start();
    home.configure("config profile 'guest'\n\toption vlan '40'\n");
    daemon.signal(Signal::SIGHUP);
    eventually("the new profile is in force", || {
        home.call("device_add", json!({ "name": "visitor", "profile": "guest" })).ok()
    });
    home.configure("config profile 'iot'\n\toption vlam '20'\n");
    daemon.signal(Signal::SIGHUP);
    let error = eventually("the error shows in status", || {
        let status = home.call("status", json!({})).unwrap();
        status["config"]["error"].as_str().map(str::to_owned)
    });
    assert!(error.contains("vlam") && error.contains("vlan"), "{error}");
    assert!(home.call("device_add", json!({ "name": "visitor2", "profile": "guest" })).is_ok(), "the old one stays");
    assert!(home.log().contains("the running configuration stays"), "{}", home.log());

    let (old, mut moved) = (home.auth_port, home);
    moved.auth_port = support::free_port();
    moved.configure("");
    daemon.signal(Signal::SIGHUP);
    eventually("the new port answers", || {
        radclient(&moved, "02:00:00:00:01:01", SECRET).contains("Received Access-Reject").then_some(())
    });
    moved.auth_port = old;
    assert!(!radclient(&moved, "02:00:00:00:01:01", SECRET).contains("Received"), "the old one is closed");
    // A port that is taken: everything stays as it was.
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    moved.auth_port = taken.local_addr().unwrap().port();
    moved.configure("");
    daemon.signal(Signal::SIGHUP);
    eventually("the refusal shows in status", || {
        let status = moved.call("status", json!({})).unwrap();
        status["config"]["error"].as_str().filter(|error| error.contains("auth_listen")).map(|_| ())
    });
}

#[test]
fn a_bad_configuration_does_not_start() {
    let home = Home::new();
    fs::write(home.path("config"), "config client 'x'\n\toption adress '127.0.0.1'\n").unwrap();
    let mut daemon = home.spawn();
    assert_eq!(daemon.ended().code(), Some(1));
    let log = home.log();
    assert!(log.contains(":2:") && log.contains("adress") && log.contains("'address'"), "{log}");
}

#[test]
fn one_daemon_for_one_registry() {
    let home = Home::new();
    let _daemon = home.start();
    let mut second = home.spawn();
    assert_eq!(second.ended().code(), Some(1));
    assert!(home.log().contains("state"), "{}", home.log());
    assert!(home.call("status", json!({})).is_ok(), "the first one serves on");
}

#[test]
fn a_damaged_registry_is_set_aside_and_the_good_copy_used() {
    let home = Home::new();
    let daemon = home.start();
    home.call("device_add", json!({ "name": "lamp" })).unwrap();
    let key = home.call("device_secret", json!({ "name": "lamp" })).unwrap()["key"].clone();
    assert!(daemon.terminate().success());
    let database = home.path("state/registry.db");
    let mut octets = fs::read(&database).unwrap();
    octets[..2048].fill(0xee);
    fs::write(&database, octets).unwrap();
    let _daemon = home.start();
    let status = home.call("status", json!({})).unwrap();
    assert!(status["registry"]["damaged"]["reason"].is_string(), "{status}");
    assert!(stdout(&home.latchkey(&["status"])).contains("damaged"), "a person sees it");
    assert_eq!(home.call("device_secret", json!({ "name": "lamp" })).unwrap()["key"], key);
}

#[test]
fn followers_see_every_decision_and_counters_survive_a_restart() {
    let home = Home::new();
    let daemon = home.start();
    home.call("device_add", json!({ "name": "lamp", "macs": ["02:00:00:00:01:01"] })).unwrap();
    let mut follower = home.connect();
    follower.call("log", json!({ "follow": true, "mac": "02:00:00:00:01:01" })).unwrap();
    radclient(&home, "02:00:00:00:01:02", SECRET);
    radclient(&home, "02:00:00:00:01:01", SECRET);
    let event = follower.line().unwrap()["event"].take();
    assert_eq!((&event["device"], &event["outcome"], &event["vlan"]), (&json!("lamp"), &json!("accepted"), &json!(20)));
    assert!(daemon.terminate().success());
    let _daemon = home.start();
    let device = home.call("device_show", json!({ "name": "lamp" })).unwrap()["device"].take();
    assert_eq!((&device["accepted"], &device["last_mac"]), (&json!(1), &json!("02:00:00:00:01:01")));
}

#[test]
fn bad_company_on_the_control_socket() {
    let home = Home::new();
    let daemon = home.start();
    let mut garbage = home.connect();
    garbage.send(b"\x00\xff nonsense\n{\"method\":\"status\"}\n").unwrap();
    assert_eq!(garbage.line().unwrap()["error"]["code"], "syntax");
    assert!(garbage.line().unwrap()["result"].is_object(), "the next request of the same client is served");
    // A line that never ends is cut off.
    let mut endless = home.connect();
    let chunk = vec![b'x'; 1 << 16];
    let refused = (0..200).find_map(|_| endless.send(&chunk).err());
    assert!(refused.is_some() || endless.line().is_ok_and(|reply| reply["error"]["code"] == "too_long"));
    // Idle clients take all the places; one that leaves makes room.
    let mut idle: Vec<Control> = Vec::new();
    let busy = eventually("the places are taken", || {
        let mut control = Control::connect(&home.socket()).unwrap();
        match control.try_call("status", json!({})) {
            Ok(Ok(_)) => {
                idle.push(control);
                None
            }
            Ok(Err(error)) => Some(error),
            Err(_) => Some(json!({ "code": "busy" })),
        }
    });
    assert_eq!(busy["code"], "busy", "after {} clients", idle.len());
    idle.clear();
    eventually("there is room again", || {
        Control::connect(&home.socket()).unwrap().try_call("status", json!({})).ok()?.ok()
    });
    assert!(daemon.memory() < 40 << 10, "{} KiB", daemon.memory());
}

#[test]
fn others_go_on_during_an_import_and_nothing_of_theirs_is_lost() {
    let home = Home::new();
    let _daemon = home.start();
    let rows: String = (0..3000).map(|n| format!("device-{n}\n")).collect();
    let csv = format!("name\n{rows}");
    let import = std::thread::scope(|scope| {
        let import = scope.spawn(|| home.call("device_import", json!({ "csv": csv })));
        let mut control = home.connect();
        for n in 0..20 {
            control.call("device_add", json!({ "name": format!("other-{n}") })).unwrap();
        }
        import.join().unwrap()
    });
    assert_eq!(import.unwrap()["imported"], 3000);
    let mut names = std::collections::BTreeSet::new();
    for offset in (0..3500).step_by(500) {
        let page = home.call("device_list", json!({ "offset": offset })).unwrap();
        names.extend(page["devices"].as_array().unwrap().iter().map(|device| device["name"].to_string()));
    }
    assert_eq!(names.len(), 3020);
}

#[test]
fn a_flood_of_rubbish_on_the_radius_port() {
    let home = Home::new();
    let daemon = home.start();
    home.call("device_add", json!({ "name": "lamp", "macs": ["02:00:00:00:01:01"] })).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut state = 1u64;
    let mut packet = [0u8; 1400];
    for n in 0..20_000usize {
        for octet in &mut packet {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *octet = (state >> 56) as u8;
        }
        // Every other one looks like an Access-Request at first sight.
        let length = 20 + n % 1380;
        if n % 2 == 0 {
            packet[..4].copy_from_slice(&[1, n as u8, (length >> 8) as u8, length as u8]);
        }
        let _ = socket.send_to(&packet[..length], ("127.0.0.1", home.auth_port));
        if n % 256 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let answer = eventually("it still answers", || {
        Some(radclient(&home, "02:00:00:00:01:01", SECRET)).filter(|answer| answer.contains("Received"))
    });
    assert!(answer.contains("Access-Accept"), "{answer}");
    let status = home.call("status", json!({})).unwrap();
    assert!(status["radius"]["dropped"]["malformed"].as_u64().unwrap() > 1000, "{status}");
    assert!(home.log().lines().count() < 100, "the log is not flooded:\n{}", home.log());
    assert!(daemon.memory() < 20 << 10, "{} KiB", daemon.memory());
}
