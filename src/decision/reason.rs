//! Why a device was let in or refused, whose fault a refusal is, and the plain words for both.

mod cause;
mod peer;

pub use peer::{PeerReason, Without};

use crate::eap::problem::Problem;
use crate::pki::CertificateProblem;
use crate::time::UnixTime;
use crate::time::zone::Local;
use crate::wire::radius::error_cause;
use cause::{in_words, to_asker};
use std::fmt;
use std::sync::Arc;

/// The reason of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Its address is registered; the NAS got its key and the device has yet to prove it.
    KnownAddress,
    /// It proved its key.
    ProvedKey,
    /// It proved a key that waited for it, and the key is bound to it now.
    FirstProof,
    /// It proved to have the private key of its certificate.
    ProvedCertificate,
    /// The same for the first time, and this address is bound to it now.
    FirstCertificate,
    /// Its maker vouches for it, and all devices of this maker are let in: it was registered.
    MakerAdmitted {
        /// The name it got.
        name: Arc<str>,
        /// The maker.
        maker: Arc<str>,
    },
    /// Nobody knows the address; the NAS got keys that wait for their device.
    Offered {
        /// How many.
        keys: u16,
    },
    /// It was let in with one of several offered keys; this NAS cannot tell which.
    OneOfSeveral {
        /// The devices it may be.
        names: Vec<Arc<str>>,
    },
    /// Nobody knows the address; the NAS got the onboarding key.
    OnboardingOffered,
    /// It knows the onboarding key and is kept in the quarantine profile.
    Quarantined,
    /// Nobody knows the address and a pairing window is open; the NAS got the onboarding key.
    PairingOffered,
    /// It proved the onboarding key in a pairing window, and was registered.
    Paired {
        /// The name it got.
        name: Arc<str>,
        /// The profile it got.
        profile: Arc<str>,
    },
    /// Its NAS was asked to end its session (RFC 5176).
    Disconnect {
        /// What came of it.
        result: Disconnect,
        /// Why it had to go.
        why: Arc<str>,
        /// Milliseconds from the first request to the answer.
        ms: u32,
    },

    /// Somebody else was asked who it is, or would have had to be.
    Peer(PeerReason),
    /// Somebody else asked to have its session ended or changed (RFC 5176).
    Asked {
        /// Who: the name of a `config realm`.
        party: Arc<str>,
        /// It was to be changed (CoA-Request), not ended.
        change: bool,
        /// Error-Cause of the answer (RFC 5176, 3.5); 0 when it was done.
        cause: u32,
        /// Milliseconds from the request to the answer.
        ms: u32,
    },

    /// EAP failed.
    Eap(Arc<Problem>),
    /// EAP cannot succeed here; in words with the mend.
    EapOff {
        /// What is missing.
        what: Arc<str>,
    },
    /// It goes on with a conversation that is not known, or not any more.
    ConversationGone,
    /// The network has EAP only, and was asked for something else.
    EapOnly,
    /// It has no Wi-Fi key, only credentials for EAP.
    NoWifiKey,
    /// A maker vouches for it, but only registered devices of that maker are let in.
    NotListed {
        /// The maker.
        maker: Arc<str>,
        /// The subject of its certificate.
        subject: Arc<str>,
    },
    /// A maker vouches for it, and it waits for the administrator's approval.
    NotApproved {
        /// The maker.
        maker: Arc<str>,
        /// The subject of its certificate.
        subject: Arc<str>,
    },
    /// A maker vouches for it, and as many of that maker's devices as may register themselves have done so.
    MakerFull {
        /// The maker.
        maker: Arc<str>,
        /// The subject of its certificate.
        subject: Arc<str>,
        /// The limit.
        max: u16,
    },
    /// It may be elsewhere only.
    WrongPlace {
        /// Where, in words.
        places: Arc<str>,
    },
    /// It proved to be this device, at an address that is not one of its.
    OtherAddress {
        /// The device.
        device: Arc<str>,
    },
    /// Neither its address nor its key is registered.
    UnknownDevice,
    /// Its address is registered, its key is another one.
    WrongKey,
    /// The NAS had its key and the handshake was not completed: most likely the wrong key.
    NotProved,
    /// Nobody knows its address, and it proved none of the keys the NAS was sent.
    NoneProved {
        /// How many those were.
        keys: u16,
    },
    /// It knows the onboarding key, which lets nobody in now: there is no pairing window, or not for this device.
    NoPairing,
    /// It has a key of its own and used the onboarding key.
    OnboardingKeyInstead,
    /// Blocked by the administrator.
    Blocked,
    /// Its time is over.
    Expired(UnixTime),
    /// Its profile has hours, and these are none of them.
    OutsideHours {
        /// The profile's name.
        profile: Arc<str>,
        /// Its hours.
        hours: Arc<str>,
        /// The local time.
        local: Local,
    },
    /// Its profile has hours, and nobody knows what time it is.
    ClockNotSet {
        /// The profile's name.
        profile: Arc<str>,
    },
    /// It proved a key that is bound to another device.
    KeyOfOther {
        /// That device.
        owner: Arc<str>,
    },
    /// It proved a waiting key, but its address belongs to a registered device.
    AddressOfOther {
        /// The device whose key it proved.
        key_of: Arc<str>,
    },
    /// As many addresses as allowed use the key already.
    TooMany {
        /// The limit.
        max: u16,
    },
    /// It has no key of its own, and the SSID has no onboarding key.
    NoOwnKey,
    /// The device's profile is not in the configuration.
    ProfileMissing {
        /// The profile's name.
        profile: Arc<str>,
    },
    /// The SSID is not in the configuration.
    SsidMissing,
    /// The keys for this SSID are still being computed.
    KeyNotReady,
    /// The binding of the key could not be stored.
    NotStored,
    /// Too many unknown devices asked through this NAS in a short time, or this one began too much that came to nothing.
    RateLimited,
    /// The key of the device does not fit into the answer the SSID's security needs.
    Unsupported {
        /// What was asked for and what would work.
        what: &'static str,
    },
    /// The request makes no sense.
    BadRequest {
        /// What is wrong with it.
        what: Arc<str>,
    },
}

/// What came of a Disconnect-Request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disconnect {
    /// Disconnect-ACK: the station is off the air.
    Done,
    /// Disconnect-NAK: the NAS knows no such session (Error-Cause 503), so there is nothing to end.
    Gone,
    /// Disconnect-NAK for another reason: its Error-Cause (RFC 5176, 3.5), 0 when it gave none.
    Refused(u32),
    /// No answer.
    Silent,
}

/// Whose fault a refusal is: where to look for the mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nobody's: it was let in, or the administrator wants it so.
    None,
    /// The device, or what was typed into it.
    Device,
    /// Whoever made the device, or its certificate.
    Manufacturer,
    /// Our configuration or registry.
    Configuration,
    /// The NAS (access point).
    Nas,
    /// latchkey itself.
    Latchkey,
}

impl Fault {
    /// The word in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::None => "none",
            Fault::Device => "device",
            Fault::Manufacturer => "manufacturer",
            Fault::Configuration => "configuration",
            Fault::Nas => "nas",
            Fault::Latchkey => "latchkey",
        }
    }
}

/// The stable word for what went wrong with EAP.
fn eap_code(problem: &Problem) -> &'static str {
    match problem {
        Problem::Refused => "eap_refused",
        Problem::NoMethod { .. } => "eap_no_method",
        Problem::UnknownIdentity { .. } => "eap_unknown_identity",
        Problem::WrongKey { .. } => "eap_wrong_key",
        Problem::RefusedUs => "eap_refused_us",
        Problem::Certificate { problem, .. } => match problem {
            CertificateProblem::Form(_) => "certificate_form",
            CertificateProblem::UnknownIssuer { .. } => "certificate_unknown_issuer",
            CertificateProblem::BadSignature => "certificate_bad_signature",
            CertificateProblem::Expired { .. } => "certificate_expired",
            CertificateProblem::NotYetValid { .. } => "certificate_not_yet_valid",
            CertificateProblem::Revoked => "certificate_revoked",
            CertificateProblem::WrongPurpose => "certificate_wrong_purpose",
            CertificateProblem::NoRevocationList(_) => "certificate_no_crl",
        },
        Problem::NoCertificate => "eap_no_certificate",
        Problem::Alert(_) => "eap_alert",
        Problem::Tls(_) => "eap_tls",
        Problem::Protocol(_) => "eap_protocol",
        Problem::TooLong => "eap_too_long",
        Problem::Abandoned { .. } => "eap_abandoned",
        Problem::NoRoom => "eap_no_room",
    }
}

/// Where to look for the mend when EAP failed.
fn fault_of(problem: &Problem) -> Fault {
    match problem {
        Problem::Refused => Fault::None,
        Problem::NoMethod { ours, .. } if ours.is_empty() => Fault::Configuration,
        Problem::Certificate { problem, .. } => match problem {
            CertificateProblem::UnknownIssuer { .. } | CertificateProblem::NoRevocationList(_) => Fault::Configuration,
            CertificateProblem::Form(_) | CertificateProblem::WrongPurpose => Fault::Manufacturer,
            CertificateProblem::BadSignature
            | CertificateProblem::Expired { .. }
            | CertificateProblem::NotYetValid { .. } => Fault::Device,
            CertificateProblem::Revoked => Fault::None,
        },
        Problem::NoRoom => Fault::Latchkey,
        Problem::NoMethod { .. }
        | Problem::UnknownIdentity { .. }
        | Problem::WrongKey { .. }
        | Problem::RefusedUs
        | Problem::NoCertificate
        | Problem::Alert(_)
        | Problem::Tls(_)
        | Problem::Protocol(_)
        | Problem::TooLong
        | Problem::Abandoned { .. } => Fault::Device,
    }
}

impl Reason {
    /// The stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::KnownAddress => "known_address",
            Reason::ProvedKey => "proved_key",
            Reason::FirstProof => "first_proof",
            Reason::ProvedCertificate => "proved_certificate",
            Reason::FirstCertificate => "first_certificate",
            Reason::MakerAdmitted { .. } => "maker_admitted",
            Reason::Peer(reason) => reason.code(),
            Reason::Asked { cause: 0, change: false, .. } => "asked_to_disconnect",
            Reason::Asked { cause: 0 | error_cause::REQUEST_INITIATED, .. } => "asked_to_change",
            Reason::Asked { .. } => "asked_in_vain",
            Reason::Eap(problem) => eap_code(problem),
            Reason::EapOff { .. } => "eap_off",
            Reason::ConversationGone => "eap_conversation_gone",
            Reason::EapOnly => "eap_only",
            Reason::NoWifiKey => "no_wifi_key",
            Reason::NotListed { .. } => "not_listed",
            Reason::NotApproved { .. } => "not_approved",
            Reason::MakerFull { .. } => "maker_full",
            Reason::WrongPlace { .. } => "wrong_place",
            Reason::OtherAddress { .. } => "other_address",
            Reason::Offered { .. } => "offered",
            Reason::OneOfSeveral { .. } => "one_of_several",
            Reason::OnboardingOffered => "onboarding_offered",
            Reason::Quarantined => "quarantined",
            Reason::PairingOffered => "pairing_offered",
            Reason::Paired { .. } => "paired",
            Reason::Disconnect { result: Disconnect::Done, .. } => "disconnected",
            Reason::Disconnect { result: Disconnect::Gone, .. } => "disconnect_gone",
            Reason::Disconnect { result: Disconnect::Refused(_), .. } => "disconnect_refused",
            Reason::Disconnect { result: Disconnect::Silent, .. } => "disconnect_unanswered",
            Reason::NoPairing => "no_pairing",
            Reason::UnknownDevice => "unknown_device",
            Reason::WrongKey => "wrong_key",
            Reason::NotProved => "not_proved",
            Reason::NoneProved { .. } => "none_proved",
            Reason::OnboardingKeyInstead => "onboarding_key_instead",
            Reason::Blocked => "blocked",
            Reason::Expired(_) => "expired",
            Reason::OutsideHours { .. } => "outside_hours",
            Reason::ClockNotSet { .. } => "clock_not_set",
            Reason::KeyOfOther { .. } => "key_of_other",
            Reason::AddressOfOther { .. } => "address_of_other",
            Reason::TooMany { .. } => "too_many",
            Reason::NoOwnKey => "no_own_key",
            Reason::ProfileMissing { .. } => "profile_missing",
            Reason::SsidMissing => "ssid_missing",
            Reason::KeyNotReady => "key_not_ready",
            Reason::NotStored => "not_stored",
            Reason::RateLimited => "rate_limited",
            Reason::Unsupported { .. } => "unsupported",
            Reason::BadRequest { .. } => "bad_request",
        }
    }

    /// The other device that the reason is about: whose key it was.
    pub fn owner(&self) -> Option<&str> {
        match self {
            Reason::KeyOfOther { owner } | Reason::AddressOfOther { key_of: owner } => Some(owner),
            _ => None,
        }
    }

    /// Who else was asked, or would have been: the name of a `config realm`.
    pub fn party(&self) -> Option<&str> {
        match self {
            Reason::Peer(reason) => reason.party().map(|party| &**party),
            Reason::Asked { party, .. } => Some(party),
            _ => None,
        }
    }

    /// True when a refusal for this reason repeats one for the other: the time of day makes no difference.
    pub fn repeats(&self, other: &Reason) -> bool {
        match (self, other) {
            (Reason::OutsideHours { profile, hours, .. }, Reason::OutsideHours { profile: p, hours: h, .. }) => {
                (profile, hours) == (p, h)
            }
            (Reason::Peer(reason), Reason::Peer(other)) => reason.repeats(other),
            (
                Reason::Asked { party, change, cause, .. },
                Reason::Asked { party: other, change: changed, cause: other_cause, .. },
            ) => (party, change, cause) == (other, changed, other_cause),
            _ => self == other,
        }
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Reason::KnownAddress
            | Reason::ProvedKey
            | Reason::FirstProof
            | Reason::ProvedCertificate
            | Reason::FirstCertificate
            | Reason::MakerAdmitted { .. }
            | Reason::NotListed { .. }
            | Reason::NotApproved { .. }
            | Reason::MakerFull { .. }
            | Reason::WrongPlace { .. }
            | Reason::ConversationGone
            | Reason::Offered { .. }
            | Reason::OneOfSeveral { .. }
            | Reason::OnboardingOffered
            | Reason::Quarantined
            | Reason::PairingOffered
            | Reason::Paired { .. }
            | Reason::Disconnect { result: Disconnect::Done | Disconnect::Gone, .. }
            | Reason::Blocked
            | Reason::Expired(_)
            | Reason::OutsideHours { .. } => Fault::None,
            Reason::Peer(reason) => reason.fault(),
            Reason::Asked { cause: 0 | error_cause::REQUEST_INITIATED, .. } => Fault::None,
            Reason::Asked { cause: error_cause::REQUEST_NOT_ROUTABLE, .. } => Fault::Configuration,
            Reason::Asked { cause: error_cause::RESOURCES_UNAVAILABLE, .. } => Fault::Nas,
            Reason::Asked { .. } => Fault::Manufacturer,
            Reason::Eap(problem) => fault_of(problem),
            Reason::UnknownDevice
            | Reason::OtherAddress { .. }
            | Reason::WrongKey
            | Reason::NotProved
            | Reason::NoneProved { .. }
            | Reason::OnboardingKeyInstead
            | Reason::NoPairing
            | Reason::KeyOfOther { .. }
            | Reason::TooMany { .. }
            | Reason::RateLimited => Fault::Device,
            Reason::AddressOfOther { .. }
            | Reason::NoOwnKey
            | Reason::NoWifiKey
            | Reason::EapOff { .. }
            | Reason::ProfileMissing { .. }
            | Reason::SsidMissing => Fault::Configuration,
            Reason::EapOnly | Reason::Unsupported { .. } | Reason::BadRequest { .. } | Reason::Disconnect { .. } => {
                Fault::Nas
            }
            Reason::KeyNotReady | Reason::NotStored | Reason::ClockNotSet { .. } => Fault::Latchkey,
        }
    }
}

impl fmt::Display for Reason {
    /// The reason in plain words, to follow "let in: " or "refused: ", with the mend where there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::KnownAddress => f.write_str("known by its address, key sent to the access point"),
            Reason::ProvedKey => f.write_str("proved its key"),
            Reason::FirstProof => f.write_str("recognised by its key, which is bound to this address now"),
            Reason::ProvedCertificate => f.write_str("proved its certificate"),
            Reason::FirstCertificate => f.write_str("recognised by its certificate, which is bound to this address now"),
            Reason::MakerAdmitted { name, maker } => {
                write!(f, "registered as {name}: the maker {maker} vouches for it, and all its devices are let in")
            }
            Reason::Peer(reason) => write!(f, "{reason}"),
            Reason::Asked { party, change, cause, ms } => {
                let what = if *change { "to change its session" } else { "to disconnect it" };
                match *cause {
                    0 => write!(f, "{party} asked {what}: done in {ms} ms"),
                    cause => write!(f, "{party} asked {what}: {}", to_asker(cause)),
                }
            }
            Reason::Eap(problem) => write!(f, "{problem}"),
            Reason::EapOff { what } => f.write_str(what),
            Reason::ConversationGone => f.write_str(
                "it goes on with a conversation that is not known any more (latchkey was started anew, its credentials \
                 were changed meanwhile, or the device was silent for more than 30 s): it begins again by itself",
            ),
            Reason::EapOnly => f.write_str(
                "this network is set to EAP only (option security 'enterprise' or 'wired'), and the access point asks for \
                 something else: set it to WPA-EAP, or write option security 'wpa2'",
            ),
            Reason::NoWifiKey => f.write_str(
                "it has no Wi-Fi key, only credentials for EAP: let it join a network with WPA-Enterprise, or give it a key \
                 (latchkey device rotate NAME)",
            ),
            Reason::NotListed { maker, subject } => write!(
                f,
                "the maker {maker} vouches for it ({subject}), but only registered devices of this maker are let in: register \
                 it with latchkey device add, or latchkey maker set {maker} --admit pending"
            ),
            Reason::NotApproved { maker, subject } => write!(
                f,
                "the maker {maker} vouches for it ({subject}), and nobody has approved it yet: latchkey pending approve MAC NAME"
            ),
            Reason::MakerFull { maker, subject, max } => write!(
                f,
                "the maker {maker} vouches for it ({subject}), but {max} devices of this maker are registered already, and \
                 more do not register themselves: let this one in with latchkey pending approve MAC NAME, or remove devices \
                 you do not know (latchkey device list)"
            ),
            Reason::WrongPlace { places } => write!(f, "it may not be here, only at: {places}"),
            Reason::OtherAddress { device } => write!(
                f,
                "it proved to be '{device}', but this address is not one of its: latchkey device set {device} bind=any lets it \
                 come with any address, max-devices with more"
            ),
            Reason::Offered { keys: 1 } => f.write_str("unknown address, the one waiting key offered"),
            Reason::Offered { keys } => write!(f, "unknown address, {keys} waiting keys offered"),
            Reason::OneOfSeveral { names } => write!(
                f,
                "joined with one of the waiting keys of {}; this access point cannot tell which: give the device its \
                 address (latchkey device set NAME mac+=ADDRESS), or use hostapd 2.11 with wpa_psk_radius=3",
                names.join(", ")
            ),
            Reason::OnboardingOffered => f.write_str("unknown address, the onboarding key offered"),
            Reason::Quarantined => f.write_str("unknown device with the onboarding key, kept in quarantine"),
            Reason::PairingOffered => f.write_str("unknown address in a pairing window, the onboarding key offered"),
            Reason::Paired { name, profile } => write!(f, "paired: registered as {name} in profile {profile}"),
            Reason::Disconnect { result, why, ms } => match result {
                Disconnect::Done => write!(f, "disconnected in {ms} ms: {why}"),
                Disconnect::Gone => write!(f, "its access point does not know the session any more ({why})"),
                Disconnect::Refused(cause) => {
                    write!(f, "its access point refuses to disconnect it: {} ({why})", in_words(*cause))
                }
                Disconnect::Silent => write!(
                    f,
                    "its access point did not answer the Disconnect-Request in {} s ({why}): does radius_das_client \
                     have this host and the client's secret, radius_das_port the client's disconnect_port, and do both \
                     clocks agree?",
                    ms / 1000
                ),
            },
            Reason::NoPairing => f.write_str(
                "unknown device with the onboarding key, and no pairing window is open for it: latchkey pair \
                 --profile P, or latchkey pending approve MAC NAME",
            ),
            Reason::UnknownDevice => f.write_str("unknown device: neither its address nor its key is registered"),
            Reason::WrongKey => f.write_str("wrong key: not the one registered for this device"),
            Reason::NotProved => f.write_str("wrong key, it seems: the device did not complete the handshake"),
            Reason::NoneProved { keys: 1 } => {
                f.write_str("unknown device: it did not prove the waiting key that the access point was sent")
            }
            Reason::NoneProved { keys } => {
                write!(f, "unknown device: it proved none of the {keys} waiting keys that the access point was sent")
            }
            Reason::OnboardingKeyInstead => {
                f.write_str("wrong key: it used the onboarding key, but has a key of its own")
            }
            Reason::Blocked => f.write_str("blocked by the administrator"),
            Reason::Expired(at) => write!(f, "expired on {at}"),
            Reason::OutsideHours { profile, hours, local } => {
                write!(f, "outside the hours of profile '{profile}' ({hours}; it is {local})")
            }
            Reason::ClockNotSet { profile } => write!(
                f,
                "profile '{profile}' has hours, and the clock of this box is not set: see to it that NTP works, or set \
                 it with date"
            ),
            Reason::KeyOfOther { owner } => {
                write!(f, "key belongs to another device: it is the key of '{owner}', and this address is not its")
            }
            Reason::AddressOfOther { key_of } => write!(
                f,
                "what it proved is '{key_of}', which waits for its device, but its address is registered for another one: \
                 remove the address there first"
            ),
            Reason::TooMany { max: 1 } => f.write_str("another address uses this key at the moment (max-devices is 1)"),
            Reason::TooMany { max } => write!(f, "{max} addresses use this key already (max-devices is {max})"),
            Reason::NoOwnKey => {
                f.write_str("it has no key of its own and this SSID has no onboarding key: latchkey device rotate NAME")
            }
            Reason::ProfileMissing { profile } => write!(
                f,
                "its profile '{profile}' is not in the configuration: add config profile '{profile}', or give the \
                 device another one"
            ),
            Reason::SsidMissing => {
                f.write_str("this SSID is not in the configuration: add a config ssid section for it")
            }
            Reason::KeyNotReady => {
                f.write_str("the keys for this SSID are still being computed: a later attempt will work")
            }
            Reason::NotStored => {
                f.write_str("what it proved could not be stored: see the log of the daemon, and the free space")
            }
            Reason::RateLimited => f.write_str(
                "too much at once through this access point that comes from unknown devices, or leads to nothing",
            ),
            Reason::Unsupported { what } => f.write_str(what),
            Reason::BadRequest { what } => f.write_str(what),
        }
    }
}
