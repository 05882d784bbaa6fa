//! The servers: which there are, where their programs are, and how each is started.

use crate::cases::Service;
use crate::commands::{self, Launch};
use crate::running::Running;
use crate::site::Site;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The core on which servers run by default.
pub const SERVER_CORE: usize = 0;

/// The core on which the load runs.
pub const LOAD_CORE: usize = 1;

/// Names of servers with which others are compared, or which are measured in a way of their own.
pub const NGINX: &str = "nginx";
pub const RESTORED: &str = "wasi-httpd, restored";
pub const NEW: &str = "wasi-httpd, new";
pub const WASMTIME_SERVE: &str = "wasmtime serve, fresh";
pub const WASMTIME_SERVE_P3: &str = "wasmtime serve, 0.3 fresh";
pub const WASMTIME_SERVE_P3_REUSED: &str = "wasmtime serve, 0.3 reused";
pub const STATIC_WEB_SERVER: &str = "static-web-server";
pub const CADDY: &str = "Caddy";

/// Where the program of a server comes from.
#[derive(Clone, Copy, Debug)]
enum Program {
    /// Cargo has built it from this workspace.
    Built(&'static str),
    /// It is installed on the machine.
    Installed(&'static str),
    /// A module of Python.
    Python(&'static str),
}

/// A server that may be installed on this machine.
#[derive(Debug)]
pub struct Server {
    /// Its name on the command line.
    pub key: &'static str,
    /// Its name in the report.
    pub name: &'static str,
    /// The command that installs it.
    pub remedy: &'static str,
    program: Program,
    services: &'static [Service],
    arguments: fn(&Launch<'_>) -> Vec<String>,
}

// Build the host alone: the features of wasmtime that other programs enable make it slower.
const OURS: Server = Server {
    key: "restored",
    name: RESTORED,
    remedy: "cargo build --release -p host",
    program: Program::Built("wasi-httpd"),
    services: &[Service::Files, Service::Rules, Service::Hello],
    arguments: |launch| commands::ours(launch, &[]),
};

const STOCK: Server = Server {
    key: "wasmtime",
    name: WASMTIME_SERVE,
    remedy: "cargo build --release -p stock-runtime",
    program: Program::Built("wasmtime-serve"),
    services: &[Service::Files, Service::Hello],
    arguments: |launch| commands::wasmtime(launch, "1"),
};

const PLAIN_NGINX: Server = Server {
    key: "nginx",
    name: NGINX,
    remedy: "apt-get install nginx-light",
    program: Program::Installed("nginx"),
    services: &[Service::Files],
    arguments: |launch| commands::nginx(launch, ""),
};

/// Every server, installed or not.
pub const SERVERS: &[Server] = &[
    PLAIN_NGINX,
    Server {
        key: "nginx-cache",
        name: "nginx, open_file_cache",
        arguments: |launch| commands::nginx(launch, "open_file_cache max=1000;"),
        ..PLAIN_NGINX
    },
    OURS,
    Server {
        key: "new",
        name: NEW,
        arguments: |launch| commands::ours(launch, &["--instances", "new"]),
        ..OURS
    },
    Server {
        key: "component",
        name: "wasi-httpd, component",
        arguments: |launch| commands::ours(launch, &["--executor", "component"]),
        ..OURS
    },
    Server {
        key: "component-reused",
        name: "wasi-httpd, component reused",
        arguments: |launch| {
            commands::ours(launch, &["--executor", "component", "--reuse", commands::UNLIMITED])
        },
        ..OURS
    },
    STOCK,
    Server {
        key: "wasmtime-reused",
        name: "wasmtime serve, reused",
        arguments: |launch| commands::wasmtime(launch, commands::REUSED),
        ..STOCK
    },
    Server {
        key: "p3",
        name: "wasi-httpd, 0.3 fresh",
        services: &[Service::Files],
        arguments: |launch| commands::ours_p3(launch, "1"),
        ..OURS
    },
    Server {
        key: "p3-reused",
        name: "wasi-httpd, 0.3 reused",
        services: &[Service::Files],
        arguments: |launch| commands::ours_p3(launch, commands::REUSED),
        ..OURS
    },
    Server {
        key: "wasmtime-p3",
        name: WASMTIME_SERVE_P3,
        services: &[Service::Files],
        arguments: |launch| commands::wasmtime_p3(launch, "1"),
        ..STOCK
    },
    Server {
        key: "wasmtime-p3-reused",
        name: WASMTIME_SERVE_P3_REUSED,
        services: &[Service::Files],
        arguments: |launch| commands::wasmtime_p3(launch, commands::REUSED),
        ..STOCK
    },
    Server {
        key: "sws",
        name: STATIC_WEB_SERVER,
        remedy: "cargo install static-web-server",
        program: Program::Installed("static-web-server"),
        services: &[Service::Files],
        arguments: commands::static_web_server,
    },
    Server {
        key: "caddy",
        name: CADDY,
        remedy: "apt-get install caddy",
        program: Program::Installed("caddy"),
        services: &[Service::Files],
        arguments: commands::caddy,
    },
    Server {
        key: "tornado",
        name: "Tornado",
        remedy: "pip install tornado",
        program: Program::Python("tornado"),
        services: &[Service::Files],
        arguments: commands::tornado,
    },
    Server {
        key: "python",
        name: "python -m http.server",
        remedy: "apt-get install python3",
        program: Program::Python("http.server"),
        services: &[Service::Files],
        arguments: commands::python,
    },
];

/// The names of all servers on the command line.
pub fn keys() -> impl Iterator<Item = &'static str> {
    SERVERS.iter().map(|server| server.key)
}

/// A server and its program on this machine.
#[derive(Debug)]
pub struct Present {
    /// The server.
    pub server: &'static Server,
    program: PathBuf,
}

impl Server {
    /// Looks for the program; `built` is where cargo has put those of this workspace.
    pub fn find(&'static self, built: &Path) -> Option<Present> {
        let program = match self.program {
            Program::Built(name) => Some(built.join(name)).filter(|path| path.is_file()),
            Program::Installed(name) => installed(name),
            Program::Python(module) => installed("python3").filter(|python| has_module(python, module)),
        };
        program.map(|program| Present { server: self, program })
    }
}

impl Present {
    /// Its name in the report.
    pub fn name(&self) -> &'static str {
        self.server.name
    }

    /// Whether it is wasi-httpd, with whatever options.
    pub fn is_ours(&self) -> bool {
        self.name().starts_with("wasi-httpd")
    }

    /// Whether it can serve this.
    pub fn serves(&self, service: Service) -> bool {
        self.server.services.contains(&service)
    }

    /// Starts the server for the files of the site on the server's core.
    pub fn start(&self, site: &Site) -> Running {
        self.start_with(site, Service::Files, &[SERVER_CORE], &[])
    }

    /// Starts the server on these cores, with these additional options, and waits until it answers.
    pub fn start_with(&self, site: &Site, service: Service, cores: &[usize], options: &[&str]) -> Running {
        Running::start(self.name(), &self.program, cores, |port| {
            let arguments = (self.server.arguments)(&Launch { site, port, service });
            options.iter().map(|&option| option.to_owned()).chain(arguments).collect()
        })
    }
}

fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

fn has_module(python: &Path, module: &str) -> bool {
    Command::new(python)
        .args(["-c", &format!("import {module}")])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
