//! Running a command, from the configuration to its exit status.

use crate::component::{Guest, Purpose, one_line};
use crate::config::Run;
use crate::engine::sizes::Sizes;
use crate::sandbox::{Sandbox, State, Streams};
use crate::terminal::{self, ReaderGone};
use crate::{diagnostics, engine, link, signals};
use anyhow::{Context as _, Result, anyhow, bail};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime;
use tracing::warn;
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
    /// Its time was up.
    TimeUp(Duration),
}

/// Runs a command until it ends or the process is told to.
pub fn run(config: &Run) -> Result<ExitCode> {
    diagnostics::start();
    let runtime = runtime::Builder::new_multi_thread()
        .enable_io()
        .enable_time()
        .build()
        .context("cannot start the threads of the guest")?;
    // A command that is told to end ends at once, as a native one would.
    signals::handle(|mut signals| async move {
        let signal = signals.next().await;
        std::process::exit(signal.exit_status().into());
    })?;
    let status = runtime.block_on(start(config))?;
    // What the guest left behind, such as a name that is being looked up, is not waited for.
    runtime.shutdown_background();
    Ok(ExitCode::from(status))
}

async fn start(config: &Run) -> Result<u8> {
    let guest = Guest::read(Some(&config.guest))?;
    guest.expect(Purpose::Run)?;
    let sizes = Sizes::new(&config.limits, &guest.anatomy.needs)
        .with_context(|| format!("{} is too large", guest.name()))?;
    let streams = Streams::Inherited(config.arguments.clone());
    let sandbox = Arc::new(Sandbox::new(&config.grants, &config.limits, &sizes, streams)?);
    let (engine, warning) = engine::new(config.limits.instances, &sizes)?;
    let component = guest.compile(&engine)?;
    let command = link::pre(&engine, &guest, &component).and_then(|pre| Ok(CommandPre::new(pre)?))?;
    engine::start_ticking(&engine)?;
    if let Some(warning) = warning {
        warn!("{warning}");
    }

    match run_once(&command, sandbox.store(&engine), config.time).await? {
        End::Status(0) => Ok(0),
        End::ReaderGone => Ok(PIPE_STATUS),
        End::Status(status) => {
            // A guest that was denied something often says no more than that. One that knows this host says it all.
            if let Some(refusal) = sandbox.network().refusals.first()
                && !terminal::flag_was_named()
            {
                crate::complain(&refusal.to_string());
            }
            Ok(status)
        }
        End::TimeUp(time) => {
            bail!("{} was stopped after {} s; --timeout allows more", guest.name(), time.as_secs())
        }
    }
}

async fn run_once(
    command: &CommandPre<State>,
    mut store: Store<State>,
    time: Option<Duration>,
) -> Result<End> {
    let running = async {
        let command = command.instantiate_async(&mut store).await?;
        command.wasi_cli_run().call_run(&mut store).await
    };
    let outcome = match time {
        None => running.await,
        Some(time) => match tokio::time::timeout(time, running).await {
            Ok(outcome) => outcome,
            Err(_) => return Ok(End::TimeUp(time)),
        },
    };
    match outcome {
        Ok(Ok(())) => Ok(End::Status(0)),
        Ok(Err(())) => Ok(End::Status(1)),
        Err(error) => {
            if let Some(&I32Exit(status)) = error.downcast_ref() {
                // What a process can give; WASI gives no more either.
                Ok(End::Status(u8::try_from(status).unwrap_or(u8::MAX)))
            } else if error.downcast_ref::<ReaderGone>().is_some() {
                Ok(End::ReaderGone)
            } else {
                Err(anyhow!("the guest failed: {}", one_line(&error)))
            }
        }
    }
}
