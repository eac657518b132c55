//! A supplicant's side of EAP (RFC 3748), written apart from the library like everything the generator checks with.

pub const REQUEST: u8 = 1;
pub const RESPONSE: u8 = 2;
pub const SUCCESS: u8 = 3;
const IDENTITY: u8 = 1;
const NOTIFICATION: u8 = 2;
const NAK: u8 = 3;
pub const TLS: u8 = 13;
pub const PSK: u8 = 47;

/// A supplicant's side of one method.
pub trait Method {
    /// Its EAP type.
    fn kind(&self) -> u8;
    /// Takes a request, from its Code octet on, and gives the type-data of the response.
    fn respond(&mut self, request: &[u8]) -> Result<Vec<u8>, String>;
    /// The master session key, once both sides have proved themselves.
    fn msk(&self) -> Option<[u8; 64]>;
    /// Whether an earlier authentication was resumed instead of a new one made.
    fn resumed(&self) -> bool {
        false
    }
}

/// One authentication.
pub struct Peer {
    identity: String,
    method: Box<dyn Method>,
}

impl Peer {
    pub fn new(identity: &str, method: impl Method + 'static) -> Peer {
        Peer { identity: identity.to_owned(), method: Box::new(method) }
    }

    /// The identity it says it has.
    pub fn name(&self) -> &str {
        &self.identity
    }

    /// EAP-Response/Identity, which a NAS asks for by itself.
    pub fn identity(&self) -> Vec<u8> {
        packet(RESPONSE, 1, IDENTITY, self.identity.as_bytes())
    }

    /// Answers a request.
    pub fn respond(&mut self, request: &[u8]) -> Result<Vec<u8>, String> {
        let [REQUEST, identifier, _, _, kind, ..] = *request else {
            return Err(format!("{:?} is no EAP-Request", &request[..request.len().min(5)]));
        };
        match kind {
            IDENTITY => Ok(packet(RESPONSE, identifier, IDENTITY, self.identity.as_bytes())),
            NOTIFICATION => Ok(packet(RESPONSE, identifier, NOTIFICATION, b"")),
            kind if kind == self.method.kind() => {
                Ok(packet(RESPONSE, identifier, kind, &self.method.respond(request)?))
            }
            _ => Ok(packet(RESPONSE, identifier, NAK, &[self.method.kind()])),
        }
    }

    /// Whether an earlier authentication was resumed.
    pub fn resumed(&self) -> bool {
        self.method.resumed()
    }

    /// The keys that the NAS must have got with the Access-Accept.
    pub fn msk(&self) -> Result<[u8; 64], String> {
        self.method.msk().ok_or_else(|| "an EAP-Success before the method was through".into())
    }
}

/// An EAP packet.
fn packet(code: u8, identifier: u8, kind: u8, data: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(data.len() + 5).expect("a short packet").to_be_bytes();
    let mut packet = vec![code, identifier, high, low, kind];
    packet.extend_from_slice(data);
    packet
}
