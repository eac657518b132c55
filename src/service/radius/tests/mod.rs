//! The server from datagram to datagram, with a NAS that checks every answer. No sockets, and the clock stands.

mod accounting;
mod authentication;
mod eap;
mod pairing;
mod proxied;

use super::*;
use crate::decision::event::Outcome;
use crate::registry::Registry;
use crate::registry::device::{Change, DeviceId};
use crate::registry::tests::device;
use crate::secret::{Passphrase, RadiusSecret};
use crate::service::Now;
use crate::time::UnixTime;
use crate::wire::radius::{
    Builder, acct_status_type, reveal_tunnel_password, verify_message_authenticator, verify_response_authenticator,
};
use crate::wpa;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use std::net::SocketAddr;
use std::time::Duration;

const SECRET: &[u8] = b"secret of the tests";
const AP: &str = "02-00-00-00-00-AA";

const CONFIG: &str = "
config client 'ap'
	option address '127.0.0.1'
	option secret 'secret of the tests'
config client 'old'
	option address '127.0.0.2'
	option secret 'secret of the tests'
	option message_authenticator 'optional'
	option disconnect_port '3799'
config profile 'iot'
	option vlan '20'
config profile 'media'
	option vlan '30'
config profile 'guest'
	option vlan '40'
config ssid
	option ssid 'Home'
config ssid
	option ssid 'Home3'
	option security 'wpa3'
config ssid
	option ssid 'Welcome'
	option unknown 'quarantine'
	option quarantine_profile 'guest'
	option onboarding_key 'come in and find out'
config ssid
	option ssid 'Pair'
	option unknown 'pairing'
	option onboarding_key 'knock three times'
";

/// A NAS, the server it asks, and the time.
struct Rig {
    core: Core,
    from: SocketAddr,
    now: Now,
    identifier: u8,
    out: Vec<u8>,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    code: Code,
    vlan: Option<String>,
    keys: Vec<String>,
}

fn key(n: u32) -> String {
    format!("{}-key-of-its-own", ["qx", "wm", "hj", "zv"][n as usize % 4])
}

fn mac(last: u8) -> MacAddr {
    MacAddr([0, 0x1a, 0x11, 0, 0, last])
}

impl Rig {
    /// lamp (1) is known by address 1; cam (2) waits in iot, tv (3) in media.
    fn new() -> Rig {
        let mut devices = vec![
            device(1, "lamp", "iot", &key(1)),
            device(2, "cam", "iot", &key(2)),
            device(3, "tv", "media", &key(3)),
        ];
        devices[0].macs = vec![crate::registry::device::BoundMac { mac: mac(1), proved: false, since: UnixTime(1) }];
        Rig::with(Registry::load(devices, vec![], vec![], DeviceId(4)))
    }

    fn with(registry: Registry) -> Rig {
        let now = Now { wall: UnixTime(1_800_000_000), mono: Instant::now() };
        let config = Arc::new(Config::parse(CONFIG).expect("the configuration of the tests"));
        let mut core =
            Core::new(config, registry, now, Box::new(|octets| octets.fill(7)), Instant::now, Box::new(|_| ()));
        while core.keyring.is_busy() {
            for job in core.keyring.jobs(64, &core.registry) {
                core.keyring.insert(job.run(), &core.registry);
            }
        }
        Rig { core, from: "127.0.0.1:40000".parse().expect("an address"), now, identifier: 0, out: Vec::new() }
    }

    fn pass(&mut self, seconds: u64) {
        self.now.wall.0 += seconds as i64;
        self.now.mono += Duration::from_secs(seconds);
        self.core.tick(self.now);
    }

    /// An Access-Request with these attributes after Message-Authenticator.
    fn request(&mut self, fill: impl FnOnce(&mut Builder<'_>)) -> Vec<u8> {
        self.identifier = self.identifier.wrapping_add(1);
        let (secret, mut packet) = (RadiusSecret::new(SECRET), Vec::new());
        let mut builder = Builder::access_request(self.identifier, [self.identifier; 16], &secret, &mut packet);
        fill(&mut builder);
        builder.finish();
        packet
    }

    fn by_address(&mut self, from: MacAddr, ssid: &str) -> Vec<u8> {
        self.by_address_at(from, &format!("{AP}:{ssid}"))
    }

    fn by_address_at(&mut self, from: MacAddr, called: &str) -> Vec<u8> {
        let calling = from.to_string();
        self.request(|builder| {
            let user = calling.replace(':', "");
            builder.push(AttributeType::USER_NAME, user.as_bytes()).expect("fits");
            builder.push_user_password(user.as_bytes()).expect("fits");
            builder.push(AttributeType::NAS_IDENTIFIER, b"ap-1").expect("fits");
            builder.push(AttributeType::CALLED_STATION_ID, called.as_bytes()).expect("fits");
            builder.push(AttributeType::CALLING_STATION_ID, calling.as_bytes()).expect("fits");
        })
    }

    /// What hostapd sends in the handshake of a supplicant with this key.
    fn by_handshake(&mut self, from: MacAddr, ssid: &str, key: &str) -> Vec<u8> {
        let (calling, called) = (from.to_string(), format!("{AP}:{ssid}"));
        let (anonce, frame) = message_2(from, ssid, key);
        self.request(|builder| {
            builder.push(AttributeType::CALLED_STATION_ID, called.as_bytes()).expect("fits");
            builder.push(AttributeType::CALLING_STATION_ID, calling.as_bytes()).expect("fits");
            builder.push_u32(AttributeType::WLAN_AKM_SUITE, 0x000f_ac02).expect("fits");
            for (kind, value) in [(1, &anonce[..]), (2, &frame)] {
                builder.push_extended_vendor_specific(AttributeType::EXTENDED_5, 11344, kind, value).expect("fits");
            }
        })
    }

    fn receive(&mut self, packet: &[u8]) -> Next {
        receive_auth(&mut self.core, self.from, packet, self.now, &mut self.out)
    }

    /// Sends a request, does what the shell does, and checks the answer.
    fn ask(&mut self, packet: &[u8]) -> Answer {
        let mut next = self.receive(packet);
        loop {
            next = match next {
                Next::Send => return self.answer(packet),
                Next::Search(exchange, keys, handshake) => {
                    let proof = keys.search(&handshake);
                    resume(&mut self.core, &exchange, proof, self.now, &mut self.out)
                }
                Next::Commit(exchange) => {
                    self.commit(exchange, true);
                    return self.answer(packet);
                }
                Next::Nothing => panic!("dropped"),
            };
        }
    }

    fn commit(&mut self, exchange: Exchange, stored: bool) {
        match settle(&mut self.core, exchange, self.now, &mut self.out) {
            Verdict::Store(changes, finish) => {
                if stored {
                    self.core.apply(&changes);
                }
                finish(&mut self.core, stored, self.now, &mut self.out);
            }
            Verdict::Send => {}
            Verdict::Nothing => panic!("nothing to do"),
        }
    }

    fn answer(&self, request: &[u8]) -> Answer {
        let secret = RadiusSecret::new(SECRET);
        let request = Packet::parse(request).expect("a packet");
        let reply = Packet::parse(&self.out).expect("a packet");
        assert_eq!(reply.identifier(), request.identifier());
        assert!(verify_response_authenticator(&reply, &secret, request.authenticator()));
        let checked = verify_message_authenticator(&reply, &secret, Some(request.authenticator()));
        assert_eq!(checked, MessageAuthenticator::Valid);
        let first = reply.attributes().next().map(|attribute| attribute.kind);
        assert_eq!(first, Some(AttributeType::MESSAGE_AUTHENTICATOR), "it comes first");
        let mut salts: Vec<&[u8]> = Vec::new();
        let keys = reply
            .find_all(AttributeType::TUNNEL_PASSWORD)
            .map(|attribute| {
                salts.push(&attribute.value[1..3]);
                let revealed = reveal_tunnel_password(attribute.value, &secret, request.authenticator());
                String::from_utf8(revealed.expect("hidden well").1.expose().to_vec()).expect("text")
            })
            .collect();
        let count = salts.len();
        salts.sort_unstable();
        salts.dedup();
        assert_eq!(salts.len(), count, "every salt once");
        let vlan = reply.find(AttributeType::TUNNEL_PRIVATE_GROUP_ID);
        Answer { code: reply.code(), vlan: vlan.map(|v| String::from_utf8_lossy(v).into_owned()), keys }
    }

    fn account(&mut self, status: u32, from: MacAddr, session: &[u8], stored: bool) -> Option<Code> {
        self.account_at(status, from, session, &format!("{AP}:Home"), stored)
    }

    fn account_at(&mut self, status: u32, from: MacAddr, session: &[u8], at: &str, stored: bool) -> Option<Code> {
        self.identifier = self.identifier.wrapping_add(1);
        let (secret, mut packet) = (RadiusSecret::new(SECRET), Vec::new());
        let mut builder = Builder::accounting_request(self.identifier, &secret, &mut packet);
        builder.push_u32(AttributeType::ACCT_STATUS_TYPE, status).expect("fits");
        builder.push(AttributeType::ACCT_SESSION_ID, session).expect("fits");
        builder.push(AttributeType::NAS_IDENTIFIER, b"ap-1").expect("fits");
        builder.push(AttributeType::CALLED_STATION_ID, at.as_bytes()).expect("fits");
        builder.push(AttributeType::CALLING_STATION_ID, from.to_string().as_bytes()).expect("fits");
        builder.push_u32(AttributeType::ACCT_INPUT_OCTETS, 5).expect("fits");
        builder.push_u32(AttributeType::ACCT_INPUT_GIGAWORDS, 1).expect("fits");
        builder.finish();
        self.out.clear();
        let next = receive_accounting(&mut self.core, self.from, &packet, self.now, &mut self.out);
        if let Next::Commit(exchange) = next {
            self.commit(exchange, stored);
        }
        let request = Packet::parse(&packet).expect("a packet");
        let reply = Packet::parse(&self.out).ok()?;
        assert!(verify_response_authenticator(&reply, &secret, request.authenticator()));
        Some(reply.code())
    }

    /// The latest event: device, outcome, reason.
    fn last(&self) -> (Option<String>, Outcome, &'static str) {
        let event = self.core.events.iter().next_back().expect("an event");
        (event.device.as_deref().map(str::to_owned), event.outcome, event.reason.code())
    }
}

fn pmk(key: &str, ssid: &str) -> String {
    let pmk = wpa::pmk::derive(&Passphrase::new(key).expect("valid"), ssid.as_bytes());
    pmk.expose().iter().map(|octet| format!("{octet:02x}")).collect()
}

/// ANonce and message 2 of a WPA2 handshake (IEEE 802.11-2020, 12.7.6.3), made independently of the search.
fn message_2(sta: MacAddr, ssid: &str, key: &str) -> ([u8; 32], Vec<u8>) {
    let ap = MacAddr::parse_bytes(AP.as_bytes()).expect("an address");
    let (anonce, snonce) = ([0x5a; 32], [0xa5; 32]);
    let mut seed = b"Pairwise key expansion\0".to_vec();
    seed.extend([ap.0.min(sta.0), ap.0.max(sta.0)].concat());
    seed.extend([anonce, snonce].concat());
    seed.push(0);
    let pmk = wpa::pmk::derive(&Passphrase::new(key).expect("valid"), ssid.as_bytes());
    let mac = |key: &[u8], text: &[u8]| -> Vec<u8> {
        let hmac = Hmac::<Sha1>::new_from_slice(key).expect("any length").chain_update(text);
        hmac.finalize().into_bytes().to_vec()
    };
    let ptk = mac(pmk.expose(), &seed);
    let rsne = [0x30, 0x14, 1, 0, 0, 0x0f, 0xac, 4, 1, 0, 0, 0x0f, 0xac, 4, 1, 0, 0, 0x0f, 0xac, 2, 0, 0];
    let mut frame = vec![1, 3, 0, 95 + rsne.len() as u8, 2, 0x01, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    frame.extend(snonce);
    frame.extend([0; 32 + 16]);
    frame.extend([0, rsne.len() as u8]);
    frame.extend(rsne);
    let mic = mac(&ptk[..16], &frame);
    frame[81..97].copy_from_slice(&mic[..16]);
    (anonce, frame)
}

fn accepted(vlan: &str, keys: &[String]) -> Answer {
    Answer { code: Code::ACCESS_ACCEPT, vlan: Some(vlan.into()), keys: keys.to_vec() }
}

fn rejected() -> Answer {
    Answer { code: Code::ACCESS_REJECT, vlan: None, keys: vec![] }
}
