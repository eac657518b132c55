//! EAP-TLS (RFC 5216, RFC 9190), the peer's side, on rustls.

use super::peer::{Method, TLS};
use rustls::client::{ClientConnection, Resumption};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use std::io::Read;
use std::sync::Arc;

/// What fits into an EAP packet beside header, type and flags, with the MTU that hostapd names (1400).
const FRAGMENT: usize = 1390;

const LENGTH_INCLUDED: u8 = 0x80;
const MORE_FRAGMENTS: u8 = 0x40;
const START: u8 = 0x20;

/// A device's certificate and what it trusts, for any number of connections.
pub struct Identity {
    pub name: String,
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// What a connection is made from. With `resuming`, each connection after the first of the same settings is resumed.
pub fn settings(
    identity: &Identity,
    authority: &CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
    resuming: bool,
) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).map_err(|e| format!("the CA: {e}"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .map_err(|e| format!("TLS: {e}"))?
        .with_root_certificates(roots)
        .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
        .map_err(|e| format!("the device's certificate: {e}"))?;
    config.resumption = if resuming { Resumption::in_memory_sessions(4) } else { Resumption::disabled() };
    Ok(config.into())
}

/// One conversation.
pub struct Tls {
    connection: ClientConnection,
    /// What is to be sent, and how much of it is.
    flight: Vec<u8>,
    sent: usize,
    /// The fragments of a message that is not whole yet.
    incoming: Vec<u8>,
}

impl Tls {
    pub fn new(settings: &Arc<ClientConfig>, server: &ServerName<'static>) -> Result<Tls, String> {
        let connection = ClientConnection::new(settings.clone(), server.clone()).map_err(|e| format!("TLS: {e}"))?;
        Ok(Tls { connection, flight: Vec::new(), sent: 0, incoming: Vec::new() })
    }

    /// Takes a whole message and writes the next flight.
    fn advance(&mut self) -> Result<(), String> {
        let mut message = &self.incoming[..];
        while !message.is_empty() {
            self.connection.read_tls(&mut message).map_err(|e| format!("TLS: {e}"))?;
            self.connection.process_new_packets().map_err(|e| format!("TLS: {e}"))?;
        }
        self.incoming.clear();
        // The octet 0 of RFC 9190, 2.5.
        let _ = self.connection.reader().read(&mut [0; 16]);
        self.flight.clear();
        self.sent = 0;
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.flight).map_err(|e| format!("TLS: {e}"))?;
        }
        Ok(())
    }

    /// The next piece of the flight, or an acknowledgement if there is none.
    fn fragment(&mut self) -> Vec<u8> {
        let rest = &self.flight[self.sent..];
        let piece = &rest[..rest.len().min(FRAGMENT)];
        let mut flags = 0;
        if piece.len() < rest.len() {
            flags |= MORE_FRAGMENTS;
        }
        let mut data = vec![flags];
        if self.sent == 0 && flags & MORE_FRAGMENTS != 0 {
            data[0] |= LENGTH_INCLUDED;
            data.extend_from_slice(&u32::try_from(self.flight.len()).expect("a short flight").to_be_bytes());
        }
        data.extend_from_slice(piece);
        self.sent += piece.len();
        data
    }
}

impl Method for Tls {
    fn kind(&self) -> u8 {
        TLS
    }

    fn respond(&mut self, request: &[u8]) -> Result<Vec<u8>, String> {
        let flags = *request.get(5).ok_or("EAP-TLS without flags")?;
        let at = if flags & LENGTH_INCLUDED != 0 { 10 } else { 6 };
        let data = request.get(at..).ok_or("EAP-TLS cut off")?;
        if self.sent < self.flight.len() {
            if !data.is_empty() {
                return Err("EAP-TLS: data where an acknowledgement belongs".into());
            }
            return Ok(self.fragment());
        }
        self.incoming.extend_from_slice(data);
        if flags & MORE_FRAGMENTS != 0 {
            return Ok(vec![0]);
        }
        if data.is_empty() && flags & START == 0 {
            return Err("EAP-TLS: an acknowledgement of nothing".into());
        }
        self.advance()?;
        Ok(self.fragment())
    }

    fn resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    fn msk(&self) -> Option<[u8; 64]> {
        let mut keys = [0; 128];
        let exported = match self.connection.protocol_version()? {
            ProtocolVersion::TLSv1_3 => {
                self.connection.export_keying_material(keys, b"EXPORTER_EAP_TLS_Key_Material", Some(&[TLS]))
            }
            _ => self.connection.export_keying_material(keys, b"client EAP encryption", None),
        };
        keys = exported.ok()?;
        keys.first_chunk().copied()
    }
}
