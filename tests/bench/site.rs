//! The site: files of several sizes, a large directory, and rules for other paths.

use std::fs;
use std::path::{Path, PathBuf};
use tests::site::{header_rules, noise, redirects};

/// The number of files in the directory that is listed.
pub const LISTED_FILES: usize = 1_000;

/// A directory of files, inside a directory for the servers' own files.
pub struct Site(tests::Site);

impl Site {
    /// Creates the files.
    pub fn new() -> Self {
        let site = tests::Site::new();
        for (name, size) in
            [("0", 0), ("1k", 1 << 10), ("64k", 64 << 10), ("1m", 1 << 20), ("100m", 100 << 20)]
        {
            site.file(&format!("{name}.bin"), noise(size));
        }
        for number in 0..LISTED_FILES {
            site.file(&format!("many/{}", Self::listed_file(number)), "x");
        }
        site.file("_redirects", redirects(20)).file("_headers", header_rules(10));
        Self(site)
    }

    /// The name of a file in the directory that is listed.
    pub fn listed_file(number: usize) -> String {
        format!("document-{number:04}.txt")
    }

    /// The directory to serve.
    pub fn root(&self) -> &Path {
        self.0.root()
    }

    /// The directory for the servers' own files, such as their configuration.
    pub fn outside(&self) -> &Path {
        self.0.outside()
    }

    /// The file of 100 MiB.
    pub fn large(&self) -> PathBuf {
        self.0.path("100m.bin")
    }

    /// The content of a file.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.path(name)).unwrap()
    }
}
