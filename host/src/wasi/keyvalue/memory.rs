//! A store in memory.

use super::{Entries, Failure, Outcome, size};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Entries by key, and keys by the order in which they were first stored.
pub(super) struct Memory {
    entries: HashMap<Arc<str>, (u64, Vec<u8>)>,
    order: BTreeMap<u64, Arc<str>>,
    last: u64,
    used: u64,
    limit: u64,
}

impl Memory {
    pub(super) fn new(limit: u64) -> Self {
        Self { entries: HashMap::new(), order: BTreeMap::new(), last: 0, used: 0, limit }
    }

    fn size_of(&self, key: &str) -> u64 {
        self.entries.get(key).map_or(0, |(_, value)| size(key, value.len()))
    }

    fn put(&mut self, key: &str, value: Vec<u8>) {
        self.used = self.used - self.size_of(key) + size(key, value.len());
        if let Some(entry) = self.entries.get_mut(key) {
            entry.1 = value;
        } else {
            self.last += 1;
            let key: Arc<str> = key.into();
            self.order.insert(self.last, Arc::clone(&key));
            self.entries.insert(key, (self.last, value));
        }
    }
}

impl Entries for Memory {
    fn get(&mut self, key: &str) -> Outcome<Option<Vec<u8>>> {
        Ok(self.entries.get(key).map(|(_, value)| value.clone()))
    }

    fn exists(&mut self, key: &str) -> Outcome<bool> {
        Ok(self.entries.contains_key(key))
    }

    fn set(&mut self, entries: &[(String, Vec<u8>)]) -> Outcome<()> {
        // The last value of a key that is named more than once is the one that stays.
        let last: HashMap<&str, &Vec<u8>> = entries.iter().map(|(key, value)| (&**key, value)).collect();
        let freed: u64 = last.keys().map(|key| self.size_of(key)).sum();
        let needed: u64 = last.iter().map(|(key, value)| size(key, value.len())).sum();
        if self.used - freed + needed > self.limit {
            return Err(Failure::Full);
        }
        for (key, value) in entries {
            self.put(key, value.clone());
        }
        Ok(())
    }

    fn delete(&mut self, keys: &[String]) -> Outcome<()> {
        for key in keys {
            self.used -= self.size_of(key);
            if let Some((number, _)) = self.entries.remove(&**key) {
                self.order.remove(&number);
            }
        }
        Ok(())
    }

    fn update(&mut self, key: &str, change: &dyn Fn(Option<Vec<u8>>) -> Outcome<Vec<u8>>) -> Outcome<()> {
        let value = change(self.get(key)?)?;
        if self.used - self.size_of(key) + size(key, value.len()) > self.limit {
            return Err(Failure::Full);
        }
        self.put(key, value);
        Ok(())
    }

    fn list(&mut self, after: u64, most: usize) -> Outcome<Vec<(u64, String)>> {
        let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
        Ok(self.order.range(first..).take(most).map(|(number, key)| (*number, key.to_string())).collect())
    }
}
