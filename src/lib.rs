//! latchkey: a Wi-Fi key of its own for every device.
//!
//! The folders are the architecture, and dependencies point one way only:
//!
//! ```text
//! wire, wpa          what stands on the wire, and the key search: no I/O, no clock
//! config, registry   what the administrator said: settings and devices
//! firewall           what profiles may reach, as an nftables ruleset: text in, text out
//! proxy, discovery   which server is asked for somebody else, and where DNS says it is: no I/O
//! eap, pki           EAP conversations and methods; certificates: no I/O
//! radsec             RADIUS over TLS: whose certificates count, settings of TLS: no I/O
//! bundle             what a manufacturer hands over of its devices: JSON, signatures
//! decision           one pure function: may this device in, and on what terms
//! store              the registry on flash (SQLite)
//! ubus               an object on the bus of OpenWrt: no socket, no clock
//! network            what the kernel has of the network, and what is to be done about it: no I/O
//! openwrt            our networks in OpenWrt's own configuration: files in, plan out: no I/O
//! service            RADIUS server, sessions, pending devices, the method table: no I/O
//! daemon, cli        the thin shell: sockets, threads, signals, the terminal
//! ```
//!
//! Beside them, for all: `mac`, `secret`, `time`; and `json`, `log`, `sorted`, `thread`, which do in little machine code what
//! libraries do for everybody.

pub mod bundle;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod decision;
pub mod discovery;
pub mod eap;
pub mod firewall;
pub mod json;
pub mod log;
pub mod mac;
pub mod network;
pub mod openwrt;
pub mod pki;
pub mod proxy;
pub mod radsec;
pub mod registry;
pub mod secret;
pub mod service;
pub mod sorted;
pub mod store;
pub mod thread;
pub mod time;
pub mod ubus;
pub mod wire;
pub mod wpa;
