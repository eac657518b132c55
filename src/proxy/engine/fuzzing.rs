//! The entry of the fuzz target: engine and rewriting driven by arbitrary octets, and what must hold whatever they are.

use super::super::rewrite::{self, Next, Terms};
use super::super::{Answer, LinkId, Order, Output, Received, ServerId, Ticket};
use super::Engine;
use crate::config::{Host, MacShare, Pattern, Placement, Realm, Register, Server, Share, Target, Tls, Transport};
use crate::mac::MacAddr;
use crate::registry::maker::Admit;
use crate::secret::RadiusSecret;
use crate::wire::radius::{AttributeType, BuildError, Builder, Code, Packet, SaltSequence};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// The secret of the NAS, and of servers over UDP.
const SECRET: &[u8] = b"testing123";

/// Reads `data` as a request and as an answer and rewrites them, and as a sequence of calls of the engine.
///
/// # Panics
/// If a request that was rewritten is none any more, a request under way ends twice or never, or the engine does not come to rest.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    packets(data);
    let mut driver = Driver::new(data);
    driver.run();
    driver.end();
}

/// A section for tests and fuzzing.
pub(in super::super) fn realm(name: &str, target: Target) -> Realm {
    Realm {
        name: name.into(),
        patterns: vec![Pattern::Exact(name.into())],
        target,
        secret: Some(RadiusSecret::new(SECRET)),
        tls: Tls::default(),
        profile: Some("default".into()),
        admit: Admit::All,
        register: Register::No,
        session_timeout: 86_400,
        share: Share::All,
        mac: MacShare::Real,
        placement: Placement::Ours,
        last_good: None,
    }
}

/// A server at 192.0.2.`host`.
pub(in super::super) fn server(transport: Transport, host: u8) -> Server {
    Server { transport, host: Host::Address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host))), port: 1812 }
}

/// Attributes as they are, but for what a hop changes.
fn unchanged<'a>(packet: &Packet<'a>) -> impl Iterator<Item = (AttributeType, &'a [u8])> {
    let begins = rewrite::begins(packet);
    packet.attributes().map(|attribute| (attribute.kind, attribute.value)).filter(move |(kind, _)| {
        let changed = matches!(
            *kind,
            AttributeType::MESSAGE_AUTHENTICATOR
                | AttributeType::PROXY_STATE
                | AttributeType::USER_PASSWORD
                | AttributeType::CHAP_CHALLENGE
                | AttributeType::TUNNEL_PASSWORD
                | AttributeType::VENDOR_SPECIFIC
        );
        let of_another = begins && *kind == AttributeType::STATE;
        !changed && !of_another
    })
}

/// One packet that came, as a request and as an answer.
fn packets(data: &[u8]) {
    let Ok(packet) = Packet::parse(data) else { return };
    let (secret, other) = (RadiusSecret::new(SECRET), RadiusSecret::new(b"another"));
    let mut out = Vec::new();
    for share in [Share::All, Share::Needed] {
        for pseudonym in [None, Some(MacAddr([2, 0, 0, 0, 0, 1]))] {
            let order = Order {
                realm: "r",
                nai_realm: "r",
                request: packet,
                secret: &secret,
                share,
                pseudonym,
                nas_identifier: "ap",
            };
            let next = Next { identifier: 7, authenticator: [9; 16], secret: &other, proxy_state: [3; 16] };
            match rewrite::request(&order, &next, &mut out) {
                Ok(()) => {
                    let written = Packet::parse(&out).expect("what is written is a packet");
                    let ours = written.find_all(AttributeType::PROXY_STATE).last();
                    assert_eq!(ours.map(|state| state.value), Some(&[3; 16][..]));
                    if share == Share::All && pseudonym.is_none() {
                        assert!(unchanged(&packet).eq(unchanged(&written)));
                    }
                }
                Err(error) => assert!(matches!(error, BuildError::PacketFull { .. }), "{error}"),
            }
        }
    }
    let request = [&[1, 7, 0, 30][..], &[5; 16], &[33, 10, 1, 2, 3, 4, 5, 6, 7, 8]].concat();
    let Ok(request) = Packet::parse(&request) else { return };
    let answer = Answer { ticket: Ticket(1), packet, server: ServerId(1), authenticator: [9; 16] };
    let ours = Terms::Ours { vlan: Some(7), session_timeout: Some(60), user_name: None, wifi_keys: true };
    for terms in [Terms::Pass, ours] {
        let salts = SaltSequence::new(0);
        if rewrite::reply(&answer, &other, &request, &secret, &terms, salts, &mut out).is_ok() {
            let written = Packet::parse(&out).expect("what is written is a packet");
            assert_eq!(written.find_all(AttributeType::PROXY_STATE).count(), 1);
            assert_eq!(written.identifier(), 7);
            if matches!(terms, Terms::Pass) {
                assert!(unchanged(&packet).eq(unchanged(&written)));
            }
        }
    }
}

/// The caller of the engine: shell, servers and NAS in one.
struct Driver<'a> {
    engine: Engine,
    data: &'a [u8],
    now: Instant,
    seed: u64,
    next_ticket: u64,
    open: BTreeSet<u64>,
    opening: Vec<ServerId>,
    links: Vec<LinkId>,
    /// The last packets that were sent.
    sent: Vec<(LinkId, Vec<u8>)>,
    state: Option<Vec<u8>>,
}

impl<'a> Driver<'a> {
    fn new(data: &'a [u8]) -> Driver<'a> {
        let now = Instant::now();
        let mut driver = Driver {
            engine: Engine::default(),
            data,
            now,
            seed: 1,
            next_ticket: 0,
            open: BTreeSet::new(),
            opening: Vec::new(),
            links: Vec::new(),
            sent: Vec::new(),
            state: None,
        };
        driver.configure(3);
        driver
    }

    fn octet(&mut self) -> Option<u8> {
        let (first, rest) = self.data.split_first()?;
        self.data = rest;
        Some(*first)
    }

    fn run(&mut self) {
        while let Some(op) = self.octet() {
            let what = usize::from(self.octet().unwrap_or(0));
            match op % 16 {
                0..=3 => self.submit(what),
                4 => {
                    let length = what.min(self.data.len());
                    let (packet, rest) = self.data.split_at(length);
                    self.data = rest;
                    if let Some(link) = self.links.first().copied() {
                        self.receive(link, packet);
                    }
                }
                5..=7 => self.answer(what, op & 0x80 != 0),
                8 => {
                    self.now += Duration::from_millis(what as u64 * 50);
                    self.timeout();
                }
                9 | 10 if !self.opening.is_empty() => {
                    let server = self.opening.remove(what % self.opening.len());
                    let link = self.engine.opened(server, self.now);
                    self.links.push(link);
                }
                11 if !self.opening.is_empty() => {
                    let server = self.opening.remove(what % self.opening.len());
                    self.engine.unreachable(server, "no route".into(), self.now);
                }
                12 if !self.links.is_empty() => {
                    let link = self.links.remove(what % self.links.len());
                    self.engine.closed(link, "reset".into(), self.now);
                }
                13 => {
                    let ticket = what as u64 % (self.next_ticket + 1);
                    self.engine.cancel(Ticket(ticket), self.now);
                    self.open.remove(&ticket);
                }
                14 => self.configure(what),
                15 => {
                    let servers = self.engine.status();
                    let server = servers.get(what % servers.len().max(1)).map_or(ServerId(0), |(_, id, _)| *id);
                    let mut seed = self.seed;
                    self.engine.probe(server, self.now, &mut |octets| fill(&mut seed, octets));
                    self.seed = seed;
                }
                _ => self.timeout(),
            }
            self.drain();
        }
    }

    fn configure(&mut self, what: usize) {
        let servers = [
            server(Transport::Udp, 1),
            server(Transport::Radsec, 2),
            server(Transport::Udp, 3),
            server(Transport::Radsec, 4),
        ];
        let chosen = servers.into_iter().enumerate().filter(|(bit, _)| what >> bit & 1 != 0).map(|(_, server)| server);
        let found = vec![server(Transport::Radsec, (what >> 4) as u8)];
        let realms = [realm("a", Target::Servers(chosen.collect())), realm("b", Target::Discover)];
        self.engine.configure(&realms, self.now);
        self.engine.discovered("b", "b.example", if what & 0x80 != 0 { found } else { Vec::new() }, self.now);
    }

    fn submit(&mut self, what: usize) {
        let (secret, mut octets) = (RadiusSecret::new(SECRET), Vec::new());
        let mut builder = match what & 1 {
            0 => Builder::access_request(1, [what as u8; 16], &secret, &mut octets),
            _ => Builder::accounting_request(1, &secret, &mut octets),
        };
        let _ = builder.push(AttributeType::USER_NAME, b"x@a");
        if what & 2 != 0 {
            let _ = builder.push_eap_message(&[2, 1, 0, 5, 1]);
        }
        if let Some(state) = self.state.as_ref().filter(|_| what & 4 != 0) {
            let _ = builder.push(AttributeType::STATE, state);
        }
        builder.finish();
        let Ok(request) = Packet::parse(&octets) else { return };
        let name = if what & 8 != 0 { ("b", "b.example") } else { ("a", "a") };
        let share = if what & 16 != 0 { Share::All } else { Share::Needed };
        let order = Order {
            realm: name.0,
            nai_realm: name.1,
            request,
            secret: &secret,
            share,
            pseudonym: None,
            nas_identifier: "ap",
        };
        self.next_ticket += 1;
        let (ticket, mut seed) = (self.next_ticket, self.seed);
        let taken = self.engine.submit(Ticket(ticket), &order, self.now, &mut |octets| fill(&mut seed, octets));
        self.seed = seed;
        if taken.is_ok() {
            self.open.insert(ticket);
        }
    }

    /// A genuine answer to one of the last packets, or one that was tampered with.
    fn answer(&mut self, what: usize, tampered: bool) {
        if self.sent.is_empty() {
            return;
        }
        let (link, request) = self.sent.swap_remove(what % self.sent.len());
        let Ok(request) = Packet::parse(&request) else { return };
        let codes = [Code::ACCESS_ACCEPT, Code::ACCESS_CHALLENGE, Code::ACCESS_REJECT, Code::PROTOCOL_ERROR];
        let code = match request.code() {
            Code::ACCOUNTING_REQUEST => Code::ACCOUNTING_RESPONSE,
            _ => codes[what / 4 % codes.len()],
        };
        for secret in [&b"radsec"[..], SECRET] {
            let (secret, mut octets) = (RadiusSecret::new(secret), Vec::new());
            let mut builder = Builder::reply(code, &request, &secret, &mut octets);
            let _ = builder.push(AttributeType::STATE, &[what as u8; 16]);
            builder.finish();
            if tampered && let Some(last) = octets.last_mut() {
                *last ^= 1;
            }
            self.state = Some(vec![what as u8; 16]);
            self.receive(link, &octets);
        }
    }

    fn receive(&mut self, link: LinkId, packet: &[u8]) {
        match self.engine.receive(link, packet, self.now) {
            Received::Answer(answer) => {
                let ticket = answer.ticket.0;
                assert!(self.open.remove(&ticket), "ticket {ticket} ends twice");
            }
            Received::Broken(_) => self.links.retain(|other| *other != link),
            Received::Request(..) | Received::Nothing => {}
        }
    }

    fn timeout(&mut self) {
        let mut seed = self.seed;
        self.engine.timeout(self.now, &mut |octets| fill(&mut seed, octets));
        self.seed = seed;
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.poll() {
            match output {
                Output::Send(link, packet) => {
                    assert!(Packet::parse(&packet).is_ok());
                    if self.sent.len() >= 64 {
                        self.sent.remove(0);
                    }
                    self.sent.push((link, packet.clone()));
                    self.engine.reuse(packet);
                }
                Output::Open(server) => self.opening.push(server),
                Output::Close(link) => self.links.retain(|other| *other != link),
                Output::Failed(Ticket(ticket), _) => assert!(self.open.remove(&ticket), "ticket {ticket} ends twice"),
                Output::Changed(..) | Output::Probed(..) => {}
            }
        }
    }

    /// Nobody answers any more: everything ends, and nothing is left behind.
    fn end(&mut self) {
        let last = self.now + Duration::from_secs(10);
        for calls in 0.. {
            assert!(calls < 1000, "the engine does not come to rest");
            let Some(next) = self.engine.next_timeout().filter(|next| *next <= last) else { break };
            self.now = self.now.max(next);
            self.timeout();
            self.drain();
        }
        assert!(self.open.is_empty(), "tickets without an end: {:?}", self.open);
        assert_eq!(self.engine.requests.all().count(), 0);
        assert!(self.engine.moved.is_empty());
        for peer in &self.engine.peers {
            assert!(peer.in_flight == 0 && peer.waiting.is_empty(), "{peer:?}");
        }
        assert!(self.engine.links.iter().all(|link| link.in_use() == 0 && link.requests().count() == 0));
        assert!(self.engine.links.iter().all(|link| self.engine.peer(link.server).is_some()));
    }
}

/// Octets that are the same in every run.
pub(in super::super) fn fill(seed: &mut u64, octets: &mut [u8]) {
    for octet in octets {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *octet = (*seed >> 33) as u8;
    }
}
