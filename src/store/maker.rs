//! Makers: as rows, and back.

use super::load::{LoadError, blob, collect, content, each};
use super::write::run;
use crate::registry::maker::Maker;
use crate::time::UnixTime;
use rusqlite::{Connection, Row, params};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

/// Inserts a maker, or brings the one of that name up to date; rows that say the same already are not touched.
pub(super) fn put(conn: &Connection, maker: &Maker) -> rusqlite::Result<()> {
    run(
        conn,
        "INSERT INTO maker (name, profile, admit, bundle_issued) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name) DO UPDATE SET
             profile = excluded.profile, admit = excluded.admit, bundle_issued = excluded.bundle_issued
         WHERE (profile, admit, bundle_issued) IS NOT (excluded.profile, excluded.admit, excluded.bundle_issued)",
        params![maker.name, maker.profile, maker.admit.as_str(), maker.bundle_issued.map(|time| time.0)],
    )?;
    let mut authority = conn.prepare(
        "INSERT INTO authority (maker, place, der) VALUES (?1, ?2, ?3)
         ON CONFLICT (maker, place) DO UPDATE SET der = excluded.der WHERE der IS NOT excluded.der",
    )?;
    for (place, der) in (0u32..).zip(&maker.authorities) {
        authority.execute(params![maker.name, place, der])?;
    }
    let surplus = params![maker.name, maker.authorities.len() as i64];
    run(conn, "DELETE FROM authority WHERE maker = ?1 AND place >= ?2", surplus)?;
    let mut crl = conn.prepare(
        "INSERT INTO revocation_list (maker, place, path) VALUES (?1, ?2, ?3)
         ON CONFLICT (maker, place) DO UPDATE SET path = excluded.path WHERE path IS NOT excluded.path",
    )?;
    for (place, path) in (0u32..).zip(&maker.crls) {
        crl.execute(params![maker.name, place, path.as_os_str().as_bytes()])?;
    }
    let surplus = params![maker.name, maker.crls.len() as i64];
    run(conn, "DELETE FROM revocation_list WHERE maker = ?1 AND place >= ?2", surplus)?;
    let mut list = conn.prepare(
        "INSERT INTO held_list (maker, place, der) VALUES (?1, ?2, ?3)
         ON CONFLICT (maker, place) DO UPDATE SET der = excluded.der WHERE der IS NOT excluded.der",
    )?;
    for (place, der) in (0u32..).zip(&maker.lists) {
        list.execute(params![maker.name, place, der])?;
    }
    let surplus = params![maker.name, maker.lists.len() as i64];
    run(conn, "DELETE FROM held_list WHERE maker = ?1 AND place >= ?2", surplus)
}

/// Removes a maker, if there is one of that name.
pub(super) fn remove(conn: &Connection, name: &str) -> rusqlite::Result<()> {
    run(conn, "DELETE FROM maker WHERE name = ?1", params![name])
}

/// Reads all of them, by name.
pub(super) fn load(conn: &Connection) -> Result<Vec<Maker>, LoadError> {
    let mut makers = collect(conn, "SELECT name, profile, admit, bundle_issued FROM maker ORDER BY name", |row| {
        let admit = text(row, 2)?.parse().map_err(|_| content("maker", "an unknown word for whom it admits"))?;
        Ok(Maker {
            name: text(row, 0)?,
            authorities: Vec::new(),
            profile: text(row, 1)?,
            admit,
            crls: Vec::new(),
            lists: Vec::new(),
            bundle_issued: row.get::<_, Option<i64>>(3)?.map(UnixTime),
        })
    })?;
    each(conn, "SELECT maker, der FROM authority ORDER BY maker, place", |row| {
        find(&mut makers, row)?.authorities.push(blob(row, 1)?.into());
        Ok(())
    })?;
    each(conn, "SELECT maker, path FROM revocation_list ORDER BY maker, place", |row| {
        let path = OsString::from_vec(blob(row, 1)?.to_vec());
        find(&mut makers, row)?.crls.push(path.into());
        Ok(())
    })?;
    each(conn, "SELECT maker, der FROM held_list ORDER BY maker, place", |row| {
        find(&mut makers, row)?.lists.push(blob(row, 1)?.into());
        Ok(())
    })?;
    Ok(makers)
}

fn find<'m>(makers: &'m mut [Maker], row: &Row<'_>) -> Result<&'m mut Maker, LoadError> {
    let name = text(row, 0)?;
    let at = makers.binary_search_by(|maker| maker.name.cmp(&name));
    at.ok().and_then(|at| makers.get_mut(at)).ok_or_else(|| content("authority", "one of a maker that is not there"))
}

fn text(row: &Row<'_>, column: usize) -> Result<Arc<str>, LoadError> {
    let text = row.get_ref(column)?.as_str();
    text.map(Arc::from).map_err(|_| content("maker", "a name that is no text"))
}
