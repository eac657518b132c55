//! The EAP server (RFC 3748): conversations and methods, without I/O, clock or randomness of their own.
//!
//! A [`Method`] is one exchange of one device. To add one: a folder here, and a line in [`METHODS`].

pub mod conversation;
#[cfg(test)]
mod conversation_tests;
pub mod fuzzing;
#[cfg(test)]
mod net_tests;
pub mod problem;
pub mod psk;
#[cfg(test)]
mod testing;
pub mod tls;

use crate::pki::{CertificateInfo, Voucher};
use crate::registry::device::DeviceId;
use crate::secret::{EapKeys, EapPskKey};
use crate::time::UnixTime;
use problem::Problem;
use std::sync::Arc;

/// The methods there are, in the order in which they are proposed to a device nobody knows anything of.
pub static METHODS: &[Entry] = &[tls::ENTRY, psk::ENTRY];

/// A line of the method table.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// EAP type (RFC 3748, 4.1), one of the IETF's.
    pub kind: u8,
    /// What people call it.
    pub name: &'static str,
    /// Starts one exchange. `None`: the method is not set up. Must be cheap: it is also called to see what there is.
    pub begin: fn(&mut Context<'_>) -> Option<Box<dyn Method + Send>>,
}

/// What the server has to know, handed in with each packet.
pub struct Context<'a> {
    /// Looks up EAP-PSK keys.
    pub credentials: &'a dyn Credentials,
    /// Fills a buffer with unpredictable octets.
    pub random: &'a mut dyn FnMut(&mut [u8]),
    /// The time to judge certificates by.
    pub wall: UnixTime,
    /// How many octets an EAP packet may have on its way to the supplicant (Framed-MTU of the request, within 500 to 1400).
    pub mtu: usize,
    /// ID_S of EAP-PSK: the server's name.
    pub server_id: &'a [u8],
    /// Our certificate, whom we trust, and what is kept for resumption. `None`: there is no EAP-TLS.
    pub tls: Option<&'a tls::Server>,
}

/// Who has which key.
pub trait Credentials {
    /// The key of the device with this NAI (octet for octet), whether the device is blocked or not.
    fn eap_psk(&self, nai: &[u8]) -> Option<(DeviceId, EapPskKey)>;

    /// True when the administrator wants this method (its EAP type) to be offered.
    fn offers(&self, _kind: u8) -> bool {
        true
    }

    /// The EAP type to propose first to a device that gives this identity, where the hint does not tell.
    fn first_method(&self, identity: &[u8]) -> Option<u8> {
        self.eap_psk(identity).map(|_| psk::ENTRY.kind)
    }
}

/// Who a device has proved to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proved {
    /// It has the EAP-PSK key of this device.
    Psk(DeviceId),
    /// It has the private key of this certificate, and the certificate is good.
    Certificate(Arc<CertificateInfo>, Voucher),
    /// It has the private key of this registered raw public key (SHA-256 of the SubjectPublicKeyInfo).
    PublicKey([u8; 32]),
}

/// What a method makes of a response.
#[derive(Debug)]
pub enum Progress {
    /// Send this as type-data of the next request.
    Request(Vec<u8>),
    /// The device proved who it is: decide, then [`Method::decided`].
    Proved(Proved),
    /// It is over, with an EAP-Success.
    Success(EapKeys),
    /// It is over, with an EAP-Failure.
    Failure(Problem),
    /// The response counts as if it had never come (RFC 3748, 2.1): the last request still stands.
    Discard(&'static str),
}

/// One exchange of a method. Each call takes the type-data of a response, which is what follows the Type octet.
pub trait Method {
    /// Told before each response: its identifier, and that of the request that would follow. For methods whose proofs
    /// cover the header of the packet.
    fn identifiers(&mut self, _response: u8, _request: u8) {}
    /// The type-data of the first request.
    fn begin(&mut self, context: &mut Context<'_>) -> Vec<u8>;
    /// Takes the type-data of a response.
    fn receive(&mut self, data: &[u8], context: &mut Context<'_>) -> Progress;
    /// Goes on after [`Progress::Proved`]: the device may in, or not. A refusal is said within the method if it can.
    fn decided(&mut self, admitted: bool, context: &mut Context<'_>) -> Progress;
    /// Octets of memory it holds at present, about.
    fn octets(&self) -> usize;
    /// What it has sent last, if the device does not go on; in words that follow "after" ("our certificate").
    fn last_sent(&self) -> &'static str {
        "our last message"
    }
    /// Why it failed, when the device only has yet to hear of it; `None` before.
    fn failed(&self) -> Option<Problem> {
        None
    }
    /// What is to be known of it beside its name in the log ("1.3, resumed"); empty if nothing.
    fn detail(&self) -> &'static str {
        ""
    }
}
