//! From a request to a plan, natively, over a temporary directory.

#![allow(clippy::unwrap_used, reason = "a test panics when something is not as it should be")]

mod common;

use common::{Directory, body, header, text};
use guest::request::{Headers, Method, Request};
use guest::response::Body;
use std::fs;

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

#[test]
fn a_file_is_planned_as_a_piece_of_itself() {
    let directory = Directory::new();
    directory.file("a.txt", "hello");
    let plan = directory.get("/a.txt");
    assert_eq!(plan.status, 200);
    assert_eq!(header(&plan, "content-length"), Some("5"));
    assert_eq!(header(&plan, "etag"), Some("\"17979cfe362a0000-5\""));
    assert_eq!(header(&plan, "vary"), Some("Accept-Encoding"));
    assert!(matches!(plan.body, Body::File { offset: 0, length: 5, .. }));

    let head = directory.ask(Method::Head, "/a.txt", &[("range", "bytes=0-1")]);
    assert_eq!((head.status, &head.headers), (200, &plan.headers));
    assert!(matches!(head.body, Body::Empty));

    let again = directory.ask(Method::Get, "/a.txt", &[("if-none-match", "\"17979cfe362a0000-5\"")]);
    assert_eq!((again.status, header(&again, "content-length")), (304, None));
    assert!(matches!(again.body, Body::Empty));
}

#[test]
fn a_directory_is_its_index_or_a_redirect_or_nothing() {
    let directory = Directory::new();
    directory.file("with/index.html", "index").file("without/other.txt", "other");
    fs::create_dir_all(directory.on_disk("odd/index.html")).unwrap();
    assert_eq!(header(&directory.get("/with/"), "content-type"), Some("text/html; charset=utf-8"));
    let redirect = directory.get("/with?x");
    assert_eq!((redirect.status, header(&redirect, "location")), (308, Some("/with/?x")));
    for target in ["/", "/without/", "/odd/", "/with/index.html/", "/missing", "/missing/"] {
        assert_eq!(directory.get(target).status, 404, "{target}");
    }
}

#[test]
fn the_first_index_that_exists_counts() {
    let directory = Directory::with(&[("FILES_INDEX", "index.htm index.html")]);
    directory.file("a/index.html", "html").file("b/index.html", "html").file("b/index.htm", "htm");
    assert_eq!(text(&directory.get("/a/")), "html");
    assert_eq!(text(&directory.get("/b/")), "htm");
}

#[test]
fn what_may_not_be_told_apart_is_planned_alike() {
    let directory = Directory::new();
    directory.file(".hidden", "secret").file(".well-known/x", "public").file("_headers", "secret");
    let missing = directory.get("/missing");
    for target in ["/.hidden", "/../x", "/a%2fb", "/nul", "/_headers"] {
        let plan = directory.get(target);
        assert_eq!((plan.status, &plan.headers), (404, &missing.headers), "{target}");
        assert_eq!(body(&plan), body(&missing), "{target}");
    }
    assert_eq!(directory.get("/.well-known/x").status, 200);
    assert_eq!(directory.get("/%").status, 400);
}

#[test]
fn hidden_files_are_served_where_that_is_wanted() {
    let directory = Directory::with(&[("FILES_HIDDEN", "on"), ("FILES_LISTING", "on")]);
    directory.file(".hidden", "open");
    assert_eq!(text(&directory.get("/.hidden")), "open");
    assert!(text(&directory.get("/")).contains("./.hidden"));
    assert_eq!(directory.get("/..").status, 404);
}

#[test]
fn a_time_that_says_nothing_is_replaced_by_a_hash_of_the_content() {
    let directory = Directory::new();
    let tag = |content: &str, seconds| {
        directory.file_modified("a.txt", content, seconds);
        let plan = directory.get("/a.txt");
        assert_eq!(header(&plan, "last-modified"), None);
        header(&plan, "etag").unwrap().to_owned()
    };
    assert_eq!(tag("content", 0), tag("content", 1));
    assert_ne!(tag("content", 0), tag("contenu", 0));
}

#[test]
fn a_fault_of_the_system_is_no_missing_file() {
    let directory = Directory::new();
    assert_eq!(directory.get("/broken").status, 500);
    assert_eq!(directory.ask(Method::Other, "/broken", &[]).status, 405);
    assert_eq!(directory.ask(Method::Options, "/broken", &[]).status, 204);
}

#[test]
fn a_sidecar_is_another_form_of_its_file() {
    let directory = Directory::new();
    directory.file("a.txt", "plain").file("a.txt.gz", "coded");
    let coded = directory.ask(Method::Get, "/a.txt", &[("accept-encoding", "gzip")]);
    assert_eq!(text(&coded), "coded");
    assert_eq!(header(&coded, "content-encoding"), Some("gzip"));
    assert_eq!(header(&coded, "content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(header(&coded, "etag"), Some("\"17979cfe362a0000-5-gzip\""));
    let plain = directory.get("/a.txt");
    assert_eq!((text(&plain).as_str(), header(&plain, "content-encoding")), ("plain", None));
    assert_eq!(header(&plain, "vary"), header(&coded, "vary"));

    let range = [("accept-encoding", "gzip"), ("range", "bytes=1-2")];
    let part = directory.ask(Method::Get, "/a.txt", &range);
    assert_eq!((part.status, text(&part).as_str()), (206, "od"));
    assert_eq!(header(&part, "content-range"), Some("bytes 1-2/5"));
}

#[test]
fn a_sidecar_that_is_stale_or_no_file_is_passed_over() {
    let directory = Directory::new();
    directory.file("a.txt", "plain").file_modified("a.txt.br", "stale", common::MODIFIED_SECONDS - 1);
    fs::create_dir(directory.on_disk("a.txt.zst")).unwrap();
    directory.file("a.txt.gz", "gzip");
    let all = [("accept-encoding", "br, zstd, gzip")];
    assert_eq!(text(&directory.ask(Method::Get, "/a.txt", &all)), "gzip");
    fs::remove_file(directory.on_disk("a.txt.gz")).unwrap();
    assert_eq!(text(&directory.ask(Method::Get, "/a.txt", &all)), "plain");
    assert_eq!(text(&directory.ask(Method::Get, "/a.txt.br", &all)), "stale", "asked for by its own name");
}

#[test]
fn clean_urls_lead_to_pages_and_nowhere_else() {
    let directory = Directory::new();
    directory.file("about.html", "about").file("both.html", "page").file("both", "file");
    directory.file("dir.html", "page").file("dir/index.html", "index");
    assert_eq!(text(&directory.get("/about")), "about");
    let redirect = directory.get("/about.html?x=1");
    assert_eq!((redirect.status, header(&redirect, "location")), (308, Some("/about?x=1")));
    assert_eq!(text(&directory.get("/both")), "file");
    assert_eq!(text(&directory.get("/both.html")), "page", "the shorter name means another file");
    assert_eq!(text(&directory.get("/dir.html")), "page");
    assert_eq!(header(&directory.get("/dir"), "location"), Some("/dir/"));
    assert_eq!(text(&directory.get("/dir/index.html")), "index", "an index has no shorter name");
    assert_eq!(directory.get("/about/").status, 404);

    let off = Directory::with(&[("FILES_CLEAN_URLS", "off")]);
    off.file("about.html", "about");
    assert_eq!(text(&off.get("/about.html")), "about");
    assert_eq!(off.get("/about").status, 404);
}

#[test]
fn navigations_to_nowhere_get_the_application() {
    let directory = Directory::with(&[("FILES_SPA", "app.html")]);
    directory.file("app.html", "app").file("a.js", "script").file(".env", "secret");
    for target in ["/", "/users/5", "/users/"] {
        let plan = directory.ask(Method::Get, target, &[BROWSER]);
        assert_eq!((plan.status, text(&plan).as_str()), (200, "app"), "{target}");
        assert_eq!(header(&plan, "vary"), Some("Accept-Encoding, Accept"));
    }
    for target in ["/missing.js", "/users/5.json", "/.env", "/%00"] {
        assert_ne!(directory.ask(Method::Get, target, &[BROWSER]).status, 200, "{target}");
    }
    assert_eq!(directory.get("/users/5").status, 404, "not a navigation");
    assert_eq!(directory.ask(Method::Other, "/users/5", &[BROWSER]).status, 405);
    assert_eq!(text(&directory.get("/a.js")), "script");
}

#[test]
fn an_error_is_a_page_for_browsers_and_text_for_tools() {
    let directory = Directory::new();
    directory.file("a.txt", "12345");
    let page = directory.ask(Method::Get, "/<script>", &[BROWSER]);
    assert_eq!(header(&page, "content-type"), Some("text/html; charset=utf-8"));
    assert!(text(&page).contains("<h1>404 Not Found</h1>") && !text(&page).contains("<script"));
    assert_eq!(header(&page, "content-length"), Some(text(&page).len().to_string().as_str()));
    let plan = directory.get("/missing");
    assert_eq!(text(&plan), "404 Not Found: there is no such file here.\n");
    assert_eq!((header(&plan, "vary"), header(&plan, "cache-control")), (Some("Accept"), Some("no-store")));
}

#[test]
fn the_nearest_page_for_an_error_is_the_sites_own() {
    let directory = Directory::new();
    directory.file("404.html", "root").file("docs/404.html", "docs").file("docs/deep/x", "x");
    let page = |target| directory.ask(Method::Get, target, &[BROWSER]);
    for (target, expected) in [
        ("/missing", "root"),
        ("/docs/missing", "docs"),
        ("/docs/missing/", "docs"),
        ("/docs/deep/missing", "docs"),
        ("/docs/gone/missing/deep", "docs"),
        ("/docs/.hidden", "docs"),
        ("/other/missing", "root"),
        ("/..", "root"),
    ] {
        let plan = page(target);
        assert_eq!((plan.status, text(&plan).as_str()), (404, expected), "{target}");
        assert_eq!(header(&plan, "cache-control"), Some("no-store"));
        assert_eq!(header(&plan, "etag"), None);
    }
    assert!(text(&directory.get("/missing")).starts_with("404 Not Found"), "tools get text");
    assert!(text(&page("/%")).contains("400 Bad Request"));

    let one = Directory::with(&[("FILES_ERROR_PAGE", "errors")]);
    one.file("errors/404.html", "not here").file("errors/405.html", "not so").file("404.html", "unused");
    assert_eq!(text(&one.ask(Method::Get, "/x", &[BROWSER])), "not here");
    let plan = one.ask(Method::Other, "/x", &[BROWSER]);
    assert_eq!((text(&plan).as_str(), header(&plan, "allow")), ("not so", Some("GET, HEAD, OPTIONS")));
    let none = Directory::with(&[("FILES_ERROR_PAGE", "off")]);
    none.file("404.html", "unused");
    assert!(text(&none.ask(Method::Get, "/x", &[BROWSER])).contains("<h1>404 Not Found</h1>"));
}

#[test]
fn a_directory_is_listed_where_that_is_wanted() {
    let directory = Directory::with(&[("FILES_LISTING", "on")]);
    directory.file("d/b.txt", "bb").file("d/a.txt", "a").file("d/.hidden", "x").file("d/sub/x", "x");
    directory.file("d/nul", "x").file("d/README.md", "# <Title>\n");
    std::os::unix::fs::symlink("a.txt", directory.on_disk("d/link")).unwrap();
    std::os::unix::fs::symlink("nowhere", directory.on_disk("d/dangling")).unwrap();
    let page = directory.get("/d/");
    assert_eq!(page.status, 200);
    assert_eq!((header(&page, "vary"), header(&page, "etag")), (Some("Accept"), None));
    let html = text(&page);
    let links: Vec<_> =
        html.split("<tr><td><a href=\"").skip(1).filter_map(|part| part.split('"').next()).collect();
    assert_eq!(links, ["./../", "./sub/", "./a.txt", "./b.txt", "./link", "./README.md"]);
    assert!(html.contains("<pre># &lt;Title&gt;\n</pre>"));

    let json = directory.ask(Method::Get, "/d/?sort=size&order=desc", &[("accept", "application/json")]);
    assert_eq!(header(&json, "content-type"), Some("application/json"));
    let names: Vec<_> = text(&json)
        .split("\"name\":\"")
        .skip(1)
        .filter_map(|part| part.split('"').next().map(str::to_owned))
        .collect();
    assert_eq!(names, ["sub", "README.md", "b.txt", "link", "a.txt"]);
    let head = directory.ask(Method::Head, "/d/", &[]);
    assert_eq!(header(&head, "content-length"), header(&page, "content-length"));
    assert_eq!(header(&directory.get("/d"), "location"), Some("/d/"));
    assert_eq!(directory.get("/d/a.txt/").status, 404);
}

#[test]
fn a_long_listing_has_pages() {
    let directory = Directory::with(&[("FILES_LISTING", "on")]);
    for at in 0..2001 {
        directory.file(&format!("{at:04}"), "");
    }
    let page = |target| text(&directory.ask(Method::Get, target, &[("accept", "application/json")]));
    for (target, first, count) in [
        ("/", "\"0000\"", 1000),
        ("/?page=2", "\"1000\"", 1000),
        ("/?page=3", "\"2000\"", 1),
        ("/?page=4", "\"2000\"", 1),
        ("/?page=0", "\"0000\"", 1000),
        ("/?order=desc", "\"2000\"", 1000),
    ] {
        let json = page(target);
        assert!(json.contains(&format!("[\n{{\"name\":{first}")), "{target}: {}", &json[..200]);
        assert!(json.contains("\"pages\":3,\"total\":2001"));
        assert_eq!(json.matches("\"name\":").count(), count, "{target}");
    }
}

#[test]
fn a_download_is_an_attachment() {
    let directory = Directory::new();
    directory.file("a.txt", "hello");
    let plan = directory.get("/a.txt?download");
    assert_eq!(header(&plan, "content-disposition"), Some("attachment; filename=\"a.txt\""));
    let part = directory.ask(Method::Get, "/a.txt?download=b.txt", &[("range", "bytes=0-1")]);
    assert_eq!(header(&part, "content-disposition"), Some("attachment; filename=\"b.txt\""));
    assert_eq!(header(&directory.get("/a.txt"), "content-disposition"), None);
    assert_eq!(header(&directory.get("/missing?download"), "content-disposition"), None);
}

#[test]
fn names_with_control_characters_are_served_where_they_exist() {
    let directory = Directory::new();
    directory.file("a\nb.txt", "odd").file("a\r\nb", "odder");
    assert_eq!(text(&directory.get("/a%0Ab.txt")), "odd");
    assert_eq!(text(&directory.get("/a%0d%0ab")), "odder");
    let plan = directory.get("/a%0d%0ab?download");
    assert_eq!(
        header(&plan, "content-disposition"),
        Some("attachment; filename=\"a__b\"; filename*=UTF-8''a__b")
    );
    for target in ["/a%0a", "/a%00", "/a%0d%0aX:y", "/.x%0a"] {
        assert_eq!(directory.get(target).status, 400, "{target}");
    }
}

#[test]
fn the_sites_own_rules_are_obeyed_and_never_served() {
    let directory = Directory::with(&[("FILES_RULES", "on"), ("FILES_LISTING", "on")]);
    directory
        .file("_headers", "/*\n  X-A: all\n/docs/*\n  Cache-Control: max-age=5\n")
        .file("_redirects", "/old /new.txt 301\n/gone/* /404.html 404\n/app/* /app.html 200\n/here.txt /other 302\n/force.txt /new.txt 302!\n/blog/:slug /posts/:slug\n")
        .file("new.txt", "new")
        .file("404.html", "gone")
        .file("app.html", "app")
        .file("here.txt", "here")
        .file("force.txt", "force")
        .file("docs/a.txt", "a");
    let redirect = directory.get("/old?q=1");
    assert_eq!((redirect.status, header(&redirect, "location")), (301, Some("/new.txt?q=1")));
    assert_eq!(header(&redirect, "x-a"), Some("all"));
    let gone = directory.get("/gone/x");
    assert_eq!((gone.status, text(&gone).as_str()), (404, "gone"));
    let app = directory.get("/app/x/y");
    assert_eq!((app.status, text(&app).as_str()), (200, "app"));
    assert_eq!(text(&directory.get("/here.txt")), "here", "files come first");
    assert_eq!(directory.get("/force.txt").status, 302);
    let blog = directory.get("/blog/a%20b");
    assert_eq!((blog.status, header(&blog, "location")), (301, Some("/posts/a%20b")));
    let docs = directory.get("/docs/a.txt");
    assert_eq!((header(&docs, "x-a"), header(&docs, "cache-control")), (Some("all"), Some("max-age=5")));
    assert_eq!(header(&directory.get("/missing"), "x-a"), Some("all"));
    for target in ["/_headers", "/_redirects", "/_HEADERS"] {
        assert_eq!(directory.get(target).status, 404, "{target}");
    }
    assert!(!text(&directory.get("/")).contains("_redirects"));
}

#[test]
fn rules_that_cannot_be_obeyed_are_an_error_that_says_where() {
    for (file, content, complaint) in [
        (
            "_headers",
            "/*\n  Bad header\n",
            "_headers, line 2: this is no header field; it takes `Name: value`",
        ),
        (
            "_redirects",
            "/a",
            "_redirects, line 1: a redirect takes a path and a target, such as `/old /new 301`",
        ),
        (
            "_redirects",
            "/a /b\n/b /c/\n/c /a 302",
            "_redirects, line 1: this redirect leads back to where it came from; give it another target",
        ),
        (
            "_redirects",
            "/a /a/",
            "_redirects, line 1: this redirect leads back to where it came from; give it another target",
        ),
        (
            "_redirects",
            "/:x /a/:x\n/a/* /a/x/:splat",
            "_redirects, line 1: this redirect leads back to where it came from; give it another target",
        ),
    ] {
        let directory = Directory::with(&[("FILES_RULES", "on")]);
        directory.file(file, content).file("x.txt", "x");
        let plan = directory.get("/a");
        assert_eq!((plan.status, plan.complaint.as_deref()), (500, Some(complaint)));
        assert!(!text(&plan).contains("line"), "the log says where, not the answer");
        // A redirect in a circle concerns those who would walk in it; a file that is wrong concerns everybody.
        let others = directory.get("/x.txt").status;
        assert_eq!(others, if complaint.contains("leads back") { 200 } else { 500 }, "{content}");
    }
    let directory = Directory::with(&[("FILES_RULES", "on")]);
    directory.file("_headers", &"#".repeat(guest::rules::LONGEST_FILE + 1));
    assert!(directory.get("/").complaint.unwrap().contains("too long"));
}

#[test]
fn redirects_with_an_end_are_no_circle() {
    let directory = Directory::with(&[("FILES_RULES", "on")]);
    directory.file("_redirects", "/a /b\n/b /page.html\n/* /index.html 302\n").file("page.html", "page");
    directory.file("index.html", "index");
    for (target, location) in [("/a", "/b"), ("/b", "/page.html"), ("/anything", "/index.html")] {
        let plan = directory.get(target);
        assert_eq!(header(&plan, "location"), Some(location), "{target}: {:?}", plan.complaint);
    }
}

#[test]
fn caches_are_told_by_rule() {
    let directory = Directory::with(&[("FILES_CACHE_CONTROL", "/static/*: max-age=60")]);
    directory
        .file("index.html", "x")
        .file("a.d587bbd6.css", "x")
        .file("a.css", "x")
        .file("static/a.html", "x");
    for (target, expected) in [
        ("/", Some("no-cache")),
        ("/a.d587bbd6.css", Some("public, max-age=31536000, immutable")),
        ("/a.css", None),
        ("/static/a", Some("max-age=60")),
        ("/missing.d587bbd6.css", Some("no-store")),
    ] {
        assert_eq!(header(&directory.get(target), "cache-control"), expected, "{target}");
    }
}

#[test]
fn a_target_that_is_too_long_is_refused() {
    let directory = Directory::new();
    assert_eq!(directory.get(&format!("/{}", "a".repeat(20_000))).status, 414);
    assert_eq!(directory.get(&format!("/{}", "a".repeat(16_000))).status, 404);
}

#[test]
fn wrong_settings_are_told_to_the_operator_alone() {
    let variables = [("FILES_LISTING".to_owned(), "si".to_owned())];
    let error = guest::config::Settings::from_environment(&variables).unwrap_err();
    let request = |method| Request { method, target: "/".into(), headers: Headers::default() };
    let plan = guest::answer::misconfigured(&error, &request(Method::Get));
    assert_eq!((plan.status, header(&plan, "x-content-type-options")), (500, Some("nosniff")));
    assert_eq!(plan.complaint.as_deref(), Some("FILES_LISTING is `si`, but it takes `on` or `off`"));
    assert!(!text(&plan).contains("FILES_"));
    let head = guest::answer::misconfigured(&error, &request(Method::Head));
    assert_eq!(header(&head, "content-length"), header(&plan, "content-length"));
    assert!(matches!(head.body, Body::Empty));
}

#[test]
fn rules_hold_for_a_file_however_it_is_asked_for() {
    let directory = Directory::with(&[
        ("FILES_RULES", "on"),
        ("FILES_HEADERS", "*.html: X-Page: yes\n/about: X-Address: yes"),
        ("FILES_CACHE_CONTROL", "*.js: max-age=31536000\n*.html: no-store"),
    ]);
    directory
        .file("about.html", "about")
        .file("secret.html", "secret")
        .file("admin/index.html", "admin")
        .file("index.html", "index")
        .file("_redirects", "/secret.html /login 302!\n/admin/index.html /login 302!\n/*.js /index.html 200\n/lost/* /index.html 200\n");
    // `*` stands at the end only.
    assert_eq!(directory.get("/").status, 500);
    directory.file(
        "_redirects",
        "/secret.html /login 302!\n/admin/index.html /login 302!\n/lost/* /index.html 200\n",
    );
    let about = directory.get("/about");
    assert_eq!((header(&about, "x-page"), header(&about, "x-address")), (Some("yes"), Some("yes")));
    assert_eq!(header(&about, "cache-control"), Some("no-store"));
    assert_eq!(header(&directory.get("/"), "x-page"), Some("yes"));
    for target in ["/secret", "/secret.html", "/admin/", "/admin/index.html"] {
        let plan = directory.get(target);
        assert_eq!((plan.status, header(&plan, "location")), (302, Some("/login")), "{target}");
    }
    let lost = directory.get("/lost/app.js");
    assert_eq!((lost.status, header(&lost, "cache-control")), (200, Some("no-store")), "it is no script");
}

#[test]
fn a_rule_about_the_type_holds_for_every_piece() {
    let rules = "*.js: Content-Type: text/x-own\n*.js: Content-Disposition: attachment";
    let directory = Directory::with(&[("FILES_HEADERS", rules), ("FILES_LISTING", "on")]);
    directory.file("a.js", &"x".repeat(1000));
    let ask = |range| directory.ask(Method::Get, "/a.js", &[("range", range)]);
    for plan in [directory.get("/a.js"), ask("bytes=0-9")] {
        assert_eq!(header(&plan, "content-type"), Some("text/x-own"));
        assert_eq!(header(&plan, "content-disposition"), Some("attachment"));
    }
    let parts = ask("bytes=0-0,-1");
    assert!(header(&parts, "content-type").unwrap().starts_with("multipart/byteranges; "));
    assert_eq!(text(&parts).matches("Content-Type: text/x-own\r\n").count(), 2);
    let again = directory.ask(Method::Get, "/a.js", &[("if-none-match", "*")]);
    assert_eq!((header(&again, "content-type"), header(&again, "content-disposition")), (None, None));
}

#[test]
fn rules_that_fit_everything_hold_for_what_is_not_there_too() {
    let directory = Directory::with(&[("FILES_HEADERS", "*: X-All: 1"), ("FILES_RULES", "on")]);
    directory.file("_headers", "/*\n  X-Site: 2\n").file(".env", "secret");
    let missing = directory.get("/missing");
    assert_eq!((header(&missing, "x-all"), header(&missing, "x-site")), (Some("1"), Some("2")));
    for target in ["/.env", "/../x", "/nul", "/a%2fb"] {
        let plan = directory.get(target);
        assert_eq!((plan.status, &plan.headers), (404, &missing.headers), "{target}");
    }
    for (method, target) in [(Method::Get, "/%"), (Method::Options, "*"), (Method::Other, "/")] {
        let plan = directory.ask(method, target, &[]);
        assert_eq!((header(&plan, "x-all"), header(&plan, "x-site")), (Some("1"), Some("2")), "{target}");
    }
}

#[test]
fn pages_of_the_server_keep_their_own_policy() {
    let rules = "*: Content-Security-Policy: default-src *\n*: Content-Type: text/x";
    let directory = Directory::with(&[("FILES_HEADERS", rules), ("FILES_LISTING", "on")]);
    directory.file("a.txt", "a");
    for plan in [directory.get("/"), directory.ask(Method::Get, "/missing", &[BROWSER])] {
        assert!(header(&plan, "content-security-policy").unwrap().starts_with("default-src 'none'"));
        assert_eq!(header(&plan, "content-type"), Some("text/html; charset=utf-8"));
    }
    assert_eq!(header(&directory.get("/a.txt"), "content-security-policy"), Some("default-src *"));
}

#[test]
fn a_rule_can_take_back_what_others_have_added() {
    let directory = Directory::with(&[
        ("FILES_RULES", "on"),
        ("FILES_SECURITY_HEADERS", "on"),
        ("FILES_HEADERS", "*: X-Own: 1"),
    ]);
    directory
        .file("_headers", "/embed/*\n  ! X-Frame-Options\n  ! X-Own\n  ! ETag\n")
        .file("embed/a.txt", "a");
    directory.file("a.txt", "a");
    let plan = directory.get("/embed/a.txt");
    assert_eq!((header(&plan, "x-frame-options"), header(&plan, "x-own")), (None, None));
    assert!(header(&plan, "etag").is_some(), "the server's own to say");
    assert_eq!(header(&directory.get("/a.txt"), "x-frame-options"), Some("SAMEORIGIN"));
}

#[test]
fn rules_that_cannot_be_read_are_not_passed_over() {
    let directory = Directory::with(&[("FILES_RULES", "on")]);
    directory.file("a.txt", "a");
    fs::create_dir(directory.on_disk("_headers")).unwrap();
    let plan = directory.get("/a.txt");
    assert_eq!(plan.status, 500);
    assert!(plan.complaint.unwrap().starts_with("_headers, line 1: the file cannot be read"));
}

#[test]
fn redirects_that_grow_without_end_are_refused() {
    let directory = Directory::with(&[("FILES_RULES", "on")]);
    directory.file("_redirects", "/a/* /a/:splat/:splat 302");
    let plan = directory.get(&format!("/a/{}", "x".repeat(9000)));
    assert_eq!(plan.status, 500);
    assert!(plan.complaint.unwrap().contains("too long"));
    assert!(directory.get("/a/x").complaint.unwrap().contains("leads back"));
}

#[test]
fn a_listing_has_preconditions_as_far_as_they_go() {
    let directory = Directory::with(&[("FILES_LISTING", "on")]);
    let ask = |name, value| directory.ask(Method::Get, "/", &[(name, value)]).status;
    assert_eq!(ask("if-match", "\"x\""), 412);
    assert_eq!(ask("if-match", "*"), 200);
    assert_eq!(ask("if-none-match", "*"), 304);
    assert_eq!(ask("if-none-match", "\"x\""), 200);
}
