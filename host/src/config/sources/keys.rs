//! The keys of the configuration: the long flags of serving, as the command line defines them.

use super::layer::{Given, Layer, Origin};
use crate::cli;
use crate::component::location::is_reference;
use crate::config::grants::STORE_FILE;
use crate::config::middleware;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};
use guest::config::VARIABLES;
use std::any::TypeId;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The key of the positional argument.
pub const GUEST: &str = "guest";

/// The keys that only a section of a site has, besides the options of a site.
pub const NAME: &str = "name";
/// The beginning of the paths of a site.
pub const PREFIX: &str = "prefix";
/// Whether its component gets paths without that.
pub const STRIP_PREFIX: &str = "strip-prefix";

/// The key of the sections.
pub const SITE: &str = "site";

/// The flag that names the file.
pub const CONFIG: &str = "config";

/// To whom a key belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// To the server.
    Server,
    /// To each site, and above the sections to all of them.
    Site,
    /// To the command line and the environment: the flag is none of a file.
    Line,
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: it is on or off.
    Switch,
    /// A value.
    Value,
    /// A value, or several.
    Values,
    /// A value, or nothing, which is a value too.
    Optional {
        /// Whether `off` is a value.
        has_off: bool,
        /// Whether it takes several values.
        repeatable: bool,
    },
}

/// Which paths are in values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paths {
    None,
    /// The value.
    Whole,
    /// What comes before the first `::`, if there is one.
    Granted,
    /// What comes after `unix:`.
    Socket,
    /// A file, and directories among the grants after it.
    WithGrants,
    /// What comes after the first `=`, if that begins with `sqlite:`.
    Store,
}

/// A key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its name, which is the flag without dashes.
    pub name: String,
    /// To whom it belongs.
    pub owner: Owner,
    /// What it takes.
    pub kind: Kind,
    /// Its definition.
    pub arg: Arg,
    paths: Paths,
}

impl Key {
    fn new(arg: &Arg, of_site: &Command) -> Self {
        let name = arg.get_long().unwrap_or(GUEST).to_owned();
        let is_of_site = of_site.get_arguments().any(|other| other.get_id() == arg.get_id());
        let owner = match name.as_str() {
            CONFIG | SITE => Owner::Line,
            _ if is_of_site => Owner::Site,
            _ => Owner::Server,
        };
        let form = form(arg);
        let takes_one = VARIABLES.iter().any(|it| arg.get_id() == it.name && !it.repeatable);
        let repeatable = matches!(arg.get_action(), ArgAction::Append) && !takes_one;
        let kind = match arg.get_action() {
            ArgAction::SetTrue => Kind::Switch,
            _ if arg.get_num_args().is_some_and(|count| count.min_values() == 0) => {
                Kind::Optional { has_off: form.split('|').any(|value| value == "off"), repeatable }
            }
            _ if repeatable => Kind::Values,
            _ => Kind::Value,
        };
        let paths = match arg.get_value_hint() {
            _ if form.contains("[,GRANT]") => Paths::WithGrants,
            _ if form.contains("unix:PATH") => Paths::Socket,
            _ if form.contains("[::") => Paths::Granted,
            _ if form.contains(STORE_FILE) => Paths::Store,
            ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath => Paths::Whole,
            _ => Paths::None,
        };
        Self { name, owner, kind, arg: arg.clone(), paths }
    }

    /// Whether it takes a number.
    pub fn is_number(&self) -> bool {
        self.arg.get_value_parser().type_id() == TypeId::of::<u32>()
    }

    /// The words that it takes one of, if it takes nothing else.
    pub fn words(&self) -> Option<Vec<String>> {
        if let Some(values) = self.arg.get_value_parser().possible_values() {
            return Some(values.map(|value| value.get_name().to_owned()).collect());
        }
        // What is another value is named in capitals, such as `DIRECTORY|off`.
        let words = self.form().split('|');
        let are_values = words.clone().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()));
        (are_values && !self.form().is_empty()).then(|| words.map(str::to_owned).collect())
    }

    /// Whether this is a word that it takes beside other values, such as `off` of `FILE|off`.
    fn takes_word(&self, value: &str) -> bool {
        value.bytes().all(|byte| byte.is_ascii_lowercase())
            && self.form().split('|').any(|word| word == value)
    }

    /// The form of its value.
    fn form(&self) -> &str {
        form(&self.arg)
    }

    /// The word that gives it this value.
    pub fn word(&self, value: &OsStr) -> OsString {
        if self.name == GUEST {
            return value.to_owned();
        }
        let mut word = OsString::from(format!("--{}=", self.name));
        word.push(value);
        word
    }

    /// The words that switch it on or off; `None` if it takes something else.
    pub fn switched(&self, on: bool) -> Option<Vec<OsString>> {
        let bare = || OsString::from(format!("--{}", self.name));
        match self.kind {
            Kind::Switch | Kind::Optional { .. } if on => Some(vec![bare()]),
            Kind::Optional { has_off: true, .. } => Some(vec![self.word(OsStr::new("off"))]),
            Kind::Switch | Kind::Optional { .. } => Some(Vec::new()),
            Kind::Value | Kind::Values => None,
        }
    }

    /// A value whose path, if it is relative, begins at this directory; `None` if the directory cannot be in it.
    pub fn resolve(&self, value: &str, base: &Path) -> Option<OsString> {
        Some(match self.paths {
            Paths::Granted if value.starts_with("::") => value.into(),
            // The first `::` would be the one of the directory.
            Paths::Granted if !value.starts_with('/') && base.to_string_lossy().contains("::") => {
                return None;
            }
            Paths::WithGrants => return middleware::resolve(value, base),
            Paths::Whole if self.name == GUEST && is_reference(value) => value.into(),
            // `-` is standard output.
            Paths::Whole if value == "-" || self.takes_word(value) => value.into(),
            // An empty value is an error.
            Paths::Whole | Paths::Granted if !value.is_empty() => base.join(value).into_os_string(),
            Paths::Socket => match value.strip_prefix("unix:") {
                // An abstract socket is an error.
                Some(path) if !path.is_empty() && !path.starts_with('@') => {
                    let mut resolved = OsString::from("unix:");
                    resolved.push(base.join(path));
                    resolved
                }
                _ => value.into(),
            },
            Paths::Store => match value.split_once(STORE_FILE) {
                Some((name, path)) if !name.contains('=') && !path.is_empty() => {
                    let mut resolved = OsString::from(format!("{name}{STORE_FILE}"));
                    resolved.push(base.join(path));
                    resolved
                }
                _ => value.into(),
            },
            Paths::None | Paths::Whole | Paths::Granted => value.into(),
        })
    }

    /// Whether it takes several values.
    pub fn takes_several(&self) -> bool {
        matches!(self.kind, Kind::Values | Kind::Optional { repeatable: true, .. })
    }

    /// Says what is wrong with its words, apart from what only the other keys tell.
    pub fn check(&self, words: &[OsString]) -> Result<(), String> {
        let mut definition =
            Command::new("wasi-httpd").no_binary_name(true).disable_help_flag(true).arg(self.arg.clone());
        let given = Given { words: words.to_owned(), origin: Origin::CommandLine };
        let words = self::words(&Layer::from([(self.name.clone(), given)]));
        cli::parse_by::<Parsed>(&mut definition, &words).map(|Parsed| ())
    }
}

/// That something could be parsed.
struct Parsed;

impl clap::FromArgMatches for Parsed {
    fn from_arg_matches(_: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self)
    }

    fn update_from_arg_matches(&mut self, _: &ArgMatches) -> Result<(), clap::Error> {
        Ok(())
    }
}

/// The form of the value of an argument.
fn form(arg: &Arg) -> &str {
    arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str())
}

/// All keys.
#[derive(Clone, Debug)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// Reads them from the definition of the command line.
    pub fn new() -> Self {
        let (of_server, of_site) = (cli::serve_definition(), cli::site_definition());
        Self(of_server.get_arguments().map(|arg| Key::new(arg, &of_site)).collect())
    }

    /// The key of this name.
    pub fn get(&self, name: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.name == name)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// Those that belong to these.
    pub fn of<'a>(&'a self, owners: &'a [Owner]) -> impl Iterator<Item = &'a Key> {
        self.0.iter().filter(|key| owners.contains(&key.owner))
    }

    /// What of a layer belongs to sites.
    pub fn of_site(&self, layer: &Layer) -> Layer {
        let is_of_site = |name: &str| self.get(name).is_some_and(|key| key.owner == Owner::Site);
        layer.iter().filter(|(name, _)| is_of_site(name)).map(|(key, it)| (key.clone(), it.clone())).collect()
    }

    /// What was given on the command line.
    pub fn given_in(&self, matches: &ArgMatches) -> Layer {
        let mut layer = Layer::new();
        for key in &self.0 {
            let id = key.arg.get_id().as_str();
            if matches.value_source(id) != Some(ValueSource::CommandLine) {
                continue;
            }
            let words = match key.kind {
                Kind::Switch => key.switched(matches.get_flag(id)).unwrap_or_default(),
                _ => matches.get_raw(id).unwrap_or_default().map(|value| key.word(value)).collect(),
            };
            layer.insert(key.name.clone(), Given { words, origin: Origin::CommandLine });
        }
        layer
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self::new()
    }
}

/// The words of a layer, in an order that a definition can parse.
pub fn words(layer: &Layer) -> Vec<OsString> {
    let flags = layer.iter().filter(|(key, _)| *key != GUEST).flat_map(|(_, given)| &given.words);
    let mut words: Vec<_> = flags.cloned().collect();
    if let Some(guest) = layer.get(GUEST) {
        // Its path may begin with a dash.
        words.push("--".into());
        words.extend(guest.words.iter().cloned());
    }
    words
}
