//! How things are put into words: times, amounts, colours, and characters that must not reach a terminal.

use crate::time::UnixTime;
use std::borrow::Cow;
use std::fmt::Write;

/// What the output may look like.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// The output is a terminal.
    pub terminal: bool,
    /// Colours are welcome.
    pub colour: bool,
    /// When the command was given.
    pub now: UnixTime,
}

/// A colour with a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// All is well.
    Good,
    /// Something wants attention.
    Warn,
    /// Refused, or broken.
    Bad,
}

impl Look {
    /// Colours a text, if colours are welcome.
    pub fn paint<'a>(&self, paint: Option<Paint>, text: &'a str) -> Cow<'a, str> {
        let code = match paint {
            Some(Paint::Good) => 32,
            Some(Paint::Warn) => 33,
            Some(Paint::Bad) => 31,
            None => return text.into(),
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m").into() } else { text.into() }
    }

    /// How long ago something was ("3 min ago"), or how soon it will be ("in 2 h"); the date when it is far away.
    pub fn when(&self, at: UnixTime) -> String {
        let ago = self.now.0.saturating_sub(at.0);
        let amount = match ago.unsigned_abs() {
            0..60 if ago >= 0 => return "just now".into(),
            seconds @ 0..60 => format!("{seconds} s"),
            seconds @ 60..3600 => format!("{} min", seconds / 60),
            seconds @ 3600..172_800 => format!("{} h", seconds / 3600),
            seconds @ 172_800..5_184_000 => format!("{} days", seconds / 86_400),
            _ => return date(at),
        };
        if ago >= 0 { format!("{amount} ago") } else { format!("in {amount}") }
    }
}

/// The day, in UTC.
pub fn date(at: UnixTime) -> String {
    at.to_string().chars().take(10).collect()
}

/// A length of time: "3 h 12 min".
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        86_400..172_800 => format!("1 day {} h", seconds % 86_400 / 3600),
        _ => format!("{} days {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// An amount of data, in decimal units.
pub fn bytes(octets: u64) -> String {
    let mut unit = "B";
    let mut tenths = u128::from(octets) * 10;
    for larger in ["kB", "MB", "GB", "TB"] {
        if tenths < 10_000 {
            break;
        }
        tenths /= 1000;
        unit = larger;
    }
    if unit == "B" { format!("{octets} B") } else { format!("{}.{} {unit}", tenths / 10, tenths % 10) }
}

/// A number and its noun: "1 device", "2 devices".
pub fn count(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// Escapes what could steer a terminal or hide text: SSIDs are chosen by anybody in radio range.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return text.into();
    }
    let mut cleaned = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_unsafe(character) {
            let _ = match u32::from(character) {
                code @ 0..=0xff => write!(cleaned, "\\x{code:02x}"),
                code => write!(cleaned, "\\u{{{code:x}}}"),
            };
        } else {
            cleaned.push(character);
        }
    }
    cleaned.into()
}

/// Control characters, and those that are invisible, break lines or turn the direction of writing.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(character, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// How many columns of a terminal a text takes, near enough for a table.
pub fn width(text: &str) -> usize {
    text.chars()
        .map(|character| match character {
            '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}' => 0,
            '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' => 2,
            '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' => 2,
            '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}' => 2,
            _ => 1,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Look = Look { terminal: true, colour: true, now: UnixTime(1_801_418_400) };

    #[test]
    fn times_are_relative_until_far_away() {
        for (seconds, shown) in [
            (0, "just now"),
            (59, "just now"),
            (60, "1 min ago"),
            (3599, "59 min ago"),
            (3600, "1 h ago"),
            (172_799, "47 h ago"),
            (172_800, "2 days ago"),
            (5_183_999, "59 days ago"),
            (5_184_000, "2026-12-02"),
            (-1, "in 1 s"),
            (-7200, "in 2 h"),
            (-6_000_000, "2027-04-11"),
        ] {
            assert_eq!(LOOK.when(UnixTime(LOOK.now.0 - seconds)), shown, "{seconds}");
        }
        assert_eq!(LOOK.when(UnixTime(i64::MIN)).chars().count(), 10);
    }

    #[test]
    fn lengths_and_amounts() {
        let shown = [0, 59, 60, 11_520, 90_000, 273_600].map(duration);
        assert_eq!(shown, ["0 s", "59 s", "1 min", "3 h 12 min", "1 day 1 h", "3 days 4 h"]);
        let shown = [0, 999, 1000, 1999, 999_999, 1_000_000, 25_400_000_000, u64::MAX].map(bytes);
        let expected = ["0 B", "999 B", "1.0 kB", "1.9 kB", "999.9 kB", "1.0 MB", "25.4 GB", "18446744.0 TB"];
        assert_eq!(shown, expected);
        assert_eq!([0, 1, 2].map(|n| count(n, "device")), ["0 devices", "1 device", "2 devices"]);
    }

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(clean("Café 網路 \\ ok"), "Café 網路 \\ ok");
        assert_eq!(clean("a\x1b[2Jb\n\0\x7f"), "a\\x1b[2Jb\\x0a\\x00\\x7f");
        assert_eq!(clean("\u{9b}31m"), "\\x9b31m");
        assert_eq!(clean("ev\u{202e}il\u{200b}\u{2028}"), "ev\\u{202e}il\\u{200b}\\u{2028}");
    }

    #[test]
    fn widths_are_columns() {
        assert_eq!(["abc", "Café", "Cafe\u{301}", "網路", ""].map(width), [3, 4, 4, 4, 0]);
    }

    #[test]
    fn colours_only_when_welcome() {
        assert_eq!(LOOK.paint(Some(Paint::Bad), "no"), "\x1b[31mno\x1b[0m");
        assert_eq!(LOOK.paint(None, "no"), "no");
        assert_eq!(Look { colour: false, ..LOOK }.paint(Some(Paint::Bad), "no"), "no");
    }
}
