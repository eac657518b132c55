//! Reading the daemon's replies: whatever is missing or of another type is taken for absent, and every text is safe
//! to print.

use super::text::{Look, clean};
use crate::time::UnixTime;
use serde_json::Value;

/// A part of a reply.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a>(pub &'a Value);

impl<'a> Part<'a> {
    /// A member.
    pub fn at(self, name: &str) -> Part<'a> {
        Part(self.0.get(name).unwrap_or(&Value::Null))
    }

    /// True when there is something.
    pub fn is_some(self) -> bool {
        !self.0.is_null()
    }

    /// The text, number or flag of a member, safe to print; `None` for null and what is absent.
    pub fn maybe(self, name: &str) -> Option<String> {
        match self.at(name).0 {
            Value::Null => None,
            Value::String(text) => Some(clean(text).into_owned()),
            other => Some(clean(&other.to_string()).into_owned()),
        }
    }

    /// This text, number or flag itself, safe to print; empty for null.
    pub fn shown(self) -> String {
        match self.0 {
            Value::Null => String::new(),
            Value::String(text) => clean(text).into_owned(),
            other => clean(&other.to_string()).into_owned(),
        }
    }

    /// Like [`Part::maybe`], with an empty text for what is absent.
    pub fn text(self, name: &str) -> String {
        self.maybe(name).unwrap_or_default()
    }

    /// A number; zero when it is absent.
    pub fn number(self, name: &str) -> u64 {
        self.at(name).0.as_u64().unwrap_or(0)
    }

    /// A flag; false when it is absent.
    pub fn flag(self, name: &str) -> bool {
        self.at(name).0.as_bool().unwrap_or(false)
    }

    /// The elements of a list.
    pub fn list(self, name: &str) -> impl ExactSizeIterator<Item = Part<'a>> {
        self.at(name).0.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(Part)
    }

    /// A point in time.
    pub fn time(self, name: &str) -> Option<UnixTime> {
        self.at(name).0.as_str()?.parse().ok()
    }

    /// How long ago a point in time was; `None` when it is absent.
    pub fn when(self, name: &str, look: &Look) -> Option<String> {
        self.time(name).map(|at| look.when(at))
    }
}
