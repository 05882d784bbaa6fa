//! From a request to a plan, natively, over a temporary directory.

#![allow(clippy::unwrap_used, reason = "a test panics when something is not as it should be")]

use guest::path::RelativePath;
use guest::request::{Headers, Method, Request};
use guest::resolve::{Kind, Metadata, Timestamp, Tree, TreeError};
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

const NOW: Timestamp = Timestamp { seconds: 1_800_000_000, nanoseconds: 0 };

/// A directory of the machine. It fails on purpose at a file called `broken`.
struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: &str, seconds: u64) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let modified = UNIX_EPOCH + Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
    }

    fn path(&self, path: &RelativePath) -> Result<PathBuf, TreeError> {
        if path.file_name() == "broken" {
            Err(TreeError::Failed)
        } else {
            Ok(self.0.path().join(path.as_str()))
        }
    }
}

/// Takes the error by value, as `map_err` gives it.
#[allow(clippy::needless_pass_by_value)]
fn tree_error(error: std::io::Error) -> TreeError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => TreeError::NotFound,
        _ => TreeError::Failed,
    }
}

fn kind(metadata: &fs::Metadata) -> Kind {
    match (metadata.is_file(), metadata.is_dir()) {
        (true, _) => Kind::File,
        (_, true) => Kind::Directory,
        _ => Kind::Other,
    }
}

impl Tree for Directory {
    type File = File;

    async fn kind(&self, path: &RelativePath) -> Result<Kind, TreeError> {
        fs::metadata(self.path(path)?).map(|metadata| kind(&metadata)).map_err(tree_error)
    }

    async fn open(&self, path: &RelativePath) -> Result<(File, Metadata), TreeError> {
        let file = File::open(self.path(path)?).map_err(tree_error)?;
        let metadata = file.metadata().map_err(tree_error)?;
        let modified = metadata.modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
        let modified = Timestamp { seconds: modified.as_secs(), nanoseconds: modified.subsec_nanos() };
        Ok((file, Metadata { kind: kind(&metadata), length: metadata.len(), modified: Some(modified) }))
    }

    async fn read(&self, file: &File, offset: u64) -> Result<Vec<u8>, TreeError> {
        // A few bytes at a time, so that hashing has pieces to put together.
        let mut piece = vec![0; 3];
        let length = file.read_at(&mut piece, offset).map_err(tree_error)?;
        piece.truncate(length);
        Ok(piece)
    }
}

fn ask(directory: &Directory, method: Method, target: &str, fields: &[(&str, &str)]) -> Plan<File> {
    let fields = fields.iter().map(|(name, value)| ((*name).into(), value.as_bytes().to_vec())).collect();
    let request = Request { method, target: target.into(), headers: Headers::new(fields) };
    let mut plan = pin!(respond(directory, &request, || NOW));
    match plan.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(plan) => plan,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn get(directory: &Directory, target: &str) -> Plan<File> {
    ask(directory, Method::Get, target, &[])
}

fn header<'a>(plan: &'a Plan<File>, name: &str) -> Option<&'a str> {
    plan.headers.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_str())
}

#[test]
fn a_file_is_planned_as_a_piece_of_itself() {
    let directory = Directory::new();
    directory.file("a.txt", "hello", 1_700_000_000);
    let plan = get(&directory, "/a.txt");
    assert_eq!(plan.status, 200);
    assert_eq!(header(&plan, "content-length"), Some("5"));
    assert_eq!(header(&plan, "etag"), Some("\"17979cfe362a0000-5\""));
    assert!(matches!(plan.body, Body::File { offset: 0, length: 5, .. }));

    let head = ask(&directory, Method::Head, "/a.txt", &[]);
    assert_eq!((head.status, &head.headers), (200, &plan.headers));
    assert!(matches!(head.body, Body::Empty));

    let again = ask(&directory, Method::Get, "/a.txt", &[("if-none-match", "\"17979cfe362a0000-5\"")]);
    assert_eq!((again.status, header(&again, "content-length")), (304, None));
    assert!(matches!(again.body, Body::Empty));
}

#[test]
fn a_directory_is_its_index_or_a_redirect_or_nothing() {
    let directory = Directory::new();
    directory.file("with/index.html", "index", 1_700_000_000);
    directory.file("without/other.html", "other", 1_700_000_000);
    fs::create_dir_all(directory.0.path().join("odd/index.html")).unwrap();
    assert_eq!(header(&get(&directory, "/with/"), "content-type"), Some("text/html; charset=utf-8"));
    let redirect = get(&directory, "/with?x");
    assert_eq!((redirect.status, header(&redirect, "location")), (308, Some("/with/?x")));
    for target in ["/", "/without/", "/odd/", "/with/index.html/", "/missing", "/missing/"] {
        assert_eq!(get(&directory, target).status, 404, "{target}");
    }
}

#[test]
fn what_may_not_be_told_apart_is_planned_alike() {
    let directory = Directory::new();
    directory.file(".hidden", "secret", 1_700_000_000);
    directory.file(".well-known/x", "public", 1_700_000_000);
    let missing = get(&directory, "/missing");
    for target in ["/.hidden", "/../x", "/a%2fb", "/nul"] {
        let plan = get(&directory, target);
        assert_eq!((plan.status, &plan.headers), (404, &missing.headers), "{target}");
    }
    assert_eq!(get(&directory, "/.well-known/x").status, 200);
    assert_eq!(get(&directory, "/%").status, 400);
}

#[test]
fn a_time_that_says_nothing_is_replaced_by_a_hash_of_the_content() {
    let directory = Directory::new();
    let tag = |content: &str, seconds| {
        directory.file("a.txt", content, seconds);
        let plan = get(&directory, "/a.txt");
        assert_eq!(header(&plan, "last-modified"), None);
        header(&plan, "etag").unwrap().to_owned()
    };
    assert_eq!(tag("content", 0), tag("content", 1));
    assert_ne!(tag("content", 0), tag("contenu", 0));
}

#[test]
fn a_fault_of_the_system_is_no_missing_file() {
    let directory = Directory::new();
    assert_eq!(get(&directory, "/broken").status, 500);
    assert_eq!(ask(&directory, Method::Other, "/broken", &[]).status, 405);
    assert_eq!(ask(&directory, Method::Options, "/broken", &[]).status, 204);
}
