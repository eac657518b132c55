//! Lookups against a scripted DNS.

use super::message::tests::{name, octets, write_reply};
use super::message::{Data, Kind, Record, Reply};
use super::*;
use crate::config::{Host, Server, Transport};
use proptest::prelude::*;

const NAPTR_OF_ACME: &str = "81 80 0001 0002 0000 0000 04 'acme 07 'example 00 0023 0001 \
    c00c 0023 0001 00000e10 0031 0032 0032 01 's 17 'aaa+auth:radius.tls.tcp 00 03 'srv 04 'acme 07 'example 00 00 00 00 00";

/// Where an answer comes from for a question.
type Dns = dyn Fn(&str, Kind) -> Option<Reply>;

struct Scene {
    discovery: Discovery,
    now: Instant,
    asked: Vec<(String, Kind)>,
    over: Vec<(String, Result<Vec<Found>, String>)>,
    forgotten: Vec<String>,
    seed: u8,
}

fn section() -> Arc<str> {
    "acme".into()
}

fn random(seed: &mut u8) -> impl FnMut(&mut [u8]) {
    |octets| {
        for octet in octets {
            *seed = seed.wrapping_mul(5).wrapping_add(7);
            *octet = *seed;
        }
    }
}

/// The question in a query that was written by us.
fn question_of(query: &[u8]) -> (String, Kind) {
    let (mut labels, mut at) = (Vec::new(), 12);
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8(query[at + 1..end].to_vec()).expect("ASCII"));
        at = end;
    }
    let kind = match query[at + 2] {
        1 => Kind::A,
        28 => Kind::Aaaa,
        33 => Kind::Srv,
        _ => Kind::Naptr,
    };
    (labels.join("."), kind)
}

impl Scene {
    fn new() -> Scene {
        let patterns = vec![Pattern::Exact("acme.example".into()), Pattern::Below("things.example".into())];
        let own = Own {
            addresses: vec!["192.0.2.99".parse().expect("an address")],
            listen: vec!["0.0.0.0:2083".parse().expect("an address")],
        };
        let discovery = Discovery { realms: vec![(section(), patterns)], own, ..Discovery::default() };
        Scene { discovery, now: Instant::now(), asked: vec![], over: vec![], forgotten: vec![], seed: 1 }
    }

    fn want(&mut self, realm: &str) -> Want {
        self.discovery.want(&section(), realm, self.now)
    }

    /// Takes what is to be done; returns the questions.
    fn poll(&mut self) -> Vec<Ask> {
        let mut asks = Vec::new();
        while let Some(output) = self.discovery.poll(self.now, &mut random(&mut self.seed)) {
            match output {
                Output::Ask(ask) => {
                    self.asked.push(question_of(&ask.octets));
                    asks.push(ask);
                }
                Output::Over((_, realm), found) => {
                    self.over.push((realm.to_string(), found.map_err(|why| why.to_string())));
                }
                Output::Forget((_, realm)) => self.forgotten.push(realm.to_string()),
            }
        }
        asks
    }

    fn answer(&mut self, ask: &Ask, octets: &[u8], tcp: bool) -> Taken {
        self.discovery.answered(ask.serial, octets, tcp, self.now, &mut random(&mut self.seed))
    }

    /// Answers questions until there are no more.
    fn run(&mut self, dns: &Dns) {
        let mut asks = self.poll();
        while let Some(ask) = asks.pop() {
            let (text, kind) = question_of(&ask.octets);
            match dns(&text, kind) {
                Some(reply) => {
                    let mut octets = write_reply(&Question { name: name(&text), kind }, &reply, true);
                    octets[..2].copy_from_slice(&ask.octets[..2]);
                    assert_eq!(self.answer(&ask, &octets, false), Taken::Answer);
                }
                None => self.discovery.silent(ask.serial, self.now, &mut random(&mut self.seed)),
            }
            asks.extend(self.poll());
        }
    }

    /// Looks a realm up: host names and ports in order, or why there are none.
    fn look_up(&mut self, realm: &str, dns: &Dns) -> Result<Vec<(String, u16)>, String> {
        assert_eq!(self.want(realm), Want::Wait);
        self.run(dns);
        let (of, found) = self.over.pop().expect("over");
        assert_eq!(of, realm);
        found.map(|found| {
            let server = |found: Found| match found.server {
                Server { transport: Transport::Radsec, host: Host::Name(name), port } => (name.to_string(), port),
                other => panic!("{other:?}"),
            };
            found.into_iter().map(server).collect()
        })
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.discovery.timeout(self.now);
    }
}

fn records(about: &str, data: Vec<Data>) -> Option<Reply> {
    let record = |data| Record { name: name(about), ttl: 300, data };
    Some(Reply { truncated: false, code: 0, records: data.into_iter().map(record).collect() })
}

fn no_such_name() -> Option<Reply> {
    Some(Reply { truncated: false, code: 3, records: vec![] })
}

fn naptr(order: u16, preference: u16, flags: &str, service: &str, replacement: &str) -> Data {
    let (flags, service, replacement) = (flags.into(), service.into(), name(replacement));
    Data::Naptr { order, preference, flags, service, has_regexp: false, replacement }
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Data {
    Data::Srv { priority, weight, port, target: name(target) }
}

fn address(last: u8) -> Data {
    Data::A([192, 0, 2, last].into())
}

#[test]
fn literal_messages_all_the_way() {
    let mut scene = Scene::new();
    assert_eq!(scene.want("acme.example"), Want::Wait);
    let asks = scene.poll();
    let [ask] = &asks[..] else { panic!("{asks:?}") };
    assert_eq!(ask.octets[2..], octets("0100 0001 0000 0000 0000 04 'acme 07 'example 00 0023 0001"));
    assert_eq!(ask.until, scene.now + DNS_TIMEOUT);
    let with_id = |ask: &Ask, text: &str| [&ask.octets[..2], &octets(text)].concat();
    // Two records are promised: the second one is cut off, so this is nothing yet.
    let short = with_id(ask, NAPTR_OF_ACME);
    assert_eq!(scene.answer(ask, &short, false), Taken::No);
    let one = with_id(
        ask,
        "8180 0001 0001 0000 0000 04 'acme 07 'example 00 0023 0001 c00c 0023 0001 00000e10 \
         0031 0032 0032 01 's 17 'aaa+auth:radius.tls.tcp 00 03 'srv 04 'acme 07 'example 00",
    );
    assert_eq!(scene.answer(ask, &one, false), Taken::Answer);
    assert_eq!(scene.answer(ask, &one, false), Taken::Answer, "once is enough; nobody asks any more");
    let asks = scene.poll();
    let [ask] = &asks[..] else { panic!("{asks:?}") };
    assert_eq!(ask.octets[2..], octets("0100 0001 0000 0000 0000 03 'srv 04 'acme 07 'example 00 0021 0001"));
    let answer = with_id(
        ask,
        "8180 0001 0001 0000 0000 03 'srv 04 'acme 07 'example 00 0021 0001 c00c 0021 0001 00000078 000b 0000 0000 0824 02 'aa c010",
    );
    assert_eq!(scene.answer(ask, &answer, false), Taken::Answer);
    let asks = scene.poll();
    assert_eq!(scene.asked[2..], [("aa.acme.example".to_owned(), Kind::A), ("aa.acme.example".to_owned(), Kind::Aaaa)]);
    let answer = with_id(
        &asks[0],
        "8180 0001 0001 0000 0000 02 'aa 04 'acme 07 'example 00 0001 0001 c00c 0001 0001 00000e10 0004 c0000207",
    );
    assert_eq!(scene.answer(&asks[0], &answer, false), Taken::Answer);
    let nothing = with_id(&asks[1], "8180 0001 0000 0000 0000 02 'aa 04 'acme 07 'example 00 001c 0001");
    assert_eq!(scene.answer(&asks[1], &nothing, false), Taken::Answer);
    assert!(scene.poll().is_empty());
    let server = Server { transport: Transport::Radsec, host: Host::Name("aa.acme.example".into()), port: 2084 };
    let found = Found { server, addresses: vec!["192.0.2.7".parse().expect("an address")] };
    assert_eq!(scene.over, [("acme.example".into(), Ok(vec![found]))]);
    // The shortest TTL of all counts: 120 s.
    scene.pass(119);
    assert_eq!((scene.want("acme.example"), scene.poll()), (Want::Ready, vec![]));
    scene.pass(1);
    assert_eq!(scene.want("acme.example"), Want::Ready, "what is known stays in use");
    assert_eq!(scene.poll().len(), 1, "and is looked up anew");
    assert_eq!((scene.want("acme.example"), scene.poll()), (Want::Ready, vec![]), "once");
}

#[test]
fn the_algorithm() {
    let dns_of = |text: &'static str| -> Box<Dns> {
        Box::new(move |asked, kind| match (text, asked, kind) {
            (_, "a.example" | "b.example" | "c.example", Kind::A) => records(asked, vec![address(1)]),
            (_, "a.example" | "b.example" | "c.example", Kind::Aaaa) => records(asked, vec![]),
            ("naptr s and a", "acme.example", Kind::Naptr) => records(
                asked,
                vec![
                    naptr(20, 1, "a", SERVICE, "c.example"),
                    naptr(10, 2, "S".to_ascii_lowercase().as_str(), SERVICE, "second.example"),
                    naptr(10, 1, "s", SERVICE, "first.example"),
                    naptr(1, 1, "s", "aaa+acct:radius.tls.tcp", "acct.example"),
                    naptr(1, 1, "s", "x-eduroam:radius.tls", "edu.example"),
                    naptr(1, 1, "u", SERVICE, "other.example"),
                ],
            ),
            ("naptr s and a", "first.example", Kind::Srv) => records(asked, vec![srv(1, 1, 1, "a.example")]),
            ("naptr s and a", "second.example", Kind::Srv) => records(asked, vec![srv(0, 1, 2, "b.example")]),
            ("srv fallback", "_radiustls._tcp.acme.example", Kind::Srv) => records(
                asked,
                vec![
                    srv(20, 9, 3, "c.example"),
                    srv(10, 0, 2, "b.example"),
                    srv(10, 1, 1, "a.example"),
                    srv(30, 1, 2, "b.example"),
                    srv(5, 1, 4, "no-address.example"),
                    srv(5, 1, 0, "c.example"),
                ],
            ),
            ("other services only", "acme.example", Kind::Naptr) => {
                records(asked, vec![naptr(1, 1, "s", "aaa+auth:radius.dtls.udp", "dtls.example")])
            }
            ("other services only", "_radiustls._tcp.acme.example", Kind::Srv) => {
                records(asked, vec![srv(1, 1, 9, "a.example")])
            }
            ("a", "acme.example", Kind::Naptr) => records(asked, vec![naptr(1, 1, "a", SERVICE, "a.example")]),
            ("one of two", "_radiustls._tcp.acme.example", Kind::Srv) => {
                records(asked, vec![srv(1, 1, 1, "silent.example"), srv(2, 1, 2, "a.example")])
            }
            (_, "silent.example", _) => None,
            ("servfail", "acme.example", _) => Some(Reply { truncated: false, code: 2, records: vec![] }),
            ("refused", "acme.example", _) => Some(Reply { truncated: false, code: 5, records: vec![] }),
            ("silent", "acme.example", _) => None,
            ("silent srv", "_radiustls._tcp.acme.example", Kind::Srv) => None,
            ("no address", "_radiustls._tcp.acme.example", Kind::Srv) => {
                records(asked, vec![srv(1, 1, 1, "no-address.example")])
            }
            ("ourselves", "_radiustls._tcp.acme.example", Kind::Srv) => {
                records(asked, vec![srv(1, 1, 1, "a.example"), srv(2, 1, 2083, "self.example")])
            }
            ("on another port", "_radiustls._tcp.acme.example", Kind::Srv) => {
                records(asked, vec![srv(2, 1, 2084, "self.example")])
            }
            (_, "self.example", Kind::A) => records(asked, vec![address(99)]),
            ("naptr to nothing", "acme.example", Kind::Naptr) => {
                records(asked, vec![naptr(1, 1, "s", SERVICE, "nothing.example")])
            }
            _ => no_such_name(),
        })
    };
    let at = |list: &[(&str, u16)]| Ok(list.iter().map(|(host, port)| (host.to_string(), *port)).collect::<Vec<_>>());
    for (what, expected) in [
        ("naptr s and a", at(&[("a.example", 1), ("b.example", 2), ("c.example", 2083)])),
        ("srv fallback", at(&[("a.example", 1), ("b.example", 2), ("c.example", 3)])),
        ("other services only", at(&[("a.example", 9)])),
        ("a", at(&[("a.example", 2083)])),
        ("one of two", at(&[("a.example", 2)])),
        ("on another port", at(&[("self.example", 2084)])),
        ("nothing at all", Err("names no RadSec server for 'acme.example'")),
        ("naptr to nothing", Err("names no RadSec server for 'acme.example'")),
        ("servfail", Err("DNS answered SERVFAIL")),
        ("refused", Err("DNS answered REFUSED")),
        ("silent", Err("DNS did not answer when asked")),
        ("silent srv", Err("DNS did not answer when asked")),
        ("no address", Err("names no-address.example as server of 'acme.example', but no address")),
        ("ourselves", Err("this very host (192.0.2.99:2083)")),
    ] {
        let mut scene = Scene::new();
        match (scene.look_up("acme.example", &*dns_of(what)), expected) {
            (Err(got), Err(words)) => {
                assert!(got.contains(words), "{what}: {got}");
                assert_eq!(scene.want("acme.example"), Want::Failed(got.into()), "{what}: at once");
                assert!(scene.poll().is_empty());
            }
            (got, expected) => assert_eq!(got, expected.map_err(str::to_owned), "{what}"),
        }
    }
}

#[test]
fn an_alias_is_followed_and_a_chain_ends() {
    let dns: &Dns = &|asked, kind| match (asked, kind) {
        ("_radiustls._tcp.acme.example", Kind::Srv) => {
            records(asked, vec![srv(1, 1, 1, "a.example"), srv(2, 1, 2, "c0.example")])
        }
        ("a.example", _) => records(asked, vec![Data::Cname(name("b.example"))]),
        ("b.example", Kind::A) => records(asked, vec![address(1)]),
        _ => match asked.strip_prefix('c').and_then(|rest| rest.strip_suffix(".example")) {
            Some(number) => {
                let number: u32 = number.parse().expect("a number");
                records(asked, vec![Data::Cname(name(&format!("c{}.example", number + 1)))])
            }
            None => no_such_name(),
        },
    };
    let mut scene = Scene::new();
    assert_eq!(scene.look_up("acme.example", dns), Ok(vec![("a.example".into(), 1)]));
    let chain = scene.asked.iter().filter(|(name, kind)| name.starts_with('c') && *kind == Kind::A).count();
    assert_eq!(chain, 5, "the name itself and four aliases");
}

#[test]
fn weights_are_shares() {
    let dns: &Dns = &|asked, kind| match (asked, kind) {
        ("_radiustls._tcp.acme.example", Kind::Srv) => {
            records(asked, vec![srv(1, 10, 1, "a.example"), srv(1, 30, 2, "a.example"), srv(1, 0, 3, "a.example")])
        }
        ("a.example", Kind::A) => records(asked, vec![address(1)]),
        _ => no_such_name(),
    };
    let mut first = [0; 4];
    let mut seed = 12345u64;
    for _ in 0..2000 {
        let mut scene = Scene::new();
        // xorshift: the generator of the other tests has a short period.
        (seed, scene.seed) = (seed ^ seed << 13, 0);
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let mut stream = seed;
        assert_eq!(scene.want("acme.example"), Want::Wait);
        let mut random = |octets: &mut [u8]| {
            for octet in octets {
                stream ^= stream << 13;
                stream ^= stream >> 7;
                stream ^= stream << 17;
                *octet = (stream >> 24) as u8;
            }
        };
        let mut asks: Vec<Ask> = Vec::new();
        let found = loop {
            match scene.discovery.poll(scene.now, &mut random) {
                Some(Output::Ask(ask)) => asks.push(ask),
                Some(Output::Over(_, found)) => break found.expect("servers"),
                Some(Output::Forget(key)) => panic!("{key:?}"),
                None => {
                    let ask = asks.pop().expect("a question");
                    let (text, kind) = question_of(&ask.octets);
                    let reply = dns(&text, kind).expect("an answer");
                    let mut octets = write_reply(&Question { name: name(&text), kind }, &reply, false);
                    octets[..2].copy_from_slice(&ask.octets[..2]);
                    scene.discovery.answered(ask.serial, &octets, false, scene.now, &mut random);
                }
            }
        };
        first[usize::from(found[0].server.port)] += 1;
        assert_eq!(found[2].server.port, 3, "weight 0 comes last");
    }
    assert!((400..600).contains(&first[1]), "a quarter of 2000: {first:?}");
}

#[test]
fn strangers_do_not_send_us_where_no_server_of_others_can_be() {
    let dns = |addresses: Vec<Data>| {
        move |about: &str, kind: Kind| match kind {
            Kind::Naptr => records(about, vec![naptr(1, 1, "a", SERVICE, "aaa.things.example")]),
            Kind::A => records(about, addresses.clone()),
            _ => no_such_name(),
        }
    };
    let at = |last: [u8; 4]| Data::A(last.into());
    for bad in [[127, 0, 0, 1], [0, 0, 0, 0], [0, 1, 2, 3], [169, 254, 1, 1], [224, 0, 0, 1], [255, 255, 255, 255]] {
        let mut scene = Scene::new();
        scene.discovery.set_own(Own::default());
        let why = scene.look_up("lamp.things.example", &dns(vec![at(bad)])).unwrap_err();
        assert!(why.contains("where no server of others can be"), "{why}");
        scene.look_up("acme.example", &dns(vec![at(bad)])).expect("the configuration names the realm");
    }
    for bad in ["::", "::1", "fe80::1", "ff02::1", "::ffff:127.0.0.1"] {
        assert!(is_nowhere(bad.parse().unwrap()), "{bad}");
    }
    assert!(!["2001:db8::1", "fd00::1", "10.0.0.1"].iter().any(|good| is_nowhere(good.parse().unwrap())));
    // The good one is used, and it only: nobody is asked again.
    let mut scene = Scene::new();
    let found = scene.look_up("lamp.things.example", &dns(vec![at([127, 0, 0, 1]), address(7)])).unwrap();
    let server = |port| Server { transport: Transport::Radsec, host: Host::Name("aaa.things.example".into()), port };
    let told = |realm: &str, port| scene.discovery.addresses(&section(), realm, &server(port)).to_vec();
    assert_eq!(told("lamp.things.example", found[0].1), ["192.0.2.7".parse::<IpAddr>().unwrap()]);
    assert!(told("lamp.things.example", 1).is_empty() && told("acme.example", found[0].1).is_empty());
}

#[test]
fn only_realms_of_the_configuration() {
    let mut scene = Scene::new();
    for realm in ["example", "beta.example", "sub.acme.example", "things.example", ".things.example", "xthings.example"]
    {
        let Want::Failed(why) = scene.want(realm) else { panic!("{realm}") };
        assert!(why.contains("config realm 'acme' looks up no servers"), "{why}");
    }
    let Want::Failed(why) = scene.want("ü.things.example") else { panic!() };
    assert!(why.contains("xn--"), "{why}");
    let elsewhere = scene.discovery.want(&"beta".into(), "acme.example", scene.now);
    assert!(matches!(elsewhere, Want::Failed(_)));
    assert_eq!((scene.poll(), scene.discovery.entries.len()), (vec![], 0));
    assert_eq!(scene.want("lamp.things.example"), Want::Wait);
    assert_eq!(scene.want("xn--mnchen-3ya.things.example"), Want::Wait);
    scene.poll();
    assert_eq!(scene.asked[0], ("lamp.things.example".into(), Kind::Naptr), "exactly the realm");
}

#[test]
fn in_vain_is_remembered_and_silence_for_a_shorter_time() {
    let mut scene = Scene::new();
    let nothing: &Dns = &|_, _| no_such_name();
    assert!(scene.look_up("acme.example", nothing).is_err());
    scene.pass(599);
    assert!(matches!(scene.want("acme.example"), Want::Failed(_)));
    scene.pass(1);
    assert_eq!(scene.want("acme.example"), Want::Wait);

    let mut scene = Scene::new();
    let mut waits = Vec::new();
    for _ in 0..9 {
        assert_eq!(scene.want("acme.example"), Want::Wait);
        assert_eq!(scene.poll().len(), 1);
        scene.pass(2);
        assert_eq!(scene.over, []);
        scene.pass(1);
        scene.poll();
        let (_, result) = scene.over.pop().expect("three seconds have passed");
        assert!(result.is_err_and(|why| why.contains("is the uplink there")));
        let mut wait = 0;
        while matches!(scene.want("acme.example"), Want::Failed(_)) {
            scene.pass(10);
            wait += 10;
        }
        // Asking has begun anew, which the next turn takes up.
        scene.discovery.entries.values_mut().for_each(|entry| entry.state = State::Bad("".into(), scene.now));
        scene.discovery.to_begin.clear();
        waits.push(wait);
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
}

#[test]
fn known_servers_outlast_a_silent_dns_for_a_day() {
    let mut scene = Scene::new();
    let good: &Dns = &|asked, kind| match (asked, kind) {
        ("acme.example", Kind::Naptr) => records(asked, vec![naptr(1, 1, "a", SERVICE, "a.example")]),
        ("a.example", Kind::A) => records(asked, vec![address(1)]),
        _ => no_such_name(),
    };
    let (silent, nothing): (&Dns, &Dns) = (&|_, _| None, &|_, _| no_such_name());
    assert!(scene.look_up("acme.example", good).is_ok());
    for _ in 0..20 {
        scene.pass(3600);
        assert_eq!(scene.want("acme.example"), Want::Ready);
        scene.run(silent);
        assert_eq!(scene.over, [], "nothing has changed");
    }
    scene.pass(5 * 3600);
    assert_eq!(scene.want("acme.example"), Want::Ready);
    scene.run(silent);
    assert!(matches!(scene.over.pop(), Some((_, Err(_)))), "the engine is told");
    assert!(matches!(scene.want("acme.example"), Want::Failed(_)));
    // But what DNS says counts at once.
    let mut scene = Scene::new();
    assert!(scene.look_up("acme.example", good).is_ok());
    scene.pass(301);
    assert_eq!(scene.want("acme.example"), Want::Ready);
    scene.run(nothing);
    assert!(matches!(scene.over.pop(), Some((_, Err(_)))));
    assert!(matches!(scene.want("acme.example"), Want::Failed(_)));
}

#[test]
fn what_does_not_fit_is_asked_for_over_tcp() {
    let mut scene = Scene::new();
    scene.want("acme.example");
    let ask = scene.poll().remove(0);
    let mut octets = ask.octets.clone();
    octets[2..4].copy_from_slice(&[0x83, 0x80]);
    assert_eq!(scene.answer(&ask, &octets, false), Taken::Truncated);
    let mut forged = octets.clone();
    forged[0] ^= 1;
    assert_eq!(scene.answer(&ask, &forged, false), Taken::No);
    assert_eq!(scene.answer(&ask, &octets, true), Taken::Answer, "cut off there, too: no answer");
    scene.poll();
    assert!(scene.over[0].1.as_ref().is_err_and(|why| why.contains("did not answer")));
}

#[test]
fn lookups_and_memory_are_bounded() {
    let mut scene = Scene::new();
    for n in 0..LOOKUPS {
        assert_eq!(scene.want(&format!("r{n}.things.example")), Want::Wait);
    }
    let Want::Failed(why) = scene.want("more.things.example") else { panic!("too many") };
    assert!(why.contains("32 other realms"), "{why}");
    assert_eq!(scene.poll().len(), LOOKUPS);
    scene.pass(3);
    scene.poll();
    assert_eq!(scene.over.len(), LOOKUPS);
    scene.over.clear();
    let good: &Dns = &|asked, kind| match kind {
        Kind::Naptr => records(asked, vec![naptr(1, 1, "a", SERVICE, "a.example")]),
        Kind::A => records(asked, vec![address(1)]),
        _ => no_such_name(),
    };
    for n in 0..REALMS + 6 {
        scene.now += Duration::from_millis(1);
        assert!(scene.look_up(&format!("s{n}.things.example"), good).is_ok());
    }
    assert_eq!(scene.discovery.entries.len(), REALMS);
    let expected: Vec<String> = (0..6).map(|n| format!("s{n}.things.example")).collect();
    assert_eq!(scene.forgotten, expected, "those without servers went first, then who was wanted longest ago");
    let hosts: &Dns = &|asked, kind| match kind {
        Kind::Srv => records(asked, (1..60).map(|n| srv(1, 1, n, &format!("h{n}.example"))).collect()),
        Kind::A => records(asked, (1..60).map(address).collect()),
        _ => no_such_name(),
    };
    assert_eq!(scene.look_up("acme.example", hosts).map(|found| found.len()), Ok(8));
}

#[test]
fn a_realm_that_leaves_the_configuration_is_forgotten() {
    let mut scene = Scene::new();
    let good: &Dns = &|asked, kind| match kind {
        Kind::Naptr => records(asked, vec![naptr(1, 1, "a", SERVICE, "a.example")]),
        Kind::A => records(asked, vec![address(1)]),
        _ => no_such_name(),
    };
    assert!(scene.look_up("acme.example", good).is_ok());
    scene.want("a.things.example");
    let ask = scene.poll().remove(0);
    scene.discovery.configure(&[]);
    assert_eq!(scene.poll(), vec![]);
    assert_eq!(scene.forgotten, ["acme.example"]);
    assert!(scene.over.iter().any(|(realm, result)| realm == "a.things.example" && result.is_err()));
    assert_eq!(scene.answer(&ask, &ask.octets.clone(), false), Taken::Answer, "nobody wants it any more");
    assert!(scene.discovery.entries.is_empty() && scene.discovery.running.is_empty());
}

proptest! {
    /// Whatever DNS says, each lookup ends, within its time.
    #[test]
    fn every_lookup_ends(
        answers in prop::collection::vec((0u8..6, 0u16..4, 0u8..4), 0..80),
        data in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut scene = Scene::new();
        scene.want("acme.example");
        let mut asks = scene.poll();
        for (what, number, host) in answers {
            let Some(ask) = asks.pop() else { break };
            let (text, kind) = question_of(&ask.octets);
            let target = format!("h{host}.example");
            let reply = match what {
                0 => None,
                1 => records(&text, vec![naptr(number, 1, "s", SERVICE, &target), naptr(1, 1, "a", SERVICE, &text)]),
                2 => records(&text, vec![srv(number, number, number, &target)]),
                3 => records(&text, vec![Data::Cname(name(&target))]),
                4 => records(&text, vec![address(host), Data::Aaaa([host; 16].into())]),
                _ => Some(Reply { truncated: false, code: host, records: vec![] }),
            };
            match reply {
                Some(reply) => {
                    let mut octets = write_reply(&Question { name: name(&text), kind }, &reply, true);
                    octets[..2].copy_from_slice(&ask.octets[..2]);
                    prop_assert_eq!(scene.answer(&ask, &octets, false), Taken::Answer);
                }
                None => scene.discovery.silent(ask.serial, scene.now, &mut random(&mut scene.seed)),
            }
            asks.extend(scene.poll());
        }
        prop_assert!(scene.asked.len() < 1 + 4 + 16 + 21 * 4);
        scene.pass(3);
        scene.poll();
        prop_assert_eq!(scene.over.len(), 1);
        prop_assert!(scene.discovery.running.is_empty() && scene.discovery.next_timeout().is_none());
        fuzz(&data);
    }
}
