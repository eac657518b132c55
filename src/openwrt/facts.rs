//! What kind of OpenWrt this is, read from the files of its packages.

use std::net::Ipv4Addr;

/// What decides how options have to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// `DISTRIB_RELEASE`: `24.10.4`, `SNAPSHOT`.
    pub release: String,
    /// Who makes hostapd's configuration out of UCI's.
    pub generator: Generator,
    /// The package hostapd is in; `None` when none is installed.
    pub wpad: Option<Wpad>,
    /// Networks that the kernel has routes to, without default routes: address, and bits of the prefix.
    pub routes: Vec<(Ipv4Addr, u8)>,
}

/// Who makes hostapd's configuration out of UCI's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Generator {
    /// `hostapd.sh`, up to 24.10.
    #[default]
    Shell,
    /// ucode scripts, from 25.12 on.
    Ucode,
}

impl Generator {
    /// Its name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Generator::Shell => "shell",
            Generator::Ucode => "ucode",
        }
    }
}

/// The package hostapd is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wpad {
    /// Its name.
    pub package: String,
    /// It is built with RADIUS: everything but `-basic` and `-mini`, which have `CONFIG_NO_RADIUS`.
    pub radius: bool,
}

impl Facts {
    /// Reads `/etc/openwrt_release`; `None` when it does not name a release. The generator is known by the release until
    /// its files tell otherwise.
    pub fn of_release(text: &str) -> Option<Facts> {
        let value = text.lines().find_map(|line| line.trim().strip_prefix("DISTRIB_RELEASE="))?;
        let release = value.trim().trim_matches(['\'', '"']).to_owned();
        let mut facts = Facts { release, ..Facts::default() };
        facts.generator = if facts.version() >= (25, 12) { Generator::Ucode } else { Generator::Shell };
        Some(facts).filter(|facts| !facts.release.is_empty())
    }

    /// Year and month of the release; snapshots are newer than every release.
    pub fn version(&self) -> (u16, u16) {
        let mut parts = self.release.split(|c: char| !c.is_ascii_digit());
        let mut number = || parts.next().and_then(|part| part.parse().ok());
        match (number(), number()) {
            (Some(year), Some(month)) => (year, month),
            _ => (u16::MAX, 0),
        }
    }

    /// Whether hostapd can ask RADIUS during the handshake (`wpa_psk_radius=3`). That came into hostapd in April 2022: 22.03
    /// has it of January 2022, 23.05 of September 2023.
    pub fn asks_in_handshake(&self) -> bool {
        self.version() >= (23, 5)
    }

    /// Takes the networks of `/proc/net/route`: addresses are hexadecimal, in the order of the machine's octets.
    pub fn read_routes(&mut self, text: &str) {
        let address =
            |word: Option<&str>| u32::from_str_radix(word?, 16).ok().map(|n| u32::from_be_bytes(n.to_ne_bytes()));
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let found = (address(words.get(1).copied()), address(words.get(7).copied()));
            if let (Some(network), Some(mask)) = found
                && mask != 0
            {
                self.routes.push((network.into(), mask.leading_ones() as u8));
            }
        }
    }
}

/// The package in opkg's status file (`/usr/lib/opkg/status`).
pub fn wpad_of_opkg(text: &str) -> Option<Wpad> {
    let mut package = None;
    let mut found = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("Package:") {
            package = wpad(name.trim());
        } else if let Some(status) = line.strip_prefix("Status:")
            && status.split_ascii_whitespace().next_back() == Some("installed")
        {
            found = found.or(package.take());
        }
    }
    found
}

/// The package in apk's database (`/lib/apk/db/installed`).
pub fn wpad_of_apk(text: &str) -> Option<Wpad> {
    text.lines().filter_map(|line| line.strip_prefix("P:")).find_map(|name| wpad(name.trim()))
}

fn wpad(name: &str) -> Option<Wpad> {
    let hostapd = name.split('-').next().is_some_and(|first| first == "wpad" || first == "hostapd");
    if !hostapd || matches!(name, "hostapd-common" | "hostapd-utils") {
        return None;
    }
    let small = name.split('-').any(|part| part == "basic" || part == "mini");
    Some(Wpad { package: name.to_owned(), radius: !small })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        for (text, version, generator, asks) in [
            ("DISTRIB_RELEASE='22.03.7'\n", (22, 3), Generator::Shell, false),
            ("DISTRIB_ID='OpenWrt'\nDISTRIB_RELEASE='23.05.5'\n", (23, 5), Generator::Shell, true),
            ("DISTRIB_RELEASE=\"24.10.4\"\n", (24, 10), Generator::Shell, true),
            ("DISTRIB_RELEASE='25.12.0-rc5'\n", (25, 12), Generator::Ucode, true),
            ("DISTRIB_RELEASE='SNAPSHOT'\n", (u16::MAX, 0), Generator::Ucode, true),
        ] {
            let facts = Facts::of_release(text).expect(text);
            assert_eq!(
                (facts.version(), facts.generator, facts.asks_in_handshake()),
                (version, generator, asks),
                "{text}"
            );
        }
        assert_eq!(Facts::of_release("NAME=Debian\n"), None);
        assert_eq!(Facts::of_release("DISTRIB_RELEASE=''\n"), None);
    }

    #[test]
    fn packages() {
        let opkg = |status: &str| {
            let text = format!(
                "Package: hostapd-common\nStatus: install ok installed\n\nPackage: {status}\n\nPackage: zlib\nStatus: install ok installed\n"
            );
            wpad_of_opkg(&text).map(|wpad| (wpad.package, wpad.radius))
        };
        assert_eq!(
            opkg("wpad-basic-mbedtls\nVersion: 1\nStatus: install ok installed"),
            Some(("wpad-basic-mbedtls".into(), false))
        );
        assert_eq!(opkg("wpad-mesh-openssl\nStatus: install user installed"), Some(("wpad-mesh-openssl".into(), true)));
        assert_eq!(opkg("hostapd\nStatus: install user installed"), Some(("hostapd".into(), true)));
        assert_eq!(opkg("wpad-mini\nStatus: install ok installed"), Some(("wpad-mini".into(), false)));
        assert_eq!(opkg("wpad-openssl\nStatus: deinstall ok not-installed"), None);
        assert_eq!(opkg("wpa-cli\nStatus: install ok installed"), None);
        let apk = "C:Q1\nP:hostapd-common\nV:1\n\nP:wpad-mbedtls\nV:2025.08.26-r1\n\n";
        assert_eq!(wpad_of_apk(apk), Some(Wpad { package: "wpad-mbedtls".into(), radius: true }));
        assert_eq!(wpad_of_apk("P:busybox\n"), None);
    }

    #[test]
    fn routes() {
        let mut facts = Facts::default();
        let word = |text: &str| format!("{:08X}", u32::from_ne_bytes(text.parse::<Ipv4Addr>().expect("one").octets()));
        let line =
            |to: &str, mask: &str| format!("eth0\t{}\t00000000\t0001\t0\t0\t0\t{}\t0\t0\t0\n", word(to), word(mask));
        let text = format!("Iface\n{}{}garbage\n", line("0.0.0.0", "0.0.0.0"), line("192.168.20.0", "255.255.255.0"));
        facts.read_routes(&text);
        assert_eq!(facts.routes, [(Ipv4Addr::new(192, 168, 20, 0), 24)]);
    }
}
