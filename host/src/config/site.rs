//! A site: the names and paths that it answers for, a component, what its instances are given, and its limits.

use super::grants::{DirectoryGrant, Grants, ROOT, ScratchPer, name, site_name};
use super::limits::{BodyLimits, Limits};
use super::middleware::Middleware;
use super::prefix::Prefix;
use super::tls::{Pair, pairs};
use super::{ConfigError, Executor, Instances, above_zero, components, defaults, read_grants, seconds};
use crate::cli;
use crate::component::location::Location;
use guest::config::{AUTH, RULE_TEXTS, Settings};
use guest::guard::{DEFAULT_REALM, REALM};
use http::header::HeaderName;
use std::path::PathBuf;
use std::time::Duration;

/// The configuration of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its host names in lower case: of a server with several sites, those of this one, and otherwise those of
    /// `--allow-name`. `*` is every other name, and `*.example.com` every name with one more label.
    pub names: Vec<String>,
    /// The paths that it answers for.
    pub prefix: Prefix,
    /// Whether its component gets paths without the prefix.
    pub strip_prefix: bool,
    /// What logs and metrics call it: its first name and its prefix, or `default` if it is the only one.
    pub label: String,
    /// The certificates of its names.
    pub pairs: Vec<Pair>,
    /// The component; `None` for the built-in one.
    pub guest: Option<Location>,
    /// What the settings of the built-in component ask of the host.
    pub asked: Asked,
    /// Components that stand before it, the one that clients reach first.
    pub middlewares: Vec<Middleware>,
    /// The field of requests that tells its components the address of the client.
    pub client_address: Option<HeaderName>,
    /// Who has to log in.
    pub login: Login,
    /// What each instance is given.
    pub grants: Grants,
    /// The limits of each instance.
    pub limits: Limits,
    /// How many requests each instance answers.
    pub reuse: u32,
    /// How many of them at a time.
    pub concurrent: u32,
    /// In which way the component runs.
    pub executor: Executor,
    /// Where its instances come from.
    pub instances: Instances,
    /// The bodies of requests.
    pub body: BodyLimits,
    /// How long a guest may wait between two pieces of its answer.
    pub silence: Duration,
}

/// What the settings of the built-in component ask of the host; of other components, they are unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// It has to render Markdown.
    pub markdown: bool,
    /// It may look for digests, which the host then computes.
    pub digests: bool,
    /// It may send archives of directories, which are few at a time.
    pub archives: bool,
}

impl Asked {
    fn by(settings: &Settings) -> Self {
        Self {
            markdown: settings.renders_readme(),
            digests: settings.digests,
            archives: settings.archive.same_for_all() != Some(&false),
        }
    }
}

/// Whose passwords a host knows, and how they may come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// The file of passwords.
    pub file: Option<PathBuf>,
    /// Whether they may come in the clear.
    pub in_clear: bool,
}

/// The label of a site without a name.
const DEFAULT_LABEL: &str = "default";

impl Site {
    /// Validates the arguments of a server that has no other site.
    pub(super) fn only(names: &[String], arguments: cli::Site) -> Result<Self, ConfigError> {
        let names = names.iter().map(|text| name(text)).collect::<Result<_, _>>()?;
        let mut site = Self::new(names, Prefix::default(), DEFAULT_LABEL.to_owned(), arguments)?;
        let directories = &mut site.grants.directories;
        if directories.is_empty() {
            directories.push(DirectoryGrant { host: PathBuf::from("."), guest: ROOT.to_owned() });
        }
        Ok(site)
    }

    /// Validates the arguments of one of several sites.
    pub(super) fn named(section: cli::Section) -> Result<Self, ConfigError> {
        let cli::Section { names, prefix, strip_prefix, site } = section;
        let names: Vec<_> = names.iter().map(|text| site_name(text)).collect::<Result<_, _>>()?;
        let first = names.first().ok_or(ConfigError::SiteWithoutName)?;
        let prefix = prefix.as_deref().map(Prefix::parse).transpose()?.unwrap_or_default();
        let label = format!("{first}{}", if prefix.is_root() { "" } else { prefix.as_str() });
        let site = Self::new(names, prefix, label, site)?;
        // Of several sites, none has a directory by chance.
        if site.guest.is_none() && site.grants.directories.is_empty() {
            return Err(ConfigError::SiteWithoutDirectory);
        }
        Ok(Self { strip_prefix: strip_prefix.unwrap_or(true), ..site })
    }

    fn new(
        names: Vec<String>,
        prefix: Prefix,
        label: String,
        arguments: cli::Site,
    ) -> Result<Self, ConfigError> {
        let cli::Site {
            guest,
            certificates,
            middleware,
            client_address,
            login: cli::Login { auth_file, auth_in_clear },
            mut grants,
            max_instances,
            reuse,
            reuse_concurrent,
            executor,
            instances,
            size,
            body,
            timeout,
            silence_timeout,
            files,
        } = arguments;
        let max_instances = max_instances.unwrap_or(defaults::MAX_INSTANCES);
        let limits = Limits::new(max_instances, size, Some(timeout.unwrap_or(defaults::TIMEOUT)))?;
        let concurrent = above_zero("--reuse-concurrent", reuse_concurrent, defaults::REUSE_CONCURRENT)?;
        let usual = if concurrent > 1 { defaults::REUSE_OF_CONCURRENT } else { defaults::REUSE };
        let reuse = above_zero("--reuse", reuse, usual)?;
        if reuse < concurrent {
            return Err(ConfigError::ConcurrentBeyondReuse { concurrent, reuse });
        }
        if reuse > 1 && instances == Some(Instances::New) {
            return Err(ConfigError::NewAndReused(reuse));
        }
        let middlewares = Middleware::chain(&middleware, &label, grants.keyvalue_size)?;
        if middlewares.iter().any(|middleware| !middleware.grants.stores.is_empty())
            && grants.keyvalue.is_empty()
        {
            // It is the size of their stores.
            grants.keyvalue_size = None;
        }
        let mut grants = read_grants(&grants, &[])?;
        grants.holder.site.clone_from(&label);
        if reuse > 1 && grants.scratch.is_some_and(|scratch| scratch.per == ScratchPer::Request) {
            let (flag, requests) =
                if concurrent > 1 { ("--reuse-concurrent", concurrent) } else { ("--reuse", reuse) };
            return Err(ConfigError::ScratchReused { flag, requests });
        }
        let login = Login { file: auth_file, in_clear: auth_in_clear };
        let realm = login.file.as_ref().map(|_| realm(&label));
        let (environment, settings) = with_settings(grants.environment, files, guest.is_none(), realm)?;
        grants.environment = environment;
        Ok(Self {
            names,
            prefix,
            strip_prefix: true,
            label,
            pairs: pairs(certificates)?,
            guest: guest.as_deref().map(components::location).transpose()?,
            asked: settings.as_ref().map(Asked::by).unwrap_or_default(),
            middlewares,
            client_address: client_address.as_deref().map(address_field).transpose()?,
            login,
            grants,
            limits,
            reuse,
            concurrent,
            executor: executor.unwrap_or_default(),
            instances: instances.unwrap_or_default(),
            body: BodyLimits::new(body)?,
            silence: seconds("--silence-timeout", silence_timeout, defaults::SILENCE_TIMEOUT)?,
        })
    }

    /// Where its components are, the one that clients reach first. The built-in one is in none.
    pub fn locations(&self) -> impl Iterator<Item = &Location> {
        self.middlewares.iter().map(|middleware| &middleware.location).chain(&self.guest)
    }

    /// What its components are given, the one that clients reach first.
    pub fn all_grants(&self) -> impl DoubleEndedIterator<Item = &Grants> {
        self.middlewares.iter().map(|middleware| &middleware.grants).chain([&self.grants])
    }

    /// Whether some of its paths need a password.
    pub fn has_logins(&self) -> bool {
        self.grants.environment.iter().any(|(name, _)| name == REALM)
    }

    /// The value of [`REALM`] for its component, where paths need a password.
    pub fn realm(&self) -> String {
        realm(&self.label)
    }

    /// Turns listings of the built-in guest on, unless `FILES_LISTING` is set. This is meant for servers that only this
    /// machine can reach. With `--allow-name` it does nothing: a web page could then read the listings by DNS rebinding.
    pub fn list_by_default(&mut self) {
        const LISTING: &str = "FILES_LISTING";
        let environment = &mut self.grants.environment;
        if self.guest.is_none()
            && self.names.is_empty()
            && !environment.iter().any(|(name, _)| name == LISTING)
        {
            environment.push((LISTING.to_owned(), "on".to_owned()));
        }
    }
}

/// The realm of the site with this label: browsers send no password of one to another.
fn realm(label: &str) -> String {
    if label == DEFAULT_LABEL { DEFAULT_REALM.to_owned() } else { label.to_owned() }
}

/// Fields that have a meaning already: the host, HTTP itself, or what has a syntax of its own for addresses.
const OTHER_FIELDS: [&str; 9] = [
    "connection",
    "content-length",
    "forwarded",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Reads the value of `--client-address`.
fn address_field(text: &str) -> Result<HeaderName, ConfigError> {
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    let name = name.filter(|name| !OTHER_FIELDS.contains(&name.as_str()));
    name.ok_or_else(|| ConfigError::AddressField(text.to_owned()))
}

/// The variables of an environment.
type Variables = Vec<(String, String)>;

/// The guest's environment: the variables of `--env`, then those of the file server's flags, and the realm where passwords are
/// known. They are validated for the built-in guest only, because the settings of other guests are unknown.
///
/// The second value is what they say to the built-in guest.
fn with_settings(
    mut variables: Variables,
    cli::Files(files): cli::Files,
    is_built_in: bool,
    realm: Option<String>,
) -> Result<(Variables, Option<Settings>), ConfigError> {
    for (name, value) in files {
        if variables.iter().any(|(known, _)| *known == name) {
            return Err(ConfigError::SetTwice(name));
        }
        variables.push((name, value));
    }
    if is_built_in {
        let reserved = RULE_TEXTS.into_iter().find(|text| variables.iter().any(|(name, _)| name == text));
        if let Some(name) = reserved {
            return Err(ConfigError::Reserved(name));
        }
    }
    let has = |wanted: &str| variables.iter().any(|(name, _)| name == wanted);
    match (has(AUTH), realm) {
        _ if has(REALM) && is_built_in => return Err(ConfigError::ReservedRealm),
        (true, None) if is_built_in => return Err(ConfigError::NoAuthFile),
        (false, Some(_)) => return Err(ConfigError::NoAuth),
        (_, None) => {}
        (true, Some(realm)) => variables.push((REALM.to_owned(), realm)),
    }
    if is_built_in {
        let settings = Settings::checked(&variables).map_err(ConfigError::Settings)?;
        return Ok((variables, Some(settings)));
    }
    Ok((variables, None))
}

#[cfg(test)]
mod tests {
    use super::{ConfigError, address_field};

    #[test]
    fn the_address_has_a_field_of_its_own() {
        assert_eq!(address_field("Client-Address").unwrap(), "client-address");
        assert_eq!(address_field("X-Forwarded-For").unwrap(), "x-forwarded-for");
        for text in ["", "Client Address", "client:address", "Host", "forwarded", "Content-Length"] {
            assert_eq!(address_field(text), Err(ConfigError::AddressField(text.to_owned())));
        }
    }
}
