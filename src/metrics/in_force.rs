//! Count of the workers that have each policy in force, in data that all workers share: the gauge of a policy is 1 while
//! there is at least one.
//!
//! The value is one line for each policy, the number of roots before its stat: `3 name=.=support;.;…agentguard_policy_info`.

use crate::proxy::SharedData;

/// The key of the shared data.
const KEY: &str = "agentguard.in_force";

/// Writes that may lose against other workers before one gives up. A root counts itself once in its life.
const ATTEMPTS: usize = 64;

/// The counts.
pub struct InForce<'s>(&'s dyn SharedData);

impl<'s> InForce<'s> {
    /// Opens the counts. To be called before any worker counts, because there is no atomic way to make the first value.
    pub fn open(shared: &'s dyn SharedData) -> InForce<'s> {
        if shared.get(KEY).is_none() {
            let _ = shared.set(KEY, b"", 0);
        }
        InForce(shared)
    }

    /// Counts a root. Returns whether it is the first one of this policy.
    pub fn enter(&self, stat: &str) -> bool {
        self.change(stat, |count| count.saturating_add(1)) == Some((0, 1))
    }

    /// Counts a root no longer. Returns whether it was the last one of this policy.
    pub fn leave(&self, stat: &str) -> bool {
        self.change(stat, |count| count.saturating_sub(1)) == Some((1, 0))
    }

    /// Changes a count. Returns what it was and is; `None` if others wrote all the time.
    fn change(&self, stat: &str, by: impl Fn(u64) -> u64) -> Option<(u64, u64)> {
        for _ in 0..ATTEMPTS {
            let known = self.0.get(KEY)?;
            let text = String::from_utf8(known.value).unwrap_or_default();
            let counts = || text.lines().filter_map(|line| line.split_once(' '));
            let before = counts()
                .find(|(_, of)| *of == stat)
                .and_then(|(count, _)| count.parse().ok())
                .unwrap_or(0);
            let after = by(before);
            let mut written: String = counts()
                .filter(|(_, of)| *of != stat)
                .map(|(count, of)| format!("{count} {of}\n"))
                .collect();
            if after > 0 {
                written.push_str(&format!("{after} {stat}\n"));
            }
            if self.0.set(KEY, written.as_bytes(), known.version).is_ok() {
                return Some((before, after));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::MemorySharedData;

    #[test]
    fn the_first_root_of_a_policy_and_the_last_one_change_its_gauge() {
        let shared = MemorySharedData::default();
        let counts = InForce::open(&shared);
        assert!(counts.enter("a"));
        assert!(!counts.enter("a"));
        assert!(counts.enter("b"));
        assert!(!counts.leave("a"));
        // Another worker opens them later.
        let counts = InForce::open(&shared);
        assert!(counts.leave("a"));
        assert!(counts.enter("a"));
        assert!(counts.leave("b"));
        assert_eq!(shared.get(KEY).unwrap().value, b"1 a\n");
    }

    #[test]
    fn a_policy_that_was_never_counted_does_not_leave() {
        let shared = MemorySharedData::default();
        assert!(!InForce::open(&shared).leave("a"));
    }
}
