//! Writes a module again, according to a [`Plan`].

use super::plan::Plan;
use super::{HOST, NEXT, global_export, marks, wrapper};
use std::convert::Infallible;
use std::mem;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, EntityType, ExportKind, ExportSection, FunctionSection, ImportSection, IndirectNameMap,
    MemorySection, Module, NameMap, NameSection, TypeSection, ValType,
};
use wasmparser::{
    CodeSectionReader, CustomSectionReader, ExportSectionReader, FunctionSectionReader, ImportSectionReader,
    KnownCustom, MemorySectionReader, Name, TypeSectionReader,
};

type Written<T = ()> = Result<T, Error<Infallible>>;

impl Reencode for Plan<'_> {
    type Error = Infallible;

    fn function_index(&mut self, function: u32) -> Written<u32> {
        Ok(self.function(function))
    }

    fn parse_type_section(&mut self, types: &mut TypeSection, section: TypeSectionReader<'_>) -> Written {
        utils::parse_type_section(self, types, section)?;
        let raw: Vec<_> = self.wrappers().map(|wrapper| wrapper.parameters.clone()).collect();
        for parameters in raw {
            types.ty().function(self.val_types(parameters)?, [ValType::I64]);
        }
        if self.wraps() {
            types.ty().function([ValType::I32], [ValType::I64]);
        }
        Ok(())
    }

    fn parse_import_section(&mut self, imports: &mut ImportSection, _: ImportSectionReader<'_>) -> Written {
        for import in &self.imports {
            let ty = import.wrapper.as_ref().map_or(import.ty, |wrapper| self.raw_type(wrapper));
            imports.import(import.name.module, import.name.name, EntityType::Function(ty));
        }
        if self.wraps() {
            imports.import(HOST, NEXT, EntityType::Function(self.next_type()));
        }
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Written {
        utils::parse_function_section(self, functions, section)?;
        for import in self.imports.iter().filter(|import| import.wrapper.is_some()) {
            functions.function(import.ty);
        }
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: ExportSectionReader<'_>,
    ) -> Written {
        utils::parse_export_section(self, exports, section)?;
        for &global in self.additions.globals {
            exports.export(&global_export(global), ExportKind::Global, global);
        }
        if self.additions.marks {
            exports.export(&marks::export(), ExportKind::Memory, marks::MEMORY);
        }
        Ok(())
    }

    fn parse_memory_section(
        &mut self,
        memories: &mut MemorySection,
        section: MemorySectionReader<'_>,
    ) -> Written {
        utils::parse_memory_section(self, memories, section)?;
        if self.additions.marks {
            memories.memory(marks::MEMORY_TYPE);
        }
        Ok(())
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Written {
        if self.additions.marks {
            // A module has as many bodies as defined functions.
            for (body, parameters) in section.into_iter().zip(mem::take(&mut self.parameters)) {
                code.function(&marks::mark(self, parameters, &body?)?);
            }
        } else {
            utils::parse_code_section(self, code, section)?;
        }
        let Some(realloc) = self.realloc.map(|realloc| self.function(realloc)) else { return Ok(()) };
        for (raw, import) in (0..).zip(&self.imports) {
            if let Some(wrapper) = &import.wrapper {
                code.function(&wrapper::code(&wrapper.parameters, raw, realloc, self.next()));
            }
        }
        Ok(())
    }

    fn parse_custom_section(&mut self, module: &mut Module, section: CustomSectionReader<'_>) -> Written {
        if let KnownCustom::Name(names) = section.as_known() {
            // A malformed name section does not make a module invalid.
            if let Ok(names) = self.custom_name_section(names) {
                module.section(&names);
            }
        }
        Ok(())
    }

    /// Names by the index of a function are sorted again, since the wrappers are out of order.
    fn parse_custom_name_subsection(&mut self, names: &mut NameSection, section: Name<'_>) -> Written {
        match section {
            Name::Function(map) => {
                let mut sorted = Vec::new();
                for naming in map {
                    let naming = naming?;
                    sorted.push((self.function(naming.index), naming.name));
                }
                sorted.sort_unstable();
                let mut functions = NameMap::new();
                for (index, name) in sorted {
                    functions.append(index, name);
                }
                names.functions(&functions);
            }
            Name::Local(map) => {
                names.locals(&self.indirect(map)?);
            }
            Name::Label(map) => {
                names.labels(&self.indirect(map)?);
            }
            other => utils::parse_custom_name_subsection(self, names, other)?,
        }
        Ok(())
    }
}

impl Plan<'_> {
    /// The names in each function, by the new indices of the functions.
    fn indirect(&self, map: wasmparser::IndirectNameMap<'_>) -> Written<IndirectNameMap> {
        let mut sorted = Vec::new();
        for function in map {
            let function = function?;
            let names = utils::name_map::<Infallible>(function.names, Ok)?;
            sorted.push((self.function(function.index), names));
        }
        sorted.sort_unstable_by_key(|(index, _)| *index);
        let mut functions = IndirectNameMap::new();
        for (index, names) in &sorted {
            functions.append(*index, names);
        }
        Ok(functions)
    }
}
