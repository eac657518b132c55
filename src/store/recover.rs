//! Opening a registry that may be damaged: what is tried, in which order, and what is said about it.
//!
//! 1. The write-ahead log is looked at before SQLite sees it ([`wal`]).
//! 2. The database is checked (`quick_check`) and read whole.
//! 3. Where that fails: if all devices, keys and addresses still read and agree, they are taken over
//!    into a new file (*salvaged*: nothing is lost but what is derived or counted).
//! 4. Otherwise the last good copy is used, and if there is none, an empty registry.
//!
//! The damaged file is moved away before a new one takes its place, and is never written to. A crash
//! in between leaves a state from which the next start finds the same way.

use super::files::{Files, copy_private, length, modified, private_file};
use super::load::{self, LoadError, Loaded};
use super::schema::{self, MIGRATIONS};
use super::write::{self, Write};
use super::{StoreError, wal};
use crate::registry::device::Change;
use crate::time::UnixTime;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Numbers skipped after a good copy was used: those given since it was made are not known any more.
const SKIP_IDS: u32 = 100_000;
/// How long another program (`sqlite3` in a shell) may hold the database before opening it fails.
const PATIENCE: Duration = Duration::from_secs(2);

/// A damage that was found, and how it was mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// When it was found.
    pub at: UnixTime,
    /// Where the damaged file is kept; `None` when there was no file at all.
    pub file: Option<PathBuf>,
    /// What was wrong, in plain words.
    pub reason: String,
    /// What the registry was restored from.
    pub restored_from: RestoredFrom,
}

/// What a damaged registry was restored from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoredFrom {
    /// The damaged file itself: all devices, keys and addresses could still be read.
    Salvaged,
    /// The database without (the end of) its log: changes of the last seconds before the stop may be lost.
    Checkpoint,
    /// The last good copy: changes made after that moment are lost.
    GoodCopy {
        /// When the copy was made.
        made: UnixTime,
    },
    /// Nothing usable was left: the registry is empty.
    Nothing,
}

impl fmt::Display for RestoredFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoredFrom::Salvaged => f.write_str("all devices, keys and addresses could be recovered from it"),
            RestoredFrom::Checkpoint => f.write_str("the last changes before the stop may be missing"),
            RestoredFrom::GoodCopy { made } => {
                write!(
                    f,
                    "the last good copy of {made} is used: changes made after that are lost, blocks and removals too"
                )
            }
            RestoredFrom::Nothing => f.write_str("nothing could be recovered: the registry is empty, import a backup"),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the registry was found damaged at {}: {}; ", self.at, self.reason)?;
        write!(f, "{}", self.restored_from)?;
        match &self.file {
            Some(file) => write!(f, "; the damaged file is kept as {} (remove it to end this notice)", file.display()),
            None => Ok(()),
        }
    }
}

/// What the start has to say about the registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// The latest damage: one found just now, or an earlier one whose file is still there.
    pub damaged: Option<Damage>,
    /// True when [`OpenReport::damaged`] was found by this very start.
    pub found_now: bool,
    /// True when there was nothing yet and an empty registry was made.
    pub created: bool,
}

/// A database that was opened, checked and read.
pub(super) struct Opened {
    pub conn: Connection,
    pub loaded: Loaded,
    pub report: OpenReport,
}

/// Why a file is not taken as it is.
enum Trouble {
    /// It cannot be used, and must not be touched.
    Error(StoreError),
    /// It is damaged; what could be read safely nevertheless.
    Damaged(String, Option<Box<Loaded>>),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Trouble {
        match error {
            StoreError::Damaged { cause, .. } => Trouble::Damaged(cause, None),
            other => Trouble::Error(other),
        }
    }
}

/// Opens the registry of a locked state directory, whatever state it is in.
pub(super) fn open(files: &Files, now: UnixTime) -> Result<Opened, StoreError> {
    let present = length_of(&files.db)?;
    if present == 0 {
        return open_missing(files, now);
    }
    private_file(&files.db).map_err(|e| StoreError::file(&files.db, "open the registry", e))?;
    let log = wal::inspect(&files.wal()).map_err(|e| StoreError::file(&files.wal(), "read the write-ahead log", e))?;
    // A newer program's file stays as it is, log and all: nothing is moved before its version is known.
    if log != wal::Log::Whole {
        peek(&files.db)?;
    }
    let (reason, kept) = match log {
        wal::Log::Whole => (None, None),
        wal::Log::Unreadable => (Some("its write-ahead log is unreadable"), files.set_log_aside(now)?),
        wal::Log::Broken => (Some("its write-ahead log is damaged in the middle"), files.copy_log_aside(now)?),
    };
    match attempt(&files.db) {
        Ok((conn, loaded)) => {
            let damage = reason.map(|reason| Damage {
                at: now,
                file: kept,
                reason: reason.to_owned(),
                restored_from: RestoredFrom::Checkpoint,
            });
            report(files, conn, loaded, damage)
        }
        Err(Trouble::Error(error)) => Err(error),
        Err(Trouble::Damaged(reason, salvaged)) => replace(files, now, reason, salvaged),
    }
}

/// No database: the first start, or its file was lost.
fn open_missing(files: &Files, now: UnixTime) -> Result<Opened, StoreError> {
    if length_of(&files.good)? > 0 {
        let reason = if files.db.exists() { "registry.db was empty" } else { "registry.db was missing" };
        return replace(files, now, reason.to_owned(), None);
    }
    if length_of(&files.wal())? > 0 {
        return replace(files, now, "registry.db was missing or empty, only its log was there".to_owned(), None);
    }
    let (conn, loaded) = attempt(&files.db).map_err(|trouble| give_up(&files.db, trouble))?;
    files.sync_dir()?;
    Ok(Opened { conn, loaded, report: OpenReport { created: true, ..OpenReport::default() } })
}

/// Puts another database in the place of a damaged one: salvaged, the good copy, or an empty one.
fn replace(files: &Files, now: UnixTime, reason: String, salvaged: Option<Box<Loaded>>) -> Result<Opened, StoreError> {
    let restored_from = if let Some(salvaged) = salvaged {
        build(&files.restore, &salvaged)?;
        RestoredFrom::Salvaged
    } else {
        match restore_good_copy(files, now)? {
            Some(made) => RestoredFrom::GoodCopy { made },
            None => RestoredFrom::Nothing,
        }
    };
    let kept = files.set_aside(now)?;
    if restored_from != RestoredFrom::Nothing {
        fs::rename(&files.restore, &files.db)
            .map_err(|e| StoreError::file(&files.db, "put the restored registry in place", e))?;
    }
    files.sync_dir()?;
    let (conn, loaded) = attempt(&files.db).map_err(|trouble| give_up(&files.db, trouble))?;
    report(files, conn, loaded, Some(Damage { at: now, file: kept, reason, restored_from }))
}

/// Makes `registry.db.restore` from the good copy; `None` when there is none that is good.
fn restore_good_copy(files: &Files, now: UnixTime) -> Result<Option<UnixTime>, StoreError> {
    if length_of(&files.good)? == 0 {
        return Ok(None);
    }
    let made = modified(&files.good).unwrap_or_default();
    copy_private(&files.good, &files.restore)
        .map_err(|e| StoreError::file(&files.restore, "restore the last good copy", e))?;
    match attempt(&files.restore) {
        Ok((conn, loaded)) => {
            write::raise_next_id(&conn, loaded.next_id.saturating_add(SKIP_IDS))
                .and_then(|()| conn.close().map_err(|(_, cause)| cause))
                .map_err(|e| StoreError::database(&files.restore, "restore the last good copy", e))?;
            Ok(Some(made))
        }
        // Also when the copy is of a newer program: better no service than an empty registry over it.
        Err(Trouble::Error(error)) => Err(error),
        Err(Trouble::Damaged(..)) => {
            super::files::remove_database(&files.restore)
                .map_err(|e| StoreError::file(&files.restore, "remove the unusable copy", e))?;
            files.set_copy_aside(now)?;
            Ok(None)
        }
    }
}

/// Makes a new database that holds what was salvaged.
fn build(path: &Path, salvaged: &Loaded) -> Result<(), StoreError> {
    let (mut conn, _) = attempt(path).map_err(|trouble| give_up(path, trouble))?;
    let fail = |e| StoreError::database(path, "write the salvaged registry", e);
    let tx = conn.transaction().map_err(fail)?;
    let mut changes = vec![Change::Put(salvaged.devices.clone())];
    changes.extend(salvaged.makers.iter().map(|maker| Change::PutMaker(Box::new(maker.clone()))));
    changes.extend(salvaged.ignored.iter().map(|mac| Change::Ignore(*mac, true)));
    changes.extend(salvaged.last_good.iter().map(|kept| Change::PutLastGood(Box::new(kept.clone()))));
    for part in [Write::Changes(&changes), Write::Pmks(&salvaged.pmks), Write::Seen(&salvaged.seen)] {
        write::apply(&tx, part).map_err(|e| match e {
            write::WriteError::Sql(cause) => fail(*cause),
            write::WriteError::Refused(why) => StoreError::Refused(why),
        })?;
    }
    write::raise_next_id(&tx, salvaged.next_id).map_err(fail)?;
    tx.commit().map_err(fail)?;
    conn.close().map_err(|(_, e)| fail(e))
}

/// Opens, checks, brings up to date and reads a database. A damaged one is left untouched.
fn attempt(path: &Path) -> Result<(Connection, Loaded), Trouble> {
    private_file(path).map_err(|e| StoreError::file(path, "open the registry", e))?;
    let mut conn = connect(path)?;
    let version = schema::version(&conn, path, MIGRATIONS)?;
    if version > 0 {
        check(&conn, path, version)?;
    }
    // The first tables are made before the log exists, so that the file is a database from its first page on.
    schema::migrate(&mut conn, path, version, MIGRATIONS)?;
    let loaded = load::everything(&conn).map_err(|e| load_trouble(&conn, path, e))?;
    let fail = |e| StoreError::database(path, "open the registry", e);
    schema::prepare_writing(&conn).map_err(fail)?;
    if length_of(&super::files::with_suffix(path, "-wal"))? > 0 {
        // What an earlier run left in the log: worked in now, the log begins anew. Where that fails (no
        // space), the log stays as it is, and is as good as the database.
        let _ = checkpoint(&conn);
    }
    conn.execute_batch("PRAGMA shrink_memory").map_err(fail)?;
    Ok((conn, loaded))
}

/// Makes sure that a database is none of a newer program, and nothing more.
fn peek(path: &Path) -> Result<(), StoreError> {
    let found = connect(path).and_then(|conn| schema::version(&conn, path, MIGRATIONS));
    match found {
        Ok(_) | Err(StoreError::Damaged { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let fail = |e| StoreError::database(path, "open the registry", e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(fail)?;
    conn.busy_timeout(PATIENCE).map_err(fail)?;
    schema::prepare(&conn).map_err(fail)?;
    Ok(conn)
}

fn check(conn: &Connection, path: &Path, version: i64) -> Result<(), Trouble> {
    let verdict = quick_check(conn);
    let reason = match verdict {
        Ok(None) => return Ok(()),
        Ok(Some(reason)) => reason,
        Err(e) => match StoreError::database(path, "check the registry", e) {
            StoreError::Damaged { cause, .. } => cause,
            other => return Err(Trouble::Error(other)),
        },
    };
    // The tables of an earlier version cannot be read here.
    let readable = MIGRATIONS.len() as i64 == version;
    Err(Trouble::Damaged(reason, readable.then(|| salvage(conn)).flatten()))
}

/// The first thing that is wrong in the structure of a database, in SQLite's words.
pub(super) fn quick_check(conn: &Connection) -> rusqlite::Result<Option<String>> {
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((verdict != "ok").then(|| verdict.replace('\n', " ")))
}

fn salvage(conn: &Connection) -> Option<Box<Loaded>> {
    load::salvage(conn).ok().map(Box::new)
}

fn load_trouble(conn: &Connection, path: &Path, error: LoadError) -> Trouble {
    if error.is_damage() {
        let reason = match error {
            LoadError::Sql(cause) => super::error::describe(&cause),
            LoadError::Content(what) => what,
        };
        return Trouble::Damaged(reason, salvage(conn));
    }
    match error {
        LoadError::Sql(cause) => Trouble::Error(StoreError::database(path, "read the registry", *cause)),
        LoadError::Content(what) => Trouble::Damaged(what, None),
    }
}

/// A file this program has just made does not work: nothing is left to try.
fn give_up(path: &Path, trouble: Trouble) -> StoreError {
    match trouble {
        Trouble::Error(error) => error,
        Trouble::Damaged(cause, _) => {
            StoreError::Damaged { file: path.to_owned(), doing: "use the registry it has just made", cause }
        }
    }
}

/// Works the log into the database and empties it. Of this database by name: a table that was renamed leaves SQLite's temporary
/// one open, which refuses it.
pub(super) fn checkpoint(conn: &Connection) -> rusqlite::Result<()> {
    conn.query_row("PRAGMA main.wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// Remembers a damage found now in the database itself, or recalls the last one whose file is still there.
fn report(files: &Files, conn: Connection, loaded: Loaded, damage: Option<Damage>) -> Result<Opened, StoreError> {
    let fail = |e| StoreError::database(&files.db, "read the damage noted earlier", e);
    let found_now = damage.is_some();
    let damaged = match damage {
        Some(damage) => {
            // With no space left the daemon still has to start; it then says this for one run only.
            let _ = note(&conn, &damage);
            Some(damage)
        }
        None => recall(files, &conn).map_err(fail)?,
    };
    Ok(Opened { conn, loaded, report: OpenReport { damaged, found_now, created: false } })
}

fn note(conn: &Connection, damage: &Damage) -> rusqlite::Result<()> {
    let (restored, copy_of) = match damage.restored_from {
        RestoredFrom::Salvaged => ("salvaged", None),
        RestoredFrom::Checkpoint => ("checkpoint", None),
        RestoredFrom::GoodCopy { made } => ("good copy", Some(made.0)),
        RestoredFrom::Nothing => ("nothing", None),
    };
    let file = damage.file.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
    conn.execute("DELETE FROM damage", [])?;
    conn.execute(
        "INSERT INTO damage (at, file, reason, restored, copy_of) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![damage.at.0, file, damage.reason, restored, copy_of],
    )?;
    Ok(())
}

fn recall(files: &Files, conn: &Connection) -> rusqlite::Result<Option<Damage>> {
    let last = conn
        .query_row("SELECT at, file, reason, restored, copy_of FROM damage ORDER BY rowid DESC", [], |row| {
            let restored: String = row.get(3)?;
            let made = UnixTime(row.get::<_, Option<i64>>(4)?.unwrap_or_default());
            let file: Option<String> = row.get(1)?;
            Ok(Damage {
                at: UnixTime(row.get(0)?),
                file: file.map(|name| files.dir.join(name)),
                reason: row.get(2)?,
                restored_from: match restored.as_str() {
                    "salvaged" => RestoredFrom::Salvaged,
                    "checkpoint" => RestoredFrom::Checkpoint,
                    "good copy" => RestoredFrom::GoodCopy { made },
                    _ => RestoredFrom::Nothing,
                },
            })
        })
        .optional()?;
    Ok(last.filter(|damage| damage.file.as_ref().is_some_and(|file| file.exists())))
}

fn length_of(path: &Path) -> Result<u64, StoreError> {
    length(path).map_err(|e| StoreError::file(path, "look at the file", e))
}
