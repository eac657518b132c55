//! The configuration file on disk: read whole, and replaced whole.

use super::ConfigError;
use super::journal::{self, Recovered};
use crate::wire::uci;
use nix::fcntl::OFlag;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Reads a file of at most [`uci::MAX_FILE`] octets (and one more, for the parser to refuse).
pub(super) fn read(path: &Path) -> io::Result<(Zeroizing<Vec<u8>>, Metadata)> {
    // Opening a FIFO must not wait for its other end.
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file: name the file itself"));
    }
    // Room at once, so that no copies of secrets stay.
    let most = uci::MAX_FILE as u64 + 1;
    let mut text = Zeroizing::new(Vec::with_capacity(metadata.len().min(most) as usize + 1));
    file.take(most).read_to_end(&mut text)?;
    Ok((text, metadata))
}

/// Reads a configuration file as it is.
///
/// # Errors
/// Why it cannot be read, with the file's name and the mend.
pub fn read_text(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    read(path).map(|(text, _)| text).map_err(|why| unreadable(path, &why))
}

/// Why a file cannot be read, with the mend.
pub(super) fn unreadable(path: &Path, why: &io::Error) -> String {
    let mend = match why.kind() {
        io::ErrorKind::NotFound => ": write it, or name another with --config",
        io::ErrorKind::PermissionDenied => {
            ": give it to the user who reads it (chown; on OpenWrt /etc/init.d/latchkey reload does), or run as the one who \
             owns it"
        }
        _ => "",
    };
    format!("{}: cannot be read: {why}{mend}", path.display())
}

/// Why a file was not replaced. It is as it was.
#[derive(Debug)]
pub enum ReplaceError {
    /// It was changed since it was read.
    Changed(PathBuf),
    /// It belongs to somebody else, with this number.
    Owner(PathBuf, u32),
    /// What the system says.
    Io(PathBuf, io::Error),
}

impl fmt::Display for ReplaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplaceError::Changed(path) => {
                write!(f, "{}: somebody else changed it at the same moment: try again", path.display())
            }
            ReplaceError::Owner(path, owner) => {
                let (owner, me) = (user(*owner), user(nix::unistd::geteuid().as_raw()));
                write!(
                    f,
                    "{0}: it belongs to {owner}, and {me} may not change it: chown {me} {0} (on OpenWrt /etc/init.d/latchkey \
                     reload does that), or make the change as {owner}",
                    path.display()
                )
            }
            ReplaceError::Io(path, why) => write!(f, "{}: cannot be changed: {why}", path.display()),
        }
    }
}

impl std::error::Error for ReplaceError {}

/// A user's name, or number if there is none.
fn user(uid: u32) -> String {
    let found = nix::unistd::User::from_uid(uid.into()).ok().flatten();
    found.map_or_else(|| format!("user {uid}"), |user| user.name)
}

/// Replaces a file whose content is `old`: after a power cut it is either the old one or the new one. Mode and owner stay;
/// of a symbolic link, what it leads to is replaced. Where no new file can be put in its place, it is written in place if
/// there is a directory for a `journal`; after a power cut [`recover`] is needed then.
///
/// # Errors
/// Why it is as it was.
pub fn replace(named: &Path, old: &[u8], new: &[u8], journal: Option<&Path>) -> Result<(), ReplaceError> {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    let (path, why) = match replace_after(named, old, new, || ()) {
        // Nobody but us may make files there, or the file alone is mounted.
        Err(ReplaceError::Io(path, why))
            if matches!(why.kind(), PermissionDenied | ReadOnlyFilesystem | ResourceBusy) =>
        {
            (path, why)
        }
        done => return done,
    };
    let owner = fs::metadata(&path).map_or(0, |metadata| metadata.uid());
    let refused = |why: io::Error| match why.kind() {
        PermissionDenied if owner != nix::unistd::geteuid().as_raw() => ReplaceError::Owner(path.clone(), owner),
        _ => ReplaceError::Io(path.clone(), why),
    };
    let Some(dir) = journal else { return Err(refused(why)) };
    match journal::write(&path, dir, old, new, |_| Ok(())) {
        Ok(true) => Ok(()),
        Ok(false) => Err(ReplaceError::Changed(path)),
        Err(why) => {
            // What is half done is undone at once, or when the daemon starts again.
            match journal::recover(&path, dir) {
                Ok(Recovered::Finished) => Ok(()),
                _ => Err(refused(why)),
            }
        }
    }
}

/// Finishes or undoes a change that was interrupted, of which a journal is in one of these directories or in one that the
/// file itself names as `state_dir`. What was done, in words.
pub fn recover(path: &Path, dirs: &[&Path]) -> Vec<String> {
    let mut places: Vec<PathBuf> = dirs.iter().map(|dir| (*dir).to_owned()).collect();
    // It may be half the old one and half the new one: whatever can be read of it is good enough for this.
    if let Ok((text, _)) = read(path) {
        let document = uci::parse(&text);
        let entries = document.sections.iter().flat_map(|section| &section.entries);
        for entry in entries.filter(|entry| &*entry.name == "state_dir" && entry.value.octets().starts_with(b"/")) {
            places.push(Path::new(OsStr::from_bytes(entry.value.octets())).to_owned());
        }
    }
    if places.is_empty() {
        places.push(super::STATE_DIR.into());
    }
    places.sort_unstable();
    places.dedup();
    let mut said = Vec::new();
    for place in places {
        let (file, place) = (path.display(), &place);
        said.extend(match journal::recover(path, place) {
            Ok(Recovered::Nothing) => None,
            Ok(Recovered::Undone) => Some(format!("{file}: a change that was interrupted is undone")),
            Ok(Recovered::Finished) => Some(format!("{file}: a change that was interrupted is made")),
            Ok(Recovered::Changed) => {
                Some(format!("{file}: a change was interrupted, and somebody changed it since: it stays as it is"))
            }
            Err(why) if matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
            Err(why) => {
                let place = place.display();
                Some(format!(
                    "{file}: whether a change was interrupted cannot be told by the journal in {place}: {why}"
                ))
            }
        });
    }
    said
}

/// Writes the new file, which may take long on flash, does something, and puts it in place of the old one if that still is what it was.
fn replace_after(named: &Path, old: &[u8], new: &[u8], meanwhile: impl FnOnce()) -> Result<(), ReplaceError> {
    let path = fs::canonicalize(named).map_err(|why| ReplaceError::Io(named.to_owned(), why))?;
    let io = |why: io::Error| ReplaceError::Io(path.clone(), why);
    let (present, metadata) = read(&path).map_err(io)?;
    if *present != old {
        return Err(ReplaceError::Changed(path));
    }
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io(io::Error::other("this is no name of a file")));
    };
    // UCI does not take what begins with a dot for a configuration.
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(".new");
    let temporary = dir.join(temporary);
    let is_unchanged = || -> io::Result<bool> {
        let (present, now) = read(&path)?;
        // An editor that saves puts another file there, or writes into the same one.
        let same_file = (now.dev(), now.ino()) == (metadata.dev(), metadata.ino());
        Ok(same_file && *present == old && fs::canonicalize(named)? == path)
    };
    let result = write(&temporary, new, &metadata).and_then(|()| {
        meanwhile();
        // Not while somebody writes in place: he would write on into the file that goes.
        let Some(_lock) = journal::lock_out(&path)? else { return Ok(false) };
        if !is_unchanged()? {
            return Ok(false);
        }
        fs::rename(&temporary, &path).map(|()| true)
    });
    if matches!(result, Ok(false)) {
        let _ = fs::remove_file(&temporary);
        return Err(ReplaceError::Changed(path));
    }
    if let Err(why) = result {
        let _ = fs::remove_file(&temporary);
        return Err(io(why));
    }
    // The name, too. When that fails the file is the new one nevertheless.
    if let Ok(dir) = File::open(dir) {
        let _ = dir.sync_all();
    }
    Ok(())
}

fn write(path: &Path, text: &[u8], like: &Metadata) -> io::Result<()> {
    // Of somebody who was killed; or a link that somebody put there.
    match fs::remove_file(path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (like.uid(), like.gid()) {
        fchown(&file, Some(like.uid()), Some(like.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(like.mode() & 0o7777))?;
    file.sync_all()
}

/// One line of what changed between two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffLine {
    /// `-` for a line that goes, `+` for one that comes.
    pub sign: char,
    /// Its number in the file it is in, from 1.
    pub line: u32,
    /// The line, with dots for a secret.
    pub text: String,
}

/// The options whose values are not shown.
const SECRETS: [&str; 2] = ["secret", "onboarding_key"];

/// The lines that differ, in order; neither file shows a secret.
pub fn diff(old: &[u8], new: &[u8]) -> Vec<DiffLine> {
    let (old, new) = (Lines::of(old), Lines::of(new));
    let start = old.raw.iter().zip(&new.raw).take_while(|(a, b)| a == b).count();
    let left = old.raw.len().min(new.raw.len()).saturating_sub(start);
    let end = old.raw.iter().rev().zip(new.raw.iter().rev()).take(left).take_while(|(a, b)| a == b).count();
    let (mut at, mut to) = (start, start);
    let (old_end, new_end) = (old.raw.len() - end, new.raw.len() - end);
    let mut lines = Vec::new();
    // Of few lines: for each old one, whether it comes again soon.
    while at < old_end || to < new_end {
        let again = old
            .raw
            .get(at)
            .filter(|_| at < old_end)
            .and_then(|line| new.raw.get(to..new_end).unwrap_or_default().iter().position(|other| other == line));
        match again {
            Some(skip) => {
                (to..to + skip).for_each(|index| lines.push(new.line('+', index)));
                at += 1;
                to += skip + 1;
            }
            None if at < old_end => {
                lines.push(old.line('-', at));
                at += 1;
            }
            None => {
                lines.push(new.line('+', to));
                to += 1;
            }
        }
    }
    lines
}

struct Lines<'a> {
    raw: Vec<&'a [u8]>,
    shown: Vec<String>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a [u8]) -> Lines<'a> {
        let mut masked = String::new();
        let document = uci::parse(text);
        let entries = document.sections.iter().flat_map(|section| &section.entries);
        let mut done = 0;
        for entry in entries.filter(|entry| SECRETS.contains(&&*entry.name)) {
            masked.push_str(&String::from_utf8_lossy(text.get(done..entry.span.start).unwrap_or_default()));
            masked.push_str(&format!("option {} '...'", entry.name));
            let breaks = text.get(entry.span.clone()).unwrap_or_default().iter().filter(|b| **b == b'\n').count();
            masked.push_str(&"\n".repeat(breaks));
            done = entry.span.end;
        }
        masked.push_str(&String::from_utf8_lossy(text.get(done..).unwrap_or_default()));
        let raw: Vec<&[u8]> = text.split(|octet| *octet == b'\n').collect();
        // What cannot be read may hold a secret anywhere.
        let readable = document.errors.is_empty() && document.first_multiline.is_none();
        let shown = if readable { masked.split('\n').map(str::to_owned).collect() } else { Vec::new() };
        Lines { raw, shown }
    }

    fn line(&self, sign: char, index: usize) -> DiffLine {
        let text = self.shown.get(index).map_or("...", |line| line.trim_end_matches('\r')).to_owned();
        DiffLine { sign, line: u32::try_from(index + 1).unwrap_or(u32::MAX), text }
    }
}

/// What a file says, as it would be after a change.
///
/// # Errors
/// All that is wrong with it.
pub(super) fn check(text: &[u8]) -> Result<(super::Config, Vec<ConfigError>), Vec<ConfigError>> {
    super::read::read(&uci::parse(text))
}

#[cfg(test)]
mod tests;
