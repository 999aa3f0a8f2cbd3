//! `build --for k8s`: Envoy with the filter as a Deployment, for a cluster without a mesh.

use super::image::Image;
use super::manifest::{Manifest, write};
use super::mesh::refuse;
use super::{Build, Built, FILTER, discovery, pretty};
use crate::cli::Failed;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Folder of the configuration in the container. Kubernetes replaces its files atomically, by a symbolic
/// link.
const FOLDER: &str = "/etc/agentguard/policy";

/// Port on which Envoy listens.
const PORT: u16 = 10000;

/// Seconds for which a pod goes on after Kubernetes has taken it off the Service. At SIGTERM Envoy ends at once and cuts what
/// is running.
const SECONDS_TO_END: u32 = 60;

/// Returns the port of the listener for probes and scrapes, if there is one.
fn health_port(health: Option<&str>) -> Result<Option<u16>, Failed> {
    // What writes the listener refuses a text that is no address.
    let Some(Ok(address)) = health.map(str::parse::<SocketAddr>) else {
        return Ok(None);
    };
    if address.ip().is_loopback() {
        return refuse(&format!(
            "--health {address}: the kubelet and Prometheus come from outside the pod; write 0.0.0.0:{}",
            address.port()
        ));
    }
    Ok(Some(address.port()))
}

/// Returns the manifests.
pub(super) fn manifests(
    build: &Build,
    built: &Built<'_>,
    filter: &Value,
) -> Result<String, Failed> {
    let options = &build.mesh;
    options.check_names()?;
    options.check_service_name()?;
    let image = match options.image("k8s")? {
        Image::Registry(name, Some(digest)) => format!("{name}@sha256:{digest}"),
        Image::Registry(name, None) => name,
        Image::Url(_) => {
            return refuse("--for k8s: --image is a container image of Envoy with the module");
        }
    };
    if !options.selector.is_empty() || options.gateway.is_some() || options.kind.is_some() {
        return refuse(
            "--selector, --gateway and --kind are for meshes; --for k8s writes a Deployment of its own",
        );
    }
    // Envoy does not start if it can't open the file.
    if !build.audit_log.starts_with("/dev/") {
        return refuse(&format!(
            "--audit-log {}: the container can write no files; write /dev/stdout or /dev/stderr, which the kubelet keeps",
            crate::cli::output::visible(&build.audit_log)
        ));
    }
    let watched = format!("{FOLDER}/agentguard.json");
    let bootstrap =
        build.bootstrap_with(filter, Some(&watched), &format!("0.0.0.0:{PORT}"), built)?;
    let resource = pretty(&discovery(FILTER, filter, built.version));
    let health = health_port(build.health.as_deref())?;
    let name = &options.name;
    let labels = json!({"app.kubernetes.io/name": name});
    let secret = format!("{name}-keys");
    let is_in_key = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if let Some(key) = built.keys.iter().find(|key| !key.chars().all(is_in_key)) {
        return refuse(&format!(
            "the policy names the variable `{}`, and the key of a secret has only letters, digits, `-`, `_` and `.`: rename it in \
             the policy",
            crate::cli::output::visible(key)
        ));
    }
    let env: Vec<Value> = built
        .keys
        .iter()
        .map(
            |key| json!({"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}),
        )
        .collect();
    // The port of the traffic opens once the policy is in force.
    let probe = |path: &str| match health {
        Some(_) => ("httpGet", json!({"path": path, "port": "health"})),
        None => ("tcpSocket", json!({"port": "http"})),
    };
    let ((ready_by, ready), (live_by, live)) = (probe("/ready"), probe("/live"));
    let mut ports = vec![json!({"name": "http", "containerPort": PORT})];
    ports.extend(health.map(|port| json!({"name": "health", "containerPort": port})));
    // No convention of Prometheus itself, but of configurations that are widely shared.
    let annotations = health.map(|port| {
        json!({
            "prometheus.io/scrape": "true",
            "prometheus.io/port": port.to_string(),
            "prometheus.io/path": "/stats",
        })
    });
    let container = json!({
        "name": "envoy",
        "image": image,
        "args": ["-c", format!("{FOLDER}/envoy.json")],
        "env": env,
        "ports": ports,
        "readinessProbe": {ready_by: ready, "periodSeconds": 5},
        "livenessProbe": {live_by: live, "initialDelaySeconds": 30, "periodSeconds": 10},
        "resources": {"requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "policy", "mountPath": FOLDER, "readOnly": true}],
        "lifecycle": {"preStop": {"sleep": {"seconds": SECONDS_TO_END}}},
    });
    let mut pod = json!({
        "automountServiceAccountToken": false,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": SECONDS_TO_END.saturating_add(15),
        "containers": [container],
        "volumes": [{"name": "policy", "configMap": {"name": name}}],
    });
    if let (Some(pull_secret), Some(members)) = (&options.pull_secret, pod.as_object_mut()) {
        members.insert(
            "imagePullSecrets".to_owned(),
            json!([{"name": pull_secret}]),
        );
    }
    let mut pod_metadata = json!({"labels": labels});
    if let (Some(annotations), Some(members)) = (annotations, pod_metadata.as_object_mut()) {
        members.insert("annotations".to_owned(), annotations);
    }
    let keys = match built.keys.is_empty() {
        true => String::new(),
        false => format!(
            "\nThe policy's keys are in the secret {secret}: {}.",
            built.keys.join(", ")
        ),
    };
    let manifests = [
        Manifest {
            about: "The policy, as Envoy reads it, and Envoy's configuration. Envoy follows a change of the policy within a minute,\n\
                    without a restart; a change of envoy.json needs `kubectl rollout restart`."
                .to_owned(),
            document: json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": options.metadata(name),
                "data": {"agentguard.json": resource, "envoy.json": pretty(&bootstrap)},
            }),
        },
        Manifest {
            about: format!(
                "Two proxies, without root. Each counts limits and used approvals for itself. One that is replaced goes on for\n\
                 {SECONDS_TO_END} seconds, in which responses can end; before Kubernetes 1.30, take `lifecycle` out.{keys}"
            ),
            document: json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": options.metadata(name),
                "spec": {
                    "replicas": 2,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": pod_metadata, "spec": pod},
                },
            }),
        },
        Manifest {
            about: format!(
                "The address for agents: OPENAI_BASE_URL=http://{name}.{}/v1",
                options.namespace
            ),
            document: json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": options.metadata(name),
                "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
            }),
        },
    ];
    let head = format!(
        "AgentGuard for Kubernetes: policy {} {}.\n\
         Written by `agentguard build --for k8s`: change the policy and build again instead of editing this file.\n\
         \n\
         Then, and after each change: kubectl apply --server-side -f FILE",
        built.shown_name(),
        built.version,
    );
    write(&head, &manifests).or_else(|what| refuse(&what))
}
