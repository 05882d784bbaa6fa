//! Canonical functions: what is lifted, what is lowered, and with which options.

use super::Misfit;
use super::core_instance::{CoreExport, CoreFunction};
use super::graph::{Function, Graph, Imported, Type, at};
use wasmparser::{CanonicalFunction, CanonicalOption};

/// A function of an imported instance, as a core function.
pub struct Lowered<'a> {
    pub function: Imported<'a>,
    pub options: Options<'a>,
}

/// A core function, as a component function.
pub struct Lifted<'a> {
    pub function: CoreFunction<'a>,
    pub options: Options<'a>,
}

/// The memory and the allocator that a call uses. Strings are always UTF-8.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    pub memory: Option<CoreExport<'a>>,
    pub realloc: Option<CoreExport<'a>>,
}

/// Why options do not fit: either one of them is unsupported, or the component is malformed.
enum Fault {
    Option(&'static str),
    Other(Misfit),
}

impl Fault {
    fn misfit(self, option: impl FnOnce(&'static str) -> Misfit) -> Misfit {
        match self {
            Self::Option(text) => option(text),
            Self::Other(misfit) => misfit,
        }
    }
}

impl<'a> Graph<'a> {
    /// Adds a canonical function to its index space.
    pub(super) fn canonical(&mut self, canonical: CanonicalFunction) -> Result<(), Misfit> {
        match canonical {
            CanonicalFunction::Lift { core_func_index, options, .. } => {
                let function = *at(&self.core_functions, "core function", core_func_index)?;
                let options = self.options(&options).map_err(|fault| fault.misfit(Misfit::Lifted))?;
                self.functions.push(Function::Lifted(self.lifted.len()));
                self.lifted.push(Lifted { function, options });
            }
            CanonicalFunction::Lower { func_index, options } => {
                let Function::Imported(function) = *at(&self.functions, "function", func_index)? else {
                    return Err(Misfit::OwnLowered);
                };
                let options = self.options(&options).map_err(|fault| {
                    fault.misfit(|option| Misfit::Lowered { function: self.name_of(function), option })
                })?;
                self.core_functions.push(CoreFunction::Lowered(function));
                self.lowered.push(Lowered { function, options });
            }
            CanonicalFunction::ResourceDrop { resource } => {
                let Type::Imported(resource) = *at(&self.types, "type", resource)? else {
                    return Err(Misfit::OwnDropped);
                };
                self.core_functions.push(CoreFunction::Drop(resource));
            }
            CanonicalFunction::ResourceNew { .. } | CanonicalFunction::ResourceRep { .. } => {
                return Err(Misfit::OwnResources);
            }
            other => {
                // The name of the variant, without its fields.
                let text = format!("{other:?}");
                let name = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
                return Err(Misfit::Canonical(name.to_owned()));
            }
        }
        Ok(())
    }

    /// The name of an imported function in messages, such as `wasi:http/types#[method]fields.entries`.
    pub(super) fn name_of(&self, imported: Imported<'a>) -> String {
        let interface = self.interfaces.get(imported.interface).map_or("", |interface| interface.name);
        format!("{interface}#{}", imported.name)
    }

    fn options(&self, options: &[CanonicalOption]) -> Result<Options<'a>, Fault> {
        let mut found = Options::default();
        for option in options {
            match *option {
                CanonicalOption::UTF8 => {}
                CanonicalOption::Memory(index) if found.memory.is_none() => {
                    let memory = at(&self.core_memories, "core memory", index).map_err(Fault::Other)?;
                    found.memory = Some(*memory);
                }
                CanonicalOption::Realloc(index) if found.realloc.is_none() => {
                    let function = at(&self.core_functions, "core function", index).map_err(Fault::Other)?;
                    let CoreFunction::Export(function) = *function else {
                        return Err(Fault::Option("a realloc that is a function of the host"));
                    };
                    found.realloc = Some(function);
                }
                CanonicalOption::Memory(_) => return Err(Fault::Option("two memories")),
                CanonicalOption::Realloc(_) => return Err(Fault::Option("two reallocs")),
                CanonicalOption::UTF16 => return Err(Fault::Option("UTF-16")),
                CanonicalOption::CompactUTF16 => return Err(Fault::Option("Latin-1 or UTF-16")),
                CanonicalOption::PostReturn(_) => return Err(Fault::Option("a post-return function")),
                CanonicalOption::Async => return Err(Fault::Option("async")),
                CanonicalOption::Callback(_) => return Err(Fault::Option("a callback")),
                CanonicalOption::CoreType(_) => return Err(Fault::Option("a core type")),
                CanonicalOption::Gc => return Err(Fault::Option("garbage-collected values")),
            }
        }
        Ok(found)
    }
}
