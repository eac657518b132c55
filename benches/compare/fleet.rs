//! The devices that every server under test gets: 10,000 with a MAC, a key and one of four VLANs.

use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use std::fmt::Write as _;

/// The SSID all devices use.
pub const SSID: &str = "Home";

/// How many devices are registered.
pub const DEVICES: usize = 10_000;

/// The profiles, as (name, VLAN): device n has profile n modulo their number.
pub const PROFILES: [(&str, u16); 4] = [("iot", 20), ("guest", 30), ("family", 40), ("office", 50)];

/// The last devices of the fleet may use their key with any address: they are the ones the key search looks for.
pub const ROAMING: usize = 32;

/// Letters that cannot spell the SSID, a device's name or a profile, which a registry refuses in a key.
const ALPHABET: &[u8; 24] = b"bcdfghjkpqrtvwxyz2345678";

/// One registered device.
pub struct Device {
    pub name: String,
    pub profile: &'static str,
    pub vlan: u16,
    pub mac: [u8; 6],
    /// Passphrase.
    pub key: String,
    /// What hostapd and the key search work with: PBKDF2 of the passphrase and [`SSID`].
    pub pmk: [u8; 32],
}

/// A splitmix64 generator: the fleet is the same in every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Fills `octets`.
    pub fn fill(&mut self, octets: &mut [u8]) {
        for chunk in octets.chunks_mut(8) {
            let random = self.next().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }

    /// A passphrase of 16 characters (73 bits).
    pub fn passphrase(&mut self) -> String {
        (0..16).map(|_| char::from(ALPHABET[(self.next() >> 32) as usize % ALPHABET.len()])).collect()
    }
}

/// Makes the fleet, deriving the PMKs on all cores (about 10 s of CPU time).
pub fn make(seed: u64) -> Vec<Device> {
    let mut random = Random(seed);
    let mut devices: Vec<Device> = (0..DEVICES)
        .map(|n| {
            let (profile, vlan) = PROFILES[n % PROFILES.len()];
            let [_, _, b, c, d, e, f, g] = (0x0000_001a_1100_0000_u64 + n as u64).to_be_bytes();
            let mac = [b, c, d, e, f, g];
            Device { name: format!("dev-{n:05}"), profile, vlan, mac, key: random.passphrase(), pmk: [0; 32] }
        })
        .collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = DEVICES.div_ceil(cores);
    std::thread::scope(|scope| {
        for part in devices.chunks_mut(share) {
            scope.spawn(move || {
                for device in part {
                    pbkdf2_hmac::<Sha1>(device.key.as_bytes(), SSID.as_bytes(), 4096, &mut device.pmk);
                }
            });
        }
    });
    devices
}

/// The fleet as the CSV file that `latchkey device import` reads.
pub fn csv(devices: &[Device]) -> String {
    let mut text = String::from("name,profile,mac,key,bind,max_devices\n");
    for (n, device) in devices.iter().enumerate() {
        let (bind, max) = if n < devices.len() - ROAMING { ("mac", 1) } else { ("any", 0) };
        let Device { name, profile, mac, key, .. } = device;
        let _ = writeln!(text, "{name},{profile},{},{key},{bind},{max}", colons(mac));
    }
    text
}

/// `aabbccddeeff`, as hostapd writes a User-Name.
pub fn plain(mac: &[u8; 6]) -> String {
    mac.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// `AA-BB-CC-DD-EE-FF`, as hostapd writes a Calling-Station-Id.
pub fn dashes(mac: &[u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02X}")).join("-")
}

/// `aa:bb:cc:dd:ee:ff`, as people write it.
pub fn colons(mac: &[u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

/// Lower-case hexadecimal digits.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
