//! Limits that flags set: what a client may send, what a guest may hold and print, and how long a request waits.

use tests::guests::{self, ANSWER, GuestFile};
use tests::{Server, Site, programs};

fn serve(guest: &GuestFile, options: &[&str]) -> Server {
    programs!().ours_with_guest(&guest.path, options)
}

#[test]
fn a_head_may_be_as_large_as_it_may_be_and_have_as_many_fields() {
    let site = Site::new();
    site.file("a.txt", "a");
    for (options, bytes, fields) in [
        (&[][..], 32 * 1024, 100),
        (&["--max-head", "8", "--max-fields", "10"], 8 * 1024, 10),
        (&["--max-head", "100", "--max-fields", "300"], 100 * 1024, 300),
    ] {
        let server = programs!().ours(&site, options);
        let request = |bytes: usize, fields: usize| {
            let mut head = "GET /a.txt HTTP/1.1\r\nHost: localhost\r\n".to_owned();
            for _ in 1..fields - 1 {
                head.push_str("A: b\r\n");
            }
            let left = bytes.saturating_sub(head.len() + "A: \r\n\r\n".len());
            let last = format!("A: {}\r\n\r\n", "x".repeat(left));
            server.connect().send(head + &last).response("GET").status
        };
        assert_eq!(request(bytes - 100, fields), 200, "{options:?}");
        assert_eq!(request(bytes + 100, 3), 431, "{options:?}");
        assert_eq!(request(0, fields + 1), 431, "{options:?}");
    }
}

#[test]
fn a_body_that_is_too_large_is_a_413_and_no_guest_sees_the_rest() {
    const MIB: usize = 1 << 20;
    let head = |fields: &str| format!("POST / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n");
    let guest = GuestFile::new(guests::reader(ANSWER));
    let server = serve(&guest, &["--max-body", "1"]);
    let mut client = server.connect();
    for _ in 0..2 {
        client.send(head(&format!("Content-Length: {MIB}"))).send(vec![b'x'; MIB]);
        assert_eq!(client.response("POST").status, 200);
    }
    // One whose length is known gets its answer before it is sent, and no invitation to send it.
    client.send(head(&format!("Expect: 100-continue\r\nContent-Length: {}", MIB + 1)));
    let response = client.response("POST");
    assert_eq!((response.status, response.header("connection")), (413, Some("close")));
    assert_eq!(response.text(), "413 Payload Too Large: the content of the request is too large.\n");
    assert!(client.is_closed());

    // A guest that gives up because of it is not at fault.
    let guest = GuestFile::new(guests::reader(""));
    let server = serve(&guest, &["--max-body", "1"]);
    let mut client = server.connect();
    client.send(head("Transfer-Encoding: chunked"));
    for _ in 0..2 {
        client.send(format!("{MIB:x}\r\n")).send(vec![b'x'; MIB]).send("\r\n");
    }
    assert_eq!(client.response("POST").status, 413);
    assert!(client.is_closed());

    let server = serve(&guest, &["--max-body", "0"]);
    assert_eq!(server.connect().send(head("Content-Length: 1")).response("POST").status, 413);
}

#[test]
fn a_body_that_comes_at_the_rate_that_is_asked_for_is_waited_for() {
    let guest = GuestFile::new(guests::reader(""));
    let server = serve(&guest, &["--body-timeout", "1", "--min-body-rate", "1000000"]);
    let mut client = server.connect();
    // At the default rate, these bytes would earn half a minute.
    client
        .send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        .send(vec![b'x'; 15_000]);
    assert_eq!(client.response("POST").status, 408);
}

#[test]
fn a_guest_holds_as_many_handles_as_it_may() {
    // Besides these it has the request and the outparam, and makes a set of fields, a response, a body and a stream.
    let hold = |count: u32| {
        let body = format!(
            "(loop $more
                (drop (call $fields))
                (local.set $count (i32.add (local.get $count) (i32.const 1)))
                (br_if $more (i32.lt_u (local.get $count) (i32.const {count}))))
            {ANSWER}"
        );
        GuestFile::new(guests::handler(&body))
    };
    let few = hold(40);
    let many = hold(60);
    for executor in ["auto", "component"] {
        let status = |guest, options: &[&str]| {
            serve(guest, &[&["--executor", executor], options].concat()).get("/").status
        };
        assert_eq!(status(&few, &["--max-handles", "50"]), 200, "{executor}");
        assert_eq!(status(&many, &["--max-handles", "50"]), 500, "{executor}");
        assert_eq!(status(&many, &[]), 200, "{executor}");
    }
}

#[test]
fn a_guest_prints_as_much_as_it_may() {
    let print = format!("(call $say (call $stderr) (i32.const 4096) (i32.const 4096)) {ANSWER}");
    let guest = GuestFile::new(guests::handler(&print));
    let server = serve(&guest, &["--max-output", "1"]);
    assert_eq!(server.get("/").status, 200);
    server.wait_for_guest(|line| line == "guest stderr: (more than 1 KiB: the rest is not shown)");
}

#[test]
fn a_request_waits_for_an_instance_as_long_as_it_may() {
    let guest = GuestFile::new(guests::handler("(loop $forever (br $forever))"));
    let options = ["--timeout", "6", "--max-instances", "1", "--queue-timeout", "1"];
    let server = serve(&guest, &options);
    let mut first = server.connect();
    first.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // Whichever comes second waits for a second, and the other one runs for six.
    let response = server.get("/");
    let (waited, ran) = (response, first.response("GET"));
    let (busy, failed) = if waited.status == 503 { (waited, ran) } else { (ran, waited) };
    assert_eq!((busy.status, busy.header("retry-after")), (503, Some("1")));
    assert_eq!(failed.status, 500);
}
