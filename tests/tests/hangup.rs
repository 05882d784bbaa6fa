//! Clients that disconnect while a guest waits: the instance ends, and other clients are served meanwhile.

use rustix::net::sockopt::set_socket_linger;
use std::time::Duration;
use tests::guests::{self, GuestFile};
use tests::{Client, Server, Site, eventually, programs, raise_file_limit};

/// Connects a client that has read the beginning of an answer.
fn begin(server: &Server) -> Client {
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.head().status, 200);
    // The size line of the chunk, and its data.
    assert_eq!(client.read(9), b"4\r\nhalf\r\n");
    client
}

/// Closes a connection with RST.
fn reset(client: Client) {
    set_socket_linger(client.socket(), Some(Duration::ZERO)).unwrap();
    drop(client);
}

#[test]
fn a_client_that_closes_or_resets_ends_its_instance() {
    let guest = GuestFile::new(guests::begin_and_wait());
    let server = programs!().ours_with_guest(&guest.path, &["--max-instances", "2"]);
    for leave in [drop, reset] {
        for _ in 0..2 {
            let clients = [begin(&server), begin(&server)];
            clients.into_iter().for_each(leave);
        }
    }
    // Another request gets an instance only once the host has noticed that the last two clients are gone.
    begin(&server);
    assert_eq!(server.errors(), Vec::<String>::new(), "a client that disconnects was reported as an error");
}

#[test]
fn a_client_that_leaves_before_the_head_is_logged_as_a_499() {
    let wait = "(call $block (call $after (i64.const 3600000000000)))";
    let guest = GuestFile::new(guests::handler_with(guests::WAITING, wait));
    let server = programs!().ours_with_guest(&guest.path, &["--max-instances", "1", "--timeout", "3600"]);
    for target in ["/1", "/2"] {
        let mut client = server.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        drop(client);
        // 499 is nginx's status for a client that closed its connection.
        server.wait_for_log(|line| line.contains(&format!("\"GET {target} HTTP/1.1\" 499 ")));
    }
}

#[test]
fn a_client_that_has_finished_sending_gets_its_answer() {
    // The guest waits for 0.2 s and then answers.
    let body = format!("(call $block (call $after (i64.const 200000000))) {}", guests::ANSWER);
    let guest = GuestFile::new(guests::handler_with(guests::WAITING, &body));
    let server = programs!().ours_with_guest(&guest.path, &[]);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").finish_sending();
    let response = client.response("GET");
    assert_eq!((response.status, response.text(), response.complete), (200, "half an answer", true));
}

#[test]
fn a_thousand_clients_that_disappear_leave_nothing_behind() {
    raise_file_limit();
    let site = Site::new();
    site.file("a.txt", "a");
    let guest = GuestFile::new(guests::begin_and_wait());
    let options = ["--max-instances", "1001", "--silence-timeout", "5"];
    let server = programs!().ours_with_guest(&guest.path, &options);
    let clients: Vec<_> = (0..1000).map(|_| begin(&server)).collect();
    let mut silent = Vec::new();
    for (number, client) in clients.into_iter().enumerate() {
        match number % 3 {
            0 => drop(client),
            1 => reset(client),
            _ => silent.push(client),
        }
    }
    // Other clients are served meanwhile.
    begin(&server);
    for client in &mut silent {
        assert!(client.read(1).is_empty(), "the body was ended as if it were complete");
    }
    // Every instance is free: the same number of requests can start again.
    let again: Vec<_> = (0..1000).map(|_| begin(&server)).collect();
    drop(again);
    eventually("every connection is closed", || {
        server.open_files().iter().filter(|file| file.to_string_lossy().starts_with("socket:")).count() <= 8
    });
}
