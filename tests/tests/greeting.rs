//! What a person is shown and given at the start: the URLs for other machines with a QR code, on a terminal, and a browser.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use tests::process::{KillOnDrop, Process};
use tests::{Client, Site, eventually, programs, terminal};

/// A server that other machines can reach, on a free port.
fn public(site: &Site) -> Command {
    let mut command = programs!().command();
    command.args(["--allow-root", "--addr", "0.0.0.0:0", "--dir"]).arg(site.root()).stdin(Stdio::null());
    command
}

/// The URLs at which other machines find a server that listens at each address of IPv4.
fn urls(port: &str) -> Vec<String> {
    let interfaces =
        if_addrs::get_if_addrs().unwrap().into_iter().filter_map(|interface| match interface.addr {
            if_addrs::IfAddr::V4(address) => Some(address.ip),
            if_addrs::IfAddr::V6(_) => None,
        });
    let others = interfaces.filter(|address| !address.is_loopback() && !address.is_link_local());
    others.map(|address| format!("http://{address}:{port}/")).collect()
}

#[test]
fn a_terminal_shows_where_other_machines_find_the_server() {
    let site = Site::new();
    let (terminal, end) = terminal::open();
    let mut command = public(&site);
    command.stdout(Stdio::null()).stderr(end);
    let _process = KillOnDrop(command.spawn().unwrap());
    drop(command);
    let mut lines = BufReader::new(terminal).lines().map(|line| line.unwrap());
    let listening = lines.find(|line| line.starts_with("Listening on ")).unwrap();
    let port = listening.trim_end_matches('/').rsplit(':').next().unwrap();
    let urls = urls(port);
    for url in urls.iter().take(6) {
        assert_eq!(lines.next().unwrap(), format!("Other machines find it at {url}"));
    }
    if !urls.is_empty() {
        // The border above the code, black on white.
        assert!(lines.next().unwrap().starts_with("\u{1b}[38;5;16;48;5;231m        "));
    }
}

#[test]
fn what_is_no_terminal_is_shown_the_listeners_only() {
    let site = Site::new();
    let server = Process::start(&mut public(&site));
    server.wait_for_error(|line| line.starts_with("Listening on "));
    server.signal("TERM");
    let (_, _, errors) = server.wait();
    assert!(!errors.iter().any(|line| line.contains("find it at") || line.contains('█')), "{errors:#?}");
}

/// A server that opens a browser, where this script is `xdg-open`.
fn opening(site: &Site, script: Option<&str>, address: &str, more: &[&str]) -> Process {
    let programs = site.outside().join("programs");
    fs::create_dir(&programs).unwrap();
    if let Some(script) = script {
        let file = programs.join("xdg-open");
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(file, Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = programs!().command();
    command.args(["--open", "--addr", address, "--dir"]).arg(site.root()).args(more);
    Process::start(command.env("PATH", programs).stdin(Stdio::null()))
}

fn content(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

#[test]
fn a_browser_is_opened_once_the_server_listens() {
    let site = Site::new();
    let opened = site.outside().join("opened");
    let server = opening(&site, Some(&format!("echo \"$*\" >> '{}'", opened.display())), "127.0.0.1:0", &[]);
    let listening = server.wait_for_error(|line| line.starts_with("Listening on "));
    let port = listening.trim_end_matches('/').rsplit(':').next().unwrap();
    let expected = format!("http://localhost:{port}/\n");
    eventually("the browser is opened", || content(&opened) == expected);
    // A reload opens no other one.
    server.signal("HUP");
    server.wait_for_error(|line| line.starts_with("Reloaded "));
    server.signal("TERM");
    server.wait();
    assert_eq!(content(&opened), expected);
}

#[test]
fn a_browser_that_cannot_be_opened_is_a_warning() {
    for (script, why) in [
        (None, "xdg-open is not installed (the package xdg-utils has it)"),
        (Some("exit 3"), "xdg-open failed with exit status: 3"),
    ] {
        let site = Site::new();
        let server = opening(&site, script, "127.0.0.1:0", &[]);
        let start = format!("wasi-httpd: warning: cannot open a browser: {why}; open http://localhost:");
        let warning = server.wait_for_error(|line| line.starts_with(&start));
        let port = warning.strip_prefix(&start).unwrap().trim_end_matches("/ in one").parse().unwrap();
        assert_eq!(
            Client::connect(SocketAddr::from(([127, 0, 0, 1], port))).request("GET", "/", &[]).status,
            200
        );
    }
}

#[test]
fn no_browser_is_opened_by_a_server_that_does_not_start() {
    let site = Site::new();
    let opened = site.outside().join("opened");
    let script = format!("echo >> '{}'", opened.display());
    let guest = site.outside().join("guest.wasm");
    fs::write(&guest, "no component").unwrap();
    let server = opening(&site, Some(&script), "127.0.0.1:0", &[guest.to_str().unwrap()]);
    assert_eq!(server.wait().0.code(), Some(1));
    assert!(!opened.exists());
}

#[test]
fn a_unix_socket_has_no_url_to_open() {
    let site = Site::new();
    let address = format!("unix:{}", site.outside().join("socket").display());
    let (status, _, errors) = opening(&site, Some("exit 0"), &address, &[]).wait();
    assert_eq!(status.code(), Some(1));
    let [error] = errors.as_slice() else { panic!("{errors:#?}") };
    assert!(error.starts_with("wasi-httpd: --open needs a listener that a browser can reach"), "{error}");
}
