//! Serving, from the configuration to the orderly shutdown.
//!
//! 1. [`open`](mod@open): take over and bind listeners, read the components, open directories.
//! 2. Restrict: from here on, the kernel refuses what was not opened or granted.
//! 3. Compile the components.
//! 4. Serve: start threads, and [`listen`] for connections.
//! 5. [`reload`]: replace sites and certificates, at SIGHUP or when files change.
//! 6. Stop: at the first signal, serve on for a while if that is asked for, then drain the connections. The second one cuts
//!    them.
//!
//! [`check`](mod@check) does all that comes before the listeners, and says what is wrong.

mod browser;
mod check;
mod greeting;
mod listen;
mod open;
mod reload;

pub use check::{Checked, check};

use crate::admin;
use crate::allocator;
use crate::app::build::{Builder, Built, OpenedSite};
use crate::app::sites::Live;
use crate::component::load::Loader;
use crate::config::Serve;
use crate::config::sources::Sources;
use crate::config::stopping::Stopping;
use crate::http::connection::{Connections, Room};
use crate::http::shutdown::{Phase, reached};
use crate::lockdown::{self, Lockdown, Walls};
use crate::net::accept::{Acceptor, AllEnded, Terms};
use crate::net::inherit;
use crate::net::limit::{max_connections, open_files};
use crate::net::listener::Listener;
use crate::net::per_address::PerAddress;
use crate::notify;
use crate::outgoing;
use crate::report::access_log::AccessLog;
use crate::report::otlp::Collector;
use crate::report::writer::Stream;
use crate::report::{Report, stderr};
use crate::sandbox::scratch;
use crate::signals::{self, Signals};
use crate::wasi::sidecars::{Compressor, MAX_FORMS};
use crate::watch::Files;
use anyhow::{Context as _, Result};
use browser::Browser;
use greeting::Greeting;
use listen::Listening;
use open::{Opened, OpenedTls};
use reload::Reloader;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime;
use tokio::sync::watch;
use tracing::warn;

/// How long connections may take to be cut, and the last lines of the access log and the last spans to be written.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);

/// Threads that may block in addition to one for each instance. Each request to a file system that hangs holds one.
const SPARE_THREADS: usize = 512;

/// What serves.
struct Ready {
    listeners: Vec<Listener>,
    greeting: Option<Greeting>,
    browser: Option<Browser>,
    tls: Option<OpenedTls>,
    admin: Option<admin::Opened>,
    acceptor: Acceptor,
    max_connections: usize,
    ended: AllEnded,
    sites: Arc<Live>,
    /// How components run, and what they import and are not granted, for the operator.
    about: Vec<String>,
    reloader: Reloader,
    log: Option<Stream>,
    collector: Option<Collector>,
    is_root: bool,
    walls: Option<Walls>,
    config: Serve,
}

/// Serves what these sources have given until a signal stops the process. A reload reads them again.
pub fn serve(given: Serve, sources: Sources) -> Result<()> {
    let mut config = given.clone();
    // As they are before they are read.
    let loader = Loader::new(&given.components)?;
    let watched = given.watch.then(|| Files::new(reload::made_from(&sources, &given, &loader)));
    let inherited = inherit::take_all(config.client.stall)?;
    stderr::show_warnings();
    let mut opened = open::open(&mut config, inherited, loader)?;
    let granted = open::granted(&opened, &config, &sources);
    if let Some(lockdown) = &mut opened.lockdown {
        lockdown.restrict(granted);
        opened.loader.confine();
    }
    // The limit of a control group is read from files.
    let workers = opened.workers;
    let blocking_threads = config.instances as usize + SPARE_THREADS;
    let mut ready = compile(opened, sources, given, config, watched)?;
    // Components were read and compiled, for which some megabytes were needed.
    allocator::collect();

    stderr::start();
    ready.reloader.builder.start_ticking()?;
    let runtime = runtime::Builder::new_multi_thread()
        .enable_io()
        .enable_time()
        .worker_threads(workers.get())
        .max_blocking_threads(blocking_threads)
        .on_thread_park(allocator::trim)
        .build()
        .context("cannot start the threads of the server")?;
    let outcome = runtime.block_on(run(ready));
    // Does not wait for tasks that outlived the shutdown.
    runtime.shutdown_background();
    outcome
}

/// Compiles the components, which starts threads that remain, and completes the lockdown.
fn compile(
    opened: Opened,
    sources: Sources,
    given: Serve,
    mut config: Serve,
    watched: Option<Files>,
) -> Result<Ready> {
    let Opened {
        listeners,
        greeting,
        browser,
        mut tls,
        admin,
        loader,
        sites,
        rules,
        in_clear,
        resources,
        log,
        collector,
        lists,
        is_root,
        lockdown,
        ..
    } = opened;
    let metrics = admin.as_ref().map(|admin| Arc::clone(&admin.metrics));
    let ungranted: Vec<_> = sites.iter().flat_map(OpenedSite::ungranted).collect();
    let compressor = config.compress.map(|bytes| Compressor::start(bytes, open_files())).transpose()?;
    let mut builder = Builder::new(&config, &sites, &resources, metrics, compressor)?;
    let Built { sites, how: mut about } = builder.build(&config, sites)?;
    about.extend(ungranted);
    let sites = Arc::new(Live::new(sites));
    let certificates = tls.as_mut().and_then(|tls| tls.certificates.take());
    let reloader = Reloader {
        sources,
        given,
        lists,
        loader,
        builder,
        sites: Arc::clone(&sites),
        certificates,
        watched,
        rules,
        in_clear,
    };
    let sends = config.sites.iter().any(|site| !site.grants.network.hosts.is_empty());
    let forms = if config.compress.is_some() { MAX_FORMS } else { 0 };
    let guest_files = config.instances + if sends { outgoing::MAX_CONNECTIONS } else { 0 };
    let max_connections = max_connections(config.connections.most, guest_files as usize + forms);
    let proxies = Arc::new(std::mem::take(&mut config.proxies));
    let per_address = Arc::new(PerAddress::new(config.connections.per_address));
    let terms = Terms { stall: config.client.stall, head: config.client.head, proxies, per_address };
    let (acceptor, ended) = Acceptor::new(max_connections, terms);
    let walls = lockdown.map(Lockdown::finish);
    Ok(Ready {
        listeners,
        greeting,
        browser,
        tls,
        admin,
        acceptor,
        max_connections,
        ended,
        sites,
        about,
        reloader,
        log,
        collector,
        is_root,
        walls,
        config,
    })
}

async fn run(ready: Ready) -> Result<()> {
    let Ready {
        listeners,
        greeting,
        browser,
        tls,
        admin,
        mut acceptor,
        max_connections,
        ended,
        sites,
        about,
        reloader,
        log,
        collector,
        is_root,
        walls,
        config,
    } = ready;
    let access_log = log.map(|stream| AccessLog::start(stream, config.log.format.clone()));
    let access_log = access_log.transpose().context("cannot start a thread")?;
    if access_log.is_some() {
        signals::survive_file_limit()?;
    }
    let unrouted = admin.as_ref().map(|admin| admin.metrics.unrouted());
    let tracing =
        collector.map(Collector::start).transpose().context("cannot start the thread that sends spans")?;
    let (tracer, exporter) = tracing.unzip();
    let report = Report::new(access_log.clone(), unrouted, tracer);
    let room = Room {
        head: config.head,
        connections: max_connections,
        instances: config.instances,
        queue: config.queue,
    };
    let counts = admin.is_some().then(|| acceptor.count());
    let mut phase = wait_for_signals(config.stopping)?;
    let admin = admin.zip(counts.clone());
    let admin = admin.map(|(admin, counts)| admin.prepare(counts, Arc::clone(&sites), phase.clone()));
    let connections = Connections::new(sites, report, config.client, room).counted(counts);
    let connections = Arc::new(connections);
    for line in about {
        stderr::line(&line);
    }
    stderr::line(
        &walls.map_or_else(|| "Not locked down: --no-lockdown".to_owned(), |walls| walls.to_string()),
    );
    if is_root {
        warn!("this runs as root, and needs no more than a user who may read the site");
    }
    if let Some(probe) = lockdown::probe() {
        tokio::task::spawn_blocking(probe).await.context("a thread failed")?;
    }

    reload::start(reloader, access_log.clone(), phase.clone())?;
    let listening = Listening { acceptor, phase: phase.clone() };
    match tls {
        None => {
            for listener in listeners {
                let started = format!("Listening on {}", listener.traits);
                listening.clear(listener, &connections);
                stderr::line(&started);
            }
        }
        Some(tls) => listen::over_tls(&listening, listeners, tls, &connections, config.tls),
    }
    drop(listening);
    if let Some(greeting) = greeting {
        greeting.show();
    }
    if let Some(browser) = browser {
        browser.open();
    }
    // After the others: programs that start a server take the first address that it names.
    let admin = admin.map(admin::Prepared::start);
    notify::ready();
    tokio::spawn(notify::keep_alive());

    reached(&mut phase, Phase::Leaving).await;
    notify::stopping();
    tokio::select! {
        () = ended.wait() => {}
        () = async {
            reached(&mut phase, Phase::Cutting).await;
            tokio::time::sleep(CUT_TIMEOUT).await;
        } => {}
    }
    let last_spans = exporter.map(|exporter| exporter.stop(CUT_TIMEOUT));
    if let Some(log) = access_log {
        log.finish(CUT_TIMEOUT);
    }
    if let Some(sent) = last_spans {
        sent.await;
    }
    // It has answered until here.
    drop(admin);
    Ok(())
}

/// Advances the phase as signals come. Finally the process exits even if its serving threads are blocked.
fn wait_for_signals(stopping: Stopping) -> Result<watch::Receiver<Phase>> {
    let (phase, receiver) = watch::channel(Phase::Serving);
    signals::handle(move |signals| walk(signals, phase, stopping))?;
    Ok(receiver)
}

/// The first SIGINT or SIGTERM leaves and then drains; a second one, or the end of the time for that, cuts.
async fn walk(mut signals: Signals, phase: watch::Sender<Phase>, Stopping { grace, drain }: Stopping) {
    signals.next().await;
    tokio::select! {
        _ = signals.next() => {}
        () = async {
            for (next, time) in [(Phase::Leaving, grace), (Phase::Draining, drain)] {
                if !time.is_zero() {
                    let _ = phase.send(next);
                    tokio::time::sleep(time).await;
                }
            }
        } => {}
    }
    let _ = phase.send(Phase::Cutting);
    // The orderly shutdown takes less and ends the process before this.
    tokio::time::sleep(3 * CUT_TIMEOUT).await;
    scratch::remove_all();
    std::process::exit(0);
}
