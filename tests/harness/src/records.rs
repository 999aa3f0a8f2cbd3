//! Audit events of one site, in the order in which Envoy wrote them. Each is validated against its
//! JSON Schema.

use crate::wait::wait_for;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Schema in `docs/`, without its tolerance for members that later versions add.
static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let mut schema = serde_json::from_str(include_str!("../../../docs/audit.schema.json"))
        .expect("the schema of audit events");
    strict(&mut schema);
    jsonschema::validator_for(&schema).expect("the schema of audit events")
});

fn strict(schema: &mut Value) {
    match schema {
        Value::Object(keys) => {
            if keys.contains_key("properties") {
                keys.insert("additionalProperties".to_owned(), false.into());
            }
            keys.values_mut().for_each(strict);
        }
        Value::Array(items) => items.iter_mut().for_each(strict),
        _ => {}
    }
}

/// Checks that an audit event matches its schema.
///
/// # Panics
/// It does not match.
#[track_caller]
pub fn check(record: &Value) {
    let wrong: Vec<String> = SCHEMA
        .iter_errors(record)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?} in {record:#}");
}

/// Reader of a site's audit log, line by line as exchanges end.
pub struct Records {
    /// Path of the log.
    pub path: PathBuf,
    taken: AtomicUsize,
}

impl Records {
    pub(crate) fn new(path: PathBuf) -> Records {
        Records {
            path,
            taken: AtomicUsize::new(0),
        }
    }

    /// Returns the path of the log.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Returns all lines so far, without their line ends.
    pub fn lines(&self) -> Vec<String> {
        let text = std::fs::read(&self.path).unwrap_or_default();
        let text = String::from_utf8(text).expect("an audit log is UTF-8");
        // A line that Envoy is still writing has no end yet.
        text.split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'))
            .map(str::to_owned)
            .collect()
    }

    /// Returns the line of the next audit event.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn next_line(&self) -> String {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        wait_for("an audit line", || self.lines().get(taken).cloned())
    }

    /// Returns the next audit event.
    ///
    /// # Panics
    /// There is none, or it does not match its schema.
    #[track_caller]
    pub fn next(&self) -> Value {
        let line = self.next_line();
        let record =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"));
        check(&record);
        record
    }

    /// Waits for `count` lines in total, and skips them.
    #[track_caller]
    pub fn skip_to(&self, count: usize) {
        wait_for("audit lines", || {
            (self.lines().len() >= count).then_some(())
        });
        self.taken.store(count, Ordering::Relaxed);
    }
}
