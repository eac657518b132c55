//! hostapd on this box: finds its BSSes by the sockets in its control directory, as they appear and disappear, and
//! keeps a task with each.
//!
//! hostapd answers a request to the name its client is bound to. Ours have abstract names, which hostapd reaches from
//! whatever jail and whoever it runs as, if it is in the same network namespace; on OpenWrt it is user `network`, and we
//! are in the group of that name, to which its sockets are open. All are connected: the kernel takes datagrams for them from
//! hostapd's socket only.

mod bss;
mod keys;
mod socket;

use super::{Daemon, now, rights};
use crate::mac::MacAddr;
use crate::service::Core;
use crate::service::arrivals::Arrival;
use crate::service::keyfile::SaeGiven;
use crate::service::revocation::Order;
use crate::sorted::SortedMap;
use bss::Command;
use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How often the directory is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// The tables are brought up to date in this time, or shown as they are.
const REFRESH: Duration = Duration::from_millis(1500);
/// Commands that may wait for one BSS.
const COMMANDS: usize = 1024;
/// What the troubles of BSSes are called, with the name; and that of the directory.
const ABOUT: &str = "hostapd on ";
const CLOSED: &str = "hostapd";
/// An interface's name has at most 15 octets (IFNAMSIZ).
const NAME: usize = 15;

/// The tasks, by the names of their BSSes.
#[derive(Default)]
pub struct Hostapd {
    open: RefCell<SortedMap<Arc<str>, Followed>>,
    /// The SAE passwords given, by BSS.
    told: RefCell<SortedMap<Arc<str>, Told>>,
}

struct Followed {
    /// Of the socket: a hostapd that was started again makes a new one of the same name.
    inode: u64,
    /// What its hostapd has to be given.
    stale: Rc<Stale>,
    commands: mpsc::Sender<Command>,
    task: JoinHandle<()>,
}

/// What of a BSS's keys hostapd does not have yet. All at first: nobody knows what a hostapd has that was there before.
struct Stale {
    /// The key file is another one than hostapd read.
    file: Cell<bool>,
    /// The SAE passwords may be others.
    passwords: Cell<bool>,
}

/// The SAE passwords that a hostapd was given, which remembers them for longer than a task may live.
struct Told {
    /// Of its socket: that of another hostapd has another one.
    inode: u64,
    given: Rc<RefCell<SaeGiven>>,
}

impl Daemon {
    /// hostapd let a station in by a key it read: what follows from it.
    fn arrived(self: &Rc<Self>, arrival: Arrival) {
        let core = &mut *self.core.borrow_mut();
        let changes = core.arrived(&arrival, false, now());
        self.hostapd.execute(core);
        if !changes.is_empty() {
            crate::daemon::task::spawn(store_arrival(self.clone(), arrival));
        }
    }
}

/// Makes durable what a station proved.
async fn store_arrival(daemon: Rc<Daemon>, arrival: Arrival) {
    let _writer = daemon.writer.lock().await;
    // Somebody else may have been faster, or the administrator.
    let changes = daemon.core.borrow_mut().arrived(&arrival, true, now());
    if !changes.is_empty() {
        let stored = daemon.commit(changes.clone()).await;
        if let Err(why) = &stored {
            crate::log::error!("a binding was not stored: {why}");
        }
        daemon.core.borrow_mut().arrival_stored(&arrival, &changes, stored.is_ok(), now());
    }
    daemon.hostapd.execute(&mut daemon.core.borrow_mut());
}

impl Hostapd {
    /// Has hostapd take other keys: the files of these SSIDs were written, and any SAE password may have changed. Orders that
    /// are given after this are carried out after it.
    pub fn keys_changed(&self, core: &Core, written: &[Arc<[u8]>]) {
        let open = self.open.borrow();
        for (name, bss) in core.stations.bsses() {
            let Some((followed, ssid)) = open.get(name).zip(core.config.ssid(&bss.ssid)) else { continue };
            let file = ssid.has_key_file() && written.contains(&ssid.ssid);
            if file || ssid.has_sae_passwords() {
                followed.stale.file.set(file || followed.stale.file.get());
                followed.stale.passwords.set(true);
                // When the queue is full, one that is in it sees to it.
                let _ = followed.commands.try_send(Command::Keys);
            }
        }
    }

    /// Brings the table of stations up to date, as far as that is possible in a short time.
    pub async fn refresh(&self) {
        let mut waiting = Vec::new();
        for followed in self.open.borrow().values() {
            let (done, wait) = oneshot::channel();
            if followed.commands.try_send(Command::Refresh(done)).is_ok() {
                waiting.push(wait);
            }
        }
        let all = async {
            for wait in waiting {
                // An error means that the task has ended, and its stations are forgotten.
                let _ = wait.await;
            }
        };
        let _ = timeout(REFRESH, all).await;
    }

    /// Has orders carried out on every BSS whose SSID is in the configuration.
    pub fn execute(&self, core: &mut Core) {
        let orders = core.revocation.take_orders();
        if orders.is_empty() {
            return;
        }
        let open = self.open.borrow();
        let served = core.stations.bsses().filter(|(_, bss)| core.config.ssid(&bss.ssid).is_some());
        let served: Vec<&Followed> = served.filter_map(|(name, _)| open.get(name)).collect();
        for order in orders {
            if let Order::Off { mac, device, why, .. } = &order
                && !served.is_empty()
            {
                crate::log::info!("{device} ({mac}) is taken off the air: {why}");
            }
            // An address is taken off the list of a BSS also when its SSID has left the configuration meanwhile.
            let all: Vec<&Followed> = open.values().collect();
            let concerned = if matches!(order, Order::Lift(_)) { &all } else { &served };
            for bss in concerned {
                if bss.commands.try_send(Command::Carry(order.clone())).is_err() {
                    crate::log::warn!("more stations have to go than hostapd takes: {order:?} is given up");
                }
            }
        }
    }

    /// Says what went wrong with a BSS, unless that was said before.
    fn trouble(&self, daemon: &Daemon, name: &str, why: &std::io::Error) {
        rights::trouble(&mut daemon.core.borrow_mut(), &about(name), why.to_string());
    }

    /// A BSS is followed: whatever goes wrong from now on is news.
    fn well(&self, daemon: &Daemon, name: &str) {
        rights::well(&mut daemon.core.borrow_mut(), &about(name));
    }

    /// Follows what is there, and nothing else.
    fn follow(&self, daemon: &Rc<Daemon>, dir: &Path, there: &SortedMap<Arc<str>, u64>) {
        let mut open = self.open.borrow_mut();
        open.retain(|name, followed| {
            let keep = there.get(name) == Some(&followed.inode) && !followed.task.is_finished();
            if !keep {
                followed.task.abort();
                daemon.core.borrow_mut().stations.down(name);
            }
            keep
        });
        let gone = |about: &str| about.strip_prefix(ABOUT).is_some_and(|name| !there.contains_key(name));
        daemon.core.borrow_mut().network.troubles.retain(|about, _| !gone(about));
        self.told.borrow_mut().retain(|name, told| there.get(name) == Some(&told.inode));
        for (name, inode) in there {
            if !open.contains_key(name) {
                let (commands, receiver) = mpsc::channel(COMMANDS);
                let stale = Rc::new(Stale { file: Cell::new(true), passwords: Cell::new(true) });
                let mut told = self.told.borrow_mut();
                let told = told.or_insert_with(name.clone(), || Told { inode: *inode, given: Rc::default() });
                let place = bss::Place {
                    given: told.given.clone(),
                    name: name.clone(),
                    dir: dir.to_owned(),
                    stale: stale.clone(),
                };
                let task = crate::daemon::task::spawn(bss::follow(daemon.clone(), place, receiver));
                open.insert(name.clone(), Followed { inode: *inode, stale, commands, task });
            }
        }
    }
}

/// Looks for BSSes for ever.
pub async fn watch(daemon: Rc<Daemon>) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut current: Option<PathBuf> = None;
    // What was said last, so that it is said once.
    let mut said: Option<String> = None;
    loop {
        look.tick().await;
        let wanted = daemon.core.borrow().config.main.hostapd_dir.clone();
        if wanted != current {
            daemon.hostapd.follow(&daemon, Path::new(""), &SortedMap::new());
            current = wanted;
        }
        let Some(dir) = &current else {
            say(&mut said, "hostapd is left alone: option hostapd_dir is empty".into());
            continue;
        };
        match sockets(dir) {
            Ok(there) => {
                rights::well(&mut daemon.core.borrow_mut(), CLOSED);
                daemon.hostapd.follow(&daemon, dir, &there);
                if !there.is_empty() {
                    said = None;
                }
            }
            Err(why) => {
                daemon.hostapd.follow(&daemon, dir, &SortedMap::new());
                if why.kind() == std::io::ErrorKind::PermissionDenied {
                    // hostapd is there, which is worth more than a line in the log.
                    let why = rights::no_access(dir, &why);
                    rights::trouble(&mut daemon.core.borrow_mut(), CLOSED, why);
                    continue;
                }
                let mend = "stations show up when it does (option hostapd_dir, ctrl_interface in hostapd.conf)";
                say(&mut said, format!("no hostapd on this box: {}: {why}; {mend}", dir.display()));
            }
        }
    }
}

/// Ends all tasks and leaves nothing behind: no bans in hostapd.
pub async fn leave(daemon: &Rc<Daemon>) {
    let banned: Vec<MacAddr> = {
        let core = daemon.core.borrow();
        core.revocation.banned().chain(core.arrivals.held()).collect()
    };
    for followed in daemon.hostapd.open.borrow().values() {
        for mac in &banned {
            let _ = followed.commands.try_send(Command::Carry(Order::Lift(*mac)));
        }
    }
    if !banned.is_empty() {
        // After the bans in the same queues: when this is done, they are.
        daemon.hostapd.refresh().await;
    }
    daemon.hostapd.follow(daemon, Path::new(""), &SortedMap::new());
}

fn about(name: &str) -> String {
    format!("{ABOUT}{name}")
}

fn say(said: &mut Option<String>, text: String) {
    if said.as_ref() != Some(&text) {
        crate::log::info!("{text}");
        *said = Some(text);
    }
}

/// The BSSes: sockets named like their interfaces, with their inodes. `global` is hostapd's own.
fn sockets(dir: &Path) -> std::io::Result<SortedMap<Arc<str>, u64>> {
    let mut there = SortedMap::new();
    for entry in fs::read_dir(dir)?.take(4 * crate::service::stations::BSSES).flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.len() <= NAME && *name != "global") else { continue };
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.file_type().is_socket() && there.len() < crate::service::stations::BSSES {
            there.insert(name.into(), metadata.ino());
        }
    }
    Ok(there)
}
