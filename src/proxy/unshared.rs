//! Shared data with writes that stay private.

use super::{SharedData, VersionMismatch, Versioned};
use std::cell::RefCell;
use std::rc::Rc;

/// Shared data for an evaluation. It returns the values that others have written, except for keys that the evaluation
/// has written itself. One exchange writes a few keys, so that the search among them is linear.
pub struct UnsharedWrites {
    shared: Rc<dyn SharedData>,
    written: RefCell<Vec<(Box<str>, Versioned)>>,
}

impl UnsharedWrites {
    /// Creates a view of shared data without any writes of its own.
    pub fn over(shared: &Rc<dyn SharedData>) -> UnsharedWrites {
        UnsharedWrites {
            shared: Rc::clone(shared),
            written: RefCell::default(),
        }
    }
}

impl SharedData for UnsharedWrites {
    fn get(&self, key: &str) -> Option<Versioned> {
        let written = self.written.borrow();
        let own = written.iter().find(|(known, _)| **known == *key);
        match own {
            Some((_, value)) => Some(value.clone()),
            None => self.shared.get(key),
        }
    }

    /// Sets the value of a key for this view only. No other worker writes to it, so that no version is outdated.
    fn set(&self, key: &str, value: &[u8], version: u32) -> Result<(), VersionMismatch> {
        let value = Versioned {
            value: value.to_vec(),
            version: version.wrapping_add(1).max(1),
        };
        let mut written = self.written.borrow_mut();
        match written.iter_mut().find(|(known, _)| **known == *key) {
            Some((_, known)) => *known = value,
            None => written.push((key.into(), value)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemorySharedData;
    use super::*;

    #[test]
    fn writes_are_read_again_and_stay_private() {
        let data: Rc<dyn SharedData> = Rc::new(MemorySharedData::default());
        data.set("a", b"1", 0).unwrap();
        let apart = UnsharedWrites::over(&data);
        let known = apart.get("a").unwrap();
        assert_eq!(known.value, b"1");
        apart.set("a", b"2", known.version).unwrap();
        apart.set("b", b"3", 0).unwrap();
        assert_eq!(apart.get("a").unwrap().value, b"2");
        assert_ne!(apart.get("a").unwrap().version, known.version);
        assert_eq!(data.get("a"), Some(known));
        assert_eq!(data.get("b"), None);
        // A key that it has not written itself has the current value of others.
        data.set("c", b"4", 0).unwrap();
        assert_eq!(apart.get("c"), data.get("c"));
    }
}
