//! Standard error that is not read, is a stopped terminal, or is closed: requests are answered as usual, and lines that
//! could not be printed are counted.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use tests::guests::{self, GuestFile};
use tests::process::KillOnDrop;
use tests::{Client, eventually, programs, terminal};

/// A guest that prints 4 KiB to standard error with each request.
fn talkative() -> GuestFile {
    let print = "(call $say (call $stderr) (i32.const 4096) (i32.const 4096))";
    GuestFile::new(guests::handler(&format!("{print} {}", guests::ANSWER)))
}

fn command(guest: &GuestFile, address: &str) -> Command {
    let mut command = programs!().command();
    command.args(["--quiet", "--addr", address]).arg(&guest.path).stdin(Stdio::null());
    command
}

/// Starts a server and reads its address from `errors`, its standard error, but nothing after the line that has it.
fn start(mut command: Command, errors: &mut impl Read) -> (KillOnDrop, SocketAddr) {
    let process = KillOnDrop(command.spawn().unwrap());
    drop(command);
    let mut lines = String::new();
    let address = loop {
        // Byte by byte, so that no byte after the line is consumed.
        let mut byte = [0];
        errors.read_exact(&mut byte).unwrap();
        lines.push(char::from(byte[0]));
        let line = lines.lines().last().and_then(|line| line.strip_prefix("Listening on http://"));
        if let Some(address) = line.filter(|_| lines.ends_with('\n')) {
            break address.trim_end_matches('/').parse();
        }
    };
    (process, address.unwrap_or_else(|_| panic!("{lines}")))
}

/// Sends so many requests that the guest prints more than any pipe, terminal or queue holds.
fn answers(address: SocketAddr) {
    let mut client = Client::connect(address);
    for _ in 0..1_000 {
        assert_eq!(client.request("GET", "/", &[]).text(), "half an answer");
    }
}

#[test]
fn a_pipe_that_is_not_read_does_not_block_requests() {
    let guest = talkative();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = command(&guest, "127.0.0.1:0");
    command.stderr(writer);
    let (mut process, address) = start(command, &mut reader);
    answers(address);
    // Once the pipe is read again, the server reports the dropped lines.
    let lines = BufReader::new(reader).lines();
    let reading = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
    answers(address);
    assert!(Command::new("kill").arg(process.0.id().to_string()).status().unwrap().success());
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
    let lines = reading.join().unwrap();
    let printed = lines.iter().filter(|line| line.starts_with("guest stderr [")).count();
    let counted = |what: &str| -> usize {
        let number = |line: &String| {
            line.strip_prefix("wasi-httpd: warning: ")?.split(what).next()?.parse::<usize>().ok()
        };
        lines.iter().filter(|line| line.contains(what)).filter_map(number).sum::<usize>()
    };
    let missing = counted(" lines were dropped here") + counted(" lines that guests printed are not shown");
    assert!(missing > 0, "{} lines", lines.len());
    assert_eq!(printed + missing, 2_000, "printed and counted lines");
}

#[test]
fn a_pipe_that_is_not_read_does_not_block_the_shutdown() {
    let guest = talkative();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = command(&guest, "127.0.0.1:0");
    command.stderr(writer);
    let (mut process, address) = start(command, &mut reader);
    answers(address);
    assert!(Command::new("kill").arg(process.0.id().to_string()).status().unwrap().success());
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_stopped_terminal_does_not_block_requests() {
    let (mut terminal, end) = terminal::open();
    let guest = talkative();
    let mut command = command(&guest, "127.0.0.1:0");
    command.stderr(end);
    let (_process, address) = start(command, &mut terminal);
    // Ctrl-S stops the terminal.
    terminal.write_all(b"\x13").unwrap();
    answers(address);
}

#[test]
fn a_closed_standard_error_does_not_block_requests() {
    let guest = talkative();
    // A port that was free a moment ago, because the server cannot print the one that it has taken.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = command(&guest, &free.to_string());
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" 2>&-"]).arg(server.get_program()).args(server.get_args());
    for (name, value) in server.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    let _process = KillOnDrop(shell.stdin(Stdio::null()).spawn().unwrap());
    eventually("the server listens", || std::net::TcpStream::connect(free).is_ok());
    answers(free);
}
