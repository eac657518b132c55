//! The files as they are to be: changed step by step, each step on a fresh parse, so that whatever a file looks like, a
//! change is either right or refused.

use super::Refused;
use super::record::{Edit, Place, Record, While};
use super::view::{PREFIX, View};
use crate::wire::uci::edit::{Change, EditError, edit, place};
use crate::wire::uci::{Document, Section, parse};
use std::rc::Rc;
use zeroize::Zeroizing;

/// The files in `/etc/config` that are read and changed, in the order in which they are shown.
pub const FILES: [&str; 5] = ["network", "dhcp", "firewall", "wireless", "latchkey"];

/// An option of a section of ours.
pub struct Opt {
    name: &'static str,
    list: bool,
    values: Vec<Zeroizing<Vec<u8>>>,
    /// Written once; whoever changes it later is right.
    once: bool,
}

impl Opt {
    /// It always has this value.
    pub fn is(name: &'static str, value: impl AsRef<[u8]>) -> Opt {
        Opt { name, list: false, values: vec![Zeroizing::new(value.as_ref().to_vec())], once: false }
    }

    /// It always has these values; with none it is not there.
    pub fn list<T: AsRef<[u8]>>(name: &'static str, values: impl IntoIterator<Item = T>) -> Opt {
        let values = values.into_iter().map(|value| Zeroizing::new(value.as_ref().to_vec())).collect();
        Opt { name, list: true, values, once: false }
    }

    /// It is never there.
    pub fn none(name: &'static str) -> Opt {
        Opt { name, list: false, values: Vec::new(), once: false }
    }

    /// It begins with this value.
    pub fn at_first(mut self) -> Opt {
        self.once = true;
        self
    }

    fn change(&self) -> Change<'_> {
        Change {
            option: self.name,
            list: self.list,
            values: self.values.iter().map(|value| value.as_slice()).collect(),
        }
    }
}

/// A file's content, shared with those who read it while it changes.
type Text = Rc<Zeroizing<Vec<u8>>>;

/// The files, and what was changed of others.
pub struct Draft {
    files: Vec<(&'static str, Option<Text>)>,
    /// What is to be remembered.
    pub record: Record,
}

impl Draft {
    /// Begins with the files as they are; `None`: the file is not there.
    pub fn new(read: impl Fn(&str) -> Option<Zeroizing<Vec<u8>>>, record: Record) -> Draft {
        Draft { files: FILES.iter().map(|name| (*name, read(name).map(Rc::new))).collect(), record }
    }

    /// The file is there.
    pub fn has(&self, file: &str) -> bool {
        self.files.iter().any(|(name, text)| *name == file && text.is_some())
    }

    /// A file as it is to be; empty when it is not there.
    pub fn text(&self, file: &str) -> &[u8] {
        let found = self.files.iter().find(|(name, _)| *name == file);
        found.and_then(|(_, text)| text.as_ref()).map(|text| text.as_slice()).unwrap_or_default()
    }

    /// The same, to be kept while the draft changes.
    pub fn shared(&self, file: &str) -> Text {
        let found = self.files.iter().find(|(name, _)| *name == file);
        found.and_then(|(_, text)| text.clone()).unwrap_or_default()
    }

    /// The same, parsed.
    pub fn document(&self, file: &str) -> Document<'_> {
        parse(self.text(file))
    }

    fn set(&mut self, file: &str, new: Zeroizing<Vec<u8>>) {
        if let Some((_, Some(text))) = self.files.iter_mut().find(|(name, _)| *name == file) {
            *text = Rc::new(new);
        }
    }

    /// Has a section of ours with these options; others that somebody put into it stay. True when something changed.
    pub fn ensure(&mut self, file: &str, kind: &str, name: &str, options: &[Opt]) -> Result<bool, Refused> {
        if !self.has(file) {
            return Ok(false);
        }
        if !self.record.made(file, name) {
            self.record.sections.push((file.to_owned(), name.to_owned()));
        }
        let text = self.shared(file);
        let text = text.as_slice();
        let document = parse(text);
        let refused = |why| Refused::file(file, &why);
        let Some(section) = document.sections.iter().find(|section| section.name.as_deref() == Some(name)) else {
            let written: Vec<Change<'_>> = options.iter().map(Opt::change).collect();
            let unended = !text.is_empty() && !text.ends_with(b"\n");
            let new = place::append(text, kind, name, &written).map_err(refused)?;
            if unended && !self.record.unended.iter().any(|known| known == file) {
                self.record.unended.push(file.to_owned());
            }
            self.set(file, new);
            return Ok(true);
        };
        let differs = |opt: &&Opt| {
            let entries = || section.entries.iter().filter(|entry| &*entry.name == opt.name);
            if opt.once && entries().next().is_some() {
                return false;
            }
            let mut values: Vec<&[u8]> = entries().map(|entry| entry.value.octets()).collect();
            if !opt.list {
                // Of an option that is there several times, the last one counts.
                values.drain(..values.len().saturating_sub(1));
            } else if let ([only], false) = (&values[..], entries().any(|entry| entry.list)) {
                values = only.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
            }
            !values.iter().copied().eq(opt.values.iter().map(|v| v.as_slice()))
        };
        let changes: Vec<Change<'_>> = options.iter().filter(differs).map(Opt::change).collect();
        if changes.is_empty() {
            return Ok(false);
        }
        let new = edit(text, kind, name, &changes).map_err(refused)?;
        self.set(file, new);
        Ok(true)
    }

    /// Takes a section of ours out. True when it was there.
    pub fn drop(&mut self, file: &str, kind: &str, name: &str) -> Result<bool, Refused> {
        let text = self.shared(file);
        let document = parse(&text);
        let is_it = |view: View<'_>| &*view.0.kind == kind && view.name() == name && view.is_ours();
        let Some(index) = document.sections.iter().position(|section| is_it(View(section))) else { return Ok(false) };
        let new = place::remove(&text, index).map_err(|why| Refused::file(file, &why))?;
        self.set(file, new);
        Ok(true)
    }

    /// Gives an option in a section of others a value, and remembers what stood there. True when something changed.
    pub fn borrow(
        &mut self,
        file: &str,
        at: &Place,
        option: &str,
        value: &str,
        needed: While,
    ) -> Result<bool, Refused> {
        let text = self.shared(file);
        let text = text.as_slice();
        let document = parse(text);
        let Some(index) = at.find(&document) else { return Ok(false) };
        let Some((section, rest)) = document.sections.get(index..).and_then(<[_]>::split_first) else {
            return Ok(false);
        };
        if let Place::Iface(radio, ssid) = at
            && rest.iter().any(|other| at.is(View(other)))
        {
            let message = format!(
                "{radio} has several networks '{ssid}' whose sections have no name, so that they cannot be told apart later: give \
                 them names in /etc/config/wireless (config wifi-iface 'NAME')"
            );
            return Err(Refused::new("taken", "ssid", message));
        }
        let entry = section.entries.iter().rfind(|entry| &*entry.name == option);
        if entry.is_some_and(|entry| entry.value.octets() == value.as_bytes()) {
            return Ok(false);
        }
        let old = entry.and_then(|entry| text.get(entry.span.clone()));
        let old = old.map(|command| String::from_utf8_lossy(command).into_owned());
        let command = place::option(option, value.as_bytes());
        let new = place::replace(text, index, option, Some(&command)).map_err(|why| Refused::file(file, &why))?;
        let (file, option, new_value) = (file.to_owned(), option.to_owned(), value.to_owned());
        let edit = Edit { file: file.clone(), place: at.clone(), option, old, new: new_value, needed };
        let known = |edit: &Edit, other: &Edit| {
            (&edit.file, &edit.place, &edit.option) == (&other.file, &other.place, &other.option)
        };
        match self.record.edits.iter_mut().find(|other| known(&edit, other)) {
            // It was ours already, and gets another value; what stood there before us is remembered still.
            Some(other) if section_value(&document, index, &edit.option) == Some(other.new.as_bytes()) => {
                other.new = edit.new;
                other.needed = edit.needed;
            }
            Some(other) => *other = edit,
            None => self.record.edits.push(edit),
        }
        self.set(&file, new);
        Ok(true)
    }

    /// Puts back what is not needed any more. What somebody else has changed since is left alone. Returns what was put
    /// back, and says what was not.
    pub fn put_back(&mut self) -> Result<(Vec<Edit>, Vec<String>), Refused> {
        let (network, wireless) = (self.shared("network"), self.shared("wireless"));
        let (network, wireless) = (parse(&network), parse(&wireless));
        let (kept, over): (Vec<Edit>, Vec<Edit>) =
            self.record.edits.iter().cloned().partition(|edit| edit.needed.holds(&network, &wireless));
        self.record.edits = kept;
        let (mut done, mut left) = (Vec::new(), Vec::new());
        for edit in over.into_iter().rev() {
            let text = self.text(&edit.file);
            if let Some(new) = undo(text, &edit).map_err(|why| Refused::file(&edit.file, &why))? {
                self.set(&edit.file, new);
                done.push(edit);
            } else {
                left.extend(not_put_back(text, &edit));
            }
        }
        let ours = |text: &[u8]| parse(text).sections.iter().any(|section| View(section).is_ours());
        let (unended, over): (Vec<String>, Vec<String>) =
            self.record.unended.iter().cloned().partition(|file| ours(self.text(file)));
        self.record.unended = unended;
        for file in over {
            let text = self.text(&file);
            let shorter = Zeroizing::new(text.strip_suffix(b"\n").unwrap_or(text).to_vec());
            self.set(&file, shorter);
        }
        // Those that are gone, whoever took them out.
        let mut there = Vec::new();
        for file in FILES {
            let document = self.document(file);
            let of_file = self.record.sections.iter().filter(|(of, _)| of == file);
            there.extend(
                of_file.filter(|(_, name)| document.sections.iter().any(|s| s.name.as_deref() == Some(name))).cloned(),
            );
        }
        self.record.sections = there;
        Ok((done, left))
    }
}

/// Says that an edit cannot be taken back; `None` where somebody has put back himself what was there before.
pub fn not_put_back(text: &[u8], edit: &Edit) -> Option<String> {
    let document = parse(text);
    let section = edit.place.find(&document).and_then(|index| document.sections.get(index));
    let entry = section.and_then(|section| section.entries.iter().rfind(|entry| *entry.name == *edit.option));
    let present = entry.and_then(|entry| text.get(entry.span.clone()));
    if section.is_some() && present == edit.old.as_deref().map(str::as_bytes) {
        return None;
    }
    // Of the options that are borrowed none is a secret.
    Some(format!(
        "option {} of {} was changed by somebody else, or its section is not there any more: it is not put back (it was: {})",
        edit.option,
        edit.place.shown(),
        edit.old.as_deref().unwrap_or("not there")
    ))
}

fn section_value<'d>(document: &'d Document<'_>, index: usize, option: &str) -> Option<&'d [u8]> {
    let section = document.sections.get(index)?;
    Some(section.entries.iter().rfind(|entry| &*entry.name == option)?.value.octets())
}

/// A file with a change taken back; `None` when the change is not there any more.
pub fn undo(text: &[u8], edit: &Edit) -> Result<Option<Zeroizing<Vec<u8>>>, EditError> {
    let document = parse(text);
    let Some(index) = edit.place.find(&document) else { return Ok(None) };
    if section_value(&document, index, &edit.option) != Some(edit.new.as_bytes()) {
        return Ok(None);
    }
    place::replace(text, index, &edit.option, edit.old.as_deref().map(str::as_bytes)).map(Some)
}

/// A file in which our sections are those of another one, and everything else stays as it is. `ours` tells by the name
/// whether a section is.
pub fn ours_as_in(present: &[u8], like: &[u8], ours: &dyn Fn(&str) -> bool) -> Result<Zeroizing<Vec<u8>>, EditError> {
    let wanted = parse(like);
    let mut text = Zeroizing::new(present.to_vec());
    // Those that are not as they are to be go first, from behind, so that the places of the others stay.
    let document = parse(present);
    let is_ours = |section: &Section<'_>| View(section).is_ours() && ours(View(section).name());
    let same = |section: &Section<'_>| {
        wanted.sections.iter().any(|other| {
            (&other.kind, &other.name) == (&section.kind, &section.name)
                && other.entries.len() == section.entries.len()
                && other
                    .entries
                    .iter()
                    .zip(&section.entries)
                    .all(|(a, b)| (&a.name, a.list, a.value.octets()) == (&b.name, b.list, b.value.octets()))
        })
    };
    for (index, section) in document.sections.iter().enumerate().rev() {
        if is_ours(section) && !same(section) {
            text = place::remove(&text, index)?;
        }
    }
    for section in wanted.sections.iter().filter(|section| is_ours(section)) {
        let Some(name) = section.name.as_deref() else { continue };
        if parse(&text).sections.iter().any(|other| other.name.as_deref() == Some(name)) {
            continue;
        }
        let one =
            |entry: &'_ crate::wire::uci::Entry<'_>| (entry.name.clone(), entry.list, entry.value.octets().to_vec());
        let entries: Vec<_> = section.entries.iter().map(one).collect();
        let options: Vec<Change<'_>> = entries
            .iter()
            .map(|(option, list, value)| Change { option, list: *list, values: vec![value.as_slice()] })
            .collect();
        text = place::append(&text, &section.kind, name, &options)?;
    }
    Ok(text)
}

/// The name of a section of ours.
pub fn ours(words: &[&str]) -> String {
    let mut name = PREFIX.to_owned();
    name.push_str(&words.join("_"));
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIRELESS: &str = "config wifi-device 'radio0'\n\toption disabled 1 # off\n\nconfig wifi-iface\n\toption device radio0\n\toption ssid Home\n";

    fn draft(text: &'static str) -> Draft {
        let read = |name: &str| (name == "wireless").then(|| Zeroizing::new(text.as_bytes().to_vec()));
        Draft::new(read, Record::default())
    }

    #[test]
    fn what_is_borrowed_is_given_back() {
        let mut draft = draft(WIRELESS);
        let radio = Place::Named("wifi-device".into(), "radio0".into());
        let iface = Place::Iface("radio0".into(), "Home".into());
        let needed = || While::Radio("radio0".into());
        draft.ensure("wireless", "wifi-iface", "lk_a", &[Opt::is("device", "radio0")]).expect("put in");
        assert!(draft.borrow("wireless", &radio, "disabled", "0", needed()).expect("lent"));
        assert!(!draft.borrow("wireless", &radio, "disabled", "0", needed()).expect("has it"));
        assert!(draft.borrow("wireless", &radio, "disabled", "no", needed()).expect("lent"));
        assert!(draft.borrow("wireless", &iface, "disabled", "1", needed()).expect("lent"));
        assert!(!draft.borrow("wireless", &Place::First("x".into()), "a", "1", needed()).expect("not there"));
        assert_eq!(draft.record.edits.len(), 2);
        assert_eq!(draft.record.edits[0].old.as_deref(), Some("option disabled 1"));
        assert_eq!(draft.put_back().expect("nothing yet"), (vec![], vec![]));
        assert!(draft.drop("wireless", "wifi-iface", "lk_a").expect("out"));
        assert!(!draft.drop("wireless", "wifi-device", "radio0").expect("not ours"));
        let (done, left) = draft.put_back().expect("put back");
        assert_eq!((done.len(), left), (2, vec![]));
        assert_eq!(draft.text("wireless"), WIRELESS.as_bytes());
        assert_eq!(draft.record, Record::default());
    }

    #[test]
    fn what_somebody_else_changed_stays() {
        let mut draft = draft(WIRELESS);
        let radio = Place::Named("wifi-device".into(), "radio0".into());
        draft.borrow("wireless", &radio, "disabled", "0", While::Any).expect("lent");
        let text =
            String::from_utf8(draft.text("wireless").to_vec()).expect("text").replace("disabled '0'", "disabled yes");
        draft.set("wireless", Zeroizing::new(text.clone().into_bytes()));
        let mut same = Draft { files: draft.files.clone(), record: draft.record.clone() };
        let (done, left) = draft.put_back().expect("left alone");
        assert_eq!((done, left.len()), (vec![], 1));
        assert_eq!(draft.text("wireless"), text.as_bytes());
        // Wanted anew, it is the present one that is remembered.
        same.borrow("wireless", &radio, "disabled", "0", While::Any).expect("lent");
        assert_eq!(same.record.edits.len(), 1);
        assert_eq!(same.record.edits[0].old.as_deref(), Some("option disabled yes"));
    }

    #[test]
    fn options_that_are_kept_and_that_are_not() {
        let mut draft = draft("config dhcp 'lk_a'\n\tlist limit '7'\n\toption ports 'a b'\n\toption mine 1\n");
        let same = [Opt::is("limit", "150").at_first(), Opt::list("ports", ["a", "b"]), Opt::none("key").at_first()];
        assert!(!draft.ensure("wireless", "dhcp", "lk_a", &same).expect("as it is"));
        let other = [Opt::list("ports", ["b"]), Opt::none("limit"), Opt::is("start", "2").at_first()];
        assert!(draft.ensure("wireless", "dhcp", "lk_a", &other).expect("changed"));
        let text = String::from_utf8(draft.text("wireless").to_vec()).expect("text");
        assert_eq!(text, "config dhcp 'lk_a'\n\tlist ports 'b'\n\toption start '2'\n\toption mine 1\n");
        assert!(!draft.ensure("network", "interface", "lk_a", &other).expect("no such file"));
        assert!(draft.ensure("wireless", "zone", "lk_a", &[Opt::is("x", "1")]).is_err(), "another type");
    }

    #[test]
    fn files_without_an_end_get_it_back() {
        let mut draft = draft("config wifi-device 'radio0'");
        draft.ensure("wireless", "wifi-iface", "lk_a", &[]).expect("put in");
        assert_eq!(draft.put_back().expect("nothing yet"), (vec![], vec![]));
        assert_eq!(draft.record.sections, [("wireless".to_owned(), "lk_a".to_owned())]);
        draft.drop("wireless", "wifi-iface", "lk_a").expect("out");
        draft.put_back().expect("put back");
        assert_eq!(draft.text("wireless"), b"config wifi-device 'radio0'");
    }

    #[test]
    fn ours_as_before() {
        let before = "config a 'x'\n\nconfig b 'lk_b'\n\toption v 1\n\nconfig c 'lk_c'\n";
        let now = "config a 'x'\n\toption theirs 1\n\nconfig b 'lk_b'\n\toption v 2\n\nconfig c 'lk_c'\n\nconfig d 'lk_d'\n\nconfig e 'lk_e'\n";
        let back = ours_as_in(now.as_bytes(), before.as_bytes(), &|name| name != "lk_e").expect("possible");
        let expected = "config a 'x'\n\toption theirs 1\n\nconfig c 'lk_c'\n\nconfig e 'lk_e'\n\nconfig b 'lk_b'\n\toption v '1'\n";
        assert_eq!(std::str::from_utf8(&back).expect("text"), expected);
    }
}
