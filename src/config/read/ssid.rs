//! `config ssid`.

use super::super::{Backend, Security, Ssid, Unknown};
use super::Scope;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where key files are by default: on a tmpfs.
const PSK_DIR: &str = "/var/run/latchkey/psk";
/// Octets of a key file's path: it has to fit into a line of hostapd.conf.
const MAX_PSK_FILE: usize = 255;

impl<'d> Scope<'_, 'd> {
    pub(super) fn ssid(&mut self, place: usize) -> Option<Ssid> {
        let security = self.word("security", Security::WORDS, Security::Wpa2);
        let section = self.name(place);
        if !security.has_keys() {
            return self.ssid_without_keys(section, security);
        }
        let ssid = self.octets_of_ssid();
        let unknown = self.unknown(ssid);
        let backend = self.word("backend", Backend::WORDS, Backend::Radius);
        if backend == Backend::Radius
            && let Some(entry) = self.entry("psk_file")
        {
            let message = "has no effect while backend is 'radius': remove it, or write option backend 'psk-file'";
            self.warn(entry.line, "psk_file", message.into());
        }
        self.backend_fits(backend, security);
        let file_name = self.section.name.as_deref().map_or_else(|| format!("ssid{place}"), str::to_owned);
        let psk_file = self.path("psk_file", Path::new(PSK_DIR).join(file_name), MAX_PSK_FILE);
        Some(Ssid { section, ssid: ssid?.into(), security, unknown: unknown?, backend, psk_file })
    }

    fn octets_of_ssid(&mut self) -> Option<&'d [u8]> {
        let Some(entry) = self.entry("ssid") else {
            self.missing("ssid", "add option ssid '...' with the network's name");
            return None;
        };
        let octets = entry.value.octets();
        if octets.len() > 32 {
            let message = format!("has {} octets, an SSID has 1 to 32: shorten it", octets.len());
            self.error(entry.line, Some("ssid"), message);
            return None;
        }
        Some(octets)
    }

    /// A network whose devices join with EAP: all that has to do with Wi-Fi keys makes no sense there.
    fn ssid_without_keys(&mut self, section: Arc<str>, security: Security) -> Option<Ssid> {
        let keys = ["onboarding_key", "quarantine_profile", "psk_file"].map(|option| (option, None));
        let values = [("unknown", Some("reject")), ("backend", Some("radius"))];
        for (option, only) in keys.into_iter().chain(values) {
            let Some(entry) = self.entry(option) else { continue };
            let Some(only) = only else {
                let message =
                    format!("makes no sense with security '{security}', whose devices have no Wi-Fi keys: remove it");
                self.error(entry.line, Some(option), message);
                continue;
            };
            if entry.value.octets() != only.as_bytes() {
                let message = format!(
                    "can only be '{only}' with security '{security}', whose devices have no Wi-Fi keys: remove it, or \
                     write option security 'wpa2'"
                );
                self.error(entry.line, Some(option), message);
            }
        }
        let ssid = match (security, self.entry("ssid")) {
            (Security::Wired, Some(entry)) => {
                let message = "makes no sense with security 'wired', a cable has no SSID: remove it";
                self.error(entry.line, Some("ssid"), message.into());
                None
            }
            (Security::Wired, None) => Some(&[][..]),
            _ => self.octets_of_ssid(),
        };
        let (unknown, backend) = (Unknown::Reject, Backend::Radius);
        Some(Ssid { section, ssid: ssid?.into(), security, unknown, backend, psk_file: PathBuf::new() })
    }

    /// What a backend cannot do.
    fn backend_fits(&mut self, backend: Backend, security: Security) {
        let message = match (backend, security) {
            // What that means depends on hostapd, and is said when it is there.
            (_, Security::Wpa2 | Security::Enterprise | Security::Wired) | (Backend::Radius, _) => return,
            // hostapd_ctrl_iface_kick_mismatch_psk_sta_iter (ctrl_iface.c) looks for their PMKs in the file.
            (Backend::PskFile, Security::Mixed) => {
                "with backend 'psk-file', hostapd drops the devices that joined with WPA3 whenever a key changes, and they join \
                 again: where that matters, make an SSID with 'wpa3' and one with 'wpa2'"
            }
            (Backend::PskFile, Security::Wpa3) => {
                "with backend 'psk-file', a device joins with WPA3 only from an address that is registered: keys alone (bind \
                 first or any) are not enough; 'mixed' lets WPA2 bind the address"
            }
        };
        let line = self.entry("security").map_or(self.section.line, |entry| entry.line);
        self.warn(line, "security", message.into());
    }
}
