//! What was typed: the options every command takes, and the command.

use super::{
    ca, device, firewall, help, log, maker, openwrt, pair, pending, profile, qr, realm, serve, sessions, stations,
    status,
};
use std::ffi::OsString;
use std::path::PathBuf;

/// Where the daemon listens unless the configuration says otherwise.
pub const SOCKET: &str = "/var/run/latchkey/latchkey.sock";

/// A command line, understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The daemon's socket: `--socket`, else `LATCHKEY_SOCKET`, else [`SOCKET`].
    pub socket: PathBuf,
    /// True to print what the daemon said, as JSON.
    pub json: bool,
    /// What to do.
    pub command: Command,
}

/// What can be asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Explain a topic of [`help`].
    Help(&'static str),
    /// Print the version.
    Version,
    /// Run the daemon, or check its configuration.
    Serve(serve::Command),
    /// How the daemon is.
    Status,
    /// Something about devices.
    Device(device::Command),
    /// Something about makers.
    Maker(maker::Command),
    /// Something about realms.
    Realm(realm::Command),
    /// Something about profiles.
    Profile(profile::Command),
    /// Something about unknown devices.
    Pending(pending::Command),
    /// The pairing window.
    Pair(pair::Command),
    /// What happened.
    Log(log::Query),
    /// Who is connected.
    Sessions,
    /// Who is on the air of this box.
    Stations,
    /// A QR code.
    Qr(qr::Query),
    /// What profiles may reach.
    Firewall(firewall::Command),
    /// `ca ...`.
    Ca(ca::Command),
    /// Our networks in OpenWrt's configuration.
    Openwrt(openwrt::Command),
}

/// Why there is no command to run.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// `--help` was among the arguments: explain this topic.
    Help(&'static str),
    /// `--version` was among the arguments.
    Version,
    /// The arguments make no sense. `message` quotes no argument that could be a secret.
    Usage {
        /// The topic whose usage helps.
        topic: &'static str,
        /// What is wrong.
        message: String,
    },
}

impl Invocation {
    /// Understands the arguments (without the program's name). `socket` is the value of `LATCHKEY_SOCKET`.
    ///
    /// # Errors
    /// What is wrong and whose usage line helps.
    pub fn parse(args: impl IntoIterator<Item = OsString>, socket: Option<OsString>) -> Result<Invocation, Stop> {
        let mut words = Words {
            parser: lexopt::Parser::from_args(args),
            topic: "",
            socket: socket.filter(|path| !path.is_empty()).unwrap_or_else(|| SOCKET.into()).into(),
            json: false,
        };
        let command = match words.command(command) {
            Ok(command) => command,
            Err(Stop::Help(topic)) => Command::Help(topic),
            Err(Stop::Version) => Command::Version,
            Err(usage) => return Err(usage),
        };
        Ok(Invocation { socket: words.socket, json: words.json, command })
    }
}

fn command(words: &mut Words, name: Option<&str>) -> Result<Command, Stop> {
    match name {
        None => Ok(Command::Help("")),
        Some("help") => help::parse(words).map(Command::Help),
        Some("version") => words.none("version").map(|()| Command::Version),
        Some("serve") => serve::parse(words, "serve").map(Command::Serve),
        Some("prepare") => serve::parse(words, "prepare").map(Command::Serve),
        Some("check") => serve::parse(words, "check").map(Command::Serve),
        Some("status") => status::parse(words).map(|()| Command::Status),
        Some("device") => device::parse(words).map(Command::Device),
        Some("maker") => maker::parse(words).map(Command::Maker),
        Some("realm") => realm::parse(words).map(Command::Realm),
        Some("profile") => profile::parse(words).map(Command::Profile),
        Some("pending") => pending::parse(words).map(Command::Pending),
        Some("pair") => pair::parse(words).map(Command::Pair),
        Some("log") => log::parse(words).map(Command::Log),
        Some("sessions") => sessions::parse(words).map(|()| Command::Sessions),
        Some("stations") => stations::parse(words).map(|()| Command::Stations),
        Some("qr") => qr::parse(words).map(Command::Qr),
        Some("firewall") => firewall::parse(words).map(Command::Firewall),
        Some("ca") => ca::parse(words).map(Command::Ca),
        Some("openwrt") => openwrt::parse(words).map(Command::Openwrt),
        Some(other) => Err(words.unknown_command(other)),
    }
}

/// One argument.
#[derive(Debug)]
enum Word {
    /// An option, with its dashes.
    Option(String),
    /// Anything else.
    Value(OsString),
}

/// What an option is offered to. One type for all, so that the loops below are in the program once.
type Take<'a> = &'a mut dyn FnMut(&mut Words, &str) -> Result<bool, Stop>;

/// The arguments that are left, with the options every command takes filtered out.
pub struct Words {
    parser: lexopt::Parser,
    topic: &'static str,
    socket: PathBuf,
    json: bool,
}

impl Words {
    /// Says which command's arguments follow, for the messages.
    pub fn about(&mut self, topic: &'static str) {
        self.topic = topic;
    }

    /// A refusal of the arguments.
    pub fn usage(&self, message: impl Into<String>) -> Stop {
        Stop::Usage { topic: self.topic, message: message.into() }
    }

    /// A refusal of a word that should have been a command.
    pub fn unknown_command(&self, word: &str) -> Stop {
        let shown: String = word.chars().take(40).collect();
        self.usage(format!("there is no command '{shown}'"))
    }

    /// Reads the word that says what to do and hands it to `choose`; `None` when there is none.
    pub fn command<T>(&mut self, choose: impl FnOnce(&mut Words, Option<&str>) -> Result<T, Stop>) -> Result<T, Stop> {
        self.command_after(|_, _| Ok(false), choose)
    }

    /// The same, with options before that word, which are offered to `take`; it answers false for those it does not know.
    pub fn command_after<T>(
        &mut self,
        mut take: impl FnMut(&mut Words, &str) -> Result<bool, Stop>,
        choose: impl FnOnce(&mut Words, Option<&str>) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let word = self.word(&mut take)?;
        choose(self, word.as_deref())
    }

    /// The next value, with options before it.
    fn word(&mut self, take: Take<'_>) -> Result<Option<String>, Stop> {
        loop {
            match self.next()? {
                None => return Ok(None),
                Some(Word::Value(word)) => return self.text(word).map(Some),
                Some(Word::Option(option)) => {
                    if !take(self, &option)? {
                        return Err(self.unknown_option(&option));
                    }
                }
            }
        }
    }

    /// Reads all that is left: exactly the values that `names` calls for, and options, which are offered to
    /// `take`; it answers false for those it does not know.
    pub fn rest<const N: usize>(
        &mut self,
        names: [&str; N],
        mut take: impl FnMut(&mut Words, &str) -> Result<bool, Stop>,
    ) -> Result<[String; N], Stop> {
        let (values, surplus) = self.named_and_more(names, &mut take)?;
        // A value too many is not quoted: it may be a key that was meant for --psk-stdin.
        if surplus.is_empty() { Ok(values) } else { Err(self.usage("too many arguments")) }
    }

    /// Like [`Words::rest`], with any number of values after the named ones.
    pub fn rest_and_more<const N: usize>(
        &mut self,
        names: [&str; N],
        mut take: impl FnMut(&mut Words, &str) -> Result<bool, Stop>,
    ) -> Result<([String; N], Vec<String>), Stop> {
        self.named_and_more(names, &mut take)
    }

    fn named_and_more<const N: usize>(
        &mut self,
        names: [&str; N],
        take: Take<'_>,
    ) -> Result<([String; N], Vec<String>), Stop> {
        let mut values = self.values(take)?;
        let more = values.split_off(N.min(values.len()));
        <[String; N]>::try_from(values).map(|values| (values, more)).map_err(|values| {
            let missing = names.get(values.len()).copied().unwrap_or_default();
            self.usage(format!("{missing} is missing"))
        })
    }

    /// All values that are left, with options before and between them.
    fn values(&mut self, take: Take<'_>) -> Result<Vec<String>, Stop> {
        let mut values = Vec::new();
        while let Some(word) = self.next()? {
            match word {
                Word::Value(value) => values.push(self.text(value)?),
                Word::Option(option) if is_secret(option.trim_start_matches('-')) => return Err(self.no_secrets()),
                Word::Option(option) => {
                    if !take(self, &option)? {
                        return Err(self.unknown_option(&option));
                    }
                }
            }
        }
        Ok(values)
    }

    /// Reads what is left, which must be nothing but the options every command takes.
    pub fn none(&mut self, topic: &'static str) -> Result<(), Stop> {
        self.about(topic);
        self.rest([], |_, _| Ok(false)).map(|[]| ())
    }

    /// The value of the option just read, as text.
    pub fn value(&mut self) -> Result<String, Stop> {
        let value = self.path()?;
        self.text(value)
    }

    /// The value of the option just read, as it is.
    pub fn path(&mut self) -> Result<OsString, Stop> {
        self.parser.value().map_err(|error| self.lexical(&error))
    }

    /// The refusal of a key given as an argument.
    pub fn no_secrets(&self) -> Stop {
        self.usage(
            "a key is never an argument, where other users could see it: --psk-stdin reads it from standard input",
        )
    }

    fn next(&mut self) -> Result<Option<Word>, Stop> {
        loop {
            let argument = match self.parser.next() {
                Ok(None) => return Ok(None),
                Ok(Some(lexopt::Arg::Value(value))) => return Ok(Some(Word::Value(value))),
                Ok(Some(lexopt::Arg::Long(name))) => format!("--{name}"),
                Ok(Some(lexopt::Arg::Short(name))) => format!("-{name}"),
                Err(error) => return Err(self.lexical(&error)),
            };
            match argument.as_str() {
                "--help" | "-h" => return Err(Stop::Help(self.topic)),
                "--version" | "-V" => return Err(Stop::Version),
                "--json" => self.json = true,
                "--socket" => self.socket = self.path()?.into(),
                _ => return Ok(Some(Word::Option(argument))),
            }
        }
    }

    fn text(&self, value: OsString) -> Result<String, Stop> {
        value.into_string().map_err(|_| self.usage("an argument is not UTF-8 text"))
    }

    fn unknown_option(&self, option: &str) -> Stop {
        let shown: String = option.chars().take(40).collect();
        self.usage(format!("there is no option {shown}"))
    }

    /// lexopt's own texts quote values, which could be secrets.
    fn lexical(&self, error: &lexopt::Error) -> Stop {
        match error {
            lexopt::Error::MissingValue { option: Some(option) } => self.usage(format!("{option} needs a value")),
            lexopt::Error::UnexpectedValue { option, .. } => self.usage(format!("{option} takes no value")),
            _ => self.usage("an argument cannot be understood"),
        }
    }
}

/// True for words by which people try to give a key.
pub fn is_secret(word: &str) -> bool {
    matches!(word, "psk" | "key" | "password" | "passphrase")
}
