//! The configuration file and the environment: they give the options of the command line, and what is wrong with them is one
//! line with its place.

use std::fs;
use std::process::Command;
use tests::process::Process;
use tests::site::Site;
use tests::{Client, Runtime, Server, programs};

/// A site with a configuration beside its root, which is called `www` there.
fn configured(text: &str) -> Site {
    let site = Site::new();
    site.file("a.txt", "a");
    fs::write(site.outside().join("site.toml"), text).unwrap();
    site
}

/// Our host with the configuration of a site.
fn command(site: &Site) -> Command {
    let mut command = programs!().command();
    command.arg("--config").arg(site.outside().join("site.toml"));
    command
}

/// What `check` says of it: the exit status, and the lines on standard output and standard error.
fn check(mut command: Command) -> (Option<i32>, Vec<String>, Vec<String>) {
    let output = command.output().unwrap();
    let lines =
        |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    (output.status.code(), lines(output.stdout), lines(output.stderr))
}

fn check_of(site: &Site) -> Command {
    let mut command = programs!().command();
    command.arg("check").arg("--config").arg(site.outside().join("site.toml"));
    command
}

#[test]
fn a_server_takes_its_options_from_a_file_and_its_paths_begin_there() {
    let site = configured("addr = '127.0.0.1:0'\ndir = 'www'\ncache-control = 'max-age=60'\nquiet = true\n");
    let server = Server::start(Runtime::Ours, command(&site));
    let response = server.get("/a.txt");
    assert_eq!((response.status, response.text()), (200, "a"));
    assert_eq!(response.header("cache-control"), Some("max-age=60"));
}

#[test]
fn the_command_line_counts_before_the_environment_and_that_before_the_file() {
    let site = configured("addr = '127.0.0.1:0'\ndir = 'www'\ncache-control = 'max-age=60'\n");
    let mut with_variable = command(&site);
    with_variable.env("WASI_HTTPD_CACHE_CONTROL", "*.txt: max-age=61\nmax-age=62");
    let server = Server::start(Runtime::Ours, with_variable);
    assert_eq!(server.get("/a.txt").header("cache-control"), Some("max-age=61"));

    let mut with_flag = command(&site);
    with_flag.env("WASI_HTTPD_CACHE_CONTROL", "max-age=61").args(["--cache-control", "max-age=63"]);
    let server = Server::start(Runtime::Ours, with_flag);
    assert_eq!(server.get("/a.txt").header("cache-control"), Some("max-age=63"));
}

#[test]
fn a_server_needs_no_command_line() {
    let site = configured("dir = 'www'\n");
    let mut command = programs!().command();
    command.env("WASI_HTTPD_CONFIG", site.outside().join("site.toml")).env("WASI_HTTPD_ADDR", "127.0.0.1:0");
    assert_eq!(Server::start(Runtime::Ours, command).get("/a.txt").text(), "a");
}

/// What a server answers for `/a.txt`, below a prefix, of a host. It is in the clear, whatever other tests are.
fn get(server: &Process, host: &str, prefix: &str) -> (u16, String) {
    let line = server.wait_for_error(|line| line.starts_with("Listening on http://"));
    let address = line.trim_start_matches("Listening on http://").trim_end_matches('/').parse().unwrap();
    let mut client = Client::connect(address);
    client.send(format!("GET {prefix}/a.txt HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    let response = client.response("GET");
    (response.status, response.text().to_owned())
}

#[test]
fn sections_are_sites_and_so_are_those_of_the_command_line() {
    let site = configured(
        "addr = '127.0.0.1:0'\ndir = 'www'\n[[site]]\nname = ['a.example', 'b.example']\n\
         [[site]]\nname = 'a.example'\nprefix = '/docs'\ndir = 'docs'\n",
    );
    let docs = site.outside().join("docs");
    fs::create_dir(&docs).unwrap();
    fs::write(docs.join("a.txt"), "docs").unwrap();

    let of_file = Process::start(&mut command(&site));
    let mut command = programs!().command();
    command.args(["--addr", "127.0.0.1:0"]);
    for (name, root) in [("a.example", site.root()), ("b.example", site.root()), ("a.example/docs", &docs)] {
        command.arg("--site").arg(format!("{name}={}", root.display()));
    }
    for server in [of_file, Process::start(&mut command)] {
        assert_eq!(get(&server, "a.example", ""), (200, "a".to_owned()));
        assert_eq!(get(&server, "B.example", ""), (200, "a".to_owned()));
        assert_eq!(get(&server, "a.example", "/docs"), (200, "docs".to_owned()));
        assert_eq!(get(&server, "b.example", "/docs").0, 404);
        assert_eq!(get(&server, "c.example", "").0, 421);
    }
}

#[test]
fn a_check_is_of_all_sites() {
    let site = configured(
        "[[site]]\nname = 'a.example'\ndir = 'www'\n[[site]]\nname = 'b.example'\ndir = 'www'\nspa = 'nope.html'\n",
    );
    let (status, _, errors) = check(check_of(&site));
    assert_eq!((status, errors.len()), (Some(1), 1), "{errors:?}");
    let expected = "wasi-httpd: site b.example: FILES_SPA is `nope.html`, but there is no such file in";
    assert!(errors[0].starts_with(expected), "{errors:?}");
    fs::remove_dir_all(site.root()).unwrap();
    let (status, _, errors) = check(check_of(&site));
    assert_eq!((status, errors.len()), (Some(1), 1), "{errors:?}");
}

#[test]
fn a_reload_reads_the_file_again_and_keeps_the_old_one_if_it_is_wrong() {
    let site = configured("addr = '127.0.0.1:0'\n[[site]]\nname = 'a.example'\ndir = 'www'\n");
    let file = site.outside().join("site.toml");
    let server = Process::start(&mut command(&site));
    assert_eq!(get(&server, "b.example", "").0, 421);

    let old = fs::read_to_string(&file).unwrap();
    fs::write(&file, old.replace("dir = 'www'", "dirs = 'www'")).unwrap();
    server.signal("HUP");
    let wrong = server.wait_for_error(|line| line.contains("there is no key"));
    let expected = format!("{}:4:1: there is no key `dirs`; did you mean `dir`?", file.display());
    assert!(wrong.starts_with("wasi-httpd: warning: ") && wrong.ends_with(&expected), "{wrong}");
    assert_eq!(get(&server, "a.example", ""), (200, "a".to_owned()));

    // As an editor does it: the file is another one.
    let new = site.outside().join("new.toml");
    fs::write(&new, old.replace("a.example", "b.example")).unwrap();
    fs::rename(&new, &file).unwrap();
    server.signal("HUP");
    server.wait_for_error(|line| line.starts_with("Reloaded "));
    assert_eq!(get(&server, "b.example", ""), (200, "a".to_owned()));
    assert_eq!(get(&server, "a.example", "").0, 421);
}

#[test]
fn each_mistake_is_one_line_and_wrong_usage_at_the_start_and_in_a_check() {
    for (text, expected) in [
        ("addr = ", "site.toml:1:8: "),
        ("dir = 'www'\ntimout = 3\n", "site.toml:2:1: there is no key `timout`; did you mean `timeout`?"),
        ("timeout = '30s'\n", "site.toml:1:11: --timeout takes a number of seconds above zero"),
        ("max-head = 7\n", "site.toml:1:1: --max-head takes a number from 8 to 1024, not 7"),
        ("[[site]]\ndir = 'www'\n", "site.toml:1:1: this site has no name"),
        ("[[site]]\nname = 'a'\n", "site.toml:1:1: this site has no directory"),
        (
            "[[site]]\nname = 'a'\nprefix = '/b?c'\n",
            "site.toml:3:1: a prefix is a path such as /docs, not `/b?c`",
        ),
        (
            "dir = 'www'\n[[site]]\nname = 'a'\n[[site]]\nname = 'A.'\n",
            "site.toml:5:1: two sites have the name `a` and the prefix /",
        ),
    ] {
        let site = configured(text);
        for command in [command(&site), check_of(&site)] {
            let (status, out, errors) = check(command);
            assert_eq!((status, out.len(), errors.len()), (Some(2), 0, 1), "{text:?}: {errors:?}");
            assert!(errors[0].starts_with("wasi-httpd: /"), "{errors:?}");
            assert!(errors[0].contains(&format!("/{expected}")), "{text:?}: {errors:?}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let site = Site::new();
    let path = site.outside().join("site.toml");
    let fails = |expected: &str| {
        let (status, _, errors) = check(check_of(&site));
        let expected = format!("wasi-httpd: cannot read the configuration {}: {expected}", path.display());
        assert_eq!((status, errors), (Some(2), vec![expected]));
    };
    fails("No such file or directory (os error 2)");
    fs::create_dir(&path).unwrap();
    fails("it is a directory");
    fs::remove_dir(&path).unwrap();
    fs::write(&path, "#".repeat((1 << 20) + 1)).unwrap();
    fails("it has more than 1 MiB");
    fs::remove_file(&path).unwrap();
    // Opening a FIFO without a writer would wait for one.
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    fails("it is no regular file");
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"\n\xc3\xa4 = \xff").unwrap();
    let (status, _, errors) = check(check_of(&site));
    let expected = format!("wasi-httpd: {}:2:5: this is not UTF-8", path.display());
    assert_eq!((status, errors), (Some(2), vec![expected]));
}

#[test]
fn mistakes_of_the_environment_name_the_variable() {
    let site = configured("addr = '127.0.0.1:0'\ndir = 'www'\n");
    let with = |name: &str, value: &str| {
        let mut command = check_of(&site);
        command.env(name, value);
        check(command)
    };
    let wrong = "wasi-httpd: WASI_HTTPD_TIMEOUT: --timeout takes a number above zero".to_owned();
    assert_eq!(with("WASI_HTTPD_TIMEOUT", "0"), (Some(2), vec![], vec![wrong]));
    let unknown = "the variable WASI_HTTPD_TIMOUT is ignored: there is no such option; did you mean WASI_HTTPD_TIMEOUT?";
    assert_eq!(with("WASI_HTTPD_TIMOUT", "3"), (Some(1), vec![], vec![format!("wasi-httpd: {unknown}")]));
    let valid = "The configuration is valid.".to_owned();
    // Kubernetes sets these for a service that is called `wasi-httpd`.
    assert_eq!(with("WASI_HTTPD_PORT", "tcp://10.0.0.1:80"), (Some(0), vec![valid.clone()], vec![]));
    assert_eq!(with("WASI_HTTPD_SERVICE_HOST", "10.0.0.1"), (Some(0), vec![valid], vec![]));

    let mut command = command(&site);
    command.env("WASI_HTTPD_TIMOUT", "3");
    let server = Process::start(&mut command);
    server.wait_for_error(|line| line == format!("wasi-httpd: warning: {unknown}"));
    server.wait_for_error(|line| line.starts_with("Listening on "));
}

#[test]
fn the_schema_is_json_and_describes_each_key() {
    let output = programs!().command().arg("schema").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    for (name, property) in schema["properties"].as_object().unwrap() {
        assert!(property["description"].is_string(), "{name}");
    }
}
