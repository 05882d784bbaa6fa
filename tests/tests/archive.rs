//! A directory as an archive: complete, exactly as long as it says, without what is not served, and cut where it cannot be kept.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use tests::archive::{Tree, members, tree};
use tests::http2::Http2;
use tests::process::eventually;
use tests::site::{MODIFIED_SECONDS, Site, noise};
use tests::{Client, EXECUTORS, Runtime, Server, on_each_runtime, programs};

fn site() -> Site {
    Site::new().with("FILES_LISTING", "on").with("FILES_ARCHIVE", "on")
}

/// Adds a file of so many bytes that take no room, more than the buffers of sockets hold.
fn sparse(site: &Site, name: &str) {
    site.file(name, "");
    File::options().write(true).open(site.path(name)).unwrap().set_len(16 << 20).unwrap();
}

#[test]
fn an_archive_has_everything_with_its_content() {
    let site = site();
    site.file("a.txt", "a").file("dir/sub/b", noise(300_000)).file("dir/empty", "").directory("hollow");
    site.file("été/日本.txt", "é").file("new\nline \"quoted\".txt", "x").file("dir/exact", noise(1024));
    let long = format!("{}/{}", "d".repeat(255), "é".repeat(127));
    site.file(&long, "long").file(&format!("{}/f", ["deep"; 200].join("/")), "deep");
    for at in 0..300 {
        site.file(&format!("many/{at}"), noise(at * 7));
    }
    on_each_runtime!(site, |server| {
        let response = server.get("/?archive=tar");
        assert_eq!(response.status, 200);
        assert_eq!(
            response.header_names(),
            [
                "accept-ranges",
                "cache-control",
                "content-disposition",
                "content-length",
                "content-type",
                "x-content-type-options"
            ]
        );
        assert_eq!(response.header("content-type"), Some("application/x-tar"));
        assert_eq!(response.header("content-disposition"), Some("attachment; filename=\"files.tar\""));
        assert!(response.complete);
        assert!(members(&response.body) == tree(site.root(), "files"), "{server:?}");

        let part = server.get("/dir/?archive=tar");
        assert_eq!(part.header("content-disposition"), Some("attachment; filename=\"dir.tar\""));
        assert!(members(&part.body) == tree(&site.path("dir"), "dir"), "{server:?}");
        let times = |response: &tests::Response| {
            let mut archive = tar::Archive::new(&response.body[..]);
            let entries = archive.entries().unwrap().map(|entry| entry.unwrap().header().mtime().unwrap());
            entries.collect::<Vec<_>>()
        };
        assert_eq!(times(&part).iter().filter(|time| **time == MODIFIED_SECONDS).count(), 3);

        let mut client = server.connect();
        let head = client.request("HEAD", "/?archive=tar", &[]);
        assert_eq!(head.header("content-length"), response.header("content-length"));
        let ranged = client.request("GET", "/?archive=tar", &[("Range", "bytes=0-9")]);
        assert_eq!((ranged.status, ranged.header("accept-ranges")), (200, Some("none")));
        assert!(ranged.body == response.body, "nothing has changed");
        let redirect = client.request("GET", "/dir?archive=tar", &[]);
        assert_eq!((redirect.status, redirect.header("location")), (308, Some("./dir/?archive=tar")));
        let page = client.request("GET", "/", &[("Accept", "text/html")]);
        assert!(page.text().contains("<a href=\"./?archive=tar\">Download all as a tar archive</a>"));
    });
}

#[test]
fn http_2_sends_the_same() {
    let site = site();
    for at in 0..100 {
        site.file(&format!("{at}/f"), noise(at * 1000));
    }
    let server = programs!().ours(&site, &[]);
    let expected = server.get("/?archive=tar");
    let mut client = Http2::connect(server.address());
    let response = client.request("GET", "/?archive=tar", &[]);
    assert_eq!((response.status, response.complete), (200, true));
    assert!(response.body == expected.body);
    assert!(members(&response.body) == tree(site.root(), "files"));
}

#[test]
fn an_archive_has_nothing_that_is_not_served() {
    let site = site().with("FILES_RULES", "on").with("FILES_ARCHIVE", "/closed/*: off\n/*: on");
    site.file("a", "a").file(".git/config", "secret").file(".env", "secret").file("d/.hidden", "secret");
    site.file("closed/a", "secret").file("guarded/a", "secret").file("_headers", "# secret\n");
    site.file("_redirects", "# secret\n/guarded/* /a 302!\n");
    fs::write(site.outside().join("secret"), "secret").unwrap();
    fs::create_dir(site.outside().join("more")).unwrap();
    fs::write(site.outside().join("more/secret"), "secret").unwrap();
    for (target, link) in [
        ("../secret", "out"),
        ("../more", "d/more"),
        ("../../more", "d/more-again"),
        ("/etc/hostname", "absolute"),
        (".", "loop"),
        ("..", "d/up"),
        ("nowhere", "broken"),
        ("self", "self"),
    ] {
        symlink(target, site.path(link)).unwrap();
    }
    symlink("../a", site.path("d/link")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        site.path("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    on_each_runtime!(site, |server| {
        let response = server.get("/?archive=tar");
        let expected = Tree::from([
            ("files/".to_owned(), None),
            ("files/a".to_owned(), Some(b"a".to_vec())),
            ("files/d/".to_owned(), None),
            ("files/d/link".to_owned(), Some(b"a".to_vec())),
        ]);
        assert_eq!(members(&response.body), expected, "{server:?}");
        for target in
            ["/closed/?archive=tar", "/guarded/?archive=tar", "/.git/?archive=tar", "/loop/?archive=zip"]
        {
            let response = server.get(target);
            assert_ne!(response.header("content-type"), Some("application/x-tar"), "{target}");
            assert!(!response.text().contains("secret"), "{target}");
        }
    });
}

#[test]
fn archives_are_off_unless_asked_for() {
    let site = Site::new().with("FILES_LISTING", "on");
    site.file("d/a", "a").file("index.html", "index");
    on_each_runtime!(site, |server| {
        assert_eq!(server.get("/?archive=tar").text(), "index");
        let listing = server.get_with("/d/?archive=tar", &[("Accept", "text/html")]);
        assert!(listing.text().contains("1 entry") && !listing.text().contains("archive"));
    });
}

#[test]
fn what_changes_while_it_is_sent_ends_the_connection_or_keeps_its_length() {
    type Change = fn(&Site);
    let changes: [(Change, bool); 5] = [
        (|site| File::options().append(true).open(site.path("z")).unwrap().set_len(5000).unwrap(), true),
        (|site| File::options().write(true).open(site.path("z")).unwrap().set_len(10).unwrap(), false),
        (|site| fs::remove_file(site.path("z")).unwrap(), false),
        (
            |site| {
                fs::remove_file(site.path("z")).unwrap();
                fs::create_dir(site.path("z")).unwrap();
            },
            false,
        ),
        (
            |site| {
                fs::write(site.outside().join("secret"), "secret".repeat(1000)).unwrap();
                fs::remove_file(site.path("z")).unwrap();
                symlink("../secret", site.path("z")).unwrap();
            },
            false,
        ),
    ];
    for (change, is_complete) in changes {
        let site = site();
        sparse(&site, "a");
        // More than a server opens ahead.
        for at in 0..100 {
            site.file(&format!("b{at:03}"), "b");
        }
        site.file("z", "z".repeat(1000));
        on_each_runtime!(site, |server| {
            if !site.path("z").is_file() || fs::symlink_metadata(site.path("z")).unwrap().len() != 1000 {
                let _ = fs::remove_file(site.path("z"));
                let _ = fs::remove_dir(site.path("z"));
                site.file("z", "z".repeat(1000));
            }
            let mut client = server.connect();
            client.send("GET /?archive=tar HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let head = client.head();
            assert_eq!(head.status, 200);
            let length: usize = head.header("content-length").unwrap().parse().unwrap();
            change(&site);
            let mut archive = Vec::new();
            // A connection may be reset where it is cut.
            let _ = client.reader().read_to_end(&mut archive);
            if is_complete {
                assert_eq!(archive.len(), length, "{server:?}");
                let members = members(&archive);
                assert_eq!(members["files/z"].as_deref(), Some("z".repeat(1000).as_bytes()), "{server:?}");
            } else {
                assert!(archive.len() < length, "{server:?}");
                let text = String::from_utf8_lossy(&archive[archive.len().saturating_sub(5000)..]);
                assert!(!text.contains("secret"), "{server:?}");
            }
            assert_eq!(server.get("/b000").text(), "b", "the next request");
        });
    }
}

/// Begins to download an archive and does not go on.
fn begin(server: &Server) -> Client {
    let mut client = server.connect();
    client.send("GET /?archive=tar HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.head().status, 200);
    client
}

#[test]
fn slow_archives_leave_instances_for_other_requests() {
    let site = site();
    sparse(&site, "a");
    for at in 0..100 {
        site.file(&format!("b{at}"), "b");
    }
    for executor in EXECUTORS {
        let server = programs!().ours(&site, &[executor, &["--max-instances", "8"]].concat());
        let clients = [begin(&server), begin(&server)];
        let refused = server.get("/?archive=tar");
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
        assert_eq!(server.get("/b0?archive=tar").status, 503, "what is asked for is not known before");
        for _ in 0..20 {
            assert_eq!(server.get("/b0").text(), "b");
        }
        let files = server.open_files().len();
        assert!(files < 150, "{files} open files");
        drop(clients);
        eventually("an archive may be sent again", || server.get("/b0?archive=tar").status == 200);
    }
}

#[test]
fn a_large_archive_takes_little_memory() {
    let site = site();
    let line = "x".repeat(700);
    for directory in 0..100 {
        for at in 0..100 {
            site.file(&format!("directory-{directory:05}/file-with-a-name-{at:05}.html"), &line);
        }
    }
    let server = programs!().ours(&site, &[]);
    assert_eq!(server.runtime(), Runtime::Ours);
    assert_eq!(server.get("/directory-00000/").status, 200);
    let (before, _) = server.memory();
    let response = server.get("/?archive=tar");
    assert!(response.complete);
    assert_eq!(members(&response.body).len(), 1 + 100 + 10_000);
    let (_, peak) = server.memory();
    let grown = peak.saturating_sub(before);
    assert!(grown < 16 << 20, "{} KiB", grown >> 10);
}

#[test]
fn a_directory_with_too_many_files_has_no_archive() {
    let site = site();
    site.file("d/0", "");
    // Names of one file take no content.
    for at in 1..=200_000 {
        fs::hard_link(site.path("d/0"), site.path(&format!("d/{at}"))).unwrap_or_else(|_| {
            fs::write(site.path(&format!("d/{at}")), "").unwrap();
        });
    }
    assert!(fs::metadata(site.path("d/0")).unwrap().nlink() > 1);
    let server = programs!().ours(&site, &[]);
    let response = server.get("/d/?archive=tar");
    assert_eq!(response.status, 403);
    assert_eq!(
        response.text(),
        "403 Forbidden: this directory is too large for an archive; its parts may be smaller.\n"
    );
    assert_eq!(server.get("/d/1").status, 200);
}

#[test]
fn archives_without_listings_are_warned_of() {
    let site = Site::new().with("FILES_ARCHIVE", "on");
    site.file("a", "a");
    let server = programs!().ours(&site, &[]);
    server.wait_for_error(|line| line.contains("FILES_ARCHIVE is on, but no directory is listed"));
    assert_eq!(server.get("/?archive=tar").status, 404);
}

#[cfg(feature = "strangers")]
#[test]
fn gnu_tar_and_python_extract_what_was_there() {
    tests::archive::strangers_extract(programs!(), "tar", "-xf");
}
