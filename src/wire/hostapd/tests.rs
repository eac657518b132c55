//! Replies as hostapd 2.10 and 2.11 wrote them, shortened only where a line says nothing new.

use super::*;
use proptest::prelude::*;

const STATION: &[u8] = b"00:00:5e:00:53:01
flags=[AUTH][ASSOC][AUTHORIZED][SHORT_PREAMBLE][WMM]
aid=1
capability=0x431
listen_interval=5
supported_rates=02 04 0b 16 0c 12 18 24 30 48 60 6c
timeout_next=NULLFUNC POLL
dot11RSNAStatsSTAAddress=00:00:5e:00:53:01
dot11RSNAStatsVersion=1
dot11RSNAStatsSelectedPairwiseCipher=00-0f-ac-4
wpa=2
AKMSuiteSelector=00-0f-ac-2
hostapdWPAPTKState=11
hostapdWPAPTKGroupState=0
rx_packets=27
tx_packets=19
rx_bytes=2310
tx_bytes=1893
inactive_msec=140
signal=-30
rx_rate_info=540
tx_rate_info=650 mcs 7 shortGI
connected_time=12
vlan_id=20
keyid=lamp
ext_capab=0400000000000140
";

const STATUS: &[u8] = b"state=ENABLED
phy=phy0
freq=2412
num_sta_no_ht=0
channel=1
bss[0]=wlan0
bssid[0]=02:00:00:00:00:00
ssid[0]=Home
num_sta[0]=4
bss[1]=wlan0-1
bssid[1]=02:00:00:00:00:01
ssid[1]=Caf\\xc3\\xa9 \\\\ \\\"x\\\"\\t
num_sta[1]=0
";

const LAMP: KeyId = KeyId::Device { id: 7, serial: 2 };

fn connected(keyid: Option<KeyId>, vlan: Option<u16>) -> Event {
    Event::Connected(Connected { mac: mac(1), keyid, vlan })
}

fn mac(last: u8) -> MacAddr {
    MacAddr([0, 0, 0x5e, 0, 0x53, last])
}

#[test]
fn a_station_in_a_vlan() {
    let expected = Station {
        mac: mac(1),
        authorized: true,
        akm: Some(0x000f_ac02),
        own_interface: None,
        vlan: Some(20),
        keyid: Some("lamp".into()),
        signal: Some(-30),
        rx_bytes: Some(2310),
        tx_bytes: Some(1893),
        rx_rate: Some(540),
        tx_rate: Some(650),
        connected: Some(12),
        inactive: Some(140),
    };
    assert_eq!(Station::parse(STATION), Some(expected));
}

#[test]
fn the_end_of_the_list_and_nonsense_are_no_station() {
    for reply in [&b""[..], b"FAIL\n", b"UNKNOWN COMMAND\n", b"ff:ff:ff:ff:ff:ff\n", b"<3>AP-ENABLED"] {
        assert_eq!(Station::parse(reply), None);
    }
    let odd =
        b"00:00:5e:00:53:02\nflags=[AUTH][ASSOC]\nvlan_id=4095\nAKMSuiteSelector=00-0f-ac\nsignal=loud\nkeyid=a b\n=\n";
    assert_eq!(Station::parse(odd), Some(Station::new(mac(2))));
}

#[test]
fn a_bss_among_those_of_its_radio() {
    let first = Status { enabled: true, bssid: Some(MacAddr([2, 0, 0, 0, 0, 0])), ssid: b"Home"[..].into() };
    assert_eq!(Status::parse(STATUS, "wlan0"), Some(first));
    let second = Status::parse(STATUS, "wlan0-1").expect("there");
    assert_eq!(&*second.ssid, "Café \\ \"x\"\t".as_bytes());
    assert_eq!(second.bssid, Some(MacAddr([2, 0, 0, 0, 0, 1])));
    assert_eq!(Status::parse(STATUS, "wlan1"), None);
    assert_eq!(
        Status::parse(b"state=DISABLED\nbss[0]=wlan0\n", "wlan0").map(|s| (s.enabled, s.ssid.len())),
        Some((false, 0))
    );
}

#[test]
fn events() {
    for (text, event) in [
        ("<3>AP-STA-CONNECTED 00:00:5e:00:53:01", Some(connected(None, None))),
        ("<3>AP-STA-CONNECTED 00:00:5e:00:53:01 keyid=lamp vlanid=20", Some(connected(None, Some(20)))),
        ("<3>AP-STA-CONNECTED 00:00:5e:00:53:01 keyid=lk7.2 auth_alg=open", Some(connected(Some(LAMP), None))),
        (
            "<3>AP-STA-CONNECTED 00:00:5e:00:53:01 keyid=lk-onboarding vlanid=4095",
            Some(connected(Some(KeyId::Onboarding), None)),
        ),
        ("<3>AP-STA-DISCONNECTED 00:00:5e:00:53:01\n", Some(Event::Disconnected(mac(1)))),
        ("<3>AP-STA-POSSIBLE-PSK-MISMATCH 00:00:5e:00:53:02", Some(Event::PskMismatch(mac(2)))),
        ("<3>AP-ENABLED ", Some(Event::Enabled)),
        ("<3>AP-DISABLED ", Some(Event::Disabled)),
        ("<3>CTRL-EVENT-TERMINATING ", Some(Event::Terminating)),
        ("<3>CTRL-EVENT-EAP-STARTED 00:00:5e:00:53:01", None),
        ("<3>AP-STA-CONNECTED", None),
        ("<3>AP-STA-CONNECTED somebody", None),
        ("AP-ENABLED", None),
        ("<3", None),
        ("", None),
    ] {
        assert_eq!(Event::parse(text.as_bytes()), event, "{text}");
    }
}

#[test]
fn words_for_suites() {
    let named = |text: &[u8]| suite(text).and_then(akm_name);
    assert_eq!(named(b"00-0f-ac-8"), Some("SAE"));
    assert_eq!(named(b"00-0f-ac-24"), Some("SAE"));
    assert_eq!(named(b"00-0f-ac-6"), Some("PSK-SHA256"));
    assert_eq!(named(b"00-0f-ac-4"), Some("FT-PSK"));
    assert_eq!(named(b"50-6f-9a-2"), Some("DPP"));
    for bad in [&b""[..], b"00-0f-ac", b"00-0f-ac-2-2", b"00-0f-ac-300", b"0g-0f-ac-2", b"00-0f-ac-99"] {
        assert_eq!(named(bad), None);
    }
}

#[test]
fn refused_addresses_and_their_mark() {
    let reply = b"00:00:5e:00:53:01 VLAN_ID=0\n00:00:5e:00:53:02 VLAN_ID=4095\nFAIL\n";
    assert_eq!(deny_list(reply).collect::<Vec<_>>(), [(mac(1), 0), (mac(2), 4095)]);
    assert_eq!(deny_list(b"").count(), 0);
}

proptest! {
    #[test]
    fn no_octets_panic(data: Vec<u8>) {
        fuzz(&data);
    }

    #[test]
    fn a_damaged_reply_does_no_harm(at in 0..STATION.len(), octet: u8, cut in 0..STATION.len()) {
        let mut reply = STATION.to_vec();
        reply[at] = octet;
        reply.truncate(cut);
        fuzz(&reply);
    }

    #[test]
    fn an_ssid_comes_back(ssid in proptest::collection::vec(any::<u8>(), 0..=32)) {
        let escaped: String = ssid.iter().map(|octet| format!("\\x{octet:02x}")).collect();
        prop_assert_eq!(unescape(escaped.as_bytes()), ssid);
    }
}

#[test]
fn what_a_bss_can_do() {
    let config = b"bssid=02:00:00:00:00:00\nssid=Home\nwpa=2\nkey_mgmt=WPA-PSK SAE\ngroup_cipher=CCMP\n";
    assert_eq!(key_mgmt(config).as_deref(), Some("WPA-PSK SAE"));
    assert_eq!(key_mgmt(b"FAIL\n"), None);
    let mib = b"hostapdWPAGroupState=2\nradiusAuthServerIndex=1\nradiusAuthServerAddress=127.0.0.1\n\
        radiusAuthClientServerPortNumber=1812\nradiusAuthServerIndex=2\nradiusAuthServerAddress=::1\n\
        radiusAccServerAddress=127.0.0.1\nradiusAccClientServerPortNumber=1813\n";
    assert_eq!(radius_servers(mib), ["127.0.0.1:1812", "::1"]);
    assert!(radius_servers(b"radiusAuthClientServerPortNumber=1812\n").is_empty());
}
