//! The method table: everything an administrator can ask for. The control socket serves it, ubus will.

mod brief;
mod bundle;
mod ca;
mod credential;
mod device;
mod edit;
mod firewall;
mod import;
mod log;
mod maker;
mod pair;
mod params;
mod pending;
mod place;
pub mod profile;
pub mod realm;
mod status;
mod supplicant;
mod view;

pub use view::hex;

pub use log::Filter;
pub use params::Kind;

use super::{Core, Now};
use crate::config::{ProfileEdit, Repoint};
use crate::json::json;
use crate::registry::device::Change;
use params::Params;
use serde_json::{Map, Value};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A refusal, as the client gets it. One word, since most of what can be refused hands it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError(Box<Refusal>);

/// What a refusal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A stable word for programs.
    pub code: &'static str,
    /// What is wrong and how to mend it. Never quotes a secret.
    pub message: String,
    /// The argument at fault.
    pub field: Option<String>,
    /// For `device_import`: every line at fault.
    pub lines: Vec<LineError>,
}

/// A bad line of an imported file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineError {
    /// Its number, the header being line 1; 0 when `field` alone says where.
    pub line: u64,
    /// The column at fault.
    pub field: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl ApiError {
    /// An error that is about no particular argument.
    pub fn new(code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError(Box::new(Refusal { code, message: message.into(), field: None, lines: Vec::new() }))
    }

    /// An error of one argument.
    pub fn field(code: &'static str, field: &str, message: impl Into<String>) -> ApiError {
        ApiError::new(code, message).about(field)
    }

    /// The same error of another argument.
    pub fn about(mut self, field: &str) -> ApiError {
        self.0.field = Some(field.into());
        self
    }

    /// The same error in other words.
    pub fn saying(mut self, message: String) -> ApiError {
        self.0.message = message;
        self
    }

    /// What is wrong and how to mend it.
    pub fn into_message(self) -> String {
        self.0.message
    }

    /// The reply that carries it.
    pub fn to_json(&self) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message, "field": self.field });
        if !self.lines.is_empty() {
            let line = |e: &LineError| json!({ "line": e.line, "field": e.field, "message": e.message });
            error["lines"] = self.lines.iter().map(line).collect();
        }
        json!({ "error": error })
    }
}

impl Deref for ApiError {
    type Target = Refusal;

    fn deref(&self) -> &Refusal {
        &self.0
    }
}

impl DerefMut for ApiError {
    fn deref_mut(&mut self) -> &mut Refusal {
        &mut self.0
    }
}

/// What a method came to.
pub enum Done {
    /// The result.
    Value(Value),
    /// Changes to make durable and to apply; then the result.
    Commit {
        /// The changes.
        changes: Vec<Change>,
        /// Makes the result from the state after them.
        then: Then,
    },
    /// An import, to be worked off in steps so that nobody else waits for it.
    Import(Box<dyn Import>),
    /// The servers of the realm of this name are to be tried out; [`realm::tested`] makes the result.
    RealmTest(Arc<str>),
    /// A realm to be moved in the configuration file; [`realm::moved`] makes the result.
    Repoint {
        /// Which, and where to.
        repoint: Box<Repoint>,
        /// Say what would change, and change nothing.
        dry_run: bool,
    },
    /// A profile to be added, changed or removed in the configuration file; [`profile::edited`] makes the result.
    Profile {
        /// What is to become of which.
        edit: Box<ProfileEdit>,
        /// Say what would change, and change nothing.
        dry_run: bool,
    },
    /// The configuration file to be read again; the result is empty once it is in force.
    Reload,
    /// The result, and after it every event that fits.
    Follow {
        /// The events so far.
        value: Value,
        /// Which events.
        filter: Filter,
    },
}

/// An import that is worked off in steps: thousands of devices take a slow router seconds in which the air goes on.
pub trait Import {
    /// Checks the next `n` devices. True when there are no more.
    fn step(&mut self, core: &mut Core, now: Now, n: usize) -> bool;

    /// The changes to make durable and to apply, all of them or none; then the result.
    ///
    /// # Errors
    /// Everything that is wrong; nothing is changed then.
    fn finish(self: Box<Self>) -> Result<(Vec<Change>, Then), ApiError>;
}

/// Makes a result from the state after a change.
pub type Then = Box<dyn FnOnce(&Core, Now) -> Value>;
type Run = fn(&mut Core, &Params, Now) -> Result<Done, ApiError>;

/// What a method does to whom, for access rules, which go by method and not by argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It tells, and reveals no secret.
    Read,
    /// It changes something, or goes out into the network. A secret it makes is in its answer.
    Write,
    /// It reveals secrets that exist.
    Secret,
}

/// A method.
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// Who may call it.
    pub class: Class,
    /// Its arguments.
    pub params: &'static [(&'static str, Kind)],
    /// It may change the registry: one such method runs at a time.
    pub writes: bool,
    /// It tells of the stations: their table is to be brought up to date first.
    pub stations: bool,
    run: Run,
}

const fn method(name: &'static str, class: Class, params: &'static [(&'static str, Kind)], run: Run) -> Method {
    Method { name, class, params, writes: false, stations: false, run }
}

const fn read(name: &'static str, params: &'static [(&'static str, Kind)], run: Run) -> Method {
    method(name, Class::Read, params, run)
}

/// Changes the registry.
const fn write(name: &'static str, params: &'static [(&'static str, Kind)], run: Run) -> Method {
    Method { writes: true, ..method(name, Class::Write, params, run) }
}

/// Changes something else, or takes the registry's lock itself, late.
const fn act(name: &'static str, params: &'static [(&'static str, Kind)], run: Run) -> Method {
    method(name, Class::Write, params, run)
}

const fn secret(name: &'static str, params: &'static [(&'static str, Kind)], run: Run) -> Method {
    method(name, Class::Secret, params, run)
}

/// The method before which the shell looks at the table in the kernel.
const FIREWALL_SHOW: &str = "firewall_show";

/// The method before which the shell makes a CA, if there is none.
const CA_EXPORT: &str = "ca_export";
const CA_ISSUE: &str = "ca_issue";

/// What a profile can have.
const PROFILE: &[(&str, Kind)] = &[
    ("name", Kind::Text),
    ("vlan", Kind::Number),
    ("access", Kind::Text),
    ("allow", Kind::Texts),
    ("hours", Kind::Texts),
    ("isolate", Kind::Flag),
    ("bridge", Kind::Text),
    ("addresses", Kind::Texts),
    ("dry_run", Kind::Flag),
];

/// Which part of a list of who is there, and how much of each.
const PART: &[(&str, Kind)] = &[("offset", Kind::Number), ("limit", Kind::Number), ("brief", Kind::Flag)];

/// All methods.
pub static METHODS: &[Method] = &[
    read("status", &[], status::status),
    write(
        "device_add",
        &[
            ("name", Kind::Text),
            ("profile", Kind::Text),
            ("macs", Kind::Texts),
            ("key", Kind::Text),
            ("generate", Kind::Flag),
            ("bind", Kind::Text),
            ("max_devices", Kind::Number),
            ("expires", Kind::Text),
            ("eap_psk", Kind::Flag),
            ("eap_psk_key", Kind::Text),
            ("nai", Kind::Text),
            ("certificate", Kind::Flag),
            ("p12_password", Kind::Text),
            ("certificates", Kind::Texts),
            ("public_keys", Kind::Texts),
            ("maker", Kind::Text),
            ("serial_number", Kind::Text),
            ("alt_name", Kind::Text),
            ("ssids", Kind::Texts),
            ("aps", Kind::Texts),
        ],
        device::add,
    ),
    write(
        "device_credential_add",
        &[
            ("name", Kind::Text),
            ("key", Kind::Text),
            ("generate", Kind::Flag),
            ("eap_psk", Kind::Flag),
            ("eap_psk_key", Kind::Text),
            ("nai", Kind::Text),
            ("certificate", Kind::Flag),
            ("p12_password", Kind::Text),
            ("certificates", Kind::Texts),
            ("public_keys", Kind::Texts),
            ("maker", Kind::Text),
            ("serial_number", Kind::Text),
            ("alt_name", Kind::Text),
        ],
        credential::add,
    ),
    write(
        "device_credential_remove",
        &[("name", Kind::Text), ("key", Kind::Flag), ("eap_psk", Kind::Flag), ("certificate", Kind::Text)],
        credential::remove,
    ),
    read("device_list", &[("offset", Kind::Number), ("limit", Kind::Number)], device::list),
    read("device_show", &[("name", Kind::Text)], device::show),
    secret("device_secret", &[("name", Kind::Text)], device::secret),
    write("device_set", &[("name", Kind::Text), ("set", Kind::Table)], device::set),
    write(
        "device_rotate",
        &[("name", Kind::Text), ("key", Kind::Text), ("eap_psk", Kind::Flag), ("eap_psk_key", Kind::Text)],
        device::rotate,
    ),
    write("device_block", &[("name", Kind::Text)], device::block),
    write("device_unblock", &[("name", Kind::Text)], device::unblock),
    write("device_remove", &[("name", Kind::Text)], device::remove),
    act("device_import", &[("csv", Kind::Text)], import::start),
    read("device_export", &[], import::export),
    secret("device_export_secrets", &[], import::export_secrets),
    read("profile_list", &[], profile::list),
    act("profile_add", PROFILE, profile::add),
    act("profile_set", PROFILE, profile::set),
    act("profile_remove", &[("name", Kind::Text), ("dry_run", Kind::Flag)], profile::remove),
    read("ssid_list", &[], status::ssids),
    write(
        "maker_add",
        &[
            ("name", Kind::Text),
            ("ca", Kind::Text),
            ("profile", Kind::Text),
            ("admit", Kind::Text),
            ("crls", Kind::Texts),
        ],
        maker::add,
    ),
    read("maker_list", &[], maker::list),
    read("maker_show", &[("name", Kind::Text)], maker::show),
    write(
        "maker_set",
        &[
            ("name", Kind::Text),
            ("ca", Kind::Text),
            ("profile", Kind::Text),
            ("admit", Kind::Text),
            ("crls", Kind::Texts),
        ],
        maker::set,
    ),
    write("maker_remove", &[("name", Kind::Text)], maker::remove),
    read("realm_list", &[], realm::list),
    read("realm_show", &[("name", Kind::Text)], realm::show),
    act("realm_test", &[("name", Kind::Text)], realm::test),
    act(
        "realm_repoint",
        &[
            ("name", Kind::Text),
            ("to", Kind::Texts),
            ("secret", Kind::Text),
            ("ca", Kind::Text),
            ("certificate", Kind::Text),
            ("private_key", Kind::Text),
            ("server_name", Kind::Text),
            ("dry_run", Kind::Flag),
        ],
        realm::repoint,
    ),
    act("config_reload", &[], realm::reload),
    act(
        "maker_import",
        &[
            ("bundle", Kind::Text),
            ("signed_by", Kind::Text),
            ("unsigned", Kind::Flag),
            ("force", Kind::Flag),
            ("profile", Kind::Text),
            ("admit", Kind::Text),
            ("register", Kind::Flag),
            ("dry_run", Kind::Flag),
        ],
        bundle::import,
    ),
    secret("maker_export", &[("name", Kind::Text), ("realms", Kind::Texts), ("all", Kind::Flag)], bundle::export),
    // These take the lock, too: the window is not closed or opened while a device is being registered in it.
    write(
        "pair_open",
        &[("profile", Kind::Text), ("minutes", Kind::Number), ("ssid", Kind::Text), ("name", Kind::Text)],
        pair::open,
    ),
    write("pair_stop", &[], pair::stop),
    Method { writes: true, ..read("pair_show", &[], pair::show) },
    read("pending_list", &[("ignored", Kind::Flag)], pending::list),
    write(
        "pending_approve",
        &[("mac", Kind::Text), ("name", Kind::Text), ("profile", Kind::Text), ("certificate", Kind::Text)],
        pending::approve,
    ),
    write("pending_ignore", &[("mac", Kind::Text)], pending::ignore),
    write("pending_unignore", &[("mac", Kind::Text)], pending::unignore),
    read(
        "log",
        &[
            ("mac", Kind::Text),
            ("device", Kind::Text),
            ("outcome", Kind::Texts),
            ("since", Kind::Number),
            ("limit", Kind::Number),
            ("follow", Kind::Flag),
        ],
        log::log,
    ),
    read("sessions", PART, status::sessions),
    Method { stations: true, ..read("stations", PART, status::stations) },
    read(FIREWALL_SHOW, &[], firewall::show),
    read("ca_show", &[], ca::show),
    // These take the lock, too: a CA may be made before them.
    write(CA_EXPORT, &[], ca::export),
    Method { writes: true, ..secret(CA_ISSUE, &[("name", Kind::Text)], ca::issue) },
    secret("qr", &[("name", Kind::Text), ("ssid", Kind::Text)], device::qr),
];

/// A call that is checked and can be run.
pub struct Call {
    method: &'static Method,
    params: Params,
}

impl Call {
    /// Parses one line of the control socket: `{"method":"...","params":{...}}`.
    ///
    /// # Errors
    /// Says what the line should have been.
    pub fn parse(line: &[u8]) -> Result<Call, ApiError> {
        let syntax = |why: String| ApiError::new("syntax", format!("not a request: {why}"));
        let value: Value = serde_json::from_slice(line).map_err(|e| syntax(e.to_string()))?;
        let Value::Object(mut request) = value else {
            return Err(syntax("expected {\"method\":\"...\",\"params\":{...}}".into()));
        };
        let params = match request.remove("params") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) => return Err(ApiError::field("type", "params", "params must be a table")),
        };
        match request.get("method").and_then(Value::as_str) {
            Some(name) => Call::new(name, params),
            None => Err(ApiError::field("missing", "method", "method is missing")),
        }
    }

    /// Checks a call of a method.
    ///
    /// # Errors
    /// When there is no such method, or an argument does not fit.
    pub fn new(name: &str, params: Map<String, Value>) -> Result<Call, ApiError> {
        let Some(method) = METHODS.iter().find(|method| method.name == name) else {
            let shown: String = name.chars().take(40).collect();
            return Err(ApiError::field("unknown_method", "method", format!("there is no method '{shown}'")));
        };
        Ok(Call { method, params: Params::check(params, method.params)? })
    }

    /// True when the table of stations is to be brought up to date before the call is run.
    pub fn tells_of_stations(&self) -> bool {
        // Once for all pages of the list.
        self.method.stations && matches!(self.params.number("offset", 0, u32::MAX), Ok(None | Some(0)))
    }

    /// True when the firewall's table is to be looked at before the call is run.
    pub fn tells_of_firewall(&self) -> bool {
        self.method.name == FIREWALL_SHOW
    }

    /// True when the table of neighbours is to be brought up to date before the call is run.
    pub fn tells_of_addresses(&self) -> bool {
        matches!(self.method.name, "stations" | "sessions")
    }

    /// True when the table of neighbours is to be brought up to date after the call, for the next one: it has a number that
    /// changes with it, and nobody is to wait for that.
    pub fn watches_addresses(&self) -> bool {
        self.method.name == "status"
    }

    /// True when there has to be a CA of our own before the call is run: it exports it, or issues a certificate.
    pub fn needs_ca(&self) -> bool {
        matches!(self.method.name, CA_EXPORT | CA_ISSUE) || self.params.flag("certificate")
    }

    /// Who may make the call.
    pub fn class(&self) -> Class {
        self.method.class
    }

    /// True when the call may change the registry: the caller runs one such call at a time, from here until the
    /// changes are applied.
    pub fn writes(&self) -> bool {
        self.method.writes
    }

    /// Runs the call.
    ///
    /// # Errors
    /// The refusal.
    pub fn run(&self, core: &mut Core, now: Now) -> Result<Done, ApiError> {
        let now = core.time.effective(now);
        (self.method.run)(core, &self.params, now)
    }
}

#[cfg(test)]
mod tests;

/// An event as clients see it.
pub use view::event as event_view;
/// An unknown device as clients see it.
pub use view::pending as pending_view;

/// For the fuzzer: any line is answered, and never with a panic.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    use crate::config::Config;
    use crate::registry::Registry;
    use crate::time::UnixTime;
    let text = "config profile 'iot'\n\toption vlan '20'\nconfig ssid\n\toption ssid 'Home'\n\toption unknown 'pairing'\n\
                  \toption onboarding_key 'come in and find out'\nconfig realm 'acme'\n\tlist realm 'acme.example'\n\
                  \tlist server 'radsec://aaa.acme.example'\n\toption profile 'iot'\n";
    let now = Now { wall: UnixTime(1_800_000_000), mono: std::time::Instant::now() };
    let mut counter = 0u8;
    let random = Box::new(move |buffer: &mut [u8]| {
        for octet in buffer {
            counter = counter.wrapping_mul(73).wrapping_add(41);
            *octet = counter;
        }
    });
    let Ok(config) = Config::parse(text) else { return };
    let mut core =
        Core::new(config.into(), Registry::default(), now, random, std::time::Instant::now, Box::new(|_| ()));
    for line in data.split(|b| *b == b'\n').take(16) {
        let done = Call::parse(line).and_then(|call| call.run(&mut core, now));
        match done {
            Ok(Done::Commit { changes, then }) => {
                core.apply(&changes);
                then(&core, now);
            }
            Ok(Done::Import(mut import)) => while !import.step(&mut core, now, 64) {},
            Ok(Done::Repoint { repoint, .. }) => drop(repoint.plan(std::path::Path::new("/"), text.as_bytes())),
            Ok(Done::Profile { edit, .. }) => {
                if let Ok(plan) = edit.plan(std::path::Path::new("/"), text.as_bytes()) {
                    profile::edited(&core, &edit, &plan, true);
                }
            }
            Ok(Done::Value(_) | Done::Follow { .. } | Done::RealmTest(_) | Done::Reload) | Err(_) => {}
        }
    }
}
