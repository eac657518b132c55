//! Literal messages, as name servers send them, and what else can come.

use super::*;
use proptest::prelude::*;

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn question(text: &str, kind: Kind) -> Question {
    Question { name: name(text), kind }
}

/// Octets from hexadecimal digits and, after `'`, characters up to the next space.
pub(crate) fn octets(text: &str) -> Vec<u8> {
    let words = text.split_whitespace().flat_map(|word| match word.strip_prefix('\'') {
        Some(characters) => characters.as_bytes().to_vec(),
        None => {
            let digits: Vec<char> = word.chars().collect();
            let pair = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hex");
            digits.chunks(2).map(pair).collect()
        }
    });
    words.collect()
}

#[test]
fn a_query_to_the_octet() {
    let mut out = vec![1, 2, 3];
    write_query(0xbeef, &question("acme.example", Kind::Naptr), &mut out);
    assert_eq!(out, octets("beef 0100 0001 0000 0000 0000 04 'acme 07 'example 00 0023 0001"));
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
    write_query(1, &question(&longest, Kind::Srv), &mut out);
    assert_eq!(out.len(), 12 + 255 + 4);
}

const NAPTR: &str = "beef 8180 0001 0002 0000 0000 04 'acme 07 'example 00 0023 0001 \
    c00c 0023 0001 00000e10 003d 0032 0032 01 's 17 'aaa+auth:radius.tls.tcp 00 0a '_radiustls 04 '_tcp 04 'acme 07 'example 00 \
    c00c 0023 0001 0000003c 001f 0064 000a 01 'A 0f 'x-eduroam:other 03 'abc 02 'aa c00c";

#[test]
fn naptr() {
    let octets = octets(NAPTR);
    let reply = parse_reply(&octets, 0xbeef, &question("ACME.example", Kind::Naptr));
    let naptr = |order, preference, flags: &str, service: &str, has_regexp, replacement: &str| Data::Naptr {
        order,
        preference,
        flags: flags.into(),
        service: service.into(),
        has_regexp,
        replacement: name(replacement),
    };
    let record = |ttl, data| Record { name: name("acme.example"), ttl, data };
    let records = vec![
        record(3600, naptr(50, 50, "s", "aaa+auth:radius.tls.tcp", false, "_radiustls._tcp.acme.example")),
        record(60, naptr(100, 10, "a", "x-eduroam:other", true, "aa.acme.example")),
    ];
    assert_eq!(reply, Ok(Reply { truncated: false, code: 0, records }));
}

#[test]
fn srv_addresses_and_aliases() {
    let srv = octets(
        "0001 8180 0001 0002 0000 0000 02 '_s 01 'b 00 0021 0001 \
         c00c 0021 0001 ffffffff 000b 0001 0002 0823 02 'aa c00f c00c 0021 0001 00000001 0007 0001 0002 0823 00",
    );
    let data = Data::Srv { priority: 1, weight: 2, port: 2083, target: name("aa.b") };
    let record = Record { name: name("_s.b"), ttl: 0, data };
    let reply = parse_reply(&srv, 1, &question("_s.b", Kind::Srv)).expect("an answer");
    assert_eq!(reply.records, [record], "a TTL beyond 2^31 is 0; the target '.' means that there is none");

    let aliased = octets(
        "0001 8180 0001 0004 0000 0000 02 'aa 01 'b 00 0001 0001 c00c 0005 0001 00000100 0004 01 'c c00f \
         01 'c c00f 0001 0001 00000200 0004 c0000201 01 'c c00f 0001 0001 00000040 0004 c0000202 \
         01 'c c00f 0001 0003 00000040 0004 c0000203",
    );
    let asked = question("aa.b", Kind::A);
    let reply = parse_reply(&aliased, 1, &asked).expect("an answer");
    let addresses = [Data::A([192, 0, 2, 1].into()), Data::A([192, 0, 2, 2].into())];
    let expected = Resolved { name: name("c.b"), ttl: 0x40, records: addresses.iter().collect() };
    assert_eq!(reply.resolve(&asked), Some(expected), "that of another class does not count");

    let six = octets(
        "0001 8180 0001 0001 0000 0000 01 'b 00 001c 0001 c00c 001c 0001 00000040 0010 20010db8 00000000 00000000 00000001",
    );
    let reply = parse_reply(&six, 1, &question("b", Kind::Aaaa)).expect("an answer");
    assert_eq!(reply.records.first().map(|r| &r.data), Some(&Data::Aaaa("2001:db8::1".parse().expect("an address"))));
}

#[test]
fn aliases_in_a_circle_and_aliases_only() {
    let circle = octets(
        "0001 8180 0001 0002 0000 0000 01 'a 01 'x 00 0001 0001 c00c 0005 0001 00000100 0004 01 'b c00e \
         01 'b c00e 0005 0001 00000100 0002 c00c",
    );
    let asked = question("a.x", Kind::A);
    assert_eq!(parse_reply(&circle, 1, &asked).expect("an answer").resolve(&asked), None);
    let only = octets("0001 8180 0001 0001 0000 0000 01 'a 01 'x 00 0001 0001 c00c 0005 0001 00000100 0004 01 'b c00e");
    let reply = parse_reply(&only, 1, &asked).expect("an answer");
    assert_eq!(reply.resolve(&asked), Some(Resolved { name: name("b.x"), ttl: 256, records: vec![] }));
}

#[test]
fn what_is_not_the_answer() {
    let asked = question("acme.example", Kind::Naptr);
    let good = octets(NAPTR);
    assert!(parse_reply(&good, 0xbeef, &asked).is_ok());
    let changed = |at: usize, to: u8| {
        let mut octets = good.clone();
        octets[at] = to;
        octets
    };
    for (what, octets, expected) in [
        ("identifier", changed(0, 0xbf), Ignored::NotOurs),
        ("a query", changed(2, 0x01), Ignored::NotOurs),
        ("another opcode", changed(2, 0x89), Ignored::NotOurs),
        ("no question", changed(5, 0), Ignored::NotOurs),
        ("two questions", changed(5, 2), Ignored::NotOurs),
        ("another name", changed(13, b'b'), Ignored::NotOurs),
        ("another type", changed(27, 33), Ignored::NotOurs),
        ("another class", changed(29, 3), Ignored::NotOurs),
        ("an empty datagram", vec![], Ignored::Malformed),
        ("half a header", good[..11].to_vec(), Ignored::Malformed),
        ("cut off in a record", good[..good.len() - 1].to_vec(), Ignored::Malformed),
        ("more records than there are", changed(7, 3), Ignored::Malformed),
        ("a pointer to itself", changed(31, 30), Ignored::Malformed),
        ("a pointer forwards", changed(31, 60), Ignored::Malformed),
        ("a label type that does not exist", changed(30, 0x80), Ignored::Malformed),
        ("data that ends before its length", changed(41, 0x3e), Ignored::Malformed),
        ("data that ends after its length", changed(41, 0x3c), Ignored::Malformed),
    ] {
        assert_eq!(parse_reply(&octets, 0xbeef, &asked), Err(expected), "{what}");
    }
    let reply = parse_reply(&changed(3, 0x83), 0xbeef, &asked).expect("no such name");
    assert_eq!(reply.code, 3);
    let reply = parse_reply(&changed(2, 0x83), 0xbeef, &asked).expect("truncated");
    assert_eq!((reply.truncated, reply.records.len()), (true, 0));
    let wrong = octets("0001 8180 0001 0001 0000 0000 01 'b 00 0001 0001 c00c 0001 0001 00000040 0005 c000020100");
    assert_eq!(parse_reply(&wrong, 1, &question("b", Kind::A)), Err(Ignored::Malformed), "an address of 5 octets");
}

#[test]
fn names() {
    for good in ["acme.example", "_radiustls._tcp.acme.example", "xn--mnchen-3ya.example", "a", "1.2"] {
        assert_eq!(Name::new(good).map(|name| name.to_string()).as_deref(), Some(good));
    }
    let (long, label) = (format!("{}a", "a.".repeat(127)), "a".repeat(64));
    for bad in ["", ".", "acme.", ".acme", "a..b", "münchen.example", "a b.example", "a\0b", "a/b", &long, &label] {
        assert_eq!(Name::new(bad), None, "{bad}");
    }
    assert!(Name::new(&"a.".repeat(126)[..251]).is_some());
    // Labels with other octets are no error, but name nothing.
    let odd = octets("0001 8180 0001 0001 0000 0000 01 'b 00 0005 0001 c00c 0005 0001 00000040 0006 04 'a/b= 00");
    let asked = Question { name: name("b"), kind: Kind::A };
    let mut odd_a = odd.clone();
    odd_a[16] = 1;
    assert_eq!(parse_reply(&odd_a, 1, &asked).expect("an answer").records, []);
}

#[test]
fn the_number_of_records_is_bounded() {
    let mut many = octets("0001 8180 0001 0400 0000 0000 01 'b 00 0001 0001");
    for _ in 0..0x400 {
        many.extend(octets("c00c 0001 0001 00000040 0004 c0000201"));
    }
    assert_eq!(parse_reply(&many, 1, &question("b", Kind::A)).expect("an answer").records.len(), RECORDS);
}

fn any_name() -> impl Strategy<Value = Name> {
    let label = prop::collection::vec(prop::sample::select(b"abcxyz019-_".to_vec()), 1..=20);
    prop::collection::vec(label, 1..6).prop_map(|labels| {
        let labels: Vec<String> = labels.into_iter().map(|label| String::from_utf8(label).expect("ASCII")).collect();
        name(&labels.join("."))
    })
}

fn any_data() -> impl Strategy<Value = Data> {
    let text = || prop::collection::vec(prop::sample::select(b"abc+:.".to_vec()), 0..40);
    let text = move || text().prop_map(|octets| String::from_utf8(octets).expect("ASCII").into_boxed_str());
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| Data::A(octets.into())),
        any::<[u8; 16]>().prop_map(|octets| Data::Aaaa(octets.into())),
        any_name().prop_map(Data::Cname),
        (any::<[u16; 3]>(), any_name()).prop_map(|([priority, weight, port], target)| Data::Srv {
            priority,
            weight,
            port,
            target
        }),
        (any::<[u16; 2]>(), text(), text(), any::<bool>(), any_name()).prop_map(
            |([order, preference], flags, service, has_regexp, replacement)| Data::Naptr {
                order,
                preference,
                flags,
                service,
                has_regexp,
                replacement
            }
        ),
    ]
}

/// A name with pointers to where its ends were written before.
fn push_name(name: &Name, known: &mut Vec<(String, usize)>, out: &mut Vec<u8>, compress: bool) {
    let mut rest = name.as_str();
    loop {
        if let Some((_, at)) = known.iter().find(|(text, _)| compress && text == rest) {
            return out.extend((0xc000 | *at as u16).to_be_bytes());
        }
        if out.len() < 0x3fff {
            known.push((rest.into(), out.len()));
        }
        let (label, next) = rest.split_once('.').unwrap_or((rest, ""));
        out.push(label.len() as u8);
        out.extend(label.bytes());
        if next.is_empty() {
            return out.push(0);
        }
        rest = next;
    }
}

pub(crate) fn write_reply(question: &Question, reply: &Reply, compress: bool) -> Vec<u8> {
    let (mut out, mut known) = (Vec::new(), Vec::new());
    write_query(7, question, &mut out);
    out.truncate(12);
    out[2..4].copy_from_slice(&[0x81, 0x80 | reply.code]);
    out[6..8].copy_from_slice(&(reply.records.len() as u16).to_be_bytes());
    push_name(&question.name, &mut known, &mut out, compress);
    out.extend(question.kind.number().to_be_bytes());
    out.extend([0, 1]);
    for record in &reply.records {
        push_name(&record.name, &mut known, &mut out, compress);
        let kind = match record.data {
            Data::A(_) => 1u16,
            Data::Aaaa(_) => 28,
            Data::Cname(_) => 5,
            Data::Srv { .. } => 33,
            Data::Naptr { .. } => 35,
        };
        out.extend(kind.to_be_bytes());
        out.extend([0, 1]);
        out.extend(record.ttl.to_be_bytes());
        let length_at = out.len();
        out.extend([0, 0]);
        match &record.data {
            Data::A(address) => out.extend(address.octets()),
            Data::Aaaa(address) => out.extend(address.octets()),
            Data::Cname(target) => push_name(target, &mut known, &mut out, compress),
            Data::Srv { priority, weight, port, target } => {
                [priority, weight, port].into_iter().for_each(|number| out.extend(number.to_be_bytes()));
                push_name(target, &mut known, &mut out, compress);
            }
            Data::Naptr { order, preference, flags, service, has_regexp, replacement } => {
                [order, preference].into_iter().for_each(|number| out.extend(number.to_be_bytes()));
                for text in [&**flags, service, if *has_regexp { "!.*!x!" } else { "" }] {
                    out.push(text.len() as u8);
                    out.extend(text.bytes());
                }
                push_name(replacement, &mut known, &mut out, compress);
            }
        }
        let length = (out.len() - length_at - 2) as u16;
        out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }
    out
}

proptest! {
    /// What was written is read, compressed or not; cut off anywhere it is nothing.
    #[test]
    fn round_trip(
        asked in (any_name(), prop::sample::select(vec![Kind::A, Kind::Aaaa, Kind::Srv, Kind::Naptr])),
        records in prop::collection::vec((any_name(), 0..0x8000_0000u32, any_data()), 0..20),
        compress in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let question = Question { name: asked.0, kind: asked.1 };
        let records = records.into_iter().map(|(name, ttl, data)| Record { name, ttl, data }).collect();
        let reply = Reply { truncated: false, code: 0, records };
        let octets = write_reply(&question, &reply, compress);
        prop_assert_eq!(parse_reply(&octets, 7, &question), Ok(reply));
        let cut = cut.index(octets.len());
        prop_assert_eq!(parse_reply(&octets[..cut], 7, &question), Err(Ignored::Malformed));
    }

    /// Octets of all kinds are read or refused, and aliases followed.
    #[test]
    fn any_octets(tail in prop::collection::vec(any::<u8>(), 0..200), records in any::<u16>(), pointers in any::<bool>()) {
        let question = question("a.b", Kind::A);
        let mut octets = octets("0001 8180 0001 0000 0000 0000 01 'a 01 'b 00 0001 0001");
        octets[6..8].copy_from_slice(&records.to_be_bytes());
        for octet in tail {
            if pointers && octet % 3 == 0 {
                octets.extend([0xc0, octet]);
            } else {
                octets.push(octet);
            }
        }
        if let Ok(reply) = parse_reply(&octets, 1, &question) {
            let _ = reply.resolve(&question);
        }
        let _ = parse_reply(&octets[2..], 1, &question);
    }
}
