//! The changes, as SQL. Rows that already say what they should are not touched: an untouched page is
//! not written to flash.

use super::{StoredPmk, eap, last_good, maker};
use crate::mac::MacAddr;
use crate::registry::device::{BoundMac, Change, Device, DeviceId, Seen};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Statement, ToSql, params};
use std::sync::Arc;

/// Something to be written: several of them can share one transaction.
#[derive(Debug, Clone, Copy)]
pub enum Write<'a> {
    /// Changes the administrator made, or a binding by proof.
    Changes(&'a [Change]),
    /// Keys that were derived.
    Pmks(&'a [StoredPmk]),
    /// Counters.
    Seen(&'a [(DeviceId, Seen)]),
}

/// Why a transaction was given up.
#[derive(Debug)]
pub(super) enum WriteError {
    /// SQLite failed.
    Sql(Box<rusqlite::Error>),
    /// The change contradicts what is stored; in plain words.
    Refused(String),
}

impl From<rusqlite::Error> for WriteError {
    fn from(cause: rusqlite::Error) -> WriteError {
        WriteError::Sql(Box::new(cause))
    }
}

/// Writes one of them, inside the transaction the caller has begun on this connection.
pub(super) fn apply(conn: &Connection, write: Write<'_>) -> Result<(), WriteError> {
    match write {
        Write::Changes(changes) => changes.iter().try_for_each(|change| apply_change(conn, change)),
        Write::Pmks(pmks) => Ok(put_pmks(conn, pmks)?),
        Write::Seen(seen) => Ok(put_seen(conn, seen)?),
    }
}

fn apply_change(conn: &Connection, change: &Change) -> Result<(), WriteError> {
    match change {
        Change::Put(devices) => put_devices(conn, devices),
        Change::Remove(id) => Ok(remove(conn, *id)?),
        Change::Bind(id, bound) => bind(conn, *id, bound),
        Change::PutMaker(new) => Ok(maker::put(conn, new)?),
        Change::RemoveMaker(name) => Ok(maker::remove(conn, name)?),
        Change::PutLastGood(new) => Ok(last_good::put(conn, new)?),
        Change::RemoveLastGood { mac, ssid } => Ok(last_good::remove(conn, *mac, ssid)?),
        Change::Ignore(mac, true) => {
            Ok(run(conn, "INSERT OR IGNORE INTO ignored_mac (mac) VALUES (?1)", params![mac.0])?)
        }
        Change::Ignore(mac, false) => Ok(run(conn, "DELETE FROM ignored_mac WHERE mac = ?1", params![mac.0])?),
    }
}

/// The statements of a `Put`, prepared once for all its devices.
struct Put<'c> {
    conn: &'c Connection,
    device: Statement<'c>,
    old_key: Statement<'c>,
    old_macs: Statement<'c>,
    add_mac: Statement<'c>,
    eap: eap::Put<'c>,
}

fn put_devices(conn: &Connection, devices: &[Device]) -> Result<(), WriteError> {
    let mut put = Put {
        conn,
        device: conn.prepare(
            "INSERT INTO device (id, name, profile, bind, max_devices, expires, blocked, created)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (id) DO UPDATE SET
                 name = excluded.name, profile = excluded.profile, bind = excluded.bind,
                 max_devices = excluded.max_devices, expires = excluded.expires,
                 blocked = excluded.blocked, created = excluded.created
             WHERE name COLLATE BINARY IS NOT excluded.name
                 OR (profile, bind, max_devices, expires, blocked, created) IS NOT
                    (excluded.profile, excluded.bind, excluded.max_devices, excluded.expires,
                     excluded.blocked, excluded.created)",
        )?,
        old_key: conn.prepare("SELECT serial, secret FROM credential WHERE device_id = ?1 AND kind = 'wifi'")?,
        old_macs: conn.prepare("SELECT mac, proved, since FROM device_mac WHERE device_id = ?1 ORDER BY place")?,
        add_mac: conn
            .prepare("INSERT INTO device_mac (device_id, mac, place, proved, since) VALUES (?1, ?2, ?3, ?4, ?5)")?,
        eap: eap::Put::prepare(conn)?,
    };
    let mut parked = false;
    for (at, device) in devices.iter().enumerate() {
        let mut result = put.row(device);
        if !parked && result.as_ref().is_err_and(is_constraint) {
            // The name may belong to a device that gets another one further down: take the names
            // of all that are to come out of the way, once, and try again.
            park_names(conn, devices.get(at..).unwrap_or_default())?;
            parked = true;
            result = put.row(device);
        }
        result.map_err(|cause| refuse_name(conn, device, cause))?;
        put.key(device)?;
        put.macs(device)?;
        put.eap.device(device)?;
    }
    Ok(())
}

impl Put<'_> {
    fn row(&mut self, device: &Device) -> rusqlite::Result<()> {
        self.device.execute(params![
            device.id.0,
            device.name,
            device.profile,
            device.bind.as_str(),
            device.max_devices,
            device.expires.map(|time| time.0),
            device.blocked,
            device.created.0,
        ])?;
        Ok(())
    }

    /// A key that differs in anything from the stored one takes the PMKs with it.
    fn key(&mut self, device: &Device) -> Result<(), WriteError> {
        let secret = device.key.as_ref().map(|key| key.expose().as_bytes());
        let mut rows = self.old_key.query(params![device.id.0])?;
        if let Some(row) = rows.next()? {
            let same_serial = row.get_ref(0)?.as_i64() == Ok(i64::from(device.key_serial));
            if same_serial && row.get_ref(1)?.as_blob_or_null() == Ok(secret) {
                return Ok(());
            }
        }
        drop(rows);
        let id = device.id.0;
        run(self.conn, "DELETE FROM pmk WHERE device_id = ?1", params![id])?;
        run(self.conn, "DELETE FROM credential WHERE device_id = ?1 AND kind = 'wifi'", params![id])?;
        let insert = "INSERT INTO credential (device_id, kind, serial, secret) VALUES (?1, 'wifi', ?2, ?3)";
        Ok(run(self.conn, insert, params![id, device.key_serial, secret])?)
    }

    fn macs(&mut self, device: &Device) -> Result<(), WriteError> {
        let mut rows = self.old_macs.query(params![device.id.0])?;
        let mut wanted = device.macs.iter();
        let mut any = false;
        let mut same = true;
        while let Some(row) = rows.next()? {
            any = true;
            let stored = (row.get::<_, [u8; 6]>(0)?, row.get::<_, bool>(1)?, row.get::<_, i64>(2)?);
            same &= wanted.next().is_some_and(|m| stored == (m.mac.0, m.proved, m.since.0));
        }
        drop(rows);
        if same && wanted.next().is_none() {
            return Ok(());
        }
        if any {
            run(self.conn, "DELETE FROM device_mac WHERE device_id = ?1", params![device.id.0])?;
        }
        for (place, bound) in (0u32..).zip(&device.macs) {
            let added = self.add_mac.execute(params![device.id.0, bound.mac.0, place, bound.proved, bound.since.0]);
            added.map_err(|cause| {
                if is_constraint(&cause) {
                    WriteError::Refused(format!("device {} has the address {} twice", device.name, bound.mac))
                } else {
                    cause.into()
                }
            })?;
        }
        Ok(())
    }
}

/// Gives devices names that cannot be anybody's (no name begins with a control character).
fn park_names(conn: &Connection, devices: &[Device]) -> rusqlite::Result<()> {
    let mut park = conn.prepare("UPDATE device SET name = char(1) || id WHERE id = ?1")?;
    devices.iter().try_for_each(|device| park.execute(params![device.id.0]).map(drop))
}

fn refuse_name(conn: &Connection, device: &Device, cause: rusqlite::Error) -> WriteError {
    if !is_constraint(&cause) {
        return cause.into();
    }
    let holder = conn
        .query_row("SELECT id FROM device WHERE name = ?1 AND id <> ?2", params![device.name, device.id.0], |row| {
            row.get::<_, i64>(0)
        })
        .optional();
    WriteError::Refused(match holder {
        Ok(Some(id)) => format!("the name {:?} belongs to device {id} already: choose another", device.name),
        _ => format!("device {:?}: {cause}", device.name),
    })
}

fn remove(conn: &Connection, id: DeviceId) -> rusqlite::Result<()> {
    let highest: Option<u32> = conn.query_row("SELECT max(id) FROM device", [], |row| row.get(0))?;
    let removed = conn.execute("DELETE FROM device WHERE id = ?1", params![id.0])?;
    if removed > 0 && highest == Some(id.0) {
        // Its number must not be given again. As long as a higher one is there, that one sees to it.
        raise_next_id(conn, id.0.saturating_add(1))?;
    }
    Ok(())
}

/// Makes sure that the next device gets at least this number.
pub(super) fn raise_next_id(conn: &Connection, next: u32) -> rusqlite::Result<()> {
    run(
        conn,
        "INSERT INTO counter (name, value) VALUES ('next_device_id', ?1)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE value < excluded.value",
        params![next],
    )
}

fn bind(conn: &Connection, id: DeviceId, bound: &BoundMac) -> Result<(), WriteError> {
    let done = run(
        conn,
        "INSERT INTO device_mac (device_id, mac, place, proved, since)
         VALUES (?1, ?2, (SELECT coalesce(max(place) + 1, 0) FROM device_mac WHERE device_id = ?1), ?3, ?4)
         ON CONFLICT (device_id, mac) DO UPDATE SET proved = excluded.proved, since = excluded.since
         WHERE (proved, since) IS NOT (excluded.proved, excluded.since)",
        params![id.0, bound.mac.0, bound.proved, bound.since.0],
    );
    done.map_err(|cause| {
        if is_constraint(&cause) {
            WriteError::Refused(format!("the address {} cannot be bound: there is no device {}", bound.mac, id.0))
        } else {
            cause.into()
        }
    })
}

/// Rows of devices that are gone, or of a key that is not the present one, are passed over: they come
/// from a derivation that was still running when the device changed.
fn put_pmks(conn: &Connection, pmks: &[StoredPmk]) -> rusqlite::Result<()> {
    let mut put = conn.prepare(
        "INSERT INTO pmk (device_id, ssid_id, key_serial, pmk)
         SELECT device_id, ?2, serial, ?4 FROM credential WHERE device_id = ?1 AND kind = 'wifi' AND serial = ?3
         ON CONFLICT (device_id, ssid_id) DO UPDATE SET key_serial = excluded.key_serial, pmk = excluded.pmk
         WHERE (key_serial, pmk) IS NOT (excluded.key_serial, excluded.pmk)",
    )?;
    let mut ssid: Option<(&Arc<[u8]>, i64)> = None;
    for (device, serial, name, pmk) in pmks {
        let ssid_id = match ssid {
            Some((last, id)) if last == name => id,
            _ => ssid_id(conn, name)?,
        };
        ssid = Some((name, ssid_id));
        put.execute(params![device.0, ssid_id, serial, pmk.expose()])?;
    }
    Ok(())
}

fn ssid_id(conn: &Connection, name: &[u8]) -> rusqlite::Result<i64> {
    let known = conn.query_row("SELECT id FROM ssid WHERE name = ?1", [name], |row| row.get(0)).optional()?;
    match known {
        Some(id) => Ok(id),
        None => conn.query_row("INSERT INTO ssid (name) VALUES (?1) RETURNING id", [name], |row| row.get(0)),
    }
}

/// Counters of devices that are gone are passed over.
fn put_seen(conn: &Connection, seen: &[(DeviceId, Seen)]) -> rusqlite::Result<()> {
    let mut put = conn.prepare(
        "INSERT INTO seen (device_id, last_seen, last_mac, accepted, refused)
         SELECT id, ?2, ?3, ?4, ?5 FROM device WHERE id = ?1
         ON CONFLICT (device_id) DO UPDATE SET
             last_seen = excluded.last_seen, last_mac = excluded.last_mac,
             accepted = excluded.accepted, refused = excluded.refused
         WHERE (last_seen, last_mac, accepted, refused) IS NOT
               (excluded.last_seen, excluded.last_mac, excluded.accepted, excluded.refused)",
    )?;
    for (id, seen) in seen {
        let mac: Option<[u8; 6]> = seen.last_mac.map(|MacAddr(octets)| octets);
        put.execute(params![id.0, seen.last_seen.0, mac, seen.accepted, seen.refused])?;
    }
    Ok(())
}

/// Removes the PMKs of every SSID that is not in the list.
pub(super) fn keep_ssids(conn: &Connection, keep: &[Arc<[u8]>]) -> rusqlite::Result<()> {
    let mut known = conn.prepare("SELECT id, name FROM ssid")?;
    let mut rows = known.query([])?;
    let mut gone = Vec::new();
    while let Some(row) = rows.next()? {
        let name = row.get_ref(1)?.as_blob().unwrap_or_default();
        if !keep.iter().any(|ssid| **ssid == *name) {
            gone.push(row.get::<_, i64>(0)?);
        }
    }
    for id in gone {
        run(conn, "DELETE FROM pmk WHERE ssid_id = ?1", params![id])?;
        run(conn, "DELETE FROM ssid WHERE id = ?1", params![id])?;
    }
    Ok(())
}

pub(super) fn run(conn: &Connection, sql: &str, params: &[&dyn ToSql]) -> rusqlite::Result<()> {
    conn.execute(sql, params).map(drop)
}

pub(super) fn is_constraint(cause: &rusqlite::Error) -> bool {
    cause.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}
