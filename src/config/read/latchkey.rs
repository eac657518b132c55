//! `config latchkey`: the daemon.

use super::super::error::quoted;
use super::super::{Bridges, Enabled, Firewall, LogLevel, Main, STATE_DIR, UbusAt};
use super::Scope;
use crate::sorted::SortedMap;
use crate::time::zone::Zone;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// Sockets cost descriptors: nobody needs more addresses than this.
pub(super) const MAX_LISTEN: usize = 16;
/// `sun_path` of Linux, less its NUL.
const MAX_SOCKET_PATH: usize = 107;
/// A control directory of hostapd: room for the names of its sockets.
const MAX_HOSTAPD_DIR: usize = 80;
/// Interfaces towards the Internet.
const MAX_WAN: usize = 8;

pub(super) fn default_main() -> Main {
    Main {
        enabled: Enabled::Yes,
        ubus: UbusAt::Auto,
        state_dir: STATE_DIR.into(),
        control_socket: "/var/run/latchkey/latchkey.sock".into(),
        auth_listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 1812))],
        acct_listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 1813))],
        hostapd_dir: Some("/var/run/hostapd".into()),
        log_level: LogLevel::Info,
        bridges: Bridges::Leave,
        uplink: None,
        firewall: Firewall::On,
        wan: Vec::new(),
        timezone: None,
        psk_group: None,
    }
}

impl Scope<'_, '_> {
    pub(super) fn main(&mut self) -> Main {
        let default = default_main();
        let enabled = self.word("enabled", Enabled::WORDS, default.enabled);
        let ubus = self.ubus();
        let state_dir = self.path("state_dir", default.state_dir, 1024);
        let control_socket = self.path("control_socket", default.control_socket, MAX_SOCKET_PATH);
        let mut taken = SortedMap::new();
        let auth_listen = self.listen("auth_listen", default.auth_listen, &mut taken);
        let acct_listen = self.listen("acct_listen", default.acct_listen, &mut taken);
        let hostapd_dir = self.hostapd_dir(default.hostapd_dir);
        let log_level = self.word("log_level", LogLevel::WORDS, default.log_level);
        let bridges = self.word("bridges", Bridges::WORDS, default.bridges);
        let uplink = self.interface("uplink");
        let firewall = self.word("firewall", Firewall::WORDS, default.firewall);
        let wan = self.entries("wan").filter_map(|entry| self.interface_of(entry)).take(MAX_WAN).collect();
        let timezone = self.timezone();
        let psk_group = self.entry("psk_group").and_then(|entry| self.text(entry)).map(Into::into);
        Main {
            enabled,
            ubus,
            state_dir,
            control_socket,
            auth_listen,
            acct_listen,
            hostapd_dir,
            log_level,
            bridges,
            uplink,
            firewall,
            wan,
            timezone,
            psk_group,
        }
    }

    /// `auto`, `off`, or the path of ubusd's socket.
    fn ubus(&mut self) -> UbusAt {
        let Some(entry) = self.entry("ubus") else { return UbusAt::Auto };
        match self.text(entry) {
            Some("off") => UbusAt::Off,
            None | Some("auto") => UbusAt::Auto,
            Some(text) if text.starts_with('/') && text.len() <= MAX_SOCKET_PATH => UbusAt::At(text.into()),
            Some(text) => {
                let message = format!(
                    "{} is neither auto, off, nor the absolute path of ubusd's socket with at most {MAX_SOCKET_PATH} octets",
                    quoted(text)
                );
                self.error(entry.line, Some("ubus"), message);
                UbusAt::Auto
            }
        }
    }

    fn timezone(&mut self) -> Option<Arc<str>> {
        let entry = self.entry("timezone")?;
        let text = self.text(entry)?;
        if let Err(why) = Zone::posix(text) {
            self.error(entry.line, Some("timezone"), format!("{} {why}", quoted(text)));
        }
        Some(text.into())
    }

    /// Here an empty value is one: it says that hostapd is to be left alone.
    fn hostapd_dir(&mut self, default: Option<PathBuf>) -> Option<PathBuf> {
        let last = self.section.entries.iter().rfind(|entry| &*entry.name == "hostapd_dir");
        if last.is_some_and(|entry| entry.value.octets().is_empty()) {
            return None;
        }
        default.map(|default| self.path("hostapd_dir", default, MAX_HOSTAPD_DIR))
    }

    fn listen(
        &mut self,
        name: &'static str,
        default: Vec<SocketAddr>,
        taken: &mut SortedMap<SocketAddr, u32>,
    ) -> Vec<SocketAddr> {
        let mut addresses = Vec::new();
        for entry in self.entries(name) {
            let Some(text) = self.text(entry) else { continue };
            let Ok(address) = text.parse::<SocketAddr>() else {
                let port = if name == "auth_listen" { 1812 } else { 1813 };
                let form = format!("write 127.0.0.1:{port} or [::1]:{port}");
                self.error(entry.line, Some(name), format!("{} is no IP address with port: {form}", quoted(text)));
                continue;
            };
            // Port 0 is any free port, so it is never the same.
            if let Some(first) = taken.insert(address, entry.line).filter(|_| address.port() != 0) {
                self.error(
                    entry.line,
                    Some(name),
                    format!("{address} is taken on line {first} already: choose another"),
                );
            }
            if addresses.len() == MAX_LISTEN {
                self.error(entry.line, Some(name), format!("more than {MAX_LISTEN} addresses: remove some"));
                break;
            }
            addresses.push(address);
        }
        if addresses.is_empty() { default } else { addresses }
    }
}
