//! What the command line means: one validated configuration, or one sentence that says what is wrong with it.
//!
//! - [`grants`]: what a guest is given
//! - [`limits`]: how much of the machine it may use
//! - here: both together, for serving and for running

pub mod grants;
pub mod limits;

use crate::cli;
use grants::{Directory, Grants, HostPort, NetworkGrants, ROOT};
use guest::config::{Settings, SettingsError};
use limits::Limits;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// Everything that serving needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serve {
    /// The component; `None` for the built-in one.
    pub guest: Option<PathBuf>,
    /// The addresses to listen on.
    pub addresses: Vec<HostPort>,
    /// What each instance is given.
    pub grants: Grants,
    /// What it may use.
    pub limits: Limits,
    /// How many requests each instance answers.
    pub reuse: u32,
    /// How long a client may take none of what it is sent.
    pub stall: Duration,
    /// Whether each request is written to the access log.
    pub access_log: bool,
}

/// Everything that running a command needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The component.
    pub guest: PathBuf,
    /// What the guest sees as its arguments: its own name first.
    pub arguments: Vec<String>,
    /// What the guest is given.
    pub grants: Grants,
    /// What it may use.
    pub limits: Limits,
    /// How long it may take; `None` for as long as it likes.
    pub time: Option<Duration>,
}

/// Everything that inspecting a component needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspect {
    /// The component; `None` for the built-in one.
    pub guest: Option<PathBuf>,
    /// Whether to say it in JSON.
    pub json: bool,
    /// What the guest would be given.
    pub grants: Grants,
    /// What it might use.
    pub limits: Limits,
}

/// An argument that cannot be meant.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// A flag that takes an address was given something else.
    #[error("{flag} takes HOST:PORT, such as localhost:8080 or [::1]:8080, not `{text}`")]
    Address {
        /// The flag.
        flag: &'static str,
        /// What it was given.
        text: String,
    },
    /// A connection cannot lead to port 0.
    #[error("{flag} takes a port from 1 on, not `{text}`: nothing can be connected to at port 0")]
    PortZero {
        /// The flag.
        flag: &'static str,
        /// What it was given.
        text: String,
    },
    /// `--allow-host` is not a host.
    #[error("--allow-host takes HOST or HOST:PORT, such as example.com or example.com:8443, not `{0}`")]
    AllowedHost(String),
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
    /// The guest's name or an argument of its own is not UTF-8.
    #[error("`{0}` is not UTF-8, and guests are told their name and arguments as text; rename it")]
    NotText(String),
    /// A limit is zero.
    #[error("{0} takes a number above zero")]
    Zero(&'static str),
    /// More memory than a 32-bit guest can use.
    #[error("--max-memory takes at most 4096 MiB, which is all that WebAssembly can address, not {0}")]
    Memory(u32),
}

impl Serve {
    /// Validates what was typed. Nothing of the machine is looked at yet.
    pub fn new(arguments: cli::Serve) -> Result<Self, ConfigError> {
        let cli::Serve {
            guest,
            addr,
            grants,
            max_instances,
            reuse,
            size,
            timeout,
            stall_timeout,
            quiet,
            files,
        } = arguments;
        for (value, flag) in [(reuse, "--reuse"), (stall_timeout, "--stall-timeout")] {
            if value == 0 {
                return Err(ConfigError::Zero(flag));
            }
        }
        let stall = Duration::from_secs(stall_timeout.into());
        let limits = Limits::new(max_instances, size, Some(timeout))?;
        let addresses =
            addr.iter().map(|text| grants::host_port("--addr", text)).collect::<Result<_, _>>()?;
        let mut grants = read_grants(&grants, &[])?;
        if grants.directories.is_empty() {
            grants.directories.push(Directory { host: PathBuf::from("."), guest: ROOT.to_owned() });
        }
        grants.environment = with_settings(grants.environment, files, guest.is_none())?;
        Ok(Self { addresses, grants, limits, reuse, stall, access_log: !quiet, guest })
    }

    /// Has the built-in guest list directories, unless it was told whether to: right where nobody but the machine's own
    /// users can ask.
    pub fn list_by_default(&mut self) {
        const LISTING: &str = "FILES_LISTING";
        let environment = &mut self.grants.environment;
        if self.guest.is_none() && !environment.iter().any(|(name, _)| name == LISTING) {
            environment.push((LISTING.to_owned(), "on".to_owned()));
        }
    }
}

impl Run {
    /// Validates what was typed. Nothing of the machine is looked at yet.
    pub fn new(arguments: cli::Run) -> Result<Self, ConfigError> {
        let cli::Run { grants, allow_tcp_listen, size, timeout, command } = arguments;
        // What a guest is told is text (`wasi:cli/environment`).
        let text = |argument: &OsString| {
            let text = argument.to_str().map(str::to_owned);
            text.ok_or_else(|| ConfigError::NotText(argument.to_string_lossy().into_owned()))
        };
        Ok(Self {
            grants: read_grants(&grants, &allow_tcp_listen)?,
            limits: Limits::new(1, size, timeout)?,
            time: timeout.map(|seconds| Duration::from_secs(seconds.into())),
            arguments: command.iter().map(text).collect::<Result<_, _>>()?,
            guest: command.into_iter().next().map(PathBuf::from).unwrap_or_default(),
        })
    }
}

impl Inspect {
    /// Validates what was typed.
    pub fn new(arguments: cli::Inspect) -> Result<Self, ConfigError> {
        let cli::Inspect { guest, json, grants, size, allow_tcp_listen } = arguments;
        let limits = Limits::new(1, size, None)?;
        Ok(Self { grants: read_grants(&grants, &allow_tcp_listen)?, limits, guest, json })
    }
}

fn read_grants(typed: &cli::Grants, listen: &[String]) -> Result<Grants, ConfigError> {
    let cli::Grants { dir, env, allow_host, allow_tcp_connect } = typed;
    let read = |texts: &[String], read: &dyn Fn(&str) -> Result<HostPort, ConfigError>| {
        texts.iter().map(|text| read(text)).collect::<Result<Vec<_>, _>>()
    };
    Ok(Grants {
        directories: grants::directories(dir)?,
        environment: env.iter().map(|text| grants::variable(text)).collect::<Result<_, _>>()?,
        network: NetworkGrants {
            hosts: allow_host.iter().map(|text| grants::allowed_host(text)).collect::<Result<_, _>>()?,
            connect: read(allow_tcp_connect, &|text| grants::remote("--allow-tcp-connect", text))?,
            listen: read(listen, &|text| grants::host_port("--allow-tcp-listen", text))?,
        },
    })
}

/// The guest's environment: what was set by `--env`, and by the flags of the file server. Only the built-in guest's
/// settings are known here well enough to be checked.
fn with_settings(
    mut variables: Vec<(String, String)>,
    cli::Files(files): cli::Files,
    is_built_in: bool,
) -> Result<Vec<(String, String)>, ConfigError> {
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

#[cfg(test)]
mod tests {
    use super::{ConfigError, Directory, Run, Serve};
    use crate::cli;

    fn parse(arguments: &[&str]) -> cli::Command {
        let line = std::iter::once(&"wasi-httpd").chain(arguments).map(Into::into);
        cli::parse(line).expect("it parses")
    }

    fn serve(arguments: &[&str]) -> Result<Serve, ConfigError> {
        match parse(arguments) {
            cli::Command::Serve(arguments) => Serve::new(*arguments),
            other => panic!("not serve: {other:?}"),
        }
    }

    fn run(arguments: &[&str]) -> Result<Run, ConfigError> {
        match parse(arguments) {
            cli::Command::Run(arguments) => Run::new(arguments),
            other => panic!("not run: {other:?}"),
        }
    }

    #[test]
    fn a_server_has_the_current_directory_and_a_command_has_none() {
        let directories = serve(&[]).unwrap().grants.directories;
        assert_eq!(directories, [Directory { host: ".".into(), guest: "/".into() }]);
        assert_eq!(run(&["run", "a.wasm"]).unwrap().grants, super::Grants::default());
    }

    #[test]
    fn what_follows_the_guest_is_the_guests() {
        let run = run(&["run", "--env", "A=1", "a.wasm", "--env", "-v", "--", "--help"]).unwrap();
        assert_eq!(run.arguments, ["a.wasm", "--env", "-v", "--", "--help"]);
        assert_eq!(run.grants.environment.len(), 1);
    }

    #[test]
    fn a_flag_of_the_file_server_sets_its_variable() {
        let set = |arguments: &[&str]| serve(arguments).map(|config| config.grants.environment);
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
        let message = serve(&["--env", "FILES_LISTING=yes"]).unwrap_err().to_string();
        assert_eq!(message, "FILES_LISTING is `yes`, but it takes `on` or `off`");
        assert!(serve(&["--env", "FILES_LISTING=yes", "other.wasm"]).is_ok());
    }

    #[test]
    fn a_limit_of_zero_would_serve_nothing() {
        for flag in
            ["--max-instances", "--max-memory", "--max-table", "--reuse", "--timeout", "--stall-timeout"]
        {
            assert_eq!(serve(&[flag, "0"]), Err(ConfigError::Zero(flag)));
        }
        for flag in ["--max-memory", "--max-table", "--timeout"] {
            assert_eq!(run(&["run", flag, "0", "a.wasm"]), Err(ConfigError::Zero(flag)));
        }
    }
}
