//! The exported `wasi:http/incoming-handler`, and the core function behind it.

use super::Misfit;
use super::canon::Lifted;
use super::core_instance::{CoreExport, CoreFunction};
use super::graph::{Function, Graph, InstanceDefinition};
use crate::component::interface::{Edition, IMPLEMENTED, InterfaceName};

/// The function that handles a request.
pub struct Handler<'a> {
    /// The core export that is lifted.
    pub function: CoreExport<'a>,
    /// The lifting.
    pub lifted: &'a Lifted<'a>,
}

/// Finds the handler. It must be the only export and the only function that is lifted.
pub fn find<'a>(graph: &'a Graph<'a>) -> Result<Handler<'a>, Misfit> {
    let mut exports = graph.exports.iter();
    let found = exports.find_map(|(name, instance)| Some((handler(name)?, *name, instance)));
    let (parsed, name, instance) = found.ok_or(Misfit::NoHandler)?;
    if let Some((other, _)) = graph.exports.iter().find(|(other, _)| *other != name) {
        return Err(Misfit::OtherExport((*other).to_owned()));
    }
    if parsed.version > Some(IMPLEMENTED) {
        return Err(Misfit::Newer(name.to_owned()));
    }
    let misfit = || Misfit::Handler(name.to_owned());
    let Some(InstanceDefinition::Functions(functions)) = instance else { return Err(misfit()) };
    let Some(&Function::Lifted(index)) = functions.get("handle") else { return Err(misfit()) };
    if functions.len() != 1 {
        return Err(misfit());
    }
    if graph.lifted.len() != 1 {
        return Err(Misfit::OtherLifted);
    }
    let lifted = graph.lifted.get(index).ok_or_else(misfit)?;
    match lifted.function {
        CoreFunction::Export(function) => Ok(Handler { function, lifted }),
        CoreFunction::Lowered(_) | CoreFunction::Drop(_) => Err(Misfit::HandlerOrigin),
    }
}

/// Parses the name of an export, if it is that of a handler.
fn handler(name: &str) -> Option<InterfaceName<'_>> {
    InterfaceName::parse(name)
        .filter(|parsed| parsed.is("wasi:http", "incoming-handler") && parsed.edition() == Edition::V02)
}
