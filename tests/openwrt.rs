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
fn the_power_goes() {
    let here = Router::new("25.12-dsa");
    here.ok("apply --ssid Home --take-over");
    assert_eq!(here.ok("undo --at-boot")["undone"], false, "it is the same boot: the watchdog sees to it");
    assert!(here.files() != here.before);
    fs::write(here.path("proc/sys/kernel/random/boot_id"), "second\n").unwrap();
    let log = here.log();
    assert_eq!(here.ok("status")["pending"]["undo_in_s"], 0);
    assert_eq!(here.ok("undo --at-boot")["undone"], true);
    here.is_as_before("after the power cut");
    assert_eq!(here.log(), log + "latchkey disable\n", "nothing runs yet that could be told");
    assert_eq!(here.ok("undo --at-boot")["undone"], false);
    assert!(here.run("undo --at-boot").stdout.is_empty());
    assert_eq!(here.state(), ["lock"]);
}

/// Whether it has come.
type Moment<'a> = &'a dyn Fn(&Router) -> bool;

/// Killed at any moment: at the next start everything is as before, or as it was to be when nothing had to be confirmed.
#[test]
fn killed_while_it_applies() {
    let moments: [(&str, Moment<'_>); 6] = [
        ("before anything", &|_| true),
        ("with the files kept", &|here| here.state().iter().any(|name| name.starts_with("pending"))),
        ("with the first file written", &|here| here.files()["network"] != here.before["network"]),
        ("with the firewall written", &|here| here.files()["firewall"] != here.before["firewall"]),
        ("with the last file written", &|here| here.files()["latchkey"] != here.before["latchkey"]),
        ("while the system is told", &|here| here.log().contains("restart")),
    ];
    let mut begun = 0;
    for (moment, reached) in moments {
        let here = Router::new("24.10-dsa");
        let mut child = Command::new(env!("CARGO_BIN_EXE_latchkey"))
            .args(["openwrt", "--root"])
            .arg(here.dir.path())
            .args(["apply", "--ssid", "Home", "--take-over"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !reached(&here) {
            assert!(Instant::now() < deadline, "{moment}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        begun += usize::from(here.files() != here.before);
        fs::write(here.path("proc/sys/kernel/random/boot_id"), "second\n").unwrap();
        here.ok("undo --at-boot");
        here.is_as_before(&format!("killed {moment}"));
        assert_eq!(here.ok("status")["managed"]["ssids"], serde_json::json!([]));
        // And it can be done again.
        here.ok("apply --profile iot");
        here.ok("undo");
        here.is_as_before("undone");
    }
    assert!(begun >= 4, "it was never in the middle");
}

/// A page's request is answered before rpcd kills the program (30 s), and LuCI loses patience (20 s).
#[test]
fn a_slow_system_does_not_hold_up_the_answer() {
    let here = Router::new("24.10-dsa");
    let root = here.dir.path().display();
    let slow = |seconds: u32| {
        let text = format!("#!/bin/sh\necho begun >> {root}/log\nsleep {seconds}\necho ended >> {root}/log\n");
        fs::write(here.path("sbin/reload_config"), text).unwrap();
    };
    slow(17);
    let begun = Instant::now();
    let warnings = here.ok("apply --profile iot")["warnings"].to_string();
    assert!(begun.elapsed() < Duration::from_secs(16), "{:?}", begun.elapsed());
    assert!(warnings.contains("the system needs longer than usual"), "{warnings}");
    assert!(here.log().ends_with("begun\n"));
    assert_eq!(here.ok("confirm")["confirmed"], true, "who confirms does not wait for it");
    eventually("it goes on", || here.log().ends_with("ended\n"));

    // Nor does it end when the program is killed: what was written is in force, and what was undone as well.
    slow(2);
    for words in [&["remove"][..], &["undo"]] {
        fs::write(here.path("log"), "").unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_latchkey"))
            .args(["openwrt", "--root"])
            .arg(here.dir.path())
            .args(words)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        eventually("it is told", || here.log().contains("latchkey "));
        child.kill().unwrap();
        child.wait().unwrap();
        eventually(words[0], || here.log().ends_with("begun\nended\n"));
    }
    assert!(here.text("network").contains("lk_iot"), "the removal was undone");
}

/// Who switches latchkey off at boot while a change waits gets it undone at boot all the same.
#[test]
fn the_power_goes_while_latchkey_is_switched_off() {
    let here = Router::new("24.10-dsa");
    let hook = here.path("etc/uci-defaults/zz-latchkey-undo");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    // As OpenWrt's own start script does it.
    let boots = || {
        fs::write(here.path("proc/sys/kernel/random/boot_id"), "second\n").unwrap();
        let script = format!("( . {0} ) && rm -f {0}", hook.display());
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
        assert!(!hook.exists());
    };
    here.ok("apply --profile iot");
    assert!(here.path("etc/rc.d/S18latchkey").exists());
    boots();
    assert!(here.files() != here.before, "it is left to latchkey's own script");
    assert_eq!(here.ok("undo --at-boot")["undone"], true);
    here.is_as_before("undone by it");

    fs::write(here.path("proc/sys/kernel/random/boot_id"), "first\n").unwrap();
    here.ok("apply --profile iot");
    fs::remove_file(here.path("etc/rc.d/S18latchkey")).unwrap();
    boots();
    here.is_as_before("undone");
    assert_eq!(here.state(), ["lock"]);

    for word in ["undo", "confirm"] {
        here.ok("apply --profile iot");
        assert!(hook.exists());
        here.ok(word);
        assert!(!hook.exists(), "nothing is left after {word}");
    }
}

/// What describes the change cannot be read: what was kept still can be put back, or the change be kept.
#[test]
fn a_damaged_description_is_no_dead_end() {
    let change = "etc/latchkey-openwrt/pending/change.json";
    let damaged = || {
        let here = Router::new("24.10-dsa");
        here.ok("apply --ssid Home --take-over");
        fs::write(here.path(change), "{\"id\":").unwrap();
        let status = here.ok("status");
        assert!(status["pending"]["what"][0].as_str().unwrap().contains("is damaged"), "{status}");
        here.refused("apply --profile cams", "pending");
        here
    };
    let here = damaged();
    here.ok("confirm");
    assert!(here.text("wireless").contains("lk_home_radio0"));
    here.ok("remove");
    here.ok("confirm");
    here.is_as_before("kept, and removed");

    let here = damaged();
    let undone = here.ok("undo");
    assert!(undone["notes"].to_string().contains("/etc/config/network is as it was before the change"), "{undone}");
    here.is_as_before("undone");
    here.apply("--ssid Home --take-over");
    here.ok("remove --final");
    here.is_as_before("and removed");

    // At the next start, without anybody; and a copy that is no whole file does not take the place of one.
    let here = damaged();
    fs::write(here.path("etc/latchkey-openwrt/pending/before.network"), "config interface 'lo\n").unwrap();
    fs::write(here.path("etc/latchkey-openwrt/pending/before.dhcp"), "").unwrap();
    let now = here.files();
    fs::write(here.path("proc/sys/kernel/random/boot_id"), "second\n").unwrap();
    assert_eq!(here.ok("undo --at-boot")["undone"], true);
    let then = here.files();
    for (name, text) in &here.before {
        let kept = matches!(name.as_str(), "network" | "dhcp");
        assert!(then[name] == if kept { now[name].clone() } else { text.clone() }, "{name}");
    }
}

#[test]
fn two_at_once() {
    let here = Router::new("24.10-dsa");
    fs::create_dir_all(here.path("etc/latchkey-openwrt")).unwrap();
    let lock = fs::File::create(here.path("etc/latchkey-openwrt/lock")).unwrap();
    lock.lock().unwrap();
    assert!(here.refused("apply --profile iot", "busy").contains("another change is being made"));
    here.is_as_before("busy");
    drop(lock);
    here.ok("apply --profile iot");
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
fn what_can_not_be_written_leaves_no_trace() {
    let here = Router::new("24.10-dsa");
    // As good as any reason that the last of the files cannot be written.
    fs::create_dir(here.path("etc/config/.latchkey.new")).unwrap();
    here.refused("apply --ssid Home --take-over", "not_written");
    fs::remove_dir(here.path("etc/config/.latchkey.new")).unwrap();
    here.is_as_before("refused");
    assert_eq!(here.state(), ["lock"]);
    assert_eq!(here.log(), "latchkey enable\nlatchkey disable\n", "nothing was in force");
    assert_eq!(here.ok("status")["pending"], Value::Null);
}

/// Root acts on what is in its folder, so it has to be its own.
#[test]
fn what_is_not_ours_is_not_acted_on() {
    let put = |here: &Router, name: &str, text: &str| {
        let path = here.path("etc/latchkey-openwrt").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let rights = |here: &Router, mode: u32| {
        fs::set_permissions(here.path("etc/latchkey-openwrt"), fs::Permissions::from_mode(mode)).unwrap();
    };
    let change = |file: &str, hash: &str| {
        format!(
            r#"{{"id":"x","boot":"other","until":0,"what":[],"files":[["{file}","{hash}"]],"record_before":{{}},
            "record_after":{{}},"was_enabled":true}}"#
        )
    };

    // A folder that somebody else could write to, or a link to one.
    let here = Router::new("24.10-dsa");
    put(&here, "pending/change.json", &change("network", ""));
    put(&here, "pending/before.network", "config evil 'x'\n");
    rights(&here, 0o777);
    for words in ["undo --at-boot", "undo", "confirm", "apply --profile iot", "remove", "status", "plan"] {
        if words == "status" {
            continue;
        }
        let why = here.refused(words, "system");
        assert!(why.contains("that nobody else can write to"), "{words}: {why}");
    }
    fs::rename(here.path("etc/latchkey-openwrt"), here.path("etc/elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", here.path("etc/latchkey-openwrt")).unwrap();
    assert!(here.refused("undo --at-boot", "system").contains("has to be a folder"));
    here.is_as_before("nothing of theirs");

    // Names that lead elsewhere.
    let here = Router::new("24.10-dsa");
    let script = fs::read(here.path("etc/init.d/latchkey")).unwrap();
    let hash: String = {
        use sha2::Digest;
        sha2::Sha256::digest(&script).iter().map(|octet| format!("{octet:02x}")).collect()
    };
    put(&here, "pending/change.json", &change("../init.d/latchkey", &hash));
    put(&here, "pending/before.../init.d/latchkey", "#!/bin/sh\nevil\n");
    rights(&here, 0o700);
    assert_eq!(here.ok("undo --at-boot")["undone"], true);
    assert_eq!(fs::read(here.path("etc/init.d/latchkey")).unwrap(), script);
    here.is_as_before("no file that plans change was named");

    // A pipe that nobody writes to does not hold up the start of the box, a link is not followed.
    let here = Router::new("24.10-dsa");
    here.ok("apply --profile iot");
    let record = here.path("etc/latchkey-openwrt/record.json");
    fs::remove_file(&record).unwrap();
    nix::unistd::mkfifo(&record, nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert!(here.refused("plan", "system").contains("no regular file"));
    let change = here.path("etc/latchkey-openwrt/pending/change.json");
    fs::rename(&change, here.path("aside")).unwrap();
    nix::unistd::mkfifo(&change, nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert!(here.refused("undo --at-boot", "system").contains("no regular file"));
    fs::remove_file(&change).unwrap();
    std::os::unix::fs::symlink(here.path("aside"), &change).unwrap();
    here.refused("undo --at-boot", "system");
}

/// What the program keeps is what the package names: it survives an upgrade of the system, and nothing else does.
#[test]
fn folders_are_those_of_the_package() {
    fn folders(of: &Path, below: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(of).unwrap().map(Result::unwrap).filter(|e| e.file_type().unwrap().is_dir()) {
            found.push(format!("/{}/", entry.path().strip_prefix(below).unwrap().display()));
            folders(&entry.path(), below, found);
        }
    }
    let makefile = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("openwrt/latchkey/Makefile")).unwrap();
    let conffiles =
        makefile.split("define Package/latchkey/conffiles\n").nth(1).unwrap().split("endef").next().unwrap();
    let here = Router::new("24.10-dsa");
    let (mut before, mut after) = (Vec::new(), Vec::new());
    folders(here.dir.path(), here.dir.path(), &mut before);
    here.ok("apply --profile iot");
    folders(here.dir.path(), here.dir.path(), &mut after);
    // That of the links is the stand-in's, and /var is in memory.
    let new = |name: &&String| !before.contains(name) && *name != "/etc/rc.d/" && !name.starts_with("/var/");
    let new: Vec<&String> = after.iter().filter(new).collect();
    assert!(new.len() >= 2, "{new:?}");
    for name in new {
        let kept = conffiles.lines().any(|line| line.ends_with('/') && name.starts_with(line));
        assert!(kept, "{name} is none of {conffiles}");
    }
}

#[test]
fn one_file_does_not_keep_the_others_from_being_put_back() {
    let here = Router::new("24.10-dsa");
    here.ok("apply --profile iot");
    let network = here.text("network");
    fs::write(here.path("etc/config/network"), network.clone() + "config 'broken\n").unwrap();
    let why = here.refused("undo", "not_written");
    assert!(why.contains("/etc/config/network"), "{why}");
    let now = here.files();
    for name in ["dhcp", "firewall", "latchkey"] {
        assert!(now[name] == here.before[name], "{name}");
    }
    assert!(here.log().contains("latchkey stop\nlatchkey disable\nreload "), "{}", here.log());
    assert!(here.ok("status")["pending"].is_object(), "it still waits");
    fs::write(here.path("etc/config/network"), network).unwrap();
    here.ok("undo");
    here.is_as_before("mended");
}

#[test]
fn the_watchdog_does_not_give_up() {
    let here = Router::new("24.10-dsa");
    let logger = here.path("usr/bin/logger");
    fs::create_dir_all(logger.parent().unwrap()).unwrap();
    fs::write(&logger, format!("#!/bin/sh\necho \"$5\" >> {}/syslog\n", here.dir.path().display())).unwrap();
    fs::set_permissions(&logger, fs::Permissions::from_mode(0o755)).unwrap();
    here.ok("apply --profile iot --undo-after 1");
    let network = here.text("network");
    fs::write(here.path("etc/config/network"), network.clone() + "config 'broken\n").unwrap();
    eventually("the others are put back", || here.files()["firewall"] == here.before["firewall"]);
    let syslog = || fs::read_to_string(here.path("syslog")).unwrap_or_default();
    eventually("it is said", || syslog().contains("/etc/config/network: "));
    // As if files could not be opened for a while.
    let rights = |mode: u32| {
        fs::set_permissions(here.path("etc/latchkey-openwrt"), fs::Permissions::from_mode(mode)).unwrap();
    };
    rights(0o777);
    std::thread::sleep(Duration::from_secs(2));
    fs::write(here.path("etc/config/network"), network).unwrap();
    rights(0o700);
    eventually("it is undone", || here.files() == here.before);
    eventually("and that is said", || syslog().contains("nobody confirmed it in time"));
    let last = here.ok("status")["last"].clone();
    assert_eq!((&last["ended"], &last["why"]), (&"undone".into(), &"timeout".into()));
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
fn half_a_change_is_not_kept() {
    let here = Router::new("24.10-dsa");
    here.ok("apply --profile iot");
    // As after a kill between two files.
    fs::remove_file(here.path("etc/latchkey-openwrt/pending/complete")).unwrap();
    assert!(here.refused("confirm", "incomplete").contains("latchkey openwrt undo"));
    here.ok("undo");
    here.is_as_before("undone");
    // A folder without a change in it does not stand in the way of the next.
    fs::create_dir(here.path("etc/latchkey-openwrt/pending")).unwrap();
    fs::write(here.path("etc/latchkey-openwrt/pending/before.network"), "").unwrap();
    here.apply("--profile iot");
}

#[test]
fn a_daemon_that_does_not_come_up_is_told() {
    let here = Router::new("24.10-dsa");
    fs::write(here.path("down"), "").unwrap();
    let result = here.ok("apply --ssid Home --take-over");
    let warnings = result["warnings"].to_string();
    assert!(warnings.contains("latchkey does not answer"), "{warnings}");
    let troubles = |here: &Router| here.ok("status")["troubles"].to_string();
    assert!(troubles(&here).contains("latchkey does not answer"));
    fs::remove_file(here.path("down")).unwrap();
    assert!(!troubles(&here).contains("latchkey does not answer"));
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
    assert!(shown.contains("- SSID Home goes\n") && shown.ends_with("Done, and it stays.\n"), "{shown}");
}
