//! Serving, from the configuration to the orderly stop.

use crate::access_log::AccessLog;
use crate::component::Purpose;
use crate::config::Serve;
use crate::connection::{Connections, Phase, reach};
use crate::dispatch::Dispatcher;
use crate::prepare::{Prepared, prepare};
use crate::sandbox::Streams;
use crate::signals::{self, Signals};
use crate::{diagnostics, listen};
use anyhow::{Context as _, Result};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime;
use tokio::sync::{Semaphore, mpsc, watch};

/// How long answers under way may take after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// How long connections may take to be cut, and the last lines of the access log to be written.
const LAST: Duration = Duration::from_secs(1);

/// Serves until the process is told to stop.
pub fn serve(config: Serve) -> Result<()> {
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

async fn run(mut config: Serve) -> Result<()> {
    // What is quickly found wrong comes before what takes long.
    let listeners = listen::bind(&config.addresses)?;
    if listeners.iter().all(|listener| listener.local_addr().is_ok_and(|address| address.ip().is_loopback()))
    {
        config.list_by_default();
    }
    let Prepared { component, sandbox } =
        prepare(config.guest.as_deref(), Purpose::Serve, &config.grants, &config.limits, Streams::Marked)?;
    let dispatcher = Dispatcher::new(component, sandbox, &config.limits, config.reuse)?;

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
            config.stall,
            phase.clone(),
            alive.clone(),
        ));
        let _ = writeln!(std::io::stderr(), "Listening on http://{address}/");
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

/// Moves from phase to phase: the first SIGINT or SIGTERM drains; a second one, or the time being up, cuts. The last thing
/// is that the process ends, even where the threads that serve are held up.
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
        () = tokio::time::sleep(DRAIN) => {}
    }
    let _ = phase.send(Phase::Cutting);
    // Long enough for the orderly way, by which the process ends before this.
    tokio::time::sleep(3 * LAST).await;
    std::process::exit(0);
}
