//! What LuCI's package lets sessions call, against the method table; and that its menu leads somewhere.

use super::super::{Class, METHODS};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("luci-app")
}

fn read(path: &str) -> Value {
    let text = std::fs::read_to_string(package().join("root/usr/share").join(path)).expect(path);
    serde_json::from_str(&text).expect(path)
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().map(|word| word.as_str().expect("a word")).collect()
}

/// A list of the ACL and the methods of the table that belong in it differ by nothing, and it is in order.
fn check(listed: &Value, classes: &[Class]) {
    let listed = texts(listed);
    let belong: BTreeSet<&str> = METHODS.iter().filter(|m| classes.contains(&m.class)).map(|m| m.name).collect();
    assert_eq!(listed, belong.into_iter().collect::<Vec<_>>(), "{classes:?}");
}

#[test]
fn readers_may_read_and_writers_may_do_the_rest() {
    let acl = read("rpcd/acl.d/luci-app-latchkey.json");
    let group = &acl["luci-app-latchkey"];
    check(&group["read"]["ubus"]["latchkey"], &[Class::Read]);
    check(&group["write"]["ubus"]["latchkey"], &[Class::Write, Class::Secret]);
    // uhttpd asks for this before rpcd looks at the command line.
    assert_eq!(texts(&group["read"]["ubus"]["file"]), ["exec"]);
    for (part, objects) in [("read", vec!["file", "latchkey"]), ("write", vec!["latchkey"])] {
        // No uci: the configuration holds secrets.
        let scopes: Vec<&String> = group[part].as_object().expect("a table").keys().collect();
        assert_eq!(scopes, ["file", "ubus"], "{part}");
        let ubus: Vec<&String> = group[part]["ubus"].as_object().expect("a table").keys().collect();
        assert_eq!(ubus, objects, "{part}");
    }
}

#[test]
fn only_these_commands_are_run() {
    let acl = read("rpcd/acl.d/luci-app-latchkey.json");
    for (part, verbs) in [("read", &["status", "plan"][..]), ("write", &["apply", "confirm", "undo", "remove"])] {
        let commands = acl["luci-app-latchkey"][part]["file"].as_object().expect("a table");
        let mut found = BTreeSet::new();
        for (command, permissions) in commands {
            assert_eq!(texts(permissions), ["exec"], "{command}");
            let words: Vec<&str> = command.split(' ').collect();
            // What stands before the verb cannot be chosen, so neither can the tree of files that is worked on.
            let ["/usr/sbin/latchkey", "openwrt", verb, "--json", rest @ ..] = &words[..] else { panic!("{command}") };
            assert!(matches!(rest, [] | ["*"]), "{command}");
            assert!(verbs.contains(verb), "{part}: {command}");
            found.insert(*verb);
        }
        assert_eq!(found.len(), verbs.len(), "{part}");
    }
}

#[test]
fn every_entry_of_the_menu_has_its_page() {
    let menu = read("luci/menu.d/luci-app-latchkey.json");
    let mut pages = 0;
    for (path, entry) in menu.as_object().expect("a table") {
        assert!(path.starts_with("admin/services/latchkey"), "{path}");
        if let Some(page) = entry["action"]["path"].as_str() {
            let file = package().join("htdocs/luci-static/resources/view").join(page).with_extension("js");
            assert!(file.is_file(), "{}", file.display());
            pages += 1;
        }
    }
    assert_eq!(pages, 6);
    assert_eq!(menu["admin/services/latchkey"]["depends"]["acl"][0], "luci-app-latchkey");
}
