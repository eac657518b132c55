//! Changing what lies at one place of a file: whole sections at its end, and single commands wherever they are. Each has
//! an exact inverse, so that what was put in can be taken out again without a trace.

use super::{Change, check, is_name};
use super::{EditError, Step, apply, command, indent_of, line_end, line_start, put_in, quote, take_out};
use crate::wire::uci::{Document, Entry, Section, parse};
use zeroize::Zeroizing;

/// Puts a section behind all others. A file whose last line is empty keeps it that way; else an empty line comes first.
///
/// # Errors
/// Names or values that cannot be written, a name that is taken, or a file that cannot be read.
pub fn append(text: &[u8], kind: &str, name: &str, options: &[Change<'_>]) -> Result<Zeroizing<Vec<u8>>, EditError> {
    let old = parse(text);
    if let Some(error) = old.errors.first() {
        return Err(EditError::Syntax(error.clone()));
    }
    if old.sections.iter().any(|section| section.name.as_deref() == Some(name)) {
        return Err(EditError::Twice(name.into()));
    }
    if name.is_empty() || !name.bytes().all(|octet| is_name(&octet)) {
        return Err(EditError::Value(name.into()));
    }
    options.iter().try_for_each(check)?;
    let commands = options.iter().flat_map(|option| option.values.iter().map(move |value| command(option, value)));
    let commands: Vec<Zeroizing<Vec<u8>>> = commands.collect();
    let room = commands.iter().map(|command| command.len() + 2).sum::<usize>() + kind.len() + name.len() + 32;
    let mut new = Zeroizing::new(Vec::with_capacity(text.len() + room));
    new.extend_from_slice(text);
    if !text.is_empty() && !text.ends_with(b"\n") {
        new.push(b'\n');
    }
    let after = ends_empty(text);
    if !after {
        new.push(b'\n');
    }
    new.extend_from_slice(b"config ");
    new.extend_from_slice(kind.as_bytes());
    new.push(b' ');
    new.extend_from_slice(&quote(name.as_bytes()));
    new.push(b'\n');
    for command in &commands {
        new.push(b'\t');
        new.extend_from_slice(command);
        new.push(b'\n');
    }
    if after {
        new.push(b'\n');
    }
    let fresh = parse(&new);
    let appended = fresh.sections.last().is_some_and(|last| {
        &*last.kind == kind && last.name.as_deref() == Some(name) && last.entries.len() == commands.len()
    });
    let count = old.sections.len();
    let right =
        fresh.errors.is_empty() && appended && same_sections(old.sections.iter(), fresh.sections.iter().take(count));
    drop(fresh);
    if right { Ok(new) } else { Err(EditError::Layout) }
}

/// Takes the section at a place among all sections out, with the lines it has and one empty line: the one after it if
/// there is one, else the one before.
///
/// # Errors
/// A file that cannot be read, or a layout in which other sections would be changed.
pub fn remove(text: &[u8], index: usize) -> Result<Zeroizing<Vec<u8>>, EditError> {
    let old = parse(text);
    let section = section_at(&old, index)?;
    let last = section.entries.last().map_or(section.span.end, |entry| entry.span.end);
    let mut range = line_start(text, section.span.start)..line_end(text, last);
    let next = line_end(text, range.end);
    let blank = |at: &[u8]| !at.is_empty() && at.iter().all(|octet| octet.is_ascii_whitespace());
    if blank(text.get(range.end..next).unwrap_or_default()) {
        range.end = next;
    } else if range.start > 0 {
        let before = line_start(text, range.start - 1);
        if blank(text.get(before..range.start).unwrap_or_default()) {
            range.start = before;
        }
    }
    let new = apply(text, Step { range, by: Zeroizing::default() });
    let fresh = parse(&new);
    let others = old.sections.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, section)| section);
    let right = fresh.errors.is_empty() && same_sections(others, fresh.sections.iter());
    drop(fresh);
    if right { Ok(new) } else { Err(EditError::Layout) }
}

/// Writes a command in place of the last one that a section has for an option, or at the section's end; `None` takes it
/// out. The command is taken as it is, so that an old one can be put back to the letter.
///
/// # Errors
/// A file that cannot be read, or a layout in which something else would be changed.
pub fn replace(text: &[u8], index: usize, option: &str, by: Option<&[u8]>) -> Result<Zeroizing<Vec<u8>>, EditError> {
    let old = parse(text);
    let section = section_at(&old, index)?;
    let place = section.entries.iter().rposition(|entry| &*entry.name == option);
    let step = match (place.and_then(|place| section.entries.get(place)), by) {
        (None, None) => return Ok(Zeroizing::new(text.to_vec())),
        (Some(entry), Some(by)) => Step { range: entry.span.clone(), by: Zeroizing::new(by.to_vec()) },
        (Some(entry), None) => take_out(text, entry.span.clone()),
        (None, Some(by)) => {
            let last = section.entries.last();
            let indent = last.map_or(b"\t".as_slice(), |entry| indent_of(text, entry.span.start));
            put_in(text, last.map_or(section.span.end, |entry| entry.span.end), indent, by)
        }
    };
    let new = apply(text, step);
    let fresh = parse(&new);
    let here = fresh.sections.get(index).ok_or(EditError::Layout)?;
    let at = place.unwrap_or(section.entries.len());
    let rest = here.entries.iter().enumerate().filter(|(here, _)| by.is_none() || *here != at);
    let kept = section.entries.iter().enumerate().filter(|(here, _)| *here != at);
    let right = fresh.errors.is_empty()
        && fresh.sections.len() == old.sections.len()
        && same_entries(kept.map(|(_, entry)| entry), rest.map(|(_, entry)| entry))
        && (by.is_none() || here.entries.get(at).is_some_and(|entry| &*entry.name == option))
        && old.sections.iter().zip(&fresh.sections).enumerate().all(|(at, (a, b))| {
            (&a.kind, &a.name) == (&b.kind, &b.name)
                && (at == index || same_entries(a.entries.iter(), b.entries.iter()))
        });
    drop(fresh);
    if right { Ok(new) } else { Err(EditError::Layout) }
}

/// `option NAME 'VALUE'`.
pub fn option(name: &str, value: &[u8]) -> Zeroizing<Vec<u8>> {
    command(&Change { option: name, list: false, values: Vec::new() }, value)
}

fn ends_empty(text: &[u8]) -> bool {
    text.is_empty() || text.ends_with(b"\n\n")
}

fn section_at<'d, 'a>(document: &'d Document<'a>, index: usize) -> Result<&'d Section<'a>, EditError> {
    match document.errors.first() {
        Some(error) => Err(EditError::Syntax(error.clone())),
        None => document.sections.get(index).ok_or(EditError::Layout),
    }
}

fn same_sections<'s, 'a: 's, 'b: 's>(
    a: impl Iterator<Item = &'s Section<'a>>,
    b: impl Iterator<Item = &'s Section<'b>>,
) -> bool {
    let (a, b): (Vec<_>, Vec<_>) = (a.collect(), b.collect());
    a.len() == b.len()
        && a.iter()
            .zip(&b)
            .all(|(a, b)| (&a.kind, &a.name) == (&b.kind, &b.name) && same_entries(a.entries.iter(), b.entries.iter()))
}

fn same_entries<'s, 'a: 's, 'b: 's>(
    a: impl Iterator<Item = &'s Entry<'a>>,
    b: impl Iterator<Item = &'s Entry<'b>>,
) -> bool {
    let (a, b): (Vec<_>, Vec<_>) = (a.collect(), b.collect());
    a.len() == b.len()
        && a.iter().zip(&b).all(|(a, b)| (&a.name, a.list, a.value.octets()) == (&b.name, b.list, b.value.octets()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &[u8]) -> &str {
        std::str::from_utf8(text).expect("text")
    }

    fn options() -> Vec<Change<'static>> {
        vec![
            Change { option: "device", list: false, values: vec![b"br-lk-iot"] },
            Change { option: "ports", list: true, values: vec![b"lan1", b"it's"] },
        ]
    }

    #[test]
    fn a_section_comes_and_goes_without_a_trace() {
        let block =
            "config interface 'lk_iot'\n\toption device 'br-lk-iot'\n\tlist ports 'lan1'\n\tlist ports 'it'\\''s'\n";
        for (before, after) in [
            ("", format!("{block}\n")),
            ("config a\n", format!("config a\n\n{block}")),
            ("\nconfig a\n\toption b c\n\n", format!("\nconfig a\n\toption b c\n\n{block}\n")),
            ("config a\n# the end\n", format!("config a\n# the end\n\n{block}")),
        ] {
            let new = append(before.as_bytes(), "interface", "lk_iot", &options()).expect(before);
            assert_eq!(shown(&new), after);
            let index = parse(&new).sections.len() - 1;
            assert_eq!(shown(&remove(&new, index).expect("removed")), before);
            let two = append(&new, "zone", "lk_b", &[]).expect("appended");
            let one = remove(&two, index).expect("removed");
            assert_eq!(shown(&remove(&one, index).expect("removed")), before);
        }
        // What had no end of line has one then.
        let new = append(b"config a", "b", "c", &[]).expect("appended");
        assert_eq!(shown(&new), "config a\n\nconfig b 'c'\n");
    }

    #[test]
    fn what_cannot_be_appended_or_removed() {
        assert!(matches!(append(b"config a 'b'\n", "c", "b", &[]), Err(EditError::Twice(_))));
        assert!(matches!(append(b"config 'a\n", "c", "b", &[]), Err(EditError::Syntax(_))));
        assert!(matches!(append(b"", "c", "a-b", &[]), Err(EditError::Value(_))));
        let line_end = Change { option: "x", list: false, values: vec![b"a\nb"] };
        assert!(matches!(append(b"", "c", "b", &[line_end]), Err(EditError::Value(_))));
        assert!(matches!(remove(b"config a; config b\n", 0), Err(EditError::Layout)));
        assert!(matches!(remove(b"config a\n", 1), Err(EditError::Layout)));
    }

    #[test]
    fn a_command_is_replaced_and_put_back_to_the_letter() {
        for (before, index) in [
            ("config wifi-device r\n\toption disabled 1   # off\n\toption band '2g'\n\nconfig x\n", 0),
            ("config x\nconfig wifi-device r\n  option disabled '0'\n  option disabled \"1\"\n", 1),
            ("config wifi-device r\n\toption band 2g\n\nconfig x\n\toption disabled 1\n", 0),
            ("config wifi-device r; option disabled 1; option band 2g\n", 0),
            ("config wifi-device r\n", 0),
        ] {
            let document = parse(before.as_bytes());
            let entries = &document.sections[index].entries;
            let old = entries.iter().rfind(|entry| &*entry.name == "disabled");
            let old = old.map(|entry| &before.as_bytes()[entry.span.clone()]);
            let new = replace(before.as_bytes(), index, "disabled", Some(&option("disabled", b"0"))).expect(before);
            assert!(shown(&new).contains("option disabled '0'"), "{}", shown(&new));
            assert_eq!(shown(&replace(&new, index, "disabled", old).expect("put back")), before);
        }
        assert_eq!(shown(&replace(b"config a\n", 0, "b", None).expect("nothing")), "config a\n");
        assert!(matches!(replace(b"config a\n", 0, "b", Some(b"option c 1")), Err(EditError::Layout)));
        assert!(matches!(replace(b"config a\n", 1, "b", None), Err(EditError::Layout)));
    }
}
