//! A change of the configuration file, worked out as a whole before anything is written.

use super::file::DiffLine;
use super::{Config, ConfigError};
use std::path::Path;
use zeroize::Zeroizing;

/// Why a file is not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    /// A stable word for programs.
    pub code: &'static str,
    /// The argument at fault, by its name in the method table; `None` when it is the file.
    pub field: Option<&'static str>,
    /// What is wrong with it, and the mend; one line or several.
    pub message: String,
}

impl PlanError {
    /// An error of one argument.
    pub(super) fn of(code: &'static str, field: &'static str, message: impl Into<String>) -> PlanError {
        PlanError { code, field: Some(field), message: message.into() }
    }

    /// An error of the file.
    pub(super) fn file(message: String) -> PlanError {
        PlanError { code: "config", field: None, message }
    }
}

/// A file as it would be, and what is different in it. `T` is what the change is about.
#[derive(Debug)]
pub struct Plan<T> {
    /// The whole file.
    pub text: Zeroizing<Vec<u8>>,
    /// What it says now.
    pub before: T,
    /// What it would say.
    pub after: T,
    /// The lines that change.
    pub diff: Vec<DiffLine>,
    /// What stays although it may not fit, and what goes because it does not; for people.
    pub notes: Vec<String>,
    /// What is doubtful about it, with file and line.
    pub warnings: Vec<String>,
}

/// Reads a file that is to be changed.
pub(super) fn check_present(path: &Path, text: &[u8]) -> Result<(Config, Vec<ConfigError>), PlanError> {
    super::file::check(text).map_err(|errors| refused("has to be mended first", path, &errors))
}

/// Reads a file as it would be.
pub(super) fn check_future(path: &Path, text: &[u8]) -> Result<(Config, Vec<ConfigError>), PlanError> {
    super::file::check(text).map_err(|errors| refused("would be refused", path, &errors))
}

fn refused(what: &str, path: &Path, errors: &[ConfigError]) -> PlanError {
    let lines: Vec<String> = errors.iter().map(|error| error.in_file(path)).collect();
    PlanError::file(format!("the configuration {what}:\n{}", lines.join("\n")))
}
