//! What a module has, and where what is added to it gets its indices.
//!
//! New types follow all others. The new import follows the others, so that the index of each function that the module
//! defines is higher by one. The wrappers follow all functions.

use super::{Additions, RewriteError, RewrittenImport, global_export, marks};
use wasmparser::{Export, ExternalKind, FuncType, Parser, Payload, TypeRef, ValType};

/// How a module is rewritten.
pub struct Plan<'a> {
    /// The imports, in their order.
    pub imports: Vec<Import<'a>>,
    /// The number of types and of defined functions that the module has.
    pub types: u32,
    functions: u32,
    /// The original index of the allocator; `None` if no import allocates.
    pub realloc: Option<u32>,
    /// What is added for restoring.
    pub additions: Additions<'a>,
    /// The number of parameters of each defined function.
    pub parameters: Vec<u32>,
}

/// An imported function.
pub struct Import<'a> {
    pub name: RewrittenImport<'a>,
    /// The index of its type.
    pub ty: u32,
    pub wrapper: Option<Wrapper>,
}

/// The wrapper of an import that allocates.
pub struct Wrapper {
    /// Its place among the wrappers.
    pub index: u32,
    /// The parameters of the import.
    pub parameters: Vec<ValType>,
}

/// The sections of a module that a plan is made from.
#[derive(Default)]
struct Sections<'a> {
    types: Vec<FuncType>,
    imports: Vec<wasmparser::Import<'a>>,
    functions: Vec<u32>,
    /// Whether each global is mutable.
    globals: Vec<bool>,
    exports: Vec<Export<'a>>,
}

impl<'a> Plan<'a> {
    /// Reads a module and checks that it can be rewritten.
    pub fn of(
        module: &[u8],
        names: &[RewrittenImport<'a>],
        realloc: Option<&str>,
        additions: Additions<'a>,
    ) -> Result<Self, RewriteError> {
        let sections = Sections::read(module)?;
        let imports = sections.imports(names)?;
        sections.check_exports(additions)?;
        let first = imports.iter().find(|import| import.wrapper.is_some());
        let realloc = match (first, realloc) {
            (None, _) => None,
            (Some(import), None) => return Err(RewriteError::NoRealloc(import.name.name.to_owned())),
            (Some(_), Some(name)) => Some(sections.realloc(name)?),
        };
        Ok(Self {
            types: count(&sections.types)?,
            functions: count(&sections.functions)?,
            imports,
            realloc,
            additions,
            parameters: sections.parameters()?,
        })
    }

    /// Whether any import is wrapped.
    pub fn wraps(&self) -> bool {
        self.realloc.is_some()
    }

    /// The imports that are wrapped.
    pub fn wrappers(&self) -> impl Iterator<Item = &Wrapper> {
        self.imports.iter().filter_map(|import| import.wrapper.as_ref())
    }

    /// The index of the import `next`, if there is one.
    pub fn next(&self) -> u32 {
        // A module has no more functions than a `u32` counts.
        u32::try_from(self.imports.len()).unwrap_or(u32::MAX)
    }

    /// The index of the type of the raw function behind a wrapper.
    pub fn raw_type(&self, wrapper: &Wrapper) -> u32 {
        self.types.saturating_add(wrapper.index)
    }

    /// The index of the type of the import `next`.
    pub fn next_type(&self) -> u32 {
        let wrappers = self.wrappers().fold(0, |count: u32, _| count.saturating_add(1));
        self.types.saturating_add(wrappers)
    }

    /// The new index of a function. That of a wrapped import is the index of its wrapper.
    pub fn function(&self, index: u32) -> u32 {
        match self.imports.get(index as usize) {
            Some(Import { wrapper: Some(wrapper), .. }) => {
                self.next().saturating_add(1).saturating_add(self.functions).saturating_add(wrapper.index)
            }
            Some(_) => index,
            None => index.saturating_add(u32::from(self.wraps())),
        }
    }
}

/// The number of entries of an index space.
fn count<T>(space: &[T]) -> Result<u32, RewriteError> {
    u32::try_from(space.len()).map_err(|_| RewriteError::Malformed("it is too large".to_owned()))
}

impl<'a> Sections<'a> {
    fn read(module: &'a [u8]) -> Result<Self, RewriteError> {
        let mut sections = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::TypeSection(types) => {
                    sections.types = types.into_iter_err_on_gc_types().collect::<Result<_, _>>()?;
                }
                Payload::ImportSection(imports) => {
                    sections.imports = imports.into_imports().collect::<Result<_, _>>()?;
                }
                Payload::FunctionSection(functions) => {
                    sections.functions = functions.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::GlobalSection(globals) => {
                    for global in globals {
                        sections.globals.push(global?.ty.mutable);
                    }
                }
                Payload::ExportSection(exports) => {
                    sections.exports = exports.into_iter().collect::<Result<_, _>>()?;
                }
                _ => {}
            }
        }
        Ok(sections)
    }

    /// Gives each import its new name, and a wrapper if it allocates.
    fn imports<'n>(&self, names: &[RewrittenImport<'n>]) -> Result<Vec<Import<'n>>, RewriteError> {
        if names.len() != self.imports.len() {
            return Err(RewriteError::Imports { expected: names.len(), found: self.imports.len() });
        }
        let mut wrappers = 0..;
        let import = |(import, name): (&wasmparser::Import<'_>, &RewrittenImport<'n>)| {
            let text = || name.name.to_owned();
            let TypeRef::Func(ty) = import.ty else { return Err(RewriteError::ImportKind(text())) };
            let signature = self.types.get(ty as usize).ok_or_else(|| RewriteError::ImportType(text()))?;
            if name.allocates && !signature.results().is_empty() {
                return Err(RewriteError::Result(text()));
            }
            let index = if name.allocates { wrappers.next() } else { None };
            let wrapper = index.map(|index| Wrapper { index, parameters: signature.params().to_vec() });
            Ok(Import { name: *name, ty, wrapper })
        };
        self.imports.iter().zip(names).map(import).collect()
    }

    /// The index of the allocator: `(old address, old size, alignment, new size) -> address`.
    fn realloc(&self, name: &str) -> Result<u32, RewriteError> {
        let mut exports = self.exports.iter();
        let index = exports
            .find(|export| export.name == name && export.kind == ExternalKind::Func)
            .map(|export| export.index);
        // All imports are functions, as has been checked, so that they are counted by their number.
        let ty = index
            .and_then(|index| (index as usize).checked_sub(self.imports.len()))
            .and_then(|defined| self.types.get(*self.functions.get(defined)? as usize));
        match (index, ty) {
            (Some(index), Some(ty)) if ty.params() == [ValType::I32; 4] && ty.results() == [ValType::I32] => {
                Ok(index)
            }
            _ => Err(RewriteError::Realloc(name.to_owned())),
        }
    }

    /// The number of parameters of each defined function.
    fn parameters(&self) -> Result<Vec<u32>, RewriteError> {
        let parameters = self.functions.iter().map(|&ty| match self.types.get(ty as usize) {
            Some(ty) => count(ty.params()),
            None => Err(RewriteError::Malformed("a function is of an unknown type".to_owned())),
        });
        parameters.collect()
    }

    /// Checks that what is added can be exported.
    fn check_exports(&self, Additions { globals, marks }: Additions<'_>) -> Result<(), RewriteError> {
        let is_taken = |name: &str| self.exports.iter().any(|export| export.name == name);
        if marks && is_taken(&marks::export()) {
            return Err(RewriteError::Export(marks::export()));
        }
        for &global in globals {
            if self.globals.get(global as usize) != Some(&true) {
                return Err(RewriteError::Global(global));
            }
            let name = global_export(global);
            if is_taken(&name) {
                return Err(RewriteError::Export(name));
            }
        }
        if self.exports.is_empty() { Err(RewriteError::NoExports) } else { Ok(()) }
    }
}
