//! Single functions of WASI: which of them this host has, and which are judged otherwise than their interface.

use super::knowledge::Verdict;
use crate::component::Purpose;
use crate::component::interface::InterfaceName;
use crate::config::grants::Grants;

/// Every function of the interfaces in `wit/`, a line each: see `guest_builder::world::functions`.
const FUNCTIONS: &str = include_str!(concat!(env!("OUT_DIR"), "/functions.txt"));

/// Those of an interface's functions that this host does not have.
pub(super) fn unknown<'a>(interface: &InterfaceName<'_>, functions: &'a [String]) -> Vec<&'a str> {
    let InterfaceName { package, interface: name, .. } = interface;
    let start = format!("{package}/{name}@{} ", interface.edition().version());
    let known: Vec<_> = FUNCTIONS.lines().filter_map(|line| line.strip_prefix(&start)).collect();
    functions.iter().map(String::as_str).filter(|function| !known.contains(function)).collect()
}

/// Why a function is refused, where it takes more than its interface does.
pub(super) fn refused(
    interface: &InterfaceName<'_>,
    function: &str,
    purpose: Purpose,
    grants: &Grants,
) -> Option<Verdict> {
    let refused = |note: &str, flag| Some(Verdict::Refused { note: note.to_owned(), flag });
    let (resource, method) = method(function)?;
    match (interface.package, resource) {
        ("wasi:filesystem", "descriptor") if writes(method) && grants.scratch.is_none() => {
            refused("directories are read-only", Some("--scratch MIB"))
        }
        ("wasi:sockets", "tcp-socket") if listens(method) => match purpose {
            Purpose::Serve => refused("only commands may listen", None),
            Purpose::Run if grants.network.listen.is_empty() => {
                refused("it may listen nowhere", Some("--allow-tcp-listen HOST:PORT"))
            }
            Purpose::Run => None,
        },
        ("wasi:sockets", "tcp-socket") if connects(method) && grants.network.connect.is_empty() => {
            refused("it may connect nowhere", Some("--allow-tcp-connect HOST[:PORT]"))
        }
        ("wasi:sockets", "udp-socket") => refused("no guest has datagrams", None),
        _ => None,
    }
}

/// The resource and the name of a method or of a static function, such as `[method]descriptor.write`.
fn method(function: &str) -> Option<(&str, &str)> {
    let (_, path) = function.strip_prefix('[')?.split_once(']')?;
    path.split_once('.')
}

/// Whether a method of a descriptor writes, which only scratch directories allow.
fn writes(method: &str) -> bool {
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
    WRITE.contains(&method)
}

/// Whether a method of a TCP socket listens, in WASI 0.2 or in 0.3.
fn listens(method: &str) -> bool {
    ["start-listen", "finish-listen", "accept", "listen"].contains(&method)
}

/// Whether a method of a TCP socket connects, in WASI 0.2 or in 0.3.
fn connects(method: &str) -> bool {
    ["start-connect", "finish-connect", "connect"].contains(&method)
}

#[cfg(test)]
mod tests {
    use super::{refused, unknown};
    use crate::component::BUILT_IN;
    use crate::component::Purpose;
    use crate::component::anatomy::Anatomy;
    use crate::component::interface::InterfaceName;
    use crate::config::grants::Grants;

    #[test]
    fn the_built_in_guest_uses_known_functions_and_writes_nothing() {
        for import in Anatomy::of(&BUILT_IN).unwrap().imports {
            let name = InterfaceName::parse(&import.name).unwrap();
            assert_eq!(unknown(&name, &import.functions), Vec::<&str>::new(), "{}", import.name);
            for function in &import.functions {
                assert_eq!(refused(&name, function, Purpose::Serve, &Grants::default()), None, "{function}");
            }
        }
    }

    #[test]
    fn a_function_that_is_not_there_is_found() {
        let name = InterfaceName::parse("wasi:http/types@0.2.99").unwrap();
        let functions = ["[method]fields.get", "[method]fields.teleport"].map(str::to_owned);
        assert_eq!(unknown(&name, &functions), ["[method]fields.teleport"]);
    }

    #[test]
    fn versions_of_wasi_have_functions_of_their_own() {
        let name = InterfaceName::parse("wasi:http/types@0.3.0").unwrap();
        let functions = ["[method]incoming-request.path-with-query".to_owned()];
        assert_eq!(unknown(&name, &functions), ["[method]incoming-request.path-with-query"]);
    }
}
