//! The walls around the process: what the kernel refuses a server that is locked down, and what is refused at the start.

use rustix::process::geteuid;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tests::guests::{self, GuestFile};
use tests::site::Site;
use tests::{Process, Runtime, Server, eventually, programs, walls};

/// The line of a server that has all of its walls, as far as all kernels say the same.
const LOCKED_DOWN: &str = "Locked down: Landlock (ABI ";

/// A site, and beside it what a server may not reach.
struct Trap {
    site: Site,
    directory: tempfile::TempDir,
    _tcp: TcpListener,
    _unix: UnixListener,
    _notify: UnixDatagram,
}

impl Trap {
    fn new() -> Self {
        let site = Site::new();
        site.file("a.txt", "a").file("old.txt", "old");
        // Beside the site: its parent directory is not what is served, and neither is a neighbour.
        let directory = tempfile::tempdir_in(site.outside()).unwrap();
        let path = |name: &str| directory.path().join(name);
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let unix = UnixListener::bind(path(walls::UNIX)).unwrap();
        let notify = UnixDatagram::bind(path(walls::NOTIFY)).unwrap();
        fs::create_dir(path(walls::LIST)).unwrap();
        fs::create_dir_all(path("cache/wasmtime")).unwrap();
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        for (name, content) in [
            (walls::READ, "secret".to_owned()),
            (walls::WRITE, text(&site.path("new.txt"))),
            (walls::REMOVE, text(&site.path("old.txt"))),
            (walls::CACHE, text(&path("cache/wasmtime/code"))),
            (walls::TCP, tcp.local_addr().unwrap().to_string()),
        ] {
            fs::write(path(name), content).unwrap();
        }
        Self { site, directory, _tcp: tcp, _unix: unix, _notify: notify }
    }

    /// Starts a server of the site that tries to get out, with a cache of its own.
    fn server(&self, options: &[&str]) -> Server {
        let mut command = self.command();
        command.args(options);
        Server::start(Runtime::Ours, command)
    }

    fn command(&self) -> Command {
        let mut command = programs!().command();
        command.env(walls::VARIABLE, self.directory.path());
        command.env("XDG_CACHE_HOME", self.directory.path().join("cache"));
        command.current_dir(self.site.root()).args(["--addr", "127.0.0.1:0"]);
        command
    }

    /// Expects that these attempts succeed, and that all others are refused.
    fn succeed(server: &Server, succeeding: &[&str]) {
        server.wait_for_error(|line| line.starts_with(&format!("{}notify: ", walls::LINE)));
        let lines = server.lines();
        let outcomes: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix(walls::LINE)).collect();
        let outcome = |attempt| if succeeding.contains(attempt) { "done" } else { "refused" };
        let expected: Vec<_> =
            walls::ATTEMPTS.iter().map(|attempt| format!("{attempt}: {}", outcome(attempt))).collect();
        assert_eq!(outcomes, expected);
    }
}

#[test]
fn a_server_reaches_nothing_but_its_site() {
    let trap = Trap::new();
    let server = trap.server(&["--dir", "."]);
    Trap::succeed(&server, &[]);
    assert!(trap.site.path("old.txt").exists() && !trap.site.path("new.txt").exists());
    assert_eq!(server.get("/a.txt").text(), "a");
    server.wait_for_error(|line| line.starts_with(LOCKED_DOWN));
}

#[test]
fn without_the_lockdown_each_attempt_succeeds() {
    let trap = Trap::new();
    let server = trap.server(&["--dir", ".", "--no-lockdown"]);
    Trap::succeed(&server, &walls::ATTEMPTS);
    assert_eq!(server.get("/a.txt").text(), "a");
    server.wait_for_error(|line| line == "Not locked down: --no-lockdown");
}

#[test]
fn a_granted_network_leaves_the_other_walls() {
    let trap = Trap::new();
    let tcp = fs::read_to_string(trap.directory.path().join(walls::TCP)).unwrap();
    let server = trap.server(&["--allow-tcp-connect", &tcp]);
    // A socket that is bound to a port of the kernel's choice is what connecting would do too.
    Trap::succeed(&server, &["tcp", "bind"]);
    let server = trap.server(&["--allow-tcp-connect", "127.0.0.1:9"]);
    Trap::succeed(&server, &["bind"]);
    // Looking up names takes UDP and services of the machine.
    let server = trap.server(&["--allow-host", "127.0.0.1:9"]);
    Trap::succeed(&server, &["udp", "unix", "notify"]);
}

#[test]
fn what_is_beside_the_access_log_is_neither_read_nor_truncated_nor_removed() {
    let trap = Trap::new();
    let path = |name: &str| trap.directory.path().join(name);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    // What is tried is in the directory of the log, apart from the last file.
    fs::write(path("old.txt"), "old").unwrap();
    fs::write(path(walls::WRITE), text(&path("new.txt"))).unwrap();
    fs::write(path(walls::REMOVE), text(&path("old.txt"))).unwrap();
    fs::write(path(walls::CACHE), text(&trap.site.path("new.txt"))).unwrap();
    let server = trap.server(&["--dir", ".", "--access-log", &text(&path("access.log"))]);
    Trap::succeed(&server, &[]);
    assert!(path("old.txt").exists());
    // The log itself can be opened again.
    fs::remove_file(path("access.log")).unwrap();
    server.signal("HUP");
    eventually("the log is there again", || path("access.log").exists());
}

#[test]
fn a_service_manager_can_be_told() {
    let trap = Trap::new();
    let mut command = trap.command();
    command.env("NOTIFY_SOCKET", trap.directory.path().join(walls::NOTIFY));
    Trap::succeed(&Server::start(Runtime::Ours, command), &["notify"]);
}

/// The values of a field in the status of each thread.
fn of_threads(process: u32, field: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let status = threads.filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("status")).ok());
    let value = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(str::trim);
        line.unwrap_or_else(|| panic!("no {field} in {status}")).to_owned()
    };
    status.map(value).collect()
}

fn threads_are_restricted(process: u32) {
    for (field, expected) in [
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("CapInh", "0000000000000000"),
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
    ] {
        let values = of_threads(process, field);
        assert!(values.iter().all(|value| value == expected), "{field}: {values:?}");
    }
    // The process that runs the tests may have filters of its own.
    let before: usize = of_threads(std::process::id(), "Seccomp_filters")[0].parse().unwrap();
    let filters = of_threads(process, "Seccomp_filters");
    assert!(filters.iter().all(|count| count.parse() == Ok(before + 2)), "{before} and {filters:?}");
}

#[test]
fn every_thread_is_restricted() {
    let trap = Trap::new();
    // With an empty cache the component is compiled, for which the runtime starts threads that remain.
    let guest = GuestFile::new(guests::HELLO);
    let server = trap.server(&[guest.path.to_str().unwrap()]);
    assert!(server.get("/").text().contains("Hello"), "{}", server.get("/").text());
    assert!(of_threads(server.id(), "Name").len() > 4);
    threads_are_restricted(server.id());
    let cached = || {
        let mut directories = vec![trap.directory.path().join("cache/wasmtime")];
        let mut files = 0;
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap().flatten() {
                if entry.file_type().unwrap().is_dir() { directories.push(entry.path()) } else { files += 1 }
            }
        }
        files
    };
    assert!(cached() > 0, "the component was not cached");
}

#[test]
fn a_command_is_restricted_too_and_says_nothing() {
    let guest = GuestFile::new(guests::TCP_SERVER);
    let options = ["--allow-tcp-listen", "127.0.0.1:0"];
    let process = Process::start(&mut programs!().run(&options, &guest.path, &["127.0.0.1:0"]));
    process.wait_for_output(|line| line.contains("isten"));
    eventually("its threads run", || of_threads(process.id(), "Name").len() > 2);
    threads_are_restricted(process.id());
    assert_eq!(process.errors(), Vec::<String>::new());
}

#[test]
fn a_kernel_without_landlock_is_said_and_serves() {
    const LACKING: &str = "Locked down: seccomp, no new privileges, no capabilities; lacking Landlock (the kernel does not \
                           have it)";
    let without_landlock = |ours: &Command| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_without-landlock"));
        command.arg(ours.get_program()).args(ours.get_args());
        for (name, value) in ours.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command
    };
    let site = Site::new();
    site.file("a.txt", "a");
    let mut ours = programs!().command();
    ours.args(["--addr", "127.0.0.1:0", "--dir"]).arg(site.root());
    let server = Server::start(Runtime::Ours, without_landlock(&ours));
    assert_eq!(server.get("/a.txt").text(), "a");
    server.wait_for_error(|line| line == LACKING);

    let guest = GuestFile::new(guests::TCP_CLIENT);
    let output = output(&mut without_landlock(&programs!().run(&[], &guest.path, &["hello", "no address"])));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.lines().any(|line| line == format!("wasi-httpd: warning: {LACKING}")), "{errors}");
}

#[test]
fn the_walls_are_said_before_requests_are_accepted() {
    let server = programs!().ours(&Site::new(), &[]);
    let lines = server.lines();
    let at = |start: &str| lines.iter().position(|line| line.starts_with(start)).unwrap();
    assert!(at(LOCKED_DOWN) < at("Listening on "), "{lines:?}");
}

#[test]
fn a_directory_without_a_name_cannot_be_replaced() {
    let site = Site::new();
    site.file("a.txt", "a");
    let mut command = programs!().command();
    command.current_dir(site.root()).args(["--addr", "127.0.0.1:0"]);
    let server = Server::start(Runtime::Ours, command);
    assert_eq!(server.get("/a.txt").text(), "a");
    fs::rename(site.root(), site.outside().join("away")).unwrap();
    site.directory("").file("a.txt", "another");
    eventually("the directory is gone", || server.get("/a.txt").status == 404);
    server.wait_for_error(|line| line.contains("--dir . is another directory now, which cannot be opened"));
}

#[test]
fn a_release_may_be_replaced_below_a_link() {
    let site = Site::new();
    for release in ["1", "2"] {
        let public = site.outside().join("releases").join(release).join("public");
        fs::create_dir_all(&public).unwrap();
        fs::write(public.join("a.txt"), release).unwrap();
    }
    let link = |release: &str| {
        let new = site.outside().join("new");
        std::os::unix::fs::symlink(site.outside().join("releases").join(release), &new).unwrap();
        fs::rename(&new, site.path("current")).unwrap();
    };
    link("1");
    let mut command = programs!().command();
    command.args(["--addr", "127.0.0.1:0", "--dir"]).arg(site.path("current/public"));
    let server = Server::start(Runtime::Ours, command);
    assert_eq!(server.get("/a.txt").text(), "1");
    link("2");
    eventually("the new release is served", || server.get("/a.txt").text() == "2");
}

#[test]
fn root_reads_what_other_users_could_read() {
    let site = Site::new();
    site.file("closed.txt", "closed").file("open.txt", "open").directory("closed");
    for name in ["closed.txt", "closed"] {
        fs::set_permissions(site.path(name), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let server = programs!().ours(&site, &[]);
    assert_eq!((server.get("/open.txt").text(), server.get("/closed.txt").status), ("open", 404));
    let mut command = programs!().command();
    command.args(["--addr", "127.0.0.1:0", "--dir"]).arg(site.path("closed"));
    let output = output(&mut command);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains("cannot read --dir") && stderr.contains("Permission denied"), "{stderr}");
}

#[test]
fn a_command_may_bind_the_low_port_that_it_is_granted() {
    // Below the port of any service; another one for each run of the tests.
    let address = format!("127.0.0.1:{}", 660 + std::process::id() % 320);
    let may_bind = TcpListener::bind(&address).is_ok();
    let guest = GuestFile::new(guests::TCP_SERVER);
    let options = ["--allow-tcp-listen", &address];
    let process = Process::start(&mut programs!().run(&options, &guest.path, &[&address]));
    if may_bind {
        process.wait_for_output(|line| line.starts_with(&format!("listening at {address}")));
        // Root keeps `CAP_NET_BIND_SERVICE`, which is number 10.
        let expected = if geteuid().is_root() { "0000000000000400" } else { "0000000000000000" };
        let capabilities = of_threads(process.id(), "CapEff");
        assert!(capabilities.iter().all(|set| set == expected), "{capabilities:?}");
    } else {
        let (status, _, errors) = process.wait();
        assert_eq!(status.code(), Some(1), "{errors:?}");
    }
}

fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn the_root_and_whole_home_directories_are_not_served() {
    let site = Site::new();
    let home = site.root().to_str().unwrap();
    let parent = site.outside().to_str().unwrap();
    for (directory, word) in [
        ("/", "every file of this machine"),
        (home, "a whole home directory"),
        (parent, "a whole home directory"),
    ] {
        for command in [["check"].as_slice(), &["--addr", "127.0.0.1:0"]] {
            let mut serve = programs!().command();
            serve.env("HOME", home).args(command).args(["--dir", directory]);
            let output = output(&mut serve);
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
            let start = format!("wasi-httpd: --dir {directory} would serve {word}");
            assert!(stderr.starts_with(&start) && stderr.contains("--allow-any-dir"), "{stderr}");
        }
    }
    let mut allowed = programs!().command();
    allowed.env("HOME", home).args(["check", "--allow-any-dir", "--dir", home]);
    assert_eq!(output(&mut allowed).status.code(), Some(0));
    site.directory("site");
    let mut inside = programs!().command();
    inside.env("HOME", home).args(["check", "--dir"]).arg(site.path("site"));
    assert_eq!(output(&mut inside).status.code(), Some(0));
}

#[test]
fn root_listens_on_loopback_only_unless_it_is_allowed() {
    let is_root = geteuid().is_root();
    let site = Site::new();
    let warns = |options: &[&str]| {
        let server = programs!().ours(&site, options);
        server.lines().iter().any(|line| line.starts_with("wasi-httpd: warning: this runs as root"))
    };
    assert_eq!(warns(&[]), is_root);
    assert!(!warns(&["--allow-root"]));
    let everywhere = ["--addr", "0.0.0.0:0"];
    assert!(!warns(&[everywhere[0], everywhere[1], "--allow-root"]));
    let guest = GuestFile::new(guests::TCP_SERVER);
    let mut serve = programs!().command();
    serve.args(everywhere).arg("--dir").arg(site.root());
    let run = programs!().run(&["--allow-tcp-listen", "0.0.0.0:0"], &guest.path, &["no address"]);
    for mut command in if is_root { vec![serve, run] } else { Vec::new() } {
        let output = output(&mut command);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
        assert!(
            stderr.starts_with("wasi-httpd: will not listen on ") && stderr.contains("0.0.0.0:"),
            "{stderr}"
        );
        assert!(stderr.contains("as root") && stderr.contains("--allow-root"), "{stderr}");
    }
}
