//! Identifiers in a request. They only distinguish things, and are no texts for rules.

use super::*;

const KEY: &str = concat!("AKIA", "Z7QX3N5PLM2RT6VD");

/// Returns a conversation with these ids of a call (and its result) and of a file.
fn with_ids(call: &str, file: &str) -> HttpMessage {
    let called =
        json!({"id": call, "type": "function", "function": {"name": "look", "arguments": "{}"}});
    let messages = json!([
        {"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "file", "file": {"file_id": file}},
        ]},
        {"role": "assistant", "content": null, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": call, "content": "seen"},
    ]);
    chat_request(
        json!({"model": "gpt-4o", "messages": messages})
            .to_string()
            .as_bytes(),
    )
}

#[test]
fn an_unmistakable_secret_in_an_identifier_is_found_and_never_edited() {
    let policy = "defaults: { action: allow }
rules:
  - { id: keys, match: { event: message }, when: { text: { detects: secrets } }, action: redact }
";
    in_both_modes(policy, |guard, _| {
        for request in [with_ids(KEY, "file-1"), with_ids("call_1", KEY)] {
            let seen = exchange(guard, &request, hello());
            assert_eq!(client_json(&seen)["error"]["agentguard"]["code"], "AG3005");
            assert!(record(&seen)["findings"]["aws_access_key"].is_u64());
        }
    });
}

#[test]
fn identifiers_are_searched_for_nothing_else() {
    let policy = "defaults: { action: allow }
rules:
  - { id: cards, match: { event: message }, when: { text: { detects: credit_card } }, action: deny }
  - { id: keys, match: { event: message }, when: { text: { detects: secrets } }, action: deny }
  - { id: word, match: { event: message }, when: { text: { contains: acme } }, action: deny }
  - { id: pattern, match: { event: message }, when: { text: { matches: 'call_\\w+' } }, action: deny }
";
    in_both_modes(policy, |guard, _| {
        for id in ["4111111111111111", "call_acme4111111111111111"] {
            let seen = exchange(guard, &with_ids(id, "file-acme-0123456789"), hello());
            assert_eq!(seen.client.status(), Some(200), "{id}");
            assert_eq!(record(&seen)["findings"], Value::Null);
        }
    });
}

const CARD: &str = "4111111111111111";

/// Returns a conversation with a model and a tool of these names: defined, called before, called in the response.
fn with_names(model: &str, tool: &str) -> (HttpMessage, HttpMessage) {
    let function = json!({"name": tool, "arguments": "{}"});
    let called = json!({"id": "call_1", "type": "function", "function": function});
    let request = json!({
        "model": model,
        "messages": [
            {"role": "user", "content": "look"},
            {"role": "assistant", "content": null, "tool_calls": [called]},
            {"role": "tool", "tool_call_id": "call_1", "content": "seen"},
        ],
        "tools": [{"type": "function", "function": {"name": tool, "parameters": {"type": "object"}}}],
    });
    let mut request = chat_request(request.to_string().as_bytes());
    for (name, value) in &mut request.headers {
        if name == b"x-request-id" {
            *value = tool.as_bytes().to_vec();
        }
    }
    let message = json!({"role": "assistant", "content": null, "tool_calls": [called]});
    (request, answer(message, "tool_calls"))
}

/// Returns the audit event, and everything else that is published on an exchange: the event's line, labels of metrics,
/// headers.
fn told(guard: &Rc<Guard>, request: &HttpMessage, response: HttpMessage) -> (Value, String) {
    let seen = exchange(guard, request, response);
    let mut told = String::from_utf8(seen.finished.line.clone()).unwrap();
    for (_, labels, _) in &seen.counts {
        told.push_str(&labels.join(" "));
    }
    for (name, value) in &seen.client.headers {
        told.push_str(&String::from_utf8_lossy(name));
        told.push_str(&String::from_utf8_lossy(value));
    }
    (record(&seen), told)
}

#[test]
fn no_output_reveals_a_secret_that_is_a_model_s_or_a_tool_s_name() {
    for policy in [ALLOW, "defaults: { action: allow }\nmode: observe\n"] {
        in_both_modes(policy, |guard, _| {
            for secret in [KEY, CARD, "4111 1111 1111 1111", "jane.doe@example.com"] {
                for (model, tool) in [(secret, "look"), ("gpt-4o", secret), (secret, secret)] {
                    let (request, response) = with_names(model, tool);
                    let (line, told) = told(guard, &request, response);
                    assert!(!told.contains(secret), "{told}");
                    assert_eq!(line["decision"], "allow");
                }
                // The secret is a part of the tool's name.
                let (request, response) = with_names("gpt-4o", &format!("pay_{secret}"));
                let (line, told) = told(guard, &request, response);
                assert!(!told.contains(secret), "{told}");
                assert!(line["tools"][0].as_str().unwrap().contains('['), "{line}");
            }
        });
    }
}

#[test]
fn a_secret_or_a_card_number_as_a_name_is_denied_if_the_policy_detects_it() {
    for (detects, secret, other) in [("secrets", KEY, CARD), ("credit_card", CARD, KEY)] {
        for (action, code) in [("redact", "AG3005"), ("deny", "AG3001")] {
            let policy = format!(
                "defaults: {{ action: allow }}
rules:
  - {{ id: found, match: {{ event: message }}, when: {{ text: {{ detects: {detects} }} }}, action: {action} }}
"
            );
            in_both_modes(&policy, |guard, _| {
                for (model, tool) in [(secret, "look"), ("gpt-4o", secret)] {
                    let (request, response) = with_names(model, tool);
                    let seen = exchange(guard, &request, response);
                    assert!(!seen.upstream_complete, "{detects} {model} {tool}");
                    assert_eq!(record(&seen)["code"], code);
                    assert!(!String::from_utf8_lossy(&seen.finished.line).contains(secret));
                }
                let (request, response) = with_names("gpt-4o", other);
                let seen = exchange(guard, &request, response);
                assert!(seen.upstream_complete, "not what is looked for");
            });
        }
    }
}

#[test]
fn a_name_is_no_text_of_other_rules() {
    let policy = "defaults: { action: allow }
rules:
  - { id: word, match: { event: message }, when: { text: { contains: gpt } }, action: deny }
  - { id: mail, match: { event: message }, when: { text: { detects: [email, us_ssn] } }, action: deny }
";
    let (request, response) = with_names("gpt-4o-2024-08-06", "look_around_here");
    let seen = exchange(&guard(policy), &request, response);
    assert_eq!(record(&seen)["decision"], "allow");
}
