//! What few boxes have: names that meet, files changed by hand, addresses of both families.

use super::*;
use crate::config::Config;

/// A file of a box, changed by hand.
fn edit(tree: &mut Tree, file: &str, change: impl Fn(String) -> String) {
    let new = change(text(tree, file));
    let (_, present) = tree.files.iter_mut().find(|(name, _)| *name == file).expect("known");
    *present = Some(Zeroizing::new(new.into_bytes()));
}

fn refused(tree: &Tree, action: &Action) -> Refused {
    plan(tree, action, &mut fill).err().expect("refused")
}

#[test]
fn ipv6_as_a_whole() {
    let latchkey = LATCHKEY.replace(
        "vlan '20'\n",
        "vlan '20'\n\tlist address '10.5.0.1/24'\n\tlist address 'fd00:20::1/64'\n\tlist allow 'fd00:1::1 tcp 443'\n\
         \tlist allow 'fd00:1::9 icmp'\n",
    );
    let network = format!("{NETWORK}\tlist ip6addr 'fd00:1::1/64'\n");
    let mut tree = Router { latchkey: latchkey.clone(), network: network.clone(), ..Router::default() }.tree();
    let first = made(&tree, &Action::Have(profiles(&["iot"])));
    assert!(first.summary[0].starts_with("network lk_iot (10.5.0.1/24, fd00:20::1/64) for"), "{:?}", first.summary);
    assert!(!first.warnings.iter().any(|text| text.contains("IPv6")), "{:?}", first.warnings);
    carry_out(&mut tree, &first);
    assert_eq!(options(&tree, "network", "lk_iot")[2..], ["ipaddr=10.5.0.1/24", "ip6addr=fd00:20::1/64"]);
    assert_eq!(
        options(&tree, "dhcp", "lk_iot")[4..],
        ["ra=server", "ra_flags=managed-config", "ra_flags=other-config", "dhcpv6=server"]
    );
    let rule = |tree: &Tree, name: &str| options(tree, "firewall", name)[1..].join(" ");
    assert_eq!(
        rule(&tree, "lk_iot_icmp6"),
        "src=lk_iot proto=icmp icmp_type=router-solicitation icmp_type=neighbour-solicitation \
         icmp_type=neighbour-advertisement icmp_type=echo-request family=ipv6 target=ACCEPT"
    );
    assert_eq!(rule(&tree, "lk_iot_dhcp6"), "src=lk_iot proto=udp dest_port=547 family=ipv6 target=ACCEPT");
    // This box itself is input, whatever the family.
    assert_eq!(rule(&tree, "lk_iot_allow1"), "src=lk_iot dest_ip=fd00:1::1 proto=tcp dest_port=443 target=ACCEPT");
    assert_eq!(rule(&tree, "lk_iot_allow2"), "src=lk_iot dest=* dest_ip=fd00:1::9 proto=icmp target=ACCEPT");
    assert!(made(&tree, &Action::Have(Request::default())).is_empty());

    // Without it again, and what somebody put there himself stays.
    let mut less = tree;
    edit(&mut less, "latchkey", |text| text.replace("\tlist address 'fd00:20::1/64'\n", ""));
    act(&mut less, &Action::Have(Request::default()));
    assert_eq!(options(&less, "network", "lk_iot")[2..], ["ipaddr=10.5.0.1/24"]);
    assert_eq!(options(&less, "dhcp", "lk_iot").len(), 4);
    assert!(!text(&less, "firewall").contains("6'"), "{}", text(&less, "firewall"));
    edit(&mut less, "network", |text| {
        text.replace(
            "\toption ipaddr '10.5.0.1/24'\n",
            "\toption ipaddr '10.5.0.1/24'\n\toption ip6addr 'fd00:7::1/64'\n",
        )
    });
    assert!(made(&less, &Action::Have(Request::default())).is_empty());
    act(&mut less, &Action::Remove(Removal::default()));
    assert_eq!(text(&less, "network"), network);

    // Two networks with the same prefix.
    let latchkey = latchkey.replace("fd00:20::1/64", "fd00:1::2/48");
    let tree = Router { latchkey, network, ..Router::default() }.tree();
    let why = refused(&tree, &Action::Have(profiles(&["iot"])));
    assert_eq!(why.code, "taken");
    assert!(why.message.contains("fd00:1::2/48 of profile iot overlaps network lan (fd00:1::1/64)"), "{}", why.message);
}

#[test]
fn hostapd_and_its_client_agree() {
    let main = |auth: &str, acct: &str| {
        format!("config latchkey\n\toption auth_listen '{auth}'\n\toption acct_listen '{acct}'\n\n{LATCHKEY}")
    };
    for (auth, acct, servers, clients) in [
        ("[::]:1812", "[::]:1813", ["::1", "::1"], vec!["::1"]),
        ("[::1]:1812", "127.0.0.1:1813", ["::1", "127.0.0.1"], vec!["::1"]),
        ("0.0.0.0:1812", "127.0.0.1:1813", ["127.0.0.1", "127.0.0.1"], vec![]),
        ("192.168.1.1:1812", "[::]:1813", ["192.168.1.1", "::1"], vec!["192.168.1.1", "::1"]),
    ] {
        let latchkey = main(auth, acct);
        let mut tree = Router { latchkey: latchkey.clone(), ..Router::default() }.tree();
        act(&mut tree, &Action::Have(home(&["radio0"], None)));
        let iface = options(&tree, "wireless", "lk_home_radio0");
        for (option, server) in ["auth_server", "acct_server"].into_iter().zip(servers) {
            assert!(iface.contains(&format!("{option}={server}")), "{auth} {acct}: {iface:?}");
        }
        let config = Config::parse(text(&tree, "latchkey").as_str()).expect("valid");
        for server in servers {
            let client = config.client_for(server.parse().expect("an address")).expect(server);
            let made = clients.contains(&server);
            assert_eq!(client.name.starts_with("lk_local"), made, "{auth} {acct}: {}", client.name);
        }
        assert_eq!(text(&tree, "latchkey").matches("config client 'lk_local").count(), clients.len(), "{auth} {acct}");
        assert!(made(&tree, &Action::Have(Request::default())).is_empty(), "{auth} {acct}");
        act(&mut tree, &Action::Remove(Removal::default()));
        assert_eq!(text(&tree, "latchkey"), latchkey, "{auth} {acct}");
    }
}

#[test]
fn an_ssid_and_a_client_of_one_name() {
    let latchkey = LATCHKEY.replace("127.0.0.1", "192.0.2.1");
    let mut tree = Router { latchkey: latchkey.clone(), ..Router::default() }.tree();
    let mut wish = home(&["radio0"], None);
    wish.ssid.as_mut().expect("asked").ssid = "local".into();
    act(&mut tree, &Action::Have(wish));
    assert_eq!(options(&tree, "latchkey", "lk_ssid_local")[0], "ssid=local");
    assert_eq!(options(&tree, "latchkey", "lk_local")[0], "address=127.0.0.1");
    // And when the client's name is somebody's already.
    let latchkey = format!("{latchkey}\nconfig ssid 'lk_local'\n\toption ssid 'mine'\n");
    let mut tree = Router { latchkey, ..Router::default() }.tree();
    tree.record.sections.push(("network".into(), "lk_of_before".into()));
    act(&mut tree, &Action::Have(home(&["radio0"], None)));
    assert_eq!(options(&tree, "latchkey", "lk_local_2")[0], "address=127.0.0.1");
}

#[test]
fn networks_that_cannot_be_told_apart() {
    let twice =
        "\nconfig wifi-iface\n\toption device 'radio0'\n\toption ssid 'Home'\n\toption key 'SWQXK-1'\n".repeat(2);
    let wireless = format!("{WIRELESS}{twice}");
    let tree = Router { wireless: wireless.clone(), ..Router::default() }.tree();
    let mut wish = home(&["radio0"], None);
    wish.ssid.as_mut().expect("asked").take_over = true;
    let why = refused(&tree, &Action::Have(wish.clone()));
    assert_eq!((why.code, why.field), ("taken", "ssid"));
    assert!(why.message.contains("config wifi-iface 'NAME'"), "{}", why.message);
    // Nor are those of a radio that is switched on.
    let off = wireless.replacen("\toption country 'DE'\n", "\toption country 'DE'\n\toption disabled '1'\n", 1);
    let tree = Router { wireless: off, ..Router::default() }.tree();
    let mut other = home(&["radio0"], None);
    other.ssid.as_mut().expect("asked").ssid = "Other".into();
    assert_eq!(refused(&tree, &Action::Have(other)).code, "taken");
    // With names it is possible, and both are switched off.
    let named =
        wireless.replacen("wifi-iface\n\toption device 'radio0'", "wifi-iface 'a'\n\toption device 'radio0'", 1);
    let mut tree = Router { wireless: named.clone(), ..Router::default() }.tree();
    act(&mut tree, &Action::Have(wish));
    assert_eq!(text(&tree, "wireless").matches("\toption key 'SWQXK-1'\n\toption disabled '1'\n").count(), 2);

    // One that was renamed meanwhile is not found again, and it is said; the other comes back.
    edit(&mut tree, "wireless", |text| {
        text.replace(
            "config wifi-iface\n\toption device 'radio0'\n\toption ssid 'Home'",
            "config wifi-iface\n\toption device 'radio0'\n\toption ssid 'House'",
        )
    });
    let plan = made(&tree, &Action::Remove(Removal::default()));
    let said = "option disabled of the network 'Home' of radio0 was changed by somebody else, or its section is not there any \
                more: it is not put back (it was: not there)";
    assert_eq!(plan.warnings.iter().filter(|text| *text == said).count(), 1, "{:?}", plan.warnings);
    assert!(
        plan.summary.contains(&"the network 'Home' that radio0 had is switched on again".into()),
        "{:?}",
        plan.summary
    );
    // Who has put it back himself need not be told.
    edit(&mut tree, "wireless", |text| {
        text.replace("\toption disabled '1'\n\nconfig wifi-iface\n", "\nconfig wifi-iface\n")
    });
    let plan = made(&tree, &Action::Remove(Removal::default()));
    assert!(!plan.warnings.iter().any(|text| text.contains("wifi-iface a")), "{:?}", plan.warnings);
}

#[test]
fn sections_of_others_with_names_like_ours() {
    let mut tree = Router::default().tree();
    act(&mut tree, &Action::Have(Request { profiles: vec!["iot".into()], ..home(&["radio0"], None) }));
    let (rule, iface) = (
        "\nconfig rule 'lk_iot_printer'\n\toption src 'lk_iot'\n\toption target 'ACCEPT'\n",
        "\nconfig wifi-iface 'lk_guests'\n\toption device 'radio0'\n\toption mode 'ap'\n\toption ssid 'Guests'\n\toption key 'SWQXK'\n",
    );
    edit(&mut tree, "firewall", |text| text + rule);
    edit(&mut tree, "wireless", |text| text + iface);
    assert!(made(&tree, &Action::Have(Request::default())).is_empty(), "they are nobody's business");
    let lost = Tree { record: Record::default(), ..copied(&tree) };
    act(&mut tree, &Action::Remove(Removal::default()));
    assert_eq!(text(&tree, "firewall"), format!("{FIREWALL}{rule}"));
    assert_eq!(text(&tree, "wireless"), format!("{WIRELESS}{iface}"));
    assert_eq!(tree.record, Record::default());
    // Without the record there is nothing but the names to go by, and each is said.
    let plan = made(&lost, &Action::Remove(Removal::default()));
    for said in ["firewall zone lk_iot loses rule lk_iot_printer", "SSID Guests goes from radio0", "SSID Home goes"] {
        assert!(plan.summary.iter().any(|line| line == said), "{said}: {:?}", plan.summary);
    }
    assert_eq!(plan.summary.iter().filter(|line| line.contains("lk_iot")).count(), 2, "{:?}", plan.summary);
}

fn copied(tree: &Tree) -> Tree {
    Tree { files: tree.files.clone(), facts: tree.facts.clone(), record: tree.record.clone() }
}

#[test]
fn names_of_profiles_that_meet_those_of_sections() {
    let names =
        ["lk_x", "x", "iot", "iot_dev", "iot_bv", "iot_dns", "iot_dhcp", "iot_wan", "a_icmp6", "a", "b_allow1", "b"];
    let mut latchkey = String::new();
    for (name, vlan) in names.iter().zip(50..) {
        latchkey.push_str(&format!(
            "config profile '{name}'\n\toption vlan '{vlan}'\n\toption access 'internet'\n\
                                    \toption address 'fd00:{vlan}::1/64'\n\n"
        ));
    }
    let mut tree = Router { latchkey: latchkey.clone(), ..Router::default() }.tree();
    act(&mut tree, &Action::Have(profiles(&names)));
    assert!(made(&tree, &Action::Have(profiles(&names))).is_empty());
    let interfaces = text(&tree, "network").matches("config interface 'lk_").count();
    assert_eq!((interfaces, text(&tree, "latchkey").matches("option bridge ").count()), (names.len(), names.len()));
    // A later one leaves all of them alone.
    act(&mut tree, &Action::Remove(Removal { profiles: vec!["iot".into()], ssids: vec![] }));
    let network = text(&tree, "network");
    assert_eq!(network.matches("config interface 'lk_").count(), names.len() - 1);
    assert!(network.contains("config interface 'lk_lk_x'") && !network.contains("'lk_iot'"), "{network}");
    act(&mut tree, &Action::Remove(Removal::default()));
    assert_eq!((text(&tree, "network"), text(&tree, "latchkey")), (NETWORK.to_owned(), latchkey));
}

#[test]
fn from_enterprise_to_keys() {
    let mut tree = Router::default().tree();
    act(&mut tree, &Action::Have(home(&["radio0"], Some(Security::Enterprise))));
    let pmf = |tree: &Tree| options(tree, "wireless", "lk_home_radio0").contains(&"ieee80211w=1".to_owned());
    assert!(pmf(&tree));
    // WPA3 without protected management frames is none.
    act(&mut tree, &Action::Have(home(&["radio0"], Some(Security::Wpa3))));
    assert!(!pmf(&tree));
}

#[test]
fn without_a_network_for_devices_that_have_no_vlan() {
    let network = NETWORK.replace("interface 'lan'", "interface 'house'");
    let plan = made(&Router { network, ..Router::default() }.tree(), &Action::Have(home(&["radio0"], None)));
    assert!(
        plan.warnings
            .iter()
            .any(|text| text.starts_with("there is no network lan, so devices without a VLAN join 'Home'")),
        "{:?}",
        plan.warnings
    );
}

#[test]
fn what_stays_does_not_hold_up_what_goes() {
    let mut tree = Router { release: "25.12.0", ..Router::default() }.tree();
    act(&mut tree, &Action::Have(home(&["radio0"], Some(Security::Enterprise))));
    let mut other = home(&["radio0"], None);
    other.ssid.as_mut().expect("asked").ssid = "Other".into();
    act(&mut tree, &Action::Have(other));
    // Since then the radio has lost its country, and the package that can do RADIUS is another one.
    edit(&mut tree, "wireless", |text| text.replacen("\toption country 'DE'\n", "", 1));
    tree.facts.wpad = Some(Wpad { package: "wpad-basic-mbedtls".into(), radius: false });
    assert_eq!(refused(&tree, &Action::Have(Request::default())).code, "wpad");
    let plan = made(&tree, &Action::Remove(Removal { profiles: vec![], ssids: vec!["Other".into()] }));
    assert!(plan.warnings.iter().any(|text| text.starts_with("radio0 has no option country")), "{:?}", plan.warnings);
    assert!(plan.summary.contains(&"SSID Other goes".into()), "{:?}", plan.summary);
}

#[test]
fn who_is_kept_apart_and_who_is_not() {
    let latchkey = LATCHKEY.replace("option vlan '40'\n", "option vlan '40'\n\toption isolate '0'\n");
    let mut tree = Router { latchkey, ..Router::default() }.tree();
    let plan = made(&tree, &Action::Have(home(&["radio0"], None)));
    let about = |plan: &Plan| plan.warnings.iter().filter(|text| text.contains("reach each other")).cloned().collect();
    let said: Vec<String> = about(&plan);
    assert!(said.len() == 1 && said[0].contains("on the same radio (profiles iot)"), "{said:?}");
    carry_out(&mut tree, &plan);
    assert!(options(&tree, "wireless", "lk_iot").contains(&"bridge_isolate=1".into()));
    assert!(!options(&tree, "wireless", "lk_v40").contains(&"bridge_isolate=1".into()));
    // Those without a VLAN are on the BSS's own interface, where hostapd can: and the bridge, from radio to radio.
    let iface = options(&tree, "wireless", "lk_home_radio0");
    assert!(iface.contains(&"isolate=1".into()) && iface.contains(&"bridge_isolate=1".into()), "{iface:?}");
    let later: Vec<String> = about(&made(&tree, &Action::Have(Request::default())));
    assert_eq!(later, [""; 0], "said once");
}
