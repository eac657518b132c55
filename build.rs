//! What the linker leaves out of the release binary: flash is what a router has least of.
//!
//! Not in `.cargo/config.toml`: flags there also go into test builds, which unwind, and a `RUSTFLAGS` of one's own
//! would silently replace them.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Drops the unwinding tables: 0.24 MB of 2.36 MB on x86-64.
///
/// A panic aborts, so nothing is ever unwound; `-C force-unwind-tables=no` would neither reach the precompiled standard
/// library nor C. What is lost is the list of calls under `RUST_BACKTRACE=1`, which a stripped binary could not name
/// anyway; a panic's message with file and line stays. The C runtime's own tables stay, because its start files
/// may refer to them.
const NO_UNWIND_TABLES: &str = "\
SECTIONS {
    /DISCARD/ : {
        *(EXCLUDE_FILE(*crtbegin*.o *crtend*.o *crt1.o *crti.o *crtn.o) .eh_frame)
        *(.gcc_except_table .gcc_except_table.*)
    }
}
INSERT AFTER .text;
";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    if !is("PROFILE", "release") || !is("CARGO_CFG_TARGET_OS", "linux") {
        return;
    }
    // 32-bit ARM has tables of another kind, small ones, which its C library asks for.
    if !is("CARGO_CFG_TARGET_ARCH", "arm") {
        let script = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("no-unwind-tables.ld");
        match fs::write(&script, NO_UNWIND_TABLES) {
            Ok(()) => link_with(&["-T", &script.display().to_string()]),
            Err(why) => println!("cargo::warning=unwinding tables stay in: {}: {why}", script.display()),
        }
    }
    // Relocations as a bitmap: 3 kB where there were 81. A loader that does not know them refuses the program, so they
    // are for a build for this very system.
    if env::var_os("HOST") == env::var_os("TARGET") && is("CARGO_CFG_TARGET_ENV", "gnu") && loader_knows_relr() {
        link_with(&["-z", "pack-relative-relocs"]);
    }
}

/// Both a compiler that links and a bare linker take these without `-Wl`.
fn link_with(arguments: &[&str]) {
    for argument in arguments {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}

/// Whether the C library is glibc 2.36 or newer.
fn loader_knows_relr() -> bool {
    let Ok(said) = Command::new("getconf").arg("GNU_LIBC_VERSION").output() else { return false };
    let said = String::from_utf8_lossy(&said.stdout);
    let mut numbers = said.trim().trim_start_matches("glibc ").split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(2), Some(36))
}
