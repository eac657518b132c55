//! Which device each station of this box belongs to: brought up to date every second, and with each one let in.

use crate::mac::MacAddr;
use crate::registry::device::DeviceId;

/// The stations of this box by device, as far as that is certain.
#[derive(Debug, Default)]
pub struct Present {
    /// In order, each once.
    pairs: Vec<(DeviceId, MacAddr)>,
}

impl Present {
    /// Takes the place of what was there: these are all.
    pub fn replace(&mut self, pairs: impl Iterator<Item = (DeviceId, MacAddr)>) {
        self.pairs.clear();
        self.pairs.extend(pairs);
        self.pairs.sort_unstable();
        self.pairs.dedup();
    }

    /// One more.
    pub fn insert(&mut self, device: DeviceId, mac: MacAddr) {
        if let Err(place) = self.pairs.binary_search(&(device, mac)) {
            self.pairs.insert(place, (device, mac));
        }
    }

    /// The stations of a device. Some may have left in the last second.
    pub fn of(&self, device: DeviceId) -> impl Iterator<Item = MacAddr> {
        let first = self.pairs.partition_point(|(id, _)| *id < device);
        self.pairs.iter().skip(first).take_while(move |(id, _)| *id == device).map(|(_, mac)| *mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stations_by_device() {
        let mac = |last| MacAddr([2, 0, 0, 0, 0, last]);
        let mut present = Present::default();
        present.replace([(2, 5), (1, 9), (2, 4), (3, 1), (2, 5)].map(|(id, n)| (DeviceId(id), mac(n))).into_iter());
        assert_eq!(present.of(DeviceId(2)).collect::<Vec<_>>(), [mac(4), mac(5)]);
        assert_eq!(present.of(DeviceId(4)).count(), 0);
        present.insert(DeviceId(2), mac(1));
        present.insert(DeviceId(2), mac(1));
        assert_eq!(present.of(DeviceId(2)).collect::<Vec<_>>(), [mac(1), mac(4), mac(5)]);
        present.replace(std::iter::empty());
        assert_eq!(present.of(DeviceId(2)).count(), 0);
    }
}
