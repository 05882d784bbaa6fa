//! Starting the server with listeners that are open already, as a service manager does (`sd_listen_fds(3)`).

use crate::server::Programs;
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::{Command, Stdio};

/// The first descriptor that may be given to a copy: those below are where the server looks for its listeners.
const FIRST_COPY: i32 = 10;

impl Programs {
    /// A command that starts the server with these sockets as systemd passes them: as descriptors from 3 on. The copies of
    /// them have to live until it has started.
    pub fn activated(self, sockets: impl IntoIterator<Item = OwnedFd>) -> (Command, Vec<OwnedFd>) {
        // A shell inherits the copies, and moves them to their places.
        let inherit = |socket: OwnedFd| {
            let copy = fcntl_dupfd_cloexec(&socket, FIRST_COPY).unwrap();
            fcntl_setfd(&copy, FdFlags::empty()).unwrap();
            copy
        };
        let sockets: Vec<_> = sockets.into_iter().map(inherit).collect();
        let moves: String =
            (3..).zip(&sockets).map(|(to, from)| format!(" {to}<&{}", from.as_raw_fd())).collect();
        let script = format!("LISTEN_PID=$$ LISTEN_FDS={} exec \"$@\"{moves}", sockets.len());
        let server = self.command();
        let mut command = Command::new("bash");
        command.args(["-c", &script, "bash"]).arg(server.get_program()).stdin(Stdio::null());
        for (name, value) in server.get_envs() {
            command.env(name, value.unwrap());
        }
        (command, sockets)
    }
}
