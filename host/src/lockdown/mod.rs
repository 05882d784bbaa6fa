//! The walls around the whole process, behind those around each instance: what the kernel refuses it once everything is
//! open.
//!
//! 1. [`privileges`]: no new privileges, and no capabilities
//! 2. [`landlock`]: files and TCP ports, all refused but those of [`Granted`]
//! 3. [`seccomp`]: system calls that a server does not need
//!
//! The kernel keeps these by thread, and new threads inherit them. So they are raised while the process has a single thread:
//! [`Lockdown::begin`] when the ports are bound, [`Lockdown::restrict`] when directories and the component are open, and
//! before the component is compiled, which starts threads. [`Lockdown::finish`] then takes away what only compiling
//! needs.
//!
//! Each wall is raised as far as the kernel has it; [`Walls`] says how far that is. [`breadth`] says which directories are
//! too much to be granted.

pub mod breadth;
mod landlock;
pub mod privileges;
mod seccomp;

use crate::sandbox::{Sandbox, scratch};
use std::collections::BTreeSet;
use std::fmt;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::OnceLock;

/// What the process still needs once everything is open.
#[derive(Debug, Default)]
pub struct Granted {
    /// Files and directories to read, with all that is below them.
    pub read: Vec<PathBuf>,
    /// Directories to read and write, until the component is compiled.
    pub cache: Vec<PathBuf>,
    /// Directories to read and write, for as long as the process lives.
    pub write: Vec<PathBuf>,
    /// Directories to remove directories from.
    pub clear: Vec<PathBuf>,
    /// Directories to create files in, and files below them to write to.
    pub append: Vec<PathBuf>,
    /// Directories to remove files from, and from what is below them.
    pub remove: Vec<PathBuf>,
    /// Open directories to read that have no path any more.
    pub unnamed: Vec<OwnedFd>,
    /// The network, apart from sockets that are open.
    pub network: Network,
}

/// The network that is open to the process, apart from sockets that it has.
#[derive(Debug, Default)]
pub struct Network {
    /// Whether it may make TCP sockets.
    pub tcp: bool,
    /// Whether it looks names up, which takes UDP sockets and those of local services.
    pub names: bool,
    /// Whether it may send datagrams to a service manager.
    pub notifies: bool,
    /// The TCP ports that it may connect to.
    pub connect: Ports,
    /// The TCP ports that it may bind. Port 0 is any that is free.
    pub bind: Ports,
}

/// TCP ports, by default none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Every port.
    All,
    /// These.
    These(BTreeSet<u16>),
}

impl Default for Ports {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl Ports {
    fn add(&mut self, other: Self) {
        match other {
            Self::All => *self = Self::All,
            Self::These(ports) => self.extend(ports.into_iter().map(Some)),
        }
    }
}

impl Extend<Option<u16>> for Ports {
    /// Adds ports; `None` stands for all.
    fn extend<T: IntoIterator<Item = Option<u16>>>(&mut self, ports: T) {
        for port in ports {
            match (&mut *self, port) {
                (Self::These(these), Some(port)) => _ = these.insert(port),
                (_, None) => *self = Self::All,
                (Self::All, Some(_)) => {}
            }
        }
    }
}

/// What a lookup of names opens: the list of hosts and of name servers, what says in which order they are asked, and the
/// libraries that ask them.
const NAME_LOOKUP: [&str; 11] = [
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    // Here systemd-resolved and resolvconf rewrite what /etc/resolv.conf is a link to.
    "/run/resolvconf",
    "/run/systemd/resolve",
    "/lib",
    "/lib64",
    "/usr/lib",
];

/// The port of name servers, which are asked by TCP where an answer is too long for UDP.
const DNS: u16 = 53;

impl Granted {
    /// What the instances of a component may reach.
    pub fn of(sandbox: &Sandbox) -> Self {
        let mut granted = Self::default();
        for directory in sandbox.directories() {
            granted.read.extend(breadth::places(directory.path(), directory.is_named()));
        }
        // Without a free descriptor, the server will not come far anyway.
        granted
            .unnamed
            .extend(sandbox.stand_in().and_then(|directory| directory.dir.as_fd().try_clone_to_owned().ok()));
        if sandbox.scratches().is_some()
            && let Some((own, holder)) = scratch::places()
        {
            granted.write.push(own);
            granted.clear.push(holder);
        }
        let network = sandbox.network();
        granted.network.names = network.looks_names_up();
        granted.network.tcp = network.has_sockets() || granted.network.names;
        granted.network.connect.extend(network.ports_to_connect());
        granted.network.bind.extend(network.ports_to_bind().map(Some));
        if granted.network.names {
            granted.network.connect.extend([Some(DNS)]);
            granted.read.extend(NAME_LOOKUP.map(PathBuf::from));
            let files = network.authorities().iter();
            granted.read.extend(files.flat_map(|file| breadth::places_of_file(file)));
        }
        granted
    }

    /// Grants what is granted elsewhere as well.
    pub fn add(&mut self, other: Self) {
        let Self { read, cache, write, clear, append, remove, unnamed, network } = other;
        self.read.extend(read);
        self.cache.extend(cache);
        self.write.extend(write);
        self.clear.extend(clear);
        self.append.extend(append);
        self.remove.extend(remove);
        self.unnamed.extend(unnamed);
        let Network { tcp, names, notifies, connect, bind } = network;
        self.network.tcp |= tcp;
        self.network.names |= names;
        self.network.notifies |= notifies;
        self.network.connect.add(connect);
        self.network.bind.add(bind);
    }
}

/// The walls while they are raised.
#[derive(Debug)]
pub struct Lockdown {
    granted: Granted,
    walls: Walls,
}

impl Lockdown {
    /// Gives up privileges, except for those to bind these ports. Directories are opened after this, so that one that cannot
    /// be read without them is found at the start.
    pub fn begin(to_bind: &[u16]) -> Self {
        let capabilities = privileges::drop_capabilities(to_bind);
        let privileges = privileges::allow_no_new();
        let later = || "it was not tried".to_owned();
        let walls = Walls { landlock: Err(later()), seccomp: Err(later()), privileges, capabilities };
        Self { granted: Granted::default(), walls }
    }

    /// Restricts this thread and those that it starts to what is granted, as far as the kernel can.
    pub fn restrict(&mut self, granted: Granted) {
        self.walls.landlock = landlock::restrict(&granted);
        // Last, because it may refuse what the others need.
        self.walls.seccomp = seccomp::restrict(&granted.network);
        self.granted = granted;
    }

    /// Takes the right to write to the cache away: code in it is run by the next start of this program, so that an attacker
    /// who takes over a serving thread cannot write to it. Components that are reloaded may still come from it.
    pub fn finish(mut self) -> Walls {
        if self.walls.landlock.is_ok() && !self.granted.cache.is_empty() {
            self.granted.read.append(&mut self.granted.cache);
            if let Err(why) = landlock::restrict(&self.granted) {
                self.walls.landlock = Err(why);
            }
        }
        self.walls
    }
}

/// Which walls stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walls {
    /// The version of Landlock, and why there is none.
    landlock: Result<landlock::Version, String>,
    seccomp: Result<(), String>,
    privileges: Result<(), String>,
    capabilities: Result<(), String>,
}

impl Walls {
    /// Whether each stands, be it with gaps.
    pub fn stand(&self) -> bool {
        self.landlock.is_ok() && self.seccomp.is_ok() && self.privileges.is_ok() && self.capabilities.is_ok()
    }

    /// What is lacking, with the reason; empty if everything stands.
    fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        match &self.landlock {
            Ok(version) => gaps.extend(version.gap()),
            Err(why) => gaps.push(format!("Landlock ({why})")),
        }
        for (name, wall) in [
            ("seccomp", &self.seccomp),
            ("no new privileges", &self.privileges),
            ("no capabilities", &self.capabilities),
        ] {
            if let Err(why) = wall {
                gaps.push(format!("{name} ({why})"));
            }
        }
        gaps
    }
}

impl fmt::Display for Walls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let standing: Vec<String> = [
            self.landlock.as_ref().map(ToString::to_string).ok(),
            self.seccomp.is_ok().then(|| "seccomp".to_owned()),
            self.privileges.is_ok().then(|| "no new privileges".to_owned()),
            self.capabilities.is_ok().then(|| "no capabilities".to_owned()),
        ]
        .into_iter()
        .flatten()
        .collect();
        match &standing[..] {
            [] => f.write_str("Not locked down")?,
            standing => write!(f, "Locked down: {}", standing.join(", "))?,
        }
        let gaps = self.gaps();
        if gaps.is_empty() { Ok(()) } else { write!(f, "; lacking {}", gaps.join(", ")) }
    }
}

/// What the tests try.
static PROBE: OnceLock<fn()> = OnceLock::new();

/// Has a thread that serves run this once everything is restricted. This is for the tests, which try there what no thread
/// may do.
pub fn set_probe(probe: fn()) {
    let _ = PROBE.set(probe);
}

/// What [`set_probe`] has set. The program that users run sets nothing.
pub(crate) fn probe() -> Option<fn()> {
    PROBE.get().copied()
}

#[cfg(test)]
mod tests {
    use super::{Ports, Walls, landlock::Version};

    #[test]
    fn what_stands_and_what_lacks_is_one_line() {
        let all =
            Walls { landlock: Ok(Version::of(7)), seccomp: Ok(()), privileges: Ok(()), capabilities: Ok(()) };
        assert_eq!(
            all.to_string(),
            "Locked down: Landlock (ABI 7), seccomp, no new privileges, no capabilities"
        );
        let old = Walls { landlock: Ok(Version::of(3)), ..all.clone() };
        assert_eq!(
            old.to_string(),
            "Locked down: Landlock (ABI 3), seccomp, no new privileges, no capabilities; lacking Landlock for TCP \
             ports (ABI 4), device control (ABI 5), signals and abstract sockets (ABI 6)"
        );
        let lack = || Err("the kernel does not have it".to_owned());
        let none = Walls { landlock: Err("the kernel does not have it".to_owned()), ..all };
        assert_eq!(
            none.to_string(),
            "Locked down: seccomp, no new privileges, no capabilities; lacking Landlock (the kernel does not have it)"
        );
        let nothing = Walls { seccomp: lack(), privileges: lack(), capabilities: lack(), ..none };
        assert!(nothing.to_string().starts_with("Not locked down; lacking Landlock (the kernel"));
    }

    #[test]
    fn no_port_stands_for_all() {
        let ports = |ports: &[Option<u16>]| {
            let mut all = Ports::default();
            all.extend(ports.iter().copied());
            all
        };
        assert_eq!(ports(&[]), Ports::These([].into()));
        assert_eq!(ports(&[Some(80), Some(443)]), Ports::These([80, 443].into()));
        assert_eq!(ports(&[Some(80), None, Some(443)]), Ports::All);
    }
}
