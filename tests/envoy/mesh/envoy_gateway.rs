//! Gateways of Envoy Gateway's controller, with manifests of `agentguard build --for envoy-gateway`.

use super::cluster::{agentguard, cluster};
use super::controller::{Gateway, Routes, is_condition, resource};
use super::istio::{hello, meanwhile, misspelt, named, strict};
use super::istiod::built;
use crate::identity::forge::{self, Authority, Folder, Signer};
use crate::scene::{Mode, answers, calls, completion, forbidden, in_mode, no_weapons, says, with};
use harness::{Answer, Ended, Gate, Request, Setup, Site, Version, check, wait_for};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Builds a policy for the Gateway of a namespace.
#[track_caller]
fn built_for(namespace: &str, policy: &Value, options: &[&str]) -> String {
    let common = ["--namespace", namespace, "--gateway", "agents"];
    let mut options = [&common[..], options].concat();
    if !options.contains(&"--image") {
        options.extend(["--image", &cluster().image]);
    }
    built(policy, "envoy-gateway", &options)
}

/// Builds and applies a policy.
#[track_caller]
fn apply(gateway: &Gateway, policy: &Value, options: &[&str]) {
    cluster().apply(&built_for(&gateway.routes.namespace, policy, options));
}

/// Starts a Gateway with a policy.
fn start(namespace: &str, policy: &Value, options: &[&str]) -> Gateway {
    let routes = Routes::new(namespace);
    routes.provider.answer_always(answers("Hello"));
    cluster().apply(&built_for(namespace, policy, options));
    routes.start(&[]).listens()
}

fn in_force(gateway: &Gateway) {
    wait_for("the policy to be in force", || {
        (gateway.send(&forbidden()).status == 400).then_some(())
    });
}

#[test]
#[ignore = "make test-mesh: it needs Envoy Gateway's controller"]
fn a_folder_of_init_filters_audits_and_counts() {
    let routes = Routes::new("init");
    let folder = Folder::new("init");
    let guard = format!("{}/guard", folder.root());
    let init = [
        "init",
        &guard,
        "--for",
        "envoy-gateway",
        "--gateway",
        "agents",
    ];
    let more = ["--namespace", "init", "--image", &cluster().image];
    let done = agentguard(&[&init[..], &more].concat());
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let manifests = std::fs::read_to_string(format!("{guard}/agentguard.yaml")).expect("a file");
    cluster().apply(&manifests);
    let gateway = routes.start(&[]).listens();
    let provider = &gateway.routes.provider;
    let policies = "envoyextensionpolicy,clienttrafficpolicy,backendtrafficpolicy";
    let accepted = resource(&[policies, "-n", "init"]);
    let accepted = accepted["items"].as_array().expect("policies");
    assert_eq!(accepted.len(), 3);
    for policy in accepted {
        let status = &policy["status"]["ancestors"][0];
        assert!(is_condition(status, "Accepted"), "{policy}");
    }

    provider.answer_always(answers("Hello"));
    let card = Request::chat(says("my card is 4111 1111 1111 1111"));
    assert_eq!(gateway.send(&card).status, 200);
    let text = String::from_utf8_lossy(&provider.whole(0).body).into_owned();
    assert!(
        text.contains("my card is") && !text.contains("4111"),
        "{text}"
    );
    let pro = json!({"model": "gpt-9-pro", "messages": [{"role": "user", "content": "hello"}]});
    let denied = gateway.send(&Request::chat(pro.to_string()));
    assert_eq!(denied.status, 400);
    assert_eq!(denied.header("x-agentguard-code"), Some("AG3001"));
    // The request's headers may have been forwarded, but not its body.
    let arrived = provider.received();
    assert!(
        arrived
            .iter()
            .skip(1)
            .all(|request| request.ended != Ended::Whole)
    );
    provider.answer_always(calls(&[("delete_customer", "{}")]));
    let denied = String::from_utf8_lossy(&gateway.send(&hello()).body).into_owned();
    assert!(denied.contains("GDPR"), "{denied}");
    // Larger than the 32 KiB that Envoy Gateway buffers by default.
    provider.answer_always(answers(&"many words ".repeat(60_000)));
    let large = Request::chat(says(&"many words ".repeat(200_000)));
    let answered = gateway.send(&large);
    assert_eq!(answered.status, 200);
    let start: String = String::from_utf8_lossy(&answered.body)
        .chars()
        .take(500)
        .collect();
    assert!(answered.body.len() > 600_000, "{start}");

    let records = wait_for("the audit events", || {
        let records = gateway.records();
        (records.len() >= 4).then_some(records)
    });
    records.iter().for_each(check);
    let decisions: Vec<&Value> = records.iter().map(|record| &record["decision"]).collect();
    assert!(decisions.contains(&&json!("deny")), "{decisions:?}");
    // Labels, not parts of the names.
    wait_for("the metrics", || {
        let labels = [
            r#"model="gpt-4o""#,
            r#"client_id="anonymous""#,
            r#"status="allow""#,
        ];
        (gateway.metric("agentguard_requests_total", &labels) >= 1.0).then_some(())
    });
    let name = [r#"name="getting-started""#];
    assert_eq!(gateway.metric("agentguard_policy_info", &name), 1.0);
    let page = gateway.page("/stats/prometheus");
    let unlabelled = page.lines().find(|line| line.contains("___agentguard"));
    assert_eq!(unlabelled, None);
    assert_eq!(gateway.findings(), [""; 0]);
}

#[test]
#[ignore = "make test-mesh: it needs Envoy Gateway's controller"]
fn a_policy_is_replaced_under_load_and_a_bad_one_is_refused_or_never_serves() {
    let mut gateway = start("replaced", &strict(), &[]);
    let denied = gateway.send(&forbidden());
    assert_eq!(denied.header("x-agentguard-code"), Some("AG3001"));
    let created = || gateway.stat("wasm.envoy.wasm.runtime.v8.created");
    let before = created();
    let refused = || gateway.metric("agentguard_config_rejected_total", &[]);
    let statuses = meanwhile(
        || gateway.send(&hello()).status,
        || {
            apply(&gateway, &named("lenient", json!([])), &[]);
            wait_for("the lenient policy", || {
                (gateway.send(&forbidden()).status == 200).then_some(())
            });
            apply(&gateway, &strict(), &[]);
            in_force(&gateway);
            // Each change replaces the listener, with new virtual machines.
            assert!(created() >= before + 4);
            let rejected = gateway.stat("listener_manager.lds.update_rejected");
            let bad = built_for("replaced", &named("bad", json!([no_weapons()])), &[]);
            cluster().apply(&misspelt(&bad));
            wait_for("the bad policy to be refused", || {
                let rejects = gateway.stat("listener_manager.lds.update_rejected");
                (rejects > rejected && refused() >= 1.0).then_some(())
            });
            assert!(gateway.printed().contains("AG1007"));
            assert_eq!(gateway.send(&forbidden()).status, 400);
        },
    );
    assert!(statuses.len() > 10);
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    // Only Envoy knows that it rejected the policy.
    let policy = resource(&["envoyextensionpolicy", "agentguard", "-n", "replaced"]);
    assert!(is_condition(&policy["status"]["ancestors"][0], "Accepted"));

    // A proxy that starts with the bad policy denies everything until it is fixed.
    let received = gateway.routes.provider.count();
    gateway.restart();
    let gateway = gateway.listens();
    for _ in 0..8 {
        assert_eq!(gateway.send(&hello()).status, 503);
    }
    assert!(gateway.printed().contains("AG1007"));
    assert_eq!(gateway.routes.provider.count(), received);
    apply(&gateway, &strict(), &[]);
    in_force(&gateway);
    assert_eq!(gateway.send(&hello()).status, 200);
    assert_eq!(gateway.findings(), [""; 0]);

    // A policy of a route replaces the Gateway's: the route then has no filter, and `doctor` reports it.
    let own = json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "EnvoyExtensionPolicy",
        "metadata": {"name": "own", "namespace": "replaced"},
        "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "own"}],
            "lua": [{"type": "Inline", "inline": "function envoy_on_request(handle) end"}],
        },
    });
    cluster().apply_all(&[gateway.routes.route("own", "/own/v1"), own.clone()]);
    let elsewhere = forbidden().path("/own/v1/chat/completions");
    wait_for("the policy of the route", || {
        (gateway.send(&elsewhere).status == 200).then_some(())
    });
    assert_eq!(gateway.send(&forbidden()).status, 400);
    assert_eq!(gateway.findings(), ["AG6009"]);
    // Both policies, as in docs/kubernetes.md.
    let mut both = own;
    both["spec"]["mergeType"] = json!("StrategicMerge");
    cluster().apply_all(&[both]);
    wait_for("the policy of the Gateway on that route", || {
        (gateway.send(&elsewhere).status == 400).then_some(())
    });
    assert_eq!(gateway.findings(), [""; 0]);
}

#[test]
#[ignore = "make test-mesh: it needs Envoy Gateway's controller"]
fn a_module_that_cannot_be_downloaded_denies_everything() {
    let routes = Routes::new("absent");
    let manifests = built_for("absent", &strict(), &[]);
    let (name, _) = cluster().image.split_once('@').expect("a digest");
    cluster().apply(&manifests.replace(name, "127.0.0.1:1/agentguard:gone"));
    wait_for("the controller to refuse it", || {
        let policy = resource(&["envoyextensionpolicy", "agentguard", "-n", "absent"]);
        let status = &policy["status"]["ancestors"][0]["conditions"][0];
        (status["type"] == "Accepted" && status["status"] == "False").then_some(())
    });
    let gateway = routes.start(&[]).listens();
    assert_eq!(gateway.send(&hello()).status, 500);
    assert_eq!(gateway.routes.provider.count(), 0);
    cluster().apply(&manifests);
    in_force(&gateway);
}

#[test]
#[ignore = "make test-mesh: it needs Envoy Gateway's controller"]
fn tokens_and_certificates_that_envoy_gateway_verifies_reach_the_rules() {
    let (issuer, authority) = (Signer::new("issuer"), Authority::new("mesh"));
    let secret = |name: &str, files: Value| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "verified"},
               "type": "kubernetes.io/tls", "stringData": files})
    };
    let file = |name: &str| {
        let path = format!("{}/{name}", authority.folder().root());
        std::fs::read_to_string(path).expect("a file")
    };
    let tls = json!({"protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "server"}]}});
    let routes = Routes::with_listener("verified", tls);
    cluster().apply_all(&[
        secret("server", json!({"tls.crt": file("server.pem"), "tls.key": file("server.key")})),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "clients", "namespace": "verified"},
               "data": {"ca.crt": file("ca.pem")}}),
    ]);
    // A caller with a token of the issuer, and a certificate of an authority that the proxy trusts.
    let front = Setup::new(
        Version::Newest,
        vec![Site::bare("keys").tls(authority.server_context())],
    )
    .start();
    let keys = Answer::json(200, issuer.key_set().to_string().as_bytes());
    front.provider.answer_always(keys);
    let jwks = format!(
        "https://localhost:{}/keys",
        front.site("keys").address.port()
    );
    let principals = json!([
        {"name": "mesh", "mtls": {"uri_san": "spiffe://*/ns/{tenant}/sa/{agent}"}},
        {"name": "user", "jwt": {"payload": "people", "id": "sub"}},
    ]);
    let no_guests = json!([
        {"id": "no-guests", "match": {"event": "request"}, "when": {"principal.tenant": {"equals": "guests"}},
         "action": "deny", "reason": "Guests may not."},
        {"id": "no-eve", "match": {"event": "request"}, "when": {"principal.id": {"equals": "eve"}},
         "action": "deny", "reason": "Eve may not."},
    ]);
    let policy = with(
        named("verified", no_guests),
        json!({"principals": principals, "require": "identity"}),
    );
    let options = |more: &[&'static str]| {
        let jwt = ["--jwt-issuer", "https://login.example.com", "--jwks", &jwks].map(str::to_owned);
        let mut options = jwt.to_vec();
        options.extend(more.iter().map(|word| (*word).to_owned()));
        options
    };
    let manifests = |more: &[&'static str]| {
        let options = options(more);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        built_for("verified", &policy, &options)
    };
    cluster().apply(&manifests(&["--client-ca", "clients"]));
    let authorities = PathBuf::from(authority.folder().root()).join("ca.pem");
    let bundle = "/etc/ssl/certs/ca-certificates.crt".to_owned();
    let gateway = routes.start(&[(authorities, bundle)]).listens();
    gateway.routes.provider.answer_always(answers("Hello"));
    let claims = |subject: &str| json!({"iss": "https://login.example.com", "sub": subject, "exp": 4_000_000_000_u64});
    let with_token = |subject: &str| {
        hello().header(
            "authorization",
            format!("Bearer {}", issuer.token(&claims(subject))),
        )
    };
    let bot = authority.certificate("bot", "URI:spiffe://td/ns/bots/sa/runner");
    let guest = authority.certificate("guest", "URI:spiffe://td/ns/guests/sa/runner");
    let stranger =
        Authority::new("stranger").certificate("bot", "URI:spiffe://td/ns/bots/sa/runner");
    let ask = |certificate, request: &Request| {
        forge::send(gateway.address(), &authority, certificate, request)
    };
    wait_for("the issuer's keys", || {
        (ask(Some(&bot), &with_token("ann")) == Some(200)).then_some(())
    });
    let forged = Signer::new("other").token(&claims("ann"));
    let forged = hello().header("authorization", format!("Bearer {forged}"));
    for (name, certificate, request, expected) in [
        (
            "a denied workload",
            Some(&guest),
            with_token("ann"),
            Some(400),
        ),
        ("no token", Some(&bot), hello(), Some(401)),
        ("a forged token", Some(&bot), forged, Some(401)),
        ("no certificate", None, with_token("ann"), None),
        (
            "another authority's",
            Some(&stranger),
            with_token("ann"),
            None,
        ),
    ] {
        assert_eq!(ask(certificate, &request), expected, "{name}");
    }
    let records = gateway.records();
    let bots = records
        .iter()
        .find(|record| record["principal"]["tenant"] == "bots");
    let principal = &bots.expect("an audit event")["principal"];
    assert_eq!(principal["agent"], "runner", "{principal}");
    // With a token only.
    let policy = manifests(&[]);
    cluster().apply(&policy);
    wait_for("certificates not to be asked for", || {
        (ask(None, &with_token("ann")) == Some(200)).then_some(())
    });
    assert_eq!(ask(None, &with_token("eve")), Some(400));
}

/// Returns a response in two pieces, of which the second waits for the gate.
fn slow(gate: &Gate) -> Answer {
    let message = json!({"role": "assistant", "content": "Hello", "refusal": null});
    let body = completion(message, "stop");
    let (first, second) = body.split_at(20);
    Answer::chunked(200, &[("content-type", "application/json")])
        .chunk(first)
        .wait(gate)
        .chunk(second)
        .end()
}

#[test]
#[ignore = "make test-mesh: it needs Envoy Gateway's controller"]
fn a_watched_policy_holds_headers_and_changes_without_touching_the_listener() {
    let routes = Routes::new("watched");
    let held = |policy: &Value| in_mode(policy, Mode::Hold);
    let built = |policy: &Value, more: &[&str]| {
        built_for(
            "watched",
            &held(policy),
            &[&["--kind", "EnvoyPatchPolicy"], more].concat(),
        )
    };
    // A listener that the Gateway does not have: the status reports it, and so does `doctor`.
    cluster().apply(&built(&strict(), &["--listener", "https"]));
    let mut gateway = routes.start(&[]).listens();
    gateway.routes.provider.answer_always(answers("Hello"));
    let status = || {
        let policy = resource(&["envoypatchpolicy", "agentguard", "-n", "watched"]);
        is_condition(&policy["status"]["ancestors"][0], "Programmed")
    };
    assert!(!status());
    assert_eq!(gateway.send(&forbidden()).status, 200);
    assert_eq!(gateway.findings(), ["AG6001"]);

    cluster().apply(&built(&strict(), &[]));
    in_force(&gateway);
    wait_for("the status", || status().then_some(()));
    assert_eq!(gateway.findings(), [""; 0]);
    let before = gateway.routes.provider.count();
    assert_eq!(gateway.send(&forbidden()).status, 400);
    assert_eq!(gateway.send(&hello()).status, 200);
    // The headers of the denied request were not forwarded.
    assert_eq!(gateway.routes.provider.count(), before + 1);
    wait_for("the metrics", || {
        let labels = [r#"model="gpt-4o""#, r#"status="deny""#];
        (gateway.metric("agentguard_requests_total", &labels) >= 1.0).then_some(())
    });

    let updates = || gateway.stat("listener_manager.lds.update_success");
    let (updated, created) = (
        updates(),
        gateway.stat("wasm.envoy.wasm.runtime.v8.created"),
    );
    let gate = Gate::default();
    gateway.routes.provider.answer_next(slow(&gate));
    std::thread::scope(|scope| {
        let stream = scope.spawn(|| gateway.send(&hello()));
        wait_for("the stream", || {
            (gateway.routes.provider.count() > before + 1).then_some(())
        });
        let statuses = meanwhile(
            || gateway.send(&hello()).status,
            || {
                cluster().apply(&built(&named("lenient", json!([])), &[]));
                gateway.mount_volumes();
                wait_for("the lenient policy", || {
                    (gateway.send(&forbidden()).status == 200).then_some(())
                });
                cluster().apply(&built(&strict(), &[]));
                gateway.mount_volumes();
                in_force(&gateway);
                cluster().apply(&misspelt(&built(&strict(), &[])));
                gateway.mount_volumes();
                wait_for("the bad policy to be refused", || {
                    let refused = gateway.metric("agentguard_config_rejected_total", &[]);
                    (refused >= 1.0).then_some(())
                });
                assert_eq!(gateway.send(&forbidden()).status, 400);
            },
        );
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
        gate.open();
        assert_eq!(stream.join().expect("the stream").status, 200);
    });
    assert_eq!(updates(), updated);
    // The virtual machines are kept. Each new policy is tried in one of its own.
    assert!(gateway.stat("wasm.envoy.wasm.runtime.v8.created") <= created + 3);
    // A proxy that starts with the bad policy responds with 500 until it is fixed.
    gateway.restart();
    let gateway = gateway.listens();
    assert_eq!(gateway.send(&hello()).status, 500);
    cluster().apply(&built(&strict(), &[]));
    gateway.mount_volumes();
    in_force(&gateway);
}

#[test]
#[ignore = "make test-mesh: it needs Envoy Gateway's controller"]
fn the_native_module_comes_in_an_image_and_filters_in_both_ways() {
    let routes = Routes::new("native");
    let name = "libagentguard.so";
    let image = cluster().push(&harness::native(), name, "native");
    let module = format!("/agentguard/module/{name}");
    let built = |policy: &Value, kind: &str| {
        let options = ["--host", "native", "--module", &module, "--kind", kind];
        built_for(
            "native",
            policy,
            &[&options[..], &["--image", &image]].concat(),
        )
    };
    let policy = in_mode(&strict(), Mode::Hold);
    cluster().apply(&built(&policy, "EnvoyExtensionPolicy"));
    let gateway = routes.start(&[]).listens();
    gateway.routes.provider.answer_always(answers("Hello"));
    in_force(&gateway);
    let accepted = resource(&["envoyextensionpolicy", "agentguard", "-n", "native"]);
    assert!(is_condition(
        &accepted["status"]["ancestors"][0],
        "Accepted"
    ));
    let before = gateway.routes.provider.count();
    assert_eq!(gateway.send(&forbidden()).status, 400);
    let card = Request::chat(says("my card is 4111 1111 1111 1111"));
    assert_eq!(gateway.send(&card).status, 200);
    assert_eq!(gateway.routes.provider.count(), before + 1);
    let text = String::from_utf8_lossy(&gateway.routes.provider.whole(before).body).into_owned();
    assert!(!text.contains("4111"), "{text}");
    wait_for("the metrics", || {
        let labels = [
            r#"model="gpt-4o""#,
            r#"client_id="anonymous""#,
            r#"status="deny""#,
        ];
        (gateway.metric("agentguard_requests_total", &labels) >= 1.0).then_some(())
    });
    wait_for("the audit events", || {
        (gateway.records().len() >= 3).then_some(())
    });
    gateway.records().iter().for_each(check);
    assert_eq!(gateway.findings(), [""; 0]);
    assert_eq!(gateway.stat("wasm.envoy.wasm.runtime.v8.created"), 0);
    let statuses = meanwhile(
        || gateway.send(&hello()).status,
        || {
            cluster().apply(&built(&named("lenient", json!([])), "EnvoyExtensionPolicy"));
            wait_for("the lenient policy", || {
                (gateway.send(&forbidden()).status == 200).then_some(())
            });
            cluster().apply(&built(&policy, "EnvoyExtensionPolicy"));
            in_force(&gateway);
            let bad = misspelt(&built(&policy, "EnvoyExtensionPolicy"));
            cluster().apply(&bad);
            wait_for("the bad policy to be refused", || {
                gateway.printed().contains("AG1007").then_some(())
            });
            assert_eq!(gateway.send(&forbidden()).status, 400);
        },
    );
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    drop(gateway);

    // A policy in a file that the proxy watches.
    let routes = Routes::new("native-watched");
    let options = [
        "--host",
        "native",
        "--module",
        &module,
        "--kind",
        "EnvoyPatchPolicy",
    ];
    let watched = |policy: &Value| {
        built_for(
            "native-watched",
            policy,
            &[&options[..], &["--image", &image]].concat(),
        )
    };
    // For one that reads tokens, another filter is added as well, before this one.
    let reads_tokens = json!({
        "principals": [{"name": "user", "jwt": {"payload": "people", "id": "sub"}}], "require": "none",
    });
    cluster().apply(&watched(&with(policy, reads_tokens)));
    let gateway = routes.start(&[]).listens();
    gateway.routes.provider.answer_always(answers("Hello"));
    in_force(&gateway);
    cluster().apply(&watched(&named("lenient", json!([]))));
    gateway.mount_volumes();
    wait_for("the lenient policy", || {
        (gateway.send(&forbidden()).status == 200).then_some(())
    });
    assert_eq!(gateway.findings(), [""; 0]);
}
