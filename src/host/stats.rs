//! Envoy's stats. A stat's id is asked once and kept: by id a change costs a tenth of what it costs by name.

use super::abi;
use crate::flow::Guard;
use crate::metrics::{Count, Kind};
use std::collections::BTreeMap;

/// Ids of the stats that were used so far.
#[derive(Debug, Default)]
pub(super) struct Stats {
    ids: BTreeMap<String, Option<u32>>,
}

impl Stats {
    /// Makes a change.
    pub(super) fn count(&mut self, guard: &Guard, count: &Count) {
        let name = guard.names.borrow_mut().stat(count.metric, &count.values);
        let kind = count.metric.kind;
        let id = *self
            .ids
            .entry(name)
            .or_insert_with_key(|name| abi::define_metric(abi_kind(kind), name));
        let Some(id) = id else { return };
        match kind {
            Kind::Counter => abi::increment_metric(id, i64::try_from(count.by).unwrap_or(i64::MAX)),
            Kind::Gauge | Kind::Histogram => abi::record_metric(id, count.by),
        }
    }
}

/// The stat's kind in the ABI.
pub(super) fn abi_kind(kind: Kind) -> u32 {
    match kind {
        Kind::Counter => 0,
        Kind::Gauge => 1,
        Kind::Histogram => 2,
    }
}
