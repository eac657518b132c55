//! Moving a realm to other servers: what that changes in the configuration file, before anything is written.

use super::file::diff;
use super::plan::{Plan, PlanError, check_future, check_present};
use super::realm::{Host, Realm, Server, Target, Transport};
use super::{Config, ConfigError};
use crate::secret::RadiusSecret;
use crate::wire::uci::edit::{Change, edit};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where the devices of a realm are to be authenticated from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// Here.
    Local,
    /// By servers that DNS tells.
    Discover,
    /// By these, at least one.
    Servers(Vec<Server>),
}

impl To {
    /// Reads `local`, `discover`, or servers.
    ///
    /// # Errors
    /// What is wrong with which of them, and the mend.
    pub fn parse<'t>(words: impl Iterator<Item = &'t str>) -> Result<To, String> {
        let mut servers = Vec::new();
        let words: Vec<&str> = words.collect();
        for word in &words {
            match *word {
                "local" if words.len() == 1 => return Ok(To::Local),
                "discover" if words.len() == 1 => return Ok(To::Discover),
                "local" | "discover" => return Err(format!("{word} goes alone, without servers beside it")),
                word => {
                    let shown: String = word.chars().take(40).collect();
                    let server: Server = word.parse().map_err(|why| format!("'{shown}' {why}"))?;
                    if servers.contains(&server) {
                        return Err(format!("{server} is given twice: leave one out"));
                    }
                    servers.push(server);
                }
            }
        }
        if servers.is_empty() {
            return Err("no server is given: radsec://HOST, udp://HOST, discover, or local".into());
        }
        Ok(To::Servers(servers))
    }

    fn uses(&self, transport: Transport) -> bool {
        match self {
            To::Local => false,
            To::Discover => transport == Transport::Radsec,
            To::Servers(servers) => servers.iter().any(|server| server.transport == transport),
        }
    }
}

/// What is to become of a realm; what is not given stays, where it still makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repoint {
    /// The name of its section.
    pub realm: Box<str>,
    /// Where to.
    pub to: To,
    /// The secret shared with the new servers, for UDP.
    pub secret: Option<RadiusSecret>,
    /// The file of the authorities of the new servers' certificates; an absolute path.
    pub ca: Option<PathBuf>,
    /// The files of the certificate we show and of its key; absolute paths.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The name in the new servers' certificate.
    pub server_name: Option<Box<str>>,
}

impl Repoint {
    /// Finds out what has to change in a file, which says this. Changes nothing.
    ///
    /// # Errors
    /// An argument that does not fit, a file that is not in order, or a result that would not be.
    pub fn plan(&self, path: &Path, text: &[u8]) -> Result<Plan<Realm>, PlanError> {
        self.fits()?;
        let (old, _) = check_present(path, text)?;
        let before = find(&old, &self.realm)?.clone();
        if self.to.uses(Transport::Udp) && self.secret.is_none() && before.secret.is_none() {
            let message = "udp:// servers need the secret that is shared with them: --secret-file FILE";
            return Err(wrong("secret", message));
        }
        let mut notes = Vec::new();
        let edited = self.edit(text, &before, &mut notes)?;
        let (new, warnings) = check_future(path, &edited)?;
        let after = find(&new, &before.name)?.clone();
        let about = |warning: &&ConfigError| warning.section == format!("config realm '{}'", before.name);
        let warnings = warnings.iter().filter(about).map(|warning| warning.in_file(path)).collect();
        Ok(Plan { diff: diff(text, &edited), text: edited, before, after, notes, warnings })
    }

    /// What makes no sense whatever the file says.
    fn fits(&self) -> Result<(), PlanError> {
        let (udp, radsec) = (self.to.uses(Transport::Udp), self.to.uses(Transport::Radsec));
        if self.secret.is_some() && !udp {
            return Err(wrong("secret", "a secret is for udp:// servers, and none of these is one: leave it out"));
        }
        let files = [
            ("ca", self.ca.is_some()),
            ("certificate", self.certificate.is_some()),
            ("server_name", self.server_name.is_some()),
        ];
        if let Some((field, _)) = files.iter().find(|(_, given)| *given && !radsec) {
            let message = format!("{field} is for radsec:// servers, and none of these is one: leave it out");
            return Err(wrong(field, message));
        }
        if self.to == To::Discover && self.server_name.is_some() {
            let message =
                "with discover the server's certificate has to name the realm itself (NAIRealm): leave server_name out";
            return Err(wrong("server_name", message));
        }
        Ok(())
    }

    fn edit(&self, text: &[u8], before: &Realm, notes: &mut Vec<String>) -> Result<Zeroizing<Vec<u8>>, PlanError> {
        let (udp, radsec) = (self.to.uses(Transport::Udp), self.to.uses(Transport::Radsec));
        let servers: Vec<String> = match &self.to {
            To::Local => vec!["local".into()],
            To::Discover => Vec::new(),
            To::Servers(servers) => servers.iter().map(Server::to_string).collect(),
        };
        let same = match (&self.to, &before.target) {
            (To::Servers(new), Target::Servers(old)) => new == old,
            (To::Local, Target::Local) | (To::Discover, Target::Discover) => true,
            _ => false,
        };
        let mut changes = Vec::new();
        // As it is written already, where it means the same.
        if !same {
            let values = servers.iter().map(|server| server.as_bytes()).collect();
            changes.push(Change { option: "server", list: true, values });
            changes.push(option("discover", (self.to == To::Discover).then_some(b"1")));
        }
        match &self.secret {
            Some(secret) => changes.push(option("secret", Some(secret.expose()))),
            None if !udp => {
                changes.push(option("secret", None));
                note(notes, before.secret.is_some(), "the secret goes: nobody is asked over UDP any more");
            }
            None => {
                let stays = "the secret stays: give --secret-file if the new servers have another";
                note(notes, before.secret.is_some() && !same, stays);
            }
        }
        let tls = &before.tls;
        if let Some(ca) = &self.ca {
            changes.push(option("ca", Some(ca.as_os_str().as_bytes())));
        } else if !radsec {
            changes.push(option("ca", None));
        } else if !same {
            let by = tls.ca.as_ref().map_or("our own CA".into(), |ca| format!("a CA in {}", ca.display()));
            note(notes, true, &format!("the new servers' certificates have to be signed by {by}: --ca names another"));
        }
        if let Some((certificate, key)) = &self.certificate {
            changes.push(option("certificate", Some(certificate.as_os_str().as_bytes())));
            changes.push(option("private_key", Some(key.as_os_str().as_bytes())));
        } else if !radsec {
            changes.push(option("certificate", None));
            changes.push(option("private_key", None));
        }
        let files = tls.ca.is_some() || tls.certificate.is_some();
        note(notes, files && !radsec, "the names of certificate files go: nobody is asked over RadSec any more");
        if let Some(name) = &self.server_name {
            changes.push(option("server_name", Some(name.as_bytes())));
        } else if !self.keeps_a_host(before) {
            changes.push(option("server_name", None));
            let goes = "server_name goes: the new servers' certificates are for their own names";
            note(notes, tls.name.is_some() && radsec, goes);
        }
        edit(text, "realm", &before.name, &changes).map_err(|why| PlanError::file(why.to_string()))
    }

    /// True when one of the RadSec servers is on a host that was asked before: the expected name may still be right.
    fn keeps_a_host(&self, before: &Realm) -> bool {
        let hosts = |servers: &[Server]| -> Vec<Host> {
            servers.iter().filter(|s| s.transport == Transport::Radsec).map(|s| s.host.clone()).collect()
        };
        match (&self.to, &before.target) {
            (To::Servers(new), Target::Servers(old)) => {
                let old = hosts(old);
                hosts(new).iter().any(|host| old.contains(host))
            }
            _ => false,
        }
    }
}

fn option<'v>(option: &'static str, value: Option<&'v [u8]>) -> Change<'v> {
    Change { option, list: false, values: value.into_iter().collect() }
}

fn note(notes: &mut Vec<String>, applies: bool, text: &str) {
    if applies {
        notes.push(text.into());
    }
}

fn wrong(field: &'static str, message: impl Into<String>) -> PlanError {
    PlanError::of("repoint", field, message)
}

/// The realm of this name.
fn find<'c>(config: &'c Config, name: &str) -> Result<&'c Realm, PlanError> {
    config.realm(name).ok_or_else(|| wrong("realm", no_realm(config, name)))
}

/// That there is no realm of this name, and which there are.
pub(crate) fn no_realm(config: &Config, name: &str) -> String {
    let shown: String = name.chars().take(40).collect();
    let known: Vec<&str> = config.realms.iter().map(|realm| &*realm.name).collect();
    if known.is_empty() {
        format!("there is no realm '{shown}': the configuration has no section config realm, add one")
    } else {
        format!("there is no realm '{shown}': there are {}", known.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
config profile 'iot'
\toption vlan '20'

config realm 'acme'
\tlist realm 'acme.example'
\tlist server 'radsec://aaa.acme.example'    # the first
\tlist server 'radsec://bbb.acme.example:2083'
\toption ca '/etc/latchkey/acme.pem'
\toption server_name 'aaa.acme.example'
\toption profile 'iot'
# the end
";
    const SECRET: &str = "SWQXK-JVZRP-RADIUS-9";

    fn to(words: &str) -> Repoint {
        let to = To::parse(words.split(' ')).expect(words);
        Repoint { realm: "ACME".into(), to, secret: None, ca: None, certificate: None, server_name: None }
    }

    fn with_secret(words: &str) -> Repoint {
        Repoint { secret: Some(RadiusSecret::new(SECRET.as_bytes())), ..to(words) }
    }

    fn planned(repoint: &Repoint, text: &str) -> (Vec<String>, Vec<String>) {
        let plan = repoint.plan(Path::new("/f"), text.as_bytes()).unwrap_or_else(|why| panic!("{why:?}"));
        assert!(!format!("{plan:?}").contains("SWQXK"), "secrets are not shown");
        assert_eq!(super::super::Config::parse(&plan.text).expect("valid").realms, [plan.after]);
        (plan.diff.iter().map(|l| format!("{}{} {}", l.sign, l.line, l.text.trim())).collect(), plan.notes)
    }

    #[test]
    fn what_changes_and_what_stays() {
        let (lines, notes) = planned(&to("local"), FILE);
        let expected = [
            "-6 list server 'radsec://aaa.acme.example'    # the first",
            "-7 list server 'radsec://bbb.acme.example:2083'",
            "-8 option ca '/etc/latchkey/acme.pem'",
            "-9 option server_name 'aaa.acme.example'",
            "+6 list server 'local'    # the first",
        ];
        assert_eq!(lines, expected);
        assert_eq!(notes, ["the names of certificate files go: nobody is asked over RadSec any more"]);

        let (lines, notes) = planned(&with_secret("udp://192.0.2.7"), FILE);
        assert_eq!(lines[4..], ["+6 list server 'udp://192.0.2.7:1812'    # the first", "+7 option secret '...'"]);
        assert_eq!(notes.len(), 1);

        let (lines, notes) = planned(&to("radsec://new.example"), FILE);
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("option ca")));
        assert!(notes[0].contains("signed by a CA in /etc/latchkey/acme.pem: --ca names another"), "{notes:?}");
        assert!(notes[1].contains("server_name goes"), "{notes:?}");

        let moved = Repoint {
            ca: Some("/etc/latchkey/new.pem".into()),
            certificate: Some(("/etc/latchkey/a.crt".into(), "/etc/latchkey/a.key".into())),
            server_name: Some("radius.new.example".into()),
            ..to("radsec://192.0.2.7 radsec://[2001:db8::7]:1")
        };
        let (lines, notes) = planned(&moved, FILE);
        assert!(lines.contains(&"+10 option private_key '/etc/latchkey/a.key'".into()), "{lines:?}");
        assert!(lines.contains(&"+11 option server_name 'radius.new.example'".into()), "{lines:?}");
        assert_eq!(notes, [""; 0]);
        // In another order the hosts are the same, and so is the name.
        let (lines, _) = planned(&to("radsec://bbb.acme.example radsec://aaa.acme.example"), FILE);
        assert!(lines.iter().all(|line| line.contains("list server")), "{lines:?}");
    }

    #[test]
    fn back_and_forth() {
        let local = to("local").plan(Path::new("/f"), FILE.as_bytes()).expect("a plan");
        assert_eq!(local.after.target, Target::Local);
        let discover = to("discover").plan(Path::new("/f"), &local.text).expect("a plan");
        assert_eq!(discover.after.target, Target::Discover);
        let udp = with_secret("udp://192.0.2.7").plan(Path::new("/f"), &discover.text).expect("a plan");
        assert_eq!(udp.after.secret.as_ref().map(RadiusSecret::expose), Some(SECRET.as_bytes()));
        let stays = to("udp://192.0.2.8").plan(Path::new("/f"), &udp.text).expect("a plan");
        assert_eq!(stays.after.secret, udp.after.secret);
        assert_eq!(stays.notes, ["the secret stays: give --secret-file if the new servers have another"]);
        let nothing = to("udp://192.0.2.8").plan(Path::new("/f"), &stays.text).expect("a plan");
        assert_eq!((nothing.diff.len(), nothing.notes.len()), (0, 0));
    }

    #[test]
    fn what_is_refused() {
        let file = |old: &str, new: &str| FILE.replacen(old, new, 1);
        let name = |repoint: Repoint| Repoint { server_name: Some("a.example".into()), ..repoint };
        for (repoint, text, field, expected) in [
            (with_secret("local"), FILE.to_owned(), Some("secret"), "a secret is for udp:// servers"),
            (with_secret("radsec://a.example"), FILE.to_owned(), Some("secret"), "a secret is for udp:// servers"),
            (
                name(with_secret("udp://a.example")),
                FILE.to_owned(),
                Some("server_name"),
                "server_name is for radsec:// servers",
            ),
            (name(to("discover")), FILE.to_owned(), Some("server_name"), "with discover the server's certificate"),
            (
                Repoint { realm: "other".into(), ..to("local") },
                FILE.to_owned(),
                Some("realm"),
                "there is no realm 'other': there are acme",
            ),
            (
                to("local"),
                String::new(),
                Some("realm"),
                "there is no realm 'ACME': the configuration has no section config realm",
            ),
            (
                to("local"),
                file("vlan", "vlam"),
                None,
                "the configuration has to be mended first:\n/f:2: config profile 'iot'",
            ),
            (
                to("udp://192.0.2.7"),
                FILE.to_owned(),
                Some("secret"),
                "udp:// servers need the secret that is shared with them",
            ),
            (with_secret("udp://127.0.0.1"), FILE.to_owned(), None, "the configuration would be refused:\n"),
            (
                Repoint { secret: Some(RadiusSecret::new(b"testing123")), ..to("udp://192.0.2.7") },
                FILE.to_owned(),
                None,
                "the configuration would be refused:\n/f:7: config realm 'acme': option secret: has 10 characters",
            ),
        ] {
            let why = repoint.plan(Path::new("/f"), text.as_bytes()).expect_err(expected);
            assert!(why.field == field && why.message.starts_with(expected), "{why:?} instead of {expected}");
        }
        for (words, expected) in [
            ("", "'' is no server"),
            ("192.0.2.7", "'192.0.2.7' is no server: write udp://192.0.2.7"),
            ("local udp://192.0.2.7", "local goes alone"),
            ("udp://192.0.2.7 discover", "discover goes alone"),
            ("udp://192.0.2.7 udp://192.0.2.7:1812", "udp://192.0.2.7:1812 is given twice"),
        ] {
            let why = To::parse(words.split(' ')).expect_err(words);
            assert!(why.starts_with(expected), "{why}");
        }
        assert!(To::parse(std::iter::empty()).is_err());
    }
}
