//! `profile`: what devices may have, in the configuration.

use super::Context;
use super::args::{Stop, Words};
use super::client::{Failure, PATIENCE};
use super::realm::{diff, notes, write};
use super::reply::Part;
use super::table::Table;
use super::text::{Look, count};
use crate::config::{self, ProfileAction, ProfileEdit, ProfileOptions};
use crate::json::json;
use serde_json::Value;
use std::path::Path;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Show all.
    List,
    /// Change the configuration.
    Edit {
        /// How.
        edit: ProfileEdit,
        /// Only show what would change.
        dry_run: bool,
    },
}

/// Understands the arguments.
pub fn parse(words: &mut Words) -> Result<Command, Stop> {
    words.about("profile");
    words.command(|words, command| match command {
        Some("list") => words.none("profile list").map(|()| Command::List),
        Some("add") => parse_edit(words, "profile add", ProfileAction::Add),
        Some("set") => parse_edit(words, "profile set", ProfileAction::Set),
        Some("remove") => parse_edit(words, "profile remove", |_| ProfileAction::Remove),
        Some(other) => Err(words.unknown_command(other)),
        None => Err(words.usage("say what to do: list, add, set or remove")),
    })
}

fn parse_edit(
    words: &mut Words,
    topic: &'static str,
    action: impl FnOnce(ProfileOptions) -> ProfileAction,
) -> Result<Command, Stop> {
    words.about(topic);
    let (mut options, mut dry_run) = (ProfileOptions::default(), false);
    let removes = topic == "profile remove";
    let [name] = words.rest(["NAME"], |words, option| {
        let mut add = |list: &mut Option<Vec<Box<str>>>| -> Result<(), Stop> {
            list.get_or_insert_default().push(words.value()?.into());
            Ok(())
        };
        match option {
            "--dry-run" => dry_run = true,
            _ if removes => return Ok(false),
            "--allow" => add(&mut options.allow)?,
            "--hours" => add(&mut options.hours)?,
            "--address" => add(&mut options.addresses)?,
            "--no-allow" => options.allow = Some(Vec::new()),
            "--no-hours" => options.hours = Some(Vec::new()),
            "--no-address" => options.addresses = Some(Vec::new()),
            "--access" => options.access = Some(words.value()?.into()),
            "--bridge" => options.bridge = Some(words.value()?.into()),
            "--vlan" => {
                let text = words.value()?;
                let vlan = if text == "none" { Some(0) } else { text.parse().ok() };
                let vlan = vlan.ok_or_else(|| words.usage("--vlan needs a number from 1 to 4094, or none"))?;
                options.vlan = Some(vlan);
            }
            "--isolate" => match words.value()?.as_str() {
                "yes" => options.isolate = Some(true),
                "no" => options.isolate = Some(false),
                _ => return Err(words.usage("--isolate is yes or no")),
            },
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    if topic == "profile set" && options == ProfileOptions::default() {
        return Err(
            words.usage("say what to change: --vlan, --access, --allow, --hours, --isolate, --bridge or --address")
        );
    }
    Ok(Command::Edit { edit: ProfileEdit { name: name.into(), action: action(options) }, dry_run })
}

/// Asks and prints.
pub fn run(context: &mut Context<'_>, command: &Command) -> Result<(), Failure> {
    match command {
        Command::List => {
            let reply = context.call("profile_list", json!({}))?;
            context.finish(&reply, list)
        }
        Command::Edit { edit, dry_run } => {
            let reply = ask(context, edit, *dry_run)?;
            context.finish(&reply, |reply, look| edited(reply, &edit.action, look))
        }
    }
}

fn ask(context: &mut Context<'_>, edit: &ProfileEdit, dry_run: bool) -> Result<Value, Failure> {
    let (method, params) = request(edit);
    let call = |client: &mut super::Client, dry_run: bool| {
        let mut params = params.clone();
        params["dry_run"] = dry_run.into();
        client.call(method, params, PATIENCE)
    };
    let mut client = context.connect()?;
    let why = match call(&mut client, dry_run) {
        Err(Failure::Refused(error)) if error.get("code").and_then(Value::as_str) == Some("not_written") => error,
        done => return done,
    };
    // The daemon may not write the file. Perhaps whoever calls may.
    let mut reply = call(&mut client, true)?;
    let path = reply.get("file").and_then(Value::as_str).unwrap_or_default().to_owned();
    let path = Path::new(&path);
    let (old, new) = match write(path, |path, old| edit.plan(path, old).map(|plan| plan.text)) {
        Ok(texts) => texts,
        // The daemon's reason has the better mend.
        Err(_) => return Err(Failure::Refused(why)),
    };
    if let Err(why) = client.call("config_reload", json!({}), PATIENCE) {
        let _ = config::replace(path, &new, &old, None);
        return Err(why);
    }
    reply["dry_run"] = false.into();
    reply["in_force"] = true.into();
    Ok(reply)
}

/// The method, and its arguments.
fn request(edit: &ProfileEdit) -> (&'static str, Value) {
    let (method, options) = match &edit.action {
        ProfileAction::Add(options) => ("profile_add", options),
        ProfileAction::Set(options) => ("profile_set", options),
        ProfileAction::Remove => return ("profile_remove", json!({ "name": *edit.name })),
    };
    let texts = |list: &Option<Vec<Box<str>>>| -> Value {
        list.as_ref().map(|list| list.iter().map(|text| (**text).to_owned()).collect::<Vec<_>>()).into()
    };
    let params = json!({
        "name": *edit.name,
        "vlan": options.vlan,
        "access": options.access.as_deref(),
        "allow": texts(&options.allow),
        "hours": texts(&options.hours),
        "isolate": options.isolate,
        "bridge": options.bridge.as_deref(),
        "addresses": texts(&options.addresses),
    });
    (method, params)
}

fn list(reply: Part<'_>, look: &Look) -> String {
    let total = reply.list("profiles").len() as u64;
    if total == 0 {
        return "No profiles: no device can be added. latchkey profile add iot --vlan 20 --access internet\n".into();
    }
    let words = |part: Part<'_>, field: &str| -> String {
        part.list(field).map(|word| word.shown()).collect::<Vec<_>>().join(", ")
    };
    let mut table = Table::new(["NAME", ">VLAN", "ACCESS", "ALLOW", "HOURS", "BRIDGE", ">DEVICES", "USED BY"]);
    for profile in reply.list("profiles") {
        let mut uses: Vec<String> =
            profile.list("used_by").map(|by| format!("{} {}", by.text("kind"), by.text("name"))).collect();
        if profile.flag("default") {
            uses.insert(0, "default".into());
        }
        table.row([
            profile.text("name").into(),
            profile.text("vlan").into(),
            profile.text("access").into(),
            words(profile, "allow").into(),
            words(profile, "hours").into(),
            profile.text("bridge").into(),
            profile.text("devices").into(),
            uses.join(", ").into(),
        ]);
    }
    format!("{}\n{}.\n", table.render(look), count(total, "profile"))
}

fn edited(reply: Part<'_>, action: &ProfileAction, look: &Look) -> String {
    let name = reply.text("name");
    if reply.list("diff").len() == 0 {
        return format!("Profile {name} is like that already: nothing to change.\n");
    }
    let (lines, notes) = (diff(reply, look), notes(reply, look));
    if reply.flag("dry_run") {
        return format!("This would change:\n\n{lines}\n{notes}Nothing was changed.\n");
    }
    let done = match action {
        ProfileAction::Add(_) => "is there from now on",
        ProfileAction::Set(_) => "is changed",
        ProfileAction::Remove => "is removed",
    };
    let next = match action {
        ProfileAction::Add(_) => format!("Put a device into it: latchkey device set NAME profile={name}\n"),
        _ => String::new(),
    };
    format!("Profile {name} {done}. What changed:\n\n{lines}\n{notes}{next}")
}

#[cfg(test)]
mod tests;
