//! Bundles that a manufacturer hands over, signed or not, and the keys they are checked with.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchkey::bundle::fuzz(data));
