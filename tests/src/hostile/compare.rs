//! Servers that have to give the same answers: one for each executor.

use super::functions::Function;
use super::generate::Case;
use super::guest;
use crate::guests::GuestFile;
use crate::{Client, Programs, Response, Runtime, Server, Site};
use std::time::{Duration, SystemTime};

/// The executors, with the options that choose them.
const EXECUTORS: [(&str, &[&str]); 3] =
    [("component", &["--executor", "component"]), ("new", &["--instances", "new"]), ("restored", &[])];

/// How often an answer is asked for again, where the answers differ: a tick of the engine or a busy machine can come in
/// between a response and a trap.
const TRIES: usize = 4;

/// A server for each executor, all of them with the same guest and the same directory.
pub struct Servers {
    running: Vec<Server>,
    _guest: GuestFile,
    _site: Site,
}

/// A connection to each of them.
pub struct Connections<'a> {
    servers: &'a Servers,
    clients: [Option<Client>; 3],
}

impl Servers {
    /// Starts them, with an environment that asks for backtraces, which no guest may see.
    pub fn start(programs: Programs, functions: &[Function]) -> Self {
        let site = Site::new();
        site.file("a.txt", "content of a").file("dir/b.txt", "content of b");
        std::os::unix::fs::symlink("a.txt", site.path("link")).unwrap();
        // Reading them does not change when they were last read, which guests see.
        let read = SystemTime::now() + Duration::from_hours(1);
        for name in ["a.txt", "dir/b.txt", "dir", ""] {
            let file = std::fs::File::open(site.path(name)).unwrap();
            file.set_times(std::fs::FileTimes::new().set_accessed(read)).unwrap();
        }
        let guest = GuestFile::new(guest::component(functions));
        let directory = site.root().to_str().unwrap();
        let common =
            ["--quiet", "--timeout", "1", "--env", "NAME=value", "--env", "EMPTY=", "--dir", directory];
        let servers = EXECUTORS.map(|(_, options)| {
            let mut command = programs.command();
            command.env("RUST_BACKTRACE", "1").args(["--addr", "127.0.0.1:0"]);
            command.args(common).args(options).arg(&guest.path);
            Server::start(Runtime::Ours, command)
        });
        for (server, how) in
            servers.iter().zip(["on the component runtime: ", "directly, in a new", "restored"])
        {
            let line = server.wait_for_error(|line| line.starts_with("Running "));
            assert!(line.contains(how), "{line}");
        }
        Self { running: servers.into(), _guest: guest, _site: site }
    }

    /// What is on their standard error.
    pub fn lines(&self) -> Vec<String> {
        self.running.iter().flat_map(Server::lines).collect()
    }

    /// Connects to each of them.
    pub fn connect(&self) -> Connections<'_> {
        Connections { servers: self, clients: [const { None }; 3] }
    }
}

/// Fields, and a body.
pub type Content = (Vec<(String, String)>, Vec<u8>);

/// What the executors have to agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status; 0 where the connection was closed without an answer.
    pub status: u16,
    /// Whether the body is complete.
    pub is_complete: bool,
    /// The fields without the date, and the body where it is complete.
    pub rest: Option<Content>,
}

impl Answer {
    fn of(response: Response, is_exact: bool) -> Self {
        let Response { status, mut headers, body, complete } = response;
        headers.retain(|(name, _)| name != "date");
        let rest = (is_exact && complete).then_some((headers, body));
        Self { status, is_complete: complete, rest }
    }
}

impl Connections<'_> {
    fn ask(&mut self, which: usize, path: &str) -> Response {
        let server = &self.servers.running[which];
        let client = self.clients[which].get_or_insert_with(|| server.connect());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let response = if client.is_closed() {
            Response { status: 0, headers: Vec::new(), body: Vec::new(), complete: false }
        } else {
            client.response("GET")
        };
        if !response.complete || response.headers.iter().any(|(name, _)| name == "connection") {
            self.clients[which] = None;
        }
        response
    }

    /// Has each executor run a program, and gives the answer of all.
    ///
    /// # Errors
    ///
    /// The answers differ; the text says how.
    pub fn answer(&mut self, case: &Case) -> Result<Answer, String> {
        let mut seen: [Vec<Answer>; 3] = Default::default();
        for _ in 0..TRIES {
            for (which, seen) in seen.iter_mut().enumerate() {
                seen.push(Answer::of(self.ask(which, &case.path), case.is_exact));
            }
            let [first, others @ ..] = &seen;
            if let Some(answer) = first.iter().find(|answer| others.iter().all(|seen| seen.contains(answer)))
            {
                return Ok(answer.clone());
            }
        }
        Err(format!("{:#?}\n{}\n{}", case.calls, difference(&seen), case.path))
    }
}

fn difference(seen: &[Vec<Answer>; 3]) -> String {
    let last = seen.each_ref().map(|answers| answers.last().unwrap());
    let mut lines: Vec<String> = EXECUTORS
        .iter()
        .zip(last)
        .map(|((name, _), answer)| {
            let length = answer.rest.as_ref().map(|(_, body)| body.len());
            format!("{name}: {}, complete: {}, bytes: {length:?}", answer.status, answer.is_complete)
        })
        .collect();
    let [Some(first), others @ ..] = last.map(|answer| answer.rest.as_ref()) else { return lines.join("\n") };
    for (other, (name, _)) in others.into_iter().flatten().zip(&EXECUTORS[1..]) {
        if other.0 != first.0 {
            lines.push(format!("{name}: {:?} instead of {:?}", other.0, first.0));
        }
        let different = (0..).zip(first.1.iter().zip(&other.1)).filter(|(_, (first, other))| first != other);
        let bytes: Vec<(usize, u8, u8)> = different.map(|(at, (a, b))| (at, *a, *b)).take(16).collect();
        if !bytes.is_empty() {
            lines
                .push(format!("{name}: the memory differs (address, component's byte, its byte): {bytes:?}"));
        }
    }
    lines.join("\n")
}
