//! `wasi-httpd inspect`: the kind of a component, its imports, and which of them would be granted with the flags given.
//! The component is neither compiled nor run.
//!
//! [`knowledge`] describes each interface of WASI 0.2, and [`functions`] lists the functions that the host has.

mod functions;
mod knowledge;

use crate::component::anatomy;
use crate::component::interface::Edition;
use crate::component::kind::Kind;
use crate::component::needs::Needs;
use crate::component::{Guest, Purpose};
use crate::config::Inspect;
use crate::config::grants::Grants;
use crate::config::limits::Limits;
use crate::engine::sizes::Sizes;
use crate::link;
use crate::report::text::printable;
use anyhow::{Context as _, Result};
use knowledge::Verdict;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write as _;

/// The whole report on a component.
#[derive(Debug, Serialize)]
struct Report {
    /// The component's name in messages.
    name: String,
    /// The size of the file, in bytes.
    size: usize,
    kind: &'static str,
    /// The kind in words, with the version of WASI.
    description: String,
    /// The version of WASI of its server and of its command: "0.2", "0.3" or "unknown".
    http_version: Option<&'static str>,
    command_version: Option<&'static str>,
    exports: Vec<String>,
    imports: Vec<Import>,
    needs: ReportedNeeds,
    /// How it is run where it serves, in words.
    runs: Option<String>,
    /// One entry for each way to start it.
    starts: Vec<Start>,
    /// The command that makes a component of a core module.
    remedy: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct ReportedNeeds {
    memory_bytes: u64,
    memories: u32,
    tables: u32,
    largest_table_elements: u64,
    core_instances: u32,
}

/// The result of starting it in one way.
#[derive(Debug, Serialize)]
struct Start {
    command: &'static str,
    /// Why it would not start, apart from missing imports.
    problem: Option<String>,
    imports: Vec<Judged>,
}

#[derive(Debug, Serialize)]
struct Import {
    name: String,
    /// What the guest can do with it; `None` for an interface that is not part of WASI 0.2.
    meaning: Option<&'static str>,
    /// The functions that the component uses of it.
    functions: Vec<String>,
}

/// An import and its verdict.
#[derive(Debug, Serialize)]
struct Judged {
    name: String,
    #[serde(flatten)]
    verdict: Verdict,
}

/// Prints the report on a component.
pub fn inspect(config: &Inspect) -> Result<()> {
    let guest = Guest::read(config.guest.as_deref())?;
    let report = Report::new(&guest, &config.grants, &config.limits);
    let text = if config.json {
        let text = serde_json::to_string_pretty(&report).context("cannot write the report as JSON")?;
        escaped(&text)
    } else {
        report.to_text()
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
    let refused = guest.anatomy.imports.iter().filter_map(|import| {
        match knowledge::verdict(import, Purpose::Serve, grants) {
            Verdict::Refused { flag: Some(flag), .. } => Some(format!("{} ({flag} allows it)", import.name)),
            _ => None,
        }
    });
    let refused: Vec<_> = refused.collect();
    (!refused.is_empty()).then(|| format!("Not granted to {}: {}", guest.name(), refused.join(", ")))
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

impl Report {
    fn new(guest: &Guest, grants: &Grants, limits: &Limits) -> Self {
        let anatomy = &guest.anatomy;
        let Needs { core_instances, memories, memory, tables, table, .. } = anatomy.needs;
        let (kind, purposes): (_, &[Purpose]) = match guest.kind {
            Kind::Component { http: Some(_), command: Some(_) } => ("both", &[Purpose::Serve, Purpose::Run]),
            Kind::Component { http: Some(_), command: None } => ("http-server", &[Purpose::Serve]),
            Kind::Component { http: None, command: Some(_) } => ("command", &[Purpose::Run]),
            Kind::Component { http: None, command: None } => ("neither", &[]),
            Kind::Preview1 { .. } | Kind::Module => ("core-module", &[]),
        };
        let (http, command) = match guest.kind {
            Kind::Component { http, command } => (http, command),
            Kind::Preview1 { .. } | Kind::Module => (None, None),
        };
        let too_large = Sizes::new(limits, &anatomy.needs).err().map(|error| error.to_string());
        let judge = |import: &anatomy::Import, purpose| Judged {
            name: import.name.clone(),
            verdict: knowledge::verdict(import, purpose, grants),
        };
        let start = |&purpose: &Purpose| Start {
            command: match purpose {
                Purpose::Serve => "wasi-httpd",
                Purpose::Run => "wasi-httpd run",
            },
            problem: guest.misfit(purpose).or_else(|| too_large.clone()),
            imports: anatomy.imports.iter().map(|import| judge(import, purpose)).collect(),
        };
        let import = |import: &anatomy::Import| Import {
            name: import.name.clone(),
            meaning: knowledge::meaning(&import.name),
            functions: import.functions.clone(),
        };
        Self {
            name: guest.name(),
            size: guest.bytes.len(),
            kind,
            description: guest.kind.to_string(),
            http_version: http.map(Edition::version),
            command_version: command.map(Edition::version),
            exports: anatomy.exports.clone(),
            imports: anatomy.imports.iter().map(import).collect(),
            needs: ReportedNeeds {
                memory_bytes: memory,
                memories,
                tables,
                largest_table_elements: table,
                core_instances,
            },
            runs: http.filter(|&edition| edition != Edition::Unknown).map(|_| link::explain(guest)),
            starts: purposes.iter().map(start).collect(),
            remedy: guest.kind.remedy(),
        }
    }

    fn to_text(&self) -> String {
        let mut text = Text(String::new());
        text.line(0, &format!("{}: {}, {} bytes", self.name, self.description, self.size));
        let needs = &self.needs;
        text.line(
            1,
            &format!(
                "one instance begins with {} KiB of memory, {} core instances and tables of up to {} elements",
                needs.memory_bytes.div_ceil(1024),
                needs.core_instances,
                needs.largest_table_elements
            ),
        );
        if let Some(runs) = &self.runs {
            text.line(1, &format!("it runs {runs}"));
        }
        if let Some(remedy) = self.remedy {
            text.line(1, remedy);
        }
        text.line(0, "");
        text.line(0, if self.exports.is_empty() { "exports nothing" } else { "exports" });
        for export in &self.exports {
            text.line(1, export);
        }
        if self.starts.is_empty() {
            text.line(0, "");
            text.line(0, if self.imports.is_empty() { "imports nothing" } else { "imports" });
            for import in &self.imports {
                text.import("", import, None);
            }
        }
        for Start { command, problem, imports } in &self.starts {
            text.line(0, "");
            if let Some(problem) = problem {
                text.line(0, &format!("`{command}` would not start it: {problem}"));
            }
            let rest = if imports.is_empty() { ": nothing" } else { "" };
            text.line(0, &format!("imports, with `{command}` as called{rest}"));
            for (import, judged) in self.imports.iter().zip(imports) {
                let (verdict, note, flag) = match &judged.verdict {
                    Verdict::Granted { note } => ("granted  ", note, None),
                    Verdict::Refused { note, flag } => ("refused  ", note, *flag),
                    Verdict::Lacking { note } => ("lacking  ", note, None),
                };
                let note = match flag {
                    Some(flag) => format!("{note}; {flag} allows it"),
                    None => note.clone(),
                };
                text.import(verdict, import, Some(&note).filter(|note| !note.is_empty()));
            }
        }
        text.0
    }
}

/// The report as text. Control characters in names are escaped.
struct Text(String);

impl Text {
    fn line(&mut self, level: usize, text: &str) {
        let _ = writeln!(self.0, "{:1$}{2}", "", level * 2, printable(text.as_bytes()));
    }

    fn import(&mut self, verdict: &str, import: &Import, note: Option<&String>) {
        self.line(1, &format!("{verdict}{}", import.name));
        let indent = " ".repeat(verdict.len());
        if let Some(meaning) = import.meaning {
            self.line(1, &format!("{indent}to {meaning}"));
        }
        if let Some(note) = note {
            self.line(1, &format!("{indent}({note})"));
        }
    }
}
