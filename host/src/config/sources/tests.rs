//! Tests of the sources together.

use super::keys::{Key, Keys, Kind, Owner};
use super::layer::SourceError;
use super::{Sources, file, schema};
use crate::cli;
use crate::component::location::Location;
use crate::config::Serve;
use crate::config::listen::ListenAddress;
use crate::config::log::Place;
use proptest::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;

/// A configuration of these sources; the file is `etc/site.toml`.
fn load(line: &[&str], variables: &[(&str, &str)], text: &str) -> Result<Serve, SourceError> {
    load_from("etc/site.toml", line, variables, text)
}

fn load_from(
    file: &str,
    line: &[&str],
    variables: &[(&str, &str)],
    text: &str,
) -> Result<Serve, SourceError> {
    let sources = sources(line, variables)?;
    let file = Arc::new(PathBuf::from(file));
    sources.combine(&file::parse(&sources.keys, &file, text)?)
}

fn sources(line: &[&str], variables: &[(&str, &str)]) -> Result<Sources, SourceError> {
    let line = std::iter::once(&"wasi-httpd").chain(line).map(Into::into);
    let given = match cli::parse(line) {
        Ok(cli::Command::Serve(typed) | cli::Command::Check(typed)) => typed.given,
        other => panic!("not serve: {other:?}"),
    };
    Sources::new(given, variables.iter().map(|&(name, value)| (name.into(), value.into())))
}

fn of_file(text: &str) -> Result<Serve, SourceError> {
    load(&[], &[], text)
}

fn mistake(text: &str) -> String {
    of_file(text).map(|config| format!("{config:?}")).unwrap_err().to_string()
}

/// Values that each flag takes one of, and most refuse the others of.
const SAMPLES: [&str; 28] = [
    "/a.wasm,env=A=b",
    "json",
    "",
    "7",
    "0",
    "99999999999",
    "660",
    "on",
    "off",
    "true",
    "auto",
    "unix",
    "/absolute/file",
    "oci://registry.example/a:1@sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "index.html",
    "127.0.0.1:8000",
    "example.com",
    "https://example.com",
    "http://127.0.0.1:4318",
    "NAME=value",
    "webpki",
    "site",
    "name=memory",
    "name=sqlite:/absolute/file",
    "/docs/*: X-Name: value",
    "/docs/*: off",
    "*.txt: text/plain",
    "~ {a} \"b\" \\ c\u{e4}\n%",
];

/// What some flags need beside them.
const CONTEXTS: [&[&str]; 11] = [
    &[],
    &["--tls-dev"],
    &["--tls-cert=/c", "--tls-key=/k"],
    &["--tls-cert=/c"],
    &["--tls-key=/k"],
    &["--admin=localhost:0"],
    &["--auth=*"],
    &["--auth-file=/f"],
    &["--keyvalue=name=memory"],
    &["--scratch=1"],
    &["--otlp=http://127.0.0.1:4318"],
];

/// The keys of a file.
fn keys_of_files() -> Vec<Key> {
    Keys::new().of(&[Owner::Server, Owner::Site]).cloned().collect()
}

#[test]
fn an_option_means_the_same_in_each_source() {
    for key in keys_of_files() {
        let variable = super::environment::variable(&key.name);
        let mut accepted = false;
        for context in CONTEXTS {
            if accepted {
                break;
            }
            for sample in SAMPLES {
                let own = format!("--{}", key.name);
                if context.iter().any(|flag| flag.split('=').next() == Some(&own)) {
                    continue;
                }
                let (word, value) = match key.kind {
                    Kind::Switch if sample == "true" => (format!("--{}", key.name), "true".to_owned()),
                    Kind::Switch => continue,
                    Kind::Value | Kind::Values | Kind::Optional { .. } if key.name == super::keys::GUEST => {
                        (sample.to_owned(), toml_text(sample))
                    }
                    _ => (format!("--{}={sample}", key.name), toml_text(sample)),
                };
                let line = [context, &[word.as_str()]].concat();
                // The command line says itself what is wrong with it.
                let of_line = match cli::parse(std::iter::once("wasi-httpd").chain(line).map(Into::into)) {
                    Ok(cli::Command::Serve(typed)) => Serve::new(typed.arguments).ok(),
                    Err(_) => None,
                    Ok(other) => panic!("{other:?}"),
                };
                let of_file = load_from("site.toml", context, &[], &format!("{} = {value}", key.name)).ok();
                // A guest that is named as a subcommand, or does not exist, is a slip on a command line only.
                if key.name != super::keys::GUEST {
                    assert_eq!(of_file, of_line, "{} = {value} with {context:?}", key.name);
                }
                accepted |= of_file.is_some();
                // Nothing is no value there, and lines and `true` have a meaning of their own.
                if !sample.is_empty() && sample != "true" && !sample.contains('\n') {
                    let of_variable = load(context, &[(&variable, sample)], "").ok();
                    assert_eq!(of_variable, of_file, "{variable}={sample} with {context:?}");
                }
            }
        }
        // These are errors in a build without traces.
        let is_absent = key.name.starts_with("otlp") && !cfg!(feature = "otlp");
        assert_ne!(accepted, is_absent, "{} takes none of the samples", key.name);
    }
}

#[test]
fn each_key_is_one_of_the_schema_and_nothing_else_is() {
    let schema = schema::schema();
    let names = |properties: &serde_json::Value| -> Vec<String> {
        properties.as_object().unwrap().keys().cloned().collect()
    };
    let expected = |owners: &[Owner], more: &[&str]| {
        let mut names: Vec<_> = Keys::new().of(owners).map(|key| key.name.clone()).collect();
        names.extend(more.iter().map(|&name| name.to_owned()));
        names.sort();
        names
    };
    let top = &schema["properties"];
    assert_eq!(names(top), expected(&[Owner::Server, Owner::Site], &["site"]));
    let site = &top["site"]["items"];
    assert_eq!(names(&site["properties"]), expected(&[Owner::Site], &["name", "prefix", "strip-prefix"]));
    assert_eq!([&schema["additionalProperties"], &site["additionalProperties"]], [&false, &false]);
    // All flags of serving are there, but for those that are none of a file.
    let flags: Vec<_> =
        cli::serve_definition().get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect();
    assert!(flags.len() > 50);
    for flag in flags.iter().filter(|flag| *flag != "config") {
        assert!(top.get(flag).is_some(), "{flag}");
    }
    assert_eq!(top["max-instances"]["type"], serde_json::json!(["integer", "string"]));
    assert_eq!(top["executor"]["enum"], serde_json::json!(["auto", "component"]));
    let precompressed = &top["precompressed"]["anyOf"];
    assert_eq!(precompressed, &serde_json::json!([{ "type": "boolean" }, { "enum": ["on", "off"] }]));
    assert_eq!(top["quiet"]["description"], "Write no access log");
}

#[test]
fn the_command_line_counts_before_the_environment_and_that_before_the_file() {
    let text = "max-head = 16\nmax-fields = 50\nmax-connections = 5\naddr = [\"a:1\", \"b:2\"]";
    let variables =
        [("WASI_HTTPD_MAX_HEAD", "17"), ("WASI_HTTPD_MAX_FIELDS", "51"), ("WASI_HTTPD_ADDR", "c:3\nd:4\n")];
    let config = load(&["--max-head", "18"], &variables, text).unwrap();
    assert_eq!((config.head.size, config.head.fields), (18 * 1024, 51));
    assert_eq!(config.connections.most, Some(5));
    let addresses = ["c:3", "d:4"].map(|text| ListenAddress::parse("--addr", text).unwrap());
    assert_eq!(config.addresses, addresses);
    // A list replaces the whole other one.
    let config = load(&["--addr", "e:5"], &variables, text).unwrap();
    assert_eq!(config.addresses, [ListenAddress::parse("--addr", "e:5").unwrap()]);
    // What is off in one source is on in none below it.
    assert!(load(&[], &[("WASI_HTTPD_QUIET", "false")], "quiet = true").unwrap().log.place.is_some());
    assert!(load(&["-q"], &[("WASI_HTTPD_QUIET", "false")], "quiet = false").unwrap().log.place.is_none());
}

#[test]
fn switches_are_true_or_false_and_texts_are_texts_numbers_or_arrays() {
    let environment = |text: &str| of_file(text).unwrap().sites.remove(0).grants.environment;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(environment("listing = true"), [pair("FILES_LISTING", "on")]);
    assert_eq!(environment("listing = false"), [pair("FILES_LISTING", "off")]);
    assert_eq!(environment("clean-urls = \"redirect\""), [pair("FILES_CLEAN_URLS", "redirect")]);
    assert_eq!(environment("listing = ['/a/*: off', 'on']"), [pair("FILES_LISTING", "/a/*: off\non")]);
    assert_eq!(
        environment("[env]\nB = 1_000\nA = 'x=y'\nC = true\nD = 1.50"),
        [pair("B", "1000"), pair("A", "x=y"), pair("C", "true"), pair("D", "1.50")]
    );
    assert_eq!(environment("env = ['A=1', \"B=2\"]"), [pair("A", "1"), pair("B", "2")]);
    assert_eq!(of_file("socket-mode = 666").unwrap().socket_mode, 0o666);
    assert_eq!(of_file("max-head = 1_0").unwrap().head.size, 10 * 1024);
    let tls = "tls-cert = 'a'\ntls-key = 'b'\n";
    let hsts = |value: &str| of_file(&format!("{tls}hsts = {value}")).unwrap().tls.unwrap().hsts;
    assert_eq!(hsts("true").unwrap(), "max-age=31536000");
    assert_eq!(hsts("300").unwrap(), "max-age=300");
    assert_eq!(hsts("false"), None);
}

#[test]
fn off_and_standard_output_are_no_paths() {
    let place = |text: &str| of_file(&format!("access-log = \"{text}\"")).unwrap().log.place;
    assert_eq!(place("a.log"), Some(Place::File("etc/a.log".into())));
    assert_eq!(place("./off"), Some(Place::File("etc/./off".into())));
    assert_eq!(place("off"), None);
    assert_eq!(place("-"), Some(Place::Output));
}

#[test]
fn relative_paths_of_a_file_begin_at_its_directory() {
    let text = "guest = 'a.wasm'\ndir = ['site', '../b::/b', '/c::/c']\naddr = 'unix:x.sock'\n\
                tls-cert = 'tls/cert.pem'\ntls-key = '/tls/key.pem'";
    let config = of_file(text).unwrap();
    let site = &config.sites[0];
    assert_eq!(site.guest, Some(Location::File("etc/a.wasm".into())));
    let directories: Vec<_> =
        site.grants.directories.iter().map(|it| (it.host.to_str().unwrap(), &*it.guest)).collect();
    assert_eq!(directories, [("etc/site", "/"), ("etc/../b", "/b"), ("/c", "/c")]);
    assert_eq!(config.addresses, [ListenAddress::Unix("etc/x.sock".into())]);
    assert_eq!(site.pairs[0].certificate.to_str(), Some("etc/tls/cert.pem"));
    assert_eq!(site.pairs[0].key.to_str(), Some("/tls/key.pem"));
    // Elsewhere, they begin at the current directory.
    let config = load(&[], &[("WASI_HTTPD_DIR", "site")], "dir = 'other'").unwrap();
    assert_eq!(config.sites[0].grants.directories[0].host.to_str(), Some("site"));
    let keys = Keys::new();
    let file = Arc::new(PathBuf::from("a::b/site.toml"));
    let error = file::parse(&keys, &file, "dir = 'c'").unwrap_err().to_string();
    assert_eq!(
        error,
        "a::b/site.toml:1:7: `dir` takes an absolute path here: there is `::` in the path of the file"
    );
    assert!(file::parse(&keys, &file, "dir = '/c'").is_ok());
}

const SITES: &str = r#"
addr = "127.0.0.1:0"
max-body = 5
timeout = 10
tls-cert = "default.pem"
tls-key = "default.key"

[[site]]
name = ["Example.com", "www.example.com"]
dir = "example"
timeout = 20

[[site]]
name = "example.com"
prefix = "/docs"
strip-prefix = false
dir = "docs"
listing = true

[[site]]
name = "*"
guest = "app.wasm"
tls-cert = "app.pem"
tls-key = "app.key"
[site.env]
MODE = "app"
"#;

#[test]
fn sites_have_what_is_theirs_and_else_what_is_above_them() {
    let config = of_file(SITES).unwrap();
    assert!(config.named);
    let labels: Vec<_> = config.sites.iter().map(|site| site.label.as_str()).collect();
    assert_eq!(labels, ["example.com", "example.com/docs", "*"]);
    let [first, docs, app] = &config.sites[..] else { panic!() };
    assert_eq!(first.names, ["example.com", "www.example.com"]);
    assert_eq!((first.prefix.as_str(), first.strip_prefix), ("/", true));
    assert_eq!((docs.prefix.as_str(), docs.strip_prefix), ("/docs", false));
    assert_eq!(config.sites.each(|site| site.limits.time.as_secs()), [20, 10, 10]);
    assert_eq!(config.sites.each(|site| site.body.size), [5 << 20; 3]);
    assert_eq!(docs.grants.environment, [("FILES_LISTING".to_owned(), "on".to_owned())]);
    assert_eq!(app.grants.environment, [("MODE".to_owned(), "app".to_owned())]);
    assert_eq!(app.guest, Some(Location::File("etc/app.wasm".into())));
    let certificates = |site: &crate::config::site::Site| site.pairs.len();
    assert_eq!(config.sites.each(certificates), [1, 1, 1]);
    let Some(crate::config::tls::Source::Files(pairs)) = config.tls.map(|tls| tls.source) else { panic!() };
    let pairs: Vec<_> = pairs.iter().map(|pair| pair.certificate.to_str().unwrap()).collect();
    assert_eq!(pairs, ["etc/default.pem", "etc/app.pem"], "each once");
}

#[test]
fn the_command_line_and_the_environment_count_before_each_site() {
    let config = load(&["--timeout", "3"], &[("WASI_HTTPD_MAX_BODY", "1")], SITES).unwrap();
    assert_eq!(config.sites.each(|site| site.limits.time.as_secs()), [3; 3]);
    assert_eq!(config.sites.each(|site| site.body.size), [1 << 20; 3]);
    let contradicts =
        |line: &[&str], variables: &[(&str, &str)]| load(line, variables, SITES).unwrap_err().to_string();
    let suffix = "contradicts the [[site]] sections of the file; leave one of them out";
    assert_eq!(contradicts(&["--dir", "x"], &[]), format!("--dir {suffix}"));
    assert_eq!(contradicts(&["/dev/null"], &[]), format!("GUEST {suffix}"));
    assert_eq!(contradicts(&["--tls-cert", "x", "--tls-key", "y"], &[]), format!("--tls-cert {suffix}"));
    assert_eq!(contradicts(&[], &[("WASI_HTTPD_DIR", "x")]), format!("WASI_HTTPD_DIR: --dir {suffix}"));
    assert_eq!(contradicts(&["--site", "a=b"], &[]), format!("--site {suffix}"));
    let names = "--allow-name contradicts sites, which have names of their own; leave one of them out";
    assert_eq!(contradicts(&["--allow-name", "a"], &[]), names);
    assert_eq!(mistake("allow-name = 'a'\n[[site]]\nname='a'"), format!("etc/site.toml:1:1: {names}"));
}

#[test]
fn a_site_of_the_command_line_is_a_name_a_prefix_and_a_directory() {
    let line = ["--site", "example.com=a=b", "--site=*.example.com/docs=c", "--site=*=d", "--timeout=3"];
    let config = load(&line, &[], "addr = 'x:1'").unwrap();
    let sites = config.sites.each(|site| {
        let [directory] = &site.grants.directories[..] else { panic!() };
        assert_eq!((directory.guest.as_str(), site.limits.time.as_secs(), site.strip_prefix), ("/", 3, true));
        (site.names.join(" "), site.prefix.to_string(), directory.host.to_str().unwrap().to_owned())
    });
    let site = |name: &str, prefix: &str, directory: &str| (name.into(), prefix.into(), directory.into());
    assert_eq!(
        sites,
        [site("example.com", "/", "a=b"), site("*.example.com", "/docs", "c"), site("*", "/", "d")]
    );
    let config = load(&[], &[("WASI_HTTPD_SITE", "a=b\nc=d")], "").unwrap();
    assert_eq!(config.sites.each(|site| site.label.clone()), ["a", "c"]);
    for (line, expected) in [
        (&["--site", "example.com"][..], "--site takes HOST=DIR or HOST/PREFIX=DIR, such as"),
        (&["--site", "=x"], "--site takes"),
        (&["--site", "/docs=x"], "--site takes"),
        (&["--site", "a="], "--site takes"),
        (&["--site", "a:80=x"], "a site is named by a host name without a port"),
        (&["--site", "a/b?c=x"], "a prefix is a path such as /docs, not `/b?c`: it has no query"),
        (&["--site", "a=x", "--site", "A=y"], "two sites have the name `a` and the prefix /"),
        (&["--site", "a=x", "--dir", "y"], "--dir contradicts --site, which has a directory of its own"),
        (&["--site", "a=x", "--allow-name", "a"], "--allow-name contradicts sites"),
    ] {
        let error = load(line, &[], "").unwrap_err().to_string();
        assert!(error.starts_with(expected), "{line:?}: {error}");
    }
}

#[test]
fn each_mistake_of_a_file_is_said_with_its_place() {
    for (text, expected) in [
        ("addr = ", "1:8: string values must be quoted, expected literal string"),
        ("a = 1\na = 2", "2:1: duplicate key"),
        ("\ntimout = 3", "2:1: there is no key `timout`; did you mean `timeout`?"),
        ("max_body = 3", "1:1: there is no key `max_body`; it is spelled `max-body`"),
        ("port = 8000", "1:1: there is no key `port`; it is spelled addr = \"localhost:8000\""),
        ("xyzzy = 1", "1:1: there is no key `xyzzy`; the keys are the long flags of `wasi-httpd --help`"),
        ("\"a\\nb\" = 1", "1:1: there is no key `a\\nb`; the keys are"),
        (
            "allow-tcp-listen = 'a:1'",
            "1:1: `allow-tcp-listen` is an option of `wasi-httpd run`, and not of a server",
        ),
        ("config = 'x'", "1:1: a configuration does not name another one"),
        ("prefix = '/a'", "1:1: `prefix` belongs to a site: put it below its [[site]]"),
        (
            "[[site]]\nname = 'a'\naddr = 'b:1'",
            "3:1: `addr` belongs to the server: put it above the first [[site]]",
        ),
        (
            "[[site]]\nname = 'a'\nstrip_prefix = true",
            "3:1: there is no key `strip_prefix`; it is spelled `strip-prefix`",
        ),
        ("[[site]]\nnmae = 'a'", "2:1: there is no key `nmae`; did you mean `name`?"),
        ("ä = 1", "1:1: "),
        ("quiet = 1", "1:9: `quiet` takes true or false"),
        ("quiet = 'on'", "1:9: `quiet` takes true or false"),
        ("timeout = true", "1:11: `timeout` takes a number, and neither true nor false"),
        ("timeout = 2026-01-01", "1:11: `timeout` takes a number"),
        (
            "timeout = '30s'",
            "1:11: --timeout takes a number of seconds above zero, such as --timeout 30, not `30s`",
        ),
        ("timeout = [1]", "1:11: `timeout` takes one value, and no array"),
        ("  timeout = 0", "1:3: --timeout takes a number above zero"),
        ("addr = ['a:1', true]", "1:16: `addr` takes text, or an array of texts"),
        ("addr = {}", "1:8: `addr` takes text, or an array of texts"),
        ("dir = \"a\\u0000\"", "1:7: this holds a NUL character, which no value may"),
        ("listing = ['/a/*: off', true]", "1:25: `listing` takes true, false, text, or an array of texts"),
        ("executor = 'none'", "1:12: invalid value 'none' for '--executor <EXECUTOR>'"),
        ("# ü\naddr = 'x'", "2:1: --addr takes HOST:PORT or unix:PATH"),
        ("env = { 'A=B' = 'c' }", "1:9: `A=B` is no name of a variable"),
        ("env = { A = [] }", "1:13: the value of a variable is text"),
        (
            "env = { FILES_LISTING = 'yes' }",
            "1:1: FILES_LISTING is `yes`, but it takes `on` or `off`, or lines",
        ),
        ("listing = 'yes'", "1:1: FILES_LISTING is `yes`, but it takes `on` or `off`, or lines"),
        ("quiet = true\nenv = ['FILES_SPA=a']\nspa = 'b'", "3:1: FILES_SPA was set twice"),
        ("tls-cert = 'a'", "1:1: each --tls-cert needs its --tls-key"),
        ("hsts = true", "1:1: --hsts needs TLS"),
        (
            "tls-dev = true\n[[site]]\nname = 'a'\ntls-cert = 'c'\ntls-key = 'k'\ndir = 'd'",
            "1:1: --tls-dev makes a certificate of its own",
        ),
        ("site = 'a'", "1:8: a site is a section: begin it with [[site]]"),
        ("[site]\nname = 'a'", "1:1: a site is a section: begin it with [[site]]"),
        ("\n[[site]]\ndir = 'a'", "2:1: this site has no name"),
        ("[[site]]\nname = []", "1:1: this site has no name"),
        ("[[site]]\nname = 'a'", "1:1: this site has no directory"),
        ("[[site]]\nname = 1", "2:8: `name` takes a host name, or an array of them"),
        ("[[site]]\nname = 'a:80'", "2:1: a site is named by a host name without a port"),
        ("[[site]]\nname = 'a'\nprefix = 1", "3:10: `prefix` takes a path"),
        (
            "[[site]]\nname = 'a'\nprefix = '/b?c'",
            "3:1: a prefix is a path such as /docs, not `/b?c`: it has no query",
        ),
        ("[[site]]\nname = 'a'\nstrip-prefix = 'yes'", "3:16: `strip-prefix` takes true or false"),
        (
            "[[site]]\nname = 'a'\ndir = 'd'\n[[site]]\ndir = 'd'\nname = ['b', 'A']",
            "6:1: two sites have the name `a` and the prefix /",
        ),
        ("[[site]]\nname = 'a'\ntimeout = 0", "3:1: --timeout takes a number above zero"),
        ("timeout = 0\n[[site]]\nname = 'a'", "1:1: --timeout takes a number above zero"),
        (
            "[[site]]\nname = 'a'\nmax-instances = 1001\ndir = 'd'",
            "3:1: --max-instances is 1001 for this site and 1000 for all",
        ),
        ("tls-key = 'k'\n[[site]]\nname = 'a'\ntls-cert = 'c'", "4:1: each --tls-cert needs its --tls-key"),
    ] {
        let message = mistake(text);
        assert!(message.starts_with(&format!("etc/site.toml:{expected}")), "{text:?}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn each_mistake_of_the_environment_names_its_variable() {
    for (variable, value, expected) in [
        ("QUIET", "yes", "it takes true or false, not `yes`"),
        ("TIMEOUT", "30s", "--timeout takes a number of seconds above zero, such as --timeout 30, not `30s`"),
        ("TIMEOUT", "0", "--timeout takes a number above zero"),
        ("LISTING", "yes", "FILES_LISTING is `yes`, but it takes `on` or `off`, or lines"),
        ("SITE", "a", "--site takes HOST=DIR"),
    ] {
        let variable = format!("WASI_HTTPD_{variable}");
        let error = load(&[], &[(&variable, value)], "").unwrap_err().to_string();
        assert!(error.starts_with(&format!("{variable}: {expected}")), "{error}");
    }
}

#[test]
fn unknown_variables_are_named_unless_kubernetes_sets_them() {
    let warnings = |name: &str| sources(&[], &[(name, "x")]).unwrap().warnings().to_vec();
    for name in
        ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP_ADDR", "COMPONENTS"]
    {
        assert_eq!(warnings(&format!("WASI_HTTPD_{name}")), [""; 0]);
    }
    assert_eq!(warnings("WASI_HTTP"), [""; 0]);
    assert_eq!(
        warnings("WASI_HTTPD_TIMOUT"),
        [
            "the variable WASI_HTTPD_TIMOUT is ignored: there is no such option; did you mean WASI_HTTPD_TIMEOUT?"
        ]
    );
    assert_eq!(
        warnings("WASI_HTTPD_"),
        [
            "the variable WASI_HTTPD_ is ignored: there is no such option; `wasi-httpd --help` shows the options"
        ]
    );
    assert_eq!(
        sources(&[], &[("WASI_HTTPD_CONFIG", "a"), ("WASI_HTTPD_ADDR", "")]).unwrap().file(),
        Some("a".as_ref())
    );
    assert_eq!(
        sources(&["--config", "b"], &[("WASI_HTTPD_CONFIG", "a")]).unwrap().file(),
        Some("b".as_ref())
    );
}

#[test]
fn the_examples_of_the_documentation_are_valid() {
    let documentation = include_str!("../../../../docs/configuration.md");
    let examples: Vec<_> = documentation
        .split("```toml\n")
        .skip(1)
        .map(|rest| of_file(rest.split("```").next().unwrap()).unwrap())
        .collect();
    let [one, several] = &examples[..] else { panic!("{examples:?}") };
    assert_eq!((one.named, one.sites.len(), one.addresses.len()), (false, 1, 2));
    let labels = several.sites.each(|site| site.label.clone());
    assert_eq!(labels, ["example.com", "example.com/docs", "api.example.net"]);
}

/// A text that is nearly a configuration.
fn text() -> impl Strategy<Value = String> {
    let names: Vec<_> = Keys::new()
        .all()
        .map(|key| key.name.clone())
        .chain(["name", "prefix", "strip-prefix", "x"].map(Into::into))
        .collect();
    let value = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<bool>().prop_map(|on| on.to_string()),
        "\\PC*".prop_map(|text| toml_text(&text)),
        proptest::sample::select(&SAMPLES[..]).prop_map(toml_text),
        Just("{ A = 'b', '' = [] }".to_owned()),
        Just("1979-05-27".to_owned()),
        Just("0x_".to_owned()),
        Just("nan".to_owned()),
    ];
    let value = prop_oneof![
        4 => value.clone(),
        1 => proptest::collection::vec(value, 0..3).prop_map(|values| format!("[{}]", values.join(", "))),
    ];
    let line = prop_oneof![
        8 => (proptest::sample::select(names), value).prop_map(|(key, value)| format!("{key} = {value}")),
        2 => Just("[[site]]".to_owned()),
        1 => Just("[env]".to_owned()),
        1 => Just("[site.env]".to_owned()),
        1 => "\\PC*",
    ];
    proptest::collection::vec(line, 0..8).prop_map(|lines| lines.join("\n"))
}

fn toml_text(text: &str) -> String {
    // Strings of JSON are strings of TOML, but for the escape of a slash, which is never written.
    serde_json::to_string(text).unwrap()
}

proptest! {
    #[test]
    fn any_text_is_a_configuration_or_an_error_in_one_line(text in prop_oneof![text(), "(?s).*"]) {
        if let Err(error) = of_file(&text) {
            prop_assert!(!error.message.is_empty());
        }
    }
}

/// What a function returns for each element.
trait Each<T> {
    fn each<U>(&self, of: impl Fn(&T) -> U) -> Vec<U>;
}

impl<T> Each<T> for Vec<T> {
    fn each<U>(&self, of: impl Fn(&T) -> U) -> Vec<U> {
        self.iter().map(of).collect()
    }
}
