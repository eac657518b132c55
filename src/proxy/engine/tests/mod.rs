//! The engine with servers of every manner, in a time of its own.

mod bounds;
mod delivery;
mod health;
mod lies;

use super::fuzz;
use super::testing::{End, Manner, World, realm, server};
use crate::config::Transport::{Radsec, Udp};
use crate::config::{Realm, Target, Transport};
use crate::proxy::{Failure, Health, ServerId, Ticket};
use crate::secret::RadiusSecret;
use crate::wire::radius::{AttributeType, Builder, Code, Packet};
use proptest::prelude::*;

proptest! {
    /// Whatever is called in whatever order: nothing panics, and every request ends exactly once.
    #[test]
    fn every_request_ends_once(data in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz(&data);
    }

    /// The same with more of what matters.
    #[test]
    fn every_request_ends_once_in_a_busy_life(ops in prop::collection::vec((0u8..16, any::<u8>()), 0..300)) {
        let data: Vec<u8> = ops.into_iter().filter(|(op, _)| *op != 4).flat_map(|(op, what)| [op, what]).collect();
        fuzz(&data);
    }
}
