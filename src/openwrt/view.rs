//! Reading sections as OpenWrt's programs do.

use crate::wire::uci::{Document, Section};

/// Sections of OpenWrt's that are ours have names that begin like this; no other is ever taken for ours.
pub const PREFIX: &str = "lk_";

/// A section.
#[derive(Clone, Copy)]
pub struct View<'d>(pub &'d Section<'d>);

impl<'d> View<'d> {
    /// The name; empty for an anonymous section.
    pub fn name(self) -> &'d str {
        self.0.name.as_deref().unwrap_or_default()
    }

    /// It is ours.
    pub fn is_ours(self) -> bool {
        self.name().starts_with(PREFIX)
    }

    /// The value of an option, the last one if it is there several times. `None` when it is not there, or no text.
    pub fn get(self, option: &str) -> Option<&'d str> {
        let entry = self.0.entries.iter().rfind(|entry| &*entry.name == option)?;
        std::str::from_utf8(entry.value.octets()).ok()
    }

    /// The value of an option; empty when it is not there.
    pub fn text(self, option: &str) -> &'d str {
        self.get(option).unwrap_or_default()
    }

    /// The values of a list. What is written as one option is several values with blanks between, as netifd takes it.
    pub fn list(self, option: &str) -> Vec<&'d str> {
        let mut values = Vec::new();
        for entry in self.0.entries.iter().filter(|entry| &*entry.name == option) {
            let Ok(text) = std::str::from_utf8(entry.value.octets()) else { continue };
            if entry.list {
                values.push(text);
            } else {
                values = text.split_ascii_whitespace().collect();
            }
        }
        values
    }

    /// A flag as netifd reads it.
    pub fn flag(self, option: &str) -> bool {
        matches!(self.get(option), Some("1" | "true" | "yes" | "on" | "enabled"))
    }
}

/// The sections of a type, in the order of the file.
pub fn of_kind<'d>(document: &'d Document<'d>, kind: &str) -> impl Iterator<Item = View<'d>> {
    document.sections.iter().filter(move |section| &*section.kind == kind).map(View)
}

/// The section of this type and name.
pub fn named<'d>(document: &'d Document<'d>, kind: &str, name: &str) -> Option<View<'d>> {
    of_kind(document, kind).find(|section| section.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::uci::parse;

    #[test]
    fn lists_and_flags() {
        let document = parse(b"config a 'lk_x'\n\toption p 'lan1 lan2'\n\tlist q 'a b'\n\tlist q c\n\toption on 1\n\toption on 0\n\toption bad '\xff'\nconfig a\n");
        let view = named(&document, "a", "lk_x").expect("there");
        assert_eq!(view.list("p"), ["lan1", "lan2"]);
        assert_eq!(view.list("q"), ["a b", "c"]);
        assert!(view.is_ours() && !view.flag("on") && view.get("bad").is_none());
        let anonymous = of_kind(&document, "a").nth(1).expect("there");
        assert!(!anonymous.is_ours() && anonymous.name().is_empty());
    }
}
