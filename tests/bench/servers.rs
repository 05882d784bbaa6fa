//! The servers: how each is started for the same directory, and how much CPU time and memory it uses.

use crate::load;
use crate::site::Site;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The core on which servers run by default.
pub const SERVER_CORE: usize = 0;

/// The core on which the load runs.
pub const LOAD_CORE: usize = 1;

/// The length of a tick of the kernel's CPU accounting, in microseconds: Linux has 100 ticks in a second.
const TICK_MICROSECONDS: f64 = 10_000.0;

/// A server that may be installed on this machine.
pub struct Server {
    /// Its name in the report.
    pub name: &'static str,
    /// The command that installs it.
    pub remedy: &'static str,
    program: Option<PathBuf>,
    arguments: fn(&Site, u16) -> Vec<String>,
}

/// A running server.
pub struct Running {
    /// Its name in the report.
    pub name: &'static str,
    /// The address at which it listens.
    pub address: SocketAddr,
    /// Its entity tag for the file of 1 KiB.
    pub etag: Option<String>,
    /// The time from its start to its first answer.
    pub started_in: Duration,
    process: Child,
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// A program that cargo has built in the directory of this one.
fn beside(program: &str) -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?.with_file_name(program);
    path.is_file().then_some(path)
}

fn root(site: &Site) -> String {
    site.root().display().to_string()
}

fn ours(site: &Site, port: u16, reuse: &str) -> Vec<String> {
    let address = format!("127.0.0.1:{port}");
    ["--quiet", "--listing", "--addr", &address, "--reuse", reuse, "--dir", &root(site)]
        .map(str::to_owned)
        .into()
}

fn wasmtime(site: &Site, port: u16, options: &[&str]) -> Vec<String> {
    let guest = site.outside().join("guest.wasm");
    fs::write(&guest, host::component::BUILT_IN).unwrap();
    let address = format!("127.0.0.1:{port}");
    let dir = root(site);
    let mut arguments = vec!["-Scli", "--addr", &address, "--dir", &dir, "--env", "FILES_LISTING=on"];
    arguments.extend(options);
    arguments.into_iter().map(str::to_owned).chain([guest.display().to_string()]).collect()
}

fn nginx(site: &Site, port: u16, name: &str, cache: &str) -> Vec<String> {
    let folder = site.outside().join(format!("{name}-{port}"));
    fs::create_dir_all(&folder).unwrap();
    let config = folder.join("nginx.conf");
    let text = format!(
        "daemon off; worker_processes 1; pid {folder}/pid; error_log /dev/null; user root;
        events {{ worker_connections 20000; }}
        http {{
            access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; {cache}
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
            server {{ listen 127.0.0.1:{port} backlog=1024; root {root}; autoindex on; }}
        }}",
        folder = folder.display(),
        root = root(site)
    );
    fs::write(&config, text).unwrap();
    vec!["-c".to_owned(), config.display().to_string()]
}

/// A program around Tornado's handler for static files. Its arguments are the directory and the port.
const TORNADO: &str = "import sys, tornado.web, tornado.ioloop
tornado.web.Application([(r'/(.*)', tornado.web.StaticFileHandler, {'path': sys.argv[1]})]).listen(int(sys.argv[2]), '127.0.0.1')
tornado.ioloop.IOLoop.current().start()";

fn has_tornado() -> bool {
    Command::new("python3")
        .args(["-c", "import tornado"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Every server, installed or not.
pub fn all() -> Vec<Server> {
    sandboxed_and_nginx().into_iter().chain(others()).collect()
}

fn sandboxed_and_nginx() -> Vec<Server> {
    let nginx_remedy = "apt-get install nginx-light";
    // Build the host alone: the features of wasmtime that other programs enable make it slower.
    let ours_remedy = "cargo build --release -p host";
    let stock_remedy = "cargo build --release -p stock-runtime";
    vec![
        Server {
            name: "nginx",
            remedy: nginx_remedy,
            program: find("nginx"),
            arguments: |site, port| nginx(site, port, "plain", ""),
        },
        Server {
            name: "nginx, open_file_cache",
            remedy: nginx_remedy,
            program: find("nginx"),
            arguments: |site, port| nginx(site, port, "cache", "open_file_cache max=1000;"),
        },
        Server {
            name: "wasi-httpd, fresh",
            remedy: ours_remedy,
            program: beside("wasi-httpd"),
            arguments: |site, port| ours(site, port, "1"),
        },
        Server {
            name: "wasi-httpd, reused",
            remedy: ours_remedy,
            program: beside("wasi-httpd"),
            arguments: |site, port| ours(site, port, "1000000000"),
        },
        Server {
            name: "wasmtime serve, fresh",
            remedy: stock_remedy,
            program: beside("wasmtime-serve"),
            arguments: |site, port| wasmtime(site, port, &["--max-instance-reuse-count", "1"]),
        },
        Server {
            name: "wasmtime serve, reused",
            remedy: stock_remedy,
            program: beside("wasmtime-serve"),
            arguments: |site, port| wasmtime(site, port, &["--max-instance-reuse-count", "1000"]),
        },
    ]
}

fn others() -> Vec<Server> {
    let python = find("python3");
    vec![
        Server {
            name: "static-web-server",
            remedy: "cargo install static-web-server",
            program: find("static-web-server"),
            arguments: |site, port| {
                let port = port.to_string();
                let root = root(site);
                [
                    "--host",
                    "127.0.0.1",
                    "--port",
                    &port,
                    "--root",
                    &root,
                    "--log-level",
                    "error",
                    "--directory-listing",
                    "true",
                ]
                .map(str::to_owned)
                .into()
            },
        },
        Server {
            name: "Caddy",
            remedy: "apt-get install caddy",
            program: find("caddy"),
            arguments: |site, port| {
                let listen = format!("127.0.0.1:{port}");
                ["file-server", "--browse", "--root", &root(site), "--listen", &listen]
                    .map(str::to_owned)
                    .into()
            },
        },
        Server {
            name: "Tornado",
            remedy: "pip install tornado",
            program: python.clone().filter(|_| has_tornado()),
            arguments: |site, port| vec!["-c".to_owned(), TORNADO.to_owned(), root(site), port.to_string()],
        },
        Server {
            name: "python -m http.server",
            remedy: "apt-get install python3",
            program: python,
            arguments: |site, port| {
                let port = port.to_string();
                [
                    "-m",
                    "http.server",
                    "--protocol",
                    "HTTP/1.1",
                    "--bind",
                    "127.0.0.1",
                    "--directory",
                    &root(site),
                    &port,
                ]
                .map(str::to_owned)
                .into()
            },
        },
    ]
}

impl Server {
    /// Whether it is installed.
    pub fn is_present(&self) -> bool {
        self.program.is_some()
    }

    /// Starts the server on these cores, with these additional options, and waits until it answers.
    pub fn start(&self, site: &Site, cores: &[usize], options: &[&str]) -> Running {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let cores: Vec<_> = cores.iter().map(ToString::to_string).collect();
        let start = Instant::now();
        let process = Command::new("taskset")
            .args(["-c", &cores.join(",")])
            .arg(self.program.as_ref().unwrap())
            .args(options)
            .args((self.arguments)(site, port))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let answer = loop {
            match load::ask(address, "GET /1k.bin HTTP/1.1\r\nHost: bench\r\n\r\n") {
                Ok(answer) => break answer,
                Err(error) => assert!(start.elapsed() < Duration::from_mins(1), "{}: {error}", self.name),
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        Running { name: self.name, address, etag: answer.etag, started_in: start.elapsed(), process }
    }
}

impl Running {
    /// The process and its descendants.
    fn processes(&self) -> Vec<u32> {
        let mut found = vec![self.process.id()];
        let mut at = 0;
        while let Some(&process) = found.get(at) {
            let children =
                fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            at += 1;
        }
        found
    }

    /// The CPU time so far, in microseconds: in user space, and in the kernel.
    pub fn cpu(&self) -> (f64, f64) {
        let mut sum = (0.0, 0.0);
        for process in self.processes() {
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            // Skip the name, which may contain any character and ends with the last parenthesis.
            let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
            sum = (sum.0 + ticks(11) * TICK_MICROSECONDS, sum.1 + ticks(12) * TICK_MICROSECONDS);
        }
        sum
    }

    /// The resident memory, in KiB.
    pub fn memory(&self) -> u64 {
        let resident = |process: u32| -> u64 {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
        };
        self.processes().into_iter().map(resident).sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for process in self.processes().into_iter().rev() {
            let _ = Command::new("kill").arg(process.to_string()).status();
        }
        let _ = self.process.wait();
    }
}
