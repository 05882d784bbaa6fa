//! A registry of OCI artifacts in this process, which does as the distribution specification says, or what a test says
//! instead.

use host::oci::digest::Sha256;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A request that has come.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub target: String,
    /// Its fields, with names in lower case.
    pub fields: BTreeMap<String, String>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Asked {
    /// Whether it asks for a manifest.
    pub fn is_manifest(&self) -> bool {
        self.target.contains("/manifests/")
    }

    /// Whether it asks for a blob.
    pub fn is_blob(&self) -> bool {
        self.method == "GET" && self.target.contains("/blobs/")
    }
}

/// What comes back.
pub enum Reply {
    /// A status, fields and a body with its length.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Whatever this writes. Then the connection is closed.
    Written(Box<dyn FnOnce(&mut TcpStream) + Send>),
}

impl Reply {
    /// An answer with this body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::Answer(200, Vec::new(), body.into())
    }

    /// An answer without a body.
    pub fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), Vec::new())
    }

    /// An answer without a body, and with this field.
    pub fn field(status: u16, name: &'static str, value: impl Into<String>) -> Self {
        Self::Answer(status, vec![(name, value.into())], Vec::new())
    }

    /// What this writes.
    pub fn written(write: impl FnOnce(&mut TcpStream) + Send + 'static) -> Self {
        Self::Written(Box::new(write))
    }
}

type Rule = Box<dyn Fn(&Asked) -> Option<Reply> + Send + Sync>;

#[derive(Default)]
struct Shared {
    /// By digest.
    blobs: Mutex<BTreeMap<String, Vec<u8>>>,
    /// By repository, and by tag or digest.
    manifests: Mutex<BTreeMap<(String, String), Vec<u8>>>,
    rule: Mutex<Option<Arc<Rule>>>,
    asked: Mutex<Vec<Asked>>,
    is_over: AtomicBool,
}

/// A registry. It is gone on drop.
pub struct Registry {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::start()
    }
}

impl Registry {
    /// Starts one at a free port of loopback.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if own.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let (stream, shared) = (stream.unwrap(), Arc::clone(&own));
                std::thread::spawn(move || shared.answer(stream));
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    /// Its host and port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The reference of something in it.
    pub fn reference(&self, rest: &str) -> String {
        format!("oci://{}/{rest}", self.address)
    }

    /// Has it do what this says instead, where this says something.
    pub fn rule(&self, rule: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) {
        *self.shared.rule.lock().unwrap() = Some(Arc::new(Box::new(rule)));
    }

    /// Has it do what it should.
    pub fn behave(&self) {
        *self.shared.rule.lock().unwrap() = None;
    }

    /// What has been asked since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap())
    }

    /// Adds a blob. Gives its digest.
    pub fn add_blob(&self, bytes: &[u8]) -> String {
        let digest = Sha256::of(bytes).to_string();
        self.shared.blobs.lock().unwrap().insert(digest.clone(), bytes.to_vec());
        digest
    }

    /// Adds a manifest under its digest, and a tag if there is one. Gives its digest.
    pub fn add_manifest(&self, repository: &str, tag: Option<&str>, bytes: &[u8]) -> String {
        let digest = Sha256::of(bytes).to_string();
        self.shared.name_manifest(repository, tag.unwrap_or(&digest), bytes);
        digest
    }

    /// Replaces the bytes of a blob, and keeps its digest.
    pub fn replace_blob(&self, digest: &str, bytes: &[u8]) {
        self.shared.blobs.lock().unwrap().insert(digest.to_owned(), bytes.to_vec());
    }

    /// The manifest of this name.
    pub fn manifest(&self, repository: &str, name: &str) -> Vec<u8> {
        self.shared.manifests.lock().unwrap()[&(repository.to_owned(), name.to_owned())].clone()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // The last connection that it accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn name_manifest(&self, repository: &str, name: &str, bytes: &[u8]) {
        let mut manifests = self.manifests.lock().unwrap();
        for name in [name.to_owned(), Sha256::of(bytes).to_string()] {
            manifests.insert((repository.to_owned(), name), bytes.to_vec());
        }
    }

    fn answer(&self, mut stream: TcpStream) {
        let Some(asked) = read(&stream) else { return };
        self.asked.lock().unwrap().push(asked.clone());
        let rule = self.rule.lock().unwrap().clone();
        let reply = rule.and_then(|rule| rule(&asked)).unwrap_or_else(|| self.obey(&asked));
        match reply {
            Reply::Written(write) => write(&mut stream),
            Reply::Answer(status, fields, body) => {
                let mut head =
                    format!("HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in fields {
                    let _ = write!(head, "{name}: {value}\r\n");
                }
                head.push_str("\r\n");
                // The client may be gone, as it should be when it has seen enough.
                let _ = stream.write_all(head.as_bytes());
                if asked.method != "HEAD" {
                    let _ = stream.write_all(&body);
                }
            }
        }
    }

    /// Does what the specification says.
    fn obey(&self, asked: &Asked) -> Reply {
        let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        let Some(path) = path.strip_prefix("/v2/") else { return Reply::status(404) };
        let digest = query.split('&').find_map(|pair| pair.strip_prefix("digest="));
        if let Some((repository, name)) = path.split_once("/manifests/") {
            if asked.method == "PUT" {
                self.name_manifest(repository, name, &asked.body);
                return Reply::status(201);
            }
            let manifests = self.manifests.lock().unwrap();
            let found = manifests.get(&(repository.to_owned(), name.to_owned()));
            return found.map_or(Reply::status(404), |bytes| Reply::ok(bytes.clone()));
        }
        match (asked.method.as_str(), path.split_once("/blobs/"), digest) {
            ("POST", Some((_, "uploads/")), _) => {
                Reply::field(202, "Location", format!("/v2/{path}1?state=x"))
            }
            ("PUT", Some(_), Some(digest)) if digest == Sha256::of(&asked.body).to_string() => {
                self.blobs.lock().unwrap().insert(digest.to_owned(), asked.body.clone());
                Reply::status(201)
            }
            ("GET" | "HEAD", Some((_, name)), _) => {
                let found = self.blobs.lock().unwrap().get(name).cloned();
                found.map_or(Reply::status(404), Reply::ok)
            }
            _ => Reply::status(400),
        }
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut fields = BTreeMap::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(": ") else { break };
        fields.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = fields.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, target, fields, body })
}
