//! `latchkey openwrt` on the files of real releases: a fresh configuration, and one with VLANs in use, of 23.05, 24.10 and
//! 25.12 each, as their own generators write them.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

#[path = "openwrt/trouble.rs"]
mod trouble;

const FILES: [&str; 5] = ["network", "dhcp", "firewall", "wireless", "latchkey"];
const FRESH: [&str; 3] = ["23.05-default", "24.10-default", "25.12-default"];
const VLANS: [&str; 3] = ["23.05-dsa", "24.10-dsa", "25.12-dsa"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openwrt")
}

/// A scratch copy of a box.
struct Router {
    dir: TempDir,
    before: BTreeMap<String, Vec<u8>>,
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

impl Router {
    fn new(fixture: &str) -> Router {
        let dir = tempfile::tempdir().unwrap();
        copy(&fixtures().join("fixtures").join(fixture), dir.path());
        let boot = dir.path().join("proc/sys/kernel/random");
        fs::create_dir_all(&boot).unwrap();
        fs::write(boot.join("boot_id"), "first\n").unwrap();
        let root = dir.path().display();
        // Each says what it finds: whether latchkey comes before the others, and what they are told of.
        for (path, text) in [
            (
                "sbin/reload_config",
                format!("#!/bin/sh\necho \"reload $(grep -c lk_ {root}/etc/config/network)\" >> {root}/log\n"),
            ),
            (
                "etc/init.d/latchkey",
                format!(
                    "#!/bin/sh\n[ $1 != running ] || exec test ! -e {root}/down\n\
                     echo \"latchkey $1\" >> {root}/log\nmkdir -p {root}/etc/rc.d\n\
                     case $1 in enable) : > {root}/etc/rc.d/S18latchkey; grep -c lk_ {root}/etc/config/network > {root}/links;; \
                     disable) rm -f {root}/etc/rc.d/S18latchkey;; esac\n"
                ),
            ),
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::set_permissions(dir.path().join("etc/config/latchkey"), fs::Permissions::from_mode(0o600)).unwrap();
        let mut result = Router { dir, before: BTreeMap::new() };
        result.before = result.files();
        result
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let read = |name: &&str| ((*name).to_owned(), fs::read(self.path("etc/config").join(name)).unwrap());
        FILES.iter().map(read).collect()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path("etc/config").join(name)).unwrap()
    }

    fn change(&self, name: &str, from: &str, to: &str) {
        let text = self.text(name);
        assert!(text.contains(from), "{name} has no {from}: {text}");
        fs::write(self.path("etc/config").join(name), text.replacen(from, to, 1)).unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn run(&self, words: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
        command.args(["openwrt", "--root"]).arg(self.dir.path()).args(words.split_ascii_whitespace());
        command.output().unwrap()
    }

    fn json(&self, words: &str) -> Value {
        let output = self.run(&format!("{words} --json"));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.stderr.is_empty(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!text.contains("SWQXK") && !text.contains("q7mXv2Lr9TzKc4"), "a secret is shown: {text}");
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{words}: {why}: {text}"));
        assert_eq!(output.status.code(), Some(i32::from(value.get("error").is_some())), "{words}: {text}");
        value
    }

    fn ok(&self, words: &str) -> Value {
        let value = self.json(words);
        assert!(value.get("error").is_none(), "{words}: {value}");
        value
    }

    fn refused(&self, words: &str, code: &str) -> String {
        let value = self.json(words);
        assert_eq!(value["error"]["code"], code, "{words}: {value}");
        value["error"]["message"].as_str().unwrap().to_owned()
    }

    fn apply(&self, words: &str) {
        let result = self.ok(&format!("apply {words}"));
        assert_eq!(result["applied"], true, "{result}");
        let left = result["undo_in_s"].as_u64().unwrap();
        assert!((80..=90).contains(&left), "{result}");
        assert_eq!(self.ok("confirm")["confirmed"], true);
    }

    fn is_as_before(&self, about: &str) {
        let now = self.files();
        for (name, text) in &self.before {
            let (now, text) = (String::from_utf8_lossy(&now[name]), String::from_utf8_lossy(text));
            assert_eq!(now, text, "{about}: /etc/config/{name}");
        }
    }

    fn state(&self) -> Vec<String> {
        let names = fs::read_dir(self.path("etc/latchkey-openwrt")).into_iter().flatten();
        let mut names: Vec<String> = names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What is asked of each box in the table.
fn wishes(fixture: &str) -> Vec<&'static str> {
    if fixture.ends_with("default") {
        vec![
            "--ssid Home --radio radio0 --radio radio1 --country DE",
            "--profile iot",
            "--ssid Home --radio radio1 --security mixed --country DE",
        ]
    } else {
        vec![
            "--ssid Home --take-over",
            "--profile cams --bridge br-lan --port lan4:t",
            "--ssid Things --radio radio0 --security wpa3",
            "--ssid Work --radio radio1 --security enterprise --profile iot",
        ]
    }
}

/// Compares with the expected text. `BLESS=1` writes it anew.
fn golden(name: &str, shown: &str) {
    let path = fixtures().join("golden").join(format!("{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, shown).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(shown, expected, "{name}");
}

/// The whole plan as people see it, for each box.
#[test]
fn golden_plans() {
    for fixture in FRESH.into_iter().chain(VLANS) {
        let here = Router::new(fixture);
        let words = wishes(fixture)[0];
        let output = here.run(&format!("plan {words}"));
        let shown = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
        golden(fixture, &shown);
        here.is_as_before("a plan changes nothing");
        assert_eq!(here.state(), [""; 0], "and leaves nothing");
    }
}

/// With IPv6 addresses, which one of the profiles has, and a device of its own that reaches something on this box.
#[test]
fn golden_plans_with_ipv6() {
    for fixture in VLANS {
        let here = Router::new(fixture);
        here.change(
            "latchkey",
            "\tlist allow '192.168.1.1 udp 123'\n",
            "\tlist allow 'fd00:40::1 udp 123'\n\tlist address '192.168.40.1/24'\n\tlist address 'fd00:40::1/64'\n",
        );
        let output = here.run("plan --profile cams");
        let shown = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
        golden(&format!("{fixture}-ipv6"), &shown);
        let before = here.files();
        here.apply("--profile cams");
        assert_eq!(here.ok("plan --profile cams")["empty"], true, "{fixture}");
        here.ok("remove");
        here.ok("confirm");
        assert!(here.files() == before, "{fixture}: nothing is left");
    }
}

#[test]
fn applied_there_is_nothing_left_to_do_and_removed_nothing_is_left() {
    for fixture in FRESH.into_iter().chain(VLANS) {
        for words in wishes(fixture) {
            let about = format!("{fixture}: {words}");
            let here = Router::new(fixture);
            here.apply(words);
            assert!(here.files() != here.before, "{about}");
            assert_eq!(here.ok("plan")["empty"], true, "{about}");
            assert_eq!(here.ok(&format!("plan {words}"))["empty"], true, "{about}");
            let mode = fs::metadata(here.path("etc/config/latchkey")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{about}");
            assert_eq!(here.ok(&format!("apply {words}"))["applied"], false, "{about}");
            here.ok("remove");
            here.ok("confirm");
            here.is_as_before(&about);
            assert_eq!(here.state(), ["lock"], "{about}");
        }
    }
}

#[test]
fn many_steps_forth_and_back() {
    for fixture in ["23.05-dsa", "25.12-dsa"] {
        let here = Router::new(fixture);
        for words in wishes(fixture) {
            here.apply(words);
        }
        let status = here.ok("status");
        assert_eq!(status["managed"]["profiles"].as_array().unwrap().len(), 2, "{status}");
        assert_eq!(status["managed"]["ssids"].as_array().unwrap().len(), 3, "{status}");
        for words in ["--ssid Things", "--profile cams", "--ssid Home", "--ssid Work --profile iot"] {
            here.ok(&format!("remove {words}"));
            here.ok("confirm");
            assert_eq!(here.ok("plan")["empty"], true, "{fixture}: after remove {words}");
        }
        here.is_as_before(fixture);
    }
}

#[test]
fn the_box_is_described() {
    let here = Router::new("25.12-default");
    let status = here.ok("status");
    assert_eq!((&status["release"], &status["generator"]), (&"25.12.0".into(), &"ucode".into()));
    assert_eq!(status["wpad"], serde_json::json!({ "package": "wpad-basic-mbedtls", "radius": false }));
    assert_eq!(status["radios"][1]["band"], "5g");
    assert_eq!(status["radios"][0]["country"], Value::Null);
    assert_eq!(status["radios"][0]["ssids"][0]["section"], "default_radio0");
    assert_eq!(status["networks"], serde_json::json!(["lan", "wan", "wan6"]));
    assert_eq!(status["bridges"][0]["vlan_filtering"], false);
    assert_eq!((&status["pending"], &status["latchkey"]["enabled"]), (&Value::Null, &false.into()));
    assert!(status["troubles"][0].as_str().unwrap().starts_with("radio0, radio1 have no option country"));
    assert!(here.refused("plan --ssid Home --radio radio0", "country").contains("--country DE"));

    let here = Router::new("23.05-dsa");
    let status = here.ok("status");
    assert_eq!((&status["generator"], &status["wpad"]["radius"]), (&"shell".into(), &true.into()));
    assert_eq!(status["bridges"][0]["vlan_filtering"], true);
    assert_eq!(status["bridges"][0]["ports"].as_array().unwrap().len(), 4);
    let lines = String::from_utf8(here.run("status").stdout).unwrap();
    assert!(lines.contains("Guests (sae-mixed) -> guest"), "{lines}");

    let bare = tempfile::tempdir().unwrap();
    let here = Router { dir: bare, before: BTreeMap::new() };
    assert!(here.refused("status", "not_openwrt").contains("this is for OpenWrt"));
    assert!(here.refused("plan --profile iot", "not_openwrt").contains("this is for OpenWrt"));
}

#[test]
fn nobody_is_locked_out() {
    for fixture in FRESH {
        let here = Router::new(fixture);
        let why = here.refused("apply --profile iot --bridge br-lan --port lan4:t", "lockout");
        assert!(why.contains("would cut off everybody behind it, you perhaps included"), "{why}");
        here.is_as_before(fixture);
        assert!(here.log().is_empty());
    }
    for fixture in VLANS {
        let here = Router::new(fixture);
        assert!(
            here.refused("plan --profile iot --bridge br-lan --port lan1", "taken").contains("untagged port of VLAN 1")
        );
        assert!(
            here.refused("plan --ssid Guests --radio radio0", "taken")
                .contains("radio1 has a network 'Guests' already")
        );
        // Sections of others stay as they are, whatever is done.
        here.apply("--profile iot --bridge br-lan --port lan4:t");
        let (old, new) = (String::from_utf8_lossy(&here.before["network"]).into_owned(), here.text("network"));
        assert!(new.starts_with(&old), "{new}");
    }
}

#[test]
fn latchkey_comes_before_hostapd_is_told() {
    let here = Router::new("24.10-default");
    here.ok("apply --profile iot");
    assert_eq!(here.log(), "latchkey enable\nlatchkey restart\nreload 2\n");
    let links = fs::read_to_string(here.path("links")).unwrap();
    assert_eq!(links, "0\n", "the link without which nobody undoes it at boot is there before the first file");
    here.ok("undo");
    assert_eq!(here.log(), "latchkey enable\nlatchkey restart\nreload 2\nlatchkey stop\nlatchkey disable\nreload 0\n");
    here.is_as_before("undone");
}

#[test]
fn what_nobody_confirms_is_undone() {
    let here = Router::new("24.10-dsa");
    let result = here.ok("apply --profile iot --undo-after 1");
    assert!(result["undo_in_s"].as_u64().unwrap() <= 1, "{result}");
    assert_eq!(here.ok("status")["pending"]["what"], result["summary"]);
    eventually("it is undone", || here.files() == here.before);
    eventually("the system is told", || here.log().ends_with("reload 0\n"));
    eventually("nothing is left", || here.state() == ["lock"]);
    let why = here.refused("confirm", "not_pending");
    assert!(why.contains("undone because nobody did in time"), "{why}");
    here.refused("undo", "not_pending");
}

#[test]
fn what_is_confirmed_stays() {
    let here = Router::new("24.10-dsa");
    here.ok("apply --profile iot --undo-after 2");
    assert!(here.refused("apply --profile cams", "pending").contains("latchkey openwrt confirm"));
    here.ok("confirm");
    assert_eq!(here.state(), ["lock", "record.json"]);
    let applied = here.files();
    std::thread::sleep(Duration::from_secs(5));
    assert!(here.files() == applied, "the watchdog leaves it alone");
    let modes = |name: &str| fs::metadata(here.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((modes("etc/latchkey-openwrt"), modes("etc/latchkey-openwrt/record.json")), (0o700, 0o600));
}

#[test]
fn the_plan_that_was_shown_or_none() {
    let here = Router::new("24.10-dsa");
    let shown = here.ok("plan --profile iot");
    let fingerprint = shown["fingerprint"].as_str().unwrap();
    assert!(
        here.refused("apply --profile cams --fingerprint 0123456789abcdef", "changed")
            .contains("look at the plan again")
    );
    here.change("network", "192.168.1.1", "10.0.20.1");
    here.refused(&format!("apply --profile iot --fingerprint {fingerprint}"), "changed");
    here.change("network", "10.0.20.1", "192.168.1.1");
    assert_eq!(here.ok(&format!("apply --profile iot --fingerprint {fingerprint}"))["applied"], true);
}

#[test]
fn what_somebody_else_changes_meanwhile_stays() {
    let here = Router::new("24.10-dsa");
    here.ok("apply --ssid Home --take-over");
    here.change("network", "option ula_prefix 'fd3d:55a1:72b0::/48'", "option ula_prefix 'fd00:1::/48'");
    here.change("wireless", "option channel '6'", "option channel '11'");
    let undone = here.ok("undo");
    let notes: Vec<&str> = undone["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap()).collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert_eq!(notes[0], "somebody else changed /etc/config/network since: that stays, only ours is taken back");
    here.change("network", "option ula_prefix 'fd00:1::/48'", "option ula_prefix 'fd3d:55a1:72b0::/48'");
    here.change("wireless", "option channel '11'", "option channel '6'");
    here.is_as_before("but for that");

    // The same after it was confirmed.
    here.apply("--ssid Home --take-over");
    here.change("wireless", "option channel '6'", "option channel '11'");
    here.change("latchkey", "config profile 'iot'", "config profile 'new'\n\noption vlan '77'\n\nconfig profile 'iot'");
    here.ok("remove");
    here.ok("confirm");
    here.change("wireless", "option channel '11'", "option channel '6'");
    here.change("latchkey", "config profile 'new'\n\noption vlan '77'\n\n", "");
    here.is_as_before("but for that, too");
}

/// As `uci commit` writes a file: everything in single quotes, one empty line before each section and one at the end.
fn by_uci(text: &str) -> String {
    let mut new = String::new();
    let document = latchkey::wire::uci::parse(text.as_bytes());
    for section in &document.sections {
        new.push_str(&format!("\nconfig {}", section.kind));
        if let Some(name) = &section.name {
            new.push_str(&format!(" '{name}'"));
        }
        new.push('\n');
        for entry in &section.entries {
            let value = String::from_utf8_lossy(entry.value.octets()).replace('\'', "'\\''");
            new.push_str(&format!("\t{} {} '{value}'\n", if entry.list { "list" } else { "option" }, entry.name));
        }
    }
    new + "\n"
}

#[test]
fn what_luci_wrote_anew_is_removed_as_well() {
    for fixture in FRESH.into_iter().chain(VLANS) {
        for words in wishes(fixture) {
            let here = Router::new(fixture);
            here.apply(words);
            for (name, text) in here.files() {
                fs::write(here.path("etc/config").join(name), by_uci(std::str::from_utf8(&text).unwrap())).unwrap();
            }
            assert_eq!(here.ok("plan")["empty"], true, "{fixture}: {words}");
            here.ok("remove");
            here.ok("confirm");
            for (name, text) in &here.before {
                let expected = by_uci(std::str::from_utf8(text).unwrap());
                assert_eq!(by_uci(&here.text(name)), expected, "{fixture}: {words}: {name}");
                assert!(here.text(name).ends_with("\n\n"), "{fixture}: {words}: {name}");
            }
        }
    }
}

#[test]
fn an_upgrade_of_the_release_is_planned_anew() {
    let here = Router::new("23.05-default");
    here.apply("--ssid Home --radio radio0 --country DE");
    // With the full package it asks over RADIUS from then on.
    let next = Router::new("25.12-dsa");
    for file in ["etc/openwrt_release", "lib/apk/db/installed", "usr/share/ucode/wifi/ap.uc"] {
        fs::create_dir_all(here.path(file).parent().unwrap()).unwrap();
        fs::copy(next.path(file), here.path(file)).unwrap();
    }
    let plan = here.ok("plan");
    assert_eq!(plan["summary"], serde_json::json!(["SSID Home (WPA2) on radio0: hostapd asks latchkey over RADIUS"]));
    here.apply("");
    assert!(here.text("wireless").contains("\toption ppsk '1'\n"));
    assert_eq!(here.ok("plan")["empty"], true);
    here.ok("remove");
    here.ok("confirm");
    here.is_as_before("removed");
}

#[test]
fn how_the_last_change_ended() {
    let here = Router::new("24.10-dsa");
    assert_eq!(here.ok("status")["last"], Value::Null);
    let id = here.ok("apply --profile iot")["id"].clone();
    assert!(id.is_string());
    assert_eq!(here.ok("status")["pending"]["id"], id);
    let confirmed = here.ok("confirm");
    assert_eq!(here.ok("confirm"), confirmed, "the first answer may have been lost");
    let last = here.ok("status")["last"].clone();
    assert_eq!((&last["id"], &last["ended"], &last["why"]), (&id, &"kept".into(), &"confirmed".into()));
    let id = here.ok("apply --profile cams")["id"].clone();
    here.ok("undo");
    let last = here.ok("status")["last"].clone();
    assert_eq!((&last["id"], &last["ended"], &last["why"]), (&id, &"undone".into(), &"asked".into()));
    assert!(here.refused("confirm", "not_pending").contains("it was undone already"));
}

#[test]
fn removed_for_good() {
    let here = Router::new("24.10-dsa");
    here.apply("--ssid Home --take-over");
    let removed = here.ok("remove --final");
    assert_eq!((&removed["applied"], &removed["undo_in_s"]), (&true.into(), &Value::Null));
    here.is_as_before("nobody has to confirm it");
    assert_eq!(here.state(), ["lock"]);
    assert!(here.log().ends_with("reload 0\n"), "{}", here.log());
    here.refused("undo", "not_pending");
    here.apply("--ssid Home --take-over");
    let shown = String::from_utf8(here.run("remove --final").stdout).unwrap();
    let expected = "- network lk_iot goes, with its DHCP and firewall zone\n\
                    - network lk_cams goes, with its DHCP and firewall zone\n\
                    - SSID Home goes\n\
                    - the network 'Home' that radio0 had is switched on again\n\
                    - the network 'Home' that radio1 had is switched on again\n\
                    \n\
                    note: Wi-Fi of radio0, radio1 restarts: its devices are away for some seconds\n\
                    \n\
                    Done, and it stays.\n";
    assert_eq!(shown, expected);
}
