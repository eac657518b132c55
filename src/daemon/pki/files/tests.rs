//! Files that are there, missing, cut off or mixed up, as power failures, flash and people leave them.

use super::*;
use crate::pki::testing::Ca;
use std::collections::BTreeMap;
use tempfile::TempDir;

const NOW: UnixTime = UnixTime(1_800_000_000);
const NAME: &str = "latchkey.home.arpa";
const ALL: Wish<'static> = Wish { ca: true, server: true, server_name: NAME, given: None };
const NOTHING: Wish<'static> = Wish { ca: false, server: false, ..ALL };

struct State(TempDir);

impl State {
    fn new() -> State {
        State(tempfile::tempdir().unwrap())
    }

    /// With everything made.
    fn full() -> State {
        let state = State::new();
        assert_eq!(state.open(&ALL).troubles, [] as [&str; 0]);
        state
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join("pki")
    }

    fn open(&self, wish: &Wish<'_>) -> Files {
        self.open_at(wish, NOW)
    }

    fn open_at(&self, wish: &Wish<'_>, now: UnixTime) -> Files {
        open(&self.dir(), wish, now, &mut |buffer| getrandom::fill(buffer).unwrap())
    }

    fn content(&self) -> BTreeMap<String, Vec<u8>> {
        let Ok(entries) = fs::read_dir(self.dir()) else { return BTreeMap::new() };
        let entries = entries.map(|entry| entry.unwrap());
        entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.dir().join(name), content).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.dir().join(name)).unwrap();
    }
}

fn ca_name(files: &Files) -> Option<String> {
    files.own.info().map(|info| info.subject.to_string())
}

/// Signed by this CA, and for this name.
fn serves(files: &Files) -> bool {
    let server = files.server.as_ref();
    server.is_some_and(|server| server.is_for(NAME) && Some(&*server.info.issuer) == ca_name(files).as_deref())
}

#[test]
fn nothing_is_written_for_nothing() {
    let state = State::new();
    let files = state.open(&NOTHING);
    assert!(matches!(files.own, OwnCa::None) && files.server.is_none() && files.troubles.is_empty());
    assert!(!state.dir().exists());
    // A CA to issue certificates with, behind a certificate of the administrator's.
    let files = state.open(&Wish { ca: true, ..NOTHING });
    assert!(matches!(files.own, OwnCa::Whole(_)) && files.server.is_none() && files.troubles.is_empty());
    assert_eq!(state.content().keys().collect::<Vec<_>>(), ["ca.crt", "ca.key"]);
}

#[test]
fn what_was_made_is_found_again_with_its_modes() {
    let state = State::full();
    let made = state.content();
    assert_eq!(made.keys().collect::<Vec<_>>(), ["ca.crt", "ca.key", "server.crt", "server.key"]);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(state.dir()), 0o700);
    let modes = made.keys().map(|name| mode(state.dir().join(name)));
    assert_eq!(modes.collect::<Vec<_>>(), [0o644, 0o600, 0o644, 0o600]);
    // Whether they are wanted or not: what was issued still counts.
    for wish in [&ALL, &NOTHING] {
        let files = state.open(wish);
        assert!(serves(&files) && files.troubles.is_empty());
        assert_eq!(state.content(), made, "nothing is written again");
    }
    fs::set_permissions(state.dir().join("ca.key"), Permissions::from_mode(0o644)).unwrap();
    state.open(&ALL);
    assert_eq!(mode(state.dir().join("ca.key")), 0o600);
}

#[test]
fn a_power_failure_at_any_step_is_made_up_for() {
    let whole = State::full();
    let name = ca_name(&whole.open(&ALL));
    // The files in the order in which they are made, with the temporary file of the next one.
    let order = ["ca.key", "ca.crt", "server.key", "server.crt"];
    for steps in 0..order.len() {
        let state = State::new();
        fs::create_dir(state.dir()).unwrap();
        for done in &order[..steps] {
            fs::copy(whole.dir().join(done), state.dir().join(done)).unwrap();
        }
        state.write(&format!(".{}.new", order[steps]), b"-----BEGIN");
        let files = state.open(&ALL);
        assert_eq!(files.troubles, [] as [&str; 0], "after {steps}");
        assert!(serves(&files), "after {steps}");
        assert_eq!(state.content().keys().collect::<Vec<_>>(), ["ca.crt", "ca.key", "server.crt", "server.key"]);
        if steps > 0 {
            assert_eq!(ca_name(&files), name, "the key makes the name");
        }
        assert_eq!(ca_name(&state.open(&ALL)), ca_name(&files));
    }
}

#[test]
fn lost_files_are_made_again_where_that_is_possible() {
    let state = State::full();
    let name = ca_name(&state.open(&ALL));
    state.remove("server.key");
    let old = state.content()["server.crt"].clone();
    assert!(serves(&state.open(&ALL)));
    assert_ne!(state.content()["server.crt"], old, "of a new key");
    state.remove("server.crt");
    assert!(serves(&state.open(&ALL)));
    state.remove("ca.crt");
    let files = state.open(&ALL);
    assert!(serves(&files) && ca_name(&files) == name && files.troubles.is_empty());
    assert!(matches!(files.own, OwnCa::Whole(_)));
}

#[test]
fn the_key_of_the_ca_is_not_made_anew() {
    let state = State::full();
    let before = state.open(&ALL);
    state.remove("ca.key");
    let left = state.content();
    let files = state.open(&ALL);
    assert!(matches!(files.own, OwnCa::Certificate(..)) && serves(&files), "what it has signed still counts");
    assert_eq!(ca_name(&files), ca_name(&before));
    let path = state.dir().join("ca.key");
    assert_eq!(files.troubles.len(), 1);
    assert!(
        files.troubles[0].starts_with(&format!("{}: it is missing: put back a copy", path.display())),
        "{:?}",
        files.troubles
    );
    assert_eq!(state.content(), left);
    // Nothing can be signed for the server then.
    state.remove("server.crt");
    let files = state.open(&ALL);
    assert!(files.server.is_none());
    assert!(files.troubles[1].starts_with("there is no CA to sign the server certificate"), "{:?}", files.troubles);
}

#[test]
fn damaged_files_are_named_and_left_alone() {
    for (name, own, server) in
        [("ca.crt", false, true), ("ca.key", true, true), ("server.crt", true, false), ("server.key", true, false)]
    {
        for damage in ["", "-----BEGIN", "hello"] {
            let state = State::full();
            state.write(name, damage.as_bytes());
            let left = state.content();
            let files = state.open(&ALL);
            assert_eq!((ca_name(&files).is_some(), files.server.is_some()), (own, server), "{name} {damage}");
            assert_eq!(files.troubles.len(), 1, "{name} {damage}: {:?}", files.troubles);
            let said = &files.troubles[0];
            assert!(said.contains(&*state.dir().join(name).to_string_lossy()), "{name} {damage}: {said}");
            assert!(said.contains("remove both") || said.contains("remove server.crt and server.key"), "{said}");
            assert_eq!(state.content(), left, "{name} {damage}");
        }
        // Not a file at all.
        let state = State::full();
        state.remove(name);
        fs::create_dir(state.dir().join(name)).unwrap();
        let said = state.open(&ALL).troubles;
        assert!(said[0].ends_with("this is no file: make it readable, or remove it"), "{said:?}");
    }
}

#[test]
fn mixed_up_files_are_named() {
    let (state, other) = (State::full(), State::full());
    for name in ["ca.key", "server.key"] {
        state.write(name, &other.content()[name]);
    }
    let files = state.open(&ALL);
    assert!(matches!(files.own, OwnCa::Certificate(..)) && files.server.is_none());
    assert!(files.troubles[0].contains("certificate and key do not belong together"), "{:?}", files.troubles);
    assert!(files.troubles[1].contains("the private key is not the one of the certificate CN=latchkey.home.arpa"));
}

#[test]
fn the_server_certificate_follows_its_name_and_its_end() {
    let state = State::full();
    let before = state.content();
    let files = state.open(&Wish { server_name: "wifi.example", ..ALL });
    assert!(files.server.unwrap().is_for("WiFi.example") && files.troubles.is_empty());
    let after = state.content();
    assert_ne!(after["server.crt"], before["server.crt"]);
    for name in ["ca.crt", "ca.key", "server.key"] {
        assert_eq!(after[name], before[name], "{name}");
    }
    let nine_years = UnixTime(NOW.0 + 9 * 31_557_600);
    let files = state.open_at(&Wish { server_name: "wifi.example", ..ALL }, nine_years);
    assert!(files.server.unwrap().info.not_after.unwrap() > UnixTime(nine_years.0 + 9 * 31_557_600));
    assert_ne!(state.content()["server.crt"], after["server.crt"]);
}

#[test]
fn a_full_or_read_only_flash_is_named() {
    let state = State::new();
    // A file where the directory should be.
    fs::write(state.dir(), b"").unwrap();
    let files = state.open(&ALL);
    assert!(files.server.is_none() && !files.troubles.is_empty(), "{:?}", files.troubles);
}

#[test]
fn the_administrators_own_certificate_is_checked() {
    let state = State::new();
    let dir = state.0.path();
    let root = Ca::root("Company Root");
    let sub = root.sub("Company Sub", |_| ());
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let make = |purpose| {
        let mut params = crate::pki::testing::params("radius.company.example");
        params.extended_key_usages = vec![purpose];
        params.subject_alt_names = vec![rcgen::SanType::DnsName("radius.company.example".try_into().unwrap())];
        params.signed_by(&pair, &sub.issuer()).unwrap().der().to_vec()
    };
    let own = make(rcgen::ExtendedKeyUsagePurpose::ServerAuth);
    let client = make(rcgen::ExtendedKeyUsagePurpose::ClientAuth);
    let given = (dir.join("own.pem"), dir.join("own.key"));
    let wish = Wish { ca: false, given: Some(&given), ..ALL };
    let put = |chain: &[&[u8]], key: &str| {
        let pem: String = chain.iter().map(|der| certificate_pem(der)).collect();
        fs::write(&given.0, pem).unwrap();
        fs::write(&given.1, key).unwrap();
    };
    let said = |what: &str, expected: &str| {
        let files = state.open(&wish);
        assert!(files.server.is_none(), "{what}");
        assert_eq!(files.troubles.len(), 1, "{what}");
        assert!(files.troubles[0].contains(expected), "{what}: {:?}", files.troubles);
    };
    let key = pair.serialize_pem();
    let file = given.0.display();
    said("nothing", &format!("{file}: it is missing: mend option certificate and private_key"));
    put(&[&own, &sub.der, &root.der], &rcgen::KeyPair::generate().unwrap().serialize_pem());
    said("another key", "the private key is not the one of the certificate CN=radius.company.example");
    put(&[&own, &root.der, &sub.der], &key);
    said("the wrong order", "certificate 2 of the file is not the CA of certificate 1: put the server's first");
    put(&[&client, &sub.der], &key);
    said("another purpose", "the certificate is not made for servers (extended key usage serverAuth)");
    put(&[&own], "hello");
    said("no key", "the key file has no private key that can be read");
    put(&[], &key);
    said("an empty file", "the certificate file: it is empty");

    put(&[&own, &sub.der, &root.der], &key);
    let files = state.open(&wish);
    assert_eq!(files.troubles, [] as [&str; 0]);
    let server = files.server.unwrap();
    assert_eq!((server.chain.len(), server.given, &*server.info.subject), (3, true, "CN=radius.company.example"));
    assert!(!state.dir().exists(), "it needs no CA of ours");
}
