//! Options in the environment, for containers: each long flag is a variable, `--max-body` the variable
//! `WASI_HTTPD_MAX_BODY`.

use super::keys::{Key, Keys, Kind};
use super::layer::{Given, Layer, Origin, SourceError};
use crate::cli::mistakes::nearest;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

/// How the names of the variables begin.
const PREFIX: &str = "WASI_HTTPD_";

/// What the prefix is followed by in variables that are none of these: Kubernetes sets them in each container for a service
/// that is called `wasi-httpd`, and the last one is for building this program.
const OF_OTHERS: [fn(&str) -> bool; 5] = [
    |rest| rest == "SERVICE_HOST",
    |rest| rest == "SERVICE_PORT" || rest.starts_with("SERVICE_PORT_"),
    |rest| rest == "PORT",
    |rest| rest.starts_with("PORT_"),
    |rest| rest == "COMPONENTS",
];

/// The variable of a key.
pub fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase().replace('-', "_"))
}

/// What these variables give, and a warning for each unknown one. An empty variable gives nothing.
pub fn read(
    keys: &Keys,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(Layer, Vec<String>), SourceError> {
    let (mut layer, mut warnings) = (Layer::new(), Vec::new());
    for (name, value) in variables {
        let Some(rest) = name.as_bytes().strip_prefix(PREFIX.as_bytes()) else { continue };
        let (name, rest) = (name.to_string_lossy(), String::from_utf8_lossy(rest));
        if OF_OTHERS.iter().any(|is| is(&rest)) {
            continue;
        }
        let Some(key) = keys.all().find(|key| variable(&key.name) == name) else {
            warnings.push(unknown(keys, &name, &rest));
            continue;
        };
        if value.is_empty() {
            continue;
        }
        let origin = Origin::Environment(name.into_owned());
        let words = words(key, &value).and_then(|words| key.check(&words).map(|()| words));
        match words {
            Ok(words) => layer.insert(key.name.clone(), Given { words, origin }),
            Err(message) => return Err(SourceError { origin, message }),
        };
    }
    Ok((layer, warnings))
}

fn words(key: &Key, value: &OsStr) -> Result<Vec<OsString>, String> {
    let on = match value.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    };
    match (on.and_then(|on| key.switched(on)), key.kind) {
        (Some(words), _) => Ok(words),
        (None, Kind::Switch) => Err(format!("it takes true or false, not `{}`", value.to_string_lossy())),
        (None, _) if key.takes_several() => {
            let lines = value.as_bytes().split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
            Ok(lines.map(|line| key.word(OsStr::from_bytes(line))).collect())
        }
        (None, _) => Ok(vec![key.word(value)]),
    }
}

fn unknown(keys: &Keys, name: &str, rest: &str) -> String {
    // Without the prefix, which makes all names alike.
    let flag = rest.to_ascii_lowercase().replace('_', "-");
    let hint = match nearest(&flag, keys.all().map(|key| key.name.as_str())) {
        Some(known) => format!("; did you mean {}?", variable(known)),
        None => "; `wasi-httpd --help` shows the options".to_owned(),
    };
    format!("the variable {name} is ignored: there is no such option{hint}")
}
