//! hostapd's control interface: what it says of a BSS (`STATUS`), of a station (`STA`, `STA-FIRST`, `STA-NEXT`), of
//! its list of refused addresses (`DENY_ACL SHOW`), and the events it sends unasked.
//!
//! All of it is text without a specification, made by hostapd's `ctrl_iface.c`, `ctrl_iface_ap.c` and `sta_info.c`; each
//! version knows more than the one before. So what is unknown is skipped, and what cannot be read counts as absent.

use super::pskfile::{self, KeyId};
use crate::mac::MacAddr;

/// Octets of the longest reply: 4096 up to hostapd 2.11, 8192 after it.
pub const MAX_REPLY: usize = 8192;
/// Stations whose keyid is longer than this have none: hostapd's own limit is 31.
const MAX_KEYID: usize = 64;

/// The highest VLAN id (IEEE 802.1Q-2018, 9.6).
const MAX_VLAN: u16 = 4094;

/// True for an event, false for a reply: both can come on one socket.
pub fn is_event(datagram: &[u8]) -> bool {
    datagram.first() == Some(&b'<')
}

/// True for the reply `OK`.
pub fn is_ok(reply: &[u8]) -> bool {
    reply.trim_ascii_end() == b"OK"
}

/// One BSS of a `STATUS` reply, which tells of all that share the radio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The radio is on (`state=ENABLED`).
    pub enabled: bool,
    /// The BSSID.
    pub bssid: Option<MacAddr>,
    /// The SSID, 0 to 32 octets.
    pub ssid: Box<[u8]>,
}

impl Status {
    /// Reads what a `STATUS` reply says of the BSS with this interface name.
    pub fn parse(reply: &[u8], interface: &str) -> Option<Status> {
        let bss = lines(reply).find_map(|(key, value)| {
            let index = indexed(key, b"bss")?;
            (value == interface.as_bytes()).then_some(index)
        })?;
        let of_bss =
            |name: &[u8]| lines(reply).find(|(key, _)| indexed(key, name) == Some(bss)).map(|(_, value)| value);
        Some(Status {
            enabled: lines(reply).any(|line| line == (b"state", b"ENABLED")),
            bssid: of_bss(b"bssid").and_then(|value| MacAddr::parse_bytes(value).ok()),
            ssid: of_bss(b"ssid").map(unescape).unwrap_or_default().into(),
        })
    }
}

/// A station, as a `STA` reply tells of it. What this hostapd or its driver does not say is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Station {
    /// Its address.
    pub mac: MacAddr,
    /// The handshake is done: it may send and receive.
    pub authorized: bool,
    /// How it authenticated: OUI and type of the AKM suite (IEEE 802.11-2020, 9.4.2.24.3).
    pub akm: Option<u32>,
    /// Its VLAN; none when it is in the network of the BSS itself.
    pub vlan: Option<u16>,
    /// The number of an interface of its own, above all VLANs: hostapd's `per_sta_vif=1`. Its VLAN is then none here; that
    /// interface's bridge tells.
    pub own_interface: Option<u16>,
    /// The name of its key in hostapd's `wpa_psk_file`.
    pub keyid: Option<Box<str>>,
    /// Signal strength of the last frame, dBm.
    pub signal: Option<i32>,
    /// Octets from the station.
    pub rx_bytes: Option<u64>,
    /// Octets to the station.
    pub tx_bytes: Option<u64>,
    /// Rate of the last frame from the station, in units of 100 kbit/s.
    pub rx_rate: Option<u32>,
    /// Rate of the last frame to the station, in units of 100 kbit/s.
    pub tx_rate: Option<u32>,
    /// Seconds since it associated.
    pub connected: Option<u64>,
    /// Milliseconds since its last frame.
    pub inactive: Option<u64>,
}

impl Station {
    /// A station of which nothing is known but that it is there.
    pub fn new(mac: MacAddr) -> Station {
        Station {
            mac,
            authorized: false,
            akm: None,
            vlan: None,
            own_interface: None,
            keyid: None,
            signal: None,
            rx_bytes: None,
            tx_bytes: None,
            rx_rate: None,
            tx_rate: None,
            connected: None,
            inactive: None,
        }
    }

    /// Reads a `STA`, `STA-FIRST` or `STA-NEXT` reply. `None` when it is empty or `FAIL`: there is no such station, or
    /// the list is at its end.
    pub fn parse(reply: &[u8]) -> Option<Station> {
        let first = reply.split(|b| *b == b'\n').next()?;
        let mac = MacAddr::parse_bytes(first.trim_ascii()).ok()?.check_device().ok()?;
        let mut station = Station::new(mac);
        for (key, value) in lines(reply) {
            match key {
                b"flags" => station.authorized = contains(value, b"[AUTHORIZED]"),
                b"AKMSuiteSelector" => station.akm = suite(value),
                b"vlan_id" => {
                    station.vlan = vlan_id(value);
                    station.own_interface = number(value).filter(|number| *number > MAX_VLAN + 1);
                }
                b"keyid" => station.keyid = printable(value),
                b"signal" => station.signal = number(value),
                b"rx_bytes" => station.rx_bytes = number(value),
                b"tx_bytes" => station.tx_bytes = number(value),
                b"rx_rate_info" => station.rx_rate = first_word(value).and_then(number),
                b"tx_rate_info" => station.tx_rate = first_word(value).and_then(number),
                b"connected_time" => station.connected = number(value),
                b"inactive_msec" => station.inactive = number(value),
                _ => {}
            }
        }
        Some(station)
    }
}

impl Station {
    /// The key of ours that it proved.
    pub fn key(&self) -> Option<KeyId> {
        self.keyid.as_deref().and_then(|keyid| KeyId::parse(keyid.as_bytes()))
    }

    /// True when it authenticated with SAE.
    pub fn uses_sae(&self) -> bool {
        self.akm.is_some_and(is_sae)
    }
}

/// True for the AKM suites of SAE.
pub fn is_sae(akm: u32) -> bool {
    matches!(akm, 0x000f_ac08 | 0x000f_ac09 | 0x000f_ac18 | 0x000f_ac19)
}

/// The key management a BSS offers (`key_mgmt=` of a `GET_CONFIG` reply): the words of hostapd's `wpa_key_mgmt`.
pub fn key_mgmt(reply: &[u8]) -> Option<String> {
    let value = lines(reply).find(|(key, _)| *key == b"key_mgmt").map(|(_, value)| value)?;
    std::str::from_utf8(value.trim_ascii()).ok().map(str::to_owned)
}

/// The RADIUS servers of a BSS in a `MIB` reply, as `address:port`.
pub fn radius_servers(reply: &[u8]) -> Vec<String> {
    let text = |value: &[u8]| String::from_utf8_lossy(value.trim_ascii()).into_owned();
    let mut servers: Vec<String> = Vec::new();
    for (key, value) in lines(reply) {
        match key {
            b"radiusAuthServerAddress" => servers.push(text(value)),
            b"radiusAuthClientServerPortNumber" => {
                if let Some(last) = servers.last_mut() {
                    last.push(':');
                    last.push_str(&text(value));
                }
            }
            _ => {}
        }
    }
    servers
}

/// An AKM suite in the words of hostapd's `wpa_key_mgmt`.
pub fn akm_name(suite: u32) -> Option<&'static str> {
    Some(match suite {
        0x000f_ac01 => "WPA2-EAP",
        0x000f_ac02 => "WPA2-PSK",
        0x000f_ac03 => "FT-EAP",
        0x000f_ac04 => "FT-PSK",
        0x000f_ac05 => "EAP-SHA256",
        0x000f_ac06 => "PSK-SHA256",
        0x000f_ac08 | 0x000f_ac18 => "SAE",
        0x000f_ac09 | 0x000f_ac19 => "FT-SAE",
        0x000f_ac12 => "OWE",
        0x506f_9a02 => "DPP",
        _ => return None,
    })
}

/// What hostapd says of a station whose handshake is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connected {
    /// The station.
    pub mac: MacAddr,
    /// Which of the keys in the `wpa_psk_file` it proved; none for those of others, and with SAE.
    pub keyid: Option<KeyId>,
    /// Its VLAN. hostapd up to 2.11 does not say it here.
    pub vlan: Option<u16>,
}

/// Something hostapd tells those who are attached. Other events are of no concern here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// `AP-STA-CONNECTED`: a station's handshake is done.
    Connected(Connected),
    /// `AP-STA-DISCONNECTED`: a station is gone.
    Disconnected(MacAddr),
    /// `AP-STA-POSSIBLE-PSK-MISMATCH`: none of the keys hostapd had fitted.
    PskMismatch(MacAddr),
    /// `AP-ENABLED`, and `INTERFACE-ENABLED` when somebody else had set the interface down: the radio is on; stations of before are gone.
    Enabled,
    /// `AP-DISABLED`, `INTERFACE-DISABLED`: the radio is off.
    Disabled,
    /// `CTRL-EVENT-TERMINATING`: hostapd ends.
    Terminating,
}

impl Event {
    /// Reads an event: `<3>AP-STA-CONNECTED 02:00:00:00:01:00 keyid=lamp`.
    pub fn parse(datagram: &[u8]) -> Option<Event> {
        let text = datagram.strip_prefix(b"<")?;
        let level = text.iter().position(|b| *b == b'>')?;
        let text = text.get(level + 1..)?;
        let mut words = text.split(u8::is_ascii_whitespace);
        let name = words.next()?;
        let mut mac = || MacAddr::parse_bytes(words.next()?).ok()?.check_device().ok();
        Some(match name {
            b"AP-STA-CONNECTED" => {
                let (mac, mut keyid, mut vlan) = (mac()?, None, None);
                for word in words {
                    if let Some(value) = word.strip_prefix(b"keyid=") {
                        keyid = KeyId::parse(value);
                    } else if let Some(value) = word.strip_prefix(b"vlanid=") {
                        vlan = vlan_id(value);
                    }
                }
                Event::Connected(Connected { mac, keyid, vlan })
            }
            b"AP-STA-DISCONNECTED" => Event::Disconnected(mac()?),
            b"AP-STA-POSSIBLE-PSK-MISMATCH" => Event::PskMismatch(mac()?),
            b"AP-ENABLED" | b"INTERFACE-ENABLED" => Event::Enabled,
            b"AP-DISABLED" | b"INTERFACE-DISABLED" => Event::Disabled,
            b"CTRL-EVENT-TERMINATING" => Event::Terminating,
            _ => return None,
        })
    }
}

/// The entries of a `DENY_ACL SHOW` reply (`02:00:00:00:01:00 VLAN_ID=0`): addresses, and the VLAN ids they carry.
pub fn deny_list(reply: &[u8]) -> impl Iterator<Item = (MacAddr, u32)> {
    reply.split(|b| *b == b'\n').filter_map(|line| {
        let mut words = line.split(u8::is_ascii_whitespace);
        let mac = MacAddr::parse_bytes(words.next()?).ok()?;
        let vlan = words.find_map(|word| word.strip_prefix(b"VLAN_ID=")).and_then(number).unwrap_or(0);
        Some((mac, vlan))
    })
}

/// The `key=value` lines of a reply.
fn lines(reply: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    reply.split(|b| *b == b'\n').filter_map(|line| {
        let at = line.iter().position(|b| *b == b'=')?;
        Some((line.get(..at)?, line.get(at + 1..)?))
    })
}

/// The index of `name[7]`.
fn indexed(key: &[u8], name: &[u8]) -> Option<u16> {
    number(key.strip_prefix(name)?.strip_prefix(b"[")?.strip_suffix(b"]")?)
}

fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

fn vlan_id(text: &[u8]) -> Option<u16> {
    number(text).filter(|vlan| (1..=MAX_VLAN).contains(vlan))
}

fn first_word(text: &[u8]) -> Option<&[u8]> {
    text.split(u8::is_ascii_whitespace).next()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn printable(text: &[u8]) -> Option<Box<str>> {
    let fits = (1..=MAX_KEYID).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(text).ok().filter(|_| fits).map(Into::into)
}

/// `00-0f-ac-2`: three octets in hexadecimal, the type in decimal.
fn suite(text: &[u8]) -> Option<u32> {
    let mut parts = std::str::from_utf8(text).ok()?.split('-');
    let mut value = 0;
    for _ in 0..3 {
        value = value << 8 | u32::from(u8::from_str_radix(parts.next()?, 16).ok()?);
    }
    let kind: u8 = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some(value << 8 | u32::from(kind))
}

/// Undoes hostapd's `printf_encode`: `\xNN`, `\"`, `\\`, `\e`, `\n`, `\r`, `\t`. At most 32 octets, an SSID's length.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = text.iter().copied();
    while let Some(octet) = rest.next() {
        let octet = match octet {
            b'\\' => match rest.next() {
                Some(b'x') => {
                    let digit = |octet: Option<u8>| octet.and_then(|o| char::from(o).to_digit(16));
                    match (digit(rest.next()), digit(rest.next())) {
                        (Some(high), Some(low)) => (high << 4 | low) as u8,
                        _ => break,
                    }
                }
                Some(b'e') => 0x1b,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(other) => other,
                None => break,
            },
            other => other,
        };
        if plain.len() == 32 {
            break;
        }
        plain.push(octet);
    }
    plain
}

/// For the fuzzer: any datagram is read as everything it could be.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let event = Event::parse(data);
    assert!(event.is_none() || is_event(data));
    if let Some(station) = Station::parse(data) {
        assert!(!is_event(data) && station.vlan.is_none_or(|vlan| (1..=4094).contains(&vlan)));
        let _ = station.akm.and_then(akm_name);
    }
    if let Some(status) = Status::parse(data, "wlan0") {
        assert!(status.ssid.len() <= 32);
    }
    let _ = (is_ok(data), deny_list(data).count(), key_mgmt(data), radius_servers(data));
    pskfile::fuzz(data);
}

#[cfg(test)]
mod tests;
