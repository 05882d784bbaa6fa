//! Handing the listening socket over to a new process, as `docs/operating.md` describes an upgrade: under load, no request
//! is lost.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use tests::tls::{Authority, Files};
use tests::{Client, Process, Site, eventually, programs};

/// How often a new process takes over, unless `HANDOVERS` says something else.
const HANDOVERS: usize = 3;

/// Requests that each process answers before the next one takes over.
const REQUESTS: usize = 400;

/// Requests of each client on one connection.
const KEPT: [usize; 6] = [1, 1, 2, 10, 100, usize::MAX];

/// What the clients have seen.
#[derive(Debug, Default)]
struct Seen {
    /// Whole answers.
    answered: AtomicUsize,
    /// Connections that ended before a byte of an answer to the request on them.
    closed: AtomicUsize,
}

/// Tells the clients to stop, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn handovers() -> usize {
    std::env::var("HANDOVERS").map_or(HANDOVERS, |text| text.parse().unwrap())
}

/// Starts a process that has this listener, and waits until it is ready.
fn start(listener: &TcpListener, site: &Site, options: &[&str]) -> Process {
    let (mut command, copies) = programs!().activated([listener.try_clone().unwrap().into()]);
    let process = Process::start(command.args(options).arg("--dir").arg(site.root()));
    drop(copies);
    process.wait_for_error(|line| line.starts_with("Listening on http"));
    process
}

/// Sends requests until it is told to stop, up to `kept` on each connection. Where a connection ends before a byte of an
/// answer, the request is repeated once, on a new one (RFC 9110 §9.2.2).
fn ask(connect: impl Fn() -> Client, kept: usize, content: &[u8], stop: &AtomicBool, seen: &Seen) {
    let mut connection = None;
    let mut used = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut tries = 2;
        loop {
            tries -= 1;
            let client = connection.get_or_insert_with(&connect);
            client.try_send("GET /page.html HTTP/1.1\r\nHost: localhost\r\n\r\n");
            if !client.is_answered() {
                seen.closed.fetch_add(1, Ordering::Relaxed);
                assert!(tries > 0, "a request was lost twice");
                (connection, used) = (None, 0);
                continue;
            }
            let response = client.response("GET");
            assert!((response.status, response.complete) == (200, true), "{response:?}");
            assert!(response.body == content);
            seen.answered.fetch_add(1, Ordering::Relaxed);
            used += 1;
            if used == kept || response.header("connection") == Some("close") {
                (connection, used) = (None, 0);
            }
            break;
        }
    }
}

/// Has one process after another take over while clients send requests. Returns how many connections ended before a byte
/// of an answer.
fn hand_over(site: &Site, options: &[&str], connect: impl Fn(SocketAddr) -> Client + Sync) -> usize {
    let content: Vec<u8> = (0..=250).cycle().take(20_000).collect();
    site.file("page.html", &content);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut process = start(&listener, site, options);
    let (stop, seen) = (AtomicBool::new(false), Seen::default());
    let mut logged = 0;
    let (connect, content, stop, seen_by_all) = (&|| connect(address), &content, &stop, &seen);
    thread::scope(|scope| {
        let stopping = Stop(stop);
        let clients = KEPT.map(|kept| scope.spawn(move || ask(connect, kept, content, stop, seen_by_all)));
        let answered = |count| {
            eventually("requests are answered", || {
                seen.answered.load(Ordering::Relaxed) >= count
                    || clients.iter().any(thread::ScopedJoinHandle::is_finished)
            });
        };
        let mut end = |process: Process| {
            let (status, log, lines) = process.wait();
            assert_eq!(status.code(), Some(0), "{lines:#?}");
            logged += log.iter().filter(|line| line.contains("\" 200 20000 ")).count();
            assert!(!lines.iter().any(|line| line.starts_with("wasi-httpd: error")), "{lines:#?}");
        };
        for number in 1..=handovers() {
            answered(number * REQUESTS);
            let next = start(&listener, site, options);
            process.signal("TERM");
            end(std::mem::replace(&mut process, next));
        }
        answered((handovers() + 1) * REQUESTS);
        drop(stopping);
        for client in clients {
            client.join().unwrap();
        }
        process.signal("TERM");
        end(process);
    });
    let Seen { answered, closed } = seen;
    let (answered, closed) = (answered.into_inner(), closed.into_inner());
    println!("{answered} requests were answered, and {closed} repeated");
    // What was repeated had not been answered.
    assert_eq!(logged, answered);
    closed
}

#[test]
fn no_request_is_lost_while_a_new_process_takes_over() {
    hand_over(&Site::new(), &[], Client::connect);
}

#[test]
fn no_request_is_lost_over_tls_either() {
    let site = Site::new();
    let authority = Authority::new();
    let files = Files::write(site.outside(), "localhost", &authority.issue(&["localhost"]));
    let clients = authority.clients();
    hand_over(&site, &files.flags(), |address| Client::connect_over_tls(address, &clients));
}

/// Clients whose answers say that the connection ends need not repeat anything.
#[test]
fn with_a_grace_period_no_request_is_repeated() {
    assert_eq!(hand_over(&Site::new(), &["--grace", "1"], Client::connect), 0);
}
