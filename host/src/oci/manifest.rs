//! The manifest of a component in a registry: the guidance of CNCF's TAG Runtime for WebAssembly as OCI artifacts, with one
//! layer.

use super::digest::Sha256;
use crate::component::anatomy::Anatomy;
use crate::component::interface::Edition;
use crate::component::kind::Kind;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// The type of manifests.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The type of lists of manifests, for several machines.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The type of the description of a component.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";

/// The type of components.
const COMPONENT: &str = "application/wasm";

/// The type of documents that cosign signs.
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// The annotation in which cosign keeps the signature of a document.
const COSIGN_SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// The annotation of a manifest that has the signature of its component by minisign: the file of minisign, in base64. Its lines
/// would not survive canonical JSON (OLPC), in which `wkg` writes manifests.
pub const MINISIGN_SIGNATURE: &str = "wasi-httpd.minisig";

/// How many signatures of a component are looked at. Each is a request.
const MAX_SIGNATURES: usize = 16;

/// The largest component, in bytes. Those with an interpreter have some 20 MiB.
pub const MAX_COMPONENT: u64 = 256 << 20;

/// The largest document that is signed, in bytes. It names a repository and a digest.
const MAX_DOCUMENT: u64 = 64 * 1024;

/// A blob, as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its digest.
    pub digest: Sha256,
    /// Its size in bytes.
    pub size: u64,
}

/// What a manifest says of its component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The component.
    pub component: Blob,
    /// Its signature by minisign, if there is one.
    pub signature: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    media_type: Option<String>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Descriptor {
    fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Sha256::of(bytes).to_string(),
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
        }
    }

    fn blob(&self, most: u64) -> Result<Blob, String> {
        let digest =
            Sha256::parse(&self.digest).ok_or("its manifest names a digest that is not of SHA-256")?;
        if self.size > most {
            return Err(format!(
                "its manifest announces {} bytes, and {most} are the most that is taken",
                self.size
            ));
        }
        Ok(Blob { digest, size: self.size })
    }
}

impl Manifest {
    /// Reads a manifest. The error says what it is instead of one of a component.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let Document { media_type, layers, mut annotations, .. } = document(bytes)?;
        if let Some(other) = media_type.filter(|other| other != MANIFEST) {
            let what = if other == INDEX { "a list of manifests" } else { "no manifest of a component" };
            return Err(format!("it is {what} ({})", printable(&other)));
        }
        let [layer] = &layers[..] else {
            return Err(format!("its manifest has {} layers, and that of a component has one", layers.len()));
        };
        if layer.media_type != COMPONENT {
            return Err(format!("it is no component ({COMPONENT}) but {}", printable(&layer.media_type)));
        }
        let signature = annotations.remove(MINISIGN_SIGNATURE).map(|encoded| {
            let text = STANDARD.decode(&encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            // What is not in base64 is no signature.
            text.unwrap_or_default()
        });
        Ok(Self { component: layer.blob(MAX_COMPONENT)?, signature })
    }
}

/// The documents that a manifest of cosign names, with their signatures.
pub fn signatures(bytes: &[u8]) -> Result<Vec<(Blob, String)>, String> {
    let layers = document(bytes)?.layers.into_iter().filter(|layer| layer.media_type == SIMPLE_SIGNING);
    let signatures = layers.take(MAX_SIGNATURES).filter_map(|mut layer| {
        let signature = layer.annotations.remove(COSIGN_SIGNATURE)?;
        Some(layer.blob(MAX_DOCUMENT).map(|blob| (blob, signature)))
    });
    signatures.collect()
}

/// The tag under which cosign puts the signatures of a manifest.
pub fn signature_tag(manifest: &Sha256) -> String {
    format!("sha256-{}.sig", manifest.digits())
}

fn document(bytes: &[u8]) -> Result<Document, String> {
    let document: Document =
        serde_json::from_slice(bytes).map_err(|_| "its manifest is no manifest of OCI")?;
    if document.schema_version != 2 {
        return Err("its manifest is of an old form, which names no types".to_owned());
    }
    Ok(document)
}

/// A text from a registry, without what a terminal would interpret.
fn printable(text: &str) -> String {
    const MOST: usize = 80;
    text.chars().take(MOST).map(|character| if character.is_control() { '?' } else { character }).collect()
}

/// A component as it is put into a registry. The same component has the same manifest each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The description of the component.
    pub config: Vec<u8>,
    /// The manifest.
    pub manifest: Vec<u8>,
}

impl Packed {
    /// Describes a component, whose signature by minisign there may be.
    pub fn new(component: &[u8], anatomy: &Anatomy, kind: Kind, signature: Option<String>) -> Self {
        let imports: Vec<_> = anatomy.imports.iter().map(|import| import.name.as_str()).collect();
        let is_v03 = matches!(kind, Kind::Component { http, command }
            if [http, command].contains(&Some(Edition::V03)));
        let config = json!({
            // Others require a time, and the time of making it would change the digest.
            "created": "1970-01-01T00:00:00Z",
            "author": null,
            "architecture": "wasm",
            "os": if is_v03 { "wasip3" } else { "wasip2" },
            "layerDigests": [Sha256::of(component).to_string()],
            "component": { "exports": anatomy.exports, "imports": imports, "target": null },
        });
        let config = config.to_string().into_bytes();
        let annotations =
            signature.map(|signature| (MINISIGN_SIGNATURE.to_owned(), STANDARD.encode(signature)));
        let document = Document {
            schema_version: 2,
            media_type: Some(MANIFEST.to_owned()),
            config: Some(Descriptor::of(CONFIG, &config)),
            layers: vec![Descriptor::of(COMPONENT, component)],
            annotations: annotations.into_iter().collect(),
        };
        // Texts and numbers can be written as JSON.
        Self { manifest: json!(document).to_string().into_bytes(), config }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_COMPONENT, Manifest, Packed, signatures};
    use crate::component::anatomy::Anatomy;
    use crate::component::kind::Kind;
    use crate::component::{BUILT_IN, BUILT_IN_P3};
    use crate::oci::digest::Sha256;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn packed(bytes: &[u8], signature: Option<&str>) -> Packed {
        let anatomy = Anatomy::of(bytes).unwrap();
        Packed::new(bytes, &anatomy, Kind::of(&anatomy), signature.map(str::to_owned))
    }

    #[test]
    fn what_is_packed_is_read_again() {
        for (bytes, os, export) in [
            (BUILT_IN, "wasip2", "wasi:http/incoming-handler@0.2"),
            (BUILT_IN_P3, "wasip3", "wasi:http/handler@0.3"),
        ] {
            let Packed { config, manifest } = packed(bytes, Some("signature\nof lines"));
            let read = Manifest::parse(&manifest).unwrap();
            assert_eq!((read.component.digest, read.component.size), (Sha256::of(bytes), bytes.len() as u64));
            assert_eq!(read.signature.as_deref(), Some("signature\nof lines"));
            let document: Value = serde_json::from_slice(&manifest).unwrap();
            assert_eq!(document["config"]["digest"], Sha256::of(&config).to_string());
            assert_eq!(document["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
            let config: Value = serde_json::from_slice(&config).unwrap();
            assert_eq!((&config["architecture"], &config["os"]), (&json!("wasm"), &json!(os)));
            let exports = config["component"]["exports"].as_array().unwrap();
            assert!(exports.iter().any(|name| name.as_str().unwrap().starts_with(export)), "{exports:?}");
        }
        assert_eq!(packed(BUILT_IN, None), packed(BUILT_IN, None));
        assert_eq!(Manifest::parse(&packed(BUILT_IN, None).manifest).unwrap().signature, None);
    }

    #[test]
    fn what_is_no_component_is_told() {
        let document: Value = serde_json::from_slice(&packed(BUILT_IN, None).manifest).unwrap();
        let why = |change: &dyn Fn(&mut Value)| {
            let mut document = document.clone();
            change(&mut document);
            Manifest::parse(document.to_string().as_bytes()).unwrap_err()
        };
        let layer = document["layers"][0].clone();
        assert!(
            why(&|it| it["mediaType"] = json!("application/vnd.oci.image.index.v1+json")).contains("a list")
        );
        assert!(why(&|it| it["layers"] = json!([])).contains("has 0 layers"));
        assert!(why(&|it| it["layers"] = json!([layer, layer])).contains("has 2 layers"));
        let tar = "application/vnd.oci.image.layer.v1.tar\u{1b}[2J";
        assert!(why(&|it| it["layers"][0]["mediaType"] = json!(tar)).ends_with("v1.tar?[2J"));
        assert!(why(&|it| it["layers"][0]["digest"] = json!("sha512:00")).contains("not of SHA-256"));
        assert!(
            why(&|it| it["layers"][0]["size"] = json!(MAX_COMPONENT + 1))
                .contains("announces 268435457 bytes")
        );
        assert!(why(&|it| it["layers"][0]["size"] = json!(-1)).contains("no manifest of OCI"));
        let signature = |text: &str| {
            let mut document = document.clone();
            document["annotations"] = json!({ "wasi-httpd.minisig": text });
            Manifest::parse(document.to_string().as_bytes()).unwrap().signature
        };
        assert_eq!((signature("YQ==").as_deref(), signature("?").as_deref()), (Some("a"), Some("")));
        assert!(why(&|it| it["schemaVersion"] = json!(1)).contains("old form"));
    }

    #[test]
    fn signatures_of_cosign_are_found_among_others() {
        let digest = Sha256::of(b"document").to_string();
        let signing = "application/vnd.dev.cosign.simplesigning.v1+json";
        let layer = |kind: &str, size: u64, annotations: Value| json!({ "mediaType": kind, "digest": digest, "size": size, "annotations": annotations });
        let of = |layers: &[Value]| {
            let manifest =
                json!({ "schemaVersion": 2, "layers": layers, "config": layer("x", 1, json!({})) });
            signatures(manifest.to_string().as_bytes())
        };
        let good = layer(signing, 8, json!({ "dev.cosignproject.cosign/signature": "abc" }));
        let found = of(&[layer("x", 8, json!({})), layer(signing, 8, json!({})), good.clone()]).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0.size, found[0].1.as_str()), (8, "abc"));
        assert_eq!(of(&vec![good.clone(); 100]).unwrap().len(), super::MAX_SIGNATURES);
        let mut large = good;
        large["size"] = json!(1 << 30);
        assert!(of(&[large]).is_err());
    }

    proptest! {
        #[test]
        fn anything_can_be_tried(text in "[\\[\\]{}:,\"a-z0-9]{0,60}") {
            let _ = Manifest::parse(text.as_bytes());
            let _ = signatures(text.as_bytes());
        }
    }
}
