//! The kill list as a configuration of its own: a second filter of the same module in the same VM, which stands before
//! the policy's filter. Envoy gives every worker's VM the new list as soon as its file is renamed, without touching the
//! policy's filter or any connection.
//!
//! Envoy runs filters in one VM if their `vm_id`, `vm_config.configuration` and module are the same. In another VM the
//! policy's filter could not see the list, so that the kill filter then denies everything itself.

use super::abi::{self, Level};
use super::root::send;
use super::stats::abi_kind;
use crate::diag::codes;
use crate::flow::Reply;
use crate::metrics;
use crate::policy::{KILL_KIND, KillList, KillState, KillSwitch, parse_json};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use std::cell::Cell;
use std::rc::Rc;

/// Name of the filter, its root and its metric.
pub(super) const NAME: &str = "agentguard-kill";

thread_local! {
    static SWITCH: Rc<KillSwitch> = Rc::default();
    /// Number of policies in force in this VM.
    static POLICIES: Cell<usize> = const { Cell::new(0) };
    /// Number of kill configurations so far: the last one is in force.
    static CONFIGURATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Returns the kill switch of this VM.
pub(super) fn switch() -> Rc<KillSwitch> {
    SWITCH.with(Rc::clone)
}

/// A policy was put in force.
pub(super) fn add_policy() {
    POLICIES.set(POLICIES.get().saturating_add(1));
}

/// A policy is no longer in force.
pub(super) fn remove_policy() {
    POLICIES.set(POLICIES.get().saturating_sub(1));
}

/// A configuration with a kill list.
pub(super) struct KillRoot {
    number: u64,
    version: String,
    entries: usize,
}

impl KillRoot {
    /// Puts a configuration in force if it is the kill filter's: by its document, or by its root's name. A list that
    /// can't be read is in force too: everything is denied, since nobody can tell who is to be stopped.
    pub(super) fn configure(text: Result<Vec<u8>, String>) -> Option<KillRoot> {
        let root = text.and_then(|text| parse_json(&text).map_err(|error| error.to_string()));
        let kind = root.as_ref().ok().and_then(|root| root.get("kind")?.text());
        let is_named =
            || abi::property(&["plugin_root_id"]).is_some_and(|id| id == NAME.as_bytes());
        if kind != Some(KILL_KIND) && !is_named() {
            return None;
        }
        let list = root.map_err(|error| vec![error]).and_then(|root| {
            KillList::read(&root).map_err(|errors| errors.iter().map(ToString::to_string).collect())
        });
        let (state, version, entries) = match list {
            Ok(list) => {
                abi::log(
                    Level::Info,
                    &format!(
                        "agentguard: kill list generation {} with {} entries is in force",
                        list.generation,
                        list.kills.len()
                    ),
                );
                let version = list.generation.to_string();
                let entries = list.kills.len();
                (KillState::List(Rc::new(list)), version, entries)
            }
            Err(errors) => {
                for error in errors {
                    abi::log(
                        Level::Error,
                        &format!(
                            "agentguard: AG9003 the kill list can't be read, everything is denied: {error}"
                        ),
                    );
                }
                (KillState::Unreadable, "unreadable".to_owned(), 0)
            }
        };
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
        if POLICIES.get() > 0 {
            return Action::Continue;
        }
        abi::log(
            Level::Error,
            "agentguard: AG9003 no policy runs in the VM of the kill list: give both filters the same `vm_id`, \
             `vm_config.configuration` and module",
        );
        let _ = send(&Reply {
            status: codes::status(codes::AG9003),
            headers: vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                ("x-agentguard-code".to_owned(), codes::AG9003.to_owned()),
                ("x-should-retry".to_owned(), "false".to_owned()),
            ],
            body: br#"{"error":{"message":"The kill list of this proxy is not in force.","code":"AG9003"}}"#
                .to_vec(),
        });
        Action::Pause
    }
}
