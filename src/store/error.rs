//! What can go wrong with the registry on flash. Every text names the file, the cause and the mend.

use std::io;
use std::path::{Path, PathBuf};

/// Why the registry could not be opened, read or written. Never quotes a key.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the lock of the state directory.
    #[error("{}: another latchkey uses this state directory: stop it first, or give each daemon its own state_dir", dir.display())]
    Locked {
        /// The state directory.
        dir: PathBuf,
    },
    /// A file operation failed outside SQLite.
    #[error("{}: cannot {doing}: {cause}: check that the directory exists, is writable and has space", file.display())]
    File {
        /// The file or directory.
        file: PathBuf,
        /// What was tried, to stand after "cannot".
        doing: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// No room left on the file system.
    #[error("{}: cannot {doing}: no space left on the flash: nothing was changed; remove files or packages and try again", file.display())]
    Full {
        /// The database.
        file: PathBuf,
        /// What was tried, to stand after "cannot".
        doing: &'static str,
    },
    /// SQLite failed for a reason that is neither damage nor lack of space.
    #[error("{}: cannot {doing}: {cause}: nothing was changed; check the state of the flash (logread, dmesg)", file.display())]
    Database {
        /// The database.
        file: PathBuf,
        /// What was tried, to stand after "cannot".
        doing: &'static str,
        /// What SQLite said.
        cause: String,
    },
    /// Another program than latchkey holds the database.
    #[error("{}: cannot {doing}: another program has the database open: close it (sqlite3 in a shell?) and try again", file.display())]
    Busy {
        /// The database.
        file: PathBuf,
        /// What was tried, to stand after "cannot".
        doing: &'static str,
    },
    /// The database turned out to be damaged while it was in use.
    #[error("{}: cannot {doing}: the file is damaged ({cause}): restart latchkey, it sets the file aside and repairs what it can", file.display())]
    Damaged {
        /// The database.
        file: PathBuf,
        /// What was tried, to stand after "cannot".
        doing: &'static str,
        /// What SQLite said.
        cause: String,
    },
    /// The database was written by a later version of latchkey; it is left as it is.
    #[error("{}: written by a newer latchkey (schema {found}, this one knows up to {known}): install that version again, or move the file away to start anew", file.display())]
    Newer {
        /// The database.
        file: PathBuf,
        /// Its schema version.
        found: i64,
        /// The latest schema version this program knows.
        known: i64,
    },
    /// A SQLite database of some other program; it is left as it is.
    #[error("{}: a database of another program (application id {id:#010x}): move it away, or choose another state_dir", file.display())]
    Foreign {
        /// The database.
        file: PathBuf,
        /// The application id found in it.
        id: i64,
    },
    /// The change contradicts what is stored: a name taken twice, an address for a removed device.
    #[error("not stored: {0}")]
    Refused(String),
    /// The store's thread has ended: the daemon is shutting down.
    #[error("the registry is closed: latchkey is shutting down; try again when it is back")]
    Stopped,
}

impl StoreError {
    /// Names a failed file operation.
    pub(super) fn file(file: &Path, doing: &'static str, cause: io::Error) -> StoreError {
        if cause.kind() == io::ErrorKind::StorageFull {
            StoreError::Full { file: file.to_owned(), doing }
        } else {
            StoreError::File { file: file.to_owned(), doing, cause }
        }
    }

    /// Names a failed database operation and sorts it by whose fault it is.
    pub(super) fn database(file: &Path, doing: &'static str, cause: rusqlite::Error) -> StoreError {
        use rusqlite::ErrorCode::{ConstraintViolation, DatabaseBusy, DatabaseLocked, DiskFull};
        let file = file.to_owned();
        match cause.sqlite_error_code() {
            Some(DiskFull) => StoreError::Full { file, doing },
            Some(DatabaseBusy | DatabaseLocked) => StoreError::Busy { file, doing },
            Some(ConstraintViolation) => StoreError::Refused(cause.to_string()),
            _ if is_damage(&cause) => StoreError::Damaged { file, doing, cause: describe(&cause) },
            _ => StoreError::Database { file, doing, cause: describe(&cause) },
        }
    }
}

/// True when the error says that the file cannot be read as what it should be. Read errors count:
/// a flash sector that no longer reads is damage too, and no retry mends it.
pub(super) fn is_damage(cause: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    use rusqlite::ffi::{SQLITE_IOERR_DATA, SQLITE_IOERR_READ, SQLITE_IOERR_SHORT_READ};
    match cause {
        rusqlite::Error::SqliteFailure(code, _) => {
            matches!(code.code, DatabaseCorrupt | NotADatabase)
                || matches!(code.extended_code, SQLITE_IOERR_READ | SQLITE_IOERR_SHORT_READ | SQLITE_IOERR_DATA)
        }
        // A table or column the schema version promises is not there.
        rusqlite::Error::SqlInputError { .. } => true,
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..)
        | rusqlite::Error::QueryReturnedNoRows => true,
        _ => false,
    }
}

/// SQLite's own words, with the operation that failed where "disk I/O error" alone would not tell.
pub(super) fn describe(cause: &rusqlite::Error) -> String {
    use rusqlite::ffi;
    let operation = match cause {
        rusqlite::Error::SqliteFailure(code, _) => match code.extended_code {
            ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ => " (while reading)",
            ffi::SQLITE_IOERR_WRITE => " (while writing)",
            ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => " (while syncing to flash)",
            ffi::SQLITE_IOERR_TRUNCATE => " (while truncating)",
            _ => "",
        },
        _ => "",
    };
    format!("{cause}{operation}")
}
