//! The interfaces and functions of a component in WIT.

use crate::component::Guest;
use crate::component::anatomy::Layer;
use crate::report::text::printable;
use anyhow::{Context as _, Result, bail};
use wit_printer::{DecodedWasm, WitPrinter, decode};

/// The WIT of a component: its world, and the packages that the world names.
pub(super) fn of(guest: &Guest) -> Result<String> {
    let name = guest.name();
    if guest.anatomy.layer == Layer::Module {
        let remedy = guest.kind.remedy().unwrap_or_default();
        bail!("{name} is a core module, which has no interfaces; {remedy}");
    }
    let decoded =
        decode(&guest.bytes).with_context(|| format!("the interfaces of {name} cannot be decoded"))?;
    let package = decoded.package();
    let resolve = match &decoded {
        DecodedWasm::Component(resolve, _) | DecodedWasm::WitPackage(resolve, _) => resolve,
    };
    let others: Vec<_> = resolve.packages.iter().map(|(id, _)| id).filter(|&id| id != package).collect();
    let mut printer = WitPrinter::default();
    printer
        .print(resolve, package, &others)
        .with_context(|| format!("the WIT of {name} cannot be printed"))?;
    // A component may carry documentation, and that is any text.
    let lines = printer.output.to_string();
    Ok(lines.lines().map(|line| printable(line.as_bytes()) + "\n").collect())
}
