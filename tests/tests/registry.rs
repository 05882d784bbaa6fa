//! Components in registries (`oci://`), and signatures (`--verify-key`): what is fetched is what its digest and its signature
//! say, or one line says why not and nothing is kept. A registry that nobody here wrote is asked in `docker_registry.rs`.

use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;
use tempfile::TempDir;
use tests::guests::{self, GuestFile, HEADER_STAMP, HELLO};
use tests::process::Process;
use tests::registry::{Asked, Registry, Reply};
use tests::signing::{Cosign, Minisign};
use tests::{Runtime, Server, eventually, programs};

/// A user with a cache and no passwords.
struct User {
    place: TempDir,
}

impl User {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        // Compiled components are shared with the other tests.
        let compiled = Path::new(programs!().scratch).join("wasmtime");
        fs::create_dir_all(&compiled).unwrap();
        fs::create_dir(place.path().join("cache")).unwrap();
        symlink(compiled, place.path().join("cache/wasmtime")).unwrap();
        Self { place }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Writes a file. Gives its path.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), content).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    fn command(&self) -> Command {
        let mut command = programs!().command();
        command.env("XDG_CACHE_HOME", self.path("cache")).env("DOCKER_CONFIG", self.path("docker"));
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// Runs a command that succeeds without a word on standard error. Gives its output.
    fn does(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{arguments:?}");
        text(&output.stdout).to_owned()
    }

    /// Runs a command that fails. Gives the one line that it says.
    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""), "{arguments:?}: {said}");
        let line = said.strip_suffix('\n').unwrap();
        assert!(line.starts_with("wasi-httpd: ") && !line.contains('\n'), "{said}");
        line.to_owned()
    }

    /// Sends a component to a registry. Gives the reference that it has there.
    fn pushes(&self, component: &[u8], target: &str) -> String {
        let file = self.file("pushed.wasm", component);
        let output = self.does(&["push", &file, target]);
        let reference = output.strip_suffix('\n').unwrap();
        assert!(reference.starts_with(target) && reference.contains("@sha256:"), "{output}");
        reference.to_owned()
    }

    fn serve(&self, options: &[&str]) -> Server {
        let mut command = self.command();
        command.args(["--addr", "127.0.0.1:0"]).args(options);
        Server::start(Runtime::Ours, command)
    }

    /// What is kept of what registries have sent.
    fn kept(&self) -> Vec<PathBuf> {
        let mut kept = Vec::new();
        for kind in ["sha256", "cosign"] {
            let entries = fs::read_dir(self.path("cache/wasi-httpd/oci").join(kind)).into_iter().flatten();
            kept.extend(entries.map(|entry| entry.unwrap().path()));
        }
        kept
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn digest_of(reference: &str) -> &str {
    reference.rsplit('@').next().unwrap()
}

#[test]
fn what_is_pushed_is_served_and_needs_no_registry_afterwards() {
    let (user, registry) = (User::new(), Registry::start());
    let reference = user.pushes(HELLO, &registry.reference("team/hello:1"));
    assert_eq!(
        reference,
        user.pushes(HELLO, &registry.reference("team/hello:1")),
        "it is the same each time"
    );
    let asked = registry.asked();
    // The second time, both blobs are there.
    assert_eq!(asked.iter().filter(|asked| asked.method == "POST").count(), 2);

    let manifest: Value = serde_json::from_slice(&registry.manifest("team/hello", "1")).unwrap();
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    let annotations = json!({ "org.opencontainers.image.title": "pushed.wasm" });
    assert_eq!(manifest["layers"][0]["annotations"], annotations);

    let server = user.serve(&[&reference]);
    assert_eq!(server.get("/").text(), "Hello World");
    let line = server.wait_for_error(|line| line.starts_with("Running "));
    assert!(line.starts_with(&format!("Running the guest `{reference}`")), "{line}");
    assert_eq!(registry.asked().len(), 2, "a manifest and a component");
    drop((server, registry));
    assert_eq!(user.serve(&[&reference]).get("/").text(), "Hello World");
    // What was changed on disk does not run.
    for file in user.kept() {
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&file, bytes).unwrap();
        assert!(user.fails(&["inspect", &reference]).ends_with("refuses connections"));
        fs::write(&file, "").unwrap();
    }
}

#[test]
fn components_of_registries_stand_wherever_components_do() {
    let (user, registry) = (User::new(), Registry::start());
    let stamp = user.pushes(HEADER_STAMP, &registry.reference("stamp"));
    let hello = user.pushes(HELLO, &registry.reference("hello"));
    let config = format!(
        "addr = '127.0.0.1:0'\nguest = '{hello}'\nmiddleware = ['{stamp},env=X-Stamp=1,env=X-Other=a,b']\n"
    );
    let config = user.file("site.toml", config);
    assert_eq!(user.does(&["check", "--config", &config]), "The configuration is valid.\n");
    let server = user.serve(&["--config", &config]);
    let response = server.get("/");
    assert_eq!((response.text(), response.header("x-stamp")), ("Hello World", Some("1")));
    assert!(user.does(&["inspect", &hello, &stamp]).contains("wants now"));

    // A command's own name is the last part of the repository.
    let command = user
        .pushes(&guests::command("(local.set $status (i32.const 1))"), &registry.reference("team/command"));
    assert_eq!(user.output(&["run", &command, "x"]).status.code(), Some(1));
}

#[test]
fn a_reference_is_checked_before_anything_is_asked() {
    let user = User::new();
    for (reference, why) in [
        ("oci://127.0.0.1:9", "a name follows the host"),
        ("oci://127.0.0.1:9/A", "a name has lower-case letters"),
        ("oci://127.0.0.1:9/a@sha256:1", "a digest is sha256: and 64 digits"),
        ("oci://127.0.0.1:9/a", "names neither a digest nor a tag; add @sha256:DIGEST"),
        ("oci://127.0.0.1:9/a:1", "--allow-tag, or what is signed with --verify-key FILE"),
    ] {
        for arguments in [&["check"][..], &["inspect"], &["run"], &["check", "--middleware"]] {
            let output = user.output(&[arguments, &[reference]].concat());
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{arguments:?} {reference}: {said}");
            assert!(said.starts_with("wasi-httpd: ") && said.contains(why), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
    let with_digest = format!("oci://127.0.0.1:9/a@sha256:{}", "0".repeat(64));
    let output = user.output(&["push", "a.wasm", &with_digest]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("has a digest, which the component decides"));
}

#[test]
fn a_tag_is_asked_for_at_each_start() {
    let (user, registry) = (User::new(), Registry::start());
    let tag = registry.reference("a:1");
    let first = user.pushes(HELLO, &tag);
    let report = user.does(&["inspect", "--allow-tag", &tag]);
    assert!(report.starts_with(&format!("the guest `{first}`")), "{report}");
    let second = user.pushes(HEADER_STAMP, &tag);
    let report = user.does(&["inspect", "--allow-tag", &tag]);
    assert!(report.starts_with(&format!("the guest `{second}`")), "{report}");
    registry.asked();
    user.does(&["inspect", "--allow-tag", &tag]);
    let asked = registry.asked();
    assert_eq!((asked.len(), asked[0].target.as_str()), (1, "/v2/a/manifests/1"), "the component is kept");
    drop(registry);
    assert!(user.fails(&["inspect", "--allow-tag", &tag]).ends_with("refuses connections"));
    user.does(&["inspect", &second]);
}

/// A head that announces this many bytes.
fn announcing(length: u64) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")
}

/// Writes until the client is gone.
fn endless(stream: &mut TcpStream, head: &str, piece: &[u8]) {
    let mut write = |bytes: &[u8]| stream.write_all(bytes).is_ok();
    if write(head.as_bytes()) {
        while write(piece) {}
    }
}

/// Says nothing more until the client is gone.
fn hang(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 1]);
}

/// A byte now and then, until the client is gone.
fn trickle(stream: &mut TcpStream) {
    let _ = stream.write_all(announcing(1_000_000).as_bytes());
    while stream.write_all(b" ").is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

type Misdeed = fn(&Asked) -> Option<Reply>;

/// What registries may do wrong, and what is said of it.
const MISDEEDS: [(&str, Misdeed); 26] = [
    ("has sent another manifest than the one of that digest: sha256:", |asked| {
        asked.is_manifest().then(|| Reply::ok("{}"))
    }),
    ("has no such component (404)", |asked| asked.is_manifest().then(|| Reply::status(404))),
    ("answers 404 Not Found", |asked| asked.is_blob().then(|| Reply::status(404))),
    ("answers 500 Internal Server Error", |_| Some(Reply::status(500))),
    ("answers 204 No Content", |_| Some(Reply::status(204))),
    ("takes no more requests at the moment (429); try again later", |_| Some(Reply::status(429))),
    ("denies access (403); a file with a user name and a password is named by --registry-auth", |_| {
        Some(Reply::status(403))
    }),
    ("denies access (401); a file with a user name and a password is named by --registry-auth", |_| {
        Some(Reply::status(401))
    }),
    ("demands a user name and a password; a file with them is named by --registry-auth", |_| {
        Some(Reply::field(401, "WWW-Authenticate", "Basic realm=\"x\""))
    }),
    ("has sent other bytes than those of sha256:", |asked| {
        asked.is_blob().then(|| Reply::ok(vec![b'x'; HELLO.len()]))
    }),
    ("ends early, after 0 of", |asked| asked.is_blob().then(|| Reply::ok(""))),
    ("ends early, after 100 of", |asked| asked.is_blob().then(|| Reply::ok(&HELLO[..100]))),
    ("ends early, in the middle of its answer", |asked| {
        asked.is_blob().then(|| {
            Reply::written(|stream| {
                let _ = stream.write_all(announcing(HELLO.len() as u64).as_bytes());
                let _ = stream.write_all(&HELLO[..100]);
            })
        })
    }),
    ("ends early, after 100 of", |asked| {
        asked.is_blob().then(|| {
            Reply::written(|stream| {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
                let _ = stream.write_all(&HELLO[..100]);
            })
        })
    }),
    ("ends the connection without an answer", |asked| asked.is_blob().then(|| Reply::written(|_| {}))),
    ("does not speak HTTP", |_| Some(Reply::written(|stream| _ = stream.write_all(b"SSH-2.0-x\r\n\r\n")))),
    ("sends more than SIZE bytes", |asked| {
        asked.is_blob().then(|| Reply::written(|stream| endless(stream, &announcing(10 << 30), HELLO)))
    }),
    ("sends more than SIZE bytes", |asked| {
        asked.is_blob().then(|| Reply::written(|stream| endless(stream, "HTTP/1.1 200 OK\r\n\r\n", HELLO)))
    }),
    ("sends more than 4194304 bytes", |asked| {
        asked.is_manifest().then(|| Reply::written(|stream| endless(stream, &announcing(10 << 30), HELLO)))
    }),
    ("sends a head that is too large", |_| {
        Some(Reply::written(|stream| endless(stream, "HTTP/1.1 200 OK\r\n", b"X-Field: value\r\n")))
    }),
    ("redirects more than 5 times", |asked| Some(Reply::field(307, "Location", &asked.target))),
    ("redirects to no URL", |_| Some(Reply::field(307, "Location", "//other.example/"))),
    ("leads to other.example, which does not speak HTTPS", |_| {
        Some(Reply::field(307, "Location", "http://other.example/"))
    }),
    ("sends nothing for 4 s", |asked| asked.is_manifest().then(|| Reply::written(hang))),
    ("sends nothing for 4 s", |asked| {
        asked.is_blob().then(|| {
            Reply::written(|stream| {
                let _ = stream.write_all(announcing(HELLO.len() as u64).as_bytes());
                hang(stream);
            })
        })
    }),
    ("it takes longer than 2 s; --registry-timeout allows more", |asked| {
        asked.is_manifest().then(|| Reply::written(trickle))
    }),
];

#[test]
fn what_a_registry_does_wrong_is_one_line_and_nothing_is_kept() {
    let (user, registry) = (User::new(), Registry::start());
    let reference = user.pushes(HELLO, &registry.reference("a"));
    for (expected, misdeed) in MISDEEDS {
        let expected = expected.replace("SIZE", &HELLO.len().to_string());
        registry.rule(misdeed);
        let seconds = match expected.as_str() {
            // Half of it. The other half is for what comes before, on a busy machine.
            expected if expected.starts_with("sends nothing for 4 s") => "8",
            expected if expected.contains("takes longer than 2 s") => "2",
            _ => "60",
        };
        let line = user.fails(&["inspect", "--registry-timeout", seconds, &reference]);
        let start = format!("wasi-httpd: the guest `{reference}` cannot be used: ");
        assert!(line.starts_with(&start) && line.contains(&expected), "{expected}: {line}");
        assert_eq!(user.kept(), Vec::<PathBuf>::new(), "{expected}");
    }
    registry.behave();
    user.does(&["inspect", &reference]);
    assert_eq!(user.kept().len(), 2);
}

#[test]
fn what_is_no_component_is_refused_by_its_manifest() {
    let (user, registry) = (User::new(), Registry::start());
    let reference = user.pushes(HELLO, &registry.reference("a:1"));
    let manifest: Value = serde_json::from_slice(&registry.manifest("a", "1")).unwrap();
    let refused = |change: &dyn Fn(&mut Value), why: &str| {
        let mut manifest = manifest.clone();
        change(&mut manifest);
        let digest = registry.add_manifest("a", None, manifest.to_string().as_bytes());
        registry.asked();
        let line = user.fails(&["inspect", &reference.replace(digest_of(&reference), &digest)]);
        assert!(line.contains(why), "{why}: {line}");
        assert_eq!(registry.asked().len(), 1, "the component is not asked for");
        assert_eq!(user.kept(), Vec::<PathBuf>::new());
    };
    refused(
        &|it| it["layers"][0]["size"] = json!(10_u64 << 30),
        "announces 10737418240 bytes, and 268435456 are the most",
    );
    refused(
        &|it| it["mediaType"] = json!("application/vnd.oci.image.index.v1+json"),
        "it is a list of manifests",
    );
    refused(
        &|it| it["layers"][0]["mediaType"] = json!("image/png"),
        "it is no component (application/wasm) but image/png",
    );
    refused(&|it| it["layers"] = json!([]), "has 0 layers");
    refused(&|it| *it = json!([]), "is no manifest of OCI");
    // What is called a component and is none is found as in a file.
    let blob = registry.add_blob(b"<html>");
    let mut html = manifest.clone();
    html["layers"][0]["digest"] = json!(blob);
    html["layers"][0]["size"] = json!(6);
    let digest = registry.add_manifest("a", None, html.to_string().as_bytes());
    let line = user.fails(&["inspect", &reference.replace(digest_of(&reference), &digest)]);
    assert!(line.ends_with("it is not WebAssembly"), "{line}");
}

/// A registry that demands a token, which is given to these users.
fn demand_token(registry: &Registry, basic: Option<&'static str>) {
    let realm = format!("http://{}/token", registry.address());
    registry.rule(move |asked| {
        if asked.target.starts_with("/token?") {
            let is_known = asked.fields.get("authorization").map(String::as_str) == basic;
            return Some(if is_known {
                Reply::ok(r#"{"access_token": "a.b.c"}"#)
            } else {
                Reply::status(401)
            });
        }
        if asked.fields.get("authorization").is_some_and(|value| value == "Bearer a.b.c") {
            return None;
        }
        let demand = format!("Bearer realm=\"{realm}\",service=\"registry\",scope=\"repository:a:pull\"");
        Some(Reply::field(401, "WWW-Authenticate", demand))
    });
}

#[test]
fn a_registry_that_demands_a_token_gets_one() {
    let (user, registry) = (User::new(), Registry::start());
    demand_token(&registry, None);
    let reference = user.pushes(HELLO, &registry.reference("a"));
    user.does(&["inspect", &reference]);
    let scopes = registry.asked().into_iter().filter(|asked| asked.target.starts_with("/token"));
    let targets: Vec<_> = scopes.map(|asked| asked.target).collect();
    assert_eq!(
        targets,
        [
            "/token?service=registry&scope=repository%3Aa%3Apull%2Cpush",
            "/token?service=registry&scope=repository%3Aa%3Apull"
        ],
        "one token for each conversation"
    );

    // `user:password`
    demand_token(&registry, Some("Basic dXNlcjpwYXNzd29yZA=="));
    let other = User::new();
    let line = other.fails(&["inspect", &reference]);
    assert!(line.contains("denies access (401); a file with a user name"), "{line}");
    let auths = |auth: &str| format!(r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#, registry.address());
    let file = other.file("auth.json", auths("dXNlcjp3cm9uZw=="));
    assert!(other.fails(&["inspect", "--registry-auth", &file, &reference]).contains("denies access (401)"));
    let file = other.file("auth.json", auths("dXNlcjpwYXNzd29yZA=="));
    other.does(&["inspect", "--registry-auth", &file, &reference]);
    // That of Docker is found by itself.
    fs::create_dir(user.path("docker")).unwrap();
    user.file("docker/config.json", auths("dXNlcjpwYXNzd29yZA=="));
    user.pushes(HEADER_STAMP, &registry.reference("b"));
}

#[test]
fn a_password_is_sent_to_its_registry_only() {
    let (user, registry, store) = (User::new(), Registry::start(), Registry::start());
    let reference = user.pushes(HELLO, &registry.reference("a"));
    store.add_blob(HELLO);
    let place = store.address();
    registry.rule(move |asked| {
        let is_known = asked.fields.get("authorization").is_some_and(|value| value == "Basic YTpi");
        if !is_known {
            return Some(Reply::field(401, "WWW-Authenticate", "Basic realm=\"x\""));
        }
        asked
            .is_blob()
            .then(|| Reply::field(307, "Location", format!("http://{place}{}?sig=x", asked.target)))
    });
    let auths = format!(r#"{{"auths": {{"{}": {{"auth": "YTpi"}}}}}}"#, registry.address());
    let auth = user.file("auth.json", auths);
    user.does(&["inspect", "--registry-auth", &auth, &reference]);
    let asked = store.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].fields.get("authorization"), None);
}

#[test]
fn passwords_that_cannot_be_used_are_one_line() {
    let (user, registry) = (User::new(), Registry::start());
    let reference = user.pushes(HELLO, &registry.reference("a"));
    registry.rule(|_| Some(Reply::field(401, "WWW-Authenticate", "Basic realm=\"x\"")));
    for (content, why) in [
        (None, "cannot read "),
        (Some("secret"), "is not of the form"),
        (Some(r#"{"auths": {}}"#), "demands a user name and a password"),
        (Some(r#"{"auths": {}, "credsStore": "desktop"}"#), "the program docker-credential-desktop"),
    ] {
        let path = content.map_or("missing".to_owned(), |content| user.file("auth.json", content));
        let line = user.fails(&["inspect", "--registry-auth", &path, &reference]);
        assert!(line.contains(why) && !line.contains("secret"), "{line}");
    }
}

#[test]
fn a_file_has_to_be_signed_where_a_key_is_named() {
    let user = User::new();
    let (minisign, other, cosign) = (Minisign::new(1), Minisign::new(2), Cosign::new());
    let key = user.file("minisign.pub", minisign.public());
    let cosign_key = user.file("cosign.pub", cosign.public());
    let file = user.file("hello.wasm", HELLO);
    let signature = format!("{file}.minisig");
    let refuses = |key: &str, why: &str| {
        for arguments in [&["inspect"][..], &["check"], &["run"], &["check", "--middleware"]] {
            let line =
                user.fails(&[&arguments[..1], &["--verify-key", key], &arguments[1..], &[&file]].concat());
            assert!(
                line.contains(&format!(" `{file}` cannot be used: ")) && line.contains(why),
                "{why}: {line}"
            );
        }
    };
    refuses(&key, &format!("it is not signed, and --verify-key needs that: there is no {signature}"));
    refuses(&cosign_key, &format!("there is no {file}.sig"));
    fs::write(&signature, other.sign(HELLO)).unwrap();
    refuses(&key, "is by the key 0202020202020202, and --verify-key has 0101010101010101");
    fs::write(&signature, minisign.sign(HEADER_STAMP)).unwrap();
    refuses(&key, "does not fit: one of both was changed");
    fs::write(&signature, "text").unwrap();
    refuses(&key, "is not one of minisign");
    fs::write(&signature, vec![b'x'; 100_000]).unwrap();
    refuses(&key, "is larger than 64 KiB");
    fs::write(&signature, minisign.sign(HELLO)).unwrap();
    user.does(&["inspect", &file, "--verify-key", &key]);
    // One of several keys is enough.
    user.does(&["inspect", &file, "--verify-key", &cosign_key, "--verify-key", &key]);

    let signature = format!("{file}.sig");
    fs::write(&signature, Cosign::new().sign(HELLO)).unwrap();
    refuses(&cosign_key, "does not fit: it is by another key");
    fs::write(&signature, cosign.sign(HELLO)).unwrap();
    user.does(&["inspect", &file, "--verify-key", &cosign_key]);
    assert_eq!(user.serve(&[&file, "--verify-key", &cosign_key]).get("/").text(), "Hello World");
    // The one that is part of the program is trusted as the program is.
    user.does(&["inspect", "--verify-key", &key]);
}

#[test]
fn a_signature_is_checked_before_anything_is_parsed() {
    let (user, minisign) = (User::new(), Minisign::new(1));
    let key = user.file("key.pub", minisign.public());
    let file = user.file("a.wasm", "\0asm damaged");
    let line = user.fails(&["inspect", &file, "--verify-key", &key]);
    assert!(line.contains("it is not signed"), "{line}");
    fs::write(format!("{file}.minisig"), minisign.sign(b"\0asm damaged")).unwrap();
    let line = user.fails(&["inspect", &file, "--verify-key", &key]);
    assert!(line.contains("it is WebAssembly of an unknown version"), "{line}");
}

#[test]
fn a_key_that_is_none_is_one_line() {
    let user = User::new();
    let file = user.file("hello.wasm", HELLO);
    let cosign = Cosign::new().public();
    for (content, why) in [
        (None, "there is no such file"),
        (Some(""), "it is neither a public key of minisign nor one of cosign"),
        (Some("untrusted comment: x\nRWQ\n"), "it is neither"),
        (
            Some("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
            "it is not a public key of ECDSA",
        ),
        (Some(&cosign[..100]), "it is not a public key of ECDSA"),
        (Some("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"), "it is the secret key"),
        (Some("untrusted comment: minisign encrypted secret key\n"), "it is the secret key"),
    ] {
        let key = content.map_or("missing".to_owned(), |content| user.file("key.pub", content));
        for command in ["inspect", "check", "run"] {
            let line = user.fails(&[command, "--verify-key", &key, &file]);
            assert!(line.starts_with(&format!("wasi-httpd: --verify-key {key}: {why}")), "{line}");
        }
    }
}

#[test]
fn a_component_in_a_registry_has_to_be_signed_by_minisign() {
    let (user, registry) = (User::new(), Registry::start());
    let (minisign, other) = (Minisign::new(1), Minisign::new(2));
    let key = user.file("key.pub", minisign.public());
    let unsigned = user.pushes(HELLO, &registry.reference("a:1"));
    registry.asked();
    let line = user.fails(&["inspect", &unsigned, "--verify-key", &key]);
    assert!(
        line.contains("it is not signed, and --verify-key needs that: `wasi-httpd push FILE` takes"),
        "{line}"
    );
    assert_eq!(registry.asked().len(), 1, "the component is not asked for");

    user.file("pushed.wasm.minisig", other.sign(HELLO));
    let wrong = user.pushes(HELLO, &registry.reference("a:2"));
    let line = user.fails(&["inspect", &wrong, "--verify-key", &key]);
    assert!(line.contains("its signature is by the key 0202020202020202"), "{line}");
    user.file("pushed.wasm.minisig", minisign.sign(HEADER_STAMP));
    let changed = user.pushes(HELLO, &registry.reference("a:3"));
    let line = user.fails(&["inspect", &changed, "--verify-key", &key]);
    assert!(line.contains("its signature does not fit"), "{line}");
    assert_eq!(user.kept(), Vec::<PathBuf>::new());

    user.file("pushed.wasm.minisig", minisign.sign(HELLO));
    let signed = user.pushes(HELLO, &registry.reference("a:4"));
    // A signature stands in for a digest.
    user.does(&["inspect", &registry.reference("a:4"), "--verify-key", &key]);
    drop(registry);
    user.does(&["inspect", &signed, "--verify-key", &key]);
    let other = user.file("other.pub", other.public());
    let line = user.fails(&["inspect", &signed, "--verify-key", &other]);
    assert!(line.contains("its signature is by the key 0101010101010101"), "what is kept: {line}");
}

#[test]
fn a_component_in_a_registry_has_to_be_signed_by_cosign() {
    let (user, registry) = (User::new(), Registry::start());
    let (cosign, other) = (Cosign::new(), Cosign::new());
    let key = user.file("key.pub", cosign.public());
    let reference = user.pushes(HELLO, &registry.reference("a:1"));
    let digest = digest_of(&reference).to_owned();
    let tag = format!("{}.sig", digest.replace(':', "-"));
    let inspect = |key: &str| user.output(&["inspect", &reference, "--verify-key", key]).status.code();
    let refuses = |why: &str| {
        registry.asked();
        let line = user.fails(&["inspect", &reference, "--verify-key", &key]);
        assert!(line.contains(why), "{why}: {line}");
        assert!(
            !registry
                .asked()
                .iter()
                .any(|asked| asked.target.contains(&format!("/blobs/{}", component(&registry))))
        );
        assert_eq!(user.kept(), Vec::<PathBuf>::new());
    };
    refuses("it is not signed, and --verify-key needs that: `cosign sign --key KEY` signs it where it is");
    let (document, manifest) = cosign.sign_manifest(&digest);
    registry.add_manifest("a", Some(&tag), &manifest);
    refuses("its signature cannot be fetched: ");
    let blob = registry.add_blob(&document);
    registry.replace_blob(&blob, &vec![b' '; document.len()]);
    refuses("has sent other bytes than those of sha256:");
    let sign = |by: &Cosign, what: &str| {
        let (document, manifest) = by.sign_manifest(what);
        registry.add_blob(&document);
        registry.add_manifest("a", Some(&tag), &manifest);
    };
    sign(&other, &digest);
    refuses("its signature is not good for the key of --verify-key");
    sign(&cosign, &digest.replace('1', "2"));
    refuses("its signature is not good for the key of --verify-key");
    registry.add_manifest("a", Some(&tag), b"{}");
    refuses("its signature cannot be used: its manifest is no manifest of OCI");

    sign(&cosign, &digest);
    let report = user.does(&["inspect", &registry.reference("a:1"), "--verify-key", &key]);
    assert!(report.starts_with(&format!("the guest `{reference}`")), "{report}");
    drop(registry);
    assert_eq!(inspect(&key), Some(0), "its signature is kept, too");
    let other = user.file("other.pub", other.public());
    assert_eq!(inspect(&other), Some(1));
}

/// The digest of the component that the test of cosign sends.
fn component(registry: &Registry) -> String {
    let manifest: Value = serde_json::from_slice(&registry.manifest("a", "1")).unwrap();
    manifest["layers"][0]["digest"].as_str().unwrap().to_owned()
}

/// A server whose configuration is a file.
struct Configured<'a> {
    user: &'a User,
    server: Server,
}

impl<'a> Configured<'a> {
    fn start(user: &'a User, config: &str, flags: &[&str]) -> Self {
        let config = user.file("site.toml", config);
        Self { server: user.serve(&[&["--config", &config], flags].concat()), user }
    }

    /// Gives it another configuration and reloads it. Returns the line that tells what came of it.
    fn reload(&self, config: &str) -> String {
        let outcomes = || {
            let mut lines = self.server.lines();
            lines.retain(|line| line.starts_with("Reloaded ") || line.contains("nothing was reloaded"));
            lines
        };
        self.user.file("site.toml", config);
        let before = outcomes().len();
        self.server.signal("HUP");
        eventually("it has reloaded", || outcomes().len() > before);
        outcomes().remove(before)
    }
}

#[test]
fn a_reload_behind_the_lockdown_takes_what_is_kept() {
    let (user, registry) = (User::new(), Registry::start());
    let hello = user.pushes(HELLO, &registry.reference("a:1"));
    let other = user.pushes(&guests::handler(guests::ANSWER), &registry.reference("b"));
    let guest = |reference: &str| format!("guest = '{reference}'\n");
    let configured = Configured::start(&user, &guest(&hello), &[]);
    registry.asked();
    let line = configured.reload(&guest(&other));
    let expected = format!(
        "the guest `{other}` cannot be used: it is not in the cache, and the lockdown lets a running server ask no registry; \
         fetch it by `wasi-httpd inspect` and reload again, or restart"
    );
    assert!(line.ends_with(&expected), "{line}");
    assert_eq!(registry.asked().len(), 0);
    assert_eq!(configured.server.get("/").text(), "Hello World");
    user.does(&["inspect", &other]);
    assert_eq!(configured.reload(&guest(&other)), "Reloaded 1 site");
    assert_ne!(configured.server.get("/").text(), "Hello World");
    assert_eq!(configured.reload(&guest(&hello)), "Reloaded 1 site");
    let fixed = configured.reload(&format!("allow-tag = true\n{}", guest(&hello)));
    assert!(fixed.ends_with("where components come from can be changed by a restart only"), "{fixed}");
}

#[test]
fn a_tag_stays_behind_the_lockdown_and_is_asked_for_without() {
    let (user, registry) = (User::new(), Registry::start());
    let tag = registry.reference("a:1");
    let first = user.pushes(HELLO, &tag);
    let config = format!("guest = '{tag}'\nallow-tag = true\n");
    let locked = Configured::start(&user, &config, &[]);
    let open = Configured::start(&user, &config, &["--no-lockdown"]);
    user.pushes(&guests::handler(guests::ANSWER), &tag);
    assert_eq!(locked.reload(&config), "Reloaded 1 site");
    assert_eq!(locked.server.get("/").text(), "Hello World");
    let warning = format!("wasi-httpd: warning: `{tag}` stays {}: ", digest_of(&first));
    locked.server.wait_for_error(|line| line.starts_with(&warning));
    assert_eq!(open.reload(&config), "Reloaded 1 site");
    assert_ne!(open.server.get("/").text(), "Hello World");
}

#[test]
fn a_signature_that_follows_its_component_is_waited_for() {
    let (user, minisign) = (User::new(), Minisign::new(1));
    let key = user.file("key.pub", minisign.public());
    let guest = user.file("guest.wasm", HELLO);
    user.file("guest.wasm.minisig", minisign.sign(HELLO));
    let server = user.serve(&[&guest, "--verify-key", &key, "--watch"]);
    assert_eq!(server.get("/").text(), "Hello World");
    let next = guests::handler(guests::ANSWER);
    user.file("guest.wasm", &next);
    server.wait_for_error(|line| line.contains("nothing was reloaded") && line.contains("does not fit"));
    assert_eq!(server.get("/").text(), "Hello World");
    user.file("guest.wasm.minisig", minisign.sign(&next));
    server.wait_for_error(|line| line == "Reloaded 1 site");
    assert_ne!(server.get("/").text(), "Hello World");
}

#[test]
fn a_user_without_a_cache_fetches_each_time() {
    let (user, registry) = (User::new(), Registry::start());
    let reference = user.pushes(HELLO, &registry.reference("a"));
    fs::remove_dir_all(user.path("cache")).unwrap();
    user.file("cache", "no directory");
    for _ in 0..2 {
        let mut command = user.command();
        let process =
            Process::start(command.args(["--addr", "127.0.0.1:0", &reference]).stdin(Stdio::null()));
        process.wait_for_error(|line| {
            line.starts_with("wasi-httpd: warning: components from registries are not kept: ")
        });
        process.wait_for_error(|line| line.starts_with("Listening on "));
        process.signal("HUP");
        process.wait_for_error(|line| line == "Reloaded 1 site");
        assert_eq!(registry.asked().iter().filter(|asked| asked.is_blob()).count(), 1);
    }
}

/// This component with so many bytes more, in a custom section.
fn padded(component: &[u8], bytes: u32) -> Vec<u8> {
    let mut section = vec![1, b'x'];
    section.resize(usize::try_from(bytes).unwrap(), 0);
    // LEB128 of five bytes.
    let digit = |shift: u32| u8::try_from(bytes >> shift & 0x7f).unwrap();
    let size = [0, 7, 14, 21, 28].map(|shift| digit(shift) | if shift < 28 { 0x80 } else { 0 });
    [component, &[0], &size, &section].concat()
}

#[test]
fn what_was_not_used_for_longest_is_no_longer_kept() {
    let (user, registry) = (User::new(), Registry::start());
    let [first, second, third] =
        [300_000, 400_000, 500_000].map(|bytes| user.pushes(&padded(HELLO, bytes), &registry.reference("a")));
    let inspect = |reference: &str| {
        registry.asked();
        user.does(&["inspect", "--registry-cache", "1", reference]);
        let kept: u64 = user.kept().iter().map(|file| fs::metadata(file).unwrap().len()).sum();
        assert!(kept <= 1 << 20, "{kept}");
        registry.asked().len()
    };
    assert_eq!((inspect(&first), inspect(&second)), (2, 2));
    // It was used last.
    assert_eq!(inspect(&first), 0);
    assert_eq!(inspect(&third), 2);
    assert_eq!((inspect(&first), inspect(&third), inspect(&second)), (0, 0, 2));
    let line = String::from_utf8(user.output(&["inspect", "--registry-cache", "0", &first]).stderr).unwrap();
    assert!(line.starts_with("wasi-httpd: --registry-cache ") && line.lines().count() == 1, "{line}");
}

#[test]
fn a_server_keeps_what_it_uses() {
    let (user, registry) = (User::new(), Registry::start());
    let guest = user.pushes(&padded(HELLO, 600_000), &registry.reference("a"));
    let stamp = user.pushes(&padded(HEADER_STAMP, 600_000), &registry.reference("b"));
    let text = format!("guest = '{guest}'\nmiddleware = ['{stamp},env=X-Stamp=1']\nregistry-cache = 1\n");
    let configured = Configured::start(&user, &text, &[]);
    assert_eq!(user.kept().len(), 4);
    // A reload behind the lockdown is a use.
    let begin = SystemTime::UNIX_EPOCH;
    for file in user.kept() {
        File::options().write(true).open(file).unwrap().set_modified(begin).unwrap();
    }
    assert_eq!(configured.reload(&text), "Reloaded 1 site");
    for file in user.kept() {
        assert_ne!(fs::metadata(file).unwrap().modified().unwrap(), begin);
    }
}

#[test]
fn only_components_are_pushed() {
    let (user, registry) = (User::new(), Registry::start());
    let target = registry.reference("a:1");
    let module = GuestFile::new(guests::preview_1());
    let missing = user.path("missing.wasm");
    let empty = user.file("empty.wasm", "");
    for (file, why) in [
        (
            module.path.as_path(),
            "is a core module, a command of WASI preview 1, not a component; `wasm-tools",
        ),
        (missing.as_path(), "cannot read "),
        (Path::new(&empty), "it is empty"),
    ] {
        let line = user.fails(&["push", file.to_str().unwrap(), &target]);
        assert!(line.contains(why), "{line}");
    }
    assert_eq!(registry.asked().len(), 0);
    let file = user.file("hello.wasm", HELLO);
    for (why, rule) in [
        ("denies access (403)", (|_| Some(Reply::status(403))) as Misdeed),
        ("answers 500 Internal Server Error", |asked| (asked.method == "PUT").then(|| Reply::status(500))),
        ("the registry names no place to send to", |asked| {
            (asked.method == "POST").then(|| Reply::status(202))
        }),
        ("which does not speak HTTPS", |asked| {
            (asked.method == "POST").then(|| Reply::field(202, "Location", "http://other.example/"))
        }),
    ] {
        registry.rule(rule);
        let line = user.fails(&["push", &file, &target]);
        assert!(
            line.contains(&format!("{file} cannot be sent to `{target}`: ")) && line.contains(why),
            "{line}"
        );
    }
}
