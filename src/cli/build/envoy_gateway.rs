//! `build --for envoy-gateway`: the filter, the labels of metrics and the log of audit events for a Gateway.

use super::image::Image;
use super::manifest::{Manifest, write, yaml};
use super::mesh::{AUDIT_FORMAT, IS_AUDITED, MeshOptions, refuse};
use super::{BUFFER_LIMIT, Built, FILTER, stats_tags};
use crate::cli::Failed;
use serde_json::{Value, json};

const API: &str = "gateway.envoyproxy.io/v1alpha1";

/// Writes the manifests.
pub(super) fn manifests(built: &Built<'_>, options: &MeshOptions) -> Result<String, Failed> {
    options.check_names()?;
    let image = options.image("envoy-gateway")?;
    let Some(gateway) = &options.gateway else {
        return refuse("--for envoy-gateway needs --gateway NAME");
    };
    if built.holds {
        return refuse(
            "the policy holds headers (`envoy: { headers: hold }`), which Envoy Gateway cannot tell Envoy: requests would hang. \
             Take `headers: hold` out of the policy",
        );
    }
    if !options.selector.is_empty() || options.kind.is_some() {
        return refuse("--selector and --kind are for Istio; Envoy Gateway filters a Gateway");
    }
    let target =
        json!([{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway}]);
    let resource = |kind: &str, spec: Value| json!({"apiVersion": API, "kind": kind, "metadata": options.metadata(&options.name), "spec": spec});
    let manifests = [
        Manifest {
            about: "The filter. Envoy Gateway downloads the module. A listener opens only after the module is there.\n\
                    If Envoy rejects the policy, the previous one stays in force and the status still says Accepted: run\n\
                    `agentguard validate` before, and alert on agentguard_config_rejected_total."
                .to_owned(),
            document: resource("EnvoyExtensionPolicy", json!({
                "targetRefs": target,
                "wasm": [filter(built, options, &image)],
            })),
        },
        Manifest {
            about: format!(
                "The labels of metrics, and one audit event for each request. The Gateway uses it by\n\
                 spec.infrastructure.parametersRef: {{ group: gateway.envoyproxy.io, kind: EnvoyProxy, name: {} }}",
                options.name
            ),
            document: resource("EnvoyProxy", proxy()?),
        },
        Manifest {
            about: "The largest request that can be inspected. Envoy Gateway's default is 32 KiB; larger ones would get 413.\n\
                    A Gateway has one ClientTrafficPolicy: merge this one with yours."
                .to_owned(),
            document: resource("ClientTrafficPolicy", json!({
                "targetRefs": target,
                "connection": {"bufferLimit": BUFFER_LIMIT},
            })),
        },
        Manifest {
            about: "The largest response that can be inspected, and time for responses of models: no timeout for the whole \
                    response."
                .to_owned(),
            document: resource("BackendTrafficPolicy", json!({
                "targetRefs": target,
                "connection": {"bufferLimit": BUFFER_LIMIT},
                "timeout": {"http": {"requestTimeout": "0s", "connectionIdleTimeout": "300s"}},
            })),
        },
    ];
    let mut manifests = Vec::from(manifests);
    if let Some((issuer, jwks)) = options.jwt()? {
        manifests.push(Manifest {
            about: "Requests need a token of this issuer. A policy reads its claims as the source `jwt` of `principals`."
                .to_owned(),
            document: resource("SecurityPolicy", json!({
                "targetRefs": target,
                "jwt": {"providers": [{"name": "agents", "issuer": issuer, "remoteJWKS": {"uri": jwks}}]},
            })),
        });
    }
    let head = format!(
        "AgentGuard for Envoy Gateway: policy {} {}.\n\
         Written by `agentguard build --for envoy-gateway`: change the policy and build again instead of editing this file.\n\
         \n\
         Then, and after each change: kubectl apply --server-side -f FILE\n\
         A change of the policy drains the listener: running streams end after its drain time.",
        built.name, built.version,
    );
    write(&head, &manifests).or_else(|what| refuse(&what))
}

fn filter(built: &Built<'_>, options: &MeshOptions, image: &Image) -> Value {
    let mut code = match image {
        Image::Registry(url, sha256) => {
            let mut image = json!({"url": url});
            set(
                &mut image,
                "sha256",
                sha256.as_ref().map(|sha256| json!(sha256)),
            );
            let secret = options.pull_secret.as_ref();
            set(
                &mut image,
                "pullSecretRef",
                secret.map(|name| json!({"name": name})),
            );
            json!({"type": "Image", "image": image})
        }
        Image::Url(url) => {
            let mut http = json!({"url": url});
            set(
                &mut http,
                "sha256",
                options.sha256.as_ref().map(|sha256| json!(sha256)),
            );
            json!({"type": "HTTP", "http": http})
        }
    };
    set(&mut code, "pullPolicy", Some(json!("IfNotPresent")));
    let mut filter = json!({"name": FILTER, "rootID": FILTER, "failOpen": false, "code": code});
    if !built.keys.is_empty() {
        set(&mut filter, "env", Some(json!({"hostKeys": built.keys})));
    }
    set(&mut filter, "config", Some(built.policy.clone()));
    filter
}

fn set(object: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(value), Some(members)) = (value, object.as_object_mut()) {
        members.insert(key.to_owned(), value);
    }
}

fn proxy() -> Result<Value, Failed> {
    // Appended to the expressions that Envoy Gateway brings.
    let bootstrap = yaml(&json!({"stats_config": {"stats_tags": stats_tags()}}))
        .or_else(|what| refuse(&what))?;
    Ok(json!({
        "bootstrap": {"type": "Merge", "value": bootstrap},
        // Who may ask at all is decided before what is asked.
        "filterOrder": [{"name": "envoy.filters.http.rbac", "before": "envoy.filters.http.wasm"}],
        "telemetry": {"accessLog": {"settings": [{
            "format": {"type": "Text", "text": AUDIT_FORMAT},
            "matches": [IS_AUDITED],
            "sinks": [{"type": "File", "file": {"path": "/dev/stdout"}}],
        }]}},
    }))
}
