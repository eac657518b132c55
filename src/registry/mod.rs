//! The devices: what they are, which changes there can be, and which secrets are refused.

pub mod device;
pub mod generate;
pub mod similar;
pub mod weak;
