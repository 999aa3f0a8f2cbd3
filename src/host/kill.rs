//! Kill list as a configuration of its own: a second filter of the same module in the same VM, placed before the
//! policy's filter. Envoy gives every worker's VM the new list as soon as its file is renamed, without touching the
//! policy's filter or any connection.
//!
//! Envoy runs filters in one VM if their `vm_id`, `vm_config.configuration` and module are the same. In another VM the
//! policy's filter could not see the list, so that the kill filter then denies everything itself.

use super::abi;
use super::policies;
use super::root::send;
use super::stats::abi_kind;
use crate::filter::{
    FEED_TIMEOUT_S, FeedReader, KILL_FILTER, KillConfiguration, LogLevel, kill_list_missing,
};
use crate::flow::ServiceAnswer;
use crate::metrics::{self, LabelValues, Metric};
use crate::policy::{KillState, KillSwitch};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

thread_local! {
    static SWITCH: Rc<KillSwitch> = Rc::default();
    /// Number of kill configurations so far. The last one is in force.
    static CONFIGURATIONS: Cell<u64> = const { Cell::new(0) };
    /// Feed of the last kill configuration, with Envoy's token of the open request. The feed's list outlives the
    /// configuration.
    static FEED: RefCell<Option<(FeedReader, Option<u32>)>> = const { RefCell::new(None) };
}

/// Returns the kill switch of this VM.
pub(super) fn switch() -> Rc<KillSwitch> {
    SWITCH.with(Rc::clone)
}

/// Configuration with a kill list.
pub(super) struct KillRoot {
    number: u64,
    version: String,
    entries: usize,
    has_feed: bool,
}

impl KillRoot {
    /// Puts a configuration in force if it is the kill filter's.
    pub(super) fn configure(text: Result<Vec<u8>, String>) -> Option<KillRoot> {
        let is_named =
            || abi::property(&["plugin_root_id"]).is_some_and(|id| id == KILL_FILTER.as_bytes());
        let text = text.as_deref().map_err(Clone::clone);
        let mut configuration = KillConfiguration::read(text, is_named, abi::log)?;
        let number = CONFIGURATIONS.get().saturating_add(1);
        CONFIGURATIONS.set(number);
        let before = FEED.take();
        let kept = before.and_then(|(reader, _)| configuration.go_on(reader, abi::log));
        let KillConfiguration {
            state,
            version,
            entries,
            feed,
        } = configuration;
        let has_feed = feed.is_some();
        // An open request belongs to the previous configuration, whose root gets the response.
        FEED.set(feed.or(kept).map(|feed| (feed, None)));
        switch().set(state);
        Some(KillRoot {
            number,
            version,
            entries,
            has_feed,
        })
    }

    /// Returns the generation of the list, for the metric.
    pub(super) fn version(&self) -> &str {
        &self.version
    }
}

impl KillRoot {
    /// Returns whether no later configuration has replaced this one.
    fn is_last(&self) -> bool {
        CONFIGURATIONS.get() == self.number
    }

    /// Sets the gauge of the list's entries. Every worker sets the same value.
    pub(super) fn set_gauge(&self) {
        if self.is_last() && !self.has_feed {
            set(metrics::KILL_ENTRIES, size(self.entries));
        }
    }

    /// Returns whether the list names a feed, which is read with the ticks.
    pub(super) fn has_feed(&self) -> bool {
        self.has_feed
    }

    /// Counts a second: requests the feed if it is time, and expires a list that is too old.
    pub(super) fn tick(&self) {
        self.with_feed(|feed, asked| {
            if !feed.tick(abi::log) {
                return;
            }
            let service = feed.feed();
            let headers = vec![
                (":method", "GET"),
                (":path", &*service.path),
                (":authority", &*service.authority),
                ("accept", "application/json"),
            ];
            let timeout = Duration::from_secs(FEED_TIMEOUT_S);
            *asked = abi::call_service(&service.cluster, headers, None, timeout);
            if asked.is_none() {
                take(feed, &ServiceAnswer::Unreachable);
            }
        });
    }

    /// Processes a response of the feed.
    pub(super) fn answered(&self, token: u32, answer: &ServiceAnswer<'_>) {
        self.with_feed(|feed, asked| {
            if asked.take_if(|asked| *asked == token).is_some() {
                take(feed, answer);
            }
        });
    }

    /// Runs a part of the feed's reader, and puts the resulting state in force.
    fn with_feed(&self, run: impl FnOnce(&mut FeedReader, &mut Option<u32>)) {
        // A feed that is only kept for a later configuration is not read: its list must not replace an unreadable one.
        if !self.is_last() || !self.has_feed {
            return;
        }
        let state = FEED.with_borrow_mut(|feed| {
            let (feed, asked) = feed.as_mut()?;
            run(feed, asked);
            set(metrics::KILL_ENTRIES, size(feed.entries()));
            set(metrics::KILL_FEED_GENERATION, feed.generation());
            Some(feed.state().clone())
        });
        if let Some(state) = state {
            switch().set(state);
        }
    }
}

/// Passes a response to the reader of a feed, and counts a rejected one.
fn take(feed: &mut FeedReader, answer: &ServiceAnswer<'_>) {
    let Err(reason) = feed.answered(answer, abi::log) else {
        return;
    };
    let metric = metrics::KILL_FEED_FAILURES;
    let stat = LabelValues::default().stat(metric, &[reason]);
    if let Some(id) = abi::define_metric(abi_kind(metric.kind), &stat) {
        abi::increment_metric(id, 1);
    }
}

fn size(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn set(metric: Metric, value: u64) {
    if let Some(id) = abi::define_metric(abi_kind(metric.kind), metric.name) {
        abi::record_metric(id, value);
    }
}

impl Drop for KillRoot {
    fn drop(&mut self) {
        // A later configuration has replaced this one, unless the filter was removed.
        if self.is_last() {
            set(metrics::KILL_ENTRIES, 0);
            if FEED.take().is_some() {
                set(metrics::KILL_FEED_GENERATION, 0);
            }
            switch().set(KillState::Absent);
        }
    }
}

/// Stream context of the kill filter. The policy's filter enforces the list; this one only makes sure that its VM has a
/// policy.
pub(super) struct KillExchange;

impl Context for KillExchange {}

impl HttpContext for KillExchange {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        if policies::is_any() {
            return Action::Continue;
        }
        abi::log(
            LogLevel::Error,
            "agentguard: AG9003 no policy runs in the VM of the kill list: give both filters the same `vm_id`, \
             `vm_config.configuration` and module",
        );
        let _ = send(&kill_list_missing());
        Action::Pause
    }
}
