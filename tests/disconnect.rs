//! Disconnect-Request to a real hostapd, in a network namespace: that it takes the form, the authenticator and every
//! attribute shows in what it answers. Over the air it is acted out in the rig. As root.

mod support;

use serde_json::{Value, json};
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use support::{Home, SECRET, eventually};

const LAMP: &str = "00:00:5e:00:53:01";

/// A network namespace with a wired port; gone at the end.
struct Namespace(String);

impl Namespace {
    fn new() -> Namespace {
        let namespace = Namespace(format!("latchkey-das-{}", std::process::id()));
        namespace.ip(&["netns", "add", &namespace.0]);
        namespace.ip(&["-n", &namespace.0, "link", "set", "lo", "up"]);
        namespace.ip(&["-n", &namespace.0, "link", "add", "port0", "type", "veth", "peer", "name", "port1"]);
        namespace.ip(&["-n", &namespace.0, "link", "set", "port0", "up"]);
        namespace
    }

    fn ip(&self, arguments: &[&str]) {
        let output = Command::new("ip").args(arguments).output().expect("iproute2 is installed by make test");
        assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A program in it.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A hostapd on the wired port that takes Disconnect-Requests with this secret, and is strict about them.
fn hostapd(namespace: &Namespace, home: &Home, secret: &str) -> Running {
    let (config, log) = (home.path("hostapd.conf"), home.path("hostapd.log"));
    let text = format!(
        "interface=port0\ndriver=wired\nieee8021x=1\nnas_identifier=attic\nown_ip_addr=127.0.0.1\n\
         auth_server_addr=127.0.0.1\nauth_server_port=9\nauth_server_shared_secret=unused\nradius_das_port=3799\n\
         radius_das_client=127.0.0.1 {secret}\nradius_das_require_event_timestamp=1\n\
         radius_das_require_message_authenticator=1\n"
    );
    fs::write(&config, text).unwrap();
    let out = File::create(&log).unwrap();
    let child = namespace.command("hostapd").arg(config).stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap();
    eventually("hostapd is up", || fs::read_to_string(&log).unwrap().contains("AP-ENABLED").then_some(()));
    Running(child)
}

/// hostapd tells of the lamp, played by radclient: a session begins.
fn session(namespace: &Namespace, home: &Home, nas: &str, id: &str) {
    let request = format!(
        "Acct-Status-Type = Start\nAcct-Session-Id = \"{id}\"\nNAS-Identifier = \"{nas}\"\n\
         Called-Station-Id = \"02-00-00-00-00-01:Home\"\nCalling-Station-Id = \"{LAMP}\"\n"
    );
    let mut child = namespace
        .command("radclient")
        .args(["-x", &format!("127.0.0.1:{}", home.acct_port), "acct", SECRET])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), request.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// The latest event that is about a Disconnect-Request: what came of it, and the words.
fn latest(home: &Home) -> Option<(String, String)> {
    let log = home.call("log", json!({})).unwrap();
    let events = log["events"].as_array().unwrap().iter().rev();
    let event = events.clone().find(|event| event["outcome"] == "disconnect")?;
    let text = |field: &str| event[field].as_str().unwrap().to_owned();
    Some((text("reason"), text("text")))
}

#[test]
fn a_real_hostapd_takes_the_request() {
    let (namespace, home) = (Namespace::new(), Home::new());
    let config = fs::read_to_string(home.path("config")).unwrap();
    let secret = format!("\toption secret '{SECRET}'\n");
    fs::write(home.path("config"), config.replace(&secret, &format!("{secret}\toption disconnect_port '3799'\n")))
        .unwrap();
    let real = hostapd(&namespace, &home, SECRET);
    let log = File::create(home.path("log")).unwrap();
    let mut latchkey = namespace.command(env!("CARGO_BIN_EXE_latchkey"));
    latchkey.args(["serve", "--config"]).arg(home.path("config")).stdin(Stdio::null());
    let _daemon = Running(latchkey.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    home.call("device_add", json!({ "name": "lamp", "macs": [LAMP] })).unwrap();
    let sessions = || home.call("sessions", json!({})).unwrap()["sessions"].as_array().unwrap().len();
    let block = |method: &str| home.call(method, json!({ "name": "lamp" })).map(|_: Value| ()).unwrap();
    let expect = |reason: &str, words: &str| {
        eventually(reason, || latest(&home).filter(|(code, text)| code == reason && text.contains(words)))
    };

    // It has no such session: it read the request to the end, and found nothing wrong with it.
    session(&namespace, &home, "attic", "6501");
    assert_eq!(sessions(), 1);
    block("device_block");
    expect("disconnect_gone", "does not know the session any more (blocked by the administrator)");
    assert_eq!(sessions(), 0);
    assert!(
        home.log().contains("lamp [00:00:5e:00:53:01] on 'Home' via local (attic): its access point"),
        "{}",
        home.log()
    );

    // Another BSS of the same box.
    block("device_unblock");
    session(&namespace, &home, "cellar", "6502");
    block("device_block");
    expect("disconnect_refused", "(Error-Cause 403)");
    assert_eq!(sessions(), 1, "it may be there still");

    // Another secret: no answer.
    drop(real);
    let _other = hostapd(&namespace, &home, "another-secret-altogether");
    block("device_unblock");
    session(&namespace, &home, "attic", "6503");
    block("device_block");
    expect("disconnect_unanswered", "in 7 s");
}
