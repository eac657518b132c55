//! EAP credentials, certificates and places of devices: as rows, and back.

use super::load::{LoadError, blob, content, each, flag, mac, number};
use super::write::{WriteError, run};
use crate::registry::credential::{Certificate, EapCredentials, EapPsk, KnownBy, Place};
use crate::registry::device::Device;
use crate::secret::EapPskKey;
use crate::time::UnixTime;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Row, Statement, ToSql, params};
use std::sync::Arc;

/// The statements for many devices, prepared once.
pub(super) struct Put<'c> {
    conn: &'c Connection,
    old_eap: Statement<'c>,
    certificate: Statement<'c>,
    surplus: Statement<'c>,
    old_places: Statement<'c>,
}

impl<'c> Put<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> rusqlite::Result<Put<'c>> {
        Ok(Put {
            conn,
            old_eap: conn
                .prepare("SELECT serial, identity, secret FROM credential WHERE device_id = ?1 AND kind = 'eap'")?,
            certificate: conn.prepare(
                "INSERT INTO certificate
                     (device_id, place, known_by, scope, value, subject, not_after, mud_url, issued, since)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                 ON CONFLICT (device_id, place) DO UPDATE SET
                     known_by = excluded.known_by, scope = excluded.scope, value = excluded.value,
                     subject = excluded.subject, not_after = excluded.not_after, mud_url = excluded.mud_url,
                     issued = excluded.issued, since = excluded.since
                 WHERE (known_by, scope, value, subject, not_after, mud_url, issued, since) IS NOT
                       (excluded.known_by, excluded.scope, excluded.value, excluded.subject, excluded.not_after,
                        excluded.mud_url, excluded.issued, excluded.since)",
            )?,
            surplus: conn.prepare("DELETE FROM certificate WHERE device_id = ?1 AND place >= ?2")?,
            old_places: conn.prepare("SELECT ssid, ap FROM device_place WHERE device_id = ?1 ORDER BY place")?,
        })
    }

    /// Writes what differs from what is stored of this device, which must be stored already.
    pub(super) fn device(&mut self, device: &Device) -> Result<(), WriteError> {
        if self.credentials(device)? {
            self.certificates(device)?;
        }
        self.places(device)
    }

    /// The row for all of EAP. False when there is none and was none: then there are no certificates either.
    fn credentials(&mut self, device: &Device) -> Result<bool, WriteError> {
        let id = device.id.0;
        let wanted = device.eap.as_deref().map(|eap| {
            let psk = eap.psk.as_ref();
            (eap.serial, psk.map(|psk| &*psk.nai), psk.map(|psk| psk.key.expose().as_slice()))
        });
        let mut rows = self.old_eap.query(params![id])?;
        let old = rows.next()?;
        let same = match (&old, wanted) {
            (None, None) => return Ok(false),
            (Some(row), Some((serial, nai, secret))) => {
                row.get_ref(0)?.as_i64() == Ok(i64::from(serial))
                    && row.get_ref(1)?.as_str_or_null() == Ok(nai)
                    && row.get_ref(2)?.as_blob_or_null() == Ok(secret)
            }
            _ => false,
        };
        drop(rows);
        if !same {
            run(self.conn, "DELETE FROM credential WHERE device_id = ?1 AND kind = 'eap'", params![id])?;
            if let Some((serial, nai, secret)) = wanted {
                let insert =
                    "INSERT INTO credential (device_id, kind, serial, identity, secret) VALUES (?1, 'eap', ?2, ?3, ?4)";
                run(self.conn, insert, params![id, serial, nai, secret])?;
            }
        }
        Ok(true)
    }

    fn certificates(&mut self, device: &Device) -> Result<(), WriteError> {
        let certificates = device.eap.as_ref().map(|eap| eap.certificates.as_slice()).unwrap_or_default();
        for (place, certificate) in (0u32..).zip(certificates) {
            let (known_by, scope, value) = columns(&certificate.known_by);
            self.certificate.execute(params![
                device.id.0,
                place,
                known_by,
                scope,
                value,
                certificate.subject,
                certificate.not_after.map(|time| time.0),
                certificate.mud_url,
                certificate.issued,
                certificate.since.0,
            ])?;
        }
        self.surplus.execute(params![device.id.0, certificates.len() as i64])?;
        Ok(())
    }

    fn places(&mut self, device: &Device) -> Result<(), WriteError> {
        let mut rows = self.old_places.query(params![device.id.0])?;
        let mut wanted = device.places.iter();
        let (mut any, mut same) = (false, true);
        while let Some(row) = rows.next()? {
            any = true;
            let (ssid, ap) = (row.get_ref(0)?.as_blob_or_null(), row.get_ref(1)?.as_blob_or_null());
            same &= wanted.next().is_some_and(|place| match place {
                Place::Ssid(name) => ssid == Ok(Some(&**name)),
                Place::Ap(address) => ap == Ok(Some(address.0.as_slice())),
            });
        }
        drop(rows);
        if same && wanted.next().is_none() {
            return Ok(());
        }
        if any {
            run(self.conn, "DELETE FROM device_place WHERE device_id = ?1", params![device.id.0])?;
        }
        let insert = "INSERT INTO device_place (device_id, place, ssid, ap) VALUES (?1, ?2, ?3, ?4)";
        for (number, place) in (0u32..).zip(&device.places) {
            let (ssid, ap) = match place {
                Place::Ssid(name) => (Some(&**name), None),
                Place::Ap(address) => (None, Some(address.0.as_slice())),
            };
            run(self.conn, insert, params![device.id.0, number, ssid, ap])?;
        }
        Ok(())
    }
}

/// A text or octets, in a column of any type.
enum Any<'a> {
    Text(&'a str),
    Blob(&'a [u8]),
    Octets(Vec<u8>),
}

impl ToSql for Any<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Any::Text(text) => ToSqlOutput::Owned(Value::Text((*text).to_owned())),
            Any::Blob(octets) => ToSqlOutput::Borrowed(ValueRef::Blob(octets)),
            Any::Octets(octets) => ToSqlOutput::Borrowed(ValueRef::Blob(octets)),
        })
    }
}

/// The columns `known_by`, `scope` and `value`.
fn columns(known_by: &KnownBy) -> (&'static str, Any<'_>, Any<'_>) {
    match known_by {
        KnownBy::Fingerprint(hash) => ("fingerprint", Any::Text(""), Any::Blob(hash)),
        // The maker's name follows the 32 octets of the issuer.
        KnownBy::Serial { maker, issuer, serial } => {
            ("serial", Any::Octets([issuer, maker.as_bytes()].concat()), Any::Blob(serial))
        }
        KnownBy::SubjectSerial { maker, serial } => ("subject-serial", Any::Text(maker), Any::Text(serial)),
        KnownBy::AltName { maker, name } => ("alt-name", Any::Text(maker), Any::Text(name)),
        KnownBy::Peer { realm, identity } => ("peer", Any::Text(realm), Any::Text(identity)),
        KnownBy::PublicKey(hash) => ("public-key", Any::Text(""), Any::Blob(hash)),
    }
}

/// Gives the devices, which come in the order of their ids, their EAP credentials and places.
pub(super) fn load(conn: &Connection, devices: &mut [Device]) -> Result<(), LoadError> {
    let sql = "SELECT device_id, serial, identity, secret FROM credential WHERE kind = 'eap' ORDER BY device_id";
    each(conn, sql, |row| {
        let device = find(devices, row, "credential")?;
        if device.eap.is_some() {
            return Err(content("credential", "EAP credentials of a device twice"));
        }
        let psk = match (row.get_ref(2)?, row.get_ref(3)?) {
            (ValueRef::Null, ValueRef::Null) => None,
            (ValueRef::Text(nai), ValueRef::Blob(key)) => {
                let nai = str::from_utf8(nai).ok().filter(|nai| (1..=253).contains(&nai.len()));
                let nai = nai.ok_or_else(|| content("credential", "a NAI that is none"))?;
                let key = key.try_into().map_err(|_| content("credential", "an EAP-PSK key of a wrong length"))?;
                Some(EapPsk { nai: nai.into(), key: EapPskKey::new(key) })
            }
            _ => return Err(content("credential", "an EAP-PSK key or its NAI alone")),
        };
        device.eap = Some(Box::new(EapCredentials { psk, certificates: Vec::new(), serial: number(row, 1)? }));
        Ok(())
    })?;
    let sql = "SELECT device_id, known_by, scope, value, subject, not_after, mud_url, issued, since
               FROM certificate ORDER BY device_id, place";
    each(conn, sql, |row| {
        let device = find(devices, row, "certificate")?;
        let eap = device.eap.as_mut().ok_or_else(|| content("certificate", "one of a device that has none"))?;
        eap.certificates.reserve_exact(1);
        eap.certificates.push(certificate(row)?);
        Ok(())
    })?;
    each(conn, "SELECT device_id, ssid, ap FROM device_place ORDER BY device_id, place", |row| {
        let device = find(devices, row, "device_place")?;
        let place = match (row.get_ref(1)?, row.get_ref(2)?) {
            (ValueRef::Blob(name), ValueRef::Null) => Place::Ssid(name.into()),
            (ValueRef::Null, ValueRef::Blob(_)) => Place::Ap(mac(row, 2)?),
            _ => return Err(content("device_place", "something that is neither SSID nor AP")),
        };
        device.places.reserve_exact(1);
        device.places.push(place);
        Ok(())
    })
}

fn find<'d>(devices: &'d mut [Device], row: &Row<'_>, table: &str) -> Result<&'d mut Device, LoadError> {
    let id: u32 = number(row, 0)?;
    let at = devices.binary_search_by_key(&id, |device| device.id.0);
    let device = at.ok().and_then(|at| devices.get_mut(at));
    device.ok_or_else(|| content(table, &format!("a row of device {id}, which is not there")))
}

fn certificate(row: &Row<'_>) -> Result<Certificate, LoadError> {
    let hash = |column| {
        let octets = blob(row, column)?;
        octets.try_into().map_err(|_| content("certificate", "a SHA-256 of a wrong length"))
    };
    let text = |column| {
        let text = row.get_ref(column)?.as_str();
        text.map(Arc::<str>::from).map_err(|_| content("certificate", "a name that is no text"))
    };
    let known_by = match &*text(1)? {
        "fingerprint" => KnownBy::Fingerprint(hash(3)?),
        "serial" => {
            let (issuer, maker) =
                blob(row, 2)?.split_first_chunk().ok_or_else(|| content("certificate", "no issuer"))?;
            let maker = str::from_utf8(maker).map_err(|_| content("certificate", "a maker that is no text"))?;
            KnownBy::Serial { maker: maker.into(), issuer: *issuer, serial: blob(row, 3)?.into() }
        }
        "subject-serial" => KnownBy::SubjectSerial { maker: text(2)?, serial: text(3)? },
        "alt-name" => KnownBy::AltName { maker: text(2)?, name: text(3)? },
        "peer" => KnownBy::Peer { realm: text(2)?, identity: text(3)? },
        "public-key" => KnownBy::PublicKey(hash(3)?),
        _ => return Err(content("certificate", "an unknown way to know it")),
    };
    Ok(Certificate {
        known_by,
        subject: text(4)?,
        not_after: row.get::<_, Option<i64>>(5)?.map(UnixTime),
        mud_url: match row.get_ref(6)? {
            ValueRef::Null => None,
            _ => Some(text(6)?),
        },
        issued: flag(row, 7)?,
        since: UnixTime(row.get(8)?),
    })
}
