//! Adding, changing and removing a profile: what that changes in the configuration file, before anything is written.

use super::file::{check, diff};
use super::plan::{Plan, PlanError, check_future, check_present};
use super::{Access, ConfigError, Isolate, Profile};
use crate::wire::uci::edit::{Change, EditError, add_section, edit, remove_section};
use std::fmt::Display;
use std::path::Path;

/// The longest name in octets: what is made of it has to be a name in other configurations, too.
const MAX_NAME: usize = 64;

/// What is to become of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileEdit {
    /// The name of its section.
    pub name: Box<str>,
    /// What is to be done.
    pub action: Action,
}

/// What is to be done with a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// There is none of this name yet: it is put behind the others.
    Add(Options),
    /// Change what is given, and leave the rest.
    Set(Options),
    /// Take it out of the file.
    Remove,
}

/// What is said of a profile; `None` leaves it as it is. Values are checked where the file is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Its VLAN; 0 is none.
    pub vlan: Option<u16>,
    /// What it reaches; empty is the default.
    pub access: Option<Box<str>>,
    /// What it reaches besides: the whole list.
    pub allow: Option<Vec<Box<str>>>,
    /// When its devices may be on the air: the whole list.
    pub hours: Option<Vec<Box<str>>>,
    /// Whether its devices are kept from each other.
    pub isolate: Option<bool>,
    /// Its bridge; empty is the default.
    pub bridge: Option<Box<str>>,
    /// The addresses of this box in its network: the whole list.
    pub addresses: Option<Vec<Box<str>>>,
}

/// Options of the section whose argument has another name.
const FIELDS: [(&str, &str); 7] = [
    ("vlan", "vlan"),
    ("access", "access"),
    ("allow", "allow"),
    ("hours", "hours"),
    ("isolate", "isolate"),
    ("bridge", "bridge"),
    ("address", "addresses"),
];

impl ProfileEdit {
    /// Finds out what has to change in a file, which says this. Changes nothing.
    ///
    /// # Errors
    /// An argument that does not fit, a file that is not in order, or a result that would not be.
    pub fn plan(&self, path: &Path, text: &[u8]) -> Result<Plan<Option<Profile>>, PlanError> {
        let name = &*self.name;
        let (old, old_warnings) = check_present(path, text)?;
        let before = old.profile(name).cloned();
        let mut notes = Vec::new();
        let edited = match (&self.action, &before) {
            (Action::Add(_), Some(_)) => {
                let message = format!(
                    "there is a profile '{name}' already: choose another name, or change it (latchkey profile set {name})"
                );
                return Err(PlanError::of("name_taken", "name", message));
            }
            (Action::Add(options), None) => {
                check_name(name)?;
                add_section(text, "profile", name, &as_borrowed(&changes(options, None)))
            }
            (Action::Set(options), Some(present)) => {
                if options.vlan.is_some_and(|vlan| present.vlan.unwrap_or(0) != vlan) {
                    notes.push("its devices are taken off the air, and come back in the new VLAN".into());
                }
                edit(text, "profile", name, &as_borrowed(&changes(options, Some(present))))
            }
            (Action::Remove, Some(_)) => {
                let mut left = old.profiles.iter().filter(|profile| &*profile.name != name);
                let is_default = old.default_profile().is_some_and(|first| &*first.name == name);
                if let Some(next) = left.next().filter(|_| is_default) {
                    notes.push(format!("it was the first: devices for which none is named get '{}' now", next.name));
                }
                remove_section(text, "profile", name)
            }
            (Action::Set(_) | Action::Remove, None) => {
                return Err(PlanError::of("not_found", "name", none(&old, name)));
            }
        };
        let edited = edited.map_err(|why| match why {
            EditError::Taken { .. } => PlanError::of("name_taken", "name", why.to_string()),
            other => PlanError::file(other.to_string()),
        })?;
        let title = format!("config profile '{name}'");
        if let Err(errors) = check(&edited)
            && let Some((error, field)) = errors.iter().find_map(|error| Some((error, field_of(error, &title)?)))
        {
            return Err(PlanError::of("profile", field, format!("{field} {}", error.message)));
        }
        let (new, warnings) = check_future(path, &edited)?;
        let known = |warning: &ConfigError| {
            old_warnings.iter().any(|old| {
                (&old.section, &old.option, &old.message) == (&warning.section, &warning.option, &warning.message)
            })
        };
        let told = |warning: &&ConfigError| warning.section == title || !known(warning);
        let warnings = warnings.iter().filter(told).map(|warning| warning.in_file(path)).collect();
        let after = new.profile(name).cloned();
        Ok(Plan { diff: diff(text, &edited), text: edited, before, after, notes, warnings })
    }
}

/// That there is no profile of this name, and which there are.
fn none(config: &super::Config, name: &str) -> String {
    let shown: String = name.chars().take(40).collect();
    let known: Vec<&str> = config.profiles.iter().map(|profile| &*profile.name).collect();
    match known.is_empty() {
        true => format!("there is no profile '{shown}', and no other: latchkey profile add {shown}"),
        false => format!("there is no profile '{shown}': there are {}", known.join(", ")),
    }
}

fn check_name(name: &str) -> Result<(), PlanError> {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'_';
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(plain) {
        let shown: String = name.chars().take(40).collect();
        let message = format!(
            "name '{shown}': a profile's name has 1 to {MAX_NAME} letters, digits and underscores, such as iot"
        );
        return Err(PlanError::of("name", "name", message));
    }
    Ok(())
}

/// The argument that an error in the profile's section is about.
fn field_of(error: &ConfigError, title: &str) -> Option<&'static str> {
    if error.section != *title {
        return None;
    }
    match &error.option {
        Some(option) => FIELDS.iter().find(|(of_file, _)| of_file == option).map(|(_, field)| *field),
        // The name is that of another section.
        None => Some("name"),
    }
}

/// A change whose values are its own.
struct Wanted {
    option: &'static str,
    list: bool,
    values: Vec<String>,
}

fn as_borrowed(wanted: &[Wanted]) -> Vec<Change<'_>> {
    wanted.iter().map(Wanted::as_change).collect()
}

impl Wanted {
    fn as_change(&self) -> Change<'_> {
        let values = self.values.iter().map(|value| value.as_bytes()).collect();
        Change { option: self.option, list: self.list, values }
    }
}

/// What has to be written; what means the same already stays as it is written.
fn changes(options: &Options, present: Option<&Profile>) -> Vec<Wanted> {
    let one = |option, value: &str| Wanted {
        option,
        list: false,
        values: Some(value.to_owned()).filter(|value| !value.is_empty()).into_iter().collect(),
    };
    let list = |option, wanted: &Option<Vec<Box<str>>>, present: Option<Vec<String>>| {
        let given = wanted.as_ref()?.iter().filter(|value| !value.is_empty());
        let values: Vec<String> = given.map(|value| String::from(&**value)).collect();
        (present != Some(values.clone())).then_some(Wanted { option, list: true, values })
    };
    let vlan = options.vlan.filter(|vlan| present.is_none_or(|p| p.vlan.unwrap_or(0) != *vlan));
    let access = options.access.as_deref().filter(|word| {
        let word = if word.is_empty() { Access::Isolated.as_str() } else { word };
        present.is_none_or(|present| present.access.as_str() != word)
    });
    let isolate = options.isolate.map(|isolate| if isolate { Isolate::Yes } else { Isolate::No });
    let isolate = isolate.filter(|isolate| present.map_or(Isolate::Yes, |present| present.isolate) != *isolate);
    let changes = [
        vlan.map(|vlan| one("vlan", &if vlan > 0 { vlan.to_string() } else { String::new() })),
        access.map(|access| one("access", access)),
        list("allow", &options.allow, present.map(|p| texts(&p.allow))),
        list("hours", &options.hours, present.map(|p| texts(&p.hours))),
        isolate.map(|isolate| one("isolate", isolate.as_str())),
        options.bridge.as_deref().map(|bridge| one("bridge", bridge)),
        list("address", &options.addresses, present.map(|p| texts(&p.addresses))),
    ];
    changes.into_iter().flatten().collect()
}

fn texts<T: Display>(values: &[T]) -> Vec<String> {
    values.iter().map(T::to_string).collect()
}

#[cfg(test)]
mod tests;
