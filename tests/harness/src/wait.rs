//! Waiting for conditions.

use std::time::{Duration, Instant};

/// A timeout far beyond every wait on a busy machine: reaching it is a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Calls a function repeatedly until it returns a value.
///
/// # Panics
/// There is none within [`PATIENCE`].
#[track_caller]
#[expect(
    clippy::disallowed_methods,
    reason = "whoever waits for a process needs a clock"
)]
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "waited {} s in vain for {what}",
            PATIENCE.as_secs()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
