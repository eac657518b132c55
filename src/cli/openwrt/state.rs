//! What is kept on flash: what was changed of others, and, until it is confirmed, the files as they were before.
//!
//! Root acts on what is found there, at every start of the box. So the folder is root's alone, and nothing in it is
//! taken that could be somebody else's: no links, no pipes, no names but those of files that plans change.

use super::super::client::Failure;
use crate::openwrt::draft::FILES;
use crate::openwrt::record::Record;
use crate::wire::uci::{MAX_FILE, parse};
use nix::fcntl::OFlag;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where all of it is.
const DIR: &str = "etc/latchkey-openwrt";
/// What was changed of others.
const RECORD: &str = "record.json";
/// A change that waits to be confirmed: a directory.
const PENDING: &str = "pending";
/// What it is, in that directory.
const CHANGE: &str = "change.json";
/// There, in that directory, once all its files are written.
const COMPLETE: &str = "complete";
/// Run by the system at its next start, before the network's (OpenWrt's `uci_apply_defaults`), and removed when it went well:
/// undoes what waits although latchkey's own start script, which does that, was switched off meanwhile.
const HOOK: &str = "etc/uci-defaults/zz-latchkey-undo";
/// How the last change ended: of this boot only, so that it costs no flash.
const LAST: &str = "var/run/latchkey-openwrt.json";
/// The longest of these files that is read, in octets: a configuration file, or a change with two records.
const MAX: u64 = 2 * MAX_FILE as u64;

/// A change that waits to be confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Tells it from others.
    pub id: String,
    /// The boot it was made in.
    pub boot: String,
    /// When it is undone, in seconds since the boot.
    pub until: u64,
    /// What it does, in words.
    pub what: Vec<String>,
    /// The files: name, and the hash of what they were given.
    pub files: Vec<(String, String)>,
    /// What was remembered before it, and with it.
    pub records: (Record, Record),
    /// latchkey was switched on, started at boot.
    pub was_enabled: bool,
}

/// The lock: two changes at a time would take each other's for what was there before.
pub struct Lock(#[expect(dead_code, reason = "held")] File);

impl Lock {
    /// Takes it, or says who has it.
    pub fn take(root: &Path) -> Result<Lock, Failure> {
        let dir = root.join(DIR);
        match DirBuilder::new().mode(0o700).create(&dir) {
            Err(why) if why.kind() != io::ErrorKind::AlreadyExists => return Err(broken(&dir, &why)),
            _ => {}
        }
        let path = own_dir(root)?.join("lock");
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags()).open(&path);
        let file = file.and_then(regular).map_err(|why| broken(&path, &why))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(fs::TryLockError::WouldBlock) => {
                Err(Failure::refused("busy", "", "another change is being made right now: try again in a minute"))
            }
            Err(fs::TryLockError::Error(why)) => Err(broken(&path, &why)),
        }
    }
}

/// The folder, when nobody but us can have put anything there. It need not exist.
fn own_dir(root: &Path) -> Result<PathBuf, Failure> {
    let dir = root.join(DIR);
    let found = match fs::symlink_metadata(&dir) {
        Ok(found) => found,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(dir),
        Err(why) => return Err(broken(&dir, &why)),
    };
    let us = nix::unistd::geteuid().as_raw();
    if found.is_dir() && found.uid() == us && found.mode() & 0o022 == 0 {
        return Ok(dir);
    }
    let mend = if us == 0 {
        "look at what is in it, and remove it"
    } else if found.uid() == 0 {
        "run this as root"
    } else {
        "remove it"
    };
    let message = format!(
        "{} has to be a folder of user {us} that nobody else can write to (it is of user {}, mode {:o}): {mend}",
        dir.display(),
        found.uid(),
        found.mode() & 0o7777
    );
    Err(Failure::refused("system", "", message))
}

/// No links, and nobody waits for the other end of a pipe.
fn flags() -> i32 {
    (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()
}

fn regular(file: File) -> io::Result<File> {
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file: remove it")),
    }
}

/// A file; `None` when it is not there.
fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    let file = match OpenOptions::new().read(true).custom_flags(flags()).open(path).and_then(regular) {
        Ok(file) => file,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(broken(path, &why)),
    };
    let length = file.metadata().map_err(|why| broken(path, &why))?.len();
    if length > MAX {
        return Err(broken(path, &io::Error::other("it is too long: remove it")));
    }
    // Room at once, so that no copies of secrets stay.
    let mut text = Zeroizing::new(Vec::with_capacity(length as usize + 1));
    file.take(MAX).read_to_end(&mut text).map_err(|why| broken(path, &why))?;
    Ok(Some(text))
}

/// What was changed of others.
pub fn record(root: &Path) -> Result<Record, Failure> {
    let path = own_dir(root)?.join(RECORD);
    let Some(text) = read(&path)? else { return Ok(Record::default()) };
    let value = serde_json::from_slice(&text).map_err(|_| {
        broken(&path, &io::Error::other("it is damaged: remove it (options of others then stay as they are)"))
    })?;
    Ok(Record::from_json(&value))
}

/// Keeps what was changed of others.
pub fn keep_record(root: &Path, record: &Record) -> Result<(), Failure> {
    let dir = own_dir(root)?;
    let path = dir.join(RECORD);
    if *record == Record::default() {
        return match fs::remove_file(&path) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(broken(&path, &why)),
            _ => Ok(()),
        };
    }
    let fresh = dir.join("record.new");
    write(&fresh, record.to_json().to_string().as_bytes())?;
    fs::rename(&fresh, &path).map_err(|why| broken(&path, &why))?;
    sync(&dir)
}

/// The change that waits; `None` when there is none.
pub fn pending(root: &Path) -> Result<Option<Pending>, Failure> {
    let dir = own_dir(root)?.join(PENDING);
    let path = dir.join(CHANGE);
    let Some(text) = read(&path)? else { return Ok(None) };
    let pending = serde_json::from_slice(&text).ok().and_then(|value: Value| Pending::from_json(&value));
    Ok(Some(pending.unwrap_or_else(|| Pending::salvaged(root, &dir))))
}

/// The same for a page: how long it waits still, and what it is.
pub fn pending_json(root: &Path) -> Value {
    match pending(root) {
        Ok(Some(pending)) => json!({ "id": pending.id, "undo_in_s": left(root, &pending), "what": pending.what }),
        _ => Value::Null,
    }
}

/// Seconds until it is undone; 0 when it should have been, or the box was started anew since.
pub fn left(root: &Path, pending: &Pending) -> u64 {
    let now = Now::of(root);
    if now.boot == pending.boot { pending.until.saturating_sub(now.seconds) } else { 0 }
}

/// Keeps the files as they were, before any is changed. `before`: name and content.
pub fn begin(root: &Path, pending: &Pending, before: &[(&str, &[u8])]) -> Result<(), Failure> {
    let dir = own_dir(root)?;
    let (fresh, path) = (dir.join("pending.new"), dir.join(PENDING));
    remove_dir(&fresh)?;
    // What has no change in it (damaged flash, a backup that was put back) is none.
    remove_dir(&path)?;
    DirBuilder::new().mode(0o700).create(&fresh).map_err(|why| broken(&fresh, &why))?;
    for (name, text) in before {
        write(&fresh.join(format!("before.{name}")), text)?;
    }
    write(&fresh.join(CHANGE), pending.to_json().to_string().as_bytes())?;
    sync(&fresh)?;
    hook(root)?;
    fs::rename(&fresh, &path).map_err(|why| broken(&path, &why))?;
    sync(&dir)
}

fn hook(root: &Path) -> Result<(), Failure> {
    let path = root.join(HOOK);
    let Some(dir) = path.parent().filter(|dir| dir.is_dir()) else { return Ok(()) };
    let program = std::env::current_exe().map_err(|why| broken(&path, &why))?;
    let quoted = |path: &Path| format!("'{}'", path.to_string_lossy().replace('\'', "'\\''"));
    let (program, links) = (quoted(&program), quoted(&root.join("etc/rc.d")));
    let text = format!(
        "#!/bin/sh\n# A change of the network that nobody confirmed. With a link, latchkey's start script sees to it.\n\
         set -- {links}/S*latchkey\n[ -e \"$1\" ] || [ ! -x {program} ] || {program} openwrt --root {} undo --at-boot\n",
        quoted(root)
    );
    write(&path, text.as_bytes())?;
    sync(dir)
}

/// All its files are written: from here on it can be confirmed.
pub fn complete(root: &Path) -> Result<(), Failure> {
    let dir = own_dir(root)?.join(PENDING);
    write(&dir.join(COMPLETE), b"")?;
    sync(&dir)
}

/// Whether they are.
pub fn is_complete(root: &Path) -> Result<bool, Failure> {
    Ok(read(&own_dir(root)?.join(PENDING).join(COMPLETE))?.is_some())
}

/// A file as it was before the change that waits.
pub fn before(root: &Path, name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let path = own_dir(root)?.join(PENDING).join(format!("before.{name}"));
    read(&path)?.ok_or_else(|| broken(&path, &io::ErrorKind::NotFound.into()))
}

/// Forgets the change: from here on it is not undone. `why`: `confirmed`, or for what it was undone (`asked`,
/// `timeout`, `boot`).
pub fn end(root: &Path, pending: &Pending, why: &str) -> Result<(), Failure> {
    let dir = own_dir(root)?;
    let (path, over) = (dir.join(PENDING), dir.join("pending.over"));
    remove_dir(&over)?;
    // In one step: what is left of it when the power goes is not taken for a change.
    fs::rename(&path, &over).map_err(|why| broken(&path, &why))?;
    sync(&dir)?;
    let ended = if why == "confirmed" { "kept" } else { "undone" };
    let last = json!({ "id": pending.id, "ended": ended, "why": why, "what": pending.what });
    // For pages that ask; what counts is done.
    let _ = keep_last(root, &last);
    let _ = fs::remove_file(root.join(HOOK));
    remove_dir(&over)
}

fn keep_last(root: &Path, last: &Value) -> Result<(), Failure> {
    let path = root.join(LAST);
    let fresh = path.with_extension("new");
    let dir = path.parent().unwrap_or(root);
    fs::create_dir_all(dir).map_err(|why| broken(dir, &why))?;
    write(&fresh, last.to_string().as_bytes())?;
    fs::rename(&fresh, &path).map_err(|why| broken(&path, &why))
}

/// How the last change of this boot ended: an object with `id`, `ended` (`kept`, `undone`), `why` and `what`; null when
/// there was none.
pub fn last(root: &Path) -> Value {
    let text = read(&root.join(LAST)).ok().flatten();
    text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// The boot, and how long ago it was.
pub struct Now {
    /// `boot_id` of the kernel.
    pub boot: String,
    /// Seconds.
    pub seconds: u64,
}

impl Now {
    /// Asks the kernel; files below the root go first.
    pub fn of(root: &Path) -> Now {
        let read = |name: &str| {
            let text = fs::read_to_string(root.join(name)).or_else(|_| fs::read_to_string(Path::new("/").join(name)));
            text.unwrap_or_default()
        };
        let boot = read("proc/sys/kernel/random/boot_id").trim().to_owned();
        let seconds = read("proc/uptime").split('.').next().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Now { boot, seconds }
    }
}

/// What a file has, in few characters.
pub fn hash(text: &[u8]) -> String {
    Sha256::digest(text).iter().map(|octet| format!("{octet:02x}")).collect()
}

impl Pending {
    /// latchkey's own configuration is one of the files.
    pub fn changes_latchkey(&self) -> bool {
        self.files.iter().any(|(name, _)| name == "latchkey")
    }

    /// Of a change whose description cannot be read: the files that were kept, to be put back whole. It can be confirmed,
    /// or undone, and has no number.
    fn salvaged(root: &Path, dir: &Path) -> Pending {
        // Half a file in place of the present one would be worse than either.
        let whole = |name: &&&str| {
            let kept = before(root, name).unwrap_or_default();
            let document = parse(&kept);
            document.errors.is_empty() && !document.sections.is_empty()
        };
        let record = record(root).unwrap_or_default();
        Pending {
            id: String::new(),
            boot: String::new(),
            until: 0,
            what: vec![format!(
                "an earlier change: {} is damaged, so what it was is not known",
                dir.join(CHANGE).display()
            )],
            files: FILES.iter().filter(whole).map(|name| ((*name).to_owned(), String::new())).collect(),
            records: (record.clone(), record),
            was_enabled: true,
        }
    }

    fn to_json(&self) -> Value {
        let files: Vec<Value> = self.files.iter().map(|(name, hash)| json!([name, hash])).collect();
        json!({
            "id": self.id,
            "boot": self.boot,
            "until": self.until,
            "what": self.what,
            "files": files,
            "record_before": self.records.0.to_json(),
            "record_after": self.records.1.to_json(),
            "was_enabled": self.was_enabled,
        })
    }

    fn from_json(value: &Value) -> Option<Pending> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let name = |value: &Value| text(value).filter(|name| FILES.contains(&name.as_str()));
        let files = value["files"].as_array()?.iter().map(|pair| Some((name(&pair[0])?, text(&pair[1])?)));
        let what = value["what"].as_array()?.iter().filter_map(text);
        Some(Pending {
            id: text(&value["id"])?,
            boot: text(&value["boot"])?,
            until: value["until"].as_u64()?,
            what: what.collect(),
            files: files.collect::<Option<_>>()?,
            records: (Record::from_json(&value["record_before"]), Record::from_json(&value["record_after"])),
            was_enabled: value["was_enabled"].as_bool()?,
        })
    }
}

/// A new file: what is there under this name is left from a power cut.
fn write(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let done = match fs::remove_file(path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
        _ => OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
            file.write_all(text)?;
            file.sync_all()
        }),
    };
    done.map_err(|why| broken(path, &why))
}

fn sync(dir: &Path) -> Result<(), Failure> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|why| broken(dir, &why))
}

fn remove_dir(path: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(broken(path, &why)),
        _ => Ok(()),
    }
}

fn broken(path: &Path, why: &io::Error) -> Failure {
    let mend = match why.kind() {
        io::ErrorKind::PermissionDenied => ": run this as root",
        io::ErrorKind::StorageFull => ": make room on the flash",
        _ => "",
    };
    Failure::refused("system", "", format!("{}: {why}{mend}", path.display()))
}
