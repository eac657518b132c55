//! What a RADIUS client with the right secret sends, up to the answer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchkey::service::radius::fuzz(data));
