//! How many connections there may be, in all and of one address.

use tests::{Client, Server, Site, eventually, programs};

const LIMIT: &str = "--max-connections-per-address";

fn site() -> Site {
    let site = Site::new();
    site.file("a.txt", "hello");
    site
}

fn proxied(server: &Server, client: &str) -> Client {
    let mut connection = server.connect();
    connection.send(format!("PROXY TCP4 {client} 127.0.0.1 1 2\r\n"));
    connection
}

/// Whether a request gets an answer on this connection. If not, it is closed.
fn is_served(client: &mut Client) -> bool {
    client.try_send("GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n");
    if client.is_closed() {
        return false;
    }
    assert_eq!(client.response("GET").text(), "hello");
    true
}

#[test]
fn a_client_that_has_its_connections_gets_no_more_and_others_do_not_notice() {
    let site = site();
    let server = programs!().ours(&site, &[LIMIT, "2", "--proxy-protocol-from", "127.0.0.1"]);
    let mut greedy: Vec<_> = (0..2).map(|_| proxied(&server, "192.0.2.1")).collect();
    assert!(greedy.iter_mut().all(is_served));
    assert!(!is_served(&mut proxied(&server, "192.0.2.1")));
    assert!(!is_served(&mut proxied(&server, "192.0.2.1")));
    let mut other = proxied(&server, "192.0.2.2");
    assert!(is_served(&mut other) && greedy.iter_mut().all(is_served));
    server.wait_for_error(|line| {
        line == "wasi-httpd: warning: further connections of 192.0.2.1 are closed: it has 2, the limit of \
                 --max-connections-per-address"
    });
    // A place is free again when a connection has ended.
    drop(greedy.pop());
    eventually("a place is free", || is_served(&mut proxied(&server, "192.0.2.1")));
}

#[test]
fn connections_of_this_machine_do_not_count() {
    let site = site();
    let server = programs!().ours(&site, &[LIMIT, "1"]);
    let mut clients: Vec<_> = (0..5).map(|_| server.connect()).collect();
    assert!(clients.iter_mut().all(is_served));
}

#[test]
fn further_connections_wait_until_a_place_is_free() {
    let site = site();
    let server = programs!().ours(&site, &["--max-connections", "1"]);
    let mut first = server.connect();
    assert!(is_served(&mut first));
    let mut second = server.connect();
    second.send("GET /a.txt?second HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // The first one is still served alone.
    assert!(is_served(&mut first));
    drop(first);
    assert_eq!(second.response("GET").text(), "hello");
}
