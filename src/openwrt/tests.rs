//! Rules that only show over whole files. What comes out for real ones is in `tests/openwrt.rs`.

use super::facts::{Facts, Wpad};
use super::record::Record;
use super::*;

mod edges;

const NETWORK: &str = "\
config device
\toption name 'br-lan'
\toption type 'bridge'
\tlist ports 'lan1'
\tlist ports 'lan2'

config interface 'lan'
\toption device 'br-lan'
\toption proto 'static'
\toption ipaddr '192.168.1.1'
\toption netmask '255.255.255.0'
";
const WIRELESS: &str = "\
config wifi-device 'radio0'
\toption band '2g'
\toption country 'DE'

config wifi-device 'radio6'
\toption band '6g'
\toption country 'DE'
\toption disabled '1'

config wifi-iface
\toption device 'radio6'
\toption ssid 'Open'
";
const LATCHKEY: &str = "\
config client
\toption address '127.0.0.1'
\toption secret 'SWQXK-JVZRP-RADIUS-9'

config profile 'iot'
\toption vlan '20'
\toption access 'internet'

config profile 'surveillance'
\toption vlan '40'

config profile 'plain'
\toption access 'full'
";
const FIREWALL: &str = "config zone\n\toption name 'wan'\n\toption masq '1'\n";

struct Router {
    network: String,
    wireless: String,
    latchkey: String,
    release: &'static str,
    wpad: &'static str,
}

impl Default for Router {
    fn default() -> Router {
        Router {
            network: NETWORK.into(),
            wireless: WIRELESS.into(),
            latchkey: LATCHKEY.into(),
            release: "24.10.4",
            wpad: "wpad-mbedtls",
        }
    }
}

impl Router {
    fn tree(&self) -> Tree {
        let text = |text: &str| Some(Zeroizing::new(text.as_bytes().to_vec()));
        let mut facts = Facts::of_release(&format!("DISTRIB_RELEASE='{}'", self.release)).expect("a release");
        facts.wpad = Some(Wpad { package: self.wpad.into(), radius: !self.wpad.contains("basic") });
        Tree {
            files: vec![
                ("network", text(&self.network)),
                ("dhcp", text("")),
                ("firewall", text(FIREWALL)),
                ("wireless", text(&self.wireless)),
                ("latchkey", text(&self.latchkey)),
            ],
            facts,
            record: Record::default(),
        }
    }
}

fn fill(buffer: &mut [u8]) {
    buffer.iter_mut().zip(7..).for_each(|(octet, number)| *octet = number);
}

fn made(tree: &Tree, action: &Action) -> Plan {
    plan(tree, action, &mut fill).unwrap_or_else(|why| panic!("{why:?}"))
}

fn carry_out(tree: &mut Tree, plan: &Plan) {
    for change in &plan.files {
        let (_, text) = tree.files.iter_mut().find(|(name, _)| *name == change.file).expect("known");
        *text = Some(change.after.clone());
    }
    tree.record = plan.record.clone();
}

fn act(tree: &mut Tree, action: &Action) {
    let plan = made(tree, action);
    carry_out(tree, &plan);
}

fn text(tree: &Tree, file: &str) -> String {
    String::from_utf8(tree.file(file).expect("there").to_vec()).expect("text")
}

fn home(radios: &[&str], security: Option<Security>) -> Request {
    let radios = radios.iter().map(|radio| (*radio).to_owned()).collect();
    let ssid = SsidRequest { ssid: "Home".into(), radios, security, take_over: false };
    Request { ssid: Some(ssid), ..Request::default() }
}

fn profiles(names: &[&str]) -> Request {
    Request { profiles: names.iter().map(|name| (*name).to_owned()).collect(), ..Request::default() }
}

/// The options of a section, as `name=value`.
fn options(tree: &Tree, file: &str, section: &str) -> Vec<String> {
    let text = text(tree, file);
    let document = crate::wire::uci::parse(text.as_bytes());
    let section = document.sections.iter().find(|s| s.name.as_deref() == Some(section)).expect("there");
    let shown = |e: &crate::wire::uci::Entry<'_>| format!("{}={}", e.name, String::from_utf8_lossy(e.value.octets()));
    section.entries.iter().map(shown).collect()
}

#[test]
fn what_hostapd_is_told() {
    let radius =
        ["ppsk=1", "auth_server=127.0.0.1", "auth_port=1812", "auth_secret=SWQXK-JVZRP-RADIUS-9", "acct_port=1813"];
    let asks = ["hostapd_bss_options=wpa_psk_radius=3", "hostapd_bss_options=macaddr_acl=0"];
    let file = ["hostapd_bss_options=wpa_psk_file=/var/run/latchkey/psk/lk_home"];
    let forgets = ["hostapd_bss_options=disable_pmksa_caching=1", "hostapd_bss_options=okc=0"];
    let (full, basic) = ("wpad-openssl", "wpad-basic-mbedtls");
    use Security::{Enterprise, Mixed, Wpa2, Wpa3};
    for (release, wpad, security, encryption, with, without) in [
        ("24.10.4", full, Wpa2, "psk2", [&radius[..], &asks].concat(), "key="),
        ("25.12.0", full, Wpa2, "psk2", [&radius[..], &asks].concat(), "key="),
        ("23.05.5", full, Wpa2, "psk2", [&radius[..], &asks].concat(), "key="),
        ("22.03.7", full, Wpa2, "psk2", radius.to_vec(), "hostapd_bss_options"),
        ("24.10.4", basic, Wpa2, "psk2", file.to_vec(), "ppsk"),
        ("24.10.4", full, Wpa3, "sae", forgets.to_vec(), "wpa_psk_file"),
        ("24.10.4", basic, Mixed, "sae-mixed", [&file[..], &forgets].concat(), "auth_server"),
        ("24.10.4", full, Enterprise, "wpa2", [&radius[1..], &["ieee80211w=1"]].concat(), "ppsk"),
    ] {
        let about = format!("{release} {wpad} {security}");
        let mut tree = Router { release, wpad, ..Router::default() }.tree();
        let plan = made(&tree, &Action::Have(home(&["radio0"], Some(security))));
        carry_out(&mut tree, &plan);
        let iface = options(&tree, "wireless", "lk_home_radio0");
        for option in with.iter().copied().chain(["dynamic_vlan=1", "network=lan", "mode=ap", "ssid=Home"]) {
            assert!(iface.iter().any(|have| have == option), "{about}: {option} is missing of {iface:?}");
        }
        assert!(iface.contains(&format!("encryption={encryption}")), "{about}: {iface:?}");
        assert!(!iface.iter().any(|have| have.contains(without)), "{about}: {without} in {iface:?}");
        // per_sta_vif needs a wildcard in hostapd's vlan_file, which OpenWrt's never has: it would refuse every station.
        assert!(!iface.iter().any(|have| have.contains("per_sta_vif")), "{about}");
        assert!(made(&tree, &Action::Have(Request::default())).is_empty(), "{about}: as it is wanted");
        let shown = plan.to_json().to_string();
        assert!(!shown.contains("SWQXK") && shown.contains("(hidden)"), "{shown}");
    }
}

#[test]
fn wifi_vlans() {
    let mut tree = Router::default().tree();
    let plan = made(&tree, &Action::Have(home(&["radio0"], None)));
    carry_out(&mut tree, &plan);
    let expected = ["iface=lk_home_radio0", "name=20", "vid=20", "network=lk_iot", "bridge_isolate=1"];
    assert_eq!(options(&tree, "wireless", "lk_iot"), expected);
    // A longer name than a firewall zone's may be.
    assert_eq!(options(&tree, "wireless", "lk_v40")[1..4], ["name=40", "vid=40", "network=lk_v40"]);
    assert!(text(&tree, "latchkey").contains("\toption bridge 'br-lk-v40'\n"));
    for name in ["phy0-ap0-4094", "phy0.1-ap0-4094", "br-lk-12345678"] {
        assert!(name.len() <= crate::network::NAME, "{name}");
    }
}

#[test]
fn an_upgrade_is_planned_anew() {
    let mut tree = Router { wpad: "wpad-basic-mbedtls", release: "22.03.7", ..Router::default() }.tree();
    let plan = made(&tree, &Action::Have(home(&["radio0"], None)));
    carry_out(&mut tree, &plan);
    assert!(text(&tree, "latchkey").contains("option backend 'psk-file'"));
    // Options that somebody added stay, also raw ones.
    let wireless = text(&tree, "wireless").replace(
        "\toption encryption 'psk2'\n",
        "\toption encryption 'psk2'\n\toption hidden '1'\n\tlist hostapd_bss_options 'max_num_sta=20'\n",
    );
    let (_, of_wireless) = tree.files.iter_mut().find(|(name, _)| *name == "wireless").expect("there");
    *of_wireless = Some(Zeroizing::new(wireless.into_bytes()));
    assert!(made(&tree, &Action::Have(Request::default())).is_empty());
    tree.facts = Router { release: "25.12.0", ..Router::default() }.tree().facts;
    let upgrade = made(&tree, &Action::Have(Request::default()));
    carry_out(&mut tree, &upgrade);
    let iface = options(&tree, "wireless", "lk_home_radio0");
    let raw: Vec<&String> = iface.iter().filter(|option| option.starts_with("hostapd_bss_options=")).collect();
    assert_eq!(raw.len(), 3, "{iface:?}");
    assert!(
        raw[0].ends_with("max_num_sta=20") && raw[1].ends_with("wpa_psk_radius=3") && raw[2].ends_with("macaddr_acl=0")
    );
    assert!(iface.contains(&"hidden=1".into()) && iface.contains(&"ppsk=1".into()));
    assert!(!iface.iter().any(|option| option.starts_with("key=")));
    assert!(!text(&tree, "latchkey").contains("backend"));
    assert!(made(&tree, &Action::Have(Request::default())).is_empty());
}

#[test]
fn a_radio_that_was_off_brings_nothing_else_on_the_air() {
    let mut tree = Router::default().tree();
    let plan = made(&tree, &Action::Have(home(&["radio6"], Some(Security::Wpa3))));
    assert!(
        plan.summary.iter().any(|line| line.contains("the network 'Open' of radio6 stays off the air")),
        "{:?}",
        plan.summary
    );
    carry_out(&mut tree, &plan);
    assert!(text(&tree, "wireless").contains("\toption ssid 'Open'\n\toption disabled '1'\n"));
    assert!(options(&tree, "wireless", "lk_home_radio6").contains(&"encryption=sae".into()));
    let plan = made(&tree, &Action::Remove(Removal::default()));
    carry_out(&mut tree, &plan);
    assert_eq!(text(&tree, "wireless"), WIRELESS);
    assert_eq!(text(&tree, "latchkey"), LATCHKEY);
}

#[test]
fn what_profiles_have_becomes_their_network() {
    let latchkey = LATCHKEY.replace(
        "\toption access 'internet'\n",
        "\toption access 'internet'\n\toption isolate '0'\n\toption address '10.5.0.1/26'\n\tlist allow '192.168.1.10 tcp 80-81'\n\
         \tlist allow '192.168.1.1 udp 123'\n\tlist allow '192.168.1.20'\n",
    );
    let mut tree = Router { latchkey, ..Router::default() }.tree();
    let plan = made(&tree, &Action::Have(profiles(&["iot"])));
    carry_out(&mut tree, &plan);
    let network = options(&tree, "network", "lk_iot");
    assert_eq!(network, ["device=br-lk-iot", "proto=static", "ipaddr=10.5.0.1/26"]);
    assert_eq!(options(&tree, "dhcp", "lk_iot"), ["interface=lk_iot", "start=2", "limit=61", "leasetime=12h"]);
    let rule = |name: &str| options(&tree, "firewall", name)[1..].join(" ");
    assert_eq!(rule("lk_iot_allow1"), "src=lk_iot dest=* dest_ip=192.168.1.10 proto=tcp dest_port=80-81 target=ACCEPT");
    // This box itself.
    assert_eq!(rule("lk_iot_allow2"), "src=lk_iot dest_ip=192.168.1.1 proto=udp dest_port=123 target=ACCEPT");
    assert_eq!(rule("lk_iot_allow3"), "src=lk_iot dest=* dest_ip=192.168.1.20 proto=all target=ACCEPT");
    assert_eq!(options(&tree, "firewall", "lk_iot_wan"), ["src=lk_iot", "dest=wan"]);
    assert_eq!(rule("lk_iot_dns"), "src=lk_iot proto=tcp proto=udp dest_port=53 target=ACCEPT");

    // Stricter, and the rules follow.
    let latchkey = text(&tree, "latchkey")
        .replace("access 'internet'", "access 'isolated'")
        .replace("\tlist allow '192.168.1.20'\n", "");
    let at = tree.files.iter().position(|(name, _)| *name == "latchkey").expect("there");
    tree.files[at].1 = Some(Zeroizing::new(latchkey.into_bytes()));
    let plan = made(&tree, &Action::Have(Request::default()));
    let lines: Vec<String> = plan
        .files
        .iter()
        .flat_map(|f| &f.lines)
        .filter(|l| l.sign != ' ' && l.text.starts_with("config"))
        .map(|l| format!("{}{}", l.sign, l.text))
        .collect();
    assert_eq!(lines, ["-config forwarding 'lk_iot_wan'", "-config rule 'lk_iot_allow3'"], "{:?}", plan.summary);
    // A profile that is gone takes its network along.
    let latchkey = text(&tree, "latchkey").split("config profile 'iot'").next().expect("a part").to_owned()
        + "config profile 'plain'\n";
    tree.files[at].1 = Some(Zeroizing::new(latchkey.into_bytes()));
    act(&mut tree, &Action::Have(Request::default()));
    assert_eq!(text(&tree, "network"), NETWORK);
    assert_eq!(text(&tree, "firewall"), FIREWALL);
}

#[test]
fn profiles_of_one_vlan_share_a_network() {
    let latchkey = LATCHKEY
        .replace("vlan '40'", "vlan '20'")
        .replace("\nconfig profile 'plain'", "\toption access 'isolated'\n\nconfig profile 'plain'");
    let mut tree = Router { latchkey: latchkey.clone(), ..Router::default() }.tree();
    let plan = made(&tree, &Action::Have(profiles(&["surveillance"])));
    carry_out(&mut tree, &plan);
    assert_eq!(text(&tree, "latchkey").matches("option bridge 'br-lk-iot'").count(), 2);
    // The strictest holds for both: no way to the Internet.
    assert!(!text(&tree, "firewall").contains("lk_iot_wan"));
    let plan = made(&tree, &Action::Remove(Removal { profiles: vec!["iot".into()], ssids: vec![] }));
    assert!(plan.warnings.iter().any(|text| text.contains("lose their network together")));
    carry_out(&mut tree, &plan);
    assert_eq!(text(&tree, "latchkey"), latchkey);
}

#[test]
fn a_network_that_is_there_is_used() {
    let network = format!("{NETWORK}\nconfig interface 'things'\n\toption device 'br-things'\n\toption proto 'none'\n");
    let latchkey = LATCHKEY.replace("vlan '20'\n", "vlan '20'\n\toption bridge 'br-things'\n");
    let mut tree = Router { network: network.clone(), latchkey, ..Router::default() }.tree();
    let plan = made(&tree, &Action::Have(Request { profiles: vec!["iot".into()], ..home(&["radio0"], None) }));
    assert!(
        plan.summary.iter().any(|line| line == "profile iot uses network things, which is there already"),
        "{:?}",
        plan.summary
    );
    carry_out(&mut tree, &plan);
    assert_eq!(text(&tree, "network"), network);
    assert!(options(&tree, "wireless", "lk_iot").contains(&"network=things".into()));
    assert!(made(&tree, &Action::Have(Request::default())).is_empty());
    assert!(plan.warnings.iter().any(|text| text.starts_with("profile surveillance (VLAN 40) has no network here")));
}

#[test]
fn the_administrators_own_ssid_section_stays_his() {
    let latchkey = format!("{LATCHKEY}\nconfig ssid 'mine'\n\toption ssid 'Home'   # ours\n\toption security wpa2\n");
    let mut tree = Router { latchkey: latchkey.clone(), ..Router::default() }.tree();
    let plan = made(&tree, &Action::Have(home(&["radio0"], Some(Security::Mixed))));
    carry_out(&mut tree, &plan);
    let now = text(&tree, "latchkey");
    assert!(now.contains("\toption security 'mixed'\n\toption backend 'psk-file'\n"), "{now}");
    assert!(
        options(&tree, "wireless", "lk_home_radio0")
            .contains(&"hostapd_bss_options=wpa_psk_file=/var/run/latchkey/psk/mine".into())
    );
    act(&mut tree, &Action::Remove(Removal { profiles: vec![], ssids: vec!["Home".into()] }));
    assert!(text(&tree, "latchkey").contains("\toption ssid 'Home'   # ours\n\toption security wpa2\n"));
    act(&mut tree, &Action::Remove(Removal::default()));
    assert_eq!(text(&tree, "latchkey"), latchkey);
}

#[test]
fn without_a_client_one_is_made() {
    let latchkey = LATCHKEY.replace("127.0.0.1", "192.0.2.1");
    let mut tree = Router { latchkey: latchkey.clone(), ..Router::default() }.tree();
    let plan = made(&tree, &Action::Have(home(&["radio0"], None)));
    carry_out(&mut tree, &plan);
    assert_eq!(options(&tree, "latchkey", "lk_local")[0], "address=127.0.0.1");
    let secret = options(&tree, "latchkey", "lk_local")[1].replace("secret=", "");
    assert!(
        secret.len() == 32 && options(&tree, "wireless", "lk_home_radio0").contains(&format!("acct_secret={secret}"))
    );
    assert!(made(&tree, &Action::Have(Request::default())).is_empty());
    act(&mut tree, &Action::Remove(Removal::default()));
    assert_eq!(text(&tree, "latchkey"), latchkey);
}

#[test]
fn what_is_refused() {
    let replaced = |from: &str, to: &str| Router { latchkey: LATCHKEY.replace(from, to), ..Router::default() };
    let wireless = |text: &str| Router { wireless: text.into(), ..Router::default() };
    let filtering = format!(
        "{NETWORK}\nconfig bridge-vlan\n\toption device 'br-lan'\n\toption vlan '1'\n\tlist ports 'lan1:u*'\n\tlist ports 'lan2:t'\n\
         \nconfig bridge-vlan\n\toption device 'br-lan'\n\toption vlan '40'\n"
    );
    let filters = || Router { network: filtering.clone(), ..Router::default() };
    let bridge = |name: &str, ports: &[(&str, bool)], names: &[&str]| {
        let ports = ports.iter().map(|(port, tagged)| ((*port).to_owned(), *tagged)).collect();
        Request { bridge: Some(BridgeRequest { name: name.into(), ports }), ..profiles(names) }
    };
    let taken = format!("{WIRELESS}\nconfig wifi-iface\n\toption device 'radio0'\n\toption ssid 'Home'\n");
    let no_country = WIRELESS.replace("\toption band '2g'\n\toption country 'DE'\n", "\toption band '2g'\n");
    let new = Router { release: "25.12.0", wireless: no_country.clone(), ..Router::default() };
    for (case, request, code, field, says) in [
        (Router::default(), home(&["radio7"], None), "argument", "radio", "there are radio0 (2g), radio6 (6g)"),
        (Router::default(), home(&["radio6"], None), "argument", "radio", "6 GHz radio, where there is no WPA2"),
        (wireless(""), home(&[], None), "argument", "radio", "this box has no radio"),
        (
            wireless("config wifi-device 'r'\n\toption disabled 1\n"),
            home(&[], None),
            "argument",
            "radio",
            "every radio is switched off",
        ),
        (wireless(&taken), home(&["radio0"], None), "taken", "ssid", "--take-over switches it off"),
        (new, home(&["radio0"], None), "country", "country", "radio0 has no option country"),
        (Router { wpad: "wpad-mini", ..Router::default() }, Request::default(), "", "", ""),
        (
            Router { wpad: "wpad-basic", ..Router::default() },
            home(&[], Some(Security::Enterprise)),
            "wpad",
            "security",
            "install wpad-mbedtls",
        ),
        (Router::default(), profiles(&["lot"]), "argument", "profile", "there are iot, surveillance, plain"),
        (Router::default(), profiles(&["plain"]), "argument", "profile", "has no VLAN"),
        (Router::default(), bridge("br-lan", &[], &["iot"]), "lockout", "bridge", "would cut off everybody behind it"),
        (filters(), bridge("br-lam", &[], &["iot"]), "argument", "bridge", "there are br-lan"),
        (filters(), bridge("br-lan", &[], &[]), "argument", "bridge", "say which"),
        (filters(), bridge("br-lan", &[("lan9", true)], &["iot"]), "argument", "port", "its ports are lan1, lan2"),
        (filters(), bridge("br-lan", &[("lan1", false)], &["iot"]), "taken", "port", "untagged port of VLAN 1"),
        (
            filters(),
            bridge("br-lan", &[("lan2", false)], &["iot", "surveillance"]),
            "argument",
            "port",
            "name one profile",
        ),
        (
            filters(),
            bridge("br-lan", &[("lan2", true)], &["surveillance"]),
            "taken",
            "port",
            "VLAN 40 of br-lan is there already",
        ),
        (
            replaced("vlan '20'\n", "vlan '20'\n\toption address '192.168.1.5/28'\n"),
            profiles(&["iot"]),
            "taken",
            "profile",
            "overlaps network lan (192.168.1.1/24)",
        ),
        (
            replaced("vlan '20'\n", "vlan '20'\n\toption address '10.0.0.1/30'\n"),
            profiles(&["iot"]),
            "argument",
            "profile",
            "no room for devices",
        ),
        (replaced("vlan", "vlam"), profiles(&["iot"]), "config", "", "has to be mended first:\n/etc/config/latchkey:"),
        (
            replaced("config client\n", "config latchkey\n\toption bridges 'manage'\n\nconfig client\n"),
            profiles(&["iot"]),
            "config",
            "",
            "set it to 'leave'",
        ),
        (
            wireless("config 'wifi"),
            home(&[], None),
            "config",
            "",
            "/etc/config/wireless has to be mended first: line 1",
        ),
        (
            replaced(
                "'iot'\n",
                "'iot'\n\nconfig ssid\n\toption ssid 'Home'\n\toption security wpa3\n\nconfig profile 'b'\n",
            ),
            home(&["radio0"], None),
            "config",
            "ssid",
            "write config ssid 'NAME'",
        ),
    ] {
        match plan(&case.tree(), &Action::Have(request.clone()), &mut fill) {
            Ok(plan) => assert!(code.is_empty() && plan.is_empty(), "{request:?}"),
            Err(why) => {
                assert_eq!((why.code, why.field), (code, field), "{why:?}");
                assert!(why.message.contains(says), "{} instead of {says}", why.message);
                assert!(!why.message.contains("SWQXK"), "no secrets");
            }
        }
    }
    for removal in
        [Removal { profiles: vec!["iot".into()], ssids: vec![] }, Removal { profiles: vec![], ssids: vec!["x".into()] }]
    {
        let why = plan(&Router::default().tree(), &Action::Remove(removal), &mut fill).err().expect("nothing is there");
        assert_eq!(why.code, "argument");
    }
    // The country can be given along.
    let mut tree = Router { release: "25.12.0", wireless: no_country.clone(), ..Router::default() }.tree();
    let with = Request { country: Some("AT".into()), ..home(&["radio0"], None) };
    act(&mut tree, &Action::Have(with));
    assert!(options(&tree, "wireless", "radio0").contains(&"country=AT".into()));
    act(&mut tree, &Action::Remove(Removal::default()));
    assert_eq!(text(&tree, "wireless"), no_country);
}

#[test]
fn a_vlan_of_a_bridge_that_filters() {
    let network =
        format!("{NETWORK}\nconfig bridge-vlan\n\toption device 'br-lan'\n\toption vlan '1'\n\tlist ports 'lan1'\n");
    let mut tree = Router { network: network.clone(), ..Router::default() }.tree();
    let ask = |ports: &[(&str, bool)]| {
        let ports = ports.iter().map(|(port, tagged)| ((*port).to_owned(), *tagged)).collect();
        Action::Have(Request { bridge: Some(BridgeRequest { name: "br-lan".into(), ports }), ..profiles(&["iot"]) })
    };
    act(&mut tree, &ask(&[("lan1", true), ("lan2", false)]));
    assert_eq!(options(&tree, "network", "lk_iot_bv"), ["device=br-lan", "vlan=20", "ports=lan1:t", "ports=lan2:u*"]);
    assert_eq!(options(&tree, "network", "lk_iot")[0], "device=br-lan.20");
    assert!(text(&tree, "latchkey").contains("option bridge 'br-lan.20'"));
    assert!(made(&tree, &Action::Have(Request::default())).is_empty());
    act(&mut tree, &ask(&[("lan1", true)]));
    assert_eq!(options(&tree, "network", "lk_iot_bv")[2..], ["ports=lan1:t"]);
    act(&mut tree, &Action::Remove(Removal::default()));
    assert_eq!(text(&tree, "network"), network);
    // From a bridge of its own to a VLAN of this one.
    act(&mut tree, &Action::Have(profiles(&["iot"])));
    act(&mut tree, &ask(&[]));
    assert!(!text(&tree, "network").contains("br-lk-iot") && text(&tree, "latchkey").contains("'br-lan.20'"));
    act(&mut tree, &Action::Remove(Removal::default()));
    assert_eq!((text(&tree, "network"), text(&tree, "latchkey")), (network, LATCHKEY.to_owned()));
}

#[test]
fn two_ssids_and_one_less() {
    let mut tree = Router::default().tree();
    act(&mut tree, &Action::Have(home(&["radio0"], None)));
    let one = text(&tree, "wireless");
    let mut guests = home(&["radio0"], None);
    guests.ssid.as_mut().expect("asked").ssid = "Home!".into();
    act(&mut tree, &Action::Have(guests));
    // Their sections' names would be the same.
    assert_eq!(options(&tree, "wireless", "lk_iot")[..2], ["iface=lk_home_radio0", "iface=lk_home_radio0_2"]);
    let status = status(&tree).expect("readable");
    assert_eq!(status["managed"]["ssids"].as_array().map(Vec::len), Some(2), "{status}");
    assert!(!status.to_string().contains("SWQXK"));
    act(&mut tree, &Action::Remove(Removal { profiles: vec![], ssids: vec!["Home!".into()] }));
    assert_eq!(text(&tree, "wireless"), one);
}

#[test]
fn the_fingerprint_is_of_what_is_shown() {
    let tree = Router { wpad: "wpad-basic-mbedtls", ..Router::default() }.tree();
    let action = Action::Have(home(&["radio0"], None));
    let other = plan(&tree, &action, &mut |buffer| buffer.fill(9)).expect("a plan");
    let same = made(&tree, &action);
    // Another random key, but nobody sees it.
    assert_eq!(same.fingerprint, other.fingerprint);
    assert_ne!(same.files[3].after, other.files[3].after);
    assert_ne!(made(&tree, &Action::Have(profiles(&["iot"]))).fingerprint, same.fingerprint);
}
