//! What the command line means: one validated configuration, or one sentence that says what is wrong with it.

use crate::cli;
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
        let cli::Serve { guest, addr, dir, env, max_instances, max_memory, timeout, quiet } = arguments;
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
            guest,
            addresses: addr.iter().map(|text| address(text)).collect::<Result<_, _>>()?,
            directories: directories(&dir)?,
            environment: env.iter().map(|text| variable(text)).collect::<Result<_, _>>()?,
            limits: Limits {
                instances: max_instances,
                memory: max_memory as usize * 1024 * 1024,
                time: Duration::from_secs(timeout.into()),
            },
            access_log: !quiet,
        })
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

    #[test]
    fn a_limit_of_zero_would_serve_nothing() {
        for flag in ["--max-instances", "--max-memory", "--timeout"] {
            let cli::Command::Serve(arguments) =
                cli::parse(["wasi-httpd", flag, "0"].map(Into::into)).expect("it parses")
            else {
                panic!("not serve");
            };
            assert_eq!(Config::new(arguments), Err(ConfigError::Zero(flag)));
        }
    }
}
