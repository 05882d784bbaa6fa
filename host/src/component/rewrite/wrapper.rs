//! The code of a wrapper: calls the host, and allocates for it as long as it asks for that.

use wasm_encoder::{BlockType, Function, ValType};

/// A wrapper of a function with these parameters. The others are the indices of functions.
pub fn code(parameters: &[wasmparser::ValType], raw: u32, realloc: u32, next: u32) -> Function {
    let mut function = Function::new([(1, ValType::I64)]);
    let mut code = function.instructions();
    // At the end, the local after the parameters: what the host returned.
    let mut request = 0;
    for _ in parameters {
        code.local_get(request);
        request += 1;
    }
    code.call(raw).local_set(request);
    code.block(BlockType::Empty).loop_(BlockType::Empty);
    code.local_get(request).i64_const(0).i64_lt_s().br_if(1);
    // An allocation is a reallocation of nothing.
    code.i32_const(0).i32_const(0);
    code.local_get(request).i64_const(32).i64_shr_u().i32_wrap_i64();
    code.local_get(request).i32_wrap_i64();
    code.call(realloc).call(next).local_set(request);
    code.br(0).end().end().end();
    function
}
