//! `wasi-httpd check`, and the checks of a start: what is wrong with a site is known before the first request.

use std::process::Output;
use tests::guests::{self, GuestFile};
use tests::programs;
use tests::site::Site;

fn check(site: &Site, options: &[&str]) -> Output {
    let mut command = programs!().command();
    command.arg("check").arg("--dir").arg(site.root()).args(options);
    command.output().unwrap()
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8(bytes.to_vec()).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_valid_site_is_said_to_be_valid() {
    let site = Site::new();
    site.file("_headers", "/*\n  X-A: 1\n").file("index.html", "x");
    let output = check(&site, &["--rules", "--spa", "index.html"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(lines(&output.stdout), ["The configuration is valid."]);
    assert_eq!(lines(&output.stderr), [""; 0]);
}

#[test]
fn every_fault_of_a_site_is_a_line() {
    let site = Site::new();
    site.file("_headers", "/*\n  X-A\n  Basic-Auth: a\nhttps://:project.pages.dev/*\n");
    site.file("_redirects", "/a /b 301 Language=de\n/c /d 999\n");
    let output = check(&site, &["--rules", "--spa", "nope.html", "--error-page", "errors"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(lines(&output.stdout), [""; 0]);
    let errors = lines(&output.stderr);
    let starts = [
        "wasi-httpd: _headers, line 2: this is no header field",
        "wasi-httpd: _headers, line 3: `Basic-Auth` takes `NAME:PASSWORD`",
        "wasi-httpd: _headers, line 4: a rule is about a path of this site; rules for one host name",
        "wasi-httpd: _redirects, line 1: nothing may follow the status",
        "wasi-httpd: _redirects, line 2: a status is 301,",
        "wasi-httpd: FILES_SPA is `nope.html`, but there is no such file in",
        "wasi-httpd: FILES_ERROR_PAGE is `errors`, but there is no such directory in",
    ];
    assert_eq!(errors.len(), starts.len(), "{errors:#?}");
    for (error, start) in errors.iter().zip(starts) {
        assert!(error.starts_with(start), "{error}");
    }
    assert_eq!(check(&site, &[]).status.code(), Some(0), "without --rules, the files are not read");
}

#[test]
fn wrong_settings_and_components_are_found_too() {
    let site = Site::new();
    let output = check(&site, &["--cors", "example.com"]);
    assert_eq!(output.status.code(), Some(2));
    site.file("broken.wasm", "no component");
    let guest = site.path("broken.wasm");
    let output = check(&site, &[guest.to_str().unwrap()]);
    assert_eq!((output.status.code(), lines(&output.stderr).len()), (Some(1), 1));
}

#[test]
fn a_server_does_not_start_with_wrong_rules() {
    let site = Site::new();
    site.file("_headers", "/*\n  X-A\n  X-B\n");
    let mut command = programs!().command();
    command.args(["--addr", "127.0.0.1:0", "--rules", "--dir"]).arg(site.root());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = lines(&output.stderr);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with("wasi-httpd: _headers, line 2: this is no header field"), "{errors:?}");
    assert!(errors[0].ends_with("(and 1 more; `wasi-httpd check` lists them)"), "{errors:?}");
}

#[test]
fn a_page_that_is_missing_is_a_warning_at_the_start_and_a_line_for_a_request() {
    let site = Site::new();
    let server = programs!().ours(&site, &["--spa", "nope.html", "--error-page", "errors"]);
    server.wait_for_error(|line| line.contains("FILES_SPA is `nope.html`, but there is no such file in"));
    server.wait_for_error(|line| {
        line.contains("FILES_ERROR_PAGE is `errors`, but there is no such directory in")
    });
    assert_eq!(server.get_with("/x", &[("Accept", "text/html")]).status, 404);
    server.wait_for_guest(|line| line.starts_with("guest stderr: FILES_SPA is `nope.html`"));
}

#[test]
fn completions_and_the_manual_page_name_every_flag() {
    let output = |arguments: &[&str]| {
        let output = programs!().command().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let help = output(&["--help"]);
    let flags: Vec<_> = help
        .split_whitespace()
        .filter(|word| word.starts_with("--") && word.len() > 3)
        .map(|word| word[2..].split(['=', '[']).next().unwrap().to_owned())
        .collect();
    assert!(flags.len() > 30, "{flags:?}");
    let shells = ["bash", "zsh", "fish"].map(|shell| output(&["completions", shell]));
    let man = output(&["man"]).replace("\\-", "-");
    for flag in flags {
        for text in shells.iter().chain([&man]) {
            assert!(text.contains(&flag), "--{flag} is missing in {}", &text[..40]);
        }
    }
    assert!(man.contains("COMMAND INSPECT"), "{man}");
}

#[test]
fn what_a_component_imports_and_is_not_granted_is_told() {
    let site = Site::new();
    let asks = guests::handler_with(
        "(import \"wasi:http/outgoing-handler@0.2.12\" \"handle\" (func $ask (param i32 i32 i32 i32)))",
        guests::ANSWER,
    );
    let guest = GuestFile::new(asks);
    let path = guest.path.to_str().unwrap();
    let told = format!(
        "Not granted to the guest `{path}`: wasi:http/outgoing-handler@0.2.12 (--allow-host HOST[:PORT] allows it)"
    );
    let output = check(&site, &[path]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(lines(&output.stdout), [told.as_str(), "The configuration is valid."]);
    assert_eq!(
        lines(&check(&site, &[path, "--allow-host", "localhost"]).stdout),
        ["The configuration is valid."]
    );
    let server = programs!().ours_with_guest(&guest.path, &["--dir", site.root().to_str().unwrap()]);
    assert!(server.lines().contains(&told), "{:?}", server.lines());
}

#[test]
fn what_a_middleware_imports_and_is_not_granted_is_told() {
    let site = Site::new();
    let rate = GuestFile::new(guests::RATE_LIMIT);
    let option = format!("--middleware={}", rate.path.display());
    let allows =
        format!("(--middleware {},keyvalue=NAME=memory|NAME=sqlite:FILE allows it)", rate.path.display());
    let [atomics, batch, store] =
        ["atomics", "batch", "store"].map(|name| format!("wasi:keyvalue/{name}@0.2.0-draft {allows}"));
    let output = check(&site, &[&option]);
    assert_eq!(output.status.code(), Some(0));
    let lines = lines(&output.stdout);
    let [told, valid] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(valid, "The configuration is valid.");
    assert!(
        told.starts_with(&format!("Not granted to the middleware `{}`: ", rate.path.display())),
        "{told}"
    );
    assert!([atomics, batch, store].iter().all(|import| told.contains(import)), "{told}");
    let granted = check(&site, &[&format!("{option},keyvalue=rate-limit=memory")]);
    assert_eq!(String::from_utf8(granted.stdout).unwrap(), "The configuration is valid.\n");
    site.file("broken.wasm", "no component");
    let broken = format!("--middleware={}", site.path("broken.wasm").display());
    let output = check(&site, &[&broken]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("the middleware `") && errors.contains("it is not WebAssembly"), "{errors}");
}
