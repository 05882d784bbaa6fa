//! Which hosts a server answers for. A server on a loopback address can be reached by every web page that a user of
//! this machine opens: the name of the page's own host can be made to resolve to that address (DNS rebinding).

use std::net::SocketAddr;
use tests::{Client, Runtime, Server, Site, programs};

fn site() -> Site {
    let site = Site::new();
    site.file("a.txt", "a");
    site
}

fn get(server: &Server, host: &str) -> tests::Response {
    let mut client = server.connect();
    client.send(format!("GET /a.txt HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    client.response("GET")
}

#[test]
fn a_loopback_listener_answers_for_loopback_names_only() {
    let site = site();
    let server = programs!().ours(&site, &[]);
    let port = server.address().port();
    for host in [
        "localhost".to_owned(),
        format!("LocalHost:{port}"),
        format!("127.0.0.1:{port}"),
        "127.1.2.3".to_owned(),
        "[::1]".to_owned(),
        "app.localhost".to_owned(),
        String::new(),
    ] {
        assert_eq!(get(&server, &host).text(), "a", "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "192.168.0.7:8080", "[2001:db8::1]"] {
        let response = get(&server, host);
        assert_eq!(response.status, 421, "{host}");
        assert!(response.text().contains("--allow-name "), "{}", response.text());
        assert_eq!(response.text().lines().count(), 1);
    }
    let text = get(&server, "evil.example:8080").text().to_owned();
    assert!(text.contains("--allow-name evil.example if"), "{text}");
    // The connection continues after a 421. A request in HTTP/1.0 without a host is answered.
    let mut client = server.connect();
    client.send("GET /a.txt HTTP/1.1\r\nHost: evil.example\r\n\r\nGET /a.txt HTTP/1.0\r\n\r\n");
    assert_eq!(client.response("GET").status, 421);
    assert_eq!(client.response("GET").text(), "a");
}

#[test]
fn allow_name_adds_host_names() {
    let site = site();
    let server = programs!().ours(&site, &["--allow-name", "Dev.Example", "--allow-name", "10.0.0.1"]);
    for host in ["dev.example", "DEV.example.:8080", "10.0.0.1", "localhost"] {
        assert_eq!(get(&server, host).text(), "a", "{host}");
    }
    assert_eq!(get(&server, "other.example").status, 421);
    let server = programs!().ours(&site, &["--allow-name", "*"]);
    assert_eq!(get(&server, "other.example").text(), "a");
}

#[test]
fn a_network_listener_answers_for_every_name_without_the_flag() {
    let site = site();
    let get = |arguments: &[&str]| {
        let mut command = programs!().command();
        command.args(["--allow-root", "--addr", "0.0.0.0:0", "--dir"]).arg(site.root()).args(arguments);
        let server = Server::start(Runtime::Ours, command);
        let mut client = Client::connect(SocketAddr::from(([127, 0, 0, 1], server.address().port())));
        client.send("GET /a.txt HTTP/1.1\r\nHost: any.example\r\n\r\n");
        client.response("GET").status
    };
    assert_eq!(get(&[]), 200);
    assert_eq!(get(&["--allow-name", "www.example"]), 421);
    assert_eq!(get(&["--allow-name", "any.example"]), 200);
}

#[test]
fn directories_are_listed_only_on_loopback_without_other_names() {
    let site = site();
    let status = |addr: &str, arguments: &[&str]| {
        let mut command = programs!().command();
        command.args(["--allow-root", "--addr", addr, "--dir"]).arg(site.root()).args(arguments);
        let server = Server::start(Runtime::Ours, command);
        let address = SocketAddr::from(([127, 0, 0, 1], server.address().port()));
        Client::connect(address).request("GET", "/", &[]).status
    };
    assert_eq!(status("127.0.0.1:0", &[]), 200);
    assert_eq!(status("0.0.0.0:0", &[]), 404);
    assert_eq!(status("127.0.0.1:0", &["--allow-name", "dev.example"]), 404);
}
