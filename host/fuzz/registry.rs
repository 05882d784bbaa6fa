//! The fuzz target `registry`: references, and what a registry answers. `cargo fuzz` runs it through `fuzz_targets/`, and
//! `cargo test` for a few seconds through `../tests/fuzz.rs`.
//!
//! Digests need no parser of their own: those of manifests and components are computed, and `Docker-Content-Digest` and
//! `Content-Range` are not read.

use super::oci::challenge::{Challenge, token_url};
use super::oci::digest::Sha256;
use super::oci::location::resolve;
use super::oci::manifest::{MAX_COMPONENT, Manifest, signatures};
use super::oci::reference::Reference;
use super::signature::minisign;
use http::Uri;

/// A public key and a signature by minisign 0.11, of `test\n`.
const KEY: &str = "RWR7szDTzw2ynKuQB5MH3MI4ZXkHA1LX7W9BlIR2JVZOh6z9JCA+fA55";
const SIGNED: &str = "RUR7szDTzw2ynHNbWrC/nz0d7w+DnfMySPLTB/2T1n58e82y5S7uLapznl2YXZue+jW/HiRelyi48yqmQzuTRE8OoSR+k8YMtQk=\n\
    trusted comment: comment\n\
    hggVEz5OA48xf2VT3sTQRwsN8H+hRzHpLPCCae+u1pbWgdZ7oRXKE4NKwDdPAXx1sG6mMt/sNazA5G0WsX4/DA==";

/// Input: anything that has to do with registries.
pub fn registry(bytes: &[u8]) {
    manifest(bytes);
    let Ok(text) = str::from_utf8(bytes) else { return };
    reference(text);
    challenge(text);
    location(text);
    signature(text);
}

/// What is read is written again as the same, and goes into a URL as it is.
fn reference(text: &str) {
    let Ok(reference) = Reference::parse(text) else { return };
    assert_eq!(Reference::parse(&reference.to_string()).as_ref(), Ok(&reference), "{text:?}");
    let uri = format!("https://{}/v2/{}/manifests/x", reference.registry, reference.repository);
    let uri: Uri = uri.parse().unwrap_or_else(|error| panic!("{uri:?}: {error}"));
    assert_eq!(uri.path(), format!("/v2/{}/manifests/x", reference.repository));
    assert_eq!(uri.authority().map(http::uri::Authority::as_str), Some(reference.registry.as_str()));
    assert_eq!(uri.query(), None);
}

/// What is asked for has one meaning: neither a service nor a scope adds another parameter.
fn challenge(text: &str) {
    let Some(Challenge::Bearer { realm, service }) = Challenge::parse(text) else { return };
    let scope = "repository:a/b:pull";
    let url = token_url(&realm, service.as_deref(), scope);
    let added = url.strip_prefix(&realm).map(|query| &query[1..]);
    let names: Vec<_> =
        added.into_iter().flat_map(|query| query.split('&')).map(|it| it.split('=').next()).collect();
    let expected = [Some("service"), Some("scope")];
    assert_eq!(names, expected[usize::from(service.is_none())..], "{url:?}");
    assert!(url[realm.len()..].bytes().all(|byte| byte.is_ascii_graphic()), "{url:?}");
}

/// It is absolute, and a path stays with the server that has named it.
fn location(text: &str) {
    let base = Uri::from_static("https://registry.example:5000/v2/a/blobs/b");
    let Some(uri) = resolve(&base, text) else { return };
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    assert!(uri.scheme().is_some() && !authority.is_empty() && !authority.contains('@'), "{text:?}");
    assert!(!text.starts_with('/') || authority == "registry.example:5000", "{text:?}");
}

/// It announces no more than is taken, and what is said of it is one line.
fn manifest(bytes: &[u8]) {
    let line = match Manifest::parse(bytes) {
        Ok(manifest) => {
            assert!(manifest.component.size <= MAX_COMPONENT);
            assert!(Sha256::parse(&manifest.component.digest.to_string()) == Some(manifest.component.digest));
            String::new()
        }
        Err(why) => why,
    };
    assert!(!line.contains(char::is_control), "{line:?}");
    match signatures(bytes) {
        Ok(found) => assert!(found.len() <= 16 && found.iter().all(|(blob, _)| blob.size <= 64 * 1024)),
        Err(why) => assert!(!why.contains(char::is_control), "{why:?}"),
    }
}

/// Only the first comment is not signed.
fn signature(text: &str) {
    let Some(key) = minisign::Key::parse(KEY) else { panic!("it is a key") };
    if minisign::check(&[key], text, b"test\n").is_ok() {
        let lines: Vec<_> = text.lines().skip(1).map(str::trim_end).filter(|line| !line.is_empty()).collect();
        assert_eq!(lines, SIGNED.lines().collect::<Vec<_>>());
    }
}
