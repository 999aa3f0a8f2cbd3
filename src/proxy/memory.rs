//! Properties and shared data in memory.

use super::{Properties, SharedData, VersionMismatch, Versioned};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Properties that were told, by their path: `["source", "address"]`.
#[derive(Clone, Debug, Default)]
pub struct MemoryProperties(pub BTreeMap<Vec<String>, Vec<u8>>);

impl MemoryProperties {
    /// Adds a property.
    #[must_use]
    pub fn with(mut self, path: &[&str], value: impl Into<Vec<u8>>) -> MemoryProperties {
        let path = path.iter().map(|part| (*part).to_owned()).collect();
        self.0.insert(path, value.into());
        self
    }
}

impl Properties for MemoryProperties {
    fn get(&self, path: &[&str]) -> Option<Vec<u8>> {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        self.0.get(&path).cloned()
    }
}

/// Shared data of one process with one worker.
#[derive(Debug, Default)]
pub struct MemorySharedData {
    values: RefCell<BTreeMap<String, Versioned>>,
}

impl SharedData for MemorySharedData {
    fn get(&self, key: &str) -> Option<Versioned> {
        self.values.borrow().get(key).cloned()
    }

    fn set(&self, key: &str, value: &[u8], version: u32) -> Result<(), VersionMismatch> {
        let mut values = self.values.borrow_mut();
        let known = values.get(key).map_or(0, |known| known.version);
        if version != 0 && version != known {
            return Err(VersionMismatch);
        }
        let written = Versioned {
            value: value.to_vec(),
            version: known.wrapping_add(1).max(1),
        };
        values.insert(key.to_owned(), written);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_with_an_old_version_is_refused() {
        let data = MemorySharedData::default();
        assert_eq!(data.get("a"), None);
        data.set("a", b"1", 0).unwrap();
        let first = data.get("a").unwrap();
        data.set("a", b"2", first.version).unwrap();
        assert_eq!(data.set("a", b"3", first.version), Err(VersionMismatch));
        assert_eq!(data.get("a").unwrap().value, b"2");
    }
}
