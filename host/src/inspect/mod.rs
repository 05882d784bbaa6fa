//! `wasi-httpd inspect`: the kind of a component, its imports, and which of them would be granted with the flags given.
//! The component is neither compiled nor run.
//!
//! - [`report`]: one component; [`comparison`]: two of them; [`wit`]: the interfaces of one in WIT
//! - [`verdicts`]: what is said of an import and its functions; [`text`]: how that looks
//! - [`knowledge`]: each interface of WASI; [`functions`]: those functions that the host has

mod comparison;
mod functions;
mod knowledge;
mod report;
mod text;
mod verdicts;
mod wit;

use crate::component::load::Loader;
use crate::component::{Guest, Purpose, Role};
use crate::config::Inspect;
use crate::config::grants::Grants;
use anyhow::{Context as _, Result};
use comparison::Comparison;
use knowledge::{Verdict, Way};
use report::Report;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write as _;

/// Prints the report on a component, its WIT, or what has changed from it to another one.
pub fn inspect(config: &Inspect) -> Result<()> {
    let loader = Loader::new(&config.components)?;
    let guest = match &config.guest {
        None => Guest::built_in(false)?,
        Some(location) => loader.load(location, Role::Guest)?,
    };
    let text = match &config.next {
        Some(next) => {
            let comparison = Comparison::new(&guest, &loader.load(next, Role::Guest)?, &config.grants);
            if config.json { json(&comparison)? } else { comparison.to_text() }
        }
        None if config.wit => wit::of(&guest)?,
        None => {
            let report = Report::new(&guest, &config.grants, &config.limits);
            if config.json { json(&report)? } else { report.to_text() }
        }
    };
    // A closed pipe is no failure: `wasi-httpd inspect | head` has read what it wanted.
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Says which imports of a guest that serves would be granted by flags that were not given; `None` if there are none.
pub fn ungranted(guest: &Guest, grants: &Grants) -> Option<String> {
    let way = Way { purpose: Purpose::Serve, edition: guest.edition(Purpose::Serve), grants };
    let refused = guest.anatomy.imports.iter().filter_map(|import| match knowledge::verdict(import, way) {
        Verdict::Refused { flag: Some(flag), .. } => {
            let (flag, value) = flag.split_once(' ').unwrap_or((flag, ""));
            let allows = grants.holder.grant(flag, value).map(|grant| format!("{grant} allows it"));
            let allows = allows.unwrap_or_else(|| "no grant of --middleware allows it".to_owned());
            Some(format!("{} ({allows})", import.name))
        }
        _ => None,
    });
    let refused: Vec<_> = refused.collect();
    (!refused.is_empty()).then(|| format!("Not granted to {}: {}", guest.name(), refused.join(", ")))
}

fn json(report: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(report).context("cannot write the report as JSON")?;
    Ok(escaped(&text))
}

/// JSON with a final newline and no control characters. JSON itself requires escapes for C0 only; this escapes DEL and C1
/// as well, which terminals interpret.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}' => _ = write!(text, "\\u{:04x}", u32::from(character)),
            character => text.push(character),
        }
    }
    text.push('\n');
    text
}
