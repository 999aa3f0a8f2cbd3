//! Metrics: names and labels of counters and histograms, in the format that Envoy's and Istio's tag extraction reads:
//! `provider=.=openai;.;agentguard_requests_total`. Envoy never removes a stat, so that labels with client data are
//! bounded.

use crate::wire::sorted_map::{SortedMap, SortedSet};

/// Maximum bytes of a label value.
const MAX_VALUE_BYTES: usize = 64;

/// Maximum values of one label of one metric. Further values are counted as `other`.
const MAX_VALUES: usize = 200;

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MetricType {
    /// Only increases.
    Counter,
    /// Is set to a value.
    Gauge,
    /// A distribution of whole numbers.
    Histogram,
}

/// A metric: its name and its labels in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Prometheus name.
    pub name: &'static str,
    /// The type.
    pub kind: MetricType,
    /// Labels.
    pub labels: &'static [&'static str],
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $id:ident $name:literal $kind:ident [$($label:literal),*];)+) => {
        $($(#[$doc])* pub const $id: Metric = Metric { name: $name, kind: MetricType::$kind, labels: &[$($label),*] };)+

        /// All metrics.
        pub const METRICS: &[Metric] = &[$($id),+];
    };
}

metrics! {
    /// Exchanges; `status` is the decision.
    REQUESTS "agentguard_requests_total" Counter ["provider", "model", "status", "client_id"];
    /// Time from the first header to the last byte.
    REQUEST_DURATION "agentguard_request_duration_milliseconds" Histogram ["provider"];
    /// Time spent in the filter.
    INSPECTION "agentguard_inspection_microseconds" Histogram ["provider"];
    /// Rules that matched.
    POLICY_DECISIONS "agentguard_policy_decisions_total" Counter ["rule_id", "action"];
    /// Findings of detectors; `action` is the action that applied.
    FINDINGS "agentguard_findings_total" Counter ["type", "action"];
    /// Provider errors.
    PROVIDER_ERRORS "agentguard_provider_errors_total" Counter ["provider", "error_type"];
    /// Tokens as providers report them.
    TOKENS "agentguard_tokens_total" Counter ["provider", "model", "direction", "client_id"];
    /// Tool calls.
    TOOL_CALLS "agentguard_tool_calls_total" Counter ["tool", "action"];
    /// Content that could not be inspected.
    UNINSPECTABLE "agentguard_uninspectable_total" Counter ["code"];
    /// Requests without a valid credential; `source` is the policy's source that recognised it.
    AUTHENTICATION_FAILURES "agentguard_authentication_failures_total" Counter ["source", "reason"];
    /// Events that exceeded a limit.
    LIMIT_HITS "agentguard_limit_hits_total" Counter ["limit_id"];
    /// Counters of limits that were dropped because their bucket was full.
    LIMIT_EVICTIONS "agentguard_limit_evictions_total" Counter [];
    /// The policy in force.
    POLICY_INFO "agentguard_policy_info" Gauge ["name", "version"];
    /// Rejected configurations.
    CONFIG_REJECTED "agentguard_config_rejected_total" Counter [];
}

/// Bounds on label values; one instance per VM.
#[derive(Debug, Default)]
pub struct LabelValues {
    seen: SortedMap<(&'static str, &'static str), SortedSet<String>>,
}

impl LabelValues {
    /// Returns the stat name for Envoy.
    pub fn stat(&mut self, metric: Metric, values: &[&str]) -> String {
        let mut name = String::with_capacity(128);
        for (label, value) in metric.labels.iter().zip(values) {
            let value = self.bounded(metric.name, label, sanitised(value));
            name.push_str(label);
            name.push_str("=.=");
            name.push_str(&value);
            name.push_str(";.;");
        }
        name.push_str(metric.name);
        name
    }

    fn bounded(&mut self, metric: &'static str, label: &'static str, value: String) -> String {
        let seen = self.seen.entry((metric, label)).or_default();
        if seen.contains(&value) {
            return value;
        }
        if seen.len() >= MAX_VALUES {
            return "other".to_owned();
        }
        seen.insert(value.clone());
        value
    }
}

/// Returns a label value that every scraper can parse. A `;` would inject labels, a control character would break the
/// page.
fn sanitised(value: &str) -> String {
    let mut clean: String = value
        .chars()
        .take(MAX_VALUE_BYTES)
        .map(|c| match c {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '_' | ':' | '/' | '@' | '-' => c,
            _ => '_',
        })
        .collect();
    if clean.is_empty() {
        clean.push_str("none");
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(names: &mut LabelValues, model: &str) -> String {
        names.stat(REQUESTS, &["openai", model, "allow", "team-a"])
    }

    #[test]
    fn a_stat_is_named_as_envoy_s_tag_extraction_reads_it() {
        assert_eq!(
            requests(&mut LabelValues::default(), "gpt-4o"),
            "provider=.=openai;.;model=.=gpt-4o;.;status=.=allow;.;client_id=.=team-a;.;agentguard_requests_total"
        );
    }

    #[test]
    fn no_value_can_inject_a_label_or_break_the_page() {
        let name = requests(&mut LabelValues::default(), "x;.;status=.=evil\n\u{1}é");
        assert!(
            name.contains("model=.=x_._status_._evil___;.;status=.=allow"),
            "{name}"
        );
        assert!(requests(&mut LabelValues::default(), "").contains("model=.=none;.;"));
        assert!(requests(&mut LabelValues::default(), &"m".repeat(500)).len() < 200);
    }

    #[test]
    fn further_values_of_a_full_label_are_other() {
        let mut names = LabelValues::default();
        for n in 0..MAX_VALUES {
            assert!(requests(&mut names, &format!("m{n}")).contains(&format!("=m{n};")));
        }
        assert!(requests(&mut names, "one-more").contains("model=.=other;.;"));
        assert!(requests(&mut names, "m7").contains("model=.=m7;.;"));
    }

    #[test]
    fn names_keep_clear_of_istio_s_own_tags() {
        for metric in METRICS {
            assert!(metric.name.starts_with("agentguard_"));
            for eaten in ["cache.", "component.", "tag.", "rbac."] {
                assert!(!metric.name.contains(eaten));
            }
        }
    }
}
