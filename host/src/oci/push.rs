//! `wasi-httpd push`: sends a component to a registry.

use super::client::{Ask, Session};
use super::digest::Sha256;
use super::manifest::{MANIFEST, MAX_COMPONENT};
use super::packed::Packed;
use super::speak;
use crate::component::kind::Kind;
use crate::component::{Guest, Role};
use crate::config::Push;
use crate::signature::{beside, minisign, read};
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use std::fs;
use std::path::Path;

/// The type of blobs while they are sent.
const BLOB: &str = "application/octet-stream";

/// Sends a component, with its signature if there is one beside it. Returns the reference by which it is found.
pub fn push(config: &Push) -> Result<String> {
    let Push { file, target, registries } = config;
    let component = component(file)?;
    let signature = beside(file, minisign::SUFFIX);
    let signature = read(&signature).with_context(|| format!("the signature {}", signature.display()))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let packed = Packed::new(&component.bytes, &component.anatomy, name, signature);
    let digest = Sha256::of(&packed.manifest);
    let send = async {
        let mut session = Session::new(registries, target, "pull,push")?;
        send_blob(&mut session, Bytes::from(packed.config)).await?;
        send_blob(&mut session, Bytes::from(component.bytes.into_owned())).await?;
        let name = target.tag.clone().unwrap_or_else(|| digest.to_string());
        let uri = session.url(&format!("manifests/{name}"))?;
        let body = Some((MANIFEST, Bytes::from(packed.manifest)));
        let answer = session.ask(&Ask { body, ..Ask::new(Method::PUT, uri) }).await?;
        if answer.status == StatusCode::CREATED { Ok(()) } else { Err(answer.refusal()) }
    };
    speak(registries.time, send)
        .with_context(|| format!("{} cannot be sent to `{target}`", file.display()))?;
    Ok(target.with_digest(digest).to_string())
}

/// Reads the component that is sent.
fn component(file: &Path) -> Result<Guest> {
    let shown = file.display();
    let size = fs::metadata(file).with_context(|| format!("cannot read {shown}"))?.len();
    if size > MAX_COMPONENT {
        bail!("{shown} has {size} bytes, and {MAX_COMPONENT} are the most that are taken from a registry");
    }
    let bytes = fs::read(file).with_context(|| format!("cannot read {shown}"))?;
    let guest = Guest::from_bytes(&shown.to_string(), Role::Guest, bytes)?;
    match guest.kind {
        Kind::Component { .. } => Ok(guest),
        kind => bail!("{shown} is {kind}; {}", kind.remedy().unwrap_or_default()),
    }
}

/// Sends a blob, unless it is there.
async fn send_blob(session: &mut Session<'_>, bytes: Bytes) -> Result<()> {
    let digest = Sha256::of(&bytes);
    let uri = session.url(&format!("blobs/{digest}"))?;
    if session.ask(&Ask::new(Method::HEAD, uri)).await?.status == StatusCode::OK {
        return Ok(());
    }
    let begin = session.url("blobs/uploads/")?;
    let answer = session.ask(&Ask::new(Method::POST, begin.clone())).await?;
    if answer.status != StatusCode::ACCEPTED {
        return Err(answer.refusal());
    }
    let place = answer.location().context("the registry names no place to send to")?;
    session.check(&begin, &place)?;
    let uri = with_digest(&place, &digest).context("the registry names no place to send to")?;
    let answer = session.ask(&Ask { body: Some((BLOB, bytes)), ..Ask::new(Method::PUT, uri) }).await?;
    if answer.status == StatusCode::CREATED { Ok(()) } else { Err(answer.refusal()) }
}

/// The place of an upload with the digest that ends it.
fn with_digest(place: &Uri, digest: &Sha256) -> Option<Uri> {
    let separator = if place.query().is_some() { '&' } else { '?' };
    format!("{place}{separator}digest={digest}").parse().ok()
}
