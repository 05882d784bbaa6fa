//! Stores of keys and values (`wasi:keyvalue`): in memory, or in a file of SQLite. All instances of a site share one, and so do
//! those that take their places at a reload.
//!
//! A store has a size, which counts each entry with its key and what it takes besides. What a guest would store beyond that is
//! refused, and so are keys, values and batches that are larger than the limits here.

mod memory;
mod sqlite;

use crate::config::grants::{Holder, KeyValueGrant, KeyValuePlace};
use anyhow::{Context as _, Result};
use memory::Memory;
use sqlite::Sqlite;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The longest key, in bytes: stores of others take 512 to 1,024.
const MAX_KEY: usize = 1024;

/// The largest value, in bytes: what a guest writes at a time. Larger things are files.
const MAX_VALUE: usize = 1024 * 1024;

/// The keys of one batch, and of one page of a list.
const MAX_BATCH: usize = 1000;

/// Bytes of the values that a batch returns, which the host holds twice: half of what a call may have it copy.
const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;

/// What an entry counts in addition to its key and value: its place in the tables of either kind. This is also what bounds
/// their number.
const ENTRY: u64 = 128;

/// What one entry counts.
fn size(key: &str, value: usize) -> u64 {
    ENTRY + key.len() as u64 + value as u64
}

/// Why a call fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Its key is longer than [`MAX_KEY`].
    Key,
    /// Its value is larger than [`MAX_VALUE`].
    Value,
    /// It is about more than [`MAX_BATCH`] keys, or would return more than [`MAX_BATCH_BYTES`].
    Batch,
    /// The store has no room for it.
    Full,
    /// What is to be incremented is not a decimal number of 64 bits.
    Number,
    /// The sum is no number of 64 bits.
    Overflow,
    /// The file cannot be read or written.
    File,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => write!(f, "a key may have {MAX_KEY} bytes"),
            Self::Value => write!(f, "a value may have {MAX_VALUE} bytes"),
            Self::Batch => {
                write!(f, "a batch may have {MAX_BATCH} keys, and return {MAX_BATCH_BYTES} bytes")
            }
            Self::Full => f.write_str("the store is full"),
            Self::Number => f.write_str("the value is not a number"),
            Self::Overflow => f.write_str("the number would be too large"),
            Self::File => f.write_str("the store cannot be read or written"),
        }
    }
}

type Outcome<T> = Result<T, Failure>;

/// A key and its value.
pub type Entry = (String, Vec<u8>);

/// The stores that are open.
type Open = Vec<(Identity, Weak<Store>)>;

/// A page of a list: keys, and where the next page begins if there is one.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The keys.
    pub keys: Vec<String>,
    /// What to ask the next page with.
    pub cursor: Option<u64>,
}

/// What holds entries. Each call is one transaction.
trait Entries: Send {
    fn get(&mut self, key: &str) -> Outcome<Option<Vec<u8>>>;
    fn exists(&mut self, key: &str) -> Outcome<bool>;
    /// Stores all of these, or none.
    fn set(&mut self, entries: &[(String, Vec<u8>)]) -> Outcome<()>;
    fn delete(&mut self, keys: &[String]) -> Outcome<()>;
    /// Changes a value in one step.
    fn update(&mut self, key: &str, change: &dyn Fn(Option<Vec<u8>>) -> Outcome<Vec<u8>>) -> Outcome<()>;
    /// So many keys, each with its number, which are larger than `after` and grow.
    fn list(&mut self, after: u64, most: usize) -> Outcome<Vec<(u64, String)>>;
}

/// A store.
pub struct Store(Mutex<Box<dyn Entries>>);

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

fn check_key(key: &str) -> Outcome<()> {
    if key.len() <= MAX_KEY { Ok(()) } else { Err(Failure::Key) }
}

fn check_batch(keys: usize) -> Outcome<()> {
    if keys <= MAX_BATCH { Ok(()) } else { Err(Failure::Batch) }
}

impl Store {
    fn lock(&self) -> MutexGuard<'_, Box<dyn Entries>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Outcome<Option<Vec<u8>>> {
        check_key(key)?;
        self.lock().get(key)
    }

    /// Whether there is a value.
    pub fn exists(&self, key: &str) -> Outcome<bool> {
        check_key(key)?;
        self.lock().exists(key)
    }

    /// The values of several keys, in their order.
    pub fn get_many(&self, keys: Vec<String>) -> Outcome<Vec<Option<Entry>>> {
        check_batch(keys.len())?;
        let mut entries = self.lock();
        let mut bytes = 0;
        let values = keys.into_iter().map(|key| {
            check_key(&key)?;
            let value = entries.get(&key)?;
            bytes += value.as_ref().map_or(0, Vec::len);
            if bytes > MAX_BATCH_BYTES { Err(Failure::Batch) } else { Ok(value.map(|value| (key, value))) }
        });
        values.collect()
    }

    /// Stores values, all or none.
    pub fn set(&self, values: &[(String, Vec<u8>)]) -> Outcome<()> {
        check_batch(values.len())?;
        for (key, value) in values {
            check_key(key)?;
            if value.len() > MAX_VALUE {
                return Err(Failure::Value);
            }
        }
        self.lock().set(values)
    }

    /// Deletes keys, as far as they are there.
    pub fn delete(&self, keys: &[String]) -> Outcome<()> {
        check_batch(keys.len())?;
        keys.iter().try_for_each(|key| check_key(key))?;
        self.lock().delete(keys)
    }

    /// Adds to a decimal number, which is 0 where there is none, and returns the sum.
    pub fn increment(&self, key: &str, delta: u64) -> Outcome<u64> {
        check_key(key)?;
        let sum = std::cell::Cell::new(0);
        self.lock().update(key, &|value| {
            let number = match value {
                None => 0,
                Some(value) => {
                    let text = String::from_utf8(value).map_err(|_| Failure::Number)?;
                    text.parse::<u64>().map_err(|_| Failure::Number)?
                }
            };
            sum.set(number.checked_add(delta).ok_or(Failure::Overflow)?);
            Ok(sum.get().to_string().into_bytes())
        })?;
        Ok(sum.get())
    }

    /// The keys from a cursor on, in the order in which they were first stored. Keys that are stored or deleted meanwhile move no
    /// others to another page.
    pub fn list(&self, cursor: Option<u64>) -> Outcome<Page> {
        let mut found = self.lock().list(cursor.unwrap_or(0), MAX_BATCH + 1)?;
        let more = found.len() > MAX_BATCH;
        found.truncate(MAX_BATCH);
        let cursor = found.last().filter(|_| more).map(|(number, _)| *number);
        Ok(Page { keys: found.into_iter().map(|(_, key)| key).collect(), cursor })
    }
}

/// Which store it is: one in memory belongs to a component of a site, and a file is the same store for all that name it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Identity {
    Memory { holder: Holder, name: String },
    File(PathBuf),
}

/// The stores of this process. A reload finds those that are still used.
static STORES: Mutex<Open> = Mutex::new(Vec::new());

/// Opens a store for a component, or finds it open. It holds so many bytes.
pub fn open(holder: &Holder, grant: &KeyValueGrant, bytes: u64) -> Result<Arc<Store>> {
    let identity = match &grant.place {
        KeyValuePlace::Memory => Identity::Memory { holder: holder.clone(), name: grant.name.clone() },
        KeyValuePlace::File(path) => Identity::File(canonical(path)),
    };
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    stores.retain(|(_, store)| store.strong_count() > 0);
    let found = stores.iter().find(|(other, _)| *other == identity);
    if let Some(store) = found.and_then(|(_, store)| store.upgrade()) {
        return Ok(store);
    }
    let entries: Box<dyn Entries> = match &grant.place {
        KeyValuePlace::Memory => Box::new(Memory::new(bytes)),
        KeyValuePlace::File(path) => {
            let opened = Sqlite::open(path, bytes);
            Box::new(opened.with_context(|| format!("{}={}", flag(holder, &grant.name), path.display()))?)
        }
    };
    let store = Arc::new(Store(Mutex::new(entries)));
    stores.push((identity, Arc::downgrade(&store)));
    Ok(store)
}

/// What names a store on the command line.
pub fn flag(holder: &Holder, name: &str) -> String {
    holder.grant("--keyvalue", name).unwrap_or_default()
}

/// A path without links, of which the last part may not be there yet.
pub fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| {
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new(".")).canonicalize();
        match (directory, path.file_name()) {
            (Ok(directory), Some(name)) => directory.join(name),
            _ => path.to_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{ENTRY, Failure, MAX_BATCH, MAX_KEY, MAX_VALUE, Store, open};
    use crate::config::grants::{Holder, KeyValueGrant, KeyValuePlace};
    use std::path::PathBuf;
    use std::sync::Arc;

    fn holder(site: &str) -> Holder {
        Holder { site: site.to_owned(), middleware: None }
    }

    fn grant(name: &str, file: Option<PathBuf>) -> KeyValueGrant {
        KeyValueGrant {
            name: name.to_owned(),
            place: file.map_or(KeyValuePlace::Memory, KeyValuePlace::File),
        }
    }

    /// Does something with a store of either kind, each of this size.
    fn each(name: &str, bytes: u64, then: impl Fn(&Store)) {
        let place = tempfile::tempdir().unwrap();
        then(&open(&holder("each"), &grant(name, None), bytes).unwrap());
        then(&open(&holder("each"), &grant(name, Some(place.path().join("store.sqlite"))), bytes).unwrap());
    }

    fn entry(key: &str, value: &str) -> (String, Vec<u8>) {
        (key.to_owned(), value.as_bytes().to_vec())
    }

    #[test]
    fn values_are_stored_replaced_and_deleted() {
        each("values", 1 << 20, |store| {
            assert_eq!(store.get("a"), Ok(None));
            store.set(&[entry("a", "1")]).unwrap();
            store.set(&[entry("a", "2"), entry("b", "")]).unwrap();
            assert_eq!(store.get("a"), Ok(Some(b"2".to_vec())));
            assert_eq!((store.exists("b"), store.exists("c")), (Ok(true), Ok(false)));
            let keys = ["b", "c", "a"].map(str::to_owned).to_vec();
            assert_eq!(
                store.get_many(keys.clone()),
                Ok(vec![Some(entry("b", "")), None, Some(entry("a", "2"))])
            );
            store.delete(&keys).unwrap();
            assert_eq!(store.list(None).unwrap().keys, Vec::<String>::new());
        });
    }

    #[test]
    fn numbers_are_incremented() {
        each("numbers", 1 << 20, |store| {
            assert_eq!(store.increment("n", 3), Ok(3));
            assert_eq!(store.increment("n", 4), Ok(7));
            assert_eq!(store.get("n"), Ok(Some(b"7".to_vec())));
            assert_eq!(store.increment("n", u64::MAX), Err(Failure::Overflow));
            store.set(&[entry("t", "text")]).unwrap();
            assert_eq!(store.increment("t", 1), Err(Failure::Number));
            assert_eq!(store.get("n"), Ok(Some(b"7".to_vec())));
        });
    }

    #[test]
    fn what_is_too_large_is_refused() {
        each("large", 1 << 30, |store| {
            let long = "k".repeat(MAX_KEY + 1);
            assert_eq!(store.get(&long), Err(Failure::Key));
            assert_eq!(store.set(&[(long, Vec::new())]), Err(Failure::Key));
            assert_eq!(store.set(&[("k".to_owned(), vec![0; MAX_VALUE + 1])]), Err(Failure::Value));
            store.set(&[("k".to_owned(), vec![0; MAX_VALUE])]).unwrap();
            assert_eq!(store.get_many(vec!["k".to_owned(); 9]), Err(Failure::Batch));
            assert_eq!(store.get_many(vec!["x".to_owned(); MAX_BATCH + 1]), Err(Failure::Batch));
        });
    }

    #[test]
    fn a_full_store_takes_no_more_until_something_is_deleted() {
        each("full", 2 * (ENTRY + 2), |store| {
            store.set(&[entry("a", "1"), entry("b", "2")]).unwrap();
            assert_eq!(store.set(&[entry("c", "3")]), Err(Failure::Full));
            assert_eq!(store.set(&[entry("a", "12")]), Err(Failure::Full));
            assert_eq!(store.increment("c", 1), Err(Failure::Full));
            store.set(&[entry("a", "3")]).unwrap();
            // All or none.
            store.delete(&["b".to_owned()]).unwrap();
            assert_eq!(store.set(&[entry("a", "4"), entry("b", "5"), entry("c", "6")]), Err(Failure::Full));
            assert_eq!(store.get("a"), Ok(Some(b"3".to_vec())));
            assert_eq!(store.exists("b"), Ok(false));
            store.set(&[entry("c", "3")]).unwrap();
        });
    }

    #[test]
    fn a_list_comes_in_pages_that_changes_do_not_move() {
        each("pages", 1 << 30, |store| {
            for batch in 0..3 {
                let entries: Vec<_> = (0..MAX_BATCH).map(|at| entry(&format!("{batch}-{at}"), "")).collect();
                store.set(&entries).unwrap();
            }
            let first = store.list(None).unwrap();
            assert_eq!((first.keys.len(), &*first.keys[0]), (MAX_BATCH, "0-0"));
            store.delete(&["0-5".to_owned(), "0-6".to_owned()]).unwrap();
            let second = store.list(first.cursor).unwrap();
            assert_eq!(&*second.keys[0], "1-0");
            let third = store.list(second.cursor).unwrap();
            assert_eq!((third.keys.len(), third.cursor), (MAX_BATCH, None));
            assert_eq!(store.list(Some(u64::MAX)).unwrap().keys, Vec::<String>::new());
        });
    }

    #[test]
    fn a_store_is_found_again_while_it_is_used() {
        let grant = grant("found", None);
        let first = open(&holder("one"), &grant, 1 << 20).unwrap();
        assert!(Arc::ptr_eq(&first, &open(&holder("one"), &grant, 1 << 20).unwrap()));
        assert!(!Arc::ptr_eq(&first, &open(&holder("other"), &grant, 1 << 20).unwrap()));
        first.set(&[entry("a", "1")]).unwrap();
        drop(first);
        assert_eq!(open(&holder("one"), &grant, 1 << 20).unwrap().exists("a"), Ok(false));
    }

    #[test]
    fn a_file_keeps_its_values() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("kept.sqlite");
        let grant = grant("kept", Some(path.clone()));
        let store = open(&holder("one"), &grant, 2 * (ENTRY + 2)).unwrap();
        store.set(&[entry("a", "1")]).unwrap();
        drop(store);
        let store = open(&holder("two"), &grant, 2 * (ENTRY + 2)).unwrap();
        assert_eq!(store.get("a"), Ok(Some(b"1".to_vec())));
        // Its size counts what was there.
        assert_eq!(store.set(&[entry("b", "2"), entry("c", "3")]), Err(Failure::Full));
        drop(store);

        std::fs::write(&path, "no database, but a text that is long enough to be none").unwrap();
        let error = format!("{:#}", open(&holder("one"), &grant, 1 << 20).unwrap_err());
        assert!(error.starts_with(&format!("--keyvalue kept={}: ", path.display())), "{error}");
    }
}
