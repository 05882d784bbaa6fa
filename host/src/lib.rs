//! wasi-httpd: a server for `wasi:http` components, by default for a sandboxed static file server; and a runner for
//! `wasi:cli` commands in the same sandbox.
//!
//! What happens, in order, and which module does it:
//!
//! 1. [`cli`]: what was typed
//! 2. [`config`]: what that means, validated
//! 3. [`component`]: the guest, recognised and compiled
//! 4. [`engine`]: the one wasmtime engine, with pools of the sizes that the guest needs
//! 5. [`sandbox`], [`link`]: what one instance of it may touch
//! 6. [`dispatch`]: a request to a fresh instance, and its response back; [`lane`]: files into it, past the instance
//! 7. [`connection`], [`linger`], [`stall`], [`listen`]: HTTP on sockets
//! 8. [`access_log`], [`guest_output`], [`terminal`], [`diagnostics`]: what happened
//! 9. [`signals`]: the end
//!
//! [`prepare`](mod@prepare) walks steps 3 to 5, [`server`] the others for a server, [`run`](mod@run) for a command;
//! [`inspect`] stops before anything is compiled.

pub mod access_log;
pub mod cli;
pub mod component;
pub mod config;
pub mod connection;
pub mod diagnostics;
pub mod dispatch;
pub mod engine;
pub mod guest_output;
pub mod inspect;
pub mod lane;
pub mod linger;
pub mod link;
pub mod listen;
pub mod prepare;
pub mod run;
pub mod sandbox;
pub mod server;
pub mod signals;
pub mod stall;
pub mod terminal;

use anyhow::Context as _;
use config::ConfigError;
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

/// Exit status for a command line that cannot be meant.
const WRONG_USAGE: u8 = 2;

/// Runs the command line and gives its exit status: 0 after an orderly stop, 1 for a failure at run time, 2 for wrong
/// usage; that of the guest, where one was run. Every failure is one line on standard error.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = match cli::parse(arguments) {
        Ok(command) => command,
        Err(cli::Stop::Information(text)) => {
            // Whoever reads only the beginning, or nothing, has what it wants.
            let _ = std::io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(cli::Stop::Usage(message)) => {
            complain(&message);
            return ExitCode::from(WRONG_USAGE);
        }
    };
    match carry_out(command) {
        Ok(status) => status,
        Err(Failure::Usage(wrong)) => {
            complain(&wrong.to_string());
            ExitCode::from(WRONG_USAGE)
        }
        Err(Failure::AtRunTime(error)) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Why a command was not carried out.
enum Failure {
    Usage(ConfigError),
    AtRunTime(anyhow::Error),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::AtRunTime(error)
    }
}

fn carry_out(command: cli::Command) -> Result<ExitCode, Failure> {
    match command {
        cli::Command::Serve(arguments) => server::serve(config::Serve::new(*arguments)?)?,
        cli::Command::Run(arguments) => return Ok(run::run(&config::Run::new(arguments)?)?),
        cli::Command::Inspect(arguments) => inspect::inspect(&config::Inspect::new(arguments)?)?,
        cli::Command::Guest { output } => std::fs::write(&output, component::BUILT_IN)
            .with_context(|| format!("cannot write {}", output.display()))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Says a failure in one line, whatever the names in it.
fn complain(message: &str) {
    let parts = message.split('\n').map(str::trim).filter(|part| !part.is_empty());
    let line = parts.collect::<Vec<_>>().join(" ");
    // Where nobody reads it, there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "wasi-httpd: {}", guest_output::printable(line.as_bytes()));
}
