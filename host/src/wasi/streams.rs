//! Which of an instance's streams are files and bodies.
//!
//! Streams of WASI 0.2 do not tell what is behind them. So each instance remembers by number which of its input streams
//! are files and which of its output streams are bodies; a splice from one to the other then hands over a range of the
//! file. All other streams are left to the runtime.

use crate::body::{BodyStream, BodyWriter, FileSource, OutgoingEnd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// What an instance's streams are, by number. A number that was given to another stream since is recognised by the
/// first stream being gone.
#[derive(Debug, Default)]
pub struct Streams {
    files: Vec<(u32, Weak<FileSource>)>,
    bodies: Vec<(u32, Weak<BodyStream>)>,
    /// The bodies that the instance has begun in its current request, if it has begun any.
    open: Option<OpenBodies>,
}

/// Bodies that an instance has begun. It is shared with what has to end them before the instance is dropped.
#[derive(Clone, Debug, Default)]
pub struct OpenBodies(Arc<Mutex<Vec<OutgoingEnd>>>);

impl OpenBodies {
    fn lock(&self) -> MutexGuard<'_, Vec<OutgoingEnd>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, body: OutgoingEnd) {
        let mut open = self.lock();
        // A guest can begin any number of bodies and drop them.
        if open.len() == open.capacity() {
            open.retain(|body| !body.is_gone());
        }
        open.push(body);
    }

    /// Ends those that are not finished.
    pub fn end_all(&self) {
        for body in self.lock().drain(..) {
            body.end();
        }
    }
}

impl Streams {
    /// An input stream of this number reads a file.
    pub fn add_file(&mut self, number: u32, file: &Arc<FileSource>) {
        remember(&mut self.files, number, Arc::downgrade(file));
    }

    /// An output stream of this number writes to a body.
    pub fn add_body(&mut self, number: u32, body: &Arc<BodyStream>) {
        remember(&mut self.bodies, number, Arc::downgrade(body));
    }

    /// The body and the file that a splice is between, if it is between such.
    pub fn ends(&self, to: u32, from: u32) -> Option<(Arc<BodyStream>, Arc<FileSource>)> {
        Some((find(&self.bodies, to)?, find(&self.files, from)?))
    }

    /// The instance has begun a body.
    pub fn begin_body(&mut self, body: &BodyWriter) {
        self.open.get_or_insert_default().begin(body.end_handle());
    }

    /// Ends the bodies that were begun and not finished.
    pub fn end_bodies(&self) {
        if let Some(open) = &self.open {
            open.end_all();
        }
    }

    /// The bodies that are begun.
    pub fn open_bodies(&mut self) -> OpenBodies {
        self.open.get_or_insert_default().clone()
    }
}

/// Remembers a stream, and forgets those that are gone, so that the list is never longer than the instance has streams.
fn remember<T>(list: &mut Vec<(u32, Weak<T>)>, number: u32, stream: Weak<T>) {
    list.retain(|(_, known)| known.strong_count() > 0);
    list.push((number, stream));
}

fn find<T>(list: &[(u32, Weak<T>)], number: u32) -> Option<Arc<T>> {
    list.iter().find_map(|(known, stream)| (*known == number).then(|| stream.upgrade()).flatten())
}

#[cfg(test)]
mod tests {
    use super::{find, remember};
    use std::sync::Arc;

    #[test]
    fn a_number_that_was_given_again_is_not_the_stream_that_had_it() {
        let mut list = Vec::new();
        let first = Arc::new(1);
        remember(&mut list, 7, Arc::downgrade(&first));
        assert_eq!(find(&list, 7).as_deref(), Some(&1));
        drop(first);
        assert_eq!(find(&list, 7), None);
        let second = Arc::new(2);
        remember(&mut list, 7, Arc::downgrade(&second));
        assert_eq!(find(&list, 7).as_deref(), Some(&2));
        assert_eq!(list.len(), 1, "those that are gone are forgotten");
    }
}
