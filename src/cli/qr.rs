//! `qr`: a device's key as a QR code, for a phone's camera.

use super::Context;
use super::args::{Stop, Words};
use super::client::Failure;
use super::reply::Part;
use super::table::Facts;
use super::text::Look;
use crate::json::json;
use qrcodegen::{QrCode, QrCodeEcc};

/// The light margin a QR code needs on all sides, in modules (ISO/IEC 18004, 6.3.8).
const QUIET: i32 = 4;

/// Whose key, for which network.
#[derive(Debug, PartialEq, Eq)]
pub struct Query {
    /// The device.
    pub name: String,
    /// The SSID.
    pub ssid: String,
}

/// Understands the arguments.
pub fn parse(words: &mut Words) -> Result<Query, Stop> {
    words.about("qr");
    let mut ssid = None;
    let [name] = words.rest(["NAME"], |words, option| {
        match option {
            "--ssid" => ssid = Some(words.value()?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    match ssid {
        Some(ssid) => Ok(Query { name, ssid }),
        None => Err(words.usage("--ssid SSID is missing")),
    }
}

/// Asks and prints.
pub fn run(context: &mut Context<'_>, query: &Query) -> Result<(), Failure> {
    let reply = context.call("qr", json!({ "name": query.name, "ssid": query.ssid }))?;
    // The text of the code goes in as it is: nothing of it is printed.
    let text = reply.get("text").and_then(|text| text.as_str()).unwrap_or_default();
    let code = QrCode::encode_text(text, QrCodeEcc::Medium)
        .map_err(|_| Failure::refused("too_long", "ssid", "this SSID and key do not fit into a QR code"))?;
    context.finish(&reply, |reply, look| format!("{}\n{}", draw(&code, Ink::of(look)), facts(reply, look)))
}

fn facts(reply: Part<'_>, look: &Look) -> String {
    let mut facts = Facts::default();
    facts.add("Device", reply.text("name"));
    facts.add("SSID", reply.text("ssid"));
    facts.add("Key", reply.text("key"));
    facts.render(look)
}

/// What dark and light are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ink {
    /// Blocks are dark, on a light ground that is painted along.
    Colour,
    /// Blocks are light: for a terminal whose ground is dark.
    Light,
    /// Blocks are dark: for a file, on paper.
    Dark,
}

impl Ink {
    fn of(look: &Look) -> Ink {
        match (look.terminal, look.colour) {
            (true, true) => Ink::Colour,
            (true, false) => Ink::Light,
            (false, _) => Ink::Dark,
        }
    }
}

/// The code in half blocks, two rows of modules a line, with its quiet zone.
fn draw(code: &QrCode, ink: Ink) -> String {
    let mut text = String::new();
    let range = -QUIET..code.size() + QUIET;
    for y in range.clone().step_by(2) {
        if ink == Ink::Colour {
            // Black on white; the bright white is passed over by terminals that do not know it.
            text.push_str("\x1b[30;47;107m");
        }
        for x in range.clone() {
            // Outside the code every module is light. The sizes are odd: below the last row there is nothing.
            let upper = code.get_module(x, y) != (ink == Ink::Light);
            let lower = y + 1 < range.end && code.get_module(x, y + 1) != (ink == Ink::Light);
            text.push(match (upper, lower) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        if ink == Ink::Colour {
            text.push_str("\x1b[0m");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::{COLOUR, PLAIN};
    use super::*;
    use serde_json::json;

    const TEXT: &str = "WIFI:T:WPA;S:Home;P:correct-horse;;";

    fn code() -> QrCode {
        QrCode::encode_text(TEXT, QrCodeEcc::Medium).unwrap()
    }

    /// Reads half blocks back into rows of modules, true for a drawn half.
    fn modules(text: &str) -> Vec<Vec<bool>> {
        let mut rows = Vec::new();
        for line in text.lines() {
            rows.push(line.chars().map(|c| matches!(c, '█' | '▀')).collect());
            rows.push(line.chars().map(|c| matches!(c, '█' | '▄')).collect());
        }
        rows
    }

    #[test]
    fn modules_and_quiet_zone_are_drawn() {
        let code = code();
        let size = usize::try_from(code.size()).unwrap();
        for (ink, drawn) in [(Ink::Dark, true), (Ink::Light, false)] {
            let rows = modules(&draw(&code, ink));
            assert_eq!(rows.len(), size + 8 + 1);
            for (y, row) in rows.iter().take(size + 8).enumerate() {
                assert_eq!(row.len(), size + 8);
                for (x, module) in row.iter().enumerate() {
                    let inside = (4..size + 4).contains(&x) && (4..size + 4).contains(&y);
                    let dark = inside && code.get_module(x as i32 - 4, y as i32 - 4);
                    assert_eq!(*module == drawn, dark, "{ink:?} {x} {y}");
                }
            }
            assert!(rows[size + 8].iter().all(|module| !module), "half a line of nothing");
        }
    }

    #[test]
    fn colour_is_black_on_white_line_by_line() {
        let plain = draw(&code(), Ink::Dark);
        let colour: String = plain.lines().map(|line| format!("\x1b[30;47;107m{line}\x1b[0m\n")).collect();
        assert_eq!(draw(&code(), Ink::Colour), colour);
        assert_eq!([PLAIN, COLOUR].map(|look| Ink::of(&look)), [Ink::Dark, Ink::Colour]);
        assert_eq!(Ink::of(&Look { terminal: true, ..PLAIN }), Ink::Light);
    }

    #[test]
    fn what_it_says_is_printed_below() {
        let reply = json!({ "text": TEXT, "key": "correct-horse", "ssid": "Home", "name": "tv" });
        assert_eq!(facts(Part(&reply), &PLAIN), "Device  tv\nSSID    Home\nKey     correct-horse\n");
    }
}
