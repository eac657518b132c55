//! How it stands with the bus, for `status` and the log.

use super::Refusal;
use crate::wire::ubus::Status;
use std::fmt;

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// The configuration says so.
    Off,
    /// There is no bus: no OpenWrt, or not yet.
    #[default]
    Absent,
    /// The object is there.
    Published,
    /// ubusd does not let our user publish it.
    AclMissing,
    /// Another process has published it.
    NameTaken,
    /// What went wrong.
    Failed(String),
}

impl State {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            State::Off => "off",
            State::Absent => "absent",
            State::Published => "published",
            State::AclMissing => "acl_missing",
            State::NameTaken => "name_taken",
            State::Failed(_) => "failed",
        }
    }

    /// True when it is as somebody wants it.
    pub fn is_fine(&self) -> bool {
        matches!(self, State::Off | State::Absent | State::Published)
    }
}

impl From<Refusal> for State {
    fn from(refusal: Refusal) -> State {
        match refusal {
            Refusal::AclMissing => State::AclMissing,
            Refusal::NameTaken => State::NameTaken,
            Refusal::Status(status) => State::Failed(format!("ubusd did not publish the object: {status}")),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Off => "off",
            State::Absent => "not there",
            State::Published => "published",
            State::AclMissing => {
                "ACL missing: install /usr/share/acl.d/latchkey_acl.json, and have ubusd read it (killall -HUP ubusd)"
            }
            State::NameTaken => "another process has published an object named latchkey: is a second daemon running?",
            State::Failed(why) => why,
        })
    }
}

/// What `status` tells of the bus.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// How it stands.
    pub state: State,
    /// Calls since the start.
    pub calls: u64,
    /// Calls that were not run since too many were in work.
    pub busy: u64,
    /// Events sent since the start.
    pub events: u64,
    /// Events left out since the start.
    pub missed: u64,
    /// ubusd does not let our user send events.
    pub events_refused: Option<Status>,
}
