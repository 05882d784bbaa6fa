//! A directory as a compressed archive: the same members as the other form, no length that is known before, an end that tells whether
//! it is complete, and no other request that waits for it.

use flate2::read::GzDecoder;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::symlink;
use tests::archive::{Tree, members, tree};
use tests::http2::Http2;
use tests::site::{Site, noise};
use tests::{Client, EXECUTORS, FileServer, Runtime, Server, eventually, on_each_runtime, programs};

fn site() -> Site {
    Site::new().with("FILES_LISTING", "on").with("FILES_ARCHIVE", "on")
}

fn decoded(archive: &[u8]) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut decoder = GzDecoder::new(archive);
    decoder.read_to_end(&mut content)?;
    assert!(decoder.into_inner().is_empty(), "nothing follows it");
    Ok(content)
}

/// Adds a file of so many bytes that take no room.
fn sparse(site: &Site, name: &str, length: u64) {
    site.file(name, "");
    File::options().write(true).open(site.path(name)).unwrap().set_len(length).unwrap();
}

/// Begins to download an archive and does not go on.
fn begin(server: &Server) -> Client {
    let mut client = server.connect();
    client.send("GET /?archive=tar.gz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.head().status, 200);
    client
}

#[test]
fn a_compressed_archive_has_everything_where_the_host_compresses() {
    let site = site();
    site.file("a.txt", "a").file("dir/sub/b", noise(300_000)).file("dir/empty", "").directory("hollow");
    site.file("été/日本.txt", "é").file("text", "text ".repeat(100_000)).file("dir/.hidden", "secret");
    for at in 0..300 {
        site.file(&format!("many/{at}"), noise(at * 7));
    }
    fs::write(site.outside().join("secret"), "secret").unwrap();
    for (target, link) in [("../secret", "out"), ("..", "up"), (".", "loop")] {
        symlink(target, site.path(link)).unwrap();
    }
    symlink("a.txt", site.path("link")).unwrap();
    on_each_runtime!(site, |server| {
        let page = server.get_with("/", &[("Accept", "text/html")]);
        let link = "<a href=\"./?archive=tar\">Download all as a tar archive</a>";
        let compressed = ", or <a href=\"./?archive=tar.gz\">compressed</a>";
        assert!(page.text().contains(link));
        let response = server.get("/?archive=tar.gz");
        assert_eq!(response.status, 200);
        if server.runtime() != Runtime::Ours || server.guest() != FileServer::V02 {
            assert!(!page.text().contains(compressed));
            assert!(response.text().contains("<footer>"), "as if it was asked for nothing");
            continue;
        }
        assert!(page.text().contains(&[link, compressed].concat()));
        assert_eq!(
            response.header_names(),
            [
                "accept-ranges",
                "cache-control",
                "content-disposition",
                "content-type",
                "transfer-encoding",
                "x-content-type-options"
            ]
        );
        assert_eq!(response.header("accept-ranges"), Some("none"));
        assert_eq!(response.header("content-type"), Some("application/gzip"));
        assert_eq!(response.header("content-disposition"), Some("attachment; filename=\"files.tar.gz\""));
        assert!(response.complete);
        assert!(response.body.len() < 1_100_000, "{} bytes", response.body.len());
        let archive = decoded(&response.body).unwrap();
        assert!(archive == server.get("/?archive=tar").body, "{server:?}");
        let found = members(&archive);
        assert_eq!(found["files/link"].as_deref(), Some(b"a".as_slice()));
        assert!(found.keys().all(|path| !path.contains("out") && !path.contains("hidden")));

        let part = server.get("/dir/sub/?archive=tar.gz");
        assert_eq!(part.header("content-disposition"), Some("attachment; filename=\"sub.tar.gz\""));
        assert!(members(&decoded(&part.body).unwrap()) == tree(&site.path("dir/sub"), "sub"));

        let mut client = server.connect();
        let head = client.request("HEAD", "/?archive=tar.gz", &[]);
        assert_eq!((head.status, head.header("content-length")), (200, None));
        assert_eq!(head.header("content-type"), Some("application/gzip"));
        assert_eq!(head.header("wasi-httpd-gzip"), None);
        for field in [("Range", "bytes=0-9"), ("Accept-Encoding", "gzip, br"), ("If-None-Match", "\"x\"")] {
            let again = client.request("GET", "/?archive=tar.gz", &[field]);
            assert_eq!((again.status, again.header("content-encoding")), (200, None), "{field:?}");
            assert!(decoded(&again.body).unwrap() == archive, "{field:?}");
        }
        let redirect = client.request("GET", "/dir?archive=tar.gz", &[]);
        assert_eq!((redirect.status, redirect.header("location")), (308, Some("./dir/?archive=tar.gz")));
    });
}

#[test]
fn http_2_and_http_1_0_send_the_same() {
    let site = site();
    for at in 0..100 {
        site.file(&format!("{at}/f"), noise(at * 1000));
    }
    let server = programs!().ours(&site, &[]);
    let mut client = Http2::connect(server.address());
    let response = client.request("GET", "/?archive=tar.gz", &[]);
    assert_eq!((response.status, response.complete), (200, true));
    assert_eq!((response.header("content-length"), response.header("wasi-httpd-gzip")), (None, None));
    assert!(members(&decoded(&response.body).unwrap()) == tree(site.root(), "files"));
    let head = client.request("HEAD", "/?archive=tar.gz", &[]);
    assert_eq!((head.status, head.header("content-length")), (200, None));

    let mut client = server.connect();
    client.send("GET /?archive=tar.gz HTTP/1.0\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.head().status, 200);
    let mut body = Vec::new();
    client.reader().read_to_end(&mut body).unwrap();
    assert!(members(&decoded(&body).unwrap()) == tree(site.root(), "files"));
}

#[test]
fn compressed_archives_are_off_unless_asked_for() {
    let site = Site::new().with("FILES_LISTING", "on");
    site.file("d/a", "a").file("index.html", "index");
    on_each_runtime!(site, |server| {
        assert_eq!(server.get("/?archive=tar.gz").text(), "index");
        let listing = server.get_with("/d/?archive=tar.gz", &[("Accept", "text/html")]);
        assert!(listing.text().contains("1 entry") && !listing.text().contains("archive"));
    });
}

#[test]
fn what_changes_while_it_is_compressed_ends_the_connection_and_the_archive() {
    let site = site();
    // It is compressed to more bytes than the buffers of sockets hold.
    site.file("a", noise(32 << 20));
    // More than a server opens ahead.
    for at in 0..200 {
        site.file(&format!("b{at:03}"), "b");
    }
    for executor in EXECUTORS {
        site.file("z", "z".repeat(1000));
        let server = programs!().ours(&site, executor);
        let mut client = begin(&server);
        fs::remove_file(site.path("z")).unwrap();
        let mut archive = Vec::new();
        assert!(client.chunks().read_to_end(&mut archive).is_err(), "{executor:?}");
        assert!(decoded(&archive).is_err(), "{executor:?}");
        server.wait_for_error(|line| line.contains("an archive was cut short at `z`: the file is gone"));
        assert_eq!(server.get("/?archive=tar.gz").status, 200, "the next request");
    }
}

#[test]
fn long_work_keeps_no_request_waiting_and_ends_with_its_client() {
    let site = site();
    // To compress it takes an hour.
    sparse(&site, "a", 1 << 40);
    site.file("b", "b");
    for executor in EXECUTORS {
        let server = programs!().ours(&site, &[executor, &["--max-instances", "8"]].concat());
        let clients = [begin(&server), begin(&server)];
        for _ in 0..200 {
            assert_eq!(server.get("/b").text(), "b");
        }
        let refused = server.get("/?archive=tar.gz");
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
        assert_eq!(server.get("/b?archive=tar").status, 503, "each form counts");
        drop(clients);
        eventually("an archive may be sent again", || server.get("/b?archive=tar.gz").status == 200);
        let opened =
            || server.open_files().iter().filter(|file| file.to_string_lossy().ends_with("www/a")).count();
        eventually("the files are closed", || opened() == 0);
    }
}

#[test]
fn a_client_that_stops_reading_an_archive_is_disconnected() {
    let site = site();
    site.file("a", noise(32 << 20));
    let server = programs!().ours(&site, &["--stall-timeout", "1"]);
    let mut client = begin(&server);
    server.wait_for_log(|line| line.contains("GET /?archive=tar.gz HTTP/1.1\" 200 "));
    let mut archive = Vec::new();
    assert!(client.chunks().read_to_end(&mut archive).is_err());
    assert!(archive.len() < 32 << 20);
    // A client that reads gets all of it.
    assert!(server.get("/?archive=tar.gz").complete);
}

#[test]
fn a_large_compressed_archive_takes_little_memory() {
    let site = site();
    let line = "x".repeat(700);
    for directory in 0..100 {
        for at in 0..100 {
            site.file(&format!("directory-{directory:05}/file-with-a-name-{at:05}.html"), &line);
        }
    }
    site.file("long", noise(64 << 20));
    let server = programs!().ours(&site, &[]);
    assert_eq!(server.get("/directory-00000/").status, 200);
    let (before, _) = server.memory();
    let response = server.get("/?archive=tar.gz");
    assert!(response.complete);
    let found: Tree = members(&decoded(&response.body).unwrap());
    assert_eq!(found.len(), 1 + 100 + 10_000 + 1);
    let (_, peak) = server.memory();
    let grown = peak.saturating_sub(before);
    assert!(grown < 16 << 20, "{} KiB", grown >> 10);
}

#[cfg(feature = "strangers")]
#[test]
fn gnu_tar_and_python_extract_what_was_compressed() {
    tests::archive::strangers_extract(programs!(), "tar.gz", "-xzf");
}
