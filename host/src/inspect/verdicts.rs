//! The verdicts on an import and its functions, for one way to start the component.

use super::knowledge::{self, Verdict, Way};
use crate::component::Purpose;
use crate::component::anatomy::Import;
use crate::component::kind::Kind;
use serde::Serialize;

/// An import and its verdict.
#[derive(Debug, Serialize)]
pub(super) struct Judged {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) verdict: Verdict,
    /// The verdicts on its functions that the component uses.
    pub(super) functions: Vec<JudgedFunction>,
}

/// A function of an import and its verdict.
#[derive(Debug, Serialize)]
pub(super) struct JudgedFunction {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) verdict: Verdict,
}

impl Judged {
    pub(super) fn of(import: &Import, way: Way<'_>) -> Self {
        let (verdict, functions) = knowledge::verdicts(import, way);
        let named = import.functions.iter().zip(functions);
        let functions = named.map(|(name, verdict)| JudgedFunction { name: name.clone(), verdict }).collect();
        Self { name: import.name.clone(), verdict, functions }
    }

    /// The functions whose verdict is not that of the interface, in groups of the same verdict.
    pub(super) fn exceptions(&self) -> Vec<(&Verdict, Vec<&str>)> {
        let mut groups: Vec<(&Verdict, Vec<&str>)> = Vec::new();
        for JudgedFunction { name, verdict } in &self.functions {
            if *verdict == self.verdict {
                continue;
            }
            match groups.iter_mut().find(|(known, _)| *known == verdict) {
                Some((_, names)) => names.push(name),
                None => groups.push((verdict, vec![name])),
            }
        }
        groups
    }
}

/// The ways to start a component of this kind.
pub(super) fn purposes(kind: Kind) -> &'static [Purpose] {
    match kind {
        Kind::Component { http: Some(_), command: Some(_) } => &[Purpose::Serve, Purpose::Run],
        Kind::Component { http: Some(_), command: None } => &[Purpose::Serve],
        Kind::Component { http: None, command: Some(_) } => &[Purpose::Run],
        Kind::Component { http: None, command: None } | Kind::Preview1 { .. } | Kind::Module => &[],
    }
}

/// The command that starts a component in this way.
pub(super) fn command(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Serve => "wasi-httpd",
        Purpose::Run => "wasi-httpd run",
    }
}
