//! The credentials of a device: the options by which they are asked for, and `device credential`.

use super::{flag, keyfiles, text};
use crate::cli::Context;
use crate::cli::args::{Stop, Words};
use crate::cli::client::Failure;
use crate::json::json;
use serde_json::Value;
use std::ffi::OsString;

/// Credentials for EAP, as they were asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Have an EAP-PSK key made.
    pub eap_psk: bool,
    /// Read it from this file, or standard input.
    pub eap_psk_key_file: Option<OsString>,
    /// The NAI that goes with it.
    pub nai: Option<String>,
    /// Have a certificate issued.
    pub certificate: bool,
    /// Where it is put, with its private key.
    pub out: Option<OsString>,
    /// Where the password of its PKCS#12 file is read from.
    pub p12_password_file: Option<OsString>,
    /// Files with certificates.
    pub certificate_files: Vec<OsString>,
    /// Files with public keys.
    pub public_key_files: Vec<OsString>,
    /// The maker that vouches for the device.
    pub maker: Option<String>,
    /// Its serial number there.
    pub serial_number: Option<String>,
    /// Its name there.
    pub alt_name: Option<String>,
}

impl Options {
    /// Takes an option, if it is one of these.
    pub fn take(&mut self, words: &mut Words, option: &str) -> Result<bool, Stop> {
        match option {
            "--eap-psk" => self.eap_psk = true,
            "--eap-psk-key-file" => self.eap_psk_key_file = Some(words.path()?),
            "--nai" => self.nai = Some(words.value()?),
            "--certificate" => self.certificate = true,
            "--out" => self.out = Some(words.path()?),
            "--p12-password-file" => self.p12_password_file = Some(words.path()?),
            "--certificate-file" => self.certificate_files.push(words.path()?),
            "--public-key-file" => self.public_key_files.push(words.path()?),
            "--maker" => self.maker = Some(words.value()?),
            "--serial-number" => self.serial_number = Some(words.value()?),
            "--alt-name" => self.alt_name = Some(words.value()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Checks what goes together; `psk_stdin`: the Wi-Fi key comes from standard input.
    pub fn check(&self, words: &Words, psk_stdin: bool) -> Result<(), Stop> {
        if self.eap_psk && self.eap_psk_key_file.is_some() {
            return Err(words.usage("--eap-psk makes a key, --eap-psk-key-file reads one: give only one of them"));
        }
        if psk_stdin && self.eap_psk_key_file.as_ref().is_some_and(|file| file == "-") {
            return Err(words.usage("two keys cannot come from standard input: give --eap-psk-key-file a file"));
        }
        if !self.certificate && (self.out.is_some() || self.p12_password_file.is_some()) {
            return Err(words.usage("--out and --p12-password-file go with --certificate"));
        }
        match (&self.maker, self.serial_number.is_some() || self.alt_name.is_some()) {
            (None, true) => Err(words.usage("--maker is missing: whose serial number or name it is")),
            (Some(_), false) => {
                Err(words.usage("--serial-number or --alt-name is missing: which device of the maker it is"))
            }
            _ => Ok(()),
        }
    }

    /// True when no credential is asked for.
    pub fn is_empty(&self) -> bool {
        !self.eap_psk
            && self.eap_psk_key_file.is_none()
            && !self.certificate
            && self.certificate_files.is_empty()
            && self.public_key_files.is_empty()
            && self.maker.is_none()
    }

    /// Reads the files and writes what is asked for into the arguments of a method.
    pub fn put(&self, context: &mut Context<'_>, name: &str, params: &mut Value) -> Result<(), Failure> {
        if self.eap_psk {
            params["eap_psk"] = true.into();
        }
        if let Some(path) = &self.eap_psk_key_file {
            params["eap_psk_key"] =
                keyfiles::read_line(context, path, "EAP-PSK key", "--eap-psk-key-file")?.as_str().into();
        }
        for (field, text) in [
            ("nai", &self.nai),
            ("maker", &self.maker),
            ("serial_number", &self.serial_number),
            ("alt_name", &self.alt_name),
        ] {
            if let Some(text) = text {
                params[field] = text.as_str().into();
            }
        }
        let mut certificates = Vec::new();
        for path in &self.certificate_files {
            certificates.push(keyfiles::certificates(context, path)?);
        }
        if !certificates.is_empty() {
            params["certificates"] = certificates.into();
        }
        let mut keys = Vec::new();
        for path in &self.public_key_files {
            keys.push(keyfiles::public_keys(context, path)?);
        }
        if !keys.is_empty() {
            params["public_keys"] = keys.into();
        }
        if self.certificate {
            params["certificate"] = true.into();
            match &self.out {
                Some(dir) => keyfiles::check_free(dir, name)?,
                None if context.json => {}
                None => {
                    let message = "--out DIR is missing: where the certificate and its private key are put, which are \
                                   given only once";
                    return Err(Failure::refused("missing", "out", message));
                }
            }
            if let Some(path) = &self.p12_password_file {
                let password = keyfiles::read_line(context, path, "password", "--p12-password-file")?;
                params["p12_password"] = password.as_str().into();
            }
        }
        Ok(())
    }
}

/// What to do with the credentials of a device.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Give it another one.
    Add {
        /// Which device.
        name: String,
        /// Have a Wi-Fi key made.
        generate: bool,
        /// Read one from standard input.
        psk_stdin: bool,
        /// What else.
        options: Box<Options>,
    },
    /// Take one away.
    Remove {
        /// Which device.
        name: String,
        /// Which of them.
        which: Which,
    },
}

/// One of a device's credentials.
#[derive(Debug, PartialEq, Eq)]
pub enum Which {
    /// Its Wi-Fi key.
    WifiKey,
    /// Its EAP-PSK key.
    EapPsk,
    /// The certificate or public key that begins like this.
    Certificate(String),
}

/// Understands the arguments.
pub fn parse(words: &mut Words) -> Result<Command, Stop> {
    words.about("device credential");
    words.command(|words, command| match command {
        Some("add") => {
            words.about("device credential add");
            let mut options = Options::default();
            let (mut generate, mut psk_stdin) = (false, false);
            let [name] = words.rest(["NAME"], |words, option| {
                Ok(flag(option, "--generate", &mut generate)
                    || flag(option, "--psk-stdin", &mut psk_stdin)
                    || options.take(words, option)?)
            })?;
            if generate && psk_stdin {
                return Err(words.usage("--generate makes a key, --psk-stdin reads one: give only one of them"));
            }
            options.check(words, psk_stdin)?;
            if !generate && !psk_stdin && options.is_empty() {
                return Err(words.usage("say which credential it gets: --eap-psk, for example"));
            }
            Ok(Command::Add { name, generate, psk_stdin, options: Box::new(options) })
        }
        Some("remove") => {
            words.about("device credential remove");
            let mut which = Vec::new();
            let [name] = words.rest(["NAME"], |words, option| {
                match option {
                    "--wifi-key" => which.push(Which::WifiKey),
                    "--eap-psk" => which.push(Which::EapPsk),
                    "--certificate" => which.push(Which::Certificate(words.value()?)),
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
            match <[Which; 1]>::try_from(which) {
                Ok([which]) => Ok(Command::Remove { name, which }),
                Err(_) => Err(words.usage("say which one goes: --wifi-key, --eap-psk or --certificate WHICH")),
            }
        }
        Some(other) => Err(words.unknown_command(other)),
        None => Err(words.usage("say what to do: add or remove")),
    })
}

/// Asks and prints.
pub fn run(context: &mut Context<'_>, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Add { name, generate, psk_stdin, options } => {
            let mut params = json!({ "name": name });
            if *generate {
                params["generate"] = true.into();
            }
            if *psk_stdin {
                params["key"] = context.read_key()?.expose().into();
            }
            options.put(context, name, &mut params)?;
            let reply = context.call("device_credential_add", params)?;
            finish(context, &reply, options, *psk_stdin)
        }
        Command::Remove { name, which } => {
            let mut params = json!({ "name": name });
            let what = match which {
                Which::WifiKey => {
                    params["key"] = true.into();
                    "Wi-Fi key"
                }
                Which::EapPsk => {
                    params["eap_psk"] = true.into();
                    "EAP-PSK key"
                }
                Which::Certificate(text) => {
                    params["certificate"] = text.as_str().into();
                    "certificate"
                }
            };
            let reply = context.call("device_credential_remove", params)?;
            context.finish(&reply, |reply, _| {
                let name = reply.at("device").text("name");
                format!("{name} has lost its {what}: it is refused from now on. latchkey device show {name} tells what is left.\n")
            })
        }
    }
}

/// Puts a certificate that was made into its files, and says what to do with all that is new.
pub fn finish(context: &mut Context<'_>, reply: &Value, options: &Options, typed: bool) -> Result<(), Failure> {
    let mut files = Vec::new();
    if let (Some(dir), Some(issued)) = (&options.out, reply.get("issued")) {
        let name = reply["device"]["name"].as_str().unwrap_or("device");
        match keyfiles::write(dir, name, issued) {
            Ok(written) => files = written,
            Err(why) => {
                // It is registered, and its key is nowhere else.
                context.note(&format!(
                    "latchkey: {why}\nThe certificate is registered. Keep what follows, it is not shown again; or remove the \
                     certificate and have another made.\n"
                ));
                let text = ["private_key", "certificate", "ca"].map(|part| issued[part].as_str().unwrap_or_default());
                return context.print(&text.concat());
            }
        }
    }
    context.finish(reply, |reply, look| text::added_with(reply, look, &files, typed))
}
