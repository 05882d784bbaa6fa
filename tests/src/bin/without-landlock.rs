//! Runs a program on a kernel that seems to have no Landlock: `without-landlock PROGRAM [ARG...]`.

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

fn main() {
    let hidden = [(libc::SYS_landlock_create_ruleset, Vec::new())];
    let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(hidden.into(), SeccompAction::Allow, missing, architecture).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    apply_filter(&program).unwrap();
    let mut arguments = std::env::args_os().skip(1);
    let mut command = Command::new(arguments.next().unwrap());
    panic!("{}", command.args(arguments).exec());
}
