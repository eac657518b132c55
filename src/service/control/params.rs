//! The arguments of a method: typed, and an error that names the field.

use super::ApiError;
use crate::mac::MacAddr;
use serde_json::{Map, Value};

/// How much of a list is given at a time: its JSON stays well below ubus' 1 MiB.
const PAGE: u32 = 500;

/// The type of an argument, as ubus signatures have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A whole number.
    Number,
    /// True or false.
    Flag,
    /// An array of strings.
    Texts,
    /// An object whose values are strings.
    Table,
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Kind::Text => value.is_string(),
            Kind::Number => value.is_i64() || value.is_u64(),
            Kind::Flag => value.is_boolean(),
            Kind::Texts => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
            Kind::Table => value.as_object().is_some_and(|table| table.values().all(Value::is_string)),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Text => "a string",
            Kind::Number => "a whole number",
            Kind::Flag => "true or false",
            Kind::Texts => "a list of strings",
            Kind::Table => "a table of strings",
        }
    }
}

/// Checked arguments: every one is known to the method and of its type. Without `Debug`: one may be a key.
pub struct Params(Map<String, Value>);

impl Params {
    /// Checks arguments against what a method takes. `null` counts as absent.
    ///
    /// # Errors
    /// Names the argument that is unknown or of another type.
    pub fn check(params: Map<String, Value>, known: &[(&'static str, Kind)]) -> Result<Params, ApiError> {
        for (name, value) in params.iter().filter(|(_, value)| !value.is_null()) {
            let Some((field, kind)) = known.iter().find(|(field, _)| field == name) else {
                let mut names: Vec<&str> = known.iter().map(|(field, _)| *field).collect();
                names.sort_unstable();
                let shown: String = name.chars().take(40).collect();
                let allowed = if names.is_empty() { "it takes none".into() } else { names.join(", ") };
                return Err(ApiError::new("unknown_field", format!("there is no argument '{shown}' ({allowed})")));
            };
            if !kind.fits(value) {
                return Err(ApiError::field("type", field, format!("{field} must be {}", kind.name())));
            }
        }
        Ok(Params(params))
    }

    /// True when an argument is there, be it empty.
    pub fn has(&self, field: &str) -> bool {
        self.0.get(field).is_some_and(|value| !value.is_null())
    }

    /// A string that may be absent.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str()
    }

    /// A string that must be there.
    ///
    /// # Errors
    /// When it is absent or empty.
    pub fn need(&self, field: &'static str) -> Result<&str, ApiError> {
        match self.text(field) {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(ApiError::field("missing", field, format!("{field} is missing"))),
        }
    }

    /// A flag; absent means false.
    pub fn flag(&self, field: &str) -> bool {
        self.0.get(field).and_then(Value::as_bool).unwrap_or(false)
    }

    /// A number within bounds, that may be absent.
    ///
    /// # Errors
    /// When it is outside the bounds, which are named.
    pub fn number(&self, field: &'static str, min: u32, max: u32) -> Result<Option<u32>, ApiError> {
        let Some(value) = self.0.get(field).filter(|value| !value.is_null()) else { return Ok(None) };
        let number = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| (min..=max).contains(n));
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(ApiError::field("range", field, format!("{field} must be from {min} to {max}, not {value}"))),
        }
    }

    /// Which part of a list: `offset`, and `limit`, which is a page if absent.
    ///
    /// # Errors
    /// When one is out of bounds.
    pub fn page(&self) -> Result<(usize, usize), ApiError> {
        let offset = self.number("offset", 0, u32::MAX)?.unwrap_or(0);
        let limit = self.number("limit", 1, PAGE)?.unwrap_or(PAGE);
        Ok((offset as usize, limit as usize))
    }

    /// A list of strings; absent means empty.
    pub fn texts(&self, field: &str) -> impl Iterator<Item = &str> {
        self.0.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// A table of strings; absent means empty.
    pub fn table(&self, field: &str) -> impl Iterator<Item = (&str, &str)> {
        let table = self.0.get(field).and_then(Value::as_object).into_iter().flatten();
        table.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }

    /// A MAC address that must be there.
    ///
    /// # Errors
    /// When it is absent or no device's address.
    pub fn mac(&self, field: &'static str) -> Result<MacAddr, ApiError> {
        parse_mac(self.need(field)?, field)
    }
}

/// Parses an address from a person or a program.
///
/// # Errors
/// Names the field, the value and the mend.
pub fn parse_mac(text: &str, field: &'static str) -> Result<MacAddr, ApiError> {
    text.parse().map_err(|e| {
        let shown: String = text.chars().take(40).collect();
        ApiError::field("mac", field, format!("{field} '{shown}' is {e}"))
    })
}
