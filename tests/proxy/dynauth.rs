//! Disconnect and CoA (RFC 5176) of those who vouch: over UDP, and over RADIUS/TLS against the direction of its requests.

use super::radsec::{HUB, Site, US};
use super::support::cable::{Cable, DEVICE, authenticator, comes_in, is_in, port_is_open, supplicant};
use super::support::radius::radclient;
use super::support::{free_port, free_tcp_port};
use super::*;

/// The network is a cable, and these sections.
fn wired(sections: &str) -> Home {
    let home = Home::new();
    home.configure(&format!(
        "\toption security 'wpa2'\nconfig ssid 'cable'\n\toption security 'wired'\nconfig eap\n{sections}"
    ));
    home
}

/// Waits until the port is shut, and gives how long that took.
#[track_caller]
fn goes(home: &Home, what: &str, start: Instant) -> Duration {
    eventually(what, || (!port_is_open(home)).then_some(()));
    let took = start.elapsed();
    println!("{what}: {took:.0?}");
    took
}

#[test]
fn a_manufacturer_takes_its_device_off() {
    let Some(cable) = Cable::new() else { return };
    let dir = tempfile::tempdir().unwrap();
    let maker = Maker::new(dir.path());
    let listen = free_port();
    let other = "config realm 'umbrella'\n\tlist realm 'umbrella.example'\n\tlist server 'udp://127.0.0.2:1812'\n\
                 \toption secret 'umbrella-and-us-since-2026'\n\toption profile 'media'\n";
    let home = wired(&format!(
        "config radsec\n\tlist coa_listen '127.0.0.1:{listen}'\n{}{other}",
        realm("acme", maker.port, "all", "")
    ));
    let _daemon = home.start();
    let _hostapd = authenticator(&home);
    let cam = with_password(&maker, "cam-1");
    let running = supplicant(&home, &cable, &cam);
    is_in(&home);
    let ask = |kind: &str, secret: &str, station: &str, more: &str| {
        let station = station.replace(':', "-");
        let request = format!(
            "Calling-Station-Id = \"{station}\"\nEvent-Timestamp = \"%l\"\nMessage-Authenticator = 0x00\n{more}"
        );
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        radclient(listen, kind, secret, 3, &request.replace("\"%l\"", &now.to_string()))
    };
    // Somebody else's secret, a station that is not there, and what is not for the manufacturer to say.
    let answer = ask("disconnect", "guessed-by-somebody", DEVICE, "");
    assert!(!answer.contains("Received Disconnect-ACK"), "{answer}");
    let answer = ask("disconnect", SHARED, "02:00:00:00:99:99", "");
    assert!(answer.contains("Disconnect-NAK") && answer.contains("Session-Context-Not-Found"), "{answer}");
    let answer = ask("coa", SHARED, DEVICE, "Filter-Id = \"everything\"\n");
    assert!(answer.contains("CoA-NAK") && answer.contains("Unsupported-Attribute"), "{answer}");
    let answer = ask("coa", SHARED, DEVICE, "Tunnel-Private-Group-Id:0 = \"666\"\n");
    assert!(answer.contains("CoA-NAK"), "{answer}");
    assert!(port_is_open(&home));
    let answer = ask("coa", SHARED, DEVICE, "Session-Timeout = 600\n");
    assert!(answer.contains("CoA-ACK"), "{answer}\n{}", home.log());

    let start = Instant::now();
    let answer = ask("disconnect", SHARED, DEVICE, "");
    assert!(answer.contains("Received Disconnect-ACK"), "{answer}\n{}", home.log());
    // Within a second; asserted with what a busy machine may need.
    let took = goes(&home, "a device is off after its manufacturer's Disconnect-Request over UDP", start);
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(home.log().contains("acme"), "{}", home.log());
    // It may come again. On a cable nobody tells the supplicant that it was taken off.
    drop(running);
    comes_in(&home, &cable, &cam);
}

#[test]
fn an_online_server_takes_a_device_off_through_its_connection() {
    let Some(cable) = Cable::new() else { return };
    let site = Site::new();
    let port = free_tcp_port();
    let online = wired(&format!(
        "\toption realm 'online.example'\nconfig client 'ap'\n\toption radsec '{US}'\nconfig radsec\n\tlist listen '127.0.0.1:{port}'\n{}",
        files(&site.ca.certificate(), &site.hub)
    ));
    let ap = wired(&format!(
        "config realm 'online'\n\tlist realm 'default'\n\tlist server 'radsec://127.0.0.1:{port}'\n\
         \toption server_name '{HUB}'\n\toption profile 'iot'\n\toption placement 'server'\n{}",
        files(&site.ca.certificate(), &site.us)
    ));
    let (_online, _ap) = (online.start(), ap.start());
    let _hostapd = authenticator(&ap);
    let printer = add_psk(&online, "printer", "iot");
    let _supplicant = supplicant(&ap, &cable, &printer);
    is_in(&ap);
    let start = Instant::now();
    latchkey(&online, &["device", "block", "printer"]);
    let took = goes(&ap, "a device is off after its server blocked it, over RADIUS/TLS", start);
    assert!(took < Duration::from_secs(5), "{took:?}");
    eventually("it stays off", || online.log().contains("blocked").then_some(()));
    assert!(!port_is_open(&ap));
    latchkey(&online, &["device", "unblock", "printer"]);
}
