//! Settings of the file server: variables on every runtime, flags on our host, and what is wrong with either is said.

use guest_builder::workspace;
use tests::site::Site;
use tests::{Runtime, on_each_runtime, programs};

#[test]
fn a_wrong_setting_is_told_at_the_start_where_the_host_can_know() {
    for (arguments, words) in [
        (["--listing=maybe"].as_slice(), "FILES_LISTING is `maybe`, but it takes `on` or `off`"),
        (&["--env", "FILES_SPA=../x"], "FILES_SPA is `../x`, but it takes a file below the served directory"),
        (
            &["--env", "FILES_LISTNG=on"],
            "FILES_LISTNG is `on`, but there is no such setting; there are FILES_INDEX,",
        ),
        (
            &["--headers", "*: Date: x"],
            "FILES_HEADERS is `*: Date: x`, but the server itself says what `Date` is",
        ),
        (&["--cors", "example.com"], "FILES_CORS is `example.com`, but it takes `*`, or origins such as"),
        (&["--listing", "--env", "FILES_LISTING=on"], "FILES_LISTING was set twice"),
        (&["--spa", "a", "--spa", "b"], "--spa was given more than once"),
    ] {
        let output = programs!().command().args(["--addr", "127.0.0.1:0"]).args(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("wasi-httpd: ") && stderr.contains(words), "{arguments:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn a_wrong_setting_is_a_500_and_a_line_where_the_host_cannot_know() {
    let site = Site::new().with("FILES_INDEX", "a/b");
    site.file("a.txt", "a");
    let server = programs!().stock(&site);
    let response = server.get("/a.txt");
    assert_eq!(response.status, 500);
    assert!(!response.text().contains("FILES_"), "{}", response.text());
    server.wait_for_error(|line| line.contains("FILES_INDEX is `a/b`, but it takes names of files"));

    // The built-in guest under another name is anybody's guest.
    let guest = site.outside().join("guest.wasm");
    std::fs::write(&guest, host::component::BUILT_IN).unwrap();
    let server = programs!().ours_with_guest(&guest, &["--env", "FILES_INDEX=a/b"]);
    assert_eq!(server.runtime(), Runtime::Ours);
    assert_eq!(server.get("/a.txt").status, 500);
    server.wait_for_error(|line| line.contains("guest stderr: FILES_INDEX is `a/b`"));
}

#[test]
fn a_flag_does_what_its_variable_does() {
    let site = Site::new();
    site.file("a.htm", "index").file("dir/x", "x");
    let server =
        programs!().ours(&site, &["--index", "a.htm", "--headers", "*: X-A: 1", "--headers", "*: X-B: 2"]);
    let response = server.get("/");
    assert_eq!(
        (response.text(), response.header("x-a"), response.header("x-b")),
        ("index", Some("1"), Some("2"))
    );
}

#[test]
fn other_variables_are_nobodys_concern() {
    let site = Site::new().with("OTHER_LISTING", "maybe");
    site.file("a.txt", "a");
    on_each_runtime!(site, |server| {
        assert_eq!(server.get("/a.txt").text(), "a");
    });
}

#[test]
fn every_setting_is_in_the_help_and_in_the_readme() {
    let output = programs!().command().arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    for variable in guest::config::VARIABLES {
        let flag = variable.name.trim_start_matches("FILES_").to_lowercase().replace('_', "-");
        assert!(help.contains(&format!("--{flag}")), "--{flag} is not in the help");
        assert!(help.contains(&format!("[{}]", variable.name)), "{} is not in the help", variable.name);
        let row = format!("| `{}` | `--{flag}` |", variable.name);
        assert!(readme.contains(&row), "there is no `{row}` in the README");
    }
}
