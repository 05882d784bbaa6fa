//! Names of interfaces, such as `wasi:http/types@0.2.12`, and the versions of WASI that this host has.

use semver::Version;
use std::fmt;

/// The version of WASI 0.2 that the runtime implements. It links imports of every earlier 0.2 as well.
pub const IMPLEMENTED: Version = Version::new(0, 2, 12);

/// The version of WASI 0.3 that the runtime implements.
pub const IMPLEMENTED_V03: Version = Version::new(0, 3, 0);

/// The name of an interface with its version, if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceName<'a> {
    /// Namespace and package, such as `wasi:http`.
    pub package: &'a str,
    /// The interface in that package, such as `types`.
    pub interface: &'a str,
    /// The version of the package.
    pub version: Option<Version>,
}

/// A version of WASI, as far as this host distinguishes them. Newer ones are greater, and those that this host does not run
/// are the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edition {
    /// Anything that this host does not run, such as release candidates.
    Unknown,
    /// A release of 0.2.
    V02,
    /// A release of 0.3.
    V03,
}

impl<'a> InterfaceName<'a> {
    /// Parses a name; `None` if it does not name an interface.
    pub fn parse(name: &'a str) -> Option<Self> {
        let (path, version) = match name.split_once('@') {
            Some((path, version)) => (path, Some(Version::parse(version).ok()?)),
            None => (name, None),
        };
        let (package, interface) = path.split_once('/')?;
        package.contains(':').then_some(Self { package, interface, version })
    }

    /// Whether package and interface are these, in any version.
    pub fn is(&self, package: &str, interface: &str) -> bool {
        self.package == package && self.interface == interface
    }

    /// The edition that its version belongs to.
    pub fn edition(&self) -> Edition {
        let release = self.version.as_ref().filter(|version| version.pre.is_empty());
        match release.map(|version| (version.major, version.minor)) {
            Some((0, 2)) => Edition::V02,
            Some((0, 3)) => Edition::V03,
            _ => Edition::Unknown,
        }
    }
}

impl Edition {
    /// The version, as it stands in JSON.
    pub fn version(self) -> &'static str {
        match self {
            Self::V02 => "0.2",
            Self::V03 => "0.3",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V02 | Self::V03 => write!(f, "WASI {}", self.version()),
            Self::Unknown => f.write_str("an unknown version of WASI"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Edition, InterfaceName};

    #[test]
    fn a_name_is_a_package_an_interface_and_a_version() {
        let name = InterfaceName::parse("wasi:http/types@0.2.12").unwrap();
        assert!(name.is("wasi:http", "types"));
        assert_eq!(name.version.unwrap().to_string(), "0.2.12");
        let name = InterfaceName::parse("tests:guests/unheard-of").unwrap();
        assert!(name.is("tests:guests", "unheard-of"));
        for text in ["run", "a/b", "wasi:http", "wasi:http/types@0.2", "wasi:http/types@", ""] {
            assert_eq!(InterfaceName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_releases_are_an_edition_that_runs() {
        let edition = |text| InterfaceName::parse(text).unwrap().edition();
        assert_eq!(edition("wasi:cli/run@0.2.0"), Edition::V02);
        assert_eq!(edition("wasi:cli/run@0.2.99"), Edition::V02);
        assert_eq!(edition("wasi:cli/run@0.2.0-rc-2023-11-10"), Edition::Unknown);
        assert_eq!(edition("wasi:cli/run@0.3.0"), Edition::V03);
        assert_eq!(edition("wasi:cli/run@0.3.7"), Edition::V03);
        assert_eq!(edition("wasi:cli/run@0.3.0-rc-2025-09-16"), Edition::Unknown);
        assert_eq!(edition("wasi:cli/run@1.2.0"), Edition::Unknown);
        assert_eq!(edition("wasi:cli/run"), Edition::Unknown);
    }
}
