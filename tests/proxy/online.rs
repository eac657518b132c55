//! The access point as a client of an online server (Figure 2 of the draft): two of us, with RADIUS over TLS between them.

use super::radsec::{HUB, Site, US};
use super::support::radius::wifi_key;
use super::support::{Daemon, SECRET, free_tcp_port};
use super::*;
use serde_json::json;

/// The server, and the access point that sends it everything that is not its own.
struct Figure2 {
    _site: Site,
    online: Home,
    ap: Home,
}

impl Figure2 {
    fn new(more: &str) -> Figure2 {
        let site = Site::new();
        let port = free_tcp_port();
        let (online, ap) = (Home::new(), Home::new());
        online.configure(&format!(
            "config ssid 'office'\n\toption ssid 'Office'\n\toption security 'enterprise'\n\
             config client 'ap'\n\toption radsec '{US}'\nconfig radsec\n\tlist listen '127.0.0.1:{port}'\n{}",
            files(&site.ca.certificate(), &site.hub)
        ));
        ap.configure(&format!(
            "config ssid 'office'\n\toption ssid 'Office'\n\toption security 'enterprise'\n\
             config realm 'online'\n\tlist realm 'default'\n\tlist server 'radsec://127.0.0.1:{port}'\n\
             \toption server_name '{HUB}'\n\toption profile 'iot'\n{}{more}",
            files(&site.ca.certificate(), &site.us)
        ));
        Figure2 { _site: site, online, ap }
    }

    fn start(&self) -> (Daemon, Daemon) {
        (self.online.start(), self.ap.start())
    }

    /// A device with a Wi-Fi key, registered at the online server; its address.
    fn with_key(&self, name: &str, profile: &str, n: u8) -> String {
        let before = self.ready();
        latchkey(&self.online, &["device", "add", name, "--profile", profile, "--mac", &mac(n)]);
        eventually("the PMK is computed", || (self.ready() > before).then_some(()));
        mac(n)
    }

    fn ready(&self) -> u64 {
        let status = self.online.call("status", json!({})).unwrap();
        status["keys"].as_array().unwrap().iter().filter_map(|ssid| ssid["ready"].as_u64()).sum()
    }

    fn asks(&self, mac: &str) -> String {
        wifi_key(self.ap.auth_port, SECRET, mac)
    }
}

/// The Tunnel-Password of an Accept, as radclient prints it.
fn key_of(answer: &str) -> Option<String> {
    let rest = answer.split_once("Tunnel-Password:0 = \"")?.1;
    Some(rest[..rest.find('"')?].to_owned())
}

#[test]
fn an_access_point_with_an_online_server() {
    let figure = Figure2::new("\toption placement 'server'\n");
    let (online, _ap) = figure.start();
    // With EAP: registered there, let in here, in the VLAN that server says.
    let lamp = add_psk(&figure.online, "lamp", "media");
    eapol_test_as(&figure.ap, &lamp, "Office", &mac(1)).is_let_in(1, "30");
    // With a Wi-Fi key, as hostapd asks before the handshake.
    let plug = figure.with_key("plug", "media", 2);
    let direct = key_of(&wifi_key(figure.online.auth_port, SECRET, &plug)).expect("its key");
    let answer = figure.asks(&plug);
    assert!(answer.contains("Received Access-Accept"), "{answer}\n{}", figure.ap.log());
    assert_eq!(key_of(&answer), Some(direct), "{answer}");
    assert!(answer.contains("Tunnel-Private-Group-Id:0 = \"30\""), "{answer}");
    assert!(figure.asks(&mac(99)).contains("Received Access-Reject"));
    // What is registered here is ours, and works without that server.
    let ours = add_psk(&figure.ap, "fridge", "iot");
    online.kill();
    eapol_test_as(&figure.ap, &ours, "Office", &mac(3)).is_let_in(1, "20");
    let start = Instant::now();
    let run = eapol_test_as(&figure.ap, &lamp, "Office", &mac(1));
    run.is_refused();
    println!("a device of the dead server is refused after {:.1?}", start.elapsed());
    assert_said(&figure.ap, &mac(1), "online");
    assert!(figure.asks(&plug).contains("Received Access-Reject"), "no answer is kept unless that is wanted");
    // It comes back, and so do its devices.
    let _online = figure.online.start();
    eventually("it is let in again", || eapol_test_as(&figure.ap, &lamp, "Office", &mac(1)).accepted.then_some(()));
}

#[test]
fn the_last_answer_when_the_server_is_away() {
    let figure = Figure2::new("\toption placement 'server'\n\toption last_good '7d'\n");
    let (online, ap) = figure.start();
    let lamp = add_psk(&figure.online, "lamp", "media");
    let (plug, never) = (figure.with_key("plug", "media", 2), figure.with_key("fan", "iot", 4));
    eapol_test_as(&figure.ap, &lamp, "Office", &mac(1)).is_let_in(1, "30");
    let answer = figure.asks(&plug);
    let key = key_of(&answer).unwrap_or_else(|| panic!("{answer}\n{}", figure.ap.log()));
    online.kill();
    // The answer is kept over a power cut.
    ap.kill();
    let ap = figure.ap.start();
    let again = figure.asks(&plug);
    assert!(again.contains("Received Access-Accept"), "{again}\n{}", figure.ap.log());
    assert_eq!(key_of(&again), Some(key));
    assert!(again.contains("Tunnel-Private-Group-Id:0 = \"30\""), "{again}");
    assert!(figure.asks(&never).contains("Received Access-Reject"), "it was never let in here");
    // Of EAP no answer can be kept, and that is said.
    eapol_test_as(&figure.ap, &lamp, "Office", &mac(1)).is_refused();
    println!("{}", said(&figure.ap, &mac(1)));
    // Who is blocked there meanwhile is refused as soon as it is back.
    let _online = figure.online.start();
    latchkey(&figure.online, &["device", "block", "plug"]);
    eventually("the server's word counts again", || {
        figure.asks(&plug).contains("Received Access-Reject").then_some(())
    });
    ap.kill();
}

#[test]
fn two_that_ask_each_other() {
    let (one, other) = (Home::new(), Home::new());
    let everything = |port: u16| {
        format!(
            "\toption security 'enterprise'\nconfig eap\nconfig realm 'other'\n\tlist realm 'default'\n\
             \tlist server 'udp://127.0.0.1:{port}'\n\toption secret '{SECRET}'\n\toption profile 'iot'\n"
        )
    };
    one.configure(&everything(other.auth_port));
    other.configure(&everything(one.auth_port));
    let (_one, _other) = (one.start(), other.start());
    let lamp = add_psk(&one, "lamp", "iot");
    let lost = super::support::eap::psk("nobody@nowhere.example", "00112233445566778899aabbccddee01");
    let after = beside_others(&one, &[(lamp, "20")], "two that ask each other", || {
        let start = Instant::now();
        let run = join(&one, &lost, &mac(1));
        println!("{}\n{}", one.log(), other.log());
        run.is_refused();
        start.elapsed()
    });
    println!("refused after {after:.1?}");
    let both = one.log() + &other.log();
    assert!(both.contains("goes in a circle"), "{both}");
}
