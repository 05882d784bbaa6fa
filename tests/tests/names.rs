//! Names: which file answers which URL, and where clients are sent.

use tests::on_each_runtime;
use tests::site::Site;

/// What a browser sends when it goes to a page.
const NAVIGATION: (&str, &str) =
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");

#[test]
fn no_redirect_leads_to_another_host() {
    let site = Site::new().with("FILES_CLEAN_URLS", "redirect");
    site.file("dir/index.html", "dir").file("evil.com/index.html", "evil").file("about.html", "about");
    on_each_runtime!(site, |server| {
        for target in [
            "//evil.com",
            "//evil.com/%2e%2e",
            "//evil.com/%2f..",
            "/\\evil.com/%2e%2e",
            "/%5cevil.com",
            "/%2fevil.com",
            "//dir",
            "///dir",
            "/evil.com",
            "/evil.com?//x",
            "/dir?next=//evil.com",
            "/about.html?//evil.com",
            "http://evil.com/dir",
            "http://evil.com//dir",
        ] {
            let host = [("X-Forwarded-Host", "evil.com"), ("X-Forwarded-Proto", "https")];
            let response = server.get_with(target, &host);
            match response.header("location") {
                None => assert!(matches!(response.status, 400 | 404 | 421), "{target}: {}", response.status),
                Some(location) => {
                    assert_eq!(response.status, 308, "{target}");
                    // A relative reference, which cannot name a host.
                    assert!(location.starts_with("./") && !location.contains("/./"), "{target}: {location}");
                }
            }
        }
    });
}

#[test]
fn the_query_is_kept_and_encoded() {
    let site = Site::new();
    site.file("dir/index.html", "dir").file("a b.html", "page");
    on_each_runtime!(site, |server| {
        for (target, location) in
            [("/dir?a=b&c=%2F?d", "./dir/?a=b&c=%2F?d"), ("/dir?", "./dir/?"), ("/dir?é", "./dir/?%C3%A9")]
        {
            assert_eq!(server.get(target).header("location"), Some(location), "{target}");
        }
    });
}

#[test]
fn pages_have_clean_urls() {
    let site = Site::new();
    site.file("about.html", "about").file("both.html", "page").file("both/index.html", "index");
    site.file("index.html", "top").file("docs/index.html", "docs");
    on_each_runtime!(site, |server| {
        let page = server.get("/about");
        assert_eq!((page.status, page.text()), (200, "about"));
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        for (target, content, link) in [
            ("/about.html", "about", Some("<./about>; rel=\"canonical\"")),
            ("/about", "about", None),
            ("/both.html", "page", None),
            ("/index.html", "top", Some("<./>; rel=\"canonical\"")),
            ("/docs/index", "docs", Some("<./>; rel=\"canonical\"")),
            ("/docs/", "docs", None),
        ] {
            let page = server.get(target);
            assert_eq!((page.status, page.text(), page.header("link")), (200, content, link), "{target}");
        }
        assert_eq!(server.get("/both").header("location"), Some("./both/"));
        assert_eq!(server.get("/about/").status, 404);
    });
}

#[test]
fn pages_redirect_to_their_clean_urls_where_that_is_wanted() {
    let site = Site::new().with("FILES_CLEAN_URLS", "redirect");
    site.file("about.html", "about").file("docs/index.html", "docs");
    on_each_runtime!(site, |server| {
        for (target, location) in
            [("/about.html?x", "./about?x"), ("/docs/index.html", "./"), ("/docs/index", "./")]
        {
            let response = server.get(target);
            assert_eq!((response.status, response.header("location")), (308, Some(location)), "{target}");
        }
        assert_eq!(server.get("/about").text(), "about");
    });
}

#[test]
fn clean_urls_can_be_left_out() {
    let site = Site::new().with("FILES_CLEAN_URLS", "off");
    site.file("about.html", "about");
    on_each_runtime!(site, |server| {
        assert_eq!(server.get("/about").status, 404);
        assert_eq!(server.get("/about.html").text(), "about");
    });
}

#[test]
fn the_first_index_of_the_list_that_exists_is_the_directory() {
    let site = Site::new().with("FILES_INDEX", "default.htm index.html");
    site.file("a/index.html", "index").file("b/index.html", "index").file("b/default.htm", "default");
    on_each_runtime!(site, |server| {
        assert_eq!(server.get("/a/").text(), "index");
        assert_eq!(server.get("/b/").text(), "default");
    });
}

#[test]
fn navigations_within_an_application_get_its_page() {
    let site = Site::new().with("FILES_SPA", "app/index.html");
    site.file("app/index.html", "app").file("a.js", "script").file(".env", "secret");
    on_each_runtime!(site, |server| {
        for target in ["/", "/users/5", "/users/5/", "/fifo"] {
            let response = server.get_with(target, &[NAVIGATION]);
            assert_eq!((response.status, response.text()), (200, "app"), "{target}");
            assert_eq!(response.header("vary"), Some("Accept-Encoding, Accept"), "{target}");
            assert_eq!(response.header("cache-control"), Some("no-cache"), "{target}");
        }
        let head = server.connect().request("HEAD", "/users/5", &[NAVIGATION]);
        assert_eq!((head.status, head.header("content-length")), (200, Some("3")));
        for target in ["/missing.js", "/users/5.json", "/.env", "/.git/config", "/%2e%2e/x", "/a%5cb"] {
            assert_eq!(server.get_with(target, &[NAVIGATION]).status, 404, "{target}");
        }
        assert_eq!(server.get("/users/5").status, 404, "a script's request");
        assert_eq!(server.get_with("/a.js", &[NAVIGATION]).text(), "script");
        assert_eq!(server.connect().request("DELETE", "/users/5", &[NAVIGATION]).status, 405);
    });
}

#[test]
fn hidden_files_are_served_when_asked_to_and_nothing_more() {
    let site = Site::new().with("FILES_HIDDEN", "on");
    site.file(".config/x", "open");
    std::fs::write(site.outside().join("x"), "secret").unwrap();
    on_each_runtime!(site, |server| {
        assert_eq!(server.get("/.config/x").text(), "open");
        for target in ["/../x", "/%2e%2e/x", "/.%2e/x", "/.", "/.config/..", "/.config/../.config/x"] {
            assert_eq!(server.get(target).status, 404, "{target}");
        }
    });
}

#[test]
fn names_with_control_characters_are_served_where_they_exist() {
    let site = Site::new();
    site.file("a\nb.txt", "newline").file("tab\t.txt", "tab").file("cr\r\nlf", "both");
    on_each_runtime!(site, |server| {
        assert_eq!(server.get("/a%0Ab.txt").text(), "newline");
        assert_eq!(server.get("/tab%09.txt").text(), "tab");
        assert_eq!(server.get("/cr%0d%0alf").text(), "both");
        for target in ["/a%0a", "/a.txt%00.html", "/a%0d%0aX:y", "/%1b", "/.git%0a"] {
            assert_eq!(server.get(target).status, 400, "{target}");
        }
    });
}

#[test]
fn a_download_is_saved_under_a_name_that_cannot_break_out() {
    let site = Site::new();
    site.file("a.txt", "a").file("é\"x.txt", "b").file("cr\r\nlf", "c");
    on_each_runtime!(site, |server| {
        for (target, expected) in [
            ("/a.txt?download", "attachment; filename=\"a.txt\""),
            ("/a.txt?download=b%20c.txt", "attachment; filename=\"b c.txt\""),
            ("/a.txt?download=%0d%0aX:%20y.txt", "attachment; filename=\"X: y.txt\""),
            ("/a.txt?download=setup.bat", "attachment; filename=\"setup.bat.txt\""),
            ("/a.txt?download=..", "attachment; filename=\"a.txt\""),
            ("/a.txt?download=../../etc/passwd", "attachment; filename=\"passwd.txt\""),
            ("/%C3%A9%22x.txt?download", "attachment; filename=\"__x.txt\"; filename*=UTF-8''%C3%A9%22x.txt"),
            ("/cr%0d%0alf?download", "attachment; filename=\"cr__lf\"; filename*=UTF-8''cr__lf"),
        ] {
            let response = server.get(target);
            assert_eq!(response.status, 200, "{target}");
            assert_eq!(response.header("content-disposition"), Some(expected), "{target}");
        }
        assert_eq!(server.get("/a.txt").header("content-disposition"), None);
    });
}
