//! The command line. Flags that were not given are `None`; [`config`](crate::config) applies defaults and validates.
//!
//! [`mistakes`] explains what is wrong with a command line, and [`man`](mod@man) makes the manual page of it. The arguments of
//! serving can also come from a file and from the environment, which [`config::sources`](crate::config::sources) looks up in the
//! definitions here.

pub mod man;
pub(crate) mod mistakes;

use crate::coding::{Effort, MIN_SIZE};
use crate::config::grants::ScratchPer;
use crate::config::sources::keys::Keys;
use crate::config::sources::layer::Layer;
use crate::config::{Executor, Instances, Roots, defaults};
use clap::{
    Arg, ArgAction, ArgMatches, Args, Command as ClapCommand, CommandFactory as _, FromArgMatches, Parser,
    Subcommand, ValueEnum, ValueHint,
};
use clap_complete::Shell;
use guest::config::{PREFIX, VARIABLES, Variable};
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
    /// Run a wasi:cli command in the sandbox; its exit status is this program's
    Run(Run),

    /// Print what a component is, what it imports, and which of its imports would be granted
    Inspect(Inspect),

    /// Check the configuration, the component and the site's rules, without serving
    Check(Box<Serve>),

    /// Write the built-in component to a file, to run it on another runtime
    Guest {
        /// The file to write; `-` is standard output
        #[arg(short, long, value_name = "FILE", default_value = "guest.wasm")]
        output: PathBuf,

        /// The version of WASI that it is for, 0.2 or 0.3; every runtime has 0.2
        #[arg(long, value_name = "VERSION", default_value = "0.2", hide_possible_values = true)]
        wasi: Wasi,

        /// Write the one that renders Markdown, which --markdown needs on other runtimes; it is for WASI 0.2
        #[arg(long)]
        markdown: bool,
    },

    /// Send a component to a registry, and print the reference by which it is taken from there
    Push(Push),

    /// Write a small component to begin with: one that answers every request with Hello
    New(New),

    /// Write compressed variants (.br, .zst, .gz) beside the files of a directory, which the file server sends in their place
    Precompress(Precompress),

    /// Ask a running server whether it is ready; the exit status is 0 if it is, and 1 if it is not
    Health(Health),
    /// Ask for a password and print a line with the hash of it, for the file that --auth-file takes
    Password {
        /// The name of the user
        #[arg(value_name = "USER")]
        user: String,
    },

    /// Print a completion script for a shell
    Completions {
        /// The shell: bash, elvish, fish, powershell or zsh
        #[arg(hide_possible_values = true)]
        shell: Shell,
    },

    /// Print the manual page
    Man,

    /// Print the JSON Schema of the configuration file
    Schema,
}

/// A version of WASI that a component is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wasi {
    /// 0.2
    #[value(name = "0.2")]
    V02,
    /// 0.3
    #[value(name = "0.3")]
    V03,
}

/// The names of the subcommands.
const SUBCOMMANDS: [&str; 12] = [
    "run",
    "inspect",
    "check",
    "guest",
    "push",
    "new",
    "precompress",
    "password",
    "health",
    "completions",
    "man",
    "schema",
];

/// The arguments of serving.
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// Take options from this TOML file too, whose keys are the long flags; each that is given here replaces the one in the
    /// file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Where to listen.
    #[arg(long, value_name = "HOST:PORT|unix:PATH", help = format!(
        "Listen on this address (repeatable); `localhost` is both loopback addresses, port 0 takes a free port, and \
         unix:PATH is a unix socket [default: {}, or {} with TLS]", defaults::ADDR, defaults::TLS_ADDR
    ))]
    pub addr: Vec<String>,

    /// Give unix sockets these permissions, in octal [default: 660]
    #[arg(long, value_name = "MODE")]
    pub socket_mode: Option<String>,

    /// Proxies that are believed.
    #[command(flatten)]
    pub proxies: Proxies,

    /// Whether and how it speaks TLS.
    #[command(flatten)]
    pub tls: Tls,

    /// Answer for this host name too (repeatable), `*` for all; without this, a listener on loopback answers for
    /// localhost and loopback addresses only, and one on the network for every name
    #[arg(long, value_name = "NAME")]
    pub allow_name: Vec<String>,

    /// Serve this directory at this host name, and below this path if there is one (repeatable); HOST is `*` for every
    /// other name, and `*.example.com` for one label more
    #[arg(long = "site", value_name = "HOST[/PREFIX]=DIR")]
    pub sites: Vec<String>,

    /// What each site may set for itself.
    #[command(flatten)]
    pub site: Site,

    /// How many connections.
    #[command(flatten)]
    pub connections: Connections,

    /// How large the head of a request may be.
    #[command(flatten)]
    pub request: RequestSize,

    /// Time for an instance.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, help = format!(
        "How long a request waits for an instance before it gets a 503 [default: {}]", defaults::QUEUE_TIMEOUT
    ))]
    pub queue_timeout: Option<u32>,

    /// Time for the head of a request.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, help = format!(
        "How long a client may take for the head of a request, from its first byte on [default: {}]",
        defaults::HEAD_TIMEOUT
    ))]
    pub head_timeout: Option<u32>,

    /// Time between requests.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, help = format!(
        "How long a connection may be idle [default: {}]", defaults::IDLE_TIMEOUT
    ))]
    pub idle_timeout: Option<u32>,

    /// Time for a client.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, help = format!(
        "How long a client may accept no data before its connection is reset [default: {}]",
        defaults::STALL_TIMEOUT
    ))]
    pub stall_timeout: Option<u32>,

    /// Where components come from.
    #[command(flatten)]
    pub components: Components,

    /// Compress files while the server runs.
    #[arg(
        long,
        value_name = "MIB",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        help = format!(
            "Have the file server send files without precompressed variants compressed too, from the second request on; what \
             was compressed takes so much memory [default: off; {} without a value]",
            defaults::COMPRESSED_SIZE
        )
    )]
    pub compress: Option<String>,

    /// Reload as at SIGHUP when the configuration file, a component or a file of passwords changes
    #[arg(long)]
    pub watch: bool,

    /// Open a browser once the server listens
    #[arg(long)]
    pub open: bool,

    /// Who looks after it.
    #[command(flatten)]
    pub admin: Admin,

    /// How it stops.
    #[command(flatten)]
    pub stopping: Stopping,

    /// How the process is confined.
    #[command(flatten)]
    pub confinement: Confinement,

    /// Serve the root directory or a whole home directory too
    #[arg(long)]
    pub allow_any_dir: bool,

    /// The access log.
    #[command(flatten)]
    pub log: Log,

    /// Traces.
    #[command(flatten)]
    pub otlp: Otlp,
}

/// The arguments of serving that each site may have for itself.
#[derive(Args, Clone, Debug, Default)]
pub struct Site {
    /// The component to serve.
    #[arg(
        value_name = "GUEST",
        help = "The wasi:http component to serve: a file, or oci://HOST/NAME@sha256:DIGEST \
        [default: the built-in file server]"
    )]
    pub guest: Option<PathBuf>,

    /// The certificates of its names.
    #[command(flatten)]
    pub certificates: Certificates,

    /// Have this component answer first (repeatable, the one that clients reach first); it passes requests on, to the next
    /// one and then to GUEST, and each has only the grants that follow its file: dir=, env=, allow-host= and keyvalue= as the flags
    #[arg(long, value_name = "FILE[,GRANT]...", value_hint = ValueHint::FilePath)]
    pub middleware: Vec<String>,

    /// Tell components the address of the client in this field of each request, in place of what the client sends in it
    #[arg(long, value_name = "FIELD")]
    pub client_address: Option<String>,

    /// Who has to log in.
    #[command(flatten)]
    pub login: Login,

    /// What each instance is given.
    #[command(flatten)]
    pub grants: Grants,

    /// Instances at a time.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true, help = format!(
        "Run at most this many instances at a time; further requests wait for one [default: {}]",
        defaults::MAX_INSTANCES
    ))]
    pub max_instances: Option<u32>,

    /// Requests for each instance.
    #[arg(long, value_name = "REQUESTS", allow_negative_numbers = true, help = format!(
        "Use each instance for this many requests, one after another; more than 1 is faster, but state of the guest \
         can leak from one request to the next [default: {}]", defaults::REUSE
    ))]
    pub reuse: Option<u32>,

    /// Requests for each instance at a time.
    #[arg(long, value_name = "REQUESTS", allow_negative_numbers = true, help = format!(
        "Have each instance of a component of WASI 0.3 answer this many requests at a time; --reuse is then {} unless it is \
         given, and a trap fails all of them [default: {}]", defaults::REUSE_OF_CONCURRENT, defaults::REUSE_CONCURRENT
    ))]
    pub reuse_concurrent: Option<u32>,

    /// Run the component directly where it fits (auto), or always on the component runtime (component) [default: auto]
    #[arg(long, value_name = "EXECUTOR", hide_possible_values = true)]
    pub executor: Option<Executor>,

    /// Restore instances after each request where that is proved to be possible (auto), or make a new one for each (new)
    /// [default: auto]
    #[arg(long, value_name = "INSTANCES", hide_possible_values = true)]
    pub instances: Option<Instances>,

    /// How large each instance may be.
    #[command(flatten)]
    pub size: Size,

    /// The bodies of requests.
    #[command(flatten)]
    pub body: BodySize,

    /// Time for the guest.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, help = format!(
        "How long the guest may take until it begins to answer, and then compute between two pieces of its answer [default: {}]", defaults::TIMEOUT
    ))]
    pub timeout: Option<u32>,

    /// Time between two pieces of an answer.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, help = format!(
        "How long the guest may wait between two pieces of its answer; the field Silence-Timeout of an answer allows \
         up to 3600 [default: {}]", defaults::SILENCE_TIMEOUT
    ))]
    pub silence_timeout: Option<u32>,

    /// The settings of the file server.
    #[command(flatten)]
    pub files: Files,
}

/// Whose passwords are known, and how they may come.
#[derive(Args, Clone, Debug, Default)]
pub struct Login {
    /// Know the users and hashed passwords in this file, which `htpasswd -B` or `wasi-httpd password` have written and other users
    /// cannot read; --auth says where they are asked for
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub auth_file: Option<PathBuf>,

    /// Ask for passwords also where they are not encrypted on their way from other machines
    #[arg(long)]
    pub auth_in_clear: bool,
}

/// Where the access log goes, and how it looks.
#[derive(Args, Clone, Debug, Default)]
pub struct Log {
    /// Write the access log to this file, which is opened again at SIGHUP; `-` is standard output, and `off` writes none
    /// [default: -]
    #[arg(long, value_name = "FILE|-|off")]
    pub access_log: Option<PathBuf>,

    /// The format of the access log: common, combined, json, or a template with placeholders, such as
    /// '{client} {status} {total}' [default: combined]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,

    /// Write no access log
    #[arg(short, long)]
    pub quiet: bool,
}

/// Where traces go, and how many.
#[derive(Args, Clone, Debug, Default)]
pub struct Otlp {
    /// The collector.
    #[arg(
        long,
        value_name = "URL",
        help = "Send a span of each request to this OpenTelemetry collector, such as http://127.0.0.1:4318, and continue the \
                traces of clients (traceparent); for programs built with the feature otlp"
    )]
    pub otlp: Option<String>,

    /// How many traces are sent.
    #[arg(long, value_name = "RATIO", allow_negative_numbers = true, help = format!(
        "Send this share of the traces that begin here, from 0 to 1; those of clients are sent as they say \
         [default: {}]", defaults::OTLP_SAMPLE
    ))]
    pub otlp_sample: Option<String>,
}

/// One of several sites.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// Its names.
    pub names: Vec<String>,
    /// The beginning of the paths that it answers for.
    pub prefix: Option<String>,
    /// Whether its component gets paths without that.
    pub strip_prefix: Option<bool>,
    /// Everything else.
    pub site: Site,
}

/// How many connections there may be.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Connections {
    /// Connections at a time.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true, help = format!(
        "Have at most this many connections at a time; further ones wait in the kernel [default: {}]",
        defaults::MAX_CONNECTIONS
    ))]
    pub max_connections: Option<u32>,

    /// Connections of one address at a time.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true, help = format!(
        "Have at most this many connections of one address, or one IPv6 network of 64 bits, at a time; further ones are \
         closed, except those of this machine and of proxies [default: {}]", defaults::MAX_CONNECTIONS_PER_ADDRESS
    ))]
    pub max_connections_per_address: Option<u32>,
}

/// Where a server tells how it is.
#[derive(Args, Clone, Debug, Default)]
pub struct Admin {
    /// Answer /metrics, /healthz, /readyz and /status at this address, in the clear
    #[arg(long, value_name = "HOST:PORT|unix:PATH")]
    pub admin: Option<String>,

    /// Let --admin be an address that other machines can reach
    #[arg(long)]
    pub admin_public: bool,
}

/// How a server stops.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Stopping {
    /// Time for clients to move.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, help = format!(
        "Serve for so long after the first SIGTERM or SIGINT, while /readyz of --admin fails and clients are told to close \
         their connections [default: {}]", defaults::GRACE
    ))]
    pub grace: Option<u32>,

    /// Time for answers.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, help = format!(
        "How long answers under way may take after that, when no more connections are accepted [default: {}]",
        defaults::DRAIN_TIMEOUT
    ))]
    pub drain_timeout: Option<u32>,
}

/// Proxies that are believed what they say of their clients.
#[derive(Args, Clone, Debug, Default)]
pub struct Proxies {
    /// Expect a PROXY header (version 1 or 2) at the beginning of each connection from this peer (repeatable), `unix` for
    /// unix sockets, and take the client's address from it
    #[arg(long, value_name = "ADDR[/BITS]")]
    pub proxy_protocol_from: Vec<String>,

    /// Take the client's address, scheme and host from the field Forwarded in requests from this peer (repeatable), `unix`
    /// for unix sockets
    #[arg(long, value_name = "ADDR[/BITS]")]
    pub forwarded_from: Vec<String>,

    /// Take the client's address and scheme from the fields X-Forwarded-For and X-Forwarded-Proto in requests from this
    /// peer (repeatable), `unix` for unix sockets
    #[arg(long, value_name = "ADDR[/BITS]")]
    pub x_forwarded_from: Vec<String>,
}

/// The certificates of a server or a site.
#[derive(Args, Clone, Debug, Default)]
pub struct Certificates {
    /// Speak TLS at every --addr and show clients the certificate chain in this PEM file (repeatable, each with a --tls-key
    /// of its own); the name that a client asks for chooses among several, and the first is for all other names; a file
    /// that changes is read again
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Vec<PathBuf>,

    /// The private key of a --tls-cert (repeatable, in the same order), a PEM file without a passphrase
    #[arg(long, value_name = "FILE")]
    pub tls_key: Vec<PathBuf>,
}

/// How a server speaks TLS.
#[derive(Args, Clone, Debug, Default)]
pub struct Tls {
    /// Speak TLS with a certificate for localhost that is made at the first start and kept for this user; browsers ask
    /// once whether to trust it
    #[arg(long)]
    pub tls_dev: bool,

    /// Redirect clear HTTP at this address to https: (repeatable)
    #[arg(long, value_name = "HOST:PORT")]
    pub redirect_http: Vec<String>,

    /// The value of the field.
    #[arg(
        long,
        value_name = "MAX_AGE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        help = format!(
            "Have browsers use https: only from now on, for so many seconds, and with `,includeSubDomains` after them \
             below this name too (Strict-Transport-Security) [default: off; {} without a value]",
            defaults::HSTS_MAX_AGE
        )
    )]
    pub hsts: Option<String>,
}

/// The arguments of running a command.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// What the guest is given.
    #[command(flatten)]
    pub grants: Grants,

    /// Let the guest listen for TCP connections at this address (repeatable); port 0 is any free one
    #[arg(long, value_name = "HOST:PORT")]
    pub allow_tcp_listen: Vec<String>,

    /// Where the component comes from.
    #[command(flatten)]
    pub components: Components,

    /// How large the instance may be.
    #[command(flatten)]
    pub size: Size,

    /// How long the guest may run [default: unlimited]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub timeout: Option<u32>,

    /// How the process is confined.
    #[command(flatten)]
    pub confinement: Confinement,

    /// The component, and its arguments.
    #[arg(value_name = "GUEST [ARG]", required = true, num_args = 1.., trailing_var_arg = true)]
    #[arg(help = "The wasi:cli command to run, and its arguments")]
    pub command: Vec<OsString>,
}

/// The arguments of inspecting a component.
#[derive(Args, Clone, Debug)]
pub struct Inspect {
    /// The component to inspect.
    #[arg(
        value_name = "GUEST",
        help = "The component to inspect: a file, or oci://HOST/NAME@sha256:DIGEST \
        [default: the built-in file server]"
    )]
    pub guest: Option<PathBuf>,

    /// Its next version: print what this one wants that GUEST did not, and what it no longer wants
    #[arg(value_name = "NEXT")]
    pub next: Option<PathBuf>,

    /// Print JSON
    #[arg(long, conflicts_with = "wit")]
    pub json: bool,

    /// Print its interfaces and functions in WIT, the language of interfaces
    #[arg(long, conflicts_with = "next")]
    pub wit: bool,

    /// Where components come from.
    #[command(flatten)]
    pub components: Components,

    /// What the guest would be given.
    #[command(flatten)]
    pub grants: Grants,

    /// How large it may be.
    #[command(flatten)]
    pub size: Size,

    /// Let the guest listen for TCP connections at this address (repeatable); for commands only
    #[arg(long, value_name = "HOST:PORT")]
    pub allow_tcp_listen: Vec<String>,
}

/// The arguments of sending a component to a registry.
#[derive(Args, Clone, Debug)]
pub struct Push {
    /// The component; a signature beside it, in FILE.minisig, is sent along
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,

    /// Where it is sent.
    #[arg(value_name = "REFERENCE", help = "Where to: oci://HOST[:PORT]/NAME[:TAG]")]
    pub reference: String,

    /// How registries are asked.
    #[command(flatten)]
    pub registries: Registries,
}

/// The arguments of beginning with a component.
#[derive(Args, Clone, Debug)]
pub struct New {
    /// The directory to write to, which is new or empty; its name is the component's
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: PathBuf,

    /// The language that it is written in: rust, js, python or c
    #[arg(long, value_name = "LANGUAGE", default_value = "rust", hide_possible_values = true)]
    pub lang: Language,

    /// The version of WASI that it is for, 0.2 or 0.3
    #[arg(long, value_name = "VERSION", default_value = "0.2", hide_possible_values = true)]
    pub wasi: Wasi,
}

/// A language that components are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub enum Language {
    /// Rust, by cargo and wit-bindgen.
    Rust,
    /// JavaScript, by componentize-js.
    #[value(alias = "javascript")]
    Js,
    /// Python, by componentize-py.
    Python,
    /// C, by clang and wit-bindgen.
    C,
}

/// The arguments of compressing files beforehand.
#[derive(Args, Clone, Debug)]
pub struct Precompress {
    /// The directory, which is looked through with everything below it
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: PathBuf,

    /// Write variants in this coding only: br, zstd or gzip (repeatable) [default: all three]
    #[arg(long, value_name = "CODING", hide_possible_values = true)]
    pub coding: Vec<ContentCoding>,

    /// Take as much time as helps (best), or much less for some percent more bytes (fast) [default: best]
    #[arg(long, value_name = "EFFORT", hide_possible_values = true)]
    pub effort: Option<Effort>,

    /// Leave smaller files alone.
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true, help = format!(
        "Leave files of fewer bytes alone [default: {MIN_SIZE}]"
    ))]
    pub min_size: Option<u64>,

    /// Compress this many files at a time [default: as many as there are processors]
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pub jobs: Option<u32>,

    /// Remove variants that an earlier run has written and whose files are gone
    #[arg(long)]
    pub remove: bool,
}

/// The arguments of asking a server whether it is ready.
#[derive(Args, Clone, Debug)]
pub struct Health {
    /// The address of its `--admin`.
    #[arg(
        value_name = "HOST:PORT|unix:PATH",
        help = "The address of its --admin [default: the variable WASI_HTTPD_ADMIN]"
    )]
    pub address: Option<String>,

    /// Time for the answer.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, help = format!(
        "How long the server may take to answer [default: {}]", defaults::HEALTH_TIMEOUT
    ))]
    pub timeout: Option<u32>,
}

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ContentCoding {
    /// Brotli
    #[value(name = "br", alias = "brotli")]
    Brotli,
    /// Zstandard
    #[value(name = "zstd", alias = "zst")]
    Zstandard,
    /// gzip
    #[value(name = "gzip", alias = "gz")]
    Gzip,
}

/// Where components come from, and by whom they have to be signed.
#[derive(Args, Clone, Debug, Default)]
pub struct Components {
    /// Take only components that are signed by this public key of minisign or cosign (repeatable: by one of them)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub verify_key: Vec<PathBuf>,

    /// Take components from registries by a tag alone, which a registry can give to other ones
    #[arg(long)]
    pub allow_tag: bool,

    /// Size of the cache.
    #[arg(long, value_name = "MIB", allow_negative_numbers = true, help = format!(
        "How much of what registries have sent is kept. What was not used for longest goes first [default: {}]",
        defaults::REGISTRY_CACHE
    ))]
    pub registry_cache: Option<u32>,

    /// How registries are asked.
    #[command(flatten)]
    pub registries: Registries,
}

/// How registries are asked.
#[derive(Args, Clone, Debug, Default)]
pub struct Registries {
    /// Take user names and passwords of registries from this file, which has the form of Docker's
    /// [default: ~/.docker/config.json, if there is one]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub registry_auth: Option<PathBuf>,

    /// Speak clear HTTP with this registry (repeatable), as with those of this machine
    #[arg(long, value_name = "HOST[:PORT]")]
    pub registry_in_clear: Vec<String>,

    /// Time for a component.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, help = format!(
        "How long a component may take to come from a registry, or to go to one [default: {}]", defaults::REGISTRY_TIMEOUT
    ))]
    pub registry_timeout: Option<u32>,
}

/// What a guest is given, however it is started.
#[derive(Args, Clone, Debug, Default)]
pub struct Grants {
    /// Give the guest this directory, read-only, under that name (repeatable) [default: . as / when serving, else none]
    #[arg(long, value_name = "HOST_DIR[::GUEST_DIR]", value_hint = ValueHint::DirPath)]
    pub dir: Vec<String>,

    /// Set a variable of the guest's environment (repeatable); nothing is inherited
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,

    /// Let the guest send HTTP requests to this host (repeatable); without a port, to port 80, or 443 by HTTPS; a name is
    /// looked up for each request
    #[arg(long, value_name = "HOST[:PORT]")]
    pub allow_host: Vec<String>,

    /// For requests of the guest by HTTPS, trust the authorities of the system (system) or those of Mozilla's list in this program
    /// (webpki) [default: system, or webpki where the system has none]
    #[arg(long, value_name = "ROOTS", hide_possible_values = true)]
    pub outgoing_roots: Option<Roots>,

    /// Trust the authorities in this PEM file as well, for requests of the guest by HTTPS (repeatable)
    #[arg(long, value_name = "FILE")]
    pub outgoing_ca: Vec<PathBuf>,

    /// Let the guest open TCP connections to this host (repeatable); without a port, to any port; a name is looked
    /// up once, at the start
    #[arg(long, value_name = "HOST[:PORT]")]
    pub allow_tcp_connect: Vec<String>,

    /// Give the guest a store of keys and values under this name (repeatable), in memory until the process ends, or in a file;
    /// the instances of a site share it
    #[arg(long, value_name = "NAME=memory|NAME=sqlite:FILE")]
    pub keyvalue: Vec<String>,

    /// What a store holds.
    #[arg(long, value_name = "MIB", allow_negative_numbers = true, help = format!(
        "What each store of --keyvalue may hold [default: {}]", defaults::KEYVALUE_SIZE
    ))]
    pub keyvalue_size: Option<u32>,

    /// Give the guest this value of wasi:config (repeatable)
    #[arg(long, value_name = "NAME=VALUE")]
    pub config_var: Vec<String>,

    /// Give the guest a directory to write to, as /tmp, which holds so much and is gone afterwards
    #[arg(long, value_name = "MIB", allow_negative_numbers = true)]
    pub scratch: Option<u32>,

    /// Who shares the directory that --scratch gives: each request has its own (request), or those of a site have one (site)
    /// [default: request]
    #[arg(long, value_name = "WHO", hide_possible_values = true)]
    pub scratch_per: Option<ScratchPer>,
}

/// How the process is confined, as far as it serves or runs.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Confinement {
    /// Do without the walls around the process: Landlock, seccomp, and giving up all capabilities
    #[arg(long)]
    pub no_lockdown: bool,

    /// Listen as root even where other machines can connect
    #[arg(long)]
    pub allow_root: bool,
}

/// How large one instance of a guest may be.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Size {
    /// The memory of one instance [default: its initial memory, up to 64, and 64 more]
    #[arg(long, value_name = "MIB", allow_negative_numbers = true)]
    pub max_memory: Option<u32>,

    /// The elements of each table of an instance [default: 100000]
    #[arg(long, value_name = "ELEMENTS", allow_negative_numbers = true)]
    pub max_table: Option<u32>,

    /// The handles of an instance: files, streams, sets of fields.
    #[arg(long, value_name = "HANDLES", allow_negative_numbers = true, help = format!(
        "The handles of an instance: files, streams, sets of fields [default: {}]", defaults::MAX_HANDLES
    ))]
    pub max_handles: Option<u32>,

    /// What a guest may print.
    #[arg(long, value_name = "KIB", allow_negative_numbers = true, help = format!(
        "What a guest that serves may print for one request, to each of standard output and error [default: {}]",
        defaults::MAX_OUTPUT
    ))]
    pub max_output: Option<u32>,
}

/// How large the head of a request may be.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct RequestSize {
    /// The head of a request.
    #[arg(long, value_name = "KIB", allow_negative_numbers = true, help = format!(
        "The head of a request; a larger one gets a 431 [default: {}]", defaults::MAX_HEAD
    ))]
    pub max_head: Option<u32>,

    /// Its fields.
    #[arg(long, value_name = "FIELDS", allow_negative_numbers = true, help = format!(
        "The fields of a request; one with more gets a 431 [default: {}]", defaults::MAX_FIELDS
    ))]
    pub max_fields: Option<u32>,
}

/// How large the body of a request may be, and how long it may take.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct BodySize {
    /// Its body.
    #[arg(long, value_name = "MIB", allow_negative_numbers = true, help = format!(
        "The body of a request; a larger one gets a 413, and with 0 every one does [default: {}]", defaults::MAX_BODY
    ))]
    pub max_body: Option<u32>,

    /// How fast it comes.
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true, help = format!(
        "The bytes of a body that give its client another second [default: {}]", defaults::MIN_BODY_RATE
    ))]
    pub min_body_rate: Option<u32>,

    /// Time for the body of a request.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, help = format!(
        "How long a client may take for the body of a request, in addition to what --min-body-rate allows \
         [default: {}]", defaults::BODY_TIMEOUT
    ))]
    pub body_timeout: Option<u32>,
}

/// The settings of the file server. Each is a variable of the guest's environment, and its flag sets that variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(pub Vec<(String, String)>);

/// The heading of these flags in the help text.
const FILES_HEADING: &str = "Settings of the file server (each sets the variable in brackets)";

/// The flag that sets a variable, without its dashes: `FILES_CLEAN_URLS` is `clean-urls`.
pub(crate) fn flag(variable: &Variable) -> String {
    variable.name.trim_start_matches(PREFIX).to_ascii_lowercase().replace('_', "-")
}

impl Args for Files {
    fn augment_args(command: ClapCommand) -> ClapCommand {
        command.args(VARIABLES.map(|variable| {
            let Variable { name, value, meaning, default, repeatable } = variable;
            let repeatable = if repeatable { " (repeatable)" } else { "" };
            let arg = Arg::new(name)
                .long(flag(&variable))
                .value_name(value)
                .help(format!("{meaning}{repeatable} [{name}] [default: {default}]"))
                .help_heading(FILES_HEADING)
                .allow_hyphen_values(true)
                .action(ArgAction::Append);
            // `--listing` alone is `--listing=on`.
            if value.trim_start_matches("[PATTERN: ]").starts_with("on|") {
                arg.num_args(0..=1).require_equals(true).default_missing_value("on")
            } else {
                arg
            }
        }))
    }

    fn augment_args_for_update(command: ClapCommand) -> ClapCommand {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Files {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut files = Self::default();
        files.update_from_arg_matches(matches)?;
        Ok(files)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for variable in VARIABLES {
            let values: Vec<String> = matches.get_many(variable.name).unwrap_or_default().cloned().collect();
            match &values[..] {
                [] => {}
                [value] => self.0.push((variable.name.to_owned(), value.clone())),
                // Each value is a line of the variable.
                values if variable.repeatable => self.0.push((variable.name.to_owned(), values.join("\n"))),
                _ => {
                    let message =
                        format!("--{} was given more than once; it takes one value", flag(&variable));
                    return Err(clap::Error::raw(clap::error::ErrorKind::ArgumentConflict, message));
                }
            }
        }
        Ok(())
    }
}

/// A parsed command line.
#[derive(Debug)]
pub enum Command {
    /// Serve a component.
    Serve(Box<Typed>),
    /// Run a command.
    Run(Run),
    /// Inspect a component.
    Inspect(Inspect),
    /// Write the built-in component out.
    Guest {
        /// The file, or `-` for standard output.
        output: PathBuf,
        /// The version of WASI that it is for.
        wasi: Wasi,
        /// Whether it renders Markdown.
        markdown: bool,
    },
    /// Send a component to a registry.
    Push(Push),
    /// Write a component to begin with.
    New(New),
    /// Compress files beforehand.
    Precompress(Precompress),
    /// Ask a server whether it is ready.
    Health(Health),
    /// Print a line of a file of passwords.
    Password {
        /// The name of the user.
        user: String,
    },
    /// Check a configuration.
    Check(Box<Typed>),
    /// Print a completion script.
    Completions(Shell),
    /// Print the manual page.
    Man,
    /// Print the JSON Schema of the configuration file.
    Schema,
}

/// The arguments of serving, as the command line has them.
#[derive(Clone, Debug)]
pub struct Typed {
    /// Their values.
    pub arguments: Serve,
    /// What was given, to be merged with other sources.
    pub given: Layer,
}

/// Why no command is carried out.
#[derive(Debug)]
pub enum Stop {
    /// The text of `--help` or `--version`.
    Information(String),
    /// One sentence that says what is wrong with the command line.
    Usage(String),
}

/// Parses the command line, which begins with the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Stop> {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let mut definition = Line::command();
    let parsed = definition.try_get_matches_from_mut(&arguments).and_then(|matches| {
        let line = Line::from_arg_matches(&matches).map_err(|error| error.format(&mut definition))?;
        Ok((line, matches))
    });
    let (Line { command, serve }, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) if !error.use_stderr() => return Err(Stop::Information(error.to_string())),
        Err(error) => return Err(Stop::Usage(mistakes::explain(&error, &arguments))),
    };
    let typed = |arguments, matches| Box::new(Typed { arguments, given: Keys::new().given_in(matches) });
    Ok(match command {
        None => match mistakes::in_guest(&serve) {
            Some(mistake) => return Err(Stop::Usage(mistake)),
            None => Command::Serve(typed(serve, &matches)),
        },
        Some(Other::Check(serve)) => {
            Command::Check(typed(*serve, matches.subcommand_matches("check").unwrap_or(&matches)))
        }
        Some(Other::Run(run)) => Command::Run(run),
        Some(Other::Inspect(inspect)) => Command::Inspect(inspect),
        Some(Other::Guest { output, wasi, markdown }) => Command::Guest { output, wasi, markdown },
        Some(Other::Push(push)) => Command::Push(push),
        Some(Other::New(new)) => Command::New(new),
        Some(Other::Precompress(precompress)) => Command::Precompress(precompress),
        Some(Other::Health(health)) => Command::Health(health),
        Some(Other::Password { user }) => Command::Password { user },
        Some(Other::Completions { shell }) => Command::Completions(shell),
        Some(Other::Man) => Command::Man,
        Some(Other::Schema) => Command::Schema,
    })
}

/// A definition of these arguments alone, for words that come from elsewhere than the command line.
fn definition_of<A: Args>() -> ClapCommand {
    A::augment_args(ClapCommand::new("wasi-httpd").no_binary_name(true).disable_help_flag(true))
}

/// What serving takes.
pub(crate) fn serve_definition() -> ClapCommand {
    definition_of::<Serve>()
}

/// What of that a site may have for itself.
pub(crate) fn site_definition() -> ClapCommand {
    definition_of::<Site>()
}

/// The subcommand that has this flag, given without its dashes.
pub(crate) fn subcommand_with(flag: &str) -> Option<String> {
    let definition = Line::command();
    let has = |command: &&ClapCommand| command.get_arguments().any(|arg| arg.get_long() == Some(flag));
    definition.get_subcommands().find(has).map(|command| command.get_name().to_owned())
}

/// Parses words by a definition. An error is a sentence.
pub(crate) fn parse_by<A: FromArgMatches>(
    definition: &mut ClapCommand,
    words: &[OsString],
) -> Result<A, String> {
    let matches = definition.try_get_matches_from_mut(words);
    matches
        .and_then(|matches| A::from_arg_matches(&matches))
        .map_err(|error| mistakes::sentence(&error, words, None))
}

/// The completion script for a shell.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Line::command(), "wasi-httpd", &mut script);
    script
}
