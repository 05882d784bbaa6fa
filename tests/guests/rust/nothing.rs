//! Cargo needs a library or a program beside the examples.
