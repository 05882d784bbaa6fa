//! `wasi-httpd new`: what it writes and says, in each language, without the tools of these. `new_built.rs` builds what it
//! writes.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tests::programs;

/// What is written for each language and version of WASI, but for `.gitignore`, `README.md` and `wit/deps`.
const KINDS: [(&[&str], &[&str]); 5] = [
    (&[], &[".cargo/config.toml", "Cargo.toml", "src/lib.rs", "wit/world.wit"]),
    (&["--wasi", "0.3"], &[".cargo/config.toml", "Cargo.toml", "src/lib.rs", "wit/world.wit"]),
    (&["--lang", "js"], &["app.js", "package.json", "wit/world.wit"]),
    (&["--lang", "python"], &["app.py", "requirements.txt", "wit/world.wit"]),
    (&["--lang", "c"], &["Makefile", "app.c", "wit/world.wit"]),
];

fn new(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = programs!().command();
    command.arg("new").args(arguments).current_dir(directory).env_remove("CARGO_TARGET_DIR");
    command
}

/// Standard output of a run that succeeds and says nothing on standard error.
fn stdout(output: Output) -> String {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap()
}

/// The message and the exit status of a run that fails: one line.
fn failure(mut command: Command) -> (String, Option<i32>) {
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(message.lines().count(), 1, "{message}");
    (message, output.status.code())
}

/// Every file below a directory, by its path from there.
fn files(directory: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
            found.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
    found
}

#[test]
fn each_kind_of_guest_is_complete() {
    for (arguments, expected) in KINDS {
        let root = tempfile::tempdir().unwrap();
        let text = stdout(new(root.path(), arguments).arg("My Hello").output().unwrap());
        let written = files(&root.path().join("My Hello"));
        let own = written.keys().filter(|path| !path.starts_with("wit/deps/"));
        let mut expected: Vec<_> = expected.iter().chain(&[".gitignore", "README.md"]).copied().collect();
        expected.sort_unstable();
        assert_eq!(own.map(String::as_str).collect::<Vec<_>>(), expected, "{arguments:?}");
        assert!(written.contains_key("wit/deps/http.wit"), "{arguments:?}");
        for (path, content) in &written {
            assert!(!content.contains("guest-name") && !content.contains("guest_name"), "{path}");
        }
        let component =
            text.lines().find_map(|line| line.strip_prefix("Serve:   wasi-httpd --watch ")).unwrap();
        let names = ["'My Hello/target/wasm32-wasip2/release/my_hello.wasm'", "'My Hello/my-hello.wasm'"];
        assert!(names.contains(&component), "{component}");
        assert!(text.contains("\nBuild:   (cd 'My Hello' && "), "{text}");
    }
}

#[test]
fn the_version_of_wasi_is_that_of_the_interfaces() {
    for (arguments, release, other) in [(&[][..], "@0.2.12", "@0.3"), (&["--wasi", "0.3"], "@0.3.0", "@0.2")]
    {
        let root = tempfile::tempdir().unwrap();
        stdout(new(root.path(), arguments).arg("hello").output().unwrap());
        for (path, content) in files(&root.path().join("hello/wit")) {
            assert!(content.contains(release) && !content.contains(other), "{arguments:?} {path}");
        }
    }
}

#[test]
fn the_whole_text_says_how_to_go_on() {
    let root = tempfile::tempdir().unwrap();
    // Nothing but what is put here can be found, and nothing of this can be run.
    let nothing = root.path().join("bin");
    std::fs::create_dir(&nothing).unwrap();
    let text = |directory: &str, arguments: &[&str]| {
        let mut command = new(root.path(), arguments);
        stdout(command.arg(directory).env("PATH", &nothing).env_remove("WASI_SDK_PATH").output().unwrap())
    };
    assert_eq!(
        text("hello", &[]),
        "Made a guest in Rust for WASI 0.2 in hello.

Missing: Rust; to install: see https://rustup.rs
Build:   (cd hello && cargo build --release)
Serve:   wasi-httpd --watch hello/target/wasm32-wasip2/release/hello.wasm

Then open http://localhost:8080/ and change hello/src/lib.rs.
"
    );
    assert_eq!(
        text("js", &["--lang", "js"]),
        "Made a guest in JavaScript for WASI 0.2 in js.

Missing: Node.js 20 or newer; to install: see https://nodejs.org
Missing: npm; to install: it comes with Node.js; on Debian: apt-get install npm
Set up:  (cd js && npm install)
Build:   (cd js && npm run build)
Serve:   wasi-httpd --watch js/js.wasm

Then open http://localhost:8080/ and change js/app.js.
"
    );
    let python = text("py", &["--lang", "python"]);
    assert!(
        python.contains("\nMissing: Python 3.10 or newer with venv; to install: on Debian: apt-get install"),
        "{python}"
    );
    assert!(python.contains("\nSet up:  (cd py && python3 -m venv .venv && "), "{python}");
    let c = text("c", &["--lang", "c"]);
    for missing in ["make", "wit-bindgen", "wasm-tools"] {
        assert!(c.contains(&format!("\nMissing: {missing}; to install: ")), "{c}");
    }
    // A file that nobody may run is no program, and neither is a directory.
    std::fs::write(nothing.join("make"), "").unwrap();
    std::fs::create_dir(nothing.join("wasm-tools")).unwrap();
    let again = text("again", &["--lang", "c"]);
    assert!(again.contains("Missing: make;") && again.contains("Missing: wasm-tools;"), "{again}");
}

#[test]
fn nothing_is_said_to_be_missing_that_is_there() {
    let root = tempfile::tempdir().unwrap();
    let tools = root.path().join("bin");
    std::fs::create_dir(&tools).unwrap();
    let libraries = root.path().join("libraries");
    std::fs::create_dir(&libraries).unwrap();
    for name in
        ["cargo", "rustc", "node", "npm", "python3", "make", "clang", "wasm-ld", "wit-bindgen", "wasm-tools"]
    {
        let tool = tools.join(name);
        // As rustc does for the directory of a target's libraries. The others need only succeed.
        std::fs::write(&tool, format!("#!/bin/sh\necho {}\n", libraries.display())).unwrap();
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let text = |name: &str, arguments: &[&str]| {
        let mut command = new(root.path(), arguments);
        stdout(command.arg(name).env("PATH", &tools).env("WASI_SDK_PATH", "/opt/wasi-sdk").output().unwrap())
    };
    for (at, (arguments, _)) in KINDS.iter().enumerate() {
        let text = text(&format!("guest{at}"), arguments);
        assert!(!text.contains("Missing"), "{text}");
    }
    std::fs::remove_dir(&libraries).unwrap();
    let text = text("rust", &[]);
    assert!(
        text.contains(
            "\nMissing: the target wasm32-wasip2 of Rust; to install: rustup target add wasm32-wasip2\n"
        ),
        "{text}"
    );
}

#[test]
fn a_directory_that_is_not_empty_stays_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("mine"), "mine").unwrap();
    for (name, words) in [
        (".", ". is not empty: it has mine; name a new directory"),
        ("mine", "mine is not a directory"),
        ("mine/below", "below a file"),
    ] {
        let mut command = new(root.path(), &[]);
        command.arg(name);
        let (message, status) = failure(command);
        assert!(message.contains(words) && status == Some(1), "{message}");
        assert_eq!(files(root.path()), BTreeMap::from([("mine".to_owned(), "mine".to_owned())]));
    }
}

#[test]
fn an_empty_directory_is_used_by_each_of_its_names() {
    let root = tempfile::tempdir().unwrap();
    let empty = root.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    symlink(&empty, root.path().join("link")).unwrap();
    stdout(new(root.path(), &[]).arg("link").output().unwrap());
    // Its own name counts, not that of the link.
    assert!(files(&empty)["Cargo.toml"].contains("name = \"empty\""));

    let here = root.path().join("a/b/Here");
    stdout(new(root.path(), &[]).arg("a/b/there/").output().unwrap());
    std::fs::create_dir(&here).unwrap();
    let text = stdout(new(&here, &["--lang", "c"]).arg(".").output().unwrap());
    assert!(text.contains("Build:   (cd . && make)\nServe:   wasi-httpd --watch ./here.wasm\n"), "{text}");
    assert!(root.path().join("a/b/there/Cargo.toml").is_file());
}

#[test]
fn odd_names_are_quoted_and_give_valid_ones() {
    for (directory, name, serve) in [
        ("3d", "guest-3d", "3d/guest-3d.wasm"),
        ("größe", "gr-e", "größe/gr-e.wasm"),
        ("it's", "it-s", r"'it'\''s/it-s.wasm'"),
        ("a\u{1b}[31mb", "a-31mb", r"$'a\x1b[31mb/a-31mb.wasm'"),
        ("日本", "guest", "日本/guest.wasm"),
        ("test", "guest-test", "test/guest-test.wasm"),
    ] {
        let root = tempfile::tempdir().unwrap();
        let text = stdout(new(root.path(), &["--lang", "js"]).arg(directory).output().unwrap());
        let package = &files(&root.path().join(directory))["package.json"];
        assert!(package.contains(&format!("\"name\": \"{name}\"")), "{package}");
        let served = text.lines().find_map(|line| line.strip_prefix("Serve:   wasi-httpd --watch ")).unwrap();
        assert!(served == serve || served == format!("'{serve}'"), "{served}");
        assert!(!text.contains('\u{1b}'));
    }
    let root = tempfile::tempdir().unwrap();
    let text = stdout(new(root.path(), &["--lang", "c", "--"]).arg("-x").output().unwrap());
    assert!(text.contains("(cd ./-x && make)"), "{text}");
}

#[test]
fn cargo_may_build_elsewhere() {
    let root = tempfile::tempdir().unwrap();
    let mut command = new(root.path(), &[]);
    let text = stdout(command.arg("hello").env("CARGO_TARGET_DIR", "/built").output().unwrap());
    assert!(text.contains("--watch /built/wasm32-wasip2/release/hello.wasm\n"), "{text}");
}

#[test]
fn what_cannot_be_made_is_said_in_one_line() {
    let root = tempfile::tempdir().unwrap();
    for (arguments, words) in [
        (
            &["hello", "--lang", "js", "--wasi", "0.3"][..],
            "componentize-js makes components of WASI 0.2 from JavaScript only; leave --wasi 0.3 out",
        ),
        (&["hello", "--lang", "python", "--wasi", "0.3"], "componentize-py makes components of WASI 0.2"),
        (
            &["hello", "--lang", "c", "--wasi", "0.3"],
            "WASI 0.2 only; leave --wasi 0.3 out, or take --lang rust",
        ),
        (&["hello", "--lang", "cobol"], "rust, js, python, c"),
        (&["hello", "--wasi", "0.4"], "0.2, 0.3"),
        (&[""], "a value is required for '<DIR>'"),
        (&["a", "b"], "unexpected argument 'b'"),
    ] {
        let (message, status) = failure(new(root.path(), arguments));
        assert!(message.contains(words) && status == Some(2), "{arguments:?}: {message}");
    }
    assert_eq!(files(root.path()), BTreeMap::new());
}

#[test]
fn a_write_that_fails_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    // A file of more than 8 blocks of 512 bytes cannot be written.
    let program = new(root.path(), &[]).get_program().to_owned();
    let mut command = Command::new("bash");
    command
        .args(["-c", r#"trap "" XFSZ; ulimit -f 8; exec "$0" new a/hello"#])
        .arg(program)
        .current_dir(root.path());
    let (message, status) = failure(command);
    assert!(
        message.contains("no guest was made in a/hello, and what was written is removed again: cannot write"),
        "{message}"
    );
    assert_eq!((status, root.path().read_dir().unwrap().count()), (Some(1), 0));
}

#[test]
fn the_files_are_those_of_the_repository() {
    let root = tempfile::tempdir().unwrap();
    stdout(new(root.path(), &[]).arg("hello").output().unwrap());
    let wit: PathBuf = guest_builder::workspace().join("wit/deps");
    for (name, content) in files(&root.path().join("hello/wit/deps")) {
        assert_eq!(std::fs::read_to_string(wit.join(&name)).unwrap(), content, "{name}");
    }
}
