//! Metrics: names and labels of counters and histograms, in the format that Envoy's and Istio's tag extraction reads:
//! `provider=.=openai;.;agentguard_requests_total`. Envoy never removes a stat, so that labels with client data are
//! bounded.

mod in_force;
mod table;

pub use in_force::{BEAT_S, InForce};
pub use table::*;

use crate::wire::sorted_map::{SortedMap, SortedSet};
use std::collections::BTreeSet;

/// Maximum values of one label of one metric. Further values are counted as `other`.
pub const MAX_VALUES: usize = 200;

/// Namespace of the stats of Wasm filters in Envoy. Its Prometheus page leaves it out.
const NAMESPACE: &str = "wasmcustom";

/// Returns the names of all labels, sorted. Istio extracts them if they are in `extraStatTags`.
pub fn label_names() -> BTreeSet<&'static str> {
    let labels = METRICS.iter().flat_map(|metric| metric.labels);
    labels.map(|label| label.name).collect()
}

/// Returns the regular expression for `stats_config.stats_tags` that makes a label of a part of a stat's name. Its first
/// capture is cut out of the name, the second is the value.
///
/// It is anchored: Envoy only tries it on stats of Wasm filters, and `type` does not match the end of `error_type`.
pub fn tag_pattern(label: &str) -> String {
    format!("^{NAMESPACE}\\.(?:.*;)?({label}=\\.=(.*?);\\.;)")
}

/// Bounds on label values; one instance per VM, or worker of the native module, for all policies.
#[derive(Debug, Default)]
pub struct LabelValues {
    seen: Seen,
    /// Those that policies give.
    of_policy: Seen,
}

/// Values by metric and label.
type Seen = SortedMap<(&'static str, &'static str), SortedSet<String>>;

impl LabelValues {
    /// Makes room for what a new policy gives: the names of its rules, limits and detectors.
    pub fn forget_policy(&mut self) {
        self.of_policy.clear();
    }

    /// Returns the stat name for Envoy.
    pub fn stat(&mut self, metric: Metric, values: &[&str]) -> String {
        let mut name = String::with_capacity(128);
        for (label, value) in metric.labels.iter().zip(values) {
            let value = self.bounded(metric.name, label.name, sanitised(value, label.max_bytes));
            name.push_str(label.name);
            name.push_str("=.=");
            name.push_str(&value);
            name.push_str(";.;");
        }
        name.push_str(metric.name);
        name
    }

    /// Returns the values of a metric's labels, for a proxy that knows labels.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn bounded_values(&mut self, metric: Metric, values: &[&str]) -> Vec<String> {
        let labels = metric.labels.iter().zip(values);
        labels
            .map(|(label, value)| {
                self.bounded(metric.name, label.name, sanitised(value, label.max_bytes))
            })
            .collect()
    }

    fn bounded(&mut self, metric: &'static str, label: &'static str, value: String) -> String {
        let seen = match OF_POLICY.contains(&label) {
            true => &mut self.of_policy,
            false => &mut self.seen,
        };
        let seen = seen.entry((metric, label)).or_default();
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
fn sanitised(value: &str, max_bytes: usize) -> String {
    let mut clean: String = value
        .chars()
        .take(max_bytes)
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
    fn a_new_policy_has_room_for_its_own_names_and_clients_have_none_for_more() {
        let mut names = LabelValues::default();
        let of_rule = |names: &mut LabelValues, rule: &str| {
            names.stat(POLICY_DECISIONS, &[rule, "deny", "enforce"])
        };
        for n in 0..MAX_VALUES {
            requests(&mut names, &format!("m{n}"));
            of_rule(&mut names, &format!("r{n}"));
        }
        assert!(of_rule(&mut names, "one-more").contains("rule_id=.=other;.;"));
        names.forget_policy();
        assert!(of_rule(&mut names, "one-more").contains("rule_id=.=one-more;.;"));
        assert!(requests(&mut names, "one-more").contains("model=.=other;.;"));
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

    #[test]
    fn every_metric_and_label_is_described_and_used_once() {
        let mut names = BTreeSet::new();
        for metric in METRICS {
            assert!(names.insert(metric.name), "{}", metric.name);
            assert!(metric.help.ends_with('.') && !metric.unit.is_empty());
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == MetricType::Counter,
                "{}",
                metric.name
            );
            let mut labels = BTreeSet::new();
            for label in metric.labels {
                assert!(labels.insert(label.name), "{} {}", metric.name, label.name);
                assert!(label.help.ends_with('.'), "{}", label.name);
            }
        }
    }

    #[test]
    fn the_version_of_a_policy_is_whole() {
        let version = format!("sha256:{}", "a".repeat(64));
        let name = LabelValues::default().stat(POLICY_INFO, &["p", &version]);
        assert!(name.contains(&format!("version=.={version};.;")), "{name}");
    }

    #[test]
    fn a_tag_pattern_takes_the_label_and_no_other_that_ends_like_it() {
        let pattern = regex_automata::meta::Regex::new(&tag_pattern("type")).unwrap();
        let cut = |stat: &str| {
            let mut found = pattern.create_captures();
            pattern.captures(stat, &mut found);
            let part = |group| {
                found
                    .get_group(group)
                    .and_then(|span| Some(stat.get(span.range())?.to_owned()))
            };
            (part(1), part(2))
        };
        let own = "wasmcustom.type=.=email;.;action=.=redact;.;agentguard_findings_total";
        let value = Some("email".to_owned());
        assert_eq!(
            cut(own),
            (Some("type=.=email;.;".to_owned()), value.clone())
        );
        let second = "wasmcustom.action=.=redact;.;type=.=email;.;agentguard_findings_total";
        assert_eq!(cut(second), (Some("type=.=email;.;".to_owned()), value));
        let other =
            "wasmcustom.provider=.=openai;.;error_type=.=slow;.;agentguard_provider_errors_total";
        assert_eq!(cut(other), (None, None));
        assert_eq!(cut("cluster.type=.=x;.;upstream_rq"), (None, None));
    }
}
