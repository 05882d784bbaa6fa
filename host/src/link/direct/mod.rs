//! Links WASI 0.2 to a component's main core module, without the component runtime: the canonical ABI of exactly these
//! functions, and nothing else. What they mean is said [elsewhere](super::calls), or by the runtime, as for components.
//!
//! - [`memory`]: lifting; [`lowering`], [`values`], [`error_code`]: lowering
//! - [`http`], [`http_out`], [`files`], [`streams`], [`system`]: the functions, interface by interface
//! - [`core`](mod@core): what the host keeps for one core instance
//! - [`module`]: a module, ready to be instantiated
//! - [`written`]: which parts of an instance's memory have changed
//! - [`exchange`]: requests and answers as bytes in memory, without calls of `wasi:http`

mod core;
mod error_code;
mod exchange;
mod files;
mod http;
mod http_out;
mod lowering;
mod memory;
pub mod module;
mod streams;
mod system;
mod values;
mod written;

use self::core::CallExt as _;
use self::core::{Call, Core};
use crate::component::one_line;
use crate::component::rewrite::{HOST, NEXT, RewrittenImport};
use memory::R;
use module::Renewal;
use wasmtime::{Engine, IntoFunc, Linker};

/// Says how a component would be run, without compiling it, in words that follow its name: directly, or why not.
pub fn explain(component: &[u8]) -> Result<String, String> {
    let functions = Functions::new(&Engine::default()).map_err(|error| one_line(&error))?;
    let plan = module::Plan::new(component, &functions, Renewal::Restored)?;
    Ok(directly(plan.unrestorable.as_deref()))
}

/// Says that a component is run directly, and what that means for its instances.
pub(super) fn directly(new_because: Option<&str>) -> String {
    match new_because {
        None => "directly, in instances that are restored after each request".to_owned(),
        Some(why) => format!("directly, in a new instance for each request: {why}"),
    }
}

/// The functions that a core module may import.
pub struct Functions {
    linker: Linker<Core>,
    /// Those of WASI.
    known: Vec<Known>,
}

impl Functions {
    /// All of them.
    pub fn new(engine: &Engine) -> R<Self> {
        let mut functions = Self { linker: Linker::new(engine), known: Vec::new() };
        functions.linker.func_wrap(HOST, NEXT, |mut call: Call<'_>, address: u32| call.next(address))?;
        http::add(&mut functions)?;
        http_out::add(&mut functions)?;
        files::add(&mut functions)?;
        streams::add(&mut functions)?;
        system::add(&mut functions)?;
        Ok(functions)
    }

    /// The function of this name, as a module imports it.
    fn find(&self, interface: &str, name: &str) -> Option<RewrittenImport<'_>> {
        let found = self.known.iter().find(|known| known.interface == interface && known.name == name);
        found.map(Known::import)
    }

    /// The function that drops a resource of this name, which is the same one in each interface that uses the resource.
    fn find_drop(&self, resource: &str) -> Option<RewrittenImport<'_>> {
        // Two other names of the same type (`wasi:http/types`).
        let resource = if matches!(resource, "headers" | "trailers") { "fields" } else { resource };
        let is_drop = |known: &&Known| known.name.strip_prefix("[resource-drop]") == Some(resource);
        self.known.iter().find(is_drop).map(Known::import)
    }

    /// An interface to add functions to.
    fn interface(&mut self, name: &'static str) -> Interface<'_> {
        Interface { functions: self, name }
    }
}

/// A function of WASI.
struct Known {
    interface: &'static str,
    name: String,
    /// Whether it allocates memory in the guest.
    allocates: bool,
}

impl Known {
    fn import(&self) -> RewrittenImport<'_> {
        RewrittenImport { module: self.interface, name: &self.name, allocates: self.allocates }
    }
}

/// An interface that functions are added to.
struct Interface<'a> {
    functions: &'a mut Functions,
    name: &'static str,
}

impl Interface<'_> {
    fn note(&mut self, name: &str, allocates: bool) -> &mut Self {
        self.functions.known.push(Known { interface: self.name, name: name.to_owned(), allocates });
        self
    }

    /// Adds a function that allocates nothing.
    fn plain<P, Q>(&mut self, name: &str, function: impl IntoFunc<Core, P, Q>) -> R<&mut Self> {
        self.functions.linker.func_wrap(self.name, name, function)?;
        Ok(self.note(name, false))
    }

    /// Adds a function whose result contains lists or strings. It returns what [`Call::allocate`] does.
    fn allocating<P, Q>(&mut self, name: &str, function: impl IntoFunc<Core, P, Q>) -> R<&mut Self> {
        self.functions.linker.func_wrap(self.name, name, function)?;
        Ok(self.note(name, true))
    }

    /// Adds a function that may wait and allocates nothing.
    fn waiting<P, Q>(
        &mut self,
        name: &str,
        function: impl for<'a> Fn(Call<'a>, P) -> Box<dyn Future<Output = Q> + Send + 'a> + Send + Sync + 'static,
    ) -> R<&mut Self>
    where
        P: wasmtime::WasmTyList,
        Q: wasmtime::WasmRet,
    {
        self.functions.linker.func_wrap_async(self.name, name, function)?;
        Ok(self.note(name, false))
    }

    /// Adds a function that may wait and whose result contains lists or strings.
    fn waiting_allocating<P>(
        &mut self,
        name: &str,
        function: impl for<'a> Fn(Call<'a>, P) -> Box<dyn Future<Output = R<i64>> + Send + 'a>
        + Send
        + Sync
        + 'static,
    ) -> R<&mut Self>
    where
        P: wasmtime::WasmTyList,
    {
        self.functions.linker.func_wrap_async(self.name, name, function)?;
        Ok(self.note(name, true))
    }
}
