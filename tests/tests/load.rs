//! Many requests at the same time: every answer is right, and no file, instance or memory is left behind.

use std::io::Read as _;
use tests::eventually;
use tests::site::{Site, noise};
use tests::{on_each_runtime, programs};

#[test]
fn ten_thousand_mixed_requests_over_64_connections_are_all_right() {
    const CONNECTIONS: usize = 64;
    const REQUESTS: usize = 10_000;
    let site = Site::new();
    let big = noise(300_000);
    site.file("a.txt", "a").file("big.bin", &big).file("dir/index.html", "dir").file("empty", "");
    on_each_runtime!(site, |server| {
        let counts: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..CONNECTIONS)
                .map(|connection| {
                    let (server, big) = (&server, &big);
                    scope.spawn(move || {
                        let mut client = server.connect();
                        let mut answered = 0;
                        for request in (connection..REQUESTS).step_by(CONNECTIONS) {
                            let (target, status, body): (_, _, &[u8]) = match request % 7 {
                                0 => ("/big.bin", 200, big),
                                1 => ("/dir/", 200, b"dir"),
                                2 => ("/dir", 308, b""),
                                3 => ("/missing", 404, b"404 Not Found: there is no such file here.\n"),
                                4 => ("/empty", 200, b""),
                                _ => ("/a.txt", 200, b"a"),
                            };
                            let response = client.request("GET", target, &[]);
                            assert_eq!(response.status, status, "{target}");
                            assert!(response.body == body, "{target}");
                            answered += 1;
                        }
                        answered
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(counts, REQUESTS);
        // The last byte may arrive before the instance that sent it has ended.
        let opened =
            || server.open_files().iter().filter(|file| file.to_string_lossy().ends_with("big.bin")).count();
        eventually("no file is left open", || opened() == 0);
    });
}

#[test]
fn with_few_instances_every_request_is_answered() {
    let site = Site::new();
    site.file("a.txt", "a");
    let server = programs!().ours(&site, &["--max-instances", "16"]);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let mut client = server.connect();
                for _ in 0..50 {
                    assert_eq!(client.request("GET", "/a.txt", &[]).text(), "a");
                }
            });
        }
    });
}

#[test]
fn clients_that_do_not_read_hold_no_instance() {
    const LENGTH: usize = 32 << 20;
    let site = Site::new();
    let content = noise(LENGTH);
    site.file("big.bin", &content).file("a.txt", "a");
    let options = ["--max-instances", "1"];
    for server in [programs!().ours(&site, &options), programs!().ours_v03(&site, &options)] {
        let mut slow: Vec<_> = (0..50)
            .map(|_| {
                let mut client = server.connect();
                client.send("GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
                assert_eq!(client.head().status, 200);
                client
            })
            .collect();
        for _ in 0..100 {
            assert_eq!(server.get("/a.txt").text(), "a");
        }
        // The slow clients still get the whole file.
        assert!(slow[0].read(LENGTH) == content);
        assert!(slow[49].read(LENGTH) == content);
        drop(slow);
        let opened =
            || server.open_files().iter().filter(|file| file.to_string_lossy().ends_with("big.bin")).count();
        eventually("the files are closed", || opened() == 0);
    }
}

#[test]
fn sixty_four_downloads_at_once_take_little_memory() {
    const LENGTH: usize = 100 << 20;
    let site = Site::new();
    site.file("100m.bin", noise(LENGTH)).file("a.txt", "a");
    let server = programs!().ours(&site, &[]);
    assert_eq!(server.get("/a.txt").status, 200);
    let (before, _) = server.memory();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let mut client = server.connect();
                client.send("GET /100m.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
                assert_eq!(client.head().status, 200);
                let length =
                    std::io::copy(&mut client.reader().take(u64::MAX), &mut std::io::sink()).unwrap();
                assert_eq!(length, LENGTH as u64);
            });
        }
    });
    let (_, peak) = server.memory();
    let grown = peak.saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more for 64 downloads");
}
