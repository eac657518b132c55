//! Certificate revocation lists (RFC 5280, 5), as the shell reads them from files.

use super::certificate::sha256;
use super::file;
use super::x509::RevocationList;
use crate::sorted::SortedMap;
use crate::time::UnixTime;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use webpki::BorrowedCertRevocationList;

/// The greatest file that is read, in octets. A list takes as much memory as its file has octets (PEM: three quarters).
pub const LARGEST_FILE: usize = 1024 * 1024;

/// The revocation lists of all makers, by the files they come from.
#[derive(Debug, Clone, Default)]
pub struct Crls {
    /// Every certificate of a maker has to be on no list that is in time: one that cannot be checked is refused.
    pub required: bool,
    files: SortedMap<PathBuf, File>,
    /// Lists that came in bundles, by maker.
    held: SortedMap<Arc<str>, Vec<Arc<Crl>>>,
}

#[derive(Debug, Clone, Default)]
struct File {
    lists: Vec<Arc<Crl>>,
    trouble: Option<Arc<str>>,
}

/// One list. Its signature is checked when it is used, since only a chain tells the key.
#[derive(Debug, PartialEq, Eq)]
pub struct Crl {
    /// DER. Parsed anew for every use, which is cheap: its entries are looked at where they lie.
    pub der: Arc<[u8]>,
    /// When it was made.
    pub this_update: UnixTime,
    /// When the next one is to come: from then on it is too old.
    pub next_update: UnixTime,
    /// SHA-256 of the name of the CA whose it is (DER).
    pub issuer: [u8; 32],
    /// The name of the key that signed it, if it says one.
    pub key_id: Option<Box<[u8]>>,
    /// SHA-256 of whose it is and what it revokes: the same in a list that was only renewed.
    pub says: [u8; 32],
}

impl Crls {
    /// Takes what is in a file, in place of what was in it before. If it is damaged, that stays in force: what is revoked does not
    /// come back because a file is half written.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn put(&mut self, path: &Path, content: &[u8]) -> Result<(), Arc<str>> {
        match parse(content) {
            Ok(lists) => {
                self.files.insert(path.to_owned(), File { lists, trouble: None });
                Ok(())
            }
            Err(why) => Err(self.fail(path, &why)),
        }
    }

    /// A file that could not be read; `why` in words. What was in it before stays in force.
    pub fn fail(&mut self, path: &Path, why: &str) -> Arc<str> {
        let why: Arc<str> = why.into();
        self.files.or_default(path.to_owned()).trouble = Some(why.clone());
        why
    }

    /// Forgets files that nobody names any more.
    pub fn keep(&mut self, named: impl Fn(&Path) -> bool) {
        self.files.retain(|path, _| named(path));
    }

    /// Takes the lists that came in bundles, in place of all before. What cannot be read, which could when it was imported, is left
    /// out.
    pub fn hold<'m>(&mut self, makers: impl Iterator<Item = (&'m Arc<str>, &'m [Arc<[u8]>])>) {
        let mut held = SortedMap::new();
        for (maker, lists) in makers.filter(|(_, lists)| !lists.is_empty()) {
            // A list of many entries takes a while to read: the same one is not read again.
            let known = self.held.remove(maker).unwrap_or_default();
            let find = |der: &Arc<[u8]>| known.iter().find(|crl| crl.der == *der).cloned();
            let read = |der: &Arc<[u8]>| find(der).or_else(|| Crl::take(der.clone()).ok().map(Arc::new));
            held.insert(maker.clone(), lists.iter().filter_map(read).collect());
        }
        self.held = held;
    }

    /// The lists of a maker that came in bundles.
    pub fn held(&self, maker: &str) -> &[Arc<Crl>] {
        self.held.get(maker).map_or(&[], Vec::as_slice)
    }

    /// The lists of a file, as they were when it could be read last.
    pub fn lists(&self, path: &Path) -> &[Arc<Crl>] {
        self.files.get(path).map_or(&[], |file| &file.lists)
    }

    /// Why a file could not be used when it was read last.
    pub fn trouble(&self, path: &Path) -> Option<Arc<str>> {
        self.files.get(path).map_or_else(|| Some("it was not read yet".into()), |file| file.trouble.clone())
    }
}

fn parse(content: &[u8]) -> Result<Vec<Arc<Crl>>, String> {
    if content.len() > LARGEST_FILE {
        return Err(format!("it has {} octets, at most {LARGEST_FILE} are read", content.len()));
    }
    let ders = file::revocation_lists(content).map_err(|why| why.to_string())?;
    ders.iter().map(|der| Crl::new(der).map(Arc::new)).collect()
}

impl Crl {
    /// Takes a list (DER) whose entries can all be read.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence that begins with "it".
    pub fn new(der: &[u8]) -> Result<Crl, String> {
        Crl::take(der.into())
    }

    fn take(der: Arc<[u8]>) -> Result<Crl, String> {
        let damaged = |why: webpki::Error| match why {
            webpki::Error::UnsupportedDeltaCrl => "it is a delta list: give the complete one".into(),
            webpki::Error::UnsupportedCrlVersion => "it is not of version 2: have the CA make one".into(),
            why => format!("it is damaged, or of a form that is not read ({why})"),
        };
        let list = BorrowedCertRevocationList::from_der(&der).map_err(damaged)?;
        // Now, rather than when a device comes.
        for entry in &list {
            entry.map_err(damaged)?;
        }
        let head = RevocationList::parse(&der).ok_or("its head cannot be read")?;
        let next_update = head.next_update.ok_or("it does not say when the next one comes (nextUpdate)")?;
        let this_update = head.this_update;
        let says = Sha256::new().chain_update(head.issuer).chain_update(head.revoked).finalize().into();
        let (issuer, key_id) = (sha256(head.issuer), head.key_id.map(Box::from));
        Ok(Crl { der, this_update, next_update, issuer, key_id, says })
    }
}
