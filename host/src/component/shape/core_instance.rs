//! Core instances, and what they export.

use super::Misfit;
use super::graph::{Graph, Imported, at, checked};
use std::collections::HashMap;
use wasmparser::{Export, ExternalKind, Instance};

/// An export of an instance of a core module.
#[derive(Clone, Copy, Debug)]
pub struct CoreExport<'a> {
    /// The index of the core instance.
    pub instance: usize,
    pub name: &'a str,
}

/// A core instance.
pub enum CoreInstance<'a> {
    /// An instance of a module, with the core instances that it imports from.
    OfModule { module: usize, arguments: HashMap<&'a str, usize> },
    /// A collection of what other instances export.
    Bundle(HashMap<&'a str, CoreItem<'a>>),
}

/// What a core instance exports.
#[derive(Clone, Copy, Debug)]
pub enum CoreItem<'a> {
    Function(CoreFunction<'a>),
    Memory(CoreExport<'a>),
    Table(CoreExport<'a>),
    /// A global or tag. The direct path has no use for them.
    Other,
}

/// A core function.
#[derive(Clone, Copy, Debug)]
pub enum CoreFunction<'a> {
    /// `canon lower` of an imported function.
    Lowered(Imported<'a>),
    /// `canon resource.drop` of an imported resource type.
    Drop(Imported<'a>),
    /// A function that a core module exports.
    Export(CoreExport<'a>),
}

impl<'a> Graph<'a> {
    /// Adds what a core instance exports to its index space.
    pub(super) fn alias_of_core_instance(
        &mut self,
        kind: ExternalKind,
        instance: u32,
        name: &'a str,
    ) -> Result<(), Misfit> {
        let instance = checked(&self.core_instances, "core instance", instance)?;
        match self.core_item(CoreExport { instance, name }, kind)? {
            CoreItem::Function(function) => self.core_functions.push(function),
            CoreItem::Memory(memory) => self.core_memories.push(memory),
            CoreItem::Table(table) => self.core_tables.push(table),
            CoreItem::Other => {}
        }
        Ok(())
    }

    /// Adds a core instance.
    pub(super) fn core_instance(&mut self, instance: Instance<'a>) -> Result<(), Misfit> {
        let instance = match instance {
            Instance::Instantiate { module_index, args } => {
                let module = checked(&self.modules, "core module", module_index)?;
                let mut arguments = HashMap::new();
                for argument in args {
                    let instance = checked(&self.core_instances, "core instance", argument.index)?;
                    arguments.insert(argument.name, instance);
                }
                CoreInstance::OfModule { module, arguments }
            }
            Instance::FromExports(exports) => {
                let items = exports.iter().map(|export| Ok((export.name, self.bundled(export)?)));
                CoreInstance::Bundle(items.collect::<Result<_, Misfit>>()?)
            }
        };
        self.core_instances.push(instance);
        Ok(())
    }

    fn bundled(&self, export: &Export<'a>) -> Result<CoreItem<'a>, Misfit> {
        Ok(match export.kind {
            ExternalKind::Func => {
                CoreItem::Function(*at(&self.core_functions, "core function", export.index)?)
            }
            ExternalKind::Memory => CoreItem::Memory(*at(&self.core_memories, "core memory", export.index)?),
            ExternalKind::Table => CoreItem::Table(*at(&self.core_tables, "core table", export.index)?),
            ExternalKind::Global | ExternalKind::Tag | ExternalKind::FuncExact => CoreItem::Other,
        })
    }

    /// What a core instance exports under a name. Whether a module has such an export is not known before it is read.
    pub fn core_item(&self, export: CoreExport<'a>, kind: ExternalKind) -> Result<CoreItem<'a>, Misfit> {
        let missing = || Misfit::Missing(export.name.to_owned());
        match self.core_instances.get(export.instance).ok_or_else(missing)? {
            CoreInstance::OfModule { .. } => Ok(match kind {
                ExternalKind::Func => CoreItem::Function(CoreFunction::Export(export)),
                ExternalKind::Memory => CoreItem::Memory(export),
                ExternalKind::Table => CoreItem::Table(export),
                ExternalKind::Global | ExternalKind::Tag | ExternalKind::FuncExact => CoreItem::Other,
            }),
            CoreInstance::Bundle(items) => {
                let item = *items.get(export.name).ok_or_else(missing)?;
                let same = matches!(
                    (kind, item),
                    (ExternalKind::Func, CoreItem::Function(_))
                        | (ExternalKind::Memory, CoreItem::Memory(_))
                        | (ExternalKind::Table, CoreItem::Table(_))
                        | (ExternalKind::Global | ExternalKind::Tag, CoreItem::Other)
                );
                if same { Ok(item) } else { Err(missing()) }
            }
        }
    }
}
