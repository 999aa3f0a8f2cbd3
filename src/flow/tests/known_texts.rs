//! Texts in which the same policy found nothing before.

use super::work::{MATCHES, chat, letters};
use super::*;

const POLICY: &str = "
defaults: { action: allow }
rules:
  - { id: mask, match: { event: [message, response] }, when: { text: { detects: [pii, secrets] } }, action: redact }
  - { id: project, match: { event: message }, when: { text: { contains: 'project basilisk' } }, action: deny }
";

/// Returns a text of any length without findings.
fn prose(length: usize) -> String {
    let mut text =
        "The order has not left the warehouse yet; nobody knows why. ".repeat(length / 60 + 1);
    text.truncate(length);
    text
}

fn asking(texts: &[&str]) -> HttpMessage {
    chat_request(&chat(texts))
}

#[test]
fn a_finding_that_is_added_to_a_known_text_is_found() {
    let guard = guard(POLICY);
    for length in [10, 57, 58, 100, 1_024, 1_025, 5_000, 70_000] {
        let clean = prose(length);
        for _ in 0..3 {
            let seen = run(&guard, &asking(&[&clean]), |_| hello(), NOW);
            assert_eq!(
                seen.upstream.unwrap().body(),
                asking(&[&clean]).body(),
                "{length}"
            );
        }
        for at in [0, length / 2, length] {
            let (before, after) = clean.split_at(at);
            let card = format!("{before} 4111 1111 1111 1111 {after}");
            for _ in 0..2 {
                let seen = run(&guard, &asking(&[&clean, &card]), |_| hello(), NOW);
                let body = String::from_utf8(seen.upstream.unwrap().body()).unwrap();
                assert!(body.contains("[CREDIT_CARD]"), "{length} {at}");
                assert!(!body.contains("4111"), "{length} {at}");
            }
            let project = format!("{before} Project Basilisk {after}");
            for _ in 0..2 {
                let seen = run(&guard, &asking(&[&clean, &project]), |_| hello(), NOW);
                assert_eq!(record(&seen)["rules"][0]["id"], "project", "{length} {at}");
            }
        }
    }
}

#[test]
fn json_in_a_text_is_known_separately_from_the_same_text_elsewhere() {
    let guard = guard(POLICY);
    // The name next to the value makes it a password.
    let data = json!({"padding": prose(200), "password": "hunter2-Kx9"}).to_string();
    for _ in 0..2 {
        let seen = run(&guard, &asking(&[&data]), |_| hello(), NOW);
        let body = String::from_utf8(seen.upstream.unwrap().body()).unwrap();
        assert!(!body.contains("hunter2"), "{body}");
    }
}

/// Asserts that two texts exceed the work budget together but not alone, even after they are known.
fn are_denied_together(request: impl Fn(&[&str]) -> HttpMessage) {
    let guard = guard(MATCHES);
    let text = letters(40_000);
    let (first, second) = text.split_at(20_000);
    for _ in 0..2 {
        for text in [first, second] {
            let seen = run(&guard, &request(&[text]), |_| hello(), NOW);
            assert_eq!(record(&seen)["decision"], "allow");
        }
        let seen = run(&guard, &request(&[first, second]), |_| hello(), NOW);
        assert_eq!(record(&seen)["code"], "AG2015");
    }
}

#[test]
fn a_request_over_the_budget_is_denied_again_when_a_part_of_it_is_known() {
    are_denied_together(asking);
}

/// Returns a chat request that defines one tool with this schema.
fn offering(schema: &Value) -> HttpMessage {
    offering_after("Find it.", &[schema])
}

/// Returns a chat request with a question that defines a tool with each of these schemas.
fn offering_after(question: &str, schemas: &[&Value]) -> HttpMessage {
    let mut body: Value = serde_json::from_slice(&chat(&[question])).unwrap();
    let tools = schemas.iter().map(|schema| {
        json!({"type": "function", "function": {
            "name": "search", "description": prose(300), "parameters": schema,
        }})
    });
    body["tools"] = tools.collect();
    chat_request(body.to_string().as_bytes())
}

/// Returns names and values for a tool's schema, a call's arguments and a tool's result. Some of them are findings only
/// together.
pub(super) fn any_data() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "type", "password", "ssn", "name", "value", "columns", "rows", "number", "account", "text",
    ]);
    let text = prop::sample::select(vec![
        "string",
        "hunter2-Kx9",
        "536-22-8726",
        "4111 1111 1111 1111",
        "password",
        "project",
        "basilisk",
        "Project Basilisk",
        "The order has not left the warehouse yet; nobody knows why it should.",
    ]);
    let leaf = prop_oneof![
        4 => text.prop_map(Value::from),
        1 => Just(json!(4_111_111_111_111_111_u64)),
        1 => Just(json!(7)),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(3, 12, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..4).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

/// Returns requests with the same data as a schema, as arguments, as a result, and as JSON in a text.
fn in_all_places(data: &Value) -> Vec<HttpMessage> {
    let asked = |messages: Value| {
        let body = json!({"model": "gpt-4o", "messages": messages});
        chat_request(body.to_string().as_bytes())
    };
    let called = |arguments: &Value| {
        json!([
            {"role": "user", "content": "Find it."},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "search", "arguments": arguments.to_string()}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "done"},
        ])
    };
    let parts = json!([{"role": "user", "content": [
        {"type": "text", "text": data.to_string()}, {"type": "text", "text": "and"}, {"type": "text", "text": "so on"},
    ]}]);
    // Larger bodies are recognised by their elements.
    let question = prose(1_200);
    let schema =
        json!({"type": "object", "properties": {"more": data, "path": {"type": "string"}}});
    let limited = json!({"properties": {"limit": {"type": "integer", "minimum": 1}}, "more": data});
    vec![
        offering(data),
        offering(&json!({"type": "object", "properties": {"more": data}})),
        offering_after(&question, &[&schema, &limited]),
        offering_after(&prose(1_201), &[&limited, data, &schema]),
        asked(called(data)),
        asked(called(&json!({"query": data, "and": "so on"}))),
        asked(parts),
    ]
}

/// Returns the outcome of a request: the forwarded body, and the audit event without its unique members.
pub(super) fn outcome(guard: &Rc<Guard>, request: &HttpMessage) -> (Option<Vec<u8>>, Value) {
    let seen = run(guard, request, |_| hello(), NOW);
    let mut record = record(&seen);
    for own in ["id", "chain"] {
        record.as_object_mut().unwrap().remove(own);
    }
    (seen.upstream.map(|sent| sent.body()), record)
}

/// Returns the outcome in a new thread, whose caches are empty.
pub(super) fn outcome_alone(policy: &str, request: &HttpMessage) -> (Option<Vec<u8>>, Value) {
    std::thread::scope(|scope| {
        let alone = scope.spawn(|| outcome(&guard(policy), request));
        alone.join().unwrap()
    })
}

proptest! {
    // Each request alone needs its own policy, which takes a while to load.
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Bodies that were read before don't change the findings, whatever their positions.
    #[test]
    fn the_decision_on_a_body_does_not_depend_on_earlier_ones(all in prop::collection::vec(any_data(), 1..3)) {
        let requests: Vec<HttpMessage> = all.iter().flat_map(in_all_places).collect();
        let alone: Vec<_> = requests
            .iter()
            .map(|request| outcome_alone(POLICY, request))
            .collect();
        let known = guard(POLICY);
        for _ in 0..3 {
            for (request, alone) in requests.iter().zip(&alone) {
                prop_assert_eq!(&outcome(&known, request), alone);
            }
        }
    }
}

#[test]
fn a_known_tool_with_an_addition_is_inspected_again() {
    let guard = guard(POLICY);
    let schema = |value: &str, key: &str| {
        json!({"type": "object", "properties": {
            "first": {"type": "string", "description": "What is looked for."},
            "second": {"type": "string", key: value, "enum": ["a", "b"]},
        }})
    };
    let found = |schema: &Value| {
        let seen = run(&guard, &offering(schema), |_| hello(), NOW);
        let findings = &record(&seen)["findings"];
        let names = findings
            .as_object()
            .into_iter()
            .flat_map(|found| found.keys());
        names.cloned().collect::<Vec<_>>().join(" ")
    };
    let clean = schema("hunter2-Kx9", "default");
    for _ in 0..3 {
        assert_eq!(found(&clean), "");
    }
    let named = schema("hunter2-Kx9", "password");
    assert_eq!(found(&named), "generic_api_key password");
    assert_eq!(found(&schema("536-22-8726", "default")), "us_ssn");
    assert_eq!(found(&clean), "");
}

#[test]
fn tools_over_the_budget_together_are_denied_again_when_each_is_known() {
    are_denied_together(|texts| {
        let mut body: Value = serde_json::from_slice(&chat(&["Find it."])).unwrap();
        let tools = texts.iter().zip(["a", "b"]).map(|(text, name)| {
            json!({"type": "function", "function": {
                "name": name, "description": text, "parameters": {"type": "object", "title": "Any"},
            }})
        });
        body["tools"] = tools.collect();
        chat_request(body.to_string().as_bytes())
    });
}

/// Rows of results that are known, under names outside of them.
#[test]
fn a_known_element_has_the_names_of_its_current_location() {
    let row = |cells: &[&str]| {
        let cells: Vec<Value> = cells.iter().map(|cell| json!({"v": cell})).collect();
        json!({"f": cells, "note": prose(200)})
    };
    let wide =
        json!({"value": "536228726", "a": prose(100), "b": 1, "c": 2, "d": 3, "e": 4, "f": "x"});
    let named = |name: &str| json!({name: [wide, wide], "more": [{"n": 1}]});
    let in_table = |names: [&str; 3]| {
        let fields: Vec<Value> = names
            .iter()
            .map(|name| json!({"name": name, "type": "STRING"}))
            .collect();
        json!({"schema": {"fields": fields}, "rows": [row(&["536228726", "536228727", "x"]), row(&["y", "536228726", "z"])]})
    };
    let inside = |name: &str| json!({"list": [{"name": name, "rows": [wide, wide]}, {name: wide}]});
    let pairs = |name: &str| json!({"headers": [{"name": name, "value": "536228726", "x": 1, "y": 2, "z": 3, "text": prose(120)}]});
    let all = [
        (named("notes"), false),
        (named("ssn"), true),
        (named("order"), false),
        (in_table(["order", "id", "ssn"]), false),
        (in_table(["id", "ssn", "order"]), true),
        (in_table(["ssn", "order", "id"]), true),
        (inside("order"), false),
        (inside("ssn"), true),
        (pairs("order"), false),
        (pairs("ssn"), true),
    ];
    let request = |response: &Value| {
        let body = json!({"contents": [
            {"role": "user", "parts": [{"text": prose(1_000)}]},
            {"role": "model", "parts": [{"functionCall": {"name": "q", "args": response}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "q", "response": response}}]},
        ]});
        HttpMessage::new(
            &[
                (":method", "POST"),
                (":path", "/v1beta/models/gemini-2.5-pro:generateContent"),
                (":authority", "generativelanguage.googleapis.com"),
                ("content-type", "application/json"),
                ("x-request-id", "r-1"),
            ],
            body.to_string().as_bytes(),
        )
    };
    let policy = POLICY.replace("[message, response]", "[message, response, tool_result]");
    let alone: Vec<_> = all
        .iter()
        .map(|(data, is_found)| {
            let alone = outcome_alone(&policy, &request(data));
            assert_eq!(alone.1.get("findings").is_some(), *is_found, "{data}");
            alone
        })
        .collect();
    let known = guard(&policy);
    for round in 0..4 {
        for ((data, _), alone) in all.iter().zip(&alone) {
            assert_eq!(&outcome(&known, &request(data)), alone, "{round} {data}");
        }
    }
}
