//! Values in data: tables, pairs and nested objects in arguments and results, as structure and as text.

use super::*;

const REDACTS: &str = "defaults: { action: allow }
rules:
  - id: pii
    match: { event: [message, response, tool_result] }
    when: { text: { detects: [pii, secrets] } }
    action: redact
";

/// Shapes in which tools return a value among others, which stay unchanged.
const SHAPES: &[&str] = &[
    r#"{"columns":["id","ssn","order"],"rows":[[1,"SSN",4711],[2,"x","4712"],[3,"SSN","A plain line"]]}"#,
    r#"{"values":[["id","ssn","order"],["1","SSN","4711"],["2","SSN",""]],"range":"A1:C3"}"#,
    r#"{"fields":[{"name":"order","value":"4711"},{"name":"ssn","type":"text","value":"SSN"}]}"#,
    r#"{"customer":{"ssn":{"value":"SSN","checked":"2024-01-01"},"order":{"value":"4711"}}}"#,
];

fn asks_again(result: &str, arguments: &str) -> Vec<u8> {
    json!({"model": "gpt-4o", "messages": [
        {"role": "user", "content": "Who is it?"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "save", "arguments": arguments}}]},
        {"role": "tool", "tool_call_id": "1", "content": result},
    ]})
    .to_string()
    .into_bytes()
}

#[test]
fn only_the_value_is_replaced_wherever_its_name_is() {
    let guard = guard(REDACTS);
    for shape in SHAPES {
        let with = |value: &str| shape.replace("\"SSN\"", &format!("\"{value}\""));
        let (told, redacted) = (with("536225189"), with("[US_SSN]"));
        let told = [
            (told.clone(), redacted.clone()),
            (
                format!("The result:\n```json\n{told}\n```"),
                format!("The result:\n```json\n{redacted}\n```"),
            ),
            (
                json!({"status": 200, "body": told}).to_string(),
                json!({"status": 200, "body": redacted}).to_string(),
            ),
        ];
        for (told, redacted) in told {
            let sent = asks_again(&told, "{}");
            let seen = exchange(&guard, &chat_request(&sent), hello());
            let upstream = seen.upstream.unwrap().body();
            assert_eq!(
                String::from_utf8(upstream),
                String::from_utf8(asks_again(&redacted, "{}")),
                "{told}"
            );
        }
        let sent = asks_again("ok", &with("536225189"));
        let seen = exchange(&guard, &chat_request(&sent), hello());
        assert_eq!(
            String::from_utf8(seen.upstream.unwrap().body()),
            String::from_utf8(asks_again("ok", &with("[US_SSN]"))),
            "{shape}"
        );
    }
}

#[test]
fn a_number_in_a_column_is_denied_and_one_in_a_text_is_replaced() {
    let guard = guard(REDACTS);
    let table = r#"{"columns":["ssn"],"rows":[[536225189],[536225188.0]]}"#;
    let seen = exchange(&guard, &chat_request(&asks_again("ok", table)), hello());
    assert_eq!(record(&seen)["code"], "AG3005");
    let seen = exchange(&guard, &chat_request(&asks_again(table, "{}")), hello());
    assert_eq!(
        String::from_utf8(seen.upstream.unwrap().body()),
        String::from_utf8(asks_again(
            r#"{"columns":["ssn"],"rows":[[[US_SSN]],[[US_SSN]]]}"#,
            "{}"
        ))
    );
}

#[test]
fn a_rule_on_arguments_or_a_result_reads_each_value_with_its_name() {
    for (field, holds) in [
        ("args", true),
        ("args.customer", true),
        ("args.customer.ssn", true),
        ("args..ssn", true),
        ("args.rows", true),
        ("args.order", false),
    ] {
        let guard = guard(&format!(
            "defaults: {{ action: allow }}
rules:
  - id: no-ssn
    match: {{ event: tool_call }}
    when: {{ {field}: {{ detects: us_ssn }} }}
    action: deny
"
        ));
        let arguments = r#"{"order":"4711","customer":{"ssn":"536225189"},"columns":["id","ssn"],"rows":[[1,"536225188"]]}"#;
        let call = json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "save", "arguments": arguments}}]});
        let seen = exchange(
            &guard,
            &chat_request(&says("hi")),
            answer(call, "tool_calls"),
        );
        assert_eq!(record(&seen)["decision"] == "deny", holds, "{field}");
    }
}

#[test]
fn values_of_a_result_are_not_joined_to_one() {
    let guard = guard(REDACTS);
    let result =
        json!({"rows": [{"f": ["Li ", "password: kX3", "9bQw8zT5Lm2", "4111 1111", "1111 1111"]}]});
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "Who is it?"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "q", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "q", "response": result}}]},
    ]})
    .to_string();
    let request = HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", "/v1beta/models/gemini-2.5-pro:generateContent"),
            (":authority", "generativelanguage.googleapis.com"),
            ("content-type", "application/json"),
        ],
        body.as_bytes(),
    );
    let seen = exchange(&guard, &request, hello());
    assert_eq!(String::from_utf8(seen.upstream.unwrap().body()), Ok(body));
}

#[test]
fn a_number_or_a_key_in_json_within_arguments_is_denied_and_a_text_there_replaced() {
    let policy = "defaults: { action: allow }
rules:
  - { id: cards, match: { event: message }, when: { text: { detects: credit_card } }, action: redact }
";
    let twice = |inner: Value| json!({"inner": json!({"deeper": inner.to_string()}).to_string()});
    let once = |inner: Value| json!({"inner": inner.to_string()});
    let card = 4_111_111_111_111_111_u64;
    for (arguments, redacted) in [
        (once(json!({"card": card})), None),
        (once(json!([1, card])), None),
        (once(json!({card.to_string(): 1})), None),
        (twice(json!({"card": card})), None),
        (
            once(json!({"n": 7, "card": card.to_string()})),
            Some(once(json!({"n": 7, "card": "[CREDIT_CARD]"}))),
        ),
        (
            twice(json!({"n": 7, "card": card.to_string()})),
            Some(twice(json!({"n": 7, "card": "[CREDIT_CARD]"}))),
        ),
        (
            json!({"inner": format!("{{not JSON}} {card}")}),
            Some(json!({"inner": "{not JSON} [CREDIT_CARD]"})),
        ),
    ] {
        let guard = guard(policy);
        let request = chat_request(&asks_again("fine", &arguments.to_string()));
        let seen = exchange(&guard, &request, hello());
        match redacted {
            None => {
                let denied = client_json(&seen);
                assert_eq!(
                    denied["error"]["agentguard"]["code"], "AG3005",
                    "{arguments}"
                );
            }
            Some(redacted) => {
                let body: Value = serde_json::from_slice(&seen.upstream.unwrap().body()).unwrap();
                let sent = &body["messages"][1]["tool_calls"][0]["function"]["arguments"];
                let sent: Value = serde_json::from_str(sent.as_str().unwrap()).unwrap();
                assert_eq!(sent, redacted);
            }
        }
    }
}
