//! Where the access log goes, and how it looks.

use super::ConfigError;
use crate::cli;
use crate::report::format::Format;
use std::path::{Path, PathBuf};

/// The access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Where it goes; `None` if there is none.
    pub place: Option<Place>,
    /// How its lines look.
    pub format: Format,
}

/// Where a log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// To standard output.
    Output,
    /// To this file.
    File(PathBuf),
}

impl Log {
    /// Validates the arguments.
    pub(super) fn new(arguments: cli::Log) -> Result<Self, ConfigError> {
        let cli::Log { access_log, log_format, quiet } = arguments;
        let format = log_format.as_deref().map_or_else(|| Ok(Format::default()), Format::parse)?;
        let place = match access_log {
            Some(path) if quiet => return Err(ConfigError::QuietLog(path)),
            None => (!quiet).then_some(Place::Output),
            Some(path) if path == Path::new("-") => Some(Place::Output),
            Some(path) if path == Path::new("off") => None,
            Some(path) if path == Path::new("") => return Err(ConfigError::NoLogFile),
            Some(path) => Some(Place::File(path)),
        };
        Ok(Self { place, format })
    }
}

#[cfg(test)]
mod tests {
    use super::{ConfigError, Log, Place};
    use crate::cli;
    use crate::report::format::Format;

    fn log(access_log: Option<&str>, quiet: bool) -> Result<Option<Place>, ConfigError> {
        let access_log = access_log.map(Into::into);
        Log::new(cli::Log { access_log, log_format: None, quiet }).map(|log| log.place)
    }

    #[test]
    fn a_log_goes_to_one_place() {
        assert_eq!(log(None, false), Ok(Some(Place::Output)));
        assert_eq!(log(None, true), Ok(None));
        assert_eq!(log(Some("-"), false), Ok(Some(Place::Output)));
        assert_eq!(log(Some("off"), false), Ok(None));
        assert_eq!(log(Some("./off"), false), Ok(Some(Place::File("./off".into()))));
        assert_eq!(log(Some(""), false), Err(ConfigError::NoLogFile));
        for place in ["-", "off", "a.log"] {
            assert_eq!(log(Some(place), true), Err(ConfigError::QuietLog(place.into())));
        }
    }

    #[test]
    fn a_wrong_format_is_said_with_its_flag() {
        let format = |text: &str| {
            Log::new(cli::Log { log_format: Some(text.to_owned()), ..cli::Log::default() })
                .map(|log| log.format)
        };
        assert_eq!(format("json"), Ok(Format::Json));
        assert_eq!(
            format("jsom").unwrap_err().to_string(),
            "--log-format: it takes common, combined, json, or a template with placeholders such as \
             '{client} {status}', not `jsom`; did you mean json?"
        );
    }
}
