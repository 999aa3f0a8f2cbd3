//! Pages of the documentation that are written from tables in the code. `UPDATE_DOCS=1 cargo test --test pages` writes them.
#![expect(clippy::unwrap_used, reason = "test code: a failure is a panic")]

mod metrics;
mod troubleshooting;

use std::path::{Path, PathBuf};

/// A file of the repository.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Holds a page to what the code says, or writes it.
#[track_caller]
fn hold(name: &str, page: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(file(name), page).unwrap();
    }
    assert!(
        std::fs::read_to_string(file(name)).unwrap_or_default() == page,
        "{name} is out of date: UPDATE_DOCS=1 cargo test --test pages"
    );
}
