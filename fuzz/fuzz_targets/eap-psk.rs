//! EAP-PSK between a device that has the key and the server, over a hostile network.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchkey::eap::fuzzing::psk(data));
