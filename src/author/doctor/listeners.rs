//! Checks of listeners, their routes, and the clusters behind them.

use super::Report;
use super::proxy::{HttpFilter, HttpManager, Listener, Members, Proxy, Route, number, seconds};
use crate::policy::{IdentitySource, SourceKind};
use serde_json::Value;

/// Bytes that Envoy buffers by default.
const DEFAULT_BUFFER: u64 = 1 << 20;

/// Minimum timeout in seconds for a model: less cuts responses off.
const MIN_TIMEOUT_S: f64 = 60.0;

pub(super) fn uninspected(proxy: &Proxy, listener: &Listener, report: &mut Report) {
    for manager in &listener.managers {
        let forwards = manager.has_unknown_routes
            || manager.forwarding(proxy).next().is_some()
            || manager.filters.iter().any(HttpFilter::forwards);
        if forwards && manager.agentguard().is_none() {
            report.add(
                manager.place(),
                "forwards requests without AgentGuard",
                "http_filters:\n- name: agentguard      # before the router\n  config_discovery: …      # agentguard build POLICY --for envoy --bootstrap shows it",
            );
        }
    }
    for forwarder in &listener.forwarders {
        report.add(
            format!("listener {}, filter {forwarder}", listener.name),
            "forwards bytes without reading them",
            "filters:\n- name: envoy.filters.network.http_connection_manager      # with agentguard among its http_filters",
        );
    }
}

pub(super) fn disabled_on_route(proxy: &Proxy, manager: &HttpManager, report: &mut Report) {
    let Some(filter) = manager.agentguard() else {
        return;
    };
    let is_chosen = |route: &Route| {
        manager
            .policies()
            .any(|filter| route.enables(filter) == Some(true))
    };
    let choose =
        manager.policies().all(HttpFilter::is_off) && manager.forwarding(proxy).any(is_chosen);
    for route in manager.forwarding(proxy) {
        if choose && !is_chosen(route) {
            report.add(
                format!("{}, {}", manager.place(), route.place),
                "enables no policy of AgentGuard, as other routes do: its requests pass uninspected",
                format!(
                    "typed_per_filter_config:      # an EnvoyExtensionPolicy of a route takes the place of the Gateway's\n  {}: …",
                    filter.name
                ),
            );
        } else if !choose && route.enables(filter) == Some(false) {
            report.add(
                format!("{}, {}", manager.place(), route.place),
                "disables AgentGuard: its requests pass uninspected",
                format!(
                    "typed_per_filter_config: {{}}      # without {}",
                    filter.name
                ),
            );
        }
    }
}

/// Returns the maximum bytes that the policies of a manager inspect.
fn max_body(manager: &HttpManager) -> Option<u64> {
    let policies = manager.policies().filter_map(HttpFilter::valid_policy);
    policies
        .map(|policy| policy.document.inspect.max_body)
        .max()
}

pub(super) fn small_buffer(proxy: &Proxy, manager: &HttpManager, report: &mut Report) {
    let Some(max_body) = max_body(manager) else {
        return;
    };
    let mut buffer = |place: String, limit: Option<u64>| {
        let limit = limit.unwrap_or(DEFAULT_BUFFER);
        if limit < max_body {
            report.add(
                place,
                format!("buffers {limit} bytes, the policy inspects {max_body}: Envoy denies larger messages itself, with 413 or 500"),
                format!("per_connection_buffer_limit_bytes: {}", max_body.max(10 << 20)),
            );
        }
    };
    // A native module raises the limit of an exchange itself.
    if !manager.agentguard().is_some_and(HttpFilter::is_native) {
        buffer(manager.place(), manager.buffer_limit);
    }
    for (name, cluster) in clusters(proxy, manager) {
        buffer(
            format!("cluster {name}"),
            number(cluster.at("/per_connection_buffer_limit_bytes")),
        );
    }
    for route in manager.forwarding(proxy) {
        if let Some(limit) = route.body_limit.filter(|limit| *limit < max_body) {
            report.add(
                format!("{}, {}", manager.place(), route.place),
                format!("buffers {limit} bytes, the policy inspects {max_body}: Envoy denies larger messages itself, with 413"),
                format!("request_body_buffer_limit: {}", max_body.max(10 << 20)),
            );
        }
    }
}

/// Returns the clusters of a manager's routes, each with its configuration.
pub(super) fn clusters<'p>(
    proxy: &'p Proxy,
    manager: &'p HttpManager,
) -> Vec<(&'p str, &'p Value)> {
    let mut found: Vec<(&str, &Value)> = manager
        .forwarding(proxy)
        .filter_map(|route| {
            let name = route.config.at("/route/cluster").as_str()?;
            Some((name, proxy.cluster(name)?))
        })
        .collect();
    found.sort_by_key(|(name, _)| *name);
    found.dedup_by_key(|(name, _)| *name);
    found
}

pub(super) fn short_timeout(proxy: &Proxy, manager: &HttpManager, report: &mut Report) {
    if manager.agentguard().is_none() {
        return;
    }
    for route in manager.forwarding(proxy) {
        // A limit on a stream or an attempt cuts off a response just as a route's timeout does.
        let limits = [
            (
                route
                    .config
                    .at("/route/max_stream_duration/max_stream_duration"),
                "route:\n  max_stream_duration: { max_stream_duration: 0s }",
            ),
            (
                manager
                    .config
                    .at("/common_http_protocol_options/max_stream_duration"),
                "common_http_protocol_options:\n  max_stream_duration: 0s",
            ),
            (
                route.config.at("/route/retry_policy/per_try_timeout"),
                "route:\n  retry_policy:\n    per_try_timeout: 0s",
            ),
        ];
        for (limit, fix) in limits {
            let limit = seconds(limit).unwrap_or(0.0);
            if limit > 0.0 && limit < MIN_TIMEOUT_S {
                report.add(
                    format!("{}, {}", manager.place(), route.place),
                    format!(
                        "ends every response after {limit} seconds; those of models take longer"
                    ),
                    fix,
                );
            }
        }
        let timeout = seconds(route.config.at("/route/timeout")).unwrap_or(15.0);
        if timeout > 0.0 && timeout < MIN_TIMEOUT_S {
            report.add(
                format!("{}, {}", manager.place(), route.place),
                format!("ends every response after {timeout} seconds; those of models take longer"),
                "route:\n  timeout: 0s\n  idle_timeout: 300s",
            );
        }
    }
}

pub(super) fn short_idle_timeout(proxy: &Proxy, manager: &HttpManager, report: &mut Report) {
    if manager.agentguard().is_none() {
        return;
    }
    let of_all = seconds(manager.config.at("/stream_idle_timeout")).unwrap_or(300.0);
    for route in manager.forwarding(proxy) {
        let timeout = seconds(route.config.at("/route/idle_timeout")).unwrap_or(of_all);
        if timeout > 0.0 && timeout < MIN_TIMEOUT_S {
            report.add(
                format!("{}, {}", manager.place(), route.place),
                format!("ends a response after {timeout} silent seconds; a model that thinks is silent for longer"),
                "route:\n  idle_timeout: 300s",
            );
        }
    }
}

pub(super) fn client_address(_: &Proxy, manager: &HttpManager, report: &mut Report) {
    let asks = |filter: &HttpFilter| {
        let policy = filter.valid_policy();
        policy.is_some_and(|policy| policy.document.asks_for_address())
    };
    if !manager.policies().any(asks) {
        return;
    }
    let hops = number(manager.config.at("/xff_num_trusted_hops")).unwrap_or_default();
    if manager.config.at("/use_remote_address") != true {
        report.add(
            manager.place(),
            "takes the client's address from x-forwarded-for, which any client can send, and the policy asks for that address",
            "use_remote_address: true",
        );
    } else if hops > 0 {
        report.add(
            manager.place(),
            format!("takes the client's address from x-forwarded-for (xff_num_trusted_hops: {hops}), and the policy asks for the peer's: the filter can't tell it"),
            format!("# leave xff_num_trusted_hops out, and write in the policy\nclient_address: {{ xff_hops: {hops} }}"),
        );
    }
}

/// Returns whether a source of principals believes the names in client certificates.
fn believes_certificates(source: &IdentitySource) -> bool {
    match &source.kind {
        SourceKind::Mtls(_) => true,
        SourceKind::Header(header) => !header.peers.is_empty(),
        SourceKind::ApiKey(_) | SourceKind::Jwt(_) => false,
    }
}

pub(super) fn unverified_certificates(_: &Proxy, manager: &HttpManager, report: &mut Report) {
    let policies = manager.policies().filter_map(HttpFilter::valid_policy);
    let asks = policies
        .flat_map(|policy| &policy.document.principals)
        .any(believes_certificates);
    let common = manager.tls.at("/common_tls_context");
    let accepts_all = [
        "/validation_context",
        "/combined_validation_context/default_validation_context",
    ]
    .map(|context| common.at(context).at("/trust_chain_verification"))
    .iter()
    .any(|setting| **setting == "ACCEPT_UNTRUSTED" || **setting == 1);
    if asks && accepts_all {
        report.add(
            manager.place(),
            "accepts client certificates of any issuer (trust_chain_verification: ACCEPT_UNTRUSTED), and the policy believes the names in them",
            "# in the listener's TLS context\ncommon_tls_context:\n  validation_context: { trusted_ca: { filename: clients-ca.pem } }",
        );
    }
}

pub(super) fn circuit_breaker(proxy: &Proxy, manager: &HttpManager, report: &mut Report) {
    /// Concurrent requests that a few agents reach with streams.
    const MIN_THRESHOLD: u64 = 64;
    if manager.agentguard().is_none() {
        return;
    }
    for (name, cluster) in clusters(proxy, manager) {
        for threshold in super::proxy::list(cluster.at("/circuit_breakers/thresholds")) {
            for key in ["max_connections", "max_requests", "max_pending_requests"] {
                if let Some(max) =
                    number(threshold.at(&format!("/{key}"))).filter(|max| *max < MIN_THRESHOLD)
                {
                    report.add(
                        format!("cluster {name}"),
                        format!("allows {max} by {key}: streams of models last for minutes, and what exceeds it gets 503"),
                        format!("circuit_breakers:\n  thresholds: [{{ {key}: 1024 }}]"),
                    );
                }
            }
        }
    }
}
