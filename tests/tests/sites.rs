//! Several sites in one server: each request goes to the site of its host and its path, and no site has anything of another's.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use tests::guests::{self, GuestFile};
use tests::http2::{self, Http2};
use tests::site::Site;
use tests::tls::{Authority, Files};
use tests::{Client, Response, Runtime, Server, programs};

/// A site whose directories are `www` and others beside it.
fn directories(names: &[&str]) -> Site {
    let site = Site::new();
    for name in names {
        let directory = site.outside().join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("index.html"), name).unwrap();
        fs::write(directory.join("a.txt"), name).unwrap();
    }
    site
}

fn serve(site: &Site, config: &str) -> Server {
    let file = site.outside().join("site.toml");
    fs::write(&file, format!("addr = '127.0.0.1:0'\n{config}")).unwrap();
    let mut command = programs!().command();
    command.arg("--config").arg(file);
    Server::start(Runtime::Ours, command)
}

fn get(server: &Server, host: &str, target: &str) -> Response {
    let mut client = server.connect();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).response("GET")
}

/// A component that answers with this text.
fn says(text: &str) -> Vec<u8> {
    guests::handler_and(
        "",
        &format!("(data (i32.const 4096) \"{text}\")"),
        &format!(
            "(local.set $stream (call $respond (local.get $out)))
             (call $say (local.get $stream) (i32.const 4096) (i32.const {}))
             (call $complete (local.get $stream))",
            text.len()
        ),
    )
}

#[test]
fn the_host_and_then_the_longest_prefix_choose_the_site() {
    let site = directories(&["main", "docs", "api", "wild", "rest"]);
    let server = serve(
        &site,
        "[[site]]
         name = ['example.com', 'www.example.com']
         dir = 'main'
         [[site]]
         name = 'example.com'
         prefix = '/docs'
         dir = 'docs'
         [[site]]
         name = 'example.com'
         prefix = '/docs/api'
         dir = 'api'
         [[site]]
         name = '*.example.com'
         dir = 'wild'
         [[site]]
         name = '*'
         prefix = '/rest'
         dir = 'rest'",
    );
    for (host, target, expected) in [
        ("example.com", "/", "main"),
        ("EXAMPLE.com.:8080", "/a.txt", "main"),
        ("example.com", "/docs/", "docs"),
        ("example.com", "/docs/a.txt", "docs"),
        ("example.com", "/%64ocs/a.txt", "docs"),
        ("example.com", "/docs/api/a.txt", "api"),
        ("www.example.com", "/a.txt", "main"),
        ("a.example.com", "/a.txt", "wild"),
        ("other.test", "/rest/a.txt", "rest"),
        ("127.0.0.1", "/rest/a.txt", "rest"),
    ] {
        let response = get(&server, host, target);
        assert_eq!((response.status, response.text()), (200, expected), "{host}{target}");
    }
    assert_eq!(
        get(&server, "example.com", "/docs/../a.txt").status,
        404,
        "it stays in the site of its prefix"
    );
    let lost = get(&server, "other.test", "/a.txt");
    assert_eq!((lost.status, lost.text()), (404, "404 Not Found: no site of this server has this path.\n"));
    assert_eq!(get(&server, "www.example.com", "/docs/a.txt").status, 404);
}

#[test]
fn a_host_without_a_site_is_a_421() {
    let site = directories(&["main"]);
    let server = serve(&site, "[[site]]\nname = 'example.com'\ndir = 'main'");
    for host in ["example.org", "localhost", "127.0.0.1", "a.example.com"] {
        assert_eq!(get(&server, host, "/").status, 421, "{host}");
    }
    let mut client = server.connect();
    assert_eq!(client.send("GET / HTTP/1.0\r\n\r\n").response("GET").status, 421);
}

#[test]
fn a_prefix_is_stripped_unless_the_site_wants_it() {
    let site = directories(&["docs", "whole/docs"]);
    fs::create_dir(site.outside().join("docs/dir")).unwrap();
    fs::write(site.outside().join("docs/_redirects"), "/old /new 301\n").unwrap();
    let server = serve(
        &site,
        "[[site]]
         name = 'a.test'
         prefix = '/docs'
         dir = 'docs'
         rules = true
         [[site]]
         name = 'b.test'
         prefix = '/docs'
         strip-prefix = false
         dir = 'whole'",
    );
    assert_eq!(get(&server, "b.test", "/docs/a.txt").text(), "whole/docs");
    let location = |target| {
        let response = get(&server, "a.test", target);
        (response.status, response.header("location").unwrap_or_default().to_owned())
    };
    assert_eq!(location("/docs?a=b"), (308, "/docs/?a=b".to_owned()));
    let (status, to) = location("/docs/dir");
    assert_eq!((status, to.as_str()), (308, "./dir/"), "relative to the path that the client knows");
    assert_eq!(location("/docs/old"), (301, "./new".to_owned()));
}

#[test]
fn each_site_has_its_own_component_environment_and_limits() {
    let site = directories(&["main"]);
    let forever = GuestFile::new(guests::handler("(loop $forever (br $forever))"));
    let hello = GuestFile::new(says("hello"));
    let server = serve(
        &site,
        &format!(
            "queue-timeout = 1
             [[site]]
             name = 'main.test'
             dir = 'main'
             cache-control = 'max-age=60'
             [[site]]
             name = 'hello.test'
             guest = '{}'
             [[site]]
             name = 'forever.test'
             guest = '{}'
             max-instances = 1
             timeout = 5",
            hello.path.display(),
            forever.path.display()
        ),
    );
    assert_eq!(get(&server, "main.test", "/a.txt").header("cache-control"), Some("max-age=60"));
    assert_eq!(get(&server, "hello.test", "/").text(), "hello");
    std::thread::scope(|scope| {
        let statuses: Vec<_> =
            (0..2).map(|_| scope.spawn(|| get(&server, "forever.test", "/").status)).collect();
        // One has the only instance until its time is up, and the other one waits for a second.
        let mut statuses: Vec<_> = statuses.into_iter().map(|status| status.join().unwrap()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [500, 503]);
    });
    assert_eq!(get(&server, "main.test", "/a.txt").status, 200);
}

#[test]
fn sites_have_certificates_of_their_own() {
    let site = directories(&["a", "b"]);
    let authority = Authority::new();
    let mut config = String::new();
    for name in ["a", "b"] {
        let host = format!("{name}.localhost");
        let files = Files::write(site.outside(), name, &authority.issue(&[&host]));
        let (certificate, key) = (files.certificate.display(), files.key.display());
        let _ = write!(
            config,
            "[[site]]\nname = '{host}'\ndir = '{name}'\ntls-cert = '{certificate}'\ntls-key = '{key}'\n"
        );
    }
    let server = serve(&site, &config);
    for (name, other) in [("a", "b"), ("b", "a")] {
        let clients = authority.clients().asking_for(&format!("{name}.localhost"));
        let mut client = Client::connect_over_tls(server.address(), &clients);
        for name in [name, other] {
            let head = format!("GET /a.txt HTTP/1.1\r\nHost: {name}.localhost\r\n\r\n");
            assert_eq!(client.send(head).response("GET").text(), name);
        }
    }
}

#[test]
fn http_2_finds_the_sites_too() {
    let site = directories(&["a", "b"]);
    let server = serve(
        &site,
        "[[site]]\nname = 'a.test'\ndir = 'a'\n[[site]]\nname = 'b.test'\nprefix = '/b'\ndir = 'b'",
    );
    let mut client = Http2::connect(server.address());
    for (url, status) in [
        ("http://a.test/a.txt", 200),
        ("http://b.test/b/a.txt", 200),
        ("http://b.test/b", 308),
        ("http://b.test/a.txt", 404),
        ("http://c.test/a.txt", 421),
    ] {
        assert_eq!(client.send(http2::request("GET", url, &[]), None).status, status, "{url}");
    }
}

/// Sites by the flag of the command line.
#[test]
fn simple_sites_need_no_file() {
    let site = directories(&["main", "docs"]);
    let directory = |name: &str| site.outside().join(name).display().to_string();
    let mut command = programs!().command();
    command.args(["--addr", "127.0.0.1:0", "--site"]).arg(format!("example.com={}", directory("main")));
    command.arg("--site").arg(format!("example.com/docs={}", directory("docs")));
    let server = Server::start(Runtime::Ours, command);
    assert_eq!(get(&server, "example.com", "/a.txt").text(), "main");
    assert_eq!(get(&server, "example.com", "/docs/a.txt").text(), "docs");
}

#[test]
fn a_hundred_sites_see_nothing_of_each_other() {
    const SITES: usize = 100;
    let site = Site::new();
    let mut config = String::new();
    for at in 0..SITES {
        let directory = site.outside().join(at.to_string());
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("own.txt"), at.to_string()).unwrap();
        fs::write(directory.join(format!("only-{at}.txt")), at.to_string()).unwrap();
        let _ = write!(config, "[[site]]\nname = 'site-{at}.test'\ndir = '{at}'\n");
        if at % 2 == 0 {
            fs::write(site.outside().join(format!("{at}.wasm")), of_its_own(at)).unwrap();
            let _ = writeln!(config, "guest = '{at}.wasm'");
        }
    }
    let server = serve(&site, &config);
    for at in 0..SITES {
        let host = format!("site-{at}.test");
        assert_eq!(get(&server, &host, "/own.txt").text(), at.to_string());
        let other = (at + 1) % SITES;
        for target in
            [format!("/only-{other}.txt"), format!("/../{other}/own.txt"), format!("/{other}/own.txt")]
        {
            let response = get(&server, &host, &target);
            assert!([400, 404].contains(&response.status), "{host}{target}: {}", response.status);
        }
    }
    // All files of all sites, through one connection.
    let mut client = server.connect();
    for at in 0..SITES {
        let head = format!("GET /only-{at}.txt HTTP/1.1\r\nHost: site-{at}.test\r\n\r\n");
        assert_eq!(client.send(head).response("GET").text(), at.to_string());
    }
}

/// The file server as a component that no other site has: with a custom section of its own.
fn of_its_own(at: usize) -> Vec<u8> {
    let mut component = host::component::BUILT_IN.to_vec();
    let name = format!("site-{at}");
    let content = [&[u8::try_from(name.len()).unwrap()], name.as_bytes()].concat();
    component.push(0);
    component.push(u8::try_from(content.len()).unwrap());
    component.extend(content);
    component
}

#[test]
fn what_a_site_lacks_is_told_with_its_name() {
    let site = directories(&["main"]);
    let file = site.outside().join("site.toml");
    for (section, expected) in [
        ("dir = 'none'", "site b.test: cannot serve --dir "),
        ("dir = 'main'\nguest = 'none.wasm'", "site b.test: cannot read the guest `"),
    ] {
        let config =
            format!("[[site]]\nname = 'a.test'\ndir = 'main'\n[[site]]\nname = 'b.test'\n{section}\n");
        fs::write(&file, config).unwrap();
        for arguments in [&["check", "--config"][..], &["--addr", "127.0.0.1:0", "--config"]] {
            let stderr = failure(&file, arguments);
            assert!(stderr.starts_with(&format!("wasi-httpd: {expected}")), "{stderr}");
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
        }
    }
}

fn failure(file: &Path, arguments: &[&str]) -> String {
    let output = programs!().command().args(arguments).arg(file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}
