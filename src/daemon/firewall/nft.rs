//! Runs nft, the program that fw4 uses as well.

use crate::firewall::{self, TABLE};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Where it is looked for: not in `PATH`, which whoever starts the daemon could set.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// How long it may take: longer than any ruleset of ours on a slow router, which has others to load.
const LIMIT: Duration = Duration::from_secs(5);
/// How often it is looked at whether it has ended.
const STEP: Duration = Duration::from_millis(2);
/// Octets of its output that are kept: a table of 64 profiles with 64 entries each is 400 kB.
const OUTPUT: u64 = 1 << 20;
/// Characters of its complaint that are shown.
const COMPLAINT: usize = 300;

/// Loads a ruleset, all or nothing.
///
/// # Errors
/// Why not, with the mend.
pub fn load(ruleset: &str) -> Result<(), String> {
    match run(&["-f", "-"], ruleset) {
        Ok(Ended { complaint: None, .. }) => Ok(()),
        Ok(Ended { complaint: Some(why), .. }) => Err(explain(&why)),
        Err(why) => Err(why),
    }
}

/// The table as the kernel has it, with its counters; `None` when it is not there.
///
/// # Errors
/// Why that is not known, with the mend.
pub fn list() -> Result<Option<String>, String> {
    match run(&["list", "table", "inet", TABLE], "")? {
        Ended { complaint: None, output } => Ok(Some(output)),
        Ended { complaint: Some(why), .. } if why.contains("No such file or directory") => Ok(None),
        Ended { complaint: Some(why), .. } => Err(explain(&why)),
    }
}

/// Removes the table. True when it was there.
///
/// # Errors
/// Why not, with the mend.
pub fn remove() -> Result<bool, String> {
    if list()?.is_none() {
        return Ok(false);
    }
    load(&firewall::remove()).map(|()| true)
}

struct Ended {
    output: String,
    /// What it said when it failed.
    complaint: Option<String>,
}

fn run(arguments: &[&str], input: &str) -> Result<Ended, String> {
    let program = FOLDERS.iter().map(|folder| Path::new(folder).join("nft")).find(|path| path.is_file());
    let Some(program) = program else {
        return Err(format!(
            "there is no program nft in {}: install nftables (firewall4 has it on OpenWrt), or write option firewall \
             'off' if something else limits what devices reach",
            FOLDERS.join(", ")
        ));
    };
    let broken = |why: io::Error| format!("{} cannot be run: {why}", program.display());
    ended(&program, arguments, input)
        .map_err(broken)?
        .ok_or_else(|| format!("nft did not end within {} s: see what else changes the ruleset", LIMIT.as_secs()))
}

/// Runs it to its end, if that is within the limit. It reads from memory and writes to memory, so that neither side waits
/// for the other.
fn ended(program: &Path, arguments: &[&str], input: &str) -> io::Result<Option<Ended>> {
    let memory = || memfd_create(c"nft", MFdFlags::MFD_CLOEXEC).map(File::from);
    let (mut stdin, mut stdout, mut stderr) = (memory()?, memory()?, memory()?);
    stdin.write_all(input.as_bytes())?;
    stdin.rewind()?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .stdin(stdin)
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?)
        .spawn()?;
    let started = Instant::now();
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if started.elapsed() > LIMIT => {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            None => thread::sleep(STEP),
        }
    };
    let complaint = if status.success() {
        None
    } else {
        let said: String = read(&mut stderr)?.lines().next().unwrap_or_default().chars().take(COMPLAINT).collect();
        Some(if said.is_empty() { status.to_string() } else { said })
    };
    Ok(Some(Ended { output: read(&mut stdout)?, complaint }))
}

fn read(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let mut octets = Vec::new();
    file.take(OUTPUT).read_to_end(&mut octets)?;
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// nft's words, with what to do about them.
fn explain(why: &str) -> String {
    let mend = if why.contains("Operation not permitted") || why.contains("must be root") {
        "run latchkey as root, or with CAP_NET_ADMIN"
    } else if why.contains("No such file") || why.contains("not supported") {
        "the kernel lacks a part of nftables: it needs nft_ct, nft_reject_inet and nft_fib_inet (kmod-nft-core and \
         kmod-nft-fib on OpenWrt)"
    } else {
        "see what latchkey firewall show --rules asks for"
    };
    format!("nft refused the ruleset: {why}: {mend}")
}
