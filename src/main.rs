//! The `latchkey` program: the daemon (`serve`) and its command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    latchkey::cli::main()
}
