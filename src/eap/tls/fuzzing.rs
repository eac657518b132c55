//! The entry of the fuzz target: framing, hellos and exchanges on arbitrary octets.

use super::fragment::{Fragment, Incoming, MAX_MESSAGE, Outgoing};
use super::hello::{ClientHello, server_random};
use super::method::Tls;
use super::{Server, Settings};
use crate::eap::{Context, Credentials, Method, Progress};
use crate::pki::authority::{Authority, Key};
use crate::registry::device::DeviceId;
use crate::secret::EapPskKey;
use crate::time::UnixTime;
use rustls::pki_types::CertificateDer;
use std::sync::OnceLock;

const MTU: usize = 1020;
const NOW: UnixTime = UnixTime(1_800_000_000);

struct Nobody;

impl Credentials for Nobody {
    fn eap_psk(&self, _: &[u8]) -> Option<(DeviceId, EapPskKey)> {
        None
    }
}

/// A server that trusts nobody.
fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let make = || {
        let mut random = |octets: &mut [u8]| octets.fill(7);
        let authority = Authority::new(Key::generate().ok()?, NOW, &mut random).ok()?;
        let key = Key::generate().ok()?;
        let certificate = authority.server("latchkey.test", &key, NOW, &mut random).ok()?;
        Server::new(vec![CertificateDer::from(certificate)], key.to_rustls(), Settings::default()).ok()
    };
    SERVER.get_or_init(make).as_ref()
}

/// Reads `data` as pieces, each two octets of length and the type-data of a response, and lets an exchange have them.
///
/// # Panics
/// If somebody gets in, memory is not bounded, or fragments do not come together: that is what the fuzzer looks for.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let _ = (ClientHello::read(data), server_random(data));
    together(data);
    let Some(server) = server() else { return };
    let mut random = |octets: &mut [u8]| octets.fill(7);
    let mut context = Context {
        credentials: &Nobody,
        random: &mut random,
        wall: NOW,
        mtu: MTU,
        server_id: b"latchkey.test",
        tls: Some(server),
    };
    let mut method = Tls::new(server);
    assert!(method.begin(&mut context) == [0x20]);
    let mut rest = data;
    while let Some((length, after)) = rest.split_first_chunk() {
        let (piece, after) = after.split_at(usize::from(u16::from_be_bytes(*length)).min(after.len()));
        rest = after;
        match method.receive(piece, &mut context) {
            Progress::Request(request) => assert!(!request.is_empty() && request.len() <= MTU - 5),
            Progress::Failure(problem) => {
                assert!(!problem.to_string().is_empty());
                break;
            }
            Progress::Discard(_) => {}
            Progress::Proved(_) | Progress::Success(_) => panic!("somebody without a certificate was let in"),
        }
        assert!(method.octets() <= 3 * MAX_MESSAGE);
        let _ = (method.failed(), method.last_sent(), method.detail());
    }
}

/// A message cut into fragments of the size that its first octet says comes together again.
fn together(data: &[u8]) {
    let Some((room, message)) = data.split_first() else { return };
    let (mut outgoing, mut incoming) = (Outgoing::new(message.to_vec()), Incoming::default());
    while outgoing.is_pending() {
        let piece = outgoing.next(6 + usize::from(*room));
        match Fragment::parse(&piece).and_then(|fragment| incoming.add(&fragment)) {
            Ok(None) => assert!(outgoing.is_pending()),
            Ok(Some(whole)) => assert!(*whole == *message && !outgoing.is_pending()),
            Err(error) => assert!(message.len() > MAX_MESSAGE, "{error}"),
        }
    }
}
