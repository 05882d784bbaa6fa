//! Files: what a GET or HEAD of one answers, whole.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;
use tests::on_each_runtime;
use tests::site::{MODIFIED, MODIFIED_TAG, Site, noise};

#[test]
fn a_file_is_answered_with_its_type_length_and_validators() {
    let site = Site::new();
    site.file("notes.txt", "hello\n");
    on_each_runtime!(site, |server| {
        let response = server.get("/notes.txt");
        assert_eq!(response.status, 200);
        assert_eq!(
            response.header_names(),
            [
                "accept-ranges",
                "cache-control",
                "content-length",
                "content-type",
                "etag",
                "last-modified",
                "vary",
                "x-content-type-options"
            ]
        );
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(response.header("content-length"), Some("6"));
        assert_eq!(response.header("etag"), Some(format!("\"{MODIFIED_TAG}-6\"").as_str()));
        assert_eq!(response.header("last-modified"), Some(MODIFIED));
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(response.text(), "hello\n");
    });
}

#[test]
fn head_answers_what_get_would_without_the_body() {
    let site = Site::new();
    site.file("a.bin", noise(100_000)).file("empty", "").file("docs/index.html", "<p>docs</p>");
    on_each_runtime!(site, |server| {
        for target in ["/a.bin", "/empty", "/docs", "/docs/", "/missing", "/%zz"] {
            let mut client = server.connect();
            let get = client.request("GET", target, &[]);
            let head = client.request("HEAD", target, &[]);
            let without_date = |fields: &[(String, String)]| {
                let mut fields = fields.to_vec();
                fields.retain(|(name, _)| name != "date");
                fields.sort();
                fields
            };
            assert_eq!(head.status, get.status, "{target}");
            assert_eq!(without_date(&head.headers), without_date(&get.headers), "{target}");
            // The next answer on the same connection shows that no body followed.
            assert_eq!(client.request("GET", "/empty", &[]).status, 200, "{target}");
        }
    });
}

#[test]
fn files_of_every_size_arrive_byte_for_byte() {
    let site = Site::new();
    // Around a page, around what the runtimes read at a time, and beyond every buffer.
    let sizes = [0, 1, 1024, 4095, 4096, 4097, 65_535, 65_536, 65_537, 1 << 20, 100 << 20];
    for size in sizes {
        site.file(&format!("{size}.bin"), noise(size));
    }
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        for size in sizes {
            let response = client.request("GET", &format!("/{size}.bin"), &[]);
            assert_eq!(response.status, 200);
            assert_eq!(response.header("content-length"), Some(size.to_string().as_str()));
            assert!(response.complete);
            assert!(response.body == noise(size), "the {size} bytes are not those of the file");
        }
    });
}

#[test]
fn a_directory_is_answered_with_its_index() {
    let site = Site::new();
    site.file("index.html", "<p>top</p>").file("a/index.html", "<p>a</p>").file("b/other.html", "<p>b</p>");
    fs::create_dir_all(site.path("c/index.html")).unwrap();
    on_each_runtime!(site, |server| {
        let response = server.get("/");
        assert_eq!((response.status, response.text()), (200, "<p>top</p>"));
        assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(server.get("/a/").text(), "<p>a</p>");
        assert_eq!(server.get("/a/index.html").text(), "<p>a</p>");
        assert_eq!(server.get("/b/").status, 404);
        assert_eq!(server.get("/c/").status, 404, "an index that is itself a directory");
    });
}

#[test]
fn a_directory_without_its_slash_is_a_redirect_on_this_host() {
    let site = Site::new();
    site.file("a b/c/index.html", "x").file("é/index.html", "x");
    on_each_runtime!(site, |server| {
        for (target, location) in
            [("/a%20b", "./a%20b/"), ("/a%20b/c?x=1&y=//z", "./c/?x=1&y=//z"), ("/%C3%A9?", "./%C3%A9/?")]
        {
            let response = server.get_with(target, &[("X-Forwarded-Host", "evil.example")]);
            assert_eq!(response.status, 308);
            assert_eq!(
                response.header_names(),
                ["cache-control", "content-length", "location", "x-content-type-options"]
            );
            assert_eq!(response.header("cache-control"), Some("no-cache"));
            assert_eq!(response.header("location"), Some(location));
            assert_eq!(response.body, b"");
        }
        let absolute = server.connect().request("GET", "http://localhost/a%20b", &[]);
        assert_eq!(absolute.header("location"), Some("./a%20b/"));
    });
}

#[test]
fn a_file_with_a_trailing_slash_is_not_there() {
    let site = Site::new();
    site.file("a.txt", "x");
    on_each_runtime!(site, |server| {
        assert_eq!(server.get("/a.txt/").status, 404);
        assert_eq!(server.get("/a.txt/b").status, 404);
    });
}

#[test]
fn a_missing_file_is_a_short_text_that_no_cache_keeps() {
    let site = Site::new();
    on_each_runtime!(site, |server| {
        let response = server.get("/missing");
        assert_eq!(response.status, 404);
        assert_eq!(
            response.header_names(),
            ["cache-control", "content-length", "content-type", "vary", "x-content-type-options"]
        );
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(response.text(), "404 Not Found: there is no such file here.\n");
    });
}

#[test]
fn names_in_every_script_are_served() {
    let site = Site::new();
    let names = [
        "a b.txt",
        "é.txt",
        "日本語.txt",
        "🦀.txt",
        "100%.txt",
        "a+b&c=d;e,f!.txt",
        "q?x#y.txt",
        "'\"<>.txt",
    ];
    for name in names {
        site.file(name, name);
    }
    on_each_runtime!(site, |server| {
        for name in names {
            let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
            assert_eq!(server.get(&format!("/{encoded}")).text(), name);
        }
    });
}

#[test]
fn a_file_of_5_gib_arrives_whole_without_memory_for_it() {
    const LENGTH: u64 = 5 << 30;
    let site = Site::new();
    site.file("sparse.bin", "").file("small.bin", "x");
    let file = fs::File::options().write(true).open(site.path("sparse.bin")).unwrap();
    file.set_len(LENGTH).unwrap();
    let server = tests::programs!().ours(&site, &[]);
    assert_eq!(server.get("/small.bin").status, 200);
    let (before, _) = server.memory();

    let mut client = server.connect();
    client.send("GET /sparse.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(client.head().header("content-length"), Some(LENGTH.to_string().as_str()));
    let mut received = 0;
    let mut buffer = vec![1; 1 << 20];
    let zeros = vec![0; 1 << 20];
    loop {
        let length = std::io::Read::read(client.reader(), &mut buffer).unwrap();
        if length == 0 {
            break;
        }
        assert!(buffer[..length] == zeros[..length]);
        received += length as u64;
    }
    assert_eq!(received, LENGTH);
    let (_, peak) = server.memory();
    let grown = peak.saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more while 5 GiB were sent");
}

#[test]
fn what_takes_the_place_of_a_file_is_seen_at_once() {
    let site = Site::new();
    let path = site.path("file");
    site.file("beside", "beside");
    let changes: [(&str, &dyn Fn(), u16); 7] = [
        ("another content", &|| fs::write(&path, "other").unwrap(), 200),
        ("nothing", &|| (), 404),
        ("a directory", &|| fs::create_dir(&path).unwrap(), 308),
        ("a FIFO", &|| assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()), 404),
        ("a socket", &|| drop(UnixListener::bind(&path).unwrap()), 404),
        ("a link to a file", &|| symlink("beside", &path).unwrap(), 200),
        ("a link that leads out", &|| symlink("/etc/passwd", &path).unwrap(), 404),
    ];
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        for (name, change, status) in changes {
            site.file("file", "first");
            for _ in 0..3 {
                assert_eq!(client.request("GET", "/file", &[]).text(), "first");
            }
            fs::remove_file(&path).unwrap();
            change();
            let response = client.request("GET", "/file", &[]);
            assert_eq!(response.status, status, "{name}");
            if status == 200 {
                assert_eq!(response.body, fs::read(&path).unwrap(), "{name}");
            }
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        }
    });
}
