//! `device import` and `device export`: devices as CSV.

use crate::cli::Context;
use crate::cli::client::{Failure, LONG_PATIENCE};
use crate::cli::reply::Part;
use crate::cli::text::count;
use crate::json::json;
use crate::wire::csv::put_row;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The largest file that is sent, in octets.
const FILE: u64 = 4_000_000;

/// Registers the devices of a file. The keys that were made go to standard output, the rest to standard error.
pub fn import(context: &mut Context<'_>, file: &OsStr) -> Result<(), Failure> {
    let csv = read(context, file)?;
    let reply = context.connect()?.call("device_import", json!({ "csv": csv }), LONG_PATIENCE)?;
    if context.json {
        return context.print(&format!("{reply}\n"));
    }
    let table = keys(&reply);
    let devices = Part(&reply).list("devices");
    let made = |device: Part<'_>| {
        usize::from(device.maybe("key").is_some()) + usize::from(device.at("eap_psk").maybe("key").is_some())
    };
    let generated: usize = devices.map(made).sum();
    context.print(&table)?;
    let imported = count(Part(&reply).number("imported"), "device");
    context.note(&format!("Imported {imported}; {} made.\n", count(generated as u64, "key")));
    Ok(())
}

/// Names and the keys that were made, as CSV.
fn keys(reply: &Value) -> String {
    let mut csv = String::new();
    let eap = Part(reply).list("devices").any(|device| device.at("eap_psk").is_some());
    let columns = if eap { 4 } else { 2 };
    put_row(&mut csv, ["name", "key", "nai", "eap_psk"].into_iter().take(columns));
    for device in Part(reply).list("devices") {
        let psk = device.at("eap_psk");
        let row = [device.text("name"), device.text("key"), psk.text("identity"), psk.text("key")];
        put_row(&mut csv, row.iter().map(String::as_str).take(columns));
    }
    csv
}

fn read(context: &mut Context<'_>, file: &OsStr) -> Result<String, Failure> {
    let shown = Path::new(file).display();
    let refuse = |code, why: String| Failure::refused(code, "file", format!("{shown}: {why}"));
    let mut octets = Vec::new();
    let done = if file == "-" {
        (&mut *context.input).take(FILE + 1).read_to_end(&mut octets)
    } else {
        File::open(file).and_then(|file| file.take(FILE + 1).read_to_end(&mut octets))
    };
    done.map_err(|error| refuse("file", format!("cannot be read: {error}")))?;
    if octets.len() as u64 > FILE {
        return Err(refuse("too_large", format!("more than {} MB: split the file", FILE / 1_000_000)));
    }
    String::from_utf8(octets).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(good).filter(|b| **b == b'\n').count();
        refuse("encoding", format!("line {line} is not UTF-8 text: save the file as \"CSV UTF-8\""))
    })
}

/// Prints all devices as CSV.
pub fn export(context: &mut Context<'_>, secrets: bool) -> Result<(), Failure> {
    let method = if secrets { "device_export_secrets" } else { "device_export" };
    let reply = context.connect()?.call(method, json!({}), LONG_PATIENCE)?;
    // As it came: it is a file. Names, profiles and keys have no control characters.
    context.finish(&reply, |reply, _| reply.at("csv").0.as_str().unwrap_or_default().to_owned())?;
    let left_out = Part(&reply).number("left_out");
    if left_out > 0 && !context.json {
        let devices = count(left_out, "device");
        context.note(&format!("{devices}: their certificates are not in the file, it has no place for them.\n"));
    }
    Ok(())
}
