//! Where a server listens, as `--addr` and `--admin` name it.

use super::ConfigError;
use super::grants::{HostPort, host_port};
use std::fmt;
use std::path::PathBuf;

/// The longest path of a unix socket, in bytes: `sun_path` has 108, and the last one ends the path (unix(7)).
const MAX_PATH: usize = 107;

/// The permissions of a unix socket: reading and writing by its owner and its group, which a proxy can be a member of.
const SOCKET_MODE: u32 = 0o660;

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A port.
    Tcp(HostPort),
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// The address of a server that is given no other one, and inherits none.
impl Default for ListenAddress {
    fn default() -> Self {
        Self::Tcp(HostPort { host: "localhost".to_owned(), port: 8080 })
    }
}

/// As flags take it.
impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl ListenAddress {
    /// The address of such a server if it speaks TLS.
    pub fn default_over_tls() -> Self {
        Self::Tcp(HostPort { host: "localhost".to_owned(), port: 8443 })
    }

    /// Reads the value of a flag.
    pub(super) fn parse(flag: &'static str, text: &str) -> Result<Self, ConfigError> {
        let wrong = || ConfigError::Listen { flag, text: text.to_owned() };
        let Some(path) = text.strip_prefix("unix:") else {
            return host_port(flag, text).map(Self::Tcp).map_err(|_| wrong());
        };
        // A line break would make two lines of `Listening on …`.
        if path.is_empty() || path.ends_with('/') || path.chars().any(char::is_control) {
            return Err(wrong());
        }
        if path.starts_with('@') {
            return Err(ConfigError::AbstractSocket { flag, text: text.to_owned() });
        }
        if path.len() > MAX_PATH {
            return Err(ConfigError::SocketPath { flag, path: path.to_owned(), length: path.len() });
        }
        Ok(Self::Unix(PathBuf::from(path)))
    }
}

/// Reads the value of `--socket-mode`.
pub(super) fn socket_mode(text: Option<&str>) -> Result<u32, ConfigError> {
    let Some(text) = text else { return Ok(SOCKET_MODE) };
    // `+660` parses as a number.
    let is_octal = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mode = if is_octal { u32::from_str_radix(text, 8).ok() } else { None };
    mode.filter(|&mode| mode <= 0o777).ok_or_else(|| ConfigError::SocketMode(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{ConfigError, HostPort, ListenAddress, MAX_PATH, socket_mode};
    use crate::config::defaults::{ADDR, TLS_ADDR};

    fn parse(text: &str) -> Result<ListenAddress, ConfigError> {
        ListenAddress::parse("--addr", text)
    }

    #[test]
    fn an_address_is_a_port_or_a_path() {
        let tcp = HostPort { host: "localhost".into(), port: 80 };
        assert_eq!(parse("localhost:80"), Ok(ListenAddress::Tcp(tcp)));
        assert_eq!(parse(ADDR), Ok(ListenAddress::default()));
        assert_eq!(parse(TLS_ADDR), Ok(ListenAddress::default_over_tls()));
        for path in ["/run/a.sock", "a.sock", "./a b", &"x".repeat(MAX_PATH)] {
            assert_eq!(parse(&format!("unix:{path}")), Ok(ListenAddress::Unix(path.into())), "{path}");
        }
        for text in ["", "unix:", "unix:/run/", "/run/a.sock", "unix", "UNIX:/a", "unix:/a\nb"] {
            assert_eq!(parse(text), Err(ConfigError::Listen { flag: "--addr", text: text.into() }));
        }
        let path = "x".repeat(MAX_PATH + 1);
        let too_long = parse(&format!("unix:{path}"));
        assert_eq!(too_long, Err(ConfigError::SocketPath { flag: "--addr", path, length: MAX_PATH + 1 }));
        assert_eq!(
            parse("unix:@name"),
            Err(ConfigError::AbstractSocket { flag: "--addr", text: "unix:@name".into() })
        );
    }

    #[test]
    fn a_mode_is_octal() {
        assert_eq!(socket_mode(None), Ok(0o660));
        assert_eq!(socket_mode(Some("0666")), Ok(0o666));
        assert_eq!(socket_mode(Some("600")), Ok(0o600));
        for text in ["", "8", "+660", "0o660", "1777", "rw", "u=rw", "77777777777777"] {
            assert_eq!(socket_mode(Some(text)), Err(ConfigError::SocketMode(text.into())));
        }
    }
}
