//! For the fuzzer: what a server that has the secret can send.

use super::{receive_udp, request::Wanted};
use crate::config::Config;
use crate::mac::MacAddr;
use crate::registry::Registry;
use crate::secret::RadiusSecret;
use crate::service::grants::Vouched;
use crate::service::sessions::{Session, SessionKey};
use crate::service::{Core, Now};
use crate::time::UnixTime;
use crate::wire::radius::{AttributeType, Builder, Packet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

pub(super) const CONFIG: &str = "
config client 'ap2'
	option address '192.0.2.7'
	option secret 'secret of the fuzzer'
	option disconnect_port '3799'
config profile 'iot'
	option vlan '20'
config ssid
	option ssid 'Home'
config realm 'acme'
	list realm 'acme.example'
	list server 'udp://192.0.2.1'
	option secret 'secret of the fuzzer'
	option profile 'iot'
";

/// Each request begins with an octet of flags (0x01: a CoA-Request) and two with the number of octets of attributes.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let Ok(config) = Config::parse(CONFIG) else { return };
    let mut now = Now { wall: UnixTime(1_800_000_000), mono: Instant::now() };
    let mut core = Core::new(config.into(), Registry::default(), now, Box::new(|_| ()), Instant::now, Box::new(|_| ()));
    let mac = MacAddr([2, 0, 0, 0, 0, 1]);
    for (client, id) in [("ap2", b"1"), ("gone", b"2")] {
        let session = Session {
            device: None,
            bssid: None,
            ssid: b"Home"[..].into(),
            nas: client.into(),
            multi_id: b"multi"[..].into(),
            nas_identifier: b"attic"[..].into(),
            from: IpAddr::from([192, 0, 2, 7]),
            vlan: Some(20),
            profile: None,
            vouched: Some(
                Vouched {
                    realm: "acme".into(),
                    user_name: b"cam"[..].into(),
                    accepted_name: None,
                    cui: None,
                    class: Some(b"c"[..].into()),
                }
                .into(),
            ),
            proved: true,
            since: now.wall,
            updated: now.wall,
            bytes_in: 0,
            bytes_out: 0,
            address: None,
        };
        core.sessions.update(SessionKey { client: client.into(), id: id[..].into(), mac }, session);
    }
    let secret = RadiusSecret::new(b"secret of the fuzzer");
    let from = SocketAddr::from(([192, 0, 2, 1], 40000));
    let (mut data, mut datagram, mut out) = (data, Vec::new(), Vec::new());
    while let [flags, high, low, rest @ ..] = data {
        let (attributes, rest) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(rest.len()));
        data = rest;
        let mut builder = match flags & 1 {
            0 => Builder::disconnect_request(*low, &secret, &mut datagram),
            _ => Builder::coa_request(*low, &secret, &mut datagram),
        };
        let mut left = attributes;
        while let [kind, length, rest @ ..] = left {
            let (value, rest) = rest.split_at(usize::from(*length).min(rest.len()));
            left = rest;
            let _ = builder.push(AttributeType(*kind), value);
        }
        builder.finish();
        // And what nobody has signed.
        let _ = Packet::parse(attributes).map(|packet| Wanted::read(&packet).is_ok());
        if receive_udp(&mut core, from.into(), &datagram, now, &mut out) {
            let answer = Packet::parse(&out);
            assert!(answer.is_ok_and(|answer| answer.code().is_reply() && answer.identifier() == *low));
        }
        now.mono += Duration::from_millis(200);
        let _ = core.send_disconnects(now, |_, _| true);
        core.step_dynauth(now);
        while core.dynauth.take_answer().is_some() {}
    }
    now.mono += Duration::from_secs(2);
    core.step_dynauth(now);
    assert!(core.dynauth.work.is_empty());
}
