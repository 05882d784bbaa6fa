//! `--compress`: files without precompressed variants are sent in the coding that the client prefers, from the second request on.
//! A file that has changed is never sent as it was, and no part of a coded form goes to a client that has parts of another.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};
use tests::coding::{CODINGS, decoded, text};
use tests::site::{MODIFIED, MODIFIED_SECONDS, MODIFIED_TAG, Site, noise};
use tests::{EXECUTORS, Response, Server, eventually, programs};

/// What browsers send.
const BROWSER: &str = "gzip, deflate, br, zstd";

fn serve(site: &Site, options: &[&str]) -> Server {
    programs!().ours(site, &[&["--compress"], options].concat())
}

fn get(server: &Server, target: &str, accept_encoding: &str) -> Response {
    server.get_with(target, &[("Accept-Encoding", accept_encoding)])
}

/// The answer in this coding, once there is one.
fn coded(server: &Server, target: &str, coding: &str) -> Response {
    let mut answer = None;
    eventually("the answer is coded", || {
        let next = get(server, target, coding);
        assert_eq!(next.status, 200);
        let is_coded = next.header("content-encoding") == Some(coding);
        answer = Some(next);
        is_coded
    });
    answer.unwrap()
}

/// Files of the server that are coded forms, and the memory that they take.
fn forms(server: &Server) -> (usize, u64) {
    let files = Path::new("/proc").join(server.id().to_string()).join("fd").read_dir().unwrap();
    let (mut count, mut bytes) = (0, 0);
    for file in files {
        let path = file.unwrap().path();
        // It may have been closed meanwhile.
        let Ok(name) = fs::read_link(&path) else { continue };
        if name.to_str().unwrap().starts_with("/memfd:wasi-httpd-coded")
            && let Ok(metadata) = fs::metadata(&path)
        {
            count += 1;
            bytes += std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
        }
    }
    (count, bytes)
}

#[test]
fn later_answers_are_in_the_coding_that_the_client_prefers() {
    let site = Site::new();
    let content = text(1_000_000, 1);
    site.file("assets/app.js", &content);
    for flags in EXECUTORS {
        let server = serve(&site, flags);
        let plain = get(&server, "/assets/app.js", BROWSER);
        assert_eq!((plain.status, plain.header("content-encoding")), (200, None));
        assert_eq!(plain.header("vary"), Some("Accept-Encoding"));
        assert_eq!(plain.header("etag"), Some(&*format!("\"{MODIFIED_TAG}-{:x}\"", content.len())));
        assert_eq!(plain.body, content.as_bytes());
        for (coding, _) in CODINGS {
            let answer = coded(&server, "/assets/app.js", coding);
            assert_eq!(decoded(coding, &answer.body), content.as_bytes(), "{coding}");
            let tag = format!("\"{MODIFIED_TAG}-{:x}-{coding}\"", answer.body.len());
            let length = answer.body.len().to_string();
            for (name, value) in [
                ("etag", &*tag),
                ("content-length", &length),
                ("vary", "Accept-Encoding"),
                ("last-modified", MODIFIED),
                ("content-type", "text/javascript; charset=utf-8"),
                ("accept-ranges", "bytes"),
            ] {
                assert_eq!(answer.header(name), Some(value), "{coding}: {name}");
            }
            let fields = [("Accept-Encoding", coding)];
            let head = server.connect().request("HEAD", "/assets/app.js", &fields);
            assert_eq!(head.header_names(), answer.header_names());
            assert_eq!(head.header("etag"), Some(&*tag));
            let fields = [("Accept-Encoding", coding), ("If-None-Match", &*tag)];
            assert_eq!(server.get_with("/assets/app.js", &fields).status, 304, "{coding}");
        }
        assert_eq!(get(&server, "/assets/app.js", BROWSER).header("content-encoding"), Some("br"));
        let answer = get(&server, "/assets/app.js", "br;q=0.5, zstd");
        assert_eq!(answer.header("content-encoding"), Some("zstd"));
        assert_eq!(get(&server, "/assets/app.js", "identity").body, content.as_bytes());
        assert_eq!(server.get("/assets/app.js").body, content.as_bytes());
    }
}

#[test]
fn a_coding_that_is_preferred_to_one_that_is_there_comes_too() {
    let site = Site::new();
    site.file("a.js", text(5_000, 1));
    let server = serve(&site, &[]);
    coded(&server, "/a.js", "gzip");
    // What there is, is sent meanwhile.
    let codings = ["gzip", "br"].map(Some);
    eventually("the preferred coding is there", || {
        let answer = get(&server, "/a.js", "gzip, br");
        assert!(codings.contains(&answer.header("content-encoding")));
        answer.header("content-encoding") == Some("br")
    });
}

#[test]
fn parts_are_of_what_the_client_has_parts_of() {
    let site = Site::new();
    let content = text(200_000, 1);
    site.file("a.js", &content);
    let server = serve(&site, &[]);
    let plain_tag = server.get("/a.js").header("etag").unwrap().to_owned();
    let whole = coded(&server, "/a.js", "br");
    let tag = whole.header("etag").unwrap().to_owned();
    coded(&server, "/a.js", "gzip");
    let part = |condition: Option<&str>, range: &str| {
        let mut fields = vec![("Accept-Encoding", BROWSER), ("Range", range)];
        fields.extend(condition.map(|condition| ("If-Range", condition)));
        server.get_with("/a.js", &fields)
    };
    // Its first answers may have been plain, and it does not say that they were not.
    for condition in [None, Some(plain_tag.as_str()), Some(MODIFIED)] {
        let answer = part(condition, "bytes=100-199");
        assert_eq!((answer.status, answer.header("content-encoding")), (206, None), "{condition:?}");
        assert_eq!(answer.header("content-range"), Some("bytes 100-199/200000"), "{condition:?}");
        assert_eq!(answer.body, &content.as_bytes()[100..200], "{condition:?}");
    }
    let answer = part(Some(&tag), "bytes=100-199");
    assert_eq!((answer.status, answer.header("etag")), (206, Some(&*tag)));
    assert_eq!(answer.header("content-range"), Some(&*format!("bytes 100-199/{}", whole.body.len())));
    assert_eq!(answer.body, &whole.body[100..200]);
    // Several parts of a coded form are ambiguous, and what is no longer there has no parts.
    let other = tag.replace("-br", "0-br");
    for (condition, range) in [(tag.as_str(), "bytes=0-9,2000-2009"), (&other, "bytes=100-199")] {
        let answer = part(Some(condition), range);
        assert_eq!((answer.status, answer.header("etag")), (200, Some(&*tag)), "{condition}");
        assert_eq!(answer.body, whole.body);
    }
    let answer = part(Some("\"a-gzip\""), "bytes=100-199");
    assert_eq!((answer.status, answer.header("content-encoding")), (200, Some("gzip")));
}

#[test]
fn a_file_that_has_changed_is_never_sent_as_it_was() {
    let site = Site::new();
    let path = site.path("a.js");
    let modified = UNIX_EPOCH + Duration::new(MODIFIED_SECONDS, 1);
    let changes: [fn(&Path, &str); 3] = [
        |path, content| fs::write(path, content).unwrap(),
        // In its place, and nothing of it is newer but its content.
        |path, content| {
            let mut file = fs::File::options().write(true).open(path).unwrap();
            file.write_all(content.as_bytes()).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::new(MODIFIED_SECONDS, 1)).unwrap();
        },
        |path, content| {
            let other = path.with_file_name("other");
            fs::write(&other, content).unwrap();
            fs::rename(other, path).unwrap();
        },
    ];
    site.file_modified("a.js", text(9_000, 100), modified);
    let server = serve(&site, &[]);
    let mut seed = 100;
    for change in changes {
        coded(&server, "/a.js", "br");
        // Several within a moment, in which the kernel gives the same times.
        for _ in 0..20 {
            seed += 1;
            let content = text(9_000, seed);
            change(&path, &content);
            let answer = get(&server, "/a.js", "br");
            assert_eq!(answer.header("content-encoding"), None, "nobody has asked for it before");
            assert_eq!(answer.body, content.as_bytes());
        }
        let answer = coded(&server, "/a.js", "br");
        assert_eq!(decoded("br", &answer.body), text(9_000, seed).as_bytes());
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(get(&server, "/a.js", "br").status, 404);
}

#[test]
fn what_is_in_memory_is_neither_listed_nor_has_it_a_url() {
    let site = Site::new().with("FILES_LISTING", "on");
    site.file("a.js", text(9_000, 1));
    let server = serve(&site, &[]);
    for (coding, suffix) in CODINGS {
        coded(&server, "/a.js", coding);
        let target = format!("/a.js{suffix}");
        for accept_encoding in ["identity", BROWSER] {
            assert_eq!(get(&server, &target, accept_encoding).status, 404, "{target}");
        }
    }
    let listing = server.get_with("/", &[("Accept", "application/json"), ("Accept-Encoding", BROWSER)]);
    assert!(listing.text().contains("\"a.js\"") && !listing.text().contains("a.js."), "{}", listing.text());
    assert_eq!(fs::read_dir(site.root()).unwrap().count(), 1);
}

#[test]
fn some_files_stay_as_they_are() {
    let site = Site::new();
    site.file("noise.bin", noise(9_000)).file("photo.jpg", text(9_000, 1)).file("small.js", text(1_023, 2));
    site.file("last.js", text(9_000, 3));
    let server = serve(&site, &[]);
    // In the first round, none of them has stayed the same for long enough.
    for seed in 4..7 {
        for target in ["/noise.bin", "/photo.jpg", "/small.js"] {
            assert_eq!(get(&server, target, BROWSER).header("content-encoding"), None, "{target}");
        }
        // One thread compresses files in the order in which they were asked for.
        coded(&server, "/last.js", "br");
        fs::write(site.path("last.js"), text(9_000, seed)).unwrap();
    }
}

#[test]
fn variants_in_the_directory_come_first_unless_they_are_outdated() {
    let site = Site::new();
    let content = text(9_000, 1);
    site.file("a.js", &content).file("a.js.gz", "of the directory").file("b.js", &content);
    let before = UNIX_EPOCH + Duration::from_secs(MODIFIED_SECONDS - 1);
    site.file_modified("b.js.gz", "outdated", before);
    let server = serve(&site, &[]);
    let answer = coded(&server, "/b.js", "gzip");
    assert_eq!(decoded("gzip", &answer.body), content.as_bytes());
    assert_eq!(get(&server, "/a.js", BROWSER).body, b"of the directory");
    // The file itself was not sent, so that nothing was made of it.
    assert_eq!(forms(&server).0, 1);
    site.file("b.js.gz", "current");
    assert_eq!(get(&server, "/b.js", "gzip").body, b"current");
}

#[test]
fn what_is_kept_is_bounded() {
    // There is room for some 100 of them.
    const FILES: u64 = 300;
    let site = Site::new();
    for seed in 0..FILES {
        site.file(&format!("{seed}.js"), text(20_000, seed));
    }
    let server = programs!().ours(&site, &["--compress=1"]);
    for seed in 0..FILES {
        let answer = coded(&server, &format!("/{seed}.js"), "gzip");
        assert_eq!(decoded("gzip", &answer.body), text(20_000, seed).as_bytes());
        let (count, bytes) = forms(&server);
        assert!(count > 0 && bytes <= 1 << 20, "{count} of {bytes} bytes");
    }
    // Those that were used last have taken its place.
    assert_eq!(get(&server, "/0.js", "gzip").header("content-encoding"), None);
}

#[test]
fn it_is_off_unless_the_flag_is_there_and_only_for_the_file_server() {
    let site = Site::new();
    let threads = |server: &Server| {
        let tasks = Path::new("/proc").join(server.id().to_string()).join("task").read_dir().unwrap();
        let names = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("comm")).unwrap());
        names.filter(|name| name.trim() == "compressor").count()
    };
    assert_eq!(threads(&programs!().ours(&site, &[])), 0);
    assert_eq!(threads(&serve(&site, &[])), 1);
    for (arguments, words) in [
        (&["--compress=0"][..], "--compress takes the MiB"),
        (&["--compress=all"], "--compress takes the MiB"),
        (&["--compress", "Cargo.toml"], "--compress is for the built-in file server"),
    ] {
        let output = programs!().command().args(arguments).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(words) && message.lines().count() == 1, "{message}");
        assert_eq!(output.status.code(), Some(2), "{message}");
    }
    // The component looks for no variants then.
    let site = site.with("FILES_PRECOMPRESSED", "off");
    site.file("a.js", text(9_000, 1));
    let server = serve(&site, &[]);
    for _ in 0..2 {
        assert_eq!(get(&server, "/a.js", BROWSER).header("content-encoding"), None);
    }
}
