//! Components before the guest of a site (`--middleware`), each with its own grants.

use super::grants::{Grants, Holder, STORE_FILE};
use super::{ConfigError, components, read_grants};
use crate::cli;
use crate::component::location::{Location, is_reference};
use std::ffi::OsString;
use std::path::Path;

/// A component that passes requests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Middleware {
    /// Where it is.
    pub location: Location,
    /// What each of its instances is given.
    pub grants: Grants,
}

/// What a directory begins with.
const DIRECTORY: &str = "dir=";

/// What a variable begins with.
const VARIABLE: &str = "env=";

/// What a store begins with.
const STORE: &str = "keyvalue=";

/// What each grant begins with.
const KEYS: [&str; 4] = [DIRECTORY, VARIABLE, "allow-host=", STORE];

impl Middleware {
    /// Reads those of a site. Each of their stores holds so many MiB.
    pub(super) fn chain(texts: &[String], site: &str, store: Option<u32>) -> Result<Vec<Self>, ConfigError> {
        let mut chain: Vec<Self> = Vec::new();
        for text in texts {
            let mut next = Self::parse(text, store)?;
            let earlier = chain.iter().filter(|other| other.location == next.location).count();
            next.grants.holder =
                Holder { site: site.to_owned(), middleware: Some((next.location.clone(), earlier)) };
            chain.push(next);
        }
        Ok(chain)
    }

    /// Reads `FILE[,GRANT]...`. A comma that no grant follows belongs to the grant before it, such as to the value of a variable.
    fn parse(text: &str, store: Option<u32>) -> Result<Self, ConfigError> {
        let fault = || ConfigError::Middleware(text.to_owned());
        let (file, given) = split(text).ok_or_else(fault)?;
        let mut grants = cli::Grants::default();
        for (key, value) in given {
            let values = match key {
                DIRECTORY => &mut grants.dir,
                VARIABLE => &mut grants.env,
                STORE => &mut grants.keyvalue,
                _ => &mut grants.allow_host,
            };
            values.push(value.to_owned());
        }
        grants.keyvalue_size = store.filter(|_| !grants.keyvalue.is_empty());
        Ok(Self { location: components::location(Path::new(file))?, grants: read_grants(&grants, &[])? })
    }
}

/// What the grant begins with that does for a middleware what this flag does for a guest; `None` if there is none.
pub(super) fn key(flag: &str) -> Option<&'static str> {
    let name = flag.strip_prefix("--")?;
    KEYS.into_iter().find(|key| key.strip_suffix('=') == Some(name))
}

/// The file and the grants of a middleware: their keys and values; `None` if the text is no such thing.
fn split(text: &str) -> Option<(&str, Vec<(&'static str, &str)>)> {
    let (file, mut rest) = text.split_once(',').map_or((text, None), |(file, rest)| (file, Some(rest)));
    let mut grants = Vec::new();
    while let Some(grant) = rest {
        let mut commas = grant.match_indices(',').map(|(at, _)| at);
        let (this, others) = match commas.find(|at| key_of(&grant[at + 1..]).is_some()) {
            Some(end) => (&grant[..end], Some(&grant[end + 1..])),
            None => (grant, None),
        };
        let key = key_of(this)?;
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
    let mut text = if is_reference(file) { file.to_owned() } else { resolved(file)? };
    for (key, value) in grants {
        let value = match (key, value.split_once(STORE_FILE)) {
            (DIRECTORY, _) => resolved(value)?,
            (STORE, Some((name, path))) => format!("{name}{STORE_FILE}{}", resolved(path)?),
            _ => value.to_owned(),
        };
        text.extend([",", key, &value]);
    }
    Some(text.into())
}

/// The key that a grant begins with.
fn key_of(text: &str) -> Option<&'static str> {
    KEYS.into_iter().find(|key| text.starts_with(key))
}

#[cfg(test)]
mod tests {
    use super::{ConfigError, Location, Middleware};
    use crate::config::grants::{Holder, KeyValuePlace};

    fn file(path: &str) -> Location {
        Location::File(path.into())
    }

    fn parse(text: &str) -> Result<Middleware, ConfigError> {
        Middleware::parse(text, None)
    }

    #[test]
    fn a_middleware_is_a_file_and_its_grants() {
        let plain = parse("a.wasm").unwrap();
        assert_eq!(
            (plain.location, plain.grants),
            (file("a.wasm"), super::read_grants(&crate::cli::Grants::default(), &[]).unwrap())
        );
        let Middleware { grants, .. } =
            parse("a.wasm,env=USERS=a:b,c:d,dir=x::/y,env=B=,allow-host=example.com:81").unwrap();
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(grants.environment, [variable("USERS", "a:b,c:d"), variable("B", "")]);
        assert_eq!(grants.directories[0].host.to_str(), Some("x"));
        assert_eq!(grants.directories[0].guest, "/y");
        assert_eq!(grants.network.hosts[0].to_string(), "example.com:81");
    }

    #[test]
    fn stores_belong_to_one_middleware() {
        let texts = ["a.wasm,keyvalue=n=memory", "b.wasm", "a.wasm,keyvalue=n=sqlite:/x,y,keyvalue=m=memory"];
        let chain = Middleware::chain(&texts.map(str::to_owned), "s", Some(3)).unwrap();
        let holders: Vec<_> = chain.iter().map(|it| it.grants.holder.middleware.clone().unwrap()).collect();
        assert_eq!(holders, [("a.wasm", 0), ("b.wasm", 0), ("a.wasm", 1)].map(|(path, at)| (file(path), at)));
        assert_eq!(chain[0].grants.store_bytes, 3 << 20);
        let places: Vec<_> =
            chain[2].grants.stores.iter().map(|store| (&*store.name, &store.place)).collect();
        let in_file = KeyValuePlace::File("/x,y".into());
        assert_eq!(places, [("n", &in_file), ("m", &KeyValuePlace::Memory)]);
    }

    #[test]
    fn a_grant_does_what_a_flag_does() {
        let of =
            |path: Option<&str>| Holder { middleware: path.map(|path| (file(path), 0)), ..Holder::default() };
        let granted = |file, flag| of(file).grant(flag, "x:1");
        assert_eq!(granted(None, "--allow-host").as_deref(), Some("--allow-host x:1"));
        assert_eq!(granted(Some("a"), "--allow-host").as_deref(), Some("--middleware a,allow-host=x:1"));
        assert_eq!(granted(Some("a"), "--allow-tcp-connect"), None);
    }

    #[test]
    fn relative_paths_begin_at_a_directory() {
        let resolve = |text: &str, base: &str| super::resolve(text, base.as_ref());
        assert_eq!(resolve("a.wasm,dir=b::/,env=A=b", "/x"), Some("/x/a.wasm,dir=/x/b::/,env=A=b".into()));
        assert_eq!(resolve("/a.wasm,dir=/b", "/x,y"), Some("/a.wasm,dir=/b".into()));
        assert_eq!(resolve("a.wasm", "/x,y"), None);
        let reference = "oci://registry.example/a:1";
        assert_eq!(
            resolve(&format!("{reference},dir=b"), "/x"),
            Some(format!("{reference},dir=/x/b").into())
        );
        let stores = "a.wasm,keyvalue=a=memory,keyvalue=b=sqlite:c";
        assert_eq!(resolve(stores, "/x"), Some("/x/a.wasm,keyvalue=a=memory,keyvalue=b=sqlite:/x/c".into()));
    }

    #[test]
    fn anything_else_is_none() {
        for text in ["", ",env=A=b", "a.wasm,", "a.wasm,x", "a.wasm,b.wasm,env=A=b", "a.wasm,,env=A=b"] {
            assert_eq!(parse(text), Err(ConfigError::Middleware(text.to_owned())), "{text}");
        }
        assert_eq!(parse("a.wasm,env=A"), Err(ConfigError::Variable("A".to_owned())));
        assert_eq!(parse("a.wasm,dir="), Err(ConfigError::Directory(String::new())));
    }
}
