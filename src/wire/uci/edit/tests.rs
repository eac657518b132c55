//! Literal files before and after, and files of any layout.

use super::*;
use proptest::prelude::*;

const FILE: &str = "\
# Who vouches for whom.
config realm 'acme'   # since 2026
\tlist realm 'acme.example'\t# theirs
\tlist   server  udp://192.0.2.7   # the first
\tlist server \"udp://192.0.2.8\"
\toption secret 'it'\\''s a secret'

\toption profile 'iot'
# the end

config realm 'cloud'
\tlist server 'udp://192.0.2.7'
";

fn list<'a>(option: &'a str, values: &[&'a str]) -> Change<'a> {
    Change { option, list: true, values: values.iter().map(|value| value.as_bytes()).collect() }
}

fn option<'a>(option: &'a str, value: &'a str) -> Change<'a> {
    Change { option, list: false, values: vec![value.as_bytes()] }
}

fn none(option: &str) -> Change<'_> {
    Change { option, list: false, values: vec![] }
}

fn edited(text: &str, changes: &[Change<'_>]) -> String {
    let octets = edit(text.as_bytes(), "realm", "acme", changes).unwrap_or_else(|why| panic!("{why}: {text}"));
    String::from_utf8(octets.to_vec()).expect("text")
}

#[test]
fn only_what_is_another_changes() {
    for (changes, old, new) in [
        (vec![list("server", &["udp://192.0.2.7", "udp://192.0.2.8"])], "", ""),
        (vec![none("share")], "", ""),
        (
            vec![list("server", &["radsec://a.example", "udp://192.0.2.8"])],
            "list   server  udp://192.0.2.7   #",
            "list server 'radsec://a.example'   #",
        ),
        (vec![list("server", &["udp://192.0.2.7"])], "\tlist server \"udp://192.0.2.8\"\n", ""),
        (
            vec![list("server", &["udp://192.0.2.7", "udp://192.0.2.8", "local"])],
            "\"udp://192.0.2.8\"\n",
            "\"udp://192.0.2.8\"\n\tlist server 'local'\n",
        ),
        (vec![none("secret")], "\toption secret 'it'\\''s a secret'\n", ""),
        (vec![option("secret", "an'other")], "'it'\\''s a secret'", "'an'\\''other'"),
        (vec![option("secret", "it's a secret")], "", ""),
        (vec![option("share", "all")], "'iot'\n", "'iot'\n\toption share 'all'\n"),
        (
            vec![none("discover"), list("server", &["local"]), option("ca", "/a b.pem")],
            "\tlist   server  udp://192.0.2.7   # the first\n\tlist server \"udp://192.0.2.8\"\n",
            "\tlist server 'local'   # the first\n\toption ca '/a b.pem'\n",
        ),
        (
            vec![list("realm", &["acme.example", "*.acme.example"])],
            "\t# theirs\n",
            "\t# theirs\n\tlist realm '*.acme.example'\n",
        ),
        // What is not needed goes; what is said about it stays.
        (vec![list("realm", &[])], "\tlist realm 'acme.example'\t# theirs", "\t\t# theirs"),
    ] {
        assert_eq!(FILE.matches(old).count().min(1), 1);
        assert_eq!(edited(FILE, &changes), FILE.replacen(old, new, 1), "{changes:?}");
    }
}

#[test]
fn unusual_layouts() {
    let replaced = [list("server", &["local"]), none("secret"), option("share", "all")];
    for (old, new) in [
        ("config realm acme", "config realm acme\n\tlist server 'local'\n\toption share 'all'"),
        ("config realm acme\n", "config realm acme\n\tlist server 'local'\n\toption share 'all'\n"),
        ("config realm acme # x\r\n", "config realm acme # x\r\n\tlist server 'local'\r\n\toption share 'all'\r\n"),
        (
            "c realm acme;l server a;o secret b; o profile c; config realm b; l server a",
            "c realm acme;list server 'local'; option share 'all'; o profile c; config realm b; l server a",
        ),
        (
            "config realm acme\n  list server \\\n   a\n  option secret \"a\\\nb\" ; option profile 'x'\n",
            "config realm acme\n  list server 'local'\n  option share 'all'\n   option profile 'x'\n",
        ),
        (
            "config realm 'acme'\r\n  option server a\r\n",
            "config realm 'acme'\r\n  list server 'local'\r\n  option share 'all'\r\n",
        ),
        (
            "config realm acme\n\tlist server a\n\toption secret 'b'",
            "config realm acme\n\tlist server 'local'\n\toption share 'all'\n",
        ),
    ] {
        assert_eq!(edited(old, &replaced), new, "{old:?}");
    }
}

#[test]
fn what_is_refused() {
    let change = [option("secret", "x")];
    let no = |text: &str, changes: &[Change<'_>]| edit(text.as_bytes(), "realm", "acme", changes).expect_err(text);
    let missing = EditError::NoSection { kind: "realm".into(), name: "acme".into() };
    for text in ["", "config realm\n", "config realm 'ACME'\n", "config client 'acme'\n"] {
        assert_eq!(no(text, &change), missing, "{text}");
    }
    assert_eq!(no("config realm acme\nconfig realm acme\n", &change), EditError::Twice("acme".into()));
    assert_eq!(no("config realm acme\nconfig client acme\n", &change), EditError::Twice("acme".into()));
    assert!(matches!(no("config realm acme\noption\n", &change), EditError::Syntax(e) if e.line == 2));
    for bad in [option("a b", "x"), option("", "x"), option("a", ""), option("a", "x\ny"), option("a", "x\0")] {
        assert!(matches!(no("config realm acme\n", &[bad]), EditError::Value(_)));
    }
    let long = "x".repeat(MAX_VALUE + 1);
    assert!(matches!(no("config realm acme\n", &[option("a", &long)]), EditError::Value(_)));
    let two = Change { list: false, ..list("a", &["x", "y"]) };
    assert!(matches!(no("config realm acme\n", &[two]), EditError::Value(_)));
    assert!(!format!("{change:?}").contains('x'));
}

/// A file: several sections, each command in one of many layouts.
fn file() -> impl Strategy<Value = String> {
    let blank = "[ \t]{1,2}";
    let value = prop_oneof!["[a-z]{1,3}", "'[a-z #;\"]{0,4}'", "\"[a-z '#;]{0,4}\"", "[a-z]\\\\ [a-z]'x'"];
    let end = prop_oneof![
        4 => Just("\n"), 1 => Just("\r\n"), 1 => Just(" # said\n"), 1 => Just(";"), 1 => Just(" ; "),
        1 => Just("\n\n# more; config realm 'acme'\n"),
    ];
    let entry = (" {0,2}|\t", prop_oneof!["option", "list", "o", "l"], blank, "[ab]|share", blank, value, end.clone())
        .prop_map(|(a, b, c, d, e, f, g)| format!("{a}{b}{c}{d}{e}{f}{g}"));
    let section = ("(config|c) (realm|client)", end, prop::collection::vec(entry, 0..6));
    prop::collection::vec(section, 1..4).prop_map(|sections| {
        let mut text = String::from("# a file\n");
        for (index, (head, end, entries)) in sections.into_iter().enumerate() {
            let name = if index == 1 { "acme".into() } else { format!("s{index}") };
            let head = if index == 1 { "config realm".into() } else { head };
            text.push_str(&format!("{head} {name}{end}{}", entries.concat()));
            if !text.ends_with('\n') {
                text.push('\n');
            }
        }
        text
    })
}

/// All octets but blanks, ends of commands, and the commands that are changed.
fn others(text: &[u8]) -> String {
    let document = parse(text);
    let entries = find(&document, "realm", "acme").unwrap().entries.iter();
    let spans: Vec<_> = entries.filter(|e| ["a", "share"].contains(&&*e.name)).map(|e| e.span.clone()).collect();
    let kept = text.iter().enumerate().filter(|(at, _)| !spans.iter().any(|span| span.contains(at)));
    kept.map(|(_, octet)| char::from(*octet)).filter(|c| !c.is_ascii_whitespace() && *c != ';').collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn the_section_has_what_was_asked_for_and_nothing_else_changes(
        text in file(),
        servers in prop::collection::vec("[a-z'\"\\\\#; ]{1,6}", 0..4),
        share in prop::option::of("[ -~]{1,8}"),
    ) {
        let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
        let share = share.as_deref().map_or_else(|| none("share"), |value| option("share", value));
        let changes = [list("a", &servers), share];
        match edit(text.as_bytes(), "realm", "acme", &changes) {
            Ok(edited) => {
                prop_assert!(is_as_asked(&parse(text.as_bytes()), &parse(&edited), "realm", "acme", &changes));
                let end = |text: &[u8]| {
                    let next = parse(text).sections.into_iter().skip_while(|s| s.name.as_deref() != Some("acme")).nth(1);
                    next.filter(|next| indent_of(text, next.span.start).is_empty()).map(|next| next.span.start)
                };
                let start = line_start(text.as_bytes(), find(&parse(text.as_bytes()), "realm", "acme").unwrap().span.start);
                prop_assert_eq!(&text.as_bytes()[..start], &edited[..start]);
                if let Some(at) = end(text.as_bytes()) {
                    prop_assert_eq!(&text.as_bytes()[at..], &edited[end(&edited).unwrap()..]);
                }
                prop_assert_eq!(others(text.as_bytes()), others(&edited));
                let again = edit(&edited, "realm", "acme", &changes).unwrap();
                prop_assert_eq!(&*again, &*edited);
            }
            Err(EditError::NoSection { .. } | EditError::Twice(_)) => {
                prop_assert!(find(&parse(text.as_bytes()), "realm", "acme").is_err());
            }
            Err(other) => prop_assert!(false, "{other}: {text:?}"),
        }
    }

    #[test]
    fn no_octets_panic(text: Vec<u8>, value: Vec<u8>) {
        let text = [b"config realm acme\n".as_slice(), &text].concat();
        let change = Change { option: "a", list: false, values: vec![&value] };
        if let Ok(edited) = edit(&text, "realm", "acme", &[change]) {
            let document = parse(&edited);
            prop_assert!(document.errors.is_empty() && document.sections[0].entries.iter().any(|e| e.value.octets() == value));
        }
    }

    #[test]
    fn a_quoted_value_is_read_as_it_was(value in "[^\n\0]{1,40}") {
        let text = [b"config t\noption o ".as_slice(), &quote(value.as_bytes())].concat();
        let document = parse(&text);
        prop_assert_eq!(document.sections[0].entries[0].value.octets(), value.as_bytes());
    }
}
