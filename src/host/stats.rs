//! Envoy's stats. A stat's id is asked once and kept: by id a change costs a tenth of what it costs by name.

use super::abi;
use crate::flow::Guard;
use crate::metrics::{Metric, MetricType};
use crate::wire::sorted_map::SortedMap;

/// Most ids that are kept for one metric. Values are kept as clients wrote them, of which there is no end; the rest is
/// looked up by name.
const MOST_IDS: usize = 512;

/// Longest values that are kept, in bytes together.
const LONGEST_VALUES: usize = 256;

/// Ids of the stats that were used so far.
#[derive(Debug, Default)]
pub(super) struct Stats {
    metrics: SortedMap<&'static str, Vec<ResolvedStat>>,
}

/// A stat by the values of its labels as they were given.
#[derive(Debug)]
struct ResolvedStat {
    values: Box<[Box<str>]>,
    id: Option<u32>,
}

impl Stats {
    /// Makes a change.
    pub(super) fn count(&mut self, guard: &Guard, metric: Metric, values: &[&str], by: u64) {
        let Some(id) = self.id(guard, metric, values) else {
            return;
        };
        match metric.kind {
            MetricType::Counter => abi::increment_metric(id, i64::try_from(by).unwrap_or(i64::MAX)),
            MetricType::Gauge | MetricType::Histogram => abi::record_metric(id, by),
        }
    }

    /// The stat's id; its list is sorted by the values.
    fn id(&mut self, guard: &Guard, metric: Metric, values: &[&str]) -> Option<u32> {
        let known = self.metrics.entry(metric.name).or_default();
        let place = known.binary_search_by(|known| {
            let known = known.values.iter().map(|value| &**value);
            known.cmp(values.iter().copied())
        });
        match place {
            Ok(at) => known.get(at)?.id,
            Err(at) => {
                let name = guard.names.borrow_mut().stat(metric, values);
                let id = abi::define_metric(abi_kind(metric.kind), &name);
                let bytes: usize = values.iter().map(|value| value.len()).sum();
                if known.len() < MOST_IDS && bytes <= LONGEST_VALUES {
                    let values = values.iter().map(|value| (*value).into()).collect();
                    known.insert(at, ResolvedStat { values, id });
                }
                id
            }
        }
    }
}

/// The stat's kind in the ABI.
pub(super) fn abi_kind(kind: MetricType) -> u32 {
    match kind {
        MetricType::Counter => 0,
        MetricType::Gauge => 1,
        MetricType::Histogram => 2,
    }
}
