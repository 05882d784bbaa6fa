//! Parses a binary without compiling it: its imports, its exports and what its instances will need.

use super::needs::{ModuleNeeds, Needs};
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentType,
    ComponentTypeRef, Instance, InstanceTypeDeclaration, Parser, Payload,
};

/// The two layers of WebAssembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// A core module.
    Module,
    /// A component.
    Component,
}

/// The parts of a binary that matter before it is compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anatomy {
    /// Module or component.
    pub layer: Layer,
    /// The interfaces and functions that a component imports, or the modules that a core module imports from, in the
    /// order of the binary.
    pub imports: Vec<Import>,
    /// The names of its exports, in the order of the binary.
    pub exports: Vec<String>,
    /// What one instance needs before its first instruction.
    pub needs: Needs,
}

/// An import of a binary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// Its name.
    pub name: String,
    /// The functions that the binary uses of it, where it is an interface.
    pub functions: Vec<String>,
}

/// A component or module that is being parsed.
struct Frame {
    layer: Layer,
    imports: Vec<Import>,
    exports: Vec<String>,
    /// The index space of types. Only instance types matter, so each entry is the list of functions that the instance
    /// exports, and empty for other types.
    types: Vec<Vec<String>>,
    /// The memories and tables of a module, and the instances that a component makes.
    module: ModuleNeeds,
    needs: Needs,
    /// The index spaces of core modules and of components; `None` for imports, whose size is unknown.
    modules: Vec<Option<ModuleNeeds>>,
    components: Vec<Option<Needs>>,
}

impl Frame {
    fn new(layer: Layer) -> Self {
        Self {
            layer,
            imports: Vec::new(),
            exports: Vec::new(),
            types: Vec::new(),
            module: ModuleNeeds::default(),
            needs: Needs::default(),
            modules: Vec::new(),
            components: Vec::new(),
        }
    }

    /// What one instance of this component or module needs.
    fn needs_of_one(&self) -> Needs {
        let mut needs = self.needs;
        if self.layer == Layer::Module {
            needs.instantiate(Some(&self.module));
        }
        needs
    }

    /// Adds an entry of unknown content to the index space of this kind.
    fn add_unknown(&mut self, kind: ComponentExternalKind) {
        match kind {
            ComponentExternalKind::Module => self.modules.push(None),
            ComponentExternalKind::Component => self.components.push(None),
            ComponentExternalKind::Type => self.types.push(Vec::new()),
            _ => {}
        }
    }
}

impl Anatomy {
    /// Parses a binary. This does not validate it: compilation may still find it malformed.
    ///
    /// The needs are an upper bound for binaries that are valid. Where a component instantiates a module or component
    /// that it received as an import or argument, the largest one in the binary is assumed.
    pub fn of(bytes: &[u8]) -> Result<Self> {
        let mut largest = Needs::default();
        // A stack instead of recursion, because the binary decides how deep it nests.
        let mut frames: Vec<Frame> = Vec::new();
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload?;
            if let Payload::Version { encoding, .. } = payload {
                let layer = match encoding {
                    wasmparser::Encoding::Module => Layer::Module,
                    wasmparser::Encoding::Component => Layer::Component,
                };
                frames.push(Frame::new(layer));
            } else if let Payload::End(_) = payload {
                let frame = frames.pop().context("an end without its beginning")?;
                largest.widen(&frame.needs_of_one());
                match (frames.last_mut(), frame.layer) {
                    (None, layer) => return Ok(Self::outermost(layer, frame, &largest)),
                    (Some(outer), Layer::Module) => outer.modules.push(Some(frame.module)),
                    (Some(outer), Layer::Component) => outer.components.push(Some(frame.needs)),
                }
            } else {
                read(&mut frames, payload)?;
            }
        }
        anyhow::bail!("it has no end")
    }

    fn outermost(layer: Layer, mut frame: Frame, largest: &Needs) -> Self {
        let mut needs = frame.needs_of_one();
        needs.add_unknown(largest);
        if layer == Layer::Module {
            let mut seen = BTreeSet::new();
            frame.imports.retain(|import| seen.insert(import.name.clone()));
        }
        Self { layer, imports: frame.imports, exports: frame.exports, needs }
    }
}

/// Adds one section to the innermost frame.
fn read(frames: &mut [Frame], payload: Payload<'_>) -> Result<()> {
    let Some((frame, outer)) = frames.split_last_mut() else { return Ok(()) };
    match payload {
        Payload::ImportSection(imports) => {
            for import in imports.into_imports() {
                frame.imports.push(Import { name: import?.module.to_owned(), functions: Vec::new() });
            }
        }
        Payload::ExportSection(exports) => {
            for export in exports {
                frame.exports.push(export?.name.to_owned());
            }
        }
        Payload::MemorySection(memories) => {
            for memory in memories {
                let memory = memory?;
                frame.module.add_memory(memory.initial, memory.page_size_log2);
            }
        }
        Payload::TableSection(tables) => {
            for table in tables {
                frame.module.add_table(table?.ty.initial);
            }
        }
        Payload::ComponentTypeSection(types) => {
            for ty in types {
                frame.types.push(match ty? {
                    ComponentType::Instance(declarations) => functions(&declarations),
                    _ => Vec::new(),
                });
            }
        }
        Payload::ComponentImportSection(imports) => {
            for import in imports {
                let import = import?;
                let functions = match import.ty {
                    ComponentTypeRef::Instance(index) => frame.types.get(index as usize).cloned(),
                    _ => None,
                };
                frame.add_unknown(import.ty.kind());
                let name = import.name.name.to_owned();
                frame.imports.push(Import { name, functions: functions.unwrap_or_default() });
            }
        }
        Payload::ComponentExportSection(exports) => {
            for export in exports {
                let export = export?;
                // An export adds an entry to the index space of its kind.
                match export.kind {
                    ComponentExternalKind::Module => {
                        frame.modules.push(at(&frame.modules, export.index));
                    }
                    ComponentExternalKind::Component => {
                        frame.components.push(at(&frame.components, export.index));
                    }
                    ComponentExternalKind::Type => frame.types.push(Vec::new()),
                    _ => {}
                }
                frame.exports.push(export.name.name.to_owned());
            }
        }
        Payload::ComponentAliasSection(aliases) => {
            for alias in aliases {
                match alias? {
                    ComponentAlias::InstanceExport { kind, .. } => frame.add_unknown(kind),
                    ComponentAlias::Outer { kind, count, index } => {
                        alias_outer(frame, outer, kind, count, index);
                    }
                    ComponentAlias::CoreInstanceExport { .. } => {}
                }
            }
        }
        Payload::InstanceSection(instances) => {
            for instance in instances {
                if let Instance::Instantiate { module_index, .. } = instance? {
                    frame.needs.instantiate(at(&frame.modules, module_index).as_ref());
                }
            }
        }
        Payload::ComponentInstanceSection(instances) => {
            for instance in instances {
                if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                    match at(&frame.components, component_index) {
                        Some(component) => frame.needs.add(&component),
                        None => frame.needs.instantiate(None),
                    }
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// Adds an entry for what the component `count` levels further out has at `index`. Level 0 is the component itself.
fn alias_outer(frame: &mut Frame, outer: &[Frame], kind: ComponentOuterAliasKind, count: u32, index: u32) {
    let level = count.checked_sub(1);
    let source = level.and_then(|level| outer.iter().rev().nth(level as usize));
    match kind {
        ComponentOuterAliasKind::CoreModule => {
            let found = at(&source.unwrap_or(frame).modules, index);
            frame.modules.push(found);
        }
        ComponentOuterAliasKind::Component => {
            let found = at(&source.unwrap_or(frame).components, index);
            frame.components.push(found);
        }
        ComponentOuterAliasKind::Type => {
            let found = source.unwrap_or(frame).types.get(index as usize).cloned();
            frame.types.push(found.unwrap_or_default());
        }
        ComponentOuterAliasKind::CoreType => {}
    }
}

/// The functions that an instance of this type exports.
fn functions(declarations: &[InstanceTypeDeclaration<'_>]) -> Vec<String> {
    let exported = |declaration: &InstanceTypeDeclaration<'_>| match declaration {
        InstanceTypeDeclaration::Export { name, ty: ComponentTypeRef::Func(_) } => Some(name.name.to_owned()),
        _ => None,
    };
    declarations.iter().filter_map(exported).collect()
}

fn at<T: Copy>(space: &[Option<T>], index: u32) -> Option<T> {
    space.get(index as usize).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::{Anatomy, Layer};
    use crate::component::{BUILT_IN, needs::Needs};

    fn of(text: &str) -> Anatomy {
        Anatomy::of(&wat::parse_str(text).unwrap()).unwrap()
    }

    #[test]
    fn the_built_in_guest_is_a_component_with_one_memory() {
        let anatomy = Anatomy::of(&BUILT_IN).unwrap();
        assert_eq!(anatomy.layer, Layer::Component);
        let files =
            anatomy.imports.iter().find(|import| import.name.starts_with("wasi:filesystem/types@0.2."));
        assert!(files.unwrap().functions.contains(&"[method]descriptor.open-at".to_owned()));
        assert!(anatomy.exports.iter().any(|export| export.starts_with("wasi:http/incoming-handler@0.2.")));
        assert_eq!(anatomy.needs.memories, 1);
        assert!(!anatomy.needs.is_composed);
    }

    #[test]
    fn every_instance_counts_with_what_its_module_has() {
        let anatomy = of(r"
            (component
                (core module $m (memory 3) (table 7 funcref))
                (core module $unused (memory 100) (table 100 funcref))
                (core instance (instantiate $m))
                (core instance (instantiate $m)))");
        let expected = Needs {
            core_instances: 2,
            is_composed: false,
            memories: 2,
            memory: 2 * 3 * 65536,
            tables: 2,
            tables_in_module: 1,
            table: 7,
            unknown: 0,
        };
        assert_eq!(anatomy.needs, expected);
    }

    #[test]
    fn nested_components_count_as_often_as_they_are_instantiated() {
        let anatomy = of(r"
            (component $outer
                (core module $m (memory 1))
                (component $inner
                    (alias outer $outer $m (core module $again))
                    (core instance (instantiate $again)))
                (component $middle
                    (alias outer $outer $inner (component $again))
                    (instance (instantiate $again))
                    (instance (instantiate $again)))
                (instance (instantiate $middle))
                (instance (instantiate $middle)))");
        assert_eq!((anatomy.needs.core_instances, anatomy.needs.memory), (4, 4 * 65536));
        assert_eq!(anatomy.needs.all_core_instances(), 8, "with what passes calls between them");
    }

    #[test]
    fn a_component_that_doubles_itself_without_end_is_only_large() {
        let doubled = |level: u32| {
            format!(
                "(component $c{level} (alias outer 1 $c{} (component $c))
                 (instance (instantiate $c)) (instance (instantiate $c)))",
                level - 1
            )
        };
        let text = format!(
            "(component (core module $m (memory 1))
             (component $c0 (alias outer 1 $m (core module $m)) (core instance (instantiate $m)))
             {} (instance (instantiate $c99)))",
            (1..100).map(doubled).collect::<Vec<_>>().join("\n")
        );
        assert_eq!(of(&text).needs.core_instances, u32::MAX);
    }

    #[test]
    fn what_is_passed_from_elsewhere_is_taken_for_the_largest() {
        let passed = of(r#"(component
            (component $c
                (import "m" (core module $m))
                (core instance (instantiate $m))
                (core instance (instantiate $m)))
            (core module $m (memory 3) (table 7 funcref))
            (core module $small (memory 1))
            (instance (instantiate $c (with "m" (core module $m)))))"#);
        assert_eq!((passed.needs.core_instances, passed.needs.memory), (2, 2 * 3 * 65536));
        assert_eq!((passed.needs.tables, passed.needs.table), (2, 7));
        let exported = of(r#"(component
            (component $c (core module $m (memory 3)) (export "m" (core module $m)))
            (instance $i (instantiate $c))
            (alias export $i "m" (core module $m))
            (core instance (instantiate $m)))"#);
        assert_eq!((exported.needs.core_instances, exported.needs.memory), (1, 3 * 65536));
    }

    #[test]
    fn a_core_module_imports_from_modules() {
        let anatomy = of(r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
            (import "env" "f" (func))
            (import "wasi_snapshot_preview1" "fd_close" (func (param i32) (result i32)))
            (memory (export "memory") 2) (func (export "_start")))"#);
        assert_eq!(anatomy.layer, Layer::Module);
        let names: Vec<_> = anatomy.imports.iter().map(|import| import.name.as_str()).collect();
        assert_eq!(names, ["wasi_snapshot_preview1", "env"]);
        assert_eq!(anatomy.exports, ["memory", "_start"]);
        assert_eq!(anatomy.needs.memory, 2 * 65536);
    }

    #[test]
    fn half_a_binary_is_an_error() {
        assert!(Anatomy::of(&BUILT_IN[..BUILT_IN.len() / 2]).is_err());
        assert!(Anatomy::of(b"").is_err());
    }
}
