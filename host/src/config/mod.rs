//! The validated configuration of each command, made from its command line, or one sentence that says what is wrong.
//!
//! - [`admin`]: where a server tells how it is
//! - [`components`]: where components come from, and by whom they have to be signed
//! - [`site`]: a component, with what it is given and its limits; [`prefix`]: the paths that it answers for
//! - [`grants`]: the directories, variables and network access of a guest
//! - [`listen`]: where a server listens
//! - [`limits`]: the memory and time that a guest may use
//! - [`log`]: the access log; [`otlp`]: traces
//! - [`proxies`]: which proxies are believed
//! - [`stopping`]: how long a server takes to stop
//! - [`tls`]: certificates, and what is done about clear HTTP
//! - [`defaults`]: the defaults of the flags
//! - [`sources`]: the command line, the environment and a file together
//! - this module: the configuration of serving, running and inspecting

pub mod admin;
pub mod components;
pub mod defaults;
mod error;
pub mod grants;
pub mod limits;
pub mod listen;
pub mod log;
pub mod middleware;
pub mod otlp;
pub mod prefix;
pub mod proxies;
pub mod site;
pub mod sources;
pub mod stopping;
pub mod tls;

pub use error::ConfigError;

use crate::cli::{self, ContentCoding, Language, Wasi};
use crate::coding::{Effort, MIN_SIZE};
use crate::component::location::Location;
use crate::oci::reference::Reference;
use admin::Admin;
use clap::ValueEnum;
use components::{Components, Registries};
use grants::{Grants, HostGrant, HostPort, NetworkGrants, ScratchGrant};
use guest::encoding::Coding;
use limits::{Connections, HeadLimits, Limits};
use listen::ListenAddress;
use otlp::Otlp;
use proxies::Proxies;
use site::Site;
use std::ffi::{OsStr, OsString};
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;
use stopping::Stopping;
use tls::{Pair, Tls};

/// In which way a component runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum Executor {
    /// Its core module alone where it fits, and by the component runtime where it does not
    #[default]
    Auto,
    /// By the component runtime
    Component,
}

/// Where the instance for a request comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Instances {
    /// Instances are restored to their initial state where that is proved to be possible, and new where it is not
    #[default]
    Auto,
    /// Each request gets a new instance
    New,
}

/// Where the authorities come from that are trusted when a guest sends requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Roots {
    /// The system's
    System,
    /// Mozilla's, as they were when this program was built
    Webpki,
}

/// The configuration of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Serve {
    /// The addresses to listen on; none for the default, or the listeners that the process inherits.
    pub addresses: Vec<ListenAddress>,
    /// The permissions of its unix sockets.
    pub socket_mode: u32,
    /// The proxies that are believed what they say of their clients.
    pub proxies: Proxies,
    /// How all of them speak TLS; `None` for clear HTTP.
    pub tls: Option<Tls>,
    /// How many connections there may be.
    pub connections: Connections,
    /// The time limits of clients.
    pub client: ClientTimes,
    /// The heads of requests.
    pub head: HeadLimits,
    /// How many instances of all sites may be alive at the same time.
    pub instances: u32,
    /// How long a request waits for an instance.
    pub queue: Duration,
    /// Where components come from.
    pub components: Components,
    /// Bytes of the compressed forms of files that are made while it runs, if any are.
    pub compress: Option<u64>,
    /// Whether it reloads when the files of its configuration and its components change.
    pub watch: bool,
    /// Whether a browser is opened at the start.
    pub open: bool,
    /// Where it tells how it is, if it does.
    pub admin: Option<Admin>,
    /// How it stops.
    pub stopping: Stopping,
    /// How the process is confined.
    pub confinement: Confinement,
    /// Whether the root directory and whole home directories are served too.
    pub any_directory: bool,
    /// The access log.
    pub log: log::Log,
    /// Where traces go, if they are sent.
    pub otlp: Option<Otlp>,
    /// Whether the sites are named: requests for other names are refused. Otherwise, there is one site, and whether
    /// it answers for a name depends on the listener and on `--allow-name`.
    pub named: bool,
    /// What is served: one site at least.
    pub sites: Vec<Site>,
}

/// How the process is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// Whether the process is locked down once everything is open.
    pub lockdown: bool,
    /// Whether root may listen where other machines can connect.
    pub allow_root: bool,
}

impl From<cli::Confinement> for Confinement {
    fn from(cli::Confinement { no_lockdown, allow_root }: cli::Confinement) -> Self {
        Self { lockdown: !no_lockdown, allow_root }
    }
}

/// How long a client may take for each phase of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientTimes {
    /// For the head of a request, from its first byte on.
    pub head: Duration,
    /// Between an answer and the next request.
    pub idle: Duration,
    /// Between two moments at which it accepts data of the response.
    pub stall: Duration,
}

/// The configuration of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The component.
    pub guest: Location,
    /// Where it comes from.
    pub components: Components,
    /// The guest's arguments; the first is its own name, without the directory that it is in.
    pub arguments: Vec<String>,
    /// What the guest is given.
    pub grants: Grants,
    /// What it may use.
    pub limits: Limits,
    /// How long it may run; `None` is unlimited.
    pub time: Option<Duration>,
    /// How the process is confined.
    pub confinement: Confinement,
}

/// The configuration of an inspection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspect {
    /// The component; `None` for the built-in one.
    pub guest: Option<Location>,
    /// The component to compare with it.
    pub next: Option<Location>,
    /// Where they come from.
    pub components: Components,
    /// Whether the report is JSON.
    pub json: bool,
    /// Whether its WIT is printed in place of the report.
    pub wit: bool,
    /// What the guest would be given.
    pub grants: Grants,
    /// What it might use.
    pub limits: Limits,
}

/// What to send to a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The file of the component.
    pub file: PathBuf,
    /// Where to.
    pub target: Reference,
    /// How the registry is asked.
    pub registries: Registries,
}

/// What to begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// The directory to write to.
    pub directory: PathBuf,
    /// The language of the component.
    pub language: Language,
    /// The version of WASI that it is for.
    pub wasi: Wasi,
}

/// The configuration of asking a server whether it is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Where its `--admin` listens.
    pub address: ListenAddress,
    /// How long it may take to answer.
    pub timeout: Duration,
}

/// What to compress beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Precompress {
    /// The directory.
    pub directory: PathBuf,
    /// The codings of the variants.
    pub codings: Vec<Coding>,
    /// How much time they take.
    pub effort: Effort,
    /// Files of fewer bytes are left alone.
    pub min_size: u64,
    /// How many files at a time.
    pub jobs: usize,
    /// Whether variants of files that are gone are removed.
    pub remove: bool,
}

impl Serve {
    /// Validates the arguments of a server that has one site. This has no side effects.
    pub fn new(arguments: cli::Serve) -> Result<Self, ConfigError> {
        let site = Site::only(&arguments.allow_name, arguments.site.clone())?;
        Self::of(arguments, vec![site], false)
    }

    /// Validates the arguments of a server with these sites, of which each has its own name and prefix. Its own site is the
    /// pattern of theirs and is not served.
    fn with_sites(arguments: cli::Serve, sites: Vec<Site>) -> Result<Self, ConfigError> {
        Self::of(arguments, sites, true)
    }

    fn of(arguments: cli::Serve, sites: Vec<Site>, named: bool) -> Result<Self, ConfigError> {
        let cli::Serve {
            addr,
            socket_mode,
            proxies,
            tls,
            allow_name: _,
            config: _,
            sites: _,
            site,
            connections,
            request,
            queue_timeout,
            head_timeout,
            idle_timeout,
            stall_timeout,
            components,
            compress,
            watch,
            open,
            admin,
            stopping,
            confinement,
            allow_any_dir,
            log,
            otlp,
        } = arguments;
        let components = Components::new(components)?;
        sites.iter().flat_map(Site::locations).try_for_each(|location| components.check(location))?;
        let mut pairs: Vec<Pair> = Vec::new();
        for pair in sites.iter().flat_map(|site| &site.pairs) {
            if !pairs.contains(pair) {
                pairs.push(pair.clone());
            }
        }
        let tls = Tls::new(tls, pairs)?;
        let stall = seconds("--stall-timeout", stall_timeout, defaults::STALL_TIMEOUT)?;
        let queue = seconds("--queue-timeout", queue_timeout, defaults::QUEUE_TIMEOUT)?;
        let head = seconds("--head-timeout", head_timeout, defaults::HEAD_TIMEOUT)?;
        let idle = seconds("--idle-timeout", idle_timeout, defaults::IDLE_TIMEOUT)?;
        let addresses =
            addr.iter().map(|text| ListenAddress::parse("--addr", text)).collect::<Result<_, _>>()?;
        let cli::Proxies { proxy_protocol_from, forwarded_from, x_forwarded_from } = proxies;
        Ok(Self {
            addresses,
            socket_mode: listen::socket_mode(socket_mode.as_deref())?,
            proxies: Proxies::parse(&proxy_protocol_from, &forwarded_from, &x_forwarded_from)?,
            tls,
            connections: Connections::new(connections)?,
            client: ClientTimes { head, idle, stall },
            head: HeadLimits::new(request)?,
            instances: above_zero("--max-instances", site.max_instances, defaults::MAX_INSTANCES)?,
            queue,
            components,
            compress: compress.as_deref().map(|size| compressed_bytes(size, &sites)).transpose()?,
            watch,
            open,
            admin: Admin::new(admin)?,
            stopping: Stopping::new(stopping)?,
            confinement: confinement.into(),
            any_directory: allow_any_dir,
            log: log::Log::new(log)?,
            otlp: Otlp::new(otlp)?,
            named,
            sites,
        })
    }

    /// Turns listings on, see [`Site::list_by_default`].
    pub fn list_by_default(&mut self) {
        self.sites.iter_mut().for_each(Site::list_by_default);
    }

    /// The names of what differs in another configuration and cannot be changed while the server runs: what was opened before
    /// the process restricted itself, and what holds for all sites and for connections that are open.
    pub fn fixed_differences(&self, other: &Self) -> Vec<&'static str> {
        let Self {
            addresses,
            socket_mode,
            proxies,
            tls,
            connections,
            client,
            head,
            instances,
            queue,
            components,
            compress,
            watch,
            open: _,
            admin,
            stopping,
            confinement,
            any_directory,
            log,
            otlp,
            named: _,
            sites: _,
        } = self;
        let tls_of = |tls: &Option<Tls>| {
            tls.as_ref().map(|Tls { source, redirects, hsts }| {
                (*source == tls::Source::Dev, redirects.clone(), hsts.clone())
            })
        };
        let same = [
            ("addr", *addresses == other.addresses),
            ("socket-mode", *socket_mode == other.socket_mode),
            ("what is believed of proxies", *proxies == other.proxies),
            ("whether and how TLS is spoken", tls_of(tls) == tls_of(&other.tls)),
            ("the limit of connections", *connections == other.connections),
            ("a timeout of clients", *client == other.client),
            ("the limit of heads", *head == other.head),
            ("max-instances of the server", *instances == other.instances),
            ("queue-timeout", *queue == other.queue),
            ("where components come from", *components == other.components),
            ("compress", *compress == other.compress),
            ("watch", *watch == other.watch),
            ("admin", *admin == other.admin),
            ("grace or drain-timeout", *stopping == other.stopping),
            ("the lockdown", *confinement == other.confinement),
            ("allow-any-dir", *any_directory == other.any_directory),
            ("--access-log and --log-format", *log == other.log),
            ("--otlp and --otlp-sample", *otlp == other.otlp),
        ];
        same.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
    }
}

impl Run {
    /// Validates the arguments. This has no side effects.
    pub fn new(arguments: cli::Run) -> Result<Self, ConfigError> {
        let cli::Run { grants, allow_tcp_listen, components, size, timeout, confinement, command } =
            arguments;
        // Arguments of guests are text (`wasi:cli/environment`).
        let text = |argument: &OsString| {
            let text = argument.to_str().map(str::to_owned);
            text.ok_or_else(|| ConfigError::NotText(argument.to_string_lossy().into_owned()))
        };
        let guest = components::location(&command.first().map(PathBuf::from).unwrap_or_default())?;
        let components = Components::new(components)?;
        components.check(&guest)?;
        let mut arguments = command.iter().map(text).collect::<Result<Vec<_>, _>>()?;
        if let Some(name) = arguments.first_mut() {
            // In which directory of the host it is, is not for the guest to know, as with `wasmtime run`.
            *name = text(&guest.short_name())?;
        }
        Ok(Self {
            components,
            grants: read_grants(&grants, &allow_tcp_listen)?,
            limits: Limits::new(1, size, timeout)?,
            time: timeout.map(|seconds| Duration::from_secs(seconds.into())),
            confinement: confinement.into(),
            arguments,
            guest,
        })
    }
}

impl Inspect {
    /// Validates the arguments. This has no side effects.
    pub fn new(arguments: cli::Inspect) -> Result<Self, ConfigError> {
        let cli::Inspect { guest, next, json, wit, components, grants, size, allow_tcp_listen } = arguments;
        let limits = Limits::new(1, size, None)?;
        let components = Components::new(components)?;
        let read = |text: Option<PathBuf>| {
            let location = text.map(|text| components::location(&text)).transpose()?;
            location.iter().try_for_each(|location| components.check(location))?;
            Ok::<_, ConfigError>(location)
        };
        let (guest, next) = (read(guest)?, read(next)?);
        let grants = read_grants(&grants, &allow_tcp_listen)?;
        Ok(Self { guest, next, components, json, wit, grants, limits })
    }
}

impl Push {
    /// Validates the arguments. This has no side effects.
    pub fn new(arguments: cli::Push) -> Result<Self, ConfigError> {
        let cli::Push { file, reference, registries } = arguments;
        let target = components::target(&reference)?;
        Ok(Self { file, target, registries: Registries::new(registries)? })
    }
}

impl Project {
    /// Validates the arguments. This has no side effects.
    pub fn new(arguments: cli::New) -> Result<Self, ConfigError> {
        let cli::New { directory, lang: language, wasi } = arguments;
        let tool = match language {
            Language::Rust => None,
            Language::Js => Some("componentize-js makes components of WASI 0.2 from JavaScript"),
            Language::Python => Some("componentize-py makes components of WASI 0.2 from Python"),
            Language::C => Some("this version has a beginning in C for WASI 0.2"),
        };
        match (tool, wasi) {
            (Some(tool), Wasi::V03) => Err(ConfigError::OnlyV02(tool)),
            _ => Ok(Self { directory, language, wasi }),
        }
    }
}

impl Health {
    /// Validates the arguments. `admin` is the variable that serving takes `--admin` from. This has no side effects.
    pub fn new(arguments: cli::Health, admin: Option<&OsStr>) -> Result<Self, ConfigError> {
        let cli::Health { address, timeout } = arguments;
        let (name, text) = match (address, admin.filter(|text| !text.is_empty())) {
            (Some(text), _) => ("health", text),
            (None, Some(text)) => ("WASI_HTTPD_ADMIN", text.to_string_lossy().into_owned()),
            (None, None) => return Err(ConfigError::NoAddress),
        };
        let address = ListenAddress::parse(name, &text)?;
        if matches!(address, ListenAddress::Tcp(HostPort { port: 0, .. })) {
            return Err(ConfigError::PortZero { flag: name, text });
        }
        Ok(Self { address, timeout: seconds("--timeout", timeout, defaults::HEALTH_TIMEOUT)? })
    }
}

impl Precompress {
    /// Validates the arguments. This has no side effects.
    pub fn new(arguments: cli::Precompress) -> Result<Self, ConfigError> {
        let cli::Precompress { directory, coding, effort, min_size, jobs, remove } = arguments;
        let is_wanted =
            |known: &Coding| coding.is_empty() || coding.iter().any(|&one| Coding::from(one) == *known);
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let jobs = jobs.map(|jobs| above_zero("--jobs", Some(jobs), jobs)).transpose()?;
        Ok(Self {
            directory,
            codings: Coding::ALL.into_iter().filter(is_wanted).collect(),
            effort: effort.unwrap_or_default(),
            min_size: min_size.unwrap_or(MIN_SIZE),
            jobs: jobs.map_or(processors, |jobs| usize::try_from(jobs).unwrap_or(processors)),
            remove,
        })
    }
}

impl From<ContentCoding> for Coding {
    fn from(coding: ContentCoding) -> Self {
        match coding {
            ContentCoding::Brotli => Self::Brotli,
            ContentCoding::Zstandard => Self::Zstandard,
            ContentCoding::Gzip => Self::Gzip,
        }
    }
}

/// The bytes that `--compress` gives the compressed forms of all files, by its value, which is empty for the default.
fn compressed_bytes(size: &str, sites: &[Site]) -> Result<u64, ConfigError> {
    let size = if size.is_empty() { Ok(defaults::COMPRESSED_SIZE) } else { size.parse() };
    let size = size.ok().filter(|size| *size > 0).ok_or(ConfigError::Compress)?;
    if sites.iter().all(|site| site.guest.is_some()) {
        return Err(ConfigError::NothingToCompress);
    }
    Ok(u64::from(size) << 20)
}

/// The value of a flag, or its default.
fn above_zero(flag: &'static str, typed: Option<u32>, default: u32) -> Result<u32, ConfigError> {
    match typed.unwrap_or(default) {
        0 => Err(ConfigError::Zero(flag)),
        number => Ok(number),
    }
}

/// The time that a flag gives, or its default.
fn seconds(flag: &'static str, typed: Option<u32>, default: u32) -> Result<Duration, ConfigError> {
    above_zero(flag, typed, default).map(|seconds| Duration::from_secs(seconds.into()))
}

fn read_grants(typed: &cli::Grants, listen: &[String]) -> Result<Grants, ConfigError> {
    let cli::Grants {
        dir,
        env,
        allow_host,
        outgoing_roots,
        outgoing_ca,
        allow_tcp_connect,
        keyvalue,
        keyvalue_size,
        config_var,
        scratch,
        scratch_per,
    } = typed;
    let hosts = |flag, texts: &[String]| {
        texts.iter().map(|text| grants::host_grant(flag, text)).collect::<Result<Vec<HostGrant>, _>>()
    };
    let listen = listen.iter().map(|text| grants::host_port("--allow-tcp-listen", text));
    let directories = grants::directories(dir)?;
    let stores = keyvalue.iter().map(|text| grants::key_value(text)).collect::<Result<Vec<_>, _>>()?;
    if let Some(name) = grants::twice(stores.iter().map(|store| store.name.as_str())) {
        return Err(ConfigError::SameStore(name.to_owned()));
    }
    if stores.is_empty() && keyvalue_size.is_some() {
        return Err(ConfigError::NoStore);
    }
    let configuration: Vec<_> =
        config_var.iter().map(|text| grants::configuration(text)).collect::<Result<_, _>>()?;
    if let Some(name) = grants::twice(configuration.iter().map(|(name, _)| name.as_str())) {
        return Err(ConfigError::SameConfigVariable(name.to_owned()));
    }
    let mebibytes = |mebibytes: u32| u64::from(mebibytes) * 1024 * 1024;
    let scratch = match (scratch, scratch_per) {
        (None, None) => None,
        (None, Some(_)) => return Err(ConfigError::NoScratch),
        (Some(size), per) => {
            if directories.iter().any(|directory| directory.guest == grants::SCRATCH) {
                return Err(ConfigError::ScratchName(grants::SCRATCH));
            }
            let bytes = mebibytes(above_zero("--scratch", Some(*size), *size)?);
            Some(ScratchGrant { bytes, per: per.unwrap_or_default() })
        }
    };
    Ok(Grants {
        directories,
        stores,
        store_bytes: mebibytes(above_zero("--keyvalue-size", *keyvalue_size, defaults::KEYVALUE_SIZE)?),
        configuration,
        scratch,
        holder: grants::Holder::default(),
        environment: env.iter().map(|text| grants::variable(text)).collect::<Result<_, _>>()?,
        network: NetworkGrants {
            hosts: hosts("--allow-host", allow_host)?,
            roots: *outgoing_roots,
            authorities: outgoing_ca.clone(),
            connect: hosts("--allow-tcp-connect", allow_tcp_connect)?,
            listen: listen.collect::<Result<_, _>>()?,
        },
        pinned: false,
    })
}

#[cfg(test)]
mod tests {
    use super::grants::DirectoryGrant;
    use super::{ConfigError, Run, Serve, defaults};
    use crate::cli;

    fn parse(arguments: &[&str]) -> cli::Command {
        let line = std::iter::once(&"wasi-httpd").chain(arguments).map(Into::into);
        cli::parse(line).expect("it parses")
    }

    fn serve(arguments: &[&str]) -> Result<Serve, ConfigError> {
        match parse(arguments) {
            cli::Command::Serve(typed) => Serve::new(typed.arguments),
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
        let directories = &serve(&[]).unwrap().sites[0].grants.directories;
        assert_eq!(*directories, [DirectoryGrant { host: ".".into(), guest: "/".into() }]);
        let given = run(&["run", "a.wasm"]).unwrap().grants;
        assert_eq!(given, super::Grants { store_bytes: given.store_bytes, ..super::Grants::default() });
    }

    #[test]
    fn the_help_names_the_defaults() {
        let Err(cli::Stop::Information(help)) = cli::parse(["wasi-httpd", "-h"].map(Into::into)) else {
            panic!("no help");
        };
        for (flag, default) in [
            ("--addr", format!("{}, or {} with TLS", defaults::ADDR, defaults::TLS_ADDR)),
            ("--max-connections", defaults::MAX_CONNECTIONS.to_string()),
            ("--max-connections-per-address", defaults::MAX_CONNECTIONS_PER_ADDRESS.to_string()),
            ("--max-instances", defaults::MAX_INSTANCES.to_string()),
            ("--reuse", defaults::REUSE.to_string()),
            ("--reuse-concurrent", defaults::REUSE_CONCURRENT.to_string()),
            ("--timeout", defaults::TIMEOUT.to_string()),
            ("--silence-timeout", defaults::SILENCE_TIMEOUT.to_string()),
            ("--head-timeout", defaults::HEAD_TIMEOUT.to_string()),
            ("--idle-timeout", defaults::IDLE_TIMEOUT.to_string()),
            ("--body-timeout", defaults::BODY_TIMEOUT.to_string()),
            ("--stall-timeout", defaults::STALL_TIMEOUT.to_string()),
            ("--queue-timeout", defaults::QUEUE_TIMEOUT.to_string()),
            ("--grace", defaults::GRACE.to_string()),
            ("--drain-timeout", defaults::DRAIN_TIMEOUT.to_string()),
            ("--max-head", defaults::MAX_HEAD.to_string()),
            ("--max-fields", defaults::MAX_FIELDS.to_string()),
            ("--max-body", defaults::MAX_BODY.to_string()),
            ("--min-body-rate", defaults::MIN_BODY_RATE.to_string()),
            ("--max-handles", defaults::MAX_HANDLES.to_string()),
            ("--max-output", defaults::MAX_OUTPUT.to_string()),
            ("--keyvalue-size", defaults::KEYVALUE_SIZE.to_string()),
        ] {
            let line = help
                .split("\n      --")
                .find(|option| format!("--{option}").starts_with(&format!("{flag} ")));
            assert!(
                line.is_some_and(|line| line.contains(&format!("[default: {default}]"))),
                "{flag}: {line:?}"
            );
        }
    }

    #[test]
    fn listings_are_on_only_where_no_other_name_is_answered_for() {
        let listing = |arguments: &[&str]| {
            let mut config = serve(arguments).unwrap();
            config.sites[0].list_by_default();
            config.sites.remove(0).grants.environment
        };
        assert_eq!(listing(&[]), [("FILES_LISTING".to_owned(), "on".to_owned())]);
        assert_eq!(listing(&["--allow-name", "example.com"]), []);
        assert_eq!(listing(&["other.wasm"]), []);
    }

    #[test]
    fn what_follows_the_guest_is_the_guests() {
        let run = run(&["run", "--env", "A=1", "of/a.wasm", "--env", "-v", "--", "--help"]).unwrap();
        assert_eq!(run.arguments, ["a.wasm", "--env", "-v", "--", "--help"]);
        assert_eq!(run.grants.environment.len(), 1);
    }

    #[test]
    fn a_flag_of_the_file_server_sets_its_variable() {
        let set =
            |arguments: &[&str]| serve(arguments).map(|mut config| config.sites.remove(0).grants.environment);
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
        assert_eq!(
            message,
            "FILES_LISTING is `yes`, but it takes `on` or `off`, or lines such as `/docs/*: on`"
        );
        assert!(serve(&["--env", "FILES_LISTING=yes", "other.wasm"]).is_ok());
        assert_eq!(
            serve(&["--env", "FILES_HEADERS_TEXT="]),
            Err(ConfigError::Reserved("FILES_HEADERS_TEXT"))
        );
        assert!(serve(&["--env", "FILES_HEADERS_TEXT=", "other.wasm"]).is_ok());
    }

    #[test]
    fn a_limit_of_zero_would_serve_nothing() {
        for flag in [
            "--max-connections",
            "--max-connections-per-address",
            "--max-instances",
            "--max-memory",
            "--max-table",
            "--reuse",
            "--reuse-concurrent",
            "--timeout",
            "--silence-timeout",
            "--head-timeout",
            "--idle-timeout",
            "--body-timeout",
            "--stall-timeout",
            "--queue-timeout",
            "--min-body-rate",
            "--max-handles",
            "--max-output",
        ] {
            assert_eq!(serve(&[flag, "0"]), Err(ConfigError::Zero(flag)));
        }
        for flag in ["--max-memory", "--max-table", "--timeout"] {
            assert_eq!(run(&["run", flag, "0", "a.wasm"]), Err(ConfigError::Zero(flag)));
        }
    }
    #[test]
    fn limits_of_requests_are_within_what_can_be_kept() {
        for (flag, value) in
            [("--max-head", "7"), ("--max-head", "1025"), ("--max-fields", "0"), ("--max-fields", "1001")]
        {
            let message = serve(&[flag, value]).unwrap_err().to_string();
            assert!(message.starts_with(&format!("{flag} takes a number from ")), "{message}");
            assert!(message.ends_with(&format!(", not {value}")), "{message}");
        }
        assert_eq!(serve(&["--max-body", "0"]).unwrap().sites[0].body.size, 0, "no bodies at all");
    }
}
