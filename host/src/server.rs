//! Serving, from the configuration to the orderly shutdown.
//!
//! 1. Open: take over and bind listeners, read the component, open directories.
//! 2. Restrict: from here on, the kernel refuses what was not opened or granted.
//! 3. Compile the component.
//! 4. Serve: start threads, accept connections.
//! 5. Stop: the first signal drains the connections, the second one cuts them.

use crate::allocator;
use crate::app::App;
use crate::component::Purpose;
use crate::config::listen::ListenAddress;
use crate::config::site::Site;
use crate::config::tls::{Source, Tls};
use crate::config::{Instances, Serve};
use crate::engine;
use crate::http::check::Names;
use crate::http::connection::{Connections, Room};
use crate::http::redirect::{HTTPS_PORT, Redirect};
use crate::http::shutdown::{Phase, reached};
use crate::instance::Stdio;
use crate::link::direct::module::Renewal;
use crate::link::{self, Linked};
use crate::lockdown::privileges::refuse_root;
use crate::lockdown::{self, Granted, Lockdown, Walls, breadth};
use crate::net::accept::{Accepted, Acceptor, AllEnded, Terms};
use crate::net::bind::bind_all;
use crate::net::limit::max_connections;
use crate::net::listener::Address;
use crate::net::per_address::PerAddress;
use crate::net::tls::certificate::Certificate;
use crate::net::tls::handshake::{Beginning, Handshakes};
use crate::net::tls::store::Store;
use crate::net::tls::{self, dev, reload};
use crate::net::{Listener, Reach, inherit};
use crate::notify;
use crate::prepare::{self, Prepared};
use crate::report::access_log::AccessLog;
use crate::report::{Report, stderr};
use crate::signals::{self, Hangups, Signals};
use crate::site::{self, Faults};
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::uri::Scheme;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::runtime;
use tokio::sync::watch;
use tracing::{error, warn};
use wasmtime::Engine;

/// How long responses in flight may take after the first signal.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long connections may take to be cut, and the last lines of the access log to be written.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);

/// Threads that may block in addition to one for each instance. Each request to a file system that hangs holds one.
const SPARE_THREADS: usize = 512;

/// What was opened before the process restricts itself.
struct Opened {
    listeners: Vec<Listener>,
    tls: Option<OpenedTls>,
    guest: prepare::Opened,
    /// Whether this is root, without a flag that says so.
    is_root: bool,
    lockdown: Option<Lockdown>,
}

/// What serves.
struct Ready {
    engine: Engine,
    listeners: Vec<Listener>,
    tls: Option<OpenedTls>,
    acceptor: Acceptor,
    max_connections: usize,
    ended: AllEnded,
    app: Arc<App>,
    names: Names,
    /// In which way the guest runs, for the operator.
    how: String,
    workers: NonZeroUsize,
    blocking_threads: usize,
    is_root: bool,
    walls: Option<Walls>,
    config: Serve,
}

/// What TLS needs.
struct OpenedTls {
    store: Arc<Store>,
    /// The files of certificates that may change.
    files: Option<reload::Files>,
    handshakes: Handshakes,
    /// Listeners in the clear.
    redirects: Vec<Listener>,
    /// What to tell about the certificate for this machine, where that is used.
    about: Option<String>,
}

/// Serves until a signal stops the process.
pub fn serve(mut config: Serve) -> Result<()> {
    let inherited = inherit::take_all(config.client.stall)?;
    stderr::show_warnings();
    let mut opened = open(&mut config, inherited)?;
    let granted = granted(&opened);
    if let Some(lockdown) = &mut opened.lockdown {
        lockdown.restrict(granted);
    }
    let ready = compile(opened, config)?;

    stderr::start();
    engine::start_ticking(&ready.engine)?;
    let runtime = runtime::Builder::new_multi_thread()
        .enable_io()
        .enable_time()
        .worker_threads(ready.workers.get())
        .max_blocking_threads(ready.blocking_threads)
        .on_thread_park(allocator::trim)
        .build()
        .context("cannot start the threads of the server")?;
    let outcome = runtime.block_on(run(ready));
    // Does not wait for tasks that outlived the shutdown.
    runtime.shutdown_background();
    outcome
}

/// What a check has found.
#[derive(Debug, Default)]
pub struct Checked {
    /// What is wrong.
    pub faults: Vec<String>,
    /// What is worth to be known.
    pub notes: Vec<String>,
}

/// Does everything up to the listeners, and returns what is wrong with the site and with certificates.
pub fn check(config: &Serve) -> Result<Checked> {
    check_directories(config)?;
    let guest = open_guest(&config.sites[0])?;
    link(&guest.prepare(Stdio::Marked)?, &config.sites[0])?;
    let Faults { errors, warnings } = site::check(&config.sites[0]);
    let mut checked = Checked { faults: errors, notes: Vec::new() };
    checked.faults.extend(warnings);
    if let Some(Tls { source: Source::Files(pairs), .. }) = &config.tls {
        for pair in pairs {
            let path = pair.certificate.display();
            match Certificate::read(pair) {
                Ok(certificate) => {
                    checked.notes.push(format!("The certificate {path} is {certificate}."));
                    let fault = certificate.fault(SystemTime::now());
                    checked.faults.extend(fault.map(|fault| format!("the certificate {path} {fault}")));
                    checked.faults.extend(certificate.warnings);
                }
                Err(error) => checked.faults.push(format!("{error:#}")),
            }
        }
    }
    Ok(checked)
}

/// Reads the component of a site, and opens what it is given.
fn open_guest(site: &Site) -> Result<prepare::Opened> {
    prepare::open(site.guest.as_deref(), Purpose::Serve, &site.grants, &site.limits)
}

fn check_directories(config: &Serve) -> Result<()> {
    if config.any_directory { Ok(()) } else { breadth::refuse(&config.sites[0].grants.directories) }
}

/// Refuses a site with wrong rules, and reports what is missing in it.
fn check_site(config: &Serve) -> Result<()> {
    let Faults { errors, warnings } = site::check(&config.sites[0]);
    match &errors[..] {
        [] => {}
        [error] => bail!("{error}"),
        [first, rest @ ..] => bail!("{first} (and {} more; `wasi-httpd check` lists them)", rest.len()),
    }
    for warning in warnings {
        warn!("{warning}");
    }
    Ok(())
}

/// Compiles and links the guest, and says in which way it runs.
fn link(prepared: &Prepared, site: &Site) -> Result<(Linked, String)> {
    let Prepared { guest, engine, template, .. } = prepared;
    let renewal = match site.instances {
        _ if site.reuse > 1 => Renewal::Reused,
        Instances::Auto => Renewal::Restored,
        Instances::New => Renewal::New,
    };
    link::server(engine, guest, template, site.executor, renewal)
}

/// Reads certificates.
fn open_tls(config: &Serve, tls: &Tls) -> Result<OpenedTls> {
    let (store, files, about) = match &tls.source {
        Source::Files(pairs) => {
            let files = reload::Files::new(pairs);
            let (store, warnings) = Store::open(pairs.clone())?;
            for warning in warnings {
                warn!("{warning}");
            }
            (store, Some(files), None)
        }
        Source::Dev => {
            let dev = dev::open()?;
            let about =
                format!("Certificate for localhost in {}, SHA-256 {}", dev.path.display(), dev.fingerprint);
            (Store::fixed(dev.certificate), None, Some(about))
        }
    };
    let store = Arc::new(store);
    let handshakes = Handshakes::new(tls::server_config(Arc::clone(&store))?, config.client.head);
    Ok(OpenedTls { store, files, handshakes, redirects: Vec::new(), about })
}

/// Opens everything. Errors that are found quickly come before steps that take long.
fn open(config: &mut Serve, inherited: Vec<Listener>) -> Result<Opened> {
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
    let bind = |open, addresses: &[_]| bind_all(open, addresses, config.socket_mode, config.client.stall);
    let mut listeners = bind(inherited, &config.addresses)?;
    if let (Some(opened), Some(Tls { redirects, .. })) = (&mut tls, &config.tls) {
        let count = listeners.len();
        listeners = bind(listeners, redirects)?;
        opened.redirects = listeners.split_off(count);
        for listener in &mut listeners {
            listener.traits.scheme = Scheme::HTTPS;
        }
    }
    let redirects = tls.iter().flat_map(|tls| &tls.redirects);
    let mut traits = listeners.iter().chain(redirects).map(|listener| &listener.traits);
    let reachable = traits.find(|traits| traits.reach == Reach::Network);
    let is_root = !config.confinement.allow_root && refuse_root(reachable)?;
    if listeners.iter().all(|listener| listener.traits.reach == Reach::Loopback) {
        config.sites[0].list_by_default();
    }
    // Low ports are bound.
    let lockdown = config.confinement.lockdown.then(|| Lockdown::begin(&[]));
    check_site(config)?;
    let guest = open_guest(&config.sites[0])?;
    Ok(Opened { listeners, tls, guest, is_root, lockdown })
}

/// What the process needs from now on.
fn granted(opened: &Opened) -> Granted {
    let mut granted = opened.guest.granted();
    granted.remove.extend(opened.listeners.iter().filter_map(Listener::directory).map(Path::to_owned));
    granted.network.notifies = notify::is_expected();
    if let Some(OpenedTls { files: Some(files), .. }) = &opened.tls {
        granted.read.extend(files.directories());
    }
    granted
}

/// Compiles the component, which starts threads that remain, and completes the lockdown.
fn compile(opened: Opened, mut config: Serve) -> Result<Ready> {
    let Opened { listeners, tls, guest, is_root, lockdown } = opened;
    let prepared = guest.prepare(Stdio::Marked)?;
    let (linked, how) = link(&prepared, &config.sites[0])?;
    let Prepared { guest, engine, template, workers } = prepared;
    let how = format!("Running {} {how}", guest.name());
    let instances = config.instances;
    let app = Arc::new(App::new(linked, template, &config.sites[0], config.queue)?);
    let max_connections = max_connections(config.connections.most, instances);
    let proxies = Arc::new(std::mem::take(&mut config.proxies));
    let per_address = Arc::new(PerAddress::new(config.connections.per_address));
    let terms = Terms { stall: config.client.stall, head: config.client.head, proxies, per_address };
    let (acceptor, ended) = Acceptor::new(max_connections, terms);
    let blocking_threads = instances as usize + SPARE_THREADS;
    let names = Names::new(std::mem::take(&mut config.sites[0].names));
    let walls = lockdown.map(Lockdown::finish);
    Ok(Ready {
        engine,
        listeners,
        tls,
        acceptor,
        max_connections,
        ended,
        app,
        names,
        how,
        workers,
        blocking_threads,
        is_root,
        walls,
        config,
    })
}

async fn run(ready: Ready) -> Result<()> {
    let Ready {
        listeners,
        tls,
        acceptor,
        max_connections,
        ended,
        app,
        names,
        how,
        is_root,
        walls,
        config,
        ..
    } = ready;
    let access_log = config.access_log.then(AccessLog::start).transpose().context("cannot start a thread")?;
    let report = Report { access_log: access_log.clone() };
    let room = Room { head: config.head, connections: max_connections, instances: config.instances };
    let connections = Arc::new(Connections::new(app, names, report, config.client, room));
    let mut phase = wait_for_signals()?;
    stderr::line(&how);
    stderr::line(
        &walls.map_or_else(|| "Not locked down: --no-lockdown".to_owned(), |walls| walls.to_string()),
    );
    if is_root {
        warn!("this runs as root, and needs no more than a user who may read the site");
    }
    if let Some(probe) = lockdown::probe() {
        tokio::task::spawn_blocking(probe).await.context("a thread failed")?;
    }

    let listening = Listening { acceptor, phase: phase.clone() };
    match tls {
        None => {
            for listener in listeners {
                let started = format!("Listening on {}", listener.traits);
                listening.clear(listener, &connections);
                stderr::line(&started);
            }
        }
        Some(tls) => listen_over_tls(&listening, listeners, tls, &connections, config.tls)?,
    }
    drop(listening);
    notify::ready();
    tokio::spawn(notify::keep_alive());

    reached(&mut phase, Phase::Draining).await;
    notify::stopping();
    tokio::select! {
        () = ended.wait() => {}
        () = async {
            reached(&mut phase, Phase::Cutting).await;
            tokio::time::sleep(CUT_TIMEOUT).await;
        } => {}
    }
    if let Some(log) = access_log {
        log.finish(CUT_TIMEOUT);
    }
    Ok(())
}

/// Accepts connections, which speak TLS, and others, which are redirected to that.
fn listen_over_tls(
    listening: &Listening,
    listeners: Vec<Listener>,
    opened: OpenedTls,
    connections: &Arc<Connections>,
    config: Option<Tls>,
) -> Result<()> {
    let OpenedTls { store, files, handshakes, redirects, about } = opened;
    if let Some(about) = about {
        stderr::line(&about);
    }
    // Without files, SIGHUP ends the process as it always did: a terminal that closes takes the server with it.
    if let Some(files) = files {
        reload_certificates(store, files)?;
    }
    let port = listeners.iter().find_map(|listener| match listener.traits.address {
        Address::Tcp(address) => Some(address.port()),
        Address::Unix(_) => None,
    });
    let over_tls = OverTls {
        handshakes,
        connections: Arc::new(connections.with_hsts(config.and_then(|tls| tls.hsts))),
        refusing: Arc::new(connections.refusing()),
    };
    for listener in listeners {
        let started = format!("Listening on {}", listener.traits);
        listening.over_tls(listener, over_tls.clone());
        stderr::line(&started);
    }
    // Before a unix socket there is a proxy, which has the port that clients know.
    let redirect = Redirect::to_port(port.unwrap_or(HTTPS_PORT));
    let redirecting = Arc::new(connections.redirecting(redirect));
    for listener in redirects {
        let started = format!("Redirecting {} to https:", listener.traits);
        listening.clear(listener, &redirecting);
        stderr::line(&started);
    }
    Ok(())
}

/// Accepts connections until the server drains.
struct Listening {
    acceptor: Acceptor,
    phase: watch::Receiver<Phase>,
}

/// What answers where TLS is spoken.
#[derive(Clone)]
struct OverTls {
    handshakes: Handshakes,
    connections: Arc<Connections>,
    /// What answers clients that do not.
    refusing: Arc<Connections>,
}

impl Listening {
    /// Serves clear HTTP.
    fn clear(&self, listener: Listener, connections: &Arc<Connections>) {
        let (connections, phase) = (Arc::clone(connections), self.phase.clone());
        let serve = move |conn| Arc::clone(&connections).serve(conn, phase.clone());
        self.accept(listener, serve);
    }

    /// Serves HTTP over TLS.
    fn over_tls(&self, listener: Listener, over_tls: OverTls) {
        let phase = self.phase.clone();
        let serve = move |conn| {
            let (OverTls { handshakes, connections, refusing }, mut phase) =
                (over_tls.clone(), phase.clone());
            async move {
                let mut draining = phase.clone();
                let beginning = tokio::select! {
                    beginning = handshakes.begin(conn) => beginning,
                    // A server that stops does not wait for clients that have not asked for anything.
                    () = reached(&mut draining, Phase::Draining) => None,
                };
                match beginning {
                    Some(Beginning::Encrypted(conn)) => connections.serve(conn, phase).await,
                    // In memory of its own: connections with HTTP/1.1 need none of it.
                    Some(Beginning::Http2(conn)) => {
                        Box::pin(connections.serve_http2(conn, Bytes::new(), &mut phase)).await;
                    }
                    Some(Beginning::Clear(conn)) => refusing.serve(conn, phase).await,
                    None => {}
                }
            }
        };
        self.accept(listener, serve);
    }

    fn accept<S, F>(&self, listener: Listener, serve: S)
    where
        S: Fn(Accepted) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let shown = listener.traits.to_string();
        let (acceptor, mut stop) = (self.acceptor.clone(), self.phase.clone());
        tokio::spawn(async move {
            let stop = async move { reached(&mut stop, Phase::Draining).await };
            if let Err(failure) = acceptor.run(listener, serve, stop).await {
                error!("cannot serve {shown}: {failure:#}");
            }
        });
    }
}

/// Has certificates read again at SIGHUP and when their files change.
fn reload_certificates(store: Arc<Store>, files: reload::Files) -> Result<()> {
    let reload = reload::start(store, files)?;
    let mut hangups = Hangups::new()?;
    tokio::spawn(async move {
        loop {
            hangups.next().await;
            reload.now();
        }
    });
    Ok(())
}

/// Advances the phase: the first SIGINT or SIGTERM drains; a second one, or [`DRAIN_TIMEOUT`], cuts. Finally the process
/// exits even if its serving threads are blocked.
fn wait_for_signals() -> Result<watch::Receiver<Phase>> {
    let (phase, receiver) = watch::channel(Phase::Serving);
    signals::handle(move |signals| walk(signals, phase))?;
    Ok(receiver)
}

async fn walk(mut signals: Signals, phase: watch::Sender<Phase>) {
    signals.next().await;
    let _ = phase.send(Phase::Draining);
    tokio::select! {
        _ = signals.next() => {}
        () = tokio::time::sleep(DRAIN_TIMEOUT) => {}
    }
    let _ = phase.send(Phase::Cutting);
    // The orderly shutdown takes less and ends the process before this.
    tokio::time::sleep(3 * CUT_TIMEOUT).await;
    std::process::exit(0);
}
