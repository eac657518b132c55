//! Request lines on the control socket.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchkey::service::control::fuzz(data));
