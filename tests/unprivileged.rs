//! The daemon as a package runs it: a user of its own, hostapd's group, one capability, and no way to become more; its
//! configuration in a directory that it cannot write; in a jail, where there is nothing but what it needs.

mod support;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::geteuid;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::{Command, Output};
use std::time::Instant;
use support::cable::{Cable, DEVICE, authenticator_with, is_in, supplicant};
use support::eap::psk;
use support::{Daemon, Home, eventually};

/// The user, and its group.
const USER: u32 = 54_321;
/// hostapd's group: one that every system has.
const GROUP: &str = "daemon";

/// What ujail does by our init script (jail.c of procd: build_jail_fs): a root in memory with folders of the box's at their
/// places, its own /proc, /sys and /dev, and the first process of its own. $1 is the scratch directory, the rest is run.
const JAIL: &str = r#"
set -e
home=$1
shift
mount -t tmpfs none /mnt
cd /mnt
cp -P /bin /sbin /lib* .
mkdir dev etc proc sys usr
mkdir -p ".$home"
for folder in /usr "$home"; do mount --bind "$folder" ".$folder"; done
for file in /etc/passwd /etc/group /dev/null /dev/urandom; do
    : >".$file"
    mount --bind "$file" ".$file"
done
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
exec chroot . "$@"
"#;

/// A scratch directory as a package makes it. None when the test cannot be run.
fn home(more: &str) -> Option<Home> {
    if !geteuid().is_root() {
        eprintln!("SKIPPED: becoming another user needs root");
        return None;
    }
    let home = Home::new();
    fs::set_permissions(home.path(""), fs::Permissions::from_mode(0o711)).unwrap();
    for dir in ["state", "run"] {
        fs::create_dir(home.path(dir)).unwrap();
        own(&home, dir);
    }
    symlink("run/control.sock", home.path("control.sock")).unwrap();
    // Wherever the program is, the user may not get there.
    fs::copy(env!("CARGO_BIN_EXE_latchkey"), home.path("latchkey")).unwrap();
    home.configure(more);
    let config = fs::read_to_string(home.path("config")).unwrap();
    let config = config
        .replace("/control.sock'", "/run/control.sock'")
        .replace("option firewall 'off'", "option psk_group 'daemon'");
    fs::write(home.path("config"), format!("# Ours.\n{config}")).unwrap();
    fs::set_permissions(home.path("config"), fs::Permissions::from_mode(0o600)).unwrap();
    own(&home, "config");
    Some(home)
}

fn own(home: &Home, name: &str) {
    chown(home.path(name), Some(USER), Some(USER)).unwrap();
}

/// Starts the daemon as the user, in the network namespace of this thread.
fn start(home: &Home, groups: &str, capabilities: &str) -> Daemon {
    start_by(&[], home, groups, capabilities)
}

fn start_by(wrapper: &[&str], home: &Home, groups: &str, capabilities: &str) -> Daemon {
    let user = USER.to_string();
    let wrapper = [
        wrapper,
        &["setpriv", "--reuid", &user, "--regid", &user, "--groups", groups],
        &["--inh-caps", capabilities, "--ambient-caps", capabilities, "--bounding-set", capabilities, "--no-new-privs"],
    ]
    .concat();
    let daemon = home.spawn_program(&wrapper, home.path("latchkey").to_str().unwrap());
    drop(home.connect());
    daemon
}

fn start_as_packaged(home: &Home) -> Daemon {
    start(home, &format!("{USER},{GROUP}"), "-all,+net_admin")
}

fn start_in_jail(home: &Home) -> Daemon {
    let path = home.path("");
    let jail =
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", JAIL, "jail", path.to_str().unwrap()];
    start_by(&jail, home, &format!("{USER},{GROUP}"), "-all,+net_admin")
}

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn run(line: &str) -> String {
    let mut words = line.split(' ');
    shown(&Command::new(words.next().unwrap()).args(words).output().unwrap())
}

/// The troubles that `status` tells of, by what they are about.
fn trouble(home: &Home, about: &str) -> Option<String> {
    let status = home.call("status", json!({})).unwrap();
    let troubles = status["troubles"].as_array().unwrap();
    let found = troubles.iter().find(|trouble| trouble["about"] == about)?;
    Some(found["why"].as_str().unwrap().to_owned())
}

#[test]
fn everything_works_without_root() {
    everything_works(start_as_packaged);
}

/// hostapd is outside: its answers have to come in, and what is written here has to be there.
#[test]
fn everything_works_in_a_jail() {
    everything_works(start_in_jail);
}

fn everything_works(start: fn(&Home) -> Daemon) {
    let Some(cable) = Cable::new() else { return };
    let run_dir = |home: &Home| home.path("run/psk/barn");
    let Some(home) = home("config ssid 'cable'\n\toption security 'wired'\n") else { return };
    let config = fs::read_to_string(home.path("config")).unwrap();
    let more = format!(
        "config ssid 'barn'\n\toption ssid 'Barn'\n\toption backend 'psk-file'\n\toption psk_file '{}'\n",
        run_dir(&home).display()
    );
    fs::write(
        home.path("config"),
        config.replacen("config client", &format!("\toption bridges 'manage'\n{more}config client"), 1),
    )
    .unwrap();
    let hostapd = authenticator_with(&home, &format!("ctrl_interface_group={GROUP}\n"));
    let _daemon = start(&home);

    // nft and netlink.
    eventually("the firewall is loaded", || run("nft list tables").contains("inet latchkey").then_some(()));
    eventually("the bridge is made", || run("ip link show brvlan20").contains("state").then_some(()));
    // A key file for hostapd's group.
    let file = fs::metadata(run_dir(&home)).unwrap();
    let group = nix::unistd::Group::from_name(GROUP).unwrap().unwrap();
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o777), (USER, group.gid.as_raw(), 0o640));
    // A device on a real hostapd: RADIUS, and events over the control socket.
    let added = home.call("device_add", json!({ "name": "printer", "profile": "iot", "eap_psk": true })).unwrap();
    let field = |field: &str| added["eap_psk"][field].as_str().unwrap().to_owned();
    let supplicant = supplicant(&home, &cable, &psk(&field("identity"), &field("key")));
    is_in(&home);
    let station = || {
        let reply = home.call("stations", json!({})).unwrap();
        let found = reply["stations"].as_array().unwrap().iter().find(|station| station["mac"] == DEVICE)?;
        (found["device"] == "printer").then_some(())
    };
    eventually("hostapd tells of it", station);
    assert_eq!(home.call("status", json!({})).unwrap()["troubles"], json!([]), "{}", home.log());
    home.call("device_block", json!({ "name": "printer" })).unwrap();
    eventually("it is taken off", || station().is_none().then_some(()));
    drop((supplicant, hostapd));
}

#[test]
fn the_configuration_is_changed_in_place() {
    let Some(home) = home("") else { return };
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    run("ip link set lo up");
    let _daemon = start_as_packaged(&home);
    let path = home.path("config");
    let (before, inode) = (fs::read_to_string(&path).unwrap(), fs::metadata(&path).unwrap().ino());
    let text = || fs::read_to_string(&path).unwrap();
    let added = home.call("profile_add", json!({ "name": "tv", "vlan": 40, "access": "internet" })).unwrap();
    assert_eq!((&added["in_force"], &added["profile"]["vlan"]), (&json!(true), &json!(40)));
    let section = "\nconfig profile 'tv'\n\toption vlan '40'\n\toption access 'internet'\n\n";
    assert_eq!(text(), before.replacen("option vlan '30'\n", &format!("option vlan '30'\n{section}"), 1));
    home.call("device_add", json!({ "name": "tv", "profile": "tv" })).unwrap();
    let refused = home.call("profile_remove", json!({ "name": "tv" })).unwrap_err();
    assert_eq!(refused["code"], "in_use");
    home.call("device_remove", json!({ "name": "tv" })).unwrap();
    home.call("profile_set", json!({ "name": "tv", "vlan": 41 })).unwrap();
    assert!(text().contains("option vlan '41'"));
    home.call("profile_remove", json!({ "name": "tv" })).unwrap();
    assert_eq!(text(), before.replacen("option vlan '30'\n", "option vlan '30'\n\n", 1));
    let now = fs::metadata(&path).unwrap();
    assert_eq!((now.ino(), now.uid(), now.mode() & 0o777), (inode, USER, 0o600));
    assert!(!home.path("state/config.journal").exists());

    // Of somebody else: the mend is named, and whoever is root does it by the command line.
    chown(&path, Some(0), Some(0)).unwrap();
    let why = home.call("profile_add", json!({ "name": "tv" })).unwrap_err();
    assert!(why["message"].as_str().unwrap().contains("chown"), "{why}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let why = home.call("profile_add", json!({ "name": "tv" })).unwrap_err();
    let said = why["message"].as_str().unwrap();
    assert!(why["code"] == "not_written" && said.contains("it belongs to root") && said.contains("chown"), "{why}");
    let done = home.latchkey(&["profile", "add", "tv", "--vlan", "42"]);
    assert!(done.status.success(), "{}", shown(&done));
    let names: Vec<Value> = home.call("profile_list", json!({})).unwrap()["profiles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|profile| profile["name"].clone())
        .collect();
    assert_eq!(names, ["iot", "media", "tv"]);
}

#[test]
fn what_is_lacking_is_said_with_the_mend() {
    let more = "config ssid 'barn'\n\toption ssid 'Barn'\n\toption backend 'psk-file'\n";
    let Some(home) = home(more) else { return };
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    run("ip link set lo up");
    let path = home.path("config");
    let file = home.path("run/psk/barn");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}\toption psk_file '{}'\n", file.display())).unwrap();
    // As hostapd makes it.
    fs::create_dir(home.path("hostapd")).unwrap();
    let group = nix::unistd::Group::from_name(GROUP).unwrap().unwrap().gid.as_raw();
    chown(home.path("hostapd"), Some(0), Some(group)).unwrap();
    fs::set_permissions(home.path("hostapd"), fs::Permissions::from_mode(0o770)).unwrap();
    let _daemon = start(&home, &USER.to_string(), "-all");
    for (about, words) in [
        ("capabilities".to_owned(), &["NET_ADMIN", "/etc/init.d/latchkey"][..]),
        ("hostapd".into(), &["Permission denied", "its group is 'daemon'", "is not in it: add it"]),
        (format!("key file {}", file.display()), &["is not in the group 'daemon': add it"]),
        ("firewall".into(), &["CAP_NET_ADMIN"]),
    ] {
        let why = eventually(&about, || trouble(&home, &about));
        assert!(words.iter().all(|word| why.contains(word)), "{about}: {why}");
    }
    let status = shown(&home.latchkey(&["status"]));
    assert!(status.contains("Troubles") && status.contains("capabilities: "), "{status}");
    // It serves all the same.
    assert!(home.call("device_add", json!({ "name": "lamp" })).is_ok());
}

/// Edits that SIGKILL ends anywhere: after each, the file is one that was asked for.
#[test]
fn edits_that_are_killed() {
    let Some(home) = home("") else { return };
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    run("ip link set lo up");
    let path = home.path("config");
    // Long enough to be written in many pieces, each time with another length.
    let text = fs::read_to_string(&path).unwrap().replace("option psk_group 'daemon'", "option firewall 'off'");
    fs::write(&path, format!("{text}{}", "# what the administrator has to say\n".repeat(2000))).unwrap();
    // How long one takes that nobody disturbs.
    let daemon = start_as_packaged(&home);
    let began = Instant::now();
    home.call("profile_set", json!({ "name": "iot", "vlan": 7 })).unwrap();
    let whole = began.elapsed();
    daemon.terminate();
    let (mut known, mut interrupted, mut made) = (7, 0, 0);
    for round in 0..16 {
        let daemon = start_as_packaged(&home);
        let vlan = || home.call("profile_list", json!({})).unwrap()["profiles"][0]["vlan"].as_u64().unwrap();
        assert_eq!(vlan(), known);
        let asked = if known == 4000 { 7 } else { 4000 };
        let mut control = home.connect();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(whole * round / 8);
            daemon.kill();
        });
        let done = control.try_call("profile_set", json!({ "name": "iot", "vlan": asked }));
        killer.join().unwrap();
        let daemon = start_as_packaged(&home);
        let after = vlan();
        match done {
            Ok(done) => assert_eq!((&done.unwrap()["profile"]["vlan"], after), (&json!(asked), asked)),
            Err(_) => interrupted += 1,
        }
        assert!(after == known || after == asked, "{after}");
        made += u32::from(after == asked);
        known = after;
        assert!(fs::read_to_string(&path).unwrap().ends_with(&"# what the administrator has to say\n".repeat(2000)));
        assert!(!home.path("state/config.journal").exists());
        daemon.terminate();
    }
    let half_done = home.log().matches("was interrupted").count();
    println!("of 16 edits of {whole:?} {interrupted} were interrupted, {half_done} of them half way; {made} were made");
    assert!(interrupted > 0 && made > 0);
}
