//! What is kept on flash: what was changed of others, and, until it is confirmed, the files as they were before.

use super::super::client::Failure;
use crate::openwrt::record::Record;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where all of it is.
const DIR: &str = "etc/latchkey/openwrt";
/// What was changed of others.
const RECORD: &str = "record.json";
/// A change that waits to be confirmed: a directory.
const PENDING: &str = "pending";
/// What it is, in that directory.
const CHANGE: &str = "change.json";

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
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|why| broken(&dir, &why))?;
        let path = dir.join("lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|why| broken(&path, &why))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(fs::TryLockError::WouldBlock) => {
                Err(Failure::refused("busy", "", "another change is being made right now: try again in a minute"))
            }
            Err(fs::TryLockError::Error(why)) => Err(broken(&path, &why)),
        }
    }
}

/// What was changed of others.
pub fn record(root: &Path) -> Result<Record, Failure> {
    let path = root.join(DIR).join(RECORD);
    match fs::read(&path) {
        Ok(text) => {
            let text = Zeroizing::new(text);
            let value = serde_json::from_slice(&text).map_err(|why| broken(&path, &why.into()))?;
            Ok(Record::from_json(&value))
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(Record::default()),
        Err(why) => Err(broken(&path, &why)),
    }
}

/// Keeps what was changed of others.
pub fn keep_record(root: &Path, record: &Record) -> Result<(), Failure> {
    let dir = root.join(DIR);
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
    let path = root.join(DIR).join(PENDING).join(CHANGE);
    match fs::read(&path) {
        Ok(text) => {
            let text = Zeroizing::new(text);
            let value: Value = serde_json::from_slice(&text).map_err(|why| broken(&path, &why.into()))?;
            Pending::from_json(&value).map(Some).ok_or_else(|| broken(&path, &io::Error::other("it is damaged")))
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(broken(&path, &why)),
    }
}

/// The same for a page: how long it waits still, and what it is.
pub fn pending_json(root: &Path) -> Value {
    match pending(root) {
        Ok(Some(pending)) => json!({ "undo_in_s": left(root, &pending), "what": pending.what }),
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
    let dir = root.join(DIR);
    let (fresh, path) = (dir.join("pending.new"), dir.join(PENDING));
    remove_dir(&fresh)?;
    DirBuilder::new().mode(0o700).create(&fresh).map_err(|why| broken(&fresh, &why))?;
    for (name, text) in before {
        write(&fresh.join(format!("before.{name}")), text)?;
    }
    write(&fresh.join(CHANGE), pending.to_json().to_string().as_bytes())?;
    sync(&fresh)?;
    fs::rename(&fresh, &path).map_err(|why| broken(&path, &why))?;
    sync(&dir)
}

/// A file as it was before the change that waits.
pub fn before(root: &Path, name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let path = root.join(DIR).join(PENDING).join(format!("before.{name}"));
    fs::read(&path).map(Zeroizing::new).map_err(|why| broken(&path, &why))
}

/// Forgets the change: from here on it is not undone.
pub fn end(root: &Path) -> Result<(), Failure> {
    let dir = root.join(DIR);
    let (path, over) = (dir.join(PENDING), dir.join("pending.over"));
    remove_dir(&over)?;
    // In one step: what is left of it when the power goes is not taken for a change.
    fs::rename(&path, &over).map_err(|why| broken(&path, &why))?;
    sync(&dir)?;
    remove_dir(&over)
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
        let files = value["files"].as_array()?.iter().map(|pair| Some((text(&pair[0])?, text(&pair[1])?)));
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

fn write(path: &PathBuf, text: &[u8]) -> Result<(), Failure> {
    let done =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).and_then(|mut file| {
            file.write_all(text)?;
            file.sync_all()
        });
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
