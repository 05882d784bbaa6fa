//! The configuration file: TOML, whose keys are the long flags.
//!
//! Values become the words of a command line, so that one grammar and one validator decide about them. Each is tried alone
//! first: what is wrong with it is said with its place.

use super::keys::{self, CONFIG, Key, Keys, Kind, Owner};
use super::layer::{Given, Layer, Origin, SourceError, Text};
use crate::cli;
use crate::cli::mistakes::{foreign, nearest};
use rustix::fs::OFlags;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Bytes of a file: a thousand sites with a page of options each.
const MAX_BYTES: u64 = 1024 * 1024;

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Of the server, and of all sites.
    pub top: Layer,
    /// Of each site.
    pub sections: Vec<Section>,
}

/// What it says of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its names.
    pub names: Vec<String>,
    /// The beginning of its paths.
    pub prefix: Option<String>,
    /// Whether its component gets paths without that.
    pub strip_prefix: Option<bool>,
    /// Its options.
    pub layer: Layer,
    /// Where it begins.
    pub origin: Origin,
    /// Where its name and prefix are.
    pub origins: BTreeMap<&'static str, Origin>,
}

/// Reads a file.
pub fn read(keys: &Keys, path: &Path) -> Result<Content, SourceError> {
    let wrong = |message| SourceError { origin: Origin::CommandLine, message };
    let bytes = read_bytes(path)
        .map_err(|why| wrong(format!("cannot read the configuration {}: {why}", path.display())))?;
    let file = Arc::new(path.to_owned());
    match String::from_utf8(bytes) {
        Ok(text) => parse(keys, &file, &text),
        Err(error) => {
            let valid = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
            let position = Text::new(&file, &valid).position(valid.len());
            Err(SourceError { origin: Origin::File(position), message: "this is not UTF-8".to_owned() })
        }
    }
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    // Opening a FIFO would otherwise wait for a writer.
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or_default();
    let open = File::options().read(true).custom_flags(flags).open(path);
    let file = open.map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if metadata.is_dir() {
        return Err("it is a directory".to_owned());
    }
    if !metadata.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("it has more than {} MiB", MAX_BYTES >> 20));
    }
    Ok(bytes)
}

/// Reads the text of a file.
pub fn parse(keys: &Keys, file: &Arc<PathBuf>, text: &str) -> Result<Content, SourceError> {
    let reader = Reader { keys, text: Text::new(file, text) };
    let table = DeTable::parse(text).map_err(|error| {
        let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
        reader.wrong(error.span().unwrap_or_default(), message)
    })?;
    let mut content = Content::default();
    for (name, key, value) in in_order(table.get_ref()) {
        if name == keys::SITE {
            content.sections = reader.sections(value)?;
            continue;
        }
        let known = reader.key(name, key.clone(), value, Place::Top)?;
        content.top.insert(name.to_owned(), reader.given(known, key, value)?);
    }
    Ok(content)
}

/// The entries of a table as they are written, each with the place of its key.
fn in_order<'a>(table: &'a DeTable<'_>) -> Vec<(&'a str, Range<usize>, &'a Spanned<DeValue<'a>>)> {
    let mut entries: Vec<_> =
        table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value)).collect();
    entries.sort_by_key(|(_, span, _)| span.start);
    entries
}

/// Where a key is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Section,
}

struct Reader<'a> {
    keys: &'a Keys,
    text: Text<'a>,
}

impl<'a> Reader<'a> {
    fn at(&self, span: &Range<usize>) -> Origin {
        Origin::File(self.text.position(span.start))
    }

    #[allow(clippy::needless_pass_by_value, reason = "spans are not `Copy`")]
    fn wrong(&self, span: Range<usize>, message: impl Into<String>) -> SourceError {
        SourceError { origin: self.at(&span), message: message.into() }
    }

    /// The key of this name, if it may be here.
    fn key(
        &self,
        name: &str,
        span: Range<usize>,
        value: &Spanned<DeValue<'_>>,
        place: Place,
    ) -> Result<&'a Key, SourceError> {
        let is_of_section = [keys::NAME, keys::PREFIX, keys::STRIP_PREFIX].contains(&name);
        let message = match (self.keys.get(name), place) {
            (Some(Key { owner: Owner::Line, .. }), _) if name == CONFIG => {
                "a configuration does not name another one".to_owned()
            }
            (Some(key), Place::Top) if key.owner != Owner::Line => return Ok(key),
            (Some(key), Place::Section) if key.owner == Owner::Site => return Ok(key),
            (Some(key), Place::Section) if key.owner == Owner::Server => {
                format!("`{name}` belongs to the server: put it above the first [[site]]")
            }
            (None, Place::Top) if is_of_section => {
                format!("`{name}` belongs to a site: put it below its [[site]]")
            }
            _ => self.unknown(name, value, place),
        };
        Err(self.wrong(span, message))
    }

    fn unknown(&self, name: &str, value: &Spanned<DeValue<'_>>, place: Place) -> String {
        let shown = name.escape_debug();
        let hyphenated = name.replace('_', "-");
        if self.keys.get(&hyphenated).is_some() || hyphenated == keys::STRIP_PREFIX {
            return format!("there is no key `{shown}`; it is spelled `{hyphenated}`");
        }
        let text = self.text_of(value).unwrap_or_else(|| "VALUE".to_owned());
        if let Some((ours, value)) = foreign(name, &text) {
            return format!("there is no key `{shown}`; it is spelled {ours} = {value:?}");
        }
        if let Some(subcommand) = cli::subcommand_with(name) {
            return format!("`{shown}` is an option of `wasi-httpd {subcommand}`, and not of a server");
        }
        let owners: &[Owner] = match place {
            Place::Top => &[Owner::Server, Owner::Site],
            Place::Section => &[Owner::Site],
        };
        let known = self.keys.of(owners).map(|key| key.name.as_str());
        let of_place: &[&str] = match place {
            Place::Top => &[keys::SITE],
            Place::Section => &[keys::NAME, keys::PREFIX, keys::STRIP_PREFIX],
        };
        match nearest(name, known.chain(of_place.iter().copied())) {
            Some(known) => format!("there is no key `{shown}`; did you mean `{known}`?"),
            None => format!("there is no key `{shown}`; the keys are the long flags of `wasi-httpd --help`"),
        }
    }

    fn sections(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<Section>, SourceError> {
        let wrong = || self.wrong(value.span(), "a site is a section: begin it with [[site]]");
        let DeValue::Array(sections) = value.get_ref() else { return Err(wrong()) };
        let section = |section: &Spanned<DeValue<'_>>| match section.get_ref() {
            DeValue::Table(table) => self.section(section.span(), table),
            _ => Err(wrong()),
        };
        sections.iter().map(section).collect()
    }

    fn section(&self, span: Range<usize>, table: &DeTable<'_>) -> Result<Section, SourceError> {
        let mut section = Section {
            names: Vec::new(),
            prefix: None,
            strip_prefix: None,
            layer: Layer::new(),
            origin: self.at(&span),
            origins: BTreeMap::new(),
        };
        for (name, key, value) in in_order(table) {
            match (name, value.get_ref()) {
                (keys::NAME, _) => {
                    section.names = self.texts(value).ok_or_else(|| {
                        self.wrong(value.span(), "`name` takes a host name, or an array of them")
                    })?;
                    section.origins.insert(keys::NAME, self.at(&key));
                }
                (keys::PREFIX, DeValue::String(prefix)) => {
                    section.prefix = Some(prefix.clone().into_owned());
                    section.origins.insert(keys::PREFIX, self.at(&key));
                }
                (keys::PREFIX, _) => {
                    return Err(self.wrong(value.span(), "`prefix` takes a path, such as \"/docs\""));
                }
                (keys::STRIP_PREFIX, DeValue::Boolean(strip)) => section.strip_prefix = Some(*strip),
                (keys::STRIP_PREFIX, _) => {
                    return Err(self.wrong(value.span(), "`strip-prefix` takes true or false"));
                }
                _ => {
                    let known = self.key(name, key.clone(), value, Place::Section)?;
                    section.layer.insert(name.to_owned(), self.given(known, key, value)?);
                }
            }
        }
        Ok(section)
    }

    /// What a key is given.
    fn given(
        &self,
        key: &Key,
        span: Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Given, SourceError> {
        let takes = |what: &str| self.wrong(value.span(), format!("`{}` takes {what}", key.name));
        let words = match (value.get_ref(), key.kind) {
            (DeValue::Boolean(on), _) => key.switched(*on).ok_or_else(|| {
                let what = if key.is_number() { "a number" } else { "text" };
                takes(&format!("{what}, and neither true nor false"))
            })?,
            (_, Kind::Switch) => return Err(takes("true or false")),
            (DeValue::Array(values), _) if key.takes_several() => {
                values.iter().map(|value| self.word(key, value)).collect::<Result<_, _>>()?
            }
            (DeValue::Array(_), _) => return Err(takes("one value, and no array")),
            (DeValue::Table(table), Kind::Values) if key.name == super::ENV => self.variables(key, table)?,
            _ => vec![self.word(key, value)?],
        };
        Ok(Given { words, origin: self.at(&span) })
    }

    /// The word that gives a key one value.
    fn word(&self, key: &Key, value: &Spanned<DeValue<'_>>) -> Result<OsString, SourceError> {
        let wrong = |message: String| self.wrong(value.span(), message);
        let text = match value.get_ref() {
            // Each value of an array is text too.
            DeValue::Boolean(_) => None,
            _ => self.text_of(value),
        };
        let text = text.ok_or_else(|| {
            let takes = match key.kind {
                Kind::Optional { repeatable: true, .. } => "true, false, text, or an array of texts",
                Kind::Values => "text, or an array of texts",
                _ if key.is_number() => "a number",
                _ => "text",
            };
            wrong(format!("`{}` takes {takes}", key.name))
        })?;
        self.without_nul(&text, value)?;
        // `a/site.toml` is in `a`, and `site.toml` in the current directory, which the empty path is.
        let base = self.text.file().parent().unwrap_or(Path::new(""));
        let resolved = key.resolve(&text, base).ok_or_else(|| {
            wrong(format!(
                "`{}` takes an absolute path here: there is `::` in the path of the file",
                key.name
            ))
        })?;
        let word = key.word(&resolved);
        key.check(std::slice::from_ref(&word)).map_err(wrong)?;
        Ok(word)
    }

    /// The words of a table of variables.
    fn variables(&self, key: &Key, table: &DeTable<'_>) -> Result<Vec<OsString>, SourceError> {
        let word = |(name, span, value): (&str, Range<usize>, &Spanned<DeValue<'_>>)| {
            if name.is_empty() || name.contains(['=', '\0']) {
                let message = format!("`{}` is no name of a variable", name.escape_debug());
                return Err(self.wrong(span, message));
            }
            let text = self.text_of(value).ok_or_else(|| {
                self.wrong(value.span(), "the value of a variable is text, a number, true or false")
            })?;
            self.without_nul(&text, value)?;
            Ok(key.word(format!("{name}={text}").as_ref()))
        };
        in_order(table).into_iter().map(word).collect()
    }

    fn without_nul(&self, text: &str, value: &Spanned<DeValue<'_>>) -> Result<(), SourceError> {
        if text.contains('\0') {
            return Err(self.wrong(value.span(), "this holds a NUL character, which no value may"));
        }
        Ok(())
    }

    /// The text of a value that is one.
    fn text_of(&self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.clone().into_owned()),
            // As it is written: 0o660 is not to become 432.
            DeValue::Integer(_) | DeValue::Float(_) => Some(self.text.get(value.span())?.replace('_', "")),
            DeValue::Boolean(on) => Some(on.to_string()),
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
        }
    }

    /// A text, or those of an array.
    #[allow(clippy::unused_self, reason = "as its neighbours")]
    fn texts(&self, value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
        let text = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
            DeValue::String(text) => Some(text.clone().into_owned()),
            _ => None,
        };
        match value.get_ref() {
            DeValue::Array(values) => values.iter().map(text).collect(),
            _ => text(value).map(|text| vec![text]),
        }
    }
}
