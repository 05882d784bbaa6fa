//! `hello`: the same answer to every request.

use std::collections::BTreeSet;
use tests::guests::{GuestFile, HELLO};
use tests::{Server, programs};

fn each(guest: &GuestFile) -> [Server; 2] {
    [programs!().ours_with_guest(&guest.path, &[]), programs!().stock_with_guest(&guest.path)]
}

#[test]
fn hello_answers_get_and_head() {
    let guest = GuestFile::new(HELLO);
    for server in each(&guest) {
        println!("on {:?}", server.runtime());
        let response = server.get("/any/path?and=query");
        assert_eq!((response.status, response.text(), response.complete), (200, "Hello World", true));
        assert_eq!(response.header_names(), ["content-length", "content-type"]);
        assert_eq!(response.header("content-length"), Some("11"));
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
        let head = server.connect().request("HEAD", "/", &[]);
        assert_eq!((head.status, head.text()), (200, ""));
        assert_eq!(head.header_names(), response.header_names());
        assert_eq!(head.header("content-length"), Some("11"));
    }
}

#[test]
fn ten_thousand_requests_over_16_connections_are_all_answered() {
    let guest = GuestFile::new(HELLO);
    programs!().ours_with_guest(&guest.path, &[]).answers_all(10_000, 16, "Hello World");
}

#[test]
fn every_small_guest_imports_nothing_beyond_its_world() {
    use guest_builder::{EXAMPLES, MIDDLEWARES, prebuilt, world};
    for source in EXAMPLES.into_iter().chain(MIDDLEWARES) {
        let allowed = world::imports_of_world(source.name()).unwrap();
        let imports = world::imports_of_component(&prebuilt::read(source.name()).unwrap()).unwrap();
        let beyond: BTreeSet<_> = imports.difference(&allowed).collect();
        assert!(beyond.is_empty(), "{} imports {beyond:?}, which its world does not name", source.name());
        // It has a secret, which strangers must not know.
        let has_secret = source.name() == "rate-limit";
        let is_outside =
            |name: &String| name.contains("filesystem") || (name.contains("random") && !has_secret);
        assert!(!allowed.iter().any(is_outside), "{allowed:?}");
    }
}
