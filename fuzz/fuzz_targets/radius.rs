//! RADIUS packets as they come from the network.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchkey::wire::radius::fuzz(data));
