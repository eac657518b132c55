//! RADIUS over a stream: packets cut out of octets that come in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchkey::wire::radius::fuzz_stream(data));
