//! What a device's wpa_supplicant has to be told, ready to be copied.

use crate::config::Security;
use crate::registry::credential::Place;
use crate::registry::device::Device;
use crate::service::Core;
use std::fmt::Write;

/// Where a device is to join: an SSID, or a cable.
enum Network<'a> {
    Wifi(&'a [u8]),
    Cable,
    /// The configuration has no network for EAP, or none for this device.
    Unknown,
}

/// A network block for EAP-PSK. The key is a secret.
pub fn psk(core: &Core, device: &Device, identity: &str, key_hex: &str) -> String {
    block(
        network(core, device),
        &[("eap", "PSK".into()), ("identity", quoted(identity.as_bytes())), ("password", key_hex.into())],
    )
}

/// A network block for EAP-TLS. Without `issued` the names of the files are up to the device.
pub fn tls(core: &Core, device: &Device, issued: bool) -> String {
    let name = if issued { &*device.name } else { "device" };
    let file = |end: &str| quoted(format!("/path/to/{name}.{end}").as_bytes());
    // The certificate says who it is; to listeners it is one of ours (RFC 9190, 2.1.4).
    let identity = format!("@{}", core.config.eap.realm);
    block(
        network(core, device),
        &[
            ("eap", "TLS".into()),
            ("identity", quoted(identity.as_bytes())),
            ("ca_cert", if issued { file("ca.crt") } else { quoted(b"/path/to/ca.crt") }),
            ("domain_match", quoted(core.config.eap.server_name.as_bytes())),
            ("client_cert", file("crt")),
            ("private_key", file("key")),
        ],
    )
}

/// The first network for EAP where the device may be.
fn network<'a>(core: &'a Core, device: &'a Device) -> Network<'a> {
    let bound = || device.places.iter().any(|place| matches!(place, Place::Ssid(_)));
    let allowed =
        |ssid: &[u8]| !bound() || device.places.iter().any(|place| matches!(place, Place::Ssid(s) if **s == *ssid));
    let found = core.config.ssids.iter().find(|ssid| !ssid.security.has_keys() && allowed(&ssid.ssid));
    match found {
        Some(ssid) if ssid.security == Security::Wired => Network::Cable,
        Some(ssid) => Network::Wifi(&ssid.ssid),
        None => Network::Unknown,
    }
}

fn block(network: Network<'_>, lines: &[(&str, String)]) -> String {
    let mut text = String::from("network={\n");
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "    {name}={value}");
    };
    match network {
        Network::Cable => {
            line("key_mgmt", "IEEE8021X");
            line("eapol_flags", "0");
        }
        Network::Wifi(ssid) => {
            line("ssid", &quoted(ssid));
            line("key_mgmt", "WPA-EAP WPA-EAP-SHA256");
            line("ieee80211w", "1");
        }
        Network::Unknown => {
            line("ssid", "\"SSID\"");
            line("key_mgmt", "WPA-EAP WPA-EAP-SHA256");
            line("ieee80211w", "1");
        }
    }
    for (name, value) in lines {
        line(name, value);
    }
    text.push_str("}\n");
    text
}

/// In quotation marks; in hexadecimal digits if that could be misread.
fn quoted(octets: &[u8]) -> String {
    match str::from_utf8(octets) {
        Ok(text) if octets.iter().all(|octet| matches!(octet, b' '..=b'~') && *octet != b'"') => format!("\"{text}\""),
        _ => super::view::hex(octets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted() {
        assert_eq!(quoted(b"Home;1"), "\"Home;1\"");
        assert_eq!(quoted(b"say \"hi\""), "7361792022686922");
        assert_eq!(quoted("Caf\u{e9}".as_bytes()), "436166c3a9");
    }

    #[test]
    fn a_cable_has_no_ssid() {
        let text = block(Network::Cable, &[("eap", "PSK".into())]);
        assert_eq!(text, "network={\n    key_mgmt=IEEE8021X\n    eapol_flags=0\n    eap=PSK\n}\n");
    }
}
