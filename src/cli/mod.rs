//! The command line.
use std::process::ExitCode;
/// Runs the program and returns its exit code.
pub fn main() -> ExitCode {
    ExitCode::from(2)
}
