//! Serving, from the configuration to the orderly stop.

use crate::access_log::AccessLog;
use crate::config::Config;
use crate::connection::{Connections, Phase, reach};
use crate::dispatch::Dispatcher;
use crate::sandbox::Sandbox;
use crate::{component, diagnostics, engine, listen};
use anyhow::{Context as _, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, watch};
use tracing::warn;

/// How long answers under way may take after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// How long connections may take to be cut, and the last lines of the access log to be written.
const LAST: Duration = Duration::from_secs(1);

/// Serves until the process is told to stop.
pub fn serve(config: Config) -> Result<()> {
    diagnostics::start();
    let runtime = runtime::Builder::new_multi_thread()
        .enable_io()
        .enable_time()
        .build()
        .context("cannot start the threads of the server")?;
    let outcome = runtime.block_on(run(config));
    // Whatever did not end in its time is cut off.
    runtime.shutdown_background();
    outcome
}

async fn run(mut config: Config) -> Result<()> {
    // What is quickly found wrong comes before what takes long.
    let listeners = listen::bind(&config.addresses)?;
    if listeners.iter().all(|listener| listener.local_addr().is_ok_and(|address| address.ip().is_loopback()))
    {
        config.list_by_default();
    }
    let sandbox = Sandbox::new(&config)?;
    let (engine, warning) = engine::new(&config.limits)?;
    let component = component::load(&engine, config.guest.as_deref())?;
    let dispatcher = Dispatcher::new(&engine, &component, sandbox, &config.limits)?;
    engine::start_ticking(&engine)?;
    if let Some(warning) = warning {
        warn!("{warning}");
    }

    let log = config.access_log.then(AccessLog::start).transpose().context("cannot start a thread")?;
    let (log, writer) = log.unzip();
    let connections = Arc::new(Connections::new(dispatcher, log));
    let places = Arc::new(Semaphore::new(listen::max_connections(config.limits.instances)));
    let mut phase = wait_for_signals()?;
    let (alive, mut ended) = mpsc::channel(1);

    for listener in listeners {
        let address = listener.local_addr().context("a listener has no address")?;
        tokio::spawn(listen::accept(
            listener,
            Arc::clone(&connections),
            Arc::clone(&places),
            phase.clone(),
            alive.clone(),
        ));
        eprintln!("Listening on http://{address}/");
    }
    drop(alive);

    reach(&mut phase, Phase::Draining).await;
    tokio::select! {
        // Nothing is ever sent: this is the end of the last sender.
        _ = ended.recv() => {}
        () = async {
            reach(&mut phase, Phase::Cutting).await;
            tokio::time::sleep(LAST).await;
        } => {}
    }
    if let Some(writer) = writer {
        writer.finish(LAST);
    }
    Ok(())
}

/// Moves from phase to phase: the first SIGINT or SIGTERM drains; a second one, or the time being up, cuts.
///
/// This has a thread of its own. The server's threads may all be held up, for guests wait for files on them; then the
/// process has to end all the same, which is the last thing that this thread sees to.
fn wait_for_signals() -> Result<watch::Receiver<Phase>> {
    let (phase, receiver) = watch::channel(Phase::Serving);
    let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.context("cannot start a thread for signals")?;
    // Registered before anything is served, so that no signal is met by the default of dying. A runtime of tokio has to
    // be there for it, though not at the same moment.
    let (interrupted, terminated) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    };
    let mut interrupted = interrupted.context("cannot wait for SIGINT")?;
    let mut terminated = terminated.context("cannot wait for SIGTERM")?;
    let walk = async move {
        either(&mut interrupted, &mut terminated).await;
        let _ = phase.send(Phase::Draining);
        tokio::select! {
            () = either(&mut interrupted, &mut terminated) => {}
            () = tokio::time::sleep(DRAIN) => {}
        }
        let _ = phase.send(Phase::Cutting);
        // Long enough for the orderly way, by which the process ends before this.
        tokio::time::sleep(3 * LAST).await;
        std::process::exit(0);
    };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || runtime.block_on(walk)).context("cannot start a thread for signals")?;
    Ok(receiver)
}

async fn either(a: &mut Signal, b: &mut Signal) {
    tokio::select! {
        _ = a.recv() => {}
        _ = b.recv() => {}
    }
}
