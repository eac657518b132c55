//! Fragments and TLS messages of somebody without a certificate.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchkey::eap::tls::fuzz(data));
