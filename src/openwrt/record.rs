//! What was changed in sections of others, with what stood there before, and which sections were made: an administrator may
//! well give one of his own a name like ours.

use super::draft::FILES;
use super::view::{View, of_kind};
use crate::wire::uci::Document;
use serde_json::{Value, json};

/// A section of somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// By type and name.
    Named(String, String),
    /// The first of a type.
    First(String),
    /// A wifi-iface without a name, by its radio and SSID.
    Iface(String, String),
}

/// How long a change is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum While {
    /// While anything of ours is there.
    Any,
    /// While we have a network on this radio.
    Radio(String),
    /// While we have this SSID on this radio; on any, if it is empty.
    Ssid(String, String),
    /// While our interface of this name is there.
    Network(String),
}

/// One option that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The file in `/etc/config`.
    pub file: String,
    /// The section.
    pub place: Place,
    /// The option.
    pub option: String,
    /// The command that stood there, to the letter; `None`: there was none.
    pub old: Option<String>,
    /// The value it has been given.
    pub new: String,
    /// How long it is needed.
    pub needed: While,
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// In the order in which they were made.
    pub edits: Vec<Edit>,
    /// Files that had no end of line at their end before sections were put behind it.
    pub unended: Vec<String>,
    /// The sections that are ours: file and name.
    pub sections: Vec<(String, String)>,
}

impl Place {
    /// The place of a section that is there.
    pub fn of(section: View<'_>) -> Place {
        match section.name() {
            "" if &*section.0.kind == "wifi-iface" => {
                Place::Iface(section.text("device").to_owned(), section.text("ssid").to_owned())
            }
            "" => Place::First(section.0.kind.to_string()),
            name => Place::Named(section.0.kind.to_string(), name.to_owned()),
        }
    }

    /// The index of the section among all of the file.
    pub fn find(&self, document: &Document<'_>) -> Option<usize> {
        document.sections.iter().position(|section| self.is(View(section)))
    }

    /// Whether a section is it, or could be.
    pub fn is(&self, section: View<'_>) -> bool {
        let kind = &*section.0.kind;
        match self {
            Place::Named(of, name) => kind == of && section.name() == name,
            Place::First(of) => kind == of,
            Place::Iface(device, ssid) => {
                kind == "wifi-iface"
                    && section.name().is_empty()
                    && (section.text("device"), section.text("ssid")) == (device, ssid)
            }
        }
    }

    /// For people.
    pub fn shown(&self) -> String {
        match self {
            Place::Named(kind, name) => format!("{kind} {name}"),
            Place::First(kind) => kind.clone(),
            Place::Iface(radio, ssid) => format!("the network '{ssid}' of {radio}"),
        }
    }
}

impl While {
    /// Whether it still is needed with these files.
    pub fn holds(&self, network: &Document<'_>, wireless: &Document<'_>) -> bool {
        let ours = |radio: &str, ssid: Option<&str>| {
            of_kind(wireless, "wifi-iface").filter(|iface| iface.is_ours()).any(|iface| {
                (radio.is_empty() || iface.text("device") == radio)
                    && ssid.is_none_or(|ssid| iface.text("ssid") == ssid)
            })
        };
        match self {
            While::Any => [network, wireless].iter().any(|file| file.sections.iter().any(|s| View(s).is_ours())),
            While::Radio(radio) => ours(radio, None),
            While::Ssid(radio, ssid) => ours(radio, Some(ssid)),
            While::Network(name) => of_kind(network, "interface").any(|interface| interface.name() == name),
        }
    }
}

impl Record {
    /// Whether a section was made by us.
    pub fn made(&self, file: &str, name: &str) -> bool {
        self.sections.iter().any(|(of, known)| of == file && known == name)
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        let edits = self.edits.iter().map(|edit| {
            let place = match &edit.place {
                Place::Named(kind, name) => json!({ "kind": kind, "name": name }),
                Place::First(kind) => json!({ "kind": kind }),
                Place::Iface(device, ssid) => json!({ "device": device, "ssid": ssid }),
            };
            let needed = match &edit.needed {
                While::Any => json!({}),
                While::Radio(radio) => json!({ "radio": radio }),
                While::Ssid(radio, ssid) => json!({ "radio": radio, "ssid": ssid }),
                While::Network(name) => json!({ "network": name }),
            };
            json!({
                "file": edit.file,
                "section": place,
                "option": edit.option,
                "old": edit.old,
                "new": edit.new,
                "while": needed,
            })
        });
        json!({ "edits": edits.collect::<Vec<_>>(), "unended": self.unended, "sections": self.sections })
    }

    /// From JSON; entries that make no sense, or are of files that no plan changes, are left out.
    pub fn from_json(value: &Value) -> Record {
        let edits = value["edits"].as_array().map(Vec::as_slice).unwrap_or_default();
        let unended = value["unended"].as_array().map(Vec::as_slice).unwrap_or_default();
        let sections = value["sections"].as_array().map(Vec::as_slice).unwrap_or_default();
        let section = |pair: &Value| Some((file(&pair[0])?, pair[1].as_str()?.to_owned()));
        Record {
            edits: edits.iter().filter_map(edit).collect(),
            unended: unended.iter().filter_map(file).collect(),
            sections: sections.iter().filter_map(section).collect(),
        }
    }
}

fn file(name: &Value) -> Option<String> {
    name.as_str().filter(|name| FILES.contains(name)).map(str::to_owned)
}

fn edit(value: &Value) -> Option<Edit> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let (section, needed) = (&value["section"], &value["while"]);
    let place = match (text(&section["kind"]), text(&section["name"])) {
        (Some(kind), Some(name)) => Place::Named(kind, name),
        (Some(kind), None) => Place::First(kind),
        (None, _) => Place::Iface(text(&section["device"])?, text(&section["ssid"])?),
    };
    let needed = match (text(&needed["network"]), text(&needed["radio"]), text(&needed["ssid"])) {
        (Some(network), ..) => While::Network(network),
        (None, Some(radio), Some(ssid)) => While::Ssid(radio, ssid),
        (None, Some(radio), None) => While::Radio(radio),
        (None, None, _) => While::Any,
    };
    Some(Edit {
        file: file(&value["file"])?,
        place,
        option: text(&value["option"])?,
        old: text(&value["old"]),
        new: text(&value["new"])?,
        needed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::uci::parse;

    fn edits() -> Record {
        let edit = |place: Place, needed: While, old: Option<&str>| Edit {
            file: "wireless".into(),
            place,
            option: "disabled".into(),
            old: old.map(Into::into),
            new: "0".into(),
            needed,
        };
        Record {
            edits: vec![
                edit(
                    Place::Named("wifi-device".into(), "radio0".into()),
                    While::Radio("radio0".into()),
                    Some("option disabled 1"),
                ),
                edit(Place::First("latchkey".into()), While::Any, None),
                edit(Place::Iface("radio0".into(), "Home".into()), While::Ssid("radio0".into(), "Home".into()), None),
                edit(Place::Named("profile".into(), "iot".into()), While::Network("lk_iot".into()), None),
            ],
            unended: vec!["network".into()],
            sections: vec![("network".into(), "lk_iot".into())],
        }
    }

    #[test]
    fn json_and_back() {
        let record = edits();
        assert_eq!(Record::from_json(&record.to_json()), record);
        let mut damaged = record.to_json();
        damaged["edits"][0]["file"] = json!(7);
        assert_eq!(Record::from_json(&damaged).edits, record.edits[1..]);
        assert_eq!(Record::from_json(&json!(null)), Record::default());
    }

    #[test]
    fn found_and_needed() {
        let wireless = parse(
            b"config wifi-device 'radio0'\nconfig wifi-iface\n\toption device radio0\n\toption ssid Home\n\
              config wifi-iface 'lk_home_radio1'\n\toption device radio1\n\toption ssid Home\n",
        );
        let network = parse(b"config interface 'lk_iot'\n");
        let none = parse(b"");
        let places: Vec<_> = edits().edits.iter().map(|edit| edit.place.find(&wireless)).collect();
        assert_eq!(places, [Some(0), None, Some(1), None]);
        let needed: Vec<bool> = edits().edits.iter().map(|edit| edit.needed.holds(&network, &wireless)).collect();
        assert_eq!(needed, [false, true, false, true]);
        assert!(While::Radio("radio1".into()).holds(&none, &wireless));
        assert!(While::Ssid(String::new(), "Home".into()).holds(&none, &wireless));
        assert!(!While::Ssid(String::new(), "Home".into()).holds(&network, &none) && !While::Any.holds(&none, &none));
    }
}
