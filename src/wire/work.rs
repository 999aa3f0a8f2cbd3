//! Counted work. Whoever reads, searches or evaluates what a stranger sent says how many steps that took; a step is about what
//! one byte costs in a plain loop, a nanosecond. Once what an exchange may spend is gone, nothing is searched any further:
//! the exchange is denied, and the other requests of the same worker go on.
//!
//! Steps are counted, never timed: the same bytes cost the same everywhere. The count belongs to the thread, as the work
//! does: a worker of Envoy has one, and a validator deep down in a detector needs no handle to it. Whoever begins nothing
//! (the command line, benchmarks) may spend without end.

use std::cell::Cell;

thread_local! {
    /// Steps that may still be spent.
    static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// Spends so many steps.
#[inline]
pub fn spend(steps: usize) {
    let steps = u64::try_from(steps).unwrap_or(u64::MAX);
    LEFT.with(|left| left.set(left.get().saturating_sub(steps)));
}

/// Whether there is nothing left to spend: whoever searches stops, since what it finds doesn't count any more.
#[inline]
pub fn is_exhausted() -> bool {
    LEFT.with(|left| left.get() == 0)
}

/// Spends everything that is left, where there is a bound: what is asked can't be answered within it.
pub fn exhaust() {
    LEFT.with(|left| {
        if left.get() < u64::MAX {
            left.set(0);
        }
    });
}

/// Adds steps, up to so many.
pub fn earn(steps: u64, most: u64) {
    LEFT.with(|left| {
        if left.get() > 0 {
            left.set(left.get().saturating_add(steps).min(most));
        }
    });
}

/// Says how many steps may be spent from here on; gives how many were left.
pub fn allow(steps: u64) -> u64 {
    LEFT.with(|left| left.replace(steps))
}

/// Without a bound, for what has to be decided in any case; what was left is left then.
pub fn aside<T>(run: impl FnOnce() -> T) -> T {
    let left = allow(u64::MAX);
    let result = run();
    allow(left);
    result
}

/// How many steps something takes.
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
    fn what_is_spent_is_counted_and_what_is_gone_stays_gone() {
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
