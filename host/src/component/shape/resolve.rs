//! Follows the imports of the main module to functions of the host.

use super::canon::Options;
use super::core_instance::{CoreExport, CoreFunction, CoreInstance, CoreItem};
use super::graph::{Graph, Imported};
use super::handler::Handler;
use super::module::Module;
use super::shim::{Fixup, Shim};
use super::{Function, Import, Misfit, Shape};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use wasmparser::{ExternalKind, MemoryType, TypeRef};

/// The core instances from which a module imports, by the module names of its imports.
type Arguments<'a> = HashMap<&'a str, usize>;

/// The core instances of a component, by what they are for.
struct Instances<'a> {
    graph: &'a Graph<'a>,
    main: Main<'a>,
    /// The shim, with the index of its instance.
    shim: Option<(usize, Shim<'a>)>,
    fixup: Option<(Fixup<'a>, &'a Arguments<'a>)>,
}

/// The main module and its instance.
struct Main<'a> {
    instance: usize,
    /// Where the module is in the component.
    range: Range<usize>,
    module: Module<'a>,
    arguments: &'a Arguments<'a>,
}

/// Resolves every import of the module that defines the handler.
pub fn resolve<'a>(
    component: &'a [u8],
    graph: &'a Graph<'a>,
    handler: &Handler<'a>,
) -> Result<Shape, Misfit> {
    let instances = Instances::of(component, graph, handler.function.instance)?;
    let main = &instances.main;
    check(&main.module)?;
    let handle = handler.function.name;
    main.module.exported_function(handle).ok_or(Misfit::HandlerOrigin)?;
    let (memory, realloc) = main.canonical_exports(graph, handler)?;
    let import = |import: &wasmparser::Import<'a>| {
        instances.host_function(import.module, import.name).map_err(|why| {
            let import = format!("{}#{}", import.module, import.name);
            Misfit::Unresolved { import, why }
        })
    };
    Ok(Shape {
        main: main.range.clone(),
        imports: main.module.imports.iter().map(import).collect::<Result<_, _>>()?,
        handle: handle.to_owned(),
        memory: memory.to_owned(),
        realloc: realloc.map(ToOwned::to_owned),
    })
}

/// Checks that the main module has one memory of its own and nothing that needs more of a host than functions.
fn check(main: &Module<'_>) -> Result<(), Misfit> {
    for import in &main.imports {
        match import.ty {
            TypeRef::Func(_) => {}
            TypeRef::Memory(_) => return Err(Misfit::Main("imports a memory")),
            TypeRef::Table(_) => return Err(Misfit::Main("imports a table")),
            TypeRef::Global(_) => return Err(Misfit::Main("imports a global")),
            TypeRef::Tag(_) => return Err(Misfit::Main("imports a tag")),
            TypeRef::FuncExact(_) => return Err(Misfit::Main("imports a function of an exact type")),
        }
    }
    // It would run before the fixup has filled the table, so that its imports trap.
    if main.start.is_some() {
        return Err(Misfit::Main("has a start function"));
    }
    match main.memories.as_slice() {
        [] => Err(Misfit::Main("has no memory")),
        [MemoryType { shared: true, .. }] => Err(Misfit::Main("has a shared memory")),
        [MemoryType { memory64: true, .. }] => Err(Misfit::Main("has a 64-bit memory")),
        [MemoryType { page_size_log2: Some(_), .. }] => {
            Err(Misfit::Main("has a memory of another page size"))
        }
        [_] => Ok(()),
        _ => Err(Misfit::Main("has a second memory")),
    }
}

impl<'a> Main<'a> {
    /// The memory and the allocator that lifting and lowering use: exports of the main module.
    fn canonical_exports(
        &self,
        graph: &'a Graph<'a>,
        handler: &Handler<'a>,
    ) -> Result<(&'a str, Option<&'a str>), Misfit> {
        let mut memory = None;
        let mut realloc: Option<&str> = None;
        let lowered = graph.lowered.iter().map(|lowered| (Some(lowered.function), lowered.options));
        for (function, options) in lowered.chain([(None, handler.lifted.options)]) {
            let misfit = |option| match function {
                Some(function) => Misfit::Lowered { function: graph.name_of(function), option },
                None => Misfit::Lifted(option),
            };
            let Options { memory: its_memory, realloc: its_realloc } = options;
            if let Some(export) = its_memory {
                let own =
                    self.memory(export).ok_or_else(|| misfit("a memory that is not the main module's"))?;
                memory.get_or_insert(own);
            }
            if let Some(export) = its_realloc {
                let own =
                    self.realloc(export).ok_or_else(|| misfit("a realloc that is not the main module's"))?;
                match realloc {
                    Some(other) if other != own => {
                        return Err(Misfit::Reallocs(other.to_owned(), own.to_owned()));
                    }
                    _ => realloc = Some(own),
                }
            }
        }
        let exported = || {
            let mut exports = self.module.exports.iter();
            exports.find(|(_, export)| export.0 == ExternalKind::Memory).map(|(&name, _)| name)
        };
        let memory = memory.or_else(exported).ok_or(Misfit::Main("does not export its memory"))?;
        Ok((memory, realloc))
    }

    /// The name of an export that is the memory of the main module. Modules with a second memory do not come here.
    fn memory(&self, export: CoreExport<'a>) -> Option<&'a str> {
        let exported = self.module.exports.get(export.name)?;
        (export.instance == self.instance && *exported == (ExternalKind::Memory, 0)).then_some(export.name)
    }

    /// The name of an export that is a function of the main module.
    fn realloc(&self, export: CoreExport<'a>) -> Option<&'a str> {
        self.module.exported_function(export.name)?;
        (export.instance == self.instance).then_some(export.name)
    }
}

impl<'a> Instances<'a> {
    /// Finds the instance of each core module. Every module must have exactly one.
    fn of(component: &'a [u8], graph: &'a Graph<'a>, main: usize) -> Result<Self, Misfit> {
        let mut seen = HashSet::new();
        let mut found = None;
        let mut shim = None;
        let mut fixup = None;
        for (instance, definition) in graph.core_instances.iter().enumerate() {
            let CoreInstance::OfModule { module, arguments } = definition else { continue };
            if !seen.insert(*module) {
                return Err(Misfit::Twice);
            }
            let range = graph.modules.get(*module).ok_or(Misfit::OtherModule)?.clone();
            let bytes = component.get(range.clone());
            let module = Module::read(bytes.ok_or(Misfit::Unknown("a core module that is cut short"))?)?;
            if instance == main {
                found = Some(Main { instance, range, module, arguments });
            } else if shim.is_none() && module.imports.is_empty() && !module.tables.is_empty() {
                shim = Some((instance, Shim::of(&module)?));
            } else if fixup.is_none() && module.bodies.is_empty() && !module.imports.is_empty() {
                fixup = Some((Fixup::of(&module)?, arguments));
            } else {
                return Err(Misfit::OtherModule);
            }
        }
        if seen.len() != graph.modules.len() {
            return Err(Misfit::OtherModule);
        }
        let instances = Self { graph, main: found.ok_or(Misfit::HandlerOrigin)?, shim, fixup };
        instances.check_table()?;
        Ok(instances)
    }

    /// Checks that what the fixup fills is the table of the shim.
    fn check_table(&self) -> Result<(), Misfit> {
        let Some((fixup, arguments)) = &self.fixup else { return Ok(()) };
        let foreign = || Misfit::Fixup("fills a table that is not the shim's");
        let (index, shim) = self.shim.as_ref().ok_or_else(foreign)?;
        let (module, name) = fixup.table;
        let instance = *arguments.get(module).ok_or_else(foreign)?;
        match self.graph.core_item(CoreExport { instance, name }, ExternalKind::Table)? {
            CoreItem::Table(table) if table.instance == *index && shim.has_table(table.name) => {}
            _ => return Err(foreign()),
        }
        if fixup.fits(shim) { Ok(()) } else { Err(Misfit::Fixup("fills more than the table has")) }
    }

    /// What an import of the main module is; an error says what it is instead of a function of the host.
    fn host_function(&self, module: &'a str, name: &'a str) -> Result<Import, &'static str> {
        match (self.argument(self.main.arguments, module, name)?, &self.shim) {
            (CoreFunction::Export(export), Some((index, shim))) if export.instance == *index => {
                self.through_shim(shim, export.name)
            }
            (function, _) => self.import(function),
        }
    }

    /// The function that the fixup puts into the slot that a function of the shim calls.
    fn through_shim(&self, shim: &Shim<'a>, name: &'a str) -> Result<Import, &'static str> {
        let slot = shim.slot(name).ok_or("is not a function of the shim")?;
        let (fixup, arguments) = self.fixup.as_ref().ok_or("is a function of a shim without a fixup")?;
        let entry = fixup.entry(slot.index).ok_or("calls a slot of the table that the fixup leaves empty")?;
        // The call would trap.
        if entry.ty != slot.ty {
            return Err("calls a function of another type through the table");
        }
        self.import(self.argument(arguments, entry.module, entry.name)?)
    }

    /// What is given to a module for one of its imports.
    fn argument(
        &self,
        arguments: &Arguments<'a>,
        module: &'a str,
        name: &'a str,
    ) -> Result<CoreFunction<'a>, &'static str> {
        let missing = "is not given to it";
        let instance = *arguments.get(module).ok_or(missing)?;
        match self.graph.core_item(CoreExport { instance, name }, ExternalKind::Func) {
            Ok(CoreItem::Function(function)) => Ok(function),
            _ => Err(missing),
        }
    }

    /// A function of the host.
    fn import(&self, function: CoreFunction<'a>) -> Result<Import, &'static str> {
        let (Imported { interface, name }, variant): (_, fn(String) -> Function) = match function {
            CoreFunction::Lowered(imported) => (imported, Function::Lowered),
            CoreFunction::Drop(imported) => (imported, Function::Drop),
            CoreFunction::Export(_) => return Err("is a function of another core module"),
        };
        let interface = self.graph.interfaces.get(interface).ok_or("is of an unknown interface")?;
        Ok(Import {
            interface: interface.name.to_owned(),
            version: interface.version.clone(),
            function: variant(name.to_owned()),
        })
    }
}
