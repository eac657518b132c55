//! Reads the whole registry into memory, once, at the start.

use super::StoredPmk;
use super::error::is_damage;
use super::{eap, last_good, maker};
use crate::mac::MacAddr;
use crate::registry::device::{Bind, BoundMac, Device, DeviceId, Seen};
use crate::registry::last_good::LastGood;
use crate::registry::maker::Maker;
use crate::secret::{Passphrase, Pmk};
use crate::sorted::SortedSet;
use crate::time::UnixTime;
use rusqlite::{Connection, Row, Rows, types::ValueRef};
use std::sync::Arc;

/// Everything the registry holds.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The devices, by ascending id. Equal profile names share one allocation.
    pub devices: Vec<Device>,
    /// The makers, by name.
    pub makers: Vec<Maker>,
    /// The number the next device gets: higher than any given so far.
    pub next_id: u32,
    /// The PMKs derived so far, by ascending device; all rows of an SSID share its name.
    pub pmks: Vec<StoredPmk>,
    /// The addresses hidden from the pending list.
    pub ignored: Vec<MacAddr>,
    /// What servers answered last, by address and SSID.
    pub last_good: Vec<LastGood>,
    /// The counters as they were last written, by ascending device.
    pub seen: Vec<(DeviceId, Seen)>,
}

/// Why the registry could not be read.
#[derive(Debug)]
pub(super) enum LoadError {
    /// SQLite could not read it.
    Sql(Box<rusqlite::Error>),
    /// It was read, but says something that cannot be. Never quotes a key.
    Content(String),
}

impl LoadError {
    /// True when the file is to blame.
    pub fn is_damage(&self) -> bool {
        match self {
            LoadError::Sql(cause) => is_damage(cause),
            LoadError::Content(_) => true,
        }
    }
}

impl From<rusqlite::Error> for LoadError {
    fn from(cause: rusqlite::Error) -> LoadError {
        LoadError::Sql(Box::new(cause))
    }
}

/// Reads everything; anything that contradicts itself is an error.
pub(super) fn everything(conn: &Connection) -> Result<Loaded, LoadError> {
    let mut loaded = essentials(conn)?;
    loaded.pmks = pmks(conn, &loaded.devices)?;
    loaded.seen = seen(conn, &loaded.devices)?;
    loaded.last_good = last_good::load(conn)?;
    Ok(loaded)
}

/// Reads a damaged registry as far as that is safe: the devices with keys and addresses must all be
/// there and agree with each other, or nothing counts. PMKs can be derived again, counters are no loss, servers can be asked again.
pub(super) fn salvage(conn: &Connection) -> Result<Loaded, LoadError> {
    let mut loaded = essentials(conn)?;
    loaded.pmks = pmks(conn, &loaded.devices).unwrap_or_default();
    loaded.seen = seen(conn, &loaded.devices).unwrap_or_default();
    loaded.last_good = last_good::load(conn).unwrap_or_default();
    Ok(loaded)
}

fn essentials(conn: &Connection) -> Result<Loaded, LoadError> {
    let mut devices = devices(conn)?;
    credentials(conn, &mut devices)?;
    macs(conn, &mut devices)?;
    eap::load(conn, &mut devices)?;
    let makers = maker::load(conn)?;
    let ignored = collect(conn, "SELECT mac FROM ignored_mac ORDER BY mac", |row| mac(row, 0))?;
    let stored = collect(conn, "SELECT value FROM counter WHERE name = 'next_device_id'", |row| number(row, 0))?;
    let above = devices.last().map_or(1, |last| last.id.0.saturating_add(1));
    let next_id = stored.first().copied().unwrap_or(1).max(above);
    Ok(Loaded { devices, makers, next_id, ignored, ..Loaded::default() })
}

fn devices(conn: &Connection) -> Result<Vec<Device>, LoadError> {
    let mut profiles: SortedSet<Arc<str>> = SortedSet::new();
    let sql = "SELECT id, name, profile, bind, max_devices, expires, blocked, created FROM device ORDER BY id";
    let mut devices = collect(conn, sql, |row| {
        let profile = text(row, 2)?;
        let profile = match profiles.get(profile) {
            Some(known) => known.clone(),
            None => {
                let new: Arc<str> = profile.into();
                profiles.insert(new.clone());
                new
            }
        };
        Ok(Device {
            id: DeviceId(number(row, 0)?),
            name: text(row, 1)?.into(),
            profile,
            key: None,
            key_serial: 0,
            bind: text(row, 3)?.parse::<Bind>().map_err(|_| content("a device", "an unknown binding"))?,
            max_devices: number(row, 4)?,
            macs: Vec::new(),
            expires: row.get::<_, Option<i64>>(5)?.map(UnixTime),
            blocked: flag(row, 6)?,
            created: UnixTime(row.get(7)?),
            eap: None,
            places: Vec::new(),
        })
    })?;
    devices.shrink_to_fit();
    Ok(devices)
}

/// Gives every device its Wi-Fi key. Both tables come in the order of ids and have to match one to one.
fn credentials(conn: &Connection, devices: &mut [Device]) -> Result<(), LoadError> {
    let sql = "SELECT device_id, serial, secret FROM credential WHERE kind = 'wifi' ORDER BY device_id";
    let mut devices = devices.iter_mut();
    each(conn, sql, |row| {
        let id: u32 = number(row, 0)?;
        let device = devices.next().filter(|device| device.id.0 == id);
        let device = device.ok_or_else(|| content("credential", "devices and keys that do not match"))?;
        device.key_serial = number(row, 1)?;
        device.key = match row.get_ref(2)? {
            ValueRef::Null => None,
            secret => {
                let octets = secret.as_blob().map_err(|_| content("credential", "a key of a wrong type"))?;
                let text = str::from_utf8(octets).map_err(|_| content("credential", "a key that is no text"))?;
                Some(Passphrase::new(text).map_err(|why| content("credential", &why.to_string()))?)
            }
        };
        Ok(())
    })?;
    match devices.next() {
        Some(device) => Err(content("credential", &format!("no entry for device {}", device.id.0))),
        None => Ok(()),
    }
}

fn macs(conn: &Connection, devices: &mut [Device]) -> Result<(), LoadError> {
    let sql = "SELECT device_id, mac, proved, since, place FROM device_mac ORDER BY device_id";
    let mut devices = devices.iter_mut();
    let mut device = devices.next();
    let mut places: Vec<u32> = Vec::new();
    each(conn, sql, |row| {
        let id: u32 = number(row, 0)?;
        while device.as_ref().is_some_and(|d| d.id.0 < id) {
            device = devices.next();
            places.clear();
        }
        let device = device.as_mut().filter(|d| d.id.0 == id);
        let device = device.ok_or_else(|| content("device_mac", "an address of a device that is not there"))?;
        let bound = BoundMac { mac: mac(row, 1)?, proved: flag(row, 2)?, since: UnixTime(row.get(3)?) };
        let place: u32 = number(row, 4)?;
        let at = places.partition_point(|p| *p <= place);
        places.insert(at, place);
        device.macs.reserve_exact(1);
        device.macs.insert(at, bound);
        Ok(())
    })
}

fn pmks(conn: &Connection, devices: &[Device]) -> Result<Vec<StoredPmk>, LoadError> {
    let ssids = collect(conn, "SELECT id, name FROM ssid ORDER BY id", |row| {
        let id: i64 = row.get(0)?;
        Ok((id, Arc::<[u8]>::from(blob(row, 1)?)))
    })?;
    let mut devices = devices.iter().peekable();
    let mut pmks = collect(conn, "SELECT device_id, ssid_id, key_serial, pmk FROM pmk ORDER BY device_id", |row| {
        let id: u32 = number(row, 0)?;
        let ssid: i64 = row.get(1)?;
        let serial = number(row, 2)?;
        while devices.next_if(|device| device.id.0 < id).is_some() {}
        if devices.peek().is_none_or(|device| (device.id.0, device.key_serial) != (id, serial)) {
            return Err(content("pmk", "a computed key of a device or key that is not there"));
        }
        let at = ssids.binary_search_by_key(&ssid, |(id, _)| *id);
        let (_, name) = at.ok().and_then(|at| ssids.get(at)).ok_or_else(|| content("pmk", "an unknown SSID"))?;
        let octets = blob(row, 3)?.try_into().map_err(|_| content("pmk", "a computed key of a wrong length"))?;
        Ok((DeviceId(id), serial, name.clone(), Pmk::new(octets)))
    })?;
    pmks.shrink_to_fit();
    Ok(pmks)
}

fn seen(conn: &Connection, devices: &[Device]) -> Result<Vec<(DeviceId, Seen)>, LoadError> {
    let mut devices = devices.iter().peekable();
    let sql = "SELECT device_id, last_seen, last_mac, accepted, refused FROM seen ORDER BY device_id";
    let mut seen = collect(conn, sql, |row| {
        let id: u32 = number(row, 0)?;
        while devices.next_if(|device| device.id.0 < id).is_some() {}
        if devices.peek().is_none_or(|device| device.id.0 != id) {
            return Err(content("seen", "counters of a device that is not there"));
        }
        let last_mac = match row.get_ref(2)? {
            ValueRef::Null => None,
            _ => Some(mac(row, 2)?),
        };
        let last_seen = UnixTime(row.get(1)?);
        Ok((DeviceId(id), Seen { last_seen, last_mac, accepted: number(row, 3)?, refused: number(row, 4)? }))
    })?;
    seen.shrink_to_fit();
    Ok(seen)
}

pub(super) fn each(
    conn: &Connection,
    sql: &str,
    mut take: impl FnMut(&Row<'_>) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    each_row(conn, sql, &mut take)
}

/// One loop over rows in the program, and not one for each table.
fn each_row(
    conn: &Connection,
    sql: &str,
    take: &mut dyn FnMut(&Row<'_>) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    let mut statement = conn.prepare(sql)?;
    let mut rows: Rows<'_> = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}

pub(super) fn collect<T>(
    conn: &Connection,
    sql: &str,
    mut take: impl FnMut(&Row<'_>) -> Result<T, LoadError>,
) -> Result<Vec<T>, LoadError> {
    let mut all = Vec::new();
    each(conn, sql, |row| {
        all.push(take(row)?);
        Ok(())
    })?;
    Ok(all)
}

pub(super) fn number<T: TryFrom<i64>>(row: &Row<'_>, column: usize) -> Result<T, LoadError> {
    let value: i64 = row.get(column)?;
    value.try_into().map_err(|_| content("a table", &format!("the impossible number {value}")))
}

pub(super) fn flag(row: &Row<'_>, column: usize) -> Result<bool, LoadError> {
    let value: i64 = row.get(column)?;
    Ok(value != 0)
}

pub(super) fn text<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r str, LoadError> {
    row.get_ref(column)?.as_str().map_err(|_| content("a device", "a name that is no text"))
}

pub(super) fn blob<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r [u8], LoadError> {
    row.get_ref(column)?.as_blob().map_err(|_| content("a table", "a value of a wrong type"))
}

pub(super) fn mac(row: &Row<'_>, column: usize) -> Result<MacAddr, LoadError> {
    let octets = blob(row, column)?.try_into().map_err(|_| content("a table", "an address that has not 6 octets"))?;
    Ok(MacAddr(octets))
}

pub(super) fn content(place: &str, what: &str) -> LoadError {
    LoadError::Content(format!("{place} holds {what}"))
}
