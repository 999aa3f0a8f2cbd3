//! Configuration of Envoy: a policy or a kill list in force, for all workers.

use crate::abi::{Answer, Callout, Host, Level, Slots, Stat, StatKind, Worker, log, workers};
use crate::feed::{self, Seconds};
use crate::process::{self, ProcessData, ProcessStats};
use agentguard::filter::{
    self, KILL_FILTER, KillConfiguration, LogLevel, MAX_FEED_BYTES, Rejected,
};
use agentguard::flow::{Guard, HostEnvironment};
use agentguard::metrics::{
    CONFIG_REJECTED, KILL_ENTRIES, KILL_FEED_FAILURES, KILL_FEED_GENERATION, LabelValues, METRICS,
    Metric, MetricType, POLICY_INFO, POLICY_WORKERS,
};
use agentguard::policy::KillSwitch;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::ThreadId;
use std::time::Duration;

/// Configuration of the filter.
pub(crate) struct Configuration {
    pub(crate) stats: Stats,
    pub(crate) content: Content,
    host: Host,
    /// Open calls of the main thread for it.
    pub(crate) calls: Arc<MainCalls>,
    /// Its number in the process, and the labels under which it is counted; absent for the administration filter.
    registered: Option<(u64, [String; 2])>,
}

/// Content of a configuration.
pub(crate) enum Content {
    /// Policy's filter.
    Policy(Arc<Policy>),
    /// Kill list's filter.
    Kill {
        /// Number of the list in force.
        owner: u64,
        /// Timer of its feed. It ends with the configuration.
        _seconds: Option<Seconds>,
    },
    /// Administration filter.
    Admin,
}

/// Event of a second.
const SECOND: u64 = 1;

impl Configuration {
    /// Puts a configuration in force. Returns `None` if that is impossible; Envoy then rejects it.
    pub(crate) fn new(host: Host, name: &[u8], bytes: &[u8]) -> Option<Configuration> {
        let stats = Stats::define(&host);
        let text = filter::configuration_text(bytes.to_vec());
        if filter::is_admin(&text) {
            return Some(Configuration {
                stats,
                content: Content::Admin,
                host,
                calls: Arc::default(),
                registered: None,
            });
        }
        let is_named = || name == KILL_FILTER.as_bytes();
        let kill = text.as_deref().map_err(Clone::clone);
        let scheduler = Arc::new(host.scheduler());
        let (content, labels) = match KillConfiguration::read(kill, is_named, to_log) {
            Some(kill) => {
                let labels = labels(KILL_FILTER, &kill.version);
                let has_feed = kill.feed.is_some();
                let owner = feed::put_in_force(text.as_deref().ok(), kill, to_log);
                let seconds = has_feed.then(|| Seconds::count(Arc::clone(&scheduler), SECOND));
                let content = Content::Kill {
                    owner,
                    _seconds: seconds.flatten(),
                };
                (content, labels)
            }
            None => {
                let Ok(policy) = Policy::new(text) else {
                    process::reject();
                    return None;
                };
                let labels = policy.labels.clone();
                process::add_policy();
                (Content::Policy(policy), labels)
            }
        };
        process::take_over_counters(|metric, values| {
            if let Some(stat) = stats.named(metric) {
                host.update(stat, values, 0);
            }
        });
        let told = stats.of_process();
        let number = process::register(host.clone(), scheduler, told, labels.clone(), workers());
        Some(Configuration {
            stats,
            content,
            host,
            calls: Arc::default(),
            registered: Some((number, labels)),
        })
    }

    /// Processes an event on the main thread.
    pub(crate) fn scheduled(&self, event: u64) {
        match (event, &self.content) {
            (SECOND, Content::Kill { owner, .. }) => {
                feed::tick(*owner, to_log, |callout| self.call(callout));
            }
            (process::NOTICES, _) => {
                for notice in process::take_notices() {
                    if self.call(&notice).is_none() {
                        to_log(LogLevel::Warn, &lost_notice(&notice.cluster));
                    }
                }
            }
            _ => {}
        }
    }

    /// Makes a call from the main thread. Returns Envoy's number of it.
    fn call(&self, callout: &Callout) -> Option<u64> {
        let number = self.host.call(callout)?;
        self.calls.begin(number);
        Some(number)
    }

    /// Processes the response to a call of the main thread. A response to a notice is ignored.
    pub(crate) fn answered(&self, number: u64, answer: &Answer) {
        if let Content::Kill { owner, .. } = self.content {
            answer.with(MAX_FEED_BYTES, |answer| {
                feed::answered(owner, number, answer, to_log);
            });
        }
    }

    /// Denies everything that can't be decided after an event of the main thread has panicked.
    pub(crate) fn after_panic(&self) {
        match self.content {
            Content::Kill { owner, .. } => feed::after_panic(owner),
            Content::Policy(_) | Content::Admin => {
                to_log(LogLevel::Error, "agentguard: AG9006 a notice panicked");
            }
        }
    }

    /// Ends the configuration. All its exchanges have ended before.
    pub(crate) fn retire(&self) {
        self.calls.wait();
        match self.content {
            Content::Policy(_) => process::remove_policy(),
            Content::Kill { owner, .. } => process::lift(owner),
            Content::Admin => {}
        }
        if let Some((number, labels)) = &self.registered {
            process::retire(*number, labels);
        }
    }
}

/// Returns the log line for a notice that could not be sent to the approval service.
pub(crate) fn lost_notice(cluster: &str) -> String {
    format!(
        "agentguard: AG3007 the approval service behind cluster `{cluster}` failed: service_unreachable, a notice is lost"
    )
}

/// Open calls of the main thread for a configuration. A replaced configuration ends with its last exchange, on a
/// worker. There Envoy would cancel calls that belong to the main thread's connections.
pub(crate) struct MainCalls {
    numbers: Mutex<BTreeSet<u64>>,
    ended: Condvar,
    main: ThreadId,
}

/// Maximum duration of the main thread's calls.
const CALLS_END_WITHIN: Duration = Duration::from_secs(12);

impl Default for MainCalls {
    /// Creates an empty set. Only the main thread creates configurations.
    fn default() -> MainCalls {
        MainCalls {
            numbers: Mutex::default(),
            ended: Condvar::new(),
            main: std::thread::current().id(),
        }
    }
}

impl MainCalls {
    fn numbers(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, number: u64) {
        self.numbers().insert(number);
    }

    /// Removes an ended call. Nothing of its configuration is used for it any more.
    pub(crate) fn end(&self, number: u64) {
        self.numbers().remove(&number);
        self.ended.notify_all();
    }

    /// Waits on a worker until all calls have ended. A main thread that ends none of them has stopped, and shares
    /// nothing.
    fn wait(&self) {
        if std::thread::current().id() != self.main {
            let is_open = |numbers: &mut BTreeSet<u64>| !numbers.is_empty();
            let _ = self
                .ended
                .wait_timeout_while(self.numbers(), CALLS_END_WITHIN, is_open);
        }
    }
}

/// Returns the labels of the gauge for a configuration in force.
fn labels(name: &str, version: &str) -> [String; 2] {
    let values = LabelValues::default().bounded_values(POLICY_INFO, &[name, version]);
    values.try_into().unwrap_or_default()
}

/// Policy in force.
pub(crate) struct Policy {
    text: Vec<u8>,
    slots: Slots,
    labels: [String; 2],
    /// Maximum bytes of a held body.
    pub(crate) max_body: u64,
}

/// Policies in force in the process, including those of routes, in the order in which they were put in force. Their
/// configurations, routes and exchanges own them.
static POLICIES: Mutex<Vec<Weak<Policy>>> = Mutex::new(Vec::new());

fn policies() -> Vec<Arc<Policy>> {
    let known = POLICIES.lock().unwrap_or_else(PoisonError::into_inner);
    known.iter().filter_map(Weak::upgrade).collect()
}

/// Calls `run` with this worker's guards of all policies in force, the newest last. A replaced policy is included until
/// its last exchange has ended. A policy without a guard is left out; it denies everything.
pub(crate) fn with_policies<T>(run: impl FnOnce(&[Rc<Guard>]) -> T) -> T {
    let policies = policies();
    // The guards are dropped before `policies`, whose slots must outlive them.
    let guards: Vec<Rc<Guard>> = policies
        .iter()
        .filter_map(|policy| policy.guard())
        .collect();
    run(&guards)
}

/// Drops this worker's guards of all policies, after a panic that may have been in any of them.
pub(crate) fn forget_guards() {
    let policies = policies();
    for policy in &policies {
        policy.forget_guard();
    }
}

impl Policy {
    fn new(text: Result<Vec<u8>, String>) -> Result<Arc<Policy>, Rejected> {
        // Only the first compilation writes to the log. The others would repeat it.
        let guard = compile(text.clone(), Rc::default(), to_log)?;
        let text = text.map_err(|_| Rejected)?;
        let slots = Slots::new(workers(), &text, recompile)?;
        let document = &guard.policy.document;
        let policy = Arc::new(Policy {
            slots,
            labels: labels(&document.name, &guard.policy.version),
            max_body: document.inspect.max_body,
            text,
        });
        let mut policies = POLICIES.lock().unwrap_or_else(PoisonError::into_inner);
        policies.retain(|known| known.strong_count() > 0);
        policies.push(Arc::downgrade(&policy));
        Ok(policy)
    }

    /// Returns this worker's guard, and makes a new one if it has none. `None`, which denies, if that is impossible.
    pub(crate) fn guard(&self) -> Option<Rc<Guard>> {
        let worker = self.slots.mine()?;
        let known = worker.guard.borrow().clone();
        let guard = match known {
            Some(guard) => guard,
            None => {
                let guard = Rc::new(recompile(&self.text, Rc::clone(&worker.kill)).ok()?);
                worker.guard.replace(Some(Rc::clone(&guard)));
                guard
            }
        };
        refresh(worker);
        Some(guard)
    }

    /// Brings the kill list of this worker's guards up to date.
    pub(crate) fn refresh(&self) {
        if let Some(worker) = self.slots.mine() {
            refresh(worker);
        }
    }

    /// Returns this worker's state of the policy.
    pub(crate) fn worker(&self) -> Option<&Worker> {
        self.slots.mine()
    }

    /// Drops this worker's guard after a panic: the next exchange gets a new one.
    pub(crate) fn forget_guard(&self) {
        if let Some(worker) = self.slots.mine() {
            worker.guard.replace(None);
            worker.counted.take();
        }
    }
}

fn refresh(worker: &Worker) {
    worker
        .seen
        .set(process::refresh(&worker.kill, worker.seen.get()));
}

fn recompile(text: &[u8], kill: Rc<KillSwitch>) -> Result<Guard, Rejected> {
    compile(Ok(text.to_vec()), kill, |level, message| {
        if level == LogLevel::Error {
            to_log(level, message);
        }
    })
}

fn compile(
    text: Result<Vec<u8>, String>,
    kill: Rc<KillSwitch>,
    log: filter::Log,
) -> Result<Guard, Rejected> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the host is where the environment comes in"
    )]
    let surroundings = HostEnvironment {
        variable: &|name| std::env::var(name).ok(),
        // Envoy does not provide the node's metadata to a module.
        node_environment: &|| None,
        seed: filter::seed(),
        shared_data: Rc::new(ProcessData),
        kill,
    };
    filter::put_in_force(text, &surroundings, log)
}

fn to_log(level: LogLevel, message: &str) {
    let level = match level {
        LogLevel::Info => Level::Info,
        LogLevel::Warn => Level::Warn,
        LogLevel::Error => Level::Error,
    };
    log(level, message);
}

/// Policies of routes, by the address by which Envoy identifies them. Envoy returns the address of whatever module the
/// route's configuration names; an unknown address is another module's, and is never read.
static ROUTES: Mutex<BTreeMap<usize, Arc<Policy>>> = Mutex::new(BTreeMap::new());

/// Policy of a route, which replaces the filter's policy.
pub(crate) struct RoutePolicy {
    /// Byte that makes the address unique among routes.
    _address: u8,
}

impl RoutePolicy {
    /// Puts a route's policy in force. Returns `None` if that is impossible; Envoy then rejects it.
    pub(crate) fn new(bytes: &[u8]) -> Option<Box<RoutePolicy>> {
        let text = filter::configuration_text(bytes.to_vec());
        let policy = Policy::new(text).ok()?;
        let route = Box::new(RoutePolicy { _address: 0 });
        ROUTES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(route.address(), policy);
        Some(route)
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Returns the policy at an address; `None` if the address is not one of this module's.
    pub(crate) fn at(address: usize) -> Option<Arc<Policy>> {
        ROUTES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&address)
            .cloned()
    }
}

impl Drop for RoutePolicy {
    fn drop(&mut self) {
        let policy = ROUTES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.address());
        // The policy is dropped after the lock is released, since it may be large.
        drop(policy);
    }
}

/// Stats of a configuration, in the order of [`METRICS`].
pub(crate) struct Stats(Vec<Option<Stat>>);

impl Stats {
    fn define(host: &Host) -> Stats {
        let define = |metric: &Metric| {
            let kind = match metric.kind {
                MetricType::Counter => StatKind::Counter,
                MetricType::Gauge => StatKind::Gauge,
                MetricType::Histogram => StatKind::Histogram,
            };
            let labels: Vec<&str> = metric.labels.iter().map(|label| label.name).collect();
            host.define(kind, metric.name, &labels)
        };
        Stats(METRICS.iter().map(define).collect())
    }

    /// Returns the stat of a metric.
    pub(crate) fn of(&self, metric: &Metric) -> Option<Stat> {
        self.named(metric.name)
    }

    fn named(&self, name: &str) -> Option<Stat> {
        let at = METRICS.iter().position(|known| known.name == name)?;
        *self.0.get(at)?
    }

    /// Returns the stats of the process.
    pub(crate) fn of_process(&self) -> ProcessStats {
        ProcessStats {
            in_force: self.of(&POLICY_INFO),
            workers: self.of(&POLICY_WORKERS),
            kill_entries: self.of(&KILL_ENTRIES),
            feed_generation: self.of(&KILL_FEED_GENERATION),
            feed_failures: self.of(&KILL_FEED_FAILURES),
            rejected: self.of(&CONFIG_REJECTED),
        }
    }
}
