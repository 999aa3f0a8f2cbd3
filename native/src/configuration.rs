//! A configuration of Envoy: a policy or a kill list in force, for all workers.

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

/// A configuration of the filter.
pub(crate) struct Configuration {
    pub(crate) stats: Stats,
    pub(crate) content: Content,
    host: Host,
    /// Calls that the main thread has under way for it.
    pub(crate) calls: Arc<MainCalls>,
    /// Its number in the process, and the labels under which it is counted. The administration filter is not.
    registered: Option<(u64, [String; 2])>,
}

/// What a configuration holds.
pub(crate) enum Content {
    /// The policy's filter.
    Policy(Arc<Policy>),
    /// The kill list's.
    Kill {
        /// The number under which it is in force.
        owner: u64,
        /// The seconds of its feed. They end with the configuration.
        _seconds: Option<Seconds>,
    },
    /// The administration filter.
    Admin,
}

/// The event of a second.
const SECOND: u64 = 1;

impl Configuration {
    /// Puts a configuration in force; `None` if it can't be, which Envoy rejects.
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
        process::take_over_counters(&host, |name| stats.named(name));
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

    /// An event on the main thread.
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

    /// Makes a call from the main thread.
    fn call(&self, callout: &Callout) -> Option<u64> {
        let number = self.host.call(callout)?;
        self.calls.begin(number);
        Some(number)
    }

    /// The answer to a call of the main thread. That to a notice is of no interest.
    pub(crate) fn answered(&self, number: u64, answer: &Answer) {
        if let Content::Kill { owner, .. } = self.content {
            answer.with(MAX_FEED_BYTES, |answer| {
                feed::answered(owner, number, answer, to_log);
            });
        }
    }

    /// Denies what can't be decided after an event of the main thread has panicked.
    pub(crate) fn after_panic(&self) {
        match self.content {
            Content::Kill { owner, .. } => feed::after_panic(owner),
            Content::Policy(_) | Content::Admin => {
                to_log(LogLevel::Error, "agentguard: AG9006 a notice panicked");
            }
        }
    }

    /// Envoy ends the configuration. Exchanges under it have ended before.
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

/// The line of Envoy's log for a notice that the approval service does not get.
pub(crate) fn lost_notice(cluster: &str) -> String {
    format!(
        "agentguard: AG3007 the approval service behind cluster `{cluster}` failed: service_unreachable, a notice is lost"
    )
}

/// Calls that the main thread has under way for a configuration. A configuration that was replaced ends with its last
/// exchange, on a worker, where Envoy would cancel what belongs to the main thread's connections.
pub(crate) struct MainCalls {
    numbers: Mutex<BTreeSet<u64>>,
    ended: Condvar,
    main: ThreadId,
}

/// More than any call of the main thread takes.
const CALLS_END_WITHIN: Duration = Duration::from_secs(12);

impl Default for MainCalls {
    /// Only the main thread makes configurations.
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

    /// A call has ended, and nothing of its configuration is used any more.
    pub(crate) fn end(&self, number: u64) {
        self.numbers().remove(&number);
        self.ended.notify_all();
    }

    /// Waits on a worker until all have ended. A main thread that answers none of them has stopped, and shares nothing.
    fn wait(&self) {
        if std::thread::current().id() != self.main {
            let is_open = |numbers: &mut BTreeSet<u64>| !numbers.is_empty();
            let _ = self
                .ended
                .wait_timeout_while(self.numbers(), CALLS_END_WITHIN, is_open);
        }
    }
}

/// The labels of the gauge of what is in force.
fn labels(name: &str, version: &str) -> [String; 2] {
    let values = LabelValues::default().bounded_values(POLICY_INFO, &[name, version]);
    values.try_into().unwrap_or_default()
}

/// A policy in force.
pub(crate) struct Policy {
    text: Vec<u8>,
    slots: Slots,
    labels: [String; 2],
    /// Maximum bytes of a body that are held.
    pub(crate) max_body: u64,
}

/// The policies in force in the process, those of routes as well, in the order in which they were put in force. Their
/// configurations, routes and exchanges hold them.
static POLICIES: Mutex<Vec<Weak<Policy>>> = Mutex::new(Vec::new());

fn policies() -> Vec<Arc<Policy>> {
    let known = POLICIES.lock().unwrap_or_else(PoisonError::into_inner);
    known.iter().filter_map(Weak::upgrade).collect()
}

/// Hands over this worker's guards of all policies in force, the newest last. One that was replaced is among them until its
/// last exchange has ended; one without a guard denies all, as if it were not there.
pub(crate) fn with_policies<T>(run: impl FnOnce(&[Rc<Guard>]) -> T) -> T {
    let policies = policies();
    // Dropped before `policies`, whose slots must outlive them.
    let guards: Vec<Rc<Guard>> = policies
        .iter()
        .filter_map(|policy| policy.guard())
        .collect();
    run(&guards)
}

/// Forgets this worker's guards of all policies after a panic that any of them may have been in.
pub(crate) fn forget_guards() {
    let policies = policies();
    for policy in &policies {
        policy.forget_guard();
    }
}

impl Policy {
    fn new(text: Result<Vec<u8>, String>) -> Result<Arc<Policy>, Rejected> {
        // The first one speaks to the log. It says what is wrong, so that the others have nothing to say.
        let guard = compile(text.clone(), to_log)?;
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

    /// This worker's guard. `None` if there is none and none can be made, which denies.
    pub(crate) fn guard(&self) -> Option<Rc<Guard>> {
        let worker = self.slots.mine()?;
        let known = worker.guard.borrow().clone();
        let guard = match known {
            Some(guard) => guard,
            None => {
                let guard = Rc::new(recompile(&self.text).ok()?);
                worker.guard.replace(Some(Rc::clone(&guard)));
                worker.kill.set(0);
                guard
            }
        };
        refresh(worker, &guard);
        Some(guard)
    }

    /// Brings the kill list of a guard up to date.
    pub(crate) fn refresh(&self, guard: &Guard) {
        if let Some(worker) = self.slots.mine() {
            refresh(worker, guard);
        }
    }

    /// What this worker has of the policy.
    pub(crate) fn worker(&self) -> Option<&Worker> {
        self.slots.mine()
    }

    /// Forgets this worker's guard after a panic: the next exchange gets a new one.
    pub(crate) fn forget_guard(&self) {
        if let Some(worker) = self.slots.mine() {
            worker.guard.replace(None);
            worker.counted.take();
        }
    }
}

fn refresh(worker: &Worker, guard: &Guard) {
    worker
        .kill
        .set(process::refresh(&guard.kill, worker.kill.get()));
}

fn recompile(text: &[u8]) -> Result<Guard, Rejected> {
    compile(Ok(text.to_vec()), |level, message| {
        if level == LogLevel::Error {
            to_log(level, message);
        }
    })
}

fn compile(text: Result<Vec<u8>, String>, log: filter::Log) -> Result<Guard, Rejected> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the host is where the environment comes in"
    )]
    let surroundings = HostEnvironment {
        variable: &|name| std::env::var(name).ok(),
        // Envoy does not tell a module what its node is.
        node_environment: &|| None,
        seed: filter::seed(),
        shared_data: Rc::new(ProcessData),
        kill: Rc::new(KillSwitch::default()),
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

/// The policies of routes, by the address that Envoy knows them by. Envoy returns the address of whatever module the
/// route's configuration names; one that is not here is another's, and is never read.
static ROUTES: Mutex<BTreeMap<usize, Arc<Policy>>> = Mutex::new(BTreeMap::new());

/// The policy of a route, which takes the place of the filter's.
pub(crate) struct RoutePolicy {
    /// Makes the address one that no other route has.
    _address: u8,
}

impl RoutePolicy {
    /// Puts a route's policy in force; `None` if it can't be, which Envoy rejects.
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

    /// The policy at an address; `None` if it is not one of this module's.
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
        // Not while the lock is held: what is dropped may be large.
        drop(policy);
    }
}

/// The stats of a configuration, in the order of [`METRICS`].
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

    /// The stat of a metric.
    pub(crate) fn of(&self, metric: &Metric) -> Option<Stat> {
        self.named(metric.name)
    }

    fn named(&self, name: &str) -> Option<Stat> {
        let at = METRICS.iter().position(|known| known.name == name)?;
        *self.0.get(at)?
    }

    /// What is told of the process.
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
