//! Components in a registry that nobody here wrote: Debian's docker-registry, which has to be installed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use host::oci::digest::Sha256;
use serde_json::{Value, json};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;
use tests::guests::HELLO;
use tests::process::{Process, eventually};
use tests::signing::{Cosign, Minisign};
use tests::{Client, Runtime, Server, programs};

/// docker-registry at a free port of loopback.
struct Docker {
    port: u16,
    place: TempDir,
    _process: Process,
}

impl Docker {
    /// Starts it with these lines of its configuration besides.
    fn start(lines: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // It takes no socket that is open, but the kernel gives this number to nobody else so soon.
        drop(listener);
        let content = place.path().join("content");
        let configuration = place.path().join("config.yml");
        fs::write(
            &configuration,
            format!(
                "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n\
                 http: {{addr: '127.0.0.1:{port}'}}\n{lines}",
                content.display()
            ),
        )
        .unwrap();
        let mut command = Command::new("docker-registry");
        let process = Process::start(command.arg("serve").arg(&configuration).stdin(Stdio::null()));
        eventually("docker-registry listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { port, place, _process: process }
    }

    fn reference(&self, rest: &str) -> String {
        format!("oci://localhost:{}/{rest}", self.port)
    }

    /// Writes a file. Gives its path.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.place.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn command(&self) -> Command {
        let mut command = programs!().command();
        command
            .env("XDG_CACHE_HOME", self.place.path().join("cache"))
            .env("DOCKER_CONFIG", self.place.path());
        command
    }

    /// Runs a command. Gives its output, or what it says where it fails.
    fn tries(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.command().args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// Sends something, as cosign does.
    fn puts(&self, target: &str, kind: &str, bytes: &[u8]) {
        let head = format!(
            "PUT {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            bytes.len()
        );
        let mut client = Client::connect(([127, 0, 0, 1], self.port).into());
        assert_eq!(client.send([head.as_bytes(), bytes].concat()).response("PUT").status, 201);
    }

    /// Sends a blob to the repository `a`.
    fn keeps(&self, bytes: &[u8]) {
        let mut client = Client::connect(([127, 0, 0, 1], self.port).into());
        let begun = client.request("POST", "/v2/a/blobs/uploads/", &[("Content-Length", "0")]);
        let place = begun.header("location").unwrap().split_once("/v2/").unwrap().1.to_owned();
        let target = format!("/v2/{place}&digest={}", Sha256::of(bytes));
        self.puts(&target, "application/octet-stream", bytes);
    }

    /// What the repository `a` has there.
    fn gives(&self, rest: &str) -> Value {
        let mut client = Client::connect(([127, 0, 0, 1], self.port).into());
        let accept = ("Accept", "application/vnd.oci.image.manifest.v1+json");
        let response = client.request("GET", &format!("/v2/a/{rest}"), &[accept]);
        assert_eq!(response.status, 200, "{rest}");
        serde_json::from_slice(&response.body).unwrap()
    }

    fn forget(&self) {
        fs::remove_dir_all(self.place.path().join("cache/wasi-httpd")).unwrap();
    }
}

#[test]
fn docker_registry_keeps_components() {
    let docker = Docker::start("");
    let file = docker.file("hello.wasm", HELLO);
    let reference = docker.tries(&["push", &file, &docker.reference("team/hello:1")]).unwrap();
    assert_eq!(docker.tries(&["push", &file, &docker.reference("team/hello:1")]), Ok(reference.clone()));
    let mut command = docker.command();
    command.args(["--addr", "127.0.0.1:0", &reference]);
    assert_eq!(Server::start(Runtime::Ours, command).get("/").text(), "Hello World");
    docker.forget();
    let report = docker.tries(&["inspect", "--allow-tag", &docker.reference("team/hello:1")]).unwrap();
    assert!(report.starts_with(&format!("the guest `{reference}`")), "{report}");
    // Without a tag.
    let reference = docker.tries(&["push", &file, &docker.reference("other")]).unwrap();
    docker.forget();
    docker.tries(&["inspect", &reference]).unwrap();
    let missing = docker.tries(&["inspect", "--allow-tag", &docker.reference("team/hello:2")]).unwrap_err();
    assert!(missing.ends_with("has no such component (404)"), "{missing}");
}

/// The manifest and the configuration of [`HELLO`], as `wkg oci push hello.wasm` of version 0.16 writes them, but for the time in
/// the configuration. `wkg oci pull` takes them.
fn of_wkg(created: &str) -> (Value, Value) {
    let component = Sha256::of(HELLO).to_string();
    let config = json!({
        "created": created,
        "author": null,
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [component],
        "component": {
            "exports": ["wasi:http/incoming-handler@0.2.12"],
            "imports": ["wasi:io/error@0.2.12", "wasi:io/streams@0.2.12", "wasi:http/types@0.2.12"],
            "target": null,
        },
    });
    let bytes = config.to_string();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.wasm.config.v0+json",
            "digest": Sha256::of(bytes.as_bytes()).to_string(),
            "size": bytes.len(),
        },
        "layers": [{
            "mediaType": "application/wasm",
            "digest": component,
            "size": HELLO.len(),
            "annotations": { "org.opencontainers.image.title": "hello.wasm" },
        }],
    });
    (manifest, config)
}

#[test]
fn what_is_pushed_is_what_wkg_pushes() {
    let docker = Docker::start("");
    let file = docker.file("hello.wasm", HELLO);
    docker.tries(&["push", &file, &docker.reference("a:1")]).unwrap();
    let (manifest, config) = of_wkg("1970-01-01T00:00:00Z");
    assert_eq!(docker.gives("manifests/1"), manifest);
    assert_eq!(docker.gives(&format!("blobs/{}", manifest["config"]["digest"].as_str().unwrap())), config);
}

#[test]
fn what_wkg_pushes_is_served() {
    let docker = Docker::start("");
    let minisign = Minisign::new(1);
    let key = docker.file("minisign.pub", minisign.public());
    let (mut manifest, config) = of_wkg("2026-11-28T08:22:49.802553925Z");
    docker.keeps(HELLO);
    docker.keeps(config.to_string().as_bytes());
    let push = |tag: &str, manifest: &Value| {
        let target = format!("/v2/a/manifests/{tag}");
        docker.puts(&target, manifest["mediaType"].as_str().unwrap(), manifest.to_string().as_bytes());
    };
    push("unsigned", &manifest);
    // As `--annotation` sets it.
    let signature = STANDARD.encode(minisign.sign(HELLO));
    manifest["annotations"] = json!({ "wasi-httpd.minisig": signature, "org.example": "other" });
    push("signed", &manifest);
    let mut command = docker.command();
    command.args(["--addr", "127.0.0.1:0", "--allow-tag", &docker.reference("a:unsigned")]);
    assert_eq!(Server::start(Runtime::Ours, command).get("/").text(), "Hello World");
    docker.tries(&["inspect", "--verify-key", &key, &docker.reference("a:signed")]).unwrap();
    let error =
        docker.tries(&["inspect", "--verify-key", &key, &docker.reference("a:unsigned")]).unwrap_err();
    assert!(error.contains("it is not signed"), "{error}");
}

#[test]
fn what_docker_registry_has_lost_or_damaged_does_not_run() {
    let docker = Docker::start("");
    let file = docker.file("hello.wasm", HELLO);
    let reference = docker.tries(&["push", &file, &docker.reference("a")]).unwrap();
    let blobs = docker.place.path().join("content/docker/registry/v2/blobs/sha256");
    let blob = component_in(&blobs);
    fs::write(&blob, [&HELLO[..HELLO.len() - 1], b"x"].concat()).unwrap();
    let error = docker.tries(&["inspect", &reference]).unwrap_err();
    assert!(error.contains("has sent other bytes than those of sha256:"), "{error}");
    fs::write(&blob, &HELLO[..100]).unwrap();
    let error = docker.tries(&["inspect", &reference]).unwrap_err();
    assert!(error.contains("ends early, after 100 of"), "{error}");
    fs::remove_file(&blob).unwrap();
    let error = docker.tries(&["inspect", &reference]).unwrap_err();
    assert!(error.ends_with("answers 404 Not Found"), "{error}");
}

/// The file that has the component.
fn component_in(directory: &Path) -> std::path::PathBuf {
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if fs::metadata(&path).unwrap().len() == HELLO.len() as u64 {
                return path;
            }
        }
    }
    panic!("the component is in no file");
}

#[test]
fn docker_registry_keeps_signatures() {
    let docker = Docker::start("");
    let (minisign, cosign) = (Minisign::new(1), Cosign::new());
    let minisign_key = docker.file("minisign.pub", minisign.public());
    let cosign_key = docker.file("cosign.pub", cosign.public());
    let file = docker.file("hello.wasm", HELLO);
    docker.file("hello.wasm.minisig", minisign.sign(HELLO));
    let reference = docker.tries(&["push", &file, &docker.reference("a:1")]).unwrap();
    docker.tries(&["inspect", "--verify-key", &minisign_key, &docker.reference("a:1")]).unwrap();
    docker.forget();
    let error = docker.tries(&["inspect", "--verify-key", &cosign_key, &reference]).unwrap_err();
    assert!(error.contains("it is not signed"), "{error}");
    let digest = reference.rsplit('@').next().unwrap();
    let (document, manifest) = cosign.sign_manifest(digest);
    docker.keeps(b"{}");
    docker.keeps(&document);
    let tag = format!("/v2/a/manifests/{}.sig", digest.replace(':', "-"));
    docker.puts(&tag, "application/vnd.oci.image.manifest.v1+json", &manifest);
    docker.tries(&["inspect", "--verify-key", &cosign_key, &reference]).unwrap();
}

#[test]
fn docker_registry_demands_a_password() {
    let users = tempfile::tempdir().unwrap();
    let users = users.path().join("htpasswd");
    // As `htpasswd -Bbn user password` makes it.
    fs::write(&users, "user:$2b$04$zHsGRc70vLmgW0tuh5RyYeX80VNtX3RSu52AuLndHQoRoA3jNgU7u\n").unwrap();
    let docker = Docker::start(&format!("auth: {{htpasswd: {{realm: x, path: {}}}}}\n", users.display()));
    let file = docker.file("hello.wasm", HELLO);
    let target = docker.reference("a:1");
    let error = docker.tries(&["push", &file, &target]).unwrap_err();
    assert!(error.contains("demands a user name and a password"), "{error}");
    let auths = |pair: &str| {
        docker.file(
            "config.json",
            format!(r#"{{"auths": {{"localhost:{}": {{"auth": "{pair}"}}}}}}"#, docker.port),
        )
    };
    // `user:wrong`
    auths("dXNlcjp3cm9uZw==");
    assert!(docker.tries(&["push", &file, &target]).unwrap_err().contains("denies access (401)"));
    // `user:password`
    auths("dXNlcjpwYXNzd29yZA==");
    let reference = docker.tries(&["push", &file, &target]).unwrap();
    docker.tries(&["inspect", &reference]).unwrap();
}
