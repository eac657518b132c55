//! The whole command line against a thread that plays the daemon.
use super::text::Look;
use crate::time::UnixTime;
/// 2027-01-31T18:00:00Z, no terminal.
pub const PLAIN: Look = Look { terminal: false, colour: false, now: UnixTime(1_801_418_400) };
/// The same on a terminal.
pub const COLOUR: Look = Look { terminal: true, colour: true, ..PLAIN };
