//! Settings by pattern of path: listings, applications, clean URLs and hidden files. The first pattern about a path decides, and no
//! other way leads to what it closes.

use tests::site::Site;
use tests::{Server, on_each_runtime, programs};

fn status(server: &Server, target: &str) -> u16 {
    server.get_with(target, &[("Accept", "text/html")]).status
}

#[test]
fn directories_are_listed_where_a_pattern_says_so() {
    let site = Site::new().with("FILES_LISTING", "/pub/private/*: off\n/pub/*: on");
    site.file("pub/a/x", "").file("pub/private/b/x", "").file("other/x", "").file("pub/page/index.html", "");
    on_each_runtime!(site, |server| {
        for (target, expected) in [
            ("/", 404),
            ("/other/", 404),
            ("/pub/", 200),
            ("/pub/a/", 200),
            ("/pub/private/", 404),
            ("/pub/private/b/", 404),
            ("/pub/private/b/x", 200),
            ("/pub/page/", 200),
        ] {
            assert_eq!(status(&server, target), expected, "{target}");
        }
        let json = server.get_with("/pub/private/", &[("Accept", "application/json")]);
        assert_eq!(json.status, 404);
    });
}

#[test]
fn each_application_answers_for_its_own_paths() {
    let site = Site::new().with("FILES_SPA", "/api/*: off\n/admin/*: admin/index.html\nindex.html");
    site.file("index.html", "app").file("admin/index.html", "admin").file("api/real", "api");
    on_each_runtime!(site, |server| {
        for (target, expected) in [
            ("/users/1", (200, "app")),
            ("/admin/users", (200, "admin")),
            ("/admin/users/", (200, "admin")),
            ("/api/real", (200, "api")),
        ] {
            let response = server.get_with(target, &[("Accept", "text/html")]);
            assert_eq!((response.status, response.text()), expected, "{target}");
        }
        assert_eq!(status(&server, "/api/nope"), 404);
        assert_eq!(status(&server, "/api/"), 404, "there is a directory without an index");
        assert_eq!(server.get("/users/1").status, 404, "no navigation");
    });
}

#[test]
fn clean_urls_are_on_off_or_redirects_by_page() {
    let site = Site::new().with("FILES_CLEAN_URLS", "/raw/*: off\n/blog/*: redirect");
    for directory in ["raw", "blog", "docs"] {
        site.file(&format!("{directory}/a.html"), directory)
            .file(&format!("{directory}/index.html"), "index");
    }
    on_each_runtime!(site, |server| {
        let answer = |target: &str| {
            let response = server.get(target);
            let field = |name| response.header(name).map(str::to_owned);
            (response.status, field("location"), field("link"))
        };
        let link = |text: &str| Some(format!("<{text}>; rel=\"canonical\""));
        assert_eq!(answer("/raw/a"), (404, None, None));
        assert_eq!(answer("/raw/a.html"), (200, None, None));
        assert_eq!(answer("/raw/index"), (404, None, None));
        assert_eq!(answer("/raw/"), (200, None, None), "an index is no clean URL");
        assert_eq!(answer("/blog/a"), (200, None, None));
        assert_eq!(answer("/blog/a.html"), (308, Some("./a".into()), None));
        assert_eq!(answer("/blog/index.html"), (308, Some("./".into()), None));
        assert_eq!(answer("/docs/a"), (200, None, None));
        assert_eq!(answer("/docs/a.html"), (200, None, link("./a")));
        assert_eq!(answer("/docs/index"), (200, None, link("./")));
    });
}

#[test]
fn no_other_way_leads_to_a_hidden_file_than_its_pattern() {
    let site = Site::new()
        .with("FILES_LISTING", "on")
        .with("FILES_INDEX", "index.html .start")
        .with("FILES_SPA", "/.open/*: .open/app.html")
        .with("FILES_RULES", "on")
        .with(
            "FILES_HIDDEN",
            "/.open/secret/*: off\n/.open/*: on\n.env: on\n/.door: on\n/.door/a.txt: on\n/.door/page: on",
        );
    site.file(".open/a.txt", "open").file(".open/.b/c", "open").file(".open/secret/key", "secret");
    site.file(".open/secret/index.html", "secret").file(".open/app.html", "app");
    site.file("x/.env", "env").file(".git/.env", "secret").file(".git/config", "secret");
    site.file(".door/a.txt", "door").file(".door/a.txt.gz", "secret").file(".door/a.txt.br", "secret");
    site.file(".door/index.html", "secret")
        .file(".door/page.html", "secret")
        .file(".door/404.html", "secret");
    site.file(".door/README.md", "secret").file(".door/.start", "secret").file("start/.start", "secret");
    site.file("_redirects", "/way/* /.git/:splat 200\n/in/* /.open/:splat 200\n");
    on_each_runtime!(site, |server| {
        let browser = [("Accept", "text/html"), ("Accept-Encoding", "gzip, br")];
        for (target, expected) in [
            ("/.open/a.txt", "open"),
            ("/%2eopen/a.txt", "open"),
            ("/.open/.b/c", "open"),
            ("/.open/nope", "app"),
            ("/in/a.txt", "open"),
            ("/x/.env", "env"),
            ("/.door/a.txt", "door"),
        ] {
            let response = server.get_with(target, &browser);
            assert_eq!((response.status, response.text()), (200, expected), "{target}");
            assert_eq!(response.header("content-encoding"), None, "{target}");
        }
        for target in [
            "/.git/config",
            "/.git/.env",
            "/.git/",
            "/way/config",
            "/way/.env",
            "/.open/secret",
            "/.open/secret/",
            "/.open/secret/key",
            "/.open/%73ecret/key",
            "/in/secret/key",
            "/.door/a.txt.gz",
            "/.door/index.html",
            "/.door/page",
            "/.door/page.html",
            "/.door/nope.txt",
            "/.door/README.md",
            "/start/",
            "/start/.start",
        ] {
            let response = server.get_with(target, &browser);
            assert!(!response.text().contains("secret"), "{target}: {}", response.text());
            let is_listing = target == "/start/";
            assert_eq!(response.status, if is_listing { 200 } else { 404 }, "{target}");
        }
        let names = |target: &str| {
            let response = server.get_with(target, &[("Accept", "application/json")]);
            assert_eq!(response.status, 200, "{target}");
            let entries = response.text().split("{\"name\":\"").skip(1);
            entries.map(|entry| entry.split('"').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("/"), [".door", ".open", "start", "x"]);
        assert_eq!(names("/.open/"), [".b", "a.txt", "app.html"]);
        assert_eq!(names("/.door/"), ["a.txt"]);
        assert_eq!(names("/x/"), [".env"]);
        let page = server.get_with("/.door/", &browser);
        assert!(page.status == 200 && !page.text().contains("secret"), "{}", page.text());
    });
}

#[test]
fn a_flag_takes_patterns_and_a_word() {
    let site = Site::new();
    site.file("pub/.x", "x").file("pub/a", "").file("other/.x", "x");
    let hidden = ["--hidden=/pub/*: on", "--hidden=off"];
    let listing = ["--listing=/pub/*: on", "--listing=off"];
    let start = |options: &[&str]| {
        let mut command = programs!().command();
        command.args(["--allow-root", "--addr", "127.0.0.1:0", "--dir"]).arg(site.root()).args(options);
        Server::start(tests::Runtime::Ours, command)
    };
    let server = start(&[hidden, listing].concat());
    for (target, expected) in
        [("/pub/.x", 200), ("/other/.x", 404), ("/pub/", 200), ("/other/", 404), ("/", 404)]
    {
        assert_eq!(status(&server, target), expected, "{target}");
    }
    let server = start(&["--listing=/other/*: off", "--listing", "--hidden"]);
    for (target, expected) in [("/pub/.x", 200), ("/other/.x", 200), ("/pub/", 200), ("/other/", 404)] {
        assert_eq!(status(&server, target), expected, "{target}");
    }
}
