//! Certificates, keys and revocation lists, from files into [`Core`].
//!
//! A CA and a server certificate are made when the configuration has a network that is joined with EAP only, and EAP-TLS is not switched
//! off; or when the first certificate is to be issued or the CA exported. Until then nothing is written.

mod files;

use super::{Daemon, now};
use crate::config::{Config, CrlRequired, EapMethod, Target, Transport};
use crate::pki::crl::LARGEST_FILE;
use crate::service::Core;
use crate::service::pki::OwnCa;
use crate::sorted::SortedMap;
use files::Wish;
use std::cell::{Cell, OnceCell, RefCell};
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
    lists: RefCell<SortedMap<PathBuf, Option<Stamp>>>,
    /// What was said of ends, and at which stage.
    said: RefCell<SortedMap<String, i64>>,
    /// Where they are: `state_dir` changes with the next start only.
    dir: OnceCell<PathBuf>,
    /// A CA was asked for in this run, by whoever issues or exports.
    asked: Cell<bool>,
}

/// What changes when a file is replaced or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
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
            crate::log::error!("{trouble}");
        }
        core.pki.set_files(found);
        core.pki.crls.required = config.eap.crl_required == CrlRequired::Yes;
        // A reload reads the lists whether they seem to have changed or not.
        self.lists.borrow_mut().clear();
        self.read_lists(core);
        core.refresh_pki();
        self.say(core);
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
            self.say(core);
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
                // What is wrong is one of the warnings.
                Ok(content) => {
                    if core.pki.crls.put(&path, &content).is_ok() {
                        crate::log::info!("read the revocation list {}", path.display());
                    }
                }
                Err(why) => drop(core.pki.crls.fail(&path, &format!("it cannot be read: {why}"))),
            }
            lists.insert(path, stamp);
        }
        changed
    }

    /// Tells of what ends soon, once for each stage, and of lists that cannot be used.
    fn say(&self, core: &Core) {
        let warnings = core.pki.warnings(core.time.effective(now()).wall);
        let mut said = self.said.borrow_mut();
        said.retain(|about, _| warnings.iter().any(|warning| warning.about == *about));
        for warning in warnings {
            if said.get(&warning.about) != Some(&warning.stage) {
                crate::log::warn!("{}", warning.text);
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
        daemon.pki.say(core);
    }
}

/// True when somebody is to be shown a certificate: there is a network that is joined with EAP only, and EAP-TLS is on; or there is
/// RadSec without a certificate of its own.
fn wanted(config: &Config) -> bool {
    wanted_by_devices(config) || (config.radsec.tls.certificate.is_none() && wanted_by_radsec(config))
}

fn wanted_by_radsec(config: &Config) -> bool {
    let over_tls = |target: &Target| match target {
        Target::Local => false,
        Target::Servers(servers) => servers.iter().any(|server| server.transport == Transport::Radsec),
        Target::Discover => true,
    };
    let needs = config.realms.iter().any(|realm| realm.tls.certificate.is_none() && over_tls(&realm.target));
    !config.radsec.listen.is_empty() || needs
}

fn wanted_by_devices(config: &Config) -> bool {
    config.eap.methods.contains(&EapMethod::Tls) && config.ssids.iter().any(|ssid| !ssid.security.has_keys())
}

/// What a file is like now; nothing when it is not there.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some(Stamp { modified: (found.mtime(), found.mtime_nsec()), length: found.len(), inode: found.ino() })
}

/// Reads a file of public things, of which there is not too much.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("this is no file"));
    }
    // One octet more than is taken: then its length is what is wrong.
    let mut content = Vec::new();
    File::open(path)?.take(LARGEST_FILE as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::testing::{Ca, World};
    use crate::registry::Registry;
    use std::time::Instant;
    use tempfile::TempDir;

    fn core(dir: &TempDir, more: &str, registry: Registry) -> Core {
        let text = format!(
            "config latchkey\n\toption state_dir '{}'\nconfig profile 'iot'\n\toption vlan '20'\n{more}",
            dir.path().display()
        );
        let random = Box::new(|buffer: &mut [u8]| getrandom::fill(buffer).expect("randomness"));
        let config = Config::parse(text).expect("a configuration");
        Core::new(config.into(), registry, now(), random, Instant::now, Box::new(|_| ()))
    }

    #[test]
    fn a_ca_is_made_when_it_is_wanted_or_asked_for() {
        let enterprise = "config ssid\n\toption ssid 'Home'\n\toption security 'enterprise'\n";
        let keys = "config ssid\n\toption ssid 'Home'\n";
        let without_tls = format!("{enterprise}config eap\n\tlist methods 'psk'\n");
        for (config, made) in [(keys, false), (enterprise, true), (&without_tls, false)] {
            let dir = tempfile::tempdir().expect("a directory");
            let mut core = core(&dir, config, Registry::default());
            let files = Files::default();
            files.load(&mut core);
            assert_eq!(core.pki.troubles(), [] as [&str; 0]);
            assert_eq!((core.pki.server().is_some(), dir.path().join("pki").exists()), (made, made), "{config}");
            files.need_ca(&mut core);
            assert!(matches!(core.pki.own(), OwnCa::Whole(_)), "{config}");
            assert_eq!(core.pki.server().is_some(), made, "{config}");
        }
    }

    #[test]
    fn a_ca_that_cannot_be_made_is_tried_again_when_it_is_asked_for_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut core = core(&dir, "", Registry::default());
        let files = Files::default();
        fs::write(dir.path().join("pki"), "in the way").expect("written");
        files.need_ca(&mut core);
        assert!(matches!(core.pki.own(), OwnCa::None) && !core.pki.troubles().is_empty());
        fs::remove_file(dir.path().join("pki")).expect("removed");
        files.need_ca(&mut core);
        assert!(matches!(core.pki.own(), OwnCa::Whole(_)) && core.pki.troubles().is_empty());
    }

    #[test]
    fn revocation_lists_are_read_again_when_they_change() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("acme.crl");
        let root = Ca::root("Acme Root");
        let (cam, lost) = (root.device("cam", |_| ()), root.device("lost", |_| ()));
        let world = World::default().maker_with("acme", &[&root.der], &[path.to_str().expect("a path")]);
        let mut core = core(&dir, "config eap\n\toption crl_required '1'\n", world.registry());
        let files = Files::default();
        let said = |core: &Core| {
            let wall = crate::pki::testing::NOW;
            let verify = |der: &Vec<u8>| core.pki.trust().verify(&[der.as_slice().into()], wall).map(|_| ());
            [verify(&cam), verify(&lost)].map(|result| result.map_err(|why| why.to_string()))
        };
        files.load(&mut core);
        let missing = said(&core)[0].clone().expect_err("no list");
        assert!(missing.contains("acme.crl: it cannot be read: No such file"), "{missing}");

        fs::write(&path, root.crl(&[], (2027, 1, 1), (2027, 2, 1))).expect("written");
        files.follow_lists(&mut core);
        assert_eq!(said(&core), [Ok(()), Ok(())]);
        // Replaced as it should be: under another name, then renamed.
        fs::write(dir.path().join("new"), root.crl(&[&lost], (2027, 1, 1), (2027, 2, 1))).expect("written");
        fs::rename(dir.path().join("new"), &path).expect("renamed");
        files.follow_lists(&mut core);
        assert_eq!(said(&core), [Ok(()), Err("is revoked".to_owned())]);
        let trust = core.pki.trust();
        files.follow_lists(&mut core);
        assert!(std::sync::Arc::ptr_eq(&trust, &core.pki.trust()), "nothing is done when nothing changed");

        for damage in [Some("half a fi"), None] {
            match damage {
                Some(damage) => fs::write(&path, damage).expect("written"),
                None => fs::remove_file(&path).expect("removed"),
            }
            files.follow_lists(&mut core);
            let [cam, lost] = said(&core);
            assert!(cam.is_err_and(|why| why.contains("acme.crl: it ")), "a list is required");
            assert_eq!(lost, Err("is revoked".to_owned()), "it does not come back");
            let warnings = core.pki.warnings(crate::pki::testing::NOW);
            assert!(warnings[0].text.ends_with("until then devices of this maker are refused"), "{warnings:?}");
        }
    }
}
