//! `device_import` and `device_export`: devices as CSV. An import is all or nothing, and is worked off in steps:
//! ten thousand lines take a slow router seconds in which the air goes on.

use super::credential::{Given, WantedEap};
use super::edit::{self, Other, Wanted};
use super::params::Params;
use super::{ApiError, Done, Import, LineError, Refusal, Then, view};
use crate::json::json;
use crate::mac::MacAddr;
use crate::registry::device::{Change, Device, DeviceId};
use crate::service::{Core, Now};
use crate::wire::csv::put_row;
use csv::{ReaderBuilder, StringRecord};
use serde_json::Value;
use std::collections::HashMap;

/// The columns, in the order of an export. Only `name` must be there.
const COLUMNS: [&str; 9] = ["name", "profile", "mac", "key", "bind", "max_devices", "expires", "nai", "eap_psk"];
/// How many lines one import may have.
const LINES: usize = 20_000;
/// How many bad lines are reported.
const ERRORS: usize = 1000;

/// An import being worked off.
struct Devices {
    /// For each of [`COLUMNS`], where it stands in the file.
    columns: [Option<usize>; COLUMNS.len()],
    rows: std::vec::IntoIter<(u64, StringRecord)>,
    next_id: u32,
    accepted: Vec<Other>,
    generated: Vec<Given>,
    names: HashMap<String, u64>,
    macs: HashMap<MacAddr, u64>,
    errors: Vec<LineError>,
}

/// `device_import`: checks the head of the file; the lines follow in steps.
pub fn start(core: &mut Core, params: &Params, _: Now) -> Result<Done, ApiError> {
    let text = params.need("csv")?;
    let mut reader =
        ReaderBuilder::new().flexible(true).trim(csv::Trim::Headers).comment(Some(b'#')).from_reader(text.as_bytes());
    let bad = |message: String| ApiError::field("csv", "csv", message);
    let header = reader.headers().map_err(|e| bad(format!("not a CSV file: {e}")))?;
    let mut columns = [None; COLUMNS.len()];
    for (at, title) in header.iter().enumerate() {
        let title = title.trim_start_matches('\u{feff}').to_ascii_lowercase().replace('-', "_");
        match COLUMNS.iter().position(|column| **column == *title) {
            Some(column) if columns[column].is_none() => columns[column] = Some(at),
            Some(column) => return Err(bad(format!("line 1: column '{}' is there twice", COLUMNS[column]))),
            None => {
                // It may be a key, in a file without a header: not quoted.
                let message =
                    format!("line 1: column {} has no known title: the header is {}", at + 1, COLUMNS.join(","));
                return Err(bad(message));
            }
        }
    }
    if columns[0].is_none() {
        return Err(bad(format!("line 1: column 'name' is missing: the header is {}", COLUMNS.join(","))));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| bad(format!("not a CSV file: {e}")))?;
        let line = record.position().map_or(0, csv::Position::line);
        if rows.len() >= LINES {
            return Err(bad(format!("more than {LINES} lines: split the file")));
        }
        rows.push((line, record));
    }
    if rows.is_empty() {
        return Err(bad("the file has a header only: add a line for each device".into()));
    }
    Ok(Done::Import(Box::new(Devices {
        columns,
        next_id: core.registry.next_id().0,
        accepted: Vec::with_capacity(rows.len()),
        generated: Vec::with_capacity(rows.len()),
        names: HashMap::with_capacity(rows.len()),
        macs: HashMap::new(),
        errors: Vec::new(),
        rows: rows.into_iter(),
    })))
}

impl Import for Devices {
    fn step(&mut self, core: &mut Core, now: Now, n: usize) -> bool {
        let now = core.time.effective(now);
        for _ in 0..n {
            let Some((line, record)) = self.rows.next() else { return true };
            if let Err(error) = self.take(core, line, &record, now) {
                let Refusal { field, message, .. } = *error.0;
                self.errors.push(LineError { line, field: field.unwrap_or_else(|| "line".into()), message });
                if self.errors.len() >= ERRORS {
                    return true;
                }
            }
        }
        false
    }

    fn finish(self: Box<Self>) -> Result<(Vec<Change>, Then), ApiError> {
        if !self.errors.is_empty() {
            let n = self.errors.len();
            let lines = if n == 1 { "1 line is wrong".into() } else { format!("{n} lines are wrong") };
            let mut error = ApiError::field("import", "csv", format!("nothing was imported: {lines}"));
            error.lines = self.errors;
            return Err(error);
        }
        let devices: Vec<Device> = self.accepted.into_iter().map(|other| other.device).collect();
        let shown: Value = devices
            .iter()
            .zip(self.generated)
            .map(|(device, given)| {
                let key = device.key.as_ref().filter(|_| given.key).map(|key| key.expose());
                let mut shown = json!({ "name": &*device.name, "key": key });
                if given.psk {
                    let psk = device.eap.as_ref().and_then(|eap| eap.psk.as_ref());
                    let psk = psk.map(|psk| json!({ "identity": &*psk.nai, "key": view::hex(psk.key.expose()) }));
                    shown["eap_psk"] = psk.into();
                }
                shown
            })
            .collect();
        let result = json!({ "imported": devices.len(), "devices": shown });
        Ok((vec![Change::Put(devices)], Box::new(|_, _| result)))
    }
}

impl Devices {
    fn take(&mut self, core: &mut Core, line: u64, record: &StringRecord, now: Now) -> Result<(), ApiError> {
        let columns = self.columns;
        let raw = |column: usize| columns[column].and_then(|at| record.get(at)).unwrap_or("");
        let cell = |column: usize| raw(column).trim();
        let width = columns.iter().flatten().max().map_or(0, |at| at + 1);
        if record.len() > width {
            let message =
                format!("{} values, but the header has {width} columns: quote values with commas", record.len());
            return Err(ApiError::field("csv", "line", message));
        }
        let max_devices = match cell(5) {
            "" => None,
            text => Some(text.parse::<u16>().map(u32::from).map_err(|_| {
                let message = format!("max_devices must be a number from 0 (no limit) to {}", u16::MAX);
                ApiError::field("range", "max_devices", message)
            })?),
        };
        let wanted = Wanted {
            name: cell(0),
            profile: Some(cell(1)),
            macs: cell(2).split([' ', ';', ',']).filter(|text| !text.is_empty()).collect(),
            // Blanks may be part of a key.
            key: Some(raw(3)),
            bind: Some(cell(4)),
            max_devices,
            expires: Some(cell(6)),
            eap: WantedEap {
                nai: Some(cell(7)).filter(|text| !text.is_empty()),
                psk_key: Some(cell(8)).filter(|text| !text.is_empty()),
                // A NAI alone asks for a key to go with it.
                psk: !cell(7).is_empty() && cell(8).is_empty(),
                ..WantedEap::default()
            },
            ..Wanted::default()
        };
        let (device, given) = edit::create_with(core, &wanted, DeviceId(self.next_id), &self.accepted, now)?;
        if let Some(first) = self.names.insert(device.name.to_ascii_lowercase(), line) {
            let message = format!("'{}' is in line {first} already: choose another name", device.name);
            return Err(ApiError::field("name_taken", "name", message));
        }
        for bound in &device.macs {
            if let Some(first) = self.macs.insert(bound.mac, line) {
                let message = format!("mac {} is in line {first} already", bound.mac);
                return Err(ApiError::field("mac_taken", "mac", message));
            }
        }
        self.next_id = self.next_id.saturating_add(1);
        self.generated.push(given);
        self.accepted.push(Other::new(device));
        Ok(())
    }
}

/// `device_export`: all devices as CSV, without their keys.
pub fn export(core: &mut Core, _: &Params, _: Now) -> Result<Done, ApiError> {
    table(core, false)
}

/// `device_export_secrets`: all devices as CSV that can be imported again, with their keys.
pub fn export_secrets(core: &mut Core, _: &Params, _: Now) -> Result<Done, ApiError> {
    table(core, true)
}

fn table(core: &Core, secrets: bool) -> Result<Done, ApiError> {
    let mut csv = String::new();
    let mut row = |cells: [&str; COLUMNS.len()]| put_row(&mut csv, cells);
    row(COLUMNS);
    for device in core.registry.devices() {
        let macs: Vec<String> = device.macs.iter().map(|bound| bound.mac.to_string()).collect();
        let key = device.key.as_ref().filter(|_| secrets).map_or("", |key| key.expose());
        let expires = device.expires.map(|at| at.to_string()).unwrap_or_default();
        let (macs, max) = (macs.join(" "), device.max_devices.to_string());
        let psk = device.eap.as_ref().and_then(|eap| eap.psk.as_ref());
        let nai = psk.map_or("", |psk| &*psk.nai);
        let octets = psk.filter(|_| secrets).map(|psk| view::hex(psk.key.expose())).unwrap_or_default();
        let octets = zeroize::Zeroizing::new(octets);
        let bind = device.bind.as_str();
        row([&device.name, &device.profile, &macs, key, bind, &max, &expires, nai, &octets]);
    }
    // Their certificates are, that is: they cannot be in a table of this form.
    let with = core.registry.devices().filter(|d| d.eap.as_ref().is_some_and(|eap| !eap.certificates.is_empty()));
    Ok(Done::Value(json!({ "csv": csv, "left_out": with.count() })))
}
