//! What a server tries once it is locked down, from a thread that serves: each attempt is a line on standard error, such as
//! `tried exec: refused`.

use host::lockdown;
use host::report::stderr;
use rustix::process::{getppid, test_kill_process};
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The variable that has a server try, and names the directory of what it tries to reach: [`READ`], [`WRITE`], …
pub const VARIABLE: &str = "UNDER_TEST_TRY";

/// A file in that directory to read, and one to write.
pub const READ: &str = "read.txt";
/// A directory to list.
pub const LIST: &str = "list";
/// A file that holds the path of a file to make.
pub const WRITE: &str = "write.txt";
/// A file that holds the path of a file to remove.
pub const REMOVE: &str = "remove.txt";
/// A file that holds the path of another file to make.
pub const CACHE: &str = "cache.txt";
/// A file that holds an address to connect to by TCP.
pub const TCP: &str = "tcp.txt";
/// A socket to connect to.
pub const UNIX: &str = "socket";
/// A socket to send a datagram to.
pub const NOTIFY: &str = "notify";

/// How a line about an attempt begins.
pub const LINE: &str = "tried ";

/// The attempts, in their order.
pub const ATTEMPTS: [&str; 14] = [
    "read", "list", "write", "remove", "cache", "spawn", "exec", "ptrace", "signal", "tcp", "bind", "udp",
    "unix", "notify",
];

/// A process to trace: started before the lockdown, and a child, which every user may trace.
static TRACED: OnceLock<Child> = OnceLock::new();

struct Plan {
    read: PathBuf,
    list: PathBuf,
    write: PathBuf,
    remove: PathBuf,
    cache: PathBuf,
    tcp: String,
    unix: PathBuf,
    notify: PathBuf,
}

static PLAN: OnceLock<Plan> = OnceLock::new();

/// Has the server of this process try, if [`VARIABLE`] says so.
pub fn arm() {
    let Some(directory) = std::env::var_os(VARIABLE).map(PathBuf::from) else { return };
    let text = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
    let plan = Plan {
        read: directory.join(READ),
        list: directory.join(LIST),
        write: text(WRITE).into(),
        remove: text(REMOVE).into(),
        cache: text(CACHE).into(),
        tcp: text(TCP),
        unix: directory.join(UNIX),
        notify: directory.join(NOTIFY),
    };
    // It ends when this process does, because that closes its standard input.
    let traced = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    assert!(TRACED.set(traced).is_ok() && PLAN.set(plan).is_ok());
    lockdown::set_probe(|| PLAN.get().into_iter().for_each(attempt_all));
}

fn attempt_all(plan: &Plan) {
    let create = |path: &Path| fs::File::create_new(path).map(drop);
    let outcomes: [io::Result<()>; ATTEMPTS.len()] = [
        fs::read(&plan.read).map(drop),
        fs::read_dir(&plan.list).map(drop),
        create(&plan.write),
        fs::remove_file(&plan.remove),
        create(&plan.cache),
        Command::new("true").status().map(drop),
        exec(),
        ptrace(),
        test_kill_process(getppid().unwrap()).map_err(io::Error::from),
        TcpStream::connect(&plan.tcp).map(drop),
        TcpListener::bind("127.0.0.1:0").map(drop),
        UdpSocket::bind("127.0.0.1:0").map(drop),
        UnixStream::connect(&plan.unix).map(drop),
        notify(&plan.notify),
    ];
    for (attempt, outcome) in ATTEMPTS.iter().zip(outcomes) {
        let outcome = match outcome {
            Ok(()) => "done".to_owned(),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => "refused".to_owned(),
            Err(error) => error.to_string(),
        };
        stderr::line(&format!("{LINE}{attempt}: {outcome}"));
    }
}

/// Tries to tell a service manager something.
fn notify(path: &Path) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.send(b"READY=1").map(drop)
}

/// Tries to become a program that does not exist: where this is not refused, it is found to be missing.
fn exec() -> io::Result<()> {
    match Command::new("/nowhere/program").exec() {
        error if error.kind() == ErrorKind::NotFound => Ok(()),
        error => Err(error),
    }
}

/// Tries to trace the child.
#[allow(unsafe_code)]
fn ptrace() -> io::Result<()> {
    let child = libc::pid_t::try_from(TRACED.get().unwrap().id()).unwrap();
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: this request reads and writes no memory of this process, and its last two arguments are numbers.
    match unsafe { libc::ptrace(libc::PTRACE_SEIZE, child, nothing, nothing) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
