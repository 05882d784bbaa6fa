//! Interruptions: files that change, clients that disconnect, and directories that disappear while they are served.

use std::fs::{self, File};
use std::io::Write as _;
use std::time::Duration;
use tests::eventually;
use tests::site::{Site, noise};
use tests::{on_each_runtime, programs};

/// Waits until the server examines the path of its directory again, which it does once a millisecond at most.
fn let_path_expire() {
    std::thread::sleep(Duration::from_millis(2));
}

/// More bytes than all buffers between a file and a client that does not read.
const LENGTH: usize = 64 << 20;

#[test]
fn a_file_that_shrinks_ends_the_connection_and_is_never_padded() {
    let site = Site::new();
    let content = noise(LENGTH);
    site.file("small.txt", "small");
    on_each_runtime!(site, |server| {
        site.file("shrinking.bin", &content);
        let mut client = server.connect();
        client.send("GET /shrinking.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let head = client.head();
        assert_eq!(head.header("content-length"), Some(LENGTH.to_string().as_str()));
        let mut body = client.read(1 << 20);
        File::options().write(true).open(site.path("shrinking.bin")).unwrap().set_len(2 << 20).unwrap();
        body.extend(client.read(LENGTH));
        assert!(body.len() < LENGTH, "padded");
        assert!(body == content[..body.len()], "the body differs from the file");
        assert_eq!(server.get("/small.txt").text(), "small");
    });
}

#[test]
fn a_file_that_grows_is_sent_with_its_original_length() {
    let site = Site::new();
    let content = noise(LENGTH);
    on_each_runtime!(site, |server| {
        site.file("growing.bin", &content);
        let mut client = server.connect();
        client.send("GET /growing.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.head();
        let mut body = client.read(1 << 20);
        let mut file = File::options().append(true).open(site.path("growing.bin")).unwrap();
        file.write_all(&vec![0; 1 << 20]).unwrap();
        body.extend(client.read(LENGTH - (1 << 20)));
        assert_eq!(body.len(), LENGTH);
        assert_eq!(
            client.request("HEAD", "/growing.bin", &[]).status,
            200,
            "more bytes than the length were sent"
        );
    });
}

#[test]
fn a_file_that_is_replaced_is_sent_in_its_old_version() {
    let site = Site::new();
    let content = noise(LENGTH);
    on_each_runtime!(site, |server| {
        site.file("replaced.bin", &content);
        let mut client = server.connect();
        client.send("GET /replaced.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.head();
        site.file("new.bin", vec![0; LENGTH]);
        fs::rename(site.path("new.bin"), site.path("replaced.bin")).unwrap();
        let body = client.read(LENGTH);
        assert_eq!(body.len(), LENGTH, "cut short");
        assert!(body == content, "the body differs from the file that was opened");
    });
}

#[test]
fn a_client_that_leaves_a_download_frees_the_instance_and_the_file() {
    let site = Site::new();
    site.file("big.bin", noise(LENGTH)).file("small.txt", "small");
    // With one instance, the next request can only be answered once the guest of the download has ended.
    let server = programs!().ours(&site, &["--max-instances", "1"]);
    for _ in 0..20 {
        let mut client = server.connect();
        client.send("GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(client.head().status, 200);
        drop(client);
        assert_eq!(server.get("/small.txt").text(), "small");
    }
    let opened =
        || server.open_files().iter().filter(|file| file.to_string_lossy().ends_with("big.bin")).count();
    eventually("the files are closed", || opened() == 0);
}

#[test]
fn a_client_that_stops_reading_is_disconnected() {
    let site = Site::new();
    let content = noise(LENGTH);
    site.file("big.bin", &content);
    let server = programs!().ours(&site, &["--stall-timeout", "1"]);
    let mut client = server.connect();
    client.send("GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.head().status, 200);
    // The line is written once the connection has sent or given up the answer.
    server.wait_for_log(|line| line.contains("GET /big.bin HTTP/1.1\" 200 "));
    let body = client.read(LENGTH);
    assert!(body.len() < LENGTH && content.starts_with(&body));
    // A client that keeps reading gets the whole file.
    assert!(server.get("/big.bin").body == content);
}

#[test]
fn a_client_that_leaves_before_its_answer_leaves_nothing_behind() {
    let site = Site::new();
    site.file("small.txt", "small");
    let server = programs!().ours(&site, &["--max-instances", "2"]);
    for _ in 0..200 {
        let mut client = server.connect();
        client.send("GET /small.txt HTTP/1.1\r\nHost: localhost\r\n\r\n");
        drop(client);
    }
    // For a moment, the instances may still be busy with the clients that have left.
    eventually("the instances are free", || server.get("/small.txt").status == 200);
}

#[test]
fn a_subdirectory_may_disappear_and_come_back() {
    let site = Site::new();
    on_each_runtime!(site, |server| {
        for _ in 0..3 {
            site.file("dir/a.txt", "a");
            assert_eq!(server.get("/dir/a.txt").text(), "a");
            fs::remove_dir_all(site.path("dir")).unwrap();
            assert_eq!(server.get("/dir/a.txt").status, 404);
        }
    });
}

#[test]
fn the_root_may_disappear_and_come_back() {
    let site = Site::new();
    let server = programs!().ours(&site, &[]);
    for _ in 0..3 {
        site.file("a.txt", "a");
        assert_eq!(server.get("/a.txt").text(), "a");
        fs::remove_dir_all(site.root()).unwrap();
        let_path_expire();
        assert_eq!(server.get("/a.txt").status, 404);
        fs::write(site.root(), "a file in its place").unwrap();
        let_path_expire();
        assert_eq!(server.get("/a.txt").status, 404);
        fs::remove_file(site.root()).unwrap();
        fs::create_dir(site.root()).unwrap();
        let_path_expire();
    }
}

#[test]
fn a_directory_moved_to_the_place_of_the_root_is_served_at_once() {
    let site = Site::new();
    site.file("a.txt", "old");
    let server = programs!().ours(&site, &[]);
    assert_eq!(server.get("/a.txt").text(), "old");
    let new = site.outside().join("new");
    fs::create_dir(&new).unwrap();
    fs::write(new.join("a.txt"), "new").unwrap();
    fs::rename(site.root(), site.outside().join("old")).unwrap();
    fs::rename(&new, site.root()).unwrap();
    let_path_expire();
    assert_eq!(server.get("/a.txt").text(), "new");
    let directories = |server: &tests::Server| {
        server.open_files().iter().filter(|file| file.to_string_lossy().ends_with("/old")).count()
    };
    assert_eq!(directories(&server), 0, "the old directory is still open");
}

#[test]
fn a_root_that_is_moved_away_is_not_served_from_its_new_place() {
    let site = Site::new();
    site.file("a.txt", "a");
    let server = programs!().ours(&site, &[]);
    let away = site.outside().join("away");
    for _ in 0..3 {
        assert_eq!(server.get("/a.txt").text(), "a");
        fs::rename(site.root(), &away).unwrap();
        let_path_expire();
        assert_eq!(server.get("/a.txt").status, 404);
        fs::rename(&away, site.root()).unwrap();
        let_path_expire();
    }
}

#[test]
fn when_the_root_is_gone_the_next_directory_does_not_become_the_root() {
    let site = Site::new();
    site.file("a.txt", "a");
    let private = site.outside().join("private");
    fs::create_dir(&private).unwrap();
    fs::write(private.join("secret.txt"), "secret").unwrap();
    let private = format!("{}::/private", private.display());
    let server = programs!().ours(&site, &["--dir", &private]);
    let away = site.outside().join("away");
    for _ in 0..2 {
        assert_eq!(server.get("/a.txt").text(), "a");
        fs::rename(site.root(), &away).unwrap();
        let_path_expire();
        for target in ["/secret.txt", "/a.txt", "/"] {
            assert_eq!(server.get(target).status, 404, "{target}");
        }
        fs::write(site.root(), "a file in its place").unwrap();
        let_path_expire();
        assert_eq!(server.get("/secret.txt").status, 404);
        fs::remove_file(site.root()).unwrap();
        fs::rename(&away, site.root()).unwrap();
        let_path_expire();
    }
    assert_eq!(server.get("/a.txt").text(), "a");
    let root = site.root().display();
    server.wait_for_error(|line| line == format!("wasi-httpd: warning: --dir {root} is back"));
    server.wait_for_error(|line| line.starts_with(&format!("wasi-httpd: warning: --dir {root} is gone: ")));
}

#[test]
fn a_stalled_connection_leaves_nothing_in_the_kernel() {
    let site = Site::new();
    site.file("big.bin", noise(LENGTH));
    let server = programs!().ours(&site, &["--stall-timeout", "1"]);
    let mut client = server.connect();
    client.send("GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.head();
    let here = client.socket().local_addr().unwrap();
    assert_eq!(tests::sockets::state(server.address(), here), Some(tests::sockets::State::Established));
    server.wait_for_log(|line| line.contains("GET /big.bin"));
    // With an orderly close, the kernel would keep the socket until a client that does not read has taken some
    // megabytes.
    eventually("the socket is gone", || tests::sockets::state(server.address(), here).is_none());
}
