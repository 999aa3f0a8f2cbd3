//! Gateways and sidecars of Istio, with manifests of `agentguard build --for istio`.

use super::cluster::{cluster, succeed};
use super::istiod::{Gateway, KEY, Proxy, built, built_for, mesh};
use crate::scene::{Mode, answers, forbidden, in_mode, mask_cards, no_weapons, policy, says, with};
use harness::{Ended, Provider, Raw, Request, check, free_port, wait_for};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) fn named(name: &str, rules: Value) -> Value {
    with(policy(rules), json!({"metadata": {"name": name}}))
}

pub(crate) fn strict() -> Value {
    named("strict", json!([no_weapons(), mask_cards()]))
}

pub(crate) fn hello() -> Request {
    Request::chat(says("hello"))
}

/// Returns manifests with a policy that the filter rejects, as a user could write without `build`.
pub(crate) fn misspelt(manifests: &str) -> String {
    // As JSON in a string, if a proxy watches it.
    let misspelt = manifests
        .replacen("action: deny", "action: deni", 1)
        .replacen(r#"\"action\":\"deny\""#, r#"\"action\":\"deni\""#, 1);
    assert_ne!(misspelt, manifests);
    misspelt
}

fn in_force(gateway: &Gateway) {
    wait_for("the policy to be in force", || {
        (gateway.send(&forbidden()).status == 400).then_some(())
    });
}

/// Sends a request repeatedly while `happens` runs. Returns the statuses of all.
pub(crate) fn meanwhile(send: impl Fn() -> u16 + Sync, happens: impl FnOnce()) -> Vec<u16> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut statuses = Vec::new();
            while !over.load(Ordering::Relaxed) {
                statuses.push(send());
            }
            statuses
        });
        // Also if a check fails in between; the sender would never end otherwise.
        let ended = Over(&over);
        happens();
        drop(ended);
        sender.join().expect("the sender")
    })
}

struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
#[ignore = "make test-mesh: it needs istiod"]
fn a_gateway_filters_audits_and_counts() {
    let gateway = Gateway::start("filters");
    gateway.provider.answer_always(answers("Hello"));
    let listener = gateway.listener();
    // Only `doctor` reports a selector that matches no pod.
    let seen = || mesh().counted("pilot_k8s_cfg_events", "WasmPlugin");
    let before = seen();
    let elsewhere = ["--selector", "app=fitlers", "--name", "elsewhere"];
    let image = ["--image", &cluster().image, "--namespace", "filters"];
    let manifests = built(&strict(), "istio", &[elsewhere, image].concat());
    cluster().apply(&manifests);
    wait_for("istiod", || (seen() > before).then_some(()));
    assert_eq!(gateway.send(&forbidden()).status, 200);
    assert_eq!(gateway.proxy.findings(&listener), ["AG6001"]);

    gateway.apply(&strict(), &[]);
    in_force(&gateway);
    assert_eq!(gateway.proxy.findings(&listener), [""; 0]);
    let denied = gateway.send(&forbidden());
    assert_eq!(denied.header("x-agentguard-code"), Some("AG3001"));
    let before = gateway.provider.count();
    let card = Request::chat(says("my card is 4111 1111 1111 1111"));
    assert_eq!(gateway.send(&card).status, 200);
    let received = gateway.provider.whole(before);
    let text = String::from_utf8_lossy(&received.body).into_owned();
    assert!(!text.contains("4111"), "{text}");
    // Larger than the mebibyte that Istio buffers.
    let large = Request::chat(says(&"many words ".repeat(200_000)));
    assert_eq!(gateway.send(&large).status, 200);

    let records = wait_for("the audit events", || {
        let records = gateway.proxy.records();
        let last = records.iter().rfind(|record| record["decision"] == "allow");
        last.is_some().then_some(records)
    });
    records.iter().for_each(check);
    let denial = records.iter().find(|record| record["decision"] == "deny");
    let denial = denial.expect("the denial");
    assert_eq!(denial["policy"]["name"], "strict");
    // Labels, not parts of the names.
    wait_for("the metrics", || {
        let requests = |status: &str| {
            let labels = [r#"model="gpt-4o""#, r#"client_id="anonymous""#, status];
            gateway.proxy.metric("agentguard_requests_total", &labels)
        };
        (requests(r#"status="deny""#) >= 1.0 && requests(r#"status="allow""#) >= 1.0).then_some(())
    });
    let page = gateway.proxy.page("/stats/prometheus");
    let unlabelled = page.lines().find(|line| line.contains("___agentguard"));
    assert_eq!(unlabelled, None);
    let named = [r#"name="strict""#];
    assert_eq!(gateway.proxy.metric("agentguard_policy_info", &named), 1.0);
}

#[test]
#[ignore = "make test-mesh: it needs istiod"]
fn a_gateway_of_the_gateway_api_is_named_and_a_wrong_name_is_found() {
    let gateway = Gateway::of_gateway_api("named");
    gateway.provider.answer_always(answers("Hello"));
    let listener = gateway.listener();
    let image = &cluster().image;
    let manifests = |name: &str, more: &[&str]| {
        let options = ["--namespace", "named", "--gateway", name, "--image", image];
        built(&strict(), "istio", &[&options[..], more].concat())
    };
    for kind in ["WasmPlugin", "TrafficExtension", "EnvoyFilter"] {
        let kind = ["--kind", kind];
        let wrong = manifests("nameed", &kind);
        let seen = || mesh().counted("pilot_k8s_cfg_events", kind[1]);
        let before = seen();
        cluster().apply(&wrong);
        wait_for("istiod", || (seen() > before).then_some(()));
        assert_eq!(gateway.send(&forbidden()).status, 200, "{kind:?}");
        assert_eq!(gateway.proxy.findings(&listener), ["AG6001"], "{kind:?}");
        let right = manifests("named", &kind);
        cluster().apply(&right);
        in_force(&gateway);
        // Larger buffers may be in force a moment after the filter.
        wait_for("a proxy without findings", || {
            gateway.proxy.findings(&listener).is_empty().then_some(())
        });
        succeed(&mut cluster().kubectl(&["delete", "-f", "-"]), &right);
        wait_for("it to be gone", || {
            (gateway.send(&forbidden()).status == 200).then_some(())
        });
    }
}

#[test]
#[ignore = "make test-mesh: it needs istiod"]
fn a_policy_is_replaced_under_load_and_a_bad_one_is_refused_and_counted() {
    let gateway = Gateway::start("changes");
    gateway.provider.answer_always(answers("Hello"));
    gateway.apply(&strict(), &[]);
    in_force(&gateway);
    let machines = |what: &str| {
        let page = gateway.proxy.page("/stats?filter=wasm.*v8");
        let of = page.lines().filter(|line| line.contains(what));
        of.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum::<u64>()
    };
    let before = ["active", "created"].map(machines);
    assert!(before[0] > 0);
    let statuses = meanwhile(
        || gateway.send(&hello()).status,
        || {
            gateway.apply(&named("lenient", json!([])), &[]);
            wait_for("the lenient policy", || {
                (gateway.send(&forbidden()).status == 200).then_some(())
            });
            gateway.apply(&strict(), &[]);
            in_force(&gateway);
            let rejects = || mesh().counted("pilot_total_xds_rejects", "ecds");
            let rejected = rejects();
            let bad = misspelt(&gateway.built(&named("bad", json!([no_weapons()])), &[]));
            cluster().apply(&bad);
            wait_for("the bad policy to be refused", || {
                let counter = "agentguard_config_rejected_total";
                (gateway.proxy.metric(counter, &[]) >= 1.0 && rejects() > rejected).then_some(())
            });
            let printed = gateway.proxy.printed();
            assert!(printed.contains("AG1007"), "{printed}");
            assert_eq!(gateway.send(&forbidden()).status, 400);
            gateway.apply(&strict(), &[]);
        },
    );
    assert!(statuses.len() > 10);
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    // The virtual machines are kept. Each new policy is tried in one of its own.
    assert_eq!(machines("active"), before[0]);
    assert!(machines("created") <= before[1] + 2);

    // Another name and another kind: if the new resource is applied first, nothing passes
    // unfiltered.
    let statuses = meanwhile(
        || gateway.send(&forbidden()).status,
        || {
            let next = ["--name", "next", "--kind", "TrafficExtension"];
            gateway.apply(&named("next", json!([no_weapons()])), &next);
            wait_for("the new form", || {
                let named = [r#"name="next""#];
                (gateway.proxy.metric("agentguard_policy_info", &named) == 1.0).then_some(())
            });
            let old = gateway.built(&strict(), &[]);
            let delete = ["delete", "-f", "-"];
            succeed(&mut cluster().kubectl(&delete), &old);
            wait_for("the old form to be gone", || {
                let named = [r#"name="strict""#];
                (gateway.proxy.metric("agentguard_policy_info", &named) == 0.0).then_some(())
            });
        },
    );
    assert!(statuses.iter().all(|status| *status == 400), "{statuses:?}");
    assert_eq!(gateway.send(&hello()).status, 200);
}

#[test]
#[ignore = "make test-mesh: it needs istiod"]
fn a_gateway_that_starts_with_a_bad_policy_denies_everything_until_it_is_mended() {
    let routes = Gateway::routes("starts");
    let good = built_for("starts", &strict(), &[]);
    cluster().apply(&misspelt(&good));
    let gateway = Gateway::with_routes("starts", routes);
    gateway.provider.answer_always(answers("Hello"));
    wait_for("the policy to be refused", || {
        gateway.proxy.printed().contains("AG1007").then_some(())
    });
    let probe = || gateway.send(&Request::new("GET", "/healthz")).status;
    assert_eq!(gateway.send(&hello()).status, 500);
    assert_eq!(gateway.provider.count(), 0);
    // Istio's own probe does not pass through the filter; a probe through the filter does.
    assert_eq!((gateway.proxy.probe(), probe()), (200, 500));
    cluster().apply(&good);
    in_force(&gateway);
    assert_eq!(gateway.send(&hello()).status, 200);
    assert_eq!(probe(), 200);
    // A policy that denies by default, and one that requires an identified caller.
    let closed = |name: &str, rules: Value| {
        with(named(name, rules), json!({"defaults": {"action": "deny"}}))
    };
    let probed = json!([
        {"id": "probe", "match": {"event": "request", "method": "GET", "path": "/healthz"}, "action": "allow"},
    ]);
    let keyed = with(
        named("keyed", json!([])),
        json!({"require": "identity", "principals": [{"name": "mesh", "mtls": {"uri_san": "spiffe://*/**"}}]}),
    );
    for (name, policy, status) in [
        ("closed", closed("closed", json!([])), 400),
        ("probed", closed("probed", probed), 200),
        ("keyed", keyed, 401),
    ] {
        gateway.apply(&policy, &[]);
        wait_for("the policy", || {
            let named = format!("name=\"{name}\"");
            (gateway.proxy.metric("agentguard_policy_info", &[&named]) == 1.0).then_some(())
        });
        assert_eq!(probe(), status, "{name}");
    }
}

#[test]
#[ignore = "make test-mesh: it needs istiod"]
fn a_module_that_cannot_be_downloaded_denies_everything() {
    let gateway = Gateway::start("absent");
    gateway.provider.answer_always(answers("Hello"));
    let image = &cluster().image;
    let (name, _) = image.split_once('@').expect("a digest");
    for (kind, plugin) in [("WasmPlugin", "plugin"), ("EnvoyFilter", "patch")] {
        let manifests = gateway.built(&strict(), &["--kind", kind, "--name", plugin]);
        assert!(manifests.contains(name));
        let manifests = manifests.replace(name, "127.0.0.1:1/agentguard:gone");
        cluster().apply(&manifests);
        wait_for("nothing to pass", || {
            (gateway.send(&hello()).status == 403).then_some(())
        });
        succeed(&mut cluster().kubectl(&["delete", "-f", "-"]), &manifests);
        wait_for("it to be gone", || {
            (gateway.send(&hello()).status == 200).then_some(())
        });
    }
}

#[test]
#[ignore = "make test-mesh: it needs istiod"]
fn headers_are_held_by_an_envoy_filter_and_keys_come_from_the_environment() {
    let gateway = Gateway::start("holds");
    gateway.provider.answer_always(answers("Hello"));
    let keys = json!([{"name": "key", "api_key": {
        "header": "x-agent-key", "keys": [{"env": "MESH_TEST_KEY", "client": "acme"}],
    }}]);
    let keyed = with(strict(), json!({"principals": keys, "require": "identity"}));
    let key = |request: Request| request.header("x-agent-key", KEY);
    for (kind, policy) in [
        ("EnvoyFilter", in_mode(&keyed, Mode::Hold)),
        ("WasmPlugin", keyed.clone()),
    ] {
        let manifests = gateway.built(&policy, &[]);
        let begins =
            format!("\nkind: {kind}\nmetadata: {{ name: agentguard, namespace: holds }}\n");
        assert!(manifests.contains(&begins), "{manifests}");
        cluster().apply(&manifests);
        wait_for("the policy to be in force", || {
            (gateway.send(&key(forbidden())).status == 400).then_some(())
        });
        assert_eq!(gateway.send(&hello()).status, 401);
        assert_eq!(gateway.send(&key(hello())).status, 200);
        assert_eq!(gateway.proxy.findings(&gateway.listener()), [""; 0]);
        let before = gateway.provider.count();
        assert_eq!(gateway.send(&key(forbidden())).status, 400);
        assert_eq!(gateway.send(&key(hello())).status, 200);
        let whole = gateway.provider.whole(before);
        assert_eq!(whole.ended, Ended::Whole);
        if kind == "EnvoyFilter" {
            // The headers of the denied request were not forwarded.
            assert_eq!(gateway.provider.count(), before + 1);
        }
        let delete = ["delete", "-f", "-"];
        succeed(&mut cluster().kubectl(&delete), &manifests);
        wait_for("it to be gone", || {
            (gateway.send(&forbidden()).status == 200).then_some(())
        });
    }
}

#[test]
#[ignore = "make test-mesh: it needs istiod"]
fn the_peer_of_a_sidecar_with_strict_mtls_reaches_the_rules() {
    let cluster = cluster();
    cluster.create("tools", "server");
    let (port, provider) = (free_port(), Provider::start());
    provider.answer_always(answers("Hello"));
    let resource = |api: &str, kind: &str, spec: Value| json!({"apiVersion": api, "kind": kind, "metadata": {"name": "tools", "namespace": "tools"}, "spec": spec});
    cluster.apply_all(&[
        resource("networking.istio.io/v1", "Sidecar", json!({
            "workloadSelector": {"labels": {"app": "tools"}},
            "ingress": [{
                "port": {"number": port, "protocol": "HTTP", "name": "http"}, "bind": "127.0.0.1", "captureMode": "NONE",
                "defaultEndpoint": format!("127.0.0.1:{}", provider.address.port()),
            }],
            "egress": [{"hosts": ["./*"]}],
        })),
        resource("security.istio.io/v1", "PeerAuthentication", json!({"mtls": {"mode": "STRICT"}})),
    ]);
    let mesh_source =
        json!([{"name": "mesh", "mtls": {"uri_san": "spiffe://*/ns/{tenant}/sa/{agent}"}}]);
    let only_bots = json!([{
        "id": "no-guests",
        "match": {"event": "request"},
        "when": {"principal.tenant": {"equals": "guests"}},
        "action": "deny",
        "reason": "Guests may not.",
    }]);
    let policy = with(
        named("peers", only_bots),
        json!({"principals": mesh_source, "require": "identity"}),
    );
    cluster.apply(&built(
        &policy,
        "istio",
        &[
            "--namespace",
            "tools",
            "--selector",
            "app=tools",
            "--context",
            "inbound",
            "--image",
            &cluster.image,
        ],
    ));
    let sidecar = Proxy::start("sidecar", "tools", "tools", "server");
    wait_for("the sidecar to listen", || {
        Raw::connect(SocketAddr::from(([127, 0, 0, 1], port))).ok()
    });
    for (namespace, expected) in [("bots", 200), ("guests", 400)] {
        let gateway = Gateway::start(namespace);
        let to_sidecar = |kind: &str, spec: Value| {
            json!({"apiVersion": "networking.istio.io/v1", "kind": kind,
                   "metadata": {"name": "agents", "namespace": namespace}, "spec": spec})
        };
        let host = format!("provider.{namespace}.example");
        cluster.apply_all(&[
            to_sidecar("ServiceEntry", json!({
                "hosts": [host], "resolution": "STATIC", "exportTo": ["."],
                "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
                "endpoints": [{"address": "127.0.0.1", "ports": {"http": port}}],
            })),
            to_sidecar("DestinationRule", json!({"host": host, "trafficPolicy": {"tls": {
                "mode": "ISTIO_MUTUAL", "subjectAltNames": ["spiffe://cluster.local/ns/tools/sa/server"],
            }}})),
        ]);
        // Before that, the gateway's own provider responds.
        let seen = || {
            let records = sidecar.records();
            let mut records = records.iter();
            records.any(|record| record["principal"]["tenant"] == namespace)
        };
        wait_for("the policy of the sidecar", || {
            (gateway.send(&hello()).status == expected && seen()).then_some(())
        });
    }
    let records = sidecar.records();
    let mut bots = records
        .iter()
        .filter(|record| record["principal"]["tenant"] == "bots");
    assert_eq!(
        bots.next().map(|record| &record["principal"]),
        Some(&json!({
            "id": "spiffe://cluster.local/ns/bots/sa/gateway", "agent": "gateway", "tenant": "bots", "via": "mesh",
        }))
    );
    // Without a certificate no request is accepted.
    let mut plain = Raw::connect(SocketAddr::from(([127, 0, 0, 1], port))).expect("a listener");
    plain.send(&hello().bytes());
    assert!(plain.response().is_none());
}

#[test]
#[ignore = "make test-mesh: it needs the API of Kubernetes"]
fn a_large_policy_is_applied_as_the_file_says() {
    let names: Vec<String> = (0..30_000).map(|at| format!("tool_{at:06}")).collect();
    let rule = json!({"id": "many", "match": {"tool": names}, "action": "deny", "reason": "x"});
    let cluster = cluster();
    cluster.create("large", "gateway");
    let manifests = built_for("large", &named("large", json!([rule])), &[]);
    assert!(manifests.contains("kubectl apply --server-side -f FILE"));
    cluster.apply(&manifests);
    let arguments = [
        "get",
        "wasmplugin",
        "agentguard",
        "-n",
        "large",
        "-o",
        "json",
    ];
    let stored = succeed(&mut cluster.kubectl(&arguments), "");
    let stored: Value = serde_json::from_str(&stored).expect("JSON");
    assert_eq!(stored["spec"]["pluginConfig"]["metadata"]["name"], "large");
    let refused = super::cluster::run(&mut cluster.kubectl(&["apply", "-f", "-"]), &manifests);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("Too long"), "{said}");
}
