//! What comes from ubusd: the stream, its values, and what the client makes of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    latchkey::wire::ubus::fuzz(data);
    latchkey::ubus::fuzz(data);
});
