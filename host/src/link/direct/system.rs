//! `wasi:cli`, `wasi:clocks` and `wasi:random`.

use super::Functions;
use super::core::{Call, CallExt as _};
use super::memory::{R, handle, is_some};
use super::values::Bytes;
use crate::link::calls;
use wasmtime_wasi::cli::WasiCliView as _;
use wasmtime_wasi::clocks::WasiClocksView as _;
use wasmtime_wasi::p2::bindings::cli::environment::Host as _;
use wasmtime_wasi::p2::bindings::cli::exit::Host as _;
use wasmtime_wasi::p2::bindings::cli::stderr::Host as _;
use wasmtime_wasi::p2::bindings::cli::stdin::Host as _;
use wasmtime_wasi::p2::bindings::cli::stdout::Host as _;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::bindings::random::insecure::Host as _;
use wasmtime_wasi::p2::bindings::random::insecure_seed::Host as _;
use wasmtime_wasi::p2::bindings::random::random::Host as _;
use wasmtime_wasi::random::WasiRandomView as _;

pub(super) fn add(functions: &mut Functions) -> R<()> {
    functions
        .interface("wasi:cli/environment")
        .allocating("get-environment", |mut call: Call<'_>, to: u32| {
            let variables = call.state()?.environment().to_vec();
            call.allocate(to, variables)
        })?
        .allocating("get-arguments", |mut call: Call<'_>, to: u32| {
            let arguments = call.state()?.cli().get_arguments()?;
            call.allocate(to, arguments)
        })?
        .allocating("initial-cwd", |mut call: Call<'_>, to: u32| {
            let directory = call.state()?.cli().initial_cwd()?;
            call.allocate(to, directory)
        })?;
    functions.interface("wasi:cli/exit").plain("exit", |mut call: Call<'_>, case: u32| -> R<()> {
        let status = if is_some(case)? { Err(()) } else { Ok(()) };
        call.state()?.cli().exit(status)
    })?;
    functions
        .interface("wasi:cli/stdin")
        .plain("get-stdin", |mut call: Call<'_>| -> R<u32> { handle(&call.state()?.cli().get_stdin()?) })?;
    functions
        .interface("wasi:cli/stdout")
        .plain("get-stdout", |mut call: Call<'_>| -> R<u32> { handle(&call.state()?.cli().get_stdout()?) })?;
    functions
        .interface("wasi:cli/stderr")
        .plain("get-stderr", |mut call: Call<'_>| -> R<u32> { handle(&call.state()?.cli().get_stderr()?) })?;
    add_clocks(functions)?;
    add_random(functions)
}

fn add_clocks(functions: &mut Functions) -> R<()> {
    functions
        .interface("wasi:clocks/wall-clock")
        .plain("now", |mut call: Call<'_>, to: u32| {
            call.state()?;
            call.store(to, calls::now())
        })?
        .plain("resolution", |mut call: Call<'_>, to: u32| {
            let resolution = wall_clock::Host::resolution(&mut call.state()?.clocks())?;
            call.store(to, resolution)
        })?;
    functions
        .interface("wasi:clocks/monotonic-clock")
        .plain("now", |mut call: Call<'_>| -> R<u64> {
            monotonic_clock::Host::now(&mut call.state()?.clocks())
        })?
        .plain("resolution", |mut call: Call<'_>| -> R<u64> {
            monotonic_clock::Host::resolution(&mut call.state()?.clocks())
        })?
        .plain("subscribe-instant", |mut call: Call<'_>, when: u64| -> R<u32> {
            handle(&monotonic_clock::Host::subscribe_instant(&mut call.state()?.clocks(), when)?)
        })?
        .plain("subscribe-duration", |mut call: Call<'_>, duration: u64| -> R<u32> {
            handle(&monotonic_clock::Host::subscribe_duration(&mut call.state()?.clocks(), duration)?)
        })?;
    Ok(())
}

fn add_random(functions: &mut Functions) -> R<()> {
    functions
        .interface("wasi:random/random")
        .allocating("get-random-bytes", |mut call: Call<'_>, length: u64, to: u32| {
            let bytes = call.state()?.random().get_random_bytes(length)?;
            call.allocate(to, Bytes(bytes))
        })?
        .plain("get-random-u64", |mut call: Call<'_>| -> R<u64> {
            call.state()?.random().get_random_u64()
        })?;
    functions
        .interface("wasi:random/insecure")
        .allocating("get-insecure-random-bytes", |mut call: Call<'_>, length: u64, to: u32| {
            let bytes = call.state()?.random().get_insecure_random_bytes(length)?;
            call.allocate(to, Bytes(bytes))
        })?
        .plain("get-insecure-random-u64", |mut call: Call<'_>| -> R<u64> {
            call.state()?.random().get_insecure_random_u64()
        })?;
    functions.interface("wasi:random/insecure-seed").plain(
        "insecure-seed",
        |mut call: Call<'_>, to: u32| {
            let seed = call.state()?.random().insecure_seed()?;
            call.store(to, seed)
        },
    )?;
    Ok(())
}
