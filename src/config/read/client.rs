//! `config client`.

use super::super::error::quoted;
use super::super::{Client, MessageAuthenticator, Prefix};
use super::Scope;
use crate::secret::RadiusSecret;

/// A RADIUS secret has at least so many octets (RFC 2865, 3 asks for 16; it can be searched offline).
const MIN_SECRET: usize = 16;
/// And at least so many different ones.
const MIN_SECRET_DIFFERENT: usize = 6;
impl Scope<'_, '_> {
    pub(super) fn client(&mut self, place: usize) -> Option<Client> {
        let address = match self.entry("address") {
            None => {
                self.missing("address", "add option address '192.0.2.7', or a block such as '192.0.2.0/24'");
                None
            }
            Some(entry) => self.text(entry).and_then(|text| match text.parse::<Prefix>() {
                Ok(prefix) => {
                    if prefix.length() == 0 {
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
        let secret = self.radius_secret(address);
        let message_authenticator =
            self.word("message_authenticator", MessageAuthenticator::WORDS, MessageAuthenticator::Required);
        let disconnect_port = self.entry("disconnect_port").and_then(|entry| {
            let text = self.text(entry)?;
            let port = text.parse::<u16>().ok().filter(|port| *port > 0 && !text.starts_with('+'));
            if port.is_none() {
                let message = format!("{} is no UDP port: give a number from 1 to 65535", quoted(text));
                self.error(entry.line, Some("disconnect_port"), message);
            }
            port
        });
        Some(Client {
            name: self.name(place),
            address: address?,
            secret: secret?,
            message_authenticator,
            disconnect_port,
            radsec: None,
        })
    }

    fn radius_secret(&mut self, address: Option<Prefix>) -> Option<RadiusSecret> {
        let Some(entry) = self.entry("secret") else {
            self.missing("secret", "add option secret '...' with at least 16 characters");
            return None;
        };
        let octets = entry.value.octets();
        if octets.iter().any(u8::is_ascii_control) {
            self.error(entry.line, Some("secret"), "has control characters: write it anew in plain text".into());
            return None;
        }
        let mut different = [false; 256];
        octets.iter().for_each(|b| different[usize::from(*b)] = true);
        let different = different.iter().filter(|d| **d).count();
        let message = if octets.len() < MIN_SECRET {
            format!("has {} characters, which can be searched: give at least {MIN_SECRET} random ones", octets.len())
        } else if different < MIN_SECRET_DIFFERENT {
            format!("has only {different} different characters: give at least {MIN_SECRET} random ones")
        } else {
            return Some(RadiusSecret::new(octets));
        };
        // Who can listen on the loopback interface can read this file.
        if address.is_none_or(|a| a.is_loopback()) {
            self.warn(entry.line, "secret", message);
        } else {
            self.error(entry.line, Some("secret"), message);
        }
        Some(RadiusSecret::new(octets))
    }
}
