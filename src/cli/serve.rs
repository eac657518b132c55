//! `serve`, `check` and `prepare`: what needs the configuration and not the socket.

use super::args::{Stop, Words};
use std::path::PathBuf;
use std::process::ExitCode;

/// The configuration unless told otherwise.
const CONFIG: &str = "/etc/config/latchkey";

/// What to do with a configuration.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the daemon.
    Serve(PathBuf),
    /// See whether it is in order.
    Check(PathBuf),
    /// Make what hostapd has to find when it starts.
    Prepare(PathBuf),
}

/// Understands the arguments of `serve`, `check` or `prepare`, whichever `topic` is.
pub fn parse(words: &mut Words, topic: &'static str) -> Result<Command, Stop> {
    words.about(topic);
    let mut config = PathBuf::from(CONFIG);
    let [] = words.rest([], |words, option| {
        match option {
            "--config" | "-c" => config = words.path()?.into(),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(match topic {
        "check" => Command::Check(config),
        "prepare" => Command::Prepare(config),
        _ => Command::Serve(config),
    })
}

/// Hands over to the daemon.
pub fn run(command: &Command) -> ExitCode {
    match command {
        Command::Serve(config) => crate::daemon::serve(config),
        Command::Check(config) => crate::daemon::check(config),
        Command::Prepare(config) => crate::daemon::prepare(config),
    }
}
