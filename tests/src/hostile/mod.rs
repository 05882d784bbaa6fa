//! A guest that does what it is told: each request carries a program of calls, which the guest makes, and the answer is all of
//! its memory. So one component, compiled once, calls every function in every way.
//!
//! - [`functions`]: what it may call, read from the WIT files
//! - [`guest`]: the guest, in WebAssembly text that is made from that list
//! - [`program`]: programs, and how arguments get into them
//! - [`generate`]: programs of hostile calls
//! - [`compare`]: servers that have to give the same answers

pub mod compare;
pub mod functions;
pub mod generate;
pub mod guest;
pub mod program;
