//! Where components come from, and by whom they have to be signed.

use super::{ConfigError, above_zero, defaults, seconds};
use crate::cli;
use crate::component::location::Location;
use crate::oci::reference::{Reference, Registry};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which components are taken, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Components {
    /// The files of public keys, one of which every component has to be signed by; none where none has to be.
    pub keys: Vec<PathBuf>,
    /// Whether a tag alone is enough to name a component without a signature.
    pub allow_tag: bool,
    /// How many bytes of what registries have sent are kept.
    pub cache: u64,
    /// How registries are asked.
    pub registries: Registries,
}

/// How registries are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registries {
    /// The file of user names and passwords; `None` for that of Docker, if there is one.
    pub auth: Option<PathBuf>,
    /// Those that are asked by clear HTTP, in addition to those of this machine.
    pub in_clear: Vec<Registry>,
    /// How long a component may take to come or to go.
    pub time: Duration,
}

impl Components {
    /// Validates the arguments. This has no side effects.
    pub(super) fn new(arguments: cli::Components) -> Result<Self, ConfigError> {
        let cli::Components { verify_key: keys, allow_tag, registry_cache, registries } = arguments;
        if keys.iter().any(|key| key.as_os_str().is_empty()) {
            return Err(ConfigError::NoKeyFile);
        }
        let cache = above_zero("--registry-cache", registry_cache, defaults::REGISTRY_CACHE)?;
        Ok(Self { keys, allow_tag, cache: u64::from(cache) << 20, registries: Registries::new(registries)? })
    }

    /// Refuses a component that a registry can replace unnoticed.
    pub(super) fn check(&self, location: &Location) -> Result<(), ConfigError> {
        let Location::Registry(reference) = location else { return Ok(()) };
        match (&reference.digest, &reference.tag) {
            (None, None) => Err(ConfigError::Unnamed(reference.to_string())),
            (None, Some(_)) if !self.allow_tag && self.keys.is_empty() => {
                Err(ConfigError::Tag(reference.to_string()))
            }
            _ => Ok(()),
        }
    }
}

impl Registries {
    /// Validates the arguments. This has no side effects.
    pub(super) fn new(arguments: cli::Registries) -> Result<Self, ConfigError> {
        let cli::Registries { registry_auth: auth, registry_in_clear, registry_timeout } = arguments;
        let in_clear = registry_in_clear.into_iter().map(|text| {
            Registry::parse(&text).ok_or(ConfigError::Host { flag: "--registry-in-clear", text })
        });
        Ok(Self {
            auth,
            in_clear: in_clear.collect::<Result<_, _>>()?,
            time: seconds("--registry-timeout", registry_timeout, defaults::REGISTRY_TIMEOUT)?,
        })
    }

    /// Whether what is sent to this host, with the port that its scheme has, may be sent in the clear.
    pub fn may_be_in_clear(&self, registry: &Registry) -> bool {
        registry.is_loopback() || self.in_clear.contains(registry)
    }
}

/// Reads where a component is.
pub(super) fn location(text: &Path) -> Result<Location, ConfigError> {
    Location::parse(text).map_err(|why| reference_error(&text.display().to_string(), why))
}

/// Reads where a component is sent.
pub(super) fn target(text: &str) -> Result<Reference, ConfigError> {
    let reference = Reference::parse(text).map_err(|why| reference_error(text, why))?;
    if reference.digest.is_some() {
        return Err(ConfigError::TargetWithDigest(reference.to_string()));
    }
    Ok(reference)
}

fn reference_error(text: &str, why: &'static str) -> ConfigError {
    ConfigError::Reference { text: text.to_owned(), why }
}
