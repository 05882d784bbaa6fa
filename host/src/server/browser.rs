//! Opening a browser once the server listens (`--open`).

use crate::config::ConfigError;
use crate::net::Listener;
use crate::net::listener::{Address, Traits};
use anyhow::Result;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use tracing::warn;

/// Waits for a line, and then opens what it is given. It ends without one when the server does.
const SCRIPT: &str = r#"read -r _ && exec xdg-open "$1""#;

/// The status of a shell that finds no program of this name (POSIX.1-2024, XCU 2.8.2).
const NOT_FOUND: i32 = 127;

/// A program that will open the browser. It starts before the process is restricted, for it would inherit the restrictions, and
/// browsers do not run with them.
#[derive(Debug)]
pub(super) struct Browser {
    program: Child,
    url: String,
}

impl Browser {
    /// Prepares to open the URL of the first listener that has one.
    pub(super) fn prepare(listeners: &[Listener]) -> Result<Option<Self>> {
        let mut traits = listeners.iter().map(|listener| &listener.traits);
        let url = traits.find_map(url).ok_or(ConfigError::OpenWithoutAddress)?;
        let program = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "sh", &url])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match program {
            Ok(program) => Ok(Some(Self { program, url })),
            Err(error) => {
                complain(&format!("cannot start /bin/sh: {error}"), &url);
                Ok(None)
            }
        }
    }

    /// Opens it. The browser may be the program itself, so that this waits for its end elsewhere.
    pub(super) fn open(self) {
        let Self { mut program, url } = self;
        let told = program.stdin.take().map(|mut stdin| stdin.write_all(b"\n"));
        drop(tokio::task::spawn_blocking(move || {
            if let Some(Err(error)) = told {
                return complain(&format!("/bin/sh has ended: {error}"), &url);
            }
            match program.wait() {
                Ok(status) if status.success() => {}
                Ok(status) if status.code() == Some(NOT_FOUND) => {
                    complain("xdg-open is not installed (the package xdg-utils has it)", &url);
                }
                Ok(status) => complain(&format!("xdg-open failed with {status}"), &url),
                Err(error) => complain(&format!("xdg-open cannot be waited for: {error}"), &url),
            }
        }));
    }
}

fn complain(why: &str, url: &str) {
    warn!("cannot open a browser: {why}; open {url} in one");
}

/// The URL at which this machine finds a listener.
fn url(traits: &Traits) -> Option<String> {
    let Address::Tcp(address) = traits.address else { return None };
    let (scheme, ip, port) = (&traits.scheme, address.ip().to_canonical(), address.port());
    // A certificate for this machine names localhost.
    if ip.is_loopback() || ip.is_unspecified() {
        Some(format!("{scheme}://localhost:{port}/"))
    } else {
        Some(format!("{scheme}://{address}/"))
    }
}

#[cfg(test)]
mod tests {
    use super::url;
    use crate::net::Reach;
    use crate::net::listener::{Address, Traits};
    use http::uri::Scheme;

    #[test]
    fn loopback_is_localhost() {
        for (address, expected) in [
            ("127.0.0.1:8080", "http://localhost:8080/"),
            ("[::1]:8080", "http://localhost:8080/"),
            ("0.0.0.0:80", "http://localhost:80/"),
            ("[::]:80", "http://localhost:80/"),
            ("192.0.2.1:80", "http://192.0.2.1:80/"),
            ("[2001:db8::1]:80", "http://[2001:db8::1]:80/"),
        ] {
            let address = Address::Tcp(address.parse().unwrap());
            let traits = Traits { address, scheme: Scheme::HTTP, reach: Reach::Network, sends_files: true };
            assert_eq!(url(&traits).as_deref(), Some(expected));
            assert_eq!(url(&Traits { address: Address::Unix(None), ..traits }), None);
        }
    }
}
