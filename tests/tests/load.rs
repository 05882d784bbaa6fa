//! Many requests at the same time: every answer is right, and no file, instance or memory is left behind.

use std::collections::HashMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread::ScopedJoinHandle;
use tests::guests::{GRANTS, GuestFile};
use tests::site::{Site, noise};
use tests::{Client, Server, eventually, on_each_runtime, programs, raise_file_limit};

/// How many clients download slowly at a time, unless `SLOW_CLIENTS` says something else.
const SLOW_CLIENTS: usize = 500;

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

/// The instances that work for a request, and those that wait for one.
fn instances(server: &Server) -> [u64; 2] {
    server.metrics([
        "wasi_httpd_instances{site=\"default\",state=\"in_use\"}",
        "wasi_httpd_instances{site=\"default\",state=\"idle\"}",
    ])
}

#[test]
fn a_download_holds_no_instance_that_ends_after_it_has_begun() {
    const LENGTH: usize = 32 << 20;
    let site = Site::new();
    let content = noise(LENGTH);
    site.file("big.bin", &content);
    let guest = GuestFile::new(GRANTS);
    for way in [&[][..], &["--reuse", "100"], &["--reuse-concurrent", "50"]] {
        // The instance ends when this has answered it.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let root = site.root().to_str().unwrap();
        let options = ["--dir", root, "--allow-tcp-connect", &address, "--admin", "127.0.0.1:0"];
        let server = programs!().ours_with_guest(&guest.path, &[&options, way].concat());
        let mut client = server.connect();
        client.send(format!("GET /file?{address},big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(client.head().status, 200);
        // All that the kernel takes is sent.
        assert!(client.read(1 << 20) == content[..1 << 20]);
        let (mut instance, _) = listener.accept().unwrap();
        assert_eq!(instances(&server)[0], 1, "with {way:?}");
        instance.write_all(b"go on").unwrap();
        drop(instance);
        eventually("no instance works", || instances(&server)[0] == 0);
        assert!(client.read(LENGTH - (1 << 20)) == content[1 << 20..], "with {way:?}");
        assert_eq!(server.errors(), Vec::<String>::new());
    }
}

#[test]
fn many_slow_downloads_of_the_guest_for_wasi_0_3_need_few_instances() {
    /// More than all buffers between the file and a client that does not read.
    const LENGTH: usize = 32 << 20;
    const PIECE: usize = 16 << 10;
    /// The kernel's memory for all connections is soon used up if it receives more for each client.
    const RECEIVED: usize = 8 << 10;
    /// Memory per client at most: its connection, and the task that waits for it.
    const MAX_BYTES: u64 = 64 << 10;
    raise_file_limit();
    let count = std::env::var("SLOW_CLIENTS").map_or(SLOW_CLIENTS, |text| text.parse().unwrap());
    let site = Site::new();
    let content = noise(LENGTH);
    site.file("big.bin", &content).file("a.txt", "a");
    for way in [&[][..], &["--reuse", "100"], &["--reuse-concurrent", "50"]] {
        let most = (count + 100).to_string();
        let limits = ["--max-instances", "8", "--max-connections", &most];
        let options = [&limits[..], &["--admin", "127.0.0.1:0"], way].concat();
        let server = programs!().ours_v03(&site, &options);
        assert_eq!(server.get("/a.txt").text(), "a");
        let (before, _) = server.memory();
        let (mut slow, most) = std::thread::scope(|scope| {
            let begin = |_| {
                let mut client = Client::connect_with_receive_buffer(server.address(), RECEIVED);
                client.send("GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
                assert_eq!(client.head().status, 200);
                client
            };
            let clients: Vec<_> = (0..4)
                .map(|at| scope.spawn(move || (at..count).step_by(4).map(begin).collect::<Vec<_>>()))
                .collect();
            let mut most = 0;
            while !clients.iter().all(ScopedJoinHandle::is_finished) {
                most = most.max(instances(&server).iter().sum());
            }
            let slow: Vec<_> = clients.into_iter().flat_map(|clients| clients.join().unwrap()).collect();
            (slow, most)
        });
        assert!(most <= 8, "{most} instances with {way:?}");
        eventually("no instance works", || instances(&server)[0] == 0);
        let in_flight = server.metric("wasi_httpd_requests_in_flight{site=\"default\"}");
        assert_eq!(in_flight, count as u64, "with {way:?}");
        for _ in 0..100 {
            assert_eq!(server.get("/a.txt").text(), "a");
        }
        for client in &mut slow {
            assert!(client.read(PIECE) == content[..PIECE]);
        }
        let (_, peak) = server.memory();
        let grown = peak.saturating_sub(before);
        println!("{count} downloads with {way:?}: at most {most} instances, {} KiB more", grown >> 10);
        assert!(grown < count as u64 * MAX_BYTES, "{grown} bytes more with {way:?}");
        // Some of them get the whole file.
        for client in slow.iter_mut().step_by(count.div_ceil(8)) {
            assert!(client.read(LENGTH - PIECE) == content[PIECE..]);
        }
        assert_eq!(server.errors(), Vec::<String>::new());
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

/// Bytes that the kernel holds for the clients of a server of IPv4, by their ports.
fn held(server: &Server) -> HashMap<u16, u64> {
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next().unwrap(), 16).unwrap();
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    // `sl local_address rem_address st tx_queue:rx_queue …`
    let ours = lines.filter(|fields| port(fields[1]) == server.address().port());
    let queue = |fields: &[&str]| u64::from_str_radix(fields[4].split(':').next().unwrap(), 16).unwrap();
    ours.map(|fields| (port(fields[2]), queue(&fields))).collect()
}

#[test]
fn the_kernel_holds_little_for_clients_that_do_not_read() {
    /// How many connections may have more, and from how many bytes on it is more: the limit, and what a client is sent that
    /// does not read it.
    const RAISED: usize = 16;
    const MORE: u64 = 1 << 20;
    let site = Site::new();
    site.file("large.bin", vec![0; 16 << 20]).file("small.bin", vec![0; 7 << 20]).file("a.txt", "a");
    let server = programs!().ours(&site, &[]);
    let begin = |target| {
        let mut client = server.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(client.head().status, 200);
        client
    };
    let port = |client: &Client| client.socket().local_addr().unwrap().port();
    let mut first: Vec<_> = (0..RAISED).map(|_| begin("/large.bin")).collect();
    eventually("the kernel has as much as it takes", || {
        let held = held(&server);
        first.iter().all(|client| held[&port(client)] > MORE)
    });
    let mut others = vec![begin("/large.bin"), begin("/small.bin")];
    eventually("something is held for the others", || {
        let held = held(&server);
        others.iter().all(|client| held[&port(client)] > 0)
    });
    for _ in 0..100 {
        assert_eq!(server.get("/a.txt").text(), "a");
    }
    let of_all = held(&server);
    for client in &others {
        assert!(of_all[&port(client)] < MORE, "{of_all:?}");
    }
    // All get the whole file.
    for client in first.iter_mut().chain(&mut others[..1]) {
        assert_eq!(client.read(16 << 20).len(), 16 << 20);
    }
    // Others may have more now.
    let next = begin("/large.bin");
    eventually("the kernel takes more again", || held(&server)[&port(&next)] > MORE);
    assert_eq!(server.errors(), Vec::<String>::new());
}
