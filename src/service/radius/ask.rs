//! What an Access-Request asks, as hostapd and other NASes write it.

use crate::config::Config;
use crate::decision::event::Method;
use crate::decision::{Evidence, Request};
use crate::mac::MacAddr;
use crate::wire::radius::{AttributeType, CalledStationId, Packet, freeradius_802_1x, unescape};
use crate::wpa::Handshake;
use std::sync::Arc;

/// In place of the BSSID of a wired port whose NAS sends no Called-Station-Id.
pub const NO_BSSID: MacAddr = MacAddr([0; 6]);

/// A request, understood.
#[derive(Debug)]
pub struct Ask {
    /// The supplicant.
    pub mac: MacAddr,
    /// The BSSID it asks at, or the address of the port; [`NO_BSSID`] if that is not known.
    pub bssid: MacAddr,
    /// The network: the configured SSID where there is one.
    pub ssid: Arc<[u8]>,
    /// How it is asked.
    pub method: Method,
    /// What there is to prove it with.
    pub credential: Credential,
}

/// What a request brings.
#[derive(Debug)]
pub enum Credential {
    /// The address only.
    Address,
    /// Message 2 of the 4-way handshake.
    Handshake(Box<Handshake>),
    /// An EAP packet.
    Eap,
    /// A handshake that makes no sense, or cannot be searched; in words.
    Bad(Arc<str>),
    /// Something latchkey does not speak; in words, with the mend.
    Unsupported(&'static str),
}

/// A request from which not even the device can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// No Calling-Station-Id, and no address as User-Name.
    #[error("neither Calling-Station-Id nor User-Name is a MAC address")]
    NoAddress,
    /// Two different addresses.
    #[error("Calling-Station-Id and User-Name are different MAC addresses")]
    TwoAddresses,
    /// EAP without Calling-Station-Id: User-Name is the identity then.
    #[error(
        "Calling-Station-Id is no MAC address, and with EAP nothing else tells the device's: set the access point to send it"
    )]
    NoCallingStation,
    /// No Called-Station-Id of the form `AA-BB-CC-DD-EE-FF:SSID`, and no section for cables.
    #[error(
        "Called-Station-Id has no SSID: the access point must send it as AA-BB-CC-DD-EE-FF:SSID; for 802.1X on a cable, add \
         config ssid with option security 'wired'"
    )]
    NoSsid,
}

impl Ask {
    /// Reads a request. The User-Password of a MAC authentication is the address once more and no secret; it is not
    /// looked at.
    ///
    /// # Errors
    /// When the device or the network cannot be told.
    pub fn read(packet: &Packet<'_>, config: &Config) -> Result<Ask, AskError> {
        let address = |kind| packet.find(kind).and_then(|value| MacAddr::parse_bytes(value).ok());
        let eap = packet.find(AttributeType::EAP_MESSAGE).is_some();
        let mac = match (address(AttributeType::CALLING_STATION_ID), address(AttributeType::USER_NAME)) {
            (Some(calling), _) if eap => calling,
            _ if eap => return Err(AskError::NoCallingStation),
            (Some(calling), Some(user)) if calling != user => return Err(AskError::TwoAddresses),
            (Some(mac), _) | (None, Some(mac)) => mac,
            (None, None) => return Err(AskError::NoAddress),
        };
        let called = packet.find(AttributeType::CALLED_STATION_ID).and_then(CalledStationId::parse);
        let bssid = called.as_ref().map_or(NO_BSSID, |called| called.bssid);
        let ssid = match called.and_then(|called| called.ssid) {
            Some(ssid) => configured_ssid(config, ssid),
            // A port: hostapd writes no SSID after the colon, switches not even a colon, and some nothing at all.
            None => config.ssid(&[]).ok_or(AskError::NoSsid)?.ssid.clone(),
        };
        let (method, credential) = credential(packet, mac, bssid, &ssid);
        Ok(Ask { mac, bssid, ssid, method, credential })
    }
}

impl Ask {
    /// What is to be decided when this was proved.
    pub fn request(&self, evidence: Evidence) -> Request<'_> {
        Request::new(self.mac, &self.ssid, Some(self.bssid), evidence)
    }
}

/// The SSID in octets. hostapd sends it as it is; of a NAS that escapes it, the form that is configured is the right one.
pub fn configured_ssid(config: &Config, sent: &[u8]) -> Arc<[u8]> {
    if let Some(ssid) = config.ssid(sent) {
        return ssid.ssid.clone();
    }
    let plain = unescape(sent);
    config.ssid(&plain).map_or_else(|| plain.as_ref().into(), |ssid| ssid.ssid.clone())
}

fn credential(packet: &Packet<'_>, mac: MacAddr, bssid: MacAddr, ssid: &[u8]) -> (Method, Credential) {
    let bad = |what: &str| Credential::Bad(what.into());
    let akm = packet.find_u32(AttributeType::WLAN_AKM_SUITE);
    if packet.find(AttributeType::EAP_MESSAGE).is_some() {
        return (Method::Eap { name: "EAP", detail: "" }, Credential::Eap);
    }
    if packet.find(AttributeType(3)).is_some() {
        let what =
            "the access point asks with CHAP, which latchkey does not answer: set it to MAC authentication (PAP)";
        return (Method::Other, Credential::Unsupported(what));
    }
    let method = Method::Handshake(akm);
    let sent = freeradius_802_1x(packet);
    match (sent.anonce, sent.eapol) {
        (None, None) => (Method::Address, Credential::Address),
        (Some(anonce), Some(eapol)) => match Handshake::parse(bssid, mac, ssid, akm, anonce, &eapol) {
            Ok(handshake) => (method, Credential::Handshake(Box::new(handshake))),
            Err(why) => (method, bad(&why.to_string())),
        },
        (Some(_), None) => (method, bad("the request has an ANonce but no EAPOL-Key message")),
        (None, Some(_)) => (method, bad("the request has an EAPOL-Key message but no ANonce of 32 octets")),
    }
}
