//! Runs nft, the program that fw4 uses as well.

use crate::firewall::{self, TABLE};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Where it is looked for: not in `PATH`, which whoever starts the daemon could set.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// How long it may take: longer than any ruleset of ours on a slow router, which has others to load.
const LIMIT: Duration = Duration::from_secs(5);
/// The threads' stacks, in octets.
const STACK: usize = 64 * 1024;
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
    let mut child = Command::new(&program)
        .args(arguments)
        .env_clear()
        .env("PATH", FOLDERS.join(":"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(broken)?;
    let exchanged = exchange(&mut child, input.to_owned());
    if exchanged.is_none() {
        // Its pipes end with it, and with them the thread.
        let _ = child.kill();
    }
    let status = child.wait().map_err(broken)?;
    let Some((output, errors)) = exchanged else {
        return Err(format!("nft did not end within {} s: see what else changes the ruleset", LIMIT.as_secs()));
    };
    let complaint = (!status.success()).then(|| {
        let said: String =
            String::from_utf8_lossy(&errors).lines().next().unwrap_or_default().chars().take(COMPLAINT).collect();
        if said.is_empty() { status.to_string() } else { said }
    });
    Ok(Ended { output: String::from_utf8_lossy(&output).into_owned(), complaint })
}

/// Feeds it and reads what it says, in a thread so that there is a limit. `None`: it takes too long.
fn exchange(child: &mut Child, input: String) -> Option<(Vec<u8>, Vec<u8>)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (done, result) = mpsc::sync_channel(1);
    let body = move || {
        // It may have ended before it had read everything; its status tells.
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(input.as_bytes());
        }
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let _ = stdout.map(|stdout| stdout.take(OUTPUT).read_to_end(&mut output));
        let _ = stderr.map(|stderr| stderr.take(OUTPUT).read_to_end(&mut errors));
        let _ = done.send((output, errors));
    };
    thread::Builder::new().name("nft".into()).stack_size(STACK).spawn(body).ok()?;
    result.recv_timeout(LIMIT).ok()
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
