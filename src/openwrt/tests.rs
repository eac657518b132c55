//! Tests over whole files are in `tests/openwrt.rs`.
