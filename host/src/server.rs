//! Serving, from the configuration to the orderly stop.

use crate::access_log::AccessLog;
use crate::config::Config;
use crate::connection::Connections;
use crate::dispatch::Dispatcher;
use crate::sandbox::Sandbox;
use crate::{component, diagnostics, engine, listen};
use anyhow::{Context as _, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, watch};

/// How long answers under way may take after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// How long the last lines of the access log may take.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Serves until the process is told to stop.
pub fn serve(config: Config) -> Result<()> {
    diagnostics::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_io()
        .enable_time()
        .build()
        .context("cannot start the threads of the server")?;
    let outcome = runtime.block_on(run(config));
    // Whatever did not end in its time is cut off.
    runtime.shutdown_background();
    outcome
}

async fn run(config: Config) -> Result<()> {
    // What is quickly found wrong comes before what takes long.
    let sandbox = Sandbox::new(&config)?;
    let listeners = listen::bind(&config.addresses)?;
    let engine = engine::new(&config.limits)?;
    let component = component::load(&engine, config.guest.as_deref())?;
    let dispatcher = Dispatcher::new(&engine, &component, sandbox, &config.limits)?;
    engine::start_ticking(&engine)?;

    let log = config.access_log.then(AccessLog::start).transpose().context("cannot start a thread")?;
    let (log, writer) = log.unzip();
    let connections = Arc::new(Connections::new(dispatcher, log));
    let places = Arc::new(Semaphore::new(listen::max_connections(config.limits.instances)));
    let (stop, stopping) = watch::channel(false);
    let (alive, mut ended) = mpsc::channel(1);
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let mut terminated = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;

    for listener in listeners {
        let address = listener.local_addr().context("a listener has no address")?;
        tokio::spawn(listen::accept(
            listener,
            Arc::clone(&connections),
            Arc::clone(&places),
            stopping.clone(),
            alive.clone(),
        ));
        eprintln!("Listening on http://{address}/");
    }
    drop(alive);

    either(&mut interrupted, &mut terminated).await;
    let _ = stop.send(true);
    tokio::select! {
        // Nothing is ever sent: this is the end of the last sender.
        _ = ended.recv() => {}
        () = tokio::time::sleep(DRAIN) => {}
        // Told twice, it stops at once.
        () = either(&mut interrupted, &mut terminated) => {}
    }
    if let Some(writer) = writer {
        writer.finish(LAST_LINES);
    }
    Ok(())
}

async fn either(a: &mut Signal, b: &mut Signal) {
    tokio::select! {
        _ = a.recv() => {}
        _ = b.recv() => {}
    }
}
