//! When the manufacturer dies: its realm moves to another service, or its devices' credentials come to us.

use super::radsec::{Site, US, issue};
use super::support::eap::psk;
use super::support::program::{Program, run};
use super::support::radius::{Manner, Scripted};
use super::support::{free_port, free_tcp_port};
use super::*;
use serde_json::json;
use std::fs;

#[test]
fn a_realm_moves_to_another_service() {
    let dir = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(dir.path());
    let home = configured(&realm("acme", maker.port, "all", "\t# what the administrator wrote\n"));
    let daemon = home.start();
    let cam = maker.tls("cam-1@acme.example", &maker.device("AC-1"), "1.3");
    join(&home, &cam, &mac(1)).is_let_in(1, "30");
    let name = devices(&home).remove(0);
    latchkey(&home, &["device", "set", &name, "name=porch-cam", "profile=iot"]);
    join(&home, &cam, &mac(1)).is_let_in(1, "20");
    maker.stop();
    join(&home, &cam, &mac(1)).is_refused();
    assert_said(&home, &mac(1), "acme's server");

    let successor = maker.successor(dir.path());
    let server = format!("udp://127.0.0.1:{}", successor.port);
    let before = fs::read_to_string(home.path("config")).unwrap();
    let dry = home.latchkey(&["realm", "repoint", "acme", "--to", &server, "--dry-run"]);
    assert!(dry.status.success(), "{}", shown(&dry));
    println!("{}", shown(&dry));
    assert!(shown(&dry).contains(&server), "{}", shown(&dry));
    assert_eq!(fs::read_to_string(home.path("config")).unwrap(), before, "a dry run changes nothing");
    let moved = home.latchkey(&["realm", "repoint", "acme", "--to", &server]);
    assert!(moved.status.success(), "{}", shown(&moved));
    // The same device, under its name, where it was; the device itself was not touched, and nothing was restarted.
    join(&home, &cam, &mac(1)).is_let_in(1, "20");
    assert_eq!(devices(&home), ["porch-cam"]);
    let after = fs::read_to_string(home.path("config")).unwrap();
    assert_eq!(after, before.replace(&format!("udp://127.0.0.1:{}", maker.port), &server));
    daemon.kill();
    let _daemon = home.start();
    join(&home, &cam, &mac(1)).is_let_in(1, "20");
}

/// hostapd as the AAA server of a manufacturer whose devices have EAP-PSK keys.
fn psk_server(dir: &Path, nai: &str, key: &str) -> (Program, u16) {
    let port = free_port();
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let users = write("hostapd.users", &format!("\"{nai}\" PSK {key}\n"));
    let clients = write("hostapd.clients", &format!("127.0.0.1 {SHARED}\n"));
    let config = write(
        "hostapd.conf",
        &format!(
            "driver=none\nlogger_syslog=0\nlogger_stdout=0\nradius_server_clients={clients}\n\
             radius_server_auth_port={port}\neap_server=1\neap_user_file={users}\nserver_id=acme\n"
        ),
    );
    let log = dir.join("hostapd.log");
    let mut hostapd = Program::start(&log, "hostapd", &[config]);
    hostapd.wait(|| fs::read_to_string(&log).is_ok_and(|text| text.contains("AP-ENABLED")));
    (hostapd, port)
}

/// Signs a bundle with a key of Ed25519 (RFC 7515, RFC 8037), as a manufacturer does. The signed bundle, and the public key.
fn signed(dir: &Path, bundle: &serde_json::Value) -> (std::path::PathBuf, std::path::PathBuf) {
    use base64::Engine as _;
    let encode = |octets: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(octets);
    let path = |name: &str| dir.join(name);
    let [key, public, text, raw, whole] = ["sign.key", "sign.pub", "to-sign", "signature", "acme.bundle"].map(path);
    run(&format!("openssl genpkey -algorithm ed25519 -out {}", key.display()));
    run(&format!("openssl pkey -in {} -pubout -out {}", key.display(), public.display()));
    let (protected, payload) = (encode(br#"{"alg":"EdDSA"}"#), encode(bundle.to_string().as_bytes()));
    fs::write(&text, format!("{protected}.{payload}")).unwrap();
    let (key, text, out) = (key.display(), text.display(), raw.display());
    run(&format!("openssl pkeyutl -sign -rawin -inkey {key} -in {text} -out {out}"));
    let signature = encode(&fs::read(&raw).unwrap());
    let jws = json!({ "payload": payload, "protected": protected, "signature": signature });
    fs::write(&whole, jws.to_string()).unwrap();
    (whole, public)
}

#[test]
fn the_keys_come_to_us() {
    let dir = tempfile::tempdir().unwrap();
    let (nai, key) = ("cam-1@acme.example", "8a3f0c19e5d2874aa0c97e13f8465bd2");
    let (server, port) = psk_server(dir.path(), nai, key);
    let home = configured(&format!("config eap\n{}", realm("acme", port, "all", "")));
    let _daemon = home.start();
    let cam = psk(nai, key);
    join(&home, &cam, &mac(1)).is_let_in(1, "30");
    let name = devices(&home).remove(0);
    latchkey(&home, &["device", "set", &name, "name=porch-cam", "profile=iot"]);
    server.end();
    join(&home, &cam, &mac(1)).is_refused();
    assert_said(&home, &mac(1), "acme's server");

    let bundle = json!({
        "latchkey_bundle": 1, "maker": "acme", "realms": ["acme.example"], "issued": "2026-01-01T00:00:00Z",
        "devices": [
            { "identity": nai, "psk": { "nai": nai, "key": key } },
            { "identity": "cam-2@acme.example", "psk": { "nai": "cam-2@acme.example", "key": "c47d1be05a9f3862e8b1064f2d97a35c" } },
        ],
    });
    let (file, public) = signed(dir.path(), &bundle);
    let (file, public) = (file.to_str().unwrap(), public.to_str().unwrap());
    // Not without the manufacturer's word for it, and not with another's.
    let unsigned = home.latchkey(&["maker", "import", file]);
    assert!(!unsigned.status.success(), "{}", shown(&unsigned));
    let (other, _) = signed(
        &{
            let dir = dir.path().join("other");
            fs::create_dir(&dir).unwrap();
            dir
        },
        &bundle,
    );
    let forged = home.latchkey(&["maker", "import", other.to_str().unwrap(), "--signed-by", public]);
    assert!(!forged.status.success(), "{}", shown(&forged));
    println!("{}", shown(&forged));
    let dry = home.latchkey(&["maker", "import", file, "--signed-by", public, "--register", "--local", "--dry-run"]);
    assert!(dry.status.success() && shown(&dry).contains("porch-cam"), "{}", shown(&dry));
    println!("{}", shown(&dry));
    join(&home, &cam, &mac(1)).is_refused();
    let imported = home.latchkey(&["maker", "import", file, "--signed-by", public, "--register", "--local"]);
    assert!(imported.status.success(), "{}", shown(&imported));
    println!("{}", shown(&imported));
    for quiet in [shown(&dry), shown(&imported), home.log()] {
        assert!(!quiet.contains(key), "the key is shown: {quiet}");
    }
    // The same device under its name, where it was; the device itself was not touched.
    join(&home, &cam, &mac(1)).is_let_in(1, "20");
    let all = devices(&home);
    assert!(all.contains(&"porch-cam".to_owned()), "{all:?}");
    let shown = shown(&home.latchkey(&["device", "show", "porch-cam"]));
    assert!(shown.contains(nai), "{shown}");
    // The other one of the bundle, which was never here, is let in as the realm says: admit all.
    let second = psk("cam-2@acme.example", "c47d1be05a9f3862e8b1064f2d97a35c");
    join(&home, &second, &mac(2)).is_let_in(1, "30");
}

#[test]
fn the_certificates_come_to_us() {
    let dir = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(dir.path());
    // Its devices check the server's certificate, so the manufacturer hands over that, too.
    let eap = format!(
        "config eap\n\toption server_name '{}'\n\toption certificate '{}'\n\toption private_key '{}'\n",
        super::support::maker::SERVER,
        maker.server.certificate.display(),
        maker.server.key.display()
    );
    let home = configured(&(eap + &realm("acme", maker.port, "all", "")));
    let _daemon = home.start();
    let certificate = maker.device("AC-1");
    let cam = maker.tls("cam-1@acme.example", &certificate, "1.3");
    join(&home, &cam, &mac(1)).is_let_in(1, "30");
    let name = devices(&home).remove(0);
    latchkey(&home, &["device", "set", &name, "name=porch-cam", "profile=iot"]);
    maker.stop();
    let ca = fs::read_to_string(maker.ca.certificate()).unwrap();
    let bundle = json!({
        "latchkey_bundle": 1, "maker": "acme", "realms": ["acme.example"], "issued": "2026-01-01T00:00:00Z",
        "authorities": [ca],
        "devices": [{ "identity": "cam-1@acme.example", "certificates": [{ "subject_serial": "AC-1" }] }],
    });
    let file = dir.path().join("acme.json");
    fs::write(&file, bundle.to_string()).unwrap();
    let imported = home.latchkey(&["maker", "import", file.to_str().unwrap(), "--unsigned", "--local"]);
    assert!(imported.status.success(), "{}", shown(&imported));
    println!("{}", shown(&imported));
    join(&home, &cam, &mac(1)).is_let_in(1, "20");
    assert_eq!(devices(&home), ["porch-cam"]);
}

#[test]
fn what_realm_test_says() {
    let site = Site::new();
    let maker = Maker::new(site.dir.path());
    let port = free_tcp_port();
    let hub = site.radsecproxy("hub", "TLS1_2:", |config| {
        config.tls_clients(port, &[US]).udp_server("good.example", maker.port, SHARED)
    });
    let other_client = issue(&site.ca, "other.example.net");
    let silent = Scripted::start(SHARED, Manner::Silent);
    let closed = free_port();
    let home = configured(&joined(&[
        realm("udp", maker.port, "all", ""),
        realm("secret", maker.port, "all", "").replace(SHARED, "not-what-was-agreed-upon"),
        realm("silent", silent.port, "all", ""),
        realm("closed", closed, "all", ""),
        site.realm("good", port, &site.us, ""),
        site.realm("client", port, &other_client, ""),
        site.realm("named", port, &site.us, "").replace(super::radsec::HUB, "elsewhere.example.net"),
        site.realm("nobody", free_tcp_port(), &site.us, ""),
        "config realm 'ours'\n\tlist realm 'ours.example'\n\tlist server 'local'\n\toption profile 'iot'\n".into(),
    ]));
    let _daemon = home.start();
    let mut all = String::new();
    for (name, well, words) in [
        ("udp", true, ""),
        ("good", true, "hub.example.net"),
        ("secret", false, "secret"),
        ("silent", false, ""),
        ("closed", false, ""),
        ("client", false, ""),
        ("named", false, "elsewhere.example.net"),
        ("nobody", false, ""),
    ] {
        let output = home.latchkey(&["realm", "test", name]);
        let text = shown(&output);
        let _ = writeln!(all, "$ latchkey realm test {name}\n{text}[{}]", output.status.code().unwrap_or(-1));
        assert_eq!(output.status.success(), well, "{name}: {text}");
        assert!(text.contains(words), "not {words:?} in {text}");
    }
    println!("{all}");
    let list = shown(&home.latchkey(&["realm", "list"]));
    println!("{list}");
    for name in ["udp", "good", "ours"] {
        assert!(list.contains(name), "{list}");
    }
    for quiet in [all, list] {
        assert!(!quiet.contains(SHARED), "it shows a secret");
    }
    drop(hub);
}
