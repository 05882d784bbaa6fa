//! The total memory that clients can make the server use.

use tests::{Site, programs, raise_file_limit};

#[test]
fn unfinished_heads_take_little_memory_in_total() {
    raise_file_limit();
    let site = Site::new();
    site.file("a.txt", "a");
    let server = programs!().ours(&site, &["--head-timeout", "3600"]);
    let head = format!("GET /a.txt HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(31_000));
    let clients: Vec<_> = (0..6_000)
        .map(|_| {
            let mut client = server.connect();
            client.send(&head);
            client
        })
        .collect();
    assert_eq!(server.get("/a.txt").text(), "a", "another client");
    let (_, peak) = server.memory();
    assert!(peak < 256 << 20, "{} MiB", peak >> 20);
    drop(clients);
}
