//! Which events are shown, and which are new.

use super::super::tests::{call, core};
use super::*;
use crate::decision::event::tests::event;
use crate::decision::reason::Reason;
use serde_json::json;

/// What happened: who, what came out, why, and of whom.
fn with_events() -> Core {
    let mut core = core();
    core.events.begin_at(1000);
    call(&mut core, "device_add", json!({ "name": "tv", "macs": ["00:00:00:00:00:01"], "bind": "mac" }));
    let named = |event: Event, name: &str| Event { device: Some(name.into()), ..event };
    let of_tv = Reason::KeyOfOther { owner: "tv".into() };
    for event in [
        named(event(1, Outcome::Accepted, Reason::KnownAddress, 10), "tv"),
        named(event(1, Outcome::Joined, Reason::ProvedKey, 11), "tv"),
        event(1, Outcome::Refused, Reason::WrongKey, 12),
        event(2, Outcome::Refused, of_tv, 13),
        event(3, Outcome::Refused, Reason::UnknownDevice, 14),
        named(event(4, Outcome::Accepted, Reason::ProvedKey, 15), "lamp"),
    ] {
        core.events.record(event);
    }
    core
}

fn ids(reply: &Value) -> Vec<u64> {
    reply["events"].as_array().expect("events").iter().map(|event| event["id"].as_u64().expect("a number")).collect()
}

#[test]
fn events_of_one_device_or_one_kind() {
    let mut core = with_events();
    for (params, expected) in [
        (json!({}), &[1, 2, 3, 4, 5, 6][..]),
        (json!({ "device": "tv" }), &[1, 2, 3, 4]),
        (json!({ "device": "TV", "outcome": ["refused"] }), &[3, 4]),
        (json!({ "device": "lamp" }), &[6]),
        (json!({ "device": "nobody" }), &[]),
        (json!({ "device": "", "mac": "", "outcome": [] }), &[1, 2, 3, 4, 5, 6]),
        (json!({ "outcome": ["accepted", "joined"] }), &[1, 2, 6]),
        (json!({ "mac": "00:00:00:00:00:01" }), &[1, 2, 3]),
        (json!({ "outcome": ["refused"], "limit": 2 }), &[4, 5]),
        (json!({ "outcome": ["disconnect"] }), &[]),
    ] {
        let reply = call(&mut core, "log", params.clone());
        assert_eq!(ids(&reply), expected, "{params}");
        assert_eq!((&reply["last"], &reply["gap"]), (&json!(1006), &json!(false)), "{params}");
    }
    for (params, field) in [
        (json!({ "outcome": ["eaten"] }), "outcome"),
        (json!({ "outcome": "refused" }), "outcome"),
        (json!({ "since": -1 }), "since"),
        (json!({ "mac": "x" }), "mac"),
        (json!({ "limit": 0 }), "limit"),
    ] {
        assert_eq!(call(&mut core, "log", params.clone())["error"]["field"], field, "{params}");
    }
}

#[test]
fn what_is_new_since_the_last_time() {
    let mut core = with_events();
    let since = |core: &mut Core, since: u64| {
        let reply = call(core, "log", json!({ "since": since }));
        (ids(&reply), reply["gap"].as_bool().expect("a flag"), reply["last"].as_u64().expect("a number"))
    };
    assert_eq!(since(&mut core, 1006), (vec![], false, 1006));
    assert_eq!(since(&mut core, 1000), (vec![1, 2, 3, 4, 5, 6], false, 1006));
    // One that repeats keeps its number, and is new again.
    core.events.record(event(3, Outcome::Refused, Reason::UnknownDevice, 20));
    assert_eq!(since(&mut core, 1006), (vec![5], false, 1007));
    assert_eq!(since(&mut core, 1005), (vec![6, 5], false, 1007));
    // Numbers of another life of the daemon.
    assert_eq!(since(&mut core, 5000), (vec![1, 2, 3, 4, 6, 5], true, 1007));
    assert!(since(&mut core, 999).1);
    // More than is kept, and more than was asked for.
    for at in 0..RING as i64 {
        core.events.record(event(9, Outcome::Joined, Reason::ProvedKey, 30 + at));
    }
    assert!(since(&mut core, 1006).1 && !since(&mut core, 1008).1);
    let few = call(&mut core, "log", json!({ "since": 1010, "limit": 3 }));
    assert_eq!((few["events"].as_array().map(Vec::len), &few["gap"]), (Some(3), &json!(true)));
    let few = call(&mut core, "log", json!({ "limit": 3 }));
    assert_eq!(few["gap"], false, "the latest were asked for, and they are there");
}
