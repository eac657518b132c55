//! Certificates, keys and revocation lists, from files into [`Core`].
//!
//! A CA and a server certificate are made when the configuration has a network that is joined with EAP only, and EAP-TLS is not switched
//! off; or when the first certificate is to be issued or the CA exported. Until then nothing is written.

mod files;

use super::{Daemon, now};
use crate::config::{Config, CrlRequired, EapMethod};
use crate::pki::crl::LARGEST_FILE;
use crate::service::Core;
use crate::service::pki::OwnCa;
use files::Wish;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// How often it is looked whether revocation lists have changed, and whether something ends.
const LOOK: Duration = Duration::from_secs(60);

/// What is remembered of the files.
#[derive(Default)]
pub struct Files {
    /// Revocation lists as they were when they were read.
    lists: RefCell<BTreeMap<PathBuf, Option<Stamp>>>,
    /// What was said of ends, and at which stage.
    said: RefCell<BTreeMap<String, i64>>,
    /// Where they are: `state_dir` changes with the next start only.
    dir: OnceCell<PathBuf>,
    /// A CA was asked for in this run, by whoever issues or exports.
    asked: Cell<bool>,
}

/// What changes when a file is replaced or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    length: u64,
    inode: u64,
}

impl Files {
    /// Reads all files, and makes those that are wanted and missing: at the start, and at a reload.
    pub fn load(&self, core: &mut Core) {
        let config = core.config.clone();
        let now = core.time.effective(now()).wall;
        let wish = Wish {
            ca: self.asked.get(),
            server: wanted(&config),
            server_name: &config.eap.server_name,
            given: config.eap.certificate.as_ref(),
        };
        let mut random = |buffer: &mut [u8]| core.fill_random(buffer);
        let dir = self.dir.get_or_init(|| config.main.state_dir.join("pki"));
        let found = files::open(dir, &wish, now, &mut random);
        for trouble in &found.troubles {
            tracing::error!("{trouble}");
        }
        core.pki.set_files(found);
        core.pki.crls.required = config.eap.crl_required == CrlRequired::Yes;
        // A reload reads the lists whether they seem to have changed or not.
        self.lists.borrow_mut().clear();
        self.read_lists(core);
        core.refresh_pki();
        self.say_what_ends(core);
    }

    /// There has to be a CA now, if there can be one.
    pub fn need_ca(&self, core: &mut Core) {
        if matches!(core.pki.own(), OwnCa::None) && !self.asked.replace(true) {
            self.load(core);
            // A failure may be mended meanwhile.
            self.asked.set(!matches!(core.pki.own(), OwnCa::None));
        }
    }

    /// Reads the revocation lists that have changed, or that makers have since.
    pub fn follow_lists(&self, core: &mut Core) {
        if self.read_lists(core) {
            core.refresh_pki();
        }
    }

    /// True when one was read anew.
    fn read_lists(&self, core: &mut Core) -> bool {
        let paths: Vec<PathBuf> = core.registry.makers().flat_map(|maker| maker.crls.iter().cloned()).collect();
        let mut lists = self.lists.borrow_mut();
        lists.retain(|path, _| paths.contains(path));
        let mut changed = false;
        for path in paths {
            let stamp = stamp(&path);
            if lists.get(&path) == Some(&stamp) {
                continue;
            }
            changed = true;
            match read(&path) {
                Ok(content) => match core.pki.crls.put(&path, &content) {
                    Ok(()) => tracing::info!("read the revocation list {}", path.display()),
                    Err(why) => tracing::error!("the revocation list {}: {why}", path.display()),
                },
                Err(why) => {
                    tracing::error!("the revocation list {} cannot be read: {why}", path.display());
                    core.pki.crls.fail(&path, &format!("it cannot be read: {why}"));
                }
            }
            lists.insert(path, stamp);
        }
        changed
    }

    /// Tells of what ends soon, once for each stage.
    fn say_what_ends(&self, core: &Core) {
        let warnings = core.pki.warnings(core.time.effective(now()).wall);
        let mut said = self.said.borrow_mut();
        said.retain(|about, _| warnings.iter().any(|warning| warning.about == *about));
        for warning in warnings {
            if said.get(&warning.about) != Some(&warning.stage) {
                tracing::warn!("{}", warning.text);
                said.insert(warning.about, warning.stage);
            }
        }
    }
}

/// Looks after revocation lists and ends, for ever.
pub async fn watch(daemon: Rc<Daemon>) {
    let mut look = tokio::time::interval_at(tokio::time::Instant::now() + LOOK, LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let core = &mut *daemon.core.borrow_mut();
        daemon.pki.follow_lists(core);
        daemon.pki.say_what_ends(core);
    }
}

/// True when devices are to be shown a certificate: there is a network that is joined with EAP only, and EAP-TLS is on.
fn wanted(config: &Config) -> bool {
    config.eap.methods.contains(&EapMethod::Tls) && config.ssids.iter().any(|ssid| !ssid.security.has_keys())
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some(Stamp { modified: (found.mtime(), found.mtime_nsec()), length: found.len(), inode: found.ino() })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("this is no file"));
    }
    // One octet more than is taken: then its length is what is wrong.
    let mut content = Vec::new();
    File::open(path)?.take(LARGEST_FILE as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}
