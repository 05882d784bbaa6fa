//! The harness of the black-box suites: a [`Site`] on disk, a [`Server`] or another [`Process`], a [`Client`] on a raw
//! socket, and [`guests`] that do what the file server does not.

pub mod activation;
pub mod archive;
pub mod browser;
pub mod client;
pub mod coding;
pub mod guests;
pub mod hostile;
pub mod http2;
pub mod process;
pub mod registry;
pub mod server;
pub mod signing;
pub mod site;
pub mod sockets;
pub mod stock;
#[cfg(feature = "strangers")]
pub mod strangers;
pub mod terminal;
pub mod tls;
pub mod walls;

pub use client::{Client, Response};
pub use process::{Process, eventually};
pub use server::{EXECUTORS, FileServer, Programs, Runtime, Server};
pub use site::Site;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open files to its maximum, for this process and for the servers that it starts.
pub fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// The programs under test. This is a macro because cargo gives their paths to integration tests only.
#[macro_export]
macro_rules! programs {
    () => {
        $crate::Programs {
            ours: env!("CARGO_BIN_EXE_wasi-httpd-under-test"),
            scratch: env!("CARGO_TARGET_TMPDIR"),
        }
    };
}

/// Runs a test case against the built-in guest, for both versions of WASI, on our host, in each way in which it runs guests, and on
/// stock `wasmtime serve`.
#[macro_export]
macro_rules! on_each_runtime {
    ($site:expr, |$server:ident| $case:expr) => {
        for $server in $crate::programs!().each(&$site) {
            println!("{:?} on {:?}, process {}", $server.guest(), $server.runtime(), $server.id());
            $case
        }
    };
}
