//! The file format: literal words and files, bounds, and octets of any kind.

use super::*;

/// A compact picture of a document: `kind/name` of every section, then `name=value` or `name+=value`.
fn picture(text: &str) -> Vec<String> {
    let document = parse(text.as_bytes());
    assert_eq!(document.errors, [], "{text}");
    let mut lines = Vec::new();
    for section in &document.sections {
        lines.push(format!("{}: {}/{}", section.line, section.kind, section.name.as_deref().unwrap_or("")));
        for entry in &section.entries {
            let sign = if entry.list { "+=" } else { "=" };
            let value = String::from_utf8_lossy(entry.value.octets());
            lines.push(format!("{}: {}{sign}{value}", entry.line, entry.name));
        }
    }
    lines
}

fn value(word: &str) -> String {
    let text = format!("config t\noption o {word}\n");
    picture(&text).pop().unwrap().trim_start_matches("2: o=").to_string()
}

#[test]
fn a_whole_file() {
    let text = "package latchkey\n\n# comment\nconfig latchkey 'main'\n\toption state_dir '/etc/latchkey' # where\n\
                \tlist auth_listen '127.0.0.1:1812'\n\tlist auth_listen \"[::1]:1812\"\r\n\nconfig client\n  option address 10.0.0.1";
    assert_eq!(
        picture(text),
        [
            "4: latchkey/main",
            "5: state_dir=/etc/latchkey",
            "6: auth_listen+=127.0.0.1:1812",
            "7: auth_listen+=[::1]:1812",
            "9: client/",
            "10: address=10.0.0.1",
        ]
    );
    assert_eq!(parse(text.as_bytes()).package.as_deref(), Some("latchkey"));
}

#[test]
fn words_as_libuci_reads_them() {
    for (word, expected) in [
        ("bare", "bare"),
        ("'single quoted'", "single quoted"),
        ("\"double quoted\"", "double quoted"),
        ("'a\\b'", "a\\b"),
        ("\"a\\\"b\\\\c\\n\"", "a\"b\\cn"),
        ("a\\ b\\'c\\#d", "a b'c#d"),
        ("'it'\\''s'", "it's"),
        ("a'b'\"c\"d", "abcd"),
        ("''", ""),
        ("'# no comment; no end'", "# no comment; no end"),
        ("'x'# comment", "x"),
        ("ab\\\ncd", "abcd"),
        ("\"ab\\\ncd\"", "abcd"),
        ("\"ab\\\r\ncd\"", "abcd"),
        ("\\\n  later", "later"),
        ("'schl\u{fc}ssel'", "schl\u{fc}ssel"),
        ("end\\", "end"),
    ] {
        let text = format!("config t\noption o {word}");
        let mut lines = picture(&text);
        assert_eq!(lines.pop().unwrap(), format!("2: o={expected}"), "{word}");
    }
    assert_eq!(value("x;"), "x");
    assert_eq!(picture("c t n; o a 1; l b 2"), ["1: t/n", "1: a=1", "1: b+=2"]);
}

#[test]
fn quotes_over_several_lines() {
    let document = parse(b"config t\noption a 'x\ny'\noption b \"\nz\"\noption c d\n");
    assert_eq!(document.errors, []);
    assert_eq!(document.first_multiline, Some(2));
    let section = &document.sections[0];
    assert!(section.damaged);
    let values: Vec<_> = section.entries.iter().map(|e| (e.line, e.value.octets())).collect();
    assert_eq!(values, [(2, &b"x\ny"[..]), (4, b"\nz"), (6, b"d")]);
}

#[test]
fn errors_name_line_and_mend_but_no_value() {
    for (text, line, part) in [
        ("config", 1, "without a type"),
        ("config client a b", 1, "more words"),
        ("config client 'my-ap'", 1, "letters, digits and underscores"),
        ("config client\n\n option secret\n", 3, "name and a value"),
        ("config client\noption secret hunter 2\n", 2, "quotes around"),
        ("config client\noption secret hunter#2\n", 2, "single quotes"),
        ("config client\noption secret 'hunter2\n", 2, "never closed"),
        ("config client\noption secret \"hunter2\\\"\n", 2, "never closed"),
        ("config client\nhunter2\n", 2, "begins with config"),
        ("option secret hunter2", 1, "outside a section"),
        ("config client\npackage hunter2", 2, "first of the file"),
        ("package hunter2 hunter2", 1, "one name"),
        ("config client\noption 'hun-ter2' x", 2, "letters, digits and underscores"),
        ("config client\noption '' x", 2, "1 to 64"),
        ("config client\noption secret hunter2\0", 2, "NUL"),
    ] {
        let errors = parse(text.as_bytes()).errors;
        assert_eq!(errors.len(), 1, "{text}: {errors:?}");
        assert_eq!(errors[0].line, line, "{text}");
        let shown = errors[0].to_string();
        assert!(shown.starts_with(&format!("line {line}: ")) && shown.contains(part), "{text}: {shown}");
        assert!(!shown.contains("hunter") && !shown.contains("ter2"), "{shown}");
    }
}

#[test]
fn every_error_is_reported_and_the_rest_read() {
    let document = parse(b"config a 'bad-name'\noption lost 1\nconfig b\noption x\noption y 2\nfoo\n");
    let lines: Vec<_> = document.errors.iter().map(|e| e.line).collect();
    assert_eq!(lines, [1, 4, 6]);
    assert_eq!(document.sections.len(), 1);
    assert_eq!(&*document.sections[0].entries[0].name, "y");
    assert!(document.sections[0].damaged);
}

#[test]
fn sizes_are_bounded() {
    let cases = [
        (vec![b'#'; MAX_FILE + 1], "larger than"),
        (vec![b'\n'; MAX_LINES + 1], "lines"),
        (vec![b'#'; MAX_LINE + 1], "line has"),
        (format!("config t\noption o '{}'", "x".repeat(MAX_VALUE + 1)).into_bytes(), "value of"),
        (format!("config t\noption {} x", "x".repeat(MAX_NAME + 1)).into_bytes(), "1 to 64"),
        ("config t\n".repeat(MAX_SECTIONS + 1).into_bytes(), "sections"),
        (format!("config t\n{}", "o a 1;o a 1\n".repeat(MAX_ENTRIES / 2 + 1)).into_bytes(), "options"),
    ];
    for (text, part) in cases {
        let errors = parse(&text).errors;
        assert_eq!(errors.len(), 1, "{part}");
        assert!(errors.iter().all(|e| e.message.contains(part)), "{errors:?}");
    }
    let errors = parse("nonsense\n".repeat(1000).as_bytes()).errors;
    assert_eq!(errors.len(), MAX_ERRORS);
    let longest = format!("config t\noption o '{}'", "x".repeat(MAX_VALUE));
    assert_eq!(parse(longest.as_bytes()).errors, []);
}

#[test]
fn debug_shows_no_value() {
    let shown = format!("{:?}", parse(b"config t\noption secret hunter2\noption b 'hunt'er2"));
    assert!(!shown.contains("hunt"), "{shown}");
}

proptest::proptest! {
    #[test]
    fn no_octets_panic(text: Vec<u8>) {
        let _ = parse(&text);
    }

    #[test]
    fn nothing_that_looks_like_uci_panics(text in r#"((config|option|list|o|c|package|[a-z]{0,3}) ?['"\\#; a-z\r\n]{0,12}\n?){0,12}"#) {
        let document = parse(text.as_bytes());
        proptest::prop_assert!(document.errors.windows(2).all(|e| e[0].line <= e[1].line));
    }

    /// What `uci export` writes for any value comes back as that value.
    #[test]
    fn exported_values_come_back(octets in proptest::collection::vec(1u8..=255, 0..80)) {
        let mut text = b"config t 'n'\n\toption o '".to_vec();
        for octet in &octets {
            match octet {
                b'\'' => text.extend_from_slice(b"'\\''"),
                other => text.push(*other),
            }
        }
        text.extend_from_slice(b"'\n\toption p 'q'\n");
        let document = parse(&text);
        proptest::prop_assert!(document.errors.is_empty());
        proptest::prop_assert_eq!(document.sections[0].entries[0].value.octets(), &octets[..]);
        proptest::prop_assert_eq!(document.sections[0].entries[1].value.octets(), b"q");
    }
}
