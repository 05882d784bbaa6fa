//! Running a command, from the configuration to its exit status.

use crate::component::{Purpose, one_line};
use crate::config::Run;
use crate::diagnostics;
use crate::prepare::{Prepared, prepare};
use crate::sandbox::{State, Streams};
use crate::signals::{self, Signals};
use crate::terminal::{self, ReaderGone};
use anyhow::{Context as _, Result, bail};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::CommandPre;

/// What a shell shows of a program that SIGPIPE has ended: 128 and its number.
const PIPE_STATUS: u8 = 141;

/// How a command ended.
enum End {
    /// With an exit status of its own.
    Status(u8),
    /// Nobody read its output any more.
    ReaderGone,
    /// It trapped, or something like it.
    Failed(String),
}

/// Runs a command until it ends or the process is told to.
pub fn run(config: &Run) -> Result<ExitCode> {
    diagnostics::start();
    let runtime = runtime::Builder::new_multi_thread()
        .enable_io()
        .enable_time()
        .build()
        .context("cannot start the threads of the guest")?;
    let (started, starts) = oneshot::channel();
    let time = config.time;
    let name = config.guest.display().to_string();
    signals::handle(move |signals| watch(signals, starts, time, name))?;
    let status = runtime.block_on(start(config, started))?;
    // What the guest left behind, such as a name that is being looked up, is not waited for.
    runtime.shutdown_background();
    Ok(ExitCode::from(status))
}

/// Ends the process when it is told to, at once as a native command would end, or when the guest's time is up. The
/// guest may hold up its own thread with a file or a pipe; this one is another.
async fn watch(mut signals: Signals, starts: oneshot::Receiver<()>, time: Option<Duration>, name: String) {
    let time_is_up = async {
        match (starts.await, time) {
            (Ok(()), Some(time)) => {
                tokio::time::sleep(time).await;
                time
            }
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        signal = signals.next() => std::process::exit(signal.exit_status().into()),
        time = time_is_up => {
            let seconds = time.as_secs();
            crate::complain(&format!("the guest `{name}` was stopped after {seconds} s; --timeout allows more"));
            std::process::exit(1);
        }
    }
}

async fn start(config: &Run, started: oneshot::Sender<()>) -> Result<u8> {
    let streams = Streams::Inherited(config.arguments.clone());
    let Prepared { component, sandbox } =
        prepare(Some(&config.guest), Purpose::Run, &config.grants, &config.limits, streams)?;
    let sandbox = Arc::new(sandbox);
    let store = sandbox.store(component.engine());
    let command = CommandPre::new(component)?;

    let _ = started.send(());
    let end = run_once(&command, store).await;
    // A guest that was denied something often says no more than that, or traps. One that knows this host says it all.
    let refusal = sandbox.network().refusals.first().filter(|_| !terminal::flag_was_named());
    match (end, refusal) {
        (End::Status(0), _) => Ok(0),
        (End::ReaderGone, _) => Ok(PIPE_STATUS),
        (End::Status(status), None) => Ok(status),
        (End::Status(status), Some(refusal)) => {
            crate::complain(&refusal.to_string());
            Ok(status)
        }
        (End::Failed(why), None) => bail!("the guest failed: {why}"),
        (End::Failed(why), Some(refusal)) => bail!("the guest failed: {why}; {refusal}"),
    }
}

async fn run_once(command: &CommandPre<State>, mut store: Store<State>) -> End {
    let running = async {
        let command = command.instantiate_async(&mut store).await?;
        command.wasi_cli_run().call_run(&mut store).await
    };
    match running.await {
        Ok(Ok(())) => End::Status(0),
        Ok(Err(())) => End::Status(1),
        Err(error) => {
            if let Some(&I32Exit(status)) = error.downcast_ref() {
                // What a process can give; WASI gives no more either.
                End::Status(u8::try_from(status).unwrap_or(u8::MAX))
            } else if error.downcast_ref::<ReaderGone>().is_some() {
                End::ReaderGone
            } else {
                End::Failed(one_line(&error))
            }
        }
    }
}
