//! Getting components: from the cache, or from their registry.

use super::cache::Cache;
use super::client::{Ask, Session};
use super::digest::Sha256;
use super::manifest::{MANIFEST, Manifest, signature_tag, signatures};
use super::reference::Reference;
use super::{MAX_MANIFEST, speak};
use crate::config::components::Registries;
use crate::signature::cosign::{self, Signed};
use crate::signature::{Keys, minisign};
use anyhow::{Context as _, Result, anyhow, bail};
use http::StatusCode;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use tracing::warn;

/// A component that has come, and is what its digest and its signature say.
#[derive(Debug)]
pub struct Fetched {
    /// The digest of its manifest.
    pub digest: Sha256,
    /// The component.
    pub bytes: Vec<u8>,
}

/// Where components in registries come from.
#[derive(Debug)]
pub struct Source {
    registries: Registries,
    /// How many bytes may be kept.
    most_kept: u64,
    cache: OnceLock<Option<Cache>>,
    /// What tags have named.
    tags: Mutex<HashMap<Reference, Sha256>>,
    /// Components that cannot be kept in the cache, by the digests of their manifests: a reload takes them again.
    held: Mutex<HashMap<Sha256, Vec<u8>>>,
    /// Whether the process can reach no registry any more.
    is_confined: AtomicBool,
}

/// What is in the cache.
enum Kept {
    Component(Vec<u8>),
    /// It is there, and its signature is not, or is not good.
    Unsigned(anyhow::Error),
    Nothing,
}

impl Source {
    /// One that asks registries in this way, and keeps so many bytes of what they send.
    pub fn new(registries: Registries, most_kept: u64) -> Self {
        let is_confined = AtomicBool::new(false);
        let (tags, held) = (Mutex::default(), Mutex::default());
        Self { registries, most_kept, cache: OnceLock::new(), tags, held, is_confined }
    }

    /// Takes only what is in the cache from now on: the process restricts itself.
    pub fn confine(&self) {
        self.is_confined.store(true, Ordering::Relaxed);
    }

    /// Gets a component, which has to be signed by one of these keys if there are any.
    pub fn fetch(&self, reference: &Reference, keys: Option<&Keys>) -> Result<Fetched> {
        let is_confined = self.is_confined.load(Ordering::Relaxed);
        let tagged = || lock(&self.tags).get(reference).copied();
        let digest = reference.digest.or_else(|| is_confined.then(tagged).flatten());
        if let Some(digest) = digest {
            let may_be_signed_elsewhere = keys.is_some_and(|keys| !keys.cosign().is_empty());
            match self.kept(&digest, keys) {
                Kept::Component(bytes) => {
                    if reference.digest.is_none() {
                        warn!(
                            "`{reference}` stays {digest}: what the tag names now is asked at the next start"
                        );
                    }
                    return Ok(Fetched { digest, bytes });
                }
                Kept::Unsigned(why) if is_confined || !may_be_signed_elsewhere => return Err(why),
                Kept::Unsigned(_) | Kept::Nothing => {}
            }
        }
        if is_confined {
            bail!(
                "it is not in the cache, and the lockdown lets a running server ask no registry; fetch it by `wasi-httpd inspect` \
                 and reload again, or restart"
            );
        }
        let fetched = speak(self.registries.time, self.pull(reference, keys))?;
        if reference.digest.is_none() {
            lock(&self.tags).insert(reference.clone(), fetched.digest);
        }
        Ok(fetched)
    }

    fn cache(&self) -> Option<&Cache> {
        let open = || match Cache::open(self.most_kept) {
            Ok(cache) => Some(cache),
            Err(error) => {
                warn!("components from registries are not kept: {error:#}");
                None
            }
        };
        self.cache.get_or_init(open).as_ref()
    }

    /// Looks into the cache.
    fn kept(&self, digest: &Sha256, keys: Option<&Keys>) -> Kept {
        let read = || {
            let cache = self.cache()?;
            let manifest = Manifest::parse(&cache.blob(digest, MAX_MANIFEST)?).ok()?;
            let component = cache.blob(&manifest.component.digest, manifest.component.size)?;
            Some((cache, manifest, component))
        };
        let Some((cache, manifest, component)) = read() else {
            // Its signature was checked by the same keys.
            return lock(&self.held).get(digest).cloned().map_or(Kept::Nothing, Kept::Component);
        };
        let Some(keys) = keys else { return Kept::Component(component) };
        let signed = cache.signature(digest);
        let is_signed = signed.is_some_and(|signed| cosign::is_signed(keys.cosign(), &signed, digest));
        let checked = if is_signed { Ok(()) } else { check(keys, &manifest, &component) };
        checked.map_or_else(Kept::Unsigned, |()| Kept::Component(component))
    }

    /// Asks the registry.
    async fn pull(&self, reference: &Reference, keys: Option<&Keys>) -> Result<Fetched> {
        let mut session = Session::new(&self.registries, reference, "pull")?;
        let named = match (&reference.digest, &reference.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => bail!("it has neither a digest nor a tag"),
        };
        let document = manifest(&mut session, &named).await?;
        let document =
            document.with_context(|| format!("{} has no such component (404)", reference.registry))?;
        let digest = Sha256::of(&document);
        if reference.digest.is_some_and(|expected| expected != digest) {
            bail!("{} has sent another manifest than the one of that digest: {digest}", reference.registry);
        }
        let manifest = Manifest::parse(&document).map_err(|why| anyhow!("{why}"))?;
        let signed = match keys {
            Some(keys) => self.signature(&mut session, keys, &digest, &manifest).await?,
            None => None,
        };
        let component = &manifest.component;
        let kept = self.cache().and_then(|cache| cache.blob(&component.digest, component.size));
        let bytes = match kept.filter(|kept| kept.len() as u64 == component.size) {
            Some(bytes) => bytes,
            None => session.blob(&component.digest, component.size).await?,
        };
        if let (Some(keys), None) = (keys, &signed) {
            check(keys, &manifest, &bytes)?;
        }
        let mut is_kept = false;
        if let Some(cache) = self.cache() {
            // The manifest is last: where it is, the others are.
            let kept = cache
                .keep_blob(&component.digest, &bytes)
                .and_then(|()| signed.map_or(Ok(()), |signed| cache.keep_signature(&digest, &signed)))
                .and_then(|()| cache.keep_blob(&digest, &document));
            is_kept = kept.is_ok();
            cache.trim();
            if let Err(error) = kept {
                warn!("`{reference}` is not kept, and is fetched again at the next start: {error:#}");
            }
        }
        if !is_kept {
            lock(&self.held).insert(digest, bytes.clone());
        }
        Ok(Fetched { digest, bytes })
    }

    /// Gets the signature of a manifest by cosign; `None` if the component itself may be signed by minisign instead.
    async fn signature(
        &self,
        session: &mut Session<'_>,
        keys: &Keys,
        digest: &Sha256,
        of: &Manifest,
    ) -> Result<Option<Signed>> {
        let may_be_of_minisign = !keys.minisign().is_empty() && of.signature.is_some();
        if keys.cosign().is_empty() {
            return if may_be_of_minisign { Ok(None) } else { Err(unsigned(keys)) };
        }
        let document =
            manifest(session, &signature_tag(digest)).await.context("its signature cannot be fetched")?;
        let found = document.map(|document| signatures(&document)).transpose();
        let found = found.map_err(|why| anyhow!("its signature cannot be used: {why}"))?;
        let count = found.as_ref().map_or(0, Vec::len);
        for (blob, signature) in found.into_iter().flatten() {
            let document =
                session.blob(&blob.digest, blob.size).await.context("its signature cannot be fetched")?;
            let signed = Signed { document, signature };
            if cosign::is_signed(keys.cosign(), &signed, digest) {
                return Ok(Some(signed));
            }
        }
        match count {
            _ if may_be_of_minisign => Ok(None),
            0 => Err(unsigned(keys)),
            1 => bail!("its signature is not good for the key of --verify-key"),
            count => bail!("none of its {count} signatures is good for a key of --verify-key"),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The manifest of this name; `None` if there is none.
async fn manifest(session: &mut Session<'_>, name: &str) -> Result<Option<Vec<u8>>> {
    let uri = session.url(&format!("manifests/{name}"))?;
    let answer = session.ask(&Ask { accept: Some(MANIFEST), ..Ask::get(uri, MAX_MANIFEST) }).await?;
    match answer.status {
        StatusCode::OK => Ok(Some(answer.body)),
        StatusCode::NOT_FOUND => Ok(None),
        _ => Err(answer.refusal()),
    }
}

/// Checks the signature by minisign that a manifest has.
fn check(keys: &Keys, manifest: &Manifest, bytes: &[u8]) -> Result<()> {
    let signature = manifest.signature.as_deref().filter(|_| !keys.minisign().is_empty());
    let signature = signature.ok_or_else(|| unsigned(keys))?;
    minisign::check(keys.minisign(), signature, bytes).map_err(|why| anyhow!("its signature {why}"))
}

/// Says that a component has no signature of the kinds that these keys make, and how it gets one.
fn unsigned(keys: &Keys) -> anyhow::Error {
    let cosign = (!keys.cosign().is_empty()).then_some("`cosign sign --key KEY` signs it where it is");
    let minisign = (!keys.minisign().is_empty()).then_some("`wasi-httpd push FILE` takes FILE.minisig along");
    let ways: Vec<_> = cosign.into_iter().chain(minisign).collect();
    anyhow!("it is not signed, and --verify-key needs that: {}", ways.join(", or "))
}
