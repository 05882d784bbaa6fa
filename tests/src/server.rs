//! A server in a process of its own, on a free port of 127.0.0.1. It is killed on drop.

use crate::client::{Client, Response};
use crate::process::Process;
use crate::site::Site;
use crate::stock;
use crate::tls::{self, Clients};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// The flags for each way in which our host runs a guest: directly, in restored and in new instances, and on the component
/// runtime.
pub const EXECUTORS: [&[&str]; 3] = [&[], &["--instances", "new"], &["--executor", "component"]];

/// The built-in guest, by the version of WASI that it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileServer {
    /// WASI 0.2.
    V02,
    /// WASI 0.2, with Markdown.
    Markdown,
    /// WASI 0.3.
    V03,
}

impl FileServer {
    fn component(self) -> &'static [u8] {
        match self {
            Self::V02 => &host::component::BUILT_IN,
            Self::Markdown => &host::component::BUILT_IN_MARKDOWN,
            Self::V03 => &host::component::BUILT_IN_P3,
        }
    }

    /// Writes the component to a file beside the site.
    fn write(self, site: &Site) -> PathBuf {
        let guest = site.outside().join(format!("{self:?}.wasm"));
        std::fs::write(&guest, self.component()).unwrap();
        guest
    }
}

/// The runtime of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// wasi-httpd.
    Ours,
    /// `wasmtime serve`.
    Stock,
}

/// The programs under test; [`programs!`](crate::programs) names them.
#[derive(Clone, Copy, Debug)]
pub struct Programs {
    /// wasi-httpd.
    pub ours: &'static str,
    /// A directory that outlives the tests, for files that they share.
    pub scratch: &'static str,
}

impl Programs {
    /// The built-in guest on each runtime, serving `site`: for both versions of WASI, and on our host in each way in which it runs
    /// guests. Only our host speaks TLS.
    pub fn each(self, site: &Site) -> impl Iterator<Item = Server> {
        let ours = EXECUTORS.into_iter().map(move |flags| self.ours(site, flags));
        let ours_v03 = std::iter::once_with(move || self.ours_v03(site, &[]));
        let stock = tls::everywhere().is_none().then_some([FileServer::V02, FileServer::V03]);
        let stock = stock.into_iter().flatten().map(move |guest| self.stock(site, guest));
        ours.chain(ours_v03).chain(stock)
    }

    /// The built-in guest on our host, with these options.
    pub fn ours(self, site: &Site, options: &[&str]) -> Server {
        let mut command = self.command();
        command.args(["--addr", "127.0.0.1:0", "--dir"]).arg(site.root()).args(options);
        for setting in site.settings() {
            command.args(["--env", &setting]);
        }
        Server::start(Runtime::Ours, command)
    }

    /// The built-in guest for WASI 0.3 on our host, from a file, with these options.
    pub fn ours_v03(self, site: &Site, options: &[&str]) -> Server {
        let mut command = self.command();
        command.args(["--addr", "127.0.0.1:0", "--dir"]).arg(site.root()).args(options);
        for setting in site.settings() {
            command.args(["--env", &setting]);
        }
        command.arg(FileServer::V03.write(site));
        Server::start(Runtime::Ours, command).with_guest(FileServer::V03)
    }

    /// The built-in guest on another build of our host, with these options. `program`, with its arguments, runs the
    /// host.
    pub fn ours_under(self, program: &[&str], host: &Path, site: &Site, options: &[&str]) -> Server {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg(host).env("XDG_CACHE_HOME", self.scratch);
        command.args(["--addr", "127.0.0.1:0", "--dir"]).arg(site.root()).args(options);
        Server::start(Runtime::Ours, command)
    }

    /// Another guest on our host, with these options.
    pub fn ours_with_guest(self, guest: &Path, options: &[&str]) -> Server {
        let mut command = self.command();
        command.args(["--addr", "127.0.0.1:0"]).args(options).arg(guest);
        Server::start(Runtime::Ours, command)
    }

    /// Our host, without arguments.
    pub fn command(self) -> Command {
        let mut command = Command::new(self.ours);
        // Do not use the cache of the user who runs the tests.
        command.env("XDG_CACHE_HOME", self.scratch);
        command
    }

    /// The built-in guest on `wasmtime serve`.
    pub fn stock(self, site: &Site, guest: FileServer) -> Server {
        self.stock_with(site, guest, &[])
    }

    /// The built-in guest on `wasmtime serve` with these options.
    pub fn stock_with(self, site: &Site, guest: FileServer, options: &[&str]) -> Server {
        let mut command = self.stock_command();
        command.args(options);
        command.arg("--dir").arg(site.root());
        for setting in site.settings() {
            command.args(["--env", &setting]);
        }
        command.arg(guest.write(site));
        Server::start(Runtime::Stock, command).with_guest(guest)
    }

    /// Another guest on `wasmtime serve`.
    pub fn stock_with_guest(self, guest: &Path) -> Server {
        let mut command = self.stock_command();
        command.arg(guest);
        Server::start(Runtime::Stock, command)
    }

    /// Another guest on `wasmtime serve`, with a directory.
    pub fn stock_with_guest_and_directory(self, guest: &Path, directory: &Path) -> Server {
        let mut command = self.stock_command();
        command.arg("--dir").arg(directory).arg(guest);
        Server::start(Runtime::Stock, command)
    }

    fn stock_command(self) -> Command {
        let mut command = Command::new(stock::program());
        command.env("XDG_CACHE_HOME", self.scratch);
        command.args(["-Scli", "--addr", "127.0.0.1:0"]);
        command
    }

    /// `wasi-httpd run` with these options, this guest and its arguments.
    pub fn run(self, options: &[&str], guest: &Path, arguments: &[&str]) -> Command {
        let mut command = self.command();
        command.arg("run").args(options).arg(guest).args(arguments).stdin(Stdio::null());
        command
    }
}

/// A line such as `guest stderr [3f2a9c1e5b7d0a42]: text` as `guest stderr: text`; `None` for one that is not a guest's or
/// has no tag.
fn untagged(line: &str) -> Option<String> {
    let (start, rest) = line.split_once(" [")?;
    let (id, text) = rest.split_once("]: ")?;
    let is_one = matches!(start, "guest stdout" | "guest stderr")
        && id.len() == 16
        && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| format!("{start}: {text}"))
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    runtime: Runtime,
    guest: FileServer,
    address: SocketAddr,
    /// Who connects to it, if it speaks TLS.
    clients: Option<Clients>,
    process: Process,
}

impl Server {
    /// Starts a server and waits until it prints the address at which it listens. Ours speaks TLS where all tests are to be
    /// over TLS.
    pub fn start(runtime: Runtime, mut command: Command) -> Self {
        let everywhere = tls::everywhere().filter(|_| runtime == Runtime::Ours);
        if let Some((files, _)) = everywhere {
            command.args(files.flags());
        }
        let process = Process::start(command.stdin(Stdio::null()));
        let sentence = match runtime {
            Runtime::Ours => "Listening on http",
            Runtime::Stock => "Serving HTTP on http",
        };
        let line = process.wait_for_error(|line| line.starts_with(sentence));
        let (_, address) = line.split_once("://").unwrap();
        let address = address.trim_end_matches('/').parse().unwrap();
        let clients = everywhere.map(|(_, clients)| clients.clone());
        Self { runtime, guest: FileServer::V02, address, clients, process }
    }

    fn with_guest(mut self, guest: FileServer) -> Self {
        self.guest = guest;
        self
    }

    /// The same server, to which these clients connect.
    #[must_use]
    pub fn with_clients(mut self, clients: Clients) -> Self {
        self.clients = Some(clients);
        self
    }

    /// The runtime of this server.
    pub fn runtime(&self) -> Runtime {
        self.runtime
    }

    /// Which file server it runs, where it runs one of ours.
    pub fn guest(&self) -> FileServer {
        self.guest
    }

    /// Whether the file server reads the files of rules for each request. Our host reads them for its built-in guest, once.
    pub fn rules_are_read_by_the_guest(&self) -> bool {
        self.runtime == Runtime::Stock || self.guest == FileServer::V03
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The address at which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of `--admin`, once it answers.
    pub fn admin_address(&self) -> SocketAddr {
        let line = self.wait_for_error(|line| line.starts_with("Admin on http://"));
        let (_, address) = line.split_once("://").unwrap();
        address.trim_end_matches('/').parse().unwrap()
    }

    /// Sends a GET to `--admin`, on a new connection.
    pub fn admin(&self, target: &str) -> Response {
        Client::connect(self.admin_address()).request("GET", target, &[])
    }

    /// The values of samples of `/metrics` of `--admin` at one moment. They are named with their labels, as it is written.
    pub fn metrics<const COUNT: usize>(&self, samples: [&str; COUNT]) -> [u64; COUNT] {
        let metrics = self.admin("/metrics");
        samples.map(|sample| {
            let mut lines = metrics.text().lines();
            let value = lines.find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
            value.unwrap_or_else(|| panic!("no {sample} in {}", metrics.text())).parse().unwrap()
        })
    }

    /// The value of one sample.
    pub fn metric(&self, sample: &str) -> u64 {
        let [value] = self.metrics([sample]);
        value
    }

    /// A new connection.
    pub fn connect(&self) -> Client {
        match &self.clients {
            Some(clients) => Client::connect_over_tls(self.address, clients),
            None => Client::connect(self.address),
        }
    }

    /// Sends a GET on a new connection.
    pub fn get(&self, target: &str) -> Response {
        self.connect().request("GET", target, &[])
    }

    /// Sends a GET with these fields on a new connection.
    pub fn get_with(&self, target: &str, fields: &[(&str, &str)]) -> Response {
        self.connect().request("GET", target, fields)
    }

    /// Sends this many requests for `/`, over this many connections at once, and expects this body each time.
    pub fn answers_all(&self, requests: usize, connections: usize, body: &str) {
        std::thread::scope(|scope| {
            for _ in 0..connections {
                scope.spawn(|| {
                    let mut client = self.connect();
                    for _ in 0..requests / connections {
                        let response = client.request("GET", "/", &[]);
                        assert_eq!((response.status, response.text(), response.complete), (200, body, true));
                    }
                });
            }
        });
        assert_eq!(self.errors(), Vec::<String>::new());
    }

    /// Waits for the first line of the access log that `wanted` accepts.
    pub fn wait_for_log(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.process.wait_for_output(wanted)
    }

    /// Waits for the first line on standard error that `wanted` accepts.
    pub fn wait_for_error(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.process.wait_for_error(wanted)
    }

    /// Waits for the first line of a guest on standard error that `wanted` accepts. The tag of its request is left out.
    pub fn wait_for_guest(&self, wanted: impl Fn(&str) -> bool) {
        self.wait_for_error(|line| untagged(line).is_some_and(|line| wanted(&line)));
    }

    /// The lines on standard error so far that a guest has printed, without the tags of their requests.
    pub fn guest_lines(&self) -> Vec<String> {
        self.process.errors().iter().filter_map(|line| untagged(line)).collect()
    }

    /// The lines on standard error so far that a guest has printed or that report an error.
    pub fn errors(&self) -> Vec<String> {
        let mut lines = self.process.errors();
        lines.retain(|line| line.starts_with("guest ") || line.starts_with("wasi-httpd: error"));
        lines
    }

    /// All lines on standard error so far.
    pub fn lines(&self) -> Vec<String> {
        self.process.errors()
    }

    /// The resident memory in bytes: the current value, and the peak.
    pub fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// The targets of the open file descriptors.
    pub fn open_files(&self) -> Vec<OsString> {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap();
        files
            .flatten()
            .filter_map(|file| Some(std::fs::read_link(file.path()).ok()?.into_os_string()))
            .collect()
    }

    /// Sends a signal, given by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Waits for the server to exit. Returns its status and the lines on standard output and standard error.
    pub fn wait(self) -> (ExitStatus, Vec<String>, Vec<String>) {
        self.process.wait()
    }
}
