//! Checks of the surroundings of the traffic: metrics, access logs, the node's name, the admin interface.

use super::Report;
use super::proxy::{HttpManager, Members, Proxy, is_loopback, list};
use crate::metrics::{label_names, tag_pattern};
use serde_json::Value;

pub(super) fn missing_tags(proxy: &Proxy, report: &mut Report) {
    let Some(bootstrap) = &proxy.bootstrap else {
        return;
    };
    if proxy
        .managers()
        .all(|manager| manager.agentguard().is_none())
    {
        return;
    }
    let is_there = |label: &str| {
        list(bootstrap.at("/stats_config/stats_tags")).any(|tag| tag.at("/tag_name") == label)
    };
    let missing: Vec<&str> = label_names()
        .into_iter()
        .filter(|label| !is_there(label))
        .collect();
    if missing.is_empty() {
        return;
    }
    let tags: Vec<String> = missing
        .iter()
        .map(|label| {
            format!(
                "  - {{ tag_name: {label}, regex: '{}' }}",
                tag_pattern(label)
            )
        })
        .collect();
    report.add(
        "bootstrap, stats_config",
        format!(
            "makes no labels of {}: they stay in the names of the metrics",
            missing.join(", ")
        ),
        format!("stats_config:\n  stats_tags:\n{}", tags.join("\n")),
    );
}

pub(super) fn no_metrics(proxy: &Proxy, report: &mut Report) {
    let Some(bootstrap) = &proxy.bootstrap else {
        return;
    };
    if bootstrap.at("/stats_config/stats_matcher/reject_all") == true {
        report.add(
            "bootstrap, stats_config",
            "makes no metrics at all: `stats_matcher` rejects them",
            "stats_config:\n  stats_matcher: {}",
        );
    }
}

/// Returns the formats of an access log with the audit event: the text, or `None` for JSON.
fn audit_formats(log: &Value) -> Option<Option<&str>> {
    // The format must not be another value (`wasm.agentguard.decision`), and must not truncate (`:PLAIN):512%`).
    const STATE: &str = "%FILTER_STATE(wasm.agentguard:PLAIN)%";
    let config = log.at("/typed_config");
    let format = config.at("/log_format");
    let texts = [
        format.at("/text_format_source/inline_string"),
        format.at("/text_format"),
        config.at("/format"),
    ];
    let text = texts.iter().find_map(|text| text.as_str());
    if let Some(text) = text.filter(|text| text.contains(STATE)) {
        return Some(Some(text));
    }
    config.to_string().contains(STATE).then_some(None)
}

/// Returns whether a log with this filter is written for every request that AgentGuard has seen: the filter, if any, excludes only
/// other requests.
fn keeps_all(filter: &Value) -> bool {
    // Another condition beside it would exclude some: `'wasm.agentguard' in filter_state && response.code >= 400`.
    const SEEN: &str = "'wasm.agentguard' in filter_state";
    let expression = filter.at("/extension_filter/typed_config/expression");
    let mut all = list(filter.at("/and_filter/filters")).peekable();
    filter.is_null()
        || filter.at("/not_health_check_filter").is_object()
        || expression.as_str().is_some_and(|text| text.trim() == SEEN)
        || list(filter.at("/or_filter/filters")).any(keeps_all)
        || (all.peek().is_some() && all.all(keeps_all))
}

pub(super) fn no_audit_log(_: &Proxy, manager: &HttpManager, report: &mut Report) {
    if manager.agentguard().is_none() {
        return;
    }
    let logs: Vec<&Value> = list(manager.config.at("/access_log"))
        .filter(|log| audit_formats(log).is_some())
        .collect();
    if !logs.iter().any(|log| keeps_all(log.at("/filter"))) {
        report.add(
            manager.place(),
            match logs.is_empty() {
                true => "writes no audit events",
                false => "writes the audit events of some requests only: its access log has a filter",
            },
            "access_log:\n- name: envoy.access_loggers.file\n  typed_config:\n    \"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog\n    path: /var/log/agentguard/audit.jsonl\n    log_format: { text_format_source: { inline_string: \"%FILTER_STATE(wasm.agentguard:PLAIN)%\\n\" } }",
        );
    }
}

pub(super) fn no_line_end(_: &Proxy, manager: &HttpManager, report: &mut Report) {
    if manager.agentguard().is_none() {
        return;
    }
    for log in list(manager.config.at("/access_log")) {
        let text = audit_formats(log).flatten();
        if text.is_some_and(|text| !text.ends_with('\n')) {
            report.add(
                format!("{}, access log", manager.place()),
                "writes all audit events on one line: its format has no newline at its end",
                "inline_string: \"%FILTER_STATE(wasm.agentguard:PLAIN)%\\n\"",
            );
        }
    }
}

pub(super) fn nameless_node(proxy: &Proxy, report: &mut Report) {
    let Some(bootstrap) = &proxy.bootstrap else {
        return;
    };
    // A filter that was discovered proves that the command line named the node.
    let discovers = |manager: &HttpManager| {
        let mut filters = manager.filters.iter();
        filters
            .any(|filter| filter.entry.at("/config_discovery").is_object() && !filter.is_discovered)
    };
    let node = bootstrap.at("/node");
    let is_named = |key: &str| {
        node.at(&format!("/{key}"))
            .as_str()
            .is_some_and(|name| !name.is_empty())
    };
    if proxy.managers().any(discovers) && !(is_named("id") && is_named("cluster")) {
        report.add(
            "bootstrap, node",
            "has no id and cluster: Envoy discovers no configuration, unless it is started with --service-node and --service-cluster",
            "node: { id: agentguard, cluster: agentguard }",
        );
    }
}

/// Returns whether a route to the admin interface leads to its statistics and readiness only.
fn is_harmless(route: &Value) -> bool {
    let (matched, action) = (route.at("/match"), route.at("/route"));
    let kinds = ["prefix", "path", "path_separated_prefix"].map(|kind| format!("/{kind}"));
    let path = kinds.iter().map(|kind| matched.at(kind));
    let rewritten = [
        action.at("/prefix_rewrite"),
        action.at("/regex_rewrite/substitution"),
    ];
    let path = path.chain([matched.at("/safe_regex/regex")]);
    let mut places = rewritten.into_iter().chain(path).filter_map(Value::as_str);
    places.next().is_some_and(|place| {
        let place = place.trim_start_matches('^');
        place.starts_with("/stats") || place.starts_with("/ready")
    })
}

pub(super) fn open_admin(proxy: &Proxy, report: &mut Report) {
    let Some(bootstrap) = &proxy.bootstrap else {
        return;
    };
    let address = bootstrap.at("/admin/address/socket_address/address");
    if let Some(address) = address.as_str().filter(|address| !is_loopback(address)) {
        report.add(
            "bootstrap, admin",
            format!("listens on {address}: whoever reaches it reads the policy and stops Envoy"),
            "admin:\n  address: { socket_address: { address: 127.0.0.1, port_value: 9901 } }",
        );
    }
    for manager in proxy.managers().filter(|manager| !manager.is_local) {
        for route in manager.to_admin(proxy) {
            if !is_harmless(&route.config) {
                report.add(
                    format!("{}, {}", manager.place(), route.place),
                    "leads to the admin interface: whoever reaches the listener reads the policy and stops Envoy",
                    "match: { path: /stats }\nroute: { cluster: …, prefix_rewrite: /stats/prometheus }",
                );
            }
        }
    }
}
