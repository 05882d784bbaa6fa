//! The kinds of requests, and the answer that each must have.

use crate::site::{LISTED_FILES, Site};
use tests::{Response, browser};

/// What a server serves, in a process for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The files of the site.
    Files,
    /// The files of the site, with its `_redirects` and `_headers`.
    Rules,
    /// The component `hello`, which gives the same answer to every request.
    Hello,
}

/// The head of a request, after `Host`.
#[derive(Clone, Copy, Debug)]
pub enum Head {
    /// No field.
    Bare,
    /// The fields of a browser.
    Browser,
    /// The server's validator, which is current.
    Validator,
    /// A range: its first byte, and its last byte.
    Range(u64, u64),
}

/// What the body of an answer has to be.
#[derive(Clone, Copy, Debug)]
pub enum Body {
    /// A file of the site.
    File(&'static str),
    /// Part of a file of the site: the first byte, and the last byte.
    Part(&'static str, usize, usize),
    /// This text.
    Text(&'static str),
    /// A list of all files in the listed directory.
    Listing,
    /// Anything.
    Any,
}

/// A kind of request.
#[derive(Debug)]
pub struct Case {
    /// Its name on the command line.
    pub key: &'static str,
    /// Its name in the report.
    pub name: &'static str,
    /// What is served.
    pub service: Service,
    /// The path.
    pub target: &'static str,
    /// The head.
    pub head: Head,
    /// The expected status.
    pub status: u16,
    /// The expected body.
    pub body: Body,
    /// Whether it is measured with several numbers of connections and kinds of clients by default.
    pub is_varied: bool,
}

impl Case {
    const fn of(
        key: &'static str,
        name: &'static str,
        target: &'static str,
        status: u16,
        body: Body,
    ) -> Self {
        Self { key, name, service: Service::Files, target, head: Head::Bare, status, body, is_varied: false }
    }

    const fn with(self, head: Head) -> Self {
        Self { head, ..self }
    }

    const fn on(self, service: Service) -> Self {
        Self { service, ..self }
    }

    const fn varied(self) -> Self {
        Self { is_varied: true, ..self }
    }
}

/// The small file and the large one, for what is not about kinds of requests. wasi-httpd at a loopback address accepts
/// only the names of such addresses as `Host`.
pub const SMALL_REQUEST: &str = "GET /1k.bin HTTP/1.1\r\nHost: localhost:8080\r\n\r\n";
pub const LARGE_REQUEST: &str = "GET /100m.bin HTTP/1.1\r\nHost: localhost:8080\r\n\r\n";

/// The small file, for which the overhead of a request dominates.
pub const SMALL: &Case = &CASES[1];

/// Every kind of request.
pub const CASES: &[Case] = &[
    Case::of("0", "0 B", "/0.bin", 200, Body::File("0.bin")),
    Case::of("1k", "1 KiB", "/1k.bin", 200, Body::File("1k.bin")).varied(),
    Case::of("browser", "1 KiB, a browser's head", "/1k.bin", 200, Body::File("1k.bin")).with(Head::Browser),
    Case::of("304", "304", "/1k.bin", 304, Body::Text("")).with(Head::Validator),
    Case::of("404", "404", "/missing.bin", 404, Body::Any),
    Case::of("range", "range of 100 B", "/1k.bin", 206, Body::Part("1k.bin", 0, 99)).with(Head::Range(0, 99)),
    Case::of("64k", "64 KiB", "/64k.bin", 200, Body::File("64k.bin")),
    Case::of("1m", "1 MiB", "/1m.bin", 200, Body::File("1m.bin")),
    Case::of("1m-range", "range of 1 MiB", "/100m.bin", 206, Body::Part("100m.bin", 52_428_800, 53_477_375))
        .with(Head::Range(52_428_800, 53_477_375)),
    Case::of("100m", "100 MiB", "/100m.bin", 200, Body::File("100m.bin")),
    Case::of("listing", "listing of 1,000 entries", "/many/", 200, Body::Listing),
    Case::of("rules", "1 KiB, 20 redirects and 10 headers", "/1k.bin", 200, Body::File("1k.bin"))
        .on(Service::Rules),
    Case::of("hello", "hello", "/", 200, Body::Text("Hello World")).on(Service::Hello).varied(),
];

/// The names of all cases on the command line.
pub fn keys() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|case| case.key)
}

impl Case {
    /// The whole request, for a server with this validator.
    pub fn request(&self, validator: &str) -> String {
        let fields = match self.head {
            Head::Bare => String::new(),
            Head::Browser => {
                browser::FIELDS.map(|(name, value)| format!("{name}: {value}\r\n")).into_iter().collect()
            }
            Head::Validator => format!("{validator}\r\n"),
            Head::Range(first, last) => format!("Range: bytes={first}-{last}\r\n"),
        };
        format!("GET {} HTTP/1.1\r\nHost: localhost:8080\r\n{fields}\r\n", self.target)
    }

    /// What is wrong with an answer, if anything is.
    pub fn fault(&self, site: &Site, answer: &Response) -> Option<String> {
        if answer.status != self.status {
            return Some(format!("the status is {}", answer.status));
        }
        if !answer.complete {
            return Some("the body is incomplete".to_owned());
        }
        if let Some(coding) = answer.header("content-encoding") {
            return Some(format!("the content coding is {coding}"));
        }
        let is_right = match self.body {
            Body::File(name) => answer.body == site.read(name),
            Body::Part(name, first, last) => answer.body == site.read(name)[first..=last],
            Body::Text(text) => answer.body == text.as_bytes(),
            Body::Listing => {
                let body = String::from_utf8_lossy(&answer.body);
                (0..LISTED_FILES).all(|number| body.contains(&Site::listed_file(number)))
            }
            Body::Any => true,
        };
        (!is_right).then(|| format!("another body, of {} bytes", answer.body.len()))
    }
}
