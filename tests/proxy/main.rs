//! Manufacturers that vouch for their devices: FreeRADIUS as their server, radsecproxy between, eapol_test and wpa_supplicant
//! as the devices, and everything that can go wrong with them.

#[path = "../support/mod.rs"]
mod support;

mod discovery;
mod dynauth;
mod faults;
mod online;
mod radsec;
mod takeover;
mod terms;

use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::eap::{Issued, Run, eapol_test_as, psk};
use support::maker::{Maker, SHARED};
use support::{Home, eventually};

/// A network of EAP whose SSID is `Home`, with profiles `iot` (VLAN 20) and `media` (VLAN 30), and these sections.
fn configured(sections: &str) -> Home {
    let home = Home::new();
    home.configure(&format!("\toption security 'enterprise'\n{sections}"));
    home
}

/// The section of a manufacturer whose server is on a port of 127.0.0.1. Its devices are put into the profile `media`.
fn realm(name: &str, port: u16, admit: &str, more: &str) -> String {
    format!(
        "config realm '{name}'\n\tlist realm '{name}.example'\n\tlist server 'udp://127.0.0.1:{port}'\n\toption secret '{SHARED}'\n\
         \toption profile 'media'\n\toption admit '{admit}'\n\toption session_timeout '1h'\n{more}"
    )
}

/// The lines of a section that name certificates.
fn files(ca: &Path, own: &Issued) -> String {
    let (ca, certificate, key) = (ca.display(), own.certificate.display(), own.key.display());
    format!("\toption ca '{ca}'\n\toption certificate '{certificate}'\n\toption private_key '{key}'\n")
}

/// An address for each number.
fn mac(n: u8) -> String {
    format!("02:00:00:00:03:{n:02x}")
}

/// A device joins.
fn join(home: &Home, settings: &[String], mac: &str) -> Run {
    eapol_test_as(home, settings, "Home", mac)
}

/// A device of the manufacturer with a password.
fn with_password(maker: &Maker, name: &str) -> Vec<String> {
    maker.tunnel(&format!("{name}@acme.example"), name, "TTLS", "PAP")
}

/// Runs the command line, which must succeed.
#[track_caller]
fn latchkey(home: &Home, args: &[&str]) -> Value {
    let output = home.latchkey(&[&["--json"], args].concat());
    assert!(output.status.success(), "{args:?}: {}", shown(&output));
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// What latchkey says of an address to people.
fn said(home: &Home, mac: &str) -> String {
    shown(&home.latchkey(&["log", "--mac", mac]))
}

/// Asserts that it says this, and that it is in the daemon's log too.
#[track_caller]
fn assert_said(home: &Home, mac: &str, words: &str) {
    let said = said(home, mac);
    assert!(said.contains(words), "not {words:?} in:\n{said}\n{}", home.log());
    eventually(&format!("{words:?} in the daemon's log"), || home.log().contains(words).then_some(()));
}

/// The names of all devices.
fn devices(home: &Home) -> Vec<String> {
    let mut list = latchkey(home, &["device", "list"]);
    let devices = list["devices"].as_array_mut().unwrap();
    devices.iter().map(|device| device["name"].as_str().unwrap().to_owned()).collect()
}

/// Registers a device with an EAP-PSK key; what its supplicant needs.
fn add_psk(home: &Home, name: &str, profile: &str) -> Vec<String> {
    let added = latchkey(home, &["device", "add", name, "--profile", profile, "--eap-psk"]);
    let field = |field: &str| added["eap_psk"][field].as_str().unwrap_or_else(|| panic!("{added}")).to_owned();
    psk(&field("identity"), &field("key"))
}

/// Has other devices join, one after the other, for as long as something goes on: that their joins keep their latency.
/// Prints what it came to.
fn beside_others<T>(home: &Home, others: &[(Vec<String>, &str)], what: &str, work: impl FnOnce() -> T) -> T {
    /// Says that it is over, also when it ends with a panic.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    let (result, mut times) = std::thread::scope(|scope| {
        let joins = scope.spawn(|| {
            let mut times = Vec::new();
            while times.is_empty() || !over.load(Ordering::Relaxed) {
                for (n, (settings, vlan)) in others.iter().enumerate() {
                    let start = Instant::now();
                    join(home, settings, &mac(200 + n as u8)).is_let_in(1, vlan);
                    times.push(start.elapsed());
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            times
        });
        let ends = Over(&over);
        let result = work();
        drop(ends);
        (result, joins.join().expect("the others' joins"))
    });
    times.sort();
    let [middle, last] = [times[times.len() / 2], times[times.len() - 1]];
    println!("{what}: {} joins of others meanwhile, median {middle:.0?}, longest {last:.0?}", times.len());
    // Long before anybody gives a server up, and far above what a busy machine needs.
    assert!(last < Duration::from_secs(5), "{what}: a join of another device took {last:?}");
    result
}

/// The sections of several manufacturers.
fn joined(sections: &[String]) -> String {
    sections.iter().fold(String::new(), |mut text, section| {
        let _ = writeln!(text, "{section}");
        text
    })
}
