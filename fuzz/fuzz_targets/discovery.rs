//! What name servers answer when a realm's servers are looked up.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchkey::discovery::fuzz(data));
