//! The interfaces that guests may import. What a guest may do with them is the [`sandbox`](crate::sandbox)'s to say:
//! most of it is refused when it is called.
//!
//! [`calls`] says what the calls of WASI 0.2 mean. [`p2`] links them to components, by the component runtime, and [`direct`] to the
//! main core module of a component, without it.

mod calls;
pub mod direct;
mod p2;

use crate::component::{Guest, one_line};
use crate::config::Executor;
use crate::instance::{State, Template};
use anyhow::{Context as _, Result, anyhow};
use direct::module::{Module, Renewal};
use std::sync::Arc;
use wasmtime::Engine;
use wasmtime::component::InstancePre;

/// A guest that serves, linked in the way in which it will run.
pub enum Linked {
    /// By the component runtime.
    Component(InstancePre<State>),
    /// Its main core module alone.
    Direct(Box<Module>),
}

/// Compiles a guest and links it as a component, which may import nothing that the host does not offer.
pub fn component(engine: &Engine, guest: &Guest) -> Result<InstancePre<State>> {
    let component = guest.compile(engine)?;
    p2::linker(engine)?.instantiate_pre(&component).map_err(|error| anyhow!("{}", one_line(&error))).with_context(|| {
        format!(
            "{} needs what this host does not offer, or not in that form; `wasi-httpd inspect` lists its imports",
            guest.name()
        )
    })
}

/// Links a guest that serves: directly where it fits, and else as a component. The second value says how it runs, in words
/// that follow its name.
pub fn server(
    engine: &Engine,
    guest: &Guest,
    template: &Arc<Template>,
    executor: Executor,
    renewal: Renewal,
) -> Result<(Linked, String)> {
    // Types are compared by the component runtime only. Those of the built-in guest are known.
    let is_known = executor == Executor::Auto && guest.is_built_in();
    let component = if is_known { None } else { Some(component(engine, guest)?) };
    let module = match executor {
        Executor::Auto => Module::new(engine, guest, template, renewal),
        Executor::Component => Err("--executor component asks for it".to_owned()),
    };
    match (module, component) {
        (Ok(module), _) => {
            let how = match renewal {
                Renewal::Reused => {
                    "directly, in instances that are reused as each request leaves them".to_owned()
                }
                Renewal::New | Renewal::Restored => direct::directly(module.new_because()),
            };
            Ok((Linked::Direct(Box::new(module)), how))
        }
        (Err(why), Some(component)) => Ok((Linked::Component(component), by_runtime(&why))),
        (Err(why), None) => Ok((Linked::Component(self::component(engine, guest)?), by_runtime(&why))),
    }
}

/// Says how a guest would be run, without compiling it, in words that follow its name.
pub fn explain(guest: &Guest) -> String {
    direct::explain(&guest.bytes).unwrap_or_else(|why| by_runtime(&why))
}

fn by_runtime(why: &str) -> String {
    format!("on the component runtime: {why}")
}
