//! Three replicas behind Debian's haproxy, which has to be installed, are replaced one by one under load, by ones with other
//! content and back. No request fails, and no client gets a 304 or a range of a version that it does not have.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tests::process::{Process, eventually};
use tests::site::{MODIFIED_SECONDS, Site, noise};
use tests::{Client, Response, Runtime, Server, programs};

/// Clients, each with a connection that it keeps.
const CLIENTS: usize = 200;

/// Seconds that a replica serves on while `/readyz` fails: many times as long as haproxy takes to notice.
const GRACE: &str = "5";

/// The files that clients ask for, with their lengths. The last one is sent by `sendfile`.
const FILES: [(&str, usize); 3] = [("small.txt", 1000), ("page.html", 20_000), ("large.bin", 300_000)];

/// A file that does not fit into the buffers between a replica and a client that does not read.
const DOWNLOAD: (&str, usize) = ("download.bin", 16 << 20);

/// How far a client reads it before it stops.
const BEGINNING: usize = 1 << 20;

/// A version of the content. Each byte of each file is different in the other one, and lengths are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    A,
    B,
}

impl Version {
    const ALL: [Self; 2] = [Self::A, Self::B];

    fn bit(self) -> u8 {
        1 << self as u8
    }

    fn content(self, length: usize) -> Vec<u8> {
        let mut bytes = noise(length);
        if self == Self::B {
            for byte in &mut bytes {
                *byte = !*byte;
            }
        }
        bytes
    }

    /// When all files were modified, by a build: in whole seconds.
    fn modified(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(MODIFIED_SECONDS + 3600 * self as u64)
    }
}

/// What the server may say of a file, and what the file is.
#[derive(Debug)]
struct Published {
    is: Version,
    tag: String,
    modified: String,
    content: Vec<u8>,
}

/// The versions of each file, by its target.
type Catalogue = BTreeMap<String, [Published; 2]>;

/// A replica: its content in both versions, as copies of its own, and its addresses.
struct Replica {
    name: String,
    sites: [Site; 2],
    address: SocketAddr,
    admin: SocketAddr,
}

impl Replica {
    /// Chooses ports at an address that no connection comes from, so that none takes them while the replica restarts.
    fn new(at: u8) -> Self {
        let sites = Version::ALL.map(|version| {
            let site = Site::new();
            for (name, length) in FILES.into_iter().chain([DOWNLOAD]) {
                site.file_modified(name, version.content(length), version.modified());
            }
            site
        });
        let [address, admin] = free_addresses([127, 0, 0, 20 + at]);
        Self { name: format!("r{at}"), sites, address, admin }
    }

    fn start(&self, version: Version) -> Server {
        let mut command = programs!().command();
        command.args(["--addr", &self.address.to_string(), "--admin", &self.admin.to_string()]);
        command.args(["--etag=mtime", "--grace", GRACE, "--drain-timeout", "60"]);
        command.arg("--dir").arg(self.sites[version as usize].root());
        Server::start(Runtime::Ours, command)
    }
}

fn free_addresses<const N: usize>(host: [u8; 4]) -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind(SocketAddr::from((host, 0))).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

/// haproxy in front of the replicas. It asks each for `/readyz`, and never repeats a request.
struct Haproxy {
    _process: Process,
    address: SocketAddr,
    socket: PathBuf,
}

impl Haproxy {
    fn start(place: &Path, replicas: &[Replica]) -> Self {
        let [address] = free_addresses([127, 0, 0, 20]);
        let socket = place.join("stats");
        let servers: String = replicas
            .iter()
            .map(|Replica { name, address, admin, .. }| {
                format!("server {name} {address} check addr {} port {}\n", admin.ip(), admin.port())
            })
            .collect();
        let configuration = place.join("haproxy.cfg");
        let text = format!(
            "global
                stats socket {socket}
                maxconn 1000
            defaults
                mode http
                timeout connect 10s
                timeout client 60s
                timeout server 60s
                timeout check 60s
                retries 0
            frontend site
                bind {address}
                default_backend replicas
            backend replicas
                balance roundrobin
                option httpchk GET /readyz
                http-check expect status 200
                http-response set-header replica %s
                default-server inter 200ms fall 1 rise 1
                {servers}",
            socket = socket.display()
        );
        fs::write(&configuration, text).unwrap();
        let mut command = Command::new("haproxy");
        command.args(["-db", "-q", "-f"]).arg(&configuration).stdin(Stdio::null());
        let process = Process::start(&mut command);
        eventually("haproxy has a socket", || UnixStream::connect(&socket).is_ok());
        Self { _process: process, address, socket }
    }

    /// The statistics of each server by its name, and of the whole backend as `BACKEND`.
    fn statistics(&self) -> HashMap<String, HashMap<String, String>> {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.write_all(b"show stat\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let mut lines = text.trim_start_matches("# ").lines().map(|line| line.split(','));
        let names: Vec<_> = lines.next().unwrap().collect();
        let rows = lines.map(|line| names.iter().zip(line).map(|(n, v)| ((*n).to_owned(), v.to_owned())));
        rows.map(Iterator::collect::<HashMap<_, _>>)
            .filter(|row| row.get("pxname").is_some_and(|name| name == "replicas"))
            .map(|row| (row["svname"].clone(), row))
            .collect()
    }

    fn wait_until(&self, replica: &Replica, status: &str) {
        eventually(&format!("{} is {status}", replica.name), || {
            self.statistics()[&replica.name]["status"] == status
        });
    }
}

/// What the replicas say of both versions of each file: the same, apart from their names.
fn catalogue(replicas: &[Replica]) -> Catalogue {
    let said = |replica: &Replica, version: Version| -> Vec<_> {
        let server = replica.start(version);
        FILES
            .into_iter()
            .chain([DOWNLOAD])
            .map(|(name, length)| {
                let target = format!("/{name}");
                let response = server.connect().request("HEAD", &target, &[]);
                let field = |name| response.header(name).unwrap().to_owned();
                let content = version.content(length);
                (
                    target,
                    Published { is: version, tag: field("etag"), modified: field("last-modified"), content },
                )
            })
            .collect()
    };
    let [a, b] = Version::ALL.map(|version| {
        let mut each = replicas.iter().map(|replica| said(replica, version));
        let first = each.next().unwrap();
        for (one, other) in each.flat_map(|other| first.iter().zip(other)) {
            assert!(one.1.tag.starts_with('"'), "{} is weak", one.1.tag);
            assert_eq!((&one.1.tag, &one.1.modified), (&other.1.tag, &other.1.modified), "{}", one.0);
        }
        first
    });
    a.into_iter().zip(b).map(|((target, a), (_, b))| (target, [a, b])).collect()
}

/// What all clients share.
struct Load {
    catalogue: Catalogue,
    proxy: SocketAddr,
    /// The versions that replicas have, as bits.
    served: AtomicU8,
    answered: AtomicUsize,
    is_over: AtomicBool,
}

impl Load {
    /// Waits until there were some more answers for each client.
    fn go_on(&self) {
        let before = self.answered.load(SeqCst);
        let has_failed = || self.is_over.load(SeqCst);
        eventually("more answers", || has_failed() || self.answered.load(SeqCst) >= before + 20 * CLIENTS);
        assert!(!has_failed(), "a client has failed");
    }
}

/// Ends the load, also when the test or a client fails.
struct End<'a>(&'a Load);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, SeqCst);
    }
}

/// How many answers of each kind a client had.
type Counts = BTreeMap<(&'static str, u16), usize>;

/// A client that keeps what it was sent, and asks whether it has changed, or for a part of it.
struct Reader<'a> {
    load: &'a Load,
    connection: Client,
    /// What it has of each file.
    kept: BTreeMap<&'a str, &'a Published>,
    counts: Counts,
    /// A pseudorandom number that is not 0.
    state: u64,
}

impl<'a> Reader<'a> {
    fn new(load: &'a Load, number: usize) -> Self {
        let state = 0x9e37_79b9_7f4a_7c15 ^ (number as u64);
        let connection = Client::connect(load.proxy);
        Self { load, connection, kept: BTreeMap::new(), counts: Counts::new(), state }
    }

    /// A number below this one.
    fn choose(&mut self, below: usize) -> usize {
        // xorshift64
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state >> 33).unwrap() % below
    }

    fn run(mut self) -> Counts {
        let load = self.load;
        let _end = End(load);
        while !load.is_over.load(SeqCst) {
            let (target, versions) = load.catalogue.iter().nth(self.choose(FILES.len() + 1)).unwrap();
            if target.ends_with(DOWNLOAD.0) {
                continue;
            }
            match self.kept.get(&**target) {
                Some(kept) => self.ask_again(target, versions, kept),
                None => self.ask(target, versions),
            }
        }
        self.counts
    }

    /// Sends a request, and gives the answer with the version that it is about.
    fn send(
        &mut self,
        what: &'static str,
        target: &str,
        versions: &'a [Published; 2],
        fields: &[(&str, &str)],
    ) -> (Response, &'a Published) {
        let before = self.load.served.load(SeqCst);
        let response = self.connection.request("GET", target, fields);
        let served = before | self.load.served.load(SeqCst);
        let about = format!("{what} {target} {fields:?}: {} {:?}", response.status, response.headers);
        assert!(response.complete, "an answer ends early: {about}");
        *self.counts.entry((what, response.status)).or_default() += 1;
        self.load.answered.fetch_add(1, SeqCst);
        if response.header("connection") == Some("close") {
            self.connection = Client::connect(self.load.proxy);
        }
        if response.status == 412 {
            // It tells nothing of the version.
            return (response, &versions[0]);
        }
        let tag = response.header("etag");
        let version = versions.iter().find(|published| Some(&*published.tag) == tag);
        let version = version.unwrap_or_else(|| panic!("no version has this tag: {about}"));
        assert!(served & version.is.bit() != 0, "no replica has this version: {about}");
        // A 304, and a part that `If-Range` has asked for, need not repeat the date (RFC 9110 §15.3.7, §15.4.5).
        let modified = response.header("last-modified");
        assert!(modified.is_none_or(|modified| modified == version.modified), "{about}");
        match response.status {
            200 => {
                assert!(response.body == version.content, "not the bytes of the version: {about}");
            }
            206 | 304 => {}
            _ => panic!("a request failed: {about}"),
        }
        (response, version)
    }

    fn ask(&mut self, target: &'a str, versions: &'a [Published; 2]) {
        let (response, version) = self.send("GET", target, versions, &[]);
        assert_eq!(response.status, 200);
        self.kept.insert(target, version);
    }

    /// Asks for a file of which it has a version.
    fn ask_again(&mut self, target: &'a str, versions: &'a [Published; 2], kept: &'a Published) {
        let length = kept.content.len();
        let first = self.choose(length);
        let last = first + self.choose(length - first);
        let range = format!("bytes={first}-{last}");
        let part = |response: &Response, version: &Published| {
            assert_eq!(response.header("content-range"), Some(&*format!("bytes {first}-{last}/{length}")));
            assert!(
                response.body == version.content[first..=last],
                "a part of no version: {range} of {target}"
            );
        };
        let (what, fields): (_, &[_]) = match self.choose(7) {
            0 => return self.ask(target, versions),
            1 => ("If-None-Match", &[("If-None-Match", &*kept.tag)]),
            2 => ("If-Modified-Since", &[("If-Modified-Since", &*kept.modified)]),
            3 => ("If-Range with a tag", &[("Range", &*range), ("If-Range", &*kept.tag)]),
            4 => ("If-Range with a date", &[("Range", &*range), ("If-Range", &*kept.modified)]),
            5 => ("If-Match", &[("Range", &*range), ("If-Match", &*kept.tag)]),
            _ => ("Range", &[("Range", &*range)]),
        };
        let (response, version) = self.send(what, target, versions, fields);
        match (what, response.status) {
            ("If-None-Match", 304) => assert_eq!(version.tag, kept.tag, "it does not have this version"),
            // A date that is later than the file's means that the client has a newer version (RFC 9110 §13.1.3), which it keeps.
            ("If-Modified-Since", 304) => assert!(version.is as u8 <= kept.is as u8),
            ("If-Range with a tag" | "If-Range with a date" | "If-Match", 206) => {
                assert_eq!(version.tag, kept.tag, "a part of a version that it does not have");
                part(&response, version);
            }
            ("Range", 206) => part(&response, version),
            ("If-Match", 412) => {
                self.kept.remove(target);
            }
            ("If-None-Match" | "If-Modified-Since" | "If-Range with a tag" | "If-Range with a date", 200) => {
                self.kept.insert(target, version);
            }
            (what, status) => panic!("{what} got a {status}"),
        }
    }
}

/// Begins a download from this replica, by way of haproxy.
fn begin_download(load: &Load, replica: &Replica) -> (Client, Vec<u8>) {
    loop {
        let mut client = Client::connect(load.proxy);
        client.send(format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", DOWNLOAD.0));
        if client.head().header("replica") == Some(&replica.name) {
            let beginning = client.read(BEGINNING);
            return (client, beginning);
        }
    }
}

/// All kinds of answers that there are to requests about a version.
const ANSWERS: [(&str, u16); 12] = [
    ("GET", 200),
    ("If-None-Match", 200),
    ("If-None-Match", 304),
    ("If-Modified-Since", 200),
    ("If-Modified-Since", 304),
    ("If-Range with a tag", 200),
    ("If-Range with a tag", 206),
    ("If-Range with a date", 200),
    ("If-Range with a date", 206),
    ("If-Match", 206),
    ("If-Match", 412),
    ("Range", 206),
];

#[test]
fn a_rolling_restart_loses_no_request_and_mixes_no_versions() {
    let place = tempfile::tempdir().unwrap();
    let replicas = [1, 2, 3].map(Replica::new);
    let catalogue = catalogue(&replicas);
    let mut servers = replicas.each_ref().map(|replica| Some(replica.start(Version::A)));
    let haproxy = Haproxy::start(place.path(), &replicas);
    for replica in &replicas {
        haproxy.wait_until(replica, "UP");
    }

    let load = Load {
        catalogue,
        proxy: haproxy.address,
        served: AtomicU8::new(Version::A.bit()),
        answered: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
    };
    let counts = std::thread::scope(|scope| {
        let (load, end) = (&load, End(&load));
        let readers: Vec<_> =
            (0..CLIENTS).map(|number| scope.spawn(move || Reader::new(load, number).run())).collect();
        load.go_on();
        for (old, new) in [(Version::A, Version::B), (Version::B, Version::A)] {
            load.served.store(old.bit() | new.bit(), SeqCst);
            for (replica, server) in replicas.iter().zip(&mut servers) {
                let (mut slow, mut body) = begin_download(load, replica);
                let leaving = server.take().unwrap();
                leaving.signal("TERM");
                haproxy.wait_until(replica, "DOWN");
                body.extend(slow.read(DOWNLOAD.1 - BEGINNING));
                assert!(body == old.content(DOWNLOAD.1), "a download from {} is not whole", replica.name);
                assert_ended_well(leaving);
                *server = Some(replica.start(new));
                haproxy.wait_until(replica, "UP");
            }
            load.served.store(new.bit(), SeqCst);
            load.go_on();
        }
        drop(end);
        let mut counts = Counts::new();
        for (kind, count) in readers.into_iter().flat_map(|reader| reader.join().unwrap()) {
            *counts.entry(kind).or_default() += count;
        }
        counts
    });
    println!("{} answers: {counts:?}", counts.values().sum::<usize>());
    assert!(counts.keys().eq(BTreeSet::from(ANSWERS).iter()), "{counts:?}");
    for (name, statistics) in haproxy.statistics() {
        for field in ["econ", "eresp", "wretr", "wredis", "hrsp_5xx"] {
            assert!(matches!(&*statistics[field], "0" | ""), "{name}: {field} is {}", statistics[field]);
        }
    }
    servers.into_iter().flatten().for_each(|server| {
        server.signal("TERM");
        assert_ended_well(server);
    });
}

fn assert_ended_well(server: Server) {
    let (status, _, errors) = server.wait();
    let errors: Vec<_> = errors.iter().filter(|line| line.starts_with("wasi-httpd: error")).collect();
    assert_eq!((status.code(), errors), (Some(0), Vec::<&String>::new()));
}
