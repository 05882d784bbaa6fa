//! What was typed: the command line, as it stands. What it means is [`config`](crate::config)'s.

use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Serves a directory over HTTP, every request in a WebAssembly sandbox of its own.
#[derive(Debug, Parser)]
#[command(name = "wasi-httpd", version = VERSION, about, args_conflicts_with_subcommands = true)]
struct Line {
    #[command(subcommand)]
    command: Option<Other>,
    #[command(flatten)]
    serve: Serve,
}

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\nbuilt-in guest: ", env!("COMPONENT_ORIGIN"));

#[derive(Debug, Subcommand)]
enum Other {
    /// Write the built-in component to a file, to run it on another runtime
    Guest {
        /// The file to write
        #[arg(short, long, value_name = "FILE", default_value = "guest.wasm")]
        output: PathBuf,
    },
}

/// The arguments of serving.
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// The wasi:http component to serve [default: the built-in file server]
    #[arg(value_name = "GUEST")]
    pub guest: Option<PathBuf>,

    /// Listen on this address (repeatable); `localhost` is both loopback addresses, port 0 takes a free port
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:8080")]
    pub addr: Vec<String>,

    /// Give the guest this directory, read-only (repeatable), under this name [default: . as /]
    #[arg(long, value_name = "HOST_DIR[::GUEST_DIR]")]
    pub dir: Vec<String>,

    /// Set a variable of the guest's environment (repeatable); nothing is inherited
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,

    /// At most this many instances of the guest at a time; further requests wait a little, then get a 503
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub max_instances: u32,

    /// The memory that one instance may have
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    pub max_memory: u32,

    /// How long the guest may take until it begins to answer, and compute between one piece of its answer and the next
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub timeout: u32,

    /// Write no access log
    #[arg(short, long)]
    pub quiet: bool,
}

/// What to do.
#[derive(Debug)]
pub enum Command {
    /// Serve a component.
    Serve(Serve),
    /// Write the built-in component out.
    Guest {
        /// Where to.
        output: PathBuf,
    },
}

/// Why there is nothing to do.
#[derive(Debug)]
pub enum Stop {
    /// Help or the version was asked for; here it is.
    Information(String),
    /// The line is wrong, in one sentence.
    Usage(String),
}

/// Reads the command line, the program's name included.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Stop> {
    match Line::try_parse_from(arguments) {
        Ok(Line { command: None, serve }) => Ok(Command::Serve(serve)),
        Ok(Line { command: Some(Other::Guest { output }), .. }) => Ok(Command::Guest { output }),
        Err(error) if !error.use_stderr() => Err(Stop::Information(error.to_string())),
        Err(error) => {
            // clap says what is wrong in its first paragraph, and repeats the usage below.
            let text = error.to_string();
            let first = text.split("\n\n").next().unwrap_or(&text);
            Err(Stop::Usage(first.trim_start_matches("error: ").to_owned()))
        }
    }
}
