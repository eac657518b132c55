//! Files before and after, and arguments that do not fit.

use super::super::Config;
use super::*;

const FILE: &str = "\
# Ours.
config profile 'iot'   # lamps
\toption vlan '20'
\t# the printer
\tlist allow '192.168.1.10 tcp 631'
\toption access internet

config profile 'guest'
\toption vlan '30'

config ssid 'home'
\toption ssid 'Home'
# the end
";

fn add(name: &str, options: Options) -> ProfileEdit {
    ProfileEdit { name: name.into(), action: Action::Add(options) }
}

fn set(name: &str, options: Options) -> ProfileEdit {
    ProfileEdit { name: name.into(), action: Action::Set(options) }
}

fn remove(name: &str) -> ProfileEdit {
    ProfileEdit { name: name.into(), action: Action::Remove }
}

fn texts_of(values: &[&str]) -> Option<Vec<Box<str>>> {
    Some(values.iter().map(|value| (*value).into()).collect())
}

fn planned(edit: &ProfileEdit, text: &str) -> (String, Vec<String>) {
    let plan = edit.plan(Path::new("/f"), text.as_bytes()).unwrap_or_else(|why| panic!("{why:?}"));
    let new = Config::parse(&plan.text).expect("valid");
    assert_eq!(new.profile(&edit.name), plan.after.as_ref());
    assert_eq!(Config::parse(text).expect("valid").profile(&edit.name), plan.before.as_ref());
    (String::from_utf8(plan.text.to_vec()).expect("text"), plan.notes)
}

#[test]
fn a_new_profile_goes_behind_the_others() {
    let options = Options {
        vlan: Some(40),
        access: Some("isolated".into()),
        allow: texts_of(&["192.168.1.10 tcp 443", "", "2001:db8::/32"]),
        hours: texts_of(&["daily 22:00-06:00"]),
        isolate: Some(false),
        addresses: texts_of(&["192.168.40.1/24"]),
        ..Options::default()
    };
    let (text, notes) = planned(&add("tv", options), FILE);
    let section = "\nconfig profile 'tv'\n\toption vlan '40'\n\toption access 'isolated'\n\
                   \tlist allow '192.168.1.10 tcp 443'\n\tlist allow '2001:db8::/32'\n\
                   \tlist hours 'daily 22:00-06:00'\n\toption isolate '0'\n\tlist address '192.168.40.1/24'\n";
    assert_eq!(text, FILE.replacen("'30'\n", &format!("'30'\n{section}"), 1));
    assert!(notes.is_empty());
    // And goes without a trace.
    assert_eq!(planned(&remove("tv"), &text).0, FILE);
    // What is the default is not written.
    let (text, _) = planned(&add("plain", Options { vlan: Some(0), isolate: Some(true), ..Options::default() }), "");
    assert_eq!(text, "config profile 'plain'\n");
}

#[test]
fn only_what_is_another_changes() {
    for (options, old, new) in [
        (
            Options { vlan: Some(20), access: Some("internet".into()), isolate: Some(true), ..Options::default() },
            "",
            "",
        ),
        (Options { allow: texts_of(&["192.168.1.10 tcp 631"]), hours: texts_of(&[]), ..Options::default() }, "", ""),
        (Options { access: Some("full".into()), ..Options::default() }, "access internet", "access 'full'"),
        (Options { access: Some("".into()), ..Options::default() }, "\toption access internet\n", ""),
        (Options { allow: texts_of(&[]), ..Options::default() }, "\tlist allow '192.168.1.10 tcp 631'\n", ""),
        (
            Options { allow: texts_of(&["192.168.1.10 tcp 631", "192.168.1.11"]), ..Options::default() },
            "631'\n",
            "631'\n\tlist allow '192.168.1.11'\n",
        ),
        (
            Options { bridge: Some("br-iot".into()), ..Options::default() },
            "access internet\n",
            "access internet\n\toption bridge 'br-iot'\n",
        ),
    ] {
        let (text, notes) = planned(&set("iot", options.clone()), FILE);
        assert_eq!(text, FILE.replacen(old, new, 1), "{options:?}");
        assert!(notes.is_empty(), "{notes:?}");
    }
    let (text, notes) = planned(&set("iot", Options { vlan: Some(21), ..Options::default() }), FILE);
    assert_eq!(text, FILE.replacen("'20'", "'21'", 1));
    assert!(notes[0].contains("come back in the new VLAN"), "{notes:?}");
    let (text, _) = planned(&set("iot", Options { vlan: Some(0), ..Options::default() }), FILE);
    assert_eq!(text, FILE.replacen("\toption vlan '20'\n", "", 1));
}

#[test]
fn the_first_goes_and_what_is_said_in_it_stays() {
    let (text, notes) = planned(&remove("iot"), FILE);
    let expected = FILE.replacen("config profile 'iot'   # lamps\n\toption vlan '20'\n", "   # lamps\n", 1).replacen(
        "\tlist allow '192.168.1.10 tcp 631'\n\toption access internet\n",
        "",
        1,
    );
    assert_eq!(text, expected);
    assert_eq!(notes, ["it was the first: devices for which none is named get 'guest' now"]);
}

#[test]
fn what_is_refused_names_the_argument() {
    let file = |old: &str, new: &str| FILE.replacen(old, new, 1);
    let with = |edit: fn(&mut Options)| {
        let mut options = Options::default();
        edit(&mut options);
        set("iot", options)
    };
    let used = format!(
        "{FILE}\toption unknown 'quarantine'\n\toption onboarding_key 'come in and find out'\n\toption quarantine_profile 'iot'\n"
    );
    for (edit, text, code, field, words) in [
        (
            add("iot", Options::default()),
            FILE.to_owned(),
            "name_taken",
            Some("name"),
            "there is a profile 'iot' already",
        ),
        (add("home", Options::default()), FILE.to_owned(), "name_taken", Some("name"), "taken by config ssid 'home'"),
        (add("a b", Options::default()), FILE.to_owned(), "name", Some("name"), "letters, digits and underscores"),
        (add("", Options::default()), FILE.to_owned(), "name", Some("name"), "1 to 64"),
        (set("tv", Options::default()), FILE.to_owned(), "not_found", Some("name"), "there are iot, guest"),
        (remove("tv"), String::new(), "not_found", Some("name"), "latchkey profile add tv"),
        (
            with(|o| o.access = Some("intern".into())),
            FILE.to_owned(),
            "profile",
            Some("access"),
            "did you mean 'internet'",
        ),
        (with(|o| o.allow = texts_of(&["nowhere"])), FILE.to_owned(), "profile", Some("allow"), "allow 'nowhere' "),
        (with(|o| o.hours = texts_of(&["always"])), FILE.to_owned(), "profile", Some("hours"), "hours 'always' "),
        (
            with(|o| o.addresses = texts_of(&["192.168.1.1"])),
            FILE.to_owned(),
            "profile",
            Some("addresses"),
            "192.168.20.1/24",
        ),
        (
            with(|o| o.bridge = Some("br 0".into())),
            FILE.to_owned(),
            "profile",
            Some("bridge"),
            "no name of an interface",
        ),
        (with(|o| o.vlan = Some(4095)), FILE.to_owned(), "profile", Some("vlan"), "1 to 4094"),
        (with(|o| o.allow = texts_of(&["a\nb"])), FILE.to_owned(), "config", None, "option allow"),
        (remove("iot"), file("vlan", "vlam"), "config", None, "has to be mended first:\n/f:3: "),
        (remove("iot"), used, "config", None, "would be refused:\n/f:"),
    ] {
        let why = edit.plan(Path::new("/f"), text.as_bytes()).expect_err(words);
        assert!((why.code, why.field) == (code, field) && why.message.contains(words), "{why:?} instead of {words}");
    }
}
