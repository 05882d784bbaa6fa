//! The JSON Schema (draft 2020-12) of the configuration file, for editors, from the definition of the command line.

use super::keys::{self, Key, Keys, Kind, Owner};
use serde_json::{Map, Value, json};

/// The schema.
pub fn schema() -> Value {
    let keys = Keys::new();
    let properties = |owners: &[Owner]| -> Map<String, Value> {
        keys.of(owners).map(|key| (key.name.clone(), property(key))).collect()
    };
    let mut of_site = properties(&[Owner::Site]);
    of_site.extend(own_of_site());
    let mut top = properties(&[Owner::Server, Owner::Site]);
    let sites = json!({
        "description": "Sites: each answers for its names, and below its prefix. Options of a site above the first of them \
                        are the defaults of all",
        "type": "array",
        "items": {
            "type": "object",
            "properties": of_site,
            "required": [keys::NAME],
            "additionalProperties": false,
        },
    });
    top.insert(keys::SITE.to_owned(), sites);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of wasi-httpd",
        "type": "object",
        "properties": top,
        "additionalProperties": false,
    })
}

/// The keys that only a site has.
fn own_of_site() -> [(String, Value); 3] {
    let name = json!({ "type": "string", "minLength": 1 });
    [
        (
            keys::NAME.to_owned(),
            json!({
                "description": "Its host name, or several; * is every other name, and *.example.com one label more",
                "anyOf": [name, { "type": "array", "items": name, "minItems": 1 }],
            }),
        ),
        (
            keys::PREFIX.to_owned(),
            json!({
                "description": "The beginning of the paths that it answers for, such as /docs",
                "type": "string",
                "pattern": "^/([^/?#%]+(/[^/?#%]+)*)?$",
                "default": "/",
            }),
        ),
        (
            keys::STRIP_PREFIX.to_owned(),
            json!({
                "description": "Whether its component gets paths without the prefix",
                "type": "boolean",
                "default": true,
            }),
        ),
    ]
}

/// What a key takes.
fn property(key: &Key) -> Value {
    let value = match key.words() {
        _ if key.is_number() => {
            json!({ "type": ["integer", "string"], "minimum": 0, "maximum": u32::MAX, "pattern": "^\\+?[0-9]+$" })
        }
        Some(words) => json!({ "enum": words }),
        None => json!({ "type": ["string", "number"] }),
    };
    let array = || json!({ "type": "array", "items": value });
    let mut property = match key.kind {
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Value => value,
        Kind::Optional { repeatable: true, .. } => {
            json!({ "anyOf": [{ "type": "boolean" }, value, array()] })
        }
        Kind::Optional { .. } => json!({ "anyOf": [{ "type": "boolean" }, value] }),
        Kind::Values if key.name == super::ENV => {
            let variables = json!({ "type": ["string", "number", "boolean"] });
            json!({ "anyOf": [value, array(), { "type": "object", "additionalProperties": variables }] })
        }
        Kind::Values => json!({ "anyOf": [value, array()] }),
    };
    if let (Some(object), Some(help)) = (property.as_object_mut(), key.arg.get_help()) {
        object.insert("description".to_owned(), Value::String(help.to_string()));
    }
    property
}
