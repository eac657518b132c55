//! `stations`: who is on the air of this box.

use super::Context;
use super::args::{Stop, Words};
use super::client::Failure;
use super::reply::Part;
use super::table::{Cell, Table};
use super::text::{Look, Paint, bytes, clean, count, duration};
use serde_json::Value;

/// Understands the arguments.
pub fn parse(words: &mut Words) -> Result<(), Stop> {
    words.none("stations")
}

/// Asks and prints.
pub fn run(context: &mut Context<'_>) -> Result<(), Failure> {
    let reply = context.pages("stations", "stations")?;
    context.finish(&reply, render)
}

/// The stations as a table. `UP` is what the station sent, `RATE` that of the last frames from and to it.
fn render(reply: Part<'_>, look: &Look) -> String {
    let stations = reply.list("stations");
    let total = stations.len() as u64;
    if total == 0 && reply.number("bsses") == 0 {
        return "No hostapd is found on this box: option hostapd_dir must name the directory of its control sockets \
                (ctrl_interface in hostapd.conf). latchkey sessions shows who is connected elsewhere.\n"
            .into();
    }
    let mut table = Table::new([
        "DEVICE",
        "MAC",
        "ADDRESS",
        "BSS",
        "SSID",
        "VLAN",
        "SECURITY",
        ">SIGNAL",
        ">MBIT/S",
        ">UP",
        ">DOWN",
        ">CONNECTED",
    ]);
    for station in stations {
        let known = |name: &str, say: fn(u64) -> String| station.at(name).0.as_u64().map(say).unwrap_or_default();
        let rate = |name: &str| station.at(name).0.as_u64().map_or_else(|| "-".into(), megabits);
        let rates = match (rate("rx_kbit_s"), rate("tx_kbit_s")) {
            (up, down) if up == "-" && down == "-" => String::new(),
            (up, down) => format!("{up} / {down}"),
        };
        table.row([
            station.maybe("device").map_or_else(|| Cell::painted(Some(Paint::Warn), "unknown"), Cell::from),
            station.text("mac").into(),
            address(station).into(),
            station.text("bss").into(),
            station.text("ssid").into(),
            station.text("vlan").into(),
            station.text("akm").into(),
            station.maybe("signal_dbm").map(|signal| format!("{signal} dBm")).unwrap_or_default().into(),
            rates.into(),
            known("rx_bytes", bytes).into(),
            known("tx_bytes", bytes).into(),
            known("connected_s", duration).into(),
        ]);
    }
    format!("{}\n{} on {}.\n", table.render(look), count(total, "station"), bsses(reply.number("bsses")))
}

/// The first of its addresses, and how many more there are.
fn address(station: Part<'_>) -> String {
    let mut addresses = station.at("addresses").0.as_array().into_iter().flatten().filter_map(Value::as_str);
    match (addresses.next(), addresses.count()) {
        (None, _) => String::new(),
        (Some(first), 0) => clean(first).into_owned(),
        (Some(first), more) => format!("{} +{more}", clean(first)),
    }
}

fn bsses(n: u64) -> String {
    if n == 1 { "1 BSS".into() } else { format!("{n} BSSes") }
}

/// 54, or 6.5: a rate in Mbit/s.
fn megabits(kilobits: u64) -> String {
    if kilobits.is_multiple_of(1000) {
        (kilobits / 1000).to_string()
    } else {
        format!("{}.{}", kilobits / 1000, kilobits % 1000 / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{COLOUR, PLAIN};
    use super::*;
    use serde_json::json;

    #[test]
    fn stations_are_a_table() {
        let reply = json!({ "bsses": 2, "stations": [
            { "device": "tv", "mac": "00:11:22:33:44:55", "bss": "wlan0", "ssid": "Home", "vlan": 20, "akm": "WPA2-PSK",
              "signal_dbm": -61, "rx_kbit_s": 54_000, "tx_kbit_s": 6500, "rx_bytes": 1500, "tx_bytes": 2_500_000,
              "connected_s": 3720, "keyid": null, "inactive_ms": 12, "addresses": ["192.168.20.9", "fd00::9"] },
            { "device": null, "mac": "02:11:22:33:44:55", "bss": "wlan1", "ssid": "Ho\u{1b}me", "vlan": null },
        ]});
        let expected = "\
DEVICE   MAC                ADDRESS          BSS    SSID      VLAN  SECURITY   SIGNAL    MBIT/S      UP    DOWN  CONNECTED
tv       00:11:22:33:44:55  192.168.20.9 +1  wlan0  Home      20    WPA2-PSK  -61 dBm  54 / 6.5  1.5 kB  2.5 MB  1 h 2 min
unknown  02:11:22:33:44:55  -                wlan1  Ho\\x1bme  -     -               -         -       -       -          -

2 stations on 2 BSSes.
";
        assert_eq!(render(Part(&reply), &PLAIN), expected);
        assert!(render(Part(&reply), &COLOUR).contains("\n\x1b[33munknown\x1b[0m  02:"));
        assert!(render(Part(&json!({})), &PLAIN).starts_with("No hostapd is found"));
        assert!(render(Part(&json!({ "bsses": 1, "stations": [] })), &PLAIN).ends_with("\n0 stations on 1 BSS.\n"));
    }
}
