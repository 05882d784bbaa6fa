//! wasi-httpd: a server for `wasi:http` components, by default a sandboxed static file server, and a runner for `wasi:cli`
//! commands in the same sandbox.
//!
//! The modules, in the order in which a request meets them:
//!
//! 1. [`cli`]: the command line
//! 2. [`config`]: the validated configuration
//! 3. [`component`]: guests, loaded from files or [registries](oci), checked by their [`signature`], recognised and compiled
//! 4. [`engine`]: the wasmtime engine, with pools of the sizes that guests need
//! 5. [`sandbox`]: what an instance may touch; [`wasi`]: what its calls mean; [`instance`]: its state; [`link`]: the glue
//! 6. [`net`]: listeners and connections; [`http`](mod@http): the requests on a connection
//! 7. [`app`]: finds the site of a request, hands it to an instance and takes its response; [`body`]: the bodies of both
//! 8. [`report`]: access log, standard error, metrics, traces
//! 9. [`login`]: the passwords of users
//! 10. [`admin`]: how the server is, for who looks after it
//! 11. [`lockdown`]: what the kernel refuses the whole process
//! 12. [`signals`][]: shutdown; [`notify`]: what the service manager is told
//!
//! [`server`] is the life of a server, with its reloads, and [`run`](mod@run) that of a command. Both open guests by
//! [`prepare`](mod@prepare). [`site`] checks what the file server will read, and [`watch`] finds what has changed. [`inspect`]
//! only parses the component, and [`new`](mod@new) writes the source of one. [`precompress`](mod@precompress) writes files in the
//! [`coding`]s that clients accept. [`health`](mod@health) asks a server how it is.
//!
//! Imports go one way: server → net, http → app → link → instance → sandbox, wasi → body. All modules may use report.

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("wasi-httpd runs on Linux, on x86-64 and AArch64: it uses openat2, sendfile and epoll");

// By default, the crate getrandom looks for the function of the C library by its name at run time. A static program has no table of
// names, so it would fall back to /dev/urandom, which an empty file system lacks and the lockdown refuses: every component would end
// with a panic.
#[cfg(all(target_env = "gnu", target_feature = "crt-static", not(getrandom_backend = "linux_getrandom")))]
compile_error!(
    "a static program needs RUSTFLAGS='--cfg getrandom_backend=\"linux_getrandom\"' too: see dist/build"
);

pub mod admin;
pub mod allocator;
pub mod app;
pub mod authority;
pub mod body;
pub mod cache;
pub mod cli;
pub mod coding;
pub mod component;
pub mod config;
pub mod engine;
pub mod health;
pub mod http;
pub mod inspect;
pub mod instance;
pub mod link;
pub mod lockdown;
pub mod login;
pub mod net;
pub mod new;
pub mod notify;
pub mod oci;
pub mod outgoing;
pub mod precompress;
pub mod prepare;
pub mod report;
pub mod run;
pub mod sandbox;
pub mod server;
pub mod signals;
pub mod signature;
pub mod site;
pub mod wasi;
pub mod watch;

use anyhow::Context as _;
use config::ConfigError;
use config::sources::environment::variable;
use config::sources::layer::{Layer, SourceError};
use config::sources::{Sources, schema};
use oci::push;
use report::stderr;
use server::Checked;
use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

/// Exit status for a wrong command line.
const WRONG_USAGE: u8 = 2;

/// Runs the command line and returns the exit status: 0 after an orderly stop, 1 for a failure at run time, 2 for a wrong
/// command line, and with `run` that of the guest. Every failure is one line on standard error.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    // A guest may read the text of an error (`wasi:io/error`), which with RUST_BACKTRACE would show it the host's stack.
    wasmtime::error::disable_backtrace();
    net::names::use_services_within();
    net::tls::install_provider();
    let status = start(arguments);
    sandbox::scratch::remove_all();
    stderr::finish();
    status
}

fn start(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = match cli::parse(arguments) {
        Ok(command) => command,
        Err(cli::Stop::Information(text)) => {
            // A closed pipe is no failure: `wasi-httpd --help | head` has read what it wanted.
            let _ = std::io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(cli::Stop::Usage(message)) => {
            stderr::complain(&message);
            return ExitCode::from(WRONG_USAGE);
        }
    };
    match carry_out(command) {
        Ok(status) => status,
        Err(Failure::Usage(wrong)) => {
            stderr::complain(&wrong);
            ExitCode::from(WRONG_USAGE)
        }
        Err(Failure::AtRunTime(error)) => {
            stderr::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Why a command failed.
enum Failure {
    Usage(String),
    AtRunTime(anyhow::Error),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::AtRunTime(error)
    }
}

fn carry_out(command: cli::Command) -> Result<ExitCode, Failure> {
    match command {
        cli::Command::Serve(typed) => {
            let sources = sources(typed.given)?;
            for warning in sources.warnings() {
                stderr::complain(&format!("warning: {warning}"));
            }
            server::serve(sources.load()?, sources)?;
        }
        cli::Command::Run(arguments) => return Ok(run::run(&config::Run::new(arguments)?)?),
        cli::Command::Inspect(arguments) => inspect::inspect(&config::Inspect::new(arguments)?)?,
        cli::Command::Guest { output, wasi, markdown } => write_guest(&output, wasi, markdown)?,
        cli::Command::Push(arguments) => {
            let reference = push::push(&config::Push::new(arguments)?)?;
            write_out(format!("{reference}\n").as_bytes())?;
        }
        cli::Command::New(arguments) => {
            write_out(new::create(&config::Project::new(arguments)?)?.as_bytes())?;
        }
        cli::Command::Precompress(arguments) => {
            let (text, status) = precompress::precompress(&config::Precompress::new(arguments)?)?;
            write_out(text.as_bytes())?;
            return Ok(status);
        }
        cli::Command::Health(arguments) => {
            let admin = std::env::var_os(variable("admin"));
            health::health(&config::Health::new(arguments, admin.as_deref())?)?;
        }
        cli::Command::Password { user } => write_out(login::line(&user)?.as_bytes())?,
        cli::Command::Check(typed) => {
            let sources = sources(typed.given)?;
            return Ok(check(&sources.load()?, sources.warnings())?);
        }
        cli::Command::Completions(shell) => write_out(&cli::completions(shell))?,
        cli::Command::Man => write_out(&cli::man::man().context("cannot make the manual page")?)?,
        cli::Command::Schema => write_out(format!("{:#}\n", schema::schema()).as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The sources of a server's options: what the command line gives, and the environment of this process.
fn sources(given: Layer) -> Result<Sources, SourceError> {
    Sources::new(given, std::env::vars_os())
}

/// Checks a configuration: each fault is a line on standard error, after those of its sources.
fn check(config: &config::Serve, warnings: &[String]) -> anyhow::Result<ExitCode> {
    let Checked { mut faults, notes } = server::check(config)?;
    faults.splice(..0, warnings.iter().cloned());
    for note in notes {
        write_out(format!("{note}\n").as_bytes())?;
    }
    for fault in &faults {
        stderr::complain(fault);
    }
    if faults.is_empty() {
        write_out(b"The configuration is valid.\n")?;
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::FAILURE)
    }
}

fn write_out(text: &[u8]) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text).and_then(|()| stdout.flush()).context("cannot write to standard output")
}

/// Writes the built-in component for a version of WASI to a file, or to standard output for `-`.
fn write_guest(output: &Path, wasi: cli::Wasi, markdown: bool) -> anyhow::Result<()> {
    let component: &[u8] = match (wasi, markdown) {
        (cli::Wasi::V02, false) => &component::BUILT_IN,
        (cli::Wasi::V02, true) => &component::BUILT_IN_MARKDOWN,
        (cli::Wasi::V03, false) => &component::BUILT_IN_P3,
        (cli::Wasi::V03, true) => anyhow::bail!(
            "the component that renders Markdown is for WASI 0.2, which every runtime has; leave `--wasi 0.3` out"
        ),
    };
    if output == Path::new("-") {
        let stdout = std::io::stdout().lock();
        if stdout.is_terminal() {
            anyhow::bail!(
                "the component is binary and standard output is a terminal; `wasi-httpd guest -o FILE` writes it to a file"
            );
        }
        drop(stdout);
        return write_out(component);
    }
    std::fs::write(output, component).with_context(|| format!("cannot write {}", output.display()))
}
