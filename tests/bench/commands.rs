//! The command line of each server.

use crate::cases::Service;
use crate::site::Site;
use std::fs;
use std::path::PathBuf;

/// A number of requests that no run reaches.
pub const UNLIMITED: &str = "1000000000";

/// How many requests a reused instance answers on `wasmtime serve`, and one of WASI 0.3 on either runtime.
pub const REUSED: &str = "1000";

/// What a server is started for.
#[derive(Clone, Copy)]
pub struct Launch<'a> {
    /// The site.
    pub site: &'a Site,
    /// The port at 127.0.0.1.
    pub port: u16,
    /// What is served.
    pub service: Service,
}

impl Launch<'_> {
    fn root(&self) -> String {
        self.site.root().display().to_string()
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Writes a component to a file.
    fn component(&self, name: &str, component: &[u8]) -> String {
        let path = self.site.outside().join(name);
        fs::write(&path, component).unwrap();
        path.display().to_string()
    }

    fn hello(&self) -> String {
        self.component("hello.wasm", tests::guests::HELLO)
    }
}

fn owned<const N: usize>(arguments: [&str; N]) -> Vec<String> {
    arguments.map(str::to_owned).into()
}

/// wasi-httpd with these options.
pub fn ours(launch: &Launch<'_>, options: &[&str]) -> Vec<String> {
    let mut arguments = owned(["--quiet", "--addr", &launch.address()]);
    arguments.extend(options.iter().map(|&option| option.to_owned()));
    match launch.service {
        Service::Files => arguments.extend(owned(["--listing", "--dir", &launch.root()])),
        Service::Rules => arguments.extend(owned(["--rules", "--dir", &launch.root()])),
        Service::Hello => arguments.push(launch.hello()),
    }
    arguments
}

/// `wasmtime serve` with instances that answer this many requests.
pub fn wasmtime(launch: &Launch<'_>, reuse: &str) -> Vec<String> {
    let mut arguments = owned(["-Scli", "--addr", &launch.address(), "--max-instance-reuse-count", reuse]);
    match launch.service {
        Service::Files | Service::Rules => {
            arguments.extend(owned(["--dir", &launch.root(), "--env", "FILES_LISTING=on"]));
            arguments.push(launch.component("guest.wasm", &host::component::BUILT_IN));
        }
        Service::Hello => arguments.push(launch.hello()),
    }
    arguments
}

/// The file server for WASI 0.3, and the directory and settings that it is given on either runtime.
fn files_p3(launch: &Launch<'_>) -> Vec<String> {
    let component = launch.component("guest-p3.wasm", &host::component::BUILT_IN_P3);
    owned(["--dir", &launch.root(), "--env", "FILES_LISTING=on", &component])
}

/// wasi-httpd with the file server for WASI 0.3, whose instances answer this many requests, one after another.
pub fn ours_p3(launch: &Launch<'_>, reuse: &str) -> Vec<String> {
    [owned(["--quiet", "--addr", &launch.address(), "--reuse", reuse]), files_p3(launch)].concat()
}

/// `wasmtime serve` with the file server for WASI 0.3, whose instances answer this many requests, one after another.
pub fn wasmtime_p3(launch: &Launch<'_>, reuse: &str) -> Vec<String> {
    let address = launch.address();
    let reuse = ["--max-instance-reuse-count", reuse, "--max-instance-concurrent-reuse-count", "1"];
    [owned(["-Scli", "--addr", &address]), owned(reuse), files_p3(launch)].concat()
}

/// nginx with one worker, without `tcp_nopush`, which costs two system calls per answer.
pub fn nginx(launch: &Launch<'_>, cache: &str) -> Vec<String> {
    let folder: PathBuf = launch.site.outside().join(format!("nginx-{}", launch.port));
    fs::create_dir_all(&folder).unwrap();
    let config = folder.join("nginx.conf");
    let text = format!(
        "daemon off; worker_processes 1; pid {folder}/pid; error_log /dev/null; user root;
        events {{ worker_connections 20000; }}
        http {{
            access_log off; sendfile on; keepalive_requests {UNLIMITED}; {cache}
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
            server {{ listen {address} backlog=1024; root {root}; autoindex on; }}
        }}",
        folder = folder.display(),
        address = launch.address(),
        root = launch.root()
    );
    fs::write(&config, text).unwrap();
    owned(["-c", &config.display().to_string()])
}

/// static-web-server.
pub fn static_web_server(launch: &Launch<'_>) -> Vec<String> {
    let (port, root) = (launch.port.to_string(), launch.root());
    let address = ["--host", "127.0.0.1", "--port", &port, "--root", &root];
    [owned(address), owned(["--log-level", "error", "--directory-listing", "true"])].concat()
}

/// Caddy.
pub fn caddy(launch: &Launch<'_>) -> Vec<String> {
    owned(["file-server", "--browse", "--root", &launch.root(), "--listen", &launch.address()])
}

/// A program around Tornado's handler for static files. Its arguments are the directory and the port.
const TORNADO: &str = "import sys, tornado.web, tornado.ioloop
tornado.web.Application([(r'/(.*)', tornado.web.StaticFileHandler, {'path': sys.argv[1]})]).listen(int(sys.argv[2]), '127.0.0.1')
tornado.ioloop.IOLoop.current().start()";

/// Tornado.
pub fn tornado(launch: &Launch<'_>) -> Vec<String> {
    owned(["-c", TORNADO, &launch.root(), &launch.port.to_string()])
}

/// The server of Python's standard library.
pub fn python(launch: &Launch<'_>) -> Vec<String> {
    let (port, root) = (launch.port.to_string(), launch.root());
    let server = ["-m", "http.server", "--protocol", "HTTP/1.1", "--bind", "127.0.0.1"];
    [owned(server), owned(["--directory", &root, &port])].concat()
}
