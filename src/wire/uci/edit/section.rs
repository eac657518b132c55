//! Putting a whole section into a file, and taking one out: every octet of the others stays, and so does every comment.

use super::super::{Document, Entry, Section, is_blank, is_name, parse};
use super::{Change, EditError, Step, apply, check, command, line_end, line_start, take_out};
use std::ops::Range;
use zeroize::Zeroizing;

/// Puts a section with these options behind the last one of its kind, else at the end of the file.
///
/// # Errors
/// Why the file is left as it is.
pub fn add_section(
    text: &[u8],
    kind: &str,
    name: &str,
    options: &[Change<'_>],
) -> Result<Zeroizing<Vec<u8>>, EditError> {
    options.iter().try_for_each(check)?;
    if name.is_empty() || !name.bytes().all(|octet| is_name(&octet)) {
        return Err(EditError::Value(name.into()));
    }
    let document = readable(text)?;
    if let Some(other) = document.sections.iter().find(|section| section.name.as_deref() == Some(name)) {
        return Err(EditError::Taken { kind: other.kind.clone().into(), name: name.into() });
    }
    let (at, line_break) = place(text, &document, kind);
    let before = text.get(..at).unwrap_or_default();
    let blank_before = at == 0 || before.ends_with(b"\n\n") || before.ends_with(b"\n\r\n");
    let next = text.get(at..line_end(text, at)).unwrap_or_default();
    let mut by = Zeroizing::new(Vec::new());
    // Room at once, so that no copy of a secret stays behind.
    let values = options.iter().flat_map(|option| option.values.iter().map(|v| 5 * v.len() + option.option.len() + 16));
    by.reserve(values.sum::<usize>() + kind.len() + name.len() + 32);
    if !before.is_empty() && !before.ends_with(b"\n") {
        by.extend_from_slice(line_break);
    }
    if !blank_before {
        by.extend_from_slice(line_break);
    }
    by.extend_from_slice(b"config ");
    by.extend_from_slice(kind.as_bytes());
    by.extend_from_slice(b" '");
    by.extend_from_slice(name.as_bytes());
    by.push(b'\'');
    by.extend_from_slice(line_break);
    for option in options {
        for value in &option.values {
            by.push(b'\t');
            by.extend_from_slice(&command(option, value));
            by.extend_from_slice(line_break);
        }
    }
    if !is_empty_line(next) {
        by.extend_from_slice(line_break);
    }
    let edited = apply(text, Step { range: at..at, by });
    if is_added(&document, &parse(&edited), kind, name, options) { Ok(edited) } else { Err(EditError::Layout) }
}

/// True when there is one more section, with just these options.
fn is_added(old: &Document<'_>, new: &Document<'_>, kind: &str, name: &str, options: &[Change<'_>]) -> bool {
    let is_new = |section: &Section<'_>| section.name.as_deref() == Some(name);
    let Some(section) = new.sections.iter().find(|section| is_new(section)) else { return false };
    let mut entries = section.entries.iter();
    let mut wanted = options.iter().flat_map(|option| option.values.iter().map(move |value| (option, value)));
    *section.kind == *kind
        && wanted.all(|(option, value)| {
            entries.next().is_some_and(|entry| {
                (&*entry.name, entry.list, entry.value.octets()) == (option.option, option.list, *value)
            })
        })
        && entries.next().is_none()
        && new.sections.len() == old.sections.len() + 1
        && others_are_as_they_were(old, new, is_new)
}

/// Takes a section out, and the blank line that set it off.
///
/// # Errors
/// Why the file is left as it is.
pub fn remove_section(text: &[u8], kind: &str, name: &str) -> Result<Zeroizing<Vec<u8>>, EditError> {
    let before = readable(text)?;
    super::find(&before, kind, name)?;
    let mut edited = Zeroizing::new(text.to_vec());
    loop {
        let step = {
            let document = readable(&edited)?;
            let section = super::find(&document, kind, name)?;
            // What goes last is the command that begins it, so that none is left over for the section before.
            match section.entries.last() {
                Some(entry) => Ok(take_out(&edited, entry.span.clone())),
                None => Err(whole(&edited, section.span.clone())),
            }
        };
        match step {
            Ok(step) => edited = apply(&edited, step),
            Err(last) => {
                edited = apply(&edited, last);
                break;
            }
        }
    }
    if is_removed(&before, &parse(&edited), name) { Ok(edited) } else { Err(EditError::Layout) }
}

fn is_removed(old: &Document<'_>, new: &Document<'_>, name: &str) -> bool {
    let gone = |section: &Section<'_>| section.name.as_deref() == Some(name);
    new.sections.len() + 1 == old.sections.len() && others_are_as_they_were(new, old, gone)
}

fn readable(text: &[u8]) -> Result<Document<'_>, EditError> {
    let document = parse(text);
    match document.errors.first() {
        Some(error) => Err(EditError::Syntax(error.clone())),
        None => Ok(document),
    }
}

/// Where a section of this kind goes, at the beginning of a line, and how lines end there.
fn place<'t>(text: &'t [u8], document: &Document<'_>, kind: &str) -> (usize, &'t [u8]) {
    let last = document.sections.iter().rfind(|section| *section.kind == *kind);
    let end = last.map(|section| section.entries.last().map_or(section.span.end, |entry| entry.span.end));
    let after = end.and_then(|end| {
        let next = line_end(text, end);
        let rest = text.get(end..next).unwrap_or_default();
        let first = rest.iter().find(|octet| !is_blank(**octet));
        // Not when the line goes on with another command.
        matches!(first, None | Some(b'\n' | b'#')).then_some(next)
    });
    let at = after.unwrap_or(text.len());
    let windows = text.get(..at).unwrap_or_default().ends_with(b"\r\n");
    (at, if windows { b"\r\n" } else { b"\n" })
}

fn is_empty_line(line: &[u8]) -> bool {
    line.iter().all(|octet| is_blank(*octet) || *octet == b'\n')
}

/// The step that takes a command out, and the empty line before it if another follows or the file ends.
fn whole(text: &[u8], span: Range<usize>) -> Step {
    let mut step = take_out(text, span);
    let (start, end) = (step.range.start, step.range.end);
    let before = start.checked_sub(1).map(|at| line_start(text, at)..start);
    let alone = start == line_start(text, start) && (end == text.len() || end == line_start(text, end));
    if let Some(before) = before.filter(|_| alone)
        && is_empty_line(text.get(before.clone()).unwrap_or_default())
        && is_empty_line(text.get(end..line_end(text, end)).unwrap_or_default())
    {
        step.range.start = before.start;
    }
    step
}

/// True when `more` has the sections of `fewer` in their order, besides those that are `extra`.
fn others_are_as_they_were(fewer: &Document<'_>, more: &Document<'_>, extra: impl Fn(&Section<'_>) -> bool) -> bool {
    let same =
        |a: &Entry<'_>, b: &Entry<'_>| (&a.name, a.list, a.value.octets()) == (&b.name, b.list, b.value.octets());
    let mut others = more.sections.iter().filter(|section| !extra(section));
    more.errors.is_empty()
        && fewer.errors.is_empty()
        && fewer.package == more.package
        && fewer.sections.iter().all(|a| {
            others.next().is_some_and(|b| {
                (&a.kind, &a.name) == (&b.kind, &b.name)
                    && a.entries.len() == b.entries.len()
                    && a.entries.iter().zip(&b.entries).all(|(a, b)| same(a, b))
            })
        })
        && others.next().is_none()
}

#[cfg(test)]
mod tests;
