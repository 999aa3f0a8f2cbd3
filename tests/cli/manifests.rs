//! Manifests for Kubernetes, Istio and Envoy Gateway, against the schemas of their resources.
#![expect(clippy::indexing_slicing, reason = "test code: a failure is a panic")]

use super::tools::as_json;
use super::{out, policies, root, run};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::process::Output;

const POLICY: &str = "policies/getting-started.yaml";
const DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{}", out(output));
    assert!(output.stdout.is_empty(), "{}", out(output));
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn build(policy: &str, options: &[&str]) -> Output {
    run(&[&["build", policy, "--for"], options].concat())
}

fn istio(more: &[&str]) -> Output {
    let image = format!("r.example.com/agentguard:1@sha256:{DIGEST}");
    let options = ["istio", "--image", &image, "--selector", "istio=egress"];
    build(POLICY, &[&options[..], more].concat())
}

/// The documents of a file of YAML by their kinds.
fn documents(text: &str) -> BTreeMap<String, Value> {
    let documents = text.split("\n---\n").skip(1).map(|text| {
        let node = agentguard::author::parse_yaml(text).unwrap();
        let mut json = Vec::new();
        node.write_json(&mut json);
        let document: Value = serde_json::from_slice(&json).unwrap();
        let name = document["metadata"]["name"].as_str().unwrap();
        (
            format!("{} {name}", document["kind"].as_str().unwrap()),
            document,
        )
    });
    documents.collect()
}

/// What an API server requires: members that the schema doesn't know are errors.
fn strict(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.contains_key("x-kubernetes-int-or-string") {
                members.remove("type");
                members.insert(
                    "anyOf".to_owned(),
                    json!([{"type": "integer"}, {"type": "string"}]),
                );
            }
            let takes_all = members.contains_key("x-kubernetes-preserve-unknown-fields")
                || members.contains_key("additionalProperties");
            if members.contains_key("properties") && members.contains_key("type") && !takes_all {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
            for (key, value) in members {
                match (&**key, value) {
                    ("properties", Value::Object(properties)) => {
                        properties.values_mut().for_each(strict)
                    }
                    (_, value) => strict(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strict),
        _ => {}
    }
}

/// The validators of the resources by version and kind.
fn validators() -> BTreeMap<(String, String), jsonschema::Validator> {
    let mut found = BTreeMap::new();
    for file in super::files("tests/crds") {
        let crd = as_json(&file).unwrap();
        let group = crd["spec"]["group"].as_str().unwrap();
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
        for version in crd["spec"]["versions"].as_array().unwrap() {
            let mut schema = version["schema"]["openAPIV3Schema"].clone();
            strict(&mut schema);
            let top = schema["properties"].as_object_mut().unwrap();
            for key in ["apiVersion", "kind", "metadata"] {
                top.insert(key.to_owned(), json!({}));
            }
            let name = format!("{group}/{}", version["name"].as_str().unwrap());
            let validator = jsonschema::draft202012::new(&schema).unwrap();
            found.insert((name, kind.to_owned()), validator);
        }
    }
    found
}

fn errors(
    document: &Value,
    validators: &BTreeMap<(String, String), jsonschema::Validator>,
) -> Vec<String> {
    let text = |key: &str| document[key].as_str().unwrap().to_owned();
    let validator = &validators[&(text("apiVersion"), text("kind"))];
    validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn every_shipped_policy_becomes_manifests_that_the_api_takes_and_arrives_whole() {
    let validators = validators();
    let mut refused = 0;
    for policy in policies() {
        let json: Value =
            serde_json::from_slice(&build(&policy, &["json", "--fail-closed"]).stdout).unwrap();
        for options in [
            &["istio", "--selector", "a/b=c", "--context", "inbound"][..],
            &[
                "istio",
                "--gateway",
                "g",
                "--kind",
                "TrafficExtension",
                "--pull-secret",
                "s",
            ],
            &[
                "istio",
                "--selector",
                "a/b=c",
                "--kind",
                "EnvoyFilter",
                "--context",
                "outbound",
            ],
            &[
                "envoy-gateway",
                "--gateway",
                "g",
                "--jwt-issuer",
                "https://idp",
                "--jwks",
                "https://idp/keys",
                "--client-ca",
                "clients",
            ],
            &[
                "envoy-gateway",
                "--gateway",
                "g",
                "--kind",
                "EnvoyPatchPolicy",
                "--listener",
                "a",
                "--listener",
                "b",
            ],
            &[
                "envoy-gateway",
                "--gateway",
                "g",
                "--pull-secret",
                "s",
                "--host",
                "native",
            ],
        ] {
            let built = build(
                &policy,
                &[
                    options,
                    &["--fail-closed", "--image", "r.example.com/agentguard:1"],
                ]
                .concat(),
            );
            let said = String::from_utf8_lossy(&built.stderr);
            // Some ask for what the native module does not have.
            if said.contains("--host native: ") {
                refused += 1;
                continue;
            }
            assert_eq!(built.status.code(), Some(0), "{policy} {options:?}: {said}");
            assert!(said.contains("--image has no digest"), "{said}");
            let documents = documents(&out(&built));
            for (name, document) in &documents {
                if document["kind"] == "ConfigMap" {
                    assert_eq!(document["metadata"]["namespace"], "envoy-gateway-system");
                    continue;
                }
                let errors = errors(document, &validators);
                assert!(errors.is_empty(), "{policy} {name}: {errors:#?}");
                assert_eq!(document["metadata"]["namespace"], "default");
            }
            let arrived: Vec<Value> = [
                ("WasmPlugin agentguard", "/spec/pluginConfig"),
                ("TrafficExtension agentguard", "/spec/wasm/pluginConfig"),
                (
                    "EnvoyFilter agentguard",
                    "/spec/configPatches/0/patch/value/typed_config/config/configuration/value",
                ),
                ("EnvoyExtensionPolicy agentguard", "/spec/wasm/0/config"),
                (
                    "EnvoyExtensionPolicy agentguard",
                    "/spec/dynamicModule/0/config",
                ),
                ("ConfigMap default.agentguard", "/data/agentguard.json"),
            ]
            .iter()
            .filter_map(|(name, path)| documents.get(*name)?.pointer(path).cloned())
            .map(|policy| match policy {
                Value::String(text) => {
                    let read: Value = serde_json::from_str(&text).unwrap();
                    // The file that a proxy watches.
                    let config = "/resources/0/typed_config/config/configuration/value";
                    match read.pointer(config).and_then(Value::as_str) {
                        Some(text) => serde_json::from_str(text).unwrap(),
                        None => read,
                    }
                }
                policy => policy,
            })
            .collect();
            assert_eq!(arrived, std::slice::from_ref(&json), "{policy} {options:?}");
        }
    }
    assert!(refused < policies().len() / 2, "{refused}");
}

/// The documents for Envoy Gateway by their kinds and names.
fn gateway(policy: &str, more: &[&str]) -> BTreeMap<String, Value> {
    let image = format!("r.io/agentguard:1@sha256:{DIGEST}");
    let options = [
        "envoy-gateway",
        "--gateway",
        "g",
        "--namespace",
        "n",
        "--image",
        &image,
    ];
    documents(&out(&build(policy, &[&options[..], more].concat())))
}

#[test]
fn envoy_gateway_gets_a_token_s_claims_under_their_name_and_asks_for_certificates() {
    let line = "principals: [{ name: user, jwt: { payload: people, id: sub } }]";
    let (_folder, policy) = policy_with(line);
    let jwt = ["--jwt-issuer", "https://idp", "--jwks", "https://idp/keys"];
    let documents = gateway(&policy, &[&jwt[..], &["--client-ca", "clients"]].concat());
    let provider = &documents["SecurityPolicy agentguard"]["spec"]["jwt"]["providers"][0];
    assert_eq!(provider["name"], "people");
    let tls = &documents["ClientTrafficPolicy agentguard"]["spec"]["tls"];
    let authority = &tls["clientValidation"]["caCertificateRefs"][0];
    assert_eq!(
        authority,
        &json!({"group": "", "kind": "ConfigMap", "name": "clients"})
    );
    let documents = gateway(POLICY, &jwt);
    let provider = &documents["SecurityPolicy agentguard"]["spec"]["jwt"]["providers"][0];
    assert_eq!(provider["name"], "agents");
    let without = &documents["ClientTrafficPolicy agentguard"]["spec"];
    assert_eq!(without.get("tls"), None);
}

#[test]
fn a_watched_policy_may_hold_headers_and_stands_before_the_router_of_each_listener() {
    let (_folder, policy) = policy_with("envoy: { headers: hold }");
    let kind = [
        "--kind",
        "EnvoyPatchPolicy",
        "--listener",
        "a",
        "--listener",
        "b",
    ];
    let documents = gateway(&policy, &kind);
    let patches = &documents["EnvoyPatchPolicy agentguard"]["spec"]["jsonPatches"];
    let names: Vec<&Value> = patches
        .as_array()
        .unwrap()
        .iter()
        .map(|patch| &patch["name"])
        .collect();
    assert_eq!(names, ["n/g/a", "n/g/b"]);
    let file = documents["ConfigMap n.agentguard"]["data"]["agentguard.json"]
        .as_str()
        .unwrap();
    let resource: Value = serde_json::from_str(file).unwrap();
    let config = &resource["resources"][0]["typed_config"]["config"];
    assert_eq!(config["allow_on_headers_stop_iteration"], true);
    assert_eq!(config["failure_policy"], "FAIL_RELOAD");
    let deployment =
        &documents["EnvoyProxy agentguard"]["spec"]["provider"]["kubernetes"]["envoyDeployment"];
    let image = format!("r.io/agentguard:1@sha256:{DIGEST}");
    assert_eq!(
        deployment["pod"]["volumes"][0]["image"]["reference"],
        image.as_str()
    );
    let module = config["vm_config"]["code"]["local"]["filename"]
        .as_str()
        .unwrap();
    let mounts = deployment["container"]["volumeMounts"].as_array().unwrap();
    assert!(
        mounts
            .iter()
            .any(|mount| module.starts_with(mount["mountPath"].as_str().unwrap()))
    );
}

#[test]
fn the_native_module_is_registered_for_envoy_gateway_and_needs_no_image() {
    let native = [
        "--host",
        "native",
        "--module",
        "/opt/guard/libagentguard.so",
    ];
    let documents = gateway(POLICY, &native);
    let proxy = &documents["EnvoyProxy agentguard"]["spec"];
    let registered = &proxy["dynamicModules"][0];
    assert_eq!(registered["source"]["local"]["path"], native[3]);
    let module = &documents["EnvoyExtensionPolicy agentguard"]["spec"]["dynamicModule"][0];
    assert_eq!(module["name"], registered["name"]);
    let deployment = &proxy["provider"]["kubernetes"]["envoyDeployment"];
    assert_eq!(
        deployment["container"]["volumeMounts"][0]["mountPath"],
        "/opt/guard"
    );
    let built = build(
        POLICY,
        &["envoy-gateway", "--gateway", "g", "--host", "native"],
    );
    assert!(!out(&built).contains("envoyDeployment"), "{}", out(&built));
    for (options, word) in [
        (&["--image", "https://r.io/a.wasm"][..], "REGISTRY/NAME"),
        (
            &["--image", "r.io/a:1", "--module", "a.so"],
            "the path in the proxy",
        ),
    ] {
        let native = ["envoy-gateway", "--gateway", "g", "--host", "native"];
        let refused = complaint(&build(POLICY, &[&native[..], options].concat()));
        assert!(refused.contains(word), "{refused}");
    }
}

#[test]
fn a_member_that_a_resource_does_not_have_is_found() {
    let validators = validators();
    let mut plugin = documents(&out(&istio(&[])))
        .remove("WasmPlugin agentguard")
        .unwrap();
    assert!(errors(&plugin, &validators).is_empty());
    plugin["spec"]["selctor"] = json!({});
    assert_eq!(errors(&plugin, &validators).len(), 1);
    plugin["spec"] = json!({"url": "oci://x", "phase": "LAST"});
    assert_eq!(errors(&plugin, &validators).len(), 1);
}

#[test]
fn istio_gets_the_module_by_digest_the_buffers_and_the_log_of_audit_events() {
    let text = out(&istio(&["--namespace", "istio-egress", "--name", "guard"]));
    let documents = documents(&text);
    let names: Vec<&str> = documents.keys().map(|name| &**name).collect();
    assert_eq!(
        names,
        [
            "EnvoyFilter guard-buffers",
            "Telemetry guard",
            "WasmPlugin guard"
        ]
    );
    let plugin = &documents["WasmPlugin guard"];
    assert_eq!(plugin["metadata"]["namespace"], "istio-egress");
    let mut spec = plugin["spec"].clone();
    spec.as_object_mut().unwrap().remove("pluginConfig");
    assert_eq!(
        spec,
        json!({
            "selector": {"matchLabels": {"istio": "egress"}},
            "phase": "STATS",
            "url": "oci://r.example.com/agentguard:1",
            "sha256": DIGEST,
            "pluginName": "agentguard",
            "failStrategy": "FAIL_RELOAD",
        })
    );
    let log = &documents["Telemetry guard"]["spec"]["accessLogging"][0];
    assert_eq!(
        log["filter"]["expression"],
        "'wasm.agentguard' in filter_state"
    );
}

/// The part of the mesh's configuration that stands in a comment.
fn mesh_config(text: &str) -> Value {
    let lines = text.lines().skip_while(|line| *line != "#   meshConfig:");
    let yaml: String = lines
        .map_while(|line| line.strip_prefix("#   "))
        .map(|line| format!("{line}\n"))
        .collect();
    as_value(&yaml)
}

#[test]
fn every_label_of_every_metric_is_in_the_list_that_istio_needs() {
    let mesh = mesh_config(&out(&istio(&[])));
    let tags = mesh["meshConfig"]["defaultConfig"]["extraStatTags"]
        .as_array()
        .unwrap();
    let labels = agentguard::metrics::METRICS.iter();
    for label in labels.flat_map(|metric| metric.labels) {
        assert!(
            tags.contains(&json!(label.name)),
            "{}: {tags:?}",
            label.name
        );
    }
    let provider = &mesh["meshConfig"]["extensionProviders"][0];
    let documents = documents(&out(&istio(&[])));
    assert_eq!(
        provider["name"],
        documents["Telemetry agentguard"]["spec"]["accessLogging"][0]["providers"][0]["name"]
    );
    assert_eq!(
        provider["envoyFileAccessLog"]["logFormat"]["text"],
        "%FILTER_STATE(wasm.agentguard:PLAIN)%\n"
    );
}

/// A policy in a file of its own, which is removed with the folder.
fn written(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("policy.yaml");
    std::fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap().to_owned();
    (folder, name)
}

fn policy_with(line: &str) -> (tempfile::TempDir, String) {
    let text = std::fs::read_to_string(root().join(POLICY)).unwrap();
    written(&format!("{text}{line}\n"))
}

#[test]
fn the_policy_of_each_gateway_has_a_config_map_of_its_own() {
    let options = ["envoy-gateway", "--image", "r.io/a:1", "--gateway", "g"];
    let named = |namespace: &str, name: &str| {
        let names = [
            "--kind",
            "EnvoyPatchPolicy",
            "--namespace",
            namespace,
            "--name",
            name,
        ];
        let documents = documents(&out(&build(POLICY, &[&options[..], &names].concat())));
        let mut names = documents
            .into_keys()
            .filter(|name| name.starts_with("ConfigMap "));
        names.next().unwrap()
    };
    assert_ne!(named("a", "b-c"), named("a-b", "c"));
}

#[test]
fn an_admin_interface_that_others_reach_is_noted() {
    for (admin, is_noted) in [
        ("127.0.0.1:9901", false),
        ("[::1]:9901", false),
        ("0.0.0.0:9901", true),
        ("[::]:9901", true),
    ] {
        let built = build(POLICY, &["envoy", "--bootstrap", "--admin", admin]);
        assert_eq!(built.status.code(), Some(0));
        let said = String::from_utf8_lossy(&built.stderr);
        assert_eq!(said.contains("AG6022"), is_noted, "{admin}: {said}");
    }
}

#[test]
fn metrics_are_not_offered_of_an_admin_interface_whose_port_is_not_known() {
    let health = ["envoy", "--bootstrap", "--health", "127.0.0.1:9902"];
    for admin in ["127.0.0.1:0", "[::1]:0"] {
        let of_admin = ["--admin", admin];
        let refused = complaint(&build(POLICY, &[&health[..], &of_admin].concat()));
        assert!(refused.contains("needs its port"), "{refused}");
        // Without a listener for them, any port will do.
        let built = build(POLICY, &[&health[..2], &of_admin].concat());
        assert_eq!(built.status.code(), Some(0), "{built:?}");
    }
}

#[test]
fn a_policy_is_not_replaced_by_what_is_built_of_it() {
    let (folder, policy) = policy_with("# Of whom?\n");
    let before = std::fs::read(&policy).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&policy, &link).unwrap();
    for output in [&*policy, link.to_str().unwrap()] {
        let built = build(&policy, &["envoy", "--output", output]);
        let said = complaint(&built);
        assert_eq!(built.status.code(), Some(2), "{said}");
        assert!(said.contains("this is what is built"), "{said}");
        assert_eq!(std::fs::read(&policy).unwrap(), before);
    }
}

#[test]
fn a_policy_that_fits_into_no_config_map_is_refused() {
    let hosts: Vec<String> = (0..50_000)
        .map(|number| format!("host-{number}.example"))
        .collect();
    let (_folder, policy) = policy_with(&format!("lists: {{ hosts: [{}] }}", hosts.join(", ")));
    let image = ["--image", "r.io/a:1"];
    let gateway = ["--gateway", "g"];
    for (options, fits) in [
        (&["k8s"][..], false),
        (
            &[
                "envoy-gateway",
                "--gateway",
                "g",
                "--kind",
                "EnvoyPatchPolicy",
            ],
            false,
        ),
        (&[&["istio"][..], &gateway].concat(), true),
        (&[&["helm"][..], &gateway].concat(), true),
    ] {
        let built = build(&policy, &[options, &image].concat());
        let said = String::from_utf8_lossy(&built.stderr);
        assert_eq!(built.status.success(), fits, "{options:?}: {said}");
        assert_eq!(said.contains("at most 1048576 in one"), !fits, "{said}");
        // Values of a chart are nothing that `kubectl` applies.
        let is_applied = fits && options[0] != "helm";
        assert_eq!(said.contains("kubectl apply"), is_applied, "{said}");
    }
}

#[test]
fn a_variable_that_no_secret_can_have_is_refused_for_kubernetes() {
    let (_folder, policy) = policy_with("audit: { key: \"env:AUDIT KEY\" }");
    let refused = complaint(&build(&policy, &["k8s", "--image", "r.io/a:1"]));
    assert!(refused.contains("the variable `AUDIT KEY`"), "{refused}");
}

#[test]
fn a_policy_that_holds_headers_becomes_an_envoy_filter_and_nothing_that_would_hang() {
    let (_folder, policy) = policy_with("envoy: { headers: hold }");
    let options = ["--image", "r.io/a:1", "--gateway", "g"];
    let built = build(&policy, &[&["istio"][..], &options].concat());
    let documents = documents(&out(&built));
    let patches = &documents["EnvoyFilter agentguard"]["spec"]["configPatches"];
    let config = &patches[0]["patch"]["value"]["typed_config"]["config"];
    assert_eq!(config["allow_on_headers_stop_iteration"], true);
    assert_eq!(
        config["vm_config"]["code"]["remote"]["http_uri"]["uri"],
        "oci://r.io/a:1"
    );
    assert_eq!(
        patches[0]["patch"]["value"]["name"],
        patches[1]["patch"]["value"]["name"]
    );
    for target in [
        &["istio", "--kind", "WasmPlugin"][..],
        &["envoy-gateway"],
        &["envoy-gateway", "--kind", "EnvoyExtensionPolicy"],
    ] {
        let refused = complaint(&build(&policy, &[target, &options].concat()));
        assert!(refused.contains("requests would hang"), "{refused}");
    }
}

#[test]
fn keys_of_the_policy_come_from_the_environment_of_the_proxy() {
    let line = "principals:\n  - name: key\n    api_key: { header: x-agent-key, keys: [{ env: TEAM_KEY, client: a }] }";
    let (_folder, policy) = policy_with(line);
    let built = build(
        &policy,
        &["istio", "--image", "r.io/a:1", "--selector", "a=b"],
    );
    let said = String::from_utf8_lossy(&built.stderr).into_owned();
    let documents = documents(&out(&built));
    let plugin = documents
        .get("WasmPlugin agentguard")
        .unwrap_or_else(|| panic!("{said}"));
    assert_eq!(
        plugin["spec"]["vmConfig"]["env"],
        json!([{"name": "TEAM_KEY", "valueFrom": "HOST"}])
    );
}

#[test]
fn a_variable_that_several_parts_of_a_policy_read_is_handed_over_once() {
    // Envoy starts with no configuration that names a variable twice.
    let line = "require: none\naudit: { key: env:SHARED }\nenvironment: { from: env:OTHER }\napprovers: { owner: { hmac: env:BOSS } }\n\
                principals:\n  - name: key\n    api_key: { header: x-agent-key, keys: [{ env: SHARED, client: a }, { env: OTHER, client: b }] }";
    let (_folder, policy) = policy_with(line);
    let names = json!(["SHARED", "OTHER", "BOSS"]);
    let built = as_value(&out(&build(&policy, &["envoy"])));
    let vm = &built["resources"][0]["typed_config"]["config"]["vm_config"];
    assert_eq!(vm["environment_variables"]["host_env_keys"], names);
    let image = ["--image", "r.io/a:1"];
    let of_istio = &["istio", image[0], image[1], "--selector", "a=b"];
    let documents_of = |options: &[&str]| documents(&out(&build(&policy, options)));
    let plugin = &documents_of(of_istio)["WasmPlugin agentguard"]["spec"];
    let env = plugin["vmConfig"]["env"].as_array().unwrap();
    let handed: Vec<&Value> = env.iter().map(|variable| &variable["name"]).collect();
    assert_eq!(json!(handed), names);
    let policy_of_gateway = &gateway(&policy, &[])["EnvoyExtensionPolicy agentguard"]["spec"];
    assert_eq!(policy_of_gateway["wasm"][0]["env"]["hostKeys"], names);
    let deployment = &documents_of(&["k8s", image[0], image[1]])["Deployment agentguard"]["spec"];
    let container = &deployment["template"]["spec"]["containers"][0];
    assert_eq!(container["env"].as_array().unwrap().len(), 3);
    let values = as_value(&out(&build(
        &policy,
        &["helm", image[0], image[1], "--gateway", "g"],
    )));
    assert_eq!(values["policy"]["keys"], names);
}

#[test]
fn claims_reach_a_native_module_by_a_filter_before_it_or_the_policy_is_refused() {
    let (_folder, policy) =
        policy_with("principals: [{ name: user, jwt: { payload: people, id: sub } }]");
    let native = ["--host", "native"];
    let watched = [
        "--kind",
        "EnvoyPatchPolicy",
        "--listener",
        "a",
        "--listener",
        "b",
    ];
    let patches = |policy: &str, host: &[&str]| {
        let documents = gateway(policy, &[host, &watched].concat());
        let patches = &documents["EnvoyPatchPolicy agentguard"]["spec"]["jsonPatches"];
        let patches = patches.as_array().unwrap().iter();
        let told = patches.map(|patch| {
            let filter = patch["operation"]["value"]["name"].as_str().unwrap();
            format!("{} {filter}", patch["name"].as_str().unwrap())
        });
        told.collect::<Vec<_>>()
    };
    let set = "envoy.filters.http.set_filter_state";
    // Each is added directly before the router.
    assert_eq!(
        patches(&policy, &native),
        [
            format!("n/g/a {set}"),
            "n/g/a agentguard".to_owned(),
            format!("n/g/b {set}"),
            "n/g/b agentguard".to_owned(),
        ]
    );
    let only_ours = ["n/g/a agentguard", "n/g/b agentguard"];
    assert_eq!(patches(&policy, &[]), only_ours);
    assert_eq!(patches(POLICY, &native), only_ours);
    let fixed = ["envoy-gateway", "--gateway", "g"];
    let refused = complaint(&build(&policy, &[&fixed[..], &native].concat()));
    assert!(refused.contains("--kind EnvoyPatchPolicy"), "{refused}");
    // In a configuration for plain Envoy, `jwt_authn` belongs before it.
    for (policy, has_claims) in [(&*policy, true), (POLICY, false)] {
        for (host, is_native) in [(&native[..], true), (&[], false)] {
            let built = build(policy, &[&["envoy", "--bootstrap"], host].concat());
            let built = as_value(&out(&built));
            let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
            let filters = built.pointer(manager).unwrap()["http_filters"].as_array();
            let names: Vec<&str> = filters
                .unwrap()
                .iter()
                .map(|filter| filter["name"].as_str().unwrap())
                .collect();
            let before = names[names.len() - 3];
            assert_eq!(before == set, has_claims && is_native, "{names:?}");
        }
    }
}

#[test]
fn what_a_double_would_change_is_refused_where_the_policy_travels_as_one() {
    let line = "  - { id: big, match: { tool: pay }, when: { args.id: { equals: 9007199254740993 } }, action: deny, reason: x }";
    let (_folder, policy) = policy_with(line);
    for target in ["istio", "envoy-gateway"] {
        let refused = complaint(&build(
            &policy,
            &[target, "--image", "r.io/a:1", "--gateway", "g"],
        ));
        assert!(
            refused.contains("AG1020") && refused.contains("9007199254740993"),
            "{refused}"
        );
    }
    assert_eq!(build(&policy, &["envoy"]).status.code(), Some(0));
}

#[test]
fn a_mistake_in_the_options_is_named_before_anything_is_written() {
    let image = ["--image", "r.io/a:1"];
    for (options, word) in [
        (&["istio", "--selector", "a=b"][..], "needs --image"),
        (
            &["istio", image[0], image[1]],
            "needs --gateway NAME or --selector",
        ),
        (
            &["istio", image[0], image[1], "--selector", "a"],
            "KEY=VALUE",
        ),
        // The patches of a policy that holds headers would apply to nothing.
        (
            &[
                "istio",
                image[0],
                image[1],
                "--gateway",
                "g",
                "--context",
                "outbound",
            ],
            "--context outbound is for sidecars",
        ),
        (
            &[
                "helm",
                image[0],
                image[1],
                "--gateway",
                "g",
                "--context",
                "outbound",
            ],
            "--context outbound is for sidecars",
        ),
        (
            &["istio", "--image", "agentguard", "--gateway", "g"],
            "name the registry",
        ),
        (
            &["istio", "--image", "r.io/a@sha256:12", "--gateway", "g"],
            "64 hexadecimal digits",
        ),
        (
            &["istio", image[0], image[1], "--gateway", "G_1"],
            "lower case",
        ),
        (
            &["istio", image[0], image[1], "--gateway", "g", "--bootstrap"],
            "--bootstrap is for",
        ),
        (&["envoy-gateway", image[0], image[1]], "needs --gateway"),
        (
            &[
                "envoy-gateway",
                image[0],
                image[1],
                "--gateway",
                "g",
                "--kind",
                "WasmPlugin",
            ],
            "for Istio",
        ),
        (
            &[
                "istio",
                image[0],
                image[1],
                "--gateway",
                "g",
                "--kind",
                "EnvoyFilter",
                "--pull-secret",
                "s",
            ],
            "DOCKER_CONFIG",
        ),
        (
            &[
                "istio",
                image[0],
                image[1],
                "--gateway",
                "g",
                "--kind",
                "EnvoyPatchPolicy",
            ],
            "Istio has",
        ),
        (
            &[
                "envoy-gateway",
                image[0],
                image[1],
                "--gateway",
                "g",
                "--kind",
                "EnvoyPatchPolicy",
                "--listener",
                "A",
            ],
            "lower case",
        ),
        (&["k8s"], "needs --image"),
        (&["k8s", "--image", "r.io/A:1"], "no name of an image"),
        (
            &["istio", "--image", "r.io/a\"b", "--gateway", "g"],
            "no name of an image",
        ),
        (
            &[
                "envoy-gateway",
                "--image",
                "file:///a.wasm",
                "--gateway",
                "g",
            ],
            "no module from a file",
        ),
        (
            &[
                "istio",
                "--image",
                "file:///a.wasm",
                "--gateway",
                "g",
                "--kind",
                "EnvoyFilter",
            ],
            "no module from a file",
        ),
        (
            &[
                "helm",
                "--image",
                "file:///a.wasm",
                "--gateway",
                "g",
                "--kind",
                "EnvoyFilter",
            ],
            "no module from a file",
        ),
        (
            &["k8s", "--image", "https://r.io/a.wasm"],
            "container image",
        ),
        (
            &[
                "k8s",
                image[0],
                image[1],
                "--audit-log",
                "/var/log/audit.jsonl",
            ],
            "can write no files",
        ),
    ] {
        let said = complaint(&build(POLICY, options));
        assert!(said.contains(word), "{options:?}: {said}");
    }
}

#[test]
fn whatever_is_in_a_policy_no_reader_of_yaml_takes_it_for_something_else() {
    // What YAML has not, and what YAML 1.1 takes for a line break: behind one in a comment would be YAML.
    let hidden =
        "a\nb\r\u{1}\u{1b}\u{7f}\u{85}\u{9b}\u{2028}\u{2029}\u{feff}\u{fffe}injected: true";
    let policy = json!({
        "apiVersion": "agentguard.dev/v1",
        "kind": "AgentPolicy",
        "metadata": {"name": hidden},
        "defaults": {"action": "allow"},
        "rules": [{"id": "r", "match": {"tool": "t"}, "action": "deny", "reason": hidden}],
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    std::fs::write(&file, policy.to_string()).unwrap();
    let image = format!("r.example.com/agentguard:1@sha256:{DIGEST}");
    for options in [
        &["istio", "--selector", "app=x"][..],
        &["istio", "--selector", "app=x", "--kind", "EnvoyFilter"],
        &["envoy-gateway", "--gateway", "g"],
        &[
            "envoy-gateway",
            "--gateway",
            "g",
            "--kind",
            "EnvoyPatchPolicy",
        ],
        &["k8s"],
        &["helm", "--selector", "app=x"],
    ] {
        let built = build(
            file.to_str().unwrap(),
            &[options, &["--image", &image]].concat(),
        );
        assert_eq!(built.status.code(), Some(0), "{built:?}");
        let text = out(&built);
        let is_yaml = |c: char| {
            matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{fffd}')
                && !"\u{2028}\u{2029}\u{feff}".contains(c)
        };
        assert_eq!(
            text.chars().find(|c| !is_yaml(*c)),
            None,
            "{options:?}\n{text}"
        );
        let injected = text
            .lines()
            .find(|line| line.trim_start().starts_with("injected"));
        assert_eq!(injected, None, "{options:?}\n{text}");
        let documents: Vec<Value> = match options[0] {
            "helm" => vec![as_value(&text)],
            _ => documents(&text).into_values().collect(),
        };
        // It arrives as it is: in the document, or in the JSON that is a text in it.
        let whole = serde_json::to_string(&documents).unwrap();
        let once = json!(hidden).to_string();
        let once = once.trim_matches('"');
        let twice = json!(once).to_string();
        let thrice = json!(twice.trim_matches('"')).to_string();
        let is_there = [once, twice.trim_matches('"'), thrice.trim_matches('"')]
            .iter()
            .any(|text| whole.contains(text));
        assert!(is_there, "{options:?}\n{whole}");
    }
}

#[test]
fn a_name_is_taken_if_kubernetes_takes_it() {
    let image = format!("r.example.com/agentguard:1@sha256:{DIGEST}");
    let long = [
        "a".repeat(63),
        "a".repeat(64),
        format!("{0}.{0}.{0}.{0}", "a".repeat(63)),
    ];
    let [label, over, overlong] = long.each_ref().map(String::as_str);
    let dotted = format!("{0}.{0}.{0}", "a".repeat(63));
    let never = [
        "", "A", "-a", "a-", "ü", "a_b", "a b", "a/b", "a\"b", "a\nb", "a..b", overlong,
    ];
    let yaml = ["yes", "null", "1e3", "0x1f", "1", label];
    // Values for the chart have neither name nor namespace: those are of the release.
    for target in ["istio", "envoy-gateway", "k8s"] {
        let fixed: &[&str] = match target {
            "k8s" => &[],
            "envoy-gateway" => &["--kind", "EnvoyPatchPolicy"],
            _ => &["--selector", "app=x"],
        };
        let code = |option: &str, name: &str| {
            let gateway: &[&str] = match target {
                "envoy-gateway" if option != "--gateway" => &["--gateway", "g"],
                _ => &[],
            };
            let option = format!("{option}={name}");
            let ran = build(
                POLICY,
                &[&[target, "--image", &image, &option], fixed, gateway].concat(),
            );
            if ran.status.success() {
                // Readers of YAML 1.1 take it for a name too.
                let text = out(&ran);
                let bare = |line: &&str| line.ends_with(&format!(": {name}"));
                let is_word = ["yes", "null", "1e3", "0x1f", "1"].contains(&name);
                assert!(!is_word || !text.lines().any(|line| bare(&line)), "{text}");
            } else {
                assert!(complaint(&ran).contains("AG9012"), "{option}");
            }
            ran.status.code()
        };
        for name in never {
            assert_eq!(code("--name", name), Some(2), "{target} {name}");
            assert_eq!(code("--namespace", name), Some(2), "{target} {name}");
        }
        for name in yaml {
            // A Service has a name that is one of a host.
            let is_refused = target == "k8s" && name.starts_with(|c: char| c.is_ascii_digit());
            assert_eq!(
                code("--name", name),
                Some(if is_refused { 2 } else { 0 }),
                "{target} {name}"
            );
            assert_eq!(code("--namespace", name), Some(0), "{target} {name}");
        }
        for name in [over, "a.b"] {
            assert_eq!(code("--name", name), Some(2), "{target} {name}");
        }
        if target == "envoy-gateway" {
            for name in [over, "a.b", &dotted] {
                assert_eq!(code("--gateway", name), Some(0), "{name}");
            }
            for name in never {
                assert_eq!(code("--gateway", name), Some(2), "{name}");
                assert_eq!(code("--listener", name), Some(2), "{name}");
            }
        }
    }
    let over = format!("app={over}");
    let key = format!("{}=x", "k".repeat(64));
    for (labels, code) in [
        (&["app=x", "tier=y"][..], 0),
        (&["app.kubernetes.io/name=X_1.y"], 0),
        (&["app="], 0),
        (&["app=yes"], 0),
        (&["app"], 2),
        (&["=x"], 2),
        (&["app=a=b"], 2),
        (&["app=x y"], 2),
        (&["app=-x"], 2),
        (&["app=ü"], 2),
        (&["app=x\ny"], 2),
        (&["app=\"x\""], 2),
        (&["app=*"], 2),
        (&["a/b/c=x"], 2),
        (&["/app=x"], 2),
        (&["a/=x"], 2),
        (&[&over], 2),
        (&[&key], 2),
        // A pod has one of them.
        (&["app=x", "app=y"], 2),
    ] {
        for target in ["istio", "helm"] {
            let mut options = vec![target, "--image", &image];
            options.extend(labels.iter().flat_map(|label| ["--selector", *label]));
            assert_eq!(
                build(POLICY, &options).status.code(),
                Some(code),
                "{options:?}"
            );
        }
    }
}

#[test]
fn a_cluster_without_a_mesh_gets_envoy_with_the_policy_in_a_file_that_it_watches() {
    let image = format!("r.io/envoy:1@sha256:{DIGEST}");
    let built = out(&build(
        POLICY,
        &["k8s", "--image", &image, "--namespace", "agents"],
    ));
    let documents = documents(&built);
    let names: Vec<&str> = documents.keys().map(|name| &**name).collect();
    assert_eq!(
        names,
        [
            "ConfigMap agentguard",
            "Deployment agentguard",
            "Service agentguard"
        ]
    );
    let data = &documents["ConfigMap agentguard"]["data"];
    let file = |name: &str| serde_json::from_str::<Value>(data[name].as_str().unwrap()).unwrap();
    let alone: Value = serde_json::from_slice(&build(POLICY, &["envoy"]).stdout).unwrap();
    assert_eq!(file("agentguard.json"), alone);
    let bootstrap = file("envoy.json").to_string();
    assert!(
        bootstrap.contains("/etc/agentguard/policy/agentguard.json"),
        "{bootstrap}"
    );
    let pod = &documents["Deployment agentguard"]["spec"]["template"];
    let selector = &documents["Deployment agentguard"]["spec"]["selector"]["matchLabels"];
    assert_eq!(&pod["metadata"]["labels"], selector);
    assert_eq!(
        &documents["Service agentguard"]["spec"]["selector"],
        selector
    );
    assert_eq!(pod["spec"]["containers"][0]["image"], image);
    assert_eq!(pod["spec"]["securityContext"]["runAsNonRoot"], true);
    // Envoy ends at once when it is told to, also in the middle of a response.
    let waits = &pod["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"];
    let ends = &pod["spec"]["terminationGracePeriodSeconds"];
    assert!(waits.as_u64() >= Some(60) && ends.as_u64() > waits.as_u64());
}

#[test]
fn a_cluster_without_a_mesh_has_probes_and_scrapes_on_a_listener_of_their_own() {
    let image = ["--image", "r.io/envoy:1"];
    let pod = |options: &[&str]| {
        let built = out(&build(POLICY, &[&["k8s"][..], &image, options].concat()));
        let documents = documents(&built);
        let data = documents["ConfigMap agentguard"]["data"]["envoy.json"].clone();
        let envoy: Value = serde_json::from_str(data.as_str().unwrap()).unwrap();
        let listeners = envoy["static_resources"]["listeners"].clone();
        let pod = documents["Deployment agentguard"]["spec"]["template"].clone();
        (pod, listeners)
    };
    let (without, listeners) = pod(&[]);
    assert_eq!(without["metadata"]["annotations"], Value::Null);
    let container = &without["spec"]["containers"][0];
    assert_eq!(container["readinessProbe"]["tcpSocket"]["port"], "http");
    assert_eq!(listeners.as_array().unwrap().len(), 1);

    let (with, listeners) = pod(&["--health", "0.0.0.0:9902"]);
    let container = &with["spec"]["containers"][0];
    for (probe, path) in [("readinessProbe", "/ready"), ("livenessProbe", "/live")] {
        let get = json!({"path": path, "port": "health"});
        assert_eq!(container[probe]["httpGet"], get);
        assert_eq!(container[probe]["tcpSocket"], Value::Null);
    }
    let ports = json!([{"name": "http", "containerPort": 10000}, {"name": "health", "containerPort": 9902}]);
    assert_eq!(container["ports"], ports);
    let annotations = json!({
        "prometheus.io/scrape": "true", "prometheus.io/port": "9902", "prometheus.io/path": "/stats",
    });
    assert_eq!(with["metadata"]["annotations"], annotations);
    let address = json!({"socket_address": {"address": "0.0.0.0", "port_value": 9902}});
    assert_eq!(listeners[1]["address"], address);

    for (health, word) in [
        ("127.0.0.1:9902", "0.0.0.0:9902"),
        ("[::1]:9902", "0.0.0.0:9902"),
        ("0.0.0.0:10000", "name another port"),
        ("10.0.0.1:10000", "name another port"),
        ("0.0.0.0:9901", "name another port"),
        ("9902", "ADDRESS:PORT"),
    ] {
        let options = [&["k8s"][..], &image, &["--health", health]].concat();
        let refused = complaint(&build(POLICY, &options));
        assert!(refused.contains(word), "{health}: {refused}");
    }
}

#[test]
fn a_policy_for_which_kubectl_needs_another_option_is_built_with_a_note() {
    let names: Vec<String> = (0..30_000).map(|at| format!("tool_{at:06}")).collect();
    let names = names.join(", ");
    let rule = format!("  - {{ id: many, match: {{ tool: [{names}] }}, action: deny, reason: x }}");
    let (_folder, policy) = policy_with(&rule);
    let options = ["istio", "--image", "r.io/a:1", "--gateway", "g"];
    let built = build(&policy, &options);
    let said = String::from_utf8_lossy(&built.stderr);
    assert_eq!(built.status.code(), Some(0), "{said}");
    assert!(said.contains("--server-side"), "{said}");
}

#[test]
fn a_kill_list_is_not_for_manifests() {
    let (_folder, list) =
        written("apiVersion: agentguard.dev/v1\nkind: AgentKill\ngeneration: 1\nkill: []\n");
    let refused = complaint(&build(
        &list,
        &["istio", "--image", "r.io/a:1", "--gateway", "g"],
    ));
    assert!(refused.contains("kill list"), "{refused}");
}

#[test]
fn files_of_a_manifest_are_documents_with_a_comment_each() {
    let text = out(&istio(&[]));
    for document in text.split("\n---\n") {
        assert!(document.starts_with("# "), "{document}");
    }
    let members: Map<String, Value> = documents(&text).into_iter().collect();
    assert_eq!(members.len(), 3);
}

/// The limits of buffers in what was built, also in files that are texts in it.
fn buffers(value: &Value, found: &mut Vec<u64>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match (&**key, value.as_u64()) {
                    ("per_connection_buffer_limit_bytes" | "bufferLimit", Some(bytes)) => {
                        found.push(bytes)
                    }
                    _ => buffers(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| buffers(item, found)),
        Value::String(text) => {
            if let Ok(inner @ Value::Object(_)) = serde_json::from_str(text) {
                buffers(&inner, found);
            }
        }
        _ => {}
    }
}

#[test]
fn a_proxy_can_hold_the_largest_body_that_the_policy_inspects() {
    let set = "apiVersion: agentguard.dev/v1\nkind: AgentPolicySet\nmetadata: { name: all }\ninspect: { max_body: 64MiB }\n\
               policies:\n  - { metadata: { name: a }, defaults: { action: allow } }\n";
    let policies = [
        (policy_with(""), 10 << 20),
        (policy_with("inspect: { max_body: 1MiB }"), 10 << 20),
        (policy_with("inspect: { max_body: 64MiB }"), 64 << 20),
        (written(set), 64 << 20),
    ];
    let image = ["--image", "r.io/a:1"];
    for ((_folder, policy), bytes) in &policies {
        for (options, number) in [
            (&["envoy", "--bootstrap"][..], 2),
            (
                &[
                    "envoy",
                    "--bootstrap",
                    "--watch",
                    "/a/policy.json",
                    "--health",
                    "127.0.0.1:9902",
                ],
                2,
            ),
            (&["envoy", "--bootstrap", "--host", "native"], 2),
            (&["k8s", image[0], image[1]], 2),
            (&["istio", image[0], image[1], "--gateway", "g"], 2),
            (
                &[
                    "istio",
                    image[0],
                    image[1],
                    "--gateway",
                    "g",
                    "--kind",
                    "TrafficExtension",
                ],
                2,
            ),
            (
                &[
                    "istio",
                    image[0],
                    image[1],
                    "--gateway",
                    "g",
                    "--kind",
                    "EnvoyFilter",
                ],
                2,
            ),
            (&["helm", image[0], image[1], "--gateway", "g"], 1),
            (&["envoy-gateway", image[0], image[1], "--gateway", "g"], 2),
            (
                &[
                    "envoy-gateway",
                    image[0],
                    image[1],
                    "--gateway",
                    "g",
                    "--kind",
                    "EnvoyPatchPolicy",
                ],
                2,
            ),
            (&["envoy-gateway", "--gateway", "g", "--host", "native"], 2),
        ] {
            let built = build(policy, options);
            assert_eq!(built.status.code(), Some(0), "{options:?} {built:?}");
            let text = out(&built);
            let whole = match options[0] {
                "envoy" | "helm" => as_value(&text),
                _ => Value::Array(documents(&text).into_values().collect()),
            };
            let mut found = Vec::new();
            buffers(&whole, &mut found);
            assert_eq!(found, vec![*bytes; number], "{options:?}");
            if options[0] == "envoy" {
                let examined = out(&super::run_with(&["doctor", "-"], text.as_bytes()));
                assert!(!examined.contains("AG6010"), "{examined}");
            }
        }
        // These have no buffers.
        for target in ["json", "envoy"] {
            let built = build(policy, &[target]);
            let said = String::from_utf8_lossy(&built.stderr);
            assert_eq!(built.status.code(), Some(0), "{said}");
            let note = format!("`per_connection_buffer_limit_bytes: {bytes}`");
            assert_eq!(said.contains(&note), *bytes > 10 << 20, "{target} {said}");
        }
    }
    let template = of_chart("templates/filter.yaml");
    let limits = template
        .lines()
        .filter(|line| line.contains("per_connection_buffer_limit_bytes:"));
    for limit in limits {
        // Helm reads numbers as doubles, which it would write with an exponent.
        assert!(
            limit.contains(".Values.policy.bufferLimit | default 10485760 | int64"),
            "{limit}"
        );
    }
}

const CHART: &str = "deploy/helm/agentguard";

/// A file of the chart.
fn of_chart(name: &str) -> String {
    std::fs::read_to_string(root().join(CHART).join(name)).unwrap()
}

fn as_value(yaml: &str) -> Value {
    let mut json = Vec::new();
    agentguard::author::parse_yaml(yaml)
        .unwrap()
        .write_json(&mut json);
    serde_json::from_slice(&json).unwrap()
}

#[test]
fn the_chart_quotes_every_name_that_is_given_to_it() {
    // YAML reads `123`, `1e3`, `on` and `null` as something else, and Kubernetes allows all of them as names.
    let closed = [
        ".Values.kind",
        ".Values.egress.gateway.port",
        "$provider.port | default 443",
        ".Chart.Name",
        ".Release.Service",
    ];
    let mut quoted = 0;
    for name in [
        "_proxies.tpl",
        "audit.yaml",
        "egress.yaml",
        "filter.yaml",
        "metrics.yaml",
    ] {
        for line in of_chart(&format!("templates/{name}")).lines() {
            let Some((before, rest)) = line.split_once("{{ ") else {
                continue;
            };
            let value = rest.split_once(" }}").unwrap().0;
            let is_written = before.trim_end().ends_with([':', '-']);
            let is_closed = closed.contains(&value) || before.ends_with("applyTo: ");
            let is_structure = value.starts_with("include ") || value.ends_with("| int64");
            // A name and a version with something between them are a text.
            let is_closed = is_closed || value.contains(".Chart.Version");
            if !is_written || is_closed || is_structure {
                continue;
            }
            assert!(value.ends_with("| quote"), "{name}: {line}");
            quoted += 1;
        }
    }
    assert!(quoted > 20, "{quoted}");
}

#[test]
fn the_chart_is_of_this_version_and_tells_what_build_tells() {
    let chart = as_value(&of_chart("Chart.yaml"));
    for key in ["version", "appVersion"] {
        assert_eq!(chart[key], env!("CARGO_PKG_VERSION"));
    }
    let told = mesh_config(&out(&istio(&[])));
    assert_eq!(as_value(&of_chart("files/mesh.yaml")), told);
    let alerts = std::fs::read_to_string(root().join("envoy/prometheus/alerts.yaml")).unwrap();
    assert_eq!(of_chart("files/alerts.yaml"), alerts);
}

#[test]
fn values_for_the_chart_have_the_policy_and_the_proxies() {
    let schema: Value = serde_json::from_str(&of_chart("values.schema.json")).unwrap();
    let validator = jsonschema::draft7::new(&schema).unwrap();
    let chart = as_value(&of_chart("values.yaml"));
    assert!(validator.is_valid(&chart));
    let image = format!("r.example.com/agentguard:1@sha256:{DIGEST}");
    for (policy, line, kind) in [
        (POLICY, "", "WasmPlugin"),
        (POLICY, "envoy: { headers: hold }", "EnvoyFilter"),
    ] {
        let text = std::fs::read_to_string(root().join(policy)).unwrap();
        let (_folder, policy) = written(&format!("{text}{line}\n"));
        let options = ["helm", "--selector", "app=a", "--image", &image];
        let values = as_value(&out(&build(&policy, &options)));
        let errors: Vec<String> = validator
            .iter_errors(&values)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?}");
        // Each of them is one that the chart documents.
        for (key, value) in values.as_object().unwrap() {
            let known = chart[key].as_object();
            for inner in value.as_object().into_iter().flat_map(Map::keys) {
                assert!(known.unwrap().contains_key(inner), "{key}.{inner}");
            }
            assert!(chart.get(key).is_some(), "{key}");
        }
        assert_eq!(values["image"], image);
        assert_eq!(values["kind"], kind);
        assert_eq!(values["policy"]["holdsHeaders"], kind == "EnvoyFilter");
        assert_eq!(values["proxies"]["selector"], json!({"app": "a"}));
        let document = values["policy"]["document"].as_str().unwrap();
        let alone = out(&build(&policy, &["json"]));
        assert_eq!(document, alone.trim_end());
    }
    for (options, word) in [
        (&["--name", "x"][..], "of the release"),
        (&["--namespace", "x"], "of the release"),
        (&["--gateway", "g"], "cannot be used with"),
    ] {
        let common = ["helm", "--selector", "app=a", "--image", &image];
        let said = complaint(&build(POLICY, &[&common, options].concat()));
        assert!(said.contains(word), "{options:?}: {said}");
    }
    let said = complaint(&build(POLICY, &["helm", "--image", &image]));
    assert!(
        said.contains("needs --gateway NAME or --selector"),
        "{said}"
    );
}

#[test]
fn an_option_that_would_change_nothing_for_a_policy_or_a_kill_list_is_refused() {
    let list = "apiVersion: agentguard.dev/v1\nkind: AgentKill\ngeneration: 1\nkill: []\n";
    let (_folder, list) = written(list);
    for (file, options, word) in [
        (
            POLICY,
            &["--beside", POLICY][..],
            "--beside changes nothing here: it is for a kill list",
        ),
        (
            &*list,
            &["--fail-closed"],
            "--fail-closed changes nothing here: it is for policies",
        ),
        (&list, &["--bootstrap"], "--bootstrap is for policies"),
        (
            &list,
            &["--upstream", "https://a"],
            "--upstream changes nothing here",
        ),
    ] {
        let refused = complaint(&build(file, &[&["envoy"], options].concat()));
        assert!(refused.contains(word), "{options:?}: {refused}");
    }
    for options in [
        &["json"][..],
        &["envoy", "--wasm", "/w", "--beside", POLICY],
        &["envoy", "--host", "native", "--module", "/m"],
    ] {
        assert_eq!(build(&list, options).status.code(), Some(0), "{options:?}");
    }
}

#[test]
fn an_option_that_would_change_nothing_is_refused() {
    let image = ["--image", "r.io/a:1"];
    for (target, options, word) in [
        ("envoy", &["--image", "r.io/a:1"][..], "`--for istio`"),
        ("envoy", &["--audit-log", "/a"], "`--bootstrap`"),
        ("envoy", &["--health", "127.0.0.1:9902"], "`--bootstrap`"),
        ("istio", &["--health", "127.0.0.1:9902"], "`--for k8s`"),
        (
            "envoy",
            &["--bootstrap", "--module", "/m"],
            "`--host native`",
        ),
        ("envoy", &["--host", "native", "--wasm", "/w"], "`--module`"),
        ("json", &["--wasm", "/w"], "`--for envoy`"),
        ("k8s", &["--context", "inbound"], "`--for helm`"),
        ("istio", &["--client-ca", "c"], "`--for envoy-gateway`"),
        (
            "istio",
            &["--jwt-issuer", "https://i", "--jwks", "https://i/keys"],
            "`--for envoy-gateway`",
        ),
        ("helm", &["--audit-log", "/a"], "`--for k8s`"),
        (
            "envoy-gateway",
            &["--upstream", "https://a.example"],
            "`--for k8s`",
        ),
    ] {
        let image = if matches!(target, "json" | "envoy") {
            &[][..]
        } else {
            &image
        };
        let refused = complaint(&build(POLICY, &[&[target], image, options].concat()));
        let told = refused.contains("changes nothing here") && refused.contains(word);
        assert!(told, "{target} {options:?}: {refused}");
    }
}
