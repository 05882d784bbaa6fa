//! Where the options of a server come from, in the order in which they count: the command line, the environment, a file.
//!
//! - [`keys`]: what may be given, looked up in the definition of the command line
//! - [`layer`]: what one source gives, and where
//! - [`environment`] and [`file`](mod@file): two of the sources
//! - [`schema`]: what a file may say, for editors
//! - this module: the sources together, which can be loaded again while the server runs
//!
//! An option is turned into the words that give it on a command line, and the words of all sources are parsed as one.

pub mod environment;
pub mod file;
pub mod keys;
pub mod layer;
pub mod schema;

#[cfg(test)]
mod tests;

use super::prefix::Prefix;
use super::site::Site;
use super::{ConfigError, Serve};
use crate::cli;
use clap::Command;
use file::Section;
use guest::config::VARIABLES;
use keys::{CONFIG, Keys, SITE, words};
use layer::{Given, Layer, Origin, SourceError, merge};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The options that the command line and the environment do not have beside sections in a file: each site has its own.
const OF_EACH_SITE: [&str; 4] = ["dir", keys::GUEST, TLS_CERT, TLS_KEY];
const TLS_CERT: &str = "tls-cert";
const TLS_KEY: &str = "tls-key";
const DIR: &str = "dir";
const ALLOW_NAME: &str = "allow-name";

/// The sources of the options of a server.
#[derive(Clone, Debug)]
pub struct Sources {
    keys: Keys,
    command_line: Layer,
    environment: Layer,
    warnings: Vec<String>,
    file: Option<PathBuf>,
}

impl Sources {
    /// Takes what the command line gives and what these variables give. The file is not read yet.
    pub fn new(
        command_line: Layer,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SourceError> {
        let keys = Keys::new();
        let (environment, warnings) = environment::read(&keys, variables)?;
        let given = [&command_line, &environment].into_iter().find_map(|layer| layer.get(CONFIG));
        let file = given.map(parse_path).transpose()?;
        Ok(Self { keys, command_line, environment, warnings, file })
    }

    /// The file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What is to be known of the environment: variables that are ignored.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Reads the file and makes a configuration of all sources. This can be done again later, when the file may have
    /// changed.
    pub fn load(&self) -> Result<Serve, SourceError> {
        let content = match &self.file {
            Some(file) => file::read(&self.keys, file)?,
            None => file::Content::default(),
        };
        self.combine(&content)
    }

    fn combine(&self, content: &file::Content) -> Result<Serve, SourceError> {
        let server = merge([&self.command_line, &self.environment, &content.top]);
        let arguments: cli::Serve = parse(&mut cli::serve_definition(), &server)?;
        let from_file = !content.sections.is_empty();
        let of_file = || {
            let file = self.file.as_deref().unwrap_or(Path::new("the file"));
            format!("the [[site]] sections of {}", file.display())
        };
        let sections = match server.get(SITE) {
            None => content.sections.clone(),
            Some(given) if from_file => {
                return Err(contradiction(given, SITE, &of_file()));
            }
            Some(given) => {
                if let Some(dir) = server.get(DIR) {
                    return Err(contradiction(dir, DIR, "--site, which has a directory of its own"));
                }
                arguments.sites.iter().map(|text| simple(text, given)).collect::<Result<_, _>>()?
            }
        };
        if sections.is_empty() {
            return Serve::new(arguments).map_err(|error| locate(&error, &server, &Origin::CommandLine));
        }
        if let Some(given) = server.get(ALLOW_NAME) {
            return Err(contradiction(given, ALLOW_NAME, "sites, which have names of their own"));
        }
        for key in OF_EACH_SITE.into_iter().filter(|_| from_file) {
            let layers = [&self.command_line, &self.environment];
            if let Some(given) = layers.into_iter().find_map(|layer| layer.get(key)) {
                return Err(contradiction(given, key, &of_file()));
            }
        }
        let sites = self.sites(&sections, &content.top)?;
        distinct(&sites, &sections)?;
        for (site, section) in sites.iter().zip(&sections) {
            let server = arguments.site.max_instances.unwrap_or(super::defaults::MAX_INSTANCES);
            if site.limits.instances > server {
                let error = ConfigError::SiteInstances { site: site.limits.instances, server };
                return Err(locate(&error, &section.layer, &section.origin));
            }
        }
        Serve::with_sites(arguments, sites).map_err(|error| locate(&error, &server, &Origin::CommandLine))
    }

    /// The sites of these sections.
    fn sites(&self, sections: &[Section], top: &Layer) -> Result<Vec<Site>, SourceError> {
        let mut definition = cli::site_definition();
        let (line, environment) =
            (self.keys.of_site(&self.command_line), self.keys.of_site(&self.environment));
        let defaults = self.keys.of_site(top);
        let mut without_certificates = defaults.clone();
        without_certificates.retain(|key, _| ![TLS_CERT, TLS_KEY].contains(&key.as_str()));
        let site = |section: &Section| {
            // A certificate and a key are a pair, of which no half comes from elsewhere.
            let has_own = [TLS_CERT, TLS_KEY].iter().any(|&key| section.layer.contains_key(key));
            let defaults = if has_own { &without_certificates } else { &defaults };
            let layer = merge([&line, &environment, &section.layer, defaults]);
            let parsed = cli::Section {
                names: section.names.clone(),
                prefix: section.prefix.clone(),
                strip_prefix: section.strip_prefix,
                site: parse(&mut definition, &layer)?,
            };
            Site::named(parsed).map_err(|error| {
                let own = match error {
                    ConfigError::SiteName(_) => section.origins.get(keys::NAME),
                    ConfigError::Prefix { .. } => section.origins.get(keys::PREFIX),
                    _ => None,
                };
                locate(&error, &layer, own.unwrap_or(&section.origin))
            })
        };
        sections.iter().map(site).collect()
    }
}

/// Parses what a layer gives. Each of its keys was tried alone.
fn parse<A: clap::FromArgMatches>(definition: &mut Command, layer: &Layer) -> Result<A, SourceError> {
    cli::parse_by(definition, &words(layer))
        .map_err(|message| SourceError { origin: Origin::CommandLine, message })
}

/// The value of `--config`.
fn parse_path(given: &Given) -> Result<PathBuf, SourceError> {
    let layer = Layer::from([(CONFIG.to_owned(), given.clone())]);
    let arguments: cli::Serve = parse(&mut cli::serve_definition(), &layer)?;
    arguments.config.ok_or_else(|| SourceError {
        origin: given.origin.clone(),
        message: "--config takes a file".to_owned(),
    })
}

/// The site that `--site` describes.
fn simple(text: &str, given: &Given) -> Result<Section, SourceError> {
    let wrong = || SourceError {
        origin: given.origin.clone(),
        message: format!(
            "--site takes HOST=DIR or HOST/PREFIX=DIR, such as example.com/docs=./docs, not `{text}`"
        ),
    };
    let (address, directory) = text.split_once('=').ok_or_else(wrong)?;
    let (name, prefix) = match address.find('/') {
        Some(slash) => (&address[..slash], Some(address[slash..].to_owned())),
        None => (address, None),
    };
    if name.is_empty() || directory.is_empty() {
        return Err(wrong());
    }
    let words = vec![OsString::from(format!("--{DIR}={directory}"))];
    let directory = Given { words, origin: given.origin.clone() };
    Ok(Section {
        names: vec![name.to_owned()],
        prefix,
        strip_prefix: None,
        layer: Layer::from([(DIR.to_owned(), directory)]),
        origin: given.origin.clone(),
        origins: BTreeMap::new(),
    })
}

fn contradiction(given: &Given, key: &str, other: &str) -> SourceError {
    let key = if key == keys::GUEST { "GUEST".to_owned() } else { format!("--{key}") };
    let message = format!("{key} contradicts {other}; leave one of them out");
    SourceError { origin: given.origin.clone(), message }
}

/// Refuses two sites that answer for the same.
fn distinct(sites: &[Site], sections: &[Section]) -> Result<(), SourceError> {
    let mut seen: HashMap<(&str, &Prefix), usize> = HashMap::new();
    for (index, (site, section)) in sites.iter().zip(sections).enumerate() {
        for name in &site.names {
            let first = *seen.entry((name, &site.prefix)).or_insert(index);
            if first != index {
                let error = ConfigError::SameSite { name: name.clone(), prefix: site.prefix.to_string() };
                let own = section.origins.get(keys::NAME).unwrap_or(&section.origin);
                return Err(SourceError { origin: own.clone(), message: error.to_string() });
            }
        }
    }
    Ok(())
}

/// Says where the flag was given that an error is about: the first one that it names.
fn locate(error: &ConfigError, layer: &Layer, otherwise: &Origin) -> SourceError {
    let message = error.to_string();
    let is_of_name = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    let words = message.split(|character| !is_of_name(character));
    let given = words.filter_map(|word| {
        let variable = || VARIABLES.iter().find(|variable| variable.name == word);
        match word.strip_prefix("--") {
            Some(flag) => layer.get(flag),
            // A setting of the file server comes from its flag or as a variable.
            None => variable().and_then(|it| layer.get(&cli::flag(it)).or_else(|| layer.get(ENV))),
        }
    });
    let origin = given.map(|given| &given.origin).next().unwrap_or(otherwise);
    SourceError { origin: origin.clone(), message }
}

/// The key of the variables of a guest.
const ENV: &str = "env";
