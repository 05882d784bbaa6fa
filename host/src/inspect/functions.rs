//! The functions of WASI 0.2 that this host has.

use crate::component::interface::InterfaceName;

/// Every function of the interfaces in `wit/`, a line each: see `guest_builder::world::functions`.
const FUNCTIONS: &str = include_str!(concat!(env!("OUT_DIR"), "/functions.txt"));

/// Those of an interface's functions that this host does not have.
pub(super) fn unknown<'a>(interface: &InterfaceName<'_>, functions: &'a [String]) -> Vec<&'a str> {
    let start = format!("{}/{} ", interface.package, interface.interface);
    let known: Vec<_> = FUNCTIONS.lines().filter_map(|line| line.strip_prefix(&start)).collect();
    functions.iter().map(String::as_str).filter(|function| !known.contains(function)).collect()
}

/// Those of the functions of `wasi:filesystem/types` that write, and are refused whatever the flags.
pub(super) fn writing(functions: &[String]) -> Vec<&str> {
    const WRITE: [&str; 12] = [
        "append-via-stream",
        "create-directory-at",
        "link-at",
        "remove-directory-at",
        "rename-at",
        "set-size",
        "set-times",
        "set-times-at",
        "symlink-at",
        "unlink-file-at",
        "write",
        "write-via-stream",
    ];
    let writes = |function: &&str| {
        function.strip_prefix("[method]descriptor.").is_some_and(|method| WRITE.contains(&method))
    };
    functions.iter().map(String::as_str).filter(writes).collect()
}

#[cfg(test)]
mod tests {
    use super::{unknown, writing};
    use crate::component::BUILT_IN;
    use crate::component::anatomy::Anatomy;
    use crate::component::interface::InterfaceName;

    #[test]
    fn the_built_in_guest_uses_known_functions_and_writes_nothing() {
        for import in Anatomy::of(BUILT_IN).unwrap().imports {
            let name = InterfaceName::parse(&import.name).unwrap();
            assert_eq!(unknown(&name, &import.functions), Vec::<&str>::new(), "{}", import.name);
            assert_eq!(writing(&import.functions), Vec::<&str>::new());
        }
    }

    #[test]
    fn a_function_that_is_not_there_is_found() {
        let name = InterfaceName::parse("wasi:http/types@0.2.99").unwrap();
        let functions = ["[method]fields.get", "[method]fields.teleport"].map(str::to_owned);
        assert_eq!(unknown(&name, &functions), ["[method]fields.teleport"]);
    }
}
