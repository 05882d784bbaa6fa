//! Opening: everything that the process needs before it restricts itself.

use super::browser::Browser;
use super::greeting::Greeting;
use super::reload::{Certificates, PairFiles, made_from};
use crate::admin;
use crate::app::build::{self, OpenedSite};
use crate::component::load::Loader;
use crate::config::admin::Admin;
use crate::config::listen::ListenAddress;
use crate::config::log::Place;
use crate::config::site::Site;
use crate::config::sources::Sources;
use crate::config::tls::{Source, Tls};
use crate::config::{ConfigError, Serve};
use crate::engine::Resources;
use crate::lockdown::privileges::refuse_root;
use crate::lockdown::{Granted, Lockdown, breadth};
use crate::net::bind::{Opening, bind_all};
use crate::net::listener::Traits;
use crate::net::tls::handshake::Handshakes;
use crate::net::tls::store::{Choice, Store};
use crate::net::tls::{self, dev};
use crate::net::{Listener, Reach};
use crate::notify;
use crate::report::log_file::LogFile;
use crate::report::otlp::Collector;
use crate::report::writer::Stream;
use crate::site::rules::{self, RuleFiles};
use crate::site::{self, published};
use anyhow::Result;
use http::uri::Scheme;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tracing::warn;

/// What was opened before the process restricts itself.
pub(super) struct Opened {
    pub(super) listeners: Vec<Listener>,
    /// Where other machines find them, for a person at a terminal.
    pub(super) greeting: Option<Greeting>,
    pub(super) browser: Option<Browser>,
    pub(super) tls: Option<OpenedTls>,
    pub(super) admin: Option<admin::Opened>,
    pub(super) loader: Loader,
    pub(super) sites: Vec<OpenedSite>,
    /// The files of their rules.
    pub(super) rules: Vec<RuleFiles>,
    /// The listener at which passwords could be read on their way.
    pub(super) in_clear: Option<String>,
    pub(super) resources: Resources,
    /// Where the access log goes.
    pub(super) log: Option<Stream>,
    /// Where traces go.
    pub(super) collector: Option<Collector>,
    /// Threads that serve: as many as there are processors that the process may use.
    pub(super) workers: NonZeroUsize,
    /// Whether listings are on by default.
    pub(super) lists: bool,
    /// Whether this is root, without a flag that says so.
    pub(super) is_root: bool,
    pub(super) lockdown: Option<Lockdown>,
}

/// What TLS needs.
pub(super) struct OpenedTls {
    /// Those that are read from files.
    pub(super) certificates: Option<Certificates>,
    pub(super) handshakes: Handshakes,
    /// Listeners in the clear.
    pub(super) redirects: Vec<Listener>,
    /// What to tell about the certificate for this machine, where that is used.
    pub(super) about: Option<String>,
}

/// Refuses directories that hold far more than a site.
pub(super) fn check_directories(config: &Serve) -> Result<()> {
    if config.any_directory {
        return Ok(());
    }
    let mut grants = config.sites.iter().flat_map(Site::all_grants);
    grants.try_for_each(|grants| breadth::refuse(&grants.directories))
}

/// Warns of what sites lack of what their settings name.
pub(super) fn warn_of_missing(config: &Serve) {
    for site in &config.sites {
        for warning in site::missing(site) {
            warn!("{}", of_site(config, site, warning));
        }
    }
}

/// Says which of several sites a fault is about.
pub(super) fn of_site(config: &Serve, site: &Site, fault: String) -> String {
    if config.named { format!("site {}: {fault}", site.label) } else { fault }
}

/// Reads the rules of sites and gives them to their components. Returns the files of those that have rules.
pub(super) fn give_rules(config: &mut Serve) -> Result<Vec<RuleFiles>> {
    let mut files = Vec::new();
    for site in &mut config.sites {
        let given = rules::give(site);
        files.extend(build::of_site(config.named, site, given)?);
    }
    Ok(files)
}

/// The listener at which passwords from other machines could be read on their way, as it is written; `None` if there is none, or
/// requests come through proxies that say how they came there.
fn in_clear<'a>(config: &Serve, mut listeners: impl Iterator<Item = &'a Traits>) -> Option<String> {
    let is_open = |traits: &&Traits| traits.reach == Reach::Network && traits.scheme == Scheme::HTTP;
    if config.proxies.tell_schemes() { None } else { listeners.find(is_open).map(ToString::to_string) }
}

/// Refuses sites that need passwords, which could be read on their way to this listener.
pub(super) fn refuse_in_clear(config: &Serve, listener: Option<&str>) -> Result<()> {
    let Some(listener) = listener else { return Ok(()) };
    config.sites.iter().filter(|site| site.has_logins() && !site.login.in_clear).try_for_each(|site| {
        build::of_site(config.named, site, Err(ConfigError::AuthInClear(listener.to_owned())))
    })
}

/// Reads certificates.
fn open_tls(config: &Serve, tls: &Tls) -> Result<OpenedTls> {
    let (choice, files, about) = match &tls.source {
        Source::Files(pairs) => {
            let files = PairFiles::new(pairs.clone());
            let (choice, warnings) = Choice::read(pairs)?;
            for warning in warnings {
                warn!("{warning}");
            }
            (choice, Some(files), None)
        }
        Source::Dev => {
            let dev = dev::open()?;
            let about =
                format!("Certificate for localhost in {}, SHA-256 {}", dev.path.display(), dev.fingerprint);
            (Choice::new(&[dev.certificate]), None, Some(about))
        }
    };
    let store = Arc::new(Store::new(choice));
    let handshakes = Handshakes::new(tls::server_config(Arc::clone(&store))?, config.client.head);
    let certificates = files.map(|files| Certificates::new(store, files));
    Ok(OpenedTls { certificates, handshakes, redirects: Vec::new(), about })
}

/// Opens what the access log is written to.
fn open_log(config: &Serve) -> Result<Option<Stream>> {
    let path = match &config.log.place {
        None => return Ok(None),
        Some(Place::Output) => return Ok(Some(Stream::Output)),
        Some(Place::File(path)) => path,
    };
    let file = LogFile::open(path)?;
    if let Some(directory) = published(path, &config.sites) {
        warn!(
            "the access log {} is in {}, which the guest may read and serve; put it elsewhere",
            path.display(),
            directory.display()
        );
    }
    Ok(Some(Stream::File(file)))
}

/// What has to be granted for the access log to be opened again: its directories or, where they are too broad for that, the
/// file alone.
fn places_of_log(log: &LogFile) -> Vec<PathBuf> {
    let (mut places, broad): (Vec<_>, Vec<_>) =
        log.directories().into_iter().partition(|directory| breadth::may_hold_logs(directory));
    if let Some(directory) = broad.first() {
        warn!(
            "the access log is in {}, where the server may make no file: SIGHUP cannot open it anew once it was moved \
             away; put it in a directory of its own",
            directory.display()
        );
        places.push(log.path().to_owned());
    }
    places
}

/// Opens everything. Errors that are found quickly come before steps that take long.
pub(super) fn open(config: &mut Serve, inherited: Vec<Listener>, loader: Loader) -> Result<Opened> {
    check_directories(config)?;
    let mut tls = config.tls.as_ref().map(|tls| open_tls(config, tls)).transpose()?;
    if config.addresses.is_empty() && inherited.is_empty() {
        let is_tls = tls.is_some();
        config.addresses.push(if is_tls {
            ListenAddress::default_over_tls()
        } else {
            ListenAddress::default()
        });
    }
    let (mode, stall) = (config.socket_mode, config.client.stall);
    let bind = |open, flag, addresses: &[_]| bind_all(open, addresses, Opening { flag, mode, stall });
    let mut listeners = bind(inherited, "--addr", &config.addresses)?;
    if let (Some(opened), Some(Tls { redirects, .. })) = (&mut tls, &config.tls) {
        let count = listeners.len();
        listeners = bind(listeners, "--redirect-http", redirects)?;
        opened.redirects = listeners.split_off(count);
        for listener in &mut listeners {
            listener.traits.scheme = Scheme::HTTPS;
        }
    }
    let mut admin = None;
    if let Some(Admin { address, public }) = &config.admin {
        // With the others, so that one that takes the place of another is found.
        let count = listeners.len();
        listeners = bind(listeners, "--admin", std::slice::from_ref(address))?;
        let own = listeners.split_off(count);
        if let Some(listener) = own.iter().find(|listener| listener.traits.reach == Reach::Network && !public)
        {
            return Err(ConfigError::AdminPublic(listener.traits.to_string()).into());
        }
        admin = Some(admin::Opened::new(own));
    }
    let others =
        tls.iter().flat_map(|tls| &tls.redirects).chain(admin.iter().flat_map(|admin| &admin.listeners));
    let mut traits = listeners.iter().chain(others).map(|listener| &listener.traits);
    let reachable = traits.find(|traits| traits.reach == Reach::Network);
    let is_root = !config.confinement.allow_root && refuse_root(reachable)?;
    let lists = listeners.iter().all(|listener| listener.traits.reach == Reach::Loopback);
    if lists {
        config.list_by_default();
    }
    let greeting = Greeting::find(&listeners);
    let browser = if config.open { Browser::prepare(&listeners)? } else { None };
    // Low ports are bound.
    let lockdown = config.confinement.lockdown.then(|| Lockdown::begin(&[]));
    let rules = give_rules(config)?;
    let in_clear = in_clear(config, listeners.iter().map(|listener| &listener.traits));
    refuse_in_clear(config, in_clear.as_deref())?;
    warn_of_missing(config);
    let sites = build::open(config, &loader)?;
    let log = open_log(config)?;
    let collector = config.otlp.as_ref().map(Collector::find).transpose()?;
    let resources = Resources::open();
    let workers = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Ok(Opened {
        listeners,
        greeting,
        browser,
        tls,
        admin,
        loader,
        sites,
        rules,
        in_clear,
        resources,
        log,
        collector,
        workers,
        lists,
        is_root,
        lockdown,
    })
}

/// What the process needs from now on.
pub(super) fn granted(opened: &Opened, config: &Serve, sources: &Sources) -> Granted {
    let mut granted = Granted::default();
    for site in &opened.sites {
        for opened in site.components() {
            granted.add(opened.granted());
        }
    }
    granted.cache.extend(opened.resources.cache().map(Path::to_owned));
    let admin = opened.admin.iter().flat_map(|admin| &admin.listeners);
    let listeners = opened.listeners.iter().chain(admin);
    granted.remove.extend(listeners.filter_map(Listener::directory).map(Path::to_owned));
    granted.network.notifies = notify::is_expected();
    if let Some(collector) = &opened.collector {
        granted.network.tcp = true;
        granted.network.connect.extend([Some(collector.port())]);
    }
    if let Some(Stream::File(log)) = &opened.log
        && opened.lockdown.is_some()
    {
        granted.append.extend(places_of_log(log));
    }
    // What is read again while the server runs.
    if let Some(OpenedTls { certificates: Some(certificates), .. }) = &opened.tls {
        granted.read.extend(certificates.directories());
    }
    for file in made_from(sources, config, &opened.loader) {
        granted.read.extend(breadth::places_of_file(&file));
    }
    granted.read.extend(Loader::place());
    granted
}
