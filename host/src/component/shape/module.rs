//! The parts of a core module that decide how it is linked.

use super::Misfit;
use std::collections::HashMap;
use wasmparser::{
    CompositeInnerType, Element, Encoding, ExternalKind, FuncType, FunctionBody, Import, MemoryType, Parser,
    Payload, SubType, Table, TypeRef,
};

/// A core module.
#[derive(Default)]
pub struct Module<'a> {
    /// The function types; `None` for a type of another kind.
    types: Vec<Option<FuncType>>,
    pub imports: Vec<Import<'a>>,
    /// The types of the functions that it imports, and of those that it defines.
    imported: Vec<u32>,
    defined: Vec<u32>,
    /// The code of the functions that it defines.
    pub bodies: Vec<FunctionBody<'a>>,
    pub tables: Vec<Table<'a>>,
    pub memories: Vec<MemoryType>,
    pub elements: Vec<Element<'a>>,
    pub exports: HashMap<&'a str, (ExternalKind, u32)>,
    /// The number of globals that it defines, and of data segments.
    pub globals: u32,
    pub data: u32,
    pub start: Option<u32>,
    /// Whether it has tags or sections that are not known here.
    pub unknown: bool,
}

impl<'a> Module<'a> {
    /// Reads a module.
    pub fn read(module: &'a [u8]) -> Result<Self, Misfit> {
        let mut read = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::Version { encoding: Encoding::Module, .. }
                | Payload::DataCountSection { .. }
                | Payload::CodeSectionStart { .. }
                | Payload::CustomSection(_)
                | Payload::End(_) => {}
                Payload::TypeSection(groups) => {
                    for group in groups {
                        read.types.extend(group?.into_types().map(plain_function));
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        if let TypeRef::Func(ty) = import.ty {
                            read.imported.push(ty);
                        }
                        read.imports.push(import);
                    }
                }
                Payload::FunctionSection(functions) => {
                    read.defined = functions.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::TableSection(tables) => {
                    read.tables = tables.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::MemorySection(memories) => {
                    read.memories = memories.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::ElementSection(elements) => {
                    read.elements = elements.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        read.exports.insert(export.name, (export.kind, export.index));
                    }
                }
                Payload::GlobalSection(globals) => read.globals = globals.count(),
                Payload::DataSection(data) => read.data = data.count(),
                Payload::StartSection { func, .. } => read.start = Some(func),
                Payload::CodeSectionEntry(body) => read.bodies.push(body),
                _ => read.unknown = true,
            }
        }
        Ok(read)
    }

    /// The type and code of a function that the module defines.
    pub fn defined_function(&self, index: u32) -> Option<(&FuncType, &FunctionBody<'a>)> {
        let index = (index as usize).checked_sub(self.imported.len())?;
        Some((self.type_at(*self.defined.get(index)?)?, self.bodies.get(index)?))
    }

    /// The type of a function that the module imports.
    pub fn imported_type(&self, index: u32) -> Option<&FuncType> {
        self.type_at(*self.imported.get(index as usize)?)
    }

    /// The function type at an index of the types.
    pub fn type_at(&self, index: u32) -> Option<&FuncType> {
        self.types.get(index as usize)?.as_ref()
    }

    /// The index of the function that is exported under a name, if the module defines it.
    pub fn exported_function(&self, name: &str) -> Option<u32> {
        match *self.exports.get(name)? {
            (ExternalKind::Func, index) => self.defined_function(index).map(|_| index),
            _ => None,
        }
    }
}

/// A function type that is not part of a hierarchy of types.
fn plain_function(ty: SubType) -> Option<FuncType> {
    let composite = ty.composite_type;
    let plain = ty.is_final
        && ty.supertype_idx.is_none()
        && !composite.shared
        && composite.descriptor_idx.is_none()
        && composite.describes_idx.is_none();
    match composite.inner {
        CompositeInnerType::Func(function) if plain => Some(function),
        _ => None,
    }
}
