//! Listener for probes and scrapes. Envoy's own admin interface must not be reachable for them.

use serde_json::{Value, json};

/// Name of the administration filter.
pub(super) const FILTER: &str = "agentguard-admin";

/// Cluster of Envoy's admin interface.
const CLUSTER: &str = "envoy-admin";

/// Returns the listener with the administration filter. It is ready while a policy is in force and the upstream has a healthy
/// endpoint.
///
/// The filter reports on the policies of its VM or process, which it shares with the policy's filter. A VM gets its environment
/// variables from the filter that Envoy creates first, which may be this one.
pub(super) fn listener(address: &Value, filter: &Value) -> Value {
    json!({
        "name": "health",
        "address": address,
        "ignore_global_conn_limit": true,
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "health",
                "request_timeout": "10s",
                "request_headers_timeout": "10s",
                "route_config": {"virtual_hosts": [{
                    "name": "health",
                    "domains": ["*"],
                    "routes": [
                        {"match": {"path": "/stats"},
                         "route": {"cluster": CLUSTER, "prefix_rewrite": "/stats/prometheus", "timeout": "10s"}},
                        {"match": {"prefix": "/"}, "direct_response": {"status": 404}},
                    ],
                }]},
                "http_filters": [
                    {"name": FILTER, "typed_config": filter},
                    {"name": "envoy.filters.http.health_check", "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck",
                        "pass_through_mode": false,
                        "cluster_min_healthy_percentages": {"upstream": {"value": 1}},
                        "headers": [{"name": ":path", "string_match": {"exact": "/ready"}}],
                    }},
                    {"name": "envoy.filters.http.router", "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                    }},
                ],
            },
        }]}],
    })
}

/// Returns the cluster of Envoy's admin interface.
pub(super) fn admin_cluster(admin: &Value) -> Value {
    json!({
        "name": CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": admin}}]}]},
    })
}
