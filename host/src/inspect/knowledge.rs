//! What a guest can do with each interface of WASI, and whether the host would grant it.
//!
//! Interfaces of the same name in 0.2 and in 0.3 are different ones, with functions of their own.

use super::functions;
use crate::component::Purpose;
use crate::component::anatomy::Import;
use crate::component::interface::{Edition, IMPLEMENTED, IMPLEMENTED_V03, InterfaceName};
use crate::config::grants::{Grants, SCRATCH};
use crate::link::proposals;
use semver::Version;
use serde::Serialize;
use std::fmt;

/// Whether an import would work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// It works, within the limits of the note.
    Granted {
        /// What the guest is given.
        note: String,
    },
    /// The guest starts, and each call fails.
    Refused {
        /// What the guest is not given.
        note: String,
        /// The flag that grants it; `None` if no flag does.
        flag: Option<&'static str>,
    },
    /// The host does not have it, so the guest cannot start.
    Lacking {
        /// Why.
        note: String,
    },
}

/// The kind of access that an interface gives.
#[derive(Clone, Copy)]
enum Topic {
    /// Always granted, with this note.
    Free(&'static str),
    Environment,
    Input,
    Output,
    Files,
    Requests,
    Behind,
    Tcp,
    Names,
    Udp,
    Configuration,
    Stores,
}

impl Topic {
    /// The versions of an interface that is no part of a release.
    fn versions(self) -> &'static [&'static str] {
        match self {
            Self::Configuration => &proposals::config::VERSIONS,
            Self::Stores => &[proposals::keyvalue::VERSION],
            _ => &[],
        }
    }
}

/// The versions of WASI that have an interface.
#[derive(Clone, Copy)]
enum In {
    /// 0.2 only.
    V02,
    /// 0.3 only.
    V03,
    /// Both.
    Both,
}

impl In {
    fn has(self, edition: Edition) -> bool {
        match self {
            Self::V02 => edition == Edition::V02,
            Self::V03 => edition == Edition::V03,
            Self::Both => edition == Edition::V02 || edition == Edition::V03,
        }
    }
}

/// The interfaces of WASI that this host has or will have: versions, package, interface, what a guest can do with it, and
/// the access it gives.
const INTERFACES: &[(In, &str, &str, &str, Topic)] = &[
    (
        In::Both,
        "wasi:cli",
        "environment",
        "read its arguments and the variables of its environment",
        Topic::Environment,
    ),
    (In::Both, "wasi:cli", "exit", "end itself with an exit status", Topic::Free("")),
    (In::Both, "wasi:cli", "stdin", "read standard input", Topic::Input),
    (In::Both, "wasi:cli", "stdout", "write to standard output", Topic::Output),
    (In::Both, "wasi:cli", "stderr", "write to standard error", Topic::Output),
    (In::Both, "wasi:cli", "terminal-input", "know a terminal that it reads from", Topic::Free("")),
    (In::Both, "wasi:cli", "terminal-output", "know a terminal that it writes to", Topic::Free("")),
    (In::Both, "wasi:cli", "terminal-stdin", "learn whether standard input is a terminal", Topic::Free("")),
    (In::Both, "wasi:cli", "terminal-stdout", "learn whether standard output is a terminal", Topic::Free("")),
    (In::Both, "wasi:cli", "terminal-stderr", "learn whether standard error is a terminal", Topic::Free("")),
    (In::V03, "wasi:cli", "types", "learn what went wrong with a standard stream", Topic::Free("")),
    (In::Both, "wasi:clocks", "monotonic-clock", "measure time, and wait", Topic::Free("")),
    (In::V02, "wasi:clocks", "wall-clock", "learn the time of day", Topic::Free("")),
    (In::V03, "wasi:clocks", "system-clock", "learn the time of day", Topic::Free("")),
    (In::V03, "wasi:clocks", "types", "name lengths of time", Topic::Free("")),
    (In::Both, "wasi:filesystem", "preopens", "find the directories that it is given", Topic::Files),
    (
        In::Both,
        "wasi:filesystem",
        "types",
        "open, list and read files in the directories that it is given",
        Topic::Files,
    ),
    (In::Both, "wasi:config", "store", "read its configuration", Topic::Configuration),
    (In::Both, "wasi:keyvalue", "store", "keep values under keys", Topic::Stores),
    (In::Both, "wasi:keyvalue", "atomics", "count in a store of keys and values", Topic::Stores),
    (In::Both, "wasi:keyvalue", "batch", "read and write several values of a store at a time", Topic::Stores),
    (In::Both, "wasi:http", "types", "make and read HTTP requests and responses", Topic::Free("")),
    (In::V02, "wasi:http", "incoming-handler", "pass requests on to the component behind it", Topic::Behind),
    (In::V03, "wasi:http", "handler", "pass requests on to the component behind it", Topic::Behind),
    (In::V02, "wasi:http", "outgoing-handler", "send HTTP requests to other servers", Topic::Requests),
    (In::V03, "wasi:http", "client", "send HTTP requests to other servers", Topic::Requests),
    (In::V02, "wasi:io", "error", "learn what went wrong with a stream", Topic::Free("")),
    (In::V02, "wasi:io", "poll", "wait for several things at a time", Topic::Free("")),
    (In::V02, "wasi:io", "streams", "read from and write to what it has opened", Topic::Free("")),
    (In::Both, "wasi:random", "random", "have random numbers", Topic::Free("")),
    (In::Both, "wasi:random", "insecure", "have random numbers that need not be secret", Topic::Free("")),
    (In::Both, "wasi:random", "insecure-seed", "have a seed for its hash tables", Topic::Free("")),
    (
        In::V02,
        "wasi:sockets",
        "instance-network",
        "refer to the network",
        Topic::Free("on its own it reaches nothing"),
    ),
    (
        In::V02,
        "wasi:sockets",
        "network",
        "name addresses in the network",
        Topic::Free("on its own it reaches nothing"),
    ),
    (In::Both, "wasi:sockets", "ip-name-lookup", "look up the addresses of names", Topic::Names),
    (
        In::V03,
        "wasi:sockets",
        "types",
        "connect by TCP, listen for connections, or send datagrams",
        Topic::Tcp,
    ),
    (In::V02, "wasi:sockets", "tcp", "connect by TCP, or listen for connections", Topic::Tcp),
    (In::V02, "wasi:sockets", "tcp-create-socket", "create TCP sockets", Topic::Tcp),
    (In::V02, "wasi:sockets", "udp", "send and receive datagrams", Topic::Udp),
    (In::V02, "wasi:sockets", "udp-create-socket", "create UDP sockets", Topic::Udp),
];

/// The newest release of this version of WASI that this host has; `None` if it has none.
fn newest(edition: Edition) -> Option<Version> {
    match edition {
        Edition::V02 => Some(IMPLEMENTED),
        Edition::V03 => Some(IMPLEMENTED_V03),
        Edition::Unknown => None,
    }
}

/// The releases of WASI that this host has, in words.
fn releases() -> String {
    let releases = [Edition::V02, Edition::V03].into_iter().filter_map(newest).map(|newest| {
        let oldest = Version::new(newest.major, newest.minor, 0);
        if newest == oldest { oldest.to_string() } else { format!("{oldest} to {newest}") }
    });
    releases.collect::<Vec<_>>().join(" and ")
}

/// What a guest can do with an import; `None` for an interface that this host does not have.
pub fn meaning(import: &str) -> Option<&'static str> {
    find(import).map(|(_, _, meaning, _)| meaning)
}

/// The name of an import, and the row that describes it: that of its own version of WASI, if there is one.
fn find(import: &str) -> Option<(InterfaceName<'_>, In, &'static str, Topic)> {
    let name = InterfaceName::parse(import)?;
    let mut rows = INTERFACES.iter().filter(|(_, package, interface, ..)| name.is(package, interface));
    let exact = rows.clone().find(|(versions, ..)| versions.has(name.edition()));
    let &(versions, _, _, meaning, topic) = exact.or_else(|| rows.next())?;
    Some((name, versions, meaning, topic))
}

/// How a guest is started: for what, in which version of WASI, and with which grants.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// As a server or as a command.
    pub purpose: Purpose,
    /// The version of the export that is called. A guest of 0.3 has the interfaces of 0.2 as well, which the standard
    /// libraries of languages use.
    pub edition: Edition,
    /// What it is given.
    pub grants: &'a Grants,
}

/// The verdicts on an import and on each of its functions, for a guest that is started in this way.
pub fn verdicts(import: &Import, way: Way<'_>) -> (Verdict, Vec<Verdict>) {
    let Way { purpose, grants, .. } = way;
    let all = |verdict: Verdict| {
        let functions = import.functions.iter().map(|_| verdict.clone()).collect();
        (verdict, functions)
    };
    let lacking = |note: String| Verdict::Lacking { note };
    let Some((name, versions, _, topic)) = find(&import.name) else {
        return all(lacking(if import.name.starts_with("wasi:") {
            "this host does not have that part of WASI".to_owned()
        } else {
            "it is no part of WASI; compose the guest with a component that exports it (`wac plug`)"
                .to_owned()
        }));
    };
    if let known @ [_, ..] = topic.versions() {
        let version = name.version.as_ref().map(ToString::to_string);
        return all(match version {
            Some(version) if known.contains(&version.as_str()) => judge(topic, purpose, grants),
            _ => lacking(format!("of this proposal, this host has {}", known.join(" and "))),
        });
    }
    let edition = name.edition();
    let Some(version) = &name.version else {
        return all(lacking(format!("it has no version; this host has {}", releases())));
    };
    if newest(edition).is_none() {
        return all(lacking(format!("{version} is of {edition}; this host has {}", releases())));
    }
    if way.edition != Edition::Unknown && way.edition < edition {
        let start = way.edition;
        return all(lacking(format!(
            "{version} is of {edition}, and this guest is started as one of {start}"
        )));
    }
    if !versions.has(edition) {
        return all(lacking(format!("{edition} has no such interface")));
    }
    let verdict = judge(topic, purpose, grants);
    let unknown = functions::unknown(&name, &import.functions);
    let of_function = |function: &String| {
        if unknown.contains(&function.as_str()) {
            return lacking(format!("this host has WASI {}", releases()));
        }
        functions::refused(&name, function, purpose, grants).unwrap_or_else(|| verdict.clone())
    };
    let of_functions = import.functions.iter().map(of_function).collect();
    if unknown.is_empty() {
        (verdict, of_functions)
    } else {
        let note = format!("this host does not have its {}; it has WASI {}", unknown.join(", "), releases());
        (lacking(note), of_functions)
    }
}

/// The verdict on an import.
pub fn verdict(import: &Import, way: Way<'_>) -> Verdict {
    verdicts(import, way).0
}

fn judge(topic: Topic, purpose: Purpose, grants: &Grants) -> Verdict {
    let granted = |note: String| Verdict::Granted { note };
    let refused = |note: &str, flag| Verdict::Refused { note: note.to_owned(), flag };
    let network = &grants.network;
    match (topic, purpose) {
        (Topic::Free(note), _) => granted(note.to_owned()),
        (Topic::Environment, _) => {
            let names: Vec<_> = grants.environment.iter().map(|(name, _)| name.as_str()).collect();
            granted(match names.as_slice() {
                [] => "no variables; --env NAME=VALUE sets one".to_owned(),
                names => names.join(", "),
            })
        }
        (Topic::Input, Purpose::Serve) => refused("it is empty when serving", None),
        (Topic::Output, Purpose::Serve) => {
            granted("on standard error, each line marked, 64 KiB for each request".to_owned())
        }
        (Topic::Input | Topic::Output, Purpose::Run) => granted("that of wasi-httpd".to_owned()),
        (Topic::Files, Purpose::Run) if grants.directories.is_empty() && grants.scratch.is_some() => {
            granted(scratch_note(grants))
        }
        (Topic::Files, Purpose::Run) if grants.directories.is_empty() => {
            refused("there are no directories", Some("--dir HOST_DIR[::GUEST_DIR]"))
        }
        (Topic::Files, Purpose::Serve)
            if grants.directories.is_empty() && grants.holder.middleware.is_some() =>
        {
            refused("there are no directories", Some("--dir HOST_DIR[::GUEST_DIR]"))
        }
        (Topic::Files, Purpose::Serve) if grants.directories.is_empty() => {
            granted(format!(". as /, read-only (--dir changes that){}", also_scratch(grants)))
        }
        (Topic::Files, _) => {
            let directories = grants.directories.iter();
            let names: Vec<_> =
                directories.map(|given| format!("{} as {}", given.host.display(), given.guest)).collect();
            granted(format!("{}, read-only{}", names.join(", "), also_scratch(grants)))
        }
        (Topic::Behind, _) => granted("with --middleware, and then it must".to_owned()),
        (Topic::Requests, _) if network.hosts.is_empty() => {
            refused("every request is refused", Some("--allow-host HOST[:PORT]"))
        }
        (Topic::Requests, _) => granted(format!("to {}", list(&network.hosts))),
        (Topic::Names, _) if network.connect.is_empty() => {
            refused("no name is found", Some("--allow-tcp-connect HOST[:PORT]"))
        }
        (Topic::Names, _) => {
            granted(network.connect.iter().map(|place| &*place.host).collect::<Vec<_>>().join(", "))
        }
        (Topic::Tcp, Purpose::Run) if network.connect.is_empty() && network.listen.is_empty() => refused(
            "sockets reach nothing",
            Some("--allow-tcp-listen HOST:PORT or --allow-tcp-connect HOST[:PORT]"),
        ),
        (Topic::Tcp, Purpose::Serve) if network.connect.is_empty() => {
            refused("there are no sockets", Some("--allow-tcp-connect HOST[:PORT]"))
        }
        (Topic::Tcp, _) => {
            let mut notes = Vec::new();
            if !network.connect.is_empty() {
                notes.push(format!("connect to {}", list(&network.connect)));
            }
            if !network.listen.is_empty() && purpose == Purpose::Run {
                notes.push(format!("listen at {}", list(&network.listen)));
            }
            granted(notes.join("; "))
        }
        (Topic::Configuration, _) => {
            let names: Vec<_> = grants.configuration.iter().map(|(name, _)| name.as_str()).collect();
            granted(match names.as_slice() {
                [] => "no values; --config-var NAME=VALUE sets one".to_owned(),
                names => names.join(", "),
            })
        }
        (Topic::Stores, _) if grants.stores.is_empty() => {
            refused("there are no stores", Some("--keyvalue NAME=memory|NAME=sqlite:FILE"))
        }
        (Topic::Stores, _) => {
            granted(grants.stores.iter().map(|store| &*store.name).collect::<Vec<_>>().join(", "))
        }
        (Topic::Udp, _) => refused("no guest has datagrams", None),
    }
}

/// What a guest can do with its scratch directory.
fn scratch_note(grants: &Grants) -> String {
    let mebibytes = grants.scratch.map_or(0, |scratch| scratch.bytes / (1024 * 1024));
    format!("{SCRATCH} to write to, {mebibytes} MiB")
}

fn also_scratch(grants: &Grants) -> String {
    if grants.scratch.is_some() { format!("; {}", scratch_note(grants)) } else { String::new() }
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{Import, Verdict, Way, meaning};
    use crate::component::Purpose;
    use crate::component::interface::Edition;
    use crate::config::grants::{DirectoryGrant, Grants, HostGrant, HostPort, NetworkGrants};

    fn import(name: &str) -> Import {
        Import { name: name.to_owned(), functions: Vec::new() }
    }

    fn verdicts(import: &Import, purpose: Purpose, grants: &Grants) -> (Verdict, Vec<Verdict>) {
        super::verdicts(import, Way { purpose, edition: Edition::V02, grants })
    }

    fn verdict(import: &Import, purpose: Purpose, grants: &Grants) -> Verdict {
        verdicts(import, purpose, grants).0
    }

    fn is_granted(name: &str, purpose: Purpose, grants: &Grants) -> bool {
        matches!(verdict(&import(name), purpose, grants), Verdict::Granted { .. })
    }

    fn flag(name: &str, purpose: Purpose, grants: &Grants) -> Option<&'static str> {
        match verdict(&import(name), purpose, grants) {
            Verdict::Refused { flag, .. } => flag,
            other => panic!("{name} is {other:?}"),
        }
    }

    #[test]
    fn nothing_that_reaches_out_is_granted_by_default() {
        let nothing = Grants::default();
        let flag = |import, purpose| flag(import, purpose, &nothing);
        let connect = Some("--allow-tcp-connect HOST[:PORT]");
        assert_eq!(flag("wasi:filesystem/types@0.2.0", Purpose::Run), Some("--dir HOST_DIR[::GUEST_DIR]"));
        assert_eq!(
            flag("wasi:http/outgoing-handler@0.2.0", Purpose::Serve),
            Some("--allow-host HOST[:PORT]")
        );
        assert!(flag("wasi:sockets/tcp@0.2.0", Purpose::Run).unwrap().contains("--allow-tcp-listen"));
        assert_eq!(flag("wasi:sockets/tcp@0.2.0", Purpose::Serve), connect);
        assert_eq!(flag("wasi:sockets/ip-name-lookup@0.2.0", Purpose::Run), connect);
        assert_eq!(flag("wasi:sockets/udp@0.2.0", Purpose::Run), None);
    }

    #[test]
    fn flags_grant() {
        let grants = Grants {
            directories: vec![DirectoryGrant { host: "a".into(), guest: "/".into() }],
            environment: vec![("A".to_owned(), "b".to_owned())],
            network: NetworkGrants {
                hosts: vec![HostGrant { host: "example.com".to_owned(), port: None }],
                connect: vec![HostGrant { host: "::1".to_owned(), port: Some(80) }],
                listen: vec![HostPort { host: "::1".to_owned(), port: 80 }],
                ..NetworkGrants::default()
            },
            ..Grants::default()
        };
        let note = |name| match verdict(&import(name), Purpose::Run, &grants) {
            Verdict::Granted { note } => note,
            other => panic!("{name} is {other:?}"),
        };
        assert_eq!(note("wasi:filesystem/types@0.2.0"), "a as /, read-only");
        assert_eq!(note("wasi:cli/environment@0.2.0"), "A");
        assert_eq!(note("wasi:http/outgoing-handler@0.2.0"), "to example.com");
        assert_eq!(note("wasi:sockets/tcp@0.2.0"), "connect to [::1]:80; listen at [::1]:80");
        assert_eq!(note("wasi:sockets/ip-name-lookup@0.2.0"), "::1");
    }

    #[test]
    fn functions_count_as_well() {
        let with = |name: &str, function: &str| Import {
            name: name.to_owned(),
            functions: vec![function.to_owned()],
        };
        let (run, nothing) = (Purpose::Run, Grants::default());
        let newer = verdict(&with("wasi:http/types@0.2.99", "[method]fields.teleport"), run, &nothing);
        assert!(matches!(newer, Verdict::Lacking { note } if note.contains("[method]fields.teleport")));
        let directories = vec![DirectoryGrant { host: "a".into(), guest: "/".into() }];
        let grants = Grants { directories, ..Grants::default() };
        let mut files = with("wasi:filesystem/types@0.2.0", "[method]descriptor.write");
        files.functions.push("[method]descriptor.stat".to_owned());
        let granted = Verdict::Granted { note: "a as /, read-only".to_owned() };
        let flag = Some("--scratch MIB");
        let refused = Verdict::Refused { note: "directories are read-only".to_owned(), flag };
        assert_eq!(verdicts(&files, run, &grants), (granted.clone(), vec![refused, granted]));
    }

    #[test]
    fn each_function_of_a_socket_needs_its_own_flag() {
        let functions = ["start-bind", "start-connect", "start-listen", "accept"];
        let tcp = Import {
            name: "wasi:sockets/tcp@0.2.0".to_owned(),
            functions: functions.map(|function| format!("[method]tcp-socket.{function}")).to_vec(),
        };
        let flags = |purpose, network: NetworkGrants| {
            let grants = Grants { network, ..Grants::default() };
            let flag = |verdict| match verdict {
                Verdict::Granted { .. } => "granted",
                Verdict::Refused { flag, .. } => flag.unwrap_or("refused"),
                Verdict::Lacking { note } => panic!("{note}"),
            };
            verdicts(&tcp, purpose, &grants).1.into_iter().map(flag).collect::<Vec<_>>()
        };
        let connect = vec![HostGrant { host: "::1".to_owned(), port: Some(80) }];
        let listen = vec![HostPort { host: "::1".to_owned(), port: 80 }];
        let connecting = NetworkGrants { connect, ..NetworkGrants::default() };
        let listening = NetworkGrants { listen, ..NetworkGrants::default() };
        let (may_listen, may_connect) = ("--allow-tcp-listen HOST:PORT", "--allow-tcp-connect HOST[:PORT]");
        assert_eq!(flags(Purpose::Run, connecting.clone()), ["granted", "granted", may_listen, may_listen]);
        assert_eq!(flags(Purpose::Serve, connecting), ["granted", "granted", "refused", "refused"]);
        assert_eq!(flags(Purpose::Run, listening), ["granted", may_connect, "granted", "granted"]);
        let serving = flags(Purpose::Serve, NetworkGrants::default());
        assert_eq!(serving, [may_connect, may_connect, "refused", "refused"]);
    }

    #[test]
    fn proposals_are_there_in_their_own_versions() {
        let nothing = Grants::default();
        let flag = flag("wasi:keyvalue/atomics@0.2.0-draft", Purpose::Serve, &nothing);
        assert!(flag.unwrap().starts_with("--keyvalue "));
        for name in ["wasi:config/store@0.2.0-rc.1", "wasi:config/store@0.2.0-draft"] {
            assert!(is_granted(name, Purpose::Run, &nothing), "{name}");
        }
        for name in ["wasi:keyvalue/store@0.2.0-draft2", "wasi:keyvalue/store@0.2.0", "wasi:config/store"] {
            let verdict = verdict(&import(name), Purpose::Run, &nothing);
            assert!(matches!(verdict, Verdict::Lacking { .. }), "{name} is {verdict:?}");
        }
    }

    #[test]
    fn a_guest_of_0_3_has_the_interfaces_of_both() {
        let grants = Grants::default();
        let verdict = |name: &str, function: &str, edition| {
            let import = Import { name: name.to_owned(), functions: vec![function.to_owned()] };
            super::verdict(&import, Way { purpose: Purpose::Serve, edition, grants: &grants })
        };
        let note = |verdict| match verdict {
            Verdict::Lacking { note } => note,
            other => panic!("{other:?}"),
        };
        let (client, request) = ("wasi:http/client@0.3.0", "[method]request.get-method");
        let flag = Some("--allow-host HOST[:PORT]");
        assert!(
            matches!(verdict(client, "send", Edition::V03), Verdict::Refused { flag: found, .. } if found == flag)
        );
        assert!(matches!(verdict("wasi:io/poll@0.2.6", "poll", Edition::V03), Verdict::Granted { .. }));
        assert!(matches!(verdict("wasi:http/types@0.3.0", request, Edition::V03), Verdict::Granted { .. }));
        assert!(note(verdict("wasi:http/types@0.2.0", request, Edition::V03)).contains(request));
        assert!(
            note(verdict("wasi:http/types@0.3.0", request, Edition::V02))
                .contains("started as one of WASI 0.2")
        );
        assert!(
            note(verdict("wasi:io/poll@0.3.0", "poll", Edition::V03))
                .contains("WASI 0.3 has no such interface")
        );
        assert!(
            note(verdict("wasi:http/outgoing-handler@0.3.0", "handle", Edition::V03)).contains("no such")
        );
    }

    #[test]
    fn only_released_versions_of_0_2_are_there() {
        let nothing = Grants::default();
        assert!(is_granted("wasi:io/poll@0.2.0", Purpose::Run, &nothing));
        for name in ["wasi:io/poll@0.3.0", "wasi:io/poll@0.2.0-rc-2023-11-10", "wasi:io/poll", "a:b/c", "f"] {
            let verdict = verdict(&import(name), Purpose::Run, &nothing);
            assert!(matches!(verdict, Verdict::Lacking { .. }), "{name} is {verdict:?}");
        }
        assert_eq!(meaning("wasi:io/poll@0.9.0"), Some("wait for several things at a time"));
        assert_eq!(meaning("wasi:nn/graph@0.2.0"), None);
    }
}
