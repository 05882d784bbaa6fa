//! Seccomp: system calls that the kernel refuses (`seccomp(2)`).
//!
//! This lists what is refused. A list of what is allowed would break with every version of the C library and of the
//! runtime. The calls fail with `EPERM`, as for a user who may not make them, so that a library that tries one does without
//! it.
//!
//! The kernel computes once, for each number, whether the filter depends on arguments. For the calls that a request
//! needs it does not, so that these cost no run of the filter (Linux 5.11).

use super::Network;
use libc::{c_long, c_ulong};
use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};
use std::collections::BTreeMap;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// Running another program. Nothing here does, and most exploits do.
const PROGRAMS: [c_long; 2] = [libc::SYS_execve, libc::SYS_execveat];

/// Reading and steering other processes of the same user.
const PROCESSES: [c_long; 6] = [
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
];

/// Code for the kernel, and looking into it.
const KERNEL: [c_long; 8] = [
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_syslog,
];

/// Mounts, roots and namespaces: other files under the paths that are granted, and a part of the kernel in which any
/// process is root.
const MOUNTS: [c_long; 13] = [
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
];

/// Files by number, past the rules for paths, and reports of what others open.
const FILES: [c_long; 3] =
    [libc::SYS_open_by_handle_at, libc::SYS_name_to_handle_at, libc::SYS_fanotify_init];

/// The keys of other programs of the user.
const KEYS: [c_long; 3] = [libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key];

/// Large parts of the kernel in which faults were found again and again, and which nothing here uses.
const ATTACKED: [c_long; 5] = [
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_personality,
];

/// The machine: its power, swap, clock and name.
const MACHINE: [c_long; 13] = [
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_vhangup,
];

/// What only x86-64 has: processes made in the old ways, ports of devices, segments and libraries.
#[cfg(target_arch = "x86_64")]
const OF_ARCHITECTURE: [c_long; 6] = [
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
];
#[cfg(target_arch = "aarch64")]
const OF_ARCHITECTURE: [c_long; 0] = [];

/// A second table of system calls on x86-64, by numbers with this bit (x32). Where the kernel has it, it is another door to
/// all of the above.
#[cfg(target_arch = "x86_64")]
const X32: c_long = 0x4000_0000;

/// Calls of that table with numbers of their own: `execve`, `ptrace`, `kexec_load`, `process_vm_readv`,
/// `process_vm_writev`, `execveat`. The other table has none of these numbers.
#[cfg(target_arch = "x86_64")]
const X32_ONLY: [c_long; 6] = [520, 521, 528, 539, 540, 545];
#[cfg(target_arch = "aarch64")]
const X32_ONLY: [c_long; 0] = [];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Restricts all threads of the process.
pub(super) fn restrict(network: &Network) -> Result<(), String> {
    let errno = |number: i32| SeccompAction::Errno(number.unsigned_abs());
    let programs = refused(network).and_then(|refused| {
        let refused = program(refused, errno(libc::EPERM))?;
        // Its flags are in memory, where no filter can see them. The C library then takes `clone`.
        let unknown = in_every_table([(libc::SYS_clone3, Vec::new())].into());
        Ok([refused, program(unknown, errno(libc::ENOSYS))?])
    });
    let programs = programs.map_err(|error| error.to_string())?;
    programs.iter().try_for_each(|program| apply_filter_all_threads(program)).map_err(|error| match error {
        Error::Seccomp(error) | Error::Prctl(error) => error.to_string(),
        error => error.to_string(),
    })
}

fn program(rules: Rules, action: SeccompAction) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(rules, SeccompAction::Allow, action, ARCHITECTURE)?.try_into()
}

/// The calls to refuse, some of them with certain arguments only.
fn refused(network: &Network) -> Result<Rules, BackendError> {
    let groups: [&[c_long]; 9] =
        [&PROGRAMS, &PROCESSES, &KERNEL, &MOUNTS, &FILES, &KEYS, &ATTACKED, &MACHINE, &OF_ARCHITECTURE];
    let mut rules: Rules = groups.into_iter().flatten().map(|&number| (number, Vec::new())).collect();
    // Landlock knows TCP only; this is every kind of socket.
    let Network { tcp, names, notifies, .. } = *network;
    for (number, is_needed) in [
        (libc::SYS_connect, tcp || names || notifies),
        // Asking the kernel for its addresses, to put those of a name in order, binds a socket of netlink.
        (libc::SYS_bind, tcp || names),
        (libc::SYS_listen, tcp),
    ] {
        if !is_needed {
            rules.insert(number, Vec::new());
        }
    }
    rules.insert(libc::SYS_socket, sockets(network)?);
    rules.insert(libc::SYS_clone, vec![new_process()?]);
    rules.extend(X32_ONLY.iter().map(|&number| (number, Vec::new())));
    Ok(in_every_table(rules))
}

/// The same for each table of system calls.
#[cfg(target_arch = "x86_64")]
fn in_every_table(rules: Rules) -> Rules {
    rules.into_iter().flat_map(|(number, rules)| [(number, rules.clone()), (number | X32, rules)]).collect()
}

#[cfg(target_arch = "aarch64")]
fn in_every_table(rules: Rules) -> Rules {
    rules
}

/// Sockets that are not needed. Each family, type and protocol is a part of the kernel of its own, and most are seldom used.
fn sockets(network: &Network) -> Result<Vec<SeccompRule>, BackendError> {
    const INTERNET: [i32; 2] = [libc::AF_INET, libc::AF_INET6];
    /// The flags of a new socket are in the same argument as its type.
    const TYPE: u64 = 0xf;
    let is = |argument, comparison, value: i32| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, comparison, value.unsigned_abs().into())
    };
    let none_of = |argument, values: &[i32]| {
        let conditions = values.iter().map(|&value| is(argument, SeccompCmpOp::Ne, value));
        SeccompRule::new(conditions.collect::<Result<_, _>>()?)
    };
    let both = |family, kind| {
        SeccompRule::new(vec![is(0, SeccompCmpOp::Eq, family)?, is(1, SeccompCmpOp::MaskedEq(TYPE), kind)?])
    };
    let Network { tcp, names, notifies, .. } = *network;
    let mut families = Vec::new();
    if tcp || names {
        families.extend(INTERNET);
    }
    if notifies || names {
        families.push(libc::AF_UNIX);
    }
    if names {
        families.push(libc::AF_NETLINK);
    }
    if families.is_empty() {
        return Ok(Vec::new());
    }
    // Other protocols, such as SCTP and Multipath TCP, would go past the ports of Landlock.
    let mut refused = vec![none_of(0, &families)?, none_of(2, &[0, libc::IPPROTO_TCP, libc::IPPROTO_UDP])?];
    if !names {
        for kind in [libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_SEQPACKET, libc::SOCK_DCCP] {
            for family in INTERNET {
                refused.push(both(family, kind)?);
            }
        }
        // A service manager takes datagrams. Services that do as they are told, such as Docker's, have streams.
        for kind in [libc::SOCK_STREAM, libc::SOCK_SEQPACKET] {
            refused.push(both(libc::AF_UNIX, kind)?);
        }
    }
    Ok(refused)
}

/// A new process, in this namespace or a new one: `clone` of anything but a thread.
fn new_process() -> Result<SeccompRule, BackendError> {
    // The flag is a positive number of 32 bits.
    let thread = c_ulong::from(libc::CLONE_THREAD.unsigned_abs());
    let is_no_thread = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(thread), 0)?;
    SeccompRule::new(vec![is_no_thread])
}

#[cfg(test)]
mod tests {
    use super::{Network, program, refused};
    use seccompiler::SeccompAction;

    /// The kernel takes at most this many instructions.
    const MAX_INSTRUCTIONS: usize = 4096;

    #[test]
    fn the_filter_fits_the_kernel() {
        for bits in 0..8 {
            let [tcp, names, notifies] = [1, 2, 4].map(|bit| bits & bit != 0);
            let network = Network { tcp, names, notifies, ..Network::default() };
            let rules = refused(&network).unwrap();
            assert_eq!(rules.contains_key(&libc::SYS_connect), bits == 0);
            #[cfg(target_arch = "x86_64")]
            assert!(rules.contains_key(&(libc::SYS_execve | super::X32)));
            let program = program(rules, SeccompAction::Errno(1)).unwrap();
            assert!(program.len() < MAX_INSTRUCTIONS, "{}", program.len());
        }
    }

    #[test]
    fn what_a_request_needs_is_not_looked_at() {
        let rules = refused(&Network::default()).unwrap();
        for number in [
            libc::SYS_accept4,
            libc::SYS_openat2,
            libc::SYS_statx,
            libc::SYS_pread64,
            libc::SYS_sendfile,
            libc::SYS_sendto,
            libc::SYS_sendmsg,
            libc::SYS_recvfrom,
            libc::SYS_epoll_pwait,
            libc::SYS_futex,
            libc::SYS_madvise,
            libc::SYS_close,
        ] {
            assert!(!rules.contains_key(&number), "{number}");
        }
    }
}
