//! Unix sockets: made with their permissions, in the place of one that a dead server has left, and removed at the end.

use super::bind::BACKLOG;
use super::listener::Listener;
use anyhow::{Context as _, Result, bail};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// The file of a unix socket that this server has made. It is removed when this is dropped, unless another file has taken
/// its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    id: FileId,
}

/// The device and the inode of a file. As long as the socket is open, no other file gets the same.
#[derive(Debug, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = path.symlink_metadata()?;
        Ok(Self(metadata.dev(), metadata.ino()))
    }
}

impl SocketFile {
    /// The directory that holds it.
    pub(super) fn directory(&self) -> &Path {
        directory(&self.path)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if FileId::of(&self.path).is_ok_and(|id| id == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens at a path that this flag names, with these permissions. `others` are the listeners of this server so far.
pub(super) fn bind_path(path: &Path, flag: &str, mode: u32, others: &[Listener]) -> Result<Listener> {
    bind_and_listen(path, flag, mode, others)
        .with_context(|| format!("cannot listen on unix:{}", path.display()))
}

fn bind_and_listen(path: &Path, flag: &str, mode: u32, others: &[Listener]) -> Result<Listener> {
    let address = SocketAddrUnix::new(path)?;
    let socket = socket()?;
    match bind(&socket, &address) {
        Err(Errno::ADDRINUSE) => {
            remove_stale(path, flag, &address, others)?;
            bind(&socket, &address).map_err(|error| explain(path, error))?;
        }
        outcome => outcome.map_err(|error| explain(path, error))?,
    }
    let file = SocketFile { path: path.to_owned(), id: FileId::of(path)? };
    // Clients cannot connect before `listen`, so there is no moment at which other permissions matter.
    fs::set_permissions(path, Permissions::from_mode(mode)).context("cannot set its permissions")?;
    listen(&socket, BACKLOG)?;
    Ok(Listener::unix(UnixListener::from(socket))?.with_file(file))
}

fn socket() -> rustix::io::Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

/// Removes what stands at the path if it is a socket on which no process listens.
fn remove_stale(path: &Path, flag: &str, address: &SocketAddrUnix, others: &[Listener]) -> Result<()> {
    let metadata = match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    if !metadata.file_type().is_socket() {
        bail!("there is a file that is not a socket; remove it, or take another path");
    }
    let id = FileId(metadata.dev(), metadata.ino());
    if others.iter().filter_map(Listener::file).any(|file| file.id == id) {
        bail!("this server listens there already; leave {flag} out, or take another path");
    }
    // The socket does not block: where a queue is full, the answer is `EAGAIN`.
    match connect(&socket()?, address) {
        Err(Errno::CONNREFUSED) => {}
        Err(Errno::NOENT) => return Ok(()),
        Ok(()) | Err(Errno::AGAIN) => {
            bail!("another program listens there: stop that, or take another path");
        }
        Err(error) => {
            bail!("there is a socket, and it is unknown whether a program listens there ({error}); remove it")
        }
    }
    fs::remove_file(path).context("cannot remove the socket that another server has left")
}

/// The directory that holds a file.
fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

/// Why a path cannot be bound, and what to do.
fn explain(path: &Path, error: Errno) -> anyhow::Error {
    let parent = directory(path).display();
    let hint = match error {
        Errno::NOENT => format!("; there is no directory {parent}: create it first"),
        Errno::NOTDIR => format!("; {parent} is not a directory: take another path"),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => {
            format!("; take a path in a directory that this user may write to, not in {parent}")
        }
        _ => "; take another path".to_owned(),
    };
    anyhow::anyhow!("{}{hint}", std::io::Error::from(error))
}

#[cfg(test)]
mod tests {
    use super::bind_path;
    use std::fs;
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    #[test]
    fn a_socket_is_removed_with_its_listener_unless_another_has_taken_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = bind_path(&path, "--addr", 0o600, &[]).unwrap();
        UnixStream::connect(&path).unwrap();
        drop(listener);
        assert!(!path.exists());

        let listener = bind_path(&path, "--addr", 0o600, &[]).unwrap();
        fs::remove_file(&path).unwrap();
        let other = UnixListener::bind(&path).unwrap();
        drop(listener);
        assert!(path.exists());
        drop(other);
        // No process listens on it any more.
        bind_path(&path, "--addr", 0o600, &[]).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_is_not_a_stale_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let fails = |expected: &str, others: &[_]| {
            let error = format!("{:#}", bind_path(&path, "--addr", 0o600, others).unwrap_err());
            assert!(error.contains(expected), "{error}");
            assert!(path.symlink_metadata().is_ok());
        };
        fs::write(&path, "").unwrap();
        fails("not a socket", &[]);
        fs::remove_file(&path).unwrap();
        // A link to a socket is not followed, whatever listens there.
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        fails("not a socket", &[]);
        fs::remove_file(&path).unwrap();
        let datagrams = UnixDatagram::bind(&path).unwrap();
        fails("unknown whether", &[]);
        drop(datagrams);
        fs::remove_file(&path).unwrap();
        let other = UnixListener::bind(&path).unwrap();
        fails("another program", &[]);
        drop(other);
        let ours = bind_path(&path, "--addr", 0o600, &[]).unwrap();
        fails("this server", &[ours]);
    }
}
