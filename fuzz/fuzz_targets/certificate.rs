//! Certificates, chains, revocation lists, and whom they match.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchkey::pki::fuzz(data));
