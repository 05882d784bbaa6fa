//! Reloads: everything that has changed takes the place of what was there at once, or nothing does, and no request notices.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tests::guests::{self, WAITING};
use tests::process::{Process, eventually};
use tests::site::Site;
use tests::tls::{Authority, Files};
use tests::{Client, Runtime, Server, programs, terminal};

/// A server whose configuration is `site.toml` beside the site.
struct Configured {
    site: Site,
    server: Server,
}

impl Configured {
    fn start(site: Site, config: &str, flags: &[&str]) -> Self {
        write(&site, config);
        let mut command = programs!().command();
        command.arg("--config").arg(site.outside().join("site.toml")).args(flags);
        Self { server: Server::start(Runtime::Ours, command), site }
    }

    /// Gives it another configuration, and reloads it. Returns the line that tells what came of it.
    fn reload(&self, config: &str) -> String {
        write(&self.site, config);
        self.hang_up()
    }

    /// Sends SIGHUP. Returns the line that tells what came of it.
    fn hang_up(&self) -> String {
        let before = self.outcomes().len();
        self.server.signal("HUP");
        eventually("it has reloaded", || self.outcomes().len() > before);
        self.outcomes().remove(before)
    }

    fn outcomes(&self) -> Vec<String> {
        let mut lines = self.server.lines();
        lines.retain(|line| line.starts_with("Reloaded ") || line.contains("nothing was reloaded"));
        lines
    }

    fn text(&self, target: &str) -> String {
        self.server.get(target).text().to_owned()
    }
}

/// Replaces a file at once.
fn replace(path: &Path, content: impl AsRef<[u8]>) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(&new, path).unwrap();
}

fn write(site: &Site, config: &str) {
    replace(&site.outside().join("site.toml"), format!("addr = '127.0.0.1:0'\n{config}"));
}

const RELOADED: &str = "Reloaded 1 site";

/// A directory beside the site whose `a.txt` says this.
fn directory(site: &Site, name: &str) {
    let directory = site.outside().join(name);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("a.txt"), name).unwrap();
}

/// A component that answers with this text of one character.
fn says(text: char) -> Vec<u8> {
    guests::handler_and(
        "",
        &format!("(data (i32.const 4096) \"{text}\")"),
        "(local.set $stream (call $respond (local.get $out)))
         (call $say (local.get $stream) (i32.const 4096) (i32.const 1))
         (call $complete (local.get $stream))",
    )
}

#[test]
fn directories_settings_and_components_are_replaced() {
    let site = Site::new();
    directory(&site, "1");
    directory(&site, "2");
    fs::write(site.outside().join("guest.wasm"), says('x')).unwrap();
    let configured = Configured::start(site, "dir = '1'\n", &[]);
    assert_eq!(configured.text("/a.txt"), "1");
    assert_eq!(configured.reload("dir = '2'\ncache-control = 'max-age=2'\n"), RELOADED);
    let response = configured.server.get("/a.txt");
    assert_eq!((response.text(), response.header("cache-control")), ("2", Some("max-age=2")));
    assert_eq!(configured.reload("dir = '1'\nguest = 'guest.wasm'\n"), RELOADED);
    assert_eq!(configured.text("/"), "x");
    replace(&configured.site.outside().join("guest.wasm"), says('y'));
    assert_eq!(configured.hang_up(), RELOADED);
    assert_eq!(configured.text("/"), "y");
    let sites = "[[site]]\nname = 'localhost'\ndir = '1'\n[[site]]\nname = '127.0.0.1'\ndir = '2'\n";
    assert_eq!(configured.reload(sites), "Reloaded 2 sites");
    assert_eq!(configured.text("/a.txt"), "1");
    assert_eq!(configured.server.get_with("/a.txt", &[]).text(), "1");
}

/// Everything is of one generation in each answer, no request fails, and what is kept in memory does not grow.
#[test]
fn a_hundred_reloads_under_load_fail_no_request_and_mix_no_answer() {
    const RELOADS: usize = 100;
    let site = Site::new();
    let authority = Authority::new();
    let issued = [authority.issue(&["localhost"]), authority.issue(&["localhost"])];
    let tls = Files::write(site.outside(), "tls", &issued[0]);
    for name in ["0", "1"] {
        directory(&site, name);
        let headers = format!("/*\n  X-Rule: {name}\n");
        fs::write(site.outside().join(name).join("_headers"), headers).unwrap();
    }
    let config = |at: usize| {
        let which = at % 2;
        format!(
            "dir = '{which}'\nrules = true\ncache-control = 'max-age={which}'\ntls-cert = '{}'\ntls-key = '{}'\n",
            tls.certificate.display(),
            tls.key.display()
        )
    };
    let Configured { site, server } = Configured::start(site, &config(0), &["--quiet"]);
    let configured = Configured { server: server.with_clients(authority.clients()), site };
    let (is_over, requests) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for of_each in [1, 1_000] {
            let (configured, is_over, requests, authority) = (&configured, &is_over, &requests, &authority);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let mut client =
                        Client::connect_over_tls(configured.server.address(), &authority.clients());
                    for _ in 0..of_each {
                        let response = client.request("GET", "/a.txt", &[]);
                        assert_eq!((response.status, response.complete), (200, true));
                        let text = response.text();
                        assert_eq!(
                            response.header("cache-control"),
                            Some(format!("max-age={text}").as_str())
                        );
                        assert_eq!(response.header("x-rule"), Some(text));
                        requests.fetch_add(1, Ordering::Relaxed);
                        if is_over.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                }
            });
        }
        let mut early = 0;
        for at in 1..=RELOADS {
            let (certificate, key) = &issued[at % 2];
            replace(&tls.certificate, certificate);
            tests::tls::write_private(&tls.key, key);
            assert_eq!(configured.reload(&config(at)), RELOADED);
            if at == RELOADS / 4 {
                early = configured.server.memory().0;
            }
        }
        let late = configured.server.memory().0;
        assert!(late < early + (8 << 20), "{early} bytes after a quarter of the reloads, {late} after all");
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(requests.into_inner() > RELOADS);
    assert_eq!(configured.server.errors(), Vec::<String>::new());
}

#[test]
fn what_is_wrong_changes_nothing_and_is_told_in_one_line() {
    let site = Site::new();
    for name in ["1", "rules"] {
        directory(&site, name);
    }
    fs::write(site.outside().join("rules/_redirects"), "/a\n").unwrap();
    fs::write(site.outside().join("broken.wasm"), &host::component::BUILT_IN[..1000]).unwrap();
    fs::write(site.outside().join("trap.wasm"), says('x')).unwrap();
    let configured = Configured::start(site, "dir = '1'\ntimeout = 9\n", &[]);
    for (config, expected) in [
        ("dir = '1'\ntimeout = \n", "site.toml:3:11: "),
        ("dir = '1'\ntimout = 3\n", "there is no key `timout`; did you mean `timeout`?"),
        ("dir = 'none'\n", "cannot serve --dir "),
        ("guest = 'none.wasm'\n", "cannot read the guest `"),
        ("guest = 'broken.wasm'\n", "is truncated or damaged"),
        ("guest = 'trap.wasm'\nmax-memory = 0\n", "--max-memory takes a number above zero"),
        ("dir = 'rules'\nrules = true\n", "_redirects, line 1: "),
        ("dir = '1'\nhead-timeout = 3\n", "a timeout of clients can be changed by a restart only"),
        ("dir = '1'\nmax-instances = 3\nsocket-mode = 600\n", "socket-mode and others can be changed"),
        ("dir = '/usr/share'\n", "needs a restart, because of the lockdown"),
    ] {
        let line = configured.reload(config);
        assert!(
            line.starts_with("wasi-httpd: warning: nothing was reloaded, and the server goes on as it was: "),
            "{line}"
        );
        assert!(line.contains(expected), "{expected}: {line}");
        assert_eq!(configured.text("/a.txt"), "1");
    }
    assert_eq!(configured.reload("dir = '1'\ntimeout = 8\n"), RELOADED);
}

#[test]
fn what_changes_is_watched_on_request() {
    let site = Site::new();
    directory(&site, "1");
    directory(&site, "2");
    let guest = site.outside().join("guest.wasm");
    fs::write(&guest, says('x')).unwrap();
    let configured = Configured::start(site, "dir = '1'\n", &["--watch"]);
    write(&configured.site, "dir = '2'\n");
    eventually("the new directory is served", || configured.text("/a.txt") == "2");
    write(&configured.site, "dir = '1'\nguest = 'guest.wasm'\n");
    eventually("the component is served", || configured.text("/") == "x");
    replace(&guest, says('y'));
    eventually("the new component is served", || configured.text("/") == "y");
    replace(&guest, "nothing");
    configured.server.wait_for_error(|line| line.contains("nothing was reloaded"));
    assert_eq!(configured.text("/"), "y");
    replace(&guest, says('z'));
    eventually("the right component is served", || configured.text("/") == "z");
}

/// A component that sends this character, waits until its client has left, and would then go on.
fn begins(text: char) -> Vec<u8> {
    guests::handler_and(
        WAITING,
        &format!("(data (i32.const 4096) \"{text}\")"),
        "(local.set $stream (call $respond (local.get $out)))
         (call $say (local.get $stream) (i32.const 4096) (i32.const 1))
         (call $block (call $after (i64.const 3600000000000)))",
    )
}

#[test]
fn a_request_is_answered_by_what_was_there_when_it_came() {
    let site = Site::new();
    directory(&site, "1");
    let guest = site.outside().join("guest.wasm");
    fs::write(&guest, begins('0')).unwrap();
    let configured = Configured::start(site, "dir = '1'\nguest = 'guest.wasm'\n", &[]);
    // As many generations as there may be, each with a request that has not ended.
    let begin = |text: u8| {
        let mut client = configured.server.connect();
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(client.head().status, 200);
        assert_eq!(client.read(6), [b'1', b'\r', b'\n', text, b'\r', b'\n']);
        client
    };
    let mut clients = vec![begin(b'0')];
    for text in ['1', '2', '3'] {
        replace(&guest, begins(text));
        assert_eq!(configured.hang_up(), RELOADED);
        clients.push(begin(u8::try_from(text).unwrap()));
    }
    replace(&guest, says('4'));
    configured.server.signal("HUP");
    configured.server.wait_for_error(|line| line.contains("the next one waits until one of them has ended"));
    begin(b'3');
    // The one that answered first may go first or last.
    drop(clients.remove(1));
    eventually("the next one is there", || configured.outcomes().len() == 4);
    assert_eq!(configured.text("/"), "4");
}

#[test]
fn a_configuration_that_a_link_leads_to_is_found_anew() {
    let site = Site::new();
    directory(&site, "1");
    directory(&site, "2");
    for name in ["1", "2"] {
        let config = format!("addr = '127.0.0.1:0'\ndir = '../{name}'\n");
        fs::write(site.outside().join(name).join("site.toml"), config).unwrap();
    }
    let link = site.outside().join("current");
    symlink("1", &link).unwrap();
    let mut command = programs!().command();
    command.arg("--config").arg(link.join("site.toml"));
    let configured = Configured { server: Server::start(Runtime::Ours, command), site };
    assert_eq!(configured.text("/a.txt"), "1");
    fs::remove_file(&link).unwrap();
    symlink("2", &link).unwrap();
    assert_eq!(configured.hang_up(), RELOADED);
    assert_eq!(configured.text("/a.txt"), "2");
}

/// A release with new pages and the rules that guard them is never served without these.
#[test]
fn a_directory_with_rules_is_replaced_together_with_them() {
    let site = Site::new();
    for name in ["1", "2"] {
        directory(&site, name);
        fs::write(site.outside().join(name).join("_headers"), format!("/*\n  X-Rule: {name}\n")).unwrap();
    }
    let current = site.outside().join("current");
    let lead_to = |name: &str| {
        symlink(name, site.outside().join("new")).unwrap();
        fs::rename(site.outside().join("new"), &current).unwrap();
    };
    lead_to("1");
    let mut command = programs!().command();
    command.args(["--addr", "127.0.0.1:0", "--rules", "--dir"]).arg(&current);
    let server = Server::start(Runtime::Ours, command);
    for name in ["2", "1"] {
        lead_to(name);
        eventually("the other directory is served", || {
            let response = server.get("/a.txt");
            assert_eq!(response.header("x-rule"), Some(response.text()));
            response.text() == name
        });
    }
    fs::write(site.outside().join("2/_redirects"), "wrong").unwrap();
    lead_to("2");
    server.wait_for_error(|line| line.contains("rules stay as they are: _redirects, line 1"));
    assert_eq!(server.get("/a.txt").text(), "1");
}

#[test]
fn a_server_without_a_configuration_reloads_its_component() {
    let site = Site::new();
    let guest = site.outside().join("guest.wasm");
    fs::write(&guest, says('x')).unwrap();
    let directory = site.root().to_str().unwrap();
    let server = programs!().ours_with_guest(&guest, &["--dir", directory]);
    let configured = Configured { site, server };
    replace(&guest, says('y'));
    assert_eq!(configured.hang_up(), RELOADED);
    assert_eq!(configured.text("/"), "y");
}

#[test]
fn a_server_ends_with_its_terminal() {
    let (terminal, end) = terminal::open();
    let site = Site::new();
    let mut command = programs!().command();
    command.args(["--addr", "127.0.0.1:0", "--dir"]).arg(site.root()).stdin(Stdio::from(end));
    let process = Process::start(&mut command);
    drop(command);
    process.wait_for_error(|line| line.starts_with("Listening on "));
    process.signal("HUP");
    process.wait_for_error(|line| line == RELOADED);
    drop(terminal);
    process.signal("HUP");
    assert_eq!(process.wait().0.code(), Some(0));
}

#[test]
fn a_server_that_stops_reloads_nothing() {
    let site = Site::new();
    directory(&site, "1");
    fs::write(site.outside().join("guest.wasm"), begins('0')).unwrap();
    let configured = Configured::start(site, "dir = '1'\nguest = 'guest.wasm'\n", &["--drain-timeout", "1"]);
    let mut client = configured.server.connect();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.head().status, 200);
    let address = configured.server.address();
    configured.server.signal("TERM");
    eventually("no more connections are accepted", || std::net::TcpStream::connect(address).is_err());
    configured.server.signal("HUP");
    let (status, _, lines) = configured.server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(!lines.iter().any(|line| line.starts_with("Reloaded ")), "{lines:#?}");
}
