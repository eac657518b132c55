//! The registry on flash: SQLite in the state directory.
//!
//! [`Store`] is the plain, blocking thing; [`StoreHandle`] is the thread around it that the daemon talks to.
//!
//! # Files
//!
//! | file | what |
//! |---|---|
//! | `registry.db`, `registry.db-wal` | the database and its write-ahead log |
//! | `registry.db.good` | a compact, checked copy, made when changes have come to rest |
//! | `registry.db.damaged-TIME...` | damaged ones set aside, the last three |
//! | `registry.lock` | held by the daemon that uses the directory |
//!
//! All have mode 0600: the keys stand in them readably, because they can be shown again.
//!
//! # What is written to flash
//!
//! Only what changes: a row that already says what it should is not touched. Measured with 10,000 devices,
//! on average (`cargo nextest run --no-capture store::tests::scale`), octets appended to the log by
//!
//! | page size | adding a device | its PMK |
//! |---|---|---|
//! | **1024** | 6,400 | 1,700 |
//! | 2048 | 11,200 | 2,800 |
//! | 4096 | 19,600 | 5,200 |
//!
//! with the same size of the database (1.7 MB) and the same time to read it, hence pages of 1024 octets. Each
//! is one sync. The pages in the log are written to the database once, when the log has 512 of them or a good
//! copy is made. A good copy is the whole database again (about 160 octets a device), so they are spread to at
//! most 1 KiB a second in the long run. Counters come a few times a day and cause no copy.

mod eap;
mod error;
mod files;
mod last_good;
mod load;
mod maker;
mod recover;
mod schema;
mod wal;
mod worker;
mod write;

#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use load::Loaded;
pub use recover::{Damage, OpenReport, RestoredFrom};
pub use worker::{StoreHandle, StoreHealth};
pub use write::Write;

use crate::registry::device::{Change, DeviceId, Seen};
use crate::secret::Pmk;
use crate::time::UnixTime;
use files::Files;
use nix::fcntl::Flock;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use write::WriteError;

/// A derived key: the device, the serial of the key it comes from, the SSID (at most 32 octets) and the PMK.
pub type StoredPmk = (DeviceId, u32, Arc<[u8]>, Pmk);

/// The open registry. Exactly one process has it open at a time.
#[derive(Debug)]
pub struct Store {
    // Closed before the lock is given back: the order of the fields is the order of dropping.
    conn: Connection,
    files: Files,
    stale_copy: bool,
    _lock: Flock<File>,
}

impl Store {
    /// Opens the registry in `state_dir`, making both if needed, and reads all of it.
    ///
    /// A damaged registry does not keep the daemon from starting: it is set aside, and the report says
    /// what was done. Errors are left for what nothing can be done about from here:
    /// another daemon on the same directory, a registry of a newer program, a directory that cannot be written.
    pub fn open(state_dir: &Path, now: UnixTime) -> Result<(Store, Loaded, OpenReport), StoreError> {
        let (files, lock) = Files::prepare(state_dir)?;
        let log_left = files::length(&files.wal()).is_ok_and(|length| length > 0);
        let opened = recover::open(&files, now)?;
        let newer = match (files::modified(&files.db), files::modified(&files.good)) {
            (Some(db), Some(good)) => db > good,
            _ => true,
        };
        let stale_copy = log_left || newer || opened.report.found_now;
        Ok((Store { conn: opened.conn, files, stale_copy, _lock: lock }, opened.loaded, opened.report))
    }

    /// Stores all these changes, or none of them. On return they are on flash.
    ///
    /// A device that gets another key (or key serial) loses the PMKs of the old one in the same step.
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.write(&[Write::Changes(changes)])
    }

    /// Stores derived keys. Those of devices that are gone, or of a key that is no longer the present one,
    /// are passed over.
    pub fn put_pmks(&mut self, pmks: &[StoredPmk]) -> Result<(), StoreError> {
        self.write(&[Write::Pmks(pmks)])
    }

    /// Stores counters. Those of devices that are gone are passed over.
    pub fn put_seen(&mut self, seen: &[(DeviceId, Seen)]) -> Result<(), StoreError> {
        self.write(&[Write::Seen(seen)])
    }

    /// Stores several things in one transaction: all of them, or none. On return they are on flash.
    pub fn write(&mut self, writes: &[Write<'_>]) -> Result<(), StoreError> {
        self.transaction(|tx| writes.iter().try_for_each(|write| write::apply(tx, *write)))?;
        // Counters alone are not worth a new copy of everything.
        self.stale_copy |= writes.iter().any(|write| !matches!(write, Write::Seen(_)));
        Ok(())
    }

    /// Removes the derived keys of every SSID that is not in this list.
    pub fn keep_ssids(&mut self, ssids: &[Arc<[u8]>]) -> Result<(), StoreError> {
        self.transaction(|tx| Ok(write::keep_ssids(tx, ssids)?))
    }

    /// Works the write-ahead log into the database and empties it.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        recover::checkpoint(&self.conn).map_err(|e| self.fail("work in the write-ahead log", e))
    }

    /// True when something was stored that the last good copy does not have.
    pub fn copy_is_stale(&self) -> bool {
        self.stale_copy
    }

    /// The size of the last good copy in octets, 0 if there is none.
    pub fn copy_size(&self) -> u64 {
        files::length(&self.files.good).unwrap_or(0)
    }

    /// Makes `registry.db.good`, if anything changed since the last one: a compact copy that is checked
    /// before it replaces the older one.
    ///
    /// The log is worked in first, so that the database by itself is never behind the copy.
    pub fn save_good_copy(&mut self) -> Result<(), StoreError> {
        if !self.stale_copy {
            return Ok(());
        }
        self.checkpoint()?;
        let made = self.make_copy();
        if made.is_err() {
            let _ = fs::remove_file(&self.files.good_new);
        }
        made?;
        self.stale_copy = false;
        Ok(())
    }

    fn make_copy(&self) -> Result<(), StoreError> {
        let new = &self.files.good_new;
        let file = |doing, result: std::io::Result<()>| result.map_err(|e| StoreError::file(new, doing, e));
        // SQLite takes an empty file as the target and leaves its mode alone.
        file("make a good copy", files::private_file(new).and_then(|file| file.set_len(0)))?;
        let name = new.to_str().ok_or_else(|| StoreError::File {
            file: new.clone(),
            doing: "make a good copy",
            cause: std::io::Error::other("the path is not UTF-8"),
        })?;
        self.conn.execute("VACUUM INTO ?1", [name]).map_err(|e| StoreError::database(new, "make a good copy", e))?;
        self.conn.execute_batch("PRAGMA shrink_memory").map_err(|e| self.fail("give memory back", e))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let verdict = Connection::open_with_flags(new, flags).and_then(|copy| recover::quick_check(&copy));
        match verdict {
            Ok(None) => {}
            Ok(Some(cause)) => {
                return Err(StoreError::Damaged { file: new.clone(), doing: "make a good copy", cause });
            }
            Err(e) => return Err(StoreError::database(new, "check the good copy", e)),
        }
        file("sync the good copy", File::open(new).and_then(|copy| copy.sync_all()))?;
        file("put the good copy in place", fs::rename(new, &self.files.good))?;
        self.files.sync_dir()
    }

    /// Makes the good copy if that is due, empties the log and gives the directory free.
    pub fn close(mut self) -> Result<(), StoreError> {
        let copied = self.save_good_copy();
        let emptied = self.checkpoint();
        let Store { conn, files, .. } = self;
        let closed = conn.close().map_err(|(_, e)| StoreError::database(&files.db, "close the registry", e));
        copied.and(emptied).and(closed)
    }

    fn transaction(&mut self, work: impl FnOnce(&Connection) -> Result<(), WriteError>) -> Result<(), StoreError> {
        let file = &self.files.db;
        let fail = |e| StoreError::database(file, "store the change", e);
        let tx = Transaction::new(&mut self.conn, TransactionBehavior::Immediate).map_err(fail)?;
        work(&tx).map_err(|e| match e {
            WriteError::Sql(cause) => fail(*cause),
            WriteError::Refused(why) => StoreError::Refused(why),
        })?;
        tx.commit().map_err(fail)
    }

    fn fail(&self, doing: &'static str, cause: rusqlite::Error) -> StoreError {
        StoreError::database(&self.files.db, doing, cause)
    }
}
