//! What a guest is given: directories, variables and network access. This is pure parsing: nothing is opened or looked
//! up.

use super::{ConfigError, Roots, middleware};
use crate::component::location::Location;
use clap::ValueEnum;
use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

/// A directory that a guest can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryGrant {
    /// Where it is on this machine.
    pub host: PathBuf,
    /// The name of the preopened directory in the guest.
    pub guest: String,
}

/// A host name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name, or an address without brackets.
    pub host: String,
    /// The port. Port 0 is any free port, where the flag allows that.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Bracketed(&self.host), self.port)
    }
}

impl fmt::Display for HostGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = Bracketed(&self.host);
        match self.port {
            Some(port) => write!(f, "{host}:{port}"),
            None => host.fmt(f),
        }
    }
}

/// A host as it is written before a port.
struct Bracketed<'a>(&'a str);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') { write!(f, "[{}]", self.0) } else { f.write_str(self.0) }
    }
}

/// A host that a guest may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostGrant {
    /// A name in lower case, or an address without brackets.
    pub host: String,
    /// The port. `None` is the default port of the scheme for HTTP requests, and any port for TCP connections.
    pub port: Option<u16>,
}

/// What a guest may do in the network: by default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkGrants {
    /// Hosts to send HTTP requests to.
    pub hosts: Vec<HostGrant>,
    /// The authorities that are trusted then. `None` is the system's, or Mozilla's where it has none.
    pub roots: Option<Roots>,
    /// Files with more of them.
    pub authorities: Vec<PathBuf>,
    /// Hosts to open TCP connections to.
    pub connect: Vec<HostGrant>,
    /// Addresses to listen at for TCP connections.
    pub listen: Vec<HostPort>,
}

/// A store of keys and values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValueGrant {
    /// The name by which the guest opens it.
    pub name: String,
    /// Where it is.
    pub place: KeyValuePlace,
}

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyValuePlace {
    /// In memory, until the process ends.
    Memory,
    /// In a file of SQLite.
    File(PathBuf),
}

/// A directory to write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScratchGrant {
    /// What it holds.
    pub bytes: u64,
    /// Who shares it.
    pub per: ScratchPer,
}

/// Who shares a scratch directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ScratchPer {
    /// Each request has a new one
    #[default]
    Request,
    /// All requests of a site
    Site,
}

/// Whose grants they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The site.
    pub site: String,
    /// Of a component before its guest: where it is, and how many from the same place stand in front of it. So a reload that puts
    /// others before it finds what belongs to it again.
    pub middleware: Option<(Location, usize)>,
}

impl Holder {
    /// How messages call the component.
    pub fn name(&self) -> String {
        self.middleware
            .as_ref()
            .map_or_else(|| "the guest".to_owned(), |(location, _)| format!("the middleware `{location}`"))
    }

    /// What the operator types to grant it something: a flag with its value, or the grant of a middleware that does the same;
    /// `None` if there is none.
    pub fn grant(&self, flag: &str, value: &str) -> Option<String> {
        match &self.middleware {
            None => Some(format!("{flag} {value}")),
            Some((location, _)) => {
                middleware::key(flag).map(|key| format!("--middleware {location},{key}{value}"))
            }
        }
    }
}

/// Everything that a guest is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// The directories, all read-only.
    pub directories: Vec<DirectoryGrant>,
    /// The guest's whole environment.
    pub environment: Vec<(String, String)>,
    /// The network.
    pub network: NetworkGrants,
    /// Stores of keys and values.
    pub stores: Vec<KeyValueGrant>,
    /// What each of them holds, in bytes.
    pub store_bytes: u64,
    /// Values of its configuration.
    pub configuration: Vec<(String, String)>,
    /// A directory to write to, if it has one.
    pub scratch: Option<ScratchGrant>,
    /// Who they are for.
    pub holder: Holder,
    /// Whether directories stay the ones that were opened when others take their places. Those of sites with rules do, until
    /// the rules of the new ones are read as well.
    pub pinned: bool,
}

impl Grants {
    /// What is given, for the operator. Values of variables and of the configuration may be secret, and are left out.
    pub fn summary(&self) -> Vec<String> {
        let Self { directories, environment, network, stores, configuration, scratch, .. } = self;
        let directories =
            directories.iter().map(|given| format!("dir {} as {}", given.host.display(), given.guest));
        let environment = environment.iter().map(|(name, _)| format!("env {name}"));
        let hosts = network.hosts.iter().map(|host| format!("allow-host {host}"));
        let connect = network.connect.iter().map(|host| format!("allow-tcp-connect {host}"));
        let stores = stores.iter().map(|store| match &store.place {
            KeyValuePlace::Memory => format!("keyvalue {}=memory", store.name),
            KeyValuePlace::File(path) => format!("keyvalue {}{STORE_FILE}{}", store.name, path.display()),
        });
        let configuration = configuration.iter().map(|(name, _)| format!("config-var {name}"));
        let scratch = scratch.iter().map(|scratch| format!("scratch {} MiB", scratch.bytes >> 20));
        let network = hosts.chain(connect);
        directories
            .chain(environment)
            .chain(network)
            .chain(stores)
            .chain(configuration)
            .chain(scratch)
            .collect()
    }
}

/// The guest's name for its scratch directory: where programs look for such a place.
pub const SCRATCH: &str = "/tmp";

/// The guest's name for a directory that `--dir` gives no other name.
pub(super) const ROOT: &str = "/";

pub(super) fn directories(texts: &[String]) -> Result<Vec<DirectoryGrant>, ConfigError> {
    let mut directories: Vec<DirectoryGrant> = Vec::new();
    for text in texts {
        let (host, guest) = text.split_once("::").unwrap_or((text, ROOT));
        if host.is_empty() || guest.is_empty() {
            return Err(ConfigError::Directory(text.clone()));
        }
        if directories.iter().any(|other| other.guest == guest) {
            return Err(ConfigError::SameName(guest.to_owned()));
        }
        directories.push(DirectoryGrant { host: PathBuf::from(host), guest: guest.to_owned() });
    }
    Ok(directories)
}

/// What is between the name of a store and the path of its file.
pub(super) const STORE_FILE: &str = "=sqlite:";

/// Reads the value of `--keyvalue`.
pub(super) fn key_value(text: &str) -> Result<KeyValueGrant, ConfigError> {
    let mistake = || ConfigError::Store(text.to_owned());
    let (name, place) = text.split_once('=').ok_or_else(mistake)?;
    let place = match text[name.len()..].strip_prefix(STORE_FILE) {
        Some(path) if !path.is_empty() => KeyValuePlace::File(PathBuf::from(path)),
        None if place == "memory" => KeyValuePlace::Memory,
        _ => return Err(mistake()),
    };
    Ok(KeyValueGrant { name: name.to_owned(), place })
}

/// Reads the value of `--config-var`.
pub(super) fn configuration(text: &str) -> Result<(String, String), ConfigError> {
    let (name, value) = text.split_once('=').ok_or_else(|| ConfigError::ConfigVariable(text.to_owned()))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Says which of several names is there twice.
pub(super) fn twice<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = HashSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

pub(super) fn variable(text: &str) -> Result<(String, String), ConfigError> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(ConfigError::Variable(text.to_owned())),
    }
}

/// Reads the value of a flag that takes HOST:PORT.
pub(super) fn host_port(flag: &'static str, text: &str) -> Result<HostPort, ConfigError> {
    match split(text) {
        Some((host, Some(port))) => Ok(HostPort { host: host.to_owned(), port }),
        _ => Err(ConfigError::Address { flag, text: text.to_owned() }),
    }
}

/// Reads the value of a flag that takes HOST or HOST:PORT.
pub(super) fn host_grant(flag: &'static str, text: &str) -> Result<HostGrant, ConfigError> {
    match split(text) {
        Some((_, Some(0))) => Err(ConfigError::PortZero { flag, text: text.to_owned() }),
        Some((host, port)) => Ok(HostGrant { host: host.to_ascii_lowercase(), port }),
        None => Err(ConfigError::Host { flag, text: text.to_owned() }),
    }
}

/// Reads the value of `--allow-name`, which takes a host without a port, in lower case.
pub(super) fn name(text: &str) -> Result<String, ConfigError> {
    match split(text) {
        Some((host, None)) => Ok(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()),
        _ => Err(ConfigError::Name(text.to_owned())),
    }
}

/// Reads a name of a site: as `--allow-name`, and `*.` before a name is one label more. An address is written as its standard
/// text, in which requests for it are compared.
pub(super) fn site_name(text: &str) -> Result<String, ConfigError> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    match name(text) {
        Ok(name) if !name.strip_prefix("*.").unwrap_or(&name).contains('*') => {
            let address = name.parse().map(|address: IpAddr| address.to_canonical().to_string());
            Ok(address.unwrap_or(name))
        }
        _ => Err(ConfigError::SiteName(text.to_owned())),
    }
}

/// A host, without the brackets of an IPv6 address, and a port if there is one.
fn split(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return None,
            }
        }
        None => match text.split_once(':') {
            // An IPv6 address needs its brackets: without them its last group could be a port.
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    // These characters are in URLs, which are a common mistake here.
    let is_host = |byte: u8| byte.is_ascii_graphic() && !b"/@?#[],\\".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_host) {
        return None;
    }
    match port {
        None => Some((host, None)),
        // `+80` parses as a number; it is not a port.
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some((host, Some(port.parse().ok()?)))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        ConfigError, DirectoryGrant, HostGrant, HostPort, directories, host_grant, host_port, name,
        site_name, variable,
    };

    #[test]
    fn an_address_is_a_host_and_a_port() {
        let address = |text| host_port("--addr", text);
        let is = |host: &str, port| Ok(HostPort { host: host.into(), port });
        assert_eq!(address("localhost:8080"), is("localhost", 8080));
        assert_eq!(address("0.0.0.0:0"), is("0.0.0.0", 0));
        assert_eq!(address("[::1]:80"), is("::1", 80));
        for text in [
            "",
            "8080",
            ":8080",
            "localhost",
            "localhost:",
            "localhost:65536",
            "localhost:+80",
            "::1:80",
            "[::1]",
            "[]:80",
            "[a]:80",
            "[::1]80",
            "http://localhost:80",
            "user@localhost:80",
            "a b:80",
        ] {
            assert_eq!(address(text), Err(ConfigError::Address { flag: "--addr", text: text.into() }));
        }
    }

    #[test]
    fn a_host_may_do_without_a_port() {
        let grant = |text| host_grant("--allow-host", text);
        let is = |host: &str, port| Ok(HostGrant { host: host.into(), port });
        assert_eq!(grant("Example.com"), is("example.com", None));
        assert_eq!(grant("example.com:8443"), is("example.com", Some(8443)));
        assert_eq!(grant("[::1]"), is("::1", None));
        assert_eq!(grant("[::1]:80"), is("::1", Some(80)));
        for text in ["", ":80", "example.com:", "::1", "http://example.com", "example.com/path"] {
            assert_eq!(grant(text), Err(ConfigError::Host { flag: "--allow-host", text: text.into() }));
        }
        assert!(matches!(grant("example.com:0"), Err(ConfigError::PortZero { .. })));
    }

    #[test]
    fn a_name_has_no_port() {
        assert_eq!(name("Example.com."), Ok("example.com".to_owned()));
        assert_eq!(name("[::1]"), Ok("::1".to_owned()));
        for text in ["", "example.com:80", "http://example.com", "*"] {
            assert_eq!(name(text).is_ok(), text == "*", "{text}");
        }
    }

    #[test]
    fn a_site_is_named_exactly_or_by_a_label_more() {
        for (text, name) in [
            ("Example.com.", "example.com"),
            ("*", "*"),
            ("*.example.com", "*.example.com"),
            ("[::1]", "::1"),
            ("[0:0::0:1]", "::1"),
            ("[2001:DB8::A]", "2001:db8::a"),
            ("[::ffff:192.0.2.1]", "192.0.2.1"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(site_name(text), Ok(name.to_owned()));
        }
        for text in ["", "*.", "*.*", "a.*.example.com", "**", "*x", "example.com:80", "example.com/docs"] {
            assert_eq!(site_name(text), Err(ConfigError::SiteName(text.to_owned())));
        }
    }

    #[test]
    fn a_directory_has_a_name_of_its_own() {
        let directory = |host: &str, guest: &str| DirectoryGrant { host: host.into(), guest: guest.into() };
        let parse =
            |texts: &[&str]| directories(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        assert_eq!(parse(&[]), Ok(vec![]));
        assert_eq!(parse(&["a", "b::/b"]), Ok(vec![directory("a", "/"), directory("b", "/b")]));
        assert_eq!(parse(&["a", "b"]), Err(ConfigError::SameName("/".into())));
        for text in ["", "::", "a::", "::/"] {
            assert_eq!(parse(&[text]), Err(ConfigError::Directory(text.into())));
        }
    }

    #[test]
    fn a_summary_has_no_secrets() {
        let given = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let typed = crate::cli::Grants {
            dir: given(&["a", "b::/b"]),
            env: given(&["USERS=ann:secret"]),
            allow_host: given(&["example.com"]),
            allow_tcp_connect: given(&["[::1]:5432"]),
            keyvalue: given(&["n=memory", "m=sqlite:/x"]),
            config_var: given(&["KEY=secret"]),
            scratch: Some(64),
            ..crate::cli::Grants::default()
        };
        let summary = crate::config::read_grants(&typed, &[]).unwrap().summary();
        let expected = [
            "dir a as /",
            "dir b as /b",
            "env USERS",
            "allow-host example.com",
            "allow-tcp-connect [::1]:5432",
            "keyvalue n=memory",
            "keyvalue m=sqlite:/x",
            "config-var KEY",
            "scratch 64 MiB",
        ];
        assert_eq!(summary, expected);
    }

    #[test]
    fn a_variable_is_an_assignment() {
        assert_eq!(variable("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert_eq!(variable("A="), Ok(("A".into(), String::new())));
        for text in ["", "A", "=b"] {
            assert_eq!(variable(text), Err(ConfigError::Variable(text.into())));
        }
    }
}
