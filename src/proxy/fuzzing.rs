//! The entry of the fuzz target.

/// Drives engine and rewriting with arbitrary answers and requests.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let _ = data;
}
