//! How the keys come to the hostapd of one BSS: by a file that it is told to read, by SAE passwords that it is given, or over
//! RADIUS; and whether they do.

use super::super::keyfile::Watch;
use super::super::now;
use super::bss::Bss;
use super::socket::Socket;
use crate::config::{Backend, Security, Ssid};
use crate::mac::MacAddr;
use crate::wire::hostapd::{is_ok, key_mgmt, radius_servers};
use std::io;
use std::path::Path;
use zeroize::Zeroize;

/// hostapd keeps every SAE password it was ever given, and prepares all of them with each new one.
const MANY_PASSWORDS: usize = 512;

impl Bss {
    /// Gives hostapd the keys that hold now, as far as it does not have them; and says how they come to it, when the
    /// configuration has another section for this BSS than before, or the BSS another SSID.
    pub(super) async fn give_keys(&self, requests: &Socket, reply: &mut Vec<u8>) -> io::Result<()> {
        let served = self.served();
        let anew = self.greeted_as.borrow().as_ref() != Some(&served);
        if anew {
            self.stale.file.set(true);
            self.stale.passwords.set(true);
            self.greeted_as.replace(Some(served.clone()));
        }
        if let Some(ssid) = &served {
            if ssid.has_key_file() && self.stale.file.replace(false) {
                self.reload(requests, ssid, reply).await?;
            }
            if ssid.has_sae_passwords() && self.stale.passwords.replace(false) {
                self.give_passwords(requests, ssid, reply).await?;
            }
        }
        if anew { self.say_hello(requests, served.as_ref(), reply).await } else { Ok(()) }
    }

    /// Has hostapd read the key file, and sees whether it does.
    async fn reload(&self, requests: &Socket, ssid: &Ssid, reply: &mut Vec<u8>) -> io::Result<()> {
        let _others_wait = self.daemon.keyfiles.reading.lock().await;
        // hostapd reads it before it answers.
        let watch = Watch::new(&ssid.psk_file);
        requests.ask("RELOAD_WPA_PSK", reply).await?;
        let read = watch.is_none_or(|watch| watch.opened());
        let file = ssid.psk_file.display();
        if !read {
            self.say(true, format!("hostapd does not read {file}: {}", mend(&ssid.psk_file)));
        } else if is_ok(reply) {
            let passwords = if ssid.has_sae_passwords() { ", WPA3 passwords over the control socket" } else { "" };
            self.say(false, format!("keys from {file}, read by hostapd{passwords}; VLANs by key"));
        } else if reply.starts_with(b"UNKNOWN") {
            self.say(true, "hostapd is too old to read keys while it runs: 2.8 and later can".into());
        } else {
            // It has no keys at all now, or only some: it is told again in a while.
            self.stale.file.set(true);
            self.say(
                true,
                format!(
                    "hostapd cannot read {file}: its user must be able to (option psk_group), and every directory above \
                     must let others pass (chmod 711)"
                ),
            );
        }
        Ok(())
    }

    async fn give_passwords(&self, requests: &Socket, ssid: &Ssid, reply: &mut Vec<u8>) -> io::Result<()> {
        let (plan, kept) = {
            let core = &mut *self.daemon.core.borrow_mut();
            let wanted = core.sae_passwords(ssid, now());
            let given = &mut *self.given.borrow_mut();
            let before = given.kept;
            let plan = given.plan(&wanted.entries, || core.unknown_passphrase());
            if before <= MANY_PASSWORDS && given.kept > MANY_PASSWORDS {
                crate::log::warn!(
                    "{}: hostapd was given {} WPA3 passwords since it began, and forgets none: each change costs it more; \
                     start it again when that does no harm",
                    self.name,
                    given.kept
                );
            }
            (plan, given.kept)
        };
        for request in &plan {
            requests.ask(request, reply).await?;
            if !is_ok(reply) {
                // What it has is not known any more: with the next change all is set anew.
                self.given.borrow_mut().forget();
                self.say(true, "hostapd takes no WPA3 passwords: it is built without SAE".into());
                return Ok(());
            }
        }
        // A station that tried before goes on with the password that hostapd had then, until hostapd forgets the station.
        for mac in plan.iter().filter_map(|request| password_of(request)) {
            if !self.daemon.core.borrow().stations.station(&self.name, mac).is_some_and(|station| station.authorized) {
                requests.ask(&format!("DEAUTHENTICATE {mac}"), reply).await?;
            }
        }
        crate::log::debug!("{}: {} WPA3 passwords set, {kept} in all", self.name, plan.len());
        if !ssid.has_key_file() {
            self.say(false, "WPA3 passwords over the control socket; VLANs by address".into());
        }
        Ok(())
    }

    /// Says how the keys come to hostapd, and how the BSS fits the configuration.
    async fn say_hello(&self, requests: &Socket, served: Option<&Ssid>, reply: &mut Vec<u8>) -> io::Result<()> {
        let Some(ssid) = served else {
            self.say(false, "not in the configuration, left alone".into());
            return Ok(());
        };
        if ssid.backend == Backend::Radius {
            requests.ask("MIB", reply).await?;
            let servers = radius_servers(reply);
            if servers.is_empty() {
                let mend = "add auth_server_addr, auth_server_port and auth_server_shared_secret to hostapd.conf, or option \
                            backend 'psk-file' where hostapd cannot do RADIUS (wpad-basic)";
                self.say(true, format!("hostapd has no RADIUS server for this BSS, so it asks nobody: {mend}"));
            } else {
                let limits = if matches!(ssid.security, Security::Wpa2 | Security::Enterprise | Security::Wired) {
                    ""
                } else {
                    "; WPA3 that way needs hostapd 2.11 with macaddr_acl=2 and sae_pwe=0, knows devices by address only, and \
                     does not work on 6 GHz: option backend 'psk-file' gives it Hash-to-Element"
                };
                self.say(false, format!("asks over RADIUS ({}){limits}", servers.join(", ")));
            }
        }
        requests.ask("GET_CONFIG", reply).await?;
        let offered = key_mgmt(reply);
        // hostapd says a passphrase here, too, when WPS is on.
        reply.zeroize();
        if let Some(offered) = offered {
            self.compare(ssid, &offered);
        }
        Ok(())
    }

    /// Says when the BSS offers another security than the configuration has.
    fn compare(&self, ssid: &Ssid, offered: &str) {
        let words = || offered.split_ascii_whitespace();
        let psk = words().any(|word| word.contains("PSK"));
        let sae = words().any(|word| word.contains("SAE"));
        let fits = match ssid.security {
            Security::Wpa2 => psk && !sae,
            Security::Wpa3 => sae && !psk,
            Security::Mixed => psk && sae,
            Security::Enterprise => !psk && !sae,
            Security::Wired => true,
        };
        if !fits {
            crate::log::warn!(
                "{} (SSID {:?}): option security is '{}', hostapd offers {offered}: make them agree",
                self.name,
                String::from_utf8_lossy(&ssid.ssid),
                ssid.security
            );
        }
    }

    /// Says how the keys come to hostapd, once, and keeps it for those who ask.
    fn say(&self, bad: bool, how: String) {
        if *self.said.borrow() == how {
            return;
        }
        let core = &mut *self.daemon.core.borrow_mut();
        core.stations.learns_keys(&self.name, how.as_str().into());
        let ssid =
            core.stations.ssid(&self.name).map(|ssid| String::from_utf8_lossy(ssid).into_owned()).unwrap_or_default();
        let there = core.stations.iter().filter(|(name, ..)| **name == self.name).count();
        if bad {
            crate::log::warn!("{} (SSID {ssid:?}): {how}", self.name);
        } else {
            crate::log::info!("{} (SSID {ssid:?}): {how}; {there} stations", self.name);
        }
        self.said.replace(how);
    }

    fn served(&self) -> Option<Ssid> {
        let core = self.daemon.core.borrow();
        core.config.ssid(core.stations.ssid(&self.name)?).cloned()
    }
}

/// Whose password a request sets; none when it is for every address.
fn password_of(request: &str) -> Option<MacAddr> {
    // A passphrase with this in it is never sent.
    let (_, rest) = request.split_once("|mac=")?;
    rest.get(..17).and_then(|mac| mac.parse().ok())
}

/// What makes hostapd read a file.
fn mend(path: &Path) -> String {
    let line = format!("wpa_psk_file={}", path.display());
    format!(
        "add {line} to this BSS in hostapd.conf, without wpa_passphrase (OpenWrt: list hostapd_bss_options '{line}')"
    )
}
