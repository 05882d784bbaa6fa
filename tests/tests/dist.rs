//! What is shipped in `dist/`: the example configuration is valid, and serves what it says.

use guest_builder::workspace;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tests::tls::{Authority, Files};
use tests::{Client, Process, Site, programs};

/// The users that the example names.
const USERS: &str = "\
ann:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW
bob:$2y$04$bbcdefghijklmnopqrstuuMQzKPeRHimaTNL.1O.fHkn0nXi94ZwO
";

/// The example, with its directories, certificates and passwords in the place of those of a machine.
fn example(site: &Site, edit: impl Fn(&str) -> String) -> PathBuf {
    let text = fs::read_to_string(workspace().join("dist/config.toml")).unwrap();
    let outside = site.outside();
    let directories = outside.join("srv");
    for directory in ["www", "files"] {
        fs::create_dir_all(directories.join(directory)).unwrap();
    }
    let authority = Authority::new();
    let files = Files::write(outside, "example", &authority.issue(&["example.com"]));
    let [_, certificate, _, key] = files.flags();
    let users = outside.join("users");
    fs::write(&users, USERS).unwrap();
    fs::set_permissions(&users, Permissions::from_mode(0o640)).unwrap();
    let text = edit(&text)
        .replace("/etc/wasi-httpd/users", users.to_str().unwrap())
        .replace("/srv/", &format!("{}/", directories.display()))
        .replace("/etc/ssl/example.com/fullchain.pem", certificate)
        .replace("/etc/ssl/example.com/privkey.pem", key);
    let path = outside.join("config.toml");
    fs::write(&path, text).unwrap();
    path
}

/// The same, with the keys that are comments.
fn with_all_keys(text: &str) -> String {
    let is_key =
        |line: &&str| line.starts_with(|first: char| first.is_ascii_lowercase()) && line.contains(" = ");
    let lines = text.lines().map(|line| line.strip_prefix('#').filter(is_key).unwrap_or(line));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_example_configuration_is_valid_with_and_without_its_comments() {
    let site = Site::new();
    let check = |path: PathBuf| {
        let mut command = programs!().command();
        let output = command.args(["check", "--config"]).arg(path).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), &*stderr), (Some(0), ""));
        assert!(String::from_utf8(output.stdout).unwrap().ends_with("The configuration is valid.\n"));
    };
    check(example(&site, str::to_owned));
    let all = example(&site, with_all_keys);
    let text = fs::read_to_string(&all).unwrap();
    assert!(text.contains("\naddr = ") && text.contains("\ntls-cert = "), "{text}");
    check(all);
}

#[test]
fn the_example_configuration_serves_its_two_sites() {
    let site = Site::new();
    let path = example(&site, str::to_owned);
    let srv = site.outside().join("srv");
    fs::write(srv.join("www/about.html"), "about").unwrap();
    fs::write(srv.join("www/_redirects"), "/old /about 301\n").unwrap();
    fs::write(srv.join("files/large.bin"), "large").unwrap();
    let mut command: Command = programs!().command();
    command.arg("--config").arg(path).args(["--addr", "127.0.0.1:0"]).stdin(Stdio::null());
    let server = Process::start(&mut command);
    let line = server.wait_for_error(|line| line.starts_with("Listening on http://"));
    let address = line.trim_start_matches("Listening on http://").trim_end_matches('/').parse().unwrap();
    let get = |host: &str, target: &str| {
        let mut client = Client::connect(address);
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.response("GET")
    };
    assert_eq!(get("www.example.com", "/about").text(), "about");
    assert_eq!(get("example.com", "/old").header("location"), Some("./about"));
    assert_eq!(get("downloads.example.com", "/files/large.bin").text(), "large");
    assert!(get("downloads.example.com", "/files/").text().contains("large.bin"));
    for (host, target) in [("www.example.com", "/large.bin"), ("downloads.example.com", "/about")] {
        assert_ne!(get(host, target).status, 200, "{host}{target}");
    }
}
