//! The configuration file on disk: read whole, and replaced whole.

use super::ConfigError;
use crate::wire::uci;
use nix::fcntl::OFlag;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
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
        io::ErrorKind::PermissionDenied => ": run as the user who owns it",
        _ => "",
    };
    format!("{}: cannot be read: {why}{mend}", path.display())
}

/// Why a file was not replaced. It is as it was.
#[derive(Debug)]
pub enum ReplaceError {
    /// It was changed since it was read.
    Changed(PathBuf),
    /// It belongs to somebody else, and would not any more.
    Owner(PathBuf),
    /// What the system says.
    Io(PathBuf, io::Error),
}

impl fmt::Display for ReplaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplaceError::Changed(path) => {
                write!(f, "{}: somebody else changed it at the same moment: try again", path.display())
            }
            ReplaceError::Owner(path) => {
                write!(f, "{}: it belongs to another user, who has to change it", path.display())
            }
            ReplaceError::Io(path, why) => write!(f, "{}: cannot be changed: {why}", path.display()),
        }
    }
}

impl std::error::Error for ReplaceError {}

/// Replaces a file whose content is `old`: after a power cut it is either the old one or the new one. Mode and owner stay;
/// of a symbolic link, what it leads to is replaced.
///
/// # Errors
/// Why it is as it was.
pub fn replace(path: &Path, old: &[u8], new: &[u8]) -> Result<(), ReplaceError> {
    replace_after(path, old, new, || ())
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
        let foreign =
            why.kind() == io::ErrorKind::PermissionDenied && metadata.uid() != nix::unistd::geteuid().as_raw();
        return Err(if foreign { ReplaceError::Owner(path) } else { io(why) });
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
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_is_replaced_with_mode_and_link() {
        let dir = tempfile::tempdir().expect("a directory");
        let (real, link) = (dir.path().join("etc/latchkey"), dir.path().join("link"));
        fs::create_dir(dir.path().join("etc")).expect("made");
        fs::write(&real, "old").expect("written");
        fs::set_permissions(&real, Permissions::from_mode(0o640)).expect("changed");
        symlink(&real, &link).expect("made");
        fs::write(dir.path().join("etc/.latchkey.new"), "of somebody who was killed").expect("written");
        replace(&link, b"old", b"new").expect("replaced");
        assert!(link.symlink_metadata().expect("there").is_symlink());
        assert_eq!(fs::read_to_string(&real).expect("there"), "new");
        assert_eq!(fs::metadata(&real).expect("there").mode() & 0o7777, 0o640);
        assert_eq!(fs::read_dir(dir.path().join("etc")).expect("readable").count(), 1, "nothing left behind");

        let changed = replace(&real, b"old", b"newer").expect_err("it is another");
        assert!(matches!(&changed, ReplaceError::Changed(_)) && changed.to_string().contains("try again"));
        assert!(matches!(replace(&dir.path().join("none"), b"", b"x"), Err(ReplaceError::Io(..))));
        assert!(matches!(replace(dir.path(), b"", b"x"), Err(ReplaceError::Io(..))));
        assert_eq!(fs::read_to_string(&real).expect("there"), "new");
    }

    #[test]
    fn what_an_editor_saves_meanwhile_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, other, link) = (dir.path().join("latchkey"), dir.path().join("other"), dir.path().join("link"));
        symlink(&path, &link).expect("made");
        let save_in_place = || fs::write(&path, "saved").expect("written");
        let save_the_same_anew = || {
            fs::write(&other, "old").expect("written");
            fs::rename(&other, &path).expect("renamed");
        };
        let lead_elsewhere = || {
            fs::write(&other, "old").expect("written");
            fs::remove_file(&link).expect("removed");
            symlink(&other, &link).expect("made");
        };
        let cases: [(&dyn Fn(), &str); 3] =
            [(&save_in_place, "saved"), (&save_the_same_anew, "old"), (&lead_elsewhere, "old")];
        for (meanwhile, expected) in cases {
            fs::write(&path, "old").expect("written");
            let result = replace_after(&link, b"old", b"new", meanwhile);
            assert!(matches!(result, Err(ReplaceError::Changed(_))), "{result:?}");
            assert_eq!(fs::read_to_string(&path).expect("there"), expected);
            assert!(!dir.path().join(".latchkey.new").exists(), "nothing left behind");
        }
    }

    #[test]
    fn what_cannot_be_written_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("latchkey");
        fs::write(&path, "old").expect("written");
        // A directory in the way of the new file: as good as any reason that it cannot be made, root or not.
        fs::create_dir(dir.path().join(".latchkey.new")).expect("made");
        let why = replace(&path, b"old", b"new").expect_err("it cannot be made").to_string();
        assert!(why.contains("latchkey: cannot be changed: "), "{why}");
        assert_eq!(fs::read_to_string(&path).expect("there"), "old");
    }

    #[test]
    fn differences_without_secrets() {
        let old = "config realm 'a'\n\tlist server 'udp://192.0.2.1'\n\tlist server 'udp://192.0.2.2'\n\toption secret 'SWQXK'\n# end\n";
        let new = "config realm 'a'\n\tlist server 'udp://192.0.2.2'\n\tlist server 'local'\n\toption \"secret\" ZQWVX # x\n# end\n";
        let shown = |old: &str, new: &str| -> Vec<String> {
            let lines = diff(old.as_bytes(), new.as_bytes());
            lines.iter().map(|line| format!("{}{}:{}", line.sign, line.line, line.text)).collect()
        };
        assert_eq!(
            shown(old, new),
            [
                "-2:\tlist server 'udp://192.0.2.1'",
                "-4:\toption secret '...'",
                "+3:\tlist server 'local'",
                "+4:\toption secret '...' # x",
            ]
        );
        assert_eq!(shown(old, old), [""; 0]);
        assert_eq!(shown("", "a"), ["-1:", "+1:..."]);
        assert_eq!(shown("a\n", "a\noption 'SWQXK\n"), ["+2:..."]);
    }

    proptest::proptest! {
        #[test]
        fn the_lines_lead_from_one_to_the_other(old in "([ab]?\n){0,8}", new in "([ab]?\n){0,8}") {
            let mut text: Vec<&[u8]> = old.as_bytes().split(|b| *b == b'\n').collect();
            let target: Vec<&[u8]> = new.as_bytes().split(|b| *b == b'\n').collect();
            let lines = diff(old.as_bytes(), new.as_bytes());
            for line in lines.iter().rev().filter(|line| line.sign == '-') {
                text.remove(line.line as usize - 1);
            }
            for line in lines.iter().filter(|line| line.sign == '+') {
                text.insert(line.line as usize - 1, target[line.line as usize - 1]);
            }
            proptest::prop_assert_eq!(text, target);
        }
    }
}
