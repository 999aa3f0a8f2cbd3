//! State that all workers of the process share: counters of limits and spent approvals, the kill list, and the stats of
//! the configurations in force.

use crate::abi::{Callout, Host, Scheduler, Stat, Stream};
use agentguard::metrics::{CONFIG_REJECTED, KILL_FEED_FAILURES};
use agentguard::policy::{KillList, KillState, KillSwitch};
use agentguard::proxy::{SharedData, VersionMismatch, Versioned};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Locks data that stays consistent even if a panic occurs while it is locked: each change below is one assignment.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shared data of the process. It outlives every configuration, and a lock makes it exact.
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

/// Kill list in force, as its text: each worker parses its own copy.
#[derive(Clone)]
pub(crate) enum Kill {
    Absent,
    /// List of the file, and list of its feed.
    List {
        own: Arc<[u8]>,
        feed: Option<Arc<[u8]>>,
    },
    Unreadable,
}

impl Kill {
    /// Creates the state for the list of a file without a feed.
    pub(crate) fn of_file(own: Arc<[u8]>) -> Kill {
        Kill::List { own, feed: None }
    }

    fn read(&self) -> KillState {
        let (own, feed) = match self {
            Kill::Absent => return KillState::Absent,
            Kill::Unreadable => return KillState::Unreadable,
            Kill::List { own, feed } => (KillList::from_json(own), feed),
        };
        let feed = feed.as_deref().map(KillList::of_feed).transpose();
        match (own, feed) {
            (Ok(own), Ok(None)) => KillState::List(Rc::new(own)),
            (Ok(own), Ok(Some(feed))) => KillState::List(Rc::new(own.with_feed(Rc::new(feed)))),
            _ => KillState::Unreadable,
        }
    }
}

/// Kill list in force, with the number of its configuration.
struct KillInForce {
    kill: Kill,
    owner: u64,
}

static KILL: Mutex<KillInForce> = Mutex::new(KillInForce {
    kill: Kill::Absent,
    owner: 0,
});

/// Number of changes of the kill list. A worker that has seen fewer parses the list again.
static KILL_CHANGES: AtomicU64 = AtomicU64::new(0);

impl KillInForce {
    fn set(&mut self, kill: Kill) {
        self.kill = kill;
        KILL_CHANGES.fetch_add(1, Ordering::AcqRel);
    }
}

/// Puts a kill list in force for all workers; `entries` and `generation` (of its feed) are for the metrics. Returns the
/// number of the list.
pub(crate) fn stop(kill: Kill, entries: usize, generation: u64) -> u64 {
    let owner = {
        let mut place = locked(&KILL);
        place.set(kill);
        place.owner = place.owner.saturating_add(1);
        place.owner
    };
    locked(&CONFIGURATIONS).set_kill(entries, generation);
    owner
}

/// Returns the number of the kill list in force. Lifting a list changes the number.
pub(crate) fn kill_owner() -> u64 {
    locked(&KILL).owner
}

/// Lifts a kill list, unless a later one has replaced it.
pub(crate) fn lift(owner: u64) {
    let mut place = locked(&KILL);
    if place.owner == owner {
        place.set(Kill::Absent);
        place.owner = place.owner.saturating_add(1);
        drop(place);
        locked(&CONFIGURATIONS).set_kill(0, 0);
    }
}

/// Changes by a feed.
#[derive(Default)]
pub(crate) struct FeedNews {
    /// New kill list in force, if it has changed.
    pub(crate) kill: Option<Kill>,
    /// Number of entries in force.
    pub(crate) entries: usize,
    /// Generation of the feed's list in force.
    pub(crate) generation: u64,
    /// Reason why the last response was rejected.
    pub(crate) failure: Option<&'static str>,
}

/// Applies the changes by a kill list's feed, unless a later list has replaced it.
pub(crate) fn tell_of_feed(owner: u64, news: FeedNews) {
    {
        let mut place = locked(&KILL);
        if place.owner != owner {
            return;
        }
        if let Some(kill) = news.kill {
            place.set(kill);
        }
    }
    let mut configurations = locked(&CONFIGURATIONS);
    configurations.set_kill(news.entries, news.generation);
    if let Some(reason) = news.failure {
        note_counted(KILL_FEED_FAILURES.name, &[reason.to_owned()]);
        let count = configurations.feed_failures.entry(reason).or_default();
        *count = count.saturating_add(1);
    }
    configurations.tell_at_once();
}

/// Brings a worker's switch up to date. `seen` is the last change that the worker has seen. Returns the last change.
pub(crate) fn refresh(switch: &KillSwitch, seen: u64) -> u64 {
    if KILL_CHANGES.load(Ordering::Acquire) == seen {
        return seen;
    }
    let (kill, change) = {
        let place = locked(&KILL);
        (place.kill.clone(), KILL_CHANGES.load(Ordering::Acquire))
    };
    switch.set(kill.read());
    change
}

/// Number of policies in force in the process.
static POLICIES: AtomicUsize = AtomicUsize::new(0);

/// Returns whether a policy's filter runs in the process, which enforces the kill list.
pub(crate) fn has_policy() -> bool {
    POLICIES.load(Ordering::Acquire) > 0
}

/// Counts a policy that was put in force.
pub(crate) fn add_policy() {
    POLICIES.fetch_add(1, Ordering::AcqRel);
}

/// Counts a policy that is no longer in force.
pub(crate) fn remove_policy() {
    POLICIES.fetch_sub(1, Ordering::AcqRel);
}

/// Existing configuration, through which stats can be updated without an exchange.
struct Registered {
    number: u64,
    host: Host,
    stats: ProcessStats,
    scheduler: Arc<Scheduler>,
}

/// Stats of the process, as one configuration has defined them.
#[derive(Clone, Copy, Default)]
pub(crate) struct ProcessStats {
    /// Gauge of the policies in force.
    pub(crate) in_force: Option<Stat>,
    /// Gauge of the workers that have them.
    pub(crate) workers: Option<Stat>,
    /// Gauge of the kill list's entries.
    pub(crate) kill_entries: Option<Stat>,
    /// Gauge of the generation of its feed.
    pub(crate) feed_generation: Option<Stat>,
    /// Counter of rejected responses of the feed.
    pub(crate) feed_failures: Option<Stat>,
    /// Counter of rejected configurations.
    pub(crate) rejected: Option<Stat>,
}

/// Configurations of the process, and changes that Envoy's stats don't have yet.
struct Configurations {
    number: u64,
    registered: Vec<Registered>,
    /// Number of configurations in force, by name and version. An ended one stays at zero until its stat is set: Envoy
    /// keeps the stat.
    in_force: BTreeMap<[String; 2], u64>,
    /// Number of threads that have each of them: the workers and Envoy's main thread.
    threads: u64,
    /// Entries of the kill list in force.
    kill_entries: u64,
    /// Generation of its feed.
    feed_generation: u64,
    /// Number of rejected responses of the feed, by their reason.
    feed_failures: BTreeMap<&'static str, u64>,
    rejected: u64,
    /// Notices for the approval service that the main thread has not sent yet.
    notices: Vec<Callout>,
}

static CONFIGURATIONS: Mutex<Configurations> = Mutex::new(Configurations {
    number: 0,
    registered: Vec::new(),
    in_force: BTreeMap::new(),
    threads: 0,
    kill_entries: 0,
    feed_generation: 0,
    feed_failures: BTreeMap::new(),
    rejected: 0,
    notices: Vec::new(),
});

/// Whether some stats are outdated. In Envoy 1.38 and 1.39 only an exchange can update them.
static UNTOLD: AtomicBool = AtomicBool::new(false);

/// Sets a stat with these values of its labels, or adds to it. Returns `false` if that is impossible.
type Update<'u> = dyn FnMut(Stat, &[&[u8]], u64) -> bool + 'u;

impl Configurations {
    fn set_kill(&mut self, entries: usize, generation: u64) {
        self.kill_entries = u64::try_from(entries).unwrap_or(u64::MAX);
        self.feed_generation = generation;
    }

    /// Makes the main thread send the notices, through the newest configuration: an exchange's own configuration may
    /// end with it.
    fn post_notices(&self) {
        if let Some(newest) = self.registered.last() {
            newest.scheduler.post(NOTICES);
        }
    }

    /// Updates the stats that have changed.
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
        for (stat, value) in [
            (stats.kill_entries, self.kill_entries),
            (stats.feed_generation, self.feed_generation),
            (stats.rejected, self.rejected),
        ] {
            is_told &= stat.is_none_or(|stat| update(stat, &[], value));
        }
        for (reason, count) in &self.feed_failures {
            let labels = &[reason.as_bytes()];
            is_told &= stats
                .feed_failures
                .is_none_or(|stat| update(stat, labels, *count));
        }
        if is_told {
            self.feed_failures.clear();
            self.in_force.retain(|_, count| *count > 0);
            self.rejected = 0;
        }
        UNTOLD.store(!is_told, Ordering::Release);
    }

    /// Updates the stats through any existing configuration.
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

/// Registers a configuration that was put in force. Returns its number.
pub(crate) fn register(
    host: Host,
    scheduler: Arc<Scheduler>,
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
        scheduler,
    });
    configurations.tell_at_once();
    number
}

/// Removes a configuration that has ended. Stats are no longer updated through it.
pub(crate) fn retire(number: u64, labels: &[String; 2]) {
    let mut configurations = locked(&CONFIGURATIONS);
    configurations
        .registered
        .retain(|registered| registered.number != number);
    if let Some(count) = configurations.in_force.get_mut(labels) {
        *count = count.saturating_sub(1);
    }
    configurations.tell_at_once();
    if !configurations.notices.is_empty() {
        configurations.post_notices();
    }
}

/// Name of a counter's metric, with the values of its labels.
type Counted = (&'static str, Vec<String>);

/// Maximum counters that later configurations continue. Each policy bounds its label values, but the next one counts
/// them anew: values that clients choose would add up with every reload. A counter beyond them starts at zero again.
const MAX_COUNTED: usize = 10_000;

/// Counters that are not zero. A stat lives as long as a configuration has it, so that each configuration takes over
/// them from the one before.
static COUNTED: Mutex<BTreeSet<Counted>> = Mutex::new(BTreeSet::new());

thread_local! {
    /// Counters that this thread has added.
    static KNOWN: RefCell<BTreeSet<Counted>> = const { RefCell::new(BTreeSet::new()) };
}

/// Stores that something was counted, so that later configurations continue the counter.
pub(crate) fn note_counted(metric: &'static str, values: &[String]) {
    let counted = (metric, values.to_vec());
    KNOWN.with_borrow_mut(|known| {
        if known.len() < MAX_COUNTED && known.insert(counted.clone()) {
            let mut all = locked(&COUNTED);
            if all.len() < MAX_COUNTED {
                all.insert(counted);
            }
        }
    });
}

/// Makes a new configuration take over the counters while the one before still has them: `add_zero` adds zero to the
/// counter of a metric with these values of its labels.
pub(crate) fn take_over_counters(add_zero: impl Fn(&str, &[&[u8]])) {
    for (metric, values) in locked(&COUNTED).iter() {
        let values: Vec<&[u8]> = values.iter().map(String::as_bytes).collect();
        add_zero(metric, &values);
    }
}

/// Event upon which the main thread sends the notices to the approval service.
pub(crate) const NOTICES: u64 = 2;

/// Maximum notices that wait for the main thread.
const MAX_NOTICES: usize = 1_000;

/// Makes the main thread send a notice to the approval service. Returns `false` if too many notices wait already.
pub(crate) fn notify(callout: Callout) -> bool {
    let mut configurations = locked(&CONFIGURATIONS);
    if configurations.notices.len() >= MAX_NOTICES {
        return false;
    }
    configurations.notices.push(callout);
    configurations.post_notices();
    true
}

/// Takes the notices for the approval service.
pub(crate) fn take_notices() -> Vec<Callout> {
    std::mem::take(&mut locked(&CONFIGURATIONS).notices)
}

/// Counts a rejected configuration.
pub(crate) fn reject() {
    note_counted(CONFIG_REJECTED.name, &[]);
    let mut configurations = locked(&CONFIGURATIONS);
    configurations.rejected = configurations.rejected.saturating_add(1);
    configurations.tell_at_once();
}

/// Updates outdated stats through an exchange.
pub(crate) fn tell_through(stream: &mut Stream<'_>, stats: ProcessStats) {
    if !UNTOLD.load(Ordering::Acquire) {
        return;
    }
    locked(&CONFIGURATIONS).tell(stats, &mut |stat, labels, value| {
        stream.update(stat, labels, value);
        true
    });
}
