//! EAP with real supplicants: eapol_test of hostap, which plays station and access point at once.

mod support;

use serde_json::{Value, json};
use std::fs;
use std::process::Output;
use support::eap::{Ca, Issued, Kind, Run, STATION, Wanted, eapol_test, psk, tls};
use support::{Daemon, Home, eventually};

/// A network of EAP, and more in the section `eap`.
fn home(eap: &str) -> Home {
    let home = Home::new();
    home.configure(&format!("\toption security 'enterprise'\nconfig eap\n{eap}"));
    home
}

/// Runs the command line, which must succeed.
#[track_caller]
fn latchkey(home: &Home, args: &[&str]) -> Value {
    let output = home.latchkey(&[&["--json"], args].concat());
    assert!(output.status.success(), "{args:?}: {}{}", text(&output.stdout), text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn shown(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

/// Asserts that latchkey says this of the station, as a person reads it, and that it is in the daemon's log too.
#[track_caller]
fn assert_said(home: &Home, words: &str) {
    let said = shown(&home.latchkey(&["log", "--mac", STATION]));
    assert!(said.contains(words), "not {words:?} in:\n{said}");
    eventually(&format!("{words:?} in the daemon's log"), || home.log().contains(words).then_some(()));
}

/// By which methods devices were let in.
fn methods(home: &Home) -> Vec<String> {
    let mut log = latchkey(home, &["log"]);
    let events = log["events"].as_array_mut().unwrap();
    let accepted = events.iter().filter(|event| event["outcome"] == "accepted");
    accepted.map(|event| event["method"].as_str().unwrap().to_owned()).collect()
}

/// A device with an EAP-PSK key; its identity and key.
fn add_psk(home: &Home, name: &str, more: &[&str]) -> (String, String) {
    let added = latchkey(home, &[&["device", "add", name, "--profile", "media", "--eap-psk"], more].concat());
    let field = |field: &str| added["eap_psk"][field].as_str().unwrap_or_else(|| panic!("{added}")).to_owned();
    (field("identity"), field("key"))
}

/// Our own CA's certificate, once there is one.
fn own_ca(home: &Home) -> std::path::PathBuf {
    let path = home.path("state/pki/ca.crt");
    eventually("the own CA is there", || path.exists().then_some(()));
    path
}

/// A device whose certificate we issue; its files are where the administrator wants them.
fn add_issued(home: &Home, name: &str) -> Issued {
    let dir = home.path("");
    latchkey(home, &["device", "add", name, "--profile", "iot", "--certificate", "--out", dir.to_str().unwrap()]);
    let file = |end: &str| home.path(&format!("{name}.{end}"));
    assert_eq!(fs::read(file("ca.crt")).unwrap(), fs::read(own_ca(home)).unwrap());
    Issued { certificate: file("crt"), key: file("key") }
}

fn start(eap: &str) -> (Home, Daemon) {
    let home = home(eap);
    let daemon = home.start();
    (home, daemon)
}

#[test]
fn eap_psk_from_registration_to_admission() {
    let (home, _daemon) = start("");
    let (nai, key) = add_psk(&home, "lamp", &[]);
    eapol_test(&home, &psk(&nai, &key), &[]).is_let_in(1, "30");
    eapol_test(&home, &psk(&nai, &key), &["-r", "2"]).is_let_in(3, "30");
    let said = shown(&home.latchkey(&["log"]));
    assert!(said.contains("lamp"), "{said}");
    assert_eq!(methods(&home), ["eap-psk"; 4]);
    for quiet in [&["device", "list"][..], &["device", "show", "lamp"], &["log"], &["status"]] {
        assert!(!shown(&home.latchkey(quiet)).contains(&key), "{quiet:?} shows the key");
    }
    assert!(!home.log().contains(&key), "the daemon's log has the key");
    let secret = shown(&home.latchkey(&["device", "show", "lamp", "--secret"]));
    assert!(secret.contains(&key) && secret.contains(&nai), "{secret}");
}

#[test]
fn eap_psk_with_a_key_of_the_administrator() {
    let (home, _daemon) = start("");
    let key = "6b1f0c39e5d2874aa0c97e13f8465bd2";
    let added = home.latchkey_with(&["--json", "device", "add", "lamp", "--eap-psk-key-file", "-"], key);
    assert!(added.status.success(), "{}", shown(&added));
    let device = home.call("device_show", json!({ "name": "lamp" })).unwrap()["device"].take();
    let nai = device["eap"]["nai"].as_str().unwrap_or_else(|| panic!("{device}")).to_owned();
    eapol_test(&home, &psk(&nai, key), &[]).is_let_in(1, "20");
    // The same key for another device is refused.
    let again = home.latchkey_with(&["device", "add", "torch", "--eap-psk-key-file", "-"], key);
    assert!(!again.status.success() && shown(&again).contains("lamp"), "{}", shown(&again));
}

#[test]
fn eap_psk_refused_and_why() {
    let (home, _daemon) = start("");
    let (nai, key) = add_psk(&home, "lamp", &[]);
    eapol_test(&home, &psk(&nai, "00112233445566778899aabbccddee01"), &[]).is_refused();
    assert_said(&home, "another EAP-PSK key");
    eapol_test(&home, &psk("nobody@latchkey.home.arpa", &key), &[]).is_refused();
    assert_said(&home, "nobody@latchkey.home.arpa");
    latchkey(&home, &["device", "block", "lamp"]);
    eapol_test(&home, &psk(&nai, &key), &[]).is_refused();
    assert_said(&home, "blocked");
    latchkey(&home, &["device", "unblock", "lamp"]);
    eapol_test(&home, &psk(&nai, &key), &[]).is_let_in(1, "30");
    latchkey(&home, &["device", "set", "lamp", "expires=2099-01-01T00:00:00Z"]);
    eapol_test(&home, &psk(&nai, &key), &[]).is_let_in(1, "30");
    let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(2);
    let soon = soon.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let at = latchkey::time::UnixTime(i64::try_from(soon).unwrap()).to_string();
    latchkey(&home, &["device", "set", "lamp", &format!("expires={at}")]);
    std::thread::sleep(std::time::Duration::from_secs(3));
    eapol_test(&home, &psk(&nai, &key), &[]).is_refused();
    assert_said(&home, "expired");
    // The wrong place.
    let (nai, key) = add_psk(&home, "porch", &["--ap", "02:00:00:00:00:99"]);
    eapol_test(&home, &psk(&nai, &key), &[]).is_refused();
    assert_said(&home, "porch");
}

#[test]
fn methods_that_nobody_has() {
    let (home, _daemon) = start("");
    let settings = ["eap=MSCHAPV2", "identity=\"old\"", "password=\"secret\""].map(String::from);
    eapol_test(&home, &settings, &[]).is_refused();
    assert_said(&home, "EAP-MSCHAPv2");
    assert_said(&home, "EAP-TLS");
    // A supplicant that has both takes EAP-PSK though EAP-TLS was proposed first, or the other way round.
    let (nai, key) = add_psk(&home, "lamp", &[]);
    let mut settings = psk(&nai, &key);
    settings[0] = "eap=MSCHAPV2 PSK".into();
    eapol_test(&home, &settings, &[]).is_let_in(1, "30");
}

#[test]
fn eap_tls_with_a_certificate_of_our_own() {
    let (home, _daemon) = start("");
    let device = add_issued(&home, "cam");
    let ca = own_ca(&home);
    for version in ["1.2", "1.3"] {
        let run = eapol_test(&home, &tls(&ca, &device, version), &["-r", "2"]);
        run.is_let_in(3, "20");
        assert_eq!(run.handshakes(), (1, 2), "TLS {version}: {}", run.text);
        assert!(run.text.contains(&format!("SSL: Using TLS version TLSv{version}")), "{}", run.text);
    }
    // The same out of one file with a password.
    let password = home.path("password");
    fs::write(&password, "a word for the file\n").unwrap();
    let dir = home.path("");
    let (dir, password) = (dir.to_str().unwrap(), password.to_str().unwrap());
    let add =
        ["device", "add", "bell", "--profile", "iot", "--certificate", "--out", dir, "--p12-password-file", password];
    latchkey(&home, &add);
    let mut settings = tls(&ca, &device, "1.3");
    settings.retain(|setting| !setting.starts_with("client_cert") && !setting.starts_with("private_key"));
    settings.push(format!("private_key=\"{}\"", home.path("bell.p12").display()));
    settings.push("private_key_passwd=\"a word for the file\"".into());
    eapol_test(&home, &settings, &[]).is_let_in(1, "20");

    // Small fragments towards the server, and small ones back.
    let mut settings = tls(&ca, &device, "1.2");
    settings.push("fragment_size=200".into());
    eapol_test(&home, &settings, &[]).is_let_in(1, "20");
    let mut settings = tls(&ca, &device, "1.3");
    settings.push("fragment_size=200".into());
    eapol_test(&home, &settings, &["-N", "12:d:600"]).is_let_in(1, "20");
    let resumed = ["eap-tls 1.2, resumed", "eap-tls 1.3, resumed"];
    assert_eq!(resumed.map(|method| methods(&home).iter().filter(|name| **name == method).count()), [2, 2]);

    // Blocked, also a session that could be resumed; removed: its certificate does not count any more.
    latchkey(&home, &["device", "block", "cam"]);
    eapol_test(&home, &tls(&ca, &device, "1.2"), &[]).is_refused();
    eapol_test(&home, &tls(&ca, &device, "1.3"), &[]).is_refused();
    assert_said(&home, "blocked");
    latchkey(&home, &["device", "remove", "cam"]);
    eapol_test(&home, &tls(&ca, &device, "1.2"), &[]).is_refused();
    assert_said(&home, "revoked");
}

#[test]
fn a_server_that_the_device_does_not_trust() {
    let (home, _daemon) = start("");
    let device = add_issued(&home, "cam");
    let (ca, other) = (own_ca(&home), Ca::new(home.path("").as_path(), "other", Kind::P256));
    eapol_test(&home, &tls(&other.certificate(), &device, "1.2"), &[]).is_refused();
    assert_said(&home, "unknown");
    let mut settings = tls(&ca, &device, "1.3");
    settings.push("domain_match=\"radius.example.net\"".into());
    eapol_test(&home, &settings, &[]).is_refused();
    assert_said(&home, "ended TLS with");
    let mut settings = tls(&ca, &device, "1.3");
    settings.push("domain_match=\"latchkey.home.arpa\"".into());
    eapol_test(&home, &settings, &[]).is_let_in(1, "20");
}

#[test]
fn the_administrators_own_server_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Ca::new(dir.path(), "company", Kind::P384);
    let wanted = Wanted {
        extensions: "extendedKeyUsage=serverAuth\nsubjectAltName=DNS:radius.example.net",
        kind: Kind::Rsa2048,
        ..Wanted::device("/CN=radius.example.net")
    };
    let server = ca.issue(&wanted);
    let (home, _daemon) = start(&format!(
        "\toption server_name 'radius.example.net'\n\toption certificate '{}'\n\toption private_key '{}'\n",
        server.certificate.display(),
        server.key.display()
    ));
    let device = add_issued(&home, "cam");
    let mut settings = tls(&ca.certificate(), &device, "1.3");
    settings.push("domain_match=\"radius.example.net\"".into());
    eapol_test(&home, &settings, &[]).is_let_in(1, "20");
    eapol_test(&home, &tls(&ca.certificate(), &device, "1.2"), &[]).is_let_in(1, "20");
}

/// Adds a maker.
fn add_maker(home: &Home, ca: &Ca, admit: &str, more: &[&str]) {
    let path = ca.certificate();
    let args = ["maker", "add", "acme", "--ca", path.to_str().unwrap(), "--profile", "media", "--admit", admit];
    latchkey(home, &[&args, more].concat());
}

/// Tries a certificate with both versions.
fn both(home: &Home, device: &Issued, judge: impl Fn(&Run)) {
    let ca = own_ca(home);
    for version in ["1.2", "1.3"] {
        judge(&eapol_test(home, &tls(&ca, device, version), &[]));
    }
}

#[test]
fn makers_whose_devices_are_listed() {
    let (home, _daemon) = start("");
    let ca = Ca::new(&home.path(""), "acme-ca", Kind::P384);
    add_maker(&home, &ca, "listed", &[]);
    // As makers make them: no end, no extended key usage, and every kind of key.
    for (n, kind) in [Kind::P256, Kind::P384, Kind::Rsa2048].into_iter().enumerate() {
        let (serial, name) = (format!("AC-{n}"), format!("cam-{n}"));
        let device = ca.issue(&Wanted::idevid(&format!("/serialNumber={serial}/O=Acme/CN=Cam"), kind));
        both(&home, &device, Run::is_refused);
        assert_said(&home, &serial);
        latchkey(&home, &["device", "add", &name, "--maker", "acme", "--serial-number", &serial]);
        // In the maker's profile, as nobody said another.
        both(&home, &device, |run| run.is_let_in(1, "30"));
    }
    // By the name in subjectAltName; by fingerprint, whoever signed it.
    let wanted = Wanted {
        extensions: "subjectAltName=DNS:probe.acme.example\n1.3.6.1.5.5.7.1.25=ASN1:IA5STRING:https://acme.example/probe.json",
        ..Wanted::idevid("/CN=Probe", Kind::P256)
    };
    let device = ca.issue(&wanted);
    latchkey(&home, &["device", "add", "probe", "--maker", "acme", "--alt-name", "probe.acme.example"]);
    both(&home, &device, |run| run.is_let_in(1, "30"));
    let nobody = Ca::new(&home.path(""), "nobody-ca", Kind::P256);
    let device = nobody.issue(&Wanted::device("/CN=sensor"));
    both(&home, &device, Run::is_refused);
    assert_said(&home, "a CA nobody registered");
    latchkey(&home, &["device", "add", "sensor", "--certificate-file", device.certificate.to_str().unwrap()]);
    both(&home, &device, |run| run.is_let_in(1, "20"));
}

#[test]
fn makers_whose_devices_wait_for_approval() {
    let (home, _daemon) = start("");
    let ca = Ca::new(&home.path(""), "acme-ca", Kind::P256);
    add_maker(&home, &ca, "pending", &[]);
    let device = ca.issue(&Wanted::idevid("/serialNumber=AC-77/CN=Kettle", Kind::P256));
    both(&home, &device, Run::is_refused);
    let pending = shown(&home.latchkey(&["pending", "list"]));
    assert!(pending.contains(STATION) && pending.contains("AC-77"), "{pending}");
    latchkey(&home, &["pending", "approve", STATION, "kettle", "--profile", "iot"]);
    both(&home, &device, |run| run.is_let_in(1, "20"));
    // That one, and no other of the maker.
    let other = ca.issue(&Wanted::idevid("/serialNumber=AC-78/CN=Kettle", Kind::P256));
    both(&home, &other, Run::is_refused);
}

#[test]
fn makers_whose_devices_register_themselves() {
    let (home, daemon) = start("");
    let ca = Ca::new(&home.path(""), "acme-ca", Kind::P256);
    add_maker(&home, &ca, "all", &[]);
    let mud = "1.3.6.1.5.5.7.1.25=ASN1:IA5STRING:https://acme.example/cam.json";
    let wanted = Wanted { extensions: mud, ..Wanted::idevid("/serialNumber=AC-1/CN=Kitchen-Cam", Kind::Rsa2048) };
    let device = ca.issue(&wanted);
    let run = eapol_test(&home, &tls(&own_ca(&home), &device, "1.3"), &[]);
    run.is_let_in(1, "30");
    // Acknowledged to the device, so it outlives a daemon that is killed at once.
    daemon.kill();
    let _daemon = home.start();
    let devices = latchkey(&home, &["device", "list"])["devices"].take();
    assert_eq!(devices.as_array().map(Vec::len), Some(1), "{devices}");
    let shown = shown(&home.latchkey(&["device", "show", devices[0]["name"].as_str().unwrap()]));
    assert!(shown.contains("https://acme.example/cam.json") && shown.contains("AC-1"), "{shown}");
    both(&home, &device, |run| run.is_let_in(1, "30"));
    let devices = latchkey(&home, &["device", "list"])["devices"].take();
    assert_eq!(devices.as_array().map(Vec::len), Some(1), "registered once: {devices}");
}

#[test]
fn certificates_that_do_not_count() {
    let (home, _daemon) = start("");
    let ca = Ca::new(&home.path(""), "acme-ca", Kind::P256);
    let wanted = |from, to, extensions| Wanted { from, to, extensions, ..Wanted::idevid("/CN=x", Kind::P256) };
    let old = ca.issue(&wanted("20200101000000Z", "20210101000000Z", ""));
    let early = ca.issue(&wanted("20980101000000Z", "20990101000000Z", ""));
    let server = ca.issue(&wanted("20200101000000Z", "20990101000000Z", "extendedKeyUsage=serverAuth"));
    let revoked = ca.issue(&Wanted::idevid("/serialNumber=AC-9/CN=Revoked", Kind::P256));
    let good = ca.issue(&Wanted::idevid("/serialNumber=AC-10/CN=Good", Kind::P256));
    let list = ca.revocation_list(Some(&revoked));
    add_maker(&home, &ca, "all", &["--crl", list.to_str().unwrap()]);
    for (device, words) in
        [(&old, "expired on 2021-01-01"), (&early, "not valid before 2098-01-01"), (&server, "not made for clients")]
    {
        both(&home, device, Run::is_refused);
        assert_said(&home, words);
    }
    eventually("the revocation list is read", || {
        let run = eapol_test(&home, &tls(&own_ca(&home), &good, "1.2"), &[]);
        run.accepted.then_some(())
    });
    both(&home, &revoked, Run::is_refused);
    assert_said(&home, "is revoked");
    both(&home, &good, |run| run.is_let_in(1, "30"));
    // The alert comes before the failure, so that the device can say why.
    let run = eapol_test(&home, &tls(&own_ca(&home), &revoked, "1.2"), &[]);
    assert!(
        run.text.contains("SSL3 alert: read (remote end reported an error):fatal:certificate revoked"),
        "{}",
        run.text
    );
}
