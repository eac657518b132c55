//! DNS messages (RFC 1035, 4), as little of them as it takes to find a server: one question goes out, the answers to it come
//! in. The types are A, AAAA (RFC 3596), CNAME, SRV (RFC 2782) and NAPTR (RFC 3403).
//!
//! Reading is bounded: pointers lead backwards only, a name has at most 255 octets, and of a message at most [`RECORDS`]
//! records are kept.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// How many answers of a message are looked at.
pub const RECORDS: usize = 64;
/// The most octets of a name on the wire (RFC 1035, 2.3.4).
const NAME_OCTETS: usize = 255;
/// The most octets of a label.
const LABEL_OCTETS: usize = 63;
/// How often CNAME leads on within one answer.
const ALIASES: usize = 8;
/// The class of everything.
const IN: u16 = 1;

/// A name: labels of letters, digits, `-` and `_`, in lower case, without a dot at the end. Names with anything else in them
/// name no server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

impl Name {
    /// Checks a name.
    pub fn new(text: &str) -> Option<Name> {
        let fits = text.len() + 2 <= NAME_OCTETS && text.split('.').all(|label| is_label(label.as_bytes()));
        fits.then(|| Name(text.to_ascii_lowercase().into()))
    }

    /// The name with this in front of it, such as `_radiustls._tcp`.
    pub fn below(&self, prefix: &str) -> Option<Name> {
        Name::new(&format!("{prefix}.{}", self.0))
    }

    /// Its characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_label(label: &[u8]) -> bool {
    let usable = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    (1..=LABEL_OCTETS).contains(&label.len()) && label.iter().all(usable)
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Servers of a service.
    Srv,
    /// Which services there are.
    Naptr,
}

impl Kind {
    /// Its number on the wire.
    pub fn number(self) -> u16 {
        match self {
            Kind::A => 1,
            Kind::Aaaa => 28,
            Kind::Srv => 33,
            Kind::Naptr => 35,
        }
    }
}

const CNAME: u16 = 5;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    /// About which name.
    pub name: Name,
    /// What.
    pub kind: Kind,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// The name is another one's (RFC 1034, 3.6.2).
    Cname(Name),
    /// A server.
    Srv {
        /// Lower ones first.
        priority: u16,
        /// Its share among those with the same priority.
        weight: u16,
        /// Its port.
        port: u16,
        /// Its name.
        target: Name,
    },
    /// A service (RFC 3403, 4.1).
    Naptr {
        /// Lower ones first.
        order: u16,
        /// Lower ones first among those with the same order.
        preference: u16,
        /// What comes next, in lower case: `s` for SRV, `a` for addresses.
        flags: Box<str>,
        /// Which service, in lower case.
        service: Box<str>,
        /// Whether there is a regular expression, which discovery of servers has no use for (RFC 3958, 2.2.1).
        has_regexp: bool,
        /// Where to go on.
        replacement: Name,
    },
}

impl Data {
    fn is(&self, kind: Kind) -> bool {
        matches!(
            (self, kind),
            (Data::A(_), Kind::A)
                | (Data::Aaaa(_), Kind::Aaaa)
                | (Data::Srv { .. }, Kind::Srv)
                | (Data::Naptr { .. }, Kind::Naptr)
        )
    }
}

/// A record of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// About which name.
    pub name: Name,
    /// How long it may be kept, seconds.
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// It did not fit: ask over TCP.
    pub truncated: bool,
    /// RCODE: 0 no error, 3 no such name (RFC 1035, 4.1.1).
    pub code: u8,
    /// The records of the types above; those of other types, classes, or with names that name no server are left out.
    pub records: Vec<Record>,
}

/// Why octets are not the answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// It is not the answer to this question: other identifier, other question, or no answer at all.
    NotOurs,
    /// It ends too early, or is garbled.
    Malformed,
}

/// Where the records of an answer lead to.
#[derive(Debug, PartialEq, Eq)]
pub struct Resolved<'a> {
    /// The name they are about: another one than was asked for, if that is an alias.
    pub name: Name,
    /// The shortest time that anything of it may be kept, seconds; `u32::MAX` if nothing was said.
    pub ttl: u32,
    /// The records of the type asked for.
    pub records: Vec<&'a Data>,
}

impl Reply {
    /// Follows aliases from the name that was asked for to the records. `None` when they lead too far, or in a circle.
    pub fn resolve(&self, question: &Question) -> Option<Resolved<'_>> {
        let (mut name, mut ttl) = (question.name.clone(), u32::MAX);
        for _ in 0..=ALIASES {
            let about = || self.records.iter().filter(|record| record.name == name);
            let found: Vec<&Record> = about().filter(|record| record.data.is(question.kind)).collect();
            if !found.is_empty() {
                let ttl = found.iter().map(|record| record.ttl).fold(ttl, u32::min);
                return Some(Resolved { name, ttl, records: found.into_iter().map(|record| &record.data).collect() });
            }
            let alias = about().find_map(|record| match &record.data {
                Data::Cname(target) => Some((target.clone(), record.ttl)),
                _ => None,
            });
            match alias {
                Some((target, its)) => (name, ttl) = (target, ttl.min(its)),
                None => return Some(Resolved { name, ttl, records: Vec::new() }),
            }
        }
        None
    }
}

/// Writes a query: one question, recursion desired.
pub fn write_query(id: u16, question: &Question, out: &mut Vec<u8>) {
    out.clear();
    out.extend(id.to_be_bytes());
    // RD; one question, nothing else.
    out.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
    write_name(&question.name, out);
    out.extend(question.kind.number().to_be_bytes());
    out.extend(IN.to_be_bytes());
}

fn write_name(name: &Name, out: &mut Vec<u8>) {
    for label in name.0.split('.') {
        // Checked when the name was made: 1 to 63 octets.
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
}

/// Reads the answer to a query with this identifier.
///
/// # Errors
/// When it is not that.
pub fn parse_reply(octets: &[u8], id: u16, question: &Question) -> Result<Reply, Ignored> {
    let mut reader = Reader { octets, at: 0 };
    let got = reader.u16()?;
    let flags = reader.u16()?;
    // QR set, OPCODE 0.
    if got != id || flags & 0xf800 != 0x8000 {
        return Err(Ignored::NotOurs);
    }
    let (questions, answers) = (reader.u16()?, reader.u16()?);
    reader.skip(4)?;
    if questions != 1 {
        return Err(Ignored::NotOurs);
    }
    let name = reader.name()?;
    let (kind, class) = (reader.u16()?, reader.u16()?);
    if name.as_ref() != Some(&question.name) || kind != question.kind.number() || class != IN {
        return Err(Ignored::NotOurs);
    }
    let truncated = flags & 0x0200 != 0;
    // RCODE has 4 bits.
    let mut reply = Reply { truncated, code: (flags & 0xf) as u8, records: Vec::new() };
    for _ in 0..answers {
        if truncated || reply.records.len() >= RECORDS {
            break;
        }
        reply.records.extend(reader.record()?);
    }
    Ok(reply)
}

struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Ignored> {
        let end = self.at.checked_add(count).ok_or(Ignored::Malformed)?;
        let taken = self.octets.get(self.at..end).ok_or(Ignored::Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn skip(&mut self, count: usize) -> Result<(), Ignored> {
        self.take(count).map(|_| ())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Ignored> {
        self.take(N)?.try_into().map_err(|_| Ignored::Malformed)
    }

    fn u16(&mut self) -> Result<u16, Ignored> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, Ignored> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// A character-string (RFC 1035, 3.3).
    fn text(&mut self) -> Result<&'a [u8], Ignored> {
        let [length] = self.array()?;
        self.take(length.into())
    }

    /// A name, compressed or not; `None` when it has labels that no server's name has, and for the root.
    fn name(&mut self) -> Result<Option<Name>, Ignored> {
        let (mut at, mut end, mut octets) = (self.at, None, 1);
        let mut text = String::new();
        let mut usable = true;
        loop {
            let start = at;
            let length = usize::from(*self.octets.get(at).ok_or(Ignored::Malformed)?);
            at += 1;
            match length {
                0 => break,
                1..=LABEL_OCTETS => {
                    let label = self.octets.get(at..at + length).ok_or(Ignored::Malformed)?;
                    at += length;
                    octets += 1 + length;
                    if octets > NAME_OCTETS {
                        return Err(Ignored::Malformed);
                    }
                    usable &= is_label(label);
                    if usable {
                        if !text.is_empty() {
                            text.push('.');
                        }
                        text.extend(label.iter().map(|octet| char::from(octet.to_ascii_lowercase())));
                    }
                }
                0xc0..=0xff => {
                    let low = usize::from(*self.octets.get(at).ok_or(Ignored::Malformed)?);
                    end.get_or_insert(at + 1);
                    at = (length & 0x3f) << 8 | low;
                    // Each pointer leads to before itself, so there is no circle; and the labels passed count.
                    octets += 1;
                    if at >= start || octets > NAME_OCTETS {
                        return Err(Ignored::Malformed);
                    }
                }
                _ => return Err(Ignored::Malformed),
            }
        }
        self.at = end.unwrap_or(at);
        Ok((usable && !text.is_empty()).then(|| Name(text.into())))
    }

    /// A record; nothing when it is none of ours.
    fn record(&mut self) -> Result<Option<Record>, Ignored> {
        let name = self.name()?;
        let (kind, class, ttl) = (self.u16()?, self.u16()?, self.u32()?);
        let length = usize::from(self.u16()?);
        let end = self.at.checked_add(length).filter(|end| *end <= self.octets.len()).ok_or(Ignored::Malformed)?;
        let data = if class == IN { self.data(kind, length)? } else { None };
        // What a record says ends where it does.
        if data.is_some() && self.at != end {
            return Err(Ignored::Malformed);
        }
        self.at = end;
        // A TTL with the highest bit set counts as 0 (RFC 2181, 8).
        let ttl = if ttl > i32::MAX as u32 { 0 } else { ttl };
        Ok(name.zip(data).map(|(name, data)| Record { name, ttl, data }))
    }

    fn data(&mut self, kind: u16, length: usize) -> Result<Option<Data>, Ignored> {
        Ok(match kind {
            1 if length == 4 => Some(Data::A(Ipv4Addr::from(self.array::<4>()?))),
            28 if length == 16 => Some(Data::Aaaa(Ipv6Addr::from(self.array::<16>()?))),
            1 | 28 => return Err(Ignored::Malformed),
            CNAME => self.name()?.map(Data::Cname),
            33 => {
                let (priority, weight, port) = (self.u16()?, self.u16()?, self.u16()?);
                self.name()?.map(|target| Data::Srv { priority, weight, port, target })
            }
            35 => {
                let (order, preference) = (self.u16()?, self.u16()?);
                let (flags, service, regexp) = (self.text()?, self.text()?, self.text()?);
                let lower = |text: &[u8]| String::from_utf8_lossy(text).to_ascii_lowercase().into_boxed_str();
                let (flags, service, has_regexp) = (lower(flags), lower(service), !regexp.is_empty());
                let replacement = self.name()?;
                replacement.map(|replacement| Data::Naptr {
                    order,
                    preference,
                    flags,
                    service,
                    has_regexp,
                    replacement,
                })
            }
            _ => None,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
