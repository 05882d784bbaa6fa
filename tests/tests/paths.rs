//! Paths: nothing outside the directory, nothing hidden, and no way to tell either from what is not there.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tests::on_each_runtime;
use tests::site::Site;

const SECRET: &str = "nobody may read this";

fn site() -> Site {
    let site = Site::new();
    site.file("a.txt", "a").file("private/s.txt", "s").file("dir/index.html", "dir");
    std::fs::write(site.outside().join("x"), SECRET).unwrap();
    std::fs::create_dir(site.outside().join("www-secret")).unwrap();
    std::fs::write(site.outside().join("www-secret/f"), SECRET).unwrap();
    site
}

/// What a missing file answers, but for the date.
fn is_not_found(response: &tests::Response) -> bool {
    response.status == 404
        && response.text() == "404 Not Found: there is no such file here.\n"
        && response.header_names().len() == 5
}

#[test]
fn no_way_leads_out_of_the_directory() {
    let site = site();
    on_each_runtime!(site, |server| {
        for target in [
            "/../x",
            "/%2e%2e/x",
            "/.%2e/x",
            "/%2E./x",
            "/..%2fx",
            "/%2e%2e%2fx",
            "/a/..;/x",
            "/dir/../../x",
            "/dir/%2e%2e/%2e%2e/x",
            "/..\\x",
            "/..%5cx",
            "/%5c..%5cx",
            "/%252e%252e/x",
            "/%%32%65%%32%65/x",
            "/../www-secret/f",
            "/%2e%2e/www-secret/f",
            "/..%2fwww-secret%2ff",
            "//x",
            "///x",
            "/./../x",
            "/dir/./../../x",
            "/.../x",
            "/~/x",
            "/..%00/x",
            "/%c0%ae%c0%ae/x",
            "/%uff0e%uff0e/x",
        ] {
            let response = server.get(target);
            assert!(matches!(response.status, 400 | 404), "{target}: {}", response.status);
            assert!(!response.text().contains(SECRET), "{target}");
        }
        assert_eq!(server.get("/a.txt").text(), "a", "and the next request is fine");
    });
}

#[test]
fn a_path_has_one_spelling() {
    let site = site();
    on_each_runtime!(site, |server| {
        for target in [
            "/private%2fs.txt",
            "/private%2Fs.txt",
            "//private/s.txt",
            "/./private/s.txt",
            "/x/../private/s.txt",
            "/private//s.txt",
            "/private%5cs.txt",
            "/private\\s.txt",
            "/private/./s.txt",
            "/private/s.txt/",
        ] {
            assert!(is_not_found(&server.get(target)), "{target}");
        }
        assert_eq!(server.get("/%70rivate/s%2Etxt").text(), "s", "but every character may be encoded");
        assert_eq!(server.get("/private/s.txt?../../x").text(), "s", "and a query is not part of it");
    });
}

#[test]
fn malformed_paths_and_control_characters_are_a_400() {
    let site = site();
    on_each_runtime!(site, |server| {
        for target in ["/%", "/%4", "/%zz", "/a%", "/a.txt%00.html", "/a%0d%0aX:y", "/%7f", "/%1b[31m"] {
            let response = server.get(target);
            assert_eq!(response.status, 400, "{target}");
            assert_eq!(response.text(), "400 Bad Request: this is not a valid path.\n", "{target}");
        }
    });
}

#[test]
fn names_that_linux_can_hold_are_served() {
    let site = site();
    let names = ["aux.c", "com1.txt", "12:30.log", "Movie: Part 2.mp4", "a.", "log~1.txt", "b ", "@scope+x"];
    for name in names {
        site.file(name, name);
    }
    on_each_runtime!(site, |server| {
        for name in names {
            let target = format!("/{}", name.replace(' ', "%20"));
            assert_eq!(server.get(&target).text(), name);
        }
    });
}

#[test]
fn what_windows_would_open_is_refused_where_names_must_be_portable() {
    let site = site().with("FILES_PORTABLE_NAMES", "on");
    for name in ["NUL", "con.txt", "a:b", "A~1.TXT", "a.txt.", "a.txt ", "COM¹"] {
        site.file(name, SECRET);
    }
    on_each_runtime!(site, |server| {
        for target in [
            "/NUL",
            "/nul",
            "/con.txt",
            "/COM%C2%B9",
            "/dir/aux",
            "/a:b",
            "/C:/x",
            "/c:%5cx",
            "/%5c%5chost%5cshare",
            "/a.txt::$DATA",
            "/A~1.TXT",
            "/a.txt.",
            "/a.txt%20",
        ] {
            assert!(is_not_found(&server.get(target)), "{target}");
        }
    });
}

#[test]
fn hidden_files_answer_like_missing_ones() {
    let site = site();
    for name in
        [".git/config", ".env", "dir/.b/c", ".well-known/security.txt", ".well-known/.x", "dir/.well-known/x"]
    {
        site.file(name, SECRET);
    }
    on_each_runtime!(site, |server| {
        for target in [
            "/.git/config",
            "/.GIT/config",
            "/.env",
            "/%2egit/config",
            "/%2eenv",
            "/dir/.b/c",
            "/.git",
            "/.git/",
            "/.missing",
            "/.well-known/.x",
            "/dir/.well-known/x",
        ] {
            assert!(is_not_found(&server.get(target)), "{target}");
        }
        assert_eq!(server.get("/.well-known/security.txt").status, 200);
    });
}

#[test]
fn symbolic_links_are_followed_inside_the_directory_only() {
    let site = site();
    symlink("a.txt", site.path("inside")).unwrap();
    symlink("dir", site.path("dir-inside")).unwrap();
    symlink("../a.txt", site.path("dir/up")).unwrap();
    symlink(site.outside().join("x"), site.path("absolute")).unwrap();
    symlink("../x", site.path("relative")).unwrap();
    symlink("..", site.path("parent")).unwrap();
    symlink("/etc/hostname", site.path("hostname")).unwrap();
    symlink("loop", site.path("loop")).unwrap();
    symlink("nowhere", site.path("dangling")).unwrap();
    on_each_runtime!(site, |server| {
        assert_eq!(server.get("/inside").text(), "a");
        assert_eq!(server.get("/dir/up").text(), "a");
        assert_eq!(server.get("/dir-inside/").text(), "dir");
        for target in
            ["/absolute", "/relative", "/parent", "/parent/", "/parent/x", "/hostname", "/loop", "/dangling"]
        {
            assert!(is_not_found(&server.get(target)), "{target}");
        }
    });
}

/// Turns a flag true when it goes out of scope.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_link_that_is_swapped_while_it_is_asked_for_never_leads_out() {
    let site = site();
    std::fs::create_dir(site.outside().join("evil")).unwrap();
    std::fs::write(site.outside().join("evil/f"), SECRET).unwrap();
    site.file("good/f", "good");
    let link = site.path("swapped");
    on_each_runtime!(site, |server| {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Also when an assertion fails, or the swapping would go on for ever.
            let _stopped_at_the_end = SetOnDrop(&stop);
            scope.spawn(|| {
                for target in ["good", "../evil"].iter().cycle() {
                    let new = site.path("new");
                    symlink(target, &new).unwrap();
                    std::fs::rename(&new, &link).unwrap();
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
            let mut client = server.connect();
            let mut seen = [0, 0];
            // Until both states were met often, which a swap in every few microseconds makes soon.
            let deadline = Instant::now() + Duration::from_mins(1);
            while seen.iter().any(|&times| times < 200) {
                assert!(Instant::now() < deadline, "only one state was met: {seen:?}");
                let response = client.request("GET", "/swapped/f", &[]);
                match response.status {
                    200 => assert_eq!(response.text(), "good"),
                    404 => assert!(is_not_found(&response)),
                    status => panic!("{status}: {}", response.text()),
                }
                seen[usize::from(response.status == 404)] += 1;
            }
        });
    });
}

#[test]
fn what_is_no_regular_file_is_not_there_and_blocks_nobody() {
    let site = site();
    assert!(Command::new("mkfifo").arg(site.path("fifo")).status().unwrap().success());
    let _socket = UnixListener::bind(site.path("socket")).unwrap();
    symlink("/dev/zero", site.path("device")).unwrap();
    // In the place of every file that is looked for without being named.
    for name in ["odd/index.html", "odd/README.md", "odd/404.html", "page.html", "404.html"] {
        site.directory("odd");
        assert!(Command::new("mkfifo").arg(site.path(name)).status().unwrap().success());
    }
    let browser = [("Accept", "text/html")];
    on_each_runtime!(site, |server| {
        for target in
            ["/fifo", "/socket", "/device", "/fifo/", "/fifo/x", "/odd/", "/odd/x", "/page", "/page.html"]
        {
            assert!(is_not_found(&server.get(target)), "{target}");
            assert!(server.get_with(target, &browser).text().contains("<h1>404 Not Found</h1>"), "{target}");
        }
    });
    let site = site.with("FILES_LISTING", "on");
    on_each_runtime!(site, |server| {
        assert_eq!(server.get("/odd/").status, 200, "listed, without its README");
    });
}

#[test]
fn very_long_paths_are_not_there() {
    let site = site();
    on_each_runtime!(site, |server| {
        for target in [format!("/{}", "a".repeat(300)), format!("/{}", "a/".repeat(5000)), "/a".repeat(4000)]
        {
            assert!(is_not_found(&server.get(&target)), "{} bytes", target.len());
        }
    });
}
