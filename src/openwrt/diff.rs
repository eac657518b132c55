//! The lines in which two files differ, with what is around them and without secrets.

use crate::wire::uci;

/// A line of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `+` comes, `-` goes, a blank stays and is shown for orientation.
    pub sign: char,
    /// The line; of lines left out in between, `...`.
    pub text: String,
}

/// What the names of options have whose values are never shown, in all files: those there are (`key`, `key1` to `key4`,
/// `sae_password`, `priv_key_pwd`, `wps_pin`, `r0kh`, ...), and those that later releases may have.
const SECRETS: [&str; 7] = ["key", "secret", "pass", "pwd", "pin", "kh", "psk"];
/// Raw lines for hostapd that are ours and no secrets; of others only what is before the sign is shown.
const RAW: [&str; 5] = super::wireless::RAW;
/// Files whose middle parts differ in more lines (multiplied) are shown as one replaced by the other.
const MOST: usize = 4_000_000;

/// The lines that lead from one file to the other; empty when they are equal.
pub fn lines(old: &[u8], new: &[u8]) -> Vec<Line> {
    if old == new {
        return Vec::new();
    }
    let (old, new) = (Shown::new(old), Shown::new(new));
    let steps = steps(&old.raw, &new.raw);
    // For every step: whether it is shown. Of what stays: its section's first line, and nothing of others'
    // options, since who may see plans need not be permitted to see them.
    let mut shown: Vec<bool> = steps.iter().map(|(sign, _)| *sign != ' ').collect();
    let changed: Vec<usize> = shown.iter().enumerate().filter(|(_, shown)| **shown).map(|(at, _)| at).collect();
    let raw = |(sign, line): &(char, usize)| -> &[u8] {
        let file = if *sign == '-' { &old.raw } else { &new.raw };
        file.get(*line).map_or(&[], |line| line.trim_ascii())
    };
    for at in changed {
        // An empty line that comes before a new section is not of the one before it.
        if steps.get(at).is_none_or(|step| raw(step).is_empty()) {
            continue;
        }
        let header = steps.iter().take(at + 1).rposition(|step| raw(step).starts_with(b"config "));
        if let Some(shown) = header.and_then(|header| shown.get_mut(header)) {
            *shown = true;
        }
    }
    let mut lines: Vec<Line> = Vec::new();
    let mut gap = false;
    for ((sign, text), shown) in steps.iter().zip(shown) {
        let text = if *sign == '-' { old.line(*text) } else { new.line(*text) };
        // An empty line tells nobody where he is.
        if !shown || (*sign == ' ' && text.trim().is_empty()) {
            gap = true;
            continue;
        }
        if std::mem::take(&mut gap) && !lines.is_empty() {
            lines.push(Line { sign: ' ', text: "...".into() });
        }
        lines.push(Line { sign: *sign, text });
    }
    lines
}

/// Signs and line numbers (from 0): of the new file, of the old one for `-`. For what stays, those of the new one.
fn steps(old: &[&[u8]], new: &[&[u8]]) -> Vec<(char, usize)> {
    let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let left = old.len().min(new.len()) - start;
    let end = old.iter().rev().zip(new.iter().rev()).take(left).take_while(|(a, b)| a == b).count();
    let a = old.get(start..old.len() - end).unwrap_or_default();
    let b = new.get(start..new.len() - end).unwrap_or_default();
    let mut steps: Vec<(char, usize)> = (0..start).map(|at| (' ', at)).collect();
    let width = b.len() + 1;
    // common[i * width + j]: the longest common sequence of a[i..] and b[j..].
    let mut common = vec![0u32; if a.len() * b.len() <= MOST { (a.len() + 1) * width } else { 0 }];
    let at = |common: &[u32], i: usize, j: usize| common.get(i * width + j).copied().unwrap_or(0);
    if !common.is_empty() {
        for i in (0..a.len()).rev() {
            for j in (0..b.len()).rev() {
                let value = if a.get(i) == b.get(j) {
                    at(&common, i + 1, j + 1) + 1
                } else {
                    at(&common, i + 1, j).max(at(&common, i, j + 1))
                };
                if let Some(place) = common.get_mut(i * width + j) {
                    *place = value;
                }
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a.get(i) == b.get(j) && !common.is_empty() {
            steps.push((' ', start + j));
            (i, j) = (i + 1, j + 1);
        } else if i < a.len() && (j == b.len() || at(&common, i + 1, j) >= at(&common, i, j + 1)) {
            steps.push(('-', start + i));
            i += 1;
        } else {
            steps.push(('+', start + j));
            j += 1;
        }
    }
    steps.extend((new.len() - end..new.len()).map(|at| (' ', at)));
    steps
}

struct Shown<'a> {
    raw: Vec<&'a [u8]>,
    shown: Vec<String>,
}

impl<'a> Shown<'a> {
    fn new(text: &'a [u8]) -> Shown<'a> {
        let document = uci::parse(text);
        let mut masked = String::new();
        let mut done = 0;
        for section in &document.sections {
            between(&mut masked, text.get(done..section.span.start).unwrap_or_default());
            masked.push_str(&String::from_utf8_lossy(text.get(section.span.clone()).unwrap_or_default()));
            done = section.span.end;
            for entry in &section.entries {
                between(&mut masked, text.get(done..entry.span.start).unwrap_or_default());
                let command = text.get(entry.span.clone()).unwrap_or_default();
                done = entry.span.end;
                let raw = &*entry.name == "hostapd_bss_options"
                    && !RAW.iter().any(|ours| entry.value.octets().starts_with(ours.as_bytes()));
                let switch = matches!(&*entry.name, "ppsk" | "wpa_disable_eapol_key_retries");
                if !raw && (switch || !SECRETS.iter().any(|part| entry.name.contains(part))) {
                    masked.push_str(&String::from_utf8_lossy(command));
                    continue;
                }
                let until = entry.value.octets().iter().position(|octet| *octet == b'=').filter(|_| raw);
                let about = until.and_then(|until| entry.value.octets().get(..=until)).unwrap_or_default();
                let about = String::from_utf8_lossy(about).replace('\n', " ");
                let word = if entry.list { "list" } else { "option" };
                masked.push_str(&format!("{word} {} '{about}(hidden)'", entry.name));
                masked.extend(command.iter().filter(|octet| **octet == b'\n').map(|_| '\n'));
            }
        }
        between(&mut masked, text.get(done..).unwrap_or_default());
        let split = |text: &'a [u8]| text.strip_suffix(b"\n").unwrap_or(text).split(|octet| *octet == b'\n').collect();
        let raw: Vec<&[u8]> = if text.is_empty() { Vec::new() } else { split(text) };
        // What cannot be read may hold a secret anywhere.
        let readable = document.errors.is_empty();
        let shown = if readable { masked.split('\n').map(str::to_owned).collect() } else { Vec::new() };
        Shown { raw, shown }
    }

    fn line(&self, index: usize) -> String {
        self.shown.get(index).map_or("(hidden)", |line| line.trim_end_matches('\r')).to_owned()
    }
}

/// What is between commands: blanks, and comments, in which an option with a secret may well have been put.
fn between(masked: &mut String, text: &[u8]) {
    let mut comment = false;
    for octet in text {
        match octet {
            b'\n' => comment = false,
            b'#' if !comment => {
                comment = true;
                masked.push_str("#...");
            }
            _ => {}
        }
        if !comment {
            masked.push(char::from(*octet));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(old: &str, new: &str) -> Vec<String> {
        lines(old.as_bytes(), new.as_bytes()).iter().map(|line| format!("{}{}", line.sign, line.text)).collect()
    }

    #[test]
    fn with_the_section_and_without_secrets() {
        let old =
            "config a 'x'\n\toption one 1\n\toption two 2\n\toption key 'SWQXK'\n\toption disabled 1\n\nconfig b\n";
        let new = old.replace("disabled 1", "disabled '0'") + "\nconfig c 'lk_c'\n\toption auth_secret 'SWQXK'\n";
        assert_eq!(
            shown(old, &new),
            [
                " config a 'x'",
                " ...",
                "-\toption disabled 1",
                "+\toption disabled '0'",
                " ...",
                "+",
                "+config c 'lk_c'",
                "+\toption auth_secret '(hidden)'",
            ]
        );
        for option in ["key4", "priv_key2_pwd", "wps_pin", "r0kh", "sae_password", "wpa_psk_x", "passphrase"] {
            assert_eq!(
                shown("config a\n", &format!("config a\nlist {option} SWQXK\n"))[1..],
                [format!("+list {option} '(hidden)'")]
            );
        }
        let raw =
            shown("", "config a\nlist hostapd_bss_options 'wpa_passphrase=SWQXK'\nlist hostapd_bss_options okc=0");
        assert_eq!(
            raw[1..],
            ["+list hostapd_bss_options 'wpa_passphrase=(hidden)'", "+list hostapd_bss_options okc=0"]
        );
        assert_eq!(
            shown(
                "config a # SWQXK\n\toption b 1 # SWQXK\n\t#option key SWQXK # SWQXK\n\toption c '#1'\n",
                "config a # SWQXK\n"
            ),
            [" config a #...", "-\toption b 1 #...", "-\t#...", "-\toption c '#1'"]
        );
        assert_eq!(shown(old, old), [""; 0]);
        assert_eq!(shown("", "config a\n"), ["+config a"]);
        assert_eq!(shown("a\n", "option key 'SWQXK\n"), ["-(hidden)", "+(hidden)"]);
    }

    proptest::proptest! {
        #[test]
        fn the_steps_lead_from_one_to_the_other(old in "([ab]?\n){0,8}", new in "([ab]?\n){0,8}") {
            let split = |text: &'static str| -> Vec<&'static [u8]> { text.as_bytes().split(|b| *b == b'\n').collect() };
            let (old, new) = (split(old.leak()), split(new.leak()));
            let steps = steps(&old, &new);
            let kept = |sign: char| steps.iter().filter(move |step| step.0 != sign);
            let made: Vec<&[u8]> = kept('-').map(|step| new[step.1]).collect();
            proptest::prop_assert_eq!(made, new.clone());
            proptest::prop_assert_eq!(kept('+').count(), old.len());
            let gone: Vec<usize> = steps.iter().filter(|step| step.0 == '-').map(|step| step.1).collect();
            let rest: Vec<&[u8]> = (0..old.len()).filter(|at| !gone.contains(at)).map(|at| old[at]).collect();
            let stays: Vec<&[u8]> = steps.iter().filter(|step| step.0 == ' ').map(|step| new[step.1]).collect();
            proptest::prop_assert_eq!(rest, stays);
        }
    }
}
