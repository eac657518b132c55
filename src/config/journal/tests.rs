//! Power cuts at each step, and what they can leave.

use super::*;
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt;

struct Scratch {
    dir: tempfile::TempDir,
    path: PathBuf,
}

impl Scratch {
    fn new(text: &[u8]) -> Scratch {
        let dir = tempfile::tempdir().expect("a directory");
        let path = fs::canonicalize(dir.path()).expect("there").join("latchkey");
        fs::write(&path, text).expect("written");
        Scratch { dir, path }
    }

    fn write(&self, old: &[u8], new: &[u8], reached: impl FnMut(Step) -> io::Result<()>) -> io::Result<bool> {
        write(&self.path, self.dir.path(), old, new, reached)
    }

    fn recover(&self) -> Recovered {
        recover(&self.path, self.dir.path()).expect("recovered")
    }

    fn text(&self) -> Vec<u8> {
        fs::read(&self.path).expect("readable")
    }

    fn has_journal(&self) -> bool {
        self.dir.path().join(NAME).exists()
    }
}

fn texts(long: usize) -> (Vec<u8>, Vec<u8>) {
    let old: Vec<u8> = (0..3 * CHUNK).map(|n| b'a' + (n % 23) as u8).collect();
    let mut new = old.clone();
    new.splice(100..200, vec![b'Z'; long]);
    (old, new)
}

#[test]
fn a_file_is_changed_in_place() {
    for long in [0, 50, 100, 150, 2 * CHUNK] {
        let (old, new) = texts(long);
        let scratch = Scratch::new(&old);
        let mut steps = Vec::new();
        let done = scratch.write(&old, &new, |step| {
            steps.push(step);
            Ok(())
        });
        assert!(done.expect("written"));
        assert_eq!(scratch.text(), new);
        assert!(!scratch.has_journal() && steps.len() >= 3, "{steps:?}");
        assert_eq!((steps[0], steps[steps.len() - 1]), (Step::Journal, Step::Synced));
        assert_eq!(scratch.recover(), Recovered::Nothing);
        assert!(!scratch.write(&old, b"x", |_| Ok(())).expect("looked at"), "it is another file now");
        assert_eq!(scratch.text(), new);
    }
}

#[test]
fn whatever_step_it_ends_at_the_file_is_the_old_one_or_the_new_one() {
    for long in [0, 150, 2 * CHUNK] {
        let (old, new) = texts(long);
        for end in 0.. {
            let scratch = Scratch::new(&old);
            let mut step = 0;
            let mut last = None;
            let done = scratch.write(&old, &new, |reached| {
                step += 1;
                last = Some(reached);
                if step > end { Err(io::Error::other("power cut")) } else { Ok(()) }
            });
            if done.is_ok() {
                assert!(end >= 3, "it can end after the journal, while writing, and at the end");
                break;
            }
            assert!(scratch.has_journal());
            // All may be written before it is on flash.
            let expected = if scratch.text() == new { Recovered::Finished } else { Recovered::Undone };
            assert!(last != Some(Step::Synced) || expected == Recovered::Finished);
            assert_eq!(scratch.recover(), expected, "{last:?}");
            assert_eq!(scratch.text(), if expected == Recovered::Finished { new.clone() } else { old.clone() });
            assert!(!scratch.has_journal());
            assert_eq!(scratch.recover(), Recovered::Nothing);
        }
    }
}

#[test]
fn a_change_under_way_is_not_undone() {
    let (old, new) = texts(150);
    let scratch = Scratch::new(&old);
    let done = scratch.write(&old, &new, |step| {
        if matches!(step, Step::Written(_)) {
            assert_eq!(scratch.recover(), Recovered::Nothing);
        }
        Ok(())
    });
    assert!(done.expect("written") && scratch.text() == new);
    let _busy = lock(open(&scratch.path).expect("opened")).expect("locked");
    assert!(scratch.write(&new, &old, |_| Ok(())).is_err());
    assert_eq!(scratch.text(), new);
}

#[test]
fn the_work_of_others_stays() {
    let (old, new) = texts(150);
    let interrupted = |text: &[u8]| {
        let scratch = Scratch::new(&old);
        let cut = scratch.write(&old, &new, |_| Err(io::Error::other("power cut")));
        assert!(cut.is_err());
        fs::write(&scratch.path, text).expect("written");
        scratch
    };
    for text in [&b"config profile 'x'\n"[..], &[&old[..], b"more"].concat(), b""] {
        let scratch = interrupted(text);
        assert_eq!(scratch.recover(), Recovered::Changed);
        assert_eq!(scratch.text(), text);
        assert!(!scratch.has_journal());
    }
    // A journal that is not whole says nothing, and one of another file is not ours.
    let scratch = interrupted(&old);
    let journal = scratch.dir.path().join(NAME);
    assert_eq!(fs::metadata(&journal).expect("there").permissions().mode() & 0o777, 0o600);
    let mut octets = fs::read(&journal).expect("there");
    let other = Scratch::new(&old);
    assert_eq!(recover(&other.path, scratch.dir.path()).expect("looked at"), Recovered::Nothing);
    assert!(scratch.has_journal());
    octets[60] ^= 1;
    fs::write(&journal, &octets).expect("written");
    fs::write(&scratch.path, &new[..new.len() - 1]).expect("written");
    assert_eq!(scratch.recover(), Recovered::Nothing);
    assert!(!scratch.has_journal());
    for damaged in [&octets[..20], b"", &[0; 40]] {
        assert!(Journal::parse(damaged).is_none());
    }
}

proptest! {
    /// Pages come to flash in any order, and the length at any time.
    #[test]
    fn whatever_mixture_is_left_becomes_the_old_file(
        old in proptest::collection::vec(b'a'..b'e', 0..40),
        new in proptest::collection::vec(b'a'..b'e', 0..40),
        choice in proptest::collection::vec(0..3u8, 40),
        length in 0..40usize,
    ) {
        let scratch = Scratch::new(&old);
        prop_assert!(scratch.write(&old, &new, |_| Err(io::Error::other("power cut"))).is_err());
        let length = length.clamp(old.len().min(new.len()), old.len().max(new.len()));
        let torn: Vec<u8> = (0..length).map(|at| match (old.get(at), new.get(at), choice[at]) {
            (Some(octet), _, 0) | (_, Some(octet), 1) => *octet,
            (None, _, _) => 0,
            (Some(octet), ..) => *octet,
        }).collect();
        fs::write(&scratch.path, &torn).expect("written");
        let recovered = scratch.recover();
        let expected = if torn == new { (Recovered::Finished, new) } else { (Recovered::Undone, old) };
        prop_assert_eq!((recovered, scratch.text()), expected);
    }

    #[test]
    fn nothing_in_a_journal_panics(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut octets = [MAGIC, &octets].concat();
        let hash = sha256(&octets);
        octets.extend_from_slice(&hash);
        let _ = Journal::parse(&octets);
    }
}

#[test]
fn another_file_in_its_place_stays() {
    let (old, new) = texts(150);
    for at in [Step::Journal, Step::Written(CHUNK), Step::Synced] {
        let scratch = Scratch::new(&old);
        let other = scratch.dir.path().join("other");
        let mut renamed = false;
        let done = scratch.write(&old, &new, |step| {
            if !renamed && std::mem::discriminant(&step) == std::mem::discriminant(&at) {
                renamed = true;
                fs::write(&other, &old)?;
                fs::rename(&other, &scratch.path)?;
            }
            Ok(())
        });
        assert!(renamed && !done.expect("looked at"), "{at:?}: it is another file now");
        assert_eq!(scratch.text(), old);
        assert!(!scratch.has_journal());
    }
    // Before the lock was there.
    let scratch = Scratch::new(&old);
    let file = open(&scratch.path).expect("opened");
    assert!(is_at(&file, &scratch.path).expect("looked at"));
    fs::remove_file(&scratch.path).expect("removed");
    fs::write(&scratch.path, &old).expect("written");
    let link = scratch.dir.path().join("link");
    fs::hard_link(&scratch.path, &link).expect("linked");
    assert!(is_at(&open(&link).expect("opened"), &scratch.path).expect("looked at"));
    assert!(!is_at(&file, &scratch.path).expect("looked at"));
}

/// What is in the place of the journal is somebody else's business: nobody waits for it, and nothing is changed.
#[test]
fn what_is_no_journal_keeps_nobody_waiting() {
    use nix::sys::stat::Mode;
    let (old, new) = texts(150);
    let journal = |scratch: &Scratch| scratch.dir.path().join(NAME);
    let fifo = |scratch: &Scratch| nix::unistd::mkfifo(&journal(scratch), Mode::S_IRWXU).expect("made");
    let directory = |scratch: &Scratch| fs::create_dir(journal(scratch)).expect("made");
    let link = |scratch: &Scratch| {
        let elsewhere = scratch.dir.path().join("elsewhere");
        fs::rename(journal(scratch), &elsewhere).expect("renamed");
        std::os::unix::fs::symlink(&elsewhere, journal(scratch)).expect("made");
    };
    type Plant<'a> = &'a dyn Fn(&Scratch);
    let cases: [(Plant<'_>, bool); 3] = [(&fifo, false), (&directory, false), (&link, true)];
    for (plant, interrupted) in cases {
        let scratch = Scratch::new(&old);
        if interrupted {
            let cut = |step| if matches!(step, Step::Written(_)) { Err(io::Error::other("power cut")) } else { Ok(()) };
            assert!(scratch.write(&old, &new, cut).is_err());
        }
        let before = scratch.text();
        plant(&scratch);
        let (path, dir) = (scratch.path.clone(), scratch.dir.path().to_owned());
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send(recover(&path, &dir).map_err(|why| why.to_string())));
        let said = told.recv_timeout(Duration::from_secs(10)).expect("it does not wait");
        assert!(said.is_err(), "{said:?}");
        assert_eq!(scratch.text(), before);
        assert!(fs::symlink_metadata(journal(&scratch)).is_ok(), "nor is it removed");
    }
}

#[test]
fn a_journal_of_another_user_is_not_followed() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let (old, new) = texts(150);
    let scratch = Scratch::new(&old);
    let cut = |step| if matches!(step, Step::Written(_)) { Err(io::Error::other("power cut")) } else { Ok(()) };
    assert!(scratch.write(&old, &new, cut).is_err());
    let (torn, journal) = (scratch.text(), scratch.dir.path().join(NAME));
    std::os::unix::fs::chown(&journal, Some(54_321), None).expect("given");
    let why = recover(&scratch.path, scratch.dir.path()).expect_err("root's file is not his to change");
    assert!(why.to_string().contains("belongs to user 54321, and the file to user 0"), "{why}");
    assert_eq!(scratch.text(), torn);
    // His own file is: it was he who began to change it.
    std::os::unix::fs::chown(&scratch.path, Some(54_321), None).expect("given");
    assert_eq!(scratch.recover(), Recovered::Undone);
    assert_eq!(scratch.text(), old);
}
