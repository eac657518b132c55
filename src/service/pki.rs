//! Our own CA, the certificate devices see, and whom we trust: what the shell has read from files, and the registry.

use super::Core;
use crate::pki::CertificateInfo;
use crate::pki::authority::{Authority, Issued, Random};
use crate::pki::crl::Crls;
use crate::pki::server::ServerCertificate;
use crate::pki::trust::Trust;
use crate::registry::Registry;
use crate::time::UnixTime;
use std::sync::Arc;

const DAY: i64 = 86_400;
/// How many days before an end it is told, and told again.
const WARN: [i64; 3] = [90, 30, 7];
/// How many devices are named whose certificates end.
const NAMED: usize = 8;

/// What the shell has found in files.
#[derive(Debug, Default)]
pub struct Files {
    /// Our own CA.
    pub own: OwnCa,
    /// The certificate for devices to see; without one there is no EAP-TLS.
    pub server: Option<ServerCertificate>,
    /// What is wrong with files, in words with the mend.
    pub troubles: Vec<String>,
}

/// What there is of our own CA.
#[derive(Debug, Default)]
pub enum OwnCa {
    /// Nothing: it is made when it is needed.
    #[default]
    None,
    /// Its certificate, DER, without its key: what it has signed counts, and nothing can be issued.
    Certificate(Box<[u8]>, Box<CertificateInfo>),
    /// All of it.
    Whole(Box<Authority>),
}

impl OwnCa {
    /// Its certificate, DER.
    pub fn certificate(&self) -> Option<&[u8]> {
        match self {
            OwnCa::None => None,
            OwnCa::Certificate(der, _) => Some(der),
            OwnCa::Whole(authority) => Some(authority.certificate()),
        }
    }

    /// What its certificate says.
    pub fn info(&self) -> Option<&CertificateInfo> {
        match self {
            OwnCa::None => None,
            OwnCa::Certificate(_, info) => Some(info),
            OwnCa::Whole(authority) => Some(authority.info()),
        }
    }
}

/// Certificates and trust.
#[derive(Debug, Default)]
pub struct Pki {
    files: Files,
    /// The revocation lists, by their files. After a change: [`Pki::refresh`].
    pub crls: Crls,
    trust: Arc<Trust>,
    endings: Vec<Ending>,
    /// Revocation lists that cannot be used.
    unread: Vec<Warning>,
}

/// Something that ends.
#[derive(Debug)]
struct Ending {
    what: String,
    at: UnixTime,
    /// Days before, at which it is first told.
    early: i64,
    mend: String,
}

/// Something that ends soon, or has ended, or cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What ends.
    pub about: String,
    /// In words with the mend.
    pub text: String,
    /// 90, 30 or 7: the days that are left, rounded up to one of these; 0 when none is left. It is told again when this changes.
    pub stage: i64,
}

impl Pki {
    /// Takes what was found in files. Afterwards: [`Pki::refresh`].
    pub fn set_files(&mut self, files: Files) {
        self.files = files;
    }

    /// Our own CA.
    pub fn own(&self) -> &OwnCa {
        &self.files.own
    }

    /// The certificate for devices to see. `None`: there is no EAP-TLS.
    pub fn server(&self) -> Option<&ServerCertificate> {
        self.files.server.as_ref()
    }

    /// Whose certificates count, as of the last [`Pki::refresh`].
    pub fn trust(&self) -> Arc<Trust> {
        self.trust.clone()
    }

    /// What is wrong with files, in words with the mend.
    pub fn troubles(&self) -> &[String] {
        &self.files.troubles
    }

    /// Puts together anew whose certificates count: after each change of makers, of devices with certificates, of lists or files.
    pub fn refresh(&mut self, registry: &Registry) {
        let named = |path: &std::path::Path| registry.makers().any(|maker| maker.crls.iter().any(|crl| crl == path));
        self.crls.keep(named);
        self.crls.hold(registry.makers().map(|maker| (&maker.name, maker.lists.as_slice())));
        self.trust = Arc::new(Trust::new(self.files.own.certificate(), registry, &self.crls));
        self.endings = self.endings(registry);
        self.unread = self.unread(registry);
    }

    /// Makes a certificate for a device under our own CA. It counts as soon as the registry has it ([`Issued::known_by`], with
    /// `issued` true), and no longer than that.
    ///
    /// # Errors
    /// When there is no CA that could sign it, in words with the mend.
    pub fn issue(&self, device_name: &str, now: UnixTime, random: Random<'_>) -> Result<Issued, String> {
        self.authority(now)?.issue(device_name, None, random)
    }

    /// Makes a certificate for an access point of this name that comes over RadSec, or for a server.
    ///
    /// # Errors
    /// When there is no CA that could sign it, in words with the mend.
    pub fn issue_for_peer(&self, name: &str, now: UnixTime, random: Random<'_>) -> Result<Issued, String> {
        self.authority(now)?.issue_for_peer(name, now, random)
    }

    /// Our own CA with its key.
    fn authority(&self, now: UnixTime) -> Result<&Authority, String> {
        match &self.files.own {
            OwnCa::Whole(authority) => {
                authority.info().check_dates(now).map_err(|why| format!("the certificate of latchkey's CA {why}"))?;
                Ok(authority)
            }
            OwnCa::Certificate(..) => {
                Err("the key of latchkey's CA (ca.key) is missing or damaged, so nothing can be issued: \
                                           latchkey status tells more"
                    .into())
            }
            OwnCa::None => match self.files.troubles.first() {
                Some(why) => Err(format!("there is no CA to issue it: {why}")),
                None => Err("there is no CA to issue it yet".into()),
            },
        }
    }

    /// Revocation lists that cannot be used; then what ends soon, or has ended, the nearest first.
    pub fn warnings(&self, now: UnixTime) -> Vec<Warning> {
        let mut near: Vec<(&Ending, i64)> = self.endings.iter().map(|ending| (ending, ending.at.0 - now.0)).collect();
        near.retain(|(ending, left)| *left <= ending.early * DAY);
        near.sort_by_key(|(_, left)| *left);
        self.unread.iter().cloned().chain(near.into_iter().map(|(ending, left)| ending.warning(left))).collect()
    }

    fn unread(&self, registry: &Registry) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for (maker, path) in registry.makers().flat_map(|maker| maker.crls.iter().map(move |path| (maker, path))) {
            let Some(why) = self.crls.trouble(path) else { continue };
            let about = format!("the revocation list {} of the maker {}", path.display(), maker.name);
            let meanwhile = match (self.crls.required, self.crls.lists(path).is_empty()) {
                (true, _) => "until then devices of this maker are refused",
                (false, true) => "until then certificates it has revoked are let in",
                (false, false) => "until then the one read before is used",
            };
            warnings.push(Warning { text: format!("{about}: {why}; {meanwhile}"), about, stage: 0 });
        }
        warnings
    }

    fn endings(&self, registry: &Registry) -> Vec<Ending> {
        let mut endings = Vec::new();
        let first = WARN[0];
        let mut add = |what: String, at: Option<UnixTime>, early: i64, mend: String| {
            endings.extend(at.map(|at| Ending { what, at, early, mend }));
        };
        if let Some(info) = self.files.own.info() {
            let mend = "remove ca.crt, ca.key, server.crt and server.key in state_dir/pki and start latchkey again, then put the \
                        new CA (latchkey ca export) and new certificates on all devices";
            add(format!("latchkey's CA {}", info.subject), info.not_after, 2 * 365, mend.into());
        }
        if let Some(server) = &self.files.server {
            let mend = match server.given {
                true => "have it renewed, put it in place of the old one, and reload latchkey",
                false => "start latchkey again, or reload it: it makes a new one",
            };
            add(format!("the server certificate {}", server.info.subject), server.info.not_after, first, mend.into());
        }
        for maker in registry.makers() {
            for der in &maker.authorities {
                let Ok(info) = CertificateInfo::parse(der) else { continue };
                let mend =
                    "ask it for the next one; devices it has signed are let in as long as the maker is registered";
                add(format!("the CA {} of the maker {}", info.subject, maker.name), info.not_after, first, mend.into());
            }
            for path in &maker.crls {
                for crl in self.crls.lists(path) {
                    let mend = match self.crls.required {
                        true => "fetch the new one, or devices of this maker are refused",
                        false => "fetch the new one; certificates revoked since are still let in",
                    };
                    // Lists live for a day or a year: a tenth of that is early enough.
                    let early = (crl.next_update.0 - crl.this_update.0) / DAY / 10;
                    let what = format!("the revocation list {} of the maker {}", path.display(), maker.name);
                    add(what, Some(crl.next_update), early.clamp(0, first), mend.into());
                }
            }
        }
        for maker in registry.makers() {
            for crl in self.crls.held(&maker.name) {
                let early = (crl.next_update.0 - crl.this_update.0) / DAY / 10;
                let what = format!("a revocation list that came in a bundle of the maker {}", maker.name);
                let mend =
                    "import a newer bundle, or name a file with the newer list: latchkey maker set NAME --crl FILE";
                add(what, Some(crl.next_update), early.clamp(0, first), mend.into());
            }
        }
        let credentials = registry.devices().filter_map(|device| Some((&device.name, device.eap.as_ref()?)));
        let certificates =
            credentials.flat_map(|(name, eap)| eap.certificates.iter().map(move |certificate| (name, certificate)));
        let mut ends: Vec<_> =
            certificates.filter_map(|(name, certificate)| Some((certificate.not_after?, name))).collect();
        ends.sort();
        for (at, name) in ends.into_iter().take(NAMED) {
            let mend = format!("register its next one: latchkey device credential add {name} ...");
            add(format!("the certificate of the device {name}"), Some(at), first, mend);
        }
        endings
    }
}

impl Core {
    /// Puts whose certificates count into force: after changes of makers, of devices with certificates, of revocation lists, and of
    /// the files. Devices on the air that might be refused now have to come back.
    pub fn refresh_pki(&mut self) {
        let before = self.pki.trust();
        self.pki.refresh(&self.registry);
        self.eap.follow(&self.pki, &self.config);
        self.revoke_doubtful(&before);
    }
}

impl Ending {
    fn warning(&self, left: i64) -> Warning {
        let (what, mend) = (&self.what, &self.mend);
        let days = left.div_euclid(DAY);
        let text = match days {
            ..0 => format!("{what} ended on {}: {mend}", self.at),
            0 => format!("{what} ends within a day, on {}: {mend}", self.at),
            _ => format!("{what} ends in {days} days, on {}: {mend}", self.at),
        };
        let stage = match days {
            ..0 => 0,
            _ => WARN.into_iter().rev().find(|stage| days < *stage).unwrap_or(self.early),
        };
        Warning { about: what.clone(), text, stage }
    }
}

#[cfg(test)]
mod tests;
