//! Errors in the values of arguments, each with a message of one sentence.

use crate::report::format::FormatError;
use guest::config::SettingsError;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use thiserror::Error;

/// An error in the value of an argument.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// A variable that is not the operator's.
    #[error(
        "{0} is for hosts that read the files of rules by themselves; leave it out, and use the files with FILES_RULES"
    )]
    Reserved(&'static str),
    /// A variable that is not the operator's.
    #[error("FILES_LOGIN_REALM is for hosts that check passwords; leave it out, and use --auth-file")]
    ReservedRealm,
    /// Paths need passwords, and there are none.
    #[error("--auth asks for the passwords of --auth-file, which is not there; add --auth-file FILE")]
    NoAuthFile,
    /// There are passwords, and no path needs one.
    #[error(
        "--auth-file has the passwords that --auth asks for, which is not there; add --auth PATTERN, such as --auth '*'"
    )]
    NoAuth,
    /// Passwords could be read on their way.
    #[error(
        "passwords would come to {0} in the clear from other machines; use TLS, have a proxy that does and add \
         --forwarded-from or --x-forwarded-from, or add --auth-in-clear"
    )]
    AuthInClear(String),
    /// `--middleware` was given something else.
    #[error(
        "--middleware takes FILE and after it, each with a comma before it, any of dir=HOST_DIR[::GUEST_DIR], env=NAME=VALUE, \
         allow-host=HOST[:PORT], keyvalue=NAME=memory and keyvalue=NAME=sqlite:FILE, not `{0}`"
    )]
    Middleware(String),
    /// `--client-address` was given something else.
    #[error(
        "--client-address takes the name of a field that has no other meaning, such as Client-Address or X-Forwarded-For, not \
         `{0}`"
    )]
    AddressField(String),
    /// A reference to a component in a registry is none.
    #[error("a component in a registry is oci://HOST[:PORT]/NAME[:TAG]@sha256:DIGEST, not `{text}`: {why}")]
    Reference {
        /// What was given.
        text: String,
        /// What it has to be.
        why: &'static str,
    },
    /// A reference that names no manifest.
    #[error("`{0}` names neither a digest nor a tag; add @sha256:DIGEST, which `wasi-httpd push` prints")]
    Unnamed(String),
    /// A reference that the registry can give another meaning.
    #[error(
        "`{0}` has only a tag, which the registry can give to another component; add @sha256:DIGEST, or take what it names with \
         --allow-tag, or what is signed with --verify-key FILE"
    )]
    Tag(String),
    /// A reference to send a component to, with a digest.
    #[error("`{0}` has a digest, which the component decides; leave it out")]
    TargetWithDigest(String),
    /// `--verify-key` was given nothing.
    #[error("--verify-key takes a file, and was given nothing")]
    NoKeyFile,
    /// A flag that takes an address was given something else.
    #[error("{flag} takes HOST:PORT, such as localhost:8080 or [::1]:8080, not `{text}`")]
    Address {
        /// The flag.
        flag: &'static str,
        /// What it was given.
        text: String,
    },
    /// A flag that takes an address to listen on was given something else.
    #[error(
        "{flag} takes HOST:PORT or unix:PATH, such as localhost:8080, [::1]:8080 or unix:/run/site.sock, not `{text}`"
    )]
    Listen {
        /// The flag.
        flag: &'static str,
        /// What it was given.
        text: String,
    },
    /// The path of a unix socket is too long.
    #[error(
        "{flag} unix:PATH takes a path of at most 107 bytes, and `{path}` has {length}; take a shorter one"
    )]
    SocketPath {
        /// The flag.
        flag: &'static str,
        /// The path.
        path: String,
        /// Its length in bytes.
        length: usize,
    },
    /// An abstract unix socket.
    #[error(
        "{flag} takes unix:PATH, not `{text}`: every program of this machine reaches a socket without a file"
    )]
    AbstractSocket {
        /// The flag.
        flag: &'static str,
        /// What it was given.
        text: String,
    },
    /// Other machines can reach the address of `--admin`.
    #[error(
        "--admin {0} can be reached by other machines, and tells much about this one; take a loopback address or \
         unix:PATH, or add --admin-public"
    )]
    AdminPublic(String),
    /// There is nothing that could be public.
    #[error("--admin-public says who may reach --admin, which is not there; add --admin HOST:PORT")]
    NoAdmin,
    /// `health` does not know whom to ask.
    #[error(
        "`health` takes the address of --admin of a server, such as localhost:9090; name it, or set WASI_HTTPD_ADMIN"
    )]
    NoAddress,
    /// `--socket-mode` is not a mode.
    #[error("--socket-mode takes permissions in octal, such as 660 or 666, not `{0}`")]
    SocketMode(String),
    /// A connection cannot lead to port 0.
    #[error("{flag} takes a port from 1 on, not `{text}`: nothing can be connected to at port 0")]
    PortZero {
        /// The flag.
        flag: &'static str,
        /// What it was given.
        text: String,
    },
    /// A flag that takes a host was given something else.
    #[error("{flag} takes HOST or HOST:PORT, such as example.com or example.com:8443, not `{text}`")]
    Host {
        /// The flag.
        flag: &'static str,
        /// What it was given.
        text: String,
    },
    /// `--allow-name` is not a name.
    #[error("--allow-name takes a host name without a port, such as example.com, not `{0}`")]
    Name(String),
    /// A name of a site is none.
    #[error(
        "a site is named by a host name without a port, such as example.com, by *.example.com, or by * for every other \
         name, not `{0}`"
    )]
    SiteName(String),
    /// A site has no name.
    #[error(
        "this site has no name: give it one, such as name = \"example.com\", or name = \"*\" for every other name"
    )]
    SiteWithoutName,
    /// A site that serves files has no directory.
    #[error("this site has no directory: give it one, such as dir = \"/srv/www\"")]
    SiteWithoutDirectory,
    /// Two sites answer for the same.
    #[error(
        "two sites have the name `{name}` and the prefix {prefix}; give one of them another name or prefix"
    )]
    SameSite {
        /// The name.
        name: String,
        /// The prefix.
        prefix: String,
    },
    /// A site may run more instances than all together.
    #[error(
        "--max-instances is {site} for this site and {server} for all sites together; raise the latter, above the \
         first [[site]]"
    )]
    SiteInstances {
        /// Of the site.
        site: u32,
        /// Of the server.
        server: u32,
    },
    /// The prefix of a site is not the beginning of a path.
    #[error("a prefix is a path such as /docs, not `{text}`: {why}")]
    Prefix {
        /// What was given.
        text: String,
        /// What it has to be.
        why: &'static str,
    },
    /// `--dir` is not a directory and a name.
    #[error("--dir takes HOST_DIR or HOST_DIR::GUEST_DIR, such as ./public or ./public::/, not `{0}`")]
    Directory(String),
    /// Two directories have one name.
    #[error("two directories are called `{0}`; give one of them another name with --dir HOST_DIR::GUEST_DIR")]
    SameName(String),
    /// `--env` is not an assignment.
    #[error("--env takes NAME=VALUE, not `{0}`")]
    Variable(String),
    /// `--keyvalue` is not a store.
    #[error("--keyvalue takes NAME=memory or NAME=sqlite:FILE, not `{0}`")]
    Store(String),
    /// Two stores have one name.
    #[error("two stores are called `{0}`; leave one --keyvalue out")]
    SameStore(String),
    /// `--config-var` is not an assignment.
    #[error("--config-var takes NAME=VALUE, not `{0}`")]
    ConfigVariable(String),
    /// Two values have one name.
    #[error("--config-var {0} was given twice; leave one of them out")]
    SameConfigVariable(String),
    /// A limit of stores, and none.
    #[error("--keyvalue-size limits --keyvalue, which is not there; add --keyvalue NAME=memory")]
    NoStore,
    /// Who shares a scratch directory, and none.
    #[error("--scratch-per says who shares --scratch, which is not there; add --scratch MIB")]
    NoScratch,
    /// The name of the scratch directory is taken.
    #[error(
        "--scratch is called `{0}`, and so is a --dir; give that another name with --dir HOST_DIR::GUEST_DIR"
    )]
    ScratchName(&'static str),
    /// An instance for several requests has no directory for each.
    #[error(
        "--scratch gives each request a directory of its own, and {flag} {requests} keeps instances; add --scratch-per site, or leave {flag} out"
    )]
    ScratchReused {
        /// The flag that has instances answer several.
        flag: &'static str,
        /// Its value.
        requests: u32,
    },
    /// A variable was set twice.
    #[error("{0} was set twice; leave one of its flag and --env {0}=... out")]
    SetTwice(String),
    /// The built-in guest does not understand its settings.
    #[error("{0}")]
    Settings(SettingsError),
    /// The guest's name or an argument of its own is not UTF-8.
    #[error("`{0}` is not UTF-8, and guests get their name and arguments as text; rename it")]
    NotText(String),
    /// A limit is out of range.
    #[error("{flag} takes a number from {} to {}, not {value}", .range.start(), .range.end())]
    Range {
        /// The flag.
        flag: &'static str,
        /// What it takes.
        range: RangeInclusive<u32>,
        /// What it was given.
        value: u32,
    },
    /// A flag that takes peers was given something else.
    #[error("{flag} takes an address, a network or `unix`, such as 192.0.2.1 or 10.0.0.0/8, not `{text}`")]
    Peers {
        /// The flag.
        flag: &'static str,
        /// What it was given.
        text: String,
    },
    /// A proxy is believed two fields.
    #[error(
        "--forwarded-from and --x-forwarded-from both name {0}; name it only by the field that the proxy sets, because \
         its clients may send the other one"
    )]
    TwoFields(String),
    /// A format of the access log is wrong.
    #[error("--log-format: {0}")]
    LogFormat(#[from] FormatError),
    /// The access log is both turned off and sent somewhere.
    #[error("--quiet writes no access log, and --access-log {} says where it goes; leave one of them out", .0.display())]
    QuietLog(PathBuf),
    /// The file of the access log has no name.
    #[error("--access-log takes a file, `-` for standard output, or `off`, and was given nothing")]
    NoLogFile,
    /// `--otlp` is not the URL of a collector.
    #[error("--otlp takes the URL of a collector, such as http://127.0.0.1:4318, not `{0}`")]
    OtlpUrl(String),
    /// The collector speaks TLS.
    #[error(
        "--otlp speaks no TLS, so `{0}` is no collector for it; take one on this machine by http:, which can pass traces on"
    )]
    OtlpOverTls(String),
    /// `--otlp-sample` is not a share.
    #[error("--otlp-sample takes a number from 0 to 1, such as 0.1 for a tenth of the traces, not `{0}`")]
    OtlpSample(String),
    /// There is nothing to be a share of.
    #[error("--otlp-sample says how many traces go to --otlp, which is not there; add --otlp URL")]
    NoOtlp,
    /// No listener has a URL.
    #[error(
        "--open needs a listener that a browser can reach, and there are unix sockets only; add --addr HOST:PORT"
    )]
    OpenWithoutAddress,
    /// A language whose tools make components of WASI 0.2 only.
    #[error("{0} only; leave --wasi 0.3 out, or take --lang rust")]
    OnlyV02(&'static str),
    /// The program was built without traces.
    #[error(
        "--otlp needs a program that was built with traces: cargo build --release -p host --features otlp"
    )]
    WithoutOtlp,
    /// A limit is zero.
    #[error("{0} takes a number above zero")]
    Zero(&'static str),
    /// An instance cannot answer more requests at a time than in all.
    #[error(
        "--reuse-concurrent {concurrent} is more than --reuse {reuse}; make --reuse larger, or leave it out"
    )]
    ConcurrentBeyondReuse {
        /// At a time.
        concurrent: u32,
        /// In all.
        reuse: u32,
    },
    /// Instances cannot be both new and reused.
    #[error(
        "--instances new gives each request its own instance, and --reuse {0} does not; leave one of them out"
    )]
    NewAndReused(u32),
    /// More memory than a 32-bit guest can use.
    #[error("--max-memory takes at most 4096 MiB, which is all that WebAssembly can address, not {0}")]
    Memory(u32),
    /// Certificates and keys do not come in pairs.
    #[error(
        "each --tls-cert needs its --tls-key, in the same order; there are {certificates} of the former and {keys} of \
         the latter"
    )]
    Unpaired {
        /// How many certificates were given.
        certificates: usize,
        /// How many keys were given.
        keys: usize,
    },
    /// The certificate for this machine cannot be one of several.
    #[error("--tls-dev makes a certificate of its own; leave it or --tls-cert out")]
    DevAndFiles,
    /// A flag says something about TLS, which is off.
    #[error("{0} needs TLS: add --tls-cert FILE --tls-key FILE, or --tls-dev to try it on this machine")]
    NeedsTls(&'static str),
    /// `--hsts` would be about all ports of this machine.
    #[error("--hsts with --tls-dev would make browsers refuse every http://localhost; leave --hsts out")]
    HstsForLocalhost,
    /// `--compress` is not a size.
    #[error("--compress takes the MiB that compressed files may take, from 1 on, or nothing")]
    Compress,
    /// No site has the file server.
    #[error("--compress is for the built-in file server, which no site has; leave it out")]
    NothingToCompress,
    /// `--hsts` is not an age.
    #[error("--hsts takes SECONDS, includeSubDomains, or SECONDS,includeSubDomains, not `{0}`")]
    Hsts(String),
}
