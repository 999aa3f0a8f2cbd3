//! `build --for istio`: all resources for a mesh, in one file.

use super::image::Image;
use super::manifest::{Manifest, write, yaml};
use super::mesh::{AUDIT_FORMAT, Context, IS_AUDITED, Kind, MeshOptions, refuse};
use super::{Built, FILTER};
use crate::cli::Failed;
use crate::metrics::label_names;
use serde_json::{Map, Value, json};

/// Name of the provider of audit events in the mesh's configuration.
const AUDIT_PROVIDER: &str = "agentguard-audit";

/// Returns the manifests.
pub(super) fn manifests(built: &Built<'_>, options: &MeshOptions) -> Result<String, Failed> {
    options.check_names()?;
    let image = options.image("istio")?;
    let attached = attached(options)?;
    let kind = kind(built, options)?;
    let filter = match kind {
        Kind::EnvoyFilter => envoy_filter(built, options, &image, &attached)?,
        _ => extension(kind, built, options, &image, &attached),
    };
    let telemetry = telemetry(options, &attached);
    let head = head(built, options)?;
    let buffers = buffers(built, options, &attached);
    write(&head, &[filter, buffers, telemetry]).or_else(|what| refuse(&what))
}

/// Returns the kind of resource, which must support what the policy needs.
pub(super) fn kind(built: &Built<'_>, options: &MeshOptions) -> Result<Kind, Failed> {
    match (options.kind, built.holds) {
        (None, true) => Ok(Kind::EnvoyFilter),
        (None, false) => Ok(Kind::WasmPlugin),
        (Some(Kind::WasmPlugin | Kind::TrafficExtension), true) => refuse(
            "the policy holds headers (`envoy: { headers: hold }`), which WasmPlugin and TrafficExtension cannot tell \
             Envoy: requests would hang. Use --kind EnvoyFilter, or take `headers: hold` out of the policy",
        ),
        (Some(Kind::EnvoyExtensionPolicy | Kind::EnvoyPatchPolicy), _) => {
            refuse("--kind: Istio has WasmPlugin, TrafficExtension and EnvoyFilter")
        }
        (Some(kind), _) => Ok(kind),
    }
}

/// Returns the proxies to which the resources apply: `selector` or `targetRefs`.
pub(super) fn attached(options: &MeshOptions) -> Result<Map<String, Value>, Failed> {
    let mut attached = Map::new();
    if let Some(gateway) = &options.gateway {
        // Patches for sidecars apply to no gateway, so that its traffic would pass unfiltered.
        if options.context == Context::Outbound {
            return refuse(
                "--context outbound is for sidecars, whose pods --selector KEY=VALUE names; leave it out for the traffic of a Gateway",
            );
        }
        attached.insert(
            "targetRefs".to_owned(),
            json!([{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway}]),
        );
    } else if options.selector.is_empty() {
        return refuse(
            "needs --gateway NAME or --selector KEY=VALUE: a filter for every proxy of the namespace would deny \
             what is not AI traffic",
        );
    } else {
        let labels = options.labels()?;
        attached.insert("selector".to_owned(), json!({"matchLabels": labels}));
    }
    Ok(attached)
}

/// Returns the comment at the beginning: instructions, and the part for the mesh's configuration.
fn head(built: &Built<'_>, options: &MeshOptions) -> Result<String, Failed> {
    let labels: Vec<_> = label_names().into_iter().collect();
    let mesh = json!({
        "defaultConfig": {"extraStatTags": labels},
        "extensionProviders": [{
            "name": AUDIT_PROVIDER,
            "envoyFileAccessLog": {
                "path": "/dev/stdout",
                "logFormat": {"text": AUDIT_FORMAT},
            },
        }],
    });
    let mesh = yaml(&json!({"meshConfig": mesh})).or_else(|what| refuse(&what))?;
    let mesh: String = mesh.lines().map(|line| format!("  {line}\n")).collect();
    let namespace = &options.namespace;
    Ok(format!(
        "AgentGuard for Istio: policy {name} {version}.\n\
         Written by `agentguard build --for istio`: change the policy and build again instead of editing this file.\n\
         \n\
         Once for the mesh, in the values of istiod (Helm, IstioOperator): the labels of metrics, which a proxy reads when it\n\
         starts, and the log of audit events.\n\
         \n\
         {mesh}\
         \n\
         Then, and after each change: kubectl apply --server-side -f FILE\n\
         To rename something, apply the new name before the old one is deleted: between them traffic would not be filtered.\n\
         A selector that matches no pod is no error for Istio, and nothing is filtered. To see that the filter is in place:\n\
         \n\
         \x20 kubectl exec POD -n {namespace} -c istio-proxy -- pilot-agent request GET config_dump | agentguard doctor -\n",
        name = built.shown_name(),
        version = built.version,
    ))
}

fn url(image: &Image, options: &MeshOptions) -> Map<String, Value> {
    let mut code = Map::new();
    let (url, sha256) = match image {
        Image::Registry(name, digest) => (format!("oci://{name}"), digest.as_ref()),
        Image::Url(url) => (url.clone(), options.sha256.as_ref()),
    };
    code.insert("url".to_owned(), json!(url));
    if let Some(sha256) = sha256 {
        code.insert("sha256".to_owned(), json!(sha256));
    }
    if let Some(secret) = &options.pull_secret {
        code.insert("imagePullSecret".to_owned(), json!(secret));
    }
    code
}

/// Returns `match` for sidecars; gateways need none.
fn traffic(context: Context) -> Option<Value> {
    match context {
        Context::Gateway => None,
        Context::Inbound => Some(json!([{"mode": "SERVER"}])),
        Context::Outbound => Some(json!([{"mode": "CLIENT"}])),
    }
}

const ABOUT_PLUGIN: &str = "The filter, after Istio's authentication and authorization. If its VM fails, requests are denied \
                            until a new one runs.";

/// Returns a WasmPlugin or a TrafficExtension, which has the module and its configuration below `wasm`.
fn extension(
    kind: Kind,
    built: &Built<'_>,
    options: &MeshOptions,
    image: &Image,
    attached: &Map<String, Value>,
) -> Manifest {
    let mut wasm = url(image, options);
    wasm.insert("pluginName".to_owned(), json!(FILTER));
    wasm.insert("failStrategy".to_owned(), json!("FAIL_RELOAD"));
    if !built.keys.is_empty() {
        let keys = built.keys.iter();
        let env: Vec<Value> = keys
            .map(|key| json!({"name": key, "valueFrom": "HOST"}))
            .collect();
        wasm.insert("vmConfig".to_owned(), json!({"env": env}));
    }
    wasm.insert("pluginConfig".to_owned(), built.policy.clone());
    let mut spec = attached.clone();
    spec.insert("phase".to_owned(), json!("STATS"));
    if let Some(traffic) = traffic(options.context) {
        spec.insert("match".to_owned(), traffic);
    }
    match kind {
        Kind::TrafficExtension => {
            spec.insert("wasm".to_owned(), Value::Object(wasm));
        }
        _ => spec.append(&mut wasm),
    }
    Manifest {
        about: ABOUT_PLUGIN.to_owned(),
        document: json!({
            "apiVersion": "extensions.istio.io/v1alpha1",
            "kind": kind.word(),
            "metadata": options.metadata(&options.name),
            "spec": spec,
        }),
    }
}

/// Returns the name of a context in EnvoyFilter.
fn patch_context(context: Context) -> &'static str {
    match context {
        Context::Gateway => "GATEWAY",
        Context::Inbound => "SIDECAR_INBOUND",
        Context::Outbound => "SIDECAR_OUTBOUND",
    }
}

/// Returns the proxies in the form of an EnvoyFilter: `workloadSelector` or `targetRefs`.
fn patched(attached: &Map<String, Value>) -> Map<String, Value> {
    attached
        .iter()
        .map(|(key, value)| match &**key {
            "selector" => {
                let labels = value.get("matchLabels").cloned().unwrap_or_default();
                ("workloadSelector".to_owned(), json!({"labels": labels}))
            }
            _ => (key.clone(), value.clone()),
        })
        .collect()
}

/// Rejects a module's file for an EnvoyFilter: Istio's agent downloads the module, and only from registries and servers.
pub(super) fn refuse_file(image: &Image) -> Result<(), Failed> {
    match image {
        Image::Url(url) if image.is_file() => refuse(&format!(
            "--image {url}: Istio's agent takes no module from a file for an EnvoyFilter; write REGISTRY/NAME:TAG@sha256:DIGEST, or an \
             https URL with `--sha256 HEX`"
        )),
        _ => Ok(()),
    }
}

/// Returns the filter as a patch of Envoy's configuration, the only resource with which headers can be held.
fn envoy_filter(
    built: &Built<'_>,
    options: &MeshOptions,
    image: &Image,
    attached: &Map<String, Value>,
) -> Result<Manifest, Failed> {
    options.refuse_pull_secret()?;
    refuse_file(image)?;
    let url = url(image, options);
    // Istio's agent downloads the module. It takes `nil` for no digest, because Envoy requires a value.
    let sha256 = url.get("sha256").cloned().unwrap_or(json!("nil"));
    let code = json!({"remote": {
        "http_uri": {"uri": url.get("url"), "cluster": "_", "timeout": "30s"},
        "sha256": sha256,
    }});
    let name = format!("{}.{}", options.namespace, options.name);
    let filter = super::wasm_filter(FILTER, built.document, &code, built.holds, &built.keys);
    let context = patch_context(options.context);
    let manager = json!({
        "name": "envoy.filters.network.http_connection_manager",
        "subFilter": {"name": "envoy.filters.http.router"},
    });
    let mut spec = patched(attached);
    spec.insert("configPatches".to_owned(), json!([
        {
            "applyTo": "EXTENSION_CONFIG",
            "match": {"context": context},
            "patch": {"operation": "ADD", "value": {"name": name, "typed_config": filter}},
        },
        {
            "applyTo": "HTTP_FILTER",
            "match": {"context": context, "listener": {"filterChain": {"filter": manager}}},
            "patch": {"operation": "INSERT_BEFORE", "value": {
                "name": name,
                "config_discovery": {
                    "config_source": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
                    "type_urls": [
                        "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                        "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
                    ],
                },
            }},
        },
    ]));
    Ok(Manifest {
        about: "The filter, directly before the router. Istio's agent downloads the module; until it is there, and if it can't \
                be\ndownloaded, requests are denied."
            .to_owned(),
        document: json!({
            "apiVersion": "networking.istio.io/v1alpha3",
            "kind": "EnvoyFilter",
            "metadata": options.metadata(&options.name),
            "spec": spec,
        }),
    })
}

/// Returns the resource that sets the bytes a proxy may hold. With Istio's default of 1 MiB, larger bodies would be
/// denied with 413 before a policy is evaluated.
fn buffers(built: &Built<'_>, options: &MeshOptions, attached: &Map<String, Value>) -> Manifest {
    let limit =
        json!({"operation": "MERGE", "value": {"per_connection_buffer_limit_bytes": built.buffer}});
    let patch = |object: &str| json!({"applyTo": object, "match": {"context": patch_context(options.context)}, "patch": limit});
    let mut spec = patched(attached);
    spec.insert(
        "configPatches".to_owned(),
        json!([patch("LISTENER"), patch("CLUSTER")]),
    );
    Manifest {
        about: "The largest body that can be inspected. Istio's default is 1 MiB; larger requests would get 413.".to_owned(),
        document: json!({
            "apiVersion": "networking.istio.io/v1alpha3",
            "kind": "EnvoyFilter",
            "metadata": options.metadata(&format!("{}-buffers", options.name)),
            "spec": spec,
        }),
    }
}

/// Returns the resource that logs audit events.
fn telemetry(options: &MeshOptions, attached: &Map<String, Value>) -> Manifest {
    let mut spec = attached.clone();
    spec.insert(
        "accessLogging".to_owned(),
        json!([{
            "providers": [{"name": AUDIT_PROVIDER}],
            "filter": {"expression": IS_AUDITED},
        }]),
    );
    Manifest {
        about: "One audit event for each request. The provider is in meshConfig, above.".to_owned(),
        document: json!({
            "apiVersion": "telemetry.istio.io/v1",
            "kind": "Telemetry",
            "metadata": options.metadata(&options.name),
            "spec": spec,
        }),
    }
}
