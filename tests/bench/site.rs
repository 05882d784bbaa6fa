//! The site: files of several sizes, and the kinds of requests for them.

use crate::servers::Running;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory of files, inside a directory for the servers' own files.
pub struct Site(TempDir, PathBuf);

impl Site {
    /// Creates the files, with a modification time that makes their validators strong.
    pub fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let root = directory.path().join("www");
        fs::create_dir(&root).unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        for (name, size) in
            [("0", 0), ("1k", 1 << 10), ("64k", 64 << 10), ("1m", 1 << 20), ("100m", 100 << 20)]
        {
            let path = root.join(format!("{name}.bin"));
            fs::write(&path, tests::site::noise(size)).unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        }
        fs::create_dir(root.join("list")).unwrap();
        for number in 0..100 {
            fs::write(root.join(format!("list/{number}.txt")), "x").unwrap();
        }
        Self(directory, root)
    }

    /// The directory to serve.
    pub fn root(&self) -> &Path {
        &self.1
    }

    /// The file of 100 MiB.
    pub fn large(&self) -> PathBuf {
        self.1.join("100m.bin")
    }

    /// The directory for the servers' own files, such as their configuration.
    pub fn outside(&self) -> &Path {
        self.0.path()
    }
}

/// A kind of request.
pub struct Case {
    /// Its name in the report.
    pub name: &'static str,
    /// The path.
    pub target: &'static str,
    /// Additional fields, one per line. `{etag}` stands for the server's entity tag.
    pub fields: &'static str,
    /// The expected status.
    pub status: u16,
}

/// Every kind of request.
pub const CASES: &[Case] = &[
    Case { name: "0 B", target: "/0.bin", fields: "", status: 200 },
    Case { name: "1 KiB", target: "/1k.bin", fields: "", status: 200 },
    Case { name: "64 KiB", target: "/64k.bin", fields: "", status: 200 },
    Case { name: "1 MiB", target: "/1m.bin", fields: "", status: 200 },
    Case { name: "100 MiB", target: "/100m.bin", fields: "", status: 200 },
    Case { name: "304", target: "/1k.bin", fields: "If-None-Match: {etag}\r\n", status: 304 },
    Case {
        name: "1 MiB range",
        target: "/100m.bin",
        fields: "Range: bytes=52428800-53477375\r\n",
        status: 206,
    },
    Case { name: "404", target: "/missing.bin", fields: "", status: 404 },
    Case { name: "listing", target: "/list/", fields: "", status: 200 },
];

impl Case {
    /// The small file, for which the overhead of a request dominates.
    pub fn small() -> &'static Self {
        CASES.iter().find(|case| case.name == "1 KiB").unwrap()
    }

    /// The whole request.
    pub fn request(&self, server: &Running) -> String {
        let etag = server.etag.as_deref().unwrap_or("\"none\"");
        format!("GET {} HTTP/1.1\r\nHost: bench\r\n{}\r\n", self.target, self.fields.replace("{etag}", etag))
    }

    /// Whether a server gives the expected answer. A server that does not is left out of the comparison.
    pub fn is_answered_by(&self, server: &Running) -> bool {
        let answer = crate::load::ask(server.address, &self.request(server));
        let right = answer.as_ref().is_ok_and(|answer| answer.status == self.status);
        if !right {
            println!("{} does not give the expected answer to {}: {answer:?}", server.name, self.name);
        }
        right
    }
}
