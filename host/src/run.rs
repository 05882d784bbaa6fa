//! `wasi-httpd run`: runs a command, from its configuration to its exit status.

use crate::component::interface::Edition;
use crate::component::load::Loader;
use crate::component::{Purpose, one_line, trap};
use crate::config::{Confinement, Run};
use crate::engine::{self, Resources};
use crate::instance::{FileMemory, State, Stdio, Template};
use crate::link::Linkers;
use crate::lockdown::Lockdown;
use crate::lockdown::privileges::refuse_root;
use crate::prepare::{self, Opened};
use crate::report::stderr;
use crate::report::terminal::{self, ReaderGone};
use crate::sandbox::scratch;
use crate::signals::{self, Signals};
use anyhow::{Context as _, Result, anyhow, bail};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::runtime;
use tokio::sync::oneshot;
use tracing::warn;
use wasmtime::Store;
use wasmtime::component::Accessor;
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::{p2, p3};

/// The status that a shell shows for a program that SIGPIPE ended: 128 plus the signal's number.
const PIPE_STATUS: u8 = 141;

/// How a command ended.
enum End {
    /// With an exit status.
    Status(u8),
    /// It wrote to a pipe whose reader is gone.
    ReaderGone,
    /// It trapped, or failed in another way.
    Failed(String),
}

/// A command, ready to be instantiated.
enum Command {
    V02(p2::bindings::CommandPre<State>),
    V03(p3::bindings::CommandPre<State>),
}

/// Runs a command until it ends, its time is up or a signal ends the process.
pub fn run(config: &Run) -> Result<ExitCode> {
    stderr::show_warnings();
    let Confinement { lockdown, allow_root } = config.confinement;
    let ports: Vec<_> = config.grants.network.listen.iter().map(|address| address.port).collect();
    let mut lockdown = lockdown.then(|| Lockdown::begin(&ports));
    let loader = Loader::new(&config.components)?;
    let opened = prepare::open(&loader, &config.guest, Purpose::Run, &config.grants, &config.limits)?;
    let resources = Resources::open();
    // The limit of a control group is read from files.
    let workers = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    if !allow_root {
        let mut addresses = opened.sandbox.network().addresses_to_listen();
        refuse_root(addresses.find(|address| !address.ip().is_loopback()))?;
    }
    if let Some(lockdown) = &mut lockdown {
        let mut granted = opened.granted();
        granted.cache.extend(resources.cache().map(Path::to_owned));
        lockdown.restrict(granted);
    }
    let Opened { guest, sizes, sandbox } = opened;
    let edition = guest.edition(Purpose::Run);
    let engine = engine::first(edition, config.limits.instances, &sizes, &resources)?;
    let component = Linkers::new(edition, &engine)?.component(&guest)?;
    let command = match edition {
        Edition::V03 => p3::bindings::CommandPre::new(component).map(Command::V03),
        Edition::V02 | Edition::Unknown => p2::bindings::CommandPre::new(component).map(Command::V02),
    };
    let command = command
        .map_err(|error| anyhow!("{}", one_line(&error)))
        .with_context(|| guest.exports_other_types())?;
    let stdio = Stdio::Inherited(config.arguments.clone());
    let template = Arc::new(Template::new(sandbox, stdio, Arc::new(FileMemory::default())));
    // Standard error is the guest's, so that only a wall that is missing is said.
    if let Some(walls) = lockdown.map(Lockdown::finish).filter(|walls| !walls.stand()) {
        warn!("{walls}");
    }
    stderr::start();
    engine::start_ticking(&engine)?;
    let runtime = runtime::Builder::new_multi_thread()
        .enable_io()
        .enable_time()
        .worker_threads(workers.get())
        .build()
        .context("cannot start the threads of the guest")?;
    let (started, starts) = oneshot::channel();
    let time = config.time;
    let name = config.guest.to_string();
    signals::handle(move |signals| watch(signals, starts, time, name))?;
    let store = template.store(&engine, template.state(), State::allowance);
    let status = runtime.block_on(start(&command, store, &template, started))?;
    // Does not wait for operations that the guest left behind, such as a read of standard input.
    runtime.shutdown_background();
    Ok(ExitCode::from(status))
}

/// Ends the process at a signal, at once as for a native command, or when the guest's time is up. This runs on a thread
/// of its own, because the guest can block all others with files and pipes.
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
        signal = signals.next() => {
            scratch::remove_all();
            std::process::exit(signal.exit_status().into());
        }
        time = time_is_up => {
            let seconds = time.as_secs();
            stderr::complain(&format!("the guest `{name}` was stopped after {seconds} s; --timeout allows more"));
            stderr::finish();
            scratch::remove_all();
            std::process::exit(1);
        }
    }
}

async fn start(
    command: &Command,
    store: Store<State>,
    template: &Template,
    started: oneshot::Sender<()>,
) -> Result<u8> {
    // The thread that watches ends with the process.
    let _ = started.send(());
    let end = run_once(command, store).await;
    // After a denial, guests often trap or print an error without a cause, so the cause is added here. This is not needed
    // if a line that names the flag was printed already.
    let denial = template.sandbox().network().denials.first().filter(|_| !terminal::flag_was_named());
    match (end, denial) {
        (End::Status(0), _) => Ok(0),
        (End::ReaderGone, _) => Ok(PIPE_STATUS),
        (End::Status(status), None) => Ok(status),
        (End::Status(status), Some(denial)) => {
            stderr::complain(&denial);
            Ok(status)
        }
        (End::Failed(why), None) => bail!("the guest failed: {why}"),
        (End::Failed(why), Some(denial)) => bail!("the guest failed: {why}; {denial}"),
    }
}

async fn run_once(command: &Command, mut store: Store<State>) -> End {
    let running = async {
        match command {
            Command::V02(command) => {
                let command = command.instantiate_async(&mut store).await?;
                command.wasi_cli_run().call_run(&mut store).await
            }
            Command::V03(command) => {
                let command = command.instantiate_async(&mut store).await?;
                let run = async |store: &Accessor<State>| command.wasi_cli_run().call_run(store).await;
                store.run_concurrent(run).await.flatten()
            }
        }
    };
    match running.await {
        Ok(Ok(())) => End::Status(0),
        Ok(Err(())) => End::Status(1),
        Err(error) => {
            if let Some(&I32Exit(status)) = error.downcast_ref() {
                // The exit status of a process is at most 255.
                End::Status(u8::try_from(status).unwrap_or(u8::MAX))
            } else if error.downcast_ref::<ReaderGone>().is_some() {
                End::ReaderGone
            } else {
                End::Failed(trap::explain(&error))
            }
        }
    }
}
