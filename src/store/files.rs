//! The files of the state directory: their names, modes, the lock, and how they are made durable.

use super::StoreError;
use crate::time::UnixTime;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How many damaged registries are kept for inspection; the oldest goes first.
const KEEP_DAMAGED: usize = 3;
/// The beginning of every name a damaged file is set aside under.
const DAMAGED: &str = "registry.db.damaged-";

/// The paths in one state directory.
#[derive(Debug, Clone)]
pub(super) struct Files {
    /// The state directory itself.
    pub dir: PathBuf,
    /// The database.
    pub db: PathBuf,
    /// The last good copy of it.
    pub good: PathBuf,
    /// A good copy in the making.
    pub good_new: PathBuf,
    /// A replacement for a damaged database, in the making.
    pub restore: PathBuf,
    lock: PathBuf,
}

/// How long a lock is waited for. That of a daemon that was killed is held on by a program it was just about to run, until that
/// has begun.
const LOCK: Duration = Duration::from_secs(1);

/// Takes the lock.
fn take(mut file: File) -> Result<Flock<File>, Errno> {
    let begun = Instant::now();
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((same, Errno::EWOULDBLOCK)) if begun.elapsed() < LOCK => file = same,
            Err((_, errno)) => return Err(errno),
        }
        std::thread::sleep(LOCK / 20);
    }
}

impl Files {
    /// Makes the directory (0700) if needed and takes its lock, which is held as long as the returned value lives.
    pub fn prepare(dir: &Path) -> Result<(Files, Flock<File>), StoreError> {
        let files = Files {
            dir: dir.to_owned(),
            db: dir.join("registry.db"),
            good: dir.join("registry.db.good"),
            good_new: dir.join("registry.db.good.new"),
            restore: dir.join("registry.db.restore"),
            lock: dir.join("registry.lock"),
        };
        if !dir.is_dir() {
            create_dir(dir).map_err(|e| StoreError::file(dir, "create the state directory", e))?;
        }
        let lock = private_file(&files.lock).map_err(|e| StoreError::file(&files.lock, "open the lock file", e))?;
        let lock = take(lock).map_err(|errno| match errno {
            Errno::EWOULDBLOCK => StoreError::Locked { dir: dir.to_owned() },
            errno => StoreError::file(&files.lock, "lock the state directory", errno.into()),
        })?;
        // Whatever a crash left half made.
        for stale in [&files.good_new, &files.restore] {
            remove_database(stale).map_err(|e| StoreError::file(stale, "remove a leftover", e))?;
        }
        Ok((files, lock))
    }

    /// Moves a database away under a name of its own, with whatever SQLite left beside it, and
    /// removes the oldest of earlier ones. `None` when there was nothing to move.
    pub fn set_aside(&self, now: UnixTime) -> Result<Option<PathBuf>, StoreError> {
        let target = self.damaged_name(now)?;
        let mut moved = None;
        // The log first: beside a new database it would be taken for that one's.
        for suffix in ["-wal", "-shm", "-journal", ""] {
            let from = with_suffix(&self.db, suffix);
            let to = with_suffix(&target, suffix);
            if move_if_there(&from, &to)? {
                moved = Some(to);
            }
        }
        self.finish_aside(&target)?;
        Ok(moved)
    }

    /// Moves only the write-ahead log away: nothing in it can be read.
    pub fn set_log_aside(&self, now: UnixTime) -> Result<Option<PathBuf>, StoreError> {
        let target = self.damaged_name(now)?;
        let to = with_suffix(&target, "-wal");
        let moved = move_if_there(&self.wal(), &to)?;
        self.finish_aside(&target)?;
        Ok(moved.then_some(to))
    }

    /// Copies the write-ahead log away: its beginning is still needed.
    pub fn copy_log_aside(&self, now: UnixTime) -> Result<Option<PathBuf>, StoreError> {
        let target = self.damaged_name(now)?;
        let to = with_suffix(&target, "-wal");
        copy_private(&self.wal(), &to).map_err(|e| StoreError::file(&to, "keep a copy of the damaged log", e))?;
        self.finish_aside(&target)?;
        Ok(Some(to))
    }

    /// Moves a good copy away that is not good.
    pub fn set_copy_aside(&self, now: UnixTime) -> Result<(), StoreError> {
        let target = self.damaged_name(now)?;
        move_if_there(&self.good, &with_suffix(&target, "-good"))?;
        self.finish_aside(&target)
    }

    /// The write-ahead log of the database.
    pub fn wal(&self) -> PathBuf {
        with_suffix(&self.db, "-wal")
    }

    /// Waits until the directory's entries (renames, removals) are on flash.
    pub fn sync_dir(&self) -> Result<(), StoreError> {
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(|e| StoreError::file(&self.dir, "sync the state directory", e))
    }

    fn finish_aside(&self, newest: &Path) -> Result<(), StoreError> {
        self.prune(newest).map_err(|e| StoreError::file(&self.dir, "remove old damaged files", e))?;
        self.sync_dir()
    }

    /// `registry.db.damaged-20270131T180000Z`, with a number behind it where that is taken.
    fn damaged_name(&self, now: UnixTime) -> Result<PathBuf, StoreError> {
        let stamp: String = now.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
        let taken = self.damaged_groups().map_err(|e| StoreError::file(&self.dir, "list the state directory", e))?;
        let mut name = format!("{DAMAGED}{stamp}");
        let mut n = 1;
        while taken.contains(&name) {
            n += 1;
            name = format!("{DAMAGED}{stamp}.{n}");
        }
        Ok(self.dir.join(name))
    }

    /// The damaged registries there are, each once whatever files it has, oldest first.
    fn damaged_groups(&self) -> io::Result<Vec<String>> {
        let mut groups = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            if let Some(name) = name.to_str().filter(|name| name.starts_with(DAMAGED)) {
                groups.push(group_of(name).to_owned());
            }
        }
        groups.sort();
        groups.dedup();
        Ok(groups)
    }

    /// Removes the oldest damaged registries until [`KEEP_DAMAGED`] are left, never the one just set aside:
    /// the clock of a router may well start in 1970.
    fn prune(&self, newest: &Path) -> io::Result<()> {
        let groups = self.damaged_groups()?;
        let surplus = groups.len().saturating_sub(KEEP_DAMAGED);
        for old in groups.iter().filter(|group| newest.file_name().is_none_or(|n| n != group.as_str())).take(surplus) {
            for suffix in ["", "-wal", "-shm", "-journal", "-good"] {
                remove_if_there(&self.dir.join(format!("{old}{suffix}")))?;
            }
        }
        Ok(())
    }
}

fn group_of(name: &str) -> &str {
    ["-wal", "-shm", "-journal", "-good"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

/// Makes a directory and its missing parents; the directory itself gets exactly 0700, whatever the umask.
fn create_dir(dir: &Path) -> io::Result<()> {
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent)?;
    }
    DirBuilder::new().mode(0o700).create(dir)?;
    fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    // Its entry has to be on flash before anything in it counts as stored.
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// Opens or makes a file with mode exactly 0600, whatever the umask and its mode so far.
///
/// SQLite gives the files it makes beside a database (`-wal`, `-journal`) the database's own mode.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o777 != 0o600 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Copies a file to a new one with mode 0600 and waits until it is on flash.
pub(super) fn copy_private(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut target = private_file(to)?;
    target.set_len(0)?;
    io::copy(&mut source, &mut target)?;
    target.sync_all()
}

/// The length of a file in bytes, 0 when it is not there.
pub(super) fn length(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Ok(meta) => Ok(meta.len()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(e),
    }
}

/// When a file was last written, in whole seconds.
pub(super) fn modified(path: &Path) -> Option<UnixTime> {
    let time = fs::metadata(path).and_then(|meta| meta.modified()).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).ok().map(UnixTime)
}

/// Removes a database and what SQLite may have left beside it.
pub(super) fn remove_database(path: &Path) -> io::Result<()> {
    for suffix in ["-wal", "-shm", "-journal", ""] {
        remove_if_there(&with_suffix(path, suffix))?;
    }
    Ok(())
}

/// `path` with text put directly behind its last letter.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn move_if_there(from: &Path, to: &Path) -> Result<bool, StoreError> {
    match fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(StoreError::file(from, "set the damaged file aside", e)),
    }
}
