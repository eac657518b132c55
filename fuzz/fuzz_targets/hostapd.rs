//! Replies and events of hostapd's control interface.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchkey::wire::hostapd::fuzz(data));
