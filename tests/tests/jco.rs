//! The file server on a runtime other than wasmtime: `jco serve` on Node.js, with `tests/guests/jco/setup.mjs`.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use tests::site::{MODIFIED, MODIFIED_TAG, Site, noise};
use tests::strangers::path;
use tests::{Client, Process, Response};

/// A server in a process group of its own, which also has the processes that it starts.
struct Jco {
    process: Process,
    address: SocketAddr,
}

impl Jco {
    fn start(site: &Site) -> Self {
        // The module lies in the `--jco-dir`, from where its imports resolve to jco's own copies of the packages.
        let module = site.outside().join("setup.mjs");
        std::fs::copy(guest_builder::workspace().join("tests/guests/jco/setup.mjs"), &module).unwrap();
        let guest = site.outside().join("guest.wasm");
        std::fs::write(&guest, &*host::component::BUILT_IN).unwrap();
        // jco does not print the port that it listens on, so it is given one that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(path("node_modules/.bin/jco"));
        command
            .args(["serve", "--host", "127.0.0.1", "--port", &address.port().to_string(), "--jco-dir"])
            .arg(site.outside())
            .arg("--jco-import")
            .arg(&module)
            .arg(&guest)
            .env("FILES_ROOT", site.root());
        for setting in site.settings() {
            let (name, value) = setting.split_once('=').unwrap();
            command.env(name, value);
        }
        let process = Process::start(command.stdin(Stdio::null()).process_group(0));
        process.wait_for_error(|line| line.contains("Server listening"));
        Self { process, address }
    }

    fn request(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Response {
        Client::connect(self.address).request(method, target, fields)
    }
}

impl Drop for Jco {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-s", "KILL", "--", &format!("-{}", self.process.id())]).status();
    }
}

#[test]
fn the_file_server_runs_on_node() {
    let site = Site::new().with("FILES_LISTING", "on");
    let big = noise(1 << 20);
    site.file("a.txt", "0123456789").file("big.bin", &big).file("empty", "").directory("dir");
    let server = Jco::start(&site);
    let tag = format!("\"{MODIFIED_TAG}-a\"");

    let response = server.request("GET", "/a.txt", &[]);
    assert_eq!((response.status, response.text(), response.complete), (200, "0123456789", true));
    assert_eq!(response.header("etag"), Some(&*tag));
    assert_eq!(response.header("last-modified"), Some(MODIFIED));
    assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    let response = server.request("GET", "/big.bin", &[]);
    assert!(response.status == 200 && response.complete && response.body == big);
    assert_eq!(server.request("GET", "/empty", &[]).text(), "");

    let head = server.request("HEAD", "/a.txt", &[]);
    assert_eq!((head.status, head.text(), head.header("etag")), (200, "", Some(&*tag)));

    let not_modified = server.request("GET", "/a.txt", &[("If-None-Match", &tag)]);
    assert_eq!((not_modified.status, not_modified.text()), (304, ""));
    let not_modified = server.request("GET", "/a.txt", &[("If-Modified-Since", MODIFIED)]);
    assert_eq!((not_modified.status, not_modified.text()), (304, ""));

    for (range, status, content_range, body) in [
        ("bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("bytes=-1", 206, "bytes 9-9/10", "9"),
        ("bytes=10-", 416, "bytes */10", ""),
    ] {
        let response = server.request("GET", "/a.txt", &[("Range", range)]);
        assert_eq!((response.status, response.header("content-range")), (status, Some(content_range)));
        assert!(response.complete && (status == 416 || response.text() == body), "{response:?}");
    }
    let response = server.request("GET", "/big.bin", &[("Range", "bytes=100000-299999")]);
    assert!(response.status == 206 && response.body == big[100_000..300_000]);

    let missing = server.request("GET", "/missing", &[]);
    assert_eq!((missing.status, missing.header("cache-control")), (404, Some("no-store")));
    assert_eq!(server.request("GET", "/../secret", &[]).status, 404);

    let listing = server.request("GET", "/", &[]);
    assert!(listing.status == 200 && listing.text().contains("./big.bin"), "{}", listing.text());
    let redirect = server.request("GET", "/dir", &[]);
    assert_eq!((redirect.status, redirect.header("location")), (308, Some("./dir/")));
}
