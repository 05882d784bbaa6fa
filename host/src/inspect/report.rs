//! The report on one component: what it is, and the verdict on each import and function.

use super::knowledge::{self, Way};
use super::text::Text;
use super::verdicts::{Judged, command, purposes};
use crate::component::anatomy;
use crate::component::interface::Edition;
use crate::component::kind::Kind;
use crate::component::needs::Needs;
use crate::component::{Guest, Purpose};
use crate::config::grants::Grants;
use crate::config::limits::Limits;
use crate::engine::sizes::Sizes;
use crate::link;
use serde::Serialize;

/// The whole report on a component.
#[derive(Debug, Serialize)]
pub(super) struct Report {
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
    /// What the guest can do with it; `None` for an interface that is not part of WASI.
    meaning: Option<&'static str>,
    /// The functions that the component uses of it.
    functions: Vec<String>,
}

impl Report {
    pub(super) fn new(guest: &Guest, grants: &Grants, limits: &Limits) -> Self {
        let anatomy = &guest.anatomy;
        let Needs { core_instances, memories, memory, tables, table, .. } = anatomy.needs;
        let kind = match guest.kind {
            Kind::Component { http: Some(_), command: Some(_) } => "both",
            Kind::Component { http: Some(_), command: None } => "http-server",
            Kind::Component { http: None, command: Some(_) } => "command",
            Kind::Component { http: None, command: None } => "neither",
            Kind::Preview1 { .. } | Kind::Module => "core-module",
        };
        let (http, cli) = match guest.kind {
            Kind::Component { http, command } => (http, command),
            Kind::Preview1 { .. } | Kind::Module => (None, None),
        };
        let too_large = Sizes::new(limits, &anatomy.needs).err().map(|error| error.to_string());
        let way = |purpose| Way { purpose, edition: guest.edition(purpose), grants };
        let start = |&purpose: &Purpose| Start {
            command: command(purpose),
            problem: guest.misfit(purpose).or_else(|| too_large.clone()),
            imports: anatomy.imports.iter().map(|import| Judged::of(import, way(purpose))).collect(),
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
            command_version: cli.map(Edition::version),
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
            starts: purposes(guest.kind).iter().map(start).collect(),
            remedy: guest.kind.remedy(),
        }
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = Text::new();
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
                text.import("", &import.name, import.meaning, None);
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
                text.judged(import.meaning, judged);
            }
        }
        text.finish()
    }
}
