//! What came of asking somebody else who a device is.

use super::Fault;
use std::fmt;
use std::sync::Arc;

/// Why a device was let in or refused for which others were asked, or would have had to be. The party is the name of its
/// `config realm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerReason {
    /// They say who it is, and all their devices are let in: it was registered.
    Admitted {
        /// The name it got.
        name: Arc<str>,
        /// Who.
        party: Arc<str>,
    },
    /// They say who it is.
    Proved {
        /// Who.
        party: Arc<str>,
    },
    /// The same for the first time, and this address is bound to it now.
    First {
        /// Who.
        party: Arc<str>,
    },
    /// Nobody answered, and they let it in before.
    LastKnownGood {
        /// Who.
        party: Arc<str>,
        /// How long ago their last answer is, in seconds.
        age: u32,
    },
    /// No answer came.
    Silent {
        /// Who.
        party: Arc<str>,
        /// Seconds that were waited.
        seconds: u16,
        /// How many servers were tried.
        servers: u8,
        /// Why there is no last known good answer although the realm has them.
        without: Without,
    },
    /// No server can be reached.
    Unreachable {
        /// Who.
        party: Arc<str>,
        /// How many servers there are.
        servers: u8,
        /// Why not, in words.
        why: Arc<str>,
        /// Why there is no last known good answer although the realm has them.
        without: Without,
    },
    /// They said no.
    Refused {
        /// Who.
        party: Arc<str>,
        /// What they said to it (Reply-Message); empty if nothing.
        message: Arc<str>,
    },
    /// Nobody knows it here, and they do not either.
    Unknown {
        /// Who.
        party: Arc<str>,
    },
    /// What they answered makes no sense.
    Faulty {
        /// Who.
        party: Arc<str>,
        /// What is wrong with it, in words.
        what: Arc<str>,
    },
    /// They say who it is, but only registered devices of theirs are let in.
    NotListed {
        /// Who.
        party: Arc<str>,
        /// What they call it.
        identity: Arc<str>,
    },
    /// They let it in without saying who it is, and it calls itself like a device that has other addresses.
    Unsaid {
        /// Who.
        party: Arc<str>,
        /// What it calls itself.
        claimed: Arc<str>,
    },
    /// They say who it is, and it waits for the administrator's approval.
    NotApproved {
        /// Who.
        party: Arc<str>,
        /// What they call it.
        identity: Arc<str>,
    },
    /// They say who it is, and as many of their devices as may register themselves have done so.
    Full {
        /// Who.
        party: Arc<str>,
        /// What they call it.
        identity: Arc<str>,
        /// The limit.
        max: u16,
    },
    /// The administrator does not want to hear of it, so they were not asked.
    Ignored {
        /// Who.
        party: Arc<str>,
    },
    /// They put it into a VLAN that no profile has.
    ForeignVlan {
        /// Who.
        party: Arc<str>,
        /// The VLAN.
        vlan: u16,
    },
    /// Its identity has a realm that nobody is asked for.
    NoSuchRealm {
        /// The realm.
        realm: Arc<str>,
    },
    /// The request has been here before, or comes from where it would have to go.
    Loop {
        /// Who.
        party: Arc<str>,
    },
    /// As many requests as possible wait for answers.
    Busy {
        /// Who.
        party: Arc<str>,
    },
    /// The realm was taken out of the configuration while its server was asked.
    RealmGone {
        /// Who.
        party: Arc<str>,
    },
}

/// Why a device is not let in as it was before when nobody answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Without {
    /// The realm does not have it so.
    #[default]
    NotWanted,
    /// It came with EAP, whose credentials are not here.
    Eap,
    /// They did not let it in before, or too long ago.
    Never,
    /// It has another key than it had.
    WrongKey,
}

impl fmt::Display for Without {
    /// To be appended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Without::NotWanted => "",
            Without::Eap => {
                "; a last known good answer cannot be had for EAP, whose credentials are not here but at the server"
            }
            Without::Never => "; there is no last known good answer for it",
            Without::WrongKey => "; its key is not the last known good one",
        })
    }
}

impl PeerReason {
    /// Who was asked, or would have been.
    pub fn party(&self) -> Option<&Arc<str>> {
        match self {
            PeerReason::Admitted { party, .. }
            | PeerReason::Proved { party }
            | PeerReason::First { party }
            | PeerReason::LastKnownGood { party, .. }
            | PeerReason::Silent { party, .. }
            | PeerReason::Unreachable { party, .. }
            | PeerReason::Refused { party, .. }
            | PeerReason::Unknown { party }
            | PeerReason::Faulty { party, .. }
            | PeerReason::NotListed { party, .. }
            | PeerReason::Unsaid { party, .. }
            | PeerReason::NotApproved { party, .. }
            | PeerReason::Full { party, .. }
            | PeerReason::Ignored { party }
            | PeerReason::ForeignVlan { party, .. }
            | PeerReason::Loop { party }
            | PeerReason::Busy { party }
            | PeerReason::RealmGone { party } => Some(party),
            PeerReason::NoSuchRealm { .. } => None,
        }
    }

    /// The stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            PeerReason::Admitted { .. } => "peer_admitted",
            PeerReason::Proved { .. } => "proved_to_peer",
            PeerReason::First { .. } => "first_proof_to_peer",
            PeerReason::LastKnownGood { .. } => "last_known_good",
            PeerReason::Silent { .. } => "peer_silent",
            PeerReason::Unreachable { .. } => "peer_unreachable",
            PeerReason::Refused { .. } => "peer_refused",
            PeerReason::Unknown { .. } => "unknown_to_peer",
            PeerReason::Faulty { .. } => "peer_faulty",
            PeerReason::NotListed { .. } => "peer_not_listed",
            PeerReason::Unsaid { .. } => "peer_identity_unsaid",
            PeerReason::NotApproved { .. } => "peer_not_approved",
            PeerReason::Full { .. } => "peer_full",
            PeerReason::Ignored { .. } => "ignored",
            PeerReason::ForeignVlan { .. } => "foreign_vlan",
            PeerReason::NoSuchRealm { .. } => "no_such_realm",
            PeerReason::Loop { .. } => "proxy_loop",
            PeerReason::Busy { .. } => "proxy_busy",
            PeerReason::RealmGone { .. } => "realm_gone",
        }
    }

    /// Whose fault it is: theirs is the manufacturer's.
    pub fn fault(&self) -> Fault {
        match self {
            PeerReason::Admitted { .. }
            | PeerReason::Proved { .. }
            | PeerReason::First { .. }
            | PeerReason::LastKnownGood { .. }
            | PeerReason::NotListed { .. }
            | PeerReason::Unsaid { .. }
            | PeerReason::NotApproved { .. }
            | PeerReason::Full { .. }
            | PeerReason::Ignored { .. }
            | PeerReason::RealmGone { .. } => Fault::None,
            PeerReason::Unknown { .. } => Fault::Device,
            PeerReason::Silent { .. }
            | PeerReason::Unreachable { .. }
            | PeerReason::Refused { .. }
            | PeerReason::Faulty { .. } => Fault::Manufacturer,
            PeerReason::ForeignVlan { .. } | PeerReason::NoSuchRealm { .. } | PeerReason::Loop { .. } => {
                Fault::Configuration
            }
            PeerReason::Busy { .. } => Fault::Latchkey,
        }
    }

    /// True when a refusal for this reason repeats one for the other: how long was waited makes no difference.
    pub fn repeats(&self, other: &PeerReason) -> bool {
        match (self, other) {
            (PeerReason::Silent { party, .. }, PeerReason::Silent { party: other, .. })
            | (PeerReason::Unreachable { party, .. }, PeerReason::Unreachable { party: other, .. }) => party == other,
            _ => self == other,
        }
    }
}

impl fmt::Display for PeerReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerReason::Admitted { name, party } => {
                write!(f, "registered as {name}: {party} vouches for it, and all its devices are let in")
            }
            PeerReason::Proved { party } => write!(f, "{party} vouches for it"),
            PeerReason::First { party } => {
                write!(f, "{party} vouches for it, and it is bound to this address now")
            }
            PeerReason::LastKnownGood { party, age } => {
                write!(f, "{party} does not answer, and let it in {} ago: last known good", Ago(*age))
            }
            PeerReason::Silent { party, seconds, servers, without } => {
                write!(f, "{party}'s server did not answer in {seconds} s (tried {}){without}", Servers(*servers))
            }
            // DNS names none.
            PeerReason::Unreachable { party, servers: 0, why, without } => {
                write!(f, "{party} cannot be reached: {why}{without}")
            }
            PeerReason::Unreachable { party, servers: 1, why, without } => {
                write!(f, "{party}'s server cannot be reached: {why}{without}")
            }
            PeerReason::Unreachable { party, servers, why, without } => {
                write!(f, "{party}'s servers cannot be reached (tried {}): {why}{without}", Servers(*servers))
            }
            PeerReason::Refused { party, message } if message.is_empty() => write!(f, "{party} said no"),
            PeerReason::Refused { party, message } => write!(f, "{party} said no: {message}"),
            PeerReason::Unknown { party } => {
                write!(f, "unknown device: neither its address nor its key is registered here, and {party} said no")
            }
            PeerReason::Faulty { party, what } => write!(f, "the answer of {party}'s server is of no use: {what}"),
            PeerReason::NotListed { party, identity } => write!(
                f,
                "we said no: device not on the list. {party} vouches for it ({identity}), but only registered devices of its \
                 are let in: write option admit 'pending' in config realm '{party}', and approve it"
            ),
            PeerReason::Unsaid { party, claimed } => write!(
                f,
                "we said no: {party}'s server does not say who it is; it calls itself {claimed}, as anybody could, and has none of \
                 that device's addresses: have that server send User-Name or Chargeable-User-Identity of the inner identity, or \
                 register this address (latchkey device set NAME mac+=MAC)"
            ),
            PeerReason::NotApproved { party, identity } => write!(
                f,
                "we said no: {party} vouches for it ({identity}), and nobody has approved it yet: latchkey pending approve \
                 MAC NAME"
            ),
            PeerReason::Full { party, identity, max } => write!(
                f,
                "we said no: {party} vouches for it ({identity}), but {max} of its devices are registered already, and more \
                 do not register themselves: let this one in with latchkey pending approve MAC NAME, or remove devices you \
                 do not know (latchkey device list)"
            ),
            PeerReason::Ignored { party } => write!(
                f,
                "we said no: its address is to be ignored, so {party} was not asked: latchkey pending unignore MAC"
            ),
            PeerReason::ForeignVlan { party, vlan } => write!(
                f,
                "{party} puts it into VLAN {vlan}, which no profile has: add a config profile with option vlan '{vlan}', or \
                 write option placement 'ours' in config realm '{party}'"
            ),
            PeerReason::NoSuchRealm { realm } => write!(
                f,
                "nobody is asked for its realm '{realm}': add a config realm with option realm '{realm}' and the server of \
                 whoever made the device"
            ),
            PeerReason::Loop { party } => write!(
                f,
                "the request goes in a circle: it has been here before, or would go back to where it comes from; look at the \
                 servers of config realm '{party}' here, and at what is forwarded there"
            ),
            PeerReason::Busy { party } => {
                write!(
                    f,
                    "too many requests wait for answers already, {party} was not asked: a later attempt will work"
                )
            }
            PeerReason::RealmGone { party } => {
                write!(f, "config realm '{party}' was taken away while its server was asked: it begins again by itself")
            }
        }
    }
}

/// A number of servers in words.
struct Servers(u8);

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 server"),
            n => write!(f, "{n} servers"),
        }
    }
}

/// Seconds in words.
struct Ago(u32);

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds @ 0..120 => write!(f, "{seconds} s"),
            seconds @ 120..7200 => write!(f, "{} min", seconds / 60),
            seconds @ 7200..172_800 => write!(f, "{} h", seconds / 3600),
            seconds => write!(f, "{} days", seconds / 86_400),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_party() {
        let party: Arc<str> = "acme".into();
        let silent = |servers, without| PeerReason::Silent { party: party.clone(), seconds: 9, servers, without };
        for (reason, words) in [
            (silent(2, Without::NotWanted), "acme's server did not answer in 9 s (tried 2 servers)"),
            (
                silent(1, Without::Never),
                "acme's server did not answer in 9 s (tried 1 server); there is no last known good answer for it",
            ),
            (PeerReason::Refused { party: party.clone(), message: "".into() }, "acme said no"),
            (PeerReason::Refused { party: party.clone(), message: "not today".into() }, "acme said no: not today"),
            (
                PeerReason::LastKnownGood { party: party.clone(), age: 7300 },
                "acme does not answer, and let it in 2 h ago: last known good",
            ),
        ] {
            assert_eq!(reason.to_string(), words);
        }
        let listed = PeerReason::NotListed { party: party.clone(), identity: "cam@acme.example".into() };
        assert!(listed.to_string().starts_with("we said no: device not on the list"), "{listed}");
        assert!(silent(1, Without::Never).repeats(&silent(2, Without::NotWanted)));
        assert!(!silent(1, Without::Never).repeats(&PeerReason::Proved { party }));
    }
}
