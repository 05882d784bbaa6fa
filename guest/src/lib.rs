//! The file server: a `wasi:http` component that answers requests with the files of its first preopened directory.
//!
//! Decide first, render later. The modules stand in the order in which a request passes through them; all but the
//! adapter are pure, import nothing of WASI, and are tested natively:
//!
//! 1. [`request`]: what was asked, in plain types
//! 2. [`path`]: which relative path the URL names
//! 3. [`resolve`]: which file that is
//! 4. [`validators`]: what identifies the file's present state
//! 5. [`conditional`]: whether the client has it already
//! 6. [`response`]: the answer, complete ([`media_type`] among its fields)
//! 7. `wasi02`: reads the request from the runtime and sends the answer (in the component only)

pub mod conditional;
pub mod media_type;
pub mod path;
pub mod request;
pub mod resolve;
pub mod response;
pub mod validators;

#[cfg(target_family = "wasm")]
mod wasi02;

use conditional::Outcome;
use path::{PathError, UrlPath};
use request::{Method, Request};
use resolve::{Kind, Representation, Resolution, Timestamp, Tree, TreeError};
use response::Plan;
use validators::{ContentHasher, LARGEST_HASHED, Validators};

/// Decides the whole answer to a request. `now` is asked only when the answer depends on the time.
pub async fn respond<T: Tree>(tree: &T, request: &Request, now: impl Fn() -> Timestamp) -> Plan<T::File> {
    match request.method {
        Method::Get => answer(tree, request, now).await,
        Method::Head => answer(tree, request, now).await.without_body(),
        Method::Options => Plan::options(),
        Method::Other => Plan::error(405),
    }
}

async fn answer<T: Tree>(tree: &T, request: &Request, now: impl Fn() -> Timestamp) -> Plan<T::File> {
    let path = match UrlPath::parse(&request.target) {
        Ok(path) => path,
        Err(PathError::Malformed) => return Plan::error(400),
        Err(PathError::NoSuchName) => return Plan::error(404),
    };
    let representation = match resolve::resolve(tree, &path).await {
        Resolution::File(representation) => representation,
        Resolution::RedirectToDirectory => return Plan::redirect(path.directory_location()),
        Resolution::NotFound => return Plan::error(404),
        Resolution::Failed => return Plan::error(500),
    };
    let Ok(validators) = identify(tree, &representation, now()).await else { return Plan::error(500) };
    match conditional::evaluate(request, &validators) {
        Outcome::Proceed => Plan::whole(representation, &validators),
        Outcome::NotModified => Plan::not_modified(&validators),
        Outcome::PreconditionFailed => Plan::error(412),
    }
}

/// The validators of a file: of its time and length, or of its content where the time says nothing.
async fn identify<T: Tree>(
    tree: &T,
    representation: &Representation<T::File>,
    now: Timestamp,
) -> Result<Validators, TreeError> {
    let Representation { file, metadata, .. } = representation;
    debug_assert_eq!(metadata.kind, Kind::File);
    match Validators::from_metadata(metadata, now) {
        Some(validators) => Ok(validators),
        None if metadata.length <= LARGEST_HASHED => hash(tree, file).await,
        None => Ok(Validators::default()),
    }
}

async fn hash<T: Tree>(tree: &T, file: &T::File) -> Result<Validators, TreeError> {
    let mut hasher = ContentHasher::default();
    loop {
        let piece = tree.read(file, hasher.length()).await?;
        // A file that grows while it is read is not read for ever.
        if piece.is_empty() || hasher.length() > LARGEST_HASHED {
            return Ok(hasher.finish());
        }
        hasher.update(&piece);
    }
}
