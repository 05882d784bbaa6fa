//! Loading components: from files and from registries, each checked by its signature before anything else looks at it.

use super::location::Location;
use super::{Guest, Role};
use crate::config::components::Components;
use crate::oci::{Source, cache};
use crate::signature::Keys;
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};

/// What loads components.
#[derive(Debug)]
pub struct Loader {
    /// The keys, by one of which components have to be signed.
    keys: Option<Keys>,
    source: Source,
}

impl Loader {
    /// Reads the keys.
    pub fn new(Components { keys, cache, registries, .. }: &Components) -> Result<Self> {
        let keys = if keys.is_empty() { None } else { Some(Keys::read(keys)?) };
        Ok(Self { keys, source: Source::new(registries.clone(), *cache) })
    }

    /// Loads the component at a location for this role.
    pub fn load(&self, location: &Location, role: Role) -> Result<Guest> {
        match location {
            Location::File(path) => {
                let name = path.display().to_string();
                if path.is_dir() {
                    bail!("the {role} `{name}` is a directory; a directory is served with --dir {name}");
                }
                let bytes =
                    std::fs::read(path).with_context(|| format!("cannot read the {role} `{name}`"))?;
                if let Some(keys) = &self.keys {
                    let checked = keys.check_file(path, &bytes);
                    checked.with_context(|| format!("the {role} `{name}` cannot be used"))?;
                }
                Guest::from_bytes(&name, role, bytes)
            }
            Location::Registry(reference) => {
                let fetched = self.source.fetch(reference, self.keys.as_ref());
                let fetched = fetched.with_context(|| format!("the {role} `{reference}` cannot be used"))?;
                let name = reference.with_digest(fetched.digest).to_string();
                Guest::from_bytes(&name, role, fetched.bytes)
            }
        }
    }

    /// Takes only files, and what has come from registries before: the process restricts itself.
    pub fn confine(&self) {
        self.source.confine();
    }

    /// The files that say what a component in a file is: itself, and those that may hold its signature.
    pub fn files_of(&self, file: &Path) -> impl Iterator<Item = PathBuf> {
        let signatures = self.keys.iter().flat_map(|keys| keys.files_of(file).collect::<Vec<_>>());
        let signatures: Vec<_> = signatures.collect();
        std::iter::once(file.to_owned()).chain(signatures)
    }

    /// What has to stay readable for components to be loaded again, apart from their files: the cache, into which another process
    /// may fetch one.
    pub fn place() -> Option<PathBuf> {
        cache::place().ok()
    }
}
