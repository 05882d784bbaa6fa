//! What the host keeps for one core instance, and a guest's call to the host.

use super::lowering::{Lower, Out, Pending};
use super::memory::R;
use super::written::Written;
use crate::instance::State;
use crate::sandbox::Allowance;
use wasmtime::{Caller, Memory, bail};

/// What the host keeps for one core instance.
pub struct Core {
    /// What it keeps for any instance.
    pub state: State,
    memory: Option<Memory>,
    pending: Pending,
}

impl Core {
    /// For an instance that is yet to be made.
    pub(super) fn new(state: State) -> Self {
        Self { state, memory: None, pending: Pending::default() }
    }

    /// The instance was made, and has this memory.
    pub(super) fn set_memory(&mut self, memory: Memory) {
        self.memory = Some(memory);
    }

    /// The instance is in its initial state, and may still grow by this. So is what the host keeps for it from here on.
    pub(super) fn renew(&mut self, may_grow: Allowance) {
        self.state.renew(may_grow);
        self.pending.clear();
    }

    /// Where the host has written to the memory since the instance was in its initial state.
    pub(super) fn written(&mut self) -> &mut Written {
        &mut self.pending.written
    }

    /// Whether the guest is allocating memory for the host.
    pub(super) fn is_allocating(&self) -> bool {
        self.pending.is_active()
    }
}

/// A guest's call to the host.
pub(super) type Call<'a> = Caller<'a, Core>;

/// What calls do with their caller.
pub(super) trait CallExt {
    /// The guest's memory, to be read, and the host's state. A guest may not call while it allocates memory for the host (component
    /// model, `may_leave`).
    fn enter(&mut self) -> R<(&[u8], &mut State)>;

    /// The host's state.
    fn state(&mut self) -> R<&mut State>;

    /// Stores a result, which allocates nothing, at the address that the guest wants it at.
    fn store<T: Lower>(&mut self, address: u32, value: T) -> R<()>;

    /// Stores a result, and asks the guest for the memory that its lists and strings need.
    fn allocate<T: Lower>(&mut self, address: u32, value: T) -> R<i64>;

    /// The guest has allocated what it was asked for; asks it for the rest.
    fn next(&mut self, address: u32) -> R<i64>;
}

impl CallExt for Call<'_> {
    #[inline]
    fn enter(&mut self) -> R<(&[u8], &mut State)> {
        let (memory, core) = split(self)?;
        may_leave(core)?;
        Ok((memory, &mut core.state))
    }

    #[inline]
    fn state(&mut self) -> R<&mut State> {
        let core = self.data_mut();
        may_leave(core)?;
        Ok(&mut core.state)
    }

    fn store<T: Lower>(&mut self, address: u32, value: T) -> R<()> {
        let (memory, core) = split(self)?;
        Out::store(memory, &mut core.pending, address, value)?;
        debug_assert!(core.pending.is_empty(), "a result with lists or strings is allocated");
        Ok(())
    }

    fn allocate<T: Lower>(&mut self, address: u32, value: T) -> R<i64> {
        let (memory, core) = split(self)?;
        Out::store(memory, &mut core.pending, address, value)?;
        core.pending.ask(memory)
    }

    fn next(&mut self, address: u32) -> R<i64> {
        let (memory, core) = split(self)?;
        core.pending.fulfil(memory, address)?;
        core.pending.ask(memory)
    }
}

#[inline]
fn split<'a>(call: &'a mut Call<'_>) -> R<(&'a mut [u8], &'a mut Core)> {
    let Some(memory) = call.data().memory else { bail!("the instance has no memory yet") };
    Ok(memory.data_and_store_mut(call))
}

#[inline]
fn may_leave(core: &Core) -> R<()> {
    if core.pending.is_active() {
        bail!("cannot leave component instance");
    }
    Ok(())
}
