//! (in work)

/// Runs the daemon in the foreground until it is told to stop.
pub fn serve(_config: &std::path::Path) -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}

/// Checks a configuration file and says what is wrong with it.
pub fn check(_config: &std::path::Path) -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
