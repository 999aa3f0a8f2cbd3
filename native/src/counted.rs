//! Cache of bounded label values: most exchanges count with label values that have been counted before.

use crate::process;
use agentguard::metrics::{LabelValues, Metric, MetricType};
use std::cell::RefCell;

thread_local! {
    /// Bounds on label values of all policies of a worker, also of later ones: Envoy keeps what an earlier one has counted.
    static NAMES: RefCell<LabelValues> = RefCell::default();
}

/// Maximum cached values per metric. They are as clients sent them, which are unlimited; values that are not cached are
/// bounded each time.
const MAX_KNOWN: usize = 512;

/// Maximum bytes of the values of one entry.
const MAX_VALUE_BYTES: usize = 256;

/// Label values that one worker has counted under a policy.
#[derive(Default)]
pub(crate) struct Counted {
    metrics: Vec<(&'static str, Vec<Known>)>,
}

/// Values of a metric's labels.
struct Known {
    /// Values as the exchange has them. The list is sorted by them.
    given: Box<[Box<str>]>,
    /// Values as the metric has them.
    told: Box<[Box<[u8]>]>,
}

impl Counted {
    /// Calls `tell` with the bounded values of a metric's labels.
    pub(crate) fn tell(&mut self, metric: Metric, given: &[&str], tell: impl FnOnce(&[Box<[u8]>])) {
        if self.metrics.is_empty() {
            NAMES.with_borrow_mut(LabelValues::forget_policy);
        }
        let at = self
            .metrics
            .iter()
            .position(|(name, _)| *name == metric.name);
        let at = at.unwrap_or_else(|| {
            self.metrics.push((metric.name, Vec::new()));
            self.metrics.len().saturating_sub(1)
        });
        let Some((_, known)) = self.metrics.get_mut(at) else {
            return;
        };
        let place = known.binary_search_by(|known| {
            let known = known.given.iter().map(|value| &**value);
            known.cmp(given.iter().copied())
        });
        match place {
            Ok(at) => {
                if let Some(known) = known.get(at) {
                    tell(&known.told);
                }
            }
            Err(at) => {
                let values = NAMES.with_borrow_mut(|names| names.bounded_values(metric, given));
                if metric.kind == MetricType::Counter {
                    process::note_counted(metric.name, &values);
                }
                let values = values.into_iter().map(String::into_bytes);
                let told: Box<[Box<[u8]>]> = values.map(Vec::into_boxed_slice).collect();
                tell(&told);
                let bytes = given
                    .iter()
                    .map(|value| value.len())
                    .fold(0, usize::saturating_add);
                if known.len() < MAX_KNOWN && bytes <= MAX_VALUE_BYTES {
                    let given = given.iter().map(|value| (*value).into()).collect();
                    known.insert(at, Known { given, told });
                }
            }
        }
    }
}
