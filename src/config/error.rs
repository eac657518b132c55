//! What is wrong with a configuration, in words its author can act upon. No message ever quotes a secret.

use crate::registry::similar::edit_distance;
use std::fmt;
use std::path::Path;

/// One thing wrong (or doubtful) in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Line in the file, from 1.
    pub line: u32,
    /// The section as `config client 'local'`; empty when no section is meant.
    pub section: String,
    /// The option's name, when one is meant.
    pub option: Option<String>,
    /// What was expected, what came, and the mend.
    pub message: String,
}

impl ConfigError {
    /// The whole text with the file's name before it: `FILE:LINE: config client 'local': option secret: ...`.
    pub fn in_file(&self, file: &Path) -> String {
        format!("{}:{}: {}", file.display(), self.line, self.text())
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if !self.section.is_empty() {
            text.push_str(&self.section);
            text.push_str(": ");
        }
        if let Some(option) = &self.option {
            text.push_str("option ");
            text.push_str(option);
            text.push_str(": ");
        }
        text.push_str(&self.message);
        text
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text())
    }
}

impl std::error::Error for ConfigError {}

/// Why a configuration file was not taken: one line for each thing wrong, each beginning with the file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError(pub Vec<String>);

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for LoadError {}

/// `": did you mean 'x'?"` for the nearest of the allowed words, then all of them (or the first twelve).
pub(super) fn suggest<'a>(word: &str, allowed: impl Iterator<Item = &'a str>) -> String {
    suggest_of(word, &allowed.collect::<Vec<_>>())
}

fn suggest_of(word: &str, allowed: &[&str]) -> String {
    let lower = word.to_ascii_lowercase();
    let nearest = allowed.iter().map(|a| (edit_distance(lower.as_bytes(), a.as_bytes()), *a)).min();
    let mut all = allowed.get(..12).unwrap_or(allowed).join(", ");
    if allowed.len() > 12 {
        all.push_str(", ...");
    }
    match nearest {
        // A third of the letters may be wrong, two at least: swapped neighbours count as two.
        Some((distance, nearest)) if distance <= (nearest.len() / 3).max(2) && distance < nearest.len() => {
            format!(": did you mean '{nearest}'? Allowed: {all}")
        }
        _ => format!(": allowed: {all}"),
    }
}

/// A value that is no secret, short and printable.
pub(super) fn quoted(value: &str) -> String {
    let mut shown: String = value.chars().take(40).flat_map(char::escape_debug).collect();
    if value.chars().nth(40).is_some() {
        shown.push_str("...");
    }
    format!("'{shown}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display() {
        let mut error = ConfigError {
            line: 12,
            section: "config client 'local'".into(),
            option: Some("secret".into()),
            message: "is missing".into(),
        };
        assert_eq!(error.to_string(), "line 12: config client 'local': option secret: is missing");
        assert_eq!(
            error.in_file(Path::new("/etc/config/latchkey")),
            "/etc/config/latchkey:12: config client 'local': option secret: is missing"
        );
        error.option = None;
        error.section.clear();
        assert_eq!(error.to_string(), "line 12: is missing");
    }

    #[test]
    fn suggestions() {
        let words = ["address", "secret", "message_authenticator"];
        for (word, expected) in [
            ("adress", ": did you mean 'address'? Allowed: "),
            ("sercet", ": did you mean 'secret'? Allowed: "),
            ("SECRET", ": did you mean 'secret'? Allowed: "),
            ("message_auth", ": allowed: "),
            ("messageauthenticator", ": did you mean 'message_authenticator'? Allowed: "),
            ("colour", ": allowed: "),
        ] {
            let text = suggest(word, words.into_iter());
            assert_eq!(text, format!("{expected}address, secret, message_authenticator"), "{word}");
        }
    }

    #[test]
    fn long_and_strange_values_are_tamed() {
        assert_eq!(quoted("20\t\u{1b}[1m"), "'20\\t\\u{1b}[1m'");
        assert_eq!(quoted(&"x".repeat(41)), format!("'{}...'", "x".repeat(40)));
    }
}
