//! The key that pseudonyms of addresses are made with (`config realm`, option `mac 'pseudonym'`): made once, since another key
//! would make every device another one to those who are told pseudonyms.

use crate::config::{Config, MacShare};
use crate::secret::PseudonymKey;
use crate::service::Core;
use std::fs::{File, OpenOptions, rename};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// The file in `state_dir`.
const NAME: &str = "pseudonym.key";
const OCTETS: usize = 32;

/// Gives the core its key, if the configuration wants pseudonyms and it has none yet: the one in the file, or a new one. One that
/// cannot be kept is good until the next start.
pub fn follow(core: &mut Core, config: &Config) {
    if core.proxy.pseudonyms.is_some() || config.realms.iter().all(|realm| realm.mac == MacShare::Real) {
        return;
    }
    let path = config.main.state_dir.join(NAME);
    let mut new = || {
        let mut octets = Zeroizing::new([0; OCTETS]);
        core.fill_random(&mut *octets);
        octets
    };
    let key = match read(&path) {
        Ok(Some(key)) => key,
        Ok(None) => {
            let key = new();
            if let Err(why) = write(&path, &key) {
                crate::log::error!("{}: {why}: pseudonyms will be others after the next start", path.display());
            }
            key
        }
        Err(why) => {
            // Never overwritten: it may be the right one, on a disk that has trouble.
            crate::log::error!("{}: {why}: pseudonyms are others until it is mended or removed", path.display());
            new()
        }
    };
    core.proxy.pseudonyms = Some(PseudonymKey::new(*key));
}

/// The key in the file; nothing if there is no file.
fn read(path: &Path) -> io::Result<Option<Zeroizing<[u8; OCTETS]>>> {
    let mut file = match File::open(path) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut key = Zeroizing::new([0; OCTETS]);
    file.read_exact(&mut *key).map_err(|_| io::Error::other("it is shorter than the 32 octets of a key"))?;
    match file.read(&mut [0])? {
        0 => Ok(Some(key)),
        _ => Err(io::Error::other("it is longer than the 32 octets of a key")),
    }
}

/// Whole or not at all, for its owner only.
fn write(path: &Path, key: &[u8; OCTETS]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(key)?;
    file.sync_all()?;
    rename(&new, path)?;
    // The name lasts, too.
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_kept_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        assert!(read(&path).unwrap().is_none());
        write(&path, &[7; OCTETS]).unwrap();
        assert_eq!(read(&path).unwrap().map(|key| *key), Some([7; OCTETS]));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for wrong in [31, 33, 0] {
            std::fs::write(&path, vec![1; wrong]).unwrap();
            assert!(read(&path).is_err(), "{wrong}");
        }
    }
}
