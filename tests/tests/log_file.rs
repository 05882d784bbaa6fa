//! `--access-log`: to a file, which is opened again at SIGHUP, and what becomes of lines that cannot be written.

use rustix::fs::{Mode, mknodat};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use tests::site::Site;
use tests::{Server, eventually, programs};

fn site() -> Site {
    let site = Site::new();
    site.file("a.txt", "hello");
    site
}

/// A path for a log beside the site.
fn path(site: &Site, name: &str) -> PathBuf {
    let directory = site.outside().join("logs");
    fs::create_dir_all(&directory).unwrap();
    directory.join(name)
}

/// A server whose log has the targets of requests.
fn serve(site: &Site, log: &Path) -> Server {
    programs!().ours(site, &["--access-log", log.to_str().unwrap(), "--log-format", "{target}"])
}

fn get(server: &Server, target: &str) {
    assert_eq!(server.get(target).text(), "hello");
}

fn lines(log: &Path) -> Vec<String> {
    fs::read_to_string(log).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn wait_for_lines(log: &Path, expected: &[&str]) {
    eventually(&format!("{} has {expected:?}", log.display()), || lines(log) == expected);
}

/// What a start with this log says.
fn start(site: &Site, arguments: &[&str]) -> Output {
    let mut command = programs!().command();
    command.args(arguments).args(["--addr", "127.0.0.1:0", "--dir"]).arg(site.root()).output().unwrap()
}

#[test]
fn lines_are_appended_to_a_file() {
    let site = site();
    let log = path(&site, "access.log");
    for run in ["/a.txt?1", "/a.txt?2"] {
        let server = serve(&site, &log);
        get(&server, run);
        server.signal("TERM");
        let (status, output, _) = server.wait();
        assert_eq!((status.code(), output.len()), (Some(0), 0));
    }
    assert_eq!(lines(&log), ["/a.txt?1", "/a.txt?2"]);
    // Whatever the umask, others may not read it.
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o137, 0);
}

#[test]
fn a_file_that_was_moved_is_made_again_at_sighup() {
    let site = site();
    let (log, moved) = (path(&site, "access.log"), path(&site, "access.log.1"));
    let server = serve(&site, &log);
    server.wait_for_error(|line| line.starts_with("Locked down: Landlock"));
    get(&server, "/a.txt?1");
    fs::rename(&log, &moved).unwrap();
    // Until the signal, lines go on where the file has gone.
    get(&server, "/a.txt?2");
    wait_for_lines(&moved, &["/a.txt?1", "/a.txt?2"]);
    for round in 1..=3 {
        server.signal("HUP");
        eventually("the file is there again", || log.exists());
        let target = format!("/a.txt?after{round}");
        get(&server, &target);
        wait_for_lines(&log, &[&target]);
        fs::remove_file(&log).unwrap();
    }
    assert_eq!(lines(&moved).len(), 2);
}

#[test]
fn a_link_to_a_file_elsewhere_is_followed_again() {
    let site = site();
    let (link, target) = (path(&site, "access.log"), site.outside().join("elsewhere/access.log"));
    fs::create_dir(target.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let server = serve(&site, &link);
    fs::remove_file(&target).unwrap();
    server.signal("HUP");
    eventually("the file is there again", || target.exists());
    get(&server, "/a.txt");
    wait_for_lines(&target, &["/a.txt"]);
}

#[test]
fn a_file_that_cannot_be_opened_again_stays_open() {
    let site = site();
    let (log, moved) = (path(&site, "access.log"), path(&site, "access.log.1"));
    let server = serve(&site, &log);
    fs::rename(&log, &moved).unwrap();
    fs::create_dir(&log).unwrap();
    server.signal("HUP");
    server.wait_for_error(|line| {
        line.starts_with("wasi-httpd: warning: the access log stays in the file that is open: cannot open ")
    });
    get(&server, "/a.txt?1");
    wait_for_lines(&moved, &["/a.txt?1"]);
}

#[test]
fn a_device_that_is_full_loses_lines_and_no_requests() {
    let site = site();
    let server = serve(&site, Path::new("/dev/full"));
    for request in 0..100 {
        get(&server, &format!("/a.txt?{request}"));
    }
    let is_warning =
        |line: &str| line.contains("of the access log were dropped: cannot write to /dev/full: No space");
    server.wait_for_error(is_warning);
    server.signal("HUP");
    get(&server, "/a.txt?last");
    server.signal("TERM");
    let (status, _, errors) = server.wait();
    assert_eq!(status.code(), Some(0));
    // At most once a minute, and at the end. All are counted.
    let warnings: Vec<_> = errors.iter().filter(|line| is_warning(line)).collect();
    let count = |line: &&String| line.split(' ').nth(2).unwrap().parse::<u32>().unwrap();
    assert!(warnings.len() <= 2 && warnings.iter().map(count).sum::<u32>() == 101, "{warnings:#?}");
}

#[test]
fn lines_go_on_when_there_is_room_again() {
    let site = site();
    let log = path(&site, "access.log");
    let server = serve(&site, &log);
    get(&server, "/a.txt?first");
    wait_for_lines(&log, &["/a.txt?first"]);
    // Room for a part of the next line only. This stands for a disk that is full.
    let pid = Pid::from_raw(server.id().cast_signed());
    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    let written = fs::metadata(&log).unwrap().len();
    prlimit(pid, Resource::Fsize, Rlimit { current: Some(written + 4), maximum }).unwrap();
    get(&server, "/a.txt?second");
    server.wait_for_error(|line| line.contains("1 lines of the access log were dropped: cannot write to "));
    prlimit(pid, Resource::Fsize, Rlimit { current: maximum, maximum }).unwrap();
    get(&server, "/a.txt?third");
    wait_for_lines(&log, &["/a.txt?first", "/a.t", "/a.txt?third"]);
}

/// Makes a FIFO.
fn fifo(path: &Path) {
    mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

#[test]
fn a_fifo_does_not_hang_the_start() {
    let site = site();
    let log = path(&site, "fifo");
    fifo(&log);
    let output = start(&site, &["--access-log", log.to_str().unwrap()]);
    let expected = format!(
        "wasi-httpd: cannot open the access log {}: nothing reads it; start the reader of a FIFO first\n",
        log.display()
    );
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr)), (Some(1), expected.into()));

    let opened = log.clone();
    let reading = std::thread::spawn(move || BufReader::new(File::open(opened).unwrap()));
    // The start waits for nothing, so it fails until the other thread has opened its end.
    let reader = File::options().read(true).write(true).open(&log).unwrap();
    let mut lines = reading.join().unwrap().lines();
    let server = serve(&site, &log);
    get(&server, "/a.txt?1");
    assert_eq!(lines.next().unwrap().unwrap(), "/a.txt?1");
    // A FIFO that is not read holds up no request, nor does the signal replace it.
    server.signal("HUP");
    // In total, more than a FIFO holds.
    let target = format!("/a.txt?{}", "x".repeat(2_000));
    for _ in 0..100 {
        get(&server, &target);
    }
    drop((lines, reader));
    get(&server, "/a.txt?unread");
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn a_log_that_cannot_be_written_is_found_at_the_start_and_by_check() {
    let site = site();
    for log in [site.outside().join("nowhere/access.log"), site.outside().to_owned(), site.path("a.txt/log")]
    {
        let log = log.to_str().unwrap();
        let output = start(&site, &["--access-log", log]);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), errors.lines().count()), (Some(1), 1), "{errors}");
        assert!(errors.starts_with(&format!("wasi-httpd: cannot open the access log {log}: ")), "{errors}");
        let mut command = programs!().command();
        let check =
            command.arg("check").args(["--access-log", log, "--dir"]).arg(site.root()).output().unwrap();
        let faults = String::from_utf8(check.stderr).unwrap();
        assert_eq!((check.status.code(), faults.lines().count()), (Some(1), 1), "{faults}");
        assert!(faults.starts_with(&format!("wasi-httpd: cannot open the access log {log}: ")), "{faults}");
    }
    let log = path(&site, "access.log");
    let mut command = programs!().command();
    command.arg("check").arg("--access-log").arg(&log).arg("--dir").arg(site.root());
    assert_eq!(command.output().unwrap().status.code(), Some(0));
    assert!(!log.exists(), "a check leaves nothing behind");
}

#[test]
fn off_and_quiet_are_the_same_and_contradict_a_file() {
    let site = site();
    let server = programs!().ours(&site, &["--access-log", "off"]);
    get(&server, "/a.txt");
    server.signal("TERM");
    assert_eq!(server.wait().1, Vec::<String>::new());
    let output = start(&site, &["--quiet", "--access-log", "a.log"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        errors,
        "wasi-httpd: --quiet writes no access log, and --access-log a.log says where it goes; leave one of them out\n"
    );
}

#[test]
fn a_shared_directory_is_not_granted() {
    let site = site();
    let log = path(&site, "access.log");
    fs::set_permissions(log.parent().unwrap(), fs::Permissions::from_mode(0o1777)).unwrap();
    let server = serve(&site, &log);
    server.wait_for_error(|line| line.ends_with("put it in a directory of its own"));
    // The file itself can be opened again, and none can take its place.
    server.signal("HUP");
    get(&server, "/a.txt?1");
    wait_for_lines(&log, &["/a.txt?1"]);
    let moved = path(&site, "access.log.1");
    fs::rename(&log, &moved).unwrap();
    server.signal("HUP");
    server
        .wait_for_error(|line| line.contains("the access log stays in the file that is open: cannot open "));
    assert!(!log.exists());
    get(&server, "/a.txt?2");
    wait_for_lines(&moved, &["/a.txt?1", "/a.txt?2"]);
}

#[test]
fn a_log_in_what_is_served_is_a_warning() {
    let site = site();
    let server = serve(&site, &site.path("access.log"));
    server.wait_for_error(|line| {
        line.starts_with("wasi-httpd: warning: the access log ")
            && line.ends_with("which the guest may read and serve; put it elsewhere")
    });
    get(&server, "/a.txt");
    wait_for_lines(&site.path("access.log"), &["/a.txt"]);
}
