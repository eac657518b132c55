//! The configuration as a whole: literal files, and that no secret shows in what is said about them.

mod eap;
mod latchkey;
mod profile;
mod realm;

use super::*;
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt;

/// Secrets that can be told from everything else.
const SECRET: &str = "SWQXK-JVZRP-RADIUS-9";
const ONBOARDING: &str = "ZQWVX-WPAKEY-7";

const FULL: &str = "\
config latchkey 'main'
	option state_dir '/etc/latchkey'
	option control_socket '/var/run/latchkey/latchkey.sock'
	option auth_listen '127.0.0.1:1812'
	list acct_listen '127.0.0.1:1813'
	list acct_listen '[::1]:1813'
	option log_level 'debug'
config client 'local'
	option address '127.0.0.1'
	option secret 'SWQXK-JVZRP-RADIUS-9'
config client 'lan'
	option address '127.0.0.0/24'
	option secret 'SWQXK-JVZRP-RADIUS-9'
	option message_authenticator 'optional'
config profile 'iot'
	option vlan '20'
	option access 'internet'
config profile 'guest'
	option vlan '30'
config ssid 'home'
	option ssid 'Home'
	option security 'mixed'
	option unknown 'quarantine'
	option quarantine_profile 'guest'
	option onboarding_key 'ZQWVX-WPAKEY-7'
";

const REALM: &str = "\
config realm 'acme'
	list realm 'acme.example'
	list server 'udp://192.0.2.8'
	option secret 'SWQXK-JVZRP-RADIUS-9'
	option profile 'guest'
";

fn parse(text: &str) -> Config {
    Config::parse(text).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn errors(text: &str) -> Vec<String> {
    Config::parse(text).unwrap_err().iter().map(|e| e.to_string()).collect()
}

/// A file with one section of each kind, in which one line is replaced (or, by an empty text, removed).
fn with(old: &str, new: &str) -> String {
    assert_eq!(FULL.matches(old).count(), 1, "{old}");
    FULL.replace(old, new)
}

#[test]
fn everything_is_read() {
    let config = parse(FULL);
    let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(config.main.state_dir, Path::new("/etc/latchkey"));
    assert_eq!(config.main.auth_listen, [loopback(1812)]);
    assert_eq!(config.main.acct_listen, [loopback(1813), "[::1]:1813".parse().unwrap()]);
    assert_eq!(config.main.log_level, LogLevel::Debug);
    assert_eq!(config.clients.len(), 2);
    assert_eq!(&*config.clients[0].name, "local");
    assert_eq!(config.clients[0].secret.expose(), SECRET.as_bytes());
    assert_eq!(config.clients[0].message_authenticator, MessageAuthenticator::Required);
    assert_eq!(config.clients[1].message_authenticator, MessageAuthenticator::Optional);
    let profile = |name: &str, vlan, access| Profile {
        name: name.into(),
        vlan: Some(vlan),
        access,
        allow: vec![],
        isolate: Isolate::Yes,
        hours: vec![],
        bridge: Some(format!("brvlan{vlan}").into()),
        addresses: vec![],
    };
    assert_eq!(config.profiles, [profile("iot", 20, Access::Internet), profile("guest", 30, Access::Isolated)]);
    let unknown = Unknown::Quarantine { profile: "guest".into(), onboarding_key: Passphrase::new(ONBOARDING).unwrap() };
    let home = Ssid {
        section: "home".into(),
        ssid: (*b"Home").into(),
        security: Security::Mixed,
        unknown,
        backend: Backend::Radius,
        psk_file: "/var/run/latchkey/psk/home".into(),
    };
    assert_eq!(config.ssids, [home]);
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn defaults() {
    assert_eq!(parse("config latchkey\n\toption hostapd_dir ''\n").main.hostapd_dir, None);
    let elsewhere = parse("config latchkey\n\toption hostapd_dir '/run/hostapd'\n").main.hostapd_dir;
    assert_eq!(elsewhere.as_deref(), Some(Path::new("/run/hostapd")));
    let config = parse("");
    assert_eq!(config.main.hostapd_dir.as_deref(), Some(Path::new("/var/run/hostapd")));
    assert_eq!(config.main.control_socket, Path::new("/var/run/latchkey/latchkey.sock"));
    assert_eq!(config.main.auth_listen, ["127.0.0.1:1812".parse().unwrap()]);
    assert_eq!(config.main.acct_listen, ["127.0.0.1:1813".parse().unwrap()]);
    assert_eq!(config.main.log_level, LogLevel::Info);
    assert_eq!(config.warnings.len(), 3);
    assert!(config.warnings.iter().all(|w| w.contains("add config ")), "{:?}", config.warnings);
    assert_eq!(config.default_profile(), None);
    // An empty value is no value, as `uci set x.y.z=''` has it.
    assert_eq!(parse("config latchkey\n option log_level ''\n").main, config.main);
    let ssid = &parse("config ssid\n option ssid Home\nconfig ssid\n option ssid Work\n").ssids[1];
    assert_eq!((ssid.security, &ssid.unknown, &*ssid.section), (Security::Wpa2, &Unknown::Reject, "@ssid[1]"));
}

#[test]
fn a_network_for_pairing_has_a_key_and_no_profile() {
    let text =
        |more: &str| format!("config profile iot\nconfig ssid\n option ssid Home\n option unknown pairing\n{more}");
    let config = parse(&text(" option onboarding_key 'ZQWVX-WPAKEY-7'\n"));
    let key = Passphrase::new(ONBOARDING).unwrap();
    assert_eq!(config.ssids[0].unknown, Unknown::Pairing { onboarding_key: key.clone() });
    assert_eq!(config.ssids[0].unknown.onboarding_key(), Some(&key));
    let warned = parse(&text(" option onboarding_key 'ZQWVX-WPAKEY-7'\n option quarantine_profile iot\n")).warnings;
    assert!(warned.iter().any(|w| w.contains("has no effect while unknown is 'pairing'")), "{warned:?}");
    let missing = Config::parse(text("")).unwrap_err();
    assert!(missing[0].to_string().contains("option onboarding_key: is missing"), "{missing:?}");
}

#[test]
fn lookups() {
    let config = parse(FULL);
    let client = |ip: &str| config.client_for(ip.parse().unwrap()).map(|c| c.name.to_string());
    assert_eq!(client("127.0.0.1").as_deref(), Some("local"));
    assert_eq!(client("::ffff:127.0.0.1").as_deref(), Some("local"));
    assert_eq!(client("127.0.0.2").as_deref(), Some("lan"));
    assert_eq!(client("127.0.1.1"), None);
    assert_eq!(client("::1"), None);
    assert_eq!(config.profile("guest").and_then(|p| p.vlan), Some(30));
    assert_eq!(config.profile("Guest"), None);
    assert_eq!(&*config.default_profile().unwrap().name, "iot");
    assert!(config.ssid(b"Home").is_some() && config.ssid(b"home").is_none());
}

#[test]
fn an_ssid_is_octets() {
    let config = Config::parse(b"config ssid 'x'\n\toption ssid 'Caf\xe9'\n").unwrap();
    assert!(config.ssid(b"Caf\xe9").is_some());
}

#[test]
fn each_mistake_is_named_with_its_mend() {
    let mut wrong = Vec::new();
    let long = format!("\toption ssid '{}'", "x".repeat(33));
    for (old, new, expected) in [
        (
            "config latchkey 'main'",
            "config latchky 'main'",
            "line 1: there is no section type 'latchky': did you mean 'latchkey'? Allowed: latchkey, client, profile, ssid, eap, realm, radsec",
        ),
        (
            "config profile 'guest'",
            "config latchkey 'two'\nconfig profile 'guest'",
            "line 18: config latchkey 'two': there is such a section on line 1 already: put their options into one",
        ),
        (
            "option log_level 'debug'",
            "option log_level 'debgu'",
            "line 7: config latchkey 'main': option log_level: cannot be 'debgu': did you mean 'debug'? Allowed: error, warn, info, debug, trace",
        ),
        (
            "option log_level",
            "option loglevel",
            "line 7: config latchkey 'main': option loglevel: is unknown: did you mean 'log_level'? Allowed: state_dir, control_socket, auth_listen, acct_listen, hostapd_dir, log_level, bridges, uplink, firewall, wan, timezone, psk_group, ...",
        ),
        (
            "option log_level 'debug'",
            "option vlan '3'",
            "line 7: config latchkey 'main': option vlan: belongs into config profile: move it there",
        ),
        (
            "'/etc/latchkey'",
            "'etc'",
            "line 2: config latchkey 'main': option state_dir: 'etc' is no absolute path: begin it with /",
        ),
        (
            "'127.0.0.1:1812'",
            "'127.0.0.1'",
            "line 4: config latchkey 'main': option auth_listen: '127.0.0.1' is no IP address with port: write 127.0.0.1:1812 or [::1]:1812",
        ),
        (
            "'127.0.0.1:1812'",
            "'127.0.0.1:1813'",
            "line 5: config latchkey 'main': option acct_listen: 127.0.0.1:1813 is taken on line 4 already: choose another",
        ),
        (
            "option address '127.0.0.1'\n",
            "\n",
            "line 8: config client 'local': option address: is missing: add option address '192.0.2.7', or a block such as '192.0.2.0/24'",
        ),
        (
            "'127.0.0.1'\n",
            "'ap.lan'\n",
            "line 9: config client 'local': option address: 'ap.lan' is no IP address: write 192.0.2.7, 2001:db8::7, or a block such as 192.0.2.0/24 (no host names)",
        ),
        (
            "'127.0.0.1'\n",
            "'127.0.0.0/24'\n",
            "line 11: config client 'lan': option address: 127.0.0.0/24 is the address of the client on line 8 already: remove one",
        ),
        (
            "'127.0.0.1'\n\toption secret 'SWQXK-JVZRP-RADIUS-9'",
            "'127.0.0.1'",
            "line 8: config client 'local': option secret: is missing: add option secret '...' with at least 16 characters",
        ),
        (
            "'127.0.0.1'\n\toption secret 'SWQXK-JVZRP-RADIUS-9'",
            "'10.0.0.1'\n\toption secret 'testing123'",
            "line 10: config client 'local': option secret: has 10 characters, which can be searched: give at least 16 random ones",
        ),
        (
            "'127.0.0.1'\n\toption secret 'SWQXK-JVZRP-RADIUS-9'",
            "'10.0.0.1'\n\toption secret 'aaaaaaaaaaaaaaaaaaaa'",
            "line 10: config client 'local': option secret: has only 1 different characters: give at least 16 random ones",
        ),
        (
            "message_authenticator 'optional'",
            "message_authenticator 'no'",
            "line 14: config client 'lan': option message_authenticator: cannot be 'no': allowed: required, optional",
        ),
        (
            "option message_authenticator 'optional'",
            "option address '10.0.0.1'",
            "line 14: config client 'lan': option address: is given on line 12 already: remove one",
        ),
        (
            "option message_authenticator",
            "list message_authenticator",
            "line 14: config client 'lan': option message_authenticator: has one value: write option, not list",
        ),
        (
            "option vlan '20'",
            "option vlan '4095'",
            "line 16: config profile 'iot': option vlan: '4095' is no VLAN: give a number from 1 to 4094, or leave the option out for no VLAN",
        ),
        (
            "option vlan '20'",
            "option vlan '0'",
            "line 16: config profile 'iot': option vlan: '0' is no VLAN: give a number from 1 to 4094, or leave the option out for no VLAN",
        ),
        (
            "access 'internet'",
            "access 'Internet'",
            "line 17: config profile 'iot': option access: cannot be 'Internet': did you mean 'internet'? Allowed: internet, isolated, full",
        ),
        (
            "config profile 'iot'",
            "config profile",
            "line 15: config profile: a profile needs a name for devices to refer to: write config profile 'NAME'",
        ),
        (
            "config profile 'iot'",
            "config profile 'home'",
            "line 20: config ssid 'home': the name is taken by config profile on line 15, and to UCI equal names are one section: choose another",
        ),
        (
            "\toption ssid 'Home'\n",
            "\n",
            "line 20: config ssid 'home': option ssid: is missing: add option ssid '...' with the network's name",
        ),
        (
            "\toption ssid 'Home'",
            &long,
            "line 21: config ssid 'home': option ssid: has 33 octets, an SSID has 1 to 32: shorten it",
        ),
        (
            "security 'mixed'",
            "security 'wpa'",
            "line 22: config ssid 'home': option security: cannot be 'wpa': did you mean 'wpa2'? Allowed: wpa2, wpa3, mixed, enterprise, wired",
        ),
        (
            "'quarantine'",
            "'accept'",
            "line 23: config ssid 'home': option unknown: cannot be 'accept': allowed: reject, quarantine, pairing",
        ),
        (
            "\toption quarantine_profile 'guest'\n",
            "\n",
            "line 20: config ssid 'home': option quarantine_profile: is missing: add option quarantine_profile with the name of a profile",
        ),
        (
            "quarantine_profile 'guest'",
            "quarantine_profile 'gast'",
            "line 24: config ssid 'home': option quarantine_profile: there is no profile 'gast': add it: did you mean 'guest'? Allowed: iot, guest",
        ),
        (
            "\toption onboarding_key 'ZQWVX-WPAKEY-7'\n",
            "\n",
            "line 20: config ssid 'home': option onboarding_key: is missing: add option onboarding_key '...' with 8 to 63 characters",
        ),
        (
            "'ZQWVX-WPAKEY-7'",
            "'ZQWVX'",
            "line 25: config ssid 'home': option onboarding_key: a Wi-Fi key has 8 to 63 characters, this one has 5",
        ),
        (
            "config profile 'iot'",
            "config ssid 'two'\n\toption ssid 'Home'\nconfig profile 'iot'",
            "line 23: config ssid 'home': option ssid: the section on line 15 has this SSID already: remove one",
        ),
        (
            "option access 'internet'",
            "list allow '192.168.1.10 tcp x'",
            "line 17: config profile 'iot': option allow: '192.168.1.10 tcp x' has a port that is no number from 1 to 65535 and no range such as 5000-5010",
        ),
        (
            "option access 'internet'",
            "list hours 'mon 7-8'",
            "line 17: config profile 'iot': option hours: 'mon 7-8' is no schedule: write DAYS HH:MM-HH:MM, for example mon-fri 07:00-21:00, sat,sun 09:00-24:00 or daily 22:00-06:00",
        ),
        (
            "option access 'internet'",
            "list address '192.168.20.1'",
            "line 17: config profile 'iot': option address: '192.168.20.1' is no address of this box with the length of its network: write for example 192.168.20.1/24",
        ),
        (
            "option vlan '20'",
            "list address '192.168.20.1/24'",
            "line 16: config profile 'iot': option address: is set on the profile's bridge, and it has none: add option vlan",
        ),
        (
            "option access 'internet'",
            "option bridge 'a-name-too-long-for-linux'",
            "line 17: config profile 'iot': option bridge: 'a-name-too-long-for-linux' is no name of an interface: it has 1 to 15 plain characters",
        ),
        (
            "option log_level 'debug'",
            "option bridges 'yes'",
            "line 7: config latchkey 'main': option bridges: cannot be 'yes': allowed: leave, manage",
        ),
        (
            "option log_level 'debug'",
            "option wan 'eth1'\n\toption wan 'eth2'",
            "line 8: config latchkey 'main': option wan: is given on line 7 already: write list for several values",
        ),
        (
            "option message_authenticator 'optional'",
            "option disconnect_port '0'",
            "line 14: config client 'lan': option disconnect_port: '0' is no UDP port: give a number from 1 to 65535",
        ),
        (
            "option security 'mixed'",
            "option backend 'file'",
            "line 22: config ssid 'home': option backend: cannot be 'file': allowed: radius, psk-file",
        ),
        (
            "option security 'mixed'",
            "option security 'enterprise'",
            "line 23: config ssid 'home': option unknown: can only be 'reject' with security 'enterprise', whose devices have no Wi-Fi keys: remove it, or write option security 'wpa2'",
        ),
        (
            "config latchkey 'main'",
            "package wireless\nconfig latchkey 'main'",
            "line 1: this is the configuration of 'wireless', not of latchkey: remove the package line, or name the right file",
        ),
    ] {
        let mut text = with(old, new);
        if new.contains("'enterprise'") {
            text = text.replace("\toption quarantine_profile 'guest'\n\toption onboarding_key 'ZQWVX-WPAKEY-7'\n", "");
        }
        let errors = errors(&text);
        if errors != [expected] {
            wrong.push(format!("{new}: {errors:#?} instead of {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_mistakes_at_once() {
    let text = "config client 'a'\n option address 'x'\nconfig profile 'b'\n option vlan '5000'\n option acess 'full'\nfoo\nconfig ssid 'c'\n";
    let lines: Vec<_> = Config::parse(text).unwrap_err().iter().map(|e| e.line).collect();
    assert_eq!(lines, [1, 2, 4, 5, 6, 7]);
    let many = "config profile 'x'\n".repeat(500);
    let errors = errors(&many);
    assert_eq!(errors.len(), 101);
    assert_eq!(errors[100], "line 101: and 399 more errors");
}

/// A line that could not be read is one error, not also a missing option, profile or warning.
#[test]
fn one_mistake_is_one_error() {
    for (old, new, line) in [
        ("'127.0.0.1'\n\toption secret 'SWQXK-JVZRP-RADIUS-9'", "'127.0.0.1'\n\toption secret SWQXK 9", 10),
        ("config profile 'guest'", "config profile 'my guest'", 18),
        ("config profile 'guest'", "config profil 'guest'", 18),
    ] {
        let errors = Config::parse(with(old, new)).unwrap_err();
        assert_eq!(errors.iter().map(|e| e.line).collect::<Vec<_>>(), [line], "{errors:?}");
    }
}

#[test]
fn a_forgotten_quote_is_the_only_complaint() {
    for text in
        [with("'127.0.0.1'\n", "'127.0.0.1\n"), FULL.replace("9'\nconfig client 'lan'", "9\nconfig client 'lan'")]
    {
        let errors = errors(&text);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains("close the quote"), "{errors:?}");
    }
    let errors = errors(&FULL.replace("WPAKEY-7'", "WPAKEY-7"));
    assert_eq!(errors, ["line 25: the quote ' opened here is never closed: add a '"]);
}

#[test]
fn what_is_doubtful_is_a_warning() {
    for (old, new, expected) in [
        (
            "'127.0.0.1'\n\toption secret 'SWQXK-JVZRP-RADIUS-9'",
            "'127.0.0.1'\n\toption secret 'testing123'",
            "line 10: config client 'local': option secret: has 10 characters",
        ),
        (
            "'127.0.0.1'\n",
            "'::/0'\n",
            "line 9: config client 'local': option address: lets every host in the world ask",
        ),
        (
            "'quarantine'",
            "'reject'",
            "line 24: config ssid 'home': option quarantine_profile: has no effect while unknown is 'reject'",
        ),
        (
            "'ZQWVX-WPAKEY-7'",
            "'home12345678'",
            "line 25: config ssid 'home': option onboarding_key: the key is mostly a sequence",
        ),
        (
            "'127.0.0.1:1812'",
            "'0.0.0.0:1812'",
            "line 1: config latchkey: option auth_listen: other hosts can reach it, but every client is on this host",
        ),
        (
            "'127.0.0.0/24'",
            "'10.0.0.0/24'",
            "line 1: config latchkey: option auth_listen: only this host can reach it, but client 'lan' is elsewhere",
        ),
    ] {
        let warnings = parse(&with(old, new)).warnings;
        assert!(warnings.iter().any(|w| w.starts_with(expected)), "{new}: {warnings:?}");
    }
}

#[test]
fn two_profiles_may_share_a_vlan() {
    let warnings = parse(&with("vlan '30'", "vlan '20'")).warnings;
    assert!(
        matches!(&warnings[..], [one] if one.contains("config profile 'guest': its devices are on one bridge with"))
    );
    let alike = "config profile 'a'\n\toption vlan '20'\nconfig profile 'b'\n\toption vlan '20'\n";
    let about = |text: &str, what: &str| parse(text).warnings.iter().filter(|warning| warning.contains(what)).count();
    assert_eq!(
        (about(alike, "one bridge"), about(&alike.replace("'b'", "'b'\n\toption access 'full'"), "one bridge")),
        (0, 1)
    );
}

#[test]
fn files_are_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latchkey");
    let shown = path.display().to_string();
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();

    std::fs::write(&path, FULL).unwrap();
    mode(0o600);
    assert_eq!(Config::load(&path).unwrap(), parse(FULL));
    mode(0o644);
    let expected =
        format!("{shown}: it holds secrets and others than its owner can read it (mode 0644): chmod 600 {shown}");
    assert_eq!(Config::load(&path).unwrap().warnings, [expected]);
    mode(0o660);
    assert!(Config::load(&path).unwrap().warnings[0].contains("can change it"));

    std::fs::write(&path, with("vlan '20'", "vlan 'x'").replace("vlan '30'", "vlan 'y'")).unwrap();
    let errors = Config::load(&path).unwrap_err().to_string();
    assert_eq!(errors.lines().count(), 2);
    assert!(errors.starts_with(&format!("{shown}:16: config profile 'iot': option vlan: 'x' is no VLAN")), "{errors}");

    std::fs::write(&path, "#\n".repeat(uci::MAX_FILE / 2 + 1)).unwrap();
    assert!(Config::load(&path).unwrap_err().to_string().contains("larger than"));
    assert!(Config::load(dir.path()).unwrap_err().to_string().contains("not a regular file"));
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(Config::load(&fifo).unwrap_err().to_string().contains("not a regular file"));
    assert!(Config::load(&dir.path().join("none")).unwrap_err().to_string().contains("--config"));
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?}", parse(FULL));
    assert!(!shown.contains("SWQXK") && !shown.contains("ZQWVX"), "{shown}");
}

/// The seeds of the fuzzer do what their names say.
#[test]
fn seeds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/config");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        fuzz(&text);
        if let Some(expected) = [("good-", true), ("bad-", false)].iter().find(|(p, _)| name.starts_with(p)) {
            assert_eq!(Config::parse(&text).is_ok(), expected.1, "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 10);
}

/// True when some piece of a secret shows.
fn leaks(text: &str) -> bool {
    [SECRET, ONBOARDING].iter().any(|secret| {
        secret.as_bytes().windows(4).any(|piece| text.as_bytes().windows(4).any(|window| window == piece))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// One or two mistyped characters anywhere never bring a secret into a message.
    #[test]
    fn mistyped_files_leak_nothing(edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3u8, "['\"#;\\\\\n x]"), 1..=2)) {
        let mut text = [FULL, REALM].concat().into_bytes();
        for (index, kind, character) in edits {
            let at = index.index(text.len());
            let octet = character.as_bytes()[0];
            match kind {
                0 => text.insert(at, octet),
                1 => text[at] = octet,
                _ => drop(text.remove(at)),
            }
        }
        let said = match Config::parse(&text) {
            Ok(config) => config.warnings,
            Err(errors) => errors.iter().map(|e| e.to_string()).collect(),
        };
        prop_assert!(!said.iter().any(|line| leaks(line)), "{said:?}");
    }

    #[test]
    fn no_octets_panic(text: Vec<u8>) {
        fuzz(&text);
    }

    #[test]
    fn no_words_panic(words in prop::collection::vec("config|option|list|latchkey|client|profile|ssid|eap|realm|radsec|server|discover|local|default|udp://[a-c.]{1,4}|radsec://\\[::[1-2]\\]|[ab]\\.example|last_good|listen|methods|security|wired|address|secret|vlan|unknown|quarantine|onboarding_key|quarantine_profile|'[a-c]'|127\\.0\\.0\\.1|\n|;|[0-9]{1,5}", 0..60)) {
        fuzz(words.join(" ").as_bytes());
    }
}

#[test]
fn a_time_zone_is_checked() {
    let read = |zone: &str| Config::parse(format!("config latchkey\n\toption timezone '{zone}'\n"));
    for zone in ["CET-1CEST,M3.5.0,M10.5.0/3", "<-03>3", "UTC", "IST-2IDT,M3.4.4/26,M10.5.0"] {
        assert_eq!(read(zone).expect(zone).main.timezone.as_deref(), Some(zone));
    }
    for zone in ["Europe/Berlin", "CET", "CET-1CEST", "/etc/passwd"] {
        let errors = read(zone).expect_err(zone);
        let [error] = &errors[..] else { panic!("{errors:?}") };
        assert_eq!((error.line, error.option.as_deref()), (2, Some("timezone")));
        assert!(error.message.contains("CET-1CEST,M3.5.0,M10.5.0/3"), "{error}");
    }
}
