//! Keys that sign components, as minisign and cosign do.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// A key of minisign.
pub struct Minisign {
    id: [u8; 8],
    pair: Ed25519KeyPair,
}

impl Minisign {
    /// A new key that has this id.
    pub fn new(id: u8) -> Self {
        Self { id: [id; 8], pair: Ed25519KeyPair::generate().unwrap() }
    }

    /// The file of its public key.
    pub fn public(&self) -> String {
        let bytes = [b"Ed", &self.id[..], self.pair.public_key().as_ref()].concat();
        format!("untrusted comment: a key\n{}\n", STANDARD.encode(bytes))
    }

    /// The file of its signature of these bytes.
    pub fn sign(&self, bytes: &[u8]) -> String {
        let signature = self.pair.sign(blake2b_simd::blake2b(bytes).as_bytes());
        let comment = "made by a test";
        let global = self.pair.sign(&[signature.as_ref(), comment.as_bytes()].concat());
        let signed = STANDARD.encode([b"ED", &self.id[..], signature.as_ref()].concat());
        let global = STANDARD.encode(global.as_ref());
        format!("untrusted comment: a signature\n{signed}\ntrusted comment: {comment}\n{global}\n")
    }
}

/// A key of cosign.
pub struct Cosign(EcdsaKeyPair);

impl Default for Cosign {
    fn default() -> Self {
        Self::new()
    }
}

impl Cosign {
    /// A new key.
    pub fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    /// The file of its public key.
    pub fn public(&self) -> String {
        // The algorithm, the curve and the length, before the point (RFC 5480 §2).
        let prefix = STANDARD.decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgA=").unwrap();
        let text = STANDARD.encode([&prefix, self.0.public_key().as_ref()].concat());
        format!("-----BEGIN PUBLIC KEY-----\n{}\n{}\n-----END PUBLIC KEY-----\n", &text[..64], &text[64..])
    }

    /// Its signature of these bytes, as `cosign sign-blob` writes it.
    pub fn sign(&self, bytes: &[u8]) -> String {
        STANDARD.encode(self.0.sign(&SystemRandom::new(), bytes).unwrap())
    }

    /// What `cosign sign` adds for the manifest with this digest: a document, and a manifest that names it.
    pub fn sign_manifest(&self, digest: &str) -> (Vec<u8>, Vec<u8>) {
        let document = json!({
            "critical": {
                "identity": { "docker-reference": "registry.example/a" },
                "image": { "docker-manifest-digest": digest },
                "type": "cosign container image signature",
            },
            "optional": null,
        });
        let document = document.to_string().into_bytes();
        let descriptor = json!({
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
            "size": document.len(),
            "digest": host::oci::digest::Sha256::of(&document).to_string(),
            "annotations": { "dev.cosignproject.cosign/signature": self.sign(&document) },
        });
        let config = json!({
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "size": 2,
            "digest": host::oci::digest::Sha256::of(b"{}").to_string(),
        });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": [descriptor],
        });
        (document, manifest.to_string().into_bytes())
    }
}
