//! Whether an instance of a core module can be put back into its initial state.
//!
//! The state of an instance is its memory, its globals, its tables, and which of its passive segments are dropped. Memory
//! and globals of number types can be written from outside. The rest must never change, which is proved here from the
//! instructions of the module: each must be of a known kind that changes nothing else.

#[cfg(test)]
mod tests;

use super::rewrite::marks;
use wasmparser::{
    DataKind, ElementKind, Encoding, ExternalKind, FunctionBody, MemoryType, Operator, Parser, Payload,
    TypeRef, ValType,
};

/// What has to be put back, apart from the bytes of the memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restorable {
    /// The mutable globals, by index, with their types: `i32`, `i64`, `f32` or `f64`.
    pub mutable_globals: Vec<(u32, ValType)>,
    /// The initial size of the memory in pages of 64 KiB.
    pub memory_pages: u64,
}

/// The reason that an instance cannot be put back. As text it continues "every request gets a new instance: …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrestorable {
    /// The binary cannot be parsed.
    #[error("the module is malformed: {0}")]
    Malformed(String),
    /// The binary is a component.
    #[error("it is not a core module")]
    NotAModule,
    /// The module has no memory.
    #[error("the module has no memory")]
    NoMemory,
    /// The module has more than one memory.
    #[error("the module has a second memory")]
    SecondMemory,
    /// The memory is of a kind that cannot be written back.
    #[error("the module has {0}")]
    Memory(&'static str),
    /// The module imports something that others can change.
    #[error("the module imports the {kind} `{name}`")]
    Import {
        /// The kind of import.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// Others could change a table of the module.
    #[error("the module exports the table `{0}`")]
    TableExport(String),
    /// A global holds a value that cannot be read and written from outside.
    #[error("the mutable global {index} is of type {ty}")]
    Global {
        /// The index of the global.
        index: u32,
        /// Its type.
        ty: ValType,
    },
    /// The module has tags.
    #[error("the module has tags for exceptions")]
    Tags,
    /// The module has a start function.
    #[error("the module has a start function")]
    Start,
    /// A segment stays until an instruction drops it.
    #[error("the module has a passive {0} segment")]
    Passive(&'static str),
    /// The module has a section that is not known here.
    #[error("the module has an unknown section")]
    Section,
    /// An instruction changes something that cannot be put back, or is not known.
    #[error("function {function} contains the instruction {instruction}")]
    Instruction {
        /// The index of the function.
        function: u32,
        /// The name of the instruction in the parser.
        instruction: String,
    },
}

impl From<wasmparser::Error> for Unrestorable {
    fn from(error: wasmparser::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Decides whether instances of this core module can be restored. The module is taken to be valid.
pub fn restorable(module: &[u8]) -> Result<Restorable, Unrestorable> {
    let mut memory = None;
    let mut globals = Vec::new();
    let mut function = 0;
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::Version { encoding: Encoding::Module, .. }
            | Payload::TypeSection(_)
            | Payload::FunctionSection(_)
            | Payload::DataCountSection { .. }
            | Payload::CodeSectionStart { .. }
            // A table that is neither imported nor exported changes by instructions only.
            | Payload::TableSection(_)
            | Payload::CustomSection(_)
            | Payload::End(_) => {}
            Payload::Version { .. } => return Err(Unrestorable::NotAModule),
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import?;
                    check_import(import.name, &import.ty, &mut globals)?;
                    function += u32::from(matches!(import.ty, TypeRef::Func(_)));
                }
            }
            Payload::MemorySection(memories) => {
                for ty in memories {
                    let pages = check_memory(ty?)?;
                    if memory.replace(pages).is_some() {
                        return Err(Unrestorable::SecondMemory);
                    }
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    let ty = global?.ty;
                    globals.push(ty.mutable.then_some(ty.content_type));
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    if export.kind == ExternalKind::Table {
                        return Err(Unrestorable::TableExport(export.name.to_owned()));
                    }
                }
            }
            Payload::ElementSection(elements) => {
                for element in elements {
                    if let ElementKind::Passive = element?.kind {
                        return Err(Unrestorable::Passive("element"));
                    }
                }
            }
            Payload::DataSection(data) => {
                for data in data {
                    if let DataKind::Passive = data?.kind {
                        return Err(Unrestorable::Passive("data"));
                    }
                }
            }
            Payload::CodeSectionEntry(body) => {
                check_body(function, &body)?;
                function += 1;
            }
            Payload::StartSection { .. } => return Err(Unrestorable::Start),
            Payload::TagSection(_) => return Err(Unrestorable::Tags),
            _ => return Err(Unrestorable::Section),
        }
    }
    let memory_pages = memory.ok_or(Unrestorable::NoMemory)?;
    Ok(Restorable { mutable_globals: mutable_globals(&globals)?, memory_pages })
}

/// Checks an import. What it adds to the index space of globals is noted there.
fn check_import(name: &str, ty: &TypeRef, globals: &mut Vec<Option<ValType>>) -> Result<(), Unrestorable> {
    let kind = match ty {
        TypeRef::Func(_) => return Ok(()),
        TypeRef::Global(global) if !global.mutable => {
            globals.push(None);
            return Ok(());
        }
        TypeRef::Global(_) => "mutable global",
        TypeRef::Memory(_) => "memory",
        TypeRef::Table(_) => "table",
        TypeRef::Tag(_) => "tag",
        TypeRef::FuncExact(_) => "function of an exact type",
    };
    Err(Unrestorable::Import { kind, name: name.to_owned() })
}

/// The initial size of a memory.
fn check_memory(memory: MemoryType) -> Result<u64, Unrestorable> {
    match memory {
        MemoryType { shared: true, .. } => Err(Unrestorable::Memory("a shared memory")),
        MemoryType { memory64: true, .. } => Err(Unrestorable::Memory("a 64-bit memory")),
        MemoryType { page_size_log2: Some(_), .. } => {
            Err(Unrestorable::Memory("a memory of another page size"))
        }
        MemoryType { initial, .. } => Ok(initial),
    }
}

/// The globals that are mutable, which must be of number types. A vector has no type that the embedder's API can set, and
/// a reference may point to what does not outlive a request.
fn mutable_globals(globals: &[Option<ValType>]) -> Result<Vec<(u32, ValType)>, Unrestorable> {
    let mutable = (0..).zip(globals).filter_map(|(index, ty)| Some((index, (*ty)?)));
    mutable
        .map(|(index, ty)| match ty {
            ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64 => Ok((index, ty)),
            ValType::V128 | ValType::Ref(_) => Err(Unrestorable::Global { index, ty }),
        })
        .collect()
}

fn check_body(function: u32, body: &FunctionBody<'_>) -> Result<(), Unrestorable> {
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        let operator = operators.read()?;
        if !changes_only_memory_and_globals(&operator) || marks::write(&operator).is_none() {
            let text = format!("{operator:?}");
            let name = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            return Err(Unrestorable::Instruction { function, instruction: name.to_owned() });
        }
    }
    Ok(())
}

/// Defines a function that names the proposal by which an instruction came into WebAssembly.
macro_rules! define_proposal {
    ($(@$proposal:ident $op:ident $({ $($field:ident: $ty:ty),* })? => $visit:ident ($($arity:tt)*))*) => {
        fn proposal(operator: &Operator<'_>) -> &'static str {
            match operator {
                $(Operator::$op { .. } => stringify!($proposal),)*
                _ => "unknown",
            }
        }
    };
}

wasmparser::for_each_operator!(define_proposal);

/// Whether an instruction leaves everything but the memory and the globals as it is. `memory.grow` is among these: whether
/// it happened is seen from outside by the size of the memory.
fn changes_only_memory_and_globals(operator: &Operator<'_>) -> bool {
    match proposal(operator) {
        // These proposals consist of arithmetic, control flow, memory and globals.
        "mvp"
        | "sign_extension"
        | "saturating_float_to_int"
        | "tail_call"
        | "simd"
        | "relaxed_simd"
        | "wide_arithmetic" => true,
        // These have also instructions for tables and segments, so that each one is named.
        "bulk_memory" | "reference_types" => matches!(
            operator,
            Operator::MemoryCopy { .. }
                | Operator::MemoryFill { .. }
                | Operator::TypedSelect { .. }
                | Operator::RefNull { .. }
                | Operator::RefIsNull
                | Operator::RefFunc { .. }
                | Operator::TableGet { .. }
                | Operator::TableSize { .. }
        ),
        _ => false,
    }
}
