//! What the tests of conversations and methods stand on: known keys, predictable randomness.

use super::{Context, Credentials};
use crate::registry::device::DeviceId;
use crate::secret::EapPskKey;
use crate::time::UnixTime;

/// Who has which key, and which methods are wanted.
#[derive(Default)]
pub struct Keys {
    pub psk: Vec<(&'static [u8], DeviceId, EapPskKey)>,
    pub unwanted: Vec<u8>,
}

impl Credentials for Keys {
    fn eap_psk(&self, nai: &[u8]) -> Option<(DeviceId, EapPskKey)> {
        self.psk.iter().find(|(known, ..)| *known == nai).map(|(_, device, key)| (*device, key.clone()))
    }

    fn offers(&self, kind: u8) -> bool {
        !self.unwanted.contains(&kind)
    }
}

/// Fills a buffer.
pub type Random = Box<dyn FnMut(&mut [u8])>;

/// Everything a context is made of.
pub struct World {
    pub keys: Keys,
    pub random: Random,
    pub server_id: &'static [u8],
}

impl World {
    pub fn new(keys: Keys, seed: u64) -> World {
        let mut numbers = Numbers(seed);
        World { keys, random: Box::new(move |to| numbers.fill(to)), server_id: b"latchkey.test" }
    }

    pub fn context(&mut self) -> Context<'_> {
        Context {
            credentials: &self.keys,
            random: &mut *self.random,
            wall: UnixTime(1_800_000_000),
            mtu: 1400,
            server_id: self.server_id,
            tls: None,
        }
    }
}

/// SplitMix64.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub fn fill(&mut self, to: &mut [u8]) {
        to.fill_with(|| self.next() as u8);
    }
}
