//! `sessions`: who is connected.

use super::Context;
use super::args::{Stop, Words};
use super::client::Failure;
use super::reply::Part;
use super::table::{Cell, Table};
use super::text::{Look, Paint, bytes, count, duration};

/// Understands the arguments.
pub fn parse(words: &mut Words) -> Result<(), Stop> {
    words.none("sessions")
}

/// Asks and prints.
pub fn run(context: &mut Context<'_>) -> Result<(), Failure> {
    let reply = context.pages("sessions", "sessions")?;
    context.finish(&reply, render)
}

/// The sessions as a table. `UP` is what the device sent.
fn render(reply: Part<'_>, look: &Look) -> String {
    let sessions = reply.list("sessions");
    let total = sessions.len() as u64;
    if total == 0 {
        return "Nobody is connected. Sessions show up here when hostapd reports them (auth_server and acct_server \
                must point to latchkey); refusals are in latchkey log.\n"
            .into();
    }
    let mut table = Table::new(["DEVICE", "MAC", "SSID", "VLAN", "ADDRESS", ">ONLINE", ">UP", ">DOWN", "AP"]);
    for session in sessions {
        let device = match (session.maybe("device"), session.flag("proved")) {
            (Some(name), true) => name.into(),
            (Some(name), false) => Cell::painted(Some(Paint::Warn), format!("{name} (key not proved)")),
            (None, _) => Cell::painted(Some(Paint::Warn), "unknown"),
        };
        table.row([
            device,
            session.text("mac").into(),
            session.text("ssid").into(),
            session.text("vlan").into(),
            session.text("address").into(),
            duration(session.number("seconds")).into(),
            bytes(session.number("bytes_in")).into(),
            bytes(session.number("bytes_out")).into(),
            session.text("nas").into(),
        ]);
    }
    format!("{}\n{} online.\n", table.render(look), count(total, "device"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{COLOUR, PLAIN};
    use super::*;
    use serde_json::json;

    #[test]
    fn sessions_are_a_table() {
        let reply = json!({ "sessions": [
            { "device": "tv", "mac": "00:11:22:33:44:55", "ssid": "Home", "nas": "attic", "vlan": 20, "profile": "iot",
              "since": "2027-01-31T17:00:00Z", "seconds": 3720, "bytes_in": 1500, "bytes_out": 2_500_000,
              "address": "192.168.20.7", "proved": true },
            { "device": "phone", "mac": "02:11:22:33:44:55", "ssid": "Ho\u{1b}me", "nas": "attic", "vlan": null,
              "profile": null, "since": "2027-01-31T17:59:30Z", "seconds": 30, "bytes_in": 0, "bytes_out": 0,
              "address": null, "proved": false },
            { "device": null, "mac": "02:11:22:33:44:56", "ssid": "Home", "nas": "", "vlan": 99, "proved": false },
        ]});
        let expected = "\
DEVICE                  MAC                SSID      VLAN  ADDRESS          ONLINE      UP    DOWN  AP
tv                      00:11:22:33:44:55  Home      20    192.168.20.7  1 h 2 min  1.5 kB  2.5 MB  attic
phone (key not proved)  02:11:22:33:44:55  Ho\\x1bme  -     -                  30 s     0 B     0 B  attic
unknown                 02:11:22:33:44:56  Home      99    -                   0 s     0 B     0 B  -

3 devices online.
";
        assert_eq!(render(Part(&reply), &PLAIN), expected);
        assert!(render(Part(&reply), &COLOUR).contains("\n\x1b[33munknown\x1b[0m                 02:"));
        assert!(render(Part(&json!({})), &PLAIN).starts_with("Nobody is connected."));
    }
}
