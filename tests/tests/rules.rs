//! What operators add: header fields by rule, CORS, the security preset, `_headers` and `_redirects`.

use guest::rules::MAX_FILE_BYTES;
use tests::guests::GuestFile;
use tests::process::eventually;
use tests::site::{MODIFIED_TAG, Site};
use tests::{EXECUTORS, Server, on_each_runtime, programs};

#[test]
fn caches_are_told_what_they_may_keep() {
    let site = Site::new();
    site.file("index.html", "x").file("page.html", "x").file("app.3f2a9c1d.js", "x").file("app.js", "x");
    on_each_runtime!(site, |server| {
        for (target, expected) in [
            ("/", Some("no-cache")),
            ("/page", Some("no-cache")),
            ("/app.3f2a9c1d.js", Some("no-cache")),
            ("/app.js", Some("no-cache")),
            ("/missing.3f2a9c1d.js", Some("no-store")),
            ("/page.html", Some("no-cache")),
        ] {
            assert_eq!(server.get(target).header("cache-control"), expected, "{target}");
        }
        let tag = format!("\"{MODIFIED_TAG}-1\"");
        let response = server.get_with("/app.3f2a9c1d.js", &[("If-None-Match", &tag)]);
        assert_eq!(response.status, 304);
        assert_eq!(response.header("cache-control"), Some("no-cache"));
    });
}

#[test]
fn operators_have_their_own_rules_for_caches_and_fields() {
    let site = Site::new()
        .with("FILES_CACHE_CONTROL", "/static/*: max-age=60\n*.js: max-age=5\nno-cache")
        .with("FILES_HEADERS", "*: X-All: 1\n/static/*: X-Static: a, b\n*.js: Content-Type: text/plain");
    site.file("static/a.js", "x").file("b.js", "x").file("c.txt", "x");
    on_each_runtime!(site, |server| {
        let field = |target: &str, name: &str| server.get(target).header(name).map(str::to_owned);
        assert_eq!(field("/static/a.js", "cache-control").as_deref(), Some("max-age=60"));
        assert_eq!(field("/b.js", "cache-control").as_deref(), Some("max-age=5"));
        assert_eq!(field("/c.txt", "cache-control").as_deref(), Some("no-cache"));
        assert_eq!(field("/static/a.js", "x-static").as_deref(), Some("a, b"));
        assert_eq!(field("/b.js", "x-static"), None);
        assert_eq!(field("/b.js", "content-type").as_deref(), Some("text/plain"));
        assert_eq!(field("/missing", "x-all").as_deref(), Some("1"));
        assert_eq!(field("/missing", "cache-control").as_deref(), Some("no-store"));
    });
}

#[test]
fn rules_cannot_be_walked_around() {
    let rules = "/private/*: X-Guard: yes\n/members.html: X-Guard: yes\n/admin/index.html: X-Guard: yes";
    let site = Site::new().with("FILES_HEADERS", rules);
    site.file("private/s.txt", "s").file("members.html", "s").file("admin/index.html", "s");
    on_each_runtime!(site, |server| {
        for target in [
            "/private/s.txt",
            "/%70rivate/s.txt",
            "/private/%73.txt",
            "/private/s.txt?x",
            "/members",
            "/admin/",
            "/admin/index.html",
        ] {
            let response = server.get(target);
            assert_eq!((response.text(), response.header("x-guard")), ("s", Some("yes")), "{target}");
        }
        for target in [
            "/private%2fs.txt",
            "//private/s.txt",
            "/./private/s.txt",
            "/x/../private/s.txt",
            "/private%5cs.txt",
        ] {
            assert_eq!(server.get(target).status, 404, "{target}");
        }
    });
}

#[test]
fn origins_that_may_read_are_named_and_every_answer_varies() {
    let site = Site::new().with("FILES_CORS", "https://a.example http://localhost:3000");
    site.file("a.txt", "a");
    on_each_runtime!(site, |server| {
        let known = server.get_with("/a.txt", &[("Origin", "http://localhost:3000")]);
        assert_eq!(known.header("access-control-allow-origin"), Some("http://localhost:3000"));
        assert_eq!(known.header("vary"), Some("Accept-Encoding, Origin"));
        assert!(known.header("access-control-expose-headers").unwrap().contains("Content-Range"));
        for origin in ["https://evil.example", "https://a.example.evil.example", "null", "http://a.example"] {
            let unknown = server.get_with("/a.txt", &[("Origin", origin)]);
            assert_eq!(unknown.header("access-control-allow-origin"), None, "{origin}");
            assert_eq!(unknown.header("vary"), Some("Accept-Encoding, Origin"), "{origin}");
        }
        assert_eq!(server.get("/a.txt").header("vary"), Some("Accept-Encoding, Origin"));
        assert_eq!(server.get("/missing").header("vary"), Some("Accept, Origin"));

        let preflight = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET")];
        let response = server.connect().request("OPTIONS", "/a.txt", &preflight);
        assert_eq!(response.status, 204);
        assert_eq!(
            response.header_names(),
            [
                "access-control-allow-headers",
                "access-control-allow-methods",
                "access-control-allow-origin",
                "access-control-max-age",
                "allow",
                "vary",
                "x-content-type-options"
            ]
        );
        assert_eq!(response.header("access-control-allow-headers"), Some("*"));
    });
}

#[test]
fn every_origin_may_read_where_that_is_wanted() {
    let site = Site::new().with("FILES_CORS", "*");
    site.file("a.txt", "a");
    on_each_runtime!(site, |server| {
        let response = server.get_with("/a.txt", &[("Origin", "https://any.example")]);
        assert_eq!(response.header("access-control-allow-origin"), Some("*"));
        assert_eq!(response.header("vary"), Some("Accept-Encoding"));
    });
}

#[test]
fn the_security_preset_keeps_a_site_to_itself() {
    let site = Site::new().with("FILES_SECURITY_HEADERS", "on").with("FILES_LISTING", "on");
    site.file("a.txt", "a");
    on_each_runtime!(site, |server| {
        let response = server.get("/a.txt");
        for (name, value) in [
            ("content-security-policy", "frame-ancestors 'self'"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("referrer-policy", "strict-origin-when-cross-origin"),
            ("x-frame-options", "SAMEORIGIN"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(response.header(name), Some(value));
        }
        let listing = server.get("/");
        assert!(listing.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    });
}

#[test]
fn the_sites_own_rules_are_obeyed() {
    let site = Site::new().with("FILES_RULES", "on");
    site.file("_headers", "# comment\n/*\n  X-Site: yes\n  X-Drop: no\n/docs/*\n  ! X-Drop\n  X-Docs: 1\n")
        .file(
            "_redirects",
            "/old /new 301\n/news/* /blog/:splat 302\n/user/:id /profiles/:id/ 308\n\
             /out https://example.com/x\n/app/* /app.html 200\n/gone/* /gone.html 404\n\
             /here.txt /elsewhere\n/forced.txt /elsewhere 307!\n",
        )
        .file("docs/a.txt", "a")
        .file("app.html", "app")
        .file("gone.html", "gone")
        .file("here.txt", "here")
        .file("forced.txt", "forced");
    on_each_runtime!(site, |server| {
        for (target, status, location) in [
            ("/old", 301, "./new"),
            ("/old/?a=b", 301, "../new?a=b"),
            ("/news/2026/caf%C3%A9%20x", 302, "../../blog/2026/caf%C3%A9%20x"),
            ("/user/5", 308, "../profiles/5/"),
            ("/out", 301, "https://example.com/x"),
            ("/forced.txt", 307, "./elsewhere"),
        ] {
            let response = server.get(target);
            assert_eq!((response.status, response.header("location")), (status, Some(location)), "{target}");
            assert_eq!(response.header("x-site"), Some("yes"), "{target}");
        }
        assert_eq!(server.get("/here.txt").text(), "here", "a file comes before a rule");
        let app = server.get("/app/deep/link");
        assert_eq!((app.status, app.text()), (200, "app"));
        assert_eq!(server.get("/news/").header("location"), Some("../blog/"));
        let gone = server.get("/gone/x");
        assert_eq!((gone.status, gone.text(), gone.header("cache-control")), (404, "gone", Some("no-store")));
        let docs = server.get("/docs/a.txt");
        assert_eq!(
            (docs.header("x-site"), docs.header("x-drop"), docs.header("x-docs")),
            (Some("yes"), None, Some("1"))
        );
        for target in ["/_headers", "/_redirects", "/_REDIRECTS", "/%5fheaders"] {
            assert_eq!(server.get(target).status, 404, "{target}");
        }
        for target in ["/news//evil.com", "/news/%2fevil.com", "/news/%5cevil.com"] {
            assert_eq!(server.get(target).status, 404, "{target}");
        }
    });
}

#[test]
fn without_being_asked_for_the_rules_are_only_files_that_nobody_gets() {
    let site = Site::new();
    site.file("_headers", "/*\n  X-Site: yes\n").file("_redirects", "not a rule").file("a.txt", "a");
    on_each_runtime!(site, |server| {
        let response = server.get("/a.txt");
        assert_eq!((response.status, response.header("x-site")), (200, None));
        assert_eq!(server.get("/_headers").status, 404);
    });
}

#[test]
fn rules_that_cannot_be_obeyed_are_told_with_their_line() {
    for (file, content, complaint) in [
        (
            "_headers",
            "/*\n  Content-Length: 5\n",
            "_headers, line 2: the server itself sets `Content-Length`",
        ),
        ("_redirects", "/a /b 999", "_redirects, line 1: a status is 301, 302,"),
        ("_redirects", "/a /:b/x", "_redirects, line 1: nothing in the path is called `:b`"),
        ("_redirects", "/:b/* https://:b/ 302", "_redirects, line 1: a target on another host is"),
    ] {
        let site = Site::new().with("FILES_RULES", "on");
        on_each_runtime!(site, |server| {
            // Our host would not start with it.
            site.file(file, content);
            if server.rules_are_read_by_the_guest() {
                let response = server.get("/a");
                assert_eq!(response.status, 500, "{content}");
                assert!(response.text().contains("its log says which"), "{}", response.text());
                server.wait_for_error(|line| line.contains(complaint));
            } else {
                stays(&server, complaint);
                assert_eq!(server.get("/a").status, 404, "{content}");
            }
            std::fs::remove_file(site.path(file)).unwrap();
        });
    }
    let site = Site::new().with("FILES_RULES", "on");
    on_each_runtime!(site, |server| {
        site.file("_headers", "#".repeat(100_000));
        let complaint = "_headers, line 1: the file is too long";
        if server.rules_are_read_by_the_guest() {
            assert_eq!(server.get("/").status, 500);
            server.wait_for_error(|line| line.contains(complaint));
        } else {
            stays(&server, complaint);
            assert_eq!(server.get("/").status, 404);
        }
        std::fs::remove_file(site.path("_headers")).unwrap();
    });
}

#[test]
fn a_redirect_in_a_circle_is_a_500_and_a_line_that_says_where() {
    let site = Site::new().with("FILES_RULES", "on");
    site.file("_redirects", "/a /b\n/b /a");
    on_each_runtime!(site, |server| {
        let response = server.get("/a");
        assert_eq!(response.status, 500);
        assert!(response.text().contains("its log says which"), "{}", response.text());
        server.wait_for_error(|line| {
            line.contains("_redirects, line 1: this redirect leads back to where it came from")
        });
    });
}

/// Waits until our host has told why rules stay as they are.
fn stays(server: &Server, complaint: &str) {
    server.wait_for_error(|line| {
        line.starts_with("wasi-httpd: warning: rules stay as they are: ") && line.contains(complaint)
    });
}

#[test]
fn rules_that_change_hold_a_moment_later() {
    let site = Site::new().with("FILES_RULES", "on");
    site.file("a.txt", "a");
    on_each_runtime!(site, |server| {
        for (content, expected) in
            [("/*\n  X-Is: 1\n", Some("1")), ("/*\n  X-Is: 2\n", Some("2")), ("", None)]
        {
            site.file("_headers", content);
            eventually("the rules hold", || server.get("/a.txt").header("x-is") == expected);
        }
        std::fs::remove_file(site.path("_headers")).unwrap();
    });
}

#[test]
fn a_guard_holds_under_every_name_of_its_file() {
    let site = Site::new().with("FILES_RULES", "on").with("FILES_LISTING", "on");
    site.file("_headers", "/docs/\n  X-Guard: yes\n/blog/:slug/\n  X-Guard: yes\n/about\n  X-Guard: yes\n")
        .file("_redirects", "/view/* /:splat 200\n/secret.html /login 302!\n/notes/README.md /login 302!\n")
        .file("notes/README.md", "guarded text")
        .file("docs/index.html", "docs")
        .file("blog/a/index.html", "a")
        .file("about.html", "about")
        .file("secret.html", "secret")
        .file("secret.html.gz", "coded");
    on_each_runtime!(site, |server| {
        for target in [
            "/docs/",
            "/docs/index.html",
            "/docs/index",
            "/blog/a/",
            "/blog/a/index.html",
            "/about",
            "/about.html",
        ] {
            let response = server.get(target);
            assert_eq!((response.status, response.header("x-guard")), (200, Some("yes")), "{target}");
        }
        for (target, location) in [
            ("/secret.html", "./login"),
            ("/secret", "./login"),
            ("/secret.html.gz", "./login"),
            ("/view/secret.html", "../login"),
        ] {
            let response = server.get(target);
            assert_eq!((response.status, response.header("location")), (302, Some(location)), "{target}");
        }
        assert!(!server.get("/notes/").text().contains("guarded text"));
    });
}

#[test]
fn canonical_redirects_do_not_take_their_page_down() {
    let site = Site::new().with("FILES_RULES", "on");
    site.file("_redirects", "/index.html / 301!\n/about.html /about 301!\n/* /en/:splat 302\n")
        .file("index.html", "top")
        .file("about.html", "about")
        .file("en/a.txt", "a");
    on_each_runtime!(site, |server| {
        for (target, status, location) in [
            ("/", 200, None),
            ("/index.html", 301, Some("./")),
            ("/about", 200, None),
            ("/about.html", 301, Some("./about")),
            ("/a.txt", 302, Some("./en/a.txt")),
            ("/en/missing", 404, None),
        ] {
            let response = server.get(target);
            assert_eq!((response.status, response.header("location")), (status, location), "{target}");
        }
    });
}

#[test]
fn passwords_in_headers_are_never_sent() {
    let site = Site::new().with("FILES_RULES", "on");
    site.file("a.txt", "a");
    on_each_runtime!(site, |server| {
        site.file("_headers", "/*\n  Basic-Auth: secret\n");
        let status = if server.rules_are_read_by_the_guest() {
            500
        } else {
            stays(&server, "_headers, line 2");
            200
        };
        let response = server.get("/a.txt");
        assert_eq!(response.status, status);
        assert!(!response.headers.iter().any(|(_, value)| value.contains("secret")));
        assert!(!response.text().contains("secret"));
        std::fs::remove_file(site.path("_headers")).unwrap();
    });
}

#[test]
fn rules_do_not_strip_the_servers_own_protection() {
    let site = Site::new().with("FILES_RULES", "on").with("FILES_LISTING", "on");
    let names = ["Cache-Control", "Content-Security-Policy", "Expires"];
    site.file("_headers", format!("/*\n{}", names.map(|name| format!("  ! {name}\n")).concat()));
    site.file("d/a.txt", "a");
    on_each_runtime!(site, |server| {
        let browser = [("Accept", "text/html")];
        let missing = server.get_with("/missing", &browser);
        assert_eq!(missing.header("cache-control"), Some("no-store"));
        for page in [&missing, &server.get_with("/d/", &browser)] {
            assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
            assert!(page.header("content-security-policy").is_some());
            assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(page.header("vary"), Some("Accept"));
        }
        assert_eq!(server.get("/d").header("cache-control"), Some("no-cache"));
    });
}

#[test]
fn a_thousand_rules_hold() {
    let redirects: String = (0..1000).map(|at| format!("/old/{at} /new/{at} 301\n")).collect();
    let headers: String = (0..500).map(|at| format!("/page/{at}\n  X-Page: {at}\n")).collect();
    let site = Site::new().with("FILES_RULES", "on");
    site.file("_redirects", redirects).file("_headers", headers).file("page/499", "x");
    on_each_runtime!(site, |server| {
        assert_eq!(server.get("/old/999").header("location"), Some("../new/999"));
        assert_eq!(server.get("/page/499").header("x-page"), Some("499"));
    });
}

/// `_headers`, which a host may give in an environment variable in the place of the file.
fn headers_of_length(length: usize) -> String {
    let mut text = "/a.txt\n  X-Is: given\n".to_owned();
    text.push_str(&"#".repeat(length.saturating_sub(text.len())));
    text
}

#[test]
fn rules_that_a_host_gives_hold_whatever_their_length() {
    let site = Site::new();
    // Without them, each request would fail.
    site.file("a.txt", "a").file("_headers", "wrong").file("_redirects", "wrong");
    let guest = GuestFile::new(&*host::component::BUILT_IN);
    let root = site.root().to_str().unwrap();
    let restored = "in instances that are restored";
    // One that lies beside the arena of the heap, and the longest, with which the memory is too large to be restored.
    for (length, how) in
        [(20_000, restored), (MAX_FILE_BYTES, "in a new instance for each request: its memory of")]
    {
        let headers = format!("FILES_HEADERS_TEXT={}", headers_of_length(length));
        let redirects = format!("FILES_REDIRECTS_TEXT=/b /a.txt 302\n{}", "#".repeat(length - 14));
        for (flags, how) in EXECUTORS.into_iter().zip([how, "in a new instance", "on the component runtime"])
        {
            let given = ["--env", "FILES_RULES=on", "--env", &headers, "--env", &redirects, "--dir", root];
            let server = programs!().ours_with_guest(&guest.path, &[flags, &given[..]].concat());
            server.wait_for_error(|line| line.starts_with("Running ") && line.contains(how));
            let mut client = server.connect();
            for _ in 0..20 {
                let response = client.request("GET", "/a.txt", &[]);
                assert_eq!(
                    (response.status, response.header("x-is")),
                    (200, Some("given")),
                    "{length} {flags:?}"
                );
                let response = client.request("GET", "/b", &[]);
                assert_eq!((response.status, response.header("location")), (302, Some("./a.txt")));
            }
        }
    }
}

#[test]
fn a_variable_of_hosts_is_not_the_operators() {
    let output = programs!().command().args(["--env", "FILES_REDIRECTS_TEXT="]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
    assert!(stderr.contains("FILES_REDIRECTS_TEXT is for hosts"), "{stderr}");
}
