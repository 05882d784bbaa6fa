//! A component's main core module, linked without the component runtime: how instances of it are made, called, and put back
//! into their initial state.
//!
//! The initial state is that of a new instance after the module's own preparation ([`PREPARE`]), where it has one, which may
//! grow the memory. It is kept once, as a copy of the memory and of the mutable globals. An
//! instance is *restored* by writing back the globals and all parts of the memory that were [written] to; where instances are not
//! restored, each new one is prepared by writing what the preparation has changed.
//!
//! [`restorable`] proves from the module's instructions that an instance has no other state, and [`marks`] has them tell what they
//! write to.
//!
//! [written]: super::written

use super::Functions;
use super::core::Core;
use super::exchange;
use super::memory::handle;
use super::written::TRACKED_BYTES_MAX;
use crate::body::Outgoing;
use crate::component::restorable::{Restorable, restorable};
use crate::component::rewrite::{Additions, RewrittenImport, global_export, marks, rewrite};
use crate::component::shape::{Function, Shape, shape};
use crate::component::{Guest, one_line};
use crate::engine;
use crate::instance::{State, Template};
use crate::sandbox::Allowance;
use ::guest::exchange::EXPORT as ANSWER;
use http::{Response, request};
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use wasmtime::component::Resource;
use wasmtime::error::Context as _;
use wasmtime::{
    Engine, Extern, Global, InstancePre, Memory, ModuleExport, Store, TypedFunc, Val, WasmParams,
    WasmResults, bail, format_err,
};
use wasmtime_wasi_http::p2::types::{HostIncomingRequest, HostResponseOutparam};

/// The core export by which a module prepares itself, once, for all requests. Other runtimes do not know it. It takes and
/// returns nothing, and leaves no handle.
const PREPARE: &str = "wasi-httpd:prepare";

/// The largest memory that is restored, in bytes: guests with more write more of it for each request, up to where a new instance costs
/// less.
const MAX_RESTORED_BYTES: usize = TRACKED_BYTES_MAX;

/// The largest memory that a preparation may leave, in bytes, where the module does not begin with more: what the file server needs for
/// the longest rules. What it has written is copied into each new instance.
const MAX_PREPARED_BYTES: usize = 512 * 1024;

/// The size of a page of WebAssembly.
const PAGE_OF_WASM: u64 = 64 * 1024;

/// How much of the memory is compared at a time to find what a preparation has changed, in bytes.
const COMPARED_BYTES: usize = 256;

/// A handler of `wasi:http/incoming-handler`, by its core signature: the handles of the request and of the outparam.
type Handler = TypedFunc<(u32, u32), ()>;

/// What becomes of an instance that has answered a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Renewal {
    /// It ends.
    New,
    /// It is restored, where that is proved to be possible.
    Restored,
    /// It answers other requests as it is.
    Reused,
}

/// A component's main module, compiled. Clones are the same.
#[derive(Clone)]
pub struct DirectCode {
    pre: InstancePre<Core>,
    exports: Exports,
    /// Why its instances cannot be restored; `None` if they can.
    unrestorable: Option<String>,
}

/// A module, ready to be instantiated.
pub struct Module {
    pre: InstancePre<Core>,
    template: Arc<Template>,
    exports: Exports,
    /// What a new instance has to become, where its memory can be written back.
    initial: Option<Initial>,
    /// Why instances are not restored, if they are not.
    new_because: Option<String>,
}

/// Where a module has what the host uses.
#[derive(Clone)]
struct Exports {
    handle: ModuleExport,
    memory: ModuleExport,
    prepare: Option<ModuleExport>,
    /// What answers requests as bytes in memory, and what allocates that memory.
    exchange: Option<[ModuleExport; 2]>,
    /// The mutable globals.
    globals: Vec<ModuleExport>,
    /// The marks of what was written to, where instances are restored.
    marks: Option<ModuleExport>,
}

/// The initial state of an instance.
struct Initial {
    memory: Box<[u8]>,
    globals: Vec<Val>,
    /// Those of the globals that differ from those of an instance that was not prepared.
    changed_globals: Vec<(ModuleExport, Val)>,
    /// Where the module has a place for the heads of requests, if it can answer them as bytes in memory.
    place: Option<u32>,
    /// Which parts of the memory do.
    changed: Vec<Range<usize>>,
}

/// An instance.
pub struct Instance {
    store: Store<Core>,
    linked: wasmtime::Instance,
    /// Where the handler is, and the handler itself, once it was called.
    handle: (ModuleExport, Option<Handler>),
    exchange: Option<exchange::Function>,
    place: Option<u32>,
    memory: Memory,
    marks: Option<Memory>,
    /// The mutable globals, where it may be restored.
    globals: Vec<Global>,
    /// What it may still grow by.
    allowance: Allowance,
}

/// The head of a request in the memory of an instance.
pub struct WrittenHead {
    function: exchange::Function,
    place: u32,
    length: u32,
}

impl DirectCode {
    /// Compiles the main module of a guest for instances that are renewed in this way, or says why it does not fit.
    pub fn new(
        engine: &Engine,
        guest: &Guest,
        functions: &Functions,
        renewal: Renewal,
    ) -> Result<Self, String> {
        let explained = |error: wasmtime::Error| one_line(&error);
        let Plan { rewritten, shape, globals, unrestorable } = Plan::new(&guest.bytes, functions, renewal)?;
        let module = wasmtime::Module::new(engine, &rewritten).map_err(explained)?;
        let pre = functions.linker.instantiate_pre(&module).map_err(explained)?;
        let exports = Exports::of(&module, &shape, &globals)?;
        Ok(Self { pre, exports, unrestorable })
    }
}

impl Module {
    /// Links a module to what its instances have, and prepares it, or says why that fails. It was compiled for this renewal.
    pub fn new(code: &DirectCode, template: &Arc<Template>, renewal: Renewal) -> Result<Self, String> {
        let DirectCode { pre, exports, unrestorable } = code.clone();
        let mut linked =
            Self { pre, template: Arc::clone(template), exports, initial: None, new_because: unrestorable };
        if linked.new_because.is_none() {
            let initial = linked.prepare().map_err(|error| one_line(&error))?;
            linked.new_because = match renewal {
                Renewal::New => Some("--instances new asks for it".to_owned()),
                Renewal::Restored | Renewal::Reused => too_large(initial.memory.len() as u64),
            };
            linked.initial = Some(initial);
        }
        Ok(linked)
    }

    /// Why instances are not restored; `None` if they are.
    pub fn new_because(&self) -> Option<&str> {
        self.new_because.as_deref()
    }

    /// A new instance, in its initial state.
    pub async fn instantiate(&self) -> wasmtime::Result<Instance> {
        let mut instance = self.unprepared().await?;
        if let Some(initial) = &self.initial {
            initial.apply(&mut instance).await?;
            instance.place = initial.place;
            if self.new_because.is_none() {
                instance.globals = instance.find_globals(&self.exports)?;
            }
        }
        Ok(instance)
    }

    async fn unprepared(&self) -> wasmtime::Result<Instance> {
        let core = Core::new(self.template.state());
        let mut store =
            self.template.store(self.pre.module().engine(), core, |core: &mut Core| core.state.allowance());
        let instance = self.pre.instantiate_async(&mut store).await?;
        let export = |store: &mut Store<Core>, name: &ModuleExport| export(&instance, store, name);
        let memory = export(&mut store, &self.exports.memory)?.into_memory();
        let Some(memory) = memory else { bail!("the memory is something else") };
        let marks = match &self.exports.marks {
            Some(marks) => export(&mut store, marks)?.into_memory(),
            None => None,
        };
        let exchange = match &self.exports.exchange {
            Some([answer, _]) => Some(function(export(&mut store, answer)?, &store, ANSWER)?),
            None => None,
        };
        if let Some(marks) = marks {
            let bytes = marks.data_size(&store);
            store.data_mut().state.allowance().return_memory(bytes);
        }
        store.data_mut().set_memory(memory);
        let allowance = *store.data_mut().state.allowance();
        Ok(Instance {
            store,
            linked: instance,
            handle: (self.exports.handle, None),
            exchange,
            place: None,
            memory,
            marks,
            globals: Vec::new(),
            allowance,
        })
    }

    /// Puts an instance that has answered a request back into its initial state. It cannot be where its memory has grown, or
    /// where instances of this module have other state.
    pub fn restore(&self, instance: &mut Instance) -> wasmtime::Result<bool> {
        let Some(initial) = self.initial.as_ref().filter(|_| self.new_because.is_none()) else {
            return Ok(false);
        };
        let Some(marks) = instance.marks else { return Ok(false) };
        if instance.store.data().is_allocating()
            || instance.memory.data_size(&instance.store) != initial.memory.len()
        {
            return Ok(false);
        }
        initial.restore(instance, marks)?;
        instance.store.data_mut().renew(instance.allowance);
        instance.store.set_epoch_deadline(1);
        Ok(true)
    }

    /// The initial state, from an instance that prepares itself.
    fn prepare(&self) -> wasmtime::Result<Initial> {
        // A guest that computes for ever must not stop the start.
        engine::run_within(self.pre.module().engine(), self.template.sandbox().time(), async {
            let mut instance = self.unprepared().await?;
            instance.handler()?;
            let globals = instance.find_globals(&self.exports)?;
            let values = |instance: &mut Instance| {
                globals.iter().map(|global| global.get(&mut instance.store)).collect::<Vec<_>>()
            };
            let unprepared: Box<[u8]> = instance.memory.data(&instance.store).into();
            let unprepared_globals = values(&mut instance);
            if let Some(prepare) = &self.exports.prepare {
                let prepare = export(&instance.linked, &mut instance.store, prepare)?;
                let prepare = function::<(), ()>(prepare, &instance.store, PREPARE)?;
                prepare.call_async(&mut instance.store, ()).await?;
            }
            let place = match &self.exports.exchange {
                Some([_, realloc]) => {
                    let realloc = export(&instance.linked, &mut instance.store, realloc)?;
                    let realloc = function(realloc, &instance.store, "cabi_realloc")?;
                    Some(exchange::allocate(&mut instance.store, &realloc).await?)
                }
                None => None,
            };
            let memory: Box<[u8]> = instance.memory.data(&instance.store).into();
            if memory.len() > unprepared.len().max(MAX_PREPARED_BYTES) {
                let max = MAX_PREPARED_BYTES / 1024;
                bail!("its `{PREPARE}` has grown the memory beyond {max} KiB");
            }
            if !instance.state().resources().is_empty() {
                bail!("its `{PREPARE}` has left a handle");
            }
            let changed = changed(&unprepared, &memory);
            let globals = values(&mut instance);
            let both = self.exports.globals.iter().zip(globals.iter().zip(&unprepared_globals));
            let changed_globals = both.filter(|(_, (after, before))| !is_same(after, before));
            let changed_globals = changed_globals.map(|(global, (after, _))| (*global, *after)).collect();
            Ok(Initial { memory, globals, changed_globals, place, changed })
        })
    }
}

/// An export of an instance.
fn export(
    instance: &wasmtime::Instance,
    store: &mut Store<Core>,
    export: &ModuleExport,
) -> wasmtime::Result<Extern> {
    instance.get_module_export(store, export).ok_or_else(|| format_err!("an export is missing"))
}

/// A function of this name and type.
fn function<P: WasmParams, Q: WasmResults>(
    export: Extern,
    store: &Store<Core>,
    name: &str,
) -> wasmtime::Result<TypedFunc<P, Q>> {
    let Some(function) = export.into_func() else { bail!("its `{name}` is no function") };
    function.typed(store).with_context(|| format!("its `{name}` has another type"))
}

/// How a component's main module is to be linked.
pub(super) struct Plan {
    rewritten: Vec<u8>,
    shape: Shape,
    /// The mutable globals.
    globals: Vec<u32>,
    /// Why its instances cannot be restored; `None` if they can.
    pub(super) unrestorable: Option<String>,
}

impl Plan {
    /// Plans to link a component to these functions, or says why it does not fit.
    pub(super) fn new(component: &[u8], functions: &Functions, renewal: Renewal) -> Result<Self, String> {
        let shape = shape(component).map_err(|misfit| misfit.to_string())?;
        let module = component.get(shape.main.clone()).unwrap_or_default();
        let (globals, unrestorable) = match restorable(module) {
            Ok(restorable) => (
                mutable_globals(&restorable),
                too_large(restorable.memory_pages.saturating_mul(PAGE_OF_WASM)),
            ),
            Err(why) => (Vec::new(), Some(why.to_string())),
        };
        let imports = imports(&shape, functions)?;
        let marks = unrestorable.is_none() && renewal == Renewal::Restored;
        let additions = Additions { globals: &globals, marks };
        let rewritten = rewrite(module, &imports, shape.realloc.as_deref(), additions);
        let rewritten = rewritten.map_err(|error| error.to_string())?;
        Ok(Self { rewritten, shape, globals, unrestorable })
    }
}

impl Exports {
    fn of(module: &wasmtime::Module, shape: &Shape, globals: &[u32]) -> Result<Self, String> {
        let export = |name: &str| {
            module.get_export_index(name).ok_or_else(|| format!("its core module does not export `{name}`"))
        };
        Ok(Self {
            handle: export(&shape.handle)?,
            memory: export(&shape.memory)?,
            prepare: module.get_export_index(PREPARE),
            exchange: module
                .get_export_index(ANSWER)
                .zip(shape.realloc.as_ref().and_then(|realloc| module.get_export_index(realloc)))
                .map(|(answer, realloc)| [answer, realloc]),
            globals: globals
                .iter()
                .map(|&global| export(&global_export(global)))
                .collect::<Result<_, _>>()?,
            marks: module.get_export_index(&marks::export()),
        })
    }
}

/// The names of a module's imports, as they are linked here.
fn imports<'a>(shape: &'a Shape, functions: &'a Functions) -> Result<Vec<RewrittenImport<'a>>, String> {
    let rewritten = shape.imports.iter().map(|import| {
        let found = match &import.function {
            Function::Lowered(name) => functions.find(&import.interface, name),
            Function::Drop(resource) => functions.find_drop(resource),
        };
        found.ok_or_else(|| match &import.function {
            Function::Lowered(name) => format!("it imports {} of {}", name, import.interface),
            Function::Drop(resource) => format!("it imports the resource {resource} of {}", import.interface),
        })
    });
    rewritten.collect()
}

fn mutable_globals(restorable: &Restorable) -> Vec<u32> {
    restorable.mutable_globals.iter().map(|(index, _)| *index).collect()
}

/// Why a memory of so many bytes is too large to be restored; `None` if it is not.
fn too_large(bytes: u64) -> Option<String> {
    let (kib, max) = (bytes / 1024, MAX_RESTORED_BYTES / 1024);
    (bytes > MAX_RESTORED_BYTES as u64).then(|| format!("its memory of {kib} KiB is larger than {max} KiB"))
}

impl Initial {
    /// Writes what the preparation has changed into a new instance: the size and parts of the memory, and globals.
    async fn apply(&self, instance: &mut Instance) -> wasmtime::Result<()> {
        let grown = self.memory.len().saturating_sub(instance.memory.data_size(&instance.store));
        if grown > 0 {
            let pages = grown as u64 / instance.memory.page_size(&instance.store);
            instance.memory.grow_async(&mut instance.store, pages).await?;
        }
        let memory = instance.memory.data_mut(&mut instance.store);
        for range in &self.changed {
            if let (Some(to), Some(from)) = (memory.get_mut(range.clone()), self.memory.get(range.clone())) {
                to.copy_from_slice(from);
            }
        }
        for (global, value) in &self.changed_globals {
            instance.find_global(global)?.set(&mut instance.store, *value)?;
        }
        Ok(())
    }

    /// Writes back what was written to.
    fn restore(&self, instance: &mut Instance, marks: Memory) -> wasmtime::Result<()> {
        let (marks, core) = marks.data_and_store_mut(&mut instance.store);
        let blocks = self.memory.len().div_ceil(marks::BLOCK_BYTES);
        let mut written = mem::take(core.written());
        written.take(marks.get_mut(..blocks).unwrap_or_default());
        let memory = instance.memory.data_mut(&mut instance.store);
        for range in written.ranges(memory.len()) {
            if let (Some(to), Some(from)) = (memory.get_mut(range.clone()), self.memory.get(range)) {
                to.copy_from_slice(from);
            }
        }
        debug_assert!(*memory == *self.memory, "all that was written to is written back");
        for (global, value) in instance.globals.iter().zip(&self.globals) {
            global.set(&mut instance.store, *value)?;
        }
        Ok(())
    }
}

/// Whether two values of a global are the same, bit by bit. References are taken for different ones.
fn is_same(one: &Val, other: &Val) -> bool {
    match (one, other) {
        (Val::I32(one), Val::I32(other)) => one == other,
        (Val::I64(one), Val::I64(other)) => one == other,
        (Val::F64(one), Val::F64(other)) => one == other,
        (Val::F32(one), Val::F32(other)) => one == other,
        (Val::V128(one), Val::V128(other)) => one == other,
        _ => false,
    }
}

/// The parts of a memory that differ; `after` may be longer, and what was not there before was zero.
fn changed(before: &[u8], after: &[u8]) -> Vec<Range<usize>> {
    const NEW: &[u8] = &[0; COMPARED_BYTES];
    let before = before.chunks(COMPARED_BYTES).chain(std::iter::repeat(NEW));
    let mut changed: Vec<Range<usize>> = Vec::new();
    for (at, (before, after)) in before.zip(after.chunks(COMPARED_BYTES)).enumerate() {
        let start = at * COMPARED_BYTES;
        match changed.last_mut() {
            _ if before == after => {}
            Some(last) if last.end == start => last.end += after.len(),
            _ => changed.push(start..start + after.len()),
        }
    }
    changed
}

impl Instance {
    /// What the host keeps for it.
    pub fn state(&mut self) -> &mut State {
        &mut self.store.data_mut().state
    }

    /// Has it answer a request.
    pub async fn handle(
        &mut self,
        request: &Resource<HostIncomingRequest>,
        outparam: &Resource<HostResponseOutparam>,
    ) -> wasmtime::Result<()> {
        let handles = (handle(request)?, handle(outparam)?);
        self.handler()?.call_async(&mut self.store, handles).await
    }

    fn handler(&mut self) -> wasmtime::Result<Handler> {
        let (place, handler) = &mut self.handle;
        Ok(match handler {
            Some(handler) => handler.clone(),
            none => {
                let found = export(&self.linked, &mut self.store, place)?;
                none.insert(function(found, &self.store, "the handler")?).clone()
            }
        })
    }

    fn find_global(&mut self, global: &ModuleExport) -> wasmtime::Result<Global> {
        let Extern::Global(global) = export(&self.linked, &mut self.store, global)? else {
            bail!("a global is something else");
        };
        Ok(global)
    }

    fn find_globals(&mut self, exports: &Exports) -> wasmtime::Result<Vec<Global>> {
        exports.globals.iter().map(|global| self.find_global(global)).collect()
    }

    /// Writes the head of a request into its memory; `None` if it takes none, or not this one.
    pub fn write_head(&mut self, request: &request::Parts) -> wasmtime::Result<Option<WrittenHead>> {
        let Some((function, place)) = self.exchange.as_ref().zip(self.place) else { return Ok(None) };
        let length = exchange::write_head(self.memory, &mut self.store, place, request)?;
        Ok(length.map(|length| WrittenHead { function: function.clone(), place, length }))
    }

    /// Has it answer that request as bytes in its memory; `None` where the [handler](Self::handle) has to be called. It can answer no other
    /// request before it is restored.
    pub async fn exchange(&mut self, head: WrittenHead) -> wasmtime::Result<Option<Box<Response<Outgoing>>>> {
        let WrittenHead { function, place, length } = head;
        match function.call_async(&mut self.store, (place, length)).await? {
            0 => Ok(None),
            answer => exchange::read_answer(self.memory, &mut self.store, answer),
        }
    }

    /// What a guest can find of earlier requests: its memory, its mutable globals, and its handles, of which this says only
    /// whether there are none.
    #[cfg(test)]
    pub fn contents(&mut self) -> (Vec<u8>, Vec<String>, bool) {
        let memory = self.memory.data(&self.store).to_vec();
        let globals = self.globals.iter().map(|global| format!("{:?}", global.get(&mut self.store)));
        (memory, globals.collect(), self.store.data().state.resources().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::{COMPARED_BYTES, changed, is_same};
    use proptest::prelude::*;
    use wasmtime::Val;

    proptest! {
        #[test]
        fn what_has_changed_makes_one_memory_of_the_other(
            before in prop::collection::vec(0..2_u8, 0..2_000),
            changes in prop::collection::vec((0..3_000_usize, any::<u8>()), 0..6),
            grown in 0..1_000_usize,
        ) {
            let mut after = before.clone();
            after.resize(before.len() + grown, 0);
            for (at, value) in changes {
                if let Some(byte) = after.get_mut(at) {
                    *byte = value;
                }
            }
            let mut made = before.clone();
            made.resize(after.len(), 0);
            let mut end = None;
            for range in changed(&before, &after) {
                prop_assert!(end.is_none_or(|end| range.start > end), "adjacent parts are one");
                end = Some(range.end);
                made[range.clone()].copy_from_slice(&after[range]);
            }
            prop_assert_eq!(made, after);
        }
    }

    #[test]
    fn what_has_not_changed_is_not_copied() {
        let mut after = vec![0; 4 * COMPARED_BYTES];
        after[COMPARED_BYTES] = 1;
        let changed = changed(&[], &after);
        assert_eq!(changed.len(), 1);
        assert_eq!(changed[0], COMPARED_BYTES..2 * COMPARED_BYTES);
    }

    #[test]
    fn globals_are_compared_bit_by_bit() {
        let nan = Val::F64(f64::NAN.to_bits());
        assert!(is_same(&nan, &nan) && is_same(&Val::I32(-1), &Val::I32(-1)));
        assert!(!is_same(&Val::F32(0.0_f32.to_bits()), &Val::F32((-0.0_f32).to_bits())));
        assert!(!is_same(&Val::I32(0), &Val::I64(0)));
    }
}
