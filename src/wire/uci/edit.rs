//! Changing options of one section and nothing else: every octet that is not theirs stays, comments, quotes, order and
//! line ends included.
//!
//! Each step is small (one command replaced, put in or taken out) and works on a fresh parse; at the end the whole is
//! parsed once more and compared with what was asked for. So whatever the layout of a file, a change is either right or
//! refused.

pub mod place;
mod section;

pub use section::{add_section, remove_section};

use super::{Document, Entry, MAX_LINE, MAX_VALUE, Section, SyntaxError, is_blank, is_name, parse};
use std::fmt;
use std::ops::Range;
use zeroize::Zeroizing;

/// What an option of a section is to be.
#[derive(Clone, PartialEq, Eq)]
pub struct Change<'a> {
    /// Its name.
    pub option: &'a str,
    /// It is written with `list`.
    pub list: bool,
    /// Its values, in order; several only for a list. None: it is taken out.
    pub values: Vec<&'a [u8]>,
}

impl fmt::Debug for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Change({}, {} values)", self.option, self.values.len())
    }
}

/// Why a file was not changed. No text quotes a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The file cannot be read as a whole.
    #[error("the file has to be mended first: {0}")]
    Syntax(SyntaxError),
    /// There is no such section.
    #[error("the file has no section config {kind} '{name}': add it by hand")]
    NoSection {
        /// Its type.
        kind: String,
        /// Its name.
        name: String,
    },
    /// There are several, which are one to UCI.
    #[error("the file has several sections of the name '{0}': put their options into one")]
    Twice(String),
    /// To UCI, sections of one name are one.
    #[error("the name '{name}' is taken by config {kind} '{name}': choose another")]
    Taken {
        /// The type of the one that has it.
        kind: String,
        /// The name.
        name: String,
    },
    /// A name or value that cannot be written.
    #[error("option {0}: the value cannot be written in one line of at most {MAX_VALUE} characters")]
    Value(String),
    /// The layout is so unusual that the result would not be what was asked for.
    #[error("the section is laid out so unusually that it has to be changed by hand")]
    Layout,
}

/// Makes these changes in a section, in this order. An option that was not there is put behind those of the changes
/// before it, else at the section's end.
///
/// # Errors
/// Why the file is left as it is.
pub fn edit(text: &[u8], kind: &str, name: &str, changes: &[Change<'_>]) -> Result<Zeroizing<Vec<u8>>, EditError> {
    let mut edited = Zeroizing::new(text.to_vec());
    for (index, change) in changes.iter().enumerate() {
        check(change)?;
        let before = changes.get(..index).unwrap_or_default();
        // Each step makes one more value right, or one command less.
        while let Some(step) = next_step(&edited, kind, name, change, before)? {
            edited = apply(&edited, step);
        }
    }
    if is_as_asked(&parse(text), &parse(&edited), kind, name, changes) { Ok(edited) } else { Err(EditError::Layout) }
}

/// A value as a word of a file: in single quotes.
pub fn quote(value: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut word = Zeroizing::new(Vec::with_capacity(value.len() * 4 + 2));
    word.push(b'\'');
    for octet in value {
        match octet {
            b'\'' => word.extend_from_slice(br"'\''"),
            other => word.push(*other),
        }
    }
    word.push(b'\'');
    word
}

fn check(change: &Change<'_>) -> Result<(), EditError> {
    let bad = |value: &&[u8]| {
        // What would have no effect, or run over lines.
        value.is_empty() || value.contains(&b'\n') || value.contains(&0) || quote(value).len() > MAX_LINE / 2
    };
    let wrong_name = change.option.is_empty() || !change.option.bytes().all(|octet| is_name(&octet));
    if wrong_name || change.values.iter().any(bad) || (!change.list && change.values.len() > 1) {
        return Err(EditError::Value(change.option.into()));
    }
    Ok(())
}

/// The section, when there is one and all of the file can be read.
fn find<'d, 'a>(document: &'d Document<'a>, kind: &str, name: &str) -> Result<&'d Section<'a>, EditError> {
    if let Some(error) = document.errors.first() {
        return Err(EditError::Syntax(error.clone()));
    }
    let mut of_name = document.sections.iter().filter(|section| section.name.as_deref() == Some(name));
    let found = of_name.next().filter(|section| &*section.kind == kind);
    match (found, of_name.next()) {
        (Some(_), Some(_)) => Err(EditError::Twice(name.into())),
        (Some(section), None) => Ok(section),
        (None, _) => Err(EditError::NoSection { kind: kind.into(), name: name.into() }),
    }
}

/// Octets to be replaced, and by what.
struct Step {
    range: Range<usize>,
    by: Zeroizing<Vec<u8>>,
}

fn apply(text: &[u8], step: Step) -> Zeroizing<Vec<u8>> {
    // Never grows, so that no copy of a secret stays behind.
    let mut edited = Zeroizing::new(Vec::with_capacity(text.len() + step.by.len()));
    edited.extend_from_slice(text.get(..step.range.start).unwrap_or_default());
    edited.extend_from_slice(&step.by);
    edited.extend_from_slice(text.get(step.range.end..).unwrap_or_default());
    edited
}

/// The first command of an option that is not as it is to be.
fn next_step(
    text: &[u8],
    kind: &str,
    name: &str,
    change: &Change<'_>,
    before: &[Change<'_>],
) -> Result<Option<Step>, EditError> {
    let document = parse(text);
    let section = find(&document, kind, name)?;
    let entries: Vec<&Entry<'_>> = section.entries.iter().filter(|entry| &*entry.name == change.option).collect();
    let right = |(entry, value): &(&&Entry<'_>, &&[u8])| entry.list == change.list && entry.value.octets() == **value;
    let done = entries.iter().zip(&change.values).take_while(right).count();
    Ok(match (entries.get(done), change.values.get(done)) {
        (None, None) => None,
        (Some(entry), Some(value)) => Some(Step { range: entry.span.clone(), by: command(change, value) }),
        (Some(entry), None) => Some(take_out(text, entry.span.clone())),
        (None, Some(value)) => {
            let of = |option: &str| section.entries.iter().rfind(|entry| &*entry.name == option);
            let of_before = before.iter().rev().find_map(|change| of(change.option));
            let after = entries.last().copied().or(of_before).or(section.entries.last());
            let indent = after.map_or(b"\t".as_slice(), |entry| indent_of(text, entry.span.start));
            let end = after.map_or(section.span.end, |entry| entry.span.end);
            Some(put_in(text, end, indent, &command(change, value)))
        }
    })
}

fn command(change: &Change<'_>, value: &[u8]) -> Zeroizing<Vec<u8>> {
    let word = quote(value);
    let mut command = Zeroizing::new(Vec::with_capacity(change.option.len() + word.len() + 8));
    command.extend_from_slice(if change.list { b"list " } else { b"option " });
    command.extend_from_slice(change.option.as_bytes());
    command.push(b' ');
    command.extend_from_slice(&word);
    command
}

/// Where the line of an octet begins.
fn line_start(text: &[u8], at: usize) -> usize {
    text.get(..at).and_then(|before| before.iter().rposition(|octet| *octet == b'\n')).map_or(0, |end| end + 1)
}

/// Where the next line begins, or the file ends.
fn line_end(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    rest.iter().position(|octet| *octet == b'\n').map_or(text.len(), |end| at + end + 1)
}

/// The blanks at the beginning of a command's line, if nothing else stands before it.
fn indent_of(text: &[u8], at: usize) -> &[u8] {
    let before = text.get(line_start(text, at)..at).unwrap_or_default();
    if before.iter().all(|octet| is_blank(*octet)) { before } else { b"\t" }
}

/// Takes a command out: its whole line if nothing else is on it, else the command and the semicolon after it.
fn take_out(text: &[u8], span: Range<usize>) -> Step {
    let (start, end) = (line_start(text, span.start), line_end(text, span.end));
    let blank = |range: Range<usize>| {
        text.get(range).is_some_and(|octets| octets.iter().all(|octet| is_blank(*octet) || *octet == b'\n'))
    };
    let range = if blank(start..span.start) && blank(span.end..end) {
        start..end
    } else {
        let rest = text.get(span.end..end).unwrap_or_default();
        let skip = rest.iter().take_while(|octet| is_blank(**octet)).count();
        let end = if rest.get(skip) == Some(&b';') { span.end + skip + 1 } else { span.end };
        span.start..end
    };
    Step { range, by: Zeroizing::default() }
}

/// Puts a command behind another one, which ends at `end`: on a line of its own unless more follows on that line.
fn put_in(text: &[u8], end: usize, indent: &[u8], command: &[u8]) -> Step {
    let next = line_end(text, end);
    let rest = text.get(end..next).unwrap_or_default();
    let blanks = rest.iter().take_while(|octet| is_blank(**octet)).count();
    let mut by = Zeroizing::new(Vec::with_capacity(indent.len() + command.len() + 4));
    let more = rest.get(blanks).is_some_and(|octet| !matches!(octet, b'\n' | b'#'));
    if more {
        by.extend_from_slice(b"; ");
        by.extend_from_slice(command);
        return Step { range: end..end, by };
    }
    let line_break: &[u8] = if rest.ends_with(b"\r\n") { b"\r\n" } else { b"\n" };
    if rest.ends_with(b"\n") {
        by.extend_from_slice(indent);
        by.extend_from_slice(command);
        by.extend_from_slice(line_break);
    } else {
        // The last line of a file without an end.
        by.extend_from_slice(line_break);
        by.extend_from_slice(indent);
        by.extend_from_slice(command);
    }
    Step { range: next..next, by }
}

/// True when the section has what was asked for, and everything else is as it was.
fn is_as_asked(old: &Document<'_>, new: &Document<'_>, kind: &str, name: &str, changes: &[Change<'_>]) -> bool {
    let same =
        |a: &Entry<'_>, b: &Entry<'_>| (&a.name, a.list, a.value.octets()) == (&b.name, b.list, b.value.octets());
    let untouched = |entry: &&Entry<'_>| changes.iter().all(|change| *entry.name != *change.option);
    if !new.errors.is_empty() || old.package != new.package || old.sections.len() != new.sections.len() {
        return false;
    }
    old.sections.iter().zip(&new.sections).all(|(old, new)| {
        if (&old.kind, &old.name) != (&new.kind, &new.name) {
            return false;
        }
        if (&*old.kind, old.name.as_deref()) != (kind, Some(name)) {
            return old.entries.len() == new.entries.len()
                && old.entries.iter().zip(&new.entries).all(|(a, b)| same(a, b));
        }
        let mut rest = new.entries.iter().filter(untouched);
        old.entries.iter().filter(untouched).all(|a| rest.next().is_some_and(|b| same(a, b)))
            && rest.next().is_none()
            && changes.iter().all(|change| {
                let mut entries = new.entries.iter().filter(|entry| *entry.name == *change.option);
                let right =
                    |value: &&[u8]| entries.next().is_some_and(|e| e.list == change.list && e.value.octets() == *value);
                change.values.iter().all(right) && entries.next().is_none()
            })
    })
}

#[cfg(test)]
mod tests;
