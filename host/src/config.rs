//! What the command line means: one validated configuration, or one sentence that says what is wrong with it.

use crate::cli;
use guest::config::{Settings, SettingsError};
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// A directory that guests see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Where it is on this machine.
    pub host: PathBuf,
    /// What the guest knows it as.
    pub guest: String,
}

/// What one guest may use. Everything that a stranger can make grow is here, or a constant beside what it limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many instances may live at a time.
    pub instances: u32,
    /// The linear memory of an instance, in bytes.
    pub memory: usize,
    /// How long the guest may take until the response head, and compute between one piece of its body and the next.
    pub time: Duration,
}

/// Everything that serving needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The component; `None` for the built-in one.
    pub guest: Option<PathBuf>,
    /// The addresses to listen on, as (host, port).
    pub addresses: Vec<(String, u16)>,
    /// The directories to give to the guest.
    pub directories: Vec<Directory>,
    /// The guest's whole environment.
    pub environment: Vec<(String, String)>,
    /// What one instance may use.
    pub limits: Limits,
    /// Whether each request is written to the access log.
    pub access_log: bool,
}

/// An argument that cannot be meant.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// `--addr` is not an address.
    #[error("--addr takes HOST:PORT, such as localhost:8080 or [::1]:8080, not `{0}`")]
    Address(String),
    /// `--dir` is not a directory and a name.
    #[error("--dir takes HOST_DIR or HOST_DIR::GUEST_DIR, such as ./public or ./public::/, not `{0}`")]
    Directory(String),
    /// Two directories have one name.
    #[error("two directories are called `{0}`; give one of them another name with --dir HOST_DIR::GUEST_DIR")]
    SameName(String),
    /// `--env` is not an assignment.
    #[error("--env takes NAME=VALUE, not `{0}`")]
    Variable(String),
    /// A variable was set twice.
    #[error("{0} was set twice; leave one of its flag and --env {0}=... out")]
    SetTwice(String),
    /// The built-in guest does not understand its settings.
    #[error("{0}")]
    Settings(SettingsError),
    /// A limit is zero.
    #[error("{0} takes a number above zero")]
    Zero(&'static str),
    /// More memory than a 32-bit guest can use.
    #[error("--max-memory takes at most 4096 MiB, which is all that WebAssembly can address, not {0}")]
    Memory(u32),
}

/// What a 32-bit linear memory can be, in MiB.
const MOST_MEMORY: u32 = 4096;

/// Where the guest finds the first directory, unless told otherwise.
const ROOT: &str = "/";

impl Config {
    /// Validates what was typed. Nothing of the machine is looked at yet.
    pub fn new(arguments: cli::Serve) -> Result<Self, ConfigError> {
        let cli::Serve { guest, addr, dir, env, max_instances, max_memory, timeout, quiet, files } =
            arguments;
        for (value, flag) in
            [(max_instances, "--max-instances"), (max_memory, "--max-memory"), (timeout, "--timeout")]
        {
            if value == 0 {
                return Err(ConfigError::Zero(flag));
            }
        }
        if max_memory > MOST_MEMORY {
            return Err(ConfigError::Memory(max_memory));
        }
        Ok(Self {
            addresses: addr.iter().map(|text| address(text)).collect::<Result<_, _>>()?,
            directories: directories(&dir)?,
            environment: environment(&env, files, guest.is_none())?,
            limits: Limits {
                instances: max_instances,
                memory: max_memory as usize * 1024 * 1024,
                time: Duration::from_secs(timeout.into()),
            },
            access_log: !quiet,
            guest,
        })
    }

    /// Has the built-in guest list directories, unless it was told whether to: right where nobody but the machine's own
    /// users can ask.
    pub fn list_by_default(&mut self) {
        const LISTING: &str = "FILES_LISTING";
        if self.guest.is_none() && !self.environment.iter().any(|(name, _)| name == LISTING) {
            self.environment.push((LISTING.to_owned(), "on".to_owned()));
        }
    }
}

fn address(text: &str) -> Result<(String, u16), ConfigError> {
    let wrong = || ConfigError::Address(text.to_owned());
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    // Without its brackets, an IPv6 address could end in what looks like a port.
    let host = match bracketed {
        Some(host) => host,
        None if host.contains(':') || host.is_empty() => return Err(wrong()),
        None => host,
    };
    // `+80` parses as a number; it is not a port.
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|_| digits).ok_or_else(wrong)?;
    Ok((host.to_owned(), port))
}

fn directories(texts: &[String]) -> Result<Vec<Directory>, ConfigError> {
    if texts.is_empty() {
        return Ok(vec![Directory { host: PathBuf::from("."), guest: ROOT.to_owned() }]);
    }
    let mut directories: Vec<Directory> = Vec::new();
    for text in texts {
        let (host, guest) = text.split_once("::").unwrap_or((text, ROOT));
        if host.is_empty() || guest.is_empty() {
            return Err(ConfigError::Directory(text.clone()));
        }
        if directories.iter().any(|other| other.guest == guest) {
            return Err(ConfigError::SameName(guest.to_owned()));
        }
        directories.push(Directory { host: PathBuf::from(host), guest: guest.to_owned() });
    }
    Ok(directories)
}

/// The guest's environment: what was set by `--env`, and by the flags of the file server. Only the built-in guest's
/// settings are known here well enough to be checked.
fn environment(
    texts: &[String],
    cli::Files(files): cli::Files,
    is_built_in: bool,
) -> Result<Vec<(String, String)>, ConfigError> {
    let mut variables: Vec<(String, String)> =
        texts.iter().map(|text| variable(text)).collect::<Result<_, _>>()?;
    for (name, value) in files {
        if variables.iter().any(|(known, _)| *known == name) {
            return Err(ConfigError::SetTwice(name));
        }
        variables.push((name, value));
    }
    if is_built_in {
        Settings::from_environment(&variables).map_err(ConfigError::Settings)?;
    }
    Ok(variables)
}

fn variable(text: &str) -> Result<(String, String), ConfigError> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(ConfigError::Variable(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, ConfigError, Directory, address, directories, variable};
    use crate::cli;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        assert_eq!(address("localhost:8080"), Ok(("localhost".into(), 8080)));
        assert_eq!(address("0.0.0.0:0"), Ok(("0.0.0.0".into(), 0)));
        assert_eq!(address("[::1]:80"), Ok(("::1".into(), 80)));
        for text in
            ["", "8080", ":8080", "localhost", "localhost:", "localhost:65536", "localhost:+80", "::1:80"]
        {
            assert_eq!(address(text), Err(ConfigError::Address(text.into())));
        }
    }

    #[test]
    fn a_directory_has_a_name_of_its_own() {
        let directory = |host: &str, guest: &str| Directory { host: host.into(), guest: guest.into() };
        let parse =
            |texts: &[&str]| directories(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        assert_eq!(parse(&[]), Ok(vec![directory(".", "/")]));
        assert_eq!(parse(&["a", "b::/b"]), Ok(vec![directory("a", "/"), directory("b", "/b")]));
        assert_eq!(parse(&["a", "b"]), Err(ConfigError::SameName("/".into())));
        for text in ["", "::", "a::", "::/"] {
            assert_eq!(parse(&[text]), Err(ConfigError::Directory(text.into())));
        }
    }

    #[test]
    fn a_variable_is_an_assignment() {
        assert_eq!(variable("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert_eq!(variable("A="), Ok(("A".into(), String::new())));
        for text in ["", "A", "=b"] {
            assert_eq!(variable(text), Err(ConfigError::Variable(text.into())));
        }
    }

    fn config(arguments: &[&str]) -> Result<Config, ConfigError> {
        let line = std::iter::once(&"wasi-httpd").chain(arguments).map(Into::into);
        match cli::parse(line).expect("it parses") {
            cli::Command::Serve(arguments) => Config::new(arguments),
            cli::Command::Guest { .. } => panic!("not serve"),
        }
    }

    #[test]
    fn a_flag_of_the_file_server_sets_its_variable() {
        let set = |arguments: &[&str]| config(arguments).map(|config| config.environment);
        let variables = |pairs: &[(&str, &str)]| {
            Ok(pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>())
        };
        assert_eq!(set(&[]), variables(&[]));
        assert_eq!(set(&["--listing"]), variables(&[("FILES_LISTING", "on")]));
        assert_eq!(
            set(&["--listing=off", "--env", "A=b"]),
            variables(&[("A", "b"), ("FILES_LISTING", "off")])
        );
        assert_eq!(
            set(&["--cache-control", "*.css: max-age=1", "--cache-control", "no-store"]),
            variables(&[("FILES_CACHE_CONTROL", "*.css: max-age=1\nno-store")])
        );
        assert_eq!(
            set(&["--listing", "--env", "FILES_LISTING=off"]),
            Err(ConfigError::SetTwice("FILES_LISTING".into()))
        );
    }

    #[test]
    fn settings_of_the_built_in_guest_are_checked_and_those_of_others_are_theirs() {
        let message = config(&["--env", "FILES_LISTING=yes"]).unwrap_err().to_string();
        assert_eq!(message, "FILES_LISTING is `yes`, but it takes `on` or `off`");
        assert!(config(&["--env", "FILES_LISTING=yes", "other.wasm"]).is_ok());
    }

    #[test]
    fn a_limit_of_zero_would_serve_nothing() {
        for flag in ["--max-instances", "--max-memory", "--timeout"] {
            assert_eq!(config(&[flag, "0"]), Err(ConfigError::Zero(flag)));
        }
    }
}
