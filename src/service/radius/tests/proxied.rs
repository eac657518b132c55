//! Requests that others answer, from datagram to datagram: a NAS on one side, a scripted home server on the other.

mod refusals;
mod terms;
mod wifi;

use super::*;
use crate::decision::event::Event;
use crate::proxy::LinkId;
use crate::registry::credential::{EapCredentials, KnownBy};
use crate::registry::device::Device;
use crate::service::control::{Call, Done};
use crate::wire::eap;
use crate::wire::radius::{Attribute, MS_MPPE_RECV_KEY, MS_MPPE_SEND_KEY, reveal_mppe_key};

const BASE: &str = "
config client 'ap'
	option address '127.0.0.1'
	option secret 'secret of the tests'
config profile 'iot'
	option vlan '20'
config profile 'media'
	option vlan '30'
config ssid
	option ssid 'Home'
config ssid
	option ssid 'Office'
	option security 'enterprise'
config ssid
	option security 'wired'
";

const ACME: &str = "
config realm 'acme'
	list realm 'acme.example'
	list server 'udp://192.0.2.1'
	option secret 'what acme and we know'
	option profile 'media'
";

const ONLINE: &str = "
config realm 'online'
	list realm 'default'
	list server 'udp://192.0.2.9'
	option secret 'what acme and we know'
	option profile 'iot'
";

const HOME_SECRET: &[u8] = b"what acme and we know";
const CAM: &[u8] = b"cam-7@acme.example";
const OFFICE: &str = "02-00-00-00-00-AA:Office";

fn numbers() -> impl FnMut(&mut [u8]) {
    let mut n = 0u64;
    move |octets: &mut [u8]| {
        for octet in octets {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *octet = (n >> 56) as u8;
        }
    }
}

/// What a home server was asked, and on which link.
struct Asked {
    link: LinkId,
    packet: Vec<u8>,
}

impl Asked {
    fn packet(&self) -> Packet<'_> {
        let packet = Packet::parse(&self.packet).expect("a packet");
        if packet.code() == Code::ACCESS_REQUEST {
            let checked = verify_message_authenticator(&packet, &RadiusSecret::new(HOME_SECRET), None);
            assert_eq!(checked, MessageAuthenticator::Valid);
        }
        packet
    }

    /// The home server's answer, with the Proxy-States of the request.
    fn answer(&self, code: Code, fill: impl FnOnce(&mut Builder<'_>)) -> Vec<u8> {
        let (secret, mut out) = (RadiusSecret::new(HOME_SECRET), Vec::new());
        let mut builder = Builder::reply(code, &self.packet(), &secret, &mut out);
        fill(&mut builder);
        builder.copy_proxy_states(&self.packet()).expect("fits");
        builder.finish();
        out
    }
}

impl Rig {
    fn proxy(devices: Vec<Device>, realms: &str) -> Rig {
        let mut rig = Rig::with(Registry::load(devices, vec![], vec![], DeviceId(100)));
        rig.core.random = Box::new(numbers());
        let config = format!("{BASE}{realms}");
        rig.core.reconfigure(Arc::new(Config::parse(&config).expect("a configuration")), rig.now);
        rig
    }

    fn eap_of(&mut self, user: &[u8], from: MacAddr, state: Option<&[u8]>, eap: &[u8]) -> Vec<u8> {
        let calling = from.to_string().replace(':', "-");
        self.request(|builder| {
            builder.push(AttributeType::USER_NAME, user).expect("fits");
            builder.push(AttributeType::NAS_IDENTIFIER, b"ap-1").expect("fits");
            builder.push(AttributeType::CALLED_STATION_ID, OFFICE.as_bytes()).expect("fits");
            builder.push(AttributeType::CALLING_STATION_ID, calling.as_bytes()).expect("fits");
            builder.push_eap_message(eap).expect("fits");
            if let Some(state) = state {
                builder.push(AttributeType::STATE, state).expect("fits");
            }
            builder.push(AttributeType::PROXY_STATE, b"of the NAS").expect("fits");
        })
    }

    fn identity_of(&mut self, user: &[u8], from: MacAddr) -> Vec<u8> {
        self.eap_of(user, from, None, &eap::response(1, 1, user))
    }

    /// What goes out to home servers; ways are opened as wanted. No client is answered meanwhile.
    fn asked(&mut self) -> Vec<Asked> {
        let mut asked = Vec::new();
        while let Some(errand) = errand(&mut self.core, self.now, &mut self.out) {
            match errand {
                Errand::Open(server) => drop(self.core.proxy.engine.opened(server, self.now.mono)),
                Errand::Send(link, packet) => asked.push(Asked { link, packet }),
                other => panic!("{other:?}"),
            }
        }
        asked
    }

    /// Sends a request that is to be forwarded.
    fn forwarded(&mut self, packet: &[u8]) -> Asked {
        let next = self.receive(packet);
        assert!(matches!(next, Next::Nothing), "{next:?}: {:?}", self.core.events.iter().next_back());
        let mut asked = self.asked();
        assert_eq!(asked.len(), 1, "one request goes on");
        asked.remove(0)
    }

    /// Takes the home server's answer, and does what the shell does.
    fn back(&mut self, link: LinkId, answer: &[u8], request: &[u8]) -> Answer {
        match receive_answer(&mut self.core, link, answer, self.now, &mut self.out) {
            Returned::Answer(origin, Next::Send) => assert_eq!(origin, self.from.into()),
            Returned::Answer(_, Next::Commit(exchange)) => self.commit(exchange, true),
            other => panic!("{other:?}"),
        }
        self.answer(request)
    }

    /// A request, the home server's answer to it, and ours.
    fn through(&mut self, request: &[u8], code: Code, fill: impl FnOnce(&mut Builder<'_>)) -> Answer {
        let asked = self.forwarded(request);
        let answer = asked.answer(code, fill);
        self.back(asked.link, &answer, request)
    }

    /// A device that its manufacturer lets in after one round.
    fn joins(&mut self, user: &[u8], from: MacAddr, fill: impl FnOnce(&mut Builder<'_>)) -> Answer {
        let request = self.identity_of(user, from);
        let challenged = self.through(&request, Code::ACCESS_CHALLENGE, |builder| {
            builder.push(AttributeType::STATE, b"state of the home").expect("fits");
            builder.push_eap_message(&eap::request(2, 21, &[0x20])).expect("fits");
        });
        assert_eq!(challenged.code, Code::ACCESS_CHALLENGE);
        let response = eap::response(2, 21, b"\x00 tunnelled");
        let request = self.eap_of(user, from, Some(b"state of the home"), &response);
        self.through(&request, Code::ACCESS_ACCEPT, |builder| {
            accept(builder);
            fill(builder);
        })
    }

    /// Time passes; what nobody answers comes to its end.
    fn wait(&mut self, seconds: u64, request: &[u8]) -> Option<Answer> {
        let mut answered = None;
        for _ in 0..seconds * 4 {
            self.now.mono += Duration::from_millis(250);
            self.core.proxy_timeout(self.now.mono);
            while let Some(errand) = errand(&mut self.core, self.now, &mut self.out) {
                match errand {
                    Errand::Open(server) => drop(self.core.proxy.engine.opened(server, self.now.mono)),
                    Errand::Send(..) | Errand::Close(_) => {}
                    Errand::Answer(_, Next::Search(exchange, keys, handshake)) => {
                        let proof = keys.search(&handshake);
                        let next = resume(&mut self.core, &exchange, proof, self.now, &mut self.out);
                        assert!(matches!(next, Next::Send));
                        answered = Some(self.answer(request));
                    }
                    Errand::Answer(_, Next::Send) => answered = Some(self.answer(request)),
                    other => panic!("{other:?}"),
                }
            }
        }
        self.now.wall.0 += seconds as i64;
        answered
    }

    fn event(&self) -> &Event {
        self.core.events.iter().next_back().expect("an event")
    }

    fn reply(&self) -> Packet<'_> {
        Packet::parse(&self.out).expect("a packet")
    }

    fn call(&mut self, line: &str) -> Vec<Change> {
        match Call::parse(line.as_bytes()).and_then(|call| call.run(&mut self.core, self.now)) {
            Ok(Done::Commit { changes, .. }) => changes,
            Ok(_) => panic!("no change"),
            Err(why) => panic!("{}", why.code),
        }
    }
}

fn accept(builder: &mut Builder<'_>) {
    let (msk, mut salts) = (std::array::from_fn(|n| n as u8), SaltSequence::new(77));
    builder.push_mppe_keys(&msk, &mut salts).expect("fits");
    builder.push_eap_message(&eap::success(2)).expect("fits");
}

fn with(options: &str) -> String {
    format!("{ACME}\toption admit 'all'\n{options}")
}

/// A device that acme calls cam-7@acme.example.
fn registered(id: u32, macs: &[MacAddr]) -> Device {
    let certificate =
        crate::decision::peer::registered(&"acme".into(), &String::from_utf8_lossy(CAM).as_ref().into(), UnixTime(1));
    let bound = |mac: &MacAddr| crate::registry::device::BoundMac { mac: *mac, proved: true, since: UnixTime(1) };
    Device {
        key: None,
        eap: Some(Box::new(EapCredentials { psk: None, certificates: vec![certificate], serial: 1 })),
        macs: macs.iter().map(bound).collect(),
        ..device(id, "cam", "iot", "not used at all")
    }
}

fn kinds(packet: &Packet<'_>) -> Vec<AttributeType> {
    packet.attributes().map(|attribute: Attribute<'_>| attribute.kind).collect()
}

#[test]
fn a_device_joins_through_its_manufacturer() {
    let mut rig = Rig::proxy(vec![], &with(""));
    let request = rig.identity_of(CAM, mac(9));
    let asked = rig.forwarded(&request);
    let sent = asked.packet();
    assert_eq!(sent.find(AttributeType::USER_NAME), Some(CAM));
    assert_eq!(sent.find(AttributeType::CALLING_STATION_ID), Some(&b"00-1A-11-00-00-09"[..]));
    assert_eq!(sent.find(AttributeType::NAS_IDENTIFIER), Some(&b"latchkey.home.arpa"[..]), "who we are, not who it is");
    assert!(sent.find(AttributeType::CALLED_STATION_ID).is_none(), "not where it is");
    assert_eq!(sent.find_all(AttributeType::PROXY_STATE).count(), 2, "the NAS's, and ours");
    assert_ne!(sent.authenticator(), Packet::parse(&request).expect("a packet").authenticator());
    assert!(matches!(rig.receive(&request), Next::Nothing), "a retransmission while it waits");
    assert!(rig.asked().is_empty());

    let challenge = asked.answer(Code::ACCESS_CHALLENGE, |builder| {
        builder.push(AttributeType::STATE, b"any octets \x00\xff").expect("fits");
        builder.push(AttributeType::FILTER_ID, b"theirs").expect("fits");
        builder.push_eap_message(&eap::request(2, 21, &[0x20])).expect("fits");
    });
    assert_eq!(rig.back(asked.link, &challenge, &request).code, Code::ACCESS_CHALLENGE);
    let reply = rig.reply();
    assert_eq!(reply.find(AttributeType::STATE), Some(&b"any octets \x00\xff"[..]));
    assert_eq!(reply.eap_message().as_deref(), Some(&eap::request(2, 21, &[0x20])[..]));
    let states: Vec<&[u8]> = reply.find_all(AttributeType::PROXY_STATE).map(|state| state.value).collect();
    assert_eq!((states, reply.find(AttributeType::FILTER_ID)), (vec![&b"of the NAS"[..]], None));
    let answer = rig.out.clone();
    assert!(matches!(rig.receive(&request), Next::Send));
    assert_eq!(rig.out, answer, "a retransmission afterwards gets the same");
    assert!(matches!(receive_answer(&mut rig.core, asked.link, &challenge, rig.now, &mut rig.out), Returned::Nothing));

    let request = rig.eap_of(CAM, mac(9), Some(b"any octets \x00\xff"), &eap::response(2, 21, b"x"));
    let asked = rig.forwarded(&request);
    assert_eq!(asked.packet().find(AttributeType::STATE), Some(&b"any octets \x00\xff"[..]));
    let answer = asked.answer(Code::ACCESS_ACCEPT, accept);
    let end = rig.back(asked.link, &answer, &request);
    assert_eq!((end.code, end.vlan.as_deref()), (Code::ACCESS_ACCEPT, Some("30")));
    let (reply, asked) = (rig.reply(), Packet::parse(&request).expect("a packet"));
    let keys: Vec<(u8, Vec<u8>)> = reply
        .find_all(AttributeType::VENDOR_SPECIFIC)
        .filter_map(|vsa| reveal_mppe_key(vsa.value, &RadiusSecret::new(SECRET), asked.authenticator()))
        .map(|revealed| revealed.map(|(kind, key)| (kind, key.expose().to_vec())).expect("hidden anew"))
        .collect();
    let half = |start: u8| (start..start + 32).collect::<Vec<u8>>();
    assert_eq!(keys, [(MS_MPPE_RECV_KEY, half(0)), (MS_MPPE_SEND_KEY, half(32))]);
    assert_eq!(reply.eap_message().as_deref(), Some(&eap::success(2)[..]));
    assert_eq!(rig.last(), (Some("cam-7".into()), Outcome::Accepted, "peer_admitted"));
    assert_eq!((rig.event().method.to_string(), rig.event().party()), ("eap-ttls via acme".into(), Some("acme")));
    assert_eq!(
        rig.event().to_string(),
        "let in: registered as cam-7: acme vouches for it, and all its devices are let in (profile media, VLAN 30)"
    );
    let device = rig.core.registry.by_mac(mac(9)).expect("it is registered");
    let known_by = &device.eap.as_ref().expect("its identity").certificates[0].known_by;
    assert_eq!(*known_by, KnownBy::Peer { realm: "acme".into(), identity: "cam-7@acme.example".into() });
    assert_eq!((&*device.profile, rig.core.proxy.waiting()), ("media", 0));
    assert!(rig.core.revocation.take_orders().is_empty(), "nobody is taken off the air for it");

    // From then on it is known, and is what the administrator makes of it.
    assert_eq!(rig.joins(CAM, mac(9), |_| ()).code, Code::ACCESS_ACCEPT);
    assert_eq!(rig.last(), (Some("cam-7".into()), Outcome::Accepted, "proved_to_peer"));
    assert_eq!(rig.core.registry.len(), 1);
    rig.account_at(acct_status_type::START, mac(9), b"s1", OFFICE, true);
    assert!(rig.asked().is_empty(), "a manufacturer is told nothing of its sessions");
    let (_, session) = rig.core.sessions.iter().next().expect("a session");
    assert_eq!((session.realm().map(|realm| &**realm), session.vlan), (Some("acme"), Some(30)));
}

#[test]
fn two_rounds_at_a_time_register_one_device() {
    let mut rig = Rig::proxy(vec![], &with(""));
    // The NAS asks at two BSSes for the same device: both Accepts are there before anything is stored.
    let mut commits = Vec::new();
    let other = "02-00-00-00-00-AB:Office";
    for called in [OFFICE, other] {
        let calling = mac(9).to_string();
        let request = rig.request(|builder| {
            builder.push(AttributeType::USER_NAME, CAM).expect("fits");
            builder.push(AttributeType::CALLED_STATION_ID, called.as_bytes()).expect("fits");
            builder.push(AttributeType::CALLING_STATION_ID, calling.as_bytes()).expect("fits");
            builder.push_eap_message(&eap::response(1, 1, CAM)).expect("fits");
        });
        let asked = rig.forwarded(&request);
        let answer = asked.answer(Code::ACCESS_ACCEPT, accept);
        match receive_answer(&mut rig.core, asked.link, &answer, rig.now, &mut rig.out) {
            Returned::Answer(_, Next::Commit(exchange)) => commits.push((exchange, request)),
            other => panic!("{other:?}"),
        }
    }
    for (exchange, request) in commits {
        assert!(matches!(rig.receive(&request), Next::Nothing), "in work until it is stored");
        rig.commit(exchange, true);
        assert_eq!(rig.answer(&request).code, Code::ACCESS_ACCEPT);
    }
    assert_eq!((rig.core.registry.len(), rig.last().2), (1, "proved_to_peer"));
}

#[test]
fn what_is_not_stored_lets_nobody_in() {
    let mut rig = Rig::proxy(vec![], &with(""));
    for (stored, reason) in [(false, "not_stored"), (true, "blocked")] {
        let request = rig.identity_of(CAM, mac(9));
        let asked = rig.forwarded(&request);
        let answer = asked.answer(Code::ACCESS_ACCEPT, accept);
        let Returned::Answer(_, Next::Commit(exchange)) =
            receive_answer(&mut rig.core, asked.link, &answer, rig.now, &mut rig.out)
        else {
            panic!("to be stored first")
        };
        let Verdict::Store(changes, finish) = settle(&mut rig.core, exchange, rig.now, &mut rig.out) else {
            panic!("to be stored")
        };
        if stored {
            rig.core.apply(&changes);
            let device = rig.core.registry.by_mac(mac(9)).cloned().expect("it is registered");
            rig.core.apply(&[Change::Put(vec![Device { blocked: true, ..device }])]);
        }
        finish(&mut rig.core, stored, rig.now, &mut rig.out);
        assert_eq!((rig.answer(&request), rig.last().2), (rejected(), reason));
        assert_eq!(rig.reply().eap_message().as_deref(), Some(&eap::failure(1)[..]));
    }
}

#[test]
fn a_station_that_begins_anew_waits_once() {
    let mut rig = Rig::proxy(vec![], &with(""));
    let request = rig.identity_of(CAM, mac(9));
    let first = rig.forwarded(&request);
    let request = rig.identity_of(CAM, mac(9));
    let second = rig.forwarded(&request);
    assert_eq!(rig.core.proxy.waiting(), 1);
    let late = first.answer(Code::ACCESS_REJECT, |_| ());
    assert!(matches!(receive_answer(&mut rig.core, first.link, &late, rig.now, &mut rig.out), Returned::Nothing));
    let answer = second.answer(Code::ACCESS_ACCEPT, accept);
    assert_eq!(rig.back(second.link, &answer, &request).code, Code::ACCESS_ACCEPT);
    // And one that turns to another identity, which is ours to judge, does not wait any more.
    let request = rig.identity_of(CAM, mac(9));
    rig.forwarded(&request);
    let request = rig.identity_of(b"cam@latchkey.home.arpa", mac(9));
    assert_eq!(rig.ask(&request).code, Code::ACCESS_CHALLENGE);
    assert_eq!((rig.core.proxy.waiting(), rig.core.eap.len()), (0, 1));
    // The other way round.
    let request = rig.identity_of(CAM, mac(9));
    rig.forwarded(&request);
    assert_eq!((rig.core.proxy.waiting(), rig.core.eap.len()), (1, 0));
}

#[test]
fn the_number_that_waits_is_bounded() {
    let mut rig = Rig::proxy(vec![], &with(""));
    rig.core.radius.clients[0].strangers = limit::Bucket::new(rig.now.mono);
    let mut busy = 0;
    for n in 0..1100u16 {
        let [high, low] = n.to_be_bytes();
        if n % 20 == 0 {
            rig.now.mono += Duration::from_secs(1);
        }
        rig.identifier = low;
        let from = MacAddr([2, 1, 0, 0, high, low]);
        let mut request = rig.identity_of(CAM, from);
        // The identifier alone does not tell 1,100 requests apart.
        let authenticator = [high; 16];
        let (secret, mut packet) = (RadiusSecret::new(SECRET), Vec::new());
        let mut builder = Builder::access_request(low, authenticator, &secret, &mut packet);
        for attribute in Packet::parse(&request).expect("a packet").attributes().skip(1) {
            builder.push(attribute.kind, attribute.value).expect("fits");
        }
        builder.finish();
        request = packet;
        match rig.receive(&request) {
            Next::Nothing => {}
            Next::Send => busy += 1,
            other => panic!("{other:?}"),
        }
        assert!(rig.core.proxy.waiting() <= 1024);
    }
    assert!(busy >= 1100 - 1024, "{busy}");
    assert!(rig.core.events.iter().any(|event| event.reason.code() == "proxy_busy"));
}
