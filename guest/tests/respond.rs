//! From a request to a plan, natively, over a temporary directory.

#![allow(clippy::unwrap_used, reason = "a test panics when something is not as it should be")]

#[allow(dead_code, reason = "each suite uses a part of it")]
mod common;

use common::{Directory, body, header, text};
use guest::request::Method;
use guest::response::Body;
use std::fs;
use std::time::Duration;

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

#[test]
fn a_file_is_planned_as_a_piece_of_itself() {
    let directory = Directory::new();
    directory.file("a.txt", "hello");
    let plan = directory.get("/a.txt");
    assert_eq!(plan.status, 200);
    assert_eq!(header(&plan, "content-length"), Some("5"));
    assert_eq!(header(&plan, "etag"), Some("\"17979cfe362a0001-5\""));
    assert_eq!(header(&plan, "vary"), Some("Accept-Encoding"));
    assert!(matches!(plan.body, Body::File { offset: 0, length: 5, .. }));

    let head = directory.ask(Method::Head, "/a.txt", &[("range", "bytes=0-1")]);
    assert_eq!((head.status, &head.headers), (200, &plan.headers));
    assert!(matches!(head.body, Body::Empty));

    let again = directory.ask(Method::Get, "/a.txt", &[("if-none-match", "\"17979cfe362a0001-5\"")]);
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
    assert_eq!((redirect.status, header(&redirect, "location")), (308, Some("./with/?x")));
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
    for target in ["/.hidden", "/../x", "/a%2fb", "/a%5cb", "/_headers"] {
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
fn names_that_linux_can_hold_are_served() {
    let names = ["aux.c", "com1.txt", "12:30.log", "a.", "log~1.txt", "Movie: Part 2.mp4"];
    let directory = Directory::with(&[("FILES_LISTING", "on")]);
    let portable = Directory::with(&[("FILES_LISTING", "on"), ("FILES_PORTABLE_NAMES", "on")]);
    for name in names {
        directory.file(name, name);
        portable.file(name, name);
        let target = format!("/{}", name.replace(' ', "%20"));
        assert_eq!(text(&directory.get(&target)), name);
        assert_eq!(portable.get(&target).status, 404, "{name}");
    }
    assert!(text(&directory.get("/")).contains("<footer>6 entries</footer>"));
    directory.file("a\\b", "x");
    assert!(
        text(&directory.get("/"))
            .contains("<footer>6 entries; 1 more has a name that cannot be served</footer>")
    );
    let footer = "<footer>0 entries; 6 more have names that cannot be served</footer>";
    assert!(text(&portable.get("/")).contains(footer));
}

#[test]
fn a_time_that_a_tool_has_set_does_not_tell_contents_apart() {
    let directory = Directory::new();
    for seconds in [0, 1, 315_532_800, 499_162_500, 1_700_000_000] {
        let tag = |content: &str| {
            let time = Duration::from_secs(seconds);
            let staged = directory.file_modified("staged", content, time).on_disk("staged");
            fs::rename(staged, directory.on_disk("a.txt")).unwrap();
            let plan = directory.get("/a.txt");
            assert_eq!(header(&plan, "last-modified").is_some(), seconds > 1_000_000_000);
            header(&plan, "etag").unwrap().to_owned()
        };
        assert_ne!(tag("content"), tag("contenu"), "{seconds}");
    }
    let trusting = Directory::with(&[("FILES_ETAG", "mtime")]);
    trusting.file_modified("a.txt", "content", Duration::from_secs(1_700_000_000));
    assert_eq!(header(&trusting.get("/a.txt"), "etag"), Some("\"17979cfe362a0000-7\""));
}

#[test]
fn a_fault_of_the_system_is_no_missing_file() {
    let directory = Directory::new();
    let plan = directory.get("/broken");
    assert_eq!((plan.status, plan.complaint.as_deref()), (500, Some("cannot read `broken`: io")));
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
    assert_eq!(header(&coded, "etag"), Some("\"17979cfe362a0001-5-gzip\""));
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
    directory.file("a.txt", "plain").file_modified(
        "a.txt.br",
        "stale",
        Duration::from_secs(common::MODIFIED.as_secs() - 1),
    );
    fs::create_dir(directory.on_disk("a.txt.zst")).unwrap();
    directory.file("a.txt.gz", "gzip");
    let all = [("accept-encoding", "br, zstd, gzip")];
    assert_eq!(text(&directory.ask(Method::Get, "/a.txt", &all)), "gzip");
    fs::remove_file(directory.on_disk("a.txt.gz")).unwrap();
    assert_eq!(text(&directory.ask(Method::Get, "/a.txt", &all)), "plain");
    assert_eq!(text(&directory.ask(Method::Get, "/a.txt.br", &all)), "stale", "asked for by its own name");
}

#[test]
fn a_page_names_its_clean_url() {
    let files = |directory: &Directory| {
        directory.file("about.html", "about").file("both.html", "page").file("both", "file");
        directory.file("dir.html", "page").file("dir/index.html", "index").file("sub/page.html", "sub");
    };
    let directory = Directory::new();
    files(&directory);
    for (target, content, canonical) in [
        ("/about", "about", None),
        ("/about.html?x=1", "about", Some("<./about>; rel=\"canonical\"")),
        ("/sub/page.html", "sub", Some("<./page>; rel=\"canonical\"")),
        ("/both", "file", None),
        ("/both.html", "page", None),
        ("/dir.html", "page", None),
        ("/dir/", "index", None),
        ("/dir/index", "index", Some("<./>; rel=\"canonical\"")),
        ("/dir/index.html", "index", Some("<./>; rel=\"canonical\"")),
    ] {
        let plan = directory.get(target);
        assert_eq!(
            (plan.status, text(&plan).as_str(), header(&plan, "link")),
            (200, content, canonical),
            "{target}"
        );
    }
    assert_eq!(header(&directory.get("/dir"), "location"), Some("./dir/"));
    assert_eq!(directory.get("/about/").status, 404);

    let redirecting = Directory::with(&[("FILES_CLEAN_URLS", "redirect")]);
    files(&redirecting);
    for (target, location) in [
        ("/about.html?x=1", "./about?x=1"),
        ("/dir/index.html", "./"),
        ("/dir/index", "./"),
        ("/dir", "./dir/"),
    ] {
        let plan = redirecting.get(target);
        assert_eq!((plan.status, header(&plan, "location")), (308, Some(location)), "{target}");
    }
    assert_eq!(text(&redirecting.get("/both.html")), "page", "the shorter name means another file");
    assert_eq!(redirecting.ask(Method::Get, "/about.html", &[("if-none-match", "*")]).status, 308);

    let off = Directory::with(&[("FILES_CLEAN_URLS", "off")]);
    files(&off);
    assert_eq!(
        (text(&off.get("/about.html")).as_str(), header(&off.get("/about.html"), "link")),
        ("about", None)
    );
    assert_eq!(off.get("/about").status, 404);
}

#[test]
fn an_index_that_does_not_answer_for_its_directory_has_no_clean_url() {
    let directory = Directory::with(&[("FILES_INDEX", "index.htm index.html")]);
    directory.file("index.html", "html");
    assert!(header(&directory.get("/index.html"), "link").is_some());
    directory.file("index.htm", "htm");
    assert_eq!(header(&directory.get("/index.html"), "link"), None);
}

#[test]
fn a_page_of_an_application_that_is_missing_is_reported() {
    let directory = Directory::with(&[("FILES_SPA", "nope.html"), ("FILES_ERROR_PAGE", "errors")]);
    let plan = directory.ask(Method::Get, "/x", &[BROWSER]);
    let complaint = "FILES_SPA is `nope.html`, but there is no such file in the served directory";
    assert_eq!((plan.status, plan.complaint.as_deref()), (404, Some(complaint)));
    let plan = directory.ask(Method::Get, "/x.js", &[BROWSER]);
    let complaint = "FILES_ERROR_PAGE is `errors`, but there is no such directory in the served one";
    assert_eq!((plan.status, plan.complaint.as_deref()), (404, Some(complaint)));
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
    directory.file("d/README.md", "# <Title>\n");
    std::os::unix::fs::symlink("a.txt", directory.on_disk("d/link")).unwrap();
    std::os::unix::fs::symlink("nowhere", directory.on_disk("d/dangling")).unwrap();
    let page = directory.get("/d/");
    assert_eq!(page.status, 200);
    assert_eq!(header(&page, "vary"), Some("Accept"));
    let html = text(&page);
    let links: Vec<_> = html
        .split("<tr><th scope=\"row\"><a href=\"")
        .skip(1)
        .filter_map(|part| part.split('"').next())
        .collect();
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
    assert_eq!(header(&directory.get("/d"), "location"), Some("./d/"));
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
    assert_eq!((redirect.status, header(&redirect, "location")), (301, Some("./new.txt?q=1")));
    assert_eq!(header(&redirect, "x-a"), Some("all"));
    let gone = directory.get("/gone/x");
    assert_eq!((gone.status, text(&gone).as_str()), (404, "gone"));
    let app = directory.get("/app/x/y");
    assert_eq!((app.status, text(&app).as_str()), (200, "app"));
    assert_eq!(text(&directory.get("/here.txt")), "here", "files come first");
    assert_eq!(directory.get("/force.txt").status, 302);
    let blog = directory.get("/blog/a%20b");
    assert_eq!((blog.status, header(&blog, "location")), (301, Some("../posts/a%20b")));
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
    ] {
        let directory = Directory::with(&[("FILES_RULES", "on")]);
        directory.file(file, content).file("x.txt", "x");
        let plan = directory.get("/a");
        assert_eq!((plan.status, plan.complaint.as_deref()), (500, Some(complaint)));
        assert!(!text(&plan).contains("line"), "the log says where, not the answer");
        // An error concerns the requests that the line could be about.
        let others = directory.get("/x.txt").status;
        assert_eq!(others, if file == "_headers" { 500 } else { 200 }, "{content}");
    }
    let directory = Directory::with(&[("FILES_RULES", "on")]);
    directory.file("_headers", &"#".repeat(guest::rules::MAX_FILE_BYTES + 1));
    assert!(directory.get("/").complaint.unwrap().contains("too long"));
}

#[test]
fn redirects_that_follow_each_other_are_no_circle() {
    let directory = Directory::with(&[("FILES_RULES", "on")]);
    directory.file("_redirects", "/a /b\n/b /page.html\n/* /index.html 302\n").file("page.html", "page");
    directory.file("index.html", "index");
    for (target, location) in [("/a", "./b"), ("/b", "./page.html"), ("/any/thing", "../index.html")] {
        let plan = directory.get(target);
        assert_eq!(header(&plan, "location"), Some(location), "{target}: {:?}", plan.complaint);
    }
}

#[test]
fn nothing_is_kept_without_asking_unless_a_setting_says_so() {
    let directory = Directory::with(&[("FILES_CACHE_CONTROL", "/static/*: max-age=60")]);
    for file in ["index.html", "a.d587bbd6.css", "lib-Version2.js", "data.cafe2024.json", "static/a.html"] {
        directory.file(file, "x");
    }
    for (target, expected) in [
        ("/", "no-cache"),
        ("/a.d587bbd6.css", "no-cache"),
        ("/lib-Version2.js", "no-cache"),
        ("/data.cafe2024.json", "no-cache"),
        ("/static/a", "max-age=60"),
        ("/missing.d587bbd6.css", "no-store"),
    ] {
        assert_eq!(header(&directory.get(target), "cache-control"), Some(expected), "{target}");
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
    let directory = Directory::new();
    let variables = [("FILES_LISTING".to_owned(), "si".to_owned())];
    let plan = directory.handle(&variables, Method::Get, "/");
    assert_eq!((plan.status, header(&plan, "x-content-type-options")), (500, Some("nosniff")));
    assert_eq!(
        plan.complaint.as_deref(),
        Some("FILES_LISTING is `si`, but it takes `on` or `off`, or lines such as `/docs/*: on`")
    );
    assert!(!text(&plan).contains("FILES_"));
    let head = directory.handle(&variables, Method::Head, "/");
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
        .file(
            "_redirects",
            "/secret.html /login 302!\n/admin/index.html /login 302!\n/lost/* /index.html 200\n",
        );
    let about = directory.get("/about");
    assert_eq!((header(&about, "x-page"), header(&about, "x-address")), (Some("yes"), Some("yes")));
    assert_eq!(header(&about, "cache-control"), Some("no-store"));
    assert_eq!(header(&directory.get("/"), "x-page"), Some("yes"));
    directory.file("secret.html.gz", "coded");
    for (target, location) in [
        ("/secret", "./login"),
        ("/secret.html", "./login"),
        ("/secret.html.gz", "./login"),
        ("/admin/", "../login"),
        ("/admin/index.html", "../login"),
    ] {
        let plan = directory.get(target);
        assert_eq!((plan.status, header(&plan, "location")), (302, Some(location)), "{target}");
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
    for target in ["/.env", "/../x", "/a%5cb", "/a%2fb"] {
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
    directory.file("_headers", "/embed/*\n  ! X-Frame-Options\n  ! X-Own\n").file("embed/a.txt", "a");
    directory.file("a.txt", "a");
    let plan = directory.get("/embed/a.txt");
    assert_eq!((header(&plan, "x-frame-options"), header(&plan, "x-own")), (None, None));
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
fn a_redirect_to_an_address_that_is_too_long_is_a_414() {
    let directory = Directory::with(&[("FILES_RULES", "on")]);
    directory.file("_redirects", "/a/* /a/:splat/:splat 302");
    let plan = directory.get(&format!("/a/{}", "x".repeat(9000)));
    assert_eq!((plan.status, plan.complaint), (414, None));
}

#[test]
fn a_redirect_does_not_take_down_the_page_that_it_leads_to() {
    let directory = Directory::with(&[("FILES_RULES", "on")]);
    directory.file("_redirects", "/index.html / 301!\n/about.html /about 301!\n/* /en/:splat 302\n");
    directory.file("index.html", "index").file("about.html", "about").file("en/a.txt", "a");
    assert_eq!(text(&directory.get("/")), "index");
    assert_eq!(text(&directory.get("/about")), "about");
    for (target, status, location) in [
        ("/index.html", 301, Some("./")),
        ("/about.html", 301, Some("./about")),
        ("/missing", 302, Some("./en/missing")),
        ("/en/missing", 404, None),
        ("/en/a.txt", 200, None),
    ] {
        let plan = directory.get(target);
        assert_eq!(
            (plan.status, header(&plan, "location")),
            (status, location),
            "{target}: {:?}",
            plan.complaint
        );
    }
}

#[test]
fn a_redirect_by_rule_is_asked_for_again_unless_a_rule_says_otherwise() {
    let directory = Directory::with(&[("FILES_RULES", "on")]);
    directory.file("_redirects", "/old /new\n/kept /new\n");
    directory.file("_headers", "/kept\n  Cache-Control: max-age=60\n");
    assert_eq!(header(&directory.get("/old"), "cache-control"), Some("no-cache"));
    assert_eq!(header(&directory.get("/kept"), "cache-control"), Some("max-age=60"));
}

#[test]
fn a_rule_can_answer_with_a_page_a_directory_or_that_it_is_gone() {
    let directory = Directory::with(&[("FILES_RULES", "on")]);
    directory
        .file(
            "_redirects",
            "/a/* /app 200\n/d /docs 200\n/e /docs/ 200\n/old /gone.html 410\n/older /nope 410\n",
        )
        .file("app.html", "app")
        .file("docs/index.html", "docs")
        .file("gone.html", "gone");
    for (target, status, content) in [
        ("/a/x", 200, "app"),
        ("/d", 200, "docs"),
        ("/e", 200, "docs"),
        ("/old", 410, "gone"),
        ("/older", 410, "410 Gone: this file is not here any more.\n"),
    ] {
        let plan = directory.get(target);
        assert_eq!((plan.status, text(&plan).as_str()), (status, content), "{target}");
    }
}

#[test]
fn rules_do_not_strip_the_servers_own_protection() {
    let directory = Directory::with(&[("FILES_RULES", "on"), ("FILES_LISTING", "on")]);
    let names = ["Cache-Control", "Content-Security-Policy", "Expires"];
    directory.file("_headers", &format!("/*\n{}", names.map(|name| format!("  ! {name}\n")).concat()));
    directory.file("d/a.txt", "a");
    let missing = directory.ask(Method::Get, "/missing", &[BROWSER]);
    assert_eq!(header(&missing, "cache-control"), Some("no-store"));
    let listing = directory.get("/d/");
    for plan in [&missing, &listing] {
        assert_eq!(header(plan, "content-type"), Some("text/html; charset=utf-8"));
        assert!(header(plan, "content-security-policy").is_some());
        assert_eq!(header(plan, "x-content-type-options"), Some("nosniff"));
        assert_eq!(header(plan, "vary"), Some("Accept"));
    }
    assert_eq!(header(&directory.get("/d"), "cache-control"), Some("no-cache"));
    assert_eq!(header(&directory.get("/d/a.txt"), "cache-control"), None, "the operator's own choice");
}

#[test]
fn the_nearest_page_for_an_error_has_its_rules() {
    let directory = Directory::with(&[("FILES_RULES", "on")]);
    directory.file("_headers", "/404.html\n  X-A: 1\n").file("404.html", "gone");
    assert_eq!(header(&directory.ask(Method::Get, "/x", &[BROWSER]), "x-a"), Some("1"));
}

#[test]
fn rules_that_the_host_gives_take_the_place_of_the_files() {
    let directory = Directory::new();
    directory.file("_headers", "/*\n  X-Is: the file\n").file("_redirects", "wrong").file("a.txt", "a");
    let ask = |given: &[(&str, &str)], target: &str| {
        let given = [("FILES_RULES", "on")].iter().chain(given);
        let variables: Vec<_> = given.map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        directory.handle(&variables, Method::Get, target)
    };
    assert_eq!(ask(&[], "/missing").status, 500);
    let given =
        [("FILES_HEADERS_TEXT", "/*\n  X-Is: the text\n"), ("FILES_REDIRECTS_TEXT", "/b /a.txt 302\n")];
    let plan = ask(&given, "/a.txt");
    assert_eq!((plan.status, header(&plan, "x-is")), (200, Some("the text")));
    assert_eq!(ask(&given, "/b").status, 302);
    // An empty text is no rules, where there is a file too.
    let plan = ask(&[("FILES_HEADERS_TEXT", ""), ("FILES_REDIRECTS_TEXT", "")], "/a.txt");
    assert_eq!((plan.status, header(&plan, "x-is")), (200, None));
    let plan = ask(&[("FILES_REDIRECTS_TEXT", "")], "/a.txt");
    assert_eq!((plan.status, header(&plan, "x-is")), (200, Some("the file")));
    // What is wrong in them is told as for files.
    let plan = ask(&[("FILES_HEADERS_TEXT", "/*\n  X-A\n"), ("FILES_REDIRECTS_TEXT", "")], "/a.txt");
    assert_eq!(plan.status, 500);
    assert!(plan.complaint.unwrap().starts_with("_headers, line 2: this is no header field"));
}

#[test]
fn a_type_is_set_by_pattern() {
    let directory = Directory::with(&[("FILES_TYPE", "*.foo: text/plain\n/raw/*: application/x-raw")]);
    directory.file("a.foo", "a").file("raw/a.html", "a").file("a.html", "a");
    for (target, expected) in [
        ("/a.foo", "text/plain; charset=utf-8"),
        ("/raw/a.html", "application/x-raw"),
        ("/a.html", "text/html; charset=utf-8"),
    ] {
        assert_eq!(header(&directory.get(target), "content-type"), Some(expected), "{target}");
    }
}

#[test]
fn a_listing_is_filtered_and_keeps_its_order() {
    let directory = Directory::with(&[("FILES_LISTING", "on")]);
    directory.file("Report 10.txt", "").file("report 9.txt", "").file("other", "").file("reports/x", "");
    let page = text(&directory.get("/?q=REPORT&sort=time&order=desc"));
    assert!(page.contains("<footer>3 entries that contain <q>REPORT</q></footer>"), "{page}");
    assert!(page.contains("<a href=\"./reports/?sort=time&amp;order=desc\">"), "{page}");
    let sorted = text(&directory.get("/?q=report+"));
    assert!(sorted.find("report 9.txt").unwrap() < sorted.find("Report 10.txt").unwrap());
    assert!(!sorted.contains("other"));
}

#[test]
fn a_listing_has_a_tag() {
    let directory = Directory::with(&[("FILES_LISTING", "on")]);
    directory.file("a.txt", "a");
    let ask = |name, value: &str| directory.ask(Method::Get, "/", &[(name, value)]).status;
    let tag = header(&directory.get("/"), "etag").unwrap().to_owned();
    assert_eq!(ask("if-match", "\"x\""), 412);
    assert_eq!(ask("if-match", "*"), 200);
    assert_eq!(ask("if-match", &tag), 200);
    assert_eq!(ask("if-none-match", "*"), 304);
    assert_eq!(ask("if-none-match", &tag), 304);
    assert_eq!(ask("if-none-match", "\"x\""), 200);
    directory.file("b.txt", "b");
    assert_eq!(ask("if-none-match", &tag), 200);
}

#[test]
fn a_page_comes_before_a_directory_of_its_name_without_an_index() {
    let directory = Directory::with(&[("FILES_LISTING", "on")]);
    directory.file("blog.html", "blog").file("blog/first.html", "first");
    assert_eq!(text(&directory.get("/blog")), "blog");
    assert_eq!(header(&directory.get("/blog.html"), "link"), Some("<./blog>; rel=\"canonical\""));
    directory.file("blog/index.html", "index");
    assert_eq!(header(&directory.get("/blog"), "location"), Some("./blog/"));
    assert_eq!(header(&directory.get("/blog.html"), "link"), None);
}

#[test]
fn a_rule_comes_before_a_listing() {
    let directory = Directory::with(&[("FILES_RULES", "on"), ("FILES_LISTING", "on")]);
    directory.file("_redirects", "/news/* /blog/:splat 302\n").file("news/a.txt", "a");
    assert_eq!(header(&directory.get("/news/"), "location"), Some("../blog/"));
    assert_eq!(header(&directory.get("/news"), "location"), Some("./blog/"));
    assert_eq!(text(&directory.get("/news/a.txt")), "a");
}

#[test]
fn a_forced_rule_guards_a_file_that_answers_for_another_path() {
    let directory =
        Directory::with(&[("FILES_RULES", "on"), ("FILES_SPA", "app.html"), ("FILES_LISTING", "on")]);
    directory
        .file(
            "_redirects",
            "/view/* /:splat 200\n/app.html /login 302!\n/secret.html /login 302!\n/private/* /login 302!\n\
            /docs/README.md /login 302!\n",
        )
        .file("app.html", "app")
        .file("secret.html", "secret")
        .file("secret.html.gz.br", "coded twice")
        .file("private/x.html", "secret")
        .file("private/404.html", "secret")
        .file("docs/README.md", "secret");
    for target in ["/nowhere", "/view/secret.html", "/view/private/x.html", "/secret.html.gz.br", "/private"]
    {
        let plan = directory.ask(Method::Get, target, &[BROWSER]);
        let location = header(&plan, "location").unwrap_or_default();
        assert!(plan.status == 302 && location.ends_with("/login"), "{target}: {} {location}", plan.status);
    }
    assert!(!text(&directory.get("/docs/")).contains("secret"));
    assert!(!text(&directory.ask(Method::Get, "/private/.x", &[BROWSER])).contains("secret"));
}

#[test]
fn redirects_that_end_are_no_circle() {
    let directory = Directory::with(&[("FILES_RULES", "on"), ("FILES_CLEAN_URLS", "redirect")]);
    let chain = "/c0 /c1\n/c1 /c2\n/c2 /c3\n/c3 /c4\n/c4 /c5\n/c5 /c6\n/c6 /c7\n/c7 /c8\n/c8 /c9\n/c9 /c10\n/c10 /c11\n/c11 /c12\n";
    let rules = format!("{chain}/store id=:id /store?item=:id\n/* /maintenance.html 302!\n");
    directory.file("_redirects", &rules).file("maintenance.html", "soon");
    assert_eq!(header(&directory.get("/x"), "location"), Some("./maintenance.html"));
    assert_eq!(header(&directory.get("/maintenance.html"), "location"), Some("./maintenance"));
    assert_eq!(text(&directory.get("/maintenance")), "soon");
    directory.file("_redirects", &format!("{chain}/store id=:id /store?item=:id\n"));
    assert_eq!(header(&directory.get("/c0"), "location"), Some("./c1"));
    assert_eq!(header(&directory.get("/store?id=5"), "location"), Some("./store?item=5"));
}

#[test]
fn rules_behind_a_link_that_leads_nowhere_are_not_passed_over() {
    for file in ["_headers", "_redirects"] {
        let directory = Directory::with(&[("FILES_RULES", "on")]);
        directory.file("a.txt", "a");
        std::os::unix::fs::symlink("nowhere", directory.on_disk(file)).unwrap();
        let plan = directory.get("/a.txt");
        assert_eq!(plan.status, 500, "{file}");
        assert!(plan.complaint.unwrap().contains("the file cannot be read"), "{file}");
    }
}

#[test]
fn a_page_in_the_place_of_a_script_is_not_kept_like_one() {
    let directory = Directory::with(&[("FILES_RULES", "on")]);
    directory
        .file("_headers", "/assets/*\n  Cache-Control: max-age=31536000, immutable\n  X-A: 1\n")
        .file("_redirects", "/* /index.html 200\n")
        .file("assets/a.js", "script")
        .file("index.html", "app");
    let kept = |target| header(&directory.get(target), "cache-control").map(str::to_owned);
    assert_eq!(kept("/assets/a.js").as_deref(), Some("max-age=31536000, immutable"));
    assert_eq!(kept("/assets/missing.js").as_deref(), Some("no-cache"));
    assert_eq!(header(&directory.get("/assets/missing.js"), "x-a"), Some("1"));
}

#[test]
fn patterns_of_settings_may_have_spaces_and_escapes() {
    let rules = "/my page/*: X-A: 1\n/my%20page/*: X-B: 2";
    let directory =
        Directory::with(&[("FILES_HEADERS", rules), ("FILES_CACHE_CONTROL", "/my%20page/*: max-age=5")]);
    directory.file("my page/a.txt", "a");
    let plan = directory.get("/my%20page/a.txt");
    assert_eq!((header(&plan, "x-a"), header(&plan, "x-b")), (Some("1"), Some("2")));
    assert_eq!(header(&plan, "cache-control"), Some("max-age=5"));
}

#[test]
fn no_hidden_page_has_a_clean_url() {
    let directory = Directory::new();
    directory.file(".well-known.html", "hidden");
    assert_eq!(directory.get("/.well-known").status, 404);
}
