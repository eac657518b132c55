//! Carrying a plan out so that it can be undone: by the administrator, by the watchdog when nobody confirms it, and at
//! the next start when the power went.

use super::super::client::{Client, Failure};
use super::state::{self, Lock, Now, Pending};
use super::{plan, tree};
use crate::config::{Config, ReplaceError, replace};
use crate::openwrt::draft::{not_put_back, ours_as_in, undo as undo_edit};
use crate::openwrt::record::Record;
use crate::openwrt::{Action, FileChange};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// latchkey's start script.
const SERVICE: &str = "etc/init.d/latchkey";
/// That the daemon is not there, with the mend.
pub const SILENT: &str = "latchkey does not answer, so nobody can join its SSIDs: logread -e latchkey says why, and latchkey check \
                          what is wrong with its configuration";
/// How long a script of the system may take.
const SCRIPT: Duration = Duration::from_secs(60);
/// How long an answer waits for the scripts: LuCI gives up after 20 s, rpcd kills who has not answered after 30.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long who has the lock is waited for: it is held for moments.
const LOCKED: Duration = Duration::from_secs(10);
/// The watchdog waits so much longer than it says, should a confirmation be on its way.
const GRACE: u64 = 2;
/// How long the daemon may take to answer after it was started.
const STARTING: Duration = Duration::from_secs(10);
/// The watchdog tries again after so long, and after twice that each time, up to [`MAX_RETRY`].
const RETRY: Duration = Duration::from_secs(3);
const MAX_RETRY: Duration = Duration::from_secs(60);

/// How a change becomes one that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Unless it is confirmed, it is undone after so many seconds.
    Until(u64),
    /// At once: nobody is there who could confirm it.
    Final,
}

/// Who wants it undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// Somebody who knows that something waits.
    Asked,
    /// Something that does not: only what is of an earlier boot, or has waited too long.
    IfPending,
    /// The same before the network is started: nothing has to be told, and nobody would listen.
    AtBoot,
}

/// Makes a plan and carries it out.
pub fn apply(root: &Path, action: &Action, fingerprint: Option<&str>, hold: Hold) -> Result<Value, Failure> {
    as_root(root)?;
    let lock = Lock::take(root)?;
    if let Some(waits) = state::pending(root)? {
        let mut message = "an earlier change waits to be confirmed".to_owned();
        match state::left(root, &waits) {
            0 => {}
            left => message.push_str(&format!(" (undone in {left} s)")),
        }
        message.push_str(": latchkey openwrt confirm, or undo");
        return Err(Failure::refused("pending", "", message));
    }
    let record_before = state::record(root)?;
    let plan = plan(root, action)?;
    if fingerprint.is_some_and(|shown| shown != plan.fingerprint) {
        let message = "the configuration was changed since the plan was shown: look at the plan again";
        return Err(Failure::refused("changed", "fingerprint", message));
    }
    let mut result = plan.to_json();
    result["applied"] = json!(!plan.is_empty());
    if plan.is_empty() {
        if plan.record != record_before {
            state::keep_record(root, &plan.record)?;
        }
        return Ok(result);
    }
    let now = Now::of(root);
    let mut id = [0; 8];
    getrandom::fill(&mut id).map_err(|why| Failure::refused("system", "", why.to_string()))?;
    let undo_after = match hold {
        Hold::Until(seconds) => seconds,
        Hold::Final => 0,
    };
    let pending = Pending {
        id: id.iter().map(|octet| format!("{octet:02x}")).collect(),
        boot: now.boot,
        until: now.seconds + undo_after,
        what: plan.summary.clone(),
        files: plan.files.iter().map(|change| (change.file.to_owned(), state::hash(&change.after))).collect(),
        records: (record_before, plan.record.clone()),
        was_enabled: runs_at_boot(root),
    };
    let before: Vec<(&str, &[u8])> = plan.files.iter().map(|change| (change.file, change.before.as_slice())).collect();
    state::begin(root, &pending, &before)?;
    let mut notes = Vec::new();
    // First of all: without the link nobody undoes it at the next start.
    let wanted = matches!(action, Action::Have(_)) && !pending.was_enabled && pending.changes_latchkey();
    if wanted && root.join(SERVICE).exists() {
        notes.extend(script(&root.join(SERVICE), &["enable"]).err());
    }
    let watched = if hold == Hold::Final { Ok(()) } else { start_watch(root, &pending) };
    let done = watched.and_then(|()| write_all(root, &plan.files, &plan.record)).and_then(|()| state::complete(root));
    if let Err(why) = done {
        // Nothing is in force yet: what was written goes back, and it is as if nothing had been.
        let restored = restore(root, &pending, "failed");
        notes.extend(disabled(root, &pending));
        return Err(match restored.failed {
            false => why,
            true => Failure::refused("not_written", "", format!("{}: {}", told(&why), restored.notes.join("; "))),
        });
    }
    if hold == Hold::Final {
        state::end(root, &pending, "confirmed")?;
    }
    // The scripts may take minutes; who confirms or undoes meanwhile is not to wait for them.
    drop(lock);
    notes.extend(in_force(root, &pending, true));
    if !notes.is_empty() {
        let warnings = plan.warnings.iter().cloned().chain(notes.drain(..));
        result["warnings"] = json!(warnings.collect::<Vec<_>>());
    }
    result["id"] = json!(pending.id);
    if hold != Hold::Final {
        result["undo_in_s"] = json!(state::left(root, &pending));
    }
    Ok(result)
}

/// Keeps what waits.
pub fn confirm(root: &Path) -> Result<Value, Failure> {
    as_root(root)?;
    let _lock = wait_for_lock(root)?;
    let Some(pending) = state::pending(root)? else {
        let last = state::last(root);
        let why = match last["ended"].as_str() {
            // The answer to the first time may have been lost: that is what a restart of Wi-Fi does.
            Some("kept") => return Ok(json!({ "confirmed": true, "what": last["what"], "id": last["id"] })),
            Some(_) if last["why"] == "asked" => "it was undone already",
            _ => "it was confirmed already, or undone because nobody did in time",
        };
        return Err(Failure::refused("not_pending", "", format!("nothing waits to be confirmed: {why}")));
    };
    if !state::is_complete(root)? {
        let message = "the change was interrupted before all files were written, so it cannot be kept: latchkey openwrt undo, \
                       and apply it again";
        return Err(Failure::refused("incomplete", "", message));
    }
    state::end(root, &pending, "confirmed")?;
    Ok(json!({ "confirmed": true, "what": pending.what, "id": pending.id }))
}

/// Takes back what waits.
pub fn undo(root: &Path, by: Undo) -> Result<Value, Failure> {
    let overdue = |pending: &Pending| {
        let now = Now::of(root);
        now.boot != pending.boot || now.seconds > pending.until + 5
    };
    let nothing = || json!({ "undone": false, "what": [], "notes": [] });
    if by != Undo::Asked && !state::pending(root)?.is_some_and(|pending| overdue(&pending)) {
        return Ok(nothing());
    }
    as_root(root)?;
    let lock = wait_for_lock(root)?;
    let pending = match state::pending(root)? {
        Some(pending) if by == Undo::Asked || overdue(&pending) => pending,
        _ if by != Undo::Asked => return Ok(nothing()),
        _ => {
            return Err(Failure::refused(
                "not_pending",
                "",
                "nothing waits to be confirmed, so nothing can be undone: latchkey openwrt remove takes out what is ours",
            ));
        }
    };
    let why = match by {
        Undo::Asked => "asked",
        _ if Now::of(root).boot != pending.boot => "boot",
        _ => "timeout",
    };
    let mut restored = restore(root, &pending, why);
    drop(lock);
    restored.notes.extend(match by {
        Undo::AtBoot => Vec::from_iter(disabled(root, &pending)),
        _ => in_force(root, &pending, false),
    });
    if restored.failed {
        let message = format!("not everything could be put back: {}", restored.notes.join("; "));
        return Err(Failure::refused("not_written", "", message));
    }
    Ok(json!({ "undone": true, "what": pending.what, "notes": restored.notes }))
}

/// The watchdog: undoes the change with this number in time, unless it is confirmed before. It ends when the change does,
/// not before: whatever stands in its way may be gone a little later.
pub fn watch(root: &Path, id: &str) -> Result<(), Failure> {
    // Out of the terminal's session, so that it goes on when the connection to the box breaks: that is what it is for.
    let _ = nix::unistd::setsid();
    let Some(pending) = state::pending(root)?.filter(|pending| pending.id == id) else {
        return Err(Failure::refused("not_pending", "", "there is no such change"));
    };
    let mut next = Instant::now() + Duration::from_secs(state::left(root, &pending) + GRACE);
    let mut out = std::io::stdout();
    out.write_all(b"ready\n")?;
    out.flush()?;
    let mut pause = RETRY;
    let mut said = Vec::new();
    let waits = || match state::pending(root) {
        Ok(present) => present.is_some_and(|present| present.id == id || present.id.is_empty()),
        // Not known: of those who read a file it may be the moment's many that keep it from being opened.
        Err(_) => true,
    };
    while waits() {
        std::thread::sleep(Duration::from_millis(250));
        if Instant::now() < next {
            continue;
        }
        // Whoever has the lock has it for moments.
        let Ok(lock) = Lock::take(root) else { continue };
        if !waits() {
            break;
        }
        let mut restored = restore(root, &pending, "timeout");
        drop(lock);
        if restored.changed || !restored.failed {
            restored.notes.extend(enforce(root, &how(&pending, false)));
        }
        if restored.notes != said {
            restored.notes.iter().for_each(|note| log(root, note));
            said = restored.notes;
        }
        if !restored.failed {
            log(root, "a change of the network was undone: nobody confirmed it in time");
        }
        next = Instant::now() + pause;
        pause = (pause * 2).min(MAX_RETRY);
    }
    Ok(())
}

/// Nobody reads what the watchdog prints.
fn log(root: &Path, text: &str) {
    let _ = script(&root.join("usr/bin/logger"), &["-t", "latchkey", "-p", "daemon.warn", text]);
}

fn told(why: &Failure) -> String {
    match why {
        Failure::Refused(error) => error["message"].as_str().unwrap_or_default().to_owned(),
        Failure::Unreachable(text) => text.clone(),
        Failure::Output(error) => error.to_string(),
        Failure::Told => String::new(),
    }
}

fn start_watch(root: &Path, pending: &Pending) -> Result<(), Failure> {
    let failed = |why: String| {
        Failure::refused(
            "system",
            "",
            format!("the program that undoes the change unless it is confirmed: {why}; nothing was changed"),
        )
    };
    let mut child = start(root, &["watch", &pending.id]).map_err(|why| failed(why.to_string()))?;
    let mut said = [0; 6];
    let ready = child.stdout.take().map(|mut out| out.read_exact(&mut said));
    match ready {
        Some(Ok(())) => Ok(()),
        _ => {
            let _ = child.kill();
            let _ = child.wait();
            Err(failed("it did not start".into()))
        }
    }
}

/// This program, to go on by itself. What it prints can be read.
fn start(root: &Path, words: &[&str]) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["openwrt", "--root"]).arg(root).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir("/").spawn()
}

fn write_all(root: &Path, files: &[FileChange], record: &Record) -> Result<(), Failure> {
    state::keep_record(root, record)?;
    for change in files {
        let path = config_path(root, change.file);
        replace(&path, &change.before, &change.after, None).map_err(not_written)?;
    }
    Ok(())
}

/// What became of putting the files back.
#[derive(Debug, Default)]
struct Restored {
    notes: Vec<String>,
    /// A file is other than it was found.
    changed: bool,
    /// Something is not as it was before: the change still waits.
    failed: bool,
}

/// Puts the files back to the letter; where somebody else has changed one since, takes back only what is ours in it. One
/// that cannot be put back does not keep the others from it.
fn restore(root: &Path, pending: &Pending, why: &str) -> Restored {
    let mut restored = Restored::default();
    for (name, given) in &pending.files {
        match restore_file(root, pending, name, given, &mut restored.notes) {
            Ok(changed) => restored.changed |= changed,
            Err(error) => {
                restored.failed = true;
                restored.notes.push(told(&error));
            }
        }
    }
    if !restored.failed {
        let ended = state::keep_record(root, &pending.records.0).and_then(|()| state::end(root, pending, why));
        if let Err(error) = ended {
            restored.failed = true;
            restored.notes.push(told(&error));
        }
    }
    restored
}

/// True when the file had to be changed.
fn restore_file(
    root: &Path,
    pending: &Pending,
    name: &str,
    given: &str,
    notes: &mut Vec<String>,
) -> Result<bool, Failure> {
    let before = state::before(root, name)?;
    let Some(present) = tree::config(root, name)? else {
        notes.push(format!("/etc/config/{name} is gone, and stays so"));
        return Ok(false);
    };
    if *present == *before {
        return Ok(false);
    }
    let text = if state::hash(&present) == *given {
        before
    } else if given.is_empty() {
        notes.push(format!("/etc/config/{name} is as it was before the change: what else was changed since is gone"));
        before
    } else {
        notes.push(format!("somebody else changed /etc/config/{name} since: that stays, only ours is taken back"));
        ours_back(&present, &before, name, pending, notes)
            .map_err(|why| Failure::refused("config", "", format!("/etc/config/{name}: {why}")))?
    };
    if *text == *present {
        return Ok(false);
    }
    replace(&config_path(root, name), &present, &text, None).map_err(not_written)?;
    Ok(true)
}

fn ours_back(
    present: &[u8],
    before: &[u8],
    name: &str,
    pending: &Pending,
    notes: &mut Vec<String>,
) -> Result<Zeroizing<Vec<u8>>, crate::wire::uci::edit::EditError> {
    let (was, is) = &pending.records;
    let unknown = was.sections.is_empty() && is.sections.is_empty();
    let mut text =
        ours_as_in(present, before, &|section| unknown || was.made(name, section) || is.made(name, section))?;
    for edit in is.edits.iter().rev().filter(|edit| edit.file == name && !was.edits.contains(edit)) {
        match undo_edit(&text, edit)? {
            Some(new) => text = new,
            None => notes.extend(not_put_back(&text, edit)),
        }
    }
    Ok(text)
}

/// What [`enforce`] is told.
fn how(pending: &Pending, forward: bool) -> String {
    let mut how = if forward { "forward" } else { "back" }.to_owned();
    if pending.changes_latchkey() {
        how.push_str(if pending.was_enabled { ",latchkey,was-on" } else { ",latchkey" });
    }
    how
}

/// Has the system take the files, by a process that goes on when this one is killed: whoever asked may have lost patience.
/// Returns what did not work so far.
fn in_force(root: &Path, pending: &Pending, forward: bool) -> Vec<String> {
    let how = how(pending, forward);
    let Ok(mut child) = start(root, &["enforce", &how]) else { return enforce(root, &how) };
    if !matches!(ended(&mut child, PATIENCE), Ok(Some(_))) {
        let late = "the system needs longer than usual to take the change over: it goes on, and what does not work is in the log \
                    (logread -e latchkey)";
        return vec![late.to_owned()];
    }
    let mut notes = String::new();
    let _ = child.stdout.take().map(|mut out| out.read_to_string(&mut notes));
    notes.lines().map(str::to_owned).collect()
}

/// The process: prints what does not work, or logs it when nobody waits for it any more.
pub fn enforced(root: &Path, how: &str) -> Result<(), Failure> {
    let _ = nix::unistd::setsid();
    let notes = enforce(root, how);
    let mut out = std::io::stdout();
    if out.write_all(notes.join("\n").as_bytes()).and_then(|()| out.flush()).is_err() {
        notes.iter().for_each(|note| log(root, note));
    }
    Ok(())
}

/// Has the system take the files: latchkey first, so that keys are there before hostapd asks for them. Returns what did
/// not work.
fn enforce(root: &Path, how: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let service = root.join(SERVICE);
    let (forward, latchkey) = (how.contains("forward"), how.contains("latchkey"));
    if latchkey && service.exists() {
        let steps: &[&str] = if forward || how.contains("was-on") { &["restart"] } else { &["stop", "disable"] };
        steps.iter().for_each(|step| notes.extend(script(&service, &[step]).err()));
        if forward && enabled(root) && !answers(root, STARTING) {
            notes.push(format!("do not confirm the change: {SILENT}"));
        }
    } else if latchkey && forward && root == Path::new("/") {
        // Without the script that does it: key files are there before hostapd is told of them.
        let _ = crate::daemon::prepare(&config_path(root, "latchkey"));
    }
    let reload = root.join("sbin/reload_config");
    if reload.exists() {
        notes.extend(script(&reload, &[]).err());
    } else {
        notes.push(format!("there is no {}: reboot for the change to be in force", reload.display()));
    }
    notes
}

/// Takes back that latchkey starts at boot.
fn disabled(root: &Path, pending: &Pending) -> Option<String> {
    let service = root.join(SERVICE);
    let ours = !pending.was_enabled && pending.changes_latchkey() && service.exists();
    if ours { script(&service, &["disable"]).err() } else { None }
}

/// Whether latchkey's configuration says that it runs.
fn enabled(root: &Path) -> bool {
    let Ok(Some(text)) = tree::config(root, "latchkey") else { return false };
    let document = crate::wire::uci::parse(&text);
    let main = document.sections.iter().find(|section| &*section.kind == "latchkey");
    let value = main.and_then(|main| main.entries.iter().rfind(|entry| &*entry.name == "enabled"));
    value.is_none_or(|value| matches!(value.value.octets(), b"1" | b"yes" | b"on" | b"true" | b"enabled"))
}

/// Whether the daemon answers within this time; in a tree that is not the box's own, whether the start script says so.
pub fn answers(root: &Path, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    let config = tree::config(root, "latchkey").ok().flatten();
    let socket = config.and_then(|text| Config::parse(&text).ok()).map(|config| config.main.control_socket);
    loop {
        let there = if root == Path::new("/") {
            let mut client = socket.as_deref().and_then(|socket| Client::connect(socket).ok());
            client.as_mut().is_some_and(|client| client.call("status", json!({}), Duration::from_secs(5)).is_ok())
        } else {
            script(&root.join(SERVICE), &["running"]).is_ok()
        };
        if there || Instant::now() >= deadline {
            return there;
        }
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// Runs a script of the system, for a limited time.
fn script(path: &Path, arguments: &[&str]) -> Result<(), String> {
    let said = |what: String| format!("{} {}: {what}", path.display(), arguments.join(" "));
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
    let mut child = command.spawn().map_err(|why| said(why.to_string()))?;
    match ended(&mut child, SCRIPT) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(said(status.to_string())),
        Ok(None) => {
            let _ = child.kill();
            // One that waits for flash does not even end then, and nobody is to wait for it.
            let _ = ended(&mut child, Duration::from_secs(2));
            Err(said(format!("it did not end in {} s", SCRIPT.as_secs())))
        }
        Err(why) => Err(said(why.to_string())),
    }
}

/// Waits for a process; `None` when it has not ended in time.
fn ended(child: &mut Child, within: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + within;
    loop {
        match child.try_wait()? {
            None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(50)),
            ended => return Ok(ended),
        }
    }
}

/// procd starts latchkey: there is a link for it.
fn runs_at_boot(root: &Path) -> bool {
    let links = std::fs::read_dir(root.join("etc/rc.d")).into_iter().flatten().flatten();
    links.map(|link| link.file_name()).any(|name| {
        let name = name.to_string_lossy();
        name.starts_with('S') && name.trim_start_matches(|c: char| c == 'S' || c.is_ascii_digit()) == "latchkey"
    })
}

fn wait_for_lock(root: &Path) -> Result<Lock, Failure> {
    let deadline = Instant::now() + LOCKED;
    loop {
        match Lock::take(root) {
            Err(Failure::Refused(why)) if why["code"] == "busy" && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(200));
            }
            taken => return taken,
        }
    }
}

fn as_root(root: &Path) -> Result<(), Failure> {
    if root == Path::new("/") && !nix::unistd::geteuid().is_root() {
        return Err(Failure::refused("permission", "", "the configuration of the box is root's: run this as root"));
    }
    Ok(())
}

fn config_path(root: &Path, name: &str) -> PathBuf {
    root.join("etc/config").join(name)
}

fn not_written(why: ReplaceError) -> Failure {
    Failure::refused("not_written", "", why.to_string())
}
