//! What WASI calls mean on this host, without the glue that links them to guests.
//!
//! - [`entries`]: the entries of a directory
//! - [`files`]: opening and examining files below a directory; [`last_file`], and by the [key](path_key) of their path
//!   [`known_files`], [`missing_names`] and [`open_files`]: with few system calls
//! - [`streams`]: which of an instance's streams are files and bodies, so that one can be handed to the other
//! - [`lent_body`]: bodies that the runtime has, and that are taken out again where a guest gives them away unread
//! - [`sidecars`]: compressed forms of files, which are in memory
//! - [`keyvalue`]: stores of keys and values
//! - [`messages`]: fields and lengths of HTTP messages

mod entries;
pub mod files;
pub mod keyvalue;
mod known_files;
mod last_file;
mod lent_body;
pub mod messages;
mod missing_names;
mod open_files;
mod path_key;
pub mod sidecars;
mod streams;

pub use entries::Entries;
pub use known_files::KnownFiles;
pub use last_file::{Found, LastFile};
pub use lent_body::{Lent, LentBodies, LentHandle};
pub use missing_names::MissingNames;
pub use open_files::{MAX_OPEN_FILES, OpenFiles};
pub use path_key::PathKeys;
pub use streams::{OpenBodies, Streams};
