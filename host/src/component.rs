//! The guest: read, recognised, compiled.

use anyhow::{Context as _, Result, anyhow, bail};
use std::path::Path;
use wasmtime::Engine;
use wasmtime::component::Component;

/// The file server that is served when no other guest is named.
pub const BUILT_IN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/guest.wasm"));

/// The interface that makes a component a server, but for its version.
const HTTP_HANDLER: &str = "wasi:http/incoming-handler@0.2.";

/// The first eight bytes of WebAssembly: magic, version, layer.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const CORE_MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";

/// Loads and compiles the component at `path`, or the built-in one, and makes sure that it answers HTTP requests.
pub fn load(engine: &Engine, path: Option<&Path>) -> Result<Component> {
    let Some(path) = path else {
        return compile(engine, BUILT_IN).context("the built-in component does not compile");
    };
    let name = path.display();
    if path.is_dir() {
        bail!("the guest `{name}` is a directory; a directory is served with --dir {name}");
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read the guest `{name}`"))?;
    recognise(&bytes).with_context(|| format!("the guest `{name}` cannot be served"))?;
    let component = compile(engine, &bytes)
        .with_context(|| format!("the guest `{name}` is truncated, damaged or beyond the limits"))?;
    expect_http(engine, &component).with_context(|| format!("the guest `{name}` cannot be served"))?;
    Ok(component)
}

fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component> {
    Component::from_binary(engine, bytes).map_err(|error| anyhow!("{}", one_line(&error)))
}

/// Tells from its first bytes what a file is that is not a component.
fn recognise(bytes: &[u8]) -> Result<()> {
    match bytes.first_chunk() {
        Some(&COMPONENT) => Ok(()),
        Some(&CORE_MODULE) => bail!(
            "it is a core WebAssembly module, not a component; `wasm-tools component new IN.wasm -o OUT.wasm` makes \
             one of it (with `--adapt wasi_snapshot_preview1.reactor.wasm` if it imports preview 1)"
        ),
        _ if bytes.is_empty() => bail!("it is empty"),
        _ if bytes.starts_with(b"\0asm") => bail!("it is WebAssembly of an unknown version, or cut short"),
        _ if bytes.trim_ascii_start().starts_with(b"(") => {
            bail!("it is WebAssembly text; `wasm-tools parse IN.wat -o OUT.wasm` makes a binary of it")
        }
        _ => bail!("it is not WebAssembly"),
    }
}

fn expect_http(engine: &Engine, component: &Component) -> Result<()> {
    let component_type = component.component_type();
    let exports: Vec<_> = component_type.exports(engine).map(|(name, _)| name.to_owned()).collect();
    if exports.iter().any(|name| name.starts_with(HTTP_HANDLER)) {
        return Ok(());
    }
    let what = match exports.as_slice() {
        [] => "it exports nothing".to_owned(),
        exports => format!("it exports {}", exports.join(", ")),
    };
    if exports.iter().any(|name| name.starts_with("wasi:http/handler@0.3.")) {
        bail!("{what}: it speaks WASI 0.3, and this version serves components of WASI 0.2 only");
    }
    bail!("{what}, but not {HTTP_HANDLER}x: it does not answer HTTP requests");
}

/// What wasmtime has to say, without the hints to itself that follow on further lines.
pub fn one_line(error: &wasmtime::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let first = text.lines().next().unwrap_or_default().trim_end_matches(':').to_owned();
        if !first.is_empty() && !parts.contains(&first) {
            parts.push(first);
        }
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::{BUILT_IN, recognise};

    #[test]
    fn what_is_no_component_is_told_by_its_first_bytes() {
        let message = |bytes: &[u8]| recognise(bytes).unwrap_err().to_string();
        assert!(recognise(BUILT_IN).is_ok());
        assert!(message(b"").contains("empty"));
        assert!(message(b"\0asm\x01\0\0\0").contains("wasm-tools component new"));
        assert!(message(b"\0asm").contains("cut short"));
        assert!(message(b"(component)").contains("wasm-tools parse"));
        assert!(message(b"<html>").contains("not WebAssembly"));
    }
}
