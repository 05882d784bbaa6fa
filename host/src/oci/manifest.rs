//! The manifest of a component in a registry: the guidance of CNCF's TAG Runtime for WebAssembly as OCI artifacts, with one
//! layer.

use super::digest::Sha256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The type of manifests.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The type of lists of manifests, for several machines.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The type of components.
pub(super) const COMPONENT: &str = "application/wasm";

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
pub(super) struct Document {
    pub(super) schema_version: u32,
    pub(super) media_type: Option<String>,
    pub(super) config: Option<Descriptor>,
    #[serde(default)]
    pub(super) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

impl Descriptor {
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

#[cfg(test)]
mod tests {
    use super::{MAX_COMPONENT, Manifest, signatures};
    use crate::oci::digest::Sha256;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn document() -> Value {
        json!({
            "schemaVersion": 2,
            "mediaType": super::MANIFEST,
            "config": { "mediaType": "application/vnd.wasm.config.v0+json", "digest": Sha256::of(b"{}").to_string(), "size": 2 },
            "layers": [{ "mediaType": super::COMPONENT, "digest": Sha256::of(b"wasm").to_string(), "size": 4 }],
        })
    }

    #[test]
    fn what_is_no_component_is_told() {
        let document = document();
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
