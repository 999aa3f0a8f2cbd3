//! Mode of a policy: enforced or only recorded.

use crate::event::words;

words! {
    /// Whether decisions are enforced or only recorded.
    Mode {
        /// Decisions are enforced.
        Enforce = "enforce",
        /// Decisions are recorded as `would`.
        Observe = "observe",
    }
}
