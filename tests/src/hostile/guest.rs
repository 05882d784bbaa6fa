//! The guest: decodes the program in the path of its request, makes its calls, and answers with its memory.

use super::functions::Function;
use super::program::{self, DATA, HANDLES, HEAP, PROGRAM, RESULTS, STRINGS, TEXTS};
use crate::guests;
use std::fmt::Write as _;
use wit_parser::abi::WasmType;

/// What does not depend on the functions.
const FIXED: &str = r#"
    (import "wasi:http/types@0.2.12" "[method]incoming-request.path-with-query" (func $path (param i32 i32)))
    (import "wasi:http/types@0.2.12" "[constructor]fields" (func $fields (result i32)))
    (import "wasi:http/types@0.2.12" "[constructor]outgoing-response" (func $new-response (param i32) (result i32)))
    (import "wasi:http/types@0.2.12" "[method]outgoing-response.body" (func $body (param i32 i32)))
    (import "wasi:http/types@0.2.12" "[method]outgoing-body.write" (func $write (param i32 i32)))
    (import "wasi:http/types@0.2.12" "[static]outgoing-body.finish" (func $finish (param i32 i32 i32 i32)))
    (import "wasi:http/types@0.2.12" "[static]response-outparam.set"
        (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
    (import "wasi:io/streams@0.2.12" "[resource-drop]output-stream" (func $drop-stream (param i32)))
    (import "wasi:io/streams@0.2.12" "[method]output-stream.blocking-write-and-flush"
        (func $print (param i32 i32 i32 i32)))
    (import "wasi:cli/stdout@0.2.12" "get-stdout" (func $stdout (result i32)))
    (type $op (func))
    (memory (export "memory") 1)
    (global $free (mut i32) (i32.const 0))
    (global $pc (mut i32) (i32.const 0))
    ;; How `cabi_realloc` behaves, and a number for that.
    (global $mode (mut i32) (i32.const 0))
    (global $detail (mut i32) (i32.const 0))
    ;; What `cabi_realloc` was asked for, and what it found at `$detail`.
    (global $log (mut i32) (i32.const 12288))
    (func $bump (param $align i32) (param $size i32) (result i32) (local $at i32)
        (local.set $at (i32.and (i32.sub (i32.const 0) (local.get $align))
            (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))))
        (global.set $free (i32.add (local.get $at) (local.get $size)))
        (local.get $at))
    (func (export "cabi_realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
        (i32.store (global.get $log) (local.get $align))
        (i32.store offset=4 (global.get $log) (local.get $size))
        (i32.store offset=8 (global.get $log) (i32.load (i32.and (global.get $detail) (i32.const 0xfffc))))
        (global.set $log (i32.or (i32.const 12288) (i32.and (i32.const 0xfff) (i32.add (global.get $log) (i32.const 16)))))
        (block $grow (block $end (block $trap (block $leave (block $fixed (block $beyond (block $odd (block $good
            (br_table $good $odd $beyond $fixed $leave $trap $end $grow $good (global.get $mode)))
            (return (call $bump (local.get $align) (local.get $size))))
            (return (i32.add (call $bump (local.get $align) (i32.add (local.get $size) (i32.const 1))) (i32.const 1))))
            (return (i32.sub (i32.const 65537) (local.get $size))))
            (return (global.get $detail)))
            (drop (call $stdout))
            (return (call $bump (local.get $align) (local.get $size))))
            unreachable)
            (return (i32.sub (i32.const 65536) (local.get $size))))
        (drop (memory.grow (i32.const 1)))
        (call $bump (local.get $align) (local.get $size)))
    (func $word (param $at i64) (result i32) (i32.load (i32.and (i32.wrap_i64 (local.get $at)) (i32.const 0xfffc))))
    ;; The next argument of the program.
    (func $a (result i64) (local $kind i32) (local $value i64)
        (local.set $kind (i32.load8_u (global.get $pc)))
        (local.set $value (i64.load offset=1 (global.get $pc)))
        (global.set $pc (i32.add (global.get $pc) (i32.const 9)))
        (if (i32.eqz (local.get $kind)) (then (return (local.get $value))))
        (local.set $value (i64.extend_i32_u (call $word (local.get $value))))
        (if (i32.eq (local.get $kind) (i32.const 1)) (then (return (local.get $value))))
        (i64.extend_i32_u (call $word (local.get $value))))
    ;; The next argument of the program, as an address.
    (func $to (result i32) (i32.and (i32.wrap_i64 (call $a)) (i32.const 0xfffc)))
    (func $mode-op (global.set $mode (i32.wrap_i64 (call $a))) (global.set $detail (i32.wrap_i64 (call $a))))
    (func $copy-op (i32.store (i32.and (i32.wrap_i64 (call $a)) (i32.const 0xfffc)) (i32.wrap_i64 (call $a))))
    (func $grow-op (i64.store (call $to) (i64.extend_i32_s (memory.grow (i32.const 1)))))
    (func $trap-op unreachable)
    (func $run (local $id i32)
        (loop $next
            (local.set $id (i32.load16_u (global.get $pc)))
            (global.set $pc (i32.add (global.get $pc) (i32.const 2)))
            (if (i32.eq (local.get $id) (i32.const 65535)) (then (return)))
            (call_indirect (type $op) (local.get $id))
            (br $next)))
    (func $dump (param $out i32) (local $response i32) (local $stream i32) (local $at i32)
        (global.set $mode (i32.const 0))
        (global.set $free (i32.const 65024))
        (local.set $response (call $new-response (call $fields)))
        (call $body (local.get $response) (i32.const 2048))
        (call $set (local.get $out) (i32.const 0) (local.get $response)
            (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
        (call $write (i32.load (i32.const 2052)) (i32.const 2056))
        (local.set $stream (i32.load (i32.const 2060)))
        (loop $more
            (call $print (local.get $stream) (local.get $at) (i32.const 4096) (i32.const 2064))
            (local.set $at (i32.add (local.get $at) (i32.const 4096)))
            (br_if $more (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))
        (call $drop-stream (local.get $stream))
        (call $finish (i32.load (i32.const 2052)) (i32.const 0) (i32.const 0) (i32.const 2080)))
"#;

/// The component. Its core module has nothing that prevents its instances from being restored.
pub fn component(functions: &[Function]) -> Vec<u8> {
    let mut imports = String::new();
    let mut operations = String::new();
    let mut table = String::new();
    let core = |ty: &WasmType| match ty {
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        _ => "i32",
    };
    for (index, function) in functions.iter().enumerate() {
        let Function { module, name, parameters, result, has_return_pointer, .. } = function;
        let mut signature: Vec<_> = parameters.iter().map(core).collect();
        if *has_return_pointer {
            signature.push("i32");
        }
        let results = result.as_ref().map_or(String::new(), |ty| format!("(result {})", core(ty)));
        let _ = writeln!(
            imports,
            "(import \"{module}\" \"{name}\" (func $f{index} (param {}) {results}))",
            signature.join(" ")
        );
        let arguments = signature.iter().map(|&ty| match ty {
            "i64" => "(call $a)",
            _ => "(i32.wrap_i64 (call $a))",
        });
        let call = format!("(call $f{index} {})", arguments.collect::<Vec<_>>().join(" "));
        let body = match result {
            None => call,
            Some(ty) => {
                let ty = core(ty);
                format!("(local $r {ty}) (local.set $r {call}) ({ty}.store (call $to) (local.get $r))")
            }
        };
        let _ = writeln!(operations, "(func $op{index} {body})");
        let _ = write!(table, " $op{index}");
    }
    let text = format!(
        r#"(module {imports} {FIXED} {operations}
        (table funcref (elem {table} $mode-op $copy-op $grow-op $trap-op))
        {data}
        (func (export "wasi:http/incoming-handler@0.2.12#handle") (param $request i32) (param $out i32)
            (local $at i32) (local $end i32) (local $to i32)
            (global.set $free (i32.const {HEAP}))
            (call $path (local.get $request) (i32.const {RESULTS}))
            (local.set $at (i32.add (i32.const 1) (i32.load offset=4 (i32.const {RESULTS}))))
            (local.set $end (i32.add (i32.load offset=4 (i32.const {RESULTS})) (i32.load offset=8 (i32.const {RESULTS}))))
            (local.set $to (i32.const {PROGRAM}))
            (loop $more
                (i32.store8 (local.get $to) (i32.or
                    (i32.shl (i32.sub (i32.load8_u (local.get $at)) (i32.const 97)) (i32.const 4))
                    (i32.sub (i32.load8_u offset=1 (local.get $at)) (i32.const 97))))
                (local.set $to (i32.add (local.get $to) (i32.const 1)))
                (local.set $at (i32.add (local.get $at) (i32.const 2)))
                (br_if $more (i32.lt_u (local.get $at) (local.get $end))))
            (memory.fill (i32.const {HEAP}) (i32.const 0) (i32.const 32768))
            (memory.fill (i32.const {RESULTS}) (i32.const 0) (i32.const 64))
            (global.set $free (i32.const {HEAP}))
            (i32.store (i32.const {request_at}) (local.get $request))
            (i32.store (i32.const {out_at}) (local.get $out))
            (global.set $pc (i32.const {PROGRAM}))
            (call $run)
            (if (i32.load8_u (global.get $pc)) (then (call $dump (local.get $out))))))"#,
        request_at = HANDLES,
        out_at = HANDLES + 4,
        data = data(),
    );
    guests::component("everything", &text)
}

/// The texts, and lists of them.
fn data() -> String {
    let escaped = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\{byte:02x}")).collect::<String>();
    let mut data = String::new();
    for (at, text) in program::texts() {
        let _ = writeln!(data, "(data (i32.const {at}) \"{}\")", escaped(text));
    }
    // Pairs of name and value.
    let pairs: Vec<u8> = [3, 7, 3, 8, 12, 7, 13, 3].iter().flat_map(|&index: &usize| entry(index)).collect();
    let _ = writeln!(data, "(data (i32.const {DATA}) \"{}\")", escaped(&pairs));
    debug_assert!(STRINGS + 1024 <= RESULTS && TEXTS.len() > 13);
    data
}

fn entry(index: usize) -> [u8; 8] {
    let (at, text) = program::texts().nth(index).unwrap();
    (u64::from(at) | (text.len() as u64) << 32).to_le_bytes()
}
