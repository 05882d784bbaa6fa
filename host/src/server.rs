//! Serving, from the configuration to the orderly shutdown.
//!
//! 1. Open: take over and bind listeners, open directories, compile the component. Later steps open nothing else.
//! 2. Serve: start threads, accept connections.
//! 3. Stop: the first signal drains the connections, the second one cuts them.

use crate::allocator;
use crate::app::{App, Times};
use crate::component::Purpose;
use crate::config::listen::ListenAddress;
use crate::config::{Instances, Serve};
use crate::engine;
use crate::http::check::Names;
use crate::http::connection::{Connections, Room};
use crate::http::shutdown::{Phase, reached};
use crate::instance::Stdio;
use crate::link::direct::module::Renewal;
use crate::link::{self, Linked};
use crate::net::accept::{Acceptor, AllEnded, Terms};
use crate::net::bind::bind_all;
use crate::net::limit::max_connections;
use crate::net::per_address::PerAddress;
use crate::net::{Listener, Reach, inherit};
use crate::notify;
use crate::prepare::{Prepared, prepare};
use crate::report::access_log::AccessLog;
use crate::report::{Report, stderr};
use crate::signals::{self, Signals};
use crate::site::{self, Faults};
use anyhow::{Context as _, Result, bail};
use std::sync::Arc;
use std::time::Duration;
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

/// Everything that was opened.
struct Opened {
    engine: Engine,
    listeners: Vec<Listener>,
    acceptor: Acceptor,
    max_connections: usize,
    ended: AllEnded,
    app: Arc<App>,
    names: Names,
    /// In which way the guest runs, for the operator.
    how: String,
    threads: usize,
    config: Serve,
}

/// Serves until a signal stops the process.
pub fn serve(config: Serve) -> Result<()> {
    let inherited = inherit::take_all(config.client.stall)?;
    stderr::start();
    let opened = open(config, inherited)?;
    engine::start_ticking(&opened.engine)?;
    let runtime = runtime::Builder::new_multi_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(opened.threads)
        .on_thread_park(allocator::trim)
        .build()
        .context("cannot start the threads of the server")?;
    let outcome = runtime.block_on(run(opened));
    // Does not wait for tasks that outlived the shutdown.
    runtime.shutdown_background();
    outcome
}

/// Does everything up to the listeners, and returns what is wrong with the site.
pub fn check(config: &Serve) -> Result<Vec<String>> {
    let prepared =
        prepare(config.guest.as_deref(), Purpose::Serve, &config.grants, &config.limits, Stdio::Marked)?;
    link(&prepared, config)?;
    let Faults { mut errors, warnings } = site::check(config);
    errors.extend(warnings);
    Ok(errors)
}

/// Refuses a site with wrong rules, and reports what is missing in it.
fn check_site(config: &Serve) -> Result<()> {
    let Faults { errors, warnings } = site::check(config);
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
fn link(prepared: &Prepared, config: &Serve) -> Result<(Linked, String)> {
    let Prepared { guest, engine, template } = prepared;
    let renewal = match config.instances {
        _ if config.reuse > 1 => Renewal::Reused,
        Instances::Auto => Renewal::Restored,
        Instances::New => Renewal::New,
    };
    link::server(engine, guest, template, config.executor, renewal)
}

/// Opens everything. Errors that are found quickly come before steps that take long.
fn open(mut config: Serve, inherited: Vec<Listener>) -> Result<Opened> {
    check_site(&config)?;
    if config.addresses.is_empty() && inherited.is_empty() {
        config.addresses.push(ListenAddress::default());
    }
    let listeners = bind_all(inherited, &config.addresses, config.socket_mode, config.client.stall)?;
    if listeners.iter().all(|listener| listener.traits.reach == Reach::Loopback) {
        config.list_by_default();
    }
    let prepared =
        prepare(config.guest.as_deref(), Purpose::Serve, &config.grants, &config.limits, Stdio::Marked)?;
    let (linked, how) = link(&prepared, &config)?;
    let Prepared { guest, engine, template } = prepared;
    let how = format!("Running {} {how}", guest.name());
    let instances = config.limits.instances;
    let times = Times { head: config.limits.time, silence: config.silence, queue: config.queue };
    let app = Arc::new(App::new(linked, template, instances, config.reuse, (times, config.request.body))?);
    let max_connections = max_connections(config.connections.most, instances);
    let proxies = Arc::new(std::mem::take(&mut config.proxies));
    let per_address = Arc::new(PerAddress::new(config.connections.per_address));
    let terms = Terms { stall: config.client.stall, head: config.client.head, proxies, per_address };
    let (acceptor, ended) = Acceptor::new(max_connections, terms);
    let threads = instances as usize + SPARE_THREADS;
    let names = Names::new(std::mem::take(&mut config.names));
    Ok(Opened { engine, listeners, acceptor, max_connections, ended, app, names, how, threads, config })
}

async fn run(opened: Opened) -> Result<()> {
    let Opened { listeners, acceptor, max_connections, ended, app, names, how, config, .. } = opened;
    let access_log = config.access_log.then(AccessLog::start).transpose().context("cannot start a thread")?;
    let report = Report { access_log: access_log.clone() };
    let room = Room {
        head: config.request.head,
        fields: config.request.fields,
        connections: max_connections,
        instances: config.limits.instances,
    };
    let connections = Arc::new(Connections::new(app, names, report, config.client, room));
    let mut phase = wait_for_signals()?;
    stderr::line(&how);

    for listener in listeners {
        let shown = listener.traits.to_string();
        let started = format!("Listening on {shown}");
        let (connections, acceptor, mut stop) = (Arc::clone(&connections), acceptor.clone(), phase.clone());
        let connection_phase = phase.clone();
        tokio::spawn(async move {
            let serve = move |conn| Arc::clone(&connections).serve(conn, connection_phase.clone());
            let stop = async move { reached(&mut stop, Phase::Draining).await };
            if let Err(failure) = acceptor.run(listener, serve, stop).await {
                error!("cannot serve {shown}: {failure:#}");
            }
        });
        stderr::line(&started);
    }
    drop(acceptor);
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
