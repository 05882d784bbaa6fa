//! A store in a file of SQLite. Its files are opened at the start: behind the lockdown, no more can be.

use super::{Entries, Failure, Outcome};
use anyhow::{Context as _, Result};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

/// How long another process may hold the file before a call fails: the thread waits meanwhile.
const BUSY_TIMEOUT: Duration = Duration::from_millis(250);

/// How much larger than what is stored its file may be: pages are partly empty, and tables have an index.
const FILE_FACTOR: u64 = 4;

/// Pages of a file with nothing in it, and some more.
const SPARE_PAGES: i64 = 64;

/// Numbers are not used again, so that a cursor stays where it is. The sum of all entries is kept beside them, by triggers.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    value BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS used (bytes INTEGER NOT NULL) STRICT;
INSERT INTO used SELECT 0 WHERE NOT EXISTS (SELECT * FROM used);
CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON entries BEGIN
    UPDATE used SET bytes = bytes + 128 + octet_length(new.key) + octet_length(new.value);
END;
CREATE TRIGGER IF NOT EXISTS changed AFTER UPDATE ON entries BEGIN
    UPDATE used SET bytes = bytes + octet_length(new.value) - octet_length(old.value);
END;
CREATE TRIGGER IF NOT EXISTS removed AFTER DELETE ON entries BEGIN
    UPDATE used SET bytes = bytes - 128 - octet_length(old.key) - octet_length(old.value);
END;
";

pub(super) struct Sqlite {
    connection: Connection,
    limit: u64,
}

impl Sqlite {
    /// Opens a file, and makes it if it is not there.
    pub(super) fn open(path: &Path, limit: u64) -> Result<Self> {
        // Before the library does it, for the rights of the file and for the words of the system where it cannot be opened.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(path).context("cannot be opened for writing")?;
        let connection = Connection::open(path).context("cannot be opened")?;
        let set_up = || -> rusqlite::Result<()> {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            // What is written needs the file and its log only, which stay open, and survives the end of this process. Of the
            // system's, it survives all but the last moments.
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.pragma_update(None, "temp_store", "MEMORY")?;
            // A file that was made by another program may have more in it than a table.
            connection.pragma_update(None, "trusted_schema", "OFF")?;
            connection.execute_batch(TABLES)?;
            // Writes, which opens the log whatever the rest has needed.
            connection.execute("UPDATE used SET bytes = bytes", [])?;
            // A fault of what counts must not fill the disk.
            let page: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
            let most = (FILE_FACTOR * limit).cast_signed() / page + SPARE_PAGES;
            connection.pragma_update(None, "max_page_count", most)
        };
        set_up().context("is not a store that can be used")?;
        Ok(Self { connection, limit })
    }

    fn value(connection: &Connection, key: &str) -> Outcome<Option<Vec<u8>>> {
        let mut statement =
            connection.prepare_cached("SELECT value FROM entries WHERE key = ?").map_err(failed)?;
        statement.query_row([key], |row| row.get(0)).optional().map_err(failed)
    }

    fn put(connection: &Connection, key: &str, value: &[u8]) -> Outcome<()> {
        let mut statement = connection
            .prepare_cached(
                "INSERT INTO entries (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            )
            .map_err(failed)?;
        statement.execute(params![key, value]).map_err(failed)?;
        Ok(())
    }

    /// Makes changes, unless the store would be too full after them.
    fn change(&mut self, changes: impl FnOnce(&Connection) -> Outcome<()>) -> Outcome<()> {
        let limit = self.limit;
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior).map_err(failed)?;
        let before = used(&transaction)?;
        changes(&transaction)?;
        let after = used(&transaction)?;
        // One that has become smaller is never too full: its limit may have been lowered.
        if after > limit && after > before {
            return Err(Failure::Full);
        }
        transaction.commit().map_err(failed)
    }
}

/// What all entries count.
fn used(connection: &Connection) -> Outcome<u64> {
    let mut statement = connection.prepare_cached("SELECT bytes FROM used").map_err(failed)?;
    let bytes: i64 = statement.query_row([], |row| row.get(0)).map_err(failed)?;
    Ok(bytes.unsigned_abs())
}

impl Entries for Sqlite {
    fn get(&mut self, key: &str) -> Outcome<Option<Vec<u8>>> {
        Self::value(&self.connection, key)
    }

    fn exists(&mut self, key: &str) -> Outcome<bool> {
        let statement = self.connection.prepare_cached("SELECT 1 FROM entries WHERE key = ?");
        statement.map_err(failed)?.exists([key]).map_err(failed)
    }

    fn set(&mut self, entries: &[(String, Vec<u8>)]) -> Outcome<()> {
        self.change(|connection| {
            entries.iter().try_for_each(|(key, value)| Self::put(connection, key, value))
        })
    }

    fn delete(&mut self, keys: &[String]) -> Outcome<()> {
        self.change(|connection| {
            let mut statement =
                connection.prepare_cached("DELETE FROM entries WHERE key = ?").map_err(failed)?;
            keys.iter().try_for_each(|key| statement.execute([key]).map(drop).map_err(failed))
        })
    }

    fn update(&mut self, key: &str, change: &dyn Fn(Option<Vec<u8>>) -> Outcome<Vec<u8>>) -> Outcome<()> {
        self.change(|connection| {
            let value = change(Self::value(connection, key)?)?;
            Self::put(connection, key, &value)
        })
    }

    fn list(&mut self, after: u64, most: usize) -> Outcome<Vec<(u64, String)>> {
        let Ok(after) = i64::try_from(after) else { return Ok(Vec::new()) };
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut statement = self
            .connection
            .prepare_cached("SELECT number, key FROM entries WHERE number > ? ORDER BY number LIMIT ?")
            .map_err(failed)?;
        let rows = statement
            .query_map(params![after, most], |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?)));
        rows.map_err(failed)?.collect::<rusqlite::Result<_>>().map_err(failed)
    }
}

/// The library's words are not the guest's.
#[allow(clippy::needless_pass_by_value)]
fn failed(error: rusqlite::Error) -> Failure {
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) {
        Failure::Full
    } else {
        Failure::File
    }
}
