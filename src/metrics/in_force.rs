//! Number of workers that have each policy in force, in data that all workers share. The gauge of a policy is 1 while there
//! is at least one.
//!
//! A virtual machine that traps ends without a callback. So each root writes a beat every [`BEAT_S`] seconds, and each beat
//! drops the roots that have not written one for [`LOST_S`].
//!
//! The value is one line for each root: its id, the second of its last beat, and the stat of its policy:
//! `5f0c… 1800000000 name=.=support;.;…agentguard_policy_info`.

use crate::proxy::SharedData;

/// Key of the shared data.
const KEY: &str = "agentguard.in_force";

/// Maximum attempts to write while other workers write. A root whose attempts fail retries with its next beat.
const ATTEMPTS: usize = 64;

/// Seconds between two beats of a root.
pub const BEAT_S: u64 = 10;

/// Seconds without a beat after which a root counts as gone.
pub const LOST_S: u64 = 25;

/// Counts of workers by policy.
pub struct InForce<'s>(&'s dyn SharedData);

/// Changes by a beat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Whether the root was not counted before.
    pub entered: bool,
    /// Whether the root is the first one of its policy.
    pub is_first: bool,
    /// Stats of roots that are gone, each with whether it was the last one of its policy.
    pub gone: Vec<(String, bool)>,
}

/// Line of the value.
#[derive(Clone, Copy)]
struct Root<'t> {
    id: &'t str,
    seen: u64,
    stat: &'t str,
}

fn roots(text: &str) -> impl Iterator<Item = Root<'_>> {
    text.lines().filter_map(|line| {
        let (id, rest) = line.split_once(' ')?;
        let (seen, stat) = rest.split_once(' ')?;
        let seen = seen.parse().ok()?;
        Some(Root { id, seen, stat })
    })
}

impl<'s> InForce<'s> {
    /// Opens the counts. To be called before any worker counts, because the first value can't be written atomically.
    pub fn open(shared: &'s dyn SharedData) -> InForce<'s> {
        if shared.get(KEY).is_none() {
            let _ = shared.set(KEY, b"", 0);
        }
        InForce(shared)
    }

    /// Counts a root, which is alive in this second, and drops those that are gone.
    pub fn beat(&self, id: &str, stat: &str, now: u64) -> Changes {
        let changed = self.change(|before| {
            let mut changes = Changes {
                entered: true,
                ..Changes::default()
            };
            let mut kept: Vec<Root<'_>> = Vec::new();
            let mut lost: Vec<Root<'_>> = Vec::new();
            for root in roots(before) {
                if root.id == id {
                    changes.entered = false;
                } else if now.saturating_sub(root.seen) > LOST_S {
                    lost.push(root);
                } else {
                    kept.push(root);
                }
            }
            changes.is_first = changes.entered && !kept.iter().any(|root| root.stat == stat);
            let seen = now;
            kept.push(Root { id, seen, stat });
            while let Some(root) = lost.pop() {
                let mut others = kept.iter().chain(&lost);
                let is_last = !others.any(|other| other.stat == root.stat);
                changes.gone.push((root.stat.to_owned(), is_last));
            }
            (written(&kept), changes)
        });
        changed.unwrap_or_default()
    }

    /// Removes a root. Returns whether it was counted, and whether it was the last one of its policy.
    pub fn leave(&self, id: &str) -> (bool, bool) {
        let changed = self.change(|before| {
            let own = roots(before).find(|root| root.id == id);
            let kept: Vec<Root<'_>> = roots(before).filter(|root| root.id != id).collect();
            let is_last = own.is_some_and(|own| !kept.iter().any(|root| root.stat == own.stat));
            (written(&kept), (own.is_some(), is_last))
        });
        changed.unwrap_or_default()
    }

    /// Changes the value. Returns the result of `by`; `None` if other workers wrote at every attempt.
    fn change<T>(&self, by: impl Fn(&str) -> (String, T)) -> Option<T> {
        for _ in 0..ATTEMPTS {
            let known = self.0.get(KEY)?;
            let before = String::from_utf8(known.value).unwrap_or_default();
            let (after, result) = by(&before);
            if self.0.set(KEY, after.as_bytes(), known.version).is_ok() {
                return Some(result);
            }
        }
        None
    }
}

fn written(roots: &[Root<'_>]) -> String {
    let lines = roots.iter();
    lines
        .map(|Root { id, seen, stat }| format!("{id} {seen} {stat}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::MemorySharedData;

    fn gone(stats: &[(&str, bool)]) -> Vec<(String, bool)> {
        let stats = stats.iter();
        stats
            .map(|(stat, last)| ((*stat).to_owned(), *last))
            .collect()
    }

    #[test]
    fn the_first_root_of_a_policy_and_the_last_one_change_its_gauge() {
        let shared = MemorySharedData::default();
        let counts = InForce::open(&shared);
        let is_first = |id: &str, stat: &str| {
            let changes = counts.beat(id, stat, 100);
            assert!(changes.entered && changes.gone.is_empty());
            changes.is_first
        };
        assert!(is_first("1", "a"));
        assert!(!is_first("2", "a"));
        assert!(is_first("3", "b"));
        // The root is counted already.
        assert_eq!(counts.beat("1", "a", 110), Changes::default());
        assert_eq!(counts.leave("2"), (true, false));
        // Another worker opens the counts later.
        let counts = InForce::open(&shared);
        assert_eq!(counts.leave("1"), (true, true));
        assert_eq!(counts.leave("1"), (false, false));
        assert!(counts.beat("4", "a", 120).is_first);
        assert_eq!(counts.leave("3"), (true, true));
        assert_eq!(shared.get(KEY).unwrap().value, b"4 120 a\n");
    }

    #[test]
    fn roots_of_a_machine_that_trapped_are_dropped_by_the_others() {
        let shared = MemorySharedData::default();
        let counts = InForce::open(&shared);
        for (id, stat) in [("1", "a"), ("2", "a"), ("3", "b")] {
            counts.beat(id, stat, 100);
        }
        assert_eq!(counts.beat("1", "a", 100 + LOST_S), Changes::default());
        let changes = counts.beat("1", "a", 101 + LOST_S);
        assert_eq!(changes.gone, gone(&[("b", true), ("a", false)]));
        // A root that was only slow is counted again.
        let changes = counts.beat("3", "b", 102 + LOST_S);
        assert!(changes.entered && changes.is_first);
        // The last root of the previous policy, whose machine trapped, is reported as the last one.
        let changes = counts.beat("5", "c", 200);
        assert_eq!(changes.gone, gone(&[("b", true), ("a", true)]));
        assert_eq!(shared.get(KEY).unwrap().value, b"5 200 c\n");
    }
}
