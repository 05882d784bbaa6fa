//! Ranges: RFC 9110 §14 and §13.1.5, on a file of 1,000 bytes.

use tests::on_each_runtime;
use tests::site::{MODIFIED, MODIFIED_TAG, Site, noise};
use tests::{Client, Response};

fn content() -> Vec<u8> {
    noise(1000)
}

fn site() -> Site {
    let site = Site::new();
    site.file("a.txt", content()).file("empty.txt", "").file("film.mp4", noise(100_000));
    site
}

fn tag() -> String {
    format!("\"{MODIFIED_TAG}-3e8\"")
}

fn range(client: &mut Client, value: &str) -> Response {
    client.request("GET", "/a.txt", &[("Range", value)])
}

/// Expects a 206 with these bytes of the file.
fn is_part(response: &Response, first: usize, last: usize, what: &str) {
    assert_eq!(response.status, 206, "{what}");
    let content_range = format!("bytes {first}-{last}/1000");
    assert_eq!(response.header("content-range"), Some(content_range.as_str()), "{what}");
    assert_eq!(response.header("content-length"), Some((last - first + 1).to_string().as_str()), "{what}");
    assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"), "{what}");
    assert!(response.body == content()[first..=last], "{what}");
}

fn is_whole(response: &Response, what: &str) {
    assert_eq!(response.status, 200, "{what}");
    assert_eq!(response.header("content-range"), None, "{what}");
    assert_eq!(response.header("content-length"), Some("1000"), "{what}");
    assert!(response.body == content(), "{what}");
}

fn is_unsatisfiable(response: &Response, what: &str) {
    assert_eq!(response.status, 416, "{what}");
    assert_eq!(response.header("content-range"), Some("bytes */1000"), "{what}");
    assert_eq!(response.header("cache-control"), Some("no-store"), "{what}");
}

/// The parts of a multipart/byteranges body as (fields, bytes), parsed strictly by RFC 2046 §5.1.
fn parts(response: &Response) -> Vec<(Vec<String>, Vec<u8>)> {
    let media_type = response.header("content-type").unwrap();
    let boundary = media_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
    assert!(boundary.len() >= 16 && boundary.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{boundary}");
    let mut parts = Vec::new();
    let mut rest = response.body.strip_prefix(format!("--{boundary}").as_bytes()).unwrap();
    let delimiter = format!("\r\n--{boundary}");
    loop {
        if rest == b"--\r\n" {
            return parts;
        }
        let part = rest.strip_prefix(b"\r\n").unwrap();
        let at = |text: &[u8], wanted: &[u8]| {
            text.windows(wanted.len()).position(|window| window == wanted).unwrap()
        };
        let end = at(part, delimiter.as_bytes());
        let head_end = at(part, b"\r\n\r\n");
        let head = std::str::from_utf8(&part[..head_end]).unwrap();
        parts.push((head.split("\r\n").map(str::to_owned).collect(), part[head_end + 4..end].to_vec()));
        rest = &part[end + delimiter.len()..];
    }
}

/// Expects a 206 with exactly these parts of the file.
fn has_parts(response: &Response, ranges: &[(usize, usize)], what: &str) {
    assert_eq!(response.status, 206, "{what}");
    assert_eq!(response.header("content-range"), None, "{what}");
    assert_eq!(response.header("content-length"), Some(response.body.len().to_string().as_str()), "{what}");
    let expected: Vec<_> = ranges
        .iter()
        .map(|&(first, last)| {
            let fields = vec![
                "Content-Type: text/plain; charset=utf-8".to_owned(),
                format!("Content-Range: bytes {first}-{last}/1000"),
            ];
            (fields, content()[first..=last].to_vec())
        })
        .collect();
    assert!(parts(response) == expected, "{what}: {:?}", parts(response));
}

#[test]
fn a_single_range_is_a_206() {
    let site = site();
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        for (value, first, last) in [
            ("bytes=0-9", 0, 9),
            ("bytes=0-", 0, 999),
            ("BYTES=0-9", 0, 9),
            ("bytes=500-500", 500, 500),
            ("bytes=990-5000", 990, 999),
            ("bytes=-10", 990, 999),
            ("bytes=-5000", 0, 999),
            ("bytes=0-99999999999999999999999", 0, 999),
            ("bytes=0-9 , 5000-", 0, 9),
        ] {
            is_part(&range(&mut client, value), first, last, value);
        }
    });
}

#[test]
fn a_range_beyond_the_end_is_a_416_with_the_length() {
    let site = site();
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        for value in ["bytes=1000-", "bytes=-0", "bytes=18446744073709551616-", "bytes=1000-2000,-0"] {
            is_unsatisfiable(&range(&mut client, value), value);
        }
    });
}

#[test]
fn invalid_ranges_and_unknown_units_are_ignored() {
    let site = site();
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        for value in [
            "bytes=9-0",
            "bytes=abc",
            "bytes=",
            "bytes=1-2-3",
            "bytes=+1-2",
            "bytes=0x1-2",
            "bytes",
            "",
            "bytes=\u{e9}-1",
            "lines=0-9",
            "items=0-9",
        ] {
            is_whole(&range(&mut client, value), value);
        }
        let twice = [("Range", "bytes=0-9"), ("Range", "bytes=20-29")];
        is_whole(&client.request("GET", "/a.txt", &twice), "two lines");
    });
}

#[test]
fn any_range_of_an_empty_file_is_a_200() {
    let site = site();
    on_each_runtime!(site, |server| {
        for value in ["bytes=0-", "bytes=-5", "bytes=-0", "bytes=7-9"] {
            let response = server.get_with("/empty.txt", &[("Range", value)]);
            assert_eq!((response.status, response.header("content-range")), (200, None), "{value}");
            assert_eq!(response.header("content-length"), Some("0"), "{value}");
        }
    });
}

#[test]
fn ranges_apply_to_get_only() {
    let site = site();
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        for value in ["bytes=0-9", "bytes=1000-", "bytes=0-0,-1"] {
            let response = client.request("HEAD", "/a.txt", &[("Range", value)]);
            assert_eq!((response.status, response.header("content-length")), (200, Some("1000")), "{value}");
            assert_eq!(response.header("content-range"), None);
        }
        assert_eq!(client.request("POST", "/a.txt", &[("Range", "bytes=0-9")]).status, 405);
        assert_eq!(client.request("OPTIONS", "/a.txt", &[("Range", "bytes=0-9")]).status, 204);
    });
}

#[test]
fn several_ranges_are_parts_in_the_order_of_the_request() {
    let site = site();
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        for (value, expected) in [
            ("bytes=0-0,-1", [(0, 0), (999, 999)].as_slice()),
            ("bytes=-1,0-0", &[(999, 999), (0, 0)]),
            ("bytes=0-9 , 200-209,\t900-5000", &[(0, 9), (200, 209), (900, 999)]),
            ("bytes=500-509,5000-,0-9", &[(500, 509), (0, 9)]),
        ] {
            has_parts(&range(&mut client, value), expected, value);
        }
        // Another request on the connection shows that the length was exact.
        is_whole(&client.request("GET", "/a.txt", &[]), "afterwards");
    });
}

#[test]
fn each_answer_has_its_own_boundary() {
    let site = site();
    on_each_runtime!(site, |server| {
        let boundary = || {
            let response = server.get_with("/a.txt", &[("Range", "bytes=0-0,-1")]);
            response.header("content-type").unwrap().to_owned()
        };
        assert_ne!(boundary(), boundary());
    });
}

#[test]
fn ranges_that_nearly_touch_are_joined() {
    let site = site();
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        for (value, first, last) in [
            ("bytes=0-9,5-20", 0, 20),
            ("bytes=0-9,89-99", 0, 99),
            ("bytes=0-,0-,0-", 0, 999),
            ("bytes=50-59,0-9", 0, 59),
        ] {
            is_part(&range(&mut client, value), first, last, value);
        }
        has_parts(&range(&mut client, "bytes=0-9,90-99"), &[(0, 9), (90, 99)], "80 bytes apart");
        has_parts(&range(&mut client, "bytes=500-509,0-9,505-520"), &[(500, 520), (0, 9)], "overlapping");
    });
}

#[test]
fn hostile_sets_of_ranges_cost_no_more_than_the_file() {
    let site = site();
    site.file("long.bin", noise(1 << 20));
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        is_part(&range(&mut client, &format!("bytes={}0-0", "0-0,".repeat(500))), 0, 0, "500 times 0-0");
        let overlapping: Vec<_> = (0..1300).map(|at| format!("5-{at}")).skip(5).collect();
        is_part(&range(&mut client, &format!("bytes={}", overlapping.join(","))), 5, 999, "overlapping");
        is_whole(&range(&mut client, "bytes=5-0,5-1,5-2"), "not valid");
        let scattered: Vec<_> = (0..2000).rev().map(|at| format!("{0}-{0}", at * 500)).collect();
        let scattered = format!("bytes={}", scattered.join(","));
        let response = client.request("GET", "/long.bin", &[("Range", &scattered)]);
        assert_eq!((response.status, response.body.len()), (200, 1 << 20));
        let sixteen: Vec<_> = (0..16).map(|at| format!("{0}-{0}", at * 5000)).collect();
        let sixteen = format!("bytes={}", sixteen.join(","));
        let response = client.request("GET", "/long.bin", &[("Range", &sixteen)]);
        assert_eq!((response.status, parts(&response).len()), (206, 16));
        assert_eq!(client.request("GET", "/a.txt", &[]).status, 200);
    });
}

#[test]
fn conditions_are_evaluated_before_ranges() {
    let site = site();
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        for value in ["bytes=0-9", "bytes=1000-"] {
            let fields = [("Range", value), ("If-None-Match", &tag())];
            assert_eq!(client.request("GET", "/a.txt", &fields).status, 304, "{value}");
            let fields = [("Range", value), ("If-Match", "\"nope\"")];
            assert_eq!(client.request("GET", "/a.txt", &fields).status, 412, "{value}");
            assert_eq!(client.request("GET", "/missing", &[("Range", value)]).status, 404, "{value}");
        }
    });
}

#[test]
fn if_range_compares_strongly() {
    let site = site();
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        let mut ask = |validator: &str, range: &str| {
            client.request("GET", "/a.txt", &[("If-Range", validator), ("Range", range)])
        };
        for validator in [tag().as_str(), MODIFIED, "Tuesday, 14-Nov-23 22:13:20 GMT"] {
            let response = ask(validator, "bytes=0-9");
            assert_eq!((response.status, response.body.len()), (206, 10), "{validator}");
            assert_eq!(ask(validator, "bytes=1000-").status, 416, "{validator}");
        }
        for validator in [
            "\"nope\"",
            &format!("W/{}", tag()),
            &format!("{0}, {0}", tag()),
            "*",
            "Tue, 14 Nov 2023 22:13:21 GMT",
            "Tue, 14 Nov 2023 22:13:19 GMT",
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "garbage",
            "",
        ] {
            is_whole(&ask(validator, "bytes=0-9"), validator);
            is_whole(&ask(validator, "bytes=1000-"), validator);
        }
        is_whole(&server.get_with("/a.txt", &[("If-Range", "\"nope\"")]), "without a range");
    });
}

#[test]
fn a_206_has_the_cache_fields_of_the_200() {
    let site = site().with("FILES_CACHE_CONTROL", "max-age=60");
    on_each_runtime!(site, |server| {
        let names = |fields: &[(&str, &str)]| {
            let response = server.get_with("/a.txt", fields);
            for (name, value) in
                [("etag", tag().as_str()), ("vary", "Accept-Encoding"), ("cache-control", "max-age=60")]
            {
                assert_eq!(response.header(name), Some(value), "{fields:?}");
            }
            response.header_names().into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let common = ["accept-ranges", "cache-control", "content-length"];
        let expected = |rest: &[&'static str]| [&common[..], rest].concat();
        assert_eq!(
            names(&[("Range", "bytes=0-9")]),
            expected(&[
                "content-range",
                "content-type",
                "etag",
                "last-modified",
                "vary",
                "x-content-type-options"
            ])
        );
        // With `If-Range`, the client already has the other fields (RFC 9110 §15.3.7).
        assert_eq!(
            names(&[("Range", "bytes=0-9"), ("If-Range", &tag())]),
            expected(&["content-range", "etag", "vary", "x-content-type-options"])
        );
    });
}

#[test]
fn media_players_get_their_first_ranges() {
    let site = site();
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        for (value, content_range) in
            [("bytes=0-1", "bytes 0-1/100000"), ("bytes=0-", "bytes 0-99999/100000")]
        {
            let response = client.request("GET", "/film.mp4", &[("Range", value)]);
            assert_eq!(response.status, 206);
            assert_eq!(response.header("content-range"), Some(content_range));
            assert_eq!(response.header("content-type"), Some("video/mp4"));
            assert_eq!(response.header("accept-ranges"), Some("bytes"));
        }
    });
}

#[test]
fn only_files_have_accept_ranges() {
    let site = site().with("FILES_LISTING", "on");
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        let mut said =
            |method, target| client.request(method, target, &[]).header("accept-ranges").map(str::to_owned);
        assert_eq!(said("GET", "/a.txt").as_deref(), Some("bytes"));
        assert_eq!(said("HEAD", "/a.txt").as_deref(), Some("bytes"));
        assert_eq!(said("GET", "/"), None);
        assert_eq!(said("GET", "/missing"), None);
    });
}

#[test]
fn a_download_in_pieces_gives_the_whole_file() {
    let site = Site::new();
    let content = noise(10_000_019);
    site.file("large.bin", &content);
    on_each_runtime!(site, |server| {
        let pieces: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let piece = |at: usize| {
                let server = &server;
                move || {
                    let value = format!("bytes={}-{}", at * 1_000_000, (at + 1) * 1_000_000 - 1);
                    let response = server.get_with("/large.bin", &[("Range", &value)]);
                    assert_eq!(response.status, 206);
                    response.body
                }
            };
            let threads: Vec<_> = (0..11).map(|at| scope.spawn(piece(at))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(pieces.concat() == content);
    });
}
