//! Settings of the file server: variables on every runtime, flags on our host, and what is wrong with either is said.

use guest_builder::workspace;
use host::component::{BUILT_IN, BUILT_IN_P3};
use tests::site::Site;
use tests::{FileServer, Runtime, on_each_runtime, programs};

#[test]
fn a_wrong_setting_is_told_at_the_start_where_the_host_can_know() {
    for (arguments, words) in [
        (["--listing=maybe"].as_slice(), "FILES_LISTING is `maybe`, but it takes `on` or `off`"),
        (&["--env", "FILES_SPA=../x"], "FILES_SPA is `../x`, but it takes a file below the served directory"),
        (
            &["--env", "FILES_LISTNG=on"],
            "FILES_LISTNG is `on`, but there is no such setting; there are FILES_INDEX,",
        ),
        (&["--headers", "*: Date: x"], "FILES_HEADERS is `*: Date: x`, but the server itself sets `Date`"),
        (&["--cors", "example.com"], "FILES_CORS is `example.com`, but it takes `*`, or origins such as"),
        (&["--listing", "--env", "FILES_LISTING=on"], "FILES_LISTING was set twice"),
        (&["--etag", "auto", "--etag", "mtime"], "--etag was given more than once"),
        (
            &["--hidden", "--hidden=/.git/*: off"],
            "FILES_HIDDEN is `on\\n/.git/*: off`, but its line `/.git/*: off` has no effect after `on`, which is about every path",
        ),
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
    for guest in [FileServer::V02, FileServer::V03] {
        let server = programs!().stock(&site, guest);
        let response = server.get("/a.txt");
        assert_eq!(response.status, 500);
        assert!(!response.text().contains("FILES_"), "{}", response.text());
        server.wait_for_error(|line| line.contains("FILES_INDEX is `a/b`, but it takes names of files"));
    }

    // The built-in guest under another name is anybody's guest.
    let guest = site.outside().join("guest.wasm");
    std::fs::write(&guest, &*BUILT_IN).unwrap();
    let server = programs!().ours_with_guest(&guest, &["--env", "FILES_INDEX=a/b"]);
    assert_eq!(server.runtime(), Runtime::Ours);
    assert_eq!(server.get("/a.txt").status, 500);
    server.wait_for_guest(|line| line.starts_with("guest stderr: FILES_INDEX is `a/b`"));
}

#[test]
fn a_runtime_that_gives_no_directory_is_told_so() {
    let site = Site::new();
    let guest = site.outside().join("guest.wasm");
    for component in [&*BUILT_IN, &*BUILT_IN_P3] {
        std::fs::write(&guest, component).unwrap();
        let server = programs!().stock_with_guest(&guest);
        for target in ["/", "/a.txt"] {
            assert_eq!(server.get(target).status, 500, "{target}");
        }
        server.wait_for_error(|line| line.contains("there is no directory to serve; give the component one"));
    }
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

fn document(name: &str) -> String {
    std::fs::read_to_string(workspace().join("docs").join(name)).unwrap()
}

/// The cells of the rows of a table, without the marks for code.
fn rows(document: &str) -> impl Iterator<Item = Vec<String>> {
    let rows = document.lines().filter(|line| line.starts_with("| "));
    rows.map(|row| {
        let cells = row.replace("\\|", "\u{0}").replace('`', "");
        let cells = cells.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{0}', "|"));
        cells.collect()
    })
}

#[test]
fn the_documentation_of_settings_says_what_the_help_says() {
    let output = programs!().command().arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let document = document("file-server.md");
    for variable in guest::config::VARIABLES {
        let flag = variable.name.trim_start_matches("FILES_").to_lowercase().replace('_', "-");
        assert!(help.contains(&format!("--{flag}")), "--{flag} is not in the help");
        let text = format!("[{}] [default: {}]", variable.name, variable.default);
        assert!(help.contains(&text), "`{text}` is not in the help");
        assert!(help.contains(variable.meaning), "`{}` is not in the help", variable.meaning);
        let value = if variable.repeatable { ", repeatable" } else { "" };
        let row = [
            variable.name.to_owned(),
            format!("--{flag}"),
            format!("{}{value}", variable.value),
            variable.default.to_owned(),
            variable.meaning.to_owned(),
        ];
        assert!(rows(&document).any(|known| known == row), "docs/file-server.md has no row {row:?}");
    }
}

#[test]
fn the_documentation_of_options_has_their_names_and_defaults() {
    let document = document("operating.md");
    let rows: Vec<_> = rows(&document).filter(|row| row.len() == 3).collect();
    for command in [["--help"].as_slice(), &["run", "--help"]] {
        let output = programs!().command().args(command).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let (options, _) = help.split_once("Settings of the file server").unwrap_or((&help, ""));
        for option in options.split("\n  ").filter(|option| option.trim_start().starts_with('-')) {
            let flag = option.split_whitespace().find(|word| word.starts_with("--")).unwrap();
            if matches!(flag, "--help" | "--version") {
                continue;
            }
            let row = rows.iter().find(|row| row[0].split([' ', ',']).any(|word| word == flag));
            let row = row.unwrap_or_else(|| panic!("{flag} is not in docs/operating.md"));
            let default = option.split_once("[default: ").map(|(_, rest)| rest.split(']').next().unwrap());
            // Numbers are the same; sentences need not be.
            if let Some(default) = default.filter(|default| default.parse::<u32>().is_ok()) {
                assert!(
                    row[1].split([' ', ';']).any(|word| word == default),
                    "{flag}: {default}, not {}",
                    row[1]
                );
            }
        }
    }
}
