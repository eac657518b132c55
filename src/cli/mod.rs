//! The command line: a thin client of the daemon's control socket, one file for each group of commands.

mod args;
mod ca;
mod client;
mod device;
mod firewall;
mod help;
mod log;
mod maker;
mod maker_bundle;
mod openwrt;
mod pair;
mod pending;
mod profile;
mod qr;
mod realm;
mod reply;
mod serve;
mod sessions;
mod stations;
mod status;
mod table;
#[cfg(test)]
mod tests;
mod text;

use crate::json::json;
use crate::secret::Passphrase;
use crate::time::UnixTime;
use args::{Command, Invocation, Stop};
use client::{Client, Failure, PATIENCE};
use reply::Part;
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, ErrorKind, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use text::{Look, clean};
use zeroize::Zeroizing;

/// Refused: by the daemon, or because a file cannot be read or the output not be written.
const REFUSED: u8 = 1;
/// The arguments make no sense.
const USAGE: u8 = 2;
/// No daemon, or none that answers.
const UNREACHABLE: u8 = 3;
/// The longest key that is read before it is refused, in octets.
const KEY_LINE: u64 = 1024;

/// Runs the program and returns its exit code: 0 done, 1 refused, 2 usage, 3 daemon not reachable.
pub fn main() -> ExitCode {
    let terminal = io::stdout().is_terminal();
    // https://no-color.org
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let capable = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    let mut context = Context {
        socket: PathBuf::new(),
        json: false,
        look: Look { terminal, colour: terminal && wanted && capable, now: UnixTime::now() },
        prompt: io::stdin().is_terminal(),
        input: &mut io::stdin().lock(),
        out: &mut io::stdout(),
        err: &mut io::stderr(),
    };
    run(std::env::args_os().skip(1), std::env::var_os("LATCHKEY_SOCKET"), &mut context)
}

/// What a command has to do with: the daemon, the terminal, and how things are to look.
struct Context<'a> {
    socket: PathBuf,
    json: bool,
    look: Look,
    /// Somebody sits at the other end of `input`.
    prompt: bool,
    input: &'a mut dyn BufRead,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
}

/// Understands the arguments and does what they say.
fn run(args: impl IntoIterator<Item = OsString>, socket: Option<OsString>, context: &mut Context<'_>) -> ExitCode {
    let invocation = match Invocation::parse(args, socket) {
        Ok(invocation) => invocation,
        Err(Stop::Usage { topic, message }) => {
            let about = if topic.is_empty() { "latchkey".into() } else { format!("latchkey {topic}") };
            let more = format!("latchkey help {topic}");
            let usage = help::usage(topic);
            context.note(&format!("{about}: {}\n{usage}more:  {}\n", clean(&message), more.trim_end()));
            return USAGE.into();
        }
        // These two are made into commands by the parser.
        Err(Stop::Help(_) | Stop::Version) => return USAGE.into(),
    };
    context.socket = invocation.socket;
    context.json = invocation.json;
    let done = match &invocation.command {
        Command::Help(topic) => context.print(&help::text(topic)),
        Command::Version => context.print(&format!("latchkey {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Serve(command) => return serve::run(command),
        Command::Status => status::run(context),
        Command::Device(command) => device::run(context, command),
        Command::Maker(command) => maker::run(context, command),
        Command::Realm(command) => realm::run(context, command),
        Command::Profile(command) => profile::run(context, command),
        Command::Pending(command) => pending::run(context, command),
        Command::Pair(command) => pair::run(context, command),
        Command::Log(query) => log::run(context, query),
        Command::Sessions => sessions::run(context),
        Command::Stations => stations::run(context),
        Command::Qr(query) => qr::run(context, query),
        Command::Firewall(command) => firewall::run(context, command),
        Command::Ca(command) => ca::run(context, command),
        Command::Openwrt(command) => openwrt::run(context, command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => context.fail(failure),
    }
}

/// The name of a file that the daemon is to read, whose current directory is another.
fn absolute(path: &OsStr, field: &str) -> Result<String, Failure> {
    let refuse = |why: &str| Failure::refused("file", field, format!("{}: {why}", path.display()));
    let path = std::path::absolute(path).map_err(|error| refuse(&error.to_string()))?;
    path.into_os_string().into_string().map_err(|_| refuse("the path is not UTF-8 text"))
}

impl Context<'_> {
    /// Connects to the daemon.
    fn connect(&self) -> Result<Client, Failure> {
        Client::connect(&self.socket)
    }

    /// Asks the daemon one thing.
    fn call(&self, method: &str, params: Value) -> Result<Value, Failure> {
        self.connect()?.call(method, params, PATIENCE)
    }

    /// Asks for a list that comes in pages, all of it. What comes or goes meanwhile can only shift the pages, not add to
    /// them without end.
    fn pages(&self, method: &str, field: &str) -> Result<Value, Failure> {
        let mut client = self.connect()?;
        let mut all: Vec<Value> = Vec::new();
        loop {
            let mut page = client.call(method, json!({ "offset": all.len() }), PATIENCE)?;
            let total = page.get("total").and_then(Value::as_u64).unwrap_or(0);
            let more = match page.get_mut(field).map(Value::take) {
                Some(Value::Array(more)) => more,
                _ => Vec::new(),
            };
            let end = more.is_empty();
            all.extend(more);
            if end || all.len() as u64 >= total {
                page[field] = Value::Array(all);
                return Ok(page);
            }
        }
    }

    /// Prints a result: as it came with `--json`, else as `render` puts it.
    fn finish(&mut self, reply: &Value, render: impl FnOnce(Part<'_>, &Look) -> String) -> Result<(), Failure> {
        let text = if self.json { format!("{reply}\n") } else { render(Part(reply), &self.look) };
        self.print(&text)
    }

    /// Writes to standard output.
    fn print(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()?;
        Ok(())
    }

    /// Writes to standard error. There is nobody left to be told when that fails.
    fn note(&mut self, text: &str) {
        let _ = self.err.write_all(text.as_bytes());
        let _ = self.err.flush();
    }

    /// Reads a key: one line of standard input.
    fn read_key(&mut self) -> Result<Passphrase, Failure> {
        if self.prompt {
            self.note("Key (8 to 63 characters): ");
        }
        let mut line = Zeroizing::new(Vec::new());
        if let Err(error) = (&mut *self.input).take(KEY_LINE).read_until(b'\n', &mut line) {
            return Err(Failure::refused("input", "key", format!("the key could not be read: {error}")));
        }
        let key = line.strip_suffix(b"\n").unwrap_or(&line);
        let key = key.strip_suffix(b"\r").unwrap_or(key);
        if key.is_empty() {
            let message = "no key came on standard input: --psk-stdin reads one line of it";
            return Err(Failure::refused("missing", "key", message));
        }
        // Characters that are no UTF-8 are as wrong as any beyond ASCII.
        let key = Zeroizing::new(String::from_utf8_lossy(key).into_owned());
        Passphrase::new(&key).map_err(|why| Failure::refused("key", "key", why.to_string()))
    }

    /// Says why a command failed and chooses the exit code.
    fn fail(&mut self, failure: Failure) -> ExitCode {
        let (error, code) = match failure {
            Failure::Told => return REFUSED.into(),
            // Whoever read the output has seen enough: `latchkey log | head`.
            Failure::Output(error) if error.kind() == ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Failure::Output(error) => {
                self.note(&format!("latchkey: the output could not be written: {error}\n"));
                return REFUSED.into();
            }
            Failure::Refused(error) => (error, REFUSED),
            Failure::Unreachable(message) => {
                (json!({ "code": "unreachable", "message": message, "field": null }), UNREACHABLE)
            }
        };
        if self.json {
            // If nobody reads it, the exit code still tells.
            let _ = self.print(&format!("{}\n", json!({ "error": error })));
        } else {
            let error = Part(&error);
            let mut text = String::new();
            for line in error.list("lines") {
                let (field, message) = (line.text("field"), line.text("message"));
                text.push_str(&match line.number("line") {
                    0 => format!("{field}: {message}\n"),
                    number => format!("line {number}: {field}: {message}\n"),
                });
            }
            // What is wrong with a configuration has a line for each mistake.
            let lines = error.at("message").0.as_str().unwrap_or("refused, without a reason").split('\n');
            let message = lines.map(clean).collect::<Vec<_>>().join("\n");
            self.note(&format!("{text}latchkey: {message}\n"));
        }
        code.into()
    }
}
