//! The handshake a NAS sends: ANonce and EAPOL-Key message 2.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchkey::wpa::fuzz(data));
