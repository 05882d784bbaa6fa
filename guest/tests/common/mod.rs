//! A temporary directory as a tree, and requests for what is in it, without any server.

use guest::config::Settings;
use guest::path::RelativePath;
use guest::request::{Headers, Method, Request};
use guest::respond;
use guest::response::{Body, Plan};
use guest::tree::{Extent, Kind, Metadata, Names, Timestamp, Tree, TreeError};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

/// When everything is asked.
pub const NOW: Timestamp = Timestamp { seconds: 1_800_000_000, nanoseconds: 0 };

/// When files were last modified, unless a test says otherwise. With a nanosecond, as no tool sets it.
pub const MODIFIED: Duration = Duration::new(1_700_000_000, 1);

/// A directory of the machine. It fails on purpose at a file called `broken`.
pub struct Directory {
    root: TempDir,
    pub settings: Settings,
}

impl Directory {
    /// An empty one, with the default settings.
    pub fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), settings: Settings::default() }
    }

    /// An empty one, with these settings.
    pub fn with(variables: &[(&str, &str)]) -> Self {
        let variables: Vec<_> =
            variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { settings: Settings::from_environment(variables).unwrap(), ..Self::new() }
    }

    /// Where something is on the machine.
    pub fn on_disk(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Adds a file.
    pub fn file(&self, name: &str, content: &str) -> &Self {
        self.file_modified(name, content, MODIFIED)
    }

    /// Adds a file that was last modified at a time since 1970.
    pub fn file_modified(&self, name: &str, content: &str, modified: Duration) -> &Self {
        let path = self.on_disk(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        File::options().write(true).open(path).unwrap().set_modified(UNIX_EPOCH + modified).unwrap();
        self
    }

    /// The answer to a request.
    pub fn ask(&self, method: Method, target: &str, fields: &[(&str, &str)]) -> Plan<File> {
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| ((*name).into(), value.as_bytes().to_vec())).collect();
        let request = Request { method, target: target.into(), headers: Headers::new(fields) };
        self.answer(&request)
    }

    /// The answer to a request where the environment has these variables.
    pub fn handle(&self, variables: &[(String, String)], method: Method, target: &str) -> Plan<File> {
        let request = Request { method, target: target.into(), headers: Headers::default() };
        let settings = Settings::from_environment(variables.to_vec());
        ready(guest::handle(self, settings.as_ref(), &request, || NOW))
    }

    /// The answer to a request.
    pub fn answer(&self, request: &Request) -> Plan<File> {
        ready(respond(self, &self.settings, request, || NOW))
    }

    /// The answer to a GET.
    pub fn get(&self, target: &str) -> Plan<File> {
        self.ask(Method::Get, target, &[])
    }

    fn path(&self, path: &RelativePath) -> Result<PathBuf, TreeError> {
        if path.file_name() == "broken" {
            Err(TreeError::Failed("cannot read `broken`: io".into()))
        } else {
            Ok(self.on_disk(path.as_str()))
        }
    }
}

/// The result of a future that never waits.
pub fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// Takes the error by value, as `map_err` gives it.
#[allow(clippy::needless_pass_by_value)]
fn tree_error(error: std::io::Error) -> TreeError {
    match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::InvalidFilename => TreeError::NotFound,
        _ => TreeError::Failed(error.to_string()),
    }
}

fn metadata(metadata: &fs::Metadata) -> Metadata {
    let modified = metadata.modified().unwrap().duration_since(UNIX_EPOCH).ok();
    let changed = |seconds| Timestamp { seconds, nanoseconds: u32::try_from(metadata.ctime_nsec()).unwrap() };
    Metadata {
        kind: match (metadata.is_file(), metadata.is_dir()) {
            (true, _) => Kind::File,
            (_, true) => Kind::Directory,
            _ => Kind::Other,
        },
        length: metadata.len(),
        modified: modified
            .map(|time| Timestamp { seconds: time.as_secs(), nanoseconds: time.subsec_nanos() }),
        changed: u64::try_from(metadata.ctime()).ok().map(changed),
    }
}

impl Tree for Directory {
    type File = File;
    type Directory = PathBuf;

    async fn stat(&self, path: &RelativePath) -> Result<Metadata, TreeError> {
        fs::metadata(self.path(path)?).map(|found| metadata(&found)).map_err(tree_error)
    }

    async fn exists(&self, path: &RelativePath) -> Result<bool, TreeError> {
        Ok(fs::symlink_metadata(self.path(path)?).is_ok())
    }

    async fn is_link(&self, path: &RelativePath) -> Result<bool, TreeError> {
        fs::symlink_metadata(self.path(path)?).map(|found| found.is_symlink()).map_err(tree_error)
    }

    async fn open(&self, path: &RelativePath) -> Result<(File, Metadata), TreeError> {
        let file = File::open(self.path(path)?).map_err(tree_error)?;
        let found = file.metadata().map_err(tree_error)?;
        Ok((file, metadata(&found)))
    }

    async fn read_start(&self, path: &RelativePath, limit: usize) -> Result<Vec<u8>, TreeError> {
        let mut bytes = fs::read(self.path(path)?).map_err(tree_error)?;
        bytes.truncate(limit);
        Ok(bytes)
    }

    async fn open_directory(&self, path: &RelativePath) -> Result<PathBuf, TreeError> {
        let path = self.path(path)?;
        fs::read_dir(&path).map(|_| path).map_err(tree_error)
    }

    async fn names(&self, directory: &PathBuf, limit: Extent) -> Result<Names, TreeError> {
        let mut names = Names::default();
        for entry in fs::read_dir(directory).map_err(tree_error)? {
            let entry = entry.map_err(tree_error)?;
            let kind = match entry.file_type().map_err(tree_error)? {
                kind if kind.is_file() => Some(Kind::File),
                kind if kind.is_dir() => Some(Kind::Directory),
                kind if kind.is_symlink() => None,
                _ => Some(Kind::Other),
            };
            match entry.file_name().into_string() {
                Ok(name) => {
                    if !names.push(name, kind, limit) {
                        break;
                    }
                }
                Err(_) => names.unreadable += 1,
            }
        }
        Ok(names)
    }

    async fn stat_in(&self, directory: &PathBuf, name: &str) -> Result<Metadata, TreeError> {
        fs::metadata(directory.join(name)).map(|found| metadata(&found)).map_err(tree_error)
    }
}

/// The value of a field of a plan.
pub fn header<'a>(plan: &'a Plan<File>, name: &str) -> Option<&'a str> {
    let mut values = plan.headers.iter().filter(|(field, _)| field == name);
    let first = values.next().map(|(_, value)| &**value);
    assert!(values.next().is_none(), "{name} twice: {:?}", plan.headers);
    first
}

/// The whole body of a plan, as a client would get it.
pub fn body(plan: &Plan<File>) -> Vec<u8> {
    let piece = |file: &File, offset: u64, length: u64| {
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        file.read_exact_at(&mut bytes, offset).unwrap();
        bytes
    };
    match &plan.body {
        Body::Empty => Vec::new(),
        Body::Bytes(bytes) => bytes.clone(),
        Body::File { file, offset, length } => piece(file, *offset, *length),
        Body::Parts { file, parts, end } => {
            let mut bytes = Vec::new();
            for (head, range) in parts {
                bytes.extend_from_slice(head.as_bytes());
                bytes.extend(piece(file, range.first, range.length()));
            }
            bytes.extend_from_slice(end.as_bytes());
            bytes
        }
        Body::Archive(_) => panic!("an archive is sent by a tree"),
    }
}

/// The body as text.
pub fn text(plan: &Plan<File>) -> String {
    String::from_utf8(body(plan)).unwrap()
}
