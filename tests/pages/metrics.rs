//! docs/metrics.md: all metrics with their labels, and what Envoy and Istio need to make labels of them.

use super::hold;
use agentguard::audit::schema;
use agentguard::metrics::{MAX_VALUES, METRICS, Metric, MetricType, label_names, tag_pattern};
use std::collections::BTreeMap;
use std::fmt::Write;

const INTRODUCTION: &str = "# Metrics

The filter counts into Envoy's own stats, on the Prometheus page of its admin interface. No exporter is needed:
`curl localhost:9901/stats/prometheus | grep ^agentguard_`

```yaml
scrape_configs:
- job_name: envoy
  metrics_path: /stats/prometheus
  static_configs: [{ targets: [\"127.0.0.1:9901\"] }]
```

Envoy and Istio make labels of a stat's name only if they are told how: [tag extraction](#tag-extraction). Without it the labels
stay in the name.

This page is written from the code (`UPDATE_DOCS=1 cargo test --test pages`).
";

const RULES: &str = "
- Values have at most 64 characters of `A-Z a-z 0-9 . _ : / @ -`; others become `_`, an empty one `none`. Of each label of a metric
  the first VALUES values are kept apart in each worker, the rest is `other`: Envoy never forgets a stat, and clients choose models and
  tools.
- A worker whose virtual machine has trapped ([operations.md](operations.md)) is counted in `agentguard_policy_workers` for at most 35 seconds more.
- Several workers count into the same stat. A new policy continues the counters (the [native module](native.md) from Envoy 1.40 on); Envoy forgets them when it restarts.
- Envoy's stats are whole numbers. Durations are therefore not in seconds but in the unit of their name, and histograms appear
  after Envoy's next flush (`stats_flush_interval`, 5 s).
- Names and labels are stable. A label may be added, so that queries should aggregate: `sum by (provider) (…)`.
- Envoy writes no `# HELP` lines; this page has them.
";

const QUERIES: &str = "
## Queries

What would enforcement deny? A policy, or a rule, in observe mode:

```promql
sum by (rule_id) (rate(agentguard_policy_decisions_total{mode=\"observe\", action=\"deny\"}[5m]))
```

Share of denied exchanges, by provider:

```promql
sum by (provider) (rate(agentguard_requests_total{status=\"deny\"}[5m])) / sum by (provider) (rate(agentguard_requests_total[5m]))
```

Denials by code, without those of rules:

```promql
sum by (code) (rate(agentguard_decisions_total{mode=\"enforce\", decision=\"deny\", code!=\"AG3001\"}[5m]))
```

The time in the filter that 99 of 100 exchanges stay below, in seconds:

```promql
histogram_quantile(0.99, sum by (le) (rate(agentguard_inspection_microseconds_bucket[5m]))) / 1e6
```

Tokens by client, in an hour:

```promql
sum by (client_id, direction) (increase(agentguard_tokens_total[1h]))
```

The policies in force, on each Envoy:

```promql
max by (instance, name, version) (agentguard_policy_info) == 1
```

Workers that still finish exchanges under another policy than the newest:

```promql
count by (instance, name) (agentguard_policy_info == 1) > 1
```
";

const SEEING: &str = "
## Alerts and dashboards

[envoy/prometheus/alerts.yaml](../envoy/prometheus/alerts.yaml) has alerts to start from: Envoy or the policy gone, a rejected
configuration, denials that rise, a client that is denied everything, failed authentication, limits, content that can't be inspected,
an audit chain that began anew, an active or unreadable kill list, a slow filter. In `prometheus.yml`:

```yaml
rule_files: [alerts.yaml]
```

[envoy/grafana](../envoy/grafana) has dashboards (security, operations, detectors) to import into Grafana; each asks for the
Prometheus to use. `make test-observability` runs the alerts on what a real Envoy counted, and each query of the dashboards and of
this page in a real Prometheus.

![Security: exchanges and denials each second, rules that deny or would deny, clients and tools by denials, failed authentication, content that could not be inspected, limits, approvals](pictures/security.svg)

![Operations: exchanges by provider and model, time in the filter and of the whole exchange, errors of providers, tokens, policies in force](pictures/operations.svg)

![Detectors: findings by detector and by what happened to them](pictures/detectors.svg)

`make pictures` drew these three, not Grafana: `tools/dashboards/draw.py` asks a real Prometheus the dashboards' own queries after 75 seconds
of scripted traffic through Envoy. Grafana draws the same panels from the same answers.
";

fn row(metric: &Metric) -> String {
    let labels: Vec<String> = metric
        .labels
        .iter()
        .map(|label| format!("`{}`", label.name))
        .collect();
    format!(
        "| `{}` | {} | {} | {} | {} |\n",
        metric.name,
        metric.kind.word(),
        labels.join(", "),
        metric.unit,
        metric.help
    )
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n| metric | type | labels | counts | what |\n|---|---|---|---|---|\n");
    METRICS
        .iter()
        .for_each(|metric| page.push_str(&row(metric)));
    page.push_str(&RULES.replace("VALUES", &MAX_VALUES.to_string()));
    let labels: BTreeMap<&str, &str> = METRICS
        .iter()
        .flat_map(|metric| metric.labels)
        .map(|label| (label.name, label.help))
        .collect();
    page.push_str("\n## Labels\n\n| label | values |\n|---|---|\n");
    for (name, help) in &labels {
        writeln!(page, "| `{name}` | {help} |").unwrap();
    }
    page.push_str(QUERIES);
    page.push_str(SEEING);
    page.push_str("\n## Tag extraction\n\nIn Envoy's bootstrap; `agentguard build --bootstrap` writes it:\n\n```yaml\nstats_config:\n  stats_tags:\n");
    for name in label_names() {
        writeln!(
            page,
            "  - {{ tag_name: {name}, regex: '{}' }}",
            tag_pattern(name)
        )
        .unwrap();
    }
    let names: Vec<&str> = label_names().into_iter().collect();
    writeln!(
        page,
        "```\n\nIn Istio, `meshConfig.defaultConfig`, `proxyConfig`, or as the annotation `sidecar.istio.io/extraStatTags` of a pod; \
         restart the workloads after a change:\n\n```yaml\nextraStatTags: [{}]\n```\n\nIstio's own expressions are not anchored, so that \
         `agentguard_provider_errors_total` has the label `type` there, too.",
        names.join(", ")
    )
    .unwrap();
    page
}

#[test]
fn the_page_about_metrics_is_what_the_code_says() {
    hold("docs/metrics.md", &page());
}

#[test]
fn no_two_metrics_give_one_label_two_meanings() {
    let mut meanings: BTreeMap<&str, &str> = BTreeMap::new();
    for label in METRICS.iter().flat_map(|metric| metric.labels) {
        let known = meanings.entry(label.name).or_insert(label.help);
        assert_eq!(*known, label.help, "{}", label.name);
    }
    assert!(
        METRICS
            .iter()
            .any(|metric| metric.kind == MetricType::Histogram)
    );
}

/// The metric counts the state that the audit event has, so that whoever reads one finds the words of the other.
#[test]
fn the_label_of_approvals_names_each_state_of_the_audit_event() {
    let schema = schema();
    let states = schema
        .pointer("/properties/approval/properties/state/enum")
        .and_then(|words| words.as_array())
        .expect("the states");
    let label = METRICS
        .iter()
        .flat_map(|metric| metric.labels)
        .find(|label| label.name == "state")
        .expect("the label");
    assert!(states.len() > 3);
    for state in states.iter().filter_map(|state| state.as_str()) {
        assert!(label.help.contains(&format!("`{state}`")), "{state}");
    }
}
