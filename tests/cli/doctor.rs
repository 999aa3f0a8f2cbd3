//! `agentguard doctor`: what is shipped is well, and each ailment shows.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code: a failure is a panic"
)]

use super::{json_lines, out, root, run, run_with};
use agentguard::diag::codes::CODES;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const POLICY: &str = "policies/getting-started.yaml";

/// What `build --bootstrap` writes.
pub(super) fn shipped(options: &[&str]) -> Value {
    let fixed = ["build", POLICY, "--for", "envoy", "--bootstrap"];
    let built = run(&[&fixed, options].concat());
    assert_eq!(built.status.code(), Some(0));
    serde_json::from_slice(&built.stdout).unwrap()
}

/// The codes that are found in a configuration.
fn found(config: &Value) -> Vec<String> {
    let output = run_with(&["doctor", "-", "--json"], config.to_string().as_bytes());
    let findings = json_lines(&output);
    let codes: Vec<String> = findings
        .iter()
        .filter_map(|finding| finding["code"].as_str().map(str::to_owned))
        .collect();
    for finding in findings
        .iter()
        .filter(|finding| finding["code"].is_string())
    {
        for member in ["title", "place", "what", "fix"] {
            assert!(
                finding[member]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{finding}"
            );
        }
    }
    let expected = i32::from(!codes.is_empty());
    assert_eq!(output.status.code(), Some(expected), "{}", out(&output));
    codes
}

const LISTENER: &str = "/static_resources/listeners/0";
const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

fn manager(config: &mut Value) -> &mut Value {
    config.pointer_mut(MANAGER).unwrap()
}

fn filters(config: &mut Value) -> &mut Vec<Value> {
    manager(config)["http_filters"].as_array_mut().unwrap()
}

/// The policy's filter, which stands before the router.
fn ours(config: &mut Value) -> &mut Value {
    let filters = filters(config);
    let place = filters.len() - 2;
    filters.get_mut(place).unwrap()
}

fn route(config: &mut Value) -> &mut Value {
    manager(config)
        .pointer_mut("/route_config/virtual_hosts/0/routes/0")
        .unwrap()
}

/// Puts a filter between the policy's and the router.
fn behind(config: &mut Value, kind: &str, more: Value) {
    let mut typed =
        json!({"@type": format!("type.googleapis.com/envoy.extensions.filters.http.{kind}")});
    typed
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let filters = filters(config);
    filters.insert(
        filters.len() - 1,
        json!({"name": "another", "typed_config": typed}),
    );
}

/// Replaces the policy.
fn policy(config: &mut Value, edit: impl FnOnce(&mut Value)) {
    let text = ours(config)
        .pointer_mut("/typed_config/config/configuration/value")
        .unwrap();
    let mut document: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    edit(&mut document);
    *text = json!(document.to_string());
}

/// A filter of a kill list.
fn kill_filter(config: &mut Value) -> Value {
    let mut kill = ours(config).clone();
    let text = json!({"apiVersion": "agentguard.dev/v1", "kind": "AgentKill", "generation": 1, "kill": []});
    kill["name"] = json!("agentguard-kill");
    *kill
        .pointer_mut("/typed_config/config/configuration/value")
        .unwrap() = json!(text.to_string());
    kill
}

type Break = fn(&mut Value);

/// Each ailment, and how to get it.
const AILMENTS: &[(&str, Break)] = &[
    ("AG6001", |config| {
        let place = filters(config).len() - 2;
        filters(config).remove(place);
    }),
    ("AG6002", |config| {
        let first = filters(config).remove(0);
        let place = filters(config).len() - 1;
        filters(config).insert(place, first);
    }),
    ("AG6003", |config| {
        let first = filters(config).first_mut().unwrap();
        first["typed_config"]
            .as_object_mut()
            .unwrap()
            .remove("response_direction_config");
    }),
    ("AG6004", |config| {
        behind(config, "jwt_authn.v3.JwtAuthentication", json!({}))
    }),
    ("AG6005", |config| behind(config, "lua.v3.Lua", json!({}))),
    ("AG6006", |config| {
        ours(config)["typed_config"]["config"]["failure_policy"] = json!("FAIL_OPEN")
    }),
    ("AG6007", |config| {
        let remote = json!({"http_uri": {"uri": "https://example.com/agentguard.wasm", "cluster": "_", "timeout": "30s"}});
        ours(config)["typed_config"]["config"]["vm_config"]["code"] = json!({"remote": remote});
    }),
    ("AG6008", |config| {
        let router = filters(config).last().unwrap().clone();
        manager(config)["upgrade_configs"] =
            json!([{"upgrade_type": "websocket", "filters": [router]}]);
    }),
    ("AG6009", |config| {
        let disabled = json!({"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true});
        route(config)["typed_per_filter_config"] = json!({"agentguard": disabled});
    }),
    ("AG6010", |config| {
        let listener = config.pointer_mut(LISTENER).unwrap();
        listener
            .as_object_mut()
            .unwrap()
            .remove("per_connection_buffer_limit_bytes");
    }),
    ("AG6011", |config| {
        policy(config, |policy| {
            policy["envoy"] = json!({"headers": "hold"})
        })
    }),
    ("AG6012", |config| {
        drop(
            route(config)["route"]
                .as_object_mut()
                .unwrap()
                .remove("timeout"),
        )
    }),
    ("AG6013", |config| {
        route(config)["route"]["idle_timeout"] = json!("5s")
    }),
    ("AG6014", |config| {
        drop(config.as_object_mut().unwrap().remove("stats_config"))
    }),
    ("AG6015", |config| manager(config)["access_log"] = json!([])),
    ("AG6016", |config| {
        let format = "/access_log/0/typed_config/log_format/text_format_source/inline_string";
        *manager(config).pointer_mut(format).unwrap() =
            json!("%FILTER_STATE(wasm.agentguard:PLAIN)%");
    }),
    ("AG6017", |config| {
        let discovery = json!({"type_urls": ["type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"]});
        filters(config).insert(
            0,
            json!({"name": "discovered", "config_discovery": discovery}),
        );
        config.as_object_mut().unwrap().remove("node");
    }),
    ("AG6018", |config| {
        policy(config, |policy| policy["rulez"] = json!([]))
    }),
    ("AG6019", |config| {
        let kill = kill_filter(config);
        let place = filters(config).len() - 1;
        filters(config).insert(place, kill);
    }),
    ("AG6020", |config| {
        policy(config, |policy| {
            policy["client_address"] = json!({"xff_hops": 1})
        })
    }),
    ("AG6020", |config| {
        policy(config, |policy| {
            policy["client_address"] = json!({"xff_hops": 1})
        });
        manager(config)["use_remote_address"] = json!(true);
        manager(config)["xff_num_trusted_hops"] = json!(1);
    }),
    ("AG6021", |config| {
        let cluster = config.pointer_mut("/static_resources/clusters/0").unwrap();
        cluster["circuit_breakers"] = json!({"thresholds": [{"max_requests": 8}]});
    }),
    ("AG6022", |config| {
        let address = config
            .pointer_mut("/admin/address/socket_address/address")
            .unwrap();
        *address = json!("0.0.0.0");
    }),
    ("AG6023", |config| runs_in(config, 1, 35)),
    ("AG6024", |config| {
        policy(config, |policy| policy["principals"] = mesh());
        let unverified = json!({"trust_chain_verification": "ACCEPT_UNTRUSTED"});
        speak_tls(config, json!({"validation_context": unverified}));
    }),
    ("AG6025", |config| second_policy(config, "agentguard-2")),
    ("AG6026", |config| {
        let cache = cache("cache.v3.CacheConfig");
        filters(config).insert(0, cache);
    }),
];

/// A filter of this type.
fn cache(kind: &str) -> Value {
    let kind = format!("type.googleapis.com/envoy.extensions.filters.http.{kind}");
    json!({"name": "cache", "typed_config": {"@type": kind}})
}

/// Puts a filter with the same policy behind the policy's.
fn second_policy(config: &mut Value, name: &str) {
    let mut second = ours(config).clone();
    second["name"] = json!(name);
    let place = filters(config).len() - 1;
    filters(config).insert(place, second);
}

/// Principals by their certificates.
fn mesh() -> Value {
    json!([{"name": "mesh", "mtls": {"uri_san": "spiffe://td/{agent}"}}])
}

/// Gives the listener's filter chain a transport socket: its type behind `transport_sockets`, and its configuration.
fn use_socket(config: &mut Value, kind: &str, mut typed: Value) {
    let chain = "/static_resources/listeners/0/filter_chains/0";
    typed["@type"] = json!(format!(
        "type.googleapis.com/envoy.extensions.transport_sockets.{kind}"
    ));
    config.pointer_mut(chain).unwrap()["transport_socket"] =
        json!({"name": "socket", "typed_config": typed});
}

/// Gives the listener's filter chain a TLS context with this `common_tls_context`.
fn speak_tls(config: &mut Value, common: Value) {
    let context = json!({"common_tls_context": common});
    use_socket(config, "tls.v3.DownstreamTlsContext", context);
}

#[test]
fn doctor_finds_certificates_that_nobody_verifies_wherever_the_policy_believes_them() {
    let proxy =
        json!([{"name": "edge", "header": {"id": "x-user", "trusted": ["spiffe://td/edge"]}}]);
    let network = json!([{"name": "edge", "header": {"id": "x-user", "trusted": ["10.0.0.0/8"]}}]);
    let all = json!({"trusted_ca": {"filename": "ca.pem"}, "trust_chain_verification": "ACCEPT_UNTRUSTED"});
    let verified = json!({"trusted_ca": {"filename": "ca.pem"}});
    for (principals, common, is_found) in [
        (mesh(), json!({"validation_context": all}), true),
        (
            mesh(),
            json!({"validation_context": {"trust_chain_verification": 1}}),
            true,
        ),
        (
            mesh(),
            json!({"combined_validation_context": {"default_validation_context": all}}),
            true,
        ),
        (
            mesh(),
            json!({"combinedValidationContext": {"defaultValidationContext": {"trustChainVerification": "ACCEPT_UNTRUSTED"}}}),
            true,
        ),
        (proxy, json!({"validation_context": all}), true),
        (network, json!({"validation_context": all}), false),
        (mesh(), json!({"validation_context": verified}), false),
        (
            mesh(),
            json!({"validation_context": {"trust_chain_verification": "VERIFY_TRUST_CHAIN"}}),
            false,
        ),
        (json!([]), json!({"validation_context": all}), false),
    ] {
        let mut config = shipped(&[]);
        policy(&mut config, |policy| {
            policy["principals"] = principals.clone();
        });
        speak_tls(&mut config, common.clone());
        let found = found(&config);
        assert_eq!(
            found.contains(&"AG6024".to_owned()),
            is_found,
            "{principals} {common}: {found:?}"
        );
    }
}

/// What a policy has that asks for the client's address: members, as they stand in its document.
fn asking_for_an_address() -> Vec<Value> {
    let limit = |per: Value| {
        json!([{"id": "l", "match": {"event": "request"}, "action": "deny",
                "limit": {"count": "requests", "per": per, "max": 5, "window": "1m"}}])
    };
    let by = |limit: Value| json!({"metadata": {"name": "m"}, "defaults": {"action": "allow"}, "rules": limit});
    vec![
        json!({"client_address": {"xff_hops": 1}}),
        json!({"principals": [{"name": "edge", "header": {"id": "x-user", "trusted": ["10.0.0.0/8"]}}], "require": "none"}),
        json!({"rules": limit(json!("address"))}),
        json!({"rules": limit(json!(["model", "address"]))}),
        json!({"shadow": by(limit(json!("address")))}),
    ]
}

#[test]
fn doctor_finds_an_address_from_a_header_wherever_the_policy_asks_for_it() {
    let others = [
        json!({"principals": [{"name": "edge", "header": {"id": "x-user", "trusted": ["spiffe://td/edge"]}}], "require": "none"}),
        json!({"metadata": {"name": "m", "annotations": {"per": "address"}}}),
    ];
    let cases = asking_for_an_address()
        .into_iter()
        .map(|members| (members, true));
    for (members, is_found) in cases.chain(others.map(|members| (members, false))) {
        let mut config = shipped(&[]);
        policy(&mut config, |policy| {
            let document = policy.as_object_mut().unwrap();
            document.extend(members.as_object().unwrap().clone());
        });
        let found = found(&config);
        assert_eq!(
            found.contains(&"AG6020".to_owned()),
            is_found,
            "{members}: {found:?}"
        );
    }
}

#[test]
fn doctor_finds_nothing_wrong_with_what_build_writes_for_a_policy_that_asks_for_an_address() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    for members in asking_for_an_address() {
        let mut document = json!({"apiVersion": "agentguard.dev/v1", "kind": "AgentPolicy", "metadata": {"name": "p"},
                                  "defaults": {"action": "allow", "tool_call": "allow"}});
        let all = document.as_object_mut().unwrap();
        all.extend(members.as_object().unwrap().clone());
        std::fs::write(&file, document.to_string()).unwrap();
        for host in ["wasm", "native"] {
            let options = ["--for", "envoy", "--bootstrap", "--host", host];
            let built = run(&[&["build", file.to_str().unwrap()][..], &options].concat());
            assert_eq!(built.status.code(), Some(0), "{members} {built:?}");
            let mut config: Value = serde_json::from_slice(&built.stdout).unwrap();
            assert_eq!(found(&config), Vec::<String>::new(), "{members} {host}");
            // The upstream is not told who its clients are.
            assert_eq!(manager(&mut config)["skip_xff_append"], true);
        }
    }
    assert_eq!(manager(&mut shipped(&[])).get("use_remote_address"), None);
}

#[test]
fn doctor_finds_a_native_module_that_gets_no_claims_of_the_tokens_that_its_policy_reads() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    let text = std::fs::read_to_string(root().join(POLICY)).unwrap();
    std::fs::write(
        &file,
        text + "principals: [{ name: user, jwt: { payload: people, id: sub } }]\n",
    )
    .unwrap();
    let authentication = json!({"name": "envoy.filters.http.jwt_authn", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"}});
    let is_set = |filter: &Value| filter["name"] == "envoy.filters.http.set_filter_state";
    for (host, set, expected) in [
        ("wasm", None, &[][..]),
        ("native", Some(1), &[]),
        // Before the token is verified there are no claims.
        ("native", Some(0), &["AG6004"]),
        ("native", None, &["AG6004"]),
    ] {
        let options = ["--for", "envoy", "--bootstrap", "--host", host];
        let built = run(&[&["build", file.to_str().unwrap()][..], &options].concat());
        let mut config: Value = serde_json::from_slice(&built.stdout).unwrap();
        let filters = filters(&mut config);
        let claims = filters.iter().position(is_set);
        let claims = claims.map(|place| filters.remove(place));
        assert_eq!(claims.is_some(), host == "native");
        filters.insert(0, authentication.clone());
        if let Some(place) = set {
            filters.insert(place, claims.unwrap());
        }
        assert_eq!(found(&config), expected, "{host} {set:?}");
    }
}

#[test]
fn doctor_reads_the_tls_context_of_quic() {
    let mut config = shipped(&[]);
    policy(&mut config, |policy| policy["principals"] = mesh());
    let context = json!({"common_tls_context": {"validation_context": {"trust_chain_verification": "ACCEPT_UNTRUSTED"}}});
    let socket = json!({"downstream_tls_context": context});
    use_socket(&mut config, "quic.v3.QuicDownstreamTransport", socket);
    assert_eq!(found(&config), ["AG6024"]);
}

/// Puts Envoy's version where a running one reports it.
fn runs_in(config: &mut Value, major: u64, minor: u64) {
    config["node"]["user_agent_build_version"] = json!({"version": {"major_number": major, "minor_number": minor, "patch": 2}, "metadata": {"build.type": "RELEASE"}});
}

#[test]
fn doctor_names_an_envoy_that_is_too_old_for_its_host_and_what_to_do() {
    let native = ["--host", "native"];
    for (options, minor, fix) in [
        (&[][..], 35, Some("upgrade Envoy to 1.36 or newer")),
        (&[], 36, None),
        (&[], 41, None),
        (&native, 35, Some("upgrade Envoy to 1.38 or newer")),
        (
            &native,
            37,
            Some(
                "upgrade Envoy to 1.38 or newer, or build for its Wasm runtime:\nagentguard build POLICY --for envoy --host wasm",
            ),
        ),
        (&native, 38, None),
    ] {
        let mut config = shipped(options);
        runs_in(&mut config, 1, minor);
        let config = dump(&config, json!({}));
        let output = run_with(&["doctor", "-", "--json"], config.to_string().as_bytes());
        let findings = json_lines(&output);
        let finding = findings.iter().find(|finding| finding["code"].is_string());
        assert_eq!(
            finding.map(|finding| finding["code"].as_str().unwrap()),
            fix.map(|_| "AG6023"),
            "{options:?} {minor}"
        );
        if let (Some(finding), Some(fix)) = (finding, fix) {
            assert_eq!(finding["fix"], fix);
            let what = finding["what"].as_str().unwrap();
            assert!(
                what.starts_with(&format!("runs in Envoy 1.{minor}; ")),
                "{what}"
            );
        }
    }
}

#[test]
fn doctor_finds_nothing_wrong_with_what_build_writes() {
    for options in [
        &[][..],
        &["--upstream", "http://127.0.0.1:8080"],
        &["--audit-log", "/var/log/audit.jsonl"],
        &["--health", "127.0.0.1:9902"],
        &["--host", "native", "--health", "127.0.0.1:9902"],
    ] {
        let config = shipped(options);
        assert_eq!(found(&config), Vec::<String>::new(), "{options:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let filter = folder.path().join("filter.json");
    let filter = filter.to_str().unwrap();
    let built = run(&["build", POLICY, "--for", "envoy", "--output", filter]);
    assert_eq!(built.status.code(), Some(0));
    assert_eq!(found(&shipped(&["--watch", filter])), Vec::<String>::new());
    // Envoy would answer 500.
    assert_eq!(
        found(&shipped(&["--watch", "/nowhere/filter.json"])),
        ["AG6018"]
    );
}

#[test]
fn doctor_finds_each_ailment_and_nothing_else() {
    for (code, break_it) in AILMENTS {
        let mut config = shipped(&[]);
        break_it(&mut config);
        assert_eq!(found(&config), [*code], "{config:#}");
    }
}

#[test]
fn doctor_finds_nothing_wrong_with_the_examples_but_what_is_not_there() {
    for name in [
        "a2a",
        "egress",
        "egress-bedrock",
        "ingress-jwt",
        "ingress-mtls",
        "mcp-gateway",
        "quick-start",
    ] {
        let file = format!("envoy/examples/{name}.yaml");
        let beside = ["stats", "health"].map(|name| format!("envoy/examples/{name}.yaml"));
        let output = run(&["doctor", "--json", &file, &beside[0], &beside[1]]);
        let codes: Vec<Value> = json_lines(&output)
            .iter()
            .map(|finding| finding["code"].clone())
            .collect();
        // The policy is not on this machine.
        assert_eq!(codes, ["AG6018"], "{name}: {}", out(&output));
    }
}

#[test]
fn doctor_has_an_ailment_for_each_of_its_codes_and_explains_it() {
    let told: BTreeSet<&str> = CODES
        .iter()
        .map(|code| code.id)
        .filter(|id| id.starts_with("AG60"))
        .collect();
    let shown: BTreeSet<&str> = AILMENTS.iter().map(|(code, _)| *code).collect();
    assert_eq!(told, shown);
    for code in told {
        assert_eq!(run(&["explain", code]).status.code(), Some(0));
    }
}

#[test]
fn doctor_finds_variants() {
    let cases: [(&str, Break); 14] = [
        ("AG6001", |config| {
            let udp = json!({"@type": "type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig", "stat_prefix": "udp"});
            let listener = json!({"name": "datagrams", "listener_filters": [{"name": "udp", "typed_config": udp}]});
            listen(config, listener);
        }),
        ("AG6005", |config| {
            behind(config, "transform.v3.TransformConfig", json!({}))
        }),
        ("AG6005", |config| {
            let filter = json!({"name": "late", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor"}});
            let options = json!({"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "http_filters": [filter]});
            let cluster = config.pointer_mut("/static_resources/clusters/0").unwrap();
            cluster["typed_extension_protocol_options"] =
                json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options});
        }),
        ("AG6005", |config| {
            let filter = json!({"name": "late", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"}});
            let router = filters(config).last_mut().unwrap();
            router["typed_config"]["upstream_http_filters"] = json!([filter]);
        }),
        ("AG6006", |config| {
            ours(config)["typed_config"]["config"]["failure_policy"] = json!(3)
        }),
        ("AG6022", |config| {
            to_admin(config, "0.0.0.0", json!({"prefix": "/"}), json!({}))
        }),
        ("AG6001", |config| {
            let tcp = json!({"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "cluster": "upstream"});
            let listener = json!({"name": "raw", "filter_chains": [{"filters": [{"name": "tcp", "typed_config": tcp}]}]});
            listen(config, listener);
        }),
        ("AG6006", |config| ours(config)["disabled"] = json!(true)),
        ("AG6006", |config| {
            ours(config)["typed_config"]["config"]["fail_open"] = json!(true)
        }),
        ("AG6009", |config| {
            let host = manager(config)
                .pointer_mut("/route_config/virtual_hosts/0")
                .unwrap();
            host["typed_per_filter_config"] = json!({"agentguard": {"disabled": true}});
        }),
        ("AG6009", |config| {
            ours(config)["disabled"] = json!(true);
            let mut other = route(config).clone();
            other["match"] = json!({"prefix": "/other"});
            route(config)["typed_per_filter_config"] = json!({"agentguard": {"config": {}}});
            let host = manager(config).pointer_mut("/route_config/virtual_hosts/0");
            let routes = host.unwrap()["routes"].as_array_mut().unwrap();
            routes.insert(0, other);
        }),
        ("AG6010", |config| {
            let cluster = config.pointer_mut("/static_resources/clusters/0").unwrap();
            cluster["per_connection_buffer_limit_bytes"] = json!(32_768);
        }),
        ("AG6012", |config| {
            route(config)["route"]["timeout"] = json!("30s")
        }),
        ("AG6019", |config| {
            let mut kill = kill_filter(config);
            kill["typed_config"]["config"]["vm_config"]["vm_id"] = json!("another");
            filters(config).insert(0, kill);
        }),
    ];
    for (code, break_it) in cases {
        let mut config = shipped(&[]);
        break_it(&mut config);
        assert_eq!(found(&config), [code], "{config:#}");
    }
    let mut config = shipped(&[]);
    let kill = kill_filter(&mut config);
    filters(&mut config).insert(0, kill);
    assert_eq!(found(&config), Vec::<String>::new());
    // Behind the policy, a cache has what the provider sent.
    for (place, codes) in [(0, &["AG6026"][..]), (filters(&mut config).len() - 2, &[])] {
        let mut config = shipped(&[]);
        filters(&mut config).insert(place, cache("cache_v2.v3.CacheV2Config"));
        assert_eq!(found(&config), codes, "{place}");
        // One that no route enables does nothing.
        filters(&mut config)[place]["disabled"] = json!(true);
        assert_eq!(found(&config), Vec::<String>::new(), "{place}");
    }
    // A route may choose the policy.
    let mut config = shipped(&[]);
    ours(&mut config)["disabled"] = json!(true);
    route(&mut config)["typed_per_filter_config"] = json!({"agentguard": {"config": {}}});
    assert_eq!(found(&config), Vec::<String>::new());
}

/// Adds a listener.
fn listen(config: &mut Value, listener: Value) {
    let listeners = config["static_resources"]["listeners"].as_array_mut();
    listeners.unwrap().push(listener);
}

/// Adds a listener with a route to Envoy's admin interface.
fn to_admin(config: &mut Value, address: &str, matched: Value, mut action: Value) {
    action["cluster"] = json!("admin");
    let socket = config.pointer("/admin/address").unwrap().clone();
    let endpoints = json!([{"lb_endpoints": [{"endpoint": {"address": socket}}]}]);
    let clusters = config["static_resources"]["clusters"].as_array_mut();
    clusters.unwrap().push(json!({"name": "admin", "load_assignment": {"cluster_name": "admin", "endpoints": endpoints}}));
    let hosts =
        json!([{"name": "all", "domains": ["*"], "routes": [{"match": matched, "route": action}]}]);
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "metrics",
        "route_config": {"virtual_hosts": hosts},
        "http_filters": [filters(config).last().unwrap().clone()],
    });
    let address = json!({"socket_address": {"address": address, "port_value": 9902}});
    listen(
        config,
        json!({"name": "metrics", "address": address, "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}]}),
    );
}

#[test]
fn doctor_finds_routes_by_which_others_reach_the_admin_interface() {
    let metrics = "/stats/prometheus";
    for (address, matched, action, is_open) in [
        ("0.0.0.0", json!({"prefix": "/"}), json!({}), true),
        ("::", json!({"path": "/quitquitquit"}), json!({}), true),
        (
            "0.0.0.0",
            json!({"prefix": "/stats"}),
            json!({"prefix_rewrite": "/"}),
            true,
        ),
        (
            "0.0.0.0",
            json!({"safe_regex": {"regex": ".*"}}),
            json!({}),
            true,
        ),
        ("127.0.0.1", json!({"prefix": "/"}), json!({}), false),
        (
            "0.0.0.0",
            json!({"path": "/stats"}),
            json!({"prefix_rewrite": metrics}),
            false,
        ),
        (
            "0.0.0.0",
            json!({"path": "/metrics"}),
            json!({"prefix_rewrite": metrics}),
            false,
        ),
        ("0.0.0.0", json!({"prefix": metrics}), json!({}), false),
        (
            "0.0.0.0",
            json!({"safe_regex": {"regex": "^/stats/.*"}}),
            json!({}),
            false,
        ),
        ("0.0.0.0", json!({"path": "/ready"}), json!({}), false),
    ] {
        let mut config = shipped(&[]);
        to_admin(&mut config, address, matched.clone(), action.clone());
        let found = found(&config);
        let expected: &[&str] = if is_open { &["AG6022"] } else { &[] };
        assert_eq!(found, expected, "{address} {matched} {action}");
    }
}

/// A configuration dump of an Envoy that runs with a configuration.
fn dump(config: &Value, more: Value) -> Value {
    let state =
        json!({"name": "agents", "active_state": {"listener": config.pointer(LISTENER).unwrap()}});
    let mut state = state;
    state
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"configs": [
        {"@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump", "bootstrap": config},
        {"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
         "static_clusters": [{"cluster": config.pointer("/static_resources/clusters/0")}]},
        {"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump", "dynamic_listeners": [state]},
    ]})
}

/// Each name of a member as Envoy's JSON may have it as well.
fn in_camel_case(value: &Value) -> Value {
    let camel = |name: &str| {
        let mut parts = name.split('_');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |name, part| {
            let (head, rest) = part.split_at(part.len().min(1));
            name + &head.to_uppercase() + rest
        })
    };
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (camel(name), in_camel_case(value)))
            .collect(),
        Value::Array(items) => items.iter().map(in_camel_case).collect(),
        value => value.clone(),
    }
}

#[test]
fn doctor_reads_both_names_that_envoy_takes_for_a_member() {
    assert_eq!(found(&in_camel_case(&shipped(&[]))), Vec::<String>::new());
    for (code, break_it) in AILMENTS {
        let mut config = shipped(&[]);
        break_it(&mut config);
        assert_eq!(found(&in_camel_case(&config)), [*code], "{config:#}");
    }
}

#[test]
fn doctor_finds_what_makes_the_audit_trail_incomplete() {
    let filter = |name: &str, filter: Value| json!({(name): filter});
    let cel = |expression: &str| {
        let kind =
            "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter";
        filter(
            "extension_filter",
            json!({"name": "cel", "typed_config": {"@type": kind, "expression": expression}}),
        )
    };
    let both = |name: &str, other: Value| {
        let seen = cel("'wasm.agentguard' in filter_state");
        filter(name, json!({"filters": [seen, other]}))
    };
    for (kept, code) in [
        (filter("not_health_check_filter", json!({})), None),
        (cel("'wasm.agentguard' in filter_state"), None),
        (cel("response.code >= 400"), Some("AG6015")),
        (
            cel("'wasm.agentguard' in filter_state && response.code >= 400"),
            Some("AG6015"),
        ),
        (
            both(
                "and_filter",
                json!({"runtime_filter": {"runtime_key": "some"}}),
            ),
            Some("AG6015"),
        ),
        (
            both("and_filter", json!({"not_health_check_filter": {}})),
            None,
        ),
        (both("or_filter", json!({"response_flag_filter": {}})), None),
        (filter("response_flag_filter", json!({})), Some("AG6015")),
        (
            filter("runtime_filter", json!({"runtime_key": "some"})),
            Some("AG6015"),
        ),
    ] {
        let mut config = shipped(&[]);
        manager(&mut config)["access_log"][0]["filter"] = kept.clone();
        assert_eq!(
            found(&config),
            code.into_iter().collect::<Vec<_>>(),
            "{kept}"
        );
    }
    // A part of the event, or one that is cut off, is no event.
    for format in [
        "%FILTER_STATE(wasm.agentguard.decision:PLAIN)%\n",
        "%FILTER_STATE(wasm.agentguard:PLAIN):512%\n",
        "%FILTER_STATE(wasm.agentguard:TYPED)%\n",
        "%FILTER_STATE(wasm.agentguard)%\n",
    ] {
        let mut config = shipped(&[]);
        let text = "/access_log/0/typed_config/log_format/text_format_source/inline_string";
        *manager(&mut config).pointer_mut(text).unwrap() = json!(format);
        assert_eq!(found(&config), ["AG6015"], "{format}");
    }
}

/// The codes that are found, and how a configuration comes to them.
type Case<'c> = (&'c [&'c str], &'c dyn Fn(&mut Value));

#[test]
fn doctor_examines_every_part_of_a_route_and_every_policy() {
    let parts = |config: &mut Value, second: Value| {
        let mut second = second;
        second["name"] = json!("second");
        second["weight"] = json!(1);
        let mut cluster = config["static_resources"]["clusters"][0].clone();
        cluster["name"] = json!("second");
        config["static_resources"]["clusters"]
            .as_array_mut()
            .unwrap()
            .push(cluster);
        let action = route(config)["route"].as_object_mut().unwrap();
        action.remove("cluster");
        action.insert(
            "weighted_clusters".to_owned(),
            json!({"clusters": [{"name": "upstream", "weight": 1}, second]}),
        );
    };
    let cases: [Case<'_>; 9] = [
        (&[], &|config| parts(config, json!({}))),
        (&["AG6009"], &|config| {
            parts(
                config,
                json!({"typed_per_filter_config": {"agentguard": {"disabled": true}}}),
            );
        }),
        (&["AG6010"], &|config| {
            parts(config, json!({}));
            config["static_resources"]["clusters"][1]["per_connection_buffer_limit_bytes"] =
                json!(1024);
        }),
        (&["AG6010"], &|config| {
            route(config)["request_body_buffer_limit"] = json!("65536")
        }),
        (&["AG6012"], &|config| {
            route(config)["route"]["max_stream_duration"] = json!({"max_stream_duration": "20s"});
        }),
        (&["AG6012"], &|config| {
            manager(config)["common_http_protocol_options"]["max_stream_duration"] = json!("20s");
        }),
        (&["AG6012"], &|config| {
            route(config)["route"]["retry_policy"] = json!({"per_try_timeout": "20s"});
        }),
        (&["AG6014"], &|config| {
            config["stats_config"]["stats_matcher"] = json!({"reject_all": true});
        }),
        // The second of two policies is one too.
        (&["AG6018", "AG6025"], &|config| {
            second_policy(config, "agentguard-2");
            *ours(config)
                .pointer_mut("/typed_config/config/configuration/value")
                .unwrap() = json!("{}");
        }),
    ];
    for (codes, break_it) in cases {
        let mut config = shipped(&[]);
        break_it(&mut config);
        let mut found = found(&config);
        found.dedup();
        assert_eq!(found, codes, "{config:#}");
    }
}

#[test]
fn doctor_counts_the_policies_that_a_request_passes_not_those_that_are_there() {
    let enable = |config: &mut Value, names: &[&str]| {
        let own: serde_json::Map<String, Value> = names
            .iter()
            .map(|name| ((*name).to_owned(), json!({"config": {}})))
            .collect();
        route(config)["typed_per_filter_config"] = json!(own);
    };
    let two = |off: bool| {
        let mut config = shipped(&[]);
        ours(&mut config)["disabled"] = json!(off);
        second_policy(&mut config, "agentguard-2");
        config
    };
    // A mesh has a filter for each policy, and each route enables one.
    let mut config = two(true);
    enable(&mut config, &["agentguard-2"]);
    assert_eq!(found(&config), ["AG6006"]);
    enable(&mut config, &["agentguard", "agentguard-2"]);
    assert_eq!(found(&config), ["AG6025"]);
    assert_eq!(found(&two(false)), ["AG6025"]);
    // A kill list is no policy.
    let mut config = shipped(&[]);
    let kill = kill_filter(&mut config);
    filters(&mut config).insert(0, kill);
    assert_eq!(found(&config), Vec::<String>::new());
    // Routes that nobody can see could enable one of them.
    let mut config = two(false);
    let own = manager(&mut config).as_object_mut().unwrap();
    own.remove("route_config");
    own.insert(
        "rds".to_owned(),
        json!({"route_config_name": "r", "config_source": {"ads": {}}}),
    );
    assert_eq!(found(&config), ["AG6025"]);
}

#[test]
fn doctor_knows_that_the_router_for_mcp_is_last_and_needs_no_route() {
    let routed = |inspects: bool| {
        let mut config = shipped(&[]);
        manager(&mut config)["route_config"]["virtual_hosts"] = json!([]);
        let filters = filters(&mut config);
        *filters.last_mut().unwrap() = json!({"name": "mcp_router", "typed_config": {"@type":
            "type.googleapis.com/envoy.extensions.filters.http.mcp_router.v3.McpRouter"}});
        filters.retain(|filter| inspects || filter["name"] != "agentguard");
        config
    };
    assert_eq!(found(&routed(false)), ["AG6001"]);
    let config = routed(true);
    assert_eq!(found(&config), ["AG6005"]);
    let output = run_with(&["doctor", "-"], config.to_string().as_bytes());
    assert!(
        !out(&output).contains("before agentguard"),
        "{}",
        out(&output)
    );
    let mut config = routed(true);
    second_policy(&mut config, "agentguard-2");
    assert_eq!(found(&config), ["AG6005", "AG6025"]);
}

#[test]
fn doctor_finds_a_variable_that_the_policy_reads_and_nobody_hands_to_it() {
    let reads = |config: &mut Value| {
        policy(config, |policy| {
            policy["audit"] = json!({"key": "env:AUDIT_KEY"})
        });
    };
    let mut config = shipped(&[]);
    reads(&mut config);
    assert_eq!(found(&config), ["AG6018"]);
    for handed in [
        json!({"host_env_keys": ["OTHER", "AUDIT_KEY"]}),
        json!({"key_values": {"AUDIT_KEY": "…"}}),
    ] {
        ours(&mut config)["typed_config"]["config"]["vm_config"]["environment_variables"] = handed;
        assert_eq!(found(&config), Vec::<String>::new());
    }
    // Native modules read the environment of Envoy.
    let mut native = shipped(&["--host", "native"]);
    let text = ours(&mut native)
        .pointer_mut("/typed_config/filter_config/value")
        .unwrap();
    let mut document: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    document["audit"] = json!({"key": "env:AUDIT_KEY"});
    *text = json!(document.to_string());
    assert_eq!(found(&native), Vec::<String>::new());
}

#[test]
fn doctor_looks_at_the_module_if_it_is_on_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("a.wasm"), b"\0asm\x01\0\0\0").unwrap();
    std::fs::write(at("a.so"), b"\x7fELF\x02\x01\x01\0").unwrap();
    std::fs::write(at("empty"), b"").unwrap();
    let nowhere = "/nowhere/agentguard.wasm".to_owned();
    for (wasm, native, file) in [
        (true, false, at("a.wasm")),
        (false, true, at("a.so")),
        (false, false, at("empty")),
        (false, false, at("missing")),
        (false, false, folder.path().to_str().unwrap().to_owned()),
        // That of another machine.
        (true, true, nowhere),
    ] {
        for (is_well, options) in [
            (wasm, vec!["--wasm", &file]),
            (native, vec!["--host", "native", "--module", &file]),
        ] {
            let codes = if is_well { vec![] } else { vec!["AG6018"] };
            let config = shipped(&options);
            assert_eq!(found(&config), codes, "{options:?}");
            // What another process has loaded is not this machine's.
            assert_eq!(
                found(&dump(&config, json!({}))),
                Vec::<String>::new(),
                "{options:?}"
            );
        }
    }
}

#[test]
fn doctor_finds_an_update_that_the_running_envoy_did_not_take() {
    let config = shipped(&[]);
    let rejected = json!({"error_state": {"details": "its policy is rejected"}});
    let output = run_with(
        &["doctor", "-"],
        dump(&config, rejected).to_string().as_bytes(),
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        out(&output).contains("listener agents: its last update was rejected, and the one before is in force: its policy is rejected"),
        "{}",
        out(&output)
    );
    // One that waits for its filters is examined as well; one that never was accepted is no listener.
    let mut waiting = config.clone();
    AILMENTS[0].1(&mut waiting);
    let mut waiting = dump(&waiting, json!({}));
    let state = waiting
        .pointer_mut("/configs/2/dynamic_listeners/0")
        .unwrap();
    let active = state
        .as_object_mut()
        .unwrap()
        .remove("active_state")
        .unwrap();
    state["warming_state"] = active;
    assert_eq!(found(&waiting), ["AG6001"]);
}

#[test]
fn doctor_says_what_it_did_not_see() {
    let noted = |config: &Value| {
        let output = run_with(&["doctor", "-"], config.to_string().as_bytes());
        assert_eq!(output.status.code(), Some(0), "{}", out(&output));
        String::from_utf8(output.stderr).unwrap()
    };
    let config = shipped(&[]);
    assert_eq!(noted(&config), "");
    let mut discovered = config.clone();
    let routes = json!({"route_config_name": "r", "config_source": {"ads": {}}});
    let own = manager(&mut discovered).as_object_mut().unwrap();
    own.remove("route_config");
    own.insert("rds".to_owned(), routes);
    assert!(noted(&discovered).contains("routes of listener agents are not in it"));
    let mut tree = config.clone();
    manager(&mut tree)["route_config"]["virtual_hosts"][0]["matcher"] = json!({"matcher_tree": {}});
    assert!(noted(&tree).contains("routes of listener agents are not in it"));
    let mut chain = config.clone();
    let discovery = json!({"config_source": {"ads": {}}, "type_urls": ["type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"]});
    let raw = json!({"name": "raw", "filter_chains": [{"filters": [{"name": "tcp", "config_discovery": discovery}]}]});
    listen(&mut chain, raw);
    assert!(noted(&chain).contains("filters of listener raw are not in it"));
    let mut listeners = config.clone();
    listeners["dynamic_resources"] = json!({"lds_config": {"ads": {}}});
    assert!(noted(&listeners).contains("listeners that Envoy discovers are not in it"));
}

#[test]
fn doctor_knows_the_filter_by_its_policy_whatever_it_is_called() {
    let mut config = shipped(&[]);
    let filter = ours(&mut config);
    filter["name"] = json!("policy");
    filter["typed_config"]["config"]["name"] = json!("policy");
    filter["typed_config"]["config"]["root_id"] = json!("policy");
    assert_eq!(found(&config), Vec::<String>::new());
    filter_out(&mut config);
    assert_eq!(found(&config), ["AG6001"]);
}

/// Puts something else in the place of the policy's filter.
fn filter_out(config: &mut Value) {
    ours(config)["typed_config"] =
        json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer"});
}

#[test]
fn doctor_does_not_wait_for_ever_for_what_answers_no_request() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        use std::io::Write;
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let answer: &[u8] = match number {
                0 => b"\x16\x03\x01\x00\xff\n\n\n",
                1 => b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"confi",
                2 => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
                _ => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
            };
            stream.write_all(answer).unwrap();
        }
    });
    for code in ["AG9010", "AG9010", "AG9010", "AG9013"] {
        let output = run(&["doctor", "--admin", &url]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(
            told.starts_with(&format!("agentguard: {code}: {url}")),
            "{told}"
        );
    }
}

#[test]
fn doctor_reads_yaml_names_the_policy_and_mends() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("envoy.yaml");
    let mut config = shipped(&[]);
    route(&mut config)["route"]
        .as_object_mut()
        .unwrap()
        .remove("timeout");
    std::fs::write(
        &file,
        config.to_string().replace("\"node\":{", "\"node\": {"),
    )
    .unwrap();
    let output = run(&["doctor", file.to_str().unwrap()]);
    let text = out(&output).replace(file.to_str().unwrap(), "envoy.yaml");
    let (policy, findings) = text.split_once('\n').unwrap();
    assert!(
        policy.starts_with("listener agents: policy getting-started sha256:"),
        "{policy}"
    );
    assert_eq!(
        findings,
        "AG6012: a short timeout
  listener agents, virtual host upstream, route /: ends every response after 15 seconds; those of models take longer
    route:
      timeout: 0s
      idle_timeout: 300s
envoy.yaml: 1 finding; `agentguard explain CODE` explains it\n"
    );
}

#[test]
fn doctor_says_what_it_cannot_read() {
    let error = |arguments: &[&str], input: &[u8]| {
        let output = run_with(&[&["doctor"], arguments].concat(), input);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(
        error(&["/nowhere.yaml"], b""),
        "agentguard: AG9010: /nowhere.yaml can't be read: there is no such file; is the path right?\n"
    );
    assert!(error(&["-"], b"{").starts_with("agentguard: AG9013: -: "));
    let noise = error(&["-"], b"a: \"\x1b[2Jcleared\nb: {");
    assert!(!noise.contains('\u{1b}'), "{noise}");
    assert!(error(&["-"], b"{}").contains("neither a configuration dump"));
    let manifests = b"# All.\n---\napiVersion: v1\nkind: ConfigMap\n---\napiVersion: apps/v1\nkind: Deployment\n";
    for manifest in [
        &manifests[..],
        br#"{"apiVersion": "v1", "kind": "List", "items": []}"#,
    ] {
        let told = error(&["-"], manifest);
        assert!(
            told.contains("a manifest of Kubernetes") && told.contains("/config_dump"),
            "{told}"
        );
    }
    let told = error(&["policies/getting-started.yaml"], b"");
    assert!(told.contains("`agentguard validate`"), "{told}");
    for empty in [
        r#"{"configs": []}"#,
        r#"{"dynamic_resources": {}, "static_resources": {}}"#,
    ] {
        assert!(
            error(&["-"], empty.as_bytes()).contains("no listener is in it"),
            "{empty}"
        );
    }
    let nobody = error(&["--admin", "http://127.0.0.1:1"], b"");
    assert!(
        nobody.starts_with("agentguard: AG9010: http://127.0.0.1:1: "),
        "{nobody}"
    );
    assert!(nobody.contains("http://127.0.0.1:9901"), "{nobody}");
    let config = shipped(&[]).to_string();
    let packed = super::audit::gzip(config.as_bytes());
    assert_eq!(run_with(&["doctor", "-"], &packed).status.code(), Some(0));
    let told = error(&["-", "--listener", "agent"], config.as_bytes());
    assert_eq!(
        told,
        "agentguard: AG9012: --listener agent: - has no such listener; did you mean agents?\n"
    );
    assert!(root().is_dir());
}
