//! What a session costs. Run with `--run-ignored all --no-capture`.

use super::*;
use std::time::{Duration, Instant};

/// Octets of memory of this process that are in use (resident).
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    1024 * line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
}

/// A thousand devices that have our certificate and do not go on.
fn half_open(versions: Versions) {
    let mut rig = Rig::new();
    rig.mtu = 1400;
    let supplicant = rig.supplicant(versions);
    let hellos = (0..1100).map(|_| Peer::new(&supplicant).unwrap().receive(&[0x20])).collect::<Vec<_>>();
    let open = |hello: &Vec<u8>| {
        let mut method = Tls::new(&rig.server);
        rig.context(|cx| method.begin(cx));
        let progress = rig.context(|cx| method.receive(hello, cx));
        assert!(matches!(progress, Progress::Request(data) if data[0] & 0x40 == 0), "one request");
        method
    };
    let _warm = hellos[..100].iter().map(open).collect::<Vec<_>>();
    let mut methods = Vec::with_capacity(1000);
    let before = resident();
    methods.extend(hellos[100..].iter().map(open));
    let each = (resident() - before) / 1000;
    let said = methods[0].octets();
    println!("{versions:?}: {each} octets resident for each half-open session, octets() says {said}");
    assert!(each < 16 * 1024 && said * 2 > each && said < each * 2, "{each} {said}");
}

#[test]
#[ignore = "measures memory, so it has to be alone in its process"]
fn half_open_sessions_of_tls12() {
    half_open(Versions::Tls12);
}

#[test]
#[ignore = "measures memory, so it has to be alone in its process"]
fn half_open_sessions_of_tls13() {
    half_open(Versions::Tls13);
}

/// What the server's side takes.
#[test]
#[ignore = "measures time"]
fn time_of_a_handshake() {
    let mut rig = Rig::new();
    rig.mtu = 1400;
    for (versions, ..) in BOTH {
        let supplicant = rig.supplicant(versions);
        for what in ["full", "resumed"] {
            let mut spent = Duration::ZERO;
            for _ in 0..200 {
                let new = rig.supplicant(versions);
                let mut peer = Peer::new(if what == "full" { &new } else { &supplicant }).unwrap();
                let mut method = Tls::new(&rig.server);
                let mut progress = Progress::Request(rig.context(|cx| method.begin(cx)));
                loop {
                    let response = match &progress {
                        Progress::Request(data) => peer.receive(data),
                        _ => Vec::new(),
                    };
                    let begun = Instant::now();
                    progress = match progress {
                        Progress::Request(_) => rig.context(|cx| method.receive(&response, cx)),
                        Progress::Proved(_) => rig.context(|cx| method.decided(true, cx)),
                        Progress::Success(_) => break,
                        other => panic!("{other:?}"),
                    };
                    spent += begun.elapsed();
                }
            }
            println!(
                "{versions:?} {what}: {} us of the server, without the chain's verification",
                spent.as_micros() / 200
            );
        }
    }
}
