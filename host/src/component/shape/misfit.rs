//! Why a component runs on the component runtime and not on the direct path.

use crate::component::interface::IMPLEMENTED;

/// The reason that a component does not fit the direct path. As text it continues "it runs on the component runtime: …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The binary cannot be parsed.
    #[error("it is malformed: {0}")]
    Malformed(String),
    /// The binary is a core module.
    #[error("it is not a component")]
    NotAComponent,
    /// An index is out of range.
    #[error("it refers to the {what} {index}, which does not exist")]
    Index {
        /// The index space.
        what: &'static str,
        /// The index.
        index: u32,
    },
    /// An instance or module lacks an export that something refers to.
    #[error("it refers to the export `{0}`, which does not exist")]
    Missing(String),
    /// A feature of components that the evaluation does not know.
    #[error("it has {0}, which the direct path does not know")]
    Unknown(&'static str),
    /// An import at the top level is a function, type, module or component.
    #[error("the import `{0}` is not an instance")]
    ImportKind(String),
    /// An imported interface is not one of WASI 0.2.
    #[error("the import `{0}` is not an interface of a release of WASI 0.2")]
    Edition(String),
    /// An imported or exported interface is newer than the host.
    #[error("`{0}` is newer than WASI {IMPLEMENTED}, which this version implements")]
    Newer(String),
    /// The component defines resource types.
    #[error("it has resources of its own")]
    OwnResources,
    /// The component has a start function.
    #[error("it has a start function")]
    Start,
    /// It uses a canonical function other than `lift`, `lower` and `resource.drop`.
    #[error("it uses the canonical function {0}")]
    Canonical(String),
    /// It lowers a function that is not an import.
    #[error("it lowers a function of its own")]
    OwnLowered,
    /// It drops handles of a resource type that is not an import.
    #[error("it drops a resource that is not an export of an imported instance")]
    OwnDropped,
    /// An import is lowered with an option that the direct path does not have.
    #[error("the import `{function}` is lowered with {option}")]
    Lowered {
        /// Interface and function.
        function: String,
        /// The option.
        option: &'static str,
    },
    /// The handler is lifted with an option that the direct path does not have.
    #[error("the handler is lifted with {0}")]
    Lifted(&'static str),
    /// Memory is allocated by more than one function.
    #[error("it allocates with both `{0}` and `{1}`")]
    Reallocs(String, String),
    /// It exports no handler of HTTP requests.
    #[error("it does not export wasi:http/incoming-handler@0.2.x")]
    NoHandler,
    /// It exports something that is not the handler.
    #[error("it exports `{0}` besides the handler")]
    OtherExport(String),
    /// The exported handler is not an instance with one function, `handle`, which is lifted.
    #[error("its export `{0}` is not an instance with one lifted function `handle`")]
    Handler(String),
    /// It lifts a function that is not the handler.
    #[error("it lifts a function besides the handler")]
    OtherLifted,
    /// The lifted function is not an export of a core module.
    #[error("its handler is not a function of a core module")]
    HandlerOrigin,
    /// A nested component does more than passing functions on.
    #[error("a nested component has {0}")]
    Nested(&'static str),
    /// There are more core modules than the direct path can replace.
    #[error("it has a core module besides main, shim and fixup")]
    OtherModule,
    /// A module has more than one instance.
    #[error("it instantiates a core module twice")]
    Twice,
    /// The main module has something that the direct path does not support.
    #[error("its main module {0}")]
    Main(&'static str),
    /// A module that exports a table does more than calling through it.
    #[error("its shim module {0}")]
    Shim(&'static str),
    /// A module without code does more than filling the table of the shim.
    #[error("its fixup module {0}")]
    Fixup(&'static str),
    /// An import of the main module is not exactly a function of the host.
    #[error("the main module's import `{import}` {why}")]
    Unresolved {
        /// Module and name of the import.
        import: String,
        /// What it is instead.
        why: &'static str,
    },
}

impl From<wasmparser::Error> for Misfit {
    fn from(error: wasmparser::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}
