//! `device`: registering devices and looking after them.

pub mod credential;
pub(in crate::cli) mod keyfiles;
pub mod text;
mod transfer;

use super::Context;
use super::args::{Stop, Words, is_secret};
use super::client::Failure;
use crate::json::json;
use crate::registry::device::Bind;
use serde_json::{Map, Value};
use std::ffi::OsString;

/// What can be set, as the daemon calls it.
const SETTABLE: [&str; 14] = [
    "name",
    "profile",
    "bind",
    "max_devices",
    "expires",
    "mac",
    "mac+",
    "mac-",
    "ssid",
    "ssid+",
    "ssid-",
    "ap",
    "ap+",
    "ap-",
];

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Register one.
    Add(Box<Add>),
    /// Show all.
    List,
    /// Show one.
    Show {
        /// Which.
        name: String,
        /// With its key.
        secret: bool,
    },
    /// Change one.
    Set {
        /// Which.
        name: String,
        /// The daemon's keys and the new values.
        set: Vec<(&'static str, String)>,
    },
    /// Give one a new key.
    Rotate {
        /// Which.
        name: String,
        /// Read the key from standard input.
        psk_stdin: bool,
    },
    /// Give one a new EAP-PSK key.
    RotatePsk {
        /// Which.
        name: String,
        /// The file with the key; without it one is made.
        file: Option<OsString>,
    },
    /// Something about its credentials.
    Credential(credential::Command),
    /// Do one of the things that need nothing but a name.
    Simple {
        /// The daemon's method.
        method: &'static str,
        /// What is said when it is done, after the name.
        done: &'static str,
        /// Which.
        name: String,
    },
    /// Register many.
    Import {
        /// The file, or `-`.
        file: OsString,
    },
    /// Print all as CSV.
    Export {
        /// With their keys.
        secrets: bool,
    },
}

/// A device to be registered.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Add {
    name: String,
    profile: Option<String>,
    macs: Vec<String>,
    psk_stdin: bool,
    bind: Option<Bind>,
    max_devices: Option<u16>,
    expires: Option<String>,
    /// Have a Wi-Fi key made besides other credentials.
    generate: bool,
    eap: credential::Options,
    ssids: Vec<String>,
    aps: Vec<String>,
}

/// Understands the arguments.
pub fn parse(words: &mut Words) -> Result<Command, Stop> {
    words.about("device");
    words.command(|words, command| {
        let simple = |words: &mut Words, topic, method, done| {
            words.about(topic);
            let [name] = words.rest(["NAME"], |_, _| Ok(false))?;
            Ok(Command::Simple { method, done, name })
        };
        match command {
            Some("add") => parse_add(words).map(|add| Command::Add(Box::new(add))),
            Some("list") => words.none("device list").map(|()| Command::List),
            Some("show") => {
                let (name, secret) = name_and_flag(words, "device show", "--secret")?;
                Ok(Command::Show { name, secret })
            }
            Some("set") => parse_set(words),
            Some("rotate") => parse_rotate(words),
            Some("credential") => credential::parse(words).map(Command::Credential),
            Some("block") => simple(words, "device block", "device_block", "is blocked: it is refused from now on"),
            Some("unblock") => simple(words, "device unblock", "device_unblock", "is unblocked"),
            Some("remove") => {
                simple(words, "device remove", "device_remove", "is removed: its key is worth nothing now")
            }
            Some("import") => {
                words.about("device import");
                let [file] = words.rest(["FILE.csv"], |_, _| Ok(false))?;
                Ok(Command::Import { file: file.into() })
            }
            Some("export") => {
                words.about("device export");
                let mut secrets = false;
                let [] = words.rest([], |_, option| Ok(flag(option, "--secrets", &mut secrets)))?;
                Ok(Command::Export { secrets })
            }
            Some(other) => Err(words.unknown_command(other)),
            None => Err(words.usage("say what to do")),
        }
    })
}

fn flag(option: &str, name: &str, value: &mut bool) -> bool {
    *value |= option == name;
    option == name
}

fn name_and_flag(words: &mut Words, topic: &'static str, name: &str) -> Result<(String, bool), Stop> {
    words.about(topic);
    let mut given = false;
    let [device] = words.rest(["NAME"], |_, option| Ok(flag(option, name, &mut given)))?;
    Ok((device, given))
}

fn parse_rotate(words: &mut Words) -> Result<Command, Stop> {
    words.about("device rotate");
    let (mut psk_stdin, mut eap_psk, mut file) = (false, false, None);
    let [name] = words.rest(["NAME"], |words, option| {
        match option {
            "--psk-stdin" => psk_stdin = true,
            "--eap-psk" => eap_psk = true,
            "--eap-psk-key-file" => file = Some(words.path()?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    match (psk_stdin, eap_psk, file) {
        (false, true, None) => Ok(Command::RotatePsk { name, file: None }),
        (false, false, file @ Some(_)) => Ok(Command::RotatePsk { name, file }),
        (psk_stdin, false, None) => Ok(Command::Rotate { name, psk_stdin }),
        _ => Err(words.usage("one key at a time: give only one of --psk-stdin, --eap-psk and --eap-psk-key-file")),
    }
}

fn parse_add(words: &mut Words) -> Result<Add, Stop> {
    words.about("device add");
    let mut add = Add::default();
    let [name] = words.rest(["NAME"], |words, option| {
        match option {
            "--profile" => add.profile = Some(words.value()?),
            "--mac" => add.macs.push(words.value()?),
            "--generate" => add.generate = true,
            "--psk-stdin" => add.psk_stdin = true,
            "--bind" => {
                let bind = words.value()?.parse().map_err(|why| words.usage(format!("--bind {why}")))?;
                add.bind = Some(bind);
            }
            "--max-devices" => {
                let max = words.value()?.parse();
                let why = format!("--max-devices needs a number from 0 (any number) to {}", u16::MAX);
                add.max_devices = Some(max.map_err(|_| words.usage(why))?);
            }
            "--expires" => add.expires = Some(words.value()?),
            "--ssid" => add.ssids.push(words.value()?),
            "--ap" => add.aps.push(words.value()?),
            _ => return add.eap.take(words, option),
        }
        Ok(true)
    })?;
    if add.generate && add.psk_stdin {
        return Err(words.usage("--generate makes a key, --psk-stdin reads one: give only one of them"));
    }
    add.eap.check(words, add.psk_stdin)?;
    Ok(Add { name, ..add })
}

fn parse_set(words: &mut Words) -> Result<Command, Stop> {
    words.about("device set");
    let ([name], pairs) = words.rest_and_more(["NAME"], |_, _| Ok(false))?;
    let mut set: Vec<(&'static str, String)> = Vec::new();
    for pair in &pairs {
        // Nothing of a pair is quoted but a key that is known: the rest may be a secret.
        let (key, value) = pair.split_once('=').ok_or_else(|| words.usage("what to set is written KEY=VALUE"))?;
        if is_secret(key) {
            return Err(words.usage("a key is never an argument: latchkey device rotate NAME --psk-stdin reads it"));
        }
        let key = key.replace('-', "_");
        let key = match &*key {
            "mac_" => "mac-",
            "ssid_" => "ssid-",
            "ap_" => "ap-",
            other => other,
        };
        let Some(key) = SETTABLE.into_iter().find(|known| *known == key) else {
            let why = "what can be set: name, profile, bind, max-devices, expires, mac, mac+, mac-, ssid, ssid+, ssid-, ap, \
                       ap+ and ap-";
            return Err(words.usage(why));
        };
        match set.iter_mut().find(|(known, _)| *known == key) {
            Some((_, values)) if key.starts_with("mac") => {
                values.push(',');
                values.push_str(value);
            }
            Some(_) => return Err(words.usage(format!("{key} is set twice"))),
            None => set.push((key, value.to_owned())),
        }
    }
    if set.is_empty() { Err(words.usage("KEY=VALUE is missing")) } else { Ok(Command::Set { name, set }) }
}

/// Asks and prints.
pub fn run(context: &mut Context<'_>, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Add(add) => run_add(context, add),
        Command::List => run_list(context),
        Command::Show { name, secret } => {
            let reply = context.call(if *secret { "device_secret" } else { "device_show" }, json!({ "name": name }))?;
            context.finish(&reply, text::show)
        }
        Command::Set { name, set } => {
            let set: Map<String, Value> =
                set.iter().map(|(key, value)| ((*key).into(), value.as_str().into())).collect();
            let reply = context.call("device_set", json!({ "name": name, "set": set }))?;
            context.finish(&reply, text::show)
        }
        Command::Rotate { name, psk_stdin } => {
            let mut params = json!({ "name": name });
            if *psk_stdin {
                params["key"] = context.read_key()?.expose().into();
            }
            let reply = context.call("device_rotate", params)?;
            context.finish(&reply, text::rotated)
        }
        Command::RotatePsk { name, file } => {
            let mut params = json!({ "name": name, "eap_psk": file.is_none() });
            if let Some(file) = file {
                let key = keyfiles::read_line(context, file, "EAP-PSK key", "--eap-psk-key-file")?;
                params["eap_psk_key"] = key.as_str().into();
            }
            let reply = context.call("device_rotate", params)?;
            context.finish(&reply, text::rotated)
        }
        Command::Credential(command) => credential::run(context, command),
        Command::Simple { method, done, name } => {
            let reply = context.call(method, json!({ "name": name }))?;
            context.finish(&reply, |reply, _| format!("{} {done}.\n", reply.at("device").text("name")))
        }
        Command::Import { file } => transfer::import(context, file),
        Command::Export { secrets } => transfer::export(context, *secrets),
    }
}

fn run_add(context: &mut Context<'_>, add: &Add) -> Result<(), Failure> {
    let mut params = json!({
        "name": add.name,
        "profile": add.profile,
        "macs": add.macs,
        "bind": add.bind.map(Bind::as_str),
        "max_devices": add.max_devices,
        "expires": add.expires,
    });
    if add.psk_stdin {
        params["key"] = context.read_key()?.expose().into();
    } else if add.generate || add.eap.is_empty() {
        params["generate"] = true.into();
    }
    for (field, texts) in [("ssids", &add.ssids), ("aps", &add.aps)] {
        if !texts.is_empty() {
            params[field] = json!(texts);
        }
    }
    add.eap.put(context, &add.name, &mut params)?;
    let reply = context.call("device_add", params)?;
    credential::finish(context, &reply, &add.eap, add.psk_stdin)
}

fn run_list(context: &mut Context<'_>) -> Result<(), Failure> {
    let devices = context.pages("device_list", "devices")?;
    context.finish(&devices, text::list)
}
