//! Content negotiation: precompressed variants of a file, RFC 9110 §12.5.3.

use std::fs;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};
use tests::site::{MODIFIED_SECONDS, MODIFIED_TAG, Site, noise};
use tests::{Server, on_each_runtime};

fn site() -> Site {
    let site = Site::new();
    site.file("a.txt", "identity")
        .file("a.txt.br", "brotli")
        .file("a.txt.zst", "zstandard")
        .file("a.txt.gz", "gzip")
        .file("only.txt", "identity")
        .file("photo.png", "png")
        .file("photo.png.gz", "never");
    site
}

/// The content coding of the answer to a request for `/a.txt`.
fn coding(server: &Server, accept_encoding: &[&str]) -> String {
    let fields: Vec<_> = accept_encoding.iter().map(|value| ("Accept-Encoding", *value)).collect();
    let response = server.get_with("/a.txt", &fields);
    assert_eq!(response.status, 200, "{accept_encoding:?}");
    assert_eq!(response.header("vary"), Some("Accept-Encoding"), "{accept_encoding:?}");
    assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    let coding = response.header("content-encoding").unwrap_or("identity").to_owned();
    let content = match coding.as_str() {
        "br" => "brotli",
        "zstd" => "zstandard",
        other => other,
    };
    assert_eq!(response.text(), content, "{accept_encoding:?}");
    coding
}

#[test]
fn the_client_chooses_the_coding() {
    let site = site();
    on_each_runtime!(site, |server| {
        for (accept_encoding, expected) in [
            (&[][..], "identity"),
            (&[""], "identity"),
            (&["identity"], "identity"),
            (&["gzip"], "gzip"),
            (&["GZIP"], "gzip"),
            (&["x-gzip"], "gzip"),
            (&["deflate"], "identity"),
            (&["gzip, deflate, br, zstd"], "br"),
            (&["gzip, zstd"], "zstd"),
            (&["gzip;q=0"], "identity"),
            (&["br;q=0, gzip"], "gzip"),
            (&["gzip;q=0.5, br;q=0.9"], "br"),
            (&["gzip;q=0.9, br;q=0.5"], "gzip"),
            (&["*"], "br"),
            (&["br;q=0, *"], "zstd"),
            (&["gzip;q=1.5, zstd"], "zstd"),
            (&["gzip;q=abc"], "identity"),
            (&["gzip", "br"], "br"),
            (&["gzip;q=0.2, identity;q=0.8"], "identity"),
            (&["identity;q=0"], "identity"),
            (&["*;q=0"], "identity"),
        ] {
            assert_eq!(coding(&server, accept_encoding), expected, "{accept_encoding:?}");
        }
    });
}

#[test]
fn each_variant_has_its_own_entity_tag() {
    let site = site();
    on_each_runtime!(site, |server| {
        let tag = |accept_encoding: &str| {
            let response = server.get_with("/a.txt", &[("Accept-Encoding", accept_encoding)]);
            response.header("etag").unwrap().to_owned()
        };
        assert_eq!(tag("identity"), format!("\"{MODIFIED_TAG}-8\""));
        assert_eq!(tag("gzip"), format!("\"{MODIFIED_TAG}-4-gzip\""));
        assert_eq!(tag("br"), format!("\"{MODIFIED_TAG}-6-br\""));
        assert_eq!(tag("zstd"), format!("\"{MODIFIED_TAG}-9-zstd\""));
        let status = |accept_encoding: &str, tag: &str| {
            let fields = [("Accept-Encoding", accept_encoding), ("If-None-Match", tag)];
            server.get_with("/a.txt", &fields).status
        };
        assert_eq!(status("gzip", &tag("gzip")), 304);
        assert_eq!(status("gzip", &tag("identity")), 200);
        assert_eq!(status("identity", &tag("gzip")), 200);
    });
}

#[test]
fn every_answer_for_a_negotiable_file_has_vary() {
    let site = site();
    on_each_runtime!(site, |server| {
        let tag = format!("\"{MODIFIED_TAG}-4-gzip\"");
        let gzip = ("Accept-Encoding", "gzip");
        for (method, fields, status) in [
            ("GET", vec![], 200),
            ("GET", vec![gzip], 200),
            ("HEAD", vec![], 200),
            ("HEAD", vec![gzip], 200),
            ("GET", vec![("Range", "bytes=0-1")], 206),
            ("GET", vec![gzip, ("Range", "bytes=0-1")], 206),
            ("GET", vec![gzip, ("If-None-Match", tag.as_str())], 304),
        ] {
            let response = server.connect().request(method, "/a.txt", &fields);
            assert_eq!(response.status, status, "{method} {fields:?}");
            assert_eq!(response.header("vary"), Some("Accept-Encoding"), "{method} {fields:?}");
        }
        // `Vary` is sent even without a variant, so that a cache revalidates once there is one.
        assert_eq!(server.get("/only.txt").header("vary"), Some("Accept-Encoding"));
        let photo = server.get_with("/photo.png", &[gzip]);
        assert_eq!((photo.text(), photo.header("vary")), ("png", None));
    });
}

#[test]
fn ranges_select_encoded_bytes() {
    let site = site();
    site.file("long.txt", "identity").file("long.txt.gz", noise(1000));
    on_each_runtime!(site, |server| {
        let ask = |target: &str, range: &str| {
            server.get_with(target, &[("Accept-Encoding", "gzip"), ("Range", range)])
        };
        let response = ask("/a.txt", "bytes=1-2");
        assert_eq!((response.status, response.text()), (206, "zi"));
        assert_eq!(response.header("content-range"), Some("bytes 1-2/4"));
        assert_eq!(response.header("content-encoding"), Some("gzip"));
        assert_eq!(response.header("etag"), Some(format!("\"{MODIFIED_TAG}-4-gzip\"").as_str()));
        assert_eq!(ask("/a.txt", "bytes=4-").header("content-range"), Some("bytes */4"));
        // Several ranges of an encoded variant get the whole variant: parts do not say how their bytes are encoded.
        let response = ask("/long.txt", "bytes=0-0,-1");
        assert_eq!((response.status, response.body), (200, noise(1000)));
    });
}

#[test]
fn head_has_the_length_of_the_variant() {
    let site = site();
    on_each_runtime!(site, |server| {
        for (accept_encoding, length) in [("identity", "8"), ("gzip", "4"), ("br", "6")] {
            let fields = [("Accept-Encoding", accept_encoding)];
            let response = server.connect().request("HEAD", "/a.txt", &fields);
            assert_eq!(response.header("content-length"), Some(length), "{accept_encoding}");
        }
    });
}

#[test]
fn only_a_current_regular_file_is_a_variant() {
    let site = Site::new();
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    site.file("stale.txt", "identity").file_modified("stale.txt.gz", "stale", at(MODIFIED_SECONDS - 1));
    site.file("newer.txt", "identity").file_modified("newer.txt.gz", "newer", at(MODIFIED_SECONDS + 1));
    site.file("dir.txt", "identity").directory("dir.txt.gz");
    site.file("fifo.txt", "identity");
    assert!(Command::new("mkfifo").arg(site.path("fifo.txt.gz")).status().unwrap().success());
    site.file("out.txt", "identity");
    fs::write(site.outside().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret", site.path("out.txt.gz")).unwrap();
    site.file("alone.txt.gz", "alone");
    on_each_runtime!(site, |server| {
        let get = |target: &str| server.get_with(target, &[("Accept-Encoding", "gzip")]);
        for name in ["stale", "dir", "fifo", "out"] {
            let response = get(&format!("/{name}.txt"));
            assert_eq!((response.text(), response.header("content-encoding")), ("identity", None), "{name}");
        }
        assert_eq!(get("/newer.txt").text(), "newer");
        assert_eq!(get("/alone.txt").status, 404, "a variant without its file");
        let itself = get("/alone.txt.gz");
        assert_eq!(
            (itself.header("content-type"), itself.header("content-encoding")),
            (Some("application/gzip"), None)
        );
    });
}

#[test]
fn a_change_of_the_file_outdates_its_variants() {
    let site = site();
    on_each_runtime!(site, |server| {
        assert_eq!(coding(&server, &["gzip"]), "gzip");
        let later = UNIX_EPOCH + Duration::from_secs(MODIFIED_SECONDS + 1);
        site.file_modified("a.txt", "identity", later);
        assert_eq!(coding(&server, &["gzip"]), "identity");
        site.file("a.txt", "identity");
    });
}

#[test]
fn negotiation_can_be_turned_off() {
    let site = site().with("FILES_PRECOMPRESSED", "off");
    on_each_runtime!(site, |server| {
        let response = server.get_with("/a.txt", &[("Accept-Encoding", "gzip")]);
        assert_eq!((response.text(), response.header("vary")), ("identity", None));
    });
}
