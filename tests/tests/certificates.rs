//! Certificates: which one a client is shown, when they are read again, and what is wrong with them.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tests::client::connect;
use tests::site::Site;
use tests::tls::{Authority, Clients, Files, write_private};
use tests::{Client, Server, eventually, programs};

fn server(site: &Site, flags: &[&str], authority: &Authority) -> Server {
    programs!().ours(site, flags).with_clients(authority.clients())
}

/// The certificate that clients are shown.
fn shown(server: &Server, clients: &Clients) -> CertificateDer<'static> {
    clients.begin(connect(server.address())).unwrap().certificate()
}

fn parsed((certificate, _): &(String, String)) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()
}

/// Replaces a file as a whole.
fn replace(path: &Path, content: &str) {
    let temporary = path.with_extension("new");
    write_private(&temporary, content);
    fs::rename(temporary, path).unwrap();
}

#[test]
fn the_name_that_a_client_asks_for_chooses() {
    let site = Site::new();
    let authority = Authority::new();
    let issued = [&["localhost"][..], &["*.example.com", "example.org"], &["www.example.com"]]
        .map(|names| authority.issue(names));
    let files: Vec<_> = issued
        .iter()
        .enumerate()
        .map(|(at, issued)| Files::write(site.outside(), &at.to_string(), issued))
        .collect();
    let flags: Vec<_> = files.iter().flat_map(Files::flags).collect();
    let server = server(&site, &flags, &authority);
    let clients = authority.clients();
    for (name, expected) in [
        ("localhost", 0),
        ("example.org", 1),
        ("EXAMPLE.org", 1),
        ("a.example.com", 1),
        ("www.example.com", 2),
    ] {
        assert_eq!(shown(&server, &clients.asking_for(name)), parsed(&issued[expected]), "{name}");
    }
    // For these there is none. The client has the first one to complain about, and so do its users.
    for name in ["example.com", "a.b.example.com", "example.net"] {
        let error = clients.asking_for(name).begin(connect(server.address())).unwrap_err();
        assert!(error.to_string().contains("certificate not valid for name"), "{name}: {error}");
    }
}

#[test]
fn new_files_are_read_and_sessions_go_on() {
    let site = Site::new();
    site.file("a.txt", "a");
    let authority = Authority::new();
    let mut issued = authority.issue(&["localhost"]);
    let files = Files::write(site.outside(), "localhost", &issued);
    let server = server(&site, &files.flags(), &authority);
    let clients = authority.clients();
    let mut open = Client::connect_over_tls(server.address(), &clients);
    assert_eq!(open.request("GET", "/a.txt", &[]).text(), "a");
    for by_signal in [false, true] {
        issued = authority.issue(&["localhost"]);
        replace(&files.certificate, &issued.0);
        replace(&files.key, &issued.1);
        if by_signal {
            server.signal("HUP");
        }
        eventually("the new certificate is shown", || {
            shown(&server, &authority.clients()) == parsed(&issued)
        });
    }
    assert_eq!(open.request("GET", "/a.txt", &[]).text(), "a", "connections stay");
    let resumed = clients.begin(connect(server.address())).unwrap();
    assert_eq!(resumed.session().handshake_kind(), Some(rustls::HandshakeKind::Resumed));
}

#[test]
fn a_directory_that_is_swapped_as_kubernetes_does_is_read() {
    let site = Site::new();
    let authority = Authority::new();
    let issued = [authority.issue(&["localhost"]), authority.issue(&["localhost"])];
    let volume = site.outside().join("volume");
    for (at, issued) in issued.iter().enumerate() {
        let version = volume.join(format!("..{at}"));
        fs::create_dir_all(&version).unwrap();
        Files::write(&version, "tls", issued);
    }
    let lead_to = |version: &str| {
        symlink(version, volume.join("..new")).unwrap();
        fs::rename(volume.join("..new"), volume.join("..data")).unwrap();
    };
    lead_to("..0");
    for name in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{name}"), volume.join(name)).unwrap();
    }
    let files = Files { certificate: volume.join("tls.crt"), key: volume.join("tls.key") };
    let server = server(&site, &files.flags(), &authority);
    assert_eq!(shown(&server, &authority.clients()), parsed(&issued[0]));
    lead_to("..1");
    eventually("the new certificate is shown", || shown(&server, &authority.clients()) == parsed(&issued[1]));
}

#[test]
fn the_old_pair_is_kept_when_the_new_one_is_wrong() {
    let site = Site::new();
    let authority = Authority::new();
    let issued = authority.issue(&["localhost"]);
    let files = Files::write(site.outside(), "localhost", &issued);
    let server = server(&site, &files.flags(), &authority);
    let is_told = |words: &str| {
        server.wait_for_error(|line| {
            line.starts_with("wasi-httpd: warning: nothing was reloaded, ") && line.contains(words)
        });
        assert_eq!(shown(&server, &authority.clients()), parsed(&issued));
    };
    replace(&files.key, &authority.issue(&["localhost"]).1);
    server.wait_for_error(|line| {
        line.starts_with("wasi-httpd: warning: certificates stay as they are: ")
            && line.contains("does not belong to the first certificate")
    });
    server.signal("HUP");
    is_told("does not belong to the first certificate");
    replace(&files.key, "nothing");
    server.signal("HUP");
    is_told("there is no private key in");
    fs::remove_file(&files.certificate).unwrap();
    server.signal("HUP");
    is_told("cannot read the certificate");
    let issued = authority.issue(&["localhost"]);
    Files::write(site.outside(), "localhost", &issued);
    server.signal("HUP");
    eventually("the right pair is shown", || shown(&server, &authority.clients()) == parsed(&issued));
}

#[test]
fn a_hundred_reloads_under_load_fail_no_handshake() {
    const RELOADS: usize = 100;
    let site = Site::new();
    site.file("a.txt", "a");
    let authority = Authority::new();
    let issued = [authority.issue(&["localhost"]), authority.issue(&["localhost"])];
    let files = Files::write(site.outside(), "localhost", &issued[0]);
    let server = server(&site, &files.flags(), &authority);
    let (is_over, handshakes) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    // Clients of their own have no session to resume.
                    let mut client = Client::connect_over_tls(server.address(), &authority.clients());
                    assert_eq!(client.request("GET", "/a.txt", &[]).text(), "a");
                    handshakes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for reload in 0..RELOADS {
            let (certificate, key) = &issued[reload % 2];
            replace(&files.certificate, certificate);
            replace(&files.key, key);
            server.signal("HUP");
            let reloads = || server.lines().iter().filter(|line| *line == "Reloaded 1 site").count();
            eventually("it was reloaded", || reloads() > reload);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    println!("{} handshakes", handshakes.into_inner());
}

/// Runs the server until it fails.
fn failure(site: &Site, flags: &[&str]) -> (Option<i32>, String) {
    let mut command = programs!().command();
    command.args(["--addr", "127.0.0.1:0", "--dir"]).arg(site.root()).args(flags);
    let Output { status, stderr, .. } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    (status.code(), stderr)
}

/// A file with this content, beside the site.
fn file(site: &Site, name: &str, content: &[u8]) -> PathBuf {
    let path = site.outside().join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn what_is_wrong_with_files_is_told_at_the_start() {
    let site = Site::new();
    let authority = Authority::new();
    let issued = authority.issue(&["localhost"]);
    let good = Files::write(site.outside(), "good", &issued);
    let (certificate, key) = (good.certificate.as_path(), good.key.as_path());
    let other = Files::write(site.outside(), "other", &authority.issue(&["localhost"]));
    let none = site.outside().join("none.pem");
    let text = file(&site, "text", b"no PEM");
    let der = file(&site, "der", parsed(&issued).as_ref());
    let encrypted = file(
        &site,
        "encrypted",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let old = file(
        &site,
        "old",
        b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMAA=\n-----END RSA PRIVATE KEY-----\n",
    );
    let damaged = file(&site, "damaged", b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    let half = file(&site, "half", &issued.0.as_bytes()[..issued.0.len() / 2]);
    let large = file(&site, "large", &vec![b'\n'; 2 << 20]);
    for (certificate, key, words) in [
        (none.as_path(), key, "cannot read the certificate"),
        (certificate, none.as_path(), "cannot read the key"),
        (site.root(), key, "cannot read the certificate"),
        (certificate, other.key.as_path(), "does not belong to the first certificate in"),
        (key, certificate, "were --tls-cert and --tls-key mixed up?"),
        (certificate, certificate, "were --tls-cert and --tls-key mixed up?"),
        (text.as_path(), key, "there is no certificate in"),
        (certificate, text.as_path(), "there is no private key in"),
        (der.as_path(), key, "is no PEM file; `openssl x509 -inform der"),
        (certificate, encrypted.as_path(), "is encrypted, and a server cannot ask for its passphrase"),
        (certificate, old.as_path(), "is encrypted, and a server cannot ask for its passphrase"),
        (damaged.as_path(), key, "the first certificate in"),
        (half.as_path(), key, "is damaged"),
        (large.as_path(), key, "it is larger than"),
    ] {
        let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
        let (status, message) = failure(&site, &["--tls-cert", certificate, "--tls-key", key]);
        assert_eq!(status, Some(1), "{message}");
        assert!(message.contains(words), "{words}: {message}");
    }
}

#[test]
fn wrong_flags_are_told_at_the_start() {
    let site = Site::new();
    for (flags, words) in [
        (&["--tls-cert", "a"][..], "each --tls-cert needs its --tls-key"),
        (&["--tls-key", "a"], "each --tls-cert needs its --tls-key"),
        (&["--tls-dev", "--tls-cert", "a", "--tls-key", "b"], "leave it or --tls-cert out"),
        (&["--redirect-http", "localhost:0"], "--redirect-http needs TLS"),
        (&["--hsts"], "--hsts needs TLS"),
        (&["--hsts", "--tls-dev"], "would make browsers refuse every http://localhost"),
        (&["--hsts=1y", "--tls-cert", "a", "--tls-key", "b"], "--hsts takes SECONDS"),
        (&["--tls-dev", "--redirect-http", "80"], "--redirect-http takes HOST:PORT"),
    ] {
        let (status, message) = failure(&site, flags);
        assert_eq!(status, Some(2), "{message}");
        assert!(message.contains(words), "{words}: {message}");
    }
}

#[test]
fn an_expired_certificate_and_a_readable_key_are_warnings() {
    let site = Site::new();
    site.file("a.txt", "a");
    let authority = Authority::new();
    let files = Files::write(site.outside(), "old", &authority.issue_until(&["localhost"], 2021));
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).unwrap();
    let server = server(&site, &files.flags(), &authority);
    server.wait_for_error(|line| {
        line.contains("old.crt has expired on Fri, 01 Jan 2021 00:00:00 GMT; clients refuse it")
    });
    server.wait_for_error(|line| line.contains("every user of this machine can read the private key"));
    let error = authority.clients().begin(connect(server.address())).unwrap_err();
    assert!(error.to_string().contains("certificate expired"), "{error}");
}

#[test]
fn check_tells_what_is_wrong_and_how_long_certificates_last() {
    let site = Site::new();
    let authority = Authority::new();
    let check = |files: &[&Files]| {
        let mut command = programs!().command();
        command.arg("check").arg("--dir").arg(site.root()).args(files.iter().flat_map(|files| files.flags()));
        let Output { status, stdout, stderr } = command.output().unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    };
    let good =
        Files::write(site.outside(), "good", &authority.issue(&["example.com", "*.example.com", "::1"]));
    let (status, stdout, stderr) = check(&[&good]);
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    let about =
        format!("The certificate {} is for example.com, *.example.com, ::1; ", good.certificate.display());
    assert!(stdout.starts_with(&format!("{about}valid until Fri, 01 Jan 2100 00:00:00 GMT (")), "{stdout}");
    assert!(stdout.ends_with(" days).\nThe configuration is valid.\n"), "{stdout}");

    let old = Files::write(site.outside(), "old", &authority.issue_until(&["localhost"], 2021));
    let mixed = Files { key: old.key.clone(), ..good.clone() };
    let (status, _, stderr) = check(&[&old, &mixed]);
    let lines: Vec<_> = stderr.lines().collect();
    assert!(status == Some(1) && lines.len() == 2, "{stderr}");
    assert!(lines[0].contains("old.crt has expired on Fri, 01 Jan 2021"), "{stderr}");
    assert!(lines[1].contains("does not belong to the first certificate"), "{stderr}");
}
