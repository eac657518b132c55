//! What there is, for people and pages that choose.

use super::plan::Planner;
use super::view::{View, named, of_kind};
use super::wireless::{band, lenient, no_country};
use super::{Refused, Tree};
use crate::config::Config;
use crate::wire::uci::{Document, parse};
use serde_json::{Value, json};

/// The box as JSON; `pending` is the shell's. Secrets are not in it.
///
/// # Errors
/// When this is no OpenWrt, or its files cannot be read.
pub fn status(tree: &Tree) -> Result<Value, Refused> {
    let none: &[u8] = &[];
    let read = |file| parse(tree.file(file).unwrap_or(none));
    let (network, wireless, latchkey) = (read("network"), read("wireless"), read("latchkey"));
    let mut troubles: Vec<String> = Vec::new();
    for (file, document) in [("network", &network), ("wireless", &wireless), ("latchkey", &latchkey)] {
        if let Some(error) = document.errors.first() {
            troubles.push(format!("/etc/config/{file} has to be mended first: {error}"));
        }
    }
    let mut noise = |buffer: &mut [u8]| buffer.fill(0);
    let managed = match Planner::begin(tree, &mut noise) {
        Ok(planner) => managed(&planner, &network, &wireless),
        Err(why) if why.code == "not_openwrt" && tree.file("network").is_none() => return Err(why),
        Err(why) => {
            if !troubles.contains(&why.message) {
                troubles.push(why.message);
            }
            json!({ "profiles": [], "ssids": [] })
        }
    };
    let radios: Vec<Value> = of_kind(&wireless, "wifi-device").map(|view| radio(view, &wireless)).collect();
    let unset: Vec<String> = of_kind(&wireless, "wifi-device")
        .filter(|radio| radio.text("country").is_empty())
        .map(|radio| radio.name().to_owned())
        .collect();
    if !unset.is_empty() {
        troubles.push(no_country(&unset));
    }
    match &tree.facts.wpad {
        None if !radios.is_empty() => {
            troubles.push("no package with hostapd is installed: install wpad-mbedtls".into())
        }
        _ => {}
    }
    let wpad = tree.facts.wpad.as_ref().map(|wpad| json!({ "package": wpad.package, "radius": wpad.radius }));
    let networks: Vec<&str> =
        of_kind(&network, "interface").map(View::name).filter(|name| !name.is_empty() && *name != "loopback").collect();
    Ok(json!({
        "release": tree.facts.release,
        "generator": tree.facts.generator.as_str(),
        "wpad": wpad,
        "radios": radios,
        "networks": networks,
        "bridges": bridges(&network),
        "managed": managed,
        "troubles": troubles,
        "latchkey": ours(&latchkey, lenient(tree.file("latchkey").unwrap_or(none)).as_ref()),
    }))
}

fn radio(radio: View<'_>, wireless: &Document<'_>) -> Value {
    let ssids = of_kind(wireless, "wifi-iface").filter(|iface| iface.text("device") == radio.name());
    let ssids: Vec<Value> = ssids
        .map(|iface| {
            json!({
                "section": iface.name(),
                "ssid": iface.text("ssid"),
                "mode": iface.text("mode"),
                "encryption": iface.text("encryption"),
                "networks": iface.list("network"),
                "disabled": iface.flag("disabled"),
                "managed": iface.is_ours(),
            })
        })
        .collect();
    json!({
        "name": radio.name(),
        "band": band(radio),
        "channel": radio.text("channel"),
        "country": radio.get("country"),
        "disabled": radio.flag("disabled"),
        "ssids": ssids,
    })
}

fn bridges(network: &Document<'_>) -> Vec<Value> {
    let bridges = of_kind(network, "device").filter(|device| device.text("type") == "bridge");
    bridges
        .map(|bridge| {
            let name = bridge.text("name");
            let filters = of_kind(network, "bridge-vlan").any(|vlan| vlan.text("device") == name);
            json!({ "name": name, "vlan_filtering": filters, "ports": bridge.list("ports"), "managed": bridge.is_ours() })
        })
        .collect()
}

fn managed(planner: &Planner<'_>, network: &Document<'_>, wireless: &Document<'_>) -> Value {
    let groups = planner.managed_groups();
    let profiles = groups.iter().flat_map(|group| group.profiles.iter().map(move |name| (group, name)));
    let profiles: Vec<Value> = profiles
        .map(|(group, name)| {
            let interface = named(network, "interface", &group.interface);
            let address = interface.and_then(|view| super::address::addresses(view).first().copied());
            json!({
                "name": &**name,
                "network": group.interface,
                "device": group.device,
                "vlan": group.vlan,
                "address": address.map(|(address, length)| format!("{address}/{length}")),
            })
        })
        .collect();
    let ssids: Vec<Value> = planner
        .managed_ssids()
        .iter()
        .map(|ssid| {
            let sections = of_kind(wireless, "wifi-iface").filter(|i| i.is_ours() && i.text("ssid") == ssid.ssid);
            let sections: Vec<&str> = sections.map(View::name).collect();
            let security = planner.config.ssid(ssid.ssid.as_bytes()).map(|known| known.security.as_str());
            json!({ "ssid": ssid.ssid, "security": security, "radios": ssid.radios, "sections": sections })
        })
        .collect();
    json!({ "profiles": profiles, "ssids": ssids })
}

fn ours(document: &Document<'_>, config: Option<&Config>) -> Value {
    let main = of_kind(document, "latchkey").next();
    let enabled = main.is_none_or(|main| main.get("enabled").is_none() || main.flag("enabled"));
    let profiles = config.map(|config| config.profiles.as_slice()).unwrap_or_default();
    let profiles: Vec<Value> = profiles
        .iter()
        .map(|profile| json!({ "name": &*profile.name, "vlan": profile.vlan, "access": profile.access.as_str() }))
        .collect();
    json!({ "enabled": enabled, "profiles": profiles })
}
