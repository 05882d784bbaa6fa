//! What `wasi-httpd new` writes and says, tried: each guest is built by the commands that it prints, is served, and
//! answers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use tests::strangers::{environment, without_cargo};
use tests::{Server, eventually, programs};

/// A guest that was built.
struct Built {
    root: tempfile::TempDir,
    component: PathBuf,
}

/// Makes a guest of this name, and builds it by the commands that are printed. Its tools are those of the suite.
fn build(name: &str, arguments: &[&str]) -> Built {
    let root = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let mut new = programs!().command();
    new.args(["new", name]).args(arguments).current_dir(root.path()).env_remove("CARGO_TARGET_DIR");
    let output = new.envs(environment()).env_remove("WASI_SDK_PATH").output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();

    let step = |name: &str| text.lines().find_map(|line| line.strip_prefix(name).map(str::trim_start));
    for command in [step("Set up:"), step("Build:")].into_iter().flatten() {
        run(root.path(), command);
    }
    println!("{arguments:?}: built in {:?}", begin.elapsed());
    let served = step("Serve:").unwrap();
    let component = root.path().join(served.strip_prefix("wasi-httpd --watch ").unwrap());
    Built { root, component }
}

/// Runs a command as a shell does.
fn run(directory: &Path, command: &str) {
    let mut shell = Command::new("bash");
    shell.args(["-euc", command]).current_dir(directory);
    without_cargo(&mut shell);
    let output = shell.envs(environment()).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

fn answers(server: &Server) {
    for (target, body) in [("/", "Hello /\n"), ("/a%20b?c=d", "Hello /a%20b?c=d\n")] {
        let response = server.get(target);
        assert_eq!((response.status, response.text(), response.complete), (200, body, true));
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    // Longer than what one call writes.
    let long = format!("/{}", "x".repeat(7000));
    assert_eq!(server.get(&long).text(), format!("Hello {long}\n"));
    let head = server.connect().request("HEAD", "/", &[]);
    assert_eq!((head.status, head.text()), (200, ""));
}

/// Builds a guest, and serves it as it is, on this host and on `wasmtime serve`.
fn serves(name: &str, arguments: &[&str]) {
    let built = build(name, arguments);
    answers(&programs!().ours_with_guest(&built.component, &["--watch"]));
    answers(&programs!().stock_with_guest(&built.component));
}

#[test]
fn rust() {
    serves("hello", &[]);
}

#[test]
fn rust_for_wasi_0_3() {
    serves("hello-p3", &["--wasi", "0.3"]);
}

#[test]
fn javascript() {
    serves("hello", &["--lang", "js"]);
}

#[test]
fn python() {
    serves("hello", &["--lang", "python"]);
}

#[test]
fn c_and_its_next_build() {
    let built = build("hello", &["--lang", "c"]);
    answers(&programs!().stock_with_guest(&built.component));
    let server = programs!().ours_with_guest(&built.component, &["--watch"]);
    answers(&server);
    let source = built.root.path().join("hello/app.c");
    let text = std::fs::read_to_string(&source).unwrap().replace("\"Hello \", 6", "\"Goodbye \", 8");
    std::fs::write(&source, text).unwrap();
    run(built.root.path(), "(cd hello && make)");
    eventually("the next build is served", || server.get("/").text() == "Goodbye /\n");
}
