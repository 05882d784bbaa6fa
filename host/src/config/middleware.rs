//! Components before the guest of a site (`--middleware`), each with its own grants.

use super::grants::Grants;
use super::{ConfigError, read_grants};
use crate::cli;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A component that passes requests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Middleware {
    /// Its file.
    pub file: PathBuf,
    /// What each of its instances is given.
    pub grants: Grants,
}

/// What a directory begins with.
const DIRECTORY: &str = "dir=";

/// What a variable begins with.
const VARIABLE: &str = "env=";

/// What each grant begins with.
const KEYS: [&str; 3] = [DIRECTORY, VARIABLE, "allow-host="];

impl Middleware {
    /// Reads `FILE[,GRANT]...`. A comma that no grant follows belongs to the grant before it, such as to the value of a variable.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let fault = || ConfigError::Middleware(text.to_owned());
        let (file, given) = split(text).ok_or_else(fault)?;
        let mut grants = cli::Grants::default();
        for (key, value) in given {
            let values = match key {
                DIRECTORY => &mut grants.dir,
                VARIABLE => &mut grants.env,
                _ => &mut grants.allow_host,
            };
            values.push(value.to_owned());
        }
        Ok(Self { file: PathBuf::from(file), grants: read_grants(&grants, &[])? })
    }
}

/// The file and the grants of a middleware: their keys and values; `None` if the text is no such thing.
fn split(text: &str) -> Option<(&str, Vec<(&'static str, &str)>)> {
    let (file, mut rest) = text.split_once(',').map_or((text, None), |(file, rest)| (file, Some(rest)));
    let mut grants = Vec::new();
    while let Some(grant) = rest {
        let mut commas = grant.match_indices(',').map(|(at, _)| at);
        let (this, others) = match commas.find(|at| key(&grant[at + 1..]).is_some()) {
            Some(end) => (&grant[..end], Some(&grant[end + 1..])),
            None => (grant, None),
        };
        let key = key(this)?;
        grants.push((key, &this[key.len()..]));
        rest = others;
    }
    (!file.is_empty()).then_some((file, grants))
}

/// The same text, with relative paths that begin at this directory; `None` if the directory cannot be in it.
pub(in crate::config) fn resolve(text: &str, base: &Path) -> Option<OsString> {
    let Some((file, grants)) = split(text) else { return Some(text.into()) };
    let base = base.to_str().filter(|base| !base.contains("::") && !base.contains(','));
    let resolved = |path: &str| match (path, base) {
        ("", _) => Some(path.to_owned()),
        (path, _) if path.starts_with("::") || Path::new(path).is_absolute() => Some(path.to_owned()),
        (path, Some(base)) => Path::new(base).join(path).to_str().map(str::to_owned),
        (_, None) => None,
    };
    let mut text = resolved(file)?;
    for (key, value) in grants {
        let value = if key == DIRECTORY { resolved(value)? } else { value.to_owned() };
        text.extend([",", key, &value]);
    }
    Some(text.into())
}

/// The key that a grant begins with.
fn key(text: &str) -> Option<&'static str> {
    KEYS.into_iter().find(|key| text.starts_with(key))
}

#[cfg(test)]
mod tests {
    use super::{ConfigError, Middleware};

    #[test]
    fn a_middleware_is_a_file_and_its_grants() {
        let plain = Middleware::parse("a.wasm").unwrap();
        assert_eq!(
            (plain.file.to_str(), plain.grants),
            (Some("a.wasm"), super::read_grants(&crate::cli::Grants::default(), &[]).unwrap())
        );
        let Middleware { grants, .. } =
            Middleware::parse("a.wasm,env=USERS=a:b,c:d,dir=x::/y,env=B=,allow-host=example.com:81").unwrap();
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(grants.environment, [variable("USERS", "a:b,c:d"), variable("B", "")]);
        assert_eq!(grants.directories[0].host.to_str(), Some("x"));
        assert_eq!(grants.directories[0].guest, "/y");
        assert_eq!(grants.network.hosts[0].to_string(), "example.com:81");
    }

    #[test]
    fn relative_paths_begin_at_a_directory() {
        let resolve = |text: &str, base: &str| super::resolve(text, base.as_ref());
        assert_eq!(resolve("a.wasm,dir=b::/,env=A=b", "/x"), Some("/x/a.wasm,dir=/x/b::/,env=A=b".into()));
        assert_eq!(resolve("/a.wasm,dir=/b", "/x,y"), Some("/a.wasm,dir=/b".into()));
        assert_eq!(resolve("a.wasm", "/x,y"), None);
    }

    #[test]
    fn anything_else_is_none() {
        for text in ["", ",env=A=b", "a.wasm,", "a.wasm,x", "a.wasm,b.wasm,env=A=b", "a.wasm,,env=A=b"] {
            assert_eq!(Middleware::parse(text), Err(ConfigError::Middleware(text.to_owned())), "{text}");
        }
        assert_eq!(Middleware::parse("a.wasm,env=A"), Err(ConfigError::Variable("A".to_owned())));
        assert_eq!(Middleware::parse("a.wasm,dir="), Err(ConfigError::Directory(String::new())));
    }
}
