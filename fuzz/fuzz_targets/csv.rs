//! Files of devices to import, wrapped in the request that brings them.
#![no_main]

use serde_json::json;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let request = json!({ "method": "device_import", "params": { "csv": String::from_utf8_lossy(data) } });
    latchkey::service::control::fuzz(request.to_string().as_bytes());
});
