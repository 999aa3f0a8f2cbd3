//! Work budget. Every loop over client data counts its steps; a step costs about as much as one byte in a plain loop, a
//! nanosecond. Once the budget of an exchange is exhausted, all searches stop: the exchange is denied, and the other
//! requests of the same worker continue.
//!
//! Steps are counted, not timed: the same bytes cost the same on every machine. The counter is thread-local, because a
//! worker of Envoy has one thread, and a validator deep in a detector needs no handle to it. Code that sets no budget
//! (the command line, benchmarks) has no limit.

use std::cell::Cell;

thread_local! {
    /// Remaining steps.
    static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// Spends `steps` steps.
#[inline]
pub fn spend(steps: usize) {
    spend_known(u64::try_from(steps).unwrap_or(u64::MAX));
}

/// Spends the steps that were counted when the same was done before.
#[inline]
pub fn spend_known(steps: u64) {
    LEFT.with(|left| left.set(left.get().saturating_sub(steps)));
}

/// Returns whether the budget is exhausted. Searches then stop, since their findings don't count any more.
#[inline]
pub fn is_exhausted() -> bool {
    LEFT.with(|left| left.get() == 0)
}

/// Spends the whole budget, if there is one. Called when a result cannot be computed within it.
pub fn exhaust() {
    LEFT.with(|left| {
        if left.get() < u64::MAX {
            left.set(0);
        }
    });
}

/// Returns the remaining steps.
pub fn remaining() -> u64 {
    LEFT.with(Cell::get)
}

/// Adds steps, up to `most` remaining ones.
pub fn earn(steps: u64, most: u64) {
    LEFT.with(|left| {
        if left.get() > 0 {
            left.set(left.get().saturating_add(steps).min(most));
        }
    });
}

/// Sets the remaining steps. Returns the previous number.
pub fn allow(steps: u64) -> u64 {
    LEFT.with(|left| left.replace(steps))
}

/// Runs without a budget, for decisions that are always made. The remaining steps stay the same.
pub fn aside<T>(run: impl FnOnce() -> T) -> T {
    let left = allow(u64::MAX);
    let result = run();
    allow(left);
    result
}

/// Returns the number of steps that `run` takes.
pub fn count<T>(run: impl FnOnce() -> T) -> (T, u64) {
    let before = allow(u64::MAX);
    let result = run();
    let left = allow(before);
    (result, u64::MAX.saturating_sub(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spent_steps_are_counted_and_an_exhausted_budget_stays_exhausted() {
        let (inner, steps) = count(|| {
            spend(40);
            is_exhausted()
        });
        assert_eq!((inner, steps), (false, 40));
        let before = allow(100);
        spend(99);
        assert!(!is_exhausted());
        earn(50, 30);
        spend(29);
        assert!(!is_exhausted());
        spend(1_000);
        earn(10, 100);
        assert!(is_exhausted());
        assert!(!aside(is_exhausted));
        assert!(is_exhausted());
        allow(before);
    }
}
