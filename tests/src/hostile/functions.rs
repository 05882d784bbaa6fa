//! The functions of WASI that the direct path has, with their types, read from the WIT files.

use crate::guests::resolve;
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Handle, InterfaceId, Resolve, Type, TypeDefKind, TypeId};

/// The interfaces.
const INTERFACES: [&str; 17] = [
    "wasi:cli/environment@0.2.12",
    "wasi:cli/exit@0.2.12",
    "wasi:cli/stderr@0.2.12",
    "wasi:cli/stdin@0.2.12",
    "wasi:cli/stdout@0.2.12",
    "wasi:clocks/monotonic-clock@0.2.12",
    "wasi:clocks/wall-clock@0.2.12",
    "wasi:filesystem/preopens@0.2.12",
    "wasi:filesystem/types@0.2.12",
    "wasi:http/outgoing-handler@0.2.12",
    "wasi:http/types@0.2.12",
    "wasi:io/error@0.2.12",
    "wasi:io/poll@0.2.12",
    "wasi:io/streams@0.2.12",
    "wasi:random/insecure-seed@0.2.12",
    "wasi:random/insecure@0.2.12",
    "wasi:random/random@0.2.12",
];

/// Functions of these interfaces that only the component runtime has: a component that imports one is run by that.
pub const ONLY_BY_RUNTIME: [&str; 12] = [
    "[method]descriptor.advise",
    "[method]descriptor.link-at",
    "[method]descriptor.rename-at",
    "[method]descriptor.set-times",
    "[method]descriptor.set-times-at",
    "[method]descriptor.symlink-at",
    "[method]descriptor.sync",
    "[method]descriptor.sync-data",
    "[method]descriptor.write",
    "[method]response-outparam.send-informational",
    "[static]response-outparam.send-informational",
    "exit-with-code",
];

/// A function as a core module imports it.
#[derive(Clone, Debug)]
pub struct Function {
    /// The interface.
    pub module: String,
    /// The name.
    pub name: String,
    /// Its core parameters, without the address of the result.
    pub parameters: Vec<WasmType>,
    /// Its core result.
    pub result: Option<WasmType>,
    /// Whether the last parameter is the address of the result.
    pub has_return_pointer: bool,
    /// Its parameters.
    pub types: Vec<Shape>,
}

/// A type, as far as hostile values of it differ.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A number, of which any bits may be set.
    Number,
    /// A string.
    Text,
    /// A list of bytes.
    Bytes,
    /// A list of elements of this size.
    List(u32),
    /// A resource of this name.
    Handle(String),
    /// A variant, with what its cases carry.
    Variant(Vec<Option<Shape>>),
    /// Values one after another.
    Tuple(Vec<Shape>),
}

impl Shape {
    /// The number of core values.
    pub fn width(&self) -> usize {
        match self {
            Self::Number | Self::Handle(_) => 1,
            Self::Text | Self::Bytes | Self::List(_) => 2,
            Self::Variant(cases) => 1 + cases.iter().flatten().map(Self::width).max().unwrap_or(0),
            Self::Tuple(fields) => fields.iter().map(Self::width).sum(),
        }
    }

    fn of(resolve: &Resolve, ty: Type) -> Self {
        match ty {
            Type::String => Self::Text,
            Type::Id(id) => Self::of_id(resolve, id),
            _ => Self::Number,
        }
    }

    fn of_id(resolve: &Resolve, id: TypeId) -> Self {
        let of = |ty: &Type| Self::of(resolve, *ty);
        match &resolve.types[id].kind {
            TypeDefKind::Type(ty) => of(ty),
            TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) => {
                Self::Handle(resource_name(resolve, *id))
            }
            TypeDefKind::List(Type::U8) => Self::Bytes,
            TypeDefKind::List(ty) => match of(ty) {
                Self::Tuple(_) => Self::List(16),
                Self::Bytes => Self::List(8),
                _ => Self::List(4),
            },
            TypeDefKind::Flags(_) => Self::Number,
            TypeDefKind::Record(record) => {
                Self::Tuple(record.fields.iter().map(|field| of(&field.ty)).collect())
            }
            TypeDefKind::Tuple(tuple) => Self::Tuple(tuple.types.iter().map(of).collect()),
            TypeDefKind::Enum(cases) => Self::Variant(vec![None; cases.cases.len()]),
            TypeDefKind::Option(ty) => Self::Variant(vec![None, Some(of(ty))]),
            TypeDefKind::Result(result) => {
                Self::Variant([&result.ok, &result.err].map(|ty| ty.as_ref().map(of)).to_vec())
            }
            TypeDefKind::Variant(variant) => {
                Self::Variant(variant.cases.iter().map(|case| case.ty.as_ref().map(of)).collect())
            }
            other => panic!("a parameter of type {}", other.as_str()),
        }
    }
}

/// The name of a resource, which may be used under others.
fn resource_name(resolve: &Resolve, mut id: TypeId) -> String {
    while let TypeDefKind::Type(Type::Id(other)) = resolve.types[id].kind {
        id = other;
    }
    resolve.types[id].name.clone().unwrap()
}

/// All of them, in the order of their names.
pub fn functions() -> Vec<Function> {
    let resolve = resolve();
    let mut functions = Vec::new();
    for (id, _) in &resolve.interfaces {
        let Some(module) = resolve.id_of(id) else { continue };
        if INTERFACES.contains(&module.as_str()) {
            add(&mut functions, &resolve, id, &module);
        }
    }
    functions.retain(|function| !ONLY_BY_RUNTIME.contains(&function.name.as_str()));
    functions.sort_by(|a, b| (&a.module, &a.name).cmp(&(&b.module, &b.name)));
    functions
}

fn add(functions: &mut Vec<Function>, resolve: &Resolve, interface: InterfaceId, module: &str) {
    let interface = &resolve.interfaces[interface];
    for (name, function) in &interface.functions {
        let signature = resolve.wasm_signature(AbiVariant::GuestImport, function);
        assert!(!signature.indirect_params, "{name}");
        let mut parameters = signature.params;
        if signature.retptr {
            parameters.pop();
        }
        functions.push(Function {
            module: module.to_owned(),
            name: name.clone(),
            parameters,
            result: signature.results.first().copied(),
            has_return_pointer: signature.retptr,
            types: function.params.iter().map(|param| Shape::of(resolve, param.ty)).collect(),
        });
    }
    for (name, id) in &interface.types {
        if let TypeDefKind::Resource = resolve.types[*id].kind {
            functions.push(Function {
                module: module.to_owned(),
                name: format!("[resource-drop]{name}"),
                parameters: vec![WasmType::I32],
                result: None,
                has_return_pointer: false,
                types: vec![Shape::Handle(name.clone())],
            });
        }
    }
}
