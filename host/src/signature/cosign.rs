//! Signatures of cosign that are made with a key: ECDSA with P-256 and SHA-256, in base64.
//!
//! For a component in a registry, what is signed is a small document that names the digest of its manifest ("simple
//! signing"), which cosign puts into the same repository. For a file, it is the file (`cosign sign-blob`).

use crate::oci::digest::Sha256;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

/// What the name of a file with a signature has in addition to that of the signed file.
pub const SUFFIX: &str = ".sig";

/// What a public key begins with.
pub const BEGIN: &str = "BEGIN PUBLIC KEY";

/// What comes before the point in a public key of the curve P-256 (RFC 5480 §2): the algorithm, the curve, the length.
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The type that a document about a manifest has.
const TYPE: &str = "cosign container image signature";

/// A public key.
#[derive(Debug)]
pub struct Key(ParsedPublicKey);

impl Key {
    /// Reads a public key in PEM; `None` if it is none, or of another algorithm.
    pub fn parse(text: &str) -> Option<Self> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()).ok()?;
        let point = der.strip_prefix(&P256)?;
        Some(Self(ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).ok()?))
    }
}

/// A document about a manifest, and its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The document.
    pub document: Vec<u8>,
    /// Its signature, in base64.
    pub signature: String,
}

#[derive(Deserialize)]
struct Document {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
    r#type: String,
}

#[derive(Deserialize)]
struct Image {
    // cosign writes it so, and its specification has an example with an upper-case letter. cosign reads both.
    #[serde(rename = "docker-manifest-digest", alias = "Docker-manifest-digest")]
    digest: String,
}

/// Whether one of these keys says of the manifest with this digest that it is good.
pub fn is_signed(keys: &[Key], Signed { document, signature }: &Signed, digest: &Sha256) -> bool {
    // The document is parsed only when its signature is good.
    is_by_one(keys, signature, document)
        && serde_json::from_slice(document).is_ok_and(|Document { critical }| {
            critical.r#type == TYPE && Sha256::parse(&critical.image.digest) == Some(*digest)
        })
}

/// Checks that one of these keys has signed these bytes. The error says what is wrong with the signature.
pub fn check_blob(keys: &[Key], signature: &str, bytes: &[u8]) -> Result<(), String> {
    if STANDARD.decode(signature.trim_end()).is_err() {
        return Err("is not one of `cosign sign-blob`".to_owned());
    }
    if is_by_one(keys, signature, bytes) {
        return Ok(());
    }
    Err("does not fit: it is by another key, or one of both was changed".to_owned())
}

fn is_by_one(keys: &[Key], signature: &str, bytes: &[u8]) -> bool {
    let Ok(signature) = STANDARD.decode(signature.trim_end()) else { return false };
    keys.iter().any(|Key(key)| key.verify_sig(bytes, &signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::{Key, Signed, check_blob, is_signed};
    use crate::oci::digest::Sha256;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    /// A key pair, and its public key as cosign writes it.
    fn pair() -> (EcdsaKeyPair, Key) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let der = [&super::P256, pair.public_key().as_ref()].concat();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
        (pair, Key::parse(&pem).unwrap())
    }

    fn sign(pair: &EcdsaKeyPair, bytes: &[u8]) -> String {
        STANDARD.encode(pair.sign(&SystemRandom::new(), bytes).unwrap())
    }

    #[test]
    fn a_document_is_about_one_manifest() {
        let (pair, key) = pair();
        let (_, other) = self::pair();
        let digest = Sha256::of(b"manifest");
        let signed = |text: &str| {
            let document = text.replace("DIGEST", &digest.to_string()).into_bytes();
            Signed { signature: sign(&pair, &document), document }
        };
        let good = r#"{"critical":{"identity":{"docker-reference":"a/b"},"image":{"docker-manifest-digest":"DIGEST"},
            "type":"cosign container image signature"},"optional":null}"#;
        let keys = [other, key];
        assert!(is_signed(&keys, &signed(good), &digest));
        let of_specification = good.replace("docker-manifest", "Docker-manifest");
        assert!(is_signed(&keys, &signed(&of_specification), &digest));
        let twice = good.replace("\"image\":{", "\"image\":{\"Docker-manifest-digest\":\"DIGEST\",");
        assert!(!is_signed(&keys, &signed(&twice), &digest));
        assert!(!is_signed(&keys, &signed(good), &Sha256::of(b"another")));
        assert!(!is_signed(&keys[..1], &signed(good), &digest));
        assert!(!is_signed(&keys, &signed(&good.replace("cosign container", "atomic container")), &digest));
        assert!(!is_signed(&keys, &signed(&good.replace("DIGEST", "sha256:00")), &digest));
        assert!(!is_signed(&keys, &signed("{}"), &digest));
        let mut changed = signed(good);
        changed.document.push(b' ');
        assert!(!is_signed(&keys, &changed, &digest));
        assert!(!is_signed(&keys, &Signed { signature: "?".to_owned(), ..signed(good) }, &digest));
    }

    #[test]
    fn a_blob_is_signed_as_it_is() {
        let (pair, key) = pair();
        let keys = [key];
        let signature = sign(&pair, b"content");
        assert_eq!(check_blob(&keys, &format!("{signature}\n"), b"content"), Ok(()));
        assert!(check_blob(&keys, &signature, b"another").unwrap_err().contains("does not fit"));
        assert!(check_blob(&keys, "?", b"content").unwrap_err().contains("is not one of"));
    }

    #[test]
    fn other_keys_are_refused() {
        let pem = |der: &[u8]| {
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
        };
        let point = [&super::P256[..], &[4; 65]].concat();
        // Of Ed25519 (RFC 8410 §10.1).
        let ed25519 =
            STANDARD.decode("MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=").unwrap();
        for text in [pem(&point), pem(&ed25519), pem(b""), String::new()] {
            assert!(Key::parse(&text).is_none(), "{text}");
        }
    }
}
