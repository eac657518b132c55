//! What the scripts of the OpenWrt package do on a router.

use super::Packed;
use super::ipk::Ipk;
use super::shell::{Router, Shell};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

/// The program writes down how it was called, and makes a key file as root would.
const PROGRAM: &str = "#!/bin/sh
echo \"latchkey $*\" >>/tmp/calls
[ \"$1\" != check ] || [ ! -e /tmp/wrong ] || { cat /tmp/wrong >&2; exit 1; }
[ \"$1\" = prepare ] || exit 0
mkdir -p /var/run/latchkey/psk
[ -e /var/run/latchkey/psk/home ] || { echo >/var/run/latchkey/psk/home; chown root:network /var/run/latchkey/psk/home; }
[ ! -e /tmp/complaint ] || { cat /tmp/complaint >&2; exit 1; }
";

const FUNCTIONS: &str = "
group_exists() { grep -q \"^$1:\" /etc/group; }
user_exists() { grep -q \"^$1:\" /etc/passwd; }
group_add_user() { echo \"group_add_user $*\" >>/tmp/calls; }
";

/// The package on a router whose user may be unprivileged.
fn router() -> Router {
    let packed = Packed::new(&["x86_64"]);
    let ipk = Ipk::read(&packed.file("openwrt/x86_64/latchkey_0.1.0-r1_x86_64.ipk"));
    let router = Router::new();
    router.unpack(&ipk.data, &[]);
    for name in ["preinst", "prerm-pkg", "postrm"] {
        router.write(&format!("control/{name}"), ipk.script(name), 0o755);
    }
    router.write("usr/sbin/latchkey", PROGRAM, 0o755);
    router.write("etc/rc.common", include_str!("router/rc.common"), 0o755);
    router.write("lib/functions.sh", FUNCTIONS, 0o644);
    router.write(
        "etc/config/system",
        "config system\n\toption hostname 'ap'\n\toption timezone 'CET-1CEST,M3.5.0'\n",
        0o644,
    );
    for program in ["sbin/ujail", "usr/sbin/nft"] {
        router.write(program, "", 0o755);
    }
    router
}

fn enable(router: &Router) {
    let config = router.read("etc/config/latchkey");
    router.write("etc/config/latchkey", &config.replace("option enabled '0'", "option enabled '1'"), 0o644);
}

/// Runs a command of the init script; what it called.
fn init(router: &Router, shell: &mut Shell, command: &str) -> Vec<String> {
    router.write("tmp/calls", "", 0o644);
    shell.done(&format!("/etc/init.d/latchkey {command}"));
    router.read("tmp/calls").lines().map(str::to_owned).collect()
}

/// Mode, owner, group.
fn rights(router: &Router, path: &str) -> (u32, u32, u32) {
    let metadata = fs::metadata(router.path(path)).unwrap_or_else(|why| panic!("{path}: {why}"));
    (metadata.permissions().mode() & 0o7777, metadata.uid(), metadata.gid())
}

const PREPARE: &str = "latchkey prepare --config /etc/config/latchkey";
const CHECK: &str = "latchkey check --config /etc/config/latchkey";
const TRIGGERS: &str = "add_reload_trigger latchkey system";

#[test]
fn it_starts_unprivileged_in_a_jail() {
    let router = router();
    let mut shell = router.shell();
    assert_eq!(
        shell.done("/etc/init.d/latchkey levels"),
        "18 22 1",
        "before wpad (19), after it when everything stops"
    );
    enable(&router);
    router.write("etc/latchkey/registry.db", "devices", 0o644);
    router.write("etc/latchkey-openwrt/record.json", "{}", 0o600);
    router.write("tmp/resolv.conf.d/resolv.conf.auto", "", 0o644);
    let calls = init(&router, &mut shell, "start");
    assert_eq!(
        calls,
        [
            "service",
            PREPARE,
            CHECK,
            "open_instance",
            "set_param command /usr/sbin/latchkey serve --config /etc/config/latchkey",
            "set_param respawn 3600 5 0",
            "set_param term_timeout 10",
            "set_param stdout 1",
            "set_param stderr 1",
            "set_param env TZ=CET-1CEST,M3.5.0",
            "set_param user latchkey",
            "set_param group latchkey",
            "set_param capabilities /etc/capabilities/latchkey.json",
            "set_param no_new_privs 1",
            "add_jail latchkey procfs sysfs",
            "add_jail_mount /var/run/ubus",
            "add_jail_mount /usr/sbin/nft",
            "add_jail_mount_rw /var/run/hostapd",
            "add_jail_mount /tmp/resolv.conf.d",
            "add_jail_mount_rw /var/run/latchkey /etc/latchkey /etc/config",
            "close_instance",
            TRIGGERS,
            "end",
        ]
    );
    assert_eq!(rights(&router, "etc/config/latchkey"), (0o600, 1001, 1001), "it edits its configuration");
    assert_eq!(rights(&router, "etc/config/system"), (0o644, 0, 0), "and nothing else there");
    assert_eq!(rights(&router, "etc/latchkey"), (0o700, 1001, 1001));
    assert_eq!(rights(&router, "etc/latchkey/registry.db"), (0o644, 1001, 1001));
    assert_eq!(rights(&router, "etc/latchkey-openwrt/record.json"), (0o600, 0, 0), "root acts on this");
    for folder in ["var/run/latchkey", "var/run/latchkey/psk"] {
        assert_eq!(rights(&router, folder), (0o711, 1001, 1001), "{folder}: it replaces key files, hostapd may pass");
    }
    assert_eq!(rights(&router, "var/run/latchkey/psk/home").2, 101, "hostapd's group reads it");
    assert_eq!(rights(&router, "var/run/hostapd"), (0o755, 101, 101), "made as wpad makes it: the jail needs it");
    for line in router.read("etc/capabilities/latchkey.json").lines().filter(|line| line.contains('[')) {
        assert!(line.contains("[ \"CAP_NET_ADMIN\" ]"), "one capability: {line}");
    }

    // What is right is not touched: no write to flash at each boot.
    let changed = |path: &str| {
        let metadata = fs::metadata(router.path(path)).unwrap();
        (metadata.ctime(), metadata.ctime_nsec())
    };
    let files = ["etc/config/latchkey", "etc/latchkey", "etc/latchkey/registry.db", "var/run/latchkey/psk/home"];
    let before = files.map(changed);
    init(&router, &mut shell, "start");
    assert_eq!(files.map(changed), before);
}

#[test]
fn without_a_jail_it_runs_as_wpad_does() {
    let router = router();
    let mut shell = router.shell();
    enable(&router);
    fs::remove_file(router.path("sbin/ujail")).unwrap();
    fs::remove_file(router.path("etc/config/system")).unwrap();
    let calls = init(&router, &mut shell, "start");
    assert_eq!(
        calls,
        [
            "service",
            PREPARE,
            CHECK,
            "open_instance",
            "set_param command /usr/sbin/latchkey serve --config /etc/config/latchkey",
            "set_param respawn 3600 5 0",
            "set_param term_timeout 10",
            "set_param stdout 1",
            "set_param stderr 1",
            "close_instance",
            TRIGGERS,
            "end",
        ]
    );
}

#[test]
fn disabled_it_says_so_and_does_not_start() {
    let router = router();
    let mut shell = router.shell();
    let told = "logger -t latchkey -p daemon.notice: not started: option enabled in /etc/config/latchkey is not 1; \
                LuCI's Setup and latchkey openwrt apply set it";
    assert_eq!(init(&router, &mut shell, "start"), ["service", PREPARE, told, TRIGGERS, "end"]);
    assert_eq!(rights(&router, "etc/config/latchkey"), (0o600, 0, 0), "as it was installed");

    // A configuration of before there was such an option: it ran, so it runs.
    let config = router.read("etc/config/latchkey").replace("\toption enabled '0'\n", "");
    router.write("etc/config/latchkey", &config, 0o600);
    assert!(init(&router, &mut shell, "start").contains(&"open_instance".to_owned()));

    // No configuration: no service, no file made.
    fs::remove_file(router.path("etc/config/latchkey")).unwrap();
    assert_eq!(init(&router, &mut shell, "start"), ["service", PREPARE, told, TRIGGERS, "end"]);
    assert!(!router.path("etc/config/latchkey").exists());

    // What prepare complains about is in syslog.
    router.write("tmp/complaint", "line 3: something\n", 0o644);
    let calls = init(&router, &mut shell, "start");
    assert!(calls.contains(&"logger -t latchkey -p daemon.warn: line 3: something".to_owned()), "{calls:?}");
}

/// procd would start it for ever: it ends at once.
#[test]
fn a_wrong_configuration_is_not_started_and_stops_nobody() {
    let router = router();
    let mut shell = router.shell();
    enable(&router);
    for name in ["wrong", "complaint"] {
        router.write(&format!("tmp/{name}"), "line 3: something\n", 0o644);
    }
    let why = "logger -t latchkey -p daemon.warn: line 3: something";
    let told = "logger -t latchkey -p daemon.err: not started: /etc/config/latchkey is wrong; /etc/init.d/latchkey check \
                says where";
    let refused = ["service", PREPARE, why, CHECK, told, TRIGGERS, "end"];
    assert_eq!(init(&router, &mut shell, "start"), refused, "the next commit starts it");
    assert_eq!(init(&router, &mut shell, "reload"), refused);

    // Running, it goes on with what it has: procd is told nothing, the daemon reads the file and says what is wrong.
    router.write("tmp/running", "", 0o644);
    chown(router.path("etc/config/latchkey"), Some(0), Some(0)).unwrap();
    assert_eq!(init(&router, &mut shell, "reload"), [CHECK, "send_signal latchkey"]);
    assert_eq!(rights(&router, "etc/config/latchkey"), (0o600, 1001, 1001), "it can read it");

    // A key file that could not be made is no reason not to start.
    fs::remove_file(router.path("tmp/wrong")).unwrap();
    let calls = init(&router, &mut shell, "start");
    assert!(calls.contains(&why.to_owned()) && calls.contains(&"open_instance".to_owned()), "{calls:?}");
}

#[test]
fn after_a_commit_it_owns_its_configuration_again() {
    let router = router();
    let mut shell = router.shell();
    enable(&router);
    init(&router, &mut shell, "start");

    // uci commit: another file, of root.
    chown(router.path("etc/config/latchkey"), Some(0), Some(0)).unwrap();
    router.write("tmp/running", "", 0o644);
    let calls = init(&router, &mut shell, "reload");
    assert_eq!(rights(&router, "etc/config/latchkey"), (0o600, 1001, 1001));
    assert_eq!(calls.last().map(String::as_str), Some("send_signal latchkey"), "procd's default is SIGHUP: {calls:?}");
    assert!(calls.contains(&"open_instance".to_owned()), "procd compares whether it has to be started anew: {calls:?}");

    // Switched on by that commit: it is starting, and a signal at that moment would end it.
    fs::remove_file(router.path("tmp/running")).unwrap();
    let calls = init(&router, &mut shell, "reload");
    assert_eq!(calls.last().map(String::as_str), Some("end"), "{calls:?}");
}

#[test]
fn at_boot_what_nobody_confirmed_is_undone_first() {
    let router = router();
    let mut shell = router.shell();
    let calls = init(&router, &mut shell, "boot");
    assert_eq!(calls[..3], ["latchkey openwrt undo --at-boot", "service", PREPARE]);
    let calls = init(&router, &mut shell, "check");
    assert_eq!(calls, [CHECK]);
}

/// The daemon can write to its configuration and to its folders: what root does there must not reach anything else.
#[test]
fn root_gives_away_nothing_else() {
    let router = router();
    let mut shell = router.shell();
    enable(&router);
    let config = router.read("etc/config/latchkey");
    let with = |dir: &str| {
        let config = config.replace("option enabled '1'", &format!("option enabled '1'\n\toption state_dir '{dir}'"));
        router.write("etc/config/latchkey", &config, 0o600);
    };
    let warned = |calls: &[String]| calls.iter().any(|call| call.contains("daemon.warn: the daemon cannot write to"));
    router.write("www/latchkey/page.js", "not ours", 0o644);
    with("/www/latchkey");
    let calls = init(&router, &mut shell, "start");
    assert!(warned(&calls), "{calls:?}");
    assert_eq!((rights(&router, "www/latchkey").1, rights(&router, "www/latchkey/page.js").1), (0, 0));
    with("/etc/hotplug.d/new");
    assert!(warned(&init(&router, &mut shell, "start")));
    assert!(!router.path("etc/hotplug.d").exists(), "nor is a folder made for it");

    // The administrator's own choice.
    shell.done("mkdir -p /mnt/usb/data; chown latchkey:latchkey /mnt/usb/data");
    with("/mnt/usb/data");
    let calls = init(&router, &mut shell, "start");
    assert!(!warned(&calls), "{calls:?}");
    assert!(calls.contains(&"add_jail_mount_rw /var/run/latchkey /mnt/usb/data /etc/config".to_owned()), "{calls:?}");

    // In what is its own already, links and folders are not followed; what the administrator laid there is given.
    router.write("etc/config/network", "", 0o600);
    shell.done("cd /etc/latchkey; mkdir pki; ln -s /etc/config pki/config; ln -s /etc/config/network link; chown -h latchkey pki link");
    for name in ["ca.pem", "pki/deep.pem"] {
        router.write(&format!("etc/latchkey/{name}"), "", 0o600);
    }
    init(&router, &mut shell, "start");
    assert_eq!(rights(&router, "etc/config/network").1, 0);
    assert_eq!(rights(&router, "etc/latchkey/ca.pem").1, 1001);
    assert_eq!(rights(&router, "etc/latchkey/pki/deep.pem").1, 0);

    // After a restored backup all is root's, and all is given.
    shell.done("chown -R root:root /etc/latchkey");
    init(&router, &mut shell, "start");
    for (name, owner) in
        [("latchkey", 1001), ("latchkey/pki", 1001), ("latchkey/pki/deep.pem", 1001), ("config/network", 0)]
    {
        assert_eq!(rights(&router, &format!("etc/{name}")).1, owner, "{name}");
    }
}

#[test]
fn the_secret_is_made_once() {
    let router = router();
    let mut shell = router.shell();
    let defaults = "killall() { echo \"killall $*\" >>/tmp/calls; }; . /etc/uci-defaults/80-latchkey";
    let shipped = router.read("etc/config/latchkey");
    let secret = |text: &str| -> String {
        let (_, rest) = text.split_once("config client 'local'\n\toption secret '").expect("a secret");
        rest.split_once('\'').unwrap().0.to_owned()
    };

    shell.done(defaults);
    let made = router.read("etc/config/latchkey");
    let first = secret(&made);
    assert!(first.len() == 48 && first.bytes().all(|octet| octet.is_ascii_hexdigit()), "{first}");
    assert_eq!(made.replace(&format!("\toption secret '{first}'\n"), ""), shipped, "nothing else changed");
    assert_eq!(rights(&router, "etc/config/latchkey"), (0o600, 0, 0));
    assert_eq!(router.read("tmp/calls"), "group_add_user network latchkey\nkillall -HUP ubusd\n");
    let parsed = latchkey::config::Config::parse(made.as_bytes());
    assert!(parsed.is_ok(), "{:?}", parsed.err());

    shell.done(defaults);
    assert_eq!(router.read("etc/config/latchkey"), made, "after an upgrade it is the same");

    // As uci writes it, with a secret of the administrator's own, and another client before it.
    let own = "\nconfig client 'other'\n\toption address '10.0.0.2'\n\nconfig client 'local'\n\toption address '127.0.0.1'\n\toption secret 'my own'\n";
    router.write("etc/config/latchkey", own, 0o600);
    shell.done(defaults);
    assert_eq!(router.read("etc/config/latchkey"), own);

    // Another section's secret is not this one's.
    let between = "config client 'other'\n\toption secret 'theirs'\n\nconfig client 'local'\n\toption address '127.0.0.1'\n\nconfig realm 'acme'\n\toption secret 'theirs'";
    router.write("etc/config/latchkey", between, 0o600);
    shell.done(defaults);
    let made = router.read("etc/config/latchkey");
    assert_ne!(secret(&made), first, "another one each time");
    assert!(made.ends_with("config realm 'acme'\n\toption secret 'theirs'\n"), "{made}");

    // No octets at random, then no room: no secret, nothing half done, and it is run again at the next boot.
    router.write("etc/config/latchkey", &shipped, 0o600);
    let full = "cp /etc/config/latchkey /tmp/shipped; mount -t tmpfs -o size=4k none /etc/config; cp /tmp/shipped /etc/config/latchkey";
    for trouble in ["dd() { return 1; }", full] {
        let logger = "logger() { echo \"logger $*\" >>/tmp/calls; }";
        router.write("tmp/calls", "", 0o644);
        let line = format!(
            "{trouble}\n{logger}\n{defaults}\necho $? >/tmp/status\nls -A /etc/config >/tmp/list\n\
                            cat /etc/config/latchkey >/tmp/now\numount /etc/config 2>/dev/null; true"
        );
        shell.done(&line);
        assert_eq!(router.read("tmp/status"), "1\n", "{trouble}");
        assert_eq!(router.read("tmp/now"), shipped, "{trouble}");
        assert!(!router.read("tmp/list").contains("new"), "{trouble}: {}", router.read("tmp/list"));
        assert!(router.read("tmp/calls").contains("daemon.err no secret for hostapd"), "{}", router.read("tmp/calls"));
        assert!(router.read("tmp/calls").contains("killall -HUP ubusd"), "the rest is done");
    }
    shell.done(defaults);
    assert_eq!(secret(&router.read("etc/config/latchkey")).len(), 48);

    // The administrator removed the client, or everything.
    router.write("etc/config/latchkey", "config latchkey 'main'\n", 0o600);
    shell.done(defaults);
    assert_eq!(router.read("etc/config/latchkey"), "config latchkey 'main'\n");
    fs::remove_file(router.path("etc/config/latchkey")).unwrap();
    shell.done(defaults);
    assert!(!router.path("etc/config/latchkey").exists());
}

#[test]
fn upgrades_and_removal() {
    let router = router();
    let mut shell = router.shell();
    let mut run = |line: &str| {
        router.write("tmp/calls", "", 0o644);
        fs::create_dir_all(router.path("var/run/latchkey")).unwrap();
        let said = shell.done(line);
        (said, router.read("tmp/calls"), router.path("var/run/latchkey").exists())
    };
    let nothing = (String::new(), String::new(), true);
    assert_eq!(run("/control/preinst upgrade").1, "stop\n", "the old program ends before it is replaced");
    assert_eq!(run("PKG_UPGRADE=1 /control/prerm-pkg"), nothing);
    assert_eq!(run("PKG_UPGRADE=1 /control/postrm"), nothing);
    for script in ["preinst", "prerm-pkg", "postrm"] {
        assert_eq!(
            run(&format!("IPKG_INSTROOT=/image /control/{script}")),
            nothing,
            "{script} into an image that is being made"
        );
    }

    let gone = "latchkey openwrt undo\nstop\nlatchkey firewall remove\n";
    assert_eq!(run("/control/prerm-pkg"), (String::new(), gone.into(), true));
    router.write("etc/config/network", "config interface 'lan'\n\nconfig interface 'lk_iot'\n", 0o644);
    let (said, calls, _) = run("/control/prerm-pkg");
    assert!(said.contains("were removed"), "what became of them: {said}");
    assert_eq!(calls, gone.replace("undo\n", "undo\nlatchkey openwrt remove --final\n"));
    router.write("etc/latchkey/registry.db", "devices", 0o600);
    fs::create_dir_all(router.path("var/run/latchkey/psk")).unwrap();
    router.write("var/run/latchkey/latchkey.sock", "", 0o600);
    router.write("var/run/latchkey/psk/home", "", 0o640);
    run("/control/postrm");
    assert!(!router.path("var/run/latchkey/latchkey.sock").exists(), "what was in memory is gone");
    assert!(router.path("var/run/latchkey/psk/home").exists(), "but hostapd still wants its key file");
    assert_eq!(router.read("etc/latchkey/registry.db"), "devices", "the devices are not");
    fs::remove_file(router.path("etc/latchkey/registry.db")).unwrap();
    run("/control/postrm");
    assert!(!router.path("etc/latchkey").exists(), "nor is an empty folder left");

    // A first installation: there is nothing to stop.
    fs::remove_file(router.path("etc/init.d/latchkey")).unwrap();
    assert_eq!(run("/control/preinst install"), nothing);
}
