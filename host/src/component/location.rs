//! Where a component is: in a file, or in a registry.

use crate::oci::reference::{Reference, SCHEME};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a component is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Location {
    /// In this file.
    File(PathBuf),
    /// In a registry.
    Registry(Reference),
}

impl Location {
    /// Reads what an operator writes: a reference if it begins with `oci://`, else a path. The error says what is wrong with a
    /// reference.
    pub fn parse(text: &Path) -> Result<Self, &'static str> {
        match text.to_str().filter(|text| is_reference(text)) {
            Some(text) => Reference::parse(text).map(Self::Registry),
            None => Ok(Self::File(text.to_owned())),
        }
    }

    /// The file, if it is in one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Registry(_) => None,
        }
    }

    /// What a command is told as its own name: no directory and no registry.
    pub fn short_name(&self) -> OsString {
        match self {
            Self::File(path) => path.file_name().unwrap_or(path.as_os_str()).to_owned(),
            Self::Registry(reference) => reference.short_name().into(),
        }
    }
}

/// Whether this text is a reference to a component in a registry, and no path.
pub fn is_reference(text: &str) -> bool {
    text.starts_with(SCHEME)
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Registry(reference) => reference.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Location;
    use std::path::Path;

    #[test]
    fn what_begins_with_oci_is_in_a_registry() {
        let location = Location::parse(Path::new("oci://registry.example/a/site:1")).unwrap();
        assert_eq!((location.file(), location.short_name()), (None, "site".into()));
        assert_eq!(location.to_string(), "oci://registry.example/a/site:1");
        assert!(Location::parse(Path::new("oci://registry.example")).is_err());
        for path in ["a/b.wasm", "./oci://a/b", "oci:a", ""] {
            assert_eq!(Location::parse(Path::new(path)), Ok(Location::File(path.into())));
        }
    }
}
