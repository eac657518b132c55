//! Files with keys and certificates: read, and written for their owner only.

use crate::cli::Context;
use crate::cli::client::Failure;
use crate::pki::{authority, file};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The largest file with certificates, in octets: 16 of 8 KiB as PEM, with words around them.
const FILE: u64 = 512 << 10;
/// The longest line with a key or password, in octets.
const LINE: u64 = 1024;

/// A file's name for messages.
fn shown(path: &OsStr) -> String {
    if path == "-" { "standard input".into() } else { Path::new(path).display().to_string() }
}

fn refuse(path: &OsStr, why: String) -> Failure {
    Failure::refused("file", "file", format!("{}: {why}", shown(path)))
}

/// Reads a file with certificates, PEM or DER, and makes PEM of it.
pub fn certificates(context: &mut Context<'_>, path: &OsStr) -> Result<String, Failure> {
    let found = file::certificates(&read(context, path)?).map_err(|why| refuse(path, why.to_string()))?;
    Ok(found.iter().map(|der| authority::certificate_pem(der)).collect())
}

/// Reads a file with public keys, PEM or DER, and makes PEM of it.
pub fn public_keys(context: &mut Context<'_>, path: &OsStr) -> Result<String, Failure> {
    let found = file::public_keys(&read(context, path)?).map_err(|why| refuse(path, why.to_string()))?;
    Ok(found.iter().map(|der| authority::public_key_pem(der)).collect())
}

/// Certificates and public keys, DER, as PEM.
pub fn pem(certificates: &[Vec<u8>], public_keys: &[Vec<u8>]) -> String {
    let certificates = certificates.iter().map(|der| authority::certificate_pem(der));
    certificates.chain(public_keys.iter().map(|der| authority::public_key_pem(der))).collect()
}

/// Reads a file; `-` is standard input.
fn read(context: &mut Context<'_>, path: &OsStr) -> Result<Vec<u8>, Failure> {
    let mut octets = Vec::new();
    let done = if path == "-" {
        (&mut *context.input).take(FILE + 1).read_to_end(&mut octets)
    } else {
        File::open(path).and_then(|file| file.take(FILE + 1).read_to_end(&mut octets))
    };
    done.map_err(|error| refuse(path, format!("cannot be read: {error}")))?;
    if octets.len() as u64 > FILE {
        return Err(refuse(path, format!("more than {} KiB: that is no file of certificates", FILE >> 10)));
    }
    Ok(octets)
}

/// Reads a file whose only line is a key or a password; `-` is standard input.
pub fn read_line(
    context: &mut Context<'_>,
    path: &OsStr,
    what: &str,
    option: &str,
) -> Result<Zeroizing<String>, Failure> {
    if path == "-" && context.prompt {
        context.note(&format!("{what}: "));
    }
    // With its full size from the beginning: nothing of it is left behind by growing.
    let mut octets = Zeroizing::new(Vec::with_capacity(LINE as usize + 1));
    let done = if path == "-" {
        std::io::BufRead::read_until(&mut (&mut *context.input).take(LINE + 1), b'\n', &mut octets)
    } else {
        File::open(path).and_then(|file| file.take(LINE + 1).read_to_end(&mut octets))
    };
    done.map_err(|error| refuse(path, format!("cannot be read: {error}")))?;
    if octets.len() as u64 > LINE {
        return Err(refuse(
            path,
            format!("more than {LINE} octets: {option} needs a file with the {what} in one line"),
        ));
    }
    let text =
        str::from_utf8(&octets).map_err(|_| refuse(path, format!("{option} needs a text file with the {what}")))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.contains('\n') {
        return Err(refuse(path, format!("{option} needs one line, the {what}")));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

/// The files for an issued certificate, and which part of the reply goes into each.
fn names(dir: &Path, name: &str) -> [(PathBuf, &'static str); 4] {
    [("p12", "p12"), ("key", "private_key"), ("crt", "certificate"), ("ca.crt", "ca")]
        .map(|(end, part)| (dir.join(format!("{name}.{end}")), part))
}

/// Makes sure that the files can be written before there is anything to lose.
pub fn check_free(dir: &OsStr, name: &str) -> Result<(), Failure> {
    let path = Path::new(dir);
    if !fs::metadata(path).is_ok_and(|found| found.is_dir()) {
        return Err(Failure::refused("file", "out", format!("{}: is no directory: make it first", path.display())));
    }
    match names(path, name).into_iter().find(|(file, _)| file.symlink_metadata().is_ok()) {
        Some((file, _)) => {
            let message = format!("{}: is there already: move it away, or name another directory", file.display());
            Err(Failure::refused("file", "out", message))
        }
        None => Ok(()),
    }
}

/// Writes the files of what the reply has, with mode 0600, and says which.
///
/// # Errors
/// What could not be written and why; nothing is left then.
pub fn write(dir: &OsStr, name: &str, issued: &Value) -> Result<Vec<(PathBuf, &'static str)>, String> {
    let files = names(Path::new(dir), name);
    let mut done: Vec<(PathBuf, &'static str)> = Vec::new();
    for (path, part) in files {
        let Some(text) = issued.get(part).and_then(Value::as_str) else { continue };
        let octets = if part == "p12" { unhex(text) } else { Zeroizing::new(text.as_bytes().to_vec()) };
        let failed = format!("{}: cannot be written", path.display());
        // Only what was made here is removed when something fails.
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).and_then(|mut file| {
            done.push((path, part));
            file.write_all(&octets)?;
            file.sync_all()
        });
        if let Err(error) = written {
            done.iter().for_each(|(path, _)| drop(fs::remove_file(path)));
            return Err(format!("{failed}: {error}"));
        }
    }
    Ok(done)
}

fn unhex(text: &str) -> Zeroizing<Vec<u8>> {
    let digit = |octet: &u8| char::from(*octet).to_digit(16).unwrap_or(0) as u8;
    let pairs = text.as_bytes().chunks_exact(2);
    Zeroizing::new(pairs.map(|pair| pair.iter().fold(0, |octet, character| octet << 4 | digit(character))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_are_for_their_owner_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let issued = json!({ "p12": "00ff10", "private_key": "KEY\n", "certificate": "CRT\n", "ca": "CA\n" });
        check_free(dir.path().as_os_str(), "cam").unwrap();
        let files = write(dir.path().as_os_str(), "cam", &issued).unwrap();
        assert_eq!(files.len(), 4);
        for (name, expected) in
            [("cam.p12", &b"\x00\xff\x10"[..]), ("cam.key", b"KEY\n"), ("cam.crt", b"CRT\n"), ("cam.ca.crt", b"CA\n")]
        {
            let path = dir.path().join(name);
            assert_eq!(fs::read(&path).unwrap(), expected, "{name}");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        }
        let Err(Failure::Refused(error)) = check_free(dir.path().as_os_str(), "cam") else { panic!("overwritten") };
        assert!(error["message"].as_str().unwrap().contains("is there already"), "{error}");
        // The second file is in the way: the first is not left alone.
        fs::remove_file(dir.path().join("cam.p12")).unwrap();
        let error = write(dir.path().as_os_str(), "cam", &issued).unwrap_err();
        assert!(error.contains("cam.key: cannot be written"), "{error}");
        assert!(!dir.path().join("cam.p12").exists() && dir.path().join("cam.key").exists());
        assert!(check_free(dir.path().join("none").as_os_str(), "cam").is_err());
    }
}
