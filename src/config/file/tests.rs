//! Files that are replaced, and what somebody else does meanwhile.

use super::*;
use std::os::unix::fs::symlink;

#[test]
fn a_file_is_replaced_with_mode_and_link() {
    let dir = tempfile::tempdir().expect("a directory");
    let (real, link) = (dir.path().join("etc/latchkey"), dir.path().join("link"));
    fs::create_dir(dir.path().join("etc")).expect("made");
    fs::write(&real, "old").expect("written");
    fs::set_permissions(&real, Permissions::from_mode(0o640)).expect("changed");
    symlink(&real, &link).expect("made");
    fs::write(dir.path().join("etc/.latchkey.new"), "of somebody who was killed").expect("written");
    replace(&link, b"old", b"new", None).expect("replaced");
    assert!(link.symlink_metadata().expect("there").is_symlink());
    assert_eq!(fs::read_to_string(&real).expect("there"), "new");
    assert_eq!(fs::metadata(&real).expect("there").mode() & 0o7777, 0o640);
    assert_eq!(fs::read_dir(dir.path().join("etc")).expect("readable").count(), 1, "nothing left behind");

    let changed = replace(&real, b"old", b"newer", None).expect_err("it is another");
    assert!(matches!(&changed, ReplaceError::Changed(_)) && changed.to_string().contains("try again"));
    assert!(matches!(replace(&dir.path().join("none"), b"", b"x", None), Err(ReplaceError::Io(..))));
    assert!(matches!(replace(dir.path(), b"", b"x", None), Err(ReplaceError::Io(..))));
    assert_eq!(fs::read_to_string(&real).expect("there"), "new");
}

#[test]
fn what_an_editor_saves_meanwhile_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, other, link) = (dir.path().join("latchkey"), dir.path().join("other"), dir.path().join("link"));
    symlink(&path, &link).expect("made");
    let save_in_place = || fs::write(&path, "saved").expect("written");
    let save_the_same_anew = || {
        fs::write(&other, "old").expect("written");
        fs::rename(&other, &path).expect("renamed");
    };
    let lead_elsewhere = || {
        fs::write(&other, "old").expect("written");
        fs::remove_file(&link).expect("removed");
        symlink(&other, &link).expect("made");
    };
    let cases: [(&dyn Fn(), &str); 3] =
        [(&save_in_place, "saved"), (&save_the_same_anew, "old"), (&lead_elsewhere, "old")];
    for (meanwhile, expected) in cases {
        fs::write(&path, "old").expect("written");
        let result = replace_after(&link, b"old", b"new", meanwhile);
        assert!(matches!(result, Err(ReplaceError::Changed(_))), "{result:?}");
        assert_eq!(fs::read_to_string(&path).expect("there"), expected);
        assert!(!dir.path().join(".latchkey.new").exists(), "nothing left behind");
    }
}

#[test]
fn nobody_takes_the_file_away_from_who_writes_into_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = fs::canonicalize(dir.path()).expect("there").join("latchkey");
    fs::write(&path, "old").expect("written");
    // He is done in time, without a change.
    let lock = journal::lock_out(&path).expect("opened").expect("free");
    let other = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(150));
        drop(lock);
    });
    replace(&path, b"old", b"new", None).expect("replaced");
    assert!(other.is_finished(), "not before he was done");
    // He is not.
    let _lock = journal::lock_out(&path).expect("opened").expect("free");
    let why = replace(&path, b"new", b"newer", None).expect_err("somebody writes");
    assert!(matches!(why, ReplaceError::Changed(_)), "{why}");
    assert_eq!(fs::read_to_string(&path).expect("there"), "new");
    assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 1, "nothing left behind");
}

#[test]
fn what_cannot_be_written_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("latchkey");
    fs::write(&path, "old").expect("written");
    // A directory in the way of the new file: as good as any reason that it cannot be made, root or not.
    fs::create_dir(dir.path().join(".latchkey.new")).expect("made");
    let why = replace(&path, b"old", b"new", None).expect_err("it cannot be made").to_string();
    assert!(why.contains("latchkey: cannot be changed: "), "{why}");
    assert_eq!(fs::read_to_string(&path).expect("there"), "old");
}

#[test]
fn differences_without_secrets() {
    let old = "config realm 'a'\n\tlist server 'udp://192.0.2.1'\n\tlist server 'udp://192.0.2.2'\n\toption secret 'SWQXK'\n# end\n";
    let new = "config realm 'a'\n\tlist server 'udp://192.0.2.2'\n\tlist server 'local'\n\toption \"secret\" ZQWVX # x\n# end\n";
    let shown = |old: &str, new: &str| -> Vec<String> {
        let lines = diff(old.as_bytes(), new.as_bytes());
        lines.iter().map(|line| format!("{}{}:{}", line.sign, line.line, line.text)).collect()
    };
    assert_eq!(
        shown(old, new),
        [
            "-2:\tlist server 'udp://192.0.2.1'",
            "-4:\toption secret '...'",
            "+3:\tlist server 'local'",
            "+4:\toption secret '...' # x",
        ]
    );
    assert_eq!(shown(old, old), [""; 0]);
    assert_eq!(shown("", "a"), ["-1:", "+1:..."]);
    assert_eq!(shown("a\n", "a\noption 'SWQXK\n"), ["+2:..."]);
}

proptest::proptest! {
    #[test]
    fn the_lines_lead_from_one_to_the_other(old in "([ab]?\n){0,8}", new in "([ab]?\n){0,8}") {
        let mut text: Vec<&[u8]> = old.as_bytes().split(|b| *b == b'\n').collect();
        let target: Vec<&[u8]> = new.as_bytes().split(|b| *b == b'\n').collect();
        let lines = diff(old.as_bytes(), new.as_bytes());
        for line in lines.iter().rev().filter(|line| line.sign == '-') {
            text.remove(line.line as usize - 1);
        }
        for line in lines.iter().filter(|line| line.sign == '+') {
            text.insert(line.line as usize - 1, target[line.line as usize - 1]);
        }
        proptest::prop_assert_eq!(text, target);
    }
}
