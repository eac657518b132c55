//! Carrying a plan out so that it can be undone: by the administrator, by the watchdog when nobody confirms it, and at
//! the next start when the power went.

use super::super::client::Failure;
use super::state::{self, Lock, Now, Pending};
use super::{plan, tree};
use crate::config::{ReplaceError, replace};
use crate::openwrt::draft::{ours_as_in, undo as undo_edit};
use crate::openwrt::record::Record;
use crate::openwrt::{Action, FileChange};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long a script of the system may take.
const SCRIPT: Duration = Duration::from_secs(60);
/// The watchdog waits so much longer than it says, should a confirmation be on its way.
const GRACE: u64 = 2;

/// Makes a plan and carries it out.
pub fn apply(root: &Path, action: &Action, fingerprint: Option<&str>, undo_after: u64) -> Result<Value, Failure> {
    as_root(root)?;
    let _lock = Lock::take(root)?;
    if let Some(waits) = state::pending(root)? {
        let message = format!(
            "an earlier change waits to be confirmed (undone in {} s): latchkey openwrt confirm, or undo",
            state::left(root, &waits)
        );
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
    let done = start_watch(root, &pending).and_then(|()| write_all(root, &plan.files, &plan.record));
    if let Err(why) = done {
        // Nothing is in force yet: what was written goes back, and it is as if nothing had been.
        restore(root, &pending)?;
        return Err(why);
    }
    let steps: &[&str] = match action {
        _ if plan.files.iter().all(|change| change.file != "latchkey") => &[],
        Action::Have(_) if !pending.was_enabled => &["enable", "restart"],
        _ => &["restart"],
    };
    let mut notes = in_force(root, steps);
    if !notes.is_empty() {
        let warnings = plan.warnings.iter().cloned().chain(notes.drain(..));
        result["warnings"] = json!(warnings.collect::<Vec<_>>());
    }
    result["undo_in_s"] = json!(state::left(root, &pending));
    Ok(result)
}

/// Keeps what waits.
pub fn confirm(root: &Path) -> Result<Value, Failure> {
    as_root(root)?;
    let _lock = wait_for_lock(root)?;
    let Some(pending) = state::pending(root)? else {
        let message = "nothing waits to be confirmed: it was confirmed already, or undone because nobody did in time";
        return Err(Failure::refused("not_pending", "", message));
    };
    state::end(root)?;
    Ok(json!({ "confirmed": true, "what": pending.what }))
}

/// Takes back what waits. At boot (`if_pending`) only what waited before, or has waited too long.
pub fn undo(root: &Path, if_pending: bool) -> Result<Value, Failure> {
    let overdue = |pending: &Pending| {
        let now = Now::of(root);
        now.boot != pending.boot || now.seconds > pending.until + 5
    };
    let nothing = || json!({ "undone": false, "what": [], "notes": [] });
    if if_pending && !state::pending(root)?.is_some_and(|pending| overdue(&pending)) {
        return Ok(nothing());
    }
    as_root(root)?;
    let _lock = wait_for_lock(root)?;
    match state::pending(root)? {
        // Before the network is started, nothing has to be told; and nobody is there yet who would listen.
        Some(pending) if if_pending && Now::of(root).boot != pending.boot => {
            let notes = restore(root, &pending)?;
            Ok(json!({ "undone": true, "what": pending.what, "notes": notes }))
        }
        Some(pending) if !if_pending || overdue(&pending) => take_back(root, &pending),
        _ if if_pending => Ok(nothing()),
        _ => Err(Failure::refused(
            "not_pending",
            "",
            "nothing waits to be confirmed, so nothing can be undone: latchkey openwrt remove takes out what is ours",
        )),
    }
}

/// The watchdog: undoes the change with this number in time, unless it is confirmed before.
pub fn watch(root: &Path, id: &str) -> Result<(), Failure> {
    // Out of the terminal's session, so that it goes on when the connection to the box breaks: that is what it is for.
    let _ = nix::unistd::setsid();
    let of_id = |pending: &Pending| pending.id == id;
    let Some(pending) = state::pending(root)?.filter(of_id) else {
        return Err(Failure::refused("not_pending", "", "there is no such change"));
    };
    let deadline = Instant::now() + Duration::from_secs(state::left(root, &pending) + GRACE);
    let mut out = std::io::stdout();
    out.write_all(b"ready\n")?;
    out.flush()?;
    loop {
        match state::pending(root)? {
            Some(pending) if of_id(&pending) => {}
            _ => return Ok(()),
        }
        if Instant::now() >= deadline {
            break;
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    let _lock = wait_for_lock(root)?;
    match state::pending(root)?.filter(of_id) {
        Some(pending) => take_back(root, &pending).map(|_| ()),
        None => Ok(()),
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
    let program = std::env::current_exe().map_err(|why| failed(why.to_string()))?;
    let mut command = Command::new(program);
    command.args(["openwrt", "--root"]).arg(root).args(["watch", &pending.id]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir("/");
    let mut child = command.spawn().map_err(|why| failed(why.to_string()))?;
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

fn write_all(root: &Path, files: &[FileChange], record: &Record) -> Result<(), Failure> {
    state::keep_record(root, record)?;
    for change in files {
        let path = config_path(root, change.file);
        replace(&path, &change.before, &change.after, None).map_err(not_written)?;
    }
    Ok(())
}

/// Puts the files back and has the system take them.
fn take_back(root: &Path, pending: &Pending) -> Result<Value, Failure> {
    let mut notes = restore(root, pending)?;
    let steps: &[&str] = match pending.was_enabled {
        _ if pending.files.iter().all(|(name, _)| name != "latchkey") => &[],
        true => &["restart"],
        false => &["stop", "disable"],
    };
    notes.extend(in_force(root, steps));
    Ok(json!({ "undone": true, "what": pending.what, "notes": notes }))
}

/// Puts the files back to the letter; where somebody else has changed one since, takes back only what is ours in it.
fn restore(root: &Path, pending: &Pending) -> Result<Vec<String>, Failure> {
    let mut notes = Vec::new();
    for (name, given) in &pending.files {
        let before = state::before(root, name)?;
        let Some(present) = tree::config(root, name)? else {
            notes.push(format!("/etc/config/{name} is gone, and stays so"));
            continue;
        };
        if *present == *before {
            continue;
        }
        let text = if state::hash(&present) == *given {
            before
        } else {
            notes.push(format!("somebody else changed /etc/config/{name} since: that stays, only ours is taken back"));
            ours_back(&present, &before, name, pending)
                .map_err(|why| Failure::refused("config", "", format!("/etc/config/{name}: {why}")))?
        };
        replace(&config_path(root, name), &present, &text, None).map_err(not_written)?;
    }
    state::keep_record(root, &pending.records.0)?;
    state::end(root)?;
    Ok(notes)
}

fn ours_back(
    present: &[u8],
    before: &[u8],
    name: &str,
    pending: &Pending,
) -> Result<Zeroizing<Vec<u8>>, crate::wire::uci::edit::EditError> {
    let mut text = ours_as_in(present, before)?;
    let (known, edits) = (&pending.records.0.edits, &pending.records.1.edits);
    for edit in edits.iter().rev().filter(|edit| edit.file == name && !known.contains(edit)) {
        if let Some(new) = undo_edit(&text, edit)? {
            text = new;
        }
    }
    Ok(text)
}

/// Has the system take the files: latchkey first, so that keys are there before hostapd asks for them. Returns what did
/// not work. `steps`: what its script is to do.
fn in_force(root: &Path, steps: &[&str]) -> Vec<String> {
    let mut notes = Vec::new();
    let service = root.join("etc/init.d/latchkey");
    if service.exists() {
        steps.iter().for_each(|step| notes.extend(script(&service, &[step]).err()));
    } else if steps.contains(&"restart") && root == Path::new("/") {
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

/// Runs a script of the system, for a limited time.
fn script(path: &Path, arguments: &[&str]) -> Result<(), String> {
    let said = |what: String| format!("{} {}: {what}", path.display(), arguments.join(" "));
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
    let mut child = command.spawn().map_err(|why| said(why.to_string()))?;
    let deadline = Instant::now() + SCRIPT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(said(status.to_string())),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(50)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(said(format!("it did not end in {} s", SCRIPT.as_secs())));
            }
            Err(why) => return Err(said(why.to_string())),
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

/// The watchdog holds the lock for moments only, an apply for as long as the system takes.
fn wait_for_lock(root: &Path) -> Result<Lock, Failure> {
    let deadline = Instant::now() + SCRIPT;
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
