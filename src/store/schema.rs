//! The tables, the version they have, and how a connection is set up for a small router.

use super::StoreError;
use rusqlite::{Connection, Transaction, TransactionBehavior, config::DbConfig};
use std::path::Path;

/// "Lchk": SQLite's application id, so that `file` and we know whose database it is.
pub(super) const APPLICATION_ID: i64 = 0x4c63_686b;

/// One step each, from an empty database to the present schema; the schema version is how many of
/// them a database has seen. What stands here was delivered and is never changed: a change is a new step.
pub(super) const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2, VERSION_3];

/// Devices and what hangs on them.
///
/// - `credential`: a device may hold several (a Wi-Fi key, an EAP-PSK, certificates), told apart by kind
///   and serial. Today each device has exactly one of kind `wifi`; without a secret it stands for the
///   SSID's onboarding key.
/// - `pmk` only holds keys derived from the present credential: a new one removes them.
/// - `counter` keeps the next device number only when the highest number was removed, so that an
///   ordinary registration does not write a page for it.
/// - Tables keyed by device alone are `WITHOUT ROWID`: one B-tree each, one page written per change.
const VERSION_1: &str = "
CREATE TABLE device (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE COLLATE NOCASE,
    profile     TEXT    NOT NULL,
    bind        TEXT    NOT NULL CHECK (bind IN ('first', 'mac', 'any')),
    max_devices INTEGER NOT NULL,
    expires     INTEGER,
    blocked     INTEGER NOT NULL,
    created     INTEGER NOT NULL
) STRICT;
CREATE TABLE credential (
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    kind      TEXT    NOT NULL,
    serial    INTEGER NOT NULL,
    secret    BLOB,
    PRIMARY KEY (device_id, kind, serial)
) STRICT, WITHOUT ROWID;
CREATE TABLE device_mac (
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    mac       BLOB    NOT NULL CHECK (length(mac) = 6),
    place     INTEGER NOT NULL,
    proved    INTEGER NOT NULL,
    since     INTEGER NOT NULL,
    PRIMARY KEY (device_id, mac)
) STRICT, WITHOUT ROWID;
CREATE TABLE ssid (
    id   INTEGER PRIMARY KEY,
    name BLOB    NOT NULL UNIQUE CHECK (length(name) <= 32)
) STRICT;
CREATE TABLE pmk (
    device_id  INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    ssid_id    INTEGER NOT NULL REFERENCES ssid (id),
    key_serial INTEGER NOT NULL,
    pmk        BLOB    NOT NULL CHECK (length(pmk) = 32),
    PRIMARY KEY (device_id, ssid_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE ignored_mac (
    mac BLOB NOT NULL PRIMARY KEY CHECK (length(mac) = 6)
) STRICT, WITHOUT ROWID;
CREATE TABLE seen (
    device_id INTEGER PRIMARY KEY REFERENCES device (id) ON DELETE CASCADE,
    last_seen INTEGER NOT NULL,
    last_mac  BLOB CHECK (length(last_mac) = 6),
    accepted  INTEGER NOT NULL,
    refused   INTEGER NOT NULL
) STRICT;
CREATE TABLE counter (
    name  TEXT    NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE damage (
    at       INTEGER NOT NULL,
    file     TEXT,
    reason   TEXT    NOT NULL,
    restored TEXT    NOT NULL,
    copy_of  INTEGER
) STRICT;
";

/// What devices prove themselves with over EAP, where they may be, and makers.
///
/// - A row of kind `eap` in `credential` stands for all a device has for EAP: its serial counts their changes, `identity`
///   and `secret` are NAI and key of EAP-PSK, or null. `certificate` has the rest, only for devices with such a row.
/// - `known_by` says what `scope` and `value` are: `fingerprint` and `public-key` an empty text and a SHA-256; `serial`
///   the SHA-256 of the issuer and the number's octets; `subject-serial` and `alt-name` the maker's name and a text.
/// - That a NAI or a certificate belongs to one device is seen to where devices are changed, as for addresses.
/// - A certificate of `authority` is large: a table with row numbers keeps the keys that are searched together.
const VERSION_2: &str = "
ALTER TABLE credential ADD COLUMN identity TEXT;
CREATE TABLE certificate (
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    place     INTEGER NOT NULL,
    known_by  TEXT    NOT NULL
              CHECK (known_by IN ('fingerprint', 'serial', 'subject-serial', 'alt-name', 'public-key')),
    scope     ANY     NOT NULL,
    value     ANY     NOT NULL,
    subject   TEXT    NOT NULL,
    not_after INTEGER,
    mud_url   TEXT,
    issued    INTEGER NOT NULL,
    since     INTEGER NOT NULL,
    PRIMARY KEY (device_id, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE device_place (
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    place     INTEGER NOT NULL,
    ssid      BLOB CHECK (length(ssid) <= 32),
    ap        BLOB CHECK (length(ap) = 6),
    PRIMARY KEY (device_id, place),
    CHECK ((ssid IS NULL) <> (ap IS NULL))
) STRICT, WITHOUT ROWID;
CREATE TABLE maker (
    name    TEXT NOT NULL PRIMARY KEY,
    profile TEXT NOT NULL,
    admit   TEXT NOT NULL CHECK (admit IN ('listed', 'pending', 'all'))
) STRICT, WITHOUT ROWID;
CREATE TABLE authority (
    maker TEXT    NOT NULL REFERENCES maker (name) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    der   BLOB    NOT NULL,
    PRIMARY KEY (maker, place)
) STRICT;
CREATE TABLE revocation_list (
    maker TEXT    NOT NULL REFERENCES maker (name) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    path  BLOB    NOT NULL,
    PRIMARY KEY (maker, place)
) STRICT, WITHOUT ROWID;
";

/// What others vouch for.
///
/// - `certificate` anew, since a condition of a column cannot be changed: `known_by` can be `peer`, with the name of the realm and
///   the identity. Nothing refers to this table, so renaming it changes nothing else.
/// - `last_good`: what the servers of a realm answered last for an address on an SSID, and its keys as they were sent.
/// - `bundle_issued` and `held_list`: when the last bundle of a maker was issued, and the revocation lists that came in it.
const VERSION_3: &str = "
CREATE TABLE certificate_3 (
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    place     INTEGER NOT NULL,
    known_by  TEXT    NOT NULL
              CHECK (known_by IN ('fingerprint', 'serial', 'subject-serial', 'alt-name', 'peer', 'public-key')),
    scope     ANY     NOT NULL,
    value     ANY     NOT NULL,
    subject   TEXT    NOT NULL,
    not_after INTEGER,
    mud_url   TEXT,
    issued    INTEGER NOT NULL,
    since     INTEGER NOT NULL,
    PRIMARY KEY (device_id, place)
) STRICT, WITHOUT ROWID;
INSERT INTO certificate_3 (device_id, place, known_by, scope, value, subject, not_after, mud_url, issued, since)
    SELECT device_id, place, known_by, scope, value, subject, not_after, mud_url, issued, since FROM certificate;
DROP TABLE certificate;
ALTER TABLE certificate_3 RENAME TO certificate;
CREATE TABLE last_good (
    mac     BLOB    NOT NULL CHECK (length(mac) = 6),
    ssid    BLOB    NOT NULL CHECK (length(ssid) <= 32),
    realm   TEXT    NOT NULL,
    vlan    INTEGER,
    profile TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (mac, ssid)
) STRICT, WITHOUT ROWID;
CREATE TABLE last_good_key (
    mac    BLOB    NOT NULL,
    ssid   BLOB    NOT NULL,
    place  INTEGER NOT NULL,
    secret BLOB    NOT NULL CHECK (length(secret) BETWEEN 8 AND 64),
    PRIMARY KEY (mac, ssid, place),
    FOREIGN KEY (mac, ssid) REFERENCES last_good (mac, ssid) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
ALTER TABLE maker ADD COLUMN bundle_issued INTEGER;
CREATE TABLE held_list (
    maker TEXT    NOT NULL REFERENCES maker (name) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    der   BLOB    NOT NULL,
    PRIMARY KEY (maker, place)
) STRICT;
";

/// Octets a page has. See the module documentation of the store for the measurements behind it.
const PAGE_SIZE: u32 = 1024;
/// SQLite's page cache, in KiB: enough for the inner pages of 10,000 devices.
const CACHE_KIB: u32 = 256;
/// Log length, in pages, at which the log is worked into the database.
const CHECKPOINT_PAGES: u32 = 512;
/// How long a log may stay when it was worked in, in octets; a bulk import leaves a long one.
const LOG_LIMIT: u32 = 512 * 1024;

/// Sets up a connection that is only going to be looked at: nothing in the files is changed, also
/// not when it is closed.
///
/// The lock is exclusive from the first read, which keeps the log's index in memory: no `-shm` file,
/// whose shared writable mapping JFFS2 cannot give.
pub(super) fn prepare(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.execute_batch(&format!(
        "PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA page_size = {PAGE_SIZE};
         PRAGMA cache_size = -{CACHE_KIB};
         PRAGMA mmap_size = 0;
         PRAGMA temp_store = MEMORY;
         PRAGMA foreign_keys = ON;
         PRAGMA cell_size_check = ON;"
    ))
}

/// Turns on what writing needs, once the database is known to be good.
///
/// `synchronous = FULL`: a transaction is on flash before it is acknowledged. `secure_delete = FAST`:
/// a removed key does not stay readable in a page that is written anyway.
pub(super) fn prepare_writing(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA secure_delete = FAST;
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
         PRAGMA journal_size_limit = {LOG_LIMIT};"
    ))?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(())
}

/// The schema version of a database, after making sure that it is ours and not too new.
pub(super) fn version(conn: &Connection, file: &Path, steps: &[&str]) -> Result<i64, StoreError> {
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let (id, found, tables) = head(conn).map_err(|e| StoreError::database(file, "read", e))?;
    if id != APPLICATION_ID && (id, found, tables) != (0, 0, 0) {
        Err(StoreError::Foreign { file: file.to_owned(), id })
    } else if found > known || found < 0 {
        Err(StoreError::Newer { file: file.to_owned(), found, known })
    } else {
        Ok(found)
    }
}

/// Takes the steps a database has not seen yet, each in a transaction of its own.
pub(super) fn migrate(conn: &mut Connection, file: &Path, from: i64, steps: &[&str]) -> Result<(), StoreError> {
    for (step, number) in steps.iter().zip(1i64..).skip(usize::try_from(from).unwrap_or(0)) {
        take(conn, step, number).map_err(|e| StoreError::database(file, "bring the tables up to date", e))?;
    }
    Ok(())
}

fn take(conn: &mut Connection, step: &str, number: i64) -> rusqlite::Result<()> {
    let tx = Transaction::new(conn, TransactionBehavior::Immediate)?;
    tx.execute_batch(step)?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", number)?;
    tx.commit()
}

fn head(conn: &Connection) -> rusqlite::Result<(i64, i64, i64)> {
    let id = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok((id, version, tables))
}
