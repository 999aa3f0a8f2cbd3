//! Identity of the caller: from a request's credentials to the decision, the audit event, the metrics and the headers
//! for the upstream.

use super::simulation::{Caller, run_as};
use super::*;
use crate::proxy::{MemoryProperties, Properties};

pub(super) const KEY: &str = "agk_0123456789abcdef";
pub(super) const BETA: &str = "agk_fedcba9876543210";

fn hash(key: &str) -> String {
    crate::wire::hex::encode(&crate::policy::digest(key.as_bytes()))
}

pub(super) fn sources() -> String {
    format!(
        r#"principals:
  - name: key
    api_key:
      header: x-agent-key
      keys:
        - {{ sha256: {}, client: acme, agent: bot, tenant: a, roles: [sre], environment: staging }}
        - {{ sha256: {}, client: beta, tenant: b }}
        - {{ sha256: {}, client: old, not_after: 2020-01-01T00:00:00Z }}
"#,
        hash(KEY),
        hash(BETA),
        hash("expired")
    )
}

fn asking(headers: &[(&str, &str)]) -> HttpMessage {
    let mut request = chat_request(&says("hi"));
    for (name, value) in headers {
        request
            .headers
            .push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    }
    request
}

fn ask(policy: &str, headers: &[(&str, &str)]) -> SimulatedResult {
    let guard = guard(&format!("{}{policy}", sources()));
    exchange(&guard, &asking(headers), hello())
}

const OPEN: &str = "require: none\ndefaults: { action: allow }\n";
const CLOSED: &str = "require: identity\ndefaults: { action: allow }\n";

#[test]
fn a_request_without_credential_gets_401() {
    let seen = ask(CLOSED, &[]);
    assert_eq!(seen.client.status(), Some(401));
    assert_eq!(
        seen.client.header("www-authenticate"),
        Some(&br#"ApiKey realm="agentguard", header="x-agent-key""#[..])
    );
    let error = &client_json(&seen)["error"];
    assert_eq!(error["message"], "Authentication required.");
    assert_eq!(error["agentguard"]["code"], "AG4001");
    assert!(seen.upstream.is_none());
    let record = record(&seen);
    assert_eq!(record["code"], "AG4001");
    assert_eq!(
        record["authentication"],
        json!({"source": "none", "reason": "missing"})
    );
    let failures = (
        "agentguard_authentication_failures_total",
        ["none", "missing"],
    );
    let counted = seen.counts.iter().find(|(name, ..)| *name == failures.0);
    assert_eq!(counted.unwrap().1, failures.1);
    assert_eq!(ask(OPEN, &[]).client.status(), Some(200));
}

#[test]
fn a_known_key_names_its_caller_in_the_audit_event_and_the_metrics() {
    let seen = ask(CLOSED, &[("x-agent-key", KEY)]);
    assert_eq!(seen.client.status(), Some(200));
    let record = record(&seen);
    assert_eq!(
        record["principal"],
        json!({"agent": "bot", "client": "acme", "tenant": "a", "roles": ["sre"], "via": "key"})
    );
    assert_eq!(record["authentication"], Value::Null);
    for (name, values, _) in &seen.counts {
        if *name == "agentguard_requests_total" {
            assert_eq!(values[3], "acme");
        }
        assert_ne!(*name, "agentguard_authentication_failures_total");
    }
    let upstream = seen.upstream.unwrap();
    assert_eq!(
        upstream.header("x-agent-key"),
        None,
        "our key went upstream"
    );
    assert!(!String::from_utf8_lossy(&seen.finished.line).contains(KEY));
}

#[test]
fn an_invalid_key_is_denied_even_if_none_is_required() {
    for (key, reason) in [("sk-strange", "unknown"), ("expired", "expired")] {
        let seen = ask(OPEN, &[("x-agent-key", key)]);
        assert_eq!(seen.client.status(), Some(401), "{key}");
        let said = client_json(&seen)["error"].clone();
        assert_eq!(said["agentguard"]["code"], "AG4002");
        let body = String::from_utf8(seen.client.body()).unwrap();
        assert!(!body.contains(reason), "the caller learns why: {body}");
        let record = record(&seen);
        assert_eq!(record["authentication"]["source"], "key");
        assert_eq!(record["authentication"]["reason"], reason);
        assert_eq!(record["principal"], Value::Null);
    }
}

#[test]
fn the_denial_is_the_same_for_every_invalid_credential() {
    let bodies: Vec<Value> = ["sk-strange", "expired", "a, b"]
        .into_iter()
        .map(|key| client_json(&ask(CLOSED, &[("x-agent-key", key)])))
        .collect();
    assert!(
        bodies.windows(2).all(|pair| pair[0] == pair[1]),
        "{bodies:?}"
    );
}

#[test]
fn in_observe_mode_nothing_is_denied_and_still_no_key_goes_upstream() {
    for key in ["expired", "sk-strange", KEY] {
        let seen = ask(&format!("mode: observe\n{CLOSED}"), &[("x-agent-key", key)]);
        assert_eq!(seen.client.status(), Some(200), "{key}");
        let record = record(&seen);
        let is_valid = key == KEY;
        assert_eq!(
            record["would"],
            if is_valid { Value::Null } else { json!("deny") }
        );
        assert_eq!(record["principal"].is_object(), is_valid);
        let upstream = seen.upstream.unwrap();
        // A header with a foreign key is not changed.
        let left = (key == "sk-strange").then_some(key.as_bytes());
        assert_eq!(upstream.header("x-agent-key"), left, "{key}");
    }
}

#[test]
fn no_key_of_the_policy_goes_upstream_where_it_does_not_apply() {
    let policy = format!("applies_to: {{ paths: [/elsewhere/*] }}\n{OPEN}");
    let seen = ask(&policy, &[("x-agent-key", KEY), ("x-other", "1")]);
    assert_eq!(record(&seen)["coverage"]["level"], "ignored");
    assert_eq!(record(&seen)["authentication"], Value::Null);
    let upstream = seen.upstream.unwrap();
    assert_eq!(upstream.header("x-agent-key"), None);
    assert_eq!(upstream.header("x-other"), Some(&b"1"[..]));
    let seen = ask(&policy, &[("x-agent-key", "of-another-application")]);
    assert_eq!(seen.client.status(), Some(200));
    assert!(seen.upstream.unwrap().header("x-agent-key").is_some());
}

#[test]
fn a_key_in_the_url_is_denied_and_in_observe_mode_removed() {
    let in_url = |policy: &str| {
        let guard = guard(&format!("{}{policy}", sources()));
        let mut request = asking(&[]);
        request.headers[1].1 = format!("/v1/chat/completions?key={KEY}&a=1").into_bytes();
        exchange(&guard, &request, hello())
    };
    let seen = in_url(OPEN);
    assert_eq!(seen.client.status(), Some(401));
    assert_eq!(record(&seen)["authentication"]["reason"], "in_url");
    let seen = in_url(&format!("mode: observe\n{OPEN}"));
    assert_eq!(
        seen.upstream.unwrap().header(":path"),
        Some(&b"/v1/chat/completions?a=1"[..])
    );
}

#[test]
fn rules_evaluate_the_caller() {
    let rules = r#"rules:
  - { id: sre-only, match: { event: request }, unless: { principal.roles: sre }, action: deny }
"#;
    let policy = format!("{CLOSED}{rules}");
    assert_eq!(
        ask(&policy, &[("x-agent-key", KEY)]).client.status(),
        Some(200)
    );
    let denied = ask(&policy, &[("x-agent-key", BETA)]);
    assert_eq!(record(&denied)["rules"][0]["id"], "sre-only");
    let two_lines = r#"lists: { models: { acme: ["gpt-*"], beta: ["claude-*"] } }
rules:
  - { id: models, match: { event: request }, when: { model: { glob: { list: models, key: principal.client } } }, action: allow }
"#;
    let policy =
        format!("require: identity\ndefaults: {{ action: allow, request: deny }}\n{two_lines}");
    assert_eq!(
        ask(&policy, &[("x-agent-key", KEY)]).client.status(),
        Some(200)
    );
    assert_eq!(
        ask(&policy, &[("x-agent-key", BETA)]).client.status(),
        Some(400)
    );
}

#[test]
fn a_document_applies_to_its_own_tenant() {
    let set = format!(
        r#"require: identity
{}
policies:
  - metadata: {{ name: a }}
    for: {{ tenant: a }}
    defaults: {{ action: allow }}
  - metadata: {{ name: b }}
    for: {{ tenant: b }}
    defaults: {{ action: deny, tool_call: allow }}
"#,
        sources()
    );
    let guard = guard_of(&format!(
        "apiVersion: agentguard.dev/v1\nkind: AgentPolicySet\nmetadata: {{ name: all }}\n{set}"
    ));
    let ask = |key| exchange(&guard, &asking(&[("x-agent-key", key)]), hello());
    assert_eq!(ask(KEY).client.status(), Some(200));
    assert_eq!(record(&ask(BETA))["code"], "AG3002");
}

#[test]
fn the_environment_is_that_of_the_principal() {
    let rules = r#"environment: { from: principal, otherwise: prod }
rules: [{ id: no-prod, match: { event: request, environment: prod }, action: deny }]
"#;
    let policy = format!("{CLOSED}{rules}");
    assert_eq!(
        ask(&policy, &[("x-agent-key", KEY)]).client.status(),
        Some(200)
    );
    assert_eq!(
        ask(&policy, &[("x-agent-key", BETA)]).client.status(),
        Some(400)
    );
}

#[test]
fn an_unreadable_member_is_resolved_toward_denial() {
    let policy = |rules: &str| {
        guard(&format!(
            "require: identity
principals: [{{ name: edge, header: {{ id: x-user, environment: x-env, claims: {{ groups: x-groups }}, trusted: [10.0.0.0/8] }} }}]
defaults: {{ action: allow }}
{rules}"
        ))
    };
    let ask = |guard: &Rc<Guard>, groups: usize| {
        let caller = Caller {
            properties: MemoryProperties::default().with(&["source", "address"], "10.0.0.1:1"),
            ..Caller::default()
        };
        let groups = "staff,".repeat(groups) + "suspended";
        let request = asking(&[("x-user", "ann"), ("x-groups", &groups)]);
        let seen = run_as(&caller, guard, &request, |_| hello(), NOW, None);
        record(&seen)["code"].clone()
    };
    let denied = policy(
        "rules: [{ id: suspended, match: { event: request }, when: { principal.groups: suspended }, action: deny }]",
    );
    let in_group = policy(
        "rules: [{ id: staff, match: { event: request }, unless: { principal.groups: staff }, action: deny }]",
    );
    assert_eq!(ask(&denied, 3), "AG3001");
    assert_eq!(ask(&in_group, 3), Value::Null);
    for guard in [denied, in_group] {
        assert_eq!(ask(&guard, 300), "AG3001");
    }
}

#[test]
fn an_unreadable_environment_is_resolved_toward_denial() {
    let token = |environment: Value| {
        let mut token = MemoryProperties::default();
        token.extend(MemoryProperties::of_json(
            &serde_json::json!({"metadata": {"filter_metadata": {
                "envoy.filters.http.jwt_authn": {"jwt": {"sub": "ann", "env": environment}},
            }}}),
        ));
        token
    };
    let guard = guard(
        "require: identity
principals: [{ name: user, jwt: { payload: jwt, id: sub, environment: env } }]
environment: { from: principal, otherwise: dev }
defaults: { action: allow }
rules: [{ id: no-prod, match: { event: request, environment: prod }, action: deny }]",
    );
    for (environment, is_denied) in [
        (serde_json::json!("prod"), true),
        (serde_json::json!("dev"), false),
        (serde_json::json!(""), false),
        // Envoy doesn't tell a null from a list with one.
        (Value::Null, true),
        (serde_json::json!(7), true),
        // Which of two applies is not known.
        (serde_json::json!(["dev", "prod"]), true),
        (serde_json::json!(["dev"]), false),
    ] {
        let caller = Caller {
            properties: token(environment.clone()),
            ..Caller::default()
        };
        let seen = run_as(&caller, &guard, &asking(&[]), |_| hello(), NOW, None);
        assert_eq!(
            record(&seen)["code"] == "AG3001",
            is_denied,
            "{environment}"
        );
    }
}

#[test]
fn headers_of_an_untrusted_peer_are_removed() {
    let policy = "require: identity
principals: [{ name: edge, header: { id: x-user, trusted: [10.0.0.0/8] } }]
defaults: { action: allow }
";
    let ask = |policy: &str, peer: &str| {
        let caller = Caller {
            properties: MemoryProperties::default().with(&["source", "address"], peer),
            ..Caller::default()
        };
        let request = asking(&[("x-user", "root")]);
        run_as(&caller, &guard(policy), &request, |_| hello(), NOW, None)
    };
    let seen = ask(policy, "10.0.0.7:4000");
    assert_eq!(
        record(&seen)["principal"],
        json!({"id": "root", "via": "edge"})
    );
    assert!(seen.upstream.unwrap().header("x-user").is_some());
    assert_eq!(ask(policy, "192.0.2.1:4000").client.status(), Some(401));
    for policy in [
        policy.replace("identity", "none"),
        format!("mode: observe\n{policy}"),
    ] {
        let seen = ask(&policy, "192.0.2.1:4000");
        assert_eq!(seen.client.status(), Some(200));
        assert_eq!(seen.upstream.unwrap().header("x-user"), None);
    }
}

#[test]
fn the_principal_can_be_given_directly() {
    let guard = guard(&format!("{}{CLOSED}", sources()));
    let caller = Caller {
        principal: Some(crate::policy::default_principal()),
        ..Caller::default()
    };
    let seen = run_as(&caller, &guard, &asking(&[]), |_| hello(), NOW, None);
    assert_eq!(seen.client.status(), Some(200));
}

#[test]
fn rules_evaluate_the_region() {
    let policy = guard(
        "require: none
defaults: { action: allow }
rules: [{ id: eu-only, match: { event: request }, when: { request.region: { exists: true, not_in: [eu-central-1] } }, action: deny }]
",
    );
    for (host, status) in [
        ("bedrock-runtime.eu-central-1.amazonaws.com", 200),
        ("bedrock-runtime.us-east-1.amazonaws.com", 400),
        ("models.internal", 400),
    ] {
        let mut request =
            chat_request(br#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#);
        request.headers[1].1 = b"/model/amazon.nova-lite-v1:0/converse".to_vec();
        request.headers[2].1 = host.as_bytes().to_vec();
        let seen = exchange(&policy, &request, hello());
        assert_eq!(seen.client.status(), Some(status), "{host}");
    }
    // An inference profile may leave the host's region, whether it is named in the path or in the body.
    let frankfurt = "bedrock-runtime.eu-central-1.amazonaws.com";
    let body = |model: &str| {
        format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#)
    };
    for (model, status) in [
        ("openai.gpt-oss-20b-1:0", 200),
        ("global.openai.gpt-oss-20b-1:0", 400),
    ] {
        let mut request = chat_request(body(model).as_bytes());
        request.headers[1].1 = b"/openai/v1/chat/completions".to_vec();
        request.headers[2].1 = frankfurt.into();
        let seen = exchange(&policy, &request, hello());
        assert_eq!(seen.client.status(), Some(status), "{model}");
    }
}

#[test]
fn what_may_not_go_upstream_as_a_header_may_not_as_a_trailer() {
    let edge =
        "  - name: edge\n    header: { id: x-user, roles: x-roles, trusted: [10.0.0.0/8] }\n";
    let trailers: [(&[u8], &[u8]); 9] = [
        (b"x-user", b"root"),
        (b"x_roles", b"admin"),
        (b"x-agentguard-approval", b"agat1.x"),
        (b"x_agentguard_tags", b"checked"),
        (b"x-agent-key", KEY.as_bytes()),
        (b"authorization", b"Bearer agk_0123456789abcdef"),
        (b"x-api-key", b"of somebody else"),
        (b"grpc-status", b"0"),
        (b"x-check", b"1"),
    ];
    for (applies_to, removed) in [
        (
            "",
            &[
                "x-user",
                "x_roles",
                "x-agent-key",
                "authorization",
                "x-agentguard-approval",
                "x_agentguard_tags",
            ][..],
        ),
        // Where the policy does not apply, callers are not identified, but the policy's keys are still removed.
        (
            "applies_to: { hosts: [elsewhere] }\n",
            &["x-agent-key", "authorization"],
        ),
    ] {
        let guard = guard(&format!("{}{edge}{applies_to}{OPEN}", sources()));
        let mut flow = Flow::new(guard);
        let _ = sends_head(&mut flow, &asking(&[]));
        let edits = flow.trailer_edits(&trailers);
        let names: Vec<HeaderEdit> = removed
            .iter()
            .map(|name| HeaderEdit::Remove((*name).into()))
            .collect();
        assert_eq!(edits, names, "{applies_to}");
    }
}

#[test]
fn the_filter_s_headers_from_an_upstream_are_no_trailers_of_a_response_either() {
    let trailers: [(&[u8], &[u8]); 4] = [
        (b"x-agentguard-decision", b"allow"),
        (b"x_agentguard_code", b"AG3001"),
        (b"grpc-status", b"0"),
        (b"x-agentguard", b"1"),
    ];
    for (applies_to, removed) in [
        ("", &["x-agentguard-decision", "x_agentguard_code"][..]),
        (
            "mode: observe\n",
            &["x-agentguard-decision", "x_agentguard_code"],
        ),
        ("applies_to: { hosts: [elsewhere] }\n", &[]),
    ] {
        let mut flow = Flow::new(guard(&format!("{}{applies_to}{OPEN}", sources())));
        let _ = sends_head(&mut flow, &asking(&[]));
        let names: Vec<HeaderEdit> = removed
            .iter()
            .map(|name| HeaderEdit::Remove((*name).into()))
            .collect();
        assert_eq!(
            flow.response_trailer_edits(&trailers),
            names,
            "{applies_to}"
        );
    }
}

#[test]
fn a_limit_for_each_address_counts_the_client_that_trusted_proxies_name() {
    let limited = |rule: &str| {
        guard(&format!(
            "require: none
client_address: {rule}
defaults: {{ action: allow }}
rules: [{{ id: one, match: {{ event: request }}, limit: {{ count: requests, per: address, max: 1, window: 1m }}, action: deny }}]
"
        ))
    };
    let ask = |guard: &Rc<Guard>, forwarded: &str| {
        let caller = Caller {
            properties: MemoryProperties::default().with(&["source", "address"], "10.0.0.9:4000"),
            ..Caller::default()
        };
        let request = asking(&[("x-forwarded-for", forwarded)]);
        let seen = run_as(&caller, guard, &request, |_| hello(), NOW, None);
        seen.client.status().unwrap()
    };
    // Whatever a client writes in the header, the address stays the same.
    let direct = limited("direct");
    assert_eq!(ask(&direct, "192.0.2.1"), 200);
    assert_eq!(ask(&direct, "192.0.2.2"), 429);
    let behind = limited("{ xff_hops: 1 }");
    assert_eq!(ask(&behind, "6.6.6.6, 192.0.2.1"), 200);
    assert_eq!(ask(&behind, "192.0.2.2"), 200);
    assert_eq!(ask(&behind, "7.7.7.7, 192.0.2.1"), 429);
}

#[test]
fn a_request_that_is_routed_again_is_evaluated() {
    // Without a name, the route has no cluster.
    let cluster = |name: &str| match name {
        "" => MemoryProperties::default(),
        name => MemoryProperties::default().with(&["xds", "cluster_name"], name),
    };
    let routed = |mode: &str, before: &str, after: &str| {
        let policy = format!("mode: {mode}\n{}{OPEN}", sources());
        let guard = guard(&format!(
            "applies_to: {{ clusters: [\"llm-*\"] }}\n{policy}"
        ));
        let mut flow = Flow::new(guard);
        let request = asking(&[("x-agent-key", KEY)]);
        let headers = request.header_slices();
        let step = flow.request_headers(&RequestHead {
            headers: &headers,
            end: false,
            properties: &cluster(before),
            now: NOW,
        });
        // Envoy chooses the route again once a header is removed.
        assert_eq!(step.headers[0], HeaderEdit::Remove("x-agent-key".into()));
        let denied = flow.rerouted(&cluster(after)).map(|step| step.action);
        assert!(flow.rerouted(&cluster(after)).is_none(), "asked once more");
        let end = End {
            now: NOW,
            ..End::default()
        };
        let record: Value = serde_json::from_slice(&flow.finish(&end).line).unwrap();
        let status = match denied {
            Some(Action::Reply(reply)) => Some(reply.status),
            Some(other) => panic!("{other:?}"),
            None => None,
        };
        let told = record["code"].as_str().unwrap_or_default().to_owned();
        let coverage = record["coverage"]["level"].as_str().unwrap().to_owned();
        (status, told, coverage)
    };
    for (mode, before, after, status, code, coverage) in [
        ("enforce", "web", "web", None, "", "ignored"),
        ("enforce", "web", "files", None, "", "ignored"),
        ("enforce", "web", "llm-eu", Some(400), "AG2012", "none"),
        ("enforce", "", "llm-eu", Some(400), "AG2012", "none"),
        ("enforce", "web", "", None, "", "ignored"),
        ("observe", "web", "llm-eu", None, "", "none"),
        // The request was evaluated, so that it may go anywhere.
        ("enforce", "llm-eu", "web", None, "", "none"),
    ] {
        let (status, code) = (status, code.to_owned());
        let expected = (status, code, coverage.to_owned());
        assert_eq!(
            routed(mode, before, after),
            expected,
            "{mode} {before} {after}"
        );
    }
}

#[test]
fn the_caller_of_a_request_that_is_routed_again_is_evaluated() {
    let cluster = |name: &str| MemoryProperties::default().with(&["xds", "cluster_name"], name);
    let routed = |policy: &str, key: &str, kill: &str| {
        let guard = guard(&format!(
            "applies_to: {{ clusters: [\"llm-*\"] }}\n{}{policy}",
            sources()
        ));
        let list = format!(
            r#"{{"apiVersion":"agentguard.dev/v1","kind":"AgentKill","generation":1,"kill":[{{"agents":["{kill}"],"reason":"r"}}]}}"#
        );
        let list = crate::policy::KillList::from_json(list.as_bytes()).unwrap();
        guard
            .kill
            .set(crate::policy::KillState::List(Rc::new(list)));
        let mut flow = Flow::new(guard);
        let request = asking(&[("x-agent-key", key)]);
        let step = flow.request_headers(&RequestHead {
            headers: &request.header_slices(),
            end: false,
            properties: &cluster("web"),
            now: NOW,
        });
        assert_eq!(step.action, Action::Continue);
        let denied = flow.rerouted(&cluster("llm-eu"));
        let end = End {
            now: NOW,
            ..End::default()
        };
        let record: Value = serde_json::from_slice(&flow.finish(&end).line).unwrap();
        (
            denied.is_some(),
            record["code"].as_str().unwrap_or_default().to_owned(),
        )
    };
    // The kill list is enforced even if the policy only observes.
    let observed = format!("mode: observe\n{OPEN}");
    assert_eq!(routed(&observed, KEY, "bot"), (true, "AG3006".to_owned()));
    assert_eq!(routed(&observed, KEY, "other"), (false, String::new()));
    // A rule that allows the request unread does not require a known caller.
    let unread =
        "rules: [{ id: again, match: { event: uninspectable, code: AG2012 }, action: allow }]\n";
    for open in [OPEN, CLOSED] {
        let policy = format!("{open}{unread}");
        assert_eq!(routed(&policy, KEY, "other"), (false, String::new()));
        assert_eq!(routed(&policy, "nobody's", "other").1, "AG4002");
    }
}

/// Proxy that does not provide the cluster of a route: the native host before Envoy 1.40.
struct UntoldClusters;

impl Properties for UntoldClusters {
    fn get(&self, _path: &[&str]) -> Option<Vec<u8>> {
        None
    }

    fn tells_clusters(&self) -> bool {
        false
    }
}

#[test]
fn a_policy_for_clusters_applies_to_every_request_of_a_proxy_that_provides_none() {
    let guard = guard(&format!(
        "applies_to: {{ clusters: [\"llm-*\"] }}\n{}{CLOSED}",
        sources()
    ));
    let request = chat_request(&says("hi"));
    let headers = request.header_slices();
    let untold: (&dyn Properties, Option<u16>) = (&UntoldClusters, Some(401));
    // The policy does not apply to a route without a cluster.
    let without: (&dyn Properties, Option<u16>) = (&MemoryProperties::default(), None);
    for (properties, expected) in [untold, without] {
        let mut flow = Flow::new(Rc::clone(&guard));
        let step = flow.request_headers(&RequestHead {
            headers: &headers,
            end: false,
            properties,
            now: NOW,
        });
        let status = match step.action {
            Action::Reply(reply) => Some(reply.status),
            _ => None,
        };
        assert_eq!(status, expected);
    }
}
