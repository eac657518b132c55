//! What is understood of the arguments, and what is not.

use super::latchkey;
use crate::cli::args::{Command, Invocation, SOCKET, Stop};
use crate::cli::{ca, device, firewall, help, log, pair, pending, qr, serve};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

fn parse(line: &str) -> Result<Invocation, Stop> {
    Invocation::parse(line.split_whitespace().map(OsString::from), None)
}

#[test]
fn good_arguments() {
    let name = || String::from("tv");
    let simple = |method, done| Command::Device(device::Command::Simple { method, done, name: name() });
    let table = [
        ("", Command::Help("")),
        ("help", Command::Help("")),
        ("--help", Command::Help("")),
        ("help device add", Command::Help("device add")),
        ("device --help", Command::Help("device")),
        ("device add tv -h", Command::Help("device add")),
        ("--version", Command::Version),
        ("version", Command::Version),
        ("serve", Command::Serve(serve::Command::Serve("/etc/config/latchkey".into()))),
        ("serve --config x", Command::Serve(serve::Command::Serve("x".into()))),
        ("prepare -c x", Command::Serve(serve::Command::Prepare("x".into()))),
        ("check -c x", Command::Serve(serve::Command::Check("x".into()))),
        ("status", Command::Status),
        ("sessions", Command::Sessions),
        ("stations", Command::Stations),
        ("device list", Command::Device(device::Command::List)),
        ("device show tv", Command::Device(device::Command::Show { name: name(), secret: false })),
        ("device show --secret tv", Command::Device(device::Command::Show { name: name(), secret: true })),
        ("device rotate tv", Command::Device(device::Command::Rotate { name: name(), psk_stdin: false })),
        ("device rotate tv --psk-stdin", Command::Device(device::Command::Rotate { name: name(), psk_stdin: true })),
        ("device block tv", simple("device_block", "is blocked: it is refused from now on")),
        ("device unblock tv", simple("device_unblock", "is unblocked")),
        ("device remove tv", simple("device_remove", "is removed: its key is worth nothing now")),
        ("device import -", Command::Device(device::Command::Import { file: "-".into() })),
        ("device export --secrets", Command::Device(device::Command::Export { secrets: true })),
        (
            "device set tv max-devices=3 mac+=a mac+=b mac-=c expires=never",
            Command::Device(device::Command::Set {
                name: name(),
                set: [("max_devices", "3"), ("mac+", "a,b"), ("mac-", "c"), ("expires", "never")]
                    .map(|(key, value)| (key, value.to_owned()))
                    .into(),
            }),
        ),
        ("pending list", Command::Pending(pending::Command::List { ignored: false })),
        ("pending list --ignored", Command::Pending(pending::Command::List { ignored: true })),
        (
            "pending unignore 00:11:22:33:44:55",
            Command::Pending(pending::Command::Unignore { mac: "00:11:22:33:44:55".into() }),
        ),
        ("pair", Command::Pair(pair::Command::Show { wait: false })),
        ("pair --stop", Command::Pair(pair::Command::Stop)),
        (
            "pair --profile iot --minutes 7 --ssid Home --name lamp --wait",
            Command::Pair(pair::Command::Open {
                profile: "iot".into(),
                minutes: Some(7),
                ssid: Some("Home".into()),
                name: Some("lamp".into()),
                wait: true,
            }),
        ),
        (
            "pending approve 00:11 tv --profile iot --certificate a1:b2",
            Command::Pending(pending::Command::Approve {
                mac: "00:11".into(),
                name: name(),
                profile: Some("iot".into()),
                certificate: Some("a1:b2".into()),
            }),
        ),
        ("pending ignore 00:11", Command::Pending(pending::Command::Ignore { mac: "00:11".into() })),
        ("log", Command::Log(log::Query::default())),
        (
            "log --mac 00:11 -f --limit=7 --device tv --outcome joined --outcome refused",
            Command::Log(log::Query {
                follow: true,
                mac: Some("00:11".into()),
                device: Some("tv".into()),
                outcomes: vec!["joined".into(), "refused".into()],
                limit: Some(7),
            }),
        ),
        ("firewall show", Command::Firewall(firewall::Command::Show { rules: false })),
        ("firewall show --rules", Command::Firewall(firewall::Command::Show { rules: true })),
        ("firewall remove", Command::Firewall(firewall::Command::Remove)),
        ("ca show", Command::Ca(ca::Command::Show)),
        (
            "ca issue ap2.home.arpa --out /tmp",
            Command::Ca(ca::Command::Issue { name: "ap2.home.arpa".into(), out: "/tmp".into() }),
        ),
        ("ca export", Command::Ca(ca::Command::Export { out: None })),
        ("ca export --out ca.pem", Command::Ca(ca::Command::Export { out: Some("ca.pem".into()) })),
        ("qr tv --ssid Home", Command::Qr(qr::Query { name: name(), ssid: "Home".into() })),
    ];
    for (line, command) in table {
        let expected = Invocation { socket: SOCKET.into(), json: false, command };
        assert_eq!(parse(line), Ok(expected), "{line}");
    }
}

#[test]
fn options_of_every_command_go_anywhere() {
    for line in ["--json --socket /s status", "status --socket=/s --json", "--socket /s status --json"] {
        let expected = Invocation { socket: "/s".into(), json: true, command: Command::Status };
        assert_eq!(parse(line), Ok(expected), "{line}");
    }
    let with = |line: &str, socket: &str| {
        Invocation::parse(line.split(' ').map(OsString::from), Some(socket.into())).map(|i| i.socket)
    };
    assert_eq!(with("status", "/env"), Ok(PathBuf::from("/env")));
    assert_eq!(with("status --socket /s", "/env"), Ok(PathBuf::from("/s")));
    assert_eq!(with("status", ""), Ok(PathBuf::from(SOCKET)));
}

#[test]
fn bad_arguments() {
    let table = [
        ("frobnicate", "", "there is no command 'frobnicate'"),
        ("--frobnicate", "", "there is no option --frobnicate"),
        ("--socket", "", "--socket needs a value"),
        ("status now", "status", "too many arguments"),
        ("status --all", "status", "there is no option --all"),
        ("help frobnicate", "help", "there is no command 'frobnicate'"),
        ("device", "device", "say what to do"),
        ("device frobnicate", "device", "there is no command 'frobnicate'"),
        ("device add", "device add", "NAME is missing"),
        ("device add tv --mac", "device add", "--mac needs a value"),
        ("device add tv --bind second", "device add", "--bind must be first, mac or any"),
        ("device add tv --max-devices many", "device add", "--max-devices needs a number from 0 (any number) to 65535"),
        (
            "device add tv --generate --psk-stdin",
            "device add",
            "--generate makes a key, --psk-stdin reads one: give only one of them",
        ),
        (
            "device add tv --eap-psk --eap-psk-key-file f",
            "device add",
            "--eap-psk makes a key, --eap-psk-key-file reads one: give only one of them",
        ),
        (
            "device add tv --psk-stdin --eap-psk-key-file -",
            "device add",
            "two keys cannot come from standard input: give --eap-psk-key-file a file",
        ),
        ("device add tv --out d", "device add", "--out and --p12-password-file go with --certificate"),
        ("device add tv --alt-name n", "device add", "--maker is missing: whose serial number or name it is"),
        (
            "device add tv --maker acme",
            "device add",
            "--serial-number or --alt-name is missing: which device of the maker it is",
        ),
        (
            "device rotate tv --eap-psk --psk-stdin",
            "device rotate",
            "one key at a time: give only one of --psk-stdin, --eap-psk and --eap-psk-key-file",
        ),
        ("device credential", "device credential", "say what to do: add or remove"),
        ("device credential add tv", "device credential add", "say which credential it gets: --eap-psk, for example"),
        (
            "device credential remove tv",
            "device credential remove",
            "say which one goes: --wifi-key, --eap-psk or --certificate WHICH",
        ),
        ("maker", "maker", "say what to do: add, list, show, set, remove, import or export"),
        ("maker import", "maker import", "BUNDLE is missing"),
        (
            "maker import b --signed-by f --unsigned",
            "maker import",
            "--unsigned asks for no signature, --signed-by says whose counts: give only one of them",
        ),
        ("maker export", "maker export", "NAME is missing"),
        ("maker add acme", "maker add", "--ca FILE is missing: the maker's CA certificate, which it publishes"),
        ("maker add acme --ca f", "maker add", "--profile P is missing: the profile its devices get"),
        ("maker set acme --admit some", "maker set", "--admit must be listed, pending or all"),
        ("device set tv", "device set", "KEY=VALUE is missing"),
        ("device set tv profile", "device set", "what to set is written KEY=VALUE"),
        (
            "device set tv colour=red",
            "device set",
            "what can be set: name, profile, bind, max-devices, expires, mac, mac+, mac-, ssid, ssid+, ssid-, ap, ap+ and ap-",
        ),
        ("device set tv name=a name=b", "device set", "name is set twice"),
        ("pending", "pending", "say what to do: list, approve, ignore or unignore"),
        ("pending approve 00:11", "pending approve", "NAME is missing"),
        ("pair --minutes 5", "pair", "--profile is missing: the profile that the device gets"),
        ("pair --profile iot --minutes few", "pair", "--minutes needs a number"),
        ("pair --stop --wait", "pair", "--stop goes alone"),
        ("pair iot", "pair", "too many arguments"),
        ("log --limit few", "log", "--limit needs a number"),
        ("qr tv", "qr", "--ssid SSID is missing"),
        ("firewall", "firewall", "say what to do: show or remove"),
        ("firewall drop", "firewall", "there is no command 'drop'"),
        ("firewall show --all", "firewall show", "there is no option --all"),
        ("serve tv", "serve", "too many arguments"),
    ];
    for (line, topic, message) in table {
        assert_eq!(parse(line), Err(Stop::Usage { topic, message: message.into() }), "{line}");
        let done = latchkey(line, PathBuf::from("/nowhere"), "");
        assert_eq!((done.code, &*done.out), (ExitCode::from(2), ""), "{line}");
        assert!(done.err.contains(message) && done.err.contains(&help::usage(topic)), "{line}: {}", done.err);
    }
}

#[test]
fn a_key_among_the_arguments_is_refused_and_not_repeated() {
    for line in [
        "device add tv --eap-psk=open-sesame",
        "device add tv --eap-psk open-sesame",
        "device rotate tv --eap-psk open-sesame",
        "device add tv --psk open-sesame",
        "device add tv --key=open-sesame",
        "device add tv --psk-stdin=open-sesame",
        "device add tv --psk-stdin open-sesame",
        "device add tv --generate=open-sesame",
        "device rotate tv open-sesame",
        "device set tv key=open-sesame",
        "device set tv open-sesame=",
        "device set tv open-sesame",
    ] {
        let done = latchkey(line, PathBuf::from("/nowhere"), "");
        assert_eq!(done.code, ExitCode::from(2), "{line}");
        assert!(!done.err.contains("sesame"), "{line}: {}", done.err);
    }
    let done = latchkey("device add tv --psk open-sesame", PathBuf::from("/nowhere"), "");
    assert!(done.err.contains("--psk-stdin reads it from standard input"), "{}", done.err);
}

#[test]
fn help_is_complete() {
    let overview = help::text("");
    for topic in help::TOPICS {
        assert!(overview.contains(topic.name), "{}", topic.name);
        let text = help::text(topic.name);
        assert!(text.starts_with(topic.about) && text.contains("usage: latchkey"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 170), "{text}");
        // The first line of an explanation is indented like the others.
        assert!(!topic.more.starts_with("--") && !topic.more.starts_with("name="), "{text}");
    }
    let expected = "\
Unknown devices that tried to join.

usage: latchkey pending list [--ignored]
       latchkey pending approve MAC NAME [--profile P] [--certificate FINGERPRINT-OR-IDENTITY]
       latchkey pending ignore MAC
       latchkey pending unignore MAC

  pending list       Who knocked, the latest first
  pending approve    Register an unknown device
  pending ignore     Take an unknown device off the list
  pending unignore   List it again when it comes
";
    assert_eq!(help::text("pending"), expected);
    let done = latchkey("--version", PathBuf::from("/nowhere"), "");
    assert_eq!((done.code, done.out), (ExitCode::SUCCESS, format!("latchkey {}\n", env!("CARGO_PKG_VERSION"))));
}
