//! The configuration file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| { let _ = latchkey::mac::MacAddr::parse_bytes(data); });
