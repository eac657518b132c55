//! Unpredictable octets: the system's, fetched some at a time, as each RADIUS exchange needs a few.

use zeroize::Zeroizing;

/// Octets fetched at once. `getrandom(2)` gives up to 256 whole, whatever signals come.
const STOCK: usize = 256;

/// Octets of the system, each given once and wiped where it was kept.
pub struct Random {
    stock: Zeroizing<[u8; STOCK]>,
    used: usize,
}

impl Random {
    /// Fetches nothing yet.
    pub fn new() -> Random {
        Random { stock: Zeroizing::new([0; STOCK]), used: STOCK }
    }

    /// Fills a buffer. Ends the program when the system has no random numbers, as without them there are no keys to give; it
    /// cannot come to this after boot.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        if buffer.len() > STOCK / 4 {
            fetch(buffer);
            return;
        }
        if STOCK - self.used < buffer.len() {
            fetch(&mut *self.stock);
            self.used = 0;
        }
        let fresh = self.stock.get_mut(self.used..).unwrap_or_default();
        for (octet, fresh) in buffer.iter_mut().zip(fresh) {
            *octet = std::mem::take(fresh);
            self.used += 1;
        }
    }
}

fn fetch(buffer: &mut [u8]) {
    if let Err(why) = getrandom::fill(buffer) {
        crate::log::error!("the system gives no random numbers: {why}");
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_octets_are_given_twice() {
        let mut random = Random::new();
        let mut given = HashSet::new();
        for _ in 0..1000 {
            for length in [8, 16, 31, 64, 65, 300] {
                let mut buffer = vec![0; length];
                random.fill(&mut buffer);
                assert!(buffer.chunks_exact(8).all(|octets| given.insert(octets.to_vec())), "{length} octets");
            }
        }
    }
}
