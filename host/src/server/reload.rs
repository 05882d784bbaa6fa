//! Replacing sites and certificates while the server runs: at SIGHUP, and when files change. SIGHUP also opens the access log
//! again.
//!
//! A thread of its own does all of it, because a file system that hangs would block one that serves. It has the lowest priority,
//! so that what it compiles does not slow down requests. Either everything that was read is right, and takes the place of what
//! was there at once, or nothing changes and a warning says why.

use super::open::{check_directories, give_rules, refuse_in_clear, warn_of_missing};
use crate::app::build::{self, Builder, Built};
use crate::app::sites::Live;
use crate::component::load::Loader;
use crate::component::location::Location;
use crate::config::Serve;
use crate::config::site::Site;
use crate::config::sources::Sources;
use crate::config::tls::{self, Pair, Tls};
use crate::http::shutdown::Phase;
use crate::net::tls::store::{Choice, Store};
use crate::report::access_log::AccessLog;
use crate::report::{metrics, stderr};
use crate::signals::{self, Hangups};
use crate::site::rules::RuleFiles;
use crate::watch::Files;
use anyhow::{Context as _, Result, anyhow, bail};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use tokio::sync::watch;
use tracing::warn;

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// How many generations of sites may be alive. Each that still answers requests holds its components and directories.
const MAX_GENERATIONS: usize = 4;

/// How often it is looked whether one of too many generations has ended.
const POLL: Duration = Duration::from_millis(100);

/// The lowest priority of a thread (`nice(2)`): it has what others leave, and a sixtieth of a processor at least.
const NICE: i32 = 19;

/// The files of certificates, as they were when they were read.
pub(super) struct PairFiles {
    pairs: Vec<Pair>,
    files: Files,
}

impl PairFiles {
    /// The files of these pairs, which are about to be read.
    pub(super) fn new(pairs: Vec<Pair>) -> Self {
        Self { files: Files::new(pairs.iter().flat_map(Pair::paths)), pairs }
    }
}

/// Certificates that may be replaced.
pub(super) struct Certificates {
    store: Arc<Store>,
    from: PairFiles,
}

impl Certificates {
    /// Those that were read from these files.
    pub(super) fn new(store: Arc<Store>, from: PairFiles) -> Self {
        Self { store, from }
    }

    /// What has to stay readable.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        self.from.files.directories()
    }

    fn have_changed(&mut self) -> bool {
        self.from.files.have_changed()
    }

    /// Reads them again.
    fn reload(&self) {
        let read = Choice::read(&self.from.pairs);
        metrics::Reload::Certificates.count(read.is_ok());
        match read {
            Ok((choice, warnings)) => {
                self.store.replace(choice);
                stderr::line("Certificates were read again");
                for warning in warnings {
                    warn!("{warning}");
                }
            }
            Err(error) => warn!("certificates stay as they are: {error:#}"),
        }
    }
}

/// What replaces sites and certificates.
pub(super) struct Reloader {
    pub(super) sources: Sources,
    /// The configuration as it was given last.
    pub(super) given: Serve,
    /// Whether listings are on by default.
    pub(super) lists: bool,
    pub(super) loader: Loader,
    pub(super) builder: Builder,
    pub(super) sites: Arc<Live>,
    pub(super) certificates: Option<Certificates>,
    /// The files of the configuration and of components, where they are watched.
    pub(super) watched: Option<Files>,
    /// The files of rules.
    pub(super) rules: Vec<RuleFiles>,
    /// The listener at which passwords could be read on their way.
    pub(super) in_clear: Option<String>,
}

/// The files that a server is made from, apart from certificates and content. A component in a registry does not change before
/// a reload.
pub(super) fn made_from(sources: &Sources, config: &Serve, loader: &Loader) -> Vec<PathBuf> {
    let locations = config.sites.iter().flat_map(Site::locations);
    let files = locations.filter_map(Location::file).flat_map(|file| loader.files_of(file));
    let passwords = config.sites.iter().filter_map(|site| site.login.file.clone());
    files.chain(passwords).chain(sources.file().map(Path::to_owned)).collect()
}

impl Reloader {
    fn run(mut self, asked: &Receiver<()>, phase: &watch::Receiver<Phase>) {
        loop {
            match asked.recv_timeout(INTERVAL) {
                Ok(()) => {
                    // Several signals are one: all that they ask for is done after the last of them.
                    while asked.try_recv().is_ok() {}
                    if *phase.borrow() >= Phase::Draining {
                        return;
                    }
                    self.reload_all();
                }
                Err(RecvTimeoutError::Timeout) if self.watched.as_mut().is_some_and(Files::have_changed) => {
                    self.reload_all();
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.look_at_certificates();
                    self.look_at_rules();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn look_at_certificates(&mut self) {
        if let Some(certificates) = &mut self.certificates
            && certificates.have_changed()
        {
            certificates.reload();
        }
    }

    fn look_at_rules(&mut self) {
        // Each has to be looked at to know whether it has settled.
        if !self.rules.iter_mut().fold(false, |changed, rules| rules.have_changed() | changed) {
            return;
        }
        self.wait_for_generations();
        let replaced = self.replace_sites(self.given.clone());
        metrics::Reload::Rules.count(replaced.is_ok());
        match replaced {
            Ok(()) => stderr::line("Rules were read again"),
            Err(error) => warn!("rules stay as they are: {error:#}"),
        }
    }

    fn reload_all(&mut self) {
        self.wait_for_generations();
        let replaced = self.replace_all();
        metrics::Reload::Configuration.count(replaced.is_ok());
        match replaced {
            Ok(()) => stderr::line(&format!("Reloaded {}", sites(&self.given))),
            Err(error) => warn!("nothing was reloaded, and the server goes on as it was: {error:#}"),
        }
    }

    fn replace_all(&mut self) -> Result<()> {
        if let Some(watched) = &mut self.watched {
            watched.note();
        }
        let given = self.sources.load()?;
        let fixed = self.given.fixed_differences(&given);
        if let [first, rest @ ..] = &fixed[..] {
            let others = if rest.is_empty() { "" } else { " and others" };
            bail!("{first}{others} can be changed by a restart only");
        }
        check_directories(&given)?;
        let pairs = pairs(&given);
        let certificates = match &self.certificates {
            Some(old) => {
                let from = PairFiles::new(pairs.to_vec());
                Some((Certificates::new(Arc::clone(&old.store), from), Choice::read(pairs)?))
            }
            None => None,
        };
        let watched = self
            .watched
            .as_ref()
            .map(|files| files.replaced_by(made_from(&self.sources, &given, &self.loader)));
        self.replace_sites(given.clone())?;
        // From here on, nothing can fail.
        warn_of_missing(&given);
        if let Some((certificates, (choice, warnings))) = certificates {
            certificates.store.replace(choice);
            self.certificates = Some(certificates);
            for warning in warnings {
                warn!("{warning}");
            }
        }
        self.watched = watched;
        self.given = given;
        Ok(())
    }

    /// Replaces the sites by those of a configuration as it was given, or changes nothing.
    fn replace_sites(&mut self, mut config: Serve) -> Result<()> {
        if self.lists {
            config.list_by_default();
        }
        let rules = give_rules(&mut config)?;
        refuse_in_clear(&config, self.in_clear.as_deref())?;
        let opened = build::open(&config, &self.loader).map_err(|error| explain(error, &config))?;
        // Its threads have the priority of this one, unlike those that compiled at the start.
        let compilers = rayon::ThreadPoolBuilder::new().build().context("cannot start threads to compile")?;
        let Built { sites, how: _ } = compilers.install(|| self.builder.build(&config, opened))?;
        self.sites.replace(sites);
        self.rules = rules;
        Ok(())
    }

    /// Waits until there is room for one more generation. Certificates do not wait with it.
    fn wait_for_generations(&mut self) {
        if self.builder.generations().alive() < MAX_GENERATIONS {
            return;
        }
        warn!(
            "{MAX_GENERATIONS} configurations still answer requests; the next one waits until one of them has ended"
        );
        let mut polls = 0;
        while self.builder.generations().alive() >= MAX_GENERATIONS {
            std::thread::sleep(POLL);
            polls += 1;
            if POLL * polls >= INTERVAL {
                polls = 0;
                self.look_at_certificates();
            }
        }
    }
}

/// Says why something that is new cannot be opened.
fn explain(error: anyhow::Error, config: &Serve) -> anyhow::Error {
    let is_denied = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    if config.confinement.lockdown && error.chain().any(is_denied) {
        return anyhow!(
            "{error:#}; what is not beside what the server began with needs a restart, because of the lockdown"
        );
    }
    error
}

fn pairs(config: &Serve) -> &[Pair] {
    match &config.tls {
        Some(Tls { source: tls::Source::Files(pairs), .. }) => pairs,
        _ => &[],
    }
}

fn sites(config: &Serve) -> String {
    match config.sites.len() {
        1 => "1 site".to_owned(),
        count => format!("{count} sites"),
    }
}

/// Starts the thread that reloads. SIGHUP also has the file of `log` opened again. From now on, SIGHUP does not end the
/// process, unless its terminal is gone. This needs a runtime.
pub(super) fn start(reloader: Reloader, log: Option<AccessLog>, phase: watch::Receiver<Phase>) -> Result<()> {
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new().name("reload".to_owned());
    let run = move || {
        // Refused nowhere, and nothing depends on it.
        let _ = rustix::process::nice(NICE);
        reloader.run(&receiver, &phase);
    };
    thread.spawn(run).context("cannot start a thread for reloads")?;
    let mut hangups = Hangups::new()?;
    tokio::spawn(async move {
        loop {
            hangups.next().await;
            if hangups.terminal_is_gone() {
                signals::terminate();
                continue;
            }
            if let Some(log) = &log {
                log.reopen();
            }
            // The thread ends when the server drains.
            let _ = sender.send(());
        }
    });
    Ok(())
}
