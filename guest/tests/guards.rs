//! Guards, natively, over a temporary directory: nothing of a guarded file is in an answer to a client that has not logged in,
//! whichever way leads to it.

#![allow(clippy::unwrap_used, reason = "a test panics when something is not as it should be")]

mod common;

use common::{Directory, header, text};
use guest::path::{NamePolicy, RelativePath};
use guest::pattern::Pattern;
use guest::request::Method;
use guest::response::Plan;
use proptest::prelude::*;
use std::fs::File;

/// `ann:secret`
const ANN: (&str, &str) = ("authorization", "Basic YW5uOnNlY3JldA==");
const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

/// A directory with these guards, on a host that checks passwords.
fn guarded(guards: &str, variables: &[(&str, &str)]) -> Directory {
    let own = [("FILES_AUTH", guards), ("FILES_LOGIN_REALM", "site")];
    Directory::with(&[&own[..], variables].concat())
}

fn login(value: &str) -> (&str, &str) {
    ("wasi-httpd-login", value)
}

fn fields(plan: &Plan<File>) -> [Option<&str>; 3] {
    ["www-authenticate", "cache-control", "vary"].map(|name| header(plan, name))
}

#[test]
fn a_guarded_file_needs_a_login() {
    let directory = guarded("/private/*: ann", &[]);
    directory.file("private/a.txt", "secret").file("a.txt", "open");
    let denied = directory.get("/private/a.txt");
    assert_eq!(denied.status, 401);
    let challenge = "Basic realm=\"site\", charset=\"UTF-8\"";
    assert_eq!(fields(&denied), [Some(challenge), Some("no-store"), Some("Accept, Authorization")]);
    assert_eq!(text(&denied), "401 Unauthorized: this needs a name and a password.\n");
    assert!(text(&directory.ask(Method::Get, "/private/a.txt", &[BROWSER])).contains("<h1>"));

    let ann = |method, fields: &[_]| {
        directory.ask(method, "/private/a.txt", &[&[login("user ann")], fields].concat())
    };
    let granted = ann(Method::Get, &[]);
    assert_eq!((granted.status, &*text(&granted)), (200, "secret"));
    let expected = [None, Some("private, no-cache"), Some("Accept-Encoding, Authorization")];
    assert_eq!(fields(&granted), expected);
    let tag = header(&granted, "etag").unwrap();
    for (field, value, status) in [("if-none-match", tag, 304), ("range", "bytes=0-1", 206)] {
        let answer = ann(Method::Get, &[(field, value)]);
        assert_eq!((answer.status, fields(&answer)), (status, expected));
        assert_eq!(directory.ask(Method::Get, "/private/a.txt", &[(field, value)]).status, 401);
    }
    assert_eq!(ann(Method::Head, &[]).headers, granted.headers);
    for other in ["user bob", "user ", "ann", "user ann "] {
        assert_eq!(directory.ask(Method::Get, "/private/a.txt", &[login(other)]).status, 401, "{other}");
    }
    // What the client says by itself does not count.
    assert_eq!(directory.ask(Method::Get, "/private/a.txt", &[ANN]).status, 401);
    // The same for every path that has no guard.
    let open = directory.get("/a.txt");
    assert_eq!((open.status, fields(&open)), (200, [None, Some("no-cache"), Some("Accept-Encoding")]));
}

#[test]
fn a_client_without_a_login_learns_nothing_of_what_is_there() {
    let directory = guarded("/private/*\n/page.html\n/only/index.html", &[("FILES_LISTING", "on")]);
    directory
        .file("private/a.txt", "a")
        .file("private/.hidden", "a")
        .file("private/inner/index.html", "a")
        .file("private/_redirects", "/private/r /a 302");
    let answers = |targets: &[&str]| {
        let answers = targets.iter().map(|target| {
            let denied = directory.get(target);
            assert_eq!((denied.status, header(&denied, "location")), (401, None), "{target}");
            [Method::Head, Method::Other, Method::Options].map(|method| {
                let plan = directory.ask(method, target, &[]);
                (plan.status, plan.headers)
            })
        });
        answers.collect::<Vec<_>>()
    };
    let targets = [
        "/private",
        "/private/",
        "/private/a.txt",
        "/private/a.txt.gz",
        "/private/missing",
        "/private/inner",
        "/private/.hidden",
        "/private/..%2fa.txt",
        "/page",
        "/page.html",
        "/page.html.br",
        "/only/",
        "/only/index.html",
        "/only/index",
    ];
    let without_files = answers(&targets);
    directory.file("page.html", "a").file("only/index.html", "a").file("private/a.txt.gz", "a");
    assert_eq!(answers(&targets), without_files);
    for target in ["/pages", "/only/other", "/privates"] {
        assert_eq!(directory.get(target).status, 404, "{target}");
    }
}

#[test]
fn every_way_to_a_guarded_file_is_guarded() {
    let guards = "/secret.html\n/private/*\n*.pdf\n/app.js.gz";
    let settings = [
        ("FILES_RULES", "on"),
        ("FILES_LISTING", "on"),
        ("FILES_SPA", "secret.html"),
        ("FILES_HIDDEN", "on"),
    ];
    let directory = guarded(guards, &settings);
    directory
        .file("secret.html", "secret")
        .file("secret.html.br", "secret")
        .file("secret.html.gz.br", "secret")
        .file("private/index.html", "secret")
        .file("private/404.html", "secret")
        .file("paper.pdf", "secret")
        .file("paper.pdf.zst", "secret")
        .file("d/readme.pdf", "secret")
        .file("secret.html.digest", "secret")
        .file("secret.html.br.digest", "secret")
        .file("app.js", "open")
        .file("app.js.gz", "secret")
        .file("404.html", "open")
        .file("_redirects", "/r1 /secret.html 200\n/r2 /private/ 200\n/r3 /secret 404\n/r4/* /private/:splat 200\n/r5 /paper.pdf 200!\n");
    let coded = ("accept-encoding", "br, zstd, gzip");
    for target in [
        "/secret.html",
        "/secret",
        "/SECRET",
        "/%73ecret.html",
        "/secret?download",
        "/secret.html.br",
        "/secret.html.gz.br",
        "/secret.html.digest",
        "/secret.html.br.digest",
        "/private/",
        "/private/index",
        "/private/missing",
        "/paper.pdf",
        "/paper.PDF",
        "/paper.pdf.zst",
        "/app.js.gz",
        "/r1",
        "/r2",
        "/r3",
        "/r4/index.html",
        "/r4/missing",
        "/r5",
        "/a/route/of/the/application",
    ] {
        for more in [&[][..], &[coded], &[BROWSER], &[("if-match", "\"x\"")]] {
            let plan = directory.ask(Method::Get, target, more);
            // A page of an application is for browsers.
            let is_missing = target.starts_with("/a/") && more != [BROWSER];
            assert_eq!(plan.status, if is_missing { 404 } else { 401 }, "{target} with {more:?}");
            assert!(!text(&plan).contains("secret"), "{target}");
        }
    }
    for fields in [&[][..], &[coded]] {
        let plan = directory.ask(Method::Get, "/app.js", fields);
        assert_eq!((&*text(&plan), header(&plan, "content-encoding")), ("open", None));
        assert_eq!(header(&plan, "cache-control"), Some("no-cache"));
    }
    // With a login, everything is as it was.
    let user = login("user ann");
    for (target, expected) in
        [("/secret", 200), ("/private/", 200), ("/r1", 200), ("/r3", 404), ("/r5", 200), ("/r4/x", 404)]
    {
        let plan = directory.ask(Method::Get, target, &[user]);
        assert_eq!(plan.status, expected, "{target}");
        assert!(header(&plan, "vary").unwrap().contains("Authorization"), "{target}");
    }
    let route = directory.ask(Method::Get, "/a/route", &[user, BROWSER]);
    assert_eq!((route.status, header(&route, "cache-control")), (200, Some("private, no-cache")));
}

#[test]
fn a_listing_shows_what_the_client_may_open() {
    let directory = guarded("/private/*\n*.pdf\nREADME.md", &[("FILES_LISTING", "on")]);
    directory
        .file("private/a.txt", "a")
        .file("a.pdf", "a")
        .file("a.pdf.gz", "a")
        .file("README.md", "a secret")
        .file("b.txt", "b");
    let listing = directory.get("/");
    let page = text(&listing);
    assert!(page.contains("b.txt") && page.contains("1 entry"), "{page}");
    for hidden in ["private", "pdf", "README", "secret"] {
        assert!(!page.contains(hidden), "{hidden}");
    }
    let shared = [None, Some("private, no-cache"), Some("Accept, Authorization")];
    assert_eq!(fields(&listing), shared);
    let whole = directory.ask(Method::Get, "/", &[login("user ann")]);
    let page = text(&whole);
    for shown in ["./private/", "./a.pdf", "./a.pdf.gz", "./README.md", "a secret", "./b.txt"] {
        assert!(page.contains(shown), "{shown}");
    }
    assert_eq!(fields(&whole), shared);
}

#[test]
fn an_archive_has_what_the_client_may_open() {
    let directory = guarded("/private/*\n*.pdf", &[("FILES_LISTING", "on"), ("FILES_ARCHIVE", "on")]);
    directory.file("b.txt", "b").file("d/c.txt", "c");
    let length = |login| {
        let plan = directory.ask(Method::Get, "/?archive=tar", &[("wasi-httpd-login", login)]);
        assert_eq!((plan.status, header(&plan, "cache-control")), (200, Some("private, no-cache")));
        assert_eq!(header(&plan, "vary"), Some("Authorization"));
        header(&plan, "content-length").unwrap().parse::<u64>().unwrap()
    };
    let (ann, other) = ("user ann", "");
    assert_eq!(length(ann), length(other));
    let before = length(ann);
    directory.file("private/a.txt", "secret").file("d/a.pdf", "secret").file("d/a.pdf.gz", "secret");
    assert_eq!(length(other), before);
    assert!(length(ann) > before);
    assert_eq!(directory.get("/private/?archive=tar").status, 401);
}

#[test]
fn passwords_in_headers_guard_on_every_host() {
    let directory = Directory::with(&[("FILES_RULES", "on")]);
    let rules = "/*\n  X-A: 1\n/private/*\n  Basic-Auth: ann:secret bob:hunter2\n  basic-auth: carol:x\n";
    directory.file("_headers", rules).file("private/a.txt", "a").file("a.txt", "a");
    let given = Directory::with(&[("FILES_RULES", "on"), ("FILES_HEADERS_TEXT", rules)]);
    given.file("private/a.txt", "a").file("a.txt", "a");
    for directory in [directory, given] {
        let denied = directory.get("/private/a.txt");
        let challenge = "Basic realm=\"Restricted\", charset=\"UTF-8\"";
        assert_eq!((denied.status, fields(&denied)[0]), (401, Some(challenge)));
        for field in ["Basic YW5uOnNlY3JldA==", "basic Ym9iOmh1bnRlcjI=", "BASIC  Y2Fyb2w6eA=="] {
            let plan = directory.ask(Method::Get, "/private/a.txt", &[("authorization", field)]);
            assert_eq!((plan.status, header(&plan, "x-a")), (200, Some("1")), "{field}");
            let has_passwords = |(name, value): &(_, std::borrow::Cow<'_, str>)| {
                *name == "basic-auth" || value.contains("secret")
            };
            assert!(!plan.headers.iter().any(has_passwords));
        }
        for field in ["Basic YW5uOmh1bnRlcjI=", "Bearer YW5uOnNlY3JldA==", "Basic", "Basic YW5uOnNlY3JldA"] {
            let plan = directory.ask(Method::Get, "/private/a.txt", &[("authorization", field)]);
            assert_eq!(plan.status, 401, "{field}");
        }
        // Of two, it is not clear which one counts, and a login is the host's to tell.
        for fields in [&[ANN, ANN][..], &[login("user ann")]] {
            assert_eq!(directory.ask(Method::Get, "/private/a.txt", fields).status, 401);
        }
        assert_eq!(directory.get("/a.txt").status, 200);
    }
}

#[test]
fn a_guard_that_cannot_be_read_leaves_nothing_open() {
    for (rules, expected) in [
        ("/a/*\n  Basic-Auth: ann\n", "_headers, line 2: `Basic-Auth` takes `NAME:PASSWORD`"),
        ("/%2A\n  Basic-Auth: ann:secret\n", "_headers, line 1: `*` and `:` are wildcards"),
        ("  Basic-Auth: ann:secret\n", "_headers, line 1: a path has to come before its fields"),
    ] {
        let directory = Directory::with(&[("FILES_RULES", "on")]);
        directory.file("_headers", rules).file("b.txt", "b");
        let plan = directory.ask(Method::Get, "/b.txt", &[ANN]);
        assert_eq!(plan.status, 500, "{rules}");
        let complaint = plan.complaint.unwrap();
        assert!(complaint.starts_with(expected) && !complaint.contains("secret"), "{complaint}");
    }
}

#[test]
fn a_password_that_others_could_read_is_not_asked_for() {
    let directory = guarded("/private/*", &[]);
    directory.file("private/a.txt", "a").file("a.txt", "a");
    let plan = directory.ask(Method::Get, "/private/a.txt", &[login("clear"), ANN]);
    assert_eq!((plan.status, header(&plan, "www-authenticate")), (403, None));
    assert_eq!(header(&plan, "vary"), Some("Accept, Authorization"));
    assert_eq!(directory.ask(Method::Get, "/a.txt", &[login("clear")]).status, 200);
}

#[test]
fn guards_need_a_host_that_checks_passwords() {
    let directory = Directory::new();
    directory.file("a.txt", "a");
    let settings = [("FILES_AUTH".to_owned(), "/private/*".to_owned())];
    let plan = directory.handle(&settings, Method::Get, "/a.txt");
    assert_eq!(plan.status, 500);
    assert!(plan.complaint.unwrap().ends_with("only a host that checks passwords has it"));
}

/// Names of files that differ in what leads to them.
const FILES: [&str; 12] = [
    "index.html",
    "a.html",
    "a.html.gz",
    "a.html.gz.br",
    "a",
    "b.js",
    "b.js.br",
    "d/index.html",
    "d/a.html",
    "d/b.js",
    "d.html",
    "404.html",
];

const PATTERNS: [&str; 12] = [
    "/a.html",
    "/a",
    "a.html",
    "/d",
    "/d/*",
    "/d/index.html",
    "*.html",
    "*.js",
    "/b.js.br",
    "/404.html",
    "/*",
    "/d/a",
];

const TARGETS: [&str; 24] = [
    "/",
    "/a",
    "/A",
    "/a.html",
    "/%61.html",
    "/a.html.gz",
    "/a.html.gz.br",
    "/b.js",
    "/b.js.br",
    "/d",
    "/d/",
    "/d/index",
    "/d/index.html",
    "/d/a",
    "/d/a.html",
    "/d/b.js",
    "/d.html",
    "/index.html",
    "/missing",
    "/d/missing",
    "/404",
    "/to/a",
    "/to/d/b.js",
    "/t",
];

/// What the paths of a file may be guarded as, without the code under test.
fn all_names(file: &str) -> Vec<String> {
    let mut names = vec![format!("/{file}")];
    if let Some(name) = file.strip_suffix(".html") {
        names.push(format!("/{name}"));
        if let Some(directory) = format!("/{name}").strip_suffix("index") {
            names.push(directory.to_owned());
        }
    }
    for suffix in [".gz", ".br"] {
        names.extend(file.strip_suffix(suffix).into_iter().flat_map(all_names));
    }
    names
}

fn is_guarded(file: &str, patterns: &[&str]) -> bool {
    patterns.iter().any(|text| {
        let pattern = Pattern::new(*text);
        let below = Pattern::new(format!("{text}/*"));
        all_names(file).iter().any(|name| {
            let name = name.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(name);
            pattern.matches(name) || (text.starts_with('/') && below.matches(name))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn nothing_of_a_guarded_file_is_sent_without_a_login(
        files in proptest::sample::subsequence(&FILES[..], 1..FILES.len()),
        patterns in proptest::sample::subsequence(&PATTERNS[..], 1..4),
        switches in proptest::collection::vec(any::<bool>(), 5),
        clean in proptest::sample::select(&["on", "off", "redirect"][..]),
        coded in any::<bool>(),
        in_headers in any::<bool>(),
    ) {
        let guards = patterns.join("\n");
        let mut variables = vec![("FILES_CLEAN_URLS", clean), ("FILES_RULES", "on")];
        if switches[0] { variables.push(("FILES_LISTING", "on")); }
        if switches[1] { variables.push(("FILES_SPA", "a.html")); }
        if switches[2] { variables.push(("FILES_PRECOMPRESSED", "off")); }
        let slashed: Vec<_> = patterns.iter().filter(|pattern| pattern.starts_with('/')).copied().collect();
        let directory = if in_headers {
            let directory = Directory::with(&variables);
            let lines: Vec<_> = slashed.iter().map(|path| format!("{path}\n  Basic-Auth: ann:secret\n")).collect();
            let lines = lines.concat();
            directory.file("_headers", &lines);
            directory
        } else {
            guarded(&guards, &variables)
        };
        let patterns = if in_headers { slashed } else { patterns };
        if switches[3] {
            directory.file("_redirects", "/to/* /:splat 200\n/t /a.html 404\n/missing /d/ 200\n/b.js /d/b.js 200!\n");
        }
        for file in &files {
            directory.file(file, &format!("<{file}>"));
        }
        let mut fields = if switches[4] { vec![BROWSER] } else { Vec::new() };
        if coded { fields.push(("accept-encoding", "br, gzip")); }
        for target in TARGETS {
            let sent = text(&directory.ask(Method::Get, target, &fields));
            for file in &files {
                let is_sent = sent.contains(&format!("<{file}>"));
                // Without clean URLs, a page has no other name.
                prop_assert!(!(is_sent && is_guarded_with(file, &patterns, clean)), "{target} sends {file} of {patterns:?}");
            }
        }
    }
}

fn is_guarded_with(file: &str, patterns: &[&str], clean: &str) -> bool {
    let path = RelativePath::from_setting(file, &NamePolicy::default()).unwrap();
    if clean == "off" && !path.file_name().starts_with("index") {
        let exact = format!("/{file}");
        return patterns.iter().any(|text| Pattern::new(*text).matches(&exact));
    }
    is_guarded(file, patterns)
}
