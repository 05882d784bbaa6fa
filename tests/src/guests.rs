//! Guests that misbehave: small components from WebAssembly text, so that they need no compiler.

use guest_builder::{build, workspace};
use std::path::PathBuf;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// What every guest below may import; it imports only what its text names.
const WORLD: &str = "
    package tests:guests;
    world guest {
        import wasi:cli/environment@0.2.12;
        import wasi:cli/stderr@0.2.12;
        import wasi:cli/stdout@0.2.12;
        import wasi:filesystem/preopens@0.2.12;
        import wasi:filesystem/types@0.2.12;
        import wasi:http/types@0.2.12;
        import wasi:io/streams@0.2.12;
        export wasi:http/incoming-handler@0.2.12;
    }
    world nothing {}
    world command {
        export wasi:cli/run@0.2.12;
    }
    interface unheard-of {
        wish: func();
    }
    world demanding {
        import unheard-of;
        export wasi:http/incoming-handler@0.2.12;
    }
";

/// Functions of the host that the handlers below call, and a memory of one page to call them with.
const PRELUDE: &str = r#"
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
    ;; Sets a 200 without a length and gives the stream of its body.
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

/// A component whose handler does this, in WebAssembly text; `$out` is where the response goes.
pub fn handler(body: &str) -> Vec<u8> {
    component(
        "guest",
        &format!(
            r#"(module {PRELUDE}
            (func (export "wasi:http/incoming-handler@0.2.12#handle") (param $request i32) (param $out i32)
                (local $stream i32) (local $count i32)
                {body}))"#
        ),
    )
}

/// A component of a world of this module, from a core module in text.
pub fn component(world: &str, text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap();
    let mut resolve = Resolve::default();
    resolve.push_dir(workspace().join("wit")).unwrap();
    let package = resolve.push_str("guests.wit", WORLD).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    build::componentize(&module).unwrap()
}

/// Answers `half an answer` and completes it.
pub const ANSWER: &str = "
    (local.set $stream (call $respond (local.get $out)))
    (call $say (local.get $stream) (i32.const 1024) (i32.const 14))
    (call $complete (local.get $stream))";

/// A file that holds a component, in a directory that is removed when this is dropped.
#[derive(Debug)]
pub struct GuestFile {
    _directory: tempfile::TempDir,
    /// Where the file is.
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
