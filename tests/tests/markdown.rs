//! Files of Markdown: as pages for browsers, below listings, and as they are for everyone else.

use std::fs;
use std::time::{Duration, UNIX_EPOCH};
use tests::site::{MODIFIED, MODIFIED_SECONDS, MODIFIED_TAG, Site};
use tests::{EXECUTORS, FileServer, Response, Server, programs};

/// What browsers send with a navigation.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

const SOURCE: &str = "# A *title*\n\n[own](b.md) [evil](javascript:alert(1))\n\n<script>alert(1)</script>\n";

const ARTICLE: &str = "<article lang=\"\" dir=\"auto\">\n<h1 id=\"a-title\">A <em>title</em></h1>\n<p><a href=\"b.md\">own</a> evil</p>\n</article>";

fn site(value: &str) -> Site {
    Site::new().with("FILES_MARKDOWN", value)
}

/// The file server with Markdown, on our host in each way in which it runs guests, and on `wasmtime serve`.
fn each(site: &Site) -> impl Iterator<Item = Server> {
    let ours = EXECUTORS.into_iter().map(|flags| programs!().ours(site, flags));
    ours.chain(std::iter::once_with(|| programs!().stock(site, FileServer::Markdown)))
}

fn browse(server: &Server, target: &str) -> Response {
    server.get_with(target, &[("Accept", BROWSER)])
}

fn is_page(response: &Response) -> bool {
    response.header("content-type") == Some("text/html; charset=utf-8")
}

#[test]
fn browsers_get_a_page_and_others_the_file() {
    let site = site("on");
    site.file("a.md", SOURCE);
    for server in each(&site) {
        let page = browse(&server, "/a.md");
        assert_eq!((page.status, is_page(&page)), (200, true));
        assert!(page.text().contains(ARTICLE), "{}", page.text());
        assert!(page.text().contains("<title>A title</title>"), "{}", page.text());
        assert!(!page.text().contains("script"), "{}", page.text());
        assert_eq!(page.header("vary"), Some("Accept"));
        assert_eq!(page.header("cache-control"), Some("no-cache"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert!(
            page.header("content-security-policy")
                .unwrap()
                .starts_with("default-src 'none'; style-src 'sha256-")
        );
        assert_eq!(page.header("content-length"), Some(&*page.body.len().to_string()));
        for name in ["last-modified", "accept-ranges", "content-encoding"] {
            assert_eq!(page.header(name), None, "{name}");
        }
        for accept in [None, Some("*/*"), Some("text/markdown"), Some("text/html;q=0")] {
            let fields: Vec<_> = accept.map(|accept| ("Accept", accept)).into_iter().collect();
            let file = server.get_with("/a.md", &fields);
            assert_eq!((file.status, file.text()), (200, SOURCE), "{accept:?}");
            assert_eq!(file.header("content-type"), Some("text/markdown; charset=utf-8"));
            assert_eq!(file.header("vary"), Some("Accept-Encoding, Accept"));
            assert_eq!(file.header("last-modified"), Some(MODIFIED));
            assert_eq!(file.header("etag"), Some(&*format!("\"{MODIFIED_TAG}-{:x}\"", SOURCE.len())));
            assert_eq!(file.header("content-security-policy"), None);
        }
    }
}

#[test]
fn the_text_has_a_url_of_its_own() {
    let site = site("on");
    site.file("a.md", SOURCE);
    for server in each(&site) {
        let plain = browse(&server, "/a.md?plain");
        assert_eq!((plain.status, plain.text()), (200, SOURCE));
        assert_eq!(plain.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(plain.header("vary"), Some("Accept-Encoding"), "it is the same for all");
        let part = server.get_with("/a.md?plain", &[("Accept", BROWSER), ("Range", "bytes=2-2,200-")]);
        assert_eq!((part.status, part.text()), (206, "A"));
        let saved = browse(&server, "/a.md?download");
        assert_eq!((saved.status, saved.text()), (200, SOURCE));
        assert_eq!(saved.header("content-disposition"), Some("attachment; filename=\"a.md\""));
        assert!(is_page(&browse(&server, "/a.md?plainer")));
    }
}

#[test]
fn a_page_has_a_tag_and_no_ranges() {
    let site = site("on");
    site.file("a.md", SOURCE);
    for server in each(&site) {
        let page = browse(&server, "/a.md");
        let tag = page.header("etag").unwrap().to_owned();
        assert!(tag.starts_with('"') && tag != server.get("/a.md").header("etag").unwrap());
        assert_eq!(browse(&server, "/a.md").header("etag"), Some(&*tag));
        let with = |name, value: &str| server.get_with("/a.md", &[("Accept", BROWSER), (name, value)]);
        let same = with("If-None-Match", &tag);
        assert_eq!((same.status, same.body.len()), (304, 0));
        for name in ["etag", "vary", "cache-control", "content-security-policy"] {
            assert_eq!(same.header(name), page.header(name), "{name}");
        }
        assert_eq!(with("If-None-Match", "\"other\"").status, 200);
        // Its date is not known: it changes with this server too.
        assert_eq!(with("If-Modified-Since", "Fri, 31 Dec 9999 23:59:59 GMT").status, 200);
        assert_eq!(with("If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 GMT").status, 200);
        assert_eq!(with("If-Match", &tag).status, 200);
        assert_eq!(with("If-Match", "\"other\"").status, 412);
        let ranged = with("Range", "bytes=0-9");
        assert_eq!((ranged.status, &ranged.body), (200, &page.body));
        let head = server.connect().request("HEAD", "/a.md", &[("Accept", BROWSER)]);
        assert_eq!((head.status, head.header_names()), (200, page.header_names()));
        assert_eq!(head.header("content-length"), page.header("content-length"));
        // The file's own tag is not that of the page.
        let file_tag = server.get("/a.md").header("etag").unwrap().to_owned();
        assert_eq!(with("If-None-Match", &file_tag).status, 200);
        assert_eq!(server.get_with("/a.md", &[("If-None-Match", &file_tag)]).status, 304);
    }
}

#[test]
fn a_page_is_of_the_file_as_it_is_now() {
    let site = site("on");
    let server = programs!().ours(&site, &[]);
    let mut tags = Vec::new();
    for word in ["one", "two", "six"] {
        // The same time and length.
        site.file_modified("a.md", word, UNIX_EPOCH + Duration::from_secs(MODIFIED_SECONDS));
        let page = browse(&server, "/a.md");
        assert!(page.text().contains(&format!("<p>{word}</p>")), "{}", page.text());
        tags.push(page.header("etag").unwrap().to_owned());
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 3);
}

#[test]
fn a_readme_is_rendered_below_a_listing() {
    for value in ["on", "readme", "off"] {
        let site = site(value).with("FILES_LISTING", "on");
        site.file("ReadMe.MD", SOURCE)
            .file("text/README.txt", SOURCE)
            .file("cut/README.md", "*a* ".repeat(20_000));
        let rendered = ARTICLE.replace("h1", "h3");
        for server in each(&site) {
            let listing = browse(&server, "/");
            assert_eq!(listing.text().contains(&rendered), value != "off", "{value}: {}", listing.text());
            assert_eq!(listing.text().contains("<pre># A *title*"), value == "off", "{value}");
            assert!(listing.text().contains("<h2>ReadMe.MD</h2>"));
            let policy = listing.header("content-security-policy").unwrap();
            assert_eq!(policy.contains("img-src 'self' data:"), value != "off", "{policy}");
            assert_eq!(
                policy.matches("'sha256-").count(),
                listing.text().matches("<style>").count(),
                "{policy}"
            );
            let tag = listing.header("etag").unwrap();
            let fields = [("Accept", BROWSER), ("If-None-Match", tag)];
            assert_eq!(server.get_with("/", &fields).status, 304);
            assert!(browse(&server, "/text/").text().contains("<pre># A *title*"));
            let cut = browse(&server, "/cut/");
            assert_eq!(cut.text().contains("<em>a</em>"), value != "off");
            assert!(cut.text().contains("<a href=\"./README.md\">The whole file</a>"));
            assert_eq!(is_page(&browse(&server, "/ReadMe.MD")), value == "on", "{value}");
        }
    }
}

#[test]
fn what_is_guarded_or_hidden_is_no_page() {
    let site = site("on").with("FILES_RULES", "on").with("FILES_LISTING", "on");
    site.file("_redirects", "/secret/* / 404!\n/secret.md / 404!\n/moved.md /a.md 301!\n/new.md /a.md 200\n");
    site.file(
        "_headers",
        "/a.md\n  Content-Security-Policy: script-src *\n  X-A: b\n/text.md\n  Content-Type: text/plain\n",
    );
    site.file("a.md", SOURCE)
        .file("text.md", SOURCE)
        .file("secret.md", "sesame")
        .file("secret/README.md", "sesame");
    site.file(".hidden.md", "sesame").file(".git/a.md", "sesame").file("d/README.md", "shown");
    for server in each(&site) {
        for target in
            ["/secret.md", "/secret/README.md", "/secret/", "/.hidden.md", "/.git/a.md", "/_headers?plain"]
        {
            for query in ["", "?plain"] {
                let answer = browse(&server, &format!("{target}{query}"));
                assert_eq!(answer.status, 404, "{target}{query}");
                assert!(!answer.text().contains("sesame"), "{target}{query}");
            }
        }
        assert_eq!(browse(&server, "/moved.md").status, 301);
        let page = browse(&server, "/a.md");
        // The page's policy is the server's own.
        assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        assert_eq!(page.header("x-a"), Some("b"));
        let fields = [("Accept", BROWSER), ("If-None-Match", page.header("etag").unwrap())];
        let same = server.get_with("/a.md", &fields);
        assert_eq!(same.header("content-security-policy"), page.header("content-security-policy"));
        assert!(browse(&server, "/new.md").text().contains(ARTICLE), "by a rule");
        assert_eq!(
            browse(&server, "/text.md").header("content-type"),
            Some("text/plain"),
            "another type by rule"
        );
        assert!(browse(&server, "/d/").text().contains("<p>shown</p>"));
    }
}

#[test]
fn a_long_or_deep_file_harms_nobody() {
    const MAX: usize = 256 * 1024;
    let site = site("on");
    let length = |text: &str| text.repeat(MAX / text.len() + 1)[..MAX].to_owned();
    site.file("long.md", length("a ") + "b").file("just.md", length("a "));
    let hard = [
        ">",
        "*a_ ",
        "[",
        "![[]()",
        "- a\n\n  ",
        "<!--",
        "|a",
        "`",
        "&amp;",
        "# \"\n",
        "\0",
        "\u{fffd}",
        "a\n\n",
    ];
    for (at, text) in hard.iter().enumerate() {
        site.file(&format!("{at}.md"), length(if text.is_ascii() { text } else { "a" }));
    }
    site.file("invalid.md", [b"# \xff\n", &[0xff; 1000][..]].concat());
    for server in each(&site) {
        let long = browse(&server, "/long.md");
        assert_eq!((long.status, long.header("content-type")), (200, Some("text/markdown; charset=utf-8")));
        assert_eq!((long.body.len(), long.header("vary")), (MAX + 1, Some("Accept-Encoding, Accept")));
        assert!(is_page(&browse(&server, "/just.md")));
        for at in 0..hard.len() {
            let page = browse(&server, &format!("/{at}.md"));
            assert_eq!((page.status, is_page(&page)), (200, true), "{at}");
            assert!(page.body.len() < 64 * MAX, "{at}: {}", page.body.len());
        }
        assert!(browse(&server, "/invalid.md").text().contains("<h1>\u{fffd}</h1>"));
    }
}

#[test]
fn other_components_say_that_they_have_none() {
    let site = site("on");
    site.file("a.md", SOURCE);
    for guest in [FileServer::V02, FileServer::V03] {
        let server = programs!().stock(&site, guest);
        assert_eq!(server.get("/a.md").status, 500, "{guest:?}");
        let words =
            "FILES_MARKDOWN is `on`, but this component has no Markdown; `wasi-httpd guest --markdown`";
        server.wait_for_error(|line| line.contains(words));
    }
    let file = site.outside().join("guest.wasm");
    let output = programs!().command().args(["guest", "--markdown", "-o"]).arg(&file).output().unwrap();
    assert!(output.status.success());
    assert_eq!(fs::read(&file).unwrap(), *host::component::BUILT_IN_MARKDOWN);
    let output = programs!()
        .command()
        .args(["guest", "--markdown", "--wasi", "0.3", "-o"])
        .arg(&file)
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("is for WASI 0.2") && message.lines().count() == 1, "{message}");
    assert!(!output.status.success());
}
