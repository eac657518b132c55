//! What is read off the hellos themselves, as rustls does not tell: the random values for the Session-Id of TLS 1.2, the
//! kinds of credentials (RFC 7250) before a configuration is chosen, and what a device offers when nothing fits.
//!
//! Nothing is refused here: that is left to rustls, and what cannot be read counts as absent.

use super::server::Kind;
use std::borrow::Cow;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const SUPPORTED_VERSIONS: u16 = 43;
const CLIENT_CERTIFICATE_TYPE: u16 = 19;
const SERVER_CERTIFICATE_TYPE: u16 = 20;
const X509: u8 = 0;
const RAW_PUBLIC_KEY: u8 = 2;
const TLS_1_3: u16 = 0x0304;

/// What a ClientHello offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// Its random value.
    pub random: Option<[u8; 32]>,
    /// The highest version.
    pub version: u16,
    /// True when all its cipher suites use the key exchange of RSA alone; false when it has none.
    pub only_rsa_key_exchange: bool,
    /// What it wants each side to show: what it names first.
    pub kind: Kind,
    /// It would show a certificate instead of a raw public key.
    pub also_certificate: bool,
}

impl ClientHello {
    /// Reads TLS records that begin with a ClientHello.
    pub fn read(records: &[u8]) -> ClientHello {
        let mut hello = ClientHello::default();
        let handshake = handshake(records);
        // What was read before the hello ended stands.
        let _ = hello.fill(Octets(&handshake));
        // RFC 7250 with TLS 1.2 is nothing that rustls does.
        if hello.version < TLS_1_3 {
            hello.kind = Kind::default();
        }
        hello
    }

    fn fill(&mut self, mut octets: Octets<'_>) -> Option<()> {
        if octets.u8()? != CLIENT_HELLO {
            return None;
        }
        octets.take(3)?;
        self.version = octets.u16()?;
        self.random = octets.take(32)?.try_into().ok();
        octets.block8()?;
        let (suites, _) = octets.block16()?.as_chunks();
        let mut suites = suites.iter().map(|suite| u16::from_be_bytes(*suite)).filter(|suite| !is_signal(*suite));
        let any = suites.clone().next().is_some();
        self.only_rsa_key_exchange = any && suites.all(is_rsa_key_exchange);
        octets.block8()?;
        let mut extensions = Octets(octets.block16()?);
        while let Some(kind) = extensions.u16() {
            let data = extensions.block16()?;
            match kind {
                SUPPORTED_VERSIONS => {
                    let (versions, _) = Octets(data).block8()?.as_chunks();
                    // GREASE (RFC 8701) is higher than any version.
                    let known = versions.iter().map(|v| u16::from_be_bytes(*v)).filter(|v| *v <= TLS_1_3);
                    self.version = known.max().unwrap_or(self.version);
                }
                CLIENT_CERTIFICATE_TYPE => {
                    let kinds = Octets(data).block8()?;
                    self.kind.device_raw = kinds.first() == Some(&RAW_PUBLIC_KEY);
                    self.also_certificate = kinds.contains(&X509);
                }
                SERVER_CERTIFICATE_TYPE => {
                    self.kind.server_raw = Octets(data).block8()?.first() == Some(&RAW_PUBLIC_KEY)
                }
                _ => {}
            }
        }
        Some(())
    }
}

/// The random value of the ServerHello that TLS records begin with.
pub fn server_random(records: &[u8]) -> Option<[u8; 32]> {
    let handshake = handshake(records);
    let mut octets = Octets(&handshake);
    if octets.u8()? != SERVER_HELLO {
        return None;
    }
    octets.take(5)?;
    octets.take(32)?.try_into().ok()
}

/// No cipher suites: renegotiation (RFC 5746), fallback (RFC 7507), and GREASE (RFC 8701).
fn is_signal(suite: u16) -> bool {
    matches!(suite, 0x00ff | 0x5600) || (suite & 0x0f0f == 0x0a0a && suite >> 8 == suite & 0xff)
}

/// TLS_RSA_WITH_...: of RFC 5246 and its predecessors, RFC 4132 and 5932 (Camellia), 4162 (SEED), 5288 (GCM), 6655 (CCM).
fn is_rsa_key_exchange(suite: u16) -> bool {
    matches!(
        suite,
        0x0001..=0x000a | 0x002f | 0x0035 | 0x003b..=0x003d | 0x0041 | 0x0084 | 0x0096 | 0x009c | 0x009d | 0x00ba
            | 0x00c0 | 0xc09c | 0xc09d | 0xc0a0 | 0xc0a1
    )
}

/// The handshake octets of the records at the beginning; copied only when there are several records.
fn handshake(records: &[u8]) -> Cow<'_, [u8]> {
    let mut all = Cow::Borrowed(&[][..]);
    let mut octets = Octets(records);
    while let Some(HANDSHAKE) = octets.u8() {
        let Some(piece) = octets.take(2).and_then(|_| octets.block16()) else { break };
        if all.is_empty() {
            all = Cow::Borrowed(piece);
        } else {
            all.to_mut().extend_from_slice(piece);
        }
    }
    all
}

struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn block8(&mut self) -> Option<&'a [u8]> {
        let count = self.u8()?;
        self.take(count.into())
    }

    fn block16(&mut self) -> Option<&'a [u8]> {
        let count = self.u16()?;
        self.take(count.into())
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A ClientHello of these suites and extensions, in records of at most `record` octets.
    pub fn client_hello(version: u16, suites: &[u16], extensions: &[(u16, &[u8])], record: usize) -> Vec<u8> {
        let extensions = extensions
            .iter()
            .flat_map(|(kind, data)| [&kind.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat());
        let extensions = extensions.collect::<Vec<u8>>();
        let mut body = version.to_be_bytes().to_vec();
        body.extend([7; 32]);
        body.push(0);
        body.extend((2 * suites.len() as u16).to_be_bytes());
        body.extend(suites.iter().flat_map(|suite| suite.to_be_bytes()));
        body.extend([1, 0]);
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        let mut message = vec![CLIENT_HELLO, 0];
        message.extend((body.len() as u16).to_be_bytes());
        message.extend(body);
        let records = message
            .chunks(record)
            .map(|piece| [&[HANDSHAKE, 3, 1][..], &(piece.len() as u16).to_be_bytes(), piece].concat());
        records.collect::<Vec<_>>().concat()
    }

    #[test]
    fn client_hellos() {
        let versions = (SUPPORTED_VERSIONS, &[6, 0x5a, 0x5a, 3, 4, 3, 3][..]);
        for record in [7, 50, 10_000] {
            let hello = ClientHello::read(&client_hello(0x0303, &[0x1301, 0x2f], &[versions], record));
            assert_eq!(hello.random, Some([7; 32]));
            assert_eq!((hello.version, hello.only_rsa_key_exchange, hello.kind), (0x0304, false, Kind::default()));
        }
        let old = ClientHello::read(&client_hello(0x0301, &[0x002f, 0x0035, 0x000a, 0x00ff, 0x0a0a], &[], 999));
        assert_eq!((old.version, old.only_rsa_key_exchange), (0x0301, true));
        assert!(!ClientHello::read(&client_hello(0x0303, &[0x00ff], &[], 999)).only_rsa_key_exchange);
    }

    #[test]
    fn kinds_of_credentials() {
        let versions = (SUPPORTED_VERSIONS, &[2, 3, 4][..]);
        let table: [(&[u8], &[u8], bool, bool); 4] = [
            (&[1, 2], &[1, 2], true, true),
            (&[2, 2, 0], &[2, 0, 2], true, false),
            (&[2, 0, 2], &[2, 2, 0], false, true),
            (&[0], &[9, 2], false, false),
        ];
        for (client, server, device_raw, server_raw) in table {
            let extensions = [versions, (CLIENT_CERTIFICATE_TYPE, client), (SERVER_CERTIFICATE_TYPE, server)];
            let hello = ClientHello::read(&client_hello(0x0303, &[0x1301], &extensions, 999));
            assert_eq!(hello.kind, Kind { device_raw, server_raw }, "{client:?} {server:?}");
            let hello = ClientHello::read(&client_hello(0x0303, &[0xc02f], &extensions[1..], 999));
            assert_eq!(hello.kind, Kind::default(), "TLS 1.2 has no raw public keys here");
        }
    }

    #[test]
    fn nothing_breaks_it() {
        let whole = client_hello(0x0303, &[0x1301], &[(SUPPORTED_VERSIONS, &[2, 3, 4])], 20);
        for end in 0..whole.len() {
            let hello = ClientHello::read(&whole[..end]);
            assert!(hello.random.is_none() || hello.random == Some([7; 32]));
        }
        assert_eq!(ClientHello::read(b"\x15\x03\x03\0\x02\x02\x28"), ClientHello::default());
        assert_eq!(server_random(&whole), None);
        let server = [&[22, 3, 3, 0, 38, 2, 0, 0, 34, 3, 3][..], &[9; 32]].concat();
        assert_eq!(server_random(&server), Some([9; 32]));
    }
}
