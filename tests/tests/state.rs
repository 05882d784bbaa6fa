//! What guests keep, by grant only: stores of keys and values, values of a configuration, and directories to write to.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tests::guests::{self, GuestFile};
use tests::process::{Process, eventually};
use tests::programs;
use tests::server::{Runtime, Server};

/// Imports of stores, and `$answer`, which answers one digit.
const STORES: &str = r#"
    (import "wasi:keyvalue/store@0.2.0-draft" "open" (func $open (param i32 i32 i32)))
    (import "wasi:keyvalue/store@0.2.0-draft" "[method]bucket.get" (func $get (param i32 i32 i32 i32)))
    (import "wasi:keyvalue/store@0.2.0-draft" "[method]bucket.set" (func $set-value (param i32 i32 i32 i32 i32 i32)))
    (import "wasi:keyvalue/store@0.2.0-draft" "[method]bucket.exists" (func $exists (param i32 i32 i32 i32)))
    (import "wasi:keyvalue/store@0.2.0-draft" "[method]bucket.delete" (func $delete (param i32 i32 i32 i32)))
    (import "wasi:keyvalue/store@0.2.0-draft" "[method]bucket.list-keys" (func $list (param i32 i32 i64 i32)))
    (import "wasi:keyvalue/store@0.2.0-draft" "[resource-drop]bucket" (func $close (param i32)))
    (import "wasi:keyvalue/atomics@0.2.0-draft" "increment" (func $increment (param i32 i32 i32 i64 i32)))
    (import "wasi:keyvalue/batch@0.2.0-draft" "get-many" (func $get-many (param i32 i32 i32 i32)))
    (import "wasi:config/store@0.2.0-rc.1" "get" (func $config (param i32 i32 i32)))
    (import "wasi:config/store@0.2.0-rc.1" "get-all" (func $configs (param i32)))
"#;

const DEFINITIONS: &str = r#"
    (data (i32.const 3072) "counts")
    (data (i32.const 3080) "n")
    (data (i32.const 3088) "value")
    (func $digit (param $stream i32) (param $digit i32)
        (i32.store8 (i32.const 3200) (i32.add (i32.const 48) (local.get $digit)))
        (call $say (local.get $stream) (i32.const 3200) (i32.const 1)))
"#;

fn keeping(body: &str) -> GuestFile {
    GuestFile::new(guests::handler_of(
        "keeping",
        STORES,
        DEFINITIONS,
        &format!(
            "(local.set $stream (call $respond (local.get $out))) {body} (call $complete (local.get $stream))"
        ),
    ))
}

/// Answers how often it was asked, by a counter in the store `counts`, or `e` and the number of an error.
fn counting() -> GuestFile {
    keeping(
        r"(call $open (i32.const 3072) (i32.const 6) (i32.const 80))
        (if (i32.load8_u (i32.const 80))
            (then
                (i32.store8 (i32.const 3200) (i32.const 101))
                (call $say (local.get $stream) (i32.const 3200) (i32.const 1))
                (call $digit (local.get $stream) (i32.load8_u offset=4 (i32.const 80))))
            (else
                (call $increment (i32.load offset=4 (i32.const 80)) (i32.const 3080) (i32.const 1) (i64.const 1) (i32.const 96))
                (if (i32.load8_u (i32.const 96)) (then unreachable))
                (call $digit (local.get $stream) (i32.load offset=8 (i32.const 96)))))",
    )
}

fn serve(guest: &GuestFile, options: &[&str]) -> Server {
    programs!().ours_with_guest(&guest.path, options)
}

#[test]
fn instances_share_a_store() {
    let guest = counting();
    let server = serve(&guest, &["--keyvalue", "counts=memory", "--keyvalue", "other=memory"]);
    for count in 1..=9 {
        assert_eq!(server.get("/").text(), count.to_string());
    }
    assert_eq!(server.errors(), Vec::<String>::new());
}

#[test]
fn a_store_that_is_not_granted_is_refused_and_told() {
    let guest = counting();
    for (options, error) in [(&[][..], "e1"), (&["--keyvalue", "other=memory"], "e0")] {
        let server = serve(&guest, options);
        for _ in 0..2 {
            assert_eq!(server.get("/").text(), error);
        }
        server.signal("TERM");
        let (_, _, errors) = server.wait();
        let said: Vec<_> = errors.iter().filter(|line| line.contains("may not open the store")).collect();
        let expected = "wasi-httpd: warning: the guest may not open the store `counts`; --keyvalue counts=memory gives it one";
        assert_eq!(said, [expected]);
        let ungranted =
            errors.iter().any(|line| line.starts_with("Not granted to ") && line.contains("wasi:keyvalue"));
        assert_eq!(ungranted, options.is_empty(), "{errors:?}");
    }
}

#[test]
fn a_store_outlives_reloads_and_one_in_a_file_restarts() {
    let guest = counting();
    let place = tempfile::tempdir().unwrap();
    let file = format!("counts=sqlite:{}", place.path().join("counts.sqlite").display());
    let server = serve(&guest, &["--keyvalue", "counts=memory"]);
    assert_eq!(server.get("/").text(), "1");
    server.signal("HUP");
    server.wait_for_error(|line| line.starts_with("Reloaded "));
    assert_eq!(server.get("/").text(), "2");
    drop(server);

    let server = serve(&guest, &["--keyvalue", &file]);
    assert_eq!(server.get("/").text(), "1");
    server.signal("HUP");
    server.wait_for_error(|line| line.starts_with("Reloaded "));
    assert_eq!(server.get("/").text(), "2");
    // Even one that is killed.
    drop(server);
    let server = serve(&guest, &["--keyvalue", &file]);
    assert_eq!(server.get("/").text(), "3");
}

#[test]
fn stores_of_sites_are_their_own() {
    let guest = counting();
    let place = tempfile::tempdir().unwrap();
    let configuration = place.path().join("sites.toml");
    let path = guest.path.display();
    std::fs::write(
        &configuration,
        format!(
            "guest = '{path}'\nkeyvalue = 'counts=memory'\n[[site]]\nname = 'a.test'\n[[site]]\nname = 'b.test'\n"
        ),
    )
    .unwrap();
    let mut command = programs!().command();
    command.args(["--addr", "127.0.0.1:0", "--config"]).arg(&configuration);
    let server = Server::start(Runtime::Ours, command);
    for count in ["1", "2"] {
        for host in ["a.test", "b.test"] {
            let mut client = server.connect();
            let answer = client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).response("GET");
            assert_eq!(answer.text(), count);
        }
    }
}

#[test]
fn values_come_back_as_they_were() {
    // Sets `n` to `value`, and answers what a batch finds there, whether there is one, and what is left after it was deleted.
    let guest = keeping(
        r"(call $open (i32.const 3072) (i32.const 6) (i32.const 80))
        (local.set $count (i32.load offset=4 (i32.const 80)))
        (call $set-value (local.get $count) (i32.const 3080) (i32.const 1) (i32.const 3088) (i32.const 5) (i32.const 96))
        (call $get (local.get $count) (i32.const 3080) (i32.const 1) (i32.const 96))
        (call $say (local.get $stream) (i32.load offset=8 (i32.const 96)) (i32.load offset=12 (i32.const 96)))
        (i32.store (i32.const 3300) (i32.const 3080)) (i32.store (i32.const 3304) (i32.const 1))
        (call $get-many (local.get $count) (i32.const 3300) (i32.const 1) (i32.const 96))
        (call $say (local.get $stream)
            (i32.load offset=12 (i32.load offset=4 (i32.const 96))) (i32.load offset=16 (i32.load offset=4 (i32.const 96))))
        (call $exists (local.get $count) (i32.const 3080) (i32.const 1) (i32.const 96))
        (call $digit (local.get $stream) (i32.load8_u offset=4 (i32.const 96)))
        (call $list (local.get $count) (i32.const 0) (i64.const 0) (i32.const 96))
        (call $digit (local.get $stream) (i32.load offset=12 (i32.const 96)))
        (call $delete (local.get $count) (i32.const 3080) (i32.const 1) (i32.const 96))
        (call $list (local.get $count) (i32.const 0) (i64.const 0) (i32.const 96))
        (call $digit (local.get $stream) (i32.load offset=12 (i32.const 96)))
        (call $close (local.get $count))",
    );
    let place = tempfile::tempdir().unwrap();
    let file = format!("counts=sqlite:{}", place.path().join("counts.sqlite").display());
    for store in ["counts=memory", &file] {
        let server = serve(&guest, &["--keyvalue", store]);
        assert_eq!(server.get("/").text(), "valuevalue110", "{store}");
    }
}

#[test]
fn values_of_the_configuration_are_read() {
    // Answers the value of `value`, and how many there are.
    let guest = keeping(
        r"(call $config (i32.const 3088) (i32.const 5) (i32.const 80))
        (if (i32.load8_u offset=4 (i32.const 80)) (then
            (call $say (local.get $stream) (i32.load offset=8 (i32.const 80)) (i32.load offset=12 (i32.const 80)))))
        (call $configs (i32.const 80))
        (call $digit (local.get $stream) (i32.load offset=8 (i32.const 80)))",
    );
    assert_eq!(serve(&guest, &[]).get("/").text(), "0");
    let server = serve(&guest, &["--config-var", "value=a=b", "--config-var", "other="]);
    assert_eq!(server.get("/").text(), "a=b2");
}

#[test]
fn a_store_is_not_served_and_not_made_where_it_cannot_be() {
    let guest = counting();
    let place = tempfile::tempdir().unwrap();
    let start = |file: &Path| {
        let mut command = programs!().command();
        command.args(["--addr", "127.0.0.1:0", "--dir"]).arg(place.path());
        command.args(["--keyvalue", &format!("counts=sqlite:{}", file.display())]).arg(&guest.path);
        let (status, _, errors) = Process::start(command.stdin(Stdio::null())).wait();
        assert_eq!(status.code(), Some(1), "{errors:?}");
        errors.last().unwrap().clone()
    };
    let inside = place.path().canonicalize().unwrap().join("counts.sqlite");
    let expected = format!(
        "wasi-httpd: --keyvalue counts: {} is in {}, which the guest may read and serve; put it elsewhere",
        inside.display(),
        place.path().display()
    );
    assert_eq!(start(&inside), expected);
    assert!(!inside.exists());
    let missing = start(Path::new("/nowhere/counts.sqlite"));
    assert!(
        missing.starts_with("wasi-httpd: --keyvalue counts=/nowhere/counts.sqlite: cannot be opened"),
        "{missing}"
    );
}

/// Imports and definitions for handlers that write: `$scratch` is the directory that the guest was given last, and `$create`
/// makes the file `f` there, which must not be there, and gives its descriptor, or minus one.
const WRITING: &str = r#"
    (import "wasi:filesystem/preopens@0.2.12" "get-directories" (func $directories (param i32)))
    (import "wasi:filesystem/types@0.2.12" "[method]descriptor.open-at"
        (func $open-at (param i32 i32 i32 i32 i32 i32 i32)))
    (import "wasi:filesystem/types@0.2.12" "[method]descriptor.write" (func $write-at (param i32 i32 i32 i64 i32)))
    (import "wasi:filesystem/types@0.2.12" "[method]descriptor.read" (func $read-at (param i32 i64 i64 i32)))
    (import "wasi:filesystem/types@0.2.12" "[method]descriptor.append-via-stream" (func $append (param i32 i32)))
    (import "wasi:filesystem/types@0.2.12" "[method]descriptor.set-size" (func $set-size (param i32 i64 i32)))
    (import "wasi:filesystem/types@0.2.12" "[method]descriptor.symlink-at"
        (func $symlink (param i32 i32 i32 i32 i32 i32)))
    (import "wasi:filesystem/types@0.2.12" "[method]descriptor.unlink-file-at" (func $unlink (param i32 i32 i32 i32)))
    (import "wasi:filesystem/types@0.2.12" "[resource-drop]descriptor" (func $drop (param i32)))
"#;

const WRITES: &str = r#"
    (data (i32.const 3072) "f")
    (data (i32.const 3080) "../f")
    (func $digit (param $stream i32) (param $digit i32)
        (i32.store8 (i32.const 3200) (i32.add (i32.const 48) (local.get $digit)))
        (call $say (local.get $stream) (i32.const 3200) (i32.const 1)))
    (func $scratch (result i32)
        (call $directories (i32.const 80))
        (i32.load (i32.add (i32.load (i32.const 80))
            (i32.mul (i32.const 12) (i32.sub (i32.load offset=4 (i32.const 80)) (i32.const 1))))))
    (func $create-at (param $path i32) (param $length i32) (result i32)
        (call $open-at (call $scratch) (i32.const 0) (local.get $path) (local.get $length)
            (i32.const 5) (i32.const 3) (i32.const 96))
        (if (result i32) (i32.load8_u (i32.const 96))
            (then (i32.const -1))
            (else (i32.load offset=4 (i32.const 96)))))
    (func $create (result i32) (call $create-at (i32.const 3072) (i32.const 1)))
"#;

fn writing(body: &str) -> GuestFile {
    GuestFile::new(guests::handler_and(WRITING, WRITES, body))
}

fn answering(body: &str) -> GuestFile {
    writing(&format!(
        "(local.set $stream (call $respond (local.get $out))) {body} (call $complete (local.get $stream))"
    ))
}

/// A server that keeps its scratch directories in a place of the test.
struct Scratched {
    server: Server,
    place: tempfile::TempDir,
}

impl Scratched {
    fn start(guest: &GuestFile, options: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut command = Self::command(place.path());
        command.args(options).arg(&guest.path);
        Self { server: Server::start(Runtime::Ours, command), place }
    }

    fn command(place: &Path) -> Command {
        let mut command = programs!().command();
        command.args(["--addr", "127.0.0.1:0", "--dir", "/usr/share/doc"]).env("TMPDIR", place);
        command
    }

    fn left(&self) -> Vec<PathBuf> {
        left(self.place.path())
    }
}

/// What is below the directories of processes.
fn left(place: &Path) -> Vec<PathBuf> {
    let entries =
        |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let of_user = entries(place.to_owned());
    let of_processes = of_user.flat_map(entries).collect::<Vec<_>>();
    of_processes.into_iter().flat_map(entries).collect()
}

/// Answers 1 if it could make a file that was not there.
fn creating() -> GuestFile {
    answering("(call $digit (local.get $stream) (i32.ne (call $create) (i32.const -1)))")
}

#[test]
fn each_request_writes_to_a_directory_of_its_own() {
    let guest = creating();
    let scratched = Scratched::start(&guest, &["--scratch", "1"]);
    for _ in 0..5 {
        assert_eq!(scratched.server.get("/").text(), "1");
    }
    eventually("nothing is left", || scratched.left().is_empty());
    assert_eq!(scratched.server.errors(), Vec::<String>::new());
}

#[test]
fn requests_of_a_site_share_a_directory_until_it_ends() {
    let guest = creating();
    let scratched = Scratched::start(&guest, &["--scratch", "1", "--scratch-per", "site"]);
    assert_eq!(scratched.server.get("/").text(), "1");
    assert_eq!(scratched.server.get("/").text(), "0");
    scratched.server.signal("HUP");
    scratched.server.wait_for_error(|line| line.starts_with("Reloaded "));
    assert_eq!(scratched.server.get("/").text(), "0");
    assert_eq!(scratched.left().len(), 1);
    let Scratched { server, place } = scratched;
    server.signal("TERM");
    server.wait();
    assert_eq!(left(place.path()), Vec::<PathBuf>::new());
}

#[test]
fn nothing_can_be_written_without_the_grant_or_elsewhere() {
    assert_eq!(programs!().ours_with_guest(&creating().path, &[]).get("/").text(), "0");
    // Neither beside the directory nor by a link.
    let guest = answering(
        "(call $digit (local.get $stream) (i32.ne (call $create-at (i32.const 3080) (i32.const 4)) (i32.const -1)))
         (call $symlink (call $scratch) (i32.const 3080) (i32.const 4) (i32.const 3072) (i32.const 1) (i32.const 96))
         (call $digit (local.get $stream) (i32.eqz (i32.load8_u (i32.const 96))))",
    );
    assert_eq!(Scratched::start(&guest, &["--scratch", "1"]).server.get("/").text(), "00");
}

#[test]
fn a_directory_holds_no_more_than_its_limit() {
    // Writes pieces of 32 KiB until one fails, and answers their number, once by each way to write. What was deleted is free again
    // when it is closed.
    let digits = "(call $digit (local.get $stream) (i32.div_u (local.get $count) (i32.const 10)))
        (call $digit (local.get $stream) (i32.rem_u (local.get $count) (i32.const 10)))";
    let fill = format!(
        "(local.set $file (call $create))
        (local.set $count (i32.const 0))
        (block $full (loop $more
            (call $write-at (local.get $file) (i32.const 32768) (i32.const 32768)
                (i64.extend_i32_u (i32.mul (local.get $count) (i32.const 32768))) (i32.const 96))
            (br_if $full (i32.load8_u (i32.const 96)))
            (local.set $count (i32.add (local.get $count) (i32.const 1)))
            (br $more)))
        {digits}"
    );
    let guest = GuestFile::new(guests::handler_and(
        WRITING,
        WRITES,
        &format!(
            "(local $file i32)
            (local.set $stream (call $respond (local.get $out)))
            {fill}
            (call $unlink (call $scratch) (i32.const 3072) (i32.const 1) (i32.const 96))
            (call $set-size (call $create) (i64.const 1000000) (i32.const 96))
            (call $digit (local.get $stream) (i32.eqz (i32.load8_u (i32.const 96))))
            (call $unlink (call $scratch) (i32.const 3072) (i32.const 1) (i32.const 96))
            (call $drop (local.get $file))
            {fill}
            (call $complete (local.get $stream))"
        ),
    ));
    let scratched = Scratched::start(&guest, &["--scratch", "1"]);
    for _ in 0..2 {
        let answer = scratched.server.get("/").text().to_owned();
        let (first, rest) = answer.split_at(2);
        let (deleted, second) = rest.split_at(1);
        let pieces = first.parse::<u32>().unwrap();
        assert!((24..32).contains(&pieces), "{answer}");
        assert_eq!((deleted, second), ("0", first), "{answer}");
    }
}

#[test]
fn a_trap_leaves_nothing() {
    let guest = writing("(drop (call $create)) unreachable");
    let scratched = Scratched::start(&guest, &["--scratch", "1"]);
    assert_eq!(scratched.server.get("/").status, 500);
    eventually("nothing is left", || scratched.left().is_empty());
}

#[test]
fn what_a_killed_server_leaves_goes_with_the_next_start() {
    let guest = creating();
    let Scratched { server, place } = Scratched::start(&guest, &["--scratch", "1", "--scratch-per", "site"]);
    assert_eq!(server.get("/").text(), "1");
    drop(server);
    assert_eq!(left(place.path()).len(), 1);
    let mut command = Scratched::command(place.path());
    command.args(["--scratch", "1"]).arg(&guest.path);
    let server = Server::start(Runtime::Ours, command);
    assert_eq!(left(place.path()), Vec::<PathBuf>::new());
    assert_eq!(server.get("/").text(), "1");
}

#[test]
fn a_directory_that_is_served_is_not_written_to() {
    let guest = creating();
    let place = tempfile::tempdir().unwrap();
    let mut command = programs!().command();
    command.args(["--addr", "127.0.0.1:0", "--scratch", "1", "--dir"]).arg(place.path()).arg(&guest.path);
    command.env("TMPDIR", place.path());
    let (status, _, errors) = Process::start(command.stdin(Stdio::null())).wait();
    assert_eq!(status.code(), Some(1));
    let last = errors.last().unwrap();
    assert!(last.contains("which the guest may read and serve; set TMPDIR to another place"), "{last}");
}
