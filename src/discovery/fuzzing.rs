//! For the fuzzer: what name servers can answer.

use super::{Discovery, Output, Own, Taken};
use crate::config::Pattern;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Each answer begins with an octet of flags (0x01: it has the right identifier and question; 0x02: over TCP; 0x04: none comes)
/// and the number of its octets; what follows is put after the header and the question, or stands for itself.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let (section, mut now) = (Arc::<str>::from("acme"), Instant::now());
    let mut discovery =
        Discovery { realms: vec![(section.clone(), vec![Pattern::Below("example".into())])], ..Discovery::default() };
    discovery.set_own(Own { addresses: Vec::new(), listen: vec![SocketAddr::from(([192, 0, 2, 1], 2083))] });
    let mut state = 1u8;
    let mut random = |octets: &mut [u8]| {
        for octet in octets {
            state = state.wrapping_mul(5).wrapping_add(7);
            *octet = state;
        }
    };
    discovery.want(&section, "acme.example", now);
    let (mut asks, mut data) = (Vec::new(), data);
    for _ in 0..256 {
        while let Some(output) = discovery.poll(now, &mut random) {
            match output {
                Output::Ask(ask) => asks.push(ask),
                Output::Over(_, found) => {
                    assert!(found.is_err() || found.is_ok_and(|found| (1..=8).contains(&found.len())))
                }
                Output::Forget(_) => {}
            }
        }
        let (Some(ask), [flags, length, rest @ ..]) = (asks.pop(), data) else { break };
        let (body, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        data = rest;
        let mut octets = Vec::new();
        if flags & 1 != 0 {
            octets.extend_from_slice(&ask.octets);
            // An answer without error that has 4 records.
            octets.iter_mut().skip(2).zip([0x81, 0x80, 0, 1, 0, 4]).for_each(|(octet, flag)| *octet = flag);
        }
        octets.extend_from_slice(body);
        if flags & 4 != 0 {
            discovery.silent(ask.serial, now, &mut random);
        } else if discovery.answered(ask.serial, &octets, flags & 2 != 0, now, &mut random) != Taken::Answer {
            asks.insert(0, ask);
        }
        now += Duration::from_millis(10);
    }
    discovery.timeout(now + Duration::from_secs(10));
    assert!(discovery.running.is_empty());
}
