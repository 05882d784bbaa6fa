//! `/metrics`: its format, and that it counts what happens.

// Counts are whole numbers, which compare exactly.
#![allow(clippy::float_cmp)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::net::TcpStream;
use tests::guests::{self, GuestFile};
use tests::http2::{Frames, Http2};
use tests::tls::{Authority, Files};
use tests::{Client, Server, Site, eventually, programs};

const ADMIN: [&str; 2] = ["--admin", "127.0.0.1:0"];

fn serve(site: &Site, options: &[&str]) -> Server {
    programs!().ours(site, &[&ADMIN[..], options].concat())
}

/// The samples of an exposition, by their name and labels as they are written.
type Samples = BTreeMap<String, f64>;

/// Names and values.
type Labels = Vec<(String, String)>;

/// A line with a value.
struct Sample {
    name: String,
    labels: Labels,
    value: f64,
}

/// A histogram: counts up to bounds, and two figures about all values.
#[derive(Default)]
struct Histogram {
    buckets: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
}

/// An exposition that was checked.
struct Exposition {
    families: BTreeMap<String, String>,
    samples: Samples,
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Reads labels up to the closing brace. Gives them, and what follows.
fn labels(mut rest: &str) -> (Labels, &str) {
    let mut labels = Vec::new();
    loop {
        let (name, value) = rest.split_once("=\"").expect("a label");
        assert!(is_name(name), "{name}");
        let mut text = String::new();
        let mut characters = value.char_indices();
        let end = loop {
            match characters.next().expect("the end of a value") {
                (at, '"') => break at,
                (_, '\\') => match characters.next().expect("an escape").1 {
                    'n' => text.push('\n'),
                    escaped @ ('\\' | '"') => text.push(escaped),
                    other => panic!("an escape of {other}"),
                },
                (_, '\n') => panic!("a line break in a value"),
                (_, other) => text.push(other),
            }
        };
        assert!(!labels.iter().any(|(known, _)| known == name), "{name} twice");
        labels.push((name.to_owned(), text));
        match value[end + 1..].split_at(1) {
            (",", more) => rest = more,
            ("}", more) => return (labels, more),
            other => panic!("{other:?} after a label"),
        }
    }
}

/// Reads a line with a value.
fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).expect("a value");
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest),
        None => (Vec::new(), rest),
    };
    let value = rest.strip_prefix(' ').expect("one space before a value");
    assert!(is_name(name) && !value.contains(' '), "{line}");
    let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    Sample { name: name.to_owned(), labels, value }
}

/// The buckets of a histogram rise to its count, and the last one is for all values.
fn check_histogram(family: &str, samples: &[Sample]) {
    let mut all: BTreeMap<Labels, Histogram> = BTreeMap::new();
    for Sample { name, labels, value } in samples {
        let (bounds, others): (Labels, Labels) = labels.iter().cloned().partition(|(label, _)| label == "le");
        let histogram = all.entry(others).or_default();
        match (name.strip_prefix(family).unwrap(), &bounds[..]) {
            ("_bucket", [(_, bound)]) => {
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
                histogram.buckets.push((bound, *value));
            }
            ("_sum", []) => assert!(histogram.sum.replace(*value).is_none()),
            ("_count", []) => assert!(histogram.count.replace(*value).is_none()),
            other => panic!("{other:?} in the histogram {family}"),
        }
    }
    for (labels, Histogram { buckets, sum, count }) in all {
        let rises = buckets.is_sorted_by(|(low, few), (high, more)| low < high && few <= more);
        let (bound, last) = *buckets.last().unwrap();
        assert!(rises && bound.is_infinite() && Some(last) == count, "{family} {labels:?}");
        assert!(sum.is_some_and(|sum| sum >= 0.0 && (sum > 0.0) <= (last > 0.0)), "{family} {labels:?}");
    }
}

/// Reads an exposition strictly: <https://prometheus.io/docs/instrumenting/exposition_formats/>.
fn read(text: &str) -> Exposition {
    assert!(
        text.ends_with('\n') && !text.contains("\n\n") && !text.contains('\r'),
        "lines end with a line feed"
    );
    let mut families: BTreeMap<String, String> = BTreeMap::new();
    let mut samples = Samples::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (family, help) = line.strip_prefix("# HELP ").expect("a family").split_once(' ').expect("a help");
        assert!(help.ends_with('.') && help.len() > 10 && !help.contains('\\'), "{line}");
        let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE ")).expect("a type");
        let (named, kind) = kind.split_once(' ').expect("a type");
        assert!(is_name(family) && named == family, "{family} {named}");
        assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{kind}");
        assert!(families.insert(family.to_owned(), kind.to_owned()).is_none(), "{family} twice");
        assert_eq!(family.ends_with("_total"), kind == "counter", "{family} {kind}");
        let mut own = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let sample = sample(line);
            assert!(sample.value.is_finite() && sample.value >= 0.0, "{line}");
            assert_eq!(sample.name == family, kind != "histogram", "{line}");
            let key = line.rsplit_once(' ').unwrap().0;
            assert!(samples.insert(key.to_owned(), sample.value).is_none(), "{key} twice");
            own.push(sample);
        }
        if kind == "histogram" {
            check_histogram(family, &own);
        }
    }
    Exposition { families, samples }
}

/// What is counted now.
fn metrics(server: &Server) -> Samples {
    let response = server.admin("/metrics");
    assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    read(response.text()).samples
}

/// Waits until a sample has this value.
fn reaches(server: &Server, name: &str, value: f64) {
    let mut last = None;
    eventually(&format!("{name} is {value}"), || {
        let now = metrics(server).get(name).copied();
        if now != last {
            println!("{name}: {now:?}");
            last = now;
        }
        now == Some(value)
    });
}

#[test]
fn the_checker_of_this_test_refuses_what_is_wrong() {
    let fails = |text: &str| {
        assert!(std::panic::catch_unwind(|| read(text)).is_err(), "{text}");
    };
    let family = "# HELP a_total How many there are.\n# TYPE a_total counter\n";
    let well = format!("{family}a_total{{b=\"c\\\"d\"}} 1\na_total 2\n");
    assert_eq!(read(&well).samples.len(), 2);
    for wrong in
        ["a_total 1\na_total 2\n", "a_total -1\n", "b 1\n", "a_total{b=\"c} 1\n", "a_total  1\n", "a_total\n"]
    {
        fails(&format!("{family}{wrong}"));
    }
    fails(&format!("{family}{family}"));
    fails("a_total 1\n");
    fails("# HELP a How many there are.\n# TYPE a counter\na 1\n");
    fails("# TYPE a_total counter\na_total 1\n");
    let histogram = "# HELP a How long it is.\n# TYPE a histogram\n";
    let well = format!("{histogram}a_bucket{{le=\"1\"}} 1\na_bucket{{le=\"+Inf\"}} 2\na_sum 3\na_count 2\n");
    assert_eq!(read(&well).samples.len(), 4);
    for (from, to) in
        [("le=\"1\"} 1", "le=\"1\"} 3"), ("a_count 2", "a_count 1"), ("a_sum 3\n", ""), ("+Inf", "2")]
    {
        fails(&well.replace(from, to));
    }
}

#[test]
fn each_family_is_well_formed_and_documented() {
    let site = Site::new();
    let server = serve(&site, &[]);
    let response = server.admin("/metrics");
    let Exposition { families, samples } = read(response.text());
    let documented: BTreeSet<&str> = include_str!("../../docs/monitoring.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("wasi_httpd_") || name.starts_with("process_"))
        .collect();
    assert_eq!(families.keys().map(String::as_str).collect::<BTreeSet<_>>(), documented);
    assert_eq!(samples["wasi_httpd_requests_total{site=\"default\",method=\"GET\",status=\"2xx\"}"], 0.0);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(samples[&format!("wasi_httpd_build_info{{version=\"{version}\"}}")], 1.0);
    assert!(samples["process_resident_memory_bytes"] > 1e6 && samples["process_open_fds"] > 5.0);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((now - samples["process_start_time_seconds"]).abs() < 600.0);
}

#[test]
fn requests_are_counted_by_method_and_class_of_status() {
    let site = Site::new();
    site.file("a.txt", "hello");
    let server = serve(&site, &["--quiet"]);
    let mut client = server.connect();
    for (method, target, status) in [
        ("GET", "/a.txt", 200),
        ("GET", "/a.txt", 200),
        ("HEAD", "/a.txt", 200),
        ("GET", "/missing", 404),
        ("BREW", "/a.txt", 405),
        ("SECRETMETHOD", "/secret-target", 405),
    ] {
        assert_eq!(
            client.request(method, target, &[("User-Agent", "secret-agent")]).status,
            status,
            "{method}"
        );
    }
    assert_eq!(client.request("GET", "/a.txt", &[("If-None-Match", "*")]).status, 304);
    assert_eq!(server.connect().send("nonsense\r\n\r\n").response("GET").status, 400);
    assert_eq!(Http2::connect(server.address()).request("GET", "/a.txt", &[]).status, 200);
    let count = |method, class| {
        format!("wasi_httpd_requests_total{{site=\"default\",method=\"{method}\",status=\"{class}\"}}")
    };
    for (method, class, value) in [
        ("GET", "2xx", 3.0),
        ("HEAD", "2xx", 1.0),
        ("GET", "4xx", 1.0),
        ("GET", "3xx", 1.0),
        ("other", "4xx", 3.0),
    ] {
        reaches(&server, &count(method, class), value);
    }
    let samples = metrics(&server);
    let requests: Vec<_> =
        samples.iter().filter(|(name, _)| name.starts_with("wasi_httpd_requests_total")).collect();
    assert_eq!(requests.iter().map(|&(_, value)| value).sum::<f64>(), 9.0, "{requests:?}");
    // What could not be read has no time.
    for family in ["request_duration_seconds", "request_head_seconds", "response_size_bytes"] {
        assert_eq!(samples[&format!("wasi_httpd_{family}_count{{site=\"default\"}}")], 8.0);
    }
    assert_eq!(samples["wasi_httpd_requests_in_flight{site=\"default\"}"], 0.0);
    assert!(!samples.keys().any(|name| name.to_ascii_lowercase().contains("secret")));
}

#[test]
fn sizes_and_times_are_those_of_the_answers() {
    let site = Site::new();
    site.file("small.txt", "hello").file("large.bin", vec![0; 100_000]);
    let server = serve(&site, &["--quiet"]);
    for target in ["/small.txt", "/large.bin", "/large.bin"] {
        assert!(server.get(target).complete);
    }
    let of = |what: &str| format!("wasi_httpd_response_size_bytes_{what}");
    reaches(&server, &of("count{site=\"default\"}"), 3.0);
    let samples = metrics(&server);
    for (bound, count) in [("256", 1.0), ("65536", 1.0), ("1048576", 3.0), ("+Inf", 3.0)] {
        assert_eq!(samples[&of(&format!("bucket{{site=\"default\",le=\"{bound}\"}}"))], count, "{bound}");
    }
    assert_eq!(samples[&of("sum{site=\"default\"}")], 200_005.0);
    let [total, head] = ["duration", "head"]
        .map(|what| samples[&format!("wasi_httpd_request_{what}_seconds_sum{{site=\"default\"}}")]);
    assert!(head > 0.0 && total >= head, "{head} {total}");
}

#[test]
fn what_is_under_way_is_counted() {
    const LENGTH: usize = 64 << 20;

    let site = Site::new();
    site.file("big.bin", vec![0; LENGTH]);
    let server = serve(&site, &[]);
    let mut download = server.connect();
    download.send("GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n").head();
    let silent = server.connect();
    reaches(&server, "wasi_httpd_requests_in_flight{site=\"default\"}", 1.0);
    reaches(&server, "wasi_httpd_connections{state=\"active\"}", 1.0);
    reaches(&server, "wasi_httpd_connections{state=\"idle\"}", 1.0);
    assert_eq!(download.read(LENGTH).len(), LENGTH);
    reaches(&server, "wasi_httpd_requests_in_flight{site=\"default\"}", 0.0);
    // After a second without a request, a connection is idle.
    reaches(&server, "wasi_httpd_connections{state=\"idle\"}", 2.0);
    let mut http2 = Http2::connect(server.address());
    assert_eq!(http2.request("HEAD", "/big.bin", &[]).status, 200);
    reaches(&server, "wasi_httpd_connections{state=\"idle\"}", 3.0);
    drop((download, silent, http2));
    for state in ["idle", "active"] {
        reaches(&server, &format!("wasi_httpd_connections{{state=\"{state}\"}}"), 0.0);
    }
    assert_eq!(metrics(&server)["wasi_httpd_connections_accepted_total"], 3.0);
}

#[test]
fn a_client_that_leaves_is_counted_and_has_no_time() {
    let guest = GuestFile::new(guests::handler("(loop $more (br $more))"));
    let server = programs!().ours_with_guest(&guest.path, &ADMIN);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    reaches(&server, "wasi_httpd_requests_in_flight{site=\"default\"}", 1.0);
    reaches(&server, "wasi_httpd_instances{site=\"default\",state=\"in_use\"}", 1.0);
    drop(client);
    reaches(&server, "wasi_httpd_requests_total{site=\"default\",method=\"GET\",status=\"4xx\"}", 1.0);
    reaches(&server, "wasi_httpd_instances{site=\"default\",state=\"in_use\"}", 0.0);
    assert_eq!(metrics(&server)["wasi_httpd_request_duration_seconds_count{site=\"default\"}"], 0.0);
}

#[test]
fn instances_are_counted_by_where_they_come_from() {
    let site = Site::new();
    let created = "wasi_httpd_instances_created_total{site=\"default\"}";
    let restored = "wasi_httpd_instances_restored_total{site=\"default\"}";
    for (options, made, kept, idle) in [
        (&[][..], 1.0, 5.0, 1.0),
        (&["--instances", "new"], 5.0, 0.0, 0.0),
        (&["--executor", "component"], 5.0, 0.0, 0.0),
        (&["--executor", "component", "--reuse", "10"], 1.0, 0.0, 1.0),
    ] {
        let server = serve(&site, options);
        let mut client = server.connect();
        for _ in 0..5 {
            assert_eq!(client.request("GET", "/", &[]).status, 404);
        }
        reaches(&server, created, made);
        reaches(&server, restored, kept);
        reaches(&server, "wasi_httpd_instances{site=\"default\",state=\"idle\"}", idle);
        assert_eq!(metrics(&server)["wasi_httpd_instances_limit{site=\"default\"}"], 1_000.0);
    }
}

#[test]
fn failures_of_components_are_counted_by_kind() {
    let grow = "(if (i32.eq (memory.grow (i32.const 1000)) (i32.const -1)) (then unreachable))";
    for (body, options, kind) in [
        ("unreachable", &[][..], "trap"),
        ("", &[], "no-response"),
        ("(loop $more (br $more))", &["--timeout", "1"], "timeout"),
        (grow, &["--max-memory", "2"], "memory"),
    ] {
        let guest = GuestFile::new(guests::handler(body));
        let server = programs!().ours_with_guest(&guest.path, &[&ADMIN[..], options].concat());
        assert_eq!(server.get("/").status, 500, "{kind}");
        let samples = metrics(&server);
        let failures: Vec<_> = samples
            .iter()
            .filter(|(name, count)| name.starts_with("wasi_httpd_guest_failures_total") && **count > 0.0)
            .collect();
        let expected = format!("wasi_httpd_guest_failures_total{{site=\"default\",kind=\"{kind}\"}}");
        assert_eq!(failures, [(&expected, &1.0)]);
        let limit = samples["wasi_httpd_limit_hits_total{limit=\"max-memory\"}"];
        assert_eq!(limit > 0.0, kind == "memory");
        reaches(&server, "wasi_httpd_requests_total{site=\"default\",method=\"GET\",status=\"5xx\"}", 1.0);
    }
}

/// Expects that only this limit was reached.
fn only(server: &Server, limit: &str) {
    reaches(server, &format!("wasi_httpd_limit_hits_total{{limit=\"{limit}\"}}"), 1.0);
    let samples = metrics(server);
    let hits = samples.iter().filter(|(name, _)| name.starts_with("wasi_httpd_limit_hits_total"));
    assert_eq!(hits.map(|(_, count)| count).sum::<f64>(), 1.0, "{samples:?}");
}

#[test]
fn limits_of_heads_and_bodies_are_counted() {
    let site = Site::new();
    let body = GuestFile::new(guests::reader(""));
    let post = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n";
    let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    for (options, bytes, status, limit) in [
        (&[][..], &head[..], 431, "max-head"),
        (&["--head-timeout", "1"], "GET / HTTP/1.1\r\n", 408, "head-timeout"),
        (&["--max-body", "1"], post, 413, "max-body"),
    ] {
        let server = serve(&site, options);
        assert_eq!(server.connect().try_send(bytes).response("GET").status, status, "{limit}");
        only(&server, limit);
    }
    let server = programs!()
        .ours_with_guest(&body.path, &[&ADMIN[..], &["--body-timeout", "1", "--allow-any-dir"]].concat());
    assert_eq!(server.connect().send(post).response("POST").status, 408);
    only(&server, "body-timeout");
}

#[test]
fn limits_of_instances_and_connections_are_counted() {
    let endless = GuestFile::new(guests::handler("(loop $more (br $more))"));
    let options = ["--max-instances", "1", "--queue-timeout", "1"];
    let server = programs!().ours_with_guest(&endless.path, &[&ADMIN[..], &options].concat());
    let mut first = server.connect();
    first.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    reaches(&server, "wasi_httpd_instances{site=\"default\",state=\"in_use\"}", 1.0);
    let mut waiting = server.connect();
    waiting.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(waiting.response("GET").status, 503);
    only(&server, "queue-timeout");

    let site = Site::new();
    let server = serve(&site, &["--max-connections", "1"]);
    let mut only_one = server.connect();
    assert_eq!(only_one.request("GET", "/", &[]).status, 404);
    only(&server, "max-connections");

    let server = serve(&site, &["--max-connections-per-address", "1", "--proxy-protocol-from", "127.0.0.1"]);
    let proxied = || {
        let mut client = server.connect();
        client.send("PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n");
        client
    };
    let mut one = proxied();
    assert_eq!(one.request("GET", "/", &[]).status, 404);
    assert!(proxied().is_closed());
    only(&server, "max-connections-per-address");
}

#[test]
fn floods_of_http2_are_counted() {
    const PING: u8 = 6;

    let site = Site::new();
    let server = serve(&site, &[]);
    let mut client = Frames::begin(server.address(), &[]);
    client.flood(&tests::http2::frame(PING, 0, 0, &[0; 8]), 10_000);
    client.end();
    only(&server, "http2-frames");
}

#[test]
fn handshakes_and_reloads_are_counted() {
    let site = Site::new();
    let authority = Authority::new();
    let files = Files::write(site.outside(), "site", &authority.issue(&["localhost"]));
    let server = serve(&site, &files.flags()).with_clients(authority.clients());
    assert_eq!(server.get("/").status, 404);
    let old = authority.clients_of(&[&rustls::version::TLS12]);
    let mut client = Client::connect_over_tls(server.address(), &old);
    assert_eq!(client.request("GET", "/", &[]).status, 404);
    let mut clear = Client::connect(server.address());
    assert_eq!(clear.request("GET", "/", &[]).status, 400);
    let mut broken = Client::connect(server.address());
    broken.send([22, 3, 1, 0, 4, 99, 0, 0, 0]);
    let _ = broken.reader().read_to_end(&mut Vec::new());
    drop(TcpStream::connect(server.address()).unwrap());
    for (outcome, version, count) in [
        ("completed", "TLSv1.3", 1.0),
        ("completed", "TLSv1.2", 1.0),
        ("clear", "none", 1.0),
        ("failed", "none", 2.0),
        ("timeout", "none", 0.0),
    ] {
        let name = format!("wasi_httpd_tls_handshakes_total{{outcome=\"{outcome}\",version=\"{version}\"}}");
        reaches(&server, &name, count);
    }
    let reloads = |what: &str, outcome: &str| {
        format!("wasi_httpd_reloads_total{{what=\"{what}\",outcome=\"{outcome}\"}}")
    };
    server.signal("HUP");
    reaches(&server, &reloads("configuration", "succeeded"), 1.0);
    assert!(server.admin("/status").text().contains("Configuration read again"));
    // Found without a signal.
    std::fs::write(files.flags()[1], "nothing").unwrap();
    reaches(&server, &reloads("certificates", "failed"), 1.0);
    server.signal("HUP");
    reaches(&server, &reloads("configuration", "failed"), 1.0);
    assert!(server.admin("/status").text().contains("Configuration could not be read again"));
}

#[test]
fn each_site_is_counted_apart_and_keeps_its_counts() {
    let site = Site::new();
    site.file("one/index.html", "one").file("two/index.html", "two");
    let config = site.outside().join("site.toml");
    let text = |sites: &[&str]| {
        let section = |name: &&str| {
            let root = site.path(name);
            format!("[[site]]\nname = \"{name}.example\"\ndir = \"{}\"\n", root.display())
        };
        sites.iter().map(section).collect::<String>()
    };
    std::fs::write(&config, text(&["one", "two"])).unwrap();
    let mut command = programs!().command();
    command.args(["--addr", "127.0.0.1:0"]).args(ADMIN).arg("--config").arg(&config);
    let server = Server::start(tests::Runtime::Ours, command);
    let get = |host: &str| {
        let mut client = server.connect();
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).response("GET").status
    };
    assert_eq!(["one.example", "two.example", "two.example", "three.example"].map(get), [200, 200, 200, 421]);
    let count = |site: &str, class: &str| {
        format!("wasi_httpd_requests_total{{site=\"{site}\",method=\"GET\",status=\"{class}\"}}")
    };
    let expected = [("one.example", "2xx", 1.0), ("two.example", "2xx", 2.0), ("default", "4xx", 1.0)];
    for (site, class, value) in expected {
        reaches(&server, &count(site, class), value);
    }
    let instances = |site: &str| format!("wasi_httpd_instances_limit{{site=\"{site}\"}}");
    assert_eq!(metrics(&server)[&instances("two.example")], 1_000.0);
    // A site that is gone keeps what was counted, and has no instances.
    std::fs::write(&config, text(&["one"])).unwrap();
    server.signal("HUP");
    reaches(&server, "wasi_httpd_reloads_total{what=\"configuration\",outcome=\"succeeded\"}", 1.0);
    assert_eq!(["one.example", "two.example"].map(get), [200, 421]);
    reaches(&server, &count("one.example", "2xx"), 2.0);
    reaches(&server, &count("default", "4xx"), 2.0);
    let samples = metrics(&server);
    assert_eq!(samples[&count("two.example", "2xx")], 2.0);
    assert!(!samples.contains_key(&instances("two.example")));
}
