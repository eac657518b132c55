//! `latchkey openwrt` when something goes wrong: power cuts, kills, damaged files, scripts and daemons that do not do as they
//! should, and files that somebody else has put where root acts on them.

use super::*;

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
    slow(25);
    let begun = Instant::now();
    let warnings = here.ok("apply --profile iot")["warnings"].to_string();
    assert!(begun.elapsed() < Duration::from_secs(24), "{:?}", begun.elapsed());
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

/// What cannot be taken back is said, also when somebody put a section of his own beside ours.
#[test]
fn undone_but_for_what_somebody_else_did() {
    let here = Router::new("24.10-dsa");
    here.ok("apply --ssid Home --take-over");
    here.change("wireless", "option disabled '1'", "option disabled '0'");
    let theirs = "\nconfig wifi-iface 'lk_theirs'\n\toption device 'radio0'\n\toption ssid 'Theirs'\n";
    fs::write(here.path("etc/config/wireless"), here.text("wireless") + theirs).unwrap();
    let notes = here.ok("undo")["notes"].to_string();
    assert!(notes.contains("option disabled of wifi-iface default_radio0 was changed by somebody else"), "{notes}");
    assert!(!notes.contains("default_radio1"), "{notes}");
    let wireless = here.text("wireless");
    assert!(wireless.ends_with(theirs) && !wireless.contains("lk_home"), "{wireless}");
}
