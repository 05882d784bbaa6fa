//! Archives of directories: what is in them, that they are as long as they say, and what becomes of them when files change meanwhile.

#![allow(clippy::unwrap_used, reason = "a test panics when something is not as it should be")]

#[allow(dead_code, reason = "each suite uses a part of it")]
mod common;

use common::{Directory, body, header, ready, text};
use guest::archive::{Archive, Cut, GZIP_FIELD, Sink};
use guest::config::COMPRESSED_ARCHIVES;
use guest::request::Method;
use guest::response::{Body, Plan};
use proptest::prelude::*;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

/// What a client gets.
#[derive(Default)]
struct Received(Vec<u8>);

impl Sink<File> for Received {
    async fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        self.0.extend_from_slice(bytes);
        Some(())
    }

    async fn file(&mut self, file: File, length: u64) -> Option<()> {
        let read = file.take(length).read_to_end(&mut self.0).unwrap();
        (read as u64 == length).then_some(())
    }
}

fn archiving(variables: &[(&str, &str)]) -> Directory {
    Directory::with(&[&[("FILES_LISTING", "on"), ("FILES_ARCHIVE", "on")], variables].concat())
}

fn archive(plan: &Plan<File>) -> &Archive {
    let Body::Archive(archive) = &plan.body else { panic!("{}: {:?}", plan.status, plan.headers) };
    archive
}

fn send(directory: &Directory, plan: &Plan<File>) -> (Vec<u8>, Result<(), Cut>) {
    let mut received = Received::default();
    let outcome = ready(archive(plan).send(directory, &mut received));
    (received.0, outcome)
}

/// The members of an archive that is complete: path and content, which directories lack.
fn members(directory: &Directory, target: &str) -> Vec<(String, Option<String>)> {
    let plan = directory.get(target);
    let (bytes, outcome) = send(directory, &plan);
    assert_eq!(outcome, Ok(()));
    assert_eq!(header(&plan, "content-length"), Some(bytes.len().to_string().as_str()));
    read(&bytes)
}

fn read(bytes: &[u8]) -> Vec<(String, Option<String>)> {
    let mut members = Vec::new();
    for entry in tar::Archive::new(bytes).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        members.push((path, (!entry.header().entry_type().is_dir()).then_some(content)));
    }
    members
}

fn file(path: &str, content: &str) -> (String, Option<String>) {
    (path.to_owned(), Some(content.to_owned()))
}

fn folder(path: &str) -> (String, Option<String>) {
    (path.to_owned(), None)
}

#[test]
fn an_archive_has_what_requests_are_answered_with() {
    let directory = archiving(&[("FILES_RULES", "on")]);
    directory.file("a.txt", "a").file("d/e/f.txt", "f").file("d/b.txt", "bb").file("index.html", "index");
    directory.file(".hidden", "secret").file(".git/config", "secret").file(".well-known/x", "for programs");
    directory.file("_headers", "").file("_redirects", "/d/guarded/* /login 302!\n/a* /b 302\n");
    directory.file("d/guarded/x", "secret").file("d/back\\slash", "secret").file("d/empty", "");
    fs::create_dir(directory.on_disk("hollow")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    symlink(outside.path().join("secret"), directory.on_disk("out")).unwrap();
    symlink("d/b.txt", directory.on_disk("link")).unwrap();
    symlink("nowhere", directory.on_disk("broken-link")).unwrap();
    symlink(".", directory.on_disk("loop")).unwrap();
    symlink("../..", directory.on_disk("d/e/up")).unwrap();
    let _socket = UnixListener::bind(directory.on_disk("socket")).unwrap();
    let found = members(&directory, "/?archive=tar");
    // The tree of this test does not keep links below its root, as runtimes do.
    let found: Vec<_> = found.into_iter().filter(|(path, _)| path != "files/out").collect();
    let expected = [
        folder("files/"),
        file("files/a.txt", "a"),
        folder("files/d/"),
        folder("files/hollow/"),
        file("files/index.html", "index"),
        file("files/link", "bb"),
        file("files/d/b.txt", "bb"),
        folder("files/d/e/"),
        file("files/d/empty", ""),
        file("files/d/e/f.txt", "f"),
    ];
    assert_eq!(found, expected);
    assert_eq!(
        members(&directory, "/d/e/?x&archive=tar"),
        [folder("e/"), file("e/f.txt", "f")],
        "it has the name of the directory"
    );
}

#[test]
fn settings_by_path_hold_in_an_archive() {
    let directory = archiving(&[
        ("FILES_LISTING", "/unlisted/*: off\non"),
        ("FILES_ARCHIVE", "/closed/*: off\non"),
        ("FILES_HIDDEN", "/.open/x: on\n/.open: on\n"),
    ]);
    directory.file("closed/a", "secret").file("unlisted/a", "secret").file("open/closed/a", "a");
    directory.file(".open/x", "x").file(".open/y", "secret").file(".git/x", "secret");
    assert_eq!(
        members(&directory, "/?archive=tar"),
        [
            folder("files/"),
            folder("files/.open/"),
            folder("files/open/"),
            file("files/.open/x", "x"),
            folder("files/open/closed/"),
            file("files/open/closed/a", "a"),
        ]
    );
    for target in ["/closed/?archive=tar", "/unlisted/?archive=tar", "/.git/?archive=tar"] {
        assert!(!matches!(directory.get(target).body, Body::Archive(_)), "{target}");
    }
}

#[test]
fn an_archive_is_told_what_it_is() {
    let directory = archiving(&[]);
    directory.file("été/a", "a").file("été/index.html", "index");
    let plan = directory.get("/%C3%A9t%C3%A9/?archive=tar");
    assert_eq!(plan.status, 200);
    for (name, value) in [
        ("content-type", "application/x-tar"),
        ("content-disposition", "attachment; filename=\"_t_.tar\"; filename*=UTF-8''%C3%A9t%C3%A9.tar"),
        ("accept-ranges", "none"),
        ("cache-control", "no-cache"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(header(&plan, name), Some(value), "{name}");
    }
    for name in ["etag", "last-modified", "vary"] {
        assert_eq!(header(&plan, name), None, "{name}");
    }
    let length = header(&plan, "content-length").unwrap().to_owned();
    for fields in
        [[("range", "bytes=0-1")].as_slice(), &[("if-none-match", "\"x\"")], &[("if-range", "\"x\"")]]
    {
        let plan = directory.ask(Method::Get, "/%C3%A9t%C3%A9/?archive=tar", fields);
        assert_eq!((plan.status, header(&plan, "content-length")), (200, Some(&*length)), "{fields:?}");
    }
    let ruled = archiving(&[("FILES_HEADERS", "index.html: X-Index: 1\n/d/: X-Directory: 1")]);
    ruled.file("d/index.html", "index");
    let plan = ruled.get("/d/?archive=tar");
    assert_eq!((header(&plan, "x-index"), header(&plan, "x-directory")), (None, Some("1")));
    let head = directory.ask(Method::Head, "/%C3%A9t%C3%A9/?archive=tar", &[]);
    assert!(matches!(head.body, Body::Empty) && header(&head, "content-length") == Some(&*length));
    let failed = directory.ask(Method::Get, "/%C3%A9t%C3%A9/?archive=tar", &[("if-match", "\"x\"")]);
    assert_eq!(failed.status, 412);
    let redirect = directory.get("/%C3%A9t%C3%A9?archive=tar");
    assert_eq!((redirect.status, header(&redirect, "location")), (308, Some("./%C3%A9t%C3%A9/?archive=tar")));
}

#[test]
fn nothing_else_is_an_archive() {
    let directory = archiving(&[]);
    directory.file("d/index.html", "index").file("f", "f");
    for target in ["/d/", "/d/?archive", "/d/?archive=zip", "/d/?xarchive=tar", "/d/?archive=tar.gz"] {
        assert_eq!(text(&directory.get(target)), "index", "{target}");
    }
    assert_eq!(body(&directory.get("/f?archive=tar")), b"f");
    assert_eq!(directory.get("/nope/?archive=tar").status, 404);
    assert_eq!(directory.get("/f/?archive=tar").status, 404);
    let off = Directory::with(&[("FILES_LISTING", "on")]);
    off.file("d/index.html", "index");
    assert_eq!(text(&off.get("/d/?archive=tar")), "index");
    assert!(!text(&off.get("/")).contains("archive"));
    assert!(text(&archiving(&[]).get("/")).contains("<a href=\"./?archive=tar\">"));
}

#[test]
fn a_compressed_archive_is_offered_by_a_host_that_compresses() {
    let directory = archiving(&[(COMPRESSED_ARCHIVES, "on")]);
    directory.file("d/a", "a").file("d/index.html", "index");
    let plan = directory.get("/d/?archive=tar.gz");
    for (name, value) in [
        ("content-type", "application/gzip"),
        ("content-disposition", "attachment; filename=\"d.tar.gz\""),
        ("accept-ranges", "none"),
        (GZIP_FIELD, "on"),
    ] {
        assert_eq!(header(&plan, name), Some(value), "{name}");
    }
    assert_eq!(
        members(&directory, "/d/?archive=tar.gz"),
        [folder("d/"), file("d/a", "a"), file("d/index.html", "index")],
        "the host compresses it"
    );
    assert_eq!(header(&directory.get("/d/?archive=tar"), GZIP_FIELD), None);
    assert_eq!(directory.get("/d/a/?archive=tar.gz").status, 404);
    assert!(text(&directory.get("/")).contains("<a href=\"./?archive=tar.gz\">compressed</a>"));
    let off = Directory::with(&[("FILES_LISTING", "on"), (COMPRESSED_ARCHIVES, "on")]);
    off.file("d/index.html", "index");
    assert_eq!(text(&off.get("/d/?archive=tar.gz")), "index");
    assert!(!text(&off.get("/")).contains("archive"));
}

/// Changes files.
type Change = fn(&Directory);

#[test]
fn what_changes_meanwhile_is_cut_or_as_it_was_promised() {
    let start = || {
        let directory = archiving(&[]);
        directory.file("a", "aaaa").file("b", &"b".repeat(1000)).file("c", "cc").file("d/e", "e");
        let plan = directory.get("/?archive=tar");
        (directory, plan)
    };
    let (directory, plan) = start();
    let (whole, _) = send(&directory, &plan);
    // Longer, another file, a link to a longer one, and one that is new: the members have the lengths that were promised.
    fs::write(directory.on_disk("b"), "B".repeat(5000)).unwrap();
    fs::remove_file(directory.on_disk("a")).unwrap();
    symlink("b", directory.on_disk("a")).unwrap();
    fs::write(directory.on_disk("d/new"), "new").unwrap();
    let (bytes, outcome) = send(&directory, &plan);
    assert_eq!((bytes.len(), outcome), (whole.len(), Ok(())));
    let mut expected = read(&whole);
    for (path, content) in &mut expected {
        match path.as_str() {
            "files/a" => *content = Some("BBBB".into()),
            "files/b" => *content = Some("B".repeat(1000)),
            _ => {}
        }
    }
    assert_eq!(read(&bytes), expected);

    let changes: [(Change, &str); 5] = [
        (|it| fs::write(it.on_disk("b"), "b".repeat(999)).unwrap(), "has become shorter"),
        (|it| fs::remove_file(it.on_disk("b")).unwrap(), "is gone"),
        (
            |it| {
                fs::remove_file(it.on_disk("b")).unwrap();
                fs::create_dir(it.on_disk("b")).unwrap();
            },
            "is gone",
        ),
        (
            |it| {
                fs::remove_file(it.on_disk("b")).unwrap();
                symlink("nowhere", it.on_disk("b")).unwrap();
            },
            "is gone",
        ),
        (
            |it| {
                fs::remove_file(it.on_disk("b")).unwrap();
                symlink("c", it.on_disk("b")).unwrap();
            },
            "has become shorter",
        ),
    ];
    for (change, how) in changes {
        let (directory, plan) = start();
        change(&directory);
        let (bytes, outcome) = send(&directory, &plan);
        let Err(Cut::Changed(sentence)) = outcome else { panic!("{how}: {outcome:?}") };
        assert_eq!(sentence, format!("an archive was cut short at `b`: the file {how}"));
        assert!(bytes.len() < whole.len() && whole.starts_with(&bytes), "{how}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_missing_and_a_failing_disk_is_an_error() {
    let directory = archiving(&[]);
    directory.file("d/a", "a");
    assert_eq!(directory.get("/d/?archive=tar").status, 200);
    directory.file("d/broken", "x");
    let plan = directory.get("/d/?archive=tar");
    assert_eq!(plan.status, 500);
    assert!(plan.complaint.unwrap().contains("broken"));
}

#[test]
fn deep_trees_and_long_names_are_kept() {
    let directory = archiving(&[]);
    let deep = ["d"; 600].join("/");
    let long = format!("{}/{}", "é".repeat(127), "x".repeat(255));
    directory.file(&format!("{deep}/f"), "deep").file(&long, "long").file("new\nline", "x");
    let found = members(&directory, "/?archive=tar");
    for (path, content) in [(format!("{deep}/f"), "deep"), (long, "long"), ("new\nline".to_owned(), "x")] {
        assert!(found.contains(&file(&format!("files/{path}"), content)), "{path}");
    }
    assert_eq!(found.len(), 1 + 600 + 1 + 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_is_as_long_as_it_says(
        files in proptest::collection::btree_map("[a-cé]{1,3}(/[d-f. ]{1,120}x){0,3}", 0..3000_usize, 0..20)
    ) {
        let directory = archiving(&[]);
        let mut expected = Vec::new();
        for (path, length) in &files {
            let on_disk = directory.on_disk(path);
            // A file and a directory of the same name exclude each other.
            if fs::create_dir_all(on_disk.parent().unwrap()).is_err() || on_disk.exists() {
                continue;
            }
            fs::write(on_disk, "x".repeat(*length)).unwrap();
            let is_hidden = path.split('/').any(|name| name.starts_with('.'));
            if !is_hidden {
                expected.push((format!("files/{path}"), Some("x".repeat(*length))));
            }
        }
        let mut found = members(&directory, "/?archive=tar");
        found.retain(|(_, content)| content.is_some());
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected);
    }
}
