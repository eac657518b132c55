//! Wi-Fi keys that an online server knows, and what is known of them when it does not answer.

use super::*;
use crate::registry::last_good::WifiKey;

const KEY: &str = "a key that they have";

fn key(builder: &mut Builder<'_>) {
    let mut salts = SaltSequence::new(9);
    builder.push_tunnel_password(0, KEY.as_bytes(), &mut salts).expect("fits");
    builder.push_vlan(30).expect("fits");
}

fn keys() -> Vec<String> {
    vec![KEY.to_owned()]
}

#[test]
fn an_address_that_only_the_server_knows() {
    let mut rig = Rig::proxy(vec![], ONLINE);
    let request = rig.by_address(mac(9), "Home");
    let end = rig.through(&request, Code::ACCESS_ACCEPT, key);
    assert_eq!(end, accepted("20", &keys()), "their key, our VLAN");
    assert_eq!(rig.last(), (None, Outcome::Accepted, "proved_to_peer"));
    assert!(rig.core.registry.is_empty());
    assert_eq!(rig.account(acct_status_type::START, mac(9), b"s1", true), Some(Code::ACCOUNTING_RESPONSE));
    assert_eq!((rig.last().1, rig.last().2), (Outcome::Joined, "proved_to_peer"));
    assert_eq!(rig.asked().len(), 1, "its session is theirs");
    let request = rig.by_address(mac(10), "Home");
    let end = rig.through(&request, Code::ACCESS_ACCEPT, |_| ());
    assert_eq!((end, rig.last().2), (rejected(), "peer_faulty"));
    let request = rig.by_address(mac(11), "Home");
    let end = rig.through(&request, Code::ACCESS_REJECT, |_| ());
    assert_eq!((end, rig.last().2), (rejected(), "unknown_to_peer"));
    assert!(rig.core.pending.get(mac(11)).is_some(), "it can be registered here");
}

#[test]
fn a_handshake_that_nobody_here_verifies() {
    let mut rig = Rig::proxy(
        vec![device(1, "lamp", "media", "key of the lamp")],
        &format!("{ONLINE}\toption placement 'server'\n"),
    );
    while rig.core.keyring.is_busy() {
        for job in rig.core.keyring.jobs(64, &rig.core.registry) {
            rig.core.keyring.insert(job.run(), &rig.core.registry);
        }
    }
    let request = rig.by_handshake(mac(9), "Home", KEY);
    let end = rig.through(&request, Code::ACCESS_ACCEPT, key);
    assert_eq!(end, accepted("30", &keys()), "where they put it");
    // What is known here is not asked elsewhere.
    let request = rig.by_handshake(mac(10), "Home", "key of the lamp");
    assert_eq!(rig.ask(&request).code, Code::ACCESS_ACCEPT);
    assert_eq!(rig.last(), (Some("lamp".into()), Outcome::Accepted, "first_proof"));
    let request = rig.by_handshake(mac(10), "Home", KEY);
    assert_eq!((rig.ask(&request), rig.last().2), (rejected(), "wrong_key"));
    assert!(rig.asked().is_empty());
}

#[test]
fn keys_that_wait_here_have_their_turn() {
    let mut rig = Rig::proxy(vec![device(1, "lamp", "media", "key of the lamp")], ONLINE);
    while rig.core.keyring.is_busy() {
        for job in rig.core.keyring.jobs(64, &rig.core.registry) {
            rig.core.keyring.insert(job.run(), &rig.core.registry);
        }
    }
    let offer = |rig: &mut Rig| {
        let request = rig.by_address(mac(9), "Home");
        let end = rig.ask(&request);
        assert_eq!((end.code, rig.last().2), (Code::ACCESS_ACCEPT, "offered"));
    };
    offer(&mut rig);
    // Next the server; as it says no, the keys that wait here again, and not the server for ever.
    let request = rig.by_address(mac(9), "Home");
    let end = rig.through(&request, Code::ACCESS_REJECT, |_| ());
    assert_eq!((end.code, rig.last().2), (Code::ACCESS_ACCEPT, "offered"));
    offer(&mut rig);
    let request = rig.by_address(mac(9), "Home");
    let end = rig.through(&request, Code::ACCESS_ACCEPT, key);
    assert_eq!((end, rig.last().2), (accepted("20", &keys()), "proved_to_peer"));
}

fn lasting() -> Rig {
    Rig::proxy(vec![], &format!("{ONLINE}\toption last_good '3600'\n"))
}

#[test]
fn the_last_known_good_answer() {
    let mut rig = lasting();
    let request = rig.by_address(mac(9), "Home");
    rig.through(&request, Code::ACCESS_ACCEPT, key);
    let kept = rig.core.registry.last_good(mac(9), b"Home").cloned().expect("it is kept");
    assert_eq!((&*kept.realm, &*kept.profile, kept.keys.len()), ("online", "iot", 1));
    assert!(matches!(&kept.keys[0], WifiKey::Passphrase(key) if key.expose() == KEY));
    // The same once more is not written again.
    rig.now.wall.0 += 60;
    let request = rig.by_address(mac(9), "Home");
    let asked = rig.forwarded(&request);
    let answer = asked.answer(Code::ACCESS_ACCEPT, key);
    let returned = receive_answer(&mut rig.core, asked.link, &answer, rig.now, &mut rig.out);
    assert!(matches!(returned, Returned::Answer(_, Next::Send)), "{returned:?}");

    let request = rig.by_address(mac(9), "Home");
    rig.forwarded(&request);
    assert_eq!(rig.wait(10, &request), Some(accepted("20", &keys())));
    assert_eq!(rig.last(), (None, Outcome::Accepted, "last_known_good"));
    let text = rig.event().to_string();
    assert!(text.contains("online does not answer, and let it in 60 s ago"), "{text}");
    assert_eq!(rig.reply().find_u32(AttributeType::SESSION_TIMEOUT), Some(3540));
    // Who was never let in is not now, and nobody is too late.
    let request = rig.by_address(mac(10), "Home");
    rig.forwarded(&request);
    assert_eq!(rig.wait(10, &request), Some(rejected()));
    assert!(rig.event().to_string().contains("there is no last known good answer"), "{}", rig.event());
    rig.now.wall.0 += 3600;
    let request = rig.by_address(mac(9), "Home");
    rig.forwarded(&request);
    assert_eq!((rig.wait(10, &request), rig.last().2), (Some(rejected()), "peer_silent"));
}

#[test]
fn in_the_handshake_the_key_is_verified_first() {
    let pmk: String = pmk(KEY, "Home");
    for sent in [KEY, &pmk] {
        let mut rig = lasting();
        let request = rig.by_handshake(mac(9), "Home", KEY);
        rig.through(&request, Code::ACCESS_ACCEPT, |builder| {
            let mut salts = SaltSequence::new(9);
            builder.push_tunnel_password(0, b"another key of theirs", &mut salts).expect("fits");
            builder.push_tunnel_password(0, sent.as_bytes(), &mut salts).expect("fits");
        });
        let request = rig.by_handshake(mac(9), "Home", KEY);
        rig.forwarded(&request);
        assert_eq!(rig.wait(10, &request), Some(accepted("20", &[sent.to_owned()])), "the key that it proved only");
        assert_eq!(rig.last().2, "last_known_good");
        // Another one is for the server to judge, doubtful as it is.
        let request = rig.by_handshake(mac(9), "Home", "quite another key");
        let next = match rig.receive(&request) {
            Next::Search(exchange, keys, handshake) => {
                let proof = keys.search(&handshake);
                resume(&mut rig.core, &exchange, proof, rig.now, &mut rig.out)
            }
            next => next,
        };
        assert!(matches!(next, Next::Nothing), "{next:?}");
        assert_eq!(rig.asked().len(), 1);
        assert_eq!((rig.wait(10, &request), rig.last().2), (Some(rejected()), "peer_silent"));
        assert!(rig.event().to_string().contains("not the last known good one"), "{}", rig.event());
    }
}

#[test]
fn a_handshake_does_not_wait_for_a_server_that_does_not_answer() {
    let mut rig = lasting();
    let request = rig.by_handshake(mac(9), "Home", KEY);
    rig.through(&request, Code::ACCESS_ACCEPT, |builder| {
        let mut salts = SaltSequence::new(9);
        builder.push_tunnel_password(0, pmk(KEY, "Home").as_bytes(), &mut salts).expect("fits");
    });
    // One is lost; from then on the server is doubtful.
    let request = rig.by_address(mac(10), "Home");
    rig.forwarded(&request);
    assert_eq!(rig.wait(10, &request), Some(rejected()));
    let request = rig.by_handshake(mac(9), "Home", KEY);
    assert!(matches!(rig.receive(&request), Next::Send), "at once");
    assert_eq!((rig.answer(&request).code, rig.last().2), (Code::ACCESS_ACCEPT, "last_known_good"));
    // The server was asked all the same, and is there again with its answer, which nobody waits for.
    let asked = rig.asked().pop().expect("asked");
    let answer = asked.answer(Code::ACCESS_REJECT, |_| ());
    assert!(matches!(receive_answer(&mut rig.core, asked.link, &answer, rig.now, &mut rig.out), Returned::Nothing));
    let request = rig.by_handshake(mac(9), "Home", KEY);
    assert_eq!((rig.through(&request, Code::ACCESS_REJECT, |_| ()), rig.last().2), (rejected(), "unknown_to_peer"));
}

#[test]
fn who_is_refused_is_not_remembered() {
    let mut rig = lasting();
    let request = rig.by_address(mac(9), "Home");
    rig.through(&request, Code::ACCESS_ACCEPT, key);
    assert!(rig.core.registry.last_good(mac(9), b"Home").is_some());
    let request = rig.by_address(mac(9), "Home");
    assert_eq!(rig.through(&request, Code::ACCESS_REJECT, |_| ()), rejected());
    assert!(rig.core.registry.last_good(mac(9), b"Home").is_none());
    assert_eq!(rig.last().2, "unknown_to_peer");
    // In a profile that is not to have it.
    let mut rig = Rig::proxy(vec![], &format!("{ONLINE}\toption last_good '3600'\n\tlist last_good_profile 'media'\n"));
    let request = rig.by_address(mac(9), "Home");
    assert_eq!(rig.through(&request, Code::ACCESS_ACCEPT, key).code, Code::ACCESS_ACCEPT);
    assert!(rig.core.registry.last_good(mac(9), b"Home").is_none());
}

#[test]
fn eap_cannot_have_it_and_the_log_says_so() {
    let mut rig = lasting();
    assert_eq!(rig.joins(b"alice@example.net", mac(9), |_| ()).code, Code::ACCESS_ACCEPT);
    let request = rig.identity_of(b"alice@example.net", mac(9));
    rig.forwarded(&request);
    assert_eq!(rig.wait(10, &request), Some(rejected()));
    let text = rig.event().to_string();
    assert!(text.contains("a last known good answer cannot be had for EAP"), "{text}");
    assert!(rig.core.registry.all_last_good().count() == 0);
}
