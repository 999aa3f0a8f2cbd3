//! Identifiers of a request: what tells two things apart, and no rule's text.

use super::*;

const KEY: &str = concat!("AKIA", "Z7QX3N5PLM2RT6VD");

/// A conversation in which a call of a tool and its result have this id, and a file that one.
fn with_ids(call: &str, file: &str) -> Half {
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
fn nothing_else_is_looked_for_in_an_identifier() {
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
