//! Files of devices to import.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchkey::registry::csv::fuzz(data));
