//! The index spaces of a component, in which every entry is already what it refers to.
//!
//! A section can refer only to what stands before it. Aliases and copies are therefore resolved when they are read, which
//! takes constant time for each and leaves no cycles.

use super::Misfit;
use super::canon::{Lifted, Lowered};
use super::core_instance::{CoreExport, CoreFunction, CoreInstance};
use super::nested;
use crate::component::interface::{Edition, IMPLEMENTED, InterfaceName};
use semver::Version;
use std::collections::HashMap;
use std::ops::Range;
use wasmparser::{
    ComponentAlias, ComponentExport, ComponentExternName, ComponentExternalKind, ComponentImport,
    ComponentInstance, ComponentOuterAliasKind, ComponentType, ComponentTypeRef, Encoding, Parser, Payload,
};

/// The parts of a component, by their indices.
#[derive(Default)]
pub struct Graph<'a> {
    /// The interfaces that are imported.
    pub interfaces: Vec<Interface<'a>>,
    /// The bytes of the core modules.
    pub modules: Vec<Range<usize>>,
    /// The core instances.
    pub core_instances: Vec<CoreInstance<'a>>,
    /// The functions that are lowered, and those that are lifted.
    pub lowered: Vec<Lowered<'a>>,
    pub lifted: Vec<Lifted<'a>>,
    /// The exports, with the instance of each; `None` for other kinds.
    pub exports: Vec<(&'a str, Option<InstanceDefinition<'a>>)>,
    pub(super) core_functions: Vec<CoreFunction<'a>>,
    pub(super) core_memories: Vec<CoreExport<'a>>,
    pub(super) core_tables: Vec<CoreExport<'a>>,
    pub(super) types: Vec<Type<'a>>,
    pub(super) functions: Vec<Function<'a>>,
    instances: Vec<InstanceDefinition<'a>>,
    /// Of each nested component, the imported function that each export is.
    components: Vec<HashMap<&'a str, &'a str>>,
}

/// An imported interface.
#[derive(Clone, Debug)]
pub struct Interface<'a> {
    /// Its name without the version.
    pub name: &'a str,
    pub version: Version,
}

/// An export of an imported instance.
#[derive(Clone, Copy, Debug)]
pub struct Imported<'a> {
    /// The index of the interface.
    pub interface: usize,
    pub name: &'a str,
}

/// A component function.
#[derive(Clone, Copy, Debug)]
pub enum Function<'a> {
    Imported(Imported<'a>),
    /// The index among the lifted functions.
    Lifted(usize),
}

/// A component type.
#[derive(Clone, Copy, Debug)]
pub enum Type<'a> {
    Imported(Imported<'a>),
    /// Any type that is defined in the component. None of them is a resource.
    Defined,
}

/// An instance of a component.
#[derive(Clone)]
pub enum InstanceDefinition<'a> {
    /// The index of the interface.
    Imported(usize),
    /// The functions that it exports. Types can be left out, because the index space of types has them already.
    Functions(HashMap<&'a str, Function<'a>>),
}

/// The entry at an index of an index space.
pub fn at<'s, T>(space: &'s [T], what: &'static str, index: u32) -> Result<&'s T, Misfit> {
    space.get(index as usize).ok_or(Misfit::Index { what, index })
}

/// An index that is known to exist.
pub fn checked<T>(space: &[T], what: &'static str, index: u32) -> Result<usize, Misfit> {
    at(space, what, index).map(|_| index as usize)
}

/// The plain name of an import or export. Annotations change the meaning of a name in proposals for later versions.
pub fn plain<'a>(name: &ComponentExternName<'a>) -> Result<&'a str, Misfit> {
    match name {
        ComponentExternName { name, implements: None, version_suffix: None, external_id: None } => Ok(name),
        _ => Err(Misfit::Unknown("an annotated name")),
    }
}

impl<'a> Graph<'a> {
    /// Reads a component.
    pub fn read(component: &'a [u8]) -> Result<Self, Misfit> {
        let mut graph = Self::default();
        // How many modules and components the payload is nested in. They are read on their own.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload?;
            let outermost = depth == 0;
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                _ => {}
            }
            if outermost {
                graph.section(payload, component)?;
            }
        }
        Ok(graph)
    }

    fn section(&mut self, payload: Payload<'a>, component: &'a [u8]) -> Result<(), Misfit> {
        match payload {
            Payload::Version { encoding: Encoding::Component, .. }
            | Payload::CustomSection(_)
            | Payload::End(_) => Ok(()),
            Payload::Version { encoding: Encoding::Module, .. } => Err(Misfit::NotAComponent),
            Payload::ModuleSection { unchecked_range, .. } => {
                self.modules.push(unchecked_range);
                Ok(())
            }
            Payload::ComponentSection { unchecked_range, .. } => {
                let bytes = component.get(unchecked_range);
                let bytes = bytes.ok_or(Misfit::Unknown("a nested component that is cut short"))?;
                self.components.push(nested::passed_on(bytes)?);
                Ok(())
            }
            Payload::InstanceSection(section) => each(section, |instance| self.core_instance(instance)),
            Payload::ComponentInstanceSection(section) => each(section, |instance| self.instance(instance)),
            Payload::ComponentAliasSection(section) => each(section, |alias| self.alias(&alias)),
            Payload::ComponentTypeSection(section) => each(section, |ty| self.component_type(&ty)),
            Payload::ComponentCanonicalSection(section) => each(section, |canon| self.canonical(canon)),
            Payload::ComponentImportSection(section) => each(section, |import| self.import(&import)),
            Payload::ComponentExportSection(section) => each(section, |export| self.export(&export)),
            Payload::ComponentStartSection { .. } => Err(Misfit::Start),
            Payload::CoreTypeSection(_) => Err(Misfit::Unknown("a core type")),
            _ => Err(Misfit::Unknown("an unknown section")),
        }
    }

    fn component_type(&mut self, ty: &ComponentType<'a>) -> Result<(), Misfit> {
        if let ComponentType::Resource { .. } = ty {
            return Err(Misfit::OwnResources);
        }
        self.types.push(Type::Defined);
        Ok(())
    }

    fn import(&mut self, import: &ComponentImport<'a>) -> Result<(), Misfit> {
        let name = plain(&import.name)?;
        let ComponentTypeRef::Instance(_) = import.ty else {
            return Err(Misfit::ImportKind(name.to_owned()));
        };
        let interface = interface(name).ok_or_else(|| Misfit::Edition(name.to_owned()))?;
        if interface.version > IMPLEMENTED {
            return Err(Misfit::Newer(name.to_owned()));
        }
        self.instances.push(InstanceDefinition::Imported(self.interfaces.len()));
        self.interfaces.push(interface);
        Ok(())
    }

    fn export(&mut self, export: &ComponentExport<'a>) -> Result<(), Misfit> {
        let name = plain(&export.name)?;
        // An export is also a new entry of its index space.
        let instance = match export.kind {
            ComponentExternalKind::Instance => {
                let instance = at(&self.instances, "instance", export.index)?.clone();
                self.instances.push(instance.clone());
                Some(instance)
            }
            ComponentExternalKind::Func => {
                let function = *at(&self.functions, "function", export.index)?;
                self.functions.push(function);
                None
            }
            ComponentExternalKind::Type => {
                let ty = *at(&self.types, "type", export.index)?;
                self.types.push(ty);
                None
            }
            _ => return Err(Misfit::OtherExport(name.to_owned())),
        };
        self.exports.push((name, instance));
        Ok(())
    }

    fn alias(&mut self, alias: &ComponentAlias<'a>) -> Result<(), Misfit> {
        match *alias {
            ComponentAlias::CoreInstanceExport { kind, instance_index, name } => {
                self.alias_of_core_instance(kind, instance_index, name)
            }
            ComponentAlias::InstanceExport { kind, instance_index, name } => {
                self.alias_of_instance(kind, instance_index, name)
            }
            // Only what the component itself has can be meant, because nothing is around it.
            ComponentAlias::Outer { kind: ComponentOuterAliasKind::Type, count: 0, index } => {
                let ty = *at(&self.types, "type", index)?;
                self.types.push(ty);
                Ok(())
            }
            ComponentAlias::Outer { .. } => Err(Misfit::Unknown("an outer alias")),
        }
    }

    fn alias_of_instance(
        &mut self,
        kind: ComponentExternalKind,
        instance: u32,
        name: &'a str,
    ) -> Result<(), Misfit> {
        match (kind, at(&self.instances, "instance", instance)?) {
            (ComponentExternalKind::Func, &InstanceDefinition::Imported(interface)) => {
                self.functions.push(Function::Imported(Imported { interface, name }));
            }
            (ComponentExternalKind::Type, &InstanceDefinition::Imported(interface)) => {
                self.types.push(Type::Imported(Imported { interface, name }));
            }
            (ComponentExternalKind::Func, InstanceDefinition::Functions(functions)) => {
                let function = functions.get(name).ok_or_else(|| Misfit::Missing(name.to_owned()))?;
                self.functions.push(*function);
            }
            _ => return Err(Misfit::Unknown("an alias of an export that is not a function or type")),
        }
        Ok(())
    }

    fn instance(&mut self, instance: ComponentInstance<'a>) -> Result<(), Misfit> {
        let mut functions = HashMap::new();
        match instance {
            ComponentInstance::Instantiate { component_index, args } => {
                let mut given = HashMap::new();
                for argument in &args {
                    if argument.kind == ComponentExternalKind::Func {
                        given.insert(argument.name, *at(&self.functions, "function", argument.index)?);
                    }
                }
                for (&export, &import) in at(&self.components, "component", component_index)? {
                    let function = given.get(import).ok_or_else(|| Misfit::Missing(import.to_owned()))?;
                    functions.insert(export, *function);
                }
            }
            ComponentInstance::FromExports(exports) => {
                for export in &exports {
                    match export.kind {
                        ComponentExternalKind::Func => {
                            let function = *at(&self.functions, "function", export.index)?;
                            functions.insert(plain(&export.name)?, function);
                        }
                        ComponentExternalKind::Type => {}
                        _ => {
                            return Err(Misfit::Unknown("an instance of more than functions and types"));
                        }
                    }
                }
            }
        }
        self.instances.push(InstanceDefinition::Functions(functions));
        Ok(())
    }
}

/// Handles each item of a section.
fn each<'a, T: wasmparser::FromReader<'a>>(
    section: wasmparser::SectionLimited<'a, T>,
    mut handle: impl FnMut(T) -> Result<(), Misfit>,
) -> Result<(), Misfit> {
    section.into_iter().try_for_each(|item| handle(item?))
}

/// The interface that a name stands for, if it is one of a release of WASI 0.2.
fn interface(name: &str) -> Option<Interface<'_>> {
    let parsed = InterfaceName::parse(name)?;
    let wasi = parsed.package.starts_with("wasi:") && parsed.edition() == Edition::V02;
    let (path, _) = name.split_once('@')?;
    parsed.version.filter(|_| wasi).map(|version| Interface { name: path, version })
}
