//! Listings of directories, as pages and as JSON.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use tests::site::{MODIFIED_SECONDS, Site};
use tests::{FileServer, Response, Server, on_each_runtime, programs};

/// Names that try to be something else than names.
const HOSTILE: [&str; 9] = [
    "<img src=x onerror=alert(1)>.txt",
    "a\"b.txt",
    "a&b.txt",
    "it's.txt",
    "q?x#y.txt",
    "new\nline.txt",
    "100%.txt",
    "\u{202e}txt.exe",
    "<\u{2215}style><script>alert(1)<\u{2215}script>",
];

fn site() -> Site {
    Site::new().with("FILES_LISTING", "on")
}

/// The links of the rows, in their order.
fn links(response: &Response) -> Vec<String> {
    let rows = response.text().split("<tr><th scope=\"row\"><a href=\"").skip(1);
    rows.map(|row| row.split('"').next().unwrap().to_owned()).collect()
}

fn json(server: &Server, target: &str) -> Response {
    let response = server.get_with(target, &[("Accept", "application/json")]);
    assert_eq!(response.status, 200, "{target}");
    assert_eq!(response.header("content-type"), Some("application/json"), "{target}");
    response
}

/// The names in a JSON listing, still escaped.
fn names(response: &Response) -> Vec<String> {
    let entries = response.text().split("{\"name\":\"").skip(1);
    entries.map(|entry| entry.split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn a_listing_is_off_unless_asked_for() {
    let site = Site::new();
    site.file("dir/a.txt", "a");
    on_each_runtime!(site, |server| {
        assert_eq!(server.get("/").status, 404);
        assert_eq!(server.get("/dir/").status, 404);
        assert_eq!(server.get("/dir").status, 308, "relative links from its files would break");
    });
}

#[test]
fn the_host_asks_for_it_on_loopback_unless_told_otherwise() {
    let site = Site::new();
    site.file("a.txt", "a");
    let start = |options: &[&str]| {
        let mut command = programs!().command();
        command.args(["--allow-root", "--dir"]).arg(site.root()).args(options);
        Server::start(tests::Runtime::Ours, command)
    };
    for (options, status) in [
        (["--addr", "127.0.0.1:0"].as_slice(), 200),
        (&["--addr", "[::1]:0"], 200),
        (&["--addr", "127.0.0.1:0", "--listing=off"], 404),
        (&["--addr", "127.0.0.1:0", "--env", "FILES_LISTING=off"], 404),
        (&["--addr", "127.0.0.1:0", "--addr", "0.0.0.0:0"], 404),
        (&["--addr", "127.0.0.1:0", "--addr", "0.0.0.0:0", "--listing"], 200),
    ] {
        assert_eq!(start(options).get("/").status, status, "{options:?}");
    }
}

#[test]
fn a_page_and_a_program_see_the_same() {
    let site = site();
    site.file("dir/b.txt", "22").file("dir/A.txt", "1").file("dir/sub/x", "").file("dir/c d.txt", "333");
    on_each_runtime!(site, |server| {
        let page = server.get("/dir/");
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert_eq!(page.header("vary"), Some("Accept"));
        assert_eq!(page.header("cache-control"), Some("no-cache"));
        assert_eq!(links(&page), ["./../", "./sub/", "./A.txt", "./b.txt", "./c%20d.txt"]);
        assert_eq!(page.header("content-length"), Some(page.body.len().to_string().as_str()));

        let listing = json(&server, "/dir/");
        assert_eq!(listing.header("vary"), Some("Accept"));
        assert_eq!(names(&listing), ["sub", "A.txt", "b.txt", "c d.txt"]);
        assert!(listing.text().contains(
            "{\"name\":\"b.txt\",\"type\":\"file\",\"size\":2,\"modified\":\"2023-11-14T22:13:20Z\"}"
        ));
        assert_eq!(links(&server.get("/")), ["./dir/"], "nothing is above the root");
    });
}

#[test]
fn every_order_goes_both_ways() {
    let site = site();
    let at = |seconds| std::time::UNIX_EPOCH + std::time::Duration::from_secs(MODIFIED_SECONDS + seconds);
    site.file_modified("a", "333", at(1)).file_modified("b", "1", at(2)).file_modified("c", "22", at(0));
    on_each_runtime!(site, |server| {
        for (query, expected) in [
            ("?sort=name&order=asc", ["a", "b", "c"]),
            ("?sort=name&order=desc", ["c", "b", "a"]),
            ("?sort=size&order=asc", ["b", "c", "a"]),
            ("?sort=size&order=desc", ["a", "c", "b"]),
            ("?sort=time&order=asc", ["c", "a", "b"]),
            ("?sort=time&order=desc", ["b", "a", "c"]),
            ("?sort=colour&order=sideways&page=no", ["a", "b", "c"]),
        ] {
            assert_eq!(names(&json(&server, &format!("/{query}"))), expected, "{query}");
        }
        // The links of the headings turn the order round.
        let page = server.get("/?sort=size&order=asc");
        assert!(
            page.text().contains("aria-sort=\"ascending\"><a href=\"./?sort=size&amp;order=desc\">Size</a>")
        );
    });
}

#[test]
fn hostile_names_are_shown_as_text_and_their_links_work() {
    let site = site();
    for name in HOSTILE {
        site.file(name, name);
    }
    on_each_runtime!(site, |server| {
        let page = server.get("/");
        let text = page.text();
        for forbidden in ["<img", "<script", "\u{202e}", "onerror=alert(1)>", "new\nline"] {
            assert!(!text.contains(forbidden), "{forbidden} in {text}");
        }
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        let links = links(&page);
        assert_eq!(links.len(), HOSTILE.len());
        let mut seen: Vec<_> = links
            .iter()
            .map(|link| {
                let path = link.strip_prefix("./").unwrap();
                assert!(
                    path.bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$()*+,:;=@".contains(&byte))
                );
                let response = server.get(&format!("/{path}"));
                assert_eq!(response.status, 200, "{link}");
                response.text().to_owned()
            })
            .collect();
        seen.sort();
        let mut expected = HOSTILE.to_vec();
        expected.sort_unstable();
        assert_eq!(seen, expected);
        assert!(!json(&server, "/").text().contains('\u{202e}'));
    });
}

#[test]
fn names_that_are_not_utf_8_are_counted() {
    let site = site();
    site.file("good.txt", "x");
    for bytes in [b"bad\xff.txt".as_slice(), b"\xe9t\xe9"] {
        File::create(site.root().join(OsStr::from_bytes(bytes))).unwrap();
    }
    on_each_runtime!(site, |server| {
        let page = server.get("/");
        if server.guest() == FileServer::V03 {
            // The stream of entries ends at such a name.
            assert!(page.text().contains("; 1 more has a name that cannot be served; "), "{}", page.text());
            assert!(json(&server, "/").text().contains("\"unreadable\":1,\"truncated\":true"));
            continue;
        }
        assert!(page.text().contains("1 entry; 2 more have names that cannot be served"), "{}", page.text());
        assert!(json(&server, "/").text().contains("\"unreadable\":2"));
    });
}

#[test]
fn only_what_can_be_had_is_listed() {
    let site = site();
    site.file(".env", "x").file(".well-known/x", "x").file("a\\b", "x").file("_headers", "");
    site.file("good.txt", "x").directory(".git");
    symlink("good.txt", site.path("link")).unwrap();
    symlink(".", site.path("self")).unwrap();
    symlink("nowhere", site.path("dangling")).unwrap();
    symlink("/etc/hostname", site.path("outside")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(site.path("fifo")).status().unwrap().success());
    on_each_runtime!(site, |server| {
        assert_eq!(links(&server.get("/")), ["./self/", "./good.txt", "./link"]);
        assert_eq!(names(&json(&server, "/?sort=size")), ["self", "good.txt", "link"]);
    });
}

#[test]
fn a_readme_is_shown_below_as_text() {
    let site = site();
    site.file("a/README.md", "# Hello\n\n<b>bold</b> & *more*\n").file("b/Readme.txt", "text");
    site.file("c/readme.md", "é".repeat(40_000)).file("d/README.md", b"\xff\xfe");
    on_each_runtime!(site, |server| {
        assert!(
            server.get("/a/").text().contains("<pre># Hello\n\n&lt;b&gt;bold&lt;/b&gt; &amp; *more*\n</pre>")
        );
        assert!(server.get("/b/").text().contains("<pre>text</pre>"));
        let long = server.get("/c/");
        assert!(long.text().contains(&format!("<pre>{}</pre>", "é".repeat(32_768))));
        assert!(long.text().contains("<a href=\"./readme.md\">The whole file</a>"));
        assert_eq!(server.get("/d/").status, 200);
    });
}

#[test]
fn a_hundred_thousand_entries_are_listed_in_pages() {
    let site = site();
    site.directory("many").directory("too-many");
    for at in 0..100_000 {
        File::create(site.path(&format!("many/{at:06}.txt"))).unwrap();
    }
    on_each_runtime!(site, |server| {
        let first = json(&server, "/many/");
        assert_eq!(names(&first).len(), 1000);
        assert!(first.text().contains("\"page\":1,\"pages\":100,\"total\":100000"));
        assert_eq!(names(&json(&server, "/many/?page=100")).last().unwrap(), "099999.txt");
        assert_eq!(names(&json(&server, "/many/?order=desc"))[0], "099999.txt");
        assert_eq!(names(&json(&server, "/many/?sort=time&page=999999")).len(), 1000);
        let page = server.get("/many/?page=50");
        assert_eq!(links(&page).len(), 1001);
        assert!(
            page.text().contains("<a rel=\"next\" href=\"./?sort=name&amp;order=asc&amp;page=51\">Next</a>")
        );
    });
}

#[test]
fn a_directory_that_is_too_large_is_listed_in_part() {
    let site = site();
    site.directory("long").file("small/a.txt", "a");
    // Long names reach the limit of 16 MiB before that of their number.
    for at in 0..70_000 {
        File::create(site.path(&format!("long/{at:0250}"))).unwrap();
    }
    on_each_runtime!(site, |server| {
        let response = server.get("/long/");
        assert_eq!(response.status, 200);
        assert!(response.text().contains("; the directory has more entries than can be listed"));
        let listing = json(&server, "/long/");
        assert!(
            listing.text().contains("\"total\":67108,\"unreadable\":0,\"truncated\":true"),
            "{}",
            listing.text()
        );
        assert_eq!(server.get(&format!("/long/{:0250}", 7)).status, 200, "its files are there all the same");
        assert!(json(&server, "/small/").text().contains("\"truncated\":false"));
    });
    fs::remove_dir_all(site.path("long")).unwrap();
}

#[test]
fn a_listing_is_filtered_without_a_script() {
    let site = site();
    site.file("report-2.txt", "").file("Report-10.txt", "").file("other", "").file("reports/x", "");
    on_each_runtime!(site, |server| {
        let page = server.get("/?q=REPORT&sort=name&order=desc");
        assert_eq!(
            links(&page),
            ["./reports/?sort=name&amp;order=desc", "./Report-10.txt", "./report-2.txt"],
            "a directory keeps the order"
        );
        assert!(page.text().contains("<input type=\"search\" name=\"q\" value=\"REPORT\""));
        assert_eq!(names(&json(&server, "/?q=t-1")), ["Report-10.txt"]);
        assert_eq!(names(&json(&server, "/?q=%22%3E%3Cscript%3E")), [""; 0]);
        assert!(!server.get("/?q=%22%3E%3Cscript%3E").text().contains("<script"));
    });
}

#[test]
fn a_listing_has_a_tag() {
    let site = site();
    site.file("a.txt", "a");
    on_each_runtime!(site, |server| {
        let page = server.get("/");
        let tag = page.header("etag").unwrap();
        let again = server.get_with("/", &[("If-None-Match", tag)]);
        assert_eq!((again.status, again.header("vary")), (304, Some("Accept")));
        // It would replace the policy of the page that the client has.
        let policy = page.header("content-security-policy");
        assert!(policy.is_some() && again.header("content-security-policy") == policy);
        assert_ne!(json(&server, "/").header("etag"), Some(tag));
        let changed = server.get_with("/?sort=size", &[("If-None-Match", tag)]);
        assert_eq!(changed.status, 200);
    });
}
