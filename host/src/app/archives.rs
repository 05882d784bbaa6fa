//! Archives of directories: how many the file server sends at a time, and which are compressed on their way. Each holds its instance for
//! as long as its client takes it, and an instance has to look at every file before.

use crate::config::site::Site;
use crate::report::metrics::Limit;
use guest::archive::{Form, GZIP_FIELD};
use http::Request;
use http::header::{CONTENT_LENGTH, HeaderMap};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Archives of a site at a time. An instance that sends the largest one has 64 MiB.
const MAX_ARCHIVES: u32 = 8;

/// The part of the instances of a site that may send archives, so that they do not hold all of them.
const PART_OF_INSTANCES: u32 = 4;

/// The right to send one archive, until the last clone is dropped: the instance may be gone before the archive is compressed.
pub(super) type Permit = Arc<OwnedSemaphorePermit>;

/// The archives of a site.
#[derive(Debug)]
pub(super) struct Archives(Arc<Semaphore>);

impl Archives {
    /// Those of a site with so many instances; `None` if it has none.
    pub(super) fn of(site: &Site, instances: u32) -> Option<Self> {
        let most = (instances / PART_OF_INSTANCES).clamp(1, MAX_ARCHIVES);
        site.asked.archives.then(|| Self(Arc::new(Semaphore::new(most as usize))))
    }

    /// The right to send what a request asks for, which only an archive needs.
    ///
    /// # Errors
    /// [`TooMany`] if as many as possible are sent.
    pub(super) fn admit<B>(&self, request: &Request<B>) -> Result<Option<Permit>, TooMany> {
        if Form::asked_for(request.uri().query()).is_none() {
            return Ok(None);
        }
        let permit = Arc::clone(&self.0).try_acquire_owned();
        permit.map(|permit| Some(Arc::new(permit))).map_err(|_| {
            Limit::Archives.hit();
            TooMany
        })
    }
}

/// Whether the body of a response of the file server is to be compressed. Then the length in its head is not that of what is sent.
pub(super) fn take_gzip(headers: &mut HeaderMap) -> bool {
    let is_wanted = headers.remove(GZIP_FIELD).is_some();
    if is_wanted {
        headers.remove(CONTENT_LENGTH);
    }
    is_wanted
}

/// As many archives as possible are sent.
#[derive(Debug)]
pub(super) struct TooMany;
