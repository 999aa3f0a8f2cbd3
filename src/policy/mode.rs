//! Whether a policy acts or only records.

use crate::event::words;

words! {
    /// Whether decisions are taken or only recorded.
    Mode {
        /// Taken.
        Enforce = "enforce",
        /// Recorded as `would`.
        Observe = "observe",
    }
}
