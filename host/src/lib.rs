//! wasi-httpd: a server for `wasi:http` components, by default for a sandboxed static file server.
//!
//! What happens, in order, and which module does it:
//!
//! 1. [`cli`]: what was typed
//! 2. [`config`]: what that means, validated
//! 3. [`engine`]: the one wasmtime engine, with every limit of its pools
//! 4. [`component`]: the guest, checked and compiled
//! 5. [`sandbox`], [`link`]: what one instance of it may touch
//! 6. [`dispatch`]: a request to a fresh instance, and its response back
//! 7. [`connection`], [`linger`], [`listen`]: HTTP on sockets
//! 8. [`access_log`], [`guest_output`], [`diagnostics`]: what happened
//!
//! [`server`] walks steps 3 to 8.

pub mod access_log;
pub mod cli;
pub mod component;
pub mod config;
pub mod connection;
pub mod diagnostics;
pub mod dispatch;
pub mod engine;
pub mod guest_output;
pub mod linger;
pub mod link;
pub mod listen;
pub mod sandbox;
pub mod server;

use anyhow::Context as _;
use config::Config;
use std::ffi::OsString;
use std::process::ExitCode;

/// Exit status for a command line that cannot be meant.
const WRONG_USAGE: u8 = 2;

/// Runs the command line and gives its exit status: 0 after an orderly stop, 1 for a failure at run time, 2 for wrong
/// usage. Every failure is one line on standard error.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = match cli::parse(arguments) {
        Ok(command) => command,
        Err(cli::Stop::Information(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(cli::Stop::Usage(message)) => {
            complain(&format!("{message}; `wasi-httpd --help` shows the options"));
            return ExitCode::from(WRONG_USAGE);
        }
    };
    let outcome = match command {
        cli::Command::Serve(arguments) => match Config::new(arguments) {
            Ok(config) => server::serve(config),
            Err(message) => {
                complain(&message.to_string());
                return ExitCode::from(WRONG_USAGE);
            }
        },
        cli::Command::Guest { output } => std::fs::write(&output, component::BUILT_IN)
            .with_context(|| format!("cannot write {}", output.display())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Says a failure in one line.
fn complain(message: &str) {
    let line =
        message.split('\n').map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    eprintln!("wasi-httpd: {line}");
}
