//! One realm's lookup (RFC 7585, 3.4): NAPTR for the realm, SRV for what it names or, when it names nothing of ours, for
//! `_radiustls._tcp` below the realm, then the addresses of those servers.
//!
//! It goes in three stages. Each asks all of its questions at once, and the next begins when all are answered or given up.

use super::message::{Data, Kind, Name, Question, Reply};
use crate::config::{Host, Server, Transport};
use crate::sorted::SortedMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The service that is looked for: authentication over RADIUS/TLS (RFC 7585, 2.1.1).
pub const SERVICE: &str = "aaa+auth:radius.tls.tcp";
/// The service for SRV where there is no NAPTR (RFC 7585, 2.1.1.3).
pub const SRV_PREFIX: &str = "_radiustls._tcp";
/// How long a lookup takes at most: DNS_TIMEOUT (RFC 7585, 3.4.1).
pub const DNS_TIMEOUT: Duration = Duration::from_secs(3);
/// An answer counts for at least this long, seconds: MIN_EFF_TTL.
const MIN_EFF_TTL: u32 = 60;
/// And for no longer than this, seconds.
const MAX_EFF_TTL: u32 = 86_400;
/// How many servers of a realm are used.
const SERVERS: usize = 8;
/// How many NAPTR records of a realm are followed.
const BRANCHES: usize = 4;
/// How often an answer that is only an alias is followed with another question.
const HOPS: u8 = 4;
/// The port, when DNS names an address only (RFC 6614, 2.1).
const PORT: u16 = 2083;

/// A server and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The server, by its name.
    pub server: Server,
    /// The addresses of that name.
    pub addresses: Vec<IpAddr>,
}

/// Why a realm has no servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// No name server answered in time.
    Silent,
    /// A name server answered that it cannot (RCODE).
    Failed(u8),
    /// DNS names none.
    None,
    /// DNS names these, and none of them has an address.
    NoAddress(Name),
    /// It is us (RFC 7585, 3.4.3, 19).
    Ourselves(SocketAddr),
    /// It is an address that no server of others can have.
    Nowhere(IpAddr),
}

/// True for an address that leads nowhere, to this host, or to one on the same link: DNS of strangers must not send us there.
pub fn is_nowhere(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            // 0.0.0.0/8 is this host, too (RFC 1122, 3.2.1.3).
            ip.octets()[0] == 0 || ip.is_loopback() || ip.is_link_local() || ip.is_multicast() || ip.is_broadcast()
        }
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_loopback() || ip.is_unicast_link_local() || ip.is_multicast(),
    }
}

impl Trouble {
    /// True when it may be over soon, since it says nothing about the realm.
    pub fn is_passing(&self) -> bool {
        matches!(self, Trouble::Silent | Trouble::Failed(_))
    }

    /// In words, with the mend where there is one.
    pub fn words(&self, realm: &str) -> Arc<str> {
        struct Words<'a>(&'a Trouble, &'a str);
        impl fmt::Display for Words<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let Words(trouble, realm) = self;
                match trouble {
                    Trouble::Silent => write!(
                        f,
                        "DNS did not answer when asked for the servers of '{realm}': is the uplink there, and are \
                         the name servers in /etc/resolv.conf right?"
                    ),
                    Trouble::Failed(code) => {
                        let code = match code {
                            2 => "SERVFAIL",
                            5 => "REFUSED",
                            _ => "an error",
                        };
                        write!(f, "DNS answered {code} when asked for the servers of '{realm}'")
                    }
                    Trouble::None => {
                        write!(
                            f,
                            "DNS names no RadSec server for '{realm}' (neither NAPTR {SERVICE} nor SRV {SRV_PREFIX})"
                        )
                    }
                    Trouble::NoAddress(host) => {
                        write!(f, "DNS names {host} as server of '{realm}', but no address of it")
                    }
                    Trouble::Nowhere(address) => write!(
                        f,
                        "DNS names {address} as server of '{realm}', where no server of others can be: if it is right, name the \
                         realm itself in the section (list realm '{realm}')"
                    ),
                    Trouble::Ourselves(address) => {
                        write!(f, "DNS names this very host ({address}) as server of '{realm}': that would be a loop")
                    }
                }
            }
        }
        Words(self, realm).to_string().into()
    }
}

/// An answer, or that there is none.
#[derive(Debug)]
pub enum Answer<'a> {
    /// What came.
    Reply(&'a Reply),
    /// Nothing came in time.
    None,
}

/// What comes of a lookup.
pub type Outcome = Result<(Vec<Found>, u32), Trouble>;

/// A question that is under way, and what is known so far.
#[derive(Debug)]
struct Asked {
    /// What was asked first, before aliases.
    purpose: Question,
    hops: u8,
    done: bool,
}

/// Which questions are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Naptr,
    Srv,
    Addresses,
}

/// A server that DNS named, before its address is known: smaller ranks first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// Of the NAPTR record: order and preference.
    branch: (u16, u16),
    priority: u16,
    /// Drawn by weight (RFC 2782); smaller ones first.
    draw: u32,
    host: Name,
    port: u16,
}

/// A lookup under way.
#[derive(Debug)]
pub struct Lookup {
    realm: Name,
    /// When it ends, whatever is known then.
    pub deadline: Instant,
    stage: Stage,
    asked: Vec<Asked>,
    /// The names that have SRV records, with the rank of the NAPTR record that named them.
    services: Vec<((u16, u16), Name)>,
    candidates: Vec<Candidate>,
    addresses: SortedMap<Name, Vec<IpAddr>>,
    ttl: u32,
    /// The last thing that went wrong with DNS itself.
    trouble: Option<Trouble>,
}

impl Lookup {
    /// Begins; the first question is returned.
    pub fn new(realm: Name, now: Instant) -> (Lookup, Question) {
        let question = Question { name: realm.clone(), kind: Kind::Naptr };
        let asked = vec![Asked { purpose: question.clone(), hops: 0, done: false }];
        let lookup = Lookup {
            realm,
            deadline: now + DNS_TIMEOUT,
            stage: Stage::Naptr,
            asked,
            services: Vec::new(),
            candidates: Vec::new(),
            addresses: SortedMap::new(),
            ttl: u32::MAX,
            trouble: None,
        };
        (lookup, question)
    }

    /// Takes the answer to a question; `purpose` is that question, or the one it followed from. What to ask next is put into
    /// `questions`, each with its purpose. Returns the outcome when there is one.
    pub fn answered(
        &mut self,
        purpose: &Question,
        question: &Question,
        answer: &Answer<'_>,
        questions: &mut Vec<(Question, Question)>,
        mut random: impl FnMut() -> u32,
        is_own: impl Fn(SocketAddr) -> bool,
    ) -> Option<Outcome> {
        let asked = self.asked.iter_mut().find(|asked| asked.purpose == *purpose && !asked.done)?;
        asked.done = true;
        match answer {
            Answer::None => self.trouble = Some(Trouble::Silent),
            Answer::Reply(reply) if !matches!(reply.code, 0 | 3) => self.trouble = Some(Trouble::Failed(reply.code)),
            Answer::Reply(reply) => {
                if let Some(resolved) = reply.resolve(question) {
                    self.ttl = self.ttl.min(resolved.ttl);
                    if resolved.records.is_empty() && resolved.name != question.name && asked.hops < HOPS {
                        // A name server that follows no aliases.
                        (asked.done, asked.hops) = (false, asked.hops + 1);
                        questions.push((purpose.clone(), Question { name: resolved.name, kind: question.kind }));
                        return None;
                    }
                    self.learn(purpose, &resolved.records, &mut random);
                }
            }
        }
        if self.asked.iter().any(|asked| !asked.done) {
            return None;
        }
        self.go_on(questions, &is_own)
    }

    /// Time is up: what is known counts.
    pub fn give_up(&mut self, is_own: impl Fn(SocketAddr) -> bool) -> Outcome {
        self.trouble = Some(Trouble::Silent);
        self.finish(&is_own)
    }

    fn learn(&mut self, purpose: &Question, records: &[&Data], random: &mut impl FnMut() -> u32) {
        for data in records {
            match data {
                Data::Naptr { order, preference, flags, service, has_regexp: false, replacement }
                    if **service == *SERVICE =>
                {
                    let branch = (*order, *preference);
                    match &**flags {
                        "s" => self.services.push((branch, replacement.clone())),
                        "a" => self.candidates.push(Candidate {
                            branch,
                            priority: 0,
                            draw: 0,
                            host: replacement.clone(),
                            port: PORT,
                        }),
                        _ => {}
                    }
                }
                Data::Srv { priority, weight, port, target } => {
                    let branch = self.services.iter().find(|(_, name)| *name == purpose.name);
                    let candidate = Candidate {
                        branch: branch.map_or((0, 0), |(branch, _)| *branch),
                        priority: *priority,
                        draw: draw(*weight, random()),
                        host: target.clone(),
                        port: *port,
                    };
                    self.candidates.push(candidate);
                }
                Data::A(address) => self.locate(purpose, IpAddr::from(*address)),
                Data::Aaaa(address) => self.locate(purpose, IpAddr::from(*address)),
                Data::Naptr { .. } | Data::Cname(_) => {}
            }
        }
    }

    fn locate(&mut self, purpose: &Question, address: IpAddr) {
        let of_it = self.addresses.or_default(purpose.name.clone());
        if of_it.len() < SERVERS && !of_it.contains(&address) {
            of_it.push(address);
        }
    }

    /// All questions of a stage are answered.
    fn go_on(
        &mut self,
        questions: &mut Vec<(Question, Question)>,
        is_own: &impl Fn(SocketAddr) -> bool,
    ) -> Option<Outcome> {
        let next: Vec<Question> = match self.stage {
            Stage::Naptr => {
                // Without an answer nothing is known, and nothing else is tried (RFC 7585, 3.4.3, 6).
                if let Some(trouble) = self.trouble.take() {
                    return Some(Err(trouble));
                }
                if self.services.is_empty() && self.candidates.is_empty() {
                    self.services.extend(self.realm.below(SRV_PREFIX).map(|name| ((0, 0), name)));
                }
                self.services.sort();
                self.services.dedup_by(|one, other| one.1 == other.1);
                self.services.truncate(BRANCHES);
                self.stage = Stage::Srv;
                let names = self.services.iter().map(|(_, name)| name.clone());
                names.map(|name| Question { name, kind: Kind::Srv }).collect()
            }
            Stage::Srv => {
                self.stage = Stage::Addresses;
                self.candidates.sort();
                let mut kept: Vec<Candidate> = Vec::new();
                for candidate in self.candidates.drain(..) {
                    let known = kept.iter().any(|k| (&k.host, k.port) == (&candidate.host, candidate.port));
                    if !known && candidate.port != 0 && kept.len() < SERVERS {
                        kept.push(candidate);
                    }
                }
                self.candidates = kept;
                let mut hosts: Vec<Name> = self.candidates.iter().map(|candidate| candidate.host.clone()).collect();
                hosts.sort();
                hosts.dedup();
                let both = |name: Name| [Kind::A, Kind::Aaaa].map(|kind| Question { name: name.clone(), kind });
                hosts.into_iter().flat_map(both).collect()
            }
            Stage::Addresses => return Some(self.finish(is_own)),
        };
        self.asked = next.iter().map(|q| Asked { purpose: q.clone(), hops: 0, done: false }).collect();
        if next.is_empty() {
            // "a" records need no SRV, and no candidates no addresses.
            return self.go_on(questions, is_own);
        }
        questions.extend(next.into_iter().map(|question| (question.clone(), question)));
        None
    }

    /// What is known is the outcome.
    fn finish(&mut self, is_own: &impl Fn(SocketAddr) -> bool) -> Outcome {
        let mut found = Vec::new();
        for candidate in &self.candidates {
            let Some(addresses) = self.addresses.get(&candidate.host) else { continue };
            let mut there = addresses.iter().map(|address| SocketAddr::new(*address, candidate.port));
            if let Some(own) = there.find(|there| is_own(*there)) {
                return Err(Trouble::Ourselves(own));
            }
            let server = Server {
                transport: Transport::Radsec,
                host: Host::Name(candidate.host.as_str().into()),
                port: candidate.port,
            };
            found.push(Found { server, addresses: addresses.clone() });
        }
        match (found.is_empty(), self.trouble.take(), self.candidates.first()) {
            (false, ..) => Ok((found, self.ttl.clamp(MIN_EFF_TTL, MAX_EFF_TTL))),
            (true, Some(trouble), _) => Err(trouble),
            (true, None, Some(candidate)) => Err(Trouble::NoAddress(candidate.host.clone())),
            (true, None, None) => Err(Trouble::None),
        }
    }
}

/// A place in line that is the nearer to the front, on average, the greater the weight (RFC 2782): the smallest of
/// exponentially distributed numbers is each one's with the probability of its share. Weight 0 comes last.
fn draw(weight: u16, random: u32) -> u32 {
    if weight == 0 {
        return u32::MAX;
    }
    // 0 < uniform <= 1, so the logarithm is finite.
    let uniform = (f64::from(random) + 1.0) / (f64::from(u32::MAX) + 1.0);
    let place = -uniform.ln() / f64::from(weight);
    // At most 22.2: the scale keeps it below 2^32, and the cast saturates.
    (place * f64::from(1u32 << 27)) as u32
}
