//! Shim and fixup: the two modules by which wit-component breaks a cycle.
//!
//! To lower a function, the memory of the main module must exist, and to instantiate the main module, its imports must.
//! The main module therefore imports functions of the shim, each of which calls through one slot of a table; and when the
//! main module exists, the fixup fills the table with the lowered functions.

use super::Misfit;
use super::module::Module;
use std::collections::HashMap;
use wasmparser::{
    ConstExpr, Element, ElementItems, ElementKind, ExternalKind, FuncType, FunctionBody, Operator, RefType,
    TableInit, TypeRef,
};

/// A module whose functions call through a table.
pub struct Shim<'a> {
    /// The exported functions.
    slots: HashMap<&'a str, Slot>,
    /// The exports that are its table.
    tables: Vec<&'a str>,
    /// The number of entries of the table.
    size: u64,
}

/// A function that calls an entry of the table, with its own parameters.
pub struct Slot {
    /// The entry.
    pub index: u32,
    /// The type of the function, which the called one must have as well.
    pub ty: FuncType,
}

/// A module that does nothing but fill a table with imported functions.
pub struct Fixup<'a> {
    /// Module and name from which it imports the table.
    pub table: (&'a str, &'a str),
    /// The first entry that it fills.
    offset: u32,
    /// The functions that it puts there.
    entries: Vec<Entry<'a>>,
}

/// An imported function that the fixup puts into the table.
pub struct Entry<'a> {
    /// Module and name of the import.
    pub module: &'a str,
    pub name: &'a str,
    pub ty: FuncType,
}

impl<'a> Shim<'a> {
    /// Recognises a shim.
    pub fn of(module: &Module<'a>) -> Result<Self, Misfit> {
        let refuse = |when: bool, what| if when { Err(Misfit::Shim(what)) } else { Ok(()) };
        refuse(!module.imports.is_empty(), "has imports")?;
        refuse(!module.memories.is_empty(), "has a memory")?;
        refuse(module.globals > 0, "has globals")?;
        refuse(module.start.is_some(), "has a start function")?;
        refuse(!module.elements.is_empty(), "fills its table itself")?;
        refuse(module.data > 0, "has data")?;
        refuse(module.unknown, "has an unknown section")?;
        let [table] = module.tables.as_slice() else { return Err(Misfit::Shim("does not have one table")) };
        let plain = matches!(table.init, TableInit::RefNull)
            && table.ty.element_type == RefType::FUNCREF
            && !table.ty.table64
            && !table.ty.shared;
        refuse(!plain, "has a table of an unknown type")?;
        let mut shim = Self { slots: HashMap::new(), tables: Vec::new(), size: table.ty.initial };
        for (&name, &(kind, index)) in &module.exports {
            match kind {
                ExternalKind::Func => {
                    let slot = slot(module, index)
                        .ok_or(Misfit::Shim("has a function that does more than call through its table"))?;
                    shim.slots.insert(name, slot);
                }
                ExternalKind::Table => shim.tables.push(name),
                _ => return Err(Misfit::Shim("exports more than functions and a table")),
            }
        }
        Ok(shim)
    }

    /// The slot that an exported function calls.
    pub fn slot(&self, name: &str) -> Option<&Slot> {
        self.slots.get(name)
    }

    /// Whether the export of this name is the table.
    pub fn has_table(&self, name: &str) -> bool {
        self.tables.contains(&name)
    }
}

/// The slot of a function that consists of `local.get 0`, …, `i32.const` and `call_indirect`; `None` for any other.
fn slot(module: &Module<'_>, function: u32) -> Option<Slot> {
    let (ty, body) = module.defined_function(function)?;
    let index = called_slot(module, ty, body)?;
    Some(Slot { index, ty: ty.clone() })
}

fn called_slot(module: &Module<'_>, ty: &FuncType, body: &FunctionBody<'_>) -> Option<u32> {
    let mut operators = body.get_operators_reader().ok()?;
    for parameter in 0..u32::try_from(ty.params().len()).ok()? {
        match operators.read().ok()? {
            Operator::LocalGet { local_index } if local_index == parameter => {}
            _ => return None,
        }
    }
    let Operator::I32Const { value } = operators.read().ok()? else { return None };
    match operators.read().ok()? {
        Operator::CallIndirect { type_index, table_index: 0 } if module.type_at(type_index) == Some(ty) => {}
        _ => return None,
    }
    let Operator::End = operators.read().ok()? else { return None };
    operators.eof().then_some(())?;
    u32::try_from(value).ok()
}

impl<'a> Fixup<'a> {
    /// Recognises a fixup.
    pub fn of(module: &Module<'a>) -> Result<Self, Misfit> {
        let refuse = |when: bool, what| if when { Err(Misfit::Fixup(what)) } else { Ok(()) };
        refuse(!module.bodies.is_empty(), "has code")?;
        refuse(!module.exports.is_empty(), "has exports")?;
        refuse(!module.memories.is_empty(), "has a memory")?;
        refuse(!module.tables.is_empty(), "has a table")?;
        refuse(module.globals > 0, "has globals")?;
        refuse(module.start.is_some(), "has a start function")?;
        refuse(module.data > 0, "has data")?;
        refuse(module.unknown, "has an unknown section")?;
        let mut functions = Vec::new();
        let mut table = None;
        for import in &module.imports {
            match import.ty {
                TypeRef::Func(_) => functions.push((import.module, import.name)),
                TypeRef::Table(_) if table.is_none() => {
                    table = Some((import.module, import.name));
                }
                _ => return Err(Misfit::Fixup("imports more than functions and a table")),
            }
        }
        let table = table.ok_or(Misfit::Fixup("does not import a table"))?;
        let [element] = module.elements.as_slice() else {
            return Err(Misfit::Fixup("does not have one element segment"));
        };
        let (offset, indices) = segment(element).ok_or(Misfit::Fixup("has an unknown element segment"))?;
        let entry = |index: u32| {
            let &(from, name) = functions.get(index as usize)?;
            Some(Entry { module: from, name, ty: module.imported_type(index)?.clone() })
        };
        let entries = indices.into_iter().map(entry).collect::<Option<_>>();
        let entries = entries.ok_or(Misfit::Fixup("fills the table with an unknown function"))?;
        Ok(Self { table, offset, entries })
    }

    /// Whether all that it writes is within the table. It traps otherwise.
    pub fn fits(&self, shim: &Shim<'_>) -> bool {
        u64::from(self.offset) + self.entries.len() as u64 <= shim.size
    }

    /// What it puts into a slot of the table; `None` if it leaves it empty.
    pub fn entry(&self, slot: u32) -> Option<&Entry<'a>> {
        self.entries.get(slot.checked_sub(self.offset)? as usize)
    }
}

/// The constant offset and the function indices of an active segment of table 0.
fn segment(element: &Element<'_>) -> Option<(u32, Vec<u32>)> {
    let ElementKind::Active { table_index: None | Some(0), offset_expr } = &element.kind else { return None };
    let ElementItems::Functions(functions) = &element.items else { return None };
    let offset = constant(offset_expr)?;
    Some((offset, functions.clone().into_iter().collect::<Result<_, _>>().ok()?))
}

/// The value of an expression that is one `i32.const`.
fn constant(expression: &ConstExpr<'_>) -> Option<u32> {
    let mut operators = expression.get_operators_reader();
    let Operator::I32Const { value } = operators.read().ok()? else { return None };
    let Operator::End = operators.read().ok()? else { return None };
    // An offset is unsigned.
    operators.eof().then_some(value.cast_unsigned())
}
