//! Wire formats: checked views, parse and emit, no I/O. Nothing here may panic on input.

pub mod csv;
pub mod eap;
pub mod eapol;
pub mod hostapd;
pub mod nai;
pub mod pskfile;
pub mod radius;
pub mod rsn;
pub mod ubus;
pub mod uci;
