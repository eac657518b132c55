//! What a profile may reach and where, as options.

use super::*;

#[test]
fn limits_and_places_of_a_profile() {
    let config = parse(
        "config latchkey\n\toption bridges 'manage'\n\toption uplink 'eth0'\n\toption firewall 'off'\n\tlist wan 'eth1'\n\tlist wan 'ppp0'\n\
         \toption timezone 'CET-1CEST,M3.5.0,M10.5.0/3'\n\toption psk_group 'network'\n\
         config profile 'iot'\n\toption vlan '20'\n\toption isolate '0'\n\toption bridge 'br-iot'\n\
         \tlist allow '192.168.1.10 tcp 443'\n\tlist allow '2001:db8::/32'\n\tlist hours 'mon-fri 07:00-21:00'\n\
         \tlist address '192.168.20.1/24'\n\tlist address 'fd00:20::1/64'\n\
         config profile 'lan'\n\
         config client 'ap'\n\toption address '192.0.2.7'\n\toption secret 'zP4-kk2mqWx81LvQ7'\n\toption disconnect_port '3799'\n\
         config ssid 'home'\n\toption ssid 'Home'\n\toption backend 'psk-file'\n\toption psk_file '/tmp/home.psk'\n\
         config ssid\n\toption ssid 'Other'\n",
    );
    let main = &config.main;
    assert_eq!((main.bridges, main.firewall), (Bridges::Manage, Firewall::Off));
    assert_eq!((main.uplink.as_deref(), &*main.wan), (Some("eth0"), &["eth1".into(), "ppp0".into()][..]));
    assert_eq!(
        (main.timezone.as_deref(), main.psk_group.as_deref()),
        (Some("CET-1CEST,M3.5.0,M10.5.0/3"), Some("network"))
    );
    let iot = &config.profiles[0];
    assert_eq!((iot.isolate, iot.bridge.as_deref()), (Isolate::No, Some("br-iot")));
    assert_eq!((iot.allow.len(), iot.hours.len(), iot.addresses.len()), (2, 1, 2));
    assert_eq!(config.profiles[1].bridge, None);
    assert_eq!(config.clients[0].disconnect_port, Some(3799));
    assert_eq!((config.ssids[0].backend, &*config.ssids[0].psk_file), (Backend::PskFile, Path::new("/tmp/home.psk")));
    assert_eq!(&*config.ssids[1].psk_file, Path::new("/var/run/latchkey/psk/ssid1"));
}

#[test]
fn access_needs_a_network_of_its_own() {
    let about = |options: &str| {
        let text = format!("config profile 'plain'\n{options}");
        parse(&text).warnings.iter().filter(|warning| warning.contains("cannot be enforced")).count()
    };
    for (options, expected) in [
        ("", 0),
        ("\toption access 'full'\n", 0),
        ("\toption access 'isolated'\n", 1),
        ("\toption access 'internet'\n\tlist allow '10.0.0.1'\n", 2),
        ("\toption access 'internet'\n\toption bridge 'br-iot'\n", 0),
        ("\toption access 'internet'\n\toption vlan '20'\n", 0),
    ] {
        assert_eq!(about(options), expected, "{options}");
    }
}
