//! EAP credentials, places and makers through the methods.

use super::*;
use crate::pki::authority::{Authority, Key, certificate_pem, public_key_pem};
use crate::pki::certificate::sha256;
use crate::registry::credential::KnownBy;
use crate::service::pki::{Files, OwnCa};
use serde_json::json;

const KEY: &str = "9f3c61e80b27d45aa6107ef3c8923b5d";

fn authority() -> Authority {
    let mut count = 0u8;
    let random = &mut |octets: &mut [u8]| {
        octets.iter_mut().for_each(|octet| {
            count = count.wrapping_mul(73).wrapping_add(41);
            *octet = count;
        });
    };
    Authority::new(Key::generate().expect("a key"), NOW, random).expect("a CA")
}

/// With a CA of its own and a network for EAP.
fn core() -> Core {
    let mut core = super::core();
    let config = "config profile 'iot'\n\toption vlan '20'\nconfig profile 'media'\n\toption vlan '30'\nconfig ssid\n\
                  \toption ssid 'Home;1'\nconfig ssid\n\toption ssid 'Corp'\n\toption security 'enterprise'\n";
    core.reconfigure(Config::parse(config).expect("valid").into(), now());
    core.pki.set_files(Files { own: OwnCa::Whole(Box::new(authority())), ..Files::default() });
    core
}

/// Adds a device and fails if that is refused.
fn add(core: &mut Core, params: Value) -> Value {
    let reply = call(core, "device_add", params);
    assert_eq!(reply["error"], Value::Null, "{reply}");
    reply
}

#[test]
fn an_eap_psk_device_gets_a_name_and_a_key_and_no_wifi_key() {
    let mut core = core();
    let added =
        add(&mut core, json!({ "name": "Cam.1", "eap_psk": true, "ssids": ["Corp"], "aps": ["00-1A-11-00-00-77"] }));
    let device = &added["device"];
    assert_eq!(
        (&device["has_key"], &device["bind"], &device["max_devices"]),
        (&json!(false), &json!("any"), &json!(0))
    );
    assert_eq!((&device["ssids"], &device["aps"]), (&json!(["Corp"]), &json!(["00:1a:11:00:00:77"])));
    assert_eq!((&device["state"], &added["key"]), (&json!("waiting"), &Value::Null));
    let nai = device["eap"]["nai"].as_str().expect("a NAI").to_owned();
    let (name, realm) = nai.split_once('@').expect("a realm");
    assert!(name.starts_with("cam.1.") && name.len() == 10 && realm == "latchkey.home.arpa", "{nai}");
    let key = added["eap_psk"]["key"].as_str().expect("a key").to_owned();
    assert!(key.len() == 32 && key.bytes().all(|digit| digit.is_ascii_hexdigit()), "{key}");
    assert_eq!(
        added["eap_psk"]["wpa_supplicant"],
        format!(
            "network={{\n    ssid=\"Corp\"\n    key_mgmt=WPA-EAP WPA-EAP-SHA256\n    ieee80211w=1\n    eap=PSK\n    \
             identity=\"{nai}\"\n    password={key}\n}}\n"
        )
    );
    let quiet = call(&mut core, "device_show", json!({ "name": "cam.1" }));
    assert!(!quiet.to_string().contains(&key) && quiet["device"]["eap"]["nai"] == nai, "{quiet}");
    assert_eq!(call(&mut core, "device_secret", json!({ "name": "cam.1" }))["eap_psk"], added["eap_psk"]);
    let qr = call(&mut core, "qr", json!({ "name": "cam.1", "ssid": "Corp" }));
    assert!(error(&qr).2.contains("latchkey device show Cam.1 --secret"), "{qr}");
    assert_eq!(core.registry.by_nai(&nai).map(|device| &*device.name), Some("Cam.1"));
    let psk = core.registry.by_nai(&nai).and_then(|device| device.eap.clone()).expect("credentials");
    assert_eq!(psk.serial, 1);

    // A new key: the same name, another serial. The old one is worth nothing.
    let rotated = call(&mut core, "device_rotate", json!({ "name": "cam.1", "eap_psk": true }));
    assert_ne!(rotated["eap_psk"]["key"], key);
    assert_eq!(rotated["eap_psk"]["identity"], nai);
    assert_eq!(core.registry.by_nai(&nai).and_then(|device| device.eap.as_ref()).map(|eap| eap.serial), Some(2));
    let reply = call(&mut core, "device_rotate", json!({ "name": "cam.1", "eap_psk_key": rotated["eap_psk"]["key"] }));
    assert_eq!(error(&reply).0, "same_key");
    assert!(error(&call(&mut core, "device_rotate", json!({ "name": "cam.1" }))).2.contains("--eap-psk"));
    // Bound when addresses are listed; with a Wi-Fi key, too, as before.
    let listed = add(&mut core, json!({ "name": "a", "eap_psk": true, "macs": ["00:1a:11:00:00:01"] }));
    assert_eq!(listed["device"]["bind"], "mac");
    let both = add(&mut core, json!({ "name": "b", "eap_psk": true, "generate": true }));
    assert!(both["key"].is_string() && both["device"]["bind"] == "first", "{both}");
}

#[test]
fn typed_keys_are_compared_with_all_others() {
    let mut core = core();
    let typed = add(&mut core, json!({ "name": "cam", "eap_psk_key": KEY, "nai": "cam@home" }));
    assert_eq!((&typed["eap_psk"], &typed["device"]["eap"]["nai"]), (&Value::Null, &json!("cam@home")));
    add(&mut core, json!({ "name": "tv", "key": "Umbrella-Tango-47" }));
    let md5_of_tv = view::hex(&<md5::Md5 as md5::Digest>::digest(b"Umbrella-Tango-47"));
    let spaced = "9F:3C:61:E8 0B-27-D4-5A:A6:10:7E:F3:C8:92:3B:5E";
    for (params, code, field, words) in [
        (json!({ "eap_psk_key": "9f3c" }), "key", "eap_psk_key", "this one has 4"),
        (json!({ "eap_psk_key": "correct horse" }), "key", "eap_psk_key", "32 hexadecimal digits"),
        (json!({ "eap_psk_key": "000102030405060708090a0b0c0d0e0f" }), "weak_secret", "eap_psk_key", "sequence"),
        (json!({ "eap_psk_key": KEY }), "similar_secret", "eap_psk_key", "is the EAP-PSK key of 'cam'"),
        (json!({ "eap_psk_key": spaced }), "similar_secret", "eap_psk_key", "'cam' in 1 digit only"),
        (json!({ "eap_psk_key": md5_of_tv }), "similar_secret", "eap_psk_key", "is the hash of the Wi-Fi key of 'tv'"),
        (json!({ "key": "9f3c61e80b27d45a" }), "similar_secret", "key", "contains the EAP-PSK key of 'cam'"),
        (json!({ "eap_psk": true, "nai": "cam@home" }), "nai_taken", "nai", "belongs to 'cam'"),
        (json!({ "eap_psk": true, "nai": "a b@home" }), "nai", "nai", "like an e-mail address"),
        (json!({ "eap_psk": true, "nai": "a..b@home" }), "nai", "nai", "like an e-mail address"),
        (json!({ "nai": "x@home" }), "conflict", "nai", "EAP-PSK key"),
        (json!({ "eap_psk": true, "eap_psk_key": KEY }), "conflict", "eap_psk_key", "not both"),
        (json!({ "eap_psk": true, "ssids": ["Away"] }), "ssid", "ssid", "Home;1, Corp"),
        (json!({ "eap_psk": true, "aps": ["x"] }), "mac", "ap", "aa:bb:cc:dd:ee:ff"),
        (json!({ "maker": "acme" }), "conflict", "maker", "--serial-number"),
        (json!({ "maker": "acme", "serial_number": "S" }), "not_found", "maker", "latchkey maker add acme"),
        (json!({ "serial_number": "S" }), "conflict", "serial_number", "--maker"),
        (json!({ "certificates": ["no PEM"] }), "certificate", "certificates", "PEM"),
        (json!({ "public_keys": ["no PEM"] }), "public_key", "public_keys", "PEM"),
    ] {
        let mut all = json!({ "name": "new" });
        all.as_object_mut().expect("an object").extend(params.as_object().cloned().unwrap_or_default());
        let reply = call(&mut core, "device_add", all);
        let (got_code, got_field, message) = error(&reply);
        assert_eq!((&*got_code, &*got_field), (code, field), "{params}: {reply}");
        assert!(message.contains(words), "{params}: {message}");
        assert!(!message.contains("61e8") && !message.contains("mbrella"), "no secret in an error: {message}");
    }
    // The hash of the key that is given at the same time.
    let own = json!({ "name": "new", "key": "Quartz-Violin-19", "eap_psk_key": view::hex(&<md5::Md5 as md5::Digest>::digest(b"Quartz-Violin-19")) });
    assert!(error(&call(&mut core, "device_add", own)).2.contains("Wi-Fi key of 'new'"));
    assert_eq!(core.registry.len(), 2);
}

#[test]
fn certificates_are_issued_and_revoked() {
    let mut core = core();
    let added = add(&mut core, json!({ "name": "cam", "certificate": true, "eap_psk": true }));
    let issued = &added["issued"];
    for (part, begin) in [
        ("certificate", "-----BEGIN CERTIFICATE"),
        ("private_key", "-----BEGIN PRIVATE KEY"),
        ("ca", "-----BEGIN CERTIFICATE"),
    ] {
        assert!(issued[part].as_str().is_some_and(|text| text.starts_with(begin)), "{part}: {issued}");
    }
    let private_key = issued["private_key"].as_str().expect("a key");
    assert!(issued["p12_password"].is_string() && issued["p12"].as_str().is_some_and(|p12| p12.starts_with("30")));
    assert!(issued["wpa_supplicant"].as_str().is_some_and(|text| text.contains("client_cert=\"/path/to/cam.crt\"")));
    let shown = call(&mut core, "device_secret", json!({ "name": "cam" }));
    assert!(
        !shown.to_string().contains("PRIVATE KEY") && !shown.to_string().contains(private_key),
        "shown once: {shown}"
    );
    assert!(shown["eap_tls"].as_str().is_some_and(|text| text.contains("eap=TLS")), "{shown}");
    let certificate = &shown["device"]["eap"]["certificates"][0];
    assert_eq!((&certificate["known_by"], &certificate["issued"]), (&json!("serial"), &json!(true)));
    let serial = certificate["value"].as_str().expect("a serial number").to_owned();
    assert_eq!(issued["serial"], serial);

    let given = call(
        &mut core,
        "device_credential_add",
        json!({ "name": "cam", "certificate": true, "p12_password": "x9-Wq" }),
    );
    assert_eq!(given["issued"]["p12_password"], Value::Null, "a password that was given is not shown");
    let both = call(&mut core, "device_credential_remove", json!({ "name": "cam", "certificate": "CN=cam" }));
    assert_eq!(error(&both).0, "ambiguous", "{both}");
    let number = |core: &Core| core.registry.by_name("cam").and_then(|d| d.eap.as_ref()).map(|eap| eap.serial);
    assert_eq!(number(&core), Some(1), "one more takes nothing from the first: its sessions go on");
    let removed =
        call(&mut core, "device_credential_remove", json!({ "name": "cam", "certificate": serial.to_uppercase() }));
    assert_eq!(removed["device"]["eap"]["certificates"].as_array().map(Vec::len), Some(1), "{removed}");
    let none = call(&mut core, "device_credential_remove", json!({ "name": "cam", "certificate": serial }));
    assert_eq!(error(&none).0, "not_found");
    assert_eq!(core.registry.by_name("cam").and_then(|d| d.eap.as_ref()).map(|eap| eap.serial), Some(2));
    // Without a CA nothing is registered either.
    core.pki.set_files(Files::default());
    let reply = call(&mut core, "device_add", json!({ "name": "two", "certificate": true }));
    assert_eq!((error(&reply).0.as_str(), core.registry.len()), ("no_ca", 1));
}

#[test]
fn the_last_credential_stays() {
    let mut core = core();
    add(&mut core, json!({ "name": "cam", "eap_psk": true }));
    let remove =
        |core: &mut Core, which: &str| call(core, "device_credential_remove", json!({ "name": "cam", which: true }));
    assert_eq!(error(&remove(&mut core, "eap_psk")).0, "last_credential");
    assert_eq!(error(&remove(&mut core, "key")).0, "not_found");
    let again = call(&mut core, "device_credential_add", json!({ "name": "cam", "eap_psk": true }));
    assert!(error(&again).2.contains("device rotate cam --eap-psk"), "{again}");
    let wifi = call(&mut core, "device_credential_add", json!({ "name": "cam", "generate": true }));
    assert!(wifi["key"].is_string() && wifi["eap_psk"].is_null(), "{wifi}");
    let left = remove(&mut core, "eap_psk");
    assert_eq!((&left["device"]["eap"], &left["device"]["has_key"]), (&Value::Null, &json!(true)));
    // The serial went on, so that what the old key proved is not taken for a new one.
    let back = call(&mut core, "device_credential_add", json!({ "name": "cam", "eap_psk": true }));
    assert_eq!(core.registry.by_name("cam").and_then(|d| d.eap.as_ref()).map(|eap| eap.serial), Some(2), "{back}");
    assert_eq!(remove(&mut core, "key")["device"]["has_key"], false);
    let nothing = call(&mut core, "device_credential_add", json!({ "name": "cam" }));
    assert_eq!(error(&nothing).0, "missing");
    assert_eq!(error(&call(&mut core, "device_credential_remove", json!({ "name": "cam" }))).0, "missing");
}

#[test]
fn certificates_and_keys_belong_to_one_device() {
    let mut core = core();
    let (ca, key) = (authority(), Key::generate().expect("a key"));
    let pem = certificate_pem(ca.certificate());
    let spki = public_key_pem(&key.public_key());
    call(&mut core, "maker_add", json!({ "name": "acme", "ca": certificate_pem(authority().certificate()) }));
    let first =
        json!({ "name": "a", "certificates": [pem], "public_keys": [spki], "maker": "ACME", "serial_number": "SN 7" });
    let added = add(&mut core, first);
    let kinds: Vec<&Value> =
        added["device"]["eap"]["certificates"].as_array().expect("three").iter().map(|c| &c["known_by"]).collect();
    assert_eq!(kinds, ["fingerprint", "public_key", "subject_serial"]);
    assert_eq!(added["device"]["eap"]["certificates"][2]["maker"], "acme");
    assert_eq!(core.registry.by_public_key(sha256(&key.public_key())).map(|device| &*device.name), Some("a"));
    for taken in [
        json!({ "name": "b", "certificates": [pem] }),
        json!({ "name": "b", "public_keys": [spki] }),
        json!({ "name": "b", "maker": "acme", "serial_number": "SN 7" }),
    ] {
        let reply = call(&mut core, "device_add", taken);
        assert_eq!(error(&reply).0, "certificate_taken", "{reply}");
        assert!(error(&reply).2.contains("belongs to 'a'"), "{reply}");
    }
    let twice = call(&mut core, "device_credential_add", json!({ "name": "a", "public_keys": [spki] }));
    assert!(error(&twice).2.contains("'a' has this certificate already"), "{twice}");
    add(&mut core, json!({ "name": "b", "maker": "acme", "alt_name": "Cam.Acme.Example" }));
    let known = KnownBy::AltName { maker: "acme".into(), name: "cam.acme.example".into() };
    assert_eq!(core.registry.holder(&known, None).map(|device| &*device.name), Some("b"));
    // What one gives up another can have.
    call(&mut core, "device_credential_remove", json!({ "name": "a", "certificate": "sn 7" }));
    add(&mut core, json!({ "name": "c", "maker": "acme", "serial_number": "SN 7" }));
}

#[test]
fn makers_come_and_go() {
    let mut core = core();
    let ca = certificate_pem(authority().certificate());
    for (params, code, field) in [
        (json!({}), "missing", "name"),
        (json!({ "name": "-x", "ca": ca }), "name", "name"),
        (json!({ "name": "acme" }), "missing", "ca"),
        (json!({ "name": "acme", "ca": "x" }), "ca", "ca"),
        (json!({ "name": "acme", "ca": ca, "profile": "gone" }), "profile", "profile"),
        (json!({ "name": "acme", "ca": ca, "admit": "some" }), "admit", "admit"),
        (json!({ "name": "acme", "ca": ca, "crls": ["acme.crl"] }), "crls", "crls"),
        (
            json!({ "name": "acme", "ca": certificate_pem(core.pki.own().certificate().expect("ours")) }),
            "ca_taken",
            "ca",
        ),
    ] {
        let reply = call(&mut core, "maker_add", params);
        assert_eq!((&*error(&reply).0, &*error(&reply).1), (code, field), "{reply}");
    }
    let params = json!({ "name": "acme", "ca": ca, "profile": "media", "admit": "pending", "crls": ["/etc/acme.crl"] });
    let added = call(&mut core, "maker_add", params);
    let maker = &added["maker"];
    assert_eq!(
        (&maker["vlan"], &maker["admit"], &maker["crls"]),
        (&json!(30), &json!("pending"), &json!(["/etc/acme.crl"]))
    );
    assert!(maker["authorities"][0]["subject"].is_string() && maker["authorities"][0]["fingerprint"].is_string());
    for (name, code) in [("ACME", "name_taken"), ("other", "ca_taken")] {
        assert_eq!(error(&call(&mut core, "maker_add", json!({ "name": name, "ca": ca }))).0, code);
    }
    let device = add(&mut core, json!({ "name": "a", "maker": "acme", "serial_number": "1" }));
    assert_eq!(device["device"]["profile"], "media", "that of the maker's devices");
    assert_eq!(call(&mut core, "maker_list", json!({}))["makers"][0]["devices"], 1);
    let set = call(&mut core, "maker_set", json!({ "name": "Acme", "admit": "all", "crls": [] }));
    assert_eq!(
        (&set["maker"]["admit"], &set["maker"]["crls"], &set["maker"]["profile"]),
        (&json!("all"), &json!([]), &json!("media"))
    );
    assert_eq!(error(&call(&mut core, "maker_set", json!({ "name": "acme" }))).0, "missing");
    assert_eq!(call(&mut core, "maker_remove", json!({ "name": "acme" }))["maker"]["devices"], 1);
    assert_eq!(error(&call(&mut core, "maker_show", json!({ "name": "acme" }))).0, "not_found");
    assert_eq!(core.registry.by_name("a").and_then(|d| d.eap.as_ref()).map(|eap| eap.certificates.len()), Some(1));
}

#[test]
fn places_are_set_one_by_one() {
    let mut core = core();
    add(&mut core, json!({ "name": "cam", "eap_psk": true }));
    let mut set =
        |key: &str, value: &str| call(&mut core, "device_set", json!({ "name": "cam", "set": { key: value } }));
    assert_eq!(set("ssid", "Corp")["device"]["ssids"], json!(["Corp"]));
    assert_eq!(set("ssid+", "Home;1")["device"]["ssids"], json!(["Corp", "Home;1"]));
    assert_eq!(set("ap", "00:1a:11:00:00:01")["device"]["ssids"], json!(["Corp", "Home;1"]));
    assert_eq!(set("ap+", "00:1a:11:00:00:01")["device"]["aps"], json!(["00:1a:11:00:00:01"]));
    assert_eq!(set("ssid-", "Corp")["device"]["ssids"], json!(["Home;1"]));
    assert_eq!(error(&set("ssid-", "Corp")).0, "place");
    assert_eq!(error(&set("ssid+", "Away")).0, "ssid");
    assert_eq!(error(&set("ap", "nonsense")).1, "ap");
    assert_eq!(set("ssid", "")["device"]["aps"], json!(["00:1a:11:00:00:01"]));
    assert_eq!(set("ap", "")["device"]["aps"], json!([]));
}

#[test]
fn eap_psk_keys_are_exported_and_imported() {
    let mut first = core();
    let csv = format!(
        "name,key,nai,eap_psk\ncam,,cam@home,{KEY}\nhub,,,a417c5d2906be83f17fa52bc0d94e361\nlock,,lock@home,\ntv,,,\n"
    );
    let reply = call(&mut first, "device_import", json!({ "csv": csv }));
    let made: Vec<(bool, bool)> = reply["devices"]
        .as_array()
        .expect("four")
        .iter()
        .map(|d| (d["key"].is_string(), d["eap_psk"].is_object()))
        .collect();
    assert_eq!(made, [(false, false), (false, false), (false, true), (true, false)], "{reply}");
    assert!(first.registry.by_name("hub").and_then(|d| d.eap.as_ref()).is_some_and(|eap| eap.psk.is_some()));
    let export = |core: &mut Core, secrets: bool| {
        call(core, if secrets { "device_export_secrets" } else { "device_export" }, json!({}))["csv"]
            .as_str()
            .expect("text")
            .to_owned()
    };
    let all = export(&mut first, true);
    assert!(all.contains(KEY) && !export(&mut first, false).contains(KEY));
    assert_eq!(call(&mut first, "device_export", json!({}))["left_out"], 0);
    call(&mut first, "device_credential_add", json!({ "name": "tv", "certificate": true }));
    assert_eq!(call(&mut first, "device_export", json!({}))["left_out"], 1, "certificates are not in the file");
    let mut second = core();
    assert_eq!(call(&mut second, "device_import", json!({ "csv": all }))["imported"], 4);
    assert_eq!(export(&mut second, true), all);
    // A file with two that are alike, and a name that is there twice.
    let alike = format!("name,nai,eap_psk\na,a@home,{KEY}\nb,b@home,{}e\nc,a@home,\n", &KEY[..31]);
    let reply = call(&mut core(), "device_import", json!({ "csv": alike }));
    let lines: Vec<(u64, &str)> = reply["error"]["lines"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| (line["line"].as_u64().unwrap_or(0), line["field"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(lines, [(3, "eap_psk_key"), (4, "nai")], "{reply}");
}
