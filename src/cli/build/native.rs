//! Configuration of the native host: the filter as a dynamic module of Envoy.

use crate::author::CLAIMS_FOR_MODULE as CLAIMS;
use crate::cli::{Failed, output};
use crate::policy::{EnvironmentSource, Policy};
use serde_json::{Value, json};

/// Default of `--module`, the path of the shared object.
pub(super) const DEFAULT_MODULE: &str = "/usr/lib/agentguard/libagentguard.so";

/// Type of the filter's configuration.
pub(super) const FILTER_TYPE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter";

/// Rejects a policy that needs what the native module does not provide.
pub(super) fn refuse_unprovided(policy: &Policy) -> Result<(), Failed> {
    match policy.document.environment {
        EnvironmentSource::Node { .. } => Err(output::print_misused(
            "--host native: Envoy does not tell a dynamic module the metadata of its node; let `environment` read an \
             environment variable",
        )),
        _ => Ok(()),
    }
}

/// Returns the configuration of the filter.
///
/// The module is always a file. Envoy can also fetch it from a server, but lets all traffic pass uninspected until it has
/// the module.
pub(super) fn filter(name: &str, document: &str, module: &str) -> Value {
    json!({
        "@type": FILTER_TYPE,
        "dynamic_module_config": {
            "module": {"local": {"filename": module}},
            "metrics_namespace": "agentguard",
        },
        "filter_name": name,
        "filter_config": {
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": document,
        },
    })
}

/// Returns the filter that hands the claims that `jwt_authn` has verified to the module: it belongs between the two, because Envoy tells a
/// module no nested metadata.
pub(super) fn claims() -> Value {
    json!({
        "name": "envoy.filters.http.set_filter_state",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
            "on_request_headers": [{
                "object_key": CLAIMS,
                "factory_key": "envoy.string",
                "format_string": {"text_format_source": {
                    "inline_string": "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn)%",
                }},
            }],
        },
    })
}

/// Returns the setting with which metrics have the same names as those of the Wasm filter.
pub(super) fn runtime() -> Value {
    json!({"layers": [{
        "name": "agentguard",
        "static_layer": {"envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix": true},
    }]})
}
