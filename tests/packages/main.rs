//! The packages for OpenWrt and Entware, read by readers of their own: what is in them, and what their scripts do on a
//! router, which is here a folder with busybox.

#[path = "../support/mod.rs"]
mod support;

mod apk;
mod content;
mod entware;
mod feed;
mod inflate;
mod ipk;
mod router;
mod scripts;
mod shell;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The time that everything in the packages has.
const EPOCH: u64 = 1_767_225_600;
const AARCH64: &str = "aarch64-unknown-linux-musl";

/// A file or folder of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    mode: u32,
    /// Owner and group, by number in .ipk, by name in .apk.
    owner: (String, String),
    mtime: u64,
    /// None: a folder.
    content: Option<Vec<u8>>,
}

/// By path, without a slash in front.
type Entries = BTreeMap<String, Entry>;

/// The top of the repository.
fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository.
fn source(path: &str) -> Vec<u8> {
    fs::read(repository().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// Something in place of a binary: what compresses and what does not, and its own for each triple.
fn stand_in(triple: &str) -> Vec<u8> {
    let mut state = triple.bytes().fold(1u32, |state, octet| state.wrapping_mul(31).wrapping_add(octet.into()));
    let noise = (0..70_000).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let mut octets = format!("\x7fELF {triple}\n").into_bytes();
    octets.extend(noise);
    octets.extend(std::iter::repeat_n(*b"latchkey", 12_500).flatten());
    octets
}

/// A folder with binaries and packages made of them.
struct Packed {
    dir: tempfile::TempDir,
}

impl Packed {
    /// Packs for these architectures.
    fn new(architectures: &[&str]) -> Packed {
        let packed = Packed::binaries();
        let arguments: Vec<&str> = architectures.iter().flat_map(|name| ["--arch", name]).collect();
        let output = packed.pack(&arguments, |_| {});
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        packed
    }

    /// Binaries, and nothing packed yet.
    fn binaries() -> Packed {
        let dir = tempfile::tempdir().unwrap();
        for triple in
            [AARCH64, "armv7-unknown-linux-musleabi", "mipsel-unknown-linux-musl", "x86_64-unknown-linux-musl"]
        {
            fs::create_dir_all(dir.path().join("bin").join(triple)).unwrap();
            fs::write(dir.path().join("bin").join(triple).join("latchkey"), stand_in(triple)).unwrap();
        }
        Packed { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs openwrt/pack with these arguments.
    fn pack(&self, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Output {
        let mut command = Command::new(repository().join("openwrt/pack"));
        command.arg("--bin").arg(self.path("bin")).arg("--out").arg(self.path("out")).args(arguments);
        command.env("SOURCE_DATE_EPOCH", EPOCH.to_string());
        change(&mut command);
        command.output().unwrap()
    }

    fn file(&self, name: &str) -> Vec<u8> {
        let path = self.path("out").join(name);
        fs::read(&path).unwrap_or_else(|why| panic!("{name}: {why}"))
    }
}
