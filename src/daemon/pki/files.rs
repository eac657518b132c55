//! The certificates and keys in `state_dir/pki`: found, or made where they are wanted and missing.
//!
//! Keys are written before the certificates that belong to them, so whenever the power fails, what is there can be completed: a
//! certificate can be made again from its key. What is damaged is left alone for its owner to look at, and named.

use crate::pki::CertificateInfo;
use crate::pki::authority::{Authority, Key, Random, certificate_pem, one_certificate};
use crate::pki::server::ServerCertificate;
use crate::service::pki::{Files, OwnCa};
use crate::time::UnixTime;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Octets of the longest file that is read.
const LONGEST: u64 = 128 * 1024;

/// What is to be there afterwards.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// A CA of our own.
    pub ca: bool,
    /// A certificate for devices to see.
    pub server: bool,
    /// Its DNS name.
    pub server_name: &'a str,
    /// The administrator's own certificate and key, in place of one of ours.
    pub given: Option<&'a (PathBuf, PathBuf)>,
}

/// Reads the files of a directory, and makes those that are wanted and missing.
pub fn open(dir: &Path, wish: &Wish<'_>, now: UnixTime, random: Random<'_>) -> Files {
    let mut open = Open { dir, now, random, troubles: Vec::new() };
    let own = open.own_ca(wish.ca || (wish.server && wish.given.is_none()));
    let server = match wish.given {
        Some((certificate, key)) => open.given(certificate, key),
        None => open.server(&own, wish),
    };
    Files { own, server, troubles: open.troubles }
}

struct Open<'a> {
    dir: &'a Path,
    now: UnixTime,
    random: Random<'a>,
    troubles: Vec<String>,
}

impl Open<'_> {
    fn own_ca(&mut self, wanted: bool) -> OwnCa {
        let (crt, key) = (self.dir.join("ca.crt"), self.dir.join("ca.key"));
        let (Ok(certificate), Ok(secret)) = (self.read(&crt), self.read(&key)) else { return OwnCa::None };
        let whole = match (&certificate, &secret) {
            (None, None) if !wanted => return OwnCa::None,
            (None, None) => Key::generate().map_err(About::Nothing).and_then(|made| {
                self.write(&key, made.to_pem().as_bytes(), 0o600)?;
                self.make_ca(&crt, made)
            }),
            // Power failed when it was made, or the file was lost: it comes out the same, but for its serial number.
            (None, Some(secret)) => Key::from_pem(secret)
                .map_err(|why| About::File(key.clone(), why))
                .and_then(|read| self.make_ca(&crt, read)),
            (Some(certificate), Some(secret)) => {
                Authority::load(certificate, secret).map_err(|why| About::Both(crt.clone(), key.clone(), why))
            }
            (Some(_), None) => Err(About::File(key.clone(), "it is missing".into())),
        };
        let why = match whole {
            Ok(authority) => return OwnCa::Whole(Box::new(authority)),
            Err(why) => why,
        };
        self.trouble(
            why,
            "put back a copy of ca.crt and ca.key, or remove both for a new CA, which then has to be put on all devices; until \
             then no certificate can be issued",
        );
        // What it has signed can still be checked.
        let der = certificate.and_then(|certificate| one_certificate(&certificate).ok());
        let own = der.and_then(|der| Some((CertificateInfo::parse(&der).ok()?, der)));
        own.map_or(OwnCa::None, |(info, der)| OwnCa::Certificate(der.into(), Box::new(info)))
    }

    fn make_ca(&mut self, path: &Path, key: Key) -> Result<Authority, About> {
        let authority = Authority::new(key, self.now, self.random).map_err(About::Nothing)?;
        self.write(path, certificate_pem(authority.certificate()).as_bytes(), 0o644)?;
        crate::log::info!(
            "made {}, {}: latchkey ca export gives it to devices",
            authority.info().subject,
            path.display()
        );
        Ok(authority)
    }

    fn server(&mut self, own: &OwnCa, wish: &Wish<'_>) -> Option<ServerCertificate> {
        let (crt, key) = (self.dir.join("server.crt"), self.dir.join("server.key"));
        let (Ok(mut certificate), Ok(secret)) = (self.read(&crt), self.read(&key)) else { return None };
        if !wish.server && (certificate.is_none() || secret.is_none()) {
            return None;
        }
        let result = match (&mut certificate, &secret) {
            (Some(certificate), Some(secret)) => match ServerCertificate::read(certificate, secret, false) {
                Ok(server) if self.outdated(own, &server, wish.server_name) => {
                    self.make_server(own, secret, &crt, wish)
                }
                Ok(server) => Ok(server),
                Err(why) => Err(About::Both(crt.clone(), key.clone(), why)),
            },
            (None, Some(secret)) => self.make_server(own, secret, &crt, wish),
            (left_over, None) => {
                self.make_server_key(own, &key, left_over.is_some().then_some(&*crt)).and_then(|secret| {
                    // Devices know the CA, not this key.
                    self.make_server(own, secret.as_bytes(), &crt, wish)
                })
            }
        };
        result
            .map_err(|why| {
                let mend = "remove server.crt and server.key, then start latchkey again: they are made anew, and devices go on \
                            trusting them; until then there is no EAP-TLS";
                self.trouble(why, mend);
            })
            .ok()
    }

    /// One of ours that ends soon, or is for another name, or was made before there was RadSec.
    fn outdated(&self, own: &OwnCa, server: &ServerCertificate, name: &str) -> bool {
        let OwnCa::Whole(authority) = own else { return false };
        let ours = server.info.issuer_hash == authority.subject_hash();
        ours && (authority.renews(&server.info, self.now) || !server.is_for(name) || !server.for_clients)
    }

    fn make_server_key(
        &mut self,
        own: &OwnCa,
        path: &Path,
        left_over: Option<&Path>,
    ) -> Result<Zeroizing<String>, About> {
        if !matches!(own, OwnCa::Whole(_)) {
            return Err(About::Nothing("there is no CA to sign the server certificate".into()));
        }
        // A certificate without key is of no use, and must not be taken for one of the new key.
        if let Some(left_over) = left_over {
            crate::log::warn!("{} is missing: it and {} are made anew", path.display(), left_over.display());
            fs::remove_file(left_over).map_err(|why| About::File(left_over.to_owned(), why.to_string()))?;
        }
        let secret = Key::generate().map_err(About::Nothing)?.to_pem();
        self.write(path, secret.as_bytes(), 0o600)?;
        Ok(secret)
    }

    fn make_server(
        &mut self,
        own: &OwnCa,
        secret: &[u8],
        path: &Path,
        wish: &Wish<'_>,
    ) -> Result<ServerCertificate, About> {
        let OwnCa::Whole(authority) = own else {
            return Err(About::Nothing("there is no CA to sign the server certificate".into()));
        };
        let key = Key::from_pem(secret).map_err(|why| About::File(self.dir.join("server.key"), why))?;
        let der = authority.server(wish.server_name, &key, self.now, self.random).map_err(About::Nothing)?;
        let pem = certificate_pem(&der);
        self.write(path, pem.as_bytes(), 0o644)?;
        crate::log::info!("made the server certificate for {}: {}", wish.server_name, path.display());
        ServerCertificate::read(pem.as_bytes(), secret, false).map_err(|why| About::File(path.to_owned(), why))
    }

    fn given(&mut self, certificate: &Path, key: &Path) -> Option<ServerCertificate> {
        let (Ok(chain), Ok(secret)) = (self.read(certificate), self.read(key)) else { return None };
        let result = match (chain, secret) {
            (Some(chain), Some(secret)) => ServerCertificate::read(&chain, &secret, true)
                .map_err(|why| About::Both(certificate.to_owned(), key.to_owned(), why)),
            (None, _) => Err(About::File(certificate.to_owned(), "it is missing".into())),
            (_, None) => Err(About::File(key.to_owned(), "it is missing".into())),
        };
        let mend = "mend option certificate and private_key, or take both away so that latchkey makes its own; until then there is \
                    no EAP-TLS";
        result.map_err(|why| self.trouble(why, mend)).ok()
    }

    /// What is in a file; `None` when it is not there. An error was noted already.
    fn read(&mut self, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, ()> {
        let secret = path.extension().is_some_and(|extension| extension == "key");
        match read(path, secret && path.starts_with(self.dir)) {
            Ok(content) => Ok(content),
            Err(why) => {
                self.trouble(About::File(path.to_owned(), why.to_string()), "make it readable, or remove it");
                Err(())
            }
        }
    }

    fn write(&self, path: &Path, content: &[u8], mode: u32) -> Result<(), About> {
        let write = || {
            make_dir(self.dir)?;
            replace(self.dir, path, content, mode)
        };
        write().map_err(|why: io::Error| About::File(path.to_owned(), format!("it cannot be written: {why}")))
    }

    fn trouble(&mut self, about: About, mend: &str) {
        let what = match about {
            About::File(path, why) => format!("{}: {why}", path.display()),
            About::Both(one, other, why) => format!("{} and {}: {why}", one.display(), other.display()),
            About::Nothing(why) => why,
        };
        self.troubles.push(format!("{what}: {mend}"));
    }
}

/// What something is wrong with, and what.
enum About {
    File(PathBuf, String),
    Both(PathBuf, PathBuf, String),
    Nothing(String),
}

/// Reads a whole file; a secret one that others could read is theirs no more.
fn read(path: &Path, secret: bool) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(why),
    };
    if !metadata.is_file() {
        return Err(io::Error::other("this is no file"));
    }
    if metadata.len() > LONGEST {
        return Err(io::Error::other(format!("it has more than {LONGEST} octets")));
    }
    if secret && metadata.permissions().mode() & 0o077 != 0 {
        crate::log::warn!("{} could be read by others: its mode is 0600 now", path.display());
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    let room = usize::try_from(metadata.len()).unwrap_or_default() + 1;
    let mut content = Zeroizing::new(Vec::with_capacity(room));
    File::open(path)?.take(LONGEST).read_to_end(&mut content)?;
    Ok(Some(content))
}

/// The directory, 0700 whatever the umask says.
fn make_dir(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {
            if let Some(parent) = dir.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
        Err(why) => return Err(why),
    }
    fs::set_permissions(dir, Permissions::from_mode(0o700))
}

/// Writes a file as a whole: under another name, to flash, then renamed, and that to flash.
fn replace(dir: &Path, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::other("this is no name of a file"))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(".new");
    let temporary = dir.join(temporary);
    match fs::remove_file(&temporary) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    if let Err(why) = write() {
        let _ = fs::remove_file(&temporary);
        return Err(why);
    }
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests;
