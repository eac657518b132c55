//! Answers for people.

use super::super::reply::Part;
use super::super::table::{Cell, Table};
use super::super::text::{Look, Paint};
use std::fmt::Write;

/// The box.
pub fn status(status: Part<'_>, look: &Look) -> String {
    let mut text = format!("OpenWrt {}", status.text("release"));
    match status.at("wpad").maybe("package") {
        Some(package) => {
            let how = if status.at("wpad").flag("radius") { "asks over RADIUS" } else { "no RADIUS: key files" };
            let _ = writeln!(text, ", {package} ({how})");
        }
        None => text.push_str(", no hostapd\n"),
    }
    for radio in status.list("radios") {
        let off = if radio.flag("disabled") { ", off" } else { "" };
        let country = radio.maybe("country").map_or_else(|| "no country".to_owned(), |c| format!("country {c}"));
        let _ = writeln!(
            text,
            "\n{} ({}, channel {}, {country}{off})",
            radio.text("name"),
            radio.text("band"),
            radio.text("channel")
        );
        for ssid in radio.list("ssids") {
            let ours = if ssid.flag("managed") { ", ours" } else { "" };
            let off = if ssid.flag("disabled") { ", off" } else { "" };
            let networks: Vec<String> = ssid.list("networks").map(Part::shown).collect();
            let (name, encryption) = (ssid.text("ssid"), ssid.text("encryption"));
            let _ = writeln!(text, "  {name} ({encryption}{ours}{off}) -> {}", networks.join(", "));
        }
    }
    let profiles = status.at("managed").list("profiles");
    if profiles.len() > 0 {
        let mut table = Table::new(["PROFILE", ">VLAN", "NETWORK", "ADDRESS"]);
        for profile in profiles {
            let cell = |name: &str| Cell::from(profile.text(name));
            table.row([cell("name"), cell("vlan"), cell("network"), cell("address")]);
        }
        text.push('\n');
        text.push_str(&table.render(look));
    }
    for trouble in status.list("troubles") {
        let _ = writeln!(text, "\n{}: {}", look.paint(Some(Paint::Warn), "trouble"), trouble.shown());
    }
    let pending = status.at("pending");
    if pending.is_some() {
        text.push_str("\nA change waits to be confirmed");
        match pending.number("undo_in_s") {
            0 => {}
            seconds => text.push_str(&format!(" (undone in {seconds} s)")),
        }
        text.push_str(": latchkey openwrt confirm, or undo\n");
        for what in pending.list("what") {
            let _ = writeln!(text, "  {}", what.shown());
        }
    }
    text
}

/// A plan. `have`: to have something, not to remove it.
pub fn plan(plan: Part<'_>, look: &Look, have: bool) -> String {
    if plan.flag("empty") {
        let mut text = String::from("Nothing to do: everything is as it is wanted.\n");
        if have {
            text.push_str("What can be wanted: latchkey help openwrt plan\n");
        }
        warnings(&mut text, plan, look);
        return text;
    }
    let mut text = summary(plan);
    for file in plan.list("files") {
        let _ = writeln!(text, "\n/etc/config/{}", file.text("file"));
        for line in file.list("lines") {
            let sign = line.text("sign");
            let paint = match sign.as_str() {
                "+" => Some(Paint::Good),
                "-" => Some(Paint::Bad),
                _ => None,
            };
            // A tab is none of the characters that are printed as they are.
            let indented = line.at("text").0.as_str().unwrap_or_default().replace('\t', "    ");
            let shown = format!("{sign} {}", super::super::text::clean(&indented));
            let _ = writeln!(text, "{}", look.paint(paint, shown.trim_end()));
        }
    }
    warnings(&mut text, plan, look);
    text.push_str(if have {
        "\nTo do this: latchkey openwrt apply, with the same arguments\n"
    } else {
        "\nTo do this: latchkey openwrt remove, without --dry-run\n"
    });
    text
}

/// What was done.
pub fn applied(result: Part<'_>, look: &Look) -> String {
    if !result.flag("applied") {
        return plan(result, look, false);
    }
    // What it is line by line, plan shows.
    let mut text = summary(result);
    warnings(&mut text, result, look);
    if !result.at("undo_in_s").is_some() {
        text.push_str("\nDone, and it stays.\n");
        return text;
    }
    let _ = write!(
        text,
        "\nDone. Can you still reach this box? Then say so within {} s, or it is undone:\n  latchkey openwrt confirm\n",
        result.number("undo_in_s")
    );
    text
}

/// A confirmation.
pub fn confirmed(_: Part<'_>, _: &Look) -> String {
    "Confirmed: it stays. latchkey openwrt remove takes it out again.\n".into()
}

/// What was taken back.
pub fn undone(result: Part<'_>, _: &Look) -> String {
    if !result.flag("undone") {
        return String::new();
    }
    let mut text = String::from("Undone:\n");
    for what in result.list("what") {
        let _ = writeln!(text, "  {}", what.shown());
    }
    for note in result.list("notes") {
        let _ = writeln!(text, "note: {}", note.shown());
    }
    text
}

fn summary(plan: Part<'_>) -> String {
    let mut text = String::new();
    for line in plan.list("summary") {
        let _ = writeln!(text, "- {}", line.shown());
    }
    text
}

fn warnings(text: &mut String, plan: Part<'_>, look: &Look) {
    let warnings = plan.list("warnings");
    if warnings.len() > 0 {
        text.push('\n');
    }
    for warning in warnings {
        let _ = writeln!(text, "{}: {}", look.paint(Some(Paint::Warn), "note"), warning.shown());
    }
}
