//! Components as they are put into a registry.

use super::digest::Sha256;
use super::manifest::{COMPONENT, Descriptor, Document, MANIFEST, MINISIGN_SIGNATURE};
use crate::component::anatomy::Anatomy;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::collections::BTreeMap;

/// The type of the description of a component.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";

/// The annotation of a component that has the name of its file: programs that pull other artifacts write it under that name.
const TITLE: &str = "org.opencontainers.image.title";

/// A component as it is put into a registry, as `wkg oci push` does it. A file of the same name and content has the same manifest
/// each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The description of the component.
    pub config: Vec<u8>,
    /// The manifest.
    pub manifest: Vec<u8>,
}

impl Packed {
    /// Describes a component from a file of this name, whose signature by minisign there may be.
    pub fn new(component: &[u8], anatomy: &Anatomy, name: String, signature: Option<String>) -> Self {
        let imports: Vec<_> = anatomy.imports.iter().map(|import| import.name.as_str()).collect();
        let config = json!({
            // Others require a time, and the time of making it would change the digest.
            "created": "1970-01-01T00:00:00Z",
            "author": null,
            "architecture": "wasm",
            // The one of all components: of WASI 0.3, too.
            "os": "wasip2",
            "layerDigests": [Sha256::of(component).to_string()],
            "component": { "exports": anatomy.exports, "imports": imports, "target": null },
        });
        let config = config.to_string().into_bytes();
        let annotations =
            signature.map(|signature| (MINISIGN_SIGNATURE.to_owned(), STANDARD.encode(signature)));
        let mut layer = descriptor(COMPONENT, component);
        layer.annotations.insert(TITLE.to_owned(), name);
        let document = Document {
            schema_version: 2,
            media_type: Some(MANIFEST.to_owned()),
            config: Some(descriptor(CONFIG, &config)),
            layers: vec![layer],
            annotations: annotations.into_iter().collect(),
        };
        // Texts and numbers can be written as JSON.
        Self { manifest: json!(document).to_string().into_bytes(), config }
    }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: Sha256::of(bytes).to_string(),
        size: bytes.len() as u64,
        annotations: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::Packed;
    use crate::component::anatomy::Anatomy;
    use crate::component::{BUILT_IN, BUILT_IN_P3};
    use crate::oci::digest::Sha256;
    use crate::oci::manifest::Manifest;
    use serde_json::{Value, json};

    fn packed(bytes: &[u8], signature: Option<&str>) -> Packed {
        let anatomy = Anatomy::of(bytes).unwrap();
        Packed::new(bytes, &anatomy, "a.wasm".to_owned(), signature.map(str::to_owned))
    }

    #[test]
    fn what_is_packed_is_read_again() {
        for (bytes, export) in
            [(&*BUILT_IN, "wasi:http/incoming-handler@0.2"), (&*BUILT_IN_P3, "wasi:http/handler@0.3")]
        {
            let Packed { config, manifest } = packed(bytes, Some("signature\nof lines"));
            let read = Manifest::parse(&manifest).unwrap();
            assert_eq!((read.component.digest, read.component.size), (Sha256::of(bytes), bytes.len() as u64));
            assert_eq!(read.signature.as_deref(), Some("signature\nof lines"));
            let document: Value = serde_json::from_slice(&manifest).unwrap();
            assert_eq!(document["config"]["digest"], Sha256::of(&config).to_string());
            assert_eq!(document["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
            let config: Value = serde_json::from_slice(&config).unwrap();
            assert_eq!((&config["architecture"], &config["os"]), (&json!("wasm"), &json!("wasip2")));
            let exports = config["component"]["exports"].as_array().unwrap();
            assert!(exports.iter().any(|name| name.as_str().unwrap().starts_with(export)), "{exports:?}");
        }
        assert_eq!(packed(&BUILT_IN, None), packed(&BUILT_IN, None));
        assert_eq!(Manifest::parse(&packed(&BUILT_IN, None).manifest).unwrap().signature, None);
    }
}
