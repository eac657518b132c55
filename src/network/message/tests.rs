use super::*;
use proptest::prelude::*;

fn nla(kind: u16, value: &[u8]) -> Vec<u8> {
    octets(&DefaultNla::new(kind, value.to_vec()))
}

fn link_body(index: u32, flags: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![0, 0, 1, 0];
    body.extend(index.to_ne_bytes());
    body.extend(flags.to_ne_bytes());
    body.extend(0u32.to_ne_bytes());
    body.extend(attributes.concat());
    body
}

#[cfg(target_endian = "little")]
#[test]
fn requests_octet_for_octet() {
    // As ip link add br type bridge forward_delay 0 sends it, but for the order.
    let bridge = new_bridge("br").to_octets(7);
    let expected: &[u8] = b"\x44\0\0\0\x10\0\x05\x06\x07\0\0\0\0\0\0\0\
        \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
        \x07\0\x03\0br\0\0\
        \x1c\0\x12\x80\x0b\0\x01\0bridge\0\0\x0c\0\x02\x80\x08\0\x01\0\0\0\0\0";
    assert_eq!(bridge, expected);
    let port = set_port(5, Some(false), None);
    let expected: &[u8] = b"\0\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\
        \x1c\0\x12\x80\x0b\0\x04\0bridge\0\0\x0c\0\x05\x80\x05\0\x09\0\0\0\0\0";
    assert_eq!((port.kind, port.flags, &*port.body), (16, 5, expected));
    let address = new_address(5, "192.0.2.1/24".parse().unwrap());
    let expected: &[u8] =
        b"\x02\x18\0\0\x05\0\0\0\x08\0\x02\0\xc0\0\x02\x01\x08\0\x01\0\xc0\0\x02\x01\x05\0\x0b\0\x6c\0\0\0";
    assert_eq!((address.kind, address.flags, &*address.body), (20, 0x605, expected));
    let up = set_up(5);
    assert_eq!(up.body, *b"\0\0\0\0\x05\0\0\0\x01\0\0\0\x01\0\0\0");
}

#[test]
fn interfaces() {
    let vlan = [nla(1, b"vlan\0"), nla(2 | NLA_F_NESTED, &nla(1, &20u16.to_ne_bytes()))].concat();
    let port = [nla(9, &[0]), nla(33, &[1])].concat();
    let info = [vlan, nla(4, b"bridge\0"), nla(5, &port)].concat();
    let attributes = [
        nla(IFLA_IFNAME, b"eth0.20\0"),
        // Unknown, and known to be of another length: neither hides the interface.
        nla(999, b"?"),
        nla(IFLA_MASTER, b"xx"),
        nla(IFLA_MASTER, &9u32.to_ne_bytes()),
        nla(IFLA_LINK, &2u32.to_ne_bytes()),
        nla(IFLA_IFALIAS, b"latchkey"),
        nla(IFLA_LINKINFO | NLA_F_NESTED, &info),
    ];
    let expected = Link {
        name: "eth0.20".into(),
        kind: Kind::Vlan { id: 20, parent: 2 },
        up: true,
        ours: true,
        master: Some(9),
        port: Some(Port { flood: false, isolated: true }),
    };
    let body = link_body(4, 1, &attributes);
    assert_eq!(link(&body), Some((4, expected)));
    let bridge =
        [nla(IFLA_IFNAME, b"br0\0"), nla(IFLA_LINKINFO, &nla(1, b"bridge\0")), nla(IFLA_IFALIAS, b"latchkeys\0")];
    let (_, bridge) = link(&link_body(5, 0, &bridge)).unwrap();
    assert_eq!((bridge.kind, bridge.up, bridge.ours, bridge.port), (Kind::Bridge, false, false, None));
    // AF_BRIDGE: a bridge tells of a port.
    let of_bridge = [&[7], &body[1..]].concat();
    assert_eq!(link(&of_bridge), None);
    assert_eq!(link(&link_body(5, 0, &[])), None, "no name");
}

#[test]
fn addresses() {
    let body = |family: u8, attributes: &[Vec<u8>]| {
        let mut body = vec![family, 24, 0, 0];
        body.extend(3u32.to_ne_bytes());
        body.extend(attributes.concat());
        body
    };
    let v4 = address(&body(2, &[nla(1, &[192, 0, 2, 9]), nla(2, &[192, 0, 2, 1]), nla(11, &[0x6c])])).unwrap();
    assert_eq!((v4.link, v4.address.to_string(), v4.ours), (3, "192.0.2.1/24".into(), true));
    let v6 =
        address(&body(10, &[nla(1, &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]), nla(11, &[2])])).unwrap();
    assert_eq!((v6.address.to_string(), v6.ours), ("fd00::1/24".into(), false));
    assert_eq!(address(&body(2, &[nla(1, &[192, 0, 2])])), None);
}

#[test]
fn default_routes() {
    let body = |length: u8, table: u8, kind: u8, attributes: &[Vec<u8>]| {
        let mut body = vec![2, length, 0, 0, table, 3, 0, kind, 0, 0, 0, 0];
        body.extend(attributes.concat());
        body
    };
    let via = |index: u32| nla(RTA_OIF, &index.to_ne_bytes());
    assert_eq!(default_route(&body(0, 254, 1, &[via(3)])), [3]);
    assert_eq!(default_route(&body(24, 254, 1, &[via(3)])), [0; 0], "no default route");
    assert_eq!(default_route(&body(0, 100, 1, &[via(3)])), [0; 0], "of another table");
    assert_eq!(default_route(&body(0, 254, 1, &[via(3), nla(15, &1000u32.to_ne_bytes())])), [0; 0]);
    assert_eq!(default_route(&body(0, 254, 7, &[via(1)])), [0; 0], "unreachable");
    let hop = |index: u32, more: &[u8]| {
        let mut hop = (8 + more.len() as u16).to_ne_bytes().to_vec();
        hop.extend([0, 0]);
        hop.extend(index.to_ne_bytes());
        hop.extend_from_slice(more);
        hop
    };
    let hops = [hop(3, &nla(5, &[192, 0, 2, 1])), hop(4, &[])].concat();
    assert_eq!(default_route(&body(0, 254, 1, &[nla(RTA_MULTIPATH, &hops)])), [3, 4]);
    assert_eq!(default_route(&body(0, 254, 1, &[nla(RTA_MULTIPATH, &hops[..20])])), [3], "cut short");
    assert!(is_default_route(&body(0, 254, 1, &[])) && !is_default_route(&body(8, 254, 1, &[])));
}

#[test]
fn neighbours() {
    let body = |state: u16, flags: u8, attributes: &[Vec<u8>]| {
        let mut body = vec![2, 0, 0, 0, 3, 0, 0, 0];
        body.extend(state.to_ne_bytes());
        body.extend([flags, 1]);
        body.extend(attributes.concat());
        body
    };
    let both = [nla(1, &[192, 0, 2, 9]), nla(2, &[2, 0, 0, 0, 0, 9])];
    let expected = Some((MacAddr([2, 0, 0, 0, 0, 9]), "192.0.2.9".parse().unwrap()));
    for (state, there) in
        [(2, true), (4, true), (8, true), (0x10, true), (0x80, true), (1, false), (0x20, false), (0x40, false)]
    {
        assert_eq!(neighbour(&body(state, 0, &both)), expected.filter(|_| there), "state {state:#x}");
    }
    assert_eq!(neighbour(&body(2, 8, &both)), None, "one we answer for");
    assert_eq!(neighbour(&body(2, 0, &both[..1])), None);
    assert_eq!(neighbour(&body(2, 0, &[nla(1, &[192, 0, 2, 9]), nla(2, &[0; 20])])), None, "InfiniBand");
}

#[test]
fn answers() {
    let message = |flags: u16, body: &[u8]| {
        let request = Request { kind: ERROR, flags, body: body.to_vec() };
        let octets = request.to_octets(7);
        let mut messages = Messages(&octets);
        let message = messages.next().unwrap();
        assert_eq!((message.sequence, messages.next()), (7, None));
        message.error()
    };
    let body =
        |code: i32, length: u32, more: &[u8]| [&code.to_ne_bytes()[..], &length.to_ne_bytes(), &[0; 12], more].concat();
    assert_eq!(message(0, &body(0, 16, &[])), (0, None));
    assert_eq!(message(0, &body(-1, 16, &[])), (1, None));
    let words = nla(1, b"Unknown device type\0");
    let expected = (95, Some("Unknown device type".into()));
    assert_eq!(message(0x300, &body(-95, 32, &words)), expected, "only the header of the request");
    let whole = [&[0; 16][..], &words].concat();
    assert_eq!(message(0x200, &body(-95, 32, &whole)), expected, "with all of the request");
    assert_eq!(message(0x200, &body(-95, u32::MAX, &words)), (95, None));
    assert_eq!(message(0x200, &[]), (0, None));
}

#[test]
fn several_messages_in_a_datagram() {
    let one = Request { kind: NEW_LINK, flags: 2, body: vec![1, 2, 3] }.to_octets(1);
    let two = Request { kind: DONE, flags: INTERRUPTED, body: vec![] }.to_octets(1);
    let mut both = one;
    both.push(0);
    both.extend(two);
    let seen: Vec<_> = Messages(&both).map(|m| (m.kind, m.body.len(), m.is_interrupted())).collect();
    assert_eq!(seen, [(NEW_LINK, 3, false), (DONE, 0, true)]);
    assert_eq!(Messages(&both[..both.len() - 1]).count(), 1);
}

proptest! {
    #[test]
    fn nothing_the_kernel_says_is_too_much(mut octets in proptest::collection::vec(any::<u8>(), 0..200), fitting: bool) {
        if fitting && octets.len() >= 18 {
            let length = octets.len() as u32;
            octets[..4].copy_from_slice(&length.to_ne_bytes());
            let inner = (octets.len() - 16) as u16;
            octets[16..18].copy_from_slice(&inner.to_ne_bytes());
        }
        for message in Messages(&octets) {
            let _ = (message.error(), message.is_interrupted());
        }
        let _ = (link(&octets), address(&octets), default_route(&octets), neighbour(&octets), is_default_route(&octets));
        let _ = (super::super::nl80211::ap_vlan(&octets), super::super::nl80211::family(&octets));
    }
}
