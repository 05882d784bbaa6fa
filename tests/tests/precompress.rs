//! `wasi-httpd precompress`: which variants it writes, that the server sends them, and what it leaves behind when it cannot
//! finish.

use rustix::fs::{Timespec, Timestamps, futimens};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tests::coding::{CODINGS, decoded, text};
use tests::site::noise;
use tests::{Process, Site, eventually, programs};

/// A user without privileges.
const NOBODY: u32 = 65_534;

/// The file that notes what was written.
const RECORD: &str = ".wasi-httpd-precompress";

fn precompress(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = programs!().command();
    command.arg("precompress").arg(directory).args(arguments).stdin(Stdio::null());
    command
}

/// The lines on standard output of a run that succeeds and says nothing on standard error.
fn lines(directory: &Path, arguments: &[&str]) -> Vec<String> {
    let output = precompress(directory, arguments).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The one line on standard error of a run that fails.
fn failure(output: &Output, status: i32) -> String {
    let message = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(message.lines().count(), 1, "{message}");
    assert_eq!(output.status.code(), Some(status), "{message}");
    message
}

/// The names of everything below a directory, each with its length.
fn names(directory: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        for entry in path.read_dir().unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                left.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
                found.insert(name, metadata.len());
            }
        }
    }
    found
}

fn is_temporary(name: &str) -> bool {
    name.rsplit('/').next().unwrap().starts_with(".wasi-httpd-precompress.")
}

#[test]
fn variants_are_written_that_the_server_sends() {
    let site = Site::new();
    let (script, page) = (text(100_000, 1), text(5_000, 2));
    site.file("assets/app.js", &script).file("index.html", &page).file(".well-known/a.txt", &page);
    // What has no variants: too small, compressed by its format, not to be compressed, hidden, of the rules, outside.
    site.file("small.css", text(1_023, 3)).file("photo.jpg", text(5_000, 4)).file("noise.bin", noise(5_000));
    site.file(".git/config", text(5_000, 5)).file("_headers", format!("/*\n  X-A: {}\n", "a".repeat(2_000)));
    fs::write(site.outside().join("secret.txt"), text(5_000, 6)).unwrap();
    symlink("../secret.txt", site.path("out.txt")).unwrap();
    symlink("../../www", site.path("assets/up")).unwrap();
    symlink("assets", site.path("again")).unwrap();
    symlink("nowhere", site.path("dangling.txt")).unwrap();
    symlink("assets/app.js", site.path("link.js")).unwrap();
    assert!(Command::new("mkfifo").arg(site.path("fifo.js")).status().unwrap().success());
    fs::set_permissions(site.path("index.html"), fs::Permissions::from_mode(0o640)).unwrap();
    let before = names(site.root());

    let lines = lines(site.root(), &[]);
    assert_eq!(lines[0], "Compressed 4 files of 210000 bytes.");
    assert_eq!(
        lines.last().unwrap(),
        "3 variants would not be 5 % smaller than their files, and were not written."
    );
    let after = names(site.root());
    let new: Vec<_> = after.keys().filter(|name| !before.contains_key(*name)).map(String::as_str).collect();
    let mut expected = vec![RECORD.to_owned()];
    for file in [".well-known/a.txt", "assets/app.js", "index.html", "link.js"] {
        expected.extend(CODINGS.map(|(_, suffix)| format!("{file}{suffix}")));
    }
    expected.sort();
    assert_eq!(new, expected);
    for (coding, suffix) in CODINGS {
        let of_coding = |name: &&String| name.ends_with(suffix);
        let bytes: u64 = after.iter().filter(|(name, _)| of_coding(name)).map(|(_, length)| length).sum();
        assert!(lines.contains(&format!("4 variants in {coding} have {bytes} bytes.")), "{lines:?}");
    }

    let server = programs!().ours(&site, &[]);
    for (target, path, content) in [
        ("/assets/app.js", "assets/app.js", &script),
        ("/", "index.html", &page),
        ("/link.js", "link.js", &script),
    ] {
        let source = fs::metadata(site.path(path)).unwrap();
        for (coding, suffix) in CODINGS {
            let variant = site.path(&format!("{path}{suffix}"));
            let bytes = fs::read(&variant).unwrap();
            let metadata = fs::metadata(&variant).unwrap();
            assert_eq!(decoded(coding, &bytes), content.as_bytes(), "{path}{suffix}");
            assert_eq!(metadata.modified().unwrap(), source.modified().unwrap(), "{path}{suffix}");
            assert_eq!((metadata.mode(), metadata.uid()), (source.mode(), source.uid()), "{path}{suffix}");
            let answer = server.get_with(target, &[("Accept-Encoding", coding)]);
            assert_eq!((answer.status, answer.header("content-encoding")), (200, Some(coding)));
            assert_eq!(answer.body, bytes, "{target} in {coding}");
        }
    }
}

#[test]
fn a_second_run_writes_only_what_has_changed() {
    let site = Site::new();
    site.file("a.js", text(9_000, 1)).file("b.js", text(9_000, 2)).file("c.js", text(9_000, 3));
    lines(site.root(), &[]);
    let before = names(site.root());
    assert_eq!(lines(site.root(), &[]), ["There was nothing to compress.", "9 variants were up to date."]);

    // One has other content and a later time, and one other content of the same length at the same time.
    let (later, same) = (text(8_000, 4), text(9_000, 5));
    fs::write(site.path("a.js"), &later).unwrap();
    let modified = fs::metadata(site.path("b.js")).unwrap().modified().unwrap();
    site.wait_for_later_changes("b.js.gz");
    fs::write(site.path("b.js"), &same).unwrap();
    File::options().write(true).open(site.path("b.js")).unwrap().set_modified(modified).unwrap();
    let lines = lines(site.root(), &[]);
    assert_eq!(
        (&*lines[0], &*lines[4]),
        ("Compressed 2 files of 17000 bytes.", "3 variants were up to date.")
    );
    for (coding, suffix) in CODINGS {
        for (name, content) in [("a.js", &later), ("b.js", &same)] {
            let bytes = fs::read(site.path(&format!("{name}{suffix}"))).unwrap();
            assert_eq!(decoded(coding, &bytes), content.as_bytes(), "{name}{suffix}");
        }
    }
    assert_eq!(names(site.root()).keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
}

#[test]
fn what_no_longer_shrinks_has_no_variant() {
    let site = Site::new();
    site.file("a.bin", text(9_000, 1)).file("b.txt", text(9_000, 2));
    lines(site.root(), &[]);
    fs::write(site.path("a.bin"), noise(9_000)).unwrap();
    fs::write(site.path("b.txt"), "short").unwrap();
    lines(site.root(), &[]);
    assert_eq!(names(site.root()).into_keys().collect::<Vec<_>>(), ["a.bin", "b.txt"]);
}

#[test]
fn variants_of_files_that_are_gone_are_removed_only_with_a_flag_and_only_if_they_were_written_here() {
    let site = Site::new();
    site.file("a.js", text(9_000, 1)).file("d/b.js", text(9_000, 2)).file("kept.js", text(9_000, 3));
    lines(site.root(), &["--coding", "gzip", "--coding", "br"]);
    fs::remove_file(site.path("a.js")).unwrap();
    fs::remove_file(site.path("d/b.js")).unwrap();
    // A download that was never a variant, and one that has taken a variant's place.
    site.file("data.csv.gz", "somebody's");
    fs::write(site.path("d/b.js.br"), "somebody's").unwrap();
    assert_eq!(
        lines(site.root(), &[])[2..],
        ["2 variants were up to date.", "3 variants are of files that are gone; --remove removes them."]
    );
    assert!(site.path("a.js.gz").exists());
    assert_eq!(
        lines(site.root(), &["--remove"]),
        [
            "There was nothing to compress.",
            "3 variants were up to date.",
            "3 variants of files that are gone were removed."
        ]
    );
    let left = names(site.root()).into_keys().collect::<Vec<_>>();
    let kept = ["kept.js", "kept.js.br", "kept.js.gz", "kept.js.zst"];
    assert_eq!(left, [&[RECORD, "d/b.js.br", "data.csv.gz"], &kept[..]].concat());
}

#[test]
fn flags_choose_codings_sizes_and_effort() {
    let site = Site::new();
    site.file("a.js", text(50_000, 1)).file("b.js", text(600, 2));
    lines(site.root(), &["--coding", "gzip", "--min-size", "500", "--jobs", "1"]);
    let best = names(site.root());
    assert_eq!(best.keys().collect::<Vec<_>>(), [RECORD, "a.js", "a.js.gz", "b.js", "b.js.gz"]);
    fs::remove_file(site.path("a.js.gz")).unwrap();
    lines(site.root(), &["--coding", "gzip", "--effort", "fast"]);
    let fast = names(site.root());
    assert!(fast["a.js.gz"] > best["a.js.gz"], "{fast:?} {best:?}");

    for (arguments, words) in [
        (&["--coding", "deflate"][..], "br, zstd, gzip"),
        (&["--jobs", "0"], "--jobs"),
        (&["--min-size", "-1"], "--min-size"),
    ] {
        let message = failure(&precompress(site.root(), arguments).output().unwrap(), 2);
        assert!(message.contains(words), "{message}");
    }
    let message = failure(&precompress(&site.path("nothing"), &[]).output().unwrap(), 1);
    assert!(message.contains("cannot open ") && message.contains("nothing: No such file"), "{message}");
    let message = failure(&precompress(&site.path("a.js"), &[]).output().unwrap(), 1);
    assert!(message.contains("a.js is not a directory"), "{message}");
}

/// As root, the command runs as another user: root may write everywhere.
fn unprivileged(site: &Site, mut command: Command) -> Command {
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        let copy = site.outside().join("wasi-httpd");
        assert!(Command::new("cp").arg(command.get_program()).arg(&copy).status().unwrap().success());
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        command = Command::new(copy);
        command.args(arguments).uid(NOBODY).gid(NOBODY);
    }
    command
}

#[test]
fn a_directory_that_cannot_be_written_is_one_line() {
    let site = Site::new();
    for name in ["a.js", "b.js", "c.js"] {
        site.file(name, text(9_000, 1));
    }
    fs::set_permissions(site.root(), fs::Permissions::from_mode(0o555)).unwrap();
    let message = failure(&unprivileged(&site, precompress(site.root(), &[])).output().unwrap(), 1);
    fs::set_permissions(site.root(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(
        message.starts_with("wasi-httpd: cannot write ") && message.contains("Permission denied"),
        "{message}"
    );
    assert!(message.contains("; 0 variants were written before"), "{message}");
    assert_eq!(names(site.root()).len(), 3);
}

#[test]
fn what_cannot_be_read_is_a_line_and_the_rest_is_written() {
    let site = Site::new();
    site.file("closed.js", text(9_000, 1))
        .file("closed/a.js", text(9_000, 1))
        .file("open/b.js", text(9_000, 2));
    for name in ["closed.js", "closed"] {
        fs::set_permissions(site.path(name), fs::Permissions::from_mode(0o000)).unwrap();
    }
    for name in ["", "open"] {
        fs::set_permissions(site.path(name), fs::Permissions::from_mode(0o777)).unwrap();
    }
    let output = unprivileged(&site, precompress(site.root(), &[])).output().unwrap();
    fs::set_permissions(site.path("closed"), fs::Permissions::from_mode(0o755)).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    let mut errors: Vec<_> = errors.lines().collect();
    errors.sort_unstable();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(
        errors[0].starts_with("wasi-httpd: warning: cannot list ")
            && errors[0].contains("closed: Permission denied")
    );
    assert!(
        errors[1].starts_with("wasi-httpd: warning: cannot read ")
            && errors[1].contains("closed.js: Permission")
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(site.path("open/b.js.br").exists());
}

#[test]
fn a_disk_that_is_full_leaves_nothing_half_written() {
    let site = Site::new();
    let content = text(300_000, 1);
    site.file("a.js", &content).file("b.js", &content).file("c.js", text(2_000, 2));
    // A file of more than 4 blocks of 512 bytes cannot be written. That is reported like a full disk.
    let program = precompress(site.root(), &[]).get_program().to_owned();
    let mut command = Command::new("bash");
    command.args(["-c", r#"ulimit -f 4; exec "$0" precompress "$1""#]).arg(program).arg(site.root());
    let message = failure(&command.output().unwrap(), 1);
    assert!(
        message.starts_with("wasi-httpd: cannot write ") && message.contains("File too large"),
        "{message}"
    );
    for name in names(site.root()).keys() {
        assert!(!is_temporary(name), "{name}");
        assert!(
            name == RECORD
                || !name.starts_with(['a', 'b'])
                || Path::new(name).extension().is_some_and(|extension| extension == "js"),
            "{name}"
        );
    }
    lines(site.root(), &[]);
    assert_eq!(decoded("br", &fs::read(site.path("a.js.br")).unwrap()), content.as_bytes());
}

/// A site that takes long to compress, and a run that has begun with it.
fn begun() -> (Site, Process) {
    let site = Site::new();
    site.file("long.js", text(20_000_000, 1)).file("longer.js", text(20_000_000, 2));
    let process = Process::start(&mut precompress(site.root(), &[]));
    eventually("it has begun to write", || names(site.root()).keys().any(|name| is_temporary(name)));
    (site, process)
}

#[test]
fn a_run_that_is_interrupted_leaves_nothing_half_written() {
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let (site, process) = begun();
        process.signal(signal);
        let (exit, output, errors) = process.wait();
        assert_eq!((exit.code(), output.len(), errors.len()), (Some(status), 0, 1), "{output:?} {errors:?}");
        assert!(errors[0].starts_with("wasi-httpd: stopped by a signal: "), "{errors:?}");
        let left = names(site.root());
        assert!(left.keys().all(|name| !is_temporary(name)), "{left:?}");
        for (coding, suffix) in CODINGS {
            for name in ["long.js", "longer.js"] {
                if let Ok(bytes) = fs::read(site.path(&format!("{name}{suffix}"))) {
                    assert_eq!(decoded(coding, &bytes), fs::read(site.path(name)).unwrap());
                }
            }
        }
    }
}

#[test]
fn what_a_killed_run_has_left_is_removed_by_the_next_which_waits_for_no_other() {
    let (site, process) = begun();
    let message = failure(&precompress(site.root(), &[]).output().unwrap(), 1);
    assert!(message.contains("another `wasi-httpd precompress` works in "), "{message}");
    process.signal("KILL");
    process.wait();
    assert!(names(site.root()).keys().any(|name| is_temporary(name)));
    // So many bytes that no file of this site has them.
    lines(site.root(), &["--min-size", "100000000"]);
    let left = names(site.root());
    assert!(left.keys().all(|name| !is_temporary(name)), "{left:?}");
}

#[test]
fn a_file_that_grows_while_it_is_compressed_is_left_for_the_next_run() {
    let site = Site::new();
    site.file("long.js", text(20_000_000, 1));
    let process = Process::start(&mut precompress(site.root(), &["--coding", "gzip"]));
    eventually("it has begun to write", || names(site.root()).keys().any(|name| is_temporary(name)));
    let file = File::options().append(true).open(site.path("long.js")).unwrap();
    let time = Timespec { tv_sec: 1, tv_nsec: 0 };
    futimens(&file, &Timestamps { last_access: time, last_modification: time }).unwrap();
    let (exit, _, errors) = process.wait();
    assert_eq!((exit.code(), errors.len()), (Some(1), 1), "{errors:?}");
    assert!(errors[0].ends_with("long.js has changed while it was compressed; run this again"), "{errors:?}");
    assert_eq!(names(site.root()).into_keys().collect::<Vec<_>>(), ["long.js"]);
}

#[test]
fn a_terminal_shows_how_far_it_is() {
    let site = Site::new();
    site.file("long.js", text(3_000_000, 1));
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let end = File::options().read(true).write(true).open(name).unwrap();
    let mut child = {
        let mut command = precompress(site.root(), &["--coding", "br"]);
        command.stdout(Stdio::piped()).stderr(end).spawn().unwrap()
    };
    let mut shown = Vec::new();
    // Reading fails once the other end is closed.
    let _ = File::from(terminal).read_to_end(&mut shown);
    assert!(child.wait().unwrap().success());
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.starts_with("\r[") && shown.contains(" %, 0 of 1 variants\x1b[K"), "{shown:?}");
    assert!(shown.ends_with("\r\x1b[K"), "{shown:?}");
}
