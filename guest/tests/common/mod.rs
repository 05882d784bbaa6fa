//! A temporary directory as a tree, and requests for what is in it, without any server.

use guest::config::Settings;
use guest::path::RelativePath;
use guest::request::{Headers, Method, Request};
use guest::resolve::{Extent, Kind, Metadata, Names, Timestamp, Tree, TreeError};
use guest::respond;
use guest::response::{Body, Plan};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

/// When everything is asked.
pub const NOW: Timestamp = Timestamp { seconds: 1_800_000_000, nanoseconds: 0 };

/// When files were last changed, unless a test says otherwise.
pub const MODIFIED_SECONDS: u64 = 1_700_000_000;

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
        Self { settings: Settings::from_environment(&variables).unwrap(), ..Self::new() }
    }

    /// Where something is on the machine.
    pub fn on_disk(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Adds a file.
    pub fn file(&self, name: &str, content: &str) -> &Self {
        self.file_modified(name, content, MODIFIED_SECONDS)
    }

    /// Adds a file that was last changed so many seconds after 1970.
    pub fn file_modified(&self, name: &str, content: &str, seconds: u64) -> &Self {
        let path = self.on_disk(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let modified = UNIX_EPOCH + Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
        self
    }

    /// The answer to a request.
    pub fn ask(&self, method: Method, target: &str, fields: &[(&str, &str)]) -> Plan<File> {
        let fields = fields.iter().map(|(name, value)| ((*name).into(), value.as_bytes().to_vec())).collect();
        let request = Request { method, target: target.into(), headers: Headers::new(fields) };
        self.answer(&request)
    }

    /// The answer to a request.
    pub fn answer(&self, request: &Request) -> Plan<File> {
        let mut plan = pin!(respond(self, &self.settings, request, || NOW));
        match plan.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(plan) => plan,
            Poll::Pending => panic!("nothing here waits"),
        }
    }

    /// The answer to a GET.
    pub fn get(&self, target: &str) -> Plan<File> {
        self.ask(Method::Get, target, &[])
    }

    fn path(&self, path: &RelativePath) -> Result<PathBuf, TreeError> {
        if path.file_name() == "broken" { Err(TreeError::Failed) } else { Ok(self.on_disk(path.as_str())) }
    }
}

/// Takes the error by value, as `map_err` gives it.
#[allow(clippy::needless_pass_by_value)]
fn tree_error(error: std::io::Error) -> TreeError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename => TreeError::NotFound,
        _ => TreeError::Failed,
    }
}

fn metadata(metadata: &fs::Metadata) -> Metadata {
    let modified = metadata.modified().unwrap().duration_since(UNIX_EPOCH).ok();
    Metadata {
        kind: match (metadata.is_file(), metadata.is_dir()) {
            (true, _) => Kind::File,
            (_, true) => Kind::Directory,
            _ => Kind::Other,
        },
        length: metadata.len(),
        modified: modified
            .map(|time| Timestamp { seconds: time.as_secs(), nanoseconds: time.subsec_nanos() }),
    }
}

impl Tree for Directory {
    type File = File;

    async fn stat(&self, path: &RelativePath) -> Result<Metadata, TreeError> {
        fs::metadata(self.path(path)?).map(|found| metadata(&found)).map_err(tree_error)
    }

    async fn open(&self, path: &RelativePath) -> Result<(File, Metadata), TreeError> {
        let file = File::open(self.path(path)?).map_err(tree_error)?;
        let found = file.metadata().map_err(tree_error)?;
        Ok((file, metadata(&found)))
    }

    async fn read(&self, file: &File, offset: u64) -> Result<Vec<u8>, TreeError> {
        // A few bytes at a time, so that what reads has pieces to put together.
        let mut piece = vec![0; 3];
        let length = file.read_at(&mut piece, offset).map_err(tree_error)?;
        piece.truncate(length);
        Ok(piece)
    }

    async fn list(&self, path: &RelativePath, largest: Extent) -> Result<Names, TreeError> {
        let mut names = Names::default();
        for entry in fs::read_dir(self.path(path)?).map_err(tree_error)? {
            let entry = entry.map_err(tree_error)?;
            let kind = match entry.file_type().map_err(tree_error)? {
                kind if kind.is_file() => Some(Kind::File),
                kind if kind.is_dir() => Some(Kind::Directory),
                kind if kind.is_symlink() => None,
                _ => Some(Kind::Other),
            };
            match entry.file_name().into_string() {
                Ok(name) => names.push(name, kind, largest)?,
                Err(_) => names.unreadable += 1,
            }
        }
        Ok(names)
    }
}

/// The value of a field of a plan.
pub fn header<'a>(plan: &'a Plan<File>, name: &str) -> Option<&'a str> {
    let mut values = plan.headers.iter().filter(|(field, _)| field == name);
    let first = values.next().map(|(_, value)| value.as_str());
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
    }
}

/// The body as text.
pub fn text(plan: &Plan<File>) -> String {
    String::from_utf8(body(plan)).unwrap()
}
