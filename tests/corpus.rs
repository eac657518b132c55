//! Every seed of the fuzz targets runs through the same function as under the fuzzer, so that a regression shows
//! in the ordinary test run.

use serde_json::json;
use std::fs;
use std::path::Path;

/// Feeds all files of one corpus to its target; a corpus without files is a mistake.
fn run(name: &str, target: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no seeds", dir.display());
    for path in files {
        // The name, for the output of a run that fails.
        println!("{}", path.display());
        target(&fs::read(&path).unwrap());
    }
}

#[test]
fn radius() {
    run("radius", latchkey::wire::radius::fuzz);
}

#[test]
fn handshake() {
    run("handshake", latchkey::wpa::fuzz);
}

#[test]
fn config() {
    run("config", latchkey::config::fuzz);
}

#[test]
fn control() {
    run("control", latchkey::service::control::fuzz);
}

#[test]
fn csv() {
    run("csv", |data| {
        let request = json!({ "method": "device_import", "params": { "csv": String::from_utf8_lossy(data) } });
        latchkey::service::control::fuzz(request.to_string().as_bytes());
    });
}

#[test]
fn service() {
    run("service", latchkey::service::radius::fuzz);
}

#[test]
fn hostapd() {
    run("hostapd", latchkey::wire::hostapd::fuzz);
}

#[test]
fn eap() {
    run("eap", latchkey::eap::fuzzing::conversation);
}

#[test]
fn eap_psk() {
    run("eap-psk", latchkey::eap::fuzzing::psk);
}

#[test]
fn eap_tls() {
    run("eap-tls", latchkey::eap::tls::fuzz);
}

#[test]
fn certificate() {
    run("certificate", latchkey::pki::fuzz);
}

#[test]
fn proxy() {
    run("proxy", latchkey::proxy::fuzz);
}

#[test]
fn bundle() {
    run("bundle", latchkey::bundle::fuzz);
}

#[test]
fn discovery() {
    run("discovery", latchkey::discovery::fuzz);
}

#[test]
fn dynauth() {
    run("dynauth", latchkey::service::dynauth::fuzz);
}

#[test]
fn stream() {
    run("stream", latchkey::wire::radius::fuzz_stream);
}

/// Every target has its corpus test here, and every corpus its target.
#[test]
fn none_is_forgotten() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |dir: &str| {
        let entries = fs::read_dir(here.join(dir)).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<String> = entries.map(|path| path.file_stem().unwrap().to_string_lossy().into()).collect();
        names.sort();
        names
    };
    let targets = names("fuzz/fuzz_targets");
    let expected = [
        "bundle",
        "certificate",
        "config",
        "control",
        "csv",
        "discovery",
        "dynauth",
        "eap",
        "eap-psk",
        "eap-tls",
        "handshake",
        "hostapd",
        "proxy",
        "radius",
        "service",
        "stream",
    ];
    assert_eq!(targets, expected);
    assert_eq!(names("fuzz/corpus"), targets);
}

#[test]
fn ubus() {
    run("ubus", |data| {
        latchkey::wire::ubus::fuzz(data);
        latchkey::ubus::fuzz(data);
    });
}
