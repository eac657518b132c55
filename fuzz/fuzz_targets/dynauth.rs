//! Disconnect- and CoA-Requests of a server that has the secret.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchkey::service::dynauth::fuzz(data));
