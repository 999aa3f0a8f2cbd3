//! Waiting for conditions.

use std::time::{Duration, Instant};

/// Far more than anything here takes on a busy machine: whoever waits as long has found a fault.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer.
///
/// # Panics
/// When there is none for [`PATIENCE`].
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
