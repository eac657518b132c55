//! Certificates, keys and authorities of RadSec, from their files; read again when they change. What is wrong with them then is said, and
//! those that were read before stay in use.

use super::super::pki::{Stamp, read, stamp};
use crate::config::{Config, Realm, Tls};
use crate::pki::certificate::sha256;
use crate::radsec::settings::{Accepting, Clock, Connecting, Identity};
use crate::radsec::trust::{Authorities, Expected, OfClient, OfServer};
use crate::service::Core;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Octets of the longest key file that is read.
const LONGEST_KEY: u64 = 64 << 10;

/// What is read from files, and what they were like.
#[derive(Debug)]
pub struct Kept<T> {
    depends: Option<Depends>,
    current: Option<T>,
    /// What is wrong with the files now, in words with the mend.
    trouble: Option<Arc<str>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Kept<T> {
        Kept { depends: None, current: None, trouble: None }
    }
}

/// What the settings depend on.
#[derive(Debug, PartialEq, Eq)]
struct Depends {
    files: Vec<(PathBuf, Option<Stamp>)>,
    /// Our own CA's certificate, and the server certificate for devices, where they are used: SHA-256.
    own: Vec<[u8; 32]>,
    /// What else there is in the configuration.
    names: Vec<Arc<str>>,
}

impl Depends {
    fn new(core: &Core, of: &Files<'_>, names: Vec<Arc<str>>) -> Depends {
        let mut depends = Depends { files: Vec::new(), own: Vec::new(), names };
        let mut file = |path: &Path| depends.files.push((path.to_owned(), stamp(path)));
        match of.ca {
            Some((_, path)) => file(path),
            None => depends.own.extend(core.pki.own().certificate().map(sha256)),
        }
        match of.certificate {
            Some((_, (certificate, key))) => {
                depends.files.push((certificate.clone(), stamp(certificate)));
                depends.files.push((key.clone(), stamp(key)));
            }
            None => depends.own.extend(core.pki.server().map(|server| server.chain_hash())),
        }
        depends
    }
}

impl<T: Clone> Kept<T> {
    /// The settings in force, or why there are none.
    pub fn get(&self) -> Result<T, Arc<str>> {
        let missing = || self.trouble.clone().unwrap_or_else(|| "its certificates were not read".into());
        self.current.clone().ok_or_else(missing)
    }

    /// Reads the files if they have changed. True when there are others in force now.
    fn follow(&mut self, depends: Depends, make: impl FnOnce() -> Result<T, String>) -> bool {
        if self.depends.as_ref() == Some(&depends) {
            return false;
        }
        let first = self.depends.replace(depends).is_none();
        match make() {
            Ok(made) => {
                (self.current, self.trouble) = (Some(made), None);
                !first
            }
            Err(why) => {
                let meanwhile = if self.current.is_some() { "; until then what was read before is used" } else { "" };
                crate::log::error!("{why}{meanwhile}");
                self.trouble = Some(why.into());
                false
            }
        }
    }
}

/// The files of one side, each with the section that names it.
struct Files<'a> {
    ca: Option<(&'a str, &'a PathBuf)>,
    certificate: Option<(&'a str, &'a (PathBuf, PathBuf))>,
}

impl<'a> Files<'a> {
    fn of(title: &'a str, tls: &'a Tls, config: &'a Config) -> Files<'a> {
        let general = config.radsec.tls.certificate.as_ref().map(|files| ("config radsec", files));
        Files {
            ca: tls.ca.as_ref().map(|ca| (title, ca)),
            certificate: tls.certificate.as_ref().map(|files| (title, files)).or(general),
        }
    }

    fn identity(&self, core: &Core) -> Result<Identity, String> {
        let Some((title, (certificate, key))) = self.certificate else {
            let own = core.pki.server().ok_or_else(|| match core.pki.troubles().first() {
                Some(why) => format!("RadSec has no certificate to show: {why}"),
                None => {
                    "RadSec has no certificate to show: set option certificate and private_key of config radsec".into()
                }
            })?;
            return Identity::new(own.chain.clone(), own.key());
        };
        let of = |option: &str, path: &Path, why: &dyn std::fmt::Display| {
            format!("{title}: option {option}: {}: {why}: put a good one there", path.display())
        };
        let chain = read(certificate).map_err(|why| of("certificate", certificate, &unreadable(&why)))?;
        let secret = read_key(key).map_err(|why| of("private_key", key, &unreadable(&why)))?;
        PrivateKeyDer::from_pem_slice(&secret)
            .map_err(|_| of("private_key", key, &"it has no private key that can be read (PEM, without a password)"))?;
        Identity::read(&chain, &secret).map_err(|why| of("certificate", certificate, &why))
    }

    fn authorities(&self, core: &Core) -> Result<Authorities, String> {
        let Some((title, path)) = self.ca else {
            let own = core.pki.own().certificate();
            return Authorities::new(own.into_iter(), "this box's own CA (option ca is not set)");
        };
        let of = |why: &dyn std::fmt::Display| {
            format!("{title}: option ca: {}: {why}: put a good one there", path.display())
        };
        let file = read(path).map_err(|why| of(&unreadable(&why)))?;
        let source = format!("option ca ({})", path.display());
        Authorities::read(&file, &source).map_err(|why| of(&why))
    }
}

fn unreadable(why: &io::Error) -> String {
    format!("it cannot be read ({why})")
}

fn read_key(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > LONGEST_KEY {
        return Err(io::Error::other("this is no file of a key"));
    }
    // Room at once, so that no copies stay.
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default() + 1));
    File::open(path)?.take(LONGEST_KEY).read_to_end(&mut content)?;
    Ok(content)
}

/// Follows what is needed to connect to a server of a realm.
pub fn follow_realm(
    kept: &mut Kept<Connecting>,
    core: &Core,
    realm: &Realm,
    expected: &Expected,
    clock: &Arc<Clock>,
) -> bool {
    let title = format!("config realm '{}'", realm.name);
    let files = Files::of(&title, &realm.tls, &core.config);
    let expected_name = match expected {
        Expected::Host(name) | Expected::Realm(name) => name.clone(),
    };
    kept.follow(Depends::new(core, &files, vec![expected_name]), || {
        let asked = OfServer { authorities: files.authorities(core)?, expected: expected.clone() };
        Connecting::new(&files.identity(core)?, asked, clock).map_err(|why| format!("{title}: {why}"))
    })
}

/// Follows what is needed to take connections of clients.
pub fn follow_clients(kept: &mut Kept<Accepting>, core: &Core, clock: &Arc<Clock>) -> bool {
    let config = &core.config;
    let files = Files::of("config radsec", &config.radsec.tls, config);
    let mut names: Vec<Arc<str>> = config.clients.iter().filter_map(|client| client.radsec.clone()).collect();
    names.sort();
    names.dedup();
    kept.follow(Depends::new(core, &files, names.clone()), || {
        let asked = OfClient { authorities: files.authorities(core)?, names };
        Accepting::new(&files.identity(core)?, asked, clock).map_err(|why| format!("config radsec: {why}"))
    })
}
