//! The object `latchkey` on the bus of OpenWrt: the real daemon, and ubusd played by threads.

mod support;

use latchkey::service::control::{Kind, METHODS};
use latchkey::wire::ubus::{Frames, Header, Message, MessageType};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use support::radius::{ACCESS_REQUEST, ask, request};
use support::ubusd::{Acl, Caller, Played, Ubusd};
use support::{Daemon, Home, PATIENCE, SECRET, eventually};

const LAMP: &str = "00:1a:11:00:00:01";

/// Where ubusd is, for the daemon and its tests.
fn bus(home: &Home) -> PathBuf {
    home.path("ubus.sock")
}

/// Writes a configuration with this option `ubus`.
fn configure(home: &Home, ubus: &str, more: &str) {
    home.configure(more);
    let text = fs::read_to_string(home.path("config")).unwrap();
    let text = text.replace("option ubus 'off'", &format!("option ubus '{ubus}'"));
    fs::write(home.path("config"), text).unwrap();
}

/// A daemon that looks for ubusd in its home.
fn home(more: &str) -> Home {
    let home = Home::new();
    configure(&home, &bus(&home).display().to_string(), more);
    home
}

fn status(home: &Home) -> Value {
    home.call("status", json!({})).unwrap()["ubus"].take()
}

/// Waits until it stands with the bus like this.
#[track_caller]
fn comes_to(home: &Home, state: &str) -> Value {
    eventually(state, || Some(status(home)).filter(|ubus| ubus["state"] == state))
}

/// A station asks by its address, as hostapd does for it.
fn knock(home: &Home, station: &str) -> u8 {
    let attributes = [
        // User-Name, Called-Station-Id, Calling-Station-Id, NAS-IP-Address.
        (1, station.replace(':', "").into_bytes()),
        (30, b"02-00-00-00-00-01:Home".to_vec()),
        (31, station.replace(':', "-").into_bytes()),
        (4, vec![127, 0, 0, 1]),
    ];
    ask(home.auth_port, SECRET, &request(ACCESS_REQUEST, 7, &attributes, SECRET), PATIENCE).expect("an answer").code
}

#[test]
fn the_object_has_every_method_and_its_arguments() {
    let home = home("");
    let ubusd = Ubusd::start(&bus(&home));
    let _daemon = home.start();
    let mut caller = ubusd.client();
    caller.wait_for("latchkey");
    let (_, signature) = caller.lookup("latchkey").unwrap();
    let number = |kind| match kind {
        Kind::Texts => 1,
        Kind::Table => 2,
        Kind::Text => 3,
        Kind::Number => 5,
        Kind::Flag => 7,
    };
    let expected: Value = METHODS
        .iter()
        .map(|method| {
            let params: Value =
                method.params.iter().map(|(name, kind)| ((*name).to_owned(), json!(number(*kind)))).collect();
            (method.name.to_owned(), params)
        })
        .collect();
    assert_eq!(signature, expected);
    let ubus = comes_to(&home, "published");
    assert_eq!((&ubus["text"], &ubus["fine"]), (&json!("published"), &json!(true)));
    assert!(home.log().contains("ubus: published as 'latchkey'"), "{}", home.log());
    let said = String::from_utf8(home.latchkey(&["status"]).stdout).unwrap();
    assert!(said.contains("published: 0 calls, 0 events"), "{said}");
}

#[test]
fn every_method_answers_as_on_the_control_socket() {
    let home = home("");
    let ubusd = Ubusd::start(&bus(&home));
    let _daemon = home.start();
    let mut caller = ubusd.client();
    // What tells of the moment, or makes something anew each time.
    let differs = ["status", "ca_export"];
    for method in METHODS {
        let there = home.call(method.name, json!({}));
        let here =
            caller.call(method.name, &json!({})).unwrap_or_else(|status| panic!("{}: status {status}", method.name));
        match there {
            _ if differs.contains(&method.name) => assert!(here.get("error").is_none(), "{}: {here}", method.name),
            Ok(result) => assert_eq!(here, result, "{}", method.name),
            Err(error) => assert_eq!(here, json!({ "error": error }), "{}", method.name),
        }
    }
    assert_eq!(caller.call("no_such_method", &json!({})), Err(3), "METHOD_NOT_FOUND");
    assert_eq!(status(&home)["calls"], METHODS.len());
}

#[test]
fn devices_are_added_and_refused_arguments_explained() {
    let home = home("");
    let ubusd = Ubusd::start(&bus(&home));
    let _daemon = home.start();
    let mut caller = ubusd.client();
    // uhttpd and LuCI add the last one to every call.
    let arguments = json!({ "name": "lamp", "macs": [LAMP], "generate": true, "ubus_rpc_session": "0123456789abcdef" });
    let added = caller.call("device_add", &arguments).unwrap();
    assert!(added["key"].as_str().is_some_and(|key| key.len() >= 8), "{added}");
    assert_eq!(home.call("device_show", json!({ "name": "lamp" })).unwrap()["device"]["profile"], "iot");
    let long = caller.call("device_add", &json!({ "name": "x".repeat(1000) })).unwrap();
    assert!(long["error"]["message"].is_string(), "{long}");
    for (arguments, code, field) in [
        (json!({ "name": "lamp" }), "name_taken", json!("name")),
        (json!({ "name": 7 }), "type", json!("name")),
        (json!({ "name": "tv", "macs": "02:00:00:00:00:01" }), "type", json!("macs")),
        (json!({ "name": "tv", "macs": ["nonsense"] }), "mac", json!("mac")),
        (json!({ "name": "tv", "max_devices": 1.5 }), "type", json!("max_devices")),
        (json!({ "nmae": "tv" }), "unknown_field", json!(null)),
    ] {
        let there = home.call("device_add", arguments.clone()).unwrap_err();
        let here = caller.call("device_add", &arguments).unwrap();
        assert_eq!(here, json!({ "error": there }));
        assert_eq!((&here["error"]["code"], &here["error"]["field"]), (&json!(code), &field), "{here}");
    }
    // What is no table at all.
    let object = caller.wait_for("latchkey");
    for arguments in [&b"garbage!"[..], b"\x83\0\0\x0a\0\x01a\0\xff\0\0\0", b"\x83\xff\xff\xff"] {
        let seq = caller.begin_raw(object, "status", arguments);
        assert_eq!(caller.result(seq).unwrap()["error"]["code"], "syntax", "{arguments:?}");
    }
    let follow = caller.call("log", &json!({ "follow": true })).unwrap();
    assert_eq!((&follow["error"]["code"], &follow["error"]["field"]), (&json!("unsupported"), &json!("follow")));
}

#[test]
fn long_calls_hold_up_nobody_and_are_bounded() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let home = home(&format!(
        "config realm 'acme'\n\tlist realm 'acme.example'\n\tlist server 'udp://127.0.0.1:{}'\n\
         \toption secret 'a-long-random-secret'\n\toption profile 'iot'\n",
        silent.local_addr().unwrap().port()
    ));
    let ubusd = Ubusd::start(&bus(&home));
    let _daemon = home.start();
    let mut caller = ubusd.client();
    let object = caller.wait_for("latchkey");
    let start = Instant::now();
    let slow: Vec<u16> = (0..16).map(|_| caller.begin(object, "realm_test", &json!({ "name": "acme" }))).collect();
    let busy = caller.begin(object, "realm_test", &json!({ "name": "acme" }));
    let busy = caller.result(busy).unwrap();
    assert_eq!(busy["error"]["code"], "busy", "{busy}");
    assert!(start.elapsed() < Duration::from_secs(2), "the answer to the last came first");
    assert_eq!(status(&home)["busy"], 1);
    for seq in slow {
        let tested = caller.result(seq).unwrap();
        assert!(tested.get("error").is_none(), "{tested}");
    }
    assert!(start.elapsed() > Duration::from_secs(2), "the server said nothing for some time");
    assert!(caller.call("status", &json!({})).is_ok(), "there is room again");
}

#[test]
fn a_caller_that_is_gone_takes_nothing_with_it() {
    let home = home("");
    let ubusd = Ubusd::start(&bus(&home));
    let _daemon = home.start();
    let mut gone = ubusd.client();
    let object = gone.wait_for("latchkey");
    gone.begin(object, "device_add", &json!({ "name": "lamp", "macs": [LAMP] }));
    eventually("the device is there", || home.call("device_show", json!({ "name": "lamp" })).ok());
    // Its answer is on the way, or unread.
    drop(gone);
    assert!(ubusd.client().call("status", &json!({})).is_ok());
}

#[test]
fn events_say_what_the_log_says() {
    let home = home("");
    let ubusd = Ubusd::start(&bus(&home));
    let _daemon = home.start();
    let mut listener = ubusd.client();
    listener.listen("latchkey.*");
    listener.wait_for("latchkey");
    comes_to(&home, "published");

    assert_eq!(knock(&home, LAMP), 3, "Access-Reject");
    let mut first = [listener.event(), listener.event()];
    first.sort_by(|a, b| a.0.cmp(&b.0));
    let [(pending, unknown), (refused, event)] = first;
    assert_eq!((&*pending, &*refused), ("latchkey.pending", "latchkey.refused"));
    assert_eq!((&unknown["mac"], &unknown["attempts"]), (&json!(LAMP), &json!(1)));
    let log = home.call("log", json!({})).unwrap()["events"][0].take();
    assert_eq!(event, log);

    // Known by now: no second word of it being unknown.
    knock(&home, LAMP);
    let (name, event) = listener.event();
    assert_eq!((&*name, &event["count"]), ("latchkey.refused", &json!(2)));

    home.call("device_add", json!({ "name": "lamp", "macs": [LAMP], "generate": true })).unwrap();
    eventually("it is let in", || (knock(&home, LAMP) == 2).then_some(()));
    // Its key was sent, and is not proved yet: no event. Then it has to go.
    home.call("device_block", json!({ "name": "lamp" })).unwrap();
    let (name, event) =
        std::iter::from_fn(|| Some(listener.event())).find(|(name, _)| name != "latchkey.refused").unwrap();
    assert_eq!(name, "latchkey.revoked");
    let fields = ["mac", "device", "outcome", "reason"].map(|field| event[field].as_str().unwrap().to_owned());
    assert_eq!(fields, [LAMP, "lamp", "disconnect", "blocked"]);
    let told = status(&home);
    assert!(told["events"].as_u64().unwrap() >= 4 && told["missed"] == 0 && told["events_refused"].is_null(), "{told}");
}

#[test]
fn a_storm_on_the_air_is_none_on_the_bus() {
    let home = home("");
    let ubusd = Ubusd::start(&bus(&home));
    let _daemon = home.start();
    let mut listener = ubusd.client();
    listener.listen("latchkey.*");
    listener.wait_for("latchkey");
    comes_to(&home, "published");
    let start = Instant::now();
    for n in 0..150 {
        knock(&home, &format!("00:1a:11:00:01:{n:02x}"));
    }
    // Each knock makes an event, at least.
    let (mut events, mut missed) = (0, 0);
    while events + missed < 150 {
        match listener.event() {
            (name, counts) if name == "latchkey.missed" => {
                missed += counts.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>();
            }
            _ => events += 1,
        }
    }
    let seconds = start.elapsed().as_secs() + 1;
    assert!(missed > 0 && events <= 20 + 20 * seconds, "{events} events, {missed} counted, in {seconds} s");
    let told = eventually("all is told", || Some(status(&home)).filter(|told| told["missed"].as_u64() >= Some(missed)));
    assert!(told["events"].as_u64().unwrap() >= events, "{told}");
}

#[test]
fn ubusd_comes_late_goes_and_comes_back() {
    let home = home("");
    let _daemon = home.start();
    let ubus = comes_to(&home, "absent");
    assert_eq!((&ubus["text"], &ubus["fine"]), (&json!("not there"), &json!(true)));
    for life in 1..=3 {
        let ubusd = Ubusd::start(&bus(&home));
        let mut caller = ubusd.client();
        let start = Instant::now();
        caller.wait_for("latchkey");
        assert!(start.elapsed() < Duration::from_secs(7), "{:?}", start.elapsed());
        assert!(caller.call("device_list", &json!({})).is_ok());
        eventually("it is said", || (home.log().matches("ubus: published").count() == life).then_some(()));
        drop(ubusd);
        eventually("it is noticed", || (status(&home)["state"] != "published").then_some(()));
    }
    // What a dead one leaves behind is taken for none.
    let _ = fs::remove_file(bus(&home));
    drop(UnixListener::bind(bus(&home)).unwrap());
    comes_to(&home, "absent");
    let warnings = home.log().lines().filter(|line| line.contains("WARN") && line.contains("ubus")).count();
    assert_eq!(warnings, 3, "one for each time it went:\n{}", home.log());
}

#[test]
fn without_permission_it_says_what_is_missing() {
    let home = home("");
    let ubusd = Played::start(&bus(&home));
    ubusd.nobody_is_root(Acl::default());
    let _daemon = home.start();
    let ubus = comes_to(&home, "acl_missing");
    assert_eq!(ubus["fine"], false);
    let text = "ACL missing: install /usr/share/acl.d/latchkey_acl.json, and have ubusd read it (killall -HUP ubusd)";
    assert_eq!(ubus["text"], text);
    assert!(home.log().contains(text), "{}", home.log());
    assert!(String::from_utf8(home.latchkey(&["status"]).stdout).unwrap().contains("ACL missing: install"));

    // The object is allowed, events are not.
    ubusd.nobody_is_root(Acl { publish: &["latchkey"], send: &[] });
    comes_to(&home, "published");
    knock(&home, LAMP);
    let ubus = eventually("it is noticed", || Some(status(&home)).filter(|ubus| ubus["events_refused"].is_string()));
    assert_eq!((&ubus["events_refused"], &ubus["fine"]), (&json!("permission denied (6)"), &json!(false)));
    assert!(home.log().contains("ubusd does not take our events: permission denied (6)"), "{}", home.log());
    assert_eq!(home.log().matches("ACL missing").count(), 1, "said once");
}

/// What the shipped file allows is what the daemon needs.
#[test]
fn the_shipped_acl_is_enough() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("openwrt/latchkey/files/latchkey_acl.json");
    let acl: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(acl, json!({ "user": "latchkey", "publish": ["latchkey"], "send": ["latchkey.*"] }));
    let home = home("");
    let ubusd = Played::start(&bus(&home));
    ubusd.nobody_is_root(Acl { publish: &["latchkey"], send: &["latchkey.*"] });
    let _daemon = home.start();
    comes_to(&home, "published");
    knock(&home, LAMP);
    let ubus = eventually("events go out", || Some(status(&home)).filter(|ubus| ubus["events"].as_u64() >= Some(2)));
    assert_eq!((&ubus["events_refused"], &ubus["missed"]), (&json!(null), &json!(0)));
}

#[test]
fn of_two_daemons_the_second_says_that_the_name_is_taken() {
    let home = home("");
    let ubusd = Ubusd::start(&bus(&home));
    let mut other = ubusd.client();
    let message = Message { path: Some(b"latchkey"), signature: Some(b""), ..Message::default() };
    let seq = other.send(MessageType::ADD_OBJECT, 0, &message);
    assert!(other.answer(seq).is_ok());
    let _daemon = home.start();
    let ubus = comes_to(&home, "name_taken");
    assert!(ubus["text"].as_str().unwrap().contains("is a second daemon running?"), "{ubus}");
    drop(other);
    comes_to(&home, "published");
}

#[test]
fn it_is_switched_off_and_on_without_a_restart() {
    let home = home("");
    let ubusd = Ubusd::start(&bus(&home));
    let daemon = home.start();
    let mut caller = ubusd.client();
    caller.wait_for("latchkey");
    let on = fs::read_to_string(home.path("config")).unwrap();
    configure(&home, "off", "");
    daemon.signal(Signal::SIGHUP);
    comes_to(&home, "off");
    eventually("the object is gone", || caller.lookup("latchkey").is_none().then_some(()));
    assert!(!String::from_utf8(home.latchkey(&["status"]).stdout).unwrap().contains("ubus"));
    fs::write(home.path("config"), on).unwrap();
    daemon.signal(Signal::SIGHUP);
    caller.wait_for("latchkey");
    assert_eq!(daemon.terminate().code(), Some(0));
    eventually("it leaves with the daemon", || caller.lookup("latchkey").is_none().then_some(()));
}

/// A ubusd whose messages the test writes itself.
struct Scripted(UnixListener);

impl Scripted {
    fn start(home: &Home) -> Scripted {
        Scripted(UnixListener::bind(bus(home)).unwrap())
    }

    fn accept(&self) -> UnixStream {
        let (stream, _) = self.0.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Takes a connection and what it publishes, as object 9.
    fn publish(&self) -> UnixStream {
        let mut stream = self.accept();
        send(&mut stream, MessageType::HELLO, 0, 77, &Message::default());
        let (mut frames, mut buffer) = (Frames::default(), [0; 4096]);
        let seq = loop {
            if let Some(frame) = frames.next().unwrap() {
                assert_eq!(frame.header.kind, MessageType::ADD_OBJECT);
                break frame.header.seq;
            }
            let octets = stream.read(&mut buffer).unwrap();
            frames.push(&buffer[..octets]);
        };
        send(&mut stream, MessageType::DATA, seq, 0, &Message { object: Some(9), ..Message::default() });
        send(&mut stream, MessageType::STATUS, seq, 0, &Message { status: Some(0), ..Message::default() });
        stream
    }
}

fn send(stream: &mut UnixStream, kind: MessageType, seq: u16, peer: u32, message: &Message<'_>) {
    stream.write_all(&message.frame(Header::new(kind, seq, peer)).unwrap()).unwrap();
}

#[test]
fn what_is_no_ubusd_is_left_and_tried_again() {
    let hello = Message::default().frame(Header::new(MessageType::HELLO, 0, 7)).unwrap();
    let cases: [(&[u8], &str); 7] = [
        (b"", "ubusd hung up before anything was published"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "a message of version 72, not 0"),
        (b"\0\x01\0\0\0\0\0\0\0\0\0\x04", "type 1, not with HELLO (0)"),
        (b"\0\0\0\0\0\0\0\0\0\xff\xff\xff", "a message of 16777215 octets"),
        (b"\0\0\0\0\0\0\0\0\0\0\0\x03", "the length of an attribute"),
        (&[&hello, &b"\0\x05\0\x01\0\0\0\x05\0\0\0\x08\x04\0\0\x09"[..]].concat(), "the length of an attribute"),
        (&[&hello, &b"\0\x01\0\x01\0\0\0\0\0\0\0\x0c\x01\0\0\x08\0\0\0\0"[..]].concat(), "without a number"),
    ];
    // Each has a daemon of its own: trying again takes a while.
    std::thread::scope(|scope| {
        for (octets, expected) in cases {
            scope.spawn(move || is_left(octets, expected));
        }
    });
}

fn is_left(octets: &[u8], expected: &str) {
    let home = home("");
    let ubusd = Scripted::start(&home);
    let daemon = home.start();
    let mut stream = ubusd.accept();
    stream.write_all(octets).unwrap();
    if octets.is_empty() {
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
    let ubus = comes_to(&home, "failed");
    assert!(ubus["text"].as_str().unwrap().contains(expected), "{ubus}, not {expected}");
    // It hangs up, and tries again.
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap_or_default();
    let mut stream = ubusd.publish();
    comes_to(&home, "published");
    // Messages that mean nothing change nothing.
    for kind in 0..=255 {
        if kind != 5 {
            send(&mut stream, MessageType(kind), 3, 0x5555, &Message { object: Some(1), ..Message::default() });
        }
    }
    assert_eq!(status(&home)["state"], "published");
    assert_eq!(daemon.terminate().code(), Some(0));
}

#[test]
fn one_that_says_nothing_is_given_up() {
    let home = home("");
    let ubusd = Scripted::start(&home);
    let _daemon = home.start();
    let _silent = ubusd.accept();
    let ubus = comes_to(&home, "failed");
    assert_eq!(ubus["text"], "ubusd said nothing for 5 s");
    let _stream = ubusd.publish();
    comes_to(&home, "published");
}

/// Calls without end, and nobody takes the answers: the daemon stops reading, and its memory stays small.
#[test]
fn one_that_does_not_read_costs_no_memory() {
    const CALLS: u32 = 30_000;
    let home = home("");
    let ubusd = Scripted::start(&home);
    let daemon: Daemon = home.start();
    let mut stream = ubusd.publish();
    comes_to(&home, "published");
    let before = daemon.memory();
    let mut reader = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        let message = Message { object: Some(9), method: Some(b"status"), data: Some(b""), ..Message::default() };
        for n in 0..CALLS {
            send(&mut stream, MessageType::INVOKE, n as u16, 1_000_000 + n, &message);
        }
        stream
    });
    std::thread::sleep(Duration::from_secs(1));
    assert!(!writing.is_finished(), "it has to wait: nobody takes the answers");
    let grown = daemon.memory().saturating_sub(before);
    assert!(grown < 8 << 10, "{grown} KiB");
    assert!(home.call("device_list", json!({})).is_ok(), "others are served");
    // Now they are taken: every call has been answered, in the order of the answers.
    let (mut frames, mut buffer, mut answered) = (Frames::default(), vec![0; 1 << 16], 0);
    while answered < CALLS {
        let octets = reader.read(&mut buffer).unwrap();
        assert!(octets > 0, "it hung up after {answered}");
        frames.push(&buffer[..octets]);
        while let Some(frame) = frames.next().unwrap() {
            let message = frame.message().unwrap();
            if frame.header.kind == MessageType::STATUS && message.object == Some(9) {
                assert_eq!(
                    (message.status, frame.header.peer & 0xffff),
                    (Some(0), (1_000_000 + u32::from(frame.header.seq)) & 0xffff)
                );
                answered += 1;
            }
        }
    }
    drop(writing.join().unwrap());
}

#[test]
fn two_callers_get_their_own_answers() {
    let home = home("");
    let ubusd = Ubusd::start(&bus(&home));
    let _daemon = home.start();
    let mut callers: Vec<Caller> = (0..4).map(|_| ubusd.client()).collect();
    let object = callers[0].wait_for("latchkey");
    let methods = ["device_list", "pending_list", "realm_list", "profile_list"];
    for _ in 0..20 {
        // The same number from each.
        let seqs: Vec<u16> =
            callers.iter_mut().zip(methods).map(|(caller, method)| caller.begin(object, method, &json!({}))).collect();
        for ((caller, seq), method) in callers.iter_mut().zip(seqs).zip(methods) {
            let list = match method {
                "device_list" => "devices",
                "pending_list" => "pending",
                "realm_list" => "realms",
                _ => "profiles",
            };
            let result = caller.result(seq).unwrap();
            assert!(result[list].is_array(), "{method}: {result}");
        }
    }
}
