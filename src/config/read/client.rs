//! `config client`.

use super::super::error::quoted;
use super::super::{Client, MessageAuthenticator, Prefix, server};
use super::Scope;
use crate::secret::RadiusSecret;

/// A RADIUS secret has at least so many octets (RFC 2865, 3 asks for 16; it can be searched offline).
const MIN_SECRET: usize = 16;
/// And at least so many different ones.
const MIN_SECRET_DIFFERENT: usize = 6;
/// The secret of everybody who comes over TLS (RFC 6614, 2.3).
const RADSEC_SECRET: &[u8] = b"radsec";

impl Scope<'_, '_> {
    pub(super) fn client(&mut self, place: usize) -> Option<Client> {
        let radsec = self.entry("radsec").map(|_| self.client_name());
        let address = match self.entry("address") {
            // Who has the right certificate may be anywhere.
            None if radsec.is_some() => Some(Prefix::ANY),
            None => {
                self.missing("address", "add option address '192.0.2.7', or a block such as '192.0.2.0/24'");
                None
            }
            Some(entry) => self.text(entry).and_then(|text| match text.parse::<Prefix>() {
                Ok(prefix) => {
                    if prefix.length() == 0 && radsec.is_none() {
                        let message = "lets every host in the world ask: give the address of the NAS";
                        self.warn(entry.line, "address", message.into());
                    }
                    Some(prefix)
                }
                Err(e) => {
                    self.error(entry.line, Some("address"), format!("{} {e}", quoted(text)));
                    None
                }
            }),
        };
        let secret = match &radsec {
            Some(_) => self.no_secret_with_radsec(),
            // Who can listen on the loopback interface can read this file.
            None => self.radius_secret(address.is_none_or(|a| a.is_loopback()), true),
        };
        let message_authenticator =
            self.word("message_authenticator", MessageAuthenticator::WORDS, MessageAuthenticator::Required);
        let disconnect_port = self.entry("disconnect_port").and_then(|entry| {
            let text = self.text(entry)?;
            let port = server::port(text);
            if radsec.is_some() {
                let message = "has no effect with option radsec: Disconnect-Requests go over its connection; remove it";
                self.warn(entry.line, "disconnect_port", message.into());
            } else if port.is_none() {
                let message = format!("{} is no UDP port: give a number from 1 to 65535", quoted(text));
                self.error(entry.line, Some("disconnect_port"), message);
            }
            port.filter(|_| radsec.is_none())
        });
        let radsec = match radsec {
            Some(name) => Some(name?),
            None => None,
        };
        Some(Client {
            name: self.name(place),
            address: address?,
            secret: secret?,
            message_authenticator,
            disconnect_port,
            radsec,
        })
    }

    fn no_secret_with_radsec(&mut self) -> Option<RadiusSecret> {
        if let Some(entry) = self.entry("secret") {
            let message = "makes no sense with option radsec, where the certificate says who it is: remove one of them";
            self.error(entry.line, Some("secret"), message.into());
        }
        Some(RadiusSecret::new(RADSEC_SECRET))
    }

    /// A secret shared with the other side; one that can be found out is refused, unless the other side is on this host.
    /// `expected`: it has to be there.
    pub(super) fn radius_secret(&mut self, on_this_host: bool, expected: bool) -> Option<RadiusSecret> {
        let Some(entry) = self.entry("secret") else {
            if expected {
                self.missing("secret", "add option secret '...' with at least 16 characters");
            }
            return None;
        };
        let octets = entry.value.octets();
        if octets.iter().any(u8::is_ascii_control) {
            self.error(entry.line, Some("secret"), "has control characters: write it anew in plain text".into());
            return None;
        }
        if let Some(message) = weakness(octets) {
            if on_this_host {
                self.warn(entry.line, "secret", message);
            } else {
                self.error(entry.line, Some("secret"), message);
            }
        }
        Some(RadiusSecret::new(octets))
    }
}

/// What is wrong with a RADIUS secret that others could listen to, and the mend.
fn weakness(octets: &[u8]) -> Option<String> {
    let mut different = [false; 256];
    octets.iter().for_each(|b| different[usize::from(*b)] = true);
    let different = different.iter().filter(|d| **d).count();
    if octets.len() < MIN_SECRET {
        Some(format!("has {} characters, which can be searched: give at least {MIN_SECRET} random ones", octets.len()))
    } else if different < MIN_SECRET_DIFFERENT {
        Some(format!("has only {different} different characters: give at least {MIN_SECRET} random ones"))
    } else {
        None
    }
}
