//! For the fuzzer: what a client that has the secret can send, and a server that has it can answer.

use super::{
    Errand, Next, Origin, Packet, Returned, Verdict, errand, receive_accounting, receive_answer, receive_auth, resume,
    settle,
};
use crate::config::Config;
use crate::decision::{Proof, Window};
use crate::mac::MacAddr;
use crate::registry::Registry;
use crate::registry::credential::{EapCredentials, EapPsk};
use crate::registry::device::{Bind, BoundMac, Change, Device, DeviceId};
use crate::secret::{EapPskKey, Passphrase, RadiusSecret};
use crate::service::{Core, Now};
use crate::time::UnixTime;
use crate::wire::radius::verify_request_authenticator;
use hmac::Mac;
use md5::{Digest, Md5};
use std::time::{Duration, Instant};

const SECRET: &[u8] = b"fuzz";
const CONFIG: &str = "
config client 'nas'
	option address '127.0.0.1'
	option secret 'fuzz'
	option message_authenticator 'optional'
	option disconnect_port '3799'
config profile 'iot'
	option vlan '20'
config ssid
	option ssid 'Home'
	option unknown 'quarantine'
	option quarantine_profile 'iot'
	option onboarding_key 'come in and find out'
config ssid
	option security 'wired'
config ssid
	option ssid 'Pair'
	option unknown 'pairing'
	option onboarding_key 'knock three times'
config ssid
	option ssid 'Online'
config realm 'acme'
	list realm 'acme.example'
	list server 'udp://192.0.2.1'
	option secret 'fuzz'
	option profile 'iot'
	option admit 'all'
	option mac 'pseudonym'
config realm 'online'
	list realm 'default'
	list server 'udp://192.0.2.2'
	list server 'udp://192.0.2.3'
	option secret 'fuzz'
	option profile 'iot'
	option placement 'server'
	option last_good '3600'
";

/// One octet says which port and what servers answer, two how many octets of attributes follow; and so on.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let Ok(config) = Config::parse(CONFIG) else { return };
    let mut now = Now { wall: UnixTime(1_800_000_000), mono: Instant::now() };
    let bound = BoundMac { mac: MacAddr([2, 0, 0, 0, 0, 1]), proved: false, since: UnixTime(1) };
    let device = |id: u32, macs| Device {
        id: DeviceId(id),
        name: format!("device-{id}").into(),
        profile: "iot".into(),
        key: Passphrase::new("a key for the fuzzer").ok(),
        key_serial: 1,
        bind: Bind::First,
        max_devices: 1,
        macs,
        expires: None,
        blocked: false,
        created: UnixTime(1),
        eap: None,
        places: Vec::new(),
    };
    let psk = EapPsk { nai: "dev1@psk.example".into(), key: EapPskKey::new(std::array::from_fn(|n| n as u8)) };
    let eap = Some(Box::new(EapCredentials { psk: Some(psk), certificates: Vec::new(), serial: 1 }));
    let registry =
        Registry::load(vec![device(1, vec![bound]), Device { eap, ..device(2, vec![]) }], vec![], vec![], DeviceId(3));
    let (random, secret) = (Box::new(|octets: &mut [u8]| octets.fill(7)), RadiusSecret::new(SECRET));
    let mut core = Core::new(config.into(), registry, now, random, Instant::now, Box::new(|_| ()));
    let window = Window { profile: "iot".into(), ssid: None, name: None };
    core.pairing.open(window, Duration::from_secs(30), now);
    let (mut rest, mut out) = (data, Vec::new());
    for identifier in 0..8 {
        let Some(([accounting, high, low], after)) = rest.split_first_chunk() else { return };
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(after.len()).min(4058);
        let (attributes, after) = after.split_at(length);
        rest = after;
        let packet = request(identifier, *accounting, attributes, &secret);
        let from = std::net::SocketAddr::from(([127, 0, 0, 1], 40000));
        let next = if accounting & 1 == 0 {
            receive_auth(&mut core, from, &packet, now, &mut out)
        } else {
            receive_accounting(&mut core, from, &packet, now, &mut out)
        };
        carry_out(&mut core, next, now, &mut out);
        let code = [2, 3, 11, 5].get(usize::from(accounting >> 2 & 3)).copied().unwrap_or_default();
        serve(&mut core, code, attributes, now, &mut out);
        // What other boxes are asked, and an answer that is as likely as not to be one.
        if identifier == 4
            && let Some(device) = core.registry.get(DeviceId(1)).cloned()
        {
            core.apply(&[Change::Put(vec![Device { blocked: true, ..device }])]);
        }
        let mut asked = Vec::new();
        core.send_disconnects(now, |to, request| {
            assert!(Packet::parse(request).is_ok_and(|request| verify_request_authenticator(&request, &secret)));
            asked.push((to.clone(), request.get(1).copied().unwrap_or_default()));
            true
        });
        for (to, id) in asked {
            let mut answer = packet.clone();
            answer.splice(..2, [42, id]);
            core.receive_disconnect(&to, &answer, now);
            core.receive_disconnect(&to, attributes, now);
        }
        assert!(core.eap.octets() <= crate::service::eap::MEMORY && core.eap.len() <= 8);
        now.wall.0 += 6;
        now.mono += Duration::from_secs(6);
        core.tick(now);
        core.proxy_timeout(now.mono);
        serve(&mut core, 0, &[], now, &mut out);
        assert!(core.proxy.waiting() <= 8 && core.registry.all_last_good().len() <= 8);
    }
}

/// What the shell does for a client.
fn carry_out(core: &mut Core, next: Next, now: Now, out: &mut Vec<u8>) {
    let next = match next {
        Next::Search(exchange, ..) => resume(core, &exchange, Proof::Nothing, now, out),
        next => next,
    };
    match next {
        Next::Commit(exchange) => {
            if let Verdict::Store(changes, finish) = settle(core, exchange, now, out) {
                core.apply(&changes);
                finish(core, true, now, out);
            }
        }
        Next::Send => assert!(Packet::parse(out).is_ok(), "every answer is a packet"),
        Next::Nothing | Next::Search(..) => {}
    }
}

/// What the shell does for servers, which answer with this code; not at all with 0.
fn serve(core: &mut Core, code: u8, attributes: &[u8], now: Now, out: &mut Vec<u8>) {
    // Whatever is answered, it comes to an end.
    for _ in 0..64 {
        match errand(core, now, out) {
            None => return,
            Some(Errand::Open(server)) => drop(core.proxy.engine.opened(server, now.mono)),
            Some(Errand::Answer(Origin { .. }, next)) => carry_out(core, next, now, out),
            Some(Errand::Close(_) | Errand::Probed(..)) => {}
            Some(Errand::Send(link, packet)) => {
                assert!(Packet::parse(&packet).is_ok(), "every request is a packet");
                if code != 0 {
                    let answer = answer(&packet, code, attributes);
                    if let Returned::Answer(_, next) = receive_answer(core, link, &answer, now, out) {
                        carry_out(core, next, now, out);
                    }
                }
                core.proxy.engine.reuse(packet);
            }
        }
    }
}

/// An answer whose authenticators are right.
fn answer(request: &[u8], code: u8, attributes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(38 + attributes.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![code, request.get(1).copied().unwrap_or_default(), length[0], length[1]];
    packet.extend_from_slice(request.get(4..20).unwrap_or_default());
    packet.extend([80, 18]);
    packet.extend([0; 16]);
    packet.extend_from_slice(attributes);
    if let Some(hmac) = RadiusSecret::new(SECRET).hmac_md5() {
        let mac = hmac.chain_update(&packet).finalize().into_bytes();
        packet.splice(22..38, mac);
    }
    let authenticator = Md5::new().chain_update(&packet).chain_update(SECRET).finalize();
    packet.splice(4..20, authenticator);
    packet
}

/// The second bit of the port asks for a Message-Authenticator, without which no EAP is looked at.
fn request(identifier: u8, port: u8, attributes: &[u8], secret: &RadiusSecret) -> Vec<u8> {
    let code = if port & 1 == 0 { 1 } else { 4 };
    let signed = code == 1 && port & 2 != 0;
    let length = u16::try_from(20 + attributes.len() + if signed { 18 } else { 0 }).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![code, identifier, length[0], length[1]];
    packet.extend([0; 16]);
    if signed {
        packet.extend([80, 18]);
        packet.extend([0; 16]);
    }
    packet.extend_from_slice(attributes);
    if signed && let Some(hmac) = secret.hmac_md5() {
        let mac = hmac.chain_update(&packet).finalize().into_bytes();
        packet.splice(22..38, mac);
    }
    if code == 4 {
        let authenticator = Md5::new().chain_update(&packet).chain_update(SECRET).finalize();
        packet.splice(4..20, authenticator);
    }
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Attributes that mean something to a proxy, with values that are as likely as not to be ones.
    fn attribute() -> impl Strategy<Value = Vec<u8>> {
        let of = |kind: u8, value: Vec<u8>| {
            let length = u8::try_from(value.len() + 2).unwrap_or(u8::MAX);
            [vec![kind, length], value].concat()
        };
        let kinds = vec![1, 18, 24, 25, 26, 27, 33, 64, 65, 69, 79, 81, 89, 241, 245];
        let names = vec!["cam@acme.example", "bob@x.example", "020000000009", "@acme.example"];
        prop_oneof![
            (proptest::sample::select(kinds), prop::collection::vec(any::<u8>(), 0..60))
                .prop_map(move |(k, v)| of(k, v)),
            proptest::sample::select(names).prop_flat_map(move |name| {
                let identity = [&[2, 1, 0, 5 + name.len() as u8, 1], name.as_bytes()].concat();
                Just([of(1, name.into()), of(79, identity)].concat())
            }),
            Just(of(31, b"02-00-00-00-00-09".to_vec())),
            proptest::sample::select(vec!["Home", "Online"])
                .prop_map(move |ssid| of(30, format!("02-00-00-00-00-AA:{ssid}").into())),
        ]
    }

    proptest! {
        #[test]
        fn whatever_clients_ask_and_servers_answer(
            steps in prop::collection::vec((any::<u8>(), prop::collection::vec(attribute(), 0..8)), 1..8),
        ) {
            let mut data = Vec::new();
            for (port, attributes) in steps {
                let attributes = attributes.concat();
                data.push(port);
                data.extend(u16::try_from(attributes.len()).expect("short").to_be_bytes());
                data.extend(attributes);
            }
            fuzz(&data);
        }
    }
}
