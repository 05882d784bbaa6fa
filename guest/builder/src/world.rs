//! The interfaces that a world allows its components to import, and those that a component imports.

use crate::workspace;
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeSet;
use wit_component::DecodedWasm;
use wit_parser::{PackageId, Resolve, WorldId};

/// The interfaces that a component imports.
pub fn imports_of_component(component: &[u8]) -> Result<BTreeSet<String>> {
    match wit_component::decode(component)? {
        DecodedWasm::Component(resolve, world) => Ok(imports(&resolve, world)),
        DecodedWasm::WitPackage(..) => bail!("this is a package of interfaces, not a component"),
    }
}

/// The packages of worlds, each with its interfaces: those of WASI 0.2 and those of WASI 0.3.
const PACKAGES: [&str; 2] = ["wit", "wit/p3"];

fn resolve() -> Result<(Resolve, Vec<PackageId>)> {
    let mut resolve = Resolve::default();
    let packages = PACKAGES.iter().map(|package| Ok(resolve.push_dir(workspace().join(package))?.0));
    let packages = packages.collect::<Result<_>>()?;
    Ok((resolve, packages))
}

/// The interfaces that a world of `wit/` allows its components to import.
pub fn imports_of_world(world: &str) -> Result<BTreeSet<String>> {
    let (resolve, packages) = resolve()?;
    let found = packages.iter().find_map(|package| resolve.packages[*package].worlds.get(world));
    let found = found.with_context(|| format!("no world {world} in wit/"))?;
    Ok(imports(&resolve, *found))
}

/// Every function of the interfaces in `wit/`, one per line: the interface with the first two numbers of its version, a
/// space, and the name under which components import the function, such as `wasi:http/types@0.2 [method]fields.get`.
pub fn functions() -> Result<String> {
    let (resolve, _) = resolve()?;
    let mut lines = BTreeSet::new();
    for interface in resolve.interfaces.iter().map(|(_, interface)| interface) {
        let (Some(name), Some(package)) = (&interface.name, interface.package) else { continue };
        let package = &resolve.packages[package].name;
        let Some(version) = &package.version else { continue };
        let (major, minor) = (version.major, version.minor);
        for function in interface.functions.keys() {
            lines.insert(format!(
                "{}:{}/{name}@{major}.{minor} {function}\n",
                package.namespace, package.name
            ));
        }
    }
    Ok(lines.into_iter().collect())
}

fn imports(resolve: &Resolve, world: WorldId) -> BTreeSet<String> {
    resolve.worlds[world].imports.keys().map(|key| resolve.name_world_key(key)).collect()
}
