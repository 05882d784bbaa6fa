//! Links interfaces that are proposals beside the releases of WASI. Components of 0.2 and of 0.3 import them in the same form.

pub mod config;
pub mod keyvalue;
