//! Why a request gets an error, before it is known how that is shown.

use crate::archive::Refusal;
use crate::config::SettingsError;
use crate::rules::RuleError;
use crate::tree::TreeError;

/// Why there is no file to answer with.
#[derive(Debug)]
pub(super) enum Failure {
    /// An error of this status (RFC 9110 §15).
    Status(u16),
    /// No requested part of the file exists; it has so many bytes.
    Unsatisfiable(u64),
    /// It needs a password, which others could read on its way.
    InClear,
    /// A setting is wrong.
    Settings(SettingsError),
    /// A file of rules cannot be obeyed.
    Rules(RuleError),
    /// The system failed. The text tells the operator where.
    System(String),
    /// A file that a setting names is missing.
    Missing(String),
}

impl Failure {
    /// The status of the answer.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Status(status) => *status,
            Self::Unsatisfiable(_) => 416,
            Self::InClear => 403,
            Self::Settings(_) | Self::Rules(_) | Self::System(_) => 500,
            Self::Missing(_) => 404,
        }
    }

    /// What the operator must know.
    pub(super) fn complaint(&self) -> Option<String> {
        match self {
            Self::Status(_) | Self::Unsatisfiable(_) | Self::InClear => None,
            Self::Settings(error) => Some(error.to_string()),
            Self::Rules(error) => Some(error.to_string()),
            Self::System(text) | Self::Missing(text) => Some(text.clone()),
        }
    }

    /// The status with its name, and a sentence about the error for a person.
    pub(super) fn explain(&self) -> (&'static str, &'static str) {
        match self {
            Self::Settings(_) | Self::Rules(_) => {
                let sentence = "the settings or rules of this server are wrong; its log says which.";
                return ("500 Internal Server Error", sentence);
            }
            Self::InClear => {
                return (
                    "403 Forbidden",
                    "this needs a password, which others could read on its way; use https.",
                );
            }
            _ => {}
        }
        match self.status() {
            400 => ("400 Bad Request", "this is not a valid path."),
            401 => ("401 Unauthorized", "this needs a name and a password."),
            403 => ("403 Forbidden", "this directory is too large for an archive; its parts may be smaller."),
            404 => ("404 Not Found", "there is no such file here."),
            405 => ("405 Method Not Allowed", "this server answers GET, HEAD and OPTIONS."),
            410 => ("410 Gone", "this file is not here any more."),
            412 => ("412 Precondition Failed", "the file is not in the state that the request asked for."),
            414 => ("414 URI Too Long", "this address is longer than that of any file."),
            416 => ("416 Range Not Satisfiable", "the file has no such part."),
            _ => ("500 Internal Server Error", "the server could not read the file; its log says why."),
        }
    }
}

impl From<TreeError> for Failure {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::NotFound => Self::Status(404),
            TreeError::Failed(text) => Self::System(text),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooLarge => Self::Status(403),
            Refusal::Tree(error) => error.into(),
        }
    }
}

impl From<RuleError> for Failure {
    fn from(error: RuleError) -> Self {
        Self::Rules(error)
    }
}
