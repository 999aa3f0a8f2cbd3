//! Helm chart in `deploy/helm`, rendered and installed by Helm.

use super::cluster::{agentguard, cluster, run, succeed};
use super::istiod::{Gateway, Proxy, as_json, built};
use crate::identity::forge::{Authority, Folder};
use crate::scene::{Mode, answers, forbidden, in_mode, no_weapons, policy, says, with};
use harness::{Envoy, Raw, Request, Setup, Site, Version, check, free_port, mesh_file, wait_for};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;

const CHART: &str = "deploy/helm/agentguard";

fn helm(arguments: &[&str]) -> Command {
    let mut command = Command::new(mesh_file("helm"));
    let home = cluster().home();
    command
        .args(arguments)
        .env("KUBECONFIG", cluster().kubeconfig());
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(name, home.join("helm"));
    }
    command
}

/// Converts numbers to doubles, as Istio and Kubernetes do.
fn as_doubles(value: &mut Value) {
    match value {
        Value::Number(number) => *value = json!(number.as_f64()),
        Value::Array(items) => items.iter_mut().for_each(as_doubles),
        Value::Object(members) => members.values_mut().for_each(as_doubles),
        _ => {}
    }
}

/// Returns the contents of the documents in a file, by kind and name.
fn specs(text: &str) -> BTreeMap<String, Value> {
    let documents = text.split("---\n").filter(|text| text.contains("\nkind: "));
    documents
        .map(|text| {
            // Helm writes YAML that is not allowed in policies.
            let mut document: Value = serde_saphyr::from_str(text).expect("YAML");
            let name = document["metadata"]["name"].as_str().unwrap_or_default();
            let name = format!("{} {name}", document["kind"].as_str().unwrap_or_default());
            let mut spec = document["spec"].take();
            as_doubles(&mut spec);
            (name, spec)
        })
        .collect()
}

#[test]
#[ignore = "make test-mesh: it needs Helm and the API of Kubernetes"]
fn the_chart_has_the_manifests_that_build_writes_and_the_api_takes_them() {
    let folder = Folder::new("chart");
    let image = &cluster().image;
    cluster().create("chart", "gateway");
    let keys = json!([{"name": "key", "api_key": {"header": "x-agent-key", "keys": [{"env": "TEAM_KEY", "client": "a"}]}}]);
    let plain = with(policy(json!([no_weapons()])), json!({"principals": keys}));
    let holds = in_mode(&plain, Mode::Hold);
    let large = with(plain.clone(), json!({"inspect": {"max_body": "20MiB"}}));
    let cases = [
        (&large, vec!["--selector", "app=a"]),
        (
            &plain,
            vec!["--selector", "app=a", "--selector", "tier/b=c"],
        ),
        (&plain, vec!["--gateway", "g", "--kind", "TrafficExtension"]),
        (
            &plain,
            vec![
                "--selector",
                "app=a",
                "--context",
                "inbound",
                "--pull-secret",
                "s",
            ],
        ),
        (
            &plain,
            vec![
                "--selector",
                "app=a",
                "--context",
                "outbound",
                "--kind",
                "EnvoyFilter",
            ],
        ),
        (&holds, vec!["--selector", "app=a"]),
    ];
    let mut written = Vec::new();
    for (policy, options) in cases {
        let options = [&options[..], &["--image", image]].concat();
        let expected = built(
            policy,
            "istio",
            &[&options[..], &["--namespace", "chart"]].concat(),
        );
        written.push((built(policy, "helm", &options), expected));
    }
    let shipped = std::fs::read_dir("policies").expect("the policies");
    for file in shipped.flatten().map(|file| file.path()) {
        let name = file.to_string_lossy().into_owned();
        if !name.ends_with(".yaml") || name.ends_with(".test.yaml") {
            continue;
        }
        let build = |target: &str, more: &[&str]| {
            let common = [
                "build",
                &name,
                "--fail-closed",
                "--for",
                target,
                "--selector",
                "app=a",
                "--image",
                image,
            ];
            let arguments = [&common[..], more].concat();
            succeed(
                Command::new(env!("CARGO_BIN_EXE_agentguard")).args(&arguments),
                "",
            )
        };
        written.push((
            build("helm", &[]),
            build("istio", &["--namespace", "chart"]),
        ));
    }
    for (values, expected) in written {
        let file = folder.write("values.yaml", &values);
        let lint = ["lint", CHART, "--strict", "--quiet", "--values", &file];
        succeed(&mut helm(&lint), "");
        let template = [
            "template",
            "agentguard",
            CHART,
            "--namespace",
            "chart",
            "--values",
            &file,
        ];
        let rendered = succeed(&mut helm(&template), "");
        assert_eq!(specs(&rendered), specs(&expected), "{values}");
        let dry = ["apply", "--server-side", "--dry-run=server", "-f", "-"];
        succeed(&mut cluster().kubectl(&dry), &rendered);
    }
}

#[test]
#[ignore = "make test-mesh: it needs the API of Kubernetes"]
fn the_api_takes_the_proxy_of_a_cluster_without_a_mesh() {
    for more in [&[][..], &["--health", "0.0.0.0:9902"]] {
        let build = [
            &["build", "policies/getting-started.yaml", "--for", "k8s"][..],
            &["--namespace", "default", "--image", "r.io/envoy:1"],
            more,
        ];
        let built = agentguard(&build.concat());
        assert!(built.status.success(), "{built:?}");
        let dry = ["apply", "--server-side", "--dry-run=server", "-f", "-"];
        let text = String::from_utf8_lossy(&built.stdout);
        succeed(&mut cluster().kubectl(&dry), &text);
    }
}

#[test]
#[ignore = "make test-mesh: it needs Helm"]
fn what_a_release_lacks_is_named_and_alerts_are_those_of_the_repository() {
    let refused = |options: &[&str]| {
        let output = run(
            &mut helm(&[&["template", "a", CHART], options].concat()),
            "",
        );
        assert!(!output.status.success(), "{options:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let image = ["--set", "image=r.io/a:1"];
    let document = ["--set-string", r#"policy.document=\{\}"#];
    let selector = ["--set", "proxies.selector.app=a"];
    for (options, word) in [
        (vec![], "policy.document is required"),
        (vec![document, selector], "image is required"),
        (vec![document, image], "a gateway or a selector is required"),
        (
            vec![document, image, selector, ["--set", "proxies.gateway=g"]],
            "not both",
        ),
        (
            vec![
                document,
                image,
                selector,
                ["--set", "policy.holdsHeaders=true"],
            ],
            "requests would hang",
        ),
        (
            vec![
                document,
                image,
                selector,
                ["--set", "proxies.contxt=inbound"],
            ],
            "contxt",
        ),
        (
            vec![
                document,
                image,
                selector,
                [
                    "--set-json",
                    r#"egress.providers=[{"host":"a-b.c"},{"host":"a.b-c"}]"#,
                ],
            ],
            "resources of the same name",
        ),
    ] {
        let said = refused(&options.concat());
        assert!(said.contains(word), "{options:?}: {said}");
    }
    // Kubernetes allows names that YAML reads as numbers, booleans or nothing.
    for name in ["123", "1e3", "on", "null"] {
        let gateway = format!("proxies.gateway={name}");
        let options = [
            "template",
            name,
            CHART,
            "--namespace",
            name,
            "--set-string",
            &gateway,
        ];
        let options = [&options[..], &document, &image].concat();
        let rendered = succeed(&mut helm(&options), "");
        for text in rendered
            .split("---\n")
            .filter(|text| text.contains("\nkind: "))
        {
            let document: Value = serde_saphyr::from_str(text).expect("YAML");
            let metadata = &document["metadata"];
            assert_eq!(metadata["namespace"], name, "{text}");
            assert_eq!(
                metadata["labels"]["app.kubernetes.io/instance"], name,
                "{text}"
            );
            let named = metadata["name"].as_str().unwrap_or_default();
            assert!(named.starts_with(name), "{text}");
            assert_eq!(document["spec"]["targetRefs"][0]["name"], name, "{text}");
        }
    }
    let more = ["--set", "alerts.enabled=true,metrics.podMonitor=true"];
    let options = [document, image, selector, more].concat();
    let rendered = succeed(
        &mut helm(&[&["template", "a", CHART], &options[..]].concat()),
        "",
    );
    let specs = specs(&rendered);
    let names = |alerts: &Value| -> Vec<String> {
        let groups = alerts["groups"].as_array().expect("groups");
        let rules = groups.iter().filter_map(|group| group["rules"].as_array());
        rules
            .flatten()
            .map(|rule| rule["alert"].to_string())
            .collect()
    };
    let own = std::fs::read_to_string("envoy/prometheus/alerts.yaml").expect("the alerts");
    let mut expected = names(&as_json(&own));
    expected.push("\"AgentGuardRejectedByProxies\"".to_owned());
    assert_eq!(names(&specs["PrometheusRule a"]), expected);
    let monitored = &specs["PodMonitor a"]["selector"]["matchLabels"];
    assert_eq!(monitored, &json!({"app": "a"}));
}

/// Provider that uses TLS, with a certificate for `api.openai.com`.
struct Upstream {
    authority: Authority,
    front: Envoy,
}

impl Upstream {
    fn new(name: &str) -> Upstream {
        let authority = Authority::new(name);
        authority.certificate("server", "DNS:api.openai.com");
        let front = Setup::new(
            Version::Newest,
            vec![Site::bare("tls").tls(authority.server_context())],
        )
        .start();
        front.provider.answer_always(answers("Hello"));
        Upstream { authority, front }
    }

    /// Returns the provider in the form of the chart's values, with this name.
    fn named(&self, host: &str) -> Value {
        let root = self.authority.folder().root();
        json!({"host": host, "port": self.front.site("tls").address.port(), "address": "127.0.0.1",
               "caCertificates": format!("{root}/ca.pem")})
    }
}

/// Installs or upgrades a release in a namespace. Returns its notes.
#[track_caller]
fn release(namespace: &str, rules: Value, options: &[&str], egress: &Value) -> String {
    let folder = Folder::new("release");
    let egress = folder.write("egress.yaml", &egress.to_string());
    let options = [&["--image", &cluster().image], options].concat();
    let values = folder.write("values.yaml", &built(&policy(rules), "helm", &options));
    let upgrade = [
        "upgrade",
        "--install",
        "agentguard",
        CHART,
        "--namespace",
        namespace,
        "--values",
        &values,
        "--values",
        &egress,
    ];
    succeed(&mut helm(&upgrade), "")
}

#[test]
#[ignore = "make test-mesh: it needs Helm and istiod"]
fn a_release_guards_what_leaves_through_a_sidecar_and_its_alerts_are_taken() {
    let upstream = Upstream::new("runner");
    let provider = &upstream.front.provider;
    cluster().define(&mesh_file("prometheus-operator-crds.yaml"));
    cluster().create("runner", "agent");
    // Without traffic interception in a pod, agents address the proxy by name.
    let port = free_port();
    cluster().apply_all(&[json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
        "metadata": {"name": "runner", "namespace": "runner"},
        "spec": {
            "workloadSelector": {"labels": {"app": "runner"}},
            "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
            "egress": [{
                "port": {"number": port, "protocol": "HTTP_PROXY", "name": "http"}, "bind": "127.0.0.1",
                "captureMode": "NONE", "hosts": ["./*"],
            }],
        },
    })]);
    let options = ["--selector", "app=runner", "--context", "outbound"];
    let values = json!({
        "egress": {"providers": [upstream.named("api.openai.com"), upstream.named("api.anthropic.com")]},
        "alerts": {"enabled": true}, "metrics": {"podMonitor": true},
    });
    release("runner", json!([no_weapons()]), &options, &values);
    let sidecar = Proxy::start("sidecar", "runner", "runner", "agent");
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let send = |request: Request, host: &str| {
        let mut raw = Raw::connect(address).expect("nobody listens");
        raw.send(&request.authority(host).bytes());
        raw.response().expect("no response").status
    };
    wait_for("the sidecar to listen", || Raw::connect(address).ok());
    wait_for("the policy to be in force", || {
        (send(forbidden(), "api.openai.com") == 400).then_some(())
    });
    let hello = || Request::chat(says("hello"));
    let before = provider.count();
    assert_eq!(send(hello(), "api.openai.com"), 200);
    let received = provider.whole(before);
    assert_eq!(received.header("host"), Some("api.openai.com"));
    // A host whose certificate has another name, and a host that is not registered.
    assert_eq!(send(hello(), "api.anthropic.com"), 503);
    assert_eq!(send(hello(), "api.example.com"), 502);
    assert_eq!(provider.count(), before + 1);
    let records = wait_for("the audit events", || {
        let records = sidecar.records();
        let is_denied = |record: &Value| record["decision"] == "deny";
        records.iter().any(is_denied).then_some(records)
    });
    records.iter().for_each(check);
    wait_for("the metrics", || {
        let labels = [r#"model="gpt-4o""#, r#"status="allow""#];
        (sidecar.metric("agentguard_requests_total", &labels) >= 1.0).then_some(())
    });
    // The API of a Prometheus operator has accepted both, with their complete contents.
    let stored = |kind: &str| {
        let get = ["get", kind, "agentguard", "-n", "runner", "-o", "json"];
        let text = succeed(&mut cluster().kubectl(&get), "");
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    let groups = stored("prometheusrule")["spec"]["groups"].take();
    let own = std::fs::read_to_string("envoy/prometheus/alerts.yaml").expect("the alerts");
    let own = as_json(&own);
    let own = own["groups"].as_array().expect("groups");
    assert_eq!(groups.as_array().map(Vec::len), Some(own.len() + 1));
    let endpoint = &stored("podmonitor")["spec"]["podMetricsEndpoints"][0];
    assert_eq!(endpoint["path"], "/stats/prometheus");
}

#[test]
#[ignore = "make test-mesh: it needs Helm and istiod"]
fn a_release_guards_egress_and_verifies_the_provider() {
    let upstream = Upstream::new("egress");
    let front = &upstream.front;
    let port = free_port();
    let egress = json!({"egress": {
        "providers": [upstream.named("api.openai.com"), upstream.named("api.anthropic.com")],
        "gateway": {"port": port},
    }});
    cluster().create("egress", "gateway");
    let release = |rules: Value| release("egress", rules, &["--selector", "app=egress"], &egress);
    let notes = release(json!([no_weapons()]));
    assert!(notes.contains("extraStatTags"), "{notes}");
    let gateway = Gateway::with_routes("egress", (port, front.provider.clone()));
    wait_for("the policy to be in force", || {
        (gateway.send(&forbidden()).status == 400).then_some(())
    });
    let hello = || Request::chat(says("hello"));
    for host in ["api.openai.com", "agentguard.egress"] {
        let before = front.provider.count();
        assert_eq!(gateway.send(&hello().authority(host)).status, 200, "{host}");
        let received = front.provider.whole(before);
        assert_eq!(received.header("host"), Some("api.openai.com"));
    }
    assert_eq!(gateway.send(&Request::new("GET", "/healthz")).status, 200);
    // The host's certificate has another name.
    let before = front.provider.count();
    let stranger = gateway.send(&hello().authority("api.anthropic.com"));
    assert_eq!(stranger.status, 503);
    assert_eq!(front.provider.count(), before);
    release(json!([]));
    wait_for("the new policy", || {
        (gateway.send(&forbidden()).status == 200).then_some(())
    });
    succeed(
        &mut helm(&["uninstall", "agentguard", "--namespace", "egress"]),
        "",
    );
    let kinds = "wasmplugins,envoyfilters,telemetries,serviceentries,destinationrules,gateways.networking.istio.io,virtualservices";
    let left = ["get", kinds, "--namespace", "egress", "-o", "name"];
    assert_eq!(succeed(&mut cluster().kubectl(&left), ""), "");
}
