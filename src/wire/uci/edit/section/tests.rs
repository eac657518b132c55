//! Sections that come and go.

use super::super::*;
use proptest::prelude::*;

fn list<'a>(option: &'a str, values: &[&'a str]) -> Change<'a> {
    Change { option, list: true, values: values.iter().map(|value| value.as_bytes()).collect() }
}
fn option<'a>(option: &'a str, value: &'a str) -> Change<'a> {
    Change { option, list: false, values: vec![value.as_bytes()] }
}
fn none(option: &str) -> Change<'_> {
    Change { option, list: false, values: vec![] }
}

const SECTIONS: &str = "\
config profile 'iot'
\toption vlan '20'   # lamps

# networks
config ssid 'home'
\toption ssid 'Home'
";

fn added(text: &str, kind: &str, changes: &[Change<'_>]) -> Result<String, EditError> {
    let octets = add_section(text.as_bytes(), kind, "new", changes)?;
    Ok(String::from_utf8(octets.to_vec()).expect("text"))
}

fn removed(text: &str, kind: &str, name: &str) -> Result<String, EditError> {
    let octets = remove_section(text.as_bytes(), kind, name)?;
    Ok(String::from_utf8(octets.to_vec()).expect("text"))
}

#[test]
fn a_section_is_put_in_and_taken_out() {
    let changes = [option("vlan", "30"), list("allow", &["a'b", "c"]), none("hours")];
    let section = "config profile 'new'\n\toption vlan '30'\n\tlist allow 'a'\\''b'\n\tlist allow 'c'\n";
    for (text, before, after) in [
        // Behind the last of its kind, set off by blank lines.
        (SECTIONS, "   # lamps\n", "\n"),
        // Or at the end.
        ("config ssid 'a'\n", "config ssid 'a'\n", "\n"),
        ("config ssid 'a'", "config ssid 'a'", "\n\n"),
        ("", "", ""),
        ("# only this\n\n", "# only this\n\n", ""),
        ("config profile 'a'; config ssid 'b'\n", "config ssid 'b'\n", "\n"),
        ("config profile 'a'\nconfig ssid 'b'\n", "'a'\n", "\n"),
    ] {
        let new = added(text, "profile", &changes).unwrap_or_else(|why| panic!("{why}: {text}"));
        let rest = text.split_once(before).map_or("", |(_, rest)| rest);
        let gap = if rest.is_empty() || rest.starts_with('\n') { "" } else { "\n" };
        assert_eq!(new, text.replacen(before, &format!("{before}{after}{section}{gap}"), 1), "{text}");
        let back = removed(&new, "profile", "new").expect("removed");
        // Line ends that were missing stay.
        assert_eq!(back.replace('\n', ""), text.replace('\n', ""), "{text}");
    }
    assert_eq!(
        removed(&added(SECTIONS, "profile", &changes).expect("added"), "profile", "new").expect("removed"),
        SECTIONS
    );
    let windows = SECTIONS.replace('\n', "\r\n");
    let new = added(&windows, "profile", &changes).expect("added");
    assert_eq!(new.matches('\n').count(), new.matches("\r\n").count());
    assert_eq!(removed(&new, "profile", "new").expect("removed"), windows);
}

#[test]
fn what_is_said_about_a_section_stays() {
    assert_eq!(
        removed(SECTIONS, "profile", "iot").expect("removed"),
        "\t   # lamps\n\n# networks\nconfig ssid 'home'\n\toption ssid 'Home'\n"
    );
    assert_eq!(
        removed(SECTIONS, "ssid", "home").expect("removed"),
        "config profile 'iot'\n\toption vlan '20'   # lamps\n\n# networks\n"
    );
    for (text, kind, name) in [
        (SECTIONS, "profile", "home"),
        (SECTIONS, "profile", "none"),
        ("config profile 'a'\nconfig profile 'a'\n", "profile", "a"),
        ("config profile 'a'\n\toption 'x\n", "profile", "a"),
    ] {
        assert!(removed(text, kind, name).is_err(), "{text}");
    }
    for (name, text) in [("home", SECTIONS), ("iot", SECTIONS), ("", ""), ("a-b", ""), ("x", "option a b\n")] {
        assert!(add_section(text.as_bytes(), "profile", name, &[]).is_err(), "{name}");
    }
    let taken = add_section(SECTIONS.as_bytes(), "profile", "home", &[]).expect_err("taken");
    assert_eq!(taken.to_string(), "the name 'home' is taken by config ssid 'home': choose another");
}

proptest! {
    /// Whatever the layout, the other sections and all comments are as they were, or nothing is done.
    #[test]
    fn sections_come_and_go_in_files_of_any_layout(
        parts in proptest::collection::vec("(config (a|b) 'x[0-9]'|\toption o '1'|list l 2|#c|\n|;| |\\\\\n){1,3}[\n;]", 0..12),
        pick in 0..10u8,
    ) {
        let text = parts.concat();
        let comments = |text: &str| text.matches('#').count();
        if let Ok(octets) = add_section(text.as_bytes(), "a", "new", &[option("o", "v")]) {
            let new = String::from_utf8(octets.to_vec()).expect("text");
            prop_assert_eq!(comments(&new), comments(&text));
            let gone = remove_section(new.as_bytes(), "a", "new").expect("what was put in can be taken out");
            prop_assert_eq!(parse(&gone).sections.len(), parse(text.as_bytes()).sections.len());
        }
        let name = format!("x{pick}");
        if let Ok(octets) = remove_section(text.as_bytes(), "a", &name) {
            let new = String::from_utf8(octets.to_vec()).expect("text");
            prop_assert_eq!(comments(&new), comments(&text));
            prop_assert!(parse(new.as_bytes()).sections.iter().all(|section| section.name.as_deref() != Some(&*name)));
        }
    }
}
