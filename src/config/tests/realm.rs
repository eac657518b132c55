//! `config realm`, `config radsec`, and clients that come over RadSec.

use super::*;
use crate::registry::maker::Admit;

const PROFILES: &str = "config profile 'iot'\n\toption vlan '20'\nconfig profile 'guest'\n\toption vlan '30'\n";

/// A file with a realm of these lines, which begin on line 6.
fn realm(lines: &[&str]) -> String {
    format!("{PROFILES}config realm 'acme'\n\t{}\n", lines.join("\n\t"))
}

const SERVER: &str = "list server 'radsec://radius.acme.example'";
const REALM: &str = "list realm 'acme.example'";
const PROFILE: &str = "option profile 'iot'";

fn server(text: &str) -> Server {
    text.parse().unwrap()
}

#[test]
fn a_manufacturer_by_default() {
    let config = parse(&realm(&[REALM, SERVER, PROFILE]));
    let expected = Realm {
        name: "acme".into(),
        patterns: vec![Pattern::Exact("acme.example".into())],
        target: Target::Servers(vec![server("radsec://radius.acme.example:2083")]),
        secret: None,
        tls: Tls::default(),
        profile: Some("iot".into()),
        admit: Admit::Listed,
        register: Register::Yes,
        session_timeout: 86_400,
        share: Share::Needed,
        mac: MacShare::Real,
        placement: Placement::Ours,
        last_good: None,
    };
    assert_eq!(config.realms, [expected]);
    assert_eq!(config.realm("ACME"), config.realms.first());
    assert_eq!(config.radsec, Radsec::default());
}

#[test]
fn an_online_server_by_default() {
    let config = parse(&realm(&["list realm 'default'", SERVER, PROFILE]));
    let realm = &config.realms[0];
    assert_eq!((realm.admit, realm.register, realm.share), (Admit::All, Register::No, Share::All));
    assert_eq!((realm.placement, realm.mac), (Placement::Ours, MacShare::Real));
}

#[test]
fn everything_about_a_realm() {
    let text = realm(&[
        "list realm 'Acme.example'",
        "list realm '*.acme.example'",
        "list realm 'default'",
        "list server 'udp://192.0.2.7'",
        "list server 'radsec://[2001:db8::7]:12083'",
        "option secret 'SWQXK-JVZRP-RADIUS-9'",
        "option ca '/etc/latchkey/acme-ca.pem'",
        "option certificate '/etc/latchkey/ap.crt'",
        "option private_key '/etc/latchkey/ap.key'",
        "option server_name 'Radius.acme.example'",
        PROFILE,
        "option admit 'pending'",
        "option register '1'",
        "option session_timeout '12h'",
        "option share 'needed'",
        "option mac 'pseudonym'",
        "option placement 'server'",
        "option last_good '7d'",
        "list last_good_profile 'guest'",
    ]);
    let config = parse(&text);
    let expected = Realm {
        name: "acme".into(),
        patterns: vec![Pattern::Exact("acme.example".into()), Pattern::Below("acme.example".into()), Pattern::Default],
        target: Target::Servers(vec![server("udp://192.0.2.7:1812"), server("radsec://[2001:db8::7]:12083")]),
        secret: Some(RadiusSecret::new(SECRET.as_bytes())),
        tls: Tls {
            ca: Some("/etc/latchkey/acme-ca.pem".into()),
            certificate: Some(("/etc/latchkey/ap.crt".into(), "/etc/latchkey/ap.key".into())),
            name: Some("radius.acme.example".into()),
        },
        profile: Some("iot".into()),
        admit: Admit::Pending,
        register: Register::Yes,
        session_timeout: 43_200,
        share: Share::Needed,
        mac: MacShare::Pseudonym,
        placement: Placement::Server,
        last_good: Some(LastGood { seconds: 604_800, profiles: vec!["guest".into()] }),
    };
    assert_eq!(config.realms, [expected]);
    assert!(!format!("{config:?}").contains("SWQXK"));
}

#[test]
fn where_devices_are_authenticated() {
    let target = |lines: &[&str]| parse(&realm(lines)).realms[0].clone();
    let local = target(&[REALM, "list server 'local'"]);
    assert_eq!((local.target, local.profile), (Target::Local, None));
    // A realm that was moved here keeps the rest of its options.
    let moved =
        target(&[REALM, "option server 'local'", PROFILE, "option admit 'all'", "option session_timeout '600'"]);
    assert_eq!((moved.target, moved.admit, moved.session_timeout), (Target::Local, Admit::All, 600));
    assert_eq!(target(&[REALM, "option discover '1'", PROFILE]).target, Target::Discover);
    let off = target(&[REALM, SERVER, "option discover '0'", PROFILE, "option last_good '0'"]);
    assert!(matches!(off.target, Target::Servers(_)) && off.last_good.is_none());
}

#[test]
fn mistakes_about_realms() {
    let udp = "list server 'udp://192.0.2.7'";
    let secret = "option secret 'SWQXK-JVZRP-RADIUS-9'";
    let mut wrong = Vec::new();
    for (lines, at, rest) in [
        (
            vec![SERVER, PROFILE],
            "5: option realm",
            "is missing: add list realm 'acme.example', or list realm 'default'",
        ),
        (vec![REALM, SERVER], "5: option profile", "is missing: add option profile"),
        (vec![REALM, PROFILE], "5: option server", "is missing: add list server 'radsec://"),
        (vec!["list realm 'acme'", SERVER, PROFILE], "6: option realm", "'acme' is no realm: write what follows the @"),
        (vec!["list realm '*'", SERVER, PROFILE], "6: option realm", "'*' has no domain after the *: write default"),
        (vec!["list realm 'x@acme.example'", SERVER, PROFILE], "6: option realm", "'x@acme.example' has an @"),
        (vec!["list realm 'x.eap.arpa'", SERVER, PROFILE], "6: option realm", "'x.eap.arpa' is under eap.arpa"),
        (vec![REALM, "list realm 'ACME.example'", SERVER, PROFILE], "7: option realm", "'ACME.example' is given twice"),
        (
            vec![REALM, "list server '192.0.2.7'", PROFILE],
            "7: option server",
            "'192.0.2.7' is no server: write udp://192.0.2.7 or radsec://",
        ),
        (vec![REALM, "list server 'tls://192.0.2.7'", PROFILE], "7: option server", "'tls://192.0.2.7' is no server"),
        (
            vec![REALM, "list server 'radsec://2001:db8::7'", PROFILE],
            "7: option server",
            "'radsec://2001:db8::7' has an IPv6 address without brackets: write radsec://[2001:db8::7]",
        ),
        (
            vec![REALM, SERVER, "list server 'radsec://radius.acme.example:2083'", PROFILE],
            "8: option server",
            "'radsec://radius.acme.example:2083' is given twice",
        ),
        (vec![REALM, SERVER, "list server 'local'", PROFILE], "8: option server", "is one server too many: 'local'"),
        (
            vec![REALM, "list server 'local'", "list server 'local'", PROFILE],
            "8: option server",
            "is one server too many",
        ),
        (
            vec![REALM, SERVER, "option discover '1'", PROFILE],
            "7: option server",
            "makes no sense with option discover '1'",
        ),
        (vec![REALM, "option discover 'yes'", SERVER, PROFILE], "7: option discover", "cannot be 'yes': allowed: 0, 1"),
        (vec![REALM, SERVER, secret, PROFILE], "8: option secret", "makes no sense without a udp:// server"),
        (
            vec![REALM, "option discover '1'", secret, PROFILE],
            "8: option secret",
            "makes no sense without a udp:// server",
        ),
        (vec![REALM, "list server 'local'", secret], "8: option secret", "makes no sense with server 'local'"),
        (vec![REALM, udp, PROFILE], "5: option secret", "is missing: add option secret"),
        (
            vec![REALM, udp, "option secret 'testing123'", PROFILE],
            "8: option secret",
            "has 10 characters, which can be searched",
        ),
        (
            vec![REALM, udp, "option secret 'aaaaaaaaaaaaaaaaaaaa'", PROFILE],
            "8: option secret",
            "has only 1 different characters",
        ),
        (
            vec![REALM, udp, "list server 'udp://127.0.0.9'", "option secret 'testing123'", PROFILE],
            "9: option secret",
            "has 10 characters",
        ),
        (
            vec![REALM, udp, secret, "option ca '/ca.pem'", PROFILE],
            "9: option ca",
            "makes no sense with udp:// servers only",
        ),
        (
            vec![REALM, "list server 'local'", "option server_name 'a.example'"],
            "8: option server_name",
            "makes no sense with server 'local'",
        ),
        (
            vec![REALM, "option discover '1'", "option server_name 'a.example'", PROFILE],
            "8: option server_name",
            "makes no sense with discover",
        ),
        (
            vec![REALM, SERVER, "option server_name 'a b'", PROFILE],
            "8: option server_name",
            "'a b' is neither a host name nor an IP address",
        ),
        (vec![REALM, SERVER, "option ca 'ca.pem'", PROFILE], "8: option ca", "'ca.pem' is no absolute path"),
        (vec![REALM, SERVER, "option certificate '/a.crt'", PROFILE], "5: option private_key", "is missing"),
        (vec![REALM, SERVER, "option private_key '/a.key'", PROFILE], "5: option certificate", "is missing"),
        (
            vec![REALM, SERVER, "option profile 'iott'"],
            "8: option profile",
            "there is no profile 'iott': add it: did you mean 'iot'? Allowed: iot, guest",
        ),
        (
            vec![REALM, SERVER, PROFILE, "option admit 'some'"],
            "9: option admit",
            "cannot be 'some': allowed: listed, pending, all",
        ),
        (vec![REALM, SERVER, PROFILE, "option register 'no'"], "9: option register", "cannot be 'no': "),
        (
            vec![REALM, SERVER, PROFILE, "option share 'most'"],
            "9: option share",
            "cannot be 'most': allowed: needed, all",
        ),
        (
            vec![REALM, SERVER, PROFILE, "option mac 'hidden'"],
            "9: option mac",
            "cannot be 'hidden': allowed: real, pseudonym",
        ),
        (
            vec![REALM, SERVER, PROFILE, "option placement 'server'"],
            "9: option placement",
            "can only be 'server' with list realm 'default'",
        ),
        (
            vec![REALM, SERVER, PROFILE, "option session_timeout '30'"],
            "9: option session_timeout",
            "'30' is no time from 60 seconds to 7 days",
        ),
        (
            vec![REALM, SERVER, PROFILE, "option session_timeout '8d'"],
            "9: option session_timeout",
            "'8d' is no time from 60 seconds",
        ),
        (vec![REALM, SERVER, PROFILE, "option session_timeout '1hh'"], "9: option session_timeout", "'1hh' is no time"),
        (vec![REALM, SERVER, PROFILE, "option session_timeout 'h'"], "9: option session_timeout", "'h' is no time"),
        (
            vec![REALM, SERVER, PROFILE, "option session_timeout '4294967295d'"],
            "9: option session_timeout",
            "'4294967295d' is no time",
        ),
        (
            vec!["list realm 'default'", SERVER, PROFILE, "option last_good '31d'"],
            "9: option last_good",
            "'31d' is no time from 60 seconds to 30 days",
        ),
        (
            vec!["list realm 'default'", SERVER, PROFILE, "option last_good '1d'", "list last_good_profile 'x'"],
            "10: option last_good_profile",
            "there is no profile 'x'",
        ),
        (
            vec![
                "list realm 'default'",
                SERVER,
                PROFILE,
                "option last_good '1d'",
                "list last_good_profile 'iot'",
                "list last_good_profile 'iot'",
            ],
            "11: option last_good_profile",
            "'iot' is given twice",
        ),
        (
            vec![REALM, "list server 'udp://127.0.0.1'", secret, PROFILE],
            "7: option server",
            "udp://127.0.0.1:1812 is this daemon itself (auth_listen)",
        ),
        (
            vec![REALM, "list server 'udp://localhost:1813'", secret, PROFILE],
            "7: option server",
            "udp://localhost:1813 is this daemon itself (acct_listen)",
        ),
        (
            vec![REALM, SERVER, PROFILE, "list profile 'guest'"],
            "9: option profile",
            "has one value: write option, not list",
        ),
        (vec![REALM, SERVER, PROFILE, "option vlan '20'"], "9: option vlan", "belongs into config profile"),
        (vec![REALM, SERVER, PROFILE, "option timeout '20'"], "9: option timeout", "is unknown"),
    ] {
        let (line, option) = at.split_once(": ").unwrap();
        let expected = format!("line {line}: config realm 'acme': {option}: {rest}");
        let errors =
            Config::parse(realm(&lines)).map_or_else(|e| e.iter().map(|e| e.to_string()).collect(), |_| vec![]);
        if !matches!(&errors[..], [one] if one.starts_with(&expected)) {
            wrong.push(format!("{lines:?}: {errors:#?} instead of {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn realms_beside_each_other() {
    let two = |first: &str, second: &str| {
        format!(
            "{PROFILES}config realm '{first}'\n\tlist realm 'a.example'\n\t{SERVER}\n\t{PROFILE}\n\
             config realm '{second}'\n\tlist realm 'b.example'\n\tlist realm 'A.example'\n\t{SERVER}\n\t{PROFILE}\n"
        )
    };
    let expected =
        "line 11: config realm 'b': option realm: 'a.example' is that of the section with line 6 already: remove one";
    assert_eq!(errors(&two("a", "b")), [expected]);
    // All below a realm is not the realm itself.
    parse(&two("a", "b").replace("'A.example'", "'*.a.example'"));
    let named = errors(&two("a", "A").replace("\tlist realm 'A.example'\n", ""));
    assert_eq!(named, ["line 9: config realm 'A': the section on line 5 has this name already: choose another"]);
    for (name, expected) in [
        (
            "",
            "line 5: config realm: a realm needs a name, by which events and commands call it: write config realm 'acme'",
        ),
        (" '_a'", "line 5: config realm '_a': a name begins with a letter or digit"),
        (
            " 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'",
            "line 5: config realm 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa': a name has 1 to 32 characters",
        ),
    ] {
        let errors = errors(&realm(&[REALM, SERVER, PROFILE]).replace(" 'acme'", name));
        assert!(matches!(&errors[..], [one] if one.starts_with(expected)), "{errors:?}");
    }
    let many: String =
        (0..65).map(|n| format!("config realm 'r{n}'\n\tlist realm 'r{n}.example'\n\tlist server 'local'\n")).collect();
    assert_eq!(errors(&many).len(), 1);
    let unread = errors(
        &realm(&[REALM, SERVER, "option profile 'other'"]).replace("config profile 'iot'", "config profil 'iot'"),
    );
    assert_eq!(unread.len(), 1, "{unread:?}");
}

#[test]
fn a_server_that_is_ourselves() {
    let with = |main: &str, server: &str| {
        let secret = if server.starts_with("udp") { "option secret 'SWQXK-JVZRP-RADIUS-9'" } else { "" };
        let lines = [REALM, &format!("list server '{server}'"), PROFILE, secret];
        let text = format!("{}{main}", realm(&lines).replace("'30'\n", "'30'\n\tlist address '192.168.30.1/24'\n"));
        Config::parse(&text)
            .is_err_and(|errors| matches!(&errors[..], [one] if one.message.contains("is this daemon itself")))
    };
    let all = "config latchkey\n\toption auth_listen '0.0.0.0:1812'\nconfig radsec\n\tlist listen '::'\n";
    for (server, expected) in [
        ("udp://192.168.30.1", true),
        ("udp://127.0.0.1", true),
        ("udp://[::1]:1813", false),
        ("udp://192.168.30.2", false),
        ("udp://192.168.30.1:1645", false),
        ("radsec://192.168.30.1", true),
        ("radsec://localhost", true),
        ("radsec://[::1]", true),
        ("radsec://192.168.30.1:12083", false),
        ("radsec://elsewhere.example", false),
    ] {
        assert_eq!(with(all, server), expected, "{server}");
    }
    assert!(!with("", "radsec://127.0.0.1"), "nobody listens there");
}

#[test]
fn what_is_doubtful_about_realms() {
    let ssid = "config ssid\n\toption security 'wired'\n";
    for (text, expected) in [
        (
            realm(&["list realm 'latchkey.home.arpa'", SERVER, PROFILE]),
            "line 6: config realm 'acme': option realm: 'latchkey.home.arpa' includes 'latchkey.home.arpa', the realm of the identities",
        ),
        (
            realm(&["list realm '*.home.arpa'", SERVER, PROFILE]),
            "line 6: config realm 'acme': option realm: '*.home.arpa' includes 'latchkey.home.arpa'",
        ),
        (
            realm(&[REALM, SERVER, PROFILE, "option last_good '2h'"]),
            "line 9: config realm 'acme': option last_good: has an effect with list realm 'default' only",
        ),
        (
            realm(&["list realm 'default'", SERVER, PROFILE, "option last_good '7200'"]) + ssid,
            "line 9: config realm 'acme': option last_good: has an effect with Wi-Fi keys only",
        ),
        (
            realm(&["list realm 'default'", SERVER, PROFILE, "list last_good_profile 'iot'"]),
            "line 9: config realm 'acme': option last_good_profile: has no effect without option last_good",
        ),
        (
            realm(&[REALM, "list server 'udp://9.9.9.9'", "option secret 'SWQXK-JVZRP-RADIUS-9'", PROFILE]),
            "line 7: config realm 'acme': option server: udp://9.9.9.9:1812 is on the Internet",
        ),
        (
            realm(&[REALM, "list server 'udp://127.0.0.9'", "option secret 'testing123'", PROFILE]),
            "line 8: config realm 'acme': option secret: has 10 characters",
        ),
        ("config radsec\n\tlist listen '0.0.0.0'\n".into(), "line 1: config radsec: option listen: nobody may connect"),
        (
            "config client 'a'\n\toption radsec 'a.example'\n".into(),
            "line 1: config radsec: option listen: is missing, so client 'a'",
        ),
        (
            "config radsec\n\tlist coa_listen '127.0.0.1'\n".into(),
            "line 1: config radsec: option coa_listen: has no effect",
        ),
        (
            "config client 'a'\n\toption radsec 'a.example'\n\toption disconnect_port '3799'\n".into(),
            "line 3: config client 'a': option disconnect_port: has no effect with option radsec",
        ),
    ] {
        let warnings = parse(&text).warnings;
        let count = warnings.iter().filter(|w| w.starts_with(expected)).count();
        assert_eq!(count, 1, "{text}: {warnings:#?}");
    }
    for quiet in [
        realm(&[REALM, "list server 'udp://192.168.1.2'", "option secret 'SWQXK-JVZRP-RADIUS-9'", PROFILE]),
        realm(&["list realm 'latchkey.home.arpa'", "list server 'local'"]),
        realm(&["list realm 'default'", SERVER, PROFILE, "option last_good '7200'"]),
    ] {
        let warnings = parse(&quiet).warnings;
        assert!(!warnings.iter().any(|w| w.contains("acme")), "{warnings:?}");
    }
}

#[test]
fn radsec_is_read() {
    let radsec = parse(
        "config radsec\n\tlist listen '0.0.0.0'\n\tlist listen '[::1]:12083'\n\tlist listen '::'\n\toption ca '/etc/a.pem'\n\
         \toption certificate '/etc/a.crt'\n\toption private_key '/etc/a.key'\n\tlist coa_listen '127.0.0.1:13799'\n\
         \tlist coa_listen '[::1]'\n",
    )
    .radsec;
    let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
    let expected = Radsec {
        listen: addresses(&["0.0.0.0:2083", "[::1]:12083", "[::]:2083"]),
        tls: Tls {
            ca: Some("/etc/a.pem".into()),
            certificate: Some(("/etc/a.crt".into(), "/etc/a.key".into())),
            name: None,
        },
        coa_listen: addresses(&["127.0.0.1:13799", "[::1]:3799"]),
    };
    assert_eq!(radsec, expected);
    for (text, expected) in [
        (
            "config radsec\n\tlist listen 'ap.example'\n",
            "line 2: config radsec: option listen: 'ap.example' is no IP address of this box: write 0.0.0.0:2083",
        ),
        (
            "config radsec\n\tlist listen '::'\n\tlist listen '[::]:2083'\n",
            "line 3: config radsec: option listen: [::]:2083 is given twice",
        ),
        (
            "config radsec\n\tlist coa_listen '127.0.0.1:1812'\n",
            "line 2: config radsec: option coa_listen: 127.0.0.1:1812 is where requests are received",
        ),
        ("config radsec\n\toption certificate '/a'\n", "line 1: config radsec: option private_key: is missing"),
        (
            "config radsec\n\toption server_name 'a'\n",
            "line 2: config radsec: option server_name: belongs into config eap",
        ),
        ("config radsec\nconfig radsec\n", "line 2: config radsec: there is such a section on line 1 already"),
    ] {
        let errors = errors(text);
        assert!(matches!(&errors[..], [one] if one.starts_with(expected)), "{text}: {errors:?}");
    }
}

#[test]
fn clients_with_certificates() {
    let text = "config radsec\n\tlist listen '::'\nconfig client 'a'\n\toption radsec 'AP1.example'\n\
                config client 'b'\n\toption radsec 'ap2.example'\n\
                config client 'c'\n\toption radsec '192.0.2.9'\n\toption address '192.0.2.0/24'\n\
                config client 'd'\n\toption radsec 'ap1.example'\n\toption address '198.51.100.0/24'\n\
                config client 'e'\n\toption address '192.0.2.7'\n\toption secret 'SWQXK-JVZRP-RADIUS-9'\n";
    let config = parse(text);
    assert_eq!(config.clients[0].radsec.as_deref(), Some("ap1.example"));
    assert_eq!((config.clients[0].address, config.clients[0].secret.expose()), (Prefix::ANY, &b"radsec"[..]));
    assert_eq!(config.clients[2].radsec.as_deref(), Some("192.0.2.9"));
    // A device that latchkey issued a certificate to.
    let issued = parse("config client 'a'\n\toption radsec 'AP_1.attic'\n");
    assert_eq!(issued.clients[0].radsec.as_deref(), Some("ap_1.attic"));
    // The secret that everybody knows opens nothing over UDP.
    let udp = |address: &str| config.client_for(address.parse().unwrap()).map(|client| client.name.to_string());
    assert_eq!(udp("192.0.2.7").as_deref(), Some("e"));
    assert_eq!(["192.0.2.9", "203.0.113.1", "198.51.100.4", "::1"].map(udp), [const { None }; 4]);
    for (text, expected) in [
        (
            "config client 'a'\n\toption radsec 'a b'\n",
            "line 2: config client 'a': option radsec: 'a b' is neither a host name nor an IP address",
        ),
        (
            "config client 'a'\n\toption radsec '10.0.0.300'\n",
            "line 2: config client 'a': option radsec: '10.0.0.300' is neither a host name nor an IP address",
        ),
        (
            "config client 'a'\n\toption radsec 'a.example'\n\toption secret 'SWQXK-JVZRP-RADIUS-9'\n",
            "line 3: config client 'a': option secret: makes no sense with option radsec",
        ),
        (
            "config client 'a'\n\toption radsec 'a.example'\nconfig client 'b'\n\toption radsec 'A.example'\n",
            "line 3: config client 'b': option radsec: 'a.example' is the name of the client on line 1 already",
        ),
        (
            "config client 'a'\n\toption radsec 'a.example'\n\toption address 'x'\n",
            "line 3: config client 'a': option address: 'x' is no IP address",
        ),
    ] {
        let errors = errors(text);
        assert!(matches!(&errors[..], [one] if one.starts_with(expected)), "{text}: {errors:?}");
    }
}

#[test]
fn files_of_tls_are_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, mode| {
        let path = dir.path().join(name);
        std::fs::write(&path, "x").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let (certificate, key, ca) = (file("a.crt", 0o644), file("a.key", 0o640), file("ca.pem", 0o664));
    let missing = dir.path().join("none.pem").display().to_string();
    let options = [
        format!("option certificate '{certificate}'"),
        format!("option private_key '{key}'"),
        format!("option ca '{ca}'"),
    ];
    let lines: Vec<&str> = [REALM, SERVER, PROFILE].into_iter().chain(options.iter().map(String::as_str)).collect();
    let text = format!("{}config radsec\n\tlist listen '::'\n\toption ca '{missing}'\n", realm(&lines));
    let path = file("latchkey", 0o600);
    std::fs::write(&path, text).unwrap();
    let warnings = Config::load(Path::new(&path)).unwrap().warnings;
    let about = |text: &str| warnings.iter().any(|w| w.starts_with(text));
    assert!(
        about(&format!(
            "config realm 'acme': option private_key: {key}: it is a private key and others than its owner can get at it (mode 0640): chmod 600 {key}"
        )),
        "{warnings:?}"
    );
    assert!(
        about(&format!(
            "config realm 'acme': option ca: {ca}: others than its owner can change it (mode 0664): chmod go-w {ca}"
        )),
        "{warnings:?}"
    );
    assert!(about(&format!("config radsec: option ca: {missing} cannot be read: No such file")), "{warnings:?}");
    assert!(!warnings.iter().any(|w| w.contains("a.crt")), "{warnings:?}");
}
