//! Answers of servers that are kept: as rows, and back.

use super::load::{LoadError, blob, collect, content, each, mac, number};
use super::write::run;
use crate::mac::MacAddr;
use crate::registry::last_good::{LastGood, MAX_LAST_GOOD, WifiKey};
use crate::sorted::SortedSet;
use crate::time::UnixTime;
use rusqlite::{Connection, Row, params, types::ValueRef};
use std::sync::Arc;

/// Inserts an answer, or brings the one for its address and SSID up to date. When there are too many then, the oldest of the
/// others goes, as in memory.
pub(super) fn put(conn: &Connection, new: &LastGood) -> rusqlite::Result<()> {
    run(
        conn,
        "INSERT INTO last_good (mac, ssid, realm, vlan, profile, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (mac, ssid) DO UPDATE SET
             realm = excluded.realm, vlan = excluded.vlan, profile = excluded.profile, at = excluded.at
         WHERE (realm, vlan, profile, at) IS NOT (excluded.realm, excluded.vlan, excluded.profile, excluded.at)",
        params![new.mac.0, new.ssid, new.realm, new.vlan, new.profile, new.at.0],
    )?;
    let mut key = conn.prepare(
        "INSERT INTO last_good_key (mac, ssid, place, secret) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (mac, ssid, place) DO UPDATE SET secret = excluded.secret WHERE secret IS NOT excluded.secret",
    )?;
    for (place, secret) in (0u32..).zip(&new.keys) {
        key.execute(params![new.mac.0, new.ssid, place, secret.expose().as_bytes()])?;
    }
    run(
        conn,
        "DELETE FROM last_good_key WHERE mac = ?1 AND ssid = ?2 AND place >= ?3",
        params![new.mac.0, new.ssid, new.keys.len() as i64],
    )?;
    run(
        conn,
        "DELETE FROM last_good WHERE (mac, ssid) IN (
             SELECT mac, ssid FROM last_good WHERE (mac, ssid) IS NOT (?1, ?2) ORDER BY at, mac, ssid
             LIMIT max(0, (SELECT count(*) FROM last_good) - ?3))",
        params![new.mac.0, new.ssid, MAX_LAST_GOOD as i64],
    )
}

/// Removes one, if it is there.
pub(super) fn remove(conn: &Connection, mac: MacAddr, ssid: &[u8]) -> rusqlite::Result<()> {
    run(conn, "DELETE FROM last_good WHERE mac = ?1 AND ssid = ?2", params![mac.0, ssid])
}

/// Reads all of them, by address and SSID.
pub(super) fn load(conn: &Connection) -> Result<Vec<LastGood>, LoadError> {
    let mut names: SortedSet<Arc<str>> = SortedSet::new();
    let mut shared = |text: &str| match names.get(text) {
        Some(known) => known.clone(),
        None => {
            let new: Arc<str> = text.into();
            names.insert(new.clone());
            new
        }
    };
    let sql = "SELECT mac, ssid, realm, vlan, profile, at FROM last_good ORDER BY mac, ssid";
    let mut all = collect(conn, sql, |row| {
        Ok(LastGood {
            mac: mac(row, 0)?,
            ssid: blob(row, 1)?.into(),
            realm: shared(text(row, 2)?),
            keys: Vec::new(),
            vlan: match row.get_ref(3)? {
                ValueRef::Null => None,
                _ => Some(number(row, 3)?),
            },
            profile: shared(text(row, 4)?),
            at: UnixTime(row.get(5)?),
        })
    })?;
    each(conn, "SELECT mac, ssid, secret FROM last_good_key ORDER BY mac, ssid, place", |row| {
        let (mac, ssid) = (mac(row, 0)?, blob(row, 1)?);
        let at = all.binary_search_by(|kept| (kept.mac, &*kept.ssid).cmp(&(mac, ssid)));
        let kept = at.ok().and_then(|at| all.get_mut(at));
        let kept = kept.ok_or_else(|| content("last_good_key", "a key of an answer that is not there"))?;
        let key = WifiKey::from_tunnel_password(blob(row, 2)?);
        kept.keys.reserve_exact(1);
        kept.keys.push(key.map_err(|why| content("last_good_key", &why.to_string()))?);
        Ok(())
    })?;
    match all.iter().find(|kept| kept.keys.is_empty()) {
        Some(kept) => Err(content("last_good", &format!("an answer for {} without a key", kept.mac))),
        None => Ok(all),
    }
}

fn text<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r str, LoadError> {
    row.get_ref(column)?.as_str().map_err(|_| content("last_good", "a name that is no text"))
}
