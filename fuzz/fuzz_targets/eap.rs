//! EAP conversations of somebody without a key, up to the refusal.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchkey::eap::fuzzing::conversation(data));
