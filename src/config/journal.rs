//! Changing a file whose directory cannot be written: in place, which a power cut can interrupt half way. So the whole old
//! and the whole new file are put into another directory first, and whoever finds that journal knows what to do.

use super::file::read;
use crate::pki::certificate::sha256;
use crate::wire::uci::MAX_FILE;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// The name of the journal.
const NAME: &str = "config.journal";
/// What it begins with.
const MAGIC: &[u8] = b"latchkey journal 1\n";
/// Octets written at a time.
const CHUNK: usize = 4096;

/// How far a change has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The journal is on flash, and nothing else has happened.
    Journal,
    /// These octets of the new file are written.
    Written(usize),
    /// The file is whole, and on flash.
    Synced,
}

/// What came of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recovered {
    /// There is none, or it is about another file.
    Nothing,
    /// The file is as it was before the change.
    Undone,
    /// The change is made.
    Finished,
    /// Somebody else changed the file since: it is left as it is.
    Changed,
}

/// Makes a file that says `old` say `new`; false if it says something else, or if somebody put another file in its place
/// meanwhile, which stays as it is. `path` has no links in it. `dir` takes the
/// journal, `reached` is told how far it has come and can end it there, as a power cut would.
///
/// # Errors
/// What the system says. The journal is there then, if the file may be neither the old one nor the new one: see
/// [`recover`].
pub(super) fn write(
    path: &Path,
    dir: &Path,
    old: &[u8],
    new: &[u8],
    mut reached: impl FnMut(Step) -> io::Result<()>,
) -> io::Result<bool> {
    let mut file = lock(open(path)?)?.ok_or_else(|| io::Error::other("somebody else is changing it: try again"))?;
    let mut present = Zeroizing::new(Vec::with_capacity(old.len() + 1));
    (&mut *file).take(old.len() as u64 + 1).read_to_end(&mut present)?;
    if *present != old || !is_at(&file, path)? {
        return Ok(false);
    }
    Journal { path, old, new }.put(dir)?;
    reached(Step::Journal)?;
    // What is the same at the beginning is not touched.
    let mut at = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    for chunk in new.get(at..).unwrap_or_default().chunks(CHUNK) {
        file.write_all_at(chunk, at as u64)?;
        at += chunk.len();
        reached(Step::Written(at))?;
    }
    file.set_len(new.len() as u64)?;
    file.sync_all()?;
    reached(Step::Synced)?;
    // What was written into is the file only if nobody has renamed another one there: not everybody asks for the lock.
    let is_there = is_at(&file, path)?;
    remove(dir)?;
    Ok(is_there)
}

/// Finishes or undoes what a journal in this directory says of a file.
///
/// # Errors
/// What the system says; the journal stays.
pub(super) fn recover(path: &Path, dir: &Path) -> io::Result<Recovered> {
    if fs::symlink_metadata(dir.join(NAME)).is_err_and(|why| why.kind() == io::ErrorKind::NotFound) {
        return Ok(Recovered::Nothing);
    }
    let path = fs::canonicalize(path)?;
    // Not while the change is being made.
    let Some(file) = lock(open(&path)?)? else { return Ok(Recovered::Nothing) };
    let octets = match read_journal(&dir.join(NAME), file.metadata()?.uid()) {
        Ok(octets) => octets,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Recovered::Nothing),
        Err(why) => return Err(why),
    };
    let Some(journal) = Journal::parse(&octets) else {
        // It was never whole, so the file was not touched.
        remove(dir)?;
        return Ok(Recovered::Nothing);
    };
    if journal.path != path {
        return Ok(Recovered::Nothing);
    }
    let (present, _) = read(&path)?;
    let recovered = if *present == journal.new {
        file.sync_all()?;
        Recovered::Finished
    } else if *present == journal.old {
        Recovered::Undone
    } else if journal.is_between(&present) {
        file.write_all_at(journal.old, 0)?;
        file.set_len(journal.old.len() as u64)?;
        file.sync_all()?;
        Recovered::Undone
    } else {
        Recovered::Changed
    };
    remove(dir)?;
    Ok(recovered)
}

/// Reads a journal about a file of this owner. Root reads it, too, when it prepares the start, and the directory is somebody
/// else's: he must neither keep it waiting (a FIFO) nor have it change what he could not change himself.
fn read_journal(path: &Path, owner: u32) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = open_as(OpenOptions::new().read(true), path)?;
    let metadata = file.metadata()?;
    let (its, me) = (metadata.uid(), nix::unistd::geteuid().as_raw());
    if its != me && its != owner {
        let why =
            format!("it belongs to user {its}, and the file to user {owner}: look at both, and remove the journal");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let mut octets = Zeroizing::new(Vec::with_capacity(metadata.len().min(1 << 22) as usize + 1));
    file.take(3 * MAX_FILE as u64).read_to_end(&mut octets)?;
    Ok(octets)
}

fn open(path: &Path) -> io::Result<File> {
    open_as(OpenOptions::new().read(true).write(true), path)
}

/// Not by way of a link: it may have been put there since. And without waiting for anybody.
fn open_as(how: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = how.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file: name the file itself"));
    }
    Ok(file)
}

/// True when this is still the file of this name.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let opened = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((opened.dev(), opened.ino()) == (named.dev(), named.ino())),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(why) => Err(why),
    }
}

/// How often the lock is tried for, and the time between: who writes in place holds it for two writes to flash.
const TRIES: u32 = 40;
const BETWEEN: Duration = Duration::from_millis(50);

/// The lock that [`write`] takes, for who is about to put another file in the place of this one. `None` if somebody else
/// holds it for two seconds.
pub(super) fn lock_out(path: &Path) -> io::Result<Option<Flock<File>>> {
    for _ in 0..TRIES {
        if let Some(file) = lock(open_as(OpenOptions::new().read(true), path)?)? {
            return Ok(Some(file));
        }
        std::thread::sleep(BETWEEN);
    }
    Ok(None)
}

/// Keeps others of us from it; `None` if one of them is at it.
fn lock(file: File) -> io::Result<Option<Flock<File>>> {
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(file) => Ok(Some(file)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno.into()),
    }
}

fn remove(dir: &Path) -> io::Result<()> {
    fs::remove_file(dir.join(NAME))?;
    File::open(dir)?.sync_all()
}

/// A change of a file.
struct Journal<'a> {
    path: &'a Path,
    old: &'a [u8],
    new: &'a [u8],
}

impl<'a> Journal<'a> {
    /// Writes it, so that it is whole or not there.
    fn put(&self, dir: &Path) -> io::Result<()> {
        let path = self.path.as_os_str().as_bytes();
        let lengths: Vec<u8> =
            [path.len(), self.old.len(), self.new.len()].iter().flat_map(|n| (*n as u64).to_be_bytes()).collect();
        let parts = [MAGIC, &lengths, path, self.old, self.new];
        let mut octets = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum::<usize>() + 32));
        parts.iter().for_each(|part| octets.extend_from_slice(part));
        let hash = sha256(&octets);
        octets.extend_from_slice(&hash);
        let temporary: PathBuf = dir.join(".config.journal.new");
        match fs::remove_file(&temporary) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let written = file.write_all(&octets).and_then(|()| file.sync_all());
        let done = written.and_then(|()| fs::rename(&temporary, dir.join(NAME)));
        if done.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        done?;
        File::open(dir)?.sync_all()
    }

    fn parse(octets: &'a [u8]) -> Option<Journal<'a>> {
        let (body, hash) = octets.split_at_checked(octets.len().checked_sub(32)?)?;
        if sha256(body) != hash {
            return None;
        }
        let mut rest = body.strip_prefix(MAGIC)?;
        let mut lengths = [0; 3];
        for length in &mut lengths {
            let (number, after) = rest.split_first_chunk::<8>()?;
            *length = usize::try_from(u64::from_be_bytes(*number)).ok()?;
            rest = after;
        }
        let [path, old, new] = lengths;
        let (path, rest) = rest.split_at_checked(path)?;
        let (old, rest) = rest.split_at_checked(old)?;
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        (rest.len() == new).then_some(Journal { path, old, new: rest })
    }

    /// True when a file can be what an interrupted change left: each octet is one of the old file or of the new one, in
    /// whatever order they came to flash; and what was not written yet beyond the old end is zero.
    fn is_between(&self, present: &[u8]) -> bool {
        let (old, new) = (self.old, self.new);
        let lengths = old.len().min(new.len())..=old.len().max(new.len());
        let fits = |(at, octet): (usize, &u8)| {
            let (a, b) = (old.get(at), new.get(at));
            Some(octet) == a || Some(octet) == b || (a.is_none() && *octet == 0)
        };
        lengths.contains(&present.len()) && present.iter().enumerate().all(fits)
    }
}

#[cfg(test)]
mod tests;
