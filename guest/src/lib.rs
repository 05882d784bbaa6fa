//! The file server: a `wasi:http` component that answers requests with the files of its first preopened directory.
//!
//! Decide first, render later. All modules but the adapters are pure: they import nothing of WASI, and are tested natively.
//! In the order in which a request passes through them:
//!
//! 1. [`config`]: the operator's settings, with [`table`]s by [`pattern`] of path and checked header [`fields`]
//! 2. [`request`]: method, target and header fields, in plain types
//! 3. [`path`]: which relative path the URL names
//! 4. [`rules`]: what `_headers` and `_redirects` say of it; [`guard`]s: whether the client has to log in
//! 5. [`resolve`]: which file that is, in the [`tree`] of the disk
//! 6. [`encoding`]: which precompressed variant of it ([`weight`]s decide)
//! 7. [`validators`]: what identifies the file's present state
//! 8. [`mod@digest`]: a digest that is known of that state
//! 9. [`conditional`]: whether the client has it already ([`date`]s decide)
//! 10. [`range`]: which bytes of it
//! 11. [`listing`]: the entries of a directory, in the form that [`accept`] chooses
//! 12. [`archive`]: a directory with everything below it, as one file
//! 13. [`markdown`]: a file of Markdown as HTML
//! 14. [`answer`]: all of this in turn, to the answer as a plan ([`response`], with [`media_type`], [`cache`],
//!     [`disposition`] and, for pages of the server's own, [`html`])
//! 15. [`policy`]: what settings and rules add to the answer
//! 16. `wasi`: reads the request from the runtime and sends the answer (in the component only), by calls of WASI or as an
//!     [`exchange`] of bytes
//!
//! Short texts are [`split`] on the way. Their allocations lie in an [`arena`], which the component's `heap` owns.

pub mod accept;
pub mod answer;
pub mod archive;
pub mod arena;
pub mod cache;
pub mod conditional;
pub mod config;
pub mod date;
pub mod digest;
pub mod disposition;
pub mod encoding;
pub mod exchange;
pub mod fields;
pub mod guard;
pub mod html;
pub mod listing;
pub mod markdown;
pub mod media_type;
pub mod path;
pub mod pattern;
pub mod policy;
pub mod range;
pub mod request;
pub mod resolve;
pub mod response;
pub mod rules;
pub mod split;
pub mod table;
pub mod tree;
pub mod validators;
pub mod weight;

#[cfg(target_family = "wasm")]
mod heap;
#[cfg(target_family = "wasm")]
mod wasi;

pub use answer::{handle, respond};
