//! Methods: GET, HEAD and OPTIONS are answered, and every other one is a 405 that lists these.

use tests::on_each_runtime;
use tests::site::Site;

#[test]
fn other_methods_are_refused_with_allow() {
    let site = Site::new();
    site.file("a.txt", "a");
    on_each_runtime!(site, |server| {
        for method in ["POST", "PUT", "DELETE", "PATCH", "PROPFIND", "BREW", "TRACE", "get"] {
            for target in ["/a.txt", "/missing"] {
                let response = server.connect().request(method, target, &[("Content-Length", "0")]);
                assert_eq!(response.status, 405, "{method} {target}");
                assert_eq!(response.header("allow"), Some("GET, HEAD, OPTIONS"), "{method} {target}");
                assert_eq!(response.header("cache-control"), Some("no-store"));
                assert!(response.text().starts_with("405 Method Not Allowed"));
            }
        }
        assert_eq!(std::fs::read_to_string(site.path("a.txt")).unwrap(), "a");
    });
}

#[test]
fn options_lists_the_methods_without_a_body_or_a_length() {
    let site = Site::new();
    site.file("a.txt", "a");
    on_each_runtime!(site, |server| {
        for target in ["/a.txt", "/missing", "*"] {
            let mut client = server.connect();
            let response = client.request("OPTIONS", target, &[("If-None-Match", "*")]);
            assert_eq!(response.status, 204, "{target}");
            assert_eq!(response.header_names(), ["allow", "x-content-type-options"], "{target}");
            assert_eq!(response.header("allow"), Some("GET, HEAD, OPTIONS"));
            assert_eq!(client.request("GET", "/a.txt", &[]).text(), "a");
        }
    });
}

#[test]
fn the_host_refuses_connect() {
    let site = Site::new();
    let server = tests::programs!().ours(&site, &[]);
    let response = server.connect().request("CONNECT", "localhost:1", &[]);
    assert_eq!((response.status, response.text()), (501, "501 Not Implemented: this server is no proxy.\n"));
}

#[test]
fn the_body_of_a_request_is_never_parsed_as_the_next_one() {
    let site = Site::new();
    site.file("a.txt", "a");
    on_each_runtime!(site, |server| {
        let smuggled = "GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut client = server.connect();
        client.send(format!(
            "GET /missing HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{smuggled}",
            smuggled.len()
        ));
        assert_eq!(client.response("GET").status, 404);
        // Either the server reads the body and the connection continues, or it closes the connection.
        client.try_send("GET /missing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        if !client.is_closed() {
            assert_eq!(client.response("GET").status, 404);
            assert!(client.is_closed());
        }
    });
}
