//! Guests that do what the file server does not: the project's small ones, and others that are written in WebAssembly
//! text, need no compiler, and misbehave on purpose.

use guest_builder::{build, workspace};
use std::path::PathBuf;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The worlds of the guests below. A guest imports only what its text names.
const WORLD: &str = "
    package tests:guests;
    package wasi:cli@0.9.0 {
        interface run {
            run: func() -> result;
        }
    }
    package wasi:config@0.2.0-rc.1 {
        interface store {
            variant error { upstream(string), io(string) }
            get: func(key: string) -> result<option<string>, error>;
            get-all: func() -> result<list<tuple<string, string>>, error>;
        }
    }
    package wasi:keyvalue@0.2.0-draft {
        interface store {
            variant error { no-such-store, access-denied, other(string) }
            record key-response { keys: list<string>, cursor: option<u64> }
            open: func(identifier: string) -> result<bucket, error>;
            resource bucket {
                get: func(key: string) -> result<option<list<u8>>, error>;
                set: func(key: string, value: list<u8>) -> result<_, error>;
                delete: func(key: string) -> result<_, error>;
                exists: func(key: string) -> result<bool, error>;
                list-keys: func(cursor: option<u64>) -> result<key-response, error>;
            }
        }
        interface atomics {
            use store.{bucket, error};
            increment: func(bucket: borrow<bucket>, key: string, delta: u64) -> result<u64, error>;
        }
        interface batch {
            use store.{bucket, error};
            get-many: func(bucket: borrow<bucket>, keys: list<string>)
                -> result<list<option<tuple<string, list<u8>>>>, error>;
            set-many: func(bucket: borrow<bucket>, key-values: list<tuple<string, list<u8>>>) -> result<_, error>;
            delete-many: func(bucket: borrow<bucket>, keys: list<string>) -> result<_, error>;
        }
    }
    world keeping {
        import wasi:config/store@0.2.0-rc.1;
        import wasi:keyvalue/store@0.2.0-draft;
        import wasi:keyvalue/atomics@0.2.0-draft;
        import wasi:keyvalue/batch@0.2.0-draft;
        include guest;
    }
    world guest {
        import wasi:cli/environment@0.2.12;
        import wasi:cli/stderr@0.2.12;
        import wasi:cli/stdout@0.2.12;
        import wasi:clocks/monotonic-clock@0.2.12;
        import wasi:filesystem/preopens@0.2.12;
        import wasi:filesystem/types@0.2.12;
        import wasi:http/outgoing-handler@0.2.12;
        import wasi:http/types@0.2.12;
        import wasi:io/poll@0.2.12;
        import wasi:io/streams@0.2.12;
        import wasi:sockets/network@0.2.12;
        import wasi:sockets/tcp-create-socket@0.2.12;
        import wasi:sockets/udp-create-socket@0.2.12;
        export wasi:http/incoming-handler@0.2.12;
    }
    world middleware {
        include guest;
        import wasi:http/incoming-handler@0.2.12;
    }
    world everything {
        import wasi:cli/environment@0.2.12;
        import wasi:cli/exit@0.2.12;
        import wasi:cli/stderr@0.2.12;
        import wasi:cli/stdin@0.2.12;
        import wasi:cli/stdout@0.2.12;
        import wasi:clocks/monotonic-clock@0.2.12;
        import wasi:clocks/wall-clock@0.2.12;
        import wasi:filesystem/preopens@0.2.12;
        import wasi:filesystem/types@0.2.12;
        import wasi:http/outgoing-handler@0.2.12;
        import wasi:http/types@0.2.12;
        import wasi:io/error@0.2.12;
        import wasi:io/poll@0.2.12;
        import wasi:io/streams@0.2.12;
        import wasi:random/insecure-seed@0.2.12;
        import wasi:random/insecure@0.2.12;
        import wasi:random/random@0.2.12;
        export wasi:http/incoming-handler@0.2.12;
    }
    world nothing {}
    world command {
        import wasi:cli/environment@0.2.12;
        import wasi:cli/exit@0.2.12;
        import wasi:cli/stderr@0.2.12;
        import wasi:cli/stdin@0.2.12;
        import wasi:cli/stdout@0.2.12;
        import wasi:filesystem/preopens@0.2.12;
        import wasi:filesystem/types@0.2.12;
        import wasi:io/streams@0.2.12;
        import wasi:sockets/instance-network@0.2.12;
        import wasi:sockets/ip-name-lookup@0.2.12;
        import wasi:sockets/network@0.2.12;
        import wasi:sockets/udp-create-socket@0.2.12;
        export wasi:cli/run@0.2.12;
    }
    world both {
        include command;
        export wasi:http/incoming-handler@0.2.12;
    }
    world of-the-future {
        export wasi:cli/run@0.9.0;
    }
    interface unheard-of {
        wish: func();
    }
    world demanding {
        import unheard-of;
        export wasi:http/incoming-handler@0.2.12;
    }
";

/// `basic-auth`: asks for a name and a password.
pub const BASIC_AUTH: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/basic-auth.wasm"));
/// `header-stamp`: adds fields to responses.
pub const HEADER_STAMP: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/header-stamp.wasm"));
/// `rate-limit`: refuses clients that send too many requests.
pub const RATE_LIMIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/rate-limit.wasm"));
/// `request-logger`: prints a line for each request.
pub const REQUEST_LOGGER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/request-logger.wasm"));
/// `hello`: hello over `wasi:http`.
pub const HELLO: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hello.wasm"));
/// `hello-socket`: hello over a socket, with HTTP written by hand.
pub const HELLO_SOCKET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hello-socket.wasm"));
/// `trials`: what a host of WASI 0.3 has to bear, by the path of the request.
pub const TRIALS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/trials.wasm"));
/// `grants`: what a component of WASI 0.3 does with what it is granted, by the path of the request.
pub const GRANTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/grants.wasm"));
/// `trials-before`: what a host has to bear of a component before another one, by its variable `TRIAL`.
pub const TRIALS_BEFORE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/trials-before.wasm"));
/// `tcp-client`: a TCP client that prints each step.
pub const TCP_CLIENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tcp-client.wasm"));
/// `tcp-server`: a TCP server that prints each step.
pub const TCP_SERVER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tcp-server.wasm"));

/// Imports and helper functions of the handlers below, and a memory of one page.
pub const PRELUDE: &str = r#"
    (import "wasi:http/types@0.2.12" "[constructor]fields" (func $fields (result i32)))
    (import "wasi:http/types@0.2.12" "[constructor]outgoing-response" (func $new-response (param i32) (result i32)))
    (import "wasi:http/types@0.2.12" "[method]outgoing-response.body" (func $body (param i32 i32)))
    (import "wasi:http/types@0.2.12" "[method]outgoing-body.write" (func $write (param i32 i32)))
    (import "wasi:http/types@0.2.12" "[static]outgoing-body.finish" (func $finish (param i32 i32 i32 i32)))
    (import "wasi:http/types@0.2.12" "[static]response-outparam.set"
        (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
    (import "wasi:http/types@0.2.12" "[resource-drop]outgoing-body" (func $drop-body (param i32)))
    (import "wasi:http/types@0.2.12" "[resource-drop]response-outparam" (func $drop-outparam (param i32)))
    (import "wasi:io/streams@0.2.12" "[resource-drop]output-stream" (func $drop-stream (param i32)))
    (import "wasi:io/streams@0.2.12" "[method]output-stream.blocking-write-and-flush"
        (func $print (param i32 i32 i32 i32)))
    (import "wasi:cli/stderr@0.2.12" "get-stderr" (func $stderr (result i32)))
    (import "wasi:cli/stdout@0.2.12" "get-stdout" (func $stdout (result i32)))
    (import "wasi:cli/environment@0.2.12" "get-environment" (func $environment (param i32)))
    (memory (export "memory") 1)
    (global $free (mut i32) (i32.const 32768))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        global.get $free
        (global.set $free (i32.and (i32.const -8) (i32.add (i32.const 7) (i32.add (global.get $free) (local.get 3))))))
    ;; Sets a 200 without a length and returns the stream of its body.
    (func $respond (param $out i32) (result i32) (local $response i32)
        (local.set $response (call $new-response (call $fields)))
        (call $body (local.get $response) (i32.const 16))
        (call $set (local.get $out) (i32.const 0) (local.get $response)
            (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
        (call $write (i32.load offset=4 (i32.const 16)) (i32.const 24))
        (i32.load offset=4 (i32.const 24)))
    ;; Completes the body that `$respond` began.
    (func $complete (param $stream i32)
        (call $drop-stream (local.get $stream))
        (call $finish (i32.load offset=4 (i32.const 16)) (i32.const 0) (i32.const 0) (i32.const 64)))
    (func $say (param $stream i32) (param $from i32) (param $length i32)
        (call $print (local.get $stream) (local.get $from) (local.get $length) (i32.const 48)))
    (data (i32.const 1024) "half an answer")
    (data (i32.const 2048) "\1b[31mred\1b[0m\nsecond line\n")
"#;

/// Imports for handlers that wait: `$block` waits for the pollable of `$after`, which takes nanoseconds.
pub const WAITING: &str = r#"
    (import "wasi:clocks/monotonic-clock@0.2.12" "subscribe-duration" (func $after (param i64) (result i32)))
    (import "wasi:io/poll@0.2.12" "[method]pollable.block" (func $block (param i32)))
"#;

/// Imports for handlers that read the body of the request: `$consume` and `$stream-of` give its stream to `$read`.
pub const READING: &str = r#"
    (import "wasi:http/types@0.2.12" "[method]incoming-request.consume" (func $consume (param i32 i32)))
    (import "wasi:http/types@0.2.12" "[method]incoming-body.stream" (func $stream-of (param i32 i32)))
    (import "wasi:io/streams@0.2.12" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
"#;

/// Imports for handlers that open files.
pub const OPENING: &str = r#"
    (import "wasi:filesystem/preopens@0.2.12" "get-directories" (func $directories (param i32)))
    (import "wasi:filesystem/types@0.2.12" "[method]descriptor.open-at"
        (func $open-at (param i32 i32 i32 i32 i32 i32 i32)))
"#;

/// A component whose handler has this body, in WebAssembly text. `$out` is the response-outparam.
pub fn handler(body: &str) -> Vec<u8> {
    handler_with("", body)
}

/// Like [`handler`], with more imports.
pub fn handler_with(imports: &str, body: &str) -> Vec<u8> {
    handler_and(imports, "", body)
}

/// Like [`handler`], with more imports and definitions.
pub fn handler_and(imports: &str, definitions: &str, body: &str) -> Vec<u8> {
    handler_of("guest", imports, definitions, body)
}

/// Like [`handler`], with more imports, among which the component behind it may be.
pub fn middleware_with(imports: &str, body: &str) -> Vec<u8> {
    handler_of("middleware", imports, "", body)
}

/// Like [`handler_and`], for a component of this world.
pub fn handler_of(world: &str, imports: &str, definitions: &str, body: &str) -> Vec<u8> {
    component(
        world,
        &format!(
            r#"(module {imports} {PRELUDE} {definitions}
            (func (export "wasi:http/incoming-handler@0.2.12#handle") (param $request i32) (param $out i32)
                (local $stream i32) (local $count i32)
                {body}))"#
        ),
    )
}

/// Imports and helper functions of the commands below, and a memory of one page.
const COMMAND_PRELUDE: &str = r#"
    (import "wasi:cli/environment@0.2.12" "get-arguments" (func $arguments (param i32)))
    (import "wasi:cli/environment@0.2.12" "get-environment" (func $environment (param i32)))
    (import "wasi:cli/exit@0.2.12" "exit-with-code" (func $exit (param i32)))
    (import "wasi:cli/stdin@0.2.12" "get-stdin" (func $stdin (result i32)))
    (import "wasi:cli/stdout@0.2.12" "get-stdout" (func $stdout (result i32)))
    (import "wasi:filesystem/preopens@0.2.12" "get-directories" (func $directories (param i32)))
    (import "wasi:filesystem/types@0.2.12" "[method]descriptor.open-at"
        (func $open-at (param i32 i32 i32 i32 i32 i32 i32)))
    (import "wasi:io/streams@0.2.12" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
    (import "wasi:io/streams@0.2.12" "[method]output-stream.blocking-write-and-flush"
        (func $print (param i32 i32 i32 i32)))
    (import "wasi:sockets/instance-network@0.2.12" "instance-network" (func $network (result i32)))
    (import "wasi:sockets/ip-name-lookup@0.2.12" "resolve-addresses"
        (func $resolve (param i32 i32 i32 i32)))
    (import "wasi:sockets/ip-name-lookup@0.2.12" "[method]resolve-address-stream.resolve-next-address"
        (func $next-address (param i32 i32)))
    (memory (export "memory") 1)
    (global $free (mut i32) (i32.const 32768))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        global.get $free
        (global.set $free (i32.and (i32.const -8) (i32.add (i32.const 7) (i32.add (global.get $free) (local.get 3))))))
    ;; Prints a text and a line feed.
    (func $line (param $stream i32) (param $from i32) (param $length i32)
        (call $print (local.get $stream) (local.get $from) (local.get $length) (i32.const 48))
        (call $print (local.get $stream) (i32.const 1024) (i32.const 1) (i32.const 48)))
    ;; Prints each text of the list whose address and length are at 16. An entry has `$size` bytes.
    (func $lines (param $size i32) (local $at i32) (local $end i32) (local $stream i32)
        (local.set $stream (call $stdout))
        (local.set $at (i32.load (i32.const 16)))
        (local.set $end (i32.add (local.get $at) (i32.mul (local.get $size) (i32.load offset=4 (i32.const 16)))))
        (loop $more
            (if (i32.lt_u (local.get $at) (local.get $end)) (then
                (call $line (local.get $stream) (i32.load (local.get $at)) (i32.load offset=4 (local.get $at)))
                (local.set $at (i32.add (local.get $at) (local.get $size)))
                (br $more)))))
    (data (i32.const 1024) "\n")
    (data (i32.const 1032) "a.txt")
    (data (i32.const 1040) "localhost")
"#;

/// A command with this body, in WebAssembly text. Its status, 0 or 1, is the last value of `$status`.
pub fn command(body: &str) -> Vec<u8> {
    command_with("", body)
}

/// Like [`command`], with more imports.
pub fn command_with(imports: &str, body: &str) -> Vec<u8> {
    component(
        "command",
        &format!(
            r#"(module {imports} {COMMAND_PRELUDE}
            (func (export "wasi:cli/run@0.2.12#run") (result i32)
                (local $count i32) (local $status i32) (local $stdin i32)
                {body}
                (local.get $status)))"#
        ),
    )
}

/// A component that is both a command, which ends at once, and a server, which never answers.
pub fn both() -> Vec<u8> {
    component(
        "both",
        r#"(module (memory (export "memory") 1)
            (func (export "wasi:cli/run@0.2.12#run") (result i32) (i32.const 0))
            (func (export "wasi:http/incoming-handler@0.2.12#handle") (param i32 i32)))"#,
    )
}

/// A component that is neither a command nor a server.
pub fn neither() -> Vec<u8> {
    component("nothing", "(module)")
}

/// A command for a version of WASI that does not exist.
pub fn of_the_future() -> Vec<u8> {
    component(
        "of-the-future",
        r#"(module (func (export "wasi:cli/run@0.9.0#run") (result i32) (i32.const 0)))"#,
    )
}

/// A component with these definitions, in text, that exports interfaces of these names, in which nothing is.
pub fn exporting(definitions: &str, names: &[&str]) -> Vec<u8> {
    let exports: String =
        names.iter().map(|name| format!(r#"(export "{name}" (instance $empty))"#)).collect();
    wat::parse_str(format!("(component {definitions} (instance $empty) {exports})")).unwrap()
}

/// A core module, as compilers for WASI preview 1 produce it.
pub fn preview_1() -> Vec<u8> {
    wat::parse_str(
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
            (memory (export "memory") 1) (func (export "_start")))"#,
    )
    .unwrap()
}

/// The interfaces of WASI.
pub fn resolve() -> Resolve {
    let mut resolve = Resolve::default();
    resolve.push_dir(workspace().join("wit")).unwrap();
    resolve
}

/// A component for one of the worlds in [`WORLD`], from a core module in text.
pub fn component(world: &str, text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap();
    let mut resolve = resolve();
    let package = resolve.push_str("guests.wit", WORLD).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    build::componentize(&module).unwrap()
}

/// A handler's body that answers `half an answer` and completes the response.
pub const ANSWER: &str = "
    (local.set $stream (call $respond (local.get $out)))
    (call $say (local.get $stream) (i32.const 1024) (i32.const 14))
    (call $complete (local.get $stream))";

/// A handler's body that reads the body of the request to its end, each piece to the same place.
const READ_BODY: &str = "
    (call $consume (local.get $request) (i32.const 80))
    (call $stream-of (i32.load offset=4 (i32.const 80)) (i32.const 96))
    (block $end (loop $more
        (global.set $free (i32.const 32768))
        (call $read (i32.load offset=4 (i32.const 96)) (i64.const 4096) (i32.const 112))
        (br_if $end (i32.load8_u (i32.const 112)))
        (br $more)))";

/// A component that reads the body of the request to its end and then does this.
pub fn reader(then: &str) -> Vec<u8> {
    handler_with(READING, &format!("{READ_BODY} {then}"))
}

/// A component that sends a head and the beginning of a body, and then waits for an hour.
pub fn begin_and_wait() -> Vec<u8> {
    handler_with(
        WAITING,
        "(local.set $stream (call $respond (local.get $out)))
         (call $say (local.get $stream) (i32.const 1024) (i32.const 4))
         (call $block (call $after (i64.const 3600000000000)))",
    )
}

/// A guest that requests `/x` by this scheme from this authority, and answers `had an answer` or `had none`.
pub fn asking_by(scheme: &str, authority: &str) -> GuestFile {
    let length = authority.len();
    let scheme = u8::from(scheme == "https");
    GuestFile::new(component(
        "guest",
        &format!(
            r#"(module
            (import "wasi:http/types@0.2.12" "[constructor]outgoing-request"
                (func $new-request (param i32) (result i32)))
            (import "wasi:http/types@0.2.12" "[method]outgoing-request.set-scheme"
                (func $set-scheme (param i32 i32 i32 i32 i32) (result i32)))
            (import "wasi:http/types@0.2.12" "[method]outgoing-request.set-authority"
                (func $set-authority (param i32 i32 i32 i32) (result i32)))
            (import "wasi:http/types@0.2.12" "[method]outgoing-request.set-path-with-query"
                (func $set-path (param i32 i32 i32 i32) (result i32)))
            (import "wasi:http/outgoing-handler@0.2.12" "handle" (func $send (param i32 i32 i32 i32)))
            (import "wasi:http/types@0.2.12" "[method]future-incoming-response.subscribe"
                (func $subscribe (param i32) (result i32)))
            (import "wasi:io/poll@0.2.12" "[method]pollable.block" (func $block (param i32)))
            (import "wasi:http/types@0.2.12" "[method]future-incoming-response.get"
                (func $get (param i32 i32)))
            {PRELUDE}
            (data (i32.const 3072) "{authority}")
            (data (i32.const 3200) "/x")
            (data (i32.const 3216) "had an answer")
            (data (i32.const 3232) "had none")
            ;; Whether the request was answered.
            (func $ask (result i32) (local $request i32) (local $future i32)
                (local.set $request (call $new-request (call $fields)))
                (drop (call $set-scheme (local.get $request) (i32.const 1) (i32.const {scheme}) (i32.const 0) (i32.const 0)))
                (if (call $set-authority (local.get $request) (i32.const 1) (i32.const 3072) (i32.const {length}))
                    (then unreachable))
                (drop (call $set-path (local.get $request) (i32.const 1) (i32.const 3200) (i32.const 2)))
                (call $send (local.get $request) (i32.const 0) (i32.const 0) (i32.const 128))
                (if (i32.load8_u (i32.const 128)) (then (return (i32.const 0))))
                (local.set $future (i32.load offset=8 (i32.const 128)))
                (call $block (call $subscribe (local.get $future)))
                (call $get (local.get $future) (i32.const 128))
                (i32.eqz (i32.load8_u offset=16 (i32.const 128))))
            (func (export "wasi:http/incoming-handler@0.2.12#handle") (param $in i32) (param $out i32)
                (local $answered i32) (local $stream i32)
                (local.set $answered (call $ask))
                (local.set $stream (call $respond (local.get $out)))
                (if (local.get $answered)
                    (then (call $say (local.get $stream) (i32.const 3216) (i32.const 13)))
                    (else (call $say (local.get $stream) (i32.const 3232) (i32.const 8))))
                (call $complete (local.get $stream))))"#,
        ),
    ))
}

/// A file with a component, in a directory that is removed on drop.
#[derive(Debug)]
pub struct GuestFile {
    _directory: tempfile::TempDir,
    /// The path of the file.
    pub path: PathBuf,
}

impl GuestFile {
    /// Writes bytes to a file called `guest.wasm`.
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("guest.wasm");
        std::fs::write(&path, bytes).unwrap();
        Self { _directory: directory, path }
    }
}
