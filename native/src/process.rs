//! What all workers of the process share: counters of limits and used approvals, the kill list, and what is told of the
//! configurations in force.

use crate::abi::{Host, Stat, Stream};
use agentguard::policy::{KillList, KillState, KillSwitch};
use agentguard::proxy::{SharedData, VersionMismatch, Versioned};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Locks what stays right even if a panic came while it was locked: each change below is one assignment.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The shared data of the process. It outlives every configuration, and is as exact as a lock.
#[derive(Debug)]
pub(crate) struct ProcessData;

static DATA: Mutex<BTreeMap<String, Versioned>> = Mutex::new(BTreeMap::new());

impl SharedData for ProcessData {
    fn get(&self, key: &str) -> Option<Versioned> {
        locked(&DATA).get(key).cloned()
    }

    fn set(&self, key: &str, value: &[u8], version: u32) -> Result<(), VersionMismatch> {
        let mut data = locked(&DATA);
        let known = data.get(key).map_or(0, |known| known.version);
        if version != 0 && version != known {
            return Err(VersionMismatch);
        }
        let written = Versioned {
            value: value.to_vec(),
            version: known.wrapping_add(1).max(1),
        };
        match data.get_mut(key) {
            Some(place) => *place = written,
            None => {
                data.insert(key.to_owned(), written);
            }
        }
        Ok(())
    }
}

/// The kill list in force, as its text: each worker reads its own copy.
#[derive(Clone)]
enum Kill {
    Absent,
    List(Arc<[u8]>),
    Unreadable,
}

static KILL: Mutex<Kill> = Mutex::new(Kill::Absent);

/// Number of changes of the kill list. A worker that has seen fewer reads it anew.
static KILL_CHANGES: AtomicU64 = AtomicU64::new(0);

fn set_kill(kill: Kill) -> u64 {
    let mut place = locked(&KILL);
    *place = kill;
    KILL_CHANGES
        .fetch_add(1, Ordering::AcqRel)
        .saturating_add(1)
}

/// Puts a kill list with so many entries in force for all workers; `None`: one that can't be read. Returns the number of
/// the change.
pub(crate) fn stop(list: Option<&[u8]>, entries: usize) -> u64 {
    locked(&CONFIGURATIONS).kill_entries = u64::try_from(entries).unwrap_or(u64::MAX);
    set_kill(list.map_or(Kill::Unreadable, |list| Kill::List(list.into())))
}

/// Lifts the kill list of a change, unless a later one has replaced it.
pub(crate) fn lift(change: u64) {
    let mut place = locked(&KILL);
    if KILL_CHANGES.load(Ordering::Acquire) == change {
        *place = Kill::Absent;
        KILL_CHANGES.fetch_add(1, Ordering::AcqRel);
        drop(place);
        locked(&CONFIGURATIONS).kill_entries = 0;
    }
}

/// Brings a worker's switch up to date. `seen` is the change that it has heard of.
pub(crate) fn refresh(switch: &KillSwitch, seen: u64) -> u64 {
    if KILL_CHANGES.load(Ordering::Acquire) == seen {
        return seen;
    }
    let (kill, change) = {
        let kill = locked(&KILL);
        (kill.clone(), KILL_CHANGES.load(Ordering::Acquire))
    };
    switch.set(match kill {
        Kill::Absent => KillState::Absent,
        Kill::Unreadable => KillState::Unreadable,
        Kill::List(text) => match KillList::from_json(&text) {
            Ok(list) => KillState::List(Rc::new(list)),
            Err(_) => KillState::Unreadable,
        },
    });
    change
}

/// Number of policies in force in the process.
static POLICIES: AtomicUsize = AtomicUsize::new(0);

/// Whether a policy's filter runs in the process, which enforces the kill list.
pub(crate) fn has_policy() -> bool {
    POLICIES.load(Ordering::Acquire) > 0
}

/// A policy was put in force.
pub(crate) fn add_policy() {
    POLICIES.fetch_add(1, Ordering::AcqRel);
}

/// A policy is no longer in force.
pub(crate) fn remove_policy() {
    POLICIES.fetch_sub(1, Ordering::AcqRel);
}

/// A configuration that exists, through which stats can be updated without an exchange.
struct Registered {
    number: u64,
    host: Host,
    stats: ProcessStats,
}

/// The stats of the process, as one configuration has defined them.
#[derive(Clone, Copy, Default)]
pub(crate) struct ProcessStats {
    /// The gauge of the policies in force.
    pub(crate) in_force: Option<Stat>,
    /// The gauge of the workers that have them.
    pub(crate) workers: Option<Stat>,
    /// The gauge of the kill list's entries.
    pub(crate) kill_entries: Option<Stat>,
    /// The counter of rejected configurations.
    pub(crate) rejected: Option<Stat>,
}

/// The configurations of the process, and what Envoy's stats don't tell of them yet.
struct Configurations {
    number: u64,
    registered: Vec<Registered>,
    /// Number of configurations in force, by name and version. One that has ended stays at zero until that is told: Envoy
    /// keeps its stat.
    in_force: BTreeMap<[String; 2], u64>,
    /// Number of threads that have each of them: the workers and Envoy's main thread.
    threads: u64,
    /// Entries of the kill list in force.
    kill_entries: u64,
    rejected: u64,
}

static CONFIGURATIONS: Mutex<Configurations> = Mutex::new(Configurations {
    number: 0,
    registered: Vec::new(),
    in_force: BTreeMap::new(),
    threads: 0,
    kill_entries: 0,
    rejected: 0,
});

/// Whether something is still to be told. Envoy 1.38 and 1.39 only let an exchange tell it.
static UNTOLD: AtomicBool = AtomicBool::new(false);

/// Sets a stat with these values of its labels, or adds to it. Returns `false` if it can't.
type Update<'u> = dyn FnMut(Stat, &[&[u8]], u64) -> bool + 'u;

impl Configurations {
    /// Tells what has changed.
    fn tell(&mut self, stats: ProcessStats, update: &mut Update<'_>) {
        let mut is_told = true;
        for (labels, count) in &self.in_force {
            let labels = labels.each_ref().map(|label| label.as_bytes());
            let is_in_force = u64::from(*count > 0);
            let workers = is_in_force.saturating_mul(self.threads);
            for (stat, value) in [(stats.in_force, is_in_force), (stats.workers, workers)] {
                is_told &= stat.is_none_or(|stat| update(stat, &labels, value));
            }
        }
        let entries = (stats.kill_entries, self.kill_entries);
        for (stat, value) in [entries, (stats.rejected, self.rejected)] {
            is_told &= stat.is_none_or(|stat| update(stat, &[], value));
        }
        if is_told {
            self.in_force.retain(|_, count| *count > 0);
            self.rejected = 0;
        }
        UNTOLD.store(!is_told, Ordering::Release);
    }

    /// Tells it through any configuration that exists.
    fn tell_at_once(&mut self) {
        let Some(through) = self.registered.pop() else {
            UNTOLD.store(true, Ordering::Release);
            return;
        };
        self.tell(through.stats, &mut |stat, labels, value| {
            through.host.update(stat, labels, value)
        });
        self.registered.push(through);
    }
}

/// A configuration was put in force. Returns its number.
pub(crate) fn register(
    host: Host,
    stats: ProcessStats,
    labels: [String; 2],
    workers: usize,
) -> u64 {
    let mut configurations = locked(&CONFIGURATIONS);
    configurations.threads = u64::try_from(workers).unwrap_or(0).saturating_add(1);
    let count = configurations.in_force.entry(labels).or_default();
    *count = count.saturating_add(1);
    configurations.number = configurations.number.saturating_add(1);
    let number = configurations.number;
    configurations.registered.push(Registered {
        number,
        host,
        stats,
    });
    configurations.tell_at_once();
    number
}

/// A configuration has ended. Nothing is told through it any more.
pub(crate) fn retire(number: u64, labels: &[String; 2]) {
    let mut configurations = locked(&CONFIGURATIONS);
    configurations
        .registered
        .retain(|registered| registered.number != number);
    if let Some(count) = configurations.in_force.get_mut(labels) {
        *count = count.saturating_sub(1);
    }
    configurations.tell_at_once();
}

/// A configuration was rejected.
pub(crate) fn reject() {
    let mut configurations = locked(&CONFIGURATIONS);
    configurations.rejected = configurations.rejected.saturating_add(1);
    configurations.tell_at_once();
}

/// Tells through an exchange what could not be told before.
pub(crate) fn tell_through(stream: &mut Stream<'_>, stats: ProcessStats) {
    if !UNTOLD.load(Ordering::Acquire) {
        return;
    }
    locked(&CONFIGURATIONS).tell(stats, &mut |stat, labels, value| {
        stream.update(stat, labels, value);
        true
    });
}
