//! Servers, a shell and time for the tests of the engine, none of them real.

pub(in crate::proxy) use super::fuzzing::{fill, realm, server};
use super::{Engine, Failure};
use crate::config::{Realm, Share, Target, Transport};
use crate::proxy::{Health, LinkId, Order, Output, Received, ServerId, Status, Ticket};
use crate::secret::RadiusSecret;
use crate::wire::radius::{AttributeType, Builder, Code, Packet};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Answers after so many milliseconds.
    Answers(u64),
    /// Answers requests after so many milliseconds, Status-Server at once.
    Slow(u64),
    /// Never says anything.
    Silent,
    /// Cannot be connected to.
    Refuses,
    /// Answers requests at once, but knows no Status-Server.
    NoStatus,
    /// Answers Status-Server only.
    OnlyStatus,
    /// Has another secret.
    WrongSecret,
    /// Sends no Message-Authenticator.
    Unsigned,
    /// Sends what is no packet.
    Garbage,
    /// Sends 5000 octets, with a length field to match.
    Oversized,
    /// Answers with Protocol-Error.
    ProtocolError,
    /// Answers everything three times.
    Thrice,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Answer(Code, ServerId),
    Failed(Failure),
}

enum Event {
    Opened(ServerId),
    Unreachable(ServerId),
    Packet(LinkId, Vec<u8>),
}

/// Everything around an engine.
pub struct World {
    pub engine: Engine,
    pub begin: Instant,
    pub now: Instant,
    pub manners: BTreeMap<ServerId, Manner>,
    /// Loses a packet to a server when it says so, by its number.
    pub loses: fn(usize) -> bool,
    events: Vec<(Instant, Event)>,
    pub links: BTreeMap<LinkId, ServerId>,
    /// When which server was sent which packet, in milliseconds since the beginning.
    pub sent: Vec<(u64, ServerId, Vec<u8>)>,
    pub ends: BTreeMap<Ticket, Vec<(u64, End)>>,
    pub changes: Vec<(ServerId, Health)>,
    pub probed: Vec<Result<u32, Arc<str>>>,
    pub closed: usize,
    pub requests: usize,
    pub broken: Vec<&'static str>,
    seed: u64,
    tickets: u64,
}

impl World {
    /// A realm `acme` with these servers.
    pub fn new(servers: &[(Transport, Manner)]) -> World {
        let now = Instant::now();
        let mut world = World {
            engine: Engine::default(),
            begin: now,
            now,
            manners: BTreeMap::new(),
            loses: |_| false,
            events: Vec::new(),
            links: BTreeMap::new(),
            sent: Vec::new(),
            ends: BTreeMap::new(),
            changes: Vec::new(),
            probed: Vec::new(),
            closed: 0,
            requests: 0,
            broken: Vec::new(),
            seed: 7,
            tickets: 0,
        };
        let list = (1..).zip(servers).map(|(host, (transport, _))| server(*transport, host)).collect();
        world.engine.configure(&[realm("acme", Target::Servers(list))], now);
        world.manners = world.ids().into_iter().zip(servers.iter().map(|(_, manner)| *manner)).collect();
        world
    }

    pub fn configure(&mut self, realms: &[Realm]) {
        self.engine.configure(realms, self.now);
        self.pump();
    }

    pub fn ids(&self) -> Vec<ServerId> {
        self.engine.status().into_iter().map(|(_, id, _)| id).collect()
    }

    pub fn status(&self, id: ServerId) -> Status {
        self.engine.status().into_iter().find(|(_, other, _)| *other == id).unwrap().2
    }

    pub fn health(&self, at: usize) -> Health {
        self.engine.status()[at].2.health
    }

    /// Submits an Access-Request with EAP.
    pub fn ask(&mut self) -> Result<Ticket, Failure> {
        self.ask_with(&[(AttributeType::EAP_MESSAGE, &[2, 1, 0, 4])])
    }

    pub fn ask_with(&mut self, attributes: &[(AttributeType, &[u8])]) -> Result<Ticket, Failure> {
        self.ask_realm("acme", attributes)
    }

    pub fn ask_realm(&mut self, realm: &str, attributes: &[(AttributeType, &[u8])]) -> Result<Ticket, Failure> {
        let (secret, mut octets) = (RadiusSecret::new(b"testing123"), Vec::new());
        let mut builder = Builder::access_request(1, [5; 16], &secret, &mut octets);
        builder.push(AttributeType::USER_NAME, b"x@acme.example").unwrap();
        attributes.iter().for_each(|(kind, value)| builder.push(*kind, value).unwrap());
        builder.finish();
        self.submit(realm, &octets)
    }

    pub fn submit(&mut self, realm: &str, request: &[u8]) -> Result<Ticket, Failure> {
        let secret = RadiusSecret::new(b"testing123");
        let order = Order {
            realm,
            nai_realm: "acme.example",
            request: Packet::parse(request).unwrap(),
            secret: &secret,
            share: Share::All,
            pseudonym: None,
            nas_identifier: "ap",
        };
        self.tickets += 1;
        let (ticket, seed) = (Ticket(self.tickets), &mut self.seed);
        self.engine.submit(ticket, &order, self.now, &mut |octets| fill(seed, octets))?;
        self.pump();
        Ok(ticket)
    }

    pub fn probe(&mut self, server: ServerId) {
        let seed = &mut self.seed;
        assert!(self.engine.probe(server, self.now, &mut |octets| fill(seed, octets)));
        self.pump();
    }

    /// How a request ended, and after how many milliseconds since the beginning; exactly once.
    pub fn end(&self, ticket: Ticket) -> (u64, End) {
        let ends = &self.ends[&ticket];
        assert_eq!(ends.len(), 1, "{ends:?}");
        ends[0].clone()
    }

    pub fn millis(&self) -> u64 {
        (self.now - self.begin).as_millis() as u64
    }

    /// Lets so many milliseconds pass.
    pub fn pass(&mut self, millis: u64) {
        let last = self.now + Duration::from_millis(millis);
        self.pump();
        for calls in 0.. {
            assert!(calls < 100_000, "no rest");
            let event = self.events.iter().enumerate().min_by_key(|(at, (when, _))| (*when, *at));
            let event = event.map(|(at, (when, _))| (*when, at)).filter(|(when, _)| *when <= last);
            let timeout = self.engine.next_timeout().filter(|when| *when <= last);
            match (event, timeout) {
                (Some((when, at)), timeout) if timeout.is_none_or(|timeout| when <= timeout) => {
                    self.now = self.now.max(when);
                    let (_, event) = self.events.remove(at);
                    self.happens(event);
                }
                (_, Some(when)) => {
                    self.now = self.now.max(when);
                    let seed = &mut self.seed;
                    self.engine.timeout(self.now, &mut |octets| fill(seed, octets));
                }
                _ => break,
            }
            self.pump();
        }
        self.now = last;
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Opened(server) => {
                let link = self.engine.opened(server, self.now);
                self.links.insert(link, server);
            }
            Event::Unreachable(server) => self.engine.unreachable(server, "connection refused".into(), self.now),
            Event::Packet(link, packet) => self.deliver(link, &packet),
        }
    }

    /// A packet comes over a link.
    pub fn deliver(&mut self, link: LinkId, packet: &[u8]) {
        let millis = self.millis();
        match self.engine.receive(link, packet, self.now) {
            Received::Answer(answer) => {
                let end = End::Answer(answer.packet.code(), answer.server);
                self.ends.entry(answer.ticket).or_default().push((millis, end));
            }
            Received::Request(..) => self.requests += 1,
            Received::Nothing => {}
            Received::Broken(why) => {
                self.broken.push(why);
                self.links.remove(&link);
            }
        }
        self.pump();
    }

    /// The server closes all its connections.
    pub fn hang_up(&mut self, server: ServerId) {
        let links: Vec<LinkId> = self.links.iter().filter(|(_, of)| **of == server).map(|(link, _)| *link).collect();
        for link in links {
            self.links.remove(&link);
            self.engine.closed(link, "connection reset".into(), self.now);
        }
        self.pump();
    }

    fn pump(&mut self) {
        while let Some(output) = self.engine.poll() {
            let millis = self.millis();
            match output {
                Output::Open(server) => {
                    let refused = self.manners.get(&server) == Some(&Manner::Refuses);
                    let event = if refused { Event::Unreachable(server) } else { Event::Opened(server) };
                    self.events.push((self.now + Duration::from_millis(1), event));
                }
                Output::Close(link) => {
                    self.closed += 1;
                    self.links.remove(&link);
                }
                Output::Send(link, packet) => {
                    if let Some(server) = self.links.get(&link).copied() {
                        let lost = (self.loses)(self.sent.len());
                        self.sent.push((millis, server, packet.clone()));
                        if !lost {
                            self.serve(link, server, &packet);
                        }
                    }
                    self.engine.reuse(packet);
                }
                Output::Failed(ticket, failure) => {
                    self.ends.entry(ticket).or_default().push((millis, End::Failed(failure)));
                }
                Output::Changed(server, health) => self.changes.push((server, health)),
                Output::Probed(_, result) => self.probed.push(result),
            }
        }
    }

    fn serve(&mut self, link: LinkId, server: ServerId, packet: &[u8]) {
        let Some(manner) = self.manners.get(&server).copied() else { return };
        let transport = self.engine.server(server).unwrap().1.transport;
        let mut secret = RadiusSecret::new(if transport == Transport::Udp { b"testing123" } else { b"radsec" });
        let request = Packet::parse(packet).unwrap();
        let status = request.code() == Code::STATUS_SERVER;
        let (mut delay, mut times, mut octets) = (1, 1, Vec::new());
        match manner {
            Manner::Answers(millis) => delay = millis,
            Manner::Slow(millis) if !status => delay = millis,
            Manner::WrongSecret => secret = RadiusSecret::new(b"another"),
            Manner::Thrice => times = 3,
            Manner::Silent | Manner::Refuses => return,
            Manner::NoStatus if status => return,
            Manner::OnlyStatus if !status => return,
            _ => {}
        }
        let code = match request.code() {
            Code::ACCOUNTING_REQUEST => Code::ACCOUNTING_RESPONSE,
            _ if manner == Manner::ProtocolError && !status => Code::PROTOCOL_ERROR,
            // The conversation goes on for as long as its first octet says.
            _ if request.find(AttributeType::EAP_MESSAGE).is_some_and(|eap| eap.first() == Some(&9)) => {
                Code::ACCESS_CHALLENGE
            }
            _ => Code::ACCESS_ACCEPT,
        };
        let mut builder = match manner {
            Manner::Unsigned => Builder::reply_without_message_authenticator(code, &request, &secret, &mut octets),
            _ => Builder::reply(code, &request, &secret, &mut octets),
        };
        if code == Code::ACCESS_CHALLENGE {
            builder.push(AttributeType::STATE, &[packet[1], 1, 2, 3]).unwrap();
        }
        builder.copy_proxy_states(&request).unwrap();
        builder.finish();
        match manner {
            Manner::Garbage => octets = vec![2, packet[1], 0, 3],
            Manner::Oversized => {
                octets.resize(5000, 0);
                octets[2..4].copy_from_slice(&5000u16.to_be_bytes());
            }
            _ => {}
        }
        for _ in 0..times {
            self.events.push((self.now + Duration::from_millis(delay), Event::Packet(link, octets.clone())));
        }
    }

    /// When requests (not Status-Server) went to a server.
    pub fn times(&self, server: ServerId) -> Vec<u64> {
        self.of(server, |code| code != Code::STATUS_SERVER)
    }

    /// When Status-Server went to a server.
    pub fn probes(&self, server: ServerId) -> Vec<u64> {
        self.of(server, |code| code == Code::STATUS_SERVER)
    }

    fn of(&self, server: ServerId, wanted: fn(Code) -> bool) -> Vec<u64> {
        let of = self.sent.iter().filter(|(_, to, packet)| *to == server && wanted(Code(packet[0])));
        of.map(|(millis, ..)| *millis).collect()
    }
}
