//! `build --for envoy-gateway`: the filter, the labels of metrics and the log of audit events for a Gateway.

use super::image::Image;
use super::manifest::{Manifest, write, yaml};
use super::mesh::{AUDIT_FORMAT, IS_AUDITED, Kind, MeshOptions, refuse};
use super::{
    Build, Built, FILTER, Host, discovery, local, native, pretty, stats_tags, wasm_filter, watched,
};
use crate::cli::Failed;
use serde_json::{Value, json};

const API: &str = "gateway.envoyproxy.io/v1alpha1";

/// Folder of the policy that a proxy watches. Kubernetes replaces its files atomically, by a symbolic link.
const POLICY_FOLDER: &str = "/agentguard/policy";

/// Folder of the module, for a proxy that watches its policy.
const MODULE_FOLDER: &str = "/agentguard/module";

/// Position of the filter: before the router, and after all filters that identify the caller.
const ROUTER: &str = "$..http_filters[?(@.name == 'envoy.filters.http.router')]";

/// Manifests to write, with their options.
struct Target<'b> {
    build: &'b Build,
    built: &'b Built<'b>,
    options: &'b MeshOptions,
    gateway: &'b str,
    /// Whether the proxy watches its policy, instead of getting it from the controller.
    is_watched: bool,
    /// Image that the proxy mounts as a folder.
    mounted: Option<String>,
    /// Path of that folder.
    folder: String,
}

/// Returns the manifests.
pub(super) fn manifests(build: &Build, built: &Built<'_>) -> Result<String, Failed> {
    let options = &build.mesh;
    options.check_names()?;
    let is_watched = match options.kind {
        None | Some(Kind::EnvoyExtensionPolicy) => false,
        Some(Kind::EnvoyPatchPolicy) => true,
        Some(_) => {
            return refuse(
                "--kind: Envoy Gateway has EnvoyExtensionPolicy and EnvoyPatchPolicy; the others are for Istio",
            );
        }
    };
    let is_native = build.host == Host::Native;
    // The proxy's own image may contain a native module.
    let image = match (&options.image, is_native) {
        (None, true) => None,
        _ => Some(options.image("envoy-gateway")?),
    };
    let Some(gateway) = &options.gateway else {
        return refuse("--for envoy-gateway needs --gateway NAME");
    };
    if !options.selector.is_empty() {
        return refuse("--selector is for Istio; Envoy Gateway filters a Gateway");
    }
    if built.holds && !is_watched && !is_native {
        return refuse(
            "the policy holds headers (`envoy: { headers: hold }`), which an EnvoyExtensionPolicy cannot tell Envoy: requests \
             would hang. Use --kind EnvoyPatchPolicy, or take `headers: hold` out of the policy",
        );
    }
    if built.reads_tokens && is_native && !is_watched {
        return refuse(
            "--host native: the policy reads tokens (`jwt`), and between Envoy's `jwt_authn` and a dynamic module a filter must hand over \
             the claims, which an EnvoyExtensionPolicy cannot add: nobody would have a token. Use --kind EnvoyPatchPolicy, or leave \
             --host native out",
        );
    }
    if let Some(Image::Url(url)) = image.as_ref().filter(|image| image.is_file()) {
        return refuse(&format!(
            "--image {url}: Envoy Gateway takes no module from a file; write REGISTRY/NAME:TAG@sha256:DIGEST, or an https URL with \
             `--sha256 HEX`"
        ));
    }
    let folder = match is_native {
        false => MODULE_FOLDER.to_owned(),
        true => match build.module.rsplit_once('/') {
            Some((folder, _)) if folder.starts_with('/') => folder.to_owned(),
            _ => return refuse("--module: write the path in the proxy: /FOLDER/libagentguard.so"),
        },
    };
    let mounted = match &image {
        Some(Image::Url(_)) if is_native || is_watched => {
            return refuse(
                "--image: the proxy mounts an image with the module; write REGISTRY/NAME:TAG@sha256:DIGEST",
            );
        }
        Some(Image::Registry(name, digest)) if is_native || is_watched => Some(match digest {
            Some(digest) => format!("{name}@sha256:{digest}"),
            None => name.clone(),
        }),
        _ => None,
    };
    let target = Target {
        build,
        built,
        options,
        gateway,
        is_watched,
        mounted,
        folder,
    };
    let mut manifests = match (is_watched, &image) {
        (true, _) => target.watching(),
        (false, _) if is_native => vec![target.dynamic_module()],
        (false, Some(image)) => vec![target.wasm(image)],
        (false, None) => Vec::new(),
    };
    manifests.extend(target.around()?);
    let change = match is_watched {
        true => "A change of the policy is in force within a minute; no stream ends.",
        false => {
            "A change of the policy drains the listener: running streams end after its drain time."
        }
    };
    let head = format!(
        "AgentGuard for Envoy Gateway: policy {} {}.\n\
         Written by `agentguard build --for envoy-gateway`: change the policy and build again instead of editing this file.\n\
         \n\
         Then, and after each change: kubectl apply --server-side -f FILE\n\
         {change}",
        built.shown_name(),
        built.version,
    );
    write(&head, &manifests).or_else(|what| refuse(&what))
}

impl Target<'_> {
    fn resource(&self, kind: &str, spec: Value) -> Value {
        json!({"apiVersion": API, "kind": kind, "metadata": self.options.metadata(&self.options.name), "spec": spec})
    }

    fn reference(&self) -> Value {
        json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": self.gateway})
    }

    fn wasm(&self, image: &Image) -> Manifest {
        Manifest {
            about: "The filter. Envoy Gateway downloads the module. A listener opens only after the module is there.\n\
                    If Envoy rejects the policy, the previous one stays in force and the status still says Accepted: run\n\
                    `agentguard validate` before, and alert on agentguard_config_rejected_total."
                .to_owned(),
            document: self.resource("EnvoyExtensionPolicy", json!({
                "targetRefs": [self.reference()],
                "wasm": [filter(self.built, self.options, image)],
            })),
        }
    }

    fn dynamic_module(&self) -> Manifest {
        Manifest {
            about: "The filter, as a module of Envoy itself.\n\
                    If Envoy rejects the policy, the previous one stays in force and the status still says Accepted: run\n\
                    `agentguard validate` before, and alert on agentguard_config_rejected_total."
                .to_owned(),
            document: self.resource("EnvoyExtensionPolicy", json!({
                "targetRefs": [self.reference()],
                "dynamicModule": [{"name": FILTER, "filterName": FILTER, "config": self.built.policy}],
            })),
        }
    }

    /// Returns the policy as a file that the proxy watches, and the filter that watches it.
    fn watching(&self) -> Vec<Manifest> {
        let (built, options) = (self.built, self.options);
        let filter = match self.build.host {
            Host::Wasm => {
                let code = local(&format!("{}/plugin.wasm", self.folder));
                wasm_filter(FILTER, built.document, &code, built.holds, &built.keys)
            }
            Host::Native => native::filter(FILTER, built.document, &self.build.module),
        };
        let file = pretty(&discovery(FILTER, &filter, built.version));
        let path = format!("{POLICY_FOLDER}/agentguard.json");
        let entry = watched(FILTER, &path, self.build.host);
        let is_native = self.build.host == Host::Native;
        // Each one is added before the router, and so behind the one before.
        let claims = (is_native && built.reads_tokens).then(native::claims);
        let entries: Vec<Value> = claims.into_iter().chain([entry]).collect();
        let patch = |listener: &str, entry: &Value| {
            json!({
                "type": "type.googleapis.com/envoy.config.listener.v3.Listener",
                "name": format!("{}/{}/{listener}", options.namespace, self.gateway),
                "operation": {"op": "add", "jsonPath": ROUTER, "value": entry},
            })
        };
        let listeners = options.listener.iter();
        let patches: Vec<Value> = listeners
            .flat_map(|listener| entries.iter().map(|entry| patch(listener, entry)))
            .collect();
        vec![
            Manifest {
                about: "The policy, as Envoy reads it. It is in force within a minute after a change; a rejected one is not, and\n\
                        agentguard_config_rejected_total counts it."
                    .to_owned(),
                document: json!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": self.config_map(), "namespace": options.proxy_namespace},
                    "data": {"agentguard.json": file},
                }),
            },
            Manifest {
                about: "The filter, in each of these listeners. The controller needs `extensionApis: { enableEnvoyPatchPolicy:\n\
                        true }`, and a listener that is not named here is not filtered: `agentguard doctor` finds it. With HTTP/3 there\n\
                        is another one, NAME-quic."
                    .to_owned(),
                document: self.resource("EnvoyPatchPolicy", json!({
                    "targetRef": self.reference(),
                    "type": "JSONPatch",
                    "jsonPatches": patches,
                })),
            },
        ]
    }

    /// Returns the name of the policy's ConfigMap. Those of all Gateways are in one namespace: with a `-` between them, `a` and
    /// `b-c` would be `a-b` and `c`.
    fn config_map(&self) -> String {
        format!("{}.{}", self.options.namespace, self.options.name)
    }

    /// Returns the resources around the filter.
    fn around(&self) -> Result<Vec<Manifest>, Failed> {
        let options = self.options;
        let target = json!([self.reference()]);
        let about = match self.mounted {
            Some(_) => {
                "\nIt mounts the image with the module, for which Kubernetes before 1.35 needs the feature gate ImageVolume."
            }
            None => "",
        };
        let mut manifests = vec![
            Manifest {
                about: format!(
                    "The labels of metrics, and one audit event for each request. The Gateway uses it by\n\
                     spec.infrastructure.parametersRef: {{ group: gateway.envoyproxy.io, kind: EnvoyProxy, name: {} }}{about}",
                    options.name
                ),
                document: self.resource("EnvoyProxy", self.proxy()?),
            },
            Manifest {
                about: "The largest request that can be inspected. Envoy Gateway's default is 32 KiB; larger ones would get 413.\n\
                        A Gateway has one ClientTrafficPolicy: merge this one with yours."
                    .to_owned(),
                document: self.resource("ClientTrafficPolicy", client_traffic(&target, self.built, options)),
            },
            Manifest {
                about: "The largest response that can be inspected, and time for responses of models: no timeout for the whole \
                        response."
                    .to_owned(),
                document: self.resource("BackendTrafficPolicy", json!({
                    "targetRefs": target,
                    "connection": {"bufferLimit": self.built.buffer},
                    "timeout": {"http": {"requestTimeout": "0s", "connectionIdleTimeout": "300s"}},
                })),
            },
        ];
        if let Some((issuer, jwks)) = options.jwt()? {
            let provider = payload(&self.built.policy);
            manifests.push(Manifest {
                about: format!(
                    "Requests need a token of this issuer. The policy reads its claims: principals: [{{ name: user, jwt: {{ payload: \
                     {provider}, id: sub }} }}]"
                ),
                document: self.resource("SecurityPolicy", json!({
                    "targetRefs": target,
                    "jwt": {"providers": [{"name": provider, "issuer": issuer, "remoteJWKS": {"uri": jwks}}]},
                })),
            });
        }
        Ok(manifests)
    }

    fn proxy(&self) -> Result<Value, Failed> {
        let is_native = self.build.host == Host::Native;
        // Appended to Envoy Gateway's own expressions.
        let mut bootstrap = json!({"stats_config": {"stats_tags": stats_tags()}});
        if is_native {
            set(&mut bootstrap, "layered_runtime", Some(native::runtime()));
        }
        let bootstrap = yaml(&bootstrap).or_else(|what| refuse(&what))?;
        let mut proxy = json!({
            "bootstrap": {"type": "Merge", "value": bootstrap},
            "telemetry": {"accessLog": {"settings": [{
                "format": {"type": "Text", "text": AUDIT_FORMAT},
                "matches": [IS_AUDITED],
                "sinks": [{"type": "File", "file": {"path": "/dev/stdout"}}],
            }]}},
        });
        if !self.is_watched {
            let filter = match is_native {
                true => "envoy.filters.http.dynamic_modules",
                false => "envoy.filters.http.wasm",
            };
            // Authorization is decided before the content is inspected.
            let order = json!([{"name": "envoy.filters.http.rbac", "before": filter}]);
            set(&mut proxy, "filterOrder", Some(order));
        }
        if is_native && !self.is_watched {
            let source = json!({"type": "Local", "local": {"path": self.build.module}});
            let module = json!([{"name": FILTER, "source": source, "doNotClose": true}]);
            set(&mut proxy, "dynamicModules", Some(module));
        }
        set(&mut proxy, "provider", self.deployment());
        Ok(proxy)
    }

    /// Returns the mounts of the proxy's pod: the image with the module, and the policy.
    fn deployment(&self) -> Option<Value> {
        let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
        let mut mount = |name: &str, source: (&str, Value), folder: &str| {
            let mut volume = json!({"name": name});
            set(&mut volume, source.0, Some(source.1));
            volumes.push(volume);
            mounts.push(json!({"name": name, "mountPath": folder, "readOnly": true}));
        };
        if let Some(image) = &self.mounted {
            let image = json!({"reference": image, "pullPolicy": "IfNotPresent"});
            mount("agentguard-module", ("image", image), &self.folder);
        }
        if self.is_watched {
            let config = json!({"name": self.config_map()});
            mount("agentguard-policy", ("configMap", config), POLICY_FOLDER);
        }
        if volumes.is_empty() {
            return None;
        }
        let mut pod = json!({"volumes": volumes});
        let secret = self.options.pull_secret.as_ref();
        set(
            &mut pod,
            "imagePullSecrets",
            secret.map(|name| json!([{"name": name}])),
        );
        let deployment = json!({"pod": pod, "container": {"volumeMounts": mounts}});
        Some(json!({"type": "Kubernetes", "kubernetes": {"envoyDeployment": deployment}}))
    }
}

/// Returns the policy's name for the claims of a verified token. Envoy Gateway publishes the claims under the
/// provider's name.
fn payload(policy: &Value) -> &str {
    let places = ["/principals", "/spec/principals"];
    let mut sources = places
        .iter()
        .filter_map(|place| policy.pointer(place)?.as_array())
        .flatten();
    let named = sources.find_map(|source| source.pointer("/jwt/payload")?.as_str());
    named.unwrap_or("agents")
}

fn client_traffic(target: &Value, built: &Built<'_>, options: &MeshOptions) -> Value {
    let mut spec = json!({
        "targetRefs": target,
        "connection": {"bufferLimit": built.buffer},
    });
    let tls = options.client_ca.as_ref().map(|name| {
        json!({"clientValidation": {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": name}]}})
    });
    set(&mut spec, "tls", tls);
    spec
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
