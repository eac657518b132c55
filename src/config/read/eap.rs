//! `config eap`.

use super::super::error::quoted;
use super::super::server::{self, MAX_NAME};
use super::super::{CrlRequired, Eap, EapMethod, TlsVersion};
use super::Scope;
use crate::config::error::suggest;
use std::sync::Arc;

/// Our name and the realm when none are given: in the domain for networks at home (RFC 8375), which nobody else owns.
const NAME: &str = "latchkey.home.arpa";
/// A network access identifier has 253 octets at most (RFC 7542, 2.3), and the realm is not all of it: there is the name
/// of a device (32), four characters that make it unique, a dot and an @.
const MAX_REALM: usize = 200;

/// What holds without the section.
pub(super) fn default() -> Eap {
    Eap {
        realm: NAME.into(),
        server_name: NAME.into(),
        certificate: None,
        tls_min: TlsVersion::V1_2,
        crl_required: CrlRequired::No,
        methods: EapMethod::WORDS.iter().map(|(_, method)| *method).collect(),
    }
}

impl Scope<'_, '_> {
    pub(super) fn eap(&mut self) -> Eap {
        let default = default();
        Eap {
            realm: self.domain("realm", MAX_REALM).unwrap_or(default.realm),
            server_name: self.domain("server_name", MAX_NAME).unwrap_or(default.server_name),
            certificate: self.tls().certificate,
            tls_min: self.word("tls_min", TlsVersion::WORDS, default.tls_min),
            crl_required: self.word("crl_required", CrlRequired::WORDS, default.crl_required),
            methods: self.methods().unwrap_or(default.methods),
        }
    }

    /// A domain name: letters, digits and hyphens between dots (RFC 1034, 3.5; the realm of RFC 7542 in ASCII).
    fn domain(&mut self, name: &'static str, longest: usize) -> Option<Arc<str>> {
        let entry = self.entry(name)?;
        let text = self.text(entry)?;
        if !server::is_domain(text, longest) {
            let message = format!(
                "{} is no domain name of at most {longest} letters, digits, hyphens and dots: write for example '{NAME}'",
                quoted(text)
            );
            self.error(entry.line, Some(name), message);
            return None;
        }
        // Realms and host names are compared without case; the identities made from them octet for octet.
        Some(text.to_ascii_lowercase().into())
    }

    fn methods(&mut self) -> Option<Vec<EapMethod>> {
        let mut methods = Vec::new();
        for entry in self.entries("methods") {
            let Some(text) = self.text(entry) else { continue };
            match EapMethod::WORDS.iter().find(|(word, _)| *word == text) {
                Some((_, method)) if methods.contains(method) => {
                    self.error(entry.line, Some("methods"), format!("'{text}' is given twice: remove one"));
                }
                Some((_, method)) => methods.push(*method),
                None => {
                    let hint = suggest(text, EapMethod::WORDS.iter().map(|(word, _)| *word));
                    self.error(entry.line, Some("methods"), format!("cannot be {}{hint}", quoted(text)));
                }
            }
        }
        (!methods.is_empty()).then_some(methods)
    }
}
