//! What servers answer and NASes ask when requests are forwarded: rewriting, and the engine call by call.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchkey::proxy::fuzz(data));
