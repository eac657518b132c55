//! hostapd's key files: written whole under another name and then renamed, so that there is never half a file, and only
//! when they are to be different. hostapd is told after that, and whoever has to go after it was told.

use super::{Daemon, now, rights};
use crate::config::{Config, Ssid};
use crate::service::Core;
use crate::service::keyfile::HEADER;
use crate::sorted::SortedMap;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::unistd::{Gid, Group};
use std::cell::{Cell, RefCell};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify};
use zeroize::Zeroizing;

/// Changes within this time are written together.
const COLLECT: Duration = Duration::from_millis(80);
/// Seconds after which what could not be written is tried again.
const RETRY: u32 = 10;
/// What the troubles of key files are called, with the path.
const ABOUT: &str = "key file ";
/// hostapd's group on OpenWrt, where it runs in a jail as the user of this name.
const HOSTAPD_GROUP: &str = "network";

/// What is remembered of the key files.
#[derive(Default)]
pub struct KeyFiles {
    /// Something changed that they depend on.
    pub changed: Notify,
    /// Held while hostapd reads one: it is seen which BSS does.
    pub reading: Mutex<()>,
    /// Who was admissible when they were last looked at.
    admission: Cell<u64>,
    /// Seconds.
    ticks: Cell<u32>,
    /// Who cannot join with WPA3, by SSID, so that it is said once.
    said: RefCell<SortedMap<Arc<str>, String>>,
}

/// Writes what changed, for ever.
pub async fn keep(daemon: Rc<Daemon>) {
    loop {
        daemon.keyfiles.changed.notified().await;
        tokio::time::sleep(COLLECT).await;
        daemon.keyfiles.write(&daemon, &mut daemon.core.borrow_mut());
    }
}

impl KeyFiles {
    /// Looks whether somebody is admissible no more, or is again, because of the time.
    pub fn tick(&self, core: &Core) {
        // A file that could not be written is tried again.
        let ticks = self.ticks.get().wrapping_add(1);
        self.ticks.set(ticks);
        if ticks.is_multiple_of(RETRY) && core.network.troubles.keys().any(|about| about.starts_with(ABOUT)) {
            self.changed.notify_one();
        }
        let admission = core.admission(now());
        if self.admission.replace(admission) != admission {
            self.changed.notify_one();
        }
    }

    /// Writes the files that are to be different, and has hostapd take them and its SAE passwords.
    pub fn write(&self, daemon: &Daemon, core: &mut Core) {
        let (config, now) = (core.config.clone(), now());
        let is_ours = |path: &Path| config.key_files().any(|ssid| ssid.psk_file == path);
        let troubles = &mut core.network.troubles;
        troubles.retain(|about, _| about.strip_prefix(ABOUT).is_none_or(|path| is_ours(Path::new(path))));
        let mut written = Vec::new();
        for ssid in config.key_files() {
            let text = core.key_file(ssid, now);
            let (group, doubt) = group(&config);
            let done = replace(&ssid.psk_file, &text, group);
            if let Ok(true) = done {
                written.push(ssid.ssid.clone());
            }
            let why = done.err().map(|why| explain(&why, group)).or(doubt);
            self.trouble(core, ssid, why);
        }
        for ssid in config.ssids.iter().filter(|ssid| ssid.has_sae_passwords()) {
            self.say_who_cannot(core, ssid);
        }
        daemon.hostapd.keys_changed(core, &written);
    }

    fn trouble(&self, core: &mut Core, ssid: &Ssid, why: Option<String>) {
        let about = format!("{ABOUT}{}", ssid.psk_file.display());
        match why {
            None => rights::well(core, &about),
            Some(why) => rights::trouble(core, &about, format!("of config ssid '{}': {why}", ssid.section)),
        }
    }

    /// Says which devices cannot join with WPA3, when they are others than before.
    fn say_who_cannot(&self, core: &Core, ssid: &Ssid) {
        let text = core.without_wpa3(ssid, now());
        let mut said = self.said.borrow_mut();
        if said.get(&ssid.section).map(String::as_str).unwrap_or_default() == text {
            return;
        }
        for line in text.lines() {
            crate::log::info!("{line}");
        }
        said.insert(ssid.section.clone(), text);
    }
}

/// Why a file was not written, with the mend if it is one of rights.
fn explain(why: &io::Error, group: Option<Gid>) -> String {
    let mend = group.filter(|_| why.kind() == io::ErrorKind::PermissionDenied).and_then(rights::not_in_group);
    mend.map_or_else(|| why.to_string(), |mend| format!("{why}: {mend}"))
}

/// Sees whether somebody opens a file.
pub struct Watch(Inotify);

impl Watch {
    /// Begins to look. Nothing when the system cannot do that.
    pub fn new(path: &Path) -> Option<Watch> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).ok()?;
        inotify.add_watch(path, AddWatchFlags::IN_OPEN).ok()?;
        Some(Watch(inotify))
    }

    /// True when it was opened since.
    pub fn opened(&self) -> bool {
        self.0.read_events().is_ok_and(|events| !events.is_empty())
    }
}

/// Makes directories and empty files where there are none.
///
/// # Errors
/// What cannot be made, in words.
pub fn prepare(config: &Config) -> Result<(), String> {
    let (group, doubt) = group(config);
    for ssid in config.key_files() {
        let path = &ssid.psk_file;
        if fs::symlink_metadata(path).is_err() {
            replace(path, HEADER, group).map_err(|why| format!("{}: {why}", path.display()))?;
        }
    }
    doubt.map_or(Ok(()), Err)
}

/// The group that may read the files, and what is wrong with the one in the configuration.
fn group(config: &Config) -> (Option<Gid>, Option<String>) {
    let find = |name: &str| Group::from_name(name).ok().flatten().map(|group| group.gid);
    match &config.main.psk_group {
        None => (find(HOSTAPD_GROUP), None),
        Some(name) => match find(name) {
            Some(gid) => (Some(gid), None),
            None => {
                (None, Some(format!("option psk_group: there is no group '{name}': nobody but root can read keys")))
            }
        },
    }
}

/// Makes a directory and those above it, where they are missing: others may pass through, and see nothing.
pub fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    dir.parent().map_or(Ok(()), make_dir)?;
    match DirBuilder::new().mode(0o711).create(dir) {
        // Whatever the umask says.
        Ok(()) => fs::set_permissions(dir, Permissions::from_mode(0o711)),
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(why) => Err(why),
    }
}

/// Makes a file have this content, mode and group. False when it had.
fn replace(path: &Path, text: &str, group: Option<Gid>) -> io::Result<bool> {
    let mode = if group.is_some() { 0o640 } else { 0o600 };
    if has(path, text.as_bytes(), mode, group)? {
        return Ok(false);
    }
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no name of a file"));
    };
    make_dir(dir)?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(".new");
    let temporary = dir.join(temporary);
    let result = write(&temporary, text, mode, group).and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result.map(|()| true)
}

fn write(path: &Path, text: &str, mode: u32, group: Option<Gid>) -> io::Result<()> {
    // Of a daemon that was killed; or a link that somebody put there.
    match fs::remove_file(path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    fchown(&file, None, group.map(Gid::as_raw))?;
    file.set_permissions(Permissions::from_mode(mode))?;
    // On a tmpfs there is nothing to sync; elsewhere the keys are written anew after a power cut.
    file.write_all(text.as_bytes())
}

/// True when the file is as it should be.
fn has(path: &Path, text: &[u8], mode: u32, group: Option<Gid>) -> io::Result<bool> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(why) => return Err(why),
    };
    if !metadata.is_file() {
        return Err(io::Error::other(
            "there is something that is no file: remove it, or name another (option psk_file)",
        ));
    }
    let fits = metadata.len() == text.len() as u64
        && metadata.mode() & 0o7777 == mode
        && group.is_none_or(|group| metadata.gid() == group.as_raw());
    if !fits {
        return Ok(false);
    }
    let mut there = Zeroizing::new(Vec::with_capacity(text.len() + 1));
    File::open(path)?.take(text.len() as u64 + 1).read_to_end(&mut there)?;
    Ok(*there == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_only_when_it_is_another() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("run/psk/home");
        assert!(replace(&path, "one\n", None).expect("written"));
        let inode = |path: &Path| fs::metadata(path).expect("there").ino();
        let first = inode(&path);
        assert!(!replace(&path, "one\n", None).expect("there"), "equal");
        assert_eq!(inode(&path), first);
        assert!(replace(&path, "two\n", None).expect("written"));
        assert_ne!(inode(&path), first, "a reader of the old one has it to the end");
        assert_eq!(fs::read_to_string(&path).expect("readable"), "two\n");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o7777;
        assert_eq!(
            (mode(&path), mode(&dir.path().join("run")), mode(&dir.path().join("run/psk"))),
            (0o600, 0o711, 0o711)
        );
        assert_eq!(fs::read_dir(dir.path().join("run/psk")).expect("readable").count(), 1, "nothing left behind");

        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("changed");
        assert!(replace(&path, "two\n", None).expect("written"), "others could read it");
        assert_eq!(mode(&path), 0o600);
        fs::remove_file(&path).expect("removed");
        fs::create_dir(&path).expect("made");
        assert!(replace(&path, "two\n", None).is_err());
    }

    #[test]
    fn files_of_others_are_not_touched_by_the_preparation() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = |name: &str| dir.path().join(name);
        let text = format!(
            "config ssid 'home'\n\toption ssid 'Home'\n\toption backend 'psk-file'\n\toption psk_file '{0}/home'\n\
             config ssid 'work'\n\toption ssid 'Work'\n\toption backend 'psk-file'\n\toption psk_file '{0}/work'\n\
             config ssid 'new'\n\toption ssid 'New'\n\toption psk_file '{0}/new'\n",
            dir.path().display()
        );
        let config = Config::parse(text).expect("valid");
        fs::write(file("work"), "keys").expect("written");
        prepare(&config).expect("done");
        prepare(&config).expect("done");
        assert_eq!(fs::read_to_string(file("home")).expect("there"), HEADER);
        assert_eq!(fs::read_to_string(file("work")).expect("there"), "keys");
        assert!(!file("new").exists(), "hostapd asks over RADIUS");
    }

    #[test]
    fn it_is_seen_who_reads() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("home");
        fs::write(&path, "keys").expect("written");
        let watch = Watch::new(&path).expect("inotify");
        assert!(!watch.opened());
        fs::read(&path).expect("read");
        assert!(watch.opened());
        assert!(Watch::new(&dir.path().join("none")).is_none());
    }
}
