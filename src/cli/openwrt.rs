//! `openwrt`: latchkey's networks in OpenWrt's own configuration. The daemon is not asked, so that it works where there is
//! none yet; what is written can be undone until somebody who can still reach the box confirms it.

mod apply;
mod state;
mod text;
mod tree;

use super::Context;
use super::args::{Stop, Words};
use super::client::Failure;
use crate::config::Security;
use crate::openwrt::{self, Action, BridgeRequest, Plan, Refused, Removal, Request, SsidRequest};
use apply::{Hold, Undo};
use serde_json::json;
use std::path::PathBuf;

/// Seconds after which what nobody confirmed is undone.
const UNDO_AFTER: u64 = 90;
/// The longest time that may be asked for, in seconds.
const MAX_UNDO_AFTER: u64 = 3600;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// The directory that has `etc/config`.
    root: PathBuf,
    what: What,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    Status,
    Plan(Action),
    Apply(Action, Terms),
    Confirm,
    Undo(Undo),
    /// What `apply` leaves behind: undoes the change with this number unless it is confirmed.
    Watch(String),
    /// What `apply` and `undo` leave behind: has the system take the files, in this way.
    Enforce(String),
}

/// How something is applied.
#[derive(Debug, PartialEq, Eq)]
struct Terms {
    /// Only if this is the plan.
    fingerprint: Option<String>,
    hold: Hold,
}

/// Understands the arguments. `--root` goes before the word that says what to do, and nowhere else: access rules of LuCI's
/// sessions allow command lines by how they begin, and no session is to have a tree of its own worked on.
pub fn parse(words: &mut Words) -> Result<Command, Stop> {
    words.about("openwrt");
    let mut root = PathBuf::from("/");
    let before = |words: &mut Words, option: &str| match option {
        "--root" => {
            // The watchdog has another current directory.
            root = std::path::absolute(words.path()?).map_err(|why| words.usage(format!("--root: {why}")))?;
            Ok(true)
        }
        _ => Ok(false),
    };
    let what = words.command_after(before, |words, name| {
        let topic = match name {
            Some("status") => "openwrt status",
            Some("plan") => "openwrt plan",
            Some("apply") => "openwrt apply",
            Some("confirm") => "openwrt confirm",
            Some("undo") => "openwrt undo",
            Some("remove") => "openwrt remove",
            Some("watch" | "enforce") => "openwrt",
            Some(other) => return Err(words.unknown_command(other)),
            None => return Err(words.usage("say what to do: status, plan, apply, confirm, undo or remove")),
        };
        words.about(topic);
        arguments(words, name.unwrap_or_default())
    })?;
    Ok(Command { root, what })
}

fn arguments(words: &mut Words, name: &str) -> Result<What, Stop> {
    let mut terms = Terms { fingerprint: None, hold: Hold::Until(UNDO_AFTER) };
    let mut given = Given::default();
    let (plans, applies) = (matches!(name, "plan" | "apply"), matches!(name, "apply" | "remove"));
    let (mut undo, mut dry_run) = (Undo::Asked, false);
    let ([], more) = words.rest_and_more([], |words, option| {
        match option {
            "--root" => return Err(words.usage("--root goes before the command: latchkey openwrt --root DIR plan")),
            "--fingerprint" if applies => terms.fingerprint = Some(words.value()?),
            "--undo-after" if applies => {
                let seconds = words.value()?.parse().ok().filter(|seconds| (1..=MAX_UNDO_AFTER).contains(seconds));
                let seconds = seconds.ok_or_else(|| words.usage("--undo-after wants seconds, 1 to 3600"))?;
                terms.hold = Hold::Until(seconds);
            }
            "--if-pending" if name == "undo" => undo = Undo::IfPending,
            "--at-boot" if name == "undo" => undo = Undo::AtBoot,
            "--final" if name == "remove" => terms.hold = Hold::Final,
            "--dry-run" if name == "remove" => dry_run = true,
            "--ssid" if name == "remove" => given.ssids.push(words.value()?),
            "--profile" if plans || name == "remove" => given.profiles.push(words.value()?),
            _ if plans => return given.take(words, option),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(match (name, &more[..]) {
        ("watch", [id]) => What::Watch(id.clone()),
        ("enforce", [how]) => What::Enforce(how.clone()),
        (_, [_, ..]) => return Err(words.usage("too many arguments")),
        ("status", _) => What::Status,
        ("confirm", _) => What::Confirm,
        ("undo", _) => What::Undo(undo),
        ("remove", _) => {
            let removal = Action::Remove(Removal { profiles: given.profiles, ssids: given.ssids });
            if dry_run { What::Plan(removal) } else { What::Apply(removal, terms) }
        }
        ("plan", _) => What::Plan(Action::Have(given.request(words)?)),
        ("apply", _) => What::Apply(Action::Have(given.request(words)?), terms),
        _ => return Err(words.usage("a change is watched by its number")),
    })
}

/// What `plan` and `apply` are given.
#[derive(Default)]
struct Given {
    ssids: Vec<String>,
    radios: Vec<String>,
    security: Option<Security>,
    take_over: bool,
    profiles: Vec<String>,
    bridge: Option<String>,
    ports: Vec<(String, bool)>,
    country: Option<String>,
}

impl Given {
    fn take(&mut self, words: &mut Words, option: &str) -> Result<bool, Stop> {
        match option {
            "--ssid" => {
                let ssid = words.value()?;
                if !self.ssids.is_empty() {
                    return Err(words.usage("one --ssid at a time"));
                }
                self.ssids.push(ssid);
            }
            "--radio" => self.radios.push(words.value()?),
            "--security" => {
                let word = words.value()?;
                let mut known = Security::WORDS.iter().filter(|(_, security)| *security != Security::Wired);
                let found = known.find(|(known, _)| *known == word).map(|(_, security)| *security);
                self.security =
                    Some(found.ok_or_else(|| words.usage("--security is wpa2, wpa3, mixed or enterprise"))?);
            }
            "--take-over" => self.take_over = true,
            "--bridge" => self.bridge = Some(words.value()?),
            "--port" => {
                let port = words.value()?;
                let (name, tagged) = match port.split_once(':') {
                    None => (port.as_str(), false),
                    Some((name, "t")) => (name, true),
                    Some(_) => return Err(words.usage("--port is PORT for untagged, or PORT:t for tagged frames")),
                };
                self.ports.push((name.to_owned(), tagged));
            }
            "--country" => self.country = Some(words.value()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn request(mut self, words: &Words) -> Result<Request, Stop> {
        let (radios, security, take_over) = (self.radios, self.security, self.take_over);
        let ssid = match self.ssids.pop() {
            Some(ssid) => Some(SsidRequest { ssid, radios, security, take_over }),
            None if !radios.is_empty() => return Err(words.usage("--radio is for an SSID: --ssid NAME")),
            None if security.is_some() => return Err(words.usage("--security is for an SSID: --ssid NAME")),
            None if take_over => return Err(words.usage("--take-over is for an SSID: --ssid NAME")),
            None => None,
        };
        let bridge = match self.bridge {
            Some(name) => Some(BridgeRequest { name, ports: self.ports }),
            None if !self.ports.is_empty() => {
                return Err(words.usage("--port is for the ports of a bridge: --bridge BRIDGE"));
            }
            None => None,
        };
        Ok(Request { ssid, profiles: self.profiles, bridge, country: self.country })
    }
}

/// Does it.
pub fn run(context: &mut Context<'_>, command: &Command) -> Result<(), Failure> {
    let root = &command.root;
    match &command.what {
        What::Status => {
            let tree = tree::load(root)?;
            let mut status = openwrt::status(&tree).map_err(refused)?;
            status["pending"] = state::pending_json(root);
            status["last"] = state::last(root);
            // Only who has an SSID of ours misses it; others may not even have switched it on.
            let serves = status["managed"]["ssids"].as_array().is_some_and(|ssids| !ssids.is_empty());
            if serves
                && !apply::answers(root, std::time::Duration::ZERO)
                && let Some(troubles) = status["troubles"].as_array_mut()
            {
                troubles.push(json!(apply::SILENT));
            }
            context.finish(&status, text::status)
        }
        What::Plan(action) => {
            let plan = plan(root, action)?;
            let wanted = matches!(action, Action::Have(_));
            context.finish(&plan.to_json(), |part, look| text::plan(part, look, wanted))
        }
        What::Apply(action, terms) => {
            let result = apply::apply(root, action, terms.fingerprint.as_deref(), terms.hold)?;
            context.finish(&result, text::applied)
        }
        What::Confirm => {
            let result = apply::confirm(root)?;
            context.finish(&result, text::confirmed)
        }
        What::Undo(by) => {
            let result = apply::undo(root, *by)?;
            context.finish(&result, text::undone)
        }
        What::Watch(id) => apply::watch(root, id),
        What::Enforce(how) => apply::enforced(root, how),
    }
}

/// Reads the box and makes a plan for it.
fn plan(root: &std::path::Path, action: &Action) -> Result<Plan, Failure> {
    let tree = tree::load(root)?;
    let mut failed = false;
    let mut random = |buffer: &mut [u8]| failed |= getrandom::fill(buffer).is_err();
    let plan = openwrt::plan(&tree, action, &mut random).map_err(refused)?;
    if failed {
        return Err(Failure::refused(
            "system",
            "",
            "the system gives no random numbers, and keys are needed: try again",
        ));
    }
    Ok(plan)
}

fn refused(why: Refused) -> Failure {
    let field = if why.field.is_empty() { json!(null) } else { json!(why.field) };
    Failure::Refused(json!({ "code": why.code, "message": why.message, "field": field }))
}

#[cfg(test)]
mod tests;
