//! Nested components: wit-component wraps an exported interface into one that gives types and functions their names.

use super::Misfit;
use super::graph::{at, plain};
use std::collections::HashMap;
use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentOuterAliasKind, ComponentType, ComponentTypeRef,
    Encoding, Parser, Payload,
};

/// The functions that a nested component exports, each with the name of the import that it is. A nested component that
/// does more than passing functions on is a misfit.
pub fn passed_on(component: &[u8]) -> Result<HashMap<&str, &str>, Misfit> {
    // Of each function, the name under which it is imported.
    let mut functions = Vec::new();
    let mut exports = HashMap::new();
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::Version { encoding: Encoding::Component, .. }
            | Payload::CustomSection(_)
            | Payload::End(_) => {}
            Payload::ComponentTypeSection(types) => {
                for ty in types {
                    if let ComponentType::Resource { .. } = ty? {
                        return Err(Misfit::OwnResources);
                    }
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    let ComponentAlias::Outer { kind: ComponentOuterAliasKind::Type, .. } = alias? else {
                        return Err(Misfit::Nested("an alias that is not of a type"));
                    };
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    let import = import?;
                    match import.ty {
                        ComponentTypeRef::Func(_) => functions.push(plain(&import.name)?),
                        ComponentTypeRef::Type(_) => {}
                        _ => return Err(Misfit::Nested("an import that is not a function or type")),
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    let export = export?;
                    match export.kind {
                        ComponentExternalKind::Func => {
                            let import = *at(&functions, "function", export.index)?;
                            exports.insert(plain(&export.name)?, import);
                            // An export is a new entry of its index space.
                            functions.push(import);
                        }
                        ComponentExternalKind::Type => {}
                        _ => return Err(Misfit::Nested("an export that is not a function or type")),
                    }
                }
            }
            Payload::ModuleSection { .. } => return Err(Misfit::Nested("a core module")),
            Payload::ComponentSection { .. } => return Err(Misfit::Nested("a component of its own")),
            _ => return Err(Misfit::Nested("more than types, imports and exports")),
        }
    }
    Ok(exports)
}
