//! `--digests`: clients that ask for it get the digest of what a URL stands for (RFC 9530), once it is known, and never a wrong one.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest as _, Sha256, Sha512};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use tests::coding::{CODINGS, decoded, text};
use tests::site::{MODIFIED_SECONDS, Site, noise};
use tests::{EXECUTORS, Response, Runtime, Server, eventually, on_each_runtime, programs};

const WANTED: (&str, &str) = ("Want-Repr-Digest", "sha-256=10");

fn site() -> Site {
    Site::new().with("FILES_DIGESTS", "on")
}

fn sha256(content: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64_STANDARD.encode(Sha256::digest(content)))
}

fn sha512(content: &[u8]) -> String {
    format!("sha-512=:{}:", BASE64_STANDARD.encode(Sha512::digest(content)))
}

/// The answer with a digest, once there is one.
fn digested(server: &Server, target: &str, fields: &[(&str, &str)]) -> Response {
    let mut answer = None;
    eventually("the answer has a digest", || {
        let next = server.get_with(target, &[fields, &[WANTED]].concat());
        let has_digest = next.header("repr-digest").is_some();
        answer = Some(next);
        has_digest
    });
    answer.unwrap()
}

/// A sidecar of a file of the site, with the digest of `content`.
fn sidecar(site: &Site, name: &str, content: &[u8]) -> String {
    let metadata = fs::metadata(site.path(name)).unwrap();
    let (length, seconds, nanoseconds) = (metadata.size(), metadata.mtime(), metadata.mtime_nsec());
    format!("size={length}\nmodified={seconds}.{nanoseconds:09}\n{}\n", sha256(content))
}

#[test]
fn later_answers_have_the_digest_that_the_client_wants() {
    let site = site().with("FILES_LISTING", "on").with("FILES_CORS", "*");
    let content = noise(300_000);
    site.file("a.bin", &content).file("empty.txt", "");
    for flags in EXECUTORS {
        let server = programs!().ours(&site, flags);
        let wanting = |value: &str| server.get_with("/a.bin", &[("Want-Repr-Digest", value)]);
        // No answer waits for a digest.
        assert_eq!((wanting("sha-256=1").status, wanting("sha-1=1").header("repr-digest")), (200, None));
        let answer = digested(&server, "/a.bin", &[]);
        assert_eq!(answer.header("repr-digest"), Some(&*sha256(&content)));
        assert_eq!(answer.body, content);
        assert!(answer.header("access-control-expose-headers").unwrap().ends_with(", Repr-Digest"));
        for (value, expected) in [
            ("sha-256=1, sha-512=2", Some(sha512(&content))),
            ("sha-512=10", Some(sha512(&content))),
            ("md5=10, sha-256=1", Some(sha256(&content))),
            ("sha-256=0", None),
            ("md5=10", None),
            ("sha-256=11", None),
            ("sha-256", None),
            ("", None),
        ] {
            let answer = wanting(value);
            assert_eq!(answer.header("repr-digest"), expected.as_deref(), "{value}");
            assert_eq!((answer.status, answer.header("vary")), (200, server.get("/a.bin").header("vary")));
        }
        assert_eq!(server.get("/a.bin").header("repr-digest"), None, "nobody has asked for it");
        assert_eq!(digested(&server, "/empty.txt", &[]).header("repr-digest"), Some(&*sha256(b"")));
        for target in ["/", "/missing"] {
            assert_eq!(server.get_with(target, &[WANTED]).header("repr-digest"), None, "{target}");
        }
    }
}

#[test]
fn every_answer_about_a_file_has_the_digest_of_all_of_it() {
    let site = site();
    let content = text(5_000, 1);
    site.file("a.txt", &content);
    let server = programs!().ours(&site, &[]);
    let whole = digested(&server, "/a.txt", &[]);
    let tag = whole.header("etag").unwrap().to_owned();
    for (method, fields, status) in [
        ("HEAD", &[][..], 200),
        ("GET", &[("Range", "bytes=10-19")], 206),
        ("GET", &[("Range", "bytes=10-19"), ("If-Range", &tag)], 206),
        ("GET", &[("Range", "bytes=0-9,2000-2009")], 206),
        ("GET", &[("If-None-Match", &tag)], 304),
    ] {
        let answer = server.connect().request(method, "/a.txt", &[fields, &[WANTED]].concat());
        assert_eq!(answer.status, status, "{fields:?}");
        assert_eq!(answer.header("repr-digest"), whole.header("repr-digest"), "{fields:?}");
    }
    for (fields, status) in [([("If-Match", "\"other\"")], 412), ([("Range", "bytes=5000-")], 416)] {
        let answer = server.get_with("/a.txt", &[&fields[..], &[WANTED]].concat());
        assert_eq!((answer.status, answer.header("repr-digest")), (status, None));
    }
}

#[test]
fn a_digest_is_of_the_coding_that_is_sent() {
    let site = site();
    let content = text(50_000, 1);
    site.file("a.js", &content).file("b.js", &content).file("b.js.gz", "of the directory");
    let server = programs!().ours(&site, &["--compress"]);
    assert_eq!(digested(&server, "/a.js", &[]).header("repr-digest"), Some(&*sha256(content.as_bytes())));
    for (coding, _) in CODINGS {
        let accepted = [("Accept-Encoding", coding)];
        eventually("it is coded", || {
            server.get_with("/a.js", &accepted).header("content-encoding").is_some()
        });
        let answer = digested(&server, "/a.js", &accepted);
        assert_eq!(answer.header("content-encoding"), Some(coding));
        assert_eq!(decoded(coding, &answer.body), content.as_bytes());
        assert_eq!(answer.header("repr-digest"), Some(&*sha256(&answer.body)), "{coding}");
    }
    let answer = digested(&server, "/b.js", &[("Accept-Encoding", "gzip")]);
    assert_eq!(answer.header("repr-digest"), Some(&*sha256(b"of the directory")));
}

#[test]
fn a_digest_has_no_url_and_is_not_listed() {
    let site = site().with("FILES_LISTING", "on");
    site.file("a.txt", "a");
    let server = programs!().ours(&site, &[]);
    digested(&server, "/a.txt", &[]);
    for fields in [&[][..], &[WANTED]] {
        assert_eq!(server.get_with("/a.txt.digest", fields).status, 404);
        assert_eq!(server.get_with("/a.txt.digest.digest", fields).status, 404);
        let listing = server.get_with("/", &[&[("Accept", "application/json")], fields].concat());
        assert!(listing.text().contains("\"total\":1"), "{}", listing.text());
    }
    assert_eq!(fs::read_dir(site.root()).unwrap().count(), 1);
}

#[test]
fn a_file_that_changes_has_never_a_digest_of_another() {
    let site = site();
    let path = site.path("a.bin");
    site.file("a.bin", noise(50_000));
    let server = programs!().ours(&site, &[]);
    // Contents of the same length and, as tools set it, of the same time.
    let change = |round: u64| {
        let content = text(50_000, round);
        let modified = UNIX_EPOCH + Duration::from_secs(MODIFIED_SECONDS);
        if round.is_multiple_of(2) {
            site.file_modified("a.bin", &content, modified);
        } else {
            let other = site.outside().join("other");
            fs::write(&other, &content).unwrap();
            fs::File::options().write(true).open(&other).unwrap().set_modified(modified).unwrap();
            fs::rename(other, &path).unwrap();
        }
        content
    };
    for round in 0..4 {
        let content = change(round);
        assert_eq!(server.get_with("/a.bin", &[WANTED]).header("repr-digest"), None, "it has just changed");
        let answer = digested(&server, "/a.bin", &[]);
        assert_eq!(
            (answer.text(), answer.header("repr-digest")),
            (&*content, Some(&*sha256(content.as_bytes())))
        );
    }
    // Replaced as a whole while it is read, so that each answer is of one version.
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in (1..).step_by(2) {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                change(round);
                std::thread::yield_now();
            }
        });
        let mut client = server.connect();
        for _ in 0..500 {
            let answer = client.request("GET", "/a.bin", &[WANTED]);
            if let Some(digest) = answer.header("repr-digest") {
                assert_eq!(digest, sha256(&answer.body));
            }
        }
        ends.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_digest_may_lie_beside_its_file() {
    let site = site();
    site.file("a.txt", "a").file("b.txt", "b").file("b.txt.br", "coded");
    site.file("stale.txt", "stale")
        .file("long.txt", "long")
        .file("odd.txt", "odd")
        .directory("dir.txt.digest");
    site.file("dir.txt", "dir");
    for name in ["a.txt", "b.txt.br", "long.txt"] {
        let content = fs::read(site.path(name)).unwrap();
        site.file(&format!("{name}.digest"), sidecar(&site, name, &content));
    }
    site.file("odd.txt.digest", [0xff; 300]);
    site.file("stale.txt.digest", sidecar(&site, "stale.txt", b"old"));
    // Another length, and the same length and time in a later version.
    site.file("long.txt", "longer");
    site.wait_for_later_changes("stale.txt.digest");
    site.file("stale.txt", "newer");
    on_each_runtime!(site, |server| {
        let digest = |target: &str, coding: &str| {
            let answer = server.get_with(target, &[WANTED, ("Accept-Encoding", coding)]);
            assert_eq!(answer.status, 200, "{target}");
            answer.header("repr-digest").map(str::to_owned)
        };
        assert_eq!(digest("/a.txt", "br"), Some(sha256(b"a")));
        assert_eq!(digest("/b.txt", "br"), Some(sha256(b"coded")));
        // Our host computes what it does not find, and knows the time of change.
        let other = if server.runtime() == Runtime::Ours { "/stale.txt" } else { "/b.txt" };
        for name in [other, "/long.txt", "/odd.txt", "/dir.txt"] {
            assert_eq!(digest(name, "identity"), None, "{name}");
        }
    });
}

#[test]
fn it_is_off_unless_the_setting_is_there() {
    let site = Site::new();
    site.file("a.txt", "a");
    site.file("a.txt.digest", sidecar(&site, "a.txt", b"a"));
    on_each_runtime!(site, |server| {
        assert_eq!(server.get_with("/a.txt", &[WANTED]).header("repr-digest"), None);
    });
}
