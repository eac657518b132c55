//! The file format of OpenWrt's UCI, as in `/etc/config`.
//!
//! The grammar is that of libuci's parser (openwrt/uci, `file.c`): commands `package NAME`, `config TYPE [NAME]`,
//! `option NAME VALUE` and `list NAME VALUE`, or their first letters; one a line, or several with `;` between them.
//! A word is made of bare characters, `'...'` (nothing is special inside) and `"..."` (backslash escapes), joined
//! without a blank; both quotes may hold line ends. A backslash takes the next character literally, a backslash at
//! the end of a line joins it to the next. `#` begins a comment.
//!
//! Where libuci guesses, this parser refuses: words after the value, a value left out, and a `#` in the middle of
//! a bare word (libuci cuts the word there, which silently shortens a secret).
//!
//! No error ever quotes a value, since any value may be a secret.

pub mod edit;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use zeroize::Zeroize;

/// Largest accepted file, in octets.
pub const MAX_FILE: usize = 1 << 20;
/// Most accepted lines.
pub const MAX_LINES: usize = 100_000;
/// Longest accepted line, in octets.
pub const MAX_LINE: usize = 8192;
/// Longest accepted value, in octets.
pub const MAX_VALUE: usize = 4096;
/// Longest accepted type or name, in octets.
pub const MAX_NAME: usize = 64;
/// Most accepted sections.
pub const MAX_SECTIONS: usize = 4096;
/// Most accepted options and list items, all sections together.
pub const MAX_ENTRIES: usize = 65_536;
/// After so many errors the parser gives up: more would help nobody.
pub const MAX_ERRORS: usize = 50;

/// What a file says, and what is wrong in it.
#[derive(Debug, Default)]
pub struct Document<'a> {
    /// The name in the `package` line, if there is one.
    pub package: Option<Box<str>>,
    /// The sections in the order of the file. Sections of the same name stay apart.
    pub sections: Vec<Section<'a>>,
    /// Every error, by line. Commands with errors are left out of `sections`.
    pub errors: Vec<SyntaxError>,
    /// The line on which the first quote opens that does not close on the same line. UCI allows that; where no value
    /// has line ends it means a forgotten quote, and that what follows is not what its author meant.
    pub first_multiline: Option<u32>,
}

/// One `config` section.
#[derive(Debug)]
pub struct Section<'a> {
    /// Line of the `config` command, from 1.
    pub line: u32,
    /// The type: 1 to 64 printable ASCII characters.
    pub kind: Box<str>,
    /// The name: 1 to 64 of `A-Z a-z 0-9 _`. `None`: an anonymous section.
    pub name: Option<Box<str>>,
    /// Where its `config` command is in the file: from its first octet to the last of its words, without what follows.
    pub span: Range<usize>,
    /// Options and list items in the order of the file.
    pub entries: Vec<Entry<'a>>,
    /// True when something in this section could not be read, so that what is missing may not really be missing.
    pub damaged: bool,
}

/// One `option` or `list` command.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Line of the command, from 1.
    pub line: u32,
    /// Where the command is in the file: from its first octet to the last of its value, without what follows.
    pub span: Range<usize>,
    /// The option's name: 1 to 64 of `A-Z a-z 0-9 _`.
    pub name: Box<str>,
    /// True for `list`.
    pub list: bool,
    /// The value, quotes and escapes resolved.
    pub value: Value<'a>,
}

/// A value: any octets but NUL, at most [`MAX_VALUE`]. It may be a secret, so `Debug` shows its length only, and
/// what had to be copied is wiped on drop.
pub struct Value<'a>(Cow<'a, [u8]>);

impl Value<'_> {
    /// The octets.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} octets)", self.0.len())
    }
}

impl Drop for Value<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(octets) = &mut self.0 {
            octets.zeroize();
        }
    }
}

/// Where a file departs from the format, what was expected, and the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct SyntaxError {
    /// Line, from 1.
    pub line: u32,
    /// What was expected and the mend; never quotes a value.
    pub message: String,
}

/// Parses a file. Costs time and memory in proportion to its size, which is bounded.
pub fn parse(text: &[u8]) -> Document<'_> {
    let mut parser = Parser { text, at: 0, line: 1, entries: 0, place: Place::Start, document: Document::default() };
    if let Err(error) = check_size(text) {
        parser.document.errors.push(error);
        return parser.document;
    }
    while parser.peek().is_some() {
        let line = parser.line;
        let result = parser.command(line);
        if parser.document.first_multiline.is_some_and(|first| first >= line) {
            parser.damage();
        }
        if let Err(error) = result {
            parser.damage();
            parser.document.errors.push(error);
            if parser.document.errors.len() >= MAX_ERRORS {
                break;
            }
            parser.skip_line();
        }
        // What ends a command: the line's end or a semicolon.
        if matches!(parser.peek(), Some(b'\n' | b';')) {
            parser.bump();
        }
    }
    parser.document
}

fn error(line: u32, message: impl Into<String>) -> SyntaxError {
    SyntaxError { line, message: message.into() }
}

fn check_size(text: &[u8]) -> Result<(), SyntaxError> {
    if text.len() > MAX_FILE {
        return Err(error(1, format!("the file is larger than {MAX_FILE} octets: shorten it")));
    }
    let mut number = 0;
    for line in text.split(|b| *b == b'\n') {
        number += 1;
        if number as usize > MAX_LINES {
            return Err(error(number, format!("more than {MAX_LINES} lines: split or shorten the file")));
        }
        if line.len() > MAX_LINE {
            return Err(error(number, format!("the line has {} octets: at most {MAX_LINE} are read", line.len())));
        }
        if line.contains(&0) {
            return Err(error(number, "a NUL octet: this is no text file; restore it or write it anew"));
        }
    }
    Ok(())
}

/// Where options go.
enum Place {
    /// Before the first `config`.
    Start,
    /// Into the last section.
    Section,
    /// Nowhere: the `config` line could not be read.
    Lost,
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
    entries: usize,
    place: Place,
    document: Document<'a>,
}

/// A word as ranges of the file, so that a plain one needs no copy.
#[derive(Default)]
struct Word {
    pieces: Vec<Range<usize>>,
    length: usize,
    closed_quote: bool,
    /// Where it is in the file.
    span: Range<usize>,
}

impl Word {
    fn push(&mut self, piece: Range<usize>) {
        self.length += piece.len();
        match self.pieces.last_mut() {
            Some(last) if last.end == piece.start => last.end = piece.end,
            _ if piece.is_empty() => {}
            _ => self.pieces.push(piece),
        }
    }
}

fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn bump(&mut self) {
        if self.peek() == Some(b'\n') {
            self.line += 1;
        }
        self.at += 1;
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|b| b != b'\n') {
            self.at += 1;
        }
    }

    /// Notes that something in the present section is not what its author meant.
    fn damage(&mut self) {
        if let (Place::Section, Some(section)) = (&self.place, self.document.sections.last_mut()) {
            section.damaged = true;
        }
    }

    /// Consumes a backslash with the line end (or the end of the file) after it.
    fn continuation(&mut self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = match rest {
            [b'\\', b'\n', ..] => 2,
            [b'\\', b'\r', b'\n', ..] => 3,
            [b'\\'] => 1,
            _ => return false,
        };
        self.at += length;
        self.line += 1;
        true
    }

    /// The next word of the command, or `None` at its end. Stands on the octet that ended it.
    fn word(&mut self) -> Result<Option<Word>, SyntaxError> {
        loop {
            match self.peek() {
                None | Some(b'\n' | b';') => return Ok(None),
                Some(b'#') => self.skip_line(),
                Some(b) if is_blank(b) => self.bump(),
                Some(b'\\') if self.continuation() => {}
                Some(_) => break,
            }
        }
        let start = self.at;
        let mut word = Word::default();
        while let Some(octet) = self.peek() {
            match octet {
                b'\n' | b';' => break,
                b if is_blank(b) => break,
                b'#' if word.closed_quote => break,
                b'#' => {
                    return Err(error(
                        self.line,
                        "a # in a word: put the value in single quotes, or a blank before the comment",
                    ));
                }
                b'\'' | b'"' => self.quoted(octet, &mut word)?,
                b'\\' => {
                    word.closed_quote = false;
                    if !self.continuation() {
                        self.bump();
                        word.push(self.at..self.at + 1);
                        self.bump();
                    }
                }
                _ => {
                    word.closed_quote = false;
                    word.push(self.at..self.at + 1);
                    self.bump();
                }
            }
        }
        // A backslash at the end of the file stands beyond it.
        word.span = start..self.at.min(self.text.len());
        Ok(Some(word))
    }

    /// A quoted part of a word; stands on the opening quote.
    fn quoted(&mut self, quote: u8, word: &mut Word) -> Result<(), SyntaxError> {
        let opened = self.line;
        self.bump();
        let mut start = self.at;
        loop {
            match self.peek() {
                None => {
                    let quote = char::from(quote);
                    return Err(error(opened, format!("the quote {quote} opened here is never closed: add a {quote}")));
                }
                Some(b) if b == quote => break,
                Some(b'\\') if quote == b'"' => {
                    word.push(start..self.at);
                    if !self.continuation() {
                        self.bump();
                        word.push(self.at..self.at + 1);
                        self.bump();
                    }
                    start = self.at;
                }
                Some(b'\n') => {
                    self.document.first_multiline.get_or_insert(opened);
                    self.bump();
                }
                Some(_) => self.bump(),
            }
        }
        word.push(start..self.at);
        word.closed_quote = true;
        self.bump();
        Ok(())
    }

    fn value(&self, word: &Word) -> Value<'a> {
        let slice = |piece: &Range<usize>| self.text.get(piece.clone()).unwrap_or_default();
        match word.pieces.as_slice() {
            [] => Value(Cow::Borrowed(&[])),
            [piece] => Value(Cow::Borrowed(slice(piece))),
            pieces => {
                // Never grows, so that no copy of a secret stays behind.
                let mut octets = Vec::with_capacity(word.length);
                pieces.iter().for_each(|piece| octets.extend_from_slice(slice(piece)));
                Value(Cow::Owned(octets))
            }
        }
    }

    /// Checks a type or name: 1 to 64 characters that `allowed` lets through.
    fn name(&self, line: u32, word: &Word, what: &str, allowed: fn(&u8) -> bool) -> Result<Box<str>, SyntaxError> {
        let value = self.value(word);
        let octets = value.octets();
        if octets.is_empty() || octets.len() > MAX_NAME {
            return Err(error(line, format!("{what} must have 1 to {MAX_NAME} characters")));
        }
        match std::str::from_utf8(octets) {
            Ok(text) if octets.iter().all(allowed) => Ok(text.into()),
            _ => Err(error(line, format!("{what} may only have letters, digits and underscores"))),
        }
    }

    /// One command, up to what ends it.
    fn command(&mut self, line: u32) -> Result<(), SyntaxError> {
        let Some(keyword) = self.word()? else { return Ok(()) };
        let mut words = Vec::new();
        let mut too_many = false;
        while let Some(word) = self.word()? {
            if word.length > MAX_VALUE {
                return Err(error(line, format!("a value of {} octets: at most {MAX_VALUE} are read", word.length)));
            }
            too_many |= words.len() == 2;
            if !too_many {
                words.push(word);
            }
        }
        let span = keyword.span.start..words.last().map_or(keyword.span.end, |word| word.span.end);
        let keyword = self.value(&keyword);
        match (keyword.octets(), words.as_slice()) {
            (b"config" | b"c" | b"option" | b"o" | b"list" | b"l", _) if too_many => {
                Err(error(line, "more words than there should be: put quotes around a value or name with blanks in it"))
            }
            (b"config" | b"c", [kind, name @ ..]) => self.section(line, span, kind, name.first()),
            (b"config" | b"c", []) => Err(error(line, "a section without a type: write config TYPE 'name'")),
            (b"option" | b"o", [name, value]) => self.entry(line, span, false, name, value),
            (b"list" | b"l", [name, value]) => self.entry(line, span, true, name, value),
            (b"option" | b"o" | b"list" | b"l", _) => {
                Err(error(line, "an option needs a name and a value: write option NAME 'value' or list NAME 'value'"))
            }
            (b"package" | b"p", [name]) => {
                if self.document.package.is_some() || !matches!(self.place, Place::Start) {
                    return Err(error(line, "a package line can only be the first of the file: remove it"));
                }
                let allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
                self.document.package = Some(self.name(line, name, "the package's name", allowed)?);
                Ok(())
            }
            (b"package" | b"p", _) => Err(error(line, "a package line has one name: write package NAME")),
            _ => Err(error(line, "a line begins with config, option, list or package, or with # for a comment")),
        }
    }

    fn section(&mut self, line: u32, span: Range<usize>, kind: &Word, name: Option<&Word>) -> Result<(), SyntaxError> {
        self.place = Place::Lost;
        if self.document.sections.len() >= MAX_SECTIONS {
            return Err(error(line, format!("more than {MAX_SECTIONS} sections: remove some")));
        }
        let kind = self.name(line, kind, "the section's type", u8::is_ascii_graphic)?;
        let name = match name {
            // An empty name is no name, as in libuci.
            None => None,
            Some(word) if word.length == 0 => None,
            Some(word) => Some(self.name(line, word, "the section's name", is_name)?),
        };
        self.document.sections.push(Section { line, kind, name, span, entries: Vec::new(), damaged: false });
        self.place = Place::Section;
        Ok(())
    }

    fn entry(
        &mut self,
        line: u32,
        span: Range<usize>,
        list: bool,
        name: &Word,
        value: &Word,
    ) -> Result<(), SyntaxError> {
        match self.place {
            Place::Start => return Err(error(line, "an option outside a section: write config TYPE 'name' above it")),
            Place::Lost => return Ok(()),
            Place::Section => {}
        }
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(error(line, format!("more than {MAX_ENTRIES} options: remove some")));
        }
        let name = self.name(line, name, "the option's name", is_name)?;
        let value = self.value(value);
        if let Some(section) = self.document.sections.last_mut() {
            section.entries.push(Entry { line, span, name, list, value });
        }
        Ok(())
    }
}

fn is_name(octet: &u8) -> bool {
    octet.is_ascii_alphanumeric() || *octet == b'_'
}

#[cfg(test)]
mod tests;
