//! The streams of the file server for WASI 0.3: a file's stream that is handed over unread, and bodies that it copies.

use guest::config::BOUNDED_STREAMS;
use tests::site::{Site, noise};
use tests::{FileServer, Server, programs};

/// Each request gets an instance of its own, which a runtime may end once no task of the component is left.
const NO_REUSE: [&str; 2] = ["--max-instance-reuse-count", "1"];

/// More bytes than all buffers between a file and a client that does not read.
const LENGTH: usize = 64 << 20;

fn start(site: &Site) -> Server {
    programs!().stock_with(site, FileServer::V03, &NO_REUSE)
}

/// Begins to download a file, and waits until the client has a part of it.
fn download_slowly(server: &Server, content: &[u8]) {
    let mut client = server.connect();
    client.send("GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.head().status, 200);
    assert!(client.read(1 << 20) == content[..1 << 20]);
    // Other requests are answered while the instance waits for the client.
    assert_eq!(server.get("/small.txt").text(), "small");
    assert!(client.read(LENGTH - (1 << 20)) == content[1 << 20..], "cut");
}

#[test]
fn a_body_that_the_component_copies_is_sent_whole() {
    let site = Site::new();
    let content = noise(LENGTH);
    site.file("big.bin", &content).file("small.txt", "small");
    download_slowly(&start(&site), &content);
}

#[test]
fn a_stream_that_is_handed_over_unread_is_sent_whole() {
    let site = Site::new().with(BOUNDED_STREAMS, "on");
    let content = noise(LENGTH);
    site.file("big.bin", &content).file("small.txt", "small");
    let server = start(&site);
    download_slowly(&server, &content);
    // Up to the end of the file, the stream has the length of the range.
    let last = server.get_with("/big.bin", &[("Range", "bytes=-100000")]);
    assert!(last.status == 206 && last.complete && last.body == content[LENGTH - 100_000..]);
}

#[test]
fn downloads_take_little_memory() {
    let site = Site::new();
    let content = noise(LENGTH);
    site.file("big.bin", &content).file("small.txt", "small");
    let server = programs!().stock(&site, FileServer::V03);
    assert_eq!(server.get("/small.txt").text(), "small");
    let (before, _) = server.memory();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert!(server.get("/big.bin").body == content));
        }
    });
    let (_, peak) = server.memory();
    let grown = peak.saturating_sub(before);
    assert!(grown < LENGTH as u64, "{grown} bytes more for 16 downloads");
}
