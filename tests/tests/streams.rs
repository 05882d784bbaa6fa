//! The streams of the file server for WASI 0.3: a file's stream that is handed over unread, and bodies that it copies. Both outlast
//! every timeout, as long as the client reads.

use guest::config::BOUNDED_STREAMS;
use tests::site::{Site, noise};
use tests::{FileServer, Server, programs};

/// Instances that `wasmtime serve` may end once no task of the component is left: at once, because each request gets one of its
/// own, or as soon as they are idle.
const SHORT_LIVED: [[&str; 2]; 2] = [["--max-instance-reuse-count", "1"], ["--idle-instance-timeout", "1ms"]];

/// More bytes than all buffers between a file and a client that does not read.
const LENGTH: usize = 64 << 20;

fn start(site: &Site) -> impl Iterator<Item = Server> {
    SHORT_LIVED.iter().map(|options| programs!().stock_with(site, FileServer::V03, options))
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
    for server in start(&site) {
        download_slowly(&server, &content);
    }
}

#[test]
fn a_stream_that_is_handed_over_unread_is_sent_whole() {
    let site = Site::new().with(BOUNDED_STREAMS, "on");
    let content = noise(LENGTH);
    site.file("big.bin", &content).file("small.txt", "small");
    for server in start(&site) {
        download_slowly(&server, &content);
        // Up to the end of the file, the stream has the length of the range.
        let last = server.get_with("/big.bin", &[("Range", "bytes=-100000")]);
        assert!(last.status == 206 && last.complete && last.body == content[LENGTH - 100_000..]);
    }
}

#[test]
fn a_download_outlasts_every_timeout_while_its_client_reads() {
    const TIMEOUTS: [&str; 8] =
        ["--idle-timeout", "1", "--silence-timeout", "1", "--timeout", "1", "--queue-timeout", "1"];
    let site = Site::new();
    let content = noise(LENGTH);
    site.file("big.bin", &content);
    // The first is handed over unread, and the component copies the second.
    let requests = ["", "Range: bytes=0-33554431,33554433-\r\n"];
    for way in [&[][..], &["--reuse", "100"], &["--reuse-concurrent", "50"]] {
        let server = programs!().ours_v03(&site, &[&TIMEOUTS[..], way].concat());
        let mut downloads = requests.map(|range| {
            let mut client = server.connect();
            client.send(format!("GET /big.bin HTTP/1.1\r\nHost: localhost\r\n{range}\r\n"));
            let length: usize = client.head().header("content-length").unwrap().parse().unwrap();
            (client, Vec::new(), length)
        });
        for _ in 0..3 {
            // As long as a connection may be idle.
            assert!(server.connect().is_closed());
            for (client, body, _) in &mut downloads {
                body.extend(client.read(1 << 20));
            }
        }
        let [whole, parts] = downloads.map(|(mut client, mut body, length)| {
            body.extend(client.read(length - body.len()));
            assert_eq!(body.len(), length, "cut, with {way:?}");
            body
        });
        assert!(whole == content, "with {way:?}");
        let has = |part: &[u8]| parts.windows(64).any(|window| window == part);
        assert!(has(&content[..64]) && has(&content[LENGTH - 64..]), "with {way:?}");
        assert_eq!(server.errors(), Vec::<String>::new());
    }
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
