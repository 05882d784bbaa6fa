//! Landlock: which files and TCP ports the process can still reach (`landlock(7)`).
//!
//! What is open stays open, and reading and writing it is not checked again. Paths may be looked at (`stat`) and walked
//! through everywhere; what is checked is opening, creating, renaming and removing.

use super::{Granted, Ports};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, LandlockStatus, NetPort,
    PathBeneath, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, Scope,
    path_beneath_rules,
};
use std::fmt;

/// The version whose rights are asked for. Older kernels enforce as many of them as they know. Versions 7 and 8 add none, and
/// version 9 one for sockets with a path, which name services and the readiness of systemd need.
const TARGET: ABI = ABI::V6;

/// What each version has added, as far as it matters here. Before version 3, files could be truncated whatever is granted.
const ADDED: [(i32, &str); 5] = [
    (2, "links and renames (ABI 2)"),
    (3, "truncation (ABI 3)"),
    (4, "TCP ports (ABI 4)"),
    (5, "device control (ABI 5)"),
    (6, "signals and abstract sockets (ABI 6)"),
];

/// A version of Landlock (its ABI) that is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(i32);

impl Version {
    #[cfg(test)]
    pub(super) fn of(abi: i32) -> Self {
        Self(abi)
    }

    /// What this version does not restrict, and later ones do.
    pub(super) fn gap(self) -> Option<String> {
        let lacking: Vec<_> =
            ADDED.iter().filter(|(since, _)| *since > self.0).map(|(_, what)| *what).collect();
        (!lacking.is_empty()).then(|| format!("Landlock for {}", lacking.join(", ")))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Landlock (ABI {})", self.0)
    }
}

/// Restricts this thread, and those that it starts from now on, to what is granted.
pub(super) fn restrict(granted: &Granted) -> Result<Version, String> {
    let status = enforce(granted).map_err(|error| error.to_string())?;
    match status {
        LandlockStatus::Available { effective_abi, kernel_abi } => {
            Ok(Version(kernel_abi.unwrap_or(effective_abi as i32)))
        }
        LandlockStatus::NotEnabled => Err("the kernel was started without it".to_owned()),
        LandlockStatus::NotImplemented => Err("the kernel does not have it".to_owned()),
    }
}

fn enforce(granted: &Granted) -> Result<LandlockStatus, RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(TARGET))?
        .scope(Scope::Signal)?;
    let network = &granted.network;
    // The socket of a service manager may be an abstract one.
    if !network.notifies {
        ruleset = ruleset.scope(Scope::AbstractUnixSocket)?;
    }
    for (right, ports) in [(AccessNet::ConnectTcp, &network.connect), (AccessNet::BindTcp, &network.bind)] {
        if *ports != Ports::All {
            ruleset = ruleset.handle_access(right)?;
        }
    }
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    // Compiled components are written to a temporary file, which then takes its name. Guests write to scratch directories.
    let write = read
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    // Paths that lead nowhere grant nothing.
    let mut ruleset = ruleset
        .create()?
        .add_rules(path_beneath_rules(&granted.read, read))?
        .add_rules(path_beneath_rules(&granted.cache, write))?
        .add_rules(path_beneath_rules(&granted.write, write))?
        .add_rules(path_beneath_rules(&granted.clear, AccessFs::RemoveDir))?
        .add_rules(path_beneath_rules(&granted.append, AccessFs::WriteFile | AccessFs::MakeReg))?
        .add_rules(path_beneath_rules(&granted.remove, AccessFs::RemoveFile))?
        .add_rules(
            granted.unnamed.iter().map(|directory| Ok::<_, RulesetError>(PathBeneath::new(directory, read))),
        )?;
    ruleset = with_ports(ruleset, &network.connect, AccessNet::ConnectTcp)?;
    ruleset = with_ports(ruleset, &network.bind, AccessNet::BindTcp)?;
    Ok(ruleset.restrict_self()?.landlock)
}

fn with_ports(
    ruleset: RulesetCreated,
    ports: &Ports,
    right: AccessNet,
) -> Result<RulesetCreated, RulesetError> {
    match ports {
        Ports::All => Ok(ruleset),
        Ports::These(ports) => {
            ruleset.add_rules(ports.iter().map(|&port| Ok::<_, RulesetError>(NetPort::new(port, right))))
        }
    }
}
