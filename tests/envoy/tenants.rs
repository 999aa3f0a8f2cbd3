//! Two tenants whose clients, agents and users have the same names: no stored state is shared between them.

use crate::approvals::{approved, refunds, requested};
use crate::identity::forge;
use crate::scene::{Mode, answers, calls, case, completion, in_mode, policy, says, with};
use harness::{Answer, Http, Listening, Request, Response, Setup, Site, Version};
use serde_json::{Value, json};

in_both_envoys![tenants_share_no_limit_session_pseudonym_or_approval];

const KEYS: [&str; 2] = ["agk_of_the_first_tenant", "agk_of_the_second_tenant"];

/// Returns a policy that identifies both tenants by their keys. Everything else is equal.
fn known(name: &str, policy: Value) -> Value {
    let key = |number: usize| {
        json!({"sha256": forge::hash(KEYS[number]), "tenant": format!("t{number}"), "client": "shop",
               "agent": "bot", "id": "ann", "roles": ["agent"]})
    };
    let keys =
        json!([{"name": "key", "api_key": {"header": "x-agent-key", "keys": [key(0), key(1)]}}]);
    with(
        policy,
        json!({"metadata": {"name": name}, "require": "identity", "principals": keys}),
    )
}

/// Subjects of counters, and what is counted.
const LIMITS: [(&str, &str); 11] = [
    ("client", "requests"),
    ("agent", "requests"),
    ("principal", "requests"),
    ("model", "requests"),
    ("provider", "requests"),
    ("address", "requests"),
    ("header.x-run", "requests"),
    ("session", "requests"),
    ("tool", "tool_calls"),
    ("args.customer_id", "tool_calls"),
    ("client", "identical_tool_calls"),
];

fn limit(number: usize) -> Value {
    let (per, counted) = LIMITS[number];
    let session = match per {
        "session" => json!({"session": "header:x-run"}),
        _ => json!({}),
    };
    let limit = json!({"count": counted, "per": per, "max": 1, "window": "24h"});
    let rule = json!({"id": "one", "action": "deny", "limit": with(limit, session)});
    known(&format!("limit-{number}"), policy(json!([rule])))
}

fn ask(site: &Listening, tenant: usize, text: &str, token: Option<&str>) -> Response {
    let request = Request::chat(says(text))
        .header("x-agent-key", KEYS[tenant])
        .header("x-run", "the same");
    let request = match token {
        Some(token) => request.header("x-agentguard-approval", token),
        None => request,
    };
    site.send(Http::One, &request)
}

fn calls_a_tool(response: &Response) -> bool {
    response.json()["choices"][0]["message"]["tool_calls"].is_array()
}

fn tenants_share_no_limit_session_pseudonym_or_approval(version: Version) {
    let hide = json!({"id": "hide", "match": {"event": "message"}, "when": {"text": {"detects": "email"}},
                      "action": "redact", "redact": {"with": "pseudonym"}});
    let mut policies: Vec<(String, Value)> = (0..LIMITS.len())
        .map(|number| (format!("limit-{number}"), limit(number)))
        .collect();
    policies.push(("approval".into(), known("approval", refunds())));
    policies.push((
        "pseudonym".into(),
        known("pseudonym", policy(json!([hide]))),
    ));
    let sites = policies.iter().enumerate().map(|(number, (name, policy))| {
        let mode = Mode::BOTH[number % 2];
        Site::new(name, &in_mode(policy, mode))
    });
    let envoy = Setup::new(version, sites.collect()).lease();

    for (number, (per, counted)) in LIMITS.into_iter().enumerate() {
        case(&format!("{counted} per {per}"), || {
            let site = envoy.site(&format!("limit-{number}"));
            let passes: Box<dyn Fn(usize) -> bool> = match counted {
                "requests" => {
                    envoy.provider.answer_always(answers("Hello"));
                    Box::new(|tenant| ask(site, tenant, "hi", None).status == 200)
                }
                _ => {
                    let call = [("lookup", r#"{"customer_id": "c"}"#)];
                    envoy.provider.answer_always(calls(&call));
                    Box::new(|tenant| calls_a_tool(&ask(site, tenant, "hi", None)))
                }
            };
            let seen: Vec<bool> = [0, 0, 1, 1, 0].map(&passes).to_vec();
            assert_eq!(seen, [true, false, true, false, false]);
        });
    }

    // One tenant's approval is invalid for the other.
    let site = envoy.site("approval");
    let refund = [("refund", r#"{"amount": 250, "to": "x"}"#)];
    envoy.provider.answer_always(calls(&refund));
    let token = approved(&requested(&ask(site, 0, "Refund me.", None)));
    site.records.next();
    assert!(!calls_a_tool(&ask(site, 1, "Refund me.", Some(&token))));
    assert_eq!(site.records.next()["approval"]["detail"], "other_tenant");
    assert!(calls_a_tool(&ask(site, 0, "Refund me.", Some(&token))));

    // The model sees a different pseudonym for each tenant, and no tenant gets the other's value back.
    let site = envoy.site("pseudonym");
    envoy.provider.answer_with(|received| {
        let body: Value = serde_json::from_slice(&received.body).unwrap_or_default();
        let message = json!({"role": "assistant", "content": body["messages"][0]["content"], "refusal": null});
        Answer::json(200, &completion(message, "stop"))
    });
    let mail = "ann.lee@contoso.com";
    let told = |tenant: usize, text: &str| {
        let response = ask(site, tenant, text, None).json();
        let received: Value = serde_json::from_slice(&envoy.provider.last().body).expect("JSON");
        let to_model = received["messages"][0]["content"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let to_client = response["choices"][0]["message"]["content"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (to_model, to_client)
    };
    let (first, back) = told(0, mail);
    assert_ne!(first, mail);
    assert_eq!(back, mail);
    assert_eq!(told(0, mail).0, first);
    let (second, back) = told(1, mail);
    assert_eq!(back, mail);
    assert!(second != mail && second != first, "{second}");
    let (_, back) = told(1, &first);
    assert!(!back.contains(mail), "{back}");
}
