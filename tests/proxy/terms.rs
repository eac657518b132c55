//! What a manufacturer may say of its devices, and what is ours to say.

use super::support::radius::{self, ACCESS_ACCEPT, ACCESS_REJECT, Manner, Scripted, value};
use super::*;

/// What an Access-Accept of a manufacturer may bring to the NAS, beside our own VLAN and the time we allow: User-Name,
/// Reply-Message, State, Class, the MPPE keys, EAP-Message, Message-Authenticator, CUI, Error-Cause, EAP-Key-Name.
const MAY_SAY: [u8; 10] = [1, 18, 24, 25, 26, 79, 80, 89, 101, 102];
const OURS: [u8; 6] = [27, 29, 64, 65, 81, 85];

/// Asserts that the NAS got nothing that was not for the manufacturer to say.
#[track_caller]
fn on_our_terms(run: &Run) {
    run.is_let_in(1, "30");
    let accept = run.accept();
    for (kind, octets) in &accept {
        assert!(MAY_SAY.contains(kind) || OURS.contains(kind), "attribute {kind} = {octets:02x?}");
        assert!(*kind != 26 || octets.starts_with(&[0, 0, 1, 0x37]), "a vendor's attribute: {octets:02x?}");
    }
    let timeout = value(&accept, 27);
    let seconds =
        u32::from_be_bytes(timeout[..].try_into().unwrap_or_else(|_| panic!("Session-Timeout {timeout:02x?}")));
    assert!((1..=3600).contains(&seconds), "it may stay for {seconds} s");
}

#[test]
fn every_method_that_a_manufacturer_has() {
    let dir = tempfile::tempdir().unwrap();
    let maker = Maker::new(dir.path());
    let home = configured(&realm("acme", maker.port, "all", ""));
    let _daemon = home.start();
    let cam = maker.device("AC-1");
    let methods = [
        maker.tls("cam-1@acme.example", &cam, "1.2"),
        maker.tls("cam-1@acme.example", &cam, "1.3"),
        maker.tunnel("cam-2@acme.example", "cam-2", "TTLS", "PAP"),
        maker.tunnel("anonymous@acme.example", "cam-3", "TTLS", "MSCHAPV2"),
        maker.tunnel("@acme.example", "cam-4", "PEAP", "MSCHAPV2"),
    ];
    let address = |n: usize| mac(u8::try_from(n.max(1)).unwrap());
    for (n, settings) in methods.iter().enumerate() {
        on_our_terms(&join(&home, settings, &address(n)));
    }
    // Each is registered once, whatever version of TLS it comes with; who is anonymous is told apart by the address.
    assert_eq!(devices(&home).len(), 4, "{:?}", devices(&home));
    for (n, settings) in methods.iter().enumerate() {
        on_our_terms(&join(&home, settings, &address(n)));
    }
    assert_eq!(devices(&home).len(), 4, "{:?}", devices(&home));
    assert_said(&home, &address(1), "acme");
    maker.says("cam-1@acme.example");
}

#[test]
fn what_registers_itself_can_be_named_placed_and_blocked() {
    let dir = tempfile::tempdir().unwrap();
    let maker = Maker::new(dir.path());
    let home = configured(&realm("acme", maker.port, "all", ""));
    let daemon = home.start();
    let cam = with_password(&maker, "cam-7");
    join(&home, &cam, &mac(1)).is_let_in(1, "30");
    let [first] = &devices(&home)[..] else { panic!("{:?}", devices(&home)) };
    let shown = shown(&home.latchkey(&["device", "show", first]));
    assert!(shown.contains("acme") && shown.contains("cam-7@acme.example"), "{shown}");
    // Acknowledged to the device, so it outlives a daemon that is killed.
    daemon.kill();
    let _daemon = home.start();
    latchkey(&home, &["device", "set", first, "name=porch-cam", "profile=iot"]);
    join(&home, &cam, &mac(1)).is_let_in(1, "20");
    assert_eq!(devices(&home), ["porch-cam"]);
    // Its outer identity proves nothing: from another address it is another device, on the maker's terms and not on this one's.
    join(&home, &cam, &mac(2)).is_let_in(1, "30");
    let other = devices(&home).into_iter().find(|name| name != "porch-cam").expect("another device");
    join(&home, &cam, &mac(1)).is_let_in(1, "20");
    assert_eq!(devices(&home).len(), 2, "{:?}", devices(&home));
    latchkey(&home, &["device", "remove", &other]);
    let asked = maker.log().len();
    latchkey(&home, &["device", "block", "porch-cam"]);
    join(&home, &cam, &mac(1)).is_refused();
    assert_said(&home, &mac(1), "blocked");
    assert_eq!(maker.log().len(), asked, "its manufacturer was asked: {}", maker.log());
    latchkey(&home, &["device", "unblock", "porch-cam"]);
    join(&home, &cam, &mac(1)).is_let_in(1, "20");
    latchkey(&home, &["device", "remove", "porch-cam"]);
    join(&home, &cam, &mac(1)).is_let_in(1, "30");
}

#[test]
fn devices_that_nobody_listed() {
    let dir = tempfile::tempdir().unwrap();
    let maker = Maker::new(dir.path());
    let home = configured(&realm("acme", maker.port, "listed", ""));
    let _daemon = home.start();
    let cam = with_password(&maker, "cam-7");
    join(&home, &cam, &mac(1)).is_refused();
    assert_said(&home, &mac(1), "we said no: device not on the list");
    assert!(devices(&home).is_empty());

    home.configure(&format!("\toption security 'enterprise'\n{}", realm("acme", maker.port, "pending", "")));
    _daemon.signal(nix::sys::signal::Signal::SIGHUP);
    eventually("it is on the list of those who wait", || {
        join(&home, &cam, &mac(1)).is_refused();
        let pending = shown(&home.latchkey(&["pending", "list"]));
        (pending.contains(&mac(1)) && pending.contains("acme")).then_some(())
    });
    latchkey(&home, &["pending", "approve", &mac(1), "kettle", "--profile", "iot"]);
    join(&home, &cam, &mac(1)).is_let_in(1, "20");
    assert_eq!(devices(&home), ["kettle"]);
    // That one, and no other.
    join(&home, &with_password(&maker, "cam-8"), &mac(2)).is_refused();
}

#[test]
fn a_manufacturer_says_no() {
    let dir = tempfile::tempdir().unwrap();
    let maker = Maker::new(dir.path());
    let home = configured(&realm("acme", maker.port, "all", ""));
    let _daemon = home.start();
    let mut settings = with_password(&maker, "cam-7");
    for line in &mut settings {
        *line = line.replace(super::support::maker::PASSWORD, "guessed");
    }
    join(&home, &settings, &mac(1)).is_refused();
    assert_said(&home, &mac(1), "acme said no");
    assert!(devices(&home).is_empty());
}

#[test]
fn realms_that_nobody_knows_and_those_that_never_leave() {
    let server = Scripted::start(SHARED, Manner::Accept);
    let online = "config realm 'online'\n\tlist realm '*.acme.example'\n";
    let home = configured(&realm("acme", server.port, "all", "").replace("config realm 'acme'\n", online));
    let daemon = home.start();
    let patience = Duration::from_secs(5);
    // Each from an address of its own.
    let code = |identity: &str| {
        let station = mac(identity.len().try_into().unwrap());
        let reply = radius::join(home.auth_port, super::support::SECRET, identity, &station, patience);
        let reply = reply.unwrap_or_else(|| panic!("no answer for {identity}\n{}", home.log()));
        println!("{identity}: {}", said(&home, &station));
        reply.code
    };
    // Of a realm that is configured, and of one below it.
    assert_eq!(code("cam@acme.example"), ACCESS_ACCEPT);
    assert_eq!(code("cam@EU.Acme.Example"), ACCESS_ACCEPT);
    let asked = server.requests().len();
    // Of nobody's: refused at once, and why.
    assert_eq!(code("cam@elsewhere.example"), ACCESS_REJECT);
    assert_said(&home, &mac(21), "elsewhere.example");
    assert_eq!(server.requests().len(), asked);
    // Even with a server for everything else, these stay here (RFC 9140, draft-ietf-emu-eap-arpa).
    let everything = realm("acme", server.port, "all", "").replace("'acme.example'", "'default'");
    home.configure(&format!("\toption security 'enterprise'\n{everything}"));
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    eventually("the new configuration is used", || (code("cam@elsewhere.example") == ACCESS_ACCEPT).then_some(()));
    let asked = server.requests().len();
    for identity in ["noob@eap-noob.arpa", "portal@tls.eap.arpa", "@noob.eap.arpa", "x@EAP.ARPA"] {
        radius::join(home.auth_port, super::support::SECRET, identity, &mac(9), Duration::from_secs(2));
        assert_eq!(server.requests().len(), asked, "{identity} left");
    }
}

#[test]
fn a_manufacturer_is_told_no_more_than_it_needs() {
    let (acme, umbrella) = (Scripted::start(SHARED, Manner::Accept), Scripted::start(SHARED, Manner::Accept));
    let hidden = "\toption mac 'pseudonym'\n";
    let home = configured(&joined(&[
        realm("acme", acme.port, "all", hidden),
        realm("umbrella", umbrella.port, "all", hidden),
        realm("open", acme.port, "all", ""),
    ]));
    let _daemon = home.start();
    let ask = |identity: &str| {
        let reply = radius::join(home.auth_port, super::support::SECRET, identity, &mac(1), Duration::from_secs(5));
        assert_eq!(reply.expect("an answer").code, ACCESS_ACCEPT, "{}", home.log());
    };
    ask("cam@acme.example");
    ask("cam@acme.example");
    for identity in ["cam@umbrella.example", "cam@open.example"] {
        // What came before is another device, at the same address.
        latchkey(&home, &["device", "remove", &devices(&home).remove(0)]);
        ask(identity);
    }
    let told = |server: &Scripted, n: usize| radius::read(&server.requests()[n]);
    let address = |request: &radius::Attributes| String::from_utf8(value(request, 31)).unwrap();
    let [first, second, open] = [0, 1, 2].map(|n| told(&acme, n));
    let other = told(&umbrella, 0);
    // Always the same other address, which another manufacturer is not told.
    assert_eq!(address(&first), address(&second));
    assert_ne!(address(&first), address(&other));
    let real = mac(1).replace(':', "-");
    assert!(address(&open).eq_ignore_ascii_case(&real), "{}", address(&open));
    for request in [&first, &second, &other] {
        assert!(!address(request).eq_ignore_ascii_case(&real));
        for (kind, octets) in request {
            let text = String::from_utf8_lossy(octets);
            assert!(!text.contains("Home") && !text.to_lowercase().contains(&real), "attribute {kind}: {text}");
            assert!(![4, 5, 44, 50, 87].contains(kind), "attribute {kind}: {text}");
        }
        assert_eq!(
            value(request, 1),
            if std::ptr::eq(request, &other) { &b"cam@umbrella.example"[..] } else { b"cam@acme.example" }
        );
    }
}
