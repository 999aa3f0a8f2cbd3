//! The kill list as a configuration of its own: a second filter of the same module in the same VM, which stands before
//! the policy's filter. Envoy gives every worker's VM the new list as soon as its file is renamed, without touching the
//! policy's filter or any connection.
//!
//! Envoy runs filters in one VM if their `vm_id`, `vm_config.configuration` and module are the same. In another VM the
//! policy's filter could not see the list, so that the kill filter then denies everything itself.

use super::abi;
use super::policies;
use super::root::send;
use super::stats::abi_kind;
use crate::filter::{KILL_FILTER, KillConfiguration, LogLevel, kill_list_missing};
use crate::metrics;
use crate::policy::{KillState, KillSwitch};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use std::cell::Cell;
use std::rc::Rc;

thread_local! {
    static SWITCH: Rc<KillSwitch> = Rc::default();
    /// Number of kill configurations so far: the last one is in force.
    static CONFIGURATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Returns the kill switch of this VM.
pub(super) fn switch() -> Rc<KillSwitch> {
    SWITCH.with(Rc::clone)
}

/// A configuration with a kill list.
pub(super) struct KillRoot {
    number: u64,
    version: String,
    entries: usize,
}

impl KillRoot {
    /// Puts a configuration in force if it is the kill filter's.
    pub(super) fn configure(text: Result<Vec<u8>, String>) -> Option<KillRoot> {
        let is_named =
            || abi::property(&["plugin_root_id"]).is_some_and(|id| id == KILL_FILTER.as_bytes());
        let text = text.as_deref().map_err(Clone::clone);
        let KillConfiguration {
            state,
            version,
            entries,
        } = KillConfiguration::read(text, is_named, abi::log)?;
        let number = CONFIGURATIONS.get().saturating_add(1);
        CONFIGURATIONS.set(number);
        switch().set(state);
        Some(KillRoot {
            number,
            version,
            entries,
        })
    }

    /// The generation of the list, for the metric.
    pub(super) fn version(&self) -> &str {
        &self.version
    }
}

impl KillRoot {
    /// Whether no later configuration has replaced this one.
    fn is_last(&self) -> bool {
        CONFIGURATIONS.get() == self.number
    }

    /// Sets the gauge of the list's entries. Every worker sets the same.
    pub(super) fn set_gauge(&self) {
        if self.is_last() {
            set_entries(self.entries);
        }
    }
}

fn set_entries(count: usize) {
    let metric = metrics::KILL_ENTRIES;
    if let Some(id) = abi::define_metric(abi_kind(metric.kind), metric.name) {
        abi::record_metric(id, u64::try_from(count).unwrap_or(u64::MAX));
    }
}

impl Drop for KillRoot {
    fn drop(&mut self) {
        // A later configuration has replaced this one, unless the filter was removed.
        if self.is_last() {
            set_entries(0);
            switch().set(KillState::Absent);
        }
    }
}

/// The stream context of the kill filter. The policy's filter enforces the list; this one only makes sure that there is
/// one in its VM.
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
