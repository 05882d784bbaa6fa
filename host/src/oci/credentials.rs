//! User names and passwords of registries, in the form of Docker's `config.json`: `{"auths": {"HOST": {"auth": "BASE64"}}}`.

use super::reference::Registry;
use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// The largest file of them, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// User names and passwords.
#[derive(Debug, Default)]
pub struct Credentials {
    document: Document,
    /// The file that they are from.
    file: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

impl Credentials {
    /// Reads this file, or that of Docker if there is one.
    pub fn read(file: Option<&Path>) -> Result<Self> {
        let docker = || {
            let directory = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
            let directory = directory.or_else(|| std::env::home_dir().map(|home| home.join(".docker")));
            directory.map(|directory| directory.join("config.json"))
        };
        let Some(path) = file.map(Path::to_owned).or_else(docker) else { return Ok(Self::default()) };
        let opened = match File::open(&path) {
            Ok(opened) => opened,
            Err(error) if file.is_none() && error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let mut text = Vec::new();
        let length = opened.take(MAX_FILE).read_to_end(&mut text);
        length.with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text, &path)
    }

    fn parse(text: &[u8], file: &Path) -> Result<Self> {
        // What serde says of JSON may quote a password.
        let document = serde_json::from_slice(text).ok().with_context(|| {
            format!("{} is not of the form {{\"auths\": {{\"HOST\": {{\"auth\": \"…\"}}}}}}", file.display())
        })?;
        Ok(Self { document, file: file.to_owned() })
    }

    /// The user name and the password for a registry, as the field `Authorization` has them after `Basic `; `None` if there
    /// are none.
    pub fn basic(&self, registry: &Registry) -> Result<Option<String>> {
        let Document { auths, cred_helpers, creds_store } = &self.document;
        let is_its = |key: &str| {
            let key = key.split_once("://").map_or(key, |(_, rest)| rest);
            key.split('/').next().is_some_and(|host| host.eq_ignore_ascii_case(registry.as_str()))
        };
        let entry = auths.iter().find(|(key, _)| is_its(key)).map(|(_, entry)| entry);
        let wrong = || format!("{} has no `user:password` in base64 for {registry}", self.file.display());
        let pair = match entry {
            Some(Entry { auth: Some(auth), .. }) if !auth.is_empty() => {
                STANDARD.decode(auth).ok().filter(|pair| pair.contains(&b':')).with_context(wrong)?
            }
            Some(Entry { username: Some(user), password: Some(password), .. }) => {
                format!("{user}:{password}").into_bytes()
            }
            _ => {
                let helper = cred_helpers.iter().find(|(key, _)| is_its(key)).map(|(_, helper)| helper);
                if let Some(helper) = helper.or(creds_store.as_ref()) {
                    bail!(
                        "{} leaves passwords to the program docker-credential-{helper}, which is not started here; name a file \
                         with `auths` by --registry-auth",
                        self.file.display()
                    );
                }
                return Ok(None);
            }
        };
        Ok(Some(STANDARD.encode(pair)))
    }
}

#[cfg(test)]
mod tests {
    use super::Credentials;
    use crate::oci::reference::Registry;
    use std::path::Path;

    fn basic(text: &str, registry: &str) -> Result<Option<String>, String> {
        let credentials = Credentials::parse(text.as_bytes(), Path::new("config.json"));
        let basic = credentials.and_then(|it| it.basic(&Registry::parse(registry).unwrap()));
        basic.map_err(|error| error.to_string())
    }

    #[test]
    fn a_registry_has_the_password_of_its_host_and_port() {
        let text = r#"{"auths": {
            "https://a.example/v1/": {"auth": "YTpi"},
            "b.example:5000": {"username": "a", "password": "b"},
            "c.example": {}}, "other": 1}"#;
        let pair = Ok(Some("YTpi".to_owned()));
        assert_eq!(basic(text, "A.example"), pair);
        assert_eq!(basic(text, "b.example:5000"), pair);
        for other in ["b.example", "c.example", "d.example"] {
            assert_eq!(basic(text, other), Ok(None), "{other}");
        }
        assert_eq!(basic("{}", "a.example"), Ok(None));
    }

    #[test]
    fn what_cannot_be_used_is_told_without_what_it_says() {
        for (text, why) in [
            ("secret", "is not of the form"),
            (r#"{"auths": {"a.example": {"auth": 7}}}"#, "is not of the form"),
            (r#"{"auths": {"a.example": {"auth": "c2VjcmV0"}}}"#, "no `user:password`"),
            (r#"{"auths": {"a.example": {"auth": "?"}}}"#, "no `user:password`"),
            (r#"{"credHelpers": {"a.example": "pass"}}"#, "docker-credential-pass, which is not started"),
            (r#"{"auths": {"a.example": {}}, "credsStore": "desktop"}"#, "docker-credential-desktop"),
        ] {
            let error = basic(text, "a.example").unwrap_err();
            assert!(error.starts_with("config.json ") && error.contains(why), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
