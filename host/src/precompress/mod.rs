//! `wasi-httpd precompress`: writes the variants of a directory's files that the file server sends to clients which accept them.
//!
//! 1. [`scan`] finds the files below the [`tree`], and what is at the places of their variants.
//! 2. [`plan`] decides which variants are wanted.
//! 3. [`write`](mod@write) writes them, in as many threads as there are processors, and [`record`] notes that; [`progress`] shows
//!    it.
//! 4. [`summary`] says what was done.

mod plan;
mod progress;
mod record;
mod scan;
mod summary;
mod tree;
mod write;

use crate::config::Precompress;
use crate::report::stderr;
use crate::signals::{self, Signal};
use anyhow::{Context as _, Result, bail};
use guest::encoding::Coding;
use plan::{Place, is_wanted};
use progress::Line;
use rustix::fs::{AtFlags, unlinkat};
use scan::{Scan, Source};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use summary::Summary;
use tree::Tree;
use write::{Ledger, Outcome, Progress, Stop};

/// Writes the variants, and says on standard output what was written. What could not be read is a line on standard error each.
pub fn precompress(config: &Precompress) -> Result<(String, ExitCode)> {
    signals::survive_file_limit_alone()?;
    let tree = Tree::open_root(&config.directory)?;
    let ledger = Arc::new(Ledger::new(tree).map_err(anyhow::Error::msg)?);
    let abandoned = Arc::clone(&ledger);
    signals::handle(move |mut signals| async move {
        let signal = signals.next().await;
        abandon(&abandoned, signal);
    })?;
    let scan = Scan::of(ledger.tree(), &config.codings);
    remove_left_behind(&ledger, &scan)?;
    let mut summary = Summary::default();
    let mut failures = scan.failures;
    let mut work = Vec::new();
    for source in &scan.sources {
        for &(coding, place) in &source.places {
            if !is_wanted(&source.version, place) {
                summary.current += usize::from(place != Place::Taken);
            } else if source.version.size >= config.min_size {
                work.push((source, coding, place));
            } else if matches!(place, Place::Variant(_)) {
                let variant = tree::variant(&source.path, coding);
                ledger.discard(&variant).with_context(|| cannot_remove(&ledger, &variant))?;
            }
        }
    }
    // The longest first: otherwise all processors but one would wait for it at the end.
    work.sort_by_key(|(source, ..)| std::cmp::Reverse(source.version.size));
    let stop = carry_out(config, &ledger, &work, &mut summary, &mut failures);
    let orphans = ledger.orphans();
    if config.remove {
        for orphan in &orphans {
            summary.removed +=
                usize::from(ledger.discard(orphan).with_context(|| cannot_remove(&ledger, orphan))?);
        }
    } else {
        summary.orphans = orphans.len();
    }
    let saved = ledger.save();
    for failure in &failures {
        stderr::complain(&format!("warning: {failure}"));
    }
    match (stop, saved) {
        (Some(Stop(reason)), _) => bail!(
            "{reason}; {} variants were written before, and nothing else was changed",
            summary.written()
        ),
        (None, Err(reason)) => bail!(reason),
        (None, Ok(())) => {}
    }
    let status = if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    Ok((summary.text(), status))
}

/// Ends the process after a signal. This runs on a thread of its own.
fn abandon(ledger: &Ledger, signal: Signal) -> ! {
    let written = ledger.abandon();
    Line::new().clear();
    stderr::complain(&format!(
        "stopped by a signal: {written} variants were written, and nothing is left half-written; run this again for the others"
    ));
    std::process::exit(signal.exit_status().into())
}

fn cannot_remove(ledger: &Ledger, path: &guest::path::RelativePath) -> String {
    format!("cannot remove {}", ledger.tree().shown(path))
}

/// Removes the temporary files of a run that was killed.
fn remove_left_behind(ledger: &Ledger, scan: &Scan) -> Result<()> {
    for path in &scan.left_behind {
        let removed = ledger
            .tree()
            .parent(path)
            .and_then(|parent| unlinkat(parent, path.file_name(), AtFlags::empty()));
        removed.with_context(|| cannot_remove(ledger, path))?;
    }
    Ok(())
}

/// Makes all variants, in threads of their own. Gives why it has stopped early.
fn carry_out(
    config: &Precompress,
    ledger: &Ledger,
    work: &[(&Source, Coding, Place)],
    summary: &mut Summary,
    failures: &mut Vec<String>,
) -> Option<Stop> {
    let (line, progress, next) = (Line::new(), Progress::default(), AtomicUsize::new(0));
    let bytes = work.iter().map(|(source, ..)| source.version.size).sum();
    let (done, outcomes) = mpsc::channel();
    let mut stop = None;
    std::thread::scope(|scope| {
        for _ in 0..config.jobs.min(work.len()) {
            let (done, progress, next) = (done.clone(), &progress, &next);
            scope.spawn(move || {
                while !progress.stops.load(Ordering::Relaxed)
                    && let Some(&(source, coding, place)) = work.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let outcome = ledger.write(source, (coding, place), config.effort, progress);
                    // The receiver lives until all threads have ended.
                    let _ = done.send((source, coding, outcome));
                }
            });
        }
        drop(done);
        let mut made = 0;
        loop {
            let outcome = match outcomes.recv_timeout(progress::INTERVAL) {
                Ok((source, coding, outcome)) => {
                    made += 1;
                    outcome.map(|outcome| (source, coding, outcome))
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    line.show((progress.read.load(Ordering::Relaxed), bytes), (made, work.len()));
                    continue;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            };
            match outcome {
                Ok((source, coding, Outcome::Written(size))) => summary.add(source, coding, size),
                Ok((.., Outcome::NotSmaller)) => summary.not_smaller += 1,
                Ok((.., Outcome::Gone)) => {}
                Ok((.., Outcome::Failed(reason))) => {
                    // Once for all codings.
                    if !failures.contains(&reason) {
                        failures.push(reason);
                    }
                }
                Err(reason) => {
                    progress.stops.store(true, Ordering::Relaxed);
                    stop.get_or_insert(reason);
                }
            }
        }
    });
    line.clear();
    stop
}
