//! The interfaces that guests may import. What a guest may do with them is the [`sandbox`](crate::sandbox)'s to say:
//! most of it is refused when it is called.
//!
//! [`calls`] says what the calls of WASI 0.2 mean. [`p2`] links them to components, by the component runtime, and [`direct`] to the
//! main core module of a component, without it. [`p3`] links WASI 0.3, whose calls mean the same as far as there are equal ones.
//! [`proposals`] links what is no part of a release.

mod calls;
pub mod direct;
mod p2;
pub mod p3;
pub mod proposals;

use crate::component::interface::Edition;
use crate::component::{Guest, Purpose, one_line};
use crate::config::Executor;
use crate::instance::{State, Template};
use anyhow::{Context as _, Result, anyhow};
use direct::Functions;
use direct::module::{DirectCode, Module, Renewal};
use std::sync::Arc;
use wasmtime::Engine;
use wasmtime::component::{InstancePre, Linker};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p3::bindings::ServicePre;

/// A guest that serves, linked in the way in which it will run.
pub enum Linked {
    /// By the component runtime.
    Component(InstancePre<State>),
    /// By the component runtime, in WASI 0.3.
    Concurrent(InstancePre<State>),
    /// Its main core module alone.
    Direct(Box<Module>),
}

/// What guests are linked to, for one engine.
pub struct Linkers {
    engine: Engine,
    component: Linker<State>,
    /// `None` for guests of WASI 0.3.
    direct: Option<Functions>,
}

/// A guest, compiled for one engine. Sites whose guests are the same share it.
pub struct Code {
    /// Types are compared by the component runtime only. Those of the built-in guest are known, so that it may do without.
    component: Option<InstancePre<State>>,
    /// Its main core module, or why it needs the component runtime.
    direct: Result<DirectCode, String>,
}

impl Linkers {
    /// All that guests of this edition may import, for the engine that is made for them.
    pub fn new(edition: Edition, engine: &Engine) -> Result<Self> {
        let (component, direct) = match edition {
            Edition::V03 => (p3::linker(engine)?, None),
            Edition::V02 | Edition::Unknown => (p2::linker(engine)?, Some(Functions::new(engine)?)),
        };
        Ok(Self { engine: engine.clone(), component, direct })
    }

    /// Compiles a guest and links it as a component, which may import nothing that the host does not offer.
    pub fn component(&self, guest: &Guest) -> Result<InstancePre<State>> {
        let component = guest.compile(&self.engine)?;
        self.component.instantiate_pre(&component).map_err(|error| anyhow!("{}", one_line(&error))).with_context(|| {
            format!(
                "{} needs what this host does not offer, or not in that form; `wasi-httpd inspect` lists its imports",
                guest.name()
            )
        })
    }

    /// Compiles a guest that serves for the ways in which it may run.
    pub fn code(&self, guest: &Guest, executor: Executor, renewal: Renewal) -> Result<Code> {
        let is_known = executor == Executor::Auto && guest.is_built_in();
        let mut component = if is_known { None } else { Some(self.component(guest)?) };
        let direct = match (executor, &self.direct) {
            (_, None) => Err(IS_CONCURRENT.to_owned()),
            (Executor::Auto, Some(functions)) => DirectCode::new(&self.engine, guest, functions, renewal),
            (Executor::Component, _) => Err("--executor component asks for it".to_owned()),
        };
        if direct.is_err() && component.is_none() {
            component = Some(self.component(guest)?);
        }
        Ok(Code { component, direct })
    }

    /// Links a guest that serves to what its instances have: directly where it fits, and else as a component. The second
    /// value says how it runs, in words that follow its name.
    pub fn link(
        &self,
        guest: &Guest,
        code: &Code,
        template: &Arc<Template>,
        renewal: Renewal,
    ) -> Result<(Linked, String)> {
        let module = match &code.direct {
            Ok(_) if template.sandbox().scratches().is_some() => Err("--scratch needs it".to_owned()),
            Ok(direct) => Module::new(direct, template, renewal),
            Err(why) => Err(why.clone()),
        };
        match module {
            Ok(module) => {
                let how = match renewal {
                    Renewal::Reused => {
                        "directly, in instances that are reused as each request leaves them".to_owned()
                    }
                    Renewal::New | Renewal::Restored => direct::directly(module.new_because()),
                };
                Ok((Linked::Direct(Box::new(module)), how))
            }
            Err(why) => {
                let component = match &code.component {
                    Some(component) => component.clone(),
                    None => self.component(guest)?,
                };
                let checked = match self.direct {
                    Some(_) => ProxyPre::new(component.clone()).map(drop),
                    None => ServicePre::new(component.clone()).map(drop),
                };
                checked
                    .map_err(|error| anyhow!("{}", one_line(&error)))
                    .with_context(|| guest.exports_other_types())?;
                let linked = match self.direct {
                    Some(_) => Linked::Component(component),
                    None => Linked::Concurrent(component),
                };
                Ok((linked, by_runtime(&why)))
            }
        }
    }
}

/// Why a guest of WASI 0.3 runs as it does.
const IS_CONCURRENT: &str = "it is a component of WASI 0.3";

/// Says how a guest that serves would be run, without compiling it, in words that follow its name.
pub fn explain(guest: &Guest) -> String {
    match guest.edition(Purpose::Serve) {
        Edition::V03 => by_runtime(IS_CONCURRENT),
        Edition::V02 | Edition::Unknown => {
            direct::explain(&guest.bytes).unwrap_or_else(|why| by_runtime(&why))
        }
    }
}

fn by_runtime(why: &str) -> String {
    format!("on the component runtime: {why}")
}
